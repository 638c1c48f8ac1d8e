//! Bad days: no room, no right to write, no port, no sense in the settings; and a step that somebody stops midway.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bot::{Bot, Home};
use crate::fakes::slack::{BOT_TOKEN, FakeSlack, SIGNING_SECRET};
use crate::try_story::{Told, tell};

const SOON: Duration = Duration::from_secs(30);

/// One project with one environment; U1 may everything.
pub(crate) const PEOPLE: &str = "people:\n  ann: { name: Ann, slack: U1 }\n  ben: { name: Ben, slack: U2 }\ngroups:\n  crew: [ann]\n";
pub(crate) const BOOK: &str = "project: lab\nabout: A laboratory.\nowner: crew\nchannels: [lab, C1]\n\
    environments:\n  one: {}\nrules:\n  - { may: everything, who: crew }\n  - otherwise: ask Ann\n\
    escalation:\n  - { at: 0m, call: crew }\n";
/// Leaves a folder behind for each run.
pub(crate) const MARK: &str = "command: mark\ndoes: Makes a folder.\nrisk: low\nundo: none\n\
    parameters:\n  environment: { type: environment }\n\
    steps:\n  - name: mark\n    run: [mkdir, \"marks/{run.reference}\"]\n    effect: once\n";
/// Takes longer than anybody waits.
const NAP: &str = "command: nap\ndoes: Makes a folder and sleeps.\nrisk: low\nundo: none\n\
    parameters:\n  environment: { type: environment }\n\
    steps:\n  - name: mark\n    run: [mkdir, \"marks/{run.reference}\"]\n    effect: once\n\
    \x20 - name: sleep\n    run: [sleep, \"600\"]\n    effect: once\n    timeout: 20m\n\
    \x20 - name: never\n    run: [mkdir, marks/never]\n    effect: once\n";

/// A home with the laboratory's files.
pub(crate) fn laboratory() -> Home {
    let home = Home::of_files(&[
        ("runbooks/people.yaml", PEOPLE),
        ("runbooks/lab.yaml", BOOK),
        ("commands/mark.yaml", MARK),
        ("commands/nap.yaml", NAP),
    ]);
    std::fs::create_dir(home.path("marks")).unwrap();
    home
}

/// The same home, connected to this workspace over signed HTTP.
pub(crate) fn connected(home: Home, slack: &FakeSlack) -> Home {
    home.setting("SLACK_BOT_TOKEN", BOT_TOKEN)
        .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
        .setting("SLACK_API_URL", slack.api_url())
}

/// Serves, and takes what the workspace delivers.
pub(crate) async fn serve(home: &Home, slack: &FakeSlack) -> Bot {
    let bot = home.serve().await;
    slack.use_http(&bot.url(""));
    bot
}

/// Runs a subcommand while the runtime goes on.
pub(crate) fn told(home: &Home, arguments: &[&str]) -> Told {
    tokio::task::block_in_place(|| tell(home, arguments, ""))
}

/// The ledger's facts, by an export beside whoever holds the folder.
pub(crate) fn facts(home: &Home) -> Vec<Value> {
    let export = told(home, &["ledger", "export"]);
    assert_eq!(export.code, Some(0), "{}", export.err);
    let lines = export.out.lines();
    let entries = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries
        .map(|mut entry| entry["fact"].take())
        .filter(Value::is_object)
        .collect()
}

fn marks(home: &Home) -> usize {
    std::fs::read_dir(home.path("marks")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_runs_is_cancelled_and_the_thread_says_what_had_been_done() {
    let slack = FakeSlack::start().await;
    let home = connected(laboratory(), &slack);
    let bot = serve(&home, &slack).await;
    assert_eq!(slack.slash("U1", "C1", "nap one").await.status, 200);
    let root = slack
        .wait_for("sleeping step", SOON, |slack| {
            let messages = slack.messages("C1");
            let root = messages.first()?.clone();
            let asleep = root.text.contains("is running: step 2 of 3");
            asleep.then_some(root)
        })
        .await;
    let headline = root.text.split("ref ").nth(1).unwrap();
    let reference: String = headline
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let asked = Instant::now();
    let stranger = slack
        .slash("U2", "C1", &format!("cancel {reference}"))
        .await;
    assert_eq!(stranger.status, 200);
    slack
        .wait_for("refusal", SOON, |slack| {
            let told = slack.whispers("U2");
            let told = told.iter().map(crate::fakes::slack::render);
            told.into_iter().find(|it| it.contains("nothing was done"))
        })
        .await;
    slack
        .slash("U1", "C1", &format!("cancel {reference}"))
        .await;
    let thread = slack
        .wait_for("end", SOON, |slack| {
            let thread = slack.thread("C1", &root.ts);
            let ended = thread.first()?.contains("was cancelled after 1 of 3 steps");
            // The root is final before the lines are there.
            (ended && thread.last()?.contains("midwatch/")).then(|| thread.join("\n"))
        })
        .await;
    assert!(asked.elapsed() < SOON);
    for part in [
        "1/3 mark` done",
        "cancels; the running step is being stopped",
        "2/3 sleep` was stopped midway; what it had done until then is not undone",
    ] {
        assert_eq!(thread.matches(part).count(), 1, "{part}:\n{thread}");
    }
    assert!(!thread.contains("3/3"), "{thread}");
    assert_eq!(marks(&home), 1, "the first step's folder and no other");
    assert!(bot.stop().success());
    let ledger = told(&home, &["ledger", "verify"]);
    assert_eq!(ledger.code, Some(0), "{}", ledger.out);
    assert_eq!(slack.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_database_does_nothing_says_so_and_works_again_when_there_is_room() {
    let slack = FakeSlack::start().await;
    let home = connected(laboratory(), &slack);
    let database = home.path("data/midwatch.db");
    let url = |pages: u32| format!("sqlite:{}?max_pages={pages}", database.display());
    let full = home.setting("DATABASE_URL", url(120));
    let bot = serve(&full, &slack).await;
    let (mut taken, mut refused) = (0, 0);
    while refused < 5 {
        let ack = slack.slash("U1", "C1", "mark one").await;
        assert_eq!(ack.status, 200, "{}", ack.body);
        if ack.body.is_empty() {
            taken += 1;
        } else {
            let words = "⛔ nothing was done: the ledger can't be written at the moment; try again in a minute";
            let told = serde_json::from_str::<Value>(&ack.body).unwrap();
            assert_eq!(told["text"], words);
            assert_eq!(told["response_type"], "ephemeral");
            refused += 1;
        }
        assert!(taken < 500, "the database never became full");
    }
    assert!(taken > 0, "there was room at first");
    assert!(
        !bot.is_ready().await,
        "who can't take a command is not ready"
    );
    let sound = told(&full, &["ledger", "verify"]);
    assert_eq!(sound.code, Some(0), "{}{}", sound.out, sound.err);
    bot.kill9();

    let roomy = full.setting("DATABASE_URL", url(1_000_000));
    let bot = serve(&roomy, &slack).await;
    assert!(slack.slash("U1", "C1", "mark one").await.body.is_empty());
    taken += 1;
    // Whoever looks below looks at the end: as many ends as were taken.
    let ended = |facts: &[Value]| {
        let ends = facts.iter().filter(|fact| fact["kind"] == "run");
        ends.filter(|fact| fact["happened"].to_string().contains("finished"))
            .count()
    };
    let started = Instant::now();
    let facts = loop {
        let facts = facts(&roomy);
        if ended(&facts) >= taken {
            break facts;
        }
        assert!(
            started.elapsed() < SOON,
            "{} of {taken} ended; {}",
            ended(&facts),
            roomy.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let of = |kind: &str| facts.iter().filter(|fact| fact["kind"] == kind).count();
    println!(
        "full database: {taken} taken, {refused} refused, {} folders",
        marks(&roomy)
    );
    assert_eq!(of("received"), taken, "what was refused is not there");
    assert_eq!(of("decided"), taken);
    assert_eq!(ended(&facts), taken);
    assert!(marks(&roomy) <= taken, "no step ran twice");
    assert!(bot.stop().success());
    let sound = told(&roomy, &["ledger", "verify"]);
    assert_eq!(sound.code, Some(0), "{}{}", sound.out, sound.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_to_stop_the_moment_its_port_opens_stops_as_it_should() {
    let home = laboratory();
    for start in 1..=10 {
        let bot = home.launch();
        while std::net::TcpStream::connect(bot.address).is_err() {} // No pause: the first moment is meant.
        let ended = bot.stop();
        assert!(ended.success(), "start {start}: {ended}\n{}", home.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_midwatch_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let slack = FakeSlack::start().await;
    let home = connected(laboratory(), &slack);
    let bot = serve(&home, &slack).await;
    for (arguments, code) in [
        (&["serve"][..], 1),
        (&["try"], 1),
        (&["run", "mark", "one"], 3),
    ] {
        let second = told(&home, arguments);
        assert_eq!(second.code, Some(code), "{arguments:?}: {}", second.err);
        let place = home.path("data/lock").display().to_string();
        assert!(second.err.contains(&place), "{arguments:?}: {}", second.err);
        let words =
            "another midwatch runs on this folder; stop it, or set MIDWATCH_DATA to another folder";
        assert!(second.err.contains(words), "{arguments:?}: {}", second.err);
    }
    assert!(bot.is_ready().await);
    slack.slash("U1", "C1", "mark one").await;
    slack
        .wait_for("end", SOON, |slack| {
            slack
                .messages("C1")
                .first()?
                .text
                .contains("succeeded")
                .then_some(())
        })
        .await;
    assert_eq!(marks(&home), 1);
    assert!(bot.stop().success());
}

#[test]
fn what_is_wrong_with_the_settings_is_said_all_at_once() {
    let home = laboratory()
        .setting("MIDWATCH_LISTEN", "nowhere")
        .setting("MIDWATCH_LOG_FORMAT", "xml")
        .setting("SLACK_API_URL", "http://slack.example.com/api")
        .setting("SLACK_BOT_TOKEN", "not-a-token")
        .setting("DATABASE_URL", "mysql://somewhere");
    for arguments in [&["serve"][..], &["doctor"], &["check"]] {
        let told = tell(&home, arguments, "");
        assert_eq!(told.code, Some(2), "{arguments:?}: {}", told.err);
        for name in [
            "MIDWATCH_LISTEN",
            "MIDWATCH_LOG_FORMAT",
            "SLACK_API_URL",
            "SLACK_BOT_TOKEN",
            "DATABASE_URL",
        ] {
            let lines = told.err.lines().filter(|line| line.contains(name)).count();
            assert!(
                lines > 0,
                "{arguments:?}: no word about {name}:\n{}",
                told.err
            );
        }
        assert!(!told.err.contains("not-a-token"), "{}", told.err);
    }
}

#[test]
fn a_folder_that_takes_nothing_is_named_and_nothing_starts() {
    let home = laboratory();
    home.write("file", "not a folder");
    let below_a_file = home.path("file/data");
    for data in [below_a_file.to_str().unwrap(), "/proc/midwatch"] {
        let home = laboratory().setting("MIDWATCH_DATA", data);
        for arguments in [&["serve"][..], &["try"], &["run", "mark", "one"]] {
            let told = tell(&home, arguments, "/ops mark one\n");
            assert_eq!(told.code, Some(1), "{arguments:?}: {}", told.err);
            assert!(told.err.contains(data), "{arguments:?}: {}", told.err);
            assert_eq!(told.out, "", "{arguments:?}");
            assert_eq!(marks(&home), 0);
        }
    }
}

#[test]
fn a_database_that_may_not_be_written_is_no_place_to_serve_from() {
    let home = laboratory();
    let first = tell(&home, &["try"], "/ops mark one\n");
    assert_eq!(first.code, Some(0), "{}{}", first.out, first.err);
    let url = format!("sqlite:{}?mode=ro", home.path("data/midwatch.db").display());
    let home = home.setting("DATABASE_URL", url);
    let told = tell(&home, &["serve"], "");
    assert_eq!(told.code, Some(1), "{}", told.err);
    assert!(told.err.contains("can't be written"), "{}", told.err);
    assert_eq!(marks(&home), 1);
}

#[test]
fn a_database_that_is_full_from_the_start_is_no_place_to_serve_from() {
    let home = laboratory();
    let url = format!("sqlite:{}?max_pages=10", home.path("new.db").display());
    let told = tell(&home.setting("DATABASE_URL", url), &["serve"], "");
    assert_eq!(told.code, Some(1), "{}", told.err);
    assert!(told.err.contains("can't be written"), "{}", told.err);
    assert!(told.err.contains("full"), "{}", told.err);
}

#[test]
fn a_taken_port_is_said_with_what_to_set() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let home = laboratory().setting("MIDWATCH_LISTEN", address);
    let told = tell(&home, &["serve"], "");
    assert_eq!(told.code, Some(1), "{}", told.err);
    let words = format!("midwatch: nothing can listen at {address}: ");
    assert!(told.err.contains(&words), "{}", told.err);
    assert!(
        told.err.contains("set MIDWATCH_LISTEN to another address"),
        "{}",
        told.err
    );
    // `try` is for newcomers: it takes another port without a word.
    let told = tell(&home, &["try"], "/ops mark one\n");
    assert_eq!(told.code, Some(0), "{}{}", told.out, told.err);
}
