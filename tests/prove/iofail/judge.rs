//! Holds ledger, marks and threads against what people were answered. Every complaint names the command.

use std::collections::{BTreeMap, HashMap, HashSet};

use midwatch::domain::{Decided, Entry, Fact, RunEvent, StepResult};

use super::crowd::{Answer, Said, tag_of};
use super::yard::{KINDS, Kind, printed};
use crate::bot::Home;
use crate::fakes::slack::{BOT_USER, FakeSlack, Posted, render};

/// An exported ledger, read.
#[derive(Default)]
pub(super) struct Record {
    /// How often each inbound was received, and how often concluded.
    inbounds: HashMap<String, (usize, usize)>,
    /// By id.
    runs: BTreeMap<String, Life>,
    pub(super) entries: u64,
    complaints: Vec<String>,
}

/// One run, as the ledger tells it.
struct Life {
    key: String,
    command: String,
    tag: String,
    reference: String,
    asks_consent: bool,
    events: Vec<RunEvent>,
}

impl Record {
    pub(super) fn of(export: &str) -> Self {
        let mut record = Self::default();
        for line in export
            .lines()
            .filter(|line| !line.starts_with("{\"checkpoint\""))
        {
            match serde_json::from_str::<Entry>(line) {
                Ok(entry) if entry.sequence == record.entries => record.take(entry.fact),
                other => record
                    .complaints
                    .push(format!("entry {} of the ledger: {other:?}", record.entries)),
            }
            record.entries += 1;
        }
        record
    }

    fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Received { inbound, .. } => self.inbound(inbound.as_str()).0 += 1,
            Fact::Refused { inbound, .. } | Fact::Answered { inbound, .. } => {
                self.inbound(inbound.as_str()).1 += 1;
            }
            Fact::Decided {
                inbound,
                invocation,
                decision,
                run,
                reference,
                ..
            } => {
                self.inbound(inbound.as_str()).1 += 1;
                let (Some(run), Some(reference)) = (run, reference) else {
                    self.complaints
                        .push(format!("{}: decided without a run", inbound.as_str()));
                    return;
                };
                let tag = invocation.arguments.values().next();
                let life = Life {
                    key: inbound.as_str().to_owned(),
                    command: invocation.command.to_string(),
                    tag: tag.map(ToString::to_string).unwrap_or_default(),
                    reference: reference.to_string(),
                    asks_consent: matches!(decision, Decided::RequireApproval(_)),
                    events: Vec::new(),
                };
                if let Some(before) = self.runs.insert(run.to_string(), life) {
                    self.complaints
                        .push(format!("{}: decided twice", before.tag));
                }
            }
            Fact::Run { run, happened, .. } => match self.runs.get_mut(&run.to_string()) {
                Some(life) => life.events.push(happened),
                None => self
                    .complaints
                    .push(format!("run {run} has events and no decision")),
            },
            _ => {}
        }
    }

    fn inbound(&mut self, key: &str) -> &mut (usize, usize) {
        self.inbounds.entry(key.to_owned()).or_default()
    }

    /// How many runs ended how.
    pub(super) fn outcomes(&self) -> BTreeMap<&'static str, usize> {
        let mut outcomes = BTreeMap::new();
        for life in self.runs.values() {
            *outcomes
                .entry(life.outcomes().last().copied().unwrap_or("none"))
                .or_default() += 1;
        }
        outcomes
    }
}

impl Life {
    fn outcomes(&self) -> Vec<&'static str> {
        let outcome = |event: &RunEvent| match event {
            RunEvent::Finished { outcome, .. } => Some(outcome.as_str()),
            _ => None,
        };
        self.events.iter().filter_map(outcome).collect()
    }

    /// Whether a step failed because the disk did not take what it needs to begin; the line says so.
    fn could_not_begin(&self) -> bool {
        self.events.iter().any(|event| {
            matches!(event, RunEvent::StepEnded { result: StepResult::Failed { why }, .. }
                if why.starts_with("no folder") && why.contains("os error"))
        })
    }

    fn starts(&self, wanted: &str) -> usize {
        let starts = self.events.iter().filter(
            |event| matches!(event, RunEvent::StepStarted { step, .. } if step.as_str() == wanted),
        );
        starts.count()
    }

    /// How many messages its thread holds below the root when nothing is lost and nothing is doubled.
    fn lines_owed(&self) -> usize {
        // The first line; who is asked for consent; all that happened, but for starts, which the root shows.
        let told = self
            .events
            .iter()
            .filter(|event| !matches!(event, RunEvent::StepStarted { .. }));
        1 + usize::from(self.asks_consent) + told.count()
    }
}

/// What there is to look at.
pub(super) struct Evidence<'a> {
    pub(super) home: &'a Home,
    pub(super) slack: &'a FakeSlack,
    pub(super) channels: &'a [String],
    pub(super) said: &'a Said,
    pub(super) record: &'a Record,
    /// Whether midwatch was killed: then steps may be interrupted, and it may not have answered.
    pub(super) killed: bool,
}

impl Evidence<'_> {
    /// What is not as it must be; empty when all is well.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut complaints = self.record.complaints.clone();
        self.answers(&mut complaints);
        let (threads, doubled) = self.threads();
        complaints.extend(doubled);
        let marks = self.marks(&mut complaints);
        let typed: HashSet<&str> = self.said.typed.iter().map(|it| it.key.as_str()).collect();
        for (id, life) in &self.record.runs {
            let name = format!("{} `{}`", life.tag, life.command);
            let kind = KINDS.iter().find(|kind| kind.name == life.command);
            let (Some(kind), true) = (kind, typed.contains(life.key.as_str())) else {
                complaints.push(format!("{name}: nobody typed it"));
                continue;
            };
            let thread = threads.get(&life.tag);
            let found = self.run(life, kind, |step| {
                let place = (id.clone(), step.to_owned());
                marks.get(&place).copied().unwrap_or(0)
            });
            let told = thread.map_or_else(
                || vec!["nothing was posted".to_owned()],
                |it| self.told(life, kind, it),
            );
            complaints.extend(
                found
                    .into_iter()
                    .chain(told)
                    .map(|what| format!("{name}: {what}")),
            );
        }
        complaints
    }

    /// Taken: received once and concluded once. Refused: never received.
    fn answers(&self, complaints: &mut Vec<String>) {
        let typed = self
            .said
            .typed
            .iter()
            .map(|it| (it.tag.as_str(), &it.key, it.answer.clone()));
        let pressed = self.said.pressed.iter().map(|(key, answer)| {
            // All that a button can be told is that it did not work; what became of it, the message shows.
            let told = match answer {
                Answer::Refused if self.killed => Answer::Slow,
                other => other.clone(),
            };
            ("a press", key, told)
        });
        for (what, key, answer) in typed.chain(pressed) {
            let (received, concluded) = self.record.inbounds.get(key).copied().unwrap_or((0, 0));
            let fits = match answer {
                Answer::Taken => received == 1,
                Answer::Refused => received == 0,
                Answer::Slow => received <= 1,
                Answer::Nothing => self.killed && received <= 1,
                Answer::Odd(_) => false,
            };
            if !fits || concluded != received {
                complaints.push(format!(
                    "{what}, {key}: answered {answer:?}, received {received} times, concluded {concluded} times"
                ));
            }
        }
    }

    /// What steps did, by run and step, as they wrote it down themselves.
    fn marks(&self, complaints: &mut Vec<String>) -> HashMap<(String, String), usize> {
        let text = std::fs::read_to_string(self.home.path("marks")).unwrap_or_default();
        let mut marks = HashMap::new();
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                [run, _tag, step] if self.record.runs.contains_key(run) => {
                    *marks.entry((run.to_owned(), step.to_owned())).or_default() += 1;
                }
                _ => complaints.push(format!("done without a ledger entry: {line}")),
            }
        }
        marks
    }

    fn run(&self, life: &Life, kind: &Kind, marks: impl Fn(&str) -> usize) -> Vec<String> {
        let outcomes = life.outcomes();
        let [outcome] = outcomes[..] else {
            return vec![format!(
                "it should have ended once, and ended {outcomes:?}; it is at {:?}",
                life.events.last()
            )];
        };
        let mut complaints = Vec::new();
        // A kill may hit a `once` step; a disk that fails is no reason not to know.
        let unknown = self.killed && outcome == "needs_attention";
        if !unknown && !life.could_not_begin() && !kind.outcomes.contains(&outcome) {
            complaints.push(format!(
                "it ended {outcome}: {:?}",
                life.events.iter().rev().take(3).collect::<Vec<_>>()
            ));
        }
        for step in kind.steps {
            let (started, done) = (life.starts(step.name), marks(step.name));
            let repeats = self.killed && step.effect != "once";
            let ended = outcome == "succeeded";
            if done > started
                || (started > 1 && !repeats)
                || (ended && done == 0)
                || (!self.killed && ended && (started, done) != (1, 1))
            {
                complaints.push(format!(
                    "{}: {done} marks, {started} starts in the ledger",
                    step.name
                ));
            }
        }
        complaints
    }

    /// What stands in the workspace by tag, root first, and what was posted twice.
    fn threads(&self) -> (HashMap<String, Vec<Posted>>, Vec<String>) {
        let mut threads: HashMap<String, Vec<Posted>> = HashMap::new();
        let (mut doubled, mut identities) = (Vec::new(), HashSet::new());
        for channel in self.channels {
            let mut tags: HashMap<String, String> = HashMap::new();
            for message in self.slack.messages(channel) {
                if message.user != BOT_USER {
                    continue;
                }
                // Each posting carries its own identity: a second message with it is the same posting again.
                let identity = message.metadata["event_payload"]["id"].to_string();
                if message.files.is_empty() && !identities.insert(identity) {
                    doubled.push(format!("posted twice: {}", render(&message)));
                }
                let tag = match &message.thread {
                    None => tag_of(&message).unwrap_or_default(),
                    Some(root) => tags.get(root).cloned().unwrap_or_default(),
                };
                tags.insert(message.ts.clone(), tag.clone());
                threads.entry(tag).or_default().push(message);
            }
        }
        (threads, doubled)
    }

    /// Holds a run's thread against its life.
    fn told(&self, life: &Life, kind: &Kind, thread: &[Posted]) -> Vec<String> {
        let mut complaints = Vec::new();
        let headline = match life.outcomes().last() {
            Some(&"succeeded") => "succeeded in",
            Some(&"failed") => "failed at",
            Some(&"cancelled") => "was cancelled",
            _ => "needs attention: outcome unknown",
        };
        let reference = format!("· ref {}", life.reference);
        let ends = |message: &Posted| {
            let text = render(message);
            let first = text.lines().next().unwrap_or_default();
            first.contains(headline) && first.ends_with(&reference)
        };
        let (roots, below): (Vec<&Posted>, Vec<&Posted>) =
            thread.iter().partition(|message| message.thread.is_none());
        if roots.len() != 1 || !ends(roots[0]) {
            let shown: Vec<String> = roots.iter().map(|root| render(root)).collect();
            complaints.push(format!("the root should say `{headline}`: {shown:?}"));
        }
        let (files, lines): (Vec<&Posted>, Vec<&Posted>) = below
            .into_iter()
            .partition(|message| !message.files.is_empty());
        // Last lines alone carry a checkpoint.
        let lasts = lines
            .iter()
            .filter(|line| render(line).contains("\u{2014} midwatch/"))
            .count();
        let last_ends = lines.last().is_some_and(|line| ends(line));
        if lasts != 1 || !last_ends || lines.len() != life.lines_owed() {
            let shown: Vec<String> = lines.iter().map(|line| render(line)).collect();
            complaints.push(format!(
                "{} lines are owed, with a last one: {shown:#?}",
                life.lines_owed()
            ));
        }
        // A kill between a file and its record lets it come twice: a file carries no identity of ours.
        for step in kind.steps.iter().filter(|step| step.lines > 0) {
            let whole = printed(step.lines);
            let texts: Vec<&str> = files
                .iter()
                .flat_map(|message| &message.files)
                .map(|(_, text)| text.as_str())
                .collect();
            if !texts.contains(&whole.as_str()) || (texts.len() > 1 && !self.killed) {
                complaints.push(format!(
                    "{}: {} files, with {:?} of {} bytes",
                    step.name,
                    texts.len(),
                    texts.iter().map(|text| text.len()).collect::<Vec<_>>(),
                    whole.len()
                ));
            }
        }
        complaints
    }
}
