//! What an engine makes of steps that another engine left behind.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::Arc;

use midwatch::clock::Clock;
use midwatch::domain::{
    Action, Effect, InboundKey, Outcome, OutputRef, Piece, Plan, Rendered, Run, RunAction, RunId,
    StepResult,
};
use midwatch::engine::Engine;
use midwatch::engine::actions::{HttpClient, Performed, Steps, Surroundings, Work, perform};
use midwatch::engine::secrets::LocalSecrets;
use midwatch::store::{Change, Conclusion, WorkerId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::bot::MIDWATCH;
use crate::world::{World, answered, at, inbound, queued_run, silent, started};

/// A store with one queued run, whose first step runs this script.
struct Left {
    world: World,
    run: Run,
    clock: Clock,
}

impl Left {
    async fn with(script: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default(); // Whoever comes second finds it installed.
        let world = World::new().await;
        let inbound = inbound(1);
        world.store.receive(inbound.clone()).await.unwrap();
        let mut run = queued_run(&inbound.key, Effect::Once);
        let plan = run.plan.as_mut().unwrap();
        plan.steps[0].action = shell(script);
        plan.steps[0].timeout_ms = 20_000;
        let conclusion = Conclusion {
            fact: answered(&inbound.key),
            inbound: inbound.key,
            change: Change::NewRun {
                run: Box::new(run.clone()),
                lock: None,
            },
            postings: Vec::new(),
        };
        world.store.conclude(conclusion, at(0)).await.unwrap();
        let clock = Clock::steered(at(0));
        Self { world, run, clock }
    }

    fn plan(&self) -> &Plan {
        self.run.plan.as_ref().unwrap()
    }

    fn first_attempt(&self) -> OutputRef {
        OutputRef {
            run: self.run.id,
            position: 0,
            attempt: 1,
        }
    }

    fn steps(&self) -> Steps {
        Steps::of(self.world.folder.path()).unwrap()
    }

    fn engine(&self) -> Engine {
        Engine {
            store: self.world.store.clone(),
            clock: self.clock.clone(),
            surroundings: surroundings(self.world.folder.path()),
            steps: self.steps(),
            worker: WorkerId("worker".to_owned()),
            at_once: 4,
            drain: Duration::from_millis(200),
        }
    }

    /// Records the first step as started, as an engine does that is killed then.
    async fn start_first_step(&self) {
        let (lease, _) = self.world.claim().await.unwrap();
        let store = &self.world.store;
        store
            .record_run(&lease, vec![started(0)], silent(), at(0))
            .await
            .unwrap();
        store.release_lease(&lease, at(0)).await.unwrap();
    }

    /// Lets an engine work until the run has ended.
    async fn finish(&self) -> Outcome {
        let working = Working::begin(self.engine());
        let began = Instant::now();
        let outcome = loop {
            let run = self.world.store.run(self.run.id).await.unwrap().unwrap();
            if let Some(outcome) = run.outcome() {
                break outcome;
            }
            assert!(began.elapsed() < SOON, "the run does not end: {run:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        working.end().await;
        outcome
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.world.data(name)).unwrap_or_default()
    }
}

/// An engine at work.
struct Working {
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl Working {
    fn begin(engine: Engine) -> Self {
        let (cancel, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let stop = cancel.clone();
        tasks.spawn(async move { engine.run(stop).await });
        Self { cancel, tasks }
    }

    async fn end(mut self) {
        self.cancel.cancel();
        self.tasks.join_next().await.unwrap().unwrap();
    }
}

fn surroundings(folder: &Path) -> Surroundings {
    let path = "/usr/local/bin:/usr/bin:/bin".to_owned();
    Surroundings {
        secrets: Arc::new(LocalSecrets::new(&[].into(), None)),
        directory: folder.to_owned(),
        environment: Arc::new([("PATH".to_owned(), path)].into()),
        http: HttpClient::new().unwrap(),
        supervisor: MIDWATCH.into(),
    }
}

fn shell(script: &str) -> Action<Rendered> {
    let argv = ["sh", "-c", script].map(|it| Rendered(vec![Piece::Text(it.to_owned())]));
    Action::Run(RunAction {
        argv: argv.into(),
        directory: None,
        environment: [].into(),
        pass: Vec::new(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_of_service_a_program_is_left_to_its_supervisor_and_found_again() {
    let script = "echo part 1; until [ -e go ]; do sleep 0.05; done; echo part 2; echo . >>times";
    let left = Left::with(script).await;
    let working = Working::begin(left.engine());
    let store = &left.world.store;
    while store.output(left.first_attempt()).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    working.end().await;
    assert_eq!(left.file("times"), "", "it is still going on");
    let let_go = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::fs::write(left.world.data("go"), "").unwrap();
    };
    // The clock stands still: only a lease that was handed back can be taken.
    let (outcome, ()) = tokio::join!(left.finish(), let_go);
    assert_eq!(outcome, Outcome::Succeeded);
    assert_eq!(left.file("times"), ".\n");
    let output = store.output(left.first_attempt()).await.unwrap();
    assert_eq!(output, "part 1\npart 2\n");
    assert!(!left.steps().folder(left.first_attempt()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_stands_as_started_is_begun_interrupted_or_known_by_its_folder() {
    let unknown = (Outcome::NeedsAttention, "");
    let (folder, program_started) = (&["lock"][..], &["lock", "started"][..]);
    for (name, files, after_secs, expected) in [
        ("no folder", None, 1, unknown),
        (
            "an empty folder",
            Some(&[][..]),
            1,
            (Outcome::Succeeded, ".\n"),
        ),
        (
            "its supervisor never began",
            Some(folder),
            1,
            (Outcome::Succeeded, ".\n"),
        ),
        (
            "it never began, and that was long ago",
            Some(folder),
            121,
            unknown,
        ),
        ("its supervisor was lost", Some(program_started), 1, unknown),
    ] {
        let left = Left::with("echo . >>times").await;
        left.start_first_step().await;
        let place = left.steps().folder(left.first_attempt());
        if let Some(files) = files {
            place.make().unwrap();
            for file in files {
                let name = format!("{}-0-1", left.run.id);
                std::fs::write(left.world.data("steps").join(name).join(file), "").unwrap();
            }
        }
        left.clock.set(at(after_secs * 1_000));
        let outcome = left.finish().await;
        assert_eq!((outcome, left.file("times").as_str()), expected, "{name}");
        assert!(!place.exists(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_was_told_nothing_before_midwatch_was_killed_gives_way_to_another() {
    let left = Left::with("echo . >>times").await;
    left.start_first_step().await;
    left.steps().folder(left.first_attempt()).make().unwrap();
    let name = format!("steps/{}-0-1/lock", left.run.id);
    let lock = std::fs::File::create(left.world.data(&name)).unwrap();
    lock.lock().unwrap();
    // It finds nobody at the other end of its pipe, and ends.
    let let_go = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        drop(lock);
    };
    let (outcome, ()) = tokio::join!(left.finish(), let_go);
    assert_eq!(outcome, Outcome::Succeeded);
    assert_eq!(left.file("times"), ".\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_whose_run_was_settled_without_it_is_ended() {
    let left = Left::with("true").await;
    let orphan = OutputRef {
        run: RunId::of_inbound(&InboundKey::new(&["unknown"])),
        ..left.first_attempt()
    };
    let folder = left.steps().folder(orphan);
    let mut step = left.plan().steps[0].clone();
    step.action = shell("echo $$ >pid; exec sleep 60");
    let (sender, _receiver) = mpsc::channel(4);
    let (cancel, surroundings) = (
        CancellationToken::new(),
        surroundings(left.world.folder.path()),
    );
    let work = Work {
        step: &step,
        surroundings: &surroundings,
        folder: &folder,
        kept: 0,
    };
    tokio::select! {
        performed = perform(&work, sender, &cancel) => panic!("{performed:?}"),
        () = wait("the program", || !left.file("pid").is_empty()) => {}
    }
    let pid = left.file("pid");
    let process = Path::new("/proc").join(pid.trim());
    assert!(process.exists());
    let working = Working::begin(left.engine());
    wait("the program's end", || !process.exists()).await;
    wait("an empty folder", || !folder.exists()).await;
    working.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_can_not_say_that_it_starts_starts_nothing_and_says_why() {
    let left = Left::with("echo . >>times").await;
    let folder = left.steps().folder(left.first_attempt());
    folder.make().unwrap();
    // What it wants to write to is no file: as good as a full disk.
    let name = format!("steps/{}-0-1/started.begun", left.run.id);
    std::fs::create_dir(left.world.data(&name)).unwrap();
    assert_eq!(left.finish().await, Outcome::Failed);
    let run = left.world.store.run(left.run.id).await.unwrap().unwrap();
    let why = format!("{:?}", run.steps[0]);
    let words = "its supervisor ended before it had started anything: Is a directory";
    assert!(why.contains(words), "{why}");
    assert_eq!(left.file("times"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_specification_starts_nothing() {
    let left = Left::with("echo . >>times").await;
    let folder = left.steps().folder(left.first_attempt());
    // Stands in for a supervisor, keeps its lock, and shows what one is told.
    let stand_in = left.world.data("stand-in");
    std::fs::write(
        &stand_in,
        format!(
            "#!/bin/sh\nexec 3>&1\ncat >{}/told\n",
            left.world.folder.path().display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o700)).unwrap();
    let surroundings = Surroundings {
        supervisor: stand_in,
        ..surroundings(left.world.folder.path())
    };
    let work = Work {
        step: &left.plan().steps[0],
        surroundings: &surroundings,
        folder: &folder,
        kept: 0,
    };
    let (sender, _receiver) = mpsc::channel(4);
    let performed = perform(&work, sender, &CancellationToken::new()).await;
    let Performed::Ended {
        result: StepResult::Failed { why },
        ..
    } = performed
    else {
        panic!("{performed:?}");
    };
    assert_eq!(why, "its supervisor ended before it had started anything");
    let told = left.file("told").into_bytes();
    assert!(told.len() > 100);
    let folder = left
        .world
        .data("steps")
        .join(format!("{}-0-1", left.run.id));
    for length in [0, 1, told.len() / 2, told.len() - 1] {
        assert!(
            !supervise(&folder, &told[..length]),
            "{length} bytes were enough"
        );
        assert!(!folder.join("started").exists() && !folder.join("result").exists());
        assert_eq!(left.file("times"), "", "{length} bytes were enough");
    }
    assert!(supervise(&folder, &told));
    assert_eq!(left.file("times"), ".\n");
    assert!(folder.join("result").exists());
}

/// Runs a supervisor with this specification. Whether it was content.
#[expect(clippy::disallowed_methods, reason = "starts the program under test")]
fn supervise(folder: &Path, specification: &[u8]) -> bool {
    let mut child = std::process::Command::new(MIDWATCH)
        .arg("supervise")
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(specification); // One that ends early reads no more.
    child.wait().unwrap().success()
}
