//! A project's timeline: what happened to it, one line each, newest first. Ledger entries and commits in one order.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Catalog, CommandName, Commands, Decided, Entry, Fact, FileLine, Identity, LockEvent, Outcome,
    PageEvent, Project, ProjectName, Reference, Revision, RuleChange,
};

/// The longest `about`: what is asked for stands in the button to earlier lines, and buttons are short.
pub const ABOUT_CHARS: usize = 24;

/// Digits of a commit's hash that make its rank: enough for those of one moment, and short in a button.
const RANK_DIGITS: usize = 7;

/// A place in a timeline: a moment, and which of those at that moment. Later ones are greater.
///
/// An entry has its sequence as rank. Commits have negative ranks made of their hash: at the same moment they stand before
/// entries, and always in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Within the millisecond.
    pub rank: i64,
}

impl Position {
    /// After everything.
    pub const END: Self = Self {
        at_ms: i64::MAX,
        rank: i64::MAX,
    };

    /// Before everything that happened at that moment.
    pub fn of_moment(at: Timestamp) -> Self {
        Self {
            at_ms: at.as_millisecond(),
            rank: i64::MIN,
        }
    }

    /// Of a ledger entry.
    pub fn of_entry(entry: &Entry) -> Self {
        Self {
            at_ms: entry.at.as_millisecond(),
            rank: entry.sequence.cast_signed(),
        }
    }

    /// Of a commit: hashes ascend where ranks descend.
    pub fn of_commit(commit: &Commit) -> Self {
        let digits = commit.hash.get(..RANK_DIGITS).unwrap_or_default();
        let number = i64::from_str_radix(digits, 16).unwrap_or_default();
        Self {
            at_ms: commit.at.as_millisecond(),
            rank: -1 - number,
        }
    }

    /// Of the commits at this very moment, those with a greater hash stand before it.
    pub fn hashes_behind(self) -> String {
        match self.rank {
            0.. => String::new(),
            i64::MIN => "z".to_owned(),
            // The letter that follows all digits: a hash that begins so is the commit itself.
            rank => format!("{:07x}g", -1 - rank),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.at_ms, self.rank)
    }
}

impl Serialize for Position {
    /// As it is typed.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    /// Reads what `Display` wrote, or a moment: `2026-11-20` (midnight, UTC), `2026-11-20T03:00Z`.
    fn from_str(text: &str) -> Result<Self, NoPosition> {
        if let Some((at, rank)) = text.split_once('/')
            && let (Ok(at_ms), Ok(rank)) = (at.parse(), rank.parse())
        {
            return Ok(Self { at_ms, rank });
        }
        moment(text).map(Self::of_moment).ok_or(NoPosition)
    }
}

/// A moment as people type it: with its zone, or a day, which begins by UTC's clock.
pub fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let day: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
    let at = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(at.timestamp())
}

/// What is asked of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineAsk {
    /// Whose.
    pub project: ProjectName,
    /// From when on; `None`: from its beginning.
    pub since: Option<Since>,
    /// Only lines with these words, in any case; on one line, at most [`ABOUT_CHARS`].
    pub about: Option<String>,
    /// Only what stands before this; `None`: the newest.
    pub before: Option<Position>,
}

impl TimelineAsk {
    /// The line that asks for what stands before.
    pub fn earlier(&self, before: Position) -> String {
        let mut line = format!("timeline {}", self.project);
        if let Some(since) = &self.since {
            line.push_str(&format!(" since {since}"));
        }
        if let Some(about) = &self.about {
            line.push_str(&format!(" about {about}"));
        }
        line.push_str(&format!(" before {before}"));
        line
    }
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// This very moment.
    Moment(Timestamp),
}

impl Since {
    /// The moment that is meant.
    pub fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => {
                let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
                now.saturating_sub(span).unwrap_or(Timestamp::MIN)
            }
            Self::Moment(at) => at,
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ago(span) => f.write_str(&super::show_duration(*span).replace(' ', "")),
            Self::Moment(at) => {
                let there = at.to_zoned(jiff::tz::TimeZone::UTC);
                match there.time() {
                    jiff::civil::Time::MIN => write!(f, "{}", there.date()),
                    _ => write!(f, "{at}"),
                }
            }
        }
    }
}

/// A commit, as far as a timeline tells it. Hostile: its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// In hexadecimal.
    pub hash: String,
    /// When it was committed.
    pub at: Timestamp,
    /// Who wrote the change, as git has it.
    pub author: String,
    /// Its first line.
    pub summary: String,
    /// The files of the project that it changed.
    pub files: Vec<String>,
}

/// The names of the files that a project is made of: its runbook and prose, the people, and the commands that its rules
/// name. Of rules for reading or everything that is every command.
pub fn files_of(project: &Project, catalog: &Catalog) -> FilesOf {
    let runbook = base_name(&project.defined.file);
    let stem = runbook.rsplit_once('.').map_or(runbook, |(stem, _)| stem);
    let named = |name: &CommandName| {
        project.rules.iter().any(|rule| match &rule.may {
            Commands::Named(names) => names.contains(name),
            Commands::Reads | Commands::All => true,
        })
    };
    let commands = catalog.commands.values().filter(|it| named(&it.name));
    FilesOf {
        runbooks: [
            runbook.to_owned(),
            format!("{stem}.md"),
            "people.yaml".to_owned(),
        ]
        .into(),
        commands: commands
            .map(|command| base_name(&command.defined.file).to_owned())
            .collect(),
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Files of a project, by their names in either folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesOf {
    /// In the folder of the runbooks.
    pub runbooks: BTreeSet<String>,
    /// In the folder of the commands.
    pub commands: BTreeSet<String>,
}

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// Its place.
    #[serde(skip)]
    pub position: Position,
    /// The ledger entry that it begins with; `None` for what is not in the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What a line tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum What {
    /// A person took or ended a lock, or its time was over.
    Lock {
        /// On what, in words.
        target: String,
        /// Who; of one whose time was over, who had taken it.
        by: Identity,
        /// What became of it.
        became: LockEvent,
    },
    /// Somebody was called, or answered.
    Page {
        /// Its reference.
        reference: Reference,
        /// Who called, or answered.
        by: Identity,
        /// Whether it was answered.
        acknowledged: bool,
    },
    /// A run, from being asked for to its end.
    Run {
        /// What people call it.
        reference: Reference,
        /// As it is typed.
        command: String,
        /// Who asked for it.
        by: Identity,
        /// Whether consent was wanted.
        with_consent: bool,
        /// How it stands.
        state: RunState,
        /// From being asked for to its end, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        took_ms: Option<u64>,
    },
    /// The runbook said no, or not now.
    NotRun {
        /// As it was typed.
        command: String,
        /// Who asked for it.
        by: Identity,
        /// Whether somebody may do it, but not now.
        held: bool,
        /// The stable word: `no_rule`, `just_done` …
        because: String,
        /// The rule that says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<FileLine>,
    },
    /// The project's rules were changed.
    RulesChanged {
        /// Of the catalog that has them.
        revision: Revision,
        /// What changed.
        changes: Vec<RuleChange>,
    },
    /// Changed files were not taken.
    FilesNotTaken {
        /// How many mistakes.
        mistakes: usize,
        /// The first, one line.
        first: String,
        /// What stays in force.
        revision: Revision,
    },
    /// The database was set back.
    SetBack {
        /// By what it was found out.
        why: String,
    },
    /// Somebody changed the project's files in git.
    Commit {
        /// Its hash.
        commit: String,
        /// As git has it.
        author: String,
        /// Its first line.
        summary: String,
        /// The project's files that it changed.
        files: Vec<String>,
    },
}

/// How a run stands, in a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It has not ended.
    Open,
    /// The database has no such run, or only a newer version can say.
    NotKnown,
    /// It has ended, so.
    #[serde(untagged)]
    Ended(Outcome),
}

/// Of a run: how it stands and when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stands {
    /// How.
    pub state: RunState,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Happening {
    /// The line of an entry; `None` for what no timeline tells. `stands`: how the run stands that it decided on.
    pub fn of_entry(entry: &Entry, stands: Option<Stands>) -> Option<Self> {
        Some(Self {
            at: entry.at,
            position: Position::of_entry(entry),
            sequence: Some(entry.sequence),
            what: told(entry, stands)?,
        })
    }

    /// The line of a commit.
    pub fn of_commit(commit: Commit) -> Self {
        Self {
            at: commit.at,
            position: Position::of_commit(&commit),
            sequence: None,
            what: What::Commit {
                commit: commit.hash,
                author: commit.author,
                summary: commit.summary,
                files: commit.files,
            },
        }
    }
}

/// A fact that `Fact::concerns` gives to a timeline has a line here.
fn told(entry: &Entry, stands: Option<Stands>) -> Option<What> {
    match &entry.fact {
        Fact::Decided {
            actor,
            invocation,
            decision,
            rule,
            reference,
            ..
        } => {
            let not_run = |held, because: &String| What::NotRun {
                command: invocation.typed(),
                by: actor.clone(),
                held,
                because: because.clone(),
                rule: rule.as_ref().map(|rule| rule.at.clone()),
            };
            match decision {
                Decided::Hold(because) => Some(not_run(true, because)),
                Decided::Deny(because) => Some(not_run(false, because)),
                Decided::Allow | Decided::RequireApproval(_) => Some(What::Run {
                    reference: reference.clone()?,
                    command: invocation.typed(),
                    by: actor.clone(),
                    with_consent: matches!(decision, Decided::RequireApproval(_)),
                    state: stands.map_or(RunState::NotKnown, |stands| stands.state),
                    took_ms: stands.and_then(|stands| took_ms(entry.at, stands.finished_at?)),
                }),
            }
        }
        Fact::RulesChanged {
            revision, changes, ..
        } => Some(What::RulesChanged {
            revision: revision.clone(),
            changes: changes.clone(),
        }),
        Fact::CatalogKept {
            revision,
            mistakes,
            first,
        } => Some(What::FilesNotTaken {
            mistakes: *mistakes,
            first: first.clone(),
            revision: revision.clone(),
        }),
        Fact::Lock {
            actor,
            target,
            became,
            ..
        } => Some(What::Lock {
            target: target.words(),
            by: actor.clone(),
            became: became.clone(),
        }),
        Fact::Page {
            reference, became, ..
        } => match became {
            PageEvent::Began { by, .. } => Some(What::Page {
                reference: reference.clone(),
                by: by.clone(),
                acknowledged: false,
            }),
            PageEvent::Acknowledged { by } => Some(What::Page {
                reference: reference.clone(),
                by: Identity::Person(by.clone()),
                acknowledged: true,
            }),
            _ => None,
        },
        Fact::SetBack { why } => Some(What::SetBack { why: why.clone() }),
        Fact::Received { .. }
        | Fact::Refused { .. }
        | Fact::Answered { .. }
        | Fact::Link { .. }
        | Fact::Covered { .. }
        | Fact::Token { .. }
        | Fact::Run { .. }
        | Fact::CatalogLoaded { .. }
        | Fact::Service { .. } => None,
    }
}

fn took_ms(from: Timestamp, to: Timestamp) -> Option<u64> {
    u64::try_from(to.duration_since(from).as_millis()).ok()
}

/// Lines of a timeline, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// Whose.
    pub project: ProjectName,
    /// From when on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only lines with these words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Newest first.
    pub lines: Vec<Happening>,
    /// Where to go on, when there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Position>,
    /// What is not there, and why: one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(hash: &str) -> Commit {
        Commit {
            hash: hash.to_owned(),
            at: Timestamp::from_millisecond(1_790_000_000_000).unwrap(),
            author: "Ana".to_owned(),
            summary: "Let kim flush".to_owned(),
            files: Vec::new(),
        }
    }

    #[test]
    fn a_position_is_read_as_it_is_written_and_as_people_type_moments() {
        let position = Position {
            at_ms: 1_790_000_000_120,
            rank: -7,
        };
        assert_eq!(position.to_string().parse(), Ok(position));
        let day = "2026-09-21".parse::<Position>().unwrap();
        assert_eq!(day.to_string(), format!("1789948800000/{}", i64::MIN));
        assert!("2026-09-21T03:00Z".parse::<Position>().unwrap() > day);
        for wrong in ["", "yesterday", "1/", "/1", "3d"] {
            assert_eq!(wrong.parse::<Position>(), Err(NoPosition), "{wrong}");
        }
    }

    #[test]
    fn commits_of_one_moment_have_an_order_that_their_hashes_give() {
        let (low, high) = (commit(&"1".repeat(40)), commit(&"f".repeat(40)));
        let (low_at, high_at) = (Position::of_commit(&low), Position::of_commit(&high));
        assert!(low_at > high_at && high_at.rank < 0);
        let behind = low_at.hashes_behind();
        assert!(high.hash > behind && low.hash < behind, "{behind}");
        assert!(low.hash > Position { rank: 0, ..low_at }.hashes_behind());
        let moment = Position::of_moment(low.at);
        assert!(high.hash < moment.hashes_behind());
    }
}
