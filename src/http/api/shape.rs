//! What there is, as programs read it. The schemas of the document say the same; a test holds both together.

use serde_json::{Map, Value, json};

use super::problem::rule_json;
use crate::domain::{
    ApprovalTerms, Arguments, Command, Entry, Fact, Identity, Parameter, ParameterKind, People,
    PersonId, Phase, Project, Run, RunEvent, StepResult, StepState, Value as Given, render,
};

/// A task: a command that runs to completion.
pub(super) fn task(command: &Command) -> Value {
    json!({
        "name": command.name,
        "does": command.does,
        "risk": command.risk,
        "undo": command.undo,
        "check": command.check,
        "reads_only": command.only_reads(),
        "usage": command.usage(),
        "parameters": command.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "steps": command.steps.iter().map(|step| json!({
            "name": step.name,
            "effect": step.effect,
        })).collect::<Vec<_>>(),
        "url": format!("/api/v1/task/{}", command.name),
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let choices = match &parameter.kind {
        ParameterKind::Choice(words) => Some(words.clone()),
        ParameterKind::Environment
        | ParameterKind::Text { .. }
        | ParameterKind::Integer { .. }
        | ParameterKind::Duration { .. }
        | ParameterKind::Boolean
        | ParameterKind::Secret { .. }
        | ParameterKind::List { .. } => None,
    };
    json!({
        "name": parameter.name,
        "type": parameter.kind.word(),
        "required": parameter.required(),
        "default": parameter.default.as_ref().map(value),
        "choices": choices,
        "help": parameter.help,
        "example": parameter.example,
    })
}

/// A typed argument, in JSON's own types where it has them.
pub(super) fn value(given: &Given) -> Value {
    match given {
        Given::Integer(number) => json!(number),
        Given::Boolean(yes) => json!(yes),
        Given::List(items) => items.iter().map(value).collect(),
        Given::Environment(_) | Given::Text(_) | Given::DurationMs(_) | Given::Secret(_) => {
            json!(given.to_string())
        }
    }
}

fn arguments(arguments: &Arguments) -> Value {
    let fields = arguments
        .iter()
        .map(|(name, given)| (name.to_string(), value(given)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn identity(identity: &Identity) -> Option<&PersonId> {
    match identity {
        Identity::Person(person) => Some(person),
        Identity::Stranger => None,
    }
}

/// A run, with its steps.
pub(super) fn run(run: &Run) -> Value {
    let invocation = &run.invocation;
    json!({
        "id": run.id,
        "reference": run.reference,
        "task": invocation.command,
        "project": invocation.project,
        "environment": invocation.environment,
        "arguments": arguments(&invocation.arguments),
        "reason": invocation.reason,
        "status": run.status(),
        "phase": run.phase.as_str(),
        "outcome": run.outcome(),
        "requester": identity(&run.requester),
        "created": run.created_at,
        "started": run.started_at,
        "completed": run.finished_at,
        "cancelled_by": run.cancelled_by,
        "followers": run.followers,
        "rule": rule_json(&run.rule),
        "approval": approval(&run.phase),
        "steps": steps(run),
        "url": format!("/api/v1/run/{}", run.id),
        "events": format!("/api/v1/run/{}/events", run.id),
    })
}

fn approval(phase: &Phase) -> Option<Value> {
    let Phase::AwaitingApproval {
        terms,
        until,
        approvers,
        proposal,
        ..
    } = phase
    else {
        return None;
    };
    Some(json!({
        "needed": consent(terms),
        "until": until,
        "approvers": approvers,
        "plan": proposal.as_ref().map(|proposal| proposal.digits()),
    }))
}

/// Whose consent is needed, and how much of it.
pub(super) fn consent(terms: &ApprovalTerms) -> Value {
    let quorums = terms.quorums().map(|(approvals, of)| {
        let of: Vec<String> = of.iter().map(ToString::to_string).collect();
        json!({ "approvals": approvals, "of": of })
    });
    quorums.collect()
}

fn steps(run: &Run) -> Value {
    let planned = run.plan.iter().flat_map(|plan| &plan.steps);
    let steps = planned.zip(&run.steps).map(|(planned, state)| {
        let (word, at, note) = match state {
            StepState::Pending => ("pending", None, None),
            StepState::Started { at, .. } => ("started", Some(at), None),
            StepState::Cleared { at, .. } => ("cleared", Some(at), None),
            StepState::Interrupted { at, .. } => ("interrupted", Some(at), None),
            StepState::Ended { at, result, .. } => {
                let (word, note) = ended(result);
                (word, Some(at), note)
            }
        };
        json!({
            "name": planned.name,
            "effect": planned.effect,
            "state": word,
            "attempt": state.attempt(),
            "at": at,
            "note": note,
        })
    });
    steps.collect()
}

fn ended(result: &StepResult) -> (&'static str, Option<&str>) {
    match result {
        StepResult::Succeeded { note } => ("succeeded", Some(note)),
        StepResult::Failed { why } => ("failed", Some(why)),
        StepResult::Rejected { why } => ("rejected", Some(why)),
        StepResult::Unknown { why } => ("unknown", Some(why)),
        StepResult::Stopped => ("stopped", None),
    }
}

/// One event of a run: its word, and what it says. `None` for what is no event of a run.
/// `run`: as it stands now, for the line that its thread has of it.
pub(super) fn event(entry: &Entry, run: Option<&Run>) -> Option<(&'static str, Value)> {
    let (word, said) = match &entry.fact {
        Fact::Decided { rule, .. } => {
            let rule = rule.as_ref().map(rule_json);
            ("decided", json!({ "rule": rule }))
        }
        Fact::Run { happened, .. } => (happened.word(), happening(happened)),
        _ => return None,
    };
    let mut said = said;
    if let Some(fields) = said.as_object_mut() {
        fields.insert("sequence".to_owned(), json!(entry.sequence));
        fields.insert("at".to_owned(), json!(entry.at));
        fields.insert("event".to_owned(), json!(word));
        let line = run.and_then(|run| line(run, &entry.fact));
        fields.insert("line".to_owned(), json!(line));
    }
    Some((word, said))
}

/// The line of the run's thread, in words; persons by their ids.
fn line(run: &Run, fact: &Fact) -> Option<String> {
    let Fact::Run { happened, .. } = fact else {
        return None;
    };
    let message = render::line(run, happened, "")?;
    Some(render::plain(&message, &People::default()))
}

/// As the ledger has it, without the plans: those hold addresses and programs that are nobody's business here.
fn happening(event: &RunEvent) -> Value {
    let mut said = serde_json::to_value(event).unwrap_or_default();
    if let Some(fields) = said.as_object_mut() {
        fields.remove("plan");
        fields.remove("proposal");
        fields.remove("terms");
    }
    said
}

/// A project, in a list.
pub(super) fn project(project: &Project) -> Value {
    json!({
        "name": project.name,
        "about": project.about,
        "owner": project.owner,
        "url": format!("/api/v1/project/{}", project.name),
    })
}
