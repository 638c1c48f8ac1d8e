//! Leases: the time-limited right to work on a run. Every change made with one checks that it is still the latest.

use std::time::Duration;

use super::db::sql;
use super::fault::write_json;
use super::runs::{happen, plan_next_look};
use super::writer::Group;
use super::{Lease, Store, StoreError, Tell, WorkerId, run_rows};
use crate::domain::{Run, RunEvent, RunId};
use jiff::Timestamp;
use serde_json::json;

/// Through the index `runs_longest_due`: `+ 0` keeps away from the one that does not know the order.
pub(super) const CLAIM: &str =
    "update runs set fence = fence + 1, leased_by = $1, leased_until = $2
     where id = (select id from runs
                 where due_at is not null and due_at + 0 <= $3 and (leased_until is null or leased_until <= $3)
                   and id not in (select value ->> 'run' from json_each($4))
                 order by case when due_at < created_at then created_at else due_at end, created_at, id
                 limit 1)
     returning id, fence";

async fn claim(
    group: &mut Group,
    worker: &WorkerId,
    at_work: &str,
    now: Timestamp,
    until: i64,
) -> Result<Option<(Lease, Run)>, StoreError> {
    let claimed: Option<(String, i64)> = sql(CLAIM)
        .bind(&worker.0)
        .bind(until)
        .bind(now.as_millisecond())
        .bind(at_work)
        .optional(&mut group.db)
        .await?;
    let Some((id, fence)) = claimed else {
        return Ok(None);
    };
    let id = RunId::parse(&id).ok_or_else(|| StoreError::Corrupt(format!("run id `{id}`")))?;
    let (run, _) = run_rows::load_for_change(&mut group.db, id).await?;
    let lease = Lease {
        run: id,
        fence,
        worker: worker.clone(),
    };
    Ok(Some((lease, run)))
}

/// Fails when the lease was handed back, or another took the run.
pub(super) async fn check_lease(group: &mut Group, lease: &Lease) -> Result<(), StoreError> {
    let (held,): (i64,) =
        sql("select count(*) from runs where id = $1 and fence = $2 and leased_by = $3")
            .bind(lease.run.to_string())
            .bind(lease.fence)
            .bind(&lease.worker.0)
            .one(&mut group.db)
            .await?;
    if held == 1 { Ok(()) } else { Err(lost(lease)) }
}

fn lost(lease: &Lease) -> StoreError {
    StoreError::Conflict(format!(
        "lease {} of run {} is lost: it was handed back, or another worker took the run",
        lease.fence, lease.run
    ))
}

pub(super) fn end_of(now: Timestamp, lease: Duration) -> i64 {
    let span = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
    now.as_millisecond().saturating_add(span)
}

impl Store {
    /// Leases the run that has been due longest and that nobody holds; what is due at once has been since the run was asked
    /// for. `None` when nothing is due.
    ///
    /// Never one of those that the worker is `at_work` on: while the store could not be written it may have missed to
    /// renew its lease, and it alone knows how the step ended.
    pub async fn claim_run(
        &self,
        worker: &WorkerId,
        at_work: &[RunId],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<(Lease, Run)>, StoreError> {
        // Most looks find nothing: those don't bother the writer.
        let due: Option<(String,)> = sql(
            "select id from runs where due_at <= $1 and (leased_until is null or leased_until <= $1) limit 1",
        )
        .bind(now.as_millisecond())
        .optional(&mut self.reader().await?)
        .await?;
        if due.is_none() {
            return Ok(None);
        }
        let (worker, until) = (worker.clone(), end_of(now, lease));
        let at_work: Vec<_> = at_work.iter().map(|run| json!({ "run": run })).collect();
        let at_work = write_json(&at_work);
        self.writer()?
            .write(move |group| {
                Box::pin(async move { claim(group, &worker, &at_work, now, until).await })
            })
            .await
    }

    /// Extends a lease. `Conflict` when it is lost.
    pub async fn renew_lease(
        &self,
        lease: &Lease,
        now: Timestamp,
        by: Duration,
    ) -> Result<(), StoreError> {
        let (lease, until) = (lease.clone(), end_of(now, by));
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    check_lease(group, &lease).await?;
                    sql("update runs set leased_until = $2 where id = $1")
                        .bind(lease.run.to_string())
                        .bind(until)
                        .execute(&mut group.db)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    /// Hands a lease back; the run is due again when `domain::next` says.
    pub async fn release_lease(&self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    check_lease(group, &lease).await?;
                    sql("update runs set leased_by = null, leased_until = null where id = $1")
                        .bind(lease.run.to_string())
                        .execute(&mut group.db)
                        .await?;
                    plan_next_look(group, lease.run, now).await
                })
            })
            .await
    }

    /// Records what happened to a leased run, and what we owe to people for it. Answers the run's new state.
    pub async fn record_run(
        &self,
        lease: &Lease,
        events: Vec<RunEvent>,
        tell: Tell,
        now: Timestamp,
    ) -> Result<Run, StoreError> {
        let lease = lease.clone();
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    check_lease(group, &lease).await?;
                    happen(group, lease.run, events, tell, now).await
                })
            })
            .await
    }
}
