//! An older version beside a newer one: what it can't read it leaves to it, loses nothing of it, and is held up by none of
//! it. The rows are written as the newer version would, after its migrations.

use midwatch::domain::{Frontier, Outcome, PostingKind, RunEvent, RunId, leaf_hash};
use midwatch::store::verify::verify_export;
use midwatch::store::{Change, Concluded, RunFilter, StoreError, WorkerId};

use crate::world::{
    World, at, conclusion, inbound, line, on_both_engines, posting, root, silent, started,
};

/// Does what a newer version does, whose migrations let its words into these columns.
async fn as_newer(world: &World, statement: &str) {
    let allow = if world.settings().url.starts_with("sqlite:") {
        "pragma ignore_check_constraints = on;"
    } else {
        "alter table runs drop constraint if exists runs_phase_check;
         alter table steps drop constraint if exists steps_state_check;
         alter table inbound drop constraint if exists inbound_platform_check;
         alter table inbound drop constraint if exists inbound_conclusion_check;
         alter table outbox drop constraint if exists outbox_kind_check;"
    };
    world.spoil(&format!("{allow}{statement}")).await;
}

fn is_newer<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    match result {
        Err(why @ StoreError::Newer(_)) => {
            let said = why.to_string();
            assert!(said.contains("a newer version of midwatch"), "{said}");
        }
        other => panic!("of a newer version, not {other:?}"),
    }
}

/// What a newer version may make of a run.
const RUNS: [(&str, &str); 6] = [
    (
        "a phase",
        "update runs set phase = 'paused', phase_json = '{\"paused\":{\"by\":\"ana\"}}'",
    ),
    (
        "a kind of action",
        "update runs set plan = replace(plan, '\"run\":', '\"teleport\":')",
    ),
    (
        "a word in a plan that says how",
        "update runs set plan = replace(plan, '\"timeout_ms\":', '\"runs_as\":\"guest\",\"timeout_ms\":')",
    ),
    (
        "a word in what was asked for",
        "update runs set details = replace(details, '\"again\":', '\"dry\":true,\"again\":')",
    ),
    (
        "a result",
        "update steps set state = 'ended', attempt = 1, at = 0, result = '{\"result\":\"put_off\"}' where position = 0",
    ),
    (
        "a state of a step",
        "update steps set state = 'asleep', attempt = 1, at = 0 where position = 0",
    ),
];

on_both_engines! {
async fn a_run_of_a_newer_version_is_left_to_it_and_no_other_waits_for_it(world: World) {
    for (n, (what, change)) in (0..).zip(RUNS) {
        let world = world.another().await;
        let newer = world.begin(n, None).await.unwrap();
        as_newer(&world, change).await;
        let before = world.row(newer.id).await;
        let readable = world.begin(n + 100, None).await.unwrap();
        let (lease, claimed) = world.claim().await.unwrap_or_else(|| panic!("{what}: held up"));
        assert_eq!(claimed, readable, "{what}");
        for _ in 0..3 {
            assert!(world.claim().await.is_none(), "{what}");
        }
        let ended = vec![started(0), RunEvent::Finished { outcome: Outcome::Failed, elapsed_ms: 1 }];
        world.store.record_run(&lease, ended, silent(), at(1)).await.unwrap();
        is_newer(world.store.run(newer.id).await);
        is_newer(world.store.run_by_reference(&newer.reference).await);
        let all = RunFilter { limit: 9, ..RunFilter::default() };
        let listed = world.store.runs(&all).await.unwrap();
        assert_eq!(listed.unread, std::slice::from_ref(&newer.reference), "{what}");
        assert_eq!(listed.known.len(), 1, "{what}");
        assert_eq!(world.row(newer.id).await, before, "{what}: it is as the newer version left it");
    }
}
}

on_both_engines! {
async fn a_run_is_written_as_the_version_before_wrote_it_unless_it_has_mirrors(world: World) {
    // Who does not know the word leaves the run to who does, as with "a word in what was asked for": it would tell one
    // place of it and not the others.
    world.begin(1, None).await.unwrap();
    assert_eq!(world.count("runs where details like '%mirrors%'").await, 0);
    world.begin_mirrored(2, &["C2"]).await;
    assert_eq!(world.count("runs where details like '%\"mirrors\":[{%'").await, 1);
    as_newer(&world, "update runs set details = replace(details, 'mirrors', 'echoes') where details like '%mirrors%'").await;
    let newer = RunId::of_inbound(&inbound(2).key);
    is_newer(world.store.run(newer).await);
    let (_, claimed) = world.claim().await.expect("the other run");
    assert_ne!(claimed.id, newer);
    assert!(world.claim().await.is_none());
}
}

on_both_engines! {
async fn who_holds_a_lock_is_known_although_its_run_can_not_be_read(world: World) {
    let newer = world.begin(1, Some("flush/shop/prod")).await.unwrap();
    as_newer(&world, RUNS[1].1).await;
    let lock = Some("flush/shop/prod".to_owned());
    let facts = world.store.facts_for(lock, newer.invocation.same_target(), Some(at(-9)), &newer.place).await.unwrap();
    let holder = facts.running.expect("the lock is held");
    assert_eq!((holder.reference, holder.requester), (newer.reference, newer.requester));
    as_newer(&world, "update runs set phase = 'finished', outcome = 'succeeded', finished_at = created_at, holds_lock = 0,
                      phase_json = '{\"finished\":{\"beautifully\":1}}'").await;
    let facts = world.store.facts_for(None, newer.invocation.same_target(), Some(at(-9)), &newer.place).await.unwrap();
    assert!(facts.just_done.is_some());
}
}

on_both_engines! {
async fn an_inbound_of_a_newer_version_is_left_to_it_and_no_other_waits_for_it(world: World) {
    for n in 1..=5 {
        world.store.receive(inbound(n)).await.unwrap();
    }
    for (n, change) in [
        (1, "platform = 'teams', body = replace(body, '\"platform\":\"slack\"', '\"platform\":\"teams\"')"),
        (2, "body = replace(body, '\"manner\":\"said\"', '\"manner\":\"sung\"')"),
        (3, "body = replace(body, '\"text\":', '\"on_behalf_of\":\"U9\",\"text\":')"),
    ] {
        as_newer(&world, &format!("update inbound set {change} where arrival = {n}")).await;
    }
    let waiting = world.store.waiting_inbounds(at(9_999), 9).await.unwrap();
    assert_eq!(waiting, [inbound(4), inbound(5)]);
    let waiting = world.store.waiting_inbounds(at(9_999), 1).await.unwrap();
    assert_eq!(waiting, [inbound(4)], "they don't fill the places of others");
    let done = world.store.conclude(conclusion(4, Change::Nothing), at(1));
    done.await.unwrap();
    assert_eq!(world.count("inbound where concluded_at is null and body is not null").await, 4);
    as_newer(&world, "update inbound set conclusion = 'postponed' where arrival = 4").await;
    is_newer(world.store.conclusion(&inbound(4).key).await);
    let done = world.store.conclude(conclusion(5, Change::Nothing), at(1));
    done.await.unwrap();
    assert_eq!(world.store.conclusion(&inbound(5).key).await.unwrap(), Some(Concluded::Answered));
}
}

on_both_engines! {
async fn a_posting_of_a_newer_version_is_left_to_it_and_no_other_thread_waits_for_it(world: World) {
    let (one, two) = (world.begin(1, None).await.unwrap(), world.begin(2, None).await.unwrap());
    let answer = |says: &str| posting(PostingKind::Answer, None, says);
    world.owe(vec![root(one.id, "root one"), line(one.id, "first"), line(one.id, "second")]).await;
    world.owe(vec![answer("odd"), answer("odd"), answer("odd"), answer("odd"), answer("odd")]).await;
    world.deliver("root one", Some("m1")).await;
    assert!(!world.store.leaves_postings());
    let odd = "body = replace(body, '\"text\"', '\"hologram\"')";
    as_newer(&world, &format!("update outbox set {odd} where body like '%odd%' or body like '%first%'")).await;
    world.owe(vec![root(two.id, "root two"), line(two.id, "third"), answer("even")]).await;
    // A kind of posting that has a column's word of its own.
    world.owe(vec![answer("strange")]).await;
    as_newer(&world, "update outbox set kind = 'reaction', body = replace(body, 'answer', 'reaction') where body like '%strange%'").await;
    let mut due = world.due_words().await;
    for _ in 0..9 {
        due = world.due_words().await;
    }
    due.sort();
    assert_eq!(due, ["even", "root two"], "the thread of the first waits for the newer version");
    assert!(world.store.leaves_postings(), "it is to step aside");
    world.deliver("root two", Some("m2")).await;
    world.deliver("even", Some("m3")).await;
    assert_eq!(world.due_words().await, ["third"]);
    assert_eq!(world.count("outbox where state = 'waiting'").await, 9, "nothing is lost");
}
}

on_both_engines! {
async fn ledger_entries_of_unknown_kinds_are_leaves_as_the_others_are(world: World) {
    let run = world.begin(1, None).await.unwrap();
    let before = world.store.verify(&[]).await.unwrap();
    assert_eq!((before.unread, before.is_sound()), (0, true));
    let odd = [
        (r#"{"kind":"eclipse","who":"moon"}"#.to_owned(), None),
        (
            format!(r#"{{"happened":{{"event":"teleported"}},"kind":"run","reference":"{}","run":"{}"}}"#, run.reference, run.id),
            Some(run.id),
        ),
    ];
    world.append_as_newer(&odd).await;
    let world = world.crash().await;
    let report = world.store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.entries, report.unread), (before.entries + 2, 2));
    assert!(report.to_string().contains("2 entries of a kind that this version of midwatch does not know"), "{report}");
    let history = world.store.history(run.id).await.unwrap();
    assert_eq!(history.unread, 1);
    let mut out = Vec::new();
    assert_eq!(world.store.export(&mut out).await.unwrap(), 2);
    let key = world.store.public_key().unwrap();
    let exported = verify_export(out.as_slice(), Some(&key), &[]).unwrap();
    assert_eq!((exported.is_sound(), exported.unread), (true, 2), "{exported}");
    // It goes on behind them, with a checkpoint over all.
    world.begin(2, None).await.unwrap();
    world.store.checkpoint(at(3)).await.unwrap();
    let report = world.store.verify(&[]).await.unwrap();
    assert!(report.is_sound(), "{report}");
    // And they are guarded as the others are.
    world.spoil("update ledger set line = replace(line, 'moon', 'noon')").await;
    assert!(!world.store.verify(&[]).await.unwrap().is_sound());
}
}

on_both_engines! {
async fn a_run_that_was_brought_on_to_where_it_can_be_read_is_taken_after_a_restart(world: World) {
    let newer = world.begin(1, None).await.unwrap();
    as_newer(&world, RUNS[1].1).await;
    assert!(world.claim().await.is_none());
    as_newer(&world, "update runs set plan = replace(plan, '\"teleport\":', '\"run\":')").await;
    assert!(world.claim().await.is_none(), "it is looked at again after a while, not at once");
    let world = world.crash().await;
    let (_, claimed) = world.claim().await.expect("it can be read now");
    assert_eq!(claimed, newer);
}
}

on_both_engines! {
async fn what_follows_a_posting_of_a_newer_version_waits_a_minute_for_it(world: World) {
    let run = world.begin(1, None).await.unwrap();
    world.owe(vec![root(run.id, "root"), line(run.id, "odd"), line(run.id, "next")]).await;
    world.deliver("root", Some("m1")).await;
    as_newer(&world, "update outbox set body = replace(body, '\"text\"', '\"hologram\"') where body like '%odd%'").await;
    assert!(world.due_words().await.is_empty());
    let pass = async |secs| {
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(secs)).await;
        tokio::time::resume();
    };
    pass(31).await;
    assert!(world.due_words().await.is_empty(), "looked at again, and still unread");
    pass(31).await;
    // Looked at again once more; the next look passes it over.
    world.due_words().await;
    assert_eq!(world.due_words().await, ["next"]);
    assert_eq!(world.count("outbox where state = 'waiting' and body like '%odd%'").await, 1);
    // By now the newer version has rewritten it, as far as this one is concerned.
    as_newer(&world, "update outbox set body = replace(body, '\"hologram\"', '\"text\"')").await;
    pass(31).await;
    assert_eq!(world.due_words().await, ["odd", "next"], "nothing is lost");
}
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_not_copied_without_what_it_added() {
    let Some(cluster) = crate::cluster::shared() else {
        return;
    };
    let world = World::new().await;
    world.begin(1, None).await.unwrap();
    world.store.close().await;
    world
        .spoil(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9999, 'later', true, x'00', 0)",
        )
        .await;
    let to = midwatch::store::StoreSettings {
        url: cluster.database().await,
        ..world.settings()
    };
    let copied = midwatch::store::copy(&world.settings(), &to, |_, _| {}).await;
    is_newer(copied);
}

#[tokio::test]
async fn a_set_back_puts_a_run_of_a_newer_version_in_doubt_too() {
    let world = World::new().await;
    let newer = world.begin(1, None).await.unwrap();
    as_newer(&world, RUNS[0].1).await;
    world.store.close().await;
    let kept = std::fs::read(world.data("midwatch.db")).unwrap();
    let world = world.reopen().await.unwrap();
    let other = world.begin(2, None).await.unwrap();
    let (lease, _) = world.claim().await.unwrap();
    let end = vec![
        started(0),
        RunEvent::Finished {
            outcome: Outcome::Failed,
            elapsed_ms: 1,
        },
    ];
    world
        .store
        .record_run(&lease, end, silent(), at(1))
        .await
        .unwrap();
    world.store.close().await;
    for beside in ["midwatch.db-wal", "midwatch.db-shm"] {
        let _ = std::fs::remove_file(world.data(beside)); // They are gone where it was closed well.
    }
    std::fs::write(world.data("midwatch.db"), kept).unwrap();
    let world = world.reopen().await.unwrap();
    assert!(world.store.set_back_at().await.unwrap().is_some());
    assert_eq!(world.store.run(other.id).await.unwrap(), None);
    let doubted = format!("runs where id = '{}' and doubted_at is not null", newer.id);
    assert_eq!(world.count(&doubted).await, 1);
    let history = world.store.history(newer.id).await.unwrap();
    assert!(format!("{history:?}").contains("Doubted"), "{history:?}");
}

#[tokio::test]
async fn a_replica_takes_the_duty_back_only_when_it_was_left() {
    let Some(older) = World::on(crate::world::Engine::Postgres).await else {
        return;
    };
    // What stepping aside is made of: handed back, the duty is anybody's at once.
    let newer = older.replica().await;
    let duty = older.duty().await;
    let worker = WorkerId(format!("{}/newer", newer.store.home()));
    let platform = midwatch::domain::Platform::Slack;
    let minute = crate::world::MINUTE;
    let take = || newer.store.take_duty(platform, &worker, at(1), minute);
    assert!(take().await.unwrap().is_none());
    older.store.release_duty(duty).await.unwrap();
    assert!(take().await.unwrap().is_some());
}

impl World {
    async fn one(&self, query: &str) -> (i64, String) {
        let text = sqlx::AssertSqlSafe(query.to_owned());
        if self.settings().url.starts_with("sqlite:") {
            let mut db = self.tamper().await;
            sqlx::query_as(text).fetch_one(&mut db).await.unwrap()
        } else {
            let mut db = crate::world::connect(&self.settings().url).await;
            sqlx::query_as(text).fetch_one(&mut db).await.unwrap()
        }
    }

    /// How many rows there are of `TABLE where …`.
    async fn count(&self, of: &str) -> i64 {
        self.one(&format!("select count(*), '' from {of}")).await.0
    }

    /// All that a run's row says.
    async fn row(&self, run: RunId) -> (i64, String) {
        let query = format!(
            "select fence, phase || phase_json || coalesce(plan, '') || details || coalesce(leased_by, '-')
             from runs where id = '{run}'"
        );
        self.one(&query).await
    }

    /// Appends to the ledger and its tree, as any version does.
    async fn append_as_newer(&self, facts: &[(String, Option<RunId>)]) {
        let (_, lines) = self
            .one(if self.settings().url.starts_with("sqlite:") {
                "select count(*), group_concat(line, char(10)) from (select line from ledger order by sequence)"
            } else {
                "select count(*), string_agg(line, chr(10) order by sequence) from ledger"
            })
            .await;
        let mut tree = Frontier::new();
        for line in lines.lines() {
            tree.push(leaf_hash(line.as_bytes()));
        }
        for (fact, run) in facts {
            let sequence = tree.size();
            let line = format!(
                r#"{{"at":"{}","fact":{fact},"sequence":{sequence}}}"#,
                at(5)
            );
            tree.push(leaf_hash(line.as_bytes()));
            let run = run.map_or("null".to_owned(), |run| format!("'{run}'"));
            self.spoil(&format!(
                "insert into ledger (sequence, run, line) values ({sequence}, {run}, '{line}')"
            ))
            .await;
        }
        let nodes: Vec<String> = tree
            .nodes()
            .iter()
            .map(|node| data_encoding::HEXLOWER.encode(node))
            .collect();
        let nodes = serde_json::to_string(&nodes).unwrap();
        self.spoil(&format!(
            "update tree set size = {}, nodes = '{nodes}'",
            tree.size()
        ))
        .await;
    }
}
