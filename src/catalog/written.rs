//! The small parts of the raw types: texts, lists of one, conditions. Each says to the reader and to editors what it takes.
//!
//! Keys of a schema that begin with `x-` are for `shape` alone and are not shipped.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::domain::PersonId;

/// One value, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(from = "Vec<T>")]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<T> From<Vec<T>> for OneOrMany<T> {
    fn from(items: Vec<T>) -> Self {
        Self(items)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [item, { "type": "array", "items": item, "minItems": 1 }], "x-list": true })
    }
}

/// What an argument must be: a value, one of several, or a pattern or range.
#[derive(Debug, Deserialize)]
pub(crate) struct Condition {
    /// `value` or `[values]`: the reader puts them here.
    #[serde(default)]
    pub(crate) values: Vec<Text>,
    /// A regular expression that the whole value must match.
    pub(crate) matches: Option<String>,
    /// The smallest integer.
    pub(crate) min: Option<i64>,
    /// The largest integer.
    pub(crate) max: Option<i64>,
}

impl JsonSchema for Condition {
    fn schema_name() -> Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Text>();
        json_schema!({
            "description": "A value, one of several, or a pattern or range.",
            "anyOf": [
                text,
                { "type": "array", "items": text, "minItems": 1 },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {
                        "matches": { "type": "string", "description": "A regular expression that the whole value must match." },
                        "min": { "type": "integer", "description": "The smallest integer." },
                        "max": { "type": "integer", "description": "The largest integer." }
                    }
                }
            ],
            "x-values": "values"
        })
    }
}

/// Whom a group is made of: persons, and groups of platforms.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Group {
    /// `[persons]`: the reader puts them here.
    #[serde(default)]
    pub(crate) members: Vec<PersonId>,
    /// Slack user groups.
    pub(crate) slack: Option<OneOrMany<Text>>,
    /// Discord roles.
    pub(crate) discord: Option<OneOrMany<Text>>,
}

impl JsonSchema for Group {
    fn schema_name() -> Cow<'static, str> {
        "Group".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let person = generator.subschema_for::<PersonId>();
        let ids = |generator: &mut SchemaGenerator, description: &str| {
            let mut ids = OneOrMany::<Text>::json_schema(generator);
            ids.insert("description".to_owned(), description.into());
            ids
        };
        let slack = ids(
            generator,
            "Slack user groups: `S…`. Who is in one and in `people` is a member.",
        );
        let discord = ids(
            generator,
            "Discord roles: `GUILD/ROLE`, in quotes. Who has one and is in `people` is a member.",
        );
        json_schema!({
            "description": "A list of persons; or `members`, `slack` and `discord`: whoever is in one of them is in the group.",
            "anyOf": [
                { "type": "array", "items": person },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {
                        "members": { "type": "array", "items": person, "description": "Persons." },
                        "slack": slack,
                        "discord": discord
                    }
                }
            ],
            "x-values": "members"
        })
    }
}

/// Declares texts that differ in what an editor, or the reader, makes of them.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $schema:tt)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $name(pub(crate) String);

        impl JsonSchema for $name {
            fn inline_schema() -> bool { true }
            fn schema_name() -> Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut SchemaGenerator) -> Schema { json_schema!($schema) }
        }
    )*};
}

texts! {
    /// Text; an unquoted number or boolean is taken as it is written.
    Text = { "type": ["string", "number", "boolean"] }
    /// Text for people; a `#word` in it is text, with a warning.
    Prose = { "type": "string", "x-prose": true }
    /// A span of time; checked where it is used.
    Span = { "type": "string", "x-expected": "a span of time such as `30s` or `1h 30m`" }
}

/// A status code.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Status(pub(crate) u16);

impl JsonSchema for Status {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 100, "maximum": 599 })
    }
}
