//! The inbox: what came in, recorded before it is acknowledged, forgotten when it is concluded.

use std::collections::HashSet;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::covers;
use super::db::{Db, Engine, sql, storable};
use super::fault::{read_all_json, write_json};
use super::leases::end_of;
use super::ledger::FactLine;
use super::newer::What;
use super::outbox::owe;
use super::pages;
use super::runs::{happen, insert_run};
use super::writer::Group;
use super::{Change, Concluded, Conclusion, Receipt, Store, StoreError};
use super::{answers, links, locks};
use crate::domain::{Commitment, Fact, Inbound, InboundKey, Platform, Posting};

/// How long the replica that received an inbound has it for itself; afterwards any of them walks it.
const TAKEN_FOR: Duration = Duration::from_secs(2);
/// The longest key that is kept as it is: PostgreSQL has no room for long ones in an index.
const LONGEST_KEY: usize = 512;

/// An inbound on its way into the database. What the caller can compute, the one writer doesn't have to.
pub(super) struct Delivery {
    key: String,
    /// The rows of `inbound` and `commitments`, as one JSON object.
    row: String,
    fact: FactLine,
    received_at: Timestamp,
}

#[derive(Serialize)]
struct DeliveryRow<'a> {
    key: &'a str,
    platform: &'static str,
    body: String,
    received_at: i64,
    taken_by: &'a str,
    taken_until: i64,
    // The text itself stands in the body until it is concluded; kept here, it would never be forgotten.
    speaker_salt: String,
    speaker: String,
    text_salt: String,
}

impl Delivery {
    /// `lease_now`: when it came in, by the clock that all replicas share.
    fn new(inbound: &Inbound, home: &str, lease_now: Timestamp) -> Self {
        let key = column(&inbound.key);
        let who = write_json(&(&inbound.speaker, &inbound.place));
        let (speaker_commitment, speaker_salt) = commit(&who);
        let (text, text_salt) = commit(&inbound.text);
        let row = DeliveryRow {
            key: &key,
            platform: platform_column(inbound.place.platform),
            body: write_json(inbound),
            received_at: inbound.received_at.as_millisecond(),
            taken_by: home,
            taken_until: end_of(lease_now, TAKEN_FOR),
            speaker_salt,
            speaker: who,
            text_salt,
        };
        Self {
            row: write_json(&row),
            key,
            fact: FactLine::new(&Fact::Received {
                inbound: inbound.key.clone(),
                source: inbound.source,
                platform: inbound.place.platform,
                speaker: speaker_commitment,
                text,
            }),
            received_at: inbound.received_at,
        }
    }
}

/// A commitment to the value, and its salt in hexadecimal.
fn commit(value: &str) -> (Commitment, String) {
    let salt: [u8; 16] = rand::random();
    let digest = Sha256::new()
        .chain_update(salt)
        .chain_update(value.as_bytes())
        .finalize();
    (Commitment(HEXLOWER.encode(&digest)), HEXLOWER.encode(&salt))
}

/// The word for the column alone: it is for people who look, its check is older than the API, and SQLite changes none.
fn platform_column(platform: Platform) -> &'static str {
    match platform {
        Platform::Slack | Platform::Discord => platform.as_str(),
        Platform::Console | Platform::Api => Platform::Console.as_str(),
    }
}

/// The key as a column holds it.
pub(super) fn column(key: &InboundKey) -> String {
    let key = key.as_str();
    if key.len() > LONGEST_KEY {
        return HEXLOWER.encode(&Sha256::digest(key.as_bytes()));
    }
    storable(key).into_owned()
}

/// Writes a group's deliveries; those seen before, or twice in the group, are duplicates. On SQLite it begins the
/// transaction too.
///
/// Two calls there, however many deliveries: each costs the writer two switches of threads, more than the statements
/// in it.
pub(super) async fn receive(
    group: &mut Group,
    deliveries: &[&Delivery],
) -> Result<Vec<Receipt>, StoreError> {
    let asked = match group.db.engine() {
        Engine::Sqlite(_) => {
            "begin immediate; select key from inbound where key in (select value ->> 'key' from json_each($1))"
        }
        Engine::Postgres(_) => {
            "select key from inbound where key in (select value ->> 'key' from json_each($1))"
        }
    };
    let rows: Vec<&str> = deliveries.iter().map(|d| d.row.as_str()).collect();
    let known: Vec<(String,)> = sql(asked).bind(array(&rows)).all(&mut group.db).await?;
    let mut known: HashSet<&str> = known.iter().map(|(key,)| key.as_str()).collect();
    let mut rows = Vec::with_capacity(deliveries.len());
    let mut receipts = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        if known.insert(&delivery.key) {
            group.ledger.append(&delivery.fact, delivery.received_at);
            rows.push(delivery.row.as_str());
            receipts.push(Receipt::New);
        } else {
            receipts.push(Receipt::Duplicate);
        }
    }
    if !rows.is_empty() {
        insert_deliveries(&mut group.db, &array(&rows)).await?;
    }
    Ok(receipts)
}

fn array(rows: &[&str]) -> String {
    format!("[{}]", rows.join(","))
}

/// One text, said twice: the engine that takes both statements at once must not be asked twice.
macro_rules! insert_inbounds {
    () => {
        "insert into inbound (arrival, key, platform, body, received_at, taken_by, taken_until)
         select (select coalesce(max(arrival), 0) from inbound) + row_number() over (),
                value ->> 'key', value ->> 'platform', value ->> 'body', cast(value ->> 'received_at' as bigint),
                value ->> 'taken_by', cast(value ->> 'taken_until' as bigint)
         from json_each($1)"
    };
}
macro_rules! insert_commitments {
    () => {
        "insert into commitments (inbound, speaker_salt, speaker, text_salt)
         select arrival, value ->> 'speaker_salt', value ->> 'speaker', value ->> 'text_salt'
         from json_each($1) each join inbound on inbound.key = value ->> 'key'"
    };
}

async fn insert_deliveries(db: &mut Db, rows: &str) -> Result<(), StoreError> {
    match db.engine() {
        Engine::Sqlite(_) => {
            let both = concat!(insert_inbounds!(), ";", insert_commitments!());
            sql(both).bind(rows).execute(db).await?;
        }
        Engine::Postgres(_) => {
            for one in [insert_inbounds!(), insert_commitments!()] {
                sql(one).bind(rows).execute(db).await?;
            }
        }
    }
    Ok(())
}

async fn conclude(
    group: &mut Group,
    conclusion: Conclusion,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Conclusion {
        inbound,
        fact,
        change,
        postings,
    } = conclusion;
    forget(group, &inbound, Concluded::of(&fact), now).await?;
    answers::keep(group, &inbound, &fact, &postings, now).await?;
    group.append(&fact, now);
    apply(group, change, now).await?;
    owe(group, postings, now).await
}

async fn apply(group: &mut Group, change: Change, now: Timestamp) -> Result<(), StoreError> {
    match change {
        Change::Nothing => {}
        Change::NewRun { run, lock } => insert_run(group, &run, lock.as_deref(), now).await?,
        Change::Happened { run, events, tell } => {
            happen(group, run, events, tell, (now, None)).await?;
        }
        Change::Lock(change) => locks::change(group, &change, now).await?,
        Change::Link(change) => links::change(group, change, now).await?,
        Change::Covers(new) => covers::arrange(group, new, now).await?,
        Change::Page(change) => pages::change(group, *change, now).await?,
        Change::Paged(first, page) => {
            Box::pin(apply(group, *first, now)).await?;
            pages::change(group, *page, now).await?;
        }
    }
    Ok(())
}

/// Marks an inbound as concluded and blanks what was said.
async fn forget(
    group: &mut Group,
    inbound: &InboundKey,
    concluded: Concluded,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sql(
        "update inbound set concluded_at = $2, conclusion = $3, body = null
         where key = $1 and concluded_at is null",
    )
    .bind(column(inbound))
    .bind(now.as_millisecond())
    .bind(concluded.as_str())
    .execute(&mut group.db)
    .await?;
    if done == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "inbound `{}` is not waiting: it was concluded before, or never came in",
        inbound.as_str()
    )))
}

impl Store {
    /// Records an inbound, durably, before its edge acknowledges it. Group commit: many share one fsync.
    pub async fn receive(&self, inbound: Inbound) -> Result<Receipt, StoreError> {
        let lease_now = self.lease_now(inbound.received_at);
        let delivery = Delivery::new(&inbound, self.home(), lease_now);
        self.writer()?.receive(delivery).await
    }

    /// Inbounds that no conclusion was recorded for, oldest first: those that came in here, and those that whoever
    /// received them did not walk in time. What only a newer version can read is left to it.
    pub async fn waiting_inbounds(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Inbound>, StoreError> {
        self.trust_clock(now)?;
        let rows: Vec<(String, String)> = sql(
            "select key, body from inbound where concluded_at is null and (taken_by = $1 or taken_until <= $2)
                and key not in (select value ->> 'id' from json_each($4))
             order by arrival limit $3",
        )
        .bind(self.home())
        .bind(self.lease_now(now).as_millisecond())
        .bind(i64::from(limit))
        .bind(self.newer().passed_over(What::Inbound))
        .all(&mut self.reader().await?)
        .await?;
        let mut waiting = Vec::with_capacity(rows.len());
        for (key, body) in rows {
            match read_all_json("an inbound", &body) {
                Ok(inbound) => waiting.push(inbound),
                Err(why) => self.newer().note(What::Inbound, &key, &why)?,
            }
        }
        Ok(waiting)
    }

    /// How an inbound was concluded: `None` while it waits, or when it never came in.
    pub async fn conclusion(&self, inbound: &InboundKey) -> Result<Option<Concluded>, StoreError> {
        let found: Option<(Option<String>,)> = sql("select conclusion from inbound where key = $1")
            .bind(column(inbound))
            .optional(&mut self.reader().await?)
            .await?;
        let word = found.and_then(|(word,)| word);
        word.map(|word| {
            Concluded::parse(&word)
                .ok_or_else(|| StoreError::Newer(format!("the conclusion `{word}`")))
        })
        .transpose()
    }

    /// Concludes an inbound. `Conflict` when it was concluded already, when its run's lock is held (the message then
    /// names the holder), when the reference is taken, or when an event does not fit. The inbound's text is forgotten.
    pub async fn conclude(&self, conclusion: Conclusion, now: Timestamp) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| Box::pin(conclude(group, conclusion, now)))
            .await
    }

    /// Records facts that belong to no inbound, with what we owe to people for them.
    pub async fn record(
        &self,
        facts: Vec<Fact>,
        postings: Vec<Posting>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    for fact in facts {
                        group.append(&fact, now);
                    }
                    owe(group, postings, now).await
                })
            })
            .await
    }
}
