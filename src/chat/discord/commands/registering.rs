//! `/ops` in each guild: registered, and anew when the catalog has changed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use serenity::http::{LightMethod, Route};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::definition;
use crate::chat::DeliveryError;
use crate::chat::discord::api::CallError;
use crate::chat::discord::transport::id;
use crate::chat::discord::{Door, as_text as at};

/// How often is looked whether the catalog has changed, and which guilds there are.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const GUILDS_EVERY: Duration = Duration::from_secs(60);
const GUILDS_PAGE: usize = 200;
/// When it is tried again where Discord refused it, and where it only failed.
const AGAIN: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(5);

/// Registers `/ops` in each guild, and anew when the catalog has changed, until cancelled.
pub async fn keep_registered(door: Door, cancel: CancellationToken) {
    let registering = async {
        let mut registered: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut guilds: Vec<String> = Vec::new();
        // When it is asked for them again; twice as long after each failure.
        let (mut ask_at, mut pause) = (Instant::now(), LOOK_EVERY);
        // Where it failed: not before then.
        let mut later: BTreeMap<String, Instant> = BTreeMap::new();
        loop {
            sleep(LOOK_EVERY).await;
            let Some(me) = door.discord.me() else {
                continue;
            };
            let now = Instant::now();
            if ask_at <= now {
                match door.guilds().await {
                    Ok(found) => {
                        // Who leaves a server and comes back has to offer it there anew.
                        registered.retain(|guild, _| found.contains(guild));
                        later.retain(|guild, _| found.contains(guild));
                        guilds = found;
                        (ask_at, pause) = (now + GUILDS_EVERY, LOOK_EVERY);
                    }
                    Err(CallError::Limited(wait)) => ask_at = now + wait,
                    Err(why) => {
                        warn!(
                            "discord does not say in which servers we are: {why}; asking again in {pause:?}"
                        );
                        ask_at = now + pause;
                        pause = (pause * 2).min(GUILDS_EVERY);
                    }
                }
            }
            let definition = definition(&door.discord.catalog.load());
            let digest = Sha256::digest(definition.to_string()).to_vec();
            for guild in &guilds {
                let waits = later.get(guild).is_some_and(|until| *until > now);
                if waits || registered.get(guild) == Some(&digest) {
                    continue;
                }
                match register(&door, &me.application, guild, &definition).await {
                    Ok(()) => {
                        info!("discord: /ops is registered in server {guild}");
                        registered.insert(guild.clone(), digest.clone());
                    }
                    Err(CallError::Limited(wait)) => {
                        later.insert(guild.clone(), now + wait);
                    }
                    Err(why) => {
                        let (next, wait) = match why {
                            CallError::Refused { .. } => {
                                let next =
                                    "; was the app added with the scope applications.commands?";
                                (next, AGAIN)
                            }
                            _ => ("", SOON),
                        };
                        warn!("discord: /ops is not registered in server {guild} yet: {why}{next}");
                        later.insert(guild.clone(), now + wait);
                    }
                }
            }
        }
    };
    cancel.run_until_cancelled(registering).await;
}

async fn register(
    door: &Door,
    application: &str,
    guild: &str,
    definition: &Value,
) -> Result<(), CallError> {
    let wrong = |why: DeliveryError| CallError::NotDone(why.to_string());
    let route = Route::GuildCommands {
        application_id: id(application).map_err(wrong)?.into(),
        guild_id: id(guild).map_err(wrong)?.into(),
    };
    let sent = door
        .discord
        .api
        .send(LightMethod::Put, route, definition)
        .await;
    sent.map(|_| ())
}

impl Door {
    /// The guilds that we are in.
    pub(in crate::chat::discord) async fn guilds(&self) -> Result<Vec<String>, CallError> {
        let mut guilds: Vec<String> = Vec::new();
        loop {
            let mut wanted = vec![("limit", GUILDS_PAGE.to_string())];
            wanted.extend(guilds.last().map(|last| ("after", last.clone())));
            let page = self.discord.api.get(Route::UserMeGuilds, wanted).await?;
            let page = page.as_array().map(Vec::as_slice).unwrap_or_default();
            guilds.extend(page.iter().map(|guild| at(guild, "/id").to_owned()));
            if page.len() < GUILDS_PAGE {
                return Ok(guilds);
            }
        }
    }
}
