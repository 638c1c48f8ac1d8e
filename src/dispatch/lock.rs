//! Locks that people take and end. The runbook says who may: whoever may change something there.

use std::time::Duration;

use jiff::Timestamp;

use super::Walk;
use super::answer::typical;
use super::change::{not_now, when};
use crate::domain::{
    Decision, EnvironmentName, Fact, Facts, LockEvent, LockTarget, Message, PersonLock, Posting,
    PostingKind, Project, ProjectName, Refusal, decide, render,
};
use crate::store::{Change, Conclusion, LockChange, StoreError};

impl Walk<'_> {
    /// Which locks there are.
    pub(super) async fn locks(&self, project: &ProjectName) -> Result<Message, StoreError> {
        let locks = self.dispatch.store.locks(project, self.now).await?;
        let target = LockTarget {
            project: project.clone(),
            environment: None,
        };
        Ok(render::locks(&target, &locks, self.now))
    }

    /// Takes a lock.
    pub(super) async fn lock(
        &self,
        target: LockTarget,
        length: Duration,
        reason: String,
    ) -> Result<Conclusion, StoreError> {
        let Some(person) = self.actor.person() else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        if !self.may_change(&target) {
            let what = format!(
                "you may change nothing in {}, so you can't lock it",
                target.words()
            );
            let next = format!("ask {}", self.owner_of(&target.project));
            return Ok(self.refuse(&not_now("not_yours", what, next)));
        }
        if let Some(held) = self.dispatch.store.lock_on(&target, self.now).await? {
            return Ok(self.refuse(&taken(&held, self.now)));
        }
        let until = jiff::SignedDuration::try_from(length).unwrap_or(jiff::SignedDuration::MAX);
        let lock = PersonLock {
            by: person.clone(),
            since: self.now,
            until: self.now.saturating_add(until).unwrap_or(Timestamp::MAX),
            place: self.inbound.place.clone(),
            target,
            reason,
        };
        let became = LockEvent::Taken {
            until: lock.until,
            reason: lock.reason.clone(),
        };
        let told = render::locked(&lock);
        Ok(self.lock_changed(LockChange::Taken(lock), became, told))
    }

    /// Ends a lock before its time.
    pub(super) async fn unlock(&self, target: LockTarget) -> Result<Conclusion, StoreError> {
        let Some(person) = self.actor.person() else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        let Some(lock) = self.dispatch.store.lock_on(&target, self.now).await? else {
            let what = format!("{} is not locked by anybody", target.words());
            let next = format!("see what is: /ops lock project={}", target.project);
            return Ok(self.refuse(&not_now("not_locked", what, next)));
        };
        if lock.by != *person && !self.may_end(&lock) {
            let what = format!("the lock on {} is {}'s", lock.target.words(), lock.by);
            let next = format!("ask them, or {}", self.owner_of(&lock.target.project));
            return Ok(self.refuse(&not_now("not_yours", what, next)));
        }
        let told = render::unlocked(&lock, person, self.now);
        let mut conclusion = self.lock_changed(
            LockChange::Released(lock.clone()),
            LockEvent::Released,
            told.clone(),
        );
        if !lock.place.shares_channel(&self.inbound.place) {
            conclusion.postings.push(answer(&lock, told));
        }
        Ok(conclusion)
    }

    /// Whether the runbook lets this person change anything there, with or without consent.
    fn may_change(&self, target: &LockTarget) -> bool {
        let Some(project) = self.catalog.projects.get(&target.project) else {
            return false;
        };
        let changing = self.catalog.commands.values().filter(|it| !it.only_reads());
        let mut asked = changing.flat_map(|command| {
            let environments = environments(project, target);
            environments.map(|environment| typical(command, project, environment))
        });
        asked.any(|invocation| {
            let facts = Facts::default();
            let decision = decide(&invocation, self.actor, self.catalog, &facts, self.now);
            !matches!(decision, Decision::Deny { .. })
        })
    }

    /// Owners, and whoever is on call, may end what somebody else has locked.
    fn may_end(&self, lock: &PersonLock) -> bool {
        let Some(project) = self.catalog.projects.get(&lock.target.project) else {
            return false;
        };
        let people = &self.catalog.people;
        let on_call = project.otherwise.on_call.iter();
        let mut on_call = on_call.filter_map(|it| people.on_call(it, self.now));
        let owner = project.owner.as_ref();
        owner.is_some_and(|owner| self.actor.groups.contains(owner))
            || on_call.any(|person| Some(person) == self.actor.person())
    }

    fn owner_of(&self, project: &ProjectName) -> String {
        let project = self.catalog.projects.get(project);
        let owner = project.and_then(|project| project.owner.as_ref());
        owner.map_or_else(
            || "the project's owner".to_owned(),
            |owner| format!("somebody of {owner}"),
        )
    }

    fn lock_changed(&self, change: LockChange, became: LockEvent, told: Message) -> Conclusion {
        let (LockChange::Taken(lock) | LockChange::Released(lock)) = &change;
        let fact = Fact::Lock {
            inbound: Some(self.inbound.key.clone()),
            actor: self.actor.identity.clone(),
            target: lock.target.clone(),
            became,
        };
        Conclusion {
            inbound: self.inbound.key.clone(),
            fact,
            change: Change::Lock(change),
            postings: vec![Posting {
                to: self.inbound.place.clone(),
                kind: PostingKind::Answer,
                run: None,
                message: told,
            }],
        }
    }
}

fn environments<'p>(
    project: &'p Project,
    target: &'p LockTarget,
) -> impl Iterator<Item = Option<&'p EnvironmentName>> {
    let all = project.environments.iter().map(|it| &it.name);
    let meant = all.filter(|name| target.environment.as_ref().is_none_or(|it| it == *name));
    meant.map(Some).chain(std::iter::once(None))
}

fn taken(lock: &PersonLock, now: Timestamp) -> Refusal {
    let until = when(lock.until, now);
    let what = format!(
        "{} is locked by {} until {until}: {}",
        lock.target.words(),
        lock.by,
        lock.reason
    );
    not_now(
        "locked",
        what,
        format!("ask them; /ops unlock {} ends it", lock.target.typed()),
    )
}

fn answer(lock: &PersonLock, message: Message) -> Posting {
    Posting {
        to: lock.place.clone(),
        kind: PostingKind::Answer,
        run: None,
        message,
    }
}

/// What everybody reads when a lock's time is over.
pub(super) fn tell_end(lock: &PersonLock) -> Vec<Posting> {
    vec![answer(lock, render::lock_ended(lock))]
}
