//! The fake Discord itself, by a plain client: each of its rules, and that its answers are Discord's.

mod clients;
mod gateway;
mod interactions;
mod judged;
mod messages;
mod pace;
mod threads;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::fakes::discord::{APP, BOT_TOKEN, FakeDiscord, GENERAL, GUILD, Judge, OPS};

/// Limits that let a test finish, and that nothing healthy reaches.
const SOON: Duration = Duration::from_secs(10);
/// What the fake sees when an app that keeps its word does nothing else.
const INTENTS: u64 = 1 | 1 << 1 | 1 << 9 | 1 << 12;

/// A Discord whose answers are judged, and a client of it.
struct Lab {
    fake: FakeDiscord,
    client: reqwest::Client,
    judge: Option<Arc<Judge>>,
    token: String,
}

/// What came back from a call.
struct Reply {
    status: u16,
    body: Value,
    headers: HashMap<String, String>,
}

impl Reply {
    /// Status and Discord's code.
    fn error(&self) -> (u16, u64) {
        (self.status, self.body["code"].as_u64().unwrap_or_default())
    }

    fn id(&self) -> String {
        self.body["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id in {} {}", self.status, self.body))
            .to_owned()
    }
}

impl Lab {
    async fn start() -> Self {
        static JUDGE: OnceLock<Option<Arc<Judge>>> = OnceLock::new();
        let judge = JUDGE.get_or_init(Judge::load).clone();
        let fake = FakeDiscord::start().await;
        if let Some(judge) = &judge {
            fake.judged_by(judge);
        }
        fake.set_patience(Duration::from_millis(1_500));
        fake.set_identify_pause(Duration::ZERO);
        Self {
            fake,
            client: reqwest::Client::new(),
            judge,
            token: format!("Bot {BOT_TOKEN}"),
        }
    }

    /// The same, with some commands.
    async fn with_commands() -> Self {
        let lab = Self::start().await;
        let reply = lab
            .call(
                Method::PUT,
                &format!("/applications/{APP}/guilds/{GUILD}/commands"),
                &commands(),
            )
            .await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        lab
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Reply {
        let request = self
            .client
            .request(method, self.url(path))
            .header("authorization", &self.token);
        let request = if body.is_null() {
            request
        } else {
            request.json(body)
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let text = response.text().await.unwrap();
        Reply {
            status,
            body: serde_json::from_str(&text).unwrap_or_default(),
            headers,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v10{path}", self.fake.api_url())
    }

    async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, &Value::Null).await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, body).await
    }

    async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::PATCH, path, body).await
    }

    async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path, &Value::Null).await
    }

    /// Posts these words, as is proper.
    async fn says(&self, channel: &str, words: &str) -> Reply {
        self.post(&format!("/channels/{channel}/messages"), &said(words))
            .await
    }

    /// Answers an interaction.
    async fn answers(&self, payload: &Value, answer: &Value) -> Reply {
        let (id, token) = (
            payload["id"].as_str().unwrap(),
            payload["token"].as_str().unwrap(),
        );
        self.post(
            &format!("/interactions/{id}/{token}/callback?with_response=true"),
            answer,
        )
        .await
    }

    async fn connects(&self) -> Socket {
        Socket::open(&format!("{}/?v=10&encoding=json", self.fake.api_url())).await
    }

    /// A session that heard its guild.
    async fn session(&self) -> Socket {
        let mut socket = self.connects().await;
        socket.identifies(INTENTS).await;
        socket.event("READY").await;
        socket.event("GUILD_CREATE").await;
        socket
    }

    /// Nothing was forbidden, and nothing was answered as Discord would not.
    fn ends_well(&self) {
        assert_eq!(self.fake.violations(), Vec::<String>::new());
        self.answered_well();
    }

    fn answered_well(&self) {
        assert_eq!(self.fake.misanswers(), Vec::<String>::new());
    }

    /// Provoked exactly this, and nothing else.
    fn provoked(&self, parts: &[&str]) {
        let violations = self.fake.take_violations();
        assert_eq!(violations.len(), parts.len(), "{violations:?}");
        for (violation, part) in violations.iter().zip(parts) {
            assert!(violation.contains(part), "{violation} has no {part}");
        }
        self.answered_well();
    }
}

/// A message that pings nobody.
fn said(words: &str) -> Value {
    json!({ "content": words, "allowed_mentions": { "parse": [] } })
}

fn commands() -> Value {
    json!([{ "name": "ops", "description": "Operations.", "options": [
        { "type": 1, "name": "flush-cache", "description": "Flushes.", "options": [
            { "type": 3, "name": "environment", "description": "Where.", "required": true,
              "choices": [{ "name": "Production", "value": "prod" }, { "name": "staging", "value": "staging" }] },
            { "type": 4, "name": "count", "description": "How many.", "min_value": 1, "max_value": 9 },
            { "type": 6, "name": "who", "description": "For whom." },
        ] },
        { "type": 1, "name": "deploy", "description": "Deploys.", "options": [
            { "type": 3, "name": "version", "description": "Which.", "required": true, "autocomplete": true },
            { "type": 5, "name": "dry", "description": "Try only." },
        ] },
        { "type": 2, "name": "db", "description": "Databases.", "options": [
            { "type": 1, "name": "vacuum", "description": "Cleans." },
        ] },
    ] }])
}

/// A client's end of the gateway.
struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last: u64,
    session: String,
    resume_url: String,
    heartbeat_ms: u64,
}

impl Socket {
    async fn open(url: &str) -> Self {
        let mut socket = Self::raw(&url.replace("http://", "ws://")).await;
        let hello = socket.next().await;
        assert_eq!(hello["op"], 10, "{hello}");
        socket.heartbeat_ms = hello["d"]["heartbeat_interval"].as_u64().unwrap();
        socket
    }

    async fn raw(url: &str) -> Self {
        let (stream, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Self {
            stream,
            last: 0,
            session: String::new(),
            resume_url: String::new(),
            heartbeat_ms: 0,
        }
    }

    async fn send(&mut self, frame: &Value) {
        self.stream
            .send(Message::text(frame.to_string()))
            .await
            .unwrap();
    }

    async fn identifies(&mut self, intents: u64) {
        self.identifies_as(BOT_TOKEN, intents).await;
    }

    async fn identifies_as(&mut self, token: &str, intents: u64) {
        let properties = json!({ "os": "linux", "browser": "test", "device": "test" });
        self.send(&json!({ "op": 2, "d": { "token": token, "intents": intents, "properties": properties } })).await;
    }

    async fn resumes(&mut self, session: &str, sequence: u64) {
        self.send(&json!({ "op": 6, "d": { "token": BOT_TOKEN, "session_id": session, "seq": sequence } })).await;
    }

    async fn next_message(&mut self) -> Message {
        let next = tokio::time::timeout(SOON, self.stream.next()).await;
        next.expect("a frame in time")
            .expect("an open connection")
            .unwrap()
    }

    async fn next(&mut self) -> Value {
        match self.next_message().await {
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(text.as_str()).unwrap();
                if let Some(sequence) = frame["s"].as_u64() {
                    assert_eq!(sequence, self.last + 1, "{frame}");
                    self.last = sequence;
                }
                if frame["t"] == "READY" {
                    frame["d"]["session_id"]
                        .as_str()
                        .unwrap()
                        .clone_into(&mut self.session);
                    let url = frame["d"]["resume_gateway_url"].as_str();
                    url.unwrap().clone_into(&mut self.resume_url);
                }
                frame
            }
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The next frame, which is this event; its data.
    async fn event(&mut self, event: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["t"], event, "{frame}");
        frame["d"].clone()
    }

    /// With which code the connection is closed.
    async fn closed(&mut self) -> u16 {
        match self.next_message().await {
            Message::Close(Some(frame)) => frame.code.into(),
            other => panic!("not closed: {other:?}"),
        }
    }

    /// Nothing comes for a while.
    async fn silent(&mut self) {
        let next = tokio::time::timeout(Duration::from_millis(200), self.stream.next()).await;
        assert!(next.is_err(), "{next:?}");
    }
}

#[tokio::test]
async fn without_the_token_there_is_nothing_and_it_counts() {
    let mut lab = Lab::start().await;
    assert_eq!(lab.get("/users/@me").await.status, 200);
    for token in [
        "Bot wrong".to_owned(),
        BOT_TOKEN.to_owned(),
        format!("Bearer {BOT_TOKEN}"),
    ] {
        lab.token = token;
        let reply = lab.get("/users/@me").await;
        assert_eq!(
            (reply.status, &reply.body),
            (401, &json!({ "message": "401: Unauthorized", "code": 0 }))
        );
    }
    assert_eq!(lab.fake.invalid_requests(), 3);
    lab.provoked(&["401", "401", "401"]);
}

#[tokio::test]
async fn more_invalid_requests_than_allowed_are_violations() {
    let mut lab = Lab::start().await;
    lab.fake.set_invalid_limit(1);
    lab.token = "Bot wrong".to_owned();
    lab.get("/users/@me").await;
    lab.get("/users/@me").await;
    lab.provoked(&["401", "401", "invalid request number 2"]);
}

#[tokio::test]
async fn the_token_goes_nowhere_else() {
    let lab = Lab::start().await;
    let elsewhere = format!("{}/attachments/1/2/x.txt", lab.fake.api_url());
    lab.client
        .get(elsewhere)
        .header("authorization", &lab.token)
        .send()
        .await
        .unwrap();
    lab.says(GENERAL, &format!("my token is {BOT_TOKEN}")).await;
    lab.provoked(&["sent to /attachments", "in the query or the body"]);
}

#[tokio::test]
async fn what_is_there_can_be_read() {
    let lab = Lab::start().await;
    for path in [
        "/users/@me",
        "/applications/@me",
        "/oauth2/applications/@me",
        "/gateway",
        "/gateway/bot",
        "/users/@me/guilds",
    ] {
        assert_eq!(lab.get(path).await.status, 200, "{path}");
    }
    let alice = crate::fakes::discord::ALICE;
    let guild = format!("/guilds/{GUILD}");
    for path in [
        "",
        "/channels",
        "/roles",
        "/threads/active",
        "/members?limit=1000",
        &format!("/members/{alice}"),
    ] {
        assert_eq!(
            lab.get(&format!("{guild}{path}")).await.status,
            200,
            "{path}"
        );
    }
    assert_eq!(
        lab.get(&format!("/channels/{OPS}")).await.body["name"],
        "ops"
    );
    let members = lab
        .get(&format!("{guild}/members?limit=2&after={alice}"))
        .await
        .body;
    assert_eq!(members.as_array().unwrap().len(), 2, "{members}");
    assert_ne!(members[0]["user"]["id"], alice);
    lab.ends_well();
}

#[tokio::test]
async fn what_is_not_there_has_its_code() {
    let lab = Lab::start().await;
    let stranger = crate::fakes::discord::STRANGER;
    let rows = [
        ("/channels/1", (404, 10_003)),
        (&*format!("/channels/{GENERAL}/messages/1"), (404, 10_008)),
        ("/guilds/1", (404, 10_004)),
        (&format!("/guilds/{GUILD}/members/1"), (404, 10_013)),
        (
            &format!("/guilds/{GUILD}/members/{stranger}"),
            (404, 10_007),
        ),
        (
            &format!("/channels/{}", crate::fakes::discord::HIDDEN),
            (403, 50_001),
        ),
        (
            &format!("/webhooks/{APP}/token/messages/@original"),
            (404, 10_015),
        ),
    ];
    for (path, error) in rows {
        assert_eq!(lab.get(path).await.error(), error, "{path}");
    }
    assert_eq!(
        lab.post("/users/@me/channels", &json!({ "recipient_id": "1" }))
            .await
            .error(),
        (404, 10_013)
    );
    lab.ends_well();
}
