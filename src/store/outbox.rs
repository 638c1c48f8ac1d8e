//! The outbox: what we owe to people and have not delivered yet, in order per thread.

use jiff::Timestamp;

use super::db::{Sql, sql};
use super::duties::check_duty;
use super::fault::write_json;
use super::newer::What;
use super::writer::Group;
use super::{AT_ONCE, Duty, MessageRef, PostingId, Standing, Store, StoreError};
use crate::domain::{Place, Platform, Posting, PostingKind, RunId};
use crate::planted;

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
    owe_numbered(group, postings, now).await.map(drop)
}

/// The same, and answers the number of each.
pub(super) async fn owe_numbered(
    group: &mut Group,
    mut postings: Vec<Posting>,
    now: Timestamp,
) -> Result<std::ops::Range<i64>, StoreError> {
    if planted::is("order-lost") {
        postings.reverse();
    }
    let first = reserve_numbers(group, postings.len(), now).await?;
    let numbers = first..first + i64::try_from(postings.len()).unwrap_or_default();
    for (number, posting) in (first..).zip(postings) {
        // Whoever asked over the API reads the answer and the run there: nobody delivers it.
        if posting.to.platform == Platform::Api {
            continue;
        }
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
    Ok(numbers)
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
    /// Whether postings wait that only a newer version can read: it needs the duty to deliver them.
    pub fn leaves_postings(&self) -> bool {
        self.newer().is_left(What::Posting)
    }

    /// Whether there are postings that are to be looked for now, because nobody knows whether they arrived.
    pub async fn are_in_doubt(
        &self,
        platform: Platform,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (in_doubt,): (i64,) = sql("select count(*) from outbox
             where platform = $1 and state in ('waiting', 'sending') and in_doubt = 1 and message is null
               and not_before <= $2 and kind not in ('whisper', 'form')")
        .bind(platform.as_str())
        .bind(now.as_millisecond())
        .one(&mut self.reader().await?)
        .await?;
        Ok(in_doubt > 0)
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

    /// It was looked for and is not there: it is to be posted.
    pub async fn posting_absent(&self, duty: &Duty, id: PostingId) -> Result<(), StoreError> {
        let change = sql("update outbox set state = 'waiting', in_doubt = 0
             where id = $1 and state in ('waiting', 'sending')")
        .bind(id.0);
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

    /// Where a run's root at this place stands; `None` until it is delivered.
    pub async fn root_of(
        &self,
        run: RunId,
        place: &Place,
    ) -> Result<Option<MessageRef>, StoreError> {
        let found: Option<(Option<String>,)> =
            sql("select message from outbox where kind = 'root' and run = $1 and place = $2")
                .bind(run.to_string())
                .bind(write_json(place))
                .optional(&mut self.reader().await?)
                .await?;
        Ok(found.and_then(|(message,)| message).map(MessageRef))
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
