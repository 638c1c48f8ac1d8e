//! A message as tests show it: a block a line, persons as `@ana`, those who are pinged as `@@ana`.

use crate::domain::{Block, Message, Span, Text};

/// The whole message.
pub(crate) fn printed(message: &Message) -> String {
    let lines = message.blocks.iter().map(|block| match block {
        Block::Text(text) => words(text),
        Block::Fields(fields) => {
            let fields = fields
                .iter()
                .map(|it| format!("  {}: {}", it.label, words(&it.value)));
            fields.collect::<Vec<_>>().join("\n")
        }
        Block::Output(text) => format!("```{text}```"),
        Block::Progress { done, total } => format!("{done} of {total}"),
        Block::Buttons(buttons) => {
            let buttons = buttons
                .iter()
                .map(|it| format!("[{} → {}]", it.label, it.says));
            buttons.collect::<Vec<_>>().join(" ")
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn words(text: &Text) -> String {
    let spans = text.0.iter().map(|span| match span {
        Span::Plain(words) | Span::Bold(words) => words.clone(),
        Span::Code(words) => format!("`{words}`"),
        Span::Person(person) => format!("@{person}"),
        Span::Ping(person) => format!("@@{person}"),
        Span::Time(at) => at.to_string(),
        Span::Thread(thread) => thread.message.clone(),
    });
    spans.collect()
}
