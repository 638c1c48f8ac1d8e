//! Fills a command's parameters from the words after it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::values::{self, NotAValue};
use super::words::Word;
use super::{Hearing, RESERVED_PARAMETERS, echo, examples, nearest};
use crate::domain::{
    Arguments, Command, Environment, Invocation, LONGEST_TEXT, Meant, Parameter, ParameterKind,
    ParameterName, Project, Refusal, Value, quoted,
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

/// Whether any of its arguments names a secret: then nothing unread may be repeated, it could be the secret itself.
pub(super) fn takes_secret(command: &Command) -> bool {
    command.parameters.iter().any(|p| names_secret(&p.kind))
}

/// Shown in the place of a word that may be a secret.
const UNREAD: &str = "…";

/// What has been understood so far.
struct Reading<'a> {
    command: &'a Command,
    words: &'a [Word],
    hearing: Hearing<'a>,
    /// By the name of a parameter, or a reserved one. Never empty lists; several only for a list's words.
    given: BTreeMap<String, Vec<Given>>,
    /// Words without a name, in order, until they have one.
    loose: Vec<Given>,
}

/// The text of one argument, and where it stands, so that a better one can be put in its place.
#[derive(Clone)]
struct Given {
    text: String,
    /// The words it came from.
    words: Range<usize>,
    /// What is typed before it: `path=`.
    lead: String,
    /// What is typed after it: `/prod` after a project.
    tail: String,
}

impl Given {
    fn new(text: &str, words: Range<usize>, lead: String) -> Self {
        Self {
            text: text.to_owned(),
            words,
            lead,
            tail: String::new(),
        }
    }
}

/// Words: which of them name a parameter.
impl Reading<'_> {
    fn sort_words(&mut self) -> Result<(), Refusal> {
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

    fn take_pair(&mut self, key: &str, given: Given) -> Result<(), Refusal> {
        match self.target(key) {
            Some((name, _)) => self.give(&name, given),
            None => Err(self.unknown_parameter(key, given.words.start)),
        }
    }

    /// Takes `--name=value`, `--name value`, `--flag` or `--no-flag`; answers how many words it used.
    fn take_option(&mut self, index: usize) -> Result<usize, Refusal> {
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
    fn target(&self, typed: &str) -> Option<(String, bool)> {
        let typed = typed.to_ascii_lowercase();
        if RESERVED_PARAMETERS.contains(&typed.as_str()) {
            let boolean = typed == "again";
            return Some((typed, boolean));
        }
        let parameter = self.command.parameter(&typed)?;
        Some((typed, matches!(parameter.kind, ParameterKind::Boolean)))
    }

    fn give(&mut self, name: &str, given: Given) -> Result<(), Refusal> {
        let before = self.given.insert(name.to_owned(), vec![given]);
        if before.is_some() && name != "again" {
            return Err(self.given_twice(name));
        }
        Ok(())
    }

    /// Words without a name fill what has none yet; the last list takes all that remain.
    fn fill_positions(&mut self) -> Result<(), Refusal> {
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
    fn refuse_project_as_environment(&self) -> Result<(), Refusal> {
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
            nearest: Some(Meant {
                line: (!takes_secret(self.command)).then(|| self.line_with(&both, &word)),
                word,
            }),
            example: examples::example(self.command, &self.hearing, Some(project)),
        })
    }

    /// `shop/prod` names the project, too.
    fn take_projects_from_environments(&mut self) -> Result<(), Refusal> {
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

/// Values: what the words mean to the parameters.
impl<'a> Reading<'a> {
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

    fn environment(&self, arguments: &Arguments) -> Option<crate::domain::EnvironmentName> {
        let parameter = self.command.environment_parameter()?;
        match arguments.get(&parameter.name) {
            Some(Value::Environment(name)) => Some(name.clone()),
            _ => None,
        }
    }
}

/// Refusals.
impl Reading<'_> {
    fn unknown_parameter(&self, typed: &str, index: usize) -> Refusal {
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
            Meant {
                word: format!("{lead}{found}"),
                line: (!secret).then(|| line.join(" ")),
            }
        });
        Refusal::UnknownParameter {
            command: self.command.name.clone(),
            typed: self.echo_unread(typed),
            nearest: meant,
            example: self.example(),
        }
    }

    fn given_twice(&self, name: &str) -> Refusal {
        Refusal::GivenTwice {
            parameter: reserved_name(name),
            example: self.example(),
        }
    }

    fn without_value(&self, name: &str, given: Given) -> Refusal {
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

    fn bad_value(
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
            Meant {
                line: (!secret).then(|| self.line_with(given, &items.join(","))),
                word,
            }
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
    fn line_with(&self, given: &[Given], value: &str) -> String {
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
    fn echo_unread(&self, text: &str) -> String {
        if takes_secret(self.command) {
            UNREAD.to_owned()
        } else {
            echo(text)
        }
    }

    fn example(&self) -> String {
        let projects = &self.hearing.catalog.projects;
        let named = self
            .given
            .get("project")
            .and_then(|given| projects.get(given[0].text.to_ascii_lowercase().as_str()));
        let project = named.or_else(|| self.hearing.implied_project());
        examples::example(self.command, &self.hearing, project.map(Arc::as_ref))
    }
}

/// The words as they have to be typed.
pub(super) fn line_of(words: &[Word]) -> String {
    let words: Vec<String> = words.iter().map(Word::typed).collect();
    words.join(" ")
}

/// People's own words on one line, without control characters.
pub(super) fn one_line(text: &str) -> String {
    let clean = text.replace(char::is_control, " ");
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `-x`, which no command here takes.
fn looks_like_option(word: &Word) -> bool {
    word.bare()
        .strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(char::is_alphabetic))
}

fn names_secret(kind: &ParameterKind) -> bool {
    match kind {
        ParameterKind::Secret { .. } => true,
        ParameterKind::List { of, .. } => names_secret(of),
        _ => false,
    }
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

/// The name of a parameter, or one of ours: it was matched against a name before.
fn reserved_name(name: &str) -> ParameterName {
    ParameterName::parse(name).expect("it equals a declared or a reserved name, and both are names")
}
