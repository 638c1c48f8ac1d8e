//! What the signed requests of all platforms have in common: a body in time, one value of each header, a recent moment.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::domain::Platform;

const BODY_LIMIT: usize = 1 << 20;
/// Platforms wait three seconds; what is on its way needs some of them.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_millis(2_400);
/// Part of it, for reading the body.
const READ_LIMIT: Duration = Duration::from_millis(1_200);
/// How far a platform's clock and ours may differ.
const AGE_LIMIT_SECS: u64 = 300;

/// The whole body, or the answer that refuses it.
pub(super) async fn read_body(
    from: Platform,
    body: Body,
    began: Instant,
) -> Result<Bytes, Response> {
    match timeout_at(began + READ_LIMIT, to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(raw)) => Ok(raw),
        Ok(Err(_)) => {
            let why = "the body can't be read or is over 1 MiB";
            Err(refused(from, "body", StatusCode::PAYLOAD_TOO_LARGE, why))
        }
        Err(_) => {
            let why = "the body came too slowly";
            Err(refused(from, "slow", StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}

/// Counts a refusal, and says why.
pub(super) fn refused(
    from: Platform,
    reason: &'static str,
    status: StatusCode,
    text: &'static str,
) -> Response {
    let platform = from.as_str();
    metrics::counter!("midwatch_deliveries_refused_total", "platform" => platform, "reason" => reason).increment(1);
    (status, text).into_response()
}

/// The header's only value: of two, one would be checked and the other believed.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, &'static str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value
            .to_str()
            .map_err(|_| "a signature header is malformed"),
        (None, _) => Err("a signature header is missing"),
        (Some(_), Some(_)) => Err("a signature header comes twice"),
    }
}

/// The moment that a header names, in seconds of Unix time.
pub(super) fn moment(stamp: &str) -> Result<Timestamp, &'static str> {
    const MALFORMED: &str = "the timestamp is malformed";
    if stamp.len() > 12 || !stamp.bytes().all(|b| b.is_ascii_digit()) {
        return Err(MALFORMED);
    }
    let secs: i64 = stamp.parse().map_err(|_| MALFORMED)?;
    Timestamp::from_second(secs).map_err(|_| MALFORMED)
}

/// Whether a request that was signed then may be one of now.
pub(super) fn is_recent(sent_at: Timestamp, now: Timestamp) -> bool {
    now.as_second().abs_diff(sent_at.as_second()) <= AGE_LIMIT_SECS
}
