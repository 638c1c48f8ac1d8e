//! A whole midwatch in this process, its clock in our hand: store, dispatch and engine are real, so are the programs.

use futures_util::FutureExt as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use midwatch::catalog::{Folders, load};
use midwatch::clock::Clock;
use midwatch::dispatch::Dispatch;
use midwatch::domain::{
    Due, Fact, Inbound, InboundKey, Manner, Outcome, Phase, Place, Platform, Run, RunEvent, RunId,
    Source, Speaker, SpeakerKind, next,
};
use midwatch::engine::actions::{HttpClient, Steps, Surroundings};
use midwatch::engine::secrets::LocalSecrets;
use midwatch::engine::{Engine, LEASE};
use midwatch::store::{Receipt, Store, StoreSettings, WorkerId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::readings::later;

/// How long something that is due may take.
const SOON: Duration = Duration::from_secs(30);
/// How long we look whether something happens that should not.
const A_WHILE: Duration = Duration::from_millis(120);
/// How many are told at the same time.
const AT_ONCE: usize = 4;

/// Waits for a word, and leaves its mark before.
const SLOW: &str = "echo $1 >> marks; while [ ! -e go ]; do sleep 0.02; done\n";
const FILES: [(&str, &str); 9] = [
    ("slow.sh", SLOW),
    ("mark.sh", "echo $1 >> marks; exit $2\n"),
    (
        "commands/quick.yaml",
        "command: quick\ndoes: Leaves a mark.\nundo: none\nsteps: [{ name: quick, run: [sh, mark.sh, quick, \"0\"] }]\n",
    ),
    (
        "commands/slow.yaml",
        "command: slow\ndoes: Waits.\nundo: none\nsteps: [{ name: slow, run: [sh, slow.sh, slow], timeout: 10m }]\n",
    ),
    (
        "commands/flaky.yaml",
        "command: flaky\ndoes: Fails.\nundo: none\nsteps: [{ name: flaky, run: [sh, mark.sh, flaky, \"1\"], effect: idempotent, attempts: 3 }]\n",
    ),
    (
        "commands/asked.yaml",
        "command: asked\ndoes: Leaves a mark.\nundo: none\nsteps: [{ name: asked, run: [sh, mark.sh, asked, \"0\"] }]\n",
    ),
    (
        "commands/fresh.yaml",
        "command: fresh\ndoes: Leaves a mark.\nundo: none\nfresh: 10m\nsteps: [{ name: fresh, run: [sh, mark.sh, fresh, \"0\"], effect: idempotent }]\n",
    ),
    (
        "runbooks/people.yaml",
        "people:\n  ana: { name: Ana, slack: U0ANA }\n  bo: { name: Bo, slack: U0BO }\ngroups: { all: [ana, bo] }\n",
    ),
    (
        "runbooks/house.yaml",
        "project: house
about: The proof's own.
owner: all
channels: [C1]
rules:
  - { may: asked, who: all, after: { approvals: 1, of: all, within: 15m } }
  - { may: [quick, slow, flaky, fresh], who: all }
  - otherwise: ask ana
escalation: [{ at: 0m, call: \"@ana\" }]
",
    ),
];

/// What is told, each with a name.
type Story = (
    &'static str,
    fn(House) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
);

macro_rules! stories {
    ($($name:ident),*) => { [$((stringify!($name), |house| Box::pin(house.$name()))),*] };
}

const STORIES: [Story; 9] = stories![
    consent_runs_out_at_its_moment,
    consent_in_time_is_consent,
    attempts_keep_their_pause,
    a_step_outlives_every_jump,
    what_is_due_does_not_wait_for_the_clock,
    what_was_just_done_is_fresh_for_its_span,
    what_comes_late_is_asked_for_again,
    a_lease_lasts_as_long_as_it_says,
    deliveries_wait_as_long_as_they_were_told
];

#[derive(Default)]
pub(super) struct Stories {
    told: BTreeMap<&'static str, usize>,
}

impl Stories {
    /// Tells so many, one after the other of the list.
    pub(super) async fn tell(mut self, seed: u64, count: u32) -> String {
        let mut telling = JoinSet::new();
        for seed in (seed..).take(count as usize) {
            if telling.len() >= AT_ONCE {
                self.told(telling.join_next().await);
            }
            let place = usize::try_from(seed % STORIES.len() as u64).expect("a short list");
            let (name, story) = STORIES[place];
            let house = House::new(seed).await;
            telling.spawn(async move {
                let told = std::panic::AssertUnwindSafe(story(house))
                    .catch_unwind()
                    .await;
                (name, seed, told.is_ok())
            });
        }
        while !telling.is_empty() {
            self.told(telling.join_next().await);
        }
        format!("{count} stories ({} kinds)", self.told.len())
    }

    fn told(&mut self, end: Option<Result<(&'static str, u64, bool), tokio::task::JoinError>>) {
        let (name, seed, held) = end
            .expect("one is being told")
            .expect("it is told to its end");
        assert!(
            held,
            "clock: violated: `{name}`, seed {seed}: cargo test --test prove -- clock --seed {seed} --rounds 1"
        );
        *self.told.entry(name).or_default() += 1;
    }
}

/// A midwatch with a steered clock.
pub(super) struct House {
    random: StdRng,
    clock: Clock,
    store: Store,
    folder: tempfile::TempDir,
    said: u32,
    _tasks: JoinSet<()>,
}

impl House {
    async fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        // Two years are left to the ends of what can be said: the stories jump by one.
        let margin = SignedDuration::from_hours(24 * 800);
        let (least, most) = (Timestamp::MIN + margin, Timestamp::MAX - margin);
        let begin = super::readings::moment(&mut random).clamp(least, most);
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.expect("a temporary folder");
        for (name, text) in FILES {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let folders = Folders {
            commands: folder.path().join("commands"),
            runbooks: folder.path().join("runbooks"),
        };
        let loaded = load(&folders, &BTreeMap::new());
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        let clock = Clock::steered(begin);
        let settings = StoreSettings {
            url: format!("sqlite:{}", folder.path().join("midwatch.db").display()),
            data: folder.path().join("data"),
        };
        let store = Store::open(&settings, clock.now())
            .await
            .expect("a store of its own opens");
        let dispatch = Dispatch {
            store: store.clone(),
            catalog: Arc::new(ArcSwap::from_pointee(loaded.catalog)),
            roster: None,
            clock: clock.clone(),
            mirrors_on: Vec::new(),
        };
        let environment: BTreeMap<String, String> =
            [("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())].into();
        let engine = Engine {
            store: store.clone(),
            clock: clock.clone(),
            surroundings: Surroundings {
                secrets: Arc::new(LocalSecrets::new(&environment, None)),
                directory: folder.path().to_owned(),
                environment: Arc::new(environment),
                http: HttpClient::new().expect("a client"),
                supervisor: crate::bot::MIDWATCH.into(),
            },
            steps: Steps::of(&folder.path().join("data")).expect("the folder has a path"),
            worker: WorkerId("house".to_owned()),
            at_once: 2,
            drain: Duration::ZERO,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { dispatch.run(CancellationToken::new()).await });
        tasks.spawn(async move { engine.run(CancellationToken::new()).await });
        Self {
            random,
            clock,
            store,
            folder,
            said: 0,
            _tasks: tasks,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn marks(&self, name: &str) -> usize {
        let marks = std::fs::read_to_string(self.path("marks")).unwrap_or_default();
        marks.lines().filter(|it| *it == name).count()
    }

    /// The clock shows another time, and everybody looks at it.
    async fn set(&self, at: Timestamp) {
        self.clock.set(at);
        self.store.probe(at).await.expect("the store answers");
    }

    /// Likewise, and long enough for what must not happen.
    async fn set_and_wait(&self, at: Timestamp) {
        self.set(at).await;
        tokio::time::sleep(A_WHILE).await;
    }

    /// Somebody says something that was sent so long ago. Answers the run that may come of it.
    async fn say(&mut self, who: &str, text: &str, age: SignedDuration) -> RunId {
        self.said += 1;
        let now = self.clock.now();
        let inbound = Inbound {
            key: InboundKey::new(&["slack", "T1", "C1", &self.said.to_string()]),
            source: Source::Chat,
            speaker: Speaker {
                platform: Platform::Slack,
                space: "T1".to_owned(),
                id: format!("U0{}", who.to_uppercase()),
                kind: SpeakerKind::Person,
            },
            place: Place {
                platform: Platform::Slack,
                space: "T1".to_owned(),
                channel: "C1".to_owned(),
                thread: None,
            },
            manner: Manner::Said,
            text: text.to_owned(),
            sent_at: later(now, -age),
            received_at: now,
            form_handle: None,
        };
        let (key, run) = (inbound.key.clone(), RunId::of_inbound(&inbound.key));
        assert_eq!(self.store.receive(inbound).await.unwrap(), Receipt::New);
        let deadline = Instant::now() + SOON;
        while self.store.conclusion(&key).await.unwrap().is_none() {
            assert!(Instant::now() < deadline, "`{text}` is not concluded");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        run
    }

    async fn begin(&mut self, text: &str) -> Run {
        let id = self.say("bo", text, SignedDuration::ZERO).await;
        self.run(id)
            .await
            .unwrap_or_else(|| panic!("`{text}` has no run"))
    }

    async fn run(&self, id: RunId) -> Option<Run> {
        self.store.run(id).await.expect("the store answers")
    }

    /// Waits until the run is as it should be soon.
    async fn until(&self, id: RunId, what: &str, is: impl Fn(&Run) -> bool) -> Run {
        let deadline = Instant::now() + SOON;
        loop {
            let run = self.run(id).await.expect("it has begun");
            if is(&run) {
                return run;
            }
            assert!(
                Instant::now() < deadline,
                "at {} the run is not {what}: {run:?}",
                self.clock.now()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn ends(&self, id: RunId, outcome: Outcome) -> Run {
        let run = self.until(id, "ended", |run| run.outcome().is_some()).await;
        assert_eq!(run.outcome(), Some(outcome), "{run:?}");
        run
    }

    /// What happened to the run, in words; and that it ended once.
    async fn words(&self, id: RunId) -> Vec<&'static str> {
        let history = self
            .store
            .history(id)
            .await
            .expect("the store answers")
            .entries;
        let happened = history.iter().filter_map(|entry| match &entry.fact {
            Fact::Run { happened, .. } => Some(happened.word()),
            _ => None,
        });
        happened.collect()
    }

    fn a_jump(&mut self) -> SignedDuration {
        let hours = [1, -1, 24 * 366, -24 * 366, 25, -3];
        SignedDuration::from_hours(hours[self.random.random_range(0..hours.len())])
    }

    async fn consent_runs_out_at_its_moment(mut self) {
        let run = self.begin("asked").await;
        let Phase::AwaitingApproval { until, .. } = run.phase else {
            panic!("it needs consent: {run:?}");
        };
        assert_eq!(until, later(run.created_at, SignedDuration::from_mins(15)));
        let before = later(until, SignedDuration::from_millis(-1));
        for at in [
            before,
            later(until, SignedDuration::from_hours(-8_784)),
            before,
        ] {
            self.set_and_wait(at).await;
            let run = self.run(run.id).await.expect("it is there");
            assert_eq!(run.outcome(), None, "early: at {at}, not before {until}");
        }
        let jump = self.random.random_range(0..2) * 31_536_000;
        self.set(later(until, SignedDuration::from_secs(jump)))
            .await;
        self.ends(run.id, Outcome::Expired).await;
        self.set_and_wait(before).await;
        self.set_and_wait(later(until, SignedDuration::from_secs(1)))
            .await;
        assert_eq!(self.words(run.id).await, ["finished"]);
        assert_eq!(self.marks("asked"), 0);
    }

    async fn consent_in_time_is_consent(mut self) {
        let run = self.begin("asked").await;
        let last = later(run.created_at, SignedDuration::from_millis(900_000 - 1));
        let before = SignedDuration::from_hours(self.random.random_range(0..9_000));
        self.set(later(last, -before)).await;
        let approve = format!("approve {}", run.reference);
        self.say("ana", &approve, SignedDuration::ZERO).await;
        self.ends(run.id, Outcome::Succeeded).await;
        self.set_and_wait(later(last, SignedDuration::from_hours(1)))
            .await;
        let words = [
            "approved",
            "allowed",
            "step_started",
            "step_ended",
            "finished",
        ];
        assert_eq!(self.words(run.id).await, words);
        assert_eq!(self.marks("asked"), 1);
    }

    async fn attempts_keep_their_pause(mut self) {
        let run = self.begin("flaky").await;
        for attempt in 1..3 {
            let failed = self.until(run.id, "waiting for the next attempt", |run| {
                matches!(next(run, Timestamp::MIN), Due::Wait(_))
                    && run.steps[0].attempt() == attempt
            });
            let Due::Wait(moment) = next(&failed.await, Timestamp::MIN) else {
                panic!("it waits");
            };
            let pause = moment.duration_since(self.clock.now()).as_millis();
            let base = 1_000 << (attempt - 1);
            assert!(
                (base..=base * 3 / 2).contains(&pause),
                "a pause of {pause} ms"
            );
            let just_before = later(moment, SignedDuration::from_millis(-1));
            for at in [
                self.clock.now(),
                just_before,
                later(moment, SignedDuration::from_hours(-1)),
            ] {
                self.set_and_wait(at).await;
                assert_eq!(
                    self.marks("flaky"),
                    attempt as usize,
                    "early: at {at}, not before {moment}"
                );
            }
            let jump = self.random.random_range(0..2) * 3_600;
            self.set(later(moment, SignedDuration::from_secs(jump)))
                .await;
        }
        self.ends(run.id, Outcome::Failed).await;
        self.set_and_wait(later(self.clock.now(), SignedDuration::from_hours(1)))
            .await;
        assert_eq!(self.marks("flaky"), 3);
    }

    /// The worker is alive and well, whatever the clock shows: nobody takes its run, nobody calls it interrupted.
    async fn a_step_outlives_every_jump(mut self) {
        let run = self.begin("slow").await;
        self.until(run.id, "running", |run| run.phase == Phase::Running)
            .await;
        for _ in 0..3 {
            let jump = self.a_jump();
            self.set_and_wait(later(self.clock.now(), jump)).await;
        }
        std::fs::write(self.path("go"), "").expect("a file");
        self.ends(run.id, Outcome::Succeeded).await;
        assert_eq!(
            self.words(run.id).await,
            ["step_started", "step_ended", "finished"]
        );
        assert_eq!(self.marks("slow"), 1);
    }

    async fn what_is_due_does_not_wait_for_the_clock(mut self) {
        // Two are worked on, so the third is queued, and due, when the clock goes back.
        for _ in 0..2 {
            let run = self.begin("slow").await;
            self.until(run.id, "running", |run| run.phase == Phase::Running)
                .await;
        }
        let queued = self.begin("quick").await;
        let back = SignedDuration::from_hours(-self.random.random_range(1..9_000));
        self.set_and_wait(later(self.clock.now(), back)).await;
        std::fs::write(self.path("go"), "").expect("a file");
        self.ends(queued.id, Outcome::Succeeded).await;
        let typed = self.begin("quick").await;
        self.ends(typed.id, Outcome::Succeeded).await;
        assert_eq!(self.marks("quick"), 2);
    }

    async fn what_was_just_done_is_fresh_for_its_span(mut self) {
        let first = self.begin("fresh").await;
        let first = self.ends(first.id, Outcome::Succeeded).await;
        let done = first.finished_at.expect("it has ended");
        let span = SignedDuration::from_mins(10);
        let back = SignedDuration::from_secs(-self.random.random_range(1..100_000));
        for at in [SignedDuration::ZERO, span, back] {
            self.set(later(done, at)).await;
            let held = self.say("bo", "fresh", SignedDuration::ZERO).await;
            assert_eq!(self.run(held).await, None, "held {at} after it was done");
        }
        self.set(later(done, span + SignedDuration::from_millis(1)))
            .await;
        let second = self.begin("fresh").await;
        self.ends(second.id, Outcome::Succeeded).await;
        assert_eq!(self.marks("fresh"), 2);
    }

    async fn what_comes_late_is_asked_for_again(mut self) {
        let late = SignedDuration::from_millis(60_001 + self.random.random_range(0..90_000_000));
        let held = self.say("bo", "quick", late).await;
        assert_eq!(self.run(held).await, None, "sent {late} before");
        let in_time = self.say("bo", "quick", SignedDuration::from_secs(60)).await;
        self.ends(in_time, Outcome::Succeeded).await;
        assert_eq!(self.marks("quick"), 1);
        let asked = self.begin("asked").await;
        let approve = format!("approve {}", asked.reference);
        self.say("ana", &approve, late).await;
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(
            self.words(asked.id).await,
            [""; 0],
            "a late consent is none"
        );
        self.say("ana", &approve, SignedDuration::from_secs(60))
            .await;
        self.ends(asked.id, Outcome::Succeeded).await;
    }

    async fn a_lease_lasts_as_long_as_it_says(mut self) {
        let run = self.begin("slow").await;
        self.until(run.id, "running", |run| run.phase == Phase::Running)
            .await;
        // Not only recorded: who loses its lease before the program has begun does not begin it.
        let deadline = Instant::now() + SOON;
        while self.marks("slow") == 0 {
            assert!(Instant::now() < deadline, "its program does not begin");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (other, now) = (WorkerId("other".to_owned()), self.clock.now());
        let lease = SignedDuration::try_from(LEASE).expect("a short span");
        for at in [
            now,
            later(now, lease - SignedDuration::from_millis(1)),
            later(now, -lease * 9_000),
        ] {
            let taken = self.store.claim_run(&other, &[], at, LEASE).await.unwrap();
            assert!(taken.is_none(), "taken at {at}, and its lease is of {now}");
        }
        // Another worker's clock says that it has ended. From then on the first can change nothing.
        let taken = self
            .store
            .claim_run(&other, &[], later(now, lease), LEASE)
            .await
            .unwrap();
        let (theirs, _) = taken.expect("its lease has ended");
        std::fs::write(self.path("go"), "").expect("a file");
        self.set_and_wait(now).await;
        assert_eq!(self.words(run.id).await, ["step_started"]);
        let interrupted = RunEvent::StepInterrupted {
            position: 0,
            step: "slow".parse().unwrap(),
            attempt: 1,
            effect: midwatch::domain::Effect::Once,
        };
        let tell = Box::new(|_: &Run, _: Option<&str>| Vec::new());
        let recorded = self
            .store
            .record_run(&theirs, vec![interrupted], tell, now)
            .await;
        assert!(recorded.is_ok(), "{recorded:?}");
        assert_eq!(self.marks("slow"), 1);
    }

    async fn deliveries_wait_as_long_as_they_were_told(mut self) {
        let run = self.begin("quick").await;
        self.ends(run.id, Outcome::Succeeded).await;
        // Owed before the clock goes back, and due all the same.
        let back = later(
            self.clock.now(),
            SignedDuration::from_hours(-self.random.random_range(1..9_000)),
        );
        let due = |at| self.store.due_postings(Platform::Slack, at, 64);
        let found = due(back).await.unwrap();
        let root = found
            .first()
            .unwrap_or_else(|| panic!("nothing is due at {back}"))
            .id;
        let until = later(
            back,
            SignedDuration::from_millis(self.random.random_range(1..61_000)),
        );
        let postman = WorkerId("postman".to_owned());
        let duty = self.store.take_duty(Platform::Slack, &postman, back, LEASE);
        let duty = duty.await.unwrap().expect("nobody else delivers");
        self.store.begin_posting(&duty, root).await.unwrap();
        let defer = self
            .store
            .defer_posting(&duty, root, until, false, "told to wait");
        defer.await.unwrap();
        for (at, expected) in [
            (back, false),
            (later(until, SignedDuration::from_millis(-1)), false),
            (until, true),
            (later(until, SignedDuration::from_hours(8_784)), true),
        ] {
            let found = due(at).await.unwrap();
            let found = found.iter().any(|it| it.id == root);
            assert_eq!(found, expected, "at {at}, not before {until}");
        }
    }
}
