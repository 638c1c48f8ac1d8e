//! This very program, started again for one proof; and two of those side by side, since most proofs wait more than they
//! compute.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Names a bug to the program.
const BUG: &str = "PLANTED_BUG";

/// How a proof ended that was run in a process of its own.
pub(super) struct Ended {
    /// `None`: it took too long.
    pub(super) status: Option<ExitStatus>,
    /// Both of its streams.
    pub(super) said: String,
    pub(super) after: Duration,
}

impl Ended {
    /// Whether it says that it holds.
    pub(super) fn is_green(&self) -> bool {
        let ended_well = self.status.is_some_and(|status| status.success());
        ended_well && self.said.contains("1 passed, 0 not proven here, 0 failed")
    }

    /// Why it could not be run here.
    pub(super) fn missing(&self) -> Option<&str> {
        self.said
            .lines()
            .find_map(|line| line.split_once("NOT PROVEN: "))
            .map(|(_, why)| why)
    }
}

/// Runs one proof by its name in a process of its own, with this bug put back; one that takes longer than the limit is
/// killed.
#[expect(
    clippy::disallowed_methods,
    reason = "a proof that starts this program again"
)]
pub(super) fn run(
    proof: &str,
    rounds: u32,
    seed: u64,
    bug: Option<&str>,
    limit: Duration,
) -> Ended {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("said");
    let said = File::create(&path).expect("a file");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .arg(proof)
        .args(["--rounds", &rounds.to_string()])
        .args(["--seed", &seed.to_string()])
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(said.try_clone().expect("a file"))
        .stderr(said)
        .process_group(0);
    match bug {
        Some(bug) => command.env(BUG, bug),
        None => command.env_remove(BUG),
    };
    let began = Instant::now();
    let mut child = command.spawn().expect("this program starts");
    let status = loop {
        match child.try_wait().expect("a child") {
            None if began.elapsed() < limit => std::thread::sleep(Duration::from_millis(50)),
            status => break status,
        }
    };
    let after = began.elapsed();
    if status.is_none() {
        let group = Pid::from_child(&child);
        let _ = kill_process_group(group, Signal::KILL); // It may end just now.
        let _ = child.wait();
    }
    let said = std::fs::read(&path).expect("the file");
    Ended {
        status,
        said: String::from_utf8_lossy(&said).into_owned(),
        after,
    }
}

/// Does all of them, two at a time: one from the front of the list, one from its end, until they meet.
pub(super) fn side_by_side<T: Send>(jobs: VecDeque<T>, each: impl Fn(T) + Sync) {
    let queue = Mutex::new(jobs);
    std::thread::scope(|scope| {
        for take in [VecDeque::pop_front, VecDeque::pop_back] {
            let (queue, each) = (&queue, &each);
            scope.spawn(move || {
                while let Some(job) = { take(&mut queue.lock().unwrap()) } {
                    each(job);
                }
            });
        }
    });
}
