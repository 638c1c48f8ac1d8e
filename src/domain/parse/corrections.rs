//! Refusals of arguments: what was probably meant, as a whole line that can be pressed.
//!
//! While a word that may be a secret is unread, it is not repeated.

use std::sync::Arc;

use super::reading::{Given, Reading};
use super::values::{self, NotAValue};
use super::words::Word;
use super::{RESERVED_PARAMETERS, echo, examples, nearest};
use crate::domain::{Command, Meant, ParameterKind, ParameterName, Refusal, quoted};

/// Shown in the place of a word that may be a secret.
pub(super) const UNREAD: &str = "…";

impl Reading<'_> {
    pub(super) fn unknown_parameter(&self, typed: &str, index: usize) -> Refusal {
        let word = &self.words[index];
        let dashed = word.bare().starts_with('-');
        let bare = typed.trim_start_matches('-');
        let name = bare.split_once('=').map_or(bare, |(name, _)| name);
        let names = self.command.parameters.iter().map(|p| p.name.as_str());
        let found = nearest(name, names.chain(RESERVED_PARAMETERS));
        let secret = takes_secret(self.command);
        let meant = found.map(|found| {
            let lead = if dashed { "--" } else { "" };
            let value = word.text.split_once('=').map(|(_, value)| value);
            let corrected = match value {
                Some(value) => format!("{lead}{found}={}", quoted(value)),
                None => format!("{lead}{found}"),
            };
            let mut line: Vec<String> = self.words.iter().map(Word::typed).collect();
            line[index] = corrected;
            Box::new(Meant {
                word: format!("{lead}{found}"),
                line: (!secret).then(|| line.join(" ")),
            })
        });
        Refusal::UnknownParameter {
            command: self.command.name.clone(),
            typed: self.echo_unread(typed),
            nearest: meant,
            example: self.example(),
        }
    }

    pub(super) fn given_twice(&self, name: &str) -> Refusal {
        Refusal::GivenTwice {
            parameter: reserved_name(name),
            example: self.example(),
        }
    }

    pub(super) fn without_value(&self, name: &str, given: Given) -> Refusal {
        let expected = match self.command.parameter(name) {
            Some(parameter) => {
                let project = self.hearing.implied_project();
                let environments = project.map_or(&[][..], |p| &p.environments);
                values::expected(&parameter.kind, environments)
            }
            None => "a value".to_owned(),
        };
        let wrong = NotAValue {
            part: String::new(),
            expected,
            nearest: None,
        };
        self.bad_value(&reserved_name(name), false, &[given], wrong)
    }

    pub(super) fn bad_value(
        &self,
        parameter: &ParameterName,
        secret: bool,
        given: &[Given],
        wrong: NotAValue,
    ) -> Refusal {
        let nearest = wrong.nearest.map(|word| {
            let items: Vec<&str> = given
                .iter()
                .flat_map(|given| given.text.split(','))
                .map(|item| {
                    if item.trim() == wrong.part {
                        &word
                    } else {
                        item
                    }
                })
                .collect();
            Box::new(Meant {
                line: (!secret).then(|| self.line_with(given, &items.join(","))),
                word,
            })
        });
        Refusal::BadValue {
            parameter: parameter.clone(),
            typed: (!takes_secret(self.command)).then(|| echo(&wrong.part)),
            expected: wrong.expected,
            nearest,
            example: self.example(),
        }
    }

    /// The line with this value in the place of what was given.
    pub(super) fn line_with(&self, given: &[Given], value: &str) -> String {
        let covered = |index: usize| given.iter().any(|given| given.words.contains(&index));
        let mut line: Vec<String> = Vec::new();
        for (index, word) in self.words.iter().enumerate() {
            match given.first() {
                Some(first) if first.words.start == index => {
                    let value = quoted(&format!("{value}{}", first.tail));
                    line.push(format!("{}{value}", first.lead));
                }
                _ if covered(index) => {}
                _ => line.push(word.typed()),
            }
        }
        line.join(" ")
    }

    /// A word that has not been read yet: it may be a secret that somebody typed.
    pub(super) fn echo_unread(&self, text: &str) -> String {
        if takes_secret(self.command) {
            UNREAD.to_owned()
        } else {
            echo(text)
        }
    }

    pub(super) fn example(&self) -> String {
        let projects = &self.hearing.catalog.projects;
        let named = self
            .given
            .get("project")
            .and_then(|given| projects.get(given[0].text.to_ascii_lowercase().as_str()));
        let project = named.or_else(|| self.hearing.implied_project());
        examples::example(self.command, &self.hearing, project.map(Arc::as_ref))
    }
}

/// Whether any of its arguments names a secret: then nothing unread may be repeated, it could be the secret itself.
pub(super) fn takes_secret(command: &Command) -> bool {
    command.parameters.iter().any(|p| names_secret(&p.kind))
}

pub(super) fn names_secret(kind: &ParameterKind) -> bool {
    match kind {
        ParameterKind::Secret { .. } => true,
        ParameterKind::List { of, .. } => names_secret(of),
        _ => false,
    }
}

/// The words as they have to be typed.
pub(super) fn line_of(words: &[Word]) -> String {
    let words: Vec<String> = words.iter().map(Word::typed).collect();
    words.join(" ")
}

/// The name of a parameter, or one of ours: it was matched against a name before.
pub(super) fn reserved_name(name: &str) -> ParameterName {
    ParameterName::parse(name).expect("it equals a declared or a reserved name, and both are names")
}
