//! Projects: what they are, who is on call, what happened, what is locked.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::asked::Asked;
use super::problem::Problem;
use super::reply::Reply;
use super::{Api, shape};
use crate::dispatch::read_timeline;
use crate::domain::{
    ABOUT_CHARS, Environment, Happening, LockTarget, PersonLock, Position, Since, TimelineAsk,
    What, moment, parse_duration,
};

/// Lines of a timeline, unless more or fewer are asked for.
const USUAL: u32 = 50;
/// Lines of a timeline at the most.
const MOST: u32 = 200;

/// All projects that are there for the caller.
pub(super) async fn list(_: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    let projects: Vec<Value> = asked.projects().map(|it| shape::project(it)).collect();
    Ok(Reply::ok(json!({
        "revision": asked.catalog.revision,
        "projects": projects,
    })))
}

/// One project, with its environments.
pub(super) async fn look(_: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    let project = asked.project(asked.name("name"))?;
    let mut shown = shape::project(project);
    if let Some(fields) = shown.as_object_mut() {
        let environments: Vec<Value> = project.environments.iter().map(environment).collect();
        fields.insert("environments".to_owned(), json!(environments));
        fields.insert("otherwise".to_owned(), json!(project.otherwise.text));
        let defined = json!({ "file": project.defined.file, "line": project.defined.line });
        fields.insert("runbook".to_owned(), defined);
    }
    Ok(Reply::ok(shown))
}

/// Its name and where people look at it: other attributes may be addresses that are nobody's business.
fn environment(environment: &Environment) -> Value {
    let dashboards = environment.attributes.get("dashboards");
    json!({
        "name": environment.name,
        "dashboards": dashboards.cloned().unwrap_or_default(),
    })
}

/// Who is on call in each rotation that the project's runbook names.
pub(super) async fn on_call(_: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    let project = asked.project(asked.name("name"))?;
    let people = &asked.catalog.people;
    let rotations = project.rotations().into_iter().filter_map(|name| {
        let rotation = people.rotations.get(name)?;
        let levels: BTreeMap<&str, Value> = rotation
            .levels
            .keys()
            .map(|level| {
                let holder = rotation.holder(level, asked.now);
                let holder =
                    holder.map(|person| json!({ "id": person, "name": people.name(person) }));
                (level.as_str(), json!(holder))
            })
            .collect();
        Some(json!({ "rotation": name, "levels": levels }))
    });
    let rotations: Vec<Value> = rotations.collect();
    Ok(Reply::ok(json!({ "rotations": rotations })))
}

/// What happened, newest first.
pub(super) async fn timeline(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    let query = &asked.query;
    query.only(&["since", "about", "cursor", "limit"])?;
    let project = asked.project(asked.name("name"))?;
    let span = "a span such as 3d, or a day such as 2026-11-20";
    let since = query.parsed("since", span, |text| {
        let span = parse_duration(text).map(Since::Ago);
        span.or_else(|| moment(text).map(Since::Moment))
    })?;
    let words = format!("at most {ABOUT_CHARS} characters on one line");
    let about = query.parsed("about", &words, |text| {
        let fits = text.chars().count() <= ABOUT_CHARS && !text.chars().any(char::is_control);
        (fits && !text.is_empty()).then(|| text.to_owned())
    })?;
    let before = query.parsed("cursor", "what a page before gave as `next`", |text| {
        text.parse::<Position>().ok()
    })?;
    let ask = TimelineAsk {
        project: project.name.clone(),
        since,
        about,
        before,
    };
    let lines = query.limit(USUAL, MOST)?;
    let mut timeline = read_timeline(&api.store, &ask, lines, asked.now).await?;
    if !asked.terms.projects.is_empty() {
        // The mistake may be in another project's file, and quote it.
        let told = |line: &Happening| !matches!(line.what, What::FilesNotTaken { .. });
        timeline.lines.retain(told);
    }
    Ok(Reply::ok(json!({
        "project": timeline.project,
        "lines": timeline.lines,
        "missing": timeline.missing,
        "next": timeline.earlier,
    })))
}

/// Locks that persons took and that are in force.
pub(super) async fn locks(api: Arc<Api>, asked: Asked) -> Result<Reply, Problem> {
    asked.query.only(&[])?;
    let project = asked.project(asked.name("name"))?;
    let locks = api.store.locks(&project.name, asked.now).await?;
    let locks: Vec<Value> = locks.iter().map(lock).collect();
    Ok(Reply::ok(json!({ "locks": locks })))
}

fn lock(lock: &PersonLock) -> Value {
    let LockTarget {
        project,
        environment,
    } = &lock.target;
    json!({
        "project": project,
        "environment": environment,
        "by": lock.by,
        "reason": lock.reason,
        "since": lock.since,
        "until": lock.until,
    })
}
