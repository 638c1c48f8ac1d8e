//! The JSON Schemas that editors use, made from the same types as the readers.

use serde_json::Value;

use super::raw;
use super::schema::JsonSchema;

/// File names and texts of all schemas, as they are shipped in `docs/schemas/`.
pub fn schemas() -> [(&'static str, String); 3] {
    [
        (
            "command.schema.json",
            text(&JsonSchema::of::<raw::Command>()),
        ),
        ("people.schema.json", text(&JsonSchema::of::<raw::People>())),
        (
            "runbook.schema.json",
            text(&JsonSchema::of::<raw::Runbook>()),
        ),
    ]
}

fn text(schema: &JsonSchema) -> String {
    let mut schema = schema.root().clone();
    for_editors(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema has only string keys");
    text.push('\n');
    text
}

/// Takes out what only our reader understands.
fn for_editors(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.retain(|key, _| !key.starts_with("x-"));
            map.values_mut().for_each(for_editors);
        }
        Value::Array(items) => items.iter_mut().for_each(for_editors),
        _ => {}
    }
}
