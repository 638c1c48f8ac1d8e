//! What a manager reads of each outcome.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::summary;
use crate::domain::{
    Action, ApprovalTerms, Block, Decided, Effect, Entry, Fact, FileLine, Identity, InboundKey,
    Invocation, Message, Outcome, PersonId, Phase, Place, Plan, PlannedStep, Platform, Reference,
    Revision, Risk, RuleRef, Run, RunAction, RunEvent, RunId, Span, StepResult, StepState, Text,
    Who, summarize,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn person(name: &str) -> PersonId {
    PersonId::parse(name).unwrap()
}

fn step(name: &str) -> PlannedStep {
    PlannedStep {
        name: name.parse().unwrap(),
        action: Action::Run(RunAction {
            argv: Vec::new(),
            directory: None,
            environment: BTreeMap::new(),
            pass: Vec::new(),
        }),
        verify: None,
        effect: Effect::Once,
        timeout_ms: 1_000,
        attempts: 1,
        hosts: Vec::new(),
    }
}

fn plan() -> Plan {
    Plan {
        revision: Revision("0123456789ab".to_owned()),
        risk: Risk::Medium,
        undo: None,
        check: None,
        steps: vec![step("ban"), step("verify")],
    }
}

fn terms(approvals: u32) -> ApprovalTerms {
    ApprovalTerms {
        approvals,
        of: vec![Who::Group("team-shop".parse().unwrap())],
        within: std::time::Duration::from_secs(900),
        and: Vec::new(),
    }
}

fn done(seconds: i64) -> StepState {
    ended(
        seconds,
        StepResult::Succeeded {
            note: String::new(),
        },
    )
}

fn ended(seconds: i64, result: StepResult) -> StepState {
    StepState::Ended {
        attempt: 1,
        at: at(seconds),
        result,
    }
}

/// A run that bo asked for, and its ledger.
struct Told {
    run: Run,
    history: Vec<Entry>,
}

impl Told {
    fn new(decision: Decided) -> Self {
        let inbound = InboundKey::new(&["slack", "T1", "C1", "1"]);
        let id = RunId::of_inbound(&inbound);
        let rule = RuleRef {
            at: FileLine {
                file: "runbooks/shop.yaml".to_owned(),
                line: 21,
            },
            revision: Revision("0123456789ab".to_owned()),
        };
        let run = Run {
            followers: Vec::new(),
            glass: None,
            id,
            reference: Reference::parse("7f3k").unwrap(),
            invocation: Invocation {
                command: "flush-cache".parse().unwrap(),
                project: "shop".parse().unwrap(),
                environment: Some("prod".parse().unwrap()),
                arguments: BTreeMap::new(),
                again: false,
                glass: false,
                reason: Some("prices were wrong since noon".to_owned()),
            },
            requester: Identity::Person(person("bo")),
            rule: rule.clone(),
            place: Place {
                platform: Platform::Slack,
                space: "T1".to_owned(),
                channel: "C1".to_owned(),
                thread: None,
            },
            mirrors: Vec::new(),
            phase: Phase::Queued { since: at(0) },
            plan: Some(plan()),
            steps: vec![StepState::Pending, StepState::Pending],
            cancelled_by: None,
            doubted_at: None,
            created_at: at(0),
            started_at: None,
            finished_at: None,
        };
        let decided = Fact::Decided {
            inbound,
            actor: run.requester.clone(),
            groups: Vec::new(),
            capacity: None,
            confirmed: false,
            invocation: run.invocation.clone(),
            decision,
            rule: Some(rule),
            run: Some(id),
            reference: Some(run.reference.clone()),
            plan: None,
        };
        let history = vec![Entry {
            sequence: 0,
            at: at(0),
            fact: decided,
        }];
        Self { run, history }
    }

    fn allowed() -> Self {
        Self::new(Decided::Allow)
    }

    fn waiting(approvals: u32) -> Self {
        let mut told = Self::new(Decided::RequireApproval(terms(approvals)));
        told.run.plan = None;
        told.run.steps = Vec::new();
        told.run.phase = Phase::AwaitingApproval {
            proposal: None,
            terms: terms(approvals),
            until: at(900),
            approvers: Vec::new(),
            asked: Vec::new(),
        };
        told
    }

    fn then(mut self, seconds: i64, happened: RunEvent) -> Self {
        let fact = Fact::Run {
            run: self.run.id,
            reference: self.run.reference.clone(),
            happened,
        };
        let sequence = self.history.len() as u64;
        self.history.push(Entry {
            sequence,
            at: at(seconds),
            fact,
        });
        self
    }

    fn approved(mut self, seconds: i64, by: &str) -> Self {
        let by = person(by);
        if let Phase::AwaitingApproval { approvers, .. } = &mut self.run.phase {
            approvers.push(by.clone());
        }
        self.then(
            seconds,
            RunEvent::Approved {
                by,
                capacity: None,
                confirmed: false,
            },
        )
    }

    fn ends(mut self, outcome: Outcome, seconds: i64) -> Self {
        self.run.phase = Phase::Finished(outcome);
        self.run.finished_at = Some(at(seconds));
        self
    }

    fn began(mut self, seconds: i64, steps: [StepState; 2]) -> Self {
        self.run.plan = Some(plan());
        self.run.steps = Vec::from(steps);
        self.run.started_at = Some(at(seconds));
        self
    }

    fn read(&self) -> String {
        let does = Some("Empties the Varnish cache of one environment.");
        let summed = summarize(&self.run, &self.history, does, at(1_000));
        words(&summary(&summed))
    }
}

/// A message as the console shows it, in short.
fn words(message: &Message) -> String {
    let mut told = String::new();
    for block in &message.blocks {
        match block {
            Block::Text(text) => writeln!(told, "{}", plain(text)).unwrap(),
            Block::Fields(fields) => {
                for field in fields {
                    writeln!(told, "  {:<11} {}", field.label, plain(&field.value)).unwrap();
                }
            }
            Block::Buttons(buttons) => {
                for button in buttons {
                    writeln!(told, "  [{}: {}]", button.label, button.says).unwrap();
                }
            }
            Block::Output(_) | Block::Progress { .. } => panic!("a summary has none"),
        }
    }
    told
}

fn plain(text: &Text) -> String {
    let spans = text.0.iter().map(|span| match span {
        Span::Plain(words) | Span::Bold(words) => words.clone(),
        Span::Code(words) => format!("`{words}`"),
        Span::Person(person) | Span::Ping(person) => format!("@{person}"),
        Span::Time(at) => format!("{at:.0}"),
        Span::Thread(thread) => thread.message.clone(),
    });
    spans.collect()
}

fn crashed() -> StepResult {
    StepResult::Failed {
        why: "exit status 1: Traceback (most recent call last)".to_owned(),
    }
}

#[test]
fn every_outcome_is_summed_up_in_plain_words() {
    let pending = || StepState::Pending;
    let unknown = StepState::Interrupted {
        attempt: 1,
        at: at(9),
    };
    let mut no_reason = Told::allowed();
    no_reason.run.invocation.reason = None;
    let mut cancelled = Told::allowed().began(2, [done(4), ended(6, StepResult::Stopped)]);
    cancelled.run.cancelled_by = Some(person("ana"));
    let mut before = Told::allowed();
    before.run.cancelled_by = Some(person("bo"));
    let rejected = RunEvent::Rejected {
        by: person("kim"),
        reason: "wait for the deploy".to_owned(),
    };
    let allowed = || RunEvent::Allowed {
        plan: Box::new(plan()),
    };
    let told = [
        (
            "succeeded",
            Told::allowed()
                .began(2, [done(4), done(6)])
                .ends(Outcome::Succeeded, 6),
        ),
        (
            "succeeded, approved by two",
            Told::waiting(2)
                .approved(60, "ana")
                .approved(200, "kim")
                .then(200, allowed())
                .began(202, [done(204), done(206)])
                .ends(Outcome::Succeeded, 206),
        ),
        (
            "failed",
            Told::allowed()
                .began(2, [done(4), ended(6, crashed())])
                .ends(Outcome::Failed, 6),
        ),
        ("waiting", Told::waiting(2).approved(60, "ana")),
        ("about to start", no_reason),
        (
            "rejected",
            Told::waiting(1)
                .then(300, rejected)
                .ends(Outcome::Cancelled, 300),
        ),
        ("expired", Told::waiting(1).ends(Outcome::Expired, 900)),
        ("not started", Told::allowed().ends(Outcome::Expired, 121)),
        ("cancelled midway", cancelled.ends(Outcome::Cancelled, 7)),
        (
            "cancelled before it began",
            before.ends(Outcome::Cancelled, 1),
        ),
        (
            "needs attention",
            Told::allowed()
                .began(2, [unknown, pending()])
                .ends(Outcome::NeedsAttention, 9),
        ),
    ];
    let told: Vec<String> = told
        .iter()
        .map(|(name, told)| format!("── {name}\n{}", told.read()))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn no_word_of_a_program_is_in_a_summary() {
    let told = Told::allowed()
        .began(2, [done(4), ended(6, crashed())])
        .ends(Outcome::Failed, 6);
    let read = told.read();
    assert!(
        !read.contains("Traceback") && !read.contains("exit"),
        "{read}"
    );
}
