//! Links: codes that count once, for one person and one account, and only a few times; accounts of one person.

use midwatch::domain::{Account, Link, LinkCode, Platform};
use midwatch::store::{Change, LinkChange, MOST_CODES, MOST_TRIES, NewLink, OpenLink, StoreError};

use crate::world::{World, at, conclusion, inbound, on_both_engines};

const MINUTE_MS: i64 = 60_000;

fn account(id: &str) -> Account {
    Account::parse(Platform::Discord, id).unwrap()
}

fn slack(id: &str) -> Account {
    Account::parse(Platform::Slack, id).unwrap()
}

fn link(id: &str, person: &str) -> Link {
    Link {
        account: account(id),
        person: person.parse().unwrap(),
    }
}

fn code(text: &str) -> LinkCode {
    LinkCode::parse(text).unwrap()
}

impl World {
    async fn changes(&self, n: u32, change: LinkChange, now: i64) -> Result<(), StoreError> {
        self.store.receive(inbound(n)).await?;
        let conclusion = conclusion(n, Change::Link(change));
        self.store.conclude(conclusion, at(now)).await
    }

    async fn asks(&self, n: u32, link: Link, text: &str, now: i64) -> Result<(), StoreError> {
        let new = NewLink::new(link, slack("U1"), &code(text));
        self.changes(n, LinkChange::Asked(Box::new(new)), now).await
    }

    async fn open(&self, person: &str, from: &str, now: i64) -> Vec<OpenLink> {
        let person = person.parse().unwrap();
        let from = slack(from);
        let open = self.store.open_links(&person, &from, at(now));
        open.await.unwrap().0
    }

    async fn linked(&self) -> Vec<Link> {
        let links = self.store.links().await.unwrap();
        links.into_iter().map(|linked| linked.link).collect()
    }
}

on_both_engines! {
async fn a_code_links_once_for_who_asked_from_where_they_asked(world: World) {
    world.asks(1, link("803", "bo"), "ABCDEFGH", 0).await.unwrap();
    assert!(world.open("ana", "U1", 1).await.is_empty(), "it is bo's");
    assert!(world.open("bo", "U2", 1).await.is_empty(), "from another account");
    let open = world.open("bo", "U1", 1).await;
    assert!(open[0].is(&code("abcd-efgh")) && !open[0].is(&code("ABCDEFGJ")));
    assert_eq!(world.linked().await, []);
    let used = LinkChange::Linked(Box::new(open[0].clone()));
    world.changes(2, used.clone(), 1).await.unwrap();
    assert_eq!(world.linked().await, [link("803", "bo")]);
    let again = world.changes(3, used, 2).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    assert!(world.open("bo", "U1", 2).await.is_empty());
}

async fn a_code_lives_ten_minutes(world: World) {
    world.asks(1, link("803", "bo"), "ABCDEFGH", 0).await.unwrap();
    let open = world.open("bo", "U1", 10 * MINUTE_MS - 1).await;
    assert_eq!(open.len(), 1);
    assert!(world.open("bo", "U1", 10 * MINUTE_MS).await.is_empty());
    let late = LinkChange::Linked(Box::new(open[0].clone()));
    let late = world.changes(2, late, 10 * MINUTE_MS).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    assert_eq!(world.linked().await, []);
}

async fn five_wrong_codes_end_a_code_and_none_is_counted_twice(world: World) {
    world.asks(1, link("803", "bo"), "ABCDEFGH", 0).await.unwrap();
    for n in 0..MOST_TRIES {
        let open = world.open("bo", "U1", 1).await;
        assert_eq!(open[0].tries_left(), MOST_TRIES - n);
        let missed = LinkChange::Missed(open);
        world.changes(10 + n, missed.clone(), 1).await.unwrap();
        let twice = world.changes(20 + n, missed, 1).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "guessed at the same time");
    }
    assert!(world.open("bo", "U1", 1).await.is_empty());
}

async fn a_person_has_a_few_codes_out_and_no_more(world: World) {
    for n in 0..u32::try_from(MOST_CODES).unwrap() {
        let asked = world.asks(n, link(&format!("80{n}"), "bo"), "ABCDEFGH", 0);
        asked.await.unwrap();
    }
    let one_more = world.asks(9, link("809", "bo"), "ABCDEFGH", 1).await;
    assert!(matches!(one_more, Err(StoreError::Conflict(_))), "{one_more:?}");
    world.asks(10, link("809", "ana"), "ABCDEFGH", 1).await.unwrap();
    // Those that came to nothing are forgotten.
    world.asks(11, link("809", "bo"), "ABCDEFGH", 10 * MINUTE_MS).await.unwrap();
    assert_eq!(world.open("bo", "U1", 10 * MINUTE_MS).await.len(), 1);
}

async fn an_account_speaks_for_one_person_until_they_unlink_it(world: World) {
    world.asks(1, link("803", "bo"), "ABCDEFGH", 0).await.unwrap();
    world.asks(2, link("7/803", "ana"), "HGFEDCBA", 0).await.unwrap();
    let (bos, anas) = (world.open("bo", "U1", 1).await, world.open("ana", "U1", 1).await);
    let first = LinkChange::Linked(Box::new(bos[0].clone()));
    world.changes(3, first, 1).await.unwrap();
    let second = LinkChange::Linked(Box::new(anas[0].clone()));
    let refused = world.changes(4, second.clone(), 1).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    let not_theirs = world.changes(5, LinkChange::Unlinked(link("803", "ana")), 1).await;
    assert!(matches!(not_theirs, Err(StoreError::Conflict(_))), "{not_theirs:?}");
    world.changes(6, LinkChange::Unlinked(link("803", "bo")), 1).await.unwrap();
    assert_eq!(world.linked().await, []);
    // A conflict concludes nothing: the inbound is walked again.
    let again = world.store.conclude(conclusion(4, Change::Link(second)), at(2)).await;
    again.unwrap();
    assert_eq!(world.linked().await, [link("7/803", "ana")]);
}

async fn a_link_outlives_a_restart_and_other_replicas_see_it(world: World) {
    world.asks(1, link("803", "bo"), "ABCDEFGH", 0).await.unwrap();
    let open = world.open("bo", "U1", 1).await;
    world.changes(2, LinkChange::Linked(Box::new(open[0].clone())), 1).await.unwrap();
    if world.store.has_replicas() {
        let other = world.replica().await;
        assert_eq!(other.linked().await, [link("803", "bo")]);
    }
    let world = world.crash().await;
    assert_eq!(world.linked().await, [link("803", "bo")]);
}
}
