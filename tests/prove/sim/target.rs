//! What the steps act upon. It knows what really happened, which midwatch has to find out.

use std::collections::{BTreeMap, BTreeSet};

use midwatch::domain::{Action, Effect, PlannedStep, Rendered, RunId};
use rand::Rng;
use rand::rngs::StdRng;

/// A request for one attempt of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) run: RunId,
    pub(super) position: usize,
    pub(super) attempt: u32,
    effect: Effect,
    key: String,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It happens, and the answer says so.
    Happens,
    /// It happens, and the answer is lost.
    AnswerLost,
    /// It never arrives, and nobody says so.
    RequestLost,
    /// Nobody waits for the answer any longer; it happens later.
    Late,
    /// It does not happen, and the answer says so.
    Fails,
    /// Likewise, and asking again would not help.
    SaysNo,
}

#[derive(Default)]
pub(super) struct Target {
    /// How often each step happened, by run and position.
    happened: BTreeMap<(RunId, usize), u32>,
    /// Attempts that arrived.
    arrived: BTreeSet<(RunId, usize, u32)>,
    /// Keys that were seen: what comes with one of them again does not happen again.
    keys: BTreeSet<String>,
    /// How often each step's check truthfully denied it.
    denied: BTreeMap<(RunId, usize), u32>,
    /// Requests on their way.
    pub(super) late: Vec<Request>,
}

impl Request {
    pub(super) fn new(run: RunId, position: usize, attempt: u32, step: &PlannedStep) -> Self {
        Self {
            run,
            position,
            attempt,
            effect: step.effect,
            key: key(&step.action),
        }
    }
}

/// The key as the plan's own action sends it.
fn key(action: &Action<Rendered>) -> String {
    let Action::Run(run) = action else {
        panic!("the yard's steps are programs")
    };
    format!("{:?}", run.argv[1])
}

impl Fate {
    pub(super) fn draw(random: &mut StdRng) -> Self {
        match random.random_range(0..100) {
            0..58 => Self::Happens,
            58..68 => Self::AnswerLost,
            68..78 => Self::RequestLost,
            78..85 => Self::Late,
            85..95 => Self::Fails,
            _ => Self::SaysNo,
        }
    }
}

impl Target {
    /// The request arrives, or not, as its fate has it.
    pub(super) fn take(&mut self, request: Request, fate: Fate) {
        match fate {
            Fate::Happens | Fate::AnswerLost => self.happen(&request),
            Fate::Late => self.late.push(request),
            Fate::RequestLost | Fate::Fails | Fate::SaysNo => {}
        }
    }

    pub(super) fn happen(&mut self, request: &Request) {
        self.arrived
            .insert((request.run, request.position, request.attempt));
        let seen = !self.keys.insert(request.key.clone());
        if !(request.effect == Effect::Keyed && seen) {
            *self
                .happened
                .entry((request.run, request.position))
                .or_default() += 1;
        }
    }

    pub(super) fn arrived(&self, run: RunId, position: usize, attempt: u32) -> bool {
        self.arrived.contains(&(run, position, attempt))
    }

    pub(super) fn times(&self, run: RunId, position: usize) -> u32 {
        let times = self.happened.get(&(run, position));
        times.copied().unwrap_or(0)
    }

    /// A step's check, which tells the truth and remembers a no.
    pub(super) fn check(&mut self, run: RunId, position: usize) -> bool {
        let happened = self.times(run, position) > 0;
        if !happened {
            *self.denied.entry((run, position)).or_default() += 1;
        }
        happened
    }

    pub(super) fn denials(&self, run: RunId, position: usize) -> u32 {
        self.denied.get(&(run, position)).copied().unwrap_or(0)
    }
}
