//! A request as handlers see it: who asks, with what, read strictly. What nobody reads is refused, not passed over.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use super::problem::Problem;
use crate::domain::{
    Catalog, Command, CommandName, Hearing, Project, ProjectName, Question, Scope, TokenTerms,
    Typed, parse, render, take_code,
};

/// A request.
pub(super) struct Asked {
    /// Who asks, and what their token is good for.
    pub(super) terms: TokenTerms,
    /// The parts of the path that stand for something, decoded.
    pub(super) names: BTreeMap<String, String>,
    pub(super) query: Query,
    /// Of requests that have one; else `Null`.
    pub(super) body: Value,
    pub(super) headers: HeaderMap,
    /// As it was when the request came.
    pub(super) catalog: Arc<Catalog>,
    pub(super) now: Timestamp,
}

impl Asked {
    /// A part of the path.
    pub(super) fn name(&self, key: &str) -> &str {
        self.names.get(key).map_or("", String::as_str)
    }

    /// The project of this name that is there for the caller. What is not there for them is not there.
    pub(super) fn project(&self, name: &str) -> Result<&Arc<Project>, Problem> {
        let known = ProjectName::parse(name).ok();
        let seen = known.filter(|name| self.terms.sees(name));
        let project = seen.and_then(|name| self.catalog.projects.get(&name));
        project.ok_or_else(|| Problem::new("unknown_project", "no project has this name"))
    }

    /// The command of this name.
    pub(super) fn command(&self, name: &str) -> Result<&Arc<Command>, Problem> {
        let known = CommandName::parse(name).ok();
        let command = known.and_then(|name| self.catalog.commands.get(&name));
        let seen = command.filter(|command| self.sees(command));
        seen.ok_or_else(|| Problem::new("unknown_command", "no task has this name"))
    }

    /// Whether the command is there for the caller: a token of some projects knows what their rules speak of.
    fn sees(&self, command: &Command) -> bool {
        self.terms.projects.is_empty() || self.projects().any(|it| it.speaks_of(command))
    }

    /// The commands that are there for the caller, in order of their names.
    pub(super) fn commands(&self) -> impl Iterator<Item = &Arc<Command>> {
        let all = self.catalog.commands.values();
        all.filter(|command| self.sees(command))
    }

    /// The projects that are there for the caller, in order of their names.
    pub(super) fn projects(&self) -> impl Iterator<Item = &Arc<Project>> {
        let all = self.catalog.projects.values();
        all.filter(|project| self.terms.sees(&project.name))
    }

    /// Why words are not understood, as far as it may be told: an example or a likeness may name what is not there for the
    /// caller, so they are read again with what is. `words`: what anybody would be told.
    pub(super) fn not_understood(&self, text: &str, words: String) -> String {
        if self.terms.projects.is_empty() {
            return words;
        }
        let catalog = self.seen_catalog();
        let hearing = Hearing {
            catalog: &catalog,
            channel: "",
        };
        match parse(text, &hearing) {
            Err(refusal) => render::plain(&refusal.message(), &catalog.people),
            Ok(_) => words,
        }
    }

    /// As much of the catalog as is there for the caller.
    fn seen_catalog(&self) -> Catalog {
        let mut catalog = Catalog::clone(&self.catalog);
        catalog.channels.clear();
        catalog.projects.retain(|name, _| self.terms.sees(name));
        catalog.commands.retain(|_, command| self.sees(command));
        catalog
    }

    /// Refuses words that would begin nothing that is there for the caller. `text`: what they become.
    pub(super) fn must_begin(&self, says: &str, text: &str) -> Result<(), Problem> {
        let catalog = self.seen_catalog();
        let hearing = Hearing {
            catalog: &catalog,
            channel: "",
        };
        let question = |question: &Question| {
            let detail = format!(
                "`{}` is a question, and no task; other routes answer those",
                question.word()
            );
            Problem::new("bad_request", detail)
        };
        if let Ok(Typed::Ask(asked)) = parse(says, &hearing) {
            return Err(question(&asked));
        }
        let (text, _) = take_code(text);
        match parse(&text, &hearing) {
            Ok(Typed::Invoke(_)) => Ok(()),
            Ok(Typed::Ask(asked)) => Err(question(&asked)),
            Err(refusal) => {
                let words = render::plain(&refusal.message(), &catalog.people);
                Err(Problem::new(refusal.word(), words))
            }
        }
    }

    /// Takes the body apart; keys that nobody knows are refused.
    pub(super) fn fields(&self, known: &[&str]) -> Result<Fields<'_>, Problem> {
        let Value::Object(fields) = &self.body else {
            return Err(Problem::new("bad_request", "the body is no JSON object"));
        };
        if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            let unknown: String = unknown.chars().take(60).collect();
            let detail = format!(
                "`{unknown}` is no field of it; there are {}",
                known.join(", ")
            );
            return Err(Problem::new("bad_request", detail));
        }
        Ok(Fields(fields))
    }
}

/// The members of a body.
pub(super) struct Fields<'a>(&'a serde_json::Map<String, Value>);

impl<'a> Fields<'a> {
    /// A value as it was given; `null` is none.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, Problem> {
        let wrong = || Problem::new("bad_request", format!("`{key}` must be a text"));
        let value = self.get(key);
        value.map(|it| it.as_str().ok_or_else(wrong)).transpose()
    }

    /// A text that must be there.
    pub(super) fn needed(&self, key: &str) -> Result<&'a str, Problem> {
        let missing = || Problem::new("missing", format!("`{key}` is missing"));
        self.text(key)?.ok_or_else(missing)
    }

    /// `true` or `false`; not there is `false`.
    pub(super) fn yes(&self, key: &str) -> Result<bool, Problem> {
        let wrong = || Problem::new("bad_request", format!("`{key}` must be true or false"));
        let value = self.get(key);
        value.map_or(Ok(false), |it| it.as_bool().ok_or_else(wrong))
    }
}

/// The parameters behind the question mark. Each at most once.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads what stands behind the question mark.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let mut read = BTreeMap::new();
        for (key, value) in url::form_urlencoded::parse(text.as_bytes()) {
            let twice = format!("`{}` is given twice", short(&key));
            if read.insert(key.into_owned(), value.into_owned()).is_some() {
                return Err(Problem::new("bad_query", twice));
            }
        }
        Ok(Self(read))
    }

    /// Refuses what is none of these.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        let unknown = self.0.keys().find(|key| !known.contains(&key.as_str()));
        let Some(unknown) = unknown else {
            return Ok(());
        };
        let known = if known.is_empty() {
            "it takes none".to_owned()
        } else {
            format!("there are {}", known.join(", "))
        };
        let detail = format!("`{}` is no parameter here; {known}", short(unknown));
        Err(Problem::new("bad_query", detail))
    }

    /// A parameter.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A parameter that `read` understands.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let wrong = || Problem::new("bad_query", format!("`{key}` takes {expected}"));
        let value = self.get(key);
        value.map(|it| read(it).ok_or_else(wrong)).transpose()
    }

    /// How many are asked for.
    pub(super) fn limit(&self, usual: u32, most: u32) -> Result<u32, Problem> {
        let read = |text: &str| {
            let limit = text.parse::<u32>().ok();
            limit.filter(|limit| (1..=most).contains(limit))
        };
        let limit = self.parsed("limit", &format!("a number from 1 to {most}"), read)?;
        Ok(limit.unwrap_or(usual))
    }
}

fn short(text: &str) -> String {
    crate::domain::harmless_line(text)
        .chars()
        .take(60)
        .collect()
}

/// Whether the caller's token is good for this.
pub(super) fn permits(terms: &TokenTerms, scope: Scope) -> Result<(), Problem> {
    if terms.scopes.contains(&scope) {
        return Ok(());
    }
    let has: Vec<&str> = terms.scopes.iter().map(|it| it.as_str()).collect();
    let detail = format!(
        "it needs the scope `{scope}`; token {} has {}",
        terms.id,
        has.join(", ")
    );
    Err(Problem::new("scope", detail).with("scope", scope.as_str()))
}
