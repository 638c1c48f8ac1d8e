//! Discord's REST API: each call under a time limit and within the buckets, each error sorted by what is true afterwards.
//!
//! The library knows the routes and builds the requests; we send them, because it forgets how long Discord asks to wait.

mod buckets;

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use serenity::builder::CreateAttachment;
use serenity::http::{LightMethod, Multipart, MultipartUpload, Request, Route};

use self::buckets::{Buckets, Key, asked_wait, is_refused_token};
use super::{SetupError, as_text};
use crate::chat::DeliveryError;
use crate::chat::address::safe_url;

const CALL_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A page of a hundred messages is a few hundred kilobytes.
const ANSWER_LIMIT: usize = 16 << 20;
/// Discord allows fifty calls in any second: so many at once, and so many more while it lasts.
const CALLS_AT_ONCE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
const CALLS_A_SECOND: NonZeroU32 = NonZeroU32::new(38).expect("not zero");

/// What we understand of Discord's own numbers.
pub(super) mod code {
    pub(in super::super) const UNKNOWN_CHANNEL: u64 = 10_003;
    pub(in super::super) const UNKNOWN_MEMBER: u64 = 10_007;
    pub(in super::super) const UNKNOWN_MESSAGE: u64 = 10_008;
    pub(in super::super) const UNKNOWN_USER: u64 = 10_013;
    pub(in super::super) const UNKNOWN_WEBHOOK: u64 = 10_015;
    pub(in super::super) const UNKNOWN_INTERACTION: u64 = 10_062;
    pub(in super::super) const TOO_MANY_EDITS: u64 = 30_046;
    pub(in super::super) const ANSWERED: u64 = 40_060;
    pub(in super::super) const NO_ACCESS: u64 = 50_001;
    pub(in super::super) const NO_DIRECT_MESSAGES: u64 = 50_007;
    pub(in super::super) const NOT_A_TEXT_CHANNEL: u64 = 50_008;
    pub(in super::super) const NO_PERMISSION: u64 = 50_013;
    pub(in super::super) const NOT_IN_THIS_CHANNEL: u64 = 50_024;
    pub(in super::super) const TOKEN_GONE: u64 = 50_027;
    pub(in super::super) const ARCHIVED: u64 = 50_083;
    pub(in super::super) const LOCKED: u64 = 160_005;
    pub(in super::super) const THREAD_EXISTS: u64 = 160_004;
    pub(in super::super) const THREADS_FULL: u64 = 160_006;
    pub(in super::super) const NEWS_THREADS_FULL: u64 = 160_007;
    /// Replies need *Read Message History*.
    pub(in super::super) const NO_REPLY: u64 = 160_002;
}

/// The calls that we make, with our token.
pub(super) struct Api {
    client: Client,
    /// `https://discord.com`, or what stands in for it; without a slash at the end.
    base: String,
    /// `Bot …`.
    token: SecretString,
    buckets: Mutex<Buckets>,
    all: DefaultDirectRateLimiter,
}

/// Why a call failed, sorted by what is true afterwards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// Nothing happened; not before this time has passed.
    #[error("discord asks us to wait {0:?}")]
    Limited(Duration),
    /// Nothing happened; trying again may help.
    #[error("{0}")]
    NotDone(String),
    /// Nothing happened, until an operator mends the token.
    #[error(
        "discord does not accept the token: copy it anew from the developer portal, Bot, Reset Token"
    )]
    NotAllowed,
    /// Nothing is known.
    #[error("{0}")]
    NoAnswer(String),
    /// Discord's number and words for why not.
    #[error("discord answered {words}")]
    Refused {
        /// [`code`], or another; 0 where it says none.
        code: u64,
        /// With the HTTP status, in English.
        words: String,
    },
}

impl CallError {
    /// For what must not be done twice.
    pub(super) fn of_post(self) -> DeliveryError {
        match self {
            Self::NoAnswer(why) => DeliveryError::InDoubt(why),
            other => other.of_edit(),
        }
    }

    /// For what can be done again.
    pub(super) fn of_edit(self) -> DeliveryError {
        match self {
            Self::Limited(wait) => DeliveryError::Limited(wait),
            Self::NotDone(why) | Self::NoAnswer(why) => DeliveryError::Failed(why),
            why @ Self::NotAllowed => DeliveryError::Failed(why.to_string()),
            why if why.is(code::UNKNOWN_MESSAGE) => DeliveryError::Gone(why.to_string()),
            why @ Self::Refused { .. } => DeliveryError::Refused(why.to_string()),
        }
    }

    /// Whether it is this answer of Discord's.
    pub(super) fn is(&self, wanted: u64) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// Whether it is one of these answers of Discord's.
    pub(super) fn is_one_of(&self, wanted: &[u64]) -> bool {
        wanted.iter().any(|it| self.is(*it))
    }
}

impl Api {
    /// Refuses plain http to any other host than this one.
    pub(super) fn new(url: &str, token: &SecretString) -> Result<Self, SetupError> {
        let base = safe_url(url, "https", "http").map_err(SetupError::Url)?;
        let client = Client::builder()
            // Whoever redirects us would be sent our token.
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(CALL_LIMIT)
            .build()
            .map_err(|why| SetupError::Client(why.to_string()))?;
        Ok(Self {
            client,
            base: base.as_str().trim_end_matches('/').to_owned(),
            token: format!("Bot {}", token.expose_secret()).into(),
            buckets: Mutex::default(),
            all: RateLimiter::direct(all_calls()),
        })
    }

    /// The host that has our token.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The token alone, for the gateway.
    pub(super) fn token(&self) -> &str {
        self.token.expose_secret().trim_start_matches("Bot ")
    }

    /// Reads.
    pub(super) async fn get(
        &self,
        route: Route<'_>,
        parameters: Vec<(&'static str, String)>,
    ) -> Result<Value, CallError> {
        let parameters = (!parameters.is_empty()).then_some(parameters);
        let request = Request::new(route, LightMethod::Get).params(parameters);
        self.call(request).await
    }

    /// Sends a body.
    pub(super) async fn send(
        &self,
        method: LightMethod,
        route: Route<'_>,
        body: &Value,
    ) -> Result<Value, CallError> {
        let body = body.to_string().into_bytes();
        self.call(Request::new(route, method).body(Some(body)))
            .await
    }

    /// Posts a message with a text file.
    pub(super) async fn send_file(
        &self,
        route: Route<'_>,
        body: &Value,
        name: &str,
        text: &str,
    ) -> Result<Value, CallError> {
        let file = CreateAttachment::bytes(text.as_bytes().to_vec(), name);
        let multipart = Multipart {
            upload: MultipartUpload::Attachments(vec![file]),
            fields: Vec::new(),
            payload_json: Some(body.to_string()),
        };
        self.call(Request::new(route, LightMethod::Post).multipart(Some(multipart)))
            .await
    }

    /// Calls without a body, such as putting a reaction there.
    pub(super) async fn put(&self, route: Route<'_>) -> Result<Value, CallError> {
        self.call(Request::new(route, LightMethod::Put)).await
    }

    async fn call(&self, request: Request<'_>) -> Result<Value, CallError> {
        let key = Key::of(&request);
        self.all.check().map_err(|until| {
            CallError::Limited(until.wait_time_from(DefaultClock::default().now()))
        })?;
        self.buckets().begin(&key)?;
        let built = request
            .build(&self.client, self.token.expose_secret(), Some(&self.base))
            .map_err(|why| CallError::NotDone(format!("discord: no request: {why}")))?;
        let answer = built.send().await.map_err(|why| sorted(&why))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = read(answer).await;
        self.buckets()
            .note(key, status, &headers, body.as_ref().ok());
        told(status, &headers, body)
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn all_calls() -> Quota {
    Quota::per_second(CALLS_A_SECOND).allow_burst(CALLS_AT_ONCE)
}

/// The whole answer as JSON; null where there is none.
async fn read(mut answer: Response) -> Result<Value, CallError> {
    let broken = |_| CallError::NoAnswer("discord: the connection broke".to_owned());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(CallError::NoAnswer(
                "discord: an answer without end".to_owned(),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body)
        .map_err(|_| CallError::NoAnswer("discord: an unreadable answer".to_owned()))
}

/// Sorts an answer. Never prints a body: it may hold what people said.
fn told(
    status: StatusCode,
    headers: &HeaderMap,
    body: Result<Value, CallError>,
) -> Result<Value, CallError> {
    if status.is_success() {
        return body;
    }
    let too_many_edits = body
        .as_ref()
        .is_ok_and(|it| it["code"] == code::TOO_MANY_EDITS);
    if status == StatusCode::TOO_MANY_REQUESTS && !too_many_edits {
        return Err(CallError::Limited(asked_wait(headers, body.as_ref().ok())));
    }
    if is_refused_token(status, body.as_ref().ok()) {
        return Err(CallError::NotAllowed);
    }
    if status == StatusCode::FORBIDDEN && !body.as_ref().is_ok_and(Value::is_object) {
        return Err(CallError::NotDone(
            "discord's shield refuses us (http status 403)".to_owned(),
        ));
    }
    if status.is_client_error() {
        let body = body.unwrap_or_default();
        let (status, code) = (status.as_u16(), body["code"].as_u64().unwrap_or(0));
        let words = match as_text(&body, "/message") {
            "" => format!("http status {status}"),
            says => format!("{says} (http status {status}, code {code})"),
        };
        return Err(CallError::Refused { code, words });
    }
    Err(CallError::NoAnswer(format!(
        "discord: http status {}",
        status.as_u16()
    )))
}

fn sorted(why: &reqwest::Error) -> CallError {
    if why.is_connect() || why.is_builder() {
        CallError::NotDone("discord can't be reached".to_owned())
    } else if why.is_timeout() {
        CallError::NoAnswer(format!("discord: no answer within {CALL_LIMIT:?}"))
    } else {
        CallError::NoAnswer("discord: the connection broke".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use serde_json::json;

    use super::*;

    #[test]
    fn no_second_has_more_than_fifty_calls() {
        let clock = FakeRelativeClock::default();
        let all = RateLimiter::direct_with_clock(all_calls(), clock.clone());
        let step = Duration::from_millis(5);
        let made: Vec<usize> = (0..400)
            .map(|_| {
                clock.advance(step);
                (0..60).filter(|_| all.check().is_ok()).count()
            })
            .collect();
        let most = made.windows(201).map(|second| second.iter().sum::<usize>());
        assert!(most.max() <= Some(50));
    }

    #[test]
    fn answers_of_discord_are_sorted_by_what_is_true_afterwards() {
        let of = |status: u16, body: Value| {
            told(
                StatusCode::from_u16(status).unwrap(),
                &HeaderMap::new(),
                Ok(body),
            )
        };
        let refused = |code: u64| of(400, json!({ "code": code, "message": "no" })).unwrap_err();
        assert!(matches!(
            refused(50_035).of_post(),
            DeliveryError::Refused(_)
        ));
        assert!(matches!(
            refused(code::UNKNOWN_MESSAGE).of_edit(),
            DeliveryError::Gone(_)
        ));
        assert!(matches!(
            of(502, Value::Null).unwrap_err().of_post(),
            DeliveryError::InDoubt(_)
        ));
        assert!(matches!(
            of(502, Value::Null).unwrap_err().of_edit(),
            DeliveryError::Failed(_)
        ));
        assert_eq!(of(401, json!({ "code": 0 })), Err(CallError::NotAllowed));
        assert!(
            of(401, json!({ "code": 50_027 }))
                .unwrap_err()
                .is(code::TOKEN_GONE)
        );
        assert_eq!(of(204, Value::Null), Ok(Value::Null));
        assert!(matches!(
            of(403, Value::Null).unwrap_err().of_post(),
            DeliveryError::Failed(_)
        ));
        assert_eq!(
            of(429, json!({ "retry_after": 0.5 })),
            Err(CallError::Limited(Duration::from_millis(500)))
        );
    }
}
