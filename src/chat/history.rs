//! What was said while nobody listened: read from the channels' histories, and handed in like any event.
//!
//! A platform repeats nothing that it could tell nobody. A message that is read here has the key of its event: what was
//! heard before is a duplicate. Its time is the platform's, so that a command is as late as it is. What leaves no message
//! can't be read, such as slash commands, buttons and forms: there the platform tells the person that it did not arrive.

mod ear;
mod listening;
mod reading;
mod span;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::ear::Ear;
use self::listening::Listening;
use super::{CurrentCatalog, Ears, Intake};
use crate::clock::Clock;
use crate::domain::{Inbound, InboundKey, Place, Platform, RunId};
use crate::store::{RunThread, Store};

/// Waits after failures: the first, doubled up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// What a platform keeps of what was said, and lets us read. Whoever implements it keeps to the platform's pace: a page
/// that has to wait is waited for.
#[async_trait]
pub(super) trait Archive: Send + Sync {
    /// What a message of ours tells of the run that it is the root of.
    type Root: Send;

    /// Whose it is.
    fn platform(&self) -> Platform;

    /// The ids of the spaces that we are in. Asked once each time we begin to listen, before anything else.
    async fn spaces(&mut self) -> Result<Vec<String>, NotRead>;

    /// The channels of a space that we are in, direct messages too; `next` is what the listing before said of it.
    async fn channels(&mut self, space: &str, next: Option<&str>) -> Result<Channels, NotRead>;

    /// Messages of a channel, newest first, without what was said in its threads; or of the thread that `of` names, in
    /// any order. `next` is what the page before said of it.
    async fn page(
        &mut self,
        of: &Place,
        between: Between,
        next: Option<&str>,
    ) -> Result<Page<Self::Root>, NotRead>;

    /// Whether anybody said anything in a channel.
    async fn was_said(&mut self, channel: &Place, between: Between) -> Result<bool, NotRead>;

    /// Threads of a channel that its messages don't tell of.
    async fn threads(&mut self, _channel: &Place) -> Result<Vec<Thread>, NotRead> {
        Ok(Vec::new())
    }

    /// The id of the thread in which a run is talked about, by which its replies are read.
    fn thread_of(&self, run: &RunThread) -> Option<String>;

    /// The runs that roots of one channel show, and since when. Told once everything was read: with the keys of all
    /// inbounds among it, also of those that are too old to be handed in, from which a run's id follows.
    fn shown(
        &self,
        roots: Vec<(Self::Root, Timestamp)>,
        read: &BTreeSet<InboundKey>,
    ) -> Vec<(RunId, Timestamp)>;
}

/// Why something is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotRead {
    /// It is not there, or not for us.
    #[error("{0}")]
    Refused(String),
    /// Not until an operator mends tokens or permissions.
    #[error("{0}")]
    NotAllowed(String),
    /// Trying again may help.
    #[error("{0}")]
    NotNow(String),
}

/// A part of a listing of channels.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// Their ids.
    pub(super) ids: Vec<String>,
    /// How to ask for more; `None`: these were the last.
    pub(super) next: Option<String>,
}

/// Two moments; what was said between them is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Between {
    /// Nothing older.
    pub(super) oldest: Timestamp,
    /// Nothing newer.
    pub(super) latest: Timestamp,
}

/// A part of what was said in a channel or a thread.
pub(super) struct Page<Root> {
    /// What stands there.
    pub(super) messages: Vec<Written<Root>>,
    /// How to ask for more; `None`: this was the last.
    pub(super) next: Option<String>,
}

/// A message that stands in a channel or a thread.
pub(super) struct Written<Root> {
    /// The platform's id of it. Of two messages of the same moment, the one with the lesser id comes first.
    pub(super) id: String,
    /// When it was said.
    pub(super) at: Timestamp,
    /// What its event would have been, when that is for us.
    pub(super) said: Option<Inbound>,
    /// That it is the root of a run of ours.
    pub(super) root: Option<Root>,
    /// The thread that begins with it, or would.
    pub(super) thread: Option<Thread>,
}

/// A thread, and whether somebody said something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Thread {
    /// As [`Place::thread`].
    pub(super) id: String,
    /// What is known of its replies.
    pub(super) replies: Replies,
}

/// What is known of a thread's replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replies {
    /// There are none, but for ours.
    None,
    /// The newest was said then.
    Until(Timestamp),
    /// There are some.
    Some,
}

impl Thread {
    /// Whether others may have said something in it since this moment.
    pub(super) fn is_changed_since(&self, from: Timestamp) -> bool {
        match self.replies {
            Replies::None => false,
            Replies::Until(newest) => newest >= from,
            Replies::Some => true,
        }
    }
}

/// Reads what was missed: after a start, and each time we hear again after being deaf.
pub(super) struct History<A> {
    /// What is read.
    pub(super) archive: A,
    /// Keeps up to when each channel was heard.
    pub(super) store: Store,
    /// Knows which channels are of projects: those are read first.
    pub(super) catalog: CurrentCatalog,
    /// Where messages go.
    pub(super) intake: Intake,
    /// Tells the time.
    pub(super) clock: Clock,
    /// How well we hear; `None` where the platform comes to us, and repeats for a while what did not arrive.
    pub(super) ears: Option<watch::Receiver<Ears>>,
}

impl<A: Archive> History<A> {
    /// Reads until cancelled.
    ///
    /// Every replica reads for itself, and what another heard is a duplicate. Where only one shall, here is the place to
    /// ask for the right to.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        let reading = async {
            let mut ear = Ear::new(self.ears.take());
            loop {
                let beginning = ear.hears().await;
                let since = self.clock.now();
                let mut listening = Listening::begin(&mut self, since).await;
                listening.listen(&mut ear, beginning).await;
            }
        };
        cancel.run_until_cancelled(reading).await;
    }
}

/// How long to wait after a failure.
pub(super) struct Pause(Duration);

impl Pause {
    /// Nothing has failed yet.
    pub(super) fn new() -> Self {
        Self(PAUSE)
    }

    /// Waits, and makes the next wait twice as long.
    pub(super) async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}
