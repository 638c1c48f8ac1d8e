//! The inbox: what came in, recorded before it is acknowledged, forgotten when it is concluded.

use std::collections::HashSet;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

use super::fault::{read_json, write_json};
use super::ledger::FactLine;
use super::outbox::owe;
use super::runs::{happen, insert_run};
use super::writer::Group;
use super::{Change, Concluded, Conclusion, Receipt, Store, StoreError};
use crate::domain::{Commitment, Fact, Inbound, InboundKey, Posting};

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
    // The text itself stands in the body until it is concluded; kept here, it would never be forgotten.
    speaker_salt: String,
    speaker: String,
    text_salt: String,
}

impl Delivery {
    fn new(inbound: &Inbound) -> Self {
        let key = column(&inbound.key);
        let who = write_json(&(&inbound.speaker, &inbound.place));
        let (speaker_commitment, speaker_salt) = commit(&who);
        let (text, text_salt) = commit(&inbound.text);
        let row = DeliveryRow {
            key: &key,
            platform: inbound.place.platform.as_str(),
            body: write_json(inbound),
            received_at: inbound.received_at.as_millisecond(),
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

/// The key as a column holds it: SQLite's JSON ends a text at a NUL, PostgreSQL refuses one.
fn column(key: &InboundKey) -> String {
    key.as_str().replace('\0', "\u{fffd}")
}

/// Begins the group's transaction and writes its deliveries; those seen before, or twice in the group, are duplicates.
///
/// Two calls, however many deliveries: each costs the writer two switches of threads, more than the statements in it.
pub(super) async fn begin_and_receive(
    group: &mut Group,
    deliveries: &[&Delivery],
) -> Result<Vec<Receipt>, StoreError> {
    let keys: Vec<&str> = deliveries.iter().map(|d| d.key.as_str()).collect();
    let known: Vec<String> = sqlx::query_scalar(
        "begin immediate; select key from inbound where key in (select value from json_each($1))",
    )
    .bind(write_json(&keys))
    .fetch_all(&mut group.db)
    .await?;
    let mut known: HashSet<&str> = known.iter().map(String::as_str).collect();
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
        insert_deliveries(&mut group.db, &rows).await?;
    }
    Ok(receipts)
}

async fn insert_deliveries(db: &mut SqliteConnection, rows: &[&str]) -> Result<(), StoreError> {
    sqlx::query(
        "insert into inbound (key, platform, body, received_at)
         select value ->> 'key', value ->> 'platform', value ->> 'body', value ->> 'received_at' from json_each($1);
         insert into commitments (inbound, speaker_salt, speaker, text_salt)
         select arrival, value ->> 'speaker_salt', value ->> 'speaker', value ->> 'text_salt'
         from json_each($1) join inbound on inbound.key = value ->> 'key'",
    )
    .bind(format!("[{}]", rows.join(",")))
    .execute(db)
    .await?;
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
    group.append(&fact, now);
    match change {
        Change::Nothing => {}
        Change::NewRun { run, lock } => insert_run(group, &run, lock.as_deref(), now).await?,
        Change::Happened { run, events, tell } => {
            happen(group, run, events, tell, now).await?;
        }
    }
    owe(group, postings, now).await
}

/// Marks an inbound as concluded and blanks what was said.
async fn forget(
    group: &mut Group,
    inbound: &InboundKey,
    concluded: Concluded,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query(
        "update inbound set concluded_at = $2, conclusion = $3, body = null
         where key = $1 and concluded_at is null",
    )
    .bind(column(inbound))
    .bind(now.as_millisecond())
    .bind(concluded.as_str())
    .execute(&mut group.db)
    .await?;
    if done.rows_affected() == 1 {
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
        self.writer()?.receive(Delivery::new(&inbound)).await
    }

    /// Inbounds that no conclusion was recorded for, oldest first.
    pub async fn waiting_inbounds(&self, limit: u32) -> Result<Vec<Inbound>, StoreError> {
        let bodies: Vec<String> = sqlx::query_scalar(
            "select body from inbound where concluded_at is null order by arrival limit $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        bodies
            .iter()
            .map(|body| read_json("an inbound", body))
            .collect()
    }

    /// How an inbound was concluded: `None` while it waits, or when it never came in.
    pub async fn conclusion(&self, inbound: &InboundKey) -> Result<Option<Concluded>, StoreError> {
        let found: Option<Option<String>> =
            sqlx::query_scalar("select conclusion from inbound where key = $1")
                .bind(column(inbound))
                .fetch_optional(self.readers())
                .await?;
        Ok(found.flatten().and_then(|word| Concluded::parse(&word)))
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
