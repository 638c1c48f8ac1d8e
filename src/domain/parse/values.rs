//! Turns the text of one argument into a typed value, or says what would be accepted.

use std::time::Duration;

use super::nearest::nearest;
use crate::domain::{
    Environment, LONGEST_LIST, LONGEST_TEXT, ParameterKind, SecretName, Value, parse_duration,
    show_duration,
};

/// Why a text is not a value of the kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAValue {
    /// The part that is wrong: an item of a list, or all of it.
    pub(super) part: String,
    /// What is accepted, in words.
    pub(super) expected: String,
    /// Probably meant in place of `part`.
    pub(super) nearest: Option<String>,
}

/// Reads one argument. `environments` matter to kinds that name one only.
pub(super) fn read(
    kind: &ParameterKind,
    text: &str,
    environments: &[Environment],
) -> Result<Value, NotAValue> {
    let wrong = |nearest: Option<&str>| NotAValue {
        part: text.to_owned(),
        expected: expected(kind, environments),
        nearest: nearest.map(str::to_owned),
    };
    match kind {
        ParameterKind::Environment => one_of(text, environments.iter().map(|e| e.name.as_str()))
            .and_then(|name| environments.iter().find(|e| e.name.as_str() == name))
            .map(|environment| Value::Environment(environment.name.clone()))
            .ok_or_else(|| wrong(nearest(text, environments.iter().map(|e| e.name.as_str())))),
        ParameterKind::Choice(words) => one_of(text, words.iter().map(String::as_str))
            .map(|word| Value::Text(word.to_owned()))
            .ok_or_else(|| wrong(nearest(text, words.iter().map(String::as_str)))),
        ParameterKind::Text { matches, longest } => {
            let fits = text.chars().nth((*longest).min(LONGEST_TEXT)).is_none()
                && !text.chars().any(char::is_control)
                && matches
                    .as_ref()
                    .is_none_or(|pattern| pattern.is_match(text));
            fits.then(|| Value::Text(text.to_owned()))
                .ok_or_else(|| wrong(None))
        }
        ParameterKind::Integer { min, max } => match text.parse::<i64>() {
            Ok(number) if (*min..=*max).contains(&number) => Ok(Value::Integer(number)),
            _ => Err(wrong(None)),
        },
        ParameterKind::Duration { min, max } => duration(text, *min, *max)
            .map(Value::DurationMs)
            .ok_or_else(|| wrong(None)),
        ParameterKind::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(Value::Boolean(true)),
            "false" | "no" | "off" => Ok(Value::Boolean(false)),
            _ => Err(wrong(nearest(text, ["true", "false"].into_iter()))),
        },
        ParameterKind::Secret { names } => match SecretName::parse(text) {
            Ok(name) if names.is_empty() || names.contains(&name) => Ok(Value::Secret(name)),
            _ => Err(wrong(nearest(text, names.iter().map(SecretName::as_str)))),
        },
        ParameterKind::List { of, longest } => list(of, text, (*longest).min(LONGEST_LIST))
            .ok_or_else(|| wrong(None))?
            .into_iter()
            .map(|item| read(of, item, environments))
            .collect::<Result<_, _>>()
            .map(Value::List),
    }
}

/// The items of a list: separated by commas, white space around them does not count.
fn list<'a>(of: &ParameterKind, text: &'a str, longest: usize) -> Option<Vec<&'a str>> {
    let items: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect();
    let flat = !matches!(of, ParameterKind::List { .. });
    (flat && items.len() <= longest).then_some(items)
}

/// The candidate that is this word: as it is, or in another case when only one fits then.
fn one_of<'a>(text: &str, candidates: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    candidates.clone().find(|word| *word == text).or_else(|| {
        let folded = text.to_lowercase();
        let mut fitting = candidates.filter(|word| word.to_lowercase() == folded);
        let first = fitting.next();
        first.filter(|_| fitting.next().is_none())
    })
}

/// Milliseconds, when nothing smaller is lost.
fn duration(text: &str, min: Duration, max: Duration) -> Option<u64> {
    let duration = parse_duration(text).filter(|span| (min..=max).contains(span))?;
    let whole = duration.subsec_nanos().is_multiple_of(1_000_000);
    u64::try_from(duration.as_millis()).ok().filter(|_| whole)
}

/// What a kind accepts, in words.
pub(super) fn expected(kind: &ParameterKind, environments: &[Environment]) -> String {
    match kind {
        ParameterKind::Environment if environments.is_empty() => {
            "an environment, and this project has none".to_owned()
        }
        ParameterKind::Environment => one_of_words(environments.iter().map(|e| e.name.as_str())),
        ParameterKind::Choice(words) => one_of_words(words.iter().map(String::as_str)),
        ParameterKind::Text { matches, longest } => {
            let longest = (*longest).min(LONGEST_TEXT);
            match matches {
                Some(pattern) => format!(
                    "text that matches {}, at most {longest} characters on one line",
                    in_full(pattern.as_str())
                ),
                None => format!("text of at most {longest} characters on one line"),
            }
        }
        ParameterKind::Integer { min, max } => match (*min, *max) {
            (i64::MIN, i64::MAX) => "a whole number".to_owned(),
            (min, i64::MAX) => format!("a whole number, at least {min}"),
            (i64::MIN, max) => format!("a whole number, at most {max}"),
            (min, max) => format!("a whole number from {min} to {max}"),
        },
        ParameterKind::Duration { min, max } => format!(
            "a span of time such as 90s or 1h 30m, from {} to {}",
            show_duration(*min),
            show_duration(*max)
        ),
        ParameterKind::Boolean => "yes or no".to_owned(),
        ParameterKind::Secret { names } if names.is_empty() => {
            "the name of a secret, never its value".to_owned()
        }
        ParameterKind::Secret { names } => format!(
            "the name of a secret, never its value: {}",
            one_of_words(names.iter().map(SecretName::as_str))
        ),
        ParameterKind::List { of, longest } => format!(
            "at most {} items, separated by commas, each {}",
            (*longest).min(LONGEST_LIST),
            expected(of, environments)
        ),
    }
}

fn one_of_words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    /// More would hide the rest of the message.
    const SHOWN: usize = 12;
    let words: Vec<&str> = words.collect();
    match words.as_slice() {
        [only] => (*only).to_owned(),
        few if few.len() <= SHOWN => format!("one of {}", few.join(", ")),
        many => format!(
            "one of {} and {} more",
            many[..SHOWN].join(", "),
            many.len() - SHOWN
        ),
    }
}

/// The pattern as its file has it, with the anchors that it was compiled with and the classes that it was written with.
fn in_full(pattern: &str) -> String {
    let inner = [("^(?:", ")$"), ("\\A(?:", ")\\z")]
        .into_iter()
        .find_map(|(open, close)| pattern.strip_prefix(open)?.strip_suffix(close))
        .unwrap_or(pattern);
    let bare = inner.strip_prefix('^').unwrap_or(inner);
    let bare = bare.strip_suffix('$').unwrap_or(bare);
    let short = [
        ("[0-9A-Za-z_]", "\\w"),
        ("[0-9]", "\\d"),
        ("[ \\t\\n\\r]", "\\s"),
    ];
    let short = short
        .into_iter()
        .fold(bare.to_owned(), |pattern, (long, short)| {
            pattern.replace(long, short)
        });
    format!("^{short}$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_shown_with_one_pair_of_anchors() {
        for (pattern, shown) in [
            ("^(?:a|b)$", "^a|b$"),
            ("^(?:^/x$)$", "^/x$"),
            ("\\A(?:/x)\\z", "^/x$"),
            ("^/x$", "^/x$"),
            ("^(?:[[0-9A-Za-z_]/.-]{0,9})$", "^[\\w/.-]{0,9}$"),
            ("^(?:v?[0-9]{1,4}[ \\t\\n\\r])$", "^v?\\d{1,4}\\s$"),
        ] {
            assert_eq!(in_full(pattern), shown);
        }
    }
}
