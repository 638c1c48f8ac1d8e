//! The failing disk, from the proof's side: builds `fail.c`, and steers it through the file that both have in memory.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bot::Home;

/// What such a disk does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no room left.
    Full = 1,
    /// Nobody may take more room.
    Quota,
    /// Every change is an I/O error.
    Broken,
    /// It was made read-only.
    ReadOnly,
    /// Half of a write gets there; then there is no room left.
    Torn,
    /// Writes get somewhere; fsync says that they are not safe.
    Unsynced,
}

impl Trouble {
    /// Whether a failed call may have been the last one of a change: then it may come to light after a crash.
    pub(super) fn leaves_doubt(self) -> bool {
        matches!(self, Self::Broken | Self::Unsynced)
    }
}

pub(super) const TROUBLES: [Trouble; 6] = [
    Trouble::Full,
    Trouble::Quota,
    Trouble::Broken,
    Trouble::ReadOnly,
    Trouble::Torn,
    Trouble::Unsynced,
];

/// The built library; gone when dropped.
pub(super) struct Library {
    folder: tempfile::TempDir,
}

impl Library {
    /// Builds it. `Err`: what is missing.
    #[expect(
        clippy::disallowed_methods,
        reason = "starts a compiler, which is no step of midwatch"
    )]
    pub(super) fn build() -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prove/iofail/fail.c");
        let built = Command::new("cc")
            .args(["-O1", "-Wall", "-shared", "-fPIC", "-o"])
            .arg(folder.path().join("fail.so"))
            .arg(source)
            .output()
            .map_err(|why| format!("a C compiler: cc: {why}"))?;
        if built.status.success() {
            return Ok(Self { folder });
        }
        let said = String::from_utf8_lossy(&built.stderr);
        let first = said.lines().next().unwrap_or_default();
        Err(format!("a C compiler with glibc's headers: {first}"))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("fail.so")
    }
}

/// The disk below one home's data folder.
pub(super) struct Disk {
    control: File,
}

// The layout of `struct control` in fail.c, in numbers of eight bytes.
const CALLS: u64 = 0;
const FROM: u64 = 1;
const HOW: u64 = 2;
const LEFT: u64 = 3;
const FAILED: u64 = 4;
const OF: u64 = 5;
const KINDS: [&str; 5] = ["writes", "syncs", "growths", "creations", "other changes"];

impl Disk {
    /// Puts the home's data folder on such a disk; its log too, when `log` says so.
    pub(super) fn below(home: Home, library: &Library, log: bool) -> (Home, Self) {
        let path = home.path("control");
        let control = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .expect("a control file");
        control
            .set_len(8 * (OF + KINDS.len() as u64))
            .expect("a control file");
        let mut below = home.path("data").display().to_string();
        if log {
            below = format!("{below}:{}", home.path("log").display());
        }
        let home = home
            .setting("LD_PRELOAD", library.path().display())
            .setting("IOFAIL_CONTROL", path.display())
            .setting("IOFAIL_BELOW", below);
        (home, Self { control })
    }

    /// How many calls were made so far.
    pub(super) fn calls(&self) -> u64 {
        self.read(CALLS)
    }

    /// How many calls have failed since [`Disk::fail`].
    pub(super) fn failed(&self) -> u64 {
        self.read(FAILED)
    }

    /// The calls by kind, in words.
    pub(super) fn kinds(&self) -> String {
        let kinds = KINDS.iter().zip(OF..);
        let kinds: Vec<String> = kinds
            .map(|(kind, place)| format!("{} {kind}", self.read(place)))
            .collect();
        kinds.join(", ")
    }

    /// From the `k`-th call from now on it fails: for so many calls.
    pub(super) fn fail(&self, k: u64, trouble: Trouble, calls: u64) {
        self.write(HOW, trouble as u64);
        self.write(LEFT, calls);
        self.write(FAILED, 0);
        self.write(FROM, self.calls() + k);
    }

    /// It works again.
    pub(super) fn heal(&self) {
        self.write(FROM, 0);
    }

    fn read(&self, place: u64) -> u64 {
        let mut bytes = [0; 8];
        self.control
            .read_exact_at(&mut bytes, 8 * place)
            .expect("the control file is there");
        u64::from_ne_bytes(bytes)
    }

    fn write(&self, place: u64, number: u64) {
        self.control
            .write_all_at(&number.to_ne_bytes(), 8 * place)
            .expect("the control file is there");
    }
}
