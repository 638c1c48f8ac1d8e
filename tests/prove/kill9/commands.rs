//! The proof's own commands: every effect, alone and together, with consent, with cancellation, with failure.
//!
//! A step leaves one line in the file `marks` and sleeps around it, so that a kill hits it before and after.

use std::fmt::Write as _;

/// A command of the proof, and what happens to its runs beside the kills.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) steps: &'static [Step],
    /// The button that somebody presses, once the root message shows it.
    pub(super) pressed: Option<&'static str>,
    /// Who must consent, within this span.
    consent: Option<&'static str>,
    /// How often it is typed, compared with the others.
    pub(super) weight: u32,
    /// Every outcome that is right for it.
    pub(super) outcomes: &'static [&'static str],
}

pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) effect: &'static str,
    /// Seconds before and after the mark.
    sleeps: (&'static str, &'static str),
    exit: u8,
}

const fn step(name: &'static str, effect: &'static str) -> Step {
    Step {
        name,
        effect,
        sleeps: ("0.04", "0.06"),
        exit: 0,
    }
}

const fn long(name: &'static str, effect: &'static str) -> Step {
    Step {
        name,
        effect,
        sleeps: ("0.6", "1.2"),
        exit: 0,
    }
}

const SUCCEEDS: &[&str] = &["succeeded"];
const OR_UNKNOWN: &[&str] = &["succeeded", "needs_attention"];

const fn kind(
    name: &'static str,
    steps: &'static [Step],
    outcomes: &'static [&'static str],
) -> Kind {
    Kind {
        name,
        steps,
        pressed: None,
        consent: None,
        weight: 2,
        outcomes,
    }
}

pub(super) const KINDS: &[Kind] = &[
    kind("look", &[step("look", "read")], SUCCEEDS),
    kind("tidy", &[step("tidy", "idempotent")], SUCCEEDS),
    kind("send", &[step("send", "keyed")], SUCCEEDS),
    kind(
        "place",
        &[Step {
            sleeps: ("0.2", "0.3"),
            ..step("place", "checked")
        }],
        SUCCEEDS,
    ),
    Kind {
        weight: 5,
        ..kind("ring", &[step("ring", "once")], OR_UNKNOWN)
    },
    Kind {
        weight: 4,
        ..kind(
            "ship",
            &[
                step("look", "read"),
                step("pack", "idempotent"),
                step("sign", "once"),
                step("send", "keyed"),
                step("place", "checked"),
            ],
            OR_UNKNOWN,
        )
    },
    Kind {
        pressed: Some("Approve"),
        consent: Some("15m"),
        weight: 3,
        ..kind(
            "fetch",
            &[step("open", "once"), step("fetch", "idempotent")],
            OR_UNKNOWN,
        )
    },
    Kind {
        pressed: Some("Reject"),
        consent: Some("15m"),
        weight: 1,
        ..kind("drop", &[step("drop", "once")], &["cancelled"])
    },
    Kind {
        consent: Some("4s"),
        weight: 1,
        ..kind("forget", &[step("forget", "once")], &["expired"])
    },
    Kind {
        pressed: Some("Cancel"),
        ..kind(
            "drift",
            &[long("drift", "idempotent"), step("land", "once")],
            &["cancelled", "succeeded", "needs_attention"],
        )
    },
    Kind {
        pressed: Some("Cancel"),
        ..kind(
            "haul",
            &[long("haul", "once")],
            &["cancelled", "succeeded", "needs_attention"],
        )
    },
    Kind {
        weight: 1,
        ..kind(
            "fail",
            &[
                Step {
                    exit: 3,
                    ..step("fail", "once")
                },
                step("never", "once"),
            ],
            &["failed", "needs_attention"],
        )
    },
];

/// Runs in the folder that holds `commands/`. The mark is one write to a file opened for appending.
const MARK: &str = r#"sleep "$6"
echo "$1 $2 $3 $4 $5 $$" >> marks
sleep "$7"
echo "did $3"
exit "$8"
"#;

/// Whether the step of the run has left its mark; every answer is written down.
const CHECK: &str = r#"if grep -q "^$1 [^ ]* $2 " marks 2>> /dev/null
then echo "$1 $2 yes" >> answers; exit 0
else echo "$1 $2 no" >> answers; exit 1
fi
"#;

const PEOPLE: &str = "\
people:
  ana: { name: Ana, slack: U0ANA }
  cy: { name: Cy, slack: U0CY }
  bo: { name: Bo, slack: U0BO }
  kim: { name: Kim, slack: U0KIM }
groups:
  all: [ana, cy, bo, kim]
  leads: [ana, cy]
";

/// Those who type, and those who consent: nobody consents to their own.
pub(super) const TYPISTS: [&str; 3] = ["U0BO", "U0KIM", "U0CY"];
pub(super) const LEAD: &str = "U0ANA";

/// All files, by path.
pub(super) fn files(channels: &[String]) -> Vec<(String, String)> {
    let mut files = vec![
        ("mark.sh".to_owned(), MARK.to_owned()),
        ("check.sh".to_owned(), CHECK.to_owned()),
        ("runbooks/people.yaml".to_owned(), PEOPLE.to_owned()),
        ("runbooks/yard.yaml".to_owned(), runbook(channels, 0)),
    ];
    files.extend(
        KINDS
            .iter()
            .map(|kind| (format!("commands/{}.yaml", kind.name), command(kind))),
    );
    files
}

/// The yard's rules, in one of many versions that say the same.
pub(super) fn runbook(channels: &[String], version: u32) -> String {
    let mut text = format!(
        "project: yard\nabout: The proof's own, version {version}.\nowner: leads\nchannels: [{}]\nenvironments: {{ here: {{}} }}\nrules:\n",
        channels.join(", ")
    );
    for kind in KINDS {
        let after = kind.consent.map_or_else(String::new, |within| {
            format!(", after: {{ approvals: 1, of: leads, within: {within} }}")
        });
        let _ = writeln!(text, "  - {{ may: {}, who: all{after} }}", kind.name); // Writing to a text can't fail.
    }
    text + "  - otherwise: ask ana\nescalation:\n  - { at: 0m, call: \"@ana\" }\n"
}

fn command(kind: &Kind) -> String {
    let mut text = format!(
        "command: {}\ndoes: Leaves marks.\nrisk: low\nundo: none\nparameters:\n  tag: {{ type: text, matches: '[a-z0-9-]{{1,40}}' }}\nsteps:\n",
        kind.name
    );
    for Step {
        name,
        effect,
        sleeps: (before, after),
        exit,
    } in kind.steps
    {
        let arguments = format!(
            "\"{{run.id}}\", \"{{tag}}\", {name}, {effect}, \"{{run.key}}\", \"{before}\", \"{after}\", \"{exit}\""
        );
        let verify = if *effect == "checked" {
            format!(", verify: {{ run: [sh, check.sh, \"{{run.id}}\", {name}] }}")
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "  - {{ name: {name}, run: [sh, mark.sh, {arguments}], effect: {effect}{verify} }}"
        ); // As above.
    }
    text
}
