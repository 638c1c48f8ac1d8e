//! The sample's web shop, over HTTP.

use std::time::Duration;

use jiff::Timestamp;
use midwatch::cli::sample_shop::{SampleSettings, SampleShop};
use midwatch::clock::Clock;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A running shop, stopped when it is dropped.
pub(crate) struct Running {
    pub(crate) shop: SampleShop,
    pub(crate) clock: Clock,
    client: Client,
    _tasks: JoinSet<std::io::Result<()>>,
}

impl Running {
    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.shop.address())
    }

    pub(crate) async fn start() -> Self {
        let clock = Clock::steered("2026-11-20T03:00:00Z".parse::<Timestamp>().unwrap());
        let settings = SampleSettings {
            port: 0,
            admin_token: "let-me-in".to_owned().into(),
            clock: clock.clone(),
        };
        let (shop, serving) = SampleShop::start(settings, CancellationToken::new())
            .await
            .unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(serving);
        Self {
            shop,
            clock,
            client: client(),
            _tasks: tasks,
        }
    }

    async fn ask(&self, method: &str, path: &str) -> Response {
        let url = format!("http://{}{path}", self.shop.address());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, url).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value, headers: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.shop.address());
        let mut request = self.client.post(url).body(body.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        (response.status(), read(response).await)
    }

    async fn status(&self) -> Value {
        read(self.ask("GET", "/admin/status").await).await
    }
}

/// A client for plain HTTP on loopback.
pub(crate) fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default(); // Another test may have been first.
    Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

async fn read(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn a_ban_makes_the_next_request_a_miss() {
    let running = Running::start().await;
    running.shop.warm();
    let warm = running.ask("GET", "/").await;
    assert_eq!(
        (header(&warm, "x-cache"), header(&warm, "age")),
        ("HIT", "0")
    );
    let ban = running.ask("BAN", "/").await;
    assert_eq!(ban.status(), StatusCode::OK);
    assert_eq!(
        ban.text().await.unwrap(),
        "dropped 1 cached pages under /\n"
    );
    assert_eq!(header(&running.ask("GET", "/").await, "x-cache"), "MISS");
    assert_eq!(header(&running.ask("GET", "/").await, "x-cache"), "HIT");
    assert_eq!(running.shop.requests(), 3);
}

#[tokio::test]
async fn a_page_gets_older_and_is_rendered_anew_after_three_minutes() {
    let running = Running::start().await;
    let start = running.clock.now();
    running.shop.warm();
    for (after_secs, cached, age) in [(170, "HIT", "170"), (180, "MISS", "0"), (200, "HIT", "20")] {
        running.clock.set(start + Duration::from_secs(after_secs));
        let response = running.ask("GET", "/").await;
        assert_eq!(
            (header(&response, "x-cache"), header(&response, "age")),
            (cached, age)
        );
    }
}

#[tokio::test]
async fn a_deployed_version_shows_after_a_flush_and_can_be_rolled_back() {
    let running = Running::start().await;
    running.shop.warm();
    let (status, answer) = running
        .post("/admin/deploy", json!({"version": "2026.11.2"}), &[])
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        answer,
        json!({"version": "2026.11.2", "previous": "2026.11.1"})
    );
    let cached = running.ask("GET", "/").await.text().await.unwrap();
    assert!(cached.contains("version 2026.11.1"), "{cached}");
    running.ask("BAN", "/").await;
    let fresh = running.ask("GET", "/").await.text().await.unwrap();
    assert!(
        fresh.contains("version 2026.11.2, rendered at 2026-11-20 03:00:00 UTC"),
        "{fresh}"
    );
    running.post("/admin/rollback", Value::Null, &[]).await;
    let version = read(running.ask("GET", "/admin/version").await).await;
    assert_eq!(version, json!({"version": "2026.11.1"}));
    let is_running = running.ask("GET", "/admin/versions/2026.11.1").await;
    assert_eq!(is_running.status(), StatusCode::OK);
    let is_not = running.ask("GET", "/admin/versions/2026.11.2").await;
    assert_eq!(is_not.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nothing_can_be_rolled_back_before_a_deployment() {
    let running = Running::start().await;
    let (status, _) = running.post("/admin/rollback", Value::Null, &[]).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn the_same_key_migrates_once_and_gets_the_same_answer() {
    let running = Running::start().await;
    let key = [("idempotency-key", "run-1/migrate")];
    let first = running
        .post("/admin/migrations", json!({"number": 42}), &key)
        .await;
    assert_eq!(first, (StatusCode::OK, json!({"migration": 42})));
    let again = running
        .post("/admin/migrations", json!({"number": 42}), &key)
        .await;
    assert_eq!(again, first);
    assert_eq!(running.status().await["migration"], 42);
    for (row, number, key, status) in [
        ("another key, done before", 42, "b", StatusCode::CONFLICT),
        ("one is skipped", 44, "c", StatusCode::CONFLICT),
        ("no key", 43, "", StatusCode::BAD_REQUEST),
    ] {
        let answer = running
            .post(
                "/admin/migrations",
                json!({"number": number}),
                &[("idempotency-key", key)],
            )
            .await;
        assert_eq!(answer.0, status, "{row}");
    }
    assert_eq!(
        running.ask("GET", "/admin/migrations/42").await.status(),
        StatusCode::OK
    );
    assert_eq!(
        running.ask("GET", "/admin/migrations/43").await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn hosts_restart_alone_or_together_and_unknown_ones_stop_all() {
    let running = Running::start().await;
    let started = std::time::Instant::now();
    let one = running
        .post("/admin/restart", json!({"host": "web1"}), &[])
        .await;
    assert_eq!(one, (StatusCode::OK, json!({"restarted": ["web1"]})));
    assert!(started.elapsed() >= Duration::from_millis(300));
    running
        .post("/admin/restart", json!({"hosts": ["web1", "web2"]}), &[])
        .await;
    let (status, answer) = running
        .post("/admin/restart", json!({"hosts": ["web1", "web9"]}), &[])
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        answer["error"],
        "no host `web9`; there are web1, web2, web3, web4"
    );
    let hosts = running.status().await["hosts"].clone();
    assert_eq!(hosts[0], json!({"name": "web1", "restarts": 2}));
    assert_eq!(hosts[1], json!({"name": "web2", "restarts": 1}));
    assert_eq!(hosts[2], json!({"name": "web3", "restarts": 0}));
}

#[tokio::test]
async fn a_secret_is_rotated_with_the_admin_token_only() {
    let running = Running::start().await;
    let body = json!({"name": "payment-key"});
    for wrong in [
        "",
        "Bearer",
        "Bearer let-me-in ",
        "Bearer let-me",
        "Basic let-me-in",
    ] {
        let (status, _) = running
            .post("/admin/secrets", body.clone(), &[("authorization", wrong)])
            .await;
        // A header's outer white space is not part of its value.
        let expected = if wrong.trim_end() == "Bearer let-me-in" {
            StatusCode::OK
        } else {
            StatusCode::UNAUTHORIZED
        };
        assert_eq!(status, expected, "{wrong:?}");
    }
    let right = [("authorization", "Bearer let-me-in")];
    let answer = running.post("/admin/secrets", body, &right).await;
    assert_eq!(
        answer,
        (StatusCode::OK, json!({"name": "payment-key", "rotated": 2}))
    );
    assert_eq!(running.status().await["secrets"], json!({"payment-key": 2}));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let running = Running::start().await;
    let before = running.status().await;
    let large = json!({"version": "1", "more": "x".repeat(70_000)});
    for (row, path, body, status) in [
        (
            "no JSON of ours",
            "/admin/deploy",
            json!([1]),
            StatusCode::BAD_REQUEST,
        ),
        (
            "a version with white space",
            "/admin/deploy",
            json!({"version": "1 2"}),
            StatusCode::BAD_REQUEST,
        ),
        (
            "a body over the limit",
            "/admin/deploy",
            large,
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            "no hosts",
            "/admin/restart",
            json!({"hosts": []}),
            StatusCode::BAD_REQUEST,
        ),
        (
            "nothing there",
            "/admin/nothing",
            json!({}),
            StatusCode::NOT_FOUND,
        ),
    ] {
        let answer = running.post(path, body, &[]).await;
        assert_eq!(answer.0, status, "{row}: {}", answer.1);
    }
    assert_eq!(
        running.ask("DELETE", "/").await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(running.status().await, before);
}

#[tokio::test]
async fn a_taken_port_is_not_an_error() {
    let first = Running::start().await;
    let settings = SampleSettings {
        port: first.shop.address().port(),
        admin_token: String::new().into(),
        clock: Clock::system(),
    };
    let (second, _serving) = SampleShop::start(settings, CancellationToken::new())
        .await
        .unwrap();
    assert_ne!(second.address().port(), first.shop.address().port());
}
