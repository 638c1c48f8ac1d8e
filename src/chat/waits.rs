//! Waits between connections: none after a good one, then doubled up to a minute, with jitter.

use std::time::Duration;

/// The longest that each step of opening a socket may take.
const OPEN_LIMIT: Duration = Duration::from_secs(20);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How long we wait for what, on a connection that a platform lets us open. Each platform has its own; tests hurry.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Silence after which we ask whether the other side is there.
    pub quiet: Duration,
    /// Silence after that question which means that it isn't.
    pub deaf: Duration,
    /// How long each step of opening a connection may take at first; doubled with each try, so that a slow network is
    /// given its time in the end.
    pub opening: Duration,
    /// The first wait before connecting again; doubled up to a minute.
    pub pause: Duration,
    /// A connection that lived this long was a good one: waits begin anew.
    pub settled: Duration,
}

/// How often one place for a socket was tried since it last had a good one.
pub(super) struct Waits {
    timing: Timing,
    tried: u32,
}

impl Waits {
    /// Nothing was tried yet: the first connection waits for nothing.
    pub(super) fn new(timing: Timing) -> Self {
        Self { timing, tried: 0 }
    }

    /// A connection has ended that lived this long.
    pub(super) fn after(&mut self, lived: Duration) {
        if lived >= self.timing.settled {
            self.tried = 0;
        }
    }

    /// Whatever the connection was like, the next one has to wait.
    pub(super) fn never_at_once(&mut self) {
        self.tried = self.tried.max(1);
    }

    /// How long each step of opening a socket may take now.
    pub(super) fn opening(&self) -> Duration {
        let doublings = self.tried.saturating_sub(1).min(10);
        self.timing
            .opening
            .saturating_mul(1 << doublings)
            .min(OPEN_LIMIT)
    }

    /// How long to wait before the next try, which begins then.
    pub(super) fn next(&mut self) -> Duration {
        let tried = self.tried;
        self.tried = tried.saturating_add(1);
        let Some(doublings) = tried.checked_sub(1) else {
            return Duration::ZERO;
        };
        let wait = self
            .timing
            .pause
            .saturating_mul(1 << doublings.min(10))
            .min(LONGEST_WAIT);
        wait.mul_f64(rand::random_range(0.75..1.25))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_good_connection() {
        let timing = Timing {
            quiet: Duration::ZERO,
            deaf: Duration::ZERO,
            opening: Duration::from_millis(2_500),
            pause: Duration::from_secs(1),
            settled: Duration::from_secs(10),
        };
        let mut waits = Waits::new(timing);
        assert_eq!(waits.next(), Duration::ZERO);
        assert_eq!(waits.opening(), timing.opening);
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let wait = waits.next().as_secs_f64();
            assert!((expected * 0.75..expected * 1.25).contains(&wait), "{wait}");
        }
        assert_eq!(waits.opening(), OPEN_LIMIT);
        waits.after(Duration::from_secs(1));
        assert!(waits.next() > Duration::from_secs(40));
        waits.after(Duration::from_secs(10));
        assert_eq!(waits.next(), Duration::ZERO);
        waits.after(Duration::from_secs(10));
        waits.never_at_once();
        assert!(waits.next() > Duration::from_millis(700));
    }
}
