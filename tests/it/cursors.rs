//! Cursors: what has to be read after a gap, whatever crashed in between.

use jiff::Timestamp;
use midwatch::domain::{Outcome, Place, Platform, PostingKind};
use midwatch::store::{Behind, Space};

use crate::world::{World, at, finished, on_both_engines, place, posting, root, silent};

fn space() -> Space {
    Space {
        platform: Platform::Slack,
        id: "T1".to_owned(),
    }
}

impl World {
    /// We listen in these channels since then: what has to be read, and from when on.
    async fn listens(&self, channels: &[&str], since: Timestamp) -> Vec<(String, i64)> {
        let channels = channels.iter().map(|&channel| channel.to_owned());
        let behind = self
            .store
            .begin_listening(space(), channels.collect(), since);
        let behind = behind.await.unwrap().into_iter();
        let from = |behind: Behind| {
            let heard = behind.heard.as_millisecond() - at(0).as_millisecond();
            (behind.channel, heard)
        };
        behind.map(from).collect()
    }

    async fn read(&self, channel: &str, until: Timestamp) {
        let read = self
            .store
            .channel_read(space(), channel.to_owned(), until, Vec::new());
        read.await.unwrap();
    }

    async fn still_listens(&self, since: Timestamp, now: Timestamp) {
        let kept = self.store.still_listening(space(), since, now);
        kept.await.unwrap();
    }
}

fn behind(rows: &[(&str, i64)]) -> Vec<(String, i64)> {
    let owned = |&(channel, heard): &(&str, i64)| (channel.to_owned(), heard);
    rows.iter().map(owned).collect()
}

on_both_engines! {
async fn the_first_start_reads_no_past_and_later_ones_read_the_gap(world: World) {
    assert_eq!(world.listens(&["C1", "C2"], at(100)).await, []);
    world.still_listens(at(100), at(200)).await;
    let world = world.crash().await;
    assert_eq!(
        world.listens(&["C1", "C2"], at(900)).await,
        behind(&[("C1", 200), ("C2", 200)])
    );
}
}

on_both_engines! {
async fn a_channel_that_was_not_read_stays_behind_whatever_crashes(world: World) {
    world.listens(&["C1", "C2"], at(100)).await;
    world.listens(&["C1", "C2"], at(500)).await;
    world.read("C2", at(510)).await;
    world.still_listens(at(500), at(600)).await;
    let world = world.crash().await;
    assert_eq!(
        world.listens(&["C1", "C2"], at(900)).await,
        behind(&[("C1", 100), ("C2", 600)])
    );
}
}

on_both_engines! {
async fn a_channel_that_we_came_into_while_away_is_read_since_we_went(world: World) {
    world.listens(&["C1"], at(100)).await;
    world.still_listens(at(100), at(200)).await;
    assert_eq!(
        world.listens(&["C1", "C9"], at(900)).await,
        behind(&[("C1", 200), ("C9", 200)])
    );
    // It is known to be behind from now on, also when the next start comes before it is read.
    world.read("C1", at(910)).await;
    assert_eq!(
        world.listens(&["C1", "C9"], at(950)).await,
        behind(&[("C9", 200), ("C1", 910)])
    );
}
}

on_both_engines! {
async fn a_cursor_of_a_wrong_clock_is_told_and_other_spaces_are_left_alone(world: World) {
    world.listens(&["C1"], at(100)).await;
    world.still_listens(at(100), at(9_000_000)).await;
    assert_eq!(
        world.listens(&["C1"], at(300)).await,
        behind(&[("C1", 9_000_000)])
    );
    let other = Space { id: "T2".to_owned(), ..space() };
    let first = world.store.begin_listening(other, vec!["C1".to_owned()], at(400));
    assert_eq!(first.await.unwrap(), []);
}
}

on_both_engines! {
async fn what_is_said_about_a_reading_is_owed_with_it(world: World) {
    let said = posting(PostingKind::Answer, None, "I was away");
    let read = world.store.channel_read(space(), "C1".to_owned(), at(0), vec![said]);
    read.await.unwrap();
    assert_eq!(world.due_words().await, ["I was away"]);
}
}

on_both_engines! {
async fn threads_of_open_and_recent_runs_are_known(world: World) {
    for n in 1..=3 {
        let run = world.begin(n, None).await.unwrap();
        world.owe(vec![root(run.id, &format!("root {n}"))]).await;
        if n == 1 {
            world.deliver("root 1", Some("C1:1.1")).await;
        }
    }
    let (lease, _) = world.claim().await.unwrap();
    let end = world.store.record_run(&lease, vec![finished(Outcome::Cancelled)], silent(), at(500));
    end.await.unwrap();
    let threads = async |since| {
        let found = world.store.run_threads(Platform::Slack, at(since), 10).await.unwrap();
        assert!(found.iter().all(|thread| thread.place == place()));
        found.into_iter().filter_map(|thread| thread.root).count()
    };
    let all = world.store.run_threads(Platform::Slack, at(500), 10).await.unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(threads(500).await, 1, "one root was delivered");
    let open = world.store.run_threads(Platform::Slack, at(501), 10).await.unwrap();
    assert_eq!(open.len(), 2);
}
}

on_both_engines! {
async fn whoever_asks_finds_a_root_once_it_is_delivered(world: World) {
    let run = world.begin(1, None).await.unwrap().id;
    world.owe(vec![root(run, "root 1")]).await;
    assert_eq!(world.store.root_of(run, &place()).await.unwrap(), None);
    world.deliver("root 1", Some("C1:1.1")).await;
    let found = world.store.root_of(run, &place()).await.unwrap();
    assert_eq!(found.map(|root| root.0), Some("C1:1.1".to_owned()));
    let elsewhere = Place { channel: "C2".to_owned(), ..place() };
    assert_eq!(world.store.root_of(run, &elsewhere).await.unwrap(), None);
}
}
