//! Our own words: `help`, `list`, `runs`, `show` and the like. No command may have one of these names.

use std::sync::Arc;

use jiff::Timestamp;

use super::arguments::one_line;
use super::corrections::line_of;
use super::words::Word;
use super::{Hearing, echo, history, link, lock, may, oncall, page, timeline};
use crate::domain::{
    Account, CommandName, EnvironmentName, Invocation, LinkCode, LockTarget, Meant, OnCall,
    PersonId, Project, ProjectName, Reference, Refusal, RotationName, TimelineAsk, Verdict, When,
};

/// The words, sorted.
pub const BUILT_INS: [&str; 31] = [
    "ack",
    "approve",
    "ask",
    "break-glass",
    "cancel",
    "escalate",
    "handover",
    "help",
    "history",
    "join",
    "link",
    "list",
    "lock",
    "may",
    "oncall",
    "orient",
    "page",
    "reject",
    "review",
    "runbook",
    "runs",
    "send-back",
    "settle",
    "show",
    "summary",
    "timeline",
    "unlink",
    "unlock",
    "who-can",
    "why",
    "withdraw",
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
    /// Follow a run, or take its result, instead of beginning the same again.
    Join {
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
        /// The first digits of the plan that was seen, if they were said: a button says them.
        digits: Option<String>,
    },
    /// Take one's consent back.
    Withdraw {
        /// Which.
        reference: Reference,
    },
    /// Refuse consent to a run as it is.
    SendBack {
        /// Which.
        reference: Reference,
        /// What to change, on one line; non-empty.
        comment: String,
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
    /// What a command would do and whether the asker may, without doing it.
    Card {
        /// What they would do.
        invocation: Box<Invocation>,
    },
    /// Which runs nobody has looked at for which the glass was broken.
    Reviews,
    /// Sign that one looked at what was done.
    Review {
        /// Which run.
        reference: Reference,
        /// On one line; may be empty.
        comment: String,
    },
    /// Ask those who may to run it.
    Ask {
        /// What they are asked to do.
        invocation: Box<Invocation>,
    },
    /// Who may do it, and who with whose consent.
    WhoCan {
        /// What.
        invocation: Box<Invocation>,
    },
    /// What this system is, what the asker may do here, how, and whom to call.
    Orient {
        /// Which project.
        project: ProjectName,
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
    /// Keep others from changing something for a while.
    Lock {
        /// What.
        target: LockTarget,
        /// For how long; above zero, at most [`crate::domain::LONGEST_LOCK`].
        length: std::time::Duration,
        /// Why, on one line; non-empty.
        reason: String,
    },
    /// End that before its time.
    Unlock {
        /// What.
        target: LockTarget,
    },
    /// Which locks people have taken.
    Locks {
        /// Of which project.
        project: ProjectName,
    },
    /// Who is on call, and who is next.
    OnCall {
        /// In order of their names; empty: no rotation is known.
        rotations: Vec<RotationName>,
    },
    /// Let somebody take a shift.
    Cover(Box<Arrangement>),
    /// Let an asker and somebody take each other's shifts.
    Swap {
        /// Who takes which of the asker's.
        give: Box<Arrangement>,
        /// When the asker takes theirs; `None`: the next such days.
        back: Option<When>,
    },
    /// Call people until somebody answers.
    Page {
        /// Whose escalation is followed.
        project: ProjectName,
        /// What is wrong, on one line. Non-empty.
        words: String,
    },
    /// Which pages nobody has answered.
    Pages,
    /// Answer a page: nobody else is called.
    Acknowledge {
        /// Which; `None`: the only one that can be meant.
        reference: Option<Reference>,
    },
    /// Call the next level now.
    Escalate {
        /// Which; `None`: the only one that can be meant.
        reference: Option<Reference>,
    },
    /// What whoever takes over must know.
    Handover {
        /// Of which project.
        project: ProjectName,
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

/// Who is to take which shift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrangement {
    /// Who takes it; `None`: whoever asks.
    pub person: Option<PersonId>,
    /// When, by the clock of the rotation.
    pub when: When,
    /// Of which level; `None`: the one that follows from who holds it then.
    pub of: Option<OnCall>,
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
            Self::Join { .. } => "join",
            Self::Cancel { .. } => "cancel",
            Self::Approve { .. } => "approve",
            Self::Withdraw { .. } => "withdraw",
            Self::SendBack { .. } => "send-back",
            Self::Reject { .. } => "reject",
            Self::Settle { .. } => "settle",
            Self::Runbook { .. } => "runbook",
            Self::History { .. } => "history",
            Self::Timeline { .. } => "timeline",
            Self::May { .. } => "may",
            Self::Card { .. } => "plan",
            Self::Reviews | Self::Review { .. } => "review",
            Self::Ask { .. } => "ask",
            Self::WhoCan { .. } => "who-can",
            Self::Orient { .. } => "orient",
            Self::Lock { .. } | Self::Locks { .. } => "lock",
            Self::Unlock { .. } => "unlock",
            Self::OnCall { .. } | Self::Cover(_) | Self::Swap { .. } => "oncall",
            Self::Page { .. } | Self::Pages => "page",
            Self::Acknowledge { .. } => "ack",
            Self::Escalate { .. } => "escalate",
            Self::Handover { .. } => "handover",
            Self::Link { .. } | Self::ConfirmLink { .. } => "link",
            Self::Unlink { .. } => "unlink",
        }
    }

    /// Whether it changes a run or a shift: somebody may have changed their mind before it reached us.
    pub fn changes(&self) -> bool {
        match self {
            Self::Cancel { .. }
            | Self::Approve { .. }
            | Self::Withdraw { .. }
            | Self::SendBack { .. }
            | Self::Reject { .. }
            | Self::Settle { .. }
            | Self::Lock { .. }
            | Self::Unlock { .. }
            | Self::Review { .. }
            | Self::Ask { .. }
            | Self::Cover(_)
            | Self::Swap { .. } => true,
            // Late or twice it does no harm.
            Self::Join { .. }
            | Self::Help { .. }
            | Self::List { .. }
            | Self::Runs { .. }
            | Self::Show { .. }
            | Self::Summary { .. }
            | Self::Why { .. }
            | Self::Runbook { .. }
            | Self::History { .. }
            | Self::Timeline { .. }
            | Self::May { .. }
            | Self::Locks { .. }
            | Self::Reviews
            | Self::Card { .. }
            | Self::WhoCan { .. }
            | Self::Orient { .. }
            | Self::OnCall { .. }
            // Late is better than never, and twice is one page: the message is the same.
            | Self::Page { .. }
            | Self::Pages
            | Self::Acknowledge { .. }
            | Self::Escalate { .. }
            | Self::Handover { .. }
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
        "join" => only_reference("join", rest).map(|reference| Question::Join { reference }),
        "cancel" => only_reference("cancel", rest).map(|reference| Question::Cancel { reference }),
        "approve" => approve(rest),
        "withdraw" => {
            only_reference("withdraw", rest).map(|reference| Question::Withdraw { reference })
        }
        "send-back" => send_back(rest),
        "review" if rest.is_empty() => Ok(Question::Reviews),
        "review" => reference("review", rest).map(|(reference, rest)| {
            let words: Vec<&str> = rest.iter().map(|word| word.text.as_str()).collect();
            let comment = one_line(&words.join(" "));
            Question::Review { reference, comment }
        }),
        "reject" => reject(rest),
        "settle" => settle(rest),
        "runbook" => runbook(words, hearing),
        "history" => history::read(words, hearing),
        "timeline" => timeline::read(words, hearing),
        "may" => may::read(words, hearing),
        "ask" => may::asked(words, hearing).map(|invocation| Question::Ask { invocation }),
        "who-can" => may::asked(words, hearing).map(|invocation| Question::WhoCan { invocation }),
        "orient" => orient(words, hearing),
        "oncall" => oncall::read(words, hearing),
        "page" => page::page(words, hearing),
        "ack" => page::reference("ack", rest).map(|reference| Question::Acknowledge { reference }),
        "escalate" => {
            page::reference("escalate", rest).map(|reference| Question::Escalate { reference })
        }
        "handover" => page::handover(words, hearing),
        "link" => link::link(rest),
        "unlink" => link::unlink(rest),
        "lock" => lock::lock(rest, hearing),
        "unlock" => lock::unlock(rest, hearing),
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

/// `approve REF`, and the first digits of the plan's digest behind it.
fn approve(rest: &[Word]) -> Result<Question, Refusal> {
    let (reference, more) = reference("approve", rest)?;
    let digits = match more {
        [one] if one.text.len() == 8 && one.text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Some(one.text.to_ascii_lowercase())
        }
        _ => {
            only_reference("approve", rest)?;
            None
        }
    };
    Ok(Question::Approve { reference, digits })
}

fn send_back(rest: &[Word]) -> Result<Question, Refusal> {
    let (reference, rest) = reference("send-back", rest)?;
    let words: Vec<&str> = rest.iter().map(|word| word.text.as_str()).collect();
    let comment = one_line(&words.join(" "));
    if comment.is_empty() {
        let example = format!("send-back {reference} staging first, please");
        return Err(bad("say what to change: whoever asked reads it", example));
    }
    Ok(Question::SendBack { reference, comment })
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

fn orient(words: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    match runbook_project(words, hearing)? {
        (project, used) if used >= words.len() => Ok(Question::Orient {
            project: project.name.clone(),
        }),
        (project, used) => Err(bad(
            &format!(
                "`orient` takes a project and nothing after it, not `{}`",
                echo(&words[used].text)
            ),
            format!("orient {}", project.name),
        )),
    }
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
pub(super) fn runbook_project<'a>(
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
