//! Pages: somebody calls people, answers, or does not want to wait for the next level.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Walk;
use super::link::not_now;
use crate::domain::{
    About, Escalation, Fired, Means, Message, Page, PageEvent, PageId, PageState, PagerWord, Phase,
    Project, ProjectName, Reach, Reference, Refusal, Run, Who, render, usual_means,
};
use crate::store::{Change, Conclusion, KnownPage, PageChange, StoreError};

/// Pages of one person that may be open: more would drown each other.
const MOST_OPEN: usize = 5;
/// How many open pages are looked through.
const MOST_LOOKED_AT: u32 = 100;
/// How many are shown.
const MOST_SHOWN: usize = 5;

impl Walk<'_> {
    /// Calls people until somebody answers.
    pub(super) async fn page(
        &self,
        project: &ProjectName,
        words: String,
    ) -> Result<Conclusion, StoreError> {
        let Some(project) = self.catalog.projects.get(project) else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        let Some(levels) = levels_of(project) else {
            return Ok(self.refuse(&not_now(
                "no_escalation",
                format!(
                    "`{}` has neither an escalation nor an owner: nobody can be called",
                    project.name
                ),
                "ask whoever keeps its runbook to add `escalation:`, and call somebody yourself",
            )));
        };
        let open = self.dispatch.store.open_pages(None, MOST_LOOKED_AT).await?;
        let mine = open
            .iter()
            .filter(|it| it.page.by == self.actor.identity && it.page.told_with().is_none());
        if mine.count() >= MOST_OPEN {
            return Ok(self.refuse(&not_now(
                "pages_open",
                format!("{MOST_OPEN} pages of yours are open"),
                "look at them with /ops page, and end those that are answered with /ops ack REF",
            )));
        }
        let id = PageId::of_inbound(&self.inbound.key);
        let page = Page {
            id,
            reference: self.dispatch.store.free_page_reference(id).await?,
            project: project.name.clone(),
            about: About::Words(words),
            by: self.actor.identity.clone(),
            places: vec![self.inbound.place.clone()],
            levels,
            called: 0,
            earlier: Duration::ZERO,
            state: PageState::Calling,
            began_at: self.now,
        };
        // Whoever calls waits for nothing: the first level is called with the page, whatever its time.
        Ok(self.called(&page, None, page.began()))
    }

    /// Which pages nobody has answered.
    pub(super) async fn pages(&self) -> Result<Message, StoreError> {
        let store = &self.dispatch.store;
        let mut shown = Vec::new();
        for known in store
            .open_pages(None, MOST_LOOKED_AT)
            .await?
            .into_iter()
            .take(MOST_SHOWN)
        {
            let calls = store.calls_of(known.page.id).await?;
            let page = known.page;
            shown.push(render::PageShown { page, calls });
        }
        Ok(render::pages(&shown, &self.catalog.people, self.now))
    }

    /// Answers a page: nobody else is called.
    pub(super) async fn acknowledge(
        &self,
        reference: Option<&Reference>,
    ) -> Result<Conclusion, StoreError> {
        let known = match self.open_page(reference, "ack").await? {
            Ok(known) => known,
            Err(refusal) => return Ok(self.refuse(&refusal)),
        };
        let Some(me) = self.actor.person().cloned() else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        if known.page.is_not_for(&me) {
            let what = "you broke this glass yourself; somebody else looks at it".to_owned();
            let next = format!(
                "call the next level with /ops escalate {}",
                known.page.reference
            );
            return Ok(self.refuse(&not_now("own_page", what, &next)));
        }
        let mut page = known.page;
        page.state = PageState::Acknowledged {
            by: me.clone(),
            at: self.now,
        };
        let message = render::page_acknowledged(&page, &me, self.now);
        let mut postings = page.in_each_place(&message);
        if !page
            .places
            .iter()
            .any(|place| place.shares_channel(&self.inbound.place))
        {
            postings.push(super::whisper(self.inbound, message.clone()));
        }
        // Those who were called and may be getting up should know.
        let calls = self.dispatch.store.calls_of(page.id).await?;
        let at_pager = page.end_at_pager(&calls, PagerWord::Acknowledge);
        let direct = calls
            .into_iter()
            .filter(|(call, _)| call.means == Means::Direct);
        let mut called: Vec<_> = direct.flat_map(|(call, _)| call.persons).collect();
        called.sort();
        called.dedup();
        called.retain(|person| *person != me);
        postings.extend(
            called
                .iter()
                .flat_map(|person| self.to_person(person, &message)),
        );
        let change = PageChange {
            revision: known.revision,
            facts: Vec::new(),
            calls: at_pager.into_iter().map(|call| (call, None)).collect(),
            postings,
            page,
        };
        Ok(self.page_changed(PageEvent::Acknowledged { by: me }, change))
    }

    /// Calls the next level now.
    pub(super) async fn escalate(
        &self,
        reference: Option<&Reference>,
    ) -> Result<Conclusion, StoreError> {
        let known = match self.open_page(reference, "escalate").await? {
            Ok(known) => known,
            Err(refusal) => return Ok(self.refuse(&refusal)),
        };
        let Some(me) = self.actor.person().cloned() else {
            return Ok(self.refuse(&Refusal::Stranger));
        };
        if known.page.next_level().is_none() {
            let what = format!("every level of page {} was called", known.page.reference);
            let next = "call somebody yourself; /ops page shows whom it reached";
            return Ok(self.refuse(&not_now("no_level_left", what, next)));
        }
        Ok(self.called(&known.page, known.revision, PageEvent::Escalated { by: me }))
    }

    /// The next level is called, in the transaction that concludes this.
    fn called(&self, page: &Page, revision: Option<i64>, event: PageEvent) -> Conclusion {
        let reach = Reach {
            people: &self.catalog.people,
            spoken: &self.dispatch.mirrors_on,
        };
        let Some(fired) = page.call_next(reach, self.now) else {
            return self.refuse(&Refusal::Stranger);
        };
        let Fired {
            page: after,
            events,
            calls,
            mut postings,
        } = fired;
        let here = page
            .places
            .iter()
            .any(|place| place.shares_channel(&self.inbound.place));
        if let PageEvent::Escalated { by } = &event {
            let told = render::page_escalated(page, by);
            postings.splice(0..0, page.in_each_place(&told));
            if !here {
                postings.push(super::whisper(self.inbound, told));
            }
        }
        let change = PageChange {
            facts: events
                .into_iter()
                .map(|event| after.fact(None, event))
                .collect(),
            page: after,
            revision,
            calls,
            postings,
        };
        self.page_changed(event, change)
    }

    fn page_changed(&self, event: PageEvent, change: PageChange) -> Conclusion {
        let inbound = self.inbound.key.clone();
        let mut change = change;
        // One for consent begins with whatever is first done to it.
        if change.revision.is_none() && change.page.run().is_some() {
            let began = change.page.fact(None, change.page.began());
            change.facts.insert(0, began);
        }
        Conclusion {
            fact: change.page.fact(Some(inbound.clone()), event),
            inbound,
            change: Change::Page(Box::new(change)),
            postings: Vec::new(),
        }
    }

    /// The open page that is meant, if this person may do something to it.
    async fn open_page(
        &self,
        reference: Option<&Reference>,
        word: &str,
    ) -> Result<Result<Meant, Refusal>, StoreError> {
        let meant = match reference {
            Some(reference) => self.named_page(reference).await?,
            None => self.only_page(word).await?,
        };
        let meant = match meant {
            Ok(meant) => meant,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let page = &meant.page;
        let project = self.catalog.projects.get(&page.project);
        let owner = project.and_then(|it| it.owner.clone()).map(Who::Group);
        if self.was_called(page).await? || self.is_concerned(page, owner.as_ref()) {
            return Ok(Ok(meant));
        }
        let named = page.levels.iter().map(|it| it.call.to_string());
        let named: BTreeSet<String> = named.chain(owner.map(|it| it.to_string())).collect();
        let named: Vec<String> = named.into_iter().collect();
        let what = format!("page {} is for others to answer", page.reference);
        let next = format!("{} may, and who called: tell one of them", named.join(", "));
        Ok(Err(not_now("not_called", what, &next)))
    }

    fn is_concerned(&self, page: &Page, owner: Option<&Who>) -> bool {
        let people = &self.catalog.people;
        let me = self.actor.person();
        me.is_some_and(|me| page.concerns(me, owner, people, self.now))
    }

    /// Whoever was called may answer, though somebody else is on call by now.
    async fn was_called(&self, page: &Page) -> Result<bool, StoreError> {
        let Some(me) = self.actor.person() else {
            return Ok(false);
        };
        let calls = self.dispatch.store.calls_of(page.id).await?;
        Ok(calls.iter().any(|(call, _)| call.persons.contains(me)))
    }

    async fn named_page(
        &self,
        reference: &Reference,
    ) -> Result<Result<Meant, Refusal>, StoreError> {
        let store = &self.dispatch.store;
        let found = match store.page_by_reference(reference).await {
            Err(StoreError::Newer(_)) => None,
            found => found?,
        };
        if let Some(KnownPage { page, revision }) = found {
            if page.state.is_open() {
                let revision = Some(revision);
                return Ok(Ok(Meant { page, revision }));
            }
            let what = format!("page {reference} is {}", state_in_words(&page.state));
            return Ok(Err(not_now(
                "page_answered",
                what,
                "there is nothing to do; /ops page shows what is open",
            )));
        }
        let run = match store.run_by_reference(reference).await {
            Err(StoreError::Newer(_)) => None,
            found => found?,
        };
        let awaits = |run: &Run| matches!(run.phase, Phase::AwaitingApproval { .. });
        let page = run.filter(awaits).and_then(|run| {
            let project = self.catalog.projects.get(&run.invocation.project)?;
            Page::for_consent(&run, project)
        });
        Ok(match page {
            Some(page) => Ok(Meant {
                page,
                revision: None,
            }),
            None => Err(not_now(
                "no_page",
                format!("nothing that is open has the reference {reference}"),
                "/ops page shows what is open",
            )),
        })
    }

    /// The only page that is open here, or anywhere.
    async fn only_page(&self, word: &str) -> Result<Result<Meant, Refusal>, StoreError> {
        let here = self.catalog.project_of_channel(&self.inbound.place.channel);
        let mut open = self
            .dispatch
            .store
            .open_pages(here.map(|it| &it.name), MOST_LOOKED_AT)
            .await?;
        let named: Vec<String> = open
            .iter()
            .take(MOST_SHOWN)
            .map(|it| format!("{word} {}", it.page.reference))
            .collect();
        Ok(match (open.pop(), open.is_empty()) {
            (Some(KnownPage { page, revision }), true) => Ok(Meant {
                page,
                revision: Some(revision),
            }),
            (Some(_), false) => Err(not_now(
                "which_page",
                format!("{} pages are open", named.len()),
                &format!("name one: /ops {}", named.join(", /ops ")),
            )),
            (None, _) => Err(not_now(
                "no_page",
                "no page is open here".to_owned(),
                "/ops page shows what is open anywhere",
            )),
        })
    }
}

/// A page that is meant; without a revision it has not begun.
struct Meant {
    page: Page,
    revision: Option<i64>,
}

fn state_in_words(state: &PageState) -> String {
    match state {
        PageState::Calling | PageState::Exhausted => "open".to_owned(),
        PageState::Acknowledged { by, .. } => format!("answered by @{by}"),
        PageState::Over { .. } => "decided".to_owned(),
    }
}

/// Whom a page calls: as the runbook says; where it says nothing, the project's owners at once.
fn levels_of(project: &Project) -> Option<Vec<Escalation>> {
    if !project.escalation.is_empty() {
        return Some(project.escalation.clone());
    }
    let owner = project.owner.clone()?;
    Some(vec![Escalation {
        at: Duration::ZERO,
        call: Who::Group(owner),
        say_so: true,
        by: usual_means(),
    }])
}
