//! Slack: a message comes as message and as mention, over HTTP with retries and over sockets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use midwatch::clock::Clock;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::people::{Line, Part, Platform, Thing, Told};
use super::yard::{KINDS, LEADS, Person, TYPISTS};
use crate::bot::Home;
use crate::fakes::slack::{
    APP_TOKEN, BOT_TOKEN, BOT_USER, Delivery, FakeSlack, Posted, SIGNING_SECRET, render,
};

/// The home workspace's channel: what is said there stands there, to be read again by whoever starts.
pub(super) const WRITTEN: &str = "C1";

/// Workspaces, one for each channel, heard over HTTP and over sockets alike.
pub(super) struct Slack {
    slack: FakeSlack,
    channels: Vec<String>,
}

impl Slack {
    pub(super) async fn with(channels: &[String]) -> Self {
        let slack = FakeSlack::start().await;
        for channel in channels {
            slack.add_channel(channel, true);
        }
        // Slack counts reads by workspace, this one over all of them: how fast it lets us look is not what is tested.
        slack.let_read_fast();
        Self {
            slack,
            channels: channels.to_vec(),
        }
    }

    /// `@midwatch TEXT`, which Slack makes two events of.
    fn mention(
        &self,
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
            self.as_both(event, &team),
        )
    }

    /// The same, and it stands in the channel.
    fn written(&self, who: &str, channel: &str, text: &str) -> (String, Vec<Delivery>) {
        let delivery = self.slack.mention_delivery(who, channel, text);
        let event = delivery.payload["event"].clone();
        let key = format!("slack:T1:{channel}:{}", event["ts"].as_str().unwrap());
        (key, self.as_both(event, "T1"))
    }

    /// As message and as mention, with two event ids.
    fn as_both(&self, mut event: Value, team: &str) -> Vec<Delivery> {
        let both = ["message", "app_mention"].map(|name| {
            event["type"] = name.into();
            let mut delivery = self.slack.event(&event);
            delivery.payload["team_id"] = team.into();
            delivery
        });
        both.into()
    }

    /// A slash command. Slack tells it once; a proxy before two replicas may do so again.
    fn slash(&self, who: &str, channel: &str, text: &str) -> (String, Vec<Delivery>) {
        let team = team(channel);
        let mut delivery = self.slack.slash_delivery(who, channel, text);
        delivery.payload["team_id"] = team.as_str().into();
        let trigger = delivery.payload["trigger_id"].as_str().unwrap();
        (format!("slack:{team}:command:{trigger}"), vec![delivery])
    }

    /// A button that says the command, as below an answer of ours.
    fn button(&self, who: &str, channel: &str, text: &str) -> (String, Vec<Delivery>) {
        let answer = Posted {
            channel: channel.to_owned(),
            ts: "1700000000.000100".to_owned(),
            user: BOT_USER.to_owned(),
            blocks: vec![json!({ "type": "actions", "elements": [
                { "type": "button", "action_id": "b0", "value": text, "text": { "type": "plain_text", "text": "Run it" } },
            ] })],
            ..Posted::default()
        };
        let pressed = self.press(who, &answer, "Run it");
        (pressed.key, pressed.told_as.to_vec())
    }

    fn press(&self, who: &str, message: &Posted, label: &str) -> Thing<Delivery> {
        let team = team(&message.channel);
        let mut delivery = self.slack.click_delivery(who, message, label);
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
}

#[async_trait]
impl Platform for Slack {
    type Delivery = Delivery;

    fn settings(&self, home: Home) -> Home {
        home.setting("SLACK_BOT_TOKEN", BOT_TOKEN)
            .setting("SLACK_APP_TOKEN", APP_TOKEN)
            .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
            .setting("SLACK_API_URL", self.slack.api_url())
    }

    /// Each has two sockets.
    fn hears(&self, replicas: usize) -> bool {
        self.slack.open_sockets() == 2 * replicas
    }

    fn counts_more(&self) -> bool {
        self.channels.iter().any(|channel| channel == WRITTEN)
    }

    fn say(&self, number: usize, channel: &str, random: &mut StdRng) -> Thing<Delivery> {
        let kind = &KINDS[number % KINDS.len()];
        let tag = format!("t{number}");
        let text = format!("{} {tag}", kind.name);
        let who = TYPISTS.choose(random).unwrap().slack;
        let (key, told_as) = match random.random_range(0..10) {
            _ if channel == WRITTEN => self.written(who, channel, &text),
            0..5 => self.mention(number, who, channel, &text),
            5..7 => self.slash(who, channel, &text),
            _ => self.button(who, channel, &text),
        };
        Thing {
            key,
            channel: channel.to_owned(),
            runs: Some((kind, tag)),
            told_as: Arc::new(told_as),
        }
    }

    /// Those who lead press `Approve`, below the run's root.
    fn next(&self, of: &Thing<Delivery>) -> Option<Vec<Thing<Delivery>>> {
        if !of.awaits_consent() {
            return Some(Vec::new());
        }
        let run = of.run().to_string();
        let mut messages = self.slack.messages(&of.channel).into_iter();
        let root = messages.find(|message| message.metadata["event_payload"]["id"] == run)?;
        let press = |lead: &Person| self.press(lead.slack, &root, "Approve");
        Some(LEADS.iter().map(press).collect())
    }

    /// By HTTP to one of those that are up, or over the socket that is next, as first try or as retry.
    async fn tell(
        &self,
        thing: &Thing<Delivery>,
        addresses: &[String],
        random: &mut StdRng,
    ) -> Told {
        let delivery = &thing.told_as[random.random_range(0..thing.told_as.len())];
        let retry = random.random_range(0..=3);
        let by_http = random.random_bool(0.5);
        let ack = if by_http {
            let address = &addresses[random.random_range(0..addresses.len())];
            self.slack.request(address, delivery, retry).await
        } else {
            self.slack.deliver_by_socket(delivery, retry).await
        };
        let fine = (ack.status, ack.body.as_str()) == (200, "");
        Told {
            by_http,
            as_retry: retry > 0,
            wrong: (!fine).then(|| format!("{ack:?}")),
        }
    }

    /// A root is marked with its run's id, other messages with a number of their own.
    fn lines(&self, things: &[Thing<Delivery>]) -> Vec<Line> {
        let channels: HashSet<&str> = things.iter().map(|thing| thing.channel.as_str()).collect();
        let messages = channels
            .iter()
            .flat_map(|channel| self.slack.messages(channel))
            .filter(|message| message.user == BOT_USER);
        let mut run_of = HashMap::new();
        let lines = messages.map(|message| {
            let id = &message.metadata["event_payload"]["id"];
            let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            let part = match &message.thread {
                None if id.contains('-') => {
                    run_of.insert((message.channel.clone(), message.ts.clone()), id.clone());
                    Part::Root(id.clone())
                }
                None => Part::Stray,
                Some(root) => run_of
                    .get(&(message.channel.clone(), root.clone()))
                    .map_or(Part::Stray, |run| Part::Line(run.clone())),
            };
            Line {
                mark: format!("{id} in {}", message.channel),
                says: render(&message),
                part,
            }
        });
        lines.collect()
    }

    fn violations(&self) -> Vec<String> {
        self.slack.violations()
    }
}

/// A channel's workspace. Slack limits edits by workspace, and waiting proves nothing: so each has its own.
fn team(channel: &str) -> String {
    if channel == WRITTEN {
        return "T1".to_owned();
    }
    format!("T{}", &channel[1..])
}
