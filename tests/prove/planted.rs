//! Known bugs are put back one at a time, and each turns the proof red that is there to find it, for the right reason.
//!
//! This very program is started again for each, with `PLANTED_BUG` naming the bug, and once without for each proof used,
//! which must stay green. The bugs are in builds with the feature `planted` alone.

mod bugs;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use regex::Regex;

use self::bugs::{BUGS, Bug, TRIALS, Trial};
use super::lanes::{self, Ended};
use super::{Found, Round};

/// How many bugs there are.
#[expect(clippy::cast_possible_truncation, reason = "there are some dozens")]
pub(crate) const COUNT: u32 = BUGS.len() as u32;

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
    let told = Mutex::new(Told::default());
    lanes::side_by_side(jobs(&chosen), |job| {
        let ended = job.run_until_found();
        told.lock().unwrap().tell(&job, &ended);
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

impl Job {
    /// With a bug: until it is found, [`ATTEMPTS`] times at most. Without one: once.
    fn run_until_found(&self) -> Ended {
        let mut ended = self.run(self.trial.seed);
        let Some(bug) = self.bug else { return ended };
        for more in 1..ATTEMPTS {
            if violation(&ended, bug).is_some() || ended.missing().is_some() {
                break;
            }
            println!("  {:<28} not found, looked for again", bug.name);
            ended = self.run(self.trial.seed + more);
        }
        ended
    }

    fn run(&self, seed: u64) -> Ended {
        let Trial { proof, rounds, .. } = self.trial;
        lanes::run(proof, *rounds, seed, self.bug.map(|bug| bug.name), LIMIT)
    }
}

/// The violation, when this is how it ended.
fn violation<'e>(ended: &'e Ended, bug: &Bug) -> Option<&'e str> {
    let panicked = ended.status.and_then(|status| status.code()) == Some(101);
    let (_, after) = ended.said.split_once("panicked at ")?;
    let found = |line: &&str| bug.says.iter().any(|says| line.contains(says));
    after.lines().find(found).filter(|_| panicked)
}

/// How it ended, when it was not as it should be.
fn otherwise(ended: &Ended) -> String {
    let said = &ended.said;
    let from = said.find("panicked at ").unwrap_or_default();
    let said: String = said[from..].chars().take(1_500).collect();
    match ended.status {
        None => format!("not ended after {LIMIT:?}: {said}"),
        Some(status) => format!("{status} after {:?}: {said}", ended.after),
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
                    let how = otherwise(ended);
                    self.complaints
                        .push(format!("{proof} is red without any bug: {how}"));
                }
            }
            return;
        };
        if let Some(what) = violation(ended, bug) {
            *self.found.entry(proof).or_default() += 1;
            let what: String = what.trim().chars().take(110).collect();
            println!("  {:<28} {proof:<11} red   {secs:>6.1} s  {what}", bug.name);
        } else if ended.missing().is_none() {
            let (name, does, how) = (bug.name, bug.does, otherwise(ended));
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
