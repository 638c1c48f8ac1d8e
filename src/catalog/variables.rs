//! `${VAR_NAME:-default}` in the values of environments.

use std::collections::BTreeMap;

use super::Folders;
use super::at::At;
use super::diagnostic::{Diagnostic, did_you_mean};

/// Only variables that begin so may be used: a runbook can't reach for the process's other variables.
pub(crate) const PREFIX: &str = "VAR_";

/// Puts the variables' values in; pushes what is wrong and leaves it as it is then.
pub(crate) fn fill(
    text: &str,
    variables: &BTreeMap<String, String>,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        filled.push_str(before);
        let Some((inside, after)) = behind.split_once('}') else {
            let message = "a variable begins here and doesn't end";
            notes.push(
                at.part("${")
                    .error(message)
                    .hint("write ${VAR_NAME} or ${VAR_NAME:-default}"),
            );
            return text.to_owned();
        };
        match value(inside, variables) {
            Ok(value) => filled.push_str(value),
            Err((message, hint)) => {
                notes.push(at.part(&format!("${{{inside}}}")).error(message).hint(hint));
            }
        }
        rest = after;
    }
    filled + rest
}

/// The variables that default to an address on loopback, with its port: what `midwatch try` brings servers for.
pub fn loopback_defaults(folders: &Folders) -> BTreeMap<String, u16> {
    let Ok(entries) = std::fs::read_dir(&folders.runbooks) else {
        return BTreeMap::new();
    };
    let yaml = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"));
    let mut found = BTreeMap::new();
    for text in yaml.filter_map(|path| std::fs::read_to_string(path).ok()) {
        for inside in text
            .split("${")
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|(inside, _)| inside)
        {
            let Some((name, default)) = inside.split_once(":-http://127.0.0.1:") else {
                continue;
            };
            if let Ok(port) = default.trim_end_matches('/').parse() {
                found.insert(name.to_owned(), port);
            }
        }
    }
    found
}

fn value<'a>(
    inside: &'a str,
    variables: &'a BTreeMap<String, String>,
) -> Result<&'a str, (String, String)> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let well_formed = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !name.starts_with(PREFIX) || !well_formed {
        let message = format!("variable `{name}` can't be used here");
        let hint = format!(
            "only variables whose names begin with {PREFIX} can; secrets are written {{secret.NAME}} in commands"
        );
        return Err((message, hint));
    }
    let given = variables.get(name).filter(|value| !value.is_empty());
    given.map(String::as_str).or(default).ok_or_else(|| {
        let set = variables
            .keys()
            .map(String::as_str)
            .filter(|name| name.starts_with(PREFIX));
        let near = did_you_mean(name, set)
            .map(|near| format!("{near} "))
            .unwrap_or_default();
        let message = format!("variable `{name}` is not set");
        (
            message,
            format!("{near}set it, or give a default: ${{{name}:-default}}"),
        )
    })
}
