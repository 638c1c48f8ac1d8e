//! What a command takes: from the file's keys to typed parameters with checked defaults and examples.

use std::time::Duration;

use super::at::At;
use super::diagnostic::{Diagnostic, did_you_mean};
use super::pattern::whole;
use super::raw::{self, OneOrMany, ParameterType, Text};
use crate::domain::{
    CODE_WORD, EnvironmentName, LONGEST_LIST, LONGEST_TEXT, Parameter, ParameterKind,
    ParameterName, SecretName, Value, parse_duration, show_duration,
};

/// Words that mean something else where arguments are typed, or in placeholders.
const RESERVED: [&str; 5] = ["again", "reason", "project", "actor", CODE_WORD];
const LONGEST_SPAN: Duration = Duration::from_hours(400 * 24);

/// Reads one parameter. `None` when its kind can't be made out; the reason is among the notes then.
pub(crate) fn read(
    name: &ParameterName,
    raw: &raw::Parameter,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Parameter> {
    let at_name = at.key(name.as_str());
    let at = at.get(name.as_str());
    if RESERVED.contains(&name.as_str()) {
        let message =
            format!("a parameter can't be called `{name}`: the word has a meaning already");
        notes.push(at_name.error(message).hint("choose another name"));
    }
    if name.as_str() == "environment" && raw.kind != ParameterType::Environment {
        let message = "a parameter called `environment` must have the type environment";
        notes.push(
            at.get("type")
                .error(message)
                .hint("choose another name, or `type: environment`"),
        );
    }
    refuse_foreign_keys(raw, at, notes);
    let kind = kind(raw, at, notes)?;
    if raw.optional && raw.default.is_some() {
        let message = "`optional` says that it may be missing, `default` that it never is";
        notes.push(at.key("optional").error(message).hint("keep one of them"));
    }
    if raw.optional && kind_is_environment(&kind) {
        let message = "an environment can't be optional: rules speak of environments";
        notes.push(at.key("optional").error(message).hint("remove `optional`"));
    }
    let default = raw.default.as_ref().and_then(|given| {
        let read = default(&kind, given);
        read.map_err(|expected| {
            let message = format!("the default is not what `{name}` accepts");
            notes.push(
                at.get("default")
                    .error(message)
                    .hint(format!("it accepts {expected}")),
            );
        })
        .ok()
    });
    if let Some(Text(example)) = &raw.example
        && let Err(expected) = value(&kind, example)
    {
        let message = format!("the example is not what `{name}` accepts");
        notes.push(
            at.get("example")
                .error(message)
                .hint(format!("it accepts {expected}")),
        );
    }
    Some(Parameter {
        name: name.clone(),
        kind,
        default,
        optional: raw.optional,
        help: raw.help.as_ref().map(|help| help.0.clone()),
        example: raw.example.as_ref().map(|example| example.0.clone()),
    })
}

fn kind_is_environment(kind: &ParameterKind) -> bool {
    matches!(kind, ParameterKind::Environment)
}

/// Keys that belong to another type do nothing, and their author believes they do.
fn refuse_foreign_keys(raw: &raw::Parameter, at: At<'_>, notes: &mut Vec<Diagnostic>) {
    use ParameterType::{Choice, Duration, Integer, List, Secret, Text};
    if raw.kind == Choice && raw.of.is_some() && raw.choices.is_none() {
        let message = "the words of a choice stand under `choices`";
        notes.push(
            at.key("of")
                .error(message)
                .hint("write `choices: [one, two]`"),
        );
        return;
    }
    let item = item_type(raw);
    let given = [
        ("matches", raw.matches.is_some(), &[Text][..]),
        ("longest", raw.longest.is_some(), &[Text, List]),
        ("choices", raw.choices.is_some(), &[Choice]),
        ("min", raw.min.is_some(), &[Integer, Duration]),
        ("max", raw.max.is_some(), &[Integer, Duration]),
        ("of", raw.of.is_some(), &[List]),
        ("names", raw.names.is_some(), &[Secret]),
    ];
    for (key, present, types) in given {
        let fits = types.contains(&raw.kind) || item.is_some_and(|item| types.contains(&item));
        if present && !fits {
            let message = format!("`{key}` does nothing for this type");
            let words: Vec<&str> = types.iter().map(|one| type_word(*one)).collect();
            let hint = format!("remove it; it belongs to the type {}", words.join(" or "));
            notes.push(at.key(key).error(message).hint(hint));
        }
    }
}

fn kind(raw: &raw::Parameter, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<ParameterKind> {
    if raw.kind != ParameterType::List {
        let longest = raw.longest.map_or(LONGEST_TEXT, |longest| longest as usize);
        return simple_kind(raw.kind, raw, longest, at, notes);
    }
    let Some(item) = item_type(raw) else {
        let message = "a list must say what its items are";
        let hint = "write `of: text`, or choice, integer, duration, boolean, secret";
        let place = if raw.of.is_some() {
            at.get("of")
        } else {
            at.get("type")
        };
        notes.push(place.error(message).hint(hint));
        return None;
    };
    let longest = raw.longest.map_or(LONGEST_LIST, |longest| longest as usize);
    check_longest(longest, LONGEST_LIST, "items", at, notes);
    let of = simple_kind(item, raw, LONGEST_TEXT, at, notes)?;
    Some(ParameterKind::List {
        of: Box::new(of),
        longest,
    })
}

/// What a list holds. Lists of lists have no way to be typed; a list of environments would slip past the rules.
fn item_type(raw: &raw::Parameter) -> Option<ParameterType> {
    use ParameterType::{Boolean, Choice, Duration, Integer, Secret, Text};
    let [only] = raw.of.as_ref()?.0.as_slice() else {
        return None;
    };
    [Text, Choice, Integer, Duration, Boolean, Secret]
        .into_iter()
        .find(|one| type_word(*one) == only.0)
}

fn type_word(kind: ParameterType) -> &'static str {
    match kind {
        ParameterType::Environment => "environment",
        ParameterType::Choice => "choice",
        ParameterType::Text => "text",
        ParameterType::Integer => "integer",
        ParameterType::Duration => "duration",
        ParameterType::Boolean => "boolean",
        ParameterType::Secret => "secret",
        ParameterType::List => "list",
    }
}

fn simple_kind(
    kind: ParameterType,
    raw: &raw::Parameter,
    longest: usize,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<ParameterKind> {
    match kind {
        ParameterType::Environment => Some(ParameterKind::Environment),
        ParameterType::Choice => choice(raw, at, notes),
        ParameterType::Text => {
            check_longest(longest, LONGEST_TEXT, "characters", at, notes);
            let matches = match &raw.matches {
                Some(pattern) => Some(whole(pattern, at.get("matches"), notes)?),
                None => None,
            };
            Some(ParameterKind::Text { matches, longest })
        }
        ParameterType::Integer => integer(raw, at, notes),
        ParameterType::Duration => duration(raw, at, notes),
        ParameterType::Boolean => Some(ParameterKind::Boolean),
        ParameterType::Secret => Some(ParameterKind::Secret {
            names: raw.names.clone().unwrap_or_default(),
        }),
        ParameterType::List => None,
    }
}

fn check_longest(longest: usize, most: usize, unit: &str, at: At<'_>, notes: &mut Vec<Diagnostic>) {
    if longest == 0 || longest > most {
        let message = format!("`longest` can't be {longest}");
        notes.push(
            at.get("longest")
                .error(message)
                .hint(format!("from 1 to {most} {unit}")),
        );
    }
}

fn choice(raw: &raw::Parameter, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<ParameterKind> {
    let Some(choices) = &raw.choices else {
        if raw.of.is_none() || raw.kind == ParameterType::List {
            let message = "a choice must say its words";
            notes.push(
                at.get("type")
                    .error(message)
                    .hint("write `choices: [one, two]`"),
            );
        }
        return None;
    };
    let words: Vec<String> = choices.iter().map(|word| word.0.clone()).collect();
    if words.is_empty() {
        let message = "a choice needs at least one word";
        notes.push(
            at.key("choices")
                .error(message)
                .hint("write `choices: [one, two]`"),
        );
    }
    for (position, (word, at)) in words.iter().zip(at.get("choices").items()).enumerate() {
        if word.is_empty() || word.contains(',') || word.chars().any(char::is_whitespace) {
            let message = format!("`{word}` can't be typed as one word");
            notes.push(at.error(message).hint("use letters, digits, `-`, `_`, `.`"));
        }
        if words[..position].contains(word) {
            notes.push(
                at.error(format!("`{word}` stands here twice"))
                    .hint("remove one of them"),
            );
        }
    }
    Some(ParameterKind::Choice(words))
}

fn integer(raw: &raw::Parameter, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<ParameterKind> {
    let mut bound = |key: &str, given: &Option<Text>, open: i64| match given {
        None => Some(open),
        Some(Text(text)) => text.parse().ok().or_else(|| {
            let message = format!("`{key}` must be a whole number, not `{text}`");
            notes.push(at.get(key).error(message).hint("such as 1 or -5"));
            None
        }),
    };
    let min = bound("min", &raw.min, i64::MIN)?;
    let max = bound("max", &raw.max, i64::MAX)?;
    ordered(min <= max, at, notes).then_some(ParameterKind::Integer { min, max })
}

fn duration(
    raw: &raw::Parameter,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<ParameterKind> {
    let mut bound = |key: &str, given: &Option<Text>, open: Duration| match given {
        None => Some(open),
        Some(Text(text)) => span(text, at.get(key), notes),
    };
    let min = bound("min", &raw.min, Duration::ZERO)?;
    let max = bound("max", &raw.max, LONGEST_SPAN)?;
    ordered(min <= max, at, notes).then_some(ParameterKind::Duration { min, max })
}

fn ordered(in_order: bool, at: At<'_>, notes: &mut Vec<Diagnostic>) -> bool {
    if !in_order {
        let message = "`min` is larger than `max`";
        notes.push(at.get("min").error(message).hint("exchange them"));
    }
    in_order
}

/// Reads a span of time.
pub(crate) fn span(text: &str, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<Duration> {
    let read = parse_duration(text);
    if read.is_none() {
        let message = format!("`{text}` is not a span of time");
        notes.push(
            at.error(message)
                .hint("write `30s`, `10m`, `1h 30m` or `2d`; at most 400 days"),
        );
    }
    read
}

fn default(kind: &ParameterKind, given: &OneOrMany<Text>) -> Result<Value, String> {
    match (kind, given.0.as_slice()) {
        (ParameterKind::List { of, longest }, items) if items.len() <= *longest => items
            .iter()
            .map(|item| value(of, &item.0))
            .collect::<Result<_, _>>()
            .map(Value::List),
        (ParameterKind::List { longest, .. }, _) => Err(format!("at most {longest} items")),
        (_, [only]) => value(kind, &only.0),
        _ => Err("one value, not a list".to_owned()),
    }
}

/// Reads a value written in a file; the error says what is accepted.
pub(crate) fn value(kind: &ParameterKind, text: &str) -> Result<Value, String> {
    match kind {
        ParameterKind::Environment => EnvironmentName::parse(text)
            .map(Value::Environment)
            .map_err(|error| error.to_string()),
        ParameterKind::Choice(words) => known_word(text, words),
        ParameterKind::Text { matches, longest } => {
            let fits = matches.as_ref().is_none_or(|regex| regex.is_match(text));
            if fits && text.chars().count() <= *longest {
                return Ok(Value::Text(text.to_owned()));
            }
            let pattern = matches
                .as_ref()
                .map(|regex| format!(" that matches {regex}"));
            Err(format!(
                "text of at most {longest} characters{}",
                pattern.unwrap_or_default()
            ))
        }
        ParameterKind::Integer { min, max } => text
            .parse()
            .ok()
            .filter(|number| min <= number && number <= max)
            .map(Value::Integer)
            .ok_or_else(|| format!("a whole number from {min} to {max}")),
        ParameterKind::Duration { min, max } => parse_duration(text)
            .filter(|span| min <= span && span <= max)
            .and_then(|span| u64::try_from(span.as_millis()).ok())
            .map(Value::DurationMs)
            .ok_or_else(|| {
                let (min, max) = (show_duration(*min), show_duration(*max));
                format!("a span of time from {min} to {max}")
            }),
        ParameterKind::Boolean => text
            .parse()
            .map(Value::Boolean)
            .map_err(|_| "`true` or `false`".to_owned()),
        ParameterKind::Secret { names } => SecretName::parse(text)
            .ok()
            .filter(|name| names.is_empty() || names.contains(name))
            .map(Value::Secret)
            .ok_or_else(|| "the name of a secret that it lists".to_owned()),
        ParameterKind::List { of, longest } => {
            let items: Result<Vec<_>, _> =
                text.split(',').map(|item| value(of, item.trim())).collect();
            let items = items?;
            if items.len() > *longest {
                return Err(format!("at most {longest} items"));
            }
            Ok(Value::List(items))
        }
    }
}

fn known_word(text: &str, words: &[String]) -> Result<Value, String> {
    if words.iter().any(|word| word == text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let near = did_you_mean(text, words.iter().map(String::as_str));
    let near = near.map(|near| format!("; {near}")).unwrap_or_default();
    Err(format!("one of {}{near}", words.join(", ")))
}
