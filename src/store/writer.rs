//! The one writer: intentions that wait share a transaction and its fsync, each under its own savepoint.
//!
//! Nobody is answered before the commit. When it fails, everybody in the group gets its error and nothing was changed;
//! the connection is then opened anew, and with it the end of the ledger, so the next group starts from what is true.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::checkpoint::{newest_note, seal};
use super::db::{Db, Engine, sql};
use super::fault::is_unconfirmed;
use super::inbox::{self, Delivery};
use super::ledger::{FactLine, LedgerEnd, Seen};
use super::open::Target;
use super::set_back;
use super::{Receipt, StoreError};
use crate::domain::{Fact, NoteSigner, RunEvent};

/// Intentions that may wait. When it is full callers are told at once, so that edges can say so in time.
const QUEUE: usize = 4_096;
/// Intentions that share one commit.
const GROUP: usize = 256;
/// The same over a network, where each of their statements is a journey: all must be there and back in time.
const GROUP_OVER_NETWORK: usize = 64;
/// Whoever waited behind a group that failed after so long is not made to wait for another.
const SLOW: Duration = Duration::from_secs(1);
/// How long a group may take where the database is another process: callers are told within three seconds.
const GROUP_WITHIN: Duration = Duration::from_millis(2_500);

/// What an intention works with: the group's transaction and the end of the ledger.
pub(super) struct Group {
    pub(super) db: Db,
    pub(super) ledger: LedgerEnd,
    pub(super) signer: Arc<NoteSigner>,
    /// Whether a run finished, so that the newest checkpoint is to be sealed outside the database.
    pub(super) finished: bool,
}

impl Group {
    /// Adds an entry that is committed with the group.
    pub(super) fn append(&mut self, fact: &Fact, now: jiff::Timestamp) {
        if let Fact::Run {
            happened: RunEvent::Finished { .. },
            ..
        } = fact
        {
            self.finished = true;
        }
        self.ledger.append(&FactLine::new(fact), now);
    }
}

/// Begins a transaction, and answers the tree on PostgreSQL. The lock on the tree's row is what `begin immediate` is on
/// SQLite: one transaction at a time, over all replicas. Nothing that is checked in it can change before its commit, so
/// rows need no locks of their own; the ledger's order would make writers wait for each other anyway.
pub(super) async fn begin(db: &mut Db) -> Result<Option<(i64, String)>, StoreError> {
    match db.engine() {
        Engine::Sqlite(_) => {
            db.run("begin immediate").await?;
            Ok(None)
        }
        Engine::Postgres(_) => {
            db.run("begin").await?;
            sql("select size, nodes from tree where id = 1 for update")
                .optional(db)
                .await
        }
    }
}

/// A future of an intention.
pub(super) type Doing<'g, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'g>>;

enum Intention {
    /// The hot path: those that stand together become one statement.
    Receive(Delivery, Answer<Receipt>),
    /// Anything else.
    Other(Box<dyn Work>),
    /// Finish what came before, and end.
    Close,
}

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// An intention that remembers its result until the group is committed.
trait Work: Send {
    fn perform<'g>(&'g mut self, group: &'g mut Group) -> Doing<'g, ()>;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Typed<T, F> {
    perform: Option<F>,
    result: Option<Result<T, StoreError>>,
    answer: Answer<T>,
}

impl<T, F> Work for Typed<T, F>
where
    T: Send,
    F: for<'g> FnOnce(&'g mut Group) -> Doing<'g, T> + Send,
{
    fn perform<'g>(&'g mut self, group: &'g mut Group) -> Doing<'g, ()> {
        Box::pin(async move {
            let Some(perform) = self.perform.take() else {
                return Ok(());
            };
            let result = perform(group).await;
            let done = result.as_ref().map(|_| ()).map_err(StoreError::clone);
            self.result = Some(result);
            done
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) | (Err(_), Some(result @ Err(_))) => result,
            (Err(error), _) => Err(error),
            (Ok(()), None) => Err(StoreError::Unavailable("it was not performed".to_owned())),
        };
        self.answer.send(result).ok(); // The caller may have gone away; what was committed stays.
    }
}

/// The door to the writer.
pub(super) struct Writer {
    queue: mpsc::Sender<Intention>,
    task: Mutex<JoinSet<()>>,
    changes: watch::Sender<u64>,
}

/// What the writer needs to open its connection, again after a failure.
pub(super) struct WriterSettings {
    pub(super) target: Target,
    pub(super) signer: Arc<NoteSigner>,
    /// The sealed head outside the database.
    pub(super) seal: PathBuf,
    /// When the store was opened, and by the monotonic clock: the writer has no other time of its own.
    pub(super) opened: (Timestamp, Instant),
}

impl WriterSettings {
    fn now(&self) -> Timestamp {
        let (at, then) = self.opened;
        at.saturating_add(SignedDuration::try_from(then.elapsed()).unwrap_or(SignedDuration::ZERO))
            .unwrap_or(at)
    }
}

impl Writer {
    /// Starts the writer on an open connection, on a thread of its own: among the runtime's tasks it would wait its turn
    /// behind every request that is being read, three times a commit.
    pub(super) fn start(settings: WriterSettings, group: Group) -> Self {
        let (queue, intentions) = mpsc::channel(QUEUE);
        let committed = watch::Sender::new(0);
        let changes = committed.clone();
        let mut task = JoinSet::new();
        let runtime = Handle::current();
        let writing = write_groups(settings, group, intentions, committed);
        task.spawn_blocking(move || runtime.block_on(writing));
        Self {
            queue,
            task: Mutex::new(task),
            changes,
        }
    }

    /// Counts commits, ours and those that others tell us of.
    pub(super) fn changes(&self) -> &watch::Sender<u64> {
        &self.changes
    }

    pub(super) async fn receive(&self, delivery: Delivery) -> Result<Receipt, StoreError> {
        self.ask(|answer| Intention::Receive(delivery, answer))
            .await
    }

    /// Performs an intention under its own savepoint, and answers once it is durable.
    pub(super) async fn write<T, F>(&self, perform: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'g> FnOnce(&'g mut Group) -> Doing<'g, T> + Send + 'static,
    {
        self.ask(|answer| {
            Intention::Other(Box::new(Typed {
                perform: Some(perform),
                result: None,
                answer,
            }))
        })
        .await
    }

    async fn ask<T>(
        &self,
        intention: impl FnOnce(Answer<T>) -> Intention,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send(intention(answer))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Busy(QUEUE),
                mpsc::error::TrySendError::Closed(_) => closed(),
            })?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Performs what waits, and ends.
    pub(super) async fn close(&self) {
        self.queue.send(Intention::Close).await.ok(); // An error says that it has ended already.
        let mut task =
            std::mem::take(&mut *self.task.lock().unwrap_or_else(PoisonError::into_inner));
        while task.join_next().await.is_some() {}
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

/// Opens the writer's connection and reads the end of the ledger. What we have `seen` committed must still be there:
/// otherwise the database was set back to an older state, and that is recorded before anything else.
pub(super) async fn open_group(
    settings: &WriterSettings,
    seen: Option<&Seen>,
) -> Result<Group, StoreError> {
    let mut db = settings.target.connect().await?;
    begin(&mut db).await?;
    let mut group = Group {
        ledger: LedgerEnd::load(&mut db).await?,
        db,
        signer: settings.signer.clone(),
        finished: false,
    };
    let was_set_back = set_back::look(&mut group, seen, &settings.seal, settings.now()).await?;
    group.ledger.commit(&mut group.db).await?;
    if was_set_back {
        seal_newest(&mut group, &settings.seal).await?;
    }
    Ok(group)
}

async fn write_groups(
    settings: WriterSettings,
    group: Group,
    mut intentions: mpsc::Receiver<Intention>,
    committed: watch::Sender<u64>,
) {
    let mut seen = group.ledger.seen().cloned();
    let mut open = Some(group);
    let mut waiting = Waiting::default();
    let most = match settings.target {
        Target::Sqlite(_) => GROUP,
        Target::Postgres(_) => GROUP_OVER_NETWORK,
    };
    while waiting.take_from(&mut intentions, most).await {
        if waiting.is_empty() {
            continue; // Told to close, and nothing more to commit.
        }
        let begun = Instant::now();
        let written = write_group(&settings, &mut open, seen.as_ref(), &mut waiting);
        let result = match settings.target {
            Target::Sqlite(_) => written.await,
            Target::Postgres(_) => tokio::time::timeout(GROUP_WITHIN, written)
                .await
                .unwrap_or(Err(StoreError::NoAnswer)),
        };
        if let (Ok(_), Some(group)) = (&result, &open) {
            seen = group.ledger.seen().cloned();
            metrics::counter!("midwatch_commits_total").increment(1);
            committed.send_modify(|n| *n += 1);
        }
        waiting.answer(&result);
        if result.is_err() && begun.elapsed() > SLOW {
            // They have waited as long; a group of their own could double that.
            waiting.take_waiting(&mut intentions);
            waiting.answer(&Err(StoreError::Unavailable(
                "it does not answer; nothing was changed".to_owned(),
            )));
        }
        if let Some(group) = open.as_mut().filter(|group| group.finished)
            && seal_newest(group, &settings.seal).await.is_err()
        {
            open = None; // The connection may be amid an answer.
        }
    }
    if let Some(mut group) = open {
        if let Engine::Sqlite(_) = group.db.engine() {
            // So that the database's file is whole and at rest when `close` returns. All that matters is committed.
            group.db.run("pragma wal_checkpoint(truncate)").await.ok();
        }
        group.db.close().await.ok();
    }
}

/// Writes a group. The connection stays in `open` only when it was committed.
async fn write_group(
    settings: &WriterSettings,
    open: &mut Option<Group>,
    seen: Option<&Seen>,
    waiting: &mut Waiting,
) -> Result<Vec<Receipt>, StoreError> {
    let mut group = match open.take() {
        Some(group) => group,
        None => open_group(settings, seen).await?,
    };
    if let Engine::Postgres(_) = group.db.engine() {
        group = begin_group(group, settings, seen).await?;
    }
    let receipts = commit_group(&mut group, waiting).await?;
    *open = Some(group);
    Ok(receipts)
}

/// Begins the group's transaction on PostgreSQL. A connection that was ended while it was idle is opened anew.
async fn begin_group(
    mut group: Group,
    settings: &WriterSettings,
    seen: Option<&Seen>,
) -> Result<Group, StoreError> {
    let begun = match begin(&mut group.db).await {
        Err(error) if group.db.run("rollback").await.is_ok() => return Err(error),
        Err(_) => {
            group = open_group(settings, seen).await?;
            begin(&mut group.db).await?
        }
        Ok(begun) => begun,
    };
    if let Some((size, nodes)) = begun {
        group.ledger.follow(size, &nodes)?;
    }
    Ok(group)
}

/// A group before its commit.
#[derive(Default)]
struct Waiting {
    receives: Vec<(Delivery, Answer<Receipt>)>,
    others: Vec<Box<dyn Work>>,
    closing: bool,
}

impl Waiting {
    /// Waits for intentions and takes at most so many. `false` when there will be no more.
    async fn take_from(&mut self, intentions: &mut mpsc::Receiver<Intention>, most: usize) -> bool {
        let mut taken = Vec::with_capacity(most);
        if self.closing || intentions.recv_many(&mut taken, most).await == 0 {
            return false;
        }
        for intention in taken {
            self.take(intention);
        }
        true
    }

    /// Takes all that wait at this moment.
    fn take_waiting(&mut self, intentions: &mut mpsc::Receiver<Intention>) {
        while let Ok(intention) = intentions.try_recv() {
            self.take(intention);
        }
    }

    fn take(&mut self, intention: Intention) {
        match intention {
            // What stands behind it is dropped, and its callers read that the store is closed.
            _ if self.closing => {}
            Intention::Close => self.closing = true,
            Intention::Receive(delivery, answer) => self.receives.push((delivery, answer)),
            Intention::Other(work) => self.others.push(work),
        }
    }

    fn is_empty(&self) -> bool {
        self.receives.is_empty() && self.others.is_empty()
    }

    /// Answers everybody, also those that have gone away: what was committed stays.
    fn answer(&mut self, result: &Result<Vec<Receipt>, StoreError>) {
        for (n, (_, answer)) in self.receives.drain(..).enumerate() {
            answer
                .send(result.as_ref().map(|r| r[n]).map_err(StoreError::clone))
                .ok();
        }
        for work in self.others.drain(..) {
            work.answer(result.as_ref().map(|_| ()).map_err(StoreError::clone));
        }
    }
}

/// Performs a group in one transaction. On an error the caller throws the connection away, and with it the transaction.
async fn commit_group(
    group: &mut Group,
    waiting: &mut Waiting,
) -> Result<Vec<Receipt>, StoreError> {
    let deliveries: Vec<&Delivery> = waiting.receives.iter().map(|(d, _)| d).collect();
    let (receipts, mut before) = match group.db.engine() {
        Engine::Sqlite(_) if deliveries.is_empty() => {
            (Vec::new(), "begin immediate; savepoint intention")
        }
        Engine::Postgres(_) if deliveries.is_empty() => (Vec::new(), "savepoint intention"),
        Engine::Sqlite(_) | Engine::Postgres(_) => (
            inbox::receive(group, &deliveries).await?,
            "savepoint intention",
        ),
    };
    for work in &mut waiting.others {
        group.db.run(before).await?;
        perform_one(group, work.as_mut()).await?;
        before = "release intention; savepoint intention";
    }
    // Ends what savepoint is left, too.
    match group.ledger.commit(&mut group.db).await {
        // A server that went away amid the commit may have done it.
        Err(StoreError::Unavailable(why)) if matches!(group.db.engine(), Engine::Postgres(_)) => {
            tracing::warn!("a commit has no answer: {why}");
            Err(StoreError::NoAnswer)
        }
        Err(StoreError::NotWritable(why)) if is_unconfirmed(&why) => {
            tracing::warn!("a commit is not confirmed: {why}");
            Err(StoreError::NoAnswer)
        }
        committed => committed.map(|()| receipts),
    }
}

/// Performs one intention; when it fails, it alone is undone. An error means that the whole transaction is gone.
async fn perform_one(group: &mut Group, work: &mut dyn Work) -> Result<(), StoreError> {
    let mark = group.ledger.mark();
    let Err(error) = work.perform(group).await else {
        return Ok(());
    };
    // SQLite opens a read-only disk's file for reading, and reads for ever: only a new connection writes again.
    if matches!(error, StoreError::NotWritable(_)) {
        return Err(error);
    }
    group.ledger.roll_back(mark);
    // A full disk may have ended the transaction already: then there is no savepoint to go back to.
    group
        .db
        .run("rollback to intention")
        .await
        .map_err(|_| error)
}

/// Seals the newest checkpoint outside the database. An error says that the connection is of no use any more.
async fn seal_newest(group: &mut Group, path: &Path) -> Result<(), StoreError> {
    group.finished = false;
    let note = tokio::time::timeout(GROUP_WITHIN, newest_note(&mut group.db)).await;
    let note = note.unwrap_or(Err(StoreError::NoAnswer));
    let sealed = match &note {
        Ok(Some(note)) => seal(path.to_owned(), note.clone()).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error.clone()),
    };
    if let Err(error) = sealed {
        tracing::warn!(
            "the newest checkpoint was not sealed: {error}; the database and the threads hold it"
        );
    }
    note.map(drop)
}
