//! Every migration, in order, over rows as the version before wrote them: none is lost, none can't be read.
//!
//! Each migration ships such rows: `tests/it/migrations/NAME.sql` beside `src/store/migrations/NAME.sql`. They are written
//! once, by the version that the migration belongs to, and never changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use midwatch::store::{RunFilter, Store, StoreSettings};
use sqlx::migrate::Migrator;

use crate::cluster;
use crate::world::{at, connect};

const WRITTEN_BY: &str = "tests/it/migrations";

fn root(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

/// Migrations by name, in order.
fn texts(folder: &str) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(root(folder)).unwrap().flatten();
    let files = files.filter(|it| it.path().extension().is_some_and(|it| it == "sql"));
    let named = files.map(|it| {
        let name = it.file_name().into_string().unwrap();
        (name, std::fs::read_to_string(it.path()).unwrap())
    });
    named.collect()
}

/// An empty database, with the key of the ledger in the rows.
struct Old {
    folder: tempfile::TempDir,
    url: String,
}

impl Old {
    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("midwatch.db").display());
        all.push(Self { folder, url });
        if let Some(cluster) = cluster::shared() {
            let (folder, url) = (tempfile::tempdir().unwrap(), cluster.database().await);
            all.push(Self { folder, url });
        }
        for old in &all {
            let key = root(WRITTEN_BY).join("ledger.key");
            std::fs::copy(key, old.folder.path().join("ledger.key")).unwrap();
        }
        all
    }

    /// Applies the first migrations, those that were applied before left out.
    async fn migrate(&self, count: usize) {
        let all = Migrator::new(root("src/store/migrations")).await.unwrap();
        let some = all.migrations[..count].to_vec();
        let migrator = Migrator {
            migrations: some.into(),
            ..Migrator::DEFAULT
        };
        if self.url.starts_with("sqlite:") {
            migrator.run(&mut self.file().await).await.unwrap();
        } else {
            migrator.run(&mut connect(&self.url).await).await.unwrap();
        }
    }

    async fn insert(&self, rows: &str) {
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(rows.to_owned()));
        if self.url.starts_with("sqlite:") {
            rows.execute(&mut self.file().await).await.unwrap();
        } else {
            rows.execute(&mut connect(&self.url).await).await.unwrap();
        }
    }

    async fn file(&self) -> sqlx::SqliteConnection {
        let options: sqlx::sqlite::SqliteConnectOptions = self.url.parse().unwrap();
        sqlx::ConnectOptions::connect(&options.create_if_missing(true))
            .await
            .unwrap()
    }

    async fn open(&self) -> Store {
        let settings = StoreSettings {
            url: self.url.clone(),
            data: self.folder.path().to_owned(),
        };
        Store::open(&settings, at(0)).await.unwrap()
    }
}

#[test]
fn each_migration_ships_rows_as_its_version_writes_them() {
    let (made, rows) = (texts("src/store/migrations"), texts(WRITTEN_BY));
    let (made, rows): (Vec<_>, Vec<_>) = (made.keys().collect(), rows.keys().collect());
    assert_eq!(
        made, rows,
        "write rows of every table that it makes or changes, and let them be"
    );
}

#[tokio::test]
async fn all_migrations_in_order_keep_the_rows_of_every_version_readable() {
    for old in Old::all().await {
        for (n, (name, rows)) in texts(WRITTEN_BY).into_iter().enumerate() {
            old.migrate(n + 1).await;
            println!("{name}: {} rows", rows.matches("insert into").count());
            old.insert(&rows).await;
        }
        let store = old.open().await;
        let all = RunFilter {
            limit: 1_000,
            ..RunFilter::default()
        };
        let runs = store.runs(&all).await.unwrap();
        assert_eq!(runs.unread, [], "{}", old.url);
        assert!(runs.known.len() >= 5, "{} runs", runs.known.len());
        for run in &runs.known {
            let history = store.history(run.id).await.unwrap();
            assert_eq!(history.unread, 0);
        }
        let waiting = store.waiting_inbounds(at(999_999), 1_000).await.unwrap();
        assert!(!waiting.is_empty());
        let platform = midwatch::domain::Platform::Slack;
        let due = store
            .due_postings(platform, at(999_999), 1_000)
            .await
            .unwrap();
        assert!(!due.is_empty() && !store.leaves_postings());
        let report = store.verify(&[]).await.unwrap();
        assert!(report.is_sound() && report.unread == 0, "{report}");
        let (lease, run) = store
            .claim_run(&store.worker(), &[], at(999_999), crate::world::MINUTE)
            .await
            .unwrap()
            .expect("some run is due");
        assert_eq!(lease.run(), run.id);
    }
}

/// Entries of versions that had no timelines come into them, beside what is written meanwhile.
#[tokio::test]
async fn entries_of_earlier_versions_are_placed_in_their_timelines() {
    for old in Old::all().await {
        for (n, (_, rows)) in texts(WRITTEN_BY).into_iter().enumerate() {
            old.migrate(n + 1).await;
            old.insert(&rows).await;
        }
        let store = old.open().await;
        let filter = midwatch::store::TimelineFilter {
            project: "shop".parse().unwrap(),
            before: midwatch::domain::Position::END,
            since: None,
            limit: 100,
        };
        let before = store.timeline(&filter).await.unwrap();
        assert!(before.behind > 0, "{} are behind", before.behind);
        while store.place_earlier().await.unwrap() > 0 {}
        let after = store.timeline(&filter).await.unwrap();
        // Eight decisions on the shop, a file that was not taken, a database that was set back.
        assert_eq!((after.entries.len(), after.behind), (10, 0), "{}", old.url);
        assert!(store.verify(&[]).await.unwrap().is_sound());
    }
}

/// What the version before goes on writing while the newer one works beside it.
#[tokio::test]
async fn rows_of_the_version_before_still_fit_after_the_newest_migration() {
    let rows: Vec<String> = texts(WRITTEN_BY).into_values().collect();
    for old in Old::all().await {
        old.migrate(rows.len()).await;
        for rows in &rows[..rows.len().saturating_sub(1).max(1)] {
            old.insert(rows).await;
        }
        assert!(old.open().await.runs_open().await.unwrap() > 0);
    }
}
