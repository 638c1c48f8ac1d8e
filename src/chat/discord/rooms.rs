//! Which channels are threads, and of which channel: a message says only where it stands.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::as_text as at;
use crate::domain::{Place, Platform};

/// Announcement threads, public and private ones.
const THREAD_KINDS: std::ops::RangeInclusive<u64> = 10..=12;
/// What is not remembered is asked for again.
const MOST: usize = 100_000;

/// A channel, or a thread in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) channel: String,
    pub(super) thread: Option<String>,
}

impl Room {
    /// Of a channel as Discord describes it.
    pub(super) fn of(channel: &Value) -> Option<Self> {
        let (id, parent) = (at(channel, "/id"), at(channel, "/parent_id"));
        if id.is_empty() {
            return None;
        }
        let is_thread = channel["type"]
            .as_u64()
            .is_some_and(|kind| THREAD_KINDS.contains(&kind));
        Some(if is_thread && !parent.is_empty() {
            Self {
                channel: parent.to_owned(),
                thread: Some(id.to_owned()),
            }
        } else {
            Self {
                channel: id.to_owned(),
                thread: None,
            }
        })
    }

    /// Where an interaction happened.
    pub(super) fn of_interaction(payload: &Value) -> Option<Self> {
        let id = at(payload, "/channel_id");
        Self::of(&payload["channel"]).or_else(|| {
            (!id.is_empty()).then(|| Self {
                channel: id.to_owned(),
                thread: None,
            })
        })
    }

    pub(super) fn place(self, guild: &str) -> Place {
        Place {
            platform: Platform::Discord,
            space: guild.to_owned(),
            channel: self.channel,
            thread: self.thread,
        }
    }
}

/// The channels that we were told of.
#[derive(Default)]
pub(super) struct Rooms(Mutex<HashMap<String, Room>>);

impl Rooms {
    /// Remembers a channel or thread.
    pub(super) fn note(&self, channel: &Value) -> Option<Room> {
        let room = Room::of(channel)?;
        let mut all = self.all();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(at(channel, "/id").to_owned(), room.clone());
        Some(room)
    }

    /// Remembers what a guild is made of.
    pub(super) fn note_guild(&self, guild: &Value) {
        for list in [&guild["channels"], &guild["threads"]] {
            for channel in list.as_array().into_iter().flatten() {
                self.note(channel);
            }
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<Room> {
        self.all().get(id).cloned()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Room>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
