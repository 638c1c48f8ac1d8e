//! `midwatch run COMMAND…`: the same path as chat, for a person at this host.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;

use super::app::{App, platforms};
use super::stages::{Stages, StopSignal};
use super::{Exit, say_error, tryout};
use crate::chat::Transport;
use crate::chat::console::{ConsoleTransport, Ended, Screen, terminal_columns};
use crate::config::Settings;
use crate::domain::{
    Identity, Inbound, InboundKey, Manner, Place, Platform, Source, Speaker, SpeakerKind,
};
use crate::store::StoreError;

/// Runs one command as the person whose console account is this host's account, and waits for its end.
pub(super) async fn run(
    settings: Settings,
    environment: BTreeMap<String, String>,
    words: &[String],
) -> anyhow::Result<Exit> {
    let Some(account) = account_of_this_process() else {
        say_error(
            "this process runs under an account without a name; midwatch identifies people by it",
        );
        return Ok(Exit::Invalid);
    };
    let log = environment
        .get("MIDWATCH_LOG")
        .map_or("error", |_| settings.log.filter.as_str())
        .to_owned();
    let app = match App::open(settings, environment, &log).await? {
        Ok(app) => app,
        Err(Exit::Unreachable) => {
            say_error(
                "when a server runs on this data folder, type the command in chat, or ask its API (docs/api.md)",
            );
            return Ok(Exit::Unreachable);
        }
        Err(exit) => return Ok(exit),
    };
    let colour =
        std::io::stdout().is_terminal() && !crate::config::environment().contains_key("NO_COLOR");
    let screen = Screen::open(Box::new(std::io::stdout()))?;
    let transport: Arc<dyn Transport> = Arc::new(
        ConsoleTransport::new(screen, Arc::clone(&app.catalog), app.clock.clone(), colour)
            .as_wide_as(terminal_columns),
    );
    let inbound = inbound(&app, account.clone(), words);
    let key = inbound.key.clone();
    let actor = app.catalog.load().people.identify(&inbound.speaker);
    let mut signal = StopSignal::listen();
    let stages = Stages(vec![
        // Its mirrors are told by the server, when one runs again on this database.
        app.dispatch_stage(&platforms(&app.settings), Vec::new()),
        app.engine_stage(),
        app.delivery_stage(vec![transport]),
    ]);
    let exit = match app.store.receive(inbound).await {
        Err(why) => {
            say_error(&format!("nothing was done: {why}"));
            Exit::Failed
        }
        Ok(_) => tokio::select! {
            ended = wait(&app, &key) => if ended? == Ended::Done { Exit::Done } else { Exit::Failed },
            () = signal.arrives() => Exit::Failed,
        },
    };
    stages.stop().await;
    app.close().await;
    if actor.identity == Identity::Stranger {
        say_error(&format!(
            "this account is `{account}`; `login: {account}` beside a person in people.yaml lets it speak for them"
        ));
    }
    Ok(exit)
}

/// Waits for the end, also over a wait for consent; that has an end of its own.
async fn wait(app: &App, key: &InboundKey) -> Result<Ended, StoreError> {
    let wait_for_end = tryout::wait_for_end(app.store.clone());
    loop {
        match wait_for_end(key).await? {
            Ended::Waiting => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
            ended @ (Ended::Done | Ended::Failed) => return Ok(ended),
        }
    }
}

fn inbound(app: &App, account: String, words: &[String]) -> Inbound {
    let now = app.clock.now();
    let session = uuid::Uuid::new_v4().simple().to_string();
    let text = line(words);
    Inbound {
        key: InboundKey::new(&["cli", &session]),
        source: Source::Cli,
        speaker: Speaker {
            platform: Platform::Console,
            space: String::new(),
            id: account,
            kind: SpeakerKind::Person,
        },
        place: Place {
            platform: Platform::Console,
            space: String::new(),
            channel: "cli".to_owned(),
            thread: None,
        },
        manner: Manner::Said,
        text,
        sent_at: now,
        received_at: now,
        form_handle: None,
    }
}

/// What is said. One word is a whole line, as in `run 'flush-cache prod'`; several are words that the shell has split
/// already.
pub(super) fn line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words
            .iter()
            .map(|word| requoted(word))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Options and `key=value` stay what they are; a value with spaces gets its quotes back.
fn requoted(word: &str) -> String {
    if !word.contains(char::is_whitespace) {
        return word.to_owned();
    }
    match word.split_once('=') {
        Some((key, value)) => format!("{key}={}", crate::domain::quoted(value)),
        None => crate::domain::quoted(word),
    }
}

/// The name of the account that this process runs under, by its user id: the environment can be set by anybody.
fn account_of_this_process() -> Option<String> {
    let id = rustix::process::getuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    let fields = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    fields
        .filter(|fields| fields.get(2) == Some(&id.as_str()))
        .find_map(|fields| fields.first().map(|it| (*it).to_owned()))
}
