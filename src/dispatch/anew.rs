//! Risky commands, and the consent to them: platforms are asked anew who is in their groups, before the runbook is.

use std::collections::BTreeSet;

use super::Walk;
use crate::domain::{
    Actor, Commands, Grant, GroupName, Identity, Invocation, Message, PersonId, Phase,
    PlatformGroup, Reference, Risk, Text, Who,
};
use crate::store::StoreError;

/// A walk's catalog and actor, for which platforms were asked anew.
pub(super) struct Seen {
    anew: super::Anew,
    actor: Actor,
}

impl Walk<'_> {
    /// The same walk among people who were asked for anew; as it is where nobody had to be.
    pub(super) fn seeing<'b>(&'b self, seen: Option<&'b Seen>) -> Walk<'b> {
        Walk {
            dispatch: self.dispatch,
            catalog: seen.map_or(self.catalog, |seen| &seen.anew.catalog),
            inbound: self.inbound,
            actor: seen.map_or(self.actor, |seen| &seen.actor),
            unsaid: seen.map_or(self.unsaid, |seen| &seen.anew.unsaid),
            code: self.code.clone(),
            now: self.now,
        }
    }

    /// Asks for whoever takes part in a risky command, as far as its rules speak of groups of platforms. `None` where
    /// nobody has to be asked.
    pub(super) async fn anew_for(
        &self,
        invocation: &Invocation,
        others: &[PersonId],
    ) -> Option<Seen> {
        let roster = self.dispatch.roster.as_ref()?;
        let people = &self.catalog.people;
        let command = self.catalog.commands.get(&invocation.command)?;
        if !people.has_platform_groups() || command.risk != Risk::High {
            return None;
        }
        let groups = people.platform_groups_of(&self.groups_that_matter(invocation));
        if groups.is_empty() {
            return None;
        }
        let persons = self.actor.person().into_iter().chain(others).cloned();
        let anew = roster.anew(&groups, &persons.collect()).await;
        let actor = anew.catalog.people.identify(&self.inbound.speaker);
        Some(Seen { anew, actor })
    }

    /// The same for a run that somebody consents to: they, the requester, and who consented before.
    pub(super) async fn anew_for_run(
        &self,
        reference: &Reference,
    ) -> Result<Option<Seen>, StoreError> {
        if !self.catalog.people.has_platform_groups() {
            return Ok(None);
        }
        let Ok(run) = self.find(reference).await? else {
            return Ok(None);
        };
        let mut others = match &run.phase {
            Phase::AwaitingApproval { approvers, .. } => approvers.clone(),
            Phase::Queued { .. } | Phase::Running | Phase::Finished(_) => Vec::new(),
        };
        if let Identity::Person(requester) = &run.requester {
            others.push(requester.clone());
        }
        Ok(self.anew_for(&run.invocation, &others).await)
    }

    /// The groups that rules of this project name which may speak of this command, and its owners.
    fn groups_that_matter(&self, invocation: &Invocation) -> BTreeSet<GroupName> {
        let mut groups = BTreeSet::new();
        let Some(project) = self.catalog.projects.get(&invocation.project) else {
            return groups;
        };
        groups.extend(project.owner.clone());
        for rule in &project.rules {
            let covers = match &rule.may {
                Commands::Named(names) => names.contains(&invocation.command),
                Commands::Reads | Commands::All => true,
            };
            let of: Vec<&Who> = match &rule.grant {
                Grant::Approval(terms) => terms.quorums().flat_map(|(_, of)| of).collect(),
                Grant::Allow | Grant::BreakGlass(_) | Grant::Never(_) => Vec::new(),
            };
            for who in rule.who.iter().chain(of).filter(|_| covers) {
                if let Who::Group(group) = who {
                    groups.insert(group.clone());
                }
            }
        }
        groups
    }

    /// Says that a no may come of a platform's silence.
    pub(super) fn tell_unsaid(&self, message: Message) -> Message {
        match self.unsaid_in_words() {
            Some(words) => message.text(Text::from("⚠ ").plain(words)),
            None => message,
        }
    }

    pub(super) fn unsaid_in_words(&self) -> Option<String> {
        let unsaid: Vec<String> = self.unsaid.iter().map(PlatformGroup::to_string).collect();
        (!unsaid.is_empty()).then(|| {
            format!(
                "who is in {} could not be found out just now, and for a risky command that means nobody; try again in a minute",
                unsaid.join(", ")
            )
        })
    }
}
