//! One connection: greets, hears events and commits them side by side, keeps the heart beating, notices silence.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

use super::Session;
use crate::chat::discord::{Door, as_text as at};
use crate::chat::ears::{Counted, Ears, kind_of};
use crate::chat::waits::Timing;
use crate::domain::Platform;
use crate::planted;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Events that may wait for their commit; then reading waits.
const AT_ONCE: usize = 64;
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// Channels of servers, and threads; messages in servers and direct ones. What others say to each other we don't ask for:
/// without that privilege a message has its text only where it mentions us.
const INTENTS: u32 = 1 | 1 << 9 | 1 << 12;

const DISPATCH: u64 = 0;
const HEARTBEAT: u64 = 1;
const RECONNECT: u64 = 7;
const INVALID_SESSION: u64 = 9;

/// Why a connection is served no longer.
#[derive(Debug)]
pub(super) enum End {
    /// We were asked to.
    Stopped,
    /// Discord wants us to connect anew, and keeps the session.
    Announced,
    /// The session is over.
    NewSession(String),
    /// Nobody answers.
    Silent,
    /// Closed with this code.
    Closed(u16),
    /// It broke.
    Lost(String),
}

/// An open connection, and the commits of what came in over it.
pub(super) struct Connection {
    stream: Stream,
    door: Door,
    timing: Timing,
    ears: Arc<watch::Sender<Ears>>,
    /// When Discord first told us an event over it: it took up our session, or began one.
    taken_up_at: Option<Instant>,
    counted: Option<Counted>,
    every: Duration,
    beats_at: Instant,
    commits: Commits,
}

/// Events that are made durable. They outlive their connection.
pub(super) type Commits = JoinSet<Committed>;

/// What became of an event.
pub(super) struct Committed {
    /// Its session and its number there.
    session: String,
    number: u64,
    is_durable: bool,
}

impl Connection {
    /// Waits for the greeting, which says how often the heart has to beat.
    pub(super) async fn greeted(
        mut stream: Stream,
        door: Door,
        timing: Timing,
        ears: Arc<watch::Sender<Ears>>,
    ) -> Result<Self, String> {
        while let Some(Ok(frame)) = stream.next().await {
            let Message::Text(text) = frame else { continue };
            let hello: Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(every) = hello["d"]["heartbeat_interval"].as_u64() {
                let every = Duration::from_millis(every.max(1_000));
                return Ok(Self {
                    stream,
                    door,
                    timing,
                    ears,
                    taken_up_at: None,
                    counted: None,
                    every,
                    // Not all at once after an outage.
                    beats_at: Instant::now() + every.mul_f64(rand::random_range(0.0..1.0)),
                    commits: JoinSet::new(),
                });
            }
        }
        Err("discord closed the gateway before greeting".to_owned())
    }

    /// Takes over what an earlier connection began: what of that is not durable yet, Discord is asked for again.
    pub(super) fn take_over(&mut self, commits: &mut Commits, session: &mut Option<Session>) {
        self.commits = std::mem::take(commits);
        while let Some(done) = self.commits.try_join_next() {
            self.settle(done, session);
        }
    }

    pub(super) async fn serve(
        &mut self,
        session: &mut Option<Session>,
        stop: &CancellationToken,
    ) -> End {
        if let Err(end) = self.introduce(session.as_ref()).await {
            return end;
        }
        let mut asked = false;
        let mut patience = Instant::now() + self.timing.quiet;
        let answered_by = Instant::now() + self.timing.opening;
        loop {
            let reading = self.commits.len() < AT_ONCE;
            tokio::select! {
                () = stop.cancelled() => {
                    self.close().await;
                    return End::Stopped;
                }
                Some(done) = self.commits.join_next(), if !self.commits.is_empty() => self.settle(done, session),
                frame = self.stream.next(), if reading => {
                    asked = false;
                    patience = Instant::now() + self.timing.quiet;
                    if let Some(end) = self.read(frame, session).await {
                        return end;
                    }
                }
                () = sleep_until(self.beats_at) => {
                    self.beats_at = Instant::now() + self.every;
                    if let Err(end) = self.beat(session.as_ref()).await {
                        return end;
                    }
                }
                // Who only acknowledges our heartbeats leaves us deaf.
                () = sleep_until(answered_by), if reading && self.taken_up_at.is_none() => {
                    return End::Lost("discord's gateway takes up no session".to_owned());
                }
                () = sleep_until(patience), if reading => {
                    if asked && !planted::is("discord-silence-unnoticed") {
                        return End::Silent;
                    }
                    asked = true;
                    patience = Instant::now() + self.timing.deaf;
                    if let Err(end) = self.beat(session.as_ref()).await {
                        return end;
                    }
                }
            }
        }
    }

    /// When Discord took up our session over it, or began one.
    pub(super) fn taken_up_at(&self) -> Option<Instant> {
        self.taken_up_at
    }

    /// What was begun is not given up because the connection broke, and doesn't hold up the next one: an interaction's
    /// first answer may take three seconds.
    pub(super) fn into_commits(self) -> Commits {
        self.commits
    }

    async fn introduce(&mut self, session: Option<&Session>) -> Result<(), End> {
        let token = self.door.discord.api.token();
        let frame = match session {
            Some(session) => json!({
                "op": 6,
                "d": { "token": token, "session_id": session.id, "seq": session.seen() },
            }),
            None => json!({
                "op": 2,
                "d": {
                    "token": token,
                    "intents": INTENTS,
                    "properties": { "os": std::env::consts::OS, "browser": "midwatch", "device": "midwatch" },
                },
            }),
        };
        self.send(&frame).await
    }

    async fn beat(&mut self, session: Option<&Session>) -> Result<(), End> {
        let heard = session.map(|session| session.heard);
        self.send(&json!({ "op": HEARTBEAT, "d": heard })).await
    }

    async fn read(
        &mut self,
        frame: Option<Result<Message, Error>>,
        session: &mut Option<Session>,
    ) -> Option<End> {
        match frame {
            Some(Ok(Message::Text(text))) => self.hear(&text, session).await,
            Some(Ok(Message::Binary(_))) => {
                metrics::counter!("midwatch_deliveries_malformed_total", "platform" => "discord")
                    .increment(1);
                None
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
            Some(Ok(Message::Close(Some(frame)))) => Some(End::Closed(frame.code.into())),
            Some(Ok(Message::Close(None))) | None => {
                Some(End::Lost("discord closed the gateway".to_owned()))
            }
            Some(Err(error)) => Some(End::Lost(format!(
                "discord's gateway broke: {}",
                kind_of(&error)
            ))),
        }
    }

    async fn hear(&mut self, text: &str, session: &mut Option<Session>) -> Option<End> {
        let Ok(mut frame) = serde_json::from_str::<Value>(text) else {
            metrics::counter!("midwatch_deliveries_malformed_total", "platform" => "discord")
                .increment(1);
            tracing::warn!(
                "discord sent an event that can't be read: its channels' histories are read"
            );
            self.missed();
            let ends = planted::is("discord-ruins-end-the-connection");
            return ends.then(|| End::Lost("an event can't be read".to_owned()));
        };
        match frame["op"].as_u64() {
            Some(DISPATCH) => {
                self.event(&mut frame, session);
                None
            }
            Some(HEARTBEAT) => self.beat(session.as_ref()).await.err(),
            Some(RECONNECT) => Some(End::Announced),
            Some(INVALID_SESSION) if frame["d"] == true => Some(End::Announced),
            Some(INVALID_SESSION) => Some(End::NewSession(
                "discord has forgotten the session".to_owned(),
            )),
            _ => None,
        }
    }

    fn event(&mut self, frame: &mut Value, session: &mut Option<Session>) {
        let number = frame["s"].as_u64().unwrap_or(0);
        let data = frame["d"].take();
        let kind = at(frame, "/t");
        self.taken_up_at.get_or_insert_with(Instant::now);
        if kind == "READY" {
            *session = Some(Session {
                id: at(&data, "/session_id").to_owned(),
                resume_at: at(&data, "/resume_gateway_url").to_owned(),
                heard: number,
                open: std::collections::BTreeSet::new(),
            });
        }
        if let Some(session) = session {
            session.heard = session.heard.max(number);
        }
        let rooms = &self.door.discord.rooms;
        match kind {
            "READY" | "RESUMED" if self.counted.is_none() => {
                self.counted = Some(Counted::new(Platform::Discord, &self.ears));
            }
            "GUILD_CREATE" | "THREAD_LIST_SYNC" => rooms.note_guild(&data),
            "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE" => {
                rooms.note(&data);
            }
            "MESSAGE_CREATE" | "MESSAGE_UPDATE" | "INTERACTION_CREATE" => {
                if let Some(session) = session {
                    session.open.insert(number);
                }
                let session = session
                    .as_ref()
                    .map_or_else(String::new, |it| it.id.clone());
                let (door, kind) = (self.door.clone(), kind.to_owned());
                self.commits.spawn(async move {
                    Committed {
                        session,
                        number,
                        is_durable: door.hear(&kind, &data).await,
                    }
                });
            }
            _ => {}
        }
    }

    fn settle(
        &mut self,
        done: Result<Committed, tokio::task::JoinError>,
        session: &mut Option<Session>,
    ) {
        match done {
            Ok(done) => {
                if let Some(session) = session.as_mut().filter(|it| it.id == done.session) {
                    session.open.remove(&done.number);
                }
                if !done.is_durable {
                    self.missed();
                }
            }
            Err(fault) => {
                tracing::error!("hearing an event of discord's broke: {fault}");
                self.missed();
            }
        }
    }

    /// Something was said that is not durable: Discord repeats no event, but the channels have it.
    fn missed(&self) {
        self.ears.send_modify(|ears| ears.beginnings += 1);
    }

    async fn close(&mut self) {
        let closed = timeout(SEND_LIMIT, self.stream.close(None)).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::debug!("discord's gateway was gone before it was closed");
        }
    }

    async fn send(&mut self, frame: &Value) -> Result<(), End> {
        let sending = self.stream.send(Message::text(frame.to_string()));
        match timeout(SEND_LIMIT, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(End::Lost(format!(
                "discord's gateway broke: {}",
                kind_of(&error)
            ))),
            Err(_) => Err(End::Lost(
                "discord's gateway takes nothing any more".to_owned(),
            )),
        }
    }
}
