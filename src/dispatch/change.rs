//! Words that change an existing run: cancel, approve, reject, settle. The runbook says who may.

use jiff::Timestamp;

use crate::domain::{
    ApprovalTerms, Button, Decision, Facts, Hold, Identity, PersonId, Phase, PostingKind, Proposal,
    Reference, Refusal, Run, RunEvent, Verdict, decide, may_consent, plan, proposal, propose,
    render, show_elapsed,
};
use crate::planted;
use crate::store::{Change, Conclusion, StoreError, Tell};

use super::{Walk, plan_for};

impl Walk<'_> {
    /// Its sender may have changed their mind, and the run its state: it is asked for again.
    pub(super) fn hold_late_change(&self) -> Conclusion {
        let says = self.inbound.text.as_str();
        let age = show_elapsed(self.age());
        let refusal = not_now(
            "late",
            format!("`{says}` reached us {age} after it was sent"),
            "still wanted? press the button, or type it again".to_owned(),
        );
        let message = refusal.message();
        let message = message.buttons(vec![Button::primary("Do it now", says)]);
        let mut conclusion = self.refuse(&refusal);
        conclusion.postings = vec![self.tell_late(message)];
        conclusion
    }

    pub(super) async fn cancel(&self, reference: &Reference) -> Result<Conclusion, StoreError> {
        let (run, person) = match self.run_and_person(reference).await? {
            Ok(both) => both,
            Err(refusal) => return Ok(self.refuse(&refusal)),
        };
        if let Some(outcome) = run.outcome() {
            let what = format!(
                "run {reference} has ended already: {}",
                outcome.as_str().replace('_', " ")
            );
            return Ok(self.refuse(&not_now(
                "ended",
                what,
                format!("look at it with /ops show {reference}"),
            )));
        }
        if run.cancelled_by.is_some() {
            let what = format!("run {reference} is being cancelled already");
            return Ok(self.refuse(&not_now(
                "cancelling",
                what,
                format!("look at it with /ops show {reference}"),
            )));
        }
        if run.requester != self.actor.identity && !self.has_a_say(&run) {
            return Ok(self.refuse(&self.not_yours(&run, "cancel")));
        }
        Ok(self.happened(
            "cancel",
            &run,
            vec![RunEvent::CancelRequested { by: person }],
        ))
    }

    /// `digits`: those of the plan that the button was drawn for.
    pub(super) async fn approve(
        &self,
        reference: &Reference,
        digits: Option<&str>,
    ) -> Result<Conclusion, StoreError> {
        let (run, person) = match self.may_answer_approval(reference).await? {
            Ok(both) => both,
            Err(refusal) => return Ok(self.refuse(&refusal)),
        };
        let Phase::AwaitingApproval {
            approvers,
            proposal: shown,
            terms: asked,
            ..
        } = &run.phase
        else {
            return Ok(self.refuse(&no_approval_wanted(&run)));
        };
        let stale = |it: &Proposal| digits.is_some_and(|digits| digits != it.digits());
        if shown.as_deref().is_some_and(stale) {
            return Ok(self.refuse(&another_plan(&run)));
        }
        let says = match digits {
            Some(digits) => format!("approve {reference} {digits}"),
            None => format!("approve {reference}"),
        };
        if let Some(refusal) = self.unconfirmed(&run.invocation, &says).await? {
            return Ok(self.refuse(&refusal));
        }
        let mut consents = approvers.clone();
        consents.push(person.clone());
        let approved = |terms: &ApprovalTerms| {
            let capacity = |(_, of)| self.catalog.people.capacity_of(of, &person, self.now);
            RunEvent::Approved {
                by: person.clone(),
                capacity: terms.quorums().find_map(capacity),
                confirmed: self.wants_code(&run.invocation),
            }
        };
        match self.ask_again(&run, consents).await? {
            Decision::RequireApproval { terms, draft, .. } => {
                let now = match propose(draft, self.catalog, plan_for(&run)) {
                    Err(refusal) => return Ok(self.refuse(&refusal)),
                    Ok(now) => now,
                };
                if is_void(shown.as_deref(), &now) {
                    return Ok(self.proposes(&run, now, terms));
                }
                Ok(self.happened("approve", &run, vec![approved(&terms)]))
            }
            Decision::Allow { permit, .. } => {
                let plan = match plan(permit, self.catalog, plan_for(&run)) {
                    Err(refusal) => return Ok(self.refuse(&refusal)),
                    Ok(plan) => plan,
                };
                let now = proposal(plan.clone(), self.catalog, &run.invocation.project);
                if is_void(shown.as_deref(), &now) {
                    // Who consented to something else has not consented to this; it may need nobody's consent now.
                    let unasked = self.ask_again(&run, Vec::new()).await?;
                    if let Decision::RequireApproval { terms, .. } = unasked {
                        return Ok(self.proposes(&run, now, terms));
                    }
                }
                let allowed = RunEvent::Allowed {
                    plan: Box::new(plan),
                };
                Ok(self.happened("approve", &run, vec![approved(asked), allowed]))
            }
            Decision::Hold { hold, .. } => {
                Ok(self.refuse(&in_the_way(&run, Some(&hold), self.now)))
            }
            Decision::Deny { .. } => Ok(self.refuse(&in_the_way(&run, None, self.now))),
        }
    }

    /// Asks for consent anew, to what would be done now. Whoever just approved has approved something else.
    fn proposes(&self, run: &Run, proposal: Proposal, terms: ApprovalTerms) -> Conclusion {
        let refusal = another_plan(run);
        let event = RunEvent::Proposed {
            proposal: Box::new(proposal),
            terms,
        };
        let mut conclusion = self.happened("approve", run, vec![event]);
        conclusion.postings = vec![super::whisper(self.inbound, refusal.message())];
        conclusion
    }

    /// Takes one's own consent back, while the run still waits for others'.
    pub(super) async fn withdraw(&self, reference: &Reference) -> Result<Conclusion, StoreError> {
        let (run, by) = match self.run_and_person(reference).await? {
            Ok(both) => both,
            Err(refusal) => return Ok(self.refuse(&refusal)),
        };
        let Phase::AwaitingApproval { approvers, .. } = &run.phase else {
            return Ok(self.refuse(&no_approval_wanted(&run)));
        };
        if !approvers.contains(&by) {
            let what = format!("you have not approved run {reference}");
            let next = format!("look at it with /ops show {reference}");
            return Ok(self.refuse(&not_now("not_approved", what, next)));
        }
        Ok(self.happened("withdraw", &run, vec![RunEvent::Withdrawn { by }]))
    }

    /// Refuses consent and says what to change.
    pub(super) async fn send_back(
        &self,
        reference: &Reference,
        comment: String,
    ) -> Result<Conclusion, StoreError> {
        match self.may_answer_approval(reference).await? {
            Err(refusal) => Ok(self.refuse(&refusal)),
            Ok((run, by)) => {
                let event = RunEvent::SentBack { by, comment };
                Ok(self.happened("send-back", &run, vec![event]))
            }
        }
    }

    pub(super) async fn reject(
        &self,
        reference: &Reference,
        reason: String,
    ) -> Result<Conclusion, StoreError> {
        match self.may_answer_approval(reference).await? {
            Err(refusal) => Ok(self.refuse(&refusal)),
            Ok((run, by)) => {
                Ok(self.happened("reject", &run, vec![RunEvent::Rejected { by, reason }]))
            }
        }
    }

    pub(super) async fn settle(
        &self,
        reference: &Reference,
        verdict: Verdict,
    ) -> Result<Conclusion, StoreError> {
        let (run, by) = match self.run_and_person(reference).await? {
            Ok(both) => both,
            Err(refusal) => return Ok(self.refuse(&refusal)),
        };
        if run.outcome() != Some(crate::domain::Outcome::NeedsAttention) {
            let what = format!("run {reference} has nothing to settle");
            return Ok(self.refuse(&not_now(
                "nothing_to_settle",
                what,
                format!("look at it with /ops show {reference}"),
            )));
        }
        if !self.has_a_say(&run) {
            return Ok(self.refuse(&self.not_yours(&run, "settle")));
        }
        // A press on its way while others settled that doubt must not settle the next one. In whole seconds: some
        // platforms tell no more. A moment that is still to come says that our clock was put back: nothing follows.
        let (sent_at, now) = (self.inbound.sent_at.as_second(), self.now.as_second());
        let doubted_at = run.finished_at.map_or(i64::MIN, Timestamp::as_second);
        if sent_at < doubted_at && doubted_at <= now {
            let what = format!("run {reference} came into doubt after you said that");
            let next = format!("look at it with /ops show {reference}, then settle it");
            return Ok(self.refuse(&not_now("earlier_doubt", what, next)));
        }
        if verdict == Verdict::Again
            && let Some(refusal) = self.not_again(&run, &by).await?
        {
            return Ok(self.refuse(&refusal));
        }
        Ok(self.happened("settle", &run, vec![RunEvent::Settled { by, verdict }]))
    }

    /// Why it may not be run again: that needs the same consent as the first time, and this person is the one who gives it.
    async fn not_again(&self, run: &Run, by: &PersonId) -> Result<Option<Refusal>, StoreError> {
        Ok(match self.ask_again(run, vec![by.clone()]).await? {
            Decision::Allow { .. } => {
                let says = format!("settle {} again", run.reference);
                self.unconfirmed(&run.invocation, &says).await?
            }
            Decision::RequireApproval { terms, .. } => {
                let reference = &run.reference;
                let wanted = render::terms_in_words(&terms);
                Some(not_now(
                    "needs_consent",
                    format!("to run {reference} again needs {wanted}"),
                    format!(
                        "ask one of them; or type /ops settle {reference} did-not, then the command again"
                    ),
                ))
            }
            Decision::Hold { hold, .. } => Some(in_the_way(run, Some(&hold), self.now)),
            Decision::Deny { .. } => {
                let reference = &run.reference;
                let what = format!("the runbook doesn't allow run {reference} any more");
                Some(not_now(
                    "denied",
                    what,
                    format!("type /ops settle {reference} did-not"),
                ))
            }
        })
    }

    pub(super) async fn run_and_person(
        &self,
        reference: &Reference,
    ) -> Result<Result<(Run, PersonId), Refusal>, StoreError> {
        let Some(person) = self.actor.person() else {
            return Ok(Err(Refusal::Stranger));
        };
        Ok(self.find(reference).await?.map(|run| (run, person.clone())))
    }

    /// The run that waits for consent, when this person's consent or refusal counts.
    async fn may_answer_approval(
        &self,
        reference: &Reference,
    ) -> Result<Result<(Run, PersonId), Refusal>, StoreError> {
        let (run, person) = match self.run_and_person(reference).await? {
            Ok(both) => both,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Phase::AwaitingApproval {
            terms,
            until,
            approvers,
            ..
        } = &run.phase
        else {
            return Ok(Err(no_approval_wanted(&run)));
        };
        let look = format!("look at it with /ops show {reference}");
        Ok(if self.now >= *until || run.cancelled_by.is_some() {
            Err(not_now(
                "expired",
                format!("run {reference} is not waiting any more"),
                "type the command again".to_owned(),
            ))
        } else if run.requester == self.actor.identity && !planted::is("own-consent-counts") {
            let what =
                "you asked for this yourself; consent has to come from somebody else".to_owned();
            Err(not_now(
                "own_run",
                what,
                format!("ask for {}", render::terms_in_words(terms)),
            ))
        } else if !may_consent(terms, &run.requester, &person, self.catalog, self.now) {
            let what = format!("your consent doesn't count for run {reference}");
            let needed = format!("it needs {}", render::terms_in_words(terms));
            let next = match self.unsaid_in_words() {
                Some(unsaid) => format!("{needed}; {unsaid}"),
                None => needed,
            };
            Err(not_now("not_an_approver", what, next))
        } else if approvers.contains(&person) {
            Err(not_now(
                "approved_already",
                format!("you approved run {reference} already"),
                look,
            ))
        } else {
            Ok((run, person))
        })
    }

    /// The runbook, asked again for a waiting run: roles are looked up now, not when it was typed.
    async fn ask_again(&self, run: &Run, approvers: Vec<PersonId>) -> Result<Decision, StoreError> {
        let mut facts = self.facts(&run.invocation, approvers).await?;
        facts.age = std::time::Duration::ZERO;
        facts.running = facts
            .running
            .filter(|other| other.reference != run.reference);
        let requester = match &run.requester {
            Identity::Person(person) => self.catalog.people.actor(person),
            Identity::Stranger => self.actor.clone(),
        };
        Ok(decide(
            &run.invocation,
            &requester,
            self.catalog,
            &facts,
            self.now,
        ))
    }

    /// Whether this person might have run it themself, or belongs to the project's owners.
    pub(super) fn has_a_say(&self, run: &Run) -> bool {
        let owner = self
            .catalog
            .projects
            .get(&run.invocation.project)
            .and_then(|project| project.owner.as_ref());
        let decision = decide(
            &run.invocation,
            self.actor,
            self.catalog,
            &Facts::default(),
            self.now,
        );
        owner.is_some_and(|owner| self.actor.groups.contains(owner))
            || matches!(decision, Decision::Allow { .. })
    }

    pub(super) fn not_yours(&self, run: &Run, word: &str) -> Refusal {
        let owner = self
            .catalog
            .projects
            .get(&run.invocation.project)
            .and_then(|project| project.owner.clone());
        let owner = owner.map_or_else(
            || "the project's owner".to_owned(),
            |owner| owner.to_string(),
        );
        let what = format!(
            "run {} is not yours to {word}: it was asked for by {}",
            run.reference, run.requester
        );
        not_now(
            "not_yours",
            what,
            format!("ask them, or somebody of {owner}"),
        )
    }

    pub(super) fn happened(
        &self,
        word: &'static str,
        run: &Run,
        events: Vec<RunEvent>,
    ) -> Conclusion {
        let tell = tell_all(events.clone(), self.now);
        // Who reads none of the run's threads where they are has to hear it.
        let mut places = run.places();
        let is_told_here = places.any(|to| to.shares_channel(&self.inbound.place));
        let elsewhere = (!is_told_here).then(|| render::done_from_elsewhere(run, done(word)));
        let mut conclusion = self.answered(word, elsewhere.into_iter().collect());
        conclusion.change = Change::Happened {
            run: run.id,
            events,
            tell,
        };
        conclusion
    }
}

/// What somebody did, said to them.
fn done(word: &str) -> &'static str {
    match word {
        "approve" => "you approved",
        "reject" => "you rejected",
        "review" => "you reviewed",
        "withdraw" => "you took back your consent to",
        "send-back" => "you sent back",
        "settle" => "you settled",
        _ => "you cancelled",
    }
}

pub(super) fn not_now(word: &'static str, what: String, next: String) -> Refusal {
    Refusal::NotNow { what, next, word }
}

/// Tells of these events in the root message and in a line each.
pub(super) fn tell_all(told: Vec<RunEvent>, now: Timestamp) -> Tell {
    Box::new(move |run, _| {
        let root = (PostingKind::Root, render::root(run, now, None));
        let lines = told.iter().filter_map(|event| render::line(run, event, ""));
        let line = PostingKind::Line {
            attachment: None,
            last: false,
        };
        let lines = lines.map(|message| (line.clone(), message));
        let told: Vec<_> = std::iter::once(root).chain(lines).collect();
        render::in_each_place(run, &told)
    })
}

/// A moment to come in words that are read at once: with its zone, and how far away it is.
pub(super) fn when(at: Timestamp, now: Timestamp) -> String {
    let away = std::time::Duration::try_from(at.duration_since(now)).unwrap_or_default();
    let at = at.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!("{at} (in {})", show_elapsed(away))
}

/// Why a run that was asked for earlier can't start now: what holds it, or the runbook says no.
fn in_the_way(run: &Run, hold: Option<&Hold>, now: Timestamp) -> Refusal {
    let reference = &run.reference;
    match hold {
        Some(Hold::Running { other } | Hold::JustDone { other, .. }) => {
            let what = format!(
                "run {reference} can't start: run {} of the same target is in the way",
                other.reference
            );
            let next = format!("look at it with /ops show {}", other.reference);
            not_now("held", what, next)
        }
        Some(Hold::Frozen { until, reason, .. }) => {
            let until = when(*until, now);
            let what =
                format!("run {reference} can't start: changes are frozen until {until} ({reason})");
            not_now("held", what, "ask for it again then".to_owned())
        }
        Some(Hold::TooMany { again_at, .. }) => {
            let at = when(*again_at, now);
            let what =
                format!("run {reference} can't start: too many changes were begun within a minute");
            not_now("held", what, format!("try again at {at}"))
        }
        Some(Hold::Locked { lock }) => {
            let what = format!(
                "run {reference} can't start: {} is locked by {} ({})",
                lock.target.words(),
                lock.by,
                lock.reason
            );
            not_now("held", what, "ask them, or wait until it ends".to_owned())
        }
        Some(Hold::Late { .. }) | None => {
            let what = format!("the runbook doesn't allow run {reference} any more");
            not_now(
                "denied",
                what,
                format!("cancel it with /ops cancel {reference}"),
            )
        }
    }
}

/// Whether consent to what was shown is no consent to what would be done now.
fn is_void(shown: Option<&Proposal>, now: &Proposal) -> bool {
    shown.is_some_and(|shown| !shown.is_same(now)) && !planted::is("consent-to-another-plan")
}

fn another_plan(run: &Run) -> Refusal {
    let what = format!(
        "what run {} would do, or its runbook, has changed since you looked: your click was for another plan",
        run.reference
    );
    not_now(
        "another_plan",
        what,
        "look at it anew in its thread, and approve that".to_owned(),
    )
}

fn no_approval_wanted(run: &Run) -> Refusal {
    let what = format!("run {} is not waiting for consent", run.reference);
    not_now(
        "not_waiting",
        what,
        format!("look at it with /ops show {}", run.reference),
    )
}
