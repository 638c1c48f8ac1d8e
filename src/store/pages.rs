//! Pages and the calls made for them. A level is called in one transaction with its calls, postings and ledger entries,
//! guarded by the page's revision: of several replicas one calls it.
//!
//! Calls in chat are delivered by the outbox, and known by its number; others are claimed here, each by moving its time on.

use std::time::Duration;

use jiff::Timestamp;

use super::db::sql;
use super::fault::{read_all_json, read_time, write_json};
use super::outbox::{owe, owe_numbered};
use super::writer::Group;
use super::{AT_ONCE, Store, StoreError};
use crate::domain::{Call, CallState, Fact, Page, PageId, Posting, ProjectName, Reference, RunId};

/// A page as it was read, with what guards a change of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPage {
    /// The page.
    pub page: Page,
    /// Which state of it.
    pub revision: i64,
}

/// What becomes of a page.
#[derive(Debug, Clone)]
pub struct PageChange {
    /// As it is then.
    pub page: Page,
    /// Which state it was made of; `None`: it begins.
    pub revision: Option<i64>,
    /// What is recorded beside the inbound's own fact, in order.
    pub facts: Vec<Fact>,
    /// Calls that are made; those in chat with their posting.
    pub calls: Vec<(Call, Option<Posting>)>,
    /// What we owe to people beside.
    pub postings: Vec<Posting>,
}

/// A run that waits for consent, and for which nobody was called yet.
#[derive(Debug, Clone)]
pub struct UnansweredRun {
    /// Which.
    pub run: RunId,
    /// Of which project.
    pub project: ProjectName,
    /// Since when.
    pub since: Timestamp,
}

/// A call that is to be made outside chat, claimed.
#[derive(Debug, Clone)]
pub struct DueCall {
    /// The page that it is made for.
    pub page: Page,
    /// Which of its calls.
    pub number: i64,
    /// What kind of call.
    pub call: Call,
    /// Tries so far, this one included.
    pub attempts: u32,
}

pub(super) async fn change(
    group: &mut Group,
    change: PageChange,
    now: Timestamp,
) -> Result<(), StoreError> {
    let PageChange {
        page,
        revision,
        facts,
        calls,
        postings,
    } = change;
    match revision {
        None => insert(group, &page, now).await?,
        Some(revision) => update(group, &page, revision).await?,
    }
    for fact in facts {
        group.append(&fact, now);
    }
    if !page.state.is_open() {
        stop_calls(group, page.id).await?;
    }
    owe(group, postings, now).await?;
    insert_calls(group, page.id, calls, now).await
}

async fn insert(group: &mut Group, page: &Page, now: Timestamp) -> Result<(), StoreError> {
    sql(
        "insert into pages (id, reference, project, run, state, body, next_at, at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(page.id.to_string())
    .bind(page.reference.as_str())
    .bind(page.project.as_str())
    .bind(page.run().map(|run| run.to_string()))
    .bind(page.state.as_str())
    .bind(write_json(page))
    .bind(page.next_at().map(Timestamp::as_millisecond))
    .bind(now.as_millisecond())
    .execute(&mut group.db)
    .await?;
    Ok(())
}

async fn update(group: &mut Group, page: &Page, revision: i64) -> Result<(), StoreError> {
    let updated = sql(
        "update pages set state = $3, body = $4, next_at = $5, revision = revision + 1
         where id = $1 and revision = $2 and state in ('calling', 'exhausted')",
    )
    .bind(page.id.to_string())
    .bind(revision)
    .bind(page.state.as_str())
    .bind(write_json(page))
    .bind(page.next_at().map(Timestamp::as_millisecond))
    .execute(&mut group.db)
    .await?;
    if updated == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "page {} is not as it was read any more",
        page.reference
    )))
}

/// What has not gone out is not sent any more.
async fn stop_calls(group: &mut Group, page: PageId) -> Result<(), StoreError> {
    sql(
        "update outbox set state = 'dropped', why = 'somebody has answered'
         where state = 'waiting' and kind = 'whisper'
           and id in (select posting from calls where page = $1 and state = 'waiting')",
    )
    .bind(page.to_string())
    .execute(&mut group.db)
    .await?;
    sql(
        "update calls set state = 'stopped', next_at = null
         where page = $1 and state = 'waiting'
           and (posting is null
             or posting in (select id from outbox where state = 'dropped' and why = 'somebody has answered'))",
    )
    .bind(page.to_string())
    .execute(&mut group.db)
    .await?;
    Ok(())
}

async fn insert_calls(
    group: &mut Group,
    page: PageId,
    calls: Vec<(Call, Option<Posting>)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (before,): (i64,) = sql("select count(*) from calls where page = $1")
        .bind(page.to_string())
        .one(&mut group.db)
        .await?;
    for (number, (call, posting)) in (before..).zip(calls) {
        let in_chat = posting.is_some();
        let owed = owe_numbered(group, posting.into_iter().collect(), now).await?;
        sql(
            "insert into calls (page, number, body, posting, state, next_at, at)
             values ($1, $2, $3, $4, 'waiting', $5, $6)",
        )
        .bind(page.to_string())
        .bind(number)
        .bind(write_json(&call))
        .bind(in_chat.then_some(owed.start))
        .bind((!in_chat).then_some(AT_ONCE))
        .bind(now.as_millisecond())
        .execute(&mut group.db)
        .await?;
    }
    Ok(())
}

/// Pages whose next level is due.
pub(super) const PAGES_DUE: &str = "select body, revision from pages where state = 'calling' and next_at <= $1 order by next_at limit $2";

/// Open pages for consent that is not awaited any more.
pub(super) const PAGES_DECIDED: &str = "select body, revision from pages
             where state in ('calling', 'exhausted') and run is not null
               and not exists (select 1 from runs where runs.id = pages.run and runs.phase = 'awaiting_approval')
             order by at limit $1";

/// Runs that wait for consent, and for which nobody was called.
pub(super) const UNANSWERED_RUNS: &str = "select id, project, created_at from runs
             where phase = 'awaiting_approval' and not exists (select 1 from pages where pages.run = runs.id)
             order by created_at limit $1";

/// Calls in chat that are to be looked at.
pub(super) const CALLS_IN_CHAT: &str = "select pages.body as page, calls.number, calls.body,
                    case when outbox.delivered_version = outbox.version then null else outbox.state end as owed,
                    outbox.why as held
             from calls join pages on pages.id = calls.page left join outbox on outbox.id = calls.posting
             where calls.state = 'waiting' and calls.posting is not null
               and (outbox.id is null or outbox.delivered_version = outbox.version or outbox.state = 'dropped'
                 or (calls.at <= $1 and calls.why is null))
             order by calls.at limit $2";

/// Whether a call outside chat is due.
pub(super) const CALL_DUE: &str = "select number from calls where next_at <= $1 limit 1";

type PageRow = (String, i64);

fn read_page((body, revision): PageRow) -> Result<KnownPage, StoreError> {
    let page = read_all_json("a page", &body)?;
    Ok(KnownPage { page, revision })
}

/// Those that can be read: what only a newer version can is left to it.
fn read_pages(rows: Vec<PageRow>) -> Vec<KnownPage> {
    rows.into_iter()
        .filter_map(|row| read_page(row).ok())
        .collect()
}

impl Store {
    /// Records what becomes of a page. `Conflict`, and nothing changed, when it is not as it was read.
    pub async fn change_page(&self, change: PageChange, now: Timestamp) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| Box::pin(self::change(group, change, now)))
            .await
    }

    /// A reference for a page that no page and no run has.
    pub async fn free_page_reference(&self, page: PageId) -> Result<Reference, StoreError> {
        let id = RunId::parse(&page.to_string())
            .ok_or_else(|| StoreError::Corrupt("the id of a page".to_owned()))?;
        for length in 4..12 {
            let reference = id.reference(length);
            let (taken,): (i64,) = sql("select (select count(*) from runs where reference = $1)
                      + (select count(*) from pages where reference = $1 and id <> $2)")
            .bind(reference.as_str())
            .bind(page.to_string())
            .one(&mut self.reader().await?)
            .await?;
            if taken == 0 {
                return Ok(reference);
            }
        }
        Ok(id.reference(12))
    }

    /// Pages whose next level is due, the longest due first.
    pub async fn pages_due(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<KnownPage>, StoreError> {
        let rows: Vec<PageRow> = sql(PAGES_DUE)
            .bind(now.as_millisecond())
            .bind(i64::from(limit))
            .all(&mut self.reader().await?)
            .await?;
        Ok(read_pages(rows))
    }

    /// Pages that nobody has answered, the oldest first; of one project, or of all.
    pub async fn open_pages(
        &self,
        project: Option<&ProjectName>,
        limit: u32,
    ) -> Result<Vec<KnownPage>, StoreError> {
        let rows: Vec<PageRow> = sql(
            "select body, revision from pages
             where state in ('calling', 'exhausted') and ($1 is null or project = $1) order by at limit $2",
        )
        .bind(project.map(|it| it.as_str().to_owned()))
        .bind(i64::from(limit))
        .all(&mut self.reader().await?)
        .await?;
        Ok(read_pages(rows))
    }

    /// Pages of a project that began since then, the newest first.
    pub async fn pages_since(
        &self,
        project: &ProjectName,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<KnownPage>, StoreError> {
        let rows: Vec<PageRow> = sql(
            "select body, revision from pages where project = $1 and at >= $2 order by at desc limit $3",
        )
        .bind(project.as_str())
        .bind(since.as_millisecond())
        .bind(i64::from(limit))
        .all(&mut self.reader().await?)
        .await?;
        Ok(read_pages(rows))
    }

    /// The newest page that people call so.
    pub async fn page_by_reference(
        &self,
        reference: &Reference,
    ) -> Result<Option<KnownPage>, StoreError> {
        let row: Option<PageRow> =
            sql("select body, revision from pages where reference = $1 order by at desc limit 1")
                .bind(reference.as_str())
                .optional(&mut self.reader().await?)
                .await?;
        row.map(read_page).transpose()
    }

    /// Open pages for the consent to runs that wait for it no more.
    pub async fn pages_decided(&self, limit: u32) -> Result<Vec<KnownPage>, StoreError> {
        let rows: Vec<PageRow> = sql(PAGES_DECIDED)
            .bind(i64::from(limit))
            .all(&mut self.reader().await?)
            .await?;
        Ok(read_pages(rows))
    }

    /// Runs that wait for consent, and for which nobody was called yet; the oldest first.
    pub async fn unanswered_runs(&self, limit: u32) -> Result<Vec<UnansweredRun>, StoreError> {
        let rows: Vec<(String, String, i64)> = sql(UNANSWERED_RUNS)
            .bind(i64::from(limit))
            .all(&mut self.reader().await?)
            .await?;
        let mut runs = Vec::with_capacity(rows.len());
        for (run, project, since) in rows {
            let names = RunId::parse(&run).zip(ProjectName::parse(&project).ok());
            let Some((run, project)) = names else {
                continue;
            };
            let since = read_time(since)?;
            runs.push(UnansweredRun {
                run,
                project,
                since,
            });
        }
        Ok(runs)
    }

    /// The calls of a page in the order in which they were made, and what became of each.
    pub async fn calls_of(&self, page: PageId) -> Result<Vec<(Call, CallState)>, StoreError> {
        type Row = (
            String,
            String,
            Option<String>,
            Option<i64>,
            Option<String>,
            Option<String>,
        );
        let rows: Vec<Row> = sql(
            "select calls.body, calls.state, calls.why, calls.posting,
                    case when outbox.delivered_version = outbox.version then null else outbox.state end as owed,
                    outbox.why as held
             from calls left join outbox on outbox.id = calls.posting
             where calls.page = $1 order by calls.number",
        )
        .bind(page.to_string())
        .all(&mut self.reader().await?)
        .await?;
        let read = rows
            .into_iter()
            .filter_map(|(body, state, why, posting, owed, held)| {
                let call = read_all_json("a call", &body).ok()?;
                let in_chat = posting.is_some();
                let state = match (state.as_str(), owed.as_deref()) {
                    ("delivered", _) => CallState::Delivered,
                    ("waiting", None) if in_chat => CallState::Delivered,
                    ("waiting", Some("dropped")) => CallState::Failed(held.unwrap_or_default()),
                    ("waiting", _) => CallState::Waiting(held.or(why)),
                    ("stopped", _) => CallState::Stopped,
                    _ => CallState::Failed(why.unwrap_or_default()),
                };
                Some((call, state))
            });
        Ok(read.collect())
    }

    /// Calls in chat whose delivery has ended, or that are late since `late` and were not told of: with the page, the
    /// call's number, and what is true of it now.
    pub async fn calls_to_look_at(
        &self,
        late: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Page, i64, Call, CallState)>, StoreError> {
        type Row = (String, i64, String, Option<String>, Option<String>);
        let rows: Vec<Row> = sql(CALLS_IN_CHAT)
            .bind(late.as_millisecond())
            .bind(i64::from(limit))
            .all(&mut self.reader().await?)
            .await?;
        let read = rows
            .into_iter()
            .filter_map(|(page, number, call, owed, held)| {
                let page = read_all_json("a page", &page).ok()?;
                let call = read_all_json("a call", &call).ok()?;
                let state = match owed.as_deref() {
                    None => CallState::Delivered,
                    Some("dropped") => CallState::Failed(held.unwrap_or_default()),
                    Some(_) => CallState::Waiting(held),
                };
                Some((page, number, call, state))
            });
        Ok(read.collect())
    }

    /// Claims the call outside chat that is due the longest: nobody else makes it until `now + lease`.
    pub async fn claim_call(
        &self,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<DueCall>, StoreError> {
        type Row = (String, i64, String, i64);
        // Most of the time nothing is due, and the one writer need not be asked.
        let due: Option<(i64,)> = sql(CALL_DUE)
            .bind(now.as_millisecond())
            .optional(&mut self.reader().await?)
            .await?;
        if due.is_none() {
            return Ok(None);
        }
        let lease = jiff::SignedDuration::try_from(lease).unwrap_or(jiff::SignedDuration::MAX);
        let until = now.saturating_add(lease).unwrap_or(Timestamp::MAX);
        let claimed: Option<Row> = self
            .writer()?
            .write(move |group| {
                Box::pin(async move {
                    sql(
                        "update calls set attempts = attempts + 1, next_at = $2
                         where (page, number) in
                             (select page, number from calls where next_at <= $1 order by next_at limit 1)
                         returning (select body from pages where pages.id = calls.page) as page_body, number, body, attempts",
                    )
                    .bind(now.as_millisecond())
                    .bind(until.as_millisecond())
                    .optional(&mut group.db)
                    .await
                })
            })
            .await?;
        let Some((page, number, call, attempts)) = claimed else {
            return Ok(None);
        };
        Ok(Some(DueCall {
            page: read_all_json("a page", &page)?,
            number,
            call: read_all_json("a call", &call)?,
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        }))
    }

    /// Tries a call again later.
    pub async fn defer_call(
        &self,
        (page, number): (PageId, i64),
        until: Timestamp,
        why: String,
    ) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    sql("update calls set next_at = $3, why = $4
                         where page = $1 and number = $2 and state = 'waiting' and posting is null")
                    .bind(page.to_string())
                    .bind(number)
                    .bind(until.as_millisecond())
                    .bind(why)
                    .execute(&mut group.db)
                    .await
                    .map(drop)
                })
            })
            .await
    }

    /// Records what is true of a call now, with its ledger entry and what we owe to people for it. `Conflict` when that
    /// was recorded already.
    pub async fn record_call(
        &self,
        (page, number): (PageId, i64),
        state: CallState,
        (fact, postings): (Fact, Vec<Posting>),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (word, why) = match state {
            CallState::Delivered => ("delivered", None),
            CallState::Failed(why) => ("failed", Some(why)),
            CallState::Stopped => ("stopped", None),
            CallState::Waiting(why) => ("waiting", Some(why.unwrap_or_default())),
        };
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    let changed = sql(
                        "update calls set state = $3, why = $4,
                                next_at = case when $3 = 'waiting' then next_at else null end
                         where page = $1 and number = $2 and state = 'waiting' and ($3 <> 'waiting' or why is null)",
                    )
                    .bind(page.to_string())
                    .bind(number)
                    .bind(word)
                    .bind(why)
                    .execute(&mut group.db)
                    .await?;
                    if changed != 1 {
                        let what = "what became of the call was recorded already";
                        return Err(StoreError::Conflict(what.to_owned()));
                    }
                    group.append(&fact, now);
                    owe(group, postings, now).await
                })
            })
            .await
    }
}
