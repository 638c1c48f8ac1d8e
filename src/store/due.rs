//! What is due to be delivered: a look costs as much as there are channels, however much waits in them.

use jiff::Timestamp;
use sqlx::FromRow;

use super::db::{Engine, sql};
use super::fault::read_all_json;
use super::newer::What;
use super::{DuePosting, MessageRef, PostingId, Store, StoreError};
use crate::domain::Platform;

/// Which call delivers a posting. As in the index `outbox_next`.
macro_rules! call {
    () => {
        "(case when message is not null and delivered_version = version then 'read back'
              when message is not null and kind = 'root' then 'edit'
              when message is not null then 'file'
              when in_doubt = 1 and kind not in ('whisper', 'form') then 'look'
              else 'post' end)"
    };
}

/// Which of a channel's postings come first, and which of those. As in the index `outbox_next`.
macro_rules! order {
    () => {
        "(case when message is not null and delivered_version = version then 4
              when kind = 'form' then 0
              when kind in ('answer', 'whisper') or (kind = 'root' and message is null) then 1
              when final = 1 then 2 else 3 end),
         (case when message is not null and delivered_version = version then not_before else 0 end), id"
    };
}

/// Steps from channel to channel, and takes of each the next four of each call through the index `outbox_next`. The
/// engines agree on all but how a row is joined with a query that refers to it.
macro_rules! due {
    ($join:literal, $joined:literal) => {
        concat!(
            "with recursive channels (channel) as (
                 select min(channel) from outbox where platform = $1 and state = 'waiting'
                 union all
                 select (select min(next.channel) from outbox next
                         where next.platform = $1 and next.state = 'waiting' and next.channel > channels.channel)
                 from channels where channels.channel is not null),
             calls (call) as (values ('read back'), ('edit'), ('file'), ('look'), ('post')),
             next_of_each as (
                 select o.*, calls.call,
                        row_number() over (partition by channels.channel, calls.call order by ", order!(), ") as nth
                 from channels cross join calls", $join,
                " where o.platform = $1 and o.state = 'waiting' and o.channel = channels.channel
                    and ", call!(), " = calls.call and o.not_before <= $2
                    and o.id not in (select cast(value ->> 'id' as bigint) from json_each($4))
                    and (o.kind in ('root', 'form')
                      or (o.kind in ('line', 'output')
                          and not exists (
                             select 1 from outbox root
                             where root.kind = 'root' and root.run = o.run and root.place = o.place
                               and root.delivered_version = 0 and root.state <> 'dropped'
                               and root.id not in (select cast(value ->> 'id' as bigint) from json_each($5)))
                          and not exists (
                             select 1 from outbox earlier
                             where earlier.run = o.run and earlier.place = o.place and earlier.id < o.id
                               and earlier.kind in ('line', 'output') and earlier.state in ('waiting', 'sending')
                               and earlier.id not in (select cast(value ->> 'id' as bigint) from json_each($5))))
                      or (o.kind in ('answer', 'whisper')
                          and not exists (
                             select 1 from outbox earlier
                             where earlier.platform = o.platform and earlier.channel = o.channel and earlier.id < o.id
                               and earlier.kind in ('answer', 'whisper')
                               and earlier.id not in (select cast(value ->> 'id' as bigint) from json_each($4))
                               and (earlier.state = 'sending'
                                 or (earlier.state = 'waiting' and earlier.not_before <= $2)))))
                  order by ", order!(), " limit 4", $joined, "),
             next_of_all as (
                 select next_of_each.*, row_number() over (partition by call order by nth, ", order!(), ") as nth_of_call
                 from next_of_each)
             select id, version, body, message, in_doubt, attempts, delivered_version, final,
                    (select root.message from outbox root
                     where root.kind = 'root' and root.run = next_of_all.run and root.place = next_of_all.place
                       and next_of_all.kind in ('line', 'output')) as thread
             from next_of_all where nth_of_call <= $3 order by ", order!()
        )
    };
}

pub(super) const DUE_ON_SQLITE: &str = due!(
    " cross join outbox o on o.id in (select o.id from outbox o ",
    ")"
);
const DUE_ON_POSTGRES: &str = due!(" cross join lateral (select o.* from outbox o ", ") o");

#[derive(FromRow)]
struct DueRow {
    id: i64,
    version: i64,
    body: String,
    message: Option<String>,
    thread: Option<String>,
    in_doubt: i64,
    attempts: i64,
    delivered_version: i64,
    #[sqlx(rename = "final")]
    last: i64,
}

impl DueRow {
    fn posting(self) -> Result<DuePosting, StoreError> {
        Ok(DuePosting {
            id: PostingId(self.id),
            version: self.version,
            posting: read_all_json("a posting", &self.body)?,
            // An edit in doubt is made again; only a post could stand there twice.
            in_doubt: self.in_doubt != 0 && self.message.is_none(),
            delivered: self.message.map(MessageRef),
            thread: self.thread.map(MessageRef),
            delivered_version: self.delivered_version,
            last: self.last != 0,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
        })
    }
}

impl Store {
    /// Postings that may be delivered now: of each thread the oldest undelivered; roots first posted before their lines.
    ///
    /// Forms come first, then what somebody waits for an answer by (first roots, answers), then finals, then the rest;
    /// then what is only to be read back, the oldest first: most of it is there. Posts, edits and looks have a pace each,
    /// and posts one for each channel. So there are at most `limit` of each, from as many channels as possible and a few
    /// of each: what is held back must not hide the others.
    ///
    /// Answers and whispers come one at a time for each channel, but one that was deferred holds nobody up. Forms come
    /// at once: their handles live some seconds. The lines of a root that was dropped come without a thread.
    ///
    /// What only a newer version can read is left to it ([`Self::leaves_postings`]); what follows in its thread waits a
    /// minute for that.
    pub async fn due_postings(
        &self,
        platform: Platform,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DuePosting>, StoreError> {
        let mut db = self.reader().await?;
        let next = match db.engine() {
            Engine::Sqlite(_) => DUE_ON_SQLITE,
            Engine::Postgres(_) => DUE_ON_POSTGRES,
        };
        let rows: Vec<DueRow> = sql(next)
            .bind(platform.as_str())
            .bind(now.as_millisecond())
            .bind(i64::from(limit))
            .bind(self.newer().passed_over(What::Posting))
            .bind(self.newer().held_up_enough(What::Posting))
            .all(&mut db)
            .await?;
        let mut due = Vec::with_capacity(rows.len());
        for row in rows {
            let id = row.id.to_string();
            match row.posting() {
                Ok(posting) => due.push(posting),
                Err(why) => self.newer().note(What::Posting, &id, &why)?,
            }
        }
        Ok(due)
    }
}
