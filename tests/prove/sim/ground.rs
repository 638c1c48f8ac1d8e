//! What is kept: the book; and, for some seeds, the real store and the real dispatch beside it, step by step.
//!
//! The two must agree on every answer. So what thousands of seeds show of the book is shown of the store.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use midwatch::clock::Clock;
use midwatch::dispatch::Dispatch;
use midwatch::domain::{
    Block, Catalog, Commitment, Entry, Fact, Inbound, Platform, Posting, Run, RunEvent, RunId,
};
use midwatch::store::{
    Change, Conclusion, DuePosting, Duty, Lease, MessageRef, PostingId, Receipt, Standing, Store,
    StoreError, StoreSettings, WorkerId,
};
use tokio::runtime::Runtime;

use super::book::{Book, Held};
use super::desk::{self, tell};

/// What is wrong, in a sentence.
pub(super) type Violation = String;

/// How long a lease lasts here.
pub(super) const LEASE: Duration = Duration::from_secs(15);
/// How many postings are looked at.
const LIMIT: usize = 64;

pub(super) struct Ground {
    pub(super) book: Book,
    real: Option<Real>,
}

/// An inbound that was walked and not concluded yet.
pub(super) struct Walked {
    book: Conclusion,
    real: Option<Conclusion>,
    /// When: dispatch asks the clock once for both.
    pub(super) at: Timestamp,
}

impl Walked {
    pub(super) fn conclusion(&self) -> &Conclusion {
        &self.book
    }
}

struct Real {
    /// `None` in a crash only. Dropped first: the runtime waits for its writer to end.
    store: Option<Store>,
    runtime: Runtime,
    folder: tempfile::TempDir,
    leases: HashMap<Held, Lease>,
    duty: Duty,
    /// Its ids of postings, in the order of the book's.
    postings: HashMap<PostingId, PostingId>,
}

impl Ground {
    pub(super) fn new(with_store: bool, now: Timestamp) -> Self {
        Self {
            book: Book::new(),
            real: with_store.then(|| Real::new(now)),
        }
    }

    pub(super) fn receive(&mut self, inbound: &Inbound) -> Result<Receipt, Violation> {
        let receipt = self.book.receive(inbound);
        if let Some(real) = &self.real {
            let found = real.ask(real.store().receive(inbound.clone()))?;
            same("the receipt", &Some(receipt), &found)?;
        }
        Ok(receipt)
    }

    pub(super) fn walk(
        &self,
        inbound: &Inbound,
        catalog: &Arc<Catalog>,
        now: Timestamp,
    ) -> Result<Walked, Violation> {
        let book = desk::walk(&self.book, catalog, inbound, now);
        let Some(real) = &self.real else {
            return Ok(Walked {
                book,
                real: None,
                at: now,
            });
        };
        let dispatch = Dispatch {
            store: real.store().clone(),
            catalog: Arc::new(ArcSwap::new(Arc::clone(catalog))),
            roster: None,
            clock: Clock::steered(now),
            mirrors_on: vec![Platform::Slack],
        };
        let found = real.ask(dispatch.walk(inbound, now))?;
        let found = found.ok_or("a walk met a conflict")?;
        same("what is recorded", &book.fact, &found.fact)?;
        same("what is told", &book.postings, &found.postings)?;
        match (&book.change, &found.change) {
            (Change::Nothing, Change::Nothing) => {}
            (
                Change::NewRun { run, lock },
                Change::NewRun {
                    run: found,
                    lock: found_lock,
                },
            ) => {
                same("the new run", run, found)?;
                same("its lock", lock, found_lock)?;
            }
            (Change::Happened { events, .. }, Change::Happened { events: found, .. }) => {
                same("what happened", events, found)?;
            }
            _ => return Err("dispatch changes something else than its description".to_owned()),
        }
        Ok(Walked {
            book,
            real: Some(found),
            at: now,
        })
    }

    /// Whether there was no conflict.
    pub(super) fn conclude(&mut self, walked: Walked) -> Result<bool, Violation> {
        let now = walked.at;
        let concluded = self.book.conclude(walked.book, now);
        if let (Some(real), Some(conclusion)) = (&self.real, walked.real) {
            let found = real.ask(real.store().conclude(conclusion, now))?;
            same("whether it was concluded", &concluded, &found.is_some())?;
        }
        Ok(concluded)
    }

    pub(super) fn claim(
        &mut self,
        worker: &str,
        now: Timestamp,
    ) -> Result<Option<(Held, Run)>, Violation> {
        let claimed = self.book.claim(now, LEASE);
        if let Some(real) = &mut self.real {
            let worker = WorkerId(worker.to_owned());
            let found = real
                .ask(real.store().claim_run(&worker, &[], now, LEASE))?
                .flatten();
            let run = found.as_ref().map(|(_, run)| run);
            same(
                "the claimed run",
                &claimed.as_ref().map(|(_, run)| run),
                &run,
            )?;
            if let (Some((held, _)), Some((lease, _))) = (&claimed, found) {
                real.leases.insert(held.clone(), lease);
            }
        }
        Ok(claimed)
    }

    /// Whether the lease was still held; likewise below.
    pub(super) fn renew(&mut self, held: &Held, now: Timestamp) -> Result<bool, Violation> {
        let renewed = self.book.renew(held, now, LEASE);
        if let Some(real) = &self.real {
            let found = real.ask(real.store().renew_lease(&real.leases[held], now, LEASE))?;
            same("whether the lease was renewed", &renewed, &found.is_some())?;
        }
        Ok(renewed)
    }

    pub(super) fn release(&mut self, held: &Held, now: Timestamp) -> Result<bool, Violation> {
        let released = self.book.release(held, now);
        if let Some(real) = &self.real {
            let found = real.ask(real.store().release_lease(&real.leases[held], now))?;
            same(
                "whether the lease was handed back",
                &released,
                &found.is_some(),
            )?;
        }
        Ok(released)
    }

    /// The run afterwards; `None` when the lease is lost, or an event does not fit.
    pub(super) fn record(
        &mut self,
        held: &Held,
        events: &[RunEvent],
        now: Timestamp,
    ) -> Result<Option<Run>, Violation> {
        let tell = || tell(events.to_vec(), now);
        let after = self.book.record(held, events.to_vec(), tell(), now);
        if let Some(real) = &self.real {
            let lease = &real.leases[held];
            let found = real.ask(real.store().record_run(lease, events.to_vec(), tell(), now))?;
            same("the run after an event", &after, &found)?;
        }
        Ok(after)
    }

    pub(super) fn due(&mut self, now: Timestamp) -> Result<Vec<DuePosting>, Violation> {
        let due = self.book.due(now, LIMIT);
        if let Some(real) = &mut self.real {
            let platform = Platform::Slack;
            let limit = u32::try_from(LIMIT).expect("few");
            let found = real.ask(real.store().due_postings(platform, now, limit))?;
            real.compare_due(&due, found.unwrap_or_default())?;
        }
        Ok(due)
    }

    /// Whether what became of a delivery could be recorded; likewise below.
    pub(super) fn begin(&mut self, id: PostingId) -> Result<bool, Violation> {
        let begun = self.book.begin(id);
        let ask = |store: Store, duty, id| async move { store.begin_posting(&duty, id).await };
        self.agree("a delivery begins", begun, id, ask)
    }

    pub(super) fn delivered(
        &mut self,
        id: PostingId,
        version: i64,
        message: Option<MessageRef>,
    ) -> Result<bool, Violation> {
        let delivered = self.book.delivered(id, version, message.clone());
        let ask = |store: Store, duty, id| async move {
            store.posting_delivered(&duty, id, version, message).await
        };
        self.agree("a delivery", delivered, id, ask)
    }

    pub(super) fn stands(&mut self, id: PostingId, stands: &Standing) -> Result<bool, Violation> {
        let recorded = self.book.stands(id, stands.clone());
        let stands = stands.clone();
        let ask =
            |store: Store, duty, id| async move { store.posting_stands(&duty, id, stands).await };
        self.agree("a delivery that more is due for", recorded, id, ask)
    }

    pub(super) fn lost(&mut self, id: PostingId, until: Timestamp) -> Result<bool, Violation> {
        let recorded = self.book.lost(id, until);
        let ask =
            |store: Store, duty, id| async move { store.posting_lost(&duty, id, until).await };
        self.agree("a lost delivery", recorded, id, ask)
    }

    pub(super) fn defer(
        &mut self,
        id: PostingId,
        until: Timestamp,
        in_doubt: bool,
    ) -> Result<bool, Violation> {
        let deferred = self.book.defer(id, until, in_doubt);
        let ask = |store: Store, duty, id| async move {
            let why = "so the simulation says";
            store.defer_posting(&duty, id, until, in_doubt, why).await
        };
        self.agree("a deferred delivery", deferred, id, ask)
    }

    fn agree<F: Future<Output = Result<(), StoreError>>>(
        &self,
        what: &str,
        book: bool,
        id: PostingId,
        ask: impl FnOnce(Store, Duty, PostingId) -> F,
    ) -> Result<bool, Violation> {
        if let Some(real) = &self.real {
            let asked = ask(real.store().clone(), real.duty.clone(), real.postings[&id]);
            let found = real.ask(asked)?;
            same(what, &book, &found.is_some())?;
        }
        Ok(book)
    }

    /// The process ends, without a word, and another starts.
    pub(super) fn crash(&mut self, now: Timestamp) {
        self.book.crash();
        if let Some(real) = &mut self.real {
            drop(real.store.take());
            let store = open(&real.runtime, real.folder.path(), now);
            real.duty = on_duty(&real.runtime, &store, now);
            real.store = Some(store);
            real.leases.clear();
        }
    }

    /// At the end: every run, every entry, and the tree over them.
    pub(super) fn compare_all(&self) -> Result<(), Violation> {
        let Some(real) = &self.real else {
            return Ok(());
        };
        for run in self.book.runs() {
            let found: RunId = run.id;
            let found = real.ask(real.store().run(found))?.flatten();
            same("a run at the end", &Some(run), &found.as_ref())?;
        }
        let report = real.ask(real.store().verify(&[]))?;
        let report = report.ok_or("the ledger could not be verified")?;
        if !report.findings.is_empty() {
            return Err(format!(
                "the store's ledger does not verify: {:?}",
                report.findings
            ));
        }
        let mut export = Vec::new();
        real.ask(real.store().export(&mut export))?;
        let export = String::from_utf8(export).expect("the ledger is text");
        let lines: Vec<&str> = export.lines().collect();
        let (_, lines) = lines.split_last().ok_or("the export is empty")?;
        same(
            "the number of entries",
            &self.book.entries.len(),
            &lines.len(),
        )?;
        for (entry, line) in self.book.entries.iter().zip(lines) {
            let mut found: Entry =
                serde_json::from_str(line).map_err(|why| format!("entry `{line}`: {why}"))?;
            hide(&mut found.fact);
            same("an entry", entry, &found)?;
        }
        Ok(())
    }
}

impl Real {
    fn new(now: Timestamp) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().expect("a runtime");
        // In memory where there is such a folder: what is proven here needs no disk.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.expect("a temporary folder");
        let store = open(&runtime, folder.path(), now);
        Self {
            duty: on_duty(&runtime, &store, now),
            store: Some(store),
            runtime,
            folder,
            leases: HashMap::new(),
            postings: HashMap::new(),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open but in a crash")
    }

    /// The answer; `None` for a conflict.
    fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Option<T>, Violation> {
        match self.runtime.block_on(answer) {
            Ok(answer) => Ok(Some(answer)),
            Err(StoreError::Conflict(_)) => Ok(None),
            Err(fault) => Err(format!("the store: {fault}")),
        }
    }

    /// The same postings in the same order; checkpoints differ, because salts do.
    fn compare_due(&mut self, due: &[DuePosting], found: Vec<DuePosting>) -> Result<(), Violation> {
        let said = |due: &DuePosting| {
            format!(
                "{:?} version {} delivered {:?} thread {:?} in doubt {} attempts {}",
                without_checkpoint(&due.posting),
                due.version,
                due.delivered,
                due.thread,
                due.in_doubt,
                due.attempts
            )
        };
        let all = |due: &[DuePosting]| due.iter().map(said).collect::<Vec<_>>();
        same("what is due to be told", &all(due), &all(&found))?;
        for (book, found) in due.iter().zip(found) {
            let known = *self.postings.entry(book.id).or_insert(found.id);
            same("the id of a posting", &known, &found.id)?;
        }
        Ok(())
    }
}

fn open(runtime: &Runtime, folder: &Path, now: Timestamp) -> Store {
    let settings = StoreSettings {
        url: format!("sqlite:{}", folder.join("midwatch.db").display()),
        data: folder.to_owned(),
    };
    let store = runtime.block_on(Store::open(&settings, now));
    store.expect("a store in a folder of its own opens")
}

/// The duty to deliver; nobody else wants it.
fn on_duty(runtime: &Runtime, store: &Store, now: Timestamp) -> Duty {
    let (platform, postman) = (Platform::Slack, WorkerId("postman".to_owned()));
    let duty = runtime.block_on(store.take_duty(platform, &postman, now, LEASE));
    let duty = duty.expect("a new store answers");
    duty.expect("nobody else delivers")
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, book: &T, found: &T) -> Result<(), Violation> {
    if book == found {
        return Ok(());
    }
    Err(format!(
        "{what} differs\n  as described: {book:?}\n  in the store: {found:?}"
    ))
}

/// Commitments are salted, and the book's are not.
fn hide(fact: &mut Fact) {
    if let Fact::Received { speaker, text, .. } = fact {
        *speaker = Commitment("hidden".to_owned());
        *text = Commitment("hidden".to_owned());
    }
}

fn without_checkpoint(posting: &Posting) -> Posting {
    let mut posting = posting.clone();
    for block in &mut posting.message.blocks {
        if let Block::Output(text) = block
            && text.starts_with("midwatch/")
        {
            "a checkpoint".clone_into(text);
        }
    }
    posting
}
