//! An installation moves from SQLite to PostgreSQL: the same ledger, the same runs, and what waited goes on.

use std::time::Duration;

use crate::bad_day::{connected, laboratory, serve, told};
use crate::cluster;
use crate::fakes::slack::FakeSlack;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_moves_to_postgresql_with_ledger_runs_and_what_waits() {
    let Some(cluster) = cluster::shared() else {
        return;
    };
    let slack = FakeSlack::start().await;
    let home = connected(laboratory(), &slack);
    home.write("runbooks/lab.yaml", &asks_for_consent());
    let bot = serve(&home, &slack).await;
    slack.slash("U1", "C1", "mark one").await;
    let ended = |slack: &FakeSlack| {
        let thread = slack.messages("C1");
        let last = thread
            .iter()
            .any(|it| it.text.contains("mark one") && it.text.contains("succeeded"));
        last.then_some(())
    };
    slack.wait_for("end", SOON, ended).await;
    slack.slash("U2", "C1", "mark one").await;
    let root = slack
        .wait_for("question", SOON, |slack| {
            let messages = slack.messages("C1");
            messages
                .into_iter()
                .find(|it| it.text.contains("waits for 1 approval"))
        })
        .await;

    let from = format!("sqlite:{}", home.path("data/midwatch.db").display());
    let to = cluster.database().await;
    let busy = told(&home, &["store", "copy", &from, &to]);
    assert_eq!(busy.code, Some(3), "{}", busy.err);
    assert!(
        busy.err.contains("is locked: another midwatch runs"),
        "{}",
        busy.err
    );
    assert!(bot.stop().success());

    let copied = told(&home, &["store", "copy", &from, &to]);
    assert_eq!(copied.code, Some(0), "{}{}", copied.out, copied.err);
    assert!(
        copied.out.contains("both ledgers are sound"),
        "{}",
        copied.out
    );
    assert!(copied.out.contains("set DATABASE_URL"), "{}", copied.out);
    let again = told(&home, &["store", "copy", &from, &to]);
    assert_eq!(again.code, Some(1), "{}", again.err);
    assert!(again.err.contains("is not empty"), "{}", again.err);

    let home = home.setting("DATABASE_URL", &to);
    let bot = serve(&home, &slack).await;
    slack.click("U1", &root, "Approve").await;
    slack
        .wait_for("the end of what waited", SOON, |slack| {
            let messages = slack.messages("C1");
            let root = messages.iter().find(|it| it.ts == root.ts)?;
            root.text.contains("succeeded").then_some(())
        })
        .await;
    assert_eq!(std::fs::read_dir(home.path("marks")).unwrap().count(), 2);
    assert!(bot.stop().success());
    let verified = told(&home, &["ledger", "verify"]);
    assert_eq!(verified.code, Some(0), "{}", verified.out);
    let export = told(&home, &["ledger", "export"]).out;
    assert!(
        !export.contains("set_back"),
        "a copy is no set-back: {export}"
    );
    assert_eq!(slack.violations(), Vec::<String>::new());
}

fn asks_for_consent() -> String {
    crate::bad_day::BOOK.replace(
        "  - otherwise",
        "  - { may: everything, who: everyone, after: { approvals: 1, of: crew, within: 15m } }\n  - otherwise",
    )
}
