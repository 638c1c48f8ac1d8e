//! Three in the morning, without processes: what people type, what is decided, and what everybody reads then. The clock
//! stands still until a test moves it; runs end when a test says how.

mod again;
mod approvals;
mod calls;
mod clicks;
mod glass;
mod limits;
mod locks;
mod orient;
mod second_factor;
mod shift;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use midwatch::chat::console::Paint;
use midwatch::clock::Clock;
use midwatch::dispatch::Dispatch;
use midwatch::domain::{
    Catalog, Entry, Fact, Inbound, InboundKey, Outcome, Platform, PostingKind, Reference, Run,
    RunEvent, StepResult,
};
use midwatch::engine::pager::{Outside, Pager};
use midwatch::store::{Conclusion, MessageRef, RunFilter, StoreError, WorkerId};

use crate::catalog::folders::Files;
use crate::world::{MINUTE, World, inbound, silent};

const PEOPLE: &str = "\
people:
  ana: { name: Ana Ruiz, slack: U0ANA }
  bo: { name: Bo Lind, slack: U0BO }
  cy: { name: Cy Park, slack: U0CY }
  dana: { name: Dana Weiss, slack: U0DANA }
  eve: { name: Eve Stone, slack: U0EVE }
groups:
  engineering: [ana, bo, cy]
  team-shop: [ana, cy]
  security: [dana]
";
const FLUSH: &str = "\
command: flush
does: Empties the page cache.
undo: none, it refills by itself
check: look
fresh: 10m
one_at_a_time: environment
parameters:
  environment: { type: environment }
steps: [{ name: ban, run: [uptime], effect: idempotent }]
";
const LOOK: &str = "\
command: look
does: Looks at the cache.
parameters:
  environment: { type: environment }
steps: [{ name: look, run: [uptime], effect: read }]
";
const SHOP: &str = "\
project: shop
about: The web shop.
owner: team-shop
channels: [C1, C2]
environments: { staging: {}, prod: {} }
rules:
  - { may: reads, who: engineering }
  - { may: flush, who: engineering }
  - otherwise: ask in #shop-help
";

/// A project's channel at night.
pub(crate) struct Night {
    world: World,
    dispatch: Dispatch,
    files: Files,
    said: u32,
    delivered: u32,
}

fn read(files: &Files) -> Catalog {
    let loaded = midwatch::catalog::load(&files.folders(), &BTreeMap::new());
    let errors = loaded.diagnostics.iter().filter(|it| it.is_error());
    assert_eq!(errors.count(), 0, "{}", files.rendered());
    loaded.catalog
}

/// What came of something that was said.
#[derive(Debug)]
pub(crate) struct Heard {
    /// What the ledger holds of it.
    pub(crate) entries: Vec<Entry>,
    /// What people read, each with who sees it.
    pub(crate) told: Vec<String>,
}

impl Heard {
    /// The words of what one person alone was told.
    pub(crate) fn alone(&self) -> &str {
        let found = self.told.iter().find_map(|it| it.strip_prefix("to U"));
        found.unwrap_or_else(|| panic!("nobody was told alone: {:#?}", self.told))
    }

    /// The stable word of the refusal.
    pub(crate) fn refusal(&self) -> &str {
        let found = self.entries.iter().find_map(|entry| match &entry.fact {
            Fact::Refused { refusal, .. } => Some(refusal.as_str()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("it was not refused: {:#?}", self.entries))
    }
}

impl Night {
    /// On the usual files.
    pub(crate) async fn usual() -> Self {
        Self::of(&[]).await
    }

    /// On the usual files and these, which may stand for some of them.
    pub(crate) async fn of(files: &[(&str, &str)]) -> Self {
        Self::on(World::new().await, files)
    }

    /// The same, on this store.
    pub(crate) fn on(world: World, more: &[(&str, &str)]) -> Self {
        let files = Files::empty()
            .with("runbooks/people.yaml", PEOPLE)
            .with("runbooks/shop.yaml", SHOP)
            .with("commands/flush.yaml", FLUSH)
            .with("commands/look.yaml", LOOK);
        for (name, text) in more {
            files.write(name, text);
        }
        let catalog = read(&files);
        let dispatch = Dispatch {
            store: world.store.clone(),
            catalog: Arc::new(ArcSwap::from_pointee(catalog)),
            roster: None,
            clock: Clock::steered("2026-01-14T03:00:00Z".parse().unwrap()),
            mirrors_on: vec![Platform::Slack],
        };
        Self {
            world,
            dispatch,
            files,
            said: 0,
            delivered: 0,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.dispatch.clock.now()
    }

    /// A file changes, and is taken.
    pub(crate) fn writes(&self, name: &str, text: &str) {
        self.files.write(name, text);
        self.dispatch.catalog.store(Arc::new(read(&self.files)));
    }

    /// Time passes.
    pub(crate) fn pass(&self, by: Duration) {
        self.dispatch.clock.set(self.now() + by);
    }

    /// It is this moment.
    pub(crate) fn at(&self, moment: &str) {
        self.dispatch.clock.set(moment.parse().unwrap());
    }

    /// Somebody types this in the shop's first channel.
    pub(crate) async fn says(&mut self, who: &str, text: &str) -> Heard {
        self.says_in("C1", who, text).await
    }

    fn inbound(&mut self, channel: &str, who: &str, text: &str) -> Inbound {
        self.said += 1;
        let mut inbound = inbound(self.said);
        inbound.key = InboundKey::new(&["said", &self.said.to_string()]);
        inbound.speaker.id = format!("U0{}", who.to_uppercase());
        channel.clone_into(&mut inbound.place.channel);
        text.clone_into(&mut inbound.text);
        inbound.sent_at = self.now();
        inbound.received_at = self.now();
        inbound
    }

    /// Somebody types this in a channel.
    pub(crate) async fn says_in(&mut self, channel: &str, who: &str, text: &str) -> Heard {
        let inbound = self.inbound(channel, who, text);
        let before = self.entries().await.len();
        self.world.store.receive(inbound).await.unwrap();
        assert_eq!(self.dispatch.dispatch_waiting().await.unwrap(), 1);
        let told = self.deliver().await;
        let entries = self.entries().await.split_off(before);
        Heard { entries, told }
    }

    /// Somebody types this, and it is decided on; nothing is recorded yet.
    pub(crate) async fn walks(&mut self, who: &str, text: &str) -> Conclusion {
        let inbound = self.inbound("C1", who, text);
        let store = &self.world.store;
        store.receive(inbound.clone()).await.unwrap();
        self.dispatch.walk(&inbound, self.now()).await.unwrap()
    }

    /// What was decided on is recorded.
    pub(crate) async fn concludes(&self, walked: Conclusion) -> Result<(), StoreError> {
        self.world.store.conclude(walked, self.now()).await
    }

    /// What is due without anybody's word is done; answers what people read then.
    pub(crate) async fn tend(&mut self) -> Vec<String> {
        self.dispatch.tend_once().await.unwrap();
        self.deliver().await
    }

    /// Whoever is to be called by now is; answers what people read then.
    pub(crate) async fn calls(&mut self) -> Vec<String> {
        let pager = Pager {
            store: self.world.store.clone(),
            catalog: Arc::clone(&self.dispatch.catalog),
            clock: self.dispatch.clock.clone(),
            spoken: vec![Platform::Slack],
            outside: Outside::default(),
        };
        pager.tick().await.unwrap();
        self.deliver().await
    }

    /// What people call the page that is open.
    pub(crate) async fn page(&self) -> String {
        let open = self.world.store.open_pages(None, 1).await.unwrap();
        open[0].page.reference.to_string()
    }

    /// How many runs there are.
    pub(crate) async fn runs(&self) -> usize {
        let all = RunFilter {
            limit: 1_000,
            ..RunFilter::default()
        };
        self.world.store.runs(&all).await.unwrap().known.len()
    }

    /// All runs that are open are done, and well.
    pub(crate) async fn end_all(&self) {
        let open = RunFilter {
            open: true,
            limit: 1_000,
            ..RunFilter::default()
        };
        for _ in self.world.store.runs(&open).await.unwrap().known {
            self.succeeds().await;
        }
    }

    async fn entries(&self) -> Vec<Entry> {
        let mut lines = Vec::new();
        self.world.store.export(&mut lines).await.unwrap();
        let lines = String::from_utf8(lines).unwrap();
        // The last line is the checkpoint.
        let entries = lines
            .lines()
            .filter(|line| !line.starts_with("{\"checkpoint\""));
        let entry = |line| serde_json::from_str(line).expect("an entry");
        entries.map(entry).collect()
    }

    /// Slack takes all that is owed; answers what people read then.
    pub(crate) async fn deliver(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        let worker = WorkerId(format!("{}/worker", self.world.store.home()));
        let now = self.now();
        let store = &self.world.store;
        let duty = store.take_duty(Platform::Slack, &worker, now, MINUTE);
        let duty = duty.await.unwrap().expect("nobody else has it");
        loop {
            let due = store.due_postings(Platform::Slack, now, 100).await.unwrap();
            if due.is_empty() {
                return told;
            }
            for due in due {
                store.begin_posting(&duty, due.id).await.unwrap();
                self.delivered += 1;
                let (to, sent) = (&due.posting.to, self.delivered);
                let message = MessageRef(format!("{}:{sent}.0", to.channel));
                let (sees, message) = match &due.posting.kind {
                    PostingKind::Whisper { speaker, .. } => (format!("to {speaker}"), None),
                    PostingKind::Form { speaker, .. } => (format!("form for {speaker}"), None),
                    PostingKind::Root => (format!("in {}", to.channel), Some(message)),
                    PostingKind::Line { .. } | PostingKind::Output { .. } | PostingKind::Answer => {
                        (format!("in {}'s thread", to.channel), Some(message))
                    }
                };
                let catalog = self.dispatch.catalog.load();
                let paint = Paint {
                    colour: false,
                    people: &catalog.people,
                    now,
                    columns: None,
                };
                told.push(format!("{sees}: {}", paint.message(&due.posting.message)));
                let done = store.posting_delivered(&duty, due.id, due.version, message);
                done.await.unwrap();
            }
        }
    }

    /// The run that was begun last.
    pub(crate) async fn last_run(&self) -> Run {
        let last = RunFilter {
            limit: 1,
            ..RunFilter::default()
        };
        self.world.store.runs(&last).await.unwrap().known.remove(0)
    }

    /// Its reference.
    pub(crate) async fn last(&self) -> Reference {
        self.last_run().await.reference
    }

    /// Of the run that waits to be done, the step begins; it is done when `ends` says how.
    pub(crate) async fn work(&self, ends: Option<(StepResult, Outcome)>) {
        let worker = WorkerId(format!("{}/worker", self.world.store.home()));
        let store = &self.world.store;
        let claimed = store.claim_run(&worker, &[], self.now(), MINUTE).await;
        let (lease, run) = claimed.unwrap().expect("a run waits to be done");
        let step = run.plan.as_ref().unwrap().steps[0].name.clone();
        let mut events = vec![RunEvent::StepStarted {
            position: 0,
            step: step.clone(),
            attempt: 1,
        }];
        if let Some((result, outcome)) = ends {
            let ended = RunEvent::StepEnded {
                position: 0,
                step,
                attempt: 1,
                result,
                elapsed_ms: 1_200,
                output_sha256: None,
            };
            let finished = RunEvent::Finished {
                outcome,
                elapsed_ms: 1_500,
            };
            events.extend([ended, finished]);
        }
        let done = store.record_run(&lease, events, silent(), self.now());
        done.await.unwrap();
    }

    /// It is done, and well.
    pub(crate) async fn succeeds(&self) {
        let note = String::new();
        self.work(Some((StepResult::Succeeded { note }, Outcome::Succeeded)))
            .await;
    }
}
