//! The gateway: sessions that number their events and can be resumed, and what is set about it.

mod socket;
mod steering;
mod talk;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Inner, State};

/// Which events one wants to hear.
pub(crate) mod intent {
    pub(crate) const GUILDS: u64 = 1;
    pub(crate) const GUILD_MEMBERS: u64 = 1 << 1;
    pub(crate) const GUILD_PRESENCES: u64 = 1 << 8;
    pub(crate) const GUILD_MESSAGES: u64 = 1 << 9;
    pub(crate) const DIRECT_MESSAGES: u64 = 1 << 12;
    pub(crate) const MESSAGE_CONTENT: u64 = 1 << 15;
    /// Those that an app must be granted.
    pub(crate) const PRIVILEGED: u64 = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT;
    /// All there are.
    pub(crate) const KNOWN: u64 = ((1 << 17) - 1) | (1 << 20) | (1 << 21) | (1 << 24) | (1 << 25);
}

/// What a connection's task shall do.
pub(crate) enum Order {
    Send(String),
    /// Send these bytes as a text, whatever they are.
    SendBytes(Vec<u8>),
    Close(u16, &'static str),
    /// End without a close frame, as a broken network does.
    Cut,
    /// The same, with a reset.
    Reset,
    /// Hear and say nothing any more, but stay open.
    Deafen,
}

pub(super) struct Gateway {
    /// By session id.
    pub(super) sessions: BTreeMap<String, Session>,
    connections: BTreeMap<u64, Connection>,
    next: u64,
    settings: Settings,
    identified: VecDeque<Instant>,
    counts: Counts,
    /// An address that is told instead of ours.
    elsewhere: Option<String>,
    /// The same, for those who resume.
    resumes_elsewhere: Option<String>,
}

pub(super) struct Session {
    pub(super) intents: u64,
    sequence: u64,
    /// Numbered frames, oldest first, as many as are kept.
    log: VecDeque<(u64, Value)>,
    connection: Option<u64>,
}

struct Connection {
    orders: mpsc::Sender<Order>,
    session: Option<String>,
    heard: VecDeque<Instant>,
    beat: Instant,
    deaf: bool,
}

struct Settings {
    heartbeat: Duration,
    identify_pause: Duration,
    identifies_left: usize,
    kept_events: usize,
    refuse_resume: bool,
    shut: bool,
    invalid_next: usize,
    mute_next: usize,
    stall_next: usize,
    shut_resumes: bool,
}

#[derive(Default)]
struct Counts {
    opened: usize,
    identifies: usize,
    resumes: usize,
    resumed: usize,
    resumes_elsewhere: usize,
    beats: usize,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            sessions: BTreeMap::new(),
            connections: BTreeMap::new(),
            next: 0,
            settings: Settings {
                heartbeat: Duration::from_millis(41_250),
                identify_pause: Duration::from_secs(5),
                identifies_left: 1_000,
                kept_events: 10_000,
                refuse_resume: false,
                shut: false,
                invalid_next: 0,
                mute_next: 0,
                stall_next: 0,
                shut_resumes: false,
            },
            identified: VecDeque::new(),
            counts: Counts::default(),
            elsewhere: None,
            resumes_elsewhere: None,
        }
    }
}

impl Gateway {
    /// Numbers an event, keeps it and sends it to the session's connection, if it has one.
    pub(super) fn dispatch(&mut self, session: &str, event: &str, data: &Value) {
        let kept = self.settings.kept_events;
        let Some(found) = self.sessions.get_mut(session) else {
            return;
        };
        found.sequence += 1;
        let frame = json!({ "op": 0, "t": event, "s": found.sequence, "d": data });
        let text = frame.to_string();
        found.log.push_back((found.sequence, frame));
        while found.log.len() > kept {
            found.log.pop_front();
        }
        if let Some(connection) = found.connection {
            self.send(connection, text);
        }
    }

    /// Tells every session of an interaction; `false` when there is none.
    pub(super) fn tell_interaction(&mut self, payload: &Value) -> bool {
        let sessions: Vec<String> = self.sessions.keys().cloned().collect();
        for session in &sessions {
            self.dispatch(session, "INTERACTION_CREATE", payload);
        }
        !sessions.is_empty()
    }

    fn send(&self, connection: u64, text: String) {
        if let Some(connection) = self.connections.get(&connection) {
            // A full queue is a client that reads nothing; the event stays in the session's log.
            let _ = connection.orders.try_send(Order::Send(text));
        }
    }

    fn order(&self, order: impl Fn() -> Order) {
        for connection in self.connections.values() {
            let _ = connection.orders.try_send(order()); // Gone already is as good.
        }
    }

    /// The client or the network ended it. `leaves`: the client said that it won't come back.
    fn ended(&mut self, number: u64, leaves: bool) {
        let ended = self.connections.remove(&number);
        let Some(session) = ended.and_then(|it| it.session) else {
            return;
        };
        let owns = |it: &Session| it.connection == Some(number);
        if !self.sessions.get(&session).is_some_and(owns) {
            return;
        }
        if leaves {
            self.sessions.remove(&session);
        } else if let Some(session) = self.sessions.get_mut(&session) {
            session.connection = None;
        }
    }
}

impl State {
    pub(super) fn gateway_url(&self) -> String {
        let ours = format!("ws://{}", self.address);
        self.gateway.elsewhere.clone().unwrap_or(ours)
    }

    /// Where a session is resumed: the same port, another path.
    fn resume_url(&self) -> String {
        let ours = format!("ws://{}/resume", self.address);
        self.gateway.resumes_elsewhere.clone().unwrap_or(ours)
    }

    pub(super) fn gateway_bot_json(&self) -> Value {
        json!({ "url": self.gateway_url(), "shards": 1, "session_start_limit": {
            "total": 1_000, "remaining": self.gateway.settings.identifies_left, "reset_after": 14_400_000,
            "max_concurrency": 1 } })
    }
}

impl Gateway {
    /// Whether this connection is one on which nothing is said.
    pub(super) fn stalls(&mut self) -> bool {
        let stalls = self.settings.stall_next > 0;
        self.settings.stall_next -= usize::from(stalls);
        stalls
    }
}

/// Makes a websocket of a request.
pub(super) fn upgraded(inner: &Arc<Inner>, mut request: Request) -> Response {
    let key = request.headers().get("sec-websocket-key").cloned();
    let resumes = request.uri().path().starts_with("/resume");
    let shut = {
        let settings = &inner.state().gateway.settings;
        settings.shut || (resumes && settings.shut_resumes)
    };
    let Some(key) = key.filter(|_| !shut) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    if request.headers().contains_key("authorization") {
        inner
            .state()
            .violation("the bot's token in a header to the gateway");
    }
    let asked = request.uri().query().unwrap_or_default().to_owned();
    let upgrade = hyper::upgrade::on(&mut request);
    let weak = Arc::downgrade(inner);
    inner.own(async move {
        if let Ok(upgraded) = upgrade.await {
            socket::serve(upgraded, weak, &asked, resumes).await;
        }
    });
    let headers = [
        ("connection", "upgrade".to_owned()),
        ("upgrade", "websocket".to_owned()),
        ("sec-websocket-accept", derive_accept_key(key.as_bytes())),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}
