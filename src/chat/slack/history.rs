//! What a workspace keeps of what was said while nobody listened.
//!
//! Slash commands, buttons and forms leave nothing to read: Slack itself tells the person that they did not arrive.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::api::CallError;
use super::inbound::{self, Delivery, moment};
use super::transport::run_of;
use super::{Door, Me, as_text};
use crate::chat::door::Heard;
use crate::chat::history::{
    self, Archive, Between, Channels, NotRead, Page, Pause, Replies, Thread, Written,
};
use crate::chat::{Ears, located};
use crate::domain::{InboundKey, Place, Platform, RunId};
use crate::planted;
use crate::store::{RunThread, Store};

/// Slack advises no more.
const PAGE: &str = "200";
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
    pub async fn run(self, cancel: CancellationToken) {
        let Self {
            door,
            store,
            sockets,
        } = self;
        let history = history::History {
            catalog: door.slack.catalog.clone(),
            intake: door.intake.clone(),
            clock: door.clock.clone(),
            ears: sockets,
            archive: Workspace {
                door,
                store: store.clone(),
                pace: Pace::default(),
            },
            store,
        };
        history.run(cancel).await;
    }
}

/// What the workspace keeps.
struct Workspace {
    door: Door,
    store: Store,
    pace: Pace,
}

#[async_trait]
impl Archive for Workspace {
    type Root = RunId;

    fn platform(&self) -> Platform {
        Platform::Slack
    }

    /// Our own account says which. Who asks first is answered for all.
    async fn spaces(&mut self) -> Result<Vec<String>, NotRead> {
        let mut pause = Pause::new();
        loop {
            match self.door.slack.me() {
                Some(me) => return Ok(vec![me.space.clone()]),
                None => {
                    if self.door.slack.identify().await.is_err() {
                        pause.wait().await;
                    }
                }
            }
        }
    }

    async fn channels(&mut self, _space: &str, next: Option<&str>) -> Result<Channels, NotRead> {
        let mut wanted = vec![
            ("types", "public_channel,private_channel,mpim,im".to_owned()),
            ("exclude_archived", "true".to_owned()),
            ("limit", PAGE.to_owned()),
        ];
        wanted.extend(cursor(next));
        let page = self.read("users.conversations", &wanted).await?;
        let listed = page["channels"].as_array().into_iter().flatten();
        Ok(Channels {
            ids: listed
                .map(|channel| as_text(channel, "/id").to_owned())
                .collect(),
            next: more(&page),
        })
    }

    async fn page(
        &mut self,
        of: &Place,
        between: Between,
        next: Option<&str>,
    ) -> Result<Page<RunId>, NotRead> {
        let mut wanted = bounds(&of.channel, between);
        wanted.push(("limit", PAGE.to_owned()));
        // Without it nothing says which run a message of ours is about.
        wanted.push(("include_all_metadata", "true".to_owned()));
        wanted.extend(of.thread.clone().map(|thread| ("ts", thread)));
        wanted.extend(cursor(next));
        let method = if of.thread.is_some() {
            "conversations.replies"
        } else {
            "conversations.history"
        };
        let page = self.read(method, &wanted).await?;
        let me = self.me()?;
        let now = self.door.clock.now();
        let messages = page["messages"].as_array().into_iter().flatten();
        Ok(Page {
            messages: messages
                .filter_map(|message| written(message, &of.channel, me, now))
                .collect(),
            next: more(&page),
        })
    }

    async fn was_said(&mut self, channel: &Place, between: Between) -> Result<bool, NotRead> {
        let mut wanted = bounds(&channel.channel, between);
        wanted.push(("limit", "1".to_owned()));
        let page = self.read("conversations.history", &wanted).await?;
        Ok(page["messages"].as_array().is_some_and(|it| !it.is_empty()))
    }

    fn thread_of(&self, run: &RunThread) -> Option<String> {
        let root = run.root.as_ref().and_then(|root| located(root).ok());
        let root = root.map(|(_, ts)| ts.to_owned());
        run.place.thread.clone().or(root)
    }

    /// Its metadata says which run a root is of.
    fn shown(
        &self,
        roots: Vec<(RunId, Timestamp)>,
        _read: &BTreeSet<InboundKey>,
    ) -> Vec<(RunId, Timestamp)> {
        roots
    }
}

impl Workspace {
    fn me(&self) -> Result<&Me, NotRead> {
        let unknown = || NotRead::NotNow("slack has not said who we are".to_owned());
        self.door.slack.me().ok_or_else(unknown)
    }

    /// One page, within Slack's pace.
    async fn read(
        &mut self,
        method: &'static str,
        wanted: &[(&'static str, String)],
    ) -> Result<Value, NotRead> {
        loop {
            self.turn(method).await;
            match self.door.slack.api.read(method, wanted).await {
                Err(CallError::Limited(wait)) => sleep(wait).await,
                answer => return answer.map_err(NotRead::from),
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
}

impl From<CallError> for NotRead {
    fn from(error: CallError) -> Self {
        let why = error.to_string();
        match error {
            CallError::Refused(_) => Self::Refused(why),
            CallError::NotAllowed(_) => Self::NotAllowed(why),
            CallError::Limited(_) | CallError::NotDone(_) | CallError::NoAnswer(_) => {
                Self::NotNow(why)
            }
        }
    }
}

/// A message, as the history holds it; `None` for what has no time.
fn written(message: &Value, channel: &str, me: &Me, now: Timestamp) -> Option<Written<RunId>> {
    let ts = as_text(message, "/ts");
    let at = moment(ts)?;
    let delivery = Delivery {
        me: Some(me),
        now,
        sent_at: None,
        raw: &[],
    };
    let said = match inbound::event(&as_event(message, channel, me), &delivery) {
        Heard::Inbound(said) => Some(*said),
        Heard::Ignored(_) | Heard::Malformed(_) => None,
    };
    Some(Written {
        id: ts.to_owned(),
        at,
        said,
        root: run_of(message, me),
        thread: Some(thread(message, me)),
    })
}

/// The thread that begins with a message.
fn thread(message: &Value, me: &Me) -> Thread {
    // Most threads are runs in which nobody but us said anything.
    let replier = as_text(message, "/reply_users/0");
    let ours = message["reply_users_count"] == 1 && me.is(replier, replier);
    let count = message["reply_count"].as_u64().unwrap_or(0);
    let replies = match moment(as_text(message, "/latest_reply")) {
        _ if ours => Replies::None,
        Some(latest) => Replies::Until(latest),
        None if count > 0 => Replies::Some,
        None => Replies::None,
    };
    Thread {
        id: as_text(message, "/ts").to_owned(),
        replies,
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

/// With both ends: with one alone Slack begins its pages there.
fn bounds(channel: &str, between: Between) -> Vec<(&'static str, String)> {
    vec![
        ("channel", channel.to_owned()),
        ("oldest", slack_time(between.oldest)),
        ("latest", slack_time(between.latest)),
    ]
}

fn cursor(next: Option<&str>) -> Option<(&'static str, String)> {
    next.map(|next| ("cursor", next.to_owned()))
}

/// How to ask for the next page; `None` when this was the last.
fn more(page: &Value) -> Option<String> {
    let next = as_text(page, "/response_metadata/next_cursor");
    (!next.is_empty()).then(|| next.to_owned())
}

/// A moment as Slack writes it.
fn slack_time(at: Timestamp) -> String {
    let micros = at.as_microsecond().max(0);
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
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
