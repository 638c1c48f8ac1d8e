//! The settings file: lines of `NAME=value`, and nothing cleverer.
//!
//! The form that `docker run --env-file` and systemd read alike, so quotes are refused rather than understood: the two
//! differ there.

use std::collections::BTreeMap;
use std::path::Path;

/// A value and the line it stands on, counted from 1.
pub(super) type Lines = BTreeMap<String, (String, usize)>;

/// Reads the file. Problems name file and line; what is readable is given all the same, so that all are found at once.
pub(super) fn read(path: &Path, problems: &mut Vec<String>) -> Lines {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, &path.display().to_string(), problems),
        Err(why) => {
            problems.push(format!(
                "{}: the settings file can't be read: {why}; correct MIDWATCH_CONFIG or the file's permissions",
                path.display()
            ));
            Lines::new()
        }
    }
}

/// Takes the text apart; `file` is only for messages.
pub(super) fn parse(text: &str, file: &str, problems: &mut Vec<String>) -> Lines {
    let mut lines = Lines::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        match parse_line(line.trim()) {
            Ok(None) => {}
            Ok(Some((name, value))) => {
                if let Some((_, first)) = lines.get(name) {
                    problems.push(format!(
                        "{file}:{number}: {name} is set twice, first on line {first}; remove one of them"
                    ));
                } else {
                    lines.insert(name.to_owned(), (value.to_owned(), number));
                }
            }
            Err(what) => problems.push(format!("{file}:{number}: {what}")),
        }
    }
    lines
}

fn parse_line(line: &str) -> Result<Option<(&str, &str)>, &'static str> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let Some((name, value)) = line.split_once('=') else {
        return Err("no `=`; write NAME=value, and begin a comment with #");
    };
    let (name, value) = (name.trim(), value.trim());
    if name.starts_with("export ") {
        return Err("no shell here; write NAME=value without `export`");
    }
    let well_formed = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if !well_formed {
        return Err(
            "the name before `=` must be upper-case letters, digits and `_`; write NAME=value",
        );
    }
    let quoted = ['"', '\'']
        .iter()
        .any(|quote| value.len() > 1 && value.starts_with(*quote) && value.ends_with(*quote));
    if quoted {
        return Err("the value stands in quotes; remove them, the value goes to the line's end");
    }
    Ok(Some((name, value)))
}
