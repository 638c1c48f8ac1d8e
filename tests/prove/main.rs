//! Proofs: `cargo test --test prove -- NAME [--rounds N] [--seed S]`. Without a name, small rounds of all of them.
//!
//! Each prints what it checked, its rounds, its seed, and the bound that the rounds give.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a proof ends by panicking, and says what it found"
)]
#![allow(
    clippy::assigning_clones,
    clippy::cast_precision_loss,
    clippy::format_collect,
    clippy::needless_pass_by_value,
    clippy::nonminimal_bool,
    clippy::print_stderr,
    clippy::ref_option,
    clippy::type_complexity,
    clippy::unnecessary_to_owned,
    clippy::unused_async,
    clippy::unused_self,
    reason = "what matters here is that a check can be read; none of this costs anybody anything"
)]

mod approve;
mod argv;
#[path = "../it/bot.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "shared with the stories, which use the rest; it starts the program under test"
)]
mod bot;
mod canary;
mod clock;
#[path = "../it/cluster.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the stories, which use the rest"
)]
mod cluster;
mod dbdown;
mod dup;
#[path = "../it/fakes/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the stories, which use the rest"
)]
mod fakes;
mod forge;
mod gap;
mod hostileout;
mod iofail;
mod kill9;
mod lab;
mod lanes;
mod malformed;
mod office;
mod partition;
mod planted;
mod policy;
mod proxy;
mod races;
mod reconnect;
mod sim;
mod ssrf;
mod standin;
mod storm429;
mod tamper;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

/// What a proof is run with.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// How many rounds; what a round is, the proof's name in [`PROOFS`] says.
    pub rounds: u32,
    /// Makes the same choices again.
    pub seed: u64,
}

impl Round {
    /// The rounds shared between Slack and Discord; at least one for each.
    pub(crate) fn shared(self) -> [Self; 2] {
        let half = self.rounds / 2;
        [self.rounds - half, half.max(1)].map(|rounds| Self { rounds, ..self })
    }
}

/// What came of a proof that did not find a violation; one that finds some panics and names them.
pub enum Found {
    /// It holds: what was done and looked at, in one line.
    Held(String),
    /// Not proven here: what it needs is not there. Counts as failed under `CI=true`, but for
    /// [`MAY_BE_MISSING`].
    Missing(String),
}

/// A proof, and how it is run.
struct Proof {
    name: &'static str,
    /// What one round is.
    round: &'static str,
    /// Rounds of a plain `cargo test`.
    small: u32,
    prove: fn(Round) -> Found,
}

/// Those that wait stand first, those that compute last: two are run side by side, from both ends.
const PROOFS: &[Proof] = &[
    proof("partition", "troubles", 6, partition::prove),
    proof("dbdown", "outages", 3, dbdown::prove),
    proof("dup", "commands", 16, dup::prove),
    proof("argv", "values", 200, argv::prove),
    proof("canary", "secrets", 8, canary::prove),
    proof("iofail", "calls that fail", 16, iofail::prove),
    proof("kill9", "kills", 6, kill9::prove),
    proof("clock", "walks of the clock", 200, clock::prove),
    proof("gap", "gaps", 4, gap::prove),
    proof("ssrf", "addresses", 300, ssrf::prove),
    proof("reconnect", "troubles of connections", 30, reconnect::prove),
    proof("storm429", "times 10 s of storm", 1, storm429::prove),
    proof("sim", "seeds", 1_000, sim::prove),
    proof("tamper", "mutants", 64, tamper::prove),
    proof("hostileout", "outputs", 300, hostileout::prove),
    proof("malformed", "mutants", 800, malformed::prove),
    proof("races", "races", 60, races::prove),
    proof("approve", "sequences", 300, approve::prove),
    proof("policy", "questions", 40_000, policy::prove),
    proof("may", "questions", 1_000, policy::may::prove),
    proof("forge", "forged requests", 1_000, forge::prove),
    proof("planted", "bugs put back", planted::COUNT, planted::prove),
];

/// How long the small rounds of one proof may take.
const SMALL_LIMIT: Duration = Duration::from_mins(8);
/// A runtime for proofs on several platforms at once: whoever starts a program or a client holds a thread up for a while,
/// and the platforms must answer all the same.
pub(crate) fn busy_runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(8).enable_all().build();
    runtime.expect("a runtime")
}

/// What this program is when a proof starts it as something else: `prove --as PART ARGUMENT…`.
const PARTS: &[(&str, fn(&[OsString]))] = &[
    ("record", argv::record),
    ("utter", canary::utter),
    ("panic", canary::panic_aloud),
    ("ssrf", ssrf::inside),
    ("discord", standin::discord),
];

/// One needs a network of its own, which not every machine lets its tests have; the other a build that is not for use.
/// All else can be installed.
const MAY_BE_MISSING: [&str; 2] = ["ssrf", "planted"];

const fn proof(
    name: &'static str,
    round: &'static str,
    small: u32,
    prove: fn(Round) -> Found,
) -> Proof {
    Proof {
        name,
        round,
        small,
        prove,
    }
}

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default(); // The first in this process.
    let given: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [first, part, arguments @ ..] = given.as_slice()
        && first == "--as"
    {
        let part = PARTS.iter().find(|(name, _)| part == name);
        part.expect("a part of this program").1(arguments);
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let position = arguments.iter().position(|argument| argument == name)?;
        arguments.get(position + 1)?.parse::<u64>().ok()
    };
    // What cargo hands to every test binary (`--nocapture`, a filter for other binaries) is none of ours.
    let named: Vec<&Proof> = PROOFS
        .iter()
        .filter(|proof| arguments.iter().any(|argument| argument == proof.name))
        .collect();
    let wanted = arguments
        .iter()
        .find(|argument| !argument.starts_with('-') && argument.parse::<u64>().is_err());
    if let (Some(wanted), true) = (wanted, named.is_empty())
        && wanted != "all"
    {
        let names: Vec<&str> = PROOFS.iter().map(|proof| proof.name).collect();
        println!(
            "there is no proof `{wanted}`; there are {}",
            names.join(", ")
        );
        println!("0 passed, 0 failed");
        // `cargo test FILTER` hands its filter to every binary: that must not fail this one.
        return ExitCode::SUCCESS;
    }
    let seed = option("--seed").unwrap_or_else(|| rand::random::<u32>().into());
    let rounds = option("--rounds").and_then(|rounds| u32::try_from(rounds).ok());
    let tally = if named.is_empty() {
        side_by_side(rounds, seed)
    } else {
        let mut tally = Tally::default();
        for proof in named {
            if run(proof, rounds.unwrap_or(proof.small).max(1), seed) {
                tally.passed += 1;
            } else {
                tally.missing.push(proof.name);
            }
        }
        tally
    };
    tally.conclude()
}

/// What came of all.
#[derive(Default)]
struct Tally {
    passed: usize,
    missing: Vec<&'static str>,
    failed: Vec<&'static str>,
}

impl Tally {
    fn conclude(self) -> ExitCode {
        let (passed, missing, failed) = (self.passed, self.missing.len(), self.failed.len());
        println!("{passed} passed, {missing} not proven here, {failed} failed");
        if failed > 0 {
            println!("failed: {}", self.failed.join(", "));
        }
        let needed = |name: &&str| !MAY_BE_MISSING.contains(name);
        if failed > 0 || (is_ci() && self.missing.iter().any(needed)) {
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }
}

/// All of them, each in a process of its own. What each says is shown when it has ended.
fn side_by_side(rounds: Option<u32>, seed: u64) -> Tally {
    let limit = rounds.map_or(SMALL_LIMIT, |_| Duration::MAX);
    let tally = Mutex::new(Tally::default());
    lanes::side_by_side(PROOFS.iter().collect(), |proof| {
        let rounds = rounds.unwrap_or(proof.small).max(1);
        println!("{}: begun", proof.name);
        let ended = lanes::run(proof.name, rounds, seed, None, limit);
        let mut tally = tally.lock().unwrap();
        let own_tally = |line: &&str| line.contains(" passed, ") && line.ends_with(" failed");
        for line in ended.said.lines().filter(|line| !own_tally(line)) {
            println!("{line}");
        }
        if ended.is_green() {
            tally.passed += 1;
        } else if ended.missing().is_some() {
            tally.missing.push(proof.name);
        } else {
            if ended.status.is_none() {
                println!("{}: not ended after {limit:?}", proof.name);
            }
            tally.failed.push(proof.name);
        }
    });
    tally.into_inner().unwrap()
}

/// Whether nothing may be passed over.
#[expect(
    clippy::disallowed_methods,
    reason = "says how strict the proofs are, not what midwatch does"
)]
fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
}

/// Whether it was proven. A proof that finds a violation doesn't return.
fn run(proof: &Proof, rounds: u32, seed: u64) -> bool {
    let Proof { name, round, .. } = proof;
    println!("{name}: {rounds} {round}, seed {seed}");
    let began = std::time::Instant::now();
    match (proof.prove)(Round { rounds, seed }) {
        Found::Held(what) => {
            println!("{name}: {what}");
            println!(
                "{name}: 0 failures in {rounds} {round}: below {:.2} % at 95 % confidence ({} s)",
                bound(rounds),
                began.elapsed().as_secs()
            );
            true
        }
        Found::Missing(what) => {
            println!("{name}: NOT PROVEN: {what}");
            false
        }
    }
}

/// The share of failures, in percent, that so many rounds without one rule out at 95 % confidence: the exact form of
/// the rule of three, which says nothing sensible of fewer than ten rounds.
fn bound(rounds: u32) -> f64 {
    100.0 * (1.0 - 0.05_f64.powf(1.0 / f64::from(rounds)))
}
