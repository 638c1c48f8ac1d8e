//! Rows of `runs` and `steps`, and the runs they are read back to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::db::{Db, Sql, sql};
use super::fault::{read_all_json, read_json, read_time, write_json};
use super::runs::Details;
use super::{RunFilter, RunPosition, RunsAsked, StoreError};
use crate::domain::{
    Begun, Glass, Identity, InboundKey, OtherRun, Outcome, Place, ProjectName, Reference, Run,
    RunId, RunStatus, StepState, ThreadLink,
};

/// One row of `steps`, as it is written.
#[derive(Serialize)]
pub(super) struct StepRow {
    position: usize,
    name: String,
    effect: &'static str,
    state: &'static str,
    attempt: u32,
    result: Option<String>,
    at: Option<i64>,
}

impl StepRow {
    /// The rows of a run's steps, in order.
    pub(super) fn all(run: &Run) -> impl Iterator<Item = Self> {
        let planned = run.plan.iter().flat_map(|plan| &plan.steps);
        planned
            .zip(&run.steps)
            .enumerate()
            .map(|(position, (planned, state))| {
                let (word, result, at) = match state {
                    StepState::Pending => ("pending", None, None),
                    StepState::Started { at, .. } => ("started", None, Some(at)),
                    StepState::Ended { at, result, .. } => {
                        ("ended", Some(write_json(result)), Some(at))
                    }
                    StepState::Cleared { at, .. } => ("cleared", None, Some(at)),
                    StepState::Interrupted { at, .. } => ("interrupted", None, Some(at)),
                };
                Self {
                    position,
                    name: planned.name.to_string(),
                    effect: planned.effect.as_str(),
                    state: word,
                    attempt: state.attempt(),
                    result,
                    at: at.map(|at| at.as_millisecond()),
                }
            })
    }
}

/// A row of `runs` joined with one of its steps, if it has any.
#[derive(FromRow)]
struct JoinedRow {
    id: String,
    reference: String,
    lock: Option<String>,
    details: String,
    phase_json: String,
    plan: Option<String>,
    cancelled_by: Option<String>,
    doubted_at: Option<i64>,
    glass_by: Option<String>,
    reviewed_by: Option<String>,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    state: Option<String>,
    attempt: Option<i64>,
    result: Option<String>,
    at: Option<i64>,
}

impl JoinedRow {
    fn run(&self) -> Result<Run, StoreError> {
        let details: Details = read_all_json("a run's details", &self.details)?;
        let time = |ms: Option<i64>| ms.map(read_time).transpose();
        Ok(Run {
            id: RunId::parse(&self.id).ok_or_else(|| self.unreadable("id"))?,
            reference: Reference::parse(&self.reference)
                .ok_or_else(|| self.unreadable("reference"))?,
            invocation: details.invocation,
            requester: details.requester,
            rule: details.rule,
            place: details.place,
            mirrors: details.mirrors,
            followers: details.followers,
            glass: match (&self.glass_by, &self.reviewed_by) {
                (None, _) => None,
                (Some(_), None) => Some(Glass::Unreviewed),
                (Some(_), Some(by)) => Some(Glass::Reviewed {
                    by: by.parse().map_err(|_| self.unreadable("reviewed_by"))?,
                }),
            },
            phase: read_all_json("a run's phase", &self.phase_json)?,
            plan: match &self.plan {
                Some(plan) => Some(read_all_json("a run's plan", plan)?),
                None => None,
            },
            steps: Vec::new(),
            cancelled_by: match &self.cancelled_by {
                Some(person) => Some(
                    person
                        .parse()
                        .map_err(|_| self.unreadable("cancelled_by"))?,
                ),
                None => None,
            },
            doubted_at: time(self.doubted_at)?,
            created_at: read_time(self.created_at)?,
            started_at: time(self.started_at)?,
            finished_at: time(self.finished_at)?,
        })
    }

    fn step(&self) -> Result<Option<StepState>, StoreError> {
        let Some(state) = &self.state else {
            return Ok(None);
        };
        let unreadable = || self.unreadable("steps");
        let attempt = self.attempt.and_then(|n| u32::try_from(n).ok());
        let attempt = attempt.ok_or_else(unreadable)?;
        let at = || read_time(self.at.ok_or_else(unreadable)?);
        Ok(Some(match (state.as_str(), &self.result) {
            ("pending", _) => StepState::Pending,
            ("started", _) => StepState::Started { attempt, at: at()? },
            ("cleared", _) => StepState::Cleared { attempt, at: at()? },
            ("interrupted", _) => StepState::Interrupted { attempt, at: at()? },
            ("ended", Some(result)) => StepState::Ended {
                attempt,
                at: at()?,
                result: read_all_json("a step's result", result)?,
            },
            ("ended", None) => return Err(unreadable()),
            (word, _) => {
                return Err(StoreError::Newer(format!(
                    "step state `{word}` of run {}",
                    self.id
                )));
            }
        }))
    }

    fn unreadable(&self, what: &str) -> StoreError {
        StoreError::Corrupt(format!("{what} of run {}", self.id))
    }
}

/// The run of its joined rows, its steps in order.
fn gather(rows: &[JoinedRow]) -> Result<Run, StoreError> {
    let mut run = rows[0].run()?;
    for row in rows {
        run.steps.extend(row.step()?);
    }
    Ok(run)
}

/// What stands before `where` in every query below. A macro, because a query's text is fixed when it is compiled.
macro_rules! select_runs {
    ($where:literal) => {
        sql(concat!(
            "select r.id, r.reference, r.lock, r.details, r.phase_json, r.plan, r.cancelled_by, r.doubted_at,
                    r.glass_by, r.reviewed_by, r.created_at, r.started_at, r.finished_at, s.state, s.attempt, s.result, s.at
             from runs r left join steps s on s.run = r.id where ",
            $where,
            " order by r.created_at desc, r.id, s.position"
        ))
    };
}

async fn one(db: &mut Db, query: Sql) -> Result<Option<Run>, StoreError> {
    let rows: Vec<JoinedRow> = query.all(db).await?;
    (!rows.is_empty()).then(|| gather(&rows)).transpose()
}

pub(super) async fn load(db: &mut Db, id: RunId) -> Result<Option<Run>, StoreError> {
    one(db, select_runs!("r.id = $1").bind(id.to_string())).await
}

pub(super) async fn load_by_reference(
    db: &mut Db,
    reference: &Reference,
) -> Result<Option<Run>, StoreError> {
    let query = select_runs!("r.reference = $1").bind(reference.as_str());
    one(db, query).await
}

/// The run with its lock's name, or `Conflict` when there is none.
pub(super) async fn load_for_change(
    db: &mut Db,
    id: RunId,
) -> Result<(Run, Option<String>), StoreError> {
    let query = select_runs!("r.id = $1").bind(id.to_string());
    let mut rows: Vec<JoinedRow> = query.all(db).await?;
    if rows.is_empty() {
        return Err(StoreError::Conflict(format!("there is no run {id}")));
    }
    let run = gather(&rows)?;
    Ok((run, rows.swap_remove(0).lock))
}

/// A run as a hold tells of it: of what no later version changes.
#[derive(FromRow)]
struct OtherRow {
    id: String,
    reference: String,
    details: String,
    outcome: Option<String>,
    created_at: i64,
    finished_at: Option<i64>,
}

/// As much of `Details` as a hold tells.
#[derive(Deserialize)]
struct Asked {
    requester: serde_json::Value,
    #[serde(default)]
    invocation: serde_json::Value,
    #[serde(default)]
    place: serde_json::Value,
}

impl OtherRow {
    fn other(self, thread: Option<ThreadLink>) -> Result<OtherRun, StoreError> {
        let asked: Asked = read_json("a run's details", &self.details)?;
        let reason = asked.invocation.pointer("/reason");
        Ok(OtherRun {
            reference: Reference::parse(&self.reference).ok_or_else(|| {
                StoreError::Corrupt(format!("the reference `{}`", self.reference))
            })?,
            requester: serde_json::from_value(asked.requester).unwrap_or(Identity::Stranger),
            outcome: self.outcome.as_deref().and_then(Outcome::parse),
            created_at: read_time(self.created_at)?,
            finished_at: self.finished_at.map(read_time).transpose()?,
            reason: reason.and_then(|it| it.as_str()).map(str::to_owned),
            // Before its first message is delivered its channel is known all the same.
            thread: thread.or_else(|| {
                let place = serde_json::from_value(asked.place).ok()?;
                let message = String::new();
                Some(ThreadLink { place, message })
            }),
        })
    }
}

/// Who holds the lock, although this version may not be able to read the run.
pub(super) async fn load_holder(
    db: &mut Db,
    lock: &str,
    near: &Place,
) -> Result<Option<OtherRun>, StoreError> {
    let found = sql(
        "select id, reference, details, outcome, created_at, finished_at
         from runs where lock = $1 and holds_lock = 1",
    )
    .bind(lock);
    other(db, found, near).await
}

/// The latest success of the very same.
pub(super) async fn load_latest_success(
    db: &mut Db,
    same_target: &str,
    since: Timestamp,
    near: &Place,
) -> Result<Option<OtherRun>, StoreError> {
    let found = sql(
        "select id, reference, details, outcome, created_at, finished_at
         from runs where same_target = $1 and outcome = 'succeeded' and finished_at >= $2
         order by finished_at desc limit 1",
    )
    .bind(same_target)
    .bind(since.as_millisecond());
    other(db, found, near).await
}

/// The latest run of the very same, however it ended.
pub(super) async fn load_latest(
    db: &mut Db,
    same_target: &str,
    near: &Place,
) -> Result<Option<OtherRun>, StoreError> {
    let found = sql(
        "select id, reference, details, outcome, created_at, finished_at
         from runs where same_target = $1 order by created_at desc limit 1",
    )
    .bind(same_target);
    other(db, found, near).await
}

async fn other(db: &mut Db, query: Sql, near: &Place) -> Result<Option<OtherRun>, StoreError> {
    let row: Option<OtherRow> = query.optional(db).await?;
    let Some(row) = row else { return Ok(None) };
    let thread = nearest_thread(db, &row.id, near).await?;
    row.other(thread).map(Some)
}

/// Of a run's threads the one that is nearest: in the same channel, in the same space, on the same platform, anywhere.
pub(super) async fn nearest_thread(
    db: &mut Db,
    run: &str,
    near: &Place,
) -> Result<Option<ThreadLink>, StoreError> {
    let roots: Vec<(String, String)> = sql("select place, message from outbox
         where run = $1 and kind = 'root' and message is not null order by id")
    .bind(run)
    .all(db)
    .await?;
    let threads = roots.into_iter().filter_map(|(place, message)| {
        // A place that only a newer version can read is no place to send people to.
        let place: Place = read_all_json("a place", &place).ok()?;
        Some(ThreadLink { place, message })
    });
    Ok(threads.min_by_key(|thread| {
        let place = &thread.place;
        let platform = place.platform == near.platform;
        let space = platform && place.space == near.space;
        (!place.shares_channel(near), !space, !platform)
    }))
}

/// Each run, or its reference and why it can't be read.
pub(super) async fn load_list(
    db: &mut Db,
    filter: &RunFilter,
) -> Result<Vec<Result<Run, (String, StoreError)>>, StoreError> {
    let rows: Vec<JoinedRow> = list(filter).all(db).await?;
    Ok(rows
        .chunk_by(|one, two| one.id == two.id)
        .map(|rows| gather(rows).map_err(|why| (rows[0].reference.clone(), why)))
        .collect())
}

/// A run where it stands in the list, or its reference and why it can't be read.
type Listed = (RunPosition, Result<Run, (String, StoreError)>);

/// A page of runs, each with where it stands.
pub(super) async fn load_page(db: &mut Db, asked: &RunsAsked) -> Result<Vec<Listed>, StoreError> {
    let rows: Vec<JoinedRow> = page(asked).all(db).await?;
    let listed = rows.chunk_by(|one, two| one.id == two.id).map(|rows| {
        let position = RunPosition {
            created_at: read_time(rows[0].created_at)?,
            run: RunId::parse(&rows[0].id).ok_or_else(|| rows[0].unreadable("id"))?,
        };
        let run = gather(rows).map_err(|why| (rows[0].reference.clone(), why));
        Ok((position, run))
    });
    listed.collect()
}

fn page(asked: &RunsAsked) -> Sql {
    let projects = asked.projects.as_ref().map(|projects| {
        let rows = projects.iter().map(|it| serde_json::json!({ "id": it }));
        write_json(&rows.collect::<Vec<_>>())
    });
    let behind = asked.behind.unwrap_or(RunPosition {
        created_at: Timestamp::MAX,
        run: RunId::of_inbound(&InboundKey::new(&[])),
    });
    select_runs!(
        "r.id in (select id from runs
                  where (created_at < $1 or (created_at = $1 and id > $2))
                    and (cast($3 as text) is null
                         or project in (select value ->> 'id' from json_each(coalesce(cast($3 as text), '[]'))))
                    and (cast($4 as text) is null or substr(same_target, 1, length(cast($4 as text))) = $4)
                    and (cast($5 as text) is null
                         or case when phase <> 'finished' then 'running' when outcome = 'succeeded' then 'completed'
                                 else 'failed' end = $5)
                  order by created_at desc, id limit $6)"
    )
    .bind(behind.created_at.as_millisecond())
    .bind(behind.run.to_string())
    .bind(projects)
    .bind(asked.target.as_ref().map(|target| format!("{target}/")))
    .bind(asked.status.map(RunStatus::as_str))
    .bind(i64::from(asked.limit))
}

/// How many rows are looked at for each change that may count: reads are among them.
const LOOKED_AT: u32 = 20;

/// Changes that were begun in the project since then, newest first.
pub(super) async fn load_begun(
    db: &mut Db,
    project: &ProjectName,
    since: Timestamp,
    most: u32,
) -> Result<Vec<Begun>, StoreError> {
    let rows: Vec<(String, i64, Option<String>)> = sql(
        "select details, created_at, plan from runs where project = $1 and created_at > $2
         order by created_at desc, id limit $3",
    )
    .bind(project.as_str())
    .bind(since.as_millisecond())
    .bind(i64::from(most.saturating_mul(LOOKED_AT)))
    .all(db)
    .await?;
    let mut begun = Vec::new();
    for (details, at, plan) in rows {
        let asked: Asked = read_json("a run's details", &details)?;
        let Ok(Identity::Person(by)) = serde_json::from_value(asked.requester) else {
            continue;
        };
        let only_reads = plan.is_some_and(|plan| only_reads(&plan));
        if !only_reads {
            begun.push(Begun {
                by,
                at: read_time(at)?,
            });
        }
    }
    Ok(begun)
}

/// Whether every step of a plan, as it is written, only reads. Of one that can't be read nobody knows: it counts.
fn only_reads(plan: &str) -> bool {
    let plan: serde_json::Value = serde_json::from_str(plan).unwrap_or_default();
    let steps = plan.pointer("/steps").and_then(|steps| steps.as_array());
    steps.is_some_and(|steps| steps.iter().all(|step| step["effect"] == "read"))
}

/// Runs for which the glass was broken and that nobody has reviewed, newest first.
pub(super) async fn load_unreviewed(db: &mut Db, limit: u32) -> Result<Vec<Run>, StoreError> {
    let query = select_runs!(
        "r.id in (select id from runs where glass_by is not null and reviewed_by is null
                  order by created_at desc limit $1)"
    );
    let rows: Vec<JoinedRow> = query.bind(i64::from(limit)).all(db).await?;
    rows.chunk_by(|one, two| one.id == two.id)
        .map(gather)
        .collect()
}

/// A text for each filter: one for all would be read from end to end, for whatever few.
pub(super) fn list(filter: &RunFilter) -> Sql {
    let project = filter.project.as_ref().map(ProjectName::as_str);
    let query = match project {
        _ if filter.open => select_runs!(
            "r.id in (select id from runs
                      where (phase <> 'finished' or outcome = 'needs_attention')
                        and (cast($1 as text) is null or project = $1)
                      order by created_at desc, id limit $2)"
        ),
        Some(_) => select_runs!(
            "r.id in (select id from runs where project = $1 order by created_at desc, id limit $2)"
        ),
        None => select_runs!(
            "r.id in (select id from runs where cast($1 as text) is null order by created_at desc, id limit $2)"
        ),
    };
    query.bind(project).bind(i64::from(filter.limit))
}
