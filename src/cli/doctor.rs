//! `midwatch doctor`: what is configured, what is reachable, what is missing and how to get it.

use super::serve::{adapter_settings, discord_settings};
use super::{Exit, app, say, say_error};
use crate::catalog::{self, Loaded};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::chat::discord::Discord;
use crate::chat::slack::Slack;
use crate::clock::Clock;
use crate::config::{Origin, Settings};
use crate::domain::{Catalog, Platform};
use crate::http::{self, Unready};
use crate::store::{Finding, FindingState, Store, StoreSettings, examine};

/// Prints a line for each part. Exit code 1 when a part that is configured doesn't work.
pub(super) async fn run(
    settings: &Settings,
    environment: &BTreeMap<String, String>,
    ready: bool,
) -> anyhow::Result<Exit> {
    if ready {
        return Ok(match http::ask_ready(settings.listen) {
            Ok(_) => Exit::Done,
            Err(why) => {
                say_error(&why.to_string());
                Exit::Unreachable
            }
        });
    }
    say("settings");
    for shown in settings.describe() {
        let origin = match &shown.origin {
            Origin::Environment => "from the environment".to_owned(),
            Origin::File(place) => format!("from {place}"),
            Origin::Default => "default".to_owned(),
        };
        say(&format!("  {:<24} {}  ({origin})", shown.name, shown.value));
    }
    let loaded = catalog::load(&app::folders(settings), &settings.variables);
    let mut parts = vec![
        files(&loaded),
        secrets(settings, environment),
        database(settings).await,
    ];
    parts.extend(postgres(settings).await);
    let slack = slack(settings, &loaded.catalog).await;
    parts.extend([server(settings), slack, discord(settings).await]);
    parts.extend(mirrors(settings, &loaded.catalog));
    parts.extend(calls(settings, &loaded.catalog));
    parts.push(tools());
    say("parts");
    let mut exit = Exit::Done;
    for (name, state) in parts {
        let (sign, words) = match state {
            State::Well(words) => ("ok      ", words),
            State::Doubtful(words) => ("warning ", words),
            State::Missing(words) => ("missing ", words),
            State::Broken(words) => {
                exit = Exit::Failed;
                ("broken  ", words)
            }
        };
        say(&format!("  {sign} {name:<10} {words}"));
    }
    Ok(exit)
}

enum State {
    Well(String),
    /// It works, but not as it could.
    Doubtful(String),
    /// Not configured; nothing is wrong.
    Missing(String),
    Broken(String),
}

fn files(loaded: &Loaded) -> (&'static str, State) {
    let errors = loaded.diagnostics.iter().filter(|it| it.is_error()).count();
    let catalog = &loaded.catalog;
    let words = format!(
        "{} commands, {} projects, {} persons, revision {}",
        catalog.commands.len(),
        catalog.projects.len(),
        catalog.people.persons.len(),
        catalog.revision
    );
    let state = match errors {
        0 => State::Well(words),
        _ => State::Broken(format!(
            "{words}; {errors} mistakes: see them with `midwatch check`"
        )),
    };
    ("files", state)
}

fn secrets(settings: &Settings, environment: &BTreeMap<String, String>) -> (&'static str, State) {
    let secrets = app::secrets(settings, environment);
    let (unusable, short) = (secrets.unusable(), secrets.short());
    let state = match (unusable.is_empty(), short.is_empty()) {
        (true, true) => State::Well("each that is set is long enough to be redacted".to_owned()),
        (true, false) => State::Well(short.join("; ")),
        (false, _) => State::Broken([unusable, short].concat().join("; ")),
    };
    ("secrets", state)
}

async fn database(settings: &Settings) -> (&'static str, State) {
    let state = match Store::open_read_only(&store_settings(settings)).await {
        Err(why) if !settings.data.exists() => State::Missing(format!(
            "{why}; the first start of `midwatch serve` makes it"
        )),
        Err(why) => State::Broken(why.to_string()),
        Ok(store) => match store.checkpoint(Clock::system().now()).await {
            Ok(note) => State::Well(format!(
                "{} ledger entries",
                note.lines().nth(1).unwrap_or("?")
            )),
            Err(why) => State::Broken(why.to_string()),
        },
    };
    ("store", state)
}

/// What the operator should know of PostgreSQL; nothing where the database is a file.
async fn postgres(settings: &Settings) -> Vec<(&'static str, State)> {
    let clock = Clock::system();
    let found = examine(&store_settings(settings), || clock.now()).await;
    let Ok(found) = found else {
        return Vec::new(); // The part before says why it can't be reached.
    };
    let part = |it: Finding| {
        let state = match it.state {
            FindingState::Well => State::Well(it.words),
            FindingState::Doubtful => State::Doubtful(it.words),
            FindingState::Missing => State::Missing(it.words),
            FindingState::Broken => State::Broken(it.words),
        };
        (it.part, state)
    };
    found.into_iter().map(part).collect()
}

fn store_settings(settings: &Settings) -> StoreSettings {
    StoreSettings {
        url: settings.database_url.clone(),
        data: settings.data.clone(),
    }
}

fn server(settings: &Settings) -> (&'static str, State) {
    let state = match http::ask_ready(settings.listen) {
        Ok(parts) => {
            let ready = format!("ready at {}", settings.listen);
            State::Well([vec![ready], parts].concat().join("; "))
        }
        Err(why @ Unready::Absent(_)) => State::Missing(why.to_string()),
        Err(why @ Unready::Unwell(..)) => State::Broken(why.to_string()),
    };
    ("server", state)
}

/// Nothing where all calls that runbooks ask for can be made.
fn calls(settings: &Settings, catalog: &Catalog) -> Option<(&'static str, State)> {
    let left_out = app::means_left_out(catalog, settings);
    (!left_out.is_empty()).then(|| ("calls", State::Doubtful(left_out.join("; "))))
}

/// Nothing where no runbook mirrors anything.
fn mirrors(settings: &Settings, catalog: &Catalog) -> Option<(&'static str, State)> {
    let projects = catalog.projects.values();
    let count: usize = projects.map(|project| project.mirrors.len()).sum();
    let left_out = app::mirrors_left_out(catalog, &app::platforms(settings));
    let state = match (count, left_out.is_empty()) {
        (0, _) => return None,
        (count, true) => State::Well(format!("{count} places in runbooks")),
        (_, false) => State::Doubtful(left_out.join("; ")),
    };
    Some(("mirrors", state))
}

/// The mirrors in other workspaces than ours: our token reaches none of them.
fn foreign<'c>(catalog: &'c Catalog, workspace: &'c str) -> impl Iterator<Item = String> + 'c {
    let projects = catalog.projects.values();
    let mirrors = projects.flat_map(|project| &project.mirrors);
    mirrors
        .filter(move |to| to.platform == Platform::Slack && to.space != workspace)
        .map(|to| format!("{}/{}", to.space, to.channel))
}

async fn slack(settings: &Settings, catalog: &Catalog) -> (&'static str, State) {
    let state = match &settings.slack {
        None => State::Missing(
            "not configured; docs/slack.md takes a workspace from nothing to the first command"
                .to_owned(),
        ),
        Some(settings) => {
            match Slack::new(&adapter_settings(settings), Arc::new(ArcSwap::default())) {
                Err(why) => State::Broken(why.to_string()),
                Ok(slack) => match slack.identify().await {
                    Ok(me) => {
                        let words = format!("we are {} in {}", me.user, me.workspace);
                        let foreign: Vec<String> = foreign(catalog, &me.space).collect();
                        if foreign.is_empty() {
                            State::Well(words)
                        } else {
                            let foreign = foreign.join(", ");
                            State::Doubtful(format!(
                                "{words}, which is {}: runbooks mirror to {foreign}, in a workspace that it can't reach",
                                me.space
                            ))
                        }
                    }
                    Err(why) => {
                        State::Broken(format!("{why}; check SLACK_BOT_TOKEN and SLACK_API_URL"))
                    }
                },
            }
        }
    };
    ("slack", state)
}

async fn discord(settings: &Settings) -> (&'static str, State) {
    let state = match &settings.discord {
        None => State::Missing(
            "not configured; docs/discord.md takes a server from nothing to the first command"
                .to_owned(),
        ),
        Some(settings) => {
            let settings = discord_settings(settings);
            match Discord::new(&settings, Arc::new(ArcSwap::default()), Clock::system()) {
                Err(why) => State::Broken(why.to_string()),
                Ok(discord) => match discord.identify().await {
                    Ok(me) => State::Well(format!("we are {} ({})", me.name, me.user)),
                    Err(why) => {
                        State::Broken(format!("{why}; check DISCORD_TOKEN and DISCORD_API_URL"))
                    }
                },
            }
        }
    };
    ("discord", state)
}

/// Programs that only tests and some sample commands need.
fn tools() -> (&'static str, State) {
    let path = crate::config::environment()
        .remove("PATH")
        .unwrap_or_default();
    let is_there = |name: &str| {
        path.split(':')
            .chain(["/usr/sbin"])
            .any(|folder| std::path::Path::new(folder).join(name).is_file())
    };
    let missing: Vec<&str> = ["varnishd", "python3"]
        .into_iter()
        .filter(|name| !is_there(name))
        .collect();
    let state = if missing.is_empty() {
        State::Well("varnishd and python3 are there; only tests need them".to_owned())
    } else {
        State::Missing(format!(
            "{}: only tests need them, and pass over without",
            missing.join(", ")
        ))
    };
    ("tools", state)
}
