//! `midwatch check`: every mistake, what hurts at night, and the runbooks' examples.

use std::io::IsTerminal;
use std::path::PathBuf;

use super::app::folders;
use super::{Exit, say, say_error};
use crate::catalog::{self, Checks, Example, Folders, counted};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::{Catalog, Facts, Hearing, Project, ProjectName, Typed, decide, parse, render};

/// Checks the folders of the settings, or those in `dir`.
pub(super) fn run(settings: &Settings, dir: Option<PathBuf>, strict: bool) -> Exit {
    let folders = match dir {
        Some(dir) => Folders {
            commands: dir.join("commands"),
            runbooks: dir.join("runbooks"),
        },
        None => folders(settings),
    };
    let checks = Checks {
        now: Clock::system().now(),
        parse: &parses,
        answer: &decision_on,
    };
    let report = catalog::check(&folders, &settings.variables, &checks);
    let colour =
        std::io::stdout().is_terminal() && !crate::config::environment().contains_key("NO_COLOR");
    for diagnostic in &report.diagnostics {
        say(&diagnostic.render(colour));
    }
    let errors = report.diagnostics.iter().filter(|it| it.is_error()).count();
    let warnings = report.diagnostics.len() - errors;
    say(&format!(
        "{}, {}, {}: {}, {}",
        counted(report.commands, "command"),
        counted(report.projects, "project"),
        counted(report.examples, "example"),
        counted(errors, "mistake"),
        counted(warnings, "warning"),
    ));
    let bad = errors > 0 || (strict && warnings > 0);
    if bad { Exit::Invalid } else { Exit::Done }
}

/// Prints one of the JSON Schemas that editors use.
pub(super) fn print_schema(kind: &str) -> Exit {
    let schemas = catalog::schemas();
    let found = schemas
        .iter()
        .find(|(name, _)| name.split('.').next() == Some(kind));
    match found {
        Some((_, text)) => {
            say(text);
            Exit::Done
        }
        None => {
            say_error(&format!(
                "there is no kind of file `{kind}`; kinds are command, runbook and people"
            ));
            Exit::Invalid
        }
    }
}

fn parses(catalog: &Catalog, project: &ProjectName, says: &str) -> Result<(), String> {
    let channel = channel_of(catalog, project);
    match parse(
        says,
        &Hearing {
            catalog,
            channel: &channel,
        },
    ) {
        Ok(_) => Ok(()),
        Err(refusal) => Err(super::may::plain(&refusal.message(), catalog)),
    }
}

fn channel_of(catalog: &Catalog, project: &ProjectName) -> String {
    let found = catalog.channels.iter().find(|(_, name)| *name == project);
    found
        .map(|(channel, _)| channel.clone())
        .unwrap_or_default()
}

/// The decision in one line, as examples state it.
fn decision_on(catalog: &Catalog, project: &Project, example: &Example) -> String {
    let channel = example
        .in_channel
        .clone()
        .unwrap_or_else(|| channel_of(catalog, &project.name));
    match parse(
        &example.says,
        &Hearing {
            catalog,
            channel: &channel,
        },
    ) {
        Err(refusal) => format!("refused: {}", refusal.word()),
        Ok(Typed::Ask(question)) => format!("answered: {}", question.word()),
        Ok(Typed::Invoke(invocation)) => {
            let actor = catalog.people.actor(&example.who);
            render::decision_in_words(&decide(
                &invocation,
                &actor,
                catalog,
                &Facts::default(),
                example.at,
            ))
        }
    }
}
