//! Two replicas on one PostgreSQL behind one workspace: each takes what comes in, one tells it, and the work of a dead one
//! goes on.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bad_day::{connected, facts, laboratory, serve, told};
use crate::bot::{Bot, Home};
use crate::cluster;
use crate::fakes::slack::FakeSlack;
use crate::world::connect;

const SOON: Duration = Duration::from_secs(30);
/// Sleeps, and may be done again.
const DOZE: &str = "command: doze\ndoes: Sleeps for a while.\nrisk: low\nundo: none\n\
    parameters:\n  environment: { type: environment }\n\
    steps:\n  - name: doze\n    run: [sleep, \"3\"]\n    effect: idempotent\n";

/// Two homes on one database, with one key and one folder of commands. `None` where PostgreSQL is not installed.
async fn pair(slack: &FakeSlack) -> Option<(Home, Home)> {
    let url = cluster::shared()?.database().await;
    let one = connected(laboratory(), slack).setting("DATABASE_URL", &url);
    one.write("commands/doze.yaml", DOZE);
    let two = connected(laboratory(), slack)
        .setting("DATABASE_URL", &url)
        .setting("MIDWATCH_COMMANDS", one.path("commands").display())
        .setting("MIDWATCH_RUNBOOKS", one.path("runbooks").display());
    let first = serve(&one, slack).await;
    assert!(first.stop().success());
    let key = std::fs::read_to_string(one.path("data/ledger.key")).unwrap();
    two.write("data/ledger.key", &key);
    Some((one, two))
}

fn stop(bots: impl IntoIterator<Item = Bot>) {
    for bot in bots {
        assert!(bot.stop().success());
    }
}

/// Roots of runs whose headline has these words.
fn roots(slack: &FakeSlack, words: &str) -> usize {
    let messages = slack.messages("C1");
    messages
        .iter()
        .filter(|it| it.thread.is_none() && it.text.contains(words))
        .count()
}

/// Waits until one run's root says so.
async fn one_is(slack: &FakeSlack, state: &str) {
    let seen = |slack: &FakeSlack| (roots(slack, state) == 1).then_some(());
    slack.wait_for(state, SOON, seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn either_replica_takes_what_comes_in_and_each_run_has_one_thread() {
    let slack = FakeSlack::start().await;
    let Some((one, two)) = pair(&slack).await else {
        return;
    };
    let bots = [one.serve().await, two.serve().await];
    for n in 0..6 {
        slack.use_http(&bots[n % 2].url(""));
        assert_eq!(slack.slash("U1", "C1", "mark one").await.status, 200);
    }
    slack
        .wait_for("six ends", SOON, |slack| {
            (roots(slack, "succeeded") == 6).then_some(())
        })
        .await;
    assert_eq!(roots(&slack, "mark one"), 6);
    let marks = std::fs::read_dir(one.path("marks")).unwrap().count();
    assert_eq!(marks, 6, "each was run once, in the folder that both name");
    stop(bots);
    assert_eq!(slack.violations(), Vec::<String>::new());
    let starts = facts(&two)
        .iter()
        .filter(|it| it["kind"] == "service")
        .count();
    assert_eq!(starts, 6, "three starts and three ends, in one ledger");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_of_a_dead_replica_is_taken_over_within_seconds() {
    let slack = FakeSlack::start().await;
    let Some((one, two)) = pair(&slack).await else {
        return;
    };
    let first = one.serve().await;
    slack.use_http(&first.url(""));
    assert_eq!(slack.slash("U1", "C1", "doze one").await.status, 200);
    one_is(&slack, "is running").await;
    let second = two.serve().await;
    first.kill9();
    let died = Instant::now();
    one_is(&slack, "succeeded").await;
    let elapsed = died.elapsed();
    assert!(
        elapsed < Duration::from_secs(14),
        "lease 6 s, step 3 s, and the rest: {elapsed:?}"
    );
    assert_eq!(roots(&slack, "doze one"), 1, "in the same thread");
    stop([second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_with_another_key_is_told_where_the_right_one_is() {
    let slack = FakeSlack::start().await;
    let Some((one, two)) = pair(&slack).await else {
        return;
    };
    std::fs::remove_file(two.path("data/ledger.key")).unwrap();
    let refused = two.run(&["serve"], "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("copy ledger.key from the folder"), "{said}");
    let bot = one.serve().await;
    stop([bot]);
}

/// Does to the database of a home what a newer version, or its administrator, does.
async fn do_there(home: &Home, statement: &str) {
    let mut db = connect(&database(home)).await;
    let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(statement));
    statement.execute(&mut db).await.unwrap();
}

fn database(home: &Home) -> String {
    let settings = home.command(&[]);
    let url = settings
        .get_envs()
        .find(|(name, _)| *name == "DATABASE_URL")
        .and_then(|(_, url)| url?.to_str().map(str::to_owned));
    url.unwrap()
}

/// The store of another replica, without the program.
async fn beside(home: &Home) -> midwatch::store::Store {
    let settings = midwatch::store::StoreSettings {
        url: database(home),
        data: home.path("data"),
    };
    let now = midwatch::clock::Clock::system().now();
    midwatch::store::Store::open(&settings, now).await.unwrap()
}

async fn metrics(bot: &Bot) -> String {
    let answer = reqwest::get(bot.url("/metrics")).await.unwrap();
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_newer_version_all_that_can_be_read_goes_on_and_who_asks_is_told() {
    let slack = FakeSlack::start().await;
    let Some((one, two)) = pair(&slack).await else {
        return;
    };
    let bot = one.serve().await;
    slack.use_http(&bot.url(""));
    assert_eq!(slack.slash("U1", "C1", "mark one").await.status, 200);
    let ended = |count: usize| {
        let slack = &slack;
        async move {
            let done = |slack: &FakeSlack| (roots(slack, "succeeded") == count).then_some(());
            slack.wait_for("ends", SOON, done).await;
        }
    };
    ended(1).await;
    let old = slack.messages("C1")[0].text.clone();
    let reference = old.split("ref ").nth(1).unwrap();
    let reference: String = reference
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    // A run, an inbound, a posting and a ledger entry of a newer version, each of which is due at once.
    do_there(
        &one,
        "alter table runs drop constraint runs_phase_check; alter table runs drop constraint runs_check;
         alter table runs drop constraint runs_check1; alter table inbound drop constraint inbound_platform_check;
         update runs set phase = 'paused', phase_json = '{\"paused\":{}}', due_at = 0, outcome = null, finished_at = null;
         insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until)
             values (900, 'teams/1', 'teams', '{\"key\":\"teams/1\",\"platform\":\"teams\"}', 0, 'newer', 0);
         insert into outbox (id, kind, platform, channel, place, body, final, state, not_before)
             values (900, 'answer', 'slack', '[\"T1\",\"C1\"]', '{}', '{\"kind\":\"hologram\"}', 0, 'waiting', 0)",
    )
    .await;
    for n in 2..=4 {
        assert_eq!(slack.slash("U1", "C1", "mark one").await.status, 200);
        ended(n).await;
    }
    for question in [
        format!("show {reference}"),
        format!("cancel {reference}"),
        "runs all".to_owned(),
    ] {
        slack.slash("U1", "C1", &question).await;
    }
    let heard = |slack: &FakeSlack| {
        let whispers = slack.whispers("U1");
        let texts: Vec<String> = whispers.iter().map(crate::fakes::slack::render).collect();
        let texts = texts.join("\n");
        let refused = format!("run {reference} was written by a newer version of midwatch");
        (texts.matches(&refused).count() == 2
            && texts.contains("Written by a newer version, which I can't read"))
        .then_some(())
    };
    slack.wait_for("words about it", SOON, heard).await;
    // The duty is left for a moment, so that the newer version could deliver what it alone can read.
    let newer = beside(&two).await;
    let worker = midwatch::store::WorkerId("newer/1".to_owned());
    let began = Instant::now();
    let duty = loop {
        let now = midwatch::clock::Clock::system().now();
        let platform = midwatch::domain::Platform::Slack;
        let lasting = Duration::from_secs(2);
        if let Some(duty) = newer
            .take_duty(platform, &worker, now, lasting)
            .await
            .unwrap()
        {
            break duty;
        }
        assert!(began.elapsed() < Duration::from_secs(45), "{}", one.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    newer.release_duty(duty).await.unwrap();
    newer.close().await;
    let metrics = metrics(&bot).await;
    let log = one.log();
    for what in ["run", "inbound", "posting"] {
        let counted = format!("midwatch_unreadable_total{{what=\"{what}\"}} ");
        let counted = metrics.lines().find_map(|line| line.strip_prefix(&counted));
        let count: u32 = counted.expect(what).parse().unwrap();
        // A run is called by its id where it is claimed, and by its reference where it is listed.
        assert!((1..=2).contains(&count), "{what}: {count}");
        let lines = log.lines().filter(|line| {
            line.contains(&format!("{what} ")) && line.contains("is left to a newer version")
        });
        assert_eq!(lines.count(), count as usize, "{what}: {log}");
    }
    assert!(!log.contains("no run could be claimed"), "{log}");
    stop([bot]);
    assert_eq!(slack.violations(), Vec::<String>::new());
}

/// Runs at most a while, once.
const LONG: &str = "command: long\ndoes: Makes a folder and sleeps.\nrisk: low\nundo: none\n\
    parameters:\n  environment: { type: environment }\n\
    steps:\n  - name: long\n    run: [sh, -c, 'mkdir \"marks/$0\" && sleep 4', \"{run.reference}\"]\n    effect: once\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_once_step_outlives_the_restart_of_its_replica_although_another_could_take_its_run() {
    let slack = FakeSlack::start().await;
    let Some((one, two)) = pair(&slack).await else {
        return;
    };
    one.write("commands/long.yaml", LONG);
    let first = one.serve().await;
    slack.use_http(&first.url(""));
    assert_eq!(slack.slash("U1", "C1", "long one").await.status, 200);
    one_is(&slack, "is running").await;
    let second = two.serve().await;
    first.kill9();
    // The lease has ended by then, and the other has looked.
    slack
        .wait_for("words about what is waited for", SOON, |slack| {
            (roots(slack, "the replica that runs the step is away") == 1).then_some(())
        })
        .await;
    let first = one.serve().await;
    one_is(&slack, "succeeded").await;
    assert_eq!(std::fs::read_dir(one.path("marks")).unwrap().count(), 1);
    assert_eq!(
        roots(&slack, "is away"),
        0,
        "nothing is waited for any more"
    );
    stop([first, second]);
    assert_eq!(slack.violations(), Vec::<String>::new());
}

/// Tells what `/readyz` of a bot says until its port closes: `200`, `503`, `closed`, each once in a row.
async fn watch_leaving(url: String, said: watch::Sender<Vec<String>>) {
    let client = reqwest::Client::new();
    while said.borrow().last().is_none_or(|last| last != "closed") {
        let answer = client.get(&url).send().await;
        let word = answer.map_or("closed".to_owned(), |it| it.status().as_str().to_owned());
        said.send_if_modified(|said| {
            let is_new = said.last() != Some(&word);
            said.extend(is_new.then_some(word));
            is_new
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_one_replica_after_the_other_is_replaced_nothing_is_lost_doubled_or_late() {
    let slack = FakeSlack::start().await;
    let Some((one, two)) = pair(&slack).await else {
        return;
    };
    let channels: Vec<String> = (1..=12).map(|n| format!("L{n}")).collect();
    let book = crate::bad_day::BOOK.replace("C1", &format!("C1, {}", channels.join(", ")));
    one.write("runbooks/lab.yaml", &book);
    for channel in &channels {
        slack.add_channel(channel, true);
    }
    let mut bots = [Some(one.serve().await), Some(two.serve().await)];
    let mut typed = 0;
    let mut slowest = Duration::ZERO;
    for round in 0..2 {
        for leaves in [0, 1] {
            let leaving = bots[leaves].take().unwrap();
            let stays = bots[1 - leaves].as_ref().unwrap();
            let (saying, mut said) = watch::channel(Vec::new());
            let mut watching = JoinSet::new();
            watching.spawn(watch_leaving(leaving.url("/readyz"), saying));
            said.wait_for(|said| !said.is_empty()).await.unwrap();
            leaving.signal(rustix::process::Signal::TERM);
            let leaving = tokio::task::spawn_blocking(move || leaving.stop());
            let home = [&one, &two][leaves];
            let mut again = None;
            let began = Instant::now();
            // Typed all the while: to the one that stays, as a load balancer does that asks /readyz.
            while again.is_none() || began.elapsed() < Duration::from_secs(4) {
                slack.use_http(&stays.url(""));
                let asked = Instant::now();
                let channel = &channels[typed % channels.len()];
                let ack = slack.slash("U1", channel, "mark one").await;
                assert_eq!((ack.status, ack.body.as_str()), (200, ""));
                slowest = slowest.max(asked.elapsed());
                typed += 1;
                if again.is_none() && leaving.is_finished() {
                    again = Some(home.serve().await);
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            assert!(leaving.await.unwrap().success());
            watching.join_all().await;
            let said = said.borrow().clone();
            assert_eq!(
                said,
                ["200", "503", "closed"],
                "round {round}, replica {leaves}"
            );
            bots[leaves] = again;
        }
    }
    let ended = |slack: &FakeSlack| {
        let all = channels.iter().flat_map(|channel| slack.messages(channel));
        let done = all.filter(|it| it.thread.is_none() && it.text.contains("succeeded"));
        (done.count() == typed).then_some(())
    };
    slack
        .wait_for("all ends", Duration::from_secs(60), ended)
        .await;
    let marks = std::fs::read_dir(one.path("marks")).unwrap().count();
    assert_eq!(marks, typed, "each was done once");
    let all = channels.iter().flat_map(|channel| slack.messages(channel));
    let threads = all.filter(|it| it.thread.is_none()).count();
    assert_eq!(threads, typed, "each has one thread");
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    println!(
        "rolling restart: {typed} commands over 4 restarts, slowest acknowledgement {slowest:?}"
    );
    stop(bots.into_iter().flatten());
    let ledger = told(&one, &["ledger", "verify"]);
    assert_eq!(ledger.code, Some(0), "{}{}", ledger.out, ledger.err);
    // Who was started anew can't remember what Slack told the one before it, or the other replica.
    let mut violations = slack.violations();
    violations.retain(|it| !it.contains("before Retry-After had passed"));
    assert_eq!(violations, Vec::<String>::new());
}

/// Lets the database tell a time that is so many seconds ahead of this host's.
async fn set_clock_of(home: &Home, seconds: i32) {
    let url = database(home);
    let name = url.rsplit('/').next().unwrap();
    let statement = format!(
        "create schema if not exists other_clock;
         create or replace function other_clock.clock_timestamp() returns timestamptz language sql
             as 'select pg_catalog.clock_timestamp() + interval ''{seconds} seconds''';
         alter database {name} set search_path = other_clock, pg_catalog, public"
    );
    do_there(home, &statement).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_clock_is_far_off_is_not_ready_and_says_why() {
    let slack = FakeSlack::start().await;
    let Some((one, _)) = pair(&slack).await else {
        return;
    };
    set_clock_of(&one, 12).await;
    let bot = one.serve().await;
    slack.use_http(&bot.url(""));
    assert_eq!(slack.slash("U1", "C1", "mark one").await.body, "");
    one_is(&slack, "succeeded").await;
    let behind = "this host's clock is 12.0 s behind the database's";
    assert!(one.log().contains(behind), "{}", one.log());
    let metrics = metrics(&bot).await;
    let gauge = metrics
        .lines()
        .find_map(|line| line.strip_prefix("midwatch_clock_ahead "));
    let ahead: f64 = gauge.unwrap().parse().unwrap();
    assert!((-13.0..-11.0).contains(&ahead), "{ahead}");
    let doctor = told(&one, &["doctor"]);
    assert!(
        doctor
            .out
            .contains("  warning  clock      this host's is 1"),
        "{}",
        doctor.out
    );
    // The function is looked up anew for each question: so the server's clock jumps beneath a running midwatch.
    set_clock_of(&one, 45).await;
    slack
        .wait_for("refusal", SOON, |_| {
            one.log()
                .contains("no work is taken until it is right")
                .then_some(())
        })
        .await;
    let answer = reqwest::get(bot.url("/readyz")).await.unwrap();
    assert_eq!(answer.status(), 503);
    let why = answer.text().await.unwrap();
    assert!(
        why.contains("this host's clock is 45.0 s behind the database's"),
        "{why}"
    );
    let refused = slack.slash("U1", "C1", "mark one").await;
    assert!(
        refused.body.contains("nothing was done"),
        "{}",
        refused.body
    );
    let doctor = told(&one, &["doctor"]);
    assert_eq!(doctor.code, Some(1), "{}", doctor.out);
    assert!(doctor.out.contains("  broken   clock "), "{}", doctor.out);
    set_clock_of(&one, 0).await;
    let began = Instant::now();
    while !bot.is_ready().await {
        assert!(began.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(slack.slash("U1", "C1", "mark one").await.body, "");
    slack
        .wait_for("end", SOON, |slack| {
            (roots(slack, "succeeded") == 2).then_some(())
        })
        .await;
    stop([bot]);
}

/// The line of a part.
fn part<'a>(doctor: &'a str, name: &str) -> &'a str {
    let is_it = |line: &&str| line.split_whitespace().nth(1) == Some(name);
    doctor.lines().find(is_it).unwrap_or_default().trim()
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_knows_postgresql() {
    let slack = FakeSlack::start().await;
    let Some((one, two)) = pair(&slack).await else {
        return;
    };
    let bots = [one.serve().await, two.serve().await];
    let doctor = told(&one, &["doctor"]).out;
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        ("postgres", "ok       postgres   PostgreSQL 1".to_owned()),
        (
            "account",
            "ok       account    `midwatch` may write and make tables in schema `public`"
                .to_owned(),
        ),
        ("schema", "ok       schema     ours, migration ".to_owned()),
        (
            "durability",
            "ok       durability what is committed is on the disk".to_owned(),
        ),
        (
            "notices",
            "ok       notices    replicas hear of each other's work at once".to_owned(),
        ),
        (
            "key",
            format!(
                "ok       key        {} fits: midwatch/",
                one.path("data/ledger.key").display()
            ),
        ),
        (
            "replicas",
            format!("ok       replicas   2 connected: {version} ("),
        ),
        (
            "clock",
            "ok       clock      this host's and the database's agree within a second".to_owned(),
        ),
    ];
    for (name, line) in expected {
        let found = part(&doctor, name);
        assert!(found.starts_with(&line), "{line}\n{found}\n{doctor}");
    }
    assert!(
        part(&doctor, "replicas").contains("(on this folder)"),
        "{doctor}"
    );
    assert!(part(&doctor, "replicas").contains("(home "), "{doctor}");
    assert!(
        part(&doctor, "way").contains(" ms there and back"),
        "{doctor}"
    );
    stop(bots);
    let url = database(&one);
    let name = url.rsplit('/').next().unwrap().to_owned();
    do_there(
        &one,
        &format!(
            "alter database {name} set synchronous_commit = off;
             insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9999, 'later', true, '\\x00', 0);
             create role visitor_{name} login; grant select on all tables in schema public to visitor_{name}"
        ),
    )
    .await;
    std::fs::remove_file(one.path("data/ledger.key")).unwrap();
    let told_now = told(&one, &["doctor"]);
    assert_eq!(told_now.code, Some(1), "{}", told_now.out);
    for (name, line) in [
        (
            "durability",
            "warning  durability synchronous_commit off: what midwatch acknowledged can be lost",
        ),
        (
            "schema",
            "warning  schema     newer by 1 migrations: a newer midwatch works on it",
        ),
        ("key", "broken   key "),
        ("replicas", "ok       replicas   none is connected"),
    ] {
        let found = part(&told_now.out, name);
        assert!(found.starts_with(line), "{line}\n{found}\n{}", told_now.out);
    }
    let visitor = url.replace("midwatch@", &format!("visitor_{name}@"));
    let visitor = two.setting("DATABASE_URL", visitor);
    let told_now = told(&visitor, &["doctor"]);
    assert_eq!(told_now.code, Some(1), "{}", told_now.out);
    assert!(
        part(&told_now.out, "account").starts_with("broken   account "),
        "{}",
        told_now.out
    );
    let empty = cluster::shared().unwrap().database().await;
    let empty = visitor.setting("DATABASE_URL", empty);
    let told_now = told(&empty, &["doctor"]);
    let schema =
        "missing  schema     no tables yet; the first start of `midwatch serve` makes them";
    assert_eq!(part(&told_now.out, "schema"), schema, "{}", told_now.out);
}

/// Many short steps, none of which may be done again.
const STRIDE: &str = "command: stride\ndoes: Takes its time.\nrisk: low\nundo: none\n\
    parameters:\n  environment: { type: environment }\nsteps:\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_many_short_steps_stays_with_the_replica_that_does_it() {
    let slack = FakeSlack::start().await;
    let Some((one, two)) = pair(&slack).await else {
        return;
    };
    let steps = [1, 2, 3, 4, 5, 6]
        .map(|n| format!("  - {{ name: s{n}, run: [sleep, \"1.6\"], effect: once }}\n"))
        .concat();
    one.write("commands/stride.yaml", &format!("{STRIDE}{steps}"));
    let bots = [one.serve().await, two.serve().await];
    slack.use_http(&bots[0].url(""));
    assert_eq!(slack.slash("U1", "C1", "stride one").await.status, 200);
    slack
        .wait_for("end", SOON, |slack| {
            (roots(slack, "succeeded") + roots(slack, "needs attention") == 1).then_some(())
        })
        .await;
    assert_eq!(roots(&slack, "succeeded"), 1, "no step was interrupted");
    stop(bots);
}
