//! A run's thread in a second channel: followed, approved and cancelled there, over restarts; each place a witness.

use std::time::{Duration, Instant};

use super::{ANA, BO, Door, PATIENCE, SHOP, Story, read};
use crate::bot::Home;
use crate::fakes::slack::{BOT_USER, FakeSlack, Posted, render};

/// The channel that is mirrored to, and another.
const OPS: &str = "C0OTHER";
const LATER: &str = "C1";

const GUILD: &str = "81384788765712384/381870553235193857";

fn runbook(mirrors: &str) -> String {
    format!(
        "project: shop
about: A shop.
owner: team
channels: [C0SHOP]
mirrors: [{mirrors}]
rules:
  - {{ may: everything, who: team }}
  - {{ may: everything, who: engineering, after: {{ of: team }} }}
  - otherwise: ask ana
"
    )
}

fn files(mirrors: &str) -> Home {
    let login = crate::cli_story::account();
    let people = format!(
        "people:
  ana: {{ name: Ana Ruiz, slack: U0ANA, login: {login} }}
  cy: {{ name: Cy Park, discord: \"80351110224678912\" }}
  bo: {{ name: Bo Lind, slack: U0BO }}
  eve: {{ name: Eve Stone, slack: U0EVE }}
groups: {{ team: [ana, cy], engineering: [bo] }}
"
    );
    Home::of_files(&[
        (
            "commands/slow.yaml",
            "command: slow\ndoes: Takes its time.\nrisk: low\nsteps:\n  - { name: first, run: [echo, begun], effect: read }\n  - { name: second, run: [sleep, \"60\"], effect: once, timeout: 90s }\n",
        ),
        (
            "commands/touch.yaml",
            "command: touch\ndoes: Touches a file.\nrisk: low\nsteps:\n  - { name: touch, run: [touch, touched], effect: idempotent }\n",
        ),
        (
            "commands/loud.yaml",
            "command: loud\ndoes: Says a lot.\nrisk: low\nsteps:\n  - { name: count, run: [seq, \"1\", \"3000\"], effect: read }\n",
        ),
        ("runbooks/people.yaml", &people),
        ("runbooks/shop.yaml", &runbook(mirrors)),
    ])
}

impl Story {
    async fn mirrored(mirrors: &str) -> Self {
        let story = Self::begin_with(files(mirrors), Door::Http).await;
        story.slack.add_channel(LATER, true);
        story
    }

    /// A root of ours in this channel.
    async fn root_in(&self, channel: &str, says: &str) -> Posted {
        let found = |slack: &FakeSlack| {
            let messages = slack.messages(channel).into_iter();
            let mut roots = messages.filter(|it| it.thread.is_none() && it.user == BOT_USER);
            roots.find(|it| read(it).contains(says))
        };
        let what = format!("root with `{says}` in {channel}");
        self.slack.wait_for(&what, PATIENCE, found).await
    }

    /// A root's thread, once it has its last line: what we said there, without the root.
    async fn whole_thread(&self, channel: &str, root: &Posted) -> Vec<String> {
        let found = |slack: &FakeSlack| {
            let messages = slack.messages(channel).into_iter();
            let ours = messages
                .filter(|it| it.user == BOT_USER && it.thread.as_deref() == Some(&root.ts))
                .filter(|it| it.files.is_empty());
            let lines: Vec<String> = ours.map(|it| render(&it)).collect();
            let last = lines.last().is_some_and(|line| line.contains("midwatch/"));
            last.then_some(lines)
        };
        let what = format!("last line in {channel}");
        self.slack.wait_for(&what, PATIENCE, found).await
    }

    /// How many of our roots stand in a channel.
    fn count_roots(&self, channel: &str) -> usize {
        let messages = self.slack.messages(channel).into_iter();
        let roots = messages.filter(|it| it.thread.is_none() && it.user == BOT_USER);
        roots.count()
    }

    async fn restarted(self) -> Self {
        let Self {
            slack,
            home,
            bot,
            shop,
        } = self;
        bot.kill9();
        let bot = home.serve().await;
        slack.use_http(&bot.url(""));
        Self {
            slack,
            home,
            bot,
            shop,
        }
    }

    /// What `midwatch` says, and whether it is content.
    fn told(&self, arguments: &[&str]) -> (bool, String) {
        let ended = self.home.run(arguments, "");
        let all = [ended.stdout, ended.stderr].concat();
        (
            ended.status.success(),
            String::from_utf8_lossy(&all).into_owned(),
        )
    }
}

fn reference(root: &Posted) -> String {
    let text = read(root);
    let (_, rest) = text.split_once("ref ").unwrap();
    rest.chars().take(4).collect()
}

/// The checkpoint of a thread's last line.
fn note(thread: &[String]) -> String {
    let last = thread.last().unwrap().lines().map(str::trim);
    let note = last.skip_while(|line| !line.starts_with("midwatch/"));
    let lines: Vec<&str> = note.take_while(|line| !line.starts_with("```")).collect();
    format!("{}\n", lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_approved_from_its_mirror_over_restarts_and_each_thread_is_a_witness() {
    let mirrors = format!("{{ slack: T1/{OPS} }}, {{ discord: \"{GUILD}\" }}");
    let story = Story::mirrored(&mirrors).await;
    story.slack.slash(BO, SHOP, "touch").await;
    let root = story.root_in(SHOP, "waits for 1 approval of team").await;
    let mirror = story.root_in(OPS, "waits for 1 approval of team").await;
    assert_eq!(reference(&root), reference(&mirror));
    let began = "began: on Slack in C0SHOP, by Bo Lind; this thread mirrors the one there";
    assert!(read(&mirror).contains(began), "{}", read(&mirror));
    assert!(!read(&root).contains("began:"), "{}", read(&root));
    let (exported, older) = story.told(&["ledger", "export"]);
    assert!(exported, "{older}");

    let story = story.restarted().await;
    story.slack.click(ANA, &mirror, "Approve").await;
    story.root_in(OPS, "touch succeeded").await;
    let story = story.restarted().await;
    let there = story.whole_thread(SHOP, &root).await;
    let here = story.whole_thread(OPS, &mirror).await;
    assert_eq!(there, here, "each line once in each place");
    assert_eq!(here.len(), 6, "{here:#?}");
    assert_eq!((story.count_roots(SHOP), story.count_roots(OPS)), (1, 1));
    story.root("touch succeeded").await;
    // Who may consent is asked in both places; who has no account there is named.
    let pings = |line: &&String| line.contains("<@");
    let asked: Vec<&String> = here.iter().filter(pings).collect();
    assert_eq!(asked.len(), 1, "{here:#?}");
    assert!(asked[0].contains("<@U0ANA>, @Cy Park"), "{}", asked[0]);
    assert!(!render(&mirror).contains("<@"), "{}", render(&mirror));

    // The mirror's checkpoint alone proves the ledger, and gives away one that ends before it.
    story.home.write("witness", &note(&here));
    story.home.write("older", &older);
    let (witness, export) = (story.home.path("witness"), story.home.path("older"));
    let (witness, export) = (witness.to_str().unwrap(), export.to_str().unwrap());
    let (sound, said) = story.told(&["ledger", "verify", "--checkpoint", witness]);
    assert!(sound, "{said}");
    let (sound, said) = story.told(&["ledger", "verify", export]);
    assert!(sound, "by itself it is whole: {said}");
    let (sound, said) = story.told(&["ledger", "verify", export, "--checkpoint", witness]);
    assert!(!sound && said.contains("cut off or removed"), "{said}");

    // Nobody delivers to Discord here: that is said, and nothing waits for it.
    let left_out = "the threads of shop are not mirrored on discord: it is not configured here";
    assert!(story.home.log().contains(left_out), "{}", story.home.log());
    let (_, doctor) = story.told(&["doctor"]);
    assert!(doctor.contains(left_out), "{doctor}");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(story.home.path("data/midwatch.db"))
        .read_only(true);
    let mut db = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let waiting = "select count(*) from outbox where platform = 'discord'";
    let waiting: i64 = sqlx::query_scalar(waiting)
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(waiting, 0);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cancelled_in_its_mirror_although_the_runbook_has_changed_meanwhile() {
    let story = Story::mirrored(&format!("{{ slack: T1/{OPS} }}")).await;
    story.slack.slash(ANA, SHOP, "slow").await;
    let root = story.root_in(SHOP, "step 2 of 2").await;
    let mirror = story.root_in(OPS, "step 2 of 2").await;
    let runbook = runbook(&format!("{{ slack: T1/{LATER} }}"));
    story.home.write("runbooks/shop.yaml", &runbook);
    let began = Instant::now();
    while !story.home.log().contains("the changed files are in force") {
        assert!(began.elapsed() < PATIENCE, "{}", story.home.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Who may not is told where they typed it.
    let cancel = format!("cancel {}", reference(&mirror));
    let thread = Some(mirror.ts.as_str());
    story.slack.mention("U0EVE", OPS, thread, &cancel).await;
    let refused = story.whisper("U0EVE", "is not yours to cancel").await;
    assert_eq!(
        (refused.channel.as_str(), refused.thread.as_deref()),
        (OPS, thread)
    );
    story.slack.mention(ANA, OPS, thread, &cancel).await;
    story.root_in(OPS, "was cancelled after 1 of 2 steps").await;
    let there = story.whole_thread(SHOP, &root).await;
    let here = story.whole_thread(OPS, &mirror).await;
    assert_eq!(there, here);
    assert!(
        here.iter().any(|line| line.contains("cancels")),
        "{here:#?}"
    );
    assert!(story.slack.whispers(ANA).is_empty(), "the thread says it");
    assert_eq!(story.count_roots(LATER), 0, "a reload moves no thread");
    // What begins now is told where the runbook says now.
    story.slack.slash(ANA, SHOP, "loud").await;
    let loud = story.root_in(LATER, "loud succeeded").await;
    let lines = story.whole_thread(LATER, &loud).await;
    assert!(lines.iter().any(|line| line.contains("lines left out")));
    for channel in [SHOP, LATER] {
        let file = |slack: &FakeSlack| {
            let messages = slack.messages(channel).into_iter();
            messages.flat_map(|it| it.files).next()
        };
        let (_, text) = story.slack.wait_for("the file", PATIENCE, file).await;
        assert_eq!(text.lines().count(), 3000, "{channel}");
    }
    assert_eq!(story.count_roots(OPS), 1);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_in_the_mirror_is_not_told_there_twice() {
    let story = Story::mirrored(&format!("{{ slack: T1/{OPS} }}")).await;
    story.slack.slash(ANA, OPS, "touch").await;
    let root = story.root_in(OPS, "touch succeeded").await;
    let thread = story.whole_thread(OPS, &root).await;
    assert_eq!(thread.len(), 3, "{thread:#?}");
    assert_eq!((story.count_roots(OPS), story.count_roots(SHOP)), (1, 0));
    assert!(!read(&root).contains("began:"), "{}", read(&root));
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_approved_and_cancelled_from_where_it_is_not_told() {
    let story = Story::mirrored(&format!("{{ slack: T1/{OPS} }}")).await;
    story.slack.slash(BO, SHOP, "slow").await;
    let waits = story.root_in(SHOP, "waits for 1 approval").await;
    let reference = reference(&waits);
    // In a channel that knows nothing of it.
    story
        .slack
        .slash(ANA, LATER, &format!("approve {reference}"))
        .await;
    let told = format!("you approved slow · ref {reference}; its thread is on Slack in C0SHOP");
    let whisper = story.whisper(ANA, &told).await;
    assert_eq!(whisper.channel, LATER);
    story.root_in(OPS, "step 2 of 2").await;
    // At the console, while no server runs; the step goes on under its supervisor until then.
    let Story {
        slack,
        home,
        bot,
        shop,
    } = story;
    bot.kill9();
    let cancelled = home.run(&["run", &format!("cancel {reference}")], "");
    let said = String::from_utf8_lossy(&cancelled.stdout).into_owned();
    assert!(cancelled.status.success(), "{said}");
    let told = format!("you cancelled slow · ref {reference}; its thread is on Slack in C0SHOP");
    assert!(said.replace('`', "").contains(&told), "{said}");
    let bot = home.serve().await;
    slack.use_http(&bot.url(""));
    let story = Story {
        slack,
        home,
        bot,
        shop,
    };
    let mirror = story.root_in(OPS, "was cancelled after 1 of 2").await;
    let here = story.whole_thread(OPS, &mirror).await;
    assert_eq!(here, story.whole_thread(SHOP, &waits).await);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_console_is_followed_in_its_mirror() {
    let story = Story::mirrored(&format!("{{ slack: T1/{OPS} }}")).await;
    let Story {
        slack,
        home,
        bot,
        shop,
    } = story;
    assert!(bot.stop().success());
    let ran = home.run(&["run", "loud"], "");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}");
    // There output is shown as it is printed, and in the mirror when its step has ended.
    assert!(
        said.contains("\n1500\n") || said.contains(" 1500\n"),
        "{said}"
    );
    let bot = home.serve().await;
    slack.use_http(&bot.url(""));
    let story = Story {
        slack,
        home,
        bot,
        shop,
    };
    let mirror = story.root_in(OPS, "loud succeeded").await;
    let began = "began: at the console, by Ana Ruiz; this thread mirrors the one there";
    assert!(read(&mirror).contains(began), "{}", read(&mirror));
    let here = story.whole_thread(OPS, &mirror).await;
    assert_eq!(here.len(), 3, "{here:#?}");
    assert!(here[1].contains("lines left out"), "{}", here[1]);
    story.end();
}
