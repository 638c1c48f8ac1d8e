//! Two replicas on one PostgreSQL behind one workspace: each takes what comes in, one tells it, and the work of a dead one
//! goes on.

use std::time::{Duration, Instant};

use crate::bad_day::{connected, facts, laboratory, serve};
use crate::bot::{Bot, Home};
use crate::cluster;
use crate::fakes::slack::FakeSlack;

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
    slack
        .wait_for("running step", SOON, |slack| {
            (roots(slack, "is running") == 1).then_some(())
        })
        .await;
    let second = two.serve().await;
    first.kill9();
    let died = Instant::now();
    slack
        .wait_for("end", SOON, |slack| {
            (roots(slack, "succeeded") == 1).then_some(())
        })
        .await;
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
