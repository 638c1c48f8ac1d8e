//! Slack's payloads → inbounds. Lenient: it looks up what it needs and never panics, whatever came in.

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::encode::FORM_CALLBACK;
use super::text;
use super::{Me, as_text as at};
use crate::chat::door::Heard;
use crate::chat::typed::with_answers;
use crate::domain::{Inbound, InboundKey, Manner, Place, Platform, Source, Speaker, SpeakerKind};
use crate::planted;

/// What is known of a delivery beside its payload.
pub(super) struct Delivery<'a> {
    /// Our own account, once Slack has told us.
    pub(super) me: Option<&'a Me>,
    /// When it reached us.
    pub(super) now: Timestamp,
    /// When Slack sent it: as its signature says, or at the earliest.
    pub(super) sent_at: Option<Timestamp>,
    /// As it came: its hash is the identity of what has no other.
    pub(super) raw: &'a [u8],
}

/// A slash command. The payload is the form as an object, or the envelope's payload.
pub(super) fn command(payload: &Value, delivery: &Delivery<'_>) -> Heard {
    if at(payload, "/ssl_check") == "1" {
        return Heard::Ignored("ssl_check");
    }
    let (user, channel) = (at(payload, "/user_id"), at(payload, "/channel_id"));
    if user.is_empty() || channel.is_empty() {
        return malformed("slash command", "user_id and channel_id");
    }
    let space = space_of(payload);
    let trigger = at(payload, "/trigger_id");
    let hash;
    let identity = if planted::is("replay-is-new") {
        hash = delivery.now.to_string();
        hash.as_str()
    } else if trigger.is_empty() {
        hash = data_encoding::HEXLOWER.encode(&Sha256::digest(delivery.raw));
        hash.as_str()
    } else {
        trigger
    };
    let said = Said {
        key: InboundKey::new(&["slack", space, "command", identity]),
        speaker: (space, user, SpeakerKind::Person),
        place: (space, channel, at(payload, "/thread_ts")),
        manner: Manner::Said,
        text: text::plain(at(payload, "/text")),
        sent_at: delivery.sent_at,
        handle: trigger,
    };
    said.heard(delivery)
}

/// What is to be answered when Slack checks our address, which is no event.
pub(super) fn challenge(payload: &Value) -> Option<&str> {
    (at(payload, "/type") == "url_verification").then(|| at(payload, "/challenge"))
}

/// An event of the Events API.
pub(super) fn event(payload: &Value, delivery: &Delivery<'_>) -> Heard {
    match at(payload, "/type") {
        "event_callback" => {}
        "url_verification" => return Heard::Ignored("url_verification"),
        "" => return malformed("event", "type"),
        _ => return Heard::Ignored("other delivery"),
    }
    match (at(payload, "/event/type"), at(payload, "/event/subtype")) {
        ("app_mention" | "message", "message_changed") => edited(payload, delivery),
        ("app_mention", _)
        | ("message", "" | "bot_message" | "file_share" | "me_message" | "thread_broadcast") => {
            message(payload, delivery)
        }
        ("message", _) => Heard::Ignored("message of another kind"),
        ("", _) => malformed("event", "event.type"),
        _ => Heard::Ignored("other event"),
    }
}

/// A click, a form, or one of the kinds that we don't use.
pub(super) fn interaction(payload: &Value, delivery: &Delivery<'_>) -> Heard {
    match at(payload, "/type") {
        "block_actions" => click(payload, delivery),
        "view_submission" => form(payload, delivery),
        "" => malformed("interaction", "type"),
        "view_closed" => Heard::Ignored("closed form"),
        _ => Heard::Ignored("other interaction"),
    }
}

fn message(payload: &Value, delivery: &Delivery<'_>) -> Heard {
    let event = &payload["event"];
    if is_ours(payload, event, delivery.me) {
        return Heard::Ignored("our own message");
    }
    let Some(said) = addressed(payload, event, delivery.me) else {
        return Heard::Ignored("message to others");
    };
    let (channel, ts) = (at(event, "/channel"), at(event, "/ts"));
    let user = first([at(event, "/user"), at(event, "/bot_id")]);
    if channel.is_empty() || ts.is_empty() || user.is_empty() {
        return malformed("message", "channel, ts and user");
    }
    let space = space_of(payload);
    let said = Said {
        key: InboundKey::new(&["slack", space, channel, ts]),
        speaker: (home_of(event, space), user, kind_of(event)),
        place: (space, channel, at(event, "/thread_ts")),
        manner: Manner::Said,
        text: text::plain(said),
        sent_at: moment(ts).or_else(|| event_time(payload)),
        handle: "",
    };
    said.heard(delivery)
}

/// A message that was changed. Slack also sends these when it adds a preview of a link: then nobody edited.
fn edited(payload: &Value, delivery: &Delivery<'_>) -> Heard {
    let (event, message) = (&payload["event"], &payload["event"]["message"]);
    if is_ours(payload, message, delivery.me) {
        return Heard::Ignored("our own message");
    }
    let edit = at(message, "/edited/ts");
    if edit.is_empty() || at(message, "/text") == at(event, "/previous_message/text") {
        return Heard::Ignored("message changed by Slack");
    }
    let Some(said) = addressed(payload, message, delivery.me) else {
        return Heard::Ignored("message to others");
    };
    let channel = at(event, "/channel");
    let ts = first([at(message, "/ts"), at(event, "/previous_message/ts")]);
    let user = first([at(message, "/user"), at(message, "/bot_id")]);
    if channel.is_empty() || ts.is_empty() || user.is_empty() {
        return malformed("edited message", "channel, ts and user");
    }
    let space = space_of(payload);
    let said = Said {
        key: InboundKey::new(&["slack", space, channel, ts, "edited", edit]),
        speaker: (home_of(message, space), user, kind_of(message)),
        place: (space, channel, at(message, "/thread_ts")),
        manner: Manner::Edited,
        text: text::plain(said),
        sent_at: moment(edit).or_else(|| event_time(payload)),
        handle: "",
    };
    said.heard(delivery)
}

fn click(payload: &Value, delivery: &Delivery<'_>) -> Heard {
    let action = &payload["actions"][0];
    let says = at(action, "/value");
    if at(action, "/type") != "button" || says.is_empty() {
        return Heard::Ignored("a control that says nothing");
    }
    let user = at(payload, "/user/id");
    let channel = first([
        at(payload, "/channel/id"),
        at(payload, "/container/channel_id"),
    ]);
    if user.is_empty() || channel.is_empty() {
        return malformed("click", "user and channel");
    }
    let message = first([
        at(payload, "/container/message_ts"),
        at(payload, "/message/ts"),
    ]);
    let thread = first([
        at(payload, "/container/thread_ts"),
        at(payload, "/message/thread_ts"),
    ]);
    let pressed = at(action, "/action_ts");
    let space = space_of(payload);
    let said = Said {
        key: InboundKey::new(&["slack", space, "action", channel, message, pressed, user]),
        speaker: (
            first([at(payload, "/user/team_id"), space]),
            user,
            SpeakerKind::Person,
        ),
        place: (space, channel, thread),
        manner: Manner::Said,
        text: says.trim().to_owned(),
        sent_at: moment(pressed).or(delivery.sent_at),
        handle: at(payload, "/trigger_id"),
    };
    said.heard(delivery)
}

/// A filled-in form: what it began to say, and the answers as ` name="value"`.
fn form(payload: &Value, delivery: &Delivery<'_>) -> Heard {
    if at(payload, "/view/callback_id") != FORM_CALLBACK {
        return Heard::Ignored("a form of another app");
    }
    let ours: Value =
        serde_json::from_str(at(payload, "/view/private_metadata")).unwrap_or_default();
    let (user, view) = (at(payload, "/user/id"), at(payload, "/view/id"));
    let channel = at(&ours, "/channel");
    if user.is_empty() || view.is_empty() || channel.is_empty() {
        return malformed("form", "user, view and private_metadata");
    }
    let space = space_of(payload);
    let said = Said {
        key: InboundKey::new(&["slack", space, "view", view, at(payload, "/view/hash")]),
        speaker: (
            first([at(payload, "/user/team_id"), space]),
            user,
            SpeakerKind::Person,
        ),
        place: (space, channel, at(&ours, "/thread")),
        manner: Manner::Said,
        text: with_answers(
            at(&ours, "/says"),
            answers(&payload["view"]["state"]["values"]),
        ),
        sent_at: delivery.sent_at,
        handle: at(payload, "/trigger_id"),
    };
    said.heard(delivery)
}

fn answers(values: &Value) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    for (name, controls) in values.as_object().into_iter().flatten() {
        let control = controls.as_object().and_then(|all| all.values().next());
        let control = control.unwrap_or(&Value::Null);
        let value = first([at(control, "/value"), at(control, "/selected_option/value")]);
        found.push((name.as_str(), value.to_owned()));
    }
    found
}

/// The parts of an inbound that differ between kinds.
struct Said<'a> {
    key: InboundKey,
    speaker: (&'a str, &'a str, SpeakerKind),
    place: (&'a str, &'a str, &'a str),
    manner: Manner,
    text: String,
    sent_at: Option<Timestamp>,
    handle: &'a str,
}

impl Said<'_> {
    fn heard(self, delivery: &Delivery<'_>) -> Heard {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (home, id, kind) = self.speaker;
        let (space, channel, thread) = self.place;
        Heard::Inbound(Box::new(Inbound {
            key: self.key,
            source: Source::Chat,
            speaker: Speaker {
                platform: Platform::Slack,
                space: home.to_owned(),
                id: id.to_owned(),
                kind,
            },
            place: Place {
                platform: Platform::Slack,
                space: space.to_owned(),
                channel: channel.to_owned(),
                thread: some(thread),
            },
            manner: self.manner,
            text: self.text,
            sent_at: self.sent_at.unwrap_or(delivery.now),
            received_at: delivery.now,
            form_handle: some(self.handle),
        }))
    }
}

/// What was said to us, without the mention; `None` when it was said to others.
fn addressed<'a>(payload: &'a Value, message: &'a Value, me: Option<&'a Me>) -> Option<&'a str> {
    let said = at(message, "/text");
    let event = &payload["event"];
    let mut ids: Vec<&str> = me.iter().map(|me| me.user.as_str()).collect();
    let authorized = payload["authorizations"].as_array();
    for authorization in authorized.into_iter().flatten() {
        if authorization["is_bot"] == true {
            ids.push(at(authorization, "/user_id"));
        }
    }
    // Slack vouches that an `app_mention` mentions us; under which id, we may not know yet.
    let vouched = at(event, "/type") == "app_mention" && !text::mentions(said, &ids);
    let after = if vouched {
        text::without_mention(said, &[])
    } else if ids.is_empty() {
        None
    } else {
        text::without_mention(said, &ids)
    };
    let direct = at(event, "/channel_type") == "im" || at(event, "/channel").starts_with('D');
    after.or_else(|| direct.then_some(said))
}

/// Whether we posted it. In a direct message ours come back to us: to answer them would never end.
fn is_ours(payload: &Value, message: &Value, me: Option<&Me>) -> bool {
    let app = first([at(message, "/app_id"), at(message, "/bot_profile/app_id")]);
    if !app.is_empty() && app == at(payload, "/api_app_id") {
        return true;
    }
    let bot = at(message, "/bot_id");
    match me {
        Some(me) => me.is(at(message, "/user"), bot),
        None => !bot.is_empty() && at(payload, "/event/channel_type") == "im",
    }
}

fn kind_of(message: &Value) -> SpeakerKind {
    let bot = !at(message, "/bot_id").is_empty()
        || at(message, "/subtype") == "bot_message"
        || message["bot_profile"].is_object()
        || at(message, "/user") == "USLACKBOT";
    if bot {
        SpeakerKind::Bot
    } else {
        SpeakerKind::Person
    }
}

/// The workspace that we hear it through; where a whole organisation installed us, what comes closest. In channels that
/// are shared with another workspace `team_id` may be the other one: the same message must not have two keys.
fn space_of(payload: &Value) -> &str {
    first([
        at(payload, "/context_team_id"),
        at(payload, "/team_id"),
        at(payload, "/team/id"),
        at(payload, "/user/team_id"),
        at(payload, "/event/team"),
        at(payload, "/enterprise_id"),
        at(payload, "/enterprise/id"),
    ])
}

/// The workspace that an account comes from: in shared channels it is not always the one we are in.
fn home_of<'a>(message: &'a Value, space: &'a str) -> &'a str {
    first([
        at(message, "/user_team"),
        at(message, "/source_team"),
        at(message, "/team"),
        space,
    ])
}

/// A moment as Slack writes it: `1595926230.009600`.
pub(super) fn moment(ts: &str) -> Option<Timestamp> {
    let (seconds, fraction) = if planted::is("text-sliced") {
        (&ts[..10], &ts[11..])
    } else {
        ts.split_once('.').unwrap_or((ts, "0"))
    };
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanos).ok()
}

fn event_time(payload: &Value) -> Option<Timestamp> {
    Timestamp::from_second(payload["event_time"].as_i64()?).ok()
}

/// The first that isn't empty.
fn first<const N: usize>(texts: [&str; N]) -> &str {
    texts
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or("")
}

fn malformed(kind: &str, lacks: &str) -> Heard {
    Heard::Malformed(format!("a {kind} without {lacks}"))
}

#[cfg(test)]
mod tests;
