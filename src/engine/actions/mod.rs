//! Kinds of work that a step does. Each is one file; all share the time limit, cancellation and output handling here.

mod addresses;
mod answer;
mod folder;
mod git;
mod http;
mod leash;
mod output;
mod run;
mod strays;
mod supervised;
mod supervisor;
mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use folder::{Folder, Found, Report, Steps};
pub use git::{MOST_COMMITS, commits};
pub use http::HttpClient;
pub use leash::{LEASH, become_program};
pub use supervisor::{SUPERVISE, supervise};

use crate::domain::{
    Action, ControlFilter, JsonTemplate, Piece, PlannedStep, Redactor, Rendered, SecretName,
    StepResult, clean,
};
use leash::Leash;
use output::Output;
use run::Program;

/// Resolves secrets, at the moment a step starts. Values are never stored.
pub trait Secrets: Send + Sync {
    /// The value, or a sentence that says where it was looked for.
    fn resolve(&self, name: &SecretName) -> Result<SecretString, String>;
    /// Every secret that exists, for redaction; those of the step are resolved anyway.
    fn all(&self) -> Vec<SecretString>;
}

/// What every action needs of its surroundings.
#[derive(Clone)]
pub struct Surroundings {
    /// Resolves secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Programs run here: the folder that holds `commands/`.
    pub directory: PathBuf,
    /// midwatch's own environment, of which programs see only an allow-list.
    pub environment: Arc<BTreeMap<String, String>>,
    /// Speaks HTTP; made once.
    pub http: HttpClient,
    /// midwatch's own program, which supervises those of `run` steps: [`own_program`], but for tests.
    pub supervisor: PathBuf,
}

/// The program of this process, also after the file it came from was replaced.
pub fn own_program() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}

/// One attempt of a step.
pub struct Work<'a> {
    /// The step.
    pub step: &'a PlannedStep,
    /// What it needs.
    pub surroundings: &'a Surroundings,
    /// Where the supervisor of a `run` step and we meet.
    pub folder: &'a Folder,
    /// So much of its output is kept already, in bytes: a midwatch before this one began the attempt.
    pub kept: usize,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Performed {
    /// It ended.
    Ended {
        /// How.
        result: StepResult,
        /// How long it took, in milliseconds.
        elapsed_ms: u64,
    },
    /// Its supervisor is gone and left no result: what it did is not known.
    Lost,
}

impl Performed {
    fn at_once(result: StepResult) -> Self {
        Self::Ended {
            result,
            elapsed_ms: 0,
        }
    }
}

impl From<Report> for Performed {
    fn from(Report { result, elapsed_ms }: Report) -> Self {
        Self::Ended { result, elapsed_ms }
    }
}

/// What a step's `verify` action found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// The step happened: exit code 0, or every expectation met.
    Happened,
    /// It did not: exit code 1, or an expectation not met. One line says what was seen.
    DidNot(String),
    /// It could not be found out. One line says why.
    Unknown(String),
}

/// Does one attempt of a step.
///
/// `output` takes clean, redacted text in order, whole lines; when it is full the action goes on and its output is kept
/// here, up to the cap. Ends the whole process tree on time-out and on cancellation. Dropped, it leaves a `run` step to
/// its supervisor: called again with the same folder it goes on. Never panics, never errs: what went wrong is in the
/// result.
pub async fn perform(
    work: &Work<'_>,
    output: mpsc::Sender<String>,
    cancel: &CancellationToken,
) -> Performed {
    let began = Instant::now();
    match &work.step.action {
        Action::Run(action) => supervised::perform(action, work, output, cancel).await,
        action @ Action::Http(_) => Performed::Ended {
            result: attempt(work.step, action, work.surroundings, output, cancel)
                .await
                .result,
            elapsed_ms: millis(began.elapsed()),
        },
    }
}

impl Work<'_> {
    /// Nothing was done, and why.
    fn not_started(&self, why: &str) -> Performed {
        let secrets = self.surroundings.secrets.all();
        let redactor = Redactor::new(secrets.iter().map(ExposeSecret::expose_secret));
        let result = StepResult::Failed {
            why: why.to_owned(),
        };
        Performed::at_once(presentable(result, &redactor))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Asks a step's `verify` action whether the step happened. It only reads, so it needs no supervisor: dropped, it ends.
pub async fn verify(
    step: &PlannedStep,
    action: &Action<Rendered>,
    surroundings: &Surroundings,
    output: mpsc::Sender<String>,
    cancel: &CancellationToken,
) -> Verified {
    let ended = attempt(step, action, surroundings, output, cancel).await;
    match ended.result {
        StepResult::Succeeded { .. } => Verified::Happened,
        StepResult::Rejected { why } => Verified::DidNot(why),
        StepResult::Failed { why } if ended.says_no => Verified::DidNot(why),
        StepResult::Failed { why } | StepResult::Unknown { why } => Verified::Unknown(why),
        StepResult::Stopped => Verified::Unknown("cancelled".to_owned()),
    }
}

/// What one attempt works with.
struct Attempt<'a> {
    step: &'a PlannedStep,
    surroundings: &'a Surroundings,
    revealed: &'a Revealed,
    cancel: &'a CancellationToken,
}

/// How an action ended.
struct Ended {
    result: StepResult,
    /// Whether it did its work and the answer is no, as a `verify` action means it.
    says_no: bool,
}

impl Ended {
    /// It did not, or could not even be started.
    fn failed(why: impl Into<String>) -> Self {
        StepResult::Failed { why: why.into() }.into()
    }

    /// It may or may not have happened.
    fn unknown(why: impl Into<String>) -> Self {
        StepResult::Unknown { why: why.into() }.into()
    }
}

impl From<StepResult> for Ended {
    fn from(result: StepResult) -> Self {
        Self {
            result,
            says_no: false,
        }
    }
}

async fn attempt(
    step: &PlannedStep,
    action: &Action<Rendered>,
    surroundings: &Surroundings,
    sender: mpsc::Sender<String>,
    cancel: &CancellationToken,
) -> Ended {
    if cancel.is_cancelled() {
        return StepResult::Stopped.into();
    }
    let revealed = match Revealed::resolve(action, surroundings.secrets.as_ref()) {
        Ok(revealed) => revealed,
        Err(why) => return Ended::failed(why),
    };
    let hidden = revealed.to_redact(surroundings.secrets.as_ref());
    let redactor = Arc::new(Redactor::new(
        hidden.iter().map(ExposeSecret::expose_secret),
    ));
    let mut output = Output::new(redactor.clone(), sender);
    let attempt = Attempt {
        step,
        surroundings,
        revealed: &revealed,
        cancel,
    };
    let ended = match action {
        Action::Run(action) => match Program::prepare(action, step, surroundings, &revealed) {
            Ok(program) => program.run(Leash::None, cancel, &mut output).await,
            Err(why) => Ended::failed(why),
        },
        Action::Http(action) => http::perform(action, &attempt, &mut output).await,
    };
    output.finish().await;
    Ended {
        result: presentable(ended.result, &redactor),
        ..ended
    }
}

/// One clean, redacted line for the thread.
fn presentable(result: StepResult, redactor: &Redactor) -> StepResult {
    let line = |text: String| {
        let text = redactor.redact(&ControlFilter::default().push(&text));
        clean(&text).trim().replace('\n', " ")
    };
    match result {
        StepResult::Succeeded { note } => StepResult::Succeeded { note: line(note) },
        StepResult::Failed { why } => StepResult::Failed { why: line(why) },
        StepResult::Rejected { why } => StepResult::Rejected { why: line(why) },
        StepResult::Unknown { why } => StepResult::Unknown { why: line(why) },
        StepResult::Stopped => StepResult::Stopped,
    }
}

/// The values of the secrets that an action uses.
struct Revealed(BTreeMap<SecretName, SecretString>);

impl Revealed {
    fn resolve(action: &Action<Rendered>, secrets: &dyn Secrets) -> Result<Self, String> {
        let mut texts: Vec<&Rendered> = Vec::new();
        match action {
            Action::Run(run) => {
                texts.extend(&run.argv);
                texts.extend(run.environment.values());
            }
            Action::Http(http) => {
                texts.push(&http.url);
                texts.extend(http.headers.values());
                if let Some(json) = &http.json {
                    collect_texts(json, &mut texts);
                }
            }
        }
        let mut values = BTreeMap::new();
        for piece in texts.into_iter().flat_map(|text| &text.0) {
            if let Piece::Secret(name) = piece
                && !values.contains_key(name)
            {
                values.insert(name.clone(), secrets.resolve(name)?);
            }
        }
        Ok(Self(values))
    }

    /// These, and all others that exist.
    fn to_redact(&self, secrets: &dyn Secrets) -> Vec<SecretString> {
        let mut all = secrets.all();
        all.extend(self.0.values().cloned());
        all
    }

    /// The text with the secrets' values in it.
    fn text(&self, text: &Rendered) -> String {
        text.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Secret(name) => self.0.get(name).map_or("", ExposeSecret::expose_secret),
            })
            .collect()
    }

    /// The JSON value with the secrets' values in it.
    fn json(&self, template: &JsonTemplate<Rendered>) -> serde_json::Value {
        match template {
            JsonTemplate::Literal(value) => value.clone(),
            JsonTemplate::Text(text) => self.text(text).into(),
            JsonTemplate::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            JsonTemplate::Object(members) => members
                .iter()
                .map(|(key, value)| (key.clone(), self.json(value)))
                .collect(),
        }
    }
}

fn collect_texts<'a>(json: &'a JsonTemplate<Rendered>, texts: &mut Vec<&'a Rendered>) {
    match json {
        JsonTemplate::Literal(_) => {}
        JsonTemplate::Text(text) => texts.push(text),
        JsonTemplate::Array(items) => {
            for item in items {
                collect_texts(item, texts);
            }
        }
        JsonTemplate::Object(members) => {
            for item in members.values() {
                collect_texts(item, texts);
            }
        }
    }
}
