//! The folder of one attempt of a `run` step: how midwatch and the attempt's supervisor know of each other.
//!
//! `lock` is held from before the supervisor lives until it ends: the lock belongs to the open file, which is handed to
//! it, so there is no gap and no process number to be wrong about. `started` stands there before the program is
//! started, `output` grows, `stop` asks for the end, `result` says how it ended. What is here is clean and redacted.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::{OutputRef, RunId, StepResult};

const LOCK: &str = "lock";
const STARTED: &str = "started";
const OUTPUT: &str = "output";
const STOP: &str = "stop";
const RESULT: &str = "result";

/// Where attempts have their folders: `steps` in the data folder.
#[derive(Debug, Clone)]
pub struct Steps(PathBuf);

impl Steps {
    /// Those of the midwatch with this data folder.
    pub fn of(data: &Path) -> io::Result<Self> {
        // A supervisor is told the path: it must not depend on where we are.
        Ok(Self(std::path::absolute(data)?.join("steps")))
    }

    /// The folder of an attempt, whether it exists or not.
    pub fn folder(&self, of: OutputRef) -> Folder {
        let name = format!("{}-{}-{}", of.run, of.position, of.attempt);
        Folder(self.0.join(name))
    }

    /// Attempts that have a folder.
    pub fn all(&self) -> io::Result<Vec<OutputRef>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| attempt_of(&name)).collect())
    }
}

fn attempt_of(name: &str) -> Option<OutputRef> {
    let (rest, attempt) = name.rsplit_once('-')?;
    let (run, position) = rest.rsplit_once('-')?;
    Some(OutputRef {
        run: RunId::parse(run)?,
        position: position.parse().ok()?,
        attempt: attempt.parse().ok()?,
    })
}

/// The folder of one attempt.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// How an attempt stands, by its folder alone.
#[derive(Debug)]
pub enum Found {
    /// Its supervisor lives.
    Alive,
    /// It ended.
    Ended(Report),
    /// It has no supervisor, and its program was not started. While the lock is kept nobody else starts it.
    NeverBegan(File),
    /// The program was started; its supervisor is gone and left no result.
    Lost,
}

/// What a supervisor leaves at the end.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// How the attempt ended.
    pub result: StepResult,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

impl Folder {
    /// The folder at this path.
    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.0.is_dir()
    }

    /// Makes it, where it is missing. For midwatch's own user alone.
    pub fn make(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
    }

    /// Looks how the attempt stands.
    pub fn look(&self) -> io::Result<Found> {
        if let Some(report) = self.report()? {
            return Ok(Found::Ended(report));
        }
        let lock = match private().truncate(false).open(self.0.join(LOCK)) {
            // Somebody removed the folder: nothing can be known any more.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Lost),
            lock => lock?,
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Found::Alive),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // It may have left its result after the first look, and ended before the second.
        Ok(match self.report()? {
            Some(report) => Found::Ended(report),
            None if self.0.join(STARTED).try_exists()? => Found::Lost,
            None => Found::NeverBegan(lock),
        })
    }

    /// The result; `None` when there is none, or none that can be read.
    fn report(&self) -> io::Result<Option<Report>> {
        match fs::read(self.0.join(RESULT)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            bytes => Ok(serde_json::from_slice(&bytes?).ok()),
        }
    }

    /// Asks the supervisor to end the program.
    pub fn ask_to_stop(&self) -> io::Result<()> {
        private().truncate(true).open(self.0.join(STOP)).map(drop)
    }

    /// Whether [`Self::ask_to_stop`] was called.
    pub fn is_asked_to_stop(&self) -> bool {
        self.0.join(STOP).exists()
    }

    /// The next output from this byte on, which moves to the end of it. Whole characters only.
    pub(super) fn read_output(&self, from: &mut u64) -> io::Result<String> {
        let mut bytes = Vec::new();
        match File::open(self.0.join(OUTPUT)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            file => {
                let mut file = file?;
                file.seek(SeekFrom::Start(*from))?;
                file.read_to_end(&mut bytes)?;
            }
        }
        let whole = match std::str::from_utf8(&bytes) {
            Ok(_) => bytes.len(),
            Err(error) => error.valid_up_to(),
        };
        *from += whole as u64;
        bytes.truncate(whole);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The file that takes the output.
    pub(super) fn open_output(&self) -> io::Result<File> {
        private().append(true).open(self.0.join(OUTPUT))
    }

    /// Says durably that the program is about to be started.
    pub(super) fn write_started(&self) -> io::Result<()> {
        self.write_whole(STARTED, b"")
    }

    /// Leaves the result durably.
    pub(super) fn write_result(&self, report: &Report) -> io::Result<()> {
        self.write_whole(RESULT, &serde_json::to_vec(report)?)
    }

    /// A file that is there as a whole or not at all, and still there after a power cut.
    fn write_whole(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let begun = self.0.join(format!("{name}.begun"));
        let mut file = private().truncate(true).open(&begun)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&begun, self.0.join(name))?;
        File::open(&self.0)?.sync_all()
    }

    /// Removes it with all that is in it.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// For a file that is made where it is missing, for midwatch's own user alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}
