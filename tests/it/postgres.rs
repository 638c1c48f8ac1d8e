//! What only a store on PostgreSQL meets: other replicas on the same database, and a server that ends connections, stands
//! still or was set back. Everything else is in `store.rs` and `ledger.rs`, on both engines.

use std::io::Write;
use std::time::{Duration, Instant};

use midwatch::domain::{Outcome, OutputRef, RunEvent};
use midwatch::store::{Receipt, Store, StoreError, WorkerId};
use tokio::task::JoinSet;

use crate::cluster::{self, Cluster};
use crate::world::{Engine, MINUTE, World, at, connect, finished, inbound, silent, started};

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
             where datname = current_database() and application_name = 'midwatch'",
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
    let history = store.history(open.id).await.unwrap();
    let doubted = history.iter().any(|entry| {
        let fact = format!("{:?}", entry.fact);
        fact.contains(&format!("{:?}", RunEvent::Doubted))
    });
    assert!(doubted, "{history:?}");
    let report = store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "the new head is sealed: {report}");
}
