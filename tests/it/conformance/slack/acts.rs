//! What people do on Slack, and what they see.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use midwatch::clock::Clock;
use serde_json::Value;
use tokio::task::block_in_place;

use super::{LEADS, NO_COMPLETION, Slack, THREADS_STAY, account, pinged_in};
use crate::bot::{Bot, Home};
use crate::conformance::stage::{At, Done, Forgery, NO_LINE, NOT_SIGNED, Stage, Trouble, Who};
use crate::conformance::watch::aloud;
use crate::conformance::yard;
use crate::fakes::slack::{BOT_USER, FakeSlack, SIGNING_SECRET, render};
use crate::slack_story::Door;

#[async_trait]
impl Stage for Slack {
    async fn command(&mut self, who: Who, text: &str) -> Done {
        let channel = self.next_channel();
        self.story().slack.slash(account(who), channel, text).await;
        Ok(())
    }

    async fn mention(&mut self, who: Who, text: &str) -> Done {
        let channel = self.next_channel();
        channel.clone_into(&mut self.mentioned);
        let slack = &self.story().slack;
        slack.mention(account(who), channel, None, text).await;
        Ok(())
    }

    async fn direct(&mut self, who: Who, text: &str) -> Done {
        self.story().slack.direct_message(account(who), text).await;
        Ok(())
    }

    async fn in_thread(&mut self, who: Who, text: &str) -> Done {
        let root = self.roots().pop().expect("there was a run");
        let slack = &self.story().slack;
        slack
            .mention(account(who), &root.channel, Some(&root.ts), text)
            .await;
        Ok(())
    }

    async fn edited(&mut self, who: Who, text: &str) -> Done {
        let channel = self.next_channel();
        let slack = &self.story().slack;
        let said = slack.mention(account(who), channel, None, "help").await;
        slack.edit_message(channel, &said, text).await;
        Ok(())
    }

    async fn by_bot(&mut self, text: &str) -> Done {
        let channel = self.next_channel();
        self.story().slack.bot_mention(channel, text).await;
        Ok(())
    }

    async fn twenty_times(&mut self, who: Who, text: &str) -> Done {
        let channel = self.next_channel();
        let slack = &self.story().slack;
        let delivery = slack.slash_delivery(account(who), channel, text);
        join_all((0..20).map(|_| slack.deliver(&delivery))).await;
        Ok(())
    }

    async fn late(&mut self, who: Who, text: &str) -> Done {
        let channel = self.next_channel();
        let slack = &self.story().slack;
        let mut delivery = slack.mention_delivery(account(who), channel, text);
        let event = &mut delivery.payload["event"];
        let (secs, rest) = event["ts"]
            .as_str()
            .and_then(|ts| ts.split_once('.'))
            .expect("a timestamp");
        let secs: i64 = secs.parse().expect("a timestamp");
        event["ts"] = format!("{}.{rest}", secs - 120).into();
        slack.deliver(&delivery).await;
        Ok(())
    }

    async fn press(&mut self, at: At, who: Who, label: &str) -> Done {
        let ask = self.with_button(at, label);
        self.story().slack.click(account(who), &ask, label).await;
        Ok(())
    }

    async fn press_both(&mut self, first: Who, second: Who, label: &str) -> Done {
        let ask = self.with_button(At::Shop, label);
        let slack = &self.story().slack;
        for who in [first, second] {
            slack.click(account(who), &ask, label).await;
        }
        Ok(())
    }

    async fn press_nowhere(&mut self, who: Who, label: &str) -> Done {
        let ask = self.with_button(At::Shop, label);
        let slack = &self.story().slack;
        let mut press = slack.click_delivery(account(who), &ask, label);
        press.payload["team"] = Value::Null;
        slack.deliver(&press).await;
        Ok(())
    }

    async fn fill(&mut self, _: Who, field: &str, value: &str) -> Done {
        let slack = &self.story().slack;
        let form = slack
            .wait_for("a form", Duration::from_secs(20), |slack: &FakeSlack| {
                slack.forms().pop()
            })
            .await;
        slack.submit(&form, &[(field, value)]).await;
        Ok(())
    }

    async fn offered(&mut self, _: Who, _: &str) -> Done<Vec<String>> {
        Err(NO_COMPLETION)
    }

    async fn trouble(&mut self, trouble: Trouble) -> Done {
        let slack = &self.story().slack;
        match trouble {
            Trouble::TooFast => slack.refuse_next(2),
            Trouble::AnswerLost => slack.drop_answer_next(1),
            Trouble::Elsewhere => slack.redirect_next(self.elsewhere.url()),
            Trouble::LineCut => {
                self.over_sockets(NO_LINE)?;
                slack.cut_sockets();
                // What is typed while nobody listens is lost, and Slack says so to whoever typed it.
                self.hears_again().await;
            }
            Trouble::Deaf => {
                self.over_sockets(NO_LINE)?;
                slack.send_away(Some("too_many_websockets"));
                slack.cut_sockets();
            }
            Trouble::Hearing => {
                slack.send_away(None);
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
            Trouble::ThreadShut => return Err(THREADS_STAY),
            Trouble::GrownOld => slack.close_edits(),
        }
        Ok(())
    }

    async fn forge(&mut self, forgery: Forgery) -> Done<u16> {
        if self.door == Door::Sockets {
            return Err(NOT_SIGNED);
        }
        let channel = self.next_channel();
        let slack = &self.story().slack;
        let delivery = slack.slash_delivery(account(Who::Ana), channel, "touch project=lab");
        let now = Clock::system().now().as_second();
        Ok(match forgery {
            Forgery::Signature => self.send(&delivery, "somebody else's", now).await,
            Forgery::Old => self.send(&delivery, SIGNING_SECRET, now - 301).await,
            Forgery::Replay => {
                self.send(&delivery, SIGNING_SECRET, now).await;
                self.send(&delivery, SIGNING_SECRET, now).await
            }
        })
    }

    async fn away_while(&mut self, who: Who, text: &str) -> Done {
        let channel = self.next_channel();
        let left = self.down(|bot, _| assert!(bot.stop().success()));
        left.0.mention(account(who), channel, None, text).await;
        self.up(left).await;
        Ok(())
    }

    async fn join_leads(&mut self, who: Who) -> Done {
        self.story().slack.set_group(LEADS, &[account(who)]);
        Ok(())
    }

    async fn other_account(&mut self) -> Done<String> {
        Ok(format!("slack {}", account(Who::BoElsewhere)))
    }

    async fn is_marked(&mut self) -> Done<bool> {
        let whispers = self.story().slack.whispers(account(Who::Ana));
        Ok(whispers.iter().any(|it| it.channel == self.mentioned))
    }

    async fn edits(&mut self) -> Done<usize> {
        Ok(self.roots().pop().map_or(0, |root| root.edits))
    }

    async fn pinged(&mut self) -> Done<Vec<Who>> {
        let said = self.said(At::Shop);
        let blocks = said.iter().flat_map(|it| &it.blocks);
        let mut pinged = Vec::new();
        for block in blocks {
            pinged_in(block, &mut pinged);
        }
        Ok(pinged)
    }

    async fn outside_threads(&mut self) -> Done<usize> {
        Ok(self.roots().len())
    }

    async fn files(&mut self) -> Done<Vec<String>> {
        let said = self.said(At::Shop).into_iter();
        let files = said.flat_map(|it| it.files).map(|(_, text)| text);
        Ok(files.collect())
    }

    async fn ready(&mut self) -> Done<String> {
        Ok(self.story().bot.readiness().await)
    }

    async fn shown(&mut self, at: At) -> Done<Vec<String>> {
        Ok(self.said(at).iter().map(|it| aloud(&render(it))).collect())
    }

    async fn alone(&mut self, who: Who) -> Vec<String> {
        let slack = &self.story().slack;
        let direct = slack.messages(&format!("D{}", account(who)));
        let direct = direct.into_iter().filter(|it| it.user == BOT_USER);
        let mut all = slack.whispers(account(who));
        all.extend(direct);
        all.sort_by(|one, other| one.ts.cmp(&other.ts));
        all.iter().map(|it| aloud(&render(it))).collect()
    }

    async fn facts(&mut self, kind: &str) -> usize {
        block_in_place(|| self.story().facts(kind).len())
    }

    fn violations(&mut self) -> Vec<String> {
        let mut found = self.story().slack.take_violations();
        if self.elsewhere.reached() > 0 {
            found.push("a redirect was followed".to_owned());
        }
        found
    }
}
