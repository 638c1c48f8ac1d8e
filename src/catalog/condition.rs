//! The conditions of a rule on arguments: `where: { host: [web3, web4] }`.

use std::collections::BTreeMap;

use super::at::At;
use super::diagnostic::{Diagnostic, did_you_mean};
use super::pattern::whole;
use super::project::Known;
use super::{parameter, raw};
use crate::domain::{Command, Commands, Condition, Parameter, ParameterKind, ParameterName};

/// Reads all conditions of a rule that speaks of these commands.
pub(crate) fn read_all(
    raw: &BTreeMap<ParameterName, raw::Condition>,
    may: &Commands,
    at: At<'_>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> BTreeMap<ParameterName, Condition> {
    let mut conditions = BTreeMap::new();
    for (name, written) in raw {
        let place = at.key(name.as_str());
        let Some(kinds) = kinds(name, may, place, known, notes) else {
            continue;
        };
        let read = condition(written, &kinds, at.get(name.as_str()), notes);
        conditions.extend(read.map(|condition| (name.clone(), condition)));
    }
    conditions
}

/// What the parameter accepts in each command that the rule speaks of.
fn kinds<'k>(
    name: &ParameterName,
    may: &Commands,
    at: At<'_>,
    known: &Known<'k>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Vec<&'k Parameter>> {
    let spoken_of = |command: &&Command| match may {
        Commands::Named(names) => names.contains(&command.name),
        Commands::Reads => command.only_reads(),
        Commands::All => true,
    };
    let commands: Vec<&Command> = known.commands().filter(spoken_of).collect();
    let found: Vec<&Parameter> = commands
        .iter()
        .filter_map(|command| command.parameter(name.as_str()))
        .collect();
    let named = matches!(may, Commands::Named(_));
    let lacking = commands
        .iter()
        .find(|command| command.parameter(name.as_str()).is_none());
    if let Some(command) = lacking.filter(|_| named || found.is_empty()) {
        let parameters = command.parameters.iter().map(|one| one.name.as_str());
        let near = did_you_mean(name.as_str(), parameters);
        let message = format!("`{}` has no parameter `{name}`", command.name);
        let hint = near.unwrap_or_else(|| format!("it is used so: {}", command.usage()));
        notes.push(at.error(message).hint(hint));
        return None;
    }
    Some(found)
}

fn condition(
    raw: &raw::Condition,
    parameters: &[&Parameter],
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Condition> {
    if let Some(pattern) = &raw.matches {
        if raw.min.is_some() || raw.max.is_some() {
            let message = "a condition is a pattern or a range";
            notes.push(
                at.key("matches")
                    .error(message)
                    .hint("keep `matches`, or `min` and `max`"),
            );
        }
        return whole(pattern, at.get("matches"), notes).map(Condition::Matches);
    }
    if raw.values.is_empty() {
        return range(raw, parameters, at, notes);
    }
    let mut values = Vec::new();
    for (raw::Text(value), at) in raw.values.iter().zip(at.items()) {
        let read: Vec<Result<String, String>> = parameters
            .iter()
            .map(|parameter| parameter::value(&parameter.kind, value).map(|read| read.to_string()))
            .collect();
        match read.iter().find_map(|read| read.as_ref().ok()) {
            // Compared as the step would see it: `90s` is seen as `1m 30s`.
            Some(seen) => values.push(seen.clone()),
            None if read.is_empty() => values.push(value.clone()),
            None => {
                let accepted = read.into_iter().find_map(Result::err).unwrap_or_default();
                let message = format!("the argument is never `{value}`");
                notes.push(at.error(message).hint(format!("it accepts {accepted}")));
            }
        }
    }
    Some(Condition::OneOf(values))
}

fn range(
    raw: &raw::Condition,
    parameters: &[&Parameter],
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Condition> {
    if raw.min.is_none() && raw.max.is_none() {
        let message = "the condition is missing";
        notes.push(
            at.error(message)
                .hint("write a value, `[values]`, `{ matches: … }` or `{ min: …, max: … }`"),
        );
        return None;
    }
    let other = parameters
        .iter()
        .find(|parameter| !matches!(parameter.kind, ParameterKind::Integer { .. }));
    if let Some(other) = other {
        let message = format!(
            "a range needs an integer, and `{}` has the type {}",
            other.name,
            other.kind.word()
        );
        notes.push(
            at.error(message)
                .hint("write `[values]` or `{ matches: … }`"),
        );
        return None;
    }
    let (min, max) = (raw.min.unwrap_or(i64::MIN), raw.max.unwrap_or(i64::MAX));
    if min > max {
        notes.push(at.error("`min` is larger than `max`").hint("exchange them"));
    }
    Some(Condition::Between { min, max })
}
