//! Sorts the words after a command: which parameter each of them is for.

use std::collections::BTreeMap;
use std::ops::Range;

use super::corrections::takes_secret;
use super::words::Word;
use super::{Hearing, RESERVED_PARAMETERS, echo, examples};
use crate::domain::{Command, Meant, Parameter, ParameterKind, Refusal};

/// What has been understood so far.
pub(super) struct Reading<'a> {
    pub(super) command: &'a Command,
    pub(super) words: &'a [Word],
    pub(super) hearing: Hearing<'a>,
    /// By the name of a parameter, or a reserved one. Never empty lists; several only for a list's words.
    pub(super) given: BTreeMap<String, Vec<Given>>,
    /// Words without a name, in order, until they have one.
    pub(super) loose: Vec<Given>,
}

/// The text of one argument, and where it stands, so that a better one can be put in its place.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) text: String,
    /// The words it came from.
    pub(super) words: Range<usize>,
    /// What is typed before it: `path=`.
    pub(super) lead: String,
    /// What is typed after it: `/prod` after a project.
    pub(super) tail: String,
}

impl Given {
    pub(super) fn new(text: &str, words: Range<usize>, lead: String) -> Self {
        Self {
            text: text.to_owned(),
            words,
            lead,
            tail: String::new(),
        }
    }
}

impl Reading<'_> {
    pub(super) fn sort_words(&mut self) -> Result<(), Refusal> {
        let words = self.words;
        let mut index = 1;
        while let Some(word) = words.get(index) {
            let mut used = 1;
            if word.is("--") {
                self.loose.extend(
                    (index + 1..words.len())
                        .map(|i| Given::new(&words[i].text, i..i + 1, String::new())),
                );
                return Ok(());
            } else if word.bare().starts_with("--") {
                used = self.take_option(index)?;
            } else if let Some((key, value)) = word.pair() {
                self.take_pair(key, Given::new(value, index..index + 1, format!("{key}=")))?;
            } else if looks_like_option(word) {
                return Err(self.unknown_parameter(&word.text, index));
            } else {
                self.loose
                    .push(Given::new(&word.text, index..index + 1, String::new()));
            }
            index += used;
        }
        Ok(())
    }

    pub(super) fn take_pair(&mut self, key: &str, given: Given) -> Result<(), Refusal> {
        match self.target(key) {
            Some((name, _)) => self.give(&name, given),
            None => Err(self.unknown_parameter(key, given.words.start)),
        }
    }

    /// Takes `--name=value`, `--name value`, `--flag` or `--no-flag`; answers how many words it used.
    pub(super) fn take_option(&mut self, index: usize) -> Result<usize, Refusal> {
        let words = self.words;
        let word = &words[index];
        let option = word.text.get(2..).unwrap_or_default();
        let has_value = word.bare().contains('=');
        if let (true, Some((key, value))) = (has_value, option.split_once('=')) {
            let given = Given::new(value, index..index + 1, format!("--{key}="));
            return self.take_pair(key, given).map(|()| 1);
        }
        let flag = |yes: &str, name: &str| Given::new(yes, index..index + 1, format!("--{name}="));
        match self.target(option) {
            Some((name, true)) => self.give(&name, flag("true", &name)).map(|()| 1),
            Some((name, false)) => match words.get(index + 1) {
                Some(next) if !next.bare().starts_with("--") => {
                    let lead = format!("--{name} ");
                    self.give(&name, Given::new(&next.text, index..index + 2, lead))
                        .map(|()| 2)
                }
                _ => Err(self.without_value(&name, flag("", &name))),
            },
            None => match option.strip_prefix("no-").and_then(|o| self.target(o)) {
                Some((name, true)) => self.give(&name, flag("false", &name)).map(|()| 1),
                _ => Err(self.unknown_parameter(&word.text, index)),
            },
        }
    }

    /// The parameter or reserved name that is meant, and whether it is a boolean.
    pub(super) fn target(&self, typed: &str) -> Option<(String, bool)> {
        let typed = typed.to_ascii_lowercase();
        if RESERVED_PARAMETERS.contains(&typed.as_str()) {
            let boolean = typed == "again";
            return Some((typed, boolean));
        }
        let parameter = self.command.parameter(&typed)?;
        Some((typed, matches!(parameter.kind, ParameterKind::Boolean)))
    }

    pub(super) fn give(&mut self, name: &str, given: Given) -> Result<(), Refusal> {
        let before = self.given.insert(name.to_owned(), vec![given]);
        if before.is_some() && name != "again" {
            return Err(self.given_twice(name));
        }
        Ok(())
    }

    /// Words without a name fill what has none yet; the last list takes all that remain.
    pub(super) fn fill_positions(&mut self) -> Result<(), Refusal> {
        let open: Vec<&Parameter> = self
            .command
            .positional()
            .into_iter()
            .filter(|parameter| !self.given.contains_key(parameter.name.as_str()))
            .collect();
        let mut loose = std::mem::take(&mut self.loose).into_iter();
        for (position, parameter) in open.iter().enumerate() {
            let is_list = matches!(parameter.kind, ParameterKind::List { .. });
            let most = if is_list && position + 1 == open.len() {
                usize::MAX
            } else {
                1
            };
            let taken: Vec<Given> = loose.by_ref().take(most).collect();
            if !taken.is_empty() {
                self.given.insert(parameter.name.to_string(), taken);
            }
        }
        match loose.next() {
            None => Ok(()),
            Some(extra) => Err(Refusal::TooManyWords {
                word: self.echo_unread(&extra.text),
                usage: self.command.usage(),
                example: self.example(),
            }),
        }
    }

    /// `flush-cache shop prod`: a project is written before the environment, with a slash.
    pub(super) fn refuse_project_as_environment(&self) -> Result<(), Refusal> {
        let (Some(parameter), [first, second, ..]) =
            (self.command.environment_parameter(), &self.loose[..])
        else {
            return Ok(());
        };
        let named = |name: &str| self.given.contains_key(name);
        let is_next = self
            .command
            .positional()
            .into_iter()
            .find(|p| !named(p.name.as_str()))
            .is_some_and(|p| p.name == parameter.name);
        let implied = self.hearing.implied_project();
        let is_environment =
            implied.is_some_and(|p| p.environment(&first.text.to_ascii_lowercase()).is_some());
        let projects = &self.hearing.catalog.projects;
        let environment = second.text.to_ascii_lowercase();
        let project = projects
            .get(first.text.to_ascii_lowercase().as_str())
            .filter(|project| project.environment(&environment).is_some());
        let (Some(project), true, false) = (project, is_next && !named("project"), is_environment)
        else {
            return Ok(());
        };
        let word = format!("{}/{environment}", project.name);
        let both = [first.clone(), second.clone()];
        Err(Refusal::BadValue {
            parameter: parameter.name.clone(),
            typed: Some(echo(&first.text)),
            expected: "an environment; a project goes before it with a slash".to_owned(),
            nearest: Some(Box::new(Meant {
                line: (!takes_secret(self.command)).then(|| self.line_with(&both, &word)),
                word,
            })),
            example: examples::example(self.command, &self.hearing, Some(project)),
        })
    }

    /// `shop/prod` names the project, too.
    pub(super) fn take_projects_from_environments(&mut self) -> Result<(), Refusal> {
        for parameter in &self.command.parameters {
            let is_environment = matches!(parameter.kind, ParameterKind::Environment);
            let given = self.given.get_mut(parameter.name.as_str());
            let Some([given]) = given.filter(|_| is_environment).map(Vec::as_mut_slice) else {
                continue;
            };
            let Some((project, environment)) = given.text.split_once('/') else {
                continue;
            };
            let mut named = Given::new(project, given.words.clone(), given.lead.clone());
            named.tail = format!("/{environment}");
            let environment = environment.to_owned();
            given.lead = format!("{}{project}/", given.lead);
            given.text = environment;
            match self.given.get("project").map(|before| &before[0].text) {
                Some(before) if before.eq_ignore_ascii_case(&named.text) => {}
                Some(_) => return Err(self.given_twice("project")),
                None => {
                    self.given.insert("project".to_owned(), vec![named]);
                }
            }
        }
        Ok(())
    }
}

/// `-x`, which no command here takes.
fn looks_like_option(word: &Word) -> bool {
    word.bare()
        .strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(char::is_alphabetic))
}
