//! A command file: from what it says to a checked command.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::at::{At, Spot};
use super::diagnostic::{Diagnostic, did_you_mean};
use super::template::Names;
use super::{parameter, raw, step};
use crate::domain::{
    BUILT_INS, Command, CommandName, Effect, Exclusive, Parameter, ParameterKind, ParameterName,
    Risk,
};

/// Whether the word belongs to midwatch itself: those that it understands, and those of its console.
pub(crate) fn is_built_in(word: &str) -> bool {
    BUILT_INS.contains(&word) || ["as", "in", "quit", "exit"].contains(&word)
}

/// A command with what the checks between files need to know.
#[derive(Debug)]
pub(crate) struct ReadCommand {
    /// The command.
    pub(crate) command: Arc<Command>,
    /// The environment attributes its steps use, in order, and where.
    pub(crate) attributes: Vec<(String, Spot)>,
    /// Where it says how risky it is.
    pub(crate) at_risk: Spot,
}

/// Makes a command of what its file says. `None` when there was a mistake; it is among the notes then.
pub(crate) fn read(
    raw: &raw::Command,
    at: At<'_>,
    known: &BTreeSet<String>,
    notes: &mut Vec<Diagnostic>,
) -> Option<ReadCommand> {
    let notes_before = notes.len();
    check_name(&raw.command, at.get("command"), notes);
    check_check(raw, at.get("check"), known, notes);
    let (parameters, environment) = parameters(raw, at.get("parameters"), notes);
    if environment.is_none() && raw.one_at_a_time == Some(Exclusive::Environment) {
        let message =
            "`one_at_a_time: environment` needs an environment, and this command takes none";
        let hint = "add `environment: { type: environment }` to its parameters, or write `project`";
        notes.push(at.get("one_at_a_time").error(message).hint(hint));
    }
    let fresh = raw
        .fresh
        .as_ref()
        .and_then(|fresh| parameter::span(&fresh.0, at.get("fresh"), notes));
    let names = Names {
        parameters: raw.parameters.keys().cloned().collect(),
        environment,
    };
    let (steps, attributes) = step::read_all(&raw.steps, at, &names, notes);
    if notes[notes_before..].iter().any(Diagnostic::is_error) {
        return None;
    }
    let only_reads = steps.iter().all(|step| step.effect == Effect::Read);
    let implied = if only_reads { Risk::Low } else { Risk::Medium };
    let command = Command {
        name: raw.command.clone(),
        does: raw.does.0.trim().to_owned(),
        risk: raw.risk.unwrap_or(implied),
        undo: raw.undo.as_ref().map(|undo| undo.0.trim().to_owned()),
        check: raw.check.clone(),
        fresh,
        one_at_a_time: raw.one_at_a_time,
        parameters,
        steps,
        defined: at.key("command").file_line(),
    };
    let at_risk = if raw.risk.is_some() {
        at.get("risk")
    } else {
        at.get("command")
    };
    Some(ReadCommand {
        command: Arc::new(command),
        attributes,
        at_risk: at_risk.spot(),
    })
}

fn check_name(name: &CommandName, at: At<'_>, notes: &mut Vec<Diagnostic>) {
    if is_built_in(name.as_str()) || name.as_str() == "sandbox" {
        let message = format!("a command can't be called `{name}`: midwatch has that word itself");
        notes.push(at.error(message).hint("choose another name"));
    }
}

fn check_check(
    raw: &raw::Command,
    at: At<'_>,
    known: &BTreeSet<String>,
    notes: &mut Vec<Diagnostic>,
) {
    let Some(check) = &raw.check else { return };
    if !known.contains(check.as_str()) {
        let near = did_you_mean(check.as_str(), known.iter().map(String::as_str));
        let hint = near.unwrap_or_else(|| "commands are the files in `commands/`".to_owned());
        notes.push(
            at.error(format!("command `{check}` is not defined"))
                .hint(hint),
        );
    } else if *check == raw.command {
        let message = "a command can't be its own check";
        notes.push(
            at.error(message)
                .hint("name a command that only reads, or remove `check`"),
        );
    }
}

/// The parameters in file order, and which of them is the environment.
fn parameters(
    raw: &raw::Command,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> (Vec<Parameter>, Option<ParameterName>) {
    let mut read: Vec<Parameter> = Vec::new();
    let mut environment: Option<ParameterName> = None;
    // Serde's map is sorted; the tree remembers the order.
    let in_order = at
        .keys()
        .filter_map(|key| raw.parameters.get_key_value(key));
    for (name, raw) in in_order {
        let Some(parameter) = parameter::read(name, raw, at, notes) else {
            continue;
        };
        if matches!(parameter.kind, ParameterKind::Environment) {
            if let Some(first) = &environment {
                let message = format!("a command has one environment, and `{first}` is it already");
                notes.push(
                    at.get(name.as_str())
                        .get("type")
                        .error(message)
                        .hint("remove one of them"),
                );
            }
            environment.get_or_insert_with(|| name.clone());
        }
        read.push(parameter);
    }
    refuse_unreachable(&read, at, notes);
    (read, environment)
}

/// A required parameter behind one that may be left out could not be given by its position.
fn refuse_unreachable(parameters: &[Parameter], at: At<'_>, notes: &mut Vec<Diagnostic>) {
    let last = parameters.len().saturating_sub(1);
    for (position, parameter) in parameters.iter().enumerate() {
        if matches!(parameter.kind, ParameterKind::List { .. }) && position < last {
            let message = format!(
                "the list `{}` takes all remaining words, so nothing behind it can be given by position",
                parameter.name
            );
            notes.push(
                at.key(parameter.name.as_str())
                    .warning(message)
                    .hint("put it last"),
            );
        }
    }
}
