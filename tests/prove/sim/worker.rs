//! Workers: each does what `next` says is due, one effect at a time, and can be stopped between any two.

use midwatch::domain::{Due, Effect, PlannedStep, Run, RunEvent, StepResult, apply, next};
use rand::Rng;

use super::book::Held;
use super::ground::Violation;
use super::target::{Fate, Request};
use super::{After, World};

pub(super) const WORKERS: [&str; 3] = ["one", "two", "three"];

#[derive(Default)]
pub(super) struct Worker {
    doing: Doing,
    /// Stopped without a word; it goes on later and does not know.
    pub(super) paused: bool,
}

#[derive(Default)]
enum Doing {
    #[default]
    Nothing,
    /// It holds the lease and has to find out what is due.
    Holds(Held, Box<Run>),
    /// The attempt is recorded as started, and nothing was sent yet.
    Started(Held, Box<Run>, usize, u32),
    /// The attempt has ended, and that is not recorded.
    Ended(Held, Box<Run>, usize, u32, StepResult),
}

impl Worker {
    /// Everything it knew is gone.
    pub(super) fn die(&mut self) {
        *self = Self::default();
    }
}

impl World<'_> {
    /// One worker does one thing. `None` when there was nothing to do.
    pub(super) fn work(&mut self, number: usize) -> Result<Option<After>, Violation> {
        if self.workers[number].paused {
            return Ok(None);
        }
        match std::mem::take(&mut self.workers[number].doing) {
            Doing::Nothing => self.claim(number),
            Doing::Holds(held, run) => self.do_what_is_due(number, held, *run).map(Some),
            Doing::Started(held, run, position, attempt) => {
                let result = self.execute(&held, &run, position, attempt)?;
                self.workers[number].doing = match result {
                    Some(result) => Doing::Ended(held, run, position, attempt, result),
                    None => Doing::Nothing,
                };
                Ok(Some(After::Executed))
            }
            Doing::Ended(held, run, position, attempt, result) => {
                let ended = ended(&run, position, attempt, result);
                self.record(number, held, &run, vec![ended])?;
                Ok(Some(After::Ended))
            }
        }
    }

    fn claim(&mut self, number: usize) -> Result<Option<After>, Violation> {
        let now = self.now();
        let Some((held, run)) = self.ground.claim(WORKERS[number], now)? else {
            return Ok(None);
        };
        self.note(|| format!("{} claims {}", WORKERS[number], run.reference));
        self.judge.claimed(&held, now)?;
        self.workers[number].doing = Doing::Holds(held, Box::new(run));
        Ok(Some(After::Claimed))
    }

    fn do_what_is_due(&mut self, number: usize, held: Held, run: Run) -> Result<After, Violation> {
        match next(&run, self.now()) {
            Due::Nothing | Due::Wait(_) => {
                if self.ground.release(&held, self.now())? {
                    self.judge.released(&held)?;
                }
                Ok(After::Released)
            }
            Due::Start { position, attempt } => self.start(number, held, &run, position, attempt),
            Due::Verify { position, attempt } => {
                let result = match self.ask_check(&run, position) {
                    Some(true) => succeeded(),
                    Some(false) => return self.start(number, held, &run, position, attempt + 1),
                    None => unknown(),
                };
                let ended = ended(&run, position, attempt, result);
                self.record(number, held, &run, vec![ended])?;
                Ok(After::Ended)
            }
            Due::Interrupt { position, attempt } => {
                let step = step(&run, position);
                let interrupted = RunEvent::StepInterrupted {
                    position,
                    step: step.name.clone(),
                    attempt,
                    effect: step.effect,
                };
                self.record(number, held, &run, vec![interrupted])?;
                Ok(After::Interrupted)
            }
            Due::Finish(_) => {
                self.record(number, held, &run, Vec::new())?;
                Ok(After::Finished)
            }
        }
    }

    fn start(
        &mut self,
        number: usize,
        held: Held,
        run: &Run,
        position: usize,
        attempt: u32,
    ) -> Result<After, Violation> {
        let started = RunEvent::StepStarted {
            position,
            step: step(run, position).name.clone(),
            attempt,
        };
        self.record(number, held, run, vec![started])?;
        let worker = &mut self.workers[number];
        if let Doing::Holds(held, run) = std::mem::take(&mut worker.doing) {
            worker.doing = Doing::Started(held, run, position, attempt);
        }
        Ok(After::Started)
    }

    /// What the attempt came to; `None` when the heartbeat found the lease lost, and the work was stopped.
    fn execute(
        &mut self,
        held: &Held,
        run: &Run,
        position: usize,
        attempt: u32,
    ) -> Result<Option<StepResult>, Violation> {
        let step = step(run, position).clone();
        // The heartbeat sees a cancellation, and stops what has begun.
        let current = self.ground.book.run(run.id);
        let cancelled = current.is_some_and(|run| run.cancelled_by.is_some());
        if cancelled && (run.cancelled_by.is_some() || self.random.random_bool(0.5)) {
            return Ok(Some(StepResult::Stopped));
        }
        let request = Request::new(run.id, position, attempt, &step);
        let fate = if self.calm {
            Fate::Happens
        } else {
            Fate::draw(&mut self.random)
        };
        self.note(|| {
            format!(
                "{} step {position} attempt {attempt}: {fate:?}",
                run.reference
            )
        });
        self.target.take(request, fate);
        if self.random.random_bool(0.3) {
            let now = self.now();
            if !self.ground.renew(held, now)? {
                return Ok(None);
            }
            self.judge.renewed(held, now)?;
        }
        Ok(Some(match fate {
            Fate::Happens => succeeded(),
            Fate::Fails => StepResult::Failed {
                why: "broken".to_owned(),
            },
            Fate::SaysNo => StepResult::Rejected {
                why: "never".to_owned(),
            },
            Fate::AnswerLost | Fate::RequestLost | Fate::Late if step.effect == Effect::Checked => {
                match self.ask_check(run, position) {
                    Some(true) => succeeded(),
                    Some(false) => StepResult::Failed {
                        why: "its check says no".to_owned(),
                    },
                    None => unknown(),
                }
            }
            Fate::AnswerLost | Fate::RequestLost | Fate::Late => unknown(),
        }))
    }

    fn ask_check(&mut self, run: &Run, position: usize) -> Option<bool> {
        let answers = self.calm || self.random.random_bool(0.85);
        answers.then(|| self.target.check(run.id, position))
    }

    /// Records events, and the end of the run in the same transaction when they lead to it. The worker holds the run
    /// afterwards, unless the lease was lost.
    fn record(
        &mut self,
        number: usize,
        held: Held,
        run: &Run,
        mut events: Vec<RunEvent>,
    ) -> Result<(), Violation> {
        let now = self.now();
        let mut after = run.clone();
        for event in &events {
            after = apply(&after, event, now).map_err(|unfit| {
                format!(
                    "{}: what `next` demands does not fit: {unfit}",
                    run.reference
                )
            })?;
        }
        if let Due::Finish(outcome) = next(&after, now) {
            let elapsed = now.duration_since(run.created_at).as_millis();
            let elapsed_ms = u64::try_from(elapsed).unwrap_or(0);
            events.push(RunEvent::Finished {
                outcome,
                elapsed_ms,
            });
        }
        let before = self.ground.book.run(run.id).cloned();
        let Some(after) = self.ground.record(&held, &events, now)? else {
            self.note(|| format!("{} lost {}", WORKERS[number], run.reference));
            return Ok(());
        };
        let words = || {
            events
                .iter()
                .map(RunEvent::word)
                .collect::<Vec<_>>()
                .join(", ")
        };
        self.note(|| format!("{}: {}", run.reference, words()));
        self.judge.worked(&held)?;
        let before = before.ok_or("a run that is not there was changed")?;
        self.judge
            .happened(&before, &events, &after, now, &self.target)?;
        self.workers[number].doing = Doing::Holds(held, Box::new(after));
        Ok(())
    }
}

fn step(run: &Run, position: usize) -> &PlannedStep {
    let plan = run
        .plan
        .as_ref()
        .expect("a step is due in a run with a plan");
    &plan.steps[position]
}

fn ended(run: &Run, position: usize, attempt: u32, result: StepResult) -> RunEvent {
    RunEvent::StepEnded {
        position,
        step: step(run, position).name.clone(),
        attempt,
        result,
        elapsed_ms: 1,
        output_sha256: None,
    }
}

fn succeeded() -> StepResult {
    StepResult::Succeeded {
        note: String::new(),
    }
}

fn unknown() -> StepResult {
    StepResult::Unknown {
        why: "no answer".to_owned(),
    }
}
