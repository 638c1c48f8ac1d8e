//! One attempt of one step: recorded as started, done outside any transaction, recorded as ended.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::actions::{Verified, perform, verify};
use super::{Engine, LEASE, RECORD_AGAIN, RECORD_WITHIN, Told, elapsed_ms, is_unknown};
use crate::domain::{
    Action, Block, Effect, Message, OutputRef, PlannedStep, Posting, PostingKind, Rendered, Run,
    RunEvent, StepResult, render,
};
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
        let started = RunEvent::StepStarted {
            position,
            step: step.name.clone(),
            attempt,
        };
        let run = self.record(lease, run, vec![Told::of(started)]).await?;
        let of = OutputRef {
            run: run.id,
            position,
            attempt,
        };
        let began = self.clock.now();
        let (mut result, output) = self.watch(lease, &run, &step, &step.action, of).await?;
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
        let elapsed_ms = elapsed_ms(began, self.clock.now());
        count(&step, &result, elapsed_ms);
        let ended = RunEvent::StepEnded {
            position,
            step: step.name.clone(),
            attempt,
            result,
            elapsed_ms,
            output_sha256: (!output.is_empty()).then(|| sha256(&output)),
        };
        self.record(
            lease,
            &run,
            vec![Told {
                event: ended,
                output,
            }],
        )
        .await
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

    /// Performs the action while its output is kept and shown, the lease renewed, and cancellation looked for.
    async fn watch(
        &self,
        lease: &Lease,
        run: &Run,
        step: &PlannedStep,
        action: &Action<Rendered>,
        of: OutputRef,
    ) -> Result<(StepResult, String), StoreError> {
        // Sixty-four chunks; when it is full the action waits until some are kept.
        let (sender, mut receiver) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let work = perform(step, action, &self.surroundings, sender, &stop);
        tokio::pin!(work);
        let mut output = Output {
            whole: String::new(),
            unkept: 0,
        };
        let mut changes = self.store.changes();
        let mut show = interval(SHOW_EVERY);
        let mut refresh = interval(REFRESH_EVERY);
        let mut heartbeat = interval(LEASE / 3);
        if run.cancelled_by.is_some() {
            stop.cancel();
        }
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
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
                _ = refresh.tick(), if !run.place.platform.shows_live_output() => {
                    self.refresh(lease, run, of, &output.whole).await;
                }
                _ = heartbeat.tick() => self.renew(lease, &stop).await?,
            }
        };
        while let Some(chunk) = receiver.recv().await {
            output.whole.push_str(&chunk);
        }
        self.keep_rest(lease, run, of, &mut output).await;
        Ok((result, output.whole))
    }

    /// Renews the lease. A lost one stops the work: somebody else does it now.
    async fn renew(&self, lease: &Lease, stop: &CancellationToken) -> Result<(), StoreError> {
        match self.store.renew_lease(lease, self.clock.now(), LEASE).await {
            Err(StoreError::Conflict(what)) => {
                stop.cancel();
                Err(StoreError::Conflict(what))
            }
            Err(fault) => {
                warn!("the lease could not be renewed: {fault}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
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
        let mut postings = Vec::new();
        if run.place.platform.shows_live_output() {
            let message = Message {
                blocks: vec![Block::Output(fresh.to_owned())],
            };
            postings.push(Posting {
                to: run.place.clone(),
                kind: PostingKind::Output { of },
                run: Some(run.id),
                message,
            });
        }
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
        let root = Posting {
            to: run.place.clone(),
            kind: PostingKind::Root,
            run: Some(run.id),
            message,
        };
        if let Err(fault) = self
            .store
            .append_output(lease, of, String::new(), vec![root], now)
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
