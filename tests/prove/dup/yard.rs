//! The proof's own commands: each step writes down that it was done, so that twice can be seen.

use std::fmt::Write as _;
use std::path::Path;

use crate::bot::Home;
use crate::fakes::slack::{APP_TOKEN, BOT_TOKEN, FakeSlack, SIGNING_SECRET};

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

const PEOPLE: &str = "\
people:
  ana: { name: Ana, slack: U0ANA }
  cy: { name: Cy, slack: U0CY }
  bo: { name: Bo, slack: U0BO }
  kim: { name: Kim, slack: U0KIM }
  lee: { name: Lee, slack: U0LEE }
groups:
  all: [ana, cy, bo, kim, lee]
  leads: [ana, cy]
";

pub(super) const TYPISTS: [&str; 3] = ["U0BO", "U0KIM", "U0LEE"];
/// Those who consent: each once.
pub(super) const LEADS: [&str; 2] = ["U0ANA", "U0CY"];

/// A home with the commands, heard over HTTP and over sockets alike.
pub(super) fn home(slack: &FakeSlack, channels: &[String]) -> Home {
    let mut files = vec![
        ("mark.sh".to_owned(), MARK.to_owned()),
        ("runbooks/people.yaml".to_owned(), PEOPLE.to_owned()),
        ("runbooks/yard.yaml".to_owned(), runbook(channels)),
    ];
    files.extend(KINDS.iter().map(|kind| {
        let file = format!("commands/{}.yaml", kind.name);
        (file, command(kind))
    }));
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (&**a, &**b)).collect();
    Home::of_files(&files)
        .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
        .setting("SLACK_APP_TOKEN", APP_TOKEN)
        .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
        .setting("SLACK_API_URL", slack.api_url())
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
        channels.join(", ")
    );
    for Kind { name, consents, .. } in KINDS {
        let after = if consents > 0 {
            format!(", after: {{ approvals: {consents}, of: leads, within: 30m }}")
        } else {
            String::new()
        };
        let _ = writeln!(text, "  - {{ may: {name}, who: all{after} }}"); // Writing to a text can't fail.
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
