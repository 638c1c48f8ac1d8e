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

use self::connection::{Commits, Connection, End};
use super::api::CallError;
use super::{Door, as_text as at};
use crate::chat::address::safe_url;
use crate::chat::ears::{Ears, kind_of, tell_trouble};
use crate::chat::waits::{Timing, Waits};
use crate::planted;

/// A server with many channels is described in a few megabytes.
const FRAME_LIMIT: usize = 32 << 20;
/// Discord allows one new session in five seconds, and a thousand a day.
const BETWEEN_SESSIONS: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// In service. A silent connection is noticed within four seconds. Its session is resumed, so that impatience loses nothing.
/// A question each two seconds is a quarter of what Discord allows to be sent.
pub const TIMING: Timing = Timing {
    quiet: Duration::from_secs(2),
    deaf: Duration::from_secs(2),
    opening: Duration::from_millis(2_500),
    pause: Duration::from_secs(1),
    settled: Duration::from_secs(10),
};

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
        let mut commits = Commits::new();
        let ended = self.connect_again_and_again(&mut commits).await;
        while commits.join_next().await.is_some() {}
        ended
    }

    async fn connect_again_and_again(&self, commits: &mut Commits) -> Result<(), GatewayStopped> {
        let mut waits = Waits::new(self.timing);
        let mut session: Option<Session> = None;
        let mut last_new: Option<Instant> = None;
        let mut in_vain: u32 = 0;
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
                opened = self.open(waits.opening(), resume_at(session.as_ref(), in_vain)) => opened,
            };
            in_vain += 1;
            let mut connection = match opened {
                Ok(connection) => connection,
                Err(not) => {
                    tell_trouble(&self.ears, &not.why);
                    self.pause(waits.next().max(not.wait)).await;
                    continue;
                }
            };
            let is_new = session.is_none();
            let began = Instant::now();
            connection.take_over(commits, &mut session);
            let end = connection.serve(&mut session, &self.stop).await;
            let taken_up_at = connection.taken_up_at();
            if taken_up_at.is_some() {
                in_vain = 0;
            }
            if is_new {
                // Discord counts from when it heard us, which is later than when we spoke.
                last_new = Some(taken_up_at.unwrap_or_else(Instant::now));
            }
            *commits = connection.into_commits();
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
            if planted::is("discord-session-thrown-away") {
                session = None;
            }
            self.pause(waits.next()).await;
        }
        Ok(())
    }

    /// Opens a connection, at the gateway itself unless another address is given.
    async fn open(&self, limit: Duration, at: Option<String>) -> Result<Connection, NotOpened> {
        let address = match at {
            Some(address) => address,
            None => self.ask_address(limit).await?,
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
            Timing {
                opening: limit,
                ..self.timing
            },
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

/// Where to try next, after so many tries in vain: where Discord says that the session is resumed, and each second time
/// (`None`) at the gateway itself, where it is resumed too. Nobody may be at the first any more.
fn resume_at(session: Option<&Session>, in_vain: u32) -> Option<String> {
    let told = session.map(|it| it.resume_at.clone());
    told.filter(|told| !told.is_empty() && in_vain.is_multiple_of(2))
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
    fn who_resumes_in_vain_turns_to_the_gateway_itself_and_back() {
        let told = "wss://resume.discord.gg".to_owned();
        let session = Session {
            id: "s".to_owned(),
            resume_at: told.clone(),
            heard: 1,
            open: BTreeSet::new(),
        };
        let tried = [0, 1, 2].map(|in_vain| resume_at(Some(&session), in_vain));
        assert_eq!(tried, [Some(told.clone()), None, Some(told)]);
        assert_eq!(resume_at(None, 0), None);
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
