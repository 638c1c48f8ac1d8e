//! One command with one step from its receipt to its end, against a bare fork and exec of the step and one fsync.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use midwatch::clock::Clock;
use midwatch::dispatch::Dispatch;
use midwatch::domain::{Inbound, Outcome, RunId};
use midwatch::engine::Engine;
use midwatch::engine::actions::{HttpClient, Steps, Surroundings};
use midwatch::engine::secrets::LocalSecrets;
use midwatch::store::{Receipt, Store, StoreSettings, WorkerId};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::files::{Home, Size, typed};
use super::measure::{Ratios, median, per_second, time};

const ONE_BY_ONE: usize = 50;
const AT_ONCE: usize = 64;
const ROUNDS: usize = 7;
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = Home::of_size(Size {
        projects: 1,
        rules: 20,
    });
    let bot = runtime.block_on(Bot::start(&home));
    let log = File::create(home.path("bare.log")).unwrap();
    one_by_one(&runtime, &bot, &log);
    all_at_once(&runtime, &bot, &log);
    runtime.block_on(bot.stop());
}

fn one_by_one(runtime: &Runtime, bot: &Bot, log: &File) {
    let (mut bare, mut took, mut commits, mut commands) = (Vec::new(), Vec::new(), 0, 0);
    let ratios = Ratios::of_speeds(
        ROUNDS,
        || {
            let spent = time(|| (0..ONE_BY_ONE).for_each(|_| run_barely(log)));
            bare.push(spent.as_secs_f64() / ONE_BY_ONE as f64);
            spent
        },
        || {
            let before = *bot.store.changes().borrow();
            let spent = time(|| {
                for _ in 0..ONE_BY_ONE {
                    runtime.block_on(bot.does(1));
                }
            });
            commits += *bot.store.changes().borrow() - before;
            commands += ONE_BY_ONE;
            took.push(spent.as_secs_f64() / ONE_BY_ONE as f64);
            spent
        },
    );
    let more = format!(
        "\n  {:.2} ms a command, bare {:.2} ms; {:.2} commits a command",
        median(&took) * 1e3,
        median(&bare) * 1e3,
        commits as f64 / commands as f64
    );
    ratios.print(
        "command, share of bare fork+exec+fsync, one after the other",
        &more,
    );
}

fn all_at_once(runtime: &Runtime, bot: &Bot, log: &File) {
    let (mut bare, mut speeds, mut commits, mut commands) = (Vec::new(), Vec::new(), 0, 0);
    let ratios = Ratios::of_speeds(
        ROUNDS,
        || {
            let spent = time(|| run_many_barely(log));
            bare.push(per_second(AT_ONCE, spent));
            spent
        },
        || {
            let before = *bot.store.changes().borrow();
            let spent = time(|| runtime.block_on(bot.does(AT_ONCE)));
            commits += *bot.store.changes().borrow() - before;
            commands += AT_ONCE;
            speeds.push(per_second(AT_ONCE, spent));
            spent
        },
    );
    let more = format!(
        "\n  {:.0} commands/s, bare {:.0}/s; {:.2} commits a command",
        median(&speeds),
        median(&bare),
        commits as f64 / commands as f64
    );
    ratios.print(
        &format!("command, share of bare fork+exec+fsync, {AT_ONCE} at once"),
        &more,
    );
}

/// What nobody can leave out: the program, and its mark on the disk.
fn run_barely(mut log: &File) {
    let status = Command::new("true")
        .stdin(Stdio::null())
        .status()
        .expect("`true` is in PATH");
    assert!(status.success());
    log.write_all(&[b'.'; 256]).unwrap();
    log.sync_data().unwrap();
}

/// The same by as many threads as there are cores: more would only wait.
fn run_many_barely(log: &File) {
    let left = AtomicUsize::new(AT_ONCE);
    let cores = std::thread::available_parallelism().unwrap().get();
    let take = || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while take().is_ok() {
                    run_barely(log);
                }
            });
        }
    });
}

/// Store, dispatch and engine as `serve` has them; nobody is told of anything.
pub(crate) struct Bot {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    stages: JoinSet<()>,
    stop: CancellationToken,
}

impl Bot {
    pub(crate) async fn start(home: &Home) -> Self {
        let clock = Clock::system();
        let settings = StoreSettings {
            url: format!("sqlite:{}", home.path("midwatch.db").display()),
            data: home.path("data"),
        };
        let store = Store::open(&settings, clock.now()).await.unwrap();
        let catalog = Arc::new(ArcSwap::from_pointee(home.catalog()));
        let dispatch = Dispatch {
            store: store.clone(),
            catalog,
            roster: None,
            clock: clock.clone(),
            mirrors_on: Vec::new(),
        };
        let path = std::env::var("PATH").unwrap_or_default();
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok(); // An error says that it is installed already.
        let engine = Engine {
            store: store.clone(),
            clock: clock.clone(),
            surroundings: Surroundings {
                secrets: Arc::new(LocalSecrets::new(&BTreeMap::new(), None)),
                directory: home.path(""),
                environment: Arc::new(BTreeMap::from([("PATH".to_owned(), path)])),
                http: HttpClient::new().unwrap(),
                supervisor: env!("CARGO_BIN_EXE_midwatch").into(),
            },
            steps: Steps::of(&home.path("data")).unwrap(),
            worker: WorkerId("bench".to_owned()),
            at_once: 32,
            drain: Duration::from_secs(1),
        };
        let (stop, mut stages) = (CancellationToken::new(), JoinSet::new());
        let cancel = stop.clone();
        stages.spawn(async move { dispatch.run(cancel).await });
        let cancel = stop.clone();
        stages.spawn(async move { engine.run(cancel).await });
        Self {
            store,
            clock,
            stages,
            stop,
        }
    }

    /// Commands, all received at the same time, until the last one has ended.
    async fn does(&self, count: usize) {
        let inbounds: Vec<Inbound> = (0..count).map(|_| typed(self.clock.now(), 0)).collect();
        let runs: Vec<RunId> = inbounds
            .iter()
            .map(|it| RunId::of_inbound(&it.key))
            .collect();
        let receiving = inbounds.into_iter().map(|it| self.store.receive(it));
        for receipt in join_all(receiving).await {
            assert_eq!(receipt.unwrap(), Receipt::New);
        }
        let mut changes = self.store.changes();
        // One looks for all, one after the other: looking must not cost more than doing.
        for run in runs {
            let outcome = tokio::time::timeout(PATIENCE, self.outcome(run, &mut changes))
                .await
                .expect("the run ended in time");
            assert_eq!(outcome, Outcome::Succeeded);
        }
    }

    async fn outcome(&self, run: RunId, changes: &mut watch::Receiver<u64>) -> Outcome {
        loop {
            changes.mark_unchanged();
            let found = self.store.run(run).await.unwrap();
            if let Some(outcome) = found.and_then(|run| run.outcome()) {
                return outcome;
            }
            changes.changed().await.unwrap();
        }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while self.stages.join_next().await.is_some() {}
        self.store.close().await;
    }
}
