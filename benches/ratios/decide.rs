//! Parsing and deciding among 1,000 projects, against the same with one project: it must not grow.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use midwatch::domain::{
    Actor, Catalog, Decision, Facts, Hearing, Identity, Invocation, PersonId, Typed, decide, parse,
};
use rand::{Rng as _, SeedableRng as _};

use super::files::{Home, PERSON, Size, TYPED, channel};
use super::measure::{Ratios, median, micros, time};

const SEED: u64 = 20_260_101;
const PROJECTS: usize = 1_000;
const RULES: usize = 100;
const DECISIONS: usize = 5_000;
const ROUNDS: usize = 9;

pub(crate) fn run() {
    let one = Load::of(1);
    let many = Load::of(PROJECTS);
    println!(
        "  loading {PROJECTS} projects of {RULES} rules took {:.2} s, one {:.1} ms; seed {SEED}",
        many.loaded_in.as_secs_f64(),
        one.loaded_in.as_secs_f64() * 1e3
    );
    let mut random = rand::rngs::StdRng::seed_from_u64(SEED);
    let same = vec![0; DECISIONS];
    let any: Vec<usize> = (0..DECISIONS)
        .map(|_| random.random_range(0..PROJECTS))
        .collect();
    compare("decide alone", (&one, &same), (&many, &same), Load::decide);
    compare(
        "parse and decide",
        (&one, &same),
        (&many, &same),
        |load, n| {
            load.parse(n);
            load.decide(n);
        },
    );
    compare(
        "parse and decide, any of the projects (their rules are not in the processor's cache)",
        (&one, &same),
        (&many, &any),
        |load, n| {
            load.parse(n);
            load.decide(n);
        },
    );
}

fn compare(
    what: &str,
    limit: (&Load, &[usize]),
    subject: (&Load, &[usize]),
    work: impl Fn(&Load, usize),
) {
    let once =
        |(load, projects): (&Load, &[usize])| time(|| projects.iter().for_each(|n| work(load, *n)));
    let mut took = Vec::new();
    let ratios = Ratios::of_speeds(
        ROUNDS,
        || once(limit),
        || {
            let spent = once(subject);
            took.push(spent.as_secs_f64() / DECISIONS as f64);
            spent
        },
    );
    let each = Duration::from_secs_f64(median(&took));
    ratios.print(
        &format!("{what}, {PROJECTS} projects to one"),
        &format!("; {} each", micros(each)),
    );
}

/// A catalog and what is asked of it.
struct Load {
    catalog: Catalog,
    invocations: Vec<Invocation>,
    channels: Vec<String>,
    actor: Actor,
    facts: Facts,
    now: Timestamp,
    loaded_in: Duration,
}

impl Load {
    fn of(projects: usize) -> Self {
        let home = Home::of_size(Size {
            projects,
            rules: RULES,
        });
        let began = Instant::now();
        let catalog = home.catalog();
        let loaded_in = began.elapsed();
        assert_eq!(catalog.projects.len(), projects);
        let channels: Vec<String> = (0..projects).map(channel).collect();
        let invocations = channels.iter().map(|at| understand(&catalog, at)).collect();
        let person = PersonId::parse(PERSON).unwrap();
        Self {
            catalog,
            invocations,
            channels,
            actor: Actor {
                identity: Identity::Person(person),
                groups: BTreeSet::new(),
            },
            facts: Facts::default(),
            now: Timestamp::UNIX_EPOCH,
            loaded_in,
        }
    }

    fn parse(&self, project: usize) {
        black_box(understand(&self.catalog, &self.channels[project]));
    }

    fn decide(&self, project: usize) {
        let invocation = &self.invocations[project];
        let decision = decide(
            invocation,
            &self.actor,
            &self.catalog,
            &self.facts,
            self.now,
        );
        assert!(matches!(decision, Decision::Allow { .. }));
        black_box(decision);
    }
}

fn understand(catalog: &Catalog, channel: &str) -> Invocation {
    match parse(TYPED, &Hearing { catalog, channel }) {
        Ok(Typed::Invoke(invocation)) => invocation,
        other => panic!("`{TYPED}` is a command: {other:?}"),
    }
}
