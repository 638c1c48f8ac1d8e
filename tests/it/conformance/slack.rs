//! Slack, over sockets and over HTTP.

mod acts;

use std::time::Duration;

use serde_json::Value;
use tokio::task::block_in_place;

use super::stage::{At, Cant, Done, EVERYBODY, Stage, Who};
use super::yard::{self, Names, furnished};
use crate::bot::{Bot, Home};
use crate::fakes::elsewhere::Elsewhere;
use crate::fakes::slack::{BOT_USER, Delivery, FakeSlack, Posted, render, signed};
use crate::sample_shop::Running;
use crate::slack_story::{Door, SHOP, Story};

const NO_COMPLETION: Cant = Cant(
    "Slack offers nothing while one types a slash command: <https://docs.slack.dev/interactivity/implementing-slash-commands>",
);
const THREADS_STAY: Cant = Cant(
    "Slack's threads are neither locked nor put away: <https://docs.slack.dev/reference/methods/chat.postMessage> has no such error",
);

const CHANNELS: [&str; 6] = [SHOP, "C0SHOP2", "C0SHOP3", "C0SHOP4", "C0SHOP5", "C0SHOP6"];
const MIRROR: &str = "C0OTHER";
const LEADS: &str = "S0LEADS";
/// How long a connection may take.
const HEARS_WITHIN: Duration = Duration::from_secs(20);

pub(super) async fn begin(door: Door) -> Box<dyn Stage> {
    let names = Names {
        channels: &CHANNELS[1..],
        leads: format!("{{ slack: {LEADS} }}"),
        mirrors: format!("{{ slack: T1/{MIRROR} }}"),
    };
    let home = furnished(Home::shipped(), &names);
    let story = Story::begin_told(home, door, |slack| {
        slack.set_group(LEADS, &[]);
        for channel in &CHANNELS[1..] {
            slack.add_channel(channel, true);
        }
    });
    Box::new(Slack {
        story: Some(story.await),
        door,
        turn: 0,
        mentioned: String::new(),
        elsewhere: Elsewhere::open().await,
    })
}

struct Slack {
    /// `None` only while it is away.
    story: Option<Story>,
    door: Door,
    /// How often somebody said something.
    turn: usize,
    /// Where we were mentioned last.
    mentioned: String,
    elsewhere: Elsewhere,
}

fn account(who: Who) -> &'static str {
    match who {
        Who::Ana => "U0ANA",
        Who::Cy => "U0CY",
        Who::Bo => "U0BO",
        Who::BoElsewhere => "U9BO",
        Who::Eve => "U0EVE",
        Who::Stranger => "U0NOBODY",
    }
}

impl Slack {
    fn story(&self) -> &Story {
        self.story.as_ref().expect("it is there")
    }

    /// The channel in which nothing was said for the longest time.
    fn next_channel(&mut self) -> &'static str {
        self.turn += 1;
        CHANNELS[self.turn % CHANNELS.len()]
    }

    fn said(&self, at: At) -> Vec<Posted> {
        let channels: &[&str] = match at {
            At::Shop => &CHANNELS,
            At::Mirror => &[MIRROR],
        };
        let slack = &self.story().slack;
        let all = channels.iter().flat_map(|channel| slack.messages(channel));
        let mut ours: Vec<Posted> = all.filter(|it| it.user == BOT_USER).collect();
        ours.sort_by(|one, other| one.ts.cmp(&other.ts));
        ours
    }

    fn roots(&self) -> Vec<Posted> {
        let said = self.said(At::Shop).into_iter();
        said.filter(|it| it.thread.is_none()).collect()
    }

    fn with_button(&self, at: At, label: &str) -> Posted {
        let shows = |it: &Posted| render(it).contains(&format!("[{label}]"));
        let found = self.said(at).into_iter().rev().find(shows);
        found.unwrap_or_else(|| panic!("no button `{label}`"))
    }

    /// Ends midwatch, and answers what is left of it.
    fn down(&mut self, end: impl FnOnce(Bot, &Home)) -> (FakeSlack, Home, Running) {
        let Story {
            slack,
            home,
            bot,
            shop,
        } = self.story.take().expect("it is there");
        block_in_place(|| end(bot, &home));
        (slack, home, shop)
    }

    async fn up(&mut self, (slack, home, shop): (FakeSlack, Home, Running)) {
        let before = slack.sockets_opened();
        let bot = home.serve().await;
        match self.door {
            Door::Http => slack.use_http(&bot.url("")),
            // Without a socket Slack tells whoever types that it didn't work: nothing of it reaches us.
            Door::Sockets => {
                let back = |slack: &FakeSlack| (slack.sockets_opened() > before).then_some(());
                slack.wait_for("a new socket", HEARS_WITHIN, back).await;
            }
        }
        self.story = Some(Story {
            slack,
            home,
            bot,
            shop,
        });
    }

    async fn hears_again(&self) {
        let back = |slack: &FakeSlack| (!slack.hearing_sockets().is_empty()).then_some(());
        let slack = &self.story().slack;
        slack.wait_for("a socket", HEARS_WITHIN, back).await;
    }

    fn over_sockets(&self, otherwise: Cant) -> Done {
        match self.door {
            Door::Sockets => Ok(()),
            Door::Http => Err(otherwise),
        }
    }

    /// Sends this very body, signed so; the status of the answer.
    async fn send(&self, delivery: &Delivery, secret: &str, at_secs: i64) -> u16 {
        let body = delivery.body();
        let url = self.story().bot.url(delivery.kind.path());
        let mut request = reqwest::Client::new().post(url);
        for (name, value) in signed(secret, at_secs, body.as_bytes()) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await;
        answer.expect("it is answered").status().as_u16()
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        if let Some(story) = &self.story {
            yard::left(&story.home);
        }
    }
}

/// Slack pings where a block names a user: text can't.
fn pinged_in(block: &Value, pinged: &mut Vec<Who>) {
    if block["type"] == "user" {
        let id = block["user_id"].as_str().unwrap_or_default();
        let who = EVERYBODY.into_iter().find(|who| account(*who) == id);
        pinged.push(who.expect("a person"));
    }
    for inner in block["elements"].as_array().into_iter().flatten() {
        pinged_in(inner, pinged);
    }
}
