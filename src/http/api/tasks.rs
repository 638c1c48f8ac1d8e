//! Tasks: what can be done, what the runbook would say, and doing it.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::asked::{Asked, Fields};
use super::problem::{Problem, rule_json};
use super::reply::Reply;
use super::say::{Said, inbound, other_run, say};
use super::{Api, shape};
use crate::domain::{
    CODE_WORD, Command, Decision, EnvironmentName, Phase, Project, Run, render, say_pair, target_of,
};
use crate::store::RunsAsked;

/// Fields of a body that asks for a task.
const FIELDS: [&str; 6] = [
    "project",
    "environment",
    "arguments",
    "reason",
    "again",
    "otp",
];
/// The same, where the path names no task.
const FIELDS_AND_TASK: [&str; 6] = [
    "task",
    "project",
    "environment",
    "arguments",
    "reason",
    "again",
];

/// There is none yet: commands of this version run to completion.
pub(super) async fn processes(_: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    Ok(Reply::ok(json!({ "processes": [] })))
}

/// All tasks.
pub(super) async fn list(_: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    let tasks: Vec<Value> = asked.commands().map(|it| shape::task(it)).collect();
    Ok(Reply::ok(json!({
        "revision": asked.catalog.revision,
        "tasks": tasks,
    })))
}

/// One task, and how its latest run stands.
pub(super) async fn look(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&["project", "environment"])?;
    let command = asked.command(asked.name("name"))?;
    let latest = latest_run(&api, &asked, command).await?;
    let mut task = shape::task(command);
    if let Some(fields) = task.as_object_mut() {
        let latest = latest.as_ref();
        fields.insert("status".to_owned(), json!(latest.map(Run::status)));
        fields.insert("id".to_owned(), json!(latest.map(|run| run.id)));
        let started = latest.and_then(|run| run.started_at);
        fields.insert("started".to_owned(), json!(started));
        let completed = latest.and_then(|run| run.finished_at);
        fields.insert("completed".to_owned(), json!(completed));
        fields.insert("run".to_owned(), json!(latest.map(shape::run)));
    }
    Ok(Reply::ok(task))
}

async fn latest_run(api: &Api, asked: &Asked, command: &Command) -> Result<Option<Run>, Problem> {
    let project = asked.query.get("project");
    let project = project.map(|name| asked.project(name)).transpose()?;
    let environment = asked.query.get("environment");
    let target = match (project, environment) {
        (None, None) => command.name.to_string(),
        (Some(project), None) => format!("{}/{}", command.name, project.name),
        (Some(project), Some(name)) => {
            let environment = environment_of(project, name)?;
            target_of(&command.name, &project.name, Some(&environment))
        }
        (None, Some(_)) => {
            let detail = "`environment` is one of a project's: name the project too";
            return Err(Problem::new("bad_query", detail));
        }
    };
    let filter = RunsAsked {
        projects: seen(asked),
        target: Some(target),
        limit: 1,
        ..RunsAsked::default()
    };
    let (runs, _) = api.store.runs_page(&filter).await?;
    Ok(runs.known.into_iter().next())
}

fn environment_of(project: &Project, name: &str) -> Result<EnvironmentName, Problem> {
    let environment = project.environment(name).map(|it| it.name.clone());
    let none = || {
        let detail = format!("{} has no environment of this name", project.name);
        Problem::new("bad_query", detail)
    };
    environment.ok_or_else(none)
}

/// The projects that are there for the caller; `None`: all, those that the files don't name any more included.
pub(super) fn seen(asked: &Asked) -> Option<Vec<crate::domain::ProjectName>> {
    let projects = &asked.terms.projects;
    (!projects.is_empty()).then(|| projects.iter().cloned().collect())
}

/// Begins a task, or says why not.
pub(super) async fn start(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    let command = asked.command(asked.name("name"))?;
    let text = words(&asked.fields(&FIELDS)?, &asked, command)?;
    begin(&api, &asked, text).await
}

/// Begins a task in the words that would be typed in chat.
pub(super) async fn say_words(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    let fields = asked.fields(&["says", "project", CODE_WORD])?;
    let says = fields.needed("says")?;
    let project = match fields.text("project")? {
        Some(name) => asked.project(name)?,
        None => {
            let mut seen = asked.projects();
            match (seen.next(), seen.next()) {
                (Some(only), None) => only,
                _ => {
                    let detail = "`project` is missing: there is more than one";
                    return Err(Problem::new("missing", detail));
                }
            }
        }
    };
    let mut text = says.to_owned();
    let code = fields.text(CODE_WORD)?;
    let more = [
        Some(("project", project.name.as_str())),
        code.map(|it| (CODE_WORD, it)),
    ];
    for (name, value) in more.into_iter().flatten() {
        let said = say_pair(name, value).ok_or_else(|| unsayable(name))?;
        text.push(' ');
        text.push_str(&said);
    }
    asked.must_begin(says, &text)?;
    begin(&api, &asked, text).await
}

async fn begin(api: &Api, asked: &Asked, text: String) -> Result<Reply, Problem> {
    match say(api, asked, text).await? {
        Said::Waiting(run) => Ok(Said::waiting(run)),
        Said::Answered(words) => Ok(Reply::ok(json!({ "said": words }))),
        Said::Run(run) => {
            let waits = matches!(run.phase, Phase::AwaitingApproval { .. });
            Ok(Reply::Json {
                status: if waits {
                    StatusCode::ACCEPTED
                } else {
                    StatusCode::CREATED
                },
                location: Some(format!("/api/v1/run/{}", run.id)),
                value: shape::run(&run),
            })
        }
    }
}

/// What the runbook would say, without anything being done.
pub(super) async fn judge(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    let fields = asked.fields(&FIELDS_AND_TASK)?;
    let command = asked.command(fields.needed("task")?)?;
    let text = words(&fields, &asked, command)?;
    let people = &asked.catalog.people;
    let inbound = inbound(&api, &asked, text.clone())?;
    let judged = match api.dispatch.judge(&inbound, asked.now).await? {
        Ok(judged) => judged,
        Err(refusal) => {
            let words = render::plain(&refusal.message(), people);
            let words = asked.not_understood(&text, words);
            return Err(Problem::new(refusal.word(), words));
        }
    };
    let (word, because, rule, needed) = match &judged.decision {
        Decision::Allow { rule, .. } => ("allow", None, Some(rule), None),
        Decision::RequireApproval { rule, terms, .. } => (
            "require_approval",
            None,
            Some(rule),
            Some(shape::consent(terms)),
        ),
        Decision::Hold { rule, hold } => ("hold", Some(hold.word()), Some(rule), None),
        Decision::Deny { rule, .. } => ("deny", Some("denied"), rule.as_ref(), None),
    };
    let other = match because {
        Some(because) => other_run(&api, &asked, because, &judged.invocation).await?,
        None => None,
    };
    Ok(Reply::ok(json!({
        "decision": word,
        "because": because,
        "rule": rule.map(rule_json),
        "needed": needed,
        "run": other.as_ref().map(shape::run),
        "says": judged.invocation.typed_in_full(),
        "detail": render::plain(&judged.message, people),
    })))
}

/// The body in our grammar: every value behind its name and in quotes, so that none can be anything else.
fn words(fields: &Fields<'_>, asked: &Asked, command: &Command) -> Result<String, Problem> {
    let project = asked.project(fields.needed("project")?)?;
    let mut pairs = vec![("project".to_owned(), project.name.to_string())];
    if let Some(environment) = fields.text("environment")? {
        let Some(parameter) = command.environment_parameter() else {
            let detail = format!("{} takes no environment", command.name);
            return Err(Problem::new("unknown_parameter", detail));
        };
        pairs.push((parameter.name.to_string(), environment.to_owned()));
    }
    match fields.get("arguments") {
        None => {}
        Some(Value::Object(arguments)) => {
            for (name, value) in arguments {
                // `again=true` and such are ours, whatever a client calls an argument.
                if command.parameter(name).is_none() {
                    let detail = format!(
                        "{} has no such parameter; it goes {}",
                        command.name,
                        command.usage()
                    );
                    return Err(Problem::new("unknown_parameter", detail));
                }
                if let Some(value) = said(name, value)? {
                    pairs.push((name.clone(), value));
                }
            }
        }
        Some(_) => return Err(Problem::new("bad_request", "`arguments` must be an object")),
    }
    if let Some(reason) = fields.text("reason")? {
        pairs.push(("reason".to_owned(), reason.to_owned()));
    }
    if let Some(code) = fields.text(CODE_WORD)? {
        pairs.push((CODE_WORD.to_owned(), code.to_owned()));
    }
    if fields.yes("again")? {
        pairs.push(("again".to_owned(), "true".to_owned()));
    }
    let mut text = command.name.to_string();
    for (name, value) in pairs {
        let said = say_pair(&name, &value).ok_or_else(|| unsayable(&name))?;
        text.push(' ');
        text.push_str(&said);
    }
    Ok(text)
}

fn unsayable(name: &str) -> Problem {
    Problem::new(
        "unsayable",
        format!("the value of `{name}` can't be taken as it is"),
    )
}

/// An argument's value as a text; `None` for `null`.
fn said(name: &str, value: &Value) -> Result<Option<String>, Problem> {
    let wrong = || {
        let detail = format!("`{name}` must be a text, a number, true, false, or a list of those");
        Problem::new("bad_value", detail)
    };
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => {
            let mut all = Vec::with_capacity(items.len());
            for item in items {
                let item = match item {
                    Value::Array(_) | Value::Object(_) | Value::Null => return Err(wrong()),
                    Value::String(text) if text.contains(',') => return Err(unsayable(name)),
                    single => said(name, single)?.ok_or_else(wrong)?,
                };
                all.push(item);
            }
            all.join(",")
        }
        Value::Object(_) => return Err(wrong()),
    }))
}
