//! Kinds of work that a step does. Each is one file; all share the time limit, cancellation and output handling here.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::{Action, PlannedStep, Rendered, SecretName, StepResult};

/// Resolves secrets, at the moment a step starts. Values are never stored.
pub trait Secrets: Send + Sync {
    /// The value, or a sentence that says where it was looked for.
    fn resolve(&self, name: &SecretName) -> Result<secrecy::SecretString, String>;
    /// Every secret that exists, for redaction; those of the step are resolved anyway.
    fn all(&self) -> Vec<secrecy::SecretString>;
}

/// What every action needs of its surroundings.
#[derive(Clone)]
pub struct Surroundings {
    /// Resolves secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Programs run here: the folder that holds `commands/`.
    pub directory: PathBuf,
    /// midwatch's own environment, of which programs see only an allow-list.
    pub environment: Arc<std::collections::BTreeMap<String, String>>,
}

/// Does one attempt of a step's action (or of its `verify`).
///
/// `output` takes clean, redacted text in order, whole lines where possible; when it is full the action waits, and its
/// time limit goes on. Ends the whole process tree on time-out and on cancellation. Never panics, never errs: what went
/// wrong is in the result.
#[expect(
    clippy::unimplemented,
    clippy::unused_async,
    unused_variables,
    reason = "the contract; replaced by the first implementation"
)]
pub async fn perform(
    step: &PlannedStep,
    action: &Action<Rendered>,
    surroundings: &Surroundings,
    output: mpsc::Sender<String>,
    cancel: &CancellationToken,
) -> StepResult {
    unimplemented!()
}

/// What a `verify` action says about a step.
pub enum Answer {
    /// It happened.
    Happened,
    /// It did not.
    DidNot,
    /// It can't tell; one line says why.
    Unknown(String),
}

/// stub
#[expect(
    clippy::unimplemented,
    clippy::unused_async,
    unused_variables,
    reason = "the contract; replaced by the first implementation"
)]
pub async fn ask(
    step: &PlannedStep,
    verify: &Action<Rendered>,
    surroundings: &Surroundings,
    cancel: &CancellationToken,
) -> Answer {
    unimplemented!()
}
