//! Turns a command and the words after it into an invocation: every value typed, defaults filled in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Hearing;
use super::corrections::{UNREAD, line_of, names_secret, reserved_name, takes_secret};
use super::reading::Reading;
use super::values::{self, NotAValue};
use super::words::Word;
use crate::domain::{
    Arguments, Command, Environment, EnvironmentName, Invocation, LONGEST_TEXT, Parameter,
    ParameterKind, ParameterName, Project, Refusal, Value, quoted,
};

/// Reads the words after a command. `words[0]` is the command itself.
pub(super) fn read(
    command: &Command,
    words: &[Word],
    hearing: &Hearing<'_>,
) -> Result<Invocation, Refusal> {
    let mut reading = Reading {
        command,
        words,
        hearing: *hearing,
        given: BTreeMap::new(),
        loose: Vec::new(),
    };
    reading.sort_words()?;
    reading.refuse_project_as_environment()?;
    reading.fill_positions()?;
    reading.take_projects_from_environments()?;
    reading.invocation()
}
impl<'a> Reading<'a> {
    /// What the sorted words mean to the parameters.
    fn invocation(&self) -> Result<Invocation, Refusal> {
        let again = self.reserved("again", &ParameterKind::Boolean)? == Some(Value::Boolean(true));
        // Secrets first: while they are unread, no refusal may repeat the line.
        let mut parameters: Vec<&Parameter> = self.command.parameters.iter().collect();
        parameters.sort_by_key(|p| (names_environment(&p.kind), !names_secret(&p.kind)));
        let split = parameters.partition_point(|p| !names_environment(&p.kind));
        let mut arguments = Arguments::new();
        for parameter in &parameters[..split] {
            self.read_into(&mut arguments, parameter, &[])?;
        }
        let reason = self.reason()?;
        let project = self.project(&arguments)?;
        for parameter in &parameters[split..] {
            self.read_into(&mut arguments, parameter, &project.environments)?;
        }
        let mut invocation = Invocation {
            command: self.command.name.clone(),
            project: project.name.clone(),
            environment: None,
            arguments,
            again,
            reason,
            glass: false,
        };
        self.refuse_missing(&invocation, project)?;
        self.fill_defaults(&mut invocation.arguments, project);
        invocation.environment = self.environment(&invocation.arguments);
        Ok(invocation)
    }

    fn read_into(
        &self,
        arguments: &mut Arguments,
        parameter: &Parameter,
        environments: &[Environment],
    ) -> Result<(), Refusal> {
        let Some(given) = self.given.get(parameter.name.as_str()) else {
            return Ok(());
        };
        let texts: Vec<&str> = given.iter().map(|given| given.text.as_str()).collect();
        let text = texts.join(",");
        let value = values::read(&parameter.kind, &text, environments);
        let value = value.and_then(|value| {
            let hollow = value == Value::Text(String::new()) || value == Value::List(Vec::new());
            if hollow && parameter.required() {
                return Err(NotAValue {
                    part: text.clone(),
                    expected: values::expected(&parameter.kind, environments),
                    nearest: None,
                });
            }
            Ok(value)
        });
        let value = value.map_err(|wrong| {
            let name = &parameter.name;
            self.bad_value(name, names_secret(&parameter.kind), given, wrong)
        })?;
        arguments.insert(parameter.name.clone(), value);
        Ok(())
    }

    fn reserved(&self, name: &str, kind: &ParameterKind) -> Result<Option<Value>, Refusal> {
        let Some(given) = self.given.get(name) else {
            return Ok(None);
        };
        let value = values::read(kind, &given[0].text, &[]);
        value
            .map(Some)
            .map_err(|wrong| self.bad_value(&reserved_name(name), false, given, wrong))
    }

    /// The reason on one line, as it will stand in the thread; an empty one is none.
    fn reason(&self) -> Result<Option<String>, Refusal> {
        let Some(given) = self.given.get("reason") else {
            return Ok(None);
        };
        let reason = one_line(&given[0].text);
        if reason.chars().nth(LONGEST_TEXT).is_some() {
            let wrong = NotAValue {
                part: reason,
                expected: format!("text of at most {LONGEST_TEXT} characters"),
                nearest: None,
            };
            return Err(self.bad_value(&reserved_name("reason"), false, given, wrong));
        }
        Ok(Some(reason).filter(|reason| !reason.is_empty()))
    }

    fn project(&self, known: &Arguments) -> Result<&'a Arc<Project>, Refusal> {
        if let Some(given) = self.given.get("project") {
            // `WORD/WORD` in the place of an environment has not been read yet.
            let unread = !given[0].tail.is_empty() && takes_secret(self.command);
            let line = |name: &str| (!unread).then(|| self.line_with(given, name));
            let project = self.hearing.project(&given[0].text, line);
            return project.map_err(|refusal| match refusal {
                Refusal::UnknownProject { nearest, known, .. } if unread => {
                    Refusal::UnknownProject {
                        typed: UNREAD.to_owned(),
                        nearest,
                        known,
                    }
                }
                other => other,
            });
        }
        let which = || Refusal::WhichProject {
            typed: self.completable(known),
            known: self.hearing.catalog.projects.keys().cloned().collect(),
        };
        self.hearing.implied_project().ok_or_else(which)
    }

    /// The line, so that a project can be appended to it; without what has not been read where that may be a secret.
    fn completable(&self, known: &Arguments) -> String {
        if !takes_secret(self.command) {
            return line_of(self.words);
        }
        let read = known
            .iter()
            .map(|(name, value)| format!(" {name}={}", quoted(&value.to_string())));
        format!("{}{}", self.command.name, read.collect::<String>())
    }

    fn refuse_missing(&self, known: &Invocation, project: &Project) -> Result<(), Refusal> {
        let missing = |parameter: &&Parameter| {
            !known.arguments.contains_key(&parameter.name) && required_in(parameter, project)
        };
        let parameters: Vec<ParameterName> = self
            .command
            .positional()
            .into_iter()
            .filter(missing)
            .map(|parameter| parameter.name.clone())
            .collect();
        if parameters.is_empty() {
            return Ok(());
        }
        Err(Refusal::Missing {
            command: self.command.name.clone(),
            parameters,
            says: known.typed_in_full(),
            example: self.example(),
        })
    }

    fn fill_defaults(&self, arguments: &mut Arguments, project: &Project) {
        for parameter in &self.command.parameters {
            if let Some(default) = default_in(parameter, project) {
                arguments
                    .entry(parameter.name.clone())
                    .or_insert_with(|| default.clone());
            }
        }
    }

    fn environment(&self, arguments: &Arguments) -> Option<EnvironmentName> {
        let parameter = self.command.environment_parameter()?;
        match arguments.get(&parameter.name) {
            Some(Value::Environment(name)) => Some(name.clone()),
            _ => None,
        }
    }
}

/// People's own words on one line, without control characters.
pub(super) fn one_line(text: &str) -> String {
    let clean = text.replace(char::is_control, " ");
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn names_environment(kind: &ParameterKind) -> bool {
    match kind {
        ParameterKind::Environment => true,
        ParameterKind::List { of, .. } => names_environment(of),
        _ => false,
    }
}

/// The default, unless it names an environment that this project does not have.
fn default_in<'p>(parameter: &'p Parameter, project: &Project) -> Option<&'p Value> {
    fn exists(value: &Value, project: &Project) -> bool {
        match value {
            Value::Environment(name) => project.environment(name.as_str()).is_some(),
            Value::List(items) => items.iter().all(|item| exists(item, project)),
            _ => true,
        }
    }
    let default = parameter.default.as_ref();
    default.filter(|value| exists(value, project))
}

/// Whether an invocation in this project must give it.
pub(super) fn required_in(parameter: &Parameter, project: &Project) -> bool {
    !parameter.optional && default_in(parameter, project).is_none()
}
