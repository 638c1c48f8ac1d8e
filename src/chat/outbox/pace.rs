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

pub(super) type Blocked = Arc<std::sync::Mutex<HashMap<String, tokio::time::Instant>>>;

/// Keeps the platform's pace: posts by channel, edits by space, and what the platform told us to wait.
pub(super) struct Pacer {
    posts: Option<DefaultKeyedRateLimiter<String>>,
    edits: Option<DefaultKeyedRateLimiter<String>>,
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
            blocked: Blocked::default(),
            asked: 0,
        }
    }

    /// Whether this may be sent now; otherwise how long to wait.
    pub(super) fn ready(&mut self, due: &DuePosting) -> Result<(), Duration> {
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

/// What a `Retry-After` is about: the method in the space.
pub(super) fn block_key(due: &DuePosting) -> String {
    format!(
        "{}/{}",
        due.posting.to.space,
        if is_edit(due) { "edit" } else { "post" }
    )
}
