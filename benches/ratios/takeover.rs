//! From the kill -9 of a replica until another has walked what it took in, delivers its postings, and goes on with its
//! run, against the spans for which these were the dead one's.

use std::time::{Duration, Instant};

use midwatch::clock::Clock;
use midwatch::engine::LEASE;

use super::engines::{Engine, Raw};
use super::files::{Home, channel};
use super::measure::{Ratios, median, pass_over};
use super::replicas::Replica;
use crate::fakes::slack::FakeSlack;

const ROUNDS: usize = 3;
/// Taken in right before the kill.
const BURST: usize = 64;
/// As `TAKEN_FOR` of `store/inbox.rs` and `DUTY` of `chat/outbox.rs`.
const TAKEN_FOR: Duration = Duration::from_secs(2);
const DUTY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run() {
    if !Engine::all().contains(&Engine::Postgres) {
        return pass_over("takeover", "PostgreSQL is not installed");
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rounds: Vec<[Duration; 3]> = (0..ROUNDS).map(|_| runtime.block_on(round())).collect();
    let parts = [
        ("inbounds walked", TAKEN_FOR),
        ("postings delivered", DUTY),
        ("the run goes on", LEASE),
    ];
    for (n, (what, span)) in parts.into_iter().enumerate() {
        let took: Vec<f64> = rounds.iter().map(|it| it[n].as_secs_f64()).collect();
        let ratios = Ratios::of(took.iter().map(|it| it / span.as_secs_f64()));
        let more = format!("; {:.1} s of {span:?}", median(&took));
        ratios.print(&format!("takeover, {what}, times its span"), &more);
    }
}

fn home() -> Home {
    let home = Home::new();
    let step = |name: &str, argv: &str| {
        format!(
            "command: {name}\ndoes: Rests.\nrisk: low\nundo: none\nparameters:\n  environment: {{ type: environment }}\n\
             steps:\n  - name: rest\n    run: {argv}\n    effect: idempotent\n    timeout: 60s\n"
        )
    };
    home.write("commands/rest.yaml", &step("rest", "['true']"));
    home.write("commands/long.yaml", &step("long", "[sleep, '20']"));
    home.write(
        "runbooks/people.yaml",
        "people:\n  ana: { name: Ana Ruiz, slack: U0ANA }\ngroups:\n  crew: [ana]\n",
    );
    let book = format!(
        "project: one\nabout: A benchmark.\nowner: crew\nchannels: [{}]\nenvironments:\n  prod: {{}}\nrules:\n  \
         - {{ may: everything, who: crew }}\n  - otherwise: ask Ana\nescalation:\n  - {{ at: 0m, call: crew }}\n",
        channel(0)
    );
    home.write("runbooks/one.yaml", &book);
    home
}

async fn round() -> [Duration; 3] {
    let slack = FakeSlack::start().await;
    slack.add_channel(&channel(0), true);
    let one = home();
    let url = Engine::Postgres.database(&one, "").await;
    // The first one has the duty to deliver.
    let first = Replica::start(one, &url, &slack, None);
    let second = Replica::start(home(), &url, &slack, Some(&first));
    let mut raw = Raw::to(&url).await;
    let run = begin_long(&first, &mut raw).await;
    first.hears("rest prod", BURST, Clock::system().now()).await;
    drop(first);
    let killed = Instant::now();
    let calls = || slack.calls("chat.postMessage") + slack.calls("chat.update");
    let (delivered, waiting) = (
        calls(),
        "select count(*) from inbound where concluded_at is null",
    );
    assert!(raw.number(waiting).await > 0, "something was left to walk");
    let goes_on = format!("select count(*) from steps where run = '{run}' and attempt > 1");
    let mut found: [Option<Duration>; 3] = [None; 3];
    while found.iter().any(Option::is_none) {
        assert!(killed.elapsed() < PATIENCE, "nobody takes over: {found:?}");
        let now = [
            raw.number(waiting).await == 0,
            calls() > delivered,
            raw.number(&goes_on).await > 0,
        ];
        for (found, now) in found.iter_mut().zip(now) {
            *found = found.or_else(|| now.then(|| killed.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(second);
    found.map(|it| it.expect("looked for above"))
}

/// Begins long runs until this replica does one of them; answers which.
async fn begin_long(replica: &Replica, raw: &mut Raw) -> String {
    let home = std::fs::read_to_string(replica.home.path("data/home")).unwrap();
    let ours = format!(
        "select steps.run from steps join runs on runs.id = steps.run
         where steps.state = 'started' and runs.leased_by like '{}/%'",
        home.trim()
    );
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        replica.hears("long prod", 1, Clock::system().now()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        if let Some(run) = raw.texts(&ours).await.pop() {
            return run;
        }
    }
    panic!("the first replica takes no run");
}
