//! The one path: walks each inbound from message to recorded conclusion. No source has another door.
//!
//! Nothing is done that is not concluded in the store; what can't be concluded stays waiting and is tried again.

mod anew;
mod answer;
mod change;
mod glass;
mod handover;
mod join;
mod judge;
mod link;
mod lock;
mod oncall;
mod orient;
mod page;
mod roster;
mod second_factor;
mod shifts;
mod timeline;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::catalog::CurrentCatalog;
use crate::clock::Clock;
use crate::domain::{
    Actor, CODE_WORD, Capacity, Catalog, Decided, Decision, Fact, Facts, Form, FormField,
    GlassTerms, Hold, Identity, Inbound, Invocation, LIMITS_COUNT, LockTarget, Manner, Message,
    OtherRun, ParameterKind, ParameterName, Permit, Phase, Place, PlanFor, Platform, PlatformGroup,
    Posting, PostingKind, ProjectName, Refusal, RuleRef, Run, RunEvent, RunId, SpeakerKind,
    StepState, Text, Typed, decide, parse, plan, propose, render, take_code,
};
use crate::planted::{self, crash};
use crate::store::{Change, Conclusion, Store, StoreError};

pub use self::answer::may_be_run;
pub use self::judge::Judged;
pub use roster::{Anew, Memberships, Roster, Said};
pub use timeline::read_timeline;

/// How many inbounds are walked at the same time.
const AT_ONCE: usize = 32;
/// How often an inbound whose conclusion met a conflict is walked again at once.
const TRIES: u32 = 5;
/// How often we look for what is due without anybody's word.
const TEND_EVERY: Duration = Duration::from_secs(5);
/// How long to wait for a hint that something came in, before looking anyway.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Walks inbounds.
#[derive(Clone)]
pub struct Dispatch {
    /// Where inbounds wait and conclusions go.
    pub store: Store,
    /// The catalog in force.
    pub catalog: CurrentCatalog,
    /// Keeps the people of that catalog fresh; `None`: the files alone say who is who.
    pub roster: Option<Arc<Roster>>,
    /// Tells the time.
    pub clock: Clock,
    /// The platforms that postings are delivered to here. A mirror on any other is left out: what is owed to it would
    /// wait for ever.
    pub mirrors_on: Vec<Platform>,
}

impl Dispatch {
    /// Walks everything that waits, until cancelled. What was begun is finished first.
    pub async fn run(&self, cancel: CancellationToken) {
        if let Some(roster) = &self.roster {
            roster.begin(&cancel).await;
        }
        tokio::join!(self.walk_all(&cancel), self.tend(&cancel));
    }

    /// What is due without anybody's word.
    async fn tend(&self, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            // `/readyz` says when the store is not well; what is due stays due.
            if let Err(fault) = self.tend_once().await {
                warn!("what is due waits: {fault}");
            }
            sleep_or(cancel, TEND_EVERY).await;
        }
    }

    /// Does what is due now.
    ///
    /// # Errors
    /// What the store says; it is due again then.
    pub async fn tend_once(&self) -> Result<(), StoreError> {
        let told = Box::new(lock::tell_end);
        self.store.end_due_locks(told, self.clock.now()).await?;
        self.follow_shifts(self.clock.now()).await
    }

    async fn walk_all(&self, cancel: &CancellationToken) {
        let mut changes = self.store.changes();
        while !cancel.is_cancelled() {
            changes.mark_unchanged();
            match self.dispatch_waiting().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(fault) => {
                    warn!("inbounds stay waiting: {fault}");
                    metrics::counter!("midwatch_faults_total", "where" => "dispatch").increment(1);
                    sleep_or(cancel, LOOK_EVERY).await;
                    continue;
                }
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Walks what waits now, and answers how much that was.
    ///
    /// # Errors
    /// The first fault; inbounds that met one stay waiting.
    pub async fn dispatch_waiting(&self) -> Result<usize, StoreError> {
        let waiting = self.store.waiting_inbounds(self.clock.now(), 256).await?;
        let count = waiting.len();
        let results = futures_util::stream::iter(waiting)
            .map(|inbound| self.dispatch(inbound))
            .buffer_unordered(AT_ONCE);
        let faults: Vec<StoreError> = results
            .filter_map(|result| async { result.err() })
            .collect()
            .await;
        faults.into_iter().next().map_or(Ok(count), Err)
    }

    async fn dispatch(&self, inbound: Inbound) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let now = self.clock.now();
            let conclusion = self.walk(&inbound, now).await?;
            let links = matches!(conclusion.change, Change::Link(_) | Change::Covers(_));
            match self.store.conclude(conclusion, now).await {
                // What the account says next is said by somebody; whoever took a shift has it.
                Ok(()) if links => {
                    if let Some(roster) = &self.roster {
                        roster.read_links().await;
                    }
                    return Ok(());
                }
                // Somebody else was first: the facts have changed, so the runbook is asked again.
                Err(StoreError::Conflict(what)) => {
                    info!(inbound = inbound.key.as_str(), "walking again: {what}");
                }
                other => {
                    crash("inbound.concluded");
                    return other;
                }
            }
        }
        let code = RunId::of_inbound(&inbound.key).reference(8).to_string();
        error!(
            inbound = inbound.key.as_str(),
            code, "every try to conclude met a conflict"
        );
        let now = self.clock.now();
        let actor = self.catalog.load().people.identify(&inbound.speaker);
        let conclusion = refused(&inbound, &actor.identity, &Refusal::Fault { code });
        match self.store.conclude(conclusion, now).await {
            // It was concluded by somebody else after all.
            Err(StoreError::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    /// Everything between a message and its conclusion. Changes nothing, but that a one-time code is used up: what happens
    /// between the two is met again as a conflict, and proofs put something there.
    pub async fn walk(&self, inbound: &Inbound, now: Timestamp) -> Result<Conclusion, StoreError> {
        if let Some(roster) = &self.roster {
            roster.keep_young();
        }
        let catalog = self.catalog.load_full();
        let actor = catalog.people.identify(&inbound.speaker);
        let refusal = match (inbound.speaker.kind, inbound.manner, &actor.identity) {
            (SpeakerKind::Bot, _, _) => Some(Refusal::Bot),
            (_, Manner::Edited, _) => Some(Refusal::Edited),
            (_, _, Identity::Stranger) => Some(Refusal::Stranger),
            (SpeakerKind::Person, Manner::Said, Identity::Person(_)) => None,
        };
        if let Some(refusal) = refusal {
            return Ok(refused(inbound, &actor.identity, &refusal));
        }
        let (text, code) = take_code(&inbound.text);
        let walk = Walk {
            dispatch: self,
            catalog: &catalog,
            inbound,
            actor: &actor,
            unsaid: &[],
            code,
            now,
        };
        match parse(&text, &walk.hearing()) {
            Err(refusal) => Ok(walk.refuse(&refusal)),
            Ok(Typed::Ask(question)) => walk.answer(question).await,
            Ok(Typed::Invoke(invocation)) => {
                let anew = walk.anew_for(&invocation, &[]).await;
                walk.seeing(anew.as_ref()).invoke(invocation).await
            }
        }
    }

    /// Whether a direct message reaches accounts of this platform, as far as we know.
    fn reaches(&self, platform: Platform) -> bool {
        let roster = self.roster.as_ref();
        roster.is_none_or(|roster| roster.reaches(platform))
    }
}

async fn sleep_or(cancel: &CancellationToken, duration: Duration) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(duration) => {}
    }
}

fn refused(inbound: &Inbound, actor: &Identity, refusal: &Refusal) -> Conclusion {
    metrics::counter!("midwatch_refusals_total", "refusal" => refusal.word()).increment(1);
    // A bot is not answered: two bots could talk for ever.
    let postings = if *refusal == Refusal::Bot {
        Vec::new()
    } else {
        vec![whisper(inbound, refusal.message())]
    };
    let fact = Fact::Refused {
        inbound: inbound.key.clone(),
        actor: actor.clone(),
        refusal: refusal.word().to_owned(),
    };
    Conclusion {
        inbound: inbound.key.clone(),
        fact,
        change: Change::Nothing,
        postings,
    }
}

fn whisper(inbound: &Inbound, message: Message) -> Posting {
    let kind = PostingKind::Whisper {
        speaker: inbound.speaker.id.clone(),
        handle: inbound.form_handle.clone(),
    };
    Posting {
        to: inbound.place.clone(),
        kind,
        run: None,
        message,
    }
}

/// One inbound, with what was read for it.
struct Walk<'a> {
    dispatch: &'a Dispatch,
    catalog: &'a Catalog,
    inbound: &'a Inbound,
    actor: &'a Actor,
    /// Groups that were asked for anew, and whose platform did not say who is in them.
    unsaid: &'a [PlatformGroup],
    /// The one-time code that was typed with it.
    code: Option<String>,
    now: Timestamp,
}

impl Walk<'_> {
    fn hearing(&self) -> crate::domain::Hearing<'_> {
        crate::domain::Hearing {
            catalog: self.catalog,
            channel: &self.inbound.place.channel,
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Conclusion {
        let mut conclusion = refused(self.inbound, &self.actor.identity, refusal);
        if let (Refusal::Missing { .. }, Some(handle)) = (refusal, &self.inbound.form_handle)
            && let Some(form) = form_for(refusal, &self.hearing())
        {
            let kind = PostingKind::Form {
                speaker: self.inbound.speaker.id.clone(),
                handle: handle.clone(),
                form,
            };
            let to = self.inbound.place.clone();
            conclusion.postings = vec![Posting {
                to,
                kind,
                run: None,
                message: refusal.message(),
            }];
        }
        conclusion
    }

    /// The runbook is asked; its answer is recorded with the run and the first postings, or with the refusal.
    async fn invoke(&self, invocation: Invocation) -> Result<Conclusion, StoreError> {
        let facts = self.facts(&invocation, Vec::new()).await?;
        let decision = decide(&invocation, self.actor, self.catalog, &facts, self.now);
        if let Decision::Allow { .. } | Decision::RequireApproval { .. } = &decision
            && let Some(refusal) = self
                .unconfirmed(&invocation, &Self::said(&invocation))
                .await?
        {
            return Ok(self.refuse(&refusal));
        }
        match decision {
            Decision::Allow {
                permit,
                rule,
                glass,
            } => self.begin(invocation, permit, rule, glass).await,
            Decision::RequireApproval { terms, rule, draft } => {
                let within = jiff::SignedDuration::try_from(terms.within)
                    .unwrap_or(jiff::SignedDuration::MAX);
                let until = self.now.saturating_add(within).unwrap_or(Timestamp::MAX);
                let decided = Decided::RequireApproval(terms.clone());
                let mut run = self.new_run(invocation, rule).await?;
                let proposal = match propose(draft, self.catalog, plan_for(&run)) {
                    Err(refusal) => return Ok(self.refuse(&refusal)),
                    Ok(proposal) => Some(Box::new(proposal)),
                };
                run.phase = Phase::AwaitingApproval {
                    proposal,
                    terms: terms.clone(),
                    until,
                    approvers: Vec::new(),
                    asked: Vec::new(),
                };
                let people = &self.catalog.people;
                let approvers = people.asked_to_consent(&terms, &run.requester, self.now);
                if let Phase::AwaitingApproval { asked, .. } = &mut run.phase {
                    asked.clone_from(&approvers);
                }
                let ask = render::ask_approvers(&terms, &run, &approvers);
                Ok(self.start(run, decided, vec![ask]))
            }
            Decision::Hold {
                hold: Hold::JustDone { .. },
                ..
            } if invocation.again => Ok(self.refuse(&why_again(&invocation))),
            not_run @ (Decision::Hold { .. } | Decision::Deny { .. }) => {
                self.tell_not_run(&invocation, &not_run).await
            }
        }
    }

    /// What was read before the decision, and matters to it.
    async fn facts(
        &self,
        invocation: &Invocation,
        approvers: Vec<crate::domain::PersonId>,
    ) -> Result<Facts, StoreError> {
        let command = self.catalog.commands.get(&invocation.command);
        let lock = command
            .and_then(|command| command.one_at_a_time)
            .map(|exclusive| invocation.target(exclusive));
        let fresh_since = command.and_then(|command| command.fresh).map(|fresh| {
            let fresh = jiff::SignedDuration::try_from(fresh).unwrap_or(jiff::SignedDuration::MAX);
            self.now.saturating_sub(fresh).unwrap_or(Timestamp::MIN)
        });
        let mut facts = self
            .dispatch
            .store
            .facts_for(
                lock,
                invocation.same_target(),
                fresh_since,
                &self.inbound.place,
            )
            .await?;
        let target = LockTarget {
            project: invocation.project.clone(),
            environment: invocation.environment.clone(),
        };
        facts.locked = self.dispatch.store.lock_on(&target, self.now).await?;
        let project = self.catalog.projects.get(&invocation.project);
        let limits = project.map(|project| project.limits).unwrap_or_default();
        if let Some(most) = limits.a_person.max(limits.all) {
            let since = self
                .now
                .saturating_sub(LIMITS_COUNT)
                .unwrap_or(Timestamp::MIN);
            let store = &self.dispatch.store;
            facts.begun = store.begun_since(&invocation.project, since, most).await?;
        }
        if let (true, Some(person)) = (invocation.glass, self.actor.person()) {
            let day = jiff::SignedDuration::from_hours(24);
            let since = self.now.saturating_sub(day).unwrap_or(Timestamp::MIN);
            facts.glass_today = self.dispatch.store.glass_since(person, since).await?;
        }
        facts.age = self.age();
        facts.lost = self.may_be_lost().await?;
        facts.approvers = approvers;
        Ok(facts)
    }

    /// Whether it was sent before the database was set back. Unknown to it, it may have run already.
    async fn may_be_lost(&self) -> Result<bool, StoreError> {
        let set_back_at = self.dispatch.store.set_back_at().await?;
        Ok(set_back_at.is_some_and(|at| self.inbound.sent_at <= at))
    }

    /// How long ago it was sent; zero where the platform's clock is ahead of ours.
    fn age(&self) -> Duration {
        let age = self.now.duration_since(self.inbound.sent_at);
        let age = if planted::is("age-backwards") {
            -age
        } else {
            age
        };
        Duration::try_from(age).unwrap_or_default()
    }

    /// What we say to somebody whose words came late. In the channel where they typed it: they may be gone by now, and a
    /// whisper reaches only those who look. What was typed where nobody else saw it is answered where nobody else sees.
    fn tell_late(&self, message: Message) -> Posting {
        let mut posting = whisper(self.inbound, message);
        if let (None, Some(person)) = (&self.inbound.form_handle, self.actor.person()) {
            let asked = Text::new().plain("asked for by ").ping(person);
            posting.kind = PostingKind::Answer;
            posting.message = posting.message.text(asked);
        }
        posting
    }

    async fn begin(
        &self,
        invocation: Invocation,
        permit: Permit,
        rule: RuleRef,
        glass: Option<GlassTerms>,
    ) -> Result<Conclusion, StoreError> {
        let mut run = self.new_run(invocation, rule).await?;
        match plan(permit, self.catalog, plan_for(&run)) {
            Err(refusal) => Ok(self.refuse(&refusal)),
            Ok(plan) => {
                run.steps = vec![StepState::Pending; plan.steps.len()];
                run.plan = Some(plan);
                Ok(match glass {
                    Some(terms) => self.begin_by_glass(run, &terms),
                    None => self.start(run, Decided::Allow, Vec::new()),
                })
            }
        }
    }

    async fn new_run(&self, invocation: Invocation, rule: RuleRef) -> Result<Run, StoreError> {
        let id = RunId::of_inbound(&self.inbound.key);
        let in_doubt = self.may_be_lost().await?;
        Ok(Run {
            id,
            reference: self.dispatch.store.free_reference(id).await?,
            mirrors: self.mirrors(&invocation.project),
            invocation,
            requester: self.actor.identity.clone(),
            followers: Vec::new(),
            glass: None,
            rule,
            place: self.inbound.place.clone(),
            phase: Phase::Queued { since: self.now },
            plan: None,
            steps: Vec::new(),
            cancelled_by: None,
            doubted_at: in_doubt.then_some(self.now),
            created_at: self.now,
            started_at: None,
            finished_at: None,
        })
    }

    /// Where else a run's thread is told: as the runbook says now, whatever it says while the run goes on.
    fn mirrors(&self, project: &ProjectName) -> Vec<Place> {
        let project = self.catalog.projects.get(project);
        let mirrors = project.into_iter().flat_map(|project| &project.mirrors);
        let elsewhere = mirrors.filter(|to| {
            self.dispatch.mirrors_on.contains(&to.platform)
                && !to.shares_channel(&self.inbound.place)
        });
        elsewhere.cloned().collect()
    }

    fn start(&self, run: Run, decision: Decided, more: Vec<Message>) -> Conclusion {
        info!(run.id = %run.id, command.name = %run.invocation.command, "decided on run {}", run.reference);
        let groups: Vec<_> = self.actor.groups.iter().cloned().collect();
        let line = || PostingKind::Line {
            attachment: None,
            last: false,
        };
        let mut told = vec![
            (PostingKind::Root, render::root(&run, self.now, None)),
            (line(), render::first_line(&run, &groups)),
        ];
        // Its thread may stand there from before: it says why it goes on in it.
        let doubted = run.doubted_at.map(|_| RunEvent::Doubted);
        let doubted = doubted.and_then(|event| render::line(&run, &event, ""));
        let more = doubted.into_iter().chain(more);
        told.extend(more.map(|message| (line(), message)));
        let postings = render::in_each_place(&run, &told);
        let command = self.catalog.commands.get(&run.invocation.command);
        let lock = command
            .and_then(|it| it.one_at_a_time)
            .map(|exclusive| run.invocation.target(exclusive));
        Conclusion {
            inbound: self.inbound.key.clone(),
            fact: self.decided(&run.invocation, decision, Some(&run.rule), Some(&run)),
            change: Change::NewRun {
                run: Box::new(run),
                lock,
            },
            postings,
        }
    }

    async fn tell_not_run(
        &self,
        invocation: &Invocation,
        decision: &Decision,
    ) -> Result<Conclusion, StoreError> {
        let (decided, rule) = match decision {
            Decision::Hold { hold, rule } => (Decided::Hold(hold.word().to_owned()), Some(rule)),
            Decision::Deny { rule, .. } => (
                Decided::Deny(render::decision_in_words(decision)),
                rule.as_ref(),
            ),
            Decision::Allow { rule, .. } => (Decided::Allow, Some(rule)),
            Decision::RequireApproval { terms, rule, .. } => {
                (Decided::RequireApproval(terms.clone()), Some(rule))
            }
        };
        let message = if orient::is_told_on_a_card(decision) {
            self.card(invocation, decision, None).await?
        } else {
            render::not_run(invocation, decision, self.now)
        };
        let message = match decision {
            Decision::Deny { .. } => self.tell_unsaid(message),
            Decision::Allow { .. } | Decision::RequireApproval { .. } | Decision::Hold { .. } => {
                message
            }
        };
        let posting = match decision {
            Decision::Hold {
                hold: Hold::Late { .. },
                ..
            } => self.tell_late(message),
            _ => whisper(self.inbound, message),
        };
        Ok(Conclusion {
            inbound: self.inbound.key.clone(),
            fact: self.decided(invocation, decided, rule, None),
            change: Change::Nothing,
            postings: vec![posting],
        })
    }

    fn decided(
        &self,
        invocation: &Invocation,
        decision: Decided,
        rule: Option<&RuleRef>,
        run: Option<&Run>,
    ) -> Fact {
        let word = match &decision {
            Decided::Allow => "allow",
            Decided::RequireApproval(_) => "require_approval",
            Decided::Hold(_) => "hold",
            Decided::Deny(_) => "deny",
        };
        metrics::counter!("midwatch_decisions_total", "decision" => word).increment(1);
        Fact::Decided {
            inbound: self.inbound.key.clone(),
            actor: self.actor.identity.clone(),
            groups: self.actor.groups.iter().cloned().collect(),
            capacity: rule.and_then(|rule| self.capacity_of(&invocation.project, rule)),
            invocation: invocation.clone(),
            decision,
            rule: rule.cloned(),
            confirmed: run.is_some() && self.wants_code(invocation),
            run: run.map(|run| run.id),
            reference: run.map(|run| run.reference.clone()),
            plan: run
                .and_then(|run| run.plan.as_ref())
                .map(crate::domain::Plan::digest),
        }
    }

    /// By which entry of that rule whoever speaks is meant.
    fn capacity_of(&self, project: &ProjectName, rule: &RuleRef) -> Option<Capacity> {
        let rules = &self.catalog.projects.get(project)?.rules;
        let rule = rules.iter().find(|it| it.defined == rule.at)?;
        let person = self.actor.person()?;
        self.catalog.people.capacity_of(&rule.who, person, self.now)
    }
}

/// Of a run.
fn plan_for(run: &Run) -> PlanFor<'_> {
    PlanFor {
        run: run.id,
        reference: &run.reference,
        requester: &run.requester,
    }
}

/// What was just done is done again for a reason only.
fn why_again(invocation: &Invocation) -> Refusal {
    let says = invocation.typed_in_full();
    Refusal::Missing {
        command: invocation.command.clone(),
        parameters: vec![reason_parameter()],
        example: format!("{says} reason=\"the pages are still old\""),
        says,
    }
}

fn reason_parameter() -> ParameterName {
    ParameterName::parse("reason").expect("`reason` is a name")
}

/// The form that asks for what is missing.
pub fn form_for(refusal: &Refusal, hearing: &crate::domain::Hearing<'_>) -> Option<Form> {
    let Refusal::Missing {
        command,
        parameters,
        says,
        example,
    } = refusal
    else {
        return None;
    };
    let command = hearing.catalog.commands.get(command)?;
    let project = hearing
        .catalog
        .project_of_channel(hearing.channel)
        .or_else(|| hearing.catalog.projects.values().next());
    let ours = parameters
        .iter()
        .filter_map(|name| our_field(name, example));
    let fields = parameters
        .iter()
        .filter_map(|name| command.parameter(name.as_str()))
        .map(|parameter| {
            let choices = match &parameter.kind {
                ParameterKind::Choice(words) => words.clone(),
                ParameterKind::Boolean => vec!["true".to_owned(), "false".to_owned()],
                ParameterKind::Environment => project
                    .map(|it| {
                        it.environments
                            .iter()
                            .map(|it| it.name.to_string())
                            .collect()
                    })
                    .unwrap_or_default(),
                ParameterKind::Text { .. }
                | ParameterKind::Integer { .. }
                | ParameterKind::Duration { .. }
                | ParameterKind::Secret { .. }
                | ParameterKind::List { .. } => Vec::new(),
            };
            FormField {
                name: parameter.name.clone(),
                help: parameter.help.clone().unwrap_or_default(),
                choices,
                example: parameter.example.clone().unwrap_or_default(),
                optional: !parameter.required(),
            }
        });
    let fields: Vec<FormField> = fields.chain(ours).collect();
    let form = Form {
        command: command.name.clone(),
        says: says.clone(),
        does: command.does.clone(),
        fields,
    };
    (!form.fields.is_empty()).then_some(form)
}

/// What no command declares: the reason, and the phrase that breaks the glass.
fn our_field(name: &ParameterName, example: &str) -> Option<FormField> {
    let (help, example) = match name.as_str() {
        "reason" => (
            "Why, in a few words; it stands in the thread and in the ledger.".to_owned(),
            "the pages are still old",
        ),
        "phrase" => {
            let (_, phrase) = example.rsplit_once("phrase=")?;
            let phrase = phrase.trim_matches('"');
            (format!("Type exactly: {phrase}"), phrase)
        }
        CODE_WORD => (
            "The six digits that your authenticator app shows now.".to_owned(),
            "123456",
        ),
        _ => return None,
    };
    Some(FormField {
        name: name.clone(),
        help,
        choices: Vec::new(),
        example: example.to_owned(),
        optional: false,
    })
}

/// A run as a hold tells of it.
pub fn other_run(run: &Run) -> OtherRun {
    OtherRun {
        reference: run.reference.clone(),
        requester: run.requester.clone(),
        created_at: run.created_at,
        finished_at: run.finished_at,
        outcome: run.outcome(),
        reason: run.invocation.reason.clone(),
        thread: None,
    }
}
