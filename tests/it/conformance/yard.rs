//! The shop's files with more beside them: commands that fail, take long, say much, ask for consent, and two projects.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::bot::Home;

/// How long a step may take to begin.
const SOON: Duration = Duration::from_secs(20);

/// What differs between platforms in the files.
pub(super) struct Names {
    /// More channels of the shop. Platforms take one message a second in each: where there are several, nothing waits.
    pub(super) channels: &'static [&'static str],
    /// The group of leads, as the platform has it.
    pub(super) leads: String,
    /// Where the runs of `twin` are told too.
    pub(super) mirrors: String,
}

/// Name, effect and further keys of a command with one step, and what the step runs.
const COMMANDS: &[(&str, &str, &str, &[&str])] = &[
    ("nap", "read", NAP, &["sleep", "4"]),
    ("slow", "idempotent", "", &["sleep", "60"]),
    ("flaky", "read", "", &["sh", "flaky.sh"]),
    ("broken", "read", "", &["sh", "broken.sh"]),
    ("dig", "once", DIG, &["sh", "dig.sh", "{hole}"]),
    ("count", "read", "", &["sh", "count.sh"]),
    ("loud", "read", "", &["seq", "3000"]),
    ("hostile", "read", "", &["cat", "hostile.txt"]),
    ("stamp", "idempotent", "fresh: 10m", &["touch", "stamped"]),
    ("late", "idempotent", "", &["touch", "was-late"]),
    ("rise", "idempotent", "risk: high", &["echo", "risen"]),
    ("lapse", "idempotent", "", &["touch", "lapsed"]),
    ("touch", "idempotent", "", &["touch", "touched"]),
    ("wreck", "idempotent", "", &["touch", "wrecked"]),
    ("scrap", "once", "", &["touch", "scrapped"]),
];
const NAP: &str =
    "one_at_a_time: arguments\nparameters: { where: { type: text, matches: '[a-z]+' } }";
const DIG: &str = "parameters: { hole: { type: text, matches: '[a-z]+' } }";

/// The first time each is asked for something, it fails or takes long.
const SCRIPTS: &[(&str, &str)] = &[
    ("flaky.sh", "mkdir tried 2>/dev/null && exit 1\necho fine\n"),
    ("broken.sh", "echo the disk is full\nexit 3\n"),
    (
        "dig.sh",
        "mkdir \"hole-$1\" 2>/dev/null && touch working && sleep 60\necho dug\n",
    ),
    (
        "count.sh",
        "mkdir counted 2>/dev/null && touch working && sleep 60\necho three\n",
    ),
    (
        "hostile.txt",
        "@everyone @here <!channel> <@U0EVE> <@820000000000000003> https://evil.example/x <https://evil.example|shop>\n",
    ),
];

/// The home with these files in it.
pub(super) fn furnished(home: Home, names: &Names) -> Home {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["commands", "runbooks"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if !home.path(&name).exists() {
                home.write(&name, &std::fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    for (name, effect, more, argv) in COMMANDS {
        let attempts = if *name == "flaky" {
            ", attempts: 2"
        } else {
            ""
        };
        let argv: Vec<String> = argv.iter().map(|it| format!("\"{it}\"")).collect();
        let text = format!(
            "command: {name}\ndoes: Is there for the list.\n{more}\nsteps:\n  - {{ name: work, run: [{}], effect: {effect}, timeout: 90s{attempts} }}\n",
            argv.join(", ")
        );
        home.write(&format!("commands/{name}.yaml"), &text);
    }
    for (name, text) in SCRIPTS {
        home.write(name, text);
    }
    let change = |name: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(home.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no `{from}`");
        home.write(name, &text.replacen(from, to, 1));
    };
    let more: Vec<String> = names
        .channels
        .iter()
        .map(|it| format!("\"{it}\", "))
        .collect();
    change(
        "runbooks/shop.yaml",
        "channels: [shop, ",
        &format!("channels: [shop, {}", more.concat()),
    );
    change(
        "runbooks/people.yaml",
        "groups:\n",
        &format!("groups:\n  leads: {}\n", names.leads),
    );
    // Whoever has each level is on every platform, whichever week it is.
    change("runbooks/people.yaml", "oncall: [ana, cy]", "oncall: [ana]");
    change(
        "runbooks/people.yaml",
        "secondary: [cy, ana]",
        "secondary: [bo]",
    );
    home.write(
        "runbooks/lab.yaml",
        "project: lab\nabout: What the list tries.\nowner: team-shop\nrules:\n  - { may: rise, who: leads }\n  \
         - { may: lapse, who: engineering, after: { of: team-shop, within: 3s } }\n  \
         - { may: scrap, who: everyone, never: the vendor does it; their hotline is +49 30 5550199 }\n  \
         - { may: wreck, who: engineering, break_glass: { pages: team-shop } }\n  \
         - { may: everything, who: engineering }\n  - otherwise: ask in #lab\n",
    );
    home.write(
        "runbooks/twin.yaml",
        &format!(
            "project: twin\nabout: Is told in two places.\nowner: team-shop\nmirrors: [{}]\nrules:\n  \
             - {{ may: everything, who: team-shop }}\n  \
             - {{ may: everything, who: engineering, after: {{ of: team-shop }} }}\n  - otherwise: ask in #twin\n",
            names.mirrors
        ),
    );
    let (commands, runbooks) = (home.path("commands"), home.path("runbooks"));
    home.setting("MIDWATCH_COMMANDS", commands.display())
        .setting("MIDWATCH_RUNBOOKS", runbooks.display())
}

/// Leaves no program behind; after a failure the end of the log is shown.
pub(super) fn left(home: &Home) {
    kill_steps(home);
    if std::thread::panicking() {
        let log = home.log();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("{}", lines[lines.len().saturating_sub(30)..].join("\n"));
    }
}

/// Waits until a step's program works that doesn't end by itself, so that the power is cut in its middle.
pub(super) async fn works(home: &Home) {
    let working = home.path("working");
    let began = Instant::now();
    while !working.exists() {
        assert!(began.elapsed() < SOON, "no step works: {}", home.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::remove_file(working).unwrap();
}

/// Kills the programs that steps have started: what a power cut does to them.
pub(super) fn kill_steps(home: &Home) {
    for (supervisor, _) in home.supervisors() {
        let _ = rustix::process::kill_process(supervisor, rustix::process::Signal::KILL); // It may just have ended.
    }
}
