//! The timers of the pure core, asked by clocks that jump: what `next` says is due, and what people are shown.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use midwatch::chat::console::Paint;
use midwatch::domain::{
    ApprovalTerms, Catalog, Decision, Due, Entry, Fact, FileLine, Hearing, Hold, Identity,
    InboundKey, Message, OtherRun, Outcome, Phase, Place, PlanFor, Platform, RuleRef, Run,
    RunEvent, RunId, StepName, StepResult, StepState, Typed, Who, apply, decide, next, parse, plan,
    render,
};
use rand::Rng;
use rand::rngs::StdRng;

use super::readings::{self, later};

/// Readings of each clock.
const READINGS: usize = 12;

/// What the walks begin with.
pub(super) struct Yard {
    catalog: std::sync::Arc<Catalog>,
}

impl Yard {
    pub(super) fn new() -> Self {
        let catalog = crate::sim::yard::catalogs().swap_remove(0);
        Self { catalog }
    }

    /// A run of this command as it begins at that moment.
    fn run(&self, says: &str, at: Timestamp) -> Run {
        let hearing = Hearing {
            catalog: &self.catalog,
            channel: "C1",
        };
        let Ok(Typed::Invoke(invocation)) = parse(says, &hearing) else {
            panic!("`{says}` is a command");
        };
        let actor = self.catalog.people.actor(&"ana".parse().unwrap());
        let facts = midwatch::domain::Facts::default();
        let decision = decide(&invocation, &actor, &self.catalog, &facts, at);
        let id = RunId::of_inbound(&InboundKey::new(&["clock", says]));
        let (reference, requester) = (id.reference(4), Identity::Person("ana".parse().unwrap()));
        let mut run = Run {
            id,
            reference,
            invocation,
            requester,
            rule: RuleRef {
                at: FileLine {
                    file: "runbooks/yard.yaml".to_owned(),
                    line: 1,
                },
                revision: self.catalog.revision.clone(),
            },
            place: Place {
                platform: Platform::Slack,
                space: "T1".to_owned(),
                channel: "C1".to_owned(),
                thread: None,
            },
            mirrors: Vec::new(),
            followers: Vec::new(),
            glass: None,
            phase: Phase::Queued { since: at },
            plan: None,
            steps: Vec::new(),
            cancelled_by: None,
            doubted_at: None,
            created_at: at,
            started_at: None,
            finished_at: None,
        };
        if let Decision::Allow { permit, .. } = decision {
            let of = PlanFor {
                run: run.id,
                reference: &run.reference,
                requester: &run.requester,
            };
            let plan = plan(permit, &self.catalog, of).expect("it fits the catalog");
            run.steps = vec![StepState::Pending; plan.steps.len()];
            run.plan = Some(plan);
        }
        run
    }
}

/// One walk of the clock for each timer. Answers how many questions were asked.
pub(super) fn walk(yard: &Yard, random: &mut StdRng) -> usize {
    consent(yard, random) + start(yard, random) + retry(yard, random)
}

/// Consent that runs out: never before its moment, and at any time from it on.
fn consent(yard: &Yard, random: &mut StdRng) -> usize {
    let began = readings::moment(random);
    let within = SignedDuration::from_secs(random.random_range(1..400 * 86_400));
    let until = later(began, within);
    let mut run = yard.run("look here", began);
    (run.plan, run.steps) = (None, Vec::new());
    run.phase = Phase::AwaitingApproval {
        terms: ApprovalTerms {
            approvals: 1,
            of: vec![Who::Everyone],
            within: Duration::try_from(within).expect("it is positive"),
            and: Vec::new(),
        },
        until,
        approvers: Vec::new(),
        asked: Vec::new(),
        proposal: None,
    };
    each_reading(random, began, until, |now| {
        let expected = if now >= until {
            Due::Finish(Outcome::Expired)
        } else {
            Due::Wait(until)
        };
        assert_eq!(
            next(&run, now),
            expected,
            "consent until {until}, asked at {now}"
        );
        told(yard, &run, now);
    })
}

/// A run that was allowed: begun within two minutes or, unless it only reads, not at all.
fn start(yard: &Yard, random: &mut StdRng) -> usize {
    let since = readings::moment(random);
    let reads = random.random_bool(0.3);
    let run = yard.run(if reads { "look here" } else { "ring here" }, since);
    let edge = later(since, SignedDuration::from_secs(120));
    each_reading(random, since, edge, |now| {
        let waited = i128::from(now.as_millisecond()) - i128::from(since.as_millisecond());
        let expected = if waited > 120_000 && !reads {
            Due::Finish(Outcome::Expired)
        } else {
            Due::Start {
                position: 0,
                attempt: 1,
            }
        };
        assert_eq!(
            next(&run, now),
            expected,
            "allowed at {since}, asked at {now}"
        );
        told(yard, &run, now);
    })
}

/// The pause before another attempt: one moment, the same whenever it is asked for, not before and not far after.
fn retry(yard: &Yard, random: &mut StdRng) -> usize {
    let began = readings::moment(random);
    let ended = readings::next(random, began, began);
    let failed = random.random_range(1..10);
    let mut run = yard.run("tidy here", began);
    let plan = run.plan.as_mut().expect("it is allowed");
    plan.steps[0].attempts = 10;
    let (step, attempt) = (plan.steps[0].name.clone(), failed);
    let events = [started(&step, attempt), ended_badly(&step, attempt)];
    let run = events.iter().fold(run, |run, event| {
        apply(&run, event, ended).expect("it fits")
    });
    let base = 1_000_i64 << (failed - 1).min(6);
    let base = base.min(60_000);
    let earliest = later(ended, SignedDuration::from_millis(base));
    let latest = later(ended, SignedDuration::from_millis(base + base / 2));
    let Due::Wait(moment) = next(&run, Timestamp::MIN) else {
        panic!("a long time before, an attempt that ended at {ended} is not tried again");
    };
    assert!(
        (earliest..=latest).contains(&later(moment, SignedDuration::ZERO)),
        "attempt {failed} ended at {ended}, and the next is at {moment}"
    );
    each_reading(random, ended, moment, |now| {
        let expected = if now >= moment {
            Due::Start {
                position: 0,
                attempt: failed + 1,
            }
        } else {
            Due::Wait(moment)
        };
        assert_eq!(
            next(&run, now),
            expected,
            "a pause until {moment}, asked at {now}"
        );
        told(yard, &run, now);
    })
}

fn each_reading(
    random: &mut StdRng,
    began: Timestamp,
    matters: Timestamp,
    mut ask: impl FnMut(Timestamp),
) -> usize {
    let mut now = began;
    for _ in 0..READINGS {
        ask(now);
        now = readings::next(random, now, matters);
    }
    READINGS
}

fn started(step: &StepName, attempt: u32) -> RunEvent {
    RunEvent::StepStarted {
        position: 0,
        step: step.clone(),
        attempt,
    }
}

fn ended_badly(step: &StepName, attempt: u32) -> RunEvent {
    RunEvent::StepEnded {
        position: 0,
        step: step.clone(),
        attempt,
        result: StepResult::Failed {
            why: "broken".to_owned(),
        },
        elapsed_ms: 1,
        output_sha256: None,
    }
}

/// Everything that people are shown of a run at that moment: it can be said, and no span of time is below zero.
fn told(yard: &Yard, run: &Run, now: Timestamp) {
    let entry = Entry {
        sequence: 1,
        at: now,
        fact: Fact::Run {
            run: run.id,
            reference: run.reference.clone(),
            happened: RunEvent::CancelRequested {
                by: "ana".parse().unwrap(),
            },
        },
    };
    let other = OtherRun {
        reference: run.reference.clone(),
        requester: run.requester.clone(),
        created_at: run.created_at,
        finished_at: run.finished_at,
        outcome: run.outcome(),
        reason: None,
        thread: None,
    };
    let held = Decision::Hold {
        hold: Hold::Running { other },
        rule: run.rule.clone(),
    };
    let messages = [
        render::root(run, now, None),
        render::last_line(run, now, None),
        render::runs(std::slice::from_ref(run), now),
        render::show(run, std::slice::from_ref(&entry), now),
        render::why(run, std::slice::from_ref(&entry), now),
        render::not_run(&run.invocation, &held, now),
    ];
    for message in &messages {
        no_time_below_zero(yard, message, now);
    }
}

fn no_time_below_zero(yard: &Yard, message: &Message, now: Timestamp) {
    let paint = Paint {
        colour: false,
        people: &yard.catalog.people,
        now,
        columns: None,
    };
    let text = paint.message(message);
    // A date before our era begins with a minus, too, and it is followed by six digits and a minus.
    let below = text
        .split_whitespace()
        .map(|word| word.trim_start_matches('('))
        .find(|word| {
            let number = word.strip_prefix('-').unwrap_or_default();
            number.starts_with(|c: char| c.is_ascii_digit()) && !number.contains('-')
        });
    assert_eq!(below, None, "at {now} people read: {text}");
}
