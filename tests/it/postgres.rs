//! What only a store on PostgreSQL meets: other replicas on the same database, and a server that ends connections, stands
//! still or was set back. Everything else is in `store.rs` and `ledger.rs`, on both engines.

use std::io::Write;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use midwatch::clock::Clock;
use midwatch::domain::{Effect, Outcome, OutputRef, Run, RunEvent};
use midwatch::store::{Change, Conclusion, Lease, Receipt, Store, StoreError, WorkerId};
use tokio::task::JoinSet;

use crate::cluster::{self, Cluster};
use crate::world::{
    Engine, MINUTE, World, answered, at, connect, finished, inbound, queued_run, silent, started,
};

/// What people are promised: accepted or clearly refused.
const PROMISED: Duration = Duration::from_secs(3);

/// Two replicas, each with its own folder. `None` where PostgreSQL is not installed.
async fn pair() -> Option<(World, World)> {
    let one = World::on(Engine::Postgres).await?;
    let two = one.replica().await;
    Some((one, two))
}

/// The name of a world's database.
fn database(world: &World) -> String {
    let url = world.settings().url;
    url.rsplit('/').next().unwrap().to_owned()
}

async fn cut_connections(world: &World) {
    world
        .spoil(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name like 'midwatch/%'",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_at_two_replicas_at_once_is_new_at_one() {
    let Some((one, two)) = pair().await else {
        return;
    };
    let mut tasks = JoinSet::new();
    for n in 0..60 {
        for store in [&one.store, &two.store] {
            let store = store.clone();
            tasks.spawn(async move { store.receive(inbound(n)).await.unwrap() });
        }
    }
    let receipts = tasks.join_all().await;
    let new = receipts.iter().filter(|it| **it == Receipt::New).count();
    assert_eq!(new, 60, "of {} deliveries", receipts.len());
    for world in [one, two] {
        let report = world.store.verify(&[]).await.unwrap();
        assert!(report.is_sound(), "{report}");
        assert_eq!(report.entries, 60);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replicas_that_claim_at_once_one_gets_the_run() {
    let Some((one, two)) = pair().await else {
        return;
    };
    for n in 0..10 {
        one.begin(n, None).await.unwrap();
        let (first, second) = tokio::join!(one.claim(), two.claim());
        assert!(first.is_some() != second.is_some(), "run {n}");
    }
}

#[tokio::test]
async fn a_replica_that_slept_through_its_lease_can_change_nothing() {
    let Some((slow, quick)) = pair().await else {
        return;
    };
    let run = slow.begin(1, None).await.unwrap();
    let (old, _) = slow.claim().await.unwrap();
    let worker = WorkerId(format!("{}/quick", quick.store.home()));
    let later = at(60_001);
    let taken = quick
        .store
        .claim_run(&worker, &[], later, MINUTE)
        .await
        .unwrap();
    let (new, _) = taken.expect("the lease has ended");
    let of = OutputRef {
        run: run.id,
        position: 0,
        attempt: 1,
    };
    let events = || vec![started(0)];
    let late = [
        slow.store.renew_lease(&old, later, MINUTE).await,
        slow.store.release_lease(&old, later).await,
        slow.store
            .record_run(&old, events(), silent(), later)
            .await
            .map(drop),
        slow.store
            .append_output(&old, of, "x".to_owned(), Vec::new(), later)
            .await,
    ];
    for result in late {
        assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}");
    }
    let recorded = quick.store.record_run(&new, events(), silent(), later);
    recorded.await.unwrap();
}

#[tokio::test]
async fn what_one_replica_commits_the_other_hears_of() {
    let Some((one, two)) = pair().await else {
        return;
    };
    // Both listen by now or soon; each commit is another chance to be heard.
    let mut changes = two.store.changes();
    changes.mark_unchanged();
    for n in 0..50 {
        one.store.receive(inbound(n)).await.unwrap();
        let heard = tokio::time::timeout(Duration::from_millis(100), changes.changed());
        if heard.await.is_ok() {
            return;
        }
    }
    panic!("fifty commits, and not one was heard of");
}

#[tokio::test]
async fn opening_beside_a_replica_leaves_its_leases_alone() {
    let Some((one, two)) = pair().await else {
        return;
    };
    one.begin(1, None).await.unwrap();
    let (lease, _) = one.claim().await.unwrap();
    let two = two.crash().await;
    one.store.renew_lease(&lease, at(1), MINUTE).await.unwrap();
    assert!(two.claim().await.is_none());
}

#[tokio::test]
async fn a_store_whose_connections_were_ended_goes_on_with_the_next_call() {
    let Some(world) = World::on(Engine::Postgres).await else {
        return;
    };
    world.store.receive(inbound(1)).await.unwrap();
    assert_eq!(
        world
            .store
            .waiting_inbounds(at(9_999), 9)
            .await
            .unwrap()
            .len(),
        1
    );
    cut_connections(&world).await;
    world.store.receive(inbound(2)).await.unwrap();
    assert_eq!(
        world
            .store
            .waiting_inbounds(at(9_999), 9)
            .await
            .unwrap()
            .len(),
        2
    );
    let report = world.store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "{report}");
    let set_back = world.store.set_back_at().await.unwrap();
    assert_eq!(set_back, None, "nothing was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_that_stalls_amid_its_transaction_is_put_out_and_changes_nothing() {
    let Some((stalls, waits)) = pair().await else {
        return;
    };
    let run = stalls.begin(1, None).await.unwrap();
    let (lease, _) = stalls.claim().await.unwrap();
    // Its writer stands still, with the tree's lock, as that of a process which is stopped.
    let (standing, stands) = tokio::sync::oneshot::channel();
    let stall = Box::new(move |_: &_, _: Option<&str>| {
        standing.send(()).unwrap();
        std::thread::sleep(Duration::from_secs(4));
        Vec::new()
    });
    let events = vec![started(0)];
    let stalled = stalls.store.record_run(&lease, events, stall, at(1));
    let meanwhile = async {
        stands.await.unwrap();
        let asked = Instant::now();
        let receipt = waits.store.receive(inbound(2)).await;
        (receipt, asked.elapsed())
    };
    let (stalled, (receipt, waited)) = tokio::join!(stalled, meanwhile);
    assert_eq!(receipt.unwrap(), Receipt::New);
    assert!(waited < PROMISED, "{waited:?}");
    let error = stalled.expect_err("its transaction is gone");
    assert!(
        matches!(error, StoreError::Unavailable(_) | StoreError::NoAnswer),
        "{error:?}"
    );
    assert_eq!(waits.store.run(run.id).await.unwrap(), Some(run));
    stalls.store.receive(inbound(3)).await.unwrap();
    let report = stalls.store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_the_server_stands_still_every_call_ends_in_time_and_afterwards_all_goes_on() {
    let Some(cluster) = Cluster::start_new() else {
        return;
    };
    let world = World::at(&cluster.database().await).await;
    world.begin(0, None).await.unwrap();
    world.store.runs_open().await.unwrap();
    cluster.pause();
    let mut calls = JoinSet::new();
    for n in 1..=30 {
        let store = world.store.clone();
        calls.spawn(async move {
            // Spread, so that some wait behind a group that has no answer.
            tokio::time::sleep(Duration::from_millis(100) * n).await;
            let asked = Instant::now();
            let result = match n % 3 {
                0 => store.runs_open().await.map(drop),
                _ => store.receive(inbound(n)).await.map(drop),
            };
            (n, result, asked.elapsed())
        });
    }
    let ended = calls.join_all().await;
    cluster.resume();
    for (n, result, took) in ended {
        let error = result.expect_err("nothing answers");
        assert!(took < PROMISED, "call {n} took {took:?}: {error}");
    }
    for n in 31..=33 {
        world.store.receive(inbound(n)).await.unwrap();
    }
    world.store.runs_open().await.unwrap();
    let report = world.store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "{report}");
}

/// Takes its time with the first line.
struct Slow(Vec<u8>);

impl Write for Slow {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            std::thread::sleep(Duration::from_millis(2_500));
        }
        self.0.write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_an_export_may_be_slower_than_a_writer_may() {
    let Some(world) = World::on(Engine::Postgres).await else {
        return;
    };
    for n in 0..3 {
        world.store.receive(inbound(n)).await.unwrap();
    }
    let mut out = Slow(Vec::new());
    world.store.export(&mut out).await.unwrap();
    let lines = String::from_utf8(out.0).unwrap();
    assert_eq!(lines.lines().count(), 4, "{lines}");
}

#[tokio::test]
async fn a_replica_waits_for_the_one_that_brings_the_tables_up_to_date() {
    let Some(cluster) = cluster::shared() else {
        return;
    };
    let url = cluster.database().await;
    let mut other = connect(&url).await;
    let hold = "select pg_advisory_lock(7380)";
    sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        drop(other);
    };
    let (world, ()) = tokio::join!(World::at(&url), release);
    world.store.receive(inbound(1)).await.unwrap();
}

/// Waits until so many statements wait for a lock in the world's database.
async fn until_waiting(world: &World, count: i64) {
    let mut database = connect(&world.settings().url).await;
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    let deadline = Instant::now() + Duration::from_secs(10);
    while sqlx::query_scalar::<_, i64>(waiting)
        .fetch_one(&mut database)
        .await
        .unwrap()
        < count
    {
        assert!(Instant::now() < deadline, "{count} should wait for a lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_starts_waits_longer_for_its_first_turn_than_people_do() {
    let Some(world) = World::on(Engine::Postgres).await else {
        return;
    };
    let turn = "begin; select size from tree for update";
    let url = world.settings().url;
    let mut holds = connect(&url).await;
    sqlx::raw_sql(turn).execute(&mut holds).await.unwrap();
    let others = async {
        // It has two turns before its writer's first: for its key, and to clear away what it left. Behind each comes
        // somebody else, the last of whom keeps it for longer than a statement of the writer waits.
        for _ in 0..2 {
            until_waiting(&world, 1).await;
            let mut next = connect(&url).await;
            let take = sqlx::raw_sql(turn).execute(&mut next);
            let let_go = async {
                until_waiting(&world, 2).await;
                drop(holds);
            };
            tokio::join!(take, let_go).0.unwrap();
            holds = next;
        }
        tokio::time::sleep(Duration::from_millis(2_800)).await;
        drop(holds);
    };
    let (second, ()) = tokio::join!(world.replica(), others);
    second.store.receive(inbound(1)).await.unwrap();
}

#[tokio::test]
async fn a_newer_neighbour_may_have_added_to_the_tables() {
    let Some(world) = World::on(Engine::Postgres).await else {
        return;
    };
    let run = world.begin(1, None).await.unwrap();
    world
        .spoil(
            "alter table runs add column later text;
             insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (9999, 'later', true, '\\x00', 0)",
        )
        .await;
    let world = world.crash().await;
    assert_eq!(world.store.run(run.id).await.unwrap(), Some(run));
    world.begin(2, None).await.unwrap();
    world.claim().await.unwrap();
}

#[tokio::test]
async fn a_replica_without_the_key_makes_none_and_says_where_to_take_it_from() {
    let Some(world) = World::on(Engine::Postgres).await else {
        return;
    };
    let (folder, settings) = world.neighbour(false);
    let key = folder.path().join("ledger.key");
    let error = Store::open(&settings, at(0)).await.err().unwrap();
    let said = error.to_string();
    assert!(said.contains(&key.display().to_string()), "{said}");
    assert!(said.contains("copy ledger.key from the folder"), "{said}");
    assert!(!key.exists(), "a second key would be in the way");
    std::fs::copy(world.data("ledger.key"), &key).unwrap();
    let store = Store::open(&settings, at(0)).await.unwrap();
    let theirs = world.store.public_key().unwrap();
    assert_eq!(store.public_key().unwrap(), theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_begin_one_database_at_once_the_first_key_holds() {
    let Some(cluster) = cluster::shared() else {
        return;
    };
    let url = cluster.database().await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let open = |folder: &tempfile::TempDir| {
        let settings = midwatch::store::StoreSettings {
            url: url.clone(),
            data: folder.path().to_owned(),
        };
        async move { Store::open(&settings, at(0)).await }
    };
    let (one, two) = tokio::join!(open(&folders[0]), open(&folders[1]));
    assert!(one.is_ok() != two.is_ok(), "one of them");
    let (loser, error) = match (one, two) {
        (Ok(_), Err(error)) => (&folders[1], error),
        (Err(error), Ok(_)) => (&folders[0], error),
        _ => unreachable!("asserted above"),
    };
    assert!(error.to_string().contains("copy ledger.key"), "{error}");
    assert!(!loser.path().join("ledger.key").exists());
}

#[tokio::test]
async fn a_server_that_does_not_tell_which_it_is_serves_all_the_same() {
    let Some(cluster) = cluster::shared() else {
        return;
    };
    let url = cluster.database().await;
    let name = url.rsplit('/').next().unwrap();
    cluster
        .administer(&format!(
            "create role guest_{name} login; alter database {name} owner to guest_{name}"
        ))
        .await;
    let mut admin = connect(&url).await;
    let forbid = "revoke execute on function pg_control_system() from public";
    sqlx::raw_sql(forbid).execute(&mut admin).await.unwrap();
    let world = World::at(&url.replace("midwatch@", &format!("guest_{name}@"))).await;
    world.begin(1, None).await.unwrap();
    let world = world.crash().await;
    assert_eq!(world.store.set_back_at().await.unwrap(), None);
    assert!(world.claim().await.is_some());
}

#[tokio::test]
async fn a_database_that_is_set_back_beneath_a_running_store_puts_its_runs_in_doubt() {
    let Some((world, cluster)) = World::on(Engine::Postgres).await.zip(cluster::shared()) else {
        return;
    };
    let name = database(&world);
    let open = world.begin(1, None).await.unwrap();
    world.store.close().await;
    cluster
        .administer(&format!("create database {name}_old template {name}"))
        .await;
    let world = world.reopen().await.unwrap();
    let (lease, _) = world.claim().await.unwrap();
    let store = &world.store;
    let begun = store.record_run(&lease, vec![started(0)], silent(), at(1));
    begun.await.unwrap();

    cluster
        .administer(&format!("drop database {name} with (force)"))
        .await;
    cluster
        .administer(&format!("alter database {name}_old rename to {name}"))
        .await;
    let ended = store.record_run(&lease, vec![finished(Outcome::Failed)], silent(), at(2));
    let ended = ended.await;
    assert!(matches!(ended, Err(StoreError::Conflict(_))), "{ended:?}");
    assert!(store.set_back_at().await.unwrap().is_some());
    let run = store.run(open.id).await.unwrap().unwrap();
    assert!(run.doubted_at.is_some(), "{run:?}");
    let history = store.history(open.id).await.unwrap().entries;
    let doubted = history.iter().any(|entry| {
        let fact = format!("{:?}", entry.fact);
        fact.contains(&format!("{:?}", RunEvent::Doubted))
    });
    assert!(doubted, "{history:?}");
    let report = store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "the new head is sealed: {report}");
}

/// Receives inbound `n` and begins the run of it, whose first step has this effect and a time limit of a second.
async fn begin(world: &World, n: u32, effect: Effect) -> Run {
    let inbound = inbound(n);
    world.store.receive(inbound.clone()).await.unwrap();
    let run = queued_run(&inbound.key, effect);
    let conclusion = Conclusion {
        fact: answered(&inbound.key),
        inbound: inbound.key,
        change: Change::NewRun {
            run: Box::new(run.clone()),
            lock: None,
        },
        postings: Vec::new(),
    };
    world.store.conclude(conclusion, at(0)).await.unwrap();
    run
}

const LEASE: Duration = Duration::from_secs(6);

async fn claim_at(world: &World, ms: i64) -> Option<(Lease, Run)> {
    let worker = WorkerId(format!("{}/at-{ms}", world.store.home()));
    let claimed = world.store.claim_run(&worker, &[], at(ms), LEASE).await;
    claimed.unwrap()
}

/// A run whose first step of this effect goes on under a supervisor of `one`, which holds a lease until 6,000 ms.
async fn running(one: &World, effect: Effect) -> (Run, Lease) {
    let run = begin(one, 1, effect).await;
    let (lease, _) = claim_at(one, 0).await.unwrap();
    let events = vec![started(0)];
    let recorded = one.store.record_run(&lease, events, silent(), at(0)).await;
    recorded.unwrap();
    (run, lease)
}

#[tokio::test]
async fn a_once_step_of_a_replica_that_is_away_is_waited_for_and_its_thread_says_so() {
    let Some((one, two)) = pair().await else {
        return;
    };
    let (run, lease) = running(&one, Effect::Once).await;
    assert!(
        claim_at(&two, 6_000).await.is_none(),
        "its home may come back"
    );
    let said = format!("{:?}", two.due().await);
    assert!(
        said.contains("the replica that runs the step is away"),
        "{said}"
    );
    assert!(claim_at(&two, 65_999).await.is_none());
    // Meanwhile its worker, which was only slow, loses nothing.
    one.store
        .renew_lease(&lease, at(60_000), LEASE)
        .await
        .unwrap();
    assert!(claim_at(&two, 66_001).await.is_none(), "its lease is new");
    assert!(
        claim_at(&two, 125_999).await.is_none(),
        "and so is the wait"
    );
    let (_, taken) = claim_at(&two, 126_001).await.expect("long enough");
    assert_eq!(taken.id, run.id);
}

#[tokio::test]
async fn a_replica_that_comes_back_takes_its_own_steps_at_once() {
    let Some((one, two)) = pair().await else {
        return;
    };
    let (run, _) = running(&one, Effect::Once).await;
    assert!(claim_at(&two, 6_000).await.is_none());
    let one = one.crash().await;
    assert!(
        claim_at(&two, 6_001).await.is_none(),
        "it is about to take it"
    );
    let (_, taken) = claim_at(&one, 1).await.expect("its own");
    assert_eq!(taken.id, run.id);
}

#[tokio::test]
async fn what_may_be_repeated_goes_on_elsewhere_at_once_after_a_crash_and_waits_after_a_stop() {
    let Some((one, two)) = pair().await else {
        return;
    };
    for effect in [Effect::Read, Effect::Idempotent, Effect::Keyed] {
        let world = one.another().await;
        let other = world.replica().await;
        running(&world, effect).await;
        assert!(claim_at(&other, 5_999).await.is_none(), "{effect:?}");
        assert!(claim_at(&other, 6_000).await.is_some(), "{effect:?}");
    }
    let (_, lease) = running(&one, Effect::Idempotent).await;
    one.store.release_lease(&lease, at(1_000)).await.unwrap();
    assert!(claim_at(&two, 6_999).await.is_none());
    assert!(
        two.due().await.is_empty(),
        "a short absence is not worth a word"
    );
    assert!(claim_at(&two, 7_000).await.is_none());
    assert_eq!(two.due().await.len(), 1, "a longer one is");
    assert!(claim_at(&two, 61_001).await.is_some());
}

#[tokio::test]
async fn a_checked_step_is_asked_for_when_it_can_not_go_on_any_more() {
    let Some((one, two)) = pair().await else {
        return;
    };
    running(&one, Effect::Checked).await;
    assert!(claim_at(&two, 6_000).await.is_none());
    assert!(claim_at(&two, 21_999).await.is_none());
    let taken = claim_at(&two, 22_001).await;
    assert!(
        taken.is_some(),
        "a second after the lease, and as long as ending it may take"
    );
}

fn real_now(ahead_ms: i64) -> Timestamp {
    Clock::system().now() + jiff::SignedDuration::from_millis(ahead_ms)
}

#[tokio::test]
async fn leases_are_judged_by_one_clock_however_those_of_the_replicas_differ() {
    let Some((one, two)) = pair().await else {
        return;
    };
    begin(&one, 1, Effect::Read).await;
    // One is 20 s behind, the other 20 s ahead: 40 s between them, and a lease lasts 6.
    for (world, ahead) in [(&one, -20_000), (&two, 20_000)] {
        let compared = world
            .store
            .compare_clocks(|| real_now(ahead))
            .await
            .unwrap();
        let state = compared.expect("it has a clock");
        assert!(state.is_off_by(Duration::from_secs(19)), "{state:?}");
        assert!(!state.is_off_by(Duration::from_secs(21)), "{state:?}");
    }
    let claim = |world: &World, ahead: i64| {
        let worker = WorkerId(format!("{}/w", world.store.home()));
        let store = world.store.clone();
        async move {
            store
                .claim_run(&worker, &[], real_now(ahead), LEASE)
                .await
                .unwrap()
        }
    };
    let (lease, _) = claim(&one, -20_000).await.expect("it is due");
    assert!(
        claim(&two, 20_000).await.is_none(),
        "the lease has just begun"
    );
    one.store
        .renew_lease(&lease, real_now(-20_000), LEASE)
        .await
        .unwrap();
    assert!(claim(&two, 20_000).await.is_none());
    one.store
        .release_lease(&lease, real_now(-20_000))
        .await
        .unwrap();
    let (_, _) = claim(&two, 20_000).await.expect("handed back");
    assert!(claim(&one, -20_000).await.is_none());
    // A duty is a lease too.
    let slack = midwatch::domain::Platform::Slack;
    let take = |world: &World, ahead: i64| {
        let worker = WorkerId(format!("{}/w", world.store.home()));
        let store = world.store.clone();
        async move {
            store
                .take_duty(slack, &worker, real_now(ahead), LEASE)
                .await
                .unwrap()
        }
    };
    assert!(take(&one, -20_000).await.is_some());
    assert!(take(&two, 20_000).await.is_none());
    // And so is an inbound's first walk.
    let mut fresh = inbound(7);
    fresh.received_at = real_now(-20_000);
    one.store.receive(fresh).await.unwrap();
    assert!(
        two.store
            .waiting_inbounds(real_now(20_000), 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        one.store
            .waiting_inbounds(real_now(-20_000), 9)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_replica_whose_clock_jumps_far_takes_no_work_from_that_moment_on() {
    let Some((one, two)) = pair().await else {
        return;
    };
    begin(&one, 1, Effect::Read).await;
    two.store.compare_clocks(|| real_now(0)).await.unwrap();
    let worker = WorkerId(format!("{}/w", two.store.home()));
    for ahead in [-3_600_000, 31_000, 3_600_000] {
        // Nobody compared again: the monotonic clock tells.
        let now = real_now(ahead);
        let slack = midwatch::domain::Platform::Slack;
        let refused = [
            two.store.claim_run(&worker, &[], now, LEASE).await.err(),
            two.store.take_duty(slack, &worker, now, LEASE).await.err(),
            two.store.trust_clock(now).err(),
            two.store.waiting_inbounds(now, 9).await.err(),
        ];
        for why in refused {
            let why = why.expect("refused").to_string();
            assert!(why.contains("this host's clock is"), "{ahead}: {why}");
        }
    }
    // What came in a while ago, and could not be kept until now, is no sign of a wrong clock.
    let receipt = two.store.receive(inbound(9)).await.unwrap();
    assert_eq!(receipt, Receipt::New);
    let claimed = two.store.claim_run(&worker, &[], real_now(0), LEASE).await;
    assert!(
        claimed.unwrap().is_some(),
        "set right, it goes on by itself"
    );
}

#[tokio::test]
async fn a_store_in_a_file_has_one_clock() {
    let world = World::new().await;
    let compared = world.store.compare_clocks(|| real_now(99_999_999)).await;
    assert_eq!(compared.unwrap(), None);
}
