//! What is known after the kills: the ledger's entries by run, the marks that steps left, and the threads.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::Timestamp;
use midwatch::domain::{Decided, Entry, Fact, RunEvent, RunId};

use super::people::tag_of;
use crate::fakes::slack::{BOT_USER, FakeSlack, Posted, render};

/// An exported ledger, read.
#[derive(Default)]
pub(super) struct Record {
    /// How often each inbound was received.
    pub(super) received: HashMap<String, u32>,
    /// How each inbound was concluded, in words.
    pub(super) concluded: HashMap<String, Vec<String>>,
    pub(super) runs: BTreeMap<RunId, Life>,
    /// How often midwatch recorded that it started.
    pub(super) starts: u32,
    pub(super) entries: u64,
    /// Sequence numbers that are not where they belong, and lines that can't be read.
    pub(super) unreadable: Vec<String>,
    /// Events of runs that nobody decided on.
    pub(super) orphans: Vec<String>,
}

/// One run, as the ledger tells it.
pub(super) struct Life {
    pub(super) key: String,
    pub(super) tag: String,
    pub(super) command: String,
    pub(super) reference: String,
    pub(super) asks_consent: bool,
    pub(super) events: Vec<RunEvent>,
    pub(super) interruptions: Vec<Interruption>,
    /// When the latest attempt of each step started.
    started: HashMap<usize, Timestamp>,
}

/// An attempt that was interrupted.
#[derive(Debug)]
pub(super) struct Interruption {
    pub(super) position: usize,
    pub(super) attempt: u32,
    pub(super) started: Timestamp,
    pub(super) interrupted: Timestamp,
}

impl Record {
    pub(super) fn of(export: &str) -> Self {
        let mut record = Self::default();
        for line in export
            .lines()
            .filter(|line| !line.starts_with("{\"checkpoint\""))
        {
            match serde_json::from_str::<Entry>(line) {
                Ok(entry) if entry.sequence == record.entries => record.take(entry.at, entry.fact),
                Ok(entry) => record.unreadable.push(format!(
                    "entry {} stands at {}",
                    entry.sequence, record.entries
                )),
                Err(why) => record
                    .unreadable
                    .push(format!("entry {}: {why}", record.entries)),
            }
            record.entries += 1;
        }
        record
    }

    fn take(&mut self, at: Timestamp, fact: Fact) {
        match fact {
            Fact::Received { inbound, .. } => {
                *self
                    .received
                    .entry(inbound.as_str().to_owned())
                    .or_default() += 1;
            }
            Fact::Refused {
                inbound, refusal, ..
            } => self.conclude(inbound.as_str(), format!("refused: {refusal}")),
            Fact::Answered {
                inbound, question, ..
            } => self.conclude(inbound.as_str(), format!("answered: {question}")),
            Fact::Link {
                inbound, became, ..
            } => self.conclude(inbound.as_str(), format!("link: {became:?}")),
            Fact::Lock {
                inbound: Some(inbound),
                became,
                ..
            } => self.conclude(inbound.as_str(), format!("lock: {became:?}")),
            Fact::Page {
                inbound: Some(inbound),
                became,
                ..
            } => self.conclude(inbound.as_str(), format!("page: {became:?}")),
            Fact::Covered {
                inbound, covers, ..
            } => self.conclude(inbound.as_str(), format!("covered: {covers:?}")),
            Fact::Decided {
                inbound,
                invocation,
                decision,
                run,
                reference,
                ..
            } => {
                let with_run = if run.is_some() {
                    "with a run"
                } else {
                    "without a run"
                };
                self.conclude(
                    inbound.as_str(),
                    format!("decided {with_run}: {decision:?}"),
                );
                let (Some(run), Some(reference)) = (run, reference) else {
                    return;
                };
                let tag = invocation
                    .arguments
                    .values()
                    .next()
                    .map(ToString::to_string);
                let life = Life {
                    key: inbound.as_str().to_owned(),
                    tag: tag.unwrap_or_default(),
                    command: invocation.command.to_string(),
                    reference: reference.to_string(),
                    asks_consent: matches!(decision, Decided::RequireApproval(_)),
                    events: Vec::new(),
                    interruptions: Vec::new(),
                    started: HashMap::new(),
                };
                if let Some(before) = self.runs.insert(run, life) {
                    self.orphans
                        .push(format!("run {} was decided on twice", before.reference));
                }
            }
            Fact::Run {
                run,
                reference,
                happened,
            } => match self.runs.get_mut(&run) {
                Some(life) => life.take(at, happened),
                None => self
                    .orphans
                    .push(format!("run {reference} has events and no decision")),
            },
            Fact::Service { now, .. } => self.starts += u32::from(now == "started"),
            Fact::CatalogLoaded { .. }
            | Fact::RulesChanged { .. }
            | Fact::CatalogKept { .. }
            | Fact::Token { .. }
            | Fact::Lock { inbound: None, .. }
            | Fact::Page { inbound: None, .. } => {}
            Fact::SetBack { why } => self
                .unreadable
                .push(format!("a kill took back what was committed: {why}")),
        }
    }

    fn conclude(&mut self, inbound: &str, how: String) {
        self.concluded
            .entry(inbound.to_owned())
            .or_default()
            .push(how);
    }
}

impl Life {
    fn take(&mut self, at: Timestamp, event: RunEvent) {
        match &event {
            RunEvent::StepStarted { position, .. } => {
                self.started.insert(*position, at);
            }
            RunEvent::StepInterrupted {
                position, attempt, ..
            } => self.interruptions.push(Interruption {
                position: *position,
                attempt: *attempt,
                started: self.started.get(position).copied().unwrap_or(at),
                interrupted: at,
            }),
            _ => {}
        }
        self.events.push(event);
    }

    /// The outcomes recorded, in order: there should be one.
    pub(super) fn outcomes(&self) -> Vec<&'static str> {
        let finished = |event: &RunEvent| match event {
            RunEvent::Finished { outcome, .. } => Some(outcome.as_str()),
            _ => None,
        };
        self.events.iter().filter_map(finished).collect()
    }

    /// How many attempts of a step were recorded as started, as ended, as interrupted.
    pub(super) fn attempts(&self, wanted: &str) -> Attempts {
        let mut attempts = Attempts::default();
        for event in &self.events {
            match event {
                RunEvent::StepStarted { step, .. } if step.as_str() == wanted => {
                    attempts.started += 1;
                }
                RunEvent::StepEnded { step, .. } if step.as_str() == wanted => attempts.ended += 1,
                RunEvent::StepInterrupted { step, .. } if step.as_str() == wanted => {
                    attempts.interrupted += 1;
                }
                _ => {}
            }
        }
        attempts
    }

    /// How many messages its thread holds below the root when nothing is lost and nothing is doubled.
    pub(super) fn lines_owed(&self) -> usize {
        // The first line; who is asked for consent; all that happened, but for starts, which the root shows.
        let told = self
            .events
            .iter()
            .filter(|event| !matches!(event, RunEvent::StepStarted { .. }));
        1 + usize::from(self.asks_consent) + told.count()
    }
}

#[derive(Default)]
pub(super) struct Attempts {
    pub(super) started: usize,
    pub(super) ended: usize,
    pub(super) interrupted: usize,
}

/// What steps did, as they wrote it down themselves.
pub(super) struct Marks {
    /// Run and step → the key given, once for each mark.
    pub(super) by_step: HashMap<(String, String), Vec<String>>,
    /// Run and step → how often the check said no.
    pub(super) denials: HashMap<(String, String), usize>,
    pub(super) count: usize,
    pub(super) unreadable: Vec<String>,
}

impl Marks {
    pub(super) fn read(folder: &Path) -> Self {
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let mut marks = Self {
            by_step: HashMap::new(),
            denials: HashMap::new(),
            count: 0,
            unreadable: Vec::new(),
        };
        for line in text("marks").lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [run, _tag, step, _effect, key, _process] = words[..] else {
                marks.unreadable.push(line.to_owned());
                continue;
            };
            marks.count += 1;
            marks
                .by_step
                .entry((run.to_owned(), step.to_owned()))
                .or_default()
                .push(key.to_owned());
        }
        for line in text("answers").lines() {
            if let [run, step, "no"] = line.split(' ').collect::<Vec<_>>()[..] {
                *marks
                    .denials
                    .entry((run.to_owned(), step.to_owned()))
                    .or_default() += 1;
            }
        }
        marks
    }
}

/// What stands in the workspace about one run.
#[derive(Default)]
pub(super) struct Thread {
    pub(super) roots: Vec<String>,
    pub(super) lines: Vec<String>,
}

/// The threads by tag, and what was posted twice.
pub(super) fn threads(
    slack: &FakeSlack,
    channels: &[String],
) -> (HashMap<String, Thread>, Vec<String>) {
    let mut threads: HashMap<String, Thread> = HashMap::new();
    let mut doubled = Vec::new();
    for channel in channels {
        let messages: Vec<Posted> = slack
            .messages(channel)
            .into_iter()
            .filter(|it| it.user == BOT_USER)
            .collect();
        let mut tags: HashMap<&str, String> = HashMap::new();
        let mut identities: HashMap<String, &Posted> = HashMap::new();
        for message in &messages {
            // Each posting carries its own identity: two messages with the same one are one posting, delivered twice.
            let identity = message.metadata["event_payload"]["id"].to_string();
            if let Some(first) = identities.insert(identity, message) {
                doubled.push(format!(
                    "{} and {}: {}",
                    first.ts,
                    message.ts,
                    render(message)
                ));
            }
            match &message.thread {
                None => {
                    let tag = tag_of(message).unwrap_or_else(|| "none".to_owned());
                    tags.insert(message.ts.as_str(), tag.clone());
                    threads.entry(tag).or_default().roots.push(render(message));
                }
                Some(root) => {
                    let tag = tags
                        .get(root.as_str())
                        .cloned()
                        .unwrap_or_else(|| "none".to_owned());
                    threads.entry(tag).or_default().lines.push(render(message));
                }
            }
        }
    }
    (threads, doubled)
}
