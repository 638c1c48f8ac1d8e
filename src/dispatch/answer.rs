//! Questions: they are answered and recorded, and change nothing.

use jiff::Timestamp;

use crate::domain::{
    Actor, Arguments, At, Command, Decision, EnvironmentName, Fact, Facts, Hearing, Invocation,
    LATE_AFTER, Message, ParameterKind, Question, Reference, Refusal, Run, Text, Value, decide,
    render, summarize,
};
use crate::planted;
use crate::store::verify::unread_in_words;
use crate::store::{Change, Conclusion, History, RunFilter, StoreError};

use super::{Walk, whisper};

impl Walk<'_> {
    /// Answers a question, or changes a run where the question asks for that.
    pub(super) async fn answer(&self, question: Question) -> Result<Conclusion, StoreError> {
        let word = question.word();
        if question.changes() && self.age() > LATE_AFTER {
            return Ok(self.hold_late_change());
        }
        let message = match question {
            Question::Help { topic: None } => render::help(self.catalog, self.project()),
            Question::Help { topic: Some(name) } => match self.catalog.commands.get(&name) {
                Some(command) => render::help_command(command, self.catalog, self.project()),
                None => render::help(self.catalog, self.project()),
            },
            Question::List { project } => self.list(project.as_ref()),
            Question::Runs { project, all } => {
                let project = if all {
                    None
                } else {
                    project.or_else(|| self.project().map(|it| it.name.clone()))
                };
                let filter = RunFilter {
                    project,
                    open: false,
                    limit: 15,
                };
                let runs = self.dispatch.store.runs(&filter).await?;
                let message = render::runs(&runs.known, self.now);
                if runs.unread.is_empty() {
                    message
                } else {
                    message.text(render::of_a_newer_version(&runs.unread))
                }
            }
            Question::Show { reference } => match self.find(&reference).await? {
                Ok(run) => {
                    let history = self.dispatch.store.history(run.id).await?;
                    let message = render::show(&run, &history.entries, self.now);
                    with_unread(message, &history)
                }
                Err(refusal) => return Ok(self.refuse(&refusal)),
            },
            Question::Summary { reference } => match self.find(&reference).await? {
                Ok(run) => self.summary(&run).await?,
                Err(refusal) => return Ok(self.refuse(&refusal)),
            },
            Question::Why { reference } => match self.find(&reference).await? {
                Ok(run) => {
                    let history = self.dispatch.store.history(run.id).await?;
                    let message = render::why(&run, &history.entries, self.now);
                    with_unread(message, &history)
                }
                Err(refusal) => return Ok(self.refuse(&refusal)),
            },
            Question::Runbook { project, heading } => match self.catalog.projects.get(&project) {
                Some(project) => render::runbook(project, heading.as_deref()),
                None => render::help(self.catalog, None),
            },
            Question::History {
                command,
                project,
                environment,
            } => self.history(&command, &project, environment).await?,
            Question::Timeline { ask } => self.timeline(&ask).await?,
            Question::May {
                person,
                invocation,
                at,
            } => {
                let person = person.as_ref().or(self.actor.person());
                let actor = person.map_or_else(
                    || self.actor.clone(),
                    |person| self.catalog.people.actor(person),
                );
                let now = at.map_or(self.now, |at| moment(at, self.now));
                let mut facts = self.facts(&invocation, Vec::new()).await?;
                facts.age = std::time::Duration::ZERO;
                if planted::is("may-forgets-the-facts") {
                    facts = Facts::default();
                }
                let decision = decide(&invocation, &actor, self.catalog, &facts, now);
                let message = render::not_run(&invocation, &decision, self.now);
                match person.filter(|person| Some(*person) != self.actor.person()) {
                    Some(other) => message.about(other),
                    None => message,
                }
            }
            Question::Join { reference } => return self.join(&reference).await,
            Question::Reviews => self.reviews().await?,
            Question::Review { reference, comment } => {
                return self.review(&reference, comment).await;
            }
            Question::Card { invocation } => self.plan_card(*invocation).await?,
            Question::WhoCan { invocation } => self.who_can(&invocation),
            Question::Ask { invocation } => {
                let anew = self.anew_for(&invocation, &[]).await;
                return self.seeing(anew.as_ref()).ask(*invocation).await;
            }
            Question::Orient { project } => self.orient(&project).await?,
            Question::Cancel { reference } => return self.cancel(&reference).await,
            Question::Approve { reference, digits } => {
                let anew = self.anew_for_run(&reference).await?;
                let walk = self.seeing(anew.as_ref());
                return walk.approve(&reference, digits.as_deref()).await;
            }
            Question::Reject { reference, reason } => {
                let anew = self.anew_for_run(&reference).await?;
                let walk = self.seeing(anew.as_ref());
                return walk.reject(&reference, reason).await;
            }
            Question::Withdraw { reference } => return self.withdraw(&reference).await,
            Question::SendBack { reference, comment } => {
                let anew = self.anew_for_run(&reference).await?;
                let walk = self.seeing(anew.as_ref());
                return walk.send_back(&reference, comment).await;
            }
            Question::Settle { reference, verdict } => {
                let anew = self.anew_for_run(&reference).await?;
                let walk = self.seeing(anew.as_ref());
                return walk.settle(&reference, verdict).await;
            }
            Question::Lock {
                target,
                length,
                reason,
            } => return self.lock(target, length, reason).await,
            Question::Unlock { target } => return self.unlock(target).await,
            Question::Locks { project } => self.locks(&project).await?,
            Question::OnCall { rotations } => self.on_call(&rotations),
            Question::Cover(given) => return self.cover(*given).await,
            Question::Swap { give, back } => return self.swap(*give, back).await,
            Question::Page { project, words } => return self.page(&project, words).await,
            Question::Pages => self.pages().await?,
            Question::Acknowledge { reference } => {
                return self.acknowledge(reference.as_ref()).await;
            }
            Question::Escalate { reference } => return self.escalate(reference.as_ref()).await,
            Question::Handover { project } => self.hand_over(&project).await?,
            Question::Link { account } => return self.ask_to_link(account).await,
            Question::ConfirmLink { code } => return self.confirm_link(&code).await,
            Question::Unlink { account } => return self.unlink(&account).await,
        };
        Ok(self.answered(word, vec![message]))
    }

    pub(super) fn answered(&self, word: &str, messages: Vec<Message>) -> Conclusion {
        Conclusion {
            inbound: self.inbound.key.clone(),
            fact: Fact::Answered {
                inbound: self.inbound.key.clone(),
                actor: self.actor.identity.clone(),
                question: word.to_owned(),
            },
            change: Change::Nothing,
            postings: messages
                .into_iter()
                .map(|message| whisper(self.inbound, message))
                .collect(),
        }
    }

    async fn summary(&self, run: &Run) -> Result<Message, StoreError> {
        let history = self.dispatch.store.history(run.id).await?;
        let command = self.catalog.commands.get(&run.invocation.command);
        let does = command.map(|command| command.does.as_str());
        let summary = summarize(run, &history.entries, does, self.now);
        Ok(with_unread(render::summary(&summary), &history))
    }

    /// The run of this reference, or the refusal that says there is none.
    pub(super) async fn find(
        &self,
        reference: &Reference,
    ) -> Result<Result<Run, Refusal>, StoreError> {
        let found = match self.dispatch.store.run_by_reference(reference).await {
            Err(StoreError::Newer(_)) => return Ok(Err(of_newer_version(reference))),
            found => found?,
        };
        Ok(found.ok_or_else(|| Refusal::UnknownReference {
            reference: reference.clone(),
        }))
    }

    fn project(&self) -> Option<&crate::domain::Project> {
        let of_channel = self.catalog.project_of_channel(&self.inbound.place.channel);
        let only = || {
            self.catalog
                .projects
                .values()
                .next()
                .filter(|_| self.catalog.projects.len() == 1)
        };
        of_channel.or_else(only).map(AsRef::as_ref)
    }

    fn list(&self, named: Option<&crate::domain::ProjectName>) -> Message {
        let named = named
            .and_then(|name| self.catalog.projects.get(name))
            .map(AsRef::as_ref);
        let project = named.or_else(|| self.project());
        let may = |command: &Command, environment: Option<&EnvironmentName>| {
            let Some(project) = project else {
                return "unknown".to_owned();
            };
            let invocation = typical(command, project, environment);
            let decision = decide(
                &invocation,
                self.actor,
                self.catalog,
                &Facts::default(),
                self.now,
            );
            match decision {
                Decision::Allow { .. } => "yes".to_owned(),
                Decision::Deny { .. } => "no".to_owned(),
                other @ (Decision::RequireApproval { .. } | Decision::Hold { .. }) => {
                    render::decision_in_words(&other)
                }
            }
        };
        render::list_commands(self.catalog, project, &may)
    }
}

/// The run is there, and nothing can be said of it or done to it here.
fn of_newer_version(reference: &Reference) -> Refusal {
    Refusal::NotNow {
        what: format!(
            "run {reference} was written by a newer version of midwatch, which the replica that heard you can't read"
        ),
        next: "ask again in a minute: a replica that is upgraded already may hear you; when all are, each can answer"
            .to_owned(),
        word: "newer_version",
    }
}

fn with_unread(message: Message, history: &History) -> Message {
    if history.unread == 0 {
        return message;
    }
    message.text(Text::from(unread_in_words(history.unread as u64).as_str()))
}

/// Whether the runbook lets this person run the command anywhere here, with or without somebody's consent.
pub fn may_be_run(command: &Command, actor: &Actor, hearing: &Hearing<'_>, now: Timestamp) -> bool {
    let catalog = hearing.catalog;
    let here = catalog.project_of_channel(hearing.channel);
    let mut projects: Vec<_> = here.into_iter().collect();
    if projects.is_empty() {
        projects.extend(catalog.projects.values());
    }
    let mut asked = projects.into_iter().flat_map(|project| {
        let environments = project.environments.iter().map(|it| Some(&it.name));
        let environments = environments.chain(std::iter::once(None));
        environments.map(|environment| typical(command, project, environment))
    });
    asked.any(|invocation| {
        let decision = decide(&invocation, actor, catalog, &Facts::default(), now);
        !matches!(decision, Decision::Deny { .. })
    })
}

/// An invocation with defaults only: what `list` asks the runbook about.
pub(super) fn typical(
    command: &Command,
    project: &crate::domain::Project,
    environment: Option<&EnvironmentName>,
) -> Invocation {
    let mut arguments = Arguments::new();
    for parameter in &command.parameters {
        let value = match (&parameter.kind, environment) {
            (ParameterKind::Environment, Some(environment)) => {
                Some(Value::Environment(environment.clone()))
            }
            _ => parameter.default.clone(),
        };
        if let Some(value) = value {
            arguments.insert(parameter.name.clone(), value);
        }
    }
    Invocation {
        command: command.name.clone(),
        project: project.name.clone(),
        environment: environment.cloned(),
        arguments,
        again: false,
        reason: None,
        glass: false,
    }
}

/// A time of day is the next one, by UTC's clock: chat has no zone of its own.
fn moment(at: At, now: Timestamp) -> Timestamp {
    match at {
        At::Moment(at) => at,
        At::Time(time) => {
            let today = now
                .to_zoned(jiff::tz::TimeZone::UTC)
                .date()
                .to_datetime(time)
                .to_zoned(jiff::tz::TimeZone::UTC);
            let Ok(today) = today else { return now };
            let next = if today.timestamp() < now {
                today.tomorrow().unwrap_or(today)
            } else {
                today
            };
            next.timestamp()
        }
    }
}
