//! What people typed or filled in, as plain text of our grammar: shared by the platforms.

use crate::domain::ParameterName;

/// What a form or a command began to say, and its answers as ` name="value"`. Answers without value are left out.
pub(super) fn with_answers<'a>(
    says: &str,
    answers: impl IntoIterator<Item = (&'a str, String)>,
) -> String {
    let mut text = says.to_owned();
    for (name, value) in answers {
        let value = value.trim();
        if value.is_empty() || ParameterName::parse(name).is_err() {
            continue;
        }
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        text.extend([" ", name, "=\"", &value, "\""]);
    }
    text
}

/// References such as `<@1>`, `<#2>` and `<:name:3>` as a person would have typed them. One pass.
pub(super) fn without_references(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        let inner = &rest[start + 1..];
        match inner
            .split_once('>')
            .and_then(|(what, after)| Some((reference(what)?, after)))
        {
            Some((plain, after)) => {
                out.push_str(&plain);
                rest = after;
            }
            None => {
                out.push('<');
                rest = inner;
            }
        }
    }
    out + rest
}

fn reference(what: &str) -> Option<String> {
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(id) = what.strip_prefix("@!").or_else(|| what.strip_prefix("@&")) {
        return is_id(id).then(|| format!("@{id}"));
    }
    if let Some(id) = what.strip_prefix('@') {
        return is_id(id).then(|| format!("@{id}"));
    }
    if let Some(id) = what.strip_prefix('#') {
        return is_id(id).then(|| format!("#{id}"));
    }
    let emoji = what.strip_prefix("a:").or_else(|| what.strip_prefix(':'))?;
    let (name, id) = emoji.split_once(':')?;
    is_id(id).then(|| format!(":{name}:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_typed() {
        let rows = [
            ("a person", "ask <@12> now", "ask @12 now"),
            ("a person, as of old", "<@!12>", "@12"),
            ("a role", "<@&12>", "@12"),
            ("a channel", "in <#12>", "in #12"),
            ("a picture", "<:ok:12> <a:ok:13>", ":ok: :ok:"),
            (
                "an address",
                "<https://x.test/a?b=1>",
                "<https://x.test/a?b=1>",
            ),
            ("not ended", "a < b <@1", "a < b <@1"),
            ("doubled", "<<@1>>", "<@1>"),
            ("nothing", "", ""),
        ];
        for (name, given, expected) in rows {
            assert_eq!(without_references(given), expected, "{name}");
        }
    }

    #[test]
    fn answers_are_quoted_and_odd_names_left_out() {
        let answers = [
            ("path", "/a \"b\\c".to_owned()),
            ("Odd Name", "x".to_owned()),
            ("empty", " ".to_owned()),
        ];
        assert_eq!(
            with_answers("flush-cache prod", answers),
            r#"flush-cache prod path="/a \"b\\c""#
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[<>@#!&:a1é]{0,40}") {
            without_references(&text);
        }
    }
}
