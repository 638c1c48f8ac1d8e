//! A YAML text as plain JSON, for a document of our own: read by the same strict hand as users' files.

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, SourceFile};
use super::tree::{self, Kind, Node, Tree};

/// The text's value.
///
/// # Errors
/// Every mistake, rendered.
pub fn yaml(name: &str, text: &str) -> Result<Value, String> {
    let file = SourceFile::new(name.to_owned(), name.to_owned(), text.to_owned());
    let mut notes: Vec<Diagnostic> = Vec::new();
    let node = tree::parse(&file, &mut notes);
    match node {
        Some(node) if notes.is_empty() => Ok(value(&node)),
        Some(_) | None => {
            let notes = notes.iter().map(|note| note.render(false));
            Err(notes.collect::<Vec<_>>().join("\n"))
        }
    }
}

fn value(node: &Node) -> Value {
    match &node.value {
        Tree::List(items) => items.iter().map(value).collect(),
        Tree::Map(entries) => {
            let fields = entries
                .iter()
                .map(|entry| (entry.key.clone(), value(&entry.node)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Tree::Scalar(scalar) => match scalar.kind {
            Kind::Nothing => Value::Null,
            Kind::Boolean(yes) => yes.into(),
            Kind::Integer(number) => number.into(),
            Kind::Number(number) => number.into(),
            Kind::Text => scalar.text.clone().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types_and_mistakes_their_places() {
        let read = yaml("x.yml", "a: { b: [1, '1', true, 2.5, ~] }\n").unwrap();
        assert_eq!(
            read,
            serde_json::json!({ "a": { "b": [1, "1", true, 2.5, null] } })
        );
        let wrong = yaml("x.yml", "a: 1\na: 2\n").unwrap_err();
        assert!(wrong.contains("x.yml:2"), "{wrong}");
    }
}
