//! Discord's half: signed interactions at its one address.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aho_corasick::AhoCorasick;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::craft::{Framing, Request};
use super::pairs::{Craft, FORGERIES, PATH, STAMP, genuine, right};
use super::wire::{Answer, Wire};
use super::{CHANNELS, DONE_WITHIN, FORGED, GENUINE_EVERY, TELLING, holds, now};
use crate::Round;
use crate::bot::{Bot, Home};
use crate::fakes::discord::{BEN, BOT_TOKEN, FakeDiscord, GUILD};
use crate::lab::yard;

/// Types of interactions.
const CLICK: u64 = 3;
const FORM: u64 = 5;
/// Types of first answers: a message, one that comes later, nothing more.
const ANSWERS: [u64; 3] = [4, 5, 6];
/// After so many requests Discord looks whether the address still refuses what is not its own.
const PING_EVERY: u32 = 200;

pub(super) async fn forge_and_look(round: Round) -> String {
    let mut random = StdRng::seed_from_u64(round.seed);
    let mut attack = Attack::begin(round.seed).await;
    for number in 0..round.rounds {
        if number % GENUINE_EVERY == 0 {
            attack.send_genuine(number, &mut random).await;
        }
        if number % PING_EVERY == 0 {
            attack.ping().await;
        }
        attack.forge(number, &mut random).await;
    }
    attack.ping().await;
    attack.done_genuinely().await;
    attack.verdict()
}

struct Attack {
    seed: u64,
    discord: FakeDiscord,
    home: Home,
    bot: Bot,
    wire: Wire,
    public_key: String,
    /// What Discord sent, in the forger's hands.
    seen: Vec<Request>,
    /// What the genuine ones say.
    said: BTreeSet<String>,
    replays: u32,
    pings: u32,
    /// How often forgeries were refused, by what.
    refused: BTreeMap<u16, u32>,
    /// What only Discord and we know of each request: by its token one speaks as the bot, its signature is half a replay.
    precious: BTreeSet<String>,
    answers: String,
}

impl Attack {
    async fn begin(seed: u64) -> Self {
        let discord = FakeDiscord::start().await;
        let channels: Vec<String> = (0..CHANNELS).map(channel).collect();
        for (number, id) in channels.iter().enumerate() {
            discord.add_channel(GUILD, id, &format!("yard-{number}"));
        }
        let public_key = discord.public_key();
        let home = yard(&channels, &format!("discord: \"{BEN}\""))
            .setting("DISCORD_TOKEN", BOT_TOKEN)
            .setting("DISCORD_PUBLIC_KEY", &public_key)
            .setting("DISCORD_API_URL", discord.api_url())
            .setting("MIDWATCH_LOG", "debug");
        let bot = home.serve().await;
        discord.use_http(&bot.url(""));
        let registered = |discord: &FakeDiscord| {
            let commands = discord.commands(GUILD);
            (!commands.is_empty()).then_some(())
        };
        discord
            .wait_for("/ops registered", DONE_WITHIN, registered)
            .await;
        Self {
            seed,
            wire: Wire::to(bot.address),
            discord,
            home,
            bot,
            public_key,
            seen: Vec::new(),
            said: BTreeSet::new(),
            replays: 0,
            pings: 0,
            refused: BTreeMap::new(),
            precious: BTreeSet::new(),
            answers: String::new(),
        }
    }

    /// An interaction that says `mark TAG`, in one of the ways in which a person can.
    fn payload(&mut self, tag: &str, number: u32, random: &mut StdRng) -> Value {
        let channel = channel(number % CHANNELS);
        let says = format!("mark {tag}");
        let discord = &self.discord;
        let payload = match random.random_range(0..4) {
            0 => discord.slash_payload(&channel, BEN, "mark", &[("tag", tag)]),
            1 => discord.slash_payload(&channel, BEN, "say", &[("text", &says)]),
            2 => {
                let data = json!({ "component_type": 2, "custom_id": format!("say-0:{says}") });
                discord.payload_of(CLICK, &channel, BEN, data)
            }
            _ => {
                let field = json!({ "type": 4, "custom_id": "tag", "value": tag });
                let components = json!([{ "type": 18, "component": field }]);
                let data = json!({ "custom_id": "form:mark", "components": components });
                discord.payload_of(FORM, &channel, BEN, data)
            }
        };
        let token = payload["token"].as_str().expect("each has one");
        self.precious.insert(token.to_owned());
        payload
    }

    /// Sends what Discord would send, and then what somebody would who saw it on its way.
    async fn send_genuine(&mut self, number: u32, random: &mut StdRng) {
        let tag = format!("genuine-{number}");
        let payload = self.payload(&tag, number, random);
        let body = payload.to_string().into_bytes();
        let mut request = genuine(body, now() - random.random_range(0..30));
        self.note_signatures(&request);
        match random.random_range(0..5) {
            // Names of headers have no case, nor have hexadecimal digits; blanks around values belong to nobody.
            0 => request
                .headers
                .iter_mut()
                .for_each(|(name, _)| *name = name.to_uppercase()),
            1 => request
                .headers
                .iter_mut()
                .for_each(|(_, value)| value.extend(b" \t ")),
            2 => request
                .headers
                .iter_mut()
                .for_each(|(_, value)| value.make_ascii_uppercase()),
            3 => request.framing = Framing::Chunks(random.random_range(1..200)),
            _ => {}
        }
        let answer = self.send(&request).await;
        let answer = answer.unwrap_or_else(|| self.fail("a genuine one was not answered"));
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let kind = told["type"].as_u64().unwrap_or(0);
        if answer.status != 200 || !ANSWERS.contains(&kind) {
            self.fail(&format!(
                "a genuine one was answered {}: {}",
                answer.status,
                answer.text()
            ));
        }
        let id = payload["id"].as_str().expect("each has one");
        self.discord.take_answer(id, &answer.text());
        self.said.insert(tag);
        self.replay(&request, random).await;
        self.seen.push(request);
        let older = self.seen.choose(random).expect("one was pushed").clone();
        self.replay(&older, random).await;
    }

    /// Discord's own bytes once more: they are answered, and change nothing.
    async fn replay(&mut self, request: &Request, random: &mut StdRng) {
        let mut again = request.clone();
        match random.random_range(0..3) {
            0 => again.headers.reverse(),
            1 => again.path.push_str("?again=1"),
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

    /// What Discord itself does now and then: a ping, and one that it did not sign.
    async fn ping(&mut self) {
        if let Err(why) = self.discord.ping().await {
            self.fail(&format!("Discord would remove the address: {why}"));
        }
        self.pings += 1;
    }

    async fn forge(&mut self, number: u32, random: &mut StdRng) {
        let (name, forge) = FORGERIES[number as usize % FORGERIES.len()];
        let payload = self.payload(&format!("{FORGED}{number}"), number, random);
        let request = forge(&mut Craft {
            now: now(),
            random,
            body: payload.to_string().into_bytes(),
            seen: &self.seen,
            public_key: &self.public_key,
        });
        self.note_signatures(&request);
        let whole = matches!(request.framing, Framing::Length | Framing::Chunks(_));
        let answers = if whole {
            self.send(&request).await.into_iter().collect()
        } else {
            self.wire.send_alone(&request.bytes()).await
        };
        // Discord reads 401 alone as "refused": anything else, and it removes the address.
        let is_for_discord = whole && request.path.starts_with(PATH) && request.method == "POST";
        for answer in &answers {
            self.keep(answer);
            let refused = (400..500).contains(&answer.status);
            let clearly = !is_for_discord || [400, 401, 404].contains(&answer.status);
            if !refused || !clearly {
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

    /// Those of Discord's own that stand in this request: with the rest of it, each could be sent again.
    fn note_signatures(&mut self, request: &Request) {
        for (_, stamp) in request.headers.iter().filter(|(name, _)| name == STAMP) {
            let signature = right(stamp, &request.body);
            let stands = |value: &[u8]| String::from_utf8_lossy(value).contains(&signature);
            if request.headers.iter().any(|(_, value)| stands(value)) {
                self.precious.insert(signature[..TELLING].to_owned());
                let end = &signature[signature.len() - TELLING..];
                self.precious.insert(end.to_owned());
            }
        }
    }

    async fn send(&mut self, request: &Request) -> Option<Answer> {
        let answer = self.wire.send(&request.bytes()).await;
        if let Some(answer) = &answer {
            self.keep(answer);
        }
        answer
    }

    fn keep(&mut self, answer: &Answer) {
        for part in [answer.head.as_str(), &answer.text()] {
            self.answers.push_str(part);
            self.answers.push('\n');
        }
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
        marks.lines().map(str::to_owned).collect()
    }

    fn verdict(self) -> String {
        let mut marks = self.marks();
        marks.sort();
        let expected: Vec<String> = self.said.iter().cloned().collect();
        if marks != expected {
            self.fail(&format!("said genuinely: {expected:?}\ndone: {marks:?}"));
        }
        self.look_at_the_record();
        self.look_for_secrets();
        let violations = self.discord.violations();
        if let Some(violation) = violations.first() {
            self.fail(&format!("discord: {violation}"));
        }
        let (forged, silent) = (
            self.refused.values().sum::<u32>(),
            self.refused.get(&0).copied().unwrap_or(0),
        );
        format!(
            "{forged} answers to forgeries of {} kinds, by status {:?} ({silent} connections ended without one), 0 accepted; {} genuine interactions done \
             once each, {} replays changed nothing; {} of Discord's own checks passed; our token, and {} tokens and parts of signatures of requests, in none \
             of {} kB of answers and {} kB of log",
            FORGERIES.len(),
            self.refused,
            self.said.len(),
            self.replays,
            self.pings,
            self.precious.len(),
            self.answers.len() / 1_000,
            self.home.log().len() / 1_000,
        )
    }

    /// The ledger holds the genuine ones, each once; nothing on the disk or in Discord holds any other.
    fn look_at_the_record(&self) {
        let export = self.home.run(&["ledger", "export"], "");
        let export = String::from_utf8(export.stdout).expect("the ledger is text");
        for kind in ["received", "decided"] {
            let count = export.matches(&format!("\"kind\":\"{kind}\"")).count();
            if count != self.said.len() {
                self.fail(&format!(
                    "{count} entries `{kind}` for {} genuine interactions",
                    self.said.len()
                ));
            }
        }
        if let Some(file) = holds(&self.home.path("data"), FORGED.as_bytes()) {
            self.fail(&format!("a forged command stands in {file}"));
        }
        if self.discord.transcript().contains(FORGED) {
            self.fail("a forged command is told");
        }
    }

    fn look_for_secrets(&self) {
        let needles = self.precious.iter().map(String::as_str);
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(needles.chain([BOT_TOKEN]))
            .expect("some thousand short needles");
        for (place, text) in [("answers", &self.answers), ("log", &self.home.log())] {
            if let Some(found) = search.find(text) {
                let from = text.floor_char_boundary(found.start().saturating_sub(300));
                let to = text.ceil_char_boundary((found.end() + 100).min(text.len()));
                self.fail(&format!(
                    "the {place} tell what only Discord may know: {}",
                    &text[from..to]
                ));
            }
        }
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

fn channel(number: u32) -> String {
    (812_000_000_000_000_000 + u64::from(number)).to_string()
}
