//! The store keeps its word: durable, only once, in order, fenced, and whole when it can't write.

use std::sync::Arc;

use midwatch::domain::{
    Effect, Outcome, OutputRef, Phase, PostingKind, RunEvent, RunId, StepState, Verdict,
};
use midwatch::store::{Change, Receipt, RunFilter, Store, StoreError, WorkerId};
use sqlx::Row;
use tokio::task::JoinSet;

use crate::world::{
    MINUTE, World, at, conclusion, ended, finished, inbound, line, on_both_engines, place, posting,
    queued_run, reference, root, silent, started, words,
};

fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Conflict(why)) => why,
        other => panic!("a conflict, not {other:?}"),
    }
}

on_both_engines! {
async fn a_delivery_is_new_once_and_a_duplicate_for_ever(world: World) {
    assert_eq!(world.store.receive(inbound(1)).await.unwrap(), Receipt::New);
    assert_eq!(
        world.store.receive(inbound(1)).await.unwrap(),
        Receipt::Duplicate
    );
    let done = world.store.conclude(conclusion(1, Change::Nothing), at(1));
    done.await.unwrap();
    let world = world.crash().await;
    assert_eq!(
        world.store.receive(inbound(1)).await.unwrap(),
        Receipt::Duplicate
    );
    assert!(world.store.waiting_inbounds(at(0), 10).await.unwrap().is_empty());
}
}

on_both_engines! {
async fn a_key_with_a_nul_is_still_received(world: World) {
    let mut odd = inbound(1);
    odd.key = midwatch::domain::InboundKey::new(&["a\0b"]);
    assert_eq!(
        world.store.receive(odd.clone()).await.unwrap(),
        Receipt::New
    );
    assert_eq!(
        world.store.waiting_inbounds(at(0), 1).await.unwrap(),
        [odd.clone()]
    );
    assert_eq!(world.store.receive(odd).await.unwrap(), Receipt::Duplicate);
}
}

on_both_engines! {
async fn a_nul_in_what_a_step_says_or_a_platform_answers_does_no_harm(world: World) {
    let run = world.begin(1, None).await.unwrap();
    let (lease, _) = world.claim().await.unwrap();
    let of = OutputRef {
        run: run.id,
        position: 0,
        attempt: 1,
    };
    let said = world
        .store
        .append_output(&lease, of, "a\0b".to_owned(), vec![root(run.id, "c\0d")], at(0));
    said.await.unwrap();
    assert_eq!(world.store.output(of).await.unwrap(), "a\u{fffd}b");
    assert_eq!(world.due_words().await, ["c\0d"]);
    let duty = world.duty().await;
    let due = world.due().await[0].id;
    let refused = world.store.drop_posting(&duty, due, "e\0f");
    refused.await.unwrap();
}
}

on_both_engines! {
async fn two_hundred_concurrent_deliveries_are_durable_and_the_ledger_has_no_gap(world: World) {
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let store = world.store.clone();
        // Every tenth is the same message, so that groups hold duplicates of their own.
        let n = if n % 10 == 0 { 0 } else { n };
        tasks.spawn(async move { store.receive(inbound(n)).await.unwrap() });
    }
    let receipts = tasks.join_all().await;
    let new = receipts.iter().filter(|r| **r == Receipt::New).count();
    assert_eq!(new, 181);
    let world = world.crash().await;
    assert_eq!(world.store.waiting_inbounds(at(0), 500).await.unwrap().len(), 181);
    let report = world.store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.entries, 181);
}
}

on_both_engines! {
async fn waiting_inbounds_come_back_as_they_came_in_and_oldest_first(world: World) {
    for n in [3, 1, 2] {
        world.store.receive(inbound(n)).await.unwrap();
    }
    let waiting = world.store.waiting_inbounds(at(0), 2).await.unwrap();
    assert_eq!(waiting, [inbound(3), inbound(1)]);
}
}

on_both_engines! {
async fn an_inbound_is_concluded_once(world: World) {
    world.store.receive(inbound(1)).await.unwrap();
    let conclude = || world.store.conclude(conclusion(1, Change::Nothing), at(1));
    conclude().await.unwrap();
    assert!(conflict(conclude().await).contains("not waiting"));
    let report = world.store.verify(&[]).await.unwrap();
    assert_eq!(
        report.entries, 2,
        "received and answered, and nothing of the second"
    );
}
}

/// Tables with a text that contains the needle.
async fn tables_that_know(db: &mut sqlx::SqliteConnection, needle: &str) -> Vec<String> {
    let tables: Vec<String> =
        sqlx::query_scalar("select name from sqlite_master where type = 'table' order by name")
            .fetch_all(&mut *db)
            .await
            .unwrap();
    let mut knowing = Vec::new();
    for table in tables {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("select * from {table}")));
        let rows = rows.fetch_all(&mut *db).await.unwrap();
        let knows = rows.iter().any(|row| {
            (0..row.len()).any(|column| {
                let value: Option<String> = row.try_get_unchecked(column).unwrap_or_default();
                value.is_some_and(|value| value.contains(needle))
            })
        });
        if knows {
            knowing.push(table);
        }
    }
    knowing
}

#[tokio::test]
async fn what_was_said_is_forgotten_when_it_is_concluded() {
    let world = World::new().await;
    world.store.receive(inbound(7)).await.unwrap();
    let mut db = world.tamper().await;
    assert_eq!(tables_that_know(&mut db, "secret-7").await, ["inbound"]);
    assert_eq!(
        tables_that_know(&mut db, "\"U7\"").await,
        ["commitments", "inbound"]
    );
    let done = world.store.conclude(conclusion(7, Change::Nothing), at(1));
    done.await.unwrap();
    assert!(tables_that_know(&mut db, "secret-7").await.is_empty());
    assert_eq!(tables_that_know(&mut db, "\"U7\"").await, ["commitments"]);
}

on_both_engines! {
async fn two_runs_that_race_for_a_lock_have_one_winner_and_the_loser_learns_who(world: World) {
    let first = world.begin(1, Some("flush-cache/shop/prod")).await.unwrap();
    let why = conflict(world.begin(2, Some("flush-cache/shop/prod")).await);
    assert!(why.contains(first.reference.as_str()), "{why}");
    assert_eq!(world.store.waiting_inbounds(at(0), 9).await.unwrap(), [inbound(2)]);
    world
        .begin(3, Some("flush-cache/shop/staging"))
        .await
        .unwrap();

    let (lease, _) = world.claim().await.unwrap();
    let events = vec![finished(Outcome::Failed)];
    world
        .store
        .record_run(&lease, events, silent(), at(1))
        .await
        .unwrap();
    let again = Change::NewRun {
        run: Box::new(queued_run(&inbound(2).key, Effect::Once)),
        lock: Some("flush-cache/shop/prod".to_owned()),
    };
    world
        .store
        .conclude(conclusion(2, again), at(2))
        .await
        .unwrap();
}
}

on_both_engines! {
async fn a_run_that_waits_for_consent_takes_its_lock_only_when_it_is_allowed(world: World) {
    world.store.receive(inbound(1)).await.unwrap();
    let queued = queued_run(&inbound(1).key, Effect::Once);
    let mut waiting = queued.clone();
    waiting.plan = None;
    waiting.steps = Vec::new();
    waiting.phase = Phase::AwaitingApproval {
        terms: midwatch::domain::ApprovalTerms {
            approvals: 1,
            of: vec![midwatch::domain::Who::Everyone],
            within: MINUTE,
            and: Vec::new(),
        },
        until: at(60_000),
        approvers: Vec::new(),
 asked: Vec::new(),
        proposal: None,
    };
    let change = Change::NewRun {
        run: Box::new(waiting.clone()),
        lock: Some("l".to_owned()),
    };
    world
        .store
        .conclude(conclusion(1, change), at(0))
        .await
        .unwrap();
    assert_eq!(
        world.store.run(waiting.id).await.unwrap(),
        Some(waiting.clone())
    );
    assert!(
        world.claim().await.is_none(),
        "nothing is due before it expires"
    );

    let holder = world.begin(2, Some("l")).await.unwrap();
    world.store.receive(inbound(3)).await.unwrap();
    let allow = || {
        let plan = Box::new(queued.plan.clone().unwrap());
        let by = "ana".parse().unwrap();
        let change = Change::Happened {
            run: waiting.id,
            events: vec![RunEvent::Approved { by, capacity: None,confirmed: false }, RunEvent::Allowed { plan }],
            tell: silent(),
        };
        world.store.conclude(conclusion(3, change), at(1))
    };
    assert!(conflict(allow().await).contains(holder.reference.as_str()));
    assert_eq!(
        world.store.run(waiting.id).await.unwrap(),
        Some(waiting.clone())
    );

    let (lease, _) = world.claim().await.unwrap();
    let events = vec![finished(Outcome::Failed)];
    world
        .store
        .record_run(&lease, events, silent(), at(1))
        .await
        .unwrap();
    allow().await.unwrap();
    let allowed = world.store.run(waiting.id).await.unwrap().unwrap();
    assert_eq!(
        (allowed.phase, allowed.steps),
        (Phase::Queued { since: at(1) }, queued.steps)
    );
}
}

on_both_engines! {
async fn the_same_run_or_reference_can_begin_only_once(world: World) {
    let run = world.begin(1, None).await.unwrap();
    world.store.receive(inbound(2)).await.unwrap();
    let mut twin = queued_run(&inbound(2).key, Effect::Once);
    twin.reference = run.reference.clone();
    let change = Change::NewRun {
        run: Box::new(twin),
        lock: None,
    };
    conflict(world.store.conclude(conclusion(2, change), at(1)).await);
    assert_ne!(
        world
            .store
            .free_reference(RunId::of_inbound(&inbound(2).key))
            .await
            .unwrap(),
        run.reference
    );
}
}

on_both_engines! {
async fn a_run_is_read_back_as_it_was_recorded_at_every_step(world: World) {
    let run = world.begin(1, Some("l")).await.unwrap();
    let (lease, claimed) = world.claim().await.unwrap();
    assert_eq!(claimed, run);
    let unknown = RunEvent::StepInterrupted {
        position: 0,
        step: crate::world::step_name(0),
        attempt: 1,
        effect: Effect::Once,
    };
    let settled = RunEvent::Settled {
        by: "ana".parse().unwrap(),
        verdict: Verdict::Happened,
    };
    let all = [
        started(0),
        unknown,
        finished(Outcome::NeedsAttention),
        settled,
        started(1),
        ended(1),
        finished(Outcome::Succeeded),
    ];
    for (n, event) in all.into_iter().enumerate() {
        let now = at(10 + i64::try_from(n).unwrap());
        let told = world.store.record_run(&lease, vec![event], silent(), now);
        let told = told.await.unwrap();
        let read = world.store.run_by_reference(&run.reference).await.unwrap();
        assert_eq!(read, Some(told), "after event {n}");
    }
    let history = world.store.history(run.id).await.unwrap().entries;
    assert_eq!(history.len(), 7);
    assert!(history.is_sorted_by_key(|entry| entry.sequence));
}
}

on_both_engines! {
async fn an_event_that_does_not_fit_changes_nothing_at_all(world: World) {
    let run = world.begin(1, None).await.unwrap();
    let (lease, _) = world.claim().await.unwrap();
    let entries = world.store.verify(&[]).await.unwrap().entries;
    let events = vec![started(0), ended(1)];
    conflict(
        world
            .store
            .record_run(&lease, events, silent(), at(1))
            .await,
    );
    assert_eq!(world.store.run(run.id).await.unwrap(), Some(run));
    let report = world.store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.entries, entries);
}
}

on_both_engines! {
async fn a_failed_intention_undoes_itself_alone_in_its_group(world: World) {
    world.begin(1, Some("l")).await.unwrap();
    let world = Arc::new(world);
    let mut tasks = JoinSet::new();
    for n in 10..60 {
        let world = world.clone();
        let lock = if n % 2 == 0 { Some("l") } else { None };
        tasks.spawn(async move { (n, world.begin(n, lock).await.is_ok()) });
    }
    for (n, began) in tasks.join_all().await {
        assert_eq!(began, n % 2 == 1, "run {n}");
    }
    let report = world.store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.entries, 2 + 50 + 25);
}
}

on_both_engines! {
async fn a_run_that_cannot_be_told_of_is_not_changed_and_stops_nobody_else(world: World) {
    let run = world.begin(1, None).await.unwrap();
    let (lease, _) = world.claim().await.unwrap();
    let broken = Box::new(|_: &_, _: Option<&str>| panic!("a test's renderer breaks"));
    let result = world
        .store
        .record_run(&lease, vec![started(0)], broken, at(1));
    assert!(matches!(result.await, Err(StoreError::Unavailable(_))));
    assert_eq!(world.store.run(run.id).await.unwrap(), Some(run));
    world.begin(2, None).await.unwrap();
    assert!(world.store.verify(&[]).await.unwrap().is_sound());
}
}

#[tokio::test]
async fn a_full_queue_says_at_once_that_it_is_busy() {
    let world = World::new().await;
    // While somebody else holds the database, the writer waits with what it has taken, and the queue fills.
    let mut holder = world.tamper().await;
    let say = |statement: &'static str| sqlx::query(statement);
    say("begin immediate").execute(&mut holder).await.unwrap();
    let receives =
        futures_util::future::join_all((0..4_900).map(|n| world.store.receive(inbound(n))));
    let release = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        say("rollback").execute(&mut holder).await.unwrap();
    };
    let (results, ()) = tokio::join!(receives, release);
    let taken = results.iter().filter(|result| result.is_ok()).count();
    let busy = results
        .iter()
        .filter(|r| matches!(r, Err(StoreError::Busy(_))))
        .count();
    assert_eq!(taken + busy, 4_900, "nothing else went wrong");
    assert!(
        (4_096..=4_096 + 256).contains(&taken),
        "a full queue, and what the writer had: {taken}"
    );
    for n in 5_000..5_003 {
        world.store.receive(inbound(n)).await.unwrap();
    }
    let world = world.crash().await;
    let report = world.store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.entries, taken as u64 + 3);
}

on_both_engines! {
async fn an_old_lease_can_change_nothing(world: World) {
    let run = world.begin(1, None).await.unwrap();
    let worker = WorkerId("slow".to_owned());
    let (old, _) = world.claim().await.unwrap();
    assert!(world.claim().await.is_none(), "it is leased");
    let later = at(60_001);
    let busy = [run.id];
    let again = world.store.claim_run(&worker, &busy, later, MINUTE).await;
    assert!(again.unwrap().is_none(), "the worker is still at work on it");
    let taken = world
        .store
        .claim_run(&worker, &[], later, MINUTE)
        .await
        .unwrap();
    let (new, _) = taken.expect("the first lease has ended");

    let of = OutputRef {
        run: run.id,
        position: 0,
        attempt: 1,
    };
    let store = &world.store;
    conflict(store.renew_lease(&old, later, MINUTE).await);
    conflict(store.release_lease(&old, later).await);
    conflict(
        store
            .record_run(&old, vec![started(0)], silent(), later)
            .await,
    );
    conflict(
        store
            .append_output(&old, of, "x".to_owned(), Vec::new(), later)
            .await,
    );
    assert_eq!(store.run(run.id).await.unwrap(), Some(run));
    assert_eq!(store.output(of).await.unwrap(), "");

    store
        .append_output(&new, of, "one\n".to_owned(), Vec::new(), later)
        .await
        .unwrap();
    store
        .append_output(&new, of, "two\n".to_owned(), Vec::new(), later)
        .await
        .unwrap();
    assert_eq!(store.output(of).await.unwrap(), "one\ntwo\n");
    store.release_lease(&new, later).await.unwrap();
    conflict(
        store
            .record_run(&new, vec![started(0)], silent(), later)
            .await,
    );
}
}

on_both_engines! {
async fn the_leases_of_a_dead_process_are_void_when_the_folder_is_opened_again(world: World) {
    world.begin(1, None).await.unwrap();
    let (dead, _) = world.claim().await.unwrap();
    let events = vec![started(0)];
    world
        .store
        .record_run(&dead, events, silent(), at(1))
        .await
        .unwrap();
    let world = world.crash().await;
    conflict(world.store.renew_lease(&dead, at(2), MINUTE).await);
    // Of the same folder: for a moment its own steps are kept for it.
    let worker = WorkerId(format!("{}/next", world.store.home()));
    let (_, run) = world
        .store
        .claim_run(&worker, &[], at(2), MINUTE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        run.steps[0],
        StepState::Started {
            attempt: 1,
            at: at(1)
        }
    );
}
}

on_both_engines! {
async fn runs_are_claimed_in_the_order_in_which_they_fell_due(world: World) {
    for (n, ms) in [(1, 300), (2, 100), (3, 200)] {
        world.store.receive(inbound(n)).await.unwrap();
        let mut run = queued_run(&inbound(n).key, Effect::Once);
        run.created_at = at(ms);
        let change = Change::NewRun {
            run: Box::new(run),
            lock: None,
        };
        world
            .store
            .conclude(conclusion(n, change), at(ms))
            .await
            .unwrap();
    }
    let worker = WorkerId("w".to_owned());
    for n in [2, 3, 1] {
        let (_, run) = world
            .store
            .claim_run(&worker, &[], at(999), MINUTE)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(run.id, RunId::of_inbound(&inbound(n).key));
    }
    assert!(
        world
            .store
            .claim_run(&worker, &[], at(999), MINUTE)
            .await
            .unwrap()
            .is_none()
    );
}
}

on_both_engines! {
async fn a_finished_run_is_never_due_again(world: World) {
    let run = world.begin(1, None).await.unwrap();
    let (lease, _) = world.claim().await.unwrap();
    let events = vec![finished(Outcome::Failed)];
    world
        .store
        .record_run(&lease, events, silent(), at(1))
        .await
        .unwrap();
    world.store.release_lease(&lease, at(1)).await.unwrap();
    let worker = WorkerId("w".to_owned());
    let late = at(999_999_999);
    assert!(
        world
            .store
            .claim_run(&worker, &[], late, MINUTE)
            .await
            .unwrap()
            .is_none()
    );
    let open = RunFilter {
        open: true,
        limit: 9,
        ..RunFilter::default()
    };
    assert!(world.store.runs(&open).await.unwrap().known.is_empty());
    let all = RunFilter {
        project: Some("shop".parse().unwrap()),
        limit: 9,
        ..RunFilter::default()
    };
    assert_eq!(world.store.runs(&all).await.unwrap().known[0].id, run.id);
    assert_eq!(
        world
            .store
            .run_by_reference(&reference("zzzz"))
            .await
            .unwrap(),
        None
    );
}
}

on_both_engines! {
async fn facts_name_who_holds_the_lock_and_who_just_did_the_very_same(world: World) {
    let run = world.begin(1, Some("l")).await.unwrap();
    let same = run.invocation.same_target();
    let facts = || {
        world
            .store
            .facts_for(Some("l".to_owned()), same.clone(), Some(at(0)), &run.place)
    };
    let before = facts().await.unwrap();
    assert_eq!(before.running.unwrap().reference, run.reference);
    assert_eq!(before.just_done, None);
    let (lease, _) = world.claim().await.unwrap();
    let events = vec![
        started(0),
        ended(0),
        started(1),
        ended(1),
        finished(Outcome::Succeeded),
    ];
    world
        .store
        .record_run(&lease, events, silent(), at(5))
        .await
        .unwrap();
    let after = facts().await.unwrap();
    assert_eq!(after.running, None);
    assert_eq!(after.just_done.unwrap().finished_at, Some(at(5)));
    let stale = world
        .store
        .facts_for(None, same.clone(), Some(at(6)), &run.place)
        .await
        .unwrap();
    assert_eq!(stale.just_done, None);
}
}

on_both_engines! {
async fn a_root_is_coalesced_and_stays_at_its_message(world: World) {
    let run = world.begin(1, None).await.unwrap().id;
    world
        .owe(vec![root(run, "queued"), root(run, "running")])
        .await;
    assert_eq!(world.due_words().await, ["running"]);
    world.deliver("running", Some("m1")).await;
    assert!(world.due().await.is_empty());

    world.owe(vec![root(run, "half done")]).await;
    let due = world.due().await;
    assert_eq!(due[0].delivered.as_ref().unwrap().0, "m1");
    world.store.begin_posting(&world.duty().await, due[0].id).await.unwrap();
    world.owe(vec![root(run, "done")]).await;
    assert!(world.due().await.is_empty(), "one delivery at a time");
    let duty = world.duty().await;
    let old = world.store.posting_delivered(&duty, due[0].id, due[0].version, None);
    old.await.unwrap();
    assert_eq!(
        world.due_words().await,
        ["done"],
        "the newer state stays due"
    );
    assert_eq!(
        world
            .store
            .postings_waiting(midwatch::domain::Platform::Slack)
            .await
            .unwrap(),
        1
    );
}
}

on_both_engines! {
async fn lines_wait_for_the_root_and_then_come_one_by_one(world: World) {
    let run = world.begin(1, None).await.unwrap().id;
    world
        .owe(vec![line(run, "one"), root(run, "root"), line(run, "two")])
        .await;
    assert_eq!(world.due_words().await, ["root"]);
    world.deliver("root", Some("m1")).await;
    let due = world.due().await;
    assert_eq!(due[0].thread.as_ref().unwrap().0, "m1");
    let duty = world.duty().await;
    let deferred = world.store.defer_posting(&duty, due[0].id, at(50), false, "too fast");
    deferred.await.unwrap();
    assert!(
        world.due().await.is_empty(),
        "a deferred line holds up those behind it"
    );
    let later = world
        .store
        .due_postings(midwatch::domain::Platform::Slack, at(50), 9);
    assert_eq!(later.await.unwrap()[0].attempts, 1);
    world
        .store
        .drop_posting(&world.duty().await, due[0].id, "refused")
        .await
        .unwrap();
    assert_eq!(world.due_words().await, ["two"]);
    world.deliver("two", None).await;
    assert_eq!(
        world
            .store
            .postings_waiting(midwatch::domain::Platform::Slack)
            .await
            .unwrap(),
        0
    );
}
}

on_both_engines! {
async fn the_root_may_be_edited_while_lines_are_due_and_last_lines_come_first(world: World) {
    let first = world.begin(1, None).await.unwrap().id;
    let second = world.begin(2, None).await.unwrap().id;
    world
        .owe(vec![root(first, "root 1"), root(second, "root 2")])
        .await;
    world.deliver("root 1", Some("m1")).await;
    world.deliver("root 2", Some("m2")).await;
    world
        .owe(vec![
            line(first, "one"),
            root(first, "edit"),
            line(second, "last"),
        ])
        .await;
    assert_eq!(world.due_words().await, ["last", "edit", "one"]);
}
}

on_both_engines! {
async fn what_waits_for_its_pace_hides_nothing_else(world: World) {
    let mut runs = Vec::new();
    for number in 1..=4 {
        let run = world.begin(number, None).await.unwrap().id;
        let says = format!("root {number}");
        world.owe(vec![root(run, &says)]).await;
        world.deliver(&says, Some(&format!("m{number}"))).await;
        runs.push(run);
    }
    let (to_read_back, to_edit) = (runs[0], &runs[1..]);
    world.owe(vec![root(to_read_back, "taken")]).await;
    world.take("taken", "m1", 0).await;
    for run in to_edit {
        world.owe(vec![line(*run, "line"), root(*run, "edit")]).await;
    }
    let slack = midwatch::domain::Platform::Slack;
    let due = world.store.due_postings(slack, at(0), 2).await.unwrap();
    let due: Vec<String> = due.iter().map(|due| words(&due.posting)).collect();
    assert_eq!(due, ["edit", "edit", "line", "line", "taken"], "two edits, two posts, one look");
}
}

on_both_engines! {
async fn the_number_of_a_delivered_line_is_not_given_again(world: World) {
    let run = world.begin(1, None).await.unwrap().id;
    let mut numbers = Vec::new();
    for n in 0..3 {
        let says = format!("line {n}");
        world.owe(vec![line(run, &says)]).await;
        numbers.push(world.due().await[0].id);
        world.deliver(&says, None).await;
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 3, "within one millisecond: {numbers:?}");
}
}

on_both_engines! {
async fn lines_of_a_root_that_was_refused_go_on_without_it(world: World) {
    let run = world.begin(1, None).await.unwrap().id;
    world.owe(vec![root(run, "root"), line(run, "one")]).await;
    let due = world.due().await;
    world
        .store
        .drop_posting(&world.duty().await, due[0].id, "no such channel")
        .await
        .unwrap();
    let due = world.due().await;
    assert_eq!((due.len(), due[0].thread.clone()), (1, None));
}
}

on_both_engines! {
async fn answers_keep_their_order_and_forms_do_not_wait(world: World) {
    let form = PostingKind::Form {
        speaker: "U1".to_owned(),
        handle: "h".to_owned(),
        form: midwatch::domain::Form {
            command: "deploy".parse().unwrap(),
            says: "deploy".to_owned(),
            does: "Deploys.".to_owned(),
            fields: Vec::new(),
        },
    };
    let mut elsewhere = posting(PostingKind::Answer, None, "elsewhere");
    "C2".clone_into(&mut elsewhere.to.channel);
    assert_ne!(elsewhere.to, place());
    let all = vec![
        posting(PostingKind::Answer, None, "one"),
        posting(PostingKind::Answer, None, "two"),
        posting(form, None, "form"),
        elsewhere,
    ];
    world.owe(all).await;
    assert_eq!(world.due_words().await, ["form", "one", "elsewhere"]);
    let first = world.due().await[1].id;
    world.store.begin_posting(&world.duty().await, first).await.unwrap();
    assert_eq!(world.due_words().await, ["form", "elsewhere"]);
    world
        .store
        .defer_posting(&world.duty().await, first, at(9), true, "no answer")
        .await
        .unwrap();
    assert_eq!(world.due_words().await, ["form", "two", "elsewhere"]);
}
}

on_both_engines! {
async fn a_final_is_read_back_and_sent_again_when_it_is_not_there(world: World) {
    let run = world.begin(1, None).await.unwrap().id;
    world.owe(vec![root(run, "root"), line(run, "last")]).await;
    world.deliver("root", Some("m1")).await;
    let due = world.due().await;
    assert!(due[0].last && !due[0].is_read_back());
    world.take("last", "m2", 50).await;
    assert!(world.due().await.is_empty());
    let slack = midwatch::domain::Platform::Slack;
    assert_eq!(world.store.postings_waiting(slack).await.unwrap(), 0);

    let due = world.store.due_postings(slack, at(50), 9).await.unwrap();
    assert!(due[0].is_read_back());
    assert_eq!(due[0].delivered.as_ref().unwrap().0, "m2");
    let duty = world.duty().await;
    world.store.begin_posting(&duty, due[0].id).await.unwrap();
    world.store.posting_lost(&duty, due[0].id, at(0)).await.unwrap();
    let due = world.due().await;
    assert!(due[0].in_doubt, "it is looked for before it is posted");
    assert_eq!((due[0].version, due[0].delivered.clone()), (2, None));
    world.take("last", "m3", 0).await;
    assert!(world.due().await[0].is_read_back());
    world.deliver("last", None).await;
    assert!(world.due().await.is_empty());
}
}

on_both_engines! {
async fn a_root_that_is_read_back_shows_its_next_state_at_once(world: World) {
    let run = world.begin(1, None).await.unwrap().id;
    world.owe(vec![root(run, "first")]).await;
    world.take("first", "m1", 50).await;
    assert!(world.due().await.is_empty());
    world.owe(vec![root(run, "second")]).await;
    let due = world.due().await;
    assert!(!due[0].is_read_back());
    world.store.postpone_posting(&world.duty().await, due[0].id, at(40)).await.unwrap();
    world.owe(vec![root(run, "third")]).await;
    assert!(world.due().await.is_empty(), "one that must wait waits on");
    let later = midwatch::domain::Platform::Slack;
    let due = world.store.due_postings(later, at(40), 9).await.unwrap();
    assert_eq!(due[0].attempts, 0, "to wait is no failure");
    let duty = world.duty().await;
    world.store.begin_posting(&duty, due[0].id).await.unwrap();
    world.store.posting_lost(&duty, due[0].id, at(0)).await.unwrap();
    let due = world.due().await;
    assert_eq!(due[0].delivered.as_ref().unwrap().0, "m1", "it is edited again");
    assert_eq!(due[0].attempts, 1);
}
}

on_both_engines! {
async fn a_root_that_is_gone_is_posted_anew_before_its_lines(world: World) {
    let run = world.begin(1, None).await.unwrap().id;
    world.owe(vec![root(run, "root"), line(run, "one")]).await;
    world.deliver("root", Some("m1")).await;
    let (duty, due) = (world.duty().await, world.due().await);
    world.store.begin_posting(&duty, due[0].id).await.unwrap();
    assert!(world.store.root_lost(&duty, due[0].id, at(0)).await.unwrap());
    assert_eq!(world.due_words().await, ["root"]);
    assert_eq!(world.due().await[0].delivered, None);
    // An edit that was under way meanwhile can't say that the root stands.
    let root = world.due().await[0].id;
    conflict(world.store.posting_delivered(&duty, root, 1, None).await);
    world.deliver("root", Some("m2")).await;
    let due = world.due().await;
    assert_eq!(due[0].thread.as_ref().unwrap().0, "m2");

    let answer = posting(PostingKind::Answer, None, "of no run");
    world.owe(vec![answer]).await;
    let due = world.due().await;
    let answer = due.iter().find(|due| due.posting.run.is_none()).unwrap().id;
    assert!(!world.store.root_lost(&duty, answer, at(0)).await.unwrap());
}
}

on_both_engines! {
async fn a_busy_channel_does_not_hide_another_from_delivery(world: World) {
    let mut busy = Vec::new();
    for number in 1..=100 {
        let run = world.begin(number, None).await.unwrap();
        busy.push(root(run.id, "busy"));
    }
    let mut elsewhere = posting(PostingKind::Answer, None, "elsewhere");
    "C2".clone_into(&mut elsewhere.to.channel);
    busy.push(elsewhere);
    world.owe(busy).await;
    let due = world.due_words().await;
    assert!(due.contains(&"elsewhere".to_owned()), "{due:?}");
    assert!(due.len() < 10, "{due:?}");
}
}

on_both_engines! {
async fn a_delivery_that_a_crash_cut_short_is_in_doubt(world: World) {
    world
        .owe(vec![posting(PostingKind::Answer, None, "one")])
        .await;
    let due = world.due().await;
    assert!(!due[0].in_doubt);
    world.store.begin_posting(&world.duty().await, due[0].id).await.unwrap();
    assert!(world.due().await.is_empty());
    conflict(world.store.begin_posting(&world.duty().await, due[0].id).await);
    let world = world.crash().await;
    world.duty().await;
    assert!(world.due().await[0].in_doubt);
}
}

on_both_engines! {
async fn a_folder_has_one_process(world: World) {
    let second = Store::open(&world.settings(), at(0)).await;
    let Err(StoreError::InUse(lock)) = second else {
        panic!("the folder is locked");
    };
    assert!(lock.ends_with("lock"), "{}", lock.display());
    world.store.close().await;
    Store::open(&world.settings(), at(0)).await.unwrap();
}
}

on_both_engines! {
async fn a_closed_store_answers_unavailable(world: World) {
    world.store.probe(at(0)).await.unwrap();
    world.store.close().await;
    for result in [
        world.store.receive(inbound(1)).await.map(|_| ()),
        world.store.probe(at(0)).await,
        world.store.waiting_inbounds(at(0), 1).await.map(|_| ()),
    ] {
        assert!(
            matches!(result, Err(StoreError::Unavailable(_))),
            "{result:?}"
        );
    }
}
}

#[tokio::test]
async fn a_full_database_takes_nothing_and_goes_on_when_there_is_room_again() {
    let world = World::with("?max_pages=120").await;
    let mut db = world.tamper().await;
    let fill = "create table ballast as select zeroblob(200000) as x";
    sqlx::query(fill).execute(&mut db).await.unwrap();
    let mut kept = 0;
    let error = loop {
        match world.store.receive(inbound(kept)).await {
            Ok(Receipt::New) => kept += 1,
            Ok(Receipt::Duplicate) => panic!("each is another"),
            Err(error) => break error,
        }
        assert!(kept < 5_000, "the database never becomes full");
    };
    assert!(matches!(error, StoreError::NotWritable(_)), "{error:?}");
    let waiting = world.store.waiting_inbounds(at(0), 9_999).await.unwrap();
    assert_eq!(waiting.len(), kept as usize, "nothing half-done");
    let report = world.store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.entries, u64::from(kept));

    sqlx::query("drop table ballast")
        .execute(&mut db)
        .await
        .unwrap();
    assert_eq!(
        world.store.receive(inbound(kept)).await.unwrap(),
        Receipt::New
    );
    let report = world.store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "{report}");
}

#[tokio::test]
async fn a_read_only_database_is_not_writable() {
    let world = World::new().await;
    world.store.close().await;
    let mut settings = world.settings();
    settings.url.push_str("?mode=ro");
    let opened = Store::open(&settings, at(0)).await;
    let error = opened.err().expect("it can't be written");
    assert!(matches!(error, StoreError::NotWritable(_)), "{error:?}");

    let reading = Store::open_read_only(&world.settings()).await.unwrap();
    let refused = reading.receive(inbound(1)).await;
    assert!(
        matches!(refused, Err(StoreError::NotWritable(_))),
        "{refused:?}"
    );
    assert!(reading.verify(&[]).await.unwrap().is_sound());
}
