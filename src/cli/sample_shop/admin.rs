//! The sample shop's admin door: what the sample's commands deploy, restart, migrate and rotate.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::Shop;

const LARGEST_BODY: usize = 64 * 1_024;
const LONGEST_NAME: usize = 64;
/// So that a restart feels like one.
const RESTART_TAKES: Duration = Duration::from_millis(300);
const MOST_SECRETS: usize = 100;
const MOST_KEYS: usize = 1_000;

/// What is running, and what was done to it.
pub(super) struct Operations {
    version: String,
    previous: Option<String>,
    hosts: BTreeMap<String, u64>,
    migration: u64,
    /// How often each was rotated.
    secrets: BTreeMap<String, u64>,
    /// The migration that was done under each idempotency key.
    keys: BTreeMap<String, u64>,
}

/// An answer: a status and a JSON body.
type Answer = (StatusCode, Value);

#[derive(Deserialize)]
struct Deploy {
    version: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Restart {
    One { host: String },
    Several { hosts: Vec<String> },
}

#[derive(Deserialize)]
struct Migrate {
    number: u64,
}

#[derive(Deserialize)]
struct Rotate {
    name: String,
}

impl Default for Operations {
    fn default() -> Self {
        let hosts = ["web1", "web2", "web3", "web4"];
        Self {
            version: "2026.11.1".to_owned(),
            previous: None,
            hosts: hosts.into_iter().map(|host| (host.to_owned(), 0)).collect(),
            migration: 41,
            secrets: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }
}

/// Answers a request under `/admin`.
pub(super) async fn answer(shop: &Shop, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (status, value) = match to_bytes(body, LARGEST_BODY).await {
        Ok(body) if parts.method == Method::POST => {
            post(shop, parts.uri.path(), &parts.headers, &body).await
        }
        Ok(_) if parts.method == Method::GET => shop.state().operations.get(parts.uri.path()),
        Ok(_) => refusal(StatusCode::METHOD_NOT_ALLOWED, "GET or POST"),
        Err(_) => refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body has over 64 KiB, or broke off",
        ),
    };
    let mut response = Response::new(Body::from(format!("{value}\n")));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

async fn post(shop: &Shop, path: &str, headers: &HeaderMap, body: &[u8]) -> Answer {
    let answer = match path {
        "/admin/deploy" => read(body).and_then(|asked| shop.state().operations.deploy(asked)),
        "/admin/rollback" => shop.state().operations.roll_back(),
        "/admin/restart" => restart(shop, body).await,
        "/admin/migrations" => {
            read(body).and_then(|asked| shop.state().operations.migrate(&asked, key_of(headers)))
        }
        "/admin/secrets" if !authorized(shop, headers) => Err(refusal(
            StatusCode::UNAUTHORIZED,
            "wants the admin token: authorization: Bearer …",
        )),
        "/admin/secrets" => read(body).and_then(|asked| shop.state().operations.rotate(&asked)),
        _ => Err(unknown(path)),
    };
    answer.unwrap_or_else(|refused| refused)
}

async fn restart(shop: &Shop, body: &[u8]) -> Result<Answer, Answer> {
    let hosts = match read(body)? {
        Restart::One { host } => vec![host],
        Restart::Several { hosts } => hosts,
    };
    shop.state().operations.check_hosts(&hosts)?;
    tokio::time::sleep(RESTART_TAKES).await;
    Ok(shop.state().operations.restart(&hosts))
}

impl Operations {
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    fn get(&self, path: &str) -> Answer {
        match path {
            "/admin/status" => (StatusCode::OK, self.status()),
            "/admin/version" => (StatusCode::OK, json!({ "version": self.version })),
            _ => self.happened(path),
        }
    }

    /// Whether something has happened: what a `verify` asks after an interruption.
    fn happened(&self, path: &str) -> Answer {
        if let Some(version) = path.strip_prefix("/admin/versions/") {
            return if version == self.version {
                (StatusCode::OK, json!({ "version": version }))
            } else {
                refusal(StatusCode::NOT_FOUND, "another version is running")
            };
        }
        let number = path.strip_prefix("/admin/migrations/");
        match number.map(str::parse::<u64>) {
            Some(Ok(number)) if number <= self.migration => {
                (StatusCode::OK, json!({ "migration": number }))
            }
            Some(_) => refusal(StatusCode::NOT_FOUND, "this migration has not run"),
            None => unknown(path),
        }
    }

    fn status(&self) -> Value {
        let hosts: Vec<Value> = self
            .hosts
            .iter()
            .map(|(name, restarts)| json!({ "name": name, "restarts": restarts }))
            .collect();
        json!({
            "version": self.version,
            "previous": self.previous,
            "hosts": hosts,
            "migration": self.migration,
            "secrets": self.secrets,
        })
    }

    fn deploy(&mut self, asked: Deploy) -> Result<Answer, Answer> {
        named(&asked.version)?;
        if asked.version != self.version {
            self.previous = Some(std::mem::replace(&mut self.version, asked.version));
        }
        Ok(self.versions())
    }

    fn roll_back(&mut self) -> Result<Answer, Answer> {
        let Some(previous) = &mut self.previous else {
            let why = "there is no version to go back to: nothing was deployed since the start";
            return Err(refusal(StatusCode::CONFLICT, why));
        };
        std::mem::swap(previous, &mut self.version);
        Ok(self.versions())
    }

    fn versions(&self) -> Answer {
        let versions = json!({ "version": self.version, "previous": self.previous });
        (StatusCode::OK, versions)
    }

    fn check_hosts(&self, hosts: &[String]) -> Result<(), Answer> {
        let unknown = hosts.iter().find(|host| !self.hosts.contains_key(*host));
        match unknown {
            Some(host) => {
                let known: Vec<&str> = self.hosts.keys().map(String::as_str).collect();
                let why = format!("no host `{host}`; there are {}", known.join(", "));
                Err(refusal(StatusCode::NOT_FOUND, &why))
            }
            None if hosts.is_empty() => Err(refusal(StatusCode::BAD_REQUEST, "no host is given")),
            None => Ok(()),
        }
    }

    fn restart(&mut self, hosts: &[String]) -> Answer {
        for host in hosts {
            if let Some(restarts) = self.hosts.get_mut(host) {
                *restarts += 1;
            }
        }
        (StatusCode::OK, json!({ "restarted": hosts }))
    }

    fn migrate(&mut self, asked: &Migrate, key: Option<&str>) -> Result<Answer, Answer> {
        let Some(key) = key else {
            let why = "wants a header idempotency-key of 1 to 200 characters";
            return Err(refusal(StatusCode::BAD_REQUEST, why));
        };
        if let Some(done) = self.keys.get(key) {
            return Ok((StatusCode::OK, json!({ "migration": done })));
        }
        if asked.number != self.migration + 1 {
            let why = format!("the database is at migration {}", self.migration);
            return Err(refusal(StatusCode::CONFLICT, &why));
        }
        if self.keys.len() >= MOST_KEYS {
            return Err(full("idempotency keys"));
        }
        self.migration = asked.number;
        self.keys.insert(key.to_owned(), asked.number);
        Ok((StatusCode::OK, json!({ "migration": self.migration })))
    }

    fn rotate(&mut self, asked: &Rotate) -> Result<Answer, Answer> {
        named(&asked.name)?;
        if self.secrets.len() >= MOST_SECRETS && !self.secrets.contains_key(&asked.name) {
            return Err(full("secrets"));
        }
        let times = self.secrets.entry(asked.name.clone()).or_default();
        *times += 1;
        Ok((
            StatusCode::OK,
            json!({ "name": asked.name, "rotated": times }),
        ))
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Answer> {
    serde_json::from_slice(body)
        .map_err(|error| refusal(StatusCode::BAD_REQUEST, &format!("the body: {error}")))
}

fn named(name: &str) -> Result<(), Answer> {
    let fits = (1..=LONGEST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if fits {
        return Ok(());
    }
    let why = "a name or version has 1 to 64 letters, digits, `.`, `_` or `-`";
    Err(refusal(StatusCode::BAD_REQUEST, why))
}

fn key_of(headers: &HeaderMap) -> Option<&str> {
    let key = headers.get("idempotency-key")?.to_str().ok()?;
    (1..=200).contains(&key.len()).then_some(key)
}

fn authorized(shop: &Shop, headers: &HeaderMap) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let wanted = shop.admin_token.expose_secret().as_bytes();
    given.is_some_and(|given| bool::from(given.ct_eq(wanted)))
}

fn unknown(path: &str) -> Answer {
    refusal(StatusCode::NOT_FOUND, &format!("nothing is at {path}"))
}

fn full(what: &str) -> Answer {
    let why = format!("the sample keeps no more {what}; start it anew");
    refusal(StatusCode::INSUFFICIENT_STORAGE, &why)
}

fn refusal(status: StatusCode, why: &str) -> Answer {
    (status, json!({ "error": why }))
}
