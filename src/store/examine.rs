//! What an operator should know of a PostgreSQL before, or while, midwatch works on it. Changes nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};

use super::checkpoint::{KEY_FILE, read_key};
use super::clocks::{CLOCK_REFUSE, CLOCK_WARN, clock_refused};
use super::open::{MIGRATIONS, OLDEST_POSTGRES, Target, read_home};
use super::{Store, StoreError, StoreSettings};

/// The oldest that midwatch is tested with.
const TESTED: i32 = 15;
/// A longer way is worth a word: writes take turns over all replicas.
const LONG_WAY: Duration = Duration::from_millis(5);
/// How long a notice may be on its way.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// What was found of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// One word.
    pub part: &'static str,
    /// Whether that is well.
    pub state: FindingState,
    /// What was found, and what to do.
    pub words: String,
}

/// How well a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingState {
    /// Nothing is to be done.
    Well,
    /// midwatch works, but not as it could.
    Doubtful,
    /// Not there yet.
    Missing,
    /// midwatch does not work so.
    Broken,
}

use FindingState::{Broken, Doubtful, Missing, Well};

fn finding(part: &'static str, state: FindingState, words: impl Into<String>) -> Finding {
    let words = words.into();
    Finding { part, state, words }
}

/// Looks at the database of these settings; nothing is found of one that is a file.
///
/// # Errors
/// When it can't be reached, or stops answering meanwhile.
pub async fn examine(
    settings: &StoreSettings,
    clock: impl Fn() -> Timestamp,
) -> Result<Vec<Finding>, StoreError> {
    let Target::Postgres(options) = Target::of(settings)? else {
        return Ok(Vec::new());
    };
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .acquire_timeout(HEARD_WITHIN)
        .connect_with((*options).clone())
        .await?;
    let mut found = vec![server(&pool).await?, account(&pool).await?];
    let schema = schema(&pool).await?;
    let is_there = schema.state != Missing;
    found.push(schema);
    found.push(durability(&pool).await?);
    found.push(notices(&options, &pool).await?);
    if is_there {
        found.push(key(&pool, &settings.data).await?);
    }
    found.push(replicas(&pool, &settings.data).await?);
    found.push(way(&pool).await?);
    pool.close().await;
    if is_there {
        found.push(clocks(settings, clock).await?);
    }
    Ok(found)
}

async fn server(pool: &PgPool) -> Result<Finding, StoreError> {
    let (number, version, standby): (i32, String, bool) = sqlx::query_as(
        "select current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery()",
    )
    .fetch_one(pool)
    .await?;
    let (state, words) = judge_version(number, &version);
    if standby {
        let words = format!(
            "{words}; it is a standby: let DATABASE_URL lead to the one that is written to"
        );
        return Ok(finding("postgres", Broken, words));
    }
    Ok(finding("postgres", state, words))
}

fn judge_version(number: i32, version: &str) -> (FindingState, String) {
    let major = number / 10_000;
    if number < OLDEST_POSTGRES {
        let oldest = OLDEST_POSTGRES / 10_000;
        return (
            Broken,
            format!(
                "PostgreSQL {version} is too old: midwatch needs {oldest}, and is tested with {TESTED} and later"
            ),
        );
    }
    if major < TESTED {
        return (
            Doubtful,
            format!("PostgreSQL {version}: midwatch is tested with {TESTED} and later"),
        );
    }
    (Well, format!("PostgreSQL {version}"))
}

async fn account(pool: &PgPool) -> Result<Finding, StoreError> {
    let (who, schema, may, read_only): (String, Option<String>, Option<bool>, bool) = sqlx::query_as(
        "select current_user::text, current_schema()::text, has_schema_privilege(current_schema(), 'create'),
                current_setting('default_transaction_read_only')::bool",
    )
    .fetch_one(pool)
    .await?;
    let (strange,): (i64,) = sqlx::query_as(
        "select count(*) from pg_tables
         where schemaname = current_schema() and tablename in ('runs', 'ledger', 'outbox', '_sqlx_migrations')
           and not pg_has_role(current_user, tableowner, 'usage')",
    )
    .fetch_one(pool)
    .await?;
    Ok(match (schema, may) {
        _ if read_only => finding(
            "account",
            Broken,
            format!("`{who}` may only read: take default_transaction_read_only from it"),
        ),
        (Some(schema), Some(true)) if strange == 0 => finding(
            "account",
            Well,
            format!("`{who}` may write and make tables in schema `{schema}`"),
        ),
        (Some(schema), Some(true)) => finding(
            "account",
            Broken,
            format!(
                "{strange} tables in schema `{schema}` are not owned by `{who}`, so it can't bring them up to date: \
                 alter their owner"
            ),
        ),
        (schema, _) => finding(
            "account",
            Broken,
            format!(
                "`{who}` may not make tables in schema `{}`: let it own its database",
                schema.unwrap_or_default()
            ),
        ),
    })
}

async fn schema(pool: &PgPool) -> Result<Finding, StoreError> {
    let (made,): (bool,) = sqlx::query_as(
        "select to_regclass('_sqlx_migrations') is not null and to_regclass('tree') is not null",
    )
    .fetch_one(pool)
    .await?;
    if !made {
        let words = "no tables yet; the first start of `midwatch serve` makes them";
        return Ok(finding("schema", Missing, words));
    }
    let applied: Vec<(i64, bool)> =
        sqlx::query_as("select version, success from _sqlx_migrations order by version")
            .fetch_all(pool)
            .await?;
    if let Some((broken, _)) = applied.iter().find(|(_, success)| !success) {
        let words = format!("migration {broken} ended midway: restore from a backup, and tell us");
        return Ok(finding("schema", Broken, words));
    }
    let applied: BTreeSet<i64> = applied.into_iter().map(|(version, _)| version).collect();
    let ours: BTreeSet<i64> = MIGRATIONS.iter().map(|it| it.version).collect();
    let (behind, ahead) = (
        ours.difference(&applied).count(),
        applied.difference(&ours).count(),
    );
    let newest = applied.last().copied().unwrap_or_default();
    Ok(match (behind, ahead) {
        (0, 0) => finding("schema", Well, format!("ours, migration {newest}")),
        (_, 0) => finding(
            "schema",
            Well,
            format!("older by {behind} migrations; the next start of this version applies them"),
        ),
        (_, _) => finding(
            "schema",
            Doubtful,
            format!(
                "newer by {ahead} migrations: a newer midwatch works on it; this version may work beside it until it is \
                 replaced"
            ),
        ),
    })
}

async fn durability(pool: &PgPool) -> Result<Finding, StoreError> {
    let settings: Vec<(String, String)> = sqlx::query_as(
        "select name, setting from pg_settings
         where name in ('fsync', 'full_page_writes', 'synchronous_commit') order by name",
    )
    .fetch_all(pool)
    .await?;
    let off: Vec<&str> = settings
        .iter()
        .filter(|(_, setting)| setting == "off")
        .map(|(name, _)| name.as_str())
        .collect();
    Ok(if off.is_empty() {
        finding("durability", Well, "what is committed is on the disk")
    } else {
        finding(
            "durability",
            Doubtful,
            format!(
                "{} off: what midwatch acknowledged can be lost with the host; turn it on",
                off.join(" and ")
            ),
        )
    })
}

/// Whether a notice that is sent arrives. Behind a pooler that hands connections out for a transaction it does not.
async fn notices(options: &PgConnectOptions, pool: &PgPool) -> Result<Finding, StoreError> {
    let channel = format!("midwatch_doctor_{}", uuid::Uuid::new_v4().simple());
    let own = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(HEARD_WITHIN)
        .connect_lazy_with(options.clone());
    let heard = async {
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen(&channel).await?;
        sqlx::query("select pg_notify($1, '')")
            .bind(&channel)
            .execute(pool)
            .await?;
        listener.recv().await.map(drop)
    };
    Ok(
        if let Ok(Ok(())) = tokio::time::timeout(HEARD_WITHIN, heard).await {
            finding(
                "notices",
                Well,
                "replicas hear of each other's work at once",
            )
        } else {
            finding(
                "notices",
                Doubtful,
                "what is notified is not heard: replicas see each other's work by looking, within a second; of PgBouncer \
                 use session pooling",
            )
        },
    )
}

async fn key(pool: &PgPool, data: &Path) -> Result<Finding, StoreError> {
    let known: Option<(String,)> = sqlx::query_as("select public from ledger_key where id = 1")
        .fetch_optional(pool)
        .await?;
    let path = data.join(KEY_FILE);
    let path = path.display();
    Ok(match (known, read_key(data)?) {
        (Some((known,)), Some(found)) if found.public().to_string() != known => finding(
            "key",
            Broken,
            format!(
                "{path} is not the key of this ledger ({known}): copy ledger.key from the folder of another replica"
            ),
        ),
        (Some((known,)), Some(_)) => finding("key", Well, format!("{path} fits: {known}")),
        (Some((known,)), None) => finding(
            "key",
            Broken,
            format!(
                "{path} is missing, and the ledger is signed with it ({known}): copy it from the folder of another replica"
            ),
        ),
        (None, _) => finding(
            "key",
            Missing,
            "the ledger has none yet; the first start makes it",
        ),
    })
}

/// Whoever is connected and says that it is a midwatch.
async fn replicas(pool: &PgPool, data: &Path) -> Result<Finding, StoreError> {
    let names: Vec<(String,)> = sqlx::query_as(
        "select distinct application_name from pg_stat_activity
         where datname = current_database() and application_name like 'midwatch/%' order by 1",
    )
    .fetch_all(pool)
    .await?;
    let ours = read_home(data);
    let named: Vec<String> = names
        .iter()
        .filter_map(|(name,)| name.strip_prefix("midwatch/")?.split_once(' '))
        .map(|(version, home)| {
            if ours.as_deref() == Some(home) {
                return format!("{version} (on this folder)");
            }
            let short: String = home.chars().take(8).collect();
            format!("{version} (home {short})")
        })
        .collect();
    let words = match named.len() {
        0 => "none is connected".to_owned(),
        count => format!("{count} connected: {}", named.join(", ")),
    };
    Ok(finding("replicas", Well, words))
}

async fn way(pool: &PgPool) -> Result<Finding, StoreError> {
    let mut took = Vec::new();
    for _ in 0..5 {
        let asked = Instant::now();
        sqlx::query("select 1").execute(pool).await?;
        took.push(asked.elapsed());
    }
    took.sort_unstable();
    let usual = took[took.len() / 2];
    let words = format!("{:.1} ms there and back", usual.as_secs_f64() * 1_000.0);
    Ok(if usual > LONG_WAY {
        let words = format!(
            "{words}: replicas take turns to write, so this bounds what they do; bring the database nearer"
        );
        finding("way", Doubtful, words)
    } else {
        finding("way", Well, words)
    })
}

async fn clocks(
    settings: &StoreSettings,
    clock: impl Fn() -> Timestamp,
) -> Result<Finding, StoreError> {
    let store = Store::open_read_only(settings).await?;
    let Some(state) = store.compare_clocks(clock).await? else {
        return Ok(finding("clock", Well, "there is one only"));
    };
    Ok(if state.is_off_by(CLOCK_REFUSE) {
        finding("clock", Broken, clock_refused(&state))
    } else if state.is_off_by(CLOCK_WARN) {
        let words = format!("this host's is {}: keep both with NTP", state.in_words());
        finding("clock", Doubtful, words)
    } else {
        finding(
            "clock",
            Well,
            "this host's and the database's agree within a second",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_tested_untested_or_too_old() {
        let rows = [
            (90_624, Broken),
            (100_000, Doubtful),
            (140_012, Doubtful),
            (150_000, Well),
            (180_001, Well),
        ];
        for (number, expected) in rows {
            assert_eq!(judge_version(number, "x").0, expected, "{number}");
        }
    }
}
