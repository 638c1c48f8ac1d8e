//! Two callers at the same moment: two persons, one person twice, one message that comes twice, at two replicas. There is one
//! run, and whoever is not first is told all about it.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use midwatch::clock::Clock;
use midwatch::dispatch::Dispatch;
use midwatch::domain::{
    Block, Inbound, Outcome, Posting, PostingKind, RunEvent, RunId, Span, StepResult,
};
use midwatch::store::{Receipt, WorkerId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Found, Round, office};
use crate::cluster::Cluster;

const FILES: [(&str, &str); 3] = [
    (
        "runbooks/people.yaml",
        "people:\n  ana: { name: Ana, slack: U0ANA }\n  bo: { name: Bo, slack: U0BO }\ngroups: { all: [ana, bo] }\n",
    ),
    (
        "runbooks/shop.yaml",
        "project: shop\nabout: The shop.\nowner: all\nchannels: [C1]\nrules:\n  - { may: flush, who: all }\n  - otherwise: ask\n",
    ),
    (
        "commands/flush.yaml",
        "command: flush\ndoes: Empties it.\nundo: none\nfresh: 10m\none_at_a_time: arguments\nparameters:\n  \
         path: { type: text }\nsteps: [{ name: x, run: [uptime], effect: idempotent }]\n",
    ),
];

/// The proof: a round is one race.
pub(crate) fn prove(round: Round) -> Found {
    let Some(cluster) = Cluster::start_new() else {
        return Found::Missing("PostgreSQL is not installed".to_owned());
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    Found::Held(runtime.block_on(races(round, &cluster)))
}

async fn races(round: Round, cluster: &Cluster) -> String {
    let mut random = StdRng::seed_from_u64(round.seed);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = FILES.map(|(name, text)| (name, text.to_owned()));
    let catalog = office::catalog(folder.path(), &files);
    let clock = Clock::steered("2026-01-14T03:00:00Z".parse().expect("a moment"));
    let url = cluster.database().await;
    let data = ["one", "two"].map(|name| folder.path().join(name));
    let one = office::open(&url, &data[0], catalog.clone(), &clock).await;
    // Replicas sign with the same key.
    std::fs::create_dir_all(&data[1]).expect("a folder");
    std::fs::copy(data[0].join("ledger.key"), data[1].join("ledger.key")).expect("a key");
    let two = office::open(&url, &data[1], catalog, &clock).await;
    let mut seen: BTreeMap<&'static str, u32> = BTreeMap::new();
    for nth in 0..round.rounds {
        let race = Race {
            nth,
            offices: [&one, &two],
            clock: &clock,
        };
        let what = race.run(&mut random).await;
        let what = what.unwrap_or_else(|why| panic!("seed {}, race {nth}: {why}", round.seed));
        *seen.entry(what).or_default() += 1;
    }
    format!("{seen:?}")
}

struct Race<'a> {
    nth: u32,
    offices: [&'a Dispatch; 2],
    clock: &'a Clock,
}

impl Race<'_> {
    async fn run(&self, random: &mut StdRng) -> Result<&'static str, String> {
        self.clock
            .set(self.clock.now() + SignedDuration::from_secs(1));
        let (what, second) = match random.random_range(0..3) {
            0 => ("two persons", "bo"),
            1 => ("one person twice", "ana"),
            _ => ("one message twice", ""),
        };
        let first = self.says("first", "ana");
        if second.is_empty() {
            self.delivered_twice(first).await?;
            return Ok(what);
        }
        let second = self.says("second", second);
        self.both(&first, &second).await?;
        let runs = self.runs(&[&first, &second]).await;
        let [run] = runs.as_slice() else {
            return Err(format!("{} runs of two callers", runs.len()));
        };
        let run = *run;
        let loser = if run == RunId::of_inbound(&first.key) {
            &second
        } else {
            &first
        };
        let told = office::deliver(&self.offices[0].store, self.clock.now()).await;
        facts_in(&told, loser, "ana bo", "running for")?;
        self.succeeds(run).await;
        // And once more, when it is done: both are held, and told how it ended.
        self.clock
            .set(self.clock.now() + SignedDuration::from_secs(30));
        let (third, fourth) = (self.says("third", "ana"), self.says("fourth", "bo"));
        self.both(&third, &fourth).await?;
        if !self.runs(&[&third, &fourth]).await.is_empty() {
            return Err("what was just done was done again".to_owned());
        }
        let told = office::deliver(&self.offices[0].store, self.clock.now()).await;
        for late in [&third, &fourth] {
            facts_in(&told, late, "ana bo", "succeeded in")?;
        }
        Ok(what)
    }

    fn says(&self, which: &str, who: &str) -> Inbound {
        let (key, text) = (
            format!("{}/{which}", self.nth),
            format!("flush /{}", self.nth),
        );
        office::said(&key, who, &text, self.clock.now())
    }

    async fn delivered_twice(&self, inbound: Inbound) -> Result<(), String> {
        let [one, two] = self.offices;
        let (first, again) = tokio::join!(
            one.store.receive(inbound.clone()),
            two.store.receive(inbound.clone())
        );
        let receipts = [first, again].map(|receipt| receipt.expect("it answers"));
        let new = receipts.iter().filter(|it| **it == Receipt::New).count();
        let walked = tokio::join!(one.dispatch_waiting(), two.dispatch_waiting());
        let walked = walked.0.expect("it answers") + walked.1.expect("it answers");
        let runs = self.runs(&[&inbound]).await.len();
        office::deliver(&one.store, self.clock.now()).await;
        if (new, walked, runs) == (1, 1, 1) {
            return Ok(());
        }
        Err(format!(
            "one message: new {new} times, walked {walked} times, {runs} runs"
        ))
    }

    /// One comes in at each replica, and both walk.
    async fn both(&self, first: &Inbound, second: &Inbound) -> Result<(), String> {
        let [one, two] = self.offices;
        for (office, inbound) in [(one, first), (two, second)] {
            office
                .store
                .receive(inbound.clone())
                .await
                .expect("it is recorded");
        }
        let walked = tokio::join!(one.dispatch_waiting(), two.dispatch_waiting());
        match (walked.0, walked.1) {
            (Ok(1), Ok(1)) => Ok(()),
            other => Err(format!("not each walked what came in: {other:?}")),
        }
    }

    async fn runs(&self, of: &[&Inbound]) -> Vec<RunId> {
        let mut runs = Vec::new();
        for inbound in of {
            let id = RunId::of_inbound(&inbound.key);
            let run = self.offices[0].store.run(id).await.expect("it answers");
            runs.extend(run.map(|run| run.id));
        }
        runs
    }

    async fn succeeds(&self, run: RunId) {
        let store = &self.offices[0].store;
        let worker = WorkerId(format!("{}/worker", store.home()));
        let now = self.clock.now();
        loop {
            let claimed = store
                .claim_run(&worker, &[], now, std::time::Duration::from_mins(1))
                .await;
            let (lease, claimed) = claimed.expect("it answers").expect("it waits");
            let step = claimed.plan.as_ref().expect("a plan").steps[0].name.clone();
            let started = RunEvent::StepStarted {
                position: 0,
                step: step.clone(),
                attempt: 1,
            };
            let ended = RunEvent::StepEnded {
                position: 0,
                step,
                attempt: 1,
                result: StepResult::Succeeded {
                    note: String::new(),
                },
                elapsed_ms: 1,
                output_sha256: None,
            };
            let finished = RunEvent::Finished {
                outcome: Outcome::Succeeded,
                elapsed_ms: 1,
            };
            let silent = Box::new(|_: &_, _: Option<&str>| Vec::new());
            let events = vec![started, ended, finished];
            store
                .record_run(&lease, events, silent, now)
                .await
                .expect("it is recorded");
            if claimed.id == run {
                return;
            }
        }
    }
}

/// Whoever was not first is told alone who did it, when, how it stands or ended, how long that takes or took, and where.
fn facts_in(told: &[Posting], loser: &Inbound, persons: &str, state: &str) -> Result<(), String> {
    let to_them = |posting: &&Posting| {
        let alone = matches!(&posting.kind, PostingKind::Whisper { speaker, .. } if *speaker == loser.speaker.id);
        alone && posting.run.is_none()
    };
    let all: Vec<&Posting> = told.iter().filter(to_them).collect();
    let spans = |posting: &&Posting| -> Vec<Span> {
        let fields = posting
            .message
            .blocks
            .iter()
            .filter_map(|block| match block {
                Block::Fields(fields) => fields.iter().find(|field| field.label == "lately"),
                _ => None,
            });
        fields.flat_map(|field| field.value.0.clone()).collect()
    };
    let complete = |posting: &&Posting| {
        let spans = spans(posting);
        let who = spans
            .iter()
            .any(|span| matches!(span, Span::Person(it) if persons.contains(it.as_str())));
        let when = spans.iter().any(|span| matches!(span, Span::Time(_)));
        let stands = spans
            .iter()
            .any(|span| matches!(span, Span::Plain(it) if it.contains(state)));
        let place = spans.iter().any(|span| matches!(span, Span::Thread(_)));
        who && when && stands && place
    };
    if all.iter().any(complete) {
        return Ok(());
    }
    Err(format!(
        "{} is not told all of it (`{state}`): {all:#?}",
        loser.speaker.id
    ))
}
