//! What is looked for again and again is found through an index, however much waits or was done before.

use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::RunFilter;
use super::cursors::THREADS;
use super::due::DUE_ON_SQLITE;
use super::leases::{ANY_CLAIMABLE, CLAIMABLE};
use super::open::MIGRATIONS;
use super::pages::{CALL_DUE, CALLS_IN_CHAT, PAGES_DECIDED, PAGES_DUE, UNANSWERED_RUNS};
use super::run_rows::list;
use super::runs::COUNT_OPEN;
use super::timeline::{COMMITS, ENTRIES, OF_TARGET};

/// How SQLite goes about it, a line for each loop.
async fn way(text: &str) -> Vec<String> {
    let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    MIGRATIONS.run(&mut db).await.unwrap();
    let explain = sqlx::AssertSqlSafe(format!("explain query plan {text}"));
    let rows = sqlx::query(explain).fetch_all(&mut db).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

#[tokio::test]
async fn what_is_looked_for_again_and_again_is_found_through_an_index() {
    let listed = |open, project: Option<&str>| {
        let project = project.map(|name| name.parse().unwrap());
        let limit = 9;
        list(&RunFilter {
            project,
            open,
            limit,
        })
        .text()
    };
    let looks = [
        ("whether a run is due", ANY_CLAIMABLE, "runs_due"),
        ("a claim", CLAIMABLE, "runs_longest_due"),
        ("a claim of what is at home", CLAIMABLE, "runs_of_home"),
        ("postings that are due", DUE_ON_SQLITE, "outbox_next"),
        ("threads to read, open", THREADS, "runs_open"),
        ("threads to read, ended", THREADS, "runs_finished"),
        ("open runs, counted", COUNT_OPEN, "runs_open"),
        ("open runs", listed(true, None), "runs_open"),
        (
            "open runs of a project",
            listed(true, Some("shop")),
            "runs_open",
        ),
        (
            "runs of a project",
            listed(false, Some("shop")),
            "runs_of_project",
        ),
        ("the newest runs", listed(false, None), "runs_newest"),
        (
            "a page of a timeline",
            ENTRIES,
            "sqlite_autoindex_happenings_1",
        ),
        ("its entries", ENTRIES, "sqlite_autoindex_ledger_1"),
        ("its commits", COMMITS, "sqlite_autoindex_commits_1"),
        ("runs of a target", OF_TARGET, "runs_of_target"),
        ("pages whose level is due", PAGES_DUE, "pages_due"),
        ("pages that are decided", PAGES_DECIDED, "pages_open"),
        (
            "consent that nobody gives",
            UNANSWERED_RUNS,
            "runs_awaiting_approval",
        ),
        ("calls in chat", CALLS_IN_CHAT, "calls_in_chat"),
        ("calls outside chat", CALL_DUE, "calls_due"),
    ];
    for (what, text, index) in looks {
        let way = way(text).await;
        let through = |line: &String| line.contains(&format!("INDEX {index}"));
        assert!(way.iter().any(through), "{what}: {way:#?}");
        let whole = |line: &&String| {
            let tables = [
                "outbox", "runs", "o", "earlier", "root", "next", "r", "s", "h", "l", "commits",
                "pages",
            ];
            tables.iter().any(|table| **line == format!("SCAN {table}"))
        };
        assert_eq!(way.iter().find(whole), None, "{what}: {way:#?}");
    }
}

/// A page that had to be sorted would be read from its end to the timeline's beginning.
#[tokio::test]
async fn a_page_of_a_timeline_stands_in_order_in_its_index() {
    for text in [ENTRIES, OF_TARGET] {
        let way = way(text).await;
        let sorted = way.iter().find(|line| line.contains("TEMP B-TREE"));
        assert_eq!(sorted, None, "{way:#?}");
    }
    let way = way(COMMITS).await;
    let sorted = way.iter().find(|line| line.contains("TEMP B-TREE"));
    let ties = |line: &String| line.contains("LAST TERM");
    assert!(
        sorted.is_none_or(ties),
        "those of one moment alone: {way:#?}"
    );
}
