//! `decide` against an oracle that shares no code with it: written naively from docs/files.md, on random runbooks.
//!
//! Each catalog is written as files and read by the real reader. The oracle knows only what was written into them.

pub(crate) mod may;
mod oracle;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use midwatch::catalog::{Folders, load};
use midwatch::domain::{
    Actor, Begun, Catalog, Decision, Denial, Facts, Hearing, Hold, LATE_AFTER, OtherRun, Outcome,
    PersonLock, Place, Platform, RuleRef, Typed, decide, parse, render,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use self::oracle::{Asked, Says};
use self::written::{PERSONS, Written};
use super::{Found, Round};

/// Questions for each catalog.
const QUESTIONS: u32 = 400;

/// The proof: a round is one question.
pub(crate) fn prove(round: Round) -> Found {
    let mut random = StdRng::seed_from_u64(round.seed);
    let mut seen: BTreeMap<&'static str, u32> = BTreeMap::new();
    let (mut asked, mut catalogs) = (0, 0);
    while asked < round.rounds {
        let written = Written::random(&mut random);
        let Some(catalog) = read(&written) else {
            continue;
        };
        catalogs += 1;
        for _ in 0..QUESTIONS.min(round.rounds - asked) {
            asked += 1;
            let word = compare(&written, &catalog, &mut random, round.seed, asked);
            *seen.entry(word).or_default() += 1;
        }
    }
    let kinds: BTreeSet<&str> = seen.keys().copied().collect();
    if round.rounds >= 20_000 {
        for kind in oracle::KINDS {
            assert!(kinds.contains(kind), "no question ended `{kind}`: {seen:?}");
        }
    }
    Found::Held(format!(
        "{asked} questions to {catalogs} catalogs: {seen:?}"
    ))
}

/// `None`: the reader found a mistake in it, such as a rule about a command that nothing can match.
fn read(written: &Written) -> Option<Catalog> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in written.files() {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let folders = Folders {
        commands: folder.path().join("commands"),
        runbooks: folder.path().join("runbooks"),
    };
    let loaded = load(&folders, &BTreeMap::new());
    (!loaded.has_errors()).then_some(loaded.catalog)
}

fn compare(
    written: &Written,
    catalog: &Catalog,
    random: &mut StdRng,
    seed: u64,
    nth: u32,
) -> &'static str {
    let asked = written.question(random);
    let hearing = Hearing {
        catalog,
        channel: "C1",
    };
    let Ok(Typed::Invoke(mut invocation)) = parse(&asked.text, &hearing) else {
        panic!(
            "seed {seed}, question {nth}: `{}` is not understood",
            asked.text
        );
    };
    invocation.glass = asked.glass;
    let actor: Actor = catalog.people.actor(&asked.person.parse().expect("a name"));
    let facts = facts(&asked);
    let decision = decide(&invocation, &actor, catalog, &facts, asked.now);
    let expected = oracle::says(written, &asked);
    let found = in_words(&decision);
    assert!(
        found == expected,
        "seed {seed}, question {nth}: the oracle says {expected:?}, decide says {found:?}\n{asked:#?}\n{}",
        written.runbook()
    );
    if let Decision::Deny { denial, rule } = &decision {
        routes(denial, rule.as_ref(), &invocation, &decision, asked.now);
    }
    expected.kind
}

/// Every denial names rule and line, who may or whom to ask, and what to do next.
fn routes(
    denial: &Denial,
    rule: Option<&RuleRef>,
    invocation: &midwatch::domain::Invocation,
    decision: &Decision,
    now: Timestamp,
) {
    let rule = rule.expect("the project is there");
    assert!(rule.at.line > 0 && !rule.revision.0.is_empty());
    let contact = match denial {
        Denial::NoRule { contact, .. }
        | Denial::Never { contact, .. }
        | Denial::BreakGlass { contact, .. } => contact,
        Denial::Gone => panic!("the command is there"),
    };
    let message = render::not_run(invocation, decision, now);
    let text = serde_json::to_string(&message).expect("a message");
    assert!(text.contains(&format!("next: {contact}")), "{text}");
    assert!(text.contains(&rule.at.to_string()), "{text}");
}

fn facts(asked: &Asked) -> Facts {
    let other = || OtherRun {
        reference: midwatch::domain::Reference::parse("7f3k").expect("a reference"),
        requester: midwatch::domain::Identity::Stranger,
        created_at: asked.now,
        finished_at: Some(asked.now),
        outcome: Some(Outcome::Succeeded),
        reason: None,
        thread: None,
    };
    Facts {
        age: if asked.late {
            LATE_AFTER + Duration::from_millis(1)
        } else {
            LATE_AFTER
        },
        lost: false,
        running: asked.running.then(other),
        locked: asked.locked_by.map(|by| PersonLock {
            target: midwatch::domain::LockTarget {
                project: "shop".parse().expect("a name"),
                environment: None,
            },
            by: by.parse().expect("a name"),
            reason: "moving".to_owned(),
            since: asked.now,
            until: Timestamp::MAX,
            place: Place {
                platform: Platform::Slack,
                space: String::new(),
                channel: "C1".to_owned(),
                thread: None,
            },
        }),
        just_done: asked.just_done.then(other),
        begun: asked
            .begun
            .iter()
            .map(|(by, seconds)| Begun {
                by: by.parse().expect("a name"),
                at: asked.now - jiff::SignedDuration::from_secs(*seconds),
            })
            .collect(),
        glass_today: asked.glass_today,
        approvers: asked
            .approvers
            .iter()
            .map(|it| it.parse().expect("a name"))
            .collect(),
    }
}

fn in_words(decision: &Decision) -> Says {
    let line = |rule: &RuleRef| rule.at.line;
    match decision {
        Decision::Allow {
            rule, glass: None, ..
        } => Says::new("allow", line(rule)),
        Decision::Allow {
            rule,
            glass: Some(_),
            ..
        } => Says::new("by glass", line(rule)),
        Decision::RequireApproval { rule, .. } => Says::new("approval", line(rule)),
        Decision::Hold { hold, rule } => {
            let kind = match hold {
                Hold::Late { .. } => "late",
                Hold::Frozen { .. } => "frozen",
                Hold::TooMany { .. } => "too many",
                Hold::Locked { .. } => "locked",
                Hold::Running { .. } => "running",
                Hold::JustDone { .. } => "just done",
            };
            Says::new(kind, line(rule))
        }
        Decision::Deny { denial, rule } => {
            let kind = match denial {
                Denial::NoRule { .. } => "denied",
                Denial::Never { .. } => "never",
                Denial::BreakGlass { used_up: None, .. } => "glass only",
                Denial::BreakGlass {
                    used_up: Some(_), ..
                } => "glass used up",
                Denial::Gone => "gone",
            };
            Says::new(kind, rule.as_ref().map_or(0, line))
        }
    }
}

/// A random person.
fn person(random: &mut StdRng) -> &'static str {
    PERSONS.choose(random).expect("there are some")
}

/// Some of these, at least one.
fn some<T: Copy>(random: &mut StdRng, all: &[T]) -> Vec<T> {
    let count = random.random_range(1..=all.len().min(3));
    all.choose_multiple(random, count).copied().collect()
}
