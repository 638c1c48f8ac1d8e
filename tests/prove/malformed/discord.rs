//! Discord's half: the examples of its documentation and what it would tell us, spoilt, over signed HTTP and the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use midwatch::domain::InboundKey;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::mutate::{BYTES, MEANING, STRUCTURE, fill};
use super::tree::Tree;
use super::{
    BATCH, DONE_WITHIN, MORE_MEMORY_KB, MOST_MEMORY_KB, Memory, NOTHING_DONE, WHOLE_WITHIN,
    excerpt, now,
};
use crate::Round;
use crate::bot::{Bot, Home};
use crate::fakes::discord::{BEN, BOT_TOKEN, BOT_USER, FakeDiscord, GUILD, Seen};
use crate::forge::wire::{Answer, Wire};
use crate::lab::yard;

const CHANNELS: u32 = 16;
/// How long an interaction over the gateway may wait for its first answer. Discord waits three seconds; a busy machine
/// gets some more.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// A little longer than a connection has to live until waits begin anew.
const SETTLED: Duration = Duration::from_millis(10_500);
/// Of the gateway's events those about which midwatch does something.
const EVENTS: [&str; 9] = [
    "MESSAGE_CREATE",
    "MESSAGE_UPDATE",
    "INTERACTION_CREATE",
    "GUILD_CREATE",
    "CHANNEL_CREATE",
    "CHANNEL_UPDATE",
    "THREAD_CREATE",
    "THREAD_UPDATE",
    "THREAD_LIST_SYNC",
];
/// Gateway codes by which Discord ends a connection or a session: those come last.
const ENDINGS: [u64; 2] = [7, 9];

/// What is spoilt.
#[derive(Debug, Clone)]
struct Seed {
    name: String,
    payload: Value,
}

/// Objects of the documentation; `None` where they are not at hand.
fn seeds() -> Option<Vec<Seed>> {
    let folder = "../shared/fixtures/discord/docs-examples";
    let files = std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder)).ok()?;
    let mut seeds = Vec::new();
    for file in files {
        let path = file.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if path.extension().is_none_or(|it| it != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a payload");
        // Some examples are pieces, or have comments in them.
        if let Ok(payload @ Value::Object(_)) = serde_json::from_str(&text) {
            seeds.push(Seed { name, payload });
        }
    }
    seeds.sort_by(|one, two| one.name.cmp(&two.name));
    (!seeds.is_empty()).then_some(seeds)
}

/// By which way Discord tells us things: one app has one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Http,
    Gateway,
}

/// What was found; `None` where the examples are not at hand.
pub(super) async fn spoil_and_look(round: Round) -> Option<String> {
    let seeds = seeds()?;
    let [http, gateway] = round.shared();
    let http = through(Door::Http, http, seeds.clone()).await;
    let gateway = through(Door::Gateway, gateway, seeds).await;
    Some(format!("over HTTP: {http}; over the gateway: {gateway}"))
}

async fn through(door: Door, round: Round, seeds: Vec<Seed>) -> String {
    let mut random = StdRng::seed_from_u64(round.seed);
    let mut trial = Trial::begin(door, round.seed, seeds).await;
    let mut before = None;
    let mut number = 0;
    while number < round.rounds {
        let end = round.rounds.min(number + BATCH);
        while number < end {
            trial.round(number, &mut random).await;
            number += 1;
        }
        trial.await_answers().await;
        trial.is_well(number).await;
        before.get_or_insert_with(|| Memory::of(&trial.bot));
    }
    if door == Door::Gateway {
        trial.break_the_gateway().await;
        trial.is_well(number + 1).await;
    }
    trial.verdict(&before.expect("there was a round"))
}

/// A spoilt interaction that went over HTTP.
struct Mutant {
    story: String,
    bytes: Vec<u8>,
}

struct Trial {
    door: Door,
    seed: u64,
    discord: FakeDiscord,
    home: Home,
    bot: Bot,
    wire: Wire,
    seeds: Vec<Seed>,
    /// Interactions over the gateway that have to be answered, and their stories.
    owed: BTreeMap<String, String>,
    /// Interactions that were told that their answer comes later.
    deferred: BTreeMap<String, String>,
    genuine: BTreeSet<String>,
    /// What was answered over HTTP, by status and type.
    answers: BTreeMap<String, u32>,
    spoilt: BTreeMap<&'static str, u32>,
    frames: u32,
    answered: u32,
    /// Connections that the gateway has seen.
    connections: usize,
    largest: usize,
    sent: usize,
}

impl Trial {
    async fn begin(door: Door, seed: u64, seeds: Vec<Seed>) -> Self {
        let discord = FakeDiscord::start().await;
        discord.set_patience(ANSWERED_WITHIN);
        let channels: Vec<String> = (0..CHANNELS).map(channel).collect();
        for (number, id) in channels.iter().enumerate() {
            discord.add_channel(GUILD, id, &format!("yard-{number}"));
        }
        let home = yard(&channels, &format!("discord: \"{BEN}\""))
            .setting("DISCORD_TOKEN", BOT_TOKEN)
            .setting("DISCORD_API_URL", discord.api_url())
            // What midwatch holds is to be seen, and not what the allocator keeps by for each of its threads.
            .setting("MALLOC_ARENA_MAX", "1");
        let home = match door {
            Door::Http => home.setting("DISCORD_PUBLIC_KEY", discord.public_key()),
            Door::Gateway => home,
        };
        let bot = home.serve().await;
        if door == Door::Http {
            discord.use_http(&bot.url(""));
        }
        let registered = |it: &FakeDiscord| (!it.commands(GUILD).is_empty()).then_some(());
        discord.wait_for("/ops", WHOLE_WITHIN, registered).await;
        let mut trial = Self {
            door,
            seed,
            wire: Wire::to(bot.address),
            discord,
            home,
            bot,
            seeds,
            owed: BTreeMap::new(),
            deferred: BTreeMap::new(),
            genuine: BTreeSet::new(),
            answers: BTreeMap::new(),
            spoilt: BTreeMap::new(),
            frames: 0,
            answered: 0,
            connections: 0,
            largest: 0,
            sent: 0,
        };
        if door == Door::Gateway {
            trial.gateway_whole().await;
        }
        trial
    }

    async fn round(&mut self, number: u32, random: &mut StdRng) {
        match self.door {
            Door::Http => {
                let (name, payload) = self.interaction(number, random);
                self.by_http(&name, &payload, number, random).await;
            }
            Door::Gateway if random.random_bool(0.4) => {
                let (name, payload) = self.interaction(number, random);
                self.by_gateway(&name, "INTERACTION_CREATE", payload, number, random);
            }
            Door::Gateway => {
                let (name, event, payload) = self.event(number, random);
                self.by_gateway(&name, event, payload, number, random);
            }
        }
    }

    fn says(number: u32, random: &mut StdRng) -> String {
        let words = [
            "help",
            "list",
            "runs",
            "show 7f3k",
            "approve 7f3k",
            "mark",
            "runbook",
            "why 7f3k",
            "may mark x",
        ];
        match random.random_range(0..5) {
            0 => format!("mark mutant-{number}"),
            _ => (*words.choose(random).expect("some")).to_owned(),
        }
    }

    /// An interaction of our server: what the documentation shows, or what a person would do here.
    fn interaction(&self, number: u32, random: &mut StdRng) -> (String, Value) {
        let channel = channel(number % CHANNELS);
        let says = Self::says(number, random);
        let kind = random.random_range(2..6);
        let option = |name: &str, options: Value| json!({ "name": "ops", "type": 1, "options": [{ "type": 1, "name": name, "options": options }] });
        let data = match kind {
            2 if random.random() => {
                option("say", json!([{ "type": 3, "name": "text", "value": says }]))
            }
            2 => option(
                "mark",
                json!([{ "type": 3, "name": "tag", "value": format!("mutant-{number}") }]),
            ),
            3 => json!({ "component_type": 2, "custom_id": format!("say-0:{says}") }),
            4 => option(
                "say",
                json!([{ "type": 3, "name": "text", "value": says, "focused": true }]),
            ),
            _ => {
                let field =
                    json!({ "type": 4, "custom_id": "tag", "value": format!("mutant-{number}") });
                json!({ "custom_id": "form:mark", "components": [{ "type": 18, "component": field }] })
            }
        };
        let ours = self.discord.payload_of(kind, &channel, BEN, data);
        if random.random_bool(0.6) {
            return (format!("our own interaction of type {kind}"), ours);
        }
        let shown = self
            .seeds
            .iter()
            .filter(|seed| is_interaction(&seed.payload));
        let shown: Vec<&Seed> = shown.collect();
        let seed = *shown.choose(random).expect("there are examples of them");
        let mut payload = seed.payload.clone();
        if random.random_bool(0.8) {
            for key in [
                "id",
                "token",
                "type",
                "guild_id",
                "channel_id",
                "channel",
                "member",
            ] {
                payload[key] = ours[key].clone();
            }
        }
        if random.random_bool(0.5) {
            payload["data"] = ours["data"].clone();
        }
        (seed.name.clone(), payload)
    }

    /// What else the gateway tells: messages to us, rooms, and any object of the documentation in their place.
    fn event(&self, number: u32, random: &mut StdRng) -> (String, &'static str, Value) {
        let event = *EVENTS.choose(random).expect("some");
        let channel = channel(number % CHANNELS);
        if random.random_bool(0.5) {
            let content = format!("<@{BOT_USER}> {}", Self::says(number, random));
            let id = ((u64::try_from(now()).expect("after 1970") * 1_000 - 1_420_070_400_000)
                << 22)
                + u64::from(number);
            let message = json!({
                "id": id.to_string(), "channel_id": channel, "guild_id": GUILD, "type": 0, "content": content,
                "author": { "id": BEN, "username": "ben" }, "edited_timestamp": "2026-11-30T12:00:00.000000+00:00",
                "mentions": [{ "id": BOT_USER }], "attachments": [], "embeds": [], "flags": 0,
            });
            let event = *["MESSAGE_CREATE", "MESSAGE_CREATE", "MESSAGE_UPDATE"]
                .choose(random)
                .expect("some");
            return ("a message to us".to_owned(), event, message);
        }
        let seed = self.seeds.choose(random).expect("there are examples");
        let mut payload = seed.payload.clone();
        if random.random_bool(0.5) {
            payload["channel_id"] = channel.into();
            payload["guild_id"] = GUILD.into();
        }
        (seed.name.clone(), event, payload)
    }

    fn spoil(&mut self, tree: &mut Tree, story: &mut String, random: &mut StdRng) {
        for _ in 0..*[0, 1, 1, 1, 2, 3].choose(random).expect("some") {
            let ways = if random.random_bool(0.4) {
                MEANING
            } else {
                STRUCTURE
            };
            let (name, spoil) = ways.choose(random).expect("there are ways");
            spoil(tree, random);
            self.note(name, story);
        }
    }

    fn spoil_bytes(
        &mut self,
        whole: &[u8],
        bytes: &mut Vec<u8>,
        story: &mut String,
        random: &mut StdRng,
    ) {
        while *bytes == whole || random.random_bool(0.05) {
            let (name, spoil) = BYTES.choose(random).expect("there are ways");
            spoil(bytes, random);
            self.note(name, story);
        }
    }

    fn note(&mut self, name: &'static str, story: &mut String) {
        *self.spoilt.entry(name).or_default() += 1;
        story.push_str("; ");
        story.push_str(name);
    }

    async fn by_http(&mut self, name: &str, payload: &Value, number: u32, random: &mut StdRng) {
        let mut story = format!("mutant {number} of {name}");
        let mut tree = Tree::from(payload);
        let whole = tree.bytes();
        self.spoil(&mut tree, &mut story, random);
        let mut bytes = tree.bytes();
        if random.random_bool(0.01) {
            fill(&mut bytes, true, random);
            self.note("as large as the limit, or larger", &mut story);
        }
        self.spoil_bytes(&whole, &mut bytes, &mut story, random);
        self.largest = self.largest.max(bytes.len());
        self.sent += bytes.len();
        let mutant = Mutant { story, bytes };
        let request = self.request(&mutant.bytes, random);
        match self.wire.send(&request).await {
            Some(answer) => self.judge(&mutant, &answer),
            None => self.fail(&format!("no answer to {}", mutant.story)),
        }
    }

    /// The signed request. How the body is named is nothing that Discord promises.
    fn request(&self, bytes: &[u8], random: &mut StdRng) -> Vec<u8> {
        let kinds = ["application/json", "text/plain; charset=utf-16", ""];
        let kind = kinds.choose(random).expect("some");
        let mut head = format!(
            "POST /discord/interactions HTTP/1.1\r\nhost: midwatch\r\ncontent-type: {kind}\r\n"
        );
        for (name, value) in self.discord.signed(now(), bytes) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let odd = ["content-encoding: gzip\r\n", "accept: image/png\r\n", ""];
        head.push_str(odd.choose(random).expect("some"));
        head.push_str(&format!("content-length: {}\r\n\r\n", bytes.len()));
        [head.as_bytes(), bytes].concat()
    }

    /// Whether the answer says clearly what became of the mutant.
    fn judge(&mut self, mutant: &Mutant, answer: &Answer) {
        let text = answer.text();
        let payload: Option<Value> = serde_json::from_slice(&mutant.bytes).ok();
        let kind = payload.as_ref().and_then(|it| it["type"].as_u64());
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        let words = told["data"]["content"].as_str().unwrap_or_default();
        let (clear, word) = match (answer.status, told["type"].as_u64()) {
            (200, Some(1)) => (kind == Some(1), "pong"),
            (200, Some(4)) => (
                matches!(kind, Some(2 | 3 | 5)) && !words.is_empty(),
                if words.contains(NOTHING_DONE) {
                    "says that nothing was done"
                } else {
                    "says something"
                },
            ),
            (200, Some(5)) => (matches!(kind, Some(2 | 5)), "comes later"),
            (200, Some(6)) => (matches!(kind, Some(3 | 5)), "the message stays"),
            (200, Some(8)) => (
                kind == Some(4) && told["data"]["choices"].is_array(),
                "choices",
            ),
            (200, Some(9)) => (told["data"]["custom_id"].is_string(), "a form"),
            (400..500, _) => (text.len() > 8, "says why"),
            _ => (false, ""),
        };
        if !clear {
            self.fail(&format!(
                "{} was answered {} `{text}`; it was sent as\n{}",
                mutant.story,
                answer.status,
                excerpt(&mutant.bytes)
            ));
        }
        if word == "comes later" {
            let payload = payload.as_ref().expect("it was read");
            let id = payload["id"].as_str().unwrap_or_default().to_owned();
            let sent = excerpt(&mutant.bytes);
            self.deferred
                .insert(id, format!("{}\n{sent}", mutant.story));
        }
        let what = format!("{} {word}", answer.status);
        *self.answers.entry(what).or_default() += 1;
    }

    fn by_gateway(
        &mut self,
        name: &str,
        event: &str,
        payload: Value,
        number: u32,
        random: &mut StdRng,
    ) {
        let mut story = format!("mutant {number} of {name} as {event}");
        let before = [&payload["id"], &payload["token"], &payload["type"]].map(Clone::clone);
        let frame = json!({ "op": 0, "t": event, "s": 1, "d": payload });
        let mut tree = Tree::from(&frame);
        let whole = tree.bytes();
        self.spoil(&mut tree, &mut story, random);
        let mut bytes = tree.bytes();
        self.spoil_bytes(&whole, &mut bytes, &mut story, random);
        // What is no text breaks the connection by the protocol's own rules: that comes last.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let read: Value = serde_json::from_str(&text).unwrap_or_default();
        if read["op"].as_u64().is_some_and(|op| ENDINGS.contains(&op)) {
            return;
        }
        let data = &read["d"];
        let is_heard = read["op"] == 0 && read["t"] == "INTERACTION_CREATE";
        // The same act with the same token: Discord waits for an answer, and knows which kinds fit.
        let is_act = [&data["id"], &data["token"], &data["type"]] == before.each_ref();
        let fits = data["type"].as_u64().is_some() && !data["message"].is_object();
        if is_heard
            && is_act
            && fits
            && let Some(id) = data["id"].as_str()
        {
            self.owe(id, &story);
        }
        self.largest = self.largest.max(text.len());
        self.sent += text.len();
        self.frames += 1;
        self.discord.send_raw(&text);
    }

    /// Unless it is one of the documentation's, which nobody here pressed.
    fn owe(&mut self, id: &str, story: &str) {
        if self.discord.knows(id) {
            self.owed.insert(id.to_owned(), story.to_owned());
        }
    }

    async fn await_answers(&mut self) {
        let deadline = Instant::now() + ANSWERED_WITHIN;
        for (id, story) in std::mem::take(&mut self.owed) {
            while matches!(self.discord.seen(&id), Seen::Waiting) {
                self.still_connected();
                if Instant::now() > deadline {
                    let log = self.home.log();
                    let why = log.lines().rfind(|line| line.contains("is not answered"));
                    self.fail(&format!("nobody answered {story}: {why:?}"));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.answered += 1;
        }
    }

    /// Nothing that can be read as text is a reason to connect anew; that a busy machine was silent for four seconds is.
    fn still_connected(&self) {
        let opened = self.discord.connections_opened();
        if opened != self.connections
            && opened > self.connections + self.home.log().matches("gateway is silent").count()
        {
            self.fail("a mutant ended the gateway's connection");
        }
    }

    /// Ready, whole, and a genuine command is done over each way in.
    async fn is_well(&mut self, number: u32) {
        if !self.bot.is_ready().await {
            self.fail(&format!("not ready after {number} mutants"));
        }
        self.still_connected();
        let channel = channel(number % CHANNELS);
        let slashed = format!("genuine-slash-{number}");
        let options = [("tag", slashed.as_str())];
        let answer = self.discord.slash(&channel, BEN, "mark", &options).await;
        if matches!(answer.seen, Seen::Unanswered | Seen::Waiting) {
            self.fail(&format!(
                "a genuine command was not taken after {number} mutants: {answer:?}"
            ));
        }
        self.genuine.insert(slashed);
        if self.door == Door::Gateway {
            let mentioned = format!("genuine-mention-{number}");
            let said = format!("mark {mentioned}");
            self.discord.mention(&channel, BEN, &said);
            self.genuine.insert(mentioned);
        }
        let deadline = Instant::now() + DONE_WITHIN;
        while !self.genuine.is_subset(&self.marks()) {
            if Instant::now() > deadline {
                self.fail(&format!(
                    "a genuine command was not done after {number} mutants"
                ));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn marks(&self) -> BTreeSet<String> {
        let marks = std::fs::read_to_string(self.home.path("marks")).unwrap_or_default();
        marks.lines().map(str::to_owned).collect()
    }

    /// A frame that no websocket may take, and sessions that can't be resumed where Discord says: each time midwatch finds
    /// its way back.
    async fn break_the_gateway(&mut self) {
        let lost = |address: &str| {
            let data = json!({ "session_id": "lost", "resume_gateway_url": address });
            json!({ "op": 0, "t": "READY", "s": 1, "d": data }).to_string()
        };
        self.discord.send_bytes(b"{\"op\":\"\xff\"}");
        self.reconnected("a frame that is no text").await;
        for address in ["wss://elsewhere.test", "ws://127.0.0.1:1"] {
            // A connection that lived so long was a good one: the next is not put off for the sake of others.
            tokio::time::sleep(SETTLED).await;
            self.discord.send_raw(&lost(address));
            // In its order: the frame is read before the end of the connection.
            self.discord.cut_gateway();
            self.reconnected(&format!("a session that is to be resumed at `{address}`"))
                .await;
        }
    }

    async fn reconnected(&mut self, after: &str) {
        let deadline = Instant::now() + WHOLE_WITHIN;
        let is_back = |it: &Self| {
            it.discord.connections_opened() > it.connections && it.discord.listening() == 1
        };
        while !is_back(self) {
            if Instant::now() > deadline {
                self.fail(&format!("the gateway is not connected again after {after}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.gateway_whole().await;
    }

    async fn gateway_whole(&mut self) {
        let whole = |discord: &FakeDiscord| (discord.listening() == 1).then_some(());
        self.discord
            .wait_for("a session", WHOLE_WITHIN, whole)
            .await;
        self.connections = self.discord.connections_opened();
    }

    fn verdict(self, before: &Memory) -> String {
        let after = Memory::of(&self.bot);
        let log = self.home.log();
        let bad = log
            .lines()
            .find(|line| line.contains("panicked") || line.contains(" ERROR "));
        if let Some(line) = bad {
            self.fail(&format!("the log says: {line}"));
        }
        if self.discord.transcript().contains('💥') {
            self.fail("a fault is told");
        }
        let (more, most) = (
            after.now_kb.saturating_sub(before.now_kb),
            after.most_kb.saturating_sub(before.now_kb),
        );
        if more > MORE_MEMORY_KB || most > MOST_MEMORY_KB {
            self.fail(&format!("memory is not bounded: {before:?}, {after:?}"));
        }
        let inbounds = self.look_at_the_record();
        let heard = match self.door {
            Door::Http => format!("answered {:?}", self.answers),
            Door::Gateway => format!(
                "{} frames, none ended the connection, all {} interactions answered that could be",
                self.frames, self.answered
            ),
        };
        format!(
            "{} ways of spoiling; {heard}; {} were recorded as inbounds; {} genuine commands done in between; {} MB sent, the largest {} kB; memory {} → {} MB, \
             never more than {}",
            self.spoilt.len(),
            inbounds - self.genuine.len(),
            self.genuine.len(),
            self.sent / 1_000_000,
            self.largest / 1_000,
            before.now_kb / 1_000,
            after.now_kb / 1_000,
            after.most_kb / 1_000,
        )
    }

    /// The ledger is sound, and what was told that its answer comes later stands in it. How many inbounds there are.
    fn look_at_the_record(&self) -> usize {
        let verified = self.home.run(&["ledger", "verify"], "");
        if !verified.status.success() {
            self.fail(&String::from_utf8_lossy(&verified.stdout));
        }
        let export = self.home.run(&["ledger", "export"], "");
        let export = String::from_utf8_lossy(&export.stdout);
        for (id, story) in &self.deferred {
            let key = InboundKey::new(&["discord", "interaction", id]);
            let key = serde_json::to_string(&key).expect("a key is text");
            if !export.contains(&format!("\"inbound\":{key}")) {
                self.fail(&format!(
                    "an answer is promised and nothing was taken: {story}"
                ));
            }
        }
        export.matches("\"kind\":\"received\"").count()
    }

    fn fail(&self, what: &str) -> ! {
        let log = self.home.log();
        let from = log.ceil_char_boundary(log.len().saturating_sub(2_000));
        panic!(
            "Discord: {what}\nagain with --seed {}; the end of the log:\n{}",
            self.seed,
            &log[from..]
        );
    }
}

fn is_interaction(payload: &Value) -> bool {
    payload["type"].is_u64() && payload["data"].is_object()
}

fn channel(number: u32) -> String {
    (812_000_000_000_000_000 + u64::from(number)).to_string()
}
