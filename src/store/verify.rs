//! Verifies a ledger against checkpoints, without a database: an export, and the notes that were posted in threads.
//!
//! A checkpoint fixes every entry before its size. So whatever was changed is found between the last checkpoint that
//! fits and the first that does not; what a sequence number or a line alone gives away is named exactly.

use std::fmt;
use std::io::{self, BufRead};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::newer::Kinds;
use crate::domain::{Checkpoint, Frontier, Hash, NoteKey, leaf_hash};
use crate::planted;

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many entries were read.
    pub entries: u64,
    /// How many of them are of kinds that this version does not know. They are leaves as the others are.
    pub unread: u64,
    /// Sizes of the checkpoints that fit, ascending.
    pub matching: Vec<u64>,
    /// Whether signatures were checked: a public key was given.
    pub signatures_checked: bool,
    /// What is wrong, in the order in which it was found; at most [`MOST_FINDINGS`].
    pub findings: Vec<String>,
}

/// More findings than this say nothing new.
pub const MOST_FINDINGS: usize = 50;

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signatures = if self.signatures_checked {
            "signatures checked"
        } else {
            "signatures not checked: no public key was given"
        };
        writeln!(
            f,
            "{}: {} entries, {} checkpoints fit; {signatures}",
            if self.is_sound() {
                "sound"
            } else {
                "NOT SOUND"
            },
            self.entries,
            self.matching.len()
        )?;
        if self.unread > 0 {
            writeln!(f, "{}", unread_in_words(self.unread))?;
        }
        for finding in &self.findings {
            writeln!(f, "- {finding}")?;
        }
        Ok(())
    }
}

/// What is said of entries whose kind this version does not know.
pub fn unread_in_words(count: u64) -> String {
    let (entries, they) = if count == 1 {
        ("entry", "it is")
    } else {
        ("entries", "they are")
    };
    format!(
        "{count} {entries} of a kind that this version of midwatch does not know: {they} proven, and nothing is said of what {they} about"
    )
}

/// Verifies an export: one entry a line, then `{"checkpoint": NOTE}`.
///
/// `public_key` is the line of `ledger.pub`; `witnesses` are notes as they were posted in threads.
///
/// # Errors
/// When the export can't be read, or the public key is none.
pub fn verify_export(
    mut reader: impl BufRead,
    public_key: Option<&str>,
    witnesses: &[String],
) -> io::Result<Report> {
    let key = public_key.map(NoteKey::parse).transpose();
    let key = key.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut checker = Checker::new(key, witnesses);
    let mut closing: Option<String> = None;
    let mut line = Vec::new();
    let mut number = 0_u64;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        if closing.is_some() {
            checker.find(format!(
                "line {number}: something follows the closing checkpoint"
            ));
            break;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        match serde_json::from_slice::<Closing>(text) {
            Ok(found) => closing = Some(found.checkpoint),
            Err(_) => checker.entry(text),
        }
    }
    match closing {
        Some(note) => checker.close(&note),
        None => checker.find(
            "the export is cut: its last line is no checkpoint; export it again, or ask for the rest"
                .to_owned(),
        ),
    }
    Ok(checker.finish())
}

/// The last line of an export.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Closing {
    checkpoint: String,
}

/// As much of an entry as verification needs; whatever a later version puts into it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    sequence: u64,
    #[serde(rename = "at")]
    _at: IgnoredAny,
    #[serde(rename = "fact")]
    _fact: IgnoredAny,
}

/// As much of an entry as stands beside it in columns of its own.
#[derive(Deserialize)]
struct Columns {
    sequence: i64,
    fact: OfRun,
}

#[derive(Deserialize)]
struct OfRun {
    #[serde(default)]
    run: Option<String>,
}

/// Takes a ledger line by line.
pub(super) struct Checker {
    key: Option<NoteKey>,
    tree: Frontier,
    /// The sequence that the next line should have.
    expected: u64,
    /// Checkpoints not yet reached, largest first.
    ahead: Vec<(String, Checkpoint)>,
    /// Those that were reached and have another root, with their sizes, ascending.
    unfit: Vec<(String, u64)>,
    kinds: Kinds,
    report: Report,
}

impl Checker {
    pub(super) fn new(key: Option<NoteKey>, witnesses: &[String]) -> Self {
        let mut checker = Self {
            report: Report {
                entries: 0,
                unread: 0,
                matching: Vec::new(),
                signatures_checked: key.is_some(),
                findings: Vec::new(),
            },
            key,
            tree: Frontier::new(),
            expected: 0,
            ahead: Vec::new(),
            unfit: Vec::new(),
            kinds: Kinds::default(),
        };
        for (n, note) in witnesses.iter().enumerate() {
            checker.witness(format!("witness {}", n + 1), note);
        }
        checker
    }

    /// Adds a checkpoint to compare with; all before the first entry.
    pub(super) fn witness(&mut self, name: String, note: &str) {
        if let Some(checkpoint) = self.read(&name, note) {
            // The store gives them largest first, one for each run: each is put at the end, and nothing is sorted again.
            let at = self
                .ahead
                .partition_point(|(_, c)| c.size >= checkpoint.size);
            self.ahead.insert(at, (name, checkpoint));
        }
    }

    fn read(&mut self, name: &str, note: &str) -> Option<Checkpoint> {
        let read = match &self.key {
            Some(_) if planted::is("signature-unchecked") => Checkpoint::parse(note),
            Some(key) => key.verify(note),
            None => Checkpoint::parse(note),
        };
        read.map_err(|error| self.find(format!("{name}: {error}")))
            .ok()
    }

    pub(super) fn find(&mut self, finding: String) {
        if self.report.findings.len() < MOST_FINDINGS {
            self.report.findings.push(finding);
        }
    }

    /// Takes the next entry.
    pub(super) fn entry(&mut self, line: &[u8]) {
        self.compare_reached();
        let place = self.tree.size() + 1;
        match serde_json::from_slice::<Head>(line) {
            Err(error) => {
                self.find(format!("line {place}: not an entry: {error}"));
                self.expected += 1;
            }
            Ok(Head { sequence, .. }) => {
                let expected = self.expected;
                if sequence > expected {
                    self.find(format!(
                        "line {place}: {} missing before entry {sequence}: removed, or moved elsewhere",
                        entries(expected, sequence)
                    ));
                } else if sequence < expected {
                    self.find(format!(
                        "line {place}: entry {sequence} stands where entry {expected} should: inserted, doubled or moved"
                    ));
                }
                self.expected = expected.max(sequence + 1);
            }
        }
        if !self.kinds.knows(line) {
            self.report.unread += 1;
        }
        self.tree.push(leaf_hash(line));
        self.report.entries = self.tree.size();
    }

    /// Compares the latest entry with the columns beside its line. Nothing signs these, and a run's history is looked up
    /// by them: an entry could be hidden from it, or shown in another's.
    pub(super) fn columns(&mut self, sequence: i64, run: Option<&str>, line: &str) {
        let Ok(says) = serde_json::from_str::<Columns>(line) else {
            return; // No entry: that has been found already.
        };
        let entry = says.sequence;
        if sequence != entry {
            self.find(format!("entry {entry} is filed as number {sequence}"));
        }
        if run != says.fact.run.as_deref() {
            let named =
                |run: Option<&str>| run.map_or("no run".to_owned(), |it| format!("run {it}"));
            self.find(format!(
                "entry {entry} is filed under {} and is about {}",
                named(run),
                named(says.fact.run.as_deref())
            ));
        }
    }

    /// Whether every entry so far was of a kind that this version knows.
    pub(super) fn knows_all(&self) -> bool {
        self.report.unread == 0
    }

    /// Compares with every checkpoint of the present size.
    fn compare_reached(&mut self) {
        while let Some((name, checkpoint)) = self.ahead.pop_if(|(_, c)| c.size <= self.tree.size())
        {
            if planted::is("witness-not-compared") {
                continue;
            }
            self.compare(&name, &checkpoint, self.tree.root());
        }
    }

    fn compare(&mut self, name: &str, checkpoint: &Checkpoint, root: Hash) {
        if checkpoint.root != root {
            self.unfit.push((name.to_owned(), checkpoint.size));
        } else if self.report.matching.last() != Some(&checkpoint.size) {
            self.report.matching.push(checkpoint.size);
        }
    }

    /// Takes the closing checkpoint, which must be of exactly these entries.
    fn close(&mut self, note: &str) {
        self.compare_reached();
        let name = "the closing checkpoint";
        let Some(checkpoint) = self.read(name, note) else {
            return;
        };
        let size = self.tree.size();
        if checkpoint.size == size {
            self.compare(name, &checkpoint, self.tree.root());
        } else {
            self.find(format!(
                "{name} is of {} entries and {size} are there: cut, removed or inserted",
                checkpoint.size
            ));
        }
    }

    pub(super) fn tree(&self) -> &Frontier {
        &self.tree
    }

    pub(super) fn finish(mut self) -> Report {
        self.compare_reached();
        self.judge_unfit();
        let size = self.tree.size();
        while let Some((name, checkpoint)) = self.ahead.pop() {
            self.find(format!(
                "{name}: it was signed over {} entries and {size} are there: {} cut off or removed",
                checkpoint.size,
                entries(size, checkpoint.size)
            ));
        }
        self.report
    }

    /// Once an entry is changed no later checkpoint fits: so the first says where, and the others say nothing new.
    fn judge_unfit(&mut self) {
        let fit = self.report.matching.last().copied().unwrap_or(0);
        let unfit = std::mem::take(&mut self.unfit);
        let (foreign, broken): (Vec<_>, Vec<_>) = unfit.iter().partition(|(_, size)| *size <= fit);
        for (name, size) in foreign {
            // Signed with this key, it is of this ledger as it once was.
            let why = if self.key.is_some() {
                "this ledger's key signed entries that are not in it any more: it was set back to an older state, or rewritten with the key"
            } else {
                "it is of another ledger, or this one was set back to an older state"
            };
            self.find(format!(
                "{name}: another root at size {size}, although a checkpoint fits at {fit}: {why}"
            ));
        }
        if let Some((name, size)) = broken.first() {
            self.find(format!(
                "{name}: {} not what they were when it was signed: changed, inserted, removed or moved",
                entries(fit, *size)
            ));
        }
    }
}

/// `entry 3 is`, `entries 3 to 5 are`.
fn entries(from: u64, until: u64) -> String {
    if until <= from + 1 {
        format!("entry {from} is")
    } else {
        format!("entries {from} to {} are", until - 1)
    }
}
