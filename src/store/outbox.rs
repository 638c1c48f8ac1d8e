//! The outbox: what we owe to people and have not delivered yet, in order per thread.

use jiff::Timestamp;
use sqlx::FromRow;

use super::db::{Engine, Sql, sql};
use super::duties::check_duty;
use super::fault::{read_json, write_json};
use super::writer::Group;
use super::{AT_ONCE, DuePosting, Duty, MessageRef, PostingId, Standing, Store, StoreError};
use crate::domain::{Platform, Posting, PostingKind};

fn kind(posting: &Posting) -> &'static str {
    match posting.kind {
        PostingKind::Root => "root",
        PostingKind::Line { .. } => "line",
        PostingKind::Output { .. } => "output",
        PostingKind::Answer => "answer",
        PostingKind::Whisper { .. } => "whisper",
        PostingKind::Form { .. } => "form",
    }
}

/// Remembers what we owe. A run's root replaces the one it has at that place, delivered or not.
pub(super) async fn owe(
    group: &mut Group,
    postings: Vec<Posting>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let first = reserve_numbers(group, postings.len(), now).await?;
    for (number, posting) in (first..).zip(postings) {
        let last = matches!(posting.kind, PostingKind::Line { last: true, .. });
        // A deferred root stays deferred: the platform asked us to wait, whatever the state is now. One that is to be
        // read back does not: its newer state is sent at once.
        // The root of a run that may have begun before may stand there already.
        sql("insert into outbox (kind, platform, channel, place, run, body, final, state, not_before, in_doubt, id)
             values ($1, $2, $3, $4, $5, $6,
                     case when $1 = 'root'
                          then coalesce((select case when phase = 'finished' then 1 else 0 end from runs where id = $5), 0)
                          else $7 end,
                     'waiting', $8,
                     coalesce((select 1 from runs where id = $5 and doubted_at is not null and $1 = 'root'), 0), $9)
             on conflict (run, place) where kind = 'root' do update
             set body = excluded.body, final = excluded.final, version = outbox.version + 1,
                 not_before = case when outbox.delivered_version = outbox.version then excluded.not_before
                                   else outbox.not_before end,
                 state = case when outbox.state = 'sending' then 'sending' else 'waiting' end")
        .bind(kind(&posting))
        .bind(posting.to.platform.as_str())
        .bind(write_json(&(&posting.to.space, &posting.to.channel)))
        .bind(write_json(&posting.to))
        .bind(posting.run.map(|run| run.to_string()))
        .bind(write_json(&posting))
        .bind(i64::from(last))
        .bind(AT_ONCE)
        .bind(number)
        .execute(&mut group.db)
        .await?;
    }
    Ok(())
}

/// The first of as many numbers as are needed. They are never given again: a delivered line is deleted, and platforms
/// are searched for its number. They go with the clock, so that a restore to an older state gives others.
async fn reserve_numbers(
    group: &mut Group,
    needed: usize,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let needed = i64::try_from(needed).unwrap_or(i64::MAX);
    if needed == 0 {
        return Ok(0);
    }
    let (last,): (i64,) = sql(
        "insert into posting_numbers (id, last) values (1, $1 + $2 - 1)
         on conflict (id) do update
         set last = case when posting_numbers.last < $1 then $1 - 1 else posting_numbers.last end + $2
         returning last",
    )
    .bind(now.as_millisecond() * 4_096)
    .bind(needed)
    .one(&mut group.db)
    .await?;
    Ok(last - needed + 1)
}

/// In which order postings of a channel are delivered. As in the index `outbox_next`.
macro_rules! rank {
    () => {
        "case when o.kind = 'form' then 0
              when o.kind in ('answer', 'whisper') or (o.kind = 'root' and o.message is null) then 1
              when o.final = 1 then 2 else 3 end"
    };
}

/// What is due. Steps from channel to channel, and takes of each the next posts, edits, looks and answers through the
/// index `outbox_next`. The engines agree on all but how a row is joined with a query that refers to it.
macro_rules! due {
    ($join:literal, $joined:literal) => {
        concat!(
            "with recursive channels (channel) as (
                 select min(channel) from outbox where platform = $1 and state = 'waiting'
                 union all
                 select (select min(next.channel) from outbox next
                         where next.platform = $1 and next.state = 'waiting' and next.channel > channels.channel)
                 from channels where channels.channel is not null),
             classes (class) as (values (0), (1), (2), (3))
             select o.id, o.version, o.body, o.message, o.in_doubt, o.attempts, o.delivered_version, o.final,
                    (select root.message from outbox root
                     where root.kind = 'root' and root.run = o.run and root.place = o.place
                       and o.kind in ('line', 'output')) as thread
             from channels cross join classes",
            $join,
            "where o.platform = $1 and o.state = 'waiting' and o.channel = channels.channel
               and case when o.kind in ('answer', 'whisper') then 3 when o.message is null then 0
                        when o.delivered_version = o.version then 2 else 1 end = classes.class
               and o.not_before <= $2
               and (o.kind in ('root', 'form')
                 or (o.kind in ('line', 'output')
                     and not exists (
                        select 1 from outbox root
                        where root.kind = 'root' and root.run = o.run and root.place = o.place
                          and root.delivered_version = 0 and root.state <> 'dropped')
                     and not exists (
                        select 1 from outbox earlier
                        where earlier.run = o.run and earlier.place = o.place and earlier.id < o.id
                          and earlier.kind in ('line', 'output') and earlier.state in ('waiting', 'sending')))
                 or (o.kind in ('answer', 'whisper')
                     and not exists (
                        select 1 from outbox earlier
                        where earlier.platform = o.platform and earlier.channel = o.channel and earlier.id < o.id
                          and earlier.kind in ('answer', 'whisper')
                          and (earlier.state = 'sending'
                            or (earlier.state = 'waiting' and earlier.not_before <= $2)))))
             order by ", rank!(), ", o.id limit 4",
            $joined,
            " where channels.channel is not null order by ", rank!(), ", o.id limit $3"
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
            posting: read_json("a posting", &self.body)?,
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

async fn delivered(
    group: &mut Group,
    id: PostingId,
    version: i64,
    message: Option<MessageRef>,
) -> Result<(), StoreError> {
    let root = sql("update outbox
         set delivered_version = $2, message = coalesce($3, message), in_doubt = 0, attempts = 0, why = null,
             state = case when version > $2 then 'waiting' else 'delivered' end
         where id = $1 and kind = 'root' and state in ('waiting', 'sending') and coalesce($3, message) is not null")
    .bind(id.0)
    .bind(version)
    .bind(message.map(|message| message.0))
    .execute(&mut group.db)
    .await?;
    if root == 1 {
        return Ok(());
    }
    let line = sql(
        "delete from outbox where id = $1 and kind <> 'root' and state in ('waiting', 'sending')",
    )
    .bind(id.0)
    .execute(&mut group.db)
    .await?;
    one_row(line, id)
}

fn one_row(changed: u64, id: PostingId) -> Result<(), StoreError> {
    if changed == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "posting {} is not waiting: it was delivered, dropped, or its delivery has begun",
        id.0
    )))
}

impl Store {
    /// Postings that may be delivered now: of each thread the oldest undelivered; roots first posted before their lines.
    ///
    /// Forms come first, then what somebody waits for an answer by (first roots, answers), then finals, then the rest. Of
    /// each channel come a few posts, edits and looks only: a busy one, held back by its pace, must not hide the others.
    /// What waits behind them is not read: a look costs as much as there are channels in which something waits.
    ///
    /// Answers and whispers come one at a time for each channel, but one that was deferred holds nobody up. Forms come
    /// at once: their handles live some seconds. The lines of a root that was dropped come without a thread.
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
            .all(&mut db)
            .await?;
        rows.into_iter().map(DueRow::posting).collect()
    }

    /// Remembers that a delivery begins, so that a crash leaves it `in_doubt`. This and what follows: `Conflict` when
    /// the duty is lost.
    pub async fn begin_posting(&self, duty: &Duty, id: PostingId) -> Result<(), StoreError> {
        let change = sql("update outbox set state = 'sending' where id = $1 and state = 'waiting'")
            .bind(id.0);
        self.change_posting(duty, id, change).await
    }

    /// Remembers a delivery. A root that has a newer state by now stays due. `Conflict` for an edit of a root that was found
    /// lost meanwhile.
    pub async fn posting_delivered(
        &self,
        duty: &Duty,
        id: PostingId,
        version: i64,
        message: Option<MessageRef>,
    ) -> Result<(), StoreError> {
        let duty = duty.clone();
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    check_duty(group, &duty).await?;
                    delivered(group, id, version, message).await
                })
            })
            .await
    }

    /// Remembers that the platform took a posting, and that more is due for it from `until` on: its file, or a look whether
    /// it is there. `version`: the state that is there; 0 while the file is missing.
    pub async fn posting_stands(
        &self,
        duty: &Duty,
        id: PostingId,
        stands: Standing,
    ) -> Result<(), StoreError> {
        // A root that is lost again and again is sent more and more slowly.
        let change = sql("update outbox
             set state = 'waiting', delivered_version = $2, message = coalesce($3, message), in_doubt = 0,
                 attempts = case when kind = 'root' then attempts else 0 end, why = null,
                 not_before = case when kind = 'root' and version > $2 then not_before else $4 end
             where id = $1 and state in ('waiting', 'sending') and coalesce($3, message) is not null")
        .bind(id.0)
        .bind(stands.version)
        .bind(stands.message.map(|message| message.0))
        .bind(stands.until.as_millisecond());
        self.change_posting(duty, id, change).await
    }

    /// The platform took it, and it is not there: it is due again. A line is looked for once more before it is posted.
    pub async fn posting_lost(
        &self,
        duty: &Duty,
        id: PostingId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let change = sql("update outbox
             set state = 'waiting', version = version + 1, attempts = attempts + 1, not_before = $2,
                 message = case when kind = 'root' then message end,
                 delivered_version = case when kind = 'root' then delivered_version else 0 end,
                 in_doubt = case when kind = 'root' then in_doubt else 1 end,
                 why = 'the platform took it, and it is not there'
             where id = $1 and state in ('waiting', 'sending')")
        .bind(id.0)
        .bind(until.as_millisecond());
        self.change_posting(duty, id, change).await
    }

    /// The root that this posting edits, or whose thread it belongs to, is not there: the root is posted anew, and what
    /// was to be delivered after it. `false`, and nothing changed, where there is no such root.
    pub async fn root_lost(
        &self,
        duty: &Duty,
        id: PostingId,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let duty = duty.clone();
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    check_duty(group, &duty).await?;
                    let roots = sql("update outbox
                         set state = 'waiting', message = null, delivered_version = 0,
                             attempts = attempts + 1, not_before = $2, why = 'it is not there any more'
                         where kind = 'root' and state <> 'dropped'
                           and (run, place) = (select run, place from outbox where id = $1)")
                    .bind(id.0)
                    .bind(until.as_millisecond())
                    .execute(&mut group.db)
                    .await?;
                    if roots == 1 {
                        sql("update outbox set state = 'waiting', attempts = attempts + 1, not_before = $2
                             where id = $1 and kind <> 'root'")
                        .bind(id.0)
                        .bind(until.as_millisecond())
                        .execute(&mut group.db)
                        .await?;
                    }
                    Ok(roots == 1)
                })
            })
            .await
    }

    /// The platform asks us to wait. That is no failure of the posting.
    pub async fn postpone_posting(
        &self,
        duty: &Duty,
        id: PostingId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let change = sql("update outbox
             set state = 'waiting', not_before = $2, why = 'the platform asks us to wait'
             where id = $1 and state in ('waiting', 'sending')")
        .bind(id.0)
        .bind(until.as_millisecond());
        self.change_posting(duty, id, change).await
    }

    /// Tries again later. `in_doubt`: whether it may have arrived; a doubt stays until the delivery is recorded.
    pub async fn defer_posting(
        &self,
        duty: &Duty,
        id: PostingId,
        until: Timestamp,
        in_doubt: bool,
        why: &str,
    ) -> Result<(), StoreError> {
        let change = sql("update outbox
             set state = 'waiting', not_before = $2, attempts = attempts + 1, why = $4,
                 in_doubt = case when $3 = 1 then 1 else in_doubt end
             where id = $1 and state in ('waiting', 'sending')")
        .bind(id.0)
        .bind(until.as_millisecond())
        .bind(i64::from(in_doubt))
        .bind(why);
        self.change_posting(duty, id, change).await
    }

    /// Gives up: the platform refuses it for good. The thread goes on without it.
    pub async fn drop_posting(
        &self,
        duty: &Duty,
        id: PostingId,
        why: &str,
    ) -> Result<(), StoreError> {
        let change = sql("update outbox set state = 'dropped', why = $2
             where id = $1 and state in ('waiting', 'sending')")
        .bind(id.0)
        .bind(why);
        self.change_posting(duty, id, change).await
    }

    async fn change_posting(
        &self,
        duty: &Duty,
        id: PostingId,
        change: Sql,
    ) -> Result<(), StoreError> {
        let duty = duty.clone();
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    check_duty(group, &duty).await?;
                    one_row(change.execute(&mut group.db).await?, id)
                })
            })
            .await
    }

    /// How many postings wait, on one platform; those not counted that the platform took and that are to be read back.
    pub async fn postings_waiting(&self, platform: Platform) -> Result<u64, StoreError> {
        let (waiting,): (i64,) = sql(
            "select count(*) from outbox
             where platform = $1 and state in ('waiting', 'sending') and delivered_version < version",
        )
        .bind(platform.as_str())
        .one(&mut self.reader().await?)
        .await?;
        Ok(waiting.unsigned_abs())
    }
}
