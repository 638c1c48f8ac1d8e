//! Readings of a clock that nobody can trust.

use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Moments that are a little different: leap days, changes of clocks, the ends of what can be said.
const SPECIAL: [&str; 12] = [
    "1970-01-01T00:00:00Z",
    "1999-12-31T23:59:59.999Z",
    "2000-02-29T12:00:00Z",
    "2026-03-29T00:59:59.999Z",
    "2026-10-25T00:59:59.999Z",
    "2028-02-28T23:59:59.999Z",
    "2028-02-29T23:59:59.999Z",
    "2038-01-19T03:14:07.999Z",
    "2100-02-28T23:59:59.999Z",
    "-009999-01-02T02:00:00Z",
    "9999-12-29T12:00:00Z",
    "9999-12-30T21:59:00Z",
];

/// The first and the last moment that can be made of whole milliseconds.
const FIRST_MS: i64 = -377_705_023_201_000;
const LAST_MS: i64 = 253_402_207_200_000;

/// A moment of any kind, in whole milliseconds, as our clock has them.
pub(super) fn moment(random: &mut StdRng) -> Timestamp {
    let moment = match random.random_range(0..10) {
        0..5 => {
            Timestamp::from_millisecond(1_790_000_000_000 + random.random_range(0..31_536_000_000))
        }
        5 => Timestamp::from_millisecond(random.random_range(FIRST_MS..LAST_MS)),
        6 => Timestamp::from_millisecond(FIRST_MS),
        7 => Timestamp::from_millisecond(LAST_MS),
        _ => SPECIAL.choose(random).expect("there are some").parse(),
    };
    moment.expect("it can be said")
}

/// The next reading: it stood still, went on, jumped, or went back; and, often, just around a moment that matters.
pub(super) fn next(random: &mut StdRng, now: Timestamp, matters: Timestamp) -> Timestamp {
    let span = |ms: i64| SignedDuration::from_millis(ms);
    let by = match random.random_range(0..12) {
        0 => return now,
        1..4 => return later(matters, span(random.random_range(-2..=2))),
        4 => span(random.random_range(1..2_000)),
        5 => SignedDuration::from_secs(random.random_range(1..180)),
        6 => SignedDuration::from_hours(1),
        7 => SignedDuration::from_hours(-1),
        8 => SignedDuration::from_hours(24 * 366),
        9 => SignedDuration::from_hours(-24 * 366),
        10 => span(random.random_range(-2_000..0)),
        _ => return moment(random),
    };
    later(now, by)
}

/// So much later, or as much as can be said.
pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    let ms = i128::from(at.as_millisecond()) + by.as_millis();
    let ms = i64::try_from(ms).unwrap_or(if by.is_negative() { i64::MIN } else { i64::MAX });
    Timestamp::from_millisecond(ms.clamp(FIRST_MS, LAST_MS)).expect("between the ends")
}
