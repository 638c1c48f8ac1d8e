//! One attempt of one step: recorded as started, done outside any transaction, recorded as ended.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::actions::{Performed, Verified, Work, perform, verify};
use super::{Engine, RECORD_AGAIN, RECORD_WITHIN, Told, is_unknown};
use crate::domain::{
    Action, Block, Effect, Message, OutputRef, Place, PlannedStep, PostingKind, Rendered, Run,
    RunEvent, StepResult, render,
};
use crate::planted::crash;
use crate::store::{Lease, StoreError};

/// How often live output is kept and shown.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// How often a long step's root message is brought up to date, where output is not live.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// How many of the latest lines the root message shows.
const TAIL_LINES: usize = 6;

impl Engine {
    /// Starts the attempt, does it, and records how it ended.
    pub(super) async fn attempt(
        &self,
        lease: &Lease,
        run: &Run,
        position: usize,
        attempt: u32,
    ) -> Result<Run, StoreError> {
        let step = step_of(run, position);
        let of = OutputRef {
            run: run.id,
            position,
            attempt,
        };
        if let Action::Run(_) = step.action {
            // Before the start is recorded: who finds it recorded, and no folder, knows that it was not begun here.
            if let Err(error) = self.steps.folder(of).make() {
                warn!("no folder for a step: {error}"); // Found again by the attempt, and told in the thread.
            }
        }
        crash("step.folder_made");
        let started = RunEvent::StepStarted {
            position,
            step: step.name.clone(),
            attempt,
        };
        let run = self.record(lease, run, vec![Told::of(started)]).await?;
        crash("step.start_recorded");
        self.see_through(lease, &run, of, String::new()).await
    }

    /// Goes on with an attempt that is known by its folder: a midwatch before this one recorded its start.
    pub(super) async fn resume(
        &self,
        lease: &Lease,
        run: &Run,
        of: OutputRef,
    ) -> Result<Run, StoreError> {
        let OutputRef {
            position, attempt, ..
        } = of;
        crash("step.taken_up");
        let kept = self.store.output(of).await?;
        info!(
            step.name = %step_of(run, position).name, attempt,
            "step {} of run {} is taken up again: midwatch was away, its supervisor was not", position + 1, run.reference
        );
        self.see_through(lease, run, of, kept).await
    }

    /// Records that an attempt was started and can't be known.
    pub(super) async fn interrupt(
        &self,
        lease: &Lease,
        run: &Run,
        of: OutputRef,
    ) -> Result<Run, StoreError> {
        let step = step_of(run, of.position);
        let event = RunEvent::StepInterrupted {
            position: of.position,
            step: step.name.clone(),
            attempt: of.attempt,
            effect: step.effect,
        };
        let run = self.record(lease, run, vec![Told::of(event)]).await?;
        crash("step.interrupted");
        self.forget(of);
        Ok(run)
    }

    /// Does or follows an attempt that is recorded as started, and records how it ended. `kept`: what it printed before.
    async fn see_through(
        &self,
        lease: &Lease,
        run: &Run,
        of: OutputRef,
        kept: String,
    ) -> Result<Run, StoreError> {
        let step = step_of(run, of.position);
        let (performed, output) = self.watch(lease, run, of, kept).await?;
        crash("step.result_seen");
        let Performed::Ended {
            mut result,
            elapsed_ms,
        } = performed
        else {
            warn!(step.name = %step.name, "the supervisor of a step of run {} is gone and left no result", run.reference);
            return self.interrupt(lease, run, of).await;
        };
        if let (true, Effect::Checked, Some(verify)) =
            (is_unknown(&result), step.effect, &step.verify)
        {
            result = match self.ask_whether(&step, verify).await {
                Verified::Happened => StepResult::Succeeded {
                    note: "no answer, but its check says that it happened".to_owned(),
                },
                Verified::DidNot(_) => StepResult::Failed {
                    why: "no answer, and its check says that it did not happen".to_owned(),
                },
                Verified::Unknown(why) => StepResult::Unknown { why },
            };
        }
        count(&step, &result, elapsed_ms);
        let ended = RunEvent::StepEnded {
            position: of.position,
            step: step.name.clone(),
            attempt: of.attempt,
            result,
            elapsed_ms,
            output_sha256: (!output.is_empty()).then(|| sha256(&output)),
        };
        let told = Told {
            event: ended,
            output,
        };
        let run = self.record(lease, run, vec![told]).await?;
        crash("step.end_recorded");
        self.forget(of);
        Ok(run)
    }

    /// Asks the step's `verify` action about an interrupted attempt: go on, run again, or leave it to a person.
    pub(super) async fn verify(
        &self,
        lease: &Lease,
        run: &Run,
        position: usize,
        attempt: u32,
    ) -> Result<Run, StoreError> {
        let step = step_of(run, position);
        let answer = match &step.verify {
            Some(verify) => self.ask_whether(&step, verify).await,
            None => Verified::Unknown("the step has no check".to_owned()),
        };
        crash("step.verified");
        let result = match answer {
            Verified::Happened => StepResult::Succeeded {
                note: "its check says that it happened".to_owned(),
            },
            Verified::DidNot(_) => return self.attempt(lease, run, position, attempt + 1).await,
            Verified::Unknown(why) => StepResult::Unknown { why },
        };
        let ended = RunEvent::StepEnded {
            position,
            step: step.name.clone(),
            attempt,
            result,
            elapsed_ms: 0,
            output_sha256: None,
        };
        self.record(lease, run, vec![Told::of(ended)]).await
    }

    /// Asks the step's `verify` action; what it prints is nobody's business.
    async fn ask_whether(&self, step: &PlannedStep, action: &Action<Rendered>) -> Verified {
        let (sender, mut receiver) = mpsc::channel(64);
        let drain = async { while receiver.recv().await.is_some() {} };
        let stop = CancellationToken::new();
        let (answer, ()) = tokio::join!(
            verify(step, action, &self.surroundings, sender, &stop),
            drain
        );
        answer
    }

    /// Sees an attempt to its end while its output is kept and shown, and cancellation looked for.
    async fn watch(
        &self,
        lease: &Lease,
        run: &Run,
        of: OutputRef,
        kept: String,
    ) -> Result<(Performed, String), StoreError> {
        let step = step_of(run, of.position);
        let folder = self.steps.folder(of);
        let work = Work {
            step: &step,
            surroundings: &self.surroundings,
            folder: &folder,
            kept: kept.len(),
        };
        // Sixty-four chunks; when it is full the action waits until some are kept.
        let (sender, mut receiver) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let work = perform(&work, sender, &stop);
        tokio::pin!(work);
        let mut output = Output {
            unkept: kept.len(),
            whole: kept,
        };
        let mut changes = self.store.changes();
        let is_read_in_roots = places_with_live_output(run, false).next().is_some();
        let mut show = interval(SHOW_EVERY);
        let mut refresh = interval(REFRESH_EVERY);
        // Asked only now: what happened before `changes` was made is no change to it.
        if run.cancelled_by.is_some() || self.is_cancelled(run).await {
            stop.cancel();
        }
        let performed = loop {
            tokio::select! {
                performed = &mut work => break performed,
                Some(chunk) = receiver.recv() => output.whole.push_str(&chunk),
                _ = show.tick() => {
                    if let Err(fault) = self.keep(lease, run, of, &mut output).await {
                        warn!("output is not kept yet: {fault}");
                    }
                    if changes.has_changed().unwrap_or(false) {
                        changes.mark_unchanged();
                        if self.is_cancelled(run).await {
                            stop.cancel();
                        }
                    }
                }
                _ = refresh.tick(), if is_read_in_roots => {
                    self.refresh(lease, run, of, &output.whole).await;
                }
            }
        };
        while let Some(chunk) = receiver.recv().await {
            output.whole.push_str(&chunk);
        }
        self.keep_rest(lease, run, of, &mut output).await;
        Ok((performed, output.whole))
    }

    async fn is_cancelled(&self, run: &Run) -> bool {
        matches!(self.store.run(run.id).await, Ok(Some(run)) if run.cancelled_by.is_some())
    }

    /// Keeps what was printed since the last time, and shows it where output is live. What can't be kept now is kept
    /// with the next.
    async fn keep(
        &self,
        lease: &Lease,
        run: &Run,
        of: OutputRef,
        output: &mut Output,
    ) -> Result<(), StoreError> {
        let fresh = &output.whole[output.unkept..];
        if fresh.is_empty() {
            return Ok(());
        }
        let message = Message {
            blocks: vec![Block::Output(fresh.to_owned())],
        };
        let postings = places_with_live_output(run, true)
            .map(|to| render::posting(run, to, PostingKind::Output { of }, message.clone()));
        let postings = postings.collect();
        self.store
            .append_output(lease, of, fresh.to_owned(), postings, self.clock.now())
            .await?;
        output.unkept = output.whole.len();
        Ok(())
    }

    /// Keeps the rest before the end is recorded: the whole output that the thread offers is made of what is kept.
    async fn keep_rest(&self, lease: &Lease, run: &Run, of: OutputRef, output: &mut Output) {
        let deadline = tokio::time::Instant::now() + RECORD_WITHIN;
        loop {
            match self.keep(lease, run, of, output).await {
                Err(
                    fault @ (StoreError::Unavailable(_)
                    | StoreError::NoAnswer
                    | StoreError::NotWritable(_)
                    | StoreError::Busy(_)),
                ) if tokio::time::Instant::now() < deadline => {
                    warn!("output is not kept yet: {fault}");
                    tokio::time::sleep(RECORD_AGAIN).await;
                }
                Err(fault) => return warn!("the end of an output is lost: {fault}"),
                Ok(()) => return,
            }
        }
    }

    async fn refresh(&self, lease: &Lease, run: &Run, of: OutputRef, output: &str) {
        let lines: Vec<&str> = output.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        let now = self.clock.now();
        let message = render::root(run, now, Some(render::Live { tail: &tail }));
        let roots = places_with_live_output(run, false)
            .map(|to| render::posting(run, to, PostingKind::Root, message.clone()));
        let roots = roots.collect();
        if let Err(fault) = self
            .store
            .append_output(lease, of, String::new(), roots, now)
            .await
        {
            warn!("the root message is not refreshed: {fault}");
        }
    }
}

struct Output {
    whole: String,
    /// Where the part begins that the store does not have yet.
    unkept: usize,
}

/// Those of the run's places that show output as it is printed, or those that show it in the root message.
fn places_with_live_output(run: &Run, live: bool) -> impl Iterator<Item = &Place> {
    let places = run.places();
    places.filter(move |to| to.platform.shows_live_output() == live)
}

fn interval(every: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn step_of(run: &Run, position: usize) -> Arc<PlannedStep> {
    let plan = run
        .plan
        .as_ref()
        .expect("a step is only due in a run that has a plan");
    Arc::new(plan.steps[position].clone())
}

/// One attempt for the metrics.
fn count(step: &PlannedStep, result: &StepResult, elapsed_ms: u64) {
    let action = match step.action {
        Action::Run(_) => "run",
        Action::Http(_) => "http",
    };
    let word = match result {
        StepResult::Succeeded { .. } => "succeeded",
        StepResult::Failed { .. } => "failed",
        StepResult::Rejected { .. } => "rejected",
        StepResult::Unknown { .. } => "unknown",
        StepResult::Stopped => "stopped",
    };
    metrics::counter!("midwatch_steps_total", "action" => action, "result" => word).increment(1);
    let elapsed = Duration::from_millis(elapsed_ms).as_secs_f64();
    metrics::histogram!("midwatch_step_seconds", "action" => action).record(elapsed);
}

fn sha256(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}
