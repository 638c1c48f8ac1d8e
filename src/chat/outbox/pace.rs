//! Keeps a platform's pace, and what it asked us to wait. In memory alone: a restart forgets it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;

use crate::chat::{Pace, Within};
use crate::domain::{Place, PostingKind};
use crate::planted;
use crate::store::DuePosting;

/// Until when the platform wants to hear nothing, by place and call.
#[derive(Clone)]
pub(super) struct Blocked {
    until: Arc<Mutex<HashMap<String, Instant>>>,
    within: Within,
}

impl Blocked {
    /// Remembers that the platform asks us to wait. Deliveries that were under way together may be told different times:
    /// the latest counts.
    pub(super) fn block(&self, due: &DuePosting, wait: Duration) {
        let until = Instant::now() + wait;
        let mut all = self.all();
        let blocked = all.entry(self.key(due)).or_insert(until);
        *blocked = until.max(*blocked);
    }

    /// How long this has to wait yet.
    fn rest(&self, due: &DuePosting) -> Option<Duration> {
        let until = self.all().get(&self.key(due)).copied()?;
        let rest = until.saturating_duration_since(Instant::now());
        (!rest.is_zero() && !planted::is("retry-after-ignored")).then_some(rest)
    }

    fn forget_old(&self) {
        let now = Instant::now();
        self.all().retain(|_, until| *until > now);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request to wait is about: the call, where the platform counts such calls together.
    fn key(&self, due: &DuePosting) -> String {
        let Place { space, channel, .. } = &due.posting.to;
        let call = Call::of(due);
        match self.within {
            Within::Space => format!("{space}/{call:?}"),
            Within::Channel => format!("{space}/{channel}/{call:?}"),
        }
    }
}

/// What a delivery does on the platform, as far as its pace is concerned. Platforms count looks into threads and looks
/// into channels apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Post,
    Whisper,
    Form,
    File,
    Edit,
    LookInThread,
    LookInChannel,
}

impl Call {
    fn of(due: &DuePosting) -> Self {
        let of_thread = due.posting.to.thread.is_some() || due.thread.is_some();
        if due.is_read_back() || (due.is_looked_for() && of_thread) {
            Self::LookInThread
        } else if due.is_looked_for() {
            Self::LookInChannel
        } else {
            match due.posting.kind {
                PostingKind::Whisper { .. } => Self::Whisper,
                PostingKind::Form { .. } => Self::Form,
                PostingKind::Root if due.delivered.is_some() => Self::Edit,
                PostingKind::Line { .. } if due.delivered.is_some() => Self::File,
                PostingKind::Root
                | PostingKind::Line { .. }
                | PostingKind::Output { .. }
                | PostingKind::Answer => Self::Post,
            }
        }
    }
}

/// Keeps the platform's pace: posts by channel, edits and looks by space, and what the platform told us to wait.
pub(super) struct Pacer {
    posts: Option<DefaultKeyedRateLimiter<String>>,
    edits: Option<DefaultKeyedRateLimiter<String>>,
    looks: Option<DefaultKeyedRateLimiter<String>>,
    pub(super) blocked: Blocked,
    asked: u32,
}

impl Pacer {
    pub(super) fn new(pace: Pace) -> Self {
        let limiter = |between: Duration| {
            let quota = Quota::with_period(between).map(|quota| quota.allow_burst(NonZeroU32::MIN));
            quota.map(RateLimiter::keyed)
        };
        Self {
            posts: limiter(pace.between_posts),
            edits: limiter(pace.between_edits),
            looks: limiter(pace.between_looks),
            blocked: Blocked {
                until: Arc::default(),
                within: pace.asks_within,
            },
            asked: 0,
        }
    }

    /// Whether this may be sent now; otherwise how long to wait.
    pub(super) fn ready(&mut self, due: &DuePosting) -> Result<(), Duration> {
        if let Some(rest) = self.blocked.rest(due) {
            return Err(rest);
        }
        self.forget_old();
        let Place { space, channel, .. } = &due.posting.to;
        match Call::of(due) {
            Call::LookInThread => check(self.looks.as_ref(), &format!("{space}/thread")),
            Call::LookInChannel => check(self.looks.as_ref(), &format!("{space}/channel")),
            Call::Edit => check(self.edits.as_ref(), space),
            Call::Post | Call::Whisper | Call::Form | Call::File => {
                check(self.posts.as_ref(), &format!("{space}/{channel}"))
            }
        }
    }

    /// Channels that nobody talked in for a while cost no memory.
    fn forget_old(&mut self) {
        self.asked = self.asked.wrapping_add(1);
        if self.asked.is_multiple_of(1_024) {
            for limiter in [&self.posts, &self.edits, &self.looks]
                .into_iter()
                .flatten()
            {
                limiter.retain_recent();
            }
            self.blocked.forget_old();
        }
    }
}

fn check(limiter: Option<&DefaultKeyedRateLimiter<String>>, key: &String) -> Result<(), Duration> {
    let Some(limiter) = limiter else {
        return Ok(());
    };
    limiter
        .check_key(key)
        .map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Message, Platform, Posting};
    use crate::store::PostingId;

    fn answer_in(channel: &str) -> DuePosting {
        DuePosting {
            id: PostingId(1),
            version: 1,
            posting: Posting {
                to: Place {
                    platform: Platform::Discord,
                    space: "1".to_owned(),
                    channel: channel.to_owned(),
                    thread: None,
                },
                kind: PostingKind::Answer,
                run: None,
                message: Message::default(),
            },
            delivered: None,
            delivered_version: 0,
            last: false,
            thread: None,
            in_doubt: false,
            attempts: 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_to_wait_is_about_as_much_as_the_platform_counts_together() {
        for (within, elsewhere) in [(Within::Channel, true), (Within::Space, false)] {
            let mut pacer = Pacer::new(Pace {
                between_posts: Duration::ZERO,
                between_edits: Duration::ZERO,
                between_looks: Duration::ZERO,
                read_back_after: None,
                asks_within: within,
            });
            pacer.blocked.block(&answer_in("2"), Duration::from_mins(1));
            assert!(pacer.ready(&answer_in("2")).is_err(), "{within:?}");
            assert_eq!(
                pacer.ready(&answer_in("3")).is_ok(),
                elsewhere,
                "{within:?}"
            );
        }
    }
}
