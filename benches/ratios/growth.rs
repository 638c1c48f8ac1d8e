//! What one piece of work costs while 100, 1,000 and 10,000 wait, and after as many have been done: it must not grow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use jiff::Timestamp;
use midwatch::clock::Clock;
use midwatch::dispatch::Dispatch;
use midwatch::domain::Platform;
use midwatch::engine::LEASE;
use midwatch::store::{RunFilter, Store, WorkerId};
use tokio::runtime::Runtime;

use super::engines::{Engine, Raw, open};
use super::files::{Home, Size, project, typed};
use super::measure::{Ratios, median};

const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// Threads are spread over so many channels.
const CHANNELS: usize = 50;
/// Deliveries that arrive together.
const WAVE: usize = 256;
const ROUNDS: usize = 7;
/// Pieces of work in a round.
const PIECES: usize = 20;

pub(crate) fn run() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for engine in Engine::all() {
        println!("  {}: {SIZES:?} waiting", engine.name());
        let bases = SIZES.map(|size| runtime.block_on(Base::with_waiting(engine, size)));
        for (what, cost) in [
            ("a batch received", Piece::Receive),
            ("a look for inbounds that wait", Piece::Inbounds),
            ("a run claimed", Piece::Claim),
            ("a look for postings that are due", Piece::Due),
            ("the newest runs listed", Piece::Newest),
            ("the runs of one project listed", Piece::OfProject),
            ("the open runs listed", Piece::Open),
            ("the threads to read listed", Piece::Threads),
        ] {
            compare(&runtime, &bases, what, cost);
        }
        println!("  {}: {SIZES:?} done", engine.name());
        for base in &bases {
            runtime.block_on(base.conclude_all());
        }
        for (what, cost) in [
            ("a batch received", Piece::Receive),
            ("a look for inbounds, none waits", Piece::Inbounds),
            ("a look for runs, none is due", Piece::Claim),
            ("a look for postings, none is due", Piece::Due),
            ("the open runs listed, there is none", Piece::Open),
            ("the open runs counted", Piece::Count),
            ("the threads to read listed, there is none", Piece::Threads),
            ("the store opened", Piece::Opening),
        ] {
            compare(&runtime, &bases, what, cost);
        }
        for base in bases {
            runtime.block_on(base.store.close());
        }
    }
}

fn compare(runtime: &Runtime, bases: &[Base; 3], what: &str, piece: Piece) {
    let mut took = [Vec::new(), Vec::new(), Vec::new()];
    let mut round = |n: usize| {
        let spent = runtime.block_on(bases[n].does(piece));
        took[n].push(spent.as_secs_f64() * 1e6 / piece.times() as f64);
        spent
    };
    // Two pairs, and both small ones are measured anew: a machine changes its mind.
    let round = std::cell::RefCell::new(&mut round);
    let tenfold = Ratios::of_speeds(ROUNDS, || round.borrow_mut()(0), || round.borrow_mut()(1));
    let hundredfold = Ratios::of_speeds(ROUNDS, || round.borrow_mut()(0), || round.borrow_mut()(2));
    let [one, ten, hundred] = took.map(|took| median(&took));
    tenfold.print(&format!("{what}, speed with 10 times to 1"), "");
    hundredfold.print(
        &format!("{what}, speed with 100 times to 1"),
        &format!("\n    {one:.0} µs, {ten:.0} µs, {hundred:.0} µs each"),
    );
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Receive,
    Inbounds,
    Claim,
    Due,
    Newest,
    OfProject,
    Open,
    Count,
    Threads,
    Opening,
}

impl Piece {
    /// How often it is done in a round.
    fn times(self) -> usize {
        if self == Self::Opening { 3 } else { PIECES }
    }
}

/// A store with things in it.
struct Base {
    home: Home,
    url: String,
    store: Store,
    clock: Clock,
}

impl Base {
    /// As many commands were received and walked, and nothing further was done: as many runs are open, and as many threads
    /// to be told. Every run was asked for twice, and the second time waits to be walked.
    async fn with_waiting(engine: Engine, size: usize) -> Self {
        let home = Home::of_size(Size {
            projects: CHANNELS,
            rules: 1,
        });
        let clock = Clock::system();
        let url = engine.database(&home, "growth.db").await;
        let store = open(&home, &url, clock.now()).await;
        let base = Self {
            home,
            url,
            store,
            clock,
        };
        let dispatch = Dispatch {
            store: base.store.clone(),
            catalog: Arc::new(ArcSwap::from_pointee(base.home.catalog())),
            roster: None,
            clock: base.clock.clone(),
            mirrors_on: Vec::new(),
        };
        let began = Instant::now();
        base.receive(size).await;
        let received = began.elapsed();
        let began = Instant::now();
        while dispatch.dispatch_waiting().await.unwrap() > 0 {}
        let walked = began.elapsed();
        base.receive(size).await;
        let each = |all: Duration| all.as_secs_f64() * 1e6 / size as f64;
        println!(
            "    a backlog of {size}: {:.0} µs each to receive, {:.0} µs each to walk",
            each(received),
            each(walked)
        );
        base
    }

    async fn receive(&self, count: usize) {
        let mut number = 0;
        while number < count {
            let wave = WAVE.min(count - number);
            let now = self.now();
            let all = (number..number + wave).map(|n| self.store.receive(typed(now, n % CHANNELS)));
            for receipt in join_all(all).await {
                receipt.unwrap();
            }
            number += wave;
        }
    }

    /// Everything was done long ago.
    async fn conclude_all(&self) {
        let mut raw = Raw::to(&self.url).await;
        raw.run(
            "update inbound set concluded_at = 1, conclusion = 'answered', body = null where concluded_at is null;
             update runs set phase = 'finished', outcome = 'succeeded', finished_at = 1, due_at = null, holds_lock = 0,
                             leased_by = null, leased_until = null;
             delete from outbox where kind <> 'root';
             update outbox set state = 'delivered', delivered_version = version, message = '1.1'",
        )
        .await;
        let tidy = if self.url.starts_with("sqlite:") {
            "analyze"
        } else {
            "vacuum analyze"
        };
        raw.run(tidy).await;
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Does a round of it, and answers how long that took.
    async fn does(&self, piece: Piece) -> Duration {
        let mut spent = Duration::ZERO;
        for n in 0..piece.times() {
            spent += self.does_once(piece, n).await;
        }
        spent
    }

    async fn does_once(&self, piece: Piece, n: usize) -> Duration {
        let (store, now) = (&self.store, self.now());
        let list = async |filter: RunFilter| drop(store.runs(&filter).await.unwrap());
        let began = Instant::now();
        match piece {
            Piece::Receive => self.receive_and_forget(now).await,
            Piece::Inbounds => drop(store.waiting_inbounds(now, 256).await.unwrap()),
            Piece::Claim => return self.claim(now).await,
            Piece::Due => drop(store.due_postings(Platform::Slack, now, 64).await.unwrap()),
            Piece::Newest => list(filter(false, None)).await,
            Piece::OfProject => list(filter(false, Some(n % CHANNELS))).await,
            Piece::Open => list(filter(true, None)).await,
            Piece::Count => drop(store.runs_open().await.unwrap()),
            Piece::Threads => {
                let since = Timestamp::from_millisecond(2).unwrap();
                drop(store.run_threads(Platform::Slack, since, 20).await.unwrap());
            }
            Piece::Opening => return self.open_again().await,
        }
        began.elapsed()
    }

    /// Half of them are known: they stay as many as they are, but for a few.
    async fn receive_and_forget(&self, now: Timestamp) {
        let new: Vec<_> = (0..8).map(|n| typed(now, n)).collect();
        let all = new.iter().chain(&new).cloned();
        for receipt in join_all(all.map(|inbound| self.store.receive(inbound))).await {
            receipt.unwrap();
        }
    }

    /// The lease is handed back, outside of the measured time.
    async fn claim(&self, now: Timestamp) -> Duration {
        let worker = WorkerId("bench".to_owned());
        let began = Instant::now();
        let claimed = self.store.claim_run(&worker, &[], now, LEASE).await;
        let spent = began.elapsed();
        if let Some((lease, _)) = claimed.unwrap() {
            self.store.release_lease(&lease, now).await.unwrap();
        }
        spent
    }

    /// Another process's, on a folder of its own with the same key; on SQLite the database is copied.
    async fn open_again(&self) -> Duration {
        let other = Home::new();
        std::fs::create_dir_all(other.path("data")).unwrap();
        let data = self.home.path("data");
        std::fs::copy(data.join("ledger.key"), other.path("data/ledger.key")).unwrap();
        let mut url = self.url.clone();
        if url.starts_with("sqlite:") {
            let copy = other.path("data/growth.db");
            let mut raw = Raw::to(&self.url).await;
            raw.run(&format!("vacuum into '{}'", copy.display())).await;
            url = format!("sqlite:{}", copy.display());
        }
        let began = Instant::now();
        let store = open(&other, &url, self.now()).await;
        let spent = began.elapsed();
        store.close().await;
        spent
    }
}

fn filter(open: bool, of: Option<usize>) -> RunFilter {
    RunFilter {
        project: of.map(|number| project(number).parse().unwrap()),
        open,
        limit: 15,
    }
}
