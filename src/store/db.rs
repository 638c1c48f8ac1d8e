//! One SQL text for both engines. Every column is text or a 64-bit integer, so two kinds of values are enough.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Connection as _, FromRow, PgConnection, Postgres, Sqlite, SqliteConnection};

use super::StoreError;

/// How long a read may take over the network: a server that was cut off never says so.
const READ_WITHIN: Duration = Duration::from_millis(2_500);
/// The same where much is read in many statements, and nobody in a chat waits for it.
const SNAPSHOT_READ_WITHIN: Duration = Duration::from_secs(30);

/// A connection to either engine.
pub(super) enum Db {
    /// The writer's.
    Sqlite(SqliteConnection),
    /// The writer's.
    Postgres(PgConnection),
    /// A reader's, lent by its pool.
    SqliteReader(PoolConnection<Sqlite>),
    /// A reader's, lent by its pool, and how long it waits for an answer.
    PostgresReader(PoolConnection<Postgres>, Duration),
}

/// A statement on its way.
type Asking<'d, T> = Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 'd>>;

/// What a [`Db`] is, where the dialects differ.
pub(super) enum Engine<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Db {
    pub(super) fn engine(&mut self) -> Engine<'_> {
        match self {
            Self::Sqlite(db) => Engine::Sqlite(db),
            Self::SqliteReader(db) => Engine::Sqlite(db),
            Self::Postgres(db) => Engine::Postgres(db),
            Self::PostgresReader(db, _) => Engine::Postgres(db),
        }
    }

    /// Executes statements without values: transactions and savepoints.
    pub(super) async fn run(&mut self, statements: &'static str) -> Result<(), StoreError> {
        match self.engine() {
            // Prepared once and kept; the other engine takes several statements only when they are not prepared.
            Engine::Sqlite(db) => sqlx::query(statements).execute(db).await.map(drop),
            Engine::Postgres(db) => sqlx::raw_sql(statements).execute(db).await.map(drop),
        }?;
        Ok(())
    }

    /// Begins a transaction in which nothing of what others commit is seen. The connection ends with it, whatever
    /// becomes of the caller.
    pub(super) async fn snapshot(mut self) -> Result<Self, StoreError> {
        match &mut self {
            Self::SqliteReader(db) => db.close_on_drop(),
            Self::PostgresReader(db, within) => {
                db.close_on_drop();
                *within = SNAPSHOT_READ_WITHIN;
            }
            Self::Sqlite(_) | Self::Postgres(_) => {}
        }
        let begin = match self.engine() {
            Engine::Sqlite(_) => "begin",
            // It holds no lock, so it may stand still as long as whoever takes what is read.
            Engine::Postgres(_) => {
                "begin isolation level repeatable read read only; set local idle_in_transaction_session_timeout = 0"
            }
        };
        self.run(begin).await?;
        Ok(self)
    }

    pub(super) async fn close(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(db) => db.close().await?,
            Self::Postgres(db) => db.close().await?,
            Self::SqliteReader(_) | Self::PostgresReader(..) => {}
        }
        Ok(())
    }

    /// Waits for an answer no longer than a reader may. The writer bounds its groups as a whole.
    async fn patient<T>(
        &mut self,
        ask: impl for<'d> FnOnce(&'d mut Self) -> Asking<'d, T>,
    ) -> Result<T, StoreError> {
        let Self::PostgresReader(_, within) = self else {
            return Ok(ask(self).await?);
        };
        let within = *within;
        if let Ok(answer) = tokio::time::timeout(within, ask(self)).await {
            return Ok(answer?);
        }
        if let Self::PostgresReader(db, _) = self {
            db.close_on_drop();
        }
        Err(StoreError::Unavailable(format!(
            "it did not answer within {within:?}"
        )))
    }
}

/// Connections for reading.
pub(super) enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Readers {
    pub(super) async fn lend(&self) -> Result<Db, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => Db::SqliteReader(pool.acquire().await?),
            Self::Postgres(pool) => Db::PostgresReader(pool.acquire().await?, READ_WITHIN),
        })
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A row that both engines can give.
pub(super) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// A value for `$1`, `$2` …
pub(super) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(storable(text).into_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(if text.contains('\0') {
            storable(&text).into_owned()
        } else {
            text
        }))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Text(None), Self::from)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::Text(None), Self::from)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

/// PostgreSQL refuses a NUL in a text, and SQLite's JSON ends there.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        return text.replace('\0', "\u{fffd}").into();
    }
    text.into()
}

/// A statement, and the values for it.
pub(super) struct Sql {
    text: &'static str,
    values: Vec<Value>,
}

pub(super) fn sql(text: &'static str) -> Sql {
    let values = Vec::new();
    Sql { text, values }
}

/// Binds the values to a query of either engine.
macro_rules! bound {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Int(number) => query.bind(number),
            };
        }
        query
    }};
}

impl Sql {
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// What it asks.
    #[cfg(test)]
    pub(super) fn text(&self) -> &'static str {
        self.text
    }

    /// Answers how many rows it changed.
    pub(super) async fn execute(self, db: &mut Db) -> Result<u64, StoreError> {
        let Self { text, values } = self;
        db.patient(|db| {
            Box::pin(async move {
                Ok(match db.engine() {
                    Engine::Sqlite(db) => bound!(sqlx::query(text), values)
                        .execute(db)
                        .await?
                        .rows_affected(),
                    Engine::Postgres(db) => bound!(sqlx::query(text), values)
                        .execute(db)
                        .await?
                        .rows_affected(),
                })
            })
        })
        .await
    }

    pub(super) async fn all<T: Row>(self, db: &mut Db) -> Result<Vec<T>, StoreError> {
        let Self { text, values } = self;
        db.patient(|db| {
            Box::pin(async move {
                match db.engine() {
                    Engine::Sqlite(db) => bound!(sqlx::query_as(text), values).fetch_all(db).await,
                    Engine::Postgres(db) => {
                        bound!(sqlx::query_as(text), values).fetch_all(db).await
                    }
                }
            })
        })
        .await
    }

    /// The first row, if there is one.
    pub(super) async fn optional<T: Row>(self, db: &mut Db) -> Result<Option<T>, StoreError> {
        Ok(self.all(db).await?.into_iter().next())
    }

    pub(super) async fn one<T: Row>(self, db: &mut Db) -> Result<T, StoreError> {
        let row = self.optional(db).await?;
        row.ok_or_else(|| StoreError::Corrupt("a row that is always there is missing".to_owned()))
    }
}
