//! Holds what is known against what must be true. Every complaint names the command and what is wrong with it.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use midwatch::domain::RunId;

use super::commands::{KINDS, Kind, Step};
use super::people::Said;
use super::record::{Interruption, Life, Marks, Record, Thread};

/// A clock is read before what it is read for has happened.
const READ_BEFORE: SignedDuration = SignedDuration::from_millis(500);
/// A lease of six seconds that was renewed less than so long ago can't have ended, whatever the machine's load.
const SURELY_LEASED_MS: u64 = 4_000;

/// What is known of replicas.
pub(super) struct Replicas<'a> {
    /// When one of them was killed.
    pub(super) deaths: &'a [Timestamp],
    /// What both logged.
    pub(super) log: String,
}

/// Everything that is known.
pub(super) struct Evidence<'a> {
    pub(super) said: &'a Said,
    pub(super) record: &'a Record,
    pub(super) marks: &'a Marks,
    pub(super) threads: &'a HashMap<String, Thread>,
    pub(super) doubled: &'a [String],
    /// Attempts whose supervisor was killed, as their folders are named: `RUN-POSITION-ATTEMPT`.
    pub(super) lost: &'a HashSet<String>,
    /// `None` where there are none: there the death of midwatch alone interrupts nothing.
    pub(super) replicas: Option<Replicas<'a>>,
}

impl Evidence<'_> {
    /// What is not as it must be; empty when all is well.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        complaints.extend(
            self.record
                .unreadable
                .iter()
                .map(|what| format!("ledger: {what}")),
        );
        complaints.extend(
            self.record
                .orphans
                .iter()
                .map(|what| format!("ledger: {what}")),
        );
        complaints.extend(
            self.marks
                .unreadable
                .iter()
                .map(|what| format!("a mark that nobody made: {what}")),
        );
        complaints.extend(
            self.doubled
                .iter()
                .map(|what| format!("posted twice: {what}")),
        );
        self.inbounds(&mut complaints);
        self.unannounced(&mut complaints);
        for (id, life) in &self.record.runs {
            match KINDS.iter().find(|kind| kind.name == life.command) {
                None => complaints.push(format!("{}: nobody types `{}`", life.tag, life.command)),
                Some(kind) => self.run(*id, life, kind, &mut complaints),
            }
        }
        complaints
    }

    /// Whether something is wrong that no waiting mends.
    pub(super) fn is_past_mending(&self) -> bool {
        let interrupted =
            |(id, life): (&RunId, &Life)| self.interrupted_by_nobody(*id, life).next().is_some();
        !self.doubled.is_empty() || self.record.runs.iter().any(interrupted)
    }

    /// Steps that were interrupted although nobody killed their supervisor, or the replica that did them.
    fn interrupted_by_nobody<'s>(
        &'s self,
        id: RunId,
        life: &'s Life,
    ) -> impl Iterator<Item = &'s Interruption> {
        life.interruptions.iter().filter(move |it| {
            let name = format!("{id}-{}-{}", it.position, it.attempt);
            !self.lost.contains(&name) && !self.was_taken_over(life, it)
        })
    }

    /// Acknowledged: received once and concluded once, with a run. Not acknowledged: at most that.
    fn inbounds(&self, complaints: &mut Vec<String>) {
        for sent in &self.said.sent {
            let received = self.record.received.get(&sent.key).copied().unwrap_or(0);
            let concluded = self
                .record
                .concluded
                .get(&sent.key)
                .map_or(&[][..], Vec::as_slice);
            let runs = self
                .record
                .runs
                .values()
                .filter(|life| life.key == sent.key)
                .count();
            let fits = if sent.acknowledged {
                received == 1
            } else {
                received <= 1
            };
            let concluded_well = concluded.len() == received as usize
                && runs == concluded.len()
                && concluded
                    .iter()
                    .all(|how| how.starts_with("decided with a run"));
            if !fits || !concluded_well {
                let acknowledged = if sent.acknowledged {
                    "acknowledged"
                } else {
                    "not acknowledged"
                };
                complaints.push(format!(
                    "{} `{}` was {acknowledged}, received {received} times, has {runs} runs, and was concluded: {concluded:?}",
                    sent.tag, sent.kind.name
                ));
            }
        }
        for key in &self.said.pressed {
            let received = self.record.received.get(key).copied().unwrap_or(0);
            let concluded = self.record.concluded.get(key).map_or(0, Vec::len);
            if (received, concluded) != (1, 1) {
                complaints.push(format!(
                    "the press {key} was acknowledged, received {received} times and concluded {concluded} times"
                ));
            }
        }
    }

    /// Runs and threads of commands that nobody typed, marks of runs that are not recorded.
    fn unannounced(&self, complaints: &mut Vec<String>) {
        let keys: HashSet<&str> = self
            .said
            .sent
            .iter()
            .map(|sent| sent.key.as_str())
            .collect();
        let unknown = self
            .record
            .runs
            .values()
            .filter(|life| !keys.contains(life.key.as_str()));
        complaints.extend(unknown.map(|life| format!("run {}: nobody typed it", life.reference)));
        let tags: HashSet<&str> = self
            .record
            .runs
            .values()
            .map(|life| life.tag.as_str())
            .collect();
        let foreign = self
            .threads
            .keys()
            .filter(|tag| !tags.contains(tag.as_str()));
        complaints.extend(foreign.map(|tag| format!("a thread of no run: {tag}")));
        let runs: HashSet<String> = self.record.runs.keys().map(ToString::to_string).collect();
        let stray = self
            .marks
            .by_step
            .keys()
            .filter(|(run, _)| !runs.contains(run));
        complaints.extend(
            stray.map(|(run, step)| {
                format!("a mark without a ledger entry: run {run}, step {step}")
            }),
        );
    }

    fn run(&self, id: RunId, life: &Life, kind: &Kind, complaints: &mut Vec<String>) {
        let mut complain =
            |what: String| complaints.push(format!("{} `{}`: {what}", life.tag, kind.name));
        let outcomes = life.outcomes();
        let [outcome] = outcomes[..] else {
            return complain(format!("it should have ended once, and ended {outcomes:?}"));
        };
        if !kind.outcomes.contains(&outcome) {
            complain(format!("it ended {outcome}, which should not be possible"));
        }
        let mut unknown = false;
        for step in kind.steps {
            let found = self.step(id, life, step, outcome);
            unknown |= found.unknown;
            found.complaints.into_iter().for_each(&mut complain);
        }
        if unknown != (outcome == "needs_attention") {
            complain(format!(
                "a `once` step's outcome is unknown: {unknown}; the run ended {outcome}"
            ));
        }
        for it in self.interrupted_by_nobody(id, life) {
            complain(format!(
                "attempt {} of step {} was interrupted, nobody killed its supervisor, and no replica died or was late: {it:?}",
                it.attempt,
                it.position + 1
            ));
        }
        match self.threads.get(&life.tag) {
            None => complain("nothing was posted".to_owned()),
            Some(thread) => told(life, thread, outcome).into_iter().for_each(complain),
        }
    }

    /// Whether a replica died amid the attempt, or says that it could not renew its lease in time: a machine that is
    /// much too busy is as good as a dead one.
    fn was_taken_over(&self, life: &Life, it: &Interruption) -> bool {
        let Some(replicas) = &self.replicas else {
            return false;
        };
        let died = replicas
            .deaths
            .iter()
            .any(|death| *death + READ_BEFORE >= it.started && *death <= it.interrupted);
        let words = format!(
            "run {} was taken over: its lease was renewed last ",
            life.reference
        );
        let mut said = replicas.log.lines().filter_map(|line| {
            let (_, ms) = line.split_once(&words)?;
            ms.split(' ').next()?.parse::<u64>().ok()
        });
        died || said.any(|ms| ms >= SURELY_LEASED_MS)
    }

    fn step(&self, id: RunId, life: &Life, step: &Step, outcome: &str) -> Found {
        let mut complaints = Vec::new();
        let place = (id.to_string(), step.name.to_owned());
        let marks = self
            .marks
            .by_step
            .get(&place)
            .map_or(&[][..], Vec::as_slice);
        let denials = self.marks.denials.get(&place).copied().unwrap_or(0);
        let attempts = life.attempts(step.name);
        let (name, effect) = (step.name, step.effect);
        if marks.len() > attempts.started {
            complaints.push(format!(
                "{name}: {} marks, {} starts in the ledger",
                marks.len(),
                attempts.started
            ));
        }
        if attempts.started > attempts.ended + attempts.interrupted {
            complaints.push(format!(
                "{name}: started {} times, and the ledger knows the end of fewer",
                attempts.started
            ));
        }
        if effect == "once" && (marks.len() > 1 || attempts.started > 1) {
            complaints.push(format!(
                "{name} ({effect}): {} marks, {} starts",
                marks.len(),
                attempts.started
            ));
        }
        if effect == "checked" && marks.len() > 1 + denials {
            complaints.push(format!(
                "{name} ({effect}): {} marks, and its check denied {denials} times",
                marks.len()
            ));
        }
        if marks.iter().any(|key| *key != marks[0]) {
            complaints.push(format!(
                "{name}: not every attempt was given the same key: {marks:?}"
            ));
        }
        if outcome == "succeeded" && marks.is_empty() {
            complaints.push(format!("{name}: the run succeeded, and there is no mark"));
        }
        Found {
            unknown: effect == "once" && attempts.started > attempts.ended,
            complaints,
        }
    }

    /// How many runs ended how.
    pub(super) fn outcomes(&self) -> BTreeMap<&'static str, usize> {
        let mut outcomes = BTreeMap::new();
        for life in self.record.runs.values() {
            *outcomes
                .entry(life.outcomes().last().copied().unwrap_or("none"))
                .or_default() += 1;
        }
        outcomes
    }

    /// How many `once` steps were done.
    pub(super) fn done_once(&self) -> usize {
        let kinds = KINDS.iter().flat_map(|kind| kind.steps);
        let once: HashSet<&str> = kinds
            .filter(|step| step.effect == "once")
            .map(|step| step.name)
            .collect();
        let marks = self.marks.by_step.keys();
        marks
            .filter(|(_, step)| once.contains(step.as_str()))
            .count()
    }

    /// How many steps of this effect were interrupted.
    pub(super) fn interrupted(&self, effect: &str) -> usize {
        let of = |life: &Life| {
            let kind = KINDS.iter().find(|kind| kind.name == life.command);
            let steps = kind
                .map_or(&[][..], |kind| kind.steps)
                .iter()
                .filter(|step| step.effect == effect);
            steps
                .map(|step| life.attempts(step.name).interrupted)
                .sum::<usize>()
        };
        self.record.runs.values().map(of).sum()
    }
}

/// What was found about one step.
struct Found {
    /// It may have happened or not, and may not be repeated.
    unknown: bool,
    complaints: Vec<String>,
}

/// Holds a run's thread against its life.
fn told(life: &Life, thread: &Thread, outcome: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let headline = match outcome {
        "succeeded" => "succeeded in",
        "failed" => "failed at",
        "cancelled" => "was cancelled",
        "expired" => "expired:",
        _ => "needs attention: outcome unknown",
    };
    let reference = format!("· ref {}", life.reference);
    let ends = |text: &&String| {
        text.lines()
            .next()
            .is_some_and(|line| line.ends_with(&reference) && line.contains(headline))
    };
    match &thread.roots[..] {
        [root] if ends(&root) => {}
        [root] => complaints.push(format!(
            "it ended {outcome}, and the root message says: {root}"
        )),
        roots => complaints.push(format!("{} root messages", roots.len())),
    }
    // Last lines alone carry a checkpoint.
    let last: Vec<usize> = (0..thread.lines.len())
        .filter(|n| thread.lines[*n].contains("\u{2014} midwatch/"))
        .collect();
    match last[..] {
        [at] if at + 1 == thread.lines.len() && ends(&&thread.lines[at]) => {}
        [at] => complaints.push(format!(
            "line {} of {} is the last one: {}",
            at + 1,
            thread.lines.len(),
            thread.lines[at]
        )),
        _ => complaints.push(format!("{} last lines", last.len())),
    }
    if thread.lines.len() != life.lines_owed() {
        complaints.push(format!(
            "{} lines in the thread, {} are owed: {:#?}",
            thread.lines.len(),
            life.lines_owed(),
            thread.lines
        ));
    }
    if outcome == "needs_attention"
        && !thread
            .lines
            .iter()
            .any(|line| line.contains("interrupted") && line.contains("outcome unknown"))
    {
        complaints.push("no line of the thread says that the outcome is unknown".to_owned());
    }
    complaints
}
