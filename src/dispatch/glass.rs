//! Break-glass: those who have to know are called until somebody has it, and somebody else signs that they looked at it.

use super::Walk;
use super::change::not_now;
use crate::domain::{
    About, Decided, Fired, Glass, GlassTerms, Message, Page, PageEvent, PageState, PagerWord,
    Reach, Reference, Run, RunEvent, render,
};
use crate::store::{Change, Conclusion, PageChange, StoreError};

/// How many overrides are listed.
const LISTED: u32 = 20;
/// How many open pages are looked through for the one of a run.
const MOST_LOOKED_AT: u32 = 100;

impl Walk<'_> {
    /// Begins a run for which the glass was broken, and calls people: both, or neither.
    pub(super) fn begin_by_glass(&self, mut run: Run, terms: &GlassTerms) -> Conclusion {
        run.glass = Some(Glass::Unreviewed);
        let called = self.called_at_once(&run, terms);
        let told = render::glass_broken(&run);
        let mut conclusion = self.start(run, Decided::Allow, vec![told]);
        if let Some(mut page) = called {
            // The first words of the run's thread come before the page's.
            page.postings
                .splice(0..0, std::mem::take(&mut conclusion.postings));
            conclusion.change = Change::Paged(Box::new(conclusion.change), Box::new(page));
        }
        conclusion
    }

    /// The page, with every level called whose time is now.
    fn called_at_once(&self, run: &Run, terms: &GlassTerms) -> Option<PageChange> {
        let project = self.catalog.projects.get(&run.invocation.project)?;
        let page = Page::for_glass(run, &terms.pages, project, &self.catalog.people)?;
        let reach = Reach {
            people: &self.catalog.people,
            spoken: &self.dispatch.mirrors_on,
        };
        let mut change = PageChange {
            facts: vec![page.fact(None, page.began())],
            page,
            revision: None,
            calls: Vec::new(),
            postings: Vec::new(),
        };
        while change.page.next_at().is_some_and(|at| at <= self.now)
            && let Some(fired) = change.page.call_next(reach, self.now)
        {
            let Fired {
                page,
                events,
                calls,
                postings,
            } = fired;
            let facts = events.into_iter().map(|event| page.fact(None, event));
            change.facts.extend(facts);
            change.calls.extend(calls);
            change.postings.extend(postings);
            change.page = page;
        }
        Some(change)
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
        let mut conclusion = self.happened("review", &run, vec![event]);
        if let Some(page) = self.page_over(&run).await? {
            conclusion.change = Change::Paged(Box::new(conclusion.change), Box::new(page));
        }
        Ok(conclusion)
    }

    /// Who signed it has looked at it: nobody else is called.
    async fn page_over(&self, run: &Run) -> Result<Option<PageChange>, StoreError> {
        let store = &self.dispatch.store;
        let open = store
            .open_pages(Some(&run.invocation.project), MOST_LOOKED_AT)
            .await?;
        let of_run =
            |page: &Page| matches!(page.about, About::Glass { run: of, .. } if of == run.id);
        let Some(known) = open.into_iter().find(|known| of_run(&known.page)) else {
            return Ok(None);
        };
        let mut page = known.page;
        page.state = PageState::Over { at: self.now };
        let calls = store.calls_of(page.id).await?;
        let at_pager = page.end_at_pager(&calls, PagerWord::Resolve);
        Ok(Some(PageChange {
            facts: vec![page.fact(None, PageEvent::Over)],
            page,
            revision: Some(known.revision),
            calls: at_pager.into_iter().map(|call| (call, None)).collect(),
            postings: Vec::new(),
        }))
    }
}
