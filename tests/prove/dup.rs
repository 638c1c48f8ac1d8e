//! The same thing told twenty times: over HTTP with retries, over sockets, to two replicas, as `message` and as
//! `app_mention`, at the same moment, while it is done, when it has ended, after replicas were started again. It is one
//! inbound, one run and one thread.
//!
//! Two replicas on PostgreSQL, and one midwatch on SQLite in a workspace whose history it reads again at each start.

mod judge;
mod people;
mod yard;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use tokio::sync::{RwLock, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::judge::Record;
use self::people::{Telling, Thing, WRITTEN};
use super::{Found, Round};
use crate::bot::{Bot, Home};
use crate::cluster::Cluster;
use crate::fakes::slack::FakeSlack;

/// So many that the pace of one message a second and channel does not become what is tested.
const CHANNELS: usize = 48;
/// Fewer where their histories are read, at Slack's pace.
const FEW_CHANNELS: usize = 6;
/// Every so many are typed where one midwatch on SQLite listens, and no more than that.
const ON_SQLITE: (u32, u32) = (5, 40);
/// A replica is started again each time that so many were typed, and once in the middle of few.
const RESTART_EACH: u32 = 100;
/// How many deliveries are under way at once: what is tested is not how fast the machine is.
const AT_ONCE: usize = 12;
/// How long all may take to end after the last word, and so much more for each command.
const SETTLE_WITHIN: Duration = Duration::from_secs(150);
const SETTLE_MORE: Duration = Duration::from_millis(500);
/// How often is looked whether all has ended; more rarely where there is more to look at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// In which a run that should not be would begin, and say so.
const MOMENT: Duration = Duration::from_secs(3);

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let Some(cluster) = Cluster::start_new() else {
        return Found::Missing("PostgreSQL is not installed".to_owned());
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    Found::Held(runtime.block_on(async {
        let replicas = postgres(round, &cluster).await;
        let alone = sqlite(round).await;
        format!("two replicas on PostgreSQL: {replicas}; one on SQLite: {alone}")
    }))
}

async fn postgres(round: Round, cluster: &Cluster) -> String {
    let slack = FakeSlack::start().await;
    let channels: Vec<String> = (10..10 + CHANNELS).map(|n| format!("C{n}")).collect();
    let url = cluster.database().await;
    let home = || yard::home(&slack, &channels).setting("DATABASE_URL", &url);
    let (one, mut two) = (home(), home());
    let first = one.serve().await;
    yard::share(&one, &mut two);
    let second = two.serve().await;
    let house = House::new(slack, channels, vec![one, two], vec![first, second]);
    house.told(round.rounds, round.seed).await
}

async fn sqlite(round: Round) -> String {
    let (each, most) = ON_SQLITE;
    let slack = FakeSlack::start().await;
    let others = (10..10 + FEW_CHANNELS).map(|n| format!("C{n}"));
    let channels: Vec<String> = [WRITTEN.to_owned()].into_iter().chain(others).collect();
    let home = yard::home(&slack, &channels);
    let bot = home.serve().await;
    let house = House::new(slack, channels, vec![home], vec![bot]);
    house
        .told(round.rounds.div_ceil(each).clamp(2, most), round.seed)
        .await
}

/// One midwatch or two, and the workspaces that they hear.
struct House {
    slack: FakeSlack,
    channels: Vec<String>,
    homes: Vec<Home>,
    /// Those that are up. Whoever tells something holds it for reading: what is under way ends before one goes.
    up: RwLock<Vec<Option<Bot>>>,
    restarting: tokio::sync::Mutex<()>,
    under_way: Semaphore,
    things: Mutex<Vec<(Thing, Telling)>>,
    tally: Mutex<Tally>,
}

/// What was told, and what was said of it.
#[derive(Debug, Default, Clone)]
struct Tally {
    by_http: usize,
    by_socket: usize,
    as_retry: usize,
    restarts: usize,
    /// As midwatch counts: inbounds that were new, duplicates, deliveries that Slack marked as repeated.
    new: usize,
    duplicates: usize,
    repeated: usize,
    slowest: Duration,
    /// Deliveries that were not acknowledged, or not in time.
    refused: Vec<String>,
}

impl House {
    fn new(slack: FakeSlack, channels: Vec<String>, homes: Vec<Home>, up: Vec<Bot>) -> Arc<Self> {
        for channel in &channels {
            slack.add_channel(channel, true);
        }
        // Slack counts reads by workspace, this one over all of them: how fast it lets us look is not what is tested.
        slack.let_read_fast();
        Arc::new(Self {
            slack,
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
            let thing = people::say(&self.slack, n as usize, channel, random);
            let (house, random) = (Arc::clone(self), StdRng::seed_from_u64(random.random()));
            tasks.spawn(house.type_one(thing, random));
            if (n + 1) % RESTART_EACH == 0 || n + 1 == commands.min(RESTART_EACH) / 2 {
                let replica = (n / RESTART_EACH) as usize % self.homes.len();
                let house = Arc::clone(self);
                tasks.spawn(async move { house.restart(replica).await });
            }
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    }

    async fn type_one(self: Arc<Self>, thing: Thing, mut random: StdRng) {
        let consents = thing
            .runs
            .as_ref()
            .is_some_and(|(kind, _)| kind.consents > 0);
        let run = thing.run().to_string();
        let channel = thing.channel.clone();
        self.tell_soon(thing, &mut random).await;
        if !consents {
            return;
        }
        let root = self.root(&channel, &run).await;
        for press in people::consents(&self.slack, &root) {
            self.tell_soon(press, &mut random).await;
        }
    }

    /// A run's root, as soon as it can be approved.
    async fn root(&self, channel: &str, run: &str) -> crate::fakes::slack::Posted {
        let deadline = Instant::now() + SETTLE_WITHIN;
        loop {
            let messages = self.slack.messages(channel);
            let root = messages
                .into_iter()
                .find(|message| message.metadata["event_payload"]["id"] == run);
            if let Some(root) = root {
                return root;
            }
            assert!(
                Instant::now() < deadline,
                "run {run} has no thread: {}",
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
    }

    /// Tells it several times at once, and some more times while it is done.
    async fn tell_soon(&self, thing: Thing, random: &mut StdRng) {
        let telling = Telling::any(random);
        let mut seeds = |_| StdRng::seed_from_u64(random.random());
        let at_once: Vec<StdRng> = (0..telling.at_once).map(&mut seeds).collect();
        let soon: Vec<StdRng> = (0..telling.soon).map(&mut seeds).collect();
        let now = at_once.into_iter().map(|random| self.tell(&thing, random));
        let soon = soon.into_iter().map(async |mut random| {
            tokio::time::sleep(Telling::wait(&mut random)).await;
            self.tell(&thing, random).await;
        });
        tokio::join!(
            futures_util::future::join_all(now),
            futures_util::future::join_all(soon)
        );
        self.things.lock().unwrap().push((thing, telling));
    }

    /// Tells everything again, so many times each.
    async fn tell_all(&self, random: &mut StdRng, times: fn(&Telling) -> usize) {
        let again: Vec<Thing> = {
            let things = self.things.lock().unwrap();
            let each = |(thing, telling): &(Thing, Telling)| vec![thing.clone(); times(telling)];
            things.iter().flat_map(each).collect()
        };
        let told = again.iter().map(|thing| {
            let random = StdRng::seed_from_u64(random.random());
            self.tell(thing, random)
        });
        futures_util::future::join_all(told).await;
    }

    /// Tells it once: by HTTP to one of those that are up, or over the socket that is next, as first try or as retry.
    async fn tell(&self, thing: &Thing, mut random: StdRng) {
        let turn = self.under_way.acquire().await.expect("it stays open");
        let up = self.up.read().await;
        let delivery = &thing.told_as[random.random_range(0..thing.told_as.len())];
        let retry = random.random_range(0..=3);
        let addresses: Vec<String> = up.iter().flatten().map(|bot| bot.url("")).collect();
        let by_http = random.random_bool(0.5);
        let began = Instant::now();
        let ack = if by_http {
            let address = &addresses[random.random_range(0..addresses.len())];
            self.slack.request(address, delivery, retry).await
        } else {
            self.slack.deliver_by_socket(delivery, retry).await
        };
        let took = began.elapsed();
        drop((up, turn));
        let mut tally = self.tally.lock().unwrap();
        *(if by_http {
            &mut tally.by_http
        } else {
            &mut tally.by_socket
        }) += 1;
        tally.as_retry += usize::from(retry > 0);
        tally.slowest = tally.slowest.max(took);
        if (ack.status, ack.body.as_str()) != (200, "") || took > Duration::from_secs(3) {
            let how = if by_http { "http" } else { "socket" };
            let key = &thing.key;
            tally
                .refused
                .push(format!("{key} by {how}, after {took:?}: {ack:?}"));
        }
    }

    /// Stops one as an upgrade does, and starts it again. What is told meanwhile is told to the other; where there is
    /// none, it waits.
    async fn restart(&self, replica: usize) {
        let _one_by_one = self.restarting.lock().await;
        let others = self.homes.len() - 1;
        let mut up = self.up.write().await;
        let bot = up[replica].take().expect("it is up");
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

    /// Waits until the sockets of so many are open.
    async fn hears(&self, replicas: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.slack.open_sockets() != 2 * replicas {
            assert!(
                Instant::now() < deadline,
                "{} sockets are open, for {replicas}: {}",
                self.slack.open_sockets(),
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Adds what this one counted to the tally: with its process the numbers go.
    async fn count(&self, bot: &Bot) {
        let text = reqwest::get(bot.url("/metrics"))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let number = |name: &str, label: &str| -> usize {
            let lines = text
                .lines()
                .filter(|line| line.starts_with(name) && line.contains(label));
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
            values.sum()
        };
        let mut tally = self.tally.lock().unwrap();
        tally.new += number("midwatch_inbounds_total", "receipt=\"new\"");
        tally.duplicates += number("midwatch_inbounds_total", "receipt=\"duplicate\"");
        tally.repeated += number("midwatch_deliveries_repeated_total", "");
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
        let things: Vec<Thing> = {
            let things = self.things.lock().unwrap();
            things.iter().map(|(thing, _)| thing.clone()).collect()
        };
        let marks = yard::marks(&self.homes[0].path(""));
        judge::complaints(&self.slack, &things, record, &marks)
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
        let violations = self.slack.violations();
        complaints.extend(violations.into_iter().map(|it| format!("slack: {it}")));
        let tally = self.tally.lock().unwrap().clone();
        complaints.extend(tally.refused.iter().cloned());
        let things = self.things.lock().unwrap().len();
        complaints.extend(self.miscounted(&tally, things));
        if !complaints.is_empty() {
            self.fail(&complaints, seed);
        }
        let told = tally.by_http + tally.by_socket;
        format!(
            "{} runs of as many commands, {} presses; {told} deliveries of {things} things ({} by HTTP, {} by socket, {} as \
             retries), all acknowledged, the slowest after {} ms; {} duplicates counted, {} of them read from histories; \
             {} restarts; {} ledger entries",
            record.runs(),
            things - record.runs(),
            tally.by_http,
            tally.by_socket,
            tally.as_retry,
            tally.slowest.as_millis(),
            tally.duplicates,
            tally.new + tally.duplicates - told,
            tally.restarts,
            record.entries,
        )
    }

    /// Every delivery is counted, as new or as duplicate; where histories are read there are more.
    fn miscounted(&self, tally: &Tally, things: usize) -> Option<String> {
        let told = tally.by_http + tally.by_socket;
        let counted = tally.new + tally.duplicates;
        let reads = self.channels.iter().any(|channel| channel == WRITTEN);
        let adds_up = if reads {
            counted > told
        } else {
            counted == told
        };
        // Our own messages come back to us too; one that is cut off by a restart is repeated.
        let fine = tally.new == things && adds_up && tally.repeated >= tally.as_retry;
        (!fine).then(|| format!("{told} deliveries of {things} things were counted as {tally:?}"))
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
