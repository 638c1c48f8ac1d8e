//! Discord's gateway, and what happens to it.

use std::sync::Arc;
use std::time::Duration;

use midwatch::chat::Ears;
use midwatch::chat::discord::{Discord, DiscordSettings, Door, TIMING, read_history, run_gateway};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::lane::{Lane, Parts, Said};
use super::{BACK_WITHIN, Chance, Ground, SETTLED};
use crate::fakes::discord::{BEN, BOT_TOKEN, FakeDiscord, GENERAL, Order, Seen};

/// The type of an interaction that is a slash command.
const COMMAND: u64 = 2;
/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Discord asks for another connection.
    Reconnect,
    /// The session is said to be invalid, and can be resumed; or can't.
    Invalid {
        resumable: bool,
    },
    /// The connection is closed with this code.
    Closed(u16),
    Reset,
    /// Without a close frame, which is code 1006.
    Cut,
    HalfOpen,
    /// The next connection is taken, and nothing is said on it.
    Stall,
    /// The same, while it begins to speak TLS.
    StallInTls,
    /// Who resumes on the next connection gets no answer, but for their heartbeats.
    Mute,
    /// Nobody is there any more where the session is to be resumed.
    DeadAddress,
    ClockBack,
}

impl Trouble {
    /// Whether Discord forgets the session.
    fn ends_the_session(self) -> bool {
        match self {
            Self::Invalid { resumable } => !resumable,
            Self::Closed(code) => [1_001, 4_009].contains(&code),
            Self::StallInTls => true, // Before it, so that the next one is to be resumed elsewhere.
            Self::Reconnect
            | Self::Reset
            | Self::Cut
            | Self::HalfOpen
            | Self::Stall
            | Self::Mute
            | Self::DeadAddress
            | Self::ClockBack => false,
        }
    }
}

/// A server.
#[derive(Clone)]
pub(super) struct OnDiscord(FakeDiscord);

impl Ground for OnDiscord {
    type Trouble = Trouble;
    type Door = Door;

    const NAME: &'static str = "Discord";
    const TROUBLES: &'static [Trouble] = &[
        Trouble::Reconnect,
        Trouble::Invalid { resumable: true },
        Trouble::Invalid { resumable: false },
        Trouble::Closed(1_001),
        Trouble::Closed(4_000),
        Trouble::Closed(4_008),
        Trouble::Closed(4_009),
        Trouble::Reset,
        Trouble::Cut,
        Trouble::HalfOpen,
        Trouble::Stall,
        Trouble::StallInTls,
        Trouble::Mute,
        Trouble::DeadAddress,
        Trouble::ClockBack,
    ];
    const CONNECTIONS: usize = 1;
    const ASKED_EVERY: Duration = Duration::from_secs(3);
    const AT_FIRST: Duration = Duration::from_millis(5_500);
    const ANEW: &'static str = "sessions begun anew where one was lost, none elsewhere";

    async fn start() -> Self {
        Self(FakeDiscord::start().await)
    }

    fn person() -> String {
        format!("discord: \"{BEN}\"")
    }

    fn channel() -> String {
        GENERAL.to_owned()
    }

    async fn door(&self, parts: Parts) -> Door {
        let settings = DiscordSettings {
            token: BOT_TOKEN.to_owned().into(),
            public_key: None,
            api_url: self.0.api_url(),
        };
        let discord = Discord::new(&settings, parts.catalog, parts.clock.clone()).unwrap();
        discord.identify().await.unwrap();
        Door {
            discord: Arc::new(discord),
            intake: parts.intake,
            clock: parts.clock,
            store: parts.store,
        }
    }

    /// What no session replays is read from the history.
    async fn listen(
        door: Door,
        ears: watch::Sender<Ears>,
        cancel: CancellationToken,
    ) -> Result<(), String> {
        let stop = cancel.child_token();
        let history = read_history(door.clone(), ears.subscribe(), stop.clone());
        let gateway = async {
            let ended = run_gateway(door, TIMING, ears, cancel).await;
            stop.cancel();
            ended.map_err(|why| why.to_string())
        };
        tokio::join!(gateway, history).0
    }

    fn opened(&self) -> usize {
        self.0.connections_opened()
    }

    fn open(&self) -> usize {
        self.0.connections().len()
    }

    fn hearing(&self) -> Vec<u64> {
        self.0.hearing_connections()
    }

    fn asked(&self) -> usize {
        self.0.heartbeats()
    }

    fn violations(&self) -> Vec<String> {
        self.0.violations()
    }

    /// Discord takes a thousand identifies a day. Under load one may not be answered in time, and be sent again.
    fn anew(&self, suffered: &[Trouble]) -> usize {
        let lost = suffered.iter().filter(|it| it.ends_the_session()).count();
        let identifies = self.0.identifies();
        assert!(
            (1 + lost..=1 + 2 * lost).contains(&identifies),
            "Discord: {identifies} identifies, although {lost} sessions were lost after {suffered:?}"
        );
        identifies - 1
    }

    async fn wait_for(&self, what: &str, limit: Duration, found: impl Fn(&Self) -> bool) {
        let look = |_: &FakeDiscord| found(self).then_some(());
        self.0.wait_for(what, limit, look).await;
    }

    /// By mention and by `/ops` in turn. Discord sends either again to who resumes, and forgets commands with the session.
    async fn say(self, tag: String) -> Said {
        let text = format!("look {tag}");
        let mut said = Said::new(tag);
        if said.tag.ends_with(['0', '2', '4', '6', '8']) {
            self.0.mention(GENERAL, BEN, &text);
            return said;
        }
        let text = json!([{ "type": 3, "name": "text", "value": text }]);
        let say = json!([{ "type": 1, "name": "say", "options": text }]);
        let data = json!({ "name": "ops", "type": 1, "options": say });
        let payload = self.0.payload_of(COMMAND, GENERAL, BEN, data);
        let began = Instant::now();
        match self.0.deliver(&payload).await.seen {
            Seen::Thinking { .. } => said.took = Some(began.elapsed()),
            Seen::Unanswered => said.unanswered = true,
            other => panic!("{text} was answered with {other:?}"),
        }
        said
    }

    fn is_mute(_: Trouble) -> bool {
        false
    }

    fn forgets(trouble: Trouble) -> bool {
        trouble.ends_the_session()
    }

    async fn strike(lane: &mut Lane<Self>, trouble: Trouble, _: Chance) -> (Instant, Vec<u64>) {
        let discord = lane.ground.0.clone();
        let mut silent = None;
        if trouble == Trouble::StallInTls {
            silent = Some(resume_in_silence(lane).await);
        }
        let struck = discord.hearing_connections();
        assert_eq!(struck.len(), 1, "{trouble:?} finds a connection");
        let began = Instant::now();
        match trouble {
            Trouble::Reconnect => discord.ask_reconnect(),
            Trouble::Invalid { resumable } => discord.invalidate_sessions(resumable),
            Trouble::Closed(code) => discord.close_gateway(code),
            Trouble::Reset => {
                discord.order_connection(struck[0], Order::Reset);
            }
            Trouble::Cut | Trouble::StallInTls => discord.cut_gateway(),
            Trouble::HalfOpen => discord.deafen_gateway(),
            Trouble::Stall => {
                discord.stall_next(1);
                discord.cut_gateway();
            }
            Trouble::Mute => {
                discord.mute_next(1);
                discord.cut_gateway();
            }
            Trouble::DeadAddress => {
                discord.shut_resumes(true);
                discord.cut_gateway();
            }
            Trouble::ClockBack => {
                return (lane.bear_a_clock_set_back().await, Vec::new());
            }
        }
        lane.hears_without(&struck).await;
        if let Some(silent) = silent {
            let spoke = timeout(BACK_WITHIN, silent.accept());
            let (stream, _) = spoke.await.expect("it was tried").unwrap();
            let mut first = [0];
            stream.peek(&mut first).await.unwrap();
            assert_eq!(first, [HANDSHAKE], "it began to speak TLS");
        }
        assert_eq!(discord.waits_to_happen(), 0, "{trouble:?} happened");
        discord.shut_resumes(false);
        (began, struck)
    }
}

/// Gives it a session that is to be resumed where somebody listens and nobody speaks.
async fn resume_in_silence(lane: &mut Lane<OnDiscord>) -> TcpListener {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let discord = lane.ground.0.clone();
    let address = silent.local_addr().unwrap();
    discord.point_resumes_at(Some(&format!("wss://{address}/resume")));
    let before = discord.hearing_connections();
    discord.invalidate_sessions(false);
    lane.hears_without(&before).await;
    discord.point_resumes_at(None);
    tokio::time::sleep(SETTLED).await;
    silent
}
