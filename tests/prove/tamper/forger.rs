//! Ways to edit an exported ledger, from the clumsy to the careful. Each is meant to be found.

use data_encoding::BASE64;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::Value;

/// An export as the forger sees it.
#[derive(Clone)]
pub(super) struct Export {
    /// One line for each entry.
    pub(super) entries: Vec<String>,
    /// The note of the last line.
    pub(super) closing: Option<String>,
    /// What follows the last line, and should not.
    pub(super) after: Vec<String>,
    /// How many bytes the file is short of.
    pub(super) short_of: usize,
}

/// What a forger may have at hand beside the export.
pub(super) struct Loot {
    /// Valid checkpoints of this very ledger, older than its end, oldest first.
    pub(super) older: Vec<String>,
    /// A valid export of another midwatch.
    pub(super) foreign: Export,
}

/// Edits the export.
type Forge = fn(&mut Export, &Loot, &mut StdRng);

/// Name, and how it is done.
pub(super) const FORGERIES: &[(&str, Forge)] = &[
    ("a character changed", |export, _, random| {
        let (entry, at) = place(export, random);
        let old = export.entries[entry].as_bytes()[at];
        let new = *b"abcdefghij0123456789"
            .iter()
            .filter(|new| **new != old)
            .collect::<Vec<_>>()
            .choose(random)
            .expect("many are left");
        export.entries[entry].replace_range(at..=at, &char::from(*new).to_string());
    }),
    ("a value changed, still an entry", |export, _, random| {
        // Every entry has a moment: another second.
        let entry = random.random_range(0..export.entries.len());
        export.entries[entry] = another_moment(&export.entries[entry]);
    }),
    ("a person replaced", |export, _, random| {
        let named: Vec<usize> = (0..export.entries.len())
            .filter(|n| export.entries[*n].contains("\"ana\""))
            .collect();
        let entry = *named.choose(random).expect("ana did something");
        export.entries[entry] = export.entries[entry].replace("\"ana\"", "\"kim\"");
    }),
    ("keys in another order", |export, _, random| {
        let entry = random.random_range(0..export.entries.len());
        let value: Value = serde_json::from_str(&export.entries[entry]).expect("an entry is JSON");
        export.entries[entry] = format!(
            "{{\"sequence\":{},\"at\":{},\"fact\":{}}}",
            value["sequence"], value["at"], value["fact"]
        );
    }),
    ("a space added", |export, _, random| {
        let entry = random.random_range(0..export.entries.len());
        let at = *[0, 1, export.entries[entry].len()]
            .choose(random)
            .expect("three places");
        export.entries[entry].insert(at, ' ');
    }),
    ("a carriage return added", |export, _, random| {
        let entry = random.random_range(0..export.entries.len());
        export.entries[entry].push('\r');
    }),
    ("entries removed", |export, _, random| {
        for _ in 0..random.random_range(1..4) {
            export
                .entries
                .remove(random.random_range(0..export.entries.len()));
        }
    }),
    (
        "an entry removed, numbers closed up",
        |export, _, random| {
            export
                .entries
                .remove(random.random_range(0..export.entries.len()));
            renumber(export);
        },
    ),
    (
        "an entry removed, numbers closed up, size in the closing checkpoint edited",
        |export, _, random| {
            export
                .entries
                .remove(random.random_range(0..export.entries.len()));
            renumber(export);
            let size = export.entries.len().to_string();
            closing_line(export, 1, |line| *line = size);
        },
    ),
    ("two entries swapped", |export, _, random| {
        let (a, b) = two(export, random);
        export.entries.swap(a, b);
    }),
    (
        "two entries swapped, numbers put right",
        |export, _, random| {
            let (a, b) = two(export, random);
            export.entries.swap(a, b);
            renumber(export);
        },
    ),
    (
        "all entries shuffled, numbers put right",
        |export, _, random| {
            let before = export.entries.clone();
            while export.entries == before {
                export.entries.shuffle(random);
            }
            renumber(export);
        },
    ),
    ("an entry moved", |export, _, random| {
        let (from, to) = two(export, random);
        let entry = export.entries.remove(from);
        export.entries.insert(to, entry);
    }),
    ("an entry doubled", |export, _, random| {
        let entry = random.random_range(0..export.entries.len());
        export.entries.insert(
            random.random_range(0..=export.entries.len()),
            export.entries[entry].clone(),
        );
    }),
    (
        "an entry inserted, numbers put right",
        |export, _, random| {
            let entry = random.random_range(0..export.entries.len());
            export.entries.insert(
                random.random_range(0..=export.entries.len()),
                export.entries[entry].clone(),
            );
            renumber(export);
        },
    ),
    (
        "an entry of another ledger in its place",
        |export, loot, random| {
            let entry =
                random.random_range(0..export.entries.len().min(loot.foreign.entries.len()));
            export.entries[entry].clone_from(&loot.foreign.entries[entry]);
        },
    ),
    ("an empty line inserted", |export, _, random| {
        export
            .entries
            .insert(random.random_range(0..=export.entries.len()), String::new());
    }),
    ("two lines joined", |export, _, random| {
        let first = random.random_range(0..export.entries.len() - 1);
        let second = export.entries.remove(first + 1);
        export.entries[first].push_str(&second);
    }),
    ("a line cut short", |export, _, random| {
        let (entry, at) = place(export, random);
        export.entries[entry].truncate(at);
    }),
    (
        "the tail cut off, closing checkpoint kept",
        |export, _, random| {
            export
                .entries
                .truncate(random.random_range(0..export.entries.len()));
        },
    ),
    (
        "the tail cut off, no closing checkpoint",
        |export, _, random| {
            export
                .entries
                .truncate(random.random_range(0..=export.entries.len()));
            export.closing = None;
        },
    ),
    ("the file cut at any byte", |export, _, random| {
        // The newline at the end alone says nothing, and is forgiven.
        export.short_of = random.random_range(2..600);
    }),
    (
        "the head cut off, numbers put right",
        |export, _, random| {
            export
                .entries
                .drain(..random.random_range(1..export.entries.len()));
            renumber(export);
        },
    ),
    ("closing checkpoint: another size", |export, _, random| {
        let size = random.random_range(0..2 * export.entries.len());
        let size = if size == export.entries.len() {
            size + 1
        } else {
            size
        };
        closing_line(export, 1, |line| *line = size.to_string());
    }),
    ("closing checkpoint: another root", |export, _, random| {
        let bit = random.random_range(0..256);
        closing_line(export, 2, |line| *line = flip(line, bit));
    }),
    (
        "closing checkpoint: another signature",
        |export, _, random| {
            let bit = random.random_range(0..68 * 8);
            closing_line(export, 4, |line| {
                let (name, signature) = line
                    .rsplit_once(' ')
                    .expect("a signature line has three words");
                *line = format!("{name} {}", flip(signature, bit));
            });
        },
    ),
    ("closing checkpoint: no signature", |export, _, _| {
        let closing = export.closing.as_mut().expect("it is there");
        let signature = closing.find('\u{2014}').expect("it is signed");
        closing.truncate(signature);
    }),
    (
        "closing checkpoint: of another ledger",
        |export, loot, _| {
            export.closing.clone_from(&loot.foreign.closing);
        },
    ),
    (
        "closing checkpoint: an older one, all entries kept",
        |export, loot, random| {
            export.closing = loot.older.choose(random).cloned();
        },
    ),
    (
        "something after the closing checkpoint",
        |export, _, random| {
            let entry = export.entries.choose(random).cloned();
            export.after = vec![entry.expect("entries are there")];
        },
    ),
    ("closing checkpoint twice", |export, _, _| {
        export.after = vec![closing_json(
            export.closing.as_deref().expect("it is there"),
        )];
    }),
    ("another ledger, sound in itself", |export, loot, _| {
        *export = loot.foreign.clone();
    }),
];

impl Export {
    pub(super) fn read(text: &str) -> Self {
        let mut entries: Vec<String> = text.lines().map(str::to_owned).collect();
        let closing = entries.pop().expect("an export has a last line");
        let closing: Value = serde_json::from_str(&closing).expect("the last line is JSON");
        let closing = closing["checkpoint"]
            .as_str()
            .expect("the last line is a checkpoint");
        Self {
            entries,
            closing: Some(closing.to_owned()),
            after: Vec::new(),
            short_of: 0,
        }
    }

    pub(super) fn text(&self) -> String {
        let closing = self.closing.as_deref().map(closing_json);
        let lines = self.entries.iter().chain(&closing).chain(&self.after);
        let mut text = lines.fold(String::new(), |text, line| text + line + "\n");
        text.truncate(text.floor_char_boundary(text.len().saturating_sub(self.short_of)));
        text
    }
}

fn closing_json(note: &str) -> String {
    serde_json::json!({ "checkpoint": note }).to_string()
}

/// An entry and a byte of it, at a character's beginning.
fn place(export: &Export, random: &mut StdRng) -> (usize, usize) {
    let entry = random.random_range(0..export.entries.len());
    let ascii: Vec<usize> = export.entries[entry]
        .bytes()
        .enumerate()
        .filter(|(_, b)| b.is_ascii())
        .map(|(at, _)| at)
        .collect();
    (entry, *ascii.choose(random).expect("an entry is not empty"))
}

/// Two different places.
fn two(export: &Export, random: &mut StdRng) -> (usize, usize) {
    let a = random.random_range(0..export.entries.len());
    let b = (a + random.random_range(1..export.entries.len())) % export.entries.len();
    (a, b)
}

/// The entry with another second in its moment.
pub(super) fn another_moment(entry: &str) -> String {
    let mut value: Value = serde_json::from_str(entry).expect("an entry is JSON");
    let at = value["at"].as_str().expect("an entry has a moment");
    let (before, after) = at.split_at(17);
    let other = if after.starts_with('0') { '1' } else { '0' };
    value["at"] = format!("{before}{other}{}", &after[1..]).into();
    midwatch::domain::canonical_json(&value)
}

/// Edits the entry as JSON; its keys stay sorted, as the ledger has them.
fn edit(export: &mut Export, entry: usize, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_str(&export.entries[entry]).expect("an entry is JSON");
    change(&mut value);
    export.entries[entry] = midwatch::domain::canonical_json(&value);
}

/// Makes the sequence gapless again.
fn renumber(export: &mut Export) {
    for n in 0..export.entries.len() {
        edit(export, n, |value| value["sequence"] = n.into());
    }
}

fn closing_line(export: &mut Export, line: usize, change: impl FnOnce(&mut String)) {
    let closing = export.closing.as_mut().expect("it is there");
    let mut lines: Vec<String> = closing.split('\n').map(str::to_owned).collect();
    change(&mut lines[line]);
    *closing = lines.join("\n");
}

/// Base64 with one bit flipped.
fn flip(text: &str, bit: usize) -> String {
    let mut bytes = BASE64.decode(text.as_bytes()).expect("a note holds base64");
    bytes[bit / 8] ^= 1 << (bit % 8);
    BASE64.encode(&bytes)
}
