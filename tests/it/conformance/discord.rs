//! Discord, over the gateway and over HTTP.

use async_trait::async_trait;
use futures_util::future::join_all;

use super::{Cant, Done, Stage, Who, aloud};
use crate::discord_story::{Door, Story};
use crate::fakes::discord::{ALICE, BEN, BOT_USER, CLEO, GENERAL, OTHER_BOT, Posted, STRANGER};

const NO_MESSAGES: Cant = Cant(
    "Discord sends messages over the gateway only, and over HTTP none is open: \
     <https://docs.discord.com/developers/interactions/overview>",
);

pub(super) async fn begin(door: Door) -> Box<dyn Stage> {
    Box::new(Discord {
        story: Some(Story::begin(door).await),
        door,
        marked: None,
    })
}

pub(super) struct Discord {
    /// `None` only while it is away.
    story: Option<Story>,
    door: Door,
    /// The message that mentioned us last.
    marked: Option<Posted>,
}

fn account(who: Who) -> &'static str {
    match who {
        Who::Ana => ALICE,
        Who::Cy => unreachable!("has no account on Discord"),
        Who::Bo => BEN,
        Who::Eve => CLEO,
        Who::Stranger => STRANGER,
    }
}

impl Discord {
    fn story(&self) -> &Story {
        self.story.as_ref().expect("it is there")
    }

    fn hears_messages(&self) -> Done {
        match self.door {
            Door::Gateway => Ok(()),
            Door::Http => Err(NO_MESSAGES),
        }
    }

    fn roots(&self) -> Vec<Posted> {
        let all = self.story().discord.messages(GENERAL).into_iter();
        all.filter(|it| it.author == BOT_USER).collect()
    }

    fn said(&self) -> Vec<Posted> {
        let discord = &self.story().discord;
        let channel = discord.messages(GENERAL);
        let threads = discord.threads(GENERAL);
        let threads = threads.iter().flat_map(|thread| discord.messages(thread));
        let mut all: Vec<Posted> = channel
            .into_iter()
            .chain(threads)
            .filter(|it| it.author == BOT_USER)
            .collect();
        all.sort_by(|one, other| {
            one.id
                .len()
                .cmp(&other.id.len())
                .then(one.id.cmp(&other.id))
        });
        all
    }
}

#[async_trait]
impl Stage for Discord {
    async fn command(&mut self, who: Who, text: &str) -> Done {
        let discord = &self.story().discord;
        discord
            .slash(GENERAL, account(who), "say", &[("text", text)])
            .await;
        Ok(())
    }

    async fn mention(&mut self, who: Who, text: &str) -> Done {
        self.hears_messages()?;
        self.marked = Some(self.story().discord.mention(GENERAL, account(who), text));
        Ok(())
    }

    async fn direct(&mut self, who: Who, text: &str) -> Done {
        self.hears_messages()?;
        self.story().discord.direct_message(account(who), text);
        Ok(())
    }

    async fn in_thread(&mut self, who: Who, text: &str) -> Done {
        self.hears_messages()?;
        let thread = self.story().discord.threads(GENERAL).pop();
        let thread = thread.expect("there was a run");
        self.story().discord.mention(&thread, account(who), text);
        Ok(())
    }

    async fn edited(&mut self, who: Who, text: &str) -> Done {
        self.hears_messages()?;
        let discord = &self.story().discord;
        let said = discord.mention(GENERAL, account(who), "help");
        discord.edit(&said, text);
        Ok(())
    }

    async fn by_bot(&mut self, text: &str) -> Done {
        self.hears_messages()?;
        self.story().discord.mention(GENERAL, OTHER_BOT, text);
        Ok(())
    }

    async fn twenty_times(&mut self, who: Who, text: &str) -> Done {
        let discord = &self.story().discord;
        let payload = discord.slash_payload(GENERAL, account(who), "say", &[("text", text)]);
        join_all((0..20).map(|_| discord.deliver(&payload))).await;
        discord.take_violations(); // The fake counts answers to what was answered: it was delivered twenty times.
        Ok(())
    }

    async fn press(&mut self, who: Who, label: &str) -> Done {
        let said = self.said();
        let ask = said
            .iter()
            .rev()
            .find(|it| it.text().contains(&format!("[{label}]")));
        let ask = ask.unwrap_or_else(|| panic!("no button `{label}`"));
        self.story().discord.click(ask, label, account(who)).await;
        Ok(())
    }

    async fn fill(&mut self, who: Who, field: &str, value: &str) -> Done {
        let discord = &self.story().discord;
        let form = discord.modals(account(who)).pop().expect("a form is open");
        discord.submit(&form, &[(field, value)]).await;
        Ok(())
    }

    async fn offered(&mut self, who: Who, typed: &str) -> Done<Vec<String>> {
        let discord = &self.story().discord;
        let found = discord
            .autocomplete(GENERAL, account(who), "say", &[], ("text", typed))
            .await;
        Ok(found.into_iter().map(|(name, _)| name).collect())
    }

    async fn bad_weather(&mut self) -> Done {
        let discord = &self.story().discord;
        discord.refuse_next(2);
        if self.door == Door::Gateway {
            discord.cut_gateway();
            let back = |discord: &crate::fakes::discord::FakeDiscord| {
                (discord.listening() > 0).then_some(())
            };
            self.story().wait_for("a gateway again", back).await;
        }
        Ok(())
    }

    async fn away_while(&mut self, who: Who, text: &str) -> Done {
        self.hears_messages()?;
        let Story {
            discord,
            home,
            bot,
            shop,
        } = self.story.take().expect("it is there");
        assert!(bot.stop().success());
        discord.mention(GENERAL, account(who), text);
        let bot = home.serve().await;
        self.story = Some(Story {
            discord,
            home,
            bot,
            shop,
        });
        Ok(())
    }

    async fn is_marked(&mut self) -> Done<bool> {
        self.hears_messages()?;
        let said = self.marked.as_ref().expect("somebody mentioned us");
        let marked = |discord: &crate::fakes::discord::FakeDiscord| {
            let said = discord.message(&said.id)?;
            (!said.reactions.is_empty()).then_some(())
        };
        self.story().wait_for("a mark", marked).await;
        Ok(true)
    }

    async fn edits(&mut self) -> Done<usize> {
        Ok(self.roots().pop().map_or(0, |root| root.edits))
    }

    async fn pinged(&mut self) -> Done<Vec<Who>> {
        let pings = self.said().into_iter().flat_map(|it| it.pings);
        let who = |id: String| {
            [Who::Ana, Who::Bo, Who::Eve]
                .into_iter()
                .find(|who| account(*who) == id)
                .expect("a person")
        };
        Ok(pings.map(who).collect())
    }

    async fn has_threads(&mut self) -> Done<bool> {
        Ok(!self.story().discord.threads(GENERAL).is_empty())
    }

    async fn everybody(&mut self) -> Vec<String> {
        self.said().iter().map(|it| aloud(&it.text())).collect()
    }

    async fn alone(&mut self, who: Who) -> Vec<String> {
        let discord = &self.story().discord;
        let whispers = discord.whispers(account(who));
        let direct = if who == Who::Stranger {
            Vec::new()
        } else {
            discord.direct_messages(account(who))
        };
        let direct = direct.into_iter().filter(|it| it.author == BOT_USER);
        let mut all: Vec<Posted> = whispers.into_iter().chain(direct).collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all.iter().map(|it| aloud(&it.text())).collect()
    }

    async fn facts(&mut self, kind: &str) -> usize {
        self.story().facts(kind).len()
    }

    fn violations(&mut self) -> Vec<String> {
        self.story().discord.take_violations()
    }
}
