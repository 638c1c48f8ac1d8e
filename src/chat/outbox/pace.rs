//! Keeps a platform's pace, and what it asked us to wait. In memory alone: a restart forgets it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::chat::Pace;
use crate::domain::PostingKind;
use crate::store::DuePosting;

/// Until when the platform wants to hear nothing, by space and call.
#[derive(Clone, Default)]
pub(super) struct Blocked(Arc<Mutex<HashMap<String, Instant>>>);

impl Blocked {
    /// Remembers that the platform asks us to wait. Deliveries that were under way together may be told different times:
    /// the latest counts.
    pub(super) fn block(&self, due: &DuePosting, wait: Duration) {
        let until = Instant::now() + wait;
        let mut all = self.all();
        let blocked = all.entry(block_key(due)).or_insert(until);
        *blocked = until.max(*blocked);
    }

    /// How long this has to wait yet.
    fn rest(&self, due: &DuePosting) -> Option<Duration> {
        let until = self.all().get(&block_key(due)).copied()?;
        let rest = until.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then_some(rest)
    }

    fn forget_old(&self) {
        let now = Instant::now();
        self.all().retain(|_, until| *until > now);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a delivery does on the platform, as far as its pace is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Post,
    Edit,
    Look,
}

impl Call {
    fn of(due: &DuePosting) -> Self {
        if due.is_read_back() {
            Self::Look
        } else if due.posting.kind == PostingKind::Root && due.delivered.is_some() {
            Self::Edit
        } else {
            Self::Post
        }
    }
}

/// Keeps the platform's pace: posts by channel, edits and looks by space, and what the platform told us to wait.
pub(super) struct Pacer {
    posts: Every,
    edits: Every,
    looks: Every,
    pub(super) blocked: Blocked,
    asked: u32,
}

impl Pacer {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            posts: Every::new(pace.between_posts),
            edits: Every::new(pace.between_edits),
            looks: Every::new(pace.between_looks),
            blocked: Blocked::default(),
            asked: 0,
        }
    }

    /// Whether this may be sent now; otherwise how long to wait.
    pub(super) fn ready(&mut self, due: &DuePosting) -> Result<(), Duration> {
        if let Some(rest) = self.blocked.rest(due) {
            return Err(rest);
        }
        self.forget_old();
        let now = Instant::now();
        let space = &due.posting.to.space;
        match Call::of(due) {
            Call::Look => self.looks.take(space, now),
            Call::Edit => self.edits.take(space, now),
            Call::Post => {
                let channel = format!("{space}/{}", due.posting.to.channel);
                // What is in doubt is looked for first: it takes both, or nothing.
                if due.in_doubt {
                    self.posts.rest(&channel, now)?;
                    self.looks.take(space, now)?;
                }
                self.posts.take(&channel, now)
            }
        }
    }

    /// Channels that nobody talked in for a while cost no memory.
    fn forget_old(&mut self) {
        self.asked = self.asked.wrapping_add(1);
        if self.asked.is_multiple_of(1_024) {
            let now = Instant::now();
            for every in [&mut self.posts, &mut self.edits, &mut self.looks] {
                every.next.retain(|_, next| *next > now);
            }
            self.blocked.forget_old();
        }
    }
}

/// Lets one pass every so often, by key.
struct Every {
    between: Duration,
    next: HashMap<String, Instant>,
}

impl Every {
    fn new(between: Duration) -> Self {
        let next = HashMap::new();
        Self { between, next }
    }

    /// Fails with what is left to wait.
    fn rest(&self, key: &str, now: Instant) -> Result<(), Duration> {
        let next = self.next.get(key).copied().unwrap_or(now);
        let rest = next.saturating_duration_since(now);
        if rest.is_zero() { Ok(()) } else { Err(rest) }
    }

    fn take(&mut self, key: &str, now: Instant) -> Result<(), Duration> {
        self.rest(key, now)?;
        self.next.insert(key.to_owned(), now + self.between);
        Ok(())
    }
}

/// What a `Retry-After` is about: the call in the space.
fn block_key(due: &DuePosting) -> String {
    format!("{}/{:?}", due.posting.to.space, Call::of(due))
}
