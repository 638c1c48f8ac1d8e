//! Discord's Markdown, as far as we write it.

use jiff::Timestamp;

use crate::chat::encode::absolute;
use crate::planted;

/// Stands between backticks that must not become a mark; takes no room.
const NOTHING: char = '\u{200b}';
const FENCE: &str = "```";

/// Words that show as they are: nothing in them formats, mentions or links.
pub(super) fn escaped(words: &str) -> String {
    if planted::is("discord-markup-unescaped") {
        return words.to_owned();
    }
    let mut out = String::with_capacity(words.len() + 8);
    let mut at_start = true;
    for (at, c) in words.char_indices() {
        let marks = match c {
            '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '>' | '[' | ']' | '@' => true,
            '#' | '-' | '+' => at_start,
            ':' => words[at..].starts_with("://"),
            _ => false,
        };
        if marks {
            out.push('\\');
        }
        out.push(c);
        at_start = c == '\n' || (at_start && c.is_whitespace());
    }
    out
}

/// Emphasised words; nothing for none.
pub(super) fn bold(words: &str) -> String {
    if words.trim().is_empty() {
        return words.to_owned();
    }
    format!("**{}**", escaped(words))
}

/// Something typed or named, as it is; nothing for none.
pub(super) fn code(words: &str) -> String {
    if words.is_empty() {
        return String::new();
    }
    if words.contains('`') {
        return format!("`` {} ``", apart(words));
    }
    format!("`{words}`")
}

/// A block of lines, which are [`apart`]: nothing in them ends it.
pub(super) fn fenced(output: &str) -> String {
    format!("{FENCE}\n{output}\n{FENCE}")
}

/// How many characters the marks around a block are.
pub(super) fn fence_width() -> usize {
    2 * (FENCE.len() + 1)
}

/// A moment with its zone, and how far away it is by the reader's clock.
pub(super) fn moment(at: Timestamp) -> String {
    format!("{} (<t:{}:R>)", absolute(at), at.as_second())
}

/// No two backticks stand side by side.
pub(super) fn apart(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        if c == '`' && before == '`' && !planted::is("discord-block-ended") {
            out.push(NOTHING);
        }
        out.push(c);
        before = c;
    }
    out
}
