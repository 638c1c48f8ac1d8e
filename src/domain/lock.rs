//! Locks that people take: while one is in force nobody else changes anything there. A lock ends by itself.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EnvironmentName, PersonId, Place, ProjectName};

/// The longest that somebody may take a lock for; afterwards they take it anew, and say why again.
pub const LONGEST_LOCK: Duration = Duration::from_hours(7 * 24);

/// What a lock is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockTarget {
    /// The project.
    pub project: ProjectName,
    /// The environment; `None`: all of the project.
    pub environment: Option<EnvironmentName>,
}

impl LockTarget {
    /// As people type it.
    pub fn words(&self) -> String {
        match &self.environment {
            Some(environment) => format!("{environment} of {}", self.project),
            None => format!("all of {}", self.project),
        }
    }

    /// What `lock` and `unlock` are followed by.
    pub fn typed(&self) -> String {
        let environment = self.environment.as_ref().map(|it| format!("{it} "));
        format!(
            "{}project={}",
            environment.unwrap_or_default(),
            self.project
        )
    }
}

/// A lock in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonLock {
    /// On what.
    pub target: LockTarget,
    /// Who took it.
    pub by: PersonId,
    /// Why, in their words, on one line; non-empty.
    pub reason: String,
    /// When they took it.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// Where they took it, and where its end is told.
    pub place: Place,
}

/// What became of a lock. Recorded in the ledger as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum LockEvent {
    /// It was taken.
    Taken {
        /// Until when.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// A person ended it.
    Released,
    /// Its time was over.
    Ended,
}
