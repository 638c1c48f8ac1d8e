//! Moves an installation to PostgreSQL. All or nothing: one transaction on an empty database, both sides verified.

use futures_util::TryStreamExt as _;
use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, FromRow, Row as _};

use super::db::{Db, Engine, sql};
use super::fault::write_json;
use super::open::{MIGRATIONS, Target, migrate, take_lock};
use super::verify::Report;
use super::writer::begin;
use super::{Store, StoreError, StoreSettings};

/// Rows written with one statement.
const BATCH: usize = 500;

/// A table, and how all of it is read and written.
struct Table {
    name: &'static str,
    read: &'static str,
    count: &'static str,
    write: &'static str,
}

macro_rules! table {
    ($name:literal) => {
        Table {
            name: $name,
            read: concat!("select * from ", $name),
            count: concat!("select count(*) from ", $name),
            write: concat!(
                "insert into ",
                $name,
                " select * from json_populate_recordset(null::",
                $name,
                ", $1::json)"
            ),
        }
    };
}

/// What is copied; a table stands behind those that it refers to.
const TABLES: [Table; 20] = [
    table!("inbound"),
    table!("commitments"),
    table!("ledger"),
    table!("tree"),
    table!("checkpoints"),
    table!("runs"),
    table!("steps"),
    table!("output"),
    table!("outbox"),
    table!("cursors"),
    table!("posting_numbers"),
    table!("links"),
    table!("codes"),
    table!("locks"),
    table!("covers"),
    table!("pages"),
    table!("calls"),
    table!("happenings"),
    table!("rules_told"),
    table!("tokens"),
];
/// What is said of the new database anew, and not copied.
#[cfg(test)]
const NOT_COPIED: [&str; 6] = [
    "probe",
    "duties",
    "ledger_key",
    "incarnation",
    // Asked of git again.
    "commits",
    "commits_read",
];

/// Copies everything to an empty PostgreSQL. `told` hears each table and how many rows it had.
///
/// The data folder stays: its key and its sealed head go on being used. Answers what verifying the copy found.
///
/// # Errors
/// `InUse` while midwatch runs on the folder; `Corrupt` when either side's ledger does not verify; `Conflict` when the
/// other database is not empty. Nothing was changed then.
pub async fn copy(
    from: &StoreSettings,
    to: &StoreSettings,
    mut told: impl FnMut(&str, u64),
) -> Result<Report, StoreError> {
    let target = Target::of(to)?;
    if let Target::Sqlite(_) = target {
        return Err(StoreError::Conflict(
            "a copy goes to PostgreSQL: name it as postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                .to_owned(),
        ));
    }
    let lock = take_lock(&from.data).await?;
    let source = Store::open_read_only(from).await?;
    let before = sound(source.verify(&[]).await?, "the ledger that is to be copied")?;
    let mut reading = source.reader().await?.snapshot().await?;
    refuse_newer(&mut reading).await?;
    let mut writing = target.connect().await?;
    migrate(&mut writing).await?;
    begin(&mut writing).await?;
    for table in TABLES.iter().filter(|it| it.name != "tree") {
        let (rows,): (i64,) = sql(table.count).one(&mut writing).await?;
        if rows > 0 {
            return Err(StoreError::Conflict(format!(
                "the database to copy to is not empty: `{}` has {rows} rows; give an empty one",
                table.name
            )));
        }
    }
    writing.run("delete from tree").await?;
    for table in &TABLES {
        told(
            table.name,
            copy_table(table, &mut reading, &mut writing).await?,
        );
    }
    writing.run("commit").await?;
    drop(lock);
    let copied = Store::open_read_only(to).await?;
    let after = sound(copied.verify(&[]).await?, "the copied ledger")?;
    if (after.entries, &after.matching) == (before.entries, &before.matching) {
        return Ok(after);
    }
    Err(StoreError::Corrupt(format!(
        "the copy has {} ledger entries and not {}: was midwatch running?",
        after.entries, before.entries
    )))
}

/// What a newer version added has no place in the tables that this one makes: it would be left behind in silence.
async fn refuse_newer(from: &mut Db) -> Result<(), StoreError> {
    let applied: Vec<(i64,)> = sql("select version from _sqlx_migrations")
        .all(from)
        .await?;
    let is_ours = |version: i64| MIGRATIONS.iter().any(|it| it.version == version);
    if applied.into_iter().all(|(version,)| is_ours(version)) {
        return Ok(());
    }
    Err(StoreError::Newer(
        "the database that is to be copied (copy it with that version)".to_owned(),
    ))
}

fn sound(report: Report, what: &str) -> Result<Report, StoreError> {
    if report.is_sound() {
        return Ok(report);
    }
    Err(StoreError::Corrupt(format!(
        "{what} does not verify: {report}"
    )))
}

async fn copy_table(table: &Table, from: &mut Db, to: &mut Db) -> Result<u64, StoreError> {
    let mut rows = match from.engine() {
        Engine::Sqlite(db) => sqlx::query_as::<_, JsonRow>(table.read).fetch(db),
        Engine::Postgres(db) => sqlx::query_as::<_, JsonRow>(table.read).fetch(db),
    };
    let mut copied = 0;
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH
            && let Some(JsonRow(row)) = rows.try_next().await?
        {
            batch.push(row);
        }
        if batch.is_empty() {
            return Ok(copied);
        }
        copied += sql(table.write)
            .bind(write_json(&batch))
            .execute(to)
            .await?;
    }
}

/// A row of any of our tables: texts and numbers by their columns' names.
struct JsonRow(Map<String, Value>);

macro_rules! json_row {
    ($row:ty) => {
        impl FromRow<'_, $row> for JsonRow {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                let mut values = Map::new();
                for column in row.columns() {
                    let number = row.try_get::<Option<i64>, _>(column.ordinal());
                    let value = match number {
                        Ok(number) => number.map(Value::from),
                        Err(_) => row
                            .try_get::<Option<String>, _>(column.ordinal())?
                            .map(Value::from),
                    };
                    values.insert(column.name().to_owned(), value.unwrap_or(Value::Null));
                }
                Ok(Self(values))
            }
        }
    };
}
json_row!(SqliteRow);
json_row!(PgRow);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_copied_or_deliberately_not() {
        let schema = MIGRATIONS.iter().flat_map(|it| it.sql.as_str().lines());
        let made = schema.filter_map(|line| line.strip_prefix("create table "));
        let mut made: Vec<&str> = made.filter_map(|line| line.split(' ').next()).collect();
        let mut known: Vec<&str> = TABLES.iter().map(|it| it.name).chain(NOT_COPIED).collect();
        made.sort_unstable();
        known.sort_unstable();
        assert_eq!(made, known);
    }
}
