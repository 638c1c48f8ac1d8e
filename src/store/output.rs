//! Output of steps, kept in the parts in which it came.

use jiff::Timestamp;

use super::db::sql;
use super::leases::check_lease;
use super::outbox::owe;
use super::writer::Group;
use super::{Lease, Store, StoreError};
use crate::domain::{OutputRef, Posting};

async fn append_output(
    group: &mut Group,
    lease: &Lease,
    of: OutputRef,
    text: &str,
) -> Result<(), StoreError> {
    if of.run != lease.run {
        return Err(StoreError::Conflict(format!(
            "output of run {} was given with the lease of run {}",
            of.run, lease.run
        )));
    }
    let position = i64::try_from(of.position).unwrap_or(i64::MAX);
    sql("insert into output (run, position, attempt, part, text)
         select $1, $2, $3, coalesce(max(part), -1) + 1, $4 from output
         where run = $1 and position = $2 and attempt = $3")
    .bind(of.run.to_string())
    .bind(position)
    .bind(i64::from(of.attempt))
    .bind(text)
    .execute(&mut group.db)
    .await?;
    Ok(())
}

impl Store {
    /// Keeps output (already cleaned and redacted) and what we owe for it. Bounded by the caller.
    pub async fn append_output(
        &self,
        lease: &Lease,
        of: OutputRef,
        text: String,
        postings: Vec<Posting>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    check_lease(group, &lease).await?;
                    append_output(group, &lease, of, &text).await?;
                    owe(group, postings, now).await
                })
            })
            .await
    }

    /// The whole kept output of an attempt.
    pub async fn output(&self, of: OutputRef) -> Result<String, StoreError> {
        let parts: Vec<(String,)> = sql(
            "select text from output where run = $1 and position = $2 and attempt = $3 order by part",
        )
        .bind(of.run.to_string())
        .bind(i64::try_from(of.position).unwrap_or(i64::MAX))
        .bind(i64::from(of.attempt))
        .all(&mut self.reader().await?)
        .await?;
        Ok(parts.into_iter().map(|(part,)| part).collect())
    }
}
