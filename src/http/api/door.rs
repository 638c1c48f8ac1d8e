//! The way in: who asks is found out first, then how often, then for what. All before a handler sees anything.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use serde_json::Value;

use super::asked::{Asked, Query, permits};
use super::problem::Problem;
use super::{Api, ROUTES, Route};
use crate::domain::{
    ApiToken, Catalog, Identity, Place, Platform, Speaker, SpeakerKind, TokenId, TokenState,
    TokenTerms,
};

/// The largest body in bytes.
const LARGEST_BODY: usize = 64 * 1024;
/// How much is read, though it is too large: a client that is cut off amid its body never sees why. The server lets no more
/// in.
const READ_AT_MOST: usize = 1 << 20;
/// Requests that one token may send at once.
const BURST: NonZeroU32 = NonZeroU32::new(120).expect("120 is not zero");
/// Requests that one token may send in a second, on and on.
const A_SECOND: NonZeroU32 = NonZeroU32::new(20).expect("20 is not zero");
/// The policy, as headers say it: so many in so many seconds.
const POLICY: &str = r#""token";q=120;w=6"#;

type Limits =
    RateLimiter<TokenId, DefaultKeyedStateStore<TokenId>, DefaultClock, StateInformationMiddleware>;

/// Counts what each token asks.
pub(super) struct Door {
    limits: Limits,
    clock: DefaultClock,
}

impl Door {
    pub(super) fn new() -> Self {
        let quota = Quota::per_second(A_SECOND).allow_burst(BURST);
        Self {
            limits: RateLimiter::keyed(quota).with_middleware::<StateInformationMiddleware>(),
            clock: DefaultClock::default(),
        }
    }

    /// How many more this token may send at once.
    fn count(&self, token: &TokenId) -> Result<u32, Duration> {
        match self.limits.check_key(token) {
            Ok(state) => Ok(state.remaining_burst_capacity()),
            Err(not_until) => Err(not_until.wait_time_from(self.clock.now())),
        }
    }
}

/// Answers a request to this path.
pub(super) async fn answer(
    api: Arc<Api>,
    path: &'static str,
    names: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    request: Request,
) -> Response {
    let mut left = None;
    let answered = admit(api, path, names, request, &mut left).await;
    let mut response = answered.unwrap_or_else(Problem::into_response);
    if let Some(left) = left {
        say_limits(response.headers_mut(), left);
    }
    bare(response)
}

async fn admit(
    api: Arc<Api>,
    path: &'static str,
    names: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    request: Request,
    left: &mut Option<u32>,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    refuse_other_origins(&parts.headers)?;
    let catalog = api.catalog.load_full();
    let terms = terms_of(&api, &parts.headers).await?;
    let remaining = api.door.count(&terms.id).map_err(|wait| {
        *left = Some(0);
        Problem::new(
            "rate_limit",
            "this token has sent 120 requests within 6 seconds",
        )
        .retry_after(wait)
    })?;
    *left = Some(remaining);
    refuse_strangers(&terms, &catalog)?;
    let route = route_of(path, &parts.method)?;
    permits(&terms, route.scope)?;
    // What can't be read names nothing that there is.
    let names = names.map_err(|_| Problem::not_found())?;
    let names: BTreeMap<String, String> = names
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let body = if route.method == Method::POST {
        read_body(&parts.headers, body).await?
    } else {
        Value::Null
    };
    let is_look = route.method == Method::GET;
    let asked = Asked {
        terms,
        names,
        query: Query::read(parts.uri.query().unwrap_or_default())?,
        body,
        headers: parts.headers.clone(),
        now: api.clock.now(),
        catalog,
    };
    let reply = (route.answer)(api, asked).await?;
    Ok(reply.into_response(is_look, &parts.headers))
}

fn route_of(path: &str, method: &Method) -> Result<&'static Route, Problem> {
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let mut here = ROUTES.iter().filter(|route| route.path == path);
    if let Some(route) = here.clone().find(|route| route.method == *method) {
        return Ok(route);
    }
    let allowed: Vec<&str> = here.by_ref().map(|route| route.method.as_str()).collect();
    let allowed = allowed.join(", ");
    Err(Problem::new("method", format!("this path knows {allowed}"))
        .header(header::ALLOW, &allowed))
}

/// A browser says from which site a page asks. None of them is ours: we serve no page that asks.
fn refuse_other_origins(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::ORIGIN) {
        return Err(Problem::new(
            "origin",
            "a page in a browser asks, and no page may",
        ));
    }
    Ok(())
}

async fn terms_of(api: &Api, headers: &HeaderMap) -> Result<TokenTerms, Problem> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let challenge = |problem: Problem| problem.header(header::WWW_AUTHENTICATE, "Bearer");
    let (Some(given), None) = (given.next(), given.next()) else {
        return Err(challenge(Problem::new(
            "no_token",
            "there is not exactly one `Authorization`",
        )));
    };
    let bad = || {
        challenge(Problem::new(
            "bad_token",
            "`Authorization` holds no token that we made",
        ))
    };
    let words = given.to_str().map_err(|_| bad())?;
    let (scheme, token) = words.split_once(' ').unwrap_or((words, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(bad());
    }
    let token = ApiToken::parse(token.trim()).ok_or_else(bad)?;
    let terms = api.store.terms_of_token(&token).await?.ok_or_else(bad)?;
    match terms.state(api.clock.now()) {
        TokenState::InForce => Ok(terms),
        TokenState::Expired => Err(challenge(Problem::new(
            "token_expired",
            format!("token {} was good until {}", terms.id, terms.until),
        ))),
        TokenState::Revoked => Err(challenge(Problem::new(
            "token_revoked",
            format!("token {} was revoked", terms.id),
        ))),
    }
}

/// Who was taken out of the files has nothing to say and nothing to see any more.
fn refuse_strangers(terms: &TokenTerms, catalog: &Catalog) -> Result<(), Problem> {
    if catalog.people.identify(&speaker(terms)).identity != Identity::Stranger {
        return Ok(());
    }
    let detail = format!("token {} speaks for nobody who is known", terms.id);
    Err(Problem::new("stranger", detail))
}

/// Who speaks with a token: the person that it was made for.
pub(super) fn speaker(terms: &TokenTerms) -> Speaker {
    Speaker {
        platform: Platform::Api,
        space: terms.id.to_string(),
        id: terms.person.to_string(),
        kind: SpeakerKind::Person,
    }
}

/// Where something is said over the API: a place of its own, of no project, so that no word implies one.
pub(super) fn place(terms: &TokenTerms, key: &str, thread: Option<String>) -> Place {
    Place {
        platform: Platform::Api,
        space: terms.id.to_string(),
        channel: key.to_owned(),
        thread,
    }
}

async fn read_body(headers: &HeaderMap, body: axum::body::Body) -> Result<Value, Problem> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let too_large = || Problem::new("too_large", "the body is too large, or broke off");
    let body = to_bytes(body, READ_AT_MOST)
        .await
        .map_err(|_| too_large())?;
    if body.len() > LARGEST_BODY {
        return Err(too_large());
    }
    if body.is_empty() && kind.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            "content_type",
            "this path takes application/json alone",
        ));
    }
    // The message names line and column, and no more of the body than a character.
    serde_json::from_slice(&body).map_err(|why| Problem::new("bad_json", why.to_string()))
}

fn say_limits(headers: &mut HeaderMap, left: u32) {
    let rest = BURST.get().saturating_sub(left);
    let refilled = rest.div_ceil(A_SECOND.get());
    let said = format!(r#""token";r={left};t={refilled}"#);
    headers.insert(
        HeaderName::from_static("ratelimit-policy"),
        HeaderValue::from_static(POLICY),
    );
    if let Ok(said) = HeaderValue::from_str(&said) {
        headers.insert(HeaderName::from_static("ratelimit"), said);
    }
}

/// What every answer says: nobody keeps it for others, nothing in it acts.
pub(super) fn bare(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::VARY, "authorization"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        let value = HeaderValue::from_static(value);
        headers.entry(name).or_insert(value);
    }
    response
}
