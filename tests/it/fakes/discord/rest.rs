//! The REST API's door: tokens, routes, errors, and what becomes of a call on its way.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request as Incoming, State as Extract};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::routes::{dispatch, pattern};
use super::upload::{self, Upload};
use super::weather::{self, Fate, Scope};
use super::{BOT_TOKEN, Inner, State, gateway, pace};

const ROOT: &str = "/api/v10";

/// A call, understood.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: Vec<String>,
    pub(super) query: HashMap<String, String>,
    pub(super) body: Value,
    pub(super) files: Vec<Upload>,
    /// When its head came, before it was read and waited its turn.
    pub(super) came_at: Instant,
    /// Its body could not be read.
    broken: bool,
}

impl Request {
    /// Whether it goes by an interaction's token: such calls the limit for all does not count.
    pub(super) fn is_open(&self) -> bool {
        ["webhooks", "interactions"].contains(&self.path[0].as_str())
    }
}

/// Status and body; `null` is none.
pub(super) type Answer = Result<(u16, Value), Refused>;

/// An error of Discord's.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) code: u32,
    message: String,
    errors: Value,
    retry_ms: Option<i64>,
}

/// A call that was answered with an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Method and pattern, such as `POST /channels/{}/messages`.
    pub(crate) route: String,
    pub(crate) status: u16,
    pub(crate) code: u32,
}

impl Refused {
    pub(super) fn new(status: u16, code: u32, message: &str) -> Self {
        let (message, errors) = (message.to_owned(), Value::Null);
        Self {
            status,
            code,
            message,
            errors,
            retry_ms: None,
        }
    }

    /// A field that is not as it must be; the path's parts are parted by dots.
    pub(super) fn form(path: &str, code: &str, says: &str) -> Self {
        let mut errors = json!({ "_errors": [{ "code": code, "message": says }] });
        for part in path.rsplit('.') {
            errors = json!({ part: errors });
        }
        Self {
            errors,
            ..Self::new(400, 50_035, "Invalid Form Body")
        }
    }

    /// May be tried again after so many milliseconds.
    pub(super) fn later(mut self, wait_ms: i64) -> Self {
        self.retry_ms = Some(wait_ms);
        self
    }

    pub(super) fn unknown_route() -> Self {
        Self::new(404, 0, "404: Not Found")
    }

    #[expect(clippy::cast_precision_loss, reason = "a wait of some seconds")]
    fn body(&self) -> Value {
        let mut body = json!({ "code": self.code, "message": self.message });
        if !self.errors.is_null() {
            body["errors"] = self.errors.clone();
        }
        if let Some(wait_ms) = self.retry_ms {
            body["retry_after"] = json!(wait_ms as f64 / 1_000.0);
            body["global"] = false.into();
        }
        body
    }
}

/// An id, as a text or as a number: Discord takes both.
pub(super) fn id_of(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => id.as_u64().map(|id| id.to_string()),
        _ => None,
    }
}

pub(super) fn router(inner: Weak<Inner>) -> Router {
    Router::new().fallback(call).with_state(inner)
}

async fn call(Extract(inner): Extract<Weak<Inner>>, request: Incoming) -> Response {
    let came_at = Instant::now();
    let Some(inner) = inner.upgrade() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    if request.headers().contains_key("sec-websocket-key") {
        if inner.state().gateway.stalls() {
            drop(inner);
            return std::future::pending().await; // Until the other side gives up.
        }
        return gateway::upgraded(&inner, request);
    }
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.as_str(), parts.uri.path().to_owned());
    let token = parts
        .headers
        .get("authorization")
        .map(|it| it.to_str().unwrap_or_default().to_owned());
    let Some(route) = path.strip_prefix(ROOT) else {
        return other(&inner, &path, token.is_some());
    };
    let raw = to_bytes(body, 64 << 20).await.unwrap_or_default();
    let query = parts.uri.query();
    let parsed = understood(method, route, query, &parts.headers, &raw, came_at);
    let (response, delay) = {
        let mut state = inner.state();
        if raw
            .windows(BOT_TOKEN.len())
            .any(|window| window == BOT_TOKEN.as_bytes())
            || query.is_some_and(|query| query.contains(BOT_TOKEN))
        {
            state.violation(format!(
                "{method} {route}: the bot's token in the query or the body"
            ));
        }
        answered(&mut state, &parsed, token.as_deref())
    };
    inner.changed();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    response
}

/// What is not the API: attachments, and mistakes.
fn other(inner: &Arc<Inner>, path: &str, with_token: bool) -> Response {
    let mut state = inner.state();
    if with_token {
        state.violation(format!("the bot's token sent to {path}"));
    }
    let id = path
        .strip_prefix("/attachments/")
        .and_then(|rest| rest.split('/').nth(1));
    match id.and_then(|id| state.uploads.get(id)) {
        Some(content) => content.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn understood(
    method: &str,
    route: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    raw: &[u8],
    came_at: Instant,
) -> Request {
    let path = route.trim_start_matches('/').split('/');
    let path = path.map(|part| {
        percent_encoding::percent_decode_str(part)
            .decode_utf8_lossy()
            .into_owned()
    });
    let query = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut request = Request {
        method: method.to_owned(),
        path: path.collect(),
        query: query.into_owned().collect(),
        body: Value::Null,
        files: Vec::new(),
        came_at,
        broken: false,
    };
    let kind = headers
        .get("content-type")
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let parsed = if kind.starts_with("multipart/form-data") {
        upload::parsed(kind, raw)
    } else if raw.is_empty() {
        Some((Value::Null, Vec::new()))
    } else {
        serde_json::from_slice(raw)
            .ok()
            .map(|body| (body, Vec::new()))
    };
    match parsed {
        Some((body, files)) => (request.body, request.files) = (body, files),
        None => request.broken = true,
    }
    request
}

/// The response, and how long it shall be held back.
fn answered(state: &mut State, request: &Request, token: Option<&str>) -> (Response, Duration) {
    let route = pattern(request);
    state.calls.push((request.method.clone(), route.clone()));
    let open = request.is_open();
    state.note_body(format!("{} {route}", request.method), &request.body);
    let fate = weather::fate(state, request);
    if let Fate::Failed(status) = fate {
        return (
            StatusCode::from_u16(status).unwrap().into_response(),
            state.weather.delay(),
        );
    }
    if let Some(host) = state.weather.redirect.take() {
        let to = format!("{host}{ROOT}/{}", request.path.join("/"));
        let response = (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response();
        return (response, Duration::ZERO);
    }
    weather::expect_patience(state, request);
    let authorized = token
        .and_then(|it| it.strip_prefix("Bot "))
        .is_some_and(|it| it == BOT_TOKEN);
    if !authorized && !open {
        let refused = Refused::new(401, 0, "401: Unauthorized");
        return (
            told(state, request, &route, Err(refused), Vec::new()),
            Duration::ZERO,
        );
    }
    let (mut headers, mut full) = pace::taken(state, request, open);
    if let Fate::Refused(scope, wait) = fate {
        full = Some((scope, wait));
    }
    if let Some((scope, wait)) = full {
        weather::refused(state, request, scope, wait);
        let response = limited(state, &route, scope, wait, &mut headers);
        return (response, Duration::ZERO);
    }
    let answer = if request.broken {
        let says = "The request body contains invalid JSON.";
        Err(Refused::new(400, 50_109, says))
    } else {
        dispatch(state, request)
    };
    let done = answer.is_ok();
    let response = told(state, request, &route, answer, headers);
    if fate == Fate::Cut && done {
        state.pace.untold(request);
        return (cut(), Duration::ZERO);
    }
    let delay = state.weather.delay();
    if !delay.is_zero() {
        state.pace.untold(request);
    }
    (response, delay)
}

/// The answer in HTTP; errors are remembered, and our own mistakes are.
fn told(
    state: &mut State,
    request: &Request,
    route: &str,
    answer: Answer,
    mut headers: Vec<(&'static str, String)>,
) -> Response {
    let method = &request.method;
    let (status, body) = match answer {
        Ok(answer) => answer,
        Err(refused) => {
            let route = format!("{method} {route}");
            if (refused.status, refused.code) == (401, 0)
                || [50_035, 50_006, 50_109].contains(&refused.code)
            {
                state.violation(format!(
                    "{route}: {} {} {}",
                    refused.status, refused.message, refused.errors
                ));
            }
            if let Some(wait_ms) = refused.retry_ms {
                let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
                weather::refused(state, request, Scope::User, wait);
                headers.push(("retry-after", wait.as_secs_f64().ceil().to_string()));
            }
            state.refuses(route, refused.status, refused.code);
            (refused.status, refused.body())
        }
    };
    if let Some(judge) = state.judge.clone() {
        let path = format!("/{}", request.path.join("/"));
        state
            .misanswers
            .extend(judge.answer(method, &path, status, &body));
    }
    let status = StatusCode::from_u16(status).unwrap();
    let mut response = if body.is_null() {
        status.into_response()
    } else {
        (
            status,
            [("content-type", "application/json")],
            body.to_string(),
        )
            .into_response()
    };
    put(&mut response, &headers);
    response
}

fn limited(
    state: &mut State,
    route: &str,
    scope: Scope,
    wait: Duration,
    headers: &mut Vec<(&'static str, String)>,
) -> Response {
    let route = route.to_owned();
    headers.push(("retry-after", wait.as_secs_f64().ceil().to_string()));
    if scope == Scope::Cloudflare {
        // Whoever is banned is told so by another server, in HTML.
        state.refuses(route, 429, 0);
        let mut response = (
            StatusCode::TOO_MANY_REQUESTS,
            [("content-type", "text/html")],
            "error code: 1015",
        )
            .into_response();
        let wait = wait.as_secs_f64().ceil().to_string();
        response
            .headers_mut()
            .insert("retry-after", wait.parse().unwrap());
        return response;
    }
    if scope == Scope::Shared {
        state.refusals.push(Refusal {
            route,
            status: 429,
            code: 0,
        });
    } else {
        state.refuses(route, 429, 0);
    }
    if scope == Scope::Global {
        headers.retain(|(name, _)| !name.starts_with("x-ratelimit"));
        headers.push(("x-ratelimit-global", "true".to_owned()));
    }
    headers.push(("x-ratelimit-scope", scope.word().to_owned()));
    let body = json!({ "message": "You are being rate limited.", "code": 0, "retry_after": wait.as_secs_f64(),
                       "global": scope == Scope::Global });
    if let Some(judge) = state.judge.clone() {
        state
            .misanswers
            .extend(judge.schema("RatelimitedResponse", &body));
    }
    let mut response = (
        StatusCode::TOO_MANY_REQUESTS,
        [("content-type", "application/json")],
        body.to_string(),
    )
        .into_response();
    put(&mut response, headers);
    response
}

/// Headers of an answer of Discord's own, which comes past its shield: some clients know a ban by the missing `via`.
fn put(response: &mut Response, headers: &[(&'static str, String)]) {
    let via = HeaderValue::from_static("1.1 google");
    response.headers_mut().insert("via", via);
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
}

/// A response whose connection breaks in the middle.
fn cut() -> Response {
    let broken = futures_util::stream::once(async { Err::<String, _>(io::Error::other("cut")) });
    (
        [("content-type", "application/json")],
        Body::from_stream(broken),
    )
        .into_response()
}

impl State {
    fn refuses(&mut self, route: String, status: u16, code: u32) {
        if [401, 403, 429].contains(&status) {
            self.invalid += 1;
            if self.invalid > self.settings.invalid_limit {
                let count = self.invalid;
                self.violation(format!("invalid request number {count}"));
            }
        }
        self.refusals.push(Refusal {
            route,
            status,
            code,
        });
    }
}
