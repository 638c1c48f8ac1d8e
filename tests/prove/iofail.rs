//! The k-th write, fsync or allocation of disk space fails: midwatch does nothing, says so, and goes on by itself.
//!
//! The real program on a disk that fails on request (`iofail/fail.c`, loaded before libc), at every call in turn: of the
//! first start, of a start on what a killed process left, of a mixed workload, of a stop. It fails once or for a while,
//! in six ways. The seed fixes which calls; what the machine makes of the workload differs from run to run.

mod crowd;
mod disk;
mod judge;
mod serving;
mod starting;
mod yard;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use self::disk::{Library, TROUBLES, Trouble};
use self::serving::Yard;
use self::starting::Starts;
use super::{Found, Round};
use crate::bot::Home;

/// Which calls are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Of a start on an empty folder.
    FirstStart,
    /// Of a start on what a killed process left.
    LaterStart,
    /// Of a stop.
    Stop,
    /// Of the workload, which goes on.
    Serving,
    /// Of the workload, for longer than a lease lasts.
    LongServing,
    /// Of the workload, until midwatch is killed.
    Killed,
}

/// In this order rounds are taken, as long as each place has calls that were not tried; one that takes long is enough
/// in so many.
const TURNS: [Place; 8] = [
    Place::Serving,
    Place::FirstStart,
    Place::Killed,
    Place::Serving,
    Place::LaterStart,
    Place::Serving,
    Place::Killed,
    Place::Stop,
];
const ONE_LONG_IN: usize = 40;
/// Some of them wait for a process now and then.
const WORKERS: usize = 6;

/// One round.
#[derive(Debug, Clone)]
struct Plan {
    place: Place,
    k: u64,
    trouble: Trouble,
    /// All calls from the k-th on fail for a while, or that one alone.
    lasting: bool,
    /// Standard error is a file on the same disk.
    log: bool,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            k,
            trouble,
            lasting,
            log,
        } = self;
        let calls = if *lasting { "calls from" } else { "call" };
        let log = if *log { ", the log's too" } else { "" };
        write!(f, "{place:?}, {calls} {k}, {trouble:?}{log}")
    }
}

/// What was seen in one home.
#[derive(Default)]
struct Seen {
    complaints: Vec<String>,
    typed: usize,
    refusals: usize,
    /// How often `/readyz` said no, and why.
    noes: usize,
    /// Starts and stops that made fewer calls.
    unmet: usize,
    longest: Duration,
    ready_again: Duration,
    settled_after: Duration,
    entries: u64,
    outcomes: BTreeMap<&'static str, usize>,
}

/// How far all tracks together are: a large run takes more than an hour.
struct Progress {
    began: Instant,
    of: usize,
    done: AtomicUsize,
}

impl Progress {
    /// One round is done; every hundredth is told.
    fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(100) {
            let (of, secs) = (self.of, self.began.elapsed().as_secs());
            println!("iofail: {done} of {of} rounds after {secs} s");
        }
    }
}

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let library = match Library::build() {
        Ok(library) => Arc::new(library),
        Err(missing) => return Found::Missing(missing),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(fail_and_look(round, &library))
}

async fn fail_and_look(round: Round, library: &Arc<Library>) -> Found {
    let mut random = StdRng::seed_from_u64(round.seed);
    let left = tempfile::tempdir().expect("a temporary folder");
    let mut living = Yard::open(library, false).await;
    if living.disk.calls() == 0 {
        return Found::Missing("a midwatch that asks glibc to write its files".to_owned());
    }
    let mut other = StdRng::seed_from_u64(random.random());
    let (workload, (killed, starts, first, later, stop)) =
        tokio::join!(living.rehearse(&mut random), async {
            let mut killed = Yard::open(library, true).await;
            killed.copy_amid_work(left.path(), &mut other).await;
            let starts = Starts::new(Arc::clone(library), left);
            let (first, later, stop) = starts.rehearse().await;
            (killed, starts, first, later, stop)
        });
    let kinds = living.disk.kinds();
    let patient = Yard::open(library, false).await;
    // Rounded up, so that a seed means much the same calls each time.
    let calls = [
        (Place::FirstStart, first),
        (Place::LaterStart, later),
        (Place::Stop, stop),
        (Place::Serving, workload),
        (Place::Killed, workload),
        (Place::LongServing, workload),
    ]
    .map(|(place, calls)| (place, calls.next_multiple_of(50)));
    let plans = plans(&calls, round.rounds, &mut random);
    let of = |places: &[Place]| -> Vec<Plan> {
        let wanted = plans.iter().filter(|plan| places.contains(&plan.place));
        wanted.cloned().collect()
    };
    let seed: u64 = random.random();
    let progress = Arc::new(Progress {
        began: Instant::now(),
        of: plans.len(),
        done: AtomicUsize::new(0),
    });
    let mut tracks = JoinSet::new();
    for (yard, place) in [
        (living, Place::Serving),
        (patient, Place::LongServing),
        (killed, Place::Killed),
    ] {
        tracks.spawn(yard.live_through(
            Arc::clone(library),
            of(&[place]),
            seed,
            Arc::clone(&progress),
        ));
    }
    let started = of(&[Place::FirstStart, Place::LaterStart, Place::Stop]);
    tracks.spawn(starts.live_through(started, progress));
    let seen: Vec<Seen> = tracks.join_all().await.into_iter().flatten().collect();
    let complaints: Vec<String> = seen.iter().flat_map(|it| it.complaints.clone()).collect();
    assert!(
        complaints.is_empty(),
        "{} complaints, seed {}:\n- {}",
        complaints.len(),
        round.seed,
        complaints[..complaints.len().min(20)].join("\n- ")
    );
    Found::Held(sum_up(&calls, &kinds, &plans, &seen))
}

/// Each place's calls in an order of the seed, each once before any comes again: the short places' all together.
fn plans(calls: &[(Place, u64)], rounds: u32, random: &mut StdRng) -> Vec<Plan> {
    fn shuffled(last: u64, random: &mut StdRng) -> Vec<u64> {
        let mut all: Vec<u64> = (1..=last).collect();
        all.shuffle(random);
        all
    }
    let mut untried: BTreeMap<Place, Vec<u64>> = calls
        .iter()
        .map(|(place, last)| (*place, shuffled(*last, random)))
        .collect();
    let mut turns = TURNS.iter().cycle();
    let mut plans = Vec::new();
    while plans.len() < rounds as usize {
        let long = plans.len() % ONE_LONG_IN == 0;
        let of_kind = |place: Place| (place == Place::LongServing) == long;
        let mut left = untried.iter().filter(|(place, _)| of_kind(**place));
        if left.all(|(_, left)| left.is_empty()) {
            for (place, last) in calls.iter().filter(|(place, _)| of_kind(*place)) {
                untried.insert(*place, shuffled(*last, random));
            }
        }
        let place = if long {
            Place::LongServing
        } else {
            *turns.next().expect("a cycle does not end")
        };
        let Some(k) = untried.get_mut(&place).and_then(Vec::pop) else {
            continue;
        };
        plans.push(Plan {
            place,
            k,
            trouble: *TROUBLES.choose(random).expect("there are some"),
            lasting: long || random.random_bool(0.6),
            log: random.random_bool(0.3),
        });
    }
    plans
}

/// What a subcommand says on this home, whose disk works for it; whether it succeeded.
fn told(home: &Home, arguments: &[&str]) -> (bool, String) {
    let mut command = home.command(arguments);
    command.env_remove("LD_PRELOAD");
    let output = tokio::task::block_in_place(|| command.output()).expect("midwatch starts");
    let error = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    (output.status.success(), format!("{said}{error}"))
}

/// Whether a text says that it is the disk.
fn says_why(text: &str) -> bool {
    ["can't be written", "does not confirm the change"]
        .iter()
        .any(|words| text.contains(words))
}

fn sum_up(calls: &[(Place, u64)], kinds: &str, plans: &[Plan], seen: &[Seen]) -> String {
    let tried: Vec<String> = calls
        .iter()
        .map(|(place, last)| {
            let mut tried: Vec<u64> = plans
                .iter()
                .filter(|plan| plan.place == *place)
                .map(|plan| plan.k)
                .collect();
            tried.sort_unstable();
            tried.dedup();
            let shown: Vec<String> = tried.iter().take(8).map(u64::to_string).collect();
            let more = if tried.len() > 8 { " …" } else { "" };
            format!(
                "{place:?} {} of {last} ({}{more})",
                tried.len(),
                shown.join(" ")
            )
        })
        .collect();
    let sum = |of: fn(&Seen) -> usize| seen.iter().map(of).sum::<usize>();
    let longest = |of: fn(&Seen) -> Duration| seen.iter().map(of).max().unwrap_or_default();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for (outcome, count) in seen.iter().flat_map(|it| &it.outcomes) {
        *outcomes.entry(outcome).or_default() += count;
    }
    format!(
        "calls tried: {} ({} starts and stops did not come to theirs); a start and the workload make {kinds}; {} commands typed, {} deliveries refused, /readyz said no {} times; \
         longest answer {} ms, ready again after at most {} ms, all settled after {} ms; runs {outcomes:?}; {} ledger entries",
        tried.join(", "),
        sum(|it| it.unmet),
        sum(|it| it.typed),
        sum(|it| it.refusals),
        sum(|it| it.noes),
        longest(|it| it.longest).as_millis(),
        longest(|it| it.ready_again).as_millis(),
        longest(|it| it.settled_after).as_millis(),
        seen.iter().map(|it| it.entries).sum::<u64>(),
    )
}
