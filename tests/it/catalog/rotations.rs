//! Rotations of `people.yaml`: layers, calendars, holidays, and the gaps that a check finds.

use midwatch::catalog::{Checks, check, render_all};
use midwatch::domain::{LevelName, RotationName};

use super::folders::Files;

const PEOPLE: &str = "\
people:
  ana: { name: Ana, slack: U0ANA, email: ana@example.org }
  bo: { name: Bo, slack: U0BO }
  cy: { name: Cy, slack: U0CY }
groups:
  team: [ana]
  engineering: [ana, bo]
rotations:
";

/// A week of Ana's that begins at nine, once more a week later.
const ICS: &str = "\
BEGIN:VCALENDAR\r
VERSION:2.0\r
BEGIN:VEVENT\r
UID:1\r
SUMMARY:On call\r
ATTENDEE;CN=Ana:mailto:ana@example.org\r
DTSTART;TZID=Europe/Berlin:20260105T090000\r
DTEND;TZID=Europe/Berlin:20260112T090000\r
RRULE:FREQ=WEEKLY;INTERVAL=2\r
END:VEVENT\r
END:VCALENDAR\r
";

fn with(rotations: &str) -> Files {
    Files::usual()
        .with("runbooks/people.yaml", format!("{PEOPLE}{rotations}"))
        .with("runbooks/shop.ics", ICS)
}

fn holder(files: &Files, level: &str, at: &str) -> String {
    let loaded = files.load();
    assert!(!loaded.has_errors(), "{}", files.rendered());
    let shop = &loaded.catalog.people.rotations[&RotationName::parse("shop").unwrap()];
    let level = LevelName::parse(level).unwrap();
    let at: jiff::Zoned = format!("{at}[Europe/Berlin]").parse().unwrap();
    let holder = shop.holder(&level, at.timestamp());
    holder.map_or("nobody".to_owned(), ToString::to_string)
}

fn checked(files: &Files) -> String {
    let checks = Checks {
        now: "2026-01-07T12:00:00Z".parse().unwrap(),
        parse: &|_, _, _| Ok(()),
        answer: &|_, _, _| String::new(),
    };
    let report = check(&files.folders(), &files.variables, &checks);
    let told = render_all(&report.diagnostics, false);
    told.replace(&format!("{}/", files.path().display()), "")
}

const LAYERED: &str = "  shop:
    zone: Europe/Berlin
    starts: 2026-01-05 09:00
    every: 7d
    levels: { oncall: [ana, bo], second: [bo] }
    holidays: [2026-12-25..2026-12-26]
    layers:
      - { level: oncall, persons: [cy], when: sat-sun 00:00-24:00 Europe/Berlin }
      - { level: oncall, persons: [bo], starts: 2026-12-25 00:00, every: 1d, holidays: only }
      - { level: far, persons: [ana, cy], zone: America/New_York, starts: 2026-01-05 09:00, every: 1d }
";

#[test]
fn later_layers_go_before_earlier_ones_while_they_name_somebody() {
    let files = with(LAYERED);
    assert_eq!(holder(&files, "oncall", "2026-01-09 12:00"), "ana");
    assert_eq!(holder(&files, "oncall", "2026-01-10 12:00"), "cy");
    assert_eq!(holder(&files, "oncall", "2026-12-26 12:00"), "bo");
    assert_eq!(holder(&files, "second", "2026-12-26 12:00"), "bo");
    // Nine in New York is three in the afternoon in Berlin.
    assert_eq!(holder(&files, "far", "2026-01-06 14:59"), "ana");
    assert_eq!(holder(&files, "far", "2026-01-06 15:00"), "cy");
}

#[test]
fn a_level_may_come_from_a_calendar() {
    let files = with(
        "  shop:
    zone: Europe/Berlin
    layers:
      - { level: oncall, calendar: shop.ics }
",
    );
    assert_eq!(holder(&files, "oncall", "2026-01-05 09:00"), "ana");
    assert_eq!(holder(&files, "oncall", "2026-01-12 09:00"), "nobody");
    // Clocks were put forward meanwhile.
    assert_eq!(holder(&files, "oncall", "2026-03-30 08:59"), "nobody");
    assert_eq!(holder(&files, "oncall", "2026-03-30 09:00"), "ana");
}

#[test]
fn a_changed_calendar_is_a_new_revision() {
    let files = with(LAYERED);
    let before = files.load().catalog.revision;
    files.write("runbooks/shop.ics", ICS.replace("INTERVAL=2", "INTERVAL=1"));
    assert_ne!(files.load().catalog.revision, before);
}

#[test]
fn a_check_finds_gaps_in_the_year_ahead() {
    assert_eq!(checked(&with(LAYERED)), "");
    insta::assert_snapshot!(checked(&with("  shop:
    zone: Europe/Berlin
    starts: 2026-03-02 09:00
    every: 7d
    levels: { oncall: [ana, bo] }
    layers:
      - { level: second, calendar: shop.ics }
      - { level: third, persons: [bo], starts: 2026-01-05 09:00, when: mon-fri 09:00-18:00 Europe/Berlin }
      - { level: fourth, persons: [bo], starts: 2028-01-05 09:00 }
")));
}

#[test]
fn a_gap_does_not_keep_files_from_being_taken() {
    let files = with(
        "  shop: { zone: UTC, starts: 2026-03-02 09:00, every: 7d, levels: { oncall: [ana] } }\n",
    );
    assert!(!files.load().has_errors());
}

#[test]
fn what_a_rotation_can_not_mean_is_told() {
    let files = with(
        "  shop:
    zone: Europe/Berlin
    levels: { oncall: [ana], second: [] }
    holidays: [2026-02-30, 2026-12-26..2026-12-25, 2026-01-01..2026-12-31]
    layers:
      - { level: oncall, persons: [ana], calendar: shop.ics }
      - { level: oncall, persons: [] }
      - { level: oncall, calendar: shp.ics }
      - { level: second, persons: [dan], starts: soon, every: 36h, zone: Europe/Berln }
      - { level: second, persons: [bo], every: 7d, when: always }
      - { level: second }
",
    );
    insta::assert_snapshot!(files.rendered());
}

#[test]
fn what_an_address_can_not_be_is_told() {
    let people = PEOPLE.replace("slack: U0BO", "slack: U0BO, email: Ana@Example.org");
    let people = people.replace("slack: U0CY", "slack: U0CY, email: \"cy@here, or\"");
    let people = people.replace("rotations:\n", "rotations:\n  shop: { zone: UTC, starts: 2026-01-05 09:00, every: 7d, levels: { oncall: [ana] } }\n");
    let files = Files::usual().with("runbooks/people.yaml", people);
    insta::assert_snapshot!(files.rendered());
}

#[test]
fn what_a_calendar_can_not_mean_is_told_with_its_line() {
    let files = with("  shop: { zone: UTC, layers: [{ level: oncall, calendar: shop.ics }] }\n");
    files.write("runbooks/shop.ics", ICS.replace("WEEKLY", "MONTHLY"));
    insta::assert_snapshot!(files.rendered());
    files.write(
        "runbooks/shop.ics",
        "Subject,Start Date\r\nAna,2026-01-05\r\n",
    );
    insta::assert_snapshot!(files.rendered());
}
