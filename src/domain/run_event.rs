//! What can happen to a run, as the ledger has it.

use serde::{Deserialize, Serialize};

use super::{ApprovalTerms, Capacity, Effect, Outcome, PersonId, Place, Plan, Proposal, StepName};

/// How an attempt of a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum StepResult {
    /// It did what it should.
    Succeeded {
        /// One line for the thread; may be empty.
        note: String,
    },
    /// It did not, and says so.
    Failed {
        /// One line for the thread: what failed and what was seen.
        why: String,
    },
    /// The target understood and says no: asked again, it would say the same. Never tried again.
    Rejected {
        /// One line for the thread.
        why: String,
    },
    /// It may or may not have happened: the connection broke after the request was sent, or the time limit ended it.
    Unknown {
        /// One line for the thread.
        why: String,
    },
    /// Ended because a person cancelled the run.
    Stopped,
}

/// What a person says about a step of unknown outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It happened: go on with the next step.
    Happened,
    /// It did not happen: the run has failed.
    DidNot,
    /// Run it again.
    Again,
}

/// Something that happened to a run. Recorded in the ledger as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum RunEvent {
    /// A person consented.
    Approved {
        /// Who.
        by: PersonId,
        /// By which entry of the terms they may.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capacity: Option<Capacity>,
        /// They showed their second factor for it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        confirmed: bool,
    },
    /// A person takes their consent back.
    Withdrawn {
        /// Who.
        by: PersonId,
    },
    /// These came on call while consent was waited for, and are asked from here on.
    HandedOver {
        /// Who. Non-empty.
        to: Vec<PersonId>,
    },
    /// What would be done, or the runbook, is another than consent was asked for: all consent so far is void.
    Proposed {
        /// What is asked for from here on.
        proposal: Box<Proposal>,
        /// Whose consent, and how much, from here on.
        terms: ApprovalTerms,
    },
    /// Enough persons consented; the rule was asked again, and allowed.
    Allowed {
        /// The plan that was made then.
        plan: Box<Plan>,
    },
    /// A person refused consent.
    Rejected {
        /// Who.
        by: PersonId,
        /// Why, in their words; may be empty.
        reason: String,
    },
    /// A person refused consent as it is, and says what to change.
    SentBack {
        /// Who.
        by: PersonId,
        /// What to change, in their words; non-empty.
        comment: String,
    },
    /// A person asked to stop the run.
    CancelRequested {
        /// Who.
        by: PersonId,
    },
    /// A person follows the run instead of beginning the same again.
    Joined {
        /// Who.
        by: PersonId,
        /// Where they follow it, when nothing is told there yet. Personal data: not in the ledger.
        #[serde(skip)]
        from: Option<Place>,
    },
    /// A person who did not break the glass signs that they looked at what was done.
    Reviewed {
        /// Who.
        by: PersonId,
        /// What they say of it, on one line; may be empty.
        comment: String,
    },
    /// A step begins. Recorded before anything is done.
    StepStarted {
        /// Counted from 0.
        position: usize,
        /// Its name.
        step: StepName,
        /// Counted from 1.
        attempt: u32,
    },
    /// A step's attempt ended.
    StepEnded {
        /// Counted from 0.
        position: usize,
        /// Its name.
        step: StepName,
        /// Counted from 1.
        attempt: u32,
        /// How.
        result: StepResult,
        /// How long it took, in milliseconds.
        elapsed_ms: u64,
        /// SHA-256 of the output as it was shown, in hexadecimal; `None` when there was none.
        output_sha256: Option<String>,
    },
    /// A step had started and the worker that did it is gone.
    StepInterrupted {
        /// Counted from 0.
        position: usize,
        /// Its name.
        step: StepName,
        /// Counted from 1.
        attempt: u32,
        /// What its effect allows.
        effect: Effect,
    },
    /// The database was set back to an older state: the run may have gone further than is known.
    Doubted,
    /// A person settled a step of unknown outcome.
    Settled {
        /// Who.
        by: PersonId,
        /// What they say.
        verdict: Verdict,
    },
    /// The outcome is known.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// Since the run was asked for, in milliseconds.
        elapsed_ms: u64,
    },
}

impl RunEvent {
    /// The word used in the ledger and in logs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Approved { .. } => "approved",
            Self::Withdrawn { .. } => "withdrawn",
            Self::HandedOver { .. } => "handed_over",
            Self::Proposed { .. } => "proposed",
            Self::Allowed { .. } => "allowed",
            Self::Rejected { .. } => "rejected",
            Self::SentBack { .. } => "sent_back",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::Joined { .. } => "joined",
            Self::Reviewed { .. } => "reviewed",
            Self::StepStarted { .. } => "step_started",
            Self::StepEnded { .. } => "step_ended",
            Self::StepInterrupted { .. } => "step_interrupted",
            Self::Doubted => "doubted",
            Self::Settled { .. } => "settled",
            Self::Finished { .. } => "finished",
        }
    }
}
