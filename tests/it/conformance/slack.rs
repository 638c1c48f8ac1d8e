//! Slack, over sockets and over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::{Cant, Done, Stage, Who, aloud};
use crate::fakes::slack::{BOT_USER, FakeSlack, Posted, render};
use crate::slack_story::{Door, SHOP, Story};

const NO_COMPLETION: Cant = Cant(
    "Slack offers nothing while one types a slash command: <https://docs.slack.dev/interactivity/implementing-slash-commands>",
);

pub(super) async fn begin(door: Door) -> Box<dyn Stage> {
    Box::new(Slack {
        story: Some(Story::begin(door).await),
        door,
    })
}

pub(super) struct Slack {
    /// `None` only while it is away.
    story: Option<Story>,
    door: Door,
}

fn account(who: Who) -> &'static str {
    match who {
        Who::Ana => "U0ANA",
        Who::Cy => "U0CY",
        Who::Bo => "U0BO",
        Who::Eve => "U0EVE",
        Who::Stranger => "U0NOBODY",
    }
}

impl Slack {
    fn story(&self) -> &Story {
        self.story.as_ref().expect("it is there")
    }

    fn said(&self) -> Vec<Posted> {
        let all = self.story().slack.messages(SHOP).into_iter();
        all.filter(|it| it.user == BOT_USER).collect()
    }

    fn roots(&self) -> Vec<Posted> {
        self.said()
            .into_iter()
            .filter(|it| it.thread.is_none())
            .collect()
    }
}

#[async_trait]
impl Stage for Slack {
    async fn command(&mut self, who: Who, text: &str) -> Done {
        self.story().slack.slash(account(who), SHOP, text).await;
        Ok(())
    }

    async fn mention(&mut self, who: Who, text: &str) -> Done {
        self.story()
            .slack
            .mention(account(who), SHOP, None, text)
            .await;
        Ok(())
    }

    async fn direct(&mut self, who: Who, text: &str) -> Done {
        self.story().slack.direct_message(account(who), text).await;
        Ok(())
    }

    async fn in_thread(&mut self, who: Who, text: &str) -> Done {
        let root = self.roots().pop().expect("there was a run");
        self.story()
            .slack
            .mention(account(who), SHOP, Some(&root.ts), text)
            .await;
        Ok(())
    }

    async fn edited(&mut self, who: Who, text: &str) -> Done {
        let slack = &self.story().slack;
        let said = slack.mention(account(who), SHOP, None, "help").await;
        slack.edit_message(SHOP, &said, text).await;
        Ok(())
    }

    async fn by_bot(&mut self, text: &str) -> Done {
        self.story().slack.bot_mention(SHOP, text).await;
        Ok(())
    }

    async fn twenty_times(&mut self, who: Who, text: &str) -> Done {
        let slack = &self.story().slack;
        let delivery = slack.slash_delivery(account(who), SHOP, text);
        join_all((0..20).map(|_| slack.deliver(&delivery))).await;
        Ok(())
    }

    async fn press(&mut self, who: Who, label: &str) -> Done {
        let said = self.roots();
        let ask = said
            .iter()
            .rev()
            .find(|it| render(it).contains(&format!("[{label}]")));
        let ask = ask.unwrap_or_else(|| panic!("no button `{label}`"));
        self.story().slack.click(account(who), ask, label).await;
        Ok(())
    }

    async fn fill(&mut self, _: Who, field: &str, value: &str) -> Done {
        let slack = &self.story().slack;
        let form = slack
            .wait_for("a form", super::PATIENCE, |slack: &FakeSlack| {
                slack.forms().pop()
            })
            .await;
        slack.submit(&form, &[(field, value)]).await;
        Ok(())
    }

    async fn offered(&mut self, _: Who, _: &str) -> Done<Vec<String>> {
        Err(NO_COMPLETION)
    }

    async fn bad_weather(&mut self) -> Done {
        let slack = &self.story().slack;
        slack.refuse_next(2);
        if self.door == Door::Sockets {
            slack.cut_sockets();
            // A slash command that nobody hears is lost, and Slack says so to whoever typed it.
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        Ok(())
    }

    async fn away_while(&mut self, who: Who, text: &str) -> Done {
        let Story {
            slack,
            home,
            bot,
            shop,
        } = self.story.take().expect("it is there");
        assert!(bot.stop().success());
        slack.mention(account(who), SHOP, None, text).await;
        let bot = home.serve().await;
        if self.door == Door::Http {
            slack.use_http(&bot.url(""));
        }
        self.story = Some(Story {
            slack,
            home,
            bot,
            shop,
        });
        Ok(())
    }

    async fn is_marked(&mut self) -> Done<bool> {
        let whispers = self.story().slack.whispers(account(Who::Ana));
        Ok(whispers.last().is_some_and(|it| it.channel == SHOP))
    }

    async fn edits(&mut self) -> Done<usize> {
        Ok(self.roots().pop().map_or(0, |root| root.edits))
    }

    async fn pinged(&mut self) -> Done<Vec<Who>> {
        let text = self.said().iter().map(render).collect::<String>();
        let mut pinged = Vec::new();
        for part in text.split("<@").skip(1) {
            let id = part.split('>').next().unwrap_or_default();
            let who = [Who::Ana, Who::Cy, Who::Bo, Who::Eve]
                .into_iter()
                .find(|who| account(*who) == id);
            pinged.push(who.expect("a person"));
        }
        pinged.dedup();
        Ok(pinged)
    }

    async fn has_threads(&mut self) -> Done<bool> {
        Ok(self.said().iter().any(|it| it.thread.is_some()))
    }

    async fn everybody(&mut self) -> Vec<String> {
        self.said().iter().map(|it| aloud(&render(it))).collect()
    }

    async fn alone(&mut self, who: Who) -> Vec<String> {
        let slack = &self.story().slack;
        slack
            .whispers(account(who))
            .iter()
            .map(|it| aloud(&render(it)))
            .collect()
    }

    async fn facts(&mut self, kind: &str) -> usize {
        self.story().facts(kind).len()
    }

    fn violations(&mut self) -> Vec<String> {
        self.story().slack.take_violations()
    }
}
