//! Memory of an idle `serve` with one project and with a thousand, against a server that does nothing.

use std::time::Duration;

use super::files::{Home, Size};
use super::measure::{median, pass_over};
use super::process::Process;

const PROJECTS: usize = 1_000;
const RULES: usize = 20;
const ROUNDS: usize = 3;
/// What was needed for starting is given back by then.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) fn run() {
    if !std::path::Path::new("/proc/self/status").exists() {
        return pass_over("memory", "there is no /proc here");
    }
    let home = |projects| {
        Home::of_size(Size {
            projects,
            rules: RULES,
        })
    };
    let (one, many) = (home(1), home(PROJECTS));
    let resident = |process: Process| {
        std::thread::sleep(SETTLE);
        process.resident_kib().expect("the process lives") as f64 / 1_024.0
    };
    let (mut bare, mut small, mut large) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(resident(Process::bare()));
        small.push(resident(Process::serve(&one)));
        large.push(resident(Process::serve(&many)));
    }
    let (bare, small, large) = (median(&bare), median(&small), median(&large));
    println!(
        "  memory, {PROJECTS} projects to one: {:.2}; one project to a bare server: {:.2} (medians of {ROUNDS} starts)",
        large / small,
        small / bare
    );
    println!(
        "  resident {bare:.1} MiB bare, {small:.1} MiB with one project, {large:.1} MiB with {PROJECTS} of {RULES} rules: {:.1} KiB for each project",
        (large - small) * 1_024.0 / (PROJECTS - 1) as f64
    );
}
