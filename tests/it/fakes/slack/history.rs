//! Reading what was said: channels, their messages, threads. With scopes, both ends of a span, pages and the pace that
//! Slack allows, as its documentation says.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Delivery, FakeSlack, Posted, State};

/// What the app may do is what its manifest asks for.
const MANIFEST: &str = include_str!("../../../../docs/slack-app-manifest.yaml");
/// Tier 3.
const CALLS_A_MINUTE: usize = 50;
const MINUTE: Duration = Duration::from_secs(60);

/// How reading is limited.
#[derive(Default)]
pub(super) struct Reading {
    called: HashMap<&'static str, VecDeque<Instant>>,
    /// At most so many on a page, whatever is asked for.
    page: Option<usize>,
    /// A scope that the installation lacks.
    lacks: Option<&'static str>,
    unpaced: bool,
}

type Answer = Result<Value, &'static str>;

/// The answer, when this is a method that reads.
pub(super) fn read(state: &mut State, method: &str, body: &Value) -> Option<Answer> {
    Some(match method {
        "conversations.replies" => replies(state, body),
        "conversations.history" => history(state, body),
        "users.conversations" => conversations(state, body),
        _ => return None,
    })
}

/// How long the app must wait, when it reads too fast.
pub(super) fn too_fast(state: &mut State, method: &str) -> Option<Duration> {
    let methods = [
        "conversations.replies",
        "conversations.history",
        "users.conversations",
    ];
    let method = methods.into_iter().find(|known| *known == method)?;
    if state.reading.unpaced {
        return None;
    }
    let now = Instant::now();
    let called = state.reading.called.entry(method).or_default();
    while called.front().is_some_and(|at| now - *at >= MINUTE) {
        called.pop_front();
    }
    if called.len() < CALLS_A_MINUTE {
        called.push_back(now);
        return None;
    }
    let wait = MINUTE.checked_sub(now - called[0]).unwrap();
    Some(Duration::from_secs(wait.as_secs() + 1))
}

impl FakeSlack {
    /// Pages hold no more than this, whatever is asked for: Slack may always give fewer.
    pub(crate) fn give_small_pages(&self, page: usize) {
        self.state().reading.page = Some(page);
    }

    /// The installation lacks this scope: it was made with an older manifest.
    pub(crate) fn take_scope(&self, scope: &'static str) {
        self.state().reading.lacks = Some(scope);
    }

    /// Somebody with the app's token has just called this so often.
    pub(crate) fn use_up(&self, method: &'static str, calls: usize) {
        let now = Instant::now();
        let mut state = self.state();
        let called = state.reading.called.entry(method).or_default();
        called.extend(std::iter::repeat_n(now, calls));
    }

    /// The app may read as fast as it likes.
    pub(crate) fn let_read_fast(&self) {
        self.state().reading.unpaced = true;
    }

    /// Somebody wrote this some time ago, and the app was not told. Answers the message's timestamp.
    pub(crate) fn wrote_before(
        &self,
        ago: Duration,
        user: &str,
        channel: &str,
        thread: Option<&str>,
        text: &str,
    ) -> String {
        let now = midwatch::clock::Clock::system().now().as_microsecond();
        let mut state = self.state();
        let mut at = now - i64::try_from(ago.as_micros()).unwrap();
        let mut ts = stamp(at);
        while state.messages.iter().any(|message| message.ts == ts) {
            at += 1;
            ts = stamp(at);
        }
        state.messages.push(Posted {
            channel: channel.to_owned(),
            ts: ts.clone(),
            thread: thread.map(str::to_owned),
            user: user.to_owned(),
            text: text.to_owned(),
            ..Posted::default()
        });
        ts
    }

    /// Changes what was written, a moment later, and the app is not told. Answers when.
    pub(crate) fn edited_before(&self, channel: &str, ts: &str, text: &str) -> String {
        let mut state = self.state();
        let message = state
            .messages
            .iter_mut()
            .find(|message| message.channel == channel && message.ts == ts);
        let message = message.unwrap();
        text.clone_into(&mut message.text);
        let edited = format!("{}.999999", ts.split_once('.').unwrap().0);
        message.edited = Some(edited.clone());
        edited
    }

    /// Deletes what was written.
    pub(crate) fn delete_message(&self, channel: &str, ts: &str) {
        self.state()
            .messages
            .retain(|message| message.channel != channel || message.ts != ts);
    }

    /// A delivery as Slack would make it of a button that was pressed some time ago.
    pub(crate) fn pressed_before(&self, ago: Duration, mut press: Delivery) -> Delivery {
        let now = midwatch::clock::Clock::system().now().as_microsecond();
        let at = stamp(now - i64::try_from(ago.as_micros()).unwrap());
        press.payload["actions"][0]["action_ts"] = at.into();
        press
    }
}

fn stamp(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn replies(state: &State, body: &Value) -> Answer {
    let channel = readable(state, body)?;
    let ts = body["ts"].as_str().ok_or("invalid_arguments")?;
    let in_thread = |message: &&Posted| {
        message.channel == channel
            && message.only_for.is_none()
            && (message.ts == ts || message.thread.as_deref() == Some(ts))
    };
    let mut messages: Vec<&Posted> = state.messages.iter().filter(in_thread).collect();
    if messages.is_empty() {
        return Err("thread_not_found");
    }
    messages.sort_by(|a, b| a.ts.cmp(&b.ts));
    // The first message comes with the first page, however old it is.
    let first = cursor(body)?.is_none();
    let span = Span::of(body)?;
    messages.retain(|message| span.holds(&message.ts) || (first && message.ts == ts));
    page(state, messages, body, |ts, cursor| ts > cursor)
}

fn history(state: &State, body: &Value) -> Answer {
    let channel = readable(state, body)?;
    let span = Span::of(body)?;
    let shown = |message: &&Posted| {
        message.channel == channel
            && message.only_for.is_none()
            && message.thread.is_none()
            && span.holds(&message.ts)
    };
    let mut messages: Vec<&Posted> = state.messages.iter().filter(shown).collect();
    messages.sort_by(|a, b| b.ts.cmp(&a.ts));
    page(state, messages, body, |ts, cursor| ts < cursor)
}

/// Both ends are left out, unless `inclusive` is asked for.
struct Span<'a> {
    oldest: &'a str,
    latest: &'a str,
    inclusive: bool,
}

impl<'a> Span<'a> {
    fn of(body: &'a Value) -> Result<Self, &'static str> {
        let end = |name: &str, word| {
            let text = body[name].as_str().unwrap_or_default();
            let fine = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            if fine { Ok(text) } else { Err(word) }
        };
        Ok(Self {
            oldest: end("oldest", "invalid_ts_oldest")?,
            latest: end("latest", "invalid_ts_latest")?,
            inclusive: ["true", "1"].contains(&body["inclusive"].as_str().unwrap_or_default()),
        })
    }

    fn holds(&self, ts: &str) -> bool {
        let is_end = ts == self.oldest || ts == self.latest;
        let after = self.oldest.is_empty() || ts > self.oldest;
        let before = self.latest.is_empty() || ts < self.latest;
        (after && before) || (is_end && self.inclusive)
    }
}

/// The messages after the cursor, which names the last one of the page before.
fn page(
    state: &State,
    mut messages: Vec<&Posted>,
    body: &Value,
    follows: impl Fn(&str, &str) -> bool,
) -> Answer {
    if let Some(cursor) = cursor(body)? {
        messages.retain(|message| follows(&message.ts, cursor));
    }
    let limit = limit(state, body)?;
    let with_metadata = body["include_all_metadata"] == "true";
    let has_more = messages.len() > limit;
    messages.truncate(limit);
    let shown = messages
        .iter()
        .map(|message| as_read(state, message, with_metadata));
    let next = if has_more {
        messages
            .last()
            .map_or_else(String::new, |last| format!("next_ts:{}", last.ts))
    } else {
        String::new()
    };
    Ok(
        json!({ "messages": shown.collect::<Vec<_>>(), "has_more": has_more,
               "response_metadata": { "next_cursor": next } }),
    )
}

fn cursor(body: &Value) -> Result<Option<&str>, &'static str> {
    match body["cursor"].as_str() {
        None | Some("") => Ok(None),
        Some(cursor) => cursor
            .strip_prefix("next_ts:")
            .map(Some)
            .ok_or("invalid_cursor"),
    }
}

fn limit(state: &State, body: &Value) -> Result<usize, &'static str> {
    let limit = match body["limit"].as_str() {
        None => 100,
        Some(text) => text.parse().map_err(|_| "invalid_limit")?,
    };
    if !(1..=999).contains(&limit) {
        return Err("invalid_limit");
    }
    Ok(state.reading.page.map_or(limit, |page| page.min(limit)))
}

/// A message as the channel's history shows it: without the channel, and its first message with news of the thread.
fn as_read(state: &State, message: &Posted, with_metadata: bool) -> Value {
    let mut shown = message.json(with_metadata);
    shown
        .as_object_mut()
        .map(|fields| fields.remove("channel"))
        .unwrap();
    if let Some(edited) = &message.edited {
        shown["edited"] = json!({ "user": message.user, "ts": edited });
    }
    let replies = state.messages.iter().filter(|reply| {
        reply.channel == message.channel
            && reply.thread.as_ref() == Some(&message.ts)
            && reply.only_for.is_none()
    });
    let replies: Vec<&Posted> = replies.collect();
    if let Some(latest) = replies.iter().map(|reply| &reply.ts).max() {
        let users: BTreeSet<&str> = replies.iter().map(|reply| reply.user.as_str()).collect();
        shown["thread_ts"] = json!(message.ts);
        shown["reply_count"] = json!(replies.len());
        shown["latest_reply"] = json!(latest);
        shown["reply_users_count"] = json!(users.len());
        shown["reply_users"] = json!(users.into_iter().take(5).collect::<Vec<_>>());
    }
    shown
}

fn readable<'a>(state: &State, body: &'a Value) -> Result<&'a str, &'static str> {
    let channel = body["channel"].as_str().ok_or("channel_not_found")?;
    let found = state.channels.get(channel).ok_or("channel_not_found")?;
    needs(state, &format!("{}:history", kind(channel)))?;
    if found.member {
        Ok(channel)
    } else {
        Err("not_in_channel")
    }
}

fn conversations(state: &State, body: &Value) -> Answer {
    let types = body["types"].as_str().unwrap_or("public_channel");
    let mut kinds = Vec::new();
    for named in types.split(',') {
        let kind = match named {
            "public_channel" => "channels",
            "private_channel" => "groups",
            "im" => "im",
            "mpim" => "mpim",
            _ => return Err("invalid_types"),
        };
        needs(state, &format!("{kind}:read"))?;
        kinds.push(kind);
    }
    let hidden = body["exclude_archived"] == "true";
    let mut channels: Vec<&String> = state
        .channels
        .iter()
        .filter(|(id, channel)| {
            channel.member && !(hidden && channel.archived) && kinds.contains(&kind(id))
        })
        .map(|(id, _)| id)
        .collect();
    let from: usize = match body["cursor"].as_str() {
        None | Some("") => 0,
        Some(cursor) => cursor.parse().map_err(|_| "invalid_cursor")?,
    };
    let limit = limit(state, body)?;
    let has_more = channels.len() > from + limit;
    channels = channels.into_iter().skip(from).take(limit).collect();
    let shown: Vec<Value> = channels
        .iter()
        .map(|id| json!({ "id": id, "is_im": kind(id) == "im", "is_archived": state.channels[*id].archived }))
        .collect();
    let next = if has_more {
        (from + limit).to_string()
    } else {
        String::new()
    };
    Ok(json!({ "channels": shown, "response_metadata": { "next_cursor": next } }))
}

/// As scopes call a kind of channel.
fn kind(channel: &str) -> &'static str {
    match channel.as_bytes().first() {
        Some(b'D') => "im",
        Some(b'G') => "groups",
        _ => "channels",
    }
}

pub(super) fn needs(state: &State, scope: &str) -> Result<(), &'static str> {
    let asked_for = MANIFEST.lines().any(|line| {
        let entry = line.trim().strip_prefix("- ").unwrap_or_default();
        entry.split(' ').next() == Some(scope)
    });
    if asked_for && state.reading.lacks != Some(scope) {
        Ok(())
    } else {
        Err("missing_scope")
    }
}
