//! Steps under their supervisors: midwatch is killed, the step is not, and what came of it is known.

mod left;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::bad_day::{BOOK, PEOPLE, connected, facts, serve};
use crate::bot::Home;
use crate::fakes::slack::{FakeSlack, Posted};

const SOON: Duration = Duration::from_secs(30);
/// Known to the program of a step, and to nobody else.
const SECRET: &str = "h4ul-m3-0ver-th3-w4ter";

/// Prints, waits until it is let go, and prints again; leaves its process number, and a line for each beginning and end.
const HAUL: &str = "echo begun >>times; echo \"key $1\"
for part in 1 2 3; do echo \"part $part\"; sleep 0.2; done
echo $$ >pid
tries=0; until [ -e go ] || [ $tries -gt 1200 ]; do tries=$((tries+1)); sleep 0.05; done
for part in 4 5 6; do echo \"part $part\"; sleep 0.2; done
echo ended >>times; echo 'all of it'
";

fn command(name: &str, timeout: &str) -> String {
    format!(
        "command: {name}\ndoes: Hauls.\nrisk: low\nundo: none\nparameters:\n  environment: {{ type: environment }}\nsteps:\n  \
         - {{ name: {name}, run: [sh, {name}.sh, \"{{secret.key}}\"], effect: once, timeout: {timeout} }}\n"
    )
}

/// A home whose commands take their time.
fn harbour(slack: &FakeSlack) -> Home {
    let home = Home::of_files(&[
        ("runbooks/people.yaml", PEOPLE),
        ("runbooks/lab.yaml", BOOK),
        ("commands/haul.yaml", &command("haul", "10m")),
        ("commands/drift.yaml", &command("drift", "2s")),
        ("haul.sh", HAUL),
        (
            "drift.sh",
            "echo begun >>times; echo $$ >pid; sleep 60; echo never >>times\n",
        ),
    ]);
    connected(home, slack).setting("MIDWATCH_SECRET_KEY", SECRET)
}

/// Lets the haul go on to its end.
fn let_go(home: &Home) {
    home.write("go", "");
}

/// Types the command and waits until its program has begun, and waits.
async fn begin(home: &Home, slack: &FakeSlack, command: &str) {
    let ack = slack.slash("U1", "C1", &format!("{command} one")).await;
    assert_eq!((ack.status, ack.body.as_str()), (200, ""));
    wait("the program", || home.path("pid").exists()).await;
}

async fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < SOON, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The thread, once its root says this.
async fn thread(slack: &FakeSlack, end: &str) -> String {
    let told = slack.wait_for(end, SOON, |slack| {
        let root = slack.messages("C1").into_iter().find(is_root)?;
        let thread = slack.thread("C1", &root.ts);
        let over = thread.first()?.contains(end) && thread.last()?.contains("midwatch/");
        over.then(|| thread.join("\n"))
    });
    told.await
}

fn is_root(message: &Posted) -> bool {
    message.thread.is_none()
}

fn times(home: &Home) -> String {
    std::fs::read_to_string(home.path("times")).unwrap_or_default()
}

/// How often each event of a step is in the ledger: started, ended, interrupted.
fn events(home: &Home) -> [usize; 3] {
    let facts = facts(home);
    let happened = |word: &str| {
        let of = |fact: &&Value| fact["happened"]["event"] == word;
        facts.iter().filter(of).count()
    };
    ["step_started", "step_ended", "step_interrupted"].map(happened)
}

/// Whether the process that wrote the file `pid` lives.
fn lives(home: &Home) -> bool {
    let pid = std::fs::read_to_string(home.path("pid")).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Everything told as it should be about the haul: whole, once, and by one attempt.
async fn hauled_once(home: &Home, slack: &FakeSlack) {
    let thread = thread(slack, "succeeded in").await;
    for part in [
        "key [redacted]",
        "part 1",
        "part 2",
        "part 3",
        "part 4",
        "part 5",
        "part 6",
        "all of it",
        "1/1 haul` done",
    ] {
        assert_eq!(thread.matches(part).count(), 1, "{part}:\n{thread}");
    }
    assert_eq!(times(home), "begun\nended\n");
    assert_eq!(events(home), [1, 1, 0], "{}", home.log());
    wait("an empty folder", || is_empty(&home.path("data/steps"))).await;
    assert_eq!(home.supervisors(), []);
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().count() == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_goes_on_while_midwatch_is_away_and_is_taken_up_again() {
    let slack = FakeSlack::start().await;
    let home = harbour(&slack);
    let bot = serve(&home, &slack).await;
    begin(&home, &slack, "haul").await;
    // Some of the output is kept already: it must not be kept twice.
    tokio::time::sleep(Duration::from_millis(700)).await;
    bot.kill9();
    let supervisors = home.supervisors();
    assert_eq!(supervisors.len(), 1);
    // Who ends a session, or what looks like midwatch, doesn't end it.
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        kill_process(supervisors[0].0, signal).unwrap();
    }
    let bot = serve(&home, &slack).await;
    assert_eq!(home.supervisors(), supervisors);
    // And once more.
    bot.kill9();
    let bot = serve(&home, &slack).await;
    let_go(&home);
    hauled_once(&home, &slack).await;
    assert!(home.log().contains("is taken up again"), "{}", home.log());
    assert!(bot.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_ends_while_midwatch_is_away_has_a_known_result() {
    let slack = FakeSlack::start().await;
    let home = harbour(&slack);
    let bot = serve(&home, &slack).await;
    begin(&home, &slack, "haul").await;
    bot.kill9();
    let_go(&home);
    wait("the supervisor's end", || home.supervisors().is_empty()).await;
    assert_eq!(times(&home), "begun\nended\n");
    let bot = serve(&home, &slack).await;
    hauled_once(&home, &slack).await;
    assert!(bot.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_supervisor_leaves_an_unknown_outcome_and_no_program() {
    for midwatch_too in [false, true] {
        let slack = FakeSlack::start().await;
        let home = harbour(&slack);
        let bot = serve(&home, &slack).await;
        begin(&home, &slack, "haul").await;
        let supervisors = home.supervisors();
        assert_eq!(supervisors.len(), 1);
        let end = || kill_process(supervisors[0].0, Signal::KILL).unwrap();
        let bot = if midwatch_too {
            bot.kill9();
            end();
            serve(&home, &slack).await
        } else {
            end();
            bot
        };
        let thread = thread(&slack, "needs attention: outcome unknown").await;
        assert!(
            thread.contains("a person has to say what happened"),
            "{thread}"
        );
        wait("the program's end", || !lives(&home)).await;
        assert_eq!(times(&home), "begun\n");
        assert_eq!(events(&home), [1, 0, 1], "{}", home.log());
        assert!(bot.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_cancelled_by_a_midwatch_that_did_not_start_it() {
    let slack = FakeSlack::start().await;
    let home = harbour(&slack);
    let bot = serve(&home, &slack).await;
    begin(&home, &slack, "haul").await;
    bot.kill9();
    let bot = serve(&home, &slack).await;
    let root = slack.messages("C1").into_iter().find(is_root).unwrap();
    let (_, reference) = root.text.split_once("ref ").unwrap();
    let reference: String = reference
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    slack
        .slash("U1", "C1", &format!("cancel {reference}"))
        .await;
    let thread = thread(&slack, "was cancelled").await;
    assert!(thread.contains("was stopped midway"), "{thread}");
    assert!(!lives(&home));
    assert_eq!(times(&home), "begun\n");
    assert_eq!(events(&home), [1, 1, 0]);
    assert!(bot.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_holds_while_midwatch_is_away() {
    let slack = FakeSlack::start().await;
    let home = harbour(&slack);
    let bot = serve(&home, &slack).await;
    begin(&home, &slack, "drift").await;
    bot.kill9();
    let away = Instant::now();
    wait("the program's end", || !lives(&home)).await;
    assert!(
        away.elapsed() < Duration::from_secs(15),
        "{:?}",
        away.elapsed()
    );
    let bot = serve(&home, &slack).await;
    let thread = thread(&slack, "needs attention").await;
    assert!(
        thread.contains("ended after 2s by its time limit"),
        "{thread}"
    );
    assert_eq!(times(&home), "begun\n");
    assert_eq!(events(&home), [1, 1, 0]);
    assert!(bot.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_on_disk_holds_a_secret_and_nobody_else_may_read_it() {
    let slack = FakeSlack::start().await;
    let home = harbour(&slack);
    let bot = serve(&home, &slack).await;
    begin(&home, &slack, "haul").await;
    let steps = home.path("data/steps");
    let output = |folder: &Path| std::fs::read_to_string(folder.join("output")).unwrap_or_default();
    let attempt = std::fs::read_dir(&steps)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    wait("output", || output(&attempt).contains("key [redacted]")).await;
    let mut looked_at = holds_no_secret(&home.path("data"));
    for path in [&steps, &attempt] {
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", path.display());
    }
    for name in ["lock", "started", "output"] {
        let mode = attempt.join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    bot.kill9();
    let_go(&home);
    wait("the supervisor's end", || home.supervisors().is_empty()).await;
    assert!(attempt.join("result").exists());
    looked_at += holds_no_secret(&home.path("data"));
    assert!(looked_at > 10, "{looked_at} files");
}

/// Looks into every file; answers how many there were.
fn holds_no_secret(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += holds_no_secret(&path);
            continue;
        }
        // A socket holds nothing.
        if !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes());
        assert!(!found, "{} holds the secret", path.display());
        count += 1;
    }
    count
}
