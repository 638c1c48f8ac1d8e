//! Runs: which there are, how one stands, and the words that change one. Of a project that is not there for the caller no
//! run is there either.

use std::sync::Arc;

use axum::http::header;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::asked::Asked;
use super::problem::Problem;
use super::reply::Reply;
use super::say::{Said, say};
use super::tasks::seen;
use super::{Api, shape};
use crate::domain::{CODE_WORD, Reference, Run, RunId, RunStatus, say_pair};
use crate::store::{RunPosition, RunsAsked};

/// Runs in a page, unless more or fewer are asked for.
const USUAL: u32 = 20;
/// Runs in a page at the most.
const MOST: u32 = 100;

/// A page of runs, newest first.
pub(super) async fn list(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    let query = &asked.query;
    query.only(&["project", "task", "status", "limit", "cursor"])?;
    let status = query.parsed("status", "running, completed or failed", RunStatus::parse)?;
    let behind = query.parsed("cursor", "what a page before gave as `next`", read_cursor)?;
    let task = query.get("task");
    let task = task.map(|name| asked.command(name)).transpose()?;
    let project = query.get("project");
    let project = project.map(|name| asked.project(name)).transpose()?;
    let filter = RunsAsked {
        projects: match project {
            Some(project) => Some(vec![project.name.clone()]),
            None => seen(&asked),
        },
        target: task.map(|command| command.name.to_string()),
        status,
        behind,
        limit: query.limit(USUAL, MOST)?,
    };
    let (runs, next) = api.store.runs_page(&filter).await?;
    Ok(Reply::ok(json!({
        "runs": runs.known.iter().map(shape::run).collect::<Vec<Value>>(),
        "unread": runs.unread,
        "next": next.map(cursor),
    })))
}

fn cursor(position: RunPosition) -> String {
    format!("{}.{}", position.created_at.as_millisecond(), position.run)
}

fn read_cursor(text: &str) -> Option<RunPosition> {
    let (at, run) = text.split_once('.')?;
    Some(RunPosition {
        created_at: Timestamp::from_millisecond(at.parse().ok()?).ok()?,
        run: RunId::parse(run)?,
    })
}

/// One run.
pub(super) async fn look(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    Ok(Reply::ok(shape::run(&find(&api, &asked).await?)))
}

/// The run that the path names by id or reference, if it is there for the caller.
async fn find(api: &Api, asked: &Asked) -> Result<Run, Problem> {
    let name = asked.name("run");
    let found = match (RunId::parse(name), Reference::parse(name)) {
        (Some(id), _) => api.store.run(id).await?,
        (None, Some(reference)) => api.store.run_by_reference(&reference).await?,
        (None, None) => None,
    };
    let seen = found.filter(|run| asked.terms.sees(&run.invocation.project));
    // The very same for what is not there and for what is another's.
    seen.ok_or_else(|| Problem::new("unknown_run", "no run has this id"))
}

/// A run's events, as they come.
pub(super) async fn follow(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    let run = find(&api, &asked).await?;
    let last = asked.headers.get("last-event-id");
    let after = match last.map(|it| it.to_str().ok().and_then(|it| it.parse().ok())) {
        None => None,
        Some(Some(sequence)) => Some(sequence),
        Some(None) => {
            let detail = "`Last-Event-ID` is no id of an event of ours";
            return Err(Problem::new("bad_header", detail));
        }
    };
    let stream = api.feeds.follow(run.id, after);
    let Some(mut response) = stream else {
        return Err(
            Problem::new("too_many_followers", "no more may follow runs now")
                .retry_after(std::time::Duration::from_secs(10)),
        );
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    Ok(Reply::Other(response))
}

/// Stops a run.
pub(super) async fn cancel(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.fields(&[])?;
    change(&api, &asked, "cancel", None).await
}

/// Follows a run instead of beginning the same again.
pub(super) async fn join(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.fields(&[])?;
    change(&api, &asked, "join", None).await
}

/// Consents, or refuses consent.
pub(super) async fn consent(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    let fields = asked.fields(&["decision", "plan", "reason", "otp"])?;
    let code = match fields.text(CODE_WORD)? {
        Some(code) => {
            let pair = say_pair(CODE_WORD, code);
            let pair = pair.ok_or_else(|| Problem::new("unsayable", "`otp` is six digits"))?;
            format!(" {pair}")
        }
        None => String::new(),
    };
    let (plan, reason) = (fields.text("plan")?, fields.text("reason")?);
    match (fields.needed("decision")?, plan, reason) {
        ("approve", Some(plan), None) => {
            let fits = plan.len() == 8 && plan.bytes().all(|b| b.is_ascii_hexdigit());
            if !fits {
                let detail = "`plan` is the run's `approval.plan`, eight hexadecimal digits";
                return Err(Problem::new("bad_value", detail));
            }
            let more = format!("{}{code}", plan.to_ascii_lowercase());
            change(&api, &asked, "approve", Some(more)).await
        }
        // Consent is to what was looked at, and to nothing that came into its place since.
        ("approve", None, None) => Err(Problem::new(
            "missing",
            "`plan` is missing: the run's `approval.plan`, which says what you consent to",
        )),
        ("approve", _, Some(_)) => Err(Problem::new(
            "bad_request",
            "`reason` goes with `reject` alone",
        )),
        ("reject", None, reason) => {
            let reason = reason.map(|reason| {
                say_pair("reason", reason)
                    .and_then(|pair| pair.strip_prefix("reason=").map(str::to_owned))
                    .ok_or_else(|| Problem::new("unsayable", "`reason` can't be taken as it is"))
            });
            change(&api, &asked, "reject", reason.transpose()?).await
        }
        ("reject", Some(_), _) => Err(Problem::new(
            "bad_request",
            "`plan` goes with `approve` alone",
        )),
        _ => Err(Problem::new("bad_value", "`decision` is approve or reject")),
    }
}

/// Says the word of the run, and answers how the run stands then.
async fn change(
    api: &Api,
    asked: &Asked,
    word: &str,
    more: Option<String>,
) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    let run = find(api, asked).await?;
    let more = more.map(|more| format!(" {more}")).unwrap_or_default();
    let text = format!("{word} {}{more}", run.reference);
    match say(api, asked, text).await? {
        Said::Waiting(_) => Ok(Said::waiting(run.id)),
        Said::Run(run) => Ok(Reply::ok(json!({ "said": "", "run": shape::run(&run) }))),
        Said::Answered(words) => {
            let run = api.store.run(run.id).await?.unwrap_or(run);
            Ok(Reply::ok(json!({ "said": words, "run": shape::run(&run) })))
        }
    }
}
