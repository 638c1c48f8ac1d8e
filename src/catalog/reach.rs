//! Holds commands against environments: whoever may run a command somewhere must find there what its steps need.

use std::collections::{BTreeMap, BTreeSet};

use super::command::ReadCommand;
use super::diagnostic::Diagnostic;
use super::project::ReadProject;
use crate::domain::{CommandName, Commands, Environment, Grant, ProjectName, Rule};

/// Removes the projects in which a rule names a command whose steps would miss something; says what and where.
///
/// A rule about `reads` or `everything` speaks of commands that its author may never have heard of: that is a warning.
pub(crate) fn drop_unfit(
    projects: &mut BTreeMap<ProjectName, ReadProject>,
    commands: &BTreeMap<CommandName, ReadCommand>,
    notes: &mut Vec<Diagnostic>,
) {
    projects.retain(|_, project| {
        let before = notes.len();
        for environment in &project.project.environments {
            check(project, environment, commands, notes);
        }
        !notes[before..].iter().any(Diagnostic::is_error)
    });
}

fn check(
    read: &ReadProject,
    environment: &Environment,
    commands: &BTreeMap<CommandName, ReadCommand>,
    notes: &mut Vec<Diagnostic>,
) {
    let mut told: BTreeSet<(&CommandName, &str)> = BTreeSet::new();
    // Rules that name commands come first: an error says more than a warning.
    let (named, wide): (Vec<&Rule>, Vec<&Rule>) = read
        .project
        .rules
        .iter()
        .filter(|rule| speaks_of(rule, environment) && !matches!(rule.grant, Grant::Never(_)))
        .partition(|rule| matches!(rule.may, Commands::Named(_)));
    for rule in named.into_iter().chain(wide) {
        for command in commands.values().filter(|command| covers(rule, command)) {
            for (key, used) in &command.attributes {
                let missing = !environment.attributes.contains_key(key);
                if !missing || !told.insert((&command.command.name, key)) {
                    continue;
                }
                let message = format!(
                    "environment `{}` has no `{key}`, and `{}` needs it",
                    environment.name, command.command.name
                );
                let hint = format!(
                    "add `{key}:` here, or narrow the rule on line {}; it is used in {}",
                    rule.defined.line,
                    used.file_line()
                );
                let Some(spot) = read.environments.get(&environment.name) else {
                    continue;
                };
                let note = spot.error(message).hint(hint);
                let named = matches!(rule.may, Commands::Named(_));
                notes.push(if named { note } else { note.warning() });
            }
        }
    }
}

fn speaks_of(rule: &Rule, environment: &Environment) -> bool {
    rule.environments
        .as_ref()
        .is_none_or(|names| names.contains(&environment.name))
}

/// Whether the rule speaks of the command.
pub(crate) fn covers(rule: &Rule, read: &ReadCommand) -> bool {
    match &rule.may {
        Commands::Named(names) => names.contains(&read.command.name),
        Commands::Reads => read.command.only_reads(),
        Commands::All => true,
    }
}
