//! Looks into a JSON Schema: what it allows at a place.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::Regex;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// The schema of one kind of file.
pub(crate) struct JsonSchema {
    root: Value,
    /// Compiled once; the walk asks for the same few again and again.
    patterns: RefCell<HashMap<String, Option<Regex>>>,
}

impl JsonSchema {
    /// The schema of a raw type.
    pub(crate) fn of<T: schemars::JsonSchema>() -> Self {
        let generator = SchemaSettings::draft2020_12().into_generator();
        Self {
            root: generator.into_root_schema_for::<T>().to_value(),
            patterns: RefCell::default(),
        }
    }

    /// What the whole file must be.
    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| self.root.pointer(reference.trim_start_matches('#')))
            .unwrap_or(schema)
    }

    /// Follows references, and steps over the `null` of an optional value: a key without a value is a mistake.
    pub(crate) fn present<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let schema = self.resolve(schema);
        let several = schema.get("anyOf").and_then(Value::as_array);
        let mut present = several.into_iter().flatten().filter(|one| !is_null(one));
        match (present.next(), present.next()) {
            (Some(only), None) => self.present(only),
            _ => schema,
        }
    }

    /// The shapes it allows, without `null`.
    pub(crate) fn alternatives<'s>(&'s self, schema: &'s Value) -> Vec<&'s Value> {
        match schema.get("anyOf").and_then(Value::as_array) {
            Some(several) => several
                .iter()
                .map(|one| self.resolve(one))
                .filter(|one| !is_null(one))
                .flat_map(|one| self.alternatives(one))
                .collect(),
            None => vec![schema],
        }
    }

    /// Whether a text matches a pattern of the schema.
    pub(crate) fn matches(&self, pattern: &str, text: &str) -> bool {
        let mut patterns = self.patterns.borrow_mut();
        let compiled = patterns
            .entry(pattern.to_owned())
            .or_insert_with(|| Regex::new(pattern).ok());
        compiled.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// What a map may hold.
pub(crate) struct Keys<'s> {
    /// Known keys.
    pub(crate) properties: Option<&'s Map<String, Value>>,
    /// What other keys must look like.
    pub(crate) patterns: Option<&'s Map<String, Value>>,
    others: Option<&'s Value>,
    /// Keys that must be there.
    pub(crate) required: Vec<&'s str>,
}

impl<'s> Keys<'s> {
    /// `None` where the schema leaves it open.
    pub(crate) fn of(schema: &'s Value) -> Option<Self> {
        let object = |key: &str| schema.get(key).and_then(Value::as_object);
        let keys = Self {
            properties: object("properties"),
            patterns: object("patternProperties"),
            others: schema
                .get("additionalProperties")
                .filter(|other| !other.is_boolean()),
            required: schema
                .get("required")
                .and_then(Value::as_array)
                .map(|names| names.iter().filter_map(Value::as_str).collect())
                .unwrap_or_default(),
        };
        let any = keys.properties.is_some() || keys.patterns.is_some() || keys.others.is_some();
        any.then_some(keys)
    }

    /// What the key may hold; `None` for an unknown key.
    pub(crate) fn schema(&self, root: &JsonSchema, key: &str) -> Option<&'s Value> {
        self.properties
            .and_then(|known| known.get(key))
            .or_else(|| {
                let (pattern, schema) = self.patterns?.iter().next()?;
                root.matches(pattern, key).then_some(schema)
            })
            .or(self.others)
    }

    /// What the key means.
    pub(crate) fn description(&self, root: &'s JsonSchema, key: &str) -> Option<&'s str> {
        let schema = self.properties?.get(key)?;
        let text = schema
            .get("description")
            .or_else(|| root.resolve(schema).get("description"))?;
        text.as_str().map(first_line)
    }
}

/// Whether it is the `null` of an optional value.
fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// Whether it takes this kind of value.
pub(crate) fn accepts(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => kind == "string" && !choices(schema).is_empty(),
    }
}

/// The words it takes; empty where it takes more than certain words.
pub(crate) fn choices(schema: &Value) -> Vec<&str> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().filter_map(Value::as_str).collect();
    }
    let several = schema.get("oneOf").and_then(Value::as_array);
    several.map_or(Vec::new(), |several| {
        several
            .iter()
            .filter_map(|one| one.get("const").and_then(Value::as_str))
            .collect()
    })
}

/// The first line of a description.
pub(crate) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}
