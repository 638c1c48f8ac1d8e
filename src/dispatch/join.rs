//! Following a run instead of beginning the same again. Whoever follows stands in the ledger, and changes nothing else.

use super::Walk;
use super::change::not_now;
use crate::domain::{
    Identity, OtherRun, Outcome, Place, PostingKind, Reference, Run, RunEvent, render,
};
use crate::store::{Change, Conclusion, StoreError, Tell};

impl Walk<'_> {
    /// A run that goes on is told where they are, too; of one that has succeeded they take the result.
    pub(super) async fn join(&self, reference: &Reference) -> Result<Conclusion, StoreError> {
        let run = match self.find(reference).await? {
            Ok(run) => run,
            Err(refusal) => return Ok(self.refuse(&refusal)),
        };
        let Some(person) = self.actor.person() else {
            return Ok(self.refuse(&crate::domain::Refusal::Stranger));
        };
        let look = format!("look at it with /ops show {reference}");
        let goes_on = run.outcome().is_none();
        if !goes_on && run.outcome() != Some(Outcome::Succeeded) {
            let what = format!("run {reference} has no result to use: it did not succeed");
            return Ok(self.refuse(&not_now("no_result", what, look)));
        }
        if run.followers.contains(person) || run.requester == Identity::Person(person.clone()) {
            let what = format!("run {reference} is yours already");
            return Ok(self.refuse(&not_now("joined_already", what, look)));
        }
        let from = self.new_place_of(&run).filter(|_| goes_on);
        let told_here = from.is_some();
        let thread = self
            .dispatch
            .store
            .thread_of(run.id, &self.inbound.place)
            .await?;
        let other = OtherRun {
            thread,
            ..super::other_run(&run)
        };
        let answer = render::joined(&run, &other, self.now);
        // In a thread of their own they see it go on. All others need to know where to look.
        let answers = Some(answer).filter(|_| !told_here);
        let mut conclusion = self.answered("join", answers.into_iter().collect());
        let event = RunEvent::Joined {
            by: person.clone(),
            from: from.clone(),
        };
        conclusion.change = Change::Happened {
            run: run.id,
            events: vec![event.clone()],
            tell: self.tell_of_follower(event, from, goes_on),
        };
        Ok(conclusion)
    }

    /// The place they speak from, when nobody there is told of the run.
    fn new_place_of(&self, run: &Run) -> Option<Place> {
        let here = &self.inbound.place;
        let told = run.places().any(|place| place.shares_channel(here));
        let delivered = self.dispatch.mirrors_on.contains(&here.platform);
        (!told && delivered).then(|| here.clone())
    }

    fn tell_of_follower(&self, event: RunEvent, from: Option<Place>, goes_on: bool) -> Tell {
        let now = self.now;
        Box::new(move |run, _| {
            // A thread that has ended has its last line: nothing comes after it.
            if !goes_on {
                return Vec::new();
            }
            let root = from.map(|to| {
                let message = render::root(run, now, None);
                render::posting(run, &to, PostingKind::Root, message)
            });
            let line = PostingKind::Line {
                attachment: None,
                last: false,
            };
            let told = render::line(run, &event, "").map(|message| (line, message));
            let lines = render::in_each_place(run, told.as_slice());
            root.into_iter().chain(lines).collect()
        })
    }
}
