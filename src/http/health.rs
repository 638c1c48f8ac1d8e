//! Says whether the process lives, whether it can work, and how it fares.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::planted;

/// How long one check may take; a check that takes longer has failed.
const CHECK_TIME: Duration = Duration::from_secs(2);

/// How well it is, empty where there is nothing to add; else why it isn't. In words for the operator.
type Checked = Result<String, String>;
type Answer = Pin<Box<dyn Future<Output = Checked> + Send>>;
type Check = Arc<dyn Fn() -> Answer + Send + Sync>;

/// The routes `/`, `/healthz`, `/readyz` and `/metrics`.
pub struct Health {
    checks: Vec<(&'static str, Check)>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl Health {
    /// Without a check it is always ready. `metrics` renders what Prometheus reads.
    pub fn new(metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self {
            checks: Vec::new(),
            metrics: Arc::new(metrics),
        }
    }

    /// Adds something that must be well before we are ready. It answers why not, in words for the operator; no secrets.
    #[must_use]
    pub fn check<F>(self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.describe(name, move || {
            let answer = check();
            async move { answer.await.map(|()| String::new()) }
        })
    }

    /// As [`check`](Self::check), of something that also answers how well it is.
    #[must_use]
    pub fn describe<F>(
        mut self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        self.checks
            .push((name, Arc::new(move || Box::pin(check()))));
        self
    }

    /// The routes, to be merged with others. Unknown paths are answered here, so others bring no fallback.
    pub fn router(self) -> Router {
        let checks: Arc<[_]> = self.checks.into();
        let metrics = self.metrics;
        Router::new()
            .route("/", get(async || ABOUT))
            .route("/healthz", get(async || "alive\n"))
            .route("/readyz", get(move || ready(checks.clone())))
            .route("/metrics", get(async move || render(&metrics())))
            .fallback(not_found)
    }
}

const ABOUT: &str = "midwatch: chat-ops with a runbook and a ledger; /readyz says whether it can work, /metrics how it fares\n";

fn render(metrics: &str) -> Response {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, metrics.to_owned()).into_response()
}

async fn not_found(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(100).collect();
    let what = json!({ "error": format!("nothing is at {path}") });
    json_response(StatusCode::NOT_FOUND, &what)
}

async fn ready(checks: Arc<[(&'static str, Check)]>) -> Response {
    let results = run_checks(&checks).await;
    let ready = results.iter().all(Result::is_ok) || planted::is("always-ready");
    let listed: Vec<Value> = checks
        .iter()
        .zip(results)
        .map(|((name, _), result)| match result {
            Ok(how) if how.is_empty() => json!({ "check": name, "ok": true }),
            Ok(how) => json!({ "check": name, "ok": true, "how": how }),
            Err(why) => json!({ "check": name, "ok": false, "why": why }),
        })
        .collect();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_response(status, &json!({ "ready": ready, "checks": listed }))
}

/// All at once, so that one that hangs doesn't use up the others' time. In the order of the checks.
async fn run_checks(checks: &[(&'static str, Check)]) -> Vec<Checked> {
    let mut running = JoinSet::new();
    for (place, (_, check)) in checks.iter().enumerate() {
        let answer = check();
        running.spawn(async move {
            let result = tokio::time::timeout(CHECK_TIME, answer).await;
            let late = || Err(format!("no answer within {} s", CHECK_TIME.as_secs()));
            (place, result.unwrap_or_else(|_| late()))
        });
    }
    let mut results =
        vec![Err("the check itself broke; the log says where".to_owned()); checks.len()];
    while let Some(ended) = running.join_next().await {
        if let Ok((place, result)) = ended {
            results[place] = result;
        }
    }
    results
}

fn json_response(status: StatusCode, value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, format!("{value}\n")).into_response()
}

/// Why a midwatch can't be called ready.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unready {
    /// Nothing answers there, or something else does.
    #[error("{0}")]
    Absent(String),
    /// It answers, and names what is not well.
    #[error("midwatch at {0} is not ready: {1}")]
    Unwell(SocketAddr, String),
}

/// Asks a midwatch that listens there whether it is ready: how its parts fare, those that have more to say than that they
/// are well. Blocks, for some seconds at most.
///
/// An address that means "all of this host" is asked at its loopback.
///
/// # Errors
/// What is wrong, for the operator.
pub fn ask_ready(listen: SocketAddr) -> Result<Vec<String>, Unready> {
    let to = loopback_for(listen);
    let answer = fetch_ready(to).map_err(|why| {
        Unready::Absent(format!(
            "no midwatch answers at {to}: {why}; start `midwatch serve`, or correct MIDWATCH_LISTEN"
        ))
    })?;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    let told = |key| parts_of(&answer, key);
    match status {
        "200" => Ok(told("how")),
        "503" => Err(Unready::Unwell(to, told("why").join("; "))),
        _ => Err(Unready::Absent(format!(
            "what listens at {to} is not midwatch; correct MIDWATCH_LISTEN"
        ))),
    }
}

fn fetch_ready(to: SocketAddr) -> std::io::Result<String> {
    // Longer than a check may take, shorter than a container's health check waits.
    const PATIENCE: Duration = Duration::from_secs(4);
    const LONGEST: u64 = 64 * 1024;
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What the answer says of each check under this key.
fn parts_of(answer: &str, key: &str) -> Vec<String> {
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let told: Value = serde_json::from_str(body.trim()).unwrap_or_default();
    let checks = told["checks"].as_array().into_iter().flatten();
    checks
        .filter_map(|check| {
            let (name, words) = (check["check"].as_str()?, check[key].as_str()?);
            Some(format!("{name}: {words}"))
        })
        .collect()
}

fn loopback_for(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
