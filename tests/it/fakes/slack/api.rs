//! The Web API: tokens, channels, threads, limits and troubles.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::weather::{self, Fate};
use super::{
    APP_TOKEN, BOT, BOT_TOKEN, BOT_USER, FakeSlack, Inner, OpenedForm, Posted, State, TEAM, groups,
    history, rules,
};

const WRITING: [&str; 5] = [
    "chat.postMessage",
    "chat.update",
    "chat.postEphemeral",
    "views.open",
    "files.completeUploadExternal",
];

/// `Err` is Slack's word for what is wrong.
type Answer = Result<Value, &'static str>;

pub(super) fn router(inner: Weak<Inner>) -> Router {
    Router::new()
        .route("/api/{method}", any(call))
        .route("/upload/{file}", post(upload))
        .with_state(inner)
}

async fn call(Extract(inner): Extract<Weak<Inner>>, request: Request) -> Response {
    let Some(inner) = inner.upgrade() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (parts, body) = request.into_parts();
    let method = parts.uri.path().trim_start_matches("/api/").to_owned();
    let raw = to_bytes(body, 1 << 22).await.unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default();
    let body = serde_json::from_slice(&raw).unwrap_or_else(|_| {
        let fields =
            url::form_urlencoded::parse(query.as_bytes()).chain(url::form_urlencoded::parse(&raw));
        Value::Object(
            fields
                .map(|(name, value)| (name.into_owned(), value.into()))
                .collect(),
        )
    });
    let (response, posted) = answered(&inner, &method, &parts.headers, &body);
    inner.changed();
    if let Some(event) = posted {
        let fake = FakeSlack {
            inner: inner.clone(),
        };
        inner.own(async move { fake.echo(event).await });
    }
    response
}

/// The answer, and the message that the app hears of because it was posted.
fn answered(
    inner: &Arc<Inner>,
    method: &str,
    headers: &HeaderMap,
    body: &Value,
) -> (Response, Option<Value>) {
    let mut state = inner.state();
    state.calls.push(method.to_owned());
    let writing = WRITING.contains(&method);
    if state.trouble.fail_next > 0 {
        state.trouble.fail_next -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE.into_response(), None);
    }
    if let Some(host) = state.trouble.redirect.take() {
        let to = [("location", format!("{host}/api/{method}"))];
        return ((StatusCode::TEMPORARY_REDIRECT, to).into_response(), None);
    }
    weather::expect_patience(&mut state, method, body);
    let too_fast = history::too_fast(&mut state, method);
    if let Some(wait) = too_fast.or_else(|| groups::too_fast(&mut state, method)) {
        weather::refused(&mut state, &weather::key(method, body), wait);
        return (weather::limited(wait), None);
    }
    let refuse = writing && is_refused(&mut state, method, body);
    let fate = weather::fate(&mut state, method, body, refuse);
    if let Fate::Refused(wait) = fate {
        return (weather::limited(wait), None);
    }
    let before = (fate == Fate::Lost).then(|| state.messages.clone());
    let answer = token(method, headers).and_then(|()| dispatch(inner, &mut state, method, body));
    let echo = answer
        .as_ref()
        .ok()
        .filter(|_| before.is_none() && ["chat.postMessage", "chat.update"].contains(&method));
    let echo = echo.map(|answer| json!({ "method": method, "message": answer["message"] }));
    match &answer {
        // What the workspace forbids nobody knows before.
        Err("edit_window_closed") => {}
        Err(error) if !weather::is_excused(&state, body) => {
            state.violation(format!("{method}: {error}"));
        }
        Err(_) => {}
        Ok(answer) => {
            if let Some(before) = before {
                state.messages = before;
                if method == "chat.postMessage" {
                    weather::not_kept(&mut state, answer["ts"].as_str().unwrap());
                }
            }
            if fate == Fate::Cut {
                return (weather::cut(), echo);
            }
            if writing && state.trouble.drop_answer_next > 0 {
                state.trouble.drop_answer_next -= 1;
                return (weather::cut(), echo);
            }
        }
    }
    let body = match answer {
        Ok(mut answer) => {
            answer["ok"] = true.into();
            answer
        }
        Err(error) => json!({ "ok": false, "error": error }),
    };
    (
        (
            [("content-type", "application/json; charset=utf-8")],
            body.to_string(),
        )
            .into_response(),
        echo,
    )
}

fn is_refused(state: &mut State, method: &str, body: &Value) -> bool {
    let channel = body["channel"].as_str().unwrap_or_default();
    let now = Instant::now();
    let mut refuse = false;
    if state.trouble.refuse_next > 0 {
        state.trouble.refuse_next -= 1;
        refuse = true;
    }
    if state.trouble.paced && method == "chat.postMessage" {
        let (tokens, at) = state.pace.get(channel).copied().unwrap_or((4.0, now));
        let tokens = (tokens + (now - at).as_secs_f64()).min(4.0);
        refuse |= tokens < 1.0;
        state.pace.insert(
            channel.to_owned(),
            (if refuse { tokens } else { tokens - 1.0 }, now),
        );
    }
    refuse
}

fn token(method: &str, headers: &HeaderMap) -> Result<(), &'static str> {
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let wanted = if method == "apps.connections.open" {
        APP_TOKEN
    } else {
        BOT_TOKEN
    };
    match given.strip_prefix("Bearer ") {
        None => Err("not_authed"),
        Some(token) if token == wanted => Ok(()),
        Some(token) if token == APP_TOKEN || token == BOT_TOKEN => Err("not_allowed_token_type"),
        Some(_) => Err("invalid_auth"),
    }
}

fn dispatch(inner: &Arc<Inner>, state: &mut State, method: &str, body: &Value) -> Answer {
    match method {
        "auth.test" => Ok(
            json!({ "url": "https://shop.slack.test/", "team": "Shop", "team_id": TEAM,
                                  "user": "midwatch", "user_id": BOT_USER, "bot_id": BOT }),
        ),
        "apps.connections.open" => {
            let (way, ticket) = state.sockets.new_ticket()?;
            Ok(json!({ "url": format!("{way}://{}/link/?ticket={ticket}", inner.sockets) }))
        }
        "chat.postMessage" => post_message(state, body, None),
        "chat.postEphemeral" => {
            let user = text(body, "user").ok_or("user_not_found")?;
            post_message(state, body, Some(&user))
        }
        "chat.update" => update(state, body),
        "views.open" => open_view(state, body),
        "files.getUploadURLExternal" => {
            let length = body["length"]
                .as_str()
                .and_then(|length| length.parse().ok());
            let length: usize = length
                .filter(|length| *length > 0)
                .ok_or("invalid_arguments")?;
            let name = text(body, "filename").ok_or("invalid_arguments")?;
            let id = state.next_id("F");
            state.uploads.insert(id.clone(), (name, length, None));
            Ok(json!({ "upload_url": format!("http://{}/upload/{id}", inner.api), "file_id": id }))
        }
        "files.completeUploadExternal" => complete_upload(state, body),
        groups::METHOD => groups::list_users(state, body),
        _ => history::read(state, method, body).unwrap_or(Err("unknown_method")),
    }
}

fn post_message(state: &mut State, body: &Value, only_for: Option<&str>) -> Answer {
    let wanted = text(body, "channel").ok_or("channel_not_found")?;
    // Posting to a person means their direct messages.
    let channel = if wanted.starts_with('U') {
        format!("D{wanted}")
    } else {
        wanted
    };
    if channel.starts_with('D') {
        state.channels.entry(channel.clone()).or_default().member = true;
    }
    reachable(state, &channel)?;
    check_message(state, body)?;
    let thread = text(body, "thread_ts");
    if let Some(thread) = &thread {
        let root = state
            .messages
            .iter()
            .find(|message| message.channel == channel && message.ts == *thread);
        match root {
            None => return Err("thread_not_found"),
            Some(root) if root.thread.is_some() => return Err("cannot_reply_to_message"),
            Some(_) => {}
        }
    }
    let message = Posted {
        ts: state.next_ts(),
        channel: channel.clone(),
        thread,
        user: BOT_USER.to_owned(),
        text: text(body, "text").unwrap_or_default(),
        blocks: body["blocks"].as_array().cloned().unwrap_or_default(),
        metadata: body["metadata"].clone(),
        only_for: only_for.map(str::to_owned),
        ..Posted::default()
    };
    state.messages.push(message.clone());
    if only_for.is_some() {
        return Ok(json!({ "message_ts": message.ts }));
    }
    Ok(json!({ "channel": channel, "ts": message.ts, "message": message.json(true) }))
}

fn update(state: &mut State, body: &Value) -> Answer {
    let channel = text(body, "channel").ok_or("channel_not_found")?;
    reachable(state, &channel)?;
    check_message(state, body)?;
    let ts = text(body, "ts").ok_or("message_not_found")?;
    if state.trouble.edits_closed {
        return Err("edit_window_closed");
    }
    let found = state
        .messages
        .iter_mut()
        .find(|message| message.channel == channel && message.ts == ts);
    let message = found.ok_or("message_not_found")?;
    if message.user != BOT_USER {
        return Err("cant_update_message");
    }
    message.text = text(body, "text").unwrap_or_default();
    message.blocks = body["blocks"].as_array().cloned().unwrap_or_default();
    // Without new metadata the message keeps what it has.
    if !body["metadata"].is_null() {
        message.metadata = body["metadata"].clone();
    }
    message.edits += 1;
    Ok(json!({ "channel": channel, "ts": ts, "message": message.json(true) }))
}

fn check_message(state: &mut State, body: &Value) -> Result<(), &'static str> {
    if body["parse"] != "none" || body["link_names"] == true {
        state.violation("a message whose text may ping");
    }
    if body["mrkdwn"] != false || body["unfurl_links"] != false || body["unfurl_media"] != false {
        state.violation("a message whose text may format or unfold");
    }
    match rules::message_fault(body) {
        None => Ok(()),
        Some((word, fault)) => {
            state.violation(fault);
            Err(word)
        }
    }
}

fn reachable(state: &State, channel: &str) -> Result<(), &'static str> {
    match state.channels.get(channel) {
        None => Err("channel_not_found"),
        Some(found) if found.archived => Err("is_archived"),
        Some(found) if !found.member => Err("not_in_channel"),
        Some(_) => Ok(()),
    }
}

fn open_view(state: &mut State, body: &Value) -> Answer {
    let trigger = text(body, "trigger_id").ok_or("invalid_trigger_id")?;
    let (user, opened_at, spent) = state
        .triggers
        .get_mut(&trigger)
        .ok_or("invalid_trigger_id")?;
    if opened_at.elapsed() > Duration::from_secs(3) {
        return Err("expired_trigger_id");
    }
    if std::mem::replace(spent, true) {
        return Err("exchanged_trigger_id");
    }
    let user = user.clone();
    if let Some(fault) = rules::view_fault(&body["view"]) {
        state.violation(fault);
        return Err("invalid_arguments");
    }
    let id = state.next_id("V");
    state.forms.push(OpenedForm {
        id: id.clone(),
        user,
        view: body["view"].clone(),
    });
    Ok(json!({ "view": { "id": id } }))
}

fn complete_upload(state: &mut State, body: &Value) -> Answer {
    let channel = text(body, "channel_id").ok_or("channel_not_found")?;
    reachable(state, &channel)?;
    let mut files = Vec::new();
    for file in body["files"].as_array().ok_or("invalid_arguments")? {
        let upload = state
            .uploads
            .remove(file["id"].as_str().unwrap_or_default());
        let (name, length, content) = upload.ok_or("file_not_found")?;
        let content = content
            .filter(|content| content.len() == length)
            .ok_or("file_not_found")?;
        files.push((name, content));
    }
    let ts = state.next_ts();
    state.messages.push(Posted {
        channel,
        ts,
        thread: text(body, "thread_ts"),
        user: BOT_USER.to_owned(),
        files,
        ..Posted::default()
    });
    Ok(json!({ "files": body["files"] }))
}

async fn upload(Extract(inner): Extract<Weak<Inner>>, request: Request) -> Response {
    let Some(inner) = inner.upgrade() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (parts, body) = request.into_parts();
    let id = parts.uri.path().trim_start_matches("/upload/").to_owned();
    let raw = to_bytes(body, 1 << 24).await.unwrap_or_default();
    let mut state = inner.state();
    if parts.headers.contains_key("authorization") {
        state.violation("an upload that carries our token");
    }
    let uploads: &mut HashMap<_, _> = &mut state.uploads;
    let Some((_, _, content)) = uploads.get_mut(&id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    *content = Some(String::from_utf8_lossy(&raw).into_owned());
    format!("OK - {}", raw.len()).into_response()
}

fn text(body: &Value, name: &str) -> Option<String> {
    body[name]
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}
