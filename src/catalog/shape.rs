//! Holds a tree against a JSON Schema: every unknown key, missing key and wrong type of a file at once, each at its place.
//!
//! The schema is the one that editors get. On the way the tree becomes JSON, typed by the schema, so that the version
//! `1.10` stays `1.10` where a text is expected.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::at::At;
use super::diagnostic::{Diagnostic, did_you_mean, nearest};
use super::schema::{JsonSchema, Keys, accepts, choices, first_line};
use super::tree::{Entry, Kind, Node, Scalar, Tree};
use crate::domain::{NAME_PATTERN, NameError};

/// The shape of one kind of file.
pub(crate) struct Shape(JsonSchema);

impl Shape {
    /// The shape that a raw type has.
    pub(crate) fn of<T: schemars::JsonSchema>() -> Self {
        Self(JsonSchema::of::<T>())
    }

    /// Reads a raw value; pushes every structural mistake, and answers `None` if there was one.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        root: At<'_>,
        notes: &mut Vec<Diagnostic>,
    ) -> Option<T> {
        let errors_before = count_errors(notes);
        let schema = &self.0;
        let value = Walk { schema, notes }.value(schema.root(), root, "the file");
        if count_errors(notes) > errors_before {
            return None;
        }
        match serde_json::from_value(value) {
            Ok(raw) => Some(raw),
            // The schema and the type come from one source; should they differ all the same, the file is refused.
            Err(error) => {
                notes.push(root.error(format!("the file can't be read: {error}")));
                None
            }
        }
    }
}

fn count_errors(notes: &[Diagnostic]) -> usize {
    notes.iter().filter(|note| note.is_error()).count()
}

struct Walk<'a> {
    schema: &'a JsonSchema,
    notes: &'a mut Vec<Diagnostic>,
}

impl<'a> Walk<'a> {
    /// The node as JSON; `Null` where a mistake was pushed.
    fn value(&mut self, schema: &'a Value, at: At<'_>, label: &str) -> Value {
        let schema = self.schema.present(schema);
        let Some(node) = at.node() else {
            return Value::Null;
        };
        let alternatives = self.schema.alternatives(schema);
        let Some(fitting) = alternatives.iter().find(|one| fits(one, node)) else {
            self.wrong_type(schema, at, node, label);
            return Value::Null;
        };
        let value = match &node.value {
            Tree::Scalar(scalar) => self.scalar(fitting, scalar, at, label),
            Tree::List(_) => self.list(fitting, at, label),
            Tree::Map(entries) => self.map(fitting, entries, at, label),
        };
        shaped(schema, value)
    }

    fn scalar(&mut self, schema: &Value, scalar: &Scalar, at: At<'_>, label: &str) -> Value {
        if accepts(schema, "string") {
            return self.text(schema, scalar, at, label);
        }
        if let Kind::Integer(number) = scalar.kind {
            self.range(schema, number, at, label);
        }
        natural(scalar)
    }

    fn text(&mut self, schema: &Value, scalar: &Scalar, at: At<'_>, label: &str) -> Value {
        let mut text = scalar.text.clone();
        if let (Some(cut), true) = (&scalar.cut, schema.get("x-prose").is_some()) {
            text = format!("{text} {cut}");
            let message = "in YAML ` #` begins a comment; here it is read as part of the text";
            self.notes.push(
                at.error(message)
                    .warning()
                    .hint("put the whole text in quotes"),
            );
        }
        let words = choices(schema);
        if !words.is_empty() && !words.contains(&text.as_str()) {
            let hint = did_you_mean(&text, words.iter().copied());
            let list = format!("one of: {}", words.join(", "));
            self.notes.push(
                at.error(format!("{label} can't be `{text}`"))
                    .hint(hint.map_or(list.clone(), |near| format!("{near} {list}"))),
            );
        }
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && !self.schema.matches(pattern, &text)
        {
            self.notes.push(
                at.error(format!("{label} can't be `{text}`"))
                    .hint(pattern_words(pattern)),
            );
        }
        Value::String(text)
    }

    fn range(&mut self, schema: &Value, number: i64, at: At<'_>, label: &str) {
        let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
        let (min, max) = (bound("minimum"), bound("maximum"));
        if min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max) {
            return;
        }
        let allowed = match (min, max) {
            (Some(min), Some(max)) => format!("from {min} to {max}"),
            (Some(min), None) => format!("{min} or more"),
            (None, max) => format!("at most {}", max.unwrap_or(i64::MAX)),
        };
        self.notes.push(
            at.error(format!("{label} can't be {number}"))
                .hint(format!("a whole number, {allowed}")),
        );
    }

    fn list(&mut self, schema: &'a Value, at: At<'_>, label: &str) -> Value {
        let items: Vec<At<'_>> = at.items().collect();
        if schema.get("minItems").is_some() && items.is_empty() {
            self.notes.push(
                at.error(format!("{label} is an empty list"))
                    .hint("write at least one item"),
            );
        }
        let Some(schema) = schema.get("items") else {
            return at.node().map_or(Value::Null, natural_node);
        };
        let label = format!("an item of {label}");
        let values = items
            .into_iter()
            .map(|item| self.value(schema, item, &label));
        Value::Array(values.collect())
    }

    fn map(&mut self, schema: &'a Value, entries: &[Entry], at: At<'_>, label: &str) -> Value {
        let Some(keys) = Keys::of(schema) else {
            return at.node().map_or(Value::Null, natural_node);
        };
        let mut object = Map::new();
        let mut meant = Vec::new();
        for entry in entries {
            let key = entry.key.as_str();
            let place = at.get(key);
            if let Some(schema) = keys.schema(self.schema, key) {
                let value = self.value(schema, place, &format!("`{key}`"));
                object.insert(key.to_owned(), value);
            } else {
                let (note, near) = unknown_key(&keys, at.key(key), key, entries);
                meant.extend(near);
                self.notes.push(note);
            }
        }
        // A misspelt key has been told; that it is missing too would be the same mistake twice.
        let absent = |key: &&&str| !has(entries, key) && !meant.contains(*key);
        for missing in keys.required.iter().filter(absent) {
            let help = keys.description(self.schema, missing);
            self.notes.push(
                at.head()
                    .error(format!("key `{missing}` is missing in {label}"))
                    .maybe_hint(help.map(|help| format!("`{missing}:` {help}"))),
            );
        }
        Value::Object(object)
    }

    fn wrong_type(&mut self, schema: &Value, at: At<'_>, node: &Node, label: &str) {
        let mut expected: Vec<String> = Vec::new();
        for one in self.schema.alternatives(schema) {
            let words = expectation(one);
            if !expected.contains(&words) {
                expected.push(words);
            }
        }
        let help = schema
            .get("description")
            .and_then(Value::as_str)
            .map(first_line);
        let hint = hint_for_type(node, &expected).or_else(|| help.map(str::to_owned));
        let message = format!(
            "{label} must be {}, not {}",
            expected.join(" or "),
            found(node)
        );
        self.notes.push(at.error(message).maybe_hint(hint));
    }
}

/// The complaint, and the key that was probably meant.
fn unknown_key<'s>(
    keys: &Keys<'s>,
    at: At<'_>,
    key: &str,
    entries: &[Entry],
) -> (Diagnostic, Option<&'s str>) {
    if let Some((pattern, _)) = keys.patterns.and_then(|patterns| patterns.iter().next()) {
        let note = at.error(format!("`{key}` can't be a key here"));
        return (note.hint(pattern_words(pattern)), None);
    }
    let known: Vec<&str> = keys
        .properties
        .map(|known| known.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let free = known.iter().copied().filter(|known| !has(entries, known));
    let near = nearest(key, free);
    let list = format!("known keys: {}", known.join(", "));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    };
    let note = at.error(format!("key `{key}` is not known here"));
    (note.hint(hint), near)
}

fn has(entries: &[Entry], key: &str) -> bool {
    entries.iter().any(|entry| entry.key == key)
}

fn fits(schema: &Value, node: &Node) -> bool {
    if schema.get("type").is_none() && choices(schema).is_empty() {
        return true;
    }
    match &node.value {
        Tree::List(_) => accepts(schema, "array"),
        Tree::Map(_) => accepts(schema, "object"),
        Tree::Scalar(scalar) => match scalar.kind {
            Kind::Nothing => false,
            Kind::Boolean(_) => accepts(schema, "boolean") || accepts(schema, "string"),
            Kind::Integer(_) => accepts(schema, "integer") || accepts(schema, "string"),
            Kind::Number(_) | Kind::Text => accepts(schema, "string"),
        },
    }
}

/// Puts single values where the raw type has a list.
fn shaped(schema: &Value, value: Value) -> Value {
    let list = |value: Value| match value {
        Value::Array(_) | Value::Null => value,
        single => Value::Array(vec![single]),
    };
    if schema.get("x-list").is_some() {
        return list(value);
    }
    if let Some(key) = schema.get("x-values").and_then(Value::as_str)
        && !value.is_object()
    {
        return serde_json::json!({ key: list(value) });
    }
    value
}

fn expectation(schema: &Value) -> String {
    if let Some(words) = schema.get("x-expected").and_then(Value::as_str) {
        return words.to_owned();
    }
    let words = choices(schema);
    if !words.is_empty() {
        return format!("one of {}", words.join(", "));
    }
    let word = [
        ("string", "text"),
        ("integer", "a whole number"),
        ("boolean", "`true` or `false`"),
        ("array", "a list"),
        ("object", "keys with values"),
    ];
    let known = word.iter().find(|(kind, _)| accepts(schema, kind));
    known.map_or("a value", |(_, words)| words).to_owned()
}

fn found(node: &Node) -> String {
    match &node.value {
        Tree::List(_) => "a list".to_owned(),
        Tree::Map(_) => "keys with values".to_owned(),
        Tree::Scalar(scalar) if scalar.kind == Kind::Nothing => "empty".to_owned(),
        Tree::Scalar(scalar) => format!("`{}`", scalar.text),
    }
}

fn hint_for_type(node: &Node, expected: &[String]) -> Option<String> {
    let text_expected = expected.iter().any(|words| words == "text");
    match &node.value {
        Tree::Map(_) if text_expected => {
            Some("text that begins with `{` or holds `: ` needs quotes".to_owned())
        }
        Tree::Scalar(scalar) if scalar.kind == Kind::Nothing => {
            Some("write a value, or remove the key".to_owned())
        }
        _ => None,
    }
}

fn pattern_words(pattern: &str) -> String {
    if pattern == NAME_PATTERN {
        NameError.to_string()
    } else {
        format!("it must match {pattern}")
    }
}

/// JSON by the YAML alone, where the schema leaves it open.
fn natural_node(node: &Node) -> Value {
    match &node.value {
        Tree::Scalar(scalar) => natural(scalar),
        Tree::List(items) => Value::Array(items.iter().map(natural_node).collect()),
        Tree::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), natural_node(&entry.node)))
                .collect(),
        ),
    }
}

fn natural(scalar: &Scalar) -> Value {
    match scalar.kind {
        Kind::Nothing => Value::Null,
        Kind::Boolean(yes) => yes.into(),
        Kind::Integer(number) => number.into(),
        Kind::Number(number) => number.into(),
        Kind::Text => scalar.text.clone().into(),
    }
}
