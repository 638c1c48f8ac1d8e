//! Random sequences of asking, approving, taking back, changing files, restarting and waiting: nothing starts without a valid
//! set of consents to exactly what is done.
//!
//! The book below is kept naively, from what was said and shown; it knows neither phases nor digests of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use midwatch::clock::Clock;
use midwatch::dispatch::Dispatch;
use midwatch::domain::{Catalog, Phase, Proposal, Run, RunId};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::{Found, Round, office};

const PERSONS: [&str; 5] = ["ana", "bo", "cy", "dana", "eve"];
const WITHIN: Duration = Duration::from_mins(30);
/// Steps of one sequence, at most.
const STEPS: u32 = 14;
/// Sequences on one database: then it is thrown away.
const ON_ONE: u32 = 50;

/// What is written in the files, as far as consent is about it. Each variant is another text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Variant {
    command: u32,
    runbook: u32,
}

/// The proof: a round is one sequence.
pub(crate) fn prove(round: Round) -> Found {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut random = StdRng::seed_from_u64(round.seed);
    let mut seen: BTreeMap<&'static str, u32> = BTreeMap::new();
    runtime.block_on(async {
        let mut done = 0;
        while done < round.rounds {
            let mut house = House::open().await;
            for _ in 0..ON_ONE.min(round.rounds - done) {
                done += 1;
                let told = house.sequence(&mut random, &mut seen).await;
                if let Err(why) = told {
                    panic!("seed {}, sequence {done}: {why}", round.seed);
                }
            }
        }
    });
    if round.rounds >= 200 {
        for what in [
            "started",
            "voided",
            "withdrawn",
            "expired",
            "restarted",
            "stale button",
        ] {
            assert!(seen.contains_key(what), "nothing was {what}: {seen:?}");
        }
    }
    Found::Held(format!("{seen:?}"))
}

struct House {
    folder: tempfile::TempDir,
    dispatch: Option<Dispatch>,
    clock: Clock,
    said: u32,
    variant: Variant,
    /// Who is in the team and in security now.
    team: BTreeSet<&'static str>,
    security: BTreeSet<&'static str>,
}

/// What was consented to, by whom.
struct Book {
    requester: &'static str,
    /// What the thread shows.
    shown: Variant,
    consents: BTreeMap<&'static str, Variant>,
    asked_at: Timestamp,
}

impl House {
    async fn open() -> Self {
        let mut house = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            dispatch: None,
            clock: Clock::steered("2026-01-14T03:00:00Z".parse().expect("a moment")),
            said: 0,
            variant: Variant {
                command: 0,
                runbook: 0,
            },
            team: ["ana", "bo", "cy"].into(),
            security: ["dana", "ana"].into(),
        };
        house.begin().await;
        house
    }

    /// The process starts, or starts again.
    async fn begin(&mut self) {
        self.dispatch = None;
        let data = self.folder.path().join("data");
        let url = format!("sqlite:{}", data.join("midwatch.db").display());
        self.dispatch = Some(office::open(&url, &data, self.catalog(), &self.clock).await);
    }

    fn catalog(&self) -> Catalog {
        let Variant { command, runbook } = self.variant;
        let names = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
        let after = if runbook.is_multiple_of(2) {
            "approvals: 2, of: team"
        } else {
            "approvals: 1, of: team, and: [{ approvals: 1, of: security }]"
        };
        let mut people = "people:\n".to_owned();
        for person in PERSONS {
            people += &format!(
                "  {person}: {{ name: {person}, slack: U0{} }}\n",
                person.to_uppercase()
            );
        }
        let groups = format!(
            "groups: {{ team: [{}], security: [{}] }}\n",
            names(&self.team),
            names(&self.security)
        );
        let files = [
            ("runbooks/people.yaml", people + &groups),
            (
                "runbooks/shop.yaml",
                format!(
                    "project: shop\nabout: The shop, {runbook}.\nowner: team\nchannels: [C1]\nrules:\n  \
                     - {{ may: wipe, who: everyone, after: {{ {after}, within: 30m }} }}\n  - otherwise: ask\n"
                ),
            ),
            (
                "commands/wipe.yaml",
                format!(
                    "command: wipe\ndoes: Wipes.\nundo: none\nsteps: [{{ name: x, run: [uptime, \"{command}\"] }}]\n"
                ),
            ),
        ];
        office::catalog(self.folder.path(), &files)
    }

    fn dispatch(&self) -> &Dispatch {
        self.dispatch.as_ref().expect("it runs")
    }

    /// Files changed, and are taken.
    fn reload(&self) {
        self.dispatch().catalog.store(Arc::new(self.catalog()));
    }

    async fn says(&mut self, who: &str, text: &str) -> RunId {
        self.said += 1;
        let inbound = office::said(&self.said.to_string(), who, text, self.clock.now());
        let run = RunId::of_inbound(&inbound.key);
        let dispatch = self.dispatch();
        dispatch
            .store
            .receive(inbound)
            .await
            .expect("it is recorded");
        let walked = dispatch.dispatch_waiting().await.expect("it is walked");
        assert_eq!(walked, 1);
        run
    }

    async fn run(&self, id: RunId) -> Run {
        let run = self.dispatch().store.run(id).await.expect("it is read");
        run.expect("it was asked for")
    }

    async fn sequence(
        &mut self,
        random: &mut StdRng,
        seen: &mut BTreeMap<&'static str, u32>,
    ) -> Result<(), String> {
        let requester = *PERSONS.choose(random).expect("some");
        let id = self.says(requester, "wipe").await;
        let mut book = Book {
            requester,
            shown: self.variant,
            consents: BTreeMap::new(),
            asked_at: self.clock.now(),
        };
        let mut story = vec![format!("{requester} asks, {:?}", self.variant)];
        let mut buttons = vec![digits(&self.run(id).await)];
        for _ in 0..STEPS {
            let run = self.run(id).await;
            let Phase::AwaitingApproval { .. } = run.phase else {
                break;
            };
            let before = proposal(&run).cloned();
            let told = self.step(random, id, &mut book, &buttons, seen).await;
            story.push(told);
            let run = self.run(id).await;
            let what = self.judge(&run, &mut book, before.as_ref());
            let what = what.map_err(|why| format!("{why}\n{}", story.join("\n")))?;
            *seen.entry(what).or_default() += 1;
            buttons.push(digits(&run));
        }
        // Whatever still waits is in nobody's way.
        let reference = self.run(id).await.reference;
        self.says(requester, &format!("cancel {reference}")).await;
        Ok(())
    }

    /// Something happens; answers what, for whoever reads why a proof failed.
    async fn step(
        &mut self,
        random: &mut StdRng,
        id: RunId,
        book: &mut Book,
        buttons: &[Option<String>],
        seen: &mut BTreeMap<&'static str, u32>,
    ) -> String {
        let person = *PERSONS.choose(random).expect("some");
        let reference = self.run(id).await.reference;
        match random.random_range(0..100) {
            0..30 => {
                self.approves(book, person);
                self.says(person, &format!("approve {reference}")).await;
                format!("{person} types approve")
            }
            30..50 => {
                let button = buttons
                    .choose(random)
                    .expect("some")
                    .clone()
                    .unwrap_or_default();
                let current = buttons.last().cloned().flatten();
                if current.as_deref() == Some(button.as_str()) {
                    self.approves(book, person);
                } else {
                    *seen.entry("stale button").or_default() += 1;
                }
                self.says(person, &format!("approve {reference} {button}"))
                    .await;
                format!("{person} presses approve of {button}")
            }
            50..60 => {
                book.consents.remove(person);
                self.says(person, &format!("withdraw {reference}")).await;
                *seen.entry("withdrawn").or_default() += 1;
                format!("{person} withdraws")
            }
            60..70 => {
                self.variant.command += u32::from(random.random_bool(0.7));
                self.reload();
                format!("the command is {}", self.variant.command)
            }
            70..77 => {
                self.variant.runbook += 1;
                self.reload();
                format!("the runbook is {}", self.variant.runbook)
            }
            77..85 => {
                let group = if random.random_bool(0.5) {
                    &mut self.team
                } else {
                    &mut self.security
                };
                if !group.remove(person) {
                    group.insert(person);
                }
                if group.is_empty() {
                    group.insert(person);
                }
                self.reload();
                format!("team {:?}, security {:?}", self.team, self.security)
            }
            85..92 => {
                let minutes = random.random_range(1..20);
                self.clock
                    .set(self.clock.now() + Duration::from_mins(minutes));
                format!("{minutes} minutes pass")
            }
            _ => {
                self.begin().await;
                *seen.entry("restarted").or_default() += 1;
                "it is started again".to_owned()
            }
        }
    }

    /// Consent counts from those who may give it then, to what they see then, in time.
    fn approves(&self, book: &mut Book, person: &'static str) {
        let in_time = self.clock.now() < book.asked_at + WITHIN;
        let may = self.team.contains(person) || self.security.contains(person);
        if in_time && may && person != book.requester && self.variant == book.shown {
            book.consents.insert(person, book.shown);
        }
    }

    /// What became of the run, or why that may not be.
    fn judge(
        &self,
        run: &Run,
        book: &mut Book,
        before: Option<&Proposal>,
    ) -> Result<&'static str, String> {
        match &run.phase {
            Phase::AwaitingApproval { .. } if proposal(run) != before => {
                // Something else is proposed: whatever was said before was said of something else.
                book.shown = self.variant;
                book.consents.clear();
                Ok("voided")
            }
            Phase::AwaitingApproval { .. } => {
                let late = self.clock.now() >= book.asked_at + WITHIN;
                Ok(if late { "expired" } else { "waits" })
            }
            Phase::Queued { .. } if self.is_consented(book) => Ok("started"),
            Phase::Queued { .. } => Err(format!(
                "it starts without consent: {:?} to {:?}, files are {:?}, team {:?}, security {:?}",
                book.consents, book.shown, self.variant, self.team, self.security
            )),
            Phase::Running | Phase::Finished(_) => Ok("ended"),
        }
    }

    /// Two different persons, not the requester, who are in their groups now and consented to what the files say now.
    fn is_consented(&self, book: &Book) -> bool {
        let persons: Vec<&str> = book
            .consents
            .iter()
            .filter(|(person, of)| **of == self.variant && **person != book.requester)
            .map(|(person, _)| *person)
            .collect();
        let second = if self.variant.runbook.is_multiple_of(2) {
            &self.team
        } else {
            &self.security
        };
        persons.iter().any(|one| {
            self.team.contains(one) && persons.iter().any(|two| one != two && second.contains(two))
        })
    }
}

/// What the thread shows.
fn proposal(run: &Run) -> Option<&Proposal> {
    match &run.phase {
        Phase::AwaitingApproval { proposal, .. } => proposal.as_deref(),
        _ => None,
    }
}

/// Its digits, as buttons say them.
fn digits(run: &Run) -> Option<String> {
    proposal(run).map(Proposal::digits)
}
