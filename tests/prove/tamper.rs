//! Whoever edits an exported ledger is found by `midwatch ledger verify`, and by a second verifier that shares no code.
//!
//! The ledgers are those of real runs, the witnesses are the checkpoints that stand in their threads.

mod forger;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use midwatch::domain::{Frontier, NoteSigner, leaf_hash};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use self::forger::{Export, FORGERIES, Loot};
use super::{Found, Round};
use crate::bot::Home;

/// The proof: each round takes the next forgery, with choices of its own.
pub(crate) fn prove(round: Round) -> Found {
    let mut random = StdRng::seed_from_u64(round.seed);
    let (ours, theirs) = (Ledger::new(), Ledger::new());
    let python = python_works();
    let genuine = Export::read(&ours.export);
    assert!(
        genuine.entries.len() >= 30 && ours.notes.len() >= 4,
        "too small a ledger to prove anything with"
    );
    let loot = Loot {
        older: ours.notes.clone(),
        foreign: Export::read(&theirs.export),
    };

    let all: Vec<usize> = (0..ours.notes.len()).collect();
    ours.expect(&genuine.text(), &all, python, Sound::Yes, "untouched");
    ours.expect(
        &genuine.text(),
        &[],
        python,
        Sound::Yes,
        "untouched, without witnesses",
    );
    let mut found = 0;
    for n in 0..round.rounds as usize {
        let (name, forge) = FORGERIES[n % FORGERIES.len()];
        let mut forged = genuine.clone();
        forge(&mut forged, &loot, &mut random);
        assert_ne!(
            forged.text(),
            genuine.text(),
            "`{name}` changes nothing: seed {}",
            round.seed
        );
        // Whether the threads are asked or not, it is found.
        let witnesses: Vec<usize> = all
            .iter()
            .copied()
            .filter(|_| random.random_bool(0.4))
            .collect();
        ours.expect(&forged.text(), &witnesses, python, Sound::No, name);
        found += 1;
    }
    let rewound = rewind(&ours, &genuine, python);
    let signed = sign_again(&ours, &genuine, python, &mut random);
    let lied = false_witnesses(&ours, &theirs, &genuine, python, &mut random);
    Found::Held(format!(
        "{found} forgeries of {} kinds, {rewound} rewound ledgers, {signed} signed again with the stolen key and {lied} false witnesses found, untouched ones accepted; {} entries, {} witnesses from the thread; second verifier: {}",
        FORGERIES.len(),
        genuine.entries.len(),
        ours.notes.len(),
        if python {
            "agrees on each"
        } else {
            "PASSED OVER, there is no python3"
        }
    ))
}

/// The whole tail removed, and an older checkpoint, truly ours, put as the last line: sound in itself. The thread knows.
fn rewind(ours: &Ledger, genuine: &Export, python: bool) -> usize {
    let newest = ours.notes.len() - 1;
    for older in 0..newest {
        let mut rewound = genuine.clone();
        rewound.closing = Some(ours.notes[older].clone());
        rewound.entries.truncate(size_of(&ours.notes[older]));
        let text = rewound.text();
        ours.expect(
            &text,
            &[older],
            python,
            Sound::Yes,
            "rewound, with the witness of that moment",
        );
        ours.expect(
            &text,
            &[older + 1],
            python,
            Sound::No,
            "rewound, with the next witness",
        );
        ours.expect(
            &text,
            &[newest],
            python,
            Sound::No,
            "rewound, with the newest witness",
        );
    }
    newest
}

/// Who has the key rewrites an entry and signs the whole anew: sound in itself. The thread knows, from the first
/// checkpoint that was posted after that entry.
fn sign_again(ours: &Ledger, genuine: &Export, python: bool, random: &mut StdRng) -> usize {
    let key = std::fs::read_to_string(ours.home.path("data/ledger.key")).expect("the key");
    let signer = NoteSigner::parse(&key).expect("it is a key");
    for (n, note) in ours.notes.iter().enumerate() {
        let before = n.checked_sub(1).map_or(0, |n| size_of(&ours.notes[n]));
        let entry = random.random_range(before..size_of(note));
        let mut forged = genuine.clone();
        forged.entries[entry] = forger::another_moment(&forged.entries[entry]);
        let mut tree = Frontier::new();
        for line in &forged.entries {
            tree.push(leaf_hash(line.as_bytes()));
        }
        forged.closing = Some(signer.sign(tree.size(), tree.root()));
        let text = forged.text();
        let earlier: Vec<usize> = (0..n).collect();
        let what = "an entry rewritten, all signed again";
        ours.expect(
            &text,
            &earlier,
            python,
            Sound::Yes,
            &format!("{what}, with the witnesses before it"),
        );
        ours.expect(
            &text,
            &[n],
            python,
            Sound::No,
            &format!("{what}, with the next witness"),
        );
    }
    ours.notes.len()
}

/// An untouched export, and a witness that is not of this ledger or was edited.
fn false_witnesses(
    ours: &Ledger,
    theirs: &Ledger,
    genuine: &Export,
    python: bool,
    random: &mut StdRng,
) -> usize {
    let note = ours.notes.choose(random).expect("there are notes");
    let size = size_of(note);
    let root = note.lines().nth(2).expect("a note has a root");
    let other_root = ours
        .notes
        .iter()
        .filter_map(|note| note.lines().nth(2))
        .find(|other| *other != root);
    let lies = [
        theirs.notes[0].clone(),
        note.replacen(&format!("\n{size}\n"), &format!("\n{}\n", size - 1), 1),
        note.replacen(root, other_root.expect("checkpoints differ"), 1),
        note.replacen("midwatch/", "midwatch-/", 1),
    ];
    for (n, lie) in lies.iter().enumerate() {
        let file = ours.write(&format!("lie-{n}"), lie);
        ours.expect_with(
            &genuine.text(),
            &[file],
            python,
            Sound::No,
            &format!("false witness {n}"),
        );
    }
    lies.len()
}

/// What a verifier should say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sound {
    Yes,
    No,
}

/// A real ledger, its threads' checkpoints, and the folder it was made in.
struct Ledger {
    home: Home,
    export: String,
    notes: Vec<String>,
}

const COMMANDS: &[(&str, &str)] = &[
    (
        "commands/greet.yaml",
        "command: greet\ndoes: Greets.\nrisk: low\nundo: none\nparameters:\n  whom: { type: text, matches: '[a-zé ]{1,40}' }\nsteps:\n  - { name: greet, run: [echo, \"{whom}\"], effect: read }\n  - { name: nod, run: [\"true\"], effect: once }\n",
    ),
    (
        "runbooks/people.yaml",
        "people:\n  ana: { name: Ana }\n  kim: { name: Kim }\ngroups:\n  all: [ana, kim]\n",
    ),
    (
        "runbooks/shop.yaml",
        "project: shop\nabout: A shop.\nowner: all\nchannels: [shop]\nenvironments: { here: {} }\nrules:\n  - { may: greet, who: all }\n  - otherwise: ask ana\nescalation:\n  - { at: 0m, call: \"@ana\" }\n",
    ),
];

const TYPED: &str = "/as ana\n/ops greet kim\n/ops greet \"le café\"\n/ops list\n/as kim\n/ops greet ana\n/ops nonsense\n/ops greet \"all of you\"\n";

impl Ledger {
    /// Does real runs, and takes from the thread what a reader would take.
    fn new() -> Self {
        let home = Home::of_files(COMMANDS);
        let tried = home.run(&["try"], TYPED);
        let thread = String::from_utf8(tried.stdout).expect("a thread is text");
        let export = home.run(&["ledger", "export"], "");
        assert!(
            export.status.success(),
            "no export: {}",
            String::from_utf8_lossy(&export.stderr)
        );
        let notes = notes_in(&thread);
        assert!(
            notes.len() >= 4,
            "fewer last lines than runs in the thread: {thread}{}",
            String::from_utf8_lossy(&tried.stderr)
        );
        Self {
            home,
            export: String::from_utf8(export.stdout).expect("an export is text"),
            notes,
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        self.home.write(name, text);
        self.home.path(name)
    }

    fn expect(&self, export: &str, witnesses: &[usize], python: bool, sound: Sound, what: &str) {
        let files: Vec<PathBuf> = witnesses
            .iter()
            .map(|n| self.write(&format!("note-{n}"), &self.notes[*n]))
            .collect();
        self.expect_with(export, &files, python, sound, what);
    }

    /// Both verifiers must say this, by their exit codes.
    fn expect_with(
        &self,
        export: &str,
        witnesses: &[PathBuf],
        python: bool,
        sound: Sound,
        what: &str,
    ) {
        let file = self.write("export", export);
        let path = file.display().to_string();
        let mut arguments = vec!["ledger".to_owned(), "verify".to_owned(), path];
        for note in witnesses {
            arguments.extend(["--checkpoint".to_owned(), note.display().to_string()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        judge(
            "midwatch ledger verify",
            &self.home.run(&arguments, ""),
            sound,
            what,
            export,
        );
        if python {
            let key = self.home.path("data/ledger.pub");
            let mut command = second_verifier();
            command.arg(&file).arg(key).args(witnesses);
            judge(
                "verify_ledger.py",
                &command.output().expect("python3 runs"),
                sound,
                what,
                export,
            );
        }
    }
}

fn judge(who: &str, said: &Output, sound: Sound, what: &str, export: &str) {
    let (code, first) = match sound {
        Sound::Yes => (0, "sound"),
        Sound::No => (1, "NOT SOUND"),
    };
    let output = String::from_utf8_lossy(&said.stdout);
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(
        said.status.code() == Some(code) && output.starts_with(first),
        "{what}: {who} should have said `{first}`; {}: {output}{errors}\n{export}",
        said.status
    );
}

/// The checkpoints that stand in a thread: five lines each, the last one signed.
fn notes_in(thread: &str) -> Vec<String> {
    let lines: Vec<&str> = thread
        .lines()
        .map(|line| line.trim_start().trim_start_matches('│').trim())
        .collect();
    let signed = |lines: &[&str]| {
        lines[0].starts_with("midwatch/") && lines[4].starts_with("\u{2014} midwatch/")
    };
    lines
        .windows(5)
        .filter(|window| signed(window))
        .map(|window| window.join("\n") + "\n")
        .collect()
}

fn size_of(note: &str) -> usize {
    let size = note.lines().nth(1).and_then(|size| size.parse().ok());
    size.expect("the second line is the size")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a proof that runs the second verifier"
)]
fn second_verifier() -> Command {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify_ledger.py"));
    command
}

/// Whether there is a Python; without one the second verifier is passed over, but not under `CI=true`.
fn python_works() -> bool {
    // Without arguments it says how it is used, and exits with 2.
    let works = second_verifier()
        .output()
        .is_ok_and(|said| said.status.code() == Some(2));
    if !works {
        #[expect(
            clippy::disallowed_methods,
            reason = "whether this is CI stands in no setting of midwatch"
        )]
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "python3 is needed under CI=true");
        println!("tamper: passed over: the second verifier needs python3");
    }
    works
}
