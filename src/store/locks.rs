//! Locks that people took. One is in force from when it is taken until a person ends it or its time is over; that its time
//! is over is recorded and told soon after.

use jiff::Timestamp;
use sqlx::FromRow;

use super::db::{Db, sql};
use super::fault::{read_all_json, read_time, write_json};
use super::outbox::owe;
use super::writer::Group;
use super::{Store, StoreError};
use crate::domain::{
    EnvironmentName, Fact, Identity, LockEvent, LockTarget, PersonId, PersonLock, Posting,
    ProjectName, Run,
};

/// How many ends are told with one transaction.
const AT_ONCE: i64 = 50;

/// What becomes of a lock. Guarded by what was read before.
#[derive(Debug, Clone)]
pub enum LockChange {
    /// It is taken.
    Taken(PersonLock),
    /// A person ends it.
    Released(PersonLock),
}

/// Renders what we owe to people when a lock's time is over.
pub type TellEnd = Box<dyn Fn(&PersonLock) -> Vec<Posting> + Send>;

#[derive(FromRow)]
struct LockRow {
    project: String,
    environment: String,
    person: String,
    reason: String,
    place: String,
    since: i64,
    until: i64,
}

impl LockRow {
    fn lock(self) -> Result<PersonLock, StoreError> {
        let unreadable = |what: &str| StoreError::Corrupt(format!("{what} of a lock"));
        let environment = Some(self.environment).filter(|name| !name.is_empty());
        let environment = environment
            .map(|name| EnvironmentName::parse(&name))
            .transpose();
        Ok(PersonLock {
            target: LockTarget {
                project: ProjectName::parse(&self.project).map_err(|_| unreadable("project"))?,
                environment: environment.map_err(|_| unreadable("environment"))?,
            },
            by: PersonId::parse(&self.person).map_err(|_| unreadable("person"))?,
            reason: self.reason,
            since: read_time(self.since)?,
            until: read_time(self.until)?,
            place: read_all_json("a lock's place", &self.place)?,
        })
    }
}

fn environment_of(target: &LockTarget) -> &str {
    target
        .environment
        .as_ref()
        .map_or("", EnvironmentName::as_str)
}

pub(super) async fn change(
    group: &mut Group,
    change: &LockChange,
    now: Timestamp,
) -> Result<(), StoreError> {
    match change {
        LockChange::Taken(lock) => take(group, lock).await,
        LockChange::Released(lock) => release(group, lock, now).await,
    }
}

async fn take(group: &mut Group, lock: &PersonLock) -> Result<(), StoreError> {
    let taken = sql(
        "insert into locks (id, project, environment, person, reason, place, since, until)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
    )
    .bind(uuid::Uuid::new_v4().to_string())
    .bind(lock.target.project.as_str())
    .bind(environment_of(&lock.target))
    .bind(lock.by.as_str())
    .bind(&lock.reason)
    .bind(write_json(&lock.place))
    .bind(lock.since.as_millisecond())
    .bind(lock.until.as_millisecond())
    .execute(&mut group.db)
    .await?;
    expect_one(taken, "it was locked by somebody else meanwhile")
}

async fn release(group: &mut Group, lock: &PersonLock, now: Timestamp) -> Result<(), StoreError> {
    let released = sql("update locks set ended_at = $5
         where ended_at is null and project = $1 and environment = $2 and person = $3 and since = $4")
    .bind(lock.target.project.as_str())
    .bind(environment_of(&lock.target))
    .bind(lock.by.as_str())
    .bind(lock.since.as_millisecond())
    .bind(now.as_millisecond())
    .execute(&mut group.db)
    .await?;
    expect_one(released, "the lock has ended meanwhile")
}

fn expect_one(rows: u64, otherwise: &str) -> Result<(), StoreError> {
    if rows == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(otherwise.to_owned()))
}

/// Refuses that a run begins to change something that somebody else has locked: between the decision and its record a lock
/// may have been taken.
pub(super) async fn refuse_locked(
    group: &mut Group,
    run: &Run,
    now: Timestamp,
) -> Result<(), StoreError> {
    if run.only_reads() {
        return Ok(());
    }
    let target = LockTarget {
        project: run.invocation.project.clone(),
        environment: run.invocation.environment.clone(),
    };
    let locks = in_force(&mut group.db, &target.project, now).await?;
    let others = locks.iter().filter(|lock| covers(lock, &target));
    for lock in others {
        if run.requester != Identity::Person(lock.by.clone()) {
            return Err(StoreError::Conflict(format!(
                "{} is locked by {}",
                lock.target.words(),
                lock.by
            )));
        }
    }
    Ok(())
}

fn covers(lock: &PersonLock, target: &LockTarget) -> bool {
    lock.target.environment.is_none() || lock.target.environment == target.environment
}

async fn in_force(
    db: &mut Db,
    project: &ProjectName,
    now: Timestamp,
) -> Result<Vec<PersonLock>, StoreError> {
    let rows: Vec<LockRow> = sql(
        "select project, environment, person, reason, place, since, until from locks
         where project = $1 and ended_at is null and until > $2 order by environment",
    )
    .bind(project.as_str())
    .bind(now.as_millisecond())
    .all(db)
    .await?;
    rows.into_iter().map(LockRow::lock).collect()
}

async fn end_due(group: &mut Group, tell: TellEnd, now: Timestamp) -> Result<(), StoreError> {
    let rows: Vec<LockRow> = sql("update locks set ended_at = $1 where id in
             (select id from locks where ended_at is null and until <= $1 order by until limit $2)
         returning project, environment, person, reason, place, since, until")
    .bind(now.as_millisecond())
    .bind(AT_ONCE)
    .all(&mut group.db)
    .await?;
    for row in rows {
        let lock = row.lock()?;
        let fact = Fact::Lock {
            inbound: None,
            actor: Identity::Person(lock.by.clone()),
            target: lock.target.clone(),
            became: LockEvent::Ended,
        };
        group.append(&fact, now);
        owe(group, tell(&lock), now).await?;
    }
    Ok(())
}

impl Store {
    /// The locks of a project that are in force, that of all of it first.
    pub async fn locks(
        &self,
        project: &ProjectName,
        now: Timestamp,
    ) -> Result<Vec<PersonLock>, StoreError> {
        in_force(&mut self.reader().await?, project, now).await
    }

    /// The lock that covers this; of two the one on all of the project.
    pub async fn lock_on(
        &self,
        target: &LockTarget,
        now: Timestamp,
    ) -> Result<Option<PersonLock>, StoreError> {
        let locks = self.locks(&target.project, now).await?;
        Ok(locks.into_iter().find(|lock| covers(lock, target)))
    }

    /// Records that the time of some locks is over, and owes what `tell` says of each.
    pub async fn end_due_locks(&self, tell: TellEnd, now: Timestamp) -> Result<(), StoreError> {
        let due: Option<(i64,)> =
            sql("select until from locks where ended_at is null and until <= $1 limit 1")
                .bind(now.as_millisecond())
                .optional(&mut self.reader().await?)
                .await?;
        if due.is_none() {
            return Ok(());
        }
        self.writer()?
            .write(move |group| Box::pin(end_due(group, tell, now)))
            .await
    }
}
