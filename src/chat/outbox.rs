//! Delivers what we owe to people: in order within a thread, within the platform's limits, nothing lost over a restart.
//!
//! The store holds the queue; this loop holds only the pace. A root message that changes faster than it may be edited
//! is edited to its latest state.

mod delivery;
mod pace;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::delivery::Delivery;
use self::pace::Pacer;
use super::Transport;
use crate::clock::Clock;
use crate::planted::crash;
use crate::store::{DuePosting, Duty, PostingId, Store, StoreError, WorkerId};

/// How many deliveries are under way at the same time.
const AT_ONCE: usize = 8;
/// How many postings of each kind of call are looked at for the next to begin; most of them wait for their pace.
const LOOKED_AT: u32 = 32;
/// How long the duty to deliver lasts without a renewal.
const DUTY: Duration = Duration::from_secs(5);
/// How long we leave the duty to a newer version, which takes it within a second, and how long we hold it in between where
/// none does.
const ASIDE: Duration = Duration::from_secs(3);
const ASIDE_EVERY: Duration = Duration::from_secs(30);
/// How long to wait for a hint that something is due, before looking anyway.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Delivers one platform's postings.
pub struct Outbox {
    store: Store,
    transport: Arc<dyn Transport>,
    clock: Clock,
    pace: Pacer,
    worker: WorkerId,
    held: Option<Held>,
    aside: Aside,
}

/// Postings that only a newer version can read need the duty in its hands: we step aside for a moment, now and then.
#[derive(Default)]
struct Aside {
    /// The next one: not before this.
    again_at: Option<tokio::time::Instant>,
    /// The duty is left to others until then.
    until: Option<tokio::time::Instant>,
}

/// The duty to deliver, by a clock that nobody sets.
#[derive(Clone)]
struct Held {
    duty: Duty,
    renew_at: tokio::time::Instant,
    ends_at: tokio::time::Instant,
}

impl Outbox {
    /// An outbox for one transport.
    pub fn new(store: Store, transport: Arc<dyn Transport>, clock: Clock) -> Self {
        let pace = Pacer::new(transport.pace());
        let worker = store.worker();
        Self {
            worker,
            held: None,
            aside: Aside::default(),
            store,
            transport,
            clock,
            pace,
        }
    }

    /// Delivers until cancelled; then delivers what is due for as long as `drain` and stops.
    pub async fn run(mut self, cancel: CancellationToken, drain: Duration) {
        let mut changes = self.store.changes();
        let mut under_way: JoinSet<(DuePosting, Result<(), StoreError>)> = JoinSet::new();
        let mut busy: HashSet<PostingId> = HashSet::new();
        let mut deadline: Option<tokio::time::Instant> = None;
        loop {
            changes.mark_unchanged();
            let begun = match self.on_duty().await {
                Ok(Some(_)) if self.steps_aside() => self.step_aside(under_way.is_empty()).await,
                Ok(Some(duty)) => self.begin_due(&duty, &mut under_way, &mut busy).await,
                Ok(None) => Ok(LOOK_EVERY),
                Err(fault) => Err(fault),
            };
            let wait = match begun {
                Ok(wait) => wait,
                Err(fault) => {
                    warn!("postings wait: {fault}");
                    LOOK_EVERY
                }
            };
            if cancel.is_cancelled() {
                let deadline = *deadline.get_or_insert(tokio::time::Instant::now() + drain);
                let elsewhere = self.held.is_none();
                let idle = under_way.is_empty() && (elsewhere || self.nothing_waits().await);
                if idle || tokio::time::Instant::now() >= deadline {
                    return self.hand_back().await;
                }
            }
            tokio::select! {
                () = cancel.cancelled(), if deadline.is_none() && !cancel.is_cancelled() => {}
                _ = changes.changed() => {}
                Some(done) = under_way.join_next(), if !under_way.is_empty() => Self::note(done, &mut busy),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// The duty to deliver, taken or renewed; `None` while another replica has it.
    async fn on_duty(&mut self) -> Result<Option<Held>, StoreError> {
        let began = tokio::time::Instant::now();
        if self.aside.until.is_some_and(|until| began < until) {
            return Ok(None);
        }
        if let Some(held) = &self.held
            && (held.duty.lasts() || began < held.renew_at)
        {
            return Ok(Some(held.clone()));
        }
        let (platform, now) = (self.transport.platform(), self.clock.now());
        let taken = self
            .store
            .take_duty(platform, &self.worker, now, DUTY)
            .await;
        crash("duty.taken");
        self.held = match taken {
            Ok(duty) => duty.map(|duty| Held {
                renew_at: began + DUTY / 3,
                ends_at: began + DUTY,
                duty,
            }),
            // It stays ours until it ends.
            Err(fault) if self.held.as_ref().is_none_or(|held| began >= held.ends_at) => {
                self.held = None;
                return Err(fault);
            }
            Err(_) => self.held.take(),
        };
        Ok(self.held.clone())
    }

    /// Whether it is time to leave the duty to a newer version.
    fn steps_aside(&self) -> bool {
        let now = tokio::time::Instant::now();
        self.held.as_ref().is_some_and(|held| !held.duty.lasts())
            && self.store.leaves_postings()
            && self.aside.again_at.is_none_or(|at| now >= at)
    }

    /// Begins nothing more, and hands the duty back once nothing is under way.
    async fn step_aside(&mut self, idle: bool) -> Result<Duration, StoreError> {
        if idle && let Some(held) = self.held.take() {
            let now = tokio::time::Instant::now();
            self.aside = Aside {
                again_at: Some(now + ASIDE_EVERY),
                until: Some(now + ASIDE),
            };
            self.store.release_duty(held.duty).await?;
        }
        Ok(LOOK_EVERY)
    }

    async fn hand_back(self) {
        if let Some(held) = self.held
            && let Err(fault) = self.store.release_duty(held.duty).await
        {
            info!("the duty to deliver ends by itself: {fault}");
        }
    }

    async fn nothing_waits(&self) -> bool {
        let waiting = self.store.postings_waiting(self.transport.platform()).await;
        waiting.is_ok_and(|count| count == 0)
    }

    fn note(
        done: Result<(DuePosting, Result<(), StoreError>), tokio::task::JoinError>,
        busy: &mut HashSet<PostingId>,
    ) {
        match done {
            Ok((due, result)) => {
                busy.remove(&due.id);
                if let Err(fault) = result {
                    warn!(
                        "what became of posting {:?} is not recorded: {fault}",
                        due.id
                    );
                }
            }
            // The posting stays in doubt in the store; forgetting who was busy lets it be looked at again.
            Err(fault) => {
                warn!("a delivery ended early: {fault}");
                busy.clear();
            }
        }
    }

    /// Begins every delivery that the pace allows, and answers how long to wait for the next.
    async fn begin_due(
        &mut self,
        held: &Held,
        under_way: &mut JoinSet<(DuePosting, Result<(), StoreError>)>,
        busy: &mut HashSet<PostingId>,
    ) -> Result<Duration, StoreError> {
        let mut wait = if held.duty.lasts() {
            LOOK_EVERY
        } else {
            LOOK_EVERY.min(DUTY / 3)
        };
        let due = self
            .store
            .due_postings(self.transport.platform(), self.clock.now(), LOOKED_AT)
            .await?;
        for due in due
            .into_iter()
            .filter(|due| !busy.contains(&due.id))
            .collect::<Vec<_>>()
        {
            if under_way.len() >= AT_ONCE {
                break;
            }
            match self.pace.ready(&due) {
                Err(until) => wait = wait.min(until),
                Ok(()) => {
                    busy.insert(due.id);
                    let delivery = Delivery {
                        held: held.clone(),
                        store: self.store.clone(),
                        transport: Arc::clone(&self.transport),
                        clock: self.clock.clone(),
                        blocked: self.pace.blocked.clone(),
                    };
                    under_way.spawn(async move {
                        let result = delivery.deliver(&due).await;
                        (due, result)
                    });
                }
            }
        }
        Ok(wait)
    }
}
