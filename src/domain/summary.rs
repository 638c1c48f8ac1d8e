//! A run in plain words: who, what, when, why, how it ended, and who waited for what. Made from the run and its ledger.
//!
//! For people who do not read logs: no output, no exit code, no trace is in it. All of it can be shown to anybody who may
//! read the thread.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::render::title;
use super::{
    ApprovalTerms, Decided, Entry, Fact, Identity, Invocation, Outcome, PersonId, Phase,
    ProjectName, Reference, RuleRef, Run, RunEvent, StepName, StepResult, StepState, Who,
};

/// A run in plain words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// What people call the run.
    pub reference: Reference,
    /// Of which project.
    pub project: ProjectName,
    /// Command and environment, in short.
    pub title: String,
    /// What was asked for, as it is typed; the reason left out.
    pub command: String,
    /// What that does, as its file says today; `None` where the command is gone.
    pub does: Option<String>,
    /// Who asked for it.
    pub asked_by: Identity,
    /// Why, in their words.
    pub reason: Option<String>,
    /// The rule that decided.
    pub rule: RuleRef,
    /// Whose consent the rule wants; `None`: nobody's.
    pub needs: Option<ApprovalTerms>,
    /// Who consented, in order.
    pub consents: Vec<Consent>,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When its first step began.
    pub began_at: Option<Timestamp>,
    /// When its end was known.
    pub ended_at: Option<Timestamp>,
    /// How long it waited, and worked.
    #[serde(flatten)]
    pub spans: Spans,
    /// How many steps are done, and of how many.
    pub steps: Steps,
    /// Where it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

/// Somebody's consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Consent {
    /// Whose.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
}

/// How long a run waited and worked, in milliseconds; up to now where it still does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spans {
    /// For consent; `None` where none was wanted.
    pub waited_for_consent_ms: Option<u64>,
    /// To begin, once it was allowed; `None` where it was not.
    pub waited_to_begin_ms: Option<u64>,
    /// From its first step on; `None` where it never began.
    pub worked_ms: Option<u64>,
}

/// Steps of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// How many succeeded.
    pub done: usize,
    /// How many there are; 0 while nothing is planned.
    pub total: usize,
}

/// Where a run stands, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Standing {
    /// Consent is awaited.
    Waits {
        /// How many approvals are missing.
        missing: u32,
        /// Whose.
        of: Vec<Who>,
        /// Afterwards it expires.
        until: Timestamp,
    },
    /// Allowed, and about to start.
    AboutToStart,
    /// It runs.
    Runs,
    /// Everything was done.
    Succeeded,
    /// A step failed.
    Failed {
        /// Which, where it is known.
        step: Option<StepName>,
    },
    /// Consent was refused.
    Rejected {
        /// By whom.
        by: PersonId,
        /// Why, in their words; may be empty.
        because: String,
    },
    /// Somebody stopped it.
    Cancelled {
        /// Who, where it is known.
        by: Option<PersonId>,
    },
    /// Nobody consented in time.
    Expired,
    /// It was allowed, and not started in time.
    NotStarted,
    /// Whether a step happened is not known.
    NeedsAttention {
        /// Which, where it is known.
        step: Option<StepName>,
    },
}

/// Sums a run up. `history`: its ledger entries, oldest first; `does`: what its command does.
pub fn summarize(run: &Run, history: &[Entry], does: Option<&str>, now: Timestamp) -> Summary {
    let needs = history.iter().find_map(|entry| match &entry.fact {
        Fact::Decided {
            decision: Decided::RequireApproval(terms),
            ..
        } => Some(terms.clone()),
        _ => None,
    });
    let waits = match &run.phase {
        Phase::AwaitingApproval { terms, .. } => Some(terms.clone()),
        Phase::Queued { .. } | Phase::Running | Phase::Finished(_) => None,
    };
    let needs = needs.or(waits);
    Summary {
        reference: run.reference.clone(),
        project: run.invocation.project.clone(),
        title: title(&run.invocation),
        command: command(&run.invocation),
        does: does.map(str::to_owned),
        asked_by: run.requester.clone(),
        reason: run.invocation.reason.clone(),
        rule: run.rule.clone(),
        consents: happenings(history).filter_map(consent).collect(),
        asked_at: run.created_at,
        began_at: run.started_at,
        ended_at: run.finished_at,
        spans: spans(run, history, needs.is_some(), now),
        steps: Steps {
            done: run.steps_done(),
            total: run.steps.len(),
        },
        standing: standing(run, history),
        needs,
    }
}

fn command(invocation: &Invocation) -> String {
    let invocation = Invocation {
        reason: None,
        ..invocation.clone()
    };
    invocation.typed()
}

/// What happened to the run, and when.
fn happenings(history: &[Entry]) -> impl Iterator<Item = (&RunEvent, Timestamp)> {
    history.iter().filter_map(|entry| match &entry.fact {
        Fact::Run { happened, .. } => Some((happened, entry.at)),
        _ => None,
    })
}

fn consent((happened, at): (&RunEvent, Timestamp)) -> Option<Consent> {
    let RunEvent::Approved { by, .. } = happened else {
        return None;
    };
    let by = by.clone();
    Some(Consent { by, at })
}

fn spans(run: &Run, history: &[Entry], needed_consent: bool, now: Timestamp) -> Spans {
    let end = run.finished_at.unwrap_or(now);
    let allowed = happenings(history)
        .find_map(|(happened, at)| matches!(happened, RunEvent::Allowed { .. }).then_some(at));
    let allowed = if needed_consent {
        allowed
    } else {
        Some(run.created_at)
    };
    let since = |from: Timestamp, to: Timestamp| {
        let span = Duration::try_from(to.duration_since(from)).unwrap_or_default();
        u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
    };
    Spans {
        waited_for_consent_ms: needed_consent
            .then(|| since(run.created_at, allowed.unwrap_or(end))),
        waited_to_begin_ms: allowed.map(|at| since(at, run.started_at.unwrap_or(end))),
        worked_ms: run.started_at.map(|at| since(at, end)),
    }
}

fn standing(run: &Run, history: &[Entry]) -> Standing {
    let outcome = match &run.phase {
        Phase::AwaitingApproval {
            terms,
            until,
            approvers,
            ..
        } => {
            let missing = terms.needed().saturating_sub(approvers.len());
            return Standing::Waits {
                missing: u32::try_from(missing).unwrap_or(u32::MAX),
                of: terms.quorums().flat_map(|(_, of)| of).cloned().collect(),
                until: *until,
            };
        }
        Phase::Queued { .. } => return Standing::AboutToStart,
        Phase::Running => return Standing::Runs,
        Phase::Finished(outcome) => outcome,
    };
    match outcome {
        Outcome::Succeeded => Standing::Succeeded,
        Outcome::Failed => Standing::Failed { step: halted(run) },
        Outcome::Cancelled => rejected(history).unwrap_or_else(|| Standing::Cancelled {
            by: run.cancelled_by.clone(),
        }),
        Outcome::Expired if run.plan.is_none() => Standing::Expired,
        Outcome::Expired => Standing::NotStarted,
        Outcome::NeedsAttention => Standing::NeedsAttention { step: halted(run) },
    }
}

fn rejected(history: &[Entry]) -> Option<Standing> {
    happenings(history).find_map(|(happened, _)| match happened {
        RunEvent::Rejected { by, reason } => Some(Standing::Rejected {
            by: by.clone(),
            because: reason.clone(),
        }),
        _ => None,
    })
}

/// The first step that did not succeed.
fn halted(run: &Run) -> Option<StepName> {
    let done = |state: &StepState| {
        matches!(
            state,
            StepState::Ended {
                result: StepResult::Succeeded { .. },
                ..
            }
        )
    };
    let position = run.steps.iter().position(|state| !done(state))?;
    let step = run.plan.as_ref()?.steps.get(position)?;
    Some(step.name.clone())
}
