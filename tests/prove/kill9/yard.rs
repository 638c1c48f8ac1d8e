//! A yard: one midwatch or two replicas, a Slack with people, and what is known when all has settled.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use midwatch::clock::Clock;
use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::{Signal, kill_process};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::commands;
use super::judge::{Evidence, Replicas};
use super::people::People;
use super::record::{Marks, Record, threads};
use crate::bot::{Bot, Home};
use crate::cluster::Cluster;
use crate::fakes::slack::{BOT_TOKEN, FakeSlack, SIGNING_SECRET};

/// So many that the pace of one message a second and channel does not become what is tested.
const CHANNELS: usize = 24;
/// How long everything may take to settle after the last kill. Long, because posts in doubt are looked for at Slack's pace.
const SETTLE_WITHIN: Duration = Duration::from_secs(240);
/// And so much more for each kill: at the pace of its channels, Slack is told later than things happen.
const SETTLE_MORE: Duration = Duration::from_secs(2);
/// The longest step: a child may outlive midwatch for so long, and leave its mark then.
const LONGEST_STEP: Duration = Duration::from_secs(2);
/// Nobody waits longer than this for a start.
const READY_AT_LAST: Duration = Duration::from_secs(60);
/// How long deliveries go to one replica before they go to the other.
const ONE_DOOR_FOR: Duration = Duration::from_millis(35);

/// What a yard stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    Sqlite,
    Postgres,
    Replicas,
}

pub(super) struct Yard {
    name: String,
    ground: Ground,
    pub(super) homes: Vec<Home>,
    bots: Vec<Option<Bot>>,
    slack: FakeSlack,
    pub(super) people: People,
    /// Where deliveries may go, by replica.
    doors: Arc<Mutex<Vec<Option<String>>>>,
    /// The desk, and who leads deliveries from door to door.
    tasks: JoinSet<()>,
    ready_after: Vec<Duration>,
    started_again: usize,
    kills: usize,
    while_starting: usize,
    pub(super) at_points: usize,
    /// Attempts whose supervisor was killed, as their folders are named.
    pub(super) lost: HashSet<String>,
    /// When one of them was killed.
    deaths: Vec<Timestamp>,
    /// What went wrong that nothing in the evidence tells.
    pub(super) complaints: Vec<String>,
}

impl Yard {
    /// A yard on this ground; the cluster is for those that are on PostgreSQL.
    pub(super) async fn open(name: &str, ground: Ground, cluster: Option<&Cluster>) -> Self {
        let slack = FakeSlack::start().await;
        // As with edits: Slack limits reading by workspace, and waiting proves nothing.
        slack.let_read_fast();
        let channels: Vec<String> = (10..10 + CHANNELS).map(|n| format!("C{n}")).collect();
        let mut homes = vec![home(&slack, &channels)];
        if ground != Ground::Sqlite {
            let cluster = cluster.expect("the plan has it only where there is one");
            let url = cluster.database().await;
            homes[0].set("DATABASE_URL", &url);
            if ground == Ground::Replicas {
                // Its key is copied for the second one.
                assert!(homes[0].serve().await.stop().success());
                let key = std::fs::read_to_string(homes[0].path("data/ledger.key")).unwrap();
                let mut second = home(&slack, &channels).setting("DATABASE_URL", &url);
                second.write("data/ledger.key", &key);
                for (setting, folder) in [
                    ("MIDWATCH_COMMANDS", "commands"),
                    ("MIDWATCH_RUNBOOKS", "runbooks"),
                ] {
                    second.set(setting, homes[0].path(folder).display());
                }
                homes.push(second);
            }
        }
        let people = People::new(slack.clone(), channels);
        let doors = Arc::new(Mutex::new(vec![None; homes.len()]));
        let mut tasks = JoinSet::new();
        tasks.spawn(people.desk());
        tasks.spawn(lead(slack.clone(), Arc::clone(&doors)));
        Self {
            name: name.to_owned(),
            ground,
            bots: homes.iter().map(|_| None).collect(),
            homes,
            slack,
            people,
            doors,
            tasks,
            ready_after: Vec::new(),
            started_again: 0,
            kills: 0,
            while_starting: 0,
            at_points: 0,
            lost: HashSet::new(),
            deaths: Vec::new(),
            complaints: Vec::new(),
        }
    }

    pub(super) fn replicas(&self) -> usize {
        self.homes.len()
    }

    pub(super) async fn start_all(&mut self) {
        for who in 0..self.replicas() {
            self.start(who).await;
        }
    }

    pub(super) async fn start(&mut self, who: usize) {
        let began = Instant::now();
        let bot = loop {
            if let Some(bot) = self.start_once(who, began).await {
                break bot;
            }
            self.started_again += 1;
        };
        self.ready_after.push(began.elapsed());
        self.open_door(who, &bot);
        self.bots[who] = Some(bot);
    }

    /// `None` when its database was too busy to let it in: it says so and ends, and whoever watches over it starts it
    /// again. The time that this takes counts.
    async fn start_once(&self, who: usize, began: Instant) -> Option<Bot> {
        let home = &self.homes[who];
        let mut bot = home.launch();
        while !bot.is_ready().await {
            if let Some(status) = bot.has_ended() {
                let log = home.log();
                let last = log.lines().next_back().unwrap_or_default();
                let busy = status.code() == Some(1) && last.contains("due to lock timeout");
                assert!(
                    busy && self.ground != Ground::Sqlite,
                    "midwatch ended at once with {status}: {log}"
                );
                return None;
            }
            assert!(
                began.elapsed() < READY_AT_LAST,
                "midwatch is not ready: {}",
                home.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(bot)
    }

    /// A change that changes nothing for anybody.
    pub(super) fn change_files(&self, number: u32) {
        let text = commands::runbook(&self.people.channels, number);
        self.homes[0].write("runbooks/yard.yaml", &text);
    }

    /// Deliveries may go to this one.
    pub(super) fn open_door(&self, who: usize, bot: &Bot) {
        let url = bot.url("");
        self.slack.use_http(&url);
        self.doors.lock().unwrap()[who] = Some(url);
    }

    /// Kills it. The door of a replica is closed, as a balancer would do; whoever stands in it is cut off.
    pub(super) fn kill9(&mut self, who: usize) {
        let bot = self.bots[who].take().expect("it lives");
        self.deaths.push(Clock::system().now());
        bot.kill9();
        self.kills += 1;
        let mut doors = self.doors.lock().unwrap();
        doors[who] = None;
        if let Some(url) = doors.iter().flatten().next() {
            self.slack.use_http(url);
        }
    }

    /// One that was started outside of the yard's own count has ended by kill -9.
    pub(super) fn was_killed(&mut self) {
        self.kills += 1;
        self.at_points += 1;
        self.doors.lock().unwrap()[0] = None;
    }

    /// Starts it, and kills it before it is ready, or just after.
    pub(super) async fn kill_while_starting(&mut self, who: usize, after: Duration) {
        let bot = self.homes[who].launch();
        tokio::time::sleep(after).await;
        bot.kill9();
        self.kills += 1;
        self.while_starting += 1;
    }

    /// Kills supervisors that live, each with this probability.
    pub(super) fn kill_supervisors(&mut self, who: usize, probability: f64, random: &mut StdRng) {
        for (process, attempt) in self.homes[who].supervisors() {
            // One that has ended meanwhile left its result.
            if random.random_bool(probability) && kill_process(process, Signal::KILL).is_ok() {
                self.lost.insert(attempt);
            }
        }
    }

    /// Lets everything settle, ends all, and judges.
    pub(super) async fn finish(mut self, kills: u32, seed: u64) -> Found {
        for who in 0..self.replicas() {
            if self.bots[who].is_none() {
                self.start(who).await;
            }
        }
        self.people.all_typed().await;
        self.settle(kills).await;
        // Whoever outlived a kill has left its mark by now, rightly or not.
        tokio::time::sleep(LONGEST_STEP).await;
        let bots: Vec<Bot> = self.bots.iter_mut().filter_map(Option::take).collect();
        for bot in bots {
            if !bot.stop().success() {
                let complaint = "midwatch did not stop as it was asked to";
                self.complaints.push(complaint.to_owned());
            }
        }
        self.tasks.abort_all();
        self.verdict(seed)
    }

    /// Waits until nothing is left to complain about; what is left at the deadline is found by the verdict.
    async fn settle(&self, kills: u32) {
        let deadline = Instant::now() + SETTLE_WITHIN + SETTLE_MORE * kills;
        while Instant::now() < deadline {
            let looked = Instant::now();
            let wait = |evidence: &Evidence<'_>| {
                !evidence.complaints().is_empty() && !evidence.is_past_mending()
            };
            if !self.look(wait) {
                return;
            }
            // To look takes the machine's time, and more of it the more there is to see.
            tokio::time::sleep(Duration::from_secs(1).max(4 * looked.elapsed())).await;
        }
    }

    fn export(&self) -> String {
        let export = self.homes[0].run(&["ledger", "export"], "");
        let error = String::from_utf8_lossy(&export.stderr).into_owned();
        assert!(
            export.status.success(),
            "the ledger can't be exported: {error}"
        );
        String::from_utf8(export.stdout).expect("the ledger is text")
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method alone is not general enough over lifetimes"
    )]
    fn evident(&self) -> Vec<String> {
        self.look(|evidence| evidence.complaints())
    }

    fn look<T>(&self, see: impl FnOnce(&Evidence<'_>) -> T) -> T {
        let record = Record::of(&self.export());
        let marks = Marks::read(&self.homes[0].path(""));
        let (threads, doubled) = threads(&self.slack, &self.people.channels);
        let said = self.people.said.lock().unwrap();
        see(&Evidence {
            said: &said,
            record: &record,
            marks: &marks,
            threads: &threads,
            doubled: &doubled,
            lost: &self.lost,
            replicas: (self.ground == Ground::Replicas).then(|| Replicas {
                deaths: &self.deaths,
                log: self.log(),
            }),
        })
    }

    fn verdict(self, seed: u64) -> Found {
        let mut complaints = self.evident();
        complaints.extend(self.complaints.iter().cloned());
        complaints.extend(
            self.slack
                .violations()
                .into_iter()
                // Who was killed can't remember how long it was told to wait; `storm429` looks at one life.
                .filter(|it| !it.contains("before Retry-After had passed"))
                .map(|it| format!("slack: {it}")),
        );
        complaints.extend(self.ledger());
        if !complaints.is_empty() {
            let shown = complaints.len().min(25);
            let kept = self.keep();
            panic!(
                "yard {}: {} complaints after {} kills, seed of the yard {seed}; all of it is in {kept}:\n- {}",
                self.name,
                complaints.len(),
                self.kills,
                complaints[..shown].join("\n- ")
            );
        }
        let log = self.log();
        self.look(|evidence| Found {
            ground: match self.ground {
                Ground::Sqlite => "SQLite",
                Ground::Postgres => "PostgreSQL",
                Ground::Replicas => "two replicas",
            },
            kills: self.kills,
            while_starting: self.while_starting,
            at_points: self.at_points,
            commands: evidence.said.sent.len(),
            acknowledged: evidence
                .said
                .sent
                .iter()
                .filter(|it| it.acknowledged)
                .count(),
            once: evidence.done_once(),
            unknown: evidence.interrupted("once"),
            taken_up: log.matches("is taken up again").count(),
            entries: usize::try_from(evidence.record.entries).unwrap_or(usize::MAX),
            ready_after: self.ready_after.clone(),
            more: format!(
                "{:?}; {} presses, {} deliveries repeated, {} answered otherwise, {} supervisors lost, interrupted: {}; {} marks, {} starts recorded, {} refused by a busy database",
                evidence.outcomes(),
                evidence.said.pressed.len(),
                evidence.said.delivered_again,
                evidence.said.odd_answers.len(),
                self.lost.len(),
                ["read", "idempotent", "keyed", "checked", "once"]
                    .map(|effect| format!("{effect} {}", evidence.interrupted(effect)))
                    .join(", "),
                evidence.marks.count,
                evidence.record.starts,
                self.started_again,
            ),
        })
    }

    /// What all logged.
    fn log(&self) -> String {
        self.homes.iter().map(Home::log).collect()
    }

    /// The ledger in place, and its export against checkpoints as they stand in the threads.
    fn ledger(&self) -> Vec<String> {
        let verify = |arguments: &[&str]| {
            let found = self.homes[0].run(arguments, "");
            (!found.status.success())
                .then(|| format!("{arguments:?}: {}", String::from_utf8_lossy(&found.stdout)))
        };
        self.homes[0].write("export", &self.export());
        let export = self.homes[0].path("export").display().to_string();
        [
            verify(&["ledger", "verify"]),
            verify(&["ledger", "verify", &export]),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Copies what there is to look at to a place that outlives the proof.
    fn keep(&self) -> String {
        let folder = format!("midwatch-kill9-{}-{}", std::process::id(), self.name);
        let folder = std::env::temp_dir().join(folder);
        let copied: std::io::Result<()> = (|| {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("export"), self.export())?;
            std::fs::write(folder.join("deaths"), format!("{:#?}", self.deaths))?;
            for (n, home) in self.homes.iter().enumerate() {
                for name in ["log", "marks", "answers"] {
                    let from: PathBuf = home.path(name);
                    if from.exists() {
                        std::fs::copy(from, folder.join(format!("{name}-{n}")))?;
                    }
                }
            }
            Ok(())
        })();
        match copied {
            Ok(()) => folder.display().to_string(),
            Err(why) => format!("nowhere: {why}"),
        }
    }
}

fn home(slack: &FakeSlack, channels: &[String]) -> Home {
    let files = commands::files(channels);
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Home::of_files(&files)
        .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
        .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
        .setting("SLACK_API_URL", slack.api_url())
}

/// Leads deliveries to one open door after the other.
async fn lead(slack: FakeSlack, doors: Arc<Mutex<Vec<Option<String>>>>) {
    for n in 0_usize.. {
        let open: Vec<String> = doors.lock().unwrap().iter().flatten().cloned().collect();
        if open.len() > 1 {
            slack.use_http(&open[n % open.len()]);
        }
        tokio::time::sleep(ONE_DOOR_FOR).await;
    }
}

/// What came of a yard in which all is as it must be.
pub(super) struct Found {
    pub(super) ground: &'static str,
    pub(super) kills: usize,
    pub(super) while_starting: usize,
    pub(super) at_points: usize,
    pub(super) commands: usize,
    pub(super) acknowledged: usize,
    /// `once` steps that were done.
    pub(super) once: usize,
    /// `once` steps that nobody can know of.
    pub(super) unknown: usize,
    pub(super) taken_up: usize,
    pub(super) entries: usize,
    pub(super) ready_after: Vec<Duration>,
    more: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, {} commands, {} attempts taken up again, {} entries; {}",
            self.kills, self.commands, self.taken_up, self.entries, self.more
        )
    }
}
