//! Who gets what: every route by every token by every project. Generated from the routes; one without a row is red.

use reqwest::Method;
use serde_json::{Value, json};

use super::{House, touch};

/// What a route is about, as far as it matters to who may.
#[derive(Clone, Copy, PartialEq)]
enum About {
    /// Nothing of one project.
    Nothing,
    /// A project, in the path.
    Project,
    /// A project, in the body.
    Body,
    /// A run, and so its project.
    Run,
    /// All projects together.
    Everything,
}

/// One row for each route: the scope that it needs, and what it is about. Written by hand, not asked of the program.
const ROWS: &[(&str, &str, &str, About)] = &[
    ("GET", "/api/v1/processes", "read", About::Nothing),
    ("GET", "/api/v1/tasks", "read", About::Nothing),
    ("GET", "/api/v1/task/{name}", "read", About::Nothing),
    ("POST", "/api/v1/task/{name}", "run", About::Body),
    ("POST", "/api/v1/decision", "read", About::Body),
    ("GET", "/api/v1/runs", "read", About::Nothing),
    ("POST", "/api/v1/runs", "run", About::Body),
    ("GET", "/api/v1/run/{run}", "read", About::Run),
    ("GET", "/api/v1/run/{run}/events", "read", About::Run),
    ("POST", "/api/v1/run/{run}/cancel", "run", About::Run),
    ("POST", "/api/v1/run/{run}/join", "run", About::Run),
    ("POST", "/api/v1/run/{run}/approval", "approve", About::Run),
    ("GET", "/api/v1/projects", "read", About::Nothing),
    ("GET", "/api/v1/project/{name}", "read", About::Project),
    (
        "GET",
        "/api/v1/project/{name}/oncall",
        "read",
        About::Project,
    ),
    (
        "GET",
        "/api/v1/project/{name}/timeline",
        "read",
        About::Project,
    ),
    (
        "GET",
        "/api/v1/project/{name}/locks",
        "read",
        About::Project,
    ),
    ("GET", "/api/v1/ledger", "read", About::Everything),
    (
        "GET",
        "/api/v1/ledger/checkpoint",
        "read",
        About::Everything,
    ),
];

/// A role: its token, the scopes of it, and the projects that are there for it.
const ROLES: &[(&str, &[&str], &[&str])] = &[
    ("nobody", &[], &[]),
    ("forged", &[], &[]),
    ("expired", &[], &[]),
    ("revoked", &[], &[]),
    ("ana reads", &["read"], &["shop", "blog"]),
    ("ana runs", &["run"], &["shop", "blog"]),
    ("ana approves", &["approve"], &["shop", "blog"]),
    ("ana of the blog", &["read", "run", "approve"], &["blog"]),
    ("bo of the shop", &["read", "run", "approve"], &["shop"]),
    ("ana", &["read", "run", "approve"], &["shop", "blog"]),
    ("eve", &["read", "run", "approve"], &["shop", "blog"]),
];

fn row(method: &str, path: &str) -> (&'static str, About) {
    let row = ROWS.iter().find(|it| (it.0, it.1) == (method, path));
    let row = row.unwrap_or_else(|| panic!("{method} {path} has no row: say who may"));
    (row.2, row.3)
}

/// What a role is answered before the runbook is asked; `None`: it is let through.
fn refusal(role: &str, scope: &str, about: About, project: &str) -> Option<(u16, &'static str)> {
    let (_, scopes, projects) = ROLES.iter().find(|it| it.0 == role).unwrap();
    match role {
        "nobody" => return Some((401, "no_token")),
        "forged" => return Some((401, "bad_token")),
        "expired" => return Some((401, "token_expired")),
        "revoked" => return Some((401, "token_revoked")),
        _ => {}
    }
    if !scopes.contains(&scope) {
        return Some((403, "scope"));
    }
    let seen = projects.contains(&project);
    match about {
        About::Project | About::Body if !seen => Some((404, "unknown_project")),
        About::Run if !seen => Some((404, "unknown_run")),
        About::Everything if projects.len() < 2 => Some((403, "whole_ledger")),
        _ => None,
    }
}

fn body_of(path: &str, project: &str) -> Value {
    match path {
        "/api/v1/task/{name}" => touch(project),
        "/api/v1/runs" => json!({ "says": "touch one", "project": project }),
        "/api/v1/decision" => json!({ "task": "touch", "project": project, "environment": "one" }),
        "/api/v1/run/{run}/approval" => json!({ "decision": "approve", "plan": "00000000" }),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_every_role_in_every_project_as_its_row_says() {
    let house = House::open().await;
    let mut runs = Vec::new();
    for (project, who) in [("shop", "ana"), ("blog", "bo")] {
        let told = house
            .post("/api/v1/task/touch", who, touch(project))
            .await
            .is(201, "");
        let run = told.json["id"].as_str().unwrap().to_owned();
        assert_eq!(house.wait(&run).await["status"], "completed");
        runs.push((project, run));
    }
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for (method, path, _) in midwatch::http::api::routes() {
        let (scope, about) = row(method, path);
        for (role, ..) in ROLES {
            for (project, run) in &runs {
                let name = if path.contains("/task/") {
                    "touch"
                } else {
                    project
                };
                let at = path.replace("{name}", name).replace("{run}", run);
                let told = if method == "GET" {
                    house.get(&at, role).await
                } else {
                    house.post(&at, role, body_of(path, project)).await
                };
                asked += 1;
                let got = (told.status.as_u16(), told.code().to_owned());
                let fine = match refusal(role, scope, about, project) {
                    Some((status, code)) => got == (status, code.to_owned()),
                    // Let through: what comes of it is the runbook's, and tested elsewhere.
                    None => {
                        !["scope", "unknown_project", "unknown_run", "whole_ledger"]
                            .contains(&told.code())
                            && told.status.as_u16() != 401
                    }
                };
                if !fine {
                    wrong.push(format!("{role}: {method} {at} → {got:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        asked,
        ROWS.len() * ROLES.len() * 2,
        "no row without a route"
    );
    house.close();
}

/// Who may do what is the runbook's, for people as in chat; the token only takes away.
#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_decides_for_every_person_in_every_project() {
    let house = House::open().await;
    for (who, project, status, code, decision) in [
        ("ana", "shop", 201, "", "allow"),
        ("bo", "shop", 202, "", "require_approval"),
        ("eve", "shop", 403, "denied", "deny"),
        ("ana", "blog", 403, "denied", "deny"),
        ("bo", "blog", 201, "", "allow"),
        ("eve", "blog", 403, "denied", "deny"),
        ("pipeline", "shop", 201, "", "allow"),
        ("pipeline", "blog", 201, "", "allow"),
        ("ana of the blog", "blog", 403, "denied", "deny"),
        ("bo of the shop", "shop", 202, "", "require_approval"),
    ] {
        let mut body = touch(project);
        let told = house
            .post("/api/v1/task/touch", who, body.clone())
            .await
            .is(status, code);
        if code == "denied" {
            let rule = &told.json["rule"];
            assert_eq!(
                rule["file"],
                format!("runbooks/{project}.yaml"),
                "{}",
                told.text
            );
            assert!(rule["line"].as_u64().unwrap() > 5);
        }
        body["task"] = json!("touch");
        let judged = house.post("/api/v1/decision", who, body).await.is(200, "");
        assert_eq!(
            judged.json["decision"], decision,
            "{who} in {project}: {}",
            judged.text
        );
    }
    house.close();
}

/// Nothing that a token is not for is told to it: not in a list, not in a page, not in an error.
#[tokio::test(flavor = "multi_thread")]
async fn not_a_byte_of_another_project_is_told() {
    let house = House::open().await;
    let marked =
        json!({ "project": "blog", "environment": "one", "arguments": { "note": "canary-note" } });
    let told = house
        .post("/api/v1/task/touch", "bo", marked)
        .await
        .is(201, "");
    let (run, reference) = (
        told.json["id"].as_str().unwrap(),
        told.json["reference"].as_str().unwrap(),
    );
    house.wait(run).await;
    let who = "bo of the shop";
    let nothing = house
        .get("/api/v1/run/00000000-0000-8000-8000-000000000000", who)
        .await;
    for name in [run, reference] {
        for (method, end, body) in [
            (Method::GET, "", Value::Null),
            (Method::GET, "/events", Value::Null),
            (Method::POST, "/cancel", json!({})),
            (Method::POST, "/join", json!({})),
            (Method::POST, "/approval", json!({ "decision": "reject" })),
        ] {
            let path = format!("/api/v1/run/{name}{end}");
            let told = match method {
                Method::GET => house.get(&path, who).await,
                _ => house.post(&path, who, body).await,
            };
            // To the byte what is said of a run that nobody ever began.
            assert_eq!(
                (told.status.as_u16(), &told.text),
                (404, &nothing.text),
                "{path}"
            );
        }
    }
    let unknown = house
        .get("/api/v1/project/nowhere", who)
        .await
        .is(404, "unknown_project");
    for end in ["", "/oncall", "/timeline", "/locks"] {
        let told = house.get(&format!("/api/v1/project/blog{end}"), who).await;
        assert_eq!(told.text, unknown.text, "{end}");
    }
    for path in [
        "/api/v1/runs",
        "/api/v1/runs?task=touch",
        "/api/v1/projects",
        "/api/v1/task/touch",
        "/api/v1/tasks",
        "/api/v1/project/shop/timeline",
        "/api/v1/project/shop",
        "/api/v1/ledger",
        "/api/v1/ledger/checkpoint",
    ] {
        let told = house.get(path, who).await;
        for canary in ["blog", "canary", "publish", run, reference] {
            assert!(
                !told.text.contains(canary),
                "{path} tells {canary}: {}",
                told.text
            );
        }
    }
    for (path, code) in [
        ("/api/v1/runs?project=blog", "unknown_project"),
        ("/api/v1/task/publish", "unknown_command"),
        ("/api/v1/runs?task=publish", "unknown_command"),
        ("/api/v1/task/touch?project=blog", "unknown_project"),
    ] {
        assert_eq!(house.get(path, who).await.code(), code);
    }
    for change in [
        json!({ "environment": null }),
        json!({ "environment": "three" }),
        json!({ "environment": "blog/one" }),
        json!({ "environment": "nowhere/one" }),
        json!({ "arguments": { "count": 99 } }),
        json!({ "arguments": { "environment": "one" } }),
        json!({ "arguments": { "note": "x".repeat(5_000) } }),
        json!({ "arguments": { "nope": 1 } }),
        json!({ "project": "blog" }),
        json!({ "project": "blo" }),
    ] {
        let mut body = touch("shop");
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        let started = house.post("/api/v1/task/touch", who, body.clone()).await;
        body["task"] = json!("touch");
        let judged = house.post("/api/v1/decision", who, body).await;
        for told in [started, judged] {
            assert!(
                matches!(told.status.as_u16(), 404 | 422),
                "{change}: {}",
                told.text
            );
            assert!(!told.text.contains("blog"), "{change}: {}", told.text);
        }
    }
    // A mistake in the blog's files is told in every timeline, and quotes them: not to this one.
    house
        .home
        .write("runbooks/blog.yaml", "project: blog\ncanary: yes\n");
    let began = std::time::Instant::now();
    loop {
        let all = house.get("/api/v1/project/shop/timeline", "ana").await;
        if all.text.contains("files_not_taken") && all.text.contains("blog.yaml") {
            break;
        }
        assert!(began.elapsed() < super::PATIENCE, "{}", all.text);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let told = house
        .get("/api/v1/project/shop/timeline", who)
        .await
        .is(200, "");
    assert!(
        !told.text.contains("canary") && !told.text.contains("blog"),
        "{}",
        told.text
    );
    house.close();
}
