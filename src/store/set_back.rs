//! A database that was set back to an older state: found out before anything is written to it, recorded, and every open
//! run put in doubt, because what was lost may have been done.
//!
//! What we know from outside of the database: the last entry that this process saw committed, the newest checkpoint
//! sealed in the data folder, and which database it is. A state that is older than all of them is found out later, by a
//! thread whose run is not there.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::checkpoint::keep_checkpoint;
use super::db::{Db, Engine, sql};
use super::fault::write_json;
use super::ledger::Seen;
use super::runs::happen;
use super::writer::Group;
use super::{AT_ONCE, Store, StoreError};
use crate::domain::{
    Checkpoint, Fact, Posting, PostingKind, Reference, Run, RunEvent, RunId, leaf_hash, render,
};

/// Looks in the writer's first transaction on a connection. Answers whether the database was set back.
pub(super) async fn look(
    group: &mut Group,
    seen: Option<&Seen>,
    seal: &Path,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let name = incarnation(group).await?;
    let known: Option<(String,)> = sql("select name from incarnation where id = 1")
        .optional(&mut group.db)
        .await?;
    let why = match (known, &name, seen) {
        (Some((known,)), Some(name), _) if known != *name && known != "unknown" => {
            Some(format!("the database was {known} and is {name} now"))
        }
        (_, _, Some(seen)) => misses_entry(group, seen).await?,
        (_, _, None) => misses_seal(group, seal).await?,
    };
    let set_back_at = why.as_ref().map(|_| now.as_millisecond());
    sql("insert into incarnation (id, name, set_back_at) values (1, coalesce($1, 'unknown'), $2)
         on conflict (id) do update
         set name = coalesce($1, incarnation.name), set_back_at = coalesce($2, incarnation.set_back_at)")
    .bind(name)
    .bind(set_back_at)
    .execute(&mut group.db)
    .await?;
    match why {
        None => Ok(false),
        Some(why) => record(group, why, now).await.map(|()| true),
    }
}

/// Which database this is: a promoted standby or a restored copy is another one. `None` where we may not ask.
async fn incarnation(group: &mut Group) -> Result<Option<String>, StoreError> {
    match group.db.engine() {
        Engine::Sqlite(_) => Ok(Some("a file".to_owned())),
        Engine::Postgres(_) => {
            group.db.run("savepoint name").await?;
            let named: Result<(String,), StoreError> = sql(
                "select current_database() || ' of system ' || system_identifier || ', timeline '
                        || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) from pg_control_system()",
            )
            .one(&mut group.db)
            .await;
            if let Err(error) = &named {
                group.db.run("rollback to name").await?;
                tracing::warn!("a failover is known by lost entries alone: {error}");
            }
            Ok(named.ok().map(|(name,)| name))
        }
    }
}

async fn misses_entry(group: &mut Group, seen: &Seen) -> Result<Option<String>, StoreError> {
    let line: Option<(String,)> = sql("select line from ledger where sequence = $1")
        .bind(seen.sequence.cast_signed())
        .optional(&mut group.db)
        .await?;
    let there = line.is_some_and(|(line,)| leaf_hash(line.as_bytes()) == seen.leaf);
    let sequence = seen.sequence;
    Ok(
        (!there)
            .then(|| format!("ledger entry {sequence} was committed and is not there any more")),
    )
}

async fn misses_seal(group: &mut Group, seal: &Path) -> Result<Option<String>, StoreError> {
    let Ok(sealed) = std::fs::read_to_string(seal) else {
        return Ok(None); // Nothing has finished yet, or the folder is new; `ledger verify` says more.
    };
    let Ok(Checkpoint { size, .. }) = Checkpoint::parse(&sealed) else {
        return Ok(Some("the sealed checkpoint is no checkpoint".to_owned()));
    };
    let kept: Option<(String,)> = sql("select note from checkpoints where size = $1")
        .bind(size.cast_signed())
        .optional(&mut group.db)
        .await?;
    let there = kept.is_some_and(|(note,)| note == sealed);
    Ok((!there)
        .then(|| format!("the sealed checkpoint over {size} entries is not in the database")))
}

async fn record(group: &mut Group, why: String, now: Timestamp) -> Result<(), StoreError> {
    tracing::warn!("the database was set back to an older state: {why}; open runs are in doubt");
    group.append(&Fact::SetBack { why }, now);
    let open: Vec<(String,)> = sql(
        "select id from runs where phase <> 'finished' or outcome = 'needs_attention' order by created_at, id",
    )
    .all(&mut group.db)
    .await?;
    for (id,) in open {
        let run = RunId::parse(&id).ok_or_else(|| StoreError::Corrupt(format!("run id `{id}`")))?;
        let tell = move |run: &Run, _: Option<&str>| told(run, now);
        let doubted = vec![RunEvent::Doubted];
        match happen(group, run, doubted, Box::new(tell), (now, None)).await {
            // Its thread is told by the version that can read it.
            Err(StoreError::Newer(_)) => doubt_unread(group, run, now).await?,
            happened => drop(happened?),
        }
        // Whoever held it has not seen this.
        sql("update runs set fence = fence + 1, leased_by = null, leased_until = null where id = $1")
            .bind(id)
            .execute(&mut group.db)
            .await?;
    }
    keep_checkpoint(group, now).await?;
    group.finished = true;
    Ok(())
}

/// Puts a run in doubt that this version can't read: the newer one that can must not take it for undoubted.
async fn doubt_unread(group: &mut Group, run: RunId, now: Timestamp) -> Result<(), StoreError> {
    let (reference,): (String,) =
        sql("update runs set doubted_at = $2, due_at = $3 where id = $1 returning reference")
            .bind(run.to_string())
            .bind(now.as_millisecond())
            .bind(AT_ONCE)
            .one(&mut group.db)
            .await?;
    let reference = Reference::parse(&reference)
        .ok_or_else(|| StoreError::Corrupt(format!("the reference `{reference}`")))?;
    let happened = RunEvent::Doubted;
    let fact = Fact::Run {
        run,
        reference,
        happened,
    };
    group.append(&fact, now);
    Ok(())
}

fn told(run: &Run, now: Timestamp) -> Vec<Posting> {
    let line = PostingKind::Line {
        attachment: None,
        last: false,
    };
    let said = render::line(run, &RunEvent::Doubted, "");
    let mut told = vec![(PostingKind::Root, render::root(run, now, None))];
    told.extend(said.map(|message| (line, message)));
    render::in_each_place(run, &told)
}

/// A run that has a thread.
#[derive(Serialize)]
struct Shown {
    run: RunId,
    at: i64,
}

/// A run that is not here although its thread is, and was not when that was found out last.
async fn misses_run(db: &mut Db, shown: &str) -> Result<Option<String>, StoreError> {
    let missing: Option<(String,)> = sql("select value ->> 'run' from json_each($1)
         where cast(value ->> 'at' as bigint) > coalesce((select set_back_at from incarnation where id = 1), 0)
           and not exists (select 1 from runs where id = value ->> 'run')
         limit 1")
    .bind(shown)
    .optional(db)
    .await?;
    Ok(missing.map(|(run,)| format!("run {run} has a thread and is not in the database")))
}

impl Store {
    /// Takes note of runs whose threads stand on a platform, each with when its first message was posted. One that is
    /// not here was lost: the database was set back, and the data folder with it.
    pub async fn runs_are_shown(
        &self,
        shown: Vec<(RunId, Timestamp)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let shown = shown.into_iter().map(|(run, at)| Shown {
            run,
            at: at.as_millisecond(),
        });
        let shown = write_json(&shown.collect::<Vec<_>>());
        if misses_run(&mut self.reader().await?, &shown)
            .await?
            .is_none()
        {
            return Ok(());
        }
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    // Another replica may have found it out meanwhile.
                    let Some(why) = misses_run(&mut group.db, &shown).await? else {
                        return Ok(());
                    };
                    sql("update incarnation set set_back_at = $1 where id = 1")
                        .bind(now.as_millisecond())
                        .execute(&mut group.db)
                        .await?;
                    record(group, why, now).await
                })
            })
            .await
    }

    /// When the database was last found set back to an older state. What was typed before may have been done already.
    pub async fn set_back_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let at: Option<(Option<i64>,)> = sql("select set_back_at from incarnation where id = 1")
            .optional(&mut self.reader().await?)
            .await?;
        at.and_then(|(at,)| at)
            .map(super::fault::read_time)
            .transpose()
    }
}
