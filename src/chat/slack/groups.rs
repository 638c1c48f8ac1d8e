//! Who is in a user group, for groups of `people.yaml` that stand for one.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{Slack, as_text};
use crate::dispatch::{Memberships, Said};
use crate::domain::Platform;

const METHOD: &str = "usergroups.users.list";
/// Of the twenty questions a minute that Slack answers, so many are for groups that are asked for in turn; the others are
/// for risky commands.
const IN_TURN: usize = 10;
/// A question about more groups than this is one of those that are asked in turn.
const AT_ONCE: usize = 4;

#[async_trait]
impl Memberships for Slack {
    fn platform(&self) -> Platform {
        Platform::Slack
    }

    async fn fetch(&self, groups: &BTreeSet<String>, accounts: &BTreeSet<String>) -> Said {
        if groups.len() <= AT_ONCE {
            let asked = groups.iter().map(|group| self.members(group, accounts));
            let said = futures_util::future::join_all(asked).await;
            return groups.iter().cloned().zip(said).collect();
        }
        let mut said = Said::new();
        for group in groups {
            tokio::time::sleep(self.api.room(METHOD, IN_TURN)).await;
            said.insert(group.clone(), self.members(group, accounts).await);
        }
        said
    }
}

impl Slack {
    async fn members(
        &self,
        group: &str,
        accounts: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, String> {
        let wanted = [("usergroup", group.to_owned())];
        let answer = self.api.read(METHOD, &wanted).await;
        let answer = answer.map_err(|why| why.to_string())?;
        let users = answer["users"].as_array();
        let users = users.ok_or_else(|| "slack's answer names no users".to_owned())?;
        let users: BTreeSet<&str> = users.iter().map(|user| as_text(user, "")).collect();
        let is_member = |name: &&String| match name.split_once('/') {
            // Of other workspaces we know nothing.
            Some((space, id)) => {
                self.me().is_some_and(|me| me.space == space) && users.contains(id)
            }
            None => users.contains(name.as_str()),
        };
        Ok(accounts.iter().filter(is_member).cloned().collect())
    }
}
