//! The inbox: what came in, recorded before it is acknowledged, forgotten when it is concluded.

use std::collections::HashSet;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::fault::{read_json, write_json};
use super::outbox::owe;
use super::runs::{happen, insert_run};
use super::writer::Group;
use super::{Concluded, Change, Conclusion, Receipt, Store, StoreError};
use crate::domain::{Commitment, Fact, Inbound, InboundKey, Posting};

/// An inbound on its way into the database. What can be computed by the caller is, before the one writer has it.
pub(super) struct Delivery {
    row: InboundRow,
    fact: Fact,
    commitments: [CommitmentRow; 2],
    received_at: Timestamp,
}

#[derive(Serialize)]
struct InboundRow {
    key: String,
    platform: &'static str,
    body: String,
    received_at: i64,
}

#[derive(Serialize)]
struct CommitmentRow {
    commitment: String,
    inbound: String,
    part: &'static str,
    salt: String,
    value: Option<String>,
}

impl Delivery {
    fn new(inbound: &Inbound) -> Self {
        let key = column(&inbound.key);
        let who = write_json(&(&inbound.speaker, &inbound.place));
        let speaker = CommitmentRow::new(&key, "speaker", &who);
        // The text itself stands in the body, until it is concluded; kept here, it would never be forgotten.
        let text = CommitmentRow {
            value: None,
            ..CommitmentRow::new(&key, "text", &inbound.text)
        };
        Self {
            fact: Fact::Received {
                inbound: inbound.key.clone(),
                source: inbound.source,
                platform: inbound.place.platform,
                speaker: Commitment(speaker.commitment.clone()),
                text: Commitment(text.commitment.clone()),
            },
            row: InboundRow {
                key,
                platform: inbound.place.platform.as_str(),
                body: write_json(inbound),
                received_at: inbound.received_at.as_millisecond(),
            },
            commitments: [speaker, text],
            received_at: inbound.received_at,
        }
    }
}

impl CommitmentRow {
    fn new(inbound: &str, part: &'static str, value: &str) -> Self {
        let salt: [u8; 16] = rand::random();
        let digest = Sha256::new()
            .chain_update(salt)
            .chain_update(value.as_bytes())
            .finalize();
        Self {
            commitment: HEXLOWER.encode(&digest),
            inbound: inbound.to_owned(),
            part,
            salt: HEXLOWER.encode(&salt),
            value: Some(value.to_owned()),
        }
    }
}

/// The key as a column holds it: SQLite's JSON ends a text at a NUL, PostgreSQL refuses one.
fn column(key: &InboundKey) -> String {
    key.as_str().replace('\0', "\u{fffd}")
}

/// Records a group's deliveries in one statement; those seen before, or twice in the group, are duplicates.
pub(super) async fn receive_all(
    group: &mut Group,
    deliveries: &[&Delivery],
) -> Result<Vec<Receipt>, StoreError> {
    if deliveries.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<&InboundRow> = deliveries.iter().map(|delivery| &delivery.row).collect();
    let new: Vec<String> = sqlx::query_scalar(
        "insert into inbound (key, platform, body, received_at)
         select value ->> 'key', value ->> 'platform', value ->> 'body', value ->> 'received_at'
         from json_each($1) where true
         on conflict (key) do nothing returning key",
    )
    .bind(write_json(&rows))
    .fetch_all(&mut group.db)
    .await?;
    let mut new: HashSet<String> = new.into_iter().collect();
    let mut commitments = Vec::new();
    let mut receipts = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        receipts.push(if new.remove(&delivery.row.key) {
            group.append(delivery.fact.clone(), delivery.received_at);
            commitments.extend(&delivery.commitments);
            Receipt::New
        } else {
            Receipt::Duplicate
        });
    }
    keep_commitments(group, &commitments).await?;
    Ok(receipts)
}

async fn keep_commitments(group: &mut Group, rows: &[&CommitmentRow]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into commitments (commitment, inbound, part, salt, value)
         select value ->> 'commitment', value ->> 'inbound', value ->> 'part', value ->> 'salt',
                value ->> 'value'
         from json_each($1)",
    )
    .bind(write_json(&rows))
    .execute(&mut group.db)
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
    group.append(fact, now);
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
                        group.append(fact, now);
                    }
                    owe(group, postings, now).await
                })
            })
            .await
    }
}
