//! The supervisor: a small process of its own that does one attempt of one `run` step, and outlives midwatch.
//!
//! It owns the program, keeps the time limit, and leaves output and result in the attempt's folder. It writes to no
//! database and no log. While it lives, or when it left a result, nothing about the attempt is unknown.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::folder::{Folder, Report};
use super::leash::Leash;
use super::output::Output;
use super::run::Program;
use super::{millis, presentable};
use crate::domain::{Redactor, StepResult};
use crate::planted::crash;

/// The hidden subcommand of midwatch that is the supervisor.
pub const SUPERVISE: &str = "supervise";

/// How often it looks whether it is asked to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often what can't be written is tried again, and for how long.
const WRITE_AGAIN: Duration = Duration::from_millis(500);
const WRITE_WITHIN: Duration = Duration::from_secs(600);

/// What a supervisor is told, on its standard input: it holds the values of secrets and must never be on a disk.
#[derive(Serialize, Deserialize)]
pub(super) struct Specification {
    pub(super) program: Program,
    /// What may not be seen in the output.
    pub(super) secrets: Vec<String>,
}

/// Does the attempt. Ends without having started anything when the specification is torn: who wrote it was killed.
pub async fn supervise(folder: PathBuf, specification: &[u8]) -> io::Result<()> {
    let Specification { program, secrets } = serde_json::from_slice(specification)?;
    // Whoever ends midwatch, or a whole session, doesn't mean us. Once listened to, a signal ends nobody any more.
    for kind in [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::terminate(),
    ] {
        drop(signal(kind)?);
    }
    let folder = Folder::at(folder);
    let redactor = Arc::new(Redactor::new(secrets.iter().map(String::as_str)));
    let mut kept = Kept {
        file: persist(|| folder.open_output()).await?,
        unwritten: Vec::new(),
    };
    persist(|| folder.write_started()).await?;
    crash("supervisor.started");
    let began = Instant::now();
    let result = do_attempt(&program, &folder, &redactor, &mut kept).await;
    crash("supervisor.program_ended");
    let report = Report {
        result: presentable(result, &redactor),
        elapsed_ms: millis(began.elapsed()),
    };
    // The output first: whoever sees the result finds all of it.
    persist(|| kept.sync().and_then(|()| folder.write_result(&report))).await?;
    crash("supervisor.result_written");
    Ok(())
}

/// Writes what must be on the disk, again for as long as it has no room.
async fn persist<T>(mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + WRITE_WITHIN;
    loop {
        match write() {
            Err(error) if may_pass(&error) && Instant::now() <= deadline => {
                sleep(WRITE_AGAIN).await;
            }
            done => return done,
        }
    }
}

/// Whether the disk is at fault, and not what we ask of it.
fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kind = matches!(
        error.kind(),
        StorageFull | QuotaExceeded | ReadOnlyFilesystem
    );
    kind || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Runs the program, keeps what it prints, and ends it when that is asked for.
async fn do_attempt(
    program: &Program,
    folder: &Folder,
    redactor: &Arc<Redactor>,
    kept: &mut Kept,
) -> StepResult {
    if folder.is_asked_to_stop() {
        return StepResult::Stopped;
    }
    // When it is full the program's output waits in its pipe and in memory, up to the cap.
    let (sender, mut texts) = mpsc::channel::<String>(64);
    let cancel = CancellationToken::new();
    let work = async {
        let mut output = Output::new(Arc::clone(redactor), sender);
        let ended = program.run(Leash::Tied, &cancel, &mut output).await;
        output.finish().await;
        ended.result
    };
    let keep = async {
        while let Some(text) = texts.recv().await {
            kept.write(&text);
        }
    };
    let look = async {
        while !folder.is_asked_to_stop() {
            sleep(LOOK_EVERY).await;
        }
        cancel.cancel();
        std::future::pending::<StepResult>().await
    };
    let both = async { tokio::join!(work, keep).0 };
    tokio::select! {
        biased;
        result = look => result,
        result = both => result,
    }
}

/// The output on its way to the disk. What can't be written now is written with the next; it is capped.
struct Kept {
    file: File,
    unwritten: Vec<u8>,
}

impl Kept {
    fn write(&mut self, text: &str) {
        self.unwritten.extend_from_slice(text.as_bytes());
        let _ = self.flush(); // Tried again with the next text, and at the end for long.
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            let written = self.file.write(&self.unwritten)?;
            self.unwritten.drain(..written);
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_all()
    }
}
