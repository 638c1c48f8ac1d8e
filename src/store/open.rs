//! Opens the store: one process per folder, a database that is new enough, migrations, the key, and what a dead process
//! of this folder left.

use std::convert::Infallible;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, PgConnection};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::checkpoint::{SEAL_FILE, open_key, read_key, replace};
use super::clocks::Compared;
use super::db::{Db, Engine, Readers, sql};
use super::fault::file_fault;
use super::leases::end_of;
use super::newer::Newer;
use super::writer::{self, Group, Writer, WriterSettings, open_group};
use super::{Store, StoreError, StoreSettings, WorkerId};
use crate::domain::NoteSigner;
use crate::planted;

/// Earlier ones can corrupt a database in WAL mode (<https://www.sqlite.org/releaselog/3_51_3.html>).
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];
/// By reading: what is asked of it, 10 has. Tested are later ones.
pub(super) const OLDEST_POSTGRES: i32 = 100_000;
/// How often the folder's lock is looked at, and the pause between: half a second together.
const LOCK_LOOKS: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// How long a start waits for its turn to write, on PostgreSQL.
const FIRST_TURN_WITHIN: Duration = Duration::from_secs(9);
/// Reads that go on at once.
const READERS: u32 = 4;
/// How long a server may take to let us in.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long a reader may wait for its connection.
const LEND_WITHIN: Duration = Duration::from_millis(1_200);
/// How long to wait before listening again after the connection broke. Polling goes on meanwhile.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// How long the runs of this folder are kept for it after it was opened.
const KEPT_FOR_HOME: Duration = Duration::from_secs(6);
/// What every connection to PostgreSQL is told: a replica that is stopped amid its transaction is put out by the server,
/// and nobody waits longer than people do. Our statements are short and have their indexes: compiling one takes longer
/// than it runs, and old statistics must not talk the planner into reading a whole table.
const TOLD: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "1500ms"),
    ("lock_timeout", "2s"),
    ("statement_timeout", "10s"),
    ("jit", "off"),
    ("enable_seqscan", "off"),
];
/// SQLite has it: one row for each member of a JSON array. So the same statements run here. The planner expects a few.
const JSON_EACH: &str = "begin;
    select pg_advisory_xact_lock(7380);
    create or replace function json_each(text) returns table (value json)
        language sql immutable strict rows 10 as $$ select json_array_elements($1::json) $$;
    commit";

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations");

pub(super) struct Inner {
    readers: Readers,
    writer: Option<Writer>,
    signer: Option<Arc<NoteSigner>>,
    /// Held for the store's life; `None` once it is closed.
    lock: Mutex<Option<File>>,
    listener: Mutex<JoinSet<()>>,
    data: PathBuf,
    home: String,
    newer: Newer,
    compared: Mutex<Option<Compared>>,
}

/// Which database, and how it is reached.
#[derive(Clone)]
pub(super) enum Target {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

impl Target {
    pub(super) fn of(settings: &StoreSettings) -> Result<Self, StoreError> {
        let url = settings.url.as_str();
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            // The library's message could repeat the address, and with it the password.
            let unreadable = |_| {
                StoreError::Unavailable(
                    "DATABASE_URL is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                        .to_owned(),
                )
            };
            let options = PgConnectOptions::from_str(url).map_err(unreadable)?;
            let options = options
                .application_name("midwatch")
                .options(TOLD)
                .disable_statement_logging();
            return Ok(Self::Postgres(Box::new(options)));
        }
        if !url.starts_with("sqlite:") {
            return Err(StoreError::Unavailable(
                "DATABASE_URL is of neither form: `sqlite:PATH`, `postgres://…`".to_owned(),
            ));
        }
        let (url, most_pages) = match url.split_once("?max_pages=") {
            Some((url, pages)) => (url, Some(pages.to_owned())),
            None => (url, None),
        };
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        Ok(Self::Sqlite(Box::new(match most_pages {
            Some(pages) => options.pragma("max_page_count", pages),
            None => options,
        })))
    }

    /// Says to the server, and so to `midwatch doctor`, which replica of which version it serves.
    fn for_replica(self, home: &str) -> Self {
        let name = || format!("midwatch/{} {home}", env!("CARGO_PKG_VERSION"));
        match self {
            Self::Sqlite(options) => Self::Sqlite(options),
            Self::Postgres(options) => Self::Postgres(Box::new(options.application_name(&name()))),
        }
    }

    pub(super) async fn connect(&self) -> Result<Db, StoreError> {
        match self {
            Self::Sqlite(options) => Ok(Db::Sqlite(options.connect().await?)),
            Self::Postgres(options) => connect_postgres(options).await.map(Db::Postgres),
        }
    }

    fn readers(&self) -> Readers {
        match self {
            Self::Sqlite(options) => {
                let options = (**options).clone().read_only(true).create_if_missing(false);
                let pool = SqlitePoolOptions::new().max_connections(READERS);
                Readers::Sqlite(pool.connect_lazy_with(options))
            }
            Self::Postgres(options) => {
                let pool = PgPoolOptions::new().max_connections(READERS);
                let pool = pool.acquire_timeout(LEND_WITHIN);
                Readers::Postgres(pool.connect_lazy_with((**options).clone()))
            }
        }
    }
}

async fn connect_postgres(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    tokio::time::timeout(CONNECT_WITHIN, options.connect())
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
        .map_err(|error| {
            let (host, port) = (options.get_host(), options.get_port());
            StoreError::Unavailable(format!("PostgreSQL at {host}:{port}: {error}"))
        })
}

impl Store {
    /// Opens the database, applies migrations, checks its version, takes the folder's lock: one process for each.
    /// Leases left by a dead process of the same folder are void at once.
    pub async fn open(settings: &StoreSettings, now: Timestamp) -> Result<Self, StoreError> {
        let target = Target::of(settings)?;
        let database = match &target {
            Target::Sqlite(options) => options.get_filename().parent(),
            Target::Postgres(_) => None,
        };
        for folder in [Some(settings.data.as_path()), database] {
            let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder {
                std::fs::create_dir_all(folder).map_err(|error| file_fault(folder, &error))?;
            }
        }
        let lock = take_lock(&settings.data).await?;
        let home = home(&settings.data)?;
        let target = target.for_replica(&home);
        let mut db = target.connect().await?;
        migrate(&mut db).await?;
        let signer = Arc::new(open_key(&settings.data, &mut db).await?);
        clear_away(&mut db, &home, now).await?;
        db.close().await?;
        let writer_settings = WriterSettings {
            target: target.clone(),
            signer: signer.clone(),
            seal: settings.data.join(SEAL_FILE),
            opened: (now, Instant::now()),
        };
        let group = first_group(&writer_settings).await?;
        let writer = Writer::start(writer_settings, group);
        let mut listener = JoinSet::new();
        if let Target::Postgres(options) = &target {
            listener.spawn(listen((**options).clone(), writer.changes().clone()));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                readers: target.readers(),
                writer: Some(writer),
                signer: Some(signer),
                lock: Mutex::new(Some(lock)),
                listener: Mutex::new(listener),
                data: settings.data.clone(),
                home,
                newer: Newer::default(),
                compared: Mutex::new(None),
            }),
        })
    }

    /// Opens the database for reading, beside a process that has it open or without one. Changes nothing.
    pub async fn open_read_only(settings: &StoreSettings) -> Result<Self, StoreError> {
        let readers = Target::of(settings)?.readers();
        let tried = match readers.lend().await {
            Ok(mut db) => sql("select size from tree").one::<(i64,)>(&mut db).await,
            Err(error) => Err(error),
        };
        tried.map_err(|error| {
            StoreError::Unavailable(format!(
                "{error}; `midwatch serve` or `midwatch try` makes the database"
            ))
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                readers,
                writer: None,
                signer: read_key(&settings.data)?.map(Arc::new),
                lock: Mutex::new(None),
                listener: Mutex::new(JoinSet::new()),
                data: settings.data.clone(),
                home: String::new(),
                newer: Newer::default(),
                compared: Mutex::new(None),
            }),
        })
    }

    /// Flushes and closes. Later calls answer `Unavailable`.
    pub async fn close(&self) {
        let listener = &self.inner.listener;
        drop(std::mem::take(
            &mut *listener.lock().unwrap_or_else(PoisonError::into_inner),
        ));
        // Readers first: while one is open, the writer can't bring everything into the database's file.
        self.inner.readers.close().await;
        if let Some(writer) = &self.inner.writer {
            writer.close().await;
        }
        let lock = &self.inner.lock;
        drop(lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Answers when anything was committed since the last look. A hint for promptness; correctness is by polling.
    pub fn changes(&self) -> watch::Receiver<u64> {
        match &self.inner.writer {
            Some(writer) => writer.changes().subscribe(),
            None => watch::channel(0).1,
        }
    }

    /// A small write and read, for `/readyz`; a database without room for a command is not well.
    pub async fn probe(&self, now: Timestamp) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    sql("insert into probe (id, at) values (1, $1) on conflict (id) do update set at = $1")
                        .bind(now.as_millisecond())
                        .execute(&mut group.db)
                        .await?;
                    has_room(&mut group.db).await
                })
            })
            .await?;
        sql("select at from probe where id = 1")
            .one::<(i64,)>(&mut self.reader().await?)
            .await?;
        Ok(())
    }

    /// The identity of the data folder, and so of this replica over its restarts.
    pub fn home(&self) -> &str {
        &self.inner.home
    }

    /// Whether others may work on the same database.
    pub fn has_replicas(&self) -> bool {
        matches!(self.inner.readers, Readers::Postgres(_))
    }

    /// A worker of this replica. Two processes never share one.
    pub fn worker(&self) -> WorkerId {
        WorkerId(format!("{}/{}", self.home(), uuid::Uuid::new_v4()))
    }

    pub(super) async fn reader(&self) -> Result<Db, StoreError> {
        self.inner.readers.lend().await
    }

    /// What the database's clock said last.
    pub(super) fn compared(&self) -> Option<Compared> {
        let compared = &self.inner.compared;
        *compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remember_clock(&self, found: Compared) {
        let compared = &self.inner.compared;
        *compared.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    pub(super) fn newer(&self) -> &Newer {
        &self.inner.newer
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

/// Counts what other replicas commit as changes.
async fn listen(options: PgConnectOptions, changes: watch::Sender<u64>) {
    let mut told = false;
    loop {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_WITHIN)
            .connect_lazy_with(options.clone());
        let Err(error) = hear(&pool, &changes, &mut told).await;
        if !std::mem::replace(&mut told, true) {
            tracing::warn!("what other replicas write is seen by polling alone: {error}");
        }
        changes.send_modify(|n| *n += 1);
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn hear(
    pool: &PgPool,
    changes: &watch::Sender<u64>,
    told: &mut bool,
) -> Result<Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("midwatch").await?;
    *told = false;
    loop {
        // `None`: the connection was made anew, and something may have been missed.
        listener.try_recv().await?;
        changes.send_modify(|n| *n += 1);
    }
}

/// The folder's identity, if it has one.
pub(super) fn read_home(data: &Path) -> Option<String> {
    let home = std::fs::read_to_string(data.join("home")).ok()?;
    Some(home.trim().to_owned())
}

/// The folder's identity, made once.
fn home(data: &Path) -> Result<String, StoreError> {
    let path = data.join("home");
    let fault = |error: std::io::Error| file_fault(&path, &error);
    match std::fs::read_to_string(&path) {
        Ok(home) if uuid::Uuid::parse_str(home.trim()).is_ok() => Ok(home.trim().to_owned()),
        Ok(_) => Err(StoreError::Corrupt(format!(
            "{} holds no identity; remove it, and a new one is made",
            path.display()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let home = uuid::Uuid::new_v4().to_string();
            replace(&path, &format!("{home}\n"), 0o644).map_err(fault)?;
            Ok(home)
        }
        Err(error) => Err(fault(error)),
    }
}

pub(super) async fn take_lock(data: &Path) -> Result<File, StoreError> {
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

/// Brings the tables up to date. A newer neighbour may have added to them: tables are expanded a release before
/// anything is taken away, so two neighbouring versions work side by side.
pub(super) async fn migrate(db: &mut Db) -> Result<(), StoreError> {
    let migrations = Migrator {
        ignore_missing: true,
        ..Migrator::DEFAULT
    };
    let migrations = Migrator {
        migrations: MIGRATIONS.migrations.clone(),
        ..migrations
    };
    match db.engine() {
        Engine::Sqlite(db) => {
            check_version(db).await?;
            migrations.run(db).await?;
        }
        Engine::Postgres(db) => {
            check_server(&mut *db).await?;
            // Changing a large table, or waiting for the replica that does, takes its time.
            let patiently = "set lock_timeout = 0; set statement_timeout = 0";
            sqlx::raw_sql(patiently).execute(&mut *db).await?;
            sqlx::raw_sql(JSON_EACH).execute(&mut *db).await?;
            migrations.run(&mut *db).await?;
            let for_the_start = "set lock_timeout = '9s'; reset statement_timeout";
            sqlx::raw_sql(for_the_start).execute(db).await?;
        }
    }
    Ok(())
}

/// The writer's first group. Other replicas may be writing all the while: who starts waits longer for a turn than people
/// who wait for an answer.
async fn first_group(settings: &WriterSettings) -> Result<Group, StoreError> {
    let deadline = Instant::now() + FIRST_TURN_WITHIN;
    loop {
        match (open_group(settings, None).await, &settings.target) {
            (Err(StoreError::Unavailable(_)), Target::Postgres(_)) if Instant::now() < deadline => {
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            (opened, _) => return opened,
        }
    }
}

async fn check_server(db: &mut PgConnection) -> Result<(), StoreError> {
    let (number, version): (i32, String) = sqlx::query_as(
        "select current_setting('server_version_num')::int, current_setting('server_version')",
    )
    .fetch_one(db)
    .await?;
    if number >= OLDEST_POSTGRES {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!(
        "PostgreSQL {version} is too old; midwatch needs {}, `midwatch doctor` says what it is tested with",
        OLDEST_POSTGRES / 10_000
    )))
}

async fn check_version(db: &mut sqlx::SqliteConnection) -> Result<(), StoreError> {
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
async fn has_room(db: &mut Db) -> Result<(), StoreError> {
    if let Engine::Postgres(_) = db.engine() {
        return Ok(()); // The commit itself needs room in the server's log.
    }
    db.run("savepoint room").await?;
    // A full database may have rolled the savepoint back already; the intention's own undoes what is left.
    db.run("update probe set at = zeroblob(32768)").await?;
    db.run("rollback to room").await?;
    db.run("release room").await
}

/// What a dead process of this folder left: its leases are void. The lock proves that it is dead. On SQLite there is no
/// other process, so what stands as being delivered is in doubt; on PostgreSQL whoever takes the duty says so.
///
/// A run whose step may still go on under a supervisor of this folder is kept for it, for a moment: it is about to claim it.
async fn clear_away(db: &mut Db, home: &str, now: Timestamp) -> Result<(), StoreError> {
    let whose = match db.engine() {
        Engine::Sqlite(_) => "%".to_owned(),
        Engine::Postgres(_) => format!("{home}/%"),
    };
    writer::begin(db).await?;
    sql("update runs set fence = fence + 1, leased_by = null, leased_until = null where leased_by like $1")
        .bind(&whose)
        .execute(db)
        .await?;
    if let Engine::Postgres(_) = db.engine() {
        sql("update runs set leased_by = $1, leased_until = $2
             where home = $1 and phase = 'running' and (leased_by is null or leased_by = $1)")
        .bind(home)
        .bind(end_of(now, KEPT_FOR_HOME))
        .execute(db)
        .await?;
    }
    if let Engine::Sqlite(_) = db.engine()
        && !planted::is("delivery-stuck")
    {
        db.run("update outbox set state = 'waiting', in_doubt = 1 where state = 'sending'")
            .await?;
    }
    sql("update duties set until = 0 where holder like $1")
        .bind(&whose)
        .execute(db)
        .await?;
    db.run("commit").await
}
