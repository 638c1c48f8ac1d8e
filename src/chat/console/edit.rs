//! Helps whoever types on a terminal: completes our words, and those of the catalog, at the Tab key.

use std::borrow::Cow;

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::Complete;
use crate::chat::CurrentCatalog;

/// Words that the console itself understands, as they are completed.
const WORDS: [&str; 5] = ["/ops ", "/as ", "/in ", "/help ", "/quit"];

/// What the line editor asks while a line is typed.
pub(super) struct Edit {
    /// Where the speaker is.
    pub(super) channel: String,
    /// Completes our grammar.
    pub(super) complete: Complete,
    /// For the names of persons and channels.
    pub(super) catalog: CurrentCatalog,
    /// Whether the prompt is coloured.
    pub(super) colour: bool,
}

impl Edit {
    /// Where the word at the cursor starts, and what it may become.
    fn candidates(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        let typed = line.get(..cursor).unwrap_or(line);
        let Some((word, rest)) = typed.split_once(' ') else {
            if typed.starts_with('/') {
                let fitting = WORDS.iter().filter(|word| word.starts_with(typed));
                return (0, fitting.map(|word| (*word).to_owned()).collect());
            }
            return (self.complete)(line, cursor, &self.channel);
        };
        let skipped = word.len() + 1;
        let catalog = self.catalog.load();
        match word {
            "/as" => {
                let names = catalog.people.persons.keys().map(ToString::to_string);
                (skipped, fitting(names, rest))
            }
            "/in" => (skipped, fitting(catalog.channels.keys().cloned(), rest)),
            "/ops" => {
                let line = line.get(skipped..).unwrap_or_default();
                let (start, found) = (self.complete)(line, cursor - skipped, &self.channel);
                (start + skipped, found)
            }
            _ => (self.complete)(line, cursor, &self.channel),
        }
    }
}

fn fitting(names: impl Iterator<Item = String>, typed: &str) -> Vec<String> {
    let mut found: Vec<String> = names.filter(|name| name.starts_with(typed)).collect();
    found.sort();
    found
}

impl Completer for Edit {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line, cursor))
    }
}

impl Highlighter for Edit {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        _default: bool,
    ) -> Cow<'b, str> {
        if self.colour {
            Cow::Owned(format!("\x1b[1m{prompt}\x1b[0m"))
        } else {
            Cow::Borrowed(prompt)
        }
    }
}

impl Hinter for Edit {
    type Hint = String;
}

impl Validator for Edit {}
impl Helper for Edit {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arc_swap::ArcSwap;

    use super::*;
    use crate::domain::{Catalog, Person, PersonId, ProjectName};

    fn edit() -> Edit {
        let mut catalog = Catalog::default();
        for id in ["ana", "kim", "kit"] {
            let person = Person {
                hours: None,
                second_factor: None,
                name: id.to_owned(),
                accounts: std::collections::BTreeMap::new(),
            };
            let id = PersonId::parse(id).unwrap();
            catalog.people.persons.insert(id, person);
        }
        let shop = ProjectName::parse("shop").unwrap();
        catalog.channels.insert("shop".to_owned(), shop);
        Edit {
            channel: "shop".to_owned(),
            // Stands for the parser: shows what it was asked, and that its start is moved back by what was cut off.
            complete: Arc::new(|line, cursor, channel| {
                (cursor, vec![format!("{channel}|{line}|{cursor}")])
            }),
            catalog: Arc::new(ArcSwap::from_pointee(catalog)),
            colour: false,
        }
    }

    #[test]
    fn the_word_at_the_cursor_is_completed() {
        let edit = edit();
        for (line, cursor, start, found) in [
            ("/", 1, 0, &["/ops ", "/as ", "/in ", "/help ", "/quit"][..]),
            ("/o", 2, 0, &["/ops "]),
            ("/as k", 5, 4, &["kim", "kit"]),
            ("/as z", 5, 4, &[]),
            ("/in s", 5, 4, &["shop"]),
            ("/ops flush", 10, 10, &["shop|flush|5"]),
            ("/ops flush-cache prod", 7, 7, &["shop|flush-cache prod|2"]),
            ("flush", 5, 5, &["shop|flush|5"]),
            ("", 0, 0, &["shop||0"]),
            ("/ops né", 8, 8, &["shop|né|3"]),
        ] {
            let (at, words) = edit.candidates(line, cursor);
            assert_eq!(
                (at, &words[..]),
                (
                    start,
                    &found.iter().map(ToString::to_string).collect::<Vec<_>>()[..]
                ),
                "{line}"
            );
        }
    }
}
