//! Makes an example of a command that works when it is typed.

use super::Hearing;
use super::arguments::required_in;
use crate::domain::{Catalog, Command, Parameter, ParameterKind, Project, quoted, show_duration};

/// An example that parses where the project is understood; where none is given, it names one.
pub fn examples_of(command: &Command, catalog: &Catalog, project: Option<&Project>) -> String {
    if let Some(project) = project {
        return words(command, Some(project)).join(" ");
    }
    // A project without environments can't show what an environment looks like.
    let best = catalog
        .projects
        .values()
        .find(|project| !project.environments.is_empty())
        .or_else(|| catalog.projects.values().next());
    let mut words = words(command, best.map(AsRef::as_ref));
    if let Some(project) = best.filter(|_| catalog.projects.len() > 1) {
        words.push(format!("project={}", project.name));
    }
    words.join(" ")
}

/// An example that parses in this very channel.
pub(super) fn example(
    command: &Command,
    hearing: &Hearing<'_>,
    project: Option<&Project>,
) -> String {
    let implied = hearing.implied_project();
    match project {
        Some(project) if implied.is_none_or(|implied| implied.name != project.name) => {
            let mut words = words(command, Some(project));
            words.push(format!("project={}", project.name));
            words.join(" ")
        }
        _ => examples_of(command, hearing.catalog, project),
    }
}

fn words(command: &Command, project: Option<&Project>) -> Vec<String> {
    let mut words = vec![command.name.to_string()];
    let mut named = false;
    for parameter in command.positional() {
        let required = match project {
            Some(project) => required_in(parameter, project),
            None => parameter.required(),
        };
        if !required {
            // What follows can't be told from it by its position.
            named = true;
            continue;
        }
        let value = quoted(&example_value(parameter, project));
        words.push(if named {
            format!("{}={value}", parameter.name)
        } else {
            value
        });
    }
    words
}

fn example_value(parameter: &Parameter, project: Option<&Project>) -> String {
    match (&parameter.kind, &parameter.example) {
        // An example in a command's file can't know the environments of this project.
        (ParameterKind::Environment, _) | (_, None) => invented(&parameter.kind, project),
        (ParameterKind::List { of, .. }, _) if matches!(**of, ParameterKind::Environment) => {
            invented(of, project)
        }
        (_, Some(example)) => example.clone(),
    }
}

fn invented(kind: &ParameterKind, project: Option<&Project>) -> String {
    match kind {
        ParameterKind::Environment => project
            .and_then(|project| project.environments.first())
            .map_or_else(|| "ENVIRONMENT".to_owned(), |e| e.name.to_string()),
        ParameterKind::Choice(words) => words.first().cloned().unwrap_or_default(),
        ParameterKind::Text { matches, longest } => invented_text(matches.as_ref(), *longest),
        ParameterKind::Integer { min, max } => 1.clamp(*min, (*max).max(*min)).to_string(),
        ParameterKind::Duration { min, max } => {
            let ten_minutes = std::time::Duration::from_mins(10);
            show_duration(ten_minutes.clamp(*min, (*max).max(*min)))
        }
        ParameterKind::Boolean => "yes".to_owned(),
        ParameterKind::Secret { names } => names
            .first()
            .map_or_else(|| "secret-name".to_owned(), ToString::to_string),
        ParameterKind::List { of, .. } => invented(of, project),
    }
}

/// A text that the pattern accepts, if one of the usual suspects does. `check` asks for an example where none does.
fn invented_text(matches: Option<&regex::Regex>, longest: usize) -> String {
    const USUAL: &[&str] = &[
        "example",
        "v1.2.3",
        "1.2.3",
        "main",
        "/",
        "web-1",
        "abc1234",
        "1",
        "A",
        "2026-01-31",
        "a@example.org",
        "https://example.org/",
    ];
    let fits =
        |text: &&str| text.len() <= longest && matches.is_none_or(|pattern| pattern.is_match(text));
    let found = USUAL.iter().copied().find(fits);
    found.unwrap_or("example").to_owned()
}
