//! What dispatch makes of an inbound, written down a second time over the book. Held against the real one by `ground`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use midwatch::domain::{
    Actor, ApprovalTerms, Button, Catalog, Decided, Decision, Fact, Facts, Hearing, Hold, Identity,
    Inbound, Invocation, LATE_AFTER, Manner, Message, Outcome, PersonId, Phase, PlanFor, Posting,
    PostingKind, Proposal, Question, Reference, Refusal, RuleRef, Run, RunEvent, RunId,
    SpeakerKind, StepState, Text, Typed, Verdict, decide, may_consent, parse, plan, proposal,
    propose, render, show_elapsed,
};
use midwatch::store::{Change, Conclusion, Tell};

use super::book::Book;

/// Walks an inbound. Changes nothing.
pub(super) fn walk(
    book: &Book,
    catalog: &Catalog,
    inbound: &Inbound,
    now: Timestamp,
) -> Conclusion {
    let actor = catalog.people.identify(&inbound.speaker);
    let desk = Desk {
        book,
        catalog,
        inbound,
        actor: &actor,
        now,
    };
    if inbound.speaker.kind == SpeakerKind::Bot {
        return desk.refuse(&Refusal::Bot);
    }
    if inbound.manner == Manner::Edited {
        return desk.refuse(&Refusal::Edited);
    }
    if actor.person().is_none() {
        return desk.refuse(&Refusal::Stranger);
    }
    let hearing = Hearing {
        catalog,
        channel: &inbound.place.channel,
    };
    let concluded = match parse(&inbound.text, &hearing) {
        Err(refusal) => Err(refusal),
        Ok(Typed::Ask(question)) => desk.answer(question),
        Ok(Typed::Invoke(invocation)) => desk.invoke(invocation),
    };
    concluded.unwrap_or_else(|refusal| desk.refuse(&refusal))
}

struct Desk<'a> {
    book: &'a Book,
    catalog: &'a Catalog,
    inbound: &'a Inbound,
    actor: &'a Actor,
    now: Timestamp,
}

impl Desk<'_> {
    fn conclusion(&self, fact: Fact, change: Change, postings: Vec<Posting>) -> Conclusion {
        Conclusion {
            inbound: self.inbound.key.clone(),
            fact,
            change,
            postings,
        }
    }

    fn whisper(&self, message: Message) -> Posting {
        Posting {
            to: self.inbound.place.clone(),
            kind: PostingKind::Whisper {
                speaker: self.inbound.speaker.id.clone(),
                handle: None,
            },
            run: None,
            message,
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Conclusion {
        let silent = *refusal == Refusal::Bot;
        let whisper = (!silent).then(|| self.whisper(refusal.message()));
        let fact = Fact::Refused {
            inbound: self.inbound.key.clone(),
            actor: self.actor.identity.clone(),
            refusal: refusal.word().to_owned(),
        };
        self.conclusion(fact, Change::Nothing, whisper.into_iter().collect())
    }

    /// An answer in the channel, for whoever may be gone by now.
    fn tell_late(&self, message: Message) -> Posting {
        let person = self.person();
        let asked = Text::new().plain("asked for by ").ping(&person);
        Posting {
            kind: PostingKind::Answer,
            ..self.whisper(message.text(asked))
        }
    }

    fn hold_late_change(&self) -> Conclusion {
        let (says, age) = (self.inbound.text.as_str(), show_elapsed(self.age()));
        let refusal = not_now(
            "late",
            format!("`{says}` reached us {age} after it was sent"),
            "still wanted? press the button, or type it again".to_owned(),
        );
        let button = Button::primary("Do it now", says);
        let message = refusal.message().buttons(vec![button]);
        let mut conclusion = self.refuse(&refusal);
        conclusion.postings = vec![self.tell_late(message)];
        conclusion
    }

    fn answered(&self, word: &str, change: Change, messages: Vec<Message>) -> Conclusion {
        let fact = Fact::Answered {
            inbound: self.inbound.key.clone(),
            actor: self.actor.identity.clone(),
            question: word.to_owned(),
        };
        let whispers = messages.into_iter().map(|it| self.whisper(it)).collect();
        self.conclusion(fact, change, whispers)
    }

    fn answer(&self, question: Question) -> Result<Conclusion, Refusal> {
        let word = question.word();
        if question.changes() && self.age() > LATE_AFTER {
            return Ok(self.hold_late_change());
        }
        let project = self.catalog.project_of_channel(&self.inbound.place.channel);
        let message = match question {
            Question::Help { .. } => render::help(self.catalog, project.map(AsRef::as_ref)),
            Question::Runs { .. } => {
                let mut runs: Vec<Run> = self.book.runs().cloned().collect();
                runs.sort_by_key(|run| (std::cmp::Reverse(run.created_at), run.id.to_string()));
                runs.truncate(15);
                render::runs(&runs, self.now)
            }
            Question::Show { reference } => {
                let run = self.find(&reference)?;
                render::show(run, &self.book.history(run.id), self.now)
            }
            Question::Why { reference } => {
                let run = self.find(&reference)?;
                render::why(run, &self.book.history(run.id), self.now)
            }
            Question::Cancel { reference } => return self.cancel(&reference),
            Question::Approve { reference, digits } => {
                return self.approve(&reference, digits.as_deref());
            }
            Question::Reject { reference, reason } => {
                let (run, by) = self.awaiting(&reference)?;
                let rejected = RunEvent::Rejected { by, reason };
                return Ok(self.happened("reject", run, vec![rejected]));
            }
            Question::Settle { reference, verdict } => return self.settle(&reference, verdict),
            other => panic!("nobody types {other:?} here"),
        };
        Ok(self.answered(word, Change::Nothing, vec![message]))
    }

    fn find(&self, reference: &Reference) -> Result<&Run, Refusal> {
        let unknown = || Refusal::UnknownReference {
            reference: reference.clone(),
        };
        self.book.run_by_reference(reference).ok_or_else(unknown)
    }

    fn person(&self) -> PersonId {
        self.actor.person().expect("strangers are refused").clone()
    }

    fn cancel(&self, reference: &Reference) -> Result<Conclusion, Refusal> {
        let run = self.find(reference)?;
        let look = format!("look at it with /ops show {reference}");
        if let Some(outcome) = run.outcome() {
            let word = outcome.as_str().replace('_', " ");
            let what = format!("run {reference} has ended already: {word}");
            return Err(not_now("ended", what, look));
        }
        if run.cancelled_by.is_some() {
            let what = format!("run {reference} is being cancelled already");
            return Err(not_now("cancelling", what, look));
        }
        if run.requester != self.actor.identity {
            self.must_have_a_say(run, "cancel")?;
        }
        let by = self.person();
        let cancelled = RunEvent::CancelRequested { by };
        Ok(self.happened("cancel", run, vec![cancelled]))
    }

    fn approve(&self, reference: &Reference, digits: Option<&str>) -> Result<Conclusion, Refusal> {
        let (run, by) = self.awaiting(reference)?;
        let Phase::AwaitingApproval {
            approvers,
            proposal: Some(shown),
            terms,
            ..
        } = &run.phase
        else {
            unreachable!("it is awaiting")
        };
        if digits.is_some_and(|digits| digits != shown.digits()) {
            return Err(another_plan(run));
        }
        let mut consents = approvers.clone();
        consents.push(by.clone());
        let mut of = terms.quorums().map(|(_, of)| of);
        let people = &self.catalog.people;
        let capacity = of.find_map(|of| people.capacity_of(of, &by, self.now));
        let mut events = vec![RunEvent::Approved {
            by,
            capacity,
            confirmed: false,
        }];
        match self.ask_again(run, consents) {
            Decision::RequireApproval { terms, draft, .. } => {
                let now = propose(draft, self.catalog, plan_for(run))?;
                if !now.is_same(shown) {
                    return Ok(self.proposes(run, now, terms));
                }
            }
            Decision::Allow { permit, .. } => {
                let plan = plan(permit, self.catalog, plan_for(run))?;
                let now = proposal(plan.clone(), self.catalog, &run.invocation.project);
                let unasked = self.ask_again(run, Vec::new());
                if let (false, Decision::RequireApproval { terms, .. }) =
                    (now.is_same(shown), unasked)
                {
                    return Ok(self.proposes(run, now, terms));
                }
                let plan = Box::new(plan);
                events.push(RunEvent::Allowed { plan });
            }
            held_or_denied => return Err(in_the_way(run, &held_or_denied)),
        }
        Ok(self.happened("approve", run, events))
    }

    /// What consent was given to is another now: all of it is void.
    fn proposes(&self, run: &Run, now: Proposal, terms: ApprovalTerms) -> Conclusion {
        let event = RunEvent::Proposed {
            proposal: Box::new(now),
            terms,
        };
        let mut conclusion = self.happened("approve", run, vec![event]);
        conclusion.postings = vec![self.whisper(another_plan(run).message())];
        conclusion
    }

    /// The run that waits for consent, when this person's word on it counts.
    fn awaiting(&self, reference: &Reference) -> Result<(&Run, PersonId), Refusal> {
        let (run, person) = (self.find(reference)?, self.person());
        let look = format!("look at it with /ops show {reference}");
        let Phase::AwaitingApproval {
            terms,
            until,
            approvers,
            ..
        } = &run.phase
        else {
            let what = format!("run {reference} is not waiting for consent");
            return Err(not_now("not_waiting", what, look));
        };
        let wanted = render::terms_in_words(terms);
        if self.now >= *until || run.cancelled_by.is_some() {
            let what = format!("run {reference} is not waiting any more");
            return Err(not_now(
                "expired",
                what,
                "type the command again".to_owned(),
            ));
        }
        if run.requester == self.actor.identity {
            let what = "you asked for this yourself; consent has to come from somebody else";
            return Err(not_now(
                "own_run",
                what.to_owned(),
                format!("ask for {wanted}"),
            ));
        }
        if !may_consent(terms, &run.requester, &person, self.catalog, self.now) {
            let what = format!("your consent doesn't count for run {reference}");
            return Err(not_now(
                "not_an_approver",
                what,
                format!("it needs {wanted}"),
            ));
        }
        if approvers.contains(&person) {
            let what = format!("you approved run {reference} already");
            return Err(not_now("approved_already", what, look));
        }
        Ok((run, person))
    }

    fn ask_again(&self, run: &Run, approvers: Vec<PersonId>) -> Decision {
        let mut facts = self.facts(&run.invocation);
        facts.age = Duration::ZERO;
        facts.approvers = approvers;
        facts.running = facts.running.filter(|it| it.reference != run.reference);
        let Identity::Person(requester) = &run.requester else {
            unreachable!("strangers ask for nothing")
        };
        let requester = self.catalog.people.actor(requester);
        decide(&run.invocation, &requester, self.catalog, &facts, self.now)
    }

    fn settle(&self, reference: &Reference, verdict: Verdict) -> Result<Conclusion, Refusal> {
        let run = self.find(reference)?;
        if run.outcome() != Some(Outcome::NeedsAttention) {
            let what = format!("run {reference} has nothing to settle");
            let next = format!("look at it with /ops show {reference}");
            return Err(not_now("nothing_to_settle", what, next));
        }
        self.must_have_a_say(run, "settle")?;
        let (sent_at, now) = (self.inbound.sent_at.as_second(), self.now.as_second());
        let doubted_at = run.finished_at.map_or(i64::MIN, Timestamp::as_second);
        if sent_at < doubted_at && doubted_at <= now {
            let what = format!("run {reference} came into doubt after you said that");
            let next = format!("look at it with /ops show {reference}, then settle it");
            return Err(not_now("earlier_doubt", what, next));
        }
        let by = self.person();
        if verdict == Verdict::Again {
            match self.ask_again(run, vec![by.clone()]) {
                Decision::Allow { .. } => {}
                Decision::RequireApproval { terms, .. } => {
                    let wanted = render::terms_in_words(&terms);
                    let what = format!("to run {reference} again needs {wanted}");
                    let next = format!(
                        "ask one of them; or type /ops settle {reference} did-not, then the command again"
                    );
                    return Err(not_now("needs_consent", what, next));
                }
                held @ Decision::Hold { .. } => return Err(in_the_way(run, &held)),
                Decision::Deny { .. } => {
                    let what = format!("the runbook doesn't allow run {reference} any more");
                    let next = format!("type /ops settle {reference} did-not");
                    return Err(not_now("denied", what, next));
                }
            }
        }
        Ok(self.happened("settle", run, vec![RunEvent::Settled { by, verdict }]))
    }

    fn must_have_a_say(&self, run: &Run, word: &str) -> Result<(), Refusal> {
        let project = self.catalog.projects.get(&run.invocation.project);
        let owner = project.and_then(|project| project.owner.as_ref());
        let none = Facts::default();
        let decision = decide(&run.invocation, self.actor, self.catalog, &none, self.now);
        if owner.is_some_and(|owner| self.actor.groups.contains(owner))
            || matches!(decision, Decision::Allow { .. })
        {
            return Ok(());
        }
        let what = format!(
            "run {} is not yours to {word}: it was asked for by {}",
            run.reference, run.requester
        );
        let owner = owner.expect("the yard has an owner");
        let next = format!("ask them, or somebody of {owner}");
        Err(not_now("not_yours", what, next))
    }

    fn happened(&self, word: &str, run: &Run, events: Vec<RunEvent>) -> Conclusion {
        let change = Change::Happened {
            run: run.id,
            tell: tell(events.clone(), self.now),
            events,
        };
        let channel = &self.inbound.place.channel;
        if run.places().any(|to| to.channel == *channel) {
            return self.answered(word, change, Vec::new());
        }
        let done = match word {
            "cancel" => "you cancelled",
            "approve" => "you approved",
            "reject" => "you rejected",
            _ => "you settled",
        };
        let message = render::done_from_elsewhere(run, done);
        self.answered(word, change, vec![message])
    }

    fn invoke(&self, invocation: Invocation) -> Result<Conclusion, Refusal> {
        let facts = self.facts(&invocation);
        let decision = decide(&invocation, self.actor, self.catalog, &facts, self.now);
        Ok(match decision {
            Decision::Allow { permit, rule, .. } => {
                let mut run = self.new_run(invocation, rule);
                let plan = plan(permit, self.catalog, plan_for(&run))?;
                run.steps = vec![StepState::Pending; plan.steps.len()];
                run.plan = Some(plan);
                self.begin(run, Decided::Allow, Vec::new())
            }
            Decision::RequireApproval { terms, rule, draft } => {
                let mut run = self.new_run(invocation, rule);
                let proposal = propose(draft, self.catalog, plan_for(&run))?;
                run.phase = Phase::AwaitingApproval {
                    proposal: Some(Box::new(proposal)),
                    until: self.now + signed(terms.within),
                    terms: terms.clone(),
                    approvers: Vec::new(),
                    asked: Vec::new(),
                };
                let people = &self.catalog.people;
                let meant = terms.of.iter().flat_map(|who| people.meant(who, self.now));
                let mut asked: Vec<PersonId> = meant.cloned().collect();
                asked.sort();
                asked.retain(|person| run.requester != Identity::Person(person.clone()));
                if let Phase::AwaitingApproval { asked: named, .. } = &mut run.phase {
                    named.clone_from(&asked);
                }
                let ask = render::ask_approvers(&terms, &run, &asked);
                self.begin(run, Decided::RequireApproval(terms), vec![ask])
            }
            Decision::Hold { ref hold, ref rule } => {
                let word = match hold {
                    Hold::Late { .. } => "late",
                    Hold::Frozen { .. } => "frozen",
                    Hold::TooMany { .. } => "too_many",
                    Hold::Locked { .. } => "locked",
                    Hold::Running { .. } => "running",
                    Hold::JustDone { .. } => "just_done",
                };
                let decided = Decided::Hold(word.to_owned());
                self.not_run(&invocation, &decision, decided, Some(rule))
            }
            Decision::Deny { ref rule, .. } => {
                let decided = Decided::Deny(render::decision_in_words(&decision));
                self.not_run(&invocation, &decision, decided, rule.as_ref())
            }
        })
    }

    fn facts(&self, invocation: &Invocation) -> Facts {
        let command = self.catalog.commands.get(&invocation.command);
        let lock = command.and_then(|command| command.one_at_a_time);
        let lock = lock.map(|exclusive| invocation.target(exclusive));
        let fresh = command.and_then(|command| command.fresh);
        let since = fresh.map(|fresh| self.now - signed(fresh));
        let just_done = since.and_then(|since| {
            self.book
                .latest_success(&invocation.same_target(), since, &self.inbound.place)
        });
        Facts {
            age: self.age(),
            lost: false, // Its store loses nothing that was committed.
            begun: Vec::new(),
            glass_today: 0,
            locked: None, // Nobody takes one.
            running: lock.and_then(|lock| self.book.holder(&lock, &self.inbound.place)),
            just_done,
            approvers: Vec::new(),
        }
    }

    fn age(&self) -> Duration {
        let age = self.now.duration_since(self.inbound.sent_at);
        Duration::try_from(age).unwrap_or_default()
    }

    fn new_run(&self, invocation: Invocation, rule: RuleRef) -> Run {
        let id = RunId::of_inbound(&self.inbound.key);
        let mut mirrors = self.catalog.projects[&invocation.project].mirrors.clone();
        mirrors.retain(|to| to.channel != self.inbound.place.channel);
        Run {
            id,
            reference: self.book.free_reference(id),
            invocation,
            requester: self.actor.identity.clone(),
            rule,
            place: self.inbound.place.clone(),
            mirrors,
            followers: Vec::new(),
            glass: None,
            phase: Phase::Queued { since: self.now },
            plan: None,
            steps: Vec::new(),
            cancelled_by: None,
            doubted_at: None,
            created_at: self.now,
            started_at: None,
            finished_at: None,
        }
    }

    fn begin(&self, run: Run, decided: Decided, more: Vec<Message>) -> Conclusion {
        let groups: Vec<_> = self.actor.groups.iter().cloned().collect();
        let mut told = vec![(PostingKind::Root, render::root(&run, self.now, None))];
        let lines = [render::first_line(&run, &groups)].into_iter().chain(more);
        told.extend(lines.map(|message| (line(false), message)));
        let postings = in_each_place(&run, &told);
        let command = &self.catalog.commands[&run.invocation.command];
        let lock = command.one_at_a_time;
        let lock = lock.map(|exclusive| run.invocation.target(exclusive));
        let fact = self.decided(&run.invocation, decided, Some(&run.rule), Some(&run));
        let run = Box::new(run);
        self.conclusion(fact, Change::NewRun { run, lock }, postings)
    }

    fn not_run(
        &self,
        invocation: &Invocation,
        decision: &Decision,
        decided: Decided,
        rule: Option<&RuleRef>,
    ) -> Conclusion {
        let latest = self
            .book
            .latest_of(&invocation.same_target(), &self.inbound.place);
        let message = match decision {
            Decision::Hold {
                hold: Hold::Late { .. },
                ..
            } => render::not_run(invocation, decision, self.now),
            _ => render::card(&render::Card {
                invocation,
                decision,
                catalog: self.catalog,
                latest: latest.as_ref().into(),
                plan: None,
                asker: self.actor.person(),
                now: self.now,
            }),
        };
        let late = matches!(
            decision,
            Decision::Hold {
                hold: Hold::Late { .. },
                ..
            }
        );
        let told = if late {
            self.tell_late(message)
        } else {
            self.whisper(message)
        };
        let fact = self.decided(invocation, decided, rule, None);
        self.conclusion(fact, Change::Nothing, vec![told])
    }

    fn decided(
        &self,
        invocation: &Invocation,
        decision: Decided,
        rule: Option<&RuleRef>,
        run: Option<&Run>,
    ) -> Fact {
        let plan = run.and_then(|run| run.plan.as_ref());
        Fact::Decided {
            inbound: self.inbound.key.clone(),
            actor: self.actor.identity.clone(),
            groups: self.actor.groups.iter().cloned().collect(),
            capacity: rule.and_then(|rule| {
                let project = &self.catalog.projects[&invocation.project];
                let rule = project.rules.iter().find(|it| it.defined == rule.at)?;
                let person = self.actor.person()?;
                self.catalog.people.capacity_of(&rule.who, person, self.now)
            }),
            confirmed: false,
            invocation: invocation.clone(),
            decision,
            rule: rule.cloned(),
            run: run.map(|run| run.id),
            reference: run.map(|run| run.reference.clone()),
            plan: plan.map(midwatch::domain::Plan::digest),
        }
    }
}

/// Tells a thread of events, as dispatch and the engine do where output is not live.
pub(super) fn tell(events: Vec<RunEvent>, now: Timestamp) -> Tell {
    Box::new(move |run, checkpoint| {
        let mut all = vec![(PostingKind::Root, render::root(run, now, None))];
        for event in &events {
            let told = match event {
                RunEvent::StepStarted { .. } => None,
                RunEvent::Finished { .. } => Some(render::last_line(run, now, checkpoint)),
                _ => render::line(run, event, ""),
            };
            let last = matches!(event, RunEvent::Finished { .. });
            all.extend(told.map(|message| (line(last), message)));
        }
        in_each_place(run, &all)
    })
}

/// One place after the other.
fn in_each_place(run: &Run, told: &[(PostingKind, Message)]) -> Vec<Posting> {
    let mut postings = Vec::new();
    for to in run.places() {
        for (kind, message) in told {
            postings.push(render::posting(run, to, kind.clone(), message.clone()));
        }
    }
    postings
}

fn line(last: bool) -> PostingKind {
    PostingKind::Line {
        attachment: None,
        last,
    }
}

fn plan_for(run: &Run) -> PlanFor<'_> {
    PlanFor {
        run: run.id,
        reference: &run.reference,
        requester: &run.requester,
    }
}

fn another_plan(run: &Run) -> Refusal {
    let what = format!(
        "what run {} would do, or its runbook, has changed since you looked: your click was for another plan",
        run.reference
    );
    let next = "look at it anew in its thread, and approve that";
    not_now("another_plan", what, next.to_owned())
}

/// Why a run that was asked for earlier can't start now.
fn in_the_way(run: &Run, decision: &Decision) -> Refusal {
    let reference = &run.reference;
    if let Decision::Hold {
        hold: Hold::Running { other } | Hold::JustDone { other, .. },
        ..
    } = decision
    {
        let what = format!(
            "run {reference} can't start: run {} of the same target is in the way",
            other.reference
        );
        let next = format!("look at it with /ops show {}", other.reference);
        return not_now("held", what, next);
    }
    let what = format!("the runbook doesn't allow run {reference} any more");
    not_now(
        "denied",
        what,
        format!("cancel it with /ops cancel {reference}"),
    )
}

fn not_now(word: &'static str, what: String, next: String) -> Refusal {
    Refusal::NotNow { what, next, word }
}

fn signed(span: Duration) -> SignedDuration {
    SignedDuration::try_from(span).expect("a short span")
}
