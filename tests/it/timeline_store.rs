//! Timelines in the store: pages through the index, entries of versions without it, what can't be hidden.

use midwatch::domain::{
    Commit, Decided, Fact, Happening, Identity, InboundKey, Outcome, Position, Run,
};
use midwatch::store::{Change, Conclusion, TimelineFilter, TimelineRead};

use crate::world::{
    World, at, ended, finished, inbound, on_both_engines, queued_run, silent, started,
};
use midwatch::domain::Effect;

fn page(before: Position, limit: u32) -> TimelineFilter {
    TimelineFilter {
        project: "shop".parse().unwrap(),
        before,
        since: None,
        limit,
    }
}

fn decided(run: &Run, key: &InboundKey, decision: Decided) -> Fact {
    let runs = !matches!(decision, Decided::Deny(_) | Decided::Hold(_));
    Fact::Decided {
        inbound: key.clone(),
        actor: Identity::Person("bo".parse().unwrap()),
        groups: Vec::new(),
        capacity: None,
        confirmed: false,
        invocation: run.invocation.clone(),
        decision,
        rule: Some(run.rule.clone()),
        run: runs.then_some(run.id),
        reference: runs.then(|| run.reference.clone()),
        plan: None,
    }
}

impl World {
    /// Inbound `n` is denied at that moment, in this project.
    async fn denies(&self, n: u32, project: &str, ms: i64) {
        let inbound = inbound(n);
        self.store.receive(inbound.clone()).await.unwrap();
        let mut run = queued_run(&inbound.key, Effect::Once);
        run.invocation.project = project.parse().unwrap();
        let conclusion = Conclusion {
            fact: decided(&run, &inbound.key, Decided::Deny("no_rule".to_owned())),
            inbound: inbound.key,
            change: Change::Nothing,
            postings: Vec::new(),
        };
        self.store.conclude(conclusion, at(ms)).await.unwrap();
    }

    /// Inbound `n` begins a run at that moment.
    async fn allows(&self, n: u32, ms: i64) -> Run {
        let inbound = inbound(n);
        self.store.receive(inbound.clone()).await.unwrap();
        let run = queued_run(&inbound.key, Effect::Once);
        let conclusion = Conclusion {
            fact: decided(&run, &inbound.key, Decided::Allow),
            inbound: inbound.key,
            change: Change::NewRun {
                run: Box::new(run.clone()),
                lock: None,
            },
            postings: Vec::new(),
        };
        self.store.conclude(conclusion, at(ms)).await.unwrap();
        run
    }

    async fn told(&self, filter: &TimelineFilter) -> TimelineRead {
        self.store.timeline(filter).await.unwrap()
    }

    /// Milliseconds of all entries, page by page.
    async fn paged(&self, limit: u32) -> Vec<i64> {
        let mut all = Vec::new();
        let mut before = Position::END;
        loop {
            let mut read = self.told(&page(before, limit)).await;
            read.entries.truncate(limit as usize);
            let Some(last) = read.entries.last() else {
                return all;
            };
            before = Position::of_entry(last);
            all.extend(
                read.entries
                    .iter()
                    .map(|it| it.at.as_millisecond() - at(0).as_millisecond()),
            );
        }
    }
}

fn kept() -> Fact {
    Fact::CatalogKept {
        revision: midwatch::domain::Revision("0123456789ab".to_owned()),
        mistakes: 1,
        first: "runbooks/shop.yaml:1: no".to_owned(),
    }
}

on_both_engines! {
async fn pages_hold_every_entry_of_the_project_once_newest_first(world: World) {
    for n in 0..7 {
        world.denies(n, "shop", i64::from(n / 2)).await;
        world.denies(100 + n, "blog", i64::from(n)).await;
    }
    world.store.record(vec![kept()], Vec::new(), at(9)).await.unwrap();
    for limit in [1, 2, 3, 50] {
        assert_eq!(world.paged(limit).await, [9, 3, 2, 2, 1, 1, 0, 0], "{limit} a page");
    }
    let since = TimelineFilter { since: Some(at(2)), ..page(Position::END, 50) };
    assert_eq!(world.told(&since).await.entries.len(), 4);
}

async fn a_run_is_one_line_and_says_how_it_stands(world: World) {
    let run = world.allows(1, 0).await;
    let open = world.told(&page(Position::END, 9)).await;
    assert_eq!((open.entries.len(), open.behind), (1, 0));
    let stands = open.runs[&run.id];
    assert_eq!((stands.outcome, stands.finished_at), (None, None));
    let (lease, _) = world.claim().await.expect("it is due");
    let done = vec![started(0), ended(0), started(1), ended(1), finished(Outcome::Succeeded)];
    world.store.record_run(&lease, done, silent(), at(5)).await.unwrap();
    let read = world.told(&page(Position::END, 9)).await;
    let stands = read.runs[&run.id];
    assert_eq!((stands.outcome, stands.finished_at), (Some(Outcome::Succeeded), Some(at(5))));
    assert_eq!(read.entries.len(), 1, "what happens to a run is told in its line");
    assert!(Happening::of_entry(&read.entries[0], None).is_some());
}

async fn entries_of_a_version_without_the_index_are_placed_afterwards(world: World) {
    for n in 0..5 {
        world.denies(n, "shop", i64::from(n)).await;
    }
    // As that version leaves it.
    world.spoil("delete from happenings where at > 1790000000001").await;
    world.spoil("update tree set placed = 3").await;
    world.denies(5, "shop", 5).await;
    let behind = world.told(&page(Position::END, 9)).await;
    assert!(behind.behind > 0, "and whoever asks is told");
    assert_eq!(behind.entries.len(), 3, "two from before, and the one that was written since");
    while world.store.place_earlier().await.unwrap() > 0 {}
    assert_eq!(world.paged(9).await, [5, 4, 3, 2, 1, 0]);
    world.denies(6, "shop", 6).await;
    assert_eq!(world.told(&page(Position::END, 9)).await.behind, 0, "from now on each is placed as it is written");
    assert!(world.store.verify(&[]).await.unwrap().is_sound());
}

async fn an_intention_that_fails_leaves_nothing_in_the_index(world: World) {
    world.denies(1, "shop", 0).await;
    let inbound = inbound(1);
    let run = queued_run(&inbound.key, Effect::Once);
    let twice = Conclusion {
        fact: decided(&run, &inbound.key, Decided::Deny("no_rule".to_owned())),
        inbound: inbound.key,
        change: Change::Nothing,
        postings: Vec::new(),
    };
    world.store.conclude(twice, at(1)).await.unwrap_err();
    assert_eq!(world.paged(9).await, [0]);
}

async fn an_entry_that_was_hidden_from_its_timeline_is_found(world: World) {
    world.denies(1, "shop", 0).await;
    world.denies(2, "shop", 1).await;
    assert!(world.store.verify(&[]).await.unwrap().is_sound());
    for (what, spoil) in [
        ("taken out", "delete from happenings where at = 1790000000001"),
        ("put into another's", "insert into happenings (project, at, sequence) values ('blog', 1790000000001, 3)"),
        ("doubled in its own", "insert into happenings (project, at, sequence) values ('shop', 1790000000002, 3)"),
    ] {
        world.spoil(spoil).await;
        let report = world.store.verify(&[]).await.unwrap();
        let told = report.findings.join("\n");
        assert!(told.contains("timeline"), "{what}: {told}");
    }
}

async fn no_line_is_lost_between_pages_of_entries_commits_and_what_cannot_be_read(world: World) {
    for n in 0..8 {
        world.denies(n, "shop", i64::from(n) * 10).await;
    }
    let hashes = ["a", "b", "c", "d"].into_iter().zip([5, 10, 15, 70]);
    let commits = hashes.map(|(hash, ms)| {
        let commit = Commit {
            hash: hash.repeat(40),
            at: at(ms),
            author: "Ana".to_owned(),
            summary: "Let kim flush".to_owned(),
            files: Vec::new(),
        };
        ("shop".parse().unwrap(), commit)
    });
    world.store.record_commits(Ok(commits.collect()), at(99)).await.unwrap();
    world.store.record(vec![kept()], Vec::new(), at(12)).await.unwrap();
    // As a newer version may write them: those of 20 to 50.
    for at in [20, 30, 40, 50] {
        world
            .spoil(&format!(
                "update ledger set line = replace(line, '\"kind\":\"decided\"', '\"kind\":\"dreamt\"')
                 where sequence in (select sequence from happenings where at = 17900000000{at})"
            ))
            .await;
    }
    for lines in [1, 2, 3, 20] {
        let mut ask = midwatch::domain::TimelineAsk {
            project: "shop".parse().unwrap(),
            since: None,
            about: None,
            before: None,
        };
        let mut told = Vec::new();
        for _ in 0..30 {
            let page = midwatch::dispatch::read_timeline(&world.store, &ask, lines, at(99)).await.unwrap();
            told.extend(page.lines.iter().map(|it| it.at.as_millisecond() - at(0).as_millisecond()));
            if page.earlier.is_none() {
                break;
            }
            ask.before = page.earlier;
        }
        assert_eq!(told, [70, 70, 60, 15, 12, 10, 10, 5, 0], "{lines} a page");
    }
}

async fn a_change_of_rules_that_every_replica_sees_is_recorded_and_told_once(world: World) {
    let revision = |text: &str| midwatch::domain::Revision(text.to_owned());
    let change = |text: &str| Fact::RulesChanged {
        project: "shop".parse().unwrap(),
        revision: revision(text),
        changes: vec![midwatch::domain::RuleChange::Reordered],
    };
    let told = || vec![crate::world::posting(midwatch::domain::PostingKind::Answer, None, "changed")];
    let known = |text: &str| midwatch::store::RulesTold {
        revision: Some(revision(text)),
        rules: [("shop".parse().unwrap(), Vec::new())].into(),
    };
    assert_eq!(world.store.rules_told().await.unwrap(), midwatch::store::RulesTold::default());
    let mut recorded = Vec::new();
    for (ms, before, after) in [
        (1, None, "a"),
        (2, None, "a"),
        (3, Some("a"), "b"),
        (4, Some("a"), "b"),
        (5, Some("b"), "a"),
    ] {
        let changed = vec![(change(after), told())];
        let before = before.map(revision);
        let by = world.store.record_rules_told(before, known(after), changed, at(ms)).await;
        recorded.push(by.is_ok());
    }
    assert_eq!(recorded, [true, false, true, false, true], "who comes second tells nothing");
    assert_eq!(world.paged(9).await, [5, 3, 1]);
    assert_eq!(world.store.rules_told().await.unwrap(), known("a"));
}

async fn the_last_runs_of_a_command_are_found_with_whatever_arguments(world: World) {
    for n in 0..4 {
        world.allows(n, i64::from(n)).await;
    }
    let of = |environment: &str| {
        let environment = environment.parse().unwrap();
        let (command, project) = ("flush-cache".parse().unwrap(), "shop".parse().unwrap());
        midwatch::domain::target_of(&command, &project, Some(&environment))
    };
    let runs = world.store.runs_of_target(&of("prod"), 3).await.unwrap();
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run.ended.is_none()));
    assert!(world.store.runs_of_target(&of("pro"), 3).await.unwrap().is_empty());
}

async fn commits_stand_in_the_same_order_and_are_replaced_as_a_whole(world: World) {
    let commit = |hash: &str, ms| Commit {
        hash: hash.repeat(40),
        at: at(ms),
        author: "Ana".to_owned(),
        summary: "Let kim flush".to_owned(),
        files: vec!["runbooks/shop.yaml".to_owned()],
    };
    let shop = || "shop".parse().unwrap();
    let read = Ok(vec![(shop(), commit("a", 1)), (shop(), commit("b", 1)), (shop(), commit("c", 5))]);
    assert_eq!(world.told(&page(Position::END, 9)).await.git, None);
    world.store.record_commits(read, at(9)).await.unwrap();
    let all = world.told(&page(Position::END, 2)).await;
    let hashes = |read: &TimelineRead| read.commits.iter().map(|it| it.hash[..1].to_owned()).collect::<String>();
    assert_eq!((hashes(&all).as_str(), all.down_to), ("ca", Some(Position::of_commit(&all.commits[1]))));
    let rest = world.told(&page(Position::of_commit(&all.commits[1]), 2)).await;
    assert_eq!(hashes(&rest), "b");
    let gone = Err("no repository".to_owned());
    world.store.record_commits(gone, at(10)).await.unwrap();
    let stays = world.told(&page(Position::END, 9)).await;
    assert_eq!(hashes(&stays), "cab");
    assert_eq!(stays.git.unwrap().problem.as_deref(), Some("no repository"));
    world.store.record_commits(Ok(Vec::new()), at(11)).await.unwrap();
    assert_eq!(hashes(&world.told(&page(Position::END, 9)).await), "");
}
}
