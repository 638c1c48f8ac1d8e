//! Runs a program: an argv array, never a shell; its own process group, which ends as a whole.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::leash::Leash;
use super::output::Output;
use super::tree::Tree;
use super::{Ended, Revealed, Surroundings};
use crate::domain::{PlannedStep, Rendered, RunAction, StepResult, show_duration};
use crate::planted;

/// Variables that every program gets, where midwatch has them.
const ALWAYS_PASSED: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER"];

/// A program with everything filled in, the values of secrets included: it goes through memory and pipes alone.
#[derive(Serialize, Deserialize)]
pub(super) struct Program {
    /// What is executed and its arguments.
    argv: Vec<String>,
    /// What is executed, as it may be shown.
    shown: String,
    directory: PathBuf,
    environment: Vec<(String, String)>,
    time_limit: Duration,
}

impl Program {
    /// Fills everything in and checks what can be checked without starting it.
    pub(super) fn prepare(
        action: &RunAction<Rendered>,
        step: &PlannedStep,
        surroundings: &Surroundings,
        revealed: &Revealed,
    ) -> Result<Self, String> {
        let Some(shown) = action.argv.first() else {
            return Err("the step names no program".to_owned());
        };
        let mut program = Self {
            argv: action.argv.iter().map(|text| revealed.text(text)).collect(),
            shown: shown.to_string(),
            directory: working_directory(&surroundings.directory, action.directory.as_deref())?,
            environment: environment(action, surroundings, revealed),
            time_limit: step.timeout(),
        };
        if planted::is("shell-used") {
            let line = program.argv.join(" ");
            program.argv = vec!["sh".to_owned(), "-c".to_owned(), line];
        }
        check_nul(&program.shown, &program.argv, &program.environment)?;
        Ok(program)
    }

    /// Runs it to its end, or to the end of its time.
    pub(super) async fn run(
        &self,
        leash: Leash,
        cancel: &CancellationToken,
        output: &mut Output,
    ) -> Ended {
        let deadline = Instant::now() + self.time_limit;
        let mut tree = match self.start(leash) {
            Ok(tree) => tree,
            Err(why) => return Ended::failed(why),
        };
        match end_of(&mut tree, deadline, cancel, output).await {
            End::Itself(status) => {
                tree.settle(output).await;
                conclude(status)
            }
            End::Cancelled => {
                tree.end(output).await;
                StepResult::Stopped.into()
            }
            End::TimeLimit => {
                tree.end(output).await;
                let limit = show_duration(self.time_limit);
                Ended::unknown(format!(
                    "ended after {limit} by its time limit; what it had done until then is not known"
                ))
            }
        }
    }

    /// Starts it. Nothing runs when this errs.
    fn start(&self, leash: Leash) -> Result<Tree, String> {
        let fault = |error: io::Error| format!("no pipe for `{}`: {error}", self.shown);
        // One pipe for both, so that their lines arrive in the order in which they were written.
        let (reader, writer) = io::pipe().map_err(fault)?;
        let errors = writer.try_clone().map_err(fault)?;
        let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(fault)?;
        let spawned = leash.spawn(&self.argv, |command| {
            command
                .current_dir(&self.directory)
                .env_clear()
                .envs(self.environment.iter().map(|(name, value)| (name, value)))
                .stdout(writer)
                .stderr(errors);
        });
        match spawned {
            Ok(child) => Ok(Tree::new(child, reader)),
            Err(error) => Err(why_not_started(&self.shown, &self.directory, &error)),
        }
    }
}

/// Waits for the first thing that ends the program.
async fn end_of(
    tree: &mut Tree,
    deadline: Instant,
    cancel: &CancellationToken,
    output: &mut Output,
) -> End {
    tokio::select! {
        biased;
        () = cancel.cancelled() => End::Cancelled,
        () = sleep_until(deadline) => End::TimeLimit,
        status = tree.leader_exit(output) => End::Itself(status),
    }
}

/// What ended the program.
enum End {
    Itself(io::Result<ExitStatus>),
    Cancelled,
    TimeLimit,
}

/// What the program's end means.
fn conclude(status: io::Result<ExitStatus>) -> Ended {
    let status = match status {
        Ok(status) => status,
        Err(error) => return Ended::unknown(format!("the program's end was not seen: {error}")),
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => StepResult::Succeeded {
            note: String::new(),
        }
        .into(),
        (Some(code), _) => Ended {
            says_no: code == 1,
            ..Ended::failed(format!("exit code {code}"))
        },
        (None, Some(signal)) => Ended::failed(format!("ended by signal {signal}")),
        (None, None) => Ended::unknown(format!("the program ended strangely: {status}")),
    }
}

fn why_not_started(program: &str, directory: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if program.contains('/') => format!(
            "no program `{program}` in {}, or the interpreter in its first line is missing",
            directory.display()
        ),
        io::ErrorKind::NotFound => format!("no program `{program}` in PATH"),
        io::ErrorKind::PermissionDenied => {
            format!("`{program}` may not be executed; check its mode (chmod +x)")
        }
        io::ErrorKind::ArgumentListTooLong => {
            format!("the arguments of `{program}` are longer than the system allows")
        }
        _ => format!("`{program}` can't be started: {error}"),
    }
}

/// The folder to run in; it may not lie outside of the base, not even through a symbolic link.
fn working_directory(base: &Path, relative: Option<&str>) -> Result<PathBuf, String> {
    let relative = relative.unwrap_or(".");
    let inside = Path::new(relative)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let missing = |path: &Path| format!("no directory {} to run in", path.display());
    let real_base = base.canonicalize().map_err(|_| missing(base))?;
    let joined = real_base.join(relative);
    let outside = format!(
        "directory `{relative}` lies outside of {}; give one inside, without `..`",
        base.display()
    );
    if !inside {
        return Err(outside);
    }
    let real = joined.canonicalize().map_err(|_| missing(&joined))?;
    if !real.starts_with(&real_base) {
        return Err(outside);
    }
    if !real.is_dir() {
        return Err(missing(&real));
    }
    Ok(real)
}

/// What the program sees: the allow-list, what the file passes on, and what it declares.
fn environment(
    action: &RunAction<Rendered>,
    surroundings: &Surroundings,
    revealed: &Revealed,
) -> Vec<(String, String)> {
    let own = &surroundings.environment;
    let passed = ALWAYS_PASSED
        .into_iter()
        .chain(action.pass.iter().map(String::as_str))
        .filter_map(|name| Some((name.to_owned(), own.get(name)?.clone())));
    let declared = action
        .environment
        .iter()
        .map(|(name, value)| (name.clone(), revealed.text(value)));
    passed.chain(declared).collect()
}

/// The system would cut a text at a NUL byte, or refuse it without saying which.
fn check_nul(
    program: &str,
    argv: &[String],
    environment: &[(String, String)],
) -> Result<(), String> {
    if let Some(position) = argv.iter().position(|argument| argument.contains('\0')) {
        return Err(format!(
            "argument {position} of `{program}` holds a NUL byte"
        ));
    }
    let bad = |(name, value): &&(String, String)| {
        name.is_empty() || name.contains(['\0', '=']) || value.contains('\0')
    };
    match environment.iter().find(bad) {
        Some((name, _)) => Err(format!(
            "variable `{name}` of `{program}` has an impossible name or holds a NUL byte"
        )),
        None => Ok(()),
    }
}
