//! Verifying a ledger of 10,000, 100,000 and 1,000,000 entries, as an export and in place, against the two things that
//! nobody can leave out: SHA-256 of every line, and reading it as JSON.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use midwatch::clock::Clock;
use midwatch::domain::{Fact, InboundKey, Reference, RunEvent, RunId, StepResult};
use midwatch::store::Store;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};

use super::engines::{Engine, open};
use super::files::Home;
use super::measure::{Ratios, median, per_second, time};
use super::process::MIDWATCH;

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
/// Entries of one run, as many as a run of one step has; a checkpoint follows them.
const OF_A_RUN: usize = 5;
/// Runs whose entries are committed together.
const TOGETHER: usize = 100;
const ROUNDS: usize = 3;
/// What is promised for an export of a million.
const PROMISED: Duration = Duration::from_secs(10);

pub(crate) fn run() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for size in SIZES {
        let home = Home::new();
        let export = home.path("export");
        runtime.block_on(async {
            let url = Engine::Sqlite.database(&home, "midwatch.db").await;
            let store = open(&home, &url, Clock::system().now()).await;
            fill(&store, size).await;
            store
                .export(std::fs::File::create(&export).unwrap())
                .await
                .unwrap();
            store.close().await;
        });
        let took = against_bare(
            &home,
            size,
            "an export",
            &["ledger", "verify", "export"],
            &export,
        );
        // The optimised program alone is promised to be so fast.
        assert!(
            cfg!(debug_assertions) || size < 1_000_000 || took <= PROMISED,
            "{size} entries took {took:?}, longer than {PROMISED:?}"
        );
        against_bare(&home, size, "in place", &["ledger", "verify"], &export);
    }
}

/// Real entries, real checkpoints: one for each run, as the store keeps them.
async fn fill(store: &Store, size: usize) {
    let now = Clock::system().now();
    let runs = size / OF_A_RUN;
    for first in (0..runs).step_by(TOGETHER) {
        let writes = (first..runs.min(first + TOGETHER)).map(|n| async move {
            let recorded = store.record(facts(n), Vec::new(), now);
            // They are asked for in this order, and one writer does them in order.
            let (recorded, sealed) = tokio::join!(biased; recorded, store.checkpoint(now));
            recorded.unwrap();
            sealed.unwrap();
        });
        join_all(writes).await;
    }
}

fn facts(n: usize) -> Vec<Fact> {
    let inbound = InboundKey::new(&["slack", "T0BENCH", "command", &n.to_string()]);
    let run = RunId::of_inbound(&inbound);
    let reference = Reference::parse(&run.reference(6).to_string()).unwrap();
    let happened = |happened| Fact::Run {
        run,
        reference: reference.clone(),
        happened,
    };
    let started = RunEvent::StepStarted {
        position: 0,
        step: "nothing".parse().unwrap(),
        attempt: 1,
    };
    let ended = RunEvent::StepEnded {
        position: 0,
        step: "nothing".parse().unwrap(),
        attempt: 1,
        result: StepResult::Succeeded {
            note: "exit code 0".to_owned(),
        },
        elapsed_ms: 7,
        output_sha256: None,
    };
    let finished = RunEvent::Finished {
        outcome: midwatch::domain::Outcome::Succeeded,
        elapsed_ms: 20,
    };
    let service = |now: &str| Fact::Service {
        now: now.to_owned(),
        version: inbound.as_str().to_owned(),
    };
    vec![
        service("stands for what was received"),
        service(
            "stands for what was decided, which is longer: who, in which groups, what, by which rule",
        ),
        happened(started),
        happened(ended),
        happened(finished),
    ]
}

/// Answers how long the program took, at the median.
fn against_bare(
    home: &Home,
    size: usize,
    what: &str,
    arguments: &[&str],
    export: &Path,
) -> Duration {
    let mut took = Vec::new();
    let ratios = Ratios::of_speeds(
        ROUNDS,
        || time(|| read_barely(export)),
        || {
            let spent = time(|| verify(home, arguments));
            took.push(spent.as_secs_f64());
            spent
        },
    );
    let median = Duration::from_secs_f64(median(&took));
    let more = format!(
        "\n    {size} entries in {:.2} s, {:.0} entries/s",
        median.as_secs_f64(),
        per_second(size, median)
    );
    ratios.print(
        &format!("verify {what}, share of bare SHA-256 and JSON, {size} entries"),
        &more,
    );
    median
}

/// The program as people run it, its start included.
fn verify(home: &Home, arguments: &[&str]) {
    let mut command = Command::new(MIDWATCH);
    let status = command
        .args(arguments)
        .env_clear()
        .current_dir(home.path(""))
        .env("MIDWATCH_DATA", home.path("data"))
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "the ledger is sound");
}

fn read_barely(export: &Path) {
    let mut reader = BufReader::new(std::fs::File::open(export).unwrap());
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).unwrap() > 0 {
        black_box(Sha256::digest(&line));
        black_box(serde_json::from_slice::<IgnoredAny>(&line).unwrap());
        line.clear();
    }
}
