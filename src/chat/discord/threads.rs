//! Where a line goes: into the run's thread, in answer to its root where there can be no thread, or plainly into the
//! channel where not even that may be.
//!
//! A run's thread begins from its root and has the root's id. Which permissions there are, a call's refusal tells.

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use tokio::time::Instant;
use tracing::warn;

use super::Discord;
use super::api::{CallError, code};
use super::transport::{id, message_route, words};
use crate::chat::{DeliveryError, located};
use crate::domain::Place;
use crate::store::MessageRef;

const THREAD_NAME_CHARS: usize = 100;
/// Minutes without a line after which a thread is put away; whoever writes into it brings it back.
const PUT_AWAY_AFTER: u32 = 4_320;
/// How long a channel is taken for one that has no threads; somebody may allow them.
const NO_THREADS_FOR: Duration = Duration::from_secs(600);
/// Above so many, what is known of threads is forgotten.
const MOST_THREADS: usize = 10_000;

/// Answers that mean that there can be no thread: the lines stay in the channel then.
const NO_THREADS: [u64; 5] = [
    code::NOT_IN_THIS_CHANNEL,
    code::NO_PERMISSION,
    code::NO_ACCESS,
    code::THREADS_FULL,
    code::NEWS_THREADS_FULL,
];
/// Answers that mean that the bot lacks a permission.
pub(super) const NOT_PERMITTED: [u64; 2] = [code::NO_PERMISSION, code::NO_ACCESS];

/// What is known of runs' threads. A restart forgets it, and asks again.
#[derive(Default)]
pub(super) struct Threads {
    begun: HashSet<String>,
    /// Roots and channels that can have none, until then.
    none: HashMap<String, Instant>,
}

/// Where a line goes.
pub(super) struct Spot {
    pub(super) channel: String,
    /// The message that it answers.
    pub(super) reply_to: Option<String>,
}

impl Spot {
    pub(super) fn plain(channel: &str) -> Self {
        Self {
            channel: channel.to_owned(),
            reply_to: None,
        }
    }
}

impl Discord {
    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a message for this place goes; a run's thread is begun where there is none yet.
    pub(super) async fn spot(
        &self,
        to: &Place,
        root: Option<&MessageRef>,
    ) -> Result<Spot, DeliveryError> {
        let Some(root) = root.filter(|_| to.thread.is_none()) else {
            return Ok(Spot::plain(to.thread.as_deref().unwrap_or(&to.channel)));
        };
        let (channel, message) = located(root)?;
        if !to.space.is_empty() && self.has_thread(channel, message).await? {
            return Ok(Spot::plain(message));
        }
        Ok(Spot {
            channel: channel.to_owned(),
            reply_to: Some(message.to_owned()),
        })
    }

    async fn has_thread(&self, channel: &str, root: &str) -> Result<bool, DeliveryError> {
        {
            let mut threads = self.threads();
            if threads.can_have_none(root) || threads.can_have_none(channel) {
                return Ok(false);
            }
            if threads.begun.contains(root) {
                return Ok(true);
            }
        }
        let message = self
            .api
            .get(message_route(channel, root)?, Vec::new())
            .await;
        let message = match message {
            // Who may not read the history has no name for the thread, and may have a thread.
            Err(why) if why.is_one_of(&NOT_PERMITTED) => Value::Null,
            message => message.map_err(CallError::of_edit)?,
        };
        let body = json!({
            "name": thread_name(&words(&message)),
            "auto_archive_duration": PUT_AWAY_AFTER,
        });
        let route = Route::ChannelMessageThreads {
            channel_id: id(channel)?.into(),
            message_id: id(root)?.into(),
        };
        match self.api.send(LightMethod::Post, route, &body).await {
            Ok(_) => {}
            Err(why) if why.is(code::THREAD_EXISTS) => {}
            Err(why) if why.is_one_of(&NO_THREADS) => {
                self.no_threads_in(channel, &why);
                return Ok(false);
            }
            Err(why) => return Err(why.of_edit()),
        }
        self.threads().begin(root);
        Ok(true)
    }

    fn no_threads_in(&self, channel: &str, why: &CallError) {
        warn!(
            "discord: lines of runs in channel {channel} answer their first message, since {why}"
        );
        self.threads().no_thread(channel);
    }

    /// The run's thread refused a line. What that means for where the lines go, if anything; then the line is tried again.
    pub(super) fn thread_refuses(
        &self,
        root: &MessageRef,
        why: &CallError,
    ) -> Result<(), DeliveryError> {
        let (channel, root) = located(root)?;
        if why.is_one_of(&[code::UNKNOWN_CHANNEL, code::ARCHIVED, code::LOCKED]) {
            // Somebody deleted the thread or locked it: the channel above is told.
            self.threads().no_thread(root);
        } else if why.is_one_of(&NOT_PERMITTED) && self.threads().begun.remove(root) {
            // Threads can be made here, and not be written in.
            self.no_threads_in(channel, why);
        } else {
            return Ok(());
        }
        Err(DeliveryError::Failed(format!(
            "the thread takes no more lines: {why}"
        )))
    }
}

impl Threads {
    fn begin(&mut self, root: &str) {
        if self.begun.len() >= MOST_THREADS {
            self.begun.clear();
        }
        self.begun.insert(root.to_owned());
    }

    fn no_thread(&mut self, of: &str) {
        let now = Instant::now();
        self.begun.remove(of);
        if self.none.len() >= MOST_THREADS {
            self.none.clear();
        }
        self.none.insert(of.to_owned(), now + NO_THREADS_FOR);
    }

    fn can_have_none(&mut self, of: &str) -> bool {
        let until = self.none.get(of).copied();
        if until.is_some_and(|until| until <= Instant::now()) {
            self.none.remove(of);
        }
        self.none.contains_key(of)
    }
}

/// The root's first line, without marks.
fn thread_name(root: &str) -> String {
    let first = root
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("");
    let plain: String = first
        .chars()
        .filter(|c| !matches!(c, '*' | '`' | '\\'))
        .collect();
    let name: String = plain.trim().chars().take(THREAD_NAME_CHARS).collect();
    if name.is_empty() {
        "run".to_owned()
    } else {
        name
    }
}
