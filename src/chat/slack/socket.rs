//! Slack over Socket Mode: two sockets, each envelope acknowledged once its inbound is durable.
//!
//! A socket that Slack announces to close, or that is silent, is replaced before it is left. What can't be read is
//! acknowledged and counted, so that one odd envelope never stops the others.

mod connection;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::CancellationToken;

use self::connection::{Connection, End};
use super::api::{As, CallError};
use super::{Door, as_text};
use crate::chat::address::safe_url;
use crate::chat::ears::{Counted, Ears, kind_of, tell_trouble};
use crate::chat::waits::{Timing, Waits};
use crate::domain::Platform;

/// Slack allows ten; two, so that one can be replaced or break while the other hears.
const SOCKETS: usize = 2;
const FRAME_LIMIT: usize = 4 << 20;

/// In service. A silent socket is noticed within four seconds, and one that doesn't open is given up soon enough for another
/// within five. Slack's answers to pings may take longer than that: such a socket is heard until its replacement is there, so
/// what is lost by impatience is nothing.
pub const TIMING: Timing = Timing {
    quiet: Duration::from_millis(1_250),
    deaf: Duration::from_millis(2_250),
    opening: Duration::from_millis(2_500),
    pause: Duration::from_secs(1),
    settled: Duration::from_secs(10),
};

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
    ears: watch::Sender<Ears>,
    cancel: CancellationToken,
) -> Result<(), SocketsStopped> {
    let stop = cancel.child_token();
    let slot = Slot {
        door,
        timing,
        ears: Arc::new(ears),
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
    ears: Arc<watch::Sender<Ears>>,
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
                opened = self.open(waits.opening()) => opened,
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
                End::Silent => {
                    drop(connection.counted.take()); // It may hear no more.
                    self.trouble("slack's socket is silent: opening another");
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

    async fn open(&self, limit: Duration) -> Result<Connection, NotOpened> {
        let not = |why: String| NotOpened {
            why,
            wait: Duration::ZERO,
        };
        let nothing = json!({});
        let asking = self
            .door
            .slack
            .api
            .call(As::App, "apps.connections.open", &nothing);
        let answer = timeout(limit, asking)
            .await
            .map_err(|_| not("slack gives us no socket in time".to_owned()))?;
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
        let (stream, _) = timeout(limit, connecting)
            .await
            .map_err(|_| not("slack's socket doesn't open in time".to_owned()))?
            .map_err(|error| not(format!("slack's socket doesn't open: {}", kind_of(&error))))?;
        let mut connection = Connection {
            stream,
            door: self.door.clone(),
            timing: self.timing,
            commits: JoinSet::new(),
            counted: None,
            empty_at: self.door.clock.now(),
        };
        match timeout(limit, connection.greeted()).await {
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
        connection.counted = Some(Counted::new(Platform::Slack, &self.ears));
        Ok(connection)
    }

    async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = sleep(wait) => {}
        }
    }

    fn trouble(&self, why: &str) {
        tell_trouble(&self.ears, why);
    }
}
