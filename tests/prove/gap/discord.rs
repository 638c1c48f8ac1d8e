//! Discord, over the gateway: over HTTP no message is heard, and none is read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use midwatch::clock::Clock;

use super::people::{Platform, Who, Written};
use crate::bot::{Bot, Home};
use crate::fakes::discord::{
    ALICE, BEN, BOT_TOKEN, BOT_USER, FakeDiscord, GUILD, OTHER_BOT, Posted, Seen,
};

const CHANNELS: u64 = 6;
/// How long Discord keeps a session for who comes back.
const SESSION_KEPT: Duration = Duration::from_secs(180);
/// A person does not wait longer, where nobody is there to answer.
const SHORT_PATIENCE: Duration = Duration::from_millis(300);
/// Longer than Discord's: how fast a busy machine answers is not what is tested.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub(super) struct Discord {
    fake: FakeDiscord,
    /// Nobody listens, and Discord keeps what it would have told.
    keeps: Arc<AtomicBool>,
    /// What was written meanwhile.
    missed: Arc<Mutex<Vec<String>>>,
}

impl Discord {
    pub(super) async fn new() -> Self {
        let discord = FakeDiscord::start().await;
        for number in 0..CHANNELS {
            discord.add_channel(GUILD, &channel(number), "talk");
        }
        discord.set_patience(PATIENCE);
        Self {
            fake: discord,
            keeps: Arc::default(),
            missed: Arc::default(),
        }
    }

    fn written(message: &Posted) -> Written {
        Written {
            key: format!("discord:message:{}", message.id),
            sent_at: Timestamp::from_millisecond(message.at_ms).expect("a moment"),
            id: message.id.clone(),
        }
    }
}

fn channel(number: u64) -> String {
    (812_000_000_000_000_000 + number % CHANNELS).to_string()
}

const fn account(who: Who) -> &'static str {
    match who {
        Who::Ana => ALICE,
        Who::Bo => BEN,
        Who::App => OTHER_BOT,
    }
}

#[async_trait]
impl Platform for Discord {
    type Card = Posted;

    async fn another(&self) -> Self {
        Self::new().await
    }

    fn name(&self) -> String {
        "Discord over its gateway".to_owned()
    }

    fn settings(&self, home: Home) -> Home {
        home.setting("DISCORD_TOKEN", BOT_TOKEN)
            .setting("DISCORD_API_URL", self.fake.api_url())
    }

    fn channel(&self, number: usize) -> String {
        channel(number as u64)
    }

    /// In the server, in direct messages; and what may be typed is offered.
    fn says_that_it_listens(&self) -> &'static [&'static str] {
        &[
            "discord: listening in",
            "discord: listening in 2 channels",
            "/ops is registered",
        ]
    }

    fn direct(&self, who: Who) -> String {
        self.fake.direct_with(account(who))
    }

    fn to_us(&self, text: &str) -> String {
        format!("<@{BOT_USER}> {text}")
    }

    fn begins_thread(&self, ago: Duration, channel: &str) -> String {
        self.fake.began_thread_before(ago, ALICE, channel)
    }

    fn wrote(
        &self,
        ago: Duration,
        who: Who,
        channel: &str,
        thread: Option<&str>,
        text: &str,
    ) -> Written {
        let room = thread.unwrap_or(channel);
        let message = self.fake.wrote_before(ago, account(who), room, text);
        self.missed.lock().unwrap().push(message.id.clone());
        Self::written(&message)
    }

    fn edited(&self, _: &str, message: &Written, text: &str) -> String {
        let edited = self.fake.edited_before(&message.id, text);
        format!("{}:edited:{edited}", message.key)
    }

    fn deleted(&self, _: &str, message: &Written) {
        self.fake.delete(&message.id);
    }

    async fn mentions_now(
        &self,
        who: Who,
        channel: &str,
        thread: Option<&str>,
        text: &str,
    ) -> Written {
        let room = thread.unwrap_or(channel);
        Self::written(&self.fake.mention(room, account(who), text))
    }

    /// Discord says that nobody answered. Where it keeps the session it tells the command to who resumes it; then it is
    /// heard like any other.
    async fn slash_unheard(&self, channel: &str, name: &str, tag: &str) -> Option<Written> {
        let options = [("tag", tag)];
        let payload = self.fake.slash_payload(channel, BEN, name, &options);
        self.fake.set_patience(SHORT_PATIENCE);
        let answered = self.fake.deliver(&payload).await;
        self.fake.set_patience(PATIENCE);
        let seen = answered.seen;
        assert!(
            matches!(seen, Seen::Unanswered),
            "nobody heard it: {seen:?}"
        );
        self.keeps.load(Ordering::Relaxed).then(|| Written {
            key: format!("discord:interaction:{}", answered.interaction),
            sent_at: Clock::system().now(),
            id: answered.interaction,
        })
    }

    fn can_be_deaf(&self) -> bool {
        true
    }

    fn is_deaf(&self, gap: Duration) {
        self.fake.shut_gateway(true);
        self.fake.cut_gateway();
        let keeps = gap < SESSION_KEPT;
        self.keeps.store(keeps, Ordering::Relaxed);
        if !keeps {
            self.fake.forget_sessions();
        }
    }

    /// Whoever resumes a session is told what it missed, and reads it too. An edited message is told otherwise.
    fn hears_again(&self) {
        let keeps = self.keeps.swap(false, Ordering::Relaxed);
        for id in self.missed.lock().unwrap().drain(..).filter(|_| keeps) {
            let stands = self.fake.message(&id);
            if let Some(message) = stands.filter(|it| it.edited_ms.is_none()) {
                self.fake.tell_again(&message);
            }
        }
        self.fake.shut_gateway(false);
    }

    fn connect(&self, _: &Bot) {}

    fn shown(&self, channel: &str, thread: Option<&str>) -> Vec<(String, Posted)> {
        let messages = self.fake.messages(thread.unwrap_or(channel)).into_iter();
        messages.map(|it| (it.text(), it)).collect()
    }

    async fn press(
        &self,
        who: Who,
        card: &Posted,
        label: &str,
        late: Option<Duration>,
        times: usize,
    ) -> String {
        let mut press = self.fake.click_payload(card, label, account(who));
        if let Some(late) = late {
            press = self.fake.pressed_before(late, &press);
            // Nobody can answer it any more.
            self.fake.set_patience(SHORT_PATIENCE);
        }
        for _ in 0..times {
            let seen = self.fake.deliver(&press).await.seen;
            let answered = !matches!(seen, Seen::Unanswered);
            assert!(answered || late.is_some(), "a press is answered: {seen:?}");
        }
        self.fake.set_patience(PATIENCE);
        format!(
            "discord:interaction:{}",
            press["id"].as_str().expect("an id")
        )
    }

    fn violations(&self) -> Vec<String> {
        self.fake.violations()
    }
}
