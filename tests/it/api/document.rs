//! The document: what it says is served, and nothing else is; what is answered is what it says.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::{House, Told, touch};

/// Holds an answer against the document: its status, its content type, its schema.
#[track_caller]
pub(super) fn hold(document: &Value, method: &Method, path: &str, told: &Told) {
    let status = told.status.as_u16().to_string();
    if told.status.as_u16() >= 400 {
        assert_eq!(
            told.header("content-type"),
            "application/problem+json",
            "{path}: {}",
            told.text
        );
        assert_eq!(told.json["status"].to_string(), status, "{path}");
        return validate(document, "/components/schemas/Problem", &told.json, path);
    }
    let Some((template, item)) = item_of(document, path) else {
        panic!("{path} is answered with {status}, and the document knows no such path");
    };
    if status == "304" {
        return assert_eq!(told.text, "");
    }
    let operation = &item[method.as_str().to_ascii_lowercase()];
    let response = &operation["responses"][&status];
    assert!(
        !response.is_null(),
        "{method} {template} answers {status}, and the document doesn't say so"
    );
    let response = match response["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).unwrap(),
        None => response,
    };
    let content = response["content"].as_object().unwrap();
    let (kind, media) = content.iter().next().unwrap();
    assert_eq!(told.header("content-type"), kind, "{method} {template}");
    if kind == "application/json" {
        let schema = with_components(document, media["schema"].clone());
        check(&schema, &told.json, &format!("{method} {path} {status}"));
        if *method == Method::GET {
            assert!(told.header("etag").len() > 10, "{path} has a tag");
        }
    }
    assert!(
        told.header("ratelimit").starts_with(r#""token";r="#),
        "{path}"
    );
    assert_eq!(told.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(told.header("set-cookie"), "", "{path}");
}

fn item_of<'d>(document: &'d Value, path: &str) -> Option<(&'d String, &'d Value)> {
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        let mut pairs = wanted.iter().zip(&parts);
        wanted.len() == parts.len()
            && pairs.all(|(want, part)| want.starts_with('{') || want == part)
    };
    let paths = document["paths"].as_object().unwrap();
    paths.iter().find(|(template, _)| fits(template))
}

fn with_components(document: &Value, mut schema: Value) -> Value {
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["components"] = document["components"].clone();
    schema
}

/// Validates against a schema of the document.
#[track_caller]
pub(super) fn validate(document: &Value, pointer: &str, value: &Value, what: &str) {
    let schema = json!({ "$ref": format!("#{pointer}") });
    check(&with_components(document, schema), value, what);
}

#[track_caller]
fn check(schema: &Value, value: &Value, what: &str) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(value)
        .map(|why| format!("{}: {why}", why.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{what}: {wrong:#?}\n{value:#}");
}

fn operations(document: &Value) -> BTreeSet<(String, String, String)> {
    let mut all = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method != "parameters" {
                let scope = operation["x-scope"].as_str().unwrap().to_owned();
                all.insert((method.to_ascii_uppercase(), path.clone(), scope));
            }
        }
    }
    all
}

/// What stands for the parts of paths.
fn filled(template: &str, run: &str) -> String {
    let name = if template.contains("/task/") {
        "touch"
    } else {
        "shop"
    };
    template.replace("{name}", name).replace("{run}", run)
}

/// A body that the operation takes; each has one here, so that a new operation without one is red.
fn body_of(template: &str) -> Value {
    match template {
        "/api/v1/task/{name}" => touch("shop"),
        "/api/v1/runs" => json!({ "says": "touch one", "project": "shop" }),
        "/api/v1/decision" => json!({ "task": "touch", "project": "shop", "environment": "one" }),
        "/api/v1/run/{run}/cancel" | "/api/v1/run/{run}/join" => json!({}),
        "/api/v1/run/{run}/approval" => json!({ "decision": "reject", "reason": "not now" }),
        other => panic!("{other} takes a body: say which here"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_in_the_document_and_every_operation_answers_as_it_says() {
    let house = House::open().await;
    let document = &house.document;
    let served: BTreeSet<_> = midwatch::http::api::routes()
        .map(|(method, path, scope)| (method.to_owned(), path.to_owned(), scope.to_string()))
        .collect();
    assert_eq!(operations(document), served);
    for (method, template, _) in &served {
        // A run of its own for each: one that waits for consent can be looked at, followed, cancelled and refused.
        let waits = house
            .post("/api/v1/task/touch", "bo", touch("shop"))
            .await
            .is(202, "");
        let run = waits.json["id"].as_str().unwrap().to_owned();
        let path = filled(template, &run);
        let told = if method == "GET" {
            if template.ends_with("/events") {
                house
                    .post(&format!("/api/v1/run/{run}/cancel"), "bo", json!({}))
                    .await
                    .is(200, "");
            }
            house.get(&path, "ana").await
        } else {
            let body = body_of(template);
            let schema = &item_of(document, &path).unwrap().1["post"]["requestBody"];
            let schema = match schema["$ref"].as_str() {
                Some(reference) => document.pointer(&reference[1..]).unwrap(),
                None => schema,
            };
            let schema = schema["content"]["application/json"]["schema"].clone();
            check(&with_components(document, schema), &body, &path);
            house.post(&path, "ana", body).await
        };
        assert!(told.status.is_success(), "{method} {path}: {}", told.text);
        // And what it answers to who has no token is a problem of the document, too.
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        house
            .send(house.request(method, &path, "nobody"))
            .await
            .is(401, "no_token");
    }
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_its_viewer_are_served_without_a_token_and_load_nothing_from_elsewhere() {
    let house = House::open().await;
    for (path, kind) in [
        ("/openapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/style.css", "text/css; charset=utf-8"),
    ] {
        let answer = house.client.get(house.bot.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), kind);
        assert!(
            header("content-security-policy").starts_with("default-src 'none'"),
            "{path}"
        );
        let text = answer.text().await.unwrap();
        assert!(!text.contains("<script") && !text.contains("://"), "{path}");
    }
    for kind in midwatch::http::api::KINDS {
        assert!(
            kind.code
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_')
        );
    }
    house.close();
}
