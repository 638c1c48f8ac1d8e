//! The part of iCalendar (RFC 5545) that on-call calendars use: events of one person each, single, daily or weekly.
//!
//! What is not read is an error and not left out: a shift that was overlooked calls nobody. Written out because the
//! crates for it read the lines and leave their meaning to a second library of time zones.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::diagnostic::{Diagnostic, SourceFile};
use crate::domain::{Calendar, People, PersonId, Shift};

/// How long a repetition without an end is followed.
const MOST_YEARS: i64 = 20;
/// The most shifts that one file may come to.
const MOST_SHIFTS: usize = 10_000;

/// How an event may name a person.
pub(crate) struct Naming<'p> {
    people: &'p People,
}

impl<'p> Naming<'p> {
    /// By id, name or e-mail address.
    pub(crate) fn of(people: &'p People) -> Self {
        Self { people }
    }

    fn by_email(&self, address: &str) -> Option<&'p PersonId> {
        let mut emails = self.people.emails.iter();
        let found = emails.find(|(_, email)| email.eq_ignore_ascii_case(address));
        found.map(|(person, _)| person)
    }

    /// Who is called exactly so; else the only one whose name or address the words hold.
    fn by_words(&self, words: &str) -> Option<&'p PersonId> {
        let words = words.trim();
        let id = words.trim_start_matches('@').to_lowercase();
        let exact = self.people.persons.get_key_value(id.as_str());
        let exact = exact.map(|(person, _)| person);
        if exact.or_else(|| self.by_email(words)).is_some() {
            return exact.or_else(|| self.by_email(words));
        }
        let lower = words.to_lowercase();
        let held = |text: &str| !text.is_empty() && lower.contains(&text.to_lowercase());
        let mut held = self.people.persons.iter().filter(|(id, person)| {
            let email = self.people.emails.get(*id);
            held(&person.name) || email.is_some_and(|email| held(email))
        });
        let (first, _) = held.next()?;
        held.next().is_none().then_some(first)
    }
}

/// Reads the shifts of a calendar. `None` when something in it can't be read; that is among the notes then.
///
/// `zone` is that of times that name none.
pub(crate) fn read(
    file: &Arc<SourceFile>,
    zone: &TimeZone,
    naming: &Naming<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Calendar> {
    let before = notes.len();
    let lines = unfolded(&file.text);
    if !lines
        .first()
        .is_some_and(|line| line.is("BEGIN", "VCALENDAR"))
    {
        let message = "this is no iCalendar file: it does not begin with BEGIN:VCALENDAR";
        notes.push(Diagnostic::at(file, 0..0, message).hint("export the calendar as .ics again"));
        return None;
    }
    let mut complain = |wrong: Wrong| {
        notes.push(Diagnostic::at(file, wrong.at, wrong.message).hint(wrong.hint));
    };
    let mut events = Vec::new();
    for lines in events_of(&lines) {
        match Event::read(&lines, zone, naming) {
            Ok(event) => events.extend(event),
            Err(wrong) => complain(wrong),
        }
    }
    // An event that was moved stands in the file beside the repetition that it was moved out of.
    let moved: HashSet<(String, Timestamp)> = events
        .iter()
        .filter_map(|event| Some((event.uid.clone(), event.instead_of?)))
        .collect();
    let mut shifts = Vec::new();
    for event in &events {
        let own = event.shifts().filter(|shift| {
            event.instead_of.is_some() || !moved.contains(&(event.uid.clone(), shift.from))
        });
        shifts.extend(own.take(MOST_SHIFTS + 1));
        if shifts.len() > MOST_SHIFTS {
            complain(Wrong {
                at: event.at.clone(),
                message: format!("the calendar comes to more than {MOST_SHIFTS} shifts"),
                hint: "leave out what is long over, or give the repetition an end".to_owned(),
            });
            break;
        }
    }
    (notes.len() == before).then(|| Calendar::new(shifts))
}

/// What is wrong, where, and what to do.
#[derive(Debug)]
struct Wrong {
    at: Range<usize>,
    message: String,
    hint: String,
}

fn wrong(line: &Line, message: impl Into<String>, hint: &str) -> Wrong {
    Wrong {
        at: line.at.clone(),
        message: message.into(),
        hint: hint.to_owned(),
    }
}

/// One property, with its continuations.
#[derive(Debug)]
struct Line {
    at: Range<usize>,
    name: String,
    parameters: Vec<(String, String)>,
    value: String,
}

impl Line {
    fn is(&self, name: &str, value: &str) -> bool {
        self.name == name && self.value.trim().eq_ignore_ascii_case(value)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(key, _)| key == name)?;
        Some(found.1.as_str())
    }
}

fn unfolded(text: &str) -> Vec<Line> {
    let mut lines: Vec<(Range<usize>, String)> = Vec::new();
    let mut at = 0;
    for raw in text.split_inclusive('\n') {
        let span = at..at + raw.len();
        at = span.end;
        let line = raw.trim_end_matches(['\n', '\r']);
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some((_, whole))) => whole.push_str(more),
            _ if line.is_empty() => {}
            _ => lines.push((span, line.to_owned())),
        }
    }
    lines
        .into_iter()
        .map(|(at, text)| line(at, &text))
        .collect()
}

/// `NAME;PARAMETER="…":VALUE`.
fn line(at: Range<usize>, text: &str) -> Line {
    let mut quoted = false;
    let mut parts = vec![String::new()];
    let mut value = None;
    for (index, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ':' if !quoted => {
                value = text.get(index + 1..);
                break;
            }
            ';' if !quoted => parts.push(String::new()),
            c => parts.last_mut().expect("one was put in").push(c),
        }
    }
    let mut parts = parts.into_iter();
    let name = parts.next().unwrap_or_default().to_ascii_uppercase();
    let parameters = parts.map(|part| match part.split_once('=') {
        Some((key, value)) => (key.to_ascii_uppercase(), value.to_owned()),
        None => (part.to_ascii_uppercase(), String::new()),
    });
    Line {
        at,
        name,
        parameters: parameters.collect(),
        value: value.unwrap_or_default().to_owned(),
    }
}

/// The lines of each event, without those of the alarms in it.
fn events_of(lines: &[Line]) -> Vec<Vec<&Line>> {
    let mut events: Vec<Vec<&Line>> = Vec::new();
    let mut within: Vec<String> = Vec::new();
    for line in lines {
        match line.name.as_str() {
            "BEGIN" => {
                within.push(line.value.trim().to_ascii_uppercase());
                if within.last().is_some_and(|it| it == "VEVENT") {
                    events.push(vec![line]);
                }
            }
            "END" => drop(within.pop()),
            _ if within.last().is_some_and(|it| it == "VEVENT") => {
                events.last_mut().expect("one was begun").push(line);
            }
            _ => {}
        }
    }
    events
}

/// One event of one person, and how it repeats.
#[derive(Debug)]
struct Event {
    at: Range<usize>,
    uid: String,
    person: PersonId,
    begins: DateTime,
    ends: DateTime,
    zone: TimeZone,
    repeats: Option<Repeats>,
    left_out: HashSet<Timestamp>,
    instead_of: Option<Timestamp>,
}

/// How an event repeats.
#[derive(Debug)]
struct Repeats {
    weekly: bool,
    interval: i64,
    count: Option<usize>,
    until: Option<Timestamp>,
    days: Vec<Weekday>,
}

impl Event {
    /// `None` for one that was cancelled.
    fn read(lines: &[&Line], zone: &TimeZone, naming: &Naming<'_>) -> Result<Option<Self>, Wrong> {
        let get = |name: &str| lines.iter().copied().find(|line| line.name == name);
        let first = lines[0];
        if get("STATUS").is_some_and(|line| line.is("STATUS", "CANCELLED")) {
            return Ok(None);
        }
        let start = get("DTSTART").ok_or_else(|| {
            wrong(
                first,
                "this event has no beginning",
                "add DTSTART, or remove the event",
            )
        })?;
        let (begins, event_zone) = moment(start, &start.value, zone)?;
        let ends = end(
            get("DTEND"),
            get("DURATION"),
            start,
            (begins, zone, &event_zone),
        )?;
        if ends <= begins {
            let hint = "mend DTEND, or remove the event";
            return Err(wrong(start, "this event ends before it begins", hint));
        }
        let unread = lines
            .iter()
            .copied()
            .find(|line| ["RDATE", "EXRULE"].contains(&line.name.as_str()));
        if let Some(line) = unread {
            let message = format!("`{}` is not read", line.name);
            return Err(wrong(
                line,
                message,
                "write its days as events of their own",
            ));
        }
        let exact = |line: &Line, value: &str| {
            let (at, own) = moment(line, value, &event_zone)?;
            timestamp(at, &own, line)
        };
        let mut left_out = HashSet::new();
        for line in lines.iter().filter(|line| line.name == "EXDATE") {
            for value in line.value.split(',') {
                left_out.insert(exact(line, value)?);
            }
        }
        Ok(Some(Self {
            at: first.at.clone(),
            uid: get("UID")
                .map(|line| line.value.clone())
                .unwrap_or_default(),
            person: person(lines, naming)?,
            begins,
            ends,
            repeats: get("RRULE")
                .map(|line| repeats(line, begins, &event_zone))
                .transpose()?,
            instead_of: get("RECURRENCE-ID")
                .map(|line| exact(line, &line.value))
                .transpose()?,
            left_out,
            zone: event_zone,
        }))
    }

    fn shifts(&self) -> impl Iterator<Item = Shift> + '_ {
        let days = match &self.repeats {
            None => Box::new(std::iter::once(0_i64)) as Box<dyn Iterator<Item = i64>>,
            Some(repeats) => Box::new(repeats.days_after(self.begins.date())),
        };
        let count = self
            .repeats
            .as_ref()
            .and_then(|it| it.count)
            .unwrap_or(usize::MAX);
        let until = self
            .repeats
            .as_ref()
            .and_then(|it| it.until)
            .unwrap_or(Timestamp::MAX);
        let shifts = days.map_while(|days| {
            let days = Span::new().try_days(days).ok()?;
            // By the clock: a shift until nine ends at nine, whatever happens to the clocks in its night.
            let moment = |at: DateTime| {
                let at = at.checked_add(days).ok()?;
                self.zone.to_ambiguous_timestamp(at).compatible().ok()
            };
            Some(Shift {
                person: self.person.clone(),
                from: moment(self.begins)?,
                until: moment(self.ends)?,
            })
        });
        shifts
            .take(count)
            .take_while(move |shift| shift.from <= until)
            .filter(|shift| !self.left_out.contains(&shift.from))
    }
}

impl Repeats {
    /// How many days after the first each occurrence is.
    fn days_after(&self, first: Date) -> impl Iterator<Item = i64> + '_ {
        // Weeks begin on Monday.
        let offset = i64::from(first.weekday().to_monday_zero_offset());
        (0..MOST_YEARS * 366).filter(move |days| {
            let fits = if self.weekly {
                (days + offset) / 7 % self.interval == 0
            } else {
                days % self.interval == 0
            };
            let weekday =
                || Weekday::from_monday_zero_offset(i8::try_from((days + offset) % 7).unwrap_or(0));
            let on = self.days.is_empty() || weekday().is_ok_and(|day| self.days.contains(&day));
            fits && on
        })
    }
}

fn repeats(line: &Line, begins: DateTime, zone: &TimeZone) -> Result<Repeats, Wrong> {
    let mut repeats = Repeats {
        weekly: false,
        interval: 1,
        count: None,
        until: None,
        days: Vec::new(),
    };
    let mut frequency = String::new();
    for part in line.value.split(';').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let understood = match key.to_ascii_uppercase().as_str() {
            "FREQ" => {
                frequency = value.to_ascii_uppercase();
                true
            }
            "INTERVAL" => {
                let read = value.parse().ok().filter(|it| (1..=1_000).contains(it));
                repeats.interval = read.unwrap_or(1);
                read.is_some()
            }
            "COUNT" => {
                repeats.count = value.parse().ok();
                repeats.count.is_some()
            }
            "UNTIL" => {
                repeats.until = until(line, value, zone).ok();
                repeats.until.is_some()
            }
            "BYDAY" => {
                let days: Option<Vec<_>> = value.split(',').map(weekday).collect();
                repeats.days = days.unwrap_or_default();
                !repeats.days.is_empty()
            }
            "WKST" => value.eq_ignore_ascii_case("MO"),
            _ => false,
        };
        if !understood {
            return Err(not_read(line, part));
        }
    }
    repeats.weekly = match frequency.as_str() {
        "WEEKLY" => true,
        "DAILY" => false,
        _ => return Err(not_read(line, &line.value)),
    };
    if repeats.weekly && repeats.days.is_empty() {
        repeats.days.push(begins.weekday());
    }
    Ok(repeats)
}

fn not_read(line: &Line, part: &str) -> Wrong {
    wrong(
        line,
        format!("a repetition by `{part}` is not read"),
        "FREQ=DAILY and FREQ=WEEKLY are, with INTERVAL, COUNT, UNTIL, BYDAY without numbers, and weeks from Monday",
    )
}

/// The last moment at which an occurrence may begin: a day counts to its end.
fn until(line: &Line, value: &str, zone: &TimeZone) -> Result<Timestamp, Wrong> {
    let (at, own) = moment(line, value, zone)?;
    let at = if value.trim().len() == 8 {
        at.date().at(23, 59, 59, 0)
    } else {
        at
    };
    timestamp(at, &own, line)
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text.trim().to_ascii_uppercase().as_str() {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    })
}

/// When the event ends, by the clock of its beginning.
fn end(
    end: Option<&Line>,
    duration: Option<&Line>,
    start: &Line,
    (begins, default, zone): (DateTime, &TimeZone, &TimeZone),
) -> Result<DateTime, Wrong> {
    match (end, duration) {
        (Some(line), _) => {
            let (at, own) = moment(line, &line.value, default)?;
            if own == *zone {
                return Ok(at);
            }
            Ok(timestamp(at, &own, line)?.to_zoned(zone.clone()).datetime())
        }
        (None, Some(line)) => {
            let span = line.value.trim().parse::<Span>().ok();
            let end = span.and_then(|span| begins.checked_add(span).ok());
            end.ok_or_else(|| {
                let message = format!("`{}` is no length of time", line.value);
                wrong(line, message, "write DTEND, or a length such as P7D")
            })
        }
        (None, None) if start.value.trim().len() == 8 => begins
            .checked_add(Span::new().days(1))
            .map_err(|_| wrong(start, "this event has no end", "add DTEND")),
        (None, None) => Err(wrong(start, "this event has no end", "add DTEND")),
    }
}

/// A date or time as it is written, and whose clock it is by.
fn moment(line: &Line, value: &str, default: &TimeZone) -> Result<(DateTime, TimeZone), Wrong> {
    let value = value.trim();
    let bad = || {
        let message = format!("`{value}` is no date or time");
        wrong(line, message, "it looks like 20260105T090000Z or 20260105")
    };
    if value.len() == 8 {
        let day: Date = value.parse().map_err(|_| bad())?;
        return Ok((day.at(0, 0, 0, 0), default.clone()));
    }
    if let Some(utc) = value.strip_suffix('Z') {
        return Ok((utc.parse().map_err(|_| bad())?, TimeZone::UTC));
    }
    let zone = match line.parameter("TZID") {
        None => default.clone(),
        Some(name) => TimeZone::get(name.trim_start_matches('/')).map_err(|_| {
            let message = format!("there is no time zone `{name}`");
            let hint = "export the calendar with a zone such as Europe/Berlin, or in UTC";
            wrong(line, message, hint)
        })?,
    };
    Ok((value.parse().map_err(|_| bad())?, zone))
}

fn timestamp(at: DateTime, zone: &TimeZone, line: &Line) -> Result<Timestamp, Wrong> {
    let found = zone.to_ambiguous_timestamp(at).compatible();
    found.map_err(|_| {
        wrong(
            line,
            format!("{at} is out of range"),
            "write a year of our time",
        )
    })
}

/// Whose shift it is: by the address of who is invited, else by the summary.
fn person(lines: &[&Line], naming: &Naming<'_>) -> Result<PersonId, Wrong> {
    let invited = lines.iter().filter(|line| line.name == "ATTENDEE");
    let invited = invited.filter_map(|line| {
        let address = line.value.trim();
        let beginning = address.get(..7)?;
        let mail = beginning.eq_ignore_ascii_case("mailto:");
        naming.by_email(address.get(7..).filter(|_| mail)?)
    });
    let mut invited: Vec<&PersonId> = invited.collect();
    invited.dedup();
    if let [one] = invited.as_slice() {
        return Ok((*one).clone());
    }
    let summary = lines.iter().copied().find(|line| line.name == "SUMMARY");
    let words = summary
        .map(|line| unescaped(&line.value))
        .unwrap_or_default();
    naming.by_words(&words).cloned().ok_or_else(|| {
        let message = format!("`{words}` names no person of people.yaml, or several");
        let hint = "name one in SUMMARY by id, name or address, or invite one whose `email` is in people.yaml";
        wrong(summary.unwrap_or(lines[0]), message, hint)
    })
}

fn unescaped(text: &str) -> String {
    let text = text.replace("\\n", " ").replace("\\N", " ");
    text.replace("\\,", ",")
        .replace("\\;", ";")
        .replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Person;

    fn people() -> People {
        let mut people = People::default();
        for (id, name) in [("ana", "Ana Ruiz"), ("cy", "Cy Park")] {
            let person = Person {
                hours: None,
                second_factor: None,
                name: name.to_owned(),
                accounts: std::collections::BTreeMap::new(),
            };
            let id: PersonId = id.parse().unwrap();
            let email = format!("{id}@example.org");
            people.emails.insert(id.clone(), email);
            people.persons.insert(id, person);
        }
        people
    }

    /// The shifts as `person from until`, or what is wrong.
    fn told(events: &str) -> String {
        let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\n{events}END:VCALENDAR\n");
        let file = SourceFile::new("runbooks/shop.ics".into(), "shop.ics".into(), text);
        let (people, mut notes) = (people(), Vec::new());
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let read = read(&file, &zone, &Naming::of(&people), &mut notes);
        if read.is_none() {
            let lines: Vec<String> = notes.iter().map(|it| format!("{it}\n")).collect();
            return lines.concat();
        }
        let lines = unfolded(&file.text);
        let events = events_of(&lines).into_iter();
        let events = events.filter_map(|it| Event::read(&it, &zone, &Naming::of(&people)).unwrap());
        let mut shifts = String::new();
        for event in events {
            for shift in event.shifts().take(6) {
                let shown = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%a %d.%m. %H:%M");
                let (from, until) = (shown(shift.from), shown(shift.until));
                shifts.push_str(&format!("{} {from} – {until}\n", shift.person));
            }
        }
        shifts
    }

    fn event(lines: &str) -> String {
        format!(
            "BEGIN:VEVENT\nUID:1\n{lines}\nBEGIN:VALARM\nTRIGGER:-PT5M\nSUMMARY:cy\nEND:VALARM\nEND:VEVENT\n"
        )
    }

    #[test]
    fn events_become_shifts() {
        let rows = [
            (
                "utc",
                "SUMMARY:ana\nDTSTART:20260105T080000Z\nDTEND:20260112T080000Z",
            ),
            (
                "zone, name in a folded summary",
                "SUMMARY:On call: Cy\n  Park\nDTSTART;TZID=\"Europe/Berlin\":20260105T090000\nDURATION:P7D",
            ),
            (
                "floating, invited",
                "SUMMARY:Shop\nATTENDEE;CN=\"Ruiz: Ana\":mailto:ANA@example.org\nDTSTART:20260105T090000\nDTEND:20260105T180000",
            ),
            (
                "whole days",
                "SUMMARY:@cy\nDTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260107",
            ),
            ("one whole day", "SUMMARY:cy\nDTSTART;VALUE=DATE:20260105"),
            (
                "weekly over a change of clocks",
                "SUMMARY:ana\nDTSTART;TZID=Europe/Berlin:20260323T090000\nDTEND;TZID=Europe/Berlin:20260330T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3",
            ),
            (
                "weekends until",
                "SUMMARY:ana\nDTSTART;VALUE=DATE:20260103\nRRULE:FREQ=WEEKLY;BYDAY=SA,SU;UNTIL=20260111",
            ),
            (
                "daily without one",
                "SUMMARY:ana\nDTSTART:20260105T200000\nDTEND:20260106T080000\nRRULE:FREQ=DAILY;COUNT=4\nEXDATE:20260106T200000",
            ),
            ("cancelled", "SUMMARY:nobody\nSTATUS:CANCELLED"),
        ];
        let told: Vec<String> = rows
            .iter()
            .map(|(name, lines)| format!("## {name}\n{}", told(&event(lines))))
            .collect();
        insta::assert_snapshot!(told.concat());
    }

    #[test]
    fn what_can_not_be_read_is_told_with_its_line() {
        let rows = [
            (
                "nobody",
                "SUMMARY:Eve\nDTSTART:20260105T080000Z\nDTEND:20260112T080000Z",
            ),
            (
                "several",
                "SUMMARY:Ana Ruiz and Cy Park\nDTSTART:20260105T080000Z\nDTEND:20260112T080000Z",
            ),
            ("no beginning", "SUMMARY:ana"),
            ("no end", "SUMMARY:ana\nDTSTART:20260105T080000Z"),
            (
                "the wrong way round",
                "SUMMARY:ana\nDTSTART:20260105T080000Z\nDTEND:20260104T080000Z",
            ),
            (
                "no time",
                "SUMMARY:ana\nDTSTART:soon\nDTEND:20260104T080000Z",
            ),
            (
                "no zone",
                "SUMMARY:ana\nDTSTART;TZID=W. Europe Standard Time:20260105T080000\nDTEND:20260106T080000",
            ),
            (
                "monthly",
                "SUMMARY:ana\nDTSTART:20260105T080000Z\nDTEND:20260106T080000Z\nRRULE:FREQ=MONTHLY",
            ),
            (
                "the second Monday",
                "SUMMARY:ana\nDTSTART:20260105T080000Z\nDTEND:20260106T080000Z\nRRULE:FREQ=WEEKLY;BYDAY=2MO",
            ),
            (
                "more dates",
                "SUMMARY:ana\nDTSTART:20260105T080000Z\nDTEND:20260106T080000Z\nRDATE:20260107T080000Z",
            ),
        ];
        let told: Vec<String> = rows
            .iter()
            .map(|(name, lines)| format!("## {name}\n{}", told(&event(lines))))
            .collect();
        insta::assert_snapshot!(told.concat());
    }

    #[test]
    fn an_occurrence_that_was_moved_counts_where_it_was_moved_to() {
        let series = event(
            "SUMMARY:ana\nDTSTART:20260105T080000Z\nDTEND:20260105T090000Z\nRRULE:FREQ=DAILY;COUNT=2",
        );
        let moved = event(
            "SUMMARY:cy\nRECURRENCE-ID:20260106T080000Z\nDTSTART:20260106T100000Z\nDTEND:20260106T110000Z",
        );
        let text = format!("BEGIN:VCALENDAR\n{series}{moved}END:VCALENDAR\n");
        let file = SourceFile::new("runbooks/shop.ics".into(), "shop.ics".into(), text);
        let (people, mut notes) = (people(), Vec::new());
        let calendar = read(&file, &TimeZone::UTC, &Naming::of(&people), &mut notes).unwrap();
        let persons: Vec<_> = crate::domain::Shifts::Calendar(calendar.clone())
            .persons()
            .into_iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(persons, ["ana", "cy"]);
        let rotation = crate::domain::Rotation {
            zone: TimeZone::UTC,
            levels: [(
                "oncall".parse().unwrap(),
                vec![crate::domain::Layer {
                    shifts: crate::domain::Shifts::Calendar(calendar),
                    when: None,
                    holidays: None,
                }],
            )]
            .into(),
            holidays: std::collections::BTreeSet::new(),
            covers: Vec::new(),
        };
        let holder = |at: &str| rotation.holder(&"oncall".parse().unwrap(), at.parse().unwrap());
        assert_eq!(holder("2026-01-06T08:30:00Z"), None);
        assert_eq!(holder("2026-01-06T10:30:00Z").unwrap().as_str(), "cy");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(BEGIN:VEVENT\n|END:VEVENT\n|SUMMARY:ana\n|DTSTART[:;=A-Z0-9a-z/\"]{0,24}\n|DTEND:[0-9TZ]{0,18}\n|RRULE:[A-Z=;0-9]{0,40}\n|.{0,20}\n){0,20}") {
            told(&text);
        }
    }
}
