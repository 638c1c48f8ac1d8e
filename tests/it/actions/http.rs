//! HTTP exchanges with small servers of our own.

use std::sync::{Arc, Mutex};

use midwatch::domain::{Expect, HttpAction, JsonTemplate, Pattern};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;

/// Answers each request with what a function makes of it, byte for byte; remembers what was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

/// What to do with a request.
enum Then {
    /// Send this and close.
    Answer(String),
    /// Send this, then wait.
    Stall(String),
    /// Send this, again and again.
    Flood(String),
    /// Close without a word.
    Cut,
}

impl Server {
    async fn new(answer: impl Fn(&str) -> Then + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                let then = answer(&request);
                seen.lock().unwrap().push(request);
                follow(then, &mut stream).await;
            }
        });
        Self {
            address,
            asked,
            _tasks: tasks,
        }
    }

    async fn answering(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::new(move |_| Then::Answer(answer.clone())).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn follow(then: Then, stream: &mut TcpStream) {
    // The other side may close first: that is its right.
    match then {
        Then::Answer(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Then::Stall(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.read(&mut [0; 1]).await;
        }
        Then::Flood(text) => while stream.write_all(text.as_bytes()).await.is_ok() {},
        Then::Cut => {}
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return String::from_utf8(bytes).unwrap();
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return String::from_utf8(bytes).unwrap(),
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

fn ok(headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn exchange(method: &str, url: &str) -> HttpAction<Rendered> {
    HttpAction {
        method: method.to_owned(),
        url: text(url),
        headers: BTreeMap::new(),
        json: None,
        expect: Expect {
            status: Vec::new(),
            headers: BTreeMap::new(),
            body: None,
        },
        show: Vec::new(),
        hosts: Vec::new(),
        redirects: 0,
    }
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

async fn ask(server: &Server, action: HttpAction<Rendered>) -> (StepResult, String) {
    let mut bench = Bench::new();
    bench.hosts = vec![server.address.clone()];
    bench.perform(Action::Http(action)).await
}

fn note(note: &str) -> StepResult {
    StepResult::Succeeded {
        note: note.to_owned(),
    }
}

/// Without the elapsed time, which differs.
fn first_line(output: &str) -> &str {
    let line = output.lines().next().unwrap_or_default();
    line.rsplit_once(" in ").map_or(line, |(line, _)| line)
}

#[tokio::test]
async fn a_met_expectation_is_told_with_the_headers_asked_for() {
    let server = Server::answering(&ok("X-Cache: MISS\r\nage: 0\r\n", "hello\n")).await;
    let mut action = exchange("GET", &server.url("/a?b=c"));
    action.show = ["x-cache", "age", "x-other"].map(str::to_owned).into();
    action.expect.status = vec![200, 204];
    action.expect.headers = BTreeMap::from([("x-cache".to_owned(), pattern("^MISS$"))]);
    action.expect.body = Some(pattern("^hel+o"));
    let (result, output) = ask(&server, action).await;
    assert_eq!(
        result,
        note("200 OK, x-cache: MISS, age: 0, x-other: not sent")
    );
    let line = format!("GET {} → 200 OK, 6 B", server.url("/a?b=c"));
    assert_eq!(first_line(&output), line);
    assert!(
        output.ends_with("x-cache: MISS\nage: 0\nx-other: not sent\n"),
        "{output}"
    );
    assert!(server.asked()[0].starts_with("GET /a?b=c HTTP/1.1\r\n"));
}

#[tokio::test]
async fn an_expectation_that_is_not_met_says_what_was_seen() {
    let refuse = "HTTP/1.1 503 Service Unavailable\r\nx-cache: HIT\r\ncontent-length: 17\r\n\r\nbackend \x1b[31mdead";
    let server = Server::answering(refuse).await;
    let mut action = exchange("GET", &server.url("/"));
    action.expect.headers = BTreeMap::from([
        ("x-cache".to_owned(), pattern("MISS")),
        ("age".to_owned(), pattern("^0$")),
    ]);
    action.expect.body = Some(pattern("alive"));
    let (result, output) = ask(&server, action).await;
    let unmet = [
        "status 503 Service Unavailable, expected 2xx",
        "header `age` was not sent, expected /^0$/",
        "header `x-cache` is `HIT`, expected /MISS/",
        "the body does not match /alive/",
    ];
    assert_eq!(result, failed(&unmet.join("; ")));
    assert!(output.contains(&unmet.join("\n")), "{output}");
    assert!(output.ends_with("\nbackend dead\n"), "{output}");
}

#[tokio::test]
async fn a_json_body_keeps_its_types_and_secrets_stay_unseen() {
    let server = Server::new(|request| Then::Answer(ok("", request))).await;
    let mut action = exchange("POST", &server.url("/{secret.canary}"));
    action.headers = BTreeMap::from([
        ("authorization".to_owned(), text("Bearer {secret.canary}")),
        ("idempotency-key".to_owned(), text("run/step")),
    ]);
    action.json = Some(JsonTemplate::Object(BTreeMap::from([
        ("count".to_owned(), JsonTemplate::Literal(3.into())),
        ("text".to_owned(), JsonTemplate::Text(text("3"))),
        (
            "list".to_owned(),
            JsonTemplate::Array(vec![
                JsonTemplate::Text(text("\"},{{secret.canary}")),
                JsonTemplate::Literal(serde_json::Value::Null),
            ]),
        ),
    ])));
    action.expect.status = vec![201];
    let (result, output) = ask(&server, action).await;
    assert_eq!(result, failed("status 200 OK, expected 201"));
    let asked = &server.asked()[0];
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with(&format!("POST /{CANARY} HTTP/1.1")),
        "{head}"
    );
    assert!(
        head.contains(&format!("authorization: Bearer {CANARY}")),
        "{head}"
    );
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("idempotency-key: run/step"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = serde_json::json!({
        "count": 3, "text": "3", "list": [format!("\"}},{{{CANARY}"), null]
    });
    assert_eq!(body, expected);
    assert!(output.contains("/[secret canary] →"), "{output}");
    assert!(output.contains("Bearer [redacted]"), "{output}");
    assert!(!output.contains(CANARY), "{output}");
}

#[tokio::test]
async fn a_definite_no_is_told_apart_from_an_answer_that_may_change() {
    for (status, definite) in [
        ("404 Not Found", true),
        ("409 Conflict", true),
        ("429 Too Many Requests", false),
        ("503 Service Unavailable", false),
    ] {
        let server =
            Server::answering(&format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
        let (result, _) = ask(&server, exchange("POST", &server.url("/"))).await;
        let rejected = matches!(&result, StepResult::Rejected { why } if why.contains(status));
        assert_eq!(rejected, definite, "{status}: {result:?}");
        assert!(
            rejected || matches!(result, StepResult::Failed { .. }),
            "{status}: {result:?}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_unless_said() {
    let to = "HTTP/1.1 302 Found\r\nlocation: /next\r\ncontent-length: 0\r\n\r\n";
    let server = Server::answering(to).await;
    let (result, _) = ask(&server, exchange("GET", &server.url("/"))).await;
    let why = "status 302 Found, expected 2xx; it redirects to /next, allow it with `redirects: 1`";
    assert_eq!(result, failed(why));
    let mut expected = exchange("GET", &server.url("/"));
    expected.expect.status = vec![302];
    expected.redirects = 1;
    assert_eq!(ask(&server, expected).await.0, note("302 Found"));
    let mut endless = exchange("GET", &server.url("/"));
    endless.redirects = 2;
    let why = "more than 2 redirects, the last to /next";
    assert_eq!(ask(&server, endless).await.0, failed(why));
    assert_eq!(server.asked().len(), 1 + 1 + 3);
}

#[tokio::test]
async fn a_followed_redirect_changes_method_and_drops_secrets_as_browsers_do() {
    let other = Server::answering(&ok("", "there")).await;
    let to = other.url("/there");
    let server = Server::new(move |request| {
        let status = if request.contains(" /keep ") {
            307
        } else {
            303
        };
        Then::Answer(format!(
            "HTTP/1.1 {status} X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
        ))
    })
    .await;
    let mut bench = Bench::new();
    bench.hosts = vec![server.address.clone(), other.address.clone()];
    for path in ["/keep", "/see"] {
        let mut action = exchange("POST", &server.url(path));
        action.redirects = 1;
        action.json = Some(JsonTemplate::Literal(1.into()));
        action.headers = BTreeMap::from([
            ("x-key".to_owned(), text("{secret.canary}")),
            ("authorization".to_owned(), text("Basic abc")),
            ("x-plain".to_owned(), text("kept")),
        ]);
        let (result, output) = bench.perform(Action::Http(action)).await;
        assert_eq!(result, note("200 OK"));
        assert!(output.contains(&other.url("/there")), "{output}");
    }
    let asked = other.asked();
    assert!(
        asked[0].starts_with("POST /there ") && asked[0].ends_with("\r\n\r\n1"),
        "{asked:?}"
    );
    assert!(
        asked[1].starts_with("GET /there ") && asked[1].ends_with("\r\n\r\n"),
        "{asked:?}"
    );
    for request in asked {
        assert!(request.contains("x-plain: kept"), "{request}");
        assert!(
            !request.contains("x-key") && !request.contains("authorization"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn only_allowed_hosts_are_asked() {
    let server = Server::answering(&ok("", "")).await;
    let secret = Server::answering(&ok("", "internal")).await;
    let to = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        secret.url("/")
    );
    let redirecting = Server::answering(&to).await;
    let (result, _) = ask(&server, exchange("GET", &secret.url("/"))).await;
    let why = format!(
        "nothing was sent: host `{}` is not allowed (allowed: {}); list it under `hosts` of the step",
        secret.address, server.address
    );
    assert_eq!(result, failed(&why));
    let mut action = exchange("GET", &redirecting.url("/"));
    action.redirects = 3;
    let (result, _) = ask(&redirecting, action).await;
    let StepResult::Failed { why } = result else {
        panic!("{result:?}")
    };
    assert!(why.contains("was not followed: host"), "{why}");
    for url in ["ftp://x/", "http://u:p@x/", "x", "http://"] {
        let (result, _) = ask(&server, exchange("GET", url)).await;
        assert!(
            matches!(result, StepResult::Failed { .. }),
            "{url}: {result:?}"
        );
    }
    assert!(secret.asked().is_empty() && server.asked().is_empty());
}

#[tokio::test]
async fn a_broken_exchange_is_unknown_only_when_it_may_have_acted() {
    for (method, unknown) in [
        ("POST", true),
        ("BAN", true),
        ("GET", false),
        ("HEAD", false),
    ] {
        for (name, then) in [
            ("cut", "cut"),
            ("silent", "silent"),
            (
                "half a body",
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal",
            ),
            (
                "slow body",
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nslow",
            ),
        ] {
            // The answer to HEAD has no body that could break off.
            if method == "HEAD" && name.ends_with("body") {
                continue;
            }
            let server = Server::new(move |_| match then {
                "cut" => Then::Cut,
                "silent" => Then::Stall(String::new()),
                slow if slow.ends_with("slow") => Then::Stall(slow.to_owned()),
                other => Then::Answer(other.to_owned()),
            })
            .await;
            let mut bench = Bench::new().limited(500);
            bench.hosts = vec![server.address.clone()];
            let action = Action::Http(exchange(method, &server.url("/")));
            let (result, output) = bench.perform(action).await;
            let is_unknown = matches!(result, StepResult::Unknown { .. });
            let is_failed = matches!(result, StepResult::Failed { .. });
            assert!(
                if unknown { is_unknown } else { is_failed },
                "{method} {name}: {result:?}"
            );
            assert!(
                output.starts_with(&format!("{method} http://")),
                "{method} {name}: {output}"
            );
            assert_eq!(server.asked().len(), 1, "{method} {name}: never sent twice");
        }
    }
}

#[tokio::test]
async fn what_was_never_sent_has_failed_whatever_the_method() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let mut bench = Bench::new();
    bench.hosts = vec![address.clone(), "no-such-host.invalid:80".to_owned()];
    for url in [
        format!("http://{address}/"),
        "http://no-such-host.invalid/".to_owned(),
    ] {
        let (result, _) = bench.perform(Action::Http(exchange("POST", &url))).await;
        let StepResult::Failed { why } = result else {
            panic!("{url}: {result:?}")
        };
        assert!(why.starts_with("nothing was sent: "), "{url}: {why}");
    }
}

#[tokio::test]
async fn nothing_is_sent_to_who_does_not_speak_tls() {
    let server = Server::answering(&ok("", "")).await;
    let url = server.url("/{secret.canary}").replace("http:", "https:");
    let (result, output) = ask(&server, exchange("POST", &url)).await;
    let StepResult::Failed { why } = result else {
        panic!("{result:?}")
    };
    assert!(why.starts_with("nothing was sent: "), "{why}");
    assert!(
        !output.contains(CANARY) && !why.contains(CANARY),
        "{output}"
    );
    assert!(!server.asked().concat().contains("POST"));
}

#[tokio::test]
async fn cancelling_an_exchange_stops_it() {
    let server = Server::new(|_| Then::Stall(String::new())).await;
    let mut bench = Bench::new();
    bench.hosts = vec![server.address.clone()];
    let cancel = CancellationToken::new();
    let cancelling = async {
        while server.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    let action = Action::Http(exchange("POST", &server.url("/")));
    let ((result, _), ()) = tokio::join!(bench.perform_until(action, &cancel), cancelling);
    assert_eq!(result, StepResult::Stopped);
}

#[tokio::test]
async fn an_endless_body_is_read_up_to_a_limit() {
    let server = Server::new(|_| {
        Then::Flood(format!(
            "HTTP/1.1 200 OK\r\n\r\n{}",
            "needle ".repeat(10_000)
        ))
    })
    .await;
    let mut action = exchange("GET", &server.url("/"));
    action.expect.body = Some(pattern("needle"));
    let (result, output) = ask(&server, action).await;
    assert_eq!(result, note("200 OK"));
    assert!(
        first_line(&output).ends_with("more than 1.0 MB"),
        "{output}"
    );
}

#[tokio::test]
async fn a_long_body_is_shown_in_part_and_a_binary_one_not_at_all() {
    let server = Server::answering(&ok("", &"word ".repeat(2_000))).await;
    let mut action = exchange("GET", &server.url("/"));
    action.expect.status = vec![204];
    let (_, output) = ask(&server, action.clone()).await;
    assert!(
        output.len() < 2_500 && output.ends_with("\n… the beginning of 10.0 kB\n"),
        "{output}"
    );
    let server = Server::answering(&ok("", "\0\u{1}binary")).await;
    action.url = text(&server.url("/"));
    let (_, output) = ask(&server, action).await;
    assert!(!output.contains("binary"), "{output}");
}

#[tokio::test]
async fn a_header_can_not_smuggle_another() {
    let server = Server::answering(&ok("", "")).await;
    for (name, value) in [
        ("x-a", "1\r\nx-b: 2"),
        ("x-a\r\nx-b", "1"),
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
    ] {
        let mut action = exchange("POST", &server.url("/"));
        action.headers = BTreeMap::from([(name.to_owned(), text(value))]);
        let (result, _) = ask(&server, action).await;
        assert!(
            matches!(result, StepResult::Failed { .. }),
            "{name}: {result:?}"
        );
    }
    assert!(server.asked().is_empty());
}
