//! A midwatch that serves while its disk fails: people are refused, `/readyz` says why, and it goes on by itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use midwatch::engine::LEASE;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::crowd::{Answer, Crowd};
use super::disk::{Disk, Library};
use super::judge::{Evidence, Record};
use super::starting::copy_files;
use super::yard::{self, RING};
use super::{Place, Plan, Progress, Seen, says_why, told};
use crate::bot::{Bot, Home};
use crate::fakes::slack::FakeSlack;

/// How long a disk fails that does not fail once only.
const LASTING: Duration = Duration::from_secs(1);
/// Longer than a lease; what was begun before ends in that time, and can't be recorded.
const LONG: Duration = LEASE.saturating_add(Duration::from_secs(2));
/// Until when it must be ready again, after that.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// How long people are typing in a round.
const SPAN: Duration = Duration::from_millis(300);
/// What was typed makes the planned call by then, or more is typed.
const PATIENCE: Duration = Duration::from_millis(600);
/// By then it was made.
const MADE_WITHIN: Duration = Duration::from_secs(15);
/// How long everything may take to settle after the last trouble, at the pace of Slack's channels.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);

/// After so many rounds people wait until everything has settled: the disk decides how fast runs end, and who types on
/// and on sees only how long a queue becomes.
const REST_AFTER: usize = 12;
/// After so many a yard is judged and another opened: what is compared grows with all that happened in it.
const RENEW_AFTER: usize = 20 * REST_AFTER;

/// One home, its disk, and the people around it.
pub(super) struct Yard {
    pub(super) home: Home,
    pub(super) disk: Disk,
    crowd: Crowd,
    bot: Option<Bot>,
    client: reqwest::Client,
    killed: bool,
    log: bool,
    pub(super) seen: Seen,
}

impl Yard {
    /// Starts midwatch in a home of its own.
    pub(super) async fn open(library: &Library, log: bool) -> Self {
        let slack = FakeSlack::start().await;
        slack.let_read_fast(); // At each start all channels are read.
        let crowd = Crowd::new(slack.clone());
        let home = yard::connected(yard::home(&crowd.channels), &slack);
        let (home, disk) = Disk::below(home, library, log);
        let bot = home.serve().await;
        slack.use_http(&bot.url(""));
        Self {
            home,
            disk,
            crowd,
            bot: Some(bot),
            client: reqwest::Client::new(),
            killed: false,
            log,
            seen: Seen::default(),
        }
    }

    /// How many calls the whole workload makes, from the first command until nothing is left to do.
    pub(super) async fn rehearse(&mut self, random: &mut StdRng) -> u64 {
        let before = self.disk.calls();
        self.crowd.type_all(SPAN, random);
        self.settle().await;
        let complaints = self.complaints();
        assert!(
            complaints.is_empty(),
            "the disk works, and yet: {complaints:#?}"
        );
        self.disk.calls() - before
    }

    /// Kills it amid the workload and copies its data folder; then it goes on.
    pub(super) async fn copy_amid_work(&mut self, to: &Path, random: &mut StdRng) {
        self.crowd.type_all(SPAN, random);
        tokio::time::sleep(SPAN).await;
        self.kill();
        copy_files(&self.home.path("data"), to);
        self.start().await;
    }

    fn kill(&mut self) {
        self.killed = true;
        if let Some(bot) = self.bot.take() {
            bot.kill9();
        }
    }

    async fn start(&mut self) {
        let bot = self.home.serve().await;
        self.crowd.slack.use_http(&bot.url(""));
        self.bot = Some(bot);
    }

    /// Goes through these rounds, and tells what was seen.
    pub(super) async fn live_through(
        mut self,
        library: Arc<Library>,
        plans: Vec<Plan>,
        seed: u64,
        progress: Arc<Progress>,
    ) -> Vec<Seen> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut seen = Vec::new();
        for (number, plan) in plans.iter().enumerate() {
            if number > 0 && number % REST_AFTER == 0 {
                self.settle().await;
            }
            if number > 0 && number % RENEW_AFTER == 0 {
                let log = self.log;
                seen.push(self.close().await);
                if seen.iter().any(|it| !it.complaints.is_empty()) {
                    return seen; // More of the same would tell nothing.
                }
                self = Self::open(&library, log).await;
            }
            self.round(plan, &mut random).await;
            progress.step();
        }
        seen.push(self.close().await);
        seen
    }

    /// From the planned call on the disk fails, once or for a while. Then it is killed and started again, or goes on by
    /// itself.
    async fn round(&mut self, plan: &Plan, random: &mut StdRng) {
        let calls = if plan.lasting { u64::MAX } else { 1 };
        self.disk.fail(plan.k, plan.trouble, calls);
        self.crowd.type_all(SPAN, random);
        self.until_it_fails(plan).await;
        if plan.lasting {
            self.endure(plan).await;
        }
        if plan.place == Place::Killed {
            // What was refused last must not come to life: what it tried to write may be on the disk, whole.
            if plan.lasting {
                self.crowd.ring().await;
            }
            self.kill();
            self.disk.heal();
            self.start().await;
            return;
        }
        self.disk.heal();
        let healed = Instant::now();
        loop {
            let (status, why) = self.readiness().await;
            if status == 200 {
                break;
            }
            if healed.elapsed() > READY_WITHIN {
                self.complain(plan, format!("not ready again: {status} {why}"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.seen.ready_again = self.seen.ready_again.max(healed.elapsed());
    }

    async fn until_it_fails(&mut self, plan: &Plan) {
        let began = Instant::now();
        let mut typed = began;
        while self.disk.failed() == 0 {
            if began.elapsed() > MADE_WITHIN {
                let what = format!("only {} calls were made", self.disk.calls());
                return self.complain(plan, what);
            }
            if typed.elapsed() > PATIENCE {
                self.crowd.type_later(RING, false, Duration::ZERO);
                typed = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// While nothing can be written: every command is refused, or in doubt where the disk took it and did not confirm
    /// it; `/readyz` says no and why.
    async fn endure(&mut self, plan: &Plan) {
        let long = plan.place == Place::LongServing;
        let until = Instant::now() + if long { LONG } else { LASTING };
        while Instant::now() < until {
            let answer = self.crowd.ring().await;
            let unconfirmed = answer == Answer::Slow && plan.trouble.leaves_doubt();
            if answer != Answer::Refused && !unconfirmed {
                self.complain(
                    plan,
                    format!("while nothing can be written it answered {answer:?}"),
                );
            }
            let (status, why) = self.readiness().await;
            if status != 503 || !says_why(&why) {
                self.complain(
                    plan,
                    format!("while nothing can be written /readyz says {status} {why}"),
                );
            }
            self.seen.noes += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn readiness(&self) -> (u16, String) {
        let Some(bot) = &self.bot else {
            return (0, "it does not run".to_owned());
        };
        let answer = self
            .client
            .get(bot.url("/readyz"))
            .timeout(Duration::from_secs(3))
            .send()
            .await;
        match answer {
            Ok(answer) => (
                answer.status().as_u16(),
                answer.text().await.unwrap_or_default(),
            ),
            Err(why) => (0, format!("{why:?}")),
        }
    }

    fn complain(&mut self, plan: &Plan, what: String) {
        self.seen.complaints.push(format!("{plan}: {what}"));
    }

    /// Waits until nothing is left to complain about; what is left at the deadline is found by [`Yard::close`].
    async fn settle(&mut self) {
        let began = Instant::now();
        self.crowd.rest().await;
        while began.elapsed() < SETTLE_WITHIN && !self.complaints().is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.seen.settled_after = self.seen.settled_after.max(began.elapsed());
        if began.elapsed() >= SETTLE_WITHIN {
            println!("iofail: not settled: {:#?}", self.complaints());
        }
    }

    fn complaints(&self) -> Vec<String> {
        let (export, said) = (self.export(), self.crowd.said.lock().unwrap());
        let evidence = Evidence {
            home: &self.home,
            slack: &self.crowd.slack,
            channels: &self.crowd.channels,
            said: &said,
            record: &Record::of(&export),
            killed: self.killed,
        };
        evidence.complaints()
    }

    fn export(&self) -> String {
        let (sound, export) = told(&self.home, &["ledger", "export"]);
        assert!(sound, "the ledger can't be exported: {export}");
        export
    }

    /// Settles, stops it, and holds everything against everything.
    async fn close(mut self) -> Seen {
        if self.seen.complaints.is_empty() {
            self.settle().await;
        }
        let mut complaints = self.complaints();
        if let Some(bot) = self.bot.take() {
            let status = tokio::task::block_in_place(|| bot.stop());
            if !status.success() {
                complaints.push(format!("it did not stop as it was asked to: {status}"));
            }
        }
        let (sound, why) = told(&self.home, &["ledger", "verify"]);
        if !sound {
            complaints.push(format!("the ledger does not verify: {why}"));
        }
        let log = self.home.log();
        let panics = log.lines().filter(|line| line.contains("panicked"));
        complaints.extend(panics.map(str::to_owned));
        complaints.extend(self.crowd.slack.violations());
        if !complaints.is_empty() {
            complaints.push(format!("all of it is in {}", self.keep()));
        }
        let record = Record::of(&self.export());
        let said = self.crowd.said.lock().unwrap();
        self.seen.complaints.extend(complaints);
        self.seen.typed = said.typed.len();
        self.seen.refusals = said.refusals;
        self.seen.longest = said.longest;
        self.seen.entries = record.entries;
        self.seen.outcomes = record.outcomes();
        drop(said);
        self.seen
    }

    /// Copies what there is to look at to a place that outlives the proof.
    fn keep(&self) -> String {
        let folder = std::env::temp_dir().join(format!(
            "midwatch-iofail-{}-{}",
            std::process::id(),
            self.crowd
                .slack
                .api_url()
                .rsplit(':')
                .next()
                .unwrap_or_default()
                .trim_end_matches("/api")
        ));
        let kept = std::fs::create_dir_all(&folder).and_then(|()| {
            std::fs::write(folder.join("export"), self.export())?;
            std::fs::copy(self.home.path("marks"), folder.join("marks"))?;
            std::fs::copy(self.home.path("log"), folder.join("log"))
        });
        match kept {
            Ok(_) => folder.display().to_string(),
            Err(why) => format!("no place: {why}"),
        }
    }
}
