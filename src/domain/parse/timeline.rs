//! `timeline [PROJECT] [since 3d] [about WORDS] [before MOMENT]`, in any order after the project.

use super::arguments::one_line;
use super::corrections::line_of;
use super::questions::{Question, bad, line_with, project_word};
use super::words::Word;
use super::{Hearing, echo};
use crate::domain::{
    ABOUT_CHARS, Position, ProjectName, Refusal, Since, TimelineAsk, moment, parse_duration,
};

/// What a clause is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clause {
    Since,
    About,
    Before,
}

/// What was said in each clause; empty: nothing.
#[derive(Default)]
struct Said {
    since: Vec<String>,
    about: Vec<String>,
    before: Vec<String>,
}

impl Said {
    fn of(&mut self, clause: Clause) -> &mut Vec<String> {
        match clause {
            Clause::Since => &mut self.since,
            Clause::About => &mut self.about,
            Clause::Before => &mut self.before,
        }
    }
}

/// Reads what follows `timeline`.
pub(super) fn read(words: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    let (project, used) = project(words, hearing)?;
    let said = clauses(&words[used..], &project)?;
    let about = one_line(&said.about.join(" "));
    if about.chars().count() > ABOUT_CHARS {
        return Err(bad(
            &format!("`about` takes {ABOUT_CHARS} characters at the most"),
            example(&project, "about cache"),
        ));
    }
    Ok(Question::Timeline {
        ask: TimelineAsk {
            since: since(&said.since, &project)?,
            about: Some(about).filter(|about| !about.is_empty()),
            before: before(&said.before, &project)?,
            project,
        },
    })
}

/// The project that is named, else implied, and how many words that took.
fn project(words: &[Word], hearing: &Hearing<'_>) -> Result<(ProjectName, usize), Refusal> {
    match words.get(1).filter(|word| clause(&word.text).is_none()) {
        Some(word) => {
            let (lead, name) = project_word(word);
            let line = |name: &str| Some(line_with(words, 1, &format!("{lead}{name}")));
            let project = hearing.project(name, line)?;
            Ok((project.name.clone(), 2))
        }
        None => {
            let which = || Refusal::WhichProject {
                typed: line_of(words),
                known: hearing.catalog.projects.keys().cloned().collect(),
            };
            let project = hearing.implied_project().ok_or_else(which)?;
            Ok((project.name.clone(), 1))
        }
    }
}

/// The clause that a word begins, and what it says of it already: `since`, `--since`, `since=3d`.
fn clause(text: &str) -> Option<(Clause, Option<&str>)> {
    let bare = text.strip_prefix("--").unwrap_or(text);
    let (name, value) = match bare.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (bare, None),
    };
    let clause = match name.to_ascii_lowercase().as_str() {
        "since" => Clause::Since,
        "about" => Clause::About,
        "before" => Clause::Before,
        _ => return None,
    };
    Some((clause, value))
}

fn clauses(words: &[Word], project: &ProjectName) -> Result<Said, Refusal> {
    let mut said = Said::default();
    let mut current = None;
    for word in words {
        match (clause(&word.text), current) {
            (Some((next, value)), _) => {
                current = Some(next);
                said.of(next).extend(value.map(str::to_owned));
            }
            (None, Some(current)) => said.of(current).push(word.text.clone()),
            (None, None) => {
                return Err(bad(
                    &format!(
                        "`timeline` takes a project, then since, about or before, and not `{}`",
                        echo(&word.text)
                    ),
                    example(project, "since 3d about cache"),
                ));
            }
        }
    }
    Ok(said)
}

fn since(said: &[String], project: &ProjectName) -> Result<Option<Since>, Refusal> {
    let said = said.join(" ");
    if said.is_empty() {
        return Ok(None);
    }
    let span = parse_duration(&said).map(Since::Ago);
    let since = span.or_else(|| moment(&said).map(Since::Moment));
    since.map(Some).ok_or_else(|| {
        bad(
            &format!(
                "`since {}` is neither a span such as 3d nor a day such as 2026-11-20",
                echo(&said)
            ),
            example(project, "since 3d"),
        )
    })
}

fn before(said: &[String], project: &ProjectName) -> Result<Option<Position>, Refusal> {
    let said = said.join(" ");
    if said.is_empty() {
        return Ok(None);
    }
    said.parse().map(Some).map_err(|_| {
        bad(
            &format!(
                "`before {}` is no day such as 2026-11-20, and no moment such as 2026-11-20T03:00Z",
                echo(&said)
            ),
            example(project, "before 2026-11-20"),
        )
    })
}

fn example(project: &ProjectName, clauses: &str) -> String {
    format!("timeline {project} {clauses}")
}
