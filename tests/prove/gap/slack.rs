//! Slack, over HTTP or over sockets.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::people::{Platform, Who, Written};
use crate::bot::{Bot, Home};
use crate::fakes::slack::{
    APP_TOKEN, Ack, BOT_TOKEN, BOT_USER, Delivery, FakeSlack, OTHER_BOT, Posted, SIGNING_SECRET,
    TEAM, render,
};

/// Where people talk. Few: the pace at which Slack is read is not what is tested.
pub(super) const CHANNELS: [&str; 6] = ["C10", "C11", "C12", "C13", "G14", "G15"];

/// Which way Slack tells things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Http,
    Sockets,
}

#[derive(Clone)]
pub(super) struct Slack {
    slack: FakeSlack,
    door: Door,
}

impl Slack {
    pub(super) async fn with(door: Door) -> Self {
        let slack = FakeSlack::start().await;
        slack.let_read_fast();
        for channel in CHANNELS {
            slack.add_channel(channel, true);
        }
        Self { slack, door }
    }

    fn written(channel: &str, ts: String) -> Written {
        let micros: i64 = ts.replace('.', "").parse().expect("digits");
        Written {
            key: format!("slack:{TEAM}:{channel}:{ts}"),
            sent_at: Timestamp::from_microsecond(micros).expect("a moment"),
            id: ts,
        }
    }
}

const fn account(who: Who) -> &'static str {
    match who {
        Who::Ana => "U0ANA",
        Who::Bo => "U0BO",
        Who::App => OTHER_BOT,
    }
}

#[async_trait]
impl Platform for Slack {
    type Card = Posted;

    async fn another(&self) -> Self {
        Self::with(self.door).await
    }

    fn name(&self) -> String {
        format!("Slack over {:?}", self.door)
    }

    fn settings(&self, home: Home) -> Home {
        let home = home
            .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
            .setting("SLACK_API_URL", self.slack.api_url());
        match self.door {
            Door::Http => home.setting("SLACK_SIGNING_SECRET", SIGNING_SECRET),
            Door::Sockets => home.setting("SLACK_APP_TOKEN", APP_TOKEN),
        }
    }

    fn channel(&self, number: usize) -> String {
        CHANNELS[number % CHANNELS.len()].to_owned()
    }

    fn says_that_it_listens(&self) -> &'static [&'static str] {
        &["slack: listening in"]
    }

    fn gives_small_pages(&self, size: usize) {
        self.slack.give_small_pages(size);
    }

    fn direct(&self, who: Who) -> String {
        let channel = format!("D{}", account(who));
        self.slack.add_channel(&channel, true);
        channel
    }

    fn to_us(&self, text: &str) -> String {
        format!("<@{BOT_USER}> {text}")
    }

    fn begins_thread(&self, ago: Duration, channel: &str) -> String {
        self.slack
            .wrote_before(ago, "U0ANA", channel, None, "about the weather")
    }

    fn wrote(
        &self,
        ago: Duration,
        who: Who,
        channel: &str,
        thread: Option<&str>,
        text: &str,
    ) -> Written {
        let ts = self
            .slack
            .wrote_before(ago, account(who), channel, thread, text);
        Self::written(channel, ts)
    }

    fn edited(&self, channel: &str, message: &Written, text: &str) -> String {
        let edited = self.slack.edited_before(channel, &message.id, text);
        format!("{}:edited:{edited}", message.key)
    }

    fn deleted(&self, channel: &str, message: &Written) {
        self.slack.delete_message(channel, &message.id);
    }

    async fn mentions_now(
        &self,
        who: Who,
        channel: &str,
        thread: Option<&str>,
        text: &str,
    ) -> Written {
        let ts = self
            .slack
            .mention(account(who), channel, thread, text)
            .await;
        Self::written(channel, ts)
    }

    /// A slash command is refused by Slack, and that was it.
    async fn slash_unheard(&self, channel: &str, name: &str, tag: &str) -> Option<Written> {
        let text = format!("{name} {tag}");
        let ack = self.slack.slash("U0BO", channel, &text).await;
        let unheard = Ack {
            status: 0,
            body: String::new(),
        };
        assert_eq!(
            ack, unheard,
            "Slack's answer to a command that nobody hears"
        );
        None
    }

    fn can_be_deaf(&self) -> bool {
        self.door == Door::Sockets
    }

    fn is_deaf(&self, _: Duration) {
        self.slack.send_away(Some("too_many_websockets"));
        self.slack.cut_sockets();
    }

    fn hears_again(&self) {
        self.slack.send_away(None);
    }

    fn connect(&self, bot: &Bot) {
        if self.door == Door::Http {
            self.slack.use_http(&bot.url(""));
        }
    }

    fn shown(&self, channel: &str, thread: Option<&str>) -> Vec<(String, Posted)> {
        let messages = self.slack.messages(channel).into_iter();
        let here = messages.filter(|it| it.thread.as_deref() == thread);
        here.map(|it| (render(&it), it)).collect()
    }

    async fn press(
        &self,
        who: Who,
        card: &Posted,
        label: &str,
        late: Option<Duration>,
        times: usize,
    ) -> String {
        let mut press = self.slack.click_delivery(account(who), card, label);
        if let Some(late) = late {
            press = self.slack.pressed_before(late, press);
        }
        for _ in 0..times {
            assert_eq!(self.slack.deliver(&press).await.status, 200);
        }
        press_key(&press, account(who))
    }

    fn violations(&self) -> Vec<String> {
        self.slack.violations()
    }
}

/// The key of a press as an inbound.
fn press_key(press: &Delivery, presser: &str) -> String {
    let text = |path: &str| press.payload.pointer(path).and_then(Value::as_str);
    let at = |path: &str| text(path).expect("a press names it").to_owned();
    format!(
        "slack:{TEAM}:action:{}:{}:{}:{presser}",
        at("/channel/id"),
        at("/container/message_ts"),
        at("/actions/0/action_ts")
    )
}
