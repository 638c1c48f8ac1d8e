//! What people read about who is on call, and about shifts that were arranged.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{append, between, field, list};
use crate::domain::{
    Block, Cover, Field, LevelName, Message, PersonId, Rotation, RotationName, Shift, Text,
};

/// How many rotations are shown at once.
const MOST_ROTATIONS: usize = 10;

/// `oncall`: by level who is on call, until when, and who comes then.
pub fn on_call(rotations: &[(&RotationName, &Rotation)], now: Timestamp) -> Message {
    let Some((first, _)) = rotations.first() else {
        return Message::new(Text::from(
            "📟 nobody is on call: no rotation is known here",
        ))
        .text(Text::from(
            "rotations are listed in runbooks/people.yaml; a project names them in its runbook",
        ));
    };
    let mut message = Message::new(append(
        Text::new().plain(format!("📟 on call for {first} now: ")),
        holders(rotations[0].1, now),
    ));
    for (name, rotation) in rotations.iter().take(MOST_ROTATIONS) {
        let fields = rotation
            .levels
            .keys()
            .map(|level| level_field((name, rotation), level, now));
        message = message.with(Block::Fields(fields.collect()));
    }
    if rotations.len() > MOST_ROTATIONS {
        let more = rotations.len() - MOST_ROTATIONS;
        let text = format!("and {more} rotations more; name one: /ops oncall ROTATION");
        message = message.text(Text::new().plain(text));
    }
    message
}

fn holders(rotation: &Rotation, now: Timestamp) -> Text {
    let mut text = Text::new();
    for (n, level) in rotation.levels.keys().enumerate() {
        let comma = if n > 0 { ", " } else { "" };
        text = text.plain(comma);
        text = match rotation.holder(level, now) {
            Some(person) => text.person(person),
            None => text.plain("nobody"),
        };
        text = text.plain(format!(" ({level})"));
    }
    text
}

fn level_field(
    (name, rotation): (&RotationName, &Rotation),
    level: &LevelName,
    now: Timestamp,
) -> Field {
    let mut text = match rotation.holder(level, now) {
        Some(person) => Text::new().person(person),
        None => Text::from("nobody"),
    };
    text = match rotation.until(level, now) {
        None => text.plain(", without a hand-over in the year ahead"),
        Some(until) => {
            let at = shown(until, &rotation.zone);
            let text = text.plain(format!(" until {at}, {}, then ", ahead(now, until)));
            match rotation.holder(level, until) {
                Some(next) => text.person(next),
                None => text.plain("nobody"),
            }
        }
    };
    let arranged = rotation.covers.iter();
    let mut arranged = arranged.filter(|it| it.level == *level && it.shift.contains(now));
    if arranged.next().is_some() {
        text = text.plain("; arranged in chat");
    }
    field(&format!("{level}({name})"), text)
}

/// `in 6d`, `in 5h`, `in 20m`: nobody waits for a hand-over by the second.
fn ahead(now: Timestamp, at: Timestamp) -> String {
    let minutes = between(now, at).as_secs().div_ceil(60);
    match minutes {
        0..120 => format!("in {minutes}m"),
        120..2_880 => format!("in {}h", minutes / 60),
        _ => format!("in {}d", minutes / 1_440),
    }
}

/// `Mon 2026-01-05 09:00 Europe/Berlin`.
fn shown(at: Timestamp, zone: &TimeZone) -> String {
    let name = zone.iana_name().unwrap_or("UTC");
    let at = at.to_zoned(zone.clone());
    format!("{} {name}", at.strftime("%a %Y-%m-%d %H:%M"))
}

fn span(shift: &Shift, zone: &TimeZone) -> String {
    let from = shift.from.to_zoned(zone.clone());
    let until = shown(shift.until, zone);
    format!("{} – {until}", from.strftime("%a %Y-%m-%d %H:%M"))
}

/// What was arranged, by whom; for the channel and for everybody whose shifts it changes.
pub fn covered(
    (name, rotation): (&RotationName, &Rotation),
    covers: &[Cover],
    by: &PersonId,
) -> Message {
    let mut takers: Vec<&PersonId> = covers.iter().map(|it| &it.shift.person).collect();
    takers.sort();
    takers.dedup();
    let what = match takers.as_slice() {
        [one] => Text::from("🔁 ")
            .person(one)
            .plain(format!(" takes shifts of {name}")),
        [one, other] => Text::from("🔁 ")
            .person(one)
            .plain(" and ")
            .person(other)
            .plain(format!(" swap shifts of {name}")),
        _ => Text::new().plain(format!("🔁 shifts of {name} were arranged")),
    };
    let fields = covers.iter().map(|cover| {
        let text = Text::new()
            .person(&cover.shift.person)
            .plain(format!(", {}", span(&cover.shift, &rotation.zone)));
        field(&format!("{}({name})", cover.level), text)
    });
    Message::new(what.plain("; arranged by ").person(by))
        .with(Block::Fields(fields.collect()))
        .text(
            Text::from("it counts at once; whoever takes these shifts back types ")
                .code("/ops oncall cover")
                .plain(" with the same days"),
        )
}

/// Persons, by their ids.
pub(crate) fn persons(persons: impl IntoIterator<Item = impl ToString>) -> String {
    let words: Vec<String> = persons
        .into_iter()
        .map(|it| format!("@{}", it.to_string()))
        .collect();
    list(&words, "or")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::render::printed::printed;
    use crate::domain::{Layer, Shifts, Turns};

    fn person(name: &str) -> PersonId {
        name.parse().unwrap()
    }

    fn rotation() -> Rotation {
        let turns = |persons: &[&str]| {
            vec![Layer {
                shifts: Shifts::Turns(Turns {
                    zone: TimeZone::get("Europe/Berlin").unwrap(),
                    starts: jiff::civil::date(2026, 1, 5).at(9, 0, 0, 0),
                    every_days: 7,
                    persons: persons.iter().map(|it| person(it)).collect(),
                }),
                when: None,
                holidays: None,
            }]
        };
        Rotation {
            zone: TimeZone::get("Europe/Berlin").unwrap(),
            levels: [
                ("manager".parse().unwrap(), turns(&["dana"])),
                ("oncall".parse().unwrap(), turns(&["ana", "cy"])),
            ]
            .into(),
            holidays: std::collections::BTreeSet::new(),
            covers: Vec::new(),
        }
    }

    fn cover(who: &str, from: &str, until: &str) -> Cover {
        Cover {
            level: "oncall".parse().unwrap(),
            shift: Shift {
                person: person(who),
                from: from.parse().unwrap(),
                until: until.parse().unwrap(),
            },
        }
    }

    #[test]
    fn who_is_on_call_reads_well() {
        let name: RotationName = "shop".parse().unwrap();
        let now = "2026-01-10T12:00:00Z".parse().unwrap();
        let plain = rotation();
        let mut covered = rotation();
        covered.covers = vec![cover("cy", "2026-01-09T23:00:00Z", "2026-01-10T23:00:00Z")];
        let told = [
            on_call(&[], now),
            on_call(&[(&name, &plain)], now),
            on_call(&[(&name, &covered)], now),
        ];
        insta::assert_snapshot!(told.map(|it| printed(&it)).join("\n\n"));
    }

    #[test]
    fn what_was_arranged_reads_well() {
        let (name, rotation) = ("shop".parse().unwrap(), rotation());
        let first = cover("cy", "2026-01-09T23:00:00Z", "2026-01-10T23:00:00Z");
        let second = cover("ana", "2026-01-16T23:00:00Z", "2026-01-17T23:00:00Z");
        let told = [
            covered(
                (&name, &rotation),
                std::slice::from_ref(&first),
                &person("ana"),
            ),
            covered((&name, &rotation), &[first, second], &person("ana")),
        ];
        insta::assert_snapshot!(told.map(|it| printed(&it)).join("\n\n"));
    }
}
