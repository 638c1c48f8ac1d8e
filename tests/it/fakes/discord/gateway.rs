//! The gateway: sessions that number their events and can be resumed, and what is set about it.

mod socket;
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

use super::{FakeDiscord, Inner, State};

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
    /// Neither read nor write any more, but stay open.
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
            },
            identified: VecDeque::new(),
            counts: Counts::default(),
            elsewhere: None,
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
        format!("ws://{}/resume", self.address)
    }

    pub(super) fn gateway_bot_json(&self) -> Value {
        json!({ "url": self.gateway_url(), "shards": 1, "session_start_limit": {
            "total": 1_000, "remaining": self.gateway.settings.identifies_left, "reset_after": 14_400_000,
            "max_concurrency": 1 } })
    }
}

/// Makes a websocket of a request.
pub(super) fn upgraded(inner: &Arc<Inner>, mut request: Request) -> Response {
    let key = request.headers().get("sec-websocket-key").cloned();
    let Some(key) = key.filter(|_| !inner.state().gateway.settings.shut) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    if request.headers().contains_key("authorization") {
        inner
            .state()
            .violation("the bot's token in a header to the gateway");
    }
    let asked = request.uri().query().unwrap_or_default().to_owned();
    let resumes = request.uri().path().starts_with("/resume");
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

impl FakeDiscord {
    /// How often a client is to show that it lives; 41.25 seconds.
    pub(crate) fn set_heartbeat(&self, interval: Duration) {
        self.state().gateway.settings.heartbeat = interval;
    }

    /// Between two identifies; five seconds. Sooner is a violation and an invalid session.
    pub(crate) fn set_identify_pause(&self, pause: Duration) {
        self.state().gateway.settings.identify_pause = pause;
    }

    /// So many identifies are left for the day; a thousand.
    pub(crate) fn set_identifies_left(&self, left: usize) {
        self.state().gateway.settings.identifies_left = left;
    }

    /// So many events of a session are kept for who resumes.
    pub(crate) fn set_kept_events(&self, events: usize) {
        self.state().gateway.settings.kept_events = events;
    }

    /// Whether no session can be resumed.
    pub(crate) fn refuse_resume(&self, refuse: bool) {
        self.state().gateway.settings.refuse_resume = refuse;
    }

    /// The next identifies are answered with an invalid session.
    pub(crate) fn invalid_sessions_next(&self, sessions: usize) {
        self.state().gateway.settings.invalid_next = sessions;
    }

    /// Whether the gateway takes no connection.
    pub(crate) fn shut_gateway(&self, shut: bool) {
        self.state().gateway.settings.shut = shut;
    }

    /// `GET /gateway` and `/gateway/bot` tell this address; `None`: ours again.
    pub(crate) fn point_gateway_at(&self, url: Option<&str>) {
        self.state().gateway.elsewhere = url.map(str::to_owned);
    }

    /// Ids of the sessions that can hear or be resumed.
    pub(crate) fn sessions(&self) -> Vec<String> {
        self.state().gateway.sessions.keys().cloned().collect()
    }

    /// How many sessions have a connection through which something goes.
    pub(crate) fn listening(&self) -> usize {
        let gateway = &self.state().gateway;
        let hears = |number: u64| gateway.connections.get(&number).is_some_and(|it| !it.deaf);
        gateway
            .sessions
            .values()
            .filter(|it| it.connection.is_some_and(hears))
            .count()
    }

    /// Numbers of the connections that are open.
    pub(crate) fn connections(&self) -> Vec<u64> {
        self.state().gateway.connections.keys().copied().collect()
    }

    /// Connections that were ever opened.
    pub(crate) fn connections_opened(&self) -> usize {
        self.state().gateway.counts.opened
    }

    pub(crate) fn identifies(&self) -> usize {
        self.state().gateway.counts.identifies
    }

    /// Tries to resume, whether they succeeded or not.
    pub(crate) fn resumes(&self) -> usize {
        self.state().gateway.counts.resumes
    }

    /// Tries to resume that succeeded.
    pub(crate) fn resumed(&self) -> usize {
        self.state().gateway.counts.resumed
    }

    /// Tries to resume at another address than the one that was told for it.
    pub(crate) fn resumes_elsewhere(&self) -> usize {
        self.state().gateway.counts.resumes_elsewhere
    }

    pub(crate) fn heartbeats(&self) -> usize {
        self.state().gateway.counts.beats
    }

    /// Forgets all sessions: who comes back finds theirs invalid.
    pub(crate) fn forget_sessions(&self) {
        self.state().gateway.sessions.clear();
    }

    /// Does this to one connection; `false` when it is gone already.
    pub(crate) fn order_connection(&self, number: u64, order: Order) -> bool {
        let gateway = &mut self.state().gateway;
        let Some(connection) = gateway.connections.get_mut(&number) else {
            return false;
        };
        connection.deaf |= matches!(order, Order::Deafen);
        connection.orders.try_send(order).is_ok()
    }

    /// Breaks all connections, as a network does.
    pub(crate) fn cut_gateway(&self) {
        self.state().gateway.order(|| Order::Cut);
    }

    /// Closes all connections with this code. After 4007, 4009 and those from 4010 nothing can be resumed.
    pub(crate) fn close_gateway(&self, code: u16) {
        let gateway = &mut self.state().gateway;
        gateway.order(|| Order::Close(code, "as you were told"));
        if matches!(code, 1000 | 1001 | 4004 | 4007 | 4009..) {
            gateway.sessions.clear();
        }
    }

    /// Leaves all connections open but deaf and dumb: no event, no acknowledgement.
    pub(crate) fn deafen_gateway(&self) {
        for number in self.connections() {
            self.order_connection(number, Order::Deafen);
        }
    }

    /// Asks all clients to come again and resume (op 7).
    pub(crate) fn ask_reconnect(&self) {
        self.send_raw(&json!({ "op": 7, "d": null }).to_string());
    }

    /// Asks all clients for a heartbeat at once (op 1).
    pub(crate) fn ask_heartbeat(&self) {
        self.send_raw(&json!({ "op": 1, "d": null }).to_string());
    }

    /// Tells all clients that their session is invalid (op 9); `resumable`: they may try, over the same connection too.
    pub(crate) fn invalidate_sessions(&self, resumable: bool) {
        self.send_raw(&json!({ "op": 9, "d": resumable }).to_string());
        let gateway = &mut self.state().gateway;
        for connection in gateway.connections.values_mut() {
            connection.session = None;
        }
        for session in gateway.sessions.values_mut() {
            session.connection = None;
        }
        if !resumable {
            gateway.sessions.clear();
        }
    }

    /// Sends any text to all connections.
    pub(crate) fn send_raw(&self, text: &str) {
        self.state().gateway.order(|| Order::Send(text.to_owned()));
    }

    /// Sends any bytes as a text to all connections.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        self.state()
            .gateway
            .order(|| Order::SendBytes(bytes.to_vec()));
    }

    /// Tells every session an event, known or unknown to anybody, with its number.
    pub(crate) fn tell_event(&self, event: &str, data: &Value) {
        self.state().tell(event, |_| Some(data.clone()));
    }
}
