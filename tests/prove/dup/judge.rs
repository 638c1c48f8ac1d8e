//! Holds ledger, marks and threads against what was typed: each once, and nothing beside it.

use std::collections::{BTreeMap, HashMap, HashSet};

use midwatch::domain::{Entry, Fact, Outcome, RunEvent, RunId};

use super::people::{Line, Part, Thing};
use super::yard::Kind;

/// The ledger, read.
#[derive(Default)]
pub(super) struct Record {
    received: HashMap<String, usize>,
    concluded: HashMap<String, usize>,
    /// The run that was decided on for a key, once for each time.
    decided: HashMap<String, Vec<RunId>>,
    events: HashMap<RunId, Vec<RunEvent>>,
    pub(super) entries: usize,
}

impl Record {
    pub(super) fn of(export: &str) -> Self {
        let mut record = Self::default();
        for line in export
            .lines()
            .filter(|it| !it.starts_with("{\"checkpoint\""))
        {
            let entry: Entry = serde_json::from_str(line).expect("an entry");
            record.entries += 1;
            match entry.fact {
                Fact::Received { inbound, .. } => count(&mut record.received, inbound.as_str()),
                Fact::Refused { inbound, .. }
                | Fact::Answered { inbound, .. }
                | Fact::Link { inbound, .. }
                | Fact::Lock {
                    inbound: Some(inbound),
                    ..
                }
                | Fact::Covered { inbound, .. }
                | Fact::Page {
                    inbound: Some(inbound),
                    ..
                } => {
                    count(&mut record.concluded, inbound.as_str());
                }
                Fact::Decided { inbound, run, .. } => {
                    count(&mut record.concluded, inbound.as_str());
                    let runs = record.decided.entry(inbound.as_str().to_owned());
                    runs.or_default().extend(run);
                }
                Fact::Run { run, happened, .. } => {
                    record.events.entry(run).or_default().push(happened);
                }
                Fact::Lock { inbound: None, .. }
                | Fact::CatalogLoaded { .. }
                | Fact::RulesChanged { .. }
                | Fact::CatalogKept { .. }
                | Fact::SetBack { .. }
                | Fact::Token { .. }
                | Fact::Page { inbound: None, .. }
                | Fact::Service { .. } => {}
            }
        }
        record
    }

    /// How many runs there are.
    pub(super) fn runs(&self) -> usize {
        self.decided.values().map(Vec::len).sum()
    }
}

fn count(of: &mut HashMap<String, usize>, key: &str) {
    *of.entry(key.to_owned()).or_default() += 1;
}

/// What people see of one run: the words of its roots and lines.
#[derive(Default)]
struct Thread<'a> {
    roots: Vec<&'a str>,
    lines: Vec<&'a str>,
}

/// What is not as it must be; empty when all is well.
pub(super) fn complaints<D>(
    things: &[Thing<D>],
    lines: &[Line],
    record: &Record,
    marks: &[String],
) -> Vec<String> {
    let mut complaints = Vec::new();
    let once = |of: &HashMap<String, usize>, key: &str| of.get(key).copied().unwrap_or(0) == 1;
    for Thing { key, .. } in things {
        if !once(&record.received, key) || !once(&record.concluded, key) {
            let times = |of: &HashMap<String, usize>| of.get(key).copied().unwrap_or(0);
            complaints.push(format!(
                "{key}: received {} times, concluded {} times",
                times(&record.received),
                times(&record.concluded)
            ));
        }
    }
    let known: HashSet<&str> = things.iter().map(|thing| thing.key.as_str()).collect();
    let unknown = record
        .received
        .keys()
        .filter(|key| !known.contains(key.as_str()));
    complaints.extend(unknown.map(|key| format!("{key}: received, and nobody said it")));

    let mut threads = threads(lines, &mut complaints);
    let mut marked = BTreeMap::<&str, usize>::new();
    for mark in marks {
        *marked.entry(mark.as_str()).or_default() += 1;
    }
    for thing in things {
        let Some((kind, tag)) = &thing.runs else {
            continue;
        };
        let thread = threads.remove(&thing.run().to_string()).unwrap_or_default();
        let mut wrong = run(kind, thing, record, &thread);
        for (step, _) in kind.steps {
            let times = marked.remove(format!("{tag} {step}").as_str()).unwrap_or(0);
            if times != 1 {
                wrong.push(format!("step {step} was done {times} times"));
            }
        }
        complaints.extend(
            wrong
                .into_iter()
                .map(|it| format!("{tag} `{}`: {it}", kind.name)),
        );
    }
    complaints.extend(
        threads
            .keys()
            .map(|run| format!("a thread of no command: {run}")),
    );
    complaints.extend(
        marked
            .keys()
            .map(|mark| format!("a mark of no command: {mark}")),
    );
    complaints
}

/// Threads by run.
fn threads<'a>(lines: &'a [Line], complaints: &mut Vec<String>) -> HashMap<String, Thread<'a>> {
    let mut threads = HashMap::<String, Thread<'_>>::new();
    let mut seen = HashSet::new();
    for Line { mark, says, part } in lines {
        if !seen.insert(mark) {
            complaints.push(format!("posted twice, {mark}: {says}"));
        }
        match part {
            Part::Root(run) => threads.entry(run.clone()).or_default().roots.push(says),
            Part::Line(run) => threads.entry(run.clone()).or_default().lines.push(says),
            Part::Stray => complaints.push(format!("of no run: {says}")),
        }
    }
    threads
}

/// One run: decided once, done once, told once.
fn run<D>(kind: &Kind, thing: &Thing<D>, record: &Record, thread: &Thread<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let decided = record
        .decided
        .get(&thing.key)
        .map_or(&[][..], Vec::as_slice);
    if decided != [thing.run()] {
        wrong.push(format!("its runs are {decided:?}"));
    }
    let events = record
        .events
        .get(&thing.run())
        .map_or(&[][..], Vec::as_slice);
    let count = |is: fn(&RunEvent) -> bool| events.iter().filter(|event| is(event)).count();
    let ends = count(|it| {
        matches!(
            it,
            RunEvent::Finished {
                outcome: Outcome::Succeeded,
                ..
            }
        )
    });
    let finished = count(|it| matches!(it, RunEvent::Finished { .. }));
    let approved = count(|it| matches!(it, RunEvent::Approved { .. }));
    let started = count(|it| matches!(it, RunEvent::StepStarted { .. }));
    if (ends, finished) != (1, 1) {
        wrong.push(format!("it ended {finished} times, {ends} of them well"));
    }
    if started != kind.steps.len() {
        wrong.push(format!("{started} steps began, of {}", kind.steps.len()));
    }
    if approved != kind.consents {
        wrong.push(format!("{approved} consents count, of {}", kind.consents));
    }
    if thread.roots.len() != 1 || !thread.roots.iter().all(|root| root.contains("succeeded")) {
        wrong.push(format!("its roots: {:?}", shown(&thread.roots)));
    }
    // The first line; who is asked for consent; all that happened, but for starts, which the root shows.
    let owed = 1 + usize::from(kind.consents > 0) + events.len() - started;
    if thread.lines.len() != owed {
        wrong.push(format!(
            "{owed} lines are owed, there are: {:?}",
            shown(&thread.lines)
        ));
    }
    let last = thread
        .lines
        .iter()
        .filter(|line| line.contains("\n— midwatch/"));
    if last.count() != 1 {
        wrong.push(format!(
            "not one last line with a checkpoint: {:?}",
            shown(&thread.lines)
        ));
    }
    wrong
}

fn shown<'a>(messages: &[&'a str]) -> Vec<&'a str> {
    let first = |message: &&'a str| message.lines().next().unwrap_or_default();
    messages.iter().map(first).collect()
}
