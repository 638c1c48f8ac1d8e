//! The platform's channels, and the outbox that delivers to them: late, in doubt, one thing at a time.

use std::time::Duration;

use jiff::SignedDuration;
use midwatch::domain::{Block, Button, Message, PostingKind, RunId};
use midwatch::store::{self, DuePosting, MessageRef, PostingId};
use rand::Rng;
use rand::seq::IndexedRandom;

use super::ground::Violation;
use super::{After, World};

/// How long after a final message we look whether it is there.
const READ_BACK_AFTER: Duration = Duration::from_secs(3);

/// A message as it stands on the platform.
pub(super) struct Standing {
    pub(super) id: PostingId,
    pub(super) run: Option<RunId>,
    pub(super) channel: String,
    /// The message it stands under.
    pub(super) thread: Option<MessageRef>,
    pub(super) message: Message,
    /// The state that it shows.
    version: i64,
    /// The platform took it, and shows it to nobody.
    swallowed: bool,
}

#[derive(Default)]
pub(super) struct Platform {
    /// In the order in which they arrived; a reference is a place in here.
    messages: Vec<Standing>,
    /// What one account alone was shown, with its channel.
    whispers: Vec<(String, Message)>,
}

/// A delivery under way.
pub(super) struct Delivery {
    due: DuePosting,
    end: Option<End>,
}

/// How a delivery ended.
#[derive(Debug)]
enum End {
    Delivered(Option<MessageRef>),
    /// More is due for it: the state that is there, and after how long.
    Stands(Option<MessageRef>, i64, Duration),
    Lost,
    InDoubt,
    Failed(Duration),
}

impl Platform {
    fn reference(position: usize) -> MessageRef {
        MessageRef(format!("m{position}"))
    }

    fn at(&mut self, reference: &MessageRef) -> &mut Standing {
        let position = reference
            .0
            .strip_prefix('m')
            .and_then(|it| it.parse::<usize>().ok());
        &mut self.messages[position.expect("a reference of ours")]
    }

    fn find(&self, id: PostingId) -> Option<MessageRef> {
        let is = |it: &Standing| it.id == id && !it.swallowed;
        self.messages.iter().position(is).map(Self::reference)
    }

    fn post(
        &mut self,
        due: &DuePosting,
        thread: Option<MessageRef>,
        swallowed: bool,
    ) -> MessageRef {
        self.messages.push(Standing {
            id: due.id,
            run: due.posting.run,
            channel: due.posting.to.channel.clone(),
            thread,
            message: due.posting.message.clone(),
            version: due.version,
            swallowed,
        });
        Self::reference(self.messages.len() - 1)
    }

    /// What people see, in order of arrival.
    pub(super) fn shown(&self) -> impl Iterator<Item = (MessageRef, &Standing)> {
        let all = self
            .messages
            .iter()
            .enumerate()
            .filter(|(_, it)| !it.swallowed);
        all.map(|(position, standing)| (Self::reference(position), standing))
    }

    /// Every button that somebody can press, with its channel.
    pub(super) fn buttons(&self) -> impl Iterator<Item = (&str, &Button)> {
        let shown = self.messages.iter().filter(|it| !it.swallowed);
        let shown = shown.map(|it| (it.channel.as_str(), &it.message));
        let whispered = self.whispers.iter();
        let whispered = whispered.map(|(channel, message)| (channel.as_str(), message));
        shown.chain(whispered).flat_map(|(channel, message)| {
            let blocks = message.blocks.iter();
            let buttons = blocks.filter_map(|block| match block {
                Block::Buttons(buttons) => Some(buttons),
                _ => None,
            });
            buttons.flatten().map(move |button| (channel, button))
        })
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
            if !self.ground.begin(due.id)? {
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
        let id = delivery.due.id;
        let after = |wait| now + SignedDuration::try_from(wait).expect("a short span");
        let recorded = match end {
            End::Delivered(message) => self.ground.delivered(id, delivery.due.version, message)?,
            End::Stands(message, version, wait) => {
                let until = after(wait);
                let stands = store::Standing {
                    message,
                    version,
                    until,
                };
                self.ground.stands(id, &stands)?
            }
            End::Lost => self.ground.lost(id, after(Duration::from_secs(1)))?,
            End::InDoubt => self.ground.defer(id, after(Duration::from_secs(1)), true)?,
            End::Failed(wait) => self.ground.defer(id, after(wait), false)?,
        };
        if !recorded {
            return Err(format!(
                "the end of delivering {id:?} could not be recorded"
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
        match luck {
            75..85 => {
                let waits = [1, 5, 30, 60];
                let wait = waits.choose(&mut self.random).expect("it has items");
                return End::Failed(Duration::from_secs(*wait));
            }
            85..90 => return End::InDoubt,
            _ => {}
        }
        // Only what is read back can be swallowed without being lost.
        let swallowed = luck >= 95 && due.last;
        let end = self.arrive(due, swallowed);
        // It has arrived, and the answer is lost.
        if (90..95).contains(&luck) {
            End::InDoubt
        } else {
            end
        }
    }

    fn arrive(&mut self, due: &DuePosting, swallowed: bool) -> End {
        let posting = &due.posting;
        let said_in = posting.to.thread.clone().map(MessageRef);
        let taken = |message| {
            if due.last {
                End::Stands(message, due.version, READ_BACK_AFTER)
            } else {
                End::Delivered(message)
            }
        };
        match (&posting.kind, &due.delivered) {
            (PostingKind::Whisper { .. }, _) => {
                let to = posting.to.channel.clone();
                self.platform.whispers.push((to, posting.message.clone()));
                End::Delivered(None)
            }
            (_, Some(at)) if due.is_read_back() => {
                let there = self.platform.at(at);
                if !there.swallowed && there.version == due.version {
                    End::Delivered(None)
                } else {
                    End::Lost
                }
            }
            (_, Some(at)) => {
                let standing = self.platform.at(at);
                if !swallowed {
                    standing.message = posting.message.clone();
                    standing.version = due.version;
                }
                taken(None)
            }
            (kind, None) => {
                let root = *kind == PostingKind::Root;
                let found = self.platform.find(due.id).filter(|_| due.in_doubt);
                match found {
                    // It shows the state in which it was posted: an edit is due.
                    Some(found) if root => End::Stands(Some(found), 0, Duration::ZERO),
                    Some(found) => taken(Some(found)),
                    None => {
                        let thread = said_in.or_else(|| due.thread.clone());
                        let swallowed = swallowed && !root;
                        taken(Some(self.platform.post(due, thread, swallowed)))
                    }
                }
            }
        }
    }
}
