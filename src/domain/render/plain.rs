//! A message as plain text, for programs and their logs. What is to be pressed is left out.

use crate::domain::{Block, Message, People, Span, Text, harmless, harmless_line};

/// The message: a block a paragraph, fields a line each. Nothing in it can act.
pub fn plain(message: &Message, people: &People) -> String {
    let parts = message.blocks.iter().filter_map(|block| match block {
        Block::Text(text) => Some(words(text, people)),
        Block::Fields(fields) => {
            let lines = fields.iter().map(|field| {
                let label = harmless_line(&field.label);
                format!("{label}: {}", words(&field.value, people))
            });
            Some(lines.collect::<Vec<_>>().join("\n"))
        }
        Block::Output(output) => Some(harmless(output)),
        Block::Progress { done, total } => Some(format!("{done} of {total} steps")),
        Block::Buttons(_) => None,
    });
    parts.collect::<Vec<_>>().join("\n")
}

fn words(text: &Text, people: &People) -> String {
    let spans = text.0.iter().map(|span| match span {
        Span::Plain(words) => harmless(words),
        Span::Bold(words) => harmless_line(words),
        Span::Code(words) => format!("`{}`", harmless_line(words)),
        Span::Person(person) | Span::Ping(person) => harmless_line(people.name(person)),
        Span::Time(at) => at.to_string(),
        // An address on a platform is nothing that a program can follow.
        Span::Thread(_) => String::new(),
    });
    spans.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Button, PersonId};

    #[test]
    fn a_message_is_read_by_a_program_as_a_person_reads_it() {
        let ana = PersonId::parse("ana").unwrap();
        let text = Text::new().plain("⛔ ask ").ping(&ana).plain(": ");
        let message = Message::new(text.code("a\nb\u{202e}"))
            .buttons(vec![Button::primary("Do it", "flush-cache")]);
        assert_eq!(plain(&message, &People::default()), "⛔ ask ana: `a b`");
    }
}
