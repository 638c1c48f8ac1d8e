//! `midwatch factor enrol PERSON`: gives a person's authenticator app its secret, and says what to write into people.yaml.

use std::io::BufRead;

use clap::Subcommand;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::{Exit, app, say, say_error};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::{Enrolment, PersonId};
use crate::store::{Store, StoreSettings};

/// How often a code may be typed before we give up.
const TRIES: usize = 3;

/// What is done with second factors.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum FactorCommand {
    /// Show a person's authenticator app what it needs, and print the line for people.yaml
    Enrol {
        /// A person of people.yaml
        person: String,
    },
}

/// Runs a subcommand. A running server is not disturbed: it takes the enrolment from people.yaml.
pub(super) async fn run(settings: &Settings, command: FactorCommand) -> anyhow::Result<Exit> {
    let FactorCommand::Enrol { person } = command;
    let Some(catalog) = app::load_catalog(settings) else {
        return Ok(Exit::Invalid);
    };
    let known = PersonId::parse(&person)
        .ok()
        .filter(|person| catalog.people.persons.contains_key(person));
    let Some(person) = known else {
        say_error(&format!(
            "`{person}` is nobody in people.yaml; add them first, then enrol them"
        ));
        return Ok(Exit::Invalid);
    };
    let store = Store::open_read_only(&StoreSettings {
        url: settings.database_url.clone(),
        data: settings.data.clone(),
    })
    .await?;
    let enrolment = Enrolment::draw(rand::random());
    let secret = store.shared_secret(&person, &enrolment)?;
    let address = secret.address(&person);
    let drawn = QrCode::new(&address)?
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    say(&drawn);
    say(&format!(
        "\nScan this with the authenticator app of {person}, or type into it: {}\n\
         Whoever sees it can make their codes: let nobody else look, and keep no copy.\n\
         Then type the six digits that the app shows, and press return.",
        secret.typed()
    ));
    let mut lines = std::io::stdin().lock().lines();
    for _ in 0..TRIES {
        let Some(line) = lines.next().transpose()? else {
            break;
        };
        let code: String = line.chars().filter(|it| !it.is_whitespace()).collect();
        let now = Clock::system().now();
        if secret.step_of(&person, &code, now).is_some() {
            say(&format!(
                "It fits. Write this beside {person} in people.yaml; from then on their codes count:\n\n    second_factor: {}\n\n\
                 What an app was given before counts no more then.",
                enrolment.as_str()
            ));
            return Ok(Exit::Done);
        }
        say_error(
            "that is not what the app should show now; see that its clock is right, and type the next one",
        );
    }
    say_error("nothing was enrolled: no code fitted; begin again");
    Ok(Exit::Failed)
}
