//! Known bugs are put back one at a time, and each turns the proof red that is there to find it, for the right reason.
//!
//! This very program is started again for each, with `PLANTED_BUG` naming the bug, and once without for each proof used,
//! which must stay green. The bugs are in builds with the feature `planted` alone.

mod bugs;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process_group};

use self::bugs::{BUGS, Bug, TRIALS, Trial};
use super::{Found, Round};

/// How many bugs there are.
#[expect(clippy::cast_possible_truncation, reason = "there are some dozens")]
pub(crate) const COUNT: u32 = BUGS.len() as u32;

/// Names the bug to the program.
const VARIABLE: &str = "PLANTED_BUG";
/// How long a proof may take; one that takes longer has found nothing.
const LIMIT: Duration = Duration::from_secs(240);
/// How often a bug may be looked for, with another seed each time: where real processes race, few rounds may miss it.
const ATTEMPTS: u64 = 3;

/// The proof: each round is one bug; fewer than all are chosen by the seed.
pub(crate) fn prove(round: Round) -> Found {
    table_and_sources_agree();
    if !cfg!(feature = "planted") {
        let how = "cargo test --features planted --test prove -- planted";
        return Found::Missing(format!("a build that has the bugs: {how}"));
    }
    let mut chosen: Vec<&Bug> = BUGS.iter().collect();
    chosen.shuffle(&mut StdRng::seed_from_u64(round.seed));
    chosen.truncate(round.rounds as usize);
    let queue = Mutex::new(jobs(&chosen));
    let told = Mutex::new(Told::default());
    std::thread::scope(|scope| {
        for take in [VecDeque::pop_front, VecDeque::pop_back] {
            let (queue, told) = (&queue, &told);
            scope.spawn(move || {
                while let Some(job) = { take(&mut queue.lock().unwrap()) } {
                    let ended = job.run_until_found();
                    told.lock().unwrap().tell(&job, &ended);
                }
            });
        }
    });
    told.into_inner().unwrap().conclude(chosen.len())
}

/// One run of a proof.
struct Job {
    trial: &'static Trial,
    /// `None`: none, and it must stay green.
    bug: Option<&'static Bug>,
}

/// In the order of [`TRIALS`].
fn jobs(chosen: &[&'static Bug]) -> VecDeque<Job> {
    let mut jobs = VecDeque::new();
    for trial in TRIALS {
        let bugs: Vec<_> = chosen
            .iter()
            .filter(|bug| bug.proof == trial.proof)
            .collect();
        if !bugs.is_empty() {
            jobs.push_back(Job { trial, bug: None });
        }
        jobs.extend(bugs.into_iter().map(|bug| Job {
            trial,
            bug: Some(bug),
        }));
    }
    jobs
}

/// What came of it.
struct Ended {
    /// `None`: it took too long.
    status: Option<ExitStatus>,
    said: String,
    after: Duration,
}

impl Job {
    /// With a bug: until it is found, [`ATTEMPTS`] times at most. Without one: once.
    fn run_until_found(&self) -> Ended {
        let mut ended = self.run(self.trial.seed);
        let Some(bug) = self.bug else { return ended };
        for more in 1..ATTEMPTS {
            if ended.violation(bug).is_some() || ended.missing().is_some() {
                break;
            }
            println!("  {:<28} not found, looked for again", bug.name);
            ended = self.run(self.trial.seed + more);
        }
        ended
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a proof that starts this program again"
    )]
    fn run(&self, seed: u64) -> Ended {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("said");
        let said = File::create(&path).expect("a file");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .arg(self.trial.proof)
            .args(["--rounds", &self.trial.rounds.to_string()])
            .args(["--seed", &seed.to_string()])
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("a file"))
            .stderr(said)
            .process_group(0);
        match self.bug {
            Some(bug) => command.env(VARIABLE, bug.name),
            None => command.env_remove(VARIABLE),
        };
        let began = Instant::now();
        let mut child = command.spawn().expect("this program starts");
        let status = loop {
            match child.try_wait().expect("a child") {
                None if began.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(50)),
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
}

impl Ended {
    /// Whether it says that it holds.
    fn is_green(&self) -> bool {
        let ended_well = self.status.is_some_and(|status| status.success());
        ended_well && self.said.contains("1 passed, 0 not proven here, 0 failed")
    }

    /// Why it could not be run here.
    fn missing(&self) -> Option<&str> {
        self.said
            .lines()
            .find_map(|line| line.split_once("NOT PROVEN: "))
            .map(|(_, why)| why)
    }

    /// The violation, when this is how it ended.
    fn violation(&self, bug: &Bug) -> Option<&str> {
        let panicked = self.status.and_then(|status| status.code()) == Some(101);
        let (_, after) = self.said.split_once("panicked at ")?;
        let found = |line: &&str| bug.says.iter().any(|says| line.contains(says));
        after.lines().find(found).filter(|_| panicked)
    }

    /// How it ended, when it was not as it should be.
    fn otherwise(&self) -> String {
        let said = self
            .said
            .find("panicked at ")
            .map_or("", |at| &self.said[at..]);
        let said = if said.is_empty() { &self.said } else { said };
        let said: String = said.chars().take(1_500).collect();
        match self.status {
            None => format!("not ended after {LIMIT:?}: {said}"),
            Some(status) => format!("{status} after {:?}: {said}", self.after),
        }
    }
}

/// What all of them came to.
#[derive(Default)]
struct Told {
    found: BTreeMap<&'static str, usize>,
    green: usize,
    missing: BTreeMap<&'static str, String>,
    complaints: Vec<String>,
}

impl Told {
    fn tell(&mut self, job: &Job, ended: &Ended) {
        let (proof, secs) = (job.trial.proof, ended.after.as_secs_f64());
        let Some(bug) = job.bug else {
            match ended.missing() {
                _ if ended.is_green() => {
                    self.green += 1;
                    println!("  {:<28} {proof:<11} green {secs:>6.1} s", "(no bug)");
                }
                Some(why) => drop(self.missing.insert(proof, why.to_owned())),
                None => {
                    let how = ended.otherwise();
                    self.complaints
                        .push(format!("{proof} is red without any bug: {how}"));
                }
            }
            return;
        };
        if let Some(what) = ended.violation(bug) {
            *self.found.entry(proof).or_default() += 1;
            let what: String = what.trim().chars().take(110).collect();
            println!("  {:<28} {proof:<11} red   {secs:>6.1} s  {what}", bug.name);
        } else if ended.missing().is_none() {
            let (name, does, how) = (bug.name, bug.does, ended.otherwise());
            self.complaints.push(format!(
                "`{name}` was not found by {proof}. {does} It ended otherwise: {how}"
            ));
        }
    }

    fn conclude(self, bugs: usize) -> Found {
        assert!(
            self.complaints.is_empty(),
            "{} complaints:\n- {}",
            self.complaints.len(),
            self.complaints.join("\n- ")
        );
        let found: usize = self.found.values().sum();
        let said = format!(
            "{found} of {bugs} bugs put back, each found by its proof, for the right reason {:?}; {} proofs green without",
            self.found, self.green
        );
        if self.missing.is_empty() {
            return Found::Held(said);
        }
        Found::Missing(format!(
            "{said}; not looked at, for want of: {:?}",
            self.missing
        ))
    }
}

/// Each bug of the table is planted, each that is planted stands in the table, once.
fn table_and_sources_agree() {
    let asked = Regex::new(r#"planted::is\(\s*"([^"]+)""#).expect("an expression");
    let mut planted = BTreeSet::new();
    for text in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        planted.extend(asked.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    let table: BTreeSet<String> = BUGS.iter().map(|bug| bug.name.to_owned()).collect();
    assert_eq!(
        planted, table,
        "what src/ asks for, and what the table knows"
    );
    assert_eq!(table.len(), BUGS.len(), "a bug stands in the table twice");
    let unused = |bug: &&Bug| !TRIALS.iter().any(|trial| trial.proof == bug.proof);
    let unused: Vec<&str> = BUGS.iter().filter(unused).map(|bug| bug.name).collect();
    assert!(
        unused.is_empty(),
        "no trial of the proof that must find {unused:?}"
    );
}

/// All texts below a folder.
fn sources(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            texts.extend(sources(&path));
        } else {
            texts.push(std::fs::read_to_string(&path).expect("a text"));
        }
    }
    texts
}
