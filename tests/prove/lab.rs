//! A laboratory for proofs: one project, one person who may everything, commands that leave marks to be counted.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use midwatch::domain::{InboundKey, OutputRef, PlannedStep, RunId, StepResult};
use midwatch::engine::actions::{Performed, Steps, Surroundings, Work, perform};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bot::Home;
use crate::fakes::slack::{BOT_TOKEN, FakeSlack, SIGNING_SECRET};

const PEOPLE: &str = "people:\n  ann: { name: Ann, slack: U1 }\ngroups:\n  crew: [ann]\n";

/// A home whose commands append a line to `marks` for each time they are done: the reference and the effect.
pub(crate) struct Lab {
    pub(crate) home: Home,
    channels: usize,
}

/// The address of the same database by another way.
pub(crate) fn through(url: &str, address: SocketAddr) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_port(Some(address.port())).unwrap();
    url.to_string()
}

/// A home whose one command appends its tag to `marks`, for one person: `account` is theirs, such as `slack: U1`.
pub(crate) fn yard(channels: &[String], account: &str) -> Home {
    let channels: Vec<String> = channels.iter().map(|it| format!("\"{it}\"")).collect();
    let runbook = format!(
        "project: yard\nabout: The proof's own.\nowner: all\nchannels: [{}]\nenvironments: {{ here: {{}} }}\n\
         rules:\n  - {{ may: mark, who: all }}\n  - otherwise: ask bo\n",
        channels.join(", ")
    );
    let people = format!("people:\n  bo: {{ name: Bo, {account} }}\ngroups: {{ all: [bo] }}\n");
    Home::of_files(&[
        ("mark.sh", "echo \"$1\" >> marks\n"),
        ("runbooks/people.yaml", &people),
        ("runbooks/yard.yaml", &runbook),
        (
            "commands/mark.yaml",
            "command: mark\ndoes: Leaves a mark.\nrisk: low\nundo: none\nparameters:\n  tag: { type: text, matches: '[a-z0-9-]{1,40}' }\n\
             steps:\n  - { name: mark, run: [sh, mark.sh, \"{tag}\"], effect: once }\n",
        ),
    ])
}

/// Longer than a lease, and than two looks for a run that is due.
const LONG_SECS: &str = "8";
const _: () = assert!(midwatch::engine::LEASE.as_secs() + 1 < 8);

impl Lab {
    /// On this database, with so many channels.
    pub(crate) fn new(slack: &FakeSlack, database: &str, channels: usize) -> Self {
        let names: Vec<String> = (1..=channels).map(|n| format!("C{n}")).collect();
        for channel in &names {
            slack.add_channel(channel, true);
        }
        let book = format!(
            "project: lab\nabout: A laboratory.\nowner: crew\nchannels: [lab, {}]\nenvironments:\n  one: {{}}\n\
             rules:\n  - {{ may: everything, who: crew }}\n  - otherwise: ask Ann\n\
             escalation:\n  - {{ at: 0m, call: crew }}\n",
            names.join(", ")
        );
        let home = Home::of_files(&[
            ("runbooks/people.yaml", PEOPLE),
            ("runbooks/lab.yaml", &book),
            ("commands/mark.yaml", &mark("mark", "once", "0")),
            ("commands/once.yaml", &mark("once", "once", "1")),
            ("commands/again.yaml", &mark("again", "idempotent", "1")),
            ("commands/long.yaml", &mark("long", "once", LONG_SECS)),
        ])
        .setting("DATABASE_URL", database)
        .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
        .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
        .setting("SLACK_API_URL", slack.api_url());
        home.write("mark", SCRIPT);
        make_executable(&home);
        Self { home, channels }
    }

    /// Makes this one a replica of another: its key and its commands, and so its marks.
    pub(crate) fn shares_with(&mut self, other: &Self) {
        let key = std::fs::read_to_string(other.home.path("data/ledger.key")).unwrap();
        self.home.write("data/ledger.key", &key);
        self.home
            .set("MIDWATCH_COMMANDS", other.home.path("commands").display());
    }

    /// The channel for the n-th command: the pace of one message a second and channel must not be what is measured.
    pub(crate) fn channel(&self, n: usize) -> String {
        format!("C{}", n % self.channels + 1)
    }

    /// How often a step was done.
    pub(crate) fn marks(&self) -> usize {
        self.marked().len()
    }

    /// A line for each time: `REFERENCE EFFECT`.
    pub(crate) fn marked(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.home.path("marks")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Roots that say that their run succeeded.
    pub(crate) fn ended(&self, slack: &FakeSlack) -> usize {
        self.roots(slack, "succeeded")
    }

    /// How many roots have these words.
    pub(crate) fn roots(&self, slack: &FakeSlack, words: &str) -> usize {
        let all = self.headlines(slack);
        all.iter().filter(|it| it.contains(words)).count()
    }

    /// What the root of each run says first. A root is marked with the run's id, other messages with a number.
    pub(crate) fn headlines(&self, slack: &FakeSlack) -> Vec<String> {
        let all = (1..=self.channels).flat_map(|n| slack.messages(&format!("C{n}")));
        let mark = |metadata: &serde_json::Value| metadata["event_payload"]["id"].to_string();
        all.filter(|it| mark(&it.metadata).contains('-'))
            .map(|it| it.text.lines().next().unwrap_or_default().to_owned())
            .collect()
    }

    /// Verifies the ledger in place.
    pub(crate) fn ledger_is_sound(&self) {
        let verified = tokio::task::block_in_place(|| self.home.run(&["ledger", "verify"], ""));
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        let error = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(verified.status.success(), "{said}{error}");
    }
}

/// Appends its arguments as one line, in one write, before and so also when it is killed later.
const SCRIPT: &str = "#!/bin/sh\necho \"$1 $2\" >> marks\nexec sleep \"$3\"\n";

fn mark(name: &str, effect: &str, seconds: &str) -> String {
    format!(
        "command: {name}\ndoes: Leaves a mark.\nrisk: low\nundo: none\n\
         parameters:\n  environment: {{ type: environment }}\n\
         steps:\n  - name: mark\n    run: [./mark, \"{{run.reference}}\", {effect}, \"{seconds}\"]\n    effect: {effect}\n\
         \x20   timeout: 60s\n"
    )
}

fn make_executable(home: &Home) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = home.path("mark");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Does one step as the engine does, with its supervisor's folder below `data`. What it prints is thrown away.
pub(crate) async fn perform_step(
    step: &PlannedStep,
    surroundings: &Surroundings,
    data: &Path,
) -> StepResult {
    perform_and_hear(step, surroundings, data).await.0
}

/// The same, with what it printed.
pub(crate) async fn perform_and_hear(
    step: &PlannedStep,
    surroundings: &Surroundings,
    data: &Path,
) -> (StepResult, String) {
    static ATTEMPTS: AtomicU32 = AtomicU32::new(1);
    let of = OutputRef {
        run: RunId::of_inbound(&InboundKey::new(&["proof"])),
        position: 0,
        attempt: ATTEMPTS.fetch_add(1, Ordering::Relaxed),
    };
    let folder = Steps::of(data).expect("a folder has a path").folder(of);
    let work = Work {
        step,
        surroundings,
        folder: &folder,
        kept: 0,
    };
    let (sender, mut receiver) = mpsc::channel::<String>(4);
    let hear = async {
        let mut text = String::new();
        while let Some(piece) = receiver.recv().await {
            text.push_str(&piece);
        }
        text
    };
    let stop = CancellationToken::new();
    let (performed, text) = tokio::join!(perform(&work, sender, &stop), hear);
    let result = match performed {
        Performed::Ended { result, .. } => result,
        Performed::Lost => StepResult::Unknown {
            why: "the supervisor was lost".to_owned(),
        },
    };
    (result, text)
}
