//! What Discord lets us say yet: its buckets, its waits for all, its word that our token is not taken.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use serenity::http::{RatelimitingBucket, Request, Route};
use tokio::time::Instant;

use super::CallError;
use crate::planted;

/// When Discord says "too fast" and not for how long.
const WAIT_UNSAID: Duration = Duration::from_secs(10);
/// Nobody is heard for longer than that, whatever a header says.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// Calls with a token that is not valid count towards the ten thousand that get a host banned: one a minute will do.
const TOKEN_REFUSED: Duration = Duration::from_secs(60);
/// Above so many, buckets that are full again are forgotten.
const MOST_BUCKETS: usize = 4_096;

/// Calls of one key share a bucket, as far as one can know beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    method: Method,
    route: RatelimitingBucket,
    /// Each interaction has a bucket of its own, which the library doesn't know.
    token: Option<String>,
}

impl Key {
    pub(super) fn of(request: &Request<'_>) -> Self {
        let route = request.route_ref();
        Self {
            method: request.method_ref().reqwest_method(),
            route: route.ratelimiting_bucket(),
            token: match route {
                Route::WebhookFollowupMessages { token, .. }
                | Route::WebhookOriginalInteractionResponse { token, .. } => {
                    Some((*token).to_owned())
                }
                _ => None,
            },
        }
    }
}

/// How much may be said yet, and until when nothing.
#[derive(Default)]
pub(super) struct Buckets {
    known: HashMap<Key, Bucket>,
    /// Until when Discord wants to hear nothing at all.
    quiet_until: Option<Instant>,
    /// Until when our token is not tried again.
    refused_until: Option<Instant>,
}

struct Bucket {
    /// How many calls may be made before it is full again.
    remaining: u64,
    full_at: Instant,
}

impl Buckets {
    /// Takes one from the bucket, or says how long to wait.
    pub(super) fn begin(&mut self, key: &Key) -> Result<(), CallError> {
        let now = Instant::now();
        if planted::is("retry-after-ignored") {
            return Ok(());
        }
        if self.refused_until.is_some_and(|until| until > now) {
            return Err(CallError::NotAllowed);
        }
        if let Some(until) = self.quiet_until.filter(|until| *until > now) {
            return Err(CallError::Limited(until - now));
        }
        if key.route.is_none() {
            return Ok(());
        }
        if let Some(bucket) = self.known.get_mut(key).filter(|it| it.full_at > now) {
            if bucket.remaining == 0 {
                return Err(CallError::Limited(bucket.full_at - now));
            }
            bucket.remaining -= 1;
        }
        Ok(())
    }

    /// Remembers what an answer says of the next call.
    pub(super) fn note(
        &mut self,
        key: Key,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&Value>,
    ) {
        let now = Instant::now();
        if is_refused_token(status, body) {
            self.refused_until = Some(now + TOKEN_REFUSED);
            return;
        }
        let limited = status == StatusCode::TOO_MANY_REQUESTS;
        let (remaining, full_at) = if limited {
            (0, now + asked_wait(headers, body))
        } else {
            match (
                number(headers, "x-ratelimit-remaining"),
                seconds(headers, "x-ratelimit-reset-after"),
            ) {
                (Some(remaining), Some(after)) => (remaining, now + after),
                _ => return,
            }
        };
        // What is not said in JSON is not said by Discord but by its shield, of this machine's address.
        let global = headers.contains_key("x-ratelimit-global")
            || body.is_none_or(|body| body["global"] == true || !body.is_object());
        if limited && global && !planted::is("discord-wait-for-all-ignored") {
            self.quiet_until = self.quiet_until.max(Some(full_at));
        }
        self.forget_old(now);
        let bucket = self
            .known
            .entry(key)
            .or_insert(Bucket { remaining, full_at });
        // Answers may come in another order than they were made: the less hopeful one counts, until it is over.
        if bucket.full_at <= now {
            *bucket = Bucket { remaining, full_at };
        } else {
            bucket.remaining = bucket.remaining.min(remaining);
            bucket.full_at = bucket.full_at.max(full_at);
        }
    }

    fn forget_old(&mut self, now: Instant) {
        if self.known.len() > MOST_BUCKETS {
            self.known.retain(|_, bucket| bucket.full_at > now);
        }
    }
}

/// An interaction's token may be over, too: that is another number.
pub(super) fn is_refused_token(status: StatusCode, body: Option<&Value>) -> bool {
    status == StatusCode::UNAUTHORIZED && body.is_some_and(|body| body["code"] == 0)
}

/// How long a 429 asks us to wait: whichever of header and body is longer.
pub(super) fn asked_wait(headers: &HeaderMap, body: Option<&Value>) -> Duration {
    let body = body.and_then(|body| body["retry_after"].as_f64());
    let body = body.and_then(|secs| Duration::try_from_secs_f64(secs).ok());
    let waits = [seconds(headers, "retry-after"), body];
    let longest = waits.into_iter().flatten().max();
    longest.unwrap_or(WAIT_UNSAID).min(LONGEST_WAIT)
}

fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    let secs: f64 = headers.get(name)?.to_str().ok()?.parse().ok()?;
    Some(Duration::try_from_secs_f64(secs).ok()?.min(LONGEST_WAIT))
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::code;
    use super::*;
    use serde_json::json;
    use serenity::http::LightMethod;

    fn key(channel: u64) -> Key {
        let channel_id = channel.into();
        Key::of(&Request::new(
            Route::ChannelMessages { channel_id },
            LightMethod::Post,
        ))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_bucket_is_not_asked_before_it_is_full_again() {
        let mut buckets = Buckets::default();
        assert!(buckets.begin(&key(1)).is_ok());
        let left = headers(&[
            ("x-ratelimit-remaining", "1"),
            ("x-ratelimit-reset-after", "2.5"),
        ]);
        buckets.note(key(1), StatusCode::OK, &left, None);
        assert!(buckets.begin(&key(1)).is_ok());
        let wait = Duration::from_millis(2_500);
        assert_eq!(buckets.begin(&key(1)), Err(CallError::Limited(wait)));
        assert!(
            buckets.begin(&key(2)).is_ok(),
            "another channel has its own"
        );
        tokio::time::advance(wait).await;
        assert!(buckets.begin(&key(1)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_is_obeyed_for_as_long_as_it_says_and_for_all_when_it_says_so() {
        let mut buckets = Buckets::default();
        let body = json!({ "retry_after": 1.25, "global": false });
        let status = StatusCode::TOO_MANY_REQUESTS;
        buckets.note(
            key(1),
            status,
            &headers(&[("retry-after", "1")]),
            Some(&body),
        );
        let wait = Duration::from_millis(1_250);
        assert_eq!(buckets.begin(&key(1)), Err(CallError::Limited(wait)));
        assert!(buckets.begin(&key(2)).is_ok());
        let body = json!({ "retry_after": 3.0, "global": true });
        buckets.note(key(1), status, &HeaderMap::new(), Some(&body));
        assert_eq!(
            buckets.begin(&key(2)),
            Err(CallError::Limited(Duration::from_secs(3)))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_that_is_no_json_is_about_all_that_we_call() {
        let mut buckets = Buckets::default();
        let status = StatusCode::TOO_MANY_REQUESTS;
        let ban = headers(&[("retry-after", "600")]);
        buckets.note(key(1), status, &ban, None);
        let wait = Duration::from_secs(600);
        assert_eq!(buckets.begin(&key(2)), Err(CallError::Limited(wait)));
        let mut buckets = Buckets::default();
        buckets.note(key(1), status, &HeaderMap::new(), Some(&Value::Null));
        assert_eq!(buckets.begin(&key(2)), Err(CallError::Limited(WAIT_UNSAID)));
    }

    #[tokio::test(start_paused = true)]
    async fn each_interaction_has_a_bucket_of_its_own() {
        let of = |token| {
            let application_id = 1_u64.into();
            let route = Route::WebhookOriginalInteractionResponse {
                application_id,
                token,
            };
            Key::of(&Request::new(route, LightMethod::Patch))
        };
        let mut buckets = Buckets::default();
        let left = headers(&[
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset-after", "5"),
        ]);
        buckets.note(of("one"), StatusCode::OK, &left, None);
        assert!(buckets.begin(&of("one")).is_err());
        assert!(buckets.begin(&of("two")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_is_full_again_at_once_holds_nothing_up() {
        let mut buckets = Buckets::default();
        let none_left = headers(&[
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset-after", "0.000"),
            ("x-ratelimit-bucket", "another than before"),
        ]);
        buckets.note(key(1), StatusCode::OK, &none_left, None);
        assert!(buckets.begin(&key(1)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_tried_once_a_minute() {
        let mut buckets = Buckets::default();
        let status = StatusCode::UNAUTHORIZED;
        let over = json!({ "code": code::TOKEN_GONE });
        buckets.note(key(1), status, &HeaderMap::new(), Some(&over));
        assert!(buckets.begin(&key(2)).is_ok());
        let body = json!({ "code": 0 });
        buckets.note(key(1), status, &HeaderMap::new(), Some(&body));
        assert_eq!(buckets.begin(&key(2)), Err(CallError::NotAllowed));
        tokio::time::advance(TOKEN_REFUSED).await;
        assert!(buckets.begin(&key(2)).is_ok());
    }
}
