//! Commands typed while midwatch is away, for a second to a day: each is seen once after its return, and nothing that
//! changes something and is older than a minute runs without a fresh click.
//!
//! The real program, over HTTP and over sockets. No clock is turned: what was typed five hours ago is a message whose
//! timestamp says so, and midwatch's cursors are set back by the length of the gap, as if it had gone that long ago. The
//! seed fixes what is typed and for how long midwatch is away.

mod judge;
mod people;
mod yard;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::judge::{Complaints, Sum, marks};
use self::people::{Kind, Saying, Typed, is_late};
use self::yard::Yard;
use super::{Found, Round};
use crate::bot::Bot;
use crate::fakes::slack::{Ack, FakeSlack, Posted, render};

/// How long everything may take to settle after a return.
const SETTLE_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many gaps one installation goes through. They are seconds apart, so that its threads all stay recent: more would
/// mostly wait for the pace at which Slack is read.
const GAPS_OF_ONE: usize = 5;
/// The longest gap: whatever was typed in it is not a day old before it is read.
const LONGEST: Duration = Duration::from_secs(86_400 - 300);
/// How late a press is that comes late.
const LATE_PRESS: Duration = Duration::from_secs(600);

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    Found::Held(runtime.block_on(async {
        let mut doors = JoinSet::new();
        for (door, offset) in [(Door::Http, 0), (Door::Sockets, 1)] {
            let rounds: Vec<u32> = (offset..round.rounds).step_by(2).collect();
            doors.spawn(async move {
                let mut sum = Sum::default();
                for rounds in rounds.chunks(GAPS_OF_ONE) {
                    sum += Days::go_on(door, round.seed, rounds).await;
                }
                sum
            });
        }
        let mut sum = Sum::default();
        while let Some(found) = doors.join_next().await {
            match found {
                Ok(found) => sum += found,
                Err(fault) => std::panic::resume_unwind(fault.into_panic()),
            }
        }
        sum.to_string()
    }))
}

/// Which way Slack tells things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Http,
    Sockets,
}

/// How midwatch goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absence {
    Killed,
    Stopped,
    /// It stays, and no socket is open.
    Deaf,
}

/// Some gaps of one installation.
struct Days {
    yard: Yard,
    door: Door,
    seed: u64,
    bot: Option<Bot>,
    typed: Vec<Typed>,
    sum: Sum,
}

impl Days {
    async fn go_on(door: Door, seed: u64, rounds: &[u32]) -> Sum {
        let mut days = Self {
            yard: Yard::new(door == Door::Http).await,
            door,
            seed,
            bot: None,
            typed: Vec::new(),
            sum: Sum::default(),
        };
        days.comes_back(Absence::Killed).await;
        days.yard.logged("slack: listening in").await;
        for (n, number) in rounds.iter().enumerate() {
            // Slack may give fewer than asked for; later there is too much to read for that.
            days.yard
                .slack
                .give_small_pages(if n == 0 { 7 } else { 999 });
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(u64::from(*number) << 32));
            days.one_gap(*number, &mut random).await;
        }
        days.end().await;
        days.sum
    }

    async fn one_gap(&mut self, number: u32, random: &mut StdRng) {
        let slack = self.yard.slack.clone();
        let absence = match (self.door, random.random_range(0..3)) {
            (Door::Sockets, 0 | 1) => Absence::Deaf,
            (_, 2) => Absence::Stopped,
            _ => Absence::Killed,
        };
        // As many gaps of seconds as of minutes and of hours; the first is one of hours.
        let least = if number < 2 { 0.75 } else { 0.0 };
        let longest = LONGEST.as_secs_f64();
        let gap = Duration::from_secs_f64(longest.powf(random.random_range(least..1.0)));
        let (waits, asked) = self.yard.asks_consent(number).await;
        self.typed.push(asked);
        // Typed in the very moment in which midwatch goes: heard or not.
        let (tag, app) = (format!("r{number:04}-live"), slack.clone());
        let text = format!("ring {tag}");
        let mut live = JoinSet::new();
        live.spawn(async move { app.mention(yard::BO, "C10", None, &text).await });
        tokio::time::sleep(Duration::from_millis(random.random_range(0..30))).await;
        self.goes(absence).await;
        self.yard.home.away_for(gap).await;
        let sayings = people::sayings(number, gap, &waits, random);
        for saying in sayings {
            if let Some(typed) = self.says(saying).await {
                self.typed.push(typed);
            }
        }
        self.comes_back(absence).await;
        let ts = live.join_next().await.expect("one").unwrap();
        self.typed
            .push(Typed::new(tag, Kind::Changes, "C10".to_owned(), &ts));
        self.settle(&format!("the gap {number} of {gap:?}, {absence:?}"))
            .await;
        self.sum.gaps += 1;
        self.sum.longest = self.sum.longest.max(gap);
        self.press(random).await;
        self.settle(&format!("the presses after the gap {number}"))
            .await;
        self.sum.typed = self.typed.len();
    }

    /// Somebody says this while nobody hears it. A slash command is refused by Slack, and that was it.
    async fn says(&self, saying: Saying) -> Option<Typed> {
        if let Saying::Slash { user, text } = saying {
            let ack = self.yard.slack.slash(user, "C10", &text).await;
            let unheard = Ack {
                status: 0,
                body: String::new(),
            };
            assert_eq!(
                ack, unheard,
                "Slack's answer to a command that nobody hears"
            );
            return None;
        }
        Some(people::write(&self.yard.slack, saying))
    }

    async fn goes(&mut self, absence: Absence) {
        let slack = &self.yard.slack;
        match absence {
            Absence::Killed => self.bot.take().expect("it runs").kill9(),
            Absence::Stopped => {
                let bot = self.bot.take().expect("it runs");
                let ended = tokio::task::block_in_place(|| bot.stop());
                assert!(ended.success(), "midwatch did not stop as it was asked to");
            }
            Absence::Deaf => {
                slack.send_away(Some("too_many_websockets"));
                slack.cut_sockets();
            }
        }
    }

    async fn comes_back(&mut self, absence: Absence) {
        let slack = &self.yard.slack;
        slack.send_away(None);
        if absence != Absence::Deaf {
            let bot = self.yard.home.serve().await;
            if self.door == Door::Http {
                slack.use_http(&bot.url(""));
            }
            self.bot = Some(bot);
        }
    }

    /// Presses buttons of what was held: with a delivery that is late, with the same one twice, and freshly.
    async fn press(&mut self, random: &mut StdRng) {
        let slack = self.yard.slack.clone();
        let ledger = self.yard.ledger();
        for typed in &mut self.typed {
            let held = ledger.held(typed);
            if !held || typed.pressed || random.random_bool(0.3) {
                continue;
            }
            let (presser, label) = typed.button();
            let card = card(&slack, typed, label).await;
            if random.random_bool(0.4) {
                let press = slack.click_delivery(presser, &card, label);
                let late = slack.pressed_before(LATE_PRESS, press);
                assert_eq!(slack.deliver(&late).await.status, 200);
                typed.late_presses.push(judge::press_key(&late, presser));
                self.sum.late_presses += 1;
            }
            let press = slack.click_delivery(presser, &card, label);
            for _ in 0..random.random_range(1..3) {
                assert_eq!(slack.deliver(&press).await.status, 200);
            }
            typed.press_keys.push(judge::press_key(&press, presser));
            typed.pressed = true;
            self.sum.presses += 1;
        }
    }

    /// Waits until there is nothing to complain about.
    async fn settle(&mut self, after: &str) {
        let deadline = Instant::now() + SETTLE_WITHIN;
        loop {
            let complaints = self.complaints();
            if complaints.all.is_empty() {
                return;
            }
            if complaints.for_good || Instant::now() >= deadline {
                self.give_up(after, &complaints.all);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn complaints(&self) -> Complaints {
        let (ledger, marks) = (self.yard.ledger(), marks(&self.yard.home.path("marks")));
        judge::complaints(&self.typed, &ledger, &marks)
    }

    /// What ran late, or was forgotten, shows at the end too.
    async fn end(&mut self) {
        let absence = Absence::Stopped;
        self.goes(absence).await;
        let mut complaints = self.complaints().all;
        let violations = self.yard.slack.violations().into_iter();
        complaints.extend(violations.map(|it| format!("slack: {it}")));
        complaints.extend(self.yard.ledger_is_sound());
        if !complaints.is_empty() {
            self.give_up("the end", &complaints);
        }
        let ledger = self.yard.ledger();
        for typed in &self.typed {
            self.sum.late += usize::from(
                ledger
                    .decided_at(typed)
                    .is_some_and(|at| is_late(typed, at)),
            );
            self.sum.seen += usize::from(ledger.received(typed) > 0);
        }
    }

    fn give_up(&self, after: &str, complaints: &[String]) -> ! {
        let shown = complaints.len().min(20);
        panic!(
            "over {:?}, after {after}, seed {}: {} complaints; midwatch's home is kept in {}:\n- {}",
            self.door,
            self.seed,
            complaints.len(),
            self.yard.keep(),
            complaints[..shown].join("\n- ")
        );
    }
}

/// The message that asks again.
async fn card(slack: &FakeSlack, typed: &Typed, label: &str) -> Posted {
    let found = |slack: &FakeSlack| {
        let messages = slack.messages(&typed.channel).into_iter();
        let mut cards = messages.filter(|it| it.thread == typed.thread);
        cards.find(|it| {
            let text = render(it);
            text.contains(&format!("[{label}]")) && text.contains(typed.asked_again_as())
        })
    };
    let what = format!("card that asks again for {}", typed.tag);
    slack.wait_for(&what, SETTLE_WITHIN, found).await
}
