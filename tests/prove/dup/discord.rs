//! Discord by one of its doors: over the gateway, where each replica has a session and hears everything, messages too; or
//! over HTTP, where a proxy before the replicas repeats what it got no answer to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::people::{Line, Part, Platform, Thing, Told};
use super::yard::{KINDS, Kind, LEADS, TYPISTS};
use crate::bot::Home;
use crate::fakes::discord::{BOT_TOKEN, BOT_USER, FakeDiscord, Order, Posted, Seen};

/// How long Discord waits for the first answer to an interaction. The fake waits longer: a proxy repeats some much later.
const PATIENCE: Duration = Duration::from_secs(3);
const COMPONENT: u64 = 3;
/// The button that stands in for a form.
const FILL_IN: &str = "Fill in";
/// Which telling's answer a proxy hands on, at most: those before were lost on their way.
const LOST_AT_MOST: usize = 3;
/// What was said lately, and is told again while a connection is away.
const LATELY: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Http,
    Gateway,
}

pub(super) struct Discord {
    fake: FakeDiscord,
    door: Door,
    /// Two replicas hear it.
    two: bool,
    channels: Vec<String>,
    said: Mutex<Vec<Posted>>,
    acts: AtomicUsize,
}

/// What Discord tells.
#[derive(Clone)]
pub(super) enum Delivery {
    Message(Box<Posted>),
    Act(Act),
}

/// An interaction.
#[derive(Clone)]
pub(super) struct Act {
    payload: Value,
    /// What will run once the form is filled in that answers this.
    opens: Option<(&'static Kind, String)>,
    user: &'static str,
    /// Tellings so far, and the one whose answer arrives.
    told: Arc<AtomicUsize>,
    arrives: usize,
}

/// A server for each channel: edits are paced by server, and waiting proves nothing.
fn guild(channel: &str) -> String {
    channel.replacen("812", "802", 1)
}

pub(super) fn channel(number: usize) -> String {
    (812_000_000_000_000_000 + number).to_string()
}

impl Discord {
    pub(super) async fn with(door: Door, channels: &[String]) -> Self {
        let discord = FakeDiscord::start().await;
        discord.set_patience(5 * PATIENCE);
        // Two replicas can't know of each other's sessions: they would be told to wait, and waiting proves nothing.
        discord.set_identify_pause(Duration::ZERO);
        for person in &TYPISTS {
            discord.add_user(person.discord, "somebody");
        }
        for channel in channels {
            discord.add_guild(&guild(channel), "yard");
            discord.add_channel(&guild(channel), channel, "talk");
            for person in TYPISTS.iter().chain(&LEADS) {
                discord.join(&guild(channel), person.discord);
            }
        }
        Self {
            fake: discord,
            door,
            two: false,
            channels: channels.to_vec(),
            said: Mutex::default(),
            acts: AtomicUsize::default(),
        }
    }

    /// As one for two replicas: neither knows what the other called, nor what it was told to wait.
    pub(super) fn for_two(self) -> Self {
        self.fake.keep_pace(false);
        Self { two: true, ..self }
    }

    /// An interaction, with nothing that it runs.
    fn act(&self, channel: &str, user: &'static str, payload: Value) -> Thing<Delivery> {
        let id = payload["id"].as_str().unwrap();
        let number = self.acts.fetch_add(1, Ordering::Relaxed);
        Thing {
            key: format!("discord:interaction:{id}"),
            channel: channel.to_owned(),
            runs: None,
            told_as: Arc::new(vec![Delivery::Act(Act {
                opens: None,
                user,
                told: Arc::default(),
                arrives: number % (LOST_AT_MOST + 1),
                payload,
            })]),
        }
    }

    fn mention(&self, user: &str, channel: &str, text: &str) -> Thing<Delivery> {
        let said = self.fake.mention(channel, user, text);
        let mut lately = self.said.lock().unwrap();
        lately.push(said.clone());
        Thing {
            key: format!("discord:message:{}", said.id),
            channel: channel.to_owned(),
            runs: None,
            told_as: Arc::new(vec![Delivery::Message(Box::new(said))]),
        }
    }

    /// A command without its argument, which a form asks for.
    fn incomplete(
        &self,
        user: &'static str,
        channel: &str,
        runs: (&'static Kind, String),
    ) -> Thing<Delivery> {
        let text = [("text", runs.0.name)];
        let payload = self.fake.slash_payload(channel, user, "say", &text);
        opening(self.act(channel, user, payload), runs)
    }

    /// What they do who want to fill in a form: fill in what was opened, press the button that stands in for it, or type it
    /// again where they are told that it got lost.
    fn goes_on(&self, act: &Act, channel: &str) -> Option<Thing<Delivery>> {
        let runs = act.opens.clone()?;
        let id = act.payload["id"].as_str().unwrap();
        let mut forms = self.fake.modals(act.user).into_iter();
        if let Some(form) = forms.find(|form| form.interaction == id) {
            let payload = self.fake.submit_payload(&form, &[("tag", &runs.1)]);
            return Some(Thing {
                runs: Some(runs),
                ..self.act(channel, act.user, payload)
            });
        }
        let whispers = self.fake.whispers(act.user).into_iter();
        let mut mine = whispers.filter(|it| it.interaction["id"] == id);
        let whisper = mine.next_back()?;
        let text = whisper.text();
        if text.contains(&format!("[{FILL_IN}]")) {
            let payload = self.fake.click_payload(&whisper, FILL_IN, act.user);
            return Some(opening(self.act(channel, act.user, payload), runs));
        }
        let again = text.contains("came in twice");
        again.then(|| self.incomplete(act.user, channel, runs))
    }

    /// Tells all sessions, and waits for the answer.
    async fn over_the_gateway(&self, delivery: &Delivery) -> Option<String> {
        match delivery {
            Delivery::Message(message) => {
                self.fake.tell_again(message);
                None
            }
            Delivery::Act(act) => {
                let answered = self.fake.deliver(&act.payload).await;
                wrong_sight(&answered.seen)
            }
        }
    }

    /// Tells one, and hands the answer on if it is the one that arrives.
    async fn over_http(&self, act: &Act, address: &str) -> Option<String> {
        let number = act.told.fetch_add(1, Ordering::Relaxed);
        let answer = self.fake.request(address, &act.payload, PATIENCE).await;
        let Some((200, body)) = answer else {
            return Some(format!("{answer:?}"));
        };
        let said: Value = serde_json::from_str(&body).unwrap_or_default();
        if number == act.arrives {
            self.fake
                .take_answer(act.payload["id"].as_str().unwrap(), &body);
        }
        let words = said["data"]["content"].as_str().unwrap_or_default();
        let fine = [4, 5, 6, 9].map(Value::from).contains(&said["type"]) && !denies(words);
        (!fine).then_some(body)
    }
}

/// An interaction that is answered by a form.
fn opening(thing: Thing<Delivery>, runs: (&'static Kind, String)) -> Thing<Delivery> {
    let told_as = thing.told_as.iter().cloned().map(|told| match told {
        Delivery::Act(act) => Delivery::Act(Act {
            opens: Some(runs.clone()),
            ..act
        }),
        Delivery::Message(_) => told,
    });
    Thing {
        told_as: Arc::new(told_as.collect()),
        ..thing
    }
}

/// Everything that is said here is done, or was: whoever is told otherwise types it again.
fn denies(words: &str) -> bool {
    words.contains("nothing was done")
}

fn wrong_sight(seen: &Seen) -> Option<String> {
    let wrong = match seen {
        Seen::Waiting | Seen::Unanswered => true,
        Seen::Message(_) | Seen::Whisper(_) => seen.text().is_some_and(|words| denies(&words)),
        Seen::Thinking { .. } | Seen::Form(_) | Seen::Choices(_) | Seen::Nothing => false,
    };
    wrong.then(|| format!("{seen:?}"))
}

#[async_trait]
impl Platform for Discord {
    type Delivery = Delivery;

    fn settings(&self, home: Home) -> Home {
        let home = home
            .setting("DISCORD_TOKEN", BOT_TOKEN)
            .setting("DISCORD_API_URL", self.fake.api_url());
        match self.door {
            Door::Http => home.setting("DISCORD_PUBLIC_KEY", self.fake.public_key()),
            Door::Gateway => home,
        }
    }

    fn hears(&self, replicas: usize) -> bool {
        let listening = self.door == Door::Http || self.fake.listening() == replicas;
        let offered = |channel: &String| !self.fake.commands(&guild(channel)).is_empty();
        listening && self.channels.iter().all(offered)
    }

    /// Over the gateway each replica hears everything, and reads messages again when it was deaf.
    fn counts_more(&self) -> bool {
        let reads = !self.said.lock().unwrap().is_empty();
        self.door == Door::Gateway && (self.two || reads)
    }

    fn say(&self, number: usize, channel: &str, random: &mut StdRng) -> Thing<Delivery> {
        let kind = &KINDS[number % KINDS.len()];
        let tag = format!("t{number}");
        let user = TYPISTS.choose(random).unwrap().discord;
        let thing = match (random.random_range(0..10), self.door) {
            (0..4, Door::Gateway) => self.mention(user, channel, &format!("{} {tag}", kind.name)),
            // Of two replicas one may open the form while only the other's answer to the press arrives: then whoever
            // pressed sees nothing and presses again, which is not told here.
            (4..6, _) if !self.two => return self.incomplete(user, channel, (kind, tag)),
            (6..8, _) => {
                let says = format!("say-0:{} {tag}", kind.name);
                let data = json!({ "component_type": 2, "custom_id": says });
                let payload = self.fake.payload_of(COMPONENT, channel, user, data);
                self.act(channel, user, payload)
            }
            _ => {
                let options = [("tag", tag.as_str())];
                let payload = self.fake.slash_payload(channel, user, kind.name, &options);
                self.act(channel, user, payload)
            }
        };
        Thing {
            runs: Some((kind, tag)),
            ..thing
        }
    }

    /// They fill in forms; those who lead press `Approve` wherever they see it.
    fn next(&self, of: &Thing<Delivery>) -> Option<Vec<Thing<Delivery>>> {
        if let Delivery::Act(act) = &of.told_as[0]
            && act.opens.is_some()
        {
            return Some(vec![self.goes_on(act, &of.channel)?]);
        }
        if !of.awaits_consent() {
            return Some(Vec::new());
        }
        let (_, tag) = of.runs.as_ref()?;
        let root = self.fake.messages(&of.channel).into_iter();
        let root = root
            .filter(|it| it.author == BOT_USER)
            .find(|it| tag_of(it).as_ref() == Some(tag))?;
        let thread = self.fake.thread_of(&root.id).unwrap_or_default();
        let mut asking = std::iter::once(root).chain(thread);
        let asking = asking.find(|it| it.text().contains("[Approve]"))?;
        let presses = LEADS.iter().map(|lead| {
            let payload = self.fake.click_payload(&asking, "Approve", lead.discord);
            self.act(&of.channel, lead.discord, payload)
        });
        Some(presses.collect())
    }

    async fn tell(
        &self,
        thing: &Thing<Delivery>,
        addresses: &[String],
        random: &mut StdRng,
    ) -> Told {
        let delivery = &thing.told_as[0];
        let by_http = self.door == Door::Http;
        let wrong = match delivery {
            Delivery::Act(act) if by_http => {
                let address = &addresses[random.random_range(0..addresses.len())];
                self.over_http(act, address).await
            }
            _ => self.over_the_gateway(delivery).await,
        };
        Told {
            by_http,
            as_retry: false,
            wrong,
        }
    }

    /// A connection is cut, sent away, or its session is forgotten; the one that is alone hears afterwards what was told
    /// again meanwhile.
    fn trouble(&self, alone: bool, random: &mut StdRng) {
        let connections = self.fake.connections();
        let Some(connection) = connections.choose(random) else {
            return;
        };
        let op = |op: u64, data: Value| Order::Send(json!({ "op": op, "d": data }).to_string());
        let order = match random.random_range(0..if alone { 4 } else { 5 }) {
            0 => Order::Cut,
            1 => Order::Close(4000, "as you were told"),
            2 => op(7, Value::Null),
            3 => op(9, true.into()),
            _ => op(9, false.into()),
        };
        self.fake.order_connection(*connection, order);
        if alone {
            let said = self.said.lock().unwrap();
            for message in said.iter().rev().take(LATELY) {
                self.fake.tell_again(message);
            }
        }
    }

    /// Discord keeps no mark but the nonce. A root shows the tag of its command, and a thread has its root's id.
    fn lines(&self, things: &[Thing<Delivery>]) -> Vec<Line> {
        let runs = things.iter().filter_map(|thing| {
            let (_, tag) = thing.runs.as_ref()?;
            Some((tag.clone(), thing.run()))
        });
        let runs: HashMap<_, _> = runs.collect();
        let mut lines = Vec::new();
        let ours = |channel: &str| -> Vec<Posted> {
            let messages = self.fake.messages(channel).into_iter();
            messages.filter(|it| it.author == BOT_USER).collect()
        };
        let line = |message: &Posted, part: Part| Line {
            mark: format!("{} in {}", message.nonce, message.channel),
            says: message.text(),
            part,
        };
        for channel in &self.channels {
            let mut run_of = HashMap::new();
            for root in ours(channel) {
                // Its reference is what a restart knows it by.
                let run = tag_of(&root)
                    .and_then(|tag| runs.get(&tag))
                    .filter(|run| root.text().contains(run.reference(4).as_str()));
                let part = run.map_or(Part::Stray, |run| Part::Root(run.to_string()));
                run_of.insert(root.id.clone(), run.copied());
                lines.push(line(&root, part));
            }
            for thread in self.fake.threads(channel) {
                let run = run_of.get(&thread).copied().flatten();
                lines.extend(ours(&thread).iter().map(|message| {
                    let part = run.map_or(Part::Stray, |run| Part::Line(run.to_string()));
                    line(message, part)
                }));
            }
        }
        for person in TYPISTS.iter().chain(&LEADS) {
            let direct = self.fake.direct_messages(person.discord);
            lines.extend(direct.iter().map(|message| line(message, Part::Stray)));
        }
        lines
    }

    /// Whose interaction shows no answer, or thinks for ever.
    fn misanswers(&self, things: &[Thing<Delivery>]) -> Vec<String> {
        let wrong = things.iter().filter_map(|thing| {
            let Delivery::Act(act) = &thing.told_as[0] else {
                return None;
            };
            let seen = self.fake.seen(act.payload["id"].as_str().unwrap());
            let thinks =
                matches!(seen, Seen::Thinking { .. }).then(|| "it thinks for ever".to_owned());
            let why = wrong_sight(&seen).or(thinks)?;
            Some(format!("{}: {why}", thing.key))
        });
        wrong.collect()
    }

    fn violations(&self) -> Vec<String> {
        self.fake.violations()
    }
}

/// The tag that a root names.
fn tag_of(root: &Posted) -> Option<String> {
    let text = root.text();
    let (_, after) = text.split_once("tag=")?;
    let tag = after.chars().take_while(char::is_ascii_alphanumeric);
    Some(tag.collect())
}
