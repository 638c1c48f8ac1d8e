//! One socket: reads envelopes, commits them side by side, acknowledges each; notices when nobody is there any more.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

use super::super::http::{ephemeral, form_error};
use super::super::inbound::{self, Delivery};
use super::super::{Door, as_text};
use crate::chat::door::{Heard, MISUNDERSTOOD, Taken, take};
use crate::chat::ears::{Counted, kind_of};
use crate::chat::waits::Timing;
use crate::domain::Platform;
use crate::planted;

/// Envelopes of one socket that may wait for their commit; then reading waits.
const AT_ONCE: usize = 64;
const RECEIVE_LIMIT: Duration = Duration::from_millis(2_400);
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// How often we look whether the socket is empty.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why a connection is served no longer.
#[derive(Debug)]
pub(super) enum End {
    /// We were asked to.
    Stopped,
    /// Slack will close it soon; it still works.
    Announced,
    /// Slack has enough of us.
    TooMany,
    /// Socket Mode was switched off.
    LinkDisabled,
    /// Nobody answers, and it has not broken: perhaps it is only slow.
    Silent,
    /// It broke.
    Lost(String),
}

/// An open socket, and the commits of what came in over it.
pub(super) struct Connection {
    pub(super) stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(super) door: Door,
    pub(super) timing: Timing,
    pub(super) commits: JoinSet<Option<Value>>,
    pub(super) counted: Option<Counted>,
    /// When there was nothing in the socket that we had not read. What we read now was sent after that, or, when we were
    /// stopped meanwhile, any time since.
    pub(super) empty_at: Timestamp,
}

impl Connection {
    /// Waits for `hello`. An envelope that overtakes it is heard like any other.
    pub(super) async fn greeted(&mut self) -> Result<(), End> {
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

    pub(super) async fn serve(&mut self, stop: &CancellationToken) -> End {
        let mut asked = false;
        let mut patience = Instant::now() + self.timing.quiet;
        let mut looks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let reading = self.commits.len() < AT_ONCE;
            tokio::select! {
                biased; // A look comes after the frames: only then does it find the socket empty.
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
                _ = looks.tick(), if reading => self.empty_at = self.door.clock.now(),
                () = sleep_until(patience), if reading => {
                    if asked {
                        return End::Silent;
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

    /// Serves what still comes after Slack's announcement or a silence, until the replacement is there.
    pub(super) async fn serve_until(mut self, replaced: CancellationToken) {
        while let End::Announced | End::Silent = self.serve(&replaced).await {}
        self.let_commits_end().await;
    }

    /// A commit that has begun is not given up because its socket broke: Slack may never send it again.
    pub(super) async fn let_commits_end(mut self) {
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
                metrics::counter!("midwatch_deliveries_malformed_total", "platform" => "slack")
                    .increment(1);
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
            metrics::counter!("midwatch_deliveries_malformed_total", "platform" => "slack")
                .increment(1);
            tracing::warn!("slack sent an envelope that can't be read: acknowledged and dropped");
            let id = envelope_id_of_ruins(text).filter(|_| !planted::is("ruins-unacknowledged"));
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
            self.commits
                .spawn(commit(self.door.clone(), frame, self.empty_at));
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
async fn commit(door: Door, frame: Value, sent_after: Timestamp) -> Option<Value> {
    let deadline = Instant::now() + RECEIVE_LIMIT;
    let payload = &frame["payload"];
    if frame["retry_attempt"]
        .as_u64()
        .is_some_and(|attempt| attempt > 0)
    {
        metrics::counter!("midwatch_deliveries_repeated_total", "platform" => "slack").increment(1);
    }
    let raw = payload.to_string();
    let delivery = Delivery {
        me: door.slack.me(),
        now: door.clock.now(),
        sent_at: Some(sent_after),
        raw: raw.as_bytes(),
    };
    let heard = match as_text(&frame, "/type") {
        "slash_commands" => inbound::command(payload, &delivery),
        "events_api" => inbound::event(payload, &delivery),
        "interactive" => inbound::interaction(payload, &delivery),
        _ => Heard::Ignored("other envelope"),
    };
    let ack = json!({ "envelope_id": frame["envelope_id"] });
    let answer = match take(Platform::Slack, &door.intake, heard, deadline).await {
        Taken::Kept(_) | Taken::Nothing => return Some(ack),
        Taken::Misunderstood => {
            (as_text(&frame, "/type") == "slash_commands").then(|| ephemeral(MISUNDERSTOOD))
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

#[cfg(test)]
mod tests {
    use super::*;

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
