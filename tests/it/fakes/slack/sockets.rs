//! Socket Mode's side of the workspace: tickets, hello, envelopes, acknowledgements, and all that goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{FakeSlack, Inner};

#[derive(Default)]
pub(super) struct Sockets {
    tickets: BTreeSet<u64>,
    next: u64,
    open: BTreeMap<u64, mpsc::Sender<Order>>,
    turn: usize,
    /// Not acknowledged yet: the frame, and the socket it went out on.
    unacked: BTreeMap<String, (Value, Option<u64>)>,
    acks: BTreeMap<String, Value>,
    opened: usize,
    /// The fewest that were open at once since somebody asked.
    fewest: usize,
    /// Every new socket is told this instead of hello.
    greeting: Option<&'static str>,
    closed_link: bool,
}

/// What a socket's task shall do.
enum Order {
    Send(String),
    /// Send these bytes as a text, whatever they are.
    SendBytes(Vec<u8>),
    /// End without a close frame, as a broken network does.
    Cut,
    /// Neither read nor write any more, but stay open.
    Deafen,
}

impl Sockets {
    pub(super) fn new_ticket(&mut self) -> Result<u64, &'static str> {
        if self.closed_link {
            return Err("link_disabled");
        }
        self.next += 1;
        self.tickets.insert(self.next);
        Ok(self.next)
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.open.is_empty()
    }

    /// Sends a frame on the next socket in turn.
    fn send(&mut self, id: &str) {
        let open: Vec<u64> = self.open.keys().copied().collect();
        let Some(socket) = open.get(self.turn % open.len().max(1)).copied() else {
            return;
        };
        self.turn += 1;
        if let Some((frame, on)) = self.unacked.get_mut(id) {
            *on = Some(socket);
            // A full queue is a socket that reads nothing: the frame stays unacknowledged.
            let _ = self.open[&socket].try_send(Order::Send(frame.to_string()));
        }
    }

    /// Sends again what nobody acknowledged and whose socket is gone.
    fn send_again(&mut self) {
        let orphans: Vec<String> = self
            .unacked
            .iter()
            .filter(|(_, (_, on))| on.is_none_or(|on| !self.open.contains_key(&on)))
            .map(|(id, _)| id.clone())
            .collect();
        for id in orphans {
            if let Some((frame, _)) = self.unacked.get_mut(&id) {
                let attempt = frame["retry_attempt"].as_u64().unwrap_or(0) + 1;
                frame["retry_attempt"] = attempt.into();
                frame["retry_reason"] = "timeout".into();
            }
            self.send(&id);
        }
    }
}

impl FakeSlack {
    /// Sockets that are greeted and open.
    pub(crate) fn open_sockets(&self) -> usize {
        self.state().sockets.open.len()
    }

    /// Sockets that were ever opened.
    pub(crate) fn sockets_opened(&self) -> usize {
        self.state().sockets.opened
    }

    /// The fewest sockets that were open at once since the last call.
    pub(crate) fn fewest_sockets(&self) -> usize {
        let sockets = &mut self.state().sockets;
        std::mem::replace(&mut sockets.fewest, sockets.open.len())
    }

    /// Breaks all sockets, as a network does.
    pub(crate) fn cut_sockets(&self) {
        self.order(|| Order::Cut);
        self.state().sockets.open.clear();
    }

    /// Leaves all sockets open but deaf and dumb.
    pub(crate) fn deafen_sockets(&self) {
        self.order(|| Order::Deafen);
    }

    /// Sends any text to all sockets.
    pub(crate) fn send_raw(&self, text: &str) {
        self.order(|| Order::Send(text.to_owned()));
    }

    /// Sends any bytes as a text, to one socket after the other; whether there is one that takes them.
    pub(crate) fn send_bytes(&self, bytes: Vec<u8>) -> bool {
        let sockets = &mut self.state().sockets;
        sockets.turn += 1;
        let next = sockets.turn % sockets.open.len().max(1);
        let socket = sockets.open.values().nth(next);
        socket.is_some_and(|socket| socket.try_send(Order::SendBytes(bytes)).is_ok())
    }

    /// Announces the end of all sockets that are open now.
    pub(crate) fn disconnect(&self, reason: &str) {
        self.send_raw(&json!({ "type": "disconnect", "reason": reason }).to_string());
    }

    /// New sockets are sent away with this reason instead of being greeted; `None`: greeted again.
    pub(crate) fn send_away(&self, reason: Option<&'static str>) {
        self.state().sockets.greeting = reason;
    }

    /// Envelopes that nobody acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.state().sockets.unacked.len()
    }

    /// Acknowledgement of an envelope that was sent raw.
    pub(crate) fn acknowledged(&self, envelope: &str) -> Option<Value> {
        self.state().sockets.acks.get(envelope).cloned()
    }

    fn order(&self, order: impl Fn() -> Order) {
        for socket in self.state().sockets.open.values() {
            socket.try_send(order()).unwrap();
        }
    }

    /// Sends an envelope and waits three seconds for its acknowledgement.
    ///
    /// `retry`: how often Slack says that it tried before.
    pub(super) async fn envelope(&self, kind: &str, payload: &Value, retry: u64) -> Option<Value> {
        let id = {
            let mut state = self.state();
            if kind != "events_api" && state.sockets.is_deaf() {
                return None; // Slack tells the person at once, and keeps nothing.
            }
            let id = state.next_id("envelope-");
            let mut frame = json!({ "envelope_id": id, "type": kind, "payload": payload,
                                    "accepts_response_payload": kind != "events_api" });
            if retry > 0 {
                frame["retry_attempt"] = retry.into();
                frame["retry_reason"] = "timeout".into();
            }
            state.sockets.unacked.insert(id.clone(), (frame, None));
            state.sockets.send(&id);
            id
        };
        let mut changes = self.inner.changes.subscribe();
        let answered = async {
            loop {
                if let Some(ack) = self.acknowledged(&id) {
                    return ack;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(3), answered)
            .await
            .ok()
    }
}

pub(super) async fn accept(listener: TcpListener, inner: Weak<Inner>) {
    while let Ok((stream, _)) = listener.accept().await {
        let Some(inner) = inner.upgrade() else { return };
        let weak = Arc::downgrade(&inner);
        inner.own(serve(stream, weak));
    }
}

#[expect(clippy::result_large_err, reason = "the library's signature")]
async fn serve(stream: TcpStream, weak: Weak<Inner>) {
    let inner = weak.clone();
    let check = move |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let ticket = request
            .uri()
            .query()
            .and_then(|query| query.strip_prefix("ticket="))
            .and_then(|t| t.parse().ok());
        let known = inner
            .upgrade()
            .zip(ticket)
            .is_some_and(|(inner, ticket)| inner.state().sockets.tickets.remove(&ticket));
        if known {
            Ok(response)
        } else {
            Err(ErrorResponse::new(Some("no such ticket".to_owned())))
        }
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, check).await else {
        return;
    };
    let (orders, mut todo) = mpsc::channel(1_024);
    let Some((number, greeting)) = register(&weak, orders) else {
        return;
    };
    let greeting = match greeting {
        None => {
            json!({ "type": "hello", "num_connections": 1, "connection_info": { "app_id": super::APP } })
        }
        Some(reason) => json!({ "type": "disconnect", "reason": reason }),
    };
    let sent_away = greeting["type"] == "disconnect";
    if socket
        .send(Message::text(greeting.to_string()))
        .await
        .is_ok()
        && !sent_away
    {
        with(&weak, |inner| {
            inner.state().sockets.send_again();
            inner.changed();
        });
        loop {
            tokio::select! {
                order = todo.recv() => match order {
                    Some(Order::Send(text)) => {
                        if socket.send(Message::text(text)).await.is_err() { break }
                    }
                    Some(Order::SendBytes(bytes)) => {
                        let frame = Frame::message(bytes, OpCode::Data(Data::Text), true);
                        if socket.send(Message::Frame(frame)).await.is_err() { break }
                    }
                    Some(Order::Deafen) => { todo.close(); std::future::pending::<()>().await; }
                    Some(Order::Cut) | None => break,
                },
                frame = socket.next() => match frame {
                    Some(Ok(Message::Text(text))) => acknowledge(&weak, &text),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                    Some(Ok(_)) => {}
                },
            }
        }
    }
    with(&weak, |inner| {
        let mut state = inner.state();
        state.sockets.open.remove(&number);
        state.sockets.fewest = state.sockets.fewest.min(state.sockets.open.len());
        state.sockets.send_again();
        drop(state);
        inner.changed();
    });
}

fn with(weak: &Weak<Inner>, act: impl FnOnce(&Inner)) {
    if let Some(inner) = weak.upgrade() {
        act(&inner);
    }
}

fn register(
    weak: &Weak<Inner>,
    orders: mpsc::Sender<Order>,
) -> Option<(u64, Option<&'static str>)> {
    let inner = weak.upgrade()?;
    let mut state = inner.state();
    let sockets = &mut state.sockets;
    sockets.opened += 1;
    sockets.next += 1;
    let (number, greeting) = (sockets.next, sockets.greeting);
    if greeting.is_none() {
        sockets.open.insert(number, orders);
    }
    Some((number, greeting))
}

fn acknowledge(weak: &Weak<Inner>, text: &str) {
    with(weak, |inner| {
        let mut state = inner.state();
        let ack: Value = serde_json::from_str(text).unwrap_or_default();
        match ack["envelope_id"].as_str() {
            Some(id) => {
                state.sockets.unacked.remove(id);
                if state
                    .sockets
                    .acks
                    .insert(id.to_owned(), ack.clone())
                    .is_some()
                {
                    state.violation(format!("envelope {id} acknowledged twice"));
                }
            }
            None => state.violation(format!("a frame that acknowledges nothing: {text}")),
        }
        drop(state);
        inner.changed();
    });
}
