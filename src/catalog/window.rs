//! Times as runbooks write them: weekly windows, and the moment of an example.

use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday, date};

use super::at::At;
use super::diagnostic::Diagnostic;
use super::people::zone;
use crate::domain::Window;

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
/// Examples that name a day or a time only happen in this week: they must not depend on today.
const MONDAY: Date = date(2026, 1, 5);

/// Reads `mon-fri 09:00-18:00 Europe/Berlin`; the days may be left out.
pub(crate) fn read(text: &str, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<Window> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (days, hours, zone_name) = match words.as_slice() {
        [days, hours, zone] => (*days, *hours, *zone),
        [hours, zone] if hours.contains(':') => ("mon-sun", *hours, *zone),
        _ => {
            let message = format!("`{text}` is not a window of time");
            notes.push(
                at.error(message)
                    .hint("write days, hours and time zone: `mon-fri 09:00-18:00 Europe/Berlin`"),
            );
            return None;
        }
    };
    let days_read = read_days(days);
    if days_read.is_none() {
        let message = format!("`{days}` are no days");
        notes.push(
            at.part(days)
                .error(message)
                .hint("write `mon-fri`, `sat,sun` or `mon`"),
        );
    }
    let hours_read = hours
        .split_once('-')
        .and_then(|(from, to)| Some((read_time(from)?, read_time(to)?)));
    if hours_read.is_none() {
        let message = format!("`{hours}` are no hours");
        notes.push(
            at.part(hours)
                .error(message)
                .hint("write `09:00-18:00`; `22:00-06:00` ends on the next day"),
        );
    }
    let zone = zone(zone_name, at, notes)?;
    let (from, to) = hours_read?;
    Some(Window {
        text: text.to_owned(),
        days: days_read?,
        from,
        to,
        zone,
    })
}

fn read_days(text: &str) -> Option<Vec<Weekday>> {
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (position(first)?, position(last)?);
        let length = (last + 7 - first) % 7;
        days.extend((0..=length).map(|step| DAYS[(first + step) % 7].1));
    }
    Some(days)
}

fn position(day: &str) -> Option<usize> {
    let day = day.to_ascii_lowercase();
    DAYS.iter().position(|(word, _)| *word == day)
}

/// `9:00`, `09:00`; `24:00` is midnight.
fn read_time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let digits =
        |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(hour) || minute.len() != 2 || !digits(minute) {
        return None;
    }
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = if (hour, minute) == (24, 0) { 0 } else { hour };
    Time::new(hour, minute, 0, 0).ok()
}

/// Reads `[DAY] HH:MM [ZONE]` or an RFC 3339 time.
pub(crate) fn moment(text: &str, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<Timestamp> {
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Some(exact);
    }
    let mut words = text.split_whitespace().peekable();
    let day = words.peek().and_then(|word| position(word));
    if day.is_some() {
        words.next();
    }
    let time = words.next().and_then(read_time);
    let zone_name = words.next().unwrap_or("UTC");
    let (Some(time), None) = (time, words.next()) else {
        let message = format!("`{text}` is not a time");
        notes.push(
            at.error(message)
                .hint("write `03:00`, `sat 03:00 Europe/Berlin` or `2026-01-07T03:00:00Z`"),
        );
        return None;
    };
    let zone = zone(zone_name, at, notes)?;
    let days = i64::try_from(day.unwrap_or(2)).ok()?;
    let local = MONDAY
        .checked_add(jiff::Span::new().days(days))
        .ok()?
        .to_datetime(time);
    zone.to_timestamp(local).ok()
}

/// When an example happens that doesn't say it: a Wednesday at noon.
pub(crate) fn usual_moment() -> Timestamp {
    jiff::tz::TimeZone::UTC
        .to_timestamp(date(2026, 1, 7).at(12, 0, 0, 0))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}
