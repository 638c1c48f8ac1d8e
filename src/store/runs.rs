//! Runs and their steps: rows with what is searched for, JSON for what is only read back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::checkpoint::keep_checkpoint;
use super::db::sql;
use super::fault::write_json;
use super::locks::refuse_locked;
use super::newer::What;
use super::outbox::owe;
use super::run_rows::{self, StepRow};
use super::writer::Group;
use super::{AT_ONCE, RunFilter, RunPosition, Runs, RunsAsked, Store, StoreError, Tell};
use crate::domain::{
    Begun, Due, Fact, Facts, Glass, Identity, Invocation, OtherRun, Outcome, PersonId, Place,
    ProjectName, Reference, RuleRef, Run, RunEvent, RunId, ThreadLink, apply, next,
};
use crate::planted;

pub(super) const COUNT_OPEN: &str =
    "select count(*) from runs where phase <> 'finished' or outcome = 'needs_attention'";

/// What is fixed when a run begins.
#[derive(Serialize, Deserialize)]
pub(super) struct Details {
    pub(super) invocation: Invocation,
    pub(super) requester: Identity,
    pub(super) rule: RuleRef,
    pub(super) place: Place,
    // Left out where there is none: an older version reads it then, and can do the whole of the run's telling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) mirrors: Vec<Place>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) followers: Vec<PersonId>,
}

impl Details {
    fn of(run: &Run) -> Self {
        Self {
            invocation: run.invocation.clone(),
            requester: run.requester.clone(),
            rule: run.rule.clone(),
            place: run.place.clone(),
            mirrors: run.mirrors.clone(),
            followers: run.followers.clone(),
        }
    }
}

/// When a worker should look at the run, in milliseconds; `None`: when something happens.
fn due_at(run: &Run, now: Timestamp) -> Option<i64> {
    match next(run, now) {
        Due::Nothing => None,
        Due::Wait(until) => Some(until.as_millisecond()),
        _ if planted::is("due-by-the-clock") => Some(now.as_millisecond()),
        Due::Start { .. } | Due::Interrupt { .. } | Due::Verify { .. } | Due::Finish(_) => {
            Some(AT_ONCE)
        }
    }
}

/// A run comes into being.
pub(super) async fn insert_run(
    group: &mut Group,
    run: &Run,
    lock: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    refuse_twin(group, run).await?;
    if run.holds_lock() {
        refuse_held(group, run, lock).await?;
        refuse_locked(group, run, now).await?;
    }
    sql(
        "insert into runs (id, reference, project, same_target, lock, holds_lock, phase, outcome, details,
                           phase_json, plan, cancelled_by, created_at, started_at, finished_at, due_at, doubted_at, glass_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(run.id.to_string())
    .bind(run.reference.as_str())
    .bind(run.invocation.project.as_str())
    .bind(run.invocation.same_target())
    .bind(lock)
    .bind(i64::from(run.holds_lock()))
    .bind(run.phase.as_str())
    .bind(run.outcome().map(Outcome::as_str))
    .bind(write_json(&Details::of(run)))
    .bind(write_json(&run.phase))
    .bind(run.plan.as_ref().map(write_json))
    .bind(run.cancelled_by.as_ref().map(PersonId::as_str))
    .bind(run.created_at.as_millisecond())
    .bind(run.started_at.map(Timestamp::as_millisecond))
    .bind(run.finished_at.map(Timestamp::as_millisecond))
    .bind(due_at(run, now))
    .bind(run.doubted_at.map(Timestamp::as_millisecond))
    .bind(glass_by(run))
    .execute(&mut group.db)
    .await?;
    save_steps(group, None, run).await
}

/// Who broke the glass for it.
fn glass_by(run: &Run) -> Option<String> {
    run.glass.as_ref().map(|_| run.requester.to_string())
}

/// The unique columns would refuse it too; this says it in words.
async fn refuse_twin(group: &mut Group, run: &Run) -> Result<(), StoreError> {
    let twin: Option<(String,)> =
        sql("select reference from runs where id = $1 or reference = $2 limit 1")
            .bind(run.id.to_string())
            .bind(run.reference.as_str())
            .optional(&mut group.db)
            .await?;
    match twin {
        None => Ok(()),
        Some((twin,)) => Err(StoreError::Conflict(format!(
            "run {} exists already as `{twin}`, or its reference is taken",
            run.id
        ))),
    }
}

/// The unique index would refuse it too; this names the holder.
async fn refuse_held(group: &mut Group, run: &Run, lock: Option<&str>) -> Result<(), StoreError> {
    let holder: Option<(String,)> =
        sql("select reference from runs where lock = $1 and holds_lock = 1 and id <> $2")
            .bind(lock)
            .bind(run.id.to_string())
            .optional(&mut group.db)
            .await?;
    match holder {
        None => Ok(()),
        Some((holder,)) => Err(StoreError::Conflict(format!(
            "`{}` is held by run {holder}",
            lock.unwrap_or_default()
        ))),
    }
}

/// Something happens to a run: its new state, the ledger's entries and what we owe for it, in one transaction. `home`: of
/// the worker that holds its lease, if one does it.
pub(super) async fn happen(
    group: &mut Group,
    id: RunId,
    events: Vec<RunEvent>,
    tell: Tell,
    (now, home): (Timestamp, Option<&str>),
) -> Result<Run, StoreError> {
    let (before, lock) = run_rows::load_for_change(&mut group.db, id).await?;
    let mut run = before.clone();
    for event in &events {
        run = apply(&run, event, now)
            .map_err(|unfit| StoreError::Conflict(format!("run {}: {unfit}", before.reference)))?;
    }
    if run.holds_lock() && !before.holds_lock() {
        refuse_held(group, &run, lock.as_deref()).await?;
        refuse_locked(group, &run, now).await?;
    }
    update_run(group, &run, now, home).await?;
    if run.glass != before.glass {
        let Some(Glass::Reviewed { by }) = &run.glass else {
            return Err(StoreError::Conflict("glass stays broken".to_owned()));
        };
        sql("update runs set reviewed_by = $2 where id = $1")
            .bind(run.id.to_string())
            .bind(by.as_str())
            .execute(&mut group.db)
            .await?;
    }
    if run.followers != before.followers {
        sql("update runs set details = $2 where id = $1")
            .bind(run.id.to_string())
            .bind(write_json(&Details::of(&run)))
            .execute(&mut group.db)
            .await?;
    }
    save_steps(group, Some(&before), &run).await?;
    let finished = events
        .iter()
        .any(|e| matches!(e, RunEvent::Finished { .. }));
    for happened in events {
        let (run, reference) = (run.id, run.reference.clone());
        let fact = Fact::Run {
            run,
            reference,
            happened,
        };
        group.append(&fact, now);
    }
    let note = if finished {
        Some(keep_checkpoint(group, now).await?)
    } else {
        None
    };
    // One run that can't be told of must not end the writer, and with it every other run.
    let told = catch_unwind(AssertUnwindSafe(|| tell(&run, note.as_deref())));
    let postings = told.map_err(|_| {
        StoreError::Unavailable(format!("telling people of run {} broke", run.reference))
    })?;
    owe(group, postings, now).await?;
    Ok(run)
}

async fn update_run(
    group: &mut Group,
    run: &Run,
    now: Timestamp,
    home: Option<&str>,
) -> Result<(), StoreError> {
    sql(
        "update runs set holds_lock = $2, phase = $3, outcome = $4, phase_json = $5, plan = $6, cancelled_by = $7,
                         started_at = $8, finished_at = $9, due_at = $10, doubted_at = $11,
                         home = case when $12 = 1 then coalesce($13, home) end
         where id = $1",
    )
    .bind(run.id.to_string())
    .bind(i64::from(run.holds_lock()))
    .bind(run.phase.as_str())
    .bind(run.outcome().map(Outcome::as_str))
    .bind(write_json(&run.phase))
    .bind(run.plan.as_ref().map(write_json))
    .bind(run.cancelled_by.as_ref().map(PersonId::as_str))
    .bind(run.started_at.map(Timestamp::as_millisecond))
    .bind(run.finished_at.map(Timestamp::as_millisecond))
    .bind(due_at(run, now))
    .bind(run.doubted_at.map(Timestamp::as_millisecond))
    .bind(i64::from(run.supervised_step().is_some()))
    .bind(home)
    .execute(&mut group.db)
    .await?;
    Ok(())
}

/// Writes the steps that changed, in one statement.
async fn save_steps(group: &mut Group, before: Option<&Run>, run: &Run) -> Result<(), StoreError> {
    let rows: Vec<StepRow> = StepRow::all(run)
        .enumerate()
        .filter(|(n, _)| before.and_then(|b| b.steps.get(*n)) != run.steps.get(*n))
        .map(|(_, row)| row)
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    sql(
        "insert into steps (run, position, name, effect, state, attempt, result, at)
         select $1, cast(value ->> 'position' as bigint), value ->> 'name', value ->> 'effect', value ->> 'state',
                cast(value ->> 'attempt' as bigint), value ->> 'result', cast(value ->> 'at' as bigint)
         from json_each($2) where true
         on conflict (run, position) do update
         set state = excluded.state, attempt = excluded.attempt, result = excluded.result, at = excluded.at",
    )
    .bind(run.id.to_string())
    .bind(write_json(&rows))
    .execute(&mut group.db)
    .await?;
    Ok(())
}

/// Plans the next look at a run that nobody works on.
pub(super) async fn plan_next_look(
    group: &mut Group,
    id: RunId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (run, _) = run_rows::load_for_change(&mut group.db, id).await?;
    sql("update runs set due_at = $2 where id = $1")
        .bind(id.to_string())
        .bind(due_at(&run, now))
        .execute(&mut group.db)
        .await?;
    Ok(())
}

impl Store {
    /// `running` and `just_done` for an invocation: who holds `lock`, and the latest success of `same_target` since
    /// `fresh_since`, each with its thread that is nearest to `near`.
    pub async fn facts_for(
        &self,
        lock: Option<String>,
        same_target: String,
        fresh_since: Option<Timestamp>,
        near: &Place,
    ) -> Result<Facts, StoreError> {
        let mut facts = Facts::default();
        if let Some(lock) = lock {
            facts.running = run_rows::load_holder(&mut self.reader().await?, &lock, near).await?;
        }
        if let Some(since) = fresh_since {
            facts.just_done =
                run_rows::load_latest_success(&mut self.reader().await?, &same_target, since, near)
                    .await?;
        }
        Ok(facts)
    }

    /// Changes that were begun in the project since then, newest first: what only reads is passed over, and what waits for
    /// consent has begun. At most so many of one person, and of all; more than that matters to nobody.
    pub async fn begun_since(
        &self,
        project: &ProjectName,
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<Begun>, StoreError> {
        run_rows::load_begun(&mut self.reader().await?, project, since, most).await
    }

    /// How often this person broke the glass since then.
    pub async fn glass_since(
        &self,
        person: &PersonId,
        since: Timestamp,
    ) -> Result<u32, StoreError> {
        let (count,): (i64,) =
            sql("select count(*) from runs where glass_by = $1 and created_at > $2")
                .bind(person.as_str())
                .bind(since.as_millisecond())
                .one(&mut self.reader().await?)
                .await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Runs for which the glass was broken and that nobody has reviewed, newest first.
    pub async fn unreviewed(&self, limit: u32) -> Result<Vec<Run>, StoreError> {
        run_rows::load_unreviewed(&mut self.reader().await?, limit).await
    }

    /// The latest run of the very same target, however it ended.
    pub async fn latest_of(
        &self,
        same_target: &str,
        near: &Place,
    ) -> Result<Option<OtherRun>, StoreError> {
        run_rows::load_latest(&mut self.reader().await?, same_target, near).await
    }

    /// The first message of the run's thread that is nearest to this place; `None` while none is delivered.
    pub async fn thread_of(
        &self,
        run: RunId,
        near: &Place,
    ) -> Result<Option<ThreadLink>, StoreError> {
        run_rows::nearest_thread(&mut self.reader().await?, &run.to_string(), near).await
    }

    /// The shortest reference of the run that no other run has.
    pub async fn free_reference(&self, run: RunId) -> Result<Reference, StoreError> {
        for length in 4..12 {
            let reference = run.reference(length);
            let (taken,): (i64,) =
                sql("select count(*) from runs where reference = $1 and id <> $2")
                    .bind(reference.as_str())
                    .bind(run.to_string())
                    .one(&mut self.reader().await?)
                    .await?;
            if taken == 0 {
                return Ok(reference);
            }
        }
        Ok(run.reference(12))
    }

    /// A run.
    pub async fn run(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        run_rows::load(&mut self.reader().await?, run).await
    }

    /// A run, by what people call it.
    pub async fn run_by_reference(&self, reference: &Reference) -> Result<Option<Run>, StoreError> {
        run_rows::load_by_reference(&mut self.reader().await?, reference).await
    }

    /// How many runs have not ended, those that need attention included.
    pub async fn runs_open(&self) -> Result<u64, StoreError> {
        let (count,): (i64,) = sql(COUNT_OPEN).one(&mut self.reader().await?).await?;
        Ok(count.unsigned_abs())
    }

    /// Runs that wait for consent, the oldest first. Those of a newer version are left to it.
    pub async fn runs_awaiting(&self, limit: u32) -> Result<Vec<Run>, StoreError> {
        let ids: Vec<(String,)> = sql("select id from runs where phase = 'awaiting_approval'
             order by created_at limit $1")
        .bind(i64::from(limit))
        .all(&mut self.reader().await?)
        .await?;
        let mut runs = Vec::with_capacity(ids.len());
        for id in ids.iter().filter_map(|(id,)| RunId::parse(id)) {
            match self.run(id).await {
                Err(StoreError::Newer(_)) => {}
                found => runs.extend(found?),
            }
        }
        Ok(runs)
    }

    /// Something happens to a run that nobody said and no worker did. Each event must fit, or nothing happens.
    pub async fn happens(
        &self,
        run: RunId,
        events: Vec<RunEvent>,
        tell: Tell,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    happen(group, run, events, tell, (now, None)).await?;
                    Ok(())
                })
            })
            .await
    }

    /// A page of runs, newest first, and where the next begins; `None`: there is none.
    pub async fn runs_page(
        &self,
        asked: &RunsAsked,
    ) -> Result<(Runs, Option<RunPosition>), StoreError> {
        let mut runs = Runs::default();
        let more = RunsAsked {
            limit: asked.limit.saturating_add(1),
            ..asked.clone()
        };
        let mut listed = run_rows::load_page(&mut self.reader().await?, &more).await?;
        let is_whole = listed.len() <= asked.limit as usize;
        listed.truncate(asked.limit as usize);
        let last = listed.last().map(|(position, _)| *position);
        for (_, run) in listed {
            match run {
                Ok(run) => runs.known.push(run),
                Err((reference, why)) => {
                    self.newer().note(What::Run, &reference, &why)?;
                    runs.unread.extend(Reference::parse(&reference));
                }
            }
        }
        Ok((runs, last.filter(|_| !is_whole)))
    }

    /// Runs, newest first.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Runs, StoreError> {
        let mut runs = Runs::default();
        for run in run_rows::load_list(&mut self.reader().await?, filter).await? {
            match run {
                Ok(run) => runs.known.push(run),
                Err((reference, why)) => {
                    self.newer().note(What::Run, &reference, &why)?;
                    runs.unread.extend(Reference::parse(&reference));
                }
            }
        }
        Ok(runs)
    }
}
