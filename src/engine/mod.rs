//! Takes runs, does their steps, survives crashes. One durable transition at a time: claim, commit, work, record.

pub mod actions;
mod attempt;
pub mod secrets;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use crate::clock::Clock;
use crate::domain::{
    Due, OutputRef, Posting, PostingKind, Run, RunEvent, StepResult, apply, next, render,
};
use crate::store::{Lease, Store, StoreError, Tell, WorkerId};

use actions::Surroundings;

/// How long a lease lasts without a heartbeat; a third of it lies between two. So soon is a dead worker's work taken over.
pub const LEASE: Duration = Duration::from_secs(6);
/// How long to wait for a hint that a run is due, before looking anyway.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a run stays as it is after a fault.
const HAND_BACK_AFTER: Duration = Duration::from_secs(2);
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
    /// Who holds the leases.
    pub worker: WorkerId,
    /// How many runs are done at the same time; further ones stay queued.
    pub at_once: usize,
    /// How long running steps may go on after the end of service was asked for. Afterwards they are interrupted.
    pub drain: Duration,
}

impl Engine {
    /// Does runs until cancelled, then drains.
    pub async fn run(&self, cancel: CancellationToken) {
        let mut changes = self.store.changes();
        let mut working = JoinSet::new();
        while !cancel.is_cancelled() {
            while working.try_join_next().is_some() {}
            changes.mark_unchanged();
            match self.claim(working.len()).await {
                Ok(Some((lease, run))) => {
                    let engine = self.clone();
                    let span =
                        info_span!("run", run.id = %run.id, command.name = %run.invocation.command);
                    working.spawn(async move { engine.work(lease, run).await }.instrument(span));
                    continue;
                }
                Ok(None) => {}
                Err(fault) => warn!("no run could be claimed: {fault}"),
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                _ = changes.changed() => {}
                Some(_) = working.join_next(), if !working.is_empty() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        let drained = tokio::time::timeout(self.drain, async {
            while working.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            warn!(
                "{} runs were still going on at the end; their steps are interrupted",
                working.len()
            );
        }
        // Dropping the set ends what is left; programs are ended with their tree.
    }

    async fn claim(&self, working: usize) -> Result<Option<(Lease, Run)>, StoreError> {
        if working >= self.at_once {
            return Ok(None);
        }
        self.store
            .claim_run(&self.worker, self.clock.now(), LEASE)
            .await
    }

    async fn work(&self, lease: Lease, run: Run) {
        let reference = run.reference.clone();
        match AssertUnwindSafe(self.drive(&lease, run))
            .catch_unwind()
            .await
        {
            Ok(Ok(())) => return,
            Ok(Err(StoreError::Conflict(what))) => {
                return warn!("run {reference} is somebody else's now: {what}");
            }
            Ok(Err(fault)) => error!("run {reference} stays as it is for a while: {fault}"),
            Err(_) => error!("run {reference} stays as it is for a while: its work panicked"),
        }
        metrics::counter!("midwatch_faults_total", "where" => "engine").increment(1);
        self.hand_back(&lease).await;
    }

    /// Gives a run up, to be taken again: not at once, or a fault that lasts would keep us busy.
    async fn hand_back(&self, lease: &Lease) {
        loop {
            tokio::time::sleep(HAND_BACK_AFTER).await;
            match self.store.release_lease(lease, self.clock.now()).await {
                Ok(()) | Err(StoreError::Conflict(_)) => return,
                Err(fault) => warn!("the lease of run {} is still held: {fault}", lease.run()),
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
                    let event = interrupted(&run, position, attempt);
                    self.record(lease, &run, vec![Told::of(event)]).await?
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

fn interrupted(run: &Run, position: usize, attempt: u32) -> RunEvent {
    let step = &run
        .plan
        .as_ref()
        .expect("a step is only due in a run that has a plan")
        .steps[position];
    RunEvent::StepInterrupted {
        position,
        step: step.name.clone(),
        attempt,
        effect: step.effect,
    }
}

/// Renders what events mean for the thread: the root's new state, a line each, the last line with the checkpoint.
fn tell(told: Arc<Vec<Told>>, now: Timestamp) -> Tell {
    Box::new(move |run, checkpoint| {
        let live = run.place.platform.shows_live_output();
        let posting = |kind, message| Posting {
            to: run.place.clone(),
            kind,
            run: Some(run.id),
            message,
        };
        let mut postings = vec![posting(PostingKind::Root, render::root(run, now, None))];
        for Told { event, output } in told.iter() {
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
    })
}

fn elapsed_ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

/// Whether a result ends the attempt without telling whether it happened.
fn is_unknown(result: &StepResult) -> bool {
    matches!(result, StepResult::Unknown { .. })
}
