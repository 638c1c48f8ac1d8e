//! One delivery: what is sent, and what is true afterwards.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::Held;
use super::pace::Blocked;
use crate::chat::{DeliveryError, Transport};
use crate::clock::Clock;
use crate::domain::{Button, Form, Message, OutputRef, Posting, PostingKind};
use crate::planted::crash;
use crate::store::{DuePosting, MessageRef, Standing, Store, StoreError};

/// How long to wait before what became of a delivery is recorded again.
const RECORD_AGAIN: Duration = Duration::from_millis(500);
/// The longest wait between two tries of the same posting.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often a file is tried before the line stands without it.
const FILE_TRIES: u32 = 3;
/// How often a line that was taken and is not there is posted again.
const POSTED_AGAIN: i64 = 8;

/// How a delivery ended well.
enum Sent {
    /// Nothing more is due for this state.
    Delivered {
        /// Where; `None` where it can't be referred to, or that is known already.
        message: Option<MessageRef>,
        /// Which state of the posting. A newer one stays due.
        version: i64,
    },
    /// The platform took it; after `wait` more is due for it.
    Stands {
        /// Where; `None` where that is known already.
        message: Option<MessageRef>,
        /// Which state; 0 while its file is missing, or which one it shows is not known.
        version: i64,
        /// How long.
        wait: Duration,
    },
    /// The platform took it before, and it is not there.
    Lost,
    /// It was in doubt, and is not there: it is to be posted.
    Absent,
}

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
        let begun = self.store.begin_posting(duty, due.id).await;
        // By what we knew when it began: the duty may have been renewed meanwhile, or somebody else delivers it by now.
        let late = !duty.lasts() && tokio::time::Instant::now() >= self.held.ends_at;
        match begun {
            Ok(()) if !late => {}
            Ok(()) | Err(StoreError::NoAnswer) => return self.hand_back(due).await,
            Err(fault) => return Err(fault),
        }
        crash("posting.begun");
        let sent = self.send(due).await;
        crash("posting.sent");
        self.tell(due, &sent);
        let now = self.clock.now();
        recorded(|| self.record(due, &sent, now)).await?;
        crash("posting.recorded");
        Ok(())
    }

    /// Nothing was sent, and it may stand as under way: while we have the duty nobody else would ever look at it again.
    async fn hand_back(&self, due: &DuePosting) -> Result<(), StoreError> {
        let (duty, now) = (&self.held.duty, self.clock.now());
        let why = "its delivery did not begin in time";
        recorded(|| self.store.defer_posting(duty, due.id, now, false, why)).await
    }

    /// Counts it, logs what somebody should know, and keeps the rest quiet while the platform asks for it.
    fn tell(&self, due: &DuePosting, sent: &Result<Sent, DeliveryError>) {
        let id = due.id;
        let word = match sent {
            Ok(Sent::Delivered { .. }) => "delivered",
            Ok(Sent::Stands { .. }) => "taken",
            Ok(Sent::Lost) => {
                warn!("posting {id:?} was taken and is not there: it is sent again");
                "lost"
            }
            Ok(Sent::Absent) => "absent",
            Err(DeliveryError::Limited(wait)) => {
                self.blocked.block(due, *wait);
                "deferred"
            }
            Err(DeliveryError::Gone(why)) => {
                warn!("posting {id:?} finds nothing to edit or no thread: {why}");
                "lost"
            }
            Err(DeliveryError::InDoubt(_)) => "in_doubt",
            Err(DeliveryError::Failed(_)) => "deferred",
            Err(DeliveryError::Refused(why)) => {
                warn!("posting {id:?} is given up: {why}");
                "dropped"
            }
        };
        count(due, word);
    }

    async fn record(
        &self,
        due: &DuePosting,
        sent: &Result<Sent, DeliveryError>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (store, duty, id) = (&self.store, &self.held.duty, due.id);
        let after = |wait: Duration| {
            now.saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO))
                .unwrap_or(now)
        };
        let again = after(wait_for(due));
        match sent {
            Ok(Sent::Delivered { message, version }) => {
                let message = message.clone();
                store.posting_delivered(duty, id, *version, message).await
            }
            Ok(Sent::Stands {
                message,
                version,
                wait,
            }) => {
                let stands = Standing {
                    message: message.clone(),
                    version: *version,
                    until: after(*wait),
                };
                store.posting_stands(duty, id, stands).await
            }
            Ok(Sent::Lost) => store.posting_lost(duty, id, again).await,
            Ok(Sent::Absent) => store.posting_absent(duty, id).await,
            Err(DeliveryError::Limited(wait)) => {
                store.postpone_posting(duty, id, after(*wait)).await
            }
            Err(DeliveryError::InDoubt(why)) => {
                store.defer_posting(duty, id, again, true, why).await
            }
            Err(DeliveryError::Failed(why)) => {
                store.defer_posting(duty, id, again, false, why).await
            }
            Err(DeliveryError::Gone(why)) => {
                // The first post of a root finds no thread where it was asked for in one that was deleted since.
                if is_first_root(due) || !store.root_lost(duty, id, again).await? {
                    return store.drop_posting(duty, id, why).await;
                }
                Ok(())
            }
            Err(DeliveryError::Refused(why)) => store.drop_posting(duty, id, why).await,
        }
    }

    /// Makes one call, or the calls of one file: a look is a delivery of its own, so that what the platform says of looks
    /// holds up no posts, and what is known not to be there is not looked for with each try.
    async fn send(&self, due: &DuePosting) -> Result<Sent, DeliveryError> {
        let Posting {
            to, kind, message, ..
        } = &due.posting;
        let said_in = to.thread.clone().map(MessageRef);
        let thread = said_in.clone().or_else(|| due.thread.clone());
        let thread = match kind {
            PostingKind::Root | PostingKind::Answer => said_in.as_ref(),
            _ => thread.as_ref(),
        };
        if due.is_looked_for() {
            return self.look_for(due, thread).await;
        }
        match (kind, &due.delivered) {
            (PostingKind::Line { attachment, .. }, Some(at)) => match attachment {
                Some(of) => {
                    self.attach(due, thread, *of).await?;
                    Ok(delivered(due, None))
                }
                None => self.read_back(due, thread, at).await,
            },
            (PostingKind::Root, Some(at)) if due.is_read_back() => {
                self.read_back(due, thread, at).await
            }
            (PostingKind::Root, Some(at)) => {
                self.transport.edit(to, at, message, &due.mark()).await?;
                Ok(self.taken(due, None))
            }
            (PostingKind::Root | PostingKind::Line { .. }, None) => {
                let at = self.post(due, thread).await?;
                Ok(if has_file(due) {
                    awaits_more(at)
                } else {
                    self.taken(due, Some(at))
                })
            }
            (PostingKind::Output { .. } | PostingKind::Answer, _) => {
                let at = self.post(due, thread).await?;
                Ok(delivered(due, Some(at)))
            }
            (PostingKind::Whisper { speaker, handle }, _) => {
                let handle = handle.as_deref();
                let mark = due.mark();
                self.transport
                    .whisper(to, speaker, handle, message, &mark)
                    .await?;
                Ok(delivered(due, None))
            }
            (
                PostingKind::Form {
                    speaker,
                    handle,
                    form,
                },
                _,
            ) => {
                self.open_form(due, speaker, handle, form).await?;
                Ok(delivered(due, None))
            }
        }
    }

    /// Where it can't be opened, a button is whispered instead.
    async fn open_form(
        &self,
        due: &DuePosting,
        speaker: &str,
        handle: &str,
        form: &Form,
    ) -> Result<(), DeliveryError> {
        let Posting { to, message, .. } = &due.posting;
        match self.transport.open_form(to, handle, form).await {
            Ok(()) => Ok(()),
            Err(DeliveryError::Limited(wait)) => Err(DeliveryError::Limited(wait)),
            Err(why) => {
                info!("no form, a button instead: {why}");
                let message = fill_in(message.clone(), &form.says);
                let handle = Some(handle);
                let mark = due.mark();
                self.transport
                    .whisper(to, speaker, handle, &message, &mark)
                    .await
            }
        }
    }

    async fn post(
        &self,
        due: &DuePosting,
        thread: Option<&MessageRef>,
    ) -> Result<MessageRef, DeliveryError> {
        let Posting { to, message, .. } = &due.posting;
        self.transport.post(to, thread, message, &due.mark()).await
    }

    /// Looks where an earlier try of unknown end arrived, if it did.
    async fn look_for(
        &self,
        due: &DuePosting,
        thread: Option<&MessageRef>,
    ) -> Result<Sent, DeliveryError> {
        let Posting { to, message, .. } = &due.posting;
        let found = self
            .transport
            .find(to, thread, message, &due.mark())
            .await?;
        Ok(match found {
            None => Sent::Absent,
            // It shows the state in which it was posted, which may be older than this one: an edit is due.
            Some(at) if due.posting.kind == PostingKind::Root => awaits_more(at),
            Some(at) if has_file(due) => awaits_more(at),
            // It was seen: it needs no reading back.
            Some(at) => delivered(due, Some(at)),
        })
    }

    /// What the platform took. Bursts may be lost on it without a word, so a final message is read back.
    fn taken(&self, due: &DuePosting, message: Option<MessageRef>) -> Sent {
        let version = due.version;
        // An edit may be repeated for ever, a line not: where nobody can see it, that would be a flood of them.
        let repeated = due.posting.kind != PostingKind::Root && version > POSTED_AGAIN;
        match self.transport.pace().read_back_after {
            Some(wait) if due.last && !repeated => Sent::Stands {
                message,
                version,
                wait,
            },
            Some(_) | None => Sent::Delivered { message, version },
        }
    }

    async fn read_back(
        &self,
        due: &DuePosting,
        thread: Option<&MessageRef>,
        at: &MessageRef,
    ) -> Result<Sent, DeliveryError> {
        let to = &due.posting.to;
        let stands = self.transport.stands(to, thread, at, &due.mark()).await?;
        crash("posting.read_back");
        if stands {
            return Ok(delivered(due, None));
        }
        Ok(Sent::Lost)
    }

    /// Attaches the whole output. The line is there already; after some tries it stands without its file.
    async fn attach(
        &self,
        due: &DuePosting,
        thread: Option<&MessageRef>,
        of: OutputRef,
    ) -> Result<(), DeliveryError> {
        let text = self
            .store
            .output(of)
            .await
            .map_err(|fault| DeliveryError::Failed(fault.to_string()))?;
        let name = format!("step-{}-attempt-{}.txt", of.position + 1, of.attempt);
        match self
            .transport
            .attach(&due.posting.to, thread, &name, &text)
            .await
        {
            Err(DeliveryError::Limited(wait)) => Err(DeliveryError::Limited(wait)),
            Err(why) if due.attempts + 1 < FILE_TRIES => {
                Err(DeliveryError::Failed(why.to_string()))
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

fn delivered(due: &DuePosting, message: Option<MessageRef>) -> Sent {
    Sent::Delivered {
        message,
        version: due.version,
    }
}

/// It is there, and what makes it whole is due at once: its file, or its latest state.
fn awaits_more(at: MessageRef) -> Sent {
    Sent::Stands {
        message: Some(at),
        version: 0,
        wait: Duration::ZERO,
    }
}

/// A line's file has a delivery of its own: what becomes of that must not post the line again.
fn has_file(due: &DuePosting) -> bool {
    matches!(
        due.posting.kind,
        PostingKind::Line {
            attachment: Some(_),
            ..
        }
    )
}

fn is_first_root(due: &DuePosting) -> bool {
    due.posting.kind == PostingKind::Root && due.delivered.is_none()
}

/// What is whispered where a form can't be opened: pressing gives a fresh handle.
fn fill_in(message: Message, says: &str) -> Message {
    message.buttons(vec![Button::primary("Fill in", says)])
}

/// One second, doubled with each try up to a minute.
fn wait_for(due: &DuePosting) -> Duration {
    Duration::from_secs(1 << due.attempts.min(6)).min(LONGEST_WAIT)
}
