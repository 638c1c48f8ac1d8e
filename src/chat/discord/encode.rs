//! Our messages in Discord's markup: Markdown in which no text from people or programs can ping, link or format.
//!
//! A message of 2,000 characters is `content`; a longer one, up to 4,000, is a text component. Output gives way first.

mod markdown;

use serde_json::{Value, json};

use self::markdown::{apart, bold, code, escaped, fence_width, fenced, moment};
use crate::chat::encode::{Names, cut_in_the_middle, progress, shortened, whereabouts};
use crate::domain::{
    Block, Button, ButtonStyle, Form, FormField, Message, People, Platform, Span, Text, harmless,
    harmless_line,
};
use crate::planted;

/// How the id of a button begins, and of a form: what it says follows.
pub(super) const SAY: &str = "say-";
pub(super) const FORM: &str = "form:";

const CONTENT_CHARS: usize = 2_000;
/// All text components of a message together.
const COMPONENT_CHARS: usize = 4_000;
/// Kept free of both, for what says that more was there.
const MORE_CHARS: usize = 2;
const CUSTOM_ID_CHARS: usize = 100;
const BUTTON_LABEL_CHARS: usize = 80;
const BUTTONS_IN_A_ROW: usize = 5;
const ROWS: usize = 5;
const PINGS: usize = 100;
const MODAL_TITLE_CHARS: usize = 45;
const MODAL_FIELDS: usize = 5;
const FIELD_LABEL_CHARS: usize = 45;
const FIELD_HELP_CHARS: usize = 100;
const CHOICES: usize = 25;
const CHOICE_CHARS: usize = 100;

const SUPPRESS_EMBEDS: u32 = 1 << 2;
const IS_COMPONENTS_V2: u32 = 1 << 15;

const ACTION_ROW: u8 = 1;
const BUTTON: u8 = 2;
const SELECT: u8 = 3;
const TEXT_INPUT: u8 = 4;
const TEXT_DISPLAY: u8 = 10;
const LABEL: u8 = 18;

/// What a message is made of.
enum Part {
    /// Lines in Markdown.
    Words(String),
    /// Harmless, fit for a block, and not yet cut.
    Output(String),
}

/// Encodes a message for a guild. Output is cut in the middle where the whole would be too long.
pub(super) fn message(message: &Message, people: &People, guild: &str) -> Value {
    let names = Names {
        people,
        platform: Platform::Discord,
        space: guild,
        home: "",
    };
    let (mut parts, mut rows, mut pinged) = (Vec::new(), Vec::new(), Vec::new());
    for block in &message.blocks {
        match block {
            Block::Text(text) => parts.push(Part::Words(names.marked(text, &mut pinged))),
            Block::Fields(fields) => parts.extend(fields.iter().map(|field| {
                let value = names.marked(&field.value, &mut pinged);
                let label = bold(&format!("{}:", harmless_line(&field.label)));
                Part::Words(format!("{label} {value}"))
            })),
            Block::Output(output) => {
                let shown = apart(harmless(output).trim_end_matches('\n'));
                // A block of nothing is none to Discord, which takes its end for the next one's beginning.
                if !shown.trim().is_empty() || planted::is("discord-block-of-nothing") {
                    parts.push(Part::Output(shown));
                }
            }
            Block::Progress { done, total } => parts.push(Part::Words(progress(*done, *total))),
            Block::Buttons(buttons) => {
                let (fit, others): (Vec<&Button>, _) = buttons.iter().partition(|it| fits(it));
                parts.extend(others.into_iter().map(typed_instead));
                rows.extend(fit.chunks(BUTTONS_IN_A_ROW).map(<[_]>::to_vec));
            }
        }
    }
    let text = fitted(&parts);
    let rows = rows.iter().take(ROWS).enumerate().map(|(row, buttons)| {
        let buttons = buttons.iter().enumerate();
        let buttons = buttons.map(|(nth, it)| button(row * BUTTONS_IN_A_ROW + nth, it));
        json!({ "type": ACTION_ROW, "components": buttons.collect::<Vec<_>>() })
    });
    pinged.truncate(PINGS);
    let mut body = json!({ "allowed_mentions": { "parse": [], "users": pinged } });
    if text.chars().count() <= CONTENT_CHARS {
        body["content"] = text.into();
        body["flags"] = if planted::is("discord-links-unfold") {
            0
        } else {
            SUPPRESS_EMBEDS
        }
        .into();
        body["components"] = rows.collect();
    } else {
        let text = json!({ "type": TEXT_DISPLAY, "content": text });
        body["flags"] = IS_COMPONENTS_V2.into();
        body["components"] = std::iter::once(text).chain(rows).collect();
    }
    body
}

/// Encodes a form as a modal; an error when it doesn't fit into one.
pub(super) fn form(form: &Form) -> Result<Value, String> {
    let custom_id = format!("{FORM}{}", form.says);
    if custom_id.chars().count() > CUSTOM_ID_CHARS || form.fields.len() > MODAL_FIELDS {
        return Err(format!(
            "the form of `{}` says or asks more than Discord's do",
            form.command
        ));
    }
    Ok(json!({
        "custom_id": custom_id,
        "title": shortened(form.command.as_str(), MODAL_TITLE_CHARS),
        "components": form.fields.iter().map(input).collect::<Vec<_>>(),
    }))
}

fn input(field: &FormField) -> Value {
    let fits = |choice: &String| !choice.is_empty() && choice.chars().count() <= CHOICE_CHARS;
    let choosable = (1..=CHOICES).contains(&field.choices.len()) && field.choices.iter().all(fits);
    let mut component = if choosable {
        let options = field.choices.iter();
        let options =
            options.map(|choice| json!({ "label": harmless_line(choice), "value": choice }));
        json!({ "type": SELECT, "options": options.collect::<Vec<_>>() })
    } else {
        json!({ "type": TEXT_INPUT, "style": 1 })
    };
    component["custom_id"] = field.name.as_str().into();
    component["required"] = (!field.optional).into();
    if !choosable && !field.example.is_empty() {
        component["placeholder"] =
            shortened(&harmless_line(&field.example), FIELD_HELP_CHARS).into();
    }
    let mut label = json!({
        "type": LABEL,
        "label": shortened(field.name.as_str(), FIELD_LABEL_CHARS),
        "component": component,
    });
    if !field.help.is_empty() {
        label["description"] = shortened(&harmless_line(&field.help), FIELD_HELP_CHARS).into();
    }
    label
}

impl Names<'_> {
    /// In Markdown. Who is pinged is added to `pinged`.
    fn marked(&self, text: &Text, pinged: &mut Vec<String>) -> String {
        let spans = text.0.iter().map(|span| match span {
            Span::Plain(words) => escaped(&harmless(words)),
            Span::Bold(words) => bold(&harmless_line(words)),
            Span::Code(words) => code(&harmless_line(words)),
            Span::Person(person) => bold(&self.name(person)),
            Span::Ping(person) => match self.account(person).filter(|id| is_id(id)) {
                Some(id) => {
                    let mention = format!("<@{id}>");
                    if !pinged.contains(&id) {
                        pinged.push(id);
                    }
                    mention
                }
                None => bold(&format!("@{}", self.name(person))),
            },
            Span::Time(at) => moment(*at),
            Span::Thread(thread) => match self.address(thread) {
                Some(url) => url,
                None => escaped(&whereabouts(thread)),
            },
        });
        spans.collect()
    }
}

/// Discord's ids are numbers; anything else between `<@` and `>` would be text of its own.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// All parts as one text that fits: words come first, what they leave is shared by the outputs.
fn fitted(parts: &[Part]) -> String {
    let (mut words, mut output, mut outputs) = (0, 0, 0);
    for part in parts {
        match part {
            Part::Words(text) => words += text.chars().count() + 1,
            Part::Output(text) => {
                words += fence_width() + 1;
                output += text.chars().count();
                outputs += 1;
            }
        }
    }
    let mut most = CONTENT_CHARS - MORE_CHARS;
    if words + output > most {
        most = COMPONENT_CHARS - MORE_CHARS;
    }
    let mut room = most.saturating_sub(words);
    let mut shown = Shown::of(most);
    for part in parts {
        match part {
            Part::Words(text) => shown.lines(text),
            Part::Output(text) => {
                let cut = cut_in_the_middle(text, room / outputs);
                outputs -= 1;
                room = room.saturating_sub(cut.chars().count());
                shown.block(&fenced(&cut));
            }
        }
    }
    shown.finish()
}

/// As much of a message as fits: whole lines and whole blocks, since a cut could leave half of a mark.
struct Shown {
    text: String,
    room: usize,
    full: bool,
}

impl Shown {
    fn of(room: usize) -> Self {
        Self {
            text: String::new(),
            room,
            full: false,
        }
    }

    fn lines(&mut self, words: &str) {
        for line in words.split('\n') {
            self.block(line);
        }
    }

    fn block(&mut self, block: &str) {
        let size = block.chars().count() + 1;
        self.full |= size > self.room;
        if !self.full {
            self.room -= size;
            self.text.push_str(block);
            self.text.push('\n');
        }
    }

    fn finish(mut self) -> String {
        if self.full || self.text.trim().is_empty() {
            self.text.push('…');
        }
        self.text.trim_end_matches('\n').to_owned()
    }
}

fn fits(button: &Button) -> bool {
    !button.says.is_empty() && custom_id(0, &button.says).chars().count() < CUSTOM_ID_CHARS
}

/// What it says, numbered: two of a message must differ.
fn custom_id(nth: usize, says: &str) -> String {
    format!("{SAY}{nth}:{says}")
}

/// What a button can't carry is said in words.
fn typed_instead(button: &Button) -> Part {
    let typed = code(&harmless_line(&format!("/ops {}", button.says)));
    Part::Words(format!(
        "{}: type {typed}",
        escaped(&harmless_line(&button.label))
    ))
}

fn button(nth: usize, button: &Button) -> Value {
    let label = harmless_line(&button.label);
    json!({
        "type": BUTTON,
        "style": match button.style {
            ButtonStyle::Primary => 1,
            ButtonStyle::Plain => 2,
            ButtonStyle::Danger => 4,
        },
        "label": if label.is_empty() { "…".to_owned() } else { shortened(&label, BUTTON_LABEL_CHARS) },
        "custom_id": custom_id(nth, &button.says),
    })
}

#[cfg(test)]
mod tests;
