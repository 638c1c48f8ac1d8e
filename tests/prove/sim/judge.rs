//! What must hold after each effect. Knows nothing of how midwatch decides; `rest` knows what must hold in the end.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use midwatch::domain::{
    Effect, Identity, Inbound, InboundKey, Invocation, Manner, Outcome, PersonId, Phase, Run,
    RunEvent, RunId, SpeakerKind, StepResult, StepState, Verdict, apply,
};
use midwatch::store::{Change, Conclusion};

use super::book::{Book, Held};
use super::ground::{LEASE, Violation};
use super::target::Target;
use super::yard::{KINDS, May, leads, may, only_reads};

/// What is older is not done without a fresh click.
const FRESH: SignedDuration = SignedDuration::from_secs(60);
/// What was allowed and not begun for so long is not begun.
const BEGUN_WITHIN: SignedDuration = SignedDuration::from_secs(120);
/// `fresh` of the one command that has it.
const JUST_DONE: SignedDuration = SignedDuration::from_mins(10);

#[derive(Default)]
pub(super) struct Judge {
    pub(super) received: HashSet<InboundKey>,
    pub(super) concluded: HashSet<InboundKey>,
    runs: HashMap<InboundKey, RunId>,
    /// The newest fence of each run that is held, and until when.
    leases: HashMap<RunId, (u64, Timestamp)>,
    starts: HashMap<(RunId, usize), u32>,
    agains: HashMap<(RunId, usize), u32>,
    /// Whether our clock was off at any time, or two things happened within a second: what came first can't be told.
    pub(super) first_is_unclear: bool,
}

pub(super) fn check(holds: bool, violation: impl FnOnce() -> Violation) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(violation()) }
}

impl Judge {
    pub(super) fn received(&mut self, inbound: &Inbound, new: bool) -> Result<(), Violation> {
        let first = self.received.insert(inbound.key.clone());
        check(first == new, || {
            let text = &inbound.text;
            format!("`{text}`: taken as new: {new}; first seen: {first}")
        })
    }

    pub(super) fn claimed(&mut self, held: &Held, now: Timestamp) -> Result<(), Violation> {
        let other = self.leases.get(&held.run);
        let free = other.is_none_or(|(fence, until)| *until <= now && *fence < held.fence);
        check(free, || {
            format!("{held:?} was claimed while {other:?} held it")
        })?;
        self.leases.insert(held.run, (held.fence, now + LEASE));
        Ok(())
    }

    pub(super) fn renewed(&mut self, held: &Held, now: Timestamp) -> Result<(), Violation> {
        self.worked(held)?;
        self.leases.insert(held.run, (held.fence, now + LEASE));
        Ok(())
    }

    pub(super) fn released(&mut self, held: &Held) -> Result<(), Violation> {
        self.worked(held)?;
        self.leases.remove(&held.run);
        Ok(())
    }

    /// Something was done with this lease.
    pub(super) fn worked(&self, held: &Held) -> Result<(), Violation> {
        let newest = self.leases.get(&held.run).map(|(fence, _)| *fence);
        check(newest == Some(held.fence), || {
            format!("{held:?} changed its run, and the newest lease is {newest:?}")
        })
    }

    /// The process died: nobody holds anything.
    pub(super) fn crashed(&mut self) {
        self.leases.clear();
    }

    /// What came of an inbound, with the book as it was before.
    pub(super) fn concludes(
        &mut self,
        inbound: &Inbound,
        conclusion: &Conclusion,
        book: &Book,
        clock: (Timestamp, usize),
    ) -> Result<(), Violation> {
        let first = self.concluded.insert(inbound.key.clone());
        check(first, || format!("`{}` was concluded twice", inbound.text))?;
        let heard = inbound.speaker.kind == SpeakerKind::Person && inbound.manner == Manner::Said;
        check(
            heard || matches!(conclusion.change, Change::Nothing),
            || {
                format!(
                    "`{}` is by an app, or edited, and did something",
                    inbound.text
                )
            },
        )?;
        let case = Case {
            who: &inbound.speaker.id.trim_start_matches("U0").to_lowercase(),
            sent_at: inbound.sent_at,
            now: clock.0,
            revision: clock.1,
        };
        match &conclusion.change {
            Change::Nothing
            | Change::Link(_)
            | Change::Lock(_)
            | Change::Covers(_)
            | Change::Page(_)
            | Change::Paged(..) => Ok(()),
            Change::NewRun { run, .. } => {
                let twin = self.runs.insert(inbound.key.clone(), run.id);
                check(twin.is_none(), || {
                    format!("`{}` has two runs", inbound.text)
                })?;
                case.begins(run, book)
            }
            Change::Happened { run, events, .. } => {
                let run = book.run(*run).ok_or("a run that is not there")?;
                self.first_is_unclear |= run.finished_at.is_some_and(|at| at > inbound.sent_at);
                let mut events = events.iter();
                events.try_for_each(|event| case.may(run, event))
            }
        }
    }

    /// What was looked at did not come to be.
    pub(super) fn met_a_conflict(&mut self, inbound: &Inbound) {
        self.concluded.remove(&inbound.key);
        self.runs.remove(&inbound.key);
    }

    /// What happened to a run, by a worker or a person.
    pub(super) fn happened(
        &mut self,
        before: &Run,
        events: &[RunEvent],
        after: &Run,
        now: Timestamp,
        target: &Target,
    ) -> Result<(), Violation> {
        let mut run = before.clone();
        for event in events {
            let fits = self.fits(&run, event, now, target);
            fits.map_err(|what| format!("run {}: {}: {what}", run.reference, event.word()))?;
            run = apply(&run, event, now).map_err(|unfit| unfit.to_string())?;
        }
        check(run == *after, || {
            format!(
                "run {} became something else than its events say",
                run.reference
            )
        })
    }

    fn fits(
        &mut self,
        run: &Run,
        event: &RunEvent,
        now: Timestamp,
        target: &Target,
    ) -> Result<(), Violation> {
        if let Phase::Finished(outcome) = run.phase {
            let settles = matches!(event, RunEvent::Settled { .. });
            check(settles && outcome == Outcome::NeedsAttention, || {
                format!("it had ended: {outcome:?}")
            })?;
        }
        match event {
            RunEvent::StepStarted {
                position, attempt, ..
            } => self.may_start(run, *position, *attempt, now, target),
            RunEvent::StepEnded {
                position,
                attempt,
                result,
                ..
            } => {
                let truly = match result {
                    StepResult::Succeeded { .. } => target.times(run.id, *position) > 0,
                    // A check can deny only what has not arrived yet.
                    StepResult::Failed { .. } | StepResult::Rejected { .. } => {
                        !target.arrived(run.id, *position, *attempt)
                            || target.denials(run.id, *position) > 0
                    }
                    StepResult::Unknown { .. } | StepResult::Stopped => true,
                };
                check(truly, || {
                    format!("step {position}: the target knows better than {result:?}")
                })
            }
            RunEvent::Settled { verdict, .. } => {
                let position = run.unsettled_step().ok_or("no step is in doubt")?;
                if *verdict == Verdict::Again {
                    *self.agains.entry((run.id, position)).or_default() += 1;
                }
                let truly = *verdict != Verdict::Happened || target.times(run.id, position) > 0;
                check(truly || self.first_is_unclear, || {
                    format!("step {position} did not happen, and nobody said so of this doubt")
                })
            }
            RunEvent::Finished { outcome, .. } => ends_truly(run, *outcome, now, target),
            _ => Ok(()),
        }
    }

    fn may_start(
        &mut self,
        run: &Run,
        position: usize,
        attempt: u32,
        now: Timestamp,
        target: &Target,
    ) -> Result<(), Violation> {
        let plan = run.plan.as_ref().ok_or("nothing was allowed")?;
        let step = &plan.steps[position];
        for (n, state) in run.steps[..position].iter().enumerate() {
            check(is_done(state) && target.times(run.id, n) > 0, || {
                format!("step {position} starts, and step {n} is {state:?}")
            })?;
        }
        let state = &run.steps[position];
        check(attempt == state.attempt() + 1, || {
            format!("attempt {attempt} follows {state:?}")
        })?;
        if let Phase::Queued { since } = run.phase {
            let reads = only_reads(run.invocation.command.as_str());
            check(reads || now.duration_since(since) <= BEGUN_WITHIN, || {
                "it was allowed long ago, and nobody expects it any more".to_owned()
            })?;
        }
        if let StepState::Ended { attempt, at, .. } = state {
            let pause = SignedDuration::from_secs(1 << (attempt - 1).min(6));
            check(now.duration_since(*at) >= pause, || {
                format!("attempt {attempt} ended at {at}, and the next starts at once, at {now}")
            })?;
            check(*attempt < step.attempts, || {
                format!("{} attempts were allowed", step.attempts)
            })?;
        }
        let starts = self.starts.entry((run.id, position)).or_default();
        *starts += 1;
        let agains = self.agains.get(&(run.id, position)).copied().unwrap_or(0);
        check(step.effect != Effect::Once || *starts <= 1 + agains, || {
            format!(
                "a `once` step is started {starts} times, and a person said again {agains} times"
            )
        })
    }

    /// A step of a run that has come to its end: the target's count against what its effect promises.
    pub(super) fn not_doubled(&self, run: &Run, target: &Target) -> Result<(), Violation> {
        for (position, step) in run.plan.iter().flat_map(|plan| &plan.steps).enumerate() {
            let agains = self.agains.get(&(run.id, position)).copied().unwrap_or(0);
            let most = match step.effect {
                Effect::Keyed => 1,
                Effect::Once => 1 + agains,
                Effect::Checked => 1 + agains + target.denials(run.id, position),
                Effect::Read | Effect::Idempotent => u32::MAX,
            };
            let times = target.times(run.id, position);
            check(times <= most, || {
                let (reference, effect) = (&run.reference, step.effect.as_str());
                format!(
                    "run {reference}: step {position} ({effect}) happened {times} times; {agains} times again"
                )
            })?;
        }
        Ok(())
    }
}

/// At most one run of an exclusive command is under way, or in doubt, in one environment.
pub(super) fn one_holder(book: &Book) -> Result<(), Violation> {
    let exclusive = |run: &&Run| {
        let command = run.invocation.command.as_str();
        let kind = KINDS.iter().find(|kind| kind.name == command);
        kind.is_some_and(|kind| kind.exclusive)
            && matches!(
                run.phase,
                Phase::Queued { .. } | Phase::Running | Phase::Finished(Outcome::NeedsAttention)
            )
    };
    let target = |it: &Invocation| (it.command.clone(), it.environment.clone());
    let mut seen = HashSet::new();
    for run in book.runs().filter(exclusive) {
        check(seen.insert(target(&run.invocation)), || {
            format!("two runs share a target; one of them is {}", run.reference)
        })?;
    }
    Ok(())
}

fn is_done(state: &StepState) -> bool {
    let StepState::Ended { result, .. } = state else {
        return false;
    };
    matches!(result, StepResult::Succeeded { .. })
}

/// The outcome is what the target knows, or says that nobody knows.
fn ends_truly(
    run: &Run,
    outcome: Outcome,
    now: Timestamp,
    target: &Target,
) -> Result<(), Violation> {
    let times = |position| target.times(run.id, position);
    let truly = match outcome {
        Outcome::Succeeded => {
            let done = run.steps.iter().enumerate();
            !run.steps.is_empty() && { done }.all(|(n, state)| is_done(state) && times(n) > 0)
        }
        Outcome::Expired => {
            let pending = run.steps.iter().all(|state| *state == StepState::Pending);
            let expired = match &run.phase {
                Phase::AwaitingApproval { until, .. } => now >= *until,
                Phase::Queued { since } => now.duration_since(*since) > BEGUN_WITHIN,
                _ => false,
            };
            pending && expired && times(0) == 0
        }
        Outcome::Cancelled => run.cancelled_by.is_some(),
        Outcome::NeedsAttention => run.unsettled_step().is_some(),
        Outcome::Failed => run.steps.iter().any(|state| {
            matches!(state, StepState::Ended { result, .. } if !matches!(result, StepResult::Succeeded { .. }))
        }),
    };
    check(truly, || {
        format!("{outcome:?} is not true: {:?} {:?}", run.phase, run.steps)
    })
}

/// One person's word, at one moment, under one revision of the runbook.
struct Case<'a> {
    who: &'a str,
    sent_at: Timestamp,
    now: Timestamp,
    revision: usize,
}

impl Case<'_> {
    fn must_be_fresh(&self) -> Result<(), Violation> {
        let age = self.now.duration_since(self.sent_at);
        check(age <= FRESH, || format!("{} said it {age} ago", self.who))
    }

    fn rule(&self, run: &Run, person: &str) -> May {
        let environment = run.invocation.environment.as_ref();
        let environment = environment.map_or("", |it| it.as_str());
        may(
            self.revision,
            run.invocation.command.as_str(),
            environment,
            person,
        )
    }

    fn begins(&self, run: &Run, book: &Book) -> Result<(), Violation> {
        let command = run.invocation.command.as_str();
        let fits = match (self.rule(run, self.who), &run.phase) {
            (May::Yes, Phase::Queued { .. }) => true,
            (May::Consent(wanted), Phase::AwaitingApproval { terms, .. }) => {
                terms.approvals as usize == wanted
            }
            _ => false,
        };
        check(fits, || {
            format!("{} may not {command} like this: {:?}", self.who, run.phase)
        })?;
        if !only_reads(command) {
            self.must_be_fresh()?;
        }
        let just_done = |other: &&Run| {
            other.outcome() == Some(Outcome::Succeeded)
                && other.invocation.command == run.invocation.command
                && other.invocation.environment == run.invocation.environment
                && other.finished_at.is_some_and(|at| {
                    let ago = self.now.duration_since(at);
                    !ago.is_negative() && ago < JUST_DONE
                })
        };
        let again = command != "flush" || run.invocation.again;
        check(again || !book.runs().any(|run| just_done(&run)), || {
            "somebody just did it".to_owned()
        })
    }

    /// Whether this person may do this to the run, as it is before.
    fn may(&self, run: &Run, event: &RunEvent) -> Result<(), Violation> {
        self.must_be_fresh()?;
        let requester = requester(run);
        let lead = leads(self.revision).contains(&self.who);
        let has_a_say = lead || self.rule(run, self.who) == May::Yes;
        let by = |person: &PersonId| person.as_str() == self.who;
        let fits = match event {
            RunEvent::Approved { by: person, .. } => {
                let Phase::AwaitingApproval {
                    until, approvers, ..
                } = &run.phase
                else {
                    return Err("nobody waits for consent".to_owned());
                };
                by(person)
                    && lead
                    && self.who != requester
                    && !approvers.contains(person)
                    && self.now < *until
            }
            RunEvent::Proposed { .. } => {
                let waits = matches!(&run.phase, Phase::AwaitingApproval { until, .. } if self.now < *until);
                waits && lead && self.who != requester
            }
            RunEvent::Allowed { .. } => self.has_consent(run, requester),
            RunEvent::Rejected { by: person, .. } => by(person) && lead && self.who != requester,
            RunEvent::CancelRequested { by: person } => {
                by(person) && (self.who == requester || has_a_say)
            }
            RunEvent::Settled {
                by: person,
                verdict,
            } => {
                let since = run.finished_at.map(Timestamp::as_second);
                let of_this_doubt = since.is_some_and(|since| {
                    // Still to come: our clock was put back.
                    self.sent_at.as_second() >= since || self.now.as_second() < since
                });
                check(of_this_doubt, || {
                    "it was said of an earlier doubt".to_owned()
                })?;
                // To run it again takes the same consent as the first time.
                let again = match self.rule(run, requester) {
                    May::Yes => true,
                    May::Consent(wanted) => wanted == 1 && lead && self.who != requester,
                    May::No => false,
                };
                by(person) && has_a_say && (*verdict != Verdict::Again || again)
            }
            _ => false,
        };
        check(fits, || {
            format!(
                "{} may not do this to run {}: {}",
                self.who,
                run.reference,
                event.word()
            )
        })
    }

    /// Whether enough different leads consent, the requester not counted, as the runbook is now.
    fn has_consent(&self, run: &Run, requester: &str) -> bool {
        let Phase::AwaitingApproval { approvers, .. } = &run.phase else {
            return false;
        };
        let mut consents: HashSet<&str> = approvers.iter().map(PersonId::as_str).collect();
        consents.insert(self.who);
        let leads = leads(self.revision);
        consents.retain(|person| leads.contains(person) && *person != requester);
        match self.rule(run, requester) {
            May::Yes => true,
            May::Consent(wanted) => consents.len() >= wanted,
            May::No => false,
        }
    }
}

fn requester(run: &Run) -> &str {
    match &run.requester {
        Identity::Person(person) => person.as_str(),
        Identity::Stranger => "",
    }
}
