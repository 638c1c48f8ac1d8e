//! How fast one may call: a bucket for each route and channel, and one for all.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::rest::Request;
use super::routes::pattern;
use super::weather::{Scope, UNDER_WAY};
use super::{FakeDiscord, State};

const GLOBAL: usize = 50;
const SECOND: Duration = Duration::from_secs(1);

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// Posts in a channel.
    Posts,
    /// Edits in a channel.
    Edits,
    Deletes,
    Reactions,
    /// All that goes by an interaction's token.
    FollowUps,
    /// Threads made in a channel.
    Threads,
    Others,
}

pub(super) struct Pace {
    off: bool,
    limits: HashMap<Limit, (usize, Duration)>,
    /// By what is counted together.
    buckets: HashMap<String, Bucket>,
    judged: bool,
    global: VecDeque<Instant>,
    global_limit: usize,
    /// By channel, when messages older than an hour were edited; Discord's own milliseconds.
    pub(super) old_edits: HashMap<String, Vec<i64>>,
}

struct Bucket {
    began: Instant,
    /// How many calls came since.
    taken: usize,
    /// The answer to one of them is late or lost: the caller can't know what is left.
    untold: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            off: false,
            limits: HashMap::new(),
            buckets: HashMap::new(),
            judged: false,
            global: VecDeque::new(),
            global_limit: GLOBAL,
            old_edits: HashMap::new(),
        }
    }
}

impl Pace {
    /// As if so much time had gone by.
    pub(super) fn pass(&mut self, time: Duration) {
        self.global.clear();
        self.buckets.retain(|_, bucket| {
            let earlier = bucket.began.checked_sub(time);
            bucket.began = earlier.unwrap_or(bucket.began);
            earlier.is_some()
        });
    }

    /// What is left in this call's bucket is not told in time.
    pub(super) fn untold(&mut self, request: &Request) {
        if let Some(bucket) = self.buckets.get_mut(&key(request)) {
            bucket.untold = true;
        }
    }
}

impl Limit {
    fn of(request: &Request) -> Self {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        match (request.method.as_str(), path.as_slice()) {
            ("POST", ["channels", _, "messages"]) => Self::Posts,
            ("PATCH", ["channels", _, "messages", _]) => Self::Edits,
            ("DELETE", ["channels", _, "messages", _]) => Self::Deletes,
            (_, ["channels", _, "messages", _, "reactions", ..]) => Self::Reactions,
            ("POST", ["channels", _, .., "threads"]) => Self::Threads,
            (_, ["webhooks", ..]) => Self::FollowUps,
            _ => Self::Others,
        }
    }

    fn usual(self) -> (usize, Duration) {
        match self {
            Self::Posts | Self::Edits | Self::Deletes | Self::FollowUps => (5, 5 * SECOND),
            Self::Reactions => (1, SECOND / 4),
            Self::Threads => (10, 10 * SECOND),
            Self::Others => (50, SECOND),
        }
    }
}

/// What is counted together with this call: the same kind of call in the same channel or guild.
pub(super) fn key(request: &Request) -> String {
    let major = request.path.get(1).map_or("", String::as_str);
    let token = if request.path[0] == "webhooks" {
        request.path.get(2)
    } else {
        None
    };
    let limit = Limit::of(request);
    if limit == Limit::Others {
        return format!("{} {} {major}", request.method, pattern(request));
    }
    format!("{limit:?} {major} {}", token.map_or("", String::as_str))
}

/// Names and values.
pub(super) type Headers = Vec<(&'static str, String)>;

/// The headers of an answer; and for how long the caller is refused, if it is.
///
/// `open`: an interaction's routes, which the limit for all does not count.
pub(super) fn taken(
    state: &mut State,
    request: &Request,
    open: bool,
) -> (Headers, Option<(Scope, Duration)>) {
    let callback = request.path[0] == "interactions";
    if state.pace.off || callback {
        return (Vec::new(), None);
    }
    let now = Instant::now();
    let global = &mut state.pace.global;
    while global.front().is_some_and(|at| now - *at > SECOND) {
        global.pop_front();
    }
    if !open && global.len() >= state.pace.global_limit {
        let wait = SECOND.saturating_sub(now - global[0]);
        if state.pace.judged {
            state.violation(format!(
                "more than {} calls in a second",
                state.pace.global_limit
            ));
        }
        return (Vec::new(), Some((Scope::Global, wait)));
    }
    if !open {
        global.push_back(now);
    }
    let limit = Limit::of(request);
    let (count, per) = state
        .pace
        .limits
        .get(&limit)
        .copied()
        .unwrap_or(limit.usual());
    let fresh = || Bucket {
        began: now,
        taken: 0,
        untold: false,
    };
    let bucket = state.pace.buckets.entry(key(request)).or_insert_with(fresh);
    if now - bucket.began >= per {
        *bucket = fresh();
    }
    let rest = per.saturating_sub(now - bucket.began);
    let full = bucket.taken >= count;
    bucket.taken += usize::from(!full);
    let left = count - bucket.taken;
    // Who called when nobody had been answered yet can't know of the bucket.
    let unknown = bucket.untold || now < bucket.began + UNDER_WAY;
    if full && state.pace.judged && !unknown {
        let (key, taken) = (key(request), bucket.taken);
        state.violation(format!("{key}: more than {taken} calls in {per:?}"));
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a time of day with milliseconds"
    )]
    let at = state.now_ms() as f64 / 1_000.0 + rest.as_secs_f64();
    let headers = vec![
        ("x-ratelimit-limit", count.to_string()),
        ("x-ratelimit-remaining", left.to_string()),
        ("x-ratelimit-reset", format!("{at:.3}")),
        (
            "x-ratelimit-reset-after",
            format!("{:.3}", rest.as_secs_f64()),
        ),
        (
            "x-ratelimit-bucket",
            name_of(&format!(
                "{limit:?} {}",
                if limit == Limit::Others {
                    pattern(request)
                } else {
                    String::new()
                }
            )),
        ),
    ];
    (headers, full.then_some((Scope::User, rest)))
}

/// A name that says nothing and is the same each time.
fn name_of(what: &str) -> String {
    let hash = what.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}{:016x}", hash.rotate_left(29))
}

impl FakeDiscord {
    /// So many calls of a kind are taken in so much time.
    pub(crate) fn set_limit(&self, limit: Limit, calls: usize, per: Duration) {
        self.state().pace.limits.insert(limit, (calls, per));
    }

    /// So many calls of all kinds are taken in a second; fifty.
    pub(crate) fn set_global_limit(&self, calls: usize) {
        self.state().pace.global_limit = calls;
    }

    /// Calls beyond a limit are violations from now on, unless the caller can't know how many are left.
    pub(crate) fn judge_pace(&self) {
        self.state().pace.judged = true;
    }

    /// Whether there are any limits; so it begins.
    pub(crate) fn keep_pace(&self, on: bool) {
        self.state().pace.off = !on;
    }
}
