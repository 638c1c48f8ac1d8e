//! A rotation of `people.yaml`: from what it says to layers, and the gaps in them that `check` finds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::at::{At, Spot};
use super::calendar::{self, Naming};
use super::diagnostic::{Diagnostic, SourceFile, did_you_mean};
use super::people::{known_persons, zone};
use super::{parameter, raw, window};
use crate::domain::{
    Layer, LevelName, OnCall, OnHolidays, People, PersonId, Rotation, Shifts, Turns,
};

/// For how long `check` looks ahead.
const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
/// The longest span of holidays in one line.
const MOST_HOLIDAYS: usize = 62;

/// What a rotation may name.
pub(crate) struct Known<'k> {
    /// Persons, as the file has them.
    pub(crate) raw_people: &'k BTreeMap<PersonId, raw::Person>,
    /// Their names and addresses.
    pub(crate) people: &'k People,
    /// The iCalendar files beside the file.
    pub(crate) calendars: &'k [Arc<SourceFile>],
}

/// Makes a rotation of what the file says. `None` when there was a mistake; it is among the notes then.
pub(crate) fn read(
    raw: &raw::Rotation,
    at: At<'_>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Rotation> {
    for (level, turns) in &raw.levels {
        let place = at.get("levels").get(level.as_str());
        known_persons(turns, known.raw_people, place, notes);
    }
    let zone = zone(&raw.zone.0, at.get("zone"), notes);
    let starts = raw
        .starts
        .as_ref()
        .map(|it| date_time(it, at.get("starts"), notes));
    let every = raw
        .every
        .as_ref()
        .map(|it| whole_days(it, at.get("every"), notes));
    let holidays = holidays(&raw.holidays, at.get("holidays"), notes);
    // A mistake in what layers fall back on is told once.
    let broken = zone.is_none() || starts == Some(None) || every == Some(None);
    let defaults = Defaults {
        zone: zone.clone().unwrap_or(TimeZone::UTC),
        starts: starts.flatten(),
        every_days: every.flatten(),
        broken,
    };
    let mut levels = of_levels(raw, &defaults, at, notes);
    for (layer, at) in raw.layers.iter().zip(at.get("layers").items()) {
        let read = read_layer(layer, &defaults, known, at, notes);
        let level = levels.entry(layer.level.clone()).or_default();
        level.extend(read);
    }
    levels.retain(|_, layers| !layers.is_empty());
    (!broken).then_some(Rotation {
        zone: zone?,
        levels,
        holidays,
        covers: Vec::new(),
    })
}

/// What layers go by that don't say it themselves.
struct Defaults {
    zone: TimeZone,
    starts: Option<DateTime>,
    every_days: Option<u32>,
    /// One of them has a mistake, which has been told.
    broken: bool,
}

type Levels = BTreeMap<LevelName, Vec<Layer>>;

fn of_levels(
    raw: &raw::Rotation,
    defaults: &Defaults,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Levels {
    let mut levels = Levels::new();
    for (level, persons) in &raw.levels {
        let layered = raw.layers.iter().any(|layer| layer.level == *level);
        let place = at.get("levels").key(level.as_str());
        if persons.is_empty() && !layered {
            let message =
                format!("nobody takes turns at level `{level}`: calling it reaches nobody");
            notes.push(
                place
                    .warning(message)
                    .hint("add a person, or remove the level"),
            );
        }
        if persons.is_empty() {
            continue;
        }
        let shifts = turns(persons.clone(), defaults, (place, "the rotation"), notes);
        let layer = shifts.map(|shifts| Layer {
            shifts,
            when: None,
            holidays: None,
        });
        levels.entry(level.clone()).or_default().extend(layer);
    }
    levels
}

fn turns(
    persons: Vec<PersonId>,
    by: &Defaults,
    (at, whose): (At<'_>, &str),
    notes: &mut Vec<Diagnostic>,
) -> Option<Shifts> {
    let missing = match (by.starts, by.every_days) {
        (Some(starts), Some(every_days)) => {
            return Some(Shifts::Turns(Turns {
                zone: by.zone.clone(),
                starts,
                every_days,
                persons,
            }));
        }
        (None, None) => "`starts` and `every`",
        (None, Some(_)) => "`starts`",
        (Some(_), None) => "`every`",
    };
    if !by.broken {
        let message = format!("persons take turns here, and {whose} has no {missing}");
        let hint = "write starts: \"2026-01-05 09:00\" and every: 7d";
        notes.push(at.error(message).hint(hint));
    }
    None
}

fn read_layer(
    raw: &raw::Layer,
    defaults: &Defaults,
    known: &Known<'_>,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Layer> {
    let when = raw.when.as_ref();
    let when = when.map(|text| window::read(&text.0, at.get("when"), notes));
    let by = of_layer(raw, defaults, at, notes);
    let shifts = match (&raw.persons, &raw.calendar) {
        (Some(persons), None) if !persons.is_empty() => {
            known_persons(persons, known.raw_people, at.get("persons"), notes);
            turns(persons.clone(), &by, (at.head(), "this layer"), notes)
        }
        (None, Some(file)) => calendar_of(&file.0, &by, known, at.get("calendar"), notes),
        (Some(_), None) => {
            let message = "nobody takes turns in this layer";
            let hint = "add a person, or remove the layer";
            notes.push(at.get("persons").error(message).hint(hint));
            None
        }
        (Some(_), Some(_)) | (None, None) => {
            let message = "a layer is made of `persons` or of a `calendar`";
            let hint = "write one of them: persons: [ana, cy], or calendar: shop.ics";
            notes.push(at.head().error(message).hint(hint));
            None
        }
    };
    Some(Layer {
        shifts: shifts?,
        when: match when {
            Some(read) => Some(read?),
            None => None,
        },
        holidays: raw.holidays.map(|it| match it {
            raw::OnHolidays::Only => OnHolidays::Only,
            raw::OnHolidays::Never => OnHolidays::Never,
        }),
    })
}

fn of_layer(
    raw: &raw::Layer,
    defaults: &Defaults,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Defaults {
    let own_zone = raw.zone.as_ref();
    let own_zone = own_zone.map(|text| zone(&text.0, at.get("zone"), notes));
    let starts = raw
        .starts
        .as_ref()
        .map(|it| date_time(it, at.get("starts"), notes));
    let every = raw
        .every
        .as_ref()
        .map(|it| whole_days(it, at.get("every"), notes));
    Defaults {
        broken: defaults.broken
            || matches!(own_zone, Some(None))
            || starts == Some(None)
            || every == Some(None),
        zone: own_zone.flatten().unwrap_or_else(|| defaults.zone.clone()),
        starts: starts.flatten().or(defaults.starts),
        every_days: every.flatten().or(defaults.every_days),
    }
}

fn calendar_of(
    name: &str,
    by: &Defaults,
    known: &Known<'_>,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Shifts> {
    let short = |file: &Arc<SourceFile>| {
        let path = file.path.as_str();
        path.rsplit('/').next().unwrap_or(path).to_owned()
    };
    let Some(file) = known.calendars.iter().find(|file| short(file) == name) else {
        let names: Vec<String> = known.calendars.iter().map(short).collect();
        let near = did_you_mean(name, names.iter().map(String::as_str));
        let hint = near.unwrap_or_else(|| {
            "put the iCalendar file beside people.yaml, and name it as it is called: shop.ics"
                .to_owned()
        });
        let message = format!("there is no calendar `{name}`");
        notes.push(at.error(message).hint(hint));
        return None;
    };
    let naming = Naming::of(known.people);
    calendar::read(file, &by.zone, &naming, notes).map(Shifts::Calendar)
}

fn date_time(text: &raw::Text, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<DateTime> {
    let read = text.0.parse::<DateTime>().ok();
    if read.is_none() {
        let message = format!("`{}` is not a date with a time", text.0);
        notes.push(at.error(message).hint("write \"2026-01-05 09:00\""));
    }
    read
}

fn whole_days(text: &raw::Span, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<u32> {
    let every = parameter::span(&text.0, at, notes)?;
    let days = u32::try_from(every.as_secs() / 86_400).ok();
    let exact = every.as_millis().is_multiple_of(86_400_000);
    let days = days.filter(|days| exact && *days > 0);
    if days.is_none() {
        let message = "turns last whole days";
        notes.push(at.error(message).hint("such as `1d` or `7d`"));
    }
    days
}

fn holidays(raw: &[raw::Text], at: At<'_>, notes: &mut Vec<Diagnostic>) -> BTreeSet<Date> {
    let mut days = BTreeSet::new();
    for (raw::Text(text), at) in raw.iter().zip(at.items()) {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let ends = first.parse::<Date>().ok().zip(last.parse::<Date>().ok());
        let Some((first, last)) = ends.filter(|(first, last)| first <= last) else {
            let message = format!("`{text}` is no day");
            let hint = "write 2026-12-25, or 2026-12-24..2026-12-26";
            notes.push(at.error(message).hint(hint));
            continue;
        };
        let span: Vec<Date> = first
            .series(jiff::Span::new().days(1))
            .take_while(|day| *day <= last)
            .take(MOST_HOLIDAYS + 1)
            .collect();
        if span.len() > MOST_HOLIDAYS {
            let message = format!("these are more than {MOST_HOLIDAYS} days");
            notes.push(at.error(message).hint("write a shorter span, or several"));
            continue;
        }
        days.extend(span);
    }
    days
}

/// Where a level stands: in `levels`, else its first layer.
pub(crate) fn place_of<'a>(level: &LevelName, at: At<'a>) -> At<'a> {
    if at.get("levels").keys().any(|key| key == level.as_str()) {
        return at.get("levels").key(level.as_str());
    }
    let mut layers = at.get("layers").items();
    let layer = layers.find(|layer| layer.level().as_deref() == Some(level.as_str()));
    layer.map_or(at, |layer| layer.get("level"))
}

/// An error for each level that nobody holds at some time in the year from `now` on.
pub(crate) fn gaps(people: &People, levels: &[(OnCall, Spot)], now: Timestamp) -> Vec<Diagnostic> {
    let end = now.saturating_add(YEAR).unwrap_or(Timestamp::MAX);
    let of_level = |(on_call, spot): &(OnCall, Spot)| {
        let rotation = people.rotations.get(&on_call.rotation)?;
        let gaps = rotation.gaps(&on_call.level, now, end);
        let first = gaps.first()?;
        let shown = |at: Timestamp| {
            let at = at.to_zoned(rotation.zone.clone());
            at.strftime("%a %Y-%m-%d %H:%M").to_string()
        };
        let until = if first.until == end {
            "on".to_owned()
        } else {
            format!("until {}", shown(first.until))
        };
        let zone = rotation.zone.iana_name().unwrap_or("UTC");
        let more = match gaps.len() - 1 {
            0 => String::new(),
            1 => ", and once more in the year ahead".to_owned(),
            more => format!(", and {more} times more in the year ahead"),
        };
        let message = format!(
            "nobody holds `{on_call}` from {} {until}, {zone}{more}",
            shown(first.from)
        );
        let hint = "add a person, a layer or an event of its calendar there; whoever calls this level then reaches nobody";
        Some(spot.error(message).hint(hint))
    };
    levels.iter().filter_map(of_level).collect()
}
