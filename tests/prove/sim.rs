//! A small world around the pure core, played from a seed: nothing lost, nothing doubled, nothing shown that is not so.
//!
//! One thread, no real time. Parsing, deciding, planning, `next`, `apply`, rendering and the tree are the product's own.
//! The store is a book in memory, dispatch is written down a second time; every so many seeds the real store and the
//! real dispatch do the same beside them, and must agree on every answer.

mod book;
mod desk;
mod ground;
mod judge;
mod people;
mod postman;
mod rest;
mod target;
mod worker;
pub(crate) mod yard;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use midwatch::domain::{Catalog, Decided, Fact, Inbound, Manner, Outcome, RunEvent};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::ground::{Ground, Violation, Walked};
use self::judge::{Judge, one_holder};
use self::postman::Platform;
use self::target::Target;
use self::worker::{WORKERS, Worker};
use super::{Found, Round};

/// How much happens in a seed before everything comes to rest.
const MOVES: usize = 240;
/// How much may happen until then.
const MOST_MOVES: usize = 6_000;
/// One seed in so many has the real store beside the book.
const WITH_STORE: u64 = 25;
/// One seed in so many is played twice, to see that it is the same.
const TWICE: u64 = 100;
/// Commands are typed until there are so many.
const MOST_SAID: usize = 26;

/// The effects, after each of which the process may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum After {
    Received,
    Walked,
    Concluded,
    Claimed,
    Started,
    Executed,
    Ended,
    Interrupted,
    Finished,
    Released,
    BegunToDeliver,
    Sent,
    Delivered,
}

/// The proof: round n plays seed + n. Each seed is one thread's own; several threads share the seeds.
pub(crate) fn prove(round: Round) -> Found {
    let catalogs = yard::catalogs();
    let end = round.seed + u64::from(round.rounds);
    let (next, failed) = (AtomicU64::new(round.seed), Mutex::new(BTreeMap::new()));
    let sum = Mutex::new(Sum::default());
    let play_on = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= end || !failed.lock().unwrap().is_empty() {
                return;
            }
            let (end, world) = play(seed, &catalogs, false);
            match end {
                Ok(()) => sum.lock().unwrap().add(&world),
                Err(what) => drop(failed.lock().unwrap().insert(seed, what)),
            }
            if seed.is_multiple_of(TWICE) {
                let trace = || play(seed, &catalogs, true).1.trace;
                assert_eq!(trace(), trace(), "sim: seed {seed} does not replay");
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(play_on)));
    });
    if let Some((seed, what)) = failed.into_inner().unwrap().pop_first() {
        fail(seed, &what, &catalogs);
    }
    Found::Held(sum.into_inner().unwrap().in_words())
}

/// Plays it again, and tells all of it.
fn fail(seed: u64, what: &str, catalogs: &[Arc<Catalog>]) -> ! {
    let (again, world) = play(seed, catalogs, true);
    let trace = world.trace.unwrap_or_default().join("\n");
    let replays = if again.is_err_and(|again| again == what) {
        "it replays exactly"
    } else {
        "IT DOES NOT REPLAY"
    };
    panic!(
        "{trace}\n\nsim: violated with seed {seed}: {what}\n{replays}: cargo test --test prove -- sim --seed {seed} --rounds 1"
    );
}

/// Plays one seed, to its end or the first violation.
fn play(seed: u64, catalogs: &[Arc<Catalog>], traced: bool) -> (Result<(), Violation>, World<'_>) {
    let mut world = World::new(seed, catalogs, traced);
    let end = catch_unwind(AssertUnwindSafe(|| world.play()));
    let end = end.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        Err(format!("it panicked: {}", text.unwrap_or_default()))
    });
    (end, world)
}

struct World<'a> {
    random: StdRng,
    trace: Option<Vec<String>>,
    catalogs: &'a [Arc<Catalog>],
    revision: usize,
    /// The platform's clock, in milliseconds.
    true_ms: i64,
    /// How far ours is off.
    offset_ms: i64,
    /// At the end nothing fails, nobody types, no clock is wrong.
    calm: bool,
    ground: Ground,
    with_store: bool,
    target: Target,
    platform: Platform,
    deliveries: Vec<people::Delivery>,
    /// With the revision of the runbook that was asked.
    walked: Vec<(Inbound, Walked, usize)>,
    workers: [Worker; WORKERS.len()],
    under_way: Vec<postman::Delivery>,
    judge: Judge,
    said: usize,
    conflicts: usize,
    crashes: BTreeMap<After, usize>,
}

impl<'a> World<'a> {
    fn new(seed: u64, catalogs: &'a [Arc<Catalog>], traced: bool) -> Self {
        let true_ms = 1_790_000_000_000;
        let with_store = seed.is_multiple_of(WITH_STORE);
        let now = Timestamp::from_millisecond(true_ms).expect("a time of this century");
        Self {
            random: StdRng::seed_from_u64(seed),
            trace: traced.then(Vec::new),
            catalogs,
            revision: 0,
            true_ms,
            offset_ms: 0,
            calm: false,
            ground: Ground::new(with_store, now),
            with_store,
            target: Target::default(),
            platform: Platform::default(),
            deliveries: Vec::new(),
            walked: Vec::new(),
            workers: Default::default(),
            under_way: Vec::new(),
            judge: Judge::default(),
            said: 0,
            conflicts: 0,
            crashes: BTreeMap::new(),
        }
    }

    /// What our clock shows.
    fn now(&self) -> Timestamp {
        let ms = self.true_ms + self.offset_ms;
        Timestamp::from_millisecond(ms).expect("a time of this century")
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(what());
        }
    }

    fn play(&mut self) -> Result<(), Violation> {
        for _ in 0..MOVES {
            self.true_ms += self.random.random_range(0..150);
            let Some(after) = self.make_a_move()? else {
                continue;
            };
            one_holder(&self.ground.book)?;
            if self.random.random_bool(0.012) {
                *self.crashes.entry(after).or_default() += 1;
                self.crash();
            }
        }
        self.come_to_rest()?;
        self.judge_rest()
    }

    fn make_a_move(&mut self) -> Result<Option<After>, Violation> {
        match self.random.random_range(0..1_000) {
            0..60 if self.said < MOST_SAID => self.type_something(),
            60..130 if self.said < MOST_SAID => self.press_something(),
            130..260 => return self.hand_over(),
            260..460 => return self.dispatch(),
            460..720 => {
                let number = self.random.random_range(0..WORKERS.len());
                return self.work(number);
            }
            720..940 => return self.deliver(),
            940..955 => self.move_clocks(),
            955..965 => {
                self.revision = [0, 0, 0, 1, 2][self.random.random_range(0..5)];
                let revision = self.revision;
                self.note(|| format!("runbook {revision} is in force"));
            }
            965..980 => {
                let number = self.random.random_range(0..WORKERS.len());
                let worker = &mut self.workers[number];
                worker.paused = !worker.paused;
                let paused = worker.paused;
                self.note(|| format!("{} is paused: {paused}", WORKERS[number]));
            }
            980..985 => {
                let number = self.random.random_range(0..WORKERS.len());
                self.note(|| format!("{} dies", WORKERS[number]));
                self.workers[number].die();
            }
            985..1_000 => self.arrive_late(),
            _ => {}
        }
        Ok(None)
    }

    /// A request that nobody waits for any longer reaches its target.
    fn arrive_late(&mut self) {
        if !self.target.late.is_empty() {
            let chosen = self.random.random_range(0..self.target.late.len());
            let request = self.target.late.swap_remove(chosen);
            self.note(|| format!("{request:?} arrives"));
            self.target.happen(&request);
        }
    }

    /// The process ends without a word, and the next one starts.
    fn crash(&mut self) {
        self.note(|| "CRASH".to_owned());
        self.ground.crash(self.now());
        self.walked.clear();
        self.under_way.clear();
        self.workers.iter_mut().for_each(Worker::die);
        self.judge.crashed();
    }

    /// Nothing more is typed and nothing fails any more: everything has to end, for people settle what is in doubt.
    fn come_to_rest(&mut self) -> Result<(), Violation> {
        self.note(|| "from here on nothing fails".to_owned());
        self.calm = true;
        self.offset_ms = 0;
        while !self.target.late.is_empty() {
            self.arrive_late();
        }
        self.workers
            .iter_mut()
            .for_each(|worker| worker.paused = false);
        for _ in 0..MOST_MOVES {
            self.true_ms += 5;
            let mut moved = self.hand_over()?.is_some() | self.dispatch()?.is_some();
            for number in 0..WORKERS.len() {
                moved |= self.work(number)?.is_some();
            }
            moved |= self.deliver()?.is_some();
            one_holder(&self.ground.book)?;
            if !moved && !self.go_on() {
                return Ok(());
            }
        }
        Err("it does not come to rest".to_owned())
    }

    /// Nothing is due now: time passes until something is, or somebody settles a doubt. `false`: all is done.
    fn go_on(&mut self) -> bool {
        let ms = self.now().as_millisecond();
        if let Some(next) = self.ground.book.next_moment(self.now()) {
            self.true_ms += next.as_millisecond() - ms;
            return true;
        }
        let mut runs = self.ground.book.runs();
        let Some(doubt) = runs.find(|run| run.outcome() == Some(Outcome::NeedsAttention)) else {
            return false;
        };
        let reference = doubt.reference.to_string();
        drop(runs);
        let verdict = if self.random.random_bool(0.4) {
            "again"
        } else {
            self.truth(&reference)
        };
        let settle = format!("settle {reference} {verdict}");
        let lead = yard::leads(self.revision)[self.random.random_range(0..3)];
        self.say(lead, "C1", None, settle, Manner::Said);
        true
    }
}

/// What came of all seeds.
#[derive(Default)]
struct Sum {
    said: usize,
    entries: usize,
    /// What happened, by the ledger's words.
    happened: BTreeMap<&'static str, usize>,
    conflicts: usize,
    crashes: BTreeMap<After, usize>,
    with_store: usize,
}

impl Sum {
    fn add(&mut self, world: &World<'_>) {
        self.said += world.said;
        self.conflicts += world.conflicts;
        self.with_store += usize::from(world.with_store);
        for (after, count) in &world.crashes {
            *self.crashes.entry(*after).or_default() += count;
        }
        self.entries += world.ground.book.entries.len();
        for entry in &world.ground.book.entries {
            let word = match &entry.fact {
                Fact::Run { happened, .. } => match happened {
                    RunEvent::Finished { outcome, .. } => outcome.as_str(),
                    other => other.word(),
                },
                Fact::Decided { decision, .. } => match decision {
                    Decided::Allow => "allowed at once",
                    Decided::RequireApproval(_) => "needs consent",
                    Decided::Hold(_) => "held",
                    Decided::Deny(_) => "denied",
                },
                Fact::Refused { .. } => "refused",
                _ => continue,
            };
            *self.happened.entry(word).or_default() += 1;
        }
    }

    fn in_words(&self) -> String {
        format!(
            "{} inbounds, {} ledger entries: {:?}; {} conflicts; crashes after {:?}; {} of the seeds with the real store and \
             dispatch beside the described ones, the same at every step",
            self.said, self.entries, self.happened, self.conflicts, self.crashes, self.with_store
        )
    }
}
