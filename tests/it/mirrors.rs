//! Mirrors: the thread of a run in several places, each with a root of its own, each line once, each its own witness.

use midwatch::clock::Clock;
use midwatch::domain::{Outcome, Place, Platform, PostingKind, Run, RunId, render};
use midwatch::store::{Change, DuePosting, MessageRef, Receipt, Standing, Store, Tell};
use tokio::task::JoinSet;

use crate::fakes::slack::{FakeSlack, render as read};
use crate::outbox::{SOON, deliver};
use crate::world::{
    World, at, conclusion, finished, inbound, on_both_engines, place, queued_run, silent, started,
    words,
};

fn in_channel(channel: &str) -> Place {
    Place {
        channel: channel.to_owned(),
        ..place()
    }
}

fn said(run: &Run, says: &[&str]) -> Vec<midwatch::domain::Posting> {
    let told = says.iter().map(|says| {
        let kind = match *says {
            "root" => PostingKind::Root,
            says => PostingKind::Line {
                attachment: None,
                last: says == "last",
            },
        };
        let text = midwatch::domain::Text::from(*says);
        (kind, midwatch::domain::Message::new(text))
    });
    render::in_each_place(run, &told.collect::<Vec<_>>())
}

impl World {
    /// Begins the run of inbound `n`, whose thread is told in these channels too.
    pub(crate) async fn begin_mirrored(&self, n: u32, mirrors: &[&str]) -> Run {
        let received = self.store.receive(inbound(n)).await.unwrap();
        assert_eq!(received, Receipt::New);
        let mut run = queued_run(&inbound(n).key, midwatch::domain::Effect::Once);
        run.mirrors = mirrors.iter().map(|channel| in_channel(channel)).collect();
        let change = Change::NewRun {
            run: Box::new(run.clone()),
            lock: None,
        };
        let concluded = self.store.conclude(conclusion(n, change), at(0));
        concluded.await.unwrap();
        run
    }

    async fn due_where(&self) -> Vec<Row> {
        rows(self.due().await)
    }

    async fn due_in(&self, channel: &str, says: &str) -> DuePosting {
        let due = self.due().await.into_iter();
        let mut due = due.filter(|due| due.posting.to.channel == channel);
        due.find(|due| words(&due.posting) == says)
            .unwrap_or_else(|| panic!("`{says}` is due in {channel}"))
    }

    async fn deliver_in(&self, channel: &str, says: &str, message: &str) {
        let (due, duty) = (self.due_in(channel, says).await, self.duty().await);
        self.store.begin_posting(&duty, due.id).await.unwrap();
        let message = Some(MessageRef(message.to_owned()));
        let done = self
            .store
            .posting_delivered(&duty, due.id, due.version, message);
        done.await.unwrap();
    }
}

/// Channel, words, and the thread that they go into.
type Row = (String, String, Option<String>);

fn rows(due: Vec<DuePosting>) -> Vec<Row> {
    let due = due.into_iter().map(|due| {
        let thread = due.thread.map(|thread| thread.0);
        (due.posting.to.channel.clone(), words(&due.posting), thread)
    });
    let mut due: Vec<_> = due.collect();
    due.sort();
    due
}

fn due(rows: &[(&str, &str, Option<&str>)]) -> Vec<Row> {
    let row = |(channel, says, thread): &(&str, &str, Option<&str>)| {
        let thread = thread.map(str::to_owned);
        ((*channel).to_owned(), (*says).to_owned(), thread)
    };
    rows.iter().map(row).collect()
}

on_both_engines! {
async fn a_run_is_read_back_with_its_mirrors(world: World) {
    let run = world.begin_mirrored(1, &["C2", "C3"]).await;
    assert_eq!(world.store.run(run.id).await.unwrap(), Some(run.clone()));
    let world = world.crash().await;
    let (lease, claimed) = world.claim().await.unwrap();
    assert_eq!(claimed, run);
    let after = world.store.record_run(&lease, vec![started(0)], silent(), at(1)).await.unwrap();
    assert_eq!(after.mirrors, run.mirrors);
}
}

on_both_engines! {
async fn each_place_has_a_root_and_a_thread_of_its_own(world: World) {
    let run = world.begin_mirrored(1, &["C2"]).await;
    world.owe(said(&run, &["root", "first", "second"])).await;
    assert_eq!(world.due_where().await, due(&[("C1", "root", None), ("C2", "root", None)]));
    world.deliver_in("C2", "root", "C2:m2").await;
    // The mirror does not wait for the place where it began, nor that one for its mirror.
    assert_eq!(world.due_where().await, due(&[("C1", "root", None), ("C2", "first", Some("C2:m2"))]));
    world.deliver_in("C1", "root", "C1:m1").await;
    world.deliver_in("C2", "first", "C2:m3").await;
    let world = world.crash().await;
    assert_eq!(
        world.due_where().await,
        due(&[("C1", "first", Some("C1:m1")), ("C2", "second", Some("C2:m2"))])
    );
    let threads = world.store.run_threads(Platform::Slack, at(0), 9).await.unwrap();
    let mut roots: Vec<_> = threads.into_iter().map(|it| (it.place, it.root)).collect();
    roots.sort_by_key(|(place, _)| place.channel.clone());
    let root = |channel: &str, message: &str| (in_channel(channel), Some(MessageRef(message.to_owned())));
    assert_eq!(roots, [root("C1", "C1:m1"), root("C2", "C2:m2")]);
}
}

on_both_engines! {
async fn a_root_that_is_lost_in_one_place_is_posted_again_there_alone(world: World) {
    let run = world.begin_mirrored(1, &["C2"]).await;
    world.owe(said(&run, &["root", "first"])).await;
    world.deliver_in("C1", "root", "C1:m1").await;
    world.deliver_in("C2", "root", "C2:m2").await;
    let (line, duty) = (world.due_in("C2", "first").await, world.duty().await);
    world.store.begin_posting(&duty, line.id).await.unwrap();
    assert!(world.store.root_lost(&duty, line.id, at(0)).await.unwrap());
    assert_eq!(
        world.due_where().await,
        due(&[("C1", "first", Some("C1:m1")), ("C2", "root", None)])
    );
    // A newer state of both: the one is edited, the other posted.
    world.owe(said(&run, &["root"])).await;
    assert_eq!(world.due_in("C1", "root").await.delivered, Some(MessageRef("C1:m1".to_owned())));
    assert_eq!(world.due_in("C2", "root").await.delivered, None);
}
}

on_both_engines! {
async fn a_mirror_that_is_gone_holds_up_no_other_place(world: World) {
    let run = world.begin_mirrored(1, &["C2"]).await;
    world.owe(said(&run, &["root", "first", "last"])).await;
    let duty = world.duty().await;
    for says in ["root", "first", "last"] {
        let gone = world.due_in("C2", says).await;
        assert_eq!(gone.thread, None);
        world.store.begin_posting(&duty, gone.id).await.unwrap();
        world.store.drop_posting(&duty, gone.id, "there is no such channel").await.unwrap();
    }
    for says in ["root", "first", "last"] {
        world.deliver_in("C1", says, "C1:m1").await;
    }
    assert_eq!(world.due_where().await, []);
    assert_eq!(world.store.postings_waiting(Platform::Slack).await.unwrap(), 0);
}
}

on_both_engines! {
async fn what_is_read_back_is_looked_for_in_its_own_place(world: World) {
    let run = world.begin_mirrored(1, &["C2"]).await;
    world.owe(said(&run, &["root", "last"])).await;
    let duty = world.duty().await;
    for channel in ["C1", "C2"] {
        world.deliver_in(channel, "root", &format!("{channel}:root")).await;
        let last = world.due_in(channel, "last").await;
        assert!(last.last, "the last line of each place is final");
        world.store.begin_posting(&duty, last.id).await.unwrap();
        let stands = Standing {
            message: Some(MessageRef(format!("{channel}:last"))),
            version: last.version,
            until: at(0),
        };
        world.store.posting_stands(&duty, last.id, stands).await.unwrap();
    }
    let lost = world.due_in("C2", "last").await;
    assert!(lost.is_read_back());
    world.store.begin_posting(&duty, lost.id).await.unwrap();
    world.store.posting_lost(&duty, lost.id, at(0)).await.unwrap();
    assert!(world.due_in("C1", "last").await.is_read_back(), "it is not touched");
    let again = world.due_in("C2", "last").await;
    assert_eq!((again.delivered, again.thread), (None, Some(MessageRef("C2:root".to_owned()))));
}
}

on_both_engines! {
async fn a_database_that_was_set_back_says_so_in_each_place(world: World) {
    let run = world.begin_mirrored(1, &["C2"]).await;
    world.owe(said(&run, &["root"])).await;
    world.deliver_in("C1", "root", "C1:m1").await;
    world.deliver_in("C2", "root", "C2:m2").await;
    let lost = RunId::of_inbound(&inbound(99).key);
    world.store.runs_are_shown(vec![(lost, at(5))], at(9)).await.unwrap();
    let due = world.due().await;
    let told = |channel: &str| {
        let here = due.iter().filter(|due| due.posting.to.channel == channel);
        let kinds = here.map(|due| (due.posting.kind == PostingKind::Root, due.thread.clone()));
        let mut kinds: Vec<_> = kinds.collect();
        kinds.sort_by_key(|(is_root, _)| !is_root);
        kinds
    };
    let thread = |message: &str| Some(MessageRef(message.to_owned()));
    assert_eq!(told("C1"), [(true, None), (false, thread("C1:m1"))]);
    assert_eq!(told("C2"), [(true, None), (false, thread("C2:m2"))]);
}
}

/// Tells the end as the engine does.
fn with_checkpoint() -> Tell {
    Box::new(|run, note| {
        let last = render::last_line(run, at(2), note);
        let kind = PostingKind::Line {
            attachment: None,
            last: true,
        };
        render::in_each_place(run, &[(kind, last)])
    })
}

#[tokio::test]
async fn a_mirror_alone_gives_away_that_the_ledger_was_set_back() {
    let world = World::new().await;
    let run = world.begin_mirrored(1, &["C2"]).await;
    world.store.close().await;
    let kept = std::fs::read(world.data("midwatch.db")).unwrap();
    let world = world.reopen().await.unwrap();
    let (lease, _) = world.claim().await.unwrap();
    let events = vec![started(0), finished(Outcome::Failed)];
    let told = world
        .store
        .record_run(&lease, events, with_checkpoint(), at(1));
    told.await.unwrap();
    let due = world.due().await;
    let note = |channel: &str| {
        let mut here = due.iter().filter(|due| due.posting.to.channel == channel);
        let blocks = &here.next().expect("the last line").posting.message.blocks;
        let note = blocks.iter().find_map(|block| match block {
            midwatch::domain::Block::Output(note) => Some(format!("{note}\n")),
            _ => None,
        });
        note.expect("a checkpoint")
    };
    assert_eq!(note("C1"), note("C2"));
    let witness = [note("C2")];
    let report = world.store.verify(&witness).await.unwrap();
    assert!(report.is_sound(), "{report}");

    // Whoever has the host puts an older state back, and takes away what lies beside it.
    world.store.close().await;
    for beside in ["midwatch.db-wal", "midwatch.db-shm", "checkpoint"] {
        let _ = std::fs::remove_file(world.data(beside)); // Not each of them is there.
    }
    std::fs::write(world.data("midwatch.db"), kept).unwrap();
    let world = world.reopen().await.unwrap();
    assert_eq!(world.store.run(run.id).await.unwrap(), Some(run));
    assert!(world.store.verify(&[]).await.unwrap().is_sound());
    let report = world.store.verify(&witness).await.unwrap();
    assert!(!report.is_sound(), "{report}");
}

#[tokio::test]
async fn mirrors_and_what_waits_for_them_move_to_postgresql() {
    let Some(cluster) = crate::cluster::shared() else {
        return;
    };
    let world = World::new().await;
    let run = world.begin_mirrored(1, &["C2"]).await;
    world.owe(said(&run, &["root", "first"])).await;
    world.deliver_in("C2", "root", "C2:m2").await;
    let before = world.due_where().await;
    world.store.close().await;
    let to = midwatch::store::StoreSettings {
        url: cluster.database().await,
        ..world.settings()
    };
    midwatch::store::copy(&world.settings(), &to, |_, _| {})
        .await
        .unwrap();
    let store = Store::open(&to, at(0)).await.unwrap();
    assert_eq!(store.run(run.id).await.unwrap(), Some(run));
    let due = store.due_postings(Platform::Slack, at(0), 100).await;
    assert_eq!(rows(due.unwrap()), before);
}

/// Owes a whole thread in each place, by the clock of the deliveries.
async fn owe_whole(world: &World, run: &Run) {
    let now = Clock::system().now();
    let whole = said(run, &["root", "first", "second", "last"]);
    world.store.record(Vec::new(), whole, now).await.unwrap();
}

/// Waits until the thread in the channel is whole; answers all that stands in the channel.
async fn whole(fake: &FakeSlack, channel: &str) -> Vec<String> {
    let found = |fake: &FakeSlack| {
        let messages = fake.messages(channel);
        let root = messages.iter().find(|it| it.thread.is_none())?;
        let thread = fake.thread(channel, &root.ts);
        thread.iter().any(|line| line == "last").then_some(messages)
    };
    let messages = fake.wait_for("whole thread", SOON, found).await;
    messages.iter().map(read).collect()
}

#[tokio::test]
async fn each_line_stands_once_in_each_place_when_answers_are_lost_and_the_process_is_replaced() {
    let world = World::new().await;
    let fake = FakeSlack::start().await;
    let run = world.begin_mirrored(1, &["C2"]).await;
    // Both roots arrive, and nobody hears of it.
    fake.drop_answer_next(2);
    owe_whole(&world, &run).await;
    let outbox: JoinSet<()> = deliver(&world, &fake);
    let both = |fake: &FakeSlack| {
        let count = |channel| fake.messages(channel).len();
        (count("C1") == 1 && count("C2") == 1).then_some(())
    };
    fake.wait_for("both roots", SOON, both).await;
    drop(outbox);
    let world = world.crash().await;
    let _outbox = deliver(&world, &fake);
    for channel in ["C1", "C2"] {
        let said = whole(&fake, channel).await;
        let began = "began: on Slack in `C1`, by bo; this thread mirrors the one there";
        let root = if channel == "C1" {
            "root".to_owned()
        } else {
            format!("root\n{began}")
        };
        assert_eq!(
            said,
            [root.as_str(), "first", "second", "last"],
            "{channel}"
        );
    }
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_mirror_in_a_channel_without_our_bot_holds_nobody_up() {
    let world = World::new().await;
    let fake = FakeSlack::start().await;
    let run = world.begin_mirrored(1, &["C3", "C2"]).await;
    owe_whole(&world, &run).await;
    let _outbox = deliver(&world, &fake);
    for channel in ["C1", "C2"] {
        assert_eq!(whole(&fake, channel).await.len(), 4, "{channel}");
    }
    let nothing_waits = async {
        while world.store.postings_waiting(Platform::Slack).await.unwrap() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, nothing_waits)
        .await
        .expect("what the platform refuses does not wait");
    assert!(fake.messages("C3").is_empty());
    let refused = fake.take_violations();
    assert!(
        refused.iter().all(|it| it.contains("not_in_channel")),
        "{refused:?}"
    );
}
