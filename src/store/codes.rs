//! One-time codes of second factors: each counts once, and whoever guesses has to wait.
//!
//! What person and app share is made from the ledger's key, which all replicas have, and kept nowhere.

use jiff::{SignedDuration, Timestamp};

use super::db::sql;
use super::writer::Group;
use super::{Store, StoreError};
use crate::domain::{Enrolment, InboundKey, PersonId, SharedSecret};

/// Wrong codes after which none counts for a while.
pub const MOST_WRONG: i64 = 5;
/// How long that is, from the last wrong one.
pub const WRONG_WAIT: SignedDuration = SignedDuration::from_mins(15);

/// Whether a one-time code counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeCounts {
    /// It does, and is used up.
    Yes,
    /// It is wrong, or no longer shown.
    Wrong,
    /// It was used before, or an earlier one than the last that was.
    Used,
    /// Too many wrong ones were tried.
    NotBefore(Timestamp),
}

async fn use_up(
    group: &mut Group,
    person: &PersonId,
    step: i64,
    inbound: &InboundKey,
) -> Result<bool, StoreError> {
    // The same inbound may come to be walked twice: its code is its own.
    let used = sql("insert into codes (person, step, used_for, wrong, wrong_at) values ($1, $2, $3, 0, 0)
         on conflict (person) do update set step = excluded.step, used_for = excluded.used_for, wrong = 0
         where codes.step < excluded.step or codes.used_for = excluded.used_for")
    .bind(person.as_str())
    .bind(step)
    .bind(inbound.as_str())
    .execute(&mut group.db)
    .await?;
    Ok(used == 1)
}

async fn count_wrong(
    group: &mut Group,
    person: &PersonId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sql(
        "insert into codes (person, step, used_for, wrong, wrong_at) values ($1, 0, '', 1, $2)
         on conflict (person) do update set wrong_at = excluded.wrong_at,
             wrong = case when codes.wrong_at <= $3 then 1 else codes.wrong + 1 end",
    )
    .bind(person.as_str())
    .bind(now.as_millisecond())
    .bind(long_ago(now))
    .execute(&mut group.db)
    .await?;
    Ok(())
}

/// Wrong ones of before count no more.
fn long_ago(now: Timestamp) -> i64 {
    let then = now.saturating_sub(WRONG_WAIT).unwrap_or(Timestamp::MIN);
    then.as_millisecond()
}

impl Store {
    /// What the app of this person was given at that enrolment.
    pub fn shared_secret(
        &self,
        person: &PersonId,
        enrolment: &Enrolment,
    ) -> Result<SharedSecret, StoreError> {
        let label = enrolment.label(person);
        Ok(SharedSecret::new(self.signer()?.derive(label.as_bytes())))
    }

    /// Whether the code that this inbound brought counts. If so it is used up; a wrong one is counted.
    pub async fn try_code(
        &self,
        person: &PersonId,
        enrolment: &Enrolment,
        code: &str,
        inbound: &InboundKey,
        now: Timestamp,
    ) -> Result<CodeCounts, StoreError> {
        let wrong: Option<(i64,)> =
            sql("select wrong_at from codes where person = $1 and wrong >= $2 and wrong_at > $3")
                .bind(person.as_str())
                .bind(MOST_WRONG)
                .bind(long_ago(now))
                .optional(&mut self.reader().await?)
                .await?;
        if let Some((at,)) = wrong {
            let at = super::fault::read_time(at)?;
            let until = at.saturating_add(WRONG_WAIT).unwrap_or(Timestamp::MAX);
            return Ok(CodeCounts::NotBefore(until));
        }
        let secret = self.shared_secret(person, enrolment)?;
        let (person, inbound) = (person.clone(), inbound.clone());
        let writer = self.writer()?;
        match secret.step_of(&person, code, now) {
            Some(step) => {
                let used = writer
                    .write(move |group| {
                        Box::pin(async move { use_up(group, &person, step, &inbound).await })
                    })
                    .await?;
                Ok(if used {
                    CodeCounts::Yes
                } else {
                    CodeCounts::Used
                })
            }
            None => {
                writer
                    .write(move |group| {
                        Box::pin(async move { count_wrong(group, &person, now).await })
                    })
                    .await?;
                Ok(CodeCounts::Wrong)
            }
        }
    }
}
