//! Slack over HTTP: signed requests in, an acknowledgement out once the inbound is durable. Never a 500.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::inbound::{self, Delivery};
use super::{Door, as_text};
use crate::chat::door::{Heard, MISUNDERSTOOD, Taken, take};
use crate::chat::signed::{self, ANSWER_LIMIT, is_recent, read_body, refused, single};
use crate::domain::Platform;
use crate::planted;

/// What a request is, by its path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Command,
    Event,
    Interaction,
}

/// The three addresses that the app's manifest names.
pub fn routes(door: Door) -> Router {
    Router::new()
        .route("/slack/commands", get(certificate_check).post(command))
        .route("/slack/events", post(event))
        .route("/slack/interactions", post(interaction))
        .with_state(door)
}

/// `GET …?ssl_check=1`: Slack looks at our certificate only.
async fn certificate_check() -> StatusCode {
    StatusCode::OK
}

async fn command(State(door): State<Door>, request: Request) -> Response {
    answer(&door, Kind::Command, request).await
}

async fn event(State(door): State<Door>, request: Request) -> Response {
    answer(&door, Kind::Event, request).await
}

async fn interaction(State(door): State<Door>, request: Request) -> Response {
    answer(&door, Kind::Interaction, request).await
}

async fn answer(door: &Door, kind: Kind, request: Request) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let raw = match read_body(Platform::Slack, body, began).await {
        Ok(raw) => raw,
        Err(refusal) => return refusal,
    };
    let now = door.clock.now();
    let secret = door
        .slack
        .signing_secret
        .as_ref()
        .map(ExposeSecret::expose_secret);
    let sent_at = match verify(&parts.headers, &raw, secret, now) {
        Ok(sent_at) => sent_at,
        Err(why) => return refused(Platform::Slack, why, StatusCode::UNAUTHORIZED, why),
    };
    if parts.headers.contains_key("x-slack-retry-num") {
        metrics::counter!("midwatch_deliveries_repeated_total", "platform" => "slack").increment(1);
    }
    let payload = payload(kind, &raw);
    let event = payload.as_ref().filter(|_| kind == Kind::Event);
    if let Some(challenge) = event.and_then(inbound::challenge) {
        return challenge.to_owned().into_response();
    }
    let delivery = Delivery {
        me: door.slack.me(),
        now,
        sent_at: Some(sent_at),
        raw: &raw,
    };
    let heard = match (&payload, kind) {
        (None, _) => Heard::Malformed("a body that can't be read".to_owned()),
        (Some(payload), Kind::Command) => inbound::command(payload, &delivery),
        (Some(payload), Kind::Event) => inbound::event(payload, &delivery),
        (Some(payload), Kind::Interaction) => inbound::interaction(payload, &delivery),
    };
    let deadline = began + ANSWER_LIMIT;
    let taken = take(Platform::Slack, &door.intake, heard, deadline).await;
    acknowledgement(kind, payload.as_ref(), taken)
}

/// Reads the verified body: a form for commands, JSON in a form for interactions, JSON for events.
fn payload(kind: Kind, raw: &[u8]) -> Option<Value> {
    match kind {
        Kind::Command => {
            let fields = url::form_urlencoded::parse(raw)
                .map(|(name, value)| (name.into_owned(), value.into()));
            Some(Value::Object(fields.collect()))
        }
        Kind::Event => serde_json::from_slice(raw).ok(),
        Kind::Interaction => {
            let (_, json) = url::form_urlencoded::parse(raw).find(|(name, _)| name == "payload")?;
            serde_json::from_str(&json).ok()
        }
    }
}

fn acknowledgement(kind: Kind, payload: Option<&Value>, taken: Taken) -> Response {
    let submission = payload.filter(|payload| as_text(payload, "/type") == "view_submission");
    match (taken, kind) {
        (Taken::Kept(_) | Taken::Nothing, _) | (Taken::Misunderstood, Kind::Event) => {
            StatusCode::OK.into_response()
        }
        (Taken::Misunderstood, _) if submission.is_some() => StatusCode::OK.into_response(),
        (Taken::Misunderstood, _) if planted::is("unreadable-is-500") => {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        (Taken::Misunderstood, _) => json_answer(&ephemeral(MISUNDERSTOOD)),
        (Taken::NotKept(why), Kind::Command) => json_answer(&ephemeral(why)),
        // Slack repeats the event, and shows the presser of a button that it did not work.
        (Taken::NotKept(why), _) => match submission.and_then(|view| form_error(view, why)) {
            Some(error) => json_answer(&error),
            None => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
        },
    }
}

/// An answer that only the person sees.
pub(super) fn ephemeral(text: &str) -> Value {
    json!({ "response_type": "ephemeral", "text": text })
}

/// Keeps the form open, with the sentence under its first question.
pub(super) fn form_error(payload: &Value, why: &str) -> Option<Value> {
    let mut blocks = payload["view"]["blocks"].as_array()?.iter();
    let input = blocks.find(|block| as_text(block, "/type") == "input")?;
    Some(json!({ "response_action": "errors", "errors": { as_text(input, "/block_id"): why } }))
}

fn json_answer(value: &Value) -> Response {
    (
        [(CONTENT_TYPE, "application/json")],
        Body::from(value.to_string()),
    )
        .into_response()
}

/// Checks that Slack signed these very bytes, lately; answers when it did.
///
/// See <https://docs.slack.dev/authentication/verifying-requests-from-slack>. No error holds what would have been right.
fn verify(
    headers: &HeaderMap,
    raw: &[u8],
    secret: Option<&str>,
    now: Timestamp,
) -> Result<Timestamp, &'static str> {
    let secret = secret.ok_or("signed requests are not set up")?;
    let stamp = single(headers, "x-slack-request-timestamp")?;
    let given = single(headers, "x-slack-signature")?;
    let sent_at = signed::moment(stamp)?;
    if !is_recent(sent_at, now) && !planted::is("window-missing") {
        return Err("the timestamp is more than five minutes off");
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|_| "signed requests are not set up")?;
    for part in [b"v0:", stamp.as_bytes(), b":", raw] {
        mac.update(part);
    }
    let right = format!(
        "v0={}",
        data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
    );
    if planted::is("signature-told") {
        tracing::debug!("a signature: {given}; right is {right}");
    }
    let begins = planted::is("signature-begun") && right.starts_with(given);
    if begins || bool::from(right.as_bytes().ct_eq(given.as_bytes())) {
        Ok(sent_at)
    } else {
        Err("the signature doesn't fit")
    }
}
