//! The platform's channels, and the outbox that delivers to them: late, in doubt, one thing at a time.

use std::time::Duration;

use jiff::SignedDuration;
use midwatch::domain::{Block, Button, Message, PostingKind, RunId};
use midwatch::store::{DuePosting, MessageRef, PostingId};
use rand::Rng;
use rand::seq::IndexedRandom;

use super::ground::Violation;
use super::{After, World};

/// A message as it stands on the platform.
pub(super) struct Standing {
    id: PostingId,
    pub(super) run: Option<RunId>,
    pub(super) channel: String,
    /// The message it stands under.
    pub(super) thread: Option<MessageRef>,
    pub(super) message: Message,
}

#[derive(Default)]
pub(super) struct Platform {
    /// In the order in which they arrived; a reference is a place in here.
    pub(super) messages: Vec<Standing>,
    /// What one account alone was shown.
    pub(super) whispers: Vec<(String, String, Message)>,
}

/// A delivery under way.
pub(super) struct Delivery {
    due: DuePosting,
    end: Option<End>,
}

/// How a delivery ended.
#[derive(Debug)]
enum End {
    Delivered(Option<MessageRef>, i64),
    InDoubt,
    Failed(Duration),
}

impl Platform {
    pub(super) fn reference(position: usize) -> MessageRef {
        MessageRef(format!("m{position}"))
    }

    fn at(&mut self, reference: &MessageRef) -> Option<&mut Standing> {
        let position = reference.0.strip_prefix('m')?.parse::<usize>().ok()?;
        self.messages.get_mut(position)
    }

    fn find(&self, id: PostingId) -> Option<MessageRef> {
        let position = self.messages.iter().position(|it| it.id == id);
        position.map(Self::reference)
    }

    fn post(&mut self, due: &DuePosting, thread: Option<MessageRef>) -> MessageRef {
        self.messages.push(Standing {
            id: due.id,
            run: due.posting.run,
            channel: due.posting.to.channel.clone(),
            thread,
            message: due.posting.message.clone(),
        });
        Self::reference(self.messages.len() - 1)
    }

    /// Every button that somebody can press, with its channel.
    pub(super) fn buttons(&self) -> impl Iterator<Item = (&str, &Button)> {
        let standing = self.messages.iter();
        let shown = standing.map(|it| (it.channel.as_str(), &it.message));
        let whispered = self.whispers.iter();
        let whispered = whispered.map(|(channel, _, message)| (channel.as_str(), message));
        shown.chain(whispered).flat_map(|(channel, message)| {
            let blocks = message.blocks.iter();
            let buttons = blocks.filter_map(|block| match block {
                Block::Buttons(buttons) => Some(buttons),
                _ => None,
            });
            buttons.flatten().map(move |button| (channel, button))
        })
    }

    /// What stands there of a run, in order of arrival.
    pub(super) fn of_run(&self, run: RunId) -> impl Iterator<Item = (MessageRef, &Standing)> {
        let all = self.messages.iter().enumerate();
        let refer = |(position, standing)| (Self::reference(position), standing);
        all.map(refer).filter(move |(_, it)| it.run == Some(run))
    }
}

impl Standing {
    pub(super) fn id(&self) -> PostingId {
        self.id
    }
}

impl World<'_> {
    /// The outbox does one thing. `None` when there was nothing to do.
    pub(super) fn deliver(&mut self) -> Result<Option<After>, Violation> {
        let now = self.now();
        let busy: Vec<PostingId> = self.under_way.iter().map(|it| it.due.id).collect();
        let due = self.ground.due(now)?;
        let mut free: Vec<DuePosting> = due
            .into_iter()
            .filter(|it| !busy.contains(&it.id))
            .collect();
        if self.under_way.len() < 3 && !free.is_empty() && (busy.is_empty() || self.random.random())
        {
            // They are begun in order; a pace can hold back any of them.
            let chosen = self.random.random_range(0..free.len().min(3));
            let due = free.swap_remove(chosen);
            if !self.ground.begin(due.id, now)? {
                return Err(format!("{:?} was due and can't be begun", due.id));
            }
            self.under_way.push(Delivery { due, end: None });
            return Ok(Some(After::BegunToDeliver));
        }
        if self.under_way.is_empty() {
            return Ok(None);
        }
        let chosen = self.random.random_range(0..self.under_way.len());
        let mut delivery = self.under_way.swap_remove(chosen);
        let Some(end) = delivery.end.take() else {
            let end = self.send(&delivery.due);
            self.note(|| format!("posting {:?}: {end:?}", delivery.due.id));
            delivery.end = Some(end);
            self.under_way.push(delivery);
            return Ok(Some(After::Sent));
        };
        let due = &delivery.due;
        let recorded = match end {
            End::Delivered(message, version) => {
                self.ground.delivered(due, version, message, now)?
            }
            End::InDoubt => self
                .ground
                .defer(due.id, now + SignedDuration::from_secs(1), true)?,
            End::Failed(wait) => {
                let wait = SignedDuration::try_from(wait).expect("a short span");
                self.ground.defer(due.id, now + wait, false)?
            }
        };
        if !recorded {
            return Err(format!(
                "the end of delivering {:?} could not be recorded",
                due.id
            ));
        }
        Ok(Some(After::Delivered))
    }

    /// One call to the platform, or two where it has to be asked first whether an earlier one arrived.
    fn send(&mut self, due: &DuePosting) -> End {
        let luck = if self.calm {
            0
        } else {
            self.random.random_range(0..100)
        };
        if (80..90).contains(&luck) {
            let waits = [1, 5, 30, 60];
            let wait = waits.choose(&mut self.random).expect("it has items");
            return End::Failed(Duration::from_secs(*wait));
        }
        if luck >= 95 {
            return End::InDoubt;
        }
        let posting = &due.posting;
        let said_in = posting.to.thread.clone().map(MessageRef);
        let found = || self.platform.find(due.id).filter(|_| due.in_doubt);
        let end = match (&posting.kind, &due.delivered) {
            (PostingKind::Root, Some(at)) => {
                if let Some(standing) = self.platform.at(at) {
                    standing.message = posting.message.clone();
                }
                End::Delivered(None, due.version)
            }
            (PostingKind::Whisper { speaker }, _) => {
                let to = posting.to.channel.clone();
                let whisper = (to, speaker.clone(), posting.message.clone());
                self.platform.whispers.push(whisper);
                End::Delivered(None, due.version)
            }
            (PostingKind::Root, None) => match found() {
                Some(found) => End::Delivered(Some(found), due.version.saturating_sub(1).max(1)),
                None => End::Delivered(Some(self.platform.post(due, said_in)), due.version),
            },
            _ => match found() {
                Some(found) => End::Delivered(Some(found), due.version),
                None => {
                    let thread = said_in.or_else(|| due.thread.clone());
                    End::Delivered(Some(self.platform.post(due, thread)), due.version)
                }
            },
        };
        // It has arrived, and the answer is lost.
        if (90..95).contains(&luck) {
            End::InDoubt
        } else {
            end
        }
    }
}
