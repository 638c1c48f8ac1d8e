//! Who has a role: asked for each account, since to list all members of a server is a privilege that we don't need.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use serde_json::Value;
use serenity::http::Route;
use tokio::time::sleep;

use super::api::{CallError, code};
use super::transport::id;
use super::{Discord, as_text};
use crate::dispatch::{Memberships, Said};
use crate::domain::Platform;

/// Accounts that are asked about at the same time.
const AT_ONCE: usize = 4;

#[async_trait]
impl Memberships for Discord {
    fn platform(&self) -> Platform {
        Platform::Discord
    }

    async fn fetch(&self, groups: &BTreeSet<String>, accounts: &BTreeSet<String>) -> Said {
        let mut by_guild: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for group in groups {
            if let Some((guild, role)) = group.split_once('/') {
                by_guild.entry(guild).or_default().push((group, role));
            }
        }
        let mut said = Said::new();
        for (guild, roles) in by_guild {
            match self.roles(guild, accounts).await {
                Ok((known, held)) => {
                    for (group, role) in roles {
                        let members = || held.iter().filter(|(_, roles)| roles.contains(role));
                        said.insert(
                            group.to_owned(),
                            if known.contains(role) {
                                Ok(members().map(|(name, _)| name.clone()).collect())
                            } else {
                                Err(format!("server {guild} has no role {role}"))
                            },
                        );
                    }
                }
                Err(why) => {
                    let unsaid = roles
                        .iter()
                        .map(|(group, _)| ((*group).to_owned(), Err(why.clone())));
                    said.extend(unsaid);
                }
            }
        }
        said
    }
}

type Held = Vec<(String, BTreeSet<String>)>;

impl Discord {
    /// The roles that a guild has, and those that each of these accounts has there.
    async fn roles(
        &self,
        guild: &str,
        accounts: &BTreeSet<String>,
    ) -> Result<(BTreeSet<String>, Held), String> {
        let guild_id = id(guild).map_err(|why| why.to_string())?.into();
        let roles = self.patiently(Route::GuildRoles { guild_id }).await;
        let roles = roles.map_err(|why| why.to_string())?;
        let roles = roles
            .as_array()
            .ok_or_else(|| "discord lists no roles".to_owned())?;
        let known = roles
            .iter()
            .map(|role| as_text(role, "/id").to_owned())
            .collect();
        let here = accounts
            .iter()
            .filter_map(|name| match name.split_once('/') {
                Some((space, id)) => (space == guild).then_some((name, id)),
                None => Some((name, name.as_str())),
            });
        let here: Vec<(String, String)> = here
            .map(|(name, id)| (name.clone(), id.to_owned()))
            .collect();
        let asked = iter(here).map(|(name, account)| async move {
            let user_id = id(&account).map_err(|why| why.to_string())?.into();
            match self
                .patiently(Route::GuildMember { guild_id, user_id })
                .await
            {
                Ok(member) => Ok((name, texts(&member["roles"]))),
                Err(why) if why.is_one_of(&[code::UNKNOWN_MEMBER, code::UNKNOWN_USER]) => {
                    Ok((name, BTreeSet::new()))
                }
                Err(why) => Err(why.to_string()),
            }
        });
        let held: Vec<Result<_, String>> = asked.buffer_unordered(AT_ONCE).collect().await;
        Ok((known, held.into_iter().collect::<Result<Held, String>>()?))
    }

    /// Waits for as long as Discord asks to; the caller's time limit ends that.
    async fn patiently(&self, route: Route<'_>) -> Result<Value, CallError> {
        loop {
            match self.api.get(route, Vec::new()).await {
                Err(CallError::Limited(wait)) => sleep(wait).await,
                answer => return answer,
            }
        }
    }
}

fn texts(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
