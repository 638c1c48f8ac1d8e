//! The people of the yard: they type, are mentioned, press buttons; Slack delivers, and delivers again what was cut.
//!
//! Each channel stands in a workspace of its own: Slack limits edits by workspace, and waiting proves nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use midwatch::clock::Clock;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::commands::{KINDS, Kind, LEAD, TYPISTS};
use crate::fakes::slack::{Ack, BOT_USER, Delivery, FakeSlack, Posted, render};

/// How long Slack tries to deliver an event. Three times in five minutes, in truth; here more often and sooner.
const DELIVER_FOR: Duration = Duration::from_secs(45);
/// How long we look for the root message of a command that was not acknowledged: mostly there is none. Long, because
/// the root of one that was received all the same comes after what waits in its channel.
const LOOK_FOR: Duration = Duration::from_secs(300);
/// After an approval that was taken, when it is looked at again.
const PRESS_AGAIN: Duration = Duration::from_secs(5);

/// One command that somebody typed.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) tag: String,
    pub(super) kind: &'static Kind,
    /// As the platform identifies it, and so the ledger.
    pub(super) key: String,
    pub(super) channel: String,
    pub(super) acknowledged: bool,
}

/// What was said and pressed so far.
#[derive(Default)]
pub(super) struct Said {
    pub(super) sent: Vec<Sent>,
    /// Keys of acknowledged presses of buttons.
    pub(super) pressed: Vec<String>,
    /// Deliveries beyond the first that were acknowledged, of events.
    pub(super) delivered_again: u64,
    /// Refused with another status than 200, or answered with a refusal: nothing may come of these.
    pub(super) odd_answers: Vec<String>,
}

pub(super) struct People {
    pub(super) slack: FakeSlack,
    pub(super) channels: Vec<String>,
    pub(super) said: Arc<Mutex<Said>>,
    tasks: JoinSet<()>,
    next_ts: i64,
}

/// A channel's workspace.
pub(super) fn team(channel: &str) -> String {
    format!("T{}", &channel[1..])
}

impl People {
    pub(super) fn new(slack: FakeSlack, channels: Vec<String>) -> Self {
        for channel in &channels {
            slack.add_channel(channel, true);
        }
        Self {
            slack,
            channels,
            said: Arc::default(),
            tasks: JoinSet::new(),
            next_ts: 0,
        }
    }

    /// Several people type, all at once and one after the other, for as long as `span`.
    pub(super) fn type_commands(
        &mut self,
        round: u32,
        count: usize,
        span: Duration,
        random: &mut StdRng,
    ) {
        for n in 0..count {
            let kind = KINDS
                .choose_weighted(random, |kind| kind.weight)
                .expect("weights are not zero");
            // Half of them in the same moment.
            let wait = if random.random_bool(0.5) {
                Duration::ZERO
            } else {
                span.mul_f64(random.random())
            };
            let place = round as usize * count + n;
            self.type_command(kind, format!("r{round}-{n}"), place, wait, random);
        }
    }

    /// Commands of these names are typed, all at once.
    pub(super) fn type_these(&mut self, round: u32, names: &[&str], random: &mut StdRng) {
        for (n, name) in names.iter().enumerate() {
            let kind = KINDS.iter().find(|kind| kind.name == *name);
            let kind = kind.expect("a command of the proof");
            let tag = format!("r{round}-{n}");
            self.type_command(kind, tag, round as usize + n, Duration::ZERO, random);
        }
    }

    fn type_command(
        &mut self,
        kind: &'static Kind,
        tag: String,
        place: usize,
        wait: Duration,
        random: &mut StdRng,
    ) {
        let channel = self.channels[place % self.channels.len()].clone();
        let typist = *TYPISTS.choose(random).expect("somebody types");
        let text = format!("{} {tag}", kind.name);
        let mention = random.random_bool(0.4);
        let (delivery, key) = if mention {
            self.mention(typist, &channel, &text)
        } else {
            slash(&self.slack, typist, &channel, &text)
        };
        let sent = Sent {
            tag,
            kind,
            key,
            channel,
            acknowledged: false,
        };
        let task = Typing {
            slack: self.slack.clone(),
            said: Arc::clone(&self.said),
            sent,
            delivery,
        };
        let random = StdRng::seed_from_u64(random.random());
        self.tasks.spawn(async move {
            tokio::time::sleep(wait).await;
            if mention {
                task.event(random).await;
            } else {
                task.command().await;
            }
        });
    }

    /// `@midwatch TEXT`, as the event that Slack makes of it.
    fn mention(&mut self, user: &str, channel: &str, text: &str) -> (Delivery, String) {
        self.next_ts = Clock::system().now().as_microsecond().max(self.next_ts + 1);
        let ts = format!(
            "{}.{:06}",
            self.next_ts / 1_000_000,
            self.next_ts % 1_000_000
        );
        let team = team(channel);
        let mut delivery = self.slack.event(&json!({
            "type": "app_mention", "channel": channel, "user": user, "ts": ts, "team": team,
            "text": format!("<@{BOT_USER}> {text}"),
        }));
        delivery.payload["team_id"] = team.as_str().into();
        let key = format!("slack:{team}:{channel}:{ts}");
        (delivery, key)
    }

    /// Waits until everything typed was delivered or given up.
    pub(super) async fn all_typed(&mut self) {
        while let Some(typed) = self.tasks.join_next().await {
            typed.unwrap();
        }
    }

    /// Presses the buttons that wait to be pressed, until dropped.
    pub(super) fn desk(&self) -> impl Future<Output = ()> + Send + use<> {
        let (slack, said) = (self.slack.clone(), Arc::clone(&self.said));
        async move {
            let mut open: Vec<(Sent, Instant, Option<Instant>)> = Vec::new();
            let mut seen = 0;
            loop {
                tokio::time::sleep(Duration::from_millis(120)).await;
                let fresh = said.lock().unwrap().sent[seen..].to_vec();
                seen += fresh.len();
                let wishes = fresh.into_iter().filter(|sent| sent.kind.pressed.is_some());
                open.extend(wishes.map(|sent| (sent, Instant::now(), None)));
                let presses = open.iter_mut().map(async |(wish, since, pressed)| {
                    if pressed.is_some_and(|at| at.elapsed() < PRESS_AGAIN) {
                        return false;
                    }
                    let in_vain = !wish.acknowledged && since.elapsed() > LOOK_FOR;
                    if in_vain {
                        return true;
                    }
                    match press(&slack, &said, wish).await {
                        Press::NotYet => false,
                        // The files change meanwhile, and consent to what they said before is void.
                        Press::Acknowledged if wish.kind.pressed == Some("Approve") => {
                            *pressed = Some(Instant::now());
                            false
                        }
                        Press::Acknowledged | Press::NothingThere => true,
                    }
                });
                let done = futures_util::future::join_all(presses).await;
                let mut done = done.into_iter();
                open.retain(|_| !done.next().unwrap_or(false));
            }
        }
    }
}

/// What came of looking for a button.
enum Press {
    /// It was pressed, and we know.
    Acknowledged,
    /// It may still come, or be pressed again.
    NotYet,
    /// There is nothing to press any more.
    NothingThere,
}

/// Presses the button of this run.
async fn press(slack: &FakeSlack, said: &Mutex<Said>, wish: &Sent) -> Press {
    let messages = slack.messages(&wish.channel);
    // Latest first: that is where an open wish stands.
    let root = messages
        .into_iter()
        .rev()
        .find(|message| is_root(message, &wish.tag));
    let (Some(label), Some(root)) = (wish.kind.pressed, root) else {
        return Press::NotYet;
    };
    let text = render(&root);
    if !text.contains(&format!("[{label}]")) {
        // "Cancel" comes with the first step; all others stand there from the beginning.
        return if text.contains('⏳') {
            Press::NotYet
        } else {
            Press::NothingThere
        };
    }
    let team = team(&wish.channel);
    let mut delivery = slack.click_delivery(LEAD, &root, label);
    delivery.payload["team"]["id"] = team.as_str().into();
    delivery.payload["user"]["team_id"] = team.as_str().into();
    let pressed = delivery.payload["actions"][0]["action_ts"].as_str();
    let key = format!(
        "slack:{team}:action:{}:{}:{}:{LEAD}",
        wish.channel,
        root.ts,
        pressed.unwrap_or_default()
    );
    if slack.deliver(&delivery).await.status != 200 {
        return Press::NotYet;
    }
    said.lock().unwrap().pressed.push(key);
    Press::Acknowledged
}

/// The message that is edited in place: it names the arguments, and stands in no thread.
pub(super) fn is_root(message: &Posted, tag: &str) -> bool {
    message.thread.is_none() && message.user == BOT_USER && tag_of(message).as_deref() == Some(tag)
}

/// The tag in the field `with: tag=…`.
pub(super) fn tag_of(message: &Posted) -> Option<String> {
    let text = render(message);
    let (_, after) = text.split_once("tag=")?;
    Some(
        after
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect(),
    )
}

fn slash(slack: &FakeSlack, user: &str, channel: &str, text: &str) -> (Delivery, String) {
    let team = team(channel);
    let mut delivery = slack.slash_delivery(user, channel, text);
    delivery.payload["team_id"] = team.as_str().into();
    let trigger = delivery.payload["trigger_id"].as_str().unwrap_or_default();
    let key = format!("slack:{team}:command:{trigger}");
    (delivery, key)
}

struct Typing {
    slack: FakeSlack,
    said: Arc<Mutex<Said>>,
    sent: Sent,
    delivery: Delivery,
}

impl Typing {
    /// A slash command: Slack delivers it once, whatever comes of it.
    async fn command(mut self) {
        let ack = self.slack.deliver(&self.delivery).await;
        self.note(&ack);
        self.said.lock().unwrap().sent.push(self.sent);
    }

    /// An event: delivered again until it is acknowledged, and sometimes after that.
    async fn event(mut self, mut random: StdRng) {
        let deadline = Instant::now() + DELIVER_FOR;
        while !self.sent.acknowledged && Instant::now() < deadline {
            let ack = self.slack.deliver(&self.delivery).await;
            self.note(&ack);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.said.lock().unwrap().sent.push(self.sent.clone());
        // The acknowledgement was lost on the way: for Slack it was never there.
        for _ in 0..random.random_range(0..3) {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..2_500))).await;
            let again = self.slack.deliver(&self.delivery).await;
            if again.status == 200 {
                self.said.lock().unwrap().delivered_again += 1;
            }
        }
    }

    fn note(&mut self, ack: &Ack) {
        match (ack.status, ack.body.as_str()) {
            (200, "") => self.sent.acknowledged = true,
            // Nothing came back: it may have arrived.
            (0, _) => {}
            (status, body) => self.said.lock().unwrap().odd_answers.push(format!(
                "{}: {status} {}",
                self.sent.tag,
                shown(body)
            )),
        }
    }
}

/// What an ephemeral answer says.
fn shown(body: &str) -> String {
    let said = serde_json::from_str::<Value>(body).ok();
    said.and_then(|said| said["text"].as_str().map(str::to_owned))
        .unwrap_or_else(|| body.to_owned())
}
