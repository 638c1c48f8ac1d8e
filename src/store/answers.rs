//! What was concluded on an inbound of the API, kept with it for whoever waits for it and for whoever asks again.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::db::sql;
use super::fault::{read_all_json, write_json};
use super::inbox::column;
use super::writer::Group;
use super::{Concluded, Store, StoreError};
use crate::domain::{Fact, InboundKey, Message, Place, Platform, Posting, PostingKind, Speaker};

/// How long an answer is kept. Afterwards asking again still does nothing twice, and says less.
const ANSWERS_KEPT: Duration = Duration::from_hours(7 * 24);

/// How an inbound of the API was concluded, and what is said to who asked.
#[derive(Debug, Clone)]
pub struct Answer {
    /// In one word.
    pub concluded: Concluded,
    /// What the ledger holds of it; `None`: too long ago.
    pub fact: Option<Fact>,
    /// What is said; may be empty.
    pub messages: Vec<Message>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    fact: Fact,
    messages: Vec<Message>,
}

/// Keeps the answer where the inbound came over the API, and forgets those that are old.
pub(super) async fn keep(
    group: &mut Group,
    inbound: &InboundKey,
    fact: &Fact,
    postings: &[Posting],
    now: Timestamp,
) -> Result<(), StoreError> {
    if !inbound.is_of(Platform::Api) {
        return Ok(());
    }
    let said = postings.iter().filter(|posting| {
        let answers = matches!(
            posting.kind,
            PostingKind::Answer | PostingKind::Whisper { .. } | PostingKind::Form { .. }
        );
        answers && posting.to.platform == Platform::Api
    });
    let kept = Kept {
        fact: fact.clone(),
        messages: said.map(|posting| posting.message.clone()).collect(),
    };
    sql("update inbound set answer = $2 where key = $1")
        .bind(column(inbound))
        .bind(write_json(&kept))
        .execute(&mut group.db)
        .await?;
    let kept_ms = i64::try_from(ANSWERS_KEPT.as_millis()).unwrap_or(i64::MAX);
    sql("update inbound set answer = null where answer is not null and received_at < $1")
        .bind(now.as_millisecond().saturating_sub(kept_ms))
        .execute(&mut group.db)
        .await?;
    Ok(())
}

impl Store {
    /// How an inbound of the API was concluded: `None` while it waits, or when it never came in.
    pub async fn answer(&self, inbound: &InboundKey) -> Result<Option<Answer>, StoreError> {
        let Some(concluded) = self.conclusion(inbound).await? else {
            return Ok(None);
        };
        let found: Option<(Option<String>,)> = sql("select answer from inbound where key = $1")
            .bind(column(inbound))
            .optional(&mut self.reader().await?)
            .await?;
        let kept = found.and_then(|(answer,)| answer);
        let kept: Option<Kept> = kept
            .map(|kept| read_all_json("an answer", &kept))
            .transpose()?;
        let (fact, messages) =
            kept.map_or((None, Vec::new()), |kept| (Some(kept.fact), kept.messages));
        Ok(Some(Answer {
            concluded,
            fact,
            messages,
        }))
    }

    /// Where an inbound was said; `None` when it never came in, or its personal data was deleted.
    pub async fn place_of(&self, inbound: &InboundKey) -> Result<Option<Place>, StoreError> {
        let found: Option<(String,)> = sql(
            "select speaker from commitments join inbound on inbound.arrival = commitments.inbound where key = $1",
        )
        .bind(column(inbound))
        .optional(&mut self.reader().await?)
        .await?;
        let read = |(said,): (String,)| {
            let (_, place): (Speaker, Place) = read_all_json("a place", &said)?;
            Ok(place)
        };
        found.map(read).transpose()
    }
}
