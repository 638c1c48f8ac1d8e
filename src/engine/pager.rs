//! Calls people when it is time: the levels of pages, and of consent that nobody gives. Nothing is kept in memory: a
//! restart calls what became due meanwhile, and of several replicas one makes each call.

mod outside;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::catalog::CurrentCatalog;
use crate::clock::Clock;
use crate::domain::{
    Call, CallState, Fired, Page, PageEvent, PageState, PagerWord, Platform, Reach, render,
};
use crate::store::{KnownPage, PageChange, Store, StoreError, UnansweredRun};

pub use outside::{Incidents, Mailing, Outside, OutsideError};

/// How long to wait for a hint that something is due, before looking anyway.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many of a kind are done in one look; the next look takes more.
const AT_ONCE: u32 = 100;
/// After this a call that is not delivered is told of.
const LATE_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// For how long nobody else makes a call that is being made.
const CALL_LEASE: Duration = Duration::from_secs(30);
/// How long one call outside chat may take.
const CALL_WITHIN: Duration = Duration::from_secs(15);
/// After so many tries a call outside chat is given up: some ten minutes.
const MOST_TRIES: u32 = 12;

/// Calls people.
#[derive(Clone)]
pub struct Pager {
    /// Where pages and calls are.
    pub store: Store,
    /// Whose catalog says who is on call.
    pub catalog: CurrentCatalog,
    /// Tells the time.
    pub clock: Clock,
    /// The platforms that direct messages reach.
    pub spoken: Vec<Platform>,
    /// What makes calls outside chat.
    pub outside: Outside,
}

impl Pager {
    /// Calls until cancelled. What goes out of chat never holds up a level.
    pub async fn run(&self, cancel: CancellationToken) {
        tokio::join!(self.follow_levels(&cancel), self.follow_calls(&cancel));
    }

    async fn follow_levels(&self, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            if let Err(fault) = self.tick().await {
                warn!("pages stay as they are: {fault}");
                metrics::counter!("midwatch_faults_total", "where" => "pager").increment(1);
            }
            pause(cancel, LOOK_EVERY).await;
        }
    }

    async fn follow_calls(&self, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            match self.make_call().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(fault) => warn!("calls outside chat wait: {fault}"),
            }
            pause(cancel, LOOK_EVERY).await;
        }
    }

    /// Does what is due now; answers how much that was.
    ///
    /// # Errors
    /// The first fault. What was not done stays due.
    pub async fn tick(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut done = 0;
        for known in self.store.pages_decided(AT_ONCE).await? {
            done += self.end(known, now).await?;
        }
        for known in self.store.pages_due(now, AT_ONCE).await? {
            let KnownPage { page, revision } = known;
            done += self.call(&page, Some(revision), now).await?;
        }
        for run in self.store.unanswered_runs(AT_ONCE).await? {
            done += self.ask_more(&run, now).await?;
        }
        done += self.look_at_calls(now).await?;
        Ok(done)
    }

    /// Calls the next level of a page.
    async fn call(
        &self,
        page: &Page,
        revision: Option<i64>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let catalog = self.catalog.load_full();
        let reach = Reach {
            people: &catalog.people,
            spoken: &self.spoken,
        };
        let Some(fired) = page.call_next(reach, now) else {
            return Ok(0);
        };
        let Fired {
            page: after,
            events,
            calls,
            postings,
        } = fired;
        let began = revision.is_none().then(|| after.began());
        let events = began.into_iter().chain(events);
        let facts = events.map(|event| after.fact(None, event)).collect();
        info!("page {} calls level {}", after.reference, after.called);
        let change = PageChange {
            page: after,
            revision,
            facts,
            calls,
            postings,
        };
        first_wins(self.store.change_page(change, now).await)
    }

    /// Calls for consent that nobody gave in time.
    async fn ask_more(&self, run: &UnansweredRun, now: Timestamp) -> Result<usize, StoreError> {
        let catalog = self.catalog.load_full();
        let Some(project) = catalog.projects.get(&run.project) else {
            return Ok(0);
        };
        let first = project.escalation.iter().find(|level| !level.at.is_zero());
        let due = first.and_then(|level| {
            let after = SignedDuration::try_from(level.at).ok()?;
            run.since.checked_add(after).ok()
        });
        if due.is_none_or(|due| due > now) {
            return Ok(0);
        }
        let run = match self.store.run(run.run).await {
            Err(StoreError::Newer(_)) => None,
            found => found?,
        };
        let page = run.as_ref().and_then(|run| Page::for_consent(run, project));
        match page {
            Some(page) => self.call(&page, None, now).await,
            None => Ok(0),
        }
    }

    /// What it was about is decided: nobody needs to be called.
    async fn end(&self, known: KnownPage, now: Timestamp) -> Result<usize, StoreError> {
        let mut page = known.page;
        page.state = PageState::Over { at: now };
        let calls = self.store.calls_of(page.id).await?;
        let at_pager = page.end_at_pager(&calls, PagerWord::Resolve);
        let change = PageChange {
            facts: vec![page.fact(None, PageEvent::Over)],
            page,
            revision: Some(known.revision),
            calls: at_pager.into_iter().map(|call| (call, None)).collect(),
            postings: Vec::new(),
        };
        first_wins(self.store.change_page(change, now).await)
    }

    /// Records what became of calls in chat, and tells of those that are late or lost.
    async fn look_at_calls(&self, now: Timestamp) -> Result<usize, StoreError> {
        let late = now.saturating_sub(LATE_AFTER).unwrap_or(Timestamp::MIN);
        let mut done = 0;
        for (page, number, call, state) in self.store.calls_to_look_at(late, AT_ONCE).await? {
            done += self.became(&page, number, &call, state, now).await?;
        }
        Ok(done)
    }

    async fn became(
        &self,
        page: &Page,
        number: i64,
        call: &Call,
        state: CallState,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let position = usize::try_from(number).unwrap_or_default();
        let (event, told) = match &state {
            CallState::Waiting(why) => {
                let why = why
                    .clone()
                    .unwrap_or_else(|| "nothing has answered yet".to_owned());
                let told = render::call_delayed(page, call, &why);
                let number = position;
                (PageEvent::CallDelayed { number, why }, Some(told))
            }
            CallState::Failed(why) => {
                let told = render::call_failed(page, call, why);
                (ended(position, &state), Some(told))
            }
            CallState::Delivered | CallState::Stopped => (ended(position, &state), None),
        };
        let told = told.filter(|_| page.state.is_open());
        let postings = told
            .iter()
            .flat_map(|told| page.in_each_place(told))
            .collect();
        let fact = page.fact(None, event);
        let recorded = self
            .store
            .record_call((page.id, number), state, (fact, postings), now);
        first_wins(recorded.await)
    }

    /// Makes a call that leaves chat; answers whether there was one.
    ///
    /// # Errors
    /// Faults of the store; the call is made again then, when its claim ends.
    pub async fn make_call(&self) -> Result<bool, StoreError> {
        let Some(due) = self.store.claim_call(self.clock.now(), CALL_LEASE).await? else {
            return Ok(false);
        };
        let catalog = self.catalog.load_full();
        let sent = tokio::time::timeout(CALL_WITHIN, self.outside.call(&due, &catalog));
        let sent = sent
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {CALL_WITHIN:?}")));
        let now = self.clock.now();
        let word = if sent.is_ok() { "delivered" } else { "failed" };
        metrics::counter!("midwatch_calls_total", "means" => due.call.means.in_words(), "result" => word)
            .increment(1);
        match sent {
            Ok(()) => {
                self.became(&due.page, due.number, &due.call, CallState::Delivered, now)
                    .await?;
            }
            Err(why) if due.attempts >= MOST_TRIES => {
                self.became(
                    &due.page,
                    due.number,
                    &due.call,
                    CallState::Failed(why),
                    now,
                )
                .await?;
            }
            Err(why) => {
                warn!(
                    "the {} of page {} is tried again: {why}",
                    due.call.means.in_words(),
                    due.page.reference
                );
                // 2, 4, 8 … seconds, a minute at the most: pages are in a hurry.
                let pause = SignedDuration::from_secs(1 << due.attempts.min(6))
                    .min(SignedDuration::from_mins(1));
                let until = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
                self.store
                    .defer_call((due.page.id, due.number), until, why)
                    .await?;
            }
        }
        Ok(true)
    }
}

fn ended(number: usize, state: &CallState) -> PageEvent {
    PageEvent::CallEnded {
        number,
        became: state.clone(),
    }
}

/// Another replica was first, or somebody answered meanwhile: then there is nothing left to do.
fn first_wins(recorded: Result<(), StoreError>) -> Result<usize, StoreError> {
    match recorded {
        Ok(()) => Ok(1),
        Err(StoreError::Conflict(_)) => Ok(0),
        Err(fault) => Err(fault),
    }
}

async fn pause(cancel: &CancellationToken, duration: Duration) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(duration) => {}
    }
}
