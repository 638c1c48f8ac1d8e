//! Slack's sockets, and what happens to them.

use std::sync::Arc;
use std::time::Duration;

use midwatch::chat::Ears;
use midwatch::chat::slack::{Door, Slack, SlackSettings, SocketsStopped, TIMING, run_sockets};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lane::{Lane, Parts, Said};
use super::{BACK_WITHIN, Chance, Ground};
use crate::fakes::slack::{APP_TOKEN, BOT_TOKEN, FakeSlack, Order};

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Warning,
    Refresh,
    LinkDisabled,
    TooMany,
    Reset,
    Cut,
    HalfOpen,
    Stall,
    ClockBack,
}

/// A workspace.
#[derive(Clone)]
pub(super) struct OnSlack(FakeSlack);

impl Ground for OnSlack {
    type Trouble = Trouble;
    type Door = Door;

    const NAME: &'static str = "Slack";
    const TROUBLES: &'static [Trouble] = &[
        Trouble::Warning,
        Trouble::Refresh,
        Trouble::LinkDisabled,
        Trouble::TooMany,
        Trouble::Reset,
        Trouble::Cut,
        Trouble::HalfOpen,
        Trouble::Stall,
        Trouble::ClockBack,
    ];
    const CONNECTIONS: usize = 2;
    const ASKED_EVERY: Duration = Duration::from_secs(3);
    const AT_FIRST: Duration = Duration::ZERO;
    const ANEW: &'static str = "sockets opened anew";

    async fn start() -> Self {
        let slack = FakeSlack::start().await;
        slack.repeat_events(20);
        Self(slack)
    }

    fn person() -> String {
        "slack: U1".to_owned()
    }

    fn channel() -> String {
        "C1".to_owned()
    }

    async fn door(&self, parts: Parts) -> Door {
        let settings = SlackSettings {
            bot_token: BOT_TOKEN.to_owned().into(),
            app_token: Some(APP_TOKEN.to_owned().into()),
            signing_secret: None,
            api_url: self.0.api_url(),
        };
        let slack = Arc::new(Slack::new(&settings, parts.catalog).unwrap());
        slack.identify().await.unwrap();
        Door {
            slack,
            intake: parts.intake,
            clock: parts.clock,
        }
    }

    async fn listen(
        door: Door,
        ears: watch::Sender<Ears>,
        cancel: CancellationToken,
    ) -> Result<(), String> {
        let ended = run_sockets(door, TIMING, ears, cancel).await;
        ended.map_err(|why| why.to_string())
    }

    fn opened(&self) -> usize {
        self.0.sockets_opened()
    }

    fn open(&self) -> usize {
        self.0.open_sockets()
    }

    fn hearing(&self) -> Vec<u64> {
        self.0.hearing_sockets()
    }

    fn asked(&self) -> usize {
        self.0.pings()
    }

    fn violations(&self) -> Vec<String> {
        self.0.violations()
    }

    fn anew(&self, _: &[Trouble]) -> usize {
        self.0.sockets_opened() - Self::CONNECTIONS
    }

    async fn wait_for(&self, what: &str, limit: Duration, found: impl Fn(&Self) -> bool) {
        let look = |_: &FakeSlack| found(self).then_some(());
        self.0.wait_for(what, limit, look).await;
    }

    /// By mention; Slack delivers it until it is acknowledged.
    async fn say(self, tag: String) -> Said {
        let (_, [_, mention]) = self
            .0
            .mention_deliveries("U1", "C1", None, &format!("look {tag}"));
        let began = Instant::now();
        let ack = self.0.deliver(&mention).await;
        let took = if ack.status == 200 {
            began.elapsed()
        } else {
            Duration::MAX
        };
        Said {
            took: Some(took),
            ..Said::new(tag)
        }
    }

    /// Nobody can say anything to an app whose link is switched off.
    fn is_mute(trouble: Trouble) -> bool {
        trouble == Trouble::LinkDisabled
    }

    fn forgets(_: Trouble) -> bool {
        false
    }

    async fn strike(
        lane: &mut Lane<Self>,
        trouble: Trouble,
        chance: Chance,
    ) -> (Instant, Vec<u64>) {
        let slack = lane.ground.0.clone();
        let mut struck = slack.hearing_sockets();
        assert_eq!(struck.len(), 2, "{trouble:?} finds two sockets");
        let mut began = Instant::now();
        if !chance.both {
            struck.remove(usize::from(chance.wait.as_millis().is_multiple_of(2)));
        }
        let do_to_all = |order: &dyn Fn() -> Order| {
            for number in &struck {
                slack.order_socket(*number, order());
            }
        };
        let say = |reason: &str| {
            let text = format!(r#"{{"type":"disconnect","reason":"{reason}"}}"#);
            do_to_all(&|| Order::Send(text.clone()));
        };
        match trouble {
            Trouble::Warning => say("warning"), // It closes ten seconds later: by then it is long replaced.
            Trouble::Refresh => {
                say("refresh_requested");
                tokio::time::sleep(Duration::from_millis(700)).await;
                do_to_all(&|| Order::Cut);
            }
            Trouble::LinkDisabled => {
                slack.disable_link(true);
                say("link_disabled");
                stops_for_good(lane).await;
                slack.disable_link(false);
                began = Instant::now();
                lane.listen();
            }
            Trouble::TooMany => {
                slack.send_away(Some("too_many_websockets"));
                say("too_many_websockets");
                do_to_all(&|| Order::Cut);
                tokio::time::sleep(Duration::from_millis(1_200)).await;
                slack.send_away(None);
                began = Instant::now();
            }
            Trouble::Reset => do_to_all(&|| Order::Reset),
            Trouble::Cut => do_to_all(&|| Order::Cut),
            Trouble::HalfOpen => do_to_all(&|| Order::Deafen),
            Trouble::Stall => {
                let stalled = slack.stalled();
                slack.stall_next(struck.len());
                do_to_all(&|| Order::Cut);
                let all =
                    |slack: &FakeSlack| (slack.stalled() - stalled == struck.len()).then_some(());
                slack
                    .wait_for("handshakes that stall", BACK_WITHIN, all)
                    .await;
            }
            Trouble::ClockBack => {
                return (lane.bear_a_clock_set_back().await, Vec::new());
            }
        }
        (began, struck)
    }
}

/// It stops listening because its link was switched off, and tries nothing more.
async fn stops_for_good(lane: &mut Lane<OnSlack>) {
    assert_eq!(lane.stops().await, SocketsStopped::LinkDisabled.to_string());
    let slack = lane.ground.0.clone();
    let tried = slack.calls("apps.connections.open");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let again = slack.calls("apps.connections.open") - tried;
    assert_eq!(again, 0, "it waits for a person");
}
