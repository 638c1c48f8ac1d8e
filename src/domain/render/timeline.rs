//! `timeline PROJECT`: one line for each happening, newest first, in words that can be read aloud.

use std::time::Duration;

use super::rules::changes_in_words;
use super::{append, field, outcome_word, who};
use crate::domain::{
    Block, Button, Field, Happening, LockEvent, Message, Outcome, RunState, Span, Text, Timeline,
    TimelineAsk, What, show_elapsed,
};

/// Digits of a commit's hash that people copy.
const HASH_DIGITS: usize = 8;

/// A page of a timeline; its button asks for what stands before.
pub fn timeline(timeline: &Timeline, ask: &TimelineAsk) -> Message {
    let mut message = Message::new(first_line(timeline, ask));
    let fields: Vec<Field> = timeline.lines.iter().map(as_field).collect();
    if !fields.is_empty() {
        message = message.with(Block::Fields(fields));
    }
    for missing in &timeline.missing {
        message = message.text(Text::from("⚠️ ").plain(missing.clone()));
    }
    let earlier = timeline.earlier.map(|before| ask.earlier(before));
    message.buttons(
        earlier
            .map(|says| Button::plain("Earlier", says))
            .into_iter()
            .collect(),
    )
}

/// Whether a line has all of these words, in any case: what is shown is what is searched.
pub fn line_has(happening: &Happening, words: &str) -> bool {
    let shown = as_field(happening);
    let shown = format!("{} {}", shown.label, as_plain(&shown.value)).to_lowercase();
    words
        .to_lowercase()
        .split_whitespace()
        .all(|word| shown.contains(word))
}

fn first_line(timeline: &Timeline, ask: &TimelineAsk) -> Text {
    let project = &timeline.project;
    let count = timeline.lines.len();
    let text = match (count, timeline.earlier) {
        (0, None) if ask.before.is_some() => {
            Text::new().plain(format!("Nothing earlier is recorded of {project}"))
        }
        (0, None) => Text::new().plain(format!("Nothing is recorded of {project}")),
        (0, Some(_)) => Text::new().plain(format!("Nothing was found of {project} yet")),
        (1, _) => Text::new().plain(format!("What happened to {project}: one line")),
        (count, _) => Text::new().plain(format!(
            "What happened to {project}: {count} lines, newest first"
        )),
    };
    let text = match timeline.since {
        Some(at) => text.plain(", since ").time(at),
        None => text,
    };
    let text = match &timeline.about {
        Some(about) => text.plain(format!(", about “{about}”")),
        None => text,
    };
    if count > 0 {
        return text
            .plain("; ")
            .code("/ops summary REF")
            .plain(" tells a run in plain words");
    }
    if timeline.earlier.is_some() {
        return text.plain("; press Earlier to look further back");
    }
    let asked_for_less = timeline.since.is_some() || timeline.about.is_some();
    if asked_for_less {
        text.plain("; leave out since or about to see more")
    } else {
        text
    }
}

/// A line: what it is called, and what happened.
fn as_field(happening: &Happening) -> Field {
    let (label, text) = match &happening.what {
        What::Run {
            reference,
            command,
            by,
            with_consent,
            state,
            took_ms,
        } => {
            let consent = if *with_consent {
                ", needing consent"
            } else {
                ""
            };
            let text = by_whom(sign(*state), command, who(by)).plain(consent);
            let text = text.plain(format!(" — {}", state_in_words(*state, *took_ms)));
            (reference.to_string(), text)
        }
        What::NotRun {
            command,
            by,
            held,
            because,
            rule,
        } => {
            let label = if *held { "held" } else { "denied" };
            let text = by_whom("⛔", command, who(by));
            let text = text.plain(format!(" — {}", not_run_in_words(*held, because)));
            let text = match rule {
                Some(rule) => text.plain(", says ").code(rule.to_string()),
                None => text,
            };
            (label.to_owned(), text)
        }
        What::RulesChanged { revision, changes } => {
            let text = format!(
                "📜 the rules changed, revision {revision} — {}",
                changes_in_words(changes)
            );
            ("rules".to_owned(), Text::new().plain(text))
        }
        What::FilesNotTaken {
            mistakes,
            first,
            revision,
        } => {
            let noun = if *mistakes == 1 {
                "mistake"
            } else {
                "mistakes"
            };
            let text = format!(
                "⚠️ changed files were not taken, revision {revision} stays in force: {mistakes} {noun}, first {first}"
            );
            ("files".to_owned(), Text::new().plain(text))
        }
        What::Lock { target, by, became } => {
            let text = match became {
                LockEvent::Taken { reason, .. } => {
                    let text = append(Text::from("🔒 locked by "), who(by));
                    text.plain(format!(": {target}, {reason}"))
                }
                LockEvent::Released => {
                    let text = append(Text::from("🔓 unlocked by "), who(by));
                    text.plain(format!(": {target}"))
                }
                LockEvent::Ended => {
                    let text = append(Text::from("🔓 the lock of "), who(by));
                    text.plain(format!(" ended by itself: {target}"))
                }
            };
            ("lock".to_owned(), text)
        }
        What::Page {
            reference,
            by,
            acknowledged,
        } => {
            let words = if *acknowledged {
                "🙋 answered by "
            } else {
                "📟 people were called, for "
            };
            (reference.to_string(), append(Text::from(words), who(by)))
        }
        What::SetBack { why } => {
            let text = format!("⚠️ the database was set back to an older state: {why}");
            ("database".to_owned(), Text::new().plain(text))
        }
        What::Commit {
            commit,
            author,
            summary,
            files,
        } => {
            let text = Text::new().plain(format!("📝 {author} changed the files: {summary}"));
            let text = match files.as_slice() {
                [] => text,
                [one] => text.plain(" · ").code(one.clone()),
                [one, rest @ ..] => text
                    .plain(" · ")
                    .code(one.clone())
                    .plain(format!(" and {} more", rest.len())),
            };
            (commit.chars().take(HASH_DIGITS).collect(), text)
        }
    };
    field(&label, text.plain(" · ").time(happening.at))
}

fn by_whom(sign: &str, command: &str, person: Text) -> Text {
    let text = Text::from(sign).plain(" ").code(command).plain(" by ");
    append(text, person)
}

fn sign(state: RunState) -> &'static str {
    match state {
        RunState::Open => "⏳",
        RunState::Ended(Outcome::Succeeded) => "✅",
        RunState::Ended(Outcome::Failed) => "❌",
        RunState::Ended(Outcome::Cancelled) => "🛑",
        RunState::Ended(Outcome::Expired) => "⌛",
        RunState::Ended(Outcome::NeedsAttention) | RunState::NotKnown => "⚠️",
    }
}

fn state_in_words(state: RunState, took_ms: Option<u64>) -> String {
    let took = |word: &str| match took_ms {
        Some(ms) => format!("{word} after {}", show_elapsed(Duration::from_millis(ms))),
        None => word.to_owned(),
    };
    match state {
        RunState::Open => "not over yet".to_owned(),
        RunState::NotKnown => "how it ended is not known here".to_owned(),
        RunState::Ended(Outcome::NeedsAttention) => {
            "needs attention: somebody has to say what happened".to_owned()
        }
        RunState::Ended(outcome) => took(outcome_word(outcome)),
    }
}

fn not_run_in_words(held: bool, because: &str) -> String {
    let held_words = match because {
        "late" => "it came too late",
        "running" => "it was running already",
        "just_done" => "somebody had just done it",
        other => other,
    };
    if held {
        return format!("held: {held_words}");
    }
    because.to_owned()
}

/// The words of a text, people by their ids.
fn as_plain(text: &Text) -> String {
    let spans = text.0.iter().map(|span| match span {
        Span::Plain(words) | Span::Bold(words) | Span::Code(words) => words.clone(),
        Span::Person(person) | Span::Ping(person) => format!("@{person}"),
        Span::Time(at) => at.to_string(),
        Span::Thread(thread) => thread.message.clone(),
    });
    spans.collect()
}

#[cfg(test)]
mod tests;
