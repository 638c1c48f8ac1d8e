//! The installation: a platform, commands that leave marks, and the people who type them.

use std::time::Duration;

use tokio::time::Instant;

use super::judge::Ledger;
use super::people::{Kind, Platform, Typed, Who};
use crate::bot::Home;
use crate::fakes::discord::{ALICE, BEN};

/// How long midwatch may take to ask for consent.
const ASKS_WITHIN: Duration = Duration::from_secs(30);
/// How many channels there are.
const CHANNELS: usize = 6;

fn people() -> String {
    format!(
        "people:
  ana: {{ name: Ana, slack: U0ANA, discord: \"{ALICE}\" }}
  bo: {{ name: Bo, slack: U0BO, discord: \"{BEN}\" }}
groups:
  all: [ana, bo]
  leads: [ana]
"
    )
}

fn runbook(channels: &[String]) -> String {
    let channels: Vec<String> = channels.iter().map(|it| format!("\"{it}\"")).collect();
    format!(
        "project: yard
about: The proof's own.
owner: leads
channels: [{}]
rules:
  - {{ may: fetch, who: all, after: {{ approvals: 1, of: leads, within: 2d }} }}
  - {{ may: everything, who: all }}
  - otherwise: ask ana
",
        channels.join(", ")
    )
}

/// One write to a file opened for appending.
const MARK: &str = "echo \"$1\" >> marks\n";

/// What a run that waits for consent is known by.
pub(super) struct Waits {
    pub(super) reference: String,
    pub(super) channel: String,
    pub(super) thread: String,
}

pub(super) struct Yard<P> {
    pub(super) home: Home,
    pub(super) platform: P,
}

impl<P: Platform> Yard<P> {
    pub(super) fn new(platform: P) -> Self {
        let channels: Vec<String> = (0..CHANNELS).map(|n| platform.channel(n)).collect();
        let command = |name: &str, effect: &str| {
            format!(
                "command: {name}\ndoes: Leaves a mark.\nrisk: low\nundo: none\nparameters:\n  tag: {{ type: text, matches: '[a-z0-9-]{{1,40}}' }}\n\
                 steps:\n  - {{ name: mark, run: [sh, mark.sh, \"{{tag}}\"], effect: {effect} }}\n"
            )
        };
        let home = Home::of_files(&[
            ("mark.sh", MARK),
            ("runbooks/people.yaml", &people()),
            ("runbooks/yard.yaml", &runbook(&channels)),
            ("commands/look.yaml", &command("look", "read")),
            ("commands/tidy.yaml", &command("tidy", "idempotent")),
            ("commands/ring.yaml", &command("ring", "once")),
            ("commands/fetch.yaml", &command("fetch", "once")),
        ]);
        let home = platform.settings(home);
        Self { home, platform }
    }

    /// A command that waits for consent, asked for in a thread of ten days ago: its history shows no news of it.
    pub(super) async fn asks_consent(&self, number: u32) -> (Waits, Typed) {
        let (platform, channel) = (&self.platform, self.platform.channel(1));
        let days = Duration::from_secs(10 * 86_400);
        let thread = platform.begins_thread(days, &channel);
        let tag = format!("r{number:04}-wait");
        let text = format!("fetch {tag}");
        let asked = platform.mentions_now(Who::Bo, &channel, Some(&thread), &text);
        let asked = Typed::new(tag, Kind::Waits, channel.clone(), asked.await);
        let deadline = Instant::now() + ASKS_WITHIN;
        let reference = loop {
            let shown = platform.shown(&channel, Some(&thread)).into_iter();
            let mut asking = shown.filter(|(text, _)| text.contains("[Approve]"));
            if let Some(reference) = asking.find_map(|(text, _)| reference_of(&text)) {
                break reference;
            }
            let log = || self.home.log();
            assert!(
                Instant::now() < deadline,
                "no request for consent: {}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let waits = Waits {
            reference,
            channel,
            thread,
        };
        (waits, asked)
    }

    pub(super) fn ledger(&self) -> Ledger {
        let export = tokio::task::block_in_place(|| self.home.run(&["ledger", "export"], ""));
        let error = String::from_utf8_lossy(&export.stderr).into_owned();
        assert!(export.status.success(), "no export of the ledger: {error}");
        Ledger::read(&String::from_utf8_lossy(&export.stdout))
    }

    pub(super) fn ledger_is_sound(&self) -> Option<String> {
        let verified = self.home.run(&["ledger", "verify"], "");
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        (!verified.status.success()).then_some(said)
    }

    /// Waits until the log holds these in lines of their own, in any order.
    pub(super) async fn logged(&self, says: &[&str]) {
        let all = |log: &str| {
            let mut lines: Vec<&str> = log.lines().collect();
            says.iter().rev().all(|says| {
                let at = lines.iter().position(|line| line.contains(says));
                at.map(|at| lines.remove(at)).is_some()
            })
        };
        while !all(&self.home.log()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Copies what there is to look at to a place that outlives the proof.
    pub(super) fn keep(&self) -> String {
        let folder = std::env::temp_dir().join(format!("midwatch-gap-{}", std::process::id()));
        let copied: std::io::Result<()> = (|| {
            std::fs::create_dir_all(&folder)?;
            for name in ["log", "marks", "data/midwatch.db", "data/midwatch.db-wal"] {
                let from = self.home.path(name);
                if from.exists() {
                    std::fs::copy(&from, folder.join(from.file_name().unwrap_or_default()))?;
                }
            }
            Ok(())
        })();
        match copied {
            Ok(()) => folder.display().to_string(),
            Err(why) => format!("nowhere: {why}"),
        }
    }
}

/// The reference that a root message shows: `ref 7f3k`.
fn reference_of(text: &str) -> Option<String> {
    let (_, after) = text.split_once("ref ")?;
    let after = after.trim_start_matches('`').chars();
    Some(after.take_while(char::is_ascii_alphanumeric).collect())
}
