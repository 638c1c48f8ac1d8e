//! The installation: a workspace, commands that leave marks, and the people who type them.

use std::time::Duration;

use super::judge::Ledger;
use super::people::{Kind, Typed};
use crate::bot::Home;
use crate::fakes::slack::{APP_TOKEN, BOT_TOKEN, FakeSlack, Posted, SIGNING_SECRET, render};

pub(super) const ANA: &str = "U0ANA";
pub(super) const BO: &str = "U0BO";
/// Where people talk. Few: the pace at which Slack is read is not what is tested.
pub(super) const CHANNELS: [&str; 6] = ["C10", "C11", "C12", "C13", "G14", "G15"];

const PEOPLE: &str = "\
people:
  ana: { name: Ana, slack: U0ANA }
  bo: { name: Bo, slack: U0BO }
groups:
  all: [ana, bo]
  leads: [ana]
";

const RUNBOOK: &str = "\
project: yard
about: The proof's own.
owner: leads
channels: [C10, C11, C12, C13, G14, G15]
rules:
  - { may: fetch, who: all, after: { approvals: 1, of: leads, within: 2d } }
  - { may: everything, who: all }
  - otherwise: ask ana
";

/// One write to a file opened for appending.
const MARK: &str = "echo \"$1\" >> marks\n";

/// What a run that waits for consent is known by.
pub(super) struct Waits {
    pub(super) reference: String,
    pub(super) channel: &'static str,
    pub(super) thread: String,
}

pub(super) struct Yard {
    pub(super) home: Home,
    pub(super) slack: FakeSlack,
}

impl Yard {
    pub(super) async fn new(over_http: bool) -> Self {
        let slack = FakeSlack::start().await;
        slack.let_read_fast();
        slack.give_small_pages(7);
        for channel in CHANNELS {
            slack.add_channel(channel, true);
        }
        let command = |name: &str, effect: &str| {
            format!(
                "command: {name}\ndoes: Leaves a mark.\nrisk: low\nundo: none\nparameters:\n  tag: {{ type: text, matches: '[a-z0-9-]{{1,40}}' }}\n\
                 steps:\n  - {{ name: mark, run: [sh, mark.sh, \"{{tag}}\"], effect: {effect} }}\n"
            )
        };
        let home = Home::of_files(&[
            ("mark.sh", MARK),
            ("runbooks/people.yaml", PEOPLE),
            ("runbooks/yard.yaml", RUNBOOK),
            ("commands/look.yaml", &command("look", "read")),
            ("commands/tidy.yaml", &command("tidy", "idempotent")),
            ("commands/ring.yaml", &command("ring", "once")),
            ("commands/fetch.yaml", &command("fetch", "once")),
        ])
        .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
        .setting("SLACK_API_URL", slack.api_url());
        let home = if over_http {
            home.setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
        } else {
            home.setting("SLACK_APP_TOKEN", APP_TOKEN)
        };
        Self { home, slack }
    }

    /// A command that waits for consent, asked for in a thread of ten days ago: its history shows no news of it.
    pub(super) async fn asks_consent(&self, number: u32) -> (Waits, Typed) {
        let (slack, channel) = (&self.slack, "C11");
        let days = Duration::from_secs(10 * 86_400);
        let thread = slack.wrote_before(days, BO, channel, None, "we should fetch it");
        let tag = format!("r{number:04}-wait");
        let text = format!("fetch {tag}");
        let ts = slack.mention(BO, channel, Some(&thread), &text).await;
        let asked = Typed::new(tag, Kind::Waits, channel.to_owned(), &ts);
        let root = |slack: &FakeSlack| {
            let found = slack
                .messages(channel)
                .into_iter()
                .find(|it| it.thread.as_ref() == Some(&thread) && render(it).contains("[Approve]"));
            found.and_then(|root| reference_of(&root))
        };
        let wait = Duration::from_secs(30);
        let reference = slack.wait_for("request for consent", wait, root).await;
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

    pub(super) async fn logged(&self, says: &str) {
        while !self.home.log().contains(says) {
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
fn reference_of(root: &Posted) -> Option<String> {
    let text = render(root);
    let (_, after) = text.split_once("ref ")?;
    let reference = after.chars().take_while(char::is_ascii_alphanumeric);
    Some(reference.collect())
}
