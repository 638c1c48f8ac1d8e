//! Delivers what we owe to people: in order within a thread, within the platform's limits, nothing lost over a restart.
//!
//! The store holds the queue; this loop holds only the pace. A root message that changes faster than it may be edited
//! is edited to its latest state.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{DeliveryError, Pace, Transport};
use crate::clock::Clock;
use crate::domain::{Button, Message, Posting, PostingKind};
use crate::store::{DuePosting, Duty, MessageRef, PostingId, Store, StoreError, WorkerId};

/// How many deliveries are under way at the same time.
const AT_ONCE: usize = 8;
/// How long the duty to deliver lasts without a renewal.
const DUTY: Duration = Duration::from_secs(5);
/// How long to wait for a hint that something is due, before looking anyway.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before what became of a delivery is recorded again.
const RECORD_AGAIN: Duration = Duration::from_millis(500);
/// The longest wait between two tries of the same posting.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often a file is tried before the line stands without it.
const FILE_TRIES: u32 = 3;

/// Delivers one platform's postings.
pub struct Outbox {
    store: Store,
    transport: Arc<dyn Transport>,
    clock: Clock,
    pace: Pacer,
    worker: WorkerId,
    held: Option<Held>,
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
            .due_postings(self.transport.platform(), self.clock.now(), 64)
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
                        blocked: Arc::clone(&self.pace.blocked),
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

type Blocked = Arc<std::sync::Mutex<HashMap<String, tokio::time::Instant>>>;

/// Keeps the platform's pace: posts by channel, edits by space, and what the platform told us to wait.
struct Pacer {
    posts: Option<DefaultKeyedRateLimiter<String>>,
    edits: Option<DefaultKeyedRateLimiter<String>>,
    blocked: Blocked,
    asked: u32,
}

impl Pacer {
    fn new(pace: Pace) -> Self {
        let limiter = |between: Duration| {
            let quota = Quota::with_period(between).map(|quota| quota.allow_burst(NonZeroU32::MIN));
            quota.map(RateLimiter::keyed)
        };
        Self {
            posts: limiter(pace.between_posts),
            edits: limiter(pace.between_edits),
            blocked: Blocked::default(),
            asked: 0,
        }
    }

    /// Whether this may be sent now; otherwise how long to wait.
    fn ready(&mut self, due: &DuePosting) -> Result<(), Duration> {
        let key = block_key(due);
        let now = tokio::time::Instant::now();
        if let Some(until) = self
            .blocked
            .lock()
            .expect("no code panics while it holds this")
            .get(&key)
            && *until > now
        {
            return Err(*until - now);
        }
        self.forget_old();
        let (limiter, key) = if is_edit(due) {
            (&self.edits, due.posting.to.space.clone())
        } else {
            (
                &self.posts,
                format!("{}/{}", due.posting.to.space, due.posting.to.channel),
            )
        };
        let Some(limiter) = limiter else {
            return Ok(());
        };
        limiter
            .check_key(&key)
            .map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
    }

    /// Channels that nobody talked in for a while cost no memory.
    fn forget_old(&mut self) {
        self.asked = self.asked.wrapping_add(1);
        if self.asked.is_multiple_of(1_024) {
            for limiter in [&self.posts, &self.edits].into_iter().flatten() {
                limiter.retain_recent();
            }
            let now = tokio::time::Instant::now();
            self.blocked
                .lock()
                .expect("no code panics while it holds this")
                .retain(|_, until| *until > now);
        }
    }
}

fn is_edit(due: &DuePosting) -> bool {
    due.posting.kind == PostingKind::Root && due.delivered.is_some()
}

/// One delivery for the metrics.
fn count(due: &DuePosting, result: &'static str) {
    let platform = due.posting.to.platform.as_str();
    metrics::counter!("midwatch_postings_total", "platform" => platform, "result" => result)
        .increment(1);
}

/// What a `Retry-After` is about: the method in the space.
fn block_key(due: &DuePosting) -> String {
    format!(
        "{}/{}",
        due.posting.to.space,
        if is_edit(due) { "edit" } else { "post" }
    )
}

/// Records what became of a delivery: that is known here alone, and kept until the store takes it.
async fn recorded<F>(record: impl Fn() -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), StoreError>>,
{
    loop {
        match record().await {
            Err(
                fault @ (StoreError::Unavailable(_)
                | StoreError::NoAnswer
                | StoreError::NotWritable(_)
                | StoreError::Busy(_)),
            ) => {
                warn!("what became of a posting can't be recorded yet: {fault}");
                tokio::time::sleep(RECORD_AGAIN).await;
            }
            done => return done,
        }
    }
}

/// One delivery, from beginning to recorded end.
struct Delivery {
    held: Held,
    store: Store,
    transport: Arc<dyn Transport>,
    clock: Clock,
    blocked: Blocked,
}

impl Delivery {
    async fn deliver(&self, due: &DuePosting) -> Result<(), StoreError> {
        let duty = &self.held.duty;
        self.store.begin_posting(duty, due.id).await?;
        if !duty.lasts() && tokio::time::Instant::now() >= self.held.ends_at {
            // We were stopped meanwhile: somebody else delivers it.
            return Err(StoreError::Conflict(
                "the duty to deliver has ended".to_owned(),
            ));
        }
        let result = self.send(due).await;
        let now = self.clock.now();
        let after = |wait: Duration| {
            now.saturating_add(
                jiff::SignedDuration::try_from(wait).unwrap_or(jiff::SignedDuration::ZERO),
            )
            .unwrap_or(now)
        };
        match result {
            Ok(message) => {
                count(due, "delivered");
                recorded(|| {
                    self.store
                        .posting_delivered(duty, due.id, due.version, message.clone())
                })
                .await
            }
            Err(DeliveryError::Limited(wait)) => {
                count(due, "deferred");
                let until = tokio::time::Instant::now() + wait;
                self.blocked
                    .lock()
                    .expect("no code panics while it holds this")
                    .insert(block_key(due), until);
                recorded(|| {
                    self.store.defer_posting(
                        duty,
                        due.id,
                        after(wait),
                        false,
                        "the platform asks us to wait",
                    )
                })
                .await
            }
            Err(DeliveryError::InDoubt(why)) => {
                count(due, "in_doubt");
                recorded(|| {
                    self.store
                        .defer_posting(duty, due.id, after(wait_for(due)), true, &why)
                })
                .await
            }
            Err(DeliveryError::Failed(why)) => {
                count(due, "deferred");
                recorded(|| {
                    self.store
                        .defer_posting(duty, due.id, after(wait_for(due)), false, &why)
                })
                .await
            }
            Err(DeliveryError::Refused(why)) => {
                warn!("posting {:?} is given up: {why}", due.id);
                count(due, "dropped");
                recorded(|| self.store.drop_posting(duty, due.id, &why)).await
            }
        }
    }

    /// Answers where it stands now; `None` where it can't be referred to, or that is known already.
    async fn send(&self, due: &DuePosting) -> Result<Option<MessageRef>, DeliveryError> {
        let Posting {
            to, kind, message, ..
        } = &due.posting;
        let said_in = to.thread.clone().map(MessageRef);
        match kind {
            PostingKind::Root => match &due.delivered {
                Some(at) => self.transport.edit(to, at, message).await.map(|()| None),
                None => match self.found(due, said_in.as_ref()).await? {
                    // It shows the state in which it was posted, which may be older than this one.
                    Some(found) => self
                        .transport
                        .edit(to, &found, message)
                        .await
                        .map(|()| Some(found)),
                    None => self
                        .transport
                        .post(to, said_in.as_ref(), message, &due.mark())
                        .await
                        .map(Some),
                },
            },
            PostingKind::Line { attachment, .. } => {
                let thread = said_in.or_else(|| due.thread.clone());
                let posted = self.post_once(due, thread.as_ref(), message).await?;
                if let Some(of) = attachment {
                    self.attach(due, thread.as_ref(), *of).await?;
                }
                Ok(Some(posted))
            }
            PostingKind::Output { .. } => {
                let thread = said_in.or_else(|| due.thread.clone());
                self.post_once(due, thread.as_ref(), message)
                    .await
                    .map(Some)
            }
            PostingKind::Answer => self
                .post_once(due, said_in.as_ref(), message)
                .await
                .map(Some),
            PostingKind::Whisper { speaker } => self
                .transport
                .whisper(to, speaker, message)
                .await
                .map(|()| None),
            PostingKind::Form {
                speaker,
                handle,
                form,
            } => match self.transport.open_form(to, handle, form).await {
                Err(DeliveryError::Limited(wait)) => Err(DeliveryError::Limited(wait)),
                Err(why) => {
                    info!("no form, a button instead: {why}");
                    let message = fill_in(message.clone(), &form.says);
                    self.transport
                        .whisper(to, speaker, &message)
                        .await
                        .map(|()| None)
                }
                Ok(()) => Ok(None),
            },
        }
    }

    /// Where an earlier try of unknown end turns out to have arrived.
    async fn found(
        &self,
        due: &DuePosting,
        thread: Option<&MessageRef>,
    ) -> Result<Option<MessageRef>, DeliveryError> {
        if !due.in_doubt {
            return Ok(None);
        }
        self.transport
            .find(&due.posting.to, thread, &due.mark())
            .await
    }

    /// Posts, unless an earlier try of unknown end turns out to have arrived.
    async fn post_once(
        &self,
        due: &DuePosting,
        thread: Option<&MessageRef>,
        message: &Message,
    ) -> Result<MessageRef, DeliveryError> {
        if let Some(found) = self.found(due, thread).await? {
            return Ok(found);
        }
        self.transport
            .post(&due.posting.to, thread, message, &due.mark())
            .await
    }

    /// Attaches the whole output. The line is there already: a failure leaves it in doubt, so that only the file is
    /// tried again; after some tries the line stands without it.
    async fn attach(
        &self,
        due: &DuePosting,
        thread: Option<&MessageRef>,
        of: crate::domain::OutputRef,
    ) -> Result<(), DeliveryError> {
        let text = self
            .store
            .output(of)
            .await
            .map_err(|fault| DeliveryError::InDoubt(fault.to_string()))?;
        let name = format!("step-{}-attempt-{}.txt", of.position + 1, of.attempt);
        match self
            .transport
            .attach(&due.posting.to, thread, &name, &text)
            .await
        {
            Err(why) if due.attempts + 1 < FILE_TRIES => {
                Err(DeliveryError::InDoubt(why.to_string()))
            }
            Err(why) => {
                warn!("the line stands without its file: {why}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// What is whispered where a form can't be opened: pressing gives a fresh handle.
fn fill_in(message: Message, says: &str) -> Message {
    message.buttons(vec![Button::primary("Fill in", says)])
}

/// One second, doubled with each try up to a minute.
fn wait_for(due: &DuePosting) -> Duration {
    Duration::from_secs(1 << due.attempts.min(6)).min(LONGEST_WAIT)
}
