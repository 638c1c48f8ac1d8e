//! What is typed while midwatch is away is seen after its return; what changes something and is late is asked for again.

use std::time::Duration;

use super::{ANA, Door, PATIENCE, SHOP, Story, own_files, read};
use crate::fakes::slack::{BOT_USER, FakeSlack, Posted, render};

const HOUR: Duration = Duration::from_secs(3_600);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn mention(text: &str) -> String {
    format!("<@{BOT_USER}> {text}")
}

impl Story {
    /// Kills midwatch and lets this happen; then it comes back, and was away for at least so long.
    async fn away(self, gap: Duration, meanwhile: impl FnOnce(&FakeSlack)) -> Self {
        self.logged("slack: listening in").await;
        let Self {
            slack,
            home,
            bot,
            shop,
        } = self;
        bot.kill9();
        home.away_for(gap).await;
        meanwhile(&slack);
        let bot = home.serve().await;
        slack.use_http(&bot.url(""));
        Self {
            slack,
            home,
            bot,
            shop,
        }
    }

    /// Waits until the log says this.
    async fn logged(&self, says: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.home.log().contains(says) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "no `{says}` in {}",
                self.home.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What people see in this channel, with these words.
    async fn said(&self, channel: &str, says: &str) -> Posted {
        let found = |slack: &FakeSlack| {
            let seen = slack.messages(channel).into_iter();
            let mut ours = seen.filter(|it| it.user == BOT_USER);
            ours.find(|it| read(it).contains(says))
        };
        self.slack
            .wait_for(&format!("message with `{says}`"), PATIENCE, found)
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_while_midwatch_was_away_is_read() {
    let story = Story::begin_with(own_files(), Door::Http).await;
    let direct = story.slack.direct_message(ANA, "help").await.0;
    story.whisper(ANA, "/ops COMMAND").await;
    let thread = story.slack.mention(ANA, SHOP, None, "loud").await;
    story.root("loud succeeded").await;
    let story = story
        .away(5 * HOUR, |slack| {
            slack.give_small_pages(2);
            slack.wrote_before(
                4 * HOUR,
                ANA,
                SHOP,
                None,
                "does anybody know where the coffee is",
            );
            slack.wrote_before(3 * HOUR, ANA, SHOP, None, &mention("loud"));
            slack.wrote_before(2 * HOUR, ANA, SHOP, None, &mention("touch"));
            slack.wrote_before(HOUR, ANA, SHOP, Some(&thread), &mention("runs"));
            slack.wrote_before(secs(50), ANA, &direct, None, "list");
        })
        .await;
    let held = story.root("touch was held: it reached us 2 h").await;
    let read_run = |slack: &FakeSlack| {
        let roots = slack.messages(SHOP).into_iter();
        let runs = roots.filter(|it| it.thread.is_none() && read(it).contains("loud succeeded"));
        (runs.count() == 2).then_some(())
    };
    story
        .slack
        .wait_for("the read command's run", PATIENCE, read_run)
        .await;
    assert!(!story.home.path("touched").exists(), "nothing has run");
    // A button pressed an hour ago is as late as a word.
    let press = story.slack.click_delivery(ANA, &held, "Run it now");
    story
        .slack
        .deliver(&story.slack.pressed_before(HOUR, press))
        .await;
    story
        .whisper(ANA, "touch was held: it reached us 1 h")
        .await;
    assert!(!story.home.path("touched").exists(), "nothing has run");
    story.slack.click(ANA, &held, "Run it now").await;
    story.root("touch succeeded").await;
    let answered = story.facts("answered");
    let answered: Vec<&str> = answered
        .iter()
        .map(|it| it["question"].as_str().unwrap())
        .collect();
    assert_eq!(answered, ["help", "runs", "list"]);
    assert_eq!(story.facts("received").len(), 2 + 4 + 2);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_while_no_socket_was_open_is_read() {
    let story = Story::begin_with(own_files(), Door::Sockets).await;
    story.slack.send_away(Some("too_many_websockets"));
    story.slack.cut_sockets();
    story
        .slack
        .wrote_before(secs(0), ANA, SHOP, None, &mention("touch"));
    assert_eq!(
        story.slack.slash(ANA, SHOP, "touch").await.status,
        0,
        "Slack says that nobody hears"
    );
    assert!(!story.home.path("touched").exists());
    story.slack.send_away(None);
    story.root("touch succeeded").await;
    assert_eq!(story.facts("received").len(), 1);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_cancellation_is_asked_for_again() {
    let story = Story::begin_with(own_files(), Door::Http).await;
    story.slack.slash(ANA, SHOP, "slow").await;
    let root = story.root("Cancel").await;
    let reference = read(&root).split("ref ").nth(1).unwrap()[..4].to_owned();
    let cancel = mention(&format!("cancel {reference}"));
    let story = story
        .away(secs(0), |slack| {
            slack.wrote_before(secs(90), ANA, SHOP, Some(&root.ts), &cancel);
        })
        .await;
    let held = story.said(SHOP, "reached us 1 m").await;
    assert_eq!(held.thread.as_deref(), Some(root.ts.as_str()));
    assert!(render(&held).contains("[Do it now]"), "{}", render(&held));
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_longer_than_a_day_is_read_in_part_and_that_is_said() {
    let story = Story::begin_with(own_files(), Door::Http).await;
    let story = story
        .away(72 * HOUR, |slack| {
            slack.wrote_before(30 * HOUR, ANA, SHOP, None, &mention("loud"));
            slack.wrote_before(20 * HOUR, ANA, "C0OTHER", None, &mention("touch"));
        })
        .await;
    story.said("C0OTHER", "touch was held").await;
    let said = story.said(SHOP, "read only the newest part").await;
    assert!(read(&said).contains("type it again"), "{}", read(&said));
    assert_eq!(story.facts("received").len(), 1);
    let others = story.slack.messages("C0OTHER");
    assert!(others.iter().all(|it| !read(it).contains("newest part")));
    story.logged("only a part").await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_may_not_read_serves_all_the_same() {
    let story = Story::begin_with(own_files(), Door::Http).await;
    let story = story
        .away(HOUR, |slack| {
            slack.take_scope("groups:read");
            slack.wrote_before(secs(60), ANA, SHOP, None, &mention("loud"));
        })
        .await;
    story.logged("missing_scope").await;
    story.slack.slash(ANA, SHOP, "touch").await;
    story.root("touch succeeded").await;
    assert_eq!(story.facts("received").len(), 1);
    story.end_with(&["users.conversations: missing_scope"]);
}
