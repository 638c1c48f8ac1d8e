//! Slack over Socket Mode: two sockets, each envelope acknowledged once its inbound is durable.
//!
//! A socket that Slack announces to close is replaced before it goes. What can't be read is acknowledged and counted, so
//! that one odd envelope never stops the others.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Message, protocol::WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tokio_util::sync::CancellationToken;

use super::api::{As, CallError, safe_url};
use super::http::{ephemeral, form_error};
use super::inbound::{self, Delivery, Heard};
use super::{Door, Taken, as_text};

/// Slack allows ten; two, so that one can be replaced or break while the other hears.
const SOCKETS: usize = 2;
/// Envelopes of one socket that may wait for their commit; then reading waits.
const AT_ONCE: usize = 64;
const RECEIVE_LIMIT: Duration = Duration::from_millis(2_400);
const OPEN_LIMIT: Duration = Duration::from_secs(10);
const SEND_LIMIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const FRAME_LIMIT: usize = 4 << 20;

/// How long we wait for what. The default is for service; tests hurry.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Silence after which we ask whether the other side is there.
    pub quiet: Duration,
    /// Silence after that question which means that it isn't.
    pub deaf: Duration,
    /// The first wait before connecting again; doubled up to a minute.
    pub pause: Duration,
    /// A connection that lived this long was a good one: waits begin anew.
    pub settled: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(30),
            deaf: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            settled: Duration::from_secs(10),
        }
    }
}

/// How well we hear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketStatus {
    /// Sockets that Slack greeted; none: we are deaf.
    pub connected: usize,
    /// What went wrong last; `None` once a socket is connected again.
    pub trouble: Option<String>,
}

/// Why listening ended although nobody asked for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SocketsStopped {
    /// Somebody switched Socket Mode off, in Slack.
    #[error(
        "slack: socket mode is switched off for this app; switch it on at api.slack.com/apps and restart"
    )]
    LinkDisabled,
    /// Our own fault.
    #[error("slack: a socket's loop ended by itself: {0}")]
    Broken(String),
}

/// Listens until cancelled. Returns early only when listening is pointless.
///
/// Cancel safe: dropping it closes the sockets; what was not acknowledged, Slack sends again.
pub async fn run_sockets(
    door: Door,
    timing: Timing,
    status: watch::Sender<SocketStatus>,
    cancel: CancellationToken,
) -> Result<(), SocketsStopped> {
    let stop = cancel.child_token();
    let slot = Slot {
        door,
        timing,
        status: Arc::new(status),
        stop: stop.clone(),
    };
    let mut slots = JoinSet::new();
    for _ in 0..SOCKETS {
        slots.spawn(slot.clone().keep_connected());
    }
    let mut outcome = Ok(());
    while let Some(ended) = slots.join_next().await {
        let ended = ended.unwrap_or_else(|fault| Err(SocketsStopped::Broken(fault.to_string())));
        if let Err(stopped) = ended {
            slot.trouble(&stopped.to_string());
            outcome = Err(stopped);
            stop.cancel();
        }
    }
    outcome
}

/// One of the two places for a socket.
#[derive(Clone)]
struct Slot {
    door: Door,
    timing: Timing,
    status: Arc<watch::Sender<SocketStatus>>,
    stop: CancellationToken,
}

/// Why there is no socket, and how long to wait at the least.
struct NotOpened {
    why: String,
    wait: Duration,
}

impl Slot {
    async fn keep_connected(self) -> Result<(), SocketsStopped> {
        let mut waits = Waits::new(self.timing);
        // Those that Slack announced to close, until their replacement is there; and commits that outlive their socket.
        let mut leaving: JoinSet<()> = JoinSet::new();
        let mut replaced = CancellationToken::new();
        while !self.stop.is_cancelled() {
            let opened = tokio::select! {
                () = self.stop.cancelled() => break,
                opened = self.open() => opened,
            };
            let mut connection = match opened {
                Ok(connection) => connection,
                Err(not) => {
                    self.trouble(&not.why);
                    self.pause(waits.next().max(not.wait)).await;
                    continue;
                }
            };
            std::mem::replace(&mut replaced, CancellationToken::new()).cancel();
            let began = Instant::now();
            let end = connection.serve(&self.stop).await;
            waits.after(began.elapsed());
            while leaving.try_join_next().is_some() {}
            match end {
                End::Stopped => break,
                End::LinkDisabled => return Err(SocketsStopped::LinkDisabled),
                End::Announced => {
                    leaving.spawn(connection.serve_until(replaced.clone()));
                }
                End::TooMany => {
                    self.trouble("slack says that this app has too many sockets open");
                    waits.never_at_once();
                    leaving.spawn(connection.let_commits_end());
                }
                End::Lost(why) => {
                    self.trouble(&why);
                    leaving.spawn(connection.let_commits_end());
                }
            }
            self.pause(waits.next()).await;
        }
        replaced.cancel();
        while leaving.join_next().await.is_some() {}
        Ok(())
    }

    async fn open(&self) -> Result<Connection, NotOpened> {
        let not = |why: String| NotOpened {
            why,
            wait: Duration::ZERO,
        };
        let answer = self
            .door
            .slack
            .api
            .call(As::App, "apps.connections.open", &json!({}))
            .await;
        let answer = answer.map_err(|error| NotOpened {
            why: format!("slack gives us no socket: {error}"),
            wait: if let CallError::Limited(wait) = error {
                wait
            } else {
                Duration::ZERO
            },
        })?;
        let url = safe_url(as_text(&answer, "/url"), "wss", "ws").map_err(not)?;
        let config = WebSocketConfig::default().max_message_size(Some(FRAME_LIMIT));
        let connecting = connect_async_with_config(url.as_str(), Some(config), true);
        let (stream, _) = timeout(OPEN_LIMIT, connecting)
            .await
            .map_err(|_| not("slack's socket doesn't open in time".to_owned()))?
            .map_err(|error| not(format!("slack's socket doesn't open: {}", kind_of(&error))))?;
        let mut connection = Connection {
            stream,
            door: self.door.clone(),
            timing: self.timing,
            commits: JoinSet::new(),
            counted: None,
        };
        match timeout(OPEN_LIMIT, connection.greeted()).await {
            Ok(Ok(())) => {}
            Ok(Err(End::TooMany)) => {
                let wait = self.timing.pause;
                return Err(NotOpened {
                    why: "slack says that this app has too many sockets open".to_owned(),
                    wait,
                });
            }
            Ok(Err(_)) => return Err(not("slack closed the socket before greeting".to_owned())),
            Err(_) => return Err(not("slack's socket doesn't greet".to_owned())),
        }
        connection.counted = Some(Counted::new(&self.status));
        Ok(connection)
    }

    async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = sleep(wait) => {}
        }
    }

    fn trouble(&self, why: &str) {
        tracing::warn!("{why}");
        self.status
            .send_modify(|status| status.trouble = Some(why.to_owned()));
    }
}

/// Counts a socket as connected while it lives.
struct Counted(Arc<watch::Sender<SocketStatus>>);

impl Counted {
    fn new(status: &Arc<watch::Sender<SocketStatus>>) -> Self {
        status.send_modify(|status| {
            status.connected += 1;
            status.trouble = None;
        });
        Self(status.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0
            .send_modify(|status| status.connected = status.connected.saturating_sub(1));
    }
}

/// Why a connection is served no longer.
#[derive(Debug)]
enum End {
    /// We were asked to.
    Stopped,
    /// Slack will close it soon; it still works.
    Announced,
    /// Slack has enough of us.
    TooMany,
    /// Socket Mode was switched off.
    LinkDisabled,
    /// It broke.
    Lost(String),
}

struct Connection {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    door: Door,
    timing: Timing,
    commits: JoinSet<Option<Value>>,
    counted: Option<Counted>,
}

impl Connection {
    /// Waits for `hello`. An envelope that overtakes it is heard like any other.
    async fn greeted(&mut self) -> Result<(), End> {
        while let Some(Ok(frame)) = self.stream.next().await {
            if let Message::Text(text) = frame {
                if text.len() < 4_096
                    && as_text(&serde_json::from_str(&text).unwrap_or_default(), "/type") == "hello"
                {
                    return Ok(());
                }
                self.hear(&text).map_or(Ok(()), Err)?;
            }
        }
        Err(End::Lost("slack closed the socket".to_owned()))
    }

    async fn serve(&mut self, stop: &CancellationToken) -> End {
        let mut asked = false;
        let mut patience = Instant::now() + self.timing.quiet;
        loop {
            let reading = self.commits.len() < AT_ONCE;
            tokio::select! {
                () = stop.cancelled() => {
                    self.finish().await;
                    return End::Stopped;
                }
                Some(ack) = self.commits.join_next(), if !self.commits.is_empty() => {
                    if let Err(end) = self.acknowledge(ack).await {
                        return end;
                    }
                }
                frame = self.stream.next(), if reading => {
                    asked = false;
                    patience = Instant::now() + self.timing.quiet;
                    if let Some(end) = self.read(frame) {
                        return end;
                    }
                }
                () = sleep_until(patience), if reading => {
                    if asked {
                        return End::Lost("slack's socket is silent: connecting again".to_owned());
                    }
                    asked = true;
                    patience = Instant::now() + self.timing.deaf;
                    if let Err(end) = self.send(Message::Ping(vec![].into())).await {
                        return end;
                    }
                }
            }
        }
    }

    /// Serves what is left after Slack's announcement, until the replacement is there.
    async fn serve_until(mut self, replaced: CancellationToken) {
        while let End::Announced = self.serve(&replaced).await {}
        self.let_commits_end().await;
    }

    /// A commit that has begun is not given up because its socket broke: Slack may never send it again.
    async fn let_commits_end(mut self) {
        drop(self.counted.take()); // It hears no more.
        while self.commits.join_next().await.is_some() {}
    }

    /// Acknowledges what is being committed, then closes.
    async fn finish(&mut self) {
        while let Some(ack) = self.commits.join_next().await {
            if self.acknowledge(ack).await.is_err() {
                return;
            }
        }
        let closed = timeout(SEND_LIMIT, self.stream.close(None)).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::debug!("slack's socket was gone before it was closed");
        }
    }

    fn read(
        &mut self,
        frame: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Option<End> {
        match frame {
            Some(Ok(Message::Text(text))) => self.hear(&text),
            Some(Ok(Message::Binary(_))) => {
                metrics::counter!("midwatch_slack_malformed_total").increment(1);
                None
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
            Some(Ok(Message::Close(_))) | None => {
                Some(End::Lost("slack closed the socket".to_owned()))
            }
            Some(Err(error)) => Some(End::Lost(format!(
                "slack's socket broke: {}",
                kind_of(&error)
            ))),
        }
    }

    /// Reads a text frame and begins its commit.
    fn hear(&mut self, text: &str) -> Option<End> {
        let Ok(frame) = serde_json::from_str::<Value>(text) else {
            metrics::counter!("midwatch_slack_malformed_total").increment(1);
            tracing::warn!("slack sent an envelope that can't be read: acknowledged and dropped");
            let id = envelope_id_of_ruins(text);
            self.commits
                .spawn(async move { id.map(|id| json!({ "envelope_id": id })) });
            return None;
        };
        if as_text(&frame, "/type") == "disconnect" {
            return Some(match as_text(&frame, "/reason") {
                "link_disabled" => End::LinkDisabled,
                "too_many_websockets" => End::TooMany,
                _ => End::Announced,
            });
        }
        if !as_text(&frame, "/envelope_id").is_empty() {
            self.commits.spawn(commit(self.door.clone(), frame));
        }
        None
    }

    async fn acknowledge(
        &mut self,
        ack: Result<Option<Value>, tokio::task::JoinError>,
    ) -> Result<(), End> {
        match ack {
            Ok(Some(ack)) => self.send(Message::text(ack.to_string())).await,
            Ok(None) => Ok(()),
            Err(fault) => {
                tracing::error!(
                    "hearing an envelope of slack's broke: {fault}; slack sends it again"
                );
                Ok(())
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_LIMIT, self.stream.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(End::Lost(format!(
                "slack's socket broke: {}",
                kind_of(&error)
            ))),
            Err(_) => Err(End::Lost(
                "slack's socket takes nothing any more".to_owned(),
            )),
        }
    }
}

/// Makes an envelope durable; answers its acknowledgement, or `None` when Slack shall send it again.
async fn commit(door: Door, frame: Value) -> Option<Value> {
    let deadline = Instant::now() + RECEIVE_LIMIT;
    let payload = &frame["payload"];
    if frame["retry_attempt"]
        .as_u64()
        .is_some_and(|attempt| attempt > 0)
    {
        metrics::counter!("midwatch_slack_retries_total").increment(1);
    }
    let raw = payload.to_string();
    let delivery = Delivery {
        me: door.slack.me(),
        now: door.clock.now(),
        sent_at: None,
        raw: raw.as_bytes(),
    };
    let heard = match as_text(&frame, "/type") {
        "slash_commands" => inbound::command(payload, &delivery),
        "events_api" => inbound::event(payload, &delivery),
        "interactive" => inbound::interaction(payload, &delivery),
        _ => Heard::Ignored("other envelope"),
    };
    let ack = json!({ "envelope_id": frame["envelope_id"] });
    let answer = match door.take(heard, deadline).await {
        Taken::Done | Taken::Challenge(_) => return Some(ack),
        Taken::Misunderstood => {
            (as_text(&frame, "/type") == "slash_commands").then(|| ephemeral(super::MISUNDERSTOOD))
        }
        Taken::NotKept(why) => {
            let answer = match as_text(&frame, "/type") {
                "slash_commands" => Some(ephemeral(why)),
                "interactive" => form_error(payload, why),
                _ => None,
            };
            // Without an answer to show there is no acknowledgement: Slack sends it again or tells the person.
            if answer.is_none() || frame["accepts_response_payload"] != true {
                return None;
            }
            answer
        }
    };
    match answer {
        Some(answer) if frame["accepts_response_payload"] == true => {
            Some(json!({ "envelope_id": frame["envelope_id"], "payload": answer }))
        }
        _ => Some(ack),
    }
}

/// Finds the id in a text that is no JSON, so that Slack doesn't send it for ever.
fn envelope_id_of_ruins(text: &str) -> Option<String> {
    let (_, after) = text.split_once("\"envelope_id\"")?;
    let value = after
        .trim_start()
        .strip_prefix(':')?
        .trim_start()
        .strip_prefix('"')?;
    let (id, _) = value.split_once('"')?;
    let fits = !id.is_empty() && id.len() <= 200 && !id.contains('\\');
    fits.then(|| id.to_owned())
}

/// The kind of a websocket error; its text may hold the address, and that is a ticket to connect.
fn kind_of(error: &tokio_tungstenite::tungstenite::Error) -> &'static str {
    use tokio_tungstenite::tungstenite::Error;
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => "closed",
        Error::Io(_) => "the network broke",
        Error::Tls(_) => "no trust in the certificate",
        Error::Capacity(_) => "a frame too large",
        Error::Http(_) | Error::HttpFormat(_) => "refused by http",
        _ => "a protocol error",
    }
}

/// Waits between connections: none after a good one, then doubled up to a minute, with jitter.
struct Waits {
    timing: Timing,
    tried: u32,
}

impl Waits {
    fn new(timing: Timing) -> Self {
        Self { timing, tried: 0 }
    }

    fn after(&mut self, lived: Duration) {
        if lived >= self.timing.settled {
            self.tried = 0;
        }
    }

    fn never_at_once(&mut self) {
        self.tried = self.tried.max(1);
    }

    fn next(&mut self) -> Duration {
        let tried = self.tried;
        self.tried = tried.saturating_add(1);
        let Some(doublings) = tried.checked_sub(1) else {
            return Duration::ZERO;
        };
        let wait = self
            .timing
            .pause
            .saturating_mul(1 << doublings.min(10))
            .min(LONGEST_WAIT);
        wait.mul_f64(rand::random_range(0.75..1.25))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_good_connection() {
        let mut waits = Waits::new(Timing::default());
        assert_eq!(waits.next(), Duration::ZERO);
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let wait = waits.next().as_secs_f64();
            assert!((expected * 0.75..expected * 1.25).contains(&wait), "{wait}");
        }
        waits.after(Duration::from_secs(1));
        assert!(waits.next() > Duration::from_secs(40));
        waits.after(Duration::from_secs(10));
        assert_eq!(waits.next(), Duration::ZERO);
        waits.after(Duration::from_secs(10));
        waits.never_at_once();
        assert!(waits.next() > Duration::from_millis(700));
    }

    #[test]
    fn the_envelope_id_is_found_in_what_is_no_json() {
        let rows = [
            ("cut off", r#"{"envelope_id": "e-1", "payl"#, Some("e-1")),
            ("unfinished id", r#"{"envelope_id": "e-1"#, None),
            ("none", "{{{", None),
            ("escaped", r#"{"envelope_id":"a\"b"} x"#, None),
        ];
        for (name, text, expected) in rows {
            assert_eq!(envelope_id_of_ruins(text).as_deref(), expected, "{name}");
        }
    }
}
