//! From when we begin to hear until we may have been deaf: reads what was said before, then writes down that we listen.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use tracing::{info, warn};

use super::reading::{Unread, surely};
use super::{Archive, Ear, History, NotRead, Pause};
use crate::domain::Place;
use crate::store::Space;

/// How often it is written down that we still listen.
const KEEP_EVERY: Duration = Duration::from_secs(30);
/// When that takes longer than this, we were stopped or the clock was set: something may have been missed.
const OVERSLEPT: SignedDuration = SignedDuration::from_mins(1);

/// We listen since a moment, in these spaces.
pub(super) struct Listening<'a, A> {
    history: &'a mut History<A>,
    platform: &'static str,
    spaces: Vec<Space>,
    since: Timestamp,
}

impl<'a, A: Archive> Listening<'a, A> {
    /// Asks which spaces there are, until that is known.
    pub(super) async fn begin(history: &'a mut History<A>, since: Timestamp) -> Self {
        let platform = history.archive.platform();
        let ids = spaces(&mut history.archive).await;
        let spaces = ids.into_iter().map(|id| Space { platform, id });
        Self {
            spaces: spaces.collect(),
            platform: platform.as_str(),
            history,
            since,
        }
    }

    /// Returns when something may have been missed again.
    pub(super) async fn listen(&mut self, ear: &mut Ear, beginning: u64) {
        let mut unread = self.unread().await;
        let mut pause = Pause::new();
        while !ear.is_new(beginning) {
            let Some(channel) = unread.pop_front() else {
                if self.idle(ear, beginning).await {
                    continue;
                }
                return;
            };
            match self.history.catch_up(&channel, self.since).await {
                Ok(()) => pause = Pause::new(),
                Err(why @ (NotRead::Refused(_) | NotRead::NotAllowed(_))) => {
                    let (platform, channel) = (self.platform, &channel.place.channel);
                    warn!("{platform}: channel {channel} is not read: {why}");
                }
                Err(NotRead::NotNow(why)) => {
                    let (platform, id) = (self.platform, &channel.place.channel);
                    warn!("{platform}: channel {id} is read later: {why}");
                    unread.push_back(channel);
                    pause.wait().await;
                }
            }
        }
    }

    /// Writes down that we still listen. `false` when we have not, for a while.
    async fn idle(&self, ear: &mut Ear, beginning: u64) -> bool {
        let clock = &self.history.clock;
        let before = clock.now();
        tokio::select! {
            () = sleep(KEEP_EVERY) => {}
            () = ear.begins_anew(beginning) => return false,
        }
        let now = clock.now();
        let slept = now.duration_since(before);
        if slept.is_negative() || slept.abs() > OVERSLEPT {
            return false;
        }
        if ear.hears_now() {
            for space in &self.spaces {
                let store = &self.history.store;
                let kept = store.still_listening(space.clone(), self.since, now).await;
                if let Err(why) = kept {
                    let platform = self.platform;
                    warn!("{platform}: up to when we listened is not written down: {why}");
                }
            }
        }
        true
    }

    /// The channels that have to be read, those of projects first.
    async fn unread(&mut self) -> VecDeque<Unread> {
        let mut unread = Vec::new();
        for space in self.spaces.clone() {
            match self.channels(&space).await {
                Ok(channels) => unread.extend(self.begin_in(&space, channels).await),
                Err(why) => not_read_at_all(self.platform, &why),
            }
        }
        let catalog = self.history.catalog.load();
        unread.sort_by_key(|it| catalog.project_of_channel(&it.place.channel).is_none());
        unread.into()
    }

    /// Writes down that we listen in these channels; answers those that have to be read.
    async fn begin_in(&self, space: &Space, channels: Vec<String>) -> Vec<Unread> {
        let (store, since) = (&self.history.store, self.since);
        let behind = surely(self.platform, || {
            store.begin_listening(space.clone(), channels.clone(), since)
        })
        .await;
        info!(
            "{}: listening in {} channels; reading what was said before in {}",
            self.platform,
            channels.len(),
            behind.len()
        );
        let unread = behind.into_iter().map(|behind| Unread {
            place: Place {
                platform: space.platform,
                space: space.id.clone(),
                channel: behind.channel,
                thread: None,
            },
            heard: behind.heard,
        });
        unread.collect()
    }

    /// The channels of a space that we are in, direct messages too.
    async fn channels(&mut self, space: &Space) -> Result<Vec<String>, NotRead> {
        let archive = &mut self.history.archive;
        let mut channels = Vec::new();
        let mut next: Option<String> = None;
        let mut pause = Pause::new();
        loop {
            match archive.channels(&space.id, next.as_deref()).await {
                Ok(mut listed) => {
                    channels.append(&mut listed.ids);
                    if listed.next.is_none() {
                        return Ok(channels);
                    }
                    next = listed.next;
                }
                Err(NotRead::NotNow(why)) => {
                    let platform = self.platform;
                    warn!("{platform}: {why}; asking again for the channels that we are in");
                    pause.wait().await;
                }
                Err(why) => return Err(why),
            }
        }
    }
}

async fn spaces<A: Archive>(archive: &mut A) -> Vec<String> {
    let platform = archive.platform().as_str();
    let mut pause = Pause::new();
    loop {
        match archive.spaces().await {
            Ok(spaces) => return spaces,
            Err(NotRead::NotNow(why)) => {
                warn!("{platform}: {why}; asking again for the spaces that we are in");
                pause.wait().await;
            }
            Err(why) => {
                not_read_at_all(platform, &why);
                return Vec::new();
            }
        }
    }
}

fn not_read_at_all(platform: &str, why: &NotRead) {
    warn!("{platform}: {why}; what was said while midwatch was away is not read");
}
