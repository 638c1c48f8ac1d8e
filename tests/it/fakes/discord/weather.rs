//! Bad weather: calls refused, failed, delayed, answers cut; and who called before it was time.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::rest::Request;
use super::{FakeDiscord, State, pace};

/// A call that was under way when another was refused can't know of it.
pub(super) const UNDER_WAY: Duration = Duration::from_millis(150);
/// What clocks and the way may differ.
const EARLY: Duration = Duration::from_millis(50);

/// Whose limit it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The bot's own, for this route.
    User,
    /// The bot's own, for all routes.
    Global,
    /// That of all who use the channel or guild; does not count as invalid.
    Shared,
    /// Not Discord's but its shield's: no JSON, no bucket.
    Cloudflare,
}

impl Scope {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::User | Self::Cloudflare => "user",
            Self::Global => "global",
            Self::Shared => "shared",
        }
    }
}

/// What goes wrong with a call, each with this probability.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Storm {
    /// It is refused with 429 and a wait of a fifth of a second to two seconds.
    pub(crate) refuse: f64,
    /// Of those refused, so many are for all of the bot's calls; interactions aside.
    pub(crate) for_all: f64,
    /// Of those refused, so many are refused by the shield before Discord.
    pub(crate) shielded: f64,
    /// It is answered with 500, 502 or 503 and nothing is done.
    pub(crate) fail: f64,
    /// It is done, and the connection is cut before the answer.
    pub(crate) cut: f64,
    /// It is done, and the answer comes late.
    pub(crate) delay: f64,
    /// How late at most.
    pub(crate) delay_max: Duration,
}

/// What became of calls.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Toll {
    pub(crate) refused: usize,
    pub(crate) failed: usize,
    pub(crate) cut: usize,
    pub(crate) delayed: usize,
}

#[derive(Default)]
pub(super) struct Weather {
    storm: Storm,
    toll: Toll,
    seed: u64,
    refuse_next: usize,
    refuse_as: Option<(Scope, Duration)>,
    fail_next: usize,
    cut_next: usize,
    /// Where the next call is sent on to.
    pub(super) redirect: Option<String>,
    /// What is counted together → when it was refused, and until when. Empty: everything.
    quiet: HashMap<String, (Instant, Instant)>,
}

/// What Discord does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    Refused(Scope, Duration),
    Failed(u16),
    Cut,
}

/// What becomes of this call.
pub(super) fn fate(state: &mut State, request: &Request) -> Fate {
    let weather = &mut state.weather;
    let storm = weather.storm;
    let writes = request.method != "GET";
    if weather.fail_next > 0 {
        weather.fail_next -= 1;
        return Fate::Failed(503);
    }
    if weather.refuse_next > 0 && writes {
        weather.refuse_next -= 1;
        let (scope, wait) = weather
            .refuse_as
            .unwrap_or((Scope::User, Duration::from_secs(1)));
        return Fate::Refused(scope, wait);
    }
    if weather.strikes(storm.fail) {
        weather.toll.failed += 1;
        let which = weather.chance();
        return Fate::Failed(if which < 0.4 {
            500
        } else if which < 0.8 {
            502
        } else {
            503
        });
    }
    if weather.strikes(storm.refuse) {
        weather.toll.refused += 1;
        let wait = Duration::from_secs_f64(0.2 + weather.chance() * 1.8);
        let open = request.is_open();
        let scope = if !open && weather.strikes(storm.shielded) {
            Scope::Cloudflare
        } else if !open && weather.strikes(storm.for_all) {
            Scope::Global
        } else if weather.chance() < 0.2 {
            Scope::Shared
        } else {
            Scope::User
        };
        return Fate::Refused(scope, wait);
    }
    if weather.cut_next > 0 && writes {
        weather.cut_next -= 1;
        return Fate::Cut;
    }
    if writes && weather.strikes(storm.cut) {
        weather.toll.cut += 1;
        return Fate::Cut;
    }
    Fate::Done
}

/// Remembers that such calls are not to be made for a while.
pub(super) fn refused(state: &mut State, request: &Request, scope: Scope, wait: Duration) {
    let everything = [Scope::Global, Scope::Cloudflare].contains(&scope);
    let key = if everything {
        String::new()
    } else {
        pace::key(request)
    };
    let now = Instant::now();
    state.weather.quiet.insert(key, (now, now + wait));
}

/// Complains of a call that Discord did not want to hear yet.
pub(super) fn expect_patience(state: &mut State, request: &Request) {
    let now = request.came_at;
    let key = pace::key(request);
    let global = if request.is_open() {
        None
    } else {
        state.weather.quiet.get("").copied()
    };
    let own = state.weather.quiet.get(&key).copied();
    for (whose, quiet) in [("its own", own), ("that for all", global)] {
        let Some((since, until)) = quiet else {
            continue;
        };
        if now > since + UNDER_WAY && now + EARLY < until {
            let (rest, after) = (until - now, now - since);
            state.violation(format!(
                "{key}: called {rest:?} before Retry-After had passed, {whose}, {after:?} after the refusal"
            ));
        }
    }
}

impl Weather {
    /// As if so much time had gone by.
    pub(super) fn pass(&mut self, time: Duration) {
        self.quiet.retain(|_, (since, until)| {
            let earlier = since.checked_sub(time).zip(until.checked_sub(time));
            (*since, *until) = earlier.unwrap_or((*since, *until));
            earlier.is_some()
        });
    }

    pub(super) fn delay(&mut self) -> Duration {
        let storm = self.storm;
        if !self.strikes(storm.delay) {
            return Duration::ZERO;
        }
        self.toll.delayed += 1;
        storm.delay_max.mul_f64(self.chance())
    }

    fn strikes(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.chance() < probability
    }

    /// A small generator, so that a storm is the same each time.
    fn chance(&mut self) -> f64 {
        let seed = self.seed.wrapping_mul(6_364_136_223_846_793_005);
        self.seed = seed.wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.seed >> 32).unwrap()) / f64::from(u32::MAX)
    }
}

impl FakeDiscord {
    /// From now on each call may go wrong; the seed says which do.
    pub(crate) fn storm(&self, storm: Storm, seed: u64) {
        let weather = &mut self.state().weather;
        weather.storm = storm;
        weather.seed = seed;
    }

    /// Nothing goes wrong any more. What was refused stays so until its time has passed.
    pub(crate) fn calm(&self) {
        self.state().weather.storm = Storm::default();
    }

    /// What storms did so far.
    pub(crate) fn toll(&self) -> Toll {
        self.state().weather.toll
    }

    /// The next writing calls are refused with 429 for a second.
    pub(crate) fn refuse_next(&self, calls: usize) {
        self.refuse_next_as(calls, Scope::User, Duration::from_secs(1));
    }

    /// The next call is redirected to the same path of another host.
    pub(crate) fn redirect_next(&self, host: &str) {
        self.state().weather.redirect = Some(host.to_owned());
    }

    /// The next writing calls are refused with 429.
    pub(crate) fn refuse_next_as(&self, calls: usize, scope: Scope, wait: Duration) {
        let weather = &mut self.state().weather;
        weather.refuse_next = calls;
        weather.refuse_as = Some((scope, wait));
    }

    /// The next calls are answered with 503, and nothing is done.
    pub(crate) fn fail_next(&self, calls: usize) {
        self.state().weather.fail_next = calls;
    }

    /// The next writing calls are done, but the connection is cut before the answer.
    pub(crate) fn drop_answer_next(&self, calls: usize) {
        self.state().weather.cut_next = calls;
    }
}
