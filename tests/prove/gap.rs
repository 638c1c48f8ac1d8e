//! Commands typed while midwatch is away, for a second to a day: each is seen once after its return, and nothing that
//! changes something and is older than a minute runs without a fresh click.
//!
//! The real program, on Slack over HTTP and over sockets, on Discord over its gateway. No clock is turned: what was typed five hours ago is a message whose
//! timestamp says so, and midwatch's cursors are set back by the length of the gap, as if it had gone that long ago. The
//! seed fixes what is typed and for how long midwatch is away.

mod discord;
mod judge;
mod people;
mod slack;
mod yard;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::discord::Discord;
use self::judge::{Complaints, Sum, marks};
use self::people::{Kind, Platform, Typed, Who, is_late};
use self::slack::{Door, Slack};
use self::yard::Yard;
use super::{Found, Round, busy_runtime};
use crate::bot::Bot;

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
    let runtime = busy_runtime();
    let [slack, discord] = round.shared();
    Found::Held(runtime.block_on(async {
        let mut lanes = JoinSet::new();
        for (door, offset) in [(Door::Http, 0), (Door::Sockets, 1)] {
            let rounds: Vec<u32> = (offset..slack.rounds).step_by(2).collect();
            lanes.spawn(async move {
                let slack = Slack::with(door).await;
                ("Slack", all_gaps(slack, round.seed, &rounds).await)
            });
        }
        let rounds: Vec<u32> = (0..discord.rounds).collect();
        lanes.spawn(async move {
            let discord = Discord::new().await;
            ("Discord", all_gaps(discord, round.seed, &rounds).await)
        });
        let mut sums = BTreeMap::<&str, Sum>::new();
        while let Some(found) = lanes.join_next().await {
            match found {
                Ok((platform, found)) => *sums.entry(platform).or_default() += found,
                Err(fault) => std::panic::resume_unwind(fault.into_panic()),
            }
        }
        let sums: Vec<String> = sums
            .iter()
            .map(|(name, sum)| format!("{name}: {sum}"))
            .collect();
        sums.join("; ")
    }))
}

/// The gaps of one lane, some of them in each installation.
async fn all_gaps<P: Platform>(mut platform: P, seed: u64, rounds: &[u32]) -> Sum {
    let mut sum = Sum::default();
    for rounds in rounds.chunks(GAPS_OF_ONE) {
        let another = platform.another().await;
        sum += Days::go_on(platform, seed, rounds).await;
        platform = another;
    }
    sum
}

/// How midwatch goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absence {
    Killed,
    Stopped,
    /// It stays, and no connection is open.
    Deaf,
}

/// Some gaps of one installation.
struct Days<P: Platform> {
    yard: Yard<P>,
    seed: u64,
    bot: Option<Bot>,
    typed: Vec<Typed>,
    sum: Sum,
}

impl<P: Platform> Days<P> {
    async fn go_on(platform: P, seed: u64, rounds: &[u32]) -> Sum {
        let mut days = Self {
            yard: Yard::new(platform),
            seed,
            bot: None,
            typed: Vec::new(),
            sum: Sum::default(),
        };
        days.comes_back(Absence::Killed).await;
        let says = days.yard.platform.says_that_it_listens();
        days.yard.logged(says).await;
        for (n, number) in rounds.iter().enumerate() {
            // Slack may give fewer than asked for; later there is too much to read for that.
            let pages = if n == 0 { 7 } else { 999 };
            days.yard.platform.gives_small_pages(pages);
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(u64::from(*number) << 32));
            days.one_gap(*number, &mut random).await;
        }
        days.end().await;
        days.sum
    }

    async fn one_gap(&mut self, number: u32, random: &mut StdRng) {
        let platform = self.yard.platform.clone();
        let absence = match (platform.can_be_deaf(), random.random_range(0..3)) {
            (true, 0 | 1) => Absence::Deaf,
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
        let (tag, channel) = (format!("r{number:04}-live"), platform.channel(0));
        let (says, text, room) = (platform.clone(), format!("ring {tag}"), channel.clone());
        let mut live = JoinSet::new();
        live.spawn(async move { says.mentions_now(Who::Bo, &room, None, &text).await });
        tokio::time::sleep(Duration::from_millis(random.random_range(0..30))).await;
        self.goes(absence, gap).await;
        self.yard.home.away_for(gap).await;
        let sayings = people::sayings(&platform, number, gap, &waits, random);
        for saying in sayings {
            self.typed.extend(people::say(&platform, saying).await);
        }
        self.comes_back(absence).await;
        let live = live.join_next().await.expect("one").unwrap();
        self.typed
            .push(Typed::new(tag, Kind::Changes, channel, live));
        self.settle(&format!("the gap {number} of {gap:?}, {absence:?}"))
            .await;
        self.sum.gaps += 1;
        self.sum.longest = self.sum.longest.max(gap);
        self.press(random).await;
        self.settle(&format!("the presses after the gap {number}"))
            .await;
        self.sum.typed = self.typed.len();
    }

    async fn goes(&mut self, absence: Absence, gap: Duration) {
        match absence {
            Absence::Killed => self.bot.take().expect("it runs").kill9(),
            Absence::Stopped => {
                let bot = self.bot.take().expect("it runs");
                let ended = tokio::task::block_in_place(|| bot.stop());
                assert!(ended.success(), "midwatch did not stop as it was asked to");
            }
            Absence::Deaf => self.yard.platform.is_deaf(gap),
        }
    }

    async fn comes_back(&mut self, absence: Absence) {
        self.yard.platform.hears_again();
        if absence != Absence::Deaf {
            let bot = self.yard.home.serve().await;
            self.yard.platform.connect(&bot);
            self.bot = Some(bot);
        }
    }

    /// Presses buttons of what was held: with a delivery that is late, with the same one twice, and freshly.
    async fn press(&mut self, random: &mut StdRng) {
        let platform = self.yard.platform.clone();
        let ledger = self.yard.ledger();
        for typed in &mut self.typed {
            let held = ledger.held(typed);
            if !held || typed.pressed || random.random_bool(0.3) {
                continue;
            }
            let (presser, label) = typed.button();
            let card = card(&platform, typed, label).await;
            if random.random_bool(0.4) {
                let late = platform.press(presser, &card, label, Some(LATE_PRESS), 1);
                typed.late_presses.push(late.await);
                self.sum.late_presses += 1;
            }
            let times = random.random_range(1..3);
            let press = platform.press(presser, &card, label, None, times);
            typed.press_keys.push(press.await);
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
        self.goes(absence, Duration::ZERO).await;
        let mut complaints = self.complaints().all;
        complaints.extend(self.yard.platform.violations());
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
            "{}, after {after}, seed {}: {} complaints; midwatch's home is kept in {}:\n- {}",
            self.yard.platform.name(),
            self.seed,
            complaints.len(),
            self.yard.keep(),
            complaints[..shown].join("\n- ")
        );
    }
}

/// The message that asks again.
async fn card<P: Platform>(platform: &P, typed: &Typed, label: &str) -> P::Card {
    let deadline = Instant::now() + SETTLE_WITHIN;
    let button = format!("[{label}]");
    loop {
        let shown = platform.shown(&typed.channel, typed.thread.as_deref());
        let card = shown
            .into_iter()
            .find(|(text, _)| text.contains(&button) && text.contains(typed.asked_again_as()));
        if let Some((_, card)) = card {
            return card;
        }
        let tag = &typed.tag;
        assert!(Instant::now() < deadline, "no card asks again for {tag}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
