//! Slack: posts refused by channel, all else by method; posts and edits taken and not kept.

use super::threads::{Job, Judged, Told};
use super::{Sky, Weather};
use crate::bot::{Bot, Home};
use crate::fakes::slack::{BOT_TOKEN, BOT_USER, FakeSlack, Posted, SIGNING_SECRET, Storm, render};

const STORM: Storm = Storm {
    refuse: 0.8,
    lose: 0.4,
    cut: 0.1,
};

pub(super) struct OverSlack(FakeSlack);

impl Sky for OverSlack {
    const NAME: &'static str = "Slack";

    async fn open(channels: &[String]) -> Self {
        let slack = FakeSlack::start().await;
        slack.judge_pace();
        for channel in channels {
            slack.add_channel(channel, true);
        }
        Self(slack)
    }

    fn channel(number: usize) -> String {
        format!("C{}", 10 + number)
    }

    fn person() -> String {
        "slack: U1".to_owned()
    }

    fn settings(&self, home: Home) -> Home {
        home.setting("SLACK_BOT_TOKEN", BOT_TOKEN)
            .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
            .setting("SLACK_API_URL", self.0.api_url())
    }

    async fn meet(&self, bot: &Bot) {
        self.0.use_http(&bot.url(""));
    }

    fn set(&self, weather: Weather, seed: u64) {
        let swelling = Storm {
            refuse: 0.0,
            ..STORM
        };
        match weather {
            Weather::Storm => self.0.storm(STORM, seed),
            Weather::Swell => self.0.storm(swelling, seed),
            Weather::Calm => self.0.calm(),
        }
    }

    async fn say(&self, job: &Job) {
        let ack = self.0.slash("U1", &job.channel, &job.text()).await;
        assert_eq!((ack.status, ack.body.as_str()), (200, ""), "{}", job.text());
    }

    fn told(&self, channel: &str) -> Vec<Told> {
        let all = self.0.messages(channel).into_iter();
        all.filter(|it| it.user == BOT_USER)
            .map(|message| told(&message))
            .collect()
    }

    fn judge_more(&self, _: &mut Judged) {}

    fn violations(&self) -> Vec<String> {
        self.0.violations()
    }

    fn refused(&self) -> usize {
        self.0.toll().refused
    }

    fn toll(&self) -> String {
        let toll = self.0.toll();
        format!(
            "{} calls refused, {} messages taken and not kept, {} answers cut",
            toll.refused, toll.lost, toll.cut
        )
    }
}

/// Each message of ours has a mark of its own.
fn told(message: &Posted) -> Told {
    let mark = message.metadata["event_payload"]["id"].as_str();
    Told {
        id: message.ts.clone(),
        thread: message.thread.clone(),
        text: render(message),
        files: message.files.len(),
        only_once: mark.map(str::to_owned),
    }
}
