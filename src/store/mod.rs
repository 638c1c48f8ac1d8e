//! Keeps the facts and hands out work. The only module with SQL; one method is one intention is one transaction.

mod answers;
mod checkpoint;
mod clocks;
mod codes;
mod copy;
mod covers;
mod cursors;
mod db;
mod due;
mod duties;
mod examine;
mod export;
mod fault;
mod homes;
mod inbox;
mod leases;
mod ledger;
mod links;
mod locks;
mod newer;
mod open;
mod outbox;
mod output;
mod pages;
mod rules_told;
mod run_rows;
mod runs;
mod set_back;
mod timeline;
mod tokens;
pub mod verify;
#[cfg(test)]
mod ways;
mod writer;

pub use clocks::{CLOCK_REFUSE, CLOCK_WARN, ClockState, clock_refused};
pub use codes::{CodeCounts, MOST_WRONG, WRONG_WAIT};
pub use copy::copy;
pub use covers::{Covers, MOST_COVERS, NewCovers};
pub use cursors::{Behind, RunThread, Space};
pub use duties::Duty;
pub use examine::{Finding, FindingState, examine};
pub use links::{
    CODE_LIVES, LinkChange, Linked, MOST_CODES, MOST_LINKS, MOST_TRIES, NewLink, OpenLink,
};
pub use rules_told::RulesTold;
pub use timeline::{GitRead, RunStanding, TimelineFilter, TimelineRead};

pub use answers::Answer;
pub use locks::{LockChange, TellEnd};
pub use pages::{DueCall, KnownPage, PageChange, UnansweredRun};

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::{
    Entry, Fact, InboundKey, Posting, PostingKind, ProjectName, Reference, Run, RunEvent, RunId,
    RunStatus,
};

/// Due at once, in columns that say when: a clock that is put back must not hold up what is due already.
const AT_ONCE: i64 = i64::MIN;

/// Where the facts are kept.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `sqlite:PATH` or `postgres://…`. For SQLite `?max_pages=N` bounds the file to N pages of 4 KiB.
    pub url: String,
    /// Folder of the ledger's key and of the sealed head.
    pub data: PathBuf,
}

/// Why the store did not do what it was asked. Nothing was changed then, but for [`StoreError::NoAnswer`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached or answered with an error of its own.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database did not say that it is done: it may have taken the change, or may take it yet.
    #[error("the database does not confirm the change; whether it took it is not known")]
    NoAnswer,
    /// Another process has the folder.
    #[error(
        "{} is locked: another midwatch runs on this folder; stop it, or set MIDWATCH_DATA to another folder",
        .0.display()
    )]
    InUse(PathBuf),
    /// There is no room left, or the database is read-only.
    #[error("the database can't be written: {0}")]
    NotWritable(String),
    /// More intentions wait than we let wait.
    #[error("the store is busy: {0} intentions wait")]
    Busy(usize),
    /// The expected state was not found: somebody else was first, or the lease is lost.
    #[error("conflict: {0}")]
    Conflict(String),
    /// What was read can't be what was written.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
    /// What was read is whole, and this version has no words for it.
    #[error("{0} was written by a newer version of midwatch, and this one can't read it")]
    Newer(String),
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// Recorded; it will be dispatched.
    New,
    /// Recorded before; nothing more happens.
    Duplicate,
}

/// How an inbound ended: its facts, what it changed, and what we owe to people for it. One transaction.
pub struct Conclusion {
    /// Which; it must be waiting.
    pub inbound: InboundKey,
    /// What is recorded of it.
    pub fact: Fact,
    /// What it changes.
    pub change: Change,
    /// What we owe to people, beside what `change` tells.
    pub postings: Vec<Posting>,
}

/// How an inbound was concluded, as far as whoever waits for it must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concluded {
    /// Refused before a rule was asked.
    Refused,
    /// Answered, or it changed an existing run.
    Answered,
    /// There is a run, perhaps one that waits for consent.
    Run,
    /// The runbook denies or holds it.
    NotRun,
}

impl Concluded {
    fn of(fact: &Fact) -> Self {
        match fact {
            Fact::Decided { run: Some(_), .. } => Self::Run,
            Fact::Decided { run: None, .. } => Self::NotRun,
            Fact::Refused { .. } => Self::Refused,
            _ => Self::Answered,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Answered => "answered",
            Self::Run => "run",
            Self::NotRun => "not_run",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Refused, Self::Answered, Self::Run, Self::NotRun]
            .into_iter()
            .find(|it| it.as_str() == word)
    }
}

/// What a concluded inbound changes.
pub enum Change {
    /// Nothing.
    Nothing,
    /// A run comes into being.
    NewRun {
        /// As it begins: `Queued` or `AwaitingApproval`.
        run: Box<Run>,
        /// What it may not share while it holds its lock (`Invocation::target`).
        lock: Option<String>,
    },
    /// Something happens to an existing run.
    Happened {
        /// Which.
        run: RunId,
        /// In order. Each must fit, or nothing happens at all.
        events: Vec<RunEvent>,
        /// Tells people of it.
        tell: Tell,
    },
    /// An account comes to speak for a person, or ceases to.
    Link(LinkChange),
    /// A person takes a lock, or ends one.
    Lock(LockChange),
    /// Shifts are arranged.
    Covers(NewCovers),
    /// A page begins, or something happens to it.
    Page(Box<PageChange>),
    /// Something changes, and a page begins or ends because of it: both, or neither.
    Paged(Box<Change>, Box<PageChange>),
}

/// Renders what we owe to people from a run's new state. The text is the signed checkpoint, given when an event was
/// `Finished`: its tree includes that very entry.
pub type Tell = Box<dyn FnOnce(&Run, Option<&str>) -> Vec<Posting> + Send>;

/// Identifies a worker over its life; two processes never share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerId(pub String);

/// The time-limited right to work on a run. Every change made with it checks that it is still the latest.
#[derive(Debug, Clone)]
pub struct Lease {
    run: RunId,
    fence: i64,
    /// A database that was set back can give the same fence twice.
    worker: WorkerId,
}

impl Lease {
    /// The run it is for.
    pub fn run(&self) -> RunId {
        self.run
    }
}

/// Which runs to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of this project only.
    pub project: Option<ProjectName>,
    /// Only those that have not finished, or need attention.
    pub open: bool,
    /// How many at the most.
    pub limit: u32,
}

/// Which runs a page lists; newest first.
#[derive(Debug, Clone, Default)]
pub struct RunsAsked {
    /// Of these projects only; `None`: of all.
    pub projects: Option<Vec<ProjectName>>,
    /// `COMMAND`, `COMMAND/PROJECT` or `COMMAND/PROJECT/ENVIRONMENT`, as `target_of` has them; `None`: whatever they do.
    pub target: Option<String>,
    /// `running`, `completed` or `failed`, as [`Run::status`] says it.
    pub status: Option<RunStatus>,
    /// Only what stands behind this.
    pub behind: Option<RunPosition>,
    /// How many at the most.
    pub limit: u32,
}

/// Where a run stands in the list of all, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunPosition {
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Which.
    pub run: RunId,
}

/// Runs that were listed.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    /// Newest first.
    pub known: Vec<Run>,
    /// Among them stood these, which a newer version wrote and this one can't read.
    pub unread: Vec<Reference>,
}

/// What the ledger holds of a run.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// How many there are besides, of kinds that this version does not know.
    pub unread: usize,
}

/// Identifies a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PostingId(pub i64);

/// A message on a platform, as the platform calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRef(pub String);

/// What the platform took of a posting.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The message; `None` where it is known already.
    pub message: Option<MessageRef>,
    /// Which state; 0 while something of it is missing.
    pub version: i64,
    /// When more is due for it.
    pub until: Timestamp,
}

/// A posting that may be delivered now: everything before it in its thread has been.
#[derive(Debug, Clone)]
pub struct DuePosting {
    /// Which.
    pub id: PostingId,
    /// Which state of it; a root is replaced by newer states while it waits.
    pub version: i64,
    /// What and where.
    pub posting: Posting,
    /// The message, once the platform took one: a root's to edit, a line's to attach its file to, a final one's to read
    /// back.
    pub delivered: Option<MessageRef>,
    /// Which state of it the platform took last; 0: none.
    pub delivered_version: i64,
    /// Whether it is final: the run's last line, or the root of a run that has finished.
    pub last: bool,
    /// Of a run's line: the thread to post into, made of its root in that place.
    pub thread: Option<MessageRef>,
    /// A delivery began and its end was not recorded: look on the platform before posting again.
    pub in_doubt: bool,
    /// Failed deliveries so far.
    pub attempts: u32,
}

/// What a message carries, where the platform allows it, to be recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whose message it is.
    pub id: String,
    /// Which state of it the message shows.
    pub version: i64,
}

impl DuePosting {
    /// Of a root the run's id, which is the same even after the database was set back; of others their own. The roots of
    /// one run have one mark in all its places: who makes something unique of it takes the channel along.
    pub fn mark(&self) -> Mark {
        Mark {
            id: match (&self.posting.kind, self.posting.run) {
                (PostingKind::Root, Some(run)) => run.to_string(),
                _ => self.id.0.to_string(),
            },
            version: self.version,
        }
    }

    /// Whether the platform took its latest state, and all that is due is a look whether that is there.
    pub fn is_read_back(&self) -> bool {
        self.delivered.is_some() && self.delivered_version == self.version
    }

    /// Whether it may stand there already, and all that is due is a look whether it does. What nobody can find is not
    /// looked for.
    pub fn is_looked_for(&self) -> bool {
        let can_be_found = match self.posting.kind {
            PostingKind::Root
            | PostingKind::Line { .. }
            | PostingKind::Output { .. }
            | PostingKind::Answer => true,
            PostingKind::Whisper { .. } | PostingKind::Form { .. } => false,
        };
        self.in_doubt && can_be_found
    }
}

/// Keeps the facts and hands out work. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<open::Inner>,
}
