//! Runs as they go on: server-sent events. All who follow one run share one reader of it; there is a bound on all of them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::shape;
use crate::domain::RunId;
use crate::store::{Store, StoreError};

/// How many may follow runs at the same time.
const MOST_FOLLOWERS: usize = 256;
/// How often a reader looks without a hint that anything was committed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long one may follow without showing the token again: what was revoked meanwhile ends then.
const FOLLOW_AT_MOST: Duration = Duration::from_mins(5);
/// How often a line says that the connection lives.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// What happened to a run so far, in order.
#[derive(Clone, Default)]
struct Told {
    events: Arc<Vec<Happened>>,
    /// Whether nothing more comes.
    ended: bool,
}

struct Happened {
    sequence: u64,
    word: &'static str,
    said: String,
}

/// Readers of the runs that somebody follows.
pub(super) struct Feeds {
    store: Store,
    stop: CancellationToken,
    places: Arc<Semaphore>,
    runs: Mutex<HashMap<RunId, watch::Receiver<Told>>>,
    /// Ended with this.
    readers: Mutex<JoinSet<()>>,
}

impl Feeds {
    pub(super) fn new(store: Store, stop: CancellationToken) -> Self {
        Self {
            store,
            stop,
            places: Arc::new(Semaphore::new(MOST_FOLLOWERS)),
            runs: Mutex::new(HashMap::new()),
            readers: Mutex::new(JoinSet::new()),
        }
    }

    /// The run's events behind this sequence, and those that come. `None` when too many follow already.
    pub(super) fn follow(&self, run: RunId, after: Option<u64>) -> Option<Response> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let follower = Follower {
            told: self.feed(run),
            after,
            stop: self.stop.clone(),
            until: Instant::now() + FOLLOW_AT_MOST,
            _place: place,
        };
        let events = stream::unfold(follower, |mut follower| async move {
            let events = follower.next().await?;
            Some((stream::iter(events), follower))
        });
        let events = futures_util::StreamExt::flatten(events);
        let alive = KeepAlive::new().interval(ALIVE_EVERY);
        Some(Sse::new(events).keep_alive(alive).into_response())
    }

    /// The run's reader; begins one where there is none, or where it has ended.
    fn feed(&self, run: RunId) -> watch::Receiver<Told> {
        let mut feeds = lock(&self.runs);
        feeds.retain(|_, told| told.has_changed().is_ok());
        if let Some(told) = feeds.get(&run) {
            return told.clone();
        }
        let (sender, told) = watch::channel(Told::default());
        feeds.insert(run, told.clone());
        let (store, stop) = (self.store.clone(), self.stop.clone());
        let mut readers = lock(&self.readers);
        while readers.try_join_next().is_some() {}
        readers.spawn(async move {
            stop.run_until_cancelled(read(&store, run, &sender)).await;
        });
        told
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads until the run has ended, or nobody follows it: the one receiver that is left then is the map's.
async fn read(store: &Store, run: RunId, sender: &watch::Sender<Told>) {
    let mut changes = store.changes();
    loop {
        changes.mark_unchanged();
        match look(store, run).await {
            Ok(told) => {
                let ended = told.ended;
                sender.send_if_modified(|before| {
                    let is_news = told.events.len() != before.events.len() || ended != before.ended;
                    if is_news {
                        *before = told;
                    }
                    is_news
                });
                if ended {
                    return;
                }
            }
            // /readyz says when the store is not well; whoever follows waits.
            Err(why) => warn!(run.id = %run, "a run can't be followed for now: {why}"),
        }
        if sender.receiver_count() <= 1 {
            return;
        }
        // A hint only.
        let _ = tokio::time::timeout(LOOK_EVERY, changes.changed()).await;
    }
}

async fn look(store: &Store, run: RunId) -> Result<Told, StoreError> {
    // The run first: what ends it stands in the history that is read after.
    let known = store.run(run).await?;
    let ended = known.as_ref().is_none_or(|it| it.outcome().is_some());
    let history = store.history(run).await?;
    let events = history.entries.iter().filter_map(|entry| {
        let (word, said) = shape::event(entry, known.as_ref())?;
        Some(Happened {
            sequence: entry.sequence,
            word,
            said: said.to_string(),
        })
    });
    Ok(Told {
        events: Arc::new(events.collect()),
        ended,
    })
}

/// One who follows.
struct Follower {
    told: watch::Receiver<Told>,
    after: Option<u64>,
    stop: CancellationToken,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// The events that are news to this one; `None`: nothing more comes.
    async fn next(&mut self) -> Option<Vec<Result<Event, Infallible>>> {
        loop {
            let told = self.told.borrow_and_update().clone();
            let news: Vec<_> = told
                .events
                .iter()
                .filter(|it| self.after.is_none_or(|after| it.sequence > after))
                .collect();
            if let Some(last) = news.last() {
                self.after = Some(last.sequence);
                let news = news.iter().map(|it| {
                    let event = Event::default().id(it.sequence.to_string());
                    Ok(event.event(it.word).data(&it.said))
                });
                return Some(news.collect());
            }
            if told.ended {
                return None;
            }
            let changed = tokio::time::timeout_at(self.until, self.told.changed());
            let changed = self.stop.run_until_cancelled(changed).await;
            // We stop, its time is over, or the reader has ended: its last word counts as a change, and was taken above.
            if !matches!(changed, Some(Ok(Ok(())))) {
                return None;
            }
        }
    }
}
