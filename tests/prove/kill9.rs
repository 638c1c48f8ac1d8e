//! kill -9 at random moments of a mixed workload: nothing is lost, no `once` step runs twice, what can't be known is shown.
//!
//! The real program, over one data folder, against a Slack with state. Where midwatch alone is killed, no step
//! is interrupted; in every second round supervisors of steps die with it. The seed fixes what is typed and when it
//! is killed; what the machine makes of it differs from run to run.

mod judge;
mod people;
mod record;
mod yard;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::{Signal, kill_process};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::judge::Evidence;
use self::people::{People, Said};
use self::record::{Marks, Record, threads};
use super::{Found, Round};
use crate::bot::{Bot, Home};
use crate::fakes::slack::{BOT_TOKEN, FakeSlack, SIGNING_SECRET};

/// So many that the pace of one message a second and channel does not become what is tested.
const CHANNELS: usize = 48;
/// What is typed in each round.
const COMMANDS: usize = 12;
/// Between two rounds: some of what is owed to Slack is delivered, so that many rounds do not pile it up for minutes.
const REST: Duration = Duration::from_millis(1_200);
/// The longest that midwatch may take from start to ready, in 99 of 100 starts.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// How long everything may take to settle after the last kill.
///
/// Long, because each start reads the history of all channels, and the platform then lets us look for posts in doubt by
/// the same method only minutes later.
const SETTLE_WITHIN: Duration = Duration::from_secs(240);
/// And so much more for each round: at the pace of its channels, Slack is told later than things happen.
const SETTLE_MORE: Duration = Duration::from_secs(2);
/// The longest step: a child may outlive midwatch for so long, and leave its mark then.
const LONGEST_STEP: Duration = Duration::from_secs(2);

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    Found::Held(runtime.block_on(kill_and_look(round)))
}

async fn kill_and_look(round: Round) -> String {
    let mut random = StdRng::seed_from_u64(round.seed);
    let slack = FakeSlack::start().await;
    let channels: Vec<String> = (10..10 + CHANNELS).map(|n| format!("C{n}")).collect();
    let mut yard = Yard::new(&slack, &channels);
    let mut people = People::new(slack.clone(), channels);
    let mut desk = JoinSet::new();
    desk.spawn(people.desk());

    let mut bot = yard.start().await;
    for number in 0..round.rounds {
        let until_kill = Duration::from_millis(random.random_range(40..1_800));
        people.type_commands(number, COMMANDS, until_kill, &mut random);
        tokio::time::sleep(until_kill).await;
        bot.kill9();
        yard.kills += 1;
        if number % 2 == 1 {
            yard.kill_supervisors(&mut random);
        }
        if random.random_bool(0.25) {
            yard.kill_while_starting(Duration::from_millis(random.random_range(5..250)));
        }
        bot = yard.start().await;
        tokio::time::sleep(REST).await;
    }
    people.all_typed().await;
    yard.settle(&people, round.rounds).await;
    // Whoever outlived a kill has left its mark by now, rightly or not.
    tokio::time::sleep(LONGEST_STEP).await;
    assert!(
        bot.stop().success(),
        "midwatch did not stop as it was asked to: {}",
        yard.keep()
    );
    desk.abort_all();
    yard.verdict(&people, round)
}

struct Yard {
    home: Home,
    slack: FakeSlack,
    ready_after: Vec<Duration>,
    kills: u32,
    killed_while_starting: u32,
    /// Attempts whose supervisor was killed, as their folders are named.
    lost: HashSet<String>,
}

impl Yard {
    fn new(slack: &FakeSlack, channels: &[String]) -> Self {
        let files = yard::files(channels);
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let home = Home::of_files(&files)
            .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
            .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
            .setting("SLACK_API_URL", slack.api_url());
        Self {
            home,
            slack: slack.clone(),
            ready_after: Vec::new(),
            kills: 0,
            killed_while_starting: 0,
            lost: HashSet::new(),
        }
    }

    async fn start(&mut self) -> Bot {
        let bot = self.home.serve().await;
        self.ready_after.push(bot.ready_after);
        self.slack.use_http(&bot.url(""));
        bot
    }

    /// Starts it, and kills it before it is ready, or just after.
    fn kill_while_starting(&mut self, after: Duration) {
        let mut starting = self.home.command(&["serve"]);
        starting
            .env("MIDWATCH_LISTEN", "127.0.0.1:0")
            .stderr(std::process::Stdio::null());
        let mut child = starting.spawn().expect("midwatch starts");
        std::thread::sleep(after);
        child.kill().expect("it can be killed");
        child.wait().expect("it is reaped");
        self.kills += 1;
        self.killed_while_starting += 1;
    }

    /// Kills most of the supervisors that live.
    fn kill_supervisors(&mut self, random: &mut StdRng) {
        for (process, attempt) in self.home.supervisors() {
            // One that has ended meanwhile left its result.
            if random.random_bool(0.8) && kill_process(process, Signal::KILL).is_ok() {
                self.lost.insert(attempt);
            }
        }
    }

    /// Waits until nothing is left to complain about; what is left at the deadline is found by the verdict.
    async fn settle(&self, people: &People, rounds: u32) {
        let deadline = Instant::now() + SETTLE_WITHIN + SETTLE_MORE * rounds;
        while Instant::now() < deadline {
            let wait = |evidence: &Evidence<'_>| {
                !evidence.complaints().is_empty() && !evidence.is_past_mending()
            };
            if !self.look(people, wait) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn export(&self) -> String {
        let export = self.home.run(&["ledger", "export"], "");
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
    fn complaints(&self, people: &People) -> Vec<String> {
        self.look(people, |evidence| evidence.complaints())
    }

    fn look<T>(&self, people: &People, see: impl FnOnce(&Evidence<'_>) -> T) -> T {
        let record = Record::of(&self.export());
        let marks = Marks::read(&self.home.path(""));
        let (threads, doubled) = threads(&self.slack, &people.channels);
        let said = people.said.lock().unwrap();
        see(&Evidence {
            said: &said,
            record: &record,
            marks: &marks,
            threads: &threads,
            doubled: &doubled,
            lost: &self.lost,
        })
    }

    fn verdict(&self, people: &People, round: Round) -> String {
        let mut complaints = self.complaints(people);
        complaints.extend(
            self.slack
                .violations()
                .into_iter()
                // Who was killed can't remember how long it was told to wait; `storm429` looks at one life.
                .filter(|it| !it.contains("before Retry-After had passed"))
                .map(|it| format!("slack: {it}")),
        );
        complaints.extend(self.ledger());
        let mut ready = self.ready_after.clone();
        ready.sort();
        let p99 = ready[(ready.len() * 99).div_ceil(100) - 1];
        if p99 > READY_WITHIN {
            complaints.push(format!(
                "from start to ready it took {p99:?} at the 99th percentile"
            ));
        }
        if !complaints.is_empty() {
            let shown = complaints.len().min(25);
            let kept = self.keep();
            panic!(
                "{} complaints after {} kills, seed {}; all of it is in {kept}:\n- {}",
                complaints.len(),
                self.kills,
                round.seed,
                complaints[..shown].join("\n- ")
            );
        }
        self.look(people, |evidence| {
            self.sum_up(evidence, p99, ready[ready.len() - 1])
        })
    }

    /// The ledger in place, and its export against checkpoints as they stand in the threads.
    fn ledger(&self) -> Vec<String> {
        let verify = |arguments: &[&str]| {
            let found = self.home.run(arguments, "");
            (!found.status.success())
                .then(|| format!("{arguments:?}: {}", String::from_utf8_lossy(&found.stdout)))
        };
        self.home.write("export", &self.export());
        let export = self.home.path("export").display().to_string();
        [
            verify(&["ledger", "verify"]),
            verify(&["ledger", "verify", &export]),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn sum_up(&self, evidence: &Evidence<'_>, p99: Duration, longest: Duration) -> String {
        let Said {
            sent,
            pressed,
            delivered_again,
            odd_answers,
        } = evidence.said;
        let acknowledged = sent.iter().filter(|sent| sent.acknowledged).count();
        let interrupted: Vec<String> = ["read", "idempotent", "keyed", "checked", "once"]
            .map(|effect| format!("{effect} {}", evidence.interrupted(effect)))
            .to_vec();
        format!(
            "{} kills ({} of them while starting), {} commands ({acknowledged} acknowledged, {} answered otherwise, {delivered_again} delivered again), \
             {} presses; runs by outcome {:?}; {} attempts taken up again, {} supervisors killed, interrupted steps: {}; {} marks; {} ledger entries, {} starts recorded; \
             start to ready p99 {} ms, longest {} ms",
            self.kills,
            self.killed_while_starting,
            sent.len(),
            odd_answers.len(),
            pressed.len(),
            evidence.outcomes(),
            self.home.log().matches("is taken up again").count(),
            self.lost.len(),
            interrupted.join(", "),
            evidence.marks.count,
            evidence.record.entries,
            evidence.record.starts,
            p99.as_millis(),
            longest.as_millis(),
        )
    }

    /// Copies what there is to look at to a place that outlives the proof.
    fn keep(&self) -> String {
        let folder = std::env::temp_dir().join(format!("midwatch-kill9-{}", std::process::id()));
        let copied: std::io::Result<()> = (|| {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("export"), self.export())?;
            for name in ["log", "marks", "answers"] {
                let from: PathBuf = self.home.path(name);
                if from.exists() {
                    std::fs::copy(from, folder.join(name))?;
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
