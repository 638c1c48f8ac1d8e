//! The grammar of what people type: text becomes an invocation or a question once, here; nothing downstream sees it again.
//!
//! No text panics, and what [`Invocation::typed_in_full`] prints reads as the same invocation.

mod arguments;
mod corrections;
mod examples;
mod glass;
mod history;
mod link;
mod lock;
mod may;
mod nearest;
mod oncall;
mod page;
mod questions;
mod reading;
mod saying;
#[cfg(test)]
mod tests;
mod timeline;
mod values;
mod words;

use std::sync::Arc;

pub use examples::examples_of;
pub(in crate::domain) use nearest::{echo, nearest};
pub use questions::{Arrangement, At, BUILT_INS, Question};
pub use saying::say_pair;
pub(in crate::domain) use words::{LONGEST_LINE, MOST_WORDS, Word, split_loosely};

use super::{Catalog, Command, Invocation, Meant, Project, ProjectName, Refusal};

/// Names that no command may declare as a parameter: the grammar uses them itself.
pub const RESERVED_PARAMETERS: [&str; 3] = ["project", "again", "reason"];

/// What a text is understood with.
#[derive(Debug, Clone, Copy)]
pub struct Hearing<'a> {
    /// What exists.
    pub catalog: &'a Catalog,
    /// Id of the channel in which it was said; it may imply the project.
    pub channel: &'a str,
}

/// What a text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// Use a command of the catalog.
    Invoke(Invocation),
    /// Use one of our own words.
    Ask(Question),
}

/// Reads what a person typed, after an optional `/ops` or `ops`.
pub fn parse(text: &str, hearing: &Hearing<'_>) -> Result<Typed, Refusal> {
    let words = words::split(without_backticks(text))?;
    let words = without_address(&words);
    let Some(first) = words.first() else {
        return Ok(Typed::Ask(match hearing.implied_project() {
            Some(project) => Question::Orient {
                project: project.name.clone(),
            },
            None => Question::Help { topic: None },
        }));
    };
    if first.is("break-glass") {
        return glass::read(words, hearing);
    }
    match questions::ask(&first.text.to_ascii_lowercase(), words, hearing) {
        Some(question) => question.map(Typed::Ask),
        None => invocation_or_help(words, hearing),
    }
}

fn invocation_or_help(words: &[Word], hearing: &Hearing<'_>) -> Result<Typed, Refusal> {
    let command = hearing.command(words)?;
    let asks_for_help = words[1..]
        .iter()
        .take_while(|word| !word.is("--"))
        .any(|word| word.is("--help") || word.is("-h"));
    if asks_for_help && command.parameter("help").is_none() {
        return Ok(Typed::Ask(Question::Help {
            topic: Some(command.name.clone()),
        }));
    }
    if command.parameter("plan").is_none() && words[1..].iter().any(|word| word.is("--plan")) {
        let asked = words.iter().filter(|word| !word.is("--plan")).cloned();
        let asked: Vec<Word> = asked.collect();
        let invocation = Box::new(arguments::read(command, &asked, hearing)?);
        return Ok(Typed::Ask(Question::Card { invocation }));
    }
    arguments::read(command, words, hearing).map(Typed::Invoke)
}

/// A command copied from a thread brings its backticks along.
fn without_backticks(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix('`').and_then(|t| t.strip_suffix('`'));
    inner.map_or(text, |inner| inner.trim_matches('`'))
}

/// The words after the leading `/ops`, if it is there.
pub(in crate::domain) fn without_address(words: &[Word]) -> &[Word] {
    match words {
        [first, rest @ ..] if first.is("/ops") || first.is("ops") => rest,
        _ => words,
    }
}

impl<'a> Hearing<'a> {
    /// The project that needs no naming: the channel's, or the only one there is.
    pub fn implied_project(&self) -> Option<&'a Arc<Project>> {
        let projects = &self.catalog.projects;
        let only = || projects.values().next().filter(|_| projects.len() == 1);
        self.catalog.project_of_channel(self.channel).or_else(only)
    }

    /// The command that the first word names.
    fn command(&self, words: &[Word]) -> Result<&'a Arc<Command>, Refusal> {
        let typed = words.first().map_or("", |word| word.text.as_str());
        self.catalog
            .commands
            .get(typed.to_ascii_lowercase().as_str())
            .ok_or_else(|| self.unknown_command(words))
    }

    fn unknown_command(&self, words: &[Word]) -> Refusal {
        let typed = words.first().map_or("", |word| word.text.as_str());
        let named = typed.to_ascii_lowercase();
        if self.catalog.broken.contains(&named) {
            return Refusal::NotNow {
                what: format!("the file of `{named}` has a mistake, so nobody can run it now"),
                next: "ask whoever keeps the command files to correct it; `midwatch check` names the line".to_owned(),
                word: "broken_file",
            };
        }
        // `flush cache` is `flush-cache`.
        let joined = words
            .get(1)
            .map(|second| format!("{typed}-{}", second.text).to_ascii_lowercase())
            .filter(|joined| self.catalog.commands.contains_key(joined.as_str()));
        let (word, used) = match joined {
            Some(joined) => (Some(joined), 2),
            None => (self.nearest_command(typed).map(str::to_owned), 1),
        };
        Refusal::UnknownCommand {
            typed: echo(typed),
            nearest: word.map(|word| {
                let rest = words.iter().skip(used).map(Word::typed);
                let line: Vec<String> = std::iter::once(word.clone()).chain(rest).collect();
                let secret = self
                    .catalog
                    .commands
                    .get(word.as_str())
                    .is_some_and(|c| corrections::takes_secret(c));
                Box::new(Meant {
                    line: (!secret).then(|| line.join(" ")),
                    word,
                })
            }),
        }
    }

    fn nearest_command(&self, typed: &str) -> Option<&'a str> {
        let commands = self.catalog.commands.keys().map(super::CommandName::as_str);
        nearest(typed, commands.chain(BUILT_INS))
    }

    /// The project of this name, in any case. `line` makes the whole line with another name in its place.
    fn project(
        &self,
        typed: &str,
        line: impl FnOnce(&str) -> Option<String>,
    ) -> Result<&'a Arc<Project>, Refusal> {
        let projects = &self.catalog.projects;
        projects
            .get(typed.to_ascii_lowercase().as_str())
            .ok_or_else(|| {
                let word = nearest(typed, projects.keys().map(ProjectName::as_str));
                Refusal::UnknownProject {
                    typed: echo(typed),
                    nearest: word.map(|word| {
                        Box::new(Meant {
                            word: word.to_owned(),
                            line: line(word),
                        })
                    }),
                    known: projects.keys().cloned().collect(),
                }
            })
    }
}
