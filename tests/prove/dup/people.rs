//! What people say and press, and how often a platform tells it: by one way and by another, to one replica and to the
//! other, at the same moment and long afterwards. What differs between the platforms, each of them says for itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use midwatch::domain::{InboundKey, RunId};
use rand::Rng;
use rand::rngs::StdRng;

use super::yard::Kind;
use crate::bot::Home;

/// Something that somebody typed, pressed or filled in: one inbound, however often it is told.
#[derive(Clone)]
pub(super) struct Thing<D> {
    /// As the ledger should know it.
    pub(super) key: String,
    pub(super) channel: String,
    /// What it runs; `None` for a press that is about another's run, and for what is answered by a form.
    pub(super) runs: Option<(&'static Kind, String)>,
    /// What may be told of it: any of these, again and again.
    pub(super) told_as: Arc<Vec<D>>,
}

impl<D> Thing<D> {
    /// The run that comes of it.
    pub(super) fn run(&self) -> RunId {
        RunId::of_inbound(&InboundKey::new(&[&self.key]))
    }

    /// Whether others have to consent to it.
    pub(super) fn awaits_consent(&self) -> bool {
        self.runs
            .as_ref()
            .is_some_and(|(kind, _)| kind.consents > 0)
    }
}

/// A platform with people on it, by one of its doors or by several.
#[async_trait]
pub(super) trait Platform: Send + Sync + 'static {
    /// What can be told again and again.
    type Delivery: Clone + Send + Sync + 'static;

    /// Sets a midwatch up for it.
    fn settings(&self, home: Home) -> Home;

    /// Whether as many replicas listen as are up, and can be spoken to.
    fn hears(&self, replicas: usize) -> bool;

    /// Whether more may be counted than was told: histories are read, or one telling is heard by several.
    fn counts_more(&self) -> bool;

    /// Somebody says something, in a way that the random numbers choose.
    fn say(&self, number: usize, channel: &str, random: &mut StdRng) -> Thing<Self::Delivery>;

    /// What people do about it once they see what came of it; `None`: they don't see it yet.
    fn next(&self, of: &Thing<Self::Delivery>) -> Option<Vec<Thing<Self::Delivery>>>;

    /// Tells it once more: to one of these addresses, or over what is connected.
    async fn tell(
        &self,
        thing: &Thing<Self::Delivery>,
        addresses: &[String],
        random: &mut StdRng,
    ) -> Told;

    /// Disturbs a connection, if it has some. `alone`: nobody else listens meanwhile, and nothing is told.
    fn trouble(&self, _alone: bool, _random: &mut StdRng) {}

    /// What midwatch wrote, as people see it.
    fn lines(&self, things: &[Thing<Self::Delivery>]) -> Vec<Line>;

    /// What people were answered in a way that they should not be.
    fn misanswers(&self, _things: &[Thing<Self::Delivery>]) -> Vec<String> {
        Vec::new()
    }

    /// Everything that a well-behaved app would not have done.
    fn violations(&self) -> Vec<String>;
}

/// What became of one telling.
pub(super) struct Told {
    pub(super) by_http: bool,
    /// It was marked as a repetition.
    pub(super) as_retry: bool,
    /// How it was answered, when that was wrong.
    pub(super) wrong: Option<String>,
}

/// A message of midwatch's.
pub(super) struct Line {
    /// What it is known by: no two have the same.
    pub(super) mark: String,
    pub(super) says: String,
    pub(super) part: Part,
}

/// What of a run's thread a message is.
pub(super) enum Part {
    /// The root of this run.
    Root(String),
    /// A line in the thread of this run.
    Line(String),
    /// Of no run.
    Stray,
}

/// How often a thing is told, and when.
pub(super) struct Telling {
    /// At the same moment.
    pub(super) at_once: usize,
    /// Soon after, while it is done.
    pub(super) soon: usize,
    /// When all has ended.
    pub(super) ended: usize,
    /// When replicas have been started again too.
    pub(super) restarted: usize,
}

impl Telling {
    pub(super) fn any(random: &mut StdRng) -> Self {
        Self {
            at_once: random.random_range(4..=8),
            soon: random.random_range(4..=8),
            ended: random.random_range(3..=5),
            restarted: random.random_range(3..=5),
        }
    }

    pub(super) fn wait(random: &mut StdRng) -> Duration {
        Duration::from_millis(random.random_range(0..1_800))
    }
}
