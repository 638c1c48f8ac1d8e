//! `history COMMAND [ENVIRONMENT] [project=NAME]`: no argument of the command is needed, its past is asked about.

use super::corrections::line_of;
use super::questions::{Question, bad, line_with, project_word};
use super::words::Word;
use super::{Hearing, echo, nearest};
use crate::domain::{Command, EnvironmentName, ParameterKind, Project, Refusal};

/// Reads what follows `history`.
pub(super) fn read(words: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    let rest = super::without_address(&words[1..]);
    if rest.is_empty() {
        return Err(bad(
            "`history` needs a command; `/ops list` shows them",
            "history flush-cache prod".to_owned(),
        ));
    }
    let command = hearing.command(rest)?;
    let mut project = None;
    let mut environment = None;
    let offset = words.len() - rest.len();
    for (index, word) in rest.iter().enumerate().skip(1) {
        let (lead, name) = project_word(word);
        if !lead.is_empty() {
            let line =
                |name: &str| Some(line_with(words, offset + index, &format!("{lead}{name}")));
            project = Some(hearing.project(name, line)?);
        } else if environment.is_none() {
            environment = Some(name);
        } else {
            return Err(bad(
                &format!(
                    "`history` takes a command and an environment, and not `{}` after them",
                    echo(name)
                ),
                format!("history {}", command.name),
            ));
        }
    }
    let project = project
        .or_else(|| hearing.implied_project())
        .ok_or_else(|| Refusal::WhichProject {
            typed: line_of(words),
            known: hearing.catalog.projects.keys().cloned().collect(),
        })?;
    Ok(Question::History {
        command: command.name.clone(),
        project: project.name.clone(),
        environment: environment
            .map(|typed| named(typed, command, project))
            .transpose()?,
    })
}

fn named(typed: &str, command: &Command, project: &Project) -> Result<EnvironmentName, Refusal> {
    let typed = typed.strip_prefix("environment=").unwrap_or(typed);
    let takes_one = command
        .parameters
        .iter()
        .any(|it| matches!(it.kind, ParameterKind::Environment));
    if !takes_one {
        return Err(bad(
            &format!("`{}` has no environment", command.name),
            format!("history {}", command.name),
        ));
    }
    let names = || project.environments.iter().map(|it| it.name.as_str());
    let lower = typed.to_ascii_lowercase();
    if let Some(found) = project.environment(&lower) {
        return Ok(found.name.clone());
    }
    let meant = nearest(typed, names()).or_else(|| names().next());
    Err(bad(
        &format!(
            "{} has no environment `{}`; it has {}",
            project.name,
            echo(typed),
            names().collect::<Vec<_>>().join(", ")
        ),
        format!("history {} {}", command.name, meant.unwrap_or_default()),
    ))
}
