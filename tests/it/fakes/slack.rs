//! A Slack workspace: channels, people, messages, sockets; it checks what a real one checks and remembers each violation.
//!
//! Tests play the people (`slash`, `mention`, `click` …) and read what they would read (`thread`, `messages`).

mod api;
mod groups;
mod history;
mod people;
mod rules;
mod sockets;
mod weather;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use midwatch::clock::Clock;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use self::people::{Ack, Delivery, Kind, signed};
pub(crate) use self::rules::render;
pub(crate) use self::sockets::Order;
pub(crate) use self::weather::Storm;

pub(crate) const BOT_TOKEN: &str = "xoxb-1-fake";
pub(crate) const APP_TOKEN: &str = "xapp-1-fake";
pub(crate) const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
pub(crate) const TEAM: &str = "T1";
pub(crate) const BOT_USER: &str = "UBOT";
pub(crate) const BOT: &str = "BBOT";
pub(crate) const APP: &str = "A1";
/// Another app's account.
pub(crate) const OTHER_BOT: &str = "UOTHERBOT";

/// A workspace. Cheap to clone; ends with its last clone.
#[derive(Clone)]
pub(crate) struct FakeSlack {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    api: SocketAddr,
    sockets: SocketAddr,
    tasks: Mutex<JoinSet<()>>,
    /// What delivers over HTTP; made once, because that takes its time.
    client: reqwest::Client,
}

/// A message as the workspace keeps it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Posted {
    pub(crate) channel: String,
    pub(crate) ts: String,
    pub(crate) thread: Option<String>,
    pub(crate) user: String,
    pub(crate) text: String,
    pub(crate) blocks: Vec<Value>,
    pub(crate) metadata: Value,
    pub(crate) files: Vec<(String, String)>,
    pub(crate) edits: usize,
    /// When its writer changed it last.
    pub(crate) edited: Option<String>,
    /// Only this person sees it.
    pub(crate) only_for: Option<String>,
}

/// A form that was opened.
#[derive(Debug, Clone)]
pub(crate) struct OpenedForm {
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) view: Value,
}

#[derive(Default)]
struct Channel {
    member: bool,
    archived: bool,
}

#[derive(Default)]
struct State {
    channels: BTreeMap<String, Channel>,
    messages: Vec<Posted>,
    forms: Vec<OpenedForm>,
    uploads: HashMap<String, (String, usize, Option<String>)>,
    triggers: HashMap<String, (String, Instant, bool)>,
    violations: Vec<String>,
    calls: Vec<String>,
    last_ts: i64,
    counter: u64,
    /// Base address of the app, when deliveries go over HTTP.
    app: Option<String>,
    trouble: Trouble,
    pace: HashMap<String, (f64, Instant)>,
    sockets: sockets::Sockets,
    reading: history::Reading,
    groups: groups::Groups,
    weather: weather::Weather,
}

/// What goes wrong, on request.
#[derive(Default)]
struct Trouble {
    refuse_next: usize,
    fail_next: usize,
    drop_answer_next: usize,
    /// Where the next call is sent on to.
    redirect: Option<String>,
    edits_closed: bool,
    paced: bool,
}

impl FakeSlack {
    /// Opens a workspace with the channels `C1` and `C2`, both with our bot, and `C3` without it.
    pub(crate) async fn start() -> Self {
        // Whoever comes second finds it installed: that is what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sockets = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            inner: Arc::new(Inner {
                state: Mutex::new(State::default()),
                changes: watch::Sender::new(0),
                api: api.local_addr().unwrap(),
                sockets: sockets.local_addr().unwrap(),
                tasks: Mutex::new(JoinSet::new()),
                client: reqwest::Client::new(),
            }),
        };
        for (channel, member) in [("C1", true), ("C2", true), ("C3", false)] {
            fake.add_channel(channel, member);
        }
        let weak = Arc::downgrade(&fake.inner);
        let router = api::router(weak.clone());
        fake.own(async move { axum::serve(api, router).await.unwrap() });
        fake.own(sockets::accept(sockets, weak));
        fake
    }

    pub(crate) fn api_url(&self) -> String {
        format!("http://{}/api", self.inner.api)
    }

    pub(crate) fn add_channel(&self, id: &str, member: bool) {
        self.state().channels.insert(
            id.to_owned(),
            Channel {
                member,
                archived: false,
            },
        );
    }

    pub(crate) fn archive_channel(&self, id: &str) {
        self.state()
            .channels
            .entry(id.to_owned())
            .or_default()
            .archived = true;
    }

    /// Deliveries go to this address from now on, signed.
    pub(crate) fn use_http(&self, app: &str) {
        self.state().app = Some(app.to_owned());
    }

    /// Deliveries go over the sockets from now on; so it begins.
    pub(crate) fn use_sockets(&self) {
        self.state().app = None;
    }

    /// The next writing calls are refused with 429.
    pub(crate) fn refuse_next(&self, calls: usize) {
        self.state().trouble.refuse_next = calls;
    }

    /// The next calls are answered with 503, and nothing is done.
    pub(crate) fn fail_next(&self, calls: usize) {
        self.state().trouble.fail_next = calls;
    }

    /// The next writing calls are done, but the connection is cut before the answer.
    pub(crate) fn drop_answer_next(&self, calls: usize) {
        self.state().trouble.drop_answer_next = calls;
    }

    /// The workspace lets nobody change a message any more.
    pub(crate) fn close_edits(&self) {
        self.state().trouble.edits_closed = true;
    }

    /// The next call is redirected to the same path of another host.
    pub(crate) fn redirect_next(&self, host: &str) {
        self.state().trouble.redirect = Some(host.to_owned());
    }

    /// Whether more than one post a second in a channel (some in a burst aside) is refused with 429.
    pub(crate) fn keep_pace(&self, on: bool) {
        self.state().trouble.paced = on;
    }

    /// Everything that a well-behaved app would not have done.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// The violations, forgotten afterwards: for tests that provoke them.
    pub(crate) fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.state().violations)
    }

    /// How often a method was called.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.state()
            .calls
            .iter()
            .filter(|call| *call == method)
            .count()
    }

    /// All messages of a channel that everybody sees, oldest first, those in threads too.
    pub(crate) fn messages(&self, channel: &str) -> Vec<Posted> {
        let state = self.state();
        let all = state.messages.iter();
        all.filter(|message| message.channel == channel && message.only_for.is_none())
            .cloned()
            .collect()
    }

    /// What only this person sees.
    pub(crate) fn whispers(&self, user: &str) -> Vec<Posted> {
        let state = self.state();
        let all = state.messages.iter();
        all.filter(|message| message.only_for.as_deref() == Some(user))
            .cloned()
            .collect()
    }

    /// A thread as people read it, its root first.
    pub(crate) fn thread(&self, channel: &str, root: &str) -> Vec<String> {
        let messages = self.messages(channel);
        let in_thread =
            |message: &&Posted| message.ts == root || message.thread.as_deref() == Some(root);
        messages.iter().filter(in_thread).map(render).collect()
    }

    /// The forms opened so far.
    pub(crate) fn forms(&self) -> Vec<OpenedForm> {
        self.state().forms.clone()
    }

    /// Waits until `look` finds something; fails the test with what the workspace holds.
    pub(crate) async fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        let mut changes = self.inner.changes.subscribe();
        let deadline = Instant::now() + limit;
        loop {
            changes.mark_unchanged();
            if let Some(found) = look(self) {
                return found;
            }
            if tokio::time::timeout_at(deadline, changes.changed())
                .await
                .is_err()
            {
                panic!(
                    "no {what} within {limit:?}; the workspace holds:\n{}",
                    self.transcript()
                );
            }
        }
    }

    fn transcript(&self) -> String {
        let messages = self.state().messages.clone();
        let lines: Vec<String> = messages
            .iter()
            .map(|m| {
                format!(
                    "{} {} {}: {}",
                    m.channel,
                    m.thread.as_deref().unwrap_or("-"),
                    m.user,
                    render(m)
                )
            })
            .collect();
        lines.join("\n")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state()
    }

    fn own(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.own(task);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn own(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

impl State {
    /// A timestamp that no other message has, later than all before.
    fn next_ts(&mut self) -> String {
        let now = Clock::system().now().as_microsecond();
        self.last_ts = now.max(self.last_ts + 1);
        format!(
            "{}.{:06}",
            self.last_ts / 1_000_000,
            self.last_ts % 1_000_000
        )
    }

    fn next_id(&mut self, letter: &str) -> String {
        self.counter += 1;
        format!("{letter}{}", self.counter)
    }

    /// A trigger that lives three seconds and opens one form.
    fn new_trigger(&mut self, user: &str) -> String {
        let id = self.next_id("13.");
        self.triggers
            .insert(id.clone(), (user.to_owned(), Instant::now(), false));
        id
    }

    fn violation(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }
}

impl Posted {
    /// The message as the API and the events show it.
    fn json(&self, with_metadata: bool) -> Value {
        let mut message = json!({ "type": "message", "channel": self.channel, "ts": self.ts, "user": self.user,
                                  "team": TEAM, "text": self.text, "blocks": self.blocks });
        if let Some(thread) = &self.thread {
            message["thread_ts"] = json!(thread);
        }
        if self.user == BOT_USER {
            message["bot_id"] = BOT.into();
            message["app_id"] = APP.into();
        }
        if self.user == OTHER_BOT {
            message["bot_id"] = "BOTHER".into();
            message["app_id"] = "AOTHER".into();
        }
        if with_metadata && !self.metadata.is_null() {
            message["metadata"] = self.metadata.clone();
        }
        message
    }
}
