//! The oracle: docs/files.md, said once more as plainly as can be. It knows nothing of `decide`.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::written::{Freeze, Gives, Kind, Rule, Where, Window, Written};

/// How a question can end.
pub(super) const KINDS: [&str; 13] = [
    "allow",
    "approval",
    "by glass",
    "denied",
    "frozen",
    "glass only",
    "glass used up",
    "just done",
    "late",
    "locked",
    "never",
    "running",
    "too many",
];

/// What the runbook says, and the line that says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Says {
    pub(super) kind: &'static str,
    line: u32,
}

impl Says {
    pub(super) fn new(kind: &'static str, line: u32) -> Self {
        Self { kind, line }
    }
}

/// A question with all that matters to its answer.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one circumstance, and all are independent"
)]
pub(super) struct Asked {
    pub(super) text: String,
    pub(super) kind: Kind,
    pub(super) environment: Option<&'static str>,
    pub(super) number: Option<i64>,
    pub(super) hosts: Vec<&'static str>,
    pub(super) person: &'static str,
    pub(super) now: Timestamp,
    /// `--again` with a reason.
    pub(super) insists: bool,
    pub(super) glass: bool,
    pub(super) glass_today: u32,
    pub(super) late: bool,
    pub(super) running: bool,
    pub(super) just_done: bool,
    pub(super) locked_by: Option<&'static str>,
    pub(super) approvers: Vec<&'static str>,
    /// Changes of the last minute: by whom, how many seconds ago, newest first.
    pub(super) begun: Vec<(&'static str, i64)>,
}

pub(super) fn says(written: &Written, asked: &Asked) -> Says {
    let Some(rule) = deciding_rule(written, asked) else {
        return Says::new("denied", written.last_line());
    };
    let by_glass = match &rule.gives {
        Gives::Never => return Says::new("never", rule.line),
        Gives::Glass(_) if !asked.glass => return Says::new("glass only", rule.line),
        Gives::Glass(a_day) if asked.glass_today >= *a_day => {
            return Says::new("glass used up", rule.line);
        }
        Gives::Glass(_) => true,
        Gives::Allow | Gives::After(_) => false,
    };
    let changes = !asked.kind.reads;
    if changes && asked.late {
        return Says::new("late", rule.line);
    }
    if changes && !by_glass && written.freezes.iter().any(|it| freezes(it, written, asked)) {
        return Says::new("frozen", rule.line);
    }
    if changes && asked.locked_by.is_some_and(|by| by != asked.person) {
        return Says::new("locked", rule.line);
    }
    let own = asked.begun.iter().filter(|(by, _)| *by == asked.person);
    let reached = |limit: Option<usize>, count| limit.is_some_and(|limit| count >= limit);
    let (a_person, all) = written.limits;
    if changes && !by_glass && (reached(a_person, own.count()) || reached(all, asked.begun.len())) {
        return Says::new("too many", rule.line);
    }
    if asked.running {
        return Says::new("running", rule.line);
    }
    if asked.just_done && asked.kind.fresh && !by_glass && !asked.insists {
        return Says::new("just done", rule.line);
    }
    match &rule.gives {
        Gives::After(quorums) if !consented(quorums, written, asked) => {
            Says::new("approval", rule.line)
        }
        _ if by_glass => Says::new("by glass", rule.line),
        _ => Says::new("allow", rule.line),
    }
}

/// First match wins. Whoever breaks the glass passes over rules that ask for consent, unless nothing else matches.
fn deciding_rule<'w>(written: &'w Written, asked: &Asked) -> Option<&'w Rule> {
    let matching: Vec<&Rule> = written
        .rules
        .iter()
        .filter(|it| matches(it, written, asked))
        .collect();
    if asked.glass {
        for rule in &matching {
            if !matches!(rule.gives, Gives::After(_)) {
                return Some(rule);
            }
        }
    }
    matching.first().copied()
}

fn matches(rule: &Rule, written: &Written, asked: &Asked) -> bool {
    let command = match rule.may.as_slice() {
        ["everything"] => true,
        ["reads"] => asked.kind.reads,
        names => names.contains(&asked.kind.name),
    };
    let environment = match (&rule.environments, asked.environment) {
        (None, _) => true,
        (Some(named), Some(environment)) => named.contains(&environment),
        (Some(_), None) => false,
    };
    let condition = match &rule.condition {
        None => true,
        Some(Where::Between(min, max)) => asked.number.is_some_and(|n| *min <= n && n <= *max),
        Some(Where::OneOfNumbers(numbers)) => asked.number.is_some_and(|n| numbers.contains(&n)),
        Some(Where::Hosts(hosts)) => {
            !asked.hosts.is_empty() && asked.hosts.iter().all(|host| hosts.contains(host))
        }
    };
    let open = rule
        .when
        .as_ref()
        .is_none_or(|window| is_open(window, asked.now));
    command
        && environment
        && condition
        && open
        && means(&rule.who, asked.person, written, asked.now)
}

fn freezes(freeze: &Freeze, written: &Written, asked: &Asked) -> bool {
    let here = match (&freeze.environments, asked.environment) {
        (None, _) => true,
        (Some(named), Some(environment)) => named.contains(&environment),
        (Some(_), None) => false,
    };
    let spared = freeze.except == Some(asked.kind.name)
        || freeze
            .unless
            .as_ref()
            .is_some_and(|who| means(who, asked.person, written, asked.now));
    here && !spared && is_open(&freeze.window, asked.now)
}

fn is_open(window: &Window, now: Timestamp) -> bool {
    let local = now.to_zoned(TimeZone::get(window.zone).expect("a zone"));
    let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
    let [from, to] = [window.from, window.to].map(|(h, m)| i32::from(h) * 60 + i32::from(m));
    let yesterday: Weekday = local.yesterday().expect("not the first day").weekday();
    if from < to {
        window.days.contains(&local.weekday()) && from <= minute && minute < to
    } else {
        (window.days.contains(&local.weekday()) && from <= minute)
            || (window.days.contains(&yesterday) && minute < to)
    }
}

fn means(who: &[&str], person: &str, written: &Written, now: Timestamp) -> bool {
    who.iter().any(|word| match *word {
        "everyone" => true,
        "oncall(turns)" => on_call(written, now) == Some(person),
        word if word == person => true,
        word => written
            .groups
            .iter()
            .any(|(group, members)| *group == word && members.contains(&person)),
    })
}

/// Counts the hand-overs one by one.
fn on_call(written: &Written, now: Timestamp) -> Option<&'static str> {
    let rotation = &written.rotation;
    let zone = TimeZone::get(rotation.zone).expect("a zone");
    let begins = |turn: i64| {
        let at = rotation
            .starts
            .checked_add(Span::new().days(turn * rotation.days))
            .expect("a day");
        zone.to_ambiguous_timestamp(at)
            .compatible()
            .expect("a moment")
    };
    if now < begins(0) {
        return None;
    }
    let mut turn = 0;
    while begins(turn + 1) <= now {
        turn += 1;
    }
    let position = usize::try_from(turn).expect("not negative") % rotation.persons.len();
    Some(rotation.persons[position])
}

/// Whether different persons, none of them the requester, can be put into all places: every way is tried.
fn consented(quorums: &[(usize, Vec<&str>)], written: &Written, asked: &Asked) -> bool {
    let places: Vec<&Vec<&str>> = quorums
        .iter()
        .flat_map(|(count, of)| std::iter::repeat_n(of, *count))
        .collect();
    let persons: Vec<&str> = asked
        .approvers
        .iter()
        .copied()
        .filter(|person| *person != asked.person)
        .collect();
    seated(&places, &persons, written, asked.now)
}

fn seated(places: &[&Vec<&str>], persons: &[&str], written: &Written, now: Timestamp) -> bool {
    let Some((place, rest)) = places.split_first() else {
        return true;
    };
    (0..persons.len()).any(|taken| {
        let mut left = persons.to_vec();
        let person = left.remove(taken);
        means(place, person, written, now) && seated(rest, &left, written, now)
    })
}
