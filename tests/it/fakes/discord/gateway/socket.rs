//! One connection of the gateway: its frames, its heartbeats, its end.

use std::borrow::Cow;
use std::sync::Weak;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};

use super::super::zlib;
use super::super::{BOT_TOKEN, Inner};
use super::{Connection, Order, talk};

/// How long Discord believes in a connection through which nothing goes any more.
const BELIEVED: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<TcpStream>;

/// How what is sent is packed.
struct Packing {
    stream: bool,
    begun: bool,
    payloads: bool,
}

impl Packing {
    fn packed(&mut self, text: String) -> Message {
        if self.stream {
            let first = !std::mem::replace(&mut self.begun, true);
            Message::binary(zlib::piece(first, &text))
        } else if self.payloads {
            Message::binary(zlib::whole(&text))
        } else {
            Message::text(text)
        }
    }
}

pub(super) async fn serve(upgraded: Upgraded, weak: Weak<Inner>, asked: &str, resumes: bool) {
    let plain = downcast::<TokioIo<TcpStream>>(upgraded).expect("what we listen on is plain");
    let (stream, begun) = (plain.io.into_inner(), plain.read_buf.to_vec());
    let mut socket: Socket =
        WebSocketStream::from_partially_read(stream, begun, Role::Server, None).await;
    let query: Vec<(Cow<str>, Cow<str>)> = url::form_urlencoded::parse(asked.as_bytes()).collect();
    let given = |name: &str| {
        query
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_ref())
    };
    if asked.contains(BOT_TOKEN) {
        with(&weak, |inner| {
            inner
                .state()
                .violation("the bot's token in the gateway's address");
        });
    }
    if given("v") != Some("10") || given("encoding").is_some_and(|it| it != "json") {
        return close(&mut socket, 4012, "Invalid API version.").await;
    }
    let mut packing = Packing {
        stream: given("compress") == Some("zlib-stream"),
        begun: false,
        payloads: false,
    };
    let (orders, mut todo) = mpsc::channel(4_096);
    let Some((number, heartbeat)) = register(&weak, orders) else {
        return;
    };
    let hello = json!({ "op": 10, "t": null, "s": null, "d": { "heartbeat_interval": heartbeat.as_millis() } });
    let mut leaves = false;
    let mut open = socket.send(packing.packed(hello.to_string())).await.is_ok();
    while open {
        let patience = beat(&weak, number) + heartbeat * 2 + Duration::from_millis(500);
        tokio::select! {
            order = todo.recv() => match order {
                Some(Order::Send(text)) => open = socket.send(packing.packed(text)).await.is_ok(),
                Some(Order::SendBytes(bytes)) => {
                    let frame = Frame::message(bytes, OpCode::Data(Data::Text), true);
                    open = socket.send(Message::Frame(frame)).await.is_ok();
                }
                Some(Order::Close(code, why)) => {
                    close(&mut socket, code, why).await;
                    open = false;
                }
                Some(Order::Deafen) => {
                    todo.close();
                    let ends = async { while socket.next().await.is_some_and(|frame| frame.is_ok()) {} };
                    let _ = timeout(BELIEVED, ends).await; // Then nobody believes in it any more.
                    open = false;
                }
                Some(Order::Reset) => {
                    socket.get_ref().set_zero_linger().unwrap();
                    open = false;
                }
                Some(Order::Cut) | None => open = false,
            },
            frame = socket.next() => match frame {
                // Some clients send the same as bytes.
                Some(Ok(frame @ (Message::Text(_) | Message::Binary(_)))) => {
                    let heard = hear(&weak, number, &frame.into_data(), resumes, &mut packing);
                    if let Err((code, why)) = heard {
                        close(&mut socket, code, why).await;
                        open = false;
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(1005, |frame| u16::from(frame.code));
                    leaves = [1000, 1001].contains(&code);
                    open = false;
                }
                Some(Err(_)) | None => open = false,
                Some(Ok(_)) => {}
            },
            () = tokio::time::sleep_until(patience) => {
                with(&weak, |inner| inner.state().violation("no heartbeat for two intervals"));
                close(&mut socket, 4009, "Session timed out.").await;
                open = false;
                leaves = true;
            }
        }
    }
    with(&weak, |inner| {
        inner.state().gateway.ended(number, leaves);
        inner.changed();
    });
}

fn hear(
    weak: &Weak<Inner>,
    number: u64,
    text: &[u8],
    resumes: bool,
    packing: &mut Packing,
) -> talk::Heard {
    let Some(inner) = weak.upgrade() else {
        return Err((1001, "going away"));
    };
    let frame: Value =
        serde_json::from_slice(text).map_err(|_| (4002, "Error while decoding payload."))?;
    if text.len() > 4_096 {
        return Err((4002, "Error while decoding payload."));
    }
    packing.payloads |= frame["op"] == 2 && frame["d"]["compress"] == true;
    let heard = talk::heard(&mut inner.state(), number, &frame, resumes);
    inner.changed();
    heard
}

async fn close(socket: &mut Socket, code: u16, why: &'static str) {
    let frame = CloseFrame {
        code: CloseCode::from(code),
        reason: why.into(),
    };
    // Whoever is gone already needs no farewell; whoever is not shall get it before the connection ends.
    if socket.close(Some(frame)).await.is_ok() {
        let farewell = async { while socket.next().await.is_some_and(|frame| frame.is_ok()) {} };
        let _ = timeout(Duration::from_secs(1), farewell).await;
    }
}

fn with(weak: &Weak<Inner>, act: impl FnOnce(&Inner)) {
    if let Some(inner) = weak.upgrade() {
        act(&inner);
    }
}

fn register(weak: &Weak<Inner>, orders: mpsc::Sender<Order>) -> Option<(u64, Duration)> {
    let inner = weak.upgrade()?;
    let gateway = &mut inner.state().gateway;
    gateway.counts.opened += 1;
    gateway.next += 1;
    let number = gateway.next;
    let connection = Connection {
        orders,
        session: None,
        heard: std::collections::VecDeque::new(),
        beat: Instant::now(),
        deaf: false,
    };
    gateway.connections.insert(number, connection);
    Some((number, gateway.settings.heartbeat))
}

/// When the client last showed that it lives.
fn beat(weak: &Weak<Inner>, number: u64) -> Instant {
    let beat = weak.upgrade().and_then(|inner| {
        inner
            .state()
            .gateway
            .connections
            .get(&number)
            .map(|it| it.beat)
    });
    beat.unwrap_or_else(Instant::now)
}
