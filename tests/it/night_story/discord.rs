//! The story on Discord, over the gateway.

use async_trait::async_trait;
use tokio::task::block_in_place;

use super::{Night, PATIENCE, Visited, Who, files, has_all, three_in_the_morning};
use crate::discord_story::{Door, Story, read};
use crate::fakes::discord::{BEN, BOT_USER, CLEO, FakeDiscord, GENERAL, HERMIT, Posted, STRANGER};

#[tokio::test(flavor = "multi_thread")]
async fn on_discord_a_stranger_flushes_a_real_varnish_at_three_in_the_morning() {
    let Some(visited) = Visited::open().await else {
        return;
    };
    let story = Story::begin_with(files(&visited.varnish), Door::Gateway).await;
    let mut night = Discord { story };
    three_in_the_morning(&mut night, &visited).await;
    night.story.end();
}

struct Discord {
    story: Story,
}

fn account(who: Who) -> &'static str {
    match who {
        Who::Eve => CLEO,
        Who::Bo => BEN,
        Who::Kim => HERMIT,
        Who::Dana => STRANGER,
    }
}

/// All that stands in the project's channel and its threads.
fn in_channel(discord: &FakeDiscord) -> Vec<Posted> {
    let threads = discord.threads(GENERAL).into_iter();
    let places = std::iter::once(GENERAL.to_owned()).chain(threads);
    places.flat_map(|it| discord.messages(&it)).collect()
}

impl Discord {
    /// Waits for one of these messages that has all of these words.
    async fn found(
        &self,
        whose: &str,
        says: &[&str],
        all: impl Fn(&FakeDiscord) -> Vec<Posted>,
    ) -> Posted {
        let found = |discord: &FakeDiscord| {
            let mut ours = all(discord).into_iter().rev();
            ours.find(|it| it.author == BOT_USER && has_all(&read(it), says))
        };
        let what = format!("{says:?} {whose}");
        self.story.discord.wait_for(&what, PATIENCE, found).await
    }
}

#[async_trait]
impl Night for Discord {
    async fn says(&mut self, who: Who, text: &str) {
        let discord = &self.story.discord;
        discord
            .slash(GENERAL, account(who), "say", &[("text", text)])
            .await;
    }

    async fn seen(&mut self, says: &[&str]) -> String {
        read(&self.found("for everybody", says, in_channel).await)
    }

    async fn told(&mut self, who: Who, says: &[&str]) -> String {
        let alone = |discord: &FakeDiscord| discord.whispers(account(who));
        read(&self.found(account(who), says, alone).await)
    }

    async fn called(&mut self, who: Who, level: &str) {
        let direct = |discord: &FakeDiscord| discord.direct_messages(account(who));
        let says = [
            "nobody has answered whether flush-cache prod may run",
            level,
        ];
        self.found(account(who), &says, direct).await;
        let calling = format!("calling {level}: ");
        let mention = self.found("for everybody", &[&calling], in_channel).await;
        assert_eq!(mention.pings, [account(who)], "{}", mention.text());
    }

    async fn answers(&mut self, who: Who, label: &str, _: &str) {
        let direct = |discord: &FakeDiscord| discord.direct_messages(account(who));
        let button = format!("[{label}]");
        let call = self.found(account(who), &[&button], direct).await;
        self.story.discord.click(&call, label, account(who)).await;
    }

    fn facts(&self, kind: &str) -> Vec<serde_json::Value> {
        block_in_place(|| self.story.facts(kind))
    }

    fn link(&self) -> &'static str {
        "https://discord.com/channels/"
    }
}
