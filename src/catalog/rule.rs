//! The rules of a runbook.

use std::collections::BTreeSet;
use std::time::Duration;

use super::at::At;
use super::diagnostic::{Diagnostic, did_you_mean};
use super::people::Names;
use super::project::Known;
use super::{condition, parameter, raw, window};
use crate::domain::{
    ApprovalTerms, CommandName, Commands, EnvironmentName, GlassTerms, Grant, OnCall, Otherwise,
    Quorum, Rule, Who,
};

/// How often one person may break the glass in 24 hours, unless the rule says it.
const GLASS_A_DAY: u32 = 3;
const DEFAULT_WITHIN: Duration = Duration::from_mins(15);
const LONGEST_WITHIN: Duration = Duration::from_hours(7 * 24);

/// Reads all rules and the last line, `None` where that is missing.
pub(crate) fn read_all<'a>(
    raw: &raw::Runbook,
    at: At<'a>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> (Vec<(Rule, At<'a>)>, Option<Otherwise>) {
    let mut rules = Vec::new();
    let mut last = None;
    let count = raw.rules.len();
    for (position, (rule, at)) in raw.rules.iter().zip(at.get("rules").items()).enumerate() {
        if let Some(text) = &rule.otherwise {
            check_alone(rule, at, notes);
            if position + 1 < count {
                let message = "`otherwise` must be the last rule";
                notes.push(
                    at.key("otherwise")
                        .error(message)
                        .hint("move it down; what stands below it is never read"),
                );
            }
            last = Some(otherwise(&text.0, at.get("otherwise"), known.people, notes));
        } else {
            let read = self::rule(rule, raw, at, known, notes);
            rules.extend(read.map(|rule| (rule, at)));
        }
    }
    if last.is_none() {
        let message = "the last rule must say whom to ask when no rule matches";
        let place = at.get("rules").items().last().filter(|_| count > 0);
        let place = place.map_or(at.key("rules"), At::head);
        notes.push(
            place
                .error(message)
                .hint("add `- otherwise: \"ask in #…, or call oncall(…)\"`"),
        );
    }
    (rules, last)
}

fn check_alone(rule: &raw::Rule, at: At<'_>, notes: &mut Vec<Diagnostic>) {
    let alone = rule.may.is_none() && rule.who.is_none() && rule.environments.is_none();
    let bare = rule.when.is_none() && rule.after.is_none() && rule.never.is_none();
    if !alone || !bare || !rule.conditions.is_empty() || rule.break_glass.is_some() {
        let message = "`otherwise` stands alone";
        notes.push(
            at.key("otherwise")
                .error(message)
                .hint("make it a rule of its own, the last one"),
        );
    }
}

fn otherwise(text: &str, at: At<'_>, people: &Names, notes: &mut Vec<Diagnostic>) -> Otherwise {
    Otherwise {
        text: text.trim().to_owned(),
        on_call: mentioned(text, at, people, notes),
        defined: at.file_line(),
    }
}

/// The rotations that a text mentions: `oncall(shop)`.
fn mentioned(text: &str, at: At<'_>, people: &Names, notes: &mut Vec<Diagnostic>) -> Vec<OnCall> {
    let part = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    let mut found = Vec::new();
    for (open, _) in text.match_indices('(') {
        let level = text[..open].rsplit(part).next().unwrap_or_default();
        let Some((rotation, _)) = text[open + 1..].split_once(')') else {
            continue;
        };
        // Plain prose has brackets too: it must look like a rotation, or like one with a typing mistake.
        let about_us = people.rotations.contains_key(rotation)
            || people
                .rotations
                .values()
                .any(|levels| levels.contains(level));
        if level.is_empty() || !about_us {
            continue;
        }
        let mut mistakes = Vec::new();
        match people.who(&format!("{level}({rotation})"), at, &mut mistakes) {
            Some(Who::OnCall(on_call)) => found.push(on_call),
            _ => notes.extend(mistakes.into_iter().map(Diagnostic::warning)),
        }
    }
    found
}

fn rule(
    raw: &raw::Rule,
    runbook: &raw::Runbook,
    at: At<'_>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Rule> {
    for (key, missing) in [("may", raw.may.is_none()), ("who", raw.who.is_none())] {
        if missing {
            let message = format!("key `{key}` is missing in this rule");
            let hint = if key == "may" {
                "`may:` command names, `reads` or `everything`"
            } else {
                "`who:` groups, persons, `oncall(ROTATION)` or `everyone`"
            };
            notes.push(at.head().error(message).hint(hint));
        }
    }
    let may = raw
        .may
        .as_ref()
        .map(|may| commands(&may.0, at.get("may"), known, notes));
    let environments = raw
        .environments
        .as_ref()
        .map(|names| environments(&names.0, runbook, at.get("in"), notes));
    let who = raw
        .who
        .as_ref()
        .map(|who| self::who(&who.0, at.get("who"), known.people, notes));
    let when = raw
        .when
        .as_ref()
        .map(|when| window::read(&when.0, at.get("when"), notes));
    let may = may??;
    let conditions = condition::read_all(&raw.conditions, &may, at.get("where"), known, notes);
    let grant = grant(raw, runbook, at, known.people, notes);
    Some(Rule {
        may,
        environments,
        who: who?,
        when: match when {
            Some(window) => Some(window?),
            None => None,
        },
        conditions,
        grant,
        defined: at.head().file_line(),
    })
}

pub(crate) fn commands(
    words: &[raw::Text],
    at: At<'_>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Commands> {
    match words {
        [raw::Text(only)] if only == "reads" => return Some(Commands::Reads),
        [raw::Text(only)] if only == "everything" => return Some(Commands::All),
        _ => {}
    }
    let mut names = BTreeSet::new();
    for (raw::Text(word), at) in words.iter().zip(at.items()) {
        if word == "reads" || word == "everything" {
            let message = format!("`{word}` stands alone");
            notes.push(at.error(message).hint("write two rules"));
            continue;
        }
        match CommandName::parse(word) {
            Ok(name) if known.command_names.contains(word) => {
                names.insert(name);
            }
            _ => {
                let all = known.command_names.iter().map(String::as_str);
                let near = did_you_mean(word, all.chain(["reads", "everything"]));
                let hint =
                    near.unwrap_or_else(|| "commands are the files in `commands/`".to_owned());
                notes.push(
                    at.error(format!("command `{word}` is not defined"))
                        .hint(hint),
                );
            }
        }
    }
    (!names.is_empty()).then_some(Commands::Named(names))
}

pub(crate) fn environments(
    names: &[EnvironmentName],
    runbook: &raw::Runbook,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> BTreeSet<EnvironmentName> {
    for (name, at) in names.iter().zip(at.items()) {
        if !runbook.environments.contains_key(name) {
            let all: Vec<&str> = runbook
                .environments
                .keys()
                .map(EnvironmentName::as_str)
                .collect();
            let near = did_you_mean(name.as_str(), all.iter().copied());
            let near = near.map(|near| format!("{near} ")).unwrap_or_default();
            let message = format!("environment `{name}` is not defined in this runbook");
            let list = if all.is_empty() {
                "none".to_owned()
            } else {
                all.join(", ")
            };
            notes.push(at.error(message).hint(format!("{near}defined: {list}")));
        }
    }
    names.iter().cloned().collect()
}

/// Reads a list of people.
pub(crate) fn who(
    words: &[raw::Text],
    at: At<'_>,
    people: &Names,
    notes: &mut Vec<Diagnostic>,
) -> Vec<Who> {
    let words = words.iter().zip(at.items());
    words
        .filter_map(|(word, at)| people.who(&word.0, at, notes))
        .collect()
}

fn grant(
    raw: &raw::Rule,
    runbook: &raw::Runbook,
    at: At<'_>,
    people: &Names,
    notes: &mut Vec<Diagnostic>,
) -> Grant {
    let given = [
        ("after", raw.after.is_some()),
        ("break_glass", raw.break_glass.is_some()),
        ("never", raw.never.is_some()),
    ];
    let mut given = given.into_iter().filter(|(_, present)| *present);
    if let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) {
        let message = format!("a rule has `{first}` or `{second}`, not both");
        notes.push(at.key(second).error(message).hint("write two rules"));
    }
    if let Some(reason) = &raw.never {
        return Grant::Never(reason.0.trim().to_owned());
    }
    if let Some(glass) = &raw.break_glass {
        return Grant::BreakGlass(GlassTerms {
            pages: pages(glass, runbook, at.get("break_glass"), people, notes),
            a_day: glass.a_day.unwrap_or(GLASS_A_DAY).max(1),
        });
    }
    match &raw.after {
        Some(after) => Grant::Approval(terms(after, at.get("after"), people, notes)),
        None => Grant::Allow,
    }
}

/// Who is called when the glass is broken. Nobody is no answer: an override that nobody hears of is none.
fn pages(
    raw: &raw::BreakGlass,
    runbook: &raw::Runbook,
    at: At<'_>,
    people: &Names,
    notes: &mut Vec<Diagnostic>,
) -> Vec<Who> {
    let owner = runbook.owner.clone().map(Who::Group);
    let is_owner = |words: &[raw::Text]| matches!(words, [only] if only.0 == "owner");
    match &raw.pages {
        Some(words) if !is_owner(&words.0) => who(&words.0, at.get("pages"), people, notes),
        _ => {
            if owner.is_none() {
                let message =
                    "nobody is called when this glass is broken: the project has no owner";
                let hint = "add `owner: GROUP` to the runbook, or say `pages:` whom";
                notes.push(at.head().error(message).hint(hint));
            }
            owner.into_iter().collect()
        }
    }
}

fn terms(
    raw: &raw::After,
    at: At<'_>,
    people: &Names,
    notes: &mut Vec<Diagnostic>,
) -> ApprovalTerms {
    let within = match &raw.within {
        Some(within) => parameter::span(&within.0, at.get("within"), notes),
        None => Some(DEFAULT_WITHIN),
    };
    if within.is_some_and(|within| within.is_zero() || within > LONGEST_WITHIN) {
        let message = "an approval can't wait so long, or not at all";
        notes.push(
            at.get("within")
                .error(message)
                .hint("more than nothing, and at most 7d"),
        );
    }
    ApprovalTerms {
        approvals: raw.approvals.unwrap_or(1),
        of: who(&raw.of.0, at.get("of"), people, notes),
        within: within.unwrap_or(DEFAULT_WITHIN),
        and: raw
            .and
            .iter()
            .zip(at.get("and").items())
            .map(|(quorum, at)| Quorum {
                approvals: quorum.approvals.unwrap_or(1),
                of: who(&quorum.of.0, at.get("of"), people, notes),
            })
            .collect(),
    }
}
