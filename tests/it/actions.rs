//! What a step's actions do to real processes and real sockets.

#![expect(clippy::unwrap_used, reason = "tests may unwrap, their tools included")]

mod http;
mod run;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use midwatch::domain::{
    Action, Effect, InboundKey, OutputRef, Piece, PlannedStep, Rendered, RunAction, RunId,
    SecretName, StepName, StepResult,
};
use midwatch::engine::actions::{
    Folder, HttpClient, Performed, Steps, Surroundings, Work, perform,
};
use midwatch::engine::secrets::LocalSecrets;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A secret that must never be seen: `{secret.canary}`.
const CANARY: &str = "c4n4ry-0f-th3-m1n3";

/// A place to act in: its own folder, environment and secrets.
struct Bench {
    folder: TempDir,
    surroundings: Surroundings,
    timeout: Duration,
    hosts: Vec<String>,
    attempts: AtomicU32,
}

impl Bench {
    fn new() -> Self {
        // A second provider is refused, and the first is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let environment: BTreeMap<String, String> = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("HOME", "/home/midwatch"),
            ("SLACK_BOT_TOKEN", "xoxb-not-for-programs"),
            ("REGION", "eu"),
            ("MIDWATCH_SECRET_CANARY", CANARY),
            ("MIDWATCH_SECRET_TINY", "abc"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let secrets = LocalSecrets::new(&environment, Some(folder.path().join("secrets")));
        let surroundings = Surroundings {
            secrets: Arc::new(secrets),
            directory: folder.path().to_owned(),
            environment: Arc::new(environment),
            http: HttpClient::new().unwrap(),
            supervisor: crate::bot::MIDWATCH.into(),
        };
        Self {
            folder,
            surroundings,
            timeout: Duration::from_secs(20),
            hosts: Vec::new(),
            attempts: AtomicU32::new(0),
        }
    }

    fn limited(mut self, ms: u64) -> Self {
        self.timeout = Duration::from_millis(ms);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn step(&self, action: Action<Rendered>) -> PlannedStep {
        PlannedStep {
            name: StepName::parse("tried").unwrap(),
            action,
            verify: None,
            effect: Effect::Once,
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap(),
            attempts: 1,
            hosts: self.hosts.clone(),
        }
    }

    /// The folder of the next attempt.
    fn attempt(&self) -> Folder {
        let of = OutputRef {
            run: RunId::of_inbound(&InboundKey::new(&["bench"])),
            position: 0,
            attempt: self.attempts.fetch_add(1, Ordering::Relaxed) + 1,
        };
        Steps::of(&self.path("data")).unwrap().folder(of)
    }

    /// Performs the action; gives its result and all its output.
    async fn perform(&self, action: Action<Rendered>) -> (StepResult, String) {
        self.perform_until(action, &CancellationToken::new()).await
    }

    async fn perform_until(
        &self,
        action: Action<Rendered>,
        cancel: &CancellationToken,
    ) -> (StepResult, String) {
        let (performed, output) = self
            .perform_in(&self.attempt(), &self.step(action), cancel)
            .await;
        let Performed::Ended { result, .. } = performed else {
            panic!("the supervisor was lost; until then it printed: {output}");
        };
        (result, output)
    }

    /// Performs the attempt with this folder, or goes on with it.
    async fn perform_in(
        &self,
        folder: &Folder,
        step: &PlannedStep,
        cancel: &CancellationToken,
    ) -> (Performed, String) {
        let work = Work {
            step,
            surroundings: &self.surroundings,
            folder,
            kept: 0,
        };
        let (sender, mut receiver) = mpsc::channel::<String>(4);
        let collect = async {
            let mut output = String::new();
            while let Some(text) = receiver.recv().await {
                output.push_str(&text);
            }
            output
        };
        tokio::join!(perform(&work, sender, cancel), collect)
    }
}

/// A fixed text; `{secret.NAME}` in it becomes a reference.
fn text(text: &str) -> Rendered {
    let mut pieces = Vec::new();
    for (position, part) in text.split("{secret.").enumerate() {
        match part.split_once('}').filter(|_| position > 0) {
            Some((name, rest)) => {
                pieces.push(Piece::Secret(SecretName::parse(name).unwrap()));
                pieces.push(Piece::Text(rest.to_owned()));
            }
            None => pieces.push(Piece::Text(part.to_owned())),
        }
    }
    Rendered(pieces)
}

fn run_action(argv: &[&str]) -> RunAction<Rendered> {
    RunAction {
        argv: argv.iter().map(|argument| text(argument)).collect(),
        directory: None,
        environment: BTreeMap::new(),
        pass: Vec::new(),
    }
}

fn run(argv: &[&str]) -> Action<Rendered> {
    Action::Run(run_action(argv))
}

fn succeeded() -> StepResult {
    StepResult::Succeeded {
        note: String::new(),
    }
}

fn failed(why: &str) -> StepResult {
    StepResult::Failed {
        why: why.to_owned(),
    }
}
