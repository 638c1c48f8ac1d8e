//! Cursors: up to when we heard everything that was said in a channel, so that the rest can be read afterwards.
//!
//! A cursor moves only when its channel was read up to there, or while we listen after that: what was said in between
//! stays to be read, whatever crashes.

use jiff::Timestamp;

use super::db::sql;
use super::fault::{read_all_json, read_time};
use super::outbox::owe;
use super::writer::Group;
use super::{MessageRef, Store, StoreError};
use crate::domain::{Place, Platform, Posting};

/// The row for channels without a row of their own.
const ELSEWHERE: &str = "";

/// Part of a platform: a workspace or guild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The platform.
    pub platform: Platform,
    /// As [`Place::space`].
    pub id: String,
}

/// A channel that has to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Channel id.
    pub channel: String,
    /// Everything said before was heard.
    pub heard: Timestamp,
}

/// Where a conversation of a run is: the one where it was asked for, or a mirror of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunThread {
    /// One of the run's places.
    pub place: Place,
    /// Its root message, once it is delivered.
    pub root: Option<MessageRef>,
}

/// Two queries in one, each through an index of its own: those that ended lately are few, and come in any order. A cross
/// join is one whose order SQLite keeps.
pub(super) const THREADS: &str = "select place, message from (
     select * from (
         select runs.created_at, runs.id, outbox.place, outbox.message
         from runs cross join outbox
         where outbox.run = runs.id and outbox.kind = 'root' and outbox.platform = $1
           and (runs.phase <> 'finished' or runs.outcome = 'needs_attention')
         order by runs.created_at desc, runs.id limit $3) open
     union
     select runs.created_at, runs.id, outbox.place, outbox.message
     from runs cross join outbox
     where outbox.run = runs.id and outbox.kind = 'root' and outbox.platform = $1 and runs.finished_at >= $2) found
 order by created_at desc, id limit $3";

async fn begin_listening(
    group: &mut Group,
    space: &Space,
    channels: &[String],
    since: i64,
) -> Result<Vec<Behind>, StoreError> {
    // Durable before anything is read: a channel that we came into while we were away is read in any case.
    for channel in channels {
        sql(
            "insert into cursors (platform, space, channel, heard)
             values ($1, $2, $3, coalesce((select heard from cursors where platform = $1 and space = $2 and channel = $4), $5))
             on conflict (platform, space, channel) do nothing",
        )
        .bind(space.platform.as_str())
        .bind(&space.id)
        .bind(channel)
        .bind(ELSEWHERE)
        .bind(since)
        .execute(&mut group.db)
        .await?;
    }
    move_cursor(group, space, ELSEWHERE, since).await?;
    let rows: Vec<(String, i64)> = sql(
        "select channel, heard from cursors where platform = $1 and space = $2 and heard <> $3 order by heard, channel",
    )
    .bind(space.platform.as_str())
    .bind(&space.id)
    .bind(since)
    .all(&mut group.db)
    .await?;
    rows.into_iter()
        .filter(|(channel, _)| channels.contains(channel))
        .map(|(channel, heard)| {
            let heard = read_time(heard)?;
            Ok(Behind { channel, heard })
        })
        .collect()
}

async fn move_cursor(
    group: &mut Group,
    space: &Space,
    channel: &str,
    heard: i64,
) -> Result<(), StoreError> {
    sql(
        "insert into cursors (platform, space, channel, heard) values ($1, $2, $3, $4)
         on conflict (platform, space, channel) do update set heard = excluded.heard",
    )
    .bind(space.platform.as_str())
    .bind(&space.id)
    .bind(channel)
    .bind(heard)
    .execute(&mut group.db)
    .await?;
    Ok(())
}

impl Store {
    /// We listen since this moment: answers the channels that have to be read, those that wait longest first.
    ///
    /// None of them when we never listened in this space before: the past before the first start is not ours. A cursor
    /// that lies in the future was moved by a wrong clock; its channel is among the answers too.
    pub async fn begin_listening(
        &self,
        space: Space,
        channels: Vec<String>,
        since: Timestamp,
    ) -> Result<Vec<Behind>, StoreError> {
        let since = since.as_millisecond();
        self.writer()?
            .write(move |group| {
                Box::pin(async move { begin_listening(group, &space, &channels, since).await })
            })
            .await
    }

    /// A channel was read up to this moment; what we owe to people for it comes along.
    pub async fn channel_read(
        &self,
        space: Space,
        channel: String,
        until: Timestamp,
        postings: Vec<Posting>,
    ) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    move_cursor(group, &space, &channel, until.as_millisecond()).await?;
                    owe(group, postings, until).await
                })
            })
            .await
    }

    /// We have listened without a break from `since` until `now`. Channels that were not read up to `since` stay behind.
    pub async fn still_listening(
        &self,
        space: Space,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (since, now) = (since.as_millisecond(), now.as_millisecond());
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    sql("update cursors set heard = $4 where platform = $1 and space = $2 and heard >= $3")
                        .bind(space.platform.as_str())
                        .bind(&space.id)
                        .bind(since)
                        .bind(now)
                        .execute(&mut group.db)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    /// The threads of runs that are open, need attention or ended after this moment, newest first.
    pub async fn run_threads(
        &self,
        platform: Platform,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunThread>, StoreError> {
        let rows: Vec<(String, Option<String>)> = sql(THREADS)
            .bind(platform.as_str())
            .bind(since.as_millisecond())
            .bind(i64::from(limit))
            .all(&mut self.reader().await?)
            .await?;
        // A thread that only a newer version knows how to reach is read by that one.
        let threads = rows.into_iter().filter_map(|(place, root)| {
            let place = read_all_json("a place", &place).ok()?;
            let root = root.map(MessageRef);
            Some(RunThread { place, root })
        });
        Ok(threads.collect())
    }
}
