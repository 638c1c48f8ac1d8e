//! What was said while nobody listened: read from the channels' histories, and handed in like any event.
//!
//! Slack repeats nothing that it could tell nobody. A message that is read here has the key of its event: what was heard
//! before is a duplicate. Its time is Slack's, so that a command is as late as it is. Slash commands, buttons and forms
//! leave nothing to read: Slack itself tells the person that they did not arrive.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::api::CallError;
use super::inbound::{self, Delivery, moment};
use super::transport::{located, run_of};
use super::{Door, Me, as_text};
use crate::chat::Ears;
use crate::chat::door::Heard;
use crate::domain::{Inbound, Message, Place, Platform, Posting, PostingKind, RunId, Text};
use crate::planted;
use crate::store::{Behind, Receipt, RunThread, Space, Store, StoreError};

/// How far Slack's clock and ours may differ, and how long an event may have been under way.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// What was said before that is not read.
const FARTHEST: SignedDuration = SignedDuration::from_hours(24);
/// How long before the gap a thread may have begun so that its replies are found. Threads of open runs always are.
const OLDER_THREADS: SignedDuration = SignedDuration::from_hours(24);
/// How many messages of a channel are read, and how many replies.
const MESSAGES: usize = 1_000;
/// Slack advises no more.
const PAGE: &str = "200";
/// Runs whose threads are looked at.
const RUNS: u32 = 500;
/// How often it is written down that we still listen.
const KEEP_EVERY: Duration = Duration::from_secs(30);
/// When that takes longer than this, we were stopped or the clock was set: something may have been missed.
const OVERSLEPT: SignedDuration = SignedDuration::from_mins(1);
/// Waits after failures: the first, doubled up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Slack allows 50 calls a minute of each method, and bursts: so many are made at once, then one after the other.
const BURST: u32 = 15;
const BETWEEN_CALLS: Duration = Duration::from_millis(1_750);
/// The same methods look whether our postings stand there, and that is more urgent. Of the calls in a minute we make none
/// that would be more than so many, all counted.
const OURS: usize = 30;
/// A posting in doubt holds up its thread, so what is in doubt is looked for before anything is read; but no longer than
/// this for each call, since people wait for us too.
const LOOKS_FIRST: Duration = Duration::from_secs(15);
const LOOKED_FOR_EVERY: Duration = Duration::from_millis(250);

/// Reads what was missed: after a start, and each time we hear again after being deaf.
pub struct History {
    /// Where messages go.
    pub door: Door,
    /// Keeps up to when each channel was heard.
    pub store: Store,
    /// How well the sockets hear; `None` over HTTP, where Slack repeats an event for five minutes.
    pub sockets: Option<watch::Receiver<Ears>>,
}

impl History {
    /// Reads until cancelled.
    ///
    /// Every replica reads for itself, and what another heard is a duplicate. Where only one shall, here is the place to
    /// ask for the right to.
    pub async fn run(self, cancel: CancellationToken) {
        let History {
            door,
            store,
            sockets,
        } = self;
        let reading = async {
            let mut ear = Ear { sockets };
            let mut pace = Pace::default();
            loop {
                let beginning = ear.hears().await;
                let since = door.clock.now();
                let me = me(&door).await;
                let mut reader = Reader {
                    door: &door,
                    store: &store,
                    space: Space {
                        platform: Platform::Slack,
                        id: me.space.clone(),
                    },
                    me,
                    since,
                    pace: &mut pace,
                };
                reader.listen(&mut ear, beginning).await;
            }
        };
        cancel.run_until_cancelled(reading).await;
    }
}

/// Our own account. Who asks first is answered for all.
async fn me(door: &Door) -> Me {
    let mut pause = PAUSE;
    loop {
        match door.slack.me() {
            Some(me) => return me.clone(),
            None => match door.slack.identify().await {
                Ok(me) => return me,
                Err(_) => lengthen(&mut pause).await,
            },
        }
    }
}

/// Whether we hear.
struct Ear {
    sockets: Option<watch::Receiver<Ears>>,
}

impl Ear {
    /// Waits until we hear; answers how often we have begun to.
    async fn hears(&mut self) -> u64 {
        let Some(sockets) = &mut self.sockets else {
            return 0;
        };
        if let Ok(status) = sockets.wait_for(|status| status.connected > 0).await {
            return status.beginnings;
        }
        std::future::pending().await // Socket Mode is switched off.
    }

    fn hears_now(&self) -> bool {
        let sockets = self.sockets.as_ref();
        sockets.is_none_or(|sockets| sockets.borrow().connected > 0)
    }

    fn is_new(&self, beginning: u64) -> bool {
        let sockets = self.sockets.as_ref();
        sockets.is_some_and(|sockets| sockets.borrow().beginnings != beginning)
    }

    /// Waits until we begin to hear anew.
    async fn begins_anew(&mut self, beginning: u64) {
        let Some(sockets) = &mut self.sockets else {
            return std::future::pending().await;
        };
        let anew = sockets.wait_for(|status| status.beginnings != beginning);
        if anew.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Reads what was said before we began to listen, then writes down that we still do.
struct Reader<'a> {
    door: &'a Door,
    store: &'a Store,
    space: Space,
    me: Me,
    since: Timestamp,
    pace: &'a mut Pace,
}

impl Reader<'_> {
    /// Returns when something may have been missed again.
    async fn listen(&mut self, ear: &mut Ear, beginning: u64) {
        let mut behind = match self.behind().await {
            Ok(behind) => behind,
            Err(why) => {
                warn!("slack: {why}; what was said while midwatch was away is not read");
                VecDeque::new()
            }
        };
        let mut pause = PAUSE;
        while !ear.is_new(beginning) {
            let Some(channel) = behind.pop_front() else {
                if self.idle(ear, beginning).await {
                    continue;
                }
                return;
            };
            match self.catch_up(&channel).await {
                Ok(()) => pause = PAUSE,
                Err(why @ (CallError::Refused(_) | CallError::NotAllowed(_))) => {
                    warn!("slack: channel {} is not read: {why}", channel.channel);
                }
                Err(why) => {
                    warn!("slack: channel {} is read later: {why}", channel.channel);
                    behind.push_back(channel);
                    lengthen(&mut pause).await;
                }
            }
        }
    }

    /// Writes down that we still listen. `false` when we have not, for a while.
    async fn idle(&self, ear: &mut Ear, beginning: u64) -> bool {
        let before = self.door.clock.now();
        tokio::select! {
            () = sleep(KEEP_EVERY) => {}
            () = ear.begins_anew(beginning) => return false,
        }
        let now = self.door.clock.now();
        let slept = now.duration_since(before);
        if slept.is_negative() || slept.abs() > OVERSLEPT {
            return false;
        }
        if ear.hears_now() {
            let kept = self
                .store
                .still_listening(self.space.clone(), self.since, now);
            if let Err(why) = kept.await {
                warn!("slack: up to when we listened is not written down: {why}");
            }
        }
        true
    }

    /// The channels that have to be read, those of projects first.
    async fn behind(&mut self) -> Result<VecDeque<Behind>, CallError> {
        let channels = self.channels().await?;
        let (space, since) = (&self.space, self.since);
        let mut behind = surely(|| {
            self.store
                .begin_listening(space.clone(), channels.clone(), since)
        })
        .await;
        info!(
            "slack: listening in {} channels; reading what was said before in {}",
            channels.len(),
            behind.len()
        );
        let catalog = self.door.slack.catalog.load();
        behind.sort_by_key(|it| catalog.project_of_channel(&it.channel).is_none());
        Ok(behind.into())
    }

    /// The channels that we are in, direct messages too.
    async fn channels(&mut self) -> Result<Vec<String>, CallError> {
        let mut wanted = vec![
            ("types", "public_channel,private_channel,mpim,im".to_owned()),
            ("exclude_archived", "true".to_owned()),
            ("limit", PAGE.to_owned()),
        ];
        let mut channels = Vec::new();
        let mut pause = PAUSE;
        loop {
            match self.page("users.conversations", &mut wanted).await {
                Ok(page) => {
                    let listed = page["channels"].as_array().into_iter().flatten();
                    channels.extend(listed.map(|channel| as_text(channel, "/id").to_owned()));
                    if !more(&mut wanted, &page) {
                        return Ok(channels);
                    }
                }
                Err(why @ (CallError::Refused(_) | CallError::NotAllowed(_))) => return Err(why),
                Err(why) => {
                    warn!("slack: {why}; asking again for the channels that we are in");
                    lengthen(&mut pause).await;
                }
            }
        }
    }

    /// Reads one channel up to now, and hands in what was said to us.
    async fn catch_up(&mut self, behind: &Behind) -> Result<(), CallError> {
        let now = self.door.clock.now().max(self.since);
        let Some(span) = Span::of(behind.heard, now) else {
            return Ok(()); // Another replica has heard it meanwhile.
        };
        let mut read = self.read_channel(&behind.channel, &span).await?;
        read.partly |= span.is_long && self.was_said_before(&behind.channel, &span).await?;
        self.read_threads(&behind.channel, &span, &mut read).await?;
        // Before anything is handed in: what it is to be taken for depends on this.
        surely(|| self.store.runs_are_shown(read.shown.clone(), now)).await;
        let mut unheard: u64 = 0;
        for inbound in read.said.into_values() {
            let receipt = surely(|| (self.door.intake)(inbound.clone())).await;
            unheard += u64::from(receipt == Receipt::New);
        }
        metrics::counter!("midwatch_history_inbounds_total", "platform" => "slack")
            .increment(unheard);
        if unheard > 0 || read.partly {
            let (heard, partly) = (
                behind.heard,
                if read.partly { ", but only a part" } else { "" },
            );
            info!(
                "slack: read channel {} since {heard}{partly}: {unheard} messages that were not heard",
                behind.channel
            );
        }
        let postings: Vec<Posting> = read
            .partly
            .then(|| self.read_partly(&behind.channel, behind.heard))
            .into_iter()
            .collect();
        surely(|| {
            let (space, channel) = (self.space.clone(), behind.channel.clone());
            self.store
                .channel_read(space, channel, now, postings.clone())
        })
        .await;
        Ok(())
    }

    async fn read_channel(&mut self, channel: &str, span: &Span) -> Result<Read, CallError> {
        let mut wanted = span.wanted(channel, earlier(span.from, OLDER_THREADS));
        let mut read = Read::default();
        let mut count = 0;
        loop {
            let page = self.page("conversations.history", &mut wanted).await?;
            let mut oldest = span.now;
            for message in page["messages"].as_array().into_iter().flatten() {
                count += 1;
                oldest = moment(as_text(message, "/ts")).unwrap_or(oldest);
                read.note_thread(message, span.from, &self.me);
                self.take(message, channel, span, &mut read);
            }
            if !more(&mut wanted, &page) {
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
        channel: &str,
        span: &Span,
        read: &mut Read,
    ) -> Result<(), CallError> {
        let since = earlier(span.from, OLDER_THREADS);
        let runs = surely(|| self.store.run_threads(Platform::Slack, since, RUNS)).await;
        let ours = runs
            .iter()
            .filter(|run| run.place.space == self.space.id && run.place.channel == channel);
        let threads: BTreeSet<String> = ours.filter_map(thread_of).collect();
        let mut threads: BTreeSet<String> = threads.difference(&read.quiet).cloned().collect();
        threads.append(&mut read.changed);
        let mut count = 0;
        for thread in threads {
            let mut wanted = span.wanted(channel, span.from);
            wanted.push(("ts", thread.clone()));
            loop {
                let page = match self.page("conversations.replies", &mut wanted).await {
                    Err(CallError::Refused(_)) => break, // Its first message was deleted.
                    page => page?,
                };
                for message in page["messages"].as_array().into_iter().flatten() {
                    count += 1;
                    self.take(message, channel, span, read);
                }
                if !more(&mut wanted, &page) {
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

    /// Whether anybody said anything in the part that is too old to be read.
    async fn was_said_before(&mut self, channel: &str, span: &Span) -> Result<bool, CallError> {
        let mut wanted = vec![
            ("channel", channel.to_owned()),
            ("oldest", slack_time(span.heard)),
            ("latest", slack_time(span.from)),
            ("limit", "1".to_owned()),
        ];
        let page = self.page("conversations.history", &mut wanted).await?;
        Ok(page["messages"].as_array().is_some_and(|it| !it.is_empty()))
    }

    fn take(&self, message: &Value, channel: &str, span: &Span, read: &mut Read) {
        let ts = as_text(message, "/ts");
        let Some(at) = moment(ts) else { return };
        if let Some(run) = run_of(message, &self.me) {
            read.shown.push((run, at));
        }
        if at < span.from {
            return;
        }
        let delivery = Delivery {
            me: Some(&self.me),
            now: self.door.clock.now(),
            sent_at: None,
            raw: &[],
        };
        let event = as_event(message, channel, &self.me);
        if let Heard::Inbound(inbound) = inbound::event(&event, &delivery) {
            read.said.insert(ts.to_owned(), *inbound);
        }
    }

    /// One page, within Slack's pace.
    async fn page(
        &mut self,
        method: &'static str,
        wanted: &mut Vec<(&'static str, String)>,
    ) -> Result<Value, CallError> {
        loop {
            self.turn(method).await;
            match self.door.slack.api.read(method, wanted).await {
                Err(CallError::Limited(wait)) => sleep(wait).await,
                answer => return answer,
            }
        }
    }

    /// Waits until it is our turn to call a method.
    async fn turn(&mut self, method: &'static str) {
        self.pace.turn(method).await;
        let patience = Instant::now() + LOOKS_FIRST;
        loop {
            let now = self.door.clock.now();
            let looks = self.store.are_in_doubt(Platform::Slack, now).await;
            let wait = match looks {
                Ok(true) => LOOKED_FOR_EVERY,
                // Without the store nobody looks for anything.
                Ok(false) | Err(_) => self.door.slack.api.room(method, OURS),
            };
            if wait.is_zero() || Instant::now() >= patience {
                return;
            }
            sleep(wait.min(patience - Instant::now())).await;
        }
    }

    fn read_partly(&self, channel: &str, heard: Timestamp) -> Posting {
        let first = Text::new()
            .plain("⚠ I was away since ")
            .time(heard)
            .plain(" and read only the newest part of what was said here: at most a day of it");
        let next =
            "a command that I didn't answer I didn't see, and nothing was done: type it again";
        Posting {
            to: Place {
                platform: Platform::Slack,
                space: self.space.id.clone(),
                channel: channel.to_owned(),
                thread: None,
            },
            kind: PostingKind::Answer,
            run: None,
            message: Message::new(first).text(Text::from(next)),
        }
    }
}

/// What is read of a channel.
struct Span {
    heard: Timestamp,
    from: Timestamp,
    now: Timestamp,
    /// Something between `heard` and `from` is not read.
    is_long: bool,
}

impl Span {
    /// `None` when there is nothing to read.
    fn of(heard: Timestamp, now: Timestamp) -> Option<Self> {
        let farthest = earlier(now, FARTHEST);
        if heard > now {
            // Another replica's clock, or ours was wrong: then the cursor says nothing.
            return (earlier(heard, MARGIN) > now).then_some(Self {
                heard: farthest,
                from: farthest,
                now,
                is_long: false,
            });
        }
        Some(Self {
            heard,
            from: earlier(heard, MARGIN).max(farthest),
            now,
            is_long: heard < farthest,
        })
    }

    /// With both ends: with one alone Slack begins its pages there.
    fn wanted(&self, channel: &str, oldest: Timestamp) -> Vec<(&'static str, String)> {
        let latest = self.now.saturating_add(MARGIN).unwrap_or(self.now);
        vec![
            ("channel", channel.to_owned()),
            ("oldest", slack_time(oldest)),
            ("latest", slack_time(latest)),
            ("limit", PAGE.to_owned()),
            // Without it nothing says which run a message of ours is about.
            ("include_all_metadata", "true".to_owned()),
        ]
    }
}

/// What was found in a channel.
#[derive(Default)]
struct Read {
    /// What was said to us, by Slack's timestamp and so in order.
    said: BTreeMap<String, Inbound>,
    /// Threads with newer replies, and not by us alone.
    changed: BTreeSet<String>,
    /// Other threads, of which there is nothing to read.
    quiet: BTreeSet<String>,
    /// Runs whose roots stand there, and since when.
    shown: Vec<(RunId, Timestamp)>,
    /// There was more than we read.
    partly: bool,
}

impl Read {
    fn note_thread(&mut self, message: &Value, from: Timestamp, me: &Me) {
        let ts = as_text(message, "/ts").to_owned();
        let latest = moment(as_text(message, "/latest_reply"));
        let has_replies = message["reply_count"]
            .as_u64()
            .is_some_and(|count| count > 0);
        // Most threads are runs in which nobody but us said anything.
        let ours = message["reply_users_count"] == 1
            && me.is(
                as_text(message, "/reply_users/0"),
                as_text(message, "/reply_users/0"),
            );
        if !ours && latest.map_or(has_replies, |latest| latest >= from) {
            self.changed.insert(ts);
        } else {
            self.quiet.insert(ts);
        }
    }
}

/// The event that Slack made, or would have made, of a message.
fn as_event(message: &Value, channel: &str, me: &Me) -> Value {
    let Value::Object(mut fields) = message.clone() else {
        return Value::Null;
    };
    // The first message of a thread names itself as its thread; when it was sent there was none.
    if fields.get("thread_ts") == fields.get("ts") {
        fields.remove("thread_ts");
    }
    let event = if as_text(message, "/edited/ts").is_empty() {
        fields.insert("type".to_owned(), "message".into());
        fields.insert("channel".to_owned(), channel.into());
        Value::Object(fields)
    } else {
        json!({ "type": "message", "subtype": "message_changed", "channel": channel, "message": fields })
    };
    let space = if planted::is("history-has-keys-of-its-own") {
        "history"
    } else {
        &me.space
    };
    json!({ "type": "event_callback", "team_id": space, "event": event })
}

fn thread_of(run: &RunThread) -> Option<String> {
    let root = run.root.as_ref().and_then(|root| located(root).ok());
    let root = root.map(|(_, ts)| ts.to_owned());
    run.place.thread.clone().or(root)
}

/// Asks for the next page. `false` when this was the last.
fn more(wanted: &mut Vec<(&'static str, String)>, page: &Value) -> bool {
    let next = as_text(page, "/response_metadata/next_cursor");
    wanted.retain(|(name, _)| *name != "cursor");
    wanted.push(("cursor", next.to_owned()));
    !next.is_empty()
}

/// A moment as Slack writes it.
fn slack_time(at: Timestamp) -> String {
    let micros = at.as_microsecond().max(0);
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn earlier(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_sub(span).unwrap_or(Timestamp::MIN)
}

/// Asks the store until it answers: what was read must not be lost because it can't be written at the moment.
async fn surely<T, F: Future<Output = Result<T, StoreError>>>(mut ask: impl FnMut() -> F) -> T {
    let mut pause = PAUSE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(why) => {
                warn!("slack: reading what was said waits for the store: {why}");
                lengthen(&mut pause).await;
            }
        }
    }
}

/// Waits, and makes the next wait twice as long.
async fn lengthen(pause: &mut Duration) {
    sleep(*pause).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}

/// When the next call of a method would be due if there were no bursts.
#[derive(Default)]
struct Pace(HashMap<&'static str, Instant>);

impl Pace {
    async fn turn(&mut self, method: &'static str) {
        let now = Instant::now();
        let due = self.0.get(method).map_or(now, |due| now.max(*due));
        if let Some(earliest) = due.checked_sub(BETWEEN_CALLS * (BURST - 1)) {
            sleep_until(earliest).await;
        }
        self.0.insert(method, due + BETWEEN_CALLS);
    }
}

#[cfg(test)]
mod tests;
