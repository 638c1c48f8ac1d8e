//! Discord's gateway: one session, resumed where that is possible, watched for silence, opened anew with back-off.
//!
//! Our own loop: a library's drops what it can't parse, and an event that is dropped is a command that is lost. What was
//! heard and not yet durable when the connection broke is asked for again.

mod connection;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serenity::http::Route;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use self::connection::{Connection, End};
use super::api::CallError;
use super::{Door, as_text as at};
use crate::chat::address::safe_url;
use crate::chat::ears::{Ears, kind_of, tell_trouble};
use crate::chat::waits::{Patience, Waits};

/// A server with many channels is described in a few megabytes.
const FRAME_LIMIT: usize = 32 << 20;
/// Discord allows one new session in five seconds, and a thousand a day.
const BETWEEN_SESSIONS: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// So often a session is tried where Discord says that it is resumed; then at the gateway, where Discord resumes it too.
const RESUME_TRIES: u32 = 2;

/// How long we wait for what. The default is for service; tests hurry.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Silence after which we ask whether the other side is there.
    pub quiet: Duration,
    /// Silence after that question which means that it isn't.
    pub deaf: Duration,
    /// How long each step of opening a connection may take at first.
    pub opening: Duration,
    /// The first wait before connecting again; doubled up to a minute.
    pub pause: Duration,
    /// A connection that lived this long was a good one: waits begin anew.
    pub settled: Duration,
}

impl Default for Timing {
    /// A silent connection is noticed within four seconds. Its session is resumed, so that impatience loses nothing. A
    /// question each two seconds is a quarter of what Discord allows to be sent.
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(2),
            deaf: Duration::from_secs(2),
            opening: Duration::from_millis(2_500),
            pause: Duration::from_secs(1),
            settled: Duration::from_secs(10),
        }
    }
}

/// Why listening ended although nobody asked for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayStopped {
    /// The token is not valid.
    #[error(
        "discord does not accept the token: copy it anew from the developer portal, Bot, Reset Token, and restart"
    )]
    Token,
    /// Discord wants something else of us.
    #[error(
        "discord closes the gateway to us for good (code {0}): see the developer portal, then restart"
    )]
    Closed(u16),
}

/// What Discord needs to go on where a connection broke.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) resume_at: String,
    /// The last event that was heard.
    pub(super) heard: u64,
    /// Events that were heard and are not durable yet.
    pub(super) open: BTreeSet<u64>,
}

impl Session {
    /// The last event before which nothing is missing.
    pub(super) fn seen(&self) -> u64 {
        self.open
            .first()
            .map_or(self.heard, |first| first.saturating_sub(1))
    }
}

/// Listens until cancelled. Returns early only when listening is pointless.
pub async fn run_gateway(
    door: Door,
    timing: Timing,
    ears: watch::Sender<Ears>,
    cancel: CancellationToken,
) -> Result<(), GatewayStopped> {
    let gateway = Gateway {
        door,
        timing,
        ears: Arc::new(ears),
        stop: cancel,
    };
    let stopped = gateway.keep_connected().await;
    if let Err(why) = &stopped {
        tell_trouble(&gateway.ears, &why.to_string());
    }
    stopped
}

struct Gateway {
    door: Door,
    timing: Timing,
    ears: Arc<watch::Sender<Ears>>,
    stop: CancellationToken,
}

/// Why there is no connection, and how long to wait at the least.
struct NotOpened {
    why: String,
    wait: Duration,
}

impl NotOpened {
    fn because(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            wait: Duration::ZERO,
        }
    }
}

impl Gateway {
    async fn keep_connected(&self) -> Result<(), GatewayStopped> {
        let mut waits = Waits::new(Patience {
            opening: self.timing.opening,
            pause: self.timing.pause,
            settled: self.timing.settled,
        });
        let mut session: Option<Session> = None;
        let mut last_new: Option<Instant> = None;
        let mut unopened = 0;
        while !self.stop.is_cancelled() {
            if session.is_none()
                && let Some(last) = last_new
            {
                let due = last + BETWEEN_SESSIONS;
                self.pause(due.saturating_duration_since(Instant::now()))
                    .await;
            }
            let opened = tokio::select! {
                () = self.stop.cancelled() => break,
                opened = self.open(waits.opening(), session.as_ref()) => opened,
            };
            let mut connection = match opened {
                Ok(connection) => connection,
                Err(not) => {
                    tell_trouble(&self.ears, &not.why);
                    unopened += 1;
                    if let Some(session) = session.as_mut().filter(|_| unopened >= RESUME_TRIES) {
                        session.resume_at.clear();
                    }
                    self.pause(waits.next().max(not.wait)).await;
                    continue;
                }
            };
            unopened = 0;
            if session.is_none() {
                last_new = Some(Instant::now());
            }
            let began = Instant::now();
            let end = connection.serve(&mut session, &self.stop).await;
            connection.let_commits_end(&mut session).await;
            waits.after(began.elapsed());
            match end {
                End::Stopped => break,
                End::Announced => {}
                End::NewSession(why) => {
                    tell_trouble(&self.ears, &why);
                    session = None;
                    waits.never_at_once();
                }
                End::Silent => {
                    tell_trouble(
                        &self.ears,
                        "discord's gateway is silent: opening another connection",
                    );
                }
                End::Lost(why) => tell_trouble(&self.ears, &why),
                End::Closed(code) => match code {
                    4_004 => return Err(GatewayStopped::Token),
                    4_010..=4_014 => return Err(GatewayStopped::Closed(code)),
                    4_003 | 4_007 | 4_009 => {
                        tell_trouble(
                            &self.ears,
                            &format!("discord ended the session (code {code})"),
                        );
                        session = None;
                    }
                    _ => tell_trouble(
                        &self.ears,
                        &format!("discord closed the gateway (code {code})"),
                    ),
                },
            }
            self.pause(waits.next()).await;
        }
        Ok(())
    }

    async fn open(
        &self,
        limit: Duration,
        session: Option<&Session>,
    ) -> Result<Connection, NotOpened> {
        let address = match session {
            Some(session) if !session.resume_at.is_empty() => session.resume_at.clone(),
            _ => self.ask_address(limit).await?,
        };
        let url =
            gateway_url(self.door.discord.api.base(), &address).map_err(NotOpened::because)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_LIMIT))
            .max_frame_size(Some(FRAME_LIMIT));
        let connecting = connect_async_with_config(url.as_str(), Some(config), true);
        let (stream, _) = timeout(limit, connecting)
            .await
            .map_err(|_| NotOpened::because("discord's gateway doesn't open in time"))?
            .map_err(|error| {
                NotOpened::because(format!(
                    "discord's gateway doesn't open: {}",
                    kind_of(&error)
                ))
            })?;
        let opening = Connection::greeted(
            stream,
            self.door.clone(),
            self.timing,
            Arc::clone(&self.ears),
        );
        timeout(limit, opening)
            .await
            .map_err(|_| NotOpened::because("discord's gateway doesn't greet"))?
            .map_err(NotOpened::because)
    }

    /// Where the gateway is, unless our sessions of today are used up.
    async fn ask_address(&self, limit: Duration) -> Result<String, NotOpened> {
        let asking = self.door.discord.api.get(Route::GatewayBot, Vec::new());
        let answer = timeout(limit, asking)
            .await
            .map_err(|_| NotOpened::because("discord does not say in time where its gateway is"))?;
        let answer: Value = answer.map_err(|error| NotOpened {
            wait: if let CallError::Limited(wait) = error {
                wait
            } else {
                Duration::ZERO
            },
            why: format!("discord does not say where its gateway is: {error}"),
        })?;
        let limit = &answer["session_start_limit"];
        if limit["remaining"].as_u64() == Some(0) {
            let wait = Duration::from_millis(limit["reset_after"].as_u64().unwrap_or(0));
            return Err(NotOpened {
                why: "discord allows no more sessions today".to_owned(),
                wait: wait.min(LONGEST_WAIT),
            });
        }
        Ok(at(&answer, "/url").to_owned())
    }

    async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = sleep(wait) => {}
        }
    }
}

/// The gateway's address, where our token may go: Discord's own, or the host that stands in for it.
fn gateway_url(base: &str, address: &str) -> Result<Url, String> {
    let mut url = safe_url(address, "wss", "ws")?;
    let home = Url::parse(base).map_err(|why| format!("`{base}` is not an address: {why}"))?;
    let is_discord = home.host_str() == Some("discord.com");
    let fits = match url.host() {
        Some(Host::Domain(host)) if is_discord => {
            host == "discord.gg" || host.ends_with(".discord.gg")
        }
        host => host == home.host(),
    };
    if !fits {
        let host = url.host_str().unwrap_or("no host").to_owned();
        return Err(format!(
            "discord's gateway would be at {host}, which is not where DISCORD_API_URL points: the token is not sent there"
        ));
    }
    url.set_query(Some("v=10&encoding=json"));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_to_discords_gateway_or_to_the_configured_host_only() {
        let rows = [
            (
                "discord's",
                "https://discord.com",
                "wss://gateway.discord.gg",
                true,
            ),
            (
                "a region's",
                "https://discord.com",
                "wss://gateway-us-east1-b.discord.gg/",
                true,
            ),
            (
                "another's",
                "https://discord.com",
                "wss://gateway.evil.test",
                false,
            ),
            (
                "a name that ends alike",
                "https://discord.com",
                "wss://evildiscord.gg",
                false,
            ),
            (
                "plain",
                "https://discord.com",
                "ws://gateway.discord.gg",
                false,
            ),
            (
                "a stand-in's own",
                "http://127.0.0.1:9",
                "ws://127.0.0.1:10/x",
                true,
            ),
            (
                "from a stand-in to discord",
                "https://proxy.test",
                "wss://gateway.discord.gg",
                false,
            ),
            ("nonsense", "https://discord.com", "discord", false),
        ];
        for (name, base, address, fine) in rows {
            assert_eq!(gateway_url(base, address).is_ok(), fine, "{name}");
        }
    }

    #[test]
    fn what_is_not_durable_is_asked_for_again() {
        let mut session = Session {
            id: "s".to_owned(),
            resume_at: String::new(),
            heard: 7,
            open: BTreeSet::new(),
        };
        assert_eq!(session.seen(), 7);
        session.open.extend([5, 6]);
        assert_eq!(session.seen(), 4);
    }
}
