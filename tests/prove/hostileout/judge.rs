//! Reads what was sent as the workspace or the terminal would show it. Knows the platforms' rules, and nothing of ours but
//! the marks before quoted lines.

use serde_json::Value;
use unicode_width::UnicodeWidthChar;

use crate::fakes::slack::Posted;

/// Words by which foreign text is known wherever it turns up.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    /// In what programs printed: belongs into the quoted block.
    pub(super) printed: String,
    /// In what people said: belongs into a line of ours.
    pub(super) said: String,
}

/// What stands before a quoted line, where the platform has no block for it; the second where a long one goes on.
const QUOTES: [&str; 2] = ["│", "┊"];

/// What is wrong with a message in Slack. `pinged`: whom midwatch itself may ping with it.
pub(super) fn slack(message: &Posted, marks: &Marks, pinged: &[&str]) -> Result<(), String> {
    characters(&message.text)?;
    fallback(&message.text, marks)?;
    for block in &message.blocks {
        slack_block(block, marks, pinged)?;
    }
    for (name, content) in &message.files {
        characters(content).map_err(|why| format!("the file {name}: {why}"))?;
        if name.contains(marks.printed.as_str()) || name.contains(['/', '\\', '<']) {
            return Err(format!("a file is called {name}"));
        }
    }
    Ok(())
}

/// The text that notifications and old clients show.
fn fallback(text: &str, marks: &Marks) -> Result<(), String> {
    if text.contains(['<', '>']) {
        return Err("the fallback holds a bracket: Slack reads markup".to_owned());
    }
    let entities = ["amp;", "lt;", "gt;"];
    let mut after = text.split('&').skip(1);
    if let Some(odd) = after.find(|after| !entities.iter().any(|entity| after.starts_with(entity)))
    {
        return Err(format!(
            "the fallback holds a lone ampersand before `{odd}`"
        ));
    }
    quoted(text, marks)
}

/// From the first line in which a program speaks to the last, each stands behind the mark.
fn quoted(text: &str, marks: &Marks) -> Result<(), String> {
    match printed(text, marks).find(|line| !is_quoted(line)) {
        Some(line) => Err(format!(
            "a program's line stands as if it were ours: `{line}`"
        )),
        None => Ok(()),
    }
}

fn is_quoted(line: &str) -> bool {
    let bare = line.trim_start_matches(' ');
    QUOTES.iter().any(|quote| bare.starts_with(quote))
}

/// The lines from the first to the last in which a program speaks: in one message its output stands together.
fn printed<'a>(text: &'a str, marks: &Marks) -> impl Iterator<Item = &'a str> {
    let lines: Vec<&str> = text.split('\n').collect();
    let speaks = |line: &&str| line.contains(marks.printed.as_str());
    let first = lines.iter().position(speaks).unwrap_or(lines.len());
    let end = lines
        .iter()
        .rposition(speaks)
        .map_or(first, |last| last + 1);
    lines[first..end].to_vec().into_iter()
}

fn slack_block(block: &Value, marks: &Marks, pinged: &[&str]) -> Result<(), String> {
    match block["type"].as_str() {
        Some("rich_text") => {
            let mut parts = items(block);
            parts.try_for_each(|part| rich_part(part, marks, pinged))
        }
        Some("actions") => items(block).try_for_each(|button| {
            let label = &button["text"];
            let text = label["text"].as_str().unwrap_or_default();
            characters(text)?;
            if button["type"] != "button" || label["type"] != "plain_text" || label["emoji"] == true
            {
                return Err(format!("not a plain button: {button}"));
            }
            if text.contains('\n')
                || text.contains(marks.printed.as_str())
                || button.get("url").is_some()
            {
                return Err(format!(
                    "a button says what a program printed, or leads away: {button}"
                ));
            }
            Ok(())
        }),
        other => Err(format!("a block of type {other:?} may be markup")),
    }
}

fn rich_part(part: &Value, marks: &Marks, pinged: &[&str]) -> Result<(), String> {
    let is_quote = part["type"] == "rich_text_preformatted";
    if !is_quote && part["type"] != "rich_text_section" {
        return Err(format!("a part of type {}", part["type"]));
    }
    items(part).try_for_each(|element| match element["type"].as_str() {
        Some("text") => {
            let text = element["text"].as_str().unwrap_or_default();
            characters(text)?;
            if is_quote {
                return Ok(());
            }
            if text.contains(marks.printed.as_str()) {
                return Err(format!(
                    "what a program printed stands outside of the block: `{text}`"
                ));
            }
            if text.contains(marks.said.as_str()) && text.contains('\n') {
                return Err(format!(
                    "what a person said begins a line of its own: `{text}`"
                ));
            }
            Ok(())
        }
        Some("user") if !is_quote && pinged.iter().any(|id| element["user_id"] == *id) => Ok(()),
        Some("date") if !is_quote => Ok(()),
        other => Err(format!("an element of type {other:?} in {}", part["type"])),
    })
}

fn items(of: &Value) -> impl Iterator<Item = &Value> {
    of["elements"].as_array().into_iter().flatten()
}

/// What is wrong with one message on a terminal of this width; `None`: it is no terminal.
pub(super) fn console(sent: &str, marks: &Marks, columns: Option<usize>) -> Result<(), String> {
    // Colours of our own choosing are all that may be left of control sequences.
    let ours = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[36m", "\x1b[1;33m"];
    let mut plain = sent.to_owned();
    if columns.is_some() {
        for code in ours {
            plain = plain.replace(code, "");
        }
    }
    characters(&plain)?;
    quoted(&plain, marks)?;
    let Some(columns) = columns else {
        return Ok(());
    };
    for line in printed(&plain, marks) {
        if width(line) > columns {
            return Err(format!(
                "a terminal of {columns} columns breaks this line of {}, and its end stands as if it were ours: `{line}`",
                width(line)
            ));
        }
    }
    Ok(())
}

/// Cells that a line takes, with a tab stop every eight.
fn width(line: &str) -> usize {
    line.chars().fold(0, |at, c| match c {
        '\t' => (at / 8 + 1) * 8,
        _ => at + c.width().unwrap_or(0),
    })
}

/// Whether a text is nothing but what is seen, in the order in which it is written.
pub(super) fn characters(text: &str) -> Result<(), String> {
    let bad = text.char_indices().find(|(_, c)| {
        let control = c.is_control() && !matches!(c, '\n' | '\t');
        control || turns(*c) || unseen(*c) || matches!(c, '\u{2028}' | '\u{2029}')
    });
    match bad {
        None => Ok(()),
        Some((at, c)) => {
            let from = text.floor_char_boundary(at.saturating_sub(40));
            Err(format!("it holds {c:?} after `{}`", &text[from..at]))
        }
    }
}

/// Unicode's property `Bidi_Control`.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Unicode's property `Default_Ignorable_Code_Point` and the annotations, but for the two selectors that choose between a
/// coloured sign and a plain one.
fn unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// What is wrong with all that a program wrote to a pipe, which many messages are.
pub(super) fn pipe(sent: &str, marks: &Marks) -> Result<(), String> {
    characters(sent)?;
    let mut lines = sent.split('\n');
    match lines.find(|line| line.contains(marks.printed.as_str()) && !is_quoted(line)) {
        Some(line) => Err(format!(
            "a program's line stands as if it were ours: `{line}`"
        )),
        None => Ok(()),
    }
}

/// Whether anything of what a program printed is shown in the quoted block: a judge who sees nothing finds nothing.
pub(super) fn shows(message: &Posted, marks: &Marks) -> bool {
    let parts = message.blocks.iter().flat_map(items);
    parts
        .filter(|part| part["type"] == "rich_text_preformatted")
        .flat_map(items)
        .any(|element| {
            element["text"]
                .as_str()
                .is_some_and(|text| text.contains(marks.printed.as_str()))
        })
}
