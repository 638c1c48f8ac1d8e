//! The same thing told twenty times: by each way that a platform has, with retries, to two replicas, at the same moment,
//! while it is done, when it has ended, after replicas were started again. It is one inbound, one run and one thread.
//!
//! Two replicas on PostgreSQL, and one midwatch on SQLite that reads the history again at each start; on Slack over HTTP
//! and sockets at once, on Discord over the gateway and over HTTP, since an app has one of them.

mod discord;
mod judge;
mod people;
mod slack;
mod tally;
mod yard;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use tokio::sync::{RwLock, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::discord::{Discord, Door};
use self::judge::Record;
use self::people::{Platform, Telling, Thing};
use self::slack::{Slack, WRITTEN};
use self::tally::Tally;
use super::{Found, Round, busy_runtime};
use crate::bot::{Bot, Home};
use crate::cluster::Cluster;

/// So many that the pace of one message a second and channel does not become what is tested.
const CHANNELS: usize = 48;
/// Fewer where their histories are read, at Slack's pace.
const FEW_CHANNELS: usize = 6;
/// As many on Discord, each in a server of its own.
const DISCORD_CHANNELS: usize = 24;
/// Every so many are typed where one midwatch on SQLite listens, and no more than that.
const ON_SQLITE: (u32, u32) = (5, 40);
/// A replica is started again each time that so many were typed, and once in the middle of few.
const RESTART_EACH: u32 = 100;
/// A connection is disturbed each time that so many were typed.
const TROUBLE_EACH: u32 = 4;
/// How many deliveries are under way at once on a platform: what is tested is not how fast the machine is.
const AT_ONCE: usize = 8;
/// How long all may take to end after the last word, and so much more for each command.
const SETTLE_WITHIN: Duration = Duration::from_secs(150);
const SETTLE_MORE: Duration = Duration::from_millis(500);
/// How often is looked whether all has ended; more rarely where there is more to look at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often is looked whether people see what they wait for.
const SEEN_EVERY: Duration = Duration::from_millis(1_500);
/// In which what was told is heard.
const COUNTED_WITHIN: Duration = Duration::from_secs(1);
/// In which a run that should not be would begin, and say so.
const MOMENT: Duration = Duration::from_secs(3);

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let Some(cluster) = Cluster::start_new().map(Arc::new) else {
        return Found::Missing("PostgreSQL is not installed".to_owned());
    };
    let runtime = busy_runtime();
    let [slack, discord] = round.shared();
    Found::Held(runtime.block_on(async {
        // Side by side: most of the time goes by in waiting.
        let mut lanes = JoinSet::new();
        let by_both = Arc::clone(&cluster);
        lanes.spawn(async move { on_slack(slack, &by_both).await });
        lanes.spawn(async move { on_discord(discord, &cluster).await });
        let mut found = Vec::new();
        while let Some(lane) = lanes.join_next().await {
            found.push(lane.unwrap_or_else(|fault| std::panic::resume_unwind(fault.into_panic())));
        }
        found.sort();
        found.join("; ")
    }))
}

async fn on_slack(round: Round, cluster: &Cluster) -> String {
    let channels: Vec<String> = (10..10 + CHANNELS).map(|n| format!("C{n}")).collect();
    let slack = Slack::with(&channels).await;
    let replicas = replicas(slack, channels, round, cluster).await;
    let others = (10..10 + FEW_CHANNELS).map(|n| format!("C{n}"));
    let channels: Vec<String> = [WRITTEN.to_owned()].into_iter().chain(others).collect();
    let alone = alone(Slack::with(&channels).await, channels, round).await;
    format!("Slack: two replicas on PostgreSQL: {replicas}; one on SQLite: {alone}")
}

async fn on_discord(round: Round, cluster: &Cluster) -> String {
    let [gateway, http] = round.shared();
    let all: Vec<String> = (0..DISCORD_CHANNELS).map(discord::channel).collect();
    let discord = Discord::with(Door::Gateway, &all).await.for_two();
    let over_gateway = replicas(discord, all.clone(), gateway, cluster).await;
    let discord = Discord::with(Door::Http, &all).await.for_two();
    let over_http = replicas(discord, all.clone(), http, cluster).await;
    let few = all[..FEW_CHANNELS].to_vec();
    let alone = alone(Discord::with(Door::Gateway, &few).await, few, round).await;
    format!(
        "Discord: two replicas on PostgreSQL, over the gateway: {over_gateway}; over HTTP: {over_http}; one on SQLite, over the \
         gateway: {alone}"
    )
}

/// Two replicas on PostgreSQL.
async fn replicas<P: Platform>(
    platform: P,
    channels: Vec<String>,
    round: Round,
    cluster: &Cluster,
) -> String {
    let url = cluster.database().await;
    let home = || {
        platform
            .settings(yard::home(&channels))
            .setting("DATABASE_URL", &url)
    };
    let (one, mut two) = (home(), home());
    let first = one.serve().await;
    yard::share(&one, &mut two);
    let second = two.serve().await;
    let house = House::new(platform, channels, vec![one, two], vec![first, second]);
    house.told(round.rounds, round.seed).await
}

/// One midwatch on SQLite, and a part of the commands.
async fn alone<P: Platform>(platform: P, channels: Vec<String>, round: Round) -> String {
    let (each, most) = ON_SQLITE;
    let home = platform.settings(yard::home(&channels));
    let bot = home.serve().await;
    let house = House::new(platform, channels, vec![home], vec![bot]);
    house
        .told(round.rounds.div_ceil(each).clamp(2, most), round.seed)
        .await
}

/// One midwatch or two, and the platform that they hear.
struct House<P: Platform> {
    platform: P,
    channels: Vec<String>,
    homes: Vec<Home>,
    /// Those that are up. Whoever tells something holds it for reading: what is under way ends before one goes.
    up: RwLock<Vec<Option<Bot>>>,
    restarting: tokio::sync::Mutex<()>,
    under_way: Semaphore,
    things: Mutex<Vec<(Thing<P::Delivery>, Telling)>>,
    tally: Mutex<Tally>,
}

impl<P: Platform> House<P> {
    fn new(platform: P, channels: Vec<String>, homes: Vec<Home>, up: Vec<Bot>) -> Arc<Self> {
        Arc::new(Self {
            platform,
            channels,
            homes,
            up: RwLock::new(up.into_iter().map(Some).collect()),
            restarting: tokio::sync::Mutex::default(),
            under_way: Semaphore::new(AT_ONCE),
            things: Mutex::default(),
            tally: Mutex::default(),
        })
    }

    /// Everything, in order.
    async fn told(self: Arc<Self>, commands: u32, seed: u64) -> String {
        let mut random = StdRng::seed_from_u64(seed);
        self.hears(self.homes.len()).await;
        self.type_all(commands, &mut random).await;
        self.settle(commands, seed).await;
        self.tell_all(&mut random, |telling| telling.ended).await;
        for replica in 0..self.homes.len() {
            self.restart(replica).await;
        }
        self.tell_all(&mut random, |telling| telling.restarted)
            .await;
        tokio::time::sleep(MOMENT).await;
        self.verdict(seed).await
    }

    /// Types, with consents and restarts between; returns when everything was told often enough for now.
    async fn type_all(self: &Arc<Self>, commands: u32, random: &mut StdRng) {
        let mut tasks = JoinSet::new();
        for n in 0..commands {
            let channel = &self.channels[n as usize % self.channels.len()];
            // The first telling must not wait: what is a minute old is asked for again.
            while self.under_way.available_permits() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let thing = self.platform.say(n as usize, channel, random);
            let (house, mine) = (Arc::clone(self), StdRng::seed_from_u64(random.random()));
            tasks.spawn(house.type_one(thing, mine));
            if (n + 1) % RESTART_EACH == 0 || n + 1 == commands.min(RESTART_EACH) / 2 {
                let replica = (n / RESTART_EACH) as usize % self.homes.len();
                let house = Arc::clone(self);
                tasks.spawn(async move { house.restart(replica).await });
            } else if (n + 1) % TROUBLE_EACH == 0 {
                let (house, random) = (Arc::clone(self), StdRng::seed_from_u64(random.random()));
                tasks.spawn(async move { house.trouble(random).await });
            }
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    }

    async fn type_one(self: Arc<Self>, thing: Thing<P::Delivery>, mut random: StdRng) {
        let mut typed = vec![thing];
        while let Some(thing) = typed.pop() {
            self.tell_soon(&thing, &mut random).await;
            typed.extend(self.next(&thing).await);
        }
    }

    /// What people do about it, as soon as they see what came of it.
    async fn next(&self, of: &Thing<P::Delivery>) -> Vec<Thing<P::Delivery>> {
        let deadline = Instant::now() + SETTLE_WITHIN;
        loop {
            if let Some(next) = self.platform.next(of) {
                return next;
            }
            let key = &of.key;
            assert!(
                Instant::now() < deadline,
                "nobody sees what came of {key} ({:?}, waits for consent: {}): {}",
                of.runs.as_ref().map(|(kind, tag)| (kind.name, tag)),
                of.awaits_consent(),
                self.logs()
            );
            tokio::time::sleep(SEEN_EVERY).await;
        }
    }

    /// Tells it several times at once, and some more times while it is done.
    async fn tell_soon(&self, thing: &Thing<P::Delivery>, random: &mut StdRng) {
        let telling = Telling::any(random);
        let mut seeds = |_| StdRng::seed_from_u64(random.random());
        let at_once: Vec<StdRng> = (0..telling.at_once).map(&mut seeds).collect();
        let soon: Vec<StdRng> = (0..telling.soon).map(&mut seeds).collect();
        let now = at_once.into_iter().map(|random| self.tell(thing, random));
        let soon = soon.into_iter().map(async |mut random| {
            tokio::time::sleep(Telling::wait(&mut random)).await;
            self.tell(thing, random).await;
        });
        tokio::join!(
            futures_util::future::join_all(now),
            futures_util::future::join_all(soon)
        );
        let told = (thing.clone(), telling);
        self.things.lock().unwrap().push(told);
    }

    /// Tells everything again, so many times each.
    async fn tell_all(&self, random: &mut StdRng, times: fn(&Telling) -> usize) {
        let again: Vec<Thing<P::Delivery>> = {
            let things = self.things.lock().unwrap();
            let each = |(thing, telling): &(Thing<_>, Telling)| vec![thing.clone(); times(telling)];
            things.iter().flat_map(each).collect()
        };
        let told = again.iter().map(|thing| {
            let random = StdRng::seed_from_u64(random.random());
            self.tell(thing, random)
        });
        futures_util::future::join_all(told).await;
    }

    /// Tells it once, and sees that it is answered in time.
    async fn tell(&self, thing: &Thing<P::Delivery>, mut random: StdRng) {
        let turn = self.under_way.acquire().await.expect("it stays open");
        let up = self.up.read().await;
        let addresses: Vec<String> = up.iter().flatten().map(|bot| bot.url("")).collect();
        let began = Instant::now();
        let told = self.platform.tell(thing, &addresses, &mut random).await;
        let took = began.elapsed();
        drop((up, turn));
        self.tally.lock().unwrap().note(&thing.key, told, took);
    }

    /// Stops one as an upgrade does, and starts it again. What is told meanwhile is told to the other; where there is
    /// none, it waits.
    async fn restart(&self, replica: usize) {
        let _one_by_one = self.restarting.lock().await;
        let others = self.homes.len() - 1;
        let mut up = self.up.write().await;
        let bot = up[replica].take().expect("it is up");
        if others == 0 {
            // Not all that is told is acknowledged: it is heard and counted before it goes.
            tokio::time::sleep(COUNTED_WITHIN).await;
        }
        self.count(&bot).await;
        bot.signal(Signal::TERM);
        let stopped = tokio::task::spawn_blocking(move || bot.stop());
        self.hears(others).await;
        // Two that are up go on while the third of their sockets go.
        let up = if others > 0 {
            drop(up);
            None
        } else {
            Some(up)
        };
        let stopped = stopped.await.unwrap();
        assert!(
            stopped.success(),
            "it did not stop as asked: {}",
            self.logs()
        );
        let bot = self.homes[replica].serve().await;
        self.hears(others + 1).await;
        let mut up = match up {
            Some(up) => up,
            None => self.up.write().await,
        };
        up[replica] = Some(bot);
        self.tally.lock().unwrap().restarts += 1;
    }

    /// Disturbs a connection, and waits until all hear again.
    async fn trouble(&self, mut random: StdRng) {
        let _one_by_one = self.restarting.lock().await;
        let alone = self.homes.len() == 1;
        let up = if alone {
            Some(self.up.write().await)
        } else {
            None
        };
        self.platform.trouble(alone, &mut random);
        self.hears(self.homes.len()).await;
        drop(up);
        self.tally.lock().unwrap().troubles += 1;
    }

    /// Waits until so many listen.
    async fn hears(&self, replicas: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.platform.hears(replicas) {
            assert!(
                Instant::now() < deadline,
                "not {replicas} replicas listen: {}",
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Adds what this one counted to the tally: with its process the numbers go.
    async fn count(&self, bot: &Bot) {
        let answer = reqwest::get(bot.url("/metrics")).await.unwrap();
        let metrics = answer.text().await.unwrap();
        self.tally.lock().unwrap().add(&metrics);
    }

    fn export(&self) -> String {
        let export = self.homes[0].run(&["ledger", "export"], "");
        assert!(
            export.status.success(),
            "{}",
            String::from_utf8_lossy(&export.stderr)
        );
        String::from_utf8(export.stdout).expect("the ledger is text")
    }

    fn complaints(&self, record: &Record) -> Vec<String> {
        let things: Vec<Thing<_>> = {
            let things = self.things.lock().unwrap();
            things.iter().map(|(thing, _)| thing.clone()).collect()
        };
        let marks = yard::marks(&self.homes[0].path(""));
        let lines = self.platform.lines(&things);
        let mut complaints = judge::complaints(&things, &lines, record, &marks);
        complaints.extend(self.platform.misanswers(&things));
        complaints
    }

    fn look(&self) -> (Record, Vec<String>) {
        tokio::task::block_in_place(|| {
            let record = Record::of(&self.export());
            let complaints = self.complaints(&record);
            (record, complaints)
        })
    }

    /// Waits until everything has ended well.
    async fn settle(&self, commands: u32, seed: u64) {
        let deadline = Instant::now() + SETTLE_WITHIN + SETTLE_MORE * commands;
        loop {
            let (_, complaints) = self.look();
            if complaints.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                self.fail(&complaints, seed);
            }
            // To look is not for nothing: all of the ledger is exported.
            tokio::time::sleep(LOOK_EVERY.max(Duration::from_millis(20) * commands)).await;
        }
    }

    async fn verdict(&self, seed: u64) -> String {
        let (record, mut complaints) = self.look();
        for slot in self.up.write().await.iter_mut() {
            let bot = slot.take().expect("all are up");
            self.count(&bot).await;
            let stopped = tokio::task::block_in_place(|| bot.stop());
            assert!(
                stopped.success(),
                "it did not stop as asked: {}",
                self.logs()
            );
        }
        let verified = tokio::task::block_in_place(|| self.homes[0].run(&["ledger", "verify"], ""));
        if !verified.status.success() {
            complaints.push(String::from_utf8_lossy(&verified.stdout).into_owned());
        }
        complaints.extend(self.platform.violations());
        let tally = self.tally.lock().unwrap().clone();
        complaints.extend(tally.refused.iter().cloned());
        let things = self.things.lock().unwrap().len();
        complaints.extend(tally.miscounted(things, self.platform.counts_more()));
        if !complaints.is_empty() {
            self.fail(&complaints, seed);
        }
        let (runs, entries) = (record.runs(), record.entries);
        let others = things - runs;
        format!(
            "{runs} runs of as many commands, {others} presses and forms; {}; {entries} ledger entries",
            tally.told(things)
        )
    }

    fn fail(&self, complaints: &[String], seed: u64) -> ! {
        let shown = complaints.len().min(25);
        panic!(
            "{} complaints, seed {seed}:\n- {}\n{}",
            complaints.len(),
            complaints[..shown].join("\n- "),
            self.logs()
        )
    }

    /// The latest of what was logged.
    fn logs(&self) -> String {
        let latest = |home: &Home| {
            let log = home.log();
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n")
        };
        self.homes
            .iter()
            .map(latest)
            .collect::<Vec<_>>()
            .join("\n--\n")
    }
}
