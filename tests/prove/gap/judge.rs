//! What the ledger and the marks say, held against what was typed.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::AddAssign;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use midwatch::domain::{Decided, Entry, Fact, RunEvent, RunId};

use super::people::{Kind, Typed, is_late};

/// An exported ledger.
#[derive(Default)]
pub(super) struct Ledger {
    received: HashMap<String, u32>,
    concluded: HashMap<String, Vec<(Timestamp, Conclusion)>>,
    /// By the inbound, the run that it became.
    runs: HashMap<String, RunId>,
    /// Runs with a step that was cut off by a kill.
    interrupted: HashSet<RunId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Conclusion {
    Run,
    Held(String),
    Refused(String),
    Answered,
}

impl Ledger {
    pub(super) fn read(export: &str) -> Self {
        let mut ledger = Self::default();
        let lines = export
            .lines()
            .filter(|line| !line.starts_with("{\"checkpoint\""));
        for line in lines {
            let Entry { at, fact, .. } = serde_json::from_str(line).expect("an entry");
            let (inbound, conclusion) = match fact {
                Fact::Received { inbound, .. } => {
                    *ledger
                        .received
                        .entry(inbound.as_str().to_owned())
                        .or_default() += 1;
                    continue;
                }
                Fact::Refused {
                    inbound, refusal, ..
                } => (inbound, Conclusion::Refused(refusal)),
                Fact::Answered { inbound, .. } => (inbound, Conclusion::Answered),
                Fact::Decided {
                    inbound,
                    decision: Decided::Hold(word),
                    ..
                } => (inbound, Conclusion::Held(word)),
                Fact::Decided {
                    inbound,
                    run: Some(run),
                    ..
                } => {
                    ledger.runs.insert(inbound.as_str().to_owned(), run);
                    (inbound, Conclusion::Run)
                }
                Fact::Run {
                    run,
                    happened: RunEvent::StepInterrupted { .. },
                    ..
                } => {
                    ledger.interrupted.insert(run);
                    continue;
                }
                Fact::Decided { inbound, .. } => {
                    (inbound, Conclusion::Refused("denied".to_owned()))
                }
                _ => continue,
            };
            let concluded = ledger.concluded.entry(inbound.as_str().to_owned());
            concluded.or_default().push((at, conclusion));
        }
        ledger
    }

    pub(super) fn received(&self, typed: &Typed) -> u32 {
        self.received.get(&typed.key).copied().unwrap_or(0)
    }

    /// When it was decided on what becomes of it.
    pub(super) fn decided_at(&self, typed: &Typed) -> Option<Timestamp> {
        Some(self.concluded.get(&typed.key)?.first()?.0)
    }

    /// Whether it waits for a press.
    pub(super) fn held(&self, typed: &Typed) -> bool {
        let late = "late".to_owned();
        let held = match typed.kind {
            Kind::Consents(_) => Conclusion::Refused(late),
            _ => Conclusion::Held(late),
        };
        self.conclusions(&typed.key) == [held]
    }

    /// Whether a kill cut its step off: then nobody knows whether it was done.
    fn is_unknown(&self, typed: &Typed) -> bool {
        let run = self.runs.get(&typed.key);
        run.is_some_and(|run| self.interrupted.contains(run))
    }

    fn conclusions(&self, key: &str) -> Vec<Conclusion> {
        let concluded = self.concluded.get(key).into_iter().flatten();
        concluded.map(|(_, how)| how.clone()).collect()
    }
}

/// How often each tag was marked.
pub(super) fn marks(path: &Path) -> HashMap<String, usize> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut marks = HashMap::new();
    for tag in text.lines() {
        *marks.entry(tag.to_owned()).or_default() += 1;
    }
    marks
}

/// What is not as it must be.
#[derive(Default)]
pub(super) struct Complaints {
    /// Empty when all is well.
    pub(super) all: Vec<String>,
    /// Whether one of them stays true, however long we wait: the ledger takes nothing back.
    pub(super) for_good: bool,
}

/// What is not as it must be.
pub(super) fn complaints(
    typed: &[Typed],
    ledger: &Ledger,
    marks: &HashMap<String, usize>,
) -> Complaints {
    let mut complaints = Vec::new();
    let mut for_good = false;
    let mut known: HashSet<&str> = HashSet::new();
    // What each tag may have been marked; a run that waits for consent is marked by who consents.
    let mut due: HashMap<String, usize> = HashMap::new();
    let mut unknown: HashSet<String> = HashSet::new();
    for typed in typed {
        let found = one(typed, ledger);
        for_good |= found.for_good;
        complaints.extend(found.complaints.into_iter().map(|what| {
            format!(
                "{} {:?} in {}: {what}",
                typed.tag, typed.kind, typed.channel
            )
        }));
        known.extend([typed.key.as_str()]);
        known.extend(typed.press_keys.iter().map(String::as_str));
        known.extend(typed.late_presses.iter().map(String::as_str));
        *due.entry(marked_as(typed)).or_default() += usize::from(found.done);
        if ledger.is_unknown(typed) {
            unknown.insert(marked_as(typed));
        }
    }
    for (tag, due) in &due {
        let found = marks.get(tag).copied().unwrap_or(0);
        if found != *due && !(found < *due && unknown.contains(tag)) {
            complaints.push(format!("{tag} was done {found} times, and not {due}"));
        }
    }
    for tag in marks.keys().filter(|tag| !due.contains_key(*tag)) {
        complaints.push(format!("{tag} was done, and nobody may have heard of it"));
    }
    for key in ledger.received.keys() {
        if !known.contains(key.as_str()) {
            for_good = true;
            complaints.push(format!("{key} was received, and nobody typed it"));
        }
    }
    Complaints {
        all: complaints,
        for_good,
    }
}

/// Whose mark it leaves.
fn marked_as(typed: &Typed) -> String {
    match &typed.kind {
        Kind::Consents(_) => format!("{}-wait", &typed.tag[..5]),
        _ => typed.tag.clone(),
    }
}

/// What was found of one message.
struct Found {
    /// It, or a press of its card, must have been done by now.
    done: bool,
    complaints: Vec<String>,
    /// Whether one of them stays true.
    for_good: bool,
}

fn one(typed: &Typed, ledger: &Ledger) -> Found {
    let mut complaints = Vec::new();
    let received = ledger.received(typed);
    let conclusions = ledger.conclusions(&typed.key);
    if typed.kind == Kind::Nothing {
        if received > 0 {
            complaints.push("it was heard".to_owned());
        }
        return Found {
            done: false,
            complaints,
            for_good: received > 0,
        };
    }
    let late = ledger
        .decided_at(typed)
        .is_some_and(|at| is_late(typed, at));
    let word = |text: &str| text.to_owned();
    let right = match (&typed.kind, late) {
        (Kind::Reads | Kind::Waits, _) | (Kind::Changes, false) => Conclusion::Run,
        (Kind::Changes, true) => Conclusion::Held(word("late")),
        (Kind::Consents(_), true) => Conclusion::Refused(word("late")),
        (Kind::Consents(_), false) | (Kind::Asks, _) => Conclusion::Answered,
        (Kind::Edited, _) => Conclusion::Refused(word("edited")),
        (Kind::App, _) => Conclusion::Refused(word("bot")),
        (Kind::Nothing, _) => {
            return Found {
                done: false,
                complaints,
                for_good: false,
            };
        }
    };
    let for_good = received > 1 || conclusions.iter().any(|it| *it != right);
    if received != 1 || conclusions != [right.clone()] {
        complaints.push(format!(
            "received {received} times, concluded {conclusions:?} and not {right:?}"
        ));
    }
    let again = match typed.kind {
        Kind::Consents(_) => Conclusion::Answered,
        _ => Conclusion::Run,
    };
    for key in &typed.press_keys {
        let conclusions = ledger.conclusions(key);
        if ledger.received.get(key) != Some(&1) || conclusions != [again.clone()] {
            complaints.push(format!("its press {key} was concluded {conclusions:?}"));
        }
    }
    for key in &typed.late_presses {
        let conclusions = ledger.conclusions(key);
        if ledger.received.get(key) != Some(&1) || conclusions != [right.clone()] {
            complaints.push(format!(
                "its late press {key} was concluded {conclusions:?}"
            ));
        }
    }
    let runs = matches!(typed.kind, Kind::Reads | Kind::Changes | Kind::Consents(_));
    Found {
        done: runs && (!late || typed.kind == Kind::Reads || typed.pressed),
        complaints,
        for_good,
    }
}

/// What was done and looked at.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) gaps: usize,
    pub(super) longest: Duration,
    pub(super) typed: usize,
    pub(super) seen: usize,
    pub(super) late: usize,
    pub(super) presses: usize,
    pub(super) late_presses: usize,
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.gaps += other.gaps;
        self.longest = self.longest.max(other.longest);
        self.typed += other.typed;
        self.seen += other.seen;
        self.late += other.late;
        self.presses += other.presses;
        self.late_presses += other.late_presses;
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} gaps, the longest {} s; {} messages, {} of them for midwatch, each heard once; {} were decided on late: those that \
             change something were done after one of {} fresh presses, and once, or not at all; {} presses were late themselves",
            self.gaps,
            self.longest.as_secs(),
            self.typed,
            self.seen,
            self.late,
            self.presses,
            self.late_presses,
        )
    }
}
