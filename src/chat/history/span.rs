//! Which time of a channel is read.

use jiff::{SignedDuration, Timestamp};

use super::Between;

/// How far the platform's clock and ours may differ, and how long an event may have been under way.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// What was said before that is not read.
const FARTHEST: SignedDuration = SignedDuration::from_hours(24);
/// How long before the gap a thread may have begun so that its replies are found. Threads of open runs always are.
const OLDER_THREADS: SignedDuration = SignedDuration::from_hours(24);

/// What is read of a channel.
pub(super) struct Span {
    pub(super) heard: Timestamp,
    pub(super) from: Timestamp,
    pub(super) now: Timestamp,
    /// Something between `heard` and `from` is not read.
    pub(super) is_long: bool,
}

impl Span {
    /// `None` when there is nothing to read.
    pub(super) fn of(heard: Timestamp, now: Timestamp) -> Option<Self> {
        let farthest = earlier(now, FARTHEST);
        if heard > now {
            // Another replica's clock, or ours was wrong: then the cursor says nothing.
            return (earlier(heard, MARGIN) > now).then_some(Self {
                heard: farthest,
                from: farthest,
                now,
                is_long: false,
            });
        }
        Some(Self {
            heard,
            from: earlier(heard, MARGIN).max(farthest),
            now,
            is_long: heard < farthest,
        })
    }

    /// When the threads began that may have new replies.
    pub(super) fn threads(&self) -> Between {
        Between {
            oldest: earlier(self.from, OLDER_THREADS),
            ..self.replies()
        }
    }

    /// When the replies were said that are looked for.
    pub(super) fn replies(&self) -> Between {
        Between {
            oldest: self.from,
            latest: self.now.saturating_add(MARGIN).unwrap_or(self.now),
        }
    }

    /// What is too old to be read.
    pub(super) fn before(&self) -> Between {
        Between {
            oldest: self.heard,
            latest: self.from,
        }
    }
}

fn earlier(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_sub(span).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_at_most_and_some_minutes_twice() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let now = at(0);
        let read = |heard: i64| {
            let span = Span::of(at(heard), now)?;
            Some((span.from.duration_since(now).as_secs(), span.is_long))
        };
        let day = 86_400;
        assert_eq!(read(-10), Some((-310, false)));
        assert_eq!(read(-day + 300), Some((-day, false)));
        assert_eq!(read(-day - 1), Some((-day, true)));
        assert_eq!(read(10), None, "another replica's clock is a bit ahead");
        assert_eq!(
            read(3_600),
            Some((-day, false)),
            "a wrong clock wrote this: it says nothing"
        );
    }
}
