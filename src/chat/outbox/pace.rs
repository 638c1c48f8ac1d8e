//! Keeps a platform's pace, and what it asked us to wait. In memory alone: a restart forgets it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::chat::Pace;
use crate::domain::PostingKind;
use crate::store::DuePosting;

/// Until when the platform wants to hear nothing, by space and call.
pub(super) type Blocked = Arc<std::sync::Mutex<HashMap<String, tokio::time::Instant>>>;

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
            blocked: Blocked::default(),
            asked: 0,
        }
    }

    /// Whether this may be sent now; otherwise how long to wait.
    pub(super) fn ready(&mut self, due: &DuePosting) -> Result<(), Duration> {
        let now = tokio::time::Instant::now();
        if let Some(until) = self
            .blocked
            .lock()
            .expect("no code panics while it holds this")
            .get(&block_key(due))
            && *until > now
        {
            return Err(*until - now);
        }
        self.forget_old();
        let space = &due.posting.to.space;
        match Call::of(due) {
            Call::Look => check(self.looks.as_ref(), space),
            Call::Edit => check(self.edits.as_ref(), space),
            Call::Post => {
                // What is in doubt is looked for first.
                if due.in_doubt {
                    check(self.looks.as_ref(), space)?;
                }
                let channel = format!("{space}/{}", due.posting.to.channel);
                check(self.posts.as_ref(), &channel)
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
            let now = tokio::time::Instant::now();
            self.blocked
                .lock()
                .expect("no code panics while it holds this")
                .retain(|_, until| *until > now);
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

/// What a `Retry-After` is about: the call in the space.
pub(super) fn block_key(due: &DuePosting) -> String {
    format!("{}/{:?}", due.posting.to.space, Call::of(due))
}
