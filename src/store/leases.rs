//! Leases: the time-limited right to work on a run. Every change made with one checks that it is still the latest.

use std::time::Duration;

use super::db::sql;
use super::fault::write_json;
use super::homes::{self, Left};
use super::newer::{Newer, What};
use super::runs::{happen, plan_next_look};
use super::writer::Group;
use super::{Lease, Store, StoreError, Tell, WorkerId, run_rows};
use crate::domain::{Run, RunEvent, RunId};
use crate::planted;
use jiff::Timestamp;
use serde_json::json;
use sqlx::FromRow;

/// How many due runs are looked at for one that can be taken.
const LOOKED_AT: usize = 16;

/// Whether a run may be claimed: it is due, or its step is at home here.
pub(super) const ANY_CLAIMABLE: &str = "select count(*) from (
         select 1 as claimable
         where exists (
             select 1 from runs
             where due_at <= $1 and (leased_until is null or leased_until <= $2 or leased_by = $3)
               and id not in (select value ->> 'id' from json_each($4)))
         or exists (
             select 1 from runs
             where home = $3 and (leased_until is null or leased_until <= $2 or leased_by = $3)
               and id not in (select value ->> 'id' from json_each($4)))) claimable";

/// Which one: that which has been due longest. `due_at + 0` keeps SQLite from sorting all that are due.
pub(super) const CLAIMABLE: &str = "select id, home, leased_by, leased_until from (
         select * from (
             select id, home, leased_by, leased_until, created_at,
                    case when due_at < created_at then created_at else due_at end as since
             from runs
             where due_at is not null and due_at + 0 <= $1
               and (leased_until is null or leased_until <= $2 or leased_by = $3)
               and id not in (select value ->> 'id' from json_each($4))
             order by case when due_at < created_at then created_at else due_at end, created_at, id
             limit 1) due
         union all
         select * from (
             select id, home, leased_by, leased_until, created_at,
                    case when due_at < created_at then created_at else due_at end as since
             from runs
             where home = $3 and (due_at is null or due_at > $1)
               and (leased_until is null or leased_until <= $2 or leased_by = $3)
               and id not in (select value ->> 'id' from json_each($4))
             limit 1) at_home) claimable
     order by since, created_at, id
     limit 1";

/// A due run that nobody holds.
#[derive(FromRow)]
struct Candidate {
    id: String,
    home: Option<String>,
    leased_by: Option<String>,
    leased_until: Option<i64>,
}

/// What a worker asks for when it claims a run.
struct Claim {
    worker: WorkerId,
    /// Runs that it does not want.
    but: String,
    now: Timestamp,
    times: LeaseTimes,
}

/// By the database's clock, in milliseconds.
struct LeaseTimes {
    now: i64,
    until: i64,
}

async fn claim(
    group: &mut Group,
    claim: &Claim,
    newer: &Newer,
) -> Result<Option<(Lease, Run)>, StoreError> {
    let home = claim.worker.home();
    let mut but = claim.but.clone();
    for _ in 0..LOOKED_AT {
        let candidate: Option<Candidate> = sql(CLAIMABLE)
            .bind(claim.now.as_millisecond())
            .bind(claim.times.now)
            .bind(home)
            .bind(&but)
            .optional(&mut group.db)
            .await?;
        let Some(candidate) = candidate else {
            return Ok(None);
        };
        but = join(&but, &write_json(&[json!({ "id": candidate.id })]));
        let id = &candidate.id;
        let id = RunId::parse(id).ok_or_else(|| StoreError::Corrupt(format!("run id `{id}`")))?;
        let run = match run_rows::load_for_change(&mut group.db, id).await {
            Ok((run, _)) => run,
            Err(why) => {
                newer.note(What::Run, &candidate.id, &why)?;
                continue;
            }
        };
        if let Some(until) = homes::awaited_until(&run, &candidate.left(), home)
            && claim.times.now < until
        {
            homes::wait_for_home(group, &run, until - claim.times.now, claim.now).await?;
            continue;
        }
        let (fence,): (i64,) = sql(
            "update runs set fence = fence + 1, leased_by = $2, leased_until = $3 where id = $1 returning fence",
        )
        .bind(&candidate.id)
        .bind(&claim.worker.0)
        .bind(claim.times.until)
        .one(&mut group.db)
        .await?;
        let lease = Lease {
            run: id,
            fence,
            worker: claim.worker.clone(),
        };
        return Ok(Some((lease, run)));
    }
    Ok(None)
}

impl Candidate {
    fn left(&self) -> Left<'_> {
        Left {
            home: self.home.as_deref(),
            at: self.leased_until,
            handed_back: self.leased_by == self.home,
        }
    }
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
    if held == 1 || planted::is("fence-unchecked") {
        return Ok(());
    }
    Err(lost(lease))
}

fn lost(lease: &Lease) -> StoreError {
    StoreError::Conflict(format!(
        "lease {} of run {} is lost: it was handed back, or another worker took the run",
        lease.fence, lease.run
    ))
}

/// Two JSON arrays as one.
fn join(one: &str, two: &str) -> String {
    match (one, two) {
        ("[]", all) | (all, "[]") => all.to_owned(),
        (one, two) => format!("{},{}", &one[..one.len() - 1], &two[1..]),
    }
}

pub(super) fn end_of(now: Timestamp, lease: Duration) -> i64 {
    let span = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
    let span = if planted::is("lease-in-seconds") {
        span / 1_000
    } else {
        span
    };
    now.as_millisecond().saturating_add(span)
}

impl Store {
    /// Leases the run that has been due longest and that nobody holds; what is due at once has been since the run was asked
    /// for. `None` when nothing is due.
    ///
    /// What only a newer version can read is left to it, and a step that may still go on under the supervisor of another
    /// replica to that one, for a while.
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
        self.trust_clock(now)?;
        let lease_now = self.lease_now(now);
        let but: Vec<_> = at_work.iter().map(|run| json!({ "id": run })).collect();
        let but = join(&write_json(&but), &self.newer().passed_over(What::Run));
        // Most looks find nothing: those don't bother the writer.
        let (any,): (i64,) = sql(ANY_CLAIMABLE)
            .bind(now.as_millisecond())
            .bind(lease_now.as_millisecond())
            .bind(worker.home())
            .bind(&but)
            .one(&mut self.reader().await?)
            .await?;
        if any == 0 {
            return Ok(None);
        }
        let asked = Claim {
            worker: worker.clone(),
            but,
            now,
            times: LeaseTimes {
                now: lease_now.as_millisecond(),
                until: end_of(lease_now, lease),
            },
        };
        let store = self.clone();
        self.writer()?
            .write(move |group| Box::pin(async move { claim(group, &asked, store.newer()).await }))
            .await
    }

    /// Extends a lease. `Conflict` when it is lost.
    pub async fn renew_lease(
        &self,
        lease: &Lease,
        now: Timestamp,
        by: Duration,
    ) -> Result<(), StoreError> {
        let (lease, until) = (lease.clone(), end_of(self.lease_now(now), by));
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

    /// Hands a lease back; the run is due again when `domain::next` says. Where a supervisor goes on with its step, the
    /// others wait for the supervisor's home to take it up again.
    pub async fn release_lease(&self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let (lease, lease_now) = (lease.clone(), self.lease_now(now));
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    check_lease(group, &lease).await?;
                    if homes::leave_to_home(group, &lease, now, lease_now).await? {
                        return Ok(());
                    }
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
                    happen(group, lease.run, events, tell, (now, lease.worker.home())).await
                })
            })
            .await
    }
}
