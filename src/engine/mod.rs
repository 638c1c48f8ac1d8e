//! Takes runs, does their steps, survives crashes. One durable transition at a time: claim, commit, work, record.

pub mod actions;
mod attempt;
mod left;
pub mod pager;
pub mod secrets;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use crate::clock::Clock;
use crate::domain::{
    Due, OutputRef, Place, Posting, PostingKind, Reference, Run, RunEvent, RunId, StepResult,
    apply, next, render,
};
use crate::planted::crash;
use crate::store::{Lease, Store, StoreError, Tell, WorkerId};

use actions::{Steps, Surroundings};

/// How long a lease lasts without a heartbeat; a third of it lies between two. So soon is a dead worker's work taken over.
pub const LEASE: Duration = Duration::from_secs(6);
/// How long to wait for a hint that a run is due, before looking anyway.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often folders of attempts that are over are looked for.
const CLEAR_EVERY: Duration = Duration::from_secs(5);
/// How long leases may take to be handed back at the end.
const HAND_BACK_WITHIN: Duration = Duration::from_secs(3);
/// How long a result is kept in memory while the store can't take it.
const RECORD_WITHIN: Duration = Duration::from_secs(600);
/// How long to wait before it is recorded again.
const RECORD_AGAIN: Duration = Duration::from_millis(500);

/// Does runs.
#[derive(Clone)]
pub struct Engine {
    /// Where runs wait and what happens to them goes.
    pub store: Store,
    /// Tells the time.
    pub clock: Clock,
    /// What actions need.
    pub surroundings: Surroundings,
    /// Where the supervisors of `run` steps leave what they know.
    pub steps: Steps,
    /// Who holds the leases.
    pub worker: WorkerId,
    /// How many runs are done at the same time; further ones stay queued.
    pub at_once: usize,
    /// How long we wait for running steps after the end of service was asked for. Then `run` steps are left to their
    /// supervisors, and others are interrupted.
    pub drain: Duration,
}

impl Engine {
    /// Does runs until cancelled, then drains.
    pub async fn run(&self, cancel: CancellationToken) {
        let mut changes = self.store.changes();
        let mut working = JoinSet::new();
        let at_work = Arc::new(Mutex::new(Vec::new()));
        let leave = CancellationToken::new();
        let mut clear = tokio::time::interval(CLEAR_EVERY);
        while !cancel.is_cancelled() {
            while working.try_join_next().is_some() {}
            changes.mark_unchanged();
            match self.claim(&at_work).await {
                Ok(Some((lease, run))) => {
                    crash("lease.claimed");
                    let (engine, leave) = (self.clone(), leave.clone());
                    let here = AtWork::on(run.id, &at_work);
                    let span =
                        info_span!("run", run.id = %run.id, command.name = %run.invocation.command);
                    let work = async move {
                        engine.work(lease, run, leave).await;
                        drop(here);
                    };
                    working.spawn(work.instrument(span));
                    continue;
                }
                Ok(None) => {}
                Err(fault) => warn!("no run could be claimed: {fault}"),
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                _ = changes.changed() => {}
                Some(_) = working.join_next(), if !working.is_empty() => {}
                _ = clear.tick() => self.clear_away().await,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        let mut all = async |patience| {
            let all = async { while working.join_next().await.is_some() {} };
            tokio::time::timeout(patience, all).await.is_ok()
        };
        if !all(self.drain).await {
            leave.cancel();
            all(HAND_BACK_WITHIN).await;
        }
        // Dropping the set ends what is left, but no supervisor.
    }

    async fn claim(&self, at_work: &Mutex<Vec<RunId>>) -> Result<Option<(Lease, Run)>, StoreError> {
        let at_work = at_work
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if at_work.len() >= self.at_once {
            return Ok(None);
        }
        self.store
            .claim_run(&self.worker, &at_work, self.clock.now(), LEASE)
            .await
    }

    /// Works on a run until nothing is due, or until it is to be left as it is.
    async fn work(&self, lease: Lease, run: Run, leave: CancellationToken) {
        let reference = run.reference.clone();
        let worked = tokio::select! {
            biased;
            worked = self.drive(&lease, run) => worked,
            lost = self.keep_leased(&lease, &reference) => Err(lost),
            () = leave.cancelled() => {
                warn!("run {reference} is still going on at the end; a program goes on under its supervisor, other work is interrupted");
                self.store.release_lease(&lease, self.clock.now()).await
            }
        };
        match worked {
            Ok(()) => {}
            Err(StoreError::Conflict(what)) => {
                warn!("run {reference} is somebody else's now: {what}");
                // Whoever it is may have taken the running step as interrupted: then nobody wants it to go on.
                self.clear_away().await;
            }
            Err(fault) => {
                error!("run {reference} stays as it is until its lease ends: {fault}");
                metrics::counter!("midwatch_faults_total", "where" => "engine").increment(1);
            }
        }
    }

    /// Renews the lease for as long as the run is worked on, however short its steps are, and while a check is asked.
    /// Returns when it is lost: somebody else does the run now.
    async fn keep_leased(&self, lease: &Lease, reference: &Reference) -> StoreError {
        let mut renewed = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(LEASE / 3).await;
            let asked = tokio::time::Instant::now();
            match self.store.renew_lease(lease, self.clock.now(), LEASE).await {
                Ok(()) => renewed = asked,
                Err(lost @ StoreError::Conflict(_)) => {
                    let ms = renewed.elapsed().as_millis();
                    warn!("run {reference} was taken over: its lease was renewed last {ms} ms ago");
                    return lost;
                }
                Err(fault) => warn!("the lease of run {reference} could not be renewed: {fault}"),
            }
        }
    }

    /// Does what is due, until nothing is.
    async fn drive(&self, lease: &Lease, mut run: Run) -> Result<(), StoreError> {
        loop {
            run = match next(&run, self.clock.now()) {
                Due::Nothing | Due::Wait(_) => {
                    return self.store.release_lease(lease, self.clock.now()).await;
                }
                Due::Start { position, attempt } => {
                    self.attempt(lease, &run, position, attempt).await?
                }
                Due::Verify { position, attempt } => {
                    self.verify(lease, &run, position, attempt).await?
                }
                Due::Interrupt { position, attempt } => {
                    let of = OutputRef {
                        run: run.id,
                        position,
                        attempt,
                    };
                    if self.is_known_here(&run, of) {
                        self.resume(lease, &run, of).await?
                    } else {
                        self.interrupt(lease, &run, of).await?
                    }
                }
                Due::Finish(_) => self.record(lease, &run, Vec::new()).await?,
            };
        }
    }

    /// Records events, and the run's end in the same transaction when they lead to it.
    ///
    /// A known result is not given up because the store can't take it now: it is tried for ten minutes.
    async fn record(
        &self,
        lease: &Lease,
        run: &Run,
        mut told: Vec<Told>,
    ) -> Result<Run, StoreError> {
        let now = self.clock.now();
        let mut after = run.clone();
        for told in &told {
            after = apply(&after, &told.event, now)
                .map_err(|unfit| StoreError::Conflict(unfit.to_string()))?;
        }
        if let Due::Finish(outcome) = next(&after, now) {
            let elapsed_ms = elapsed_ms(run.created_at, now);
            let finished = RunEvent::Finished {
                outcome,
                elapsed_ms,
            };
            after = apply(&after, &finished, now)
                .map_err(|unfit| StoreError::Conflict(unfit.to_string()))?;
            told.push(Told::of(finished));
            info!(
                outcome = outcome.as_str(),
                elapsed_ms, "run {} ends", run.reference
            );
            metrics::counter!("midwatch_runs_finished_total", "outcome" => outcome.as_str())
                .increment(1);
        }
        let told = Arc::new(told);
        let deadline = tokio::time::Instant::now() + RECORD_WITHIN;
        let mut tried = false;
        loop {
            let events = told.iter().map(|told| told.event.clone()).collect();
            match self
                .store
                .record_run(lease, events, tell(Arc::clone(&told), now), now)
                .await
            {
                Err(
                    fault @ (StoreError::Unavailable(_)
                    | StoreError::NoAnswer
                    | StoreError::NotWritable(_)
                    | StoreError::Busy(_)),
                ) if tokio::time::Instant::now() < deadline => {
                    warn!(
                        "what happened to run {} can't be recorded yet: {fault}",
                        run.reference
                    );
                    tried = true;
                    tokio::time::sleep(RECORD_AGAIN).await;
                }
                // A database that gave no answer may have taken it all the same: then it is as we wanted it.
                Err(StoreError::Conflict(what)) if tried => {
                    return match self.store.run(run.id).await? {
                        Some(found) if found == after => Ok(found),
                        _ => Err(StoreError::Conflict(what)),
                    };
                }
                other => return other,
            }
        }
    }
}

/// A run that is worked on here, until this is dropped, even by a panic: its lease may end meanwhile, where it could not
/// be renewed.
struct AtWork {
    run: RunId,
    all: Arc<Mutex<Vec<RunId>>>,
}

impl AtWork {
    fn on(run: RunId, all: &Arc<Mutex<Vec<RunId>>>) -> Self {
        let mut known = all.lock().unwrap_or_else(PoisonError::into_inner);
        known.push(run);
        let all = Arc::clone(all);
        Self { run, all }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut known = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|run| *run != self.run);
    }
}

/// An event, with what its step printed.
struct Told {
    event: RunEvent,
    output: String,
}

impl Told {
    fn of(event: RunEvent) -> Self {
        Self {
            event,
            output: String::new(),
        }
    }
}

/// Renders what events mean for the thread, in each of its places.
fn tell(told: Arc<Vec<Told>>, now: Timestamp) -> Tell {
    Box::new(move |run, checkpoint| {
        let postings = run
            .places()
            .flat_map(|to| tell_place(to, run, &told, (now, checkpoint)));
        postings.collect()
    })
}

/// The root's new state, a line for each event, the last line with the checkpoint.
fn tell_place(
    to: &Place,
    run: &Run,
    told: &[Told],
    (now, checkpoint): (Timestamp, Option<&str>),
) -> Vec<Posting> {
    let live = to.platform.shows_live_output();
    let posting = |kind, message| render::posting(run, to, kind, message);
    let mut postings = vec![posting(PostingKind::Root, render::root(run, now, None))];
    for Told { event, output } in told {
        let shown = if live { "" } else { output.as_str() };
        let too_long = render::excerpt(shown).1;
        let attachment = match event {
            RunEvent::StepEnded {
                position, attempt, ..
            } if too_long => Some(OutputRef {
                run: run.id,
                position: *position,
                attempt: *attempt,
            }),
            // The root says it already; live output needs it as a heading.
            RunEvent::StepStarted { .. } if !live => continue,
            _ => None,
        };
        if let Some(message) = render::line(run, event, shown) {
            postings.push(posting(
                PostingKind::Line {
                    attachment,
                    last: false,
                },
                message,
            ));
        }
    }
    if told
        .iter()
        .any(|told| matches!(told.event, RunEvent::Finished { .. }))
    {
        let kind = PostingKind::Line {
            attachment: None,
            last: true,
        };
        postings.push(posting(kind, render::last_line(run, now, checkpoint)));
    }
    postings
}

fn elapsed_ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

/// Whether a result ends the attempt without telling whether it happened.
fn is_unknown(result: &StepResult) -> bool {
    matches!(result, StepResult::Unknown { .. })
}
