//! One HTTP exchange: to allowed hosts only, redirects counted and checked, sizes and time bounded.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, timeout};
use url::Url;

use super::addresses::{self, SafeResolver};
use super::answer::{Answer, read_body};
use super::output::Output;
use super::{Attempt, Ended, Revealed};
use crate::domain::{HttpAction, Piece, Rendered, StepResult, show_duration, show_elapsed};
use crate::planted;

/// How long a connection may take to come about; after it, it is certain that nothing was sent.
const CONNECT: Duration = Duration::from_secs(10);

/// Speaks HTTP for all steps. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient(reqwest::Client);

impl HttpClient {
    /// Reads the system's certificates. The process must have installed a rustls provider before.
    pub fn new() -> Result<Self, String> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err("no TLS provider is installed; install one before this".to_owned());
        }
        reqwest::Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .dns_resolver(Arc::new(SafeResolver))
            .connect_timeout(CONNECT)
            // Each request has its own connection: a reused one may break when nobody knows what was sent.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("midwatch/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
            .map_err(|error| format!("the HTTP client can't be made: {}", causes(&error)))
    }
}

pub(super) async fn perform(
    action: &HttpAction<Rendered>,
    attempt: &Attempt<'_>,
    output: &mut Output,
) -> Ended {
    let began = Instant::now();
    let mut request = match Request::new(action, attempt.revealed, &attempt.step.hosts) {
        Ok(request) => request,
        Err(why) => return Ended::failed(why),
    };
    let exchange = exchange(action, attempt, &mut request);
    let answer = tokio::select! {
        biased;
        () = attempt.cancel.cancelled() => return StepResult::Stopped.into(),
        answer = timeout(attempt.step.timeout(), exchange) => answer,
    };
    let problem = match answer {
        Ok(Ok(answer)) => {
            let line = format!(
                "{} {} → {} in {}",
                request.method,
                request.shown,
                answer.summary(),
                show_elapsed(began.elapsed())
            );
            output.say(&line);
            return answer.conclude(action, output);
        }
        Ok(Err(problem)) => problem,
        Err(_) => {
            let limit = show_duration(attempt.step.timeout());
            Problem::Broken(format!("no complete answer within {limit}, its time limit"))
        }
    };
    request.conclude(problem, output)
}

/// Why there is no answer to judge.
enum Problem {
    /// It was not sent.
    NotSent(String),
    /// It was, or may have been.
    Broken(String),
    /// There is an answer that we do not follow.
    NotFollowed(String),
}

/// Sends the request, and follows redirects as far as the step allows.
async fn exchange(
    action: &HttpAction<Rendered>,
    attempt: &Attempt<'_>,
    request: &mut Request,
) -> Result<Answer, Problem> {
    let mut followed = 0;
    loop {
        let response = request.send(&attempt.surroundings.http).await?;
        let Some(location) = redirect(&response, action) else {
            return match read_body(response).await {
                Ok(answer) => Ok(answer),
                Err(error) => Err(Problem::Broken(format!(
                    "the answer broke off: {}",
                    causes(&error.without_url())
                ))),
            };
        };
        if followed == action.redirects {
            return Err(Problem::NotFollowed(format!(
                "more than {followed} redirects, the last to {location}"
            )));
        }
        followed += 1;
        request
            .redirect(response.status(), &location, &attempt.step.hosts)
            .map_err(Problem::NotFollowed)?;
    }
}

/// Where the answer redirects to, when redirects are followed at all and it is not the status that is expected.
fn redirect(response: &reqwest::Response, action: &HttpAction<Rendered>) -> Option<String> {
    let status = response.status();
    if action.redirects == 0 || action.expect.status.contains(&status.as_u16()) {
        return None;
    }
    let redirects = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| redirects)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

/// What is sent next.
struct Request {
    method: Method,
    url: Url,
    /// The URL as people may see it.
    shown: String,
    headers: HeaderMap,
    /// Headers that only the first host may see.
    confidential: Vec<HeaderName>,
    body: Option<Vec<u8>>,
    /// Whether something that may change the world may have been sent.
    may_have_acted: bool,
}

impl Request {
    fn new(
        action: &HttpAction<Rendered>,
        revealed: &Revealed,
        hosts: &[String],
    ) -> Result<Self, String> {
        let method = Method::from_bytes(action.method.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT)
            .ok_or_else(|| format!("`{}` is not a method that can be sent", action.method))?;
        let shown = action.url.to_string();
        let url = Url::parse(&revealed.text(&action.url))
            .map_err(|error| format!("`{shown}` is not an absolute URL: {error}"))?;
        addresses::check(&url, hosts).map_err(|why| format!("nothing was sent: {why}"))?;
        let (mut headers, confidential) = headers(action, revealed)?;
        let body = action
            .json
            .as_ref()
            .map(|json| revealed.json(json).to_string().into_bytes());
        if body.is_some() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(Self {
            method,
            url,
            shown,
            headers,
            confidential,
            body,
            may_have_acted: false,
        })
    }

    async fn send(&mut self, client: &HttpClient) -> Result<reqwest::Response, Problem> {
        let acted_before = self.may_have_acted;
        // Noted before: when the time limit drops us in the middle, nobody is left to note it.
        self.may_have_acted |= !matches!(self.method, Method::GET | Method::HEAD);
        let mut request = client
            .0
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone());
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        request.send().await.map_err(|error| {
            let error = error.without_url();
            if error.is_connect() || error.is_builder() {
                self.may_have_acted = acted_before;
                Problem::NotSent(causes(&error))
            } else {
                Problem::Broken(format!("no complete answer: {}", causes(&error)))
            }
        })
    }

    /// Turns towards where an answer redirects to, as browsers do (Fetch standard, HTTP-redirect fetch).
    fn redirect(
        &mut self,
        status: StatusCode,
        location: &str,
        hosts: &[String],
    ) -> Result<(), String> {
        let url = self
            .url
            .join(location)
            .map_err(|error| format!("the redirect to `{location}` can't be read: {error}"))?;
        let allowed = addresses::check(&url, hosts);
        if !planted::is("redirect-unchecked") {
            allowed.map_err(|why| format!("the redirect to {location} was not followed: {why}"))?;
        }
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            self.method = Method::GET;
            self.body = None;
            self.headers.remove(CONTENT_TYPE);
        }
        if url.origin() != self.url.origin() {
            for name in &self.confidential {
                self.headers.remove(name);
            }
        }
        self.shown = url.to_string();
        self.url = url;
        Ok(())
    }

    /// The end without an answer to judge.
    fn conclude(&self, problem: Problem, output: &mut Output) -> Ended {
        let (why, unknown) = match problem {
            Problem::NotSent(why) if self.may_have_acted => (why, true),
            Problem::NotSent(why) => (format!("nothing was sent: {why}"), false),
            Problem::Broken(why) => (why, self.may_have_acted),
            Problem::NotFollowed(why) => (why, false),
        };
        output.say(&format!("{} {} → {why}", self.method, self.shown));
        if unknown {
            Ended::unknown(format!(
                "{why}; whether {} happened is not known",
                self.method
            ))
        } else {
            Ended::failed(why)
        }
    }
}

/// The declared headers, and which of them must not reach another host.
fn headers(
    action: &HttpAction<Rendered>,
    revealed: &Revealed,
) -> Result<(HeaderMap, Vec<HeaderName>), String> {
    let mut headers = HeaderMap::new();
    let mut confidential = vec![AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];
    for (name, text) in &action.headers {
        let key = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .filter(|key| key != CONTENT_LENGTH && key != TRANSFER_ENCODING)
            .ok_or_else(|| format!("`{name}` is not a header that can be set"))?;
        let mut value = HeaderValue::from_str(&revealed.text(text))
            .or_else(|_| HeaderValue::from_bytes(revealed.text(text).as_bytes()))
            .map_err(|_| {
                format!("header `{name}` holds a line break or another control character")
            })?;
        if text.0.iter().any(|piece| matches!(piece, Piece::Secret(_))) {
            value.set_sensitive(true);
            confidential.push(key.clone());
        }
        headers.insert(key, value);
    }
    Ok((headers, confidential))
}

/// The innermost cause says what is wrong; the outer ones, what was tried.
fn causes(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}
