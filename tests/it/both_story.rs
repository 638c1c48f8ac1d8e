//! Slack and Discord at the same time: a thread told on both, one person with two accounts, roles that stand for groups.

use std::time::Duration;

use crate::bot::{Bot, Home};
use crate::fakes::discord::{
    self, ALICE, BEN, BOT_USER, CLEO, FakeDiscord, GENERAL, GUILD, LEADS, OPS, Posted,
};
use crate::fakes::slack::{APP_TOKEN, BOT_TOKEN, FakeSlack, render};

const PATIENCE: Duration = Duration::from_secs(40);
const SHOP: &str = "C0SHOP";

/// Both platforms and a running midwatch. Ana and Bo are on Slack, Cy and Eve on Discord; who leads there is in the team.
struct Both {
    slack: FakeSlack,
    discord: FakeDiscord,
    home: Home,
    bot: Bot,
}

fn files() -> Home {
    let runbook = format!(
        "project: shop
about: A shop.
owner: team
channels: [{SHOP}, \"{GENERAL}\"]
mirrors: [{{ discord: \"{GUILD}/{OPS}\" }}]
rules:
  - {{ may: everything, who: team }}
  - {{ may: everything, who: engineering, after: {{ of: team }} }}
  - otherwise: ask ana
"
    );
    let people = format!(
        "people:
  ana: {{ name: Ana Ruiz, slack: U0ANA }}
  bo: {{ name: Bo Lind, slack: U0BO }}
  cy: {{ name: Cy Park, discord: \"{BEN}\" }}
  eve: {{ name: Eve Stone, discord: \"{CLEO}\" }}
groups:
  team: {{ members: [ana], discord: [\"{GUILD}/{LEADS}\"] }}
  engineering: [bo]
"
    );
    Home::of_files(&[
        (
            "commands/touch.yaml",
            "command: touch\ndoes: Touches a file.\nrisk: low\nsteps:\n  - { name: touch, run: [touch, touched], effect: idempotent }\n",
        ),
        (
            "commands/loud.yaml",
            "command: loud\ndoes: Says a lot.\nrisk: low\nsteps:\n  - { name: count, run: [seq, \"1\", \"3000\"], effect: read }\n",
        ),
        ("runbooks/people.yaml", &people),
        ("runbooks/shop.yaml", &runbook),
    ])
}

impl Both {
    async fn begin() -> Self {
        let (slack, discord) = (FakeSlack::start().await, FakeDiscord::start().await);
        slack.add_channel(SHOP, true);
        discord.set_patience(Duration::from_secs(15));
        discord.give_role(GUILD, BEN, LEADS);
        let home = files()
            .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
            .setting("SLACK_APP_TOKEN", APP_TOKEN)
            .setting("SLACK_API_URL", slack.api_url())
            .setting("DISCORD_TOKEN", discord::BOT_TOKEN)
            .setting("DISCORD_API_URL", discord.api_url());
        let bot = home.serve().await;
        let registered = |it: &FakeDiscord| (!it.commands(GUILD).is_empty()).then_some(());
        discord
            .wait_for("/ops registered", PATIENCE, registered)
            .await;
        Self {
            slack,
            discord,
            home,
            bot,
        }
    }

    /// What a channel or thread of Discord's shows.
    async fn shown(&self, channel: &str, says: &str) -> Posted {
        let found = |it: &FakeDiscord| {
            let mut ours = it
                .messages(channel)
                .into_iter()
                .filter(|it| it.author == BOT_USER);
            ours.find(|it| crate::discord_story::read(it).contains(says))
        };
        let what = format!("`{says}` in {channel}");
        self.discord.wait_for(&what, PATIENCE, found).await
    }

    /// What the shop's channel on Slack and its threads show.
    async fn on_slack(&self, says: &str) {
        let found = |it: &FakeSlack| {
            let all = it.messages(SHOP);
            all.iter()
                .any(|it| render(it).replace('`', "").contains(says))
                .then_some(())
        };
        self.slack.wait_for(says, PATIENCE, found).await;
    }

    fn end(self) {
        assert_eq!(self.slack.violations(), Vec::<String>::new());
        assert_eq!(self.discord.violations(), Vec::<String>::new());
        assert!(self.bot.stop().success(), "{}", self.home.log());
        let verified = self.home.run(&["ledger", "verify"], "");
        assert!(verified.status.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_slack_is_followed_and_approved_on_discord_by_whoever_has_the_role() {
    let both = Both::begin().await;
    both.slack.slash("U0BO", SHOP, "touch").await;
    let root = both.shown(OPS, "touch waits for 1 approval of team").await;
    assert!(
        crate::discord_story::read(&root).contains("on Slack in C0SHOP, by Bo Lind"),
        "{}",
        root.text()
    );
    let ask = both.shown(&root.id, "please look at this").await;
    assert_eq!(ask.pings, [BEN], "who leads is asked, in a mirror too");
    let denied = both.discord.click(&ask, "Approve", CLEO).await;
    assert!(
        denied.text().contains("your consent doesn't count"),
        "{denied:?}"
    );
    both.discord.click(&ask, "Approve", BEN).await;
    // Meanwhile somebody adds a command: Discord offers it within seconds.
    let more = "command: more\ndoes: Does more.\nrisk: low\nsteps:\n  - { name: more, run: [echo, more], effect: read }\n";
    both.home.write("commands/more.yaml", more);
    let offered = |it: &FakeDiscord| {
        let ops = it.commands(GUILD).into_iter().next()?;
        let mut options = ops["options"].as_array()?.iter();
        options.any(|it| it["name"] == "more").then_some(())
    };
    both.discord
        .wait_for("the new command", PATIENCE, offered)
        .await;
    both.shown(OPS, "touch succeeded").await;
    both.on_slack("touch succeeded").await;
    both.shown(&root.id, "Cy Park approved").await;
    both.on_slack("Cy Park approved").await;
    both.shown(&root.id, "midwatch/").await;
    both.on_slack("midwatch/").await;
    let here = both.discord.messages(&root.id).len();
    let there = both
        .slack
        .messages(SHOP)
        .iter()
        .filter(|it| it.thread.is_some())
        .count();
    assert_eq!(here, there, "each line once in each place");
    both.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_sent_to_the_other_account_makes_two_accounts_one_person() {
    let both = Both::begin().await;
    let before = both
        .discord
        .slash(GENERAL, ALICE, "say", &[("text", "touch")])
        .await;
    assert!(before.text().contains("people.yaml"), "{before:?}");
    both.slack
        .slash("U0ANA", SHOP, &format!("link discord {ALICE}"))
        .await;
    let sent = |it: &FakeDiscord| {
        let texts = it
            .direct_messages(ALICE)
            .into_iter()
            .map(|it| crate::discord_story::read(&it));
        texts.into_iter().find(|text| text.contains("/ops link "))
    };
    let told = both.discord.wait_for("the code", PATIENCE, sent).await;
    let code = told[told.find("/ops link ").unwrap() + "/ops link ".len()..][..8].to_owned();
    both.slack
        .slash("U0ANA", SHOP, &format!("link {code}"))
        .await;
    let linked = |it: &FakeSlack| {
        let whispers = it.whispers("U0ANA");
        whispers
            .iter()
            .any(|it| render(it).contains(ALICE))
            .then_some(())
    };
    both.slack.wait_for("linked", PATIENCE, linked).await;
    // The view of who is who is made anew within seconds.
    tokio::time::sleep(Duration::from_secs(7)).await;
    both.discord.slash(GENERAL, ALICE, "loud", &[]).await;
    let root = both.shown(GENERAL, "loud succeeded").await;
    assert!(
        crate::discord_story::read(&root).contains("Ana Ruiz"),
        "{}",
        root.text()
    );
    both.shown(&root.id, "midwatch/").await;
    let whole = |it: &FakeDiscord| it.files(&root.id).into_iter().next();
    let (name, text) = both.discord.wait_for("the file", PATIENCE, whole).await;
    assert_eq!(name, "step-1-attempt-1.txt");
    assert_eq!(text.lines().count(), 3_000);
    both.end();
}
