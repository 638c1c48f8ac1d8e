//! What is spoilt: payloads of other projects' tests, as Slack once sent them, and what Slack sends about our own messages.

use std::path::PathBuf;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

use crate::fakes::slack::{BOT_USER, Kind, TEAM};

/// Somebody whom midwatch knows.
pub(super) const SPEAKER: &str = "U0BO";

/// A payload, and by which way it comes.
#[derive(Debug, Clone)]
pub(super) struct Seed {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) payload: Value,
}

/// All of them; `None` where the fixtures are not at hand.
pub(super) fn all() -> Option<Vec<Seed>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/slack");
    let files = std::fs::read_dir(folder).ok()?;
    let mut seeds = Vec::new();
    for file in files {
        let path = file.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if name.ends_with(".json") {
            let text = std::fs::read_to_string(&path).expect("a payload");
            let payload = serde_json::from_str(&text).expect("JSON");
            seeds.extend(seed(&name, payload));
        }
    }
    seeds.extend(ours());
    seeds.sort_by(|one, two| one.name.cmp(&two.name));
    Some(seeds)
}

/// What an envelope holds, or the payload itself. Frames about the socket are none.
fn seed(name: &str, payload: Value) -> Option<Seed> {
    let kind = match payload["type"].as_str() {
        Some("hello" | "disconnect") => return None,
        Some("events_api" | "event_callback") => Kind::Event,
        Some("slash_commands") => Kind::Command,
        None if payload["command"].is_string() => Kind::Command,
        Some(_) | None => Kind::Interaction,
    };
    let payload = match payload.get("envelope_id") {
        Some(_) => payload["payload"].clone(),
        None => payload,
    };
    Some(Seed {
        name: name.to_owned(),
        kind,
        payload,
    })
}

/// What no fixture shows: our own forms, and Slack's question whether we are there.
fn ours() -> Vec<Seed> {
    let metadata = json!({ "says": "mark", "channel": "C10", "thread": "17.1" }).to_string();
    let form = json!({
        "type": "view_submission", "team": { "id": TEAM }, "user": { "id": SPEAKER, "team_id": TEAM }, "trigger_id": "13.1",
        "view": { "id": "V1", "hash": "h", "callback_id": "midwatch_form", "private_metadata": metadata,
                  "blocks": [{ "type": "input", "block_id": "tag" }],
                  "state": { "values": { "tag": { "value": { "type": "plain_text_input", "value": "form" } } } } },
    });
    let question = json!({ "type": "url_verification", "token": "t", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" });
    [
        ("ours: a form", Kind::Interaction, form),
        ("ours: are you there", Kind::Event, question),
    ]
    .map(|(name, kind, payload)| Seed {
        name: name.to_owned(),
        kind,
        payload,
    })
    .into()
}

/// Makes strangers' payloads ones of our workspace, so that what is spoilt gets further than the door.
pub(super) fn at_home(payload: &mut Value, number: u32, now: i64, random: &mut StdRng) {
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
    let says = match random.random_range(0..6) {
        0 => format!("mark mutant-{number}"),
        _ => (*words.choose(random).expect("some")).to_owned(),
    };
    let home = Home {
        says,
        number,
        now,
        channel: format!("C{}", 10 + number % 16),
    };
    home.settle(payload);
}

struct Home {
    says: String,
    number: u32,
    now: i64,
    channel: String,
}

impl Home {
    fn settle(&self, value: &mut Value) {
        match value {
            Value::Object(map) => self.settle_members(map),
            Value::Array(items) => items.iter_mut().for_each(|item| self.settle(item)),
            _ => {}
        }
    }

    fn settle_members(&self, map: &mut Map<String, Value>) {
        for (key, value) in map.iter_mut() {
            let ts = format!("{}.{:06}", self.now, self.number);
            let ours = match key.as_str() {
                "user" | "user_id" => SPEAKER.to_owned(),
                "channel" | "channel_id" => self.channel.clone(),
                "team" | "team_id" | "source_team" | "user_team" => TEAM.to_owned(),
                "trigger_id" => format!("mutant.{}", self.number),
                "event_id" => format!("EvMutant{}", self.number),
                "ts" | "event_ts" | "action_ts" | "message_ts" => ts,
                "text" => format!("<@{BOT_USER}> {}", self.says),
                "value" => self.says.clone(),
                "id" if value.as_str().is_some_and(|id| id.starts_with(['U', 'W'])) => {
                    SPEAKER.to_owned()
                }
                "id" if value.as_str().is_some_and(|id| id.starts_with('C')) => {
                    self.channel.clone()
                }
                "id" if value.as_str().is_some_and(|id| id.starts_with('T')) => TEAM.to_owned(),
                _ => {
                    self.settle(value);
                    continue;
                }
            };
            if value.is_string() {
                *value = ours.into();
            } else {
                self.settle(value);
            }
        }
        // A slash command is said without a mention.
        if map.contains_key("command") && map.contains_key("text") {
            map.insert("text".to_owned(), self.says.as_str().into());
        }
    }
}
