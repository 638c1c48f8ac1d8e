//! What the ledger holds: facts, each one canonical JSON line. Additive only: old lines must be readable for ever.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ApprovalTerms, Capacity, Cover, GroupName, Identity, InboundKey, Invocation, LinkEvent,
    LockEvent, LockTarget, PageEvent, PageId, Platform, ProjectName, Reference, Revision,
    RotationName, RuleChange, RuleRef, RunEvent, RunId, Source, TokenEvent, TokenId,
};

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place, counted from 0, without gaps.
    pub sequence: u64,
    /// When it was recorded, by our clock.
    pub at: Timestamp,
    /// What is recorded.
    pub fact: Fact,
}

/// What is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[expect(
    clippy::large_enum_variant,
    reason = "facts are made, written and dropped; none is kept in numbers"
)]
pub enum Fact {
    /// Something came in. Personal data stands as salted commitments.
    Received {
        /// The platform's identity of it.
        inbound: InboundKey,
        /// Which door.
        source: Source,
        /// Which platform.
        platform: Platform,
        /// Commitment to the speaker's account and place.
        speaker: Commitment,
        /// Commitment to the text.
        text: Commitment,
    },
    /// It was refused before a rule was asked: not understood, a bot, a stranger, an edited message.
    Refused {
        /// What was refused.
        inbound: InboundKey,
        /// Who.
        actor: Identity,
        /// The refusal's stable word: `unknown_command`, `bot`, `edited` …
        refusal: String,
    },
    /// A question was answered; nothing was done.
    Answered {
        /// What was asked.
        inbound: InboundKey,
        /// Who.
        actor: Identity,
        /// Which: `help`, `list`, `runs` …
        question: String,
    },
    /// The runbook was asked.
    Decided {
        /// What was decided on.
        inbound: InboundKey,
        /// Who.
        actor: Identity,
        /// Their groups at that moment.
        groups: Vec<GroupName>,
        /// By which entry of the rule they were meant; `None` where no rule that names persons was found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capacity: Option<Capacity>,
        /// What they asked for. Arguments that name secrets hold names only.
        invocation: Invocation,
        /// What the runbook says.
        decision: Decided,
        /// The rule that says so; `None` only where the project's runbook is not there.
        rule: Option<RuleRef>,
        /// They showed their second factor for it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        confirmed: bool,
        /// The run, when there is one.
        run: Option<RunId>,
        /// Its reference.
        reference: Option<Reference>,
        /// Digest of the plan, when there is one.
        plan: Option<String>,
    },
    /// An account was asked to speak for a person beside their others, came to, or ceased to.
    Link {
        /// What was said.
        inbound: InboundKey,
        /// The person.
        actor: Identity,
        /// The account's platform.
        platform: Platform,
        /// Commitment to the account.
        account: Commitment,
        /// What became of it. Not `happened`: that is of runs, and has another shape.
        became: LinkEvent,
    },
    /// A person took or ended a lock, or its time was over.
    Lock {
        /// What was said; `None` where nobody said anything: its time was over.
        inbound: Option<InboundKey>,
        /// Who said it; of a lock whose time was over, who had taken it.
        actor: Identity,
        /// On what.
        target: LockTarget,
        /// What became of it.
        became: LockEvent,
    },
    /// Shifts of a rotation were arranged: whatever the files say, these persons hold them.
    Covered {
        /// What was said.
        inbound: InboundKey,
        /// Who arranged it.
        actor: Identity,
        /// In which rotation.
        rotation: RotationName,
        /// In order; a later one counts.
        covers: Vec<Cover>,
    },
    /// Something happened to a page.
    Page {
        /// What was said, where that was the cause.
        inbound: Option<InboundKey>,
        /// Which.
        page: PageId,
        /// Its reference.
        reference: Reference,
        /// Whose escalation it follows.
        project: ProjectName,
        /// What. Not `happened`: that is of runs, and has another shape.
        became: PageEvent,
    },
    /// A token came to speak for a person over the API, or ceased to.
    Token {
        /// Which. Not the token itself.
        token: TokenId,
        /// For whom it speaks.
        actor: Identity,
        /// What became of it. Not `happened`: that is of runs, and has another shape.
        became: TokenEvent,
    },
    /// Something happened to a run.
    Run {
        /// Which.
        run: RunId,
        /// Its reference.
        reference: Reference,
        /// What.
        happened: RunEvent,
    },
    /// A catalog is in force from here on.
    CatalogLoaded {
        /// Its revision.
        revision: Revision,
        /// How many commands.
        commands: usize,
        /// How many projects.
        projects: usize,
    },
    /// The rules of a project are others from here on.
    RulesChanged {
        /// Whose.
        project: ProjectName,
        /// Of the catalog that has them.
        revision: Revision,
        /// What changed. Non-empty.
        changes: Vec<RuleChange>,
    },
    /// Changed files were not taken; the catalog before stays in force.
    CatalogKept {
        /// The revision that stays.
        revision: Revision,
        /// How many mistakes.
        mistakes: usize,
        /// The first of them, one line.
        first: String,
    },
    /// The database was found set back to an older state. What had been recorded after that state is lost here.
    SetBack {
        /// By what it was found out.
        why: String,
    },
    /// midwatch started or stopped.
    Service {
        /// `started` or `stopped`.
        now: String,
        /// Of the program.
        version: String,
    },
}

/// Whose timeline tells of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns<'f> {
    /// Nobody's: it is about a message or the program, or is told with something else.
    Nothing,
    /// This project's.
    Project(&'f ProjectName),
    /// Every project's.
    Everything,
}

impl Fact {
    /// Whose timeline tells of it. One line of a timeline is one entry: what happens to a run is told with the entry that
    /// decided on it.
    pub fn concerns(&self) -> Concerns<'_> {
        match self {
            Self::Decided { invocation, .. } => Concerns::Project(&invocation.project),
            Self::Lock { target, .. } => Concerns::Project(&target.project),
            Self::RulesChanged { project, .. }
            | Self::Page {
                project,
                became: PageEvent::Began { .. } | PageEvent::Acknowledged { .. },
                ..
            } => Concerns::Project(project),
            Self::CatalogKept { .. } | Self::SetBack { .. } => Concerns::Everything,
            Self::Received { .. }
            | Self::Refused { .. }
            | Self::Answered { .. }
            | Self::Link { .. }
            | Self::Page { .. }
            | Self::Covered { .. }
            | Self::Token { .. }
            | Self::Run { .. }
            | Self::CatalogLoaded { .. }
            | Self::Service { .. } => Concerns::Nothing,
        }
    }
}

/// What the runbook said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// May.
    Allow,
    /// May with consent.
    RequireApproval(ApprovalTerms),
    /// Not now: the stable word says why (`late`, `running`, `just_done`).
    Hold(String),
    /// May not.
    Deny(String),
}

/// SHA-256 over a random salt and a value, in hexadecimal. Salt and value stand elsewhere and can be forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Commitment(pub String);

/// JSON with sorted keys and no white space: the same value gives the same bytes, whatever made it.
///
/// Written out because the map type behind `serde_json::Value` keeps or sorts keys depending on what any crate in the
/// tree asks for.
pub fn canonical_json(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Array(items) => format!(
            "[{}]",
            items
                .iter()
                .map(canonical_json)
                .collect::<Vec<_>>()
                .join(",")
        ),
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let pairs = keys.into_iter().map(|key| {
                format!(
                    "{}:{}",
                    Value::from(key.as_str()),
                    canonical_json(&map[key])
                )
            });
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_sorts_keys_at_every_depth() {
        let value = serde_json::json!({ "b": [ { "z": 1, "a": "x\"y" } ], "a": null });
        assert_eq!(
            canonical_json(&value),
            r#"{"a":null,"b":[{"a":"x\"y","z":1}]}"#
        );
    }
}
