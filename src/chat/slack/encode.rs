//! Our messages in Slack's markup: rich text only, in which no text from people or programs can ping, link or format.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::chat::encode::{Names, absolute, cut_in_the_middle, progress, shortened, whereabouts};
use crate::domain::{
    Block, Button, ButtonStyle, Form, FormField, Message, People, PersonId, Place, Platform, Span,
    Text, harmless, harmless_line,
};
use crate::planted;

/// What our forms call themselves, so that their answers are recognised.
pub(super) const FORM_CALLBACK: &str = "midwatch_form";

/// Slack advises 4,000 characters for a message and may cut longer ones.
const MESSAGE_CHARS: usize = 3_900;
/// Slack refuses longer text elements.
const ELEMENT_CHARS: usize = 3_000;
const BUTTONS_SHOWN: usize = 5;
const BUTTON_VALUE_CHARS: usize = 2_000;
const LABEL_CHARS: usize = 75;
const CHOICES: usize = 100;
const TITLE_CHARS: usize = 24;
const HINT_CHARS: usize = 2_000;
const PLACEHOLDER_CHARS: usize = 150;
const METADATA_CHARS: usize = 3_000;

/// A message as Slack takes it.
#[derive(Debug)]
pub(super) struct Encoded {
    /// For notifications, screen readers and clients without blocks; escaped.
    pub(super) text: String,
    /// Non-empty.
    pub(super) blocks: Vec<Value>,
}

/// Encodes a message for a space. Output is cut in the middle where the whole would be too long.
///
/// `home`: the workspace's own address, ending in `/`; empty where it isn't known.
pub(super) fn message(message: &Message, people: &People, space: &str, home: &str) -> Encoded {
    let names = Names {
        people,
        platform: Platform::Slack,
        space,
        home,
    };
    let mut budget = Budget::of(message, &names);
    let (mut blocks, mut rich, mut fallback) = (Vec::new(), Vec::new(), Vec::new());
    for block in &message.blocks {
        match block {
            Block::Text(text) => {
                fallback.push(names.plain(text));
                rich.extend(section(&names.elements(text, &mut budget)));
            }
            Block::Fields(fields) => {
                for field in fields {
                    let label = harmless_line(&field.label);
                    fallback.push(format!("{label}: {}", names.plain(&field.value)));
                    let mut elements = styled(&label, Some("bold"), &mut budget);
                    elements.extend(styled(": ", None, &mut budget));
                    elements.extend(names.elements(&field.value, &mut budget));
                    rich.extend(section(&elements));
                }
            }
            Block::Output(output) => {
                let shown = budget.output(&harmless(output));
                rich.extend(preformatted(&shown));
                // No block stands around it there: each line says by itself that it is not ours.
                fallback.extend(shown.lines().map(|line| format!("│ {line}")));
            }
            Block::Progress { done, total } => {
                let bar = progress(*done, *total);
                rich.extend(section(&styled(&bar, None, &mut budget)));
                fallback.push(bar);
            }
            Block::Buttons(buttons) => {
                blocks.extend(rich_text(&std::mem::take(&mut rich)));
                blocks.extend(actions(buttons));
            }
        }
    }
    blocks.extend(rich_text(&rich));
    if blocks.is_empty() {
        let nothing = json!({ "type": "text", "text": "…" });
        blocks.extend(section(&[nothing]).and_then(|section| rich_text(&[section])));
    }
    Encoded {
        text: escaped(&fallback.join("\n")),
        blocks,
    }
}

/// Encodes a form as a modal; an error when it doesn't fit into one.
pub(super) fn form(form: &Form, to: &Place) -> Result<Value, String> {
    let metadata =
        json!({ "says": form.says, "channel": to.channel, "thread": to.thread }).to_string();
    if metadata.chars().count() > METADATA_CHARS {
        return Err(format!(
            "the form of `{}` says more than Slack keeps",
            form.command
        ));
    }
    let mut blocks = vec![json!({
        "type": "section",
        "text": plain_text(&shortened(&form.does, ELEMENT_CHARS)),
    })];
    blocks.extend(form.fields.iter().map(input));
    Ok(json!({
        "type": "modal",
        "callback_id": FORM_CALLBACK,
        "private_metadata": metadata,
        "title": plain_text(&shortened(form.command.as_str(), TITLE_CHARS)),
        "submit": plain_text("Go on"),
        "close": plain_text("Cancel"),
        "blocks": blocks,
    }))
}

fn input(field: &FormField) -> Value {
    let fits = |choice: &String| !choice.is_empty() && choice.chars().count() <= LABEL_CHARS;
    let choosable = (1..=CHOICES).contains(&field.choices.len()) && field.choices.iter().all(fits);
    let mut element = if choosable {
        let options = field
            .choices
            .iter()
            .map(|choice| json!({ "text": plain_text(choice), "value": choice }));
        json!({ "type": "static_select", "options": options.collect::<Vec<_>>() })
    } else {
        json!({ "type": "plain_text_input" })
    };
    element["action_id"] = "value".into();
    if !choosable && !field.example.is_empty() {
        element["placeholder"] = plain_text(&shortened(&field.example, PLACEHOLDER_CHARS));
    }
    let mut block = json!({
        "type": "input",
        "block_id": field.name.as_str(),
        "label": plain_text(field.name.as_str()),
        "optional": field.optional,
        "element": element,
    });
    if !field.help.is_empty() {
        block["hint"] = plain_text(&shortened(&field.help, HINT_CHARS));
    }
    block
}

impl Names<'_> {
    fn elements(&self, text: &Text, budget: &mut Budget) -> Vec<Value> {
        let mut elements = Vec::new();
        for span in &text.0 {
            match span {
                Span::Plain(words) => elements.extend(styled(&harmless(words), None, budget)),
                Span::Bold(words) => {
                    elements.extend(styled(&harmless_line(words), Some("bold"), budget));
                }
                Span::Code(words) => {
                    elements.extend(styled(&harmless_line(words), Some("code"), budget));
                }
                Span::Person(person) => {
                    elements.extend(styled(&self.name(person), Some("bold"), budget));
                }
                Span::Ping(person) => elements.extend(self.ping(person, budget)),
                Span::Time(at) => elements.push(date(*at)),
                Span::Thread(thread) => match self.address(thread) {
                    Some(url) => {
                        elements.push(json!({ "type": "link", "url": url, "text": "its thread" }));
                    }
                    None => elements.extend(styled(&whereabouts(thread), None, budget)),
                },
            }
        }
        elements
    }

    /// The person's account; their name, where they have none here.
    fn ping(&self, person: &PersonId, budget: &mut Budget) -> Vec<Value> {
        if let Some(id) = self.account(person) {
            return vec![json!({ "type": "user", "user_id": id })];
        }
        styled(&format!("@{}", self.name(person)), Some("bold"), budget)
    }
}

/// How many characters there are still room for.
struct Budget {
    words: usize,
    output: usize,
    outputs: usize,
}

impl Budget {
    /// Words come first; what they leave is shared by the outputs.
    fn of(message: &Message, names: &Names<'_>) -> Self {
        let (mut words, mut outputs) = (0, 0);
        for block in &message.blocks {
            match block {
                Block::Text(text) => words += names.plain(text).chars().count() + 1,
                Block::Fields(fields) => {
                    for field in fields {
                        words += field.label.chars().count() + 3;
                        words += names.plain(&field.value).chars().count();
                    }
                }
                Block::Output(_) => outputs += 1,
                Block::Progress { done, total } => {
                    words += progress(*done, *total).chars().count() + 1;
                }
                Block::Buttons(_) => {}
            }
        }
        Self {
            words: MESSAGE_CHARS,
            output: MESSAGE_CHARS.saturating_sub(words),
            outputs,
        }
    }

    fn words(&mut self, words: &str) -> String {
        let shown = shortened(words, self.words);
        self.words -= shown.chars().count();
        shown
    }

    fn output(&mut self, output: &str) -> String {
        let room = self.output / self.outputs.max(1);
        let shown = cut_in_the_middle(output.trim_end_matches('\n'), room.min(self.words));
        let used = shown.chars().count();
        self.outputs = self.outputs.saturating_sub(1);
        self.output = self.output.saturating_sub(used + 1);
        self.words -= used;
        shown
    }
}

/// Text elements of at most 3,000 characters; none for an empty text, which Slack refuses.
fn styled(words: &str, style: Option<&str>, budget: &mut Budget) -> Vec<Value> {
    let elements = pieces(&budget.words(words))
        .into_iter()
        .map(|piece| match style {
            Some(style) => json!({ "type": "text", "text": piece, "style": { style: true } }),
            None => json!({ "type": "text", "text": piece }),
        });
    elements.collect()
}

fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks(ELEMENT_CHARS)
        .map(|piece| piece.iter().collect())
        .collect()
}

fn section(elements: &[Value]) -> Option<Value> {
    (!elements.is_empty()).then(|| json!({ "type": "rich_text_section", "elements": elements }))
}

fn preformatted(output: &str) -> Option<Value> {
    let elements: Vec<Value> = pieces(output)
        .into_iter()
        .map(|piece| json!({ "type": "text", "text": piece }))
        .collect();
    (!elements.is_empty())
        .then(|| json!({ "type": "rich_text_preformatted", "elements": elements }))
}

fn rich_text(elements: &[Value]) -> Option<Value> {
    (!elements.is_empty()).then(|| json!({ "type": "rich_text", "elements": elements }))
}

fn actions(buttons: &[Button]) -> Option<Value> {
    let fitting = buttons.iter().filter(|button| {
        !button.says.is_empty() && button.says.chars().count() <= BUTTON_VALUE_CHARS
    });
    let elements: Vec<Value> = fitting
        .take(BUTTONS_SHOWN)
        .enumerate()
        .map(button)
        .collect();
    (!elements.is_empty()).then(|| json!({ "type": "actions", "elements": elements }))
}

fn button((position, button): (usize, &Button)) -> Value {
    let mut element = json!({
        "type": "button",
        "action_id": format!("say-{position}"),
        "text": plain_text(&shortened(&button.label, LABEL_CHARS)),
        "value": button.says,
    });
    match button.style {
        ButtonStyle::Plain => {}
        ButtonStyle::Primary => element["style"] = "primary".into(),
        ButtonStyle::Danger => element["style"] = "danger".into(),
    }
    element
}

/// With its zone, and how far away it is by the reader's clock; where that can't be told, the former alone.
fn date(at: Timestamp) -> Value {
    let absolute = absolute(at);
    json!({
        "type": "date",
        "timestamp": at.as_second(),
        "format": format!("{absolute} ({{ago}})"),
        "fallback": absolute,
    })
}

fn plain_text(words: &str) -> Value {
    let words = harmless_line(words);
    let words = if words.is_empty() { "…" } else { &words };
    json!({ "type": "plain_text", "text": words, "emoji": false })
}

/// Escaped for Slack's `text`, cut so that the escaped text fits.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut room = MESSAGE_CHARS;
    for character in text.chars() {
        let piece = match character {
            '&' => "&amp;",
            '<' if !planted::is("markup-unescaped") => "&lt;",
            '>' => "&gt;",
            _ => "",
        };
        let cost = piece.len().max(1);
        if cost >= room {
            out.push('…');
            break;
        }
        room -= cost;
        if piece.is_empty() {
            out.push(character);
        } else {
            out.push_str(piece);
        }
    }
    out
}

#[cfg(test)]
mod tests;
