//! Completes a line: what may stand at the cursor, in our grammar.

use super::parse::{Word, split_loosely, without_address};
use super::{
    BUILT_INS, Command, CommandName, Environment, EnvironmentName, Hearing, Parameter,
    ParameterKind, PersonId, Project, ProjectName, SecretName, quoted,
};

/// The most candidates at once.
const MOST: usize = 50;

/// What may stand at the cursor (in bytes): where the word begins that they replace, and the words, sorted, at most 50.
///
/// `references` are those of runs that may be named; the domain doesn't know them.
pub fn complete(
    line: &str,
    cursor: usize,
    hearing: &Hearing<'_>,
    references: &[String],
) -> (usize, Vec<String>) {
    let before = &line[..line.floor_char_boundary(cursor.min(line.len()))];
    let (words, open) = split_loosely(before);
    let words = without_address(&words);
    // The word under the cursor is still being typed, unless white space ends it.
    let typing = words
        .last()
        .filter(|_| open || !before.ends_with(char::is_whitespace));
    let (start, partial) = match typing {
        Some(word) => (word.at.start, word.text.to_lowercase()),
        None => (before.len(), String::new()),
    };
    let done = &words[..words.len() - usize::from(typing.is_some())];
    let mut found: Vec<String> = candidates(done, &partial, hearing, references)
        .into_iter()
        .filter(|candidate| candidate.to_lowercase().starts_with(&partial))
        .map(|candidate| match candidate.split_once('=') {
            Some((name, "")) => format!("{name}="),
            Some((name, value)) => format!("{name}={}", quoted(value)),
            None if candidate.starts_with("--") => candidate,
            None => quoted(&candidate),
        })
        .collect();
    found.sort();
    found.dedup();
    found.truncate(MOST);
    (start, found)
}

/// All that may follow these words; not yet compared with what is being typed.
fn candidates(
    done: &[Word],
    partial: &str,
    hearing: &Hearing<'_>,
    references: &[String],
) -> Vec<String> {
    let Some((first, rest)) = done.split_first() else {
        return texts(BUILT_INS).chain(commands(hearing)).collect();
    };
    match first.text.to_ascii_lowercase().as_str() {
        "help" if rest.is_empty() => texts(BUILT_INS).chain(commands(hearing)).collect(),
        "show" | "summary" | "why" | "join" | "cancel" | "approve" | "reject" | "withdraw"
        | "send-back" | "review"
            if rest.is_empty() =>
        {
            references.to_vec()
        }
        "page" | "handover" | "orient" if rest.is_empty() => projects(hearing).collect(),
        "oncall" => oncall(rest, partial, hearing),
        "link" | "unlink" if rest.is_empty() => texts(["discord", "slack"]).collect(),
        "lock" | "unlock" if rest.is_empty() => {
            let here = hearing.implied_project();
            let environments = here.into_iter().flat_map(|project| &project.environments);
            environments.map(|it| it.name.to_string()).collect()
        }
        "settle" => match rest.len() {
            0 => references.to_vec(),
            1 => texts(["happened", "did-not", "again"]).collect(),
            _ => Vec::new(),
        },
        "runs" => {
            let named = projects(hearing).map(|project| format!("project={project}"));
            texts(["all"]).chain(named).collect()
        }
        "history" => match rest {
            [] => commands(hearing).collect(),
            [_] => hearing.implied_project().map_or_else(Vec::new, |project| {
                let names = project.environments.iter();
                names.map(|it| it.name.to_string()).collect()
            }),
            _ => Vec::new(),
        },
        "timeline" => {
            let clauses = texts(["since", "about"]);
            let projects = projects(hearing).filter(|_| rest.is_empty());
            projects.chain(clauses).collect()
        }
        "runbook" => runbook(rest, hearing),
        "ask" | "who-can" | "break-glass" => match rest {
            [] => commands(hearing).collect(),
            rest => candidates(rest, partial, hearing, references),
        },
        "may" => match rest {
            [] if partial.starts_with('@') => persons(hearing).collect(),
            [person, rest @ ..] if person.text.starts_with('@') => {
                candidates(rest, partial, hearing, references)
            }
            // `may may` asks nothing.
            [] => commands(hearing).collect(),
            rest => candidates(rest, partial, hearing, references),
        },
        name => match hearing.catalog.commands.get(name) {
            Some(command) => Arguments::new(command, rest, hearing).candidates(partial),
            None => Vec::new(),
        },
    }
}

fn oncall(rest: &[Word], partial: &str, hearing: &Hearing<'_>) -> Vec<String> {
    let rotations = &hearing.catalog.people.rotations;
    match rest {
        [] => texts(["cover", "swap"])
            .chain(rotations.keys().map(ToString::to_string))
            .collect(),
        [first, ..] if first.is("cover") || first.is("swap") => {
            if partial.starts_with('@') {
                return persons(hearing).collect();
            }
            let levels = rotations.iter().flat_map(|(name, rotation)| {
                let levels = rotation.levels.keys();
                levels.map(move |level| format!("{level}({name})"))
            });
            let days = texts([
                "today", "tomorrow", "mon", "tue", "wed", "thu", "fri", "sat", "sun",
            ]);
            days.chain(levels).collect()
        }
        _ => Vec::new(),
    }
}

fn runbook(rest: &[Word], hearing: &Hearing<'_>) -> Vec<String> {
    let named = |name: &str| hearing.catalog.projects.get(name);
    let headings = |project: &Project| {
        let all = project.procedures.iter();
        all.map(|procedure| procedure.heading.clone())
            .collect::<Vec<_>>()
    };
    match rest {
        [] => {
            let here = hearing.implied_project().map(|project| headings(project));
            projects(hearing).chain(here.unwrap_or_default()).collect()
        }
        [project] => named(&project.text.to_ascii_lowercase())
            .map(|project| headings(project))
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// What is known of a command's arguments while they are being typed.
struct Arguments<'a> {
    command: &'a Command,
    project: Option<&'a Project>,
    hearing: &'a Hearing<'a>,
    /// Names that have a value.
    named: Vec<String>,
    /// How many words without a name there are.
    loose: usize,
    /// The option whose value comes next.
    awaited: Option<String>,
}

impl<'a> Arguments<'a> {
    fn new(command: &'a Command, rest: &[Word], hearing: &'a Hearing<'a>) -> Self {
        let mut arguments = Self {
            command,
            project: hearing.implied_project().map(AsRef::as_ref),
            hearing,
            named: Vec::new(),
            loose: 0,
            awaited: None,
        };
        for word in rest {
            arguments.take(word);
        }
        arguments
    }

    fn take(&mut self, word: &Word) {
        if let Some(name) = self.awaited.take() {
            self.note(name, &word.text);
            return;
        }
        let option = word.text.strip_prefix("--");
        let text = option.unwrap_or(&word.text);
        match (text.split_once('='), option) {
            (Some((name, value)), _) if option.is_some() || word.pair().is_some() => {
                self.note(name.to_ascii_lowercase(), value);
            }
            (_, Some(name)) => {
                let name = name.to_ascii_lowercase();
                let positive = name.strip_prefix("no-").unwrap_or(&name);
                let flag = |name: &str| {
                    let found = self.command.parameter(name);
                    found.is_some_and(|p| matches!(p.kind, ParameterKind::Boolean))
                };
                if name == "again" || flag(&name) {
                    self.named.push(name);
                } else if flag(positive) {
                    self.named.push(positive.to_owned());
                } else {
                    self.awaited = Some(name);
                }
            }
            _ => {
                self.loose += 1;
                if let Some((project, _)) = word.text.split_once('/') {
                    self.note_project(project);
                }
            }
        }
    }

    fn note(&mut self, name: String, value: &str) {
        if name == "project" {
            self.note_project(value);
        }
        self.named.push(name);
    }

    fn note_project(&mut self, name: &str) {
        let projects = &self.hearing.catalog.projects;
        if let Some(project) = projects.get(name.to_ascii_lowercase().as_str()) {
            self.project = Some(project);
        }
    }

    fn candidates(&self, partial: &str) -> Vec<String> {
        if let Some(name) = &self.awaited {
            return self.values_of(name);
        }
        let dashes = if partial.starts_with("--") { "--" } else { "" };
        if let Some((name, _)) = partial.trim_start_matches("--").split_once('=') {
            let values = self.values_of(name).into_iter();
            return values
                .map(|value| format!("{dashes}{name}={value}"))
                .collect();
        }
        let open: Vec<&Parameter> = self
            .command
            .positional()
            .into_iter()
            .filter(|parameter| !self.has(parameter.name.as_str()))
            .collect();
        let unfilled = open.iter().skip(self.loose);
        let mut found: Vec<String> = unfilled
            .map(|parameter| format!("{dashes}{}=", parameter.name))
            .collect();
        let last_list = open
            .last()
            .filter(|parameter| matches!(parameter.kind, ParameterKind::List { .. }));
        if let Some(parameter) = open.get(self.loose).or(last_list) {
            found.extend(self.values(&parameter.kind));
        }
        let ours = ["project", "reason"].into_iter();
        found.extend(
            ours.filter(|name| !self.has(name))
                .map(|name| format!("{dashes}{name}=")),
        );
        if !self.has("again") {
            found.push("--again".to_owned());
        }
        found
    }

    fn has(&self, name: &str) -> bool {
        self.named.iter().any(|named| named == name)
    }

    fn values_of(&self, name: &str) -> Vec<String> {
        if name == "project" {
            return projects(self.hearing).collect();
        }
        let parameter = self.command.parameter(name);
        parameter.map_or_else(Vec::new, |parameter| self.values(&parameter.kind))
    }

    fn values(&self, kind: &ParameterKind) -> Vec<String> {
        match kind {
            ParameterKind::Environment => self.environments(),
            ParameterKind::Choice(words) => words.clone(),
            ParameterKind::Boolean => texts(["yes", "no"]).collect(),
            ParameterKind::Secret { names } => names.iter().map(SecretName::to_string).collect(),
            ParameterKind::List { of, .. } => self.values(of),
            ParameterKind::Text { .. }
            | ParameterKind::Integer { .. }
            | ParameterKind::Duration { .. } => Vec::new(),
        }
    }

    /// The project's, or every project's with its name before it.
    fn environments(&self) -> Vec<String> {
        let name = |environment: &Environment| EnvironmentName::to_string(&environment.name);
        if let Some(project) = self.project {
            return project.environments.iter().map(name).collect();
        }
        let projects = self.hearing.catalog.projects.values();
        projects
            .flat_map(|project| {
                let environments = project.environments.iter();
                environments
                    .map(move |environment| format!("{}/{}", project.name, name(environment)))
            })
            .collect()
    }
}

fn texts<const N: usize>(words: [&'static str; N]) -> impl Iterator<Item = String> {
    words.into_iter().map(str::to_owned)
}

fn commands<'a>(hearing: &Hearing<'a>) -> impl Iterator<Item = String> + use<'a> {
    hearing.catalog.commands.keys().map(CommandName::to_string)
}

fn projects<'a>(hearing: &Hearing<'a>) -> impl Iterator<Item = String> + use<'a> {
    hearing.catalog.projects.keys().map(ProjectName::to_string)
}

fn persons<'a>(hearing: &Hearing<'a>) -> impl Iterator<Item = String> + use<'a> {
    let persons = hearing.catalog.people.persons.keys();
    persons.map(|person: &PersonId| format!("@{person}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::sample;

    fn at_the_end(line: &str, channel: &str) -> String {
        let catalog = sample::catalog();
        let hearing = Hearing { catalog, channel };
        let references = ["7f3k".to_owned(), "8abc".to_owned()];
        let (start, found) = complete(line, line.len(), &hearing, &references);
        format!("{}|{}", &line[..start], found.join(" "))
    }

    #[test]
    fn what_may_come_next_is_offered() {
        for (name, channel, line, expected) in [
            ("a command", "C-SHOP", "/ops fl", "/ops |flush-cache"),
            ("a built-in and a command", "C-SHOP", "sh", "|show"),
            ("in any case", "C-SHOP", "FLU", "|flush-cache"),
            (
                "an environment",
                "C-SHOP",
                "flush-cache p",
                "flush-cache |path= prod project=",
            ),
            (
                "after the environment",
                "C-SHOP",
                "flush-cache prod ",
                "flush-cache prod |--again path= project= reason=",
            ),
            (
                "by name",
                "C-SHOP",
                "flush-cache environment=",
                "flush-cache |environment=prod environment=staging",
            ),
            (
                "by option",
                "C-SHOP",
                "flush-cache --env",
                "flush-cache |--environment=",
            ),
            (
                "an option's value",
                "C-SHOP",
                "flush-cache --environment p",
                "flush-cache --environment |prod",
            ),
            (
                "without a project",
                "C-X",
                "flush-cache shop/",
                "flush-cache |shop/prod shop/staging",
            ),
            (
                "with a named project",
                "C-X",
                "flush-cache project=blog l",
                "flush-cache project=blog |live",
            ),
            (
                "a choice",
                "C-SHOP",
                "deploy v1.2 prod on R",
                "deploy v1.2 prod on |Rolling reason=",
            ),
            ("a flag", "C-SHOP", "deploy --ag", "deploy |--again"),
            (
                "a boolean",
                "C-SHOP",
                "deploy dry-run=",
                "deploy |dry-run=no dry-run=yes",
            ),
            (
                "items of a list",
                "C-SHOP",
                "copy-data prod staging users o",
                "copy-data prod staging users |orders",
            ),
            (
                "a secret's name",
                "C-SHOP",
                "rotate-secret prod v",
                "rotate-secret prod |varnish",
            ),
            ("a reference", "C-SHOP", "show 7", "show |7f3k"),
            ("nothing after it", "C-SHOP", "show 7f3k ", "show 7f3k |"),
            (
                "a verdict",
                "C-SHOP",
                "settle 7f3k d",
                "settle 7f3k |did-not",
            ),
            ("a project", "C-X", "runbook sh", "runbook |shop"),
            ("a platform", "C-SHOP", "link d", "link |discord"),
            (
                "nothing after it",
                "C-SHOP",
                "link discord ",
                "link discord |",
            ),
            (
                "a heading",
                "C-SHOP",
                "runbook shop f",
                "runbook shop |\"Flush the cache\"",
            ),
            (
                "a heading in quotes",
                "C-X",
                "runbook shop \"Flush th",
                "runbook shop |\"Flush the cache\"",
            ),
            (
                "runs of a project",
                "C-X",
                "runs project=b",
                "runs |project=bare project=blog",
            ),
            ("a person", "C-SHOP", "may @", "may |@ana @bo @kim"),
            (
                "an asked command",
                "C-SHOP",
                "may @bo flush-cache pr",
                "may @bo flush-cache |prod project=",
            ),
            ("help", "C-SHOP", "help fl", "help |flush-cache"),
            ("an unknown command", "C-SHOP", "nonsense ", "nonsense |"),
        ] {
            assert_eq!(at_the_end(line, channel), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_line_and_no_cursor_panics(line in "(/ops )?(flush-cache|deploy|may|runbook|é)?[ a-z=\"'—\u{a0}é/@-]{0,20}", cursor in 0_usize..60) {
            let catalog = sample::catalog();
            for channel in ["C-SHOP", ""] {
                let (start, found) = complete(&line, cursor, &Hearing { catalog, channel }, &[]);
                prop_assert!(line.is_char_boundary(start) && start <= line.len());
                prop_assert!(found.len() <= MOST && found.is_sorted());
            }
        }

        #[test]
        fn no_text_at_all_panics(line in "\\PC*", cursor in any::<usize>()) {
            complete(&line, cursor, &Hearing { catalog: sample::catalog(), channel: "" }, &[]);
        }
    }
}
