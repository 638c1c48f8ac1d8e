//! The story on Slack, over sockets.

use async_trait::async_trait;
use tokio::task::block_in_place;

use super::{Night, PATIENCE, Visited, Who, files, has_all, three_in_the_morning};
use crate::fakes::slack::{BOT_USER, FakeSlack, Posted, render};
use crate::slack_story::{Door, SHOP, Story};

#[tokio::test(flavor = "multi_thread")]
async fn on_slack_a_stranger_flushes_a_real_varnish_at_three_in_the_morning() {
    let Some(visited) = Visited::open().await else {
        return;
    };
    let story = Story::begin_told(files(&visited.varnish), Door::Sockets, |_| ()).await;
    let mut night = Slack { story };
    three_in_the_morning(&mut night, &visited).await;
    night.story.end();
}

struct Slack {
    story: Story,
}

fn account(who: Who) -> &'static str {
    match who {
        Who::Eve => "U0EVE",
        Who::Bo => "U0BO",
        Who::Kim => "U0KIM",
        Who::Dana => "U0DANA",
    }
}

fn read(message: &Posted) -> String {
    render(message).replace('`', "")
}

impl Slack {
    /// Waits for one of these messages that has all of these words.
    async fn found(
        &self,
        whose: &str,
        says: &[&str],
        all: impl Fn(&FakeSlack) -> Vec<Posted>,
    ) -> Posted {
        let found = |slack: &FakeSlack| {
            let mut ours = all(slack).into_iter().rev();
            ours.find(|it| it.user == BOT_USER && has_all(&read(it), says))
        };
        let what = format!("{says:?} {whose}");
        self.story.slack.wait_for(&what, PATIENCE, found).await
    }
}

#[async_trait]
impl Night for Slack {
    async fn says(&mut self, who: Who, text: &str) {
        self.story.slack.slash(account(who), SHOP, text).await;
    }

    async fn seen(&mut self, says: &[&str]) -> String {
        let found = self.found("for everybody", says, |slack| slack.messages(SHOP));
        read(&found.await)
    }

    async fn told(&mut self, who: Who, says: &[&str]) -> String {
        let alone = |slack: &FakeSlack| slack.whispers(account(who));
        read(&self.found(account(who), says, alone).await)
    }

    async fn called(&mut self, who: Who, level: &str) {
        let direct = |slack: &FakeSlack| slack.messages(&format!("D{}", account(who)));
        let says = [
            "nobody has answered whether flush-cache prod may run",
            level,
        ];
        self.found(account(who), &says, direct).await;
        let calling = format!("calling {level}: <@{}>", account(who));
        self.seen(&[&calling]).await;
    }

    async fn answers(&mut self, who: Who, label: &str, _: &str) {
        let direct = |slack: &FakeSlack| slack.messages(&format!("D{}", account(who)));
        let button = format!("[{label}]");
        let call = self.found(account(who), &[&button], direct).await;
        self.story.slack.click(account(who), &call, label).await;
    }

    fn facts(&self, kind: &str) -> Vec<serde_json::Value> {
        block_in_place(|| self.story.facts(kind))
    }

    fn link(&self) -> &'static str {
        "|its thread>"
    }
}
