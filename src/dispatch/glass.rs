//! Break-glass: those who have to know are called at once, and somebody else signs that they looked at it.

use super::Walk;
use super::change::not_now;
use crate::domain::{
    Account, Decided, Glass, GlassTerms, Identity, Message, PersonId, Platform, Posting, Reference,
    Run, RunEvent, direct, render,
};
use crate::store::{Conclusion, StoreError};

/// How many persons are called at once.
const CALLED: usize = 10;
/// How many overrides are listed.
const LISTED: u32 = 20;

impl Walk<'_> {
    /// Begins a run for which the glass was broken.
    pub(super) fn begin_by_glass(&self, mut run: Run, terms: &GlassTerms) -> Conclusion {
        run.glass = Some(Glass::Unreviewed);
        let called = self.told_at_once(terms, &run);
        let told = render::glass_broken(&run, &called);
        let direct = self.direct_to(&called, &told);
        let mut conclusion = self.start(run, Decided::Allow, vec![told]);
        conclusion.postings.extend(direct);
        conclusion
    }

    fn told_at_once(&self, terms: &GlassTerms, run: &Run) -> Vec<PersonId> {
        let people = &self.catalog.people;
        let meant = terms
            .pages
            .iter()
            .flat_map(|who| people.meant(who, self.now));
        let mut called: Vec<PersonId> = meant.cloned().collect();
        called.sort();
        called.dedup();
        called.retain(|person| run.requester != Identity::Person(person.clone()));
        called.truncate(CALLED);
        called
    }

    /// The same to each of them alone, where a direct message reaches them.
    fn direct_to(&self, persons: &[PersonId], message: &Message) -> Vec<Posting> {
        let accounts = persons.iter().flat_map(|person| {
            let known = self.catalog.people.persons.get(person);
            let accounts = known.into_iter().flat_map(|person| &person.accounts);
            accounts.flat_map(|(platform, names)| {
                names
                    .iter()
                    .filter_map(|name| Account::parse(*platform, name))
            })
        });
        let reached = accounts.filter(|account| {
            !matches!(account.platform, Platform::Console | Platform::Api)
                && self.dispatch.reaches(account.platform)
        });
        reached
            .map(|account| direct(&account, message.clone()))
            .collect()
    }

    /// Overrides that nobody else has looked at.
    pub(super) async fn reviews(&self) -> Result<Message, StoreError> {
        let runs = self.dispatch.store.unreviewed(LISTED).await?;
        Ok(render::reviews(&runs, self.now))
    }

    /// Signs that this person looked at it.
    pub(super) async fn review(
        &self,
        reference: &Reference,
        comment: String,
    ) -> Result<Conclusion, StoreError> {
        let (run, by) = match self.run_and_person(reference).await? {
            Ok(both) => both,
            Err(refusal) => return Ok(self.refuse(&refusal)),
        };
        let look = format!("look at it with /ops show {reference}");
        let refusal = match &run.glass {
            None => Some((
                "no_glass",
                format!("no glass was broken for run {reference}"),
            )),
            Some(Glass::Reviewed { by }) => Some((
                "reviewed_already",
                format!("{by} has reviewed run {reference} already"),
            )),
            Some(Glass::Unreviewed) if run.requester == self.actor.identity => {
                let what = "you broke this glass yourself; somebody else reviews it".to_owned();
                Some(("own_run", what))
            }
            Some(Glass::Unreviewed) if run.outcome().is_none() => {
                Some(("still_open", format!("run {reference} has not ended yet")))
            }
            Some(Glass::Unreviewed) => None,
        };
        if let Some((word, what)) = refusal {
            return Ok(self.refuse(&not_now(word, what, look)));
        }
        if !self.has_a_say(&run) {
            return Ok(self.refuse(&self.not_yours(&run, "review")));
        }
        let event = RunEvent::Reviewed { by, comment };
        Ok(self.happened("review", &run, vec![event]))
    }
}
