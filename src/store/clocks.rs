//! One clock for all replicas: the database's, by which leases are judged, and how far this host's own is off.
//!
//! Between two comparisons time goes on by the monotonic clock. So a host whose clock is set, or jumps, takes nobody's lease
//! and loses none; it is found out at once, and by its very next question.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::db::{Engine, sql};
use super::{Store, StoreError};

/// A clock that is off by more is worth a word to the operator.
pub const CLOCK_WARN: Duration = Duration::from_secs(1);
/// A replica whose clock is off by more does no work: half of the minute after which a command is too late. Leases would
/// bear any difference; when consent ends, a command is late or a rule holds is told by each replica's own clock.
pub const CLOCK_REFUSE: Duration = Duration::from_secs(30);

/// What the database's clock said, and when that was by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    theirs: Timestamp,
    at: Instant,
}

/// How a host's clock stands to the database's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockState {
    /// How far it is ahead; negative: behind. By half of the round trip it may be more or less.
    pub ahead: SignedDuration,
    /// From the question to the answer.
    pub round_trip: Duration,
}

impl ClockState {
    /// Whether it is surely off by more than so much.
    pub fn is_off_by(&self, most: Duration) -> bool {
        self.ahead.unsigned_abs() > most + self.round_trip / 2
    }

    /// `45.0 s ahead of the database's`.
    pub fn in_words(&self) -> String {
        let side = if self.ahead.is_negative() {
            "behind"
        } else {
            "ahead of"
        };
        let seconds = self.ahead.unsigned_abs().as_secs_f64();
        format!("{seconds:.1} s {side} the database's")
    }
}

impl Store {
    /// Compares this host's clock with the database's. `None` where the database has no clock of its own.
    pub async fn compare_clocks(
        &self,
        clock: impl Fn() -> Timestamp,
    ) -> Result<Option<ClockState>, StoreError> {
        let mut db = self.reader().await?;
        if let Engine::Sqlite(_) = db.engine() {
            return Ok(None);
        }
        let asked = Instant::now();
        let (theirs,): (i64,) =
            sql("select cast(extract(epoch from clock_timestamp()) * 1000 as bigint)")
                .one(&mut db)
                .await?;
        let round_trip = asked.elapsed();
        let theirs = super::fault::read_time(theirs)?;
        // It was read about half-way.
        let at = asked + round_trip / 2;
        let since = SignedDuration::try_from(at.elapsed()).unwrap_or_default();
        let ours = clock().saturating_sub(since).unwrap_or(theirs);
        self.remember_clock(Compared { theirs, at });
        let ahead = ours.duration_since(theirs);
        Ok(Some(ClockState { ahead, round_trip }))
    }

    /// The time by which leases are judged: the database's, where it was ever asked.
    pub(super) fn lease_now(&self, now: Timestamp) -> Timestamp {
        self.compared().map_or(now, |compared| compared.now())
    }

    /// Refuses work while the clock that says `now` is far off. Claiming and taking ask for themselves; an edge asks before it
    /// takes something in, whose own moment may be past by then.
    pub fn trust_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        let Some(compared) = self.compared() else {
            return Ok(());
        };
        let state = ClockState {
            ahead: now.duration_since(compared.now()),
            round_trip: Duration::ZERO,
        };
        if state.is_off_by(CLOCK_REFUSE) {
            return Err(StoreError::Unavailable(clock_refused(&state)));
        }
        Ok(())
    }
}

/// Why a replica with such a clock does no work.
pub fn clock_refused(state: &ClockState) -> String {
    format!(
        "this host's clock is {}: no work is taken until it is right; let NTP keep both, or set the one that is wrong",
        state.in_words()
    )
}

impl Compared {
    fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.at.elapsed()).unwrap_or_default();
        self.theirs.saturating_add(since).unwrap_or(self.theirs)
    }
}
