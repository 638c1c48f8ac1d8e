//! Stories on a Discord that is not as ours usually is: other permissions and kinds of channels, other limits.

mod shapes;

use std::time::Duration;

use crate::bot::Home;
use crate::discord_story::{Door, Story, read};
use crate::fakes::discord::{
    ALICE, BOT_USER, FakeDiscord, GENERAL, GUILD, HIDDEN, LEADS, Posted, Scope, VOICE, permission,
};

const ANNOUNCEMENTS: u8 = 5;
const STAGE: u8 = 13;
const FORUM: u8 = 15;

/// Two commands, one of which says a lot, that Ana may run anywhere.
fn files() -> Home {
    let people = format!(
        "people:\n  ana: {{ name: Ana Ruiz, discord: \"{ALICE}\" }}\ngroups:\n  team: [ana]\n"
    );
    Home::of_files(&[
        (
            "commands/look.yaml",
            "command: look\ndoes: Looks.\nrisk: low\nsteps:\n  - { name: look, run: [echo, seen], effect: read }\n",
        ),
        (
            "commands/loud.yaml",
            "command: loud\ndoes: Says a lot.\nrisk: low\nsteps:\n  - { name: count, run: [seq, \"1\", \"3000\"], effect: read }\n",
        ),
        ("runbooks/people.yaml", &people),
        (
            "runbooks/shop.yaml",
            "project: shop\nabout: A shop.\nowner: team\nrules:\n  - { may: everything, who: team }\n  - otherwise: ask ana\n",
        ),
    ])
}

impl Story {
    async fn strange() -> Self {
        Self::begin_with(files(), Door::Gateway).await
    }

    async fn look(&self, channel: &str) {
        let discord = &self.discord;
        discord.slash(channel, ALICE, "look", &[]).await;
    }

    async fn whispered(&self, says: &str) {
        self.wait_for(&format!("whisper with `{says}`"), |discord| {
            let mut all = discord.whispers(ALICE).into_iter();
            all.find(|it| it.text().contains(says))
        })
        .await;
    }
}

/// Where the lines of a run stand.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Stand {
    InAThread,
    InAnswer,
    Plainly,
}

/// Where the last line of the only run in this channel stands.
fn stands(discord: &FakeDiscord, channel: &str) -> Option<Stand> {
    let ours = |it: &Posted| it.author == BOT_USER && read(it).contains("midwatch/");
    let here = discord.messages(channel);
    let root = here.iter().find(|it| it.author == BOT_USER)?;
    let thread = discord.thread_of(&root.id).unwrap_or_default();
    if thread.iter().any(ours) {
        return Some(Stand::InAThread);
    }
    let last = here.iter().find(|it| ours(it))?;
    Some(match &last.refers_to {
        Some((_, of)) if *of == root.id => Stand::InAnswer,
        _ => Stand::Plainly,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_go_where_they_may() {
    use permission::{
        ADD_REACTIONS, CONNECT, CREATE_PUBLIC_THREADS, EMBED_LINKS, READ_MESSAGE_HISTORY,
        SEND_MESSAGES_IN_THREADS,
    };
    const TEXT: u8 = 0;
    let story = Story::strange().await;
    let discord = &story.discord;
    discord.give_role(GUILD, BOT_USER, LEADS);
    // Kind, and what everybody, the bot's role and the bot itself may not; `true`: what the role may all the same.
    let rows: [(&str, u8, [u64; 3], u64, Stand); 10] = [
        (
            "nobody makes threads",
            TEXT,
            [CREATE_PUBLIC_THREADS, 0, 0],
            0,
            Stand::InAnswer,
        ),
        (
            "its role does",
            TEXT,
            [CREATE_PUBLIC_THREADS, 0, 0],
            CREATE_PUBLIC_THREADS,
            Stand::InAThread,
        ),
        (
            "its role does, it does not",
            TEXT,
            [0, 0, CREATE_PUBLIC_THREADS],
            CREATE_PUBLIC_THREADS,
            Stand::InAnswer,
        ),
        (
            "threads are silent",
            TEXT,
            [0, SEND_MESSAGES_IN_THREADS, 0],
            0,
            Stand::InAnswer,
        ),
        (
            "no history",
            TEXT,
            [READ_MESSAGE_HISTORY, 0, 0],
            0,
            Stand::Plainly,
        ),
        (
            "bare",
            TEXT,
            [ADD_REACTIONS | EMBED_LINKS, 0, 0],
            0,
            Stand::InAThread,
        ),
        ("announcements", ANNOUNCEMENTS, [0; 3], 0, Stand::InAThread),
        ("a stage", STAGE, [0; 3], 0, Stand::InAnswer),
        ("a voice channel", 2, [0; 3], 0, Stand::InAnswer),
        (
            "one that it can't join",
            2,
            [CONNECT, 0, 0],
            0,
            Stand::Plainly,
        ),
    ];
    let mut wrong = Vec::new();
    for (nth, (name, kind, [everybody, role, itself], role_may, expected)) in
        rows.into_iter().enumerate()
    {
        let channel = format!("85000000000000000{nth}");
        discord.add_channel_of(kind, GUILD, &channel, "strange");
        discord.overwrite_role(&channel, GUILD, 0, everybody);
        discord.overwrite_role(&channel, LEADS, role_may, role);
        discord.overwrite_bot(&channel, 0, itself);
        story.look(&channel).await;
        let found = story
            .wait_for(name, |discord| stands(discord, &channel))
            .await;
        if found != expected {
            wrong.push(format!("{name}: {found:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_can_not_be_told_in_the_channel_is_told_alone() {
    let story = Story::strange().await;
    let discord = &story.discord;
    story.look(HIDDEN).await;
    story.whispered("can't be told here").await;
    discord.deny(GENERAL, permission::SEND_MESSAGES);
    discord.mention(GENERAL, ALICE, "look");
    story.direct(ALICE, "can't be told here").await;
    discord.allow(GENERAL, permission::USUAL);
    let before = discord.whispers(ALICE).len();
    discord.silence(GUILD, BOT_USER, true);
    story.look(GENERAL).await;
    story
        .wait_for("another whisper", |discord| {
            let whispers = discord.whispers(ALICE);
            let last = whispers.get(before)?;
            last.text().contains("can't be told here").then_some(())
        })
        .await;
    discord.silence(GUILD, BOT_USER, false);
    story.look(GENERAL).await;
    story.root(GENERAL, "look succeeded").await;
    assert_eq!(story.facts("decided").len(), 4);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_file_may_be_the_thread_says_so() {
    let story = Story::strange().await;
    story.discord.deny(GENERAL, permission::ATTACH_FILES);
    story.discord.slash(GENERAL, ALICE, "loud", &[]).await;
    let root = story.root(GENERAL, "loud").await;
    let lines = story.thread(&root, "has no Attach Files").await;
    let said = lines.iter().filter(|line| line.contains("Attach Files"));
    assert_eq!(said.count(), 1, "{lines:#?}");
    story.thread(&root, "midwatch/").await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forums_posts_and_voice_channels_are_heard_also_after_a_while_away() {
    let story = Story::strange().await;
    let forum = "860000000000000001";
    story.discord.add_channel_of(FORUM, GUILD, forum, "forum");
    let post = story
        .discord
        .forum_post(forum, ALICE, "pages are old", "look at this");
    story.discord.mention(&post.id, ALICE, "look");
    story.root(&post.id, "look succeeded").await;
    story.root(&post.id, "midwatch/").await;
    let Story {
        discord,
        home,
        bot,
        shop,
    } = story;
    assert!(bot.stop().success());
    discord.mention(&post.id, ALICE, "look");
    discord.mention(VOICE, ALICE, "look");
    let bot = home.serve().await;
    let story = Story {
        discord,
        home,
        bot,
        shop,
    };
    story.root(VOICE, "look succeeded").await;
    story
        .wait_for("the second run in the post", |discord| {
            let ours = discord
                .messages(&post.id)
                .into_iter()
                .filter(|it| it.author == BOT_USER);
            (ours.filter(|it| read(it).contains("midwatch/")).count() == 2).then_some(())
        })
        .await;
    assert_eq!(story.facts("decided").len(), 3, "each ran once");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_refuses_for_a_while_is_left_alone_for_a_while() {
    let story = Story::strange().await;
    for (nth, scope) in [Scope::Shared, Scope::Global, Scope::Cloudflare]
        .into_iter()
        .enumerate()
    {
        story
            .discord
            .refuse_next_as(2, scope, Duration::from_secs(2));
        story.discord.mention(GENERAL, ALICE, "look");
        story
            .wait_for(&format!("the run after {scope:?}"), |discord| {
                let roots = discord.messages(GENERAL).into_iter();
                let done =
                    roots.filter(|it| it.author == BOT_USER && read(it).contains("look succeeded"));
                (done.count() > nth).then_some(())
            })
            .await;
    }
    story.end();
}
