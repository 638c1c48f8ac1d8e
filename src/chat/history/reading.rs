//! Reads one channel and its threads up to now, and hands in what was said to us.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tracing::{info, warn};

use super::span::Span;
use super::{Archive, History, NotRead, Pause, Thread, Written};
use crate::domain::{Inbound, InboundKey, Message, Place, Posting, PostingKind, Text};
use crate::store::{Receipt, Space, StoreError};

/// How many messages of a channel are read, and how many replies.
const MESSAGES: usize = 1_000;
/// Runs whose threads are looked at.
const RUNS: u32 = 500;

/// A channel that has to be read.
pub(super) struct Unread {
    /// Which; no thread.
    pub(super) place: Place,
    /// Everything said before was heard.
    pub(super) heard: Timestamp,
}

impl<A: Archive> History<A> {
    /// Reads one channel up to now, and hands in what was said to us.
    pub(super) async fn catch_up(
        &mut self,
        channel: &Unread,
        since: Timestamp,
    ) -> Result<(), NotRead> {
        let now = self.clock.now().max(since);
        let Some(span) = Span::of(channel.heard, now) else {
            return Ok(()); // Another replica has heard it meanwhile.
        };
        let (place, platform) = (&channel.place, channel.place.platform.as_str());
        let mut read = self.read_channel(place, &span).await?;
        read.partly |= span.is_long && self.archive.was_said(place, span.before()).await?;
        self.read_threads(place, &span, &mut read).await?;
        // Before anything is handed in: what it is to be taken for depends on this.
        let shown = self.archive.shown(read.roots, &read.keys);
        surely(platform, || self.store.runs_are_shown(shown.clone(), now)).await;
        let mut unheard: u64 = 0;
        for inbound in read.said.into_values() {
            let receipt = surely(platform, || (self.intake)(inbound.clone())).await;
            unheard += u64::from(receipt == Receipt::New);
        }
        metrics::counter!("midwatch_history_inbounds_total", "platform" => platform)
            .increment(unheard);
        if unheard > 0 || read.partly {
            let (id, heard) = (&place.channel, channel.heard);
            let partly = if read.partly { ", but only a part" } else { "" };
            info!(
                "{platform}: read channel {id} since {heard}{partly}: {unheard} messages that were not heard"
            );
        }
        let told = read.partly.then(|| read_partly(channel));
        let postings: Vec<Posting> = told.into_iter().collect();
        surely(platform, || {
            let space = Space {
                platform: place.platform,
                id: place.space.clone(),
            };
            let channel = place.channel.clone();
            self.store
                .channel_read(space, channel, now, postings.clone())
        })
        .await;
        Ok(())
    }

    async fn read_channel(&mut self, place: &Place, span: &Span) -> Result<Read<A>, NotRead> {
        let mut read = Read::new();
        let mut count = 0;
        let mut next: Option<String> = None;
        loop {
            let page = self
                .archive
                .page(place, span.threads(), next.as_deref())
                .await?;
            count += page.messages.len().max(1); // Empty pages come to an end too.
            let oldest = page.messages.last().map_or(span.now, |message| message.at);
            for mut message in page.messages {
                if let Some(thread) = message.thread.take() {
                    read.note_thread(thread, span.from);
                }
                read.take(message, span.from);
            }
            next = page.next;
            if next.is_none() {
                return Ok(read);
            }
            if count >= MESSAGES {
                read.partly = oldest > span.from;
                return Ok(read);
            }
        }
    }

    /// Reads the replies in threads that changed, and in those of runs that we know nothing newer of.
    async fn read_threads(
        &mut self,
        place: &Place,
        span: &Span,
        read: &mut Read<A>,
    ) -> Result<(), NotRead> {
        for thread in self.archive.threads(place).await? {
            read.note_thread(thread, span.from);
        }
        let since = span.threads().oldest;
        let runs = surely(place.platform.as_str(), || {
            self.store.run_threads(place.platform, since, RUNS)
        })
        .await;
        let ours = runs
            .iter()
            .filter(|run| run.place.space == place.space && run.place.channel == place.channel);
        let threads: BTreeSet<String> =
            ours.filter_map(|run| self.archive.thread_of(run)).collect();
        let mut threads: BTreeSet<String> = threads.difference(&read.quiet).cloned().collect();
        threads.append(&mut read.changed);
        let mut count = 0;
        for thread in threads {
            let thread = Place {
                thread: Some(thread),
                ..place.clone()
            };
            let mut next: Option<String> = None;
            loop {
                let page = self
                    .archive
                    .page(&thread, span.replies(), next.as_deref())
                    .await;
                let page = match page {
                    Err(NotRead::Refused(_)) => break, // Its first message was deleted.
                    page => page?,
                };
                count += page.messages.len().max(1);
                for message in page.messages {
                    read.take(message, span.from);
                }
                next = page.next;
                if next.is_none() {
                    break;
                }
                if count >= MESSAGES {
                    read.partly = true;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// What was found in a channel.
struct Read<A: Archive> {
    /// What was said to us, in order.
    said: BTreeMap<(Timestamp, String), Inbound>,
    /// The keys of everything that was said to us, also of what is too old.
    keys: BTreeSet<InboundKey>,
    /// Threads with newer replies, and not by us alone.
    changed: BTreeSet<String>,
    /// Other threads, of which there is nothing to read.
    quiet: BTreeSet<String>,
    /// What stands there of our runs, and since when.
    roots: Vec<(A::Root, Timestamp)>,
    /// There was more than we read.
    partly: bool,
}

impl<A: Archive> Read<A> {
    fn new() -> Self {
        Self {
            said: BTreeMap::new(),
            keys: BTreeSet::new(),
            changed: BTreeSet::new(),
            quiet: BTreeSet::new(),
            roots: Vec::new(),
            partly: false,
        }
    }

    fn note_thread(&mut self, thread: Thread, from: Timestamp) {
        if thread.is_changed_since(from) {
            self.changed.insert(thread.id);
        } else {
            self.quiet.insert(thread.id);
        }
    }

    fn take(&mut self, message: Written<A::Root>, from: Timestamp) {
        let Written {
            id, at, said, root, ..
        } = message;
        self.roots.extend(root.map(|root| (root, at)));
        let Some(said) = said else { return };
        self.keys.insert(said.key.clone());
        if at >= from {
            self.said.insert((at, id), said);
        }
    }
}

fn read_partly(channel: &Unread) -> Posting {
    let first = Text::new()
        .plain("⚠ I was away since ")
        .time(channel.heard)
        .plain(" and read only the newest part of what was said here: at most a day of it");
    let next = "a command that I didn't answer I didn't see, and nothing was done: type it again";
    Posting {
        to: channel.place.clone(),
        kind: PostingKind::Answer,
        run: None,
        message: Message::new(first).text(Text::from(next)),
    }
}

/// Asks the store until it answers: what was read must not be lost because it can't be written at the moment.
pub(super) async fn surely<T, F: Future<Output = Result<T, StoreError>>>(
    platform: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let mut pause = Pause::new();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(why) => {
                warn!("{platform}: reading what was said waits for the store: {why}");
                pause.wait().await;
            }
        }
    }
}
