//! Hand-overs and windows, where clocks are put forward and back: each hand-over once, at its moment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use midwatch::domain::{Layer, LevelName, PersonId, Rotation, Shifts, Turns, Window};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::readings;

/// Zones that put their clocks forward and back at odd hours, by odd spans, or left out a day.
const ZONES: [&str; 11] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "America/St_Johns",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
];
/// Hours at which something is handed over, many of which are left out or come twice where clocks change.
const HOURS: [(i8, i8); 12] = [
    (0, 0),
    (0, 30),
    (1, 0),
    (1, 45),
    (2, 0),
    (2, 15),
    (2, 30),
    (3, 0),
    (3, 30),
    (9, 0),
    (23, 0),
    (23, 45),
];

/// One rotation and one window, looked at around a change of clocks and anywhere. Answers how many questions were asked.
pub(super) fn walk(random: &mut StdRng) -> usize {
    let zone = TimeZone::get(ZONES.choose(random).expect("there are zones")).expect("a known zone");
    let year = random.random_range(2008..2030);
    let day = Date::new(
        year,
        random.random_range(1..=12),
        random.random_range(1..=28),
    );
    let day = day.expect("a day of that month");
    let around = day
        .to_zoned(zone.clone())
        .expect("a day of our time")
        .timestamp();
    let change = zone.following(around).next().map(|it| it.timestamp());
    let middle = change.unwrap_or(around);
    // Often one of the hand-overs is on the very day.
    let day = if random.random() {
        let on = middle.to_zoned(zone.clone()).date();
        on - Span::new().days(14 * random.random_range(0..9))
    } else {
        day
    };
    rotation(random, &zone, day, middle) + window(random, &zone, middle)
}

/// Every twenty minutes of four days, the milliseconds around each hand-over, and moments of any kind.
fn rotation(random: &mut StdRng, zone: &TimeZone, starts: Date, middle: Timestamp) -> usize {
    let (hour, minute) = HOURS.choose(random).expect("there are hours");
    let every = *[1, 2, 7, 14].choose(random).expect("there are some");
    let people = ["ana", "cy", "eve", "kim"].map(|it| PersonId::parse(it).expect("a name"));
    let turns = people[..random.random_range(1..=4)].to_vec();
    let level = LevelName::parse("oncall").expect("a name");
    let by_turns = Turns {
        zone: zone.clone(),
        starts: starts.at(*hour, *minute, 0, 0),
        every_days: every,
        persons: turns.clone(),
    };
    let layer = Layer {
        shifts: Shifts::Turns(by_turns.clone()),
        when: None,
        holidays: None,
    };
    let rotation = Rotation {
        zone: zone.clone(),
        levels: BTreeMap::from([(level.clone(), vec![layer])]),
        holidays: BTreeSet::new(),
        covers: Vec::new(),
    };
    let handovers = handovers(&by_turns, middle + SignedDuration::from_hours(72));
    let mut moments: Vec<Timestamp> = (-144..144)
        .map(|n| middle + SignedDuration::from_mins(20 * n))
        .collect();
    let last = handovers.iter().rev().take(4);
    moments.extend(last.flat_map(|at| [-1, 0, 1].map(|ms| *at + SignedDuration::from_millis(ms))));
    for now in &moments {
        let begun = handovers.partition_point(|at| at <= now);
        let expected = begun.checked_sub(1).map(|turn| &turns[turn % turns.len()]);
        assert_eq!(
            rotation.holder(&level, *now),
            expected,
            "{rotation:?} at {}: {begun} hand-overs before",
            now.to_zoned(zone.clone())
        );
    }
    for _ in 0..4 {
        rotation.holder(&level, readings::moment(random)); // At the ends of time it answers something.
    }
    moments.len() + 4
}

/// Each hand-over until then, one after the other; what no clock showed is when it was put forward, what two showed is
/// the first.
fn handovers(rotation: &Turns, end: Timestamp) -> Vec<Timestamp> {
    let mut handovers = Vec::new();
    for n in 0.. {
        let civil: DateTime =
            rotation.starts + Span::new().days(n * i64::from(rotation.every_days));
        let at = rotation.zone.to_ambiguous_timestamp(civil).compatible();
        let at = at.expect("a moment of our time");
        if at > end {
            break;
        }
        handovers.push(at);
    }
    handovers
}

/// A weekly window against its minutes, spelled out.
fn window(random: &mut StdRng, zone: &TimeZone, middle: Timestamp) -> usize {
    let mut hour = || {
        Time::constant(
            random.random_range(0..24),
            *[0, 30].choose(random).expect("two"),
            0,
            0,
        )
    };
    let (from, to) = (hour(), hour());
    let all = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];
    let first = random.random_range(0..7);
    let days = all[first..=random.random_range(first..7)].to_vec();
    let window = Window {
        text: "a window".to_owned(),
        days: days.clone(),
        from,
        to,
        zone: zone.clone(),
    };
    // Minutes of the week, Monday 00:00 first.
    let minute = |time: Time| i32::from(time.hour()) * 60 + i32::from(time.minute());
    let mut open = vec![false; 7 * 1440];
    for day in days {
        let begin = i32::from(day.to_monday_zero_offset()) * 1440 + minute(from);
        let mut long = minute(to) - minute(from);
        if long <= 0 {
            long += 1440;
        }
        for at in begin..begin + long {
            open[usize::try_from(at).expect("of this week or the next") % (7 * 1440)] = true;
        }
    }
    let moments = (-288..288).map(|n| middle + SignedDuration::from_secs(600 * n + 599));
    for now in moments {
        let local = now.to_zoned(zone.clone());
        let at = i32::from(local.weekday().to_monday_zero_offset()) * 1440 + minute(local.time());
        let expected = open[usize::try_from(at).expect("of a week")];
        assert_eq!(window.contains(now), expected, "{window:?} at {local}");
    }
    for _ in 0..4 {
        window.contains(readings::moment(random)); // As above.
    }
    580
}
