//! One delivery: what is sent, and what is true afterwards.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::Held;
use super::pace::{Blocked, block_key};
use crate::chat::{DeliveryError, Transport};
use crate::clock::Clock;
use crate::domain::{Button, Message, Posting, PostingKind};
use crate::store::{DuePosting, MessageRef, Store, StoreError};

/// How long to wait before what became of a delivery is recorded again.
const RECORD_AGAIN: Duration = Duration::from_millis(500);
/// The longest wait between two tries of the same posting.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often a file is tried before the line stands without it.
const FILE_TRIES: u32 = 3;

/// One delivery, from beginning to recorded end.
pub(super) struct Delivery {
    pub(super) held: Held,
    pub(super) store: Store,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) clock: Clock,
    pub(super) blocked: Blocked,
}

impl Delivery {
    pub(super) async fn deliver(&self, due: &DuePosting) -> Result<(), StoreError> {
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

/// One delivery for the metrics.
fn count(due: &DuePosting, result: &'static str) {
    let platform = due.posting.to.platform.as_str();
    metrics::counter!("midwatch_postings_total", "platform" => platform, "result" => result)
        .increment(1);
}

/// What is whispered where a form can't be opened: pressing gives a fresh handle.
fn fill_in(message: Message, says: &str) -> Message {
    message.buttons(vec![Button::primary("Fill in", says)])
}

/// One second, doubled with each try up to a minute.
fn wait_for(due: &DuePosting) -> Duration {
    Duration::from_secs(1 << due.attempts.min(6)).min(LONGEST_WAIT)
}
