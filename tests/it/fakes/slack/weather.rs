//! Bad weather and the pace of writing: calls refused, answers cut, messages taken and not kept; and who called too soon.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{FakeSlack, State};

/// Slack allows 50; an app leaves some to others.
const EDITS_A_MINUTE: usize = 45;
const MINUTE: Duration = Duration::from_secs(60);
/// A call that was under way when another was refused can't know of it.
const UNDER_WAY: Duration = Duration::from_millis(150);
/// What clocks and the way may differ.
const EARLY: Duration = Duration::from_millis(50);
/// So much of a burst is the way's doing, and not the sender's.
const BURST_SECS: f64 = 1.0;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What goes wrong with a call, each with this probability.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Storm {
    /// It is refused with 429 and a `Retry-After` of one to three seconds.
    pub(crate) refuse: f64,
    /// A post or an edit is answered as if all were well, and is not there.
    pub(crate) lose: f64,
    /// A post or an edit is done, and the connection is cut before the answer.
    pub(crate) cut: f64,
}

/// What became of calls.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Toll {
    pub(crate) refused: usize,
    pub(crate) lost: usize,
    pub(crate) cut: usize,
}

#[derive(Default)]
pub(super) struct Weather {
    storm: Storm,
    toll: Toll,
    seed: u64,
    /// Method, and channel where Slack counts by channel → when it was refused, and until when.
    quiet: HashMap<String, (Instant, Instant)>,
    /// Timestamps of messages that were taken and not kept.
    lost: BTreeSet<String>,
    judged: bool,
    posts: HashMap<String, VecDeque<Instant>>,
    edits: VecDeque<Instant>,
}

/// What Slack does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    Refused(Duration),
    /// Answered well, and not kept.
    Lost,
    /// Done, and the answer is cut.
    Cut,
}

/// What becomes of this call.
pub(super) fn fate(state: &mut State, method: &str, body: &Value, refuse: bool) -> Fate {
    let key = key(method, body);
    let too_fast = state.weather.judged && is_too_fast(state, method, body);
    let keeps = ["chat.postMessage", "chat.update"].contains(&method);
    let storm = state.weather.storm;
    let stormy = storm.refuse > 0.0 && state.chance() < storm.refuse;
    if refuse || stormy {
        let wait = if stormy {
            Duration::from_secs_f64(1.0 + (state.chance() * 3.0).floor())
        } else {
            RETRY_AFTER
        };
        state.weather.toll.refused += usize::from(stormy);
        refused(state, &key, wait);
        Fate::Refused(wait)
    } else if keeps && (too_fast || (storm.lose > 0.0 && state.chance() < storm.lose)) {
        state.weather.toll.lost += 1;
        Fate::Lost
    } else if keeps && storm.cut > 0.0 && state.chance() < storm.cut {
        state.weather.toll.cut += 1;
        Fate::Cut
    } else {
        Fate::Done
    }
}

/// A response whose connection breaks in the middle.
pub(super) fn cut() -> Response {
    let broken = futures_util::stream::once(async { Err::<String, _>(io::Error::other("cut")) });
    (
        [("content-type", "application/json")],
        Body::from_stream(broken),
    )
        .into_response()
}

/// "Too fast", and when to come again.
pub(super) fn limited(wait: Duration) -> Response {
    let headers = [
        ("retry-after", wait.as_secs().to_string()),
        ("content-type", "application/json".to_owned()),
    ];
    let error = json!({ "ok": false, "error": "ratelimited" }).to_string();
    (StatusCode::TOO_MANY_REQUESTS, headers, error).into_response()
}

/// Remembers that this call is not to be made for a while.
pub(super) fn refused(state: &mut State, key: &str, wait: Duration) {
    let now = Instant::now();
    state
        .weather
        .quiet
        .insert(key.to_owned(), (now, now + wait));
}

/// A message was taken, and is not there.
pub(super) fn not_kept(state: &mut State, ts: &str) {
    state.weather.lost.insert(ts.to_owned());
}

/// Whether the app can't know that the message it speaks of is not there.
pub(super) fn is_excused(state: &State, body: &Value) -> bool {
    let named = ["ts", "thread_ts"].map(|name| body[name].as_str().unwrap_or_default());
    named.iter().any(|ts| state.weather.lost.contains(*ts))
}

/// What a refusal is about: Slack counts posts by channel, all else by method.
pub(super) fn key(method: &str, body: &Value) -> String {
    if ["chat.postMessage", "chat.postEphemeral"].contains(&method) {
        format!("{method} {}", body["channel"].as_str().unwrap_or_default())
    } else {
        method.to_owned()
    }
}

/// Complains of a call that Slack did not want to hear yet.
pub(super) fn expect_patience(state: &mut State, method: &str, body: &Value) {
    let (key, now) = (key(method, body), Instant::now());
    let Some((since, until)) = state.weather.quiet.get(&key).copied() else {
        return;
    };
    if now > since + UNDER_WAY && now + EARLY < until {
        let rest = until - now;
        state.violation(format!(
            "{key}: called {rest:?} before Retry-After had passed"
        ));
    }
}

/// Counts every call, refused ones too.
fn is_too_fast(state: &mut State, method: &str, body: &Value) -> bool {
    let now = Instant::now();
    let complaint = match method {
        "chat.postMessage" => {
            let channel = body["channel"].as_str().unwrap_or_default();
            let posts = state.weather.posts.entry(channel.to_owned()).or_default();
            let burst = burst(posts, now);
            burst.map(|(posts, secs)| format!("{channel}: {posts} posts in {secs:.2} s"))
        }
        "chat.update" => {
            let edits = &mut state.weather.edits;
            while edits.front().is_some_and(|at| now - *at > MINUTE) {
                edits.pop_front();
            }
            edits.push_back(now);
            (edits.len() > EDITS_A_MINUTE).then(|| format!("{} edits in a minute", edits.len()))
        }
        _ => None,
    };
    let Some(complaint) = complaint else {
        return false;
    };
    state.violation(complaint);
    true
}

/// The latest so many posts that came within less time than a second each.
fn burst(posts: &mut VecDeque<Instant>, now: Instant) -> Option<(usize, f64)> {
    posts.push_front(now);
    posts.truncate(60);
    let spans = posts.iter().enumerate().skip(2);
    spans
        .map(|(before, at)| (before, (now - *at).as_secs_f64()))
        .find_map(|(before, secs)| {
            let owed = f64::from(u32::try_from(before).unwrap());
            (secs < owed - BURST_SECS).then_some((before + 1, secs))
        })
}

impl FakeSlack {
    /// From now on each call may go wrong; the seed says which do.
    pub(crate) fn storm(&self, storm: Storm, seed: u64) {
        let mut state = self.state();
        state.weather.storm = storm;
        state.weather.seed = seed;
    }

    /// Nothing goes wrong any more. What was refused stays so until its time has passed.
    pub(crate) fn calm(&self) {
        self.state().weather.storm = Storm::default();
    }

    /// What storms did so far.
    pub(crate) fn toll(&self) -> Toll {
        self.state().weather.toll
    }

    /// Posts faster than one a second and channel, and edits faster than 45 a minute, are violations from now on; such
    /// posts are taken and not kept.
    pub(crate) fn judge_pace(&self) {
        self.state().weather.judged = true;
    }
}

impl State {
    /// A small generator, so that a storm is the same each time.
    fn chance(&mut self) -> f64 {
        let seed = self
            .weather
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.weather.seed = seed;
        f64::from(u32::try_from(seed >> 32).unwrap()) / f64::from(u32::MAX)
    }
}
