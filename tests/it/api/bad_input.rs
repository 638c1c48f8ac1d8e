//! Bad input: a clear problem, nothing leaked, nothing lost, nothing done.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{House, touch};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_of_ours_is_told_so_and_does_nothing() {
    let house = House::open().await;
    let path = "/api/v1/task/touch";
    let good = touch("shop").to_string();
    let post = |kind: &str, body: String| {
        let request = house.request(Method::POST, path, "ana");
        house.send(request.header("content-type", kind).body(body))
    };
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
        "",
    ] {
        post(kind, good.clone()).await.is(415, "content_type");
    }
    for body in [
        "",
        "{",
        "[1",
        "\"",
        "nul",
        "{\"a\":1}}",
        &"[".repeat(60_000),
    ] {
        post("application/json", body.to_owned())
            .await
            .is(400, "bad_json");
    }
    for body in [
        "null",
        "[]",
        "1",
        "\"x\"",
        "{\"projekt\":\"shop\"}",
        "{\"project\":7}",
        "{\"project\":\"shop\",\"again\":\"yes\"}",
    ] {
        post("application/json; charset=utf-8", body.to_owned())
            .await
            .is(422, "bad_request");
    }
    post("application/json", "{}".to_owned())
        .await
        .is(422, "missing");
    post("application/json", "x".repeat(70_000))
        .await
        .is(413, "too_large");
    // The head alone: who is refused by it need not send the rest.
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\nconnection: close\r\n\r\n"
    );
    let mut stream = tokio::net::TcpStream::connect(house.bot.address)
        .await
        .unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    for (arguments, code) in [
        (json!({ "nope": 1 }), "unknown_parameter"),
        (json!({ "project": "blog" }), "unknown_parameter"),
        (json!({ "again": true }), "unknown_parameter"),
        (json!({ "count": 99 }), "bad_value"),
        (json!({ "count": "x" }), "bad_value"),
        (json!({ "note": { "a": 1 } }), "bad_value"),
        (json!({ "tags": ["a,b"] }), "unsayable"),
        (json!({ "note": "a\u{200b}b" }), "unsayable"),
        (json!({ "note": "x".repeat(5_000) }), "too_long"),
        (json!({ "environment": "one" }), "given_twice"),
    ] {
        let mut body = touch("shop");
        body["arguments"] = arguments;
        house.post(path, "ana", body).await.is(422, code);
    }
    house
        .post(path, "ana", json!({ "project": "shop" }))
        .await
        .is(422, "missing");
    let nowhere = json!({ "project": "shop", "environment": "three" });
    house.post(path, "ana", nowhere).await.is(422, "bad_value");
    for query in [
        "x=1",
        "limit=0",
        "limit=101",
        "limit=a",
        "limit=1&limit=2",
        "cursor=x",
        "cursor=1.2",
        "status=done",
    ] {
        house
            .get(&format!("/api/v1/runs?{query}"), "ana")
            .await
            .is(400, "bad_query");
    }
    let from_a_page = house
        .request(Method::GET, "/api/v1/tasks", "ana")
        .header("origin", "null");
    house.send(from_a_page).await.is(403, "origin");
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let told = house
            .send(house.request(method, path, "ana"))
            .await
            .is(405, "method");
        assert_eq!(told.header("allow"), "GET, POST");
    }
    let two = house
        .request(Method::GET, "/api/v1/tasks", "ana")
        .header("authorization", "Bearer x");
    house.send(two).await.is(401, "no_token");
    for scheme in ["Basic YTpi", "Bearer", "mw_x", "Bearer \u{fc}"] {
        let request = house.client.get(house.bot.url("/api/v1/tasks"));
        let request = request.header("authorization", scheme.as_bytes());
        let told = house.send(request).await.is(401, "bad_token");
        assert_eq!(told.header("www-authenticate"), "Bearer");
    }
    let runs = house.get("/api/v1/runs", "ana").await;
    assert_eq!(runs.json["runs"], json!([]), "nothing of it was done");
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn tricks_with_paths_lead_nowhere() {
    let house = House::open().await;
    for path in [
        "/api/v1/run/..%2f..%2fopenapi.json",
        "/api/v1/run/%2e%2e",
        "/api/v1/run/%00",
        "/api/v1/run/%ff%fe",
        "/api/v1/run/%e2%80%ae",
        "/api/v1/task/touch%20project=blog",
        "/api/v1/task/TOUCH",
        "/api/v1/project/shop%2foncall",
        "/api/v1/project/SHOP",
        "/api//v1/tasks",
        "/api/v1/tasks/",
        "/api/v2/tasks",
        "/api",
        "/api/",
    ] {
        // By hand: a client would tidy the path up first.
        let mut stream = tokio::net::TcpStream::connect(house.bot.address)
            .await
            .unwrap();
        let token = &house.tokens["ana"];
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains("application/problem+json"),
            "{path}: {answer}"
        );
        assert!(!body.contains(token), "{path}: {answer}");
    }
    house.close();
}

/// Hostile text in every field: it is taken as it is, or refused; nothing else is ever done, and nothing breaks.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_in_any_field_is_taken_whole_or_refused() {
    let house = House::open().await;
    let mut texts: Vec<String> = [
        "'; drop table runs; --",
        "\" project=blog \"",
        "x\" --again \"",
        "$(touch /tmp/x) `id` && ls",
        "{environment.url} {secret.x}",
        "\u{202e}evil\u{0}\u{7}\u{1b}[31m",
        "<script>alert(1)</script>",
        "@here <!channel> <@U0ANA>",
        "a\nb\r\nc\td",
        "mw_",
        "…“”‘’",
        "--",
        "=",
        "",
    ]
    .map(str::to_owned)
    .into();
    let mut runner = TestRunner::deterministic();
    for _ in 0..25 {
        texts.push(".{0,40}".new_tree(&mut runner).unwrap().current());
    }
    for (n, text) in texts.iter().enumerate() {
        // Slower than the limit of requests.
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        let mut body = touch("shop");
        body["arguments"] = json!({ "note": text });
        let told = house.post("/api/v1/task/touch", "ana", body).await;
        match told.status.as_u16() {
            201 => {
                assert_eq!(told.json["arguments"]["note"], json!(text), "{n}");
                assert_eq!(told.json["project"], "shop");
                house.wait(told.json["id"].as_str().unwrap()).await;
            }
            422 => {}
            other => panic!("{text:?}: {other} {}", told.text),
        }
        for body in [
            json!({ "project": text, "environment": "one" }),
            json!({ "project": "shop", "environment": text }),
        ] {
            let told = house.post("/api/v1/task/touch", "ana", body).await;
            assert!(
                matches!(told.status.as_u16(), 404 | 422),
                "{text:?}: {}",
                told.text
            );
        }
        let query: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let told = house
            .get(
                &format!("/api/v1/runs?project={query}&cursor={query}"),
                "bo",
            )
            .await;
        assert!(
            matches!(told.status.as_u16(), 400 | 404),
            "{text:?}: {}",
            told.text
        );
    }
    let blog = house.get("/api/v1/runs?project=blog", "ana").await;
    assert_eq!(
        blog.json["runs"],
        Value::Array(Vec::new()),
        "no text led to another project"
    );
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_ask_again_and_others_are_not_held_up() {
    let house = House::open().await;
    let many = (0..200).map(|_| house.get("/api/v1/processes", "ana reads"));
    let many = futures_util::future::join_all(many).await;
    let (taken, refused): (Vec<_>, Vec<_>) = many.into_iter().partition(|it| it.status == 200);
    assert!(
        taken.len() >= 120 && !refused.is_empty(),
        "{} were taken",
        taken.len()
    );
    for told in refused {
        let told = told.is(429, "rate_limit");
        assert!(told.header("retry-after").parse::<u64>().unwrap() >= 1);
        assert_eq!(told.header("ratelimit-policy"), r#""token";q=120;w=6"#);
        assert!(told.header("ratelimit").contains("r=0"));
    }
    house.get("/api/v1/processes", "bo").await.is(200, "");
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_is_told_so_in_time() {
    let house = House::of(super::files(), &["ana"]).await;
    let mut stream = tokio::net::TcpStream::connect(house.bot.address)
        .await
        .unwrap();
    let token = &house.tokens["ana"];
    let request = format!(
        "POST /api/v1/task/touch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\
         connection: close\r\nauthorization: Bearer {token}\r\n\r\n{{"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        answer.contains("application/problem+json") && answer.contains(r#""code":"timeout""#),
        "{answer}"
    );
    house.close();
}
