//! Discord's payloads → inbounds. Lenient: it looks up what it needs and never panics, whatever came in.

use jiff::Timestamp;
use serde_json::Value;

use super::encode::{FORM, SAY};
use super::rooms::Room;
use super::{Me, as_text as at};
use crate::chat::door::Heard;
use crate::chat::typed::{self, with_answers};
use crate::domain::{
    BUILT_INS, Inbound, InboundKey, Manner, Platform, Source, Speaker, SpeakerKind,
};
use crate::planted;

/// A new message, and one that answers another.
const MESSAGE_KINDS: [u64; 2] = [0, 19];
/// Discord's first moment, in milliseconds of Unix time.
const EPOCH_MS: i64 = 1_420_070_400_000;

/// What kind of act an interaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Discord looks whether we are there.
    Ping,
    /// `/ops …`, or a form that was opened by it: its answer is a message of its own.
    Command,
    /// Somebody types, and Discord asks what may follow.
    Typing,
    /// A button, or a form that was opened by one: its message stays as it is.
    Click,
}

/// What kind of act this is; `None` for those that we don't use.
pub(super) fn act(payload: &Value) -> Option<Act> {
    match payload["type"].as_u64()? {
        1 => Some(Act::Ping),
        3 => Some(Act::Click),
        4 => Some(Act::Typing),
        5 if payload["message"].is_object() => Some(Act::Click),
        2 | 5 => Some(Act::Command),
        _ => None,
    }
}

/// An interaction: a command, a button or a form.
pub(super) fn interaction(payload: &Value, act: Act, now: Timestamp) -> Heard {
    let (id, token) = (at(payload, "/id"), at(payload, "/token"));
    let user = user_of(payload);
    let Some(room) = Room::of_interaction(payload) else {
        return malformed("interaction", "channel");
    };
    if user.is_empty() || id.is_empty() || token.is_empty() {
        return malformed("interaction", "id, token and user");
    }
    let data = &payload["data"];
    let text = match payload["type"].as_u64() {
        Some(2) => match spoken(data) {
            Some(text) => text,
            None => return Heard::Ignored("a command of another kind"),
        },
        Some(3) => match said_by(at(data, "/custom_id"), SAY) {
            Some(says) => says.to_owned(),
            None => return Heard::Ignored("a control that says nothing"),
        },
        Some(5) => match at(data, "/custom_id").strip_prefix(FORM) {
            Some(says) => with_answers(says, answers(&data["components"])),
            None => return Heard::Ignored("a form of another app"),
        },
        _ => return Heard::Ignored("other interaction"),
    };
    let guild = at(payload, "/guild_id");
    let key = if planted::is("discord-replay-is-new") {
        InboundKey::new(&["discord", "interaction", &now.to_string()])
    } else {
        InboundKey::new(&["discord", "interaction", id])
    };
    Heard::Inbound(Box::new(Inbound {
        key,
        source: Source::Chat,
        speaker: Speaker {
            platform: Platform::Discord,
            space: guild.to_owned(),
            id: user.to_owned(),
            kind: SpeakerKind::Person,
        },
        place: room.place(guild),
        manner: Manner::Said,
        text,
        sent_at: moment(id).unwrap_or(now),
        received_at: now,
        form_handle: Some(Handle { act, id, token }.to_text()),
    }))
}

/// A message in a channel or thread; `edited` when it was changed.
pub(super) fn message(message: &Value, edited: bool, room: Room, me: &Me, now: Timestamp) -> Heard {
    let said = match addressed(message, me) {
        Ok(said) => said,
        Err(why) => return Heard::Ignored(why),
    };
    let (id, user) = (at(message, "/id"), at(message, "/author/id"));
    if id.is_empty() || user.is_empty() {
        return malformed("message", "id and author");
    }
    let edit = at(message, "/edited_timestamp");
    if edited && edit.is_empty() {
        return Heard::Ignored("message changed by Discord");
    }
    let (key, sent_at) = if edited {
        let key = InboundKey::new(&["discord", "message", id, "edited", edit]);
        (key, edit.parse().ok())
    } else {
        (InboundKey::new(&["discord", "message", id]), moment(id))
    };
    let guild = at(message, "/guild_id");
    let bot = message["author"]["bot"] == true
        || message["author"]["system"] == true
        || !at(message, "/webhook_id").is_empty();
    Heard::Inbound(Box::new(Inbound {
        key,
        source: Source::Chat,
        speaker: Speaker {
            platform: Platform::Discord,
            space: guild.to_owned(),
            id: user.to_owned(),
            kind: if bot {
                SpeakerKind::Bot
            } else {
                SpeakerKind::Person
            },
        },
        place: room.place(guild),
        manner: if edited { Manner::Edited } else { Manner::Said },
        text: typed::without_references(said),
        sent_at: sent_at.unwrap_or(now),
        received_at: now,
        form_handle: None,
    }))
}

/// What was said to us, without the mention; why not, for the counter, when it was said to others.
pub(super) fn addressed<'a>(message: &'a Value, me: &Me) -> Result<&'a str, &'static str> {
    if at(message, "/author/id") == me.user || at(message, "/application_id") == me.application {
        return Err("our own message");
    }
    let kind = message["type"].as_u64().unwrap_or(0);
    if !MESSAGE_KINDS.contains(&kind) {
        return Err("message of another kind");
    }
    let said = at(message, "/content").trim();
    let mentioned = said
        .strip_prefix("<@")
        .and_then(|rest| {
            rest.strip_prefix('!')
                .unwrap_or(rest)
                .strip_prefix(&me.user)
        })
        .and_then(|rest| rest.strip_prefix('>'));
    match mentioned {
        Some(rest) => Ok(rest.trim_start().trim_start_matches([':', ',']).trim()),
        None if at(message, "/guild_id").is_empty() => Ok(said),
        None => Err("message to others"),
    }
}

/// What lets us answer an interaction: Discord's token lives a quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle<'a> {
    pub(super) act: Act,
    pub(super) id: &'a str,
    pub(super) token: &'a str,
}

impl<'a> Handle<'a> {
    pub(super) fn to_text(self) -> String {
        let act = if self.act == Act::Click {
            "click"
        } else {
            "command"
        };
        format!("{act}:{}:{}", self.id, self.token)
    }

    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (act, rest) = text.split_once(':')?;
        let (id, token) = rest.split_once(':')?;
        let act = match act {
            "click" => Act::Click,
            "command" => Act::Command,
            _ => return None,
        };
        Some(Self { act, id, token })
    }
}

/// `/ops flush-cache environment:prod` as it would be typed: our own words take their arguments in order, commands by name.
fn spoken(data: &Value) -> Option<String> {
    if data["type"].as_u64().unwrap_or(1) != 1 {
        return None; // Of the menus on persons and messages.
    }
    let Some(chosen) = data["options"].get(0).filter(|it| it["type"] == 1) else {
        return Some(String::new()); // `/ops` alone.
    };
    let name = at(chosen, "/name");
    let options: Vec<(&str, String)> = chosen["options"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|option| (at(option, "/name"), value_of(&option["value"])))
        .collect();
    if name == super::commands::FREE_TEXT {
        return Some(options.into_iter().map(|(_, value)| value).collect());
    }
    if BUILT_INS.contains(&name) {
        // Clauses come in any order, so each is said with its name.
        let words = options.into_iter().map(|(option, value)| match option {
            "since" | "about" => format!("{option} {value}"),
            _ => value,
        });
        return Some(
            std::iter::once(name.to_owned())
                .chain(words)
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    let (flags, named): (Vec<_>, Vec<_>) =
        options.into_iter().partition(|(name, _)| *name == "again");
    let mut text = with_answers(name, named);
    if flags.iter().any(|(_, value)| value == "true") {
        text.push_str(" --again");
    }
    Some(text)
}

fn value_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What a button says: its number goes before, so that two of a message differ.
fn said_by<'a>(custom_id: &'a str, prefix: &str) -> Option<&'a str> {
    let (number, says) = custom_id.strip_prefix(prefix)?.split_once(':')?;
    (number.parse::<u8>().is_ok() && !says.is_empty()).then_some(says.trim())
}

/// The answers of a form: in labels, or in rows as older forms have them.
fn answers(components: &Value) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    for outer in components.as_array().into_iter().flatten() {
        let inner = outer["components"].as_array().into_iter().flatten();
        for control in inner.chain(outer.get("component")) {
            let value = match at(control, "/value") {
                "" => at(control, "/values/0"),
                value => value,
            };
            found.push((at(control, "/custom_id"), value.to_owned()));
        }
    }
    found
}

/// Who acts, in a guild or in a direct message.
pub(super) fn user_of(payload: &Value) -> &str {
    match at(payload, "/member/user/id") {
        "" => at(payload, "/user/id"),
        id => id,
    }
}

/// When a thing with this id was made.
pub(super) fn moment(id: &str) -> Option<Timestamp> {
    let id: u64 = id.parse().ok()?;
    let ms = i64::try_from(id >> 22).ok()?;
    Timestamp::from_millisecond(EPOCH_MS + ms).ok()
}

/// The smallest id of that moment; Discord's own for moments before its first.
pub(super) fn id_at(at: Timestamp) -> u64 {
    let ms = at.as_millisecond().saturating_sub(EPOCH_MS).max(0);
    u64::try_from(ms).unwrap_or(0) << 22
}

fn malformed(kind: &str, lacks: &str) -> Heard {
    Heard::Malformed(format!("a {kind} without {lacks}"))
}

#[cfg(test)]
mod tests;
