//! Stories on Slack, over both doors: text in, thread out. The real program against a workspace with state and rules.

mod gap;
mod mirror;
mod pages;
mod people;

use std::time::Duration;

use crate::bot::{Bot, Home};
use crate::fakes::slack::{APP_TOKEN, BOT_TOKEN, FakeSlack, Kind, Posted, SIGNING_SECRET, render};
use crate::sample_shop::Running;

const ANA: &str = "U0ANA";
const BO: &str = "U0BO";
pub(crate) const SHOP: &str = "C0SHOP";
const PATIENCE: Duration = Duration::from_secs(20);

/// Which way Slack tells us things.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Door {
    Http,
    Sockets,
}

/// A workspace, a shop to operate on, and a running midwatch.
pub(crate) struct Story {
    pub(crate) slack: FakeSlack,
    pub(crate) home: Home,
    pub(crate) bot: Bot,
    pub(crate) shop: Running,
}

/// A message as a person reads it aloud.
fn read(message: &Posted) -> String {
    render(message).replace('`', "")
}

impl Story {
    /// With the shipped commands and runbooks.
    pub(crate) async fn begin(door: Door) -> Self {
        Self::begin_with(Home::shipped(), door).await
    }

    async fn begin_with(home: Home, door: Door) -> Self {
        Self::begin_told(home, door, |_| ()).await
    }

    /// The workspace is made what it is before midwatch starts.
    pub(crate) async fn begin_told(home: Home, door: Door, tell: impl FnOnce(&FakeSlack)) -> Self {
        let slack = FakeSlack::start().await;
        tell(&slack);
        for channel in [SHOP, "C0OTHER"] {
            slack.add_channel(channel, true);
        }
        let shop = Running::start().await;
        shop.shop.warm();
        let home = home
            .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
            .setting("SLACK_API_URL", slack.api_url())
            .setting("MIDWATCH_SECRET_SHOP_ADMIN", "sample-admin-token")
            .setting("VAR_SHOP_PROD_URL", shop.url())
            .setting("VAR_SHOP_STAGING_URL", shop.url());
        let home = match door {
            Door::Http => home.setting("SLACK_SIGNING_SECRET", SIGNING_SECRET),
            Door::Sockets => home.setting("SLACK_APP_TOKEN", APP_TOKEN),
        };
        let bot = home.serve().await;
        if door == Door::Http {
            slack.use_http(&bot.url(""));
        }
        Self {
            slack,
            home,
            bot,
            shop,
        }
    }

    /// Waits for the root message of the only run in the channel, in its final state.
    async fn root(&self, says: &str) -> Posted {
        let found = |slack: &FakeSlack| {
            slack
                .messages(SHOP)
                .into_iter()
                .find(|it| it.thread.is_none() && read(it).contains(says))
        };
        self.slack
            .wait_for(&format!("root with `{says}`"), PATIENCE, found)
            .await
    }

    /// Waits until the thread has a line with these words.
    async fn line(&self, root: &Posted, says: &str) -> String {
        let found = |slack: &FakeSlack| {
            slack
                .thread(SHOP, &root.ts)
                .into_iter()
                .skip(1)
                .find(|line| line.contains(says))
        };
        self.slack
            .wait_for(&format!("line with `{says}`"), PATIENCE, found)
            .await
    }

    async fn whisper(&self, user: &str, says: &str) -> Posted {
        let found = |slack: &FakeSlack| {
            slack
                .whispers(user)
                .into_iter()
                .find(|it| read(it).contains(says))
        };
        self.slack
            .wait_for(&format!("whisper with `{says}`"), PATIENCE, found)
            .await
    }

    /// Root messages in the channel: one for each run.
    fn roots(&self) -> Vec<Posted> {
        self.slack
            .messages(SHOP)
            .into_iter()
            .filter(|it| it.thread.is_none() && it.user == crate::fakes::slack::BOT_USER)
            .collect()
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

    /// Ends the story: the workspace has nothing to complain of, and the ledger proves itself.
    pub(crate) fn end(self) {
        self.end_with(&[]);
    }

    /// Ends the story, of which the workspace complained of just this, once or more often: calls that it refuses are made
    /// again, and when is the bot's affair.
    fn end_with(self, complaints: &[&str]) {
        assert!(self.bot.stop().success(), "{}", self.home.log());
        let mut found = self.slack.violations();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, complaints);
        let verified = self.home.run(&["ledger", "verify"], "");
        assert!(
            verified.status.success(),
            "{}",
            String::from_utf8_lossy(&verified.stdout)
        );
    }
}

async fn a_flush_is_told_from_command_to_checkpoint(door: Door) {
    let story = Story::begin(door).await;
    let ack = story.slack.slash(ANA, SHOP, "flush-cache prod").await;
    assert_eq!((ack.status, ack.body.as_str()), (200, ""));
    let root = story.root("succeeded").await;
    assert!(
        render(&root).contains("flush-cache prod"),
        "{}",
        render(&root)
    );
    assert!(root.edits >= 1, "the root message is edited in place");
    story.line(&root, "succeeded in").await;
    let thread = story.slack.thread(SHOP, &root.ts);
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
    assert_eq!(thread.len(), expected.len() + 1, "{thread:#?}");
    for (line, parts) in thread.iter().skip(1).zip(expected) {
        for part in parts {
            assert!(line.contains(part), "`{part}` in {line}");
        }
    }
    // The checkpoint in the thread is a witness: the ledger is verified against it.
    let last = thread.last().unwrap();
    let note = last
        .lines()
        .skip_while(|line| !line.trim().starts_with("midwatch/"))
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("\n");
    story.home.write("witness", &format!("{note}\n"));
    let witness = story.home.path("witness");
    let verified = story.home.run(
        &[
            "ledger",
            "verify",
            "--checkpoint",
            witness.to_str().unwrap(),
        ],
        "",
    );
    assert!(
        verified.status.success(),
        "{}\n{note}",
        String::from_utf8_lossy(&verified.stdout)
    );
    assert_eq!(story.shop.shop.requests(), 2, "looked and verified");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_flush_is_told_from_command_to_checkpoint() {
    a_flush_is_told_from_command_to_checkpoint(Door::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_sockets_a_flush_is_told_from_command_to_checkpoint() {
    a_flush_is_told_from_command_to_checkpoint(Door::Sockets).await;
}

async fn twenty_deliveries_are_one_run(door: Door) {
    let story = Story::begin(door).await;
    if door == Door::Sockets {
        story
            .slack
            .wait_for("two sockets", PATIENCE, |slack| {
                (slack.sockets_opened() >= 2).then_some(())
            })
            .await;
    }
    let delivery = story.slack.slash_delivery(ANA, SHOP, "flush-cache prod");
    let all = (0..20).map(|_| story.slack.deliver(&delivery));
    for ack in futures_util::future::join_all(all).await {
        assert_eq!(ack.status, 200);
    }
    let root = story.root("succeeded").await;
    story.line(&root, "succeeded in").await;
    assert_eq!(story.roots().len(), 1);
    assert_eq!(story.facts("received").len(), 1);
    assert_eq!(story.facts("decided").len(), 1);
    assert_eq!(story.shop.shop.requests(), 2, "looked and verified once");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_twenty_deliveries_are_one_run() {
    twenty_deliveries_are_one_run(Door::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_both_sockets_twenty_deliveries_are_one_run() {
    twenty_deliveries_are_one_run(Door::Sockets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_429_and_a_cut_socket_leave_the_right_thread() {
    let story = Story::begin(Door::Sockets).await;
    story.slack.keep_pace(true);
    story.slack.refuse_next(3);
    story.slack.slash(ANA, SHOP, "flush-cache prod").await;
    story.slack.cut_sockets();
    let root = story.root("succeeded").await;
    story.slack.drop_answer_next(1);
    story.line(&root, "midwatch/").await;
    let thread = story.slack.thread(SHOP, &root.ts);
    assert_eq!(thread.len(), 6, "nothing is lost or doubled: {thread:#?}");
    let order: Vec<bool> = thread
        .iter()
        .skip(2)
        .zip(["1/3", "2/3", "3/3"])
        .map(|(line, part)| line.contains(part))
        .collect();
    assert_eq!(order, [true; 3], "{thread:#?}");
    assert_eq!(story.roots().len(), 1);
    // The cut sockets are replaced, and hear.
    story.slack.slash(ANA, SHOP, "cache-status prod").await;
    story.root("cache-status prod succeeded").await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_in_a_channel_and_in_a_thread_and_a_direct_message_are_heard() {
    let story = Story::begin(Door::Http).await;
    let written = story
        .slack
        .mention(ANA, SHOP, None, "cache-status prod")
        .await;
    let root = story.root("cache-status prod succeeded").await;
    assert_eq!(root.thread, None);
    let inside = story
        .slack
        .mention(ANA, SHOP, Some(&written), "flush-cache prod path=/sale")
        .await;
    assert_ne!(inside, written);
    let said_in_thread = |slack: &FakeSlack| {
        let thread = slack.thread(SHOP, &written);
        thread
            .iter()
            .any(|line| line.contains("midwatch/"))
            .then_some(thread)
    };
    let thread = story
        .slack
        .wait_for("the run in its thread", PATIENCE, said_in_thread)
        .await;
    assert!(
        thread
            .iter()
            .any(|line| line.contains("`flush-cache prod` succeeded")),
        "{thread:#?}"
    );
    let (channel, _) = story.slack.direct_message(ANA, "help flush-cache").await;
    let help = |slack: &FakeSlack| {
        let whispers = slack
            .whispers(ANA)
            .into_iter()
            .filter(|it| it.channel == channel);
        whispers
            .chain(slack.messages(&channel))
            .find(|it| render(it).contains("Empties"))
    };
    story.slack.wait_for("the help", PATIENCE, help).await;
    assert_eq!(
        story.facts("decided").len(),
        2,
        "each mention came as two events and ran once"
    );
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_arguments_are_asked_for_by_a_form() {
    let story = Story::begin(Door::Http).await;
    story.slack.slash(ANA, SHOP, "flush-cache").await;
    let form = story
        .slack
        .wait_for("a form", PATIENCE, |slack| slack.forms().into_iter().next())
        .await;
    assert!(
        form.view.to_string().contains("environment"),
        "{}",
        form.view
    );
    let ack = story.slack.submit(&form, &[("environment", "prod")]).await;
    assert_eq!(ack.status, 200);
    story.root("flush-cache prod succeeded").await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_is_asked_for_given_by_a_button_and_never_by_the_requester() {
    let story = Story::begin(Door::Http).await;
    story.slack.slash(BO, SHOP, "flush-cache prod").await;
    let root = story.root("waits for 1 approval of team-shop").await;
    story.slack.click(BO, &root, "Approve").await;
    story.whisper(BO, "you asked for this yourself").await;
    story.slack.click("U0KIM", &root, "Approve").await;
    story.whisper("U0KIM", "your consent doesn't count").await;
    assert_eq!(story.shop.shop.requests(), 0, "nothing has run");
    story.slack.click(ANA, &root, "Approve").await;
    story.line(&root, "Ana Ruiz approved").await;
    story.line(&root, "midwatch/").await;
    assert_eq!(story.shop.shop.requests(), 2);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_run_does_nothing() {
    let story = Story::begin(Door::Http).await;
    story.slack.slash(BO, SHOP, "flush-cache prod").await;
    let root = story.root("waits for 1 approval").await;
    story.slack.click(ANA, &root, "Reject").await;
    story.line(&root, "Ana Ruiz rejected it").await;
    story.root("was cancelled").await;
    assert_eq!(story.shop.shop.requests(), 0);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_names_line_route_and_next_step_and_only_its_reader_sees_it() {
    let story = Story::begin(Door::Http).await;
    story.slack.slash("U0EVE", SHOP, "flush-cache prod").await;
    let denial = story.whisper("U0EVE", "is not yours to run").await;
    let text = render(&denial);
    for part in [
        "runbooks/shop.yaml:",
        "team-shop",
        "Ana Ruiz",
        "#shop-help",
        "on call now",
    ] {
        assert!(text.contains(part), "`{part}` in {text}");
    }
    assert!(story.roots().is_empty());
    let decided = story.facts("decided");
    assert_eq!(decided.len(), 1);
    assert!(decided[0]["run"].is_null());
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_a_bot_and_an_edited_message_are_refused_and_recorded() {
    let story = Story::begin(Door::Http).await;
    story
        .slack
        .slash("U0NOBODY", SHOP, "flush-cache prod")
        .await;
    story.whisper("U0NOBODY", "people.yaml").await;
    story.slack.bot_mention(SHOP, "flush-cache prod").await;
    let ts = story.slack.mention(ANA, SHOP, None, "help").await;
    story.whisper(ANA, "/ops COMMAND").await;
    story
        .slack
        .edit_message(SHOP, &ts, "flush-cache prod")
        .await;
    story.whisper(ANA, "a message that was changed").await;
    let refused: Vec<String> = story
        .facts("refused")
        .iter()
        .map(|fact| fact["refusal"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(refused, ["stranger", "bot", "edited"]);
    assert_eq!(story.shop.shop.requests(), 0);
    assert!(story.roots().is_empty());
    story.end();
}

/// Commands of the story's own: a slow one, a loud one.
fn own_files() -> Home {
    Home::of_files(&[
        (
            "commands/slow.yaml",
            "command: slow\ndoes: Takes its time.\nrisk: low\nsteps:\n  - { name: first, run: [echo, begun], effect: read }\n  - { name: second, run: [sleep, \"30\"], effect: once, timeout: 60s }\n",
        ),
        (
            "commands/loud.yaml",
            "command: loud\ndoes: Says a lot.\nrisk: low\nsteps:\n  - { name: count, run: [seq, \"1\", \"3000\"], effect: read }\n",
        ),
        (
            "commands/touch.yaml",
            "command: touch\ndoes: Touches a file.\nrisk: low\nsteps:\n  - { name: touch, run: [touch, touched], effect: idempotent }\n",
        ),
        (
            "runbooks/people.yaml",
            "people:\n  ana: { name: Ana Ruiz, slack: U0ANA }\ngroups:\n  team: [ana]\n",
        ),
        (
            "runbooks/shop.yaml",
            "project: shop\nabout: A shop.\nowner: team\nchannels: [C0SHOP]\nrules:\n  - { may: everything, who: team }\n  - otherwise: ask ana\n",
        ),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cancelled_by_its_button_in_the_middle_of_a_step() {
    let story = Story::begin_with(own_files(), Door::Http).await;
    story.slack.slash(ANA, SHOP, "slow").await;
    let root = story.root("step 2 of 2").await;
    story.slack.click(ANA, &root, "Cancel").await;
    story.root("was cancelled after 1 of 2 steps").await;
    let stopped = story.line(&root, "was stopped midway").await;
    assert!(stopped.contains("2/2 second"), "{stopped}");
    story.line(&root, "midwatch/").await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn long_output_is_head_tail_and_a_file() {
    let story = Story::begin_with(own_files(), Door::Http).await;
    story.slack.slash(ANA, SHOP, "loud").await;
    let root = story.root("succeeded").await;
    let line = story.line(&root, "lines left out").await;
    assert!(
        line.contains("3000") && line.contains("\n1\n") | line.contains("1\n2\n"),
        "{line}"
    );
    let file = |slack: &FakeSlack| {
        slack
            .messages(SHOP)
            .into_iter()
            .flat_map(|it| it.files)
            .next()
    };
    let (_, text) = story.slack.wait_for("the file", PATIENCE, file).await;
    assert_eq!(text.lines().count(), 3000);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_arrives_late_is_asked_for_again_by_a_button() {
    let story = Story::begin_with(own_files(), Door::Http).await;
    let two_minutes_ago = midwatch::clock::Clock::system().now().as_second() - 120;
    let event = serde_json::json!({
        "type": "app_mention", "user": ANA, "channel": SHOP, "channel_type": "channel", "team": "T1",
        "text": format!("<@{}> touch", crate::fakes::slack::BOT_USER), "ts": format!("{two_minutes_ago}.000100"),
    });
    let payload = serde_json::json!({
        "type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "EvLATE",
        "event_time": two_minutes_ago, "event": event,
    });
    story
        .slack
        .deliver(&crate::fakes::slack::Delivery {
            kind: Kind::Event,
            payload,
        })
        .await;
    let held = story.root("was held: it reached us").await;
    assert!(render(&held).contains("<@U0ANA>"), "Ana is asked");
    assert!(!story.home.path("touched").exists(), "nothing has run");
    story.slack.click(ANA, &held, "Run it now").await;
    story.root("touch succeeded").await;
    assert!(story.home.path("touched").exists());
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_no_line_and_doubles_none() {
    let story = Story::begin(Door::Http).await;
    story.slack.fail_next(1_000);
    story.slack.slash(ANA, SHOP, "flush-cache prod").await;
    let finished = || story.home.run(&["ledger", "export"], "").stdout;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !String::from_utf8_lossy(&finished()).contains("\"event\":\"finished\"") {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the run does not end: {}",
            story.home.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let Story {
        slack,
        home,
        bot,
        shop,
    } = story;
    bot.kill9();
    slack.fail_next(0);
    let bot = home.serve().await;
    slack.use_http(&bot.url(""));
    let story = Story {
        slack,
        home,
        bot,
        shop,
    };
    let root = story.root("succeeded").await;
    story.line(&root, "midwatch/").await;
    let thread = story.slack.thread(SHOP, &root.ts);
    assert_eq!(thread.len(), 6, "{thread:#?}");
    assert_eq!(story.roots().len(), 1);
    story.end();
}
