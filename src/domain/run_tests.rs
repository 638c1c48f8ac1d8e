//! Properties of `next` and `apply`: whatever happens to a run, it can finish, and no `once` step is done twice.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{
    Action, ApprovalTerms, CommandName, Due, Effect, FileLine, Identity, InboundKey, Invocation,
    Outcome, PersonId, Phase, Place, Plan, PlannedStep, Platform, ProjectName, Revision, Risk,
    RuleRef, Run, RunAction, RunEvent, RunId, StepName, StepResult, StepState, Verdict, Who, apply,
    next,
};

const BEGIN: Timestamp = Timestamp::UNIX_EPOCH;

/// What the world does next. Each is tried; most do not fit most states.
#[derive(Debug, Clone)]
enum Move {
    /// Do what `next` demands; a started step is left started.
    Tick,
    /// The step that runs ends so.
    End(StepResult),
    /// The worker is gone: what is started is found as started.
    Crash,
    /// Time passes.
    Wait(i64),
    Cancel,
    Reject,
    Approve(u8),
    Allow,
    Settle(Verdict),
    /// The database is set back by so many events, and that is found out.
    SetBack(usize),
    /// Somebody records an event that may be nonsense.
    Any(RunEvent),
}

fn person(name: &str) -> PersonId {
    PersonId::parse(name).unwrap()
}

fn results() -> impl Strategy<Value = StepResult> {
    let why = String::new;
    prop_oneof![
        4 => Just(StepResult::Succeeded { note: why() }),
        2 => Just(StepResult::Failed { why: why() }),
        1 => Just(StepResult::Rejected { why: why() }),
        2 => Just(StepResult::Unknown { why: why() }),
        1 => Just(StepResult::Stopped),
    ]
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop::sample::select(vec![Verdict::Happened, Verdict::DidNot, Verdict::Again])
}

fn events() -> impl Strategy<Value = RunEvent> {
    let step = || StepName::parse("step").unwrap();
    let outcomes = prop::sample::select(vec![
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::Cancelled,
        Outcome::Expired,
        Outcome::NeedsAttention,
    ]);
    let effects = prop::sample::select(vec![Effect::Read, Effect::Once]);
    prop_oneof![
        (0_usize..5, 0_u32..4).prop_map(move |(position, attempt)| RunEvent::StepStarted {
            position,
            step: step(),
            attempt
        }),
        (0_usize..5, 0_u32..4, results()).prop_map(move |(position, attempt, result)| {
            RunEvent::StepEnded {
                position,
                step: step(),
                attempt,
                result,
                elapsed_ms: 1,
                output_sha256: None,
            }
        }),
        (0_usize..5, 0_u32..4, effects).prop_map(move |(position, attempt, effect)| {
            RunEvent::StepInterrupted {
                position,
                step: step(),
                attempt,
                effect,
            }
        }),
        outcomes.prop_map(|outcome| RunEvent::Finished {
            outcome,
            elapsed_ms: 1
        }),
    ]
}

/// What can happen in service: everything but nonsense.
fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => Just(Move::Tick),
        6 => results().prop_map(Move::End),
        2 => Just(Move::Crash),
        3 => (0_i64..120_000).prop_map(Move::Wait),
        1 => Just(Move::Cancel),
        1 => Just(Move::Reject),
        2 => (0_u8..3).prop_map(Move::Approve),
        2 => Just(Move::Allow),
        2 => verdicts().prop_map(Move::Settle),
        1 => (0_usize..6).prop_map(Move::SetBack),
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    let effects = prop::sample::select(vec![
        Effect::Read,
        Effect::Idempotent,
        Effect::Keyed,
        Effect::Checked,
        Effect::Once,
    ]);
    let steps = prop::collection::vec((effects, 1_u32..4), 1..5);
    steps.prop_map(|steps| Plan {
        revision: Revision::default(),
        risk: Risk::Low,
        undo: None,
        check: None,
        steps: steps.into_iter().enumerate().map(planned).collect(),
    })
}

fn planned((position, (effect, attempts)): (usize, (Effect, u32))) -> PlannedStep {
    let action = || {
        Action::Run(RunAction {
            argv: Vec::new(),
            directory: None,
            environment: BTreeMap::new(),
            pass: Vec::new(),
        })
    };
    PlannedStep {
        name: StepName::parse(&format!("step-{position}")).unwrap(),
        action: action(),
        verify: matches!(effect, Effect::Checked).then(action),
        effect,
        timeout_ms: 1_000,
        // The catalog allows more than one attempt only where the effect permits it.
        attempts: if effect.may_repeat() { attempts } else { 1 },
        hosts: Vec::new(),
    }
}

/// A run as it comes into being: waiting for consent, or queued.
fn begun(plan: &Plan, waits: bool) -> Run {
    let id = RunId::of_inbound(&InboundKey::new(&["test"]));
    let phase = if waits {
        Phase::AwaitingApproval {
            terms: ApprovalTerms {
                approvals: 1,
                of: vec![Who::Everyone],
                within: std::time::Duration::from_mins(1),
                and: Vec::new(),
            },
            until: BEGIN + SignedDuration::from_secs(60),
            approvers: Vec::new(),
            asked: Vec::new(),
            proposal: None,
        }
    } else {
        Phase::Queued { since: BEGIN }
    };
    Run {
        id,
        reference: id.reference(4),
        invocation: Invocation {
            command: CommandName::parse("test").unwrap(),
            project: ProjectName::parse("shop").unwrap(),
            environment: None,
            arguments: BTreeMap::new(),
            again: false,
            reason: None,
            glass: false,
        },
        requester: Identity::Person(person("bo")),
        rule: RuleRef {
            at: FileLine {
                file: "runbooks/shop.yaml".to_owned(),
                line: 1,
            },
            revision: Revision::default(),
        },
        place: Place {
            platform: Platform::Console,
            space: String::new(),
            channel: "console".to_owned(),
            thread: None,
        },
        mirrors: Vec::new(),
        followers: Vec::new(),
        glass: None,
        phase,
        plan: (!waits).then(|| plan.clone()),
        steps: if waits {
            Vec::new()
        } else {
            vec![StepState::Pending; plan.steps.len()]
        },
        cancelled_by: None,
        doubted_at: None,
        created_at: BEGIN,
        started_at: None,
        finished_at: None,
    }
}

/// A run with a worker, and everything that happened to it.
struct World {
    run: Run,
    plan: Plan,
    now: Timestamp,
    /// The step and attempt that a living worker is doing.
    doing: Option<(usize, u32)>,
    /// Also what the database lost.
    happened: Vec<RunEvent>,
    /// The states before each of them.
    earlier: Vec<Run>,
}

impl World {
    fn new(plan: Plan, waits: bool) -> Self {
        Self {
            run: begun(&plan, waits),
            plan,
            now: BEGIN,
            doing: None,
            happened: Vec::new(),
            earlier: Vec::new(),
        }
    }

    /// Records the event if it fits. A finished run is left by a settlement alone.
    fn record(&mut self, event: RunEvent) {
        let before = self.run.clone();
        let after = apply(&self.run, &event, self.now);
        assert_eq!(self.run, before, "`apply` leaves the given run as it is");
        let Ok(after) = after else { return };
        if matches!(before.phase, Phase::Finished(_)) {
            assert_eq!(before.outcome(), Some(Outcome::NeedsAttention));
            assert!(
                matches!(event, RunEvent::Settled { .. } | RunEvent::Doubted),
                "{event:?}"
            );
        }
        self.earlier.push(before);
        self.run = after;
        self.happened.push(event);
    }

    fn take(&mut self, step: Move) {
        match step {
            Move::Tick => self.tick(StepResult::Unknown { why: String::new() }),
            Move::End(result) => self.end(result),
            Move::Crash => self.doing = None,
            Move::Wait(ms) => self.now += SignedDuration::from_millis(ms),
            Move::Cancel => self.record(RunEvent::CancelRequested { by: person("bo") }),
            Move::Reject => self.record(RunEvent::Rejected {
                by: person("ana"),
                reason: String::new(),
            }),
            Move::Approve(n) => self.record(RunEvent::Approved {
                by: person(&format!("p{n}")),
                capacity: None,
                confirmed: false,
            }),
            Move::Allow => self.record(RunEvent::Allowed {
                plan: Box::new(self.plan.clone()),
            }),
            Move::Settle(verdict) => self.record(RunEvent::Settled {
                by: person("ana"),
                verdict,
            }),
            Move::SetBack(events) => {
                if let Some(earlier) = self.earlier.iter().rev().nth(events) {
                    self.run = earlier.clone();
                    self.doing = None;
                }
                self.record(RunEvent::Doubted);
            }
            Move::Any(event) => self.record(event),
        }
    }

    /// Does what is due, as a worker does; `verified` is what a `verify` action answers.
    fn tick(&mut self, verified: StepResult) {
        if self.doing.is_some() {
            return;
        }
        match next(&self.run, self.now) {
            Due::Nothing | Due::Wait(_) => {}
            Due::Start { position, attempt } => {
                let step = self.name(position);
                self.record(RunEvent::StepStarted {
                    position,
                    step,
                    attempt,
                });
                self.doing = Some((position, attempt));
            }
            Due::Interrupt { position, attempt } => self.record(RunEvent::StepInterrupted {
                position,
                step: self.name(position),
                attempt,
                effect: self.plan.steps[position].effect,
            }),
            Due::Verify { position, attempt } => {
                assert_eq!(self.plan.steps[position].effect, Effect::Checked);
                self.doing = Some((position, attempt));
                self.end(verified);
            }
            Due::Finish(outcome) => self.record(RunEvent::Finished {
                outcome,
                elapsed_ms: 1,
            }),
        }
    }

    fn end(&mut self, result: StepResult) {
        let Some((position, attempt)) = self.doing.take() else {
            return;
        };
        self.record(RunEvent::StepEnded {
            position,
            step: self.name(position),
            attempt,
            result,
            elapsed_ms: 1,
            output_sha256: None,
        });
    }

    fn name(&self, position: usize) -> StepName {
        self.plan.steps[position].name.clone()
    }

    /// Drives the run to its end as service does, with a worker whose steps end so. Answers how many ticks it took.
    fn finish(&mut self, result: &StepResult) -> usize {
        self.doing = None;
        for ticks in 0..200 {
            if matches!(self.run.phase, Phase::Finished(_)) {
                return ticks;
            }
            if let Due::Wait(until) = next(&self.run, self.now) {
                assert!(until > self.now, "waiting for what has passed");
                self.now = until;
            }
            self.tick(result.clone());
            self.end(result.clone());
        }
        panic!("not finished after 200 ticks: {:?}", self.run);
    }

    /// Of each `once` step: never started again, unless a person said so in between.
    fn assert_once(&self) {
        for (position, step) in self.plan.steps.iter().enumerate() {
            if step.effect != Effect::Once {
                continue;
            }
            let mut started = false;
            for event in &self.happened {
                match event {
                    RunEvent::StepStarted { position: at, .. } if *at == position => {
                        assert!(!started, "{} was started twice", step.name);
                        started = true;
                    }
                    RunEvent::Settled {
                        verdict: Verdict::Again,
                        ..
                    } => started = false,
                    _ => {}
                }
            }
        }
    }
}

fn succeeded() -> StepResult {
    StepResult::Succeeded {
        note: String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_run_can_always_finish_and_no_once_step_is_done_twice(
        plan in plans(),
        waits in any::<bool>(),
        moves in prop::collection::vec(moves(), 0..40),
        last in results(),
    ) {
        let mut world = World::new(plan, waits);
        for step in moves {
            world.take(step);
            world.assert_once();
        }
        world.finish(&last);
        world.assert_once();
    }

    #[test]
    fn a_run_that_needs_attention_finishes_once_a_person_settles_it(
        plan in plans(),
        moves in prop::collection::vec(moves(), 0..40),
        verdicts in prop::collection::vec(verdicts(), 20),
    ) {
        let mut world = World::new(plan, false);
        for step in moves {
            world.take(step);
        }
        world.finish(&succeeded());
        // Each step can be in doubt once more; a person has an answer for each.
        for verdict in verdicts {
            if world.run.outcome() != Some(Outcome::NeedsAttention) {
                break;
            }
            let before = world.happened.len();
            world.take(Move::Settle(verdict));
            prop_assert!(world.happened.len() > before, "a settlement fits: {:?}", world.run);
            world.finish(&succeeded());
        }
        world.assert_once();
        prop_assert_ne!(world.run.outcome(), Some(Outcome::NeedsAttention));
    }

    #[test]
    fn no_sequence_of_events_leaves_a_state_that_cannot_finish(
        plan in plans(),
        waits in any::<bool>(),
        moves in prop::collection::vec(prop_oneof![moves(), events().prop_map(Move::Any)], 0..40),
    ) {
        let mut world = World::new(plan, waits);
        for step in moves {
            world.take(step);
        }
        world.finish(&succeeded());
    }

    #[test]
    fn success_means_that_every_step_succeeded(
        plan in plans(),
        moves in prop::collection::vec(moves(), 0..40),
        last in results(),
    ) {
        let mut world = World::new(plan, false);
        for step in moves {
            world.take(step);
        }
        world.finish(&last);
        let all_done = world.run.steps_done() == world.plan.steps.len();
        prop_assert_eq!(world.run.outcome() == Some(Outcome::Succeeded), all_done, "{:?}", world.run);
    }

    #[test]
    fn a_cancelled_run_starts_nothing_new(
        plan in plans(),
        waits in any::<bool>(),
        moves in prop::collection::vec(moves(), 0..40),
    ) {
        let mut world = World::new(plan, waits);
        for step in moves {
            let cancelled = world.run.cancelled_by.is_some();
            let before = world.happened.len();
            world.take(step);
            let started = world.happened[before..]
                .iter()
                .any(|event| matches!(event, RunEvent::StepStarted { .. }));
            prop_assert!(!(cancelled && started), "{:?}", world.happened);
        }
    }
}

#[test]
fn doing_a_once_step_again_takes_a_person() {
    let plan = Plan {
        revision: Revision::default(),
        risk: Risk::High,
        undo: None,
        check: None,
        steps: vec![planned((0, (Effect::Once, 1)))],
    };
    let mut world = World::new(plan, false);
    for step in [Move::Tick, Move::Crash, Move::Tick, Move::Tick, Move::Tick] {
        world.take(step);
    }
    assert_eq!(world.run.outcome(), Some(Outcome::NeedsAttention));
    assert_eq!(world.run.unsettled_step(), Some(0));
    world.take(Move::Settle(Verdict::Again));
    world.finish(&succeeded());
    assert_eq!(world.run.outcome(), Some(Outcome::Succeeded));
}
