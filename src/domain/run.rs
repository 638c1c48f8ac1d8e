//! A run as a state machine: `apply` says what an event changes, `next` says what is due.
//!
//! No sequence of events leads to a state from which a run cannot finish; the property test below holds that.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Action, ApprovalTerms, Effect, Identity, Invocation, PersonId, Place, Plan, PlannedStep,
    Proposal, Reference, RuleRef, RunEvent, RunId, StepResult, Verdict,
};
use crate::planted;

/// One durable execution of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// For ever.
    pub id: RunId,
    /// For people.
    pub reference: Reference,
    /// What was asked for.
    pub invocation: Invocation,
    /// Who asked for it.
    pub requester: Identity,
    /// The rule that decided.
    pub rule: RuleRef,
    /// Where it was asked for, and so where its thread is.
    pub place: Place,
    /// Where else its thread is told: fixed when it began, but for those who follow it from elsewhere. No two are in one channel, and none in that of `place`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Place>,
    /// Who follows it beside the requester: they asked for the same meanwhile or since. Unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followers: Vec<PersonId>,
    /// The glass was broken for it; `None`: it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glass: Option<Glass>,
    /// Where it stands.
    pub phase: Phase,
    /// What it does, fixed when it was allowed; `None` while consent is awaited.
    pub plan: Option<Plan>,
    /// One state for each step of the plan; empty while there is no plan.
    pub steps: Vec<StepState>,
    /// Who asked to stop it.
    pub cancelled_by: Option<PersonId>,
    /// When the database was found set back to an older state: what happened to the run since that state is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted_at: Option<Timestamp>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its first step started.
    pub started_at: Option<Timestamp>,
    /// When its outcome was known.
    pub finished_at: Option<Timestamp>,
}

/// What became of a deliberate override.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Glass {
    /// Nobody but who broke it has looked at it yet.
    Unreviewed,
    /// Somebody else has.
    Reviewed {
        /// Who.
        by: PersonId,
    },
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Consent is awaited.
    AwaitingApproval {
        /// Whose, and how much.
        terms: ApprovalTerms,
        /// Afterwards it expires.
        until: Timestamp,
        /// Who consented so far. Unique, never the requester.
        approvers: Vec<PersonId>,
        /// Who was asked by name. More may consent.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked: Vec<PersonId>,
        /// What they are asked to consent to; `None` only in runs of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proposal: Option<Box<Proposal>>,
    },
    /// Allowed; no step has started.
    Queued {
        /// When it was allowed.
        since: Timestamp,
    },
    /// A step has started.
    Running,
    /// The outcome is known. `NeedsAttention` alone can be left again, by a person.
    Finished(Outcome),
}

impl Phase {
    /// The word used in SQL and the ledger.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AwaitingApproval { .. } => "awaiting_approval",
            Self::Queued { .. } => "queued",
            Self::Running => "running",
            Self::Finished(_) => "finished",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every step succeeded.
    Succeeded,
    /// A step failed and may not be tried again.
    Failed,
    /// A person stopped it, or refused consent.
    Cancelled,
    /// Nobody consented in time.
    Expired,
    /// A step's outcome is unknown and a person has to settle it.
    NeedsAttention,
}

impl Outcome {
    /// The word used in SQL and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::NeedsAttention => "needs_attention",
        }
    }

    /// Reads what `as_str` wrote.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Succeeded,
            Self::Failed,
            Self::Cancelled,
            Self::Expired,
            Self::NeedsAttention,
        ]
        .into_iter()
        .find(|outcome| outcome.as_str() == word)
    }
}

/// How a run stands, in one of three words: what programs wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It has no outcome yet; perhaps it waits for consent.
    Running,
    /// It did what it should.
    Completed,
    /// It did not; its outcome says what became of it, and whether that is known.
    Failed,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Running, Self::Completed, Self::Failed];

    /// The word that programs read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Reads what `as_str` wrote.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not started.
    Pending,
    /// Started; nothing more is known.
    Started {
        /// Counted from 1.
        attempt: u32,
        /// When.
        at: Timestamp,
    },
    /// The attempt ended and its result is known.
    Ended {
        /// Counted from 1.
        attempt: u32,
        /// When it ended.
        at: Timestamp,
        /// How.
        result: StepResult,
    },
    /// A person lets it run again after an attempt of unknown outcome.
    Cleared {
        /// The attempt before, counted from 1.
        attempt: u32,
        /// When they said so.
        at: Timestamp,
    },
    /// The attempt started, and the worker that did it is gone.
    Interrupted {
        /// Counted from 1.
        attempt: u32,
        /// When we found out.
        at: Timestamp,
    },
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nothing, until an event comes from outside.
    Nothing,
    /// Nothing before this moment.
    Wait(Timestamp),
    /// Start this attempt of this step.
    Start {
        /// Counted from 0.
        position: usize,
        /// Counted from 1.
        attempt: u32,
    },
    /// The step is marked as started, and whoever asks is not doing it: record that it was interrupted.
    Interrupt {
        /// Counted from 0.
        position: usize,
        /// Counted from 1.
        attempt: u32,
    },
    /// Ask the step's `verify` action whether the interrupted attempt happened.
    Verify {
        /// Counted from 0.
        position: usize,
        /// Counted from 1.
        attempt: u32,
    },
    /// Record this outcome.
    Finish(Outcome),
}

/// An event that doesn't fit the run's state. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` does not fit a run that is {phase}")]
pub struct DoesNotFit {
    event: &'static str,
    phase: &'static str,
}

/// A run that changes something and was not started within this span after it was allowed is not started at all.
pub const START_WITHIN: Duration = Duration::from_secs(120);

/// What is due for this run. Asked by a worker that holds its lease, or by the store to plan the next look.
pub fn next(run: &Run, now: Timestamp) -> Due {
    match &run.phase {
        Phase::Finished(_) => Due::Nothing,
        Phase::AwaitingApproval { .. } if run.cancelled_by.is_some() => {
            Due::Finish(Outcome::Cancelled)
        }
        Phase::AwaitingApproval { until, .. }
            if now >= *until
                || planted::is("timer-by-the-second") && now.as_second() >= until.as_second() =>
        {
            Due::Finish(Outcome::Expired)
        }
        Phase::AwaitingApproval { until, .. } => Due::Wait(*until),
        // Nobody expects it any more: midwatch was down, or every worker was busy.
        Phase::Queued { since }
            if now > later(*since, START_WITHIN)
                && !run.only_reads()
                && run.doubted_at.is_none() =>
        {
            Due::Finish(Outcome::Expired)
        }
        Phase::Queued { .. } | Phase::Running => next_step(run, now),
    }
}

fn next_step(run: &Run, now: Timestamp) -> Due {
    let Some(plan) = &run.plan else {
        return Due::Finish(Outcome::Failed);
    };
    for (position, (step, state)) in plan.steps.iter().zip(&run.steps).enumerate() {
        let due = match state {
            StepState::Ended {
                result: StepResult::Succeeded { .. },
                ..
            } => continue,
            StepState::Started { attempt, .. } => Due::Interrupt {
                position,
                attempt: *attempt,
            },
            StepState::Pending | StepState::Cleared { .. }
                if run.may_have_begun(step.effect, state) =>
            {
                Due::Interrupt {
                    position,
                    attempt: state.attempt() + 1,
                }
            }
            StepState::Interrupted { .. } if run.is_left_to_a_person(step.effect) => {
                Due::Finish(Outcome::NeedsAttention)
            }
            StepState::Interrupted { attempt, .. } => match step.effect {
                Effect::Once if planted::is("once-repeated") => Due::Start {
                    position,
                    attempt: attempt + 1,
                },
                Effect::Once => Due::Finish(Outcome::NeedsAttention),
                Effect::Checked => Due::Verify {
                    position,
                    attempt: *attempt,
                },
                _ if run.cancelled_by.is_some() => Due::Finish(Outcome::Cancelled),
                Effect::Read | Effect::Idempotent | Effect::Keyed => Due::Start {
                    position,
                    attempt: attempt + 1,
                },
            },
            StepState::Ended {
                result: StepResult::Stopped,
                ..
            } => Due::Finish(Outcome::Cancelled),
            StepState::Ended {
                result: StepResult::Rejected { .. },
                ..
            } => Due::Finish(Outcome::Failed),
            StepState::Ended {
                result: StepResult::Unknown { .. },
                ..
            } if !step.effect.may_repeat() => Due::Finish(Outcome::NeedsAttention),
            _ if run.cancelled_by.is_some() => Due::Finish(Outcome::Cancelled),
            StepState::Pending => Due::Start {
                position,
                attempt: 1,
            },
            StepState::Cleared { attempt, .. } => Due::Start {
                position,
                attempt: attempt + 1,
            },
            StepState::Ended { attempt, at, .. }
                if *attempt < step.attempts && step.effect.may_repeat() =>
            {
                let again_at = later(*at, retry_delay(run.id, *attempt));
                if now >= again_at {
                    Due::Start {
                        position,
                        attempt: attempt + 1,
                    }
                } else {
                    Due::Wait(again_at)
                }
            }
            StepState::Ended { .. } => Due::Finish(Outcome::Failed),
        };
        return due;
    }
    Due::Finish(Outcome::Succeeded)
}

/// So much later; a clock at the end of time must not end the program.
fn later(at: Timestamp, by: Duration) -> Timestamp {
    if planted::is("end-of-time-forgotten") {
        return at + by;
    }
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// One second, doubled with each attempt up to a minute, spread by up to a half.
///
/// The spread comes from the run's id, so that a restart computes the same moment.
fn retry_delay(run: RunId, attempt: u32) -> Duration {
    let base_ms = 1_000_u64
        .saturating_mul(1 << attempt.saturating_sub(1).min(6))
        .min(60_000);
    let digest = Sha256::digest(format!("{run}/{attempt}").as_bytes());
    Duration::from_millis(base_ms + base_ms * u64::from(digest[0]) / 512)
}

/// What the event changes. The given run is untouched.
pub fn apply(run: &Run, event: &RunEvent, at: Timestamp) -> Result<Run, DoesNotFit> {
    let mut run = run.clone();
    let phase = run.phase.as_str();
    if change(&mut run, event, at) {
        Ok(run)
    } else {
        Err(DoesNotFit {
            event: event.word(),
            phase,
        })
    }
}

fn change(run: &mut Run, event: &RunEvent, at: Timestamp) -> bool {
    match event {
        RunEvent::Approved { by, .. } => match &mut run.phase {
            Phase::AwaitingApproval { approvers, .. }
                if !approvers.contains(by) && run.cancelled_by.is_none() =>
            {
                approvers.push(by.clone());
                true
            }
            _ => false,
        },
        RunEvent::Withdrawn { by } => match &mut run.phase {
            Phase::AwaitingApproval { approvers, .. } if approvers.contains(by) => {
                approvers.retain(|person| person != by);
                true
            }
            _ => false,
        },
        RunEvent::HandedOver { to } => match &mut run.phase {
            Phase::AwaitingApproval { asked, .. } if to.iter().all(|it| !asked.contains(it)) => {
                asked.extend(to.iter().cloned());
                true
            }
            _ => false,
        },
        RunEvent::Proposed { proposal, terms } => match &mut run.phase {
            Phase::AwaitingApproval {
                terms: before,
                approvers,
                proposal: shown,
                ..
            } => {
                approvers.clear();
                *before = terms.clone();
                *shown = Some(proposal.clone());
                true
            }
            _ => false,
        },
        RunEvent::Allowed { plan } => {
            let waiting = matches!(run.phase, Phase::AwaitingApproval { .. });
            if waiting {
                run.steps = vec![StepState::Pending; plan.steps.len()];
                run.plan = Some((**plan).clone());
                run.phase = Phase::Queued { since: at };
            }
            waiting
        }
        RunEvent::SentBack { .. } if !matches!(run.phase, Phase::AwaitingApproval { .. }) => false,
        RunEvent::Rejected { by, .. }
        | RunEvent::SentBack { by, .. }
        | RunEvent::CancelRequested { by } => {
            let open = !matches!(run.phase, Phase::Finished(_)) && run.cancelled_by.is_none();
            if open {
                run.cancelled_by = Some(by.clone());
            }
            open
        }
        RunEvent::Joined { by, from } => {
            let fits = !run.followers.contains(by);
            if fits {
                run.followers.push(by.clone());
                run.mirrors.extend(from.clone());
            }
            fits
        }
        RunEvent::Reviewed { by, .. } => {
            let own = run.requester == Identity::Person(by.clone());
            let fits = run.glass == Some(Glass::Unreviewed) && !own;
            if fits {
                run.glass = Some(Glass::Reviewed { by: by.clone() });
            }
            fits
        }
        RunEvent::StepStarted {
            position, attempt, ..
        } => {
            let waiting = !matches!(
                run.steps.get(*position),
                None | Some(StepState::Started { .. })
            );
            let fits = waiting && matches!(run.phase, Phase::Queued { .. } | Phase::Running);
            if fits {
                run.steps[*position] = StepState::Started {
                    attempt: *attempt,
                    at,
                };
                run.phase = Phase::Running;
                run.started_at.get_or_insert(at);
            }
            fits
        }
        RunEvent::StepEnded {
            position,
            attempt,
            result,
            ..
        } => {
            // An interrupted step ends when its `verify` action answers.
            let current = match run.steps.get(*position) {
                Some(
                    StepState::Started { attempt, .. } | StepState::Interrupted { attempt, .. },
                ) => Some(*attempt),
                _ => None,
            };
            // A worker that lost its lease can't change what has finished: nobody could settle it then.
            let fits = run.phase == Phase::Running && current == Some(*attempt);
            if fits {
                run.steps[*position] = StepState::Ended {
                    attempt: *attempt,
                    at,
                    result: result.clone(),
                };
            }
            fits
        }
        RunEvent::StepInterrupted {
            position, attempt, ..
        } => {
            let started = match run.steps.get(*position) {
                Some(StepState::Started { attempt: now, .. }) => now == attempt,
                // It may have been started in what the database lost.
                Some(state @ (StepState::Pending | StepState::Cleared { .. })) => {
                    run.doubted_at.is_some() && state.attempt() + 1 == *attempt
                }
                _ => false,
            };
            let fits = matches!(run.phase, Phase::Queued { .. } | Phase::Running) && started;
            if fits {
                run.phase = Phase::Running;
                run.steps[*position] = StepState::Interrupted {
                    attempt: *attempt,
                    at,
                };
            }
            fits
        }
        RunEvent::Doubted => {
            let open = run.is_open();
            if open {
                run.doubted_at = Some(at);
            }
            open
        }
        RunEvent::Settled { verdict, .. } => settle(run, *verdict, at),
        RunEvent::Finished { outcome, .. } => {
            // Whoever found it expired may have looked before the last consent came, just in time.
            let expired =
                *outcome != Outcome::Expired || next(run, at) == Due::Finish(Outcome::Expired);
            let open = expired && !matches!(run.phase, Phase::Finished(_));
            if open {
                run.phase = Phase::Finished(*outcome);
                run.finished_at = Some(at);
            }
            open
        }
    }
}

fn settle(run: &mut Run, verdict: Verdict, at: Timestamp) -> bool {
    if run.phase != Phase::Finished(Outcome::NeedsAttention) {
        return false;
    }
    let Some(position) = run.unsettled_step() else {
        return false;
    };
    let attempt = run.steps[position].attempt();
    run.phase = Phase::Running;
    run.finished_at = None;
    run.steps[position] = match verdict {
        Verdict::Happened => StepState::Ended {
            attempt,
            at,
            result: StepResult::Succeeded {
                note: "settled by a person".to_owned(),
            },
        },
        Verdict::DidNot => StepState::Ended {
            attempt,
            at,
            result: StepResult::Failed {
                why: "a person says that it did not happen".to_owned(),
            },
        },
        Verdict::Again => StepState::Cleared { attempt, at },
    };
    true
}

impl Run {
    /// Where it is told of, each with a root message and a thread of its own: first where it was asked for.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.place).chain(&self.mirrors)
    }

    /// The step whose outcome is unknown; a person has to settle it.
    pub fn unsettled_step(&self) -> Option<usize> {
        self.steps.iter().position(|state| {
            matches!(
                state,
                StepState::Interrupted { .. }
                    | StepState::Ended {
                        result: StepResult::Unknown { .. },
                        ..
                    }
            )
        })
    }

    /// The step that stands as started, and when it was, where a program of a supervisor does it.
    pub fn supervised_step(&self) -> Option<(&PlannedStep, Timestamp)> {
        let planned = self.plan.iter().flat_map(|plan| &plan.steps);
        planned
            .zip(&self.steps)
            .find_map(|(step, state)| match (&step.action, state) {
                (Action::Run(_), StepState::Started { at, .. }) => Some((step, *at)),
                _ => None,
            })
    }

    /// The outcome, once it is known.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Finished(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether something can still happen to it, if only by a person.
    pub fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Finished(outcome) if outcome != Outcome::NeedsAttention)
    }

    /// Whether a step that is not known to have begun may have, in what the database lost.
    fn may_have_begun(&self, effect: Effect, state: &StepState) -> bool {
        let known = match (self.doubted_at, state) {
            (None, _) => true,
            (Some(doubted), StepState::Cleared { at, .. }) => *at > doubted,
            (Some(_), _) => false,
        };
        !known && (!effect.may_repeat() || self.is_left_to_a_person(effect))
    }

    /// Whether the database was set back so long after the run was asked for that nothing of it may happen by itself.
    fn is_left_to_a_person(&self, effect: Effect) -> bool {
        let stale = |doubted: Timestamp| doubted > later(self.created_at, START_WITHIN);
        effect != Effect::Read && self.doubted_at.is_some_and(stale)
    }

    /// How it stands, in one of three words.
    pub fn status(&self) -> RunStatus {
        match self.outcome() {
            None => RunStatus::Running,
            Some(Outcome::Succeeded) => RunStatus::Completed,
            Some(
                Outcome::Failed | Outcome::Cancelled | Outcome::Expired | Outcome::NeedsAttention,
            ) => RunStatus::Failed,
        }
    }

    /// Whether every step of its plan only reads.
    pub fn only_reads(&self) -> bool {
        self.plan
            .as_ref()
            .is_some_and(|plan| plan.steps.iter().all(|step| step.effect == Effect::Read))
    }

    /// How many steps have succeeded.
    pub fn steps_done(&self) -> usize {
        let done = |state: &&StepState| {
            matches!(
                state,
                StepState::Ended {
                    result: StepResult::Succeeded { .. },
                    ..
                }
            )
        };
        self.steps.iter().filter(done).count()
    }

    /// Whether its target's lock is held: it may still act, or what it did is not known.
    pub fn holds_lock(&self) -> bool {
        if planted::is("doubt-frees-the-lock") {
            return matches!(self.phase, Phase::Queued { .. } | Phase::Running);
        }
        matches!(
            self.phase,
            Phase::Queued { .. } | Phase::Running | Phase::Finished(Outcome::NeedsAttention)
        )
    }
}

impl StepState {
    /// The latest attempt; 0 before the first.
    pub fn attempt(&self) -> u32 {
        match self {
            Self::Pending => 0,
            Self::Started { attempt, .. }
            | Self::Ended { attempt, .. }
            | Self::Cleared { attempt, .. }
            | Self::Interrupted { attempt, .. } => *attempt,
        }
    }
}
