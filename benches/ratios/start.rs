//! From start to ready, with one project and with a thousand, against a process that only says its version.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::files::{Home, Size};
use super::measure::{Ratios, median, time};
use super::process::{MIDWATCH, Process};

const PROJECTS: usize = 1_000;
const RULES: usize = 20;
const ROUNDS: usize = 5;

pub(crate) fn run() {
    let home = |projects| {
        Home::of_size(Size {
            projects,
            rules: RULES,
        })
    };
    let (one, many) = (home(1), home(PROJECTS));
    let version = || {
        time(|| {
            let mut command = Command::new(MIDWATCH);
            let status = command.arg("--version").stdout(Stdio::null()).status();
            assert!(status.unwrap().success());
        })
    };
    let starts = Ratios::of_speeds(ROUNDS, version, || Process::serve(&one).ready_after);
    let (mut small, mut large) = (Vec::new(), Vec::new());
    let note = |times: &mut Vec<f64>, took: Duration| {
        times.push(took.as_secs_f64());
        took
    };
    let growth = Ratios::of_speeds(
        ROUNDS,
        || note(&mut small, Process::serve(&one).ready_after),
        || note(&mut large, Process::serve(&many).ready_after),
    );
    starts.print("start, share of the speed of `midwatch --version`", "");
    let (small, large) = (median(&small), median(&large));
    let more = format!(
        "\n  ready after {:.0} ms with one project, {:.0} ms with {PROJECTS} of {RULES} rules: {:.2} ms for each project",
        small * 1e3,
        large * 1e3,
        (large - small) * 1e3 / (PROJECTS - 1) as f64
    );
    growth.print(
        &format!("start, speed with {PROJECTS} projects to one"),
        &more,
    );
}
