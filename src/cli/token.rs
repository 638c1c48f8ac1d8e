//! `midwatch token add|list|revoke`: who may speak for whom over the API. The token is told once, and only here.
//!
//! Whoever may write into the data folder may do this: they could change the database itself. A server that has the folder
//! does it for them, asked over a socket in that very folder.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Exit, app, say, say_error};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::{
    ApiToken, Catalog, PersonId, ProjectName, Scope, TOKEN_DAYS, TOKEN_DAYS_MOST, TokenId,
    TokenState, TokenTerms,
};
use crate::store::{Store, StoreError, StoreSettings};

/// How long the server is given to answer.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token that speaks for a person or a service, and print it: it is never shown again
    Add {
        /// A person or service of people.yaml
        person: String,
        /// What it is good for: read, run, approve; may be given several times [default: read]
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
        scopes: Vec<String>,
        /// Only this project is there for it; may be given several times [default: all]
        #[arg(long = "project", value_name = "PROJECT", value_delimiter = ',')]
        projects: Vec<String>,
        /// How many days it lives, 90 at most
        #[arg(long, default_value_t = TOKEN_DAYS)]
        days: u32,
    },
    /// List all tokens that were ever made, without what would let anybody use them
    List,
    /// End a token from now on
    Revoke {
        /// Its id, as `token list` shows it
        id: String,
    },
}

/// What is wanted of whoever has the store open.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Wanted {
    /// A new token.
    Add {
        person: String,
        scopes: Vec<String>,
        projects: Vec<String>,
        days: u32,
    },
    /// One that ends.
    Revoke { id: String },
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Became {
    /// It was made; the one time that it is told.
    Added { token: String, about: String },
    /// It is revoked.
    Revoked { about: String },
    /// Nothing was done, and why: for the person at the host.
    Refused { why: String },
}

pub(super) async fn run(settings: &Settings, command: TokenCommand) -> anyhow::Result<Exit> {
    let wanted = match command {
        TokenCommand::List => return list(settings).await,
        TokenCommand::Add {
            person,
            scopes,
            projects,
            days,
        } => Wanted::Add {
            person,
            scopes,
            projects,
            days,
        },
        TokenCommand::Revoke { id } => Wanted::Revoke { id },
    };
    let clock = Clock::system();
    let store_settings = StoreSettings {
        url: settings.database_url.clone(),
        data: settings.data.clone(),
    };
    let became = match Store::open(&store_settings, clock.now()).await {
        Ok(store) => {
            let Some(catalog) = app::load_catalog(settings) else {
                store.close().await;
                return Ok(Exit::Invalid);
            };
            let became = perform(&store, &catalog, wanted, clock.now()).await;
            store.close().await;
            became
        }
        Err(StoreError::InUse(_)) => match ask_server(&settings.data, &wanted) {
            Ok(became) => became,
            Err(why) => {
                say_error(&format!(
                    "another midwatch has the folder {}, and does not answer at {}: {why}; stop it, or run this as the \
                     user that it runs as",
                    settings.data.display(),
                    socket_in(&settings.data).display()
                ));
                return Ok(Exit::Unreachable);
            }
        },
        Err(why) => {
            say_error(&format!("nothing was done: {why}"));
            return Ok(Exit::Failed);
        }
    };
    Ok(tell(&became))
}

fn tell(became: &Became) -> Exit {
    match became {
        Became::Added { token, about } => {
            // The token alone on standard output, so that a script can take it from there.
            say(token);
            say_error(about);
            Exit::Done
        }
        Became::Revoked { about } => {
            say(about);
            Exit::Done
        }
        Became::Refused { why } => {
            say_error(why);
            Exit::Failed
        }
    }
}

async fn list(settings: &Settings) -> anyhow::Result<Exit> {
    let store = Store::open_read_only(&StoreSettings {
        url: settings.database_url.clone(),
        data: settings.data.clone(),
    })
    .await?;
    let now = Clock::system().now();
    for terms in store.tokens().await? {
        say(&line(&terms, now));
    }
    Ok(Exit::Done)
}

fn line(terms: &TokenTerms, now: Timestamp) -> String {
    let state = match terms.state(now) {
        TokenState::InForce => "in force",
        TokenState::Expired => "expired",
        TokenState::Revoked => "revoked",
    };
    format!("{}  {state}  {}", terms.id, in_words(terms))
}

fn in_words(terms: &TokenTerms) -> String {
    let scopes: Vec<&str> = terms.scopes.iter().map(|it| it.as_str()).collect();
    let projects: Vec<&str> = terms.projects.iter().map(ProjectName::as_str).collect();
    let projects = if projects.is_empty() {
        "all projects".to_owned()
    } else {
        projects.join(", ")
    };
    format!(
        "speaks for {}, may {}, in {projects}, until {}",
        terms.person,
        scopes.join(", "),
        terms.until
    )
}

/// Does what is wanted. What the catalog doesn't know is refused.
pub(super) async fn perform(
    store: &Store,
    catalog: &Catalog,
    wanted: Wanted,
    now: Timestamp,
) -> Became {
    let became = match wanted {
        Wanted::Add { .. } => match terms_of(&wanted, catalog, now) {
            Ok(terms) => add(store, terms).await,
            Err(why) => Err(why),
        },
        Wanted::Revoke { id } => revoke(store, &id, now).await,
    };
    became.unwrap_or_else(|why| Became::Refused { why })
}

async fn add(store: &Store, terms: TokenTerms) -> Result<Became, String> {
    let token = ApiToken::of(rand::random());
    let about = format!(
        "token {} {}; it is not shown again",
        terms.id,
        in_words(&terms)
    );
    let added = store.add_token(&token, terms).await;
    added.map_err(|why| format!("no token was made: {why}"))?;
    Ok(Became::Added {
        token: token.expose().to_owned(),
        about,
    })
}

async fn revoke(store: &Store, id: &str, now: Timestamp) -> Result<Became, String> {
    let tokens = store.tokens().await.map_err(|why| why.to_string())?;
    let Some(terms) = tokens.into_iter().find(|terms| terms.id.as_str() == id) else {
        return Err(format!(
            "no token is called `{id}`; `midwatch token list` shows them all"
        ));
    };
    let about = format!("token {id} of {} is good for nothing now", terms.person);
    let revoked = store.revoke_token(terms, now).await;
    revoked.map_err(|why| why.to_string())?;
    Ok(Became::Revoked { about })
}

fn terms_of(wanted: &Wanted, catalog: &Catalog, now: Timestamp) -> Result<TokenTerms, String> {
    let Wanted::Add {
        person,
        scopes,
        projects,
        days,
    } = wanted
    else {
        return Err("nothing is to be made".to_owned());
    };
    let known = PersonId::parse(person.trim_start_matches('@')).ok();
    let known = known.filter(|person| catalog.people.speaks(person));
    let Some(known) = known else {
        return Err(format!(
            "people.yaml knows no person or service `{person}`; a token speaks for somebody whom the runbooks know"
        ));
    };
    let scopes = scopes_of(scopes)?;
    if catalog.people.services.contains_key(&known) && scopes.contains(&Scope::Approve) {
        return Err(format!(
            "{known} is a service, and a service never consents: leave out the scope approve"
        ));
    }
    if !(1..=TOKEN_DAYS_MOST).contains(days) {
        return Err(format!(
            "a token lives 1 to {TOKEN_DAYS_MOST} days, not {days}"
        ));
    }
    let lives = SignedDuration::from_hours(24 * i64::from(*days));
    Ok(TokenTerms {
        id: new_id(),
        person: known,
        scopes,
        projects: projects_of(projects, catalog)?,
        made_at: now,
        until: now.saturating_add(lives).unwrap_or(Timestamp::MAX),
        revoked_at: None,
    })
}

/// Short enough to be typed; the store refuses one that is taken.
fn new_id() -> TokenId {
    let random: [u8; 5] = rand::random();
    let text = data_encoding::BASE32_NOPAD
        .encode(&random)
        .to_ascii_lowercase();
    TokenId::parse(&text).expect("eight letters and digits are a name")
}

fn scopes_of(words: &[String]) -> Result<BTreeSet<Scope>, String> {
    if words.is_empty() {
        return Ok([Scope::Read].into());
    }
    let read = words.iter().map(|word| {
        Scope::parse(word)
            .ok_or_else(|| format!("`{word}` is no scope; there are read, run and approve"))
    });
    read.collect()
}

fn projects_of(names: &[String], catalog: &Catalog) -> Result<BTreeSet<ProjectName>, String> {
    let known = names.iter().map(|name| {
        let project = ProjectName::parse(name).ok();
        let project = project.filter(|project| catalog.projects.contains_key(project));
        project.ok_or_else(|| format!("no project is called `{name}`"))
    });
    known.collect()
}

/// Where a server listens for whoever may write into its folder.
pub(super) fn socket_in(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Asks the server that has the folder. Blocks, for some seconds at most.
fn ask_server(data: &Path, wanted: &Wanted) -> anyhow::Result<Became> {
    let mut stream = UnixStream::connect(socket_in(data))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    writeln!(stream, "{}", serde_json::to_string(wanted)?)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}
