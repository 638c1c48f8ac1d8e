//! Discord over HTTP: signed interactions in, their first answer out once the inbound is durable. Never a 500.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::{Door, Reply};
use crate::chat::signed::{self, ANSWER_LIMIT, is_recent, read_body, single};
use crate::domain::Platform;
use crate::planted;

/// The address that the developer portal has as *Interactions Endpoint URL*.
pub fn routes(door: Door) -> Router {
    Router::new()
        .route("/discord/interactions", post(interaction))
        .with_state(door)
}

async fn interaction(State(door): State<Door>, request: Request) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let raw = match read_body(Platform::Discord, body, began).await {
        Ok(raw) => raw,
        Err(refusal) => return refusal,
    };
    let key = door.discord.public_key.as_ref();
    if let Err(why) = verify(&parts.headers, &raw, key, door.clock.now()) {
        return refused(why, StatusCode::UNAUTHORIZED, why);
    }
    let payload: Value = match serde_json::from_slice(&raw) {
        Ok(payload) => payload,
        Err(_) if planted::is("discord-unreadable-is-500") => {
            return refused("json", StatusCode::INTERNAL_SERVER_ERROR, "internal error");
        }
        Err(_) => return refused("json", StatusCode::BAD_REQUEST, "the body is no JSON"),
    };
    if planted::is("discord-token-told") {
        tracing::warn!("discord sent {payload}");
    }
    match door.interact(&payload, began + ANSWER_LIMIT).await {
        Some(Reply::First(answer)) => answered(&answer),
        Some(Reply::Repeated(again)) => answered(&again.answer()),
        None => refused("kind", StatusCode::BAD_REQUEST, "that is no interaction"),
    }
}

fn answered(answer: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

fn refused(reason: &'static str, status: StatusCode, text: &'static str) -> Response {
    signed::refused(Platform::Discord, reason, status, text)
}

/// Checks that Discord signed these very bytes, lately. See
/// <https://docs.discord.com/developers/interactions/overview#setting-up-an-endpoint>.
fn verify(
    headers: &HeaderMap,
    raw: &[u8],
    key: Option<&VerifyingKey>,
    now: Timestamp,
) -> Result<(), &'static str> {
    let key = key.ok_or("signed requests are not set up")?;
    let stamp = single(headers, "x-signature-timestamp")?;
    let given = single(headers, "x-signature-ed25519")?;
    let sent_at = signed::moment(stamp)?;
    if !is_recent(sent_at, now) && !planted::is("discord-window-missing") {
        return Err("the timestamp is more than five minutes off");
    }
    let signature = data_encoding::HEXLOWER_PERMISSIVE
        .decode(given.as_bytes())
        .ok()
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
        .ok_or("the signature is malformed")?;
    let signed = [stamp.as_bytes(), raw].concat();
    key.verify_strict(&signed, &signature)
        .map_err(|_| "the signature doesn't fit")
}
