//! A Discord with one guild: channels, threads, people, roles, commands, interactions, a gateway; it checks what the real
//! one checks and remembers each violation.
//!
//! Tests play the people (`say`, `slash`, `click`, `submit` …) and read what they would read (`messages`, `whispers` …).
//! It keeps a clock of its own (`pass`), by which ids are made and messages and tokens grow old.

mod commands;
mod earlier;
mod events;
mod gateway;
mod interactions;
mod judge;
mod messages;
mod pace;
mod people;
mod reading;
mod rest;
mod rights;
mod routes;
mod rules;
mod signing;
mod threads;
mod upload;
mod weather;
mod world;
mod zlib;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use midwatch::clock::Clock;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use self::gateway::Order;
pub(crate) use self::interactions::{OpenedModal, Seen};
pub(crate) use self::judge::Judge;
pub(crate) use self::messages::Posted;
pub(crate) use self::pace::Limit;
pub(crate) use self::people::Answered;
pub(crate) use self::rest::Refusal;
pub(crate) use self::rights::permission;
pub(crate) use self::weather::{Scope, Storm};

pub(crate) const BOT_TOKEN: &str = "NzAwMDAwMDAwMDAwMDAwMDAy.Fake.discord-bot-token";
pub(crate) const APP: &str = "700000000000000001";
pub(crate) const BOT_USER: &str = "700000000000000002";
/// Another app's account.
pub(crate) const OTHER_BOT: &str = "700000000000000003";
pub(crate) const GUILD: &str = "800000000000000001";
/// A text channel in which the bot may do everything that it asks for.
pub(crate) const GENERAL: &str = "810000000000000001";
/// Another one.
pub(crate) const OPS: &str = "810000000000000002";
/// A text channel that the bot can't see.
pub(crate) const HIDDEN: &str = "810000000000000003";
/// A voice channel: people write in it, but there are no threads.
pub(crate) const VOICE: &str = "810000000000000004";
pub(crate) const ALICE: &str = "820000000000000001";
pub(crate) const BEN: &str = "820000000000000002";
pub(crate) const CLEO: &str = "820000000000000003";
/// Takes no direct messages.
pub(crate) const HERMIT: &str = "820000000000000004";
/// Not a member of the guild.
pub(crate) const STRANGER: &str = "820000000000000005";
/// A role that nobody has yet.
pub(crate) const LEADS: &str = "830000000000000001";

/// Ids count from here, in milliseconds.
const EPOCH_MS: i64 = 1_420_070_400_000;

/// A Discord. Cheap to clone; ends with its last clone.
#[derive(Clone)]
pub(crate) struct FakeDiscord {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    address: SocketAddr,
    tasks: Mutex<JoinSet<()>>,
    /// What delivers interactions over HTTP; made once, because that takes its time.
    client: reqwest::Client,
}

struct State {
    address: SocketAddr,
    users: BTreeMap<String, world::User>,
    guilds: BTreeMap<String, world::Guild>,
    channels: BTreeMap<String, world::Channel>,
    messages: Vec<Posted>,
    /// By guild.
    commands: BTreeMap<String, Vec<Value>>,
    interactions: BTreeMap<String, interactions::Interaction>,
    modals: Vec<OpenedModal>,
    uploads: HashMap<String, Vec<u8>>,
    gateway: gateway::Gateway,
    pace: pace::Pace,
    weather: weather::Weather,
    violations: Vec<String>,
    calls: Vec<(String, String)>,
    /// Each body that was sent to us, with its method and pattern, once somebody wants to read them.
    bodies: Option<Vec<(String, Value)>>,
    refusals: Vec<Refusal>,
    invalid: usize,
    last_id: u64,
    /// How far this clock is ahead of the machine's.
    ahead: Duration,
    /// Base address of the app, when interactions go over HTTP.
    app: Option<String>,
    settings: Settings,
    judge: Option<Arc<Judge>>,
    misanswers: Vec<String>,
}

/// What can be set; begins as Discord has it.
struct Settings {
    /// So long an interaction waits for its first answer.
    patience: Duration,
    /// So long its token can be used.
    token_life: Duration,
    /// So long a nonce is remembered.
    nonce_window: Duration,
    /// So many edits of messages older than an hour, in a channel and within twenty seconds.
    old_edits: usize,
    /// Invalid requests past this number are a violation.
    invalid_limit: usize,
    /// Privileged intents that the app was granted.
    granted: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(3),
            token_life: Duration::from_secs(15 * 60),
            nonce_window: Duration::from_secs(5 * 60),
            old_edits: 3,
            invalid_limit: 10_000,
            granted: gateway::intent::GUILD_MEMBERS,
        }
    }
}

impl FakeDiscord {
    /// Opens a Discord with the guild, channels and people named above.
    pub(crate) async fn start() -> Self {
        Self::start_at(0).await
    }

    /// The same at a port of this machine; 0 is any.
    pub(crate) async fn start_at(port: u16) -> Self {
        // Whoever comes second finds it installed: that is what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake = Self {
            inner: Arc::new(Inner {
                state: Mutex::new(State::new(address)),
                changes: watch::Sender::new(0),
                address,
                tasks: Mutex::new(JoinSet::new()),
                client: reqwest::Client::new(),
            }),
        };
        let router = rest::router(Arc::downgrade(&fake.inner));
        fake.own(async move { axum::serve(listener, router).await.unwrap() });
        fake
    }

    /// What an operator sets as `DISCORD_API_URL`.
    pub(crate) fn api_url(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    /// Lets time pass for Discord: messages and tokens grow older, nonces are forgotten.
    pub(crate) fn pass(&self, time: Duration) {
        let mut state = self.state();
        state.ahead += time;
        state.pace.pass(time);
        state.weather.pass(time);
        drop(state);
        self.inner.changed();
    }

    /// Interactions go to this address from now on, signed.
    pub(crate) fn use_http(&self, app: &str) {
        self.state().app = Some(app.trim_end_matches('/').to_owned());
    }

    /// Interactions go over the gateway from now on; so it begins.
    pub(crate) fn use_gateway(&self) {
        self.state().app = None;
    }

    /// How long an interaction waits for its first answer; three seconds.
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.state().settings.patience = patience;
    }

    /// How long an interaction's token can be used; fifteen minutes.
    pub(crate) fn set_token_life(&self, life: Duration) {
        self.state().settings.token_life = life;
    }

    /// How long a nonce is remembered; five minutes.
    pub(crate) fn set_nonce_window(&self, window: Duration) {
        self.state().settings.nonce_window = window;
    }

    /// How many edits of messages older than an hour a channel takes in twenty seconds; three.
    pub(crate) fn set_old_edits(&self, edits: usize) {
        self.state().settings.old_edits = edits;
    }

    /// Past so many invalid requests (401, 403, 429) each is a violation; ten thousand.
    pub(crate) fn set_invalid_limit(&self, requests: usize) {
        self.state().settings.invalid_limit = requests;
    }

    /// Which privileged intents the app was granted; `GUILD_MEMBERS` alone.
    pub(crate) fn grant_intents(&self, intents: u64) {
        self.state().settings.granted = intents;
    }

    /// Everything that a well-behaved app would not have done.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// The violations, forgotten afterwards: for tests that provoke them.
    pub(crate) fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.state().violations)
    }

    /// How often a route was called: method and pattern, such as `POST /channels/{}/messages`.
    pub(crate) fn calls(&self, method: &str, pattern: &str) -> usize {
        let state = self.state();
        let calls = state.calls.iter();
        calls
            .filter(|(with, what)| with == method && what == pattern)
            .count()
    }

    /// From now on every body that is sent to us is kept; see [`Self::bodies`].
    pub(crate) fn keep_bodies(&self) {
        self.state().bodies.get_or_insert_default();
    }

    /// What was sent: method and pattern, and the body. First answers of interactions have the callback's, by whichever way
    /// they came.
    pub(crate) fn bodies(&self) -> Vec<(String, Value)> {
        self.state().bodies.clone().unwrap_or_default()
    }

    /// Calls that were answered with an error, in their order.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        self.state().refusals.clone()
    }

    /// How many calls were answered with 401, 403 or (not for others' sake) 429.
    pub(crate) fn invalid_requests(&self) -> usize {
        self.state().invalid
    }

    /// From now on our own answers are held against Discord's published description; see [`Self::misanswers`].
    pub(crate) fn judged_by(&self, judge: &Arc<Judge>) {
        self.state().judge = Some(judge.clone());
    }

    /// Answers of this fake that Discord would not give.
    pub(crate) fn misanswers(&self) -> Vec<String> {
        self.state().misanswers.clone()
    }

    /// Waits until `look` finds something; fails the test with what Discord holds.
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
            let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
            if changed.is_err() {
                let transcript = self.transcript();
                panic!("no {what} within {limit:?}; Discord holds:\n{transcript}");
            }
        }
    }

    /// Everything that was said, a line each.
    pub(crate) fn transcript(&self) -> String {
        let state = self.state();
        let lines = state.messages.iter().map(|message| {
            let whispered = message.only_for.as_deref();
            let whispered = whispered.map_or_else(String::new, |user| format!(" to {user}"));
            let (channel, author) = (&message.channel, &message.author);
            format!("{channel} {author}{whispered}: {}\n", message.text())
        });
        lines.collect()
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
    fn new(address: SocketAddr) -> Self {
        let mut state = Self {
            address,
            users: BTreeMap::new(),
            guilds: BTreeMap::new(),
            channels: BTreeMap::new(),
            messages: Vec::new(),
            commands: BTreeMap::new(),
            interactions: BTreeMap::new(),
            modals: Vec::new(),
            uploads: HashMap::new(),
            gateway: gateway::Gateway::default(),
            pace: pace::Pace::default(),
            weather: weather::Weather::default(),
            violations: Vec::new(),
            calls: Vec::new(),
            bodies: None,
            refusals: Vec::new(),
            invalid: 0,
            last_id: 0,
            ahead: Duration::ZERO,
            app: None,
            settings: Settings::default(),
            judge: None,
            misanswers: Vec::new(),
        };
        state.furnish();
        state
    }

    /// Discord's own clock.
    fn now_ms(&self) -> i64 {
        let ahead = i64::try_from(self.ahead.as_millis()).unwrap();
        Clock::system().now().as_millisecond() + ahead
    }

    /// An id of this moment, greater than all before.
    fn next_id(&mut self) -> String {
        let now = u64::try_from(self.now_ms() - EPOCH_MS).unwrap() << 22;
        self.last_id = now.max(self.last_id + 1);
        self.last_id.to_string()
    }

    fn note_body(&mut self, route: String, body: &Value) {
        if let Some(bodies) = self.bodies.as_mut().filter(|_| !body.is_null()) {
            bodies.push((route, body.clone()));
        }
    }

    fn violation(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }
}
