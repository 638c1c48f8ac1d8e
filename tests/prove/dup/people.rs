//! What people say and press, and how often Slack tells it: as message and as mention, by HTTP and by socket, to one
//! replica and to the other, at the same moment and long afterwards.

use std::sync::Arc;
use std::time::Duration;

use midwatch::clock::Clock;
use midwatch::domain::RunId;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::yard::{KINDS, Kind, LEADS, TYPISTS};
use crate::fakes::slack::{BOT_USER, Delivery, FakeSlack, Posted};

/// The home workspace's channel: what is said there stands there, to be read again by whoever starts.
pub(super) const WRITTEN: &str = "C1";

/// Something that somebody typed or pressed: one inbound, however often it is told.
#[derive(Clone)]
pub(super) struct Thing {
    /// As the ledger should know it.
    pub(super) key: String,
    pub(super) channel: String,
    /// What it runs; `None` for a press that is about another's run.
    pub(super) runs: Option<(&'static Kind, String)>,
    /// What Slack may tell of it: any of these, again and again.
    pub(super) told_as: Arc<Vec<Delivery>>,
}

impl Thing {
    /// The run that comes of it.
    pub(super) fn run(&self) -> RunId {
        RunId::of_inbound(&midwatch::domain::InboundKey::new(&[&self.key]))
    }
}

/// How often a thing is told, and when.
pub(super) struct Telling {
    /// At the same moment.
    pub(super) at_once: usize,
    /// Soon after, while it is done.
    pub(super) soon: usize,
    /// When all has ended.
    pub(super) ended: usize,
    /// When replicas have been started again too.
    pub(super) restarted: usize,
}

impl Telling {
    pub(super) fn any(random: &mut StdRng) -> Self {
        Self {
            at_once: random.random_range(4..=8),
            soon: random.random_range(4..=8),
            ended: random.random_range(3..=5),
            restarted: random.random_range(3..=5),
        }
    }

    pub(super) fn wait(random: &mut StdRng) -> Duration {
        Duration::from_millis(random.random_range(0..1_800))
    }
}

/// A channel's workspace. Slack limits edits by workspace, and waiting proves nothing: so each has its own.
fn team(channel: &str) -> String {
    if channel == WRITTEN {
        return "T1".to_owned();
    }
    format!("T{}", &channel[1..])
}

/// Somebody says something, in a way that the random numbers choose.
pub(super) fn say(slack: &FakeSlack, number: usize, channel: &str, random: &mut StdRng) -> Thing {
    let kind = &KINDS[number % KINDS.len()];
    let tag = format!("t{number}");
    let text = format!("{} {tag}", kind.name);
    let who = *TYPISTS.choose(random).unwrap();
    let (key, told_as) = match random.random_range(0..10) {
        _ if channel == WRITTEN => written(slack, who, channel, &text),
        0..5 => mention(slack, number, who, channel, &text),
        5..7 => slash(slack, who, channel, &text),
        _ => button(slack, who, channel, &text),
    };
    Thing {
        key,
        channel: channel.to_owned(),
        runs: Some((kind, tag)),
        told_as: Arc::new(told_as),
    }
}

/// A lead presses `Approve`, below a run's root.
pub(super) fn consents(slack: &FakeSlack, root: &Posted) -> [Thing; 2] {
    LEADS.map(|lead| press(slack, lead, root, "Approve"))
}

/// `@midwatch TEXT`, which Slack makes two events of.
fn mention(
    slack: &FakeSlack,
    number: usize,
    who: &str,
    channel: &str,
    text: &str,
) -> (String, Vec<Delivery>) {
    // The number makes it its own: several may be typed in one millisecond, which is all that the clock tells.
    let at =
        Clock::system().now().as_millisecond() * 1_000 + i64::try_from(number % 1_000).unwrap();
    let ts = format!("{}.{:06}", at / 1_000_000, at % 1_000_000);
    let team = team(channel);
    let event = json!({
        "channel": channel, "channel_type": "channel", "user": who, "ts": ts, "team": team,
        "text": format!("<@{BOT_USER}> {text}"),
    });
    (
        format!("slack:{team}:{channel}:{ts}"),
        as_both(slack, event, &team),
    )
}

/// The same, and it stands in the channel.
fn written(slack: &FakeSlack, who: &str, channel: &str, text: &str) -> (String, Vec<Delivery>) {
    let event = slack.mention_delivery(who, channel, text).payload["event"].clone();
    let key = format!("slack:T1:{channel}:{}", event["ts"].as_str().unwrap());
    (key, as_both(slack, event, "T1"))
}

/// As message and as mention, with two event ids.
fn as_both(slack: &FakeSlack, mut event: Value, team: &str) -> Vec<Delivery> {
    let both = ["message", "app_mention"].map(|name| {
        event["type"] = name.into();
        let mut delivery = slack.event(&event);
        delivery.payload["team_id"] = team.into();
        delivery
    });
    both.into()
}

/// A slash command. Slack tells it once; a proxy before two replicas may do so again.
fn slash(slack: &FakeSlack, who: &str, channel: &str, text: &str) -> (String, Vec<Delivery>) {
    let team = team(channel);
    let mut delivery = slack.slash_delivery(who, channel, text);
    delivery.payload["team_id"] = team.as_str().into();
    let trigger = delivery.payload["trigger_id"].as_str().unwrap();
    (format!("slack:{team}:command:{trigger}"), vec![delivery])
}

/// A button that says the command, as below an answer of ours.
fn button(slack: &FakeSlack, who: &str, channel: &str, text: &str) -> (String, Vec<Delivery>) {
    let answer = Posted {
        channel: channel.to_owned(),
        ts: "1700000000.000100".to_owned(),
        user: BOT_USER.to_owned(),
        blocks: vec![json!({ "type": "actions", "elements": [
            { "type": "button", "action_id": "b0", "value": text, "text": { "type": "plain_text", "text": "Run it" } },
        ] })],
        ..Posted::default()
    };
    let pressed = press(slack, who, &answer, "Run it");
    (pressed.key, pressed.told_as.to_vec())
}

fn press(slack: &FakeSlack, who: &str, message: &Posted, label: &str) -> Thing {
    let team = team(&message.channel);
    let mut delivery = slack.click_delivery(who, message, label);
    delivery.payload["team"]["id"] = team.as_str().into();
    delivery.payload["user"]["team_id"] = team.as_str().into();
    let pressed = delivery.payload["actions"][0]["action_ts"]
        .as_str()
        .unwrap();
    let key = format!(
        "slack:{team}:action:{}:{}:{pressed}:{who}",
        message.channel, message.ts
    );
    Thing {
        key,
        channel: message.channel.clone(),
        runs: None,
        told_as: Arc::new(vec![delivery]),
    }
}
