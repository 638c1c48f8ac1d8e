//! Discord's published description of its API, against which our own answers are held.
//!
//! A small reader of JSON Schema: what it does not know, it passes over.

use std::path::PathBuf;
use std::sync::Arc;

use regex::Regex;
use serde_json::{Value, json};

use super::rules::list;

/// The description.
pub(crate) struct Judge {
    document: Value,
}

impl Judge {
    /// Reads the description; `None`, and said so, where it is not at hand.
    ///
    /// # Panics
    /// When it is not there although everything must be.
    pub(crate) fn load() -> Option<Arc<Self>> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../shared/fixtures/discord/openapi.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            #[expect(
                clippy::disallowed_methods,
                reason = "tests ask whether everything must be there"
            )]
            let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!must, "no description at {}", path.display());
            println!("passed over: no description at {}", path.display());
            return None;
        };
        let mut document: Value = serde_json::from_str(&text).expect("a description in JSON");
        // It says that a field's error has a number for its code. Discord's documentation and its answers have words.
        document["components"]["schemas"]["InnerErrors"]["properties"]["_errors"]["items"] =
            json!({ "type": "object", "required": ["code", "message"] });
        Some(Arc::new(Self { document }))
    }

    /// What is wrong with an answer; `null` is no body.
    pub(crate) fn answer(
        &self,
        method: &str,
        path: &str,
        status: u16,
        body: &Value,
    ) -> Vec<String> {
        let place = format!("{method} {path} {status}");
        let Some(operation) = self.operation(method, path) else {
            // Whoever asks for what is not there is told so.
            return if status == 404 || status == 405 {
                Vec::new()
            } else {
                vec![format!("{place}: no such route")]
            };
        };
        let responses = &operation["responses"];
        let class = format!("{}XX", status / 100);
        let found = [status.to_string(), class]
            .into_iter()
            .find_map(|name| responses.get(name));
        let Some(response) = found.map(|it| self.resolved(it)) else {
            return vec![format!(
                "{place}: no such status, only {:?}",
                responses
                    .as_object()
                    .map(|it| it.keys().collect::<Vec<_>>())
            )];
        };
        let schema = &response["content"]["application/json"]["schema"];
        match (schema.is_null(), body.is_null()) {
            (true, true) => Vec::new(),
            (true, false) => vec![format!("{place}: a body where there is none: {body}")],
            (false, _) => self
                .faults(schema, body)
                .into_iter()
                .map(|fault| format!("{place}: {fault}"))
                .collect(),
        }
    }

    /// What is wrong with a value that is to be of this kind, such as `MessageResponse`.
    pub(crate) fn schema(&self, name: &str, value: &Value) -> Vec<String> {
        let schema = &self.document["components"]["schemas"][name];
        assert!(!schema.is_null(), "no schema {name}");
        self.faults(schema, value)
            .into_iter()
            .map(|fault| format!("{name}: {fault}"))
            .collect()
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let given: Vec<&str> = path.split('/').collect();
        let paths = self.document["paths"].as_object()?;
        let fits = |pattern: &str| {
            let parts: Vec<&str> = pattern.split('/').collect();
            let fits = parts.len() == given.len()
                && parts
                    .iter()
                    .zip(&given)
                    .all(|(part, given)| part == given || part.starts_with('{'));
            fits.then(|| parts.iter().filter(|part| part.starts_with('{')).count())
        };
        // The one with the fewest blanks is meant.
        let found = paths
            .iter()
            .filter_map(|(pattern, item)| fits(pattern).map(|blanks| (blanks, item)));
        let found = found.filter(|(_, item)| !item[method.to_lowercase()].is_null());
        let (_, item) = found.min_by_key(|(blanks, _)| *blanks)?;
        Some(&item[method.to_lowercase()])
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let target = self.document.pointer(reference.trim_start_matches('#'));
                self.resolved(target.unwrap_or_else(|| panic!("no {reference}")))
            }
            None => value,
        }
    }

    fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(schema, value, "", &mut faults);
        faults
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let schema = self.resolved(schema);
        let mut wrong =
            |what: String| faults.push(format!("{}: {what}", if at.is_empty() { "." } else { at }));
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.clone(),
            Value::Null => Vec::new(),
            kind => vec![kind.clone()],
        };
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(kind, value)) {
            wrong(format!("{value} is not of type {}", schema["type"]));
            return;
        }
        if schema.get("const").is_some_and(|only| only != value) {
            wrong(format!("{value} is not {}", schema["const"]));
        }
        if schema["enum"].is_array() && !list(&schema["enum"]).contains(value) {
            wrong(format!("{value} is none of {}", schema["enum"]));
        }
        for fault in own_faults(schema, value) {
            wrong(fault);
        }
        for part in list(&schema["allOf"]) {
            self.check(part, value, at, faults);
        }
        for name in ["anyOf", "oneOf"] {
            let parts = list(&schema[name]);
            let tried: Vec<Vec<String>> =
                parts.iter().map(|part| self.faults(part, value)).collect();
            let fitting = tried.iter().filter(|faults| faults.is_empty()).count();
            if !parts.is_empty() && (fitting == 0 || (name == "oneOf" && fitting > 1)) {
                let nearest = tried
                    .iter()
                    .filter(|it| !it.is_empty())
                    .min_by_key(|it| it.len());
                faults.push(format!(
                    "{at}: {fitting} of {} fit in {name}; the nearest says {nearest:?}",
                    parts.len()
                ));
            }
        }
        if let Value::Object(fields) = value {
            for name in list(&schema["required"]) {
                if !fields.contains_key(name.as_str().unwrap_or_default()) {
                    faults.push(format!("{at}: {name} is missing"));
                }
            }
            for (name, value) in fields {
                let at = format!("{at}.{name}");
                let known = schema["properties"].get(name);
                match (known, &schema["additionalProperties"]) {
                    (None, Value::Bool(false)) => faults.push(format!("{at}: must not be there")),
                    (Some(schema), _) | (None, schema @ Value::Object(_)) => {
                        self.check(schema, value, &at, faults);
                    }
                    (None, _) => {}
                }
            }
        }
        if let (Value::Array(items), schema @ Value::Object(_)) = (value, &schema["items"]) {
            for (nth, item) in items.iter().enumerate() {
                self.check(schema, item, &format!("{at}.{nth}"), faults);
            }
        }
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap_or_default() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

/// Lengths, ranges, patterns and formats.
fn own_faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let bound = |name: &str| schema[name].as_f64();
    let mut range = |least: &str, most: &str, size: f64| {
        if bound(least).is_some_and(|least| size < least)
            || bound(most).is_some_and(|most| size > most)
        {
            faults.push(format!("{value} is too small or too great"));
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "sizes of what a test sends")]
    match value {
        Value::String(text) => range("minLength", "maxLength", text.chars().count() as f64),
        Value::Array(items) => range("minItems", "maxItems", items.len() as f64),
        Value::Object(fields) => range("minProperties", "maxProperties", fields.len() as f64),
        Value::Number(number) => range("minimum", "maximum", number.as_f64().unwrap_or(f64::NAN)),
        _ => {}
    }
    if let (Value::Array(items), true) = (value, schema["uniqueItems"] == true) {
        let twice = items
            .iter()
            .enumerate()
            .any(|(nth, item)| items[..nth].contains(item));
        if twice {
            faults.push(format!("{value} holds something twice"));
        }
    }
    if let Value::String(text) = value {
        let pattern = schema["pattern"]
            .as_str()
            .map(|it| Regex::new(it).expect("a pattern"));
        if pattern.is_some_and(|pattern| !pattern.is_match(text)) {
            faults.push(format!("{value} is not like {}", schema["pattern"]));
        }
        let fine = match schema["format"].as_str() {
            Some("date-time") => text.parse::<jiff::Timestamp>().is_ok(),
            Some("snowflake") => text.parse::<u64>().is_ok(),
            Some("uri") => url::Url::parse(text).is_ok(),
            _ => true,
        };
        if !fine {
            faults.push(format!("{value} is no {}", schema["format"]));
        }
    }
    let small = value.as_i64().is_none_or(|it| i32::try_from(it).is_ok());
    if schema["format"] == "int32" && !small {
        faults.push(format!("{value} is no int32"));
    }
    faults
}
