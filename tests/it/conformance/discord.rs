//! Discord, over the gateway and over HTTP.

mod acts;

use tokio::task::block_in_place;

use super::stage::{At, Cant, Done, Stage, Who};
use super::yard::{self, Names, furnished};
use crate::bot::{Bot, Home};
use crate::discord_story::{Door, Story, shipped};
use crate::fakes::discord::{
    ALICE, BEN, BOT_USER, CLEO, FakeDiscord, GENERAL, GUILD, LEADS, OPS, Posted, STRANGER,
};
use crate::fakes::elsewhere::Elsewhere;
use crate::sample_shop::Running;

const NO_MESSAGES: Cant = Cant(
    "Discord sends messages over the gateway only, and over HTTP none is open: \
     <https://docs.discord.com/developers/interactions/overview>",
);
const NO_ORGANISATIONS: Cant = Cant(
    "Discord has no organisations above servers, and names the server with each act: <https://docs.discord.com/developers/interactions/receiving-and-responding>",
);

/// Suppresses what links unfold to.
const SUPPRESS_EMBEDS: u64 = 1 << 2;
const CHANNELS: [&str; 6] = [
    GENERAL,
    "810000000000000012",
    "810000000000000013",
    "810000000000000014",
    "810000000000000015",
    "810000000000000016",
];
const BENS_OTHER: &str = "820000000000000099";

pub(super) async fn begin(door: Door) -> Box<dyn Stage> {
    let names = Names {
        channels: &CHANNELS[1..],
        leads: format!("{{ discord: [\"{GUILD}/{LEADS}\"] }}"),
        mirrors: format!("{{ discord: \"{GUILD}/{OPS}\" }}"),
    };
    let story = Story::begin_with(furnished(shipped(), &names), door).await;
    for channel in &CHANNELS[1..] {
        story.discord.add_channel(GUILD, channel, "more");
    }
    // One that is started again can't know when the one before it introduced itself.
    story.discord.set_identify_pause(std::time::Duration::ZERO);
    story.discord.add_user(BENS_OTHER, "bens-other");
    story.discord.join(GUILD, BENS_OTHER);
    Box::new(Discord {
        story: Some(story),
        door,
        turn: 0,
        marked: None,
        elsewhere: Elsewhere::open().await,
    })
}

struct Discord {
    /// `None` only while it is away.
    story: Option<Story>,
    door: Door,
    /// How often somebody said something.
    turn: usize,
    /// The message that mentioned us last.
    marked: Option<Posted>,
    elsewhere: Elsewhere,
}

fn account(who: Who) -> &'static str {
    match who {
        Who::Ana => ALICE,
        Who::Cy => "none: Cy is not on Discord",
        Who::Bo => BEN,
        Who::BoElsewhere => BENS_OTHER,
        Who::Eve => CLEO,
        Who::Stranger => STRANGER,
    }
}

/// Discord's ids are numbers that grow.
fn in_order(messages: &mut [Posted]) {
    messages.sort_by_key(|it| it.id.parse::<u64>().expect("a number"));
}

impl Discord {
    fn story(&self) -> &Story {
        self.story.as_ref().expect("it is there")
    }

    fn over_gateway(&self, otherwise: Cant) -> Done {
        match self.door {
            Door::Gateway => Ok(()),
            Door::Http => Err(otherwise),
        }
    }

    /// The channel in which nothing was said for the longest time.
    fn next_channel(&mut self) -> &'static str {
        self.turn += 1;
        CHANNELS[self.turn % CHANNELS.len()]
    }

    fn said(&self, at: At, in_threads: bool) -> Vec<Posted> {
        let channels: &[&str] = match at {
            At::Shop => &CHANNELS,
            At::Mirror => &[OPS],
        };
        let discord = &self.story().discord;
        let mut places: Vec<String> = channels.iter().map(ToString::to_string).collect();
        if in_threads {
            places.extend(channels.iter().flat_map(|it| discord.threads(it)));
        }
        let all = places.iter().flat_map(|place| discord.messages(place));
        let mut ours: Vec<Posted> = all.filter(|it| it.author == BOT_USER).collect();
        in_order(&mut ours);
        ours
    }

    fn last_root(&self) -> Option<Posted> {
        self.said(At::Shop, false).pop()
    }

    fn with_button(&self, at: At, label: &str) -> Posted {
        let shows = |it: &Posted| it.text().contains(&format!("[{label}]"));
        let found = self.said(at, true).into_iter().rev().find(shows);
        found.unwrap_or_else(|| panic!("no button `{label}`"))
    }

    /// Ends midwatch, and answers what is left of it.
    fn down(&mut self, end: impl FnOnce(Bot, &Home)) -> (FakeDiscord, Home, Running) {
        let Story {
            discord,
            home,
            bot,
            shop,
        } = self.story.take().expect("it is there");
        block_in_place(|| end(bot, &home));
        (discord, home, shop)
    }

    async fn up(&mut self, (discord, home, shop): (FakeDiscord, Home, Running)) {
        let bot = home.serve().await;
        if self.door == Door::Http {
            discord.use_http(&bot.url(""));
        }
        self.story = Some(Story {
            discord,
            home,
            bot,
            shop,
        });
        if self.door == Door::Gateway {
            self.hears_again().await;
        }
    }

    async fn hears_again(&self) {
        let back = |discord: &FakeDiscord| (discord.listening() > 0).then_some(());
        self.story().wait_for("a gateway again", back).await;
    }
}

impl Drop for Discord {
    fn drop(&mut self) {
        if let Some(story) = &self.story {
            yard::left(&story.home);
        }
    }
}
