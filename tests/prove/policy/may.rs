//! `may` and the real thing: what somebody is told who asks, against what is decided when they type it at that moment.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use midwatch::clock::Clock;
use midwatch::dispatch::Dispatch;
use midwatch::domain::{Decided, Fact, Inbound, Outcome, RuleRef, RunEvent, StepResult};
use midwatch::store::{Conclusion, WorkerId};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::super::{Found, Round, office};
use super::written::{PERSONS, Written};
use super::{QUESTIONS, read};

/// What `may` says first of each outcome; a hold is named by its stable word.
const WORDS: [(&str, &str); 10] = [
    ("allow", " is allowed by "),
    ("approval", "approval"),
    ("denied", "is not yours to run"),
    ("denied", "is forbidden here"),
    ("denied", "by break-glass only"),
    ("frozen", "changes are frozen"),
    ("too_many", "changes were begun here within a minute"),
    ("locked", "is locked; nothing was done"),
    ("running", "it is running already"),
    ("just_done", "someone just did it"),
];

/// The proof: a round is one question.
pub(crate) fn prove(round: Round) -> Found {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    Found::Held(runtime.block_on(all(round)))
}

async fn all(round: Round) -> String {
    let mut random = StdRng::seed_from_u64(round.seed);
    let clock = Clock::steered("2026-01-14T03:00:00Z".parse().expect("a moment"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("facts.db").display());
    let first = read(&Written::random(&mut random)).unwrap_or_default();
    let office = office::open(&url, &folder.path().join("data"), first, &clock).await;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let (mut asked, mut began) = (0, 0);
    while asked < round.rounds {
        let written = Written::random(&mut random);
        let Some(catalog) = read(&written) else {
            continue;
        };
        office.catalog.store(std::sync::Arc::new(catalog));
        for _ in 0..QUESTIONS.min(round.rounds - asked) {
            asked += 1;
            let question = Question {
                office: &office,
                written: &written,
                nth: asked,
            };
            let compared = question.compare(&mut random).await;
            let (word, typed, conclusion) = compared.unwrap_or_else(|why| {
                panic!(
                    "seed {}, question {asked}: {why}\n{}",
                    round.seed,
                    written.runbook()
                )
            });
            // Some are not only asked about: what was done, and what is going on, matters to those that follow.
            if word == "allow" && random.random_bool(0.5) {
                began += 1;
                conclude(&office, typed, conclusion).await;
            }
            *seen.entry(word).or_default() += 1;
            if random.random_bool(0.3) {
                end_one(&office).await;
            }
            let pause = *[0, 1, 20, 400, 86_000].choose(&mut random).expect("some");
            clock.set(clock.now() + SignedDuration::from_secs(pause));
        }
        // The next runbook finds nothing that goes on.
        while end_one(&office).await {}
        clock.set(clock.now() + SignedDuration::from_hours(1));
    }
    let kinds = [
        "allow",
        "approval",
        "denied",
        "frozen",
        "just_done",
        "locked",
        "running",
        "too_many",
    ];
    if round.rounds >= 20_000 {
        for kind in kinds {
            assert!(
                seen.contains_key(kind),
                "no question ended `{kind}`: {seen:?}"
            );
        }
    }
    format!("{asked} questions, {began} runs begun: {seen:?}")
}

struct Question<'a> {
    office: &'a Dispatch,
    written: &'a Written,
    nth: u32,
}

impl Question<'_> {
    /// Asks, then types it: the word of what both say.
    async fn compare(&self, random: &mut StdRng) -> Result<(String, Inbound, Conclusion), String> {
        let question = self.written.question(random);
        let asker = *PERSONS.choose(random).expect("some");
        let person = question.person;
        let text = &question.text;
        let now = self.office.clock.now();
        if random.random_bool(0.02) {
            self.office.tend_once().await.expect("what is due is done");
            let lock = self.said("lock", person, "lock left 5m moving it");
            let walked = self.walk(&lock, now).await;
            conclude(self.office, lock, walked).await;
        }
        let may = if asker == person {
            format!("may {text}")
        } else {
            format!("may @{person} {text}")
        };
        let told = self.walk(&self.said("may", asker, &may), now).await;
        let typed = self.said("typed", person, text);
        let real = self.walk(&typed, now).await;
        let (word, rule) = decided(&real)?;
        let told = serde_json::to_string(&told.postings).expect("postings");
        let says = |kind: &str, words: &str| kind == word && told.contains(words);
        let agreed = WORDS.iter().any(|(kind, words)| says(kind, words));
        let rule = rule.map(|rule| rule.at.to_string());
        let names_rule = rule.as_ref().is_none_or(|rule| told.contains(rule));
        if agreed && names_rule {
            return Ok((word, typed, real));
        }
        Err(format!(
            "{asker} asked `{may}`, {person} typed it: it is `{word}` by {rule:?}, and was told: {told}"
        ))
    }

    fn said(&self, which: &str, who: &str, text: &str) -> Inbound {
        let key = format!("{}/{which}", self.nth);
        office::said(&key, who, text, self.office.clock.now())
    }

    async fn walk(&self, inbound: &Inbound, now: Timestamp) -> Conclusion {
        self.office.walk(inbound, now).await.expect("it answers")
    }
}

fn decided(real: &Conclusion) -> Result<(String, Option<&RuleRef>), String> {
    if let Fact::Refused { refusal, .. } = &real.fact
        && refusal == "missing"
    {
        // `--again` without a reason: it is held, and asks for one.
        return Ok(("just_done".to_owned(), None));
    }
    let Fact::Decided { decision, rule, .. } = &real.fact else {
        return Err(format!("it was not decided: {:?}", real.fact));
    };
    let word = match decision {
        Decided::Allow => "allow",
        Decided::RequireApproval(_) => "approval",
        Decided::Hold(word) => word,
        Decided::Deny(_) => "denied",
    };
    Ok((word.to_owned(), rule.as_ref()))
}

async fn conclude(office: &Dispatch, inbound: Inbound, conclusion: Conclusion) {
    let received = office.store.receive(inbound).await;
    received.expect("it is recorded");
    let done = office.store.conclude(conclusion, office.clock.now()).await;
    done.expect("it is concluded");
}

/// The oldest run that waits for its work is done; whether there was one.
async fn end_one(office: &Dispatch) -> bool {
    let store = &office.store;
    let worker = WorkerId(format!("{}/worker", store.home()));
    let now = office.clock.now();
    let claimed = store
        .claim_run(&worker, &[], now, Duration::from_mins(1))
        .await;
    let Some((lease, run)) = claimed.expect("it answers") else {
        return false;
    };
    let step = run.plan.as_ref().expect("a plan").steps[0].name.clone();
    let started = RunEvent::StepStarted {
        position: 0,
        step: step.clone(),
        attempt: 1,
    };
    let result = StepResult::Succeeded {
        note: String::new(),
    };
    let ended = RunEvent::StepEnded {
        position: 0,
        step,
        attempt: 1,
        result,
        elapsed_ms: 1,
        output_sha256: None,
    };
    let finished = RunEvent::Finished {
        outcome: Outcome::Succeeded,
        elapsed_ms: 1,
    };
    let silent = Box::new(|_: &_, _: Option<&str>| Vec::new());
    let recorded = store
        .record_run(&lease, vec![started, ended, finished], silent, now)
        .await;
    recorded.expect("it is recorded");
    true
}
