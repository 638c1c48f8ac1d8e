//! Days and hours as people type them: `sat`, `sat-sun 18:00-22:00`, `tomorrow`, `2026-12-24`, `4h`.

use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::parse_duration;

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// A span of time that somebody typed, before it is known whose clock counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// From now on, for so long.
    For(Duration),
    /// Whole days, or hours of them.
    Days {
        /// The first.
        first: Day,
        /// The last; the first itself for one.
        last: Day,
        /// From this hour of the first day to that of the last; on the day after it where that comes earlier.
        hours: Option<(Time, Time)>,
    },
}

/// A day that somebody typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// So many days from today.
    In(i8),
    /// The next one, today included.
    Next(Weekday),
    /// This one.
    On(Date),
}

impl When {
    /// Reads one or two words.
    pub fn parse(words: &[&str]) -> Option<Self> {
        let lower: Vec<String> = words.iter().map(|it| it.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        match lower.as_slice() {
            [hours] if hours.contains(':') => Some(Self::Days {
                first: Day::In(0),
                last: Day::In(0),
                hours: Some(read_hours(hours)?),
            }),
            [length]
                if length.starts_with(|c: char| c.is_ascii_digit()) && !length.contains('-') =>
            {
                parse_duration(length)
                    .filter(|it| !it.is_zero())
                    .map(Self::For)
            }
            [days] => {
                let (first, last) = read_days(days)?;
                Some(Self::Days {
                    first,
                    last,
                    hours: None,
                })
            }
            [days, hours] => {
                let (first, last) = read_days(days)?;
                Some(Self::Days {
                    first,
                    last,
                    hours: Some(read_hours(hours)?),
                })
            }
            _ => None,
        }
    }

    /// Its first moment and the first after it, by this clock. `None` where the last day comes before the first.
    pub fn span(&self, zone: &TimeZone, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let (first, last, hours) = match self {
            Self::For(length) => {
                let length = SignedDuration::try_from(*length).ok()?;
                return Some((now, now.checked_add(length).ok()?));
            }
            Self::Days { first, last, hours } => (first, last, hours),
        };
        let today = now.to_zoned(zone.clone()).date();
        let first = first.after(today)?;
        let last = match last {
            Day::Next(_) => last.after(first)?,
            Day::In(_) | Day::On(_) => last.after(today)?,
        };
        let midnight = Time::midnight();
        let (from, to) = hours.unwrap_or((midnight, midnight));
        let ends_next_day = first == last && to <= from || hours.is_none();
        let last = if ends_next_day {
            last.tomorrow().ok()?
        } else {
            last
        };
        let moment = |day: Date, time: Time| {
            let at = zone.to_ambiguous_timestamp(day.to_datetime(time));
            at.compatible().ok()
        };
        let (from, until) = (moment(first, from)?, moment(last, to)?);
        (from < until).then_some((from, until))
    }
}

impl Day {
    fn after(self, today: Date) -> Option<Date> {
        match self {
            Self::In(days) => today.checked_add(Span::new().days(days)).ok(),
            Self::Next(weekday) => {
                let days = today.weekday().until(weekday);
                today.checked_add(Span::new().days(days)).ok()
            }
            Self::On(date) => Some(date),
        }
    }
}

fn read_days(text: &str) -> Option<(Day, Day)> {
    if let Some((first, last)) = text.split_once("..") {
        return Some((read_day(first)?, read_day(last)?));
    }
    if let Some(day) = read_day(text) {
        return Some((day, day));
    }
    let (first, last) = text.split_once('-')?;
    Some((read_day(first)?, read_day(last)?))
}

fn read_day(text: &str) -> Option<Day> {
    match text {
        "today" => return Some(Day::In(0)),
        "tomorrow" => return Some(Day::In(1)),
        _ => {}
    }
    let is = |(short, weekday): &&(&str, Weekday)| {
        let whole = format!("{weekday:?}").to_ascii_lowercase();
        text == *short || text == whole
    };
    let weekday = DAYS.iter().find(is).map(|(_, weekday)| Day::Next(*weekday));
    let dated = || text.len() == 10 && text.bytes().filter(|it| *it == b'-').count() == 2;
    weekday.or_else(|| text.parse().ok().filter(|_| dated()).map(Day::On))
}

fn read_hours(text: &str) -> Option<(Time, Time)> {
    let (from, to) = text.split_once('-')?;
    Some((read_time(from)?, read_time(to)?))
}

/// `9:00`, `09:00`; `24:00` is midnight.
fn read_time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str| {
        !part.is_empty() && part.len() <= 2 && part.bytes().all(|it| it.is_ascii_digit())
    };
    if !digits(hour) || minute.len() != 2 || !digits(minute) {
        return None;
    }
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = if (hour, minute) == (24, 0) { 0 } else { hour };
    Time::new(hour, minute, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Wednesday, the 7th of January 2026, noon in Berlin.
    fn span(text: &str) -> String {
        let words: Vec<&str> = text.split(' ').collect();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-01-07T11:00:00Z".parse().unwrap();
        let span = When::parse(&words).and_then(|when| when.span(&zone, now));
        let shown = |at: Timestamp| {
            at.to_zoned(zone.clone())
                .strftime("%a %d.%m. %H:%M")
                .to_string()
        };
        span.map_or("nothing".to_owned(), |(from, until)| {
            format!("{} – {}", shown(from), shown(until))
        })
    }

    #[test]
    fn what_people_type_is_a_span_by_the_clock_of_the_rotation() {
        let rows = [
            ("sat", "Sat 10.01. 00:00 – Sun 11.01. 00:00"),
            ("Saturday", "Sat 10.01. 00:00 – Sun 11.01. 00:00"),
            ("wed", "Wed 07.01. 00:00 – Thu 08.01. 00:00"),
            ("today", "Wed 07.01. 00:00 – Thu 08.01. 00:00"),
            ("tomorrow", "Thu 08.01. 00:00 – Fri 09.01. 00:00"),
            ("sat-sun", "Sat 10.01. 00:00 – Mon 12.01. 00:00"),
            ("sun-sat", "Sun 11.01. 00:00 – Sun 18.01. 00:00"),
            ("sat 18:00-22:00", "Sat 10.01. 18:00 – Sat 10.01. 22:00"),
            ("sat 22:00-6:00", "Sat 10.01. 22:00 – Sun 11.01. 06:00"),
            ("fri-mon 18:00-09:00", "Fri 09.01. 18:00 – Mon 12.01. 09:00"),
            ("18:00-24:00", "Wed 07.01. 18:00 – Thu 08.01. 00:00"),
            ("2026-03-29", "Sun 29.03. 00:00 – Mon 30.03. 00:00"),
            (
                "2026-12-24..2026-12-26",
                "Thu 24.12. 00:00 – Sun 27.12. 00:00",
            ),
            ("4h", "Wed 07.01. 12:00 – Wed 07.01. 16:00"),
            ("2026-12-26..2026-12-24", "nothing"),
            ("0s", "nothing"),
            ("soon", "nothing"),
            ("sat later", "nothing"),
            ("99999-01-01", "nothing"),
            ("sat 25:00-26:00", "nothing"),
        ];
        for (text, expected) in rows {
            assert_eq!(span(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,30}|[a-z0-9:. -]{0,30}") {
            span(&text);
        }
    }
}
