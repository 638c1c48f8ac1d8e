//! Requests that claim to be Slack's or Discord's and are not: none is heard, and nothing that midwatch says helps to make
//! a better one.
//!
//! The real program over HTTP, on all three of Slack's addresses and on Discord's one. Between the forged ones there are
//! genuine ones, which must work, and replays of them, which must change nothing.

mod craft;
mod discord;
mod pairs;
pub(crate) mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use aho_corasick::AhoCorasick;
use midwatch::clock::Clock;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::time::Instant;

use self::craft::{Craft, FORGERIES, Framing, KINDS, Request, SPEAKER, body, code, genuine, right};
use self::wire::{Answer, Wire};
use super::{Found, Round};
use crate::bot::{Bot, Home};
use crate::fakes::slack::{BOT_TOKEN, FakeSlack, Kind, SIGNING_SECRET};
use crate::lab::yard;

/// Every so many forged ones there is a genuine one.
const GENUINE_EVERY: u32 = 25;
/// So that the pace of one message a second and channel holds up few of them.
const CHANNELS: u32 = 16;
/// How long the genuine ones may take to be done, after the last was sent.
const DONE_WITHIN: Duration = Duration::from_secs(60);
/// What every forged command says, and nothing else.
const FORGED: &str = "forged-";
/// Of a code in hexadecimal, so much is too much to tell.
const TELLING: usize = 16;

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let [slack, discord] = round.shared();
    let slack = runtime.block_on(forge_and_look(slack));
    let discord = runtime.block_on(discord::forge_and_look(discord));
    Found::Held(format!("Slack: {slack}; Discord: {discord}"))
}

async fn forge_and_look(round: Round) -> String {
    let mut random = StdRng::seed_from_u64(round.seed);
    let mut attack = Attack::begin(round.seed).await;
    for number in 0..round.rounds {
        if number % GENUINE_EVERY == 0 {
            attack.send_genuine(number, &mut random).await;
        }
        attack.forge(number, &mut random).await;
    }
    attack.done_genuinely().await;
    attack.verdict().await
}

struct Attack {
    seed: u64,
    slack: FakeSlack,
    home: Home,
    bot: Bot,
    wires: BTreeMap<&'static str, Wire>,
    /// What Slack sent, in the forger's hands.
    seen: Vec<Request>,
    /// What the genuine ones say.
    said: BTreeSet<String>,
    replays: u32,
    /// How often each kind of forgery was refused, by what.
    refused: BTreeMap<u16, u32>,
    /// Signatures that a forger would have given much for.
    precious: BTreeSet<String>,
    answers: String,
}

impl Attack {
    async fn begin(seed: u64) -> Self {
        let slack = FakeSlack::start().await;
        for number in 0..CHANNELS {
            slack.add_channel(&channel(number), true);
        }
        let channels: Vec<String> = (0..CHANNELS).map(channel).collect();
        let home = yard(&channels, &format!("slack: {SPEAKER}"))
            .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
            .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
            .setting("SLACK_API_URL", slack.api_url())
            .setting("MIDWATCH_LOG", "debug");
        let bot = home.serve().await;
        let wires = KINDS.map(|kind| (kind.path(), Wire::to(bot.address)));
        Self {
            seed,
            slack,
            home,
            bot,
            wires: wires.into_iter().collect(),
            seen: Vec::new(),
            said: BTreeSet::new(),
            replays: 0,
            refused: BTreeMap::new(),
            precious: BTreeSet::new(),
            answers: String::new(),
        }
    }

    /// Sends what Slack would send, and then what somebody would who saw it on its way.
    async fn send_genuine(&mut self, number: u32, random: &mut StdRng) {
        let kind = *KINDS.choose(random).expect("three kinds");
        let says = format!("mark genuine-{number}");
        let now = now();
        let body = body(kind, &says, &channel(number % CHANNELS), now, number);
        let mut request = genuine(kind, body, now - random.random_range(0..30));
        match random.random_range(0..4) {
            // Names of headers have no case, and blanks around values belong to nobody.
            0 => request
                .headers
                .iter_mut()
                .for_each(|(name, _)| *name = name.to_uppercase()),
            1 => request
                .headers
                .iter_mut()
                .for_each(|(_, value)| value.extend(b" \t ")),
            2 => request.framing = Framing::Chunks(random.random_range(1..200)),
            _ => {}
        }
        let answer = self.send(&request, kind.path()).await;
        let what = format!("a genuine {kind:?}");
        let answer = answer.unwrap_or_else(|| self.fail(&format!("{what} was not answered")));
        if !answer.accepts() || !answer.body.is_empty() {
            self.fail(&format!(
                "{what} was answered {}: {}",
                answer.status,
                answer.text()
            ));
        }
        self.said.insert(says);
        self.replay(&request, random).await;
        self.seen.push(request);
        let older = self.seen.choose(random).expect("one was pushed").clone();
        self.replay(&older, random).await;
    }

    /// Slack's own bytes once more: they are accepted, as Slack's rules have it, or not, and change nothing.
    async fn replay(&mut self, request: &Request, random: &mut StdRng) {
        let mut again = request.clone();
        match random.random_range(0..5) {
            0 => again.path = KINDS.choose(random).expect("three kinds").path().to_owned(),
            1 => {
                again = again
                    .with("x-slack-retry-num", "1")
                    .with("x-slack-retry-reason", "http_timeout");
            }
            2 => again.headers.reverse(),
            3 => again.path.push_str("?again=1"),
            _ => {}
        }
        let (mut one, mut two) = (Wire::to(self.bot.address), Wire::to(self.bot.address));
        let bytes = again.bytes();
        let (first, second) = tokio::join!(one.send(&bytes), two.send(&bytes));
        for answer in [first, second] {
            let answer = answer.unwrap_or_else(|| self.fail("a replay was not answered"));
            if answer.status >= 500 {
                self.fail(&format!("a replay was answered {}", answer.status));
            }
            self.keep(&answer);
            self.replays += 1;
        }
    }

    async fn forge(&mut self, number: u32, random: &mut StdRng) {
        let (name, forge) = FORGERIES[number as usize % FORGERIES.len()];
        let kind = *KINDS.choose(random).expect("three kinds");
        let says = format!("mark {FORGED}{number}");
        let now = now();
        let request = forge(&mut Craft {
            body: body(
                kind,
                &says,
                &channel(number % CHANNELS),
                now,
                500_000 + number,
            ),
            random,
            now,
            kind,
            seen: &self.seen,
        });
        let mut stamps: BTreeSet<Vec<u8>> = request.stamps().map(<[u8]>::to_vec).collect();
        stamps.insert(now.to_string().into_bytes());
        for stamp in stamps {
            let signature = right(&stamp, &request.body);
            self.precious.insert(signature[3..].to_owned());
            let base: [&[u8]; 4] = [b"v0:", &stamp, b":", &request.body];
            let code = code(SIGNING_SECRET.as_bytes(), &base);
            self.precious
                .insert(data_encoding::BASE64_NOPAD.encode(&code));
        }
        let whole = matches!(request.framing, Framing::Length | Framing::Chunks(_));
        let answers = if whole {
            self.send(&request, kind.path()).await.into_iter().collect()
        } else {
            self.wires[kind.path()].send_alone(&request.bytes()).await
        };
        for answer in &answers {
            self.keep(answer);
            if !(400..500).contains(&answer.status) {
                self.fail(&format!(
                    "`{name}` (forgery {number}) was answered {} {}\n{}",
                    answer.status,
                    answer.text(),
                    String::from_utf8_lossy(&request.bytes())
                ));
            }
            *self.refused.entry(answer.status).or_default() += 1;
        }
        if answers.is_empty() {
            *self.refused.entry(0).or_default() += 1;
        }
    }

    async fn send(&mut self, request: &Request, wire: &'static str) -> Option<Answer> {
        let wire = self.wires.get_mut(wire).expect("one for each address");
        let answer = wire.send(&request.bytes()).await;
        if let Some(answer) = &answer {
            self.keep(answer);
        }
        answer
    }

    fn keep(&mut self, answer: &Answer) {
        self.answers.push_str(&answer.head);
        self.answers.push('\n');
        self.answers.push_str(&answer.text());
        self.answers.push('\n');
    }

    /// Waits until every genuine command has left its mark.
    async fn done_genuinely(&self) {
        let deadline = Instant::now() + DONE_WITHIN;
        while self.marks().len() < self.said.len() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // A replay that is run late would leave its mark a little later.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    fn marks(&self) -> Vec<String> {
        let marks = std::fs::read_to_string(self.home.path("marks")).unwrap_or_default();
        marks.lines().map(|tag| format!("mark {tag}")).collect()
    }

    async fn verdict(mut self) -> String {
        let metrics = self.wires[Kind::Command.path()]
            .send_alone(b"GET /metrics HTTP/1.1\r\nhost: midwatch\r\nconnection: close\r\n\r\n")
            .await;
        for answer in metrics {
            self.keep(&answer);
        }
        let mut marks = self.marks();
        marks.sort();
        let expected: Vec<String> = self.said.iter().cloned().collect();
        if marks != expected {
            self.fail(&format!("said genuinely: {expected:?}\ndone: {marks:?}"));
        }
        self.look_at_the_record();
        self.look_for_signatures();
        let log = self.home.log().len();
        let (forged, silent) = (
            self.refused.values().sum::<u32>(),
            self.refused.get(&0).copied().unwrap_or(0),
        );
        format!(
            "{forged} answers to forgeries of {} kinds, by status {:?} ({silent} connections ended without one), 0 accepted; {} genuine requests done once each, \
             {} replays changed nothing; no {TELLING} digits of {} signatures in {} kB of answers and {} kB of log",
            FORGERIES.len(),
            self.refused,
            self.said.len(),
            self.replays,
            self.precious.len(),
            self.answers.len() / 1_000,
            log / 1_000,
        )
    }

    /// The ledger holds the genuine ones, each once; nothing on the disk or in Slack holds any other.
    fn look_at_the_record(&self) {
        let export = self.home.run(&["ledger", "export"], "");
        let export = String::from_utf8(export.stdout).expect("the ledger is text");
        let entries = export
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let kinds: Vec<String> = entries
            .filter_map(|entry| entry["fact"]["kind"].as_str().map(str::to_owned))
            .collect();
        for kind in ["received", "decided"] {
            let count = kinds.iter().filter(|it| *it == kind).count();
            if count != self.said.len() {
                self.fail(&format!(
                    "{count} entries `{kind}` for {} genuine requests",
                    self.said.len()
                ));
            }
        }
        let stored = holds(&self.home.path("data"), FORGED.as_bytes());
        if let Some(file) = stored {
            self.fail(&format!("a forged command stands in {file}"));
        }
        let told = (0..CHANNELS).flat_map(|number| self.slack.messages(&channel(number)));
        let told = told.chain(self.slack.whispers(SPEAKER));
        if let Some(message) = told
            .into_iter()
            .find(|it| format!("{it:?}").contains(FORGED))
        {
            self.fail(&format!("a forged command is told: {message:?}"));
        }
    }

    fn look_for_signatures(&self) {
        let mut parts: BTreeSet<&str> = BTreeSet::from([SIGNING_SECRET]);
        for signature in &self.precious {
            parts.insert(&signature[..TELLING]);
            parts.insert(&signature[signature.len() - TELLING..]);
        }
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(parts)
            .expect("some thousand short needles");
        for (place, text) in [("answers", &self.answers), ("log", &self.home.log())] {
            if let Some(found) = search.find(text) {
                let from = text.floor_char_boundary(found.start().saturating_sub(300));
                let to = text.ceil_char_boundary((found.end() + 100).min(text.len()));
                self.fail(&format!(
                    "the {place} hold what would have been right: {}",
                    &text[from..to]
                ));
            }
        }
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

fn channel(number: u32) -> String {
    format!("C{}", 10 + number)
}

fn now() -> i64 {
    Clock::system().now().as_second()
}

/// The first file below the folder that holds these bytes.
fn holds(folder: &Path, wanted: &[u8]) -> Option<String> {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if let Some(found) = holds(&path, wanted) {
                return Some(found);
            }
            continue;
        }
        // A socket or a file that is just being removed holds nothing.
        let bytes = std::fs::read(&path).unwrap_or_default();
        if bytes.windows(wanted.len()).any(|window| window == wanted) {
            return Some(path.display().to_string());
        }
    }
    None
}
