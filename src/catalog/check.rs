//! `midwatch check`: reads everything, runs the runbooks' examples, and proves that the prose's commands parse.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::diagnostic::Diagnostic;
use super::load::{Folders, errors, load};
use super::project::Example;
use super::rotation;
use crate::domain::{Catalog, Project, ProjectName};

/// What the catalog can't do itself.
pub struct Checks<'c> {
    /// When it is: rotations are looked at for the year from then on.
    pub now: Timestamp,
    /// Whether a line is a command that could be given in the project; the error says why not.
    pub parse: &'c dyn Fn(&Catalog, &ProjectName, &str) -> Result<(), String>,
    /// What is decided on an example, in one line: `allowed`, `needs 1 approval of team-shop`, `denied …`.
    pub answer: &'c dyn Fn(&Catalog, &Project, &Example) -> String,
}

/// What a check found.
#[derive(Debug)]
pub struct Report {
    /// Every mistake and warning.
    pub diagnostics: Vec<Diagnostic>,
    /// How many commands can be used.
    pub commands: usize,
    /// How many projects can be used.
    pub projects: usize,
    /// How many examples were run.
    pub examples: usize,
}

impl Report {
    /// How many errors there are: with one, `midwatch check` fails.
    pub fn errors(&self) -> usize {
        errors(&self.diagnostics)
    }
}

/// Reads the files and checks all that can be checked without doing anything.
pub fn check(
    folders: &Folders,
    variables: &BTreeMap<String, String>,
    checks: &Checks<'_>,
) -> Report {
    let mut loaded = load(folders, variables);
    let mut found = rotation::gaps(&loaded.catalog.people, &loaded.levels, checks.now);
    for (project, line, spot) in &loaded.commands_in_prose {
        if let Err(reason) = (checks.parse)(&loaded.catalog, project, line) {
            let message = format!("this is no command of `{project}`: {reason}");
            found.push(
                spot.error(message)
                    .hint("lines of an `ops` block are commands as they are typed"),
            );
        }
    }
    for example in &loaded.examples {
        let Some(project) = loaded.catalog.projects.get(&example.project) else {
            continue;
        };
        let answer = (checks.answer)(&loaded.catalog, project, example);
        if !answer.starts_with(&example.then) {
            let message = format!(
                "the example doesn't hold: `{}` by {} should be `{}`",
                example.says, example.who, example.then
            );
            found.push(
                example
                    .spot
                    .error(message)
                    .hint(format!("the rules answer: {answer}")),
            );
        }
    }
    loaded.diagnostics.extend(found);
    Report {
        commands: loaded.catalog.commands.len(),
        projects: loaded.catalog.projects.len(),
        examples: loaded.examples.len(),
        diagnostics: loaded.diagnostics,
    }
}
