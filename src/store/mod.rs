//! Keeps the facts and hands out work. The only module with SQL; one method is one intention is one transaction.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{
    Entry, Fact, Facts, Inbound, InboundKey, Invocation, Message, Outcome, OutputRef, Platform,
    Posting, ProjectName, Reference, Run, RunEvent, RunId,
};

/// Where the facts are kept.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `sqlite:PATH`; PostgreSQL comes with its own issue.
    pub url: String,
    /// Folder of the ledger's key and of the sealed head.
    pub data: PathBuf,
}

/// Why the store did not do what it was asked. Nothing was changed then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached or answered with an error of its own.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
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

/// Identifies a posting; also sent to platforms, so that a post can be recognised after a lost answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PostingId(pub i64);

/// A message on a platform, as the platform calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRef(pub String);

/// A posting that may be delivered now: everything before it in its thread has been.
#[derive(Debug, Clone)]
pub struct DuePosting {
    /// Which.
    pub id: PostingId,
    /// Which state of it; a root is replaced by newer states while it waits.
    pub version: i64,
    /// What and where.
    pub posting: Posting,
    /// Of a root: the message to edit; `None` before it was first posted.
    pub delivered: Option<MessageRef>,
    /// Of a run's line: the thread to post into, made of its root.
    pub thread: Option<MessageRef>,
    /// A delivery began and its end was not recorded: look on the platform before posting again.
    pub in_doubt: bool,
    /// Failed deliveries so far.
    pub attempts: u32,
}

/// Keeps the facts and hands out work. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    _inner: Arc<()>,
}

#[expect(
    clippy::unimplemented,
    unused_variables,
    clippy::unused_async,
    reason = "the contract; replaced by the first implementation"
)]
impl Store {
    /// Opens the database, applies migrations, checks the SQLite version, takes the folder's lock (SQLite: one process).
    /// Leases left by a dead process of the same folder are void at once.
    pub async fn open(settings: &StoreSettings, now: Timestamp) -> Result<Self, StoreError> {
        unimplemented!()
    }
    /// Flushes and closes. Later calls answer `Unavailable`.
    pub async fn close(&self) {
        unimplemented!()
    }
    /// Answers when anything was committed since the last look. A hint for promptness; correctness is by polling.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        unimplemented!()
    }

    /// Records an inbound, durably, before its edge acknowledges it. Group commit: many share one fsync.
    pub async fn receive(&self, inbound: Inbound) -> Result<Receipt, StoreError> {
        unimplemented!()
    }
    /// Inbounds that no conclusion was recorded for, oldest first.
    pub async fn waiting_inbounds(&self, limit: u32) -> Result<Vec<Inbound>, StoreError> {
        unimplemented!()
    }
    /// Concludes an inbound. `Conflict` when it was concluded already, when its run's lock is held (the message then
    /// names the holder), when the reference is taken, or when an event does not fit. The inbound's text is forgotten.
    pub async fn conclude(&self, conclusion: Conclusion, now: Timestamp) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Records facts that belong to no inbound, with what we owe to people for them.
    pub async fn record(
        &self,
        facts: Vec<Fact>,
        postings: Vec<Posting>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// `running` and `just_done` for an invocation: who holds `lock`, and the latest success of `same_target` since `fresh_since`.
    pub async fn facts_for(
        &self,
        lock: Option<String>,
        same_target: String,
        fresh_since: Option<Timestamp>,
    ) -> Result<Facts, StoreError> {
        unimplemented!()
    }
    /// The shortest reference of the run that no other run has.
    pub async fn free_reference(&self, run: RunId) -> Result<Reference, StoreError> {
        unimplemented!()
    }
    /// A run.
    pub async fn run(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        unimplemented!()
    }
    /// A run, by what people call it.
    pub async fn run_by_reference(&self, reference: &Reference) -> Result<Option<Run>, StoreError> {
        unimplemented!()
    }
    /// Runs, newest first.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>, StoreError> {
        unimplemented!()
    }
    /// Ledger entries of a run, oldest first: what was decided and what happened.
    pub async fn history(&self, run: RunId) -> Result<Vec<Entry>, StoreError> {
        unimplemented!()
    }

    /// Leases the run whose next step has been due longest and that nobody holds. `None` when nothing is due.
    pub async fn claim_run(
        &self,
        worker: &WorkerId,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<(Lease, Run)>, StoreError> {
        unimplemented!()
    }
    /// Extends a lease. `Conflict` when it is lost.
    pub async fn renew_lease(
        &self,
        lease: &Lease,
        now: Timestamp,
        by: Duration,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Hands a lease back; the run is due again when `domain::next` says.
    pub async fn release_lease(&self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Records what happened to a leased run, and what we owe to people for it. Answers the run's new state.
    pub async fn record_run(
        &self,
        lease: &Lease,
        events: Vec<RunEvent>,
        tell: Tell,
        now: Timestamp,
    ) -> Result<Run, StoreError> {
        unimplemented!()
    }
    /// Keeps output (already cleaned and redacted) and what we owe for it. Bounded by the caller.
    pub async fn append_output(
        &self,
        lease: &Lease,
        of: OutputRef,
        text: String,
        postings: Vec<Posting>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// The whole kept output of an attempt.
    pub async fn output(&self, of: OutputRef) -> Result<String, StoreError> {
        unimplemented!()
    }

    /// Postings that may be delivered now: of each thread the oldest undelivered; roots first posted before their lines;
    /// finished roots and last lines before others.
    pub async fn due_postings(
        &self,
        platform: Platform,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DuePosting>, StoreError> {
        unimplemented!()
    }
    /// Remembers that a delivery begins, so that a crash leaves it `in_doubt`.
    pub async fn begin_posting(&self, id: PostingId, now: Timestamp) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Remembers a delivery. A root that has a newer state by now stays due.
    pub async fn posting_delivered(
        &self,
        id: PostingId,
        version: i64,
        message: Option<MessageRef>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Tries again later. `in_doubt`: whether it may have arrived.
    pub async fn defer_posting(
        &self,
        id: PostingId,
        until: Timestamp,
        in_doubt: bool,
        why: &str,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Gives up: the platform refuses it for good. The thread goes on without it.
    pub async fn drop_posting(
        &self,
        id: PostingId,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// How many postings wait.
    pub async fn postings_waiting(&self) -> Result<u64, StoreError> {
        unimplemented!()
    }

    /// A small write and read, for `/readyz`.
    pub async fn probe(&self, now: Timestamp) -> Result<(), StoreError> {
        unimplemented!()
    }
}
