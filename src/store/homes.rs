//! Where the supervisor of a run's step is: on the host whose data folder it has, and there alone its outcome is known.
//!
//! A replica that is away for a moment, because it is being replaced, comes back to its own steps: the others wait for it
//! before they call a step unknown or do it again.

use std::time::Duration;

use jiff::Timestamp;

use super::clocks::CLOCK_REFUSE;
use super::db::{Engine, sql};
use super::leases::end_of;
use super::outbox::owe;
use super::run_rows;
use super::writer::Group;
use super::{Lease, StoreError, WorkerId};
use crate::domain::{Effect, PostingKind, Run, render};

/// How long a home may be away before the others go on without it.
const HOME_WAIT: Duration = Duration::from_secs(60);
/// How long a home that handed a run back may be away before its thread says what is waited for.
const SAY_AFTER: Duration = Duration::from_secs(6);
/// A supervisor ends its program at the time limit, and needs no longer than this for it.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

impl WorkerId {
    /// The data folder that it works for; `None` where it names none.
    pub(super) fn home(&self) -> Option<&str> {
        self.0.split_once('/').map(|(home, _)| home)
    }
}

/// How a run was left by whoever worked on it last.
pub(super) struct Left<'a> {
    /// Where the supervisor of its started step is.
    pub(super) home: Option<&'a str>,
    /// The end of the last lease, by the database's clock in milliseconds.
    pub(super) at: Option<i64>,
    /// On purpose, at the end of service, and not by a crash.
    pub(super) handed_back: bool,
}

/// Until when, by the database's clock in milliseconds, a worker of `home` leaves a run to the home that has its step.
///
/// * `read`, `idempotent` and `keyed` go on at once when a host is lost: twice is as good as once, at the same time too. A
///   home that was stopped on purpose is coming back, and is waited for.
/// * `once` is known there or nowhere.
/// * `checked` waits for its time limit: before that, its check might say no of an attempt that still goes on.
pub(super) fn awaited_until(run: &Run, left: &Left<'_>, home: Option<&str>) -> Option<i64> {
    let (step, started_at) = run.supervised_step()?;
    let (theirs, ours, left_at) = (left.home?, home?, left.at?);
    if theirs == ours {
        return None;
    }
    let wait = left_at.saturating_add(milliseconds(HOME_WAIT));
    match step.effect {
        Effect::Once => Some(wait),
        Effect::Checked => {
            let lasts = step.timeout() + ENDS_WITHIN;
            // It began before the lease ended; when it began is told by a clock that may be off by so much.
            let latest = left_at.saturating_add(milliseconds(lasts));
            Some(latest.min(end_of(started_at, lasts + CLOCK_REFUSE)))
        }
        Effect::Read | Effect::Idempotent | Effect::Keyed => left.handed_back.then_some(wait),
    }
}

/// Puts the next look at a run off, and tells its thread what is waited for. Its home may take it all the while.
pub(super) async fn wait_for_home(
    group: &mut Group,
    run: &Run,
    for_ms: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let until = now.as_millisecond().saturating_add(for_ms);
    sql("update runs set due_at = $2 where id = $1")
        .bind(run.id.to_string())
        .bind(until)
        .execute(&mut group.db)
        .await?;
    let until = Timestamp::from_millisecond(until).unwrap_or(now);
    tracing::info!(run.id = %run.id, "run {} waits for the replica that has its step", run.reference);
    let root = (PostingKind::Root, render::root_that_waits(run, now, until));
    owe(group, render::in_each_place(run, &[root]), now).await
}

/// Leaves a run whose step goes on under a supervisor to its home. Answers whether there is such a step.
pub(super) async fn leave_to_home(
    group: &mut Group,
    lease: &Lease,
    now: Timestamp,
    lease_now: Timestamp,
) -> Result<bool, StoreError> {
    let (run, _) = run_rows::load_for_change(&mut group.db, lease.run).await?;
    let Some(home) = lease.worker.home() else {
        return Ok(false);
    };
    if run.supervised_step().is_none() || matches!(group.db.engine(), Engine::Sqlite(_)) {
        return Ok(false); // Of SQLite there is one home only.
    }
    sql("update runs set leased_by = $2, leased_until = $3, due_at = $4 where id = $1 and home = $2")
        .bind(lease.run.to_string())
        .bind(home)
        .bind(lease_now.as_millisecond())
        .bind(end_of(now, SAY_AFTER))
        .execute(&mut group.db)
        .await
        .map(|changed| changed == 1)
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
