//! From the start of a midwatch that was killed: until it is ready, and until each of 100, 1,000 and 10,000 open runs was
//! looked at and has gone on. Nine of ten were amid a `once` step, and are shown as unknown; one does its step again.

use std::time::{Duration, Instant};

use midwatch::clock::Clock;
use midwatch::domain::{RunEvent, RunId};
use midwatch::engine::LEASE;
use midwatch::store::{Store, WorkerId};

use super::engines::{Engine, Raw, open};
use super::files::{Home, Size, typed};
use super::measure::{median, per_second};
use super::process::Process;

const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// The smallest is measured so often, beside each of the others.
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(290);

pub(crate) fn run() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for engine in Engine::all() {
        let mut each = Vec::new();
        for size in SIZES {
            let rounds = if size == SIZES[2] { 1 } else { ROUNDS };
            let (mut ready, mut done) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                let (to_ready, to_done) = runtime.block_on(recover(engine, size));
                ready.push(to_ready.as_secs_f64());
                done.push(to_done.as_secs_f64());
            }
            let (ready, done) = (median(&ready), median(&done));
            each.push(done / size as f64);
            println!(
                "  recovery, {}, {size} open runs: ready after {ready:.2} s, all have gone on after {done:.1} s: {:.2} ms each, {:.0}/s (median of {rounds})",
                engine.name(),
                done / size as f64 * 1e3,
                per_second(size, Duration::from_secs_f64(done)),
            );
        }
        println!(
            "  recovery, {}, speed for each run with 10 times to 1: {:.3}, with 100 times to 1: {:.3}",
            engine.name(),
            each[0] / each[1],
            each[0] / each[2]
        );
    }
}

async fn recover(engine: Engine, size: usize) -> (Duration, Duration) {
    let home = Home::of_size(Size {
        projects: 1,
        rules: 1,
    });
    let url = engine.database(&home, "midwatch.db").await;
    let clock = Clock::system();
    let store = open(&home, &url, clock.now()).await;
    begin_one(&store, &home, &clock).await;
    store.close().await;
    let mut raw = Raw::to(&url).await;
    raw.run(&multiply(&url, size)).await;
    let looked = "select count(*) from runs where phase = 'finished' and outcome in ('succeeded', 'needs_attention')";
    assert_eq!(raw.number(looked).await, 0);
    let began = Instant::now();
    let process = Process::serve_on(&home, &url);
    while raw.number(looked).await < i64::try_from(size).unwrap() {
        assert!(began.elapsed() < PATIENCE, "not all have gone on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let done = began.elapsed();
    (process.ready_after, done)
}

/// One real run, amid its step; whoever did it is dead.
async fn begin_one(store: &Store, home: &Home, clock: &Clock) {
    let dispatch = midwatch::dispatch::Dispatch {
        store: store.clone(),
        catalog: std::sync::Arc::new(arc_swap::ArcSwap::from_pointee(home.catalog())),
        roster: None,
        clock: clock.clone(),
        mirrors_on: Vec::new(),
    };
    let inbound = typed(clock.now(), 0);
    let run = RunId::of_inbound(&inbound.key);
    store.receive(inbound).await.unwrap();
    while dispatch.dispatch_waiting().await.unwrap() > 0 {}
    let worker = WorkerId(format!("{}/dead", store.home()));
    let claimed = store.claim_run(&worker, &[], clock.now(), LEASE).await;
    let (lease, found) = claimed.unwrap().expect("it is due");
    assert_eq!(found.id, run);
    let started = RunEvent::StepStarted {
        position: 0,
        step: "nothing".parse().unwrap(),
        attempt: 1,
    };
    let nobody = Box::new(|_: &_, _: Option<&str>| Vec::new());
    let recorded = store.record_run(&lease, vec![started], nobody, clock.now());
    recorded.await.unwrap();
}

/// As many rows like its own, with other ids; each tenth stays `idempotent`, the others are `once`.
fn multiply(url: &str, size: usize) -> String {
    let (id, reference) = if url.starts_with("sqlite:") {
        (
            "printf('%08x-0000-4000-8000-000000000000', i)",
            "printf('bench%05d', i)",
        )
    } else {
        (
            "lpad(to_hex(i), 8, '0') || '-0000-4000-8000-000000000000'",
            "'bench' || lpad(i::text, 5, '0')",
        )
    };
    format!(
        "insert into runs (id, reference, project, same_target, lock, holds_lock, phase, outcome, details, phase_json,
                           plan, cancelled_by, doubted_at, created_at, started_at, finished_at, due_at, fence, leased_by,
                           leased_until, home)
         with recursive numbers (i) as (select 1 union all select i + 1 from numbers where i < {more})
         select {id}, {reference}, project, same_target, lock, holds_lock, phase, outcome, details, phase_json,
                case when i % 10 = 0 then plan else replace(plan, '\"idempotent\"', '\"once\"') end,
                cancelled_by, doubted_at, created_at, started_at, finished_at, due_at, fence, leased_by, leased_until, home
         from runs cross join numbers;
         insert into steps (run, position, name, effect, state, attempt, result, at)
         select runs.id, position, name, case when plan like '%\"once\"%' then 'once' else effect end, state, attempt,
                result, at
         from steps cross join runs where runs.id <> steps.run",
        more = size - 1
    )
}
