//! Texts with placeholders: `{path}`, `{environment.url}`, `{secret.varnish}`; `{{` and `}}` are braces.

use super::diagnostic::did_you_mean;
use crate::domain::{ParameterName, SecretName, Segment, Template};

/// Why a text is no template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TemplateError {
    /// The part of the text that is wrong, as written.
    pub(crate) part: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: String,
}

/// What placeholders may name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The command's parameters.
    pub(crate) parameters: Vec<ParameterName>,
    /// Which of them is the environment.
    pub(crate) environment: Option<ParameterName>,
}

/// The placeholders that every command has.
const ALWAYS: [&str; 5] = ["project", "actor", "run.id", "run.reference", "run.key"];

/// Splits a text at its placeholders.
pub(crate) fn parse(text: &str, names: &Names) -> Result<Template, TemplateError> {
    let mut segments = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let behind = &rest[at + 1..];
        if let Some(after) = behind.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
            continue;
        }
        let Some((name, after)) = behind.split_once('}').filter(|_| brace == "{") else {
            return Err(lone_brace(brace));
        };
        if !literal.is_empty() {
            segments.push(Segment::Literal(std::mem::take(&mut literal)));
        }
        segments.push(placeholder(name, names)?);
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        segments.push(Segment::Literal(literal));
    }
    Ok(Template(segments))
}

fn lone_brace(brace: &str) -> TemplateError {
    TemplateError {
        part: brace.to_owned(),
        message: format!("a lone `{brace}`"),
        hint: format!("write `{brace}{brace}` for a brace, `{{name}}` for a placeholder"),
    }
}

fn placeholder(name: &str, names: &Names) -> Result<Segment, TemplateError> {
    let known = match name {
        "project" => Some(Segment::Project),
        "actor" => Some(Segment::Actor),
        "run.id" => Some(Segment::RunId),
        "run.reference" => Some(Segment::Reference),
        "run.key" => Some(Segment::Key),
        "environment" => names.environment.clone().map(Segment::Argument),
        _ => dotted(name, names)?.or_else(|| {
            let parameter = names.parameters.iter().find(|one| one.as_str() == name);
            parameter.cloned().map(Segment::Argument)
        }),
    };
    known.ok_or_else(|| unknown(name, names))
}

fn dotted(name: &str, names: &Names) -> Result<Option<Segment>, TemplateError> {
    if let Some(key) = name.strip_prefix("environment.") {
        if names.environment.is_none() {
            return Err(TemplateError {
                part: format!("{{{name}}}"),
                message: format!("`{{{name}}}` needs an environment, and this command takes none"),
                hint: "add `environment: { type: environment }` to its parameters".to_owned(),
            });
        }
        let fits = !key.is_empty() && !key.contains(['{', ' ', '.']);
        return Ok(fits.then(|| Segment::Attribute(key.to_owned())));
    }
    let secret = name.strip_prefix("secret.").map(SecretName::parse);
    match secret {
        Some(Ok(secret)) => Ok(Some(Segment::Secret(secret))),
        Some(Err(error)) => Err(TemplateError {
            part: format!("{{{name}}}"),
            message: format!("`{{{name}}}` names no secret"),
            hint: format!("{error}; for a parameter of type secret write {{PARAMETER}}"),
        }),
        None => Ok(None),
    }
}

fn unknown(name: &str, names: &Names) -> TemplateError {
    let mut known: Vec<&str> = names.parameters.iter().map(ParameterName::as_str).collect();
    known.extend(ALWAYS);
    if names.environment.is_some() && !known.contains(&"environment") {
        known.push("environment");
    }
    let near = did_you_mean(name, known.iter().copied());
    let list = format!(
        "known here: {}, environment.KEY, secret.NAME; `{{{{` is a brace",
        known.join(", ")
    );
    TemplateError {
        part: format!("{{{name}}}"),
        message: format!("`{{{name}}}` stands for nothing"),
        hint: near.map_or(list.clone(), |near| format!("{near} {list}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let name = |text: &str| ParameterName::parse(text).unwrap();
        Names {
            parameters: vec![name("target"), name("path")],
            environment: Some(name("target")),
        }
    }

    #[test]
    fn placeholders_and_braces_are_told_apart() {
        let literal = |text: &str| Segment::Literal(text.to_owned());
        let argument = |text: &str| Segment::Argument(ParameterName::parse(text).unwrap());
        let rows: [(&str, Vec<Segment>); 7] = [
            ("", vec![]),
            ("plain", vec![literal("plain")]),
            ("{path}", vec![argument("path")]),
            ("a{{b}}c", vec![literal("a{b}c")]),
            (
                "{{{path}}}",
                vec![literal("{"), argument("path"), literal("}")],
            ),
            (
                "{environment.url}{path}",
                vec![Segment::Attribute("url".to_owned()), argument("path")],
            ),
            (
                "{environment} {run.key}é",
                vec![argument("target"), literal(" "), Segment::Key, literal("é")],
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text, &names()), Ok(Template(expected)), "{text}");
        }
    }

    #[test]
    fn a_wrong_placeholder_names_the_nearest() {
        let error = parse("x {pth}", &names()).unwrap_err();
        assert_eq!(error.part, "{pth}");
        assert!(
            error.hint.starts_with("did you mean `path`?"),
            "{}",
            error.hint
        );
        for bad in [
            "{",
            "}",
            "a } b",
            "{path",
            "{}",
            "{secret.}",
            "{environment.}",
            "{run.name}",
        ] {
            assert!(parse(bad, &names()).is_err(), "{bad}");
        }
    }
}
