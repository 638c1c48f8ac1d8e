//! The API as programs use it: the real program over HTTP, every answer held against the document that it serves.

mod away;
mod bad_input;
mod crowd;
mod document;
mod matrix;
mod remote;
mod story;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::bot::{Bot, Home};

/// Two projects that differ in who may what.
const PEOPLE: &str = "people:
  ana: { name: Ana Ruiz }
  bo: { name: Bo Lind }
  eve: { name: Eve Stone }
services:
  pipeline: { name: The pipeline, groups: [team, engineering] }
groups:
  team: [ana]
  engineering: [bo]
rotations:
  shop: { zone: Europe/Berlin, starts: \"2026-01-05 09:00\", every: 7d, levels: { oncall: [ana, bo] } }
";
const SHOP: &str = "project: shop
about: A shop.
owner: team
channels: [shop]
environments:
  one: { url: \"http://127.0.0.1:1\", dashboards: [\"http://127.0.0.1:2/board\"] }
  two: {}
rules:
  - { may: [touch, slow, fail], who: team }
  - { may: [touch, slow, fail], who: engineering, after: { of: team } }
  - otherwise: ask ana, or call oncall(shop)
";
const BLOG: &str = "project: blog
about: A canary-of-the-blog.
owner: engineering
channels: [blog]
environments:
  one: {}
rules:
  - { may: everything, who: engineering }
  - otherwise: ask bo
";
const TOUCH: &str = "command: touch
does: Touches a file.
risk: low
undo: none
parameters:
  environment: { type: environment }
  note: { type: text, default: none }
  count: { type: integer, default: 1, min: 0, max: 9 }
  tags: { type: list, of: text, optional: true }
steps:
  - { name: say, run: [echo, \"{note}\", \"{count}\", \"{tags}\"], effect: read }
  - { name: touch, run: [touch, touched], effect: idempotent }
";
const SLOW: &str = "command: slow
does: Takes a while.
risk: medium
undo: none
one_at_a_time: environment
parameters:
  environment: { type: environment }
steps:
  - { name: wait, run: [sleep, \"60\"], effect: read, timeout: 90s }
";
/// Of the blog alone.
const PUBLISH: &str = "command: publish
does: Publishes a canary.
risk: low
undo: none
steps:
  - { name: publish, run: [\"true\"], effect: read }
";
const FAIL: &str = "command: fail
does: Fails.
risk: low
undo: none
steps:
  - { name: fail, run: [\"false\"], effect: once }
";

const PATIENCE: Duration = Duration::from_secs(30);

/// A running midwatch, and the tokens that were made for it.
struct House {
    home: Home,
    bot: Bot,
    client: reqwest::Client,
    tokens: BTreeMap<&'static str, String>,
    document: Value,
}

/// Every token that tests use: its name, and what is typed to make it.
const TOKENS: &[(&str, &[&str])] = &[
    ("ana", &["ana", "--scope", "read,run,approve"]),
    ("bo", &["bo", "--scope", "read,run,approve"]),
    ("eve", &["eve", "--scope", "read,run,approve"]),
    ("pipeline", &["pipeline", "--scope", "read,run"]),
    ("ana reads", &["ana"]),
    ("ana runs", &["ana", "--scope", "run"]),
    ("ana approves", &["ana", "--scope", "approve"]),
    (
        "ana of the blog",
        &["ana", "--scope", "read,run,approve", "--project", "blog"],
    ),
    (
        "bo of the shop",
        &["bo", "--scope", "read,run,approve", "--project", "shop"],
    ),
    ("revoked", &["ana", "--scope", "read"]),
    ("expired", &["ana", "--scope", "read", "--days", "1"]),
];

fn files() -> Home {
    Home::of_files(&[
        ("commands/touch.yaml", TOUCH),
        ("commands/slow.yaml", SLOW),
        ("commands/fail.yaml", FAIL),
        ("commands/publish.yaml", PUBLISH),
        ("runbooks/people.yaml", PEOPLE),
        ("runbooks/shop.yaml", SHOP),
        ("runbooks/blog.yaml", BLOG),
    ])
}

/// Makes a token, and answers it.
fn token_of(home: &Home, arguments: &[&str]) -> String {
    let mut all = vec!["token", "add"];
    all.extend(arguments);
    let made = home.run(&all, "");
    let err = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success(), "{err}");
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(token.starts_with("mw_") && token.len() == 55, "{err}");
    assert!(!err.contains(&token), "it is told once: {err}");
    token
}

/// The ids of all tokens, with the rest of the line that lists each.
fn listed(home: &Home) -> Vec<(String, String)> {
    let told = home.run(&["token", "list"], "");
    let out = String::from_utf8(told.stdout).unwrap();
    let lines = out.lines().filter_map(|line| line.split_once("  "));
    lines
        .map(|(id, rest)| (id.to_owned(), rest.to_owned()))
        .collect()
}

impl House {
    async fn open() -> Self {
        let all: Vec<&str> = TOKENS.iter().map(|(name, _)| *name).collect();
        Self::of(files(), &all).await
    }

    /// One with files of the test's own, and these tokens.
    async fn of(home: Home, wanted: &[&str]) -> Self {
        let mut bot = home.serve().await;
        // Through the socket of the server that has the folder: a process for each would open the store anew.
        let mut tokens = BTreeMap::new();
        for (name, arguments) in TOKENS.iter().filter(|it| wanted.contains(&it.0)) {
            let before = listed(&home);
            tokens.insert(*name, token_of(&home, arguments));
            if *name == "revoked" {
                let after = listed(&home);
                let new = after.iter().find(|it| !before.contains(it)).unwrap();
                let told = home.run(&["token", "revoke", &new.0], "");
                assert!(told.status.success(), "{told:?}");
            }
            if *name == "expired" {
                let after = listed(&home);
                let new = after.iter().find(|it| !before.contains(it)).unwrap();
                expire(&home, &new.0).await;
            }
        }
        assert!(bot.has_ended().is_none());
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let document = client.get(bot.url("/openapi.json")).send().await.unwrap();
        let document: Value = serde_json::from_str(&document.text().await.unwrap()).unwrap();
        Self {
            home,
            bot,
            client,
            tokens,
            document,
        }
    }

    fn request(&self, method: Method, path: &str, who: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, self.bot.url(path));
        match who {
            "nobody" => request,
            "forged" => request.bearer_auth(format!("mw_{}", "a".repeat(52))),
            who => request.bearer_auth(&self.tokens[who]),
        }
    }

    /// Sends it, and holds the answer against the document.
    async fn send(&self, request: reqwest::RequestBuilder) -> Told {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = self.client.execute(request).await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let told = Told {
            status,
            json: serde_json::from_str(&text).unwrap_or_default(),
            headers,
            text,
        };
        document::hold(&self.document, &method, &path, &told);
        told
    }

    async fn get(&self, path: &str, who: &str) -> Told {
        self.send(self.request(Method::GET, path, who)).await
    }

    async fn post(&self, path: &str, who: &str, body: Value) -> Told {
        let request = self.request(Method::POST, path, who);
        let request = request.header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    /// Waits until the run's status is another than running.
    async fn wait(&self, run: &str) -> Value {
        let began = Instant::now();
        loop {
            let told = self.get(&format!("/api/v1/run/{run}"), "ana").await;
            if told.json["status"] != "running" {
                return told.json;
            }
            assert!(began.elapsed() < PATIENCE, "{}", told.text);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops it; the ledger is whole, and no token stands anywhere that it should not.
    fn close(self) {
        assert!(self.bot.stop().success(), "{}", self.home.log());
        let verified = self.home.run(&["ledger", "verify"], "");
        assert!(verified.status.success(), "{verified:?}");
        let exported = self.home.run(&["ledger", "export"], "").stdout;
        let exported = String::from_utf8(exported).unwrap();
        assert!(exported.contains(r#""kind":"token""#), "each is a fact");
        let log = self.home.log();
        for token in self.tokens.values() {
            assert!(!log.contains(token) && !exported.contains(token));
        }
    }
}

/// An answer.
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    json: Value,
}

impl Told {
    fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    #[track_caller]
    fn is(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status.as_u16(), self.code()),
            (status, code),
            "{}",
            self.text
        );
        self
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }
}

/// Makes it look as if the token had been made long ago.
async fn expire(home: &Home, id: &str) {
    change(
        home,
        "update tokens set made_at = 0, until = 1 where id = $1",
        id,
    )
    .await;
}

/// Gives all tokens that speak for this one every scope.
async fn widen(home: &Home, person: &str) {
    let statement = "update tokens set scopes = '[\"read\",\"run\",\"approve\"]' where person = $1";
    change(home, statement, person).await;
}

async fn change(home: &Home, statement: &'static str, value: &str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(home.path("data/midwatch.db"))
        .busy_timeout(Duration::from_secs(5));
    let mut db = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let changed = sqlx::query(statement)
        .bind(value)
        .execute(&mut db)
        .await
        .unwrap();
    assert_eq!(changed.rows_affected(), 1);
    sqlx::Connection::close(db).await.unwrap();
}

fn touch(project: &str) -> Value {
    json!({ "project": project, "environment": "one" })
}

fn uuid_like(text: &str) -> bool {
    static PATTERN: OnceLock<regex::Regex> = OnceLock::new();
    let pattern = PATTERN.get_or_init(|| regex::Regex::new("^[0-9a-f-]{36}$").unwrap());
    pattern.is_match(text)
}
