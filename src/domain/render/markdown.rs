//! A message as Markdown, to be put into a ticket or a report. What is to be pressed is left out.

use jiff::Timestamp;

use crate::domain::{Block, Message, People, PersonId, Span, Text, harmless, harmless_line};

/// Characters that mean something in Markdown, inline.
const MEANING: [char; 12] = ['\\', '`', '*', '_', '[', ']', '<', '>', '|', '~', '#', '&'];

/// The message: its first paragraph as a heading, fields as a list. Nothing in it can act.
pub fn markdown(message: &Message, people: &People) -> String {
    let parts = message.blocks.iter().enumerate().filter_map(|(n, block)| {
        Some(match block {
            Block::Text(words) if n == 0 => format!("## {}", text(words, people)),
            Block::Text(words) => text(words, people),
            Block::Fields(fields) => {
                let lines = fields.iter().map(|field| {
                    format!(
                        "- **{}**: {}",
                        escaped(&field.label),
                        text(&field.value, people)
                    )
                });
                lines.collect::<Vec<_>>().join("\n")
            }
            Block::Output(output) => fenced(output),
            Block::Progress { done, total } => format!("{done} of {total} steps"),
            Block::Buttons(_) => return None,
        })
    });
    let mut whole = parts.collect::<Vec<_>>().join("\n\n");
    whole.push('\n');
    whole
}

fn text(text: &Text, people: &People) -> String {
    let spans = text.0.iter().map(|span| match span {
        Span::Plain(words) => escaped(words),
        Span::Bold(words) => format!("**{}**", escaped(words)),
        Span::Code(words) => code(words),
        Span::Person(person) | Span::Ping(person) => escaped(name(person, people)),
        Span::Time(at) => moment(*at),
        Span::Thread(thread) => thread.message.clone(),
    });
    spans.collect()
}

fn name<'a>(person: &'a PersonId, people: &'a People) -> &'a str {
    let known = people.persons.get(person);
    known.map_or(person.as_str(), |it| it.name.as_str())
}

/// Whoever reads it later reads it elsewhere: UTC, with its date.
fn moment(at: Timestamp) -> String {
    let there = at.to_zoned(jiff::tz::TimeZone::UTC);
    there.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn escaped(words: &str) -> String {
    let mut safe = String::new();
    for c in harmless_line(words).chars() {
        if MEANING.contains(&c) {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

fn code(words: &str) -> String {
    let words = harmless_line(words);
    if words.contains('`') {
        let longest = words.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest + 1);
        return format!("{fence} {words} {fence}");
    }
    format!("`{words}`")
}

fn fenced(output: &str) -> String {
    let output = harmless(output);
    let longest = output.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{}\n{fence}", output.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Button, Field, sample};

    #[test]
    fn nothing_that_somebody_wrote_acts_in_it() {
        let hostile = "<b>*x* `y` [a](https://x.test) & # |\nz";
        let first = Text::new().plain(hostile).bold("*").code("a ` b `` c");
        let ana = PersonId::parse("ana").unwrap();
        let value = Text::new()
            .person(&ana)
            .plain(" at ")
            .time(Timestamp::UNIX_EPOCH);
        let message = Message::new(first)
            .with(Block::Fields(vec![Field {
                label: "w*o".to_owned(),
                value,
            }]))
            .with(Block::Output("```\nx".to_owned()))
            .buttons(vec![Button::plain("Earlier", "timeline")]);
        insta::assert_snapshot!(markdown(&message, &sample::catalog().people));
    }
}
