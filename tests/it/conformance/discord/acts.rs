//! What people do on Discord, and what they see.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use midwatch::clock::Clock;
use tokio::task::block_in_place;

use super::{
    BENS_OTHER, Discord, NO_MESSAGES, NO_ORGANISATIONS, SUPPRESS_EMBEDS, account, in_order,
};
use crate::bot::{Bot, Home};
use crate::conformance::stage::{
    At, Done, EVERYBODY, Forgery, NO_LINE, NOT_SIGNED, Stage, Trouble, Who,
};
use crate::conformance::watch::aloud;
use crate::conformance::yard;
use crate::discord_story::{Door, Story};
use crate::fakes::discord::{ALICE, BOT_USER, FakeDiscord, GENERAL, GUILD, LEADS, OTHER_BOT};

#[async_trait]
impl Stage for Discord {
    async fn command(&mut self, who: Who, text: &str) -> Done {
        let channel = self.next_channel();
        let discord = &self.story().discord;
        discord
            .slash(channel, account(who), "say", &[("text", text)])
            .await;
        Ok(())
    }

    async fn mention(&mut self, who: Who, text: &str) -> Done {
        self.over_gateway(NO_MESSAGES)?;
        let channel = self.next_channel();
        self.marked = Some(self.story().discord.mention(channel, account(who), text));
        Ok(())
    }

    async fn direct(&mut self, who: Who, text: &str) -> Done {
        self.over_gateway(NO_MESSAGES)?;
        self.story().discord.direct_message(account(who), text);
        Ok(())
    }

    async fn in_thread(&mut self, who: Who, text: &str) -> Done {
        self.over_gateway(NO_MESSAGES)?;
        let root = self.last_root().expect("there was a run");
        let begun = |discord: &FakeDiscord| discord.thread_of(&root.id).map(|_| ());
        self.story().wait_for("its thread", begun).await;
        self.story().discord.mention(&root.id, account(who), text);
        Ok(())
    }

    async fn edited(&mut self, who: Who, text: &str) -> Done {
        self.over_gateway(NO_MESSAGES)?;
        let channel = self.next_channel();
        let discord = &self.story().discord;
        let said = discord.mention(channel, account(who), "help");
        discord.edit(&said, text);
        Ok(())
    }

    async fn by_bot(&mut self, text: &str) -> Done {
        self.over_gateway(NO_MESSAGES)?;
        let channel = self.next_channel();
        self.story().discord.mention(channel, OTHER_BOT, text);
        Ok(())
    }

    async fn twenty_times(&mut self, who: Who, text: &str) -> Done {
        let channel = self.next_channel();
        let discord = &self.story().discord;
        let payload = discord.slash_payload(channel, account(who), "say", &[("text", text)]);
        join_all((0..20).map(|_| discord.deliver(&payload))).await;
        discord.take_violations(); // The fake counts answers to what was answered: it was delivered twenty times.
        Ok(())
    }

    async fn late(&mut self, who: Who, text: &str) -> Done {
        self.over_gateway(NO_MESSAGES)?;
        let channel = self.next_channel();
        let discord = &self.story().discord;
        discord.mentioned_before(Duration::from_secs(120), channel, account(who), text);
        Ok(())
    }

    async fn press(&mut self, at: At, who: Who, label: &str) -> Done {
        let ask = self.with_button(at, label);
        self.story().discord.click(&ask, label, account(who)).await;
        Ok(())
    }

    async fn press_both(&mut self, first: Who, second: Who, label: &str) -> Done {
        let ask = self.with_button(At::Shop, label);
        let discord = &self.story().discord;
        let presses = [first, second].map(|who| discord.click_payload(&ask, label, account(who)));
        for press in presses {
            discord.deliver(&press).await;
        }
        Ok(())
    }

    async fn press_nowhere(&mut self, _: Who, _: &str) -> Done {
        Err(NO_ORGANISATIONS)
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

    async fn trouble(&mut self, trouble: Trouble) -> Done {
        let discord = &self.story().discord;
        match trouble {
            Trouble::TooFast => discord.refuse_next(2),
            Trouble::AnswerLost => {
                // Discord remembers nonces for some minutes; an answer may be asked for later.
                discord.set_nonce_window(Duration::ZERO);
                discord.drop_answer_next(1);
            }
            Trouble::Elsewhere => discord.redirect_next(self.elsewhere.url()),
            Trouble::LineCut => {
                self.over_gateway(NO_LINE)?;
                discord.cut_gateway();
                self.hears_again().await;
            }
            Trouble::Deaf => {
                self.over_gateway(NO_LINE)?;
                discord.shut_gateway(true);
                discord.cut_gateway();
            }
            Trouble::Hearing => {
                discord.shut_gateway(false);
                self.hears_again().await;
            }
            Trouble::PowerCut => {
                yard::works(&self.story().home).await;
                let end = |bot: Bot, home: &Home| {
                    bot.kill9();
                    yard::kill_steps(home);
                };
                let left = self.down(end);
                self.up(left).await;
            }
            Trouble::ThreadShut => {
                let root = self.last_root().expect("there was a run");
                let begun = |discord: &FakeDiscord| discord.thread_of(&root.id).map(|_| ());
                self.story().wait_for("its thread", begun).await;
                discord.archive_thread(&root.id, true);
            }
            Trouble::GrownOld => {
                discord.set_old_edits(0);
                discord.pass(Duration::from_secs(2 * 60 * 60));
            }
        }
        Ok(())
    }

    async fn forge(&mut self, forgery: Forgery) -> Done<u16> {
        if self.door == Door::Gateway {
            return Err(NOT_SIGNED);
        }
        let channel = self.next_channel();
        let Story { discord, bot, .. } = self.story();
        let text = [("text", "touch project=lab")];
        let body = discord
            .slash_payload(channel, ALICE, "say", &text)
            .to_string();
        let now = Clock::system().now().as_second();
        let headers = match forgery {
            Forgery::Signature => discord.signed(now, b"another body"),
            Forgery::Old => discord.signed(now - 301, body.as_bytes()),
            Forgery::Replay => discord.signed(now, body.as_bytes()),
        };
        let app = bot.url("");
        let send = || discord.send(&app, body.clone(), &headers, Duration::from_secs(15));
        if forgery == Forgery::Replay {
            send().await;
        }
        Ok(send().await.expect("it is answered").0)
    }

    async fn away_while(&mut self, who: Who, text: &str) -> Done {
        self.over_gateway(NO_MESSAGES)?;
        let channel = self.next_channel();
        let left = self.down(|bot, _| assert!(bot.stop().success()));
        left.0.mention(channel, account(who), text);
        self.up(left).await;
        Ok(())
    }

    async fn join_leads(&mut self, who: Who) -> Done {
        self.story().discord.give_role(GUILD, account(who), LEADS);
        Ok(())
    }

    async fn other_account(&mut self) -> Done<String> {
        Ok(format!("discord {BENS_OTHER}"))
    }

    async fn is_marked(&mut self) -> Done<bool> {
        self.over_gateway(NO_MESSAGES)?;
        let said = self.marked.as_ref().expect("somebody mentioned us");
        let marked = |discord: &FakeDiscord| {
            let said = discord.message(&said.id)?;
            (!said.reactions.is_empty()).then_some(())
        };
        self.story().wait_for("a mark", marked).await;
        Ok(true)
    }

    async fn edits(&mut self) -> Done<usize> {
        Ok(self.last_root().map_or(0, |root| root.edits))
    }

    async fn pinged(&mut self) -> Done<Vec<Who>> {
        let said = self.said(At::Shop, true);
        assert!(said.iter().all(|it| !it.everyone), "everybody was pinged");
        let pings = said.into_iter().flat_map(|it| it.pings);
        let who = |id: String| {
            let known = EVERYBODY.into_iter().find(|who| account(*who) == id);
            known.expect("a person")
        };
        Ok(pings.map(who).collect())
    }

    async fn outside_threads(&mut self) -> Done<usize> {
        Ok(self.said(At::Shop, false).len())
    }

    async fn files(&mut self) -> Done<Vec<String>> {
        let said = self.said(At::Shop, true).into_iter();
        let files = said.flat_map(|it| it.files).map(|(_, text)| text);
        Ok(files.collect())
    }

    async fn ready(&mut self) -> Done<String> {
        Ok(self.story().bot.readiness().await)
    }

    async fn shown(&mut self, at: At) -> Done<Vec<String>> {
        let said = self.said(at, true);
        Ok(said.iter().map(|it| aloud(&it.text())).collect())
    }

    async fn alone(&mut self, who: Who) -> Vec<String> {
        let discord = &self.story().discord;
        let mut all = discord.whispers(account(who));
        if ![Who::Cy, Who::Stranger].contains(&who) {
            let direct = discord.direct_messages(account(who)).into_iter();
            all.extend(direct.filter(|it| it.author == BOT_USER));
        }
        in_order(&mut all);
        all.iter().map(|it| aloud(&it.text())).collect()
    }

    async fn facts(&mut self, kind: &str) -> usize {
        block_in_place(|| self.story().facts(kind).len())
    }

    fn violations(&mut self) -> Vec<String> {
        let mut found = self.story().discord.take_violations();
        if self.elsewhere.reached() > 0 {
            found.push("a redirect was followed".to_owned());
        }
        let said = self.said(At::Shop, true).into_iter();
        let unfolds = said.filter(|it| !it.content.is_empty() && it.flags & SUPPRESS_EMBEDS == 0);
        found.extend(unfolds.map(|it| format!("its links unfold: {}", it.content)));
        found
    }
}
