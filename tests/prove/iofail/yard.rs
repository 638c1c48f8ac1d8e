//! The proof's own commands. A step leaves one line in the file `marks`, outside the disk that fails.

use std::fmt::Write as _;

use crate::bot::Home;
use crate::fakes::slack::{BOT_TOKEN, FakeSlack, SIGNING_SECRET};

/// A command of the proof.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) steps: &'static [Step],
    /// The button that somebody presses, once the root message shows it.
    pub(super) pressed: Option<&'static str>,
    /// Whether somebody must consent.
    consent: bool,
    /// Every outcome that is right for it.
    pub(super) outcomes: &'static [&'static str],
}

pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) effect: &'static str,
    /// Seconds before and after the mark.
    sleeps: (&'static str, &'static str),
    /// Lines it prints; more than a message shows, so that all of them come as a file.
    pub(super) lines: usize,
    exit: u8,
}

const fn step(name: &'static str, effect: &'static str) -> Step {
    Step {
        name,
        effect,
        sleeps: ("0.02", "0.02"),
        lines: 0,
        exit: 0,
    }
}

const fn kind(
    name: &'static str,
    steps: &'static [Step],
    outcomes: &'static [&'static str],
) -> Kind {
    Kind {
        name,
        steps,
        pressed: None,
        consent: false,
        outcomes,
    }
}

pub(super) const KINDS: [Kind; 5] = [
    kind("ring", &[step("ring", "once")], &["succeeded"]),
    kind(
        "tell",
        &[
            Step {
                lines: 60,
                ..step("talk", "idempotent")
            },
            step("land", "once"),
        ],
        &["succeeded"],
    ),
    Kind {
        pressed: Some("Approve"),
        consent: true,
        ..kind("fetch", &[step("fetch", "once")], &["succeeded"])
    },
    Kind {
        pressed: Some("Cancel"),
        ..kind(
            "haul",
            &[Step {
                sleeps: ("0.3", "0.9"),
                ..step("haul", "once")
            }],
            &["cancelled", "succeeded"],
        )
    },
    kind(
        "fail",
        &[
            Step {
                exit: 3,
                ..step("fail", "once")
            },
            step("never", "once"),
        ],
        &["failed"],
    ),
];

/// The quickest of them, for those who type while nothing can be written.
pub(super) const RING: &Kind = &KINDS[0];

/// Runs in the folder that holds `commands/`. The mark is one write to a file opened for appending.
const MARK: &str = r#"sleep "$4"
echo "$1 $2 $3" >> marks
line=0
while [ "$line" -lt "$6" ]
do
    line=$((line + 1))
    echo "line $line"
    [ $((line % 20)) -eq 0 ] && sleep 0.1
done
sleep "$5"
exit "$7"
"#;

/// All that a step with so many lines prints.
pub(super) fn printed(lines: usize) -> String {
    (1..=lines).map(|line| format!("line {line}\n")).collect()
}

const PEOPLE: &str = "\
people:
  ana: { name: Ana, slack: U0ANA }
  bo: { name: Bo, slack: U0BO }
groups:
  all: [ana, bo]
  leads: [ana]
";

pub(super) const TYPIST: &str = "U0BO";
pub(super) const LEAD: &str = "U0ANA";

/// A home with these commands, for people in these channels.
pub(super) fn home(channels: &[String]) -> Home {
    let mut book = format!(
        "project: yard\nabout: The proof's own.\nowner: leads\nchannels: [{}]\nenvironments: {{ here: {{}} }}\nrules:\n",
        channels.join(", ")
    );
    let mut files = vec![
        ("mark.sh".to_owned(), MARK.to_owned()),
        ("runbooks/people.yaml".to_owned(), PEOPLE.to_owned()),
    ];
    for kind in &KINDS {
        let after = if kind.consent {
            ", after: { approvals: 1, of: leads, within: 15m }"
        } else {
            ""
        };
        let _ = writeln!(book, "  - {{ may: {}, who: all{after} }}", kind.name); // Writing to a text can't fail.
        files.push((format!("commands/{}.yaml", kind.name), command(kind)));
    }
    book += "  - otherwise: ask ana\nescalation:\n  - { at: 0m, call: \"@ana\" }\n";
    files.push(("runbooks/yard.yaml".to_owned(), book));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Home::of_files(&files)
}

/// The same, connected to this workspace.
pub(super) fn connected(home: Home, slack: &FakeSlack) -> Home {
    home.setting("SLACK_BOT_TOKEN", BOT_TOKEN)
        .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
        .setting("SLACK_API_URL", slack.api_url())
}

fn command(kind: &Kind) -> String {
    let mut text = format!(
        "command: {}\ndoes: Leaves marks.\nrisk: low\nundo: none\nparameters:\n  tag: {{ type: text, matches: '[a-z0-9-]{{1,40}}' }}\nsteps:\n",
        kind.name
    );
    for step in kind.steps {
        let Step {
            name,
            effect,
            sleeps: (before, after),
            lines,
            exit,
        } = step;
        let _ = writeln!(
            text,
            "  - {{ name: {name}, run: [sh, mark.sh, \"{{run.id}}\", \"{{tag}}\", {name}, \"{before}\", \"{after}\", \"{lines}\", \"{exit}\"], effect: {effect} }}"
        ); // As above.
    }
    text
}
