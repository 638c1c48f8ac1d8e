//! What a reader sees of a payload: read back from what is really sent, so that a preview can't flatter.

use jiff::Timestamp;
use serde_json::Value;

use crate::chat::console::distance;
use crate::domain::{People, Platform};

/// A part of a message, from top to bottom.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A line, or several, of pieces.
    Line(Vec<Piece>),
    /// A quoted block, set in a fixed width.
    Block(String),
    /// Things to press.
    Buttons(Vec<Button>),
    /// A question of a form.
    Question {
        /// What is asked for.
        label: String,
        /// What helps to answer; may be empty.
        help: String,
        /// What may be chosen; empty for free text.
        choices: Vec<String>,
    },
}

/// Words of one look.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) look: Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Bold,
    Code,
    /// Somebody is called.
    Ping,
}

/// Something to press.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Button {
    pub(super) label: String,
    /// `primary`, `danger` or `plain`.
    pub(super) style: &'static str,
}

fn piece(text: impl Into<String>, look: Look) -> Piece {
    Piece {
        text: text.into(),
        look,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Who an account is.
fn named(people: &People, platform: Platform, account: &str) -> String {
    let has = |accounts: &Vec<String>| {
        accounts
            .iter()
            .any(|it| it.rsplit('/').next() == Some(account))
    };
    let mut persons = people.persons.values();
    let person = persons.find(|it| it.accounts.get(&platform).is_some_and(has));
    format!("@{}", person.map_or(account, |it| it.name.as_str()))
}

/// What Slack shows of blocks.
pub(super) fn on_slack(payload: &Value, people: &People, now: Timestamp) -> Vec<Part> {
    let reader = Reader { people, now };
    let mut parts = Vec::new();
    for block in list(&payload["blocks"]) {
        match block["type"].as_str() {
            Some("rich_text") => {
                for element in list(&block["elements"]) {
                    let pieces = list(&element["elements"]).map(|it| reader.slack_piece(it));
                    parts.push(if element["type"] == "rich_text_preformatted" {
                        Part::Block(pieces.map(|it| it.text).collect())
                    } else {
                        Part::Line(pieces.collect())
                    });
                }
            }
            Some("actions") => {
                let buttons = list(&block["elements"]).map(|it| Button {
                    label: text(&it["text"]["text"]),
                    style: match it["style"].as_str() {
                        Some("primary") => "primary",
                        Some("danger") => "danger",
                        _ => "plain",
                    },
                });
                parts.push(Part::Buttons(buttons.collect()));
            }
            Some("section") => {
                let words = text(&block["text"]["text"]);
                parts.push(Part::Line(vec![piece(words, Look::Plain)]));
            }
            Some("input") => {
                let options = list(&block["element"]["options"]);
                parts.push(Part::Question {
                    label: text(&block["label"]["text"]),
                    help: text(&block["hint"]["text"]),
                    choices: options.map(|it| text(&it["text"]["text"])).collect(),
                });
            }
            _ => {}
        }
    }
    parts
}

/// What Discord shows of a message, or of a modal.
pub(super) fn on_discord(payload: &Value, people: &People, now: Timestamp) -> Vec<Part> {
    let reader = Reader { people, now };
    let mut parts = reader.markdown(&text(&payload["content"]));
    for component in list(&payload["components"]) {
        match component["type"].as_u64() {
            Some(1) => {
                let buttons = list(&component["components"]).map(|it| Button {
                    label: text(&it["label"]),
                    style: match it["style"].as_u64() {
                        Some(1) => "primary",
                        Some(4) => "danger",
                        _ => "plain",
                    },
                });
                parts.push(Part::Buttons(buttons.collect()));
            }
            Some(10) => parts.extend(reader.markdown(&text(&component["content"]))),
            Some(18) => {
                let options = list(&component["component"]["options"]);
                parts.push(Part::Question {
                    label: text(&component["label"]),
                    help: text(&component["description"]),
                    choices: options.map(|it| text(&it["label"])).collect(),
                });
            }
            _ => {}
        }
    }
    parts
}

/// `` `code` ``, between as many backticks as it begins with.
fn code(rest: &str) -> Option<(Piece, &str)> {
    let marks = rest.len() - rest.trim_start_matches('`').len();
    let fence = rest.get(..marks).filter(|fence| !fence.is_empty())?;
    let (inner, after) = rest[marks..].split_once(fence)?;
    let inner = match inner.strip_prefix(' ').and_then(|it| it.strip_suffix(' ')) {
        Some(padded) if marks > 1 => padded,
        _ => inner,
    };
    Some((piece(inner, Look::Code), after))
}

/// Who reads a message, and when.
struct Reader<'a> {
    people: &'a People,
    now: Timestamp,
}

impl Reader<'_> {
    fn slack_piece(&self, element: &Value) -> Piece {
        match element["type"].as_str() {
            Some("user") => {
                let id = text(&element["user_id"]);
                piece(named(self.people, Platform::Slack, &id), Look::Ping)
            }
            Some("date") => {
                let at = element["timestamp"].as_i64().unwrap_or_default();
                let at = Timestamp::from_second(at).unwrap_or(self.now);
                let format = text(&element["format"]);
                piece(
                    format.replace("{ago}", &distance(at, self.now)),
                    Look::Plain,
                )
            }
            _ => {
                let look = if element["style"]["code"] == true {
                    Look::Code
                } else if element["style"]["bold"] == true {
                    Look::Bold
                } else {
                    Look::Plain
                };
                piece(text(&element["text"]), look)
            }
        }
    }

    /// Discord's Markdown, as far as our messages have it.
    fn markdown(&self, content: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut block: Option<String> = None;
        for line in content.lines() {
            match (&mut block, line) {
                (None, "```") => block = Some(String::new()),
                (Some(lines), "```") => {
                    parts.push(Part::Block(lines.trim_end_matches('\n').to_owned()));
                    block = None;
                }
                (Some(lines), line) => {
                    lines.push_str(line);
                    lines.push('\n');
                }
                (None, line) => parts.push(Part::Line(self.inline(line))),
            }
        }
        parts
    }

    fn inline(&self, line: &str) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut bold = false;
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let look = if bold { Look::Bold } else { Look::Plain };
            if let Some(after) = rest.strip_prefix("**") {
                bold = !bold;
                rest = after;
            } else if let Some((found, after)) = code(rest).or_else(|| self.reference(rest)) {
                pieces.push(found);
                rest = after;
            } else {
                let escaped = first == '\\' && rest.len() > 1;
                let from = &rest[usize::from(escaped)..];
                let shown = from.chars().next().unwrap_or(first);
                match pieces.last_mut().filter(|last| last.look == look) {
                    Some(last) => last.text.push(shown),
                    None => pieces.push(piece(shown, look)),
                }
                rest = &from[shown.len_utf8()..];
            }
        }
        pieces
    }

    /// `<@1>` and `<t:1:R>`.
    fn reference<'r>(&self, rest: &'r str) -> Option<(Piece, &'r str)> {
        let (inner, after) = rest.strip_prefix('<')?.split_once('>')?;
        if let Some(id) = inner.strip_prefix('@') {
            let who = named(self.people, Platform::Discord, id);
            return Some((piece(who, Look::Ping), after));
        }
        let seconds = inner.strip_prefix("t:")?.strip_suffix(":R")?;
        let at = Timestamp::from_second(seconds.parse().ok()?).ok()?;
        Some((piece(distance(at, self.now), Look::Plain), after))
    }
}

/// As lines of plain text.
pub(super) fn lines(parts: &[Part]) -> Vec<String> {
    let mut lines = Vec::new();
    for part in parts {
        match part {
            Part::Line(pieces) => {
                let line: String = pieces.iter().map(|it| it.text.as_str()).collect();
                lines.extend(line.split('\n').map(str::to_owned));
            }
            Part::Block(text) => lines.extend(text.lines().map(|line| format!("  │ {line}"))),
            Part::Buttons(buttons) => {
                let buttons: Vec<String> =
                    buttons.iter().map(|it| format!("[{}]", it.label)).collect();
                lines.push(buttons.join(" "));
            }
            Part::Question {
                label,
                help,
                choices,
            } => {
                let answer = if choices.is_empty() {
                    "_____".to_owned()
                } else {
                    choices.join(" | ")
                };
                lines.push(format!("{label}: {answer}  {help}").trim_end().to_owned());
            }
        }
    }
    lines
}
