//! Commands a second, accepted and run by the real program on SQLite, and on PostgreSQL with one and with two replicas,
//! against the same rows in as many bare commits on the same engine.

use std::time::{Duration, Instant};

use midwatch::clock::Clock;

use super::engines::{Engine, Raw, open};
use super::files::{Home, Size, TYPED, channel};
use super::measure::{Ratios, median, per_second};
use super::replicas::Replica;
use crate::fakes::slack::FakeSlack;

const COMMANDS: usize = 256;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);
/// What a command leaves.
const TABLES: [&str; 8] = [
    "inbound",
    "commitments",
    "ledger",
    "checkpoints",
    "runs",
    "steps",
    "output",
    "outbox",
];

pub(crate) fn run() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for engine in Engine::all() {
        for replicas in [1, 2] {
            if engine == Engine::Sqlite && replicas > 1 {
                continue;
            }
            let rounds: Vec<Round> = (0..=ROUNDS)
                .map(|_| runtime.block_on(Round::of(engine, replicas)))
                .skip(1)
                .collect();
            let all = |of: fn(&Round) -> f64| rounds.iter().map(of).collect::<Vec<f64>>();
            let more = format!(
                "\n    accepted {:.0}/s, run {:.0}/s; bare {:.0}/s; {:.2} commits and {:.0} rows a command",
                median(&all(|it| per_second(COMMANDS, it.accepted))),
                median(&all(|it| per_second(COMMANDS, it.run))),
                median(&all(|it| per_second(COMMANDS, it.bare))),
                median(&all(|it| it.commits as f64 / COMMANDS as f64)),
                median(&all(|it| it.rows as f64 / COMMANDS as f64)),
            );
            let ratios = rounds
                .iter()
                .map(|it| it.bare.as_secs_f64() / it.run.as_secs_f64());
            let what = format!(
                "stores, accepted and run, share of bare, {} with {replicas} of them",
                engine.name()
            );
            Ratios::of(ratios).print(&what, &more);
        }
    }
}

struct Round {
    accepted: Duration,
    run: Duration,
    bare: Duration,
    commits: u64,
    rows: usize,
}

impl Round {
    async fn of(engine: Engine, replicas: usize) -> Self {
        let slack = FakeSlack::start().await;
        slack.add_channel(&channel(0), true);
        let home = || {
            Home::of_size(Size {
                projects: 1,
                rules: 1,
            })
        };
        let (first, bare) = (home(), home());
        let url = engine.database(&first, "midwatch.db").await;
        let mut all = vec![Replica::start(first, &url, &slack, None)];
        while all.len() < replicas {
            all.push(Replica::start(home(), &url, &slack, all.first()));
        }
        let mut raw = Raw::to(&url).await;
        let now = Clock::system().now();
        let began = Instant::now();
        let hearing = all
            .iter()
            .map(|it| it.hears(TYPED, COMMANDS / replicas, now));
        futures_util::future::join_all(hearing).await;
        let accepted = began.elapsed();
        let done = "select count(*) from runs where outcome = 'succeeded'";
        while raw.number(done).await < i64::try_from(COMMANDS).unwrap() {
            assert!(began.elapsed() < PATIENCE, "not all have run");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let run = began.elapsed();
        let mut commits = 0;
        for replica in &all {
            commits += replica.metric("midwatch_commits_total").await;
        }
        drop(all);
        let (bare, rows) = write_barely(engine, &bare, &mut raw, commits).await;
        Self {
            accepted,
            run,
            bare,
            commits,
            rows,
        }
    }
}

/// Writes the same rows into the same tables with as many commits, one connection, nothing else. Each row once: what the
/// program changed later on is not written again.
async fn write_barely(
    engine: Engine,
    home: &Home,
    from: &mut Raw,
    commits: u64,
) -> (Duration, usize) {
    let url = engine.database(home, "bare.db").await;
    let clock = Clock::system();
    open(home, &url, clock.now()).await.close().await;
    let mut to = Raw::to(&url).await;
    if engine == Engine::Postgres {
        to.run("set session_replication_role = replica").await;
    }
    let mut tables = Vec::new();
    for table in TABLES {
        let (read, write) = statements(engine, from, table).await;
        tables.push((write, from.texts(&read).await));
    }
    let commits = usize::try_from(commits).unwrap();
    let rows = tables.iter().map(|(_, rows)| rows.len()).sum();
    let began = Instant::now();
    for n in 0..commits {
        to.run("begin").await;
        for (write, rows) in &tables {
            let part = &rows[rows.len() * n / commits..rows.len() * (n + 1) / commits];
            if !part.is_empty() {
                to.write(write, &format!("[{}]", part.join(","))).await;
            }
        }
        to.run("commit").await;
    }
    (began.elapsed(), rows)
}

/// Reads a table's rows as JSON, and writes many of them with one statement.
async fn statements(engine: Engine, db: &mut Raw, table: &str) -> (String, String) {
    if engine == Engine::Postgres {
        return (
            format!("select row_to_json(it)::text from {table} it"),
            format!(
                "insert into {table} select * from json_populate_recordset(null::{table}, $1::json)"
            ),
        );
    }
    let columns = format!("select name from pragma_table_info('{table}')");
    let columns = db.texts(&columns).await;
    let each =
        |form: fn(&String) -> String| columns.iter().map(form).collect::<Vec<_>>().join(", ");
    (
        format!(
            "select json_object({}) from {table}",
            each(|it| format!("'{it}', {it}"))
        ),
        format!(
            "insert into {table} ({}) select {} from json_each($1)",
            columns.join(", "),
            each(|it| format!("value ->> '{it}'"))
        ),
    )
}
