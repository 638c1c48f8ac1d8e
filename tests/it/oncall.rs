//! Who is on call, and shifts that persons arrange in chat: text in, thread and people out, on both stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use midwatch::clock::Clock;
use midwatch::dispatch::{Dispatch, Roster};
use midwatch::domain::{
    Block, Entry, Fact, Inbound, InboundKey, LevelName, Message, OnCall, Platform, Posting, Span,
    Text,
};

use crate::catalog::folders::Files;
use crate::world::{World, inbound, on_both_engines};

const LOOK: &str = "\
command: look
does: Looks.
steps: [{ name: x, run: [uptime], effect: read }]
";

const PEOPLE: &str = "\
people:
  ana: { name: Ana, slack: U0ANA, email: ana@example.org }
  cy: { name: Cy, slack: U0CY, email: cy@example.org }
  kim: { name: Kim, slack: U0KIM }
  dana: { name: Dana, slack: U0DANA }
  eve: { name: Eve, slack: U0EVE }
groups:
  team: [dana]
rotations:
  shop:
    zone: Europe/Berlin
    starts: 2026-01-05 09:00
    every: 7d
    levels: { oncall: [ana, cy], secondary: [cy, ana] }
  night: { zone: UTC, starts: 2026-01-05 09:00, every: 1d, levels: { oncall: [kim] } }
";

pub(crate) const SHOP: &str = "\
project: shop
about: The shop.
owner: team
channels: [C1]
rules:
  - { may: look, who: oncall(shop) }
  - otherwise: call oncall(shop)
escalation:
  - { at: 0m, call: oncall(shop) }
  - { at: 5m, call: secondary(shop) }
  - { at: 15m, call: team, say_so: true }
";

/// Wednesday noon in Berlin; Ana is on call.
pub(crate) fn noon() -> Timestamp {
    "2026-01-07T11:00:00Z".parse().unwrap()
}

/// A dispatch on a store, with people who type.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) dispatch: Dispatch,
    pub(crate) clock: Clock,
    said: u32,
}

impl House {
    pub(crate) fn on(world: World) -> Self {
        Self::with(world, SHOP)
    }

    pub(crate) fn with(world: World, runbook: &str) -> Self {
        let files = Files::empty()
            .with("runbooks/people.yaml", PEOPLE)
            .with("runbooks/shop.yaml", runbook)
            .with(
                "runbooks/shop.md",
                "# The shop\n\n## Known troubles\n\nIt hangs.\n",
            )
            .with("commands/look.yaml", LOOK);
        let loaded = midwatch::catalog::load(&files.folders(), &BTreeMap::new());
        assert!(!loaded.has_errors(), "{}", files.rendered());
        let files = Arc::new(ArcSwap::from_pointee(loaded.catalog));
        let view = Arc::new(ArcSwap::new(files.load_full()));
        let clock = Clock::steered(noon());
        let roster = Roster::new(
            files,
            Arc::clone(&view),
            world.store.clone(),
            Vec::new(),
            [Platform::Slack].into(),
        );
        let dispatch = Dispatch {
            store: world.store.clone(),
            catalog: view,
            roster: Some(Arc::new(roster)),
            clock: clock.clone(),
            mirrors_on: vec![Platform::Slack],
        };
        Self {
            world,
            dispatch,
            clock,
            said: 0,
        }
    }

    /// Somebody types it now; answers what is owed for it, a posting a paragraph.
    pub(crate) async fn says(&mut self, id: &str, text: &str) -> String {
        self.receive(id, text).await;
        self.delivered().await.join("\n\n")
    }

    /// Several type at the same moment.
    pub(crate) async fn receive_together(&mut self, said: &[(&str, &str)]) {
        for (id, text) in said {
            self.said += 1;
            let said = self.said(id, text);
            self.world.store.receive(said).await.unwrap();
        }
        assert_eq!(self.dispatch.dispatch_waiting().await.unwrap(), said.len());
    }

    /// Somebody types it now, and it is concluded.
    pub(crate) async fn receive(&mut self, id: &str, text: &str) {
        self.said += 1;
        let said = self.said(id, text);
        self.world.store.receive(said).await.unwrap();
        assert_eq!(self.dispatch.dispatch_waiting().await.unwrap(), 1);
    }

    fn said(&self, id: &str, text: &str) -> Inbound {
        let mut inbound = inbound(1);
        inbound.key = InboundKey::new(&["said", &self.said.to_string()]);
        id.clone_into(&mut inbound.speaker.id);
        text.clone_into(&mut inbound.text);
        (inbound.sent_at, inbound.received_at) = (self.clock.now(), self.clock.now());
        inbound
    }

    /// Takes everything that is owed as a platform would, in the order in which it came to be.
    pub(crate) async fn delivered(&self) -> Vec<String> {
        let store = &self.world.store;
        let mut taken = Vec::new();
        loop {
            let due = store.due_postings(Platform::Slack, Timestamp::MAX, 200);
            let due = due.await.unwrap();
            if due.is_empty() {
                taken.sort_by_key(|(id, _)| *id);
                return taken.into_iter().map(|(_, shown)| shown).collect();
            }
            let duty = self.world.duty().await;
            for due in due {
                store.begin_posting(&duty, due.id).await.unwrap();
                let message = Some(midwatch::store::MessageRef(format!("m{}", due.id.0)));
                let delivered = store.posting_delivered(&duty, due.id, due.version, message);
                delivered.await.unwrap();
                taken.push((due.id, shown(&due.posting)));
            }
        }
    }

    pub(crate) fn holder(&self, level: &str, rotation: &str, now: &str) -> String {
        let of = OnCall {
            level: LevelName::parse(level).unwrap(),
            rotation: rotation.parse().unwrap(),
        };
        let view = self.dispatch.catalog.load();
        let holder = view.people.on_call(&of, now.parse().unwrap());
        holder.map_or("nobody".to_owned(), ToString::to_string)
    }

    /// The facts of the ledger that are not of every inbound.
    pub(crate) async fn facts(&self) -> Vec<Fact> {
        let mut lines = Vec::new();
        self.world.store.export(&mut lines).await.unwrap();
        let lines = String::from_utf8(lines).unwrap();
        let entries = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Entry>(line).ok());
        let facts = entries.map(|entry| entry.fact);
        facts
            .filter(|fact| !matches!(fact, Fact::Received { .. }))
            .collect()
    }
}

/// `to C1:` and what it says.
pub(crate) fn shown(posting: &Posting) -> String {
    let thread = posting
        .to
        .thread
        .as_ref()
        .map_or(String::new(), |it| format!(" in {it}"));
    format!(
        "to {}{thread}:\n{}",
        posting.to.channel,
        printed(&posting.message)
    )
}

pub(crate) fn printed(message: &Message) -> String {
    let block = |block: &Block| match block {
        Block::Text(text) => words(text),
        Block::Fields(fields) => {
            let fields = fields
                .iter()
                .map(|it| format!("  {}: {}", it.label, words(&it.value)));
            fields.collect::<Vec<_>>().join("\n")
        }
        Block::Buttons(buttons) => {
            let buttons = buttons
                .iter()
                .map(|it| format!("[{} → {}]", it.label, it.says));
            buttons.collect::<Vec<_>>().join(" ")
        }
        Block::Progress { done, total } => format!("{done} of {total}"),
        Block::Output(_) => panic!("{block:?}"),
    };
    message
        .blocks
        .iter()
        .map(block)
        .collect::<Vec<_>>()
        .join("\n")
}

fn words(text: &Text) -> String {
    let span = |span: &Span| match span {
        Span::Plain(words) | Span::Bold(words) => words.clone(),
        Span::Code(words) => format!("`{words}`"),
        Span::Person(person) => format!("@{person}"),
        Span::Ping(person) => format!("@@{person}"),
        Span::Time(at) => at.to_string(),
        Span::Thread(thread) => thread.message.clone(),
    };
    text.0.iter().map(span).collect()
}

on_both_engines! {
async fn a_shift_is_given_away_and_everybody_concerned_is_told(world: World) {
    let mut house = House::on(world);
    assert_eq!(house.holder("oncall", "shop", "2026-01-10T12:00:00Z"), "ana");
    let told = house.says("U0ANA", "oncall cover @cy sat oncall(shop)").await;
    insta::assert_snapshot!("given_away", told);
    assert_eq!(house.holder("oncall", "shop", "2026-01-10T12:00:00Z"), "cy");
    assert_eq!(house.holder("oncall", "shop", "2026-01-10T23:00:00Z"), "ana");
    let facts = house.facts().await;
    let Some(Fact::Covered { covers, rotation, .. }) = facts.last() else {
        panic!("{facts:?}");
    };
    assert_eq!((rotation.as_str(), covers.len()), ("shop", 1));
}

async fn two_persons_swap_the_same_days(world: World) {
    let mut house = House::on(world);
    let told = house.says("U0ANA", "oncall swap @cy sat oncall(shop)").await;
    insta::assert_snapshot!("swapped", told);
    assert_eq!(house.holder("oncall", "shop", "2026-01-10T12:00:00Z"), "cy");
    assert_eq!(house.holder("oncall", "shop", "2026-01-17T12:00:00Z"), "ana");
    assert_eq!(house.holder("oncall", "shop", "2026-01-18T12:00:00Z"), "cy");
}

async fn what_is_given_back_may_be_named(world: World) {
    let mut house = House::on(world);
    house.says("U0ANA", "oncall swap @cy sat for 2026-01-13 oncall(shop)").await;
    assert_eq!(house.holder("oncall", "shop", "2026-01-10T12:00:00Z"), "cy");
    assert_eq!(house.holder("oncall", "shop", "2026-01-13T12:00:00Z"), "ana");
}

async fn a_later_arrangement_counts_and_so_takes_one_back(world: World) {
    let mut house = House::on(world);
    house.says("U0ANA", "oncall cover @cy sat oncall(shop)").await;
    house.says("U0ANA", "oncall cover @ana sat oncall(shop)").await;
    assert_eq!(house.holder("oncall", "shop", "2026-01-10T12:00:00Z"), "ana");
}

async fn nobody_comes_into_a_rotation_by_chat(world: World) {
    let mut house = House::on(world);
    let rows = [
        // Whoever is given a shift could do what those on call may.
        ("to one who takes no part", "U0ANA", "oncall cover @eve sat oncall(shop)"),
        ("by one who takes no part", "U0EVE", "oncall cover @eve sat oncall(shop)"),
        ("of another rotation", "U0KIM", "oncall cover sat oncall(shop)"),
        ("a stranger", "U0WHO", "oncall cover @ana sat"),
        ("none held", "U0KIM", "oncall swap @ana sat oncall(shop)"),
        ("which level", "U0ANA", "oncall cover @cy mon-sun"),
        ("over", "U0ANA", "oncall cover @cy 2026-01-06 oncall(shop)"),
        ("too long", "U0ANA", "oncall cover @cy 2026-02-01..2026-03-31 oncall(shop)"),
        ("too far", "U0ANA", "oncall cover @cy 2028-02-01 oncall(shop)"),
        ("not theirs", "U0ANA", "oncall swap @cy sat for sun oncall(shop)"),
    ];
    let mut told = String::new();
    for (name, id, text) in rows {
        told.push_str(&format!("## {name}\n{}\n\n", house.says(id, text).await));
    }
    insta::assert_snapshot!("refused", told);
    assert!(house.world.store.covers().await.unwrap().known.is_empty());
    // An owner of the project may, and for others.
    house.says("U0DANA", "oncall cover @ana tomorrow secondary(shop)").await;
    assert_eq!(house.holder("secondary", "shop", "2026-01-08T12:00:00Z"), "ana");
}

async fn two_who_arrange_at_the_same_moment_both_count_in_order(world: World) {
    let mut house = House::on(world);
    for (id, text) in [("U0ANA", "oncall cover @cy sat oncall(shop)"), ("U0CY", "oncall cover sun oncall(shop)")] {
        house.said += 1;
        house.world.store.receive(house.said(id, text)).await.unwrap();
    }
    assert_eq!(house.dispatch.dispatch_waiting().await.unwrap(), 2);
    let covers = house.world.store.covers().await.unwrap();
    assert_eq!((covers.known.len(), covers.last), (2, 2));
}

async fn arranged_shifts_outlive_a_restart(world: World) {
    let mut house = House::on(world);
    house.says("U0ANA", "oncall cover @cy sat oncall(shop)").await;
    let House { world, dispatch, .. } = house;
    drop(dispatch);
    let house = House::on(world.crash().await);
    house.dispatch.roster.as_ref().unwrap().read_links().await;
    assert_eq!(house.holder("oncall", "shop", "2026-01-10T12:00:00Z"), "cy");
}

async fn who_is_on_call_is_told_with_the_next_hand_over(world: World) {
    let mut house = House::on(world);
    house.says("U0ANA", "oncall cover @cy 4h oncall(shop)").await;
    let told = house.says("U0EVE", "oncall").await;
    insta::assert_snapshot!("on_call", told);
}
}
