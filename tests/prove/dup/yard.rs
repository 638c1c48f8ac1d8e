//! The proof's own commands: each step writes down that it was done, so that twice can be seen.

use std::fmt::Write as _;
use std::path::Path;

use crate::bot::Home;
use crate::fakes::discord::{ALICE, BEN, CLEO};

/// A command of the proof.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Names of its steps, with their effects.
    pub(super) steps: &'static [(&'static str, &'static str)],
    /// How long its first step goes on after its mark.
    seconds: &'static str,
    /// How many must consent.
    pub(super) consents: usize,
}

pub(super) const KINDS: [Kind; 4] = [
    kind("quick", &[("one", "once")]),
    Kind {
        seconds: "1.5",
        ..kind("slow", &[("one", "once")])
    },
    kind("pair", &[("one", "once"), ("two", "idempotent")]),
    Kind {
        consents: 2,
        ..kind("agreed", &[("one", "once")])
    },
];

const fn kind(name: &'static str, steps: &'static [(&'static str, &'static str)]) -> Kind {
    Kind {
        name,
        steps,
        seconds: "0",
        consents: 0,
    }
}

/// One write to a file opened for appending, in the folder that holds `commands/`.
const MARK: &str = "echo \"$1 $2\" >> marks\nexec sleep \"$3\"\n";

/// Somebody with an account on each platform.
pub(super) struct Person {
    name: &'static str,
    pub(super) slack: &'static str,
    pub(super) discord: &'static str,
}

pub(super) const TYPISTS: [Person; 3] = [
    person("bo", "U0BO", CLEO),
    person("kim", "U0KIM", "820000000000000011"),
    person("lee", "U0LEE", "820000000000000012"),
];
/// Those who consent: each once.
pub(super) const LEADS: [Person; 2] = [person("ana", "U0ANA", ALICE), person("cy", "U0CY", BEN)];

const fn person(name: &'static str, slack: &'static str, discord: &'static str) -> Person {
    Person {
        name,
        slack,
        discord,
    }
}

fn people() -> String {
    let mut text = "people:\n".to_owned();
    for Person {
        name,
        slack,
        discord,
    } in LEADS.iter().chain(&TYPISTS)
    {
        let accounts = format!("slack: {slack}, discord: \"{discord}\"");
        let _ = writeln!(text, "  {name}: {{ name: {name}, {accounts} }}"); // Writing to a text can't fail.
    }
    text + "groups:\n  all: [ana, cy, bo, kim, lee]\n  leads: [ana, cy]\n"
}

/// A home with the commands.
pub(super) fn home(channels: &[String]) -> Home {
    let mut files = vec![
        ("mark.sh".to_owned(), MARK.to_owned()),
        ("runbooks/people.yaml".to_owned(), people()),
        ("runbooks/yard.yaml".to_owned(), runbook(channels)),
    ];
    files.extend(KINDS.iter().map(|kind| {
        let file = format!("commands/{}.yaml", kind.name);
        (file, command(kind))
    }));
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (&**a, &**b)).collect();
    Home::of_files(&files)
}

/// Makes a home that of another replica: the same key, the same commands, and so the same marks.
pub(super) fn share(first: &Home, other: &mut Home) {
    let key = std::fs::read_to_string(first.path("data/ledger.key")).unwrap();
    other.write("data/ledger.key", &key);
    other.set("MIDWATCH_COMMANDS", first.path("commands").display());
}

/// A line for each time that a step was done: `TAG STEP`.
pub(super) fn marks(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("marks")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn runbook(channels: &[String]) -> String {
    let mut text = format!(
        "project: yard\nabout: The proof's own.\nowner: leads\nchannels: [{}]\nenvironments: {{ here: {{}} }}\nrules:\n",
        channels
            .iter()
            .map(|it| format!("\"{it}\""))
            .collect::<Vec<_>>()
            .join(", ")
    );
    for Kind { name, consents, .. } in KINDS {
        let after = if consents > 0 {
            format!(", after: {{ approvals: {consents}, of: leads, within: 30m }}")
        } else {
            String::new()
        };
        let _ = writeln!(text, "  - {{ may: {name}, who: all{after} }}"); // As above.
    }
    text + "  - otherwise: ask ana\nescalation:\n  - { at: 0m, call: \"@ana\" }\n"
}

fn command(kind: &Kind) -> String {
    let mut text = format!(
        "command: {}\ndoes: Leaves marks.\nrisk: low\nundo: none\n\
         parameters:\n  tag: {{ type: text, matches: '[a-z0-9-]{{1,40}}' }}\nsteps:\n",
        kind.name
    );
    for (step, effect) in kind.steps {
        let seconds = kind.seconds;
        let run = format!("[sh, mark.sh, \"{{tag}}\", {step}, \"{seconds}\"]");
        let _ = writeln!(text, "  - {{ name: {step}, run: {run}, effect: {effect} }}"); // As above.
    }
    text
}
