//! `midwatch summary REF` and `midwatch timeline PROJECT`: what happened, to read or to take away. Reads only.

use clap::ValueEnum;
use serde::Serialize;

use super::{Exit, app, may, say, say_error};
use crate::clock::Clock;
use crate::config::Settings;
use crate::dispatch::read_timeline;
use crate::domain::{
    Catalog, Message, Position, ProjectName, Since, TimelineAsk, moment, parse_duration, render,
    summarize,
};
use crate::store::verify::unread_in_words;
use crate::store::{Store, StoreSettings};

/// Lines of one export; the note at its end says how to go on.
const MOST_LINES: u32 = 10_000;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// As the console shows it
    Text,
    /// For a ticket or a report
    Markdown,
    /// For programs
    Json,
}

/// What is asked of a timeline, as it was typed.
pub(super) struct Question {
    pub(super) project: String,
    pub(super) since: Option<String>,
    pub(super) about: Option<String>,
    pub(super) before: Option<String>,
    pub(super) format: Format,
}

/// Prints a run in plain words.
pub(super) async fn summary(
    settings: &Settings,
    reference: &str,
    format: Format,
) -> anyhow::Result<Exit> {
    let (store, run) = match app::find_run(settings, reference).await? {
        Ok(found) => found,
        Err(exit) => return Ok(exit),
    };
    let catalog = app::load_catalog(settings).unwrap_or_default();
    let history = store.history(run.id).await?;
    let command = catalog.commands.get(&run.invocation.command);
    let does = command.map(|command| command.does.as_str());
    let now = Clock::system().now();
    let summary = summarize(&run, &history.entries, does, now);
    print(&summary, &render::summary(&summary), &catalog, format)?;
    if history.unread > 0 {
        say_error(&unread_in_words(history.unread as u64));
    }
    Ok(Exit::Done)
}

/// Prints a project's timeline.
pub(super) async fn timeline(settings: &Settings, question: &Question) -> anyhow::Result<Exit> {
    let ask = match ask(question) {
        Ok(ask) => ask,
        Err(wrong) => {
            say_error(&wrong);
            return Ok(Exit::Invalid);
        }
    };
    let store = Store::open_read_only(&StoreSettings {
        url: settings.database_url.clone(),
        data: settings.data.clone(),
    })
    .await?;
    let catalog = app::load_catalog(settings).unwrap_or_default();
    let timeline = read_timeline(&store, &ask, MOST_LINES, Clock::system().now()).await?;
    if timeline.lines.is_empty() && !catalog.projects.contains_key(&ask.project) {
        let known: Vec<&str> = catalog.projects.keys().map(ProjectName::as_str).collect();
        say_error(&format!(
            "no project is called {}; there are {}",
            ask.project,
            known.join(", ")
        ));
        return Ok(Exit::Failed);
    }
    print(
        &timeline,
        &render::timeline(&timeline, &ask),
        &catalog,
        question.format,
    )?;
    if let Some(before) = timeline.earlier {
        say_error(&format!("there is more: go on with --before {before}"));
    }
    Ok(Exit::Done)
}

fn ask(question: &Question) -> Result<TimelineAsk, String> {
    let project = &question.project;
    let project = ProjectName::parse(project)
        .map_err(|_| format!("`{project}` is not the name of a project"))?;
    let since = question.since.as_deref().map(|text| {
        let span = parse_duration(text).map(Since::Ago);
        let since = span.or_else(|| moment(text).map(Since::Moment));
        since.ok_or_else(|| {
            format!("--since takes a span such as 3d or a day such as 2026-11-20, not `{text}`")
        })
    });
    let before = question.before.as_deref().map(|text| {
        text.parse::<Position>().map_err(|_| {
            format!("--before takes a day such as 2026-11-20, or what an export says at its end, not `{text}`")
        })
    });
    Ok(TimelineAsk {
        project,
        since: since.transpose()?,
        about: question.about.clone(),
        before: before.transpose()?,
    })
}

fn print(
    value: &impl Serialize,
    message: &Message,
    catalog: &Catalog,
    format: Format,
) -> anyhow::Result<()> {
    let text = match format {
        Format::Text => may::plain(message, catalog),
        Format::Markdown => render::markdown(message, &catalog.people),
        Format::Json => serde_json::to_string_pretty(value)?,
    };
    say(text.trim_end());
    Ok(())
}
