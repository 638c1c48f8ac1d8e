//! The REST API's door: tokens, routes, errors, and what becomes of a call on its way.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request as Incoming, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::upload::{self, Upload};
use super::weather::{self, Fate, Scope};
use super::world::role_json;
use super::{
    APP, BOT_TOKEN, BOT_USER, Inner, State, commands, gateway, interactions, messages, pace,
    signing, threads,
};

const ROOT: &str = "/api/v10";

/// A call, understood.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: Vec<String>,
    pub(super) query: HashMap<String, String>,
    pub(super) body: Value,
    pub(super) files: Vec<Upload>,
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

    fn unknown_route() -> Self {
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

pub(super) fn router(inner: Weak<Inner>) -> Router {
    Router::new().fallback(call).with_state(inner)
}

async fn call(Extract(inner): Extract<Weak<Inner>>, request: Incoming) -> Response {
    let Some(inner) = inner.upgrade() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    if request.headers().contains_key("sec-websocket-key") {
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
    let parsed = understood(method, route, parts.uri.query(), &parts.headers, &raw);
    let (response, delay) = {
        let mut state = inner.state();
        if raw
            .windows(BOT_TOKEN.len())
            .any(|window| window == BOT_TOKEN.as_bytes())
            || parts
                .uri
                .query()
                .is_some_and(|query| query.contains(BOT_TOKEN))
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
) -> Result<Request, Request> {
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
        Some((body, files)) => {
            (request.body, request.files) = (body, files);
            Ok(request)
        }
        None => Err(request),
    }
}

/// The response, and how long it shall be held back.
fn answered(
    state: &mut State,
    parsed: &Result<Request, Request>,
    token: Option<&str>,
) -> (Response, Duration) {
    let (Ok(request) | Err(request)) = parsed;
    let route = pattern(request);
    state.calls.push((request.method.clone(), route.clone()));
    let open = ["webhooks", "interactions"].contains(&request.path[0].as_str());
    let fate = weather::fate(state, request);
    if let Fate::Failed(status) = fate {
        return (
            StatusCode::from_u16(status).unwrap().into_response(),
            state.weather.delay(),
        );
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
    let answer = match parsed {
        Ok(request) => dispatch(state, request),
        Err(_) => Err(Refused::new(
            400,
            50_109,
            "The request body contains invalid JSON.",
        )),
    };
    let done = answer.is_ok();
    let response = told(state, request, &route, answer, headers);
    if fate == Fate::Cut && done {
        return (cut(), Duration::ZERO);
    }
    (response, state.weather.delay())
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
        put(
            &mut response,
            &[("retry-after", wait.as_secs_f64().ceil().to_string())],
        );
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

fn put(response: &mut Response, headers: &[(&'static str, String)]) {
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

/// The route without its ids.
pub(super) fn pattern(request: &Request) -> String {
    let mut pattern = String::new();
    let secret = ["webhooks", "interactions"].contains(&request.path[0].as_str());
    for (nth, part) in request.path.iter().enumerate() {
        let is_id = part.bytes().all(|byte| byte.is_ascii_digit());
        let is_emoji = nth > 0 && request.path[nth - 1] == "reactions";
        let hidden = is_id || is_emoji || (secret && nth == 2);
        pattern.push('/');
        pattern.push_str(if hidden { "{}" } else { part });
    }
    pattern
}

fn dispatch(state: &mut State, request: &Request) -> Answer {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    match (request.method.as_str(), path.as_slice()) {
        ("GET", ["users", "@me"]) => {
            let mut user = state.user_json(BOT_USER);
            user["mfa_enabled"] = true.into();
            user["locale"] = "en-US".into();
            Ok((200, user))
        }
        ("GET", ["applications", "@me"] | ["oauth2", "applications", "@me"]) => {
            Ok((200, state.application_json(&signing::public_key())))
        }
        ("GET", ["gateway"]) => Ok((200, json!({ "url": state.gateway_url() }))),
        ("GET", ["gateway", "bot"]) => Ok((200, state.gateway_bot_json())),
        ("GET", ["users", "@me", "guilds"]) => Ok((200, state.my_guilds_json())),
        ("GET", ["guilds", guild, rest @ ..]) => guild_route(state, request, guild, rest),
        ("POST", ["users", "@me", "channels"]) => {
            let user = request.body["recipient_id"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            if !state.users.contains_key(&user) {
                return Err(Refused::new(404, 10_013, "Unknown User"));
            }
            if user == BOT_USER {
                return Err(Refused::new(
                    400,
                    50_007,
                    "Cannot send messages to this user",
                ));
            }
            let channel = state.dm_with(&user);
            Ok((200, state.channel_json(&state.channels[&channel])))
        }
        ("GET", ["channels", channel]) => {
            let channel = state.visible(channel)?;
            Ok((200, state.channel_json(&channel)))
        }
        ("PATCH", ["channels", thread]) => threads::change(state, request, thread),
        ("GET", ["channels", channel, "messages"]) => messages::page(state, request, channel),
        ("POST", ["channels", channel, "messages"]) => messages::create(state, request, channel),
        ("GET", ["channels", channel, "messages", id]) => messages::one(state, channel, id),
        ("PATCH", ["channels", channel, "messages", id]) => {
            messages::edit(state, request, channel, id)
        }
        ("DELETE", ["channels", channel, "messages", id]) => messages::delete(state, channel, id),
        ("POST", ["channels", channel, "messages", id, "threads"]) => {
            threads::from_message(state, request, channel, id)
        }
        ("POST", ["channels", channel, "threads"]) => threads::alone(state, request, channel),
        (
            "PUT" | "DELETE",
            [
                "channels",
                channel,
                "messages",
                id,
                "reactions",
                emoji,
                "@me",
            ],
        ) => messages::react(state, channel, id, emoji, request.method == "PUT"),
        ("GET" | "PUT", ["applications", app, "guilds", guild, "commands"]) => {
            if *app != APP {
                return Err(Refused::new(
                    403,
                    20_012,
                    "You are not authorized to perform this action on this application",
                ));
            }
            state.guild(guild)?;
            if request.method == "PUT" {
                return commands::overwrite(state, guild, &request.body);
            }
            Ok((
                200,
                state
                    .commands
                    .get(*guild)
                    .cloned()
                    .unwrap_or_default()
                    .into(),
            ))
        }
        ("POST", ["interactions", id, token, "callback"]) => {
            interactions::callback(state, request, id, token)
        }
        (_, ["webhooks", app, token, rest @ ..]) => {
            interactions::webhook(state, request, app, token, rest)
        }
        _ => {
            let route = format!("{} {}", request.method, pattern(request));
            state.violation(format!("{route}: no such route here"));
            Err(Refused::unknown_route())
        }
    }
}

fn guild_route(state: &mut State, request: &Request, guild: &str, rest: &[&str]) -> Answer {
    state.guild(guild)?;
    match rest {
        [] => Ok((200, state.guild_json(guild))),
        ["channels"] => {
            let here = state
                .channels
                .values()
                .filter(|it| it.guild.as_deref() == Some(guild) && it.parent.is_none());
            Ok((200, here.map(|it| state.channel_json(it)).collect()))
        }
        ["roles"] => Ok((
            200,
            state.guilds[guild].roles.iter().map(role_json).collect(),
        )),
        ["threads", "active"] => threads::active(state, guild),
        ["members", user] => {
            if !state.users.contains_key(*user) {
                return Err(Refused::new(404, 10_013, "Unknown User"));
            }
            if !state.guilds[guild].members.contains_key(*user) {
                return Err(Refused::new(404, 10_007, "Unknown Member"));
            }
            Ok((200, state.member_json(guild, user)))
        }
        ["members"] => {
            if state.settings.granted & gateway::intent::GUILD_MEMBERS == 0 {
                return Err(Refused::new(403, 50_001, "Missing Access"));
            }
            let number = |name: &str, or| {
                request
                    .query
                    .get(name)
                    .map_or(Some(or), |text| text.parse::<u64>().ok())
            };
            let (limit, after) = (number("limit", 1), number("after", 0));
            let limit = limit.filter(|limit| (1..=1_000).contains(limit));
            let (Some(limit), Some(after)) = (limit, after) else {
                return Err(Refused::form(
                    "limit",
                    "NUMBER_TYPE_MAX",
                    "int value should be between 1 and 1000.",
                ));
            };
            let mut users: Vec<&String> = state.guilds[guild].members.keys().collect();
            users.sort_by_key(|user| user.parse::<u64>().unwrap());
            let users = users
                .into_iter()
                .filter(|user| user.parse::<u64>().unwrap() > after);
            let users = users.take(usize::try_from(limit).unwrap());
            Ok((
                200,
                users.map(|user| state.member_json(guild, user)).collect(),
            ))
        }
        _ => Err(Refused::unknown_route()),
    }
}

impl State {
    pub(super) fn guild(&self, id: &str) -> Result<(), Refused> {
        if self.guilds.contains_key(id) {
            Ok(())
        } else {
            Err(Refused::new(404, 10_004, "Unknown Guild"))
        }
    }

    fn my_guilds_json(&self) -> Value {
        let guilds = self.guilds.iter().map(|(id, guild)| {
            json!({ "id": id, "name": guild.name, "icon": null, "banner": null, "owner": false,
                    "permissions": super::permission::USUAL.to_string(), "features": [] })
        });
        guilds.collect()
    }
}
