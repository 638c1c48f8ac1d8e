//! `midwatch preview`: how messages look on each platform, so that words and layout can be judged by eye.

mod calls;
mod gallery;
mod page;
mod seen;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;

use self::gallery::{Scene, Shown};
use self::seen::{Look, Part, Piece};
use super::{Exit, app, say, say_error};
use crate::chat::console::Paint;
use crate::chat::{discord, slack};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::{Fact, OutputRef, People, Place, Platform, Run, RunEvent};

const NOTHING_LEADS_HERE: &str = "no example of the runbooks leads here: add one under `examples:`";

/// A message on one platform, or why it can't be there.
struct Column {
    platform: &'static str,
    shown: Result<Vec<Part>, String>,
}

impl Column {
    /// As plain text.
    fn lines(&self) -> Vec<String> {
        match &self.shown {
            Ok(parts) => seen::lines(parts),
            Err(why) => vec![format!("({why})")],
        }
    }
}

/// A message on every platform that is asked for.
type Drawn = Vec<Column>;

/// What is asked.
pub(super) struct Question {
    /// A run; without it, every kind of message.
    pub(super) run: Option<String>,
    /// One platform alone.
    pub(super) on: Option<String>,
    /// Where the page goes.
    pub(super) html: Option<PathBuf>,
}

const PLATFORMS: [&str; 3] = ["console", "slack", "discord"];

/// Prints or writes the previews. Changes nothing; a running server is not disturbed.
pub(super) async fn run(settings: &Settings, question: &Question) -> anyhow::Result<Exit> {
    if let Some(on) = question.on.as_deref()
        && !PLATFORMS.contains(&on)
    {
        say_error(&format!(
            "`{on}` is no platform; there are {}",
            PLATFORMS.join(", ")
        ));
        return Ok(Exit::Invalid);
    }
    let now = Clock::system().now();
    let loaded = app::load(settings);
    let scenes = match &question.run {
        None => match gallery::all(&loaded, now) {
            Ok(scenes) => scenes,
            Err(why) => {
                say_error(&why.to_string());
                return Ok(Exit::Invalid);
            }
        },
        Some(reference) => match told(settings, reference).await? {
            Ok((run, happened)) => vec![gallery::of_ledger(&run, &happened, now)],
            Err(exit) => return Ok(exit),
        },
    };
    let people = &loaded.catalog.people;
    let drawn: Vec<(&str, Vec<Drawn>)> = scenes
        .iter()
        .map(|scene| (scene.name, draw(scene, people, now, question.on.as_deref())))
        .collect();
    match &question.html {
        Some(path) => write_page(path, &drawn)?,
        None => print(&drawn),
    }
    Ok(Exit::Done)
}

/// The run, and what happened to it with what its steps printed.
async fn told(
    settings: &Settings,
    reference: &str,
) -> anyhow::Result<Result<(Run, Vec<(RunEvent, String)>), Exit>> {
    let (store, run) = match app::find_run(settings, reference).await? {
        Ok(found) => found,
        Err(exit) => return Ok(Err(exit)),
    };
    let mut told = Vec::new();
    for entry in store.history(run.id).await?.entries {
        let Fact::Run { happened, .. } = entry.fact else {
            continue;
        };
        let output = match happened {
            RunEvent::StepEnded {
                position, attempt, ..
            } => {
                let of = OutputRef {
                    run: run.id,
                    position,
                    attempt,
                };
                store.output(of).await?
            }
            _ => String::new(),
        };
        told.push((happened, output));
    }
    Ok(Ok((run, told)))
}

fn draw(scene: &Scene, people: &People, now: Timestamp, on: Option<&str>) -> Vec<Drawn> {
    let wanted = |platform: &&str| on.is_none_or(|on| on == *platform);
    let on_each = |shown: &Shown| {
        let columns = PLATFORMS.into_iter().filter(wanted).map(|platform| Column {
            platform,
            shown: on_platform(platform, shown, people, now),
        });
        columns.collect()
    };
    scene.shown.iter().map(on_each).collect()
}

fn on_platform(
    platform: &str,
    shown: &Shown,
    people: &People,
    now: Timestamp,
) -> Result<Vec<Part>, String> {
    match (platform, shown) {
        ("slack", Shown::Message(message)) => Ok(seen::on_slack(
            &slack::message(message, people, ""),
            people,
            now,
        )),
        ("slack", Shown::Form(form)) => Ok(seen::on_slack(
            &slack::form(form, &anywhere())?,
            people,
            now,
        )),
        ("discord", Shown::Message(message)) => Ok(seen::on_discord(
            &discord::message(message, people, ""),
            people,
            now,
        )),
        ("discord", Shown::Form(form)) => Ok(seen::on_discord(&discord::form(form)?, people, now)),
        (_, Shown::Message(message)) => {
            let paint = Paint {
                colour: false,
                people,
                now,
                columns: None,
            };
            let line = |line: &str| {
                Part::Line(vec![Piece {
                    text: line.to_owned(),
                    look: Look::Plain,
                }])
            };
            Ok(paint.message(message).lines().map(line).collect())
        }
        (_, Shown::Form(_)) => Err("a terminal has no forms: what is missing is typed".to_owned()),
    }
}

/// Where its answer would be said.
fn anywhere() -> Place {
    Place {
        platform: Platform::Slack,
        space: String::new(),
        channel: String::new(),
        thread: None,
    }
}

/// Each scene on one platform after the other: what stands together in a thread stays together.
fn print(scenes: &[(&str, Vec<Drawn>)]) {
    for (name, messages) in scenes {
        say(&format!("── {name}"));
        if messages.is_empty() {
            say(&format!("   {NOTHING_LEADS_HERE}"));
        }
        for platform in PLATFORMS {
            let there = messages.iter().flatten();
            let there: Vec<&Column> = there.filter(|it| it.platform == platform).collect();
            if !there.is_empty() {
                say(&format!("   {platform}"));
            }
            for line in there.into_iter().flat_map(Column::lines) {
                say(format!("     {line}").trim_end());
            }
        }
        say("");
    }
}

fn write_page(path: &Path, scenes: &[(&str, Vec<Drawn>)]) -> anyhow::Result<()> {
    std::fs::write(path, page::page(scenes)).with_context(|| path.display().to_string())?;
    say(&format!(
        "{} is written: open it in a browser",
        path.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests;
