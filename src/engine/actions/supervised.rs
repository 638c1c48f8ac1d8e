//! A `run` step under a supervisor, as midwatch sees it: starts one, or finds the one that a midwatch before it started.
//!
//! Dropping this ends nothing: the supervisor goes on. Only `stop` in the attempt's folder ends it.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::ChildStderr;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::folder::{Folder, Found};
use super::run::Program;
use super::supervisor::{SUPERVISE, Specification};
use super::{Performed, Revealed, Work};
use crate::domain::{Rendered, RunAction, START_WITHIN, StepResult};
use crate::planted;

/// How often an attempt's folder is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long to wait when the folder can't be looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn perform(
    action: &RunAction<Rendered>,
    work: &Work<'_>,
    output: mpsc::Sender<String>,
    cancel: &CancellationToken,
) -> Performed {
    let folder = work.folder;
    if let Err(error) = folder.make() {
        let path = folder.path().display();
        return work.not_started(&format!("no folder {path} for its supervisor: {error}"));
    }
    let came = Instant::now();
    loop {
        let mut supervisor = None;
        if let Found::NeverBegan(lock) = look(folder).await {
            if cancel.is_cancelled() {
                return Performed::at_once(StepResult::Stopped);
            }
            match start(action, work, lock).await {
                Ok(child) => supervisor = Some(child),
                Err(why) => return work.not_started(&why),
            }
        }
        let is_ours = supervisor.is_some();
        let complaint = supervisor.as_mut().and_then(|child| child.stderr().take());
        let followed = Followed {
            folder,
            supervisor,
            read_to: work.kept as u64,
            output: output.clone(),
        };
        match followed.until_its_end(cancel).await {
            Some(performed) => return performed,
            // The midwatch before us was killed before it had told it everything. Nothing was started: we do it now.
            None if !is_ours && came.elapsed() < START_WITHIN => {}
            None => {
                let why = read_complaint(complaint).await;
                return work.not_started(&format!(
                    "its supervisor ended before it had started anything{why}"
                ));
            }
        }
    }
}

/// Looks how the attempt stands, again until it can be seen: on a disk without room there is no lock to look at.
async fn look(folder: &Folder) -> Found {
    loop {
        match folder.look() {
            Ok(found) => return found,
            Err(error) => {
                warn!("{}: {error}", folder.path().display());
                sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// What a supervisor said that has ended, to be put after what is said of it.
async fn read_complaint(complaint: Option<ChildStderr>) -> String {
    let mut text = String::new();
    if let Some(complaint) = complaint {
        let mut complaint = complaint.take(1_000);
        let _ = timeout(LOOK_AGAIN, complaint.read_to_string(&mut text)).await; // Without it, less is said.
    }
    match text.trim().trim_start_matches("midwatch: ") {
        "" => String::new(),
        why => format!(": {why}"),
    }
}

/// Starts a supervisor, and gives it the lock and what it has to do.
async fn start(
    action: &RunAction<Rendered>,
    work: &Work<'_>,
    lock: File,
) -> Result<Box<dyn ChildWrapper>, String> {
    let secrets = work.surroundings.secrets.as_ref();
    let revealed = Revealed::resolve(&work.step.action, secrets)?;
    let specification = Specification {
        program: Program::prepare(action, work.step, work.surroundings, &revealed)?,
        secrets: revealed
            .to_redact(secrets)
            .iter()
            .map(|secret| secret.expose_secret().to_owned())
            .collect(),
    };
    let specification = serde_json::to_vec(&specification)
        .map_err(|error| format!("its supervisor can't be told: {error}"))?;
    let mut command = CommandWrap::with_new(&work.surroundings.supervisor, |command| {
        command
            .arg(SUPERVISE)
            .arg(work.folder.path())
            .env_clear()
            .envs(planted::handed_down())
            .stdin(Stdio::piped())
            .stdout(lock)
            .stderr(Stdio::piped());
    });
    let mut child = command
        .spawn()
        .map_err(|error| format!("its supervisor can't be started: {error}"))?;
    // Our copy of the lock goes with the command: the supervisor alone holds it now.
    drop(command);
    planted::crash("step.supervisor_spawned");
    if let Some(mut input) = child.stdin().take() {
        let _ = input.write_all(&specification).await; // One that ended early is found by its folder.
    }
    Ok(child)
}

/// An attempt whose supervisor lives, or lived.
struct Followed<'a> {
    folder: &'a Folder,
    /// `None`: it is not our child, or it has ended.
    supervisor: Option<Box<dyn ChildWrapper>>,
    /// How far its output was passed on, in bytes.
    read_to: u64,
    output: mpsc::Sender<String>,
}

impl Followed<'_> {
    /// Passes output on, and cancellation down, until the supervisor is gone. `None`: it had not started anything.
    async fn until_its_end(mut self, cancel: &CancellationToken) -> Option<Performed> {
        let mut asked_to_stop = false;
        loop {
            // Looked at before the output is read: what was printed before the end is there by then.
            let found = self.folder.look();
            self.pass_on().await;
            let pause = match found {
                Ok(Found::Ended(report)) => return Some(report.into()),
                Ok(Found::Lost) => return Some(Performed::Lost),
                Ok(Found::NeverBegan(_)) => return None,
                Ok(Found::Alive) => LOOK_EVERY,
                Err(error) => {
                    warn!("{}: {error}", self.folder.path().display());
                    LOOK_AGAIN
                }
            };
            if cancel.is_cancelled() && !asked_to_stop {
                match self.folder.ask_to_stop() {
                    Ok(()) => asked_to_stop = true,
                    Err(error) => warn!("a step can't be stopped yet: {error}"),
                }
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = cancel.cancelled(), if !cancel.is_cancelled() => {}
                () = ended(&mut self.supervisor), if self.supervisor.is_some() => self.supervisor = None,
            }
        }
    }

    async fn pass_on(&mut self) {
        match self.folder.read_output(&mut self.read_to) {
            Ok(text) if text.is_empty() => {}
            Ok(text) => {
                let _ = self.output.send(text).await; // Output that nobody takes is thrown away.
            }
            Err(error) => warn!("output of a step can't be read: {error}"),
        }
    }
}

/// Waits for a child's end, and so lets the system forget it. Cancel safe.
async fn ended(supervisor: &mut Option<Box<dyn ChildWrapper>>) {
    if let Some(child) = supervisor {
        let _ = child.wait().await; // How it ended is of no account: its folder tells.
    }
}
