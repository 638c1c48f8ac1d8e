//! Both engines, each with databases of our own on this disk: PostgreSQL from the installed programs.

use std::path::PathBuf;
use std::sync::OnceLock;

use jiff::Timestamp;
use midwatch::store::{Store, StoreSettings};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, SqliteConnection};

use super::files::Home;
use super::measure::pass_over;
use crate::cluster::Cluster;

/// What the facts are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// Those that are there.
    pub(crate) fn all() -> Vec<Self> {
        if cluster().is_none() {
            pass_over("PostgreSQL", "it is not installed");
            return vec![Self::Sqlite];
        }
        vec![Self::Sqlite, Self::Postgres]
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// The address of a new database. SQLite's is a file of this name in the home's data folder.
    pub(crate) async fn database(self, home: &Home, name: &str) -> String {
        match self {
            Self::Sqlite => {
                let data = home.path("data");
                std::fs::create_dir_all(&data).unwrap();
                format!("sqlite:{}", data.join(name).display())
            }
            Self::Postgres => cluster().expect("looked for before").database().await,
        }
    }
}

/// One server for all benchmarks, on the same disk as everything else.
fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start_new).as_ref()
}

/// Opens the store of this home on this database.
pub(crate) async fn open(home: &Home, url: &str, now: Timestamp) -> Store {
    let settings = StoreSettings {
        url: url.to_owned(),
        data: home.path("data"),
    };
    Store::open(&settings, now).await.unwrap()
}

/// A connection beside midwatch's.
pub(crate) enum Raw {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

impl Raw {
    /// With the durability that midwatch has.
    pub(crate) async fn to(url: &str) -> Self {
        let Some(path) = url.strip_prefix("sqlite:") else {
            return Self::Postgres(Box::new(PgConnection::connect(url).await.unwrap()));
        };
        let options = SqliteConnectOptions::new()
            .filename(PathBuf::from(path))
            .foreign_keys(false)
            .synchronous(sqlx::sqlite::SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(30));
        Self::Sqlite(Box::new(options.connect().await.unwrap()))
    }

    /// Executes statements.
    pub(crate) async fn run(&mut self, statements: &str) {
        let statements = sqlx::raw_sql(AssertSqlSafe(statements));
        match self {
            Self::Sqlite(db) => statements.execute(&mut **db).await.map(drop),
            Self::Postgres(db) => statements.execute(&mut **db).await.map(drop),
        }
        .unwrap();
    }

    /// Executes one statement with one value, prepared.
    pub(crate) async fn write(&mut self, statement: &str, value: &str) {
        let query = AssertSqlSafe(statement);
        match self {
            Self::Sqlite(db) => {
                let query = sqlx::query(query).bind(value);
                query.execute(&mut **db).await.map(drop)
            }
            Self::Postgres(db) => {
                let query = sqlx::query(query).bind(value);
                query.execute(&mut **db).await.map(drop)
            }
        }
        .unwrap();
    }

    /// The first column of each row, as text.
    pub(crate) async fn texts(&mut self, query: &str) -> Vec<String> {
        let query = AssertSqlSafe(query);
        match self {
            Self::Sqlite(db) => sqlx::query_scalar(query).fetch_all(&mut **db).await,
            Self::Postgres(db) => sqlx::query_scalar(query).fetch_all(&mut **db).await,
        }
        .unwrap()
    }

    /// One number.
    pub(crate) async fn number(&mut self, query: &str) -> i64 {
        let query = AssertSqlSafe(query);
        match self {
            Self::Sqlite(db) => sqlx::query_scalar(query).fetch_one(&mut **db).await,
            Self::Postgres(db) => sqlx::query_scalar(query).fetch_one(&mut **db).await,
        }
        .unwrap()
    }
}
