//! Files that change while midwatch serves: good ones are in force within seconds, bad ones change nothing and are told.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bad_day::{BOOK, MARK, connected, facts, laboratory, serve};
use crate::bot::Home;
use crate::fakes::slack::{FakeSlack, render};
use crate::try_story::{tell, typed};

const SOON: Duration = Duration::from_secs(20);

/// What `/ops help mark` answers, asked until it holds this.
async fn help_says(slack: &FakeSlack, words: &str) {
    let started = Instant::now();
    loop {
        let before = slack.whispers("U1").len();
        assert_eq!(slack.slash("U1", "C1", "help mark").await.status, 200);
        let answer = slack
            .wait_for("answer", SOON, |slack| {
                slack.whispers("U1").get(before).map(render)
            })
            .await;
        if answer.contains(words) {
            return;
        }
        assert!(started.elapsed() < SOON, "no `{words}` in:\n{answer}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until the ledger holds so many of these facts, and answers them.
async fn recorded(home: &Home, kind: &str, count: usize) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let mut found = facts(home);
        found.retain(|fact| fact["kind"] == kind);
        if found.len() >= count {
            assert_eq!(found.len(), count, "{kind}: {found:?}");
            return found;
        }
        assert!(
            started.elapsed() < SOON,
            "{kind}: {found:?}\n{}",
            home.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn good_changes_are_in_force_within_seconds_and_bad_ones_change_nothing() {
    let slack = FakeSlack::start().await;
    let home = connected(laboratory(), &slack);
    let bot = serve(&home, &slack).await;
    help_says(&slack, "Makes a folder.").await;

    home.write(
        "commands/mark.yaml",
        &MARK.replace("a folder", "a directory"),
    );
    help_says(&slack, "Makes a directory.").await;
    let loaded = recorded(&home, "catalog_loaded", 2).await;
    assert_ne!(loaded[0]["revision"], loaded[1]["revision"]);
    let second = loaded[1]["revision"].as_str().unwrap();
    let said = format!("the changed files are in force: revision {second}");
    assert_eq!(home.log().matches(&said).count(), 1, "{}", home.log());

    home.write(
        "commands/mark.yaml",
        &MARK.replace("risk: low", "risk: lwo"),
    );
    let kept = recorded(&home, "catalog_kept", 1).await;
    assert_eq!(kept[0]["revision"], second);
    assert_eq!(kept[0]["mistakes"], 1);
    let first = kept[0]["first"].as_str().unwrap();
    let place = home.path("commands/mark.yaml:3: ").display().to_string();
    assert!(first.starts_with(&place), "{first}");
    let log = home.log();
    assert!(log.contains("commands/mark.yaml:3:"), "{log}");
    let said = format!("the changed files were not taken; revision {second} stays in force");
    assert_eq!(log.matches(&said).count(), 1, "{log}");
    help_says(&slack, "Makes a directory.").await;
    slack.slash("U1", "C1", "mark one").await;
    slack
        .wait_for("end of a run of the catalog before", SOON, |slack| {
            slack
                .messages("C1")
                .first()?
                .text
                .contains("succeeded")
                .then_some(())
        })
        .await;

    home.write("commands/mark.yaml", &MARK.replace("a folder", "a mark"));
    help_says(&slack, "Makes a mark.").await;
    recorded(&home, "catalog_loaded", 3).await;
    assert!(bot.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_command_and_a_removed_one_are_followed() {
    let slack = FakeSlack::start().await;
    let home = connected(laboratory(), &slack);
    let bot = serve(&home, &slack).await;
    home.write(
        "commands/extra.yaml",
        &MARK.replace("command: mark", "command: extra"),
    );
    let loaded = recorded(&home, "catalog_loaded", 2).await;
    assert_eq!(
        (&loaded[0]["commands"], &loaded[1]["commands"]),
        (&2.into(), &3.into())
    );
    std::fs::remove_file(home.path("commands/extra.yaml")).unwrap();
    let loaded = recorded(&home, "catalog_loaded", 3).await;
    assert_eq!(loaded[2]["commands"], 2);
    assert_eq!(
        loaded[2]["revision"], loaded[0]["revision"],
        "the same files again"
    );
    assert!(bot.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_rule_is_told_in_the_projects_channel_and_stands_in_its_timeline() {
    let slack = FakeSlack::start().await;
    let home = connected(laboratory(), &slack);
    let bot = serve(&home, &slack).await;
    let open = BOOK.replace("rules:\n", "rules:\n  - { may: mark, in: one, who: ben }\n");
    home.write("runbooks/lab.yaml", &open);
    let told = slack
        .wait_for("the change", SOON, |slack| {
            slack.messages("C1").first().map(render)
        })
        .await;
    for words in ["the rules of", "lab", "ben may mark in one", "lab.yaml:8"] {
        assert!(told.contains(words), "no `{words}` in:\n{told}");
    }
    let changed = recorded(&home, "rules_changed", 1).await;
    assert_eq!(changed[0]["project"], "lab");
    // A line that is put above a rule changes no rule.
    home.write("runbooks/lab.yaml", &format!("# As agreed.\n{open}"));
    recorded(&home, "catalog_loaded", 3).await;
    slack.slash("U1", "C1", "timeline about rules").await;
    let page = slack
        .wait_for("timeline", SOON, |slack| {
            slack.whispers("U1").first().map(render)
        })
        .await;
    assert!(page.contains("new: ben may mark in one"), "{page}");
    recorded(&home, "rules_changed", 1).await;
    assert!(bot.stop().success());
    // What changes while nobody looks is told at the next start, and then no more.
    home.write("runbooks/lab.yaml", BOOK);
    for _ in 0..2 {
        let bot = serve(&home, &slack).await;
        let changed = recorded(&home, "rules_changed", 2).await;
        assert_eq!(changed[1]["changes"][0]["change"], "removed");
        assert!(bot.stop().success());
    }
    let told = slack.messages("C1");
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(slack.violations(), Vec::<String>::new());
}

#[test]
fn a_mistake_in_one_file_at_the_start_leaves_the_others_working() {
    let home = laboratory();
    home.write(
        "commands/broken.yaml",
        "command: broken\ndoes: Nothing.\nrisk: low\nundo: none\nstps: []\n",
    );
    let told = tell(&home, &["try"], "/ops mark one\n/ops broken one\n");
    assert!(told.out.contains("✅ mark one succeeded"), "{}", told.out);
    assert!(
        told.out.contains(
            "the file of broken has a mistake, so nobody can run it now; nothing was done"
        ),
        "{}",
        told.out
    );
    assert_eq!(told.code, Some(1));
    for place in [
        "commands/broken.yaml:5:1\n",
        "5 | stps: []\n  | ^^^^\n",
        "did you mean `steps`?",
    ] {
        assert!(told.err.contains(place), "{place}: {}", told.err);
    }
    std::fs::remove_file(home.path("commands/broken.yaml")).unwrap();
    let told = typed(&home, &["/ops mark one"]);
    assert_eq!(told.code, Some(0), "{}", told.out);
}
