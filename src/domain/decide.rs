//! The one place where permission is decided. Silence, doubt and our own faults mean no.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ApprovalTerms, FileLine, Invocation, PersonId, Reference, Revision, Who};

/// What the runbook says about one invocation, and which line of it says so.
#[derive(Debug)]
pub enum Decision {
    /// May.
    Allow {
        /// Makes the plan.
        permit: Permit,
        /// The rule that says so.
        rule: RuleRef,
    },
    /// May, with consent.
    RequireApproval {
        /// Whose, how much of it, how long.
        terms: ApprovalTerms,
        /// The rule that says so.
        rule: RuleRef,
    },
    /// May, but not now.
    Hold {
        /// Why not.
        hold: Hold,
        /// The rule that would allow it.
        rule: RuleRef,
    },
    /// May not.
    Deny {
        /// Why.
        denial: Denial,
        /// The rule that says so, or the runbook's last line; `None` only when the project is not there.
        rule: Option<RuleRef>,
    },
}

/// Proof that a decision allowed this invocation; needed to make a plan. Only [`decide`] makes one.
#[derive(Debug)]
pub struct Permit {
    invocation: Invocation,
}

impl Permit {
    /// What was allowed.
    pub fn invocation(&self) -> &Invocation {
        &self.invocation
    }
}

/// A rule, so that a person can open it and the ledger can name it a year later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// File and line.
    #[serde(flatten)]
    pub at: FileLine,
    /// Of the catalog.
    pub revision: Revision,
}

/// Why an allowed invocation is not run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// It reached us long after it was sent.
    Late {
        /// How long.
        by: Duration,
    },
    /// A run that shares its target is going on, or its outcome is unknown.
    Running {
        /// Which.
        other: OtherRun,
    },
    /// Somebody just did the very same.
    JustDone {
        /// Which.
        other: OtherRun,
        /// The command's `fresh`.
        fresh: Duration,
    },
}

/// Another run, as much of it as a hold tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRun {
    /// Its reference.
    pub reference: Reference,
    /// Who asked for it.
    pub requester: super::Identity,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended, if it did.
    pub finished_at: Option<Timestamp>,
    /// How it ended, if it did.
    pub outcome: Option<super::Outcome>,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// No rule matches, and silence means no.
    NoRule {
        /// Rules of this project that would let somebody do this, or let this person at another time.
        routes: Vec<Route>,
        /// The runbook's last line.
        contact: String,
        /// Who is on call now, of the rotations that the last line names.
        on_call: Vec<PersonId>,
    },
    /// A rule forbids it.
    Never {
        /// The reason the runbook gives.
        reason: String,
        /// The runbook's last line.
        contact: String,
        /// Who is on call now.
        on_call: Vec<PersonId>,
    },
    /// Only by break-glass.
    BreakGlass {
        /// The runbook's last line.
        contact: String,
        /// Who is on call now.
        on_call: Vec<PersonId>,
    },
    /// The project or the command is not in the catalog any more.
    Gone,
}

/// A rule that would allow it: for whom, and under which conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whom the rule speaks of.
    pub who: Vec<Who>,
    /// Persons meant at this moment, without the asker; at most 5.
    pub persons: Vec<PersonId>,
    /// Its window, as the file has it.
    pub when: Option<String>,
    /// Its consent.
    pub approvals: Option<ApprovalTerms>,
    /// Where it stands.
    pub at: FileLine,
}

/// What was read before the decision, and matters to it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// How long ago it was sent.
    pub age: Duration,
    /// A run that holds the target's lock.
    pub running: Option<OtherRun>,
    /// The latest success of the very same within the command's `fresh`.
    pub just_done: Option<OtherRun>,
    /// Who consented so far.
    pub approvers: Vec<PersonId>,
}
