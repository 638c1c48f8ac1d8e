//! The people of the yard: they type, are mentioned, press buttons, and read what they are answered.
//!
//! Each channel stands in a workspace of its own: Slack limits edits by workspace, and waiting proves nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use midwatch::clock::Clock;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::yard::{KINDS, Kind, LEAD, RING, TYPIST};
use crate::fakes::slack::{Ack, BOT_USER, Delivery, FakeSlack, Posted, render};

/// So many that the pace of one message a second and channel does not become what is tested.
const CHANNELS: usize = 48;
/// How long Slack delivers an event again, and somebody comes back to a button that did not work.
const TRY_FOR: Duration = Duration::from_secs(90);

/// How long somebody looks whether a command was taken after all.
const LOOK_FOR: Duration = Duration::from_secs(15);

/// What somebody was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is taken.
    Taken,
    /// Nothing was done, and nothing will come of it.
    Refused,
    /// It may have been taken: what comes shows it.
    Slow,
    /// Nothing came back within three seconds.
    Nothing,
    /// Anything else.
    Odd(String),
}

/// One command that somebody typed.
#[derive(Clone)]
pub(super) struct Typed {
    pub(super) tag: String,
    pub(super) kind: &'static Kind,
    /// As the platform identifies it, and so the ledger.
    pub(super) key: String,
    /// The last answer: events are delivered again until they are taken.
    pub(super) answer: Answer,
}

/// What was said so far.
#[derive(Default)]
pub(super) struct Said {
    pub(super) typed: Vec<Typed>,
    /// Presses of buttons: the key, and the answer.
    pub(super) pressed: Vec<(String, Answer)>,
    /// How many deliveries were refused.
    pub(super) refusals: usize,
    /// The longest that anybody waited for an answer.
    pub(super) longest: Duration,
}

pub(super) struct Crowd {
    pub(super) slack: FakeSlack,
    pub(super) channels: Vec<String>,
    pub(super) said: Arc<Mutex<Said>>,
    tasks: JoinSet<()>,
    typed: usize,
    last_ts: i64,
}

impl Crowd {
    pub(super) fn new(slack: FakeSlack) -> Self {
        let channels: Vec<String> = (10..10 + CHANNELS).map(|n| format!("C{n}")).collect();
        for channel in &channels {
            slack.add_channel(channel, true);
        }
        Self {
            slack,
            channels,
            said: Arc::default(),
            tasks: JoinSet::new(),
            typed: 0,
            last_ts: 0,
        }
    }

    /// Each kind once, within `span`; some as mentions, which Slack delivers again.
    pub(super) fn type_all(&mut self, span: Duration, random: &mut StdRng) {
        for kind in &KINDS {
            let wait = span.mul_f64(random.random());
            self.type_later(kind, random.random_bool(0.4), wait);
        }
    }

    /// One command, soon; whoever must press a button does so when it is there.
    pub(super) fn type_later(&mut self, kind: &'static Kind, mention: bool, wait: Duration) {
        let (channel, tag) = self.next();
        let (delivery, key) = if mention {
            self.mention(&channel, kind, &tag)
        } else {
            self.slash(&channel, kind, &tag)
        };
        let person = Person {
            slack: self.slack.clone(),
            said: Arc::clone(&self.said),
            channel,
        };
        self.tasks.spawn(async move {
            tokio::time::sleep(wait).await;
            let typed = person.type_one(tag, kind, key, &delivery, mention).await;
            match (typed.kind.pressed, &typed.answer) {
                (Some(label), Answer::Taken) => person.press(&typed.tag, label, TRY_FOR).await,
                (Some(label), Answer::Slow | Answer::Nothing) => {
                    person.press(&typed.tag, label, LOOK_FOR).await;
                }
                _ => {}
            }
        });
    }

    /// One command now, and what is answered.
    pub(super) async fn ring(&mut self) -> Answer {
        let (channel, tag) = self.next();
        let (delivery, key) = self.slash(&channel, RING, &tag);
        let person = Person {
            slack: self.slack.clone(),
            said: Arc::clone(&self.said),
            channel,
        };
        person
            .type_one(tag, RING, key, &delivery, false)
            .await
            .answer
    }

    /// Waits until everything typed was answered and every button pressed, or given up.
    pub(super) async fn rest(&mut self) {
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap();
        }
    }

    fn next(&mut self) -> (String, String) {
        let channel = self.channels[self.typed % self.channels.len()].clone();
        self.typed += 1;
        (channel, format!("t{}", self.typed))
    }

    fn slash(&self, channel: &str, kind: &Kind, tag: &str) -> (Delivery, String) {
        let team = team(channel);
        let text = format!("{} {tag}", kind.name);
        let mut delivery = self.slack.slash_delivery(TYPIST, channel, &text);
        delivery.payload["team_id"] = team.as_str().into();
        let trigger = delivery.payload["trigger_id"].as_str().unwrap_or_default();
        let key = format!("slack:{team}:command:{trigger}");
        (delivery, key)
    }

    /// `@midwatch TEXT`, as the event that Slack makes of it.
    fn mention(&mut self, channel: &str, kind: &Kind, tag: &str) -> (Delivery, String) {
        self.last_ts = Clock::system().now().as_microsecond().max(self.last_ts + 1);
        let (seconds, rest) = (self.last_ts / 1_000_000, self.last_ts % 1_000_000);
        let (team, ts) = (team(channel), format!("{seconds}.{rest:06}"));
        let mut delivery = self.slack.event(&json!({
            "type": "app_mention", "channel": channel, "user": TYPIST, "ts": ts, "team": team,
            "text": format!("<@{BOT_USER}> {} {tag}", kind.name),
        }));
        delivery.payload["team_id"] = team.as_str().into();
        (delivery, format!("slack:{team}:{channel}:{ts}"))
    }
}

/// A channel's workspace.
fn team(channel: &str) -> String {
    format!("T{}", &channel[1..])
}

/// Somebody in a channel.
struct Person {
    slack: FakeSlack,
    said: Arc<Mutex<Said>>,
    channel: String,
}

impl Person {
    async fn type_one(
        &self,
        tag: String,
        kind: &'static Kind,
        key: String,
        delivery: &Delivery,
        repeats: bool,
    ) -> Typed {
        let until = Instant::now() + TRY_FOR;
        let mut answer = self.deliver(delivery).await;
        while repeats && answer != Answer::Taken && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(200)).await;
            answer = self.deliver(delivery).await;
        }
        let typed = Typed {
            tag,
            kind,
            key,
            answer,
        };
        self.said.lock().unwrap().typed.push(typed.clone());
        typed
    }

    /// Waits for the button and presses it, again until that is taken.
    async fn press(&self, tag: &str, label: &str, patience: Duration) {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let messages = self.slack.messages(&self.channel);
            let is_root = |it: &&Posted| it.thread.is_none() && tag_of(it).as_deref() == Some(tag);
            let Some(root) = messages.iter().find(is_root) else {
                continue;
            };
            let text = render(root);
            if text.contains(&format!("[{label}]")) {
                if self.press_once(root, label).await == Answer::Taken {
                    return;
                }
            } else if !text.contains('⏳') {
                return; // It has ended: "Cancel" comes with the first step and goes with the last.
            }
        }
    }

    async fn press_once(&self, root: &Posted, label: &str) -> Answer {
        let team = team(&self.channel);
        let mut delivery = self.slack.click_delivery(LEAD, root, label);
        delivery.payload["team"]["id"] = team.as_str().into();
        delivery.payload["user"]["team_id"] = team.as_str().into();
        let pressed = delivery.payload["actions"][0]["action_ts"].as_str();
        let key = format!(
            "slack:{team}:action:{}:{}:{}:{LEAD}",
            self.channel,
            root.ts,
            pressed.unwrap_or_default()
        );
        let answer = self.deliver(&delivery).await;
        self.said
            .lock()
            .unwrap()
            .pressed
            .push((key, answer.clone()));
        answer
    }

    async fn deliver(&self, delivery: &Delivery) -> Answer {
        let began = Instant::now();
        let answer = understood(&self.slack.deliver(delivery).await);
        let mut said = self.said.lock().unwrap();
        said.refusals += usize::from(answer == Answer::Refused);
        said.longest = said.longest.max(began.elapsed());
        answer
    }
}

fn understood(ack: &Ack) -> Answer {
    if (ack.status, ack.body.as_str()) == (200, "") {
        return Answer::Taken;
    }
    let shown = serde_json::from_str::<Value>(&ack.body).unwrap_or_default();
    let shown = shown["text"].as_str().unwrap_or_default();
    match ack.status {
        0 => Answer::Nothing,
        200 if shown.starts_with("⛔ nothing was done: the ledger can't be written") => {
            Answer::Refused
        }
        200 if shown.starts_with('⏳') => Answer::Slow,
        // Slack repeats an event, and shows the presser of a button that it did not work.
        503 => Answer::Refused,
        status => Answer::Odd(format!("{status} {}", ack.body)),
    }
}

/// The tag in the field `with: tag=…` of a root message.
pub(super) fn tag_of(message: &Posted) -> Option<String> {
    let text = render(message);
    let (_, after) = text.split_once("tag=")?;
    Some(
        after
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect(),
    )
}
