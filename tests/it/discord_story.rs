//! Stories on Discord, over both doors: text in, thread out. The real program against a server with state and rules.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::bot::{Bot, Home};
use crate::fakes::discord::{
    ALICE, BEN, BOT_TOKEN, BOT_USER, CLEO, FakeDiscord, GENERAL, HERMIT, OPS, Posted, STRANGER,
    Seen, VOICE, permission,
};
use crate::sample_shop::Running;

const PATIENCE: Duration = Duration::from_secs(40);

/// Which way Discord tells us things.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Door {
    Http,
    Gateway,
}

/// A server, a shop to operate on, and a running midwatch.
pub(crate) struct Story {
    pub(crate) discord: FakeDiscord,
    pub(crate) home: Home,
    pub(crate) bot: Bot,
    pub(crate) shop: Running,
}

/// The shipped commands and runbooks, for the accounts and channels of the fake: Ana is Alice, Bo is Ben, Eve is Cleo, and
/// Kim takes no direct messages.
pub(crate) fn shipped() -> Home {
    let home = Home::shipped();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks");
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (slack, discord) in [
            ("U0ANA", ALICE),
            ("U0BO", BEN),
            ("U0EVE", CLEO),
            ("U0KIM", HERMIT),
        ] {
            text = text.replace(
                &format!("slack: {slack}"),
                &format!("slack: {slack}, discord: \"{discord}\""),
            );
        }
        text = text.replace(
            "channels: [shop, C0SHOP]",
            &format!("channels: [shop, C0SHOP, \"{GENERAL}\", \"{VOICE}\"]"),
        );
        let name = path.file_name().unwrap().to_str().unwrap();
        home.write(&format!("runbooks/{name}"), &text);
    }
    let runbooks = home.path("runbooks");
    home.setting("MIDWATCH_RUNBOOKS", runbooks.display())
}

impl Story {
    pub(crate) async fn begin(door: Door) -> Self {
        Self::begin_with(shipped(), door).await
    }

    pub(crate) async fn begin_with(home: Home, door: Door) -> Self {
        let discord = FakeDiscord::start().await;
        // What three seconds are on a busy machine is not what is told here.
        discord.set_patience(Duration::from_secs(15));
        let shop = Running::start().await;
        shop.shop.warm();
        let home = home
            .setting("DISCORD_TOKEN", BOT_TOKEN)
            .setting("DISCORD_API_URL", discord.api_url())
            .setting("MIDWATCH_SECRET_SHOP_ADMIN", "sample-admin-token")
            .setting("VAR_SHOP_PROD_URL", shop.url())
            .setting("VAR_SHOP_STAGING_URL", shop.url());
        let home = match door {
            Door::Http => home.setting("DISCORD_PUBLIC_KEY", discord.public_key()),
            Door::Gateway => home,
        };
        let bot = home.serve().await;
        if door == Door::Http {
            discord.use_http(&bot.url(""));
        }
        let story = Self {
            discord,
            home,
            bot,
            shop,
        };
        story
            .wait_for("/ops registered", |discord| {
                (!discord.commands(crate::fakes::discord::GUILD).is_empty()).then_some(())
            })
            .await;
        story
    }

    pub(crate) async fn wait_for<T>(
        &self,
        what: &str,
        found: impl Fn(&FakeDiscord) -> Option<T>,
    ) -> T {
        self.discord.wait_for(what, PATIENCE, found).await
    }

    /// Waits until `/readyz` says yes, or no.
    async fn ready(&self, ready: bool) {
        let began = std::time::Instant::now();
        while self.bot.is_ready().await != ready {
            assert!(began.elapsed() < PATIENCE, "not yet ready: {ready}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for the root message that says this.
    pub(crate) async fn root(&self, channel: &str, says: &str) -> Posted {
        let found = |discord: &FakeDiscord| {
            let mut all = discord.messages(channel).into_iter();
            all.find(|it| it.author == BOT_USER && read(it).contains(says))
        };
        self.wait_for(&format!("root with `{says}`"), found).await
    }

    /// Waits until the run's thread has a line with these words; answers all lines.
    pub(crate) async fn thread(&self, root: &Posted, says: &str) -> Vec<String> {
        let found = |discord: &FakeDiscord| {
            let thread = discord.thread_of(&root.id)?;
            let lines: Vec<String> = thread.iter().map(read).collect();
            lines
                .iter()
                .any(|line| line.contains(says))
                .then_some(lines)
        };
        self.wait_for(&format!("line with `{says}`"), found).await
    }

    pub(crate) async fn direct(&self, user: &str, says: &str) -> Posted {
        let found = |discord: &FakeDiscord| {
            let mut all = discord.direct_messages(user).into_iter();
            all.find(|it| it.author == BOT_USER && read(it).contains(says))
        };
        self.wait_for(&format!("direct message with `{says}`"), found)
            .await
    }

    fn roots(&self) -> Vec<Posted> {
        let all = self.discord.messages(GENERAL).into_iter();
        all.filter(|it| it.author == BOT_USER).collect()
    }

    /// Facts of the ledger with this kind.
    pub(crate) fn facts(&self, kind: &str) -> Vec<serde_json::Value> {
        let export = self.home.run(&["ledger", "export"], "");
        let text = String::from_utf8(export.stdout).unwrap();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines
            .map(|line| line["fact"].clone())
            .filter(|fact| fact["kind"] == kind)
            .collect()
    }

    /// Ends the story: the server has nothing to complain of, and the ledger proves itself.
    pub(crate) fn end(self) {
        assert_eq!(self.discord.violations(), Vec::<String>::new());
        assert!(self.bot.stop().success(), "{}", self.home.log());
        let verified = self.home.run(&["ledger", "verify"], "");
        assert!(
            verified.status.success(),
            "{}",
            String::from_utf8_lossy(&verified.stdout)
        );
    }
}

/// A message as a person reads it aloud.
pub(crate) fn read(message: &Posted) -> String {
    message.text().replace(['`', '*', '\\'], "")
}

async fn a_flush_is_told_from_command_to_checkpoint(door: Door) {
    let story = Story::begin(door).await;
    let answered = story
        .discord
        .slash(GENERAL, ALICE, "flush-cache", &[("environment", "prod")])
        .await;
    assert!(
        answered
            .text()
            .contains("told here: https://discord.com/channels/"),
        "{answered:?}"
    );
    let root = story.root(GENERAL, "flush-cache prod succeeded").await;
    assert!(root.edits >= 1, "the root message is edited in place");
    let thread = story.thread(&root, "midwatch/").await;
    let expected = [
        &[
            "Ana Ruiz",
            "asked for",
            "flush-cache prod",
            "allowed by",
            "runbooks/shop.yaml:",
        ][..],
        &["1/3 look", "done: 200 OK", "x-cache: HIT"],
        &["2/3 ban", "done: 200 OK"],
        &["3/3 verify", "done: 200 OK", "x-cache: MISS"],
        &[
            "succeeded in",
            "ref ",
            "/ops cache-status prod",
            "midwatch/",
        ],
    ];
    assert_eq!(thread.len(), expected.len(), "{thread:#?}");
    for (line, parts) in thread.iter().zip(expected) {
        for part in parts {
            assert!(line.contains(part), "`{part}` in {line}");
        }
    }
    assert_eq!(story.shop.shop.requests(), 2, "looked and verified");
    assert_eq!(story.roots().len(), 1);
    story.end();
}

async fn twenty_deliveries_are_one_run(door: Door) {
    let story = Story::begin(door).await;
    let payload =
        story
            .discord
            .slash_payload(GENERAL, ALICE, "flush-cache", &[("environment", "prod")]);
    join_all((0..20).map(|_| story.discord.deliver(&payload))).await;
    let root = story.root(GENERAL, "succeeded").await;
    story.thread(&root, "midwatch/").await;
    assert_eq!(story.roots().len(), 1);
    assert_eq!(story.facts("received").len(), 1);
    assert_eq!(story.facts("decided").len(), 1);
    assert_eq!(story.shop.shop.requests(), 2, "looked and verified once");
    assert!(story.bot.stop().success());
}

async fn consent_is_asked_for_and_given_by_a_button(door: Door) {
    let story = Story::begin(door).await;
    story
        .discord
        .slash(GENERAL, BEN, "flush-cache", &[("environment", "prod")])
        .await;
    let root = story.root(GENERAL, "flush-cache prod").await;
    story.thread(&root, "please look at this").await;
    let ask = story
        .wait_for("the buttons", |discord| {
            let thread = discord.thread_of(&root.id)?;
            thread.into_iter().find(|it| it.text().contains("Approve"))
        })
        .await;
    assert_eq!(ask.pings, [ALICE], "who can consent is asked, nobody else");
    let own = story.discord.click(&ask, "Approve", BEN).await;
    assert!(
        own.text().contains("you asked for this yourself"),
        "{own:?}"
    );
    let other = story.discord.click(&ask, "Approve", HERMIT).await;
    assert!(
        other.text().contains("your consent doesn't count"),
        "{other:?}"
    );
    story.discord.click(&ask, "Approve", ALICE).await;
    story.root(GENERAL, "flush-cache prod succeeded").await;
    let thread = story.thread(&root, "midwatch/").await;
    assert!(
        thread.iter().any(|line| line.contains("Ana Ruiz approved")),
        "{thread:#?}"
    );
    story.end();
}

async fn what_is_missing_is_asked_for_by_a_form(door: Door) {
    let story = Story::begin(door).await;
    let answered = story
        .discord
        .slash(GENERAL, ALICE, "say", &[("text", "flush-cache")])
        .await;
    let Seen::Form(form) = answered.seen else {
        panic!("no form: {answered:?}");
    };
    story
        .discord
        .submit(&form, &[("environment", "prod")])
        .await;
    story.root(GENERAL, "flush-cache prod succeeded").await;
    story.end();
}

async fn refusals_are_for_one_person_alone(door: Door) {
    let story = Story::begin(door).await;
    let denied = story
        .discord
        .slash(GENERAL, CLEO, "flush-cache", &[("environment", "prod")])
        .await;
    assert!(matches!(denied.seen, Seen::Whisper(_)), "{denied:?}");
    assert!(denied.text().contains("is not yours to run"), "{denied:?}");
    let odd = story
        .discord
        .slash(GENERAL, ALICE, "say", &[("text", "flsh-cache prod")])
        .await;
    assert!(odd.text().contains("flush-cache"), "{odd:?}");
    assert_eq!(story.roots().len(), 0);
    story.end();
}

async fn a_command_of_another_kind_is_answered_and_not_put_off(door: Door) {
    let story = Story::begin(door).await;
    let of_a_menu = json!({ "id": "1", "name": "look", "type": 2, "target_id": BEN });
    let odd = story.discord.slash_raw(GENERAL, ALICE, of_a_menu).await;
    assert!(odd.text().contains("nothing was done"), "{odd:?}");
    story.end();
}

async fn what_may_follow_is_what_this_person_may(door: Door) {
    let story = Story::begin(door).await;
    let names = |found: Vec<(String, serde_json::Value)>| -> Vec<String> {
        found.into_iter().map(|(name, _)| name).collect()
    };
    let typed = |user, text| {
        story
            .discord
            .autocomplete(GENERAL, user, "say", &[], ("text", text))
    };
    let found = names(typed(ALICE, "flu").await);
    assert_eq!(found, ["flush-cache"]);
    assert_eq!(
        names(typed(CLEO, "flu").await),
        Vec::<String>::new(),
        "Eve may not"
    );
    assert_eq!(names(typed(STRANGER, "").await), Vec::<String>::new());
    let environments = story
        .discord
        .autocomplete(GENERAL, ALICE, "flush-cache", &[], ("environment", ""))
        .await;
    assert_eq!(names(environments), ["prod", "staging"]);
    story
        .discord
        .slash(GENERAL, BEN, "flush-cache", &[("environment", "prod")])
        .await;
    story.root(GENERAL, "flush-cache prod").await;
    let runs = story
        .discord
        .autocomplete(GENERAL, ALICE, "approve", &[], ("run", ""))
        .await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert!(
        runs[0].0.contains("flush-cache prod") && runs[0].0.contains("bo"),
        "{runs:?}"
    );
    story.end();
}

macro_rules! over_both_doors {
    ($($name:ident)*) => {$(
        mod $name {
            use super::Door;

            #[tokio::test(flavor = "multi_thread")]
            async fn over_http() {
                super::$name(Door::Http).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn over_the_gateway() {
                super::$name(Door::Gateway).await;
            }
        }
    )*};
}

over_both_doors! {
    a_flush_is_told_from_command_to_checkpoint
    twenty_deliveries_are_one_run
    consent_is_asked_for_and_given_by_a_button
    what_is_missing_is_asked_for_by_a_form
    refusals_are_for_one_person_alone
    a_command_of_another_kind_is_answered_and_not_put_off
    what_may_follow_is_what_this_person_may
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_does_not_answer_before_the_form() {
    let story = Story::begin(Door::Gateway).await;
    let text = [("text", "flush-cache")];
    let payload = story.discord.slash_payload(GENERAL, ALICE, "say", &text);
    let both = [&payload, &payload].map(|it| story.discord.deliver(it));
    for answered in join_all(both).await {
        assert!(matches!(answered.seen, Seen::Form(_)), "{answered:?}");
    }
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_a_thread_and_a_direct_message_are_heard() {
    let story = Story::begin(Door::Gateway).await;
    let said = story.discord.mention(GENERAL, ALICE, "cache-status prod");
    let root = story.root(GENERAL, "cache-status prod succeeded").await;
    story.thread(&root, "midwatch/").await;
    story
        .wait_for("the mark", |discord| {
            let said = discord.message(&said.id)?;
            said.reactions
                .iter()
                .any(|(emoji, _)| emoji == "👀")
                .then_some(())
        })
        .await;
    story
        .discord
        .mention(&root.id, ALICE, "flush-cache prod path=/sale");
    let thread = story.thread(&root, "3/3 verify").await;
    assert!(
        thread.len() > 5,
        "in a thread a run is told in place: {thread:#?}"
    );
    story.discord.direct_message(ALICE, "help flush-cache");
    story.direct(ALICE, "Empties").await;
    story.discord.mention(GENERAL, CLEO, "flush-cache prod");
    story.direct(CLEO, "is not yours to run").await;
    story.discord.mention(GENERAL, HERMIT, "help flush-cache");
    story.root(GENERAL, "take no direct messages").await;
    let edited = story.discord.mention(OPS, ALICE, "help");
    story.discord.edit(&edited, "flush-cache shop/prod");
    story.direct(ALICE, "a message that was changed").await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_threads_can_not_be_lines_answer_the_root() {
    let story = Story::begin(Door::Gateway).await;
    story
        .discord
        .deny(GENERAL, permission::CREATE_PUBLIC_THREADS);
    for channel in [GENERAL, VOICE] {
        story
            .discord
            .slash(channel, ALICE, "cache-status", &[("environment", "prod")])
            .await;
        let root = story.root(channel, "cache-status prod succeeded").await;
        let last = story.root(channel, "midwatch/").await;
        assert_eq!(
            last.refers_to.map(|(_, message)| message),
            Some(root.id),
            "{channel}"
        );
    }
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_thread_a_storm_and_a_lost_answer_lose_and_double_nothing() {
    let story = Story::begin(Door::Gateway).await;
    story.discord.refuse_next(2);
    story
        .discord
        .slash(GENERAL, ALICE, "flush-cache", &[("environment", "prod")])
        .await;
    let root = story.root(GENERAL, "flush-cache prod").await;
    story.discord.drop_answer_next(1);
    let thread = story.thread(&root, "midwatch/").await;
    assert_eq!(thread.len(), 5, "{thread:#?}");
    assert_eq!(story.roots().len(), 1);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_was_lost_is_found_although_its_nonce_is_forgotten() {
    let story = Story::begin(Door::Http).await;
    story.discord.set_nonce_window(Duration::ZERO);
    story.discord.drop_answer_next(1);
    story
        .discord
        .slash(GENERAL, ALICE, "flush-cache", &[("environment", "prod")])
        .await;
    let root = story.root(GENERAL, "flush-cache prod succeeded").await;
    story.thread(&root, "midwatch/").await;
    assert_eq!(story.roots().len(), 1);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_is_resumed_and_what_was_said_meanwhile_is_heard() {
    let story = Story::begin(Door::Gateway).await;
    story.discord.cut_gateway();
    story.discord.mention(GENERAL, ALICE, "cache-status prod");
    story.root(GENERAL, "cache-status prod succeeded").await;
    story.discord.forget_sessions();
    story.discord.refuse_resume(true);
    story.discord.cut_gateway();
    story.discord.mention(GENERAL, ALICE, "flush-cache prod");
    story.root(GENERAL, "flush-cache prod succeeded").await;
    assert_eq!(story.facts("decided").len(), 2, "each ran once");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_resumes_a_session_the_gateway_itself_is_asked() {
    let story = Story::begin(Door::Gateway).await;
    let session = story.discord.sessions().remove(0);
    let data = json!({ "session_id": session, "resume_gateway_url": "ws://127.0.0.1:1" });
    let ready = json!({ "op": 0, "t": "READY", "s": 1, "d": data });
    story.discord.send_raw(&ready.to_string());
    story.discord.cut_gateway();
    story.discord.mention(GENERAL, ALICE, "cache-status prod");
    story.root(GENERAL, "cache-status prod succeeded").await;
    assert_eq!(story.discord.resumed(), 1, "it is the same session");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_how_well_the_running_one_hears() {
    let story = Story::begin(Door::Gateway).await;
    let doctor = || {
        let listen = story.bot.address.to_string();
        let mut doctor = story.home.command(&["doctor"]);
        let said = tokio::task::block_in_place(|| doctor.env("MIDWATCH_LISTEN", listen).output());
        let said = said.expect("midwatch starts");
        (
            said.status.code(),
            String::from_utf8(said.stdout).expect("text"),
        )
    };
    let ready = format!(
        "  ok       server     ready at {}; discord: 1 socket is connected",
        story.bot.address
    );
    let (code, well) = doctor();
    assert!(code == Some(0) && well.contains(&ready), "{well}");
    story.discord.shut_gateway(true);
    story.discord.cut_gateway();
    story.ready(false).await;
    let (code, deaf) = doctor();
    assert_eq!(code, Some(1), "{deaf}");
    assert!(deaf.contains("is not ready: discord: "), "{deaf}");
    story.discord.shut_gateway(false);
    story.ready(true).await;
    let (code, again) = doctor();
    let once = format!("{ready}, deaf before that once since the start");
    assert!(code == Some(0) && again.contains(&once), "{again}");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_while_midwatch_was_away_is_heard_when_it_returns() {
    let story = Story::begin(Door::Gateway).await;
    story
        .discord
        .slash(GENERAL, ALICE, "cache-status", &[("environment", "prod")])
        .await;
    story.root(GENERAL, "succeeded").await;
    let Story {
        discord,
        home,
        bot,
        shop,
    } = story;
    assert!(bot.stop().success());
    discord.mention(GENERAL, ALICE, "flush-cache prod");
    let bot = home.serve().await;
    let story = Story {
        discord,
        home,
        bot,
        shop,
    };
    story.root(GENERAL, "flush-cache prod succeeded").await;
    assert_eq!(story.facts("decided").len(), 2, "each ran once");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_discords_own_checks_of_the_address_pass() {
    let story = Story::begin(Door::Http).await;
    assert_eq!(story.discord.ping().await, Ok(()));
    story.end();
}
