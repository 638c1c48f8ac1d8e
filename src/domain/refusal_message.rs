//! What a person reads when something is refused: what is wrong, what was probably meant, an example that works.
//!
//! Every message says that nothing was done.

use super::parse::{LONGEST_LINE, MOST_WORDS, echo};
use super::{Button, CODE_WORD, Meant, Message, ParameterName, ProjectName, Refusal, Text};

/// More would not fit on a phone.
const MOST_BUTTONS: usize = 5;
/// More names would hide the rest of the message.
const MOST_NAMES: usize = 12;

impl Refusal {
    /// The answer. For [`Refusal::Bot`] it is never shown.
    pub fn message(&self) -> Message {
        match self {
            Self::TooLong { .. } => said(
                Text::from("⛔ that is longer than I read; nothing was done"),
                Text::new().plain(format!(
                    "at most {LONGEST_LINE} characters and {MOST_WORDS} words"
                )),
            ),
            Self::OpenQuote => said(
                Text::from("⛔ a quote is opened and not closed; nothing was done"),
                Text::new()
                    .plain("close it, or write ")
                    .code("\\\"")
                    .plain(" for a quote inside quotes"),
            ),
            Self::UnknownCommand { typed, nearest } => unknown_command(typed, nearest.as_deref()),
            Self::UnknownProject {
                typed,
                nearest,
                known,
            } => unknown_project(typed, nearest.as_deref(), known),
            Self::WhichProject { typed, known } => which_project(typed, known),
            Self::UnknownParameter {
                command,
                typed,
                nearest,
                example,
            } => {
                let wrong = Text::new().plain("⛔ ").code(command.as_str());
                let wrong = wrong.plain(" has no parameter ").code(typed.as_str());
                corrected(wrong, nearest.as_deref(), Text::new(), example)
            }
            Self::GivenTwice { parameter, example } => {
                let wrong = Text::new().plain("⛔ ").code(parameter.as_str());
                let wrong = wrong.plain(" is given twice");
                corrected(wrong, None, Text::from("once is enough\n"), example)
            }
            Self::TooManyWords {
                word,
                usage,
                example,
            } => {
                let wrong = Text::new().plain("⛔ ").code(word.as_str());
                let wrong = wrong.plain(" is one word more than I know what to do with");
                let hint = Text::new().plain("it goes ").code(slash(usage));
                let hint = hint.plain("; a text with spaces needs quotes\n");
                corrected(wrong, None, hint, example)
            }
            Self::BadValue { .. } => self.bad_value(),
            Self::Missing {
                command,
                parameters,
                example,
                ..
            } => {
                let wrong = Text::new().plain("⛔ ").code(command.as_str());
                let names = parameters.iter().map(ParameterName::as_str);
                let mut wrong = listed(wrong.plain(" needs "), names);
                if parameters.iter().any(|it| it.as_str() == CODE_WORD) {
                    wrong = wrong.plain(", the six digits that your authenticator app shows now");
                }
                corrected(wrong, None, Text::new(), example)
            }
            Self::BadBuiltin { what, example } => {
                corrected(wrong(what), None, Text::new(), example)
            }
            Self::UnknownReference { reference } => said(
                Text::new()
                    .plain("⛔ no run is called ")
                    .code(reference.as_str())
                    .plain("; nothing was done"),
                Text::new().code("/ops runs all").plain(" lists them"),
            )
            .buttons(vec![Button::primary("List runs", "runs all")]),
            Self::NotNow { what, next, .. } => {
                said(wrong(what).plain("; nothing was done"), sentence(next))
            }
            Self::Bot => said(
                Text::from("⛔ apps can't use me; nothing was done"),
                Text::from("a person has to ask"),
            ),
            Self::Edited => said(
                Text::from("⛔ I don't act on a message that was changed; nothing was done"),
                Text::from("send it again as a new message"),
            ),
            Self::Stranger => said(
                Text::from("⛔ I don't know this account; nothing was done"),
                Text::new()
                    .plain("ask whoever keeps ")
                    .code("runbooks/people.yaml")
                    .plain(" to add it"),
            ),
            Self::Fault { code } => said(
                Text::new()
                    .plain("💥 something broke on our side, ref ")
                    .code(code.as_str())
                    .plain("; nothing was done"),
                Text::from("try once more; if it stays, tell whoever runs me this ref"),
            ),
        }
    }

    fn bad_value(&self) -> Message {
        let Self::BadValue {
            parameter,
            typed,
            expected,
            nearest,
            example,
        } = self
        else {
            return Message::default();
        };
        let wrong = Text::new().plain("⛔ ");
        let wrong = match typed.as_deref() {
            Some("") => wrong.code(parameter.as_str()).plain(" has no value"),
            Some(typed) => wrong
                .code(parameter.as_str())
                .plain(" can't be ")
                .code(typed),
            // A secret, or what may be one.
            None => wrong
                .code(parameter.as_str())
                .plain(" can't be what was typed"),
        };
        let hint = Text::new().plain(format!("it takes {expected}\n"));
        corrected(wrong, nearest.as_deref(), hint, example)
    }
}

fn unknown_command(typed: &str, nearest: Option<&Meant>) -> Message {
    let wrong = Text::new()
        .plain("⛔ there is no command ")
        .code(typed)
        .plain("; nothing was done");
    let list = Text::new().code("/ops list").plain(" shows what there is");
    match nearest {
        Some(meant) => {
            said(wrong, joined(did_you_mean(meant).plain("\n"), list)).buttons(button(meant))
        }
        None => said(wrong, list).buttons(vec![Button::primary("List commands", "list")]),
    }
}

fn unknown_project(typed: &str, nearest: Option<&Meant>, known: &[ProjectName]) -> Message {
    let wrong = Text::new()
        .plain("⛔ there is no project ")
        .code(typed)
        .plain("; nothing was done");
    let there_is = projects(known);
    match nearest {
        Some(meant) => {
            let hint = joined(did_you_mean(meant).plain("\n"), there_is);
            said(wrong, hint).buttons(button(meant))
        }
        None => said(wrong, there_is),
    }
}

fn which_project(typed: &str, known: &[ProjectName]) -> Message {
    let Some(first) = known.first() else {
        return said(
            Text::from("⛔ there is no project yet; nothing was done"),
            Text::new()
                .plain("a project is a file in ")
                .code("runbooks/"),
        );
    };
    let with = |project: &ProjectName| format!("{typed} project={project}");
    let hint = projects(known)
        .plain("\nfor example ")
        .code(slash(&with(first)));
    let buttons = known
        .iter()
        .take(MOST_BUTTONS)
        .map(|project| Button::plain(project.as_str(), with(project)));
    said(
        Text::from("⛔ for which project? this channel doesn't say; nothing was done"),
        hint,
    )
    .buttons(buttons.collect())
}

/// What is wrong; then what was meant, the hint, and the example.
fn corrected(wrong: Text, nearest: Option<&Meant>, hint: Text, example: &str) -> Message {
    let meant = nearest.map(|meant| did_you_mean(meant).plain("\n"));
    let help = joined(meant.unwrap_or_default(), hint);
    let help = help.plain("for example ").code(slash(example));
    said(wrong.plain("; nothing was done"), help).buttons(nearest.map(button).unwrap_or_default())
}

/// The first line says what to do next as well: on a locked phone nobody sees more.
fn said(wrong: Text, help: Text) -> Message {
    Message::new(joined(wrong.plain(" — "), help))
}

/// As it is typed in chat: whoever copies it at night must not have to know what stands before it.
fn slash(line: &str) -> String {
    format!("/ops {line}")
}

fn did_you_mean(meant: &Meant) -> Text {
    Text::from("did you mean ")
        .code(meant.word.as_str())
        .plain("?")
}

fn joined(mut text: Text, more: Text) -> Text {
    text.0.extend(more.0);
    text
}

fn button(meant: &Meant) -> Vec<Button> {
    let line = meant.line.as_deref();
    line.map(|line| Button::primary(&echo(&meant.word), line))
        .into_iter()
        .collect()
}

fn projects(known: &[ProjectName]) -> Text {
    if known.is_empty() {
        return Text::from("there is no project yet");
    }
    listed(
        Text::from("there is "),
        known.iter().map(ProjectName::as_str),
    )
}

/// Appends names with commas between them.
fn listed<'a>(mut text: Text, names: impl ExactSizeIterator<Item = &'a str>) -> Text {
    let unshown = names.len().saturating_sub(MOST_NAMES);
    for (position, name) in names.take(MOST_NAMES).enumerate() {
        let between = if position == 0 { "" } else { ", " };
        text = text.plain(between).code(name);
    }
    match unshown {
        0 => text,
        more => text.plain(format!(" and {more} more")),
    }
}

/// A sentence in which backticks mark what is typed.
fn sentence(words: &str) -> Text {
    let mut text = Text::new();
    for (position, part) in words.split('`').enumerate() {
        text = match position % 2 {
            _ if part.is_empty() => text,
            0 => text.plain(part),
            _ => text.code(part),
        };
    }
    text
}

fn wrong(what: &str) -> Text {
    joined(Text::from("⛔ "), sentence(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Block, CommandName, ParameterName, Reference, Span};

    /// A message as plain text.
    fn printed(message: &Message) -> String {
        let span = |span: &Span| match span {
            Span::Plain(words) | Span::Bold(words) => words.clone(),
            Span::Code(words) => format!("`{words}`"),
            Span::Person(person) | Span::Ping(person) => format!("@{person}"),
            Span::Time(at) => at.to_string(),
            Span::Thread(thread) => thread.message.clone(),
        };
        let block = |block: &Block| match block {
            Block::Text(text) => text.0.iter().map(span).collect::<String>(),
            Block::Buttons(buttons) => buttons
                .iter()
                .map(|button| format!("[{}: {}]", button.label, button.says))
                .collect::<Vec<_>>()
                .join(" "),
            other => format!("{other:?}"),
        };
        let blocks: Vec<String> = message.blocks.iter().map(block).collect();
        blocks.join("\n")
    }

    fn meant(word: &str, line: &str) -> Meant {
        Meant {
            word: word.to_owned(),
            line: Some(line.to_owned()),
        }
    }

    fn project_names(names: &[&str]) -> Vec<ProjectName> {
        let name = |name: &&str| ProjectName::parse(name).unwrap();
        names.iter().map(name).collect()
    }

    /// Every variant, and the forms in which it reads differently.
    fn all() -> Vec<Refusal> {
        let example = || "flush-cache staging".to_owned();
        let command = || CommandName::parse("flush-cache").unwrap();
        let parameter = |name: &str| ParameterName::parse(name).unwrap();
        let many: Vec<String> = (0..14).map(|n| format!("p{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let bad_value = |typed: Option<&str>, nearest| Refusal::BadValue {
            parameter: parameter("environment"),
            typed: typed.map(str::to_owned),
            expected: "one of staging, prod".to_owned(),
            nearest,
            example: example(),
        };
        vec![
            Refusal::TooLong { limit: 4_000 },
            Refusal::OpenQuote,
            Refusal::UnknownCommand {
                typed: "flsh".to_owned(),
                nearest: Some(Box::new(meant("flush-cache", "flush-cache prod"))),
            },
            Refusal::UnknownCommand {
                typed: "coffee".to_owned(),
                nearest: None,
            },
            Refusal::UnknownProject {
                typed: "shpo".to_owned(),
                nearest: Some(Box::new(meant("shop", "flush-cache shop/prod"))),
                known: project_names(&["blog", "shop"]),
            },
            Refusal::UnknownProject {
                typed: "x".to_owned(),
                nearest: None,
                known: vec![],
            },
            Refusal::WhichProject {
                typed: "flush-cache prod".to_owned(),
                known: project_names(&many),
            },
            Refusal::WhichProject {
                typed: "flush-cache prod".to_owned(),
                known: vec![],
            },
            Refusal::UnknownParameter {
                command: command(),
                typed: "--agian".to_owned(),
                nearest: Some(Box::new(meant("--again", "flush-cache prod --again"))),
                example: example(),
            },
            Refusal::GivenTwice {
                parameter: parameter("path"),
                example: example(),
            },
            Refusal::TooManyWords {
                word: "again".to_owned(),
                usage: "flush-cache <environment> [path]".to_owned(),
                example: example(),
            },
            bad_value(
                Some("prdo"),
                Some(Box::new(meant("prod", "flush-cache prod"))),
            ),
            bad_value(Some(""), None),
            bad_value(None, None),
            Refusal::Missing {
                command: command(),
                parameters: vec![parameter("environment"), parameter("path")],
                says: "flush-cache".to_owned(),
                example: example(),
            },
            Refusal::BadBuiltin {
                what: "`list` takes nothing after it, not `x`".to_owned(),
                example: "list".to_owned(),
            },
            Refusal::UnknownReference {
                reference: Reference::parse("7f3k").unwrap(),
            },
            Refusal::NotNow {
                what: "`7f3k` has ended".to_owned(),
                next: "`show 7f3k` tells how".to_owned(),
                word: "ended",
            },
            Refusal::Bot,
            Refusal::Edited,
            Refusal::Stranger,
            Refusal::Fault {
                code: "7f3k-2".to_owned(),
            },
        ]
    }

    #[test]
    fn every_refusal_reads_well() {
        let all: Vec<String> = all().iter().map(|r| printed(&r.message())).collect();
        insta::assert_snapshot!(all.join("\n\n"));
    }

    #[test]
    fn every_refusal_says_in_its_first_line_that_nothing_was_done_and_what_to_do() {
        for refusal in all() {
            let shown = printed(&refusal.message());
            let first = shown.lines().next().unwrap();
            let (_, next) = first.split_once("; nothing was done — ").unwrap();
            assert!(!next.is_empty(), "{first}");
        }
    }
}
