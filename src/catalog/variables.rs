//! `${VAR_NAME:-default}` in the values of environments.

use std::collections::BTreeMap;

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
