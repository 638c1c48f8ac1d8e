//! Discord: calls refused by bucket, for all, and by its shield; failed, done without an answer, answered late.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use super::threads::{Job, Judged, Told};
use super::{Sky, Weather};
use crate::bot::{Bot, Home};
use crate::fakes::discord::{
    BEN, BOT_TOKEN, BOT_USER, CLEO, FakeDiscord, GUILD, Posted, Seen, Storm,
};

const STORM: Storm = Storm {
    refuse: 0.8,
    for_all: 0.1,
    shielded: 0.02,
    fail: 0.05,
    cut: 0.1,
    delay: 0.05,
    delay_max: Duration::from_secs(3),
};
/// The type of an interaction that is a slash command.
const COMMAND: u64 = 2;
const MET_WITHIN: Duration = Duration::from_secs(30);
/// Discord bans who gets ten thousand of them in ten minutes: half of it is too many.
const MOST_INVALID: usize = 5_000;
/// How often somebody speaks who may do nothing, and is told so in direct messages.
const STRANGERS: usize = 3;

pub(super) struct OverDiscord {
    discord: FakeDiscord,
    /// Ids of the slash commands.
    typed: Mutex<Vec<String>>,
    strangers: Mutex<usize>,
}

impl Sky for OverDiscord {
    const NAME: &'static str = "Discord";

    async fn open(channels: &[String]) -> Self {
        let discord = FakeDiscord::start().await;
        discord.judge_pace();
        for channel in channels {
            discord.add_channel(GUILD, channel, &format!("sea-{channel}"));
        }
        Self {
            discord,
            typed: Mutex::default(),
            strangers: Mutex::default(),
        }
    }

    fn channel(number: usize) -> String {
        (812_000_000_000_000_000 + number).to_string()
    }

    fn person() -> String {
        format!("discord: \"{BEN}\"")
    }

    fn settings(&self, home: Home) -> Home {
        home.setting("DISCORD_TOKEN", BOT_TOKEN)
            .setting("DISCORD_API_URL", self.discord.api_url())
    }

    async fn meet(&self, _: &Bot) {
        let met = |it: &FakeDiscord| {
            (it.listening() == 1 && !it.commands(GUILD).is_empty()).then_some(())
        };
        self.discord
            .wait_for("a session and /ops", MET_WITHIN, met)
            .await;
    }

    fn set(&self, weather: Weather, seed: u64) {
        let swelling = Storm {
            refuse: 0.0,
            ..STORM
        };
        match weather {
            Weather::Storm => self.discord.storm(STORM, seed),
            Weather::Swell => self.discord.storm(swelling, seed),
            Weather::Calm => self.discord.calm(),
        }
    }

    /// By `/ops` and by mention in turn: either is heard, though the first answer may not come through.
    async fn say(&self, job: &Job) {
        let mut strangers = self.strangers.lock().unwrap();
        if *strangers < STRANGERS {
            *strangers += 1;
            self.discord.mention(&job.channel, CLEO, &job.text());
        }
        drop(strangers);
        if job.tag.ends_with(['1', '3', '5', '7', '9']) {
            self.discord.mention(&job.channel, BEN, &job.text());
            return;
        }
        let text = json!([{ "type": 3, "name": "text", "value": job.text() }]);
        let say = json!([{ "type": 1, "name": "say", "options": text }]);
        let data = json!({ "name": "ops", "type": 1, "options": say });
        let payload = self.discord.payload_of(COMMAND, &job.channel, BEN, data);
        let id = payload["id"].as_str().expect("it has an id").to_owned();
        self.typed.lock().unwrap().push(id);
        self.discord.deliver_later(&payload);
    }

    fn told(&self, channel: &str) -> Vec<Told> {
        let root = |message: Posted| told(message, None);
        let mut all: Vec<Told> = ours(&self.discord, channel).map(root).collect();
        for thread in self.discord.threads(channel) {
            let inside = ours(&self.discord, &thread);
            all.extend(inside.map(|message| told(message, Some(thread.clone()))));
        }
        all
    }

    /// No command's answer stays a promise, and strangers are told once each.
    fn judge_more(&self, judged: &mut Judged) {
        for id in self.typed.lock().unwrap().iter() {
            if matches!(self.discord.seen(id), Seen::Thinking { .. }) {
                let complaint = format!("interaction {id} shows that midwatch thinks");
                judged.complaints.push(complaint);
            }
        }
        let told = ours_to(&self.discord, CLEO);
        let owed = *self.strangers.lock().unwrap();
        if told != owed {
            judged.for_good |= told > owed;
            judged.complaints.push(format!(
                "{told} direct messages to a stranger who spoke {owed} times"
            ));
        }
    }

    fn violations(&self) -> Vec<String> {
        let mut all = self.discord.violations();
        let invalid = self.discord.invalid_requests();
        if invalid >= MOST_INVALID {
            all.push(format!("{invalid} invalid calls"));
        }
        all
    }

    fn refused(&self) -> usize {
        self.discord.toll().refused
    }

    fn toll(&self) -> String {
        let toll = self.discord.toll();
        format!(
            "{} calls refused, {} of all calls invalid, {} failed, {} done without an answer, {} answered late",
            toll.refused,
            self.discord.invalid_requests(),
            toll.failed,
            toll.cut,
            toll.delayed
        )
    }
}

fn ours(discord: &FakeDiscord, channel: &str) -> impl Iterator<Item = Posted> {
    let all = discord.messages(channel).into_iter();
    all.filter(|it| it.author == BOT_USER)
}

fn ours_to(discord: &FakeDiscord, user: &str) -> usize {
    let all = discord.direct_messages(user).into_iter();
    all.filter(|it| it.author == BOT_USER).count()
}

/// What stands there twice looks the same: each line and each file of a thread has words of its own.
fn told(message: Posted, thread: Option<String>) -> Told {
    let text = message.text().replace(['`', '*', '\\'], "");
    let looks =
        (thread.is_some() || text.contains("tag=")).then(|| format!("{}: {text}", message.channel));
    Told {
        only_once: looks,
        thread,
        text,
        files: message.files.len(),
        id: message.id,
    }
}
