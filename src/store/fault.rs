//! Turns the database's errors into ours, so that callers can tell a full disk from a broken file.

use serde_json::Value;
use sqlx::postgres::PgDatabaseError;

use super::StoreError;
use crate::planted;

// Of PostgreSQL: disk full, out of memory, read-only; data and index corrupted.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
// Of SQLite: https://www.sqlite.org/rescode.html
const READONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANT_OPEN: i32 = 14;
const NOT_A_DATABASE: i32 = 26;
/// Write, fsync, directory fsync, truncate, delete; opening, sizing and mapping of shared memory: each says that the disk
/// does not take what we give it.
const IO_ON_WRITE: [i32; 8] = [778, 1034, 1290, 1546, 2570, 4618, 4874, 5386];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let why = error.to_string();
        let sqlx::Error::Database(fault) = &error else {
            return match error {
                sqlx::Error::PoolTimedOut => Self::Unavailable(
                    "no connection in time; is it up, and does DATABASE_URL lead to it?".to_owned(),
                ),
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt(why),
                _ => Self::Unavailable(why),
            };
        };
        if fault.is_unique_violation() {
            return Self::Conflict(why);
        }
        if fault.try_downcast_ref::<PgDatabaseError>().is_some() {
            return match fault.code().as_deref() {
                Some("53100" | "53200" | "25006") => Self::NotWritable(why),
                Some("XX001" | "XX002") => Self::Corrupt(why),
                _ => Self::Unavailable(why),
            };
        }
        if planted::is("disk-fault-unsaid") {
            return Self::Unavailable(why);
        }
        let code: i32 = fault.code().and_then(|c| c.parse().ok()).unwrap_or(0);
        match code & 0xff {
            READONLY | FULL | CANT_OPEN => Self::NotWritable(why),
            CORRUPT | NOT_A_DATABASE => Self::Corrupt(why),
            _ if IO_ON_WRITE.contains(&code) => Self::NotWritable(why),
            _ => Self::Unavailable(why),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(error)
            | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Whether everything was written, and the disk did not confirm it: after a crash it may be there.
pub(super) fn is_unconfirmed(why: &str) -> bool {
    why.contains("(code: 1034)")
}

/// A file beside the database could not be written.
pub(super) fn file_fault(path: &std::path::Path, error: &std::io::Error) -> StoreError {
    StoreError::NotWritable(format!("{}: {error}", path.display()))
}

/// A column that should hold our JSON.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(
    what: &str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            return StoreError::Newer(what.to_owned());
        }
        StoreError::Corrupt(format!("{what}: {error}"))
    })
}

/// The same for what is acted on or written again: all of it must be understood. What a newer version added to it, and
/// we would pass over in silence, may be the very thing that matters.
pub(super) fn read_all_json<T>(what: &str, text: &str) -> Result<T, StoreError>
where
    T: serde::de::DeserializeOwned + serde::Serialize,
{
    let value: T = read_json(what, text)?;
    let again = write_json(&value);
    if again == text || holds(&read_json(what, &again)?, &read_json(what, text)?) {
        return Ok(value);
    }
    Err(StoreError::Newer(what.to_owned()))
}

/// Whether everything that is there was read. What says nothing need not be.
fn holds(read: &Value, there: &Value) -> bool {
    match (read, there) {
        (Value::Object(read), Value::Object(there)) => there.iter().all(|(key, there)| {
            there.is_null() || read.get(key).is_some_and(|read| holds(read, there))
        }),
        (Value::Array(read), Value::Array(there)) => {
            read.len() == there.len() && read.iter().zip(there).all(|(r, t)| holds(r, t))
        }
        (read, there) => read == there,
    }
}

/// Our own types as JSON.
pub(super) fn write_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our stored types have only string keys")
}

/// A column that should hold a moment.
pub(super) fn read_time(ms: i64) -> Result<jiff::Timestamp, StoreError> {
    jiff::Timestamp::from_millisecond(ms)
        .map_err(|error| StoreError::Corrupt(format!("time {ms}: {error}")))
}
