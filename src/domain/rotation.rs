//! Who is on call when: layers of a level, taken in turns or from a calendar, holidays, and what was arranged in chat.
//!
//! One function says who holds a level, and one when that may change next; shifts, hand-overs and gaps follow from the two.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{LevelName, PersonId, Window};

/// How far ahead a hand-over is looked for.
const AHEAD: SignedDuration = SignedDuration::from_hours(400 * 24);
/// How many changes are looked at for one answer; a minute's windows over a year come to more than anybody writes.
const MOST_CHANGES: usize = 20_000;

/// Who is on call when.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The clock it is told by, and whose days holidays are.
    pub zone: TimeZone,
    /// By level, each non-empty: a later layer goes before an earlier one while it names somebody.
    pub levels: BTreeMap<LevelName, Vec<Layer>>,
    /// Days on which layers may stand aside, or stand in.
    pub holidays: BTreeSet<Date>,
    /// What was arranged in chat, in the order in which it was: the last goes before all others.
    pub covers: Vec<Cover>,
}

/// One way in which a level is filled.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Who takes it when.
    pub shifts: Shifts,
    /// Only within this window.
    pub when: Option<Window>,
    /// What holidays mean to it; `None`: nothing.
    pub holidays: Option<OnHolidays>,
}

/// What holidays mean to a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnHolidays {
    /// It counts on holidays alone.
    Only,
    /// It does not count on holidays.
    Never,
}

/// Who takes a layer when.
#[derive(Debug, Clone)]
pub enum Shifts {
    /// Persons in turn.
    Turns(Turns),
    /// As a calendar has it.
    Calendar(Calendar),
}

/// Persons who take over one after the other.
#[derive(Debug, Clone)]
pub struct Turns {
    /// Whose clock.
    pub zone: TimeZone,
    /// A moment at which the first person took over; hand-overs repeat from it.
    pub starts: jiff::civil::DateTime,
    /// Days between hand-overs; at least 1.
    pub every_days: u32,
    /// In turn. Non-empty.
    pub persons: Vec<PersonId>,
}

/// Shifts that were read from a calendar.
#[derive(Debug, Clone, Default)]
pub struct Calendar {
    /// In the order of their beginnings.
    shifts: Vec<Shift>,
    /// How long the longest of them is.
    longest: SignedDuration,
}

/// A span in which one person holds a level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// Who.
    pub person: PersonId,
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

/// A shift that somebody takes by arrangement, whatever the files say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cover {
    /// Of which level.
    pub level: LevelName,
    /// Who takes it when.
    pub shift: Shift,
}

/// A span in which nobody holds a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

impl Shift {
    /// Whether it goes on at that moment.
    pub fn contains(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

impl Rotation {
    /// Who holds a level at that moment: `None` for an unknown level, and in a gap.
    pub fn holder(&self, level: &LevelName, now: Timestamp) -> Option<&PersonId> {
        let layers = self.levels.get(level)?;
        let mut covers = self.covers.iter().rev();
        let cover = covers.find(|cover| cover.level == *level && cover.shift.contains(now));
        if let Some(cover) = cover {
            return Some(&cover.shift.person);
        }
        let mut layers = layers.iter().rev();
        layers.find_map(|layer| self.holder_in(layer, now))
    }

    fn holder_in<'r>(&self, layer: &'r Layer, now: Timestamp) -> Option<&'r PersonId> {
        let holiday = || {
            self.holidays
                .contains(&now.to_zoned(self.zone.clone()).date())
        };
        let counts = match layer.holidays {
            None => true,
            Some(OnHolidays::Only) => holiday(),
            Some(OnHolidays::Never) => !holiday(),
        };
        let opens = layer.when.as_ref().is_none_or(|when| when.contains(now));
        if !counts || !opens {
            return None;
        }
        match &layer.shifts {
            Shifts::Turns(turns) => turns.holder(now),
            Shifts::Calendar(calendar) => calendar.holder(now),
        }
    }

    /// When somebody else holds the level, or nobody: `None` where nothing changes in the year ahead.
    pub fn until(&self, level: &LevelName, now: Timestamp) -> Option<Timestamp> {
        let holder = self.holder(level, now);
        let end = now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
        self.changes(level, now, end)
            .find(|at| self.holder(level, *at) != holder)
    }

    /// Every span until `end` in which nobody holds the level, the earliest first. None for an unknown level.
    pub fn gaps(&self, level: &LevelName, from: Timestamp, end: Timestamp) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        if !self.levels.contains_key(level) {
            return gaps;
        }
        let mut open = self.holder(level, from).is_none().then_some(from);
        for at in self.changes(level, from, end) {
            match (open, self.holder(level, at)) {
                (None, None) => open = Some(at),
                (Some(from), Some(_)) => {
                    gaps.push(Gap { from, until: at });
                    open = None;
                }
                (None, Some(_)) | (Some(_), None) => {}
            }
        }
        gaps.extend(open.map(|from| Gap { from, until: end }));
        gaps
    }

    /// The shifts of a level within a span, cut to it: who holds it from when until when, gaps left out.
    pub fn shifts(&self, level: &LevelName, from: Timestamp, end: Timestamp) -> Vec<Shift> {
        let mut shifts: Vec<Shift> = Vec::new();
        let edges: Vec<Timestamp> = std::iter::once(from)
            .chain(self.changes(level, from, end))
            .chain(std::iter::once(end))
            .collect();
        for (at, next) in edges.iter().zip(edges.iter().skip(1)) {
            let Some(person) = self.holder(level, *at) else {
                continue;
            };
            match shifts.last_mut() {
                Some(last) if last.person == *person && last.until == *at => last.until = *next,
                _ => shifts.push(Shift {
                    person: person.clone(),
                    from: *at,
                    until: *next,
                }),
            }
        }
        shifts
    }

    /// Everybody who takes part by the files, in any level.
    pub fn persons(&self) -> BTreeSet<&PersonId> {
        let layers = self.levels.values().flatten();
        layers.flat_map(|layer| layer.shifts.persons()).collect()
    }

    /// Moments until `end` at which the holder may change; a superset.
    fn changes(
        &self,
        level: &LevelName,
        from: Timestamp,
        end: Timestamp,
    ) -> impl Iterator<Item = Timestamp> {
        let next = move |at: &Timestamp| self.change_after(level, *at).filter(|at| *at < end);
        std::iter::successors(next(&from), next).take(MOST_CHANGES)
    }

    fn change_after(&self, level: &LevelName, after: Timestamp) -> Option<Timestamp> {
        let layers = self.levels.get(level).into_iter().flatten();
        let of_layers = layers.flat_map(|layer| {
            let shifts = match &layer.shifts {
                Shifts::Turns(turns) => turns.change_after(after),
                Shifts::Calendar(calendar) => calendar.change_after(after),
            };
            let window = layer
                .when
                .as_ref()
                .and_then(|when| when.change_after(after));
            let holiday = layer.holidays.and_then(|_| self.holiday_after(after));
            [shifts, window, holiday].into_iter().flatten()
        });
        let covers = self.covers.iter().filter(|cover| cover.level == *level);
        let of_covers = covers.flat_map(|cover| [cover.shift.from, cover.shift.until]);
        of_layers.chain(of_covers.filter(|at| *at > after)).min()
    }

    /// When a holiday begins or ends next.
    fn holiday_after(&self, after: Timestamp) -> Option<Timestamp> {
        let yesterday = after.to_zoned(self.zone.clone()).date().yesterday().ok()?;
        let begins = |day: Date| Some(day.to_zoned(self.zone.clone()).ok()?.timestamp());
        let near = self.holidays.range(yesterday..);
        let edges = near.flat_map(|day| [begins(*day), day.tomorrow().ok().and_then(begins)]);
        edges.flatten().find(|at| *at > after)
    }
}

impl Shifts {
    /// Everybody who takes part.
    pub fn persons(&self) -> BTreeSet<&PersonId> {
        match self {
            Self::Turns(turns) => turns.persons.iter().collect(),
            Self::Calendar(calendar) => calendar.shifts.iter().map(|it| &it.person).collect(),
        }
    }
}

impl Turns {
    /// Whose turn it is at that moment: `None` before the first.
    ///
    /// Counted in calendar days of the zone, so a change of clocks moves no hand-over; and held against moments, so a
    /// clock that is put back and shows the same hour twice hands over once.
    pub fn holder(&self, now: Timestamp) -> Option<&PersonId> {
        let latest = self.latest(now);
        let begun = |turn: &i64| self.hand_over(*turn).is_some_and(|at| at <= now);
        let turn = (latest - 3..=latest).rev().find(begun)?;
        self.persons
            .get(usize::try_from(turn).ok()? % self.persons.len().max(1))
    }

    fn change_after(&self, after: Timestamp) -> Option<Timestamp> {
        let latest = self.latest(after);
        let turns = (latest - 3).max(0)..=(latest + 2).max(0);
        turns
            .filter_map(|turn| self.hand_over(turn))
            .find(|at| *at > after)
    }

    /// A turn that has not ended yet, if any has begun.
    fn latest(&self, now: Timestamp) -> i64 {
        let today = now.to_zoned(self.zone.clone()).date();
        let days = i64::from((today - self.starts.date()).get_days());
        // From tomorrow's on, which has been where clocks are put back over midnight; two days more where one is left out.
        (days + 1).div_euclid(self.days_a_turn())
    }

    fn days_a_turn(&self) -> i64 {
        i64::from(self.every_days.max(1))
    }

    /// When a turn begins. An hour that no clock shows is when it is put forward; of one that comes twice, the first.
    fn hand_over(&self, turn: i64) -> Option<Timestamp> {
        let days = jiff::Span::new().try_days(turn * self.days_a_turn()).ok()?;
        let at = self.starts.checked_add(days).ok()?;
        self.zone.to_ambiguous_timestamp(at).compatible().ok()
    }
}

impl Calendar {
    /// Takes shifts in any order. Where two overlap, the one that begins later counts.
    pub fn new(mut shifts: Vec<Shift>) -> Self {
        shifts.sort_by_key(|shift| (shift.from, shift.until));
        let lengths = shifts.iter().map(|it| it.until.duration_since(it.from));
        let longest = lengths.max().unwrap_or_default();
        Self { shifts, longest }
    }

    fn holder(&self, now: Timestamp) -> Option<&PersonId> {
        let begun = self.shifts.partition_point(|shift| shift.from <= now);
        let lasts = |shift: &&Shift| now.duration_since(shift.from) <= self.longest;
        let begun = self.shifts[..begun].iter().rev();
        let mut near = begun.take_while(lasts);
        near.find(|shift| shift.contains(now)).map(|it| &it.person)
    }

    fn change_after(&self, after: Timestamp) -> Option<Timestamp> {
        let begun = self.shifts.partition_point(|shift| shift.from <= after);
        let next = self.shifts.get(begun).map(|shift| shift.from);
        let lasts = |shift: &&Shift| after.duration_since(shift.from) <= self.longest;
        let near = self.shifts[..begun].iter().rev().take_while(lasts);
        let ends = near.map(|shift| shift.until).filter(|at| *at > after);
        ends.chain(next).min()
    }
}

impl Window {
    /// The next moment at which it may open or close, or the clocks are changed; a superset.
    fn change_after(&self, after: Timestamp) -> Option<Timestamp> {
        let today = after.to_zoned(self.zone.clone()).date();
        // A window opens within eight days, and a day may be left out of a calendar.
        let days = (-1..=9).filter_map(|n| today.checked_add(jiff::Span::new().days(n)).ok());
        let edges = days.flat_map(|day| [self.from, self.to].map(|time| day.to_datetime(time)));
        let moments = edges.flat_map(|at| {
            let at = self.zone.to_ambiguous_timestamp(at);
            [at.earlier().ok(), at.later().ok()].into_iter().flatten()
        });
        let clocks = self.zone.following(after).next().map(|it| it.timestamp());
        moments.filter(|at| *at > after).chain(clocks).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        let zoned: jiff::Zoned = format!("{text}[Europe/Berlin]").parse().unwrap();
        zoned.timestamp()
    }

    fn turns(starts: &str, every_days: u32, persons: &[&str]) -> Shifts {
        Shifts::Turns(Turns {
            zone: zone("Europe/Berlin"),
            starts: starts.parse().unwrap(),
            every_days,
            persons: persons.iter().map(|it| it.parse().unwrap()).collect(),
        })
    }

    fn layer(shifts: Shifts) -> Layer {
        Layer {
            shifts,
            when: None,
            holidays: None,
        }
    }

    fn window(days: &[jiff::civil::Weekday], from: i8, to: i8) -> Window {
        Window {
            text: String::new(),
            days: days.to_vec(),
            from: jiff::civil::time(from, 0, 0, 0),
            to: jiff::civil::time(to, 0, 0, 0),
            zone: zone("Europe/Berlin"),
        }
    }

    fn level() -> LevelName {
        "oncall".parse().unwrap()
    }

    fn shift(person: &str, from: &str, until: &str) -> Shift {
        Shift {
            person: person.parse().unwrap(),
            from: at(from),
            until: at(until),
        }
    }

    fn rotation(layers: Vec<Layer>) -> Rotation {
        Rotation {
            zone: zone("Europe/Berlin"),
            levels: [(level(), layers)].into(),
            holidays: BTreeSet::new(),
            covers: Vec::new(),
        }
    }

    fn who(rotation: &Rotation, now: &str) -> String {
        let holder = rotation.holder(&level(), at(now));
        holder.map_or("nobody".to_owned(), ToString::to_string)
    }

    #[test]
    fn a_later_layer_goes_first_within_its_window() {
        use jiff::civil::Weekday::{Saturday, Sunday};
        let mut weekend = layer(turns("2026-01-03 00:00", 7, &["kim", "bo"]));
        weekend.when = Some(window(&[Saturday, Sunday], 0, 0));
        let rotation = rotation(vec![
            layer(turns("2026-01-05 09:00", 7, &["ana", "cy"])),
            weekend,
        ]);
        assert_eq!(who(&rotation, "2026-01-09 23:59"), "ana");
        assert_eq!(who(&rotation, "2026-01-10 00:00"), "bo");
        assert_eq!(who(&rotation, "2026-01-11 23:59"), "bo");
        assert_eq!(who(&rotation, "2026-01-12 08:59"), "ana");
        let until = rotation.until(&level(), at("2026-01-07 12:00"));
        assert_eq!(until, Some(at("2026-01-10 00:00")));
    }

    #[test]
    fn layers_stand_aside_or_stand_in_on_holidays() {
        let mut office = layer(turns("2026-01-05 09:00", 1, &["cy"]));
        office.holidays = Some(OnHolidays::Never);
        let mut feast = layer(turns("2026-01-05 09:00", 1, &["dana"]));
        feast.holidays = Some(OnHolidays::Only);
        let mut rotation = rotation(vec![office, feast]);
        rotation.holidays = [jiff::civil::date(2026, 12, 25)].into();
        assert_eq!(who(&rotation, "2026-12-24 23:59"), "cy");
        assert_eq!(who(&rotation, "2026-12-25 00:00"), "dana");
        assert_eq!(who(&rotation, "2026-12-26 00:00"), "cy");
        let until = rotation.until(&level(), at("2026-12-25 03:00"));
        assert_eq!(until, Some(at("2026-12-26 00:00")));
    }

    #[test]
    fn the_last_arrangement_goes_before_all_others() {
        let mut rotation = rotation(vec![layer(turns("2026-01-05 09:00", 7, &["ana"]))]);
        let cover = |person, from, until| Cover {
            level: level(),
            shift: shift(person, from, until),
        };
        rotation.covers = vec![
            cover("kim", "2026-01-10 00:00", "2026-01-11 00:00"),
            cover("bo", "2026-01-10 12:00", "2026-01-10 18:00"),
        ];
        assert_eq!(who(&rotation, "2026-01-10 11:59"), "kim");
        assert_eq!(who(&rotation, "2026-01-10 12:00"), "bo");
        assert_eq!(who(&rotation, "2026-01-10 18:00"), "kim");
        assert_eq!(who(&rotation, "2026-01-11 00:00"), "ana");
        let until = rotation.until(&level(), at("2026-01-10 12:00"));
        assert_eq!(until, Some(at("2026-01-10 18:00")));
    }

    #[test]
    fn gaps_are_found_where_no_layer_names_anybody() {
        use jiff::civil::Weekday::{Friday, Monday};
        let mut office = layer(turns("2026-01-05 09:00", 7, &["ana"]));
        office.when = Some(window(&[Monday, Friday], 9, 18));
        let calendar = Calendar::new(vec![
            shift("cy", "2026-01-05 18:00", "2026-01-09 09:00"),
            shift("kim", "2026-01-09 18:00", "2026-01-11 09:00"),
        ]);
        let rotation = rotation(vec![office, layer(Shifts::Calendar(calendar))]);
        let gaps = rotation.gaps(&level(), at("2026-01-05 08:00"), at("2026-01-12 12:00"));
        let gap = |from, until| Gap {
            from: at(from),
            until: at(until),
        };
        assert_eq!(
            gaps,
            [
                gap("2026-01-05 08:00", "2026-01-05 09:00"),
                gap("2026-01-11 09:00", "2026-01-12 09:00"),
            ]
        );
    }

    #[test]
    fn a_rotation_of_one_never_hands_over() {
        let rotation = rotation(vec![layer(turns("2026-01-05 09:00", 7, &["ana"]))]);
        assert_eq!(rotation.until(&level(), at("2026-01-07 12:00")), None);
    }

    #[test]
    fn hand_overs_stay_where_the_clock_has_them_when_clocks_change() {
        let rotation = rotation(vec![layer(turns("2026-03-23 09:00", 7, &["ana", "cy"]))]);
        // Clocks are put forward on the 29th.
        let until = rotation.until(&level(), at("2026-03-24 12:00"));
        assert_eq!(until, Some(at("2026-03-30 09:00")));
    }

    #[test]
    fn of_two_shifts_of_a_calendar_the_one_that_begins_later_counts() {
        let calendar = Calendar::new(vec![
            shift("ana", "2026-01-05 00:00", "2026-02-05 00:00"),
            shift("cy", "2026-01-10 00:00", "2026-01-11 00:00"),
        ]);
        let rotation = rotation(vec![layer(Shifts::Calendar(calendar))]);
        assert_eq!(who(&rotation, "2026-01-10 03:00"), "cy");
        assert_eq!(who(&rotation, "2026-01-11 03:00"), "ana");
        let until = rotation.until(&level(), at("2026-01-06 00:00"));
        assert_eq!(until, Some(at("2026-01-10 00:00")));
    }
}
