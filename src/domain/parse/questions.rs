//! Our own words: `help`, `list`, `runs`, `show` and the like. No command may have one of these names.

use std::sync::Arc;

use jiff::Timestamp;

use super::arguments::one_line;
use super::corrections::line_of;
use super::words::Word;
use super::{Hearing, echo, history, link, may, timeline};
use crate::domain::{
    Account, CommandName, EnvironmentName, Invocation, LinkCode, Meant, PersonId, Project,
    ProjectName, Reference, Refusal, TimelineAsk, Verdict,
};

/// The words, sorted.
pub const BUILT_INS: [&str; 16] = [
    "approve", "cancel", "help", "history", "link", "list", "may", "reject", "runbook", "runs",
    "settle", "show", "summary", "timeline", "unlink", "why",
];

/// One of our own words, understood. Asking changes nothing, but for those that [`Question::changes`] names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// What can be typed, or how one command (or one of our own words) is used.
    Help {
        /// `None`: everything.
        topic: Option<CommandName>,
    },
    /// Which commands there are, and what this person may do with them.
    List {
        /// The named project, else the one that is implied; `None`: which projects there are.
        project: Option<ProjectName>,
    },
    /// What runs and what ran.
    Runs {
        /// The named project, else the one that is implied; `None`: of all projects.
        project: Option<ProjectName>,
        /// Of all projects.
        all: bool,
    },
    /// How a run stands.
    Show {
        /// Which.
        reference: Reference,
    },
    /// A run in plain words, for people who do not read logs.
    Summary {
        /// Which.
        reference: Reference,
    },
    /// By which rule a run was decided.
    Why {
        /// Which.
        reference: Reference,
    },
    /// Stop a run.
    Cancel {
        /// Which.
        reference: Reference,
    },
    /// Consent to a run.
    Approve {
        /// Which.
        reference: Reference,
    },
    /// Refuse consent to a run.
    Reject {
        /// Which.
        reference: Reference,
        /// In the person's words, on one line; may be empty.
        reason: String,
    },
    /// Say what became of a step of unknown outcome.
    Settle {
        /// Which run.
        reference: Reference,
        /// What became of it.
        verdict: Verdict,
    },
    /// What the project's runbook says.
    Runbook {
        /// Which project.
        project: ProjectName,
        /// As typed, on one line; `None`: all headings.
        heading: Option<String>,
    },
    /// Whether a command always fails, or just did.
    History {
        /// Which.
        command: CommandName,
        /// Of which project.
        project: ProjectName,
        /// Where; `None`: wherever it runs.
        environment: Option<EnvironmentName>,
    },
    /// What happened to a project.
    Timeline {
        /// What of it.
        ask: TimelineAsk,
    },
    /// What would be decided, without doing it.
    May {
        /// Who would; `None`: whoever asks.
        person: Option<PersonId>,
        /// What they would do.
        invocation: Box<Invocation>,
        /// When they would; `None`: now.
        at: Option<At>,
    },
    /// Let another account of the asker speak for them: it is sent a code.
    Link {
        /// Which.
        account: Account,
    },
    /// The code that another account was sent.
    ConfirmLink {
        /// As typed.
        code: LinkCode,
    },
    /// Let an account speak for the asker no more.
    Unlink {
        /// Which.
        account: Account,
    },
}

/// A moment that somebody typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The next time that a clock shows this.
    Time(jiff::civil::Time),
    /// This very moment.
    Moment(Timestamp),
}

impl Question {
    /// The word it begins with; stable, for ledger and logs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Help { .. } => "help",
            Self::List { .. } => "list",
            Self::Runs { .. } => "runs",
            Self::Show { .. } => "show",
            Self::Summary { .. } => "summary",
            Self::Why { .. } => "why",
            Self::Cancel { .. } => "cancel",
            Self::Approve { .. } => "approve",
            Self::Reject { .. } => "reject",
            Self::Settle { .. } => "settle",
            Self::Runbook { .. } => "runbook",
            Self::History { .. } => "history",
            Self::Timeline { .. } => "timeline",
            Self::May { .. } => "may",
            Self::Link { .. } | Self::ConfirmLink { .. } => "link",
            Self::Unlink { .. } => "unlink",
        }
    }

    /// Whether it changes a run.
    pub fn changes(&self) -> bool {
        match self {
            Self::Cancel { .. }
            | Self::Approve { .. }
            | Self::Reject { .. }
            | Self::Settle { .. } => true,
            Self::Help { .. }
            | Self::List { .. }
            | Self::Runs { .. }
            | Self::Show { .. }
            | Self::Summary { .. }
            | Self::Why { .. }
            | Self::Runbook { .. }
            | Self::History { .. }
            | Self::Timeline { .. }
            | Self::May { .. }
            | Self::Link { .. }
            | Self::ConfirmLink { .. }
            | Self::Unlink { .. } => false,
        }
    }
}

/// Reads a line that begins with one of our own words; `None` when it does not. `words[0]` is that word.
pub(super) fn ask(
    first: &str,
    words: &[Word],
    hearing: &Hearing<'_>,
) -> Option<Result<Question, Refusal>> {
    let rest = &words[1..];
    if BUILT_INS.contains(&first) && rest.iter().any(|word| word.is("--help")) {
        let topic = CommandName::parse(first).ok();
        return Some(Ok(Question::Help { topic }));
    }
    Some(match first {
        "help" | "?" | "--help" | "-h" => help(words, hearing),
        "list" => all_and_project(words, hearing).map(|(_, project)| Question::List { project }),
        "runs" => {
            all_and_project(words, hearing).map(|(all, project)| Question::Runs { project, all })
        }
        "show" => only_reference("show", rest).map(|reference| Question::Show { reference }),
        "summary" => {
            only_reference("summary", rest).map(|reference| Question::Summary { reference })
        }
        "why" => only_reference("why", rest).map(|reference| Question::Why { reference }),
        "cancel" => only_reference("cancel", rest).map(|reference| Question::Cancel { reference }),
        "approve" => {
            only_reference("approve", rest).map(|reference| Question::Approve { reference })
        }
        "reject" => reject(rest),
        "settle" => settle(rest),
        "runbook" => runbook(words, hearing),
        "history" => history::read(words, hearing),
        "timeline" => timeline::read(words, hearing),
        "may" => may::read(words, hearing),
        "link" => link::link(rest),
        "unlink" => link::unlink(rest),
        _ => return None,
    })
}

fn help(words: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    let rest = super::without_address(&words[1..]);
    let Some(word) = rest.first() else {
        return Ok(Question::Help { topic: None });
    };
    let typed = word.text.to_ascii_lowercase();
    let topic = if BUILT_INS.contains(&typed.as_str()) {
        CommandName::parse(&typed).ok()
    } else {
        let command = hearing.command(rest).map_err(|refusal| match refusal {
            Refusal::UnknownCommand { typed, nearest } => Refusal::UnknownCommand {
                typed,
                nearest: nearest.map(|meant| {
                    Box::new(Meant {
                        line: Some(format!("help {}", meant.word)),
                        word: meant.word,
                    })
                }),
            },
            other => other,
        })?;
        Some(command.name.clone())
    };
    Ok(Question::Help { topic })
}

/// `all` and the project that is named, else implied.
fn all_and_project(
    words: &[Word],
    hearing: &Hearing<'_>,
) -> Result<(bool, Option<ProjectName>), Refusal> {
    let mut all = false;
    let mut project = hearing.implied_project();
    for (index, word) in words.iter().enumerate().skip(1) {
        if word.is("all") || word.is("--all") {
            all = true;
        } else {
            let (lead, name) = project_word(word);
            let line = |name: &str| Some(line_with(words, index, &format!("{lead}{name}")));
            project = Some(hearing.project(name, line)?);
        }
    }
    let project = project.map(|project| project.name.clone());
    Ok((all, project))
}

/// A project's name, with or without `project=` before it.
pub(super) fn project_word(word: &Word) -> (&str, &str) {
    let bare = word.text.strip_prefix("--").unwrap_or(&word.text);
    match bare.split_once('=') {
        Some((key, name)) if key.eq_ignore_ascii_case("project") => ("project=", name),
        _ => ("", word.text.as_str()),
    }
}

fn reject(rest: &[Word]) -> Result<Question, Refusal> {
    let (reference, rest) = reference("reject", rest)?;
    let mut reason: Vec<&str> = rest.iter().map(|word| word.text.as_str()).collect();
    if let Some(first) = reason.first_mut() {
        *first = strip_any(first, &["--reason=", "reason=", "--reason"]).unwrap_or(first);
    }
    let reason = one_line(&reason.join(" "));
    Ok(Question::Reject { reference, reason })
}

fn settle(rest: &[Word]) -> Result<Question, Refusal> {
    let (reference, rest) = reference("settle", rest)?;
    let said: Vec<String> = rest.iter().map(|word| word.text.to_lowercase()).collect();
    let verdict = match said.join("-").replace('’', "'").as_str() {
        "happened" | "it-happened" => Verdict::Happened,
        "did-not" | "it-did-not" | "didn't" | "it-didn't" | "did-not-happen" => Verdict::DidNot,
        "again" | "--again" | "run-it-again" => Verdict::Again,
        "" => {
            return Err(bad(
                "say what became of the step: happened, did-not or again",
                format!("settle {reference} did-not"),
            ));
        }
        other => {
            return Err(bad(
                &format!(
                    "`{}` is none of happened, did-not and again",
                    echo(&other.replace('-', " "))
                ),
                format!("settle {reference} did-not"),
            ));
        }
    };
    Ok(Question::Settle { reference, verdict })
}

fn runbook(words: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    let (project, rest) = runbook_project(words, hearing)?;
    let rest: Vec<&str> = words[rest..].iter().map(|w| w.text.as_str()).collect();
    let rest = one_line(&rest.join(" "));
    Ok(Question::Runbook {
        project: project.name.clone(),
        heading: Some(rest).filter(|rest| !rest.is_empty()),
    })
}

/// The project whose runbook is meant, and how many words that took.
fn runbook_project<'a>(
    words: &[Word],
    hearing: &Hearing<'a>,
) -> Result<(&'a Arc<Project>, usize), Refusal> {
    let projects = &hearing.catalog.projects;
    let implied = hearing.implied_project();
    let Some(word) = words.get(1) else {
        let which = || Refusal::WhichProject {
            typed: line_of(words),
            known: projects.keys().cloned().collect(),
        };
        return implied.map(|project| (project, 1)).ok_or_else(which);
    };
    let (lead, name) = project_word(word);
    let known = projects.get(name.to_ascii_lowercase().as_str());
    match (known, implied) {
        (Some(project), _) => Ok((project, 2)),
        // Not a project's name: a heading, where the project needs no naming.
        (None, Some(project)) if lead.is_empty() => Ok((project, 1)),
        (None, _) => {
            let line = |name: &str| Some(line_with(words, 1, &format!("{lead}{name}")));
            hearing.project(name, line).map(|project| (project, 2))
        }
    }
}

/// The reference that follows, and the words after it.
fn reference<'a>(word: &str, rest: &'a [Word]) -> Result<(Reference, &'a [Word]), Refusal> {
    let example = || format!("{word} 7f3k");
    let rest = match rest {
        [first, rest @ ..] if first.is("ref") || first.is("run") => rest,
        _ => rest,
    };
    let Some((first, rest)) = rest.split_first() else {
        let what = format!("`{word}` needs the reference of a run; `/ops runs` lists them");
        return Err(bad(&what, example()));
    };
    match Reference::parse(&first.text) {
        Some(reference) => Ok((reference, rest)),
        None => Err(bad(
            &format!("`{}` is no reference of a run", echo(&first.text)),
            example(),
        )),
    }
}

fn only_reference(word: &str, rest: &[Word]) -> Result<Reference, Refusal> {
    let (reference, rest) = reference(word, rest)?;
    match rest.first() {
        None => Ok(reference),
        Some(extra) => Err(bad(
            &format!(
                "`{word}` takes one reference and nothing after it, not `{}`",
                echo(&extra.text)
            ),
            format!("{word} {reference}"),
        )),
    }
}

pub(super) fn bad(what: &str, example: String) -> Refusal {
    Refusal::BadBuiltin {
        what: what.to_owned(),
        example,
    }
}

/// What follows the first of these beginnings that the text has.
pub(super) fn strip_any<'t>(text: &'t str, beginnings: &[&str]) -> Option<&'t str> {
    beginnings
        .iter()
        .find_map(|beginning| text.strip_prefix(beginning))
}

/// The line with another word at this place.
pub(super) fn line_with(words: &[Word], index: usize, word: &str) -> String {
    let mut line: Vec<String> = words.iter().map(Word::typed).collect();
    if let Some(place) = line.get_mut(index) {
        word.clone_into(place);
    }
    line.join(" ")
}
