//! Discord over HTTP: signed interactions in, their first answer out once the inbound is durable. Never a 500.

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{Door, Reply};
use crate::planted;

const BODY_LIMIT: usize = 1 << 20;
/// Discord waits three seconds; what is on its way needs some of them.
const ANSWER_LIMIT: Duration = Duration::from_millis(2_400);
/// Part of it, for reading the body.
const READ_LIMIT: Duration = Duration::from_millis(1_200);
/// How far Discord's clock and ours may differ. Discord's own verification knows no age; a replay is also known by its id.
const AGE_LIMIT_SECS: i64 = 300;

/// The address that the developer portal has as *Interactions Endpoint URL*.
pub fn routes(door: Door) -> Router {
    Router::new()
        .route("/discord/interactions", post(interaction))
        .with_state(door)
}

async fn interaction(State(door): State<Door>, request: Request) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let raw = match timeout_at(began + READ_LIMIT, axum::body::to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(raw)) => raw,
        Ok(Err(_)) => {
            let why = "the body can't be read or is over 1 MiB";
            return refused("body", StatusCode::PAYLOAD_TOO_LARGE, why);
        }
        Err(_) => {
            return refused(
                "slow",
                StatusCode::REQUEST_TIMEOUT,
                "the body came too slowly",
            );
        }
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
        Some(Reply::First(answer) | Reply::Repeated(answer)) => {
            ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
        }
        None => refused("kind", StatusCode::BAD_REQUEST, "that is no interaction"),
    }
}

fn refused(reason: &'static str, status: StatusCode, text: &'static str) -> Response {
    metrics::counter!("midwatch_deliveries_refused_total", "platform" => "discord", "reason" => reason).increment(1);
    (status, text).into_response()
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
    if stamp.len() > 12 || !stamp.bytes().all(|b| b.is_ascii_digit()) {
        return Err("the timestamp is malformed");
    }
    let sent: i64 = stamp.parse().map_err(|_| "the timestamp is malformed")?;
    let off = now.as_second().abs_diff(sent);
    if off > AGE_LIMIT_SECS.unsigned_abs() && !planted::is("discord-window-missing") {
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

/// The header's only value: of two, one would be checked and the other believed.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, &'static str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value
            .to_str()
            .map_err(|_| "a signature header is malformed"),
        (None, _) => Err("a signature header is missing"),
        (Some(_), Some(_)) => Err("a signature header comes twice"),
    }
}
