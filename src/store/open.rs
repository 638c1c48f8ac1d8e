//! Opens the store: one process per folder, a SQLite that is new enough, migrations, and what a dead process left.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};

use super::checkpoint::{SEAL_FILE, make_key, publish_key, read_key};
use super::fault::file_fault;
use super::writer::{Writer, WriterSettings, open_group};
use super::{Store, StoreError, StoreSettings};
use crate::domain::NoteSigner;

/// Earlier ones can corrupt a database in WAL mode (<https://www.sqlite.org/releaselog/3_51_3.html>).
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];
/// How often the folder's lock is looked at, and the pause between: half a second together.
const LOCK_LOOKS: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// Reads that go on at once.
const READERS: u32 = 4;

pub(super) struct Inner {
    readers: SqlitePool,
    writer: Option<Writer>,
    signer: Option<Arc<NoteSigner>>,
    /// Held for the store's life; `None` once it is closed.
    lock: Mutex<Option<File>>,
    data: PathBuf,
}

impl Store {
    /// Opens the database, applies migrations, checks the SQLite version, takes the folder's lock (SQLite: one process).
    /// Leases left by a dead process of the same folder are void at once.
    pub async fn open(settings: &StoreSettings, _now: Timestamp) -> Result<Self, StoreError> {
        let options = options(settings)?.create_if_missing(true);
        for folder in [
            Some(settings.data.as_path()),
            options.get_filename().parent(),
        ] {
            let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder {
                std::fs::create_dir_all(folder).map_err(|error| file_fault(folder, &error))?;
            }
        }
        let lock = take_lock(&settings.data).await?;
        let mut db = options.connect().await?;
        check_version(&mut db).await?;
        sqlx::migrate!("src/store/migrations").run(&mut db).await?;
        let signer = Arc::new(open_key(&settings.data, &mut db).await?);
        clear_away(&mut db).await?;
        sqlx::Connection::close(db).await?;
        let writer_settings = WriterSettings {
            options: options.clone(),
            signer: signer.clone(),
            seal: settings.data.join(SEAL_FILE),
        };
        let group = open_group(&writer_settings).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                readers: readers(options),
                writer: Some(Writer::start(writer_settings, group)),
                signer: Some(signer),
                lock: Mutex::new(Some(lock)),
                data: settings.data.clone(),
            }),
        })
    }

    /// Opens the database for reading, beside a process that has it open or without one. Changes nothing.
    pub async fn open_read_only(settings: &StoreSettings) -> Result<Self, StoreError> {
        let readers = readers(options(settings)?);
        sqlx::query("select size from tree")
            .fetch_one(&readers)
            .await
            .map_err(|error| {
                StoreError::Unavailable(format!(
                    "{}: {error}; `midwatch serve` or `midwatch try` makes the database",
                    settings.url
                ))
            })?;
        Ok(Self {
            inner: Arc::new(Inner {
                readers,
                writer: None,
                signer: read_key(&settings.data)?.map(Arc::new),
                lock: Mutex::new(None),
                data: settings.data.clone(),
            }),
        })
    }

    /// Flushes and closes. Later calls answer `Unavailable`.
    pub async fn close(&self) {
        // Readers first: while one is open, the writer can't bring everything into the database's file.
        self.inner.readers.close().await;
        if let Some(writer) = &self.inner.writer {
            writer.close().await;
        }
        let lock = &self.inner.lock;
        drop(lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Answers when anything was committed since the last look. A hint for promptness; correctness is by polling.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        match &self.inner.writer {
            Some(writer) => writer.changes(),
            None => tokio::sync::watch::channel(0).1,
        }
    }

    /// A small write and read, for `/readyz`; a database without room for a command is not well.
    pub async fn probe(&self, now: Timestamp) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    sqlx::query("insert into probe (id, at) values (1, $1) on conflict (id) do update set at = $1")
                        .bind(now.as_millisecond())
                        .execute(&mut group.db)
                        .await?;
                    has_room(&mut group.db).await
                })
            })
            .await?;
        sqlx::query("select at from probe where id = 1")
            .fetch_one(self.readers())
            .await?;
        Ok(())
    }

    pub(super) fn readers(&self) -> &SqlitePool {
        &self.inner.readers
    }

    pub(super) fn data(&self) -> &Path {
        &self.inner.data
    }

    pub(super) fn writer(&self) -> Result<&Writer, StoreError> {
        self.inner.writer.as_ref().ok_or_else(|| {
            StoreError::NotWritable("the store was opened for reading only".to_owned())
        })
    }

    pub(super) fn signer(&self) -> Result<&NoteSigner, StoreError> {
        self.inner.signer.as_deref().ok_or_else(|| {
            let data = self.data().display();
            StoreError::Unavailable(format!("there is no ledger.key in {data}"))
        })
    }
}

fn options(settings: &StoreSettings) -> Result<SqliteConnectOptions, StoreError> {
    if !settings.url.starts_with("sqlite:") {
        return Err(StoreError::Unavailable(
            "DATABASE_URL is not of the form `sqlite:PATH`; other databases are not supported yet"
                .to_owned(),
        ));
    }
    let (url, most_pages) = match settings.url.split_once("?max_pages=") {
        Some((url, pages)) => (url, Some(pages.to_owned())),
        None => (settings.url.as_str(), None),
    };
    let options = SqliteConnectOptions::from_str(url)?
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging();
    Ok(match most_pages {
        Some(pages) => options.pragma("max_page_count", pages),
        None => options,
    })
}

fn readers(options: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .connect_lazy_with(options.read_only(true).create_if_missing(false))
}

async fn take_lock(data: &Path) -> Result<File, StoreError> {
    let path = data.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| file_fault(&path, &error))?;
    let mut looks = 0;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A process that was just killed, or one of its children on the way to its own program, lets go in a moment.
            Err(TryLockError::WouldBlock) if looks < LOCK_LOOKS => {
                looks += 1;
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(path)),
            Err(TryLockError::Error(error)) => return Err(file_fault(&path, &error)),
        }
    }
}

async fn check_version(db: &mut SqliteConnection) -> Result<(), StoreError> {
    let version: String = sqlx::query_scalar("select sqlite_version()")
        .fetch_one(db)
        .await?;
    let parts: Vec<u32> = version.split('.').filter_map(|n| n.parse().ok()).collect();
    if parts.as_slice() >= OLDEST_SQLITE.as_slice() {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!(
        "SQLite {version} can corrupt its database; midwatch needs 3.51.3 or later"
    )))
}

/// The row of the probe fits into a database that is full; what a command writes needs pages of its own.
async fn has_room(db: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("savepoint room").execute(&mut *db).await?;
    let tried = sqlx::query("update probe set at = zeroblob(32768)")
        .execute(&mut *db)
        .await;
    // A full database may have rolled the savepoint back already; the intention's own undoes what is left.
    tried?;
    for undo in ["rollback to room", "release room"] {
        sqlx::query(undo).execute(&mut *db).await?;
    }
    Ok(())
}

/// Reads the ledger's key. It is made for an empty ledger only: a second key would leave old checkpoints unproven.
async fn open_key(data: &Path, db: &mut SqliteConnection) -> Result<NoteSigner, StoreError> {
    let newest_note = super::checkpoint::newest_note(&mut *db).await?;
    let signer = match (read_key(data)?, &newest_note) {
        (Some(found), _) => found,
        (None, None) => make_key(data)?,
        (None, Some(_)) => {
            return Err(StoreError::Corrupt(format!(
                "{}/ledger.key is missing and the ledger has checkpoints signed with it; restore it from a backup",
                data.display()
            )));
        }
    };
    if let Some(note) = newest_note {
        signer.public().verify(&note).map_err(|error| {
            StoreError::Corrupt(format!(
                "the newest checkpoint does not fit {}/ledger.key: {error}; restore key and database from one backup",
                data.display()
            ))
        })?;
    }
    publish_key(data, &signer)?;
    Ok(signer)
}

/// What a dead process left: its leases are void, and its deliveries are in doubt. The lock proves that it is dead.
async fn clear_away(db: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query(
        "update runs set fence = fence + 1, leased_by = null, leased_until = null where leased_by is not null",
    )
    .execute(&mut *db)
    .await?;
    sqlx::query("update outbox set state = 'waiting', in_doubt = 1 where state = 'sending'")
        .execute(db)
        .await?;
    Ok(())
}
