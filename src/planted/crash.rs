//! Crash points: places where the process kills itself, once, when the proof `kill9` asks for it. Never in a build for
//! use: without the feature `planted` nothing of them is left in the program.
//!
//! `PLANTED_CRASH=POINT:N` names a point and which passage of it ends the process; passages are counted over all
//! processes that share the file `PLANTED_CRASH_SEEN`, which gets a line for each, so that exactly one of them ends.

#[cfg(feature = "planted")]
use super::variable;

/// Every point, by the name of the place that it stands at. Those of supervisors begin with `supervisor.`.
pub const POINTS: &[&str] = &[
    // While starting.
    "start.opened",
    "start.recorded",
    // From a message to a run.
    "inbound.received",
    "inbound.concluded",
    "group.performed",
    "group.committed",
    "catalog.swapped",
    "catalog.recorded",
    // From a run to its end.
    "lease.claimed",
    "step.folder_made",
    "step.start_recorded",
    "step.taken_up",
    "step.supervisor_spawned",
    "supervisor.started",
    "supervisor.program_ended",
    "supervisor.result_written",
    "step.result_seen",
    "step.end_recorded",
    "step.interrupted",
    "step.verified",
    "checkpoint.committed",
    "file.drafted",
    // From a run to people.
    "duty.taken",
    "posting.begun",
    "posting.sent",
    "posting.read_back",
    "posting.recorded",
    // While ending.
    "drain.begun",
    "drain.stage_stopped",
    "drain.recorded",
];

#[cfg(feature = "planted")]
pub(super) const POINT: &str = "PLANTED_CRASH";
#[cfg(feature = "planted")]
pub(super) const SEEN: &str = "PLANTED_CRASH_SEEN";

/// A point that the process passes.
#[cfg(not(feature = "planted"))]
pub(crate) const fn crash(_point: &str) {}

/// A point that the process passes: here it ends, as by a power cut, if this is the passage that was asked for.
#[cfg(feature = "planted")]
pub(crate) fn crash(point: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError};
    static ASKED_FOR: LazyLock<Option<(String, usize)>> = LazyLock::new(|| {
        let asked = variable(POINT)?;
        let (point, passage) = asked.split_once(':')?;
        Some((point.to_owned(), passage.parse().ok()?))
    });
    static PASSAGES: AtomicU32 = AtomicU32::new(0);
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    assert!(
        POINTS.contains(&point),
        "`{point}` is not in the table of crash points"
    );
    let (Some((asked, passage)), Some(seen)) = (&*ASKED_FOR, variable(SEEN)) else {
        return;
    };
    if asked != point {
        return;
    }
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let number = PASSAGES.fetch_add(1, Ordering::Relaxed);
    if pass(std::path::Path::new(&seen), number).is_ok_and(|passed| passed == *passage) {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park(); // The signal comes before anything else is done here.
        }
    }
}

/// Writes a passage down, and answers which one it was, over all processes. Its line: process, number, last argument,
/// which for a supervisor is its attempt's folder.
#[cfg(feature = "planted")]
fn pass(seen: &std::path::Path, number: u32) -> std::io::Result<usize> {
    use std::io::Write as _;
    let process = std::process::id();
    let argument = std::env::args().next_back().unwrap_or_default();
    let line = format!("{process}/{number} {argument}");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(seen)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    let all = std::fs::read_to_string(seen)?;
    let before = all.lines().take_while(|it| *it != line).count();
    Ok(before + 1)
}
