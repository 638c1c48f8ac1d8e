//! `midwatch may`: the decision that the real thing would get, without running anything.

use std::str::FromStr;

use jiff::{Timestamp, Zoned};

use super::{Exit, app, say, say_error};
use crate::chat::console::Paint;
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::{
    Catalog, Decision, Facts, Hearing, Message, PersonId, Typed, decide, parse, render,
};

/// What is asked.
pub(super) struct Question {
    pub(super) person: String,
    pub(super) says: String,
    pub(super) at: Option<String>,
    /// `None`: that of the project with the most rules.
    pub(super) channel: Option<String>,
}

/// Prints the decision. Exit code 0: allowed now; 1: not, or not without more.
pub(super) fn run(settings: &Settings, question: &Question) -> Exit {
    let Some(catalog) = app::load_catalog(settings) else {
        return Exit::Invalid;
    };
    let now = Clock::system().now();
    let Some(at) = question
        .at
        .as_deref()
        .map_or(Some(now), |at| moment(at, now))
    else {
        say_error("--at takes 03:00, 2026-11-20T03:00Z or 2026-11-20T03:00[Europe/Berlin]");
        return Exit::Invalid;
    };
    let person = question.person.trim_start_matches('@');
    let Some(person) = PersonId::parse(person)
        .ok()
        .filter(|it| catalog.people.persons.contains_key(it))
    else {
        let known: Vec<&str> = catalog
            .people
            .persons
            .keys()
            .map(PersonId::as_str)
            .collect();
        say_error(&format!(
            "people.yaml knows no person `{person}`; it knows {}",
            known.join(", ")
        ));
        return Exit::Invalid;
    };
    let usual = super::tryout::usual_channel(&catalog).unwrap_or_default();
    let channel = question.channel.as_ref().unwrap_or(&usual);
    let hearing = Hearing {
        catalog: &catalog,
        channel,
    };
    match parse(&question.says, &hearing) {
        Err(refusal) => {
            say(&plain(&refusal.message(), &catalog));
            Exit::Failed
        }
        Ok(Typed::Ask(asked)) => {
            say(&format!(
                "`{}` is a question; everybody in people.yaml may ask it",
                asked.word()
            ));
            Exit::Done
        }
        Ok(Typed::Invoke(invocation)) => {
            let decision = decide(
                &invocation,
                &catalog.people.actor(&person),
                &catalog,
                &Facts::default(),
                at,
            );
            say(&plain(
                &render::not_run(&invocation, &decision, at),
                &catalog,
            ));
            if matches!(decision, Decision::Allow { .. }) {
                Exit::Done
            } else {
                Exit::Failed
            }
        }
    }
}

/// Reads a moment as people type it; a time of day is today's in the zone of this host.
pub(super) fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(at) = Timestamp::from_str(text) {
        return Some(at);
    }
    if let Ok(at) = Zoned::from_str(text) {
        return Some(at.timestamp());
    }
    let here = now.to_zoned(jiff::tz::TimeZone::system());
    let time = jiff::civil::Time::from_str(text).ok()?;
    here.date()
        .to_datetime(time)
        .to_zoned(here.time_zone().clone())
        .ok()
        .map(|at| at.timestamp())
}

/// A message as plain text.
pub(super) fn plain(message: &Message, catalog: &Catalog) -> String {
    let now = Clock::system().now();
    Paint {
        colour: false,
        people: &catalog.people,
        now,
        columns: None,
    }
    .message(message)
    .trim_end()
    .to_owned()
}
