//! Payloads spoilt in their structure, their form and their bytes, on every way in: midwatch takes or refuses each, says
//! which, and is none the worse for it.
//!
//! The real program over signed HTTP and Socket Mode at once, and over signed HTTP and Discord's gateway. Between batches a
//! genuine command has to run.

mod discord;
mod mutate;
mod seeds;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use midwatch::clock::Clock;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::mutate::{BYTES, FORM, MEANING, STRUCTURE, fill};
use self::seeds::{SPEAKER, Seed, at_home};
use self::tree::{Tree, encoded};
use super::{Found, Round};
use crate::bot::{Bot, Home};
use crate::fakes::slack::{APP_TOKEN, BOT_TOKEN, FakeSlack, Kind, SIGNING_SECRET, signed};
use crate::forge::wire::{Answer, Wire};
use crate::lab::yard;

/// Mutants between two looks at how midwatch is.
const BATCH: u32 = 100;
/// How long a genuine command may take to be done among all that.
const DONE_WITHIN: Duration = Duration::from_secs(15);
/// How long an envelope may wait for its acknowledgement.
const ACK_WITHIN: Duration = Duration::from_secs(6);
/// How long broken sockets may take to be whole again.
const WHOLE_WITHIN: Duration = Duration::from_secs(30);
/// So much more memory may be in use afterwards: some pages of the database, and holes between what is still used. It is
/// less than a tenth of what 10,000 mutants weigh.
const MORE_MEMORY_KB: u64 = 32 << 10;
/// And so much more at any moment: 64 envelopes of a socket at once, and what a JSON text of a MiB becomes when it is read.
const MOST_MEMORY_KB: u64 = 160 << 10;
/// What midwatch says when it takes nothing at the moment, or did not understand.
const NOTHING_DONE: &str = "nothing was done";

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let Some(seeds) = seeds::all() else {
        return Found::Missing("there are no payloads in ../shared/fixtures/slack".to_owned());
    };
    if std::fs::metadata("/proc/self/status").is_err() {
        return Found::Missing("no /proc tells how much memory a process has".to_owned());
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let [slack, discord] = round.shared();
    let slack = runtime.block_on(spoil_and_look(slack, seeds));
    match runtime.block_on(discord::spoil_and_look(discord)) {
        Some(discord) => Found::Held(format!("Slack: {slack}; Discord: {discord}")),
        None => Found::Missing("there are no payloads in ../shared/fixtures/discord".to_owned()),
    }
}

async fn spoil_and_look(round: Round, seeds: Vec<Seed>) -> String {
    let mut random = StdRng::seed_from_u64(round.seed);
    let mut trial = Trial::begin(round.seed, seeds).await;
    let mut before = None;
    let mut number = 0;
    while number < round.rounds {
        let end = round.rounds.min(number + BATCH);
        while number < end {
            trial.round(number, &mut random).await;
            number += 1;
        }
        trial.await_acknowledgements().await;
        trial.is_well(number).await;
        before.get_or_insert_with(|| Memory::of(&trial.bot));
    }
    trial.break_sockets(&mut random).await;
    trial.is_well(u32::MAX).await;
    trial.verdict(&before.expect("there was a round"))
}

/// A spoilt payload and how it is sent.
struct Mutant {
    /// What it was made of and what was done to it.
    story: String,
    kind: Kind,
    bytes: Vec<u8>,
}

struct Trial {
    seed: u64,
    slack: FakeSlack,
    home: Home,
    bot: Bot,
    wire: Wire,
    channels: Vec<String>,
    seeds: Vec<Seed>,
    /// Envelopes that have to be acknowledged, and their stories.
    unacknowledged: BTreeMap<String, String>,
    /// Genuine commands so far.
    genuine: BTreeSet<String>,
    /// What was answered over HTTP, by status, and in which words.
    answers: BTreeMap<String, u32>,
    spoilt: BTreeMap<&'static str, u32>,
    envelopes: u32,
    acknowledged: u32,
    largest: usize,
    sent: usize,
}

impl Trial {
    async fn begin(seed: u64, seeds: Vec<Seed>) -> Self {
        let slack = FakeSlack::start().await;
        let channels: Vec<String> = (10..26).map(|number| format!("C{number}")).collect();
        for channel in &channels {
            slack.add_channel(channel, true);
        }
        let home = yard(&channels, &format!("slack: {SPEAKER}"))
            .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
            .setting("SLACK_APP_TOKEN", APP_TOKEN)
            .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
            .setting("SLACK_API_URL", slack.api_url())
            // What midwatch holds is to be seen, and not what the allocator keeps by for each of its threads.
            .setting("MALLOC_ARENA_MAX", "1");
        let bot = home.serve().await;
        let trial = Self {
            seed,
            slack,
            wire: Wire::to(bot.address),
            home,
            bot,
            channels,
            seeds,
            unacknowledged: BTreeMap::new(),
            genuine: BTreeSet::new(),
            answers: BTreeMap::new(),
            spoilt: BTreeMap::new(),
            envelopes: 0,
            acknowledged: 0,
            largest: 0,
            sent: 0,
        };
        trial.sockets_whole().await;
        trial
    }

    async fn round(&mut self, number: u32, random: &mut StdRng) {
        let weighed = self
            .seeds
            .choose_weighted(random, |seed| if is_for_us(seed) { 6 } else { 1 });
        let seed = weighed.expect("there are fixtures").clone();
        let mut payload = seed.payload.clone();
        if random.random_bool(0.8) {
            at_home(&mut payload, number, now(), random);
        }
        if random.random_bool(0.35) {
            self.by_socket(&seed, payload, number, random);
        } else {
            self.by_http(&seed, &payload, number, random).await;
        }
    }

    /// Spoils the tree one to three times, or leaves it to be spoilt as bytes.
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

    fn note(&mut self, name: &'static str, story: &mut String) {
        *self.spoilt.entry(name).or_default() += 1;
        story.push_str("; ");
        story.push_str(name);
    }

    async fn by_http(&mut self, seed: &Seed, payload: &Value, number: u32, random: &mut StdRng) {
        let mut story = format!("mutant {number} of {}", seed.name);
        let mut tree = Tree::from(payload);
        let whole = spelt(seed.kind, &tree);
        self.spoil(&mut tree, &mut story, random);
        let mut bytes = spelt(seed.kind, &tree);
        if seed.kind != Kind::Event && random.random_bool(0.2) {
            let (name, spoil) = FORM.choose(random).expect("there are ways");
            spoil(&mut bytes, random);
            self.note(name, &mut story);
        }
        if random.random_bool(0.01) {
            fill(&mut bytes, seed.kind == Kind::Event, random);
            self.note("as large as the limit, or larger", &mut story);
        }
        while bytes == whole || random.random_bool(0.05) {
            let (name, spoil) = BYTES.choose(random).expect("there are ways");
            spoil(&mut bytes, random);
            self.note(name, &mut story);
        }
        self.largest = self.largest.max(bytes.len());
        self.sent += bytes.len();
        let mutant = Mutant {
            story,
            kind: seed.kind,
            bytes,
        };
        let request = self.request(&mutant, random);
        match self.wire.send(&request).await {
            Some(answer) => self.judge(&mutant, &answer),
            None => self.fail(&format!("no answer to {}", mutant.story)),
        }
    }

    /// The signed request. How the body is framed and named is nothing that Slack promises.
    fn request(&mut self, mutant: &Mutant, random: &mut StdRng) -> Vec<u8> {
        let Mutant { kind, bytes, .. } = mutant;
        let kinds = [
            "application/json",
            "application/x-www-form-urlencoded",
            "text/plain; charset=utf-16",
            "multipart/form-data; boundary=x",
            "",
        ];
        let mut head = format!(
            "POST {} HTTP/1.1\r\nhost: midwatch\r\ncontent-type: {}\r\n",
            kind.path(),
            kinds.choose(random).expect("some")
        );
        for (name, value) in signed(SIGNING_SECRET, now(), bytes) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let odd = [
            "content-encoding: gzip\r\n",
            "expect: 100-continued\r\n",
            "x-slack-retry-num: many\r\n",
            "accept: image/png\r\n",
            "",
        ];
        head.push_str(odd.choose(random).expect("some"));
        if random.random_bool(0.8) {
            head.push_str(&format!("content-length: {}\r\n\r\n", bytes.len()));
            return [head.as_bytes(), bytes].concat();
        }
        let mut request = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
        let longest = *[1, 7, 500, 70_000].choose(random).expect("some");
        for chunk in bytes.chunks(longest.max(bytes.len() / 2_000)) {
            request.extend(format!("{:X};odd=\"1\"\r\n", chunk.len()).bytes());
            request.extend([chunk, b"\r\n"].concat());
        }
        *self.spoilt.entry("in chunks").or_default() += 1;
        [request.as_slice(), b"0\r\n\r\n"].concat()
    }

    /// Whether the answer says clearly what became of the mutant.
    fn judge(&mut self, mutant: &Mutant, answer: &Answer) {
        let text = answer.text();
        let json: Option<Value> = serde_json::from_str(&text).ok();
        let says = json.as_ref().and_then(|json| json["text"].as_str());
        let readable = readable(mutant);
        let (clear, word) = match answer.status {
            // The platform's own word for "taken"; for an event the only one there is.
            200 if text.is_empty() => (
                readable != Some(false) || mutant.kind == Kind::Event,
                "empty",
            ),
            200 if says.is_some_and(|says| says.contains(NOTHING_DONE)) => {
                (true, "says that nothing was done")
            }
            200 if is_challenge(mutant, &text) => (true, "the challenge"),
            400..500 => (text.len() > 8, "says why"),
            503 => (text.contains("ledger"), "busy"),
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
        *self
            .answers
            .entry(format!("{} {word}", answer.status))
            .or_default() += 1;
    }

    fn by_socket(&mut self, seed: &Seed, payload: Value, number: u32, random: &mut StdRng) {
        let mut story = format!("mutant {number} of {} in an envelope", seed.name);
        let kind = match seed.kind {
            Kind::Command => "slash_commands",
            Kind::Event => "events_api",
            Kind::Interaction => "interactive",
        };
        let frame = json!({ "envelope_id": format!("mutant-{number}"), "type": kind, "payload": payload,
                            "accepts_response_payload": random.random::<bool>(), "retry_attempt": random.random_range(0..3) });
        let mut tree = Tree::from(&frame);
        let whole = tree.bytes();
        self.spoil(&mut tree, &mut story, random);
        let mut bytes = tree.bytes();
        while bytes == whole || random.random_bool(0.05) {
            let (name, spoil) = BYTES.choose(random).expect("there are ways");
            spoil(&mut bytes, random);
            self.note(name, &mut story);
        }
        // What is no text breaks the socket by the protocol's own rules: that comes last.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let read: Value = serde_json::from_str(&text).unwrap_or_default();
        if read["type"] == "disconnect" {
            return;
        }
        let id = match &read {
            Value::Null => legible_id(&text),
            read => read["envelope_id"].as_str().filter(|id| !id.is_empty()),
        };
        if let Some(id) = id.filter(|id| self.slack.acknowledged(id).is_none()) {
            self.unacknowledged.insert(id.to_owned(), story.clone());
        }
        self.largest = self.largest.max(text.len());
        self.sent += text.len();
        self.envelopes += 1;
        if !self.slack.send_bytes(text.into_bytes()) {
            self.fail(&format!("no socket takes {story}"));
        }
    }

    async fn await_acknowledgements(&mut self) {
        let deadline = Instant::now() + ACK_WITHIN;
        let waiting = std::mem::take(&mut self.unacknowledged);
        for (id, story) in waiting {
            while self.slack.acknowledged(&id).is_none() {
                if Instant::now() > deadline {
                    self.fail(&format!("the envelope of {story} was not acknowledged"));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.acknowledged += 1;
        }
    }

    /// Ready, whole, and a genuine command is done over each way in.
    async fn is_well(&mut self, number: u32) {
        if !self.bot.is_ready().await {
            self.fail(&format!("not ready after {number} mutants"));
        }
        let channel = format!("C{}", 10 + number % 16);
        let by_socket = format!("genuine-socket-{number}");
        let ack = self
            .slack
            .slash(SPEAKER, &channel, &format!("mark {by_socket}"))
            .await;
        let by_http = format!("genuine-http-{number}");
        let delivery = self
            .slack
            .slash_delivery(SPEAKER, &channel, &format!("mark {by_http}"));
        let mutant = Mutant {
            story: "a genuine command".to_owned(),
            kind: Kind::Command,
            bytes: delivery.body().into_bytes(),
        };
        let answer = self.wire.send(&self.plain_request(&mutant)).await;
        let answered = answer.is_some_and(|answer| answer.accepts() && answer.body.is_empty());
        if ack.status != 200 || !ack.body.is_empty() || !answered {
            self.fail(&format!(
                "a genuine command was not taken after {number} mutants: {ack:?}"
            ));
        }
        self.genuine.extend([by_socket, by_http]);
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

    fn plain_request(&self, mutant: &Mutant) -> Vec<u8> {
        let [stamp, signature] = signed(SIGNING_SECRET, now(), &mutant.bytes);
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: midwatch\r\n{}: {}\r\n{}: {}\r\ncontent-length: {}\r\n\r\n",
            mutant.kind.path(),
            stamp.0,
            stamp.1,
            signature.0,
            signature.1,
            mutant.bytes.len()
        );
        [head.as_bytes(), &mutant.bytes].concat()
    }

    fn marks(&self) -> BTreeSet<String> {
        let marks = std::fs::read_to_string(self.home.path("marks")).unwrap_or_default();
        marks.lines().map(str::to_owned).collect()
    }

    /// Frames that no websocket may take: the socket ends, another takes its place.
    async fn break_sockets(&mut self, random: &mut StdRng) {
        let broken = [b"{\"envelope_id\":\"\xff\"}".to_vec(), vec![b' '; 5 << 20]];
        for bytes in broken {
            let opened = self.slack.sockets_opened();
            let order = random.random_range(0..2);
            for _ in 0..=order {
                self.slack.send_bytes(b"{}".to_vec());
            }
            self.slack.send_bytes(bytes);
            let deadline = Instant::now() + WHOLE_WITHIN;
            while self.slack.sockets_opened() == opened && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self.sockets_whole().await;
        }
    }

    async fn sockets_whole(&self) {
        let whole = |slack: &FakeSlack| (slack.open_sockets() == 2).then_some(());
        self.slack
            .wait_for("second socket", WHOLE_WITHIN, whole)
            .await;
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
        let told = self
            .channels
            .iter()
            .flat_map(|channel| self.slack.messages(channel));
        let told = told.chain(self.slack.whispers(SPEAKER));
        if let Some(fault) = told.into_iter().find(|it| it.text.contains('💥')) {
            self.fail(&format!("a fault is told: {}", fault.text));
        }
        let (more, most) = (
            after.now_kb.saturating_sub(before.now_kb),
            after.most_kb.saturating_sub(before.now_kb),
        );
        if more > MORE_MEMORY_KB || most > MOST_MEMORY_KB {
            self.fail(&format!("memory is not bounded: {before:?}, {after:?}"));
        }
        format!(
            "{} ways of spoiling; over HTTP answered {:?}; {} envelopes, all {} whose id could be read acknowledged; \
             {} were recorded as inbounds; {} genuine commands done in between; {} MB sent, the largest {} kB; memory {} → {} MB, never more than {}",
            self.spoilt.len(),
            self.answers,
            self.envelopes,
            self.acknowledged,
            self.inbounds() - self.genuine.len(),
            self.genuine.len(),
            self.sent / 1_000_000,
            self.largest / 1_000,
            before.now_kb / 1_000,
            after.now_kb / 1_000,
            after.most_kb / 1_000,
        )
    }

    /// How many inbounds the ledger holds, which is sound.
    fn inbounds(&self) -> usize {
        let verified = self.home.run(&["ledger", "verify"], "");
        if !verified.status.success() {
            self.fail(&String::from_utf8_lossy(&verified.stdout));
        }
        let export = self.home.run(&["ledger", "export"], "");
        let export = String::from_utf8_lossy(&export.stdout);
        export.matches("\"kind\":\"received\"").count()
    }

    fn fail(&self, what: &str) -> ! {
        let log = self.home.log();
        let from = log.ceil_char_boundary(log.len().saturating_sub(2_000));
        panic!(
            "{what}\nagain with --seed {}; the end of the log:\n{}",
            self.seed,
            &log[from..]
        );
    }
}

/// How much memory a process has.
#[derive(Debug)]
struct Memory {
    now_kb: u64,
    most_kb: u64,
}

impl Memory {
    fn of(bot: &Bot) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{}/status", bot.pid()));
        let status = status.expect("the process lives");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            number.expect("the system tells how much memory a process has")
        };
        Self {
            now_kb: field("VmRSS:"),
            most_kb: field("VmHWM:"),
        }
    }
}

/// The body of this kind.
fn spelt(kind: Kind, tree: &Tree) -> Vec<u8> {
    match kind {
        Kind::Event => tree.bytes(),
        Kind::Command => tree.form(),
        Kind::Interaction => [b"payload=".as_slice(), &encoded(&tree.bytes())].concat(),
    }
}

/// Our envelope's id in what is no JSON, where it stands unharmed and nothing like it before it.
fn legible_id(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("\"envelope_id\"")?;
    let (id, _) = after.strip_prefix(":\"")?.split_once('"')?;
    let number = id.strip_prefix("mutant-")?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some(id)
}

/// Whether what has to stand in it does, and can be read; `None` where that is not for us to say.
fn readable(mutant: &Mutant) -> Option<bool> {
    let is_json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).is_ok();
    match mutant.kind {
        Kind::Command => {
            let fields: Vec<_> = url::form_urlencoded::parse(&mutant.bytes).collect();
            let asks = fields.iter().any(|(name, _)| name == "ssl_check");
            let given = |wanted: &str| {
                fields
                    .iter()
                    .any(|(name, value)| name == wanted && !value.is_empty())
            };
            (!asks && !(given("user_id") && given("channel_id"))).then_some(false)
        }
        Kind::Event => Some(is_json(&mutant.bytes)),
        Kind::Interaction => {
            let mut fields = url::form_urlencoded::parse(&mutant.bytes);
            let payload = fields.find(|(name, _)| name == "payload");
            Some(payload.is_some_and(|(_, payload)| is_json(payload.as_bytes())))
        }
    }
}

fn is_challenge(mutant: &Mutant, answer: &str) -> bool {
    let payload: Value = serde_json::from_slice(&mutant.bytes).unwrap_or_default();
    payload["type"] == "url_verification" && payload["challenge"] == answer
}

/// Whether midwatch does something about payloads of this kind, unless they are spoilt.
fn is_for_us(seed: &Seed) -> bool {
    let Seed { kind, payload, .. } = seed;
    let words = [&payload["type"], &payload["event"]["type"]];
    let ours = ["block_actions", "view_submission", "app_mention", "message"];
    *kind == Kind::Command
        || words
            .iter()
            .any(|word| ours.iter().any(|ours| *word == ours))
}

fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(1_500).collect()
}

fn now() -> i64 {
    Clock::system().now().as_second()
}
