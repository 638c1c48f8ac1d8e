//! The simulation's own commands and runbooks in three revisions; and who may what, written down a second time.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use midwatch::catalog::{Folders, load};
use midwatch::domain::Catalog;

/// A command of the simulation.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Name, effect, attempts.
    steps: &'static [(&'static str, &'static str, u32)],
    /// Two runs of it in one environment exclude each other.
    pub(super) exclusive: bool,
    fresh: bool,
    /// How often it is typed, compared with the others.
    pub(super) weight: u32,
}

const fn kind(
    name: &'static str,
    steps: &'static [(&'static str, &'static str, u32)],
    exclusive: bool,
) -> Kind {
    Kind {
        name,
        steps,
        exclusive,
        fresh: false,
        weight: 2,
    }
}

pub(super) const KINDS: &[Kind] = &[
    kind("look", &[("look", "read", 2)], false),
    kind("tidy", &[("tidy", "idempotent", 3)], false),
    kind("send", &[("send", "keyed", 2)], false),
    kind("place", &[("place", "checked", 1)], false),
    kind("ring", &[("ring", "once", 1)], true),
    kind(
        "ship",
        &[
            ("look", "read", 1),
            ("pack", "idempotent", 2),
            ("sign", "once", 1),
            ("send", "keyed", 1),
            ("place", "checked", 1),
        ],
        true,
    ),
    Kind {
        fresh: true,
        ..kind("flush", &[("flush", "idempotent", 1)], true)
    },
    Kind {
        weight: 6,
        ..kind(
            "fetch",
            &[("open", "once", 1), ("fetch", "idempotent", 1)],
            false,
        )
    },
    Kind {
        weight: 4,
        ..kind(
            "launch",
            &[("launch", "once", 1), ("send", "keyed", 2)],
            true,
        )
    },
];

pub(super) const ENVIRONMENTS: [&str; 2] = ["here", "prod"];
pub(super) const CHANNELS: [&str; 3] = ["C1", "C2", "C3"];
/// Those who type, more often the more often they stand here. The last two are in no file, or in no group.
pub(super) const PEOPLE: [&str; 12] = [
    "bo", "bo", "bo", "kim", "kim", "cy", "cy", "ana", "ana", "eve", "dee", "who",
];

/// What the runbook says, as a person reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    Yes,
    /// After the consent of so many leads.
    Consent(usize),
    No,
}

/// Who may what in each revision.
pub(super) fn may(revision: usize, command: &str, environment: &str, person: &str) -> May {
    let crew: &[&str] = match revision {
        1 => &["ana", "cy", "eve", "kim"],
        _ => &["ana", "cy", "eve", "kim", "bo"],
    };
    match (revision, command, environment) {
        _ if !crew.contains(&person) => May::No,
        (_, "ring", "prod") | (2, "launch", "prod") | (2, "tidy" | "place", _) => May::No,
        (1, "fetch", _) | (_, "launch", _) => May::Consent(2),
        (_, "fetch", _) => May::Consent(1),
        _ => May::Yes,
    }
}

/// Whose consent counts, and who answers for the project.
pub(super) fn leads(revision: usize) -> [&'static str; 3] {
    match revision {
        1 => ["ana", "kim", "eve"],
        _ => ["ana", "cy", "eve"],
    }
}

/// Whether every step of the command only reads.
pub(super) fn only_reads(command: &str) -> bool {
    command == "look"
}

/// The three revisions, read from files as in service.
pub(crate) fn catalogs() -> Vec<Arc<Catalog>> {
    (0..3).map(|revision| Arc::new(catalog(revision))).collect()
}

fn catalog(revision: usize) -> Catalog {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folders = Folders {
        commands: folder.path().join("commands"),
        runbooks: folder.path().join("runbooks"),
    };
    let write = |folder: &Path, name: &str, text: String| {
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(folder.join(name), text).expect("a file");
    };
    for kind in KINDS {
        if (revision, kind.name) != (2, "place") {
            let name = format!("{}.yaml", kind.name);
            write(&folders.commands, &name, command(kind));
        }
    }
    write(&folders.runbooks, "people.yaml", people(revision));
    write(&folders.runbooks, "yard.yaml", runbook(revision));
    let loaded = load(&folders, &std::collections::BTreeMap::new());
    let mistakes: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|it| it.is_error())
        .collect();
    assert!(mistakes.is_empty(), "{mistakes:?}");
    loaded.catalog
}

fn command(kind: &Kind) -> String {
    let mut text = format!(
        "command: {}\ndoes: Does {0}.\nrisk: low\nundo: none\nparameters:\n  environment: {{ type: environment }}\n",
        kind.name
    );
    if kind.exclusive {
        text += "one_at_a_time: environment\n";
    }
    if kind.fresh {
        text += "fresh: 10m\n";
    }
    text += "steps:\n";
    for (name, effect, attempts) in kind.steps {
        let more = match *effect {
            "checked" => ", verify: { run: [ask, \"{run.key}\"] }".to_owned(),
            _ if *attempts > 1 => format!(", attempts: {attempts}"),
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "  - {{ name: {name}, run: [act, \"{{run.key}}\"], effect: {effect}{more} }}"
        ); // Writing to a text can't fail.
    }
    text
}

fn people(revision: usize) -> String {
    let names = ["ana", "cy", "eve", "kim", "bo", "dee"];
    let mut text = "people:\n".to_owned();
    for name in names {
        let _ = writeln!(
            text,
            "  {name}: {{ name: {name}, slack: U0{} }}",
            name.to_uppercase()
        );
    }
    let crew = if revision == 1 { "" } else { ", bo" };
    text + &format!(
        "groups:\n  crew: [ana, cy, eve, kim{crew}]\n  leads: [{}]\n",
        leads(revision).join(", ")
    )
}

fn runbook(revision: usize) -> String {
    // One is a channel in which people type too; and a reload must not tear what began before.
    let mirrors = match revision {
        1 => "{ slack: T1/C9 }, { slack: T1/C2 }",
        2 => "",
        _ => "{ slack: T1/C9 }",
    };
    let (fetch, launch, free) = match revision {
        1 => (2, "", "look, tidy, send, place, ring, ship, flush"),
        2 => (1, ", in: here", "look, send, ring, ship, flush"),
        _ => (1, "", "look, tidy, send, place, ring, ship, flush"),
    };
    format!(
        "project: yard
about: The simulation's own.
owner: leads
channels: [{}]
mirrors: [{mirrors}]
environments: {{ here: {{}}, prod: {{}} }}
rules:
  - {{ may: ring, in: prod, who: everyone, never: it is loud }}
  - {{ may: fetch, who: crew, after: {{ approvals: {fetch}, of: leads, within: 15m }} }}
  - {{ may: launch{launch}, who: crew, after: {{ approvals: 2, of: leads, within: 10m }} }}
  - {{ may: [{free}], who: crew }}
  - otherwise: ask ana
escalation:
  - {{ at: 0m, call: \"@ana\" }}
",
        CHANNELS.join(", ")
    )
}
