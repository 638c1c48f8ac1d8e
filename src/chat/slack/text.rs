//! What people typed, from Slack's escapes back to plain text. One pass: nothing that was unescaped is read again.

/// The text after a leading mention of one of `ids` (any account when empty); `None` when it doesn't begin with one.
pub(super) fn without_mention<'a>(text: &'a str, ids: &[&str]) -> Option<&'a str> {
    let (mention, rest) = text.trim_start().strip_prefix("<@")?.split_once('>')?;
    let id = mention.split('|').next().unwrap_or(mention);
    if !ids.is_empty() && !ids.contains(&id) {
        return None;
    }
    Some(rest.trim_start().trim_start_matches([':', ',']).trim())
}

/// Whether the text mentions one of these accounts anywhere.
pub(super) fn mentions(text: &str, ids: &[&str]) -> bool {
    text.split("<@").skip(1).any(|after| {
        let id = after.split(['|', '>']).next().unwrap_or(after);
        ids.contains(&id)
    })
}

/// Plain text of what Slack delivered: entities, links, mentions and code marks undone.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.trim();
    while let Some(at) = rest.find(['&', '<']) {
        out.push_str(&rest[..at]);
        let (read, left) = special(&rest[at..]);
        out.push_str(&read);
        rest = left;
    }
    out.push_str(rest);
    unwrapped(out.trim()).to_owned()
}

/// Reads what begins with `&` or `<`; answers its plain text and what follows it.
fn special(text: &str) -> (String, &str) {
    if let Some(inner) = text.strip_prefix('<')
        && let Some((reference, rest)) = inner.split_once('>')
    {
        return (reference_text(reference), rest);
    }
    for (entity, meaning) in [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        if let Some(rest) = text.strip_prefix(entity) {
            return (meaning.to_owned(), rest);
        }
    }
    let (first, rest) = text.split_at(1); // Both `&` and `<` are one byte long.
    (first.to_owned(), rest)
}

/// What stands between `<` and `>`.
fn reference_text(reference: &str) -> String {
    let (target, label) = reference.split_once('|').unwrap_or((reference, ""));
    let named = |id: &str| {
        if label.is_empty() {
            id.to_owned()
        } else {
            entities(label)
        }
    };
    match target.as_bytes() {
        [b'@', ..] => entities(target),
        [b'#', ..] => format!("#{}", named(&target[1..])),
        [b'!', ..] => special_mention(&target[1..], label),
        _ => link(target, label),
    }
}

/// `<!here>`, `<!subteam^S1|@name>`, `<!date^1^{date}|fallback>`.
fn special_mention(target: &str, label: &str) -> String {
    match target.split('^').collect::<Vec<_>>().as_slice() {
        ["here" | "channel" | "everyone"] => "@here".to_owned(),
        ["subteam", id, ..] if label.is_empty() => format!("@{id}"),
        [name] if label.is_empty() => format!("@{name}"),
        _ => entities(label),
    }
}

/// The address, or what was typed when Slack itself made a link of it: `example.com` stays `example.com`.
fn link(target: &str, label: &str) -> String {
    let (address, label) = (entities(target), entities(label));
    for scheme in ["mailto:", "tel:"] {
        if let Some(bare) = address.strip_prefix(scheme) {
            return bare.to_owned();
        }
    }
    let typed = ["http://", "https://"]
        .iter()
        .any(|scheme| address.strip_prefix(scheme) == Some(label.as_str()));
    if typed { label } else { address }
}

/// Undoes the three entities, in one pass.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let (read, left) = special(&rest[at..]);
        out.push_str(&read);
        rest = left;
    }
    out + rest
}

/// The text within code marks that wrap all of it.
fn unwrapped(text: &str) -> &str {
    for mark in ["```", "`"] {
        let inner = text.strip_prefix(mark).and_then(|t| t.strip_suffix(mark));
        if let Some(inner) = inner
            && !inner.is_empty()
            && !inner.contains('`')
        {
            return inner.trim();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slack_escapes_are_undone_in_one_pass() {
        let rows = [
            ("entities", "a &amp; b &lt;c&gt;", "a & b <c>"),
            ("doubly escaped", "&amp;lt;!here&amp;gt;", "&lt;!here&gt;"),
            ("a person", "ask <@U1|ana> now", "ask @U1 now"),
            ("a bare person", "<@U1>", "@U1"),
            ("a channel", "in <#C1|shop-ops>", "in #shop-ops"),
            ("a channel without its name", "<#C1|>", "#C1"),
            ("a bare channel", "<#C1>", "#C1"),
            (
                "a link",
                "<https://x.test/a?b=1&amp;c=2>",
                "https://x.test/a?b=1&c=2",
            ),
            (
                "a link with a label",
                "<https://x.test|click me>",
                "https://x.test",
            ),
            (
                "a host that Slack linked",
                "host=<http://db1.test|db1.test>",
                "host=db1.test",
            ),
            ("mail", "<mailto:a@b.test|a@b.test>", "a@b.test"),
            ("here", "<!here> <!channel>", "@here @here"),
            ("a user group", "<!subteam^S1|@sre>", "@sre"),
            ("a date", "<!date^1^{date}|yesterday>", "yesterday"),
            ("code marks", "`flush-cache prod`", "flush-cache prod"),
            ("a code block", "```flush-cache prod```", "flush-cache prod"),
            ("two codes", "`a` and `b`", "`a` and `b`"),
            ("only marks", "``", "``"),
            ("unfinished reference", "a < b", "a < b"),
            ("unknown entity", "&nbsp; & &amp", "&nbsp; & &amp"),
            ("an escaped reference stays text", "&lt;@U1&gt;", "<@U1>"),
            ("nothing", "  ", ""),
        ];
        for (name, given, expected) in rows {
            assert_eq!(plain(given), expected, "{name}");
        }
    }

    #[test]
    fn only_a_leading_mention_of_us_is_taken_off() {
        let rows = [
            ("ours", "<@B1> deploy", Some("deploy")),
            (
                "with a name and a colon",
                " <@B1|ops>: deploy ",
                Some("deploy"),
            ),
            ("alone", "<@B1>", Some("")),
            ("another's", "<@U2> deploy", None),
            ("in the middle", "hey <@B1> deploy", None),
            ("unfinished", "<@B1 deploy", None),
        ];
        for (name, given, expected) in rows {
            assert_eq!(without_mention(given, &["B1"]), expected, "{name}");
        }
        assert_eq!(without_mention("<@U2> hi", &[]), Some("hi"));
        assert!(mentions("hey <@B1|x> you", &["B1"]));
        assert!(!mentions("hey B1 <@B12>", &["B1"]));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", odd in "[<>&|@#!^a`;é]{0,40}") {
            plain(&text);
            plain(&odd);
            without_mention(&odd, &[]);
        }
    }
}
