//! Finding one's way: the card of a command, who can, asking those who may, and what a project is.

use super::answer::typical;
use super::change::not_now;
use super::{Walk, plan_for};
use crate::domain::{
    Command, Decision, Denial, EnvironmentName, Facts, Invocation, Message, PersonId, Plan,
    Posting, PostingKind, Project, ProjectName, Refusal, Route, Run, decide, plan, propose, render,
};
use crate::store::{Conclusion, RunFilter, StoreError};

/// How many runs an orientation tells of.
const LATEST: u32 = 5;
/// How many persons are asked at once.
const ASKED: usize = 5;

impl Walk<'_> {
    /// What a command would do, and whether this person may: nothing is done.
    pub(super) async fn plan_card(&self, invocation: Invocation) -> Result<Message, StoreError> {
        let facts = self.facts(&invocation, Vec::new()).await?;
        let decision = decide(&invocation, self.actor, self.catalog, &facts, self.now);
        let rule = match &decision {
            Decision::Allow { rule, .. } | Decision::RequireApproval { rule, .. } => rule.clone(),
            Decision::Hold { .. } | Decision::Deny { .. } => {
                return self.card(&invocation, &decision, None).await;
            }
        };
        let run = self.new_run(invocation.clone(), rule).await?;
        let (decision, plan) = self.planned(decision, &run);
        self.card(&invocation, &decision, plan.as_ref()).await
    }

    /// The plan that would be made. A plan that can't be made is said by the real thing.
    fn planned(&self, decision: Decision, run: &Run) -> (Decision, Option<Plan>) {
        match decision {
            Decision::Allow {
                permit,
                rule,
                glass,
            } => {
                let shown = plan(permit, self.catalog, plan_for(run)).ok();
                // The permit is used up: this person would be asked for another.
                let facts = Facts::default();
                let invocation = &run.invocation;
                let again = decide(invocation, self.actor, self.catalog, &facts, self.now);
                match again {
                    Decision::Allow { permit, .. } => {
                        let decision = Decision::Allow {
                            permit,
                            rule,
                            glass,
                        };
                        (decision, shown)
                    }
                    other => (other, shown),
                }
            }
            Decision::RequireApproval { terms, rule, draft } => {
                let proposal = propose(draft.clone(), self.catalog, plan_for(run)).ok();
                let shown = proposal.map(|proposal| proposal.shown().clone());
                (Decision::RequireApproval { terms, rule, draft }, shown)
            }
            other @ (Decision::Hold { .. } | Decision::Deny { .. }) => (other, None),
        }
    }

    /// The card of a decision.
    pub(super) async fn card(
        &self,
        invocation: &Invocation,
        decision: &Decision,
        plan: Option<&Plan>,
    ) -> Result<Message, StoreError> {
        let place = &self.inbound.place;
        let latest = self
            .dispatch
            .store
            .latest_of(&invocation.same_target(), place)
            .await?;
        Ok(render::card(&render::Card {
            invocation,
            decision,
            catalog: self.catalog,
            latest: latest.as_ref().into(),
            plan,
            asker: self.actor.person(),
            now: self.now,
        }))
    }

    /// Everybody who may do this now, alone or with consent.
    pub(super) fn who_can(&self, invocation: &Invocation) -> Message {
        let people = &self.catalog.people;
        let (mut alone, mut with_consent) = (Vec::new(), Vec::new());
        for person in people.persons.keys() {
            let actor = people.actor(person);
            let facts = Facts::default();
            match decide(invocation, &actor, self.catalog, &facts, self.now) {
                Decision::Allow { .. } => alone.push(person.clone()),
                Decision::RequireApproval { terms, .. } => {
                    with_consent.push((person.clone(), terms));
                }
                Decision::Hold { .. } | Decision::Deny { .. } => {}
            }
        }
        let frozen = self.holds_everybody(invocation);
        render::who_can(&render::WhoCan {
            invocation,
            people,
            alone: &alone,
            with_consent: &with_consent,
            frozen: frozen.as_deref(),
            now: self.now,
        })
    }

    /// Why even those may not now who may at other times: a freeze. In its words.
    fn holds_everybody(&self, invocation: &Invocation) -> Option<String> {
        let people = &self.catalog.people;
        people.persons.keys().find_map(|person| {
            let actor = people.actor(person);
            let facts = Facts::default();
            match decide(invocation, &actor, self.catalog, &facts, self.now) {
                held @ Decision::Hold { .. } => Some(render::decision_in_words(&held)),
                _ => None,
            }
        })
    }

    /// Asks those who may run it, by name and in the channel. Whoever presses the button runs it themself: nobody gets
    /// more rights by asking.
    pub(super) async fn ask(&self, invocation: Invocation) -> Result<Conclusion, StoreError> {
        let facts = self.facts(&invocation, Vec::new()).await?;
        let decision = decide(&invocation, self.actor, self.catalog, &facts, self.now);
        let Decision::Deny {
            denial: Denial::NoRule {
                routes, contact, ..
            },
            ..
        } = &decision
        else {
            // They may, with or without consent, or nobody may: that is the answer.
            return self.invoke(invocation).await;
        };
        let asked = self.who_may_be_asked(&invocation, routes);
        let Some(person) = self.actor.person() else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        if asked.is_empty() {
            let what = format!("nobody may run `{}` now", render::title(&invocation));
            return Ok(self.refuse(&not_now("nobody_to_ask", what, contact.clone())));
        }
        let message = render::asked_for(&invocation, person, &asked);
        let mut conclusion = self.answered("ask", Vec::new());
        conclusion.postings = vec![Posting {
            to: self.inbound.place.clone(),
            kind: PostingKind::Answer,
            run: None,
            message,
        }];
        Ok(conclusion)
    }

    /// Those who may by the rules that were named, whoever is likely to answer first.
    fn who_may_be_asked(&self, invocation: &Invocation, routes: &[Route]) -> Vec<PersonId> {
        let people = &self.catalog.people;
        let mut persons: Vec<&PersonId> = routes.iter().flat_map(|route| &route.persons).collect();
        persons.sort_by_key(|person| (people.wakefulness(person, self.now), *person));
        persons.dedup();
        let may = |person: &&PersonId| {
            let (actor, facts) = (people.actor(person), Facts::default());
            let decision = decide(invocation, &actor, self.catalog, &facts, self.now);
            matches!(
                decision,
                Decision::Allow { .. } | Decision::RequireApproval { .. }
            )
        };
        persons
            .into_iter()
            .filter(may)
            .take(ASKED)
            .cloned()
            .collect()
    }

    /// What a project is, what this person may do here, how, whom to call, what happened, what is held.
    pub(super) async fn orient(&self, name: &ProjectName) -> Result<Message, StoreError> {
        let Some(project) = self.catalog.projects.get(name) else {
            return Ok(render::help(self.catalog, None));
        };
        let latest = RunFilter {
            project: Some(name.clone()),
            open: false,
            limit: LATEST,
        };
        let open = RunFilter {
            open: true,
            ..latest.clone()
        };
        let store = &self.dispatch.store;
        let locks = store.locks(name, self.now).await?;
        Ok(render::orient(&render::Orient {
            project,
            people: &self.catalog.people,
            may: &self.may_here(project),
            latest: &store.runs(&latest).await?.known,
            open: &store.runs(&open).await?.known,
            locks: &locks,
            now: self.now,
        }))
    }

    /// For each environment what this person may run there alone, and what with consent.
    fn may_here(&self, project: &Project) -> Vec<render::MayHere> {
        let environments = project.environments.iter().map(|it| Some(&it.name));
        let environments = environments.chain(std::iter::once(None));
        let here = environments.map(|environment| {
            let mut here = render::MayHere {
                environment: environment.cloned(),
                ..render::MayHere::default()
            };
            for command in self.catalog.commands.values() {
                if takes(command, environment) {
                    match self.typical_decision(command, project, environment) {
                        Decision::Allow { .. } => here.alone.push(command.name.clone()),
                        Decision::RequireApproval { .. } => {
                            here.with_consent.push(command.name.clone());
                        }
                        Decision::Hold { .. } | Decision::Deny { .. } => {}
                    }
                }
            }
            here
        });
        here.filter(|here| !here.alone.is_empty() || !here.with_consent.is_empty())
            .collect()
    }

    fn typical_decision(
        &self,
        command: &Command,
        project: &Project,
        environment: Option<&EnvironmentName>,
    ) -> Decision {
        let invocation = typical(command, project, environment);
        decide(
            &invocation,
            self.actor,
            self.catalog,
            &Facts::default(),
            self.now,
        )
    }
}

fn takes(command: &Command, environment: Option<&EnvironmentName>) -> bool {
    command.environment_parameter().is_some() == environment.is_some()
}

/// Whether the answer is a card: what came late is only asked for again, and of what is gone nothing is known.
pub(super) fn is_told_on_a_card(decision: &Decision) -> bool {
    use crate::domain::Hold;
    match decision {
        Decision::Hold {
            hold: Hold::Late { .. },
            ..
        }
        | Decision::Deny {
            denial: Denial::Gone,
            ..
        } => false,
        Decision::Hold { .. }
        | Decision::Deny { .. }
        | Decision::Allow { .. }
        | Decision::RequireApproval { .. } => true,
    }
}
