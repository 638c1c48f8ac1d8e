//! Slack's Web API: each call under a time limit, each error sorted by what is true afterwards.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::client::legacy;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use slack_morphism::errors::SlackClientError;
use slack_morphism::hyper_tokio::{SlackClientHyperConnector, SlackHyperClient};
use slack_morphism::{SlackApiToken, SlackApiTokenValue, SlackClientApiCallContext};
use slack_morphism::{SlackClient, SlackClientHttpConnector};
use tokio::time::Instant;

use super::{SetupError, as_text};
use crate::chat::DeliveryError;
use crate::chat::address::safe_url;
use crate::planted;

/// The library sets none.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// When Slack says "too fast" and not for how long.
const WAIT_UNSAID: Duration = Duration::from_secs(10);
/// Slack counts the calls of a method within this time.
const COUNTED: Duration = Duration::from_mins(1);

/// The calls that we make, with our tokens.
pub(super) struct Api {
    client: SlackHyperClient,
    bot: SlackApiToken,
    app: Option<SlackApiToken>,
    methods: Methods,
}

/// What everybody who calls a method has to know of the others.
#[derive(Default)]
struct Methods(Mutex<HashMap<String, Method>>);

#[derive(Default)]
struct Method {
    /// Until when Slack wants to hear nothing of it: whoever calls it, for whatever message, keeps to it.
    quiet_until: Option<Instant>,
    /// When it was called within the last minute.
    called: VecDeque<Instant>,
}

/// Which of our tokens a call needs.
#[derive(Clone, Copy)]
pub(super) enum As {
    /// The bot's.
    Bot,
    /// The app's own: for opening sockets.
    App,
}

/// Why a call failed, sorted by what is true afterwards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// Nothing happened; not before this time has passed.
    #[error("slack asks us to wait {0:?}")]
    Limited(Duration),
    /// Nothing happened; trying again may help.
    #[error("{0}")]
    NotDone(String),
    /// Nothing happened, until an operator mends tokens or scopes.
    #[error("slack answered `{0}`: check the tokens and the app's scopes")]
    NotAllowed(String),
    /// Nothing is known.
    #[error("{0}")]
    NoAnswer(String),
    /// Slack's word for why not.
    #[error("slack answered `{0}`")]
    Refused(String),
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
            why @ Self::NotAllowed(_) => DeliveryError::Failed(why.to_string()),
            Self::Refused(word) if is_gone(&word) => DeliveryError::Gone(word),
            Self::Refused(word) => DeliveryError::Refused(word),
        }
    }
}

/// Whether the word says that a message, or the thread it is to be in, is not there.
pub(super) fn is_gone(word: &str) -> bool {
    matches!(word, "message_not_found" | "thread_not_found")
}

impl Api {
    /// Refuses plain http to any other host than this one.
    pub(super) fn new(
        url: &str,
        bot: &SecretString,
        app: Option<&SecretString>,
    ) -> Result<Self, SetupError> {
        let url = safe_url(url, "https", "http").map_err(SetupError::Url)?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| SetupError::Certificates(error.to_string()))?
            .https_or_http()
            .enable_http1()
            .build();
        let connector = SlackClientHyperConnector::from(connector)
            .with_slack_api_url(url.as_str().trim_end_matches('/'));
        Ok(Self {
            client: SlackClient::new(connector),
            bot: token(bot),
            app: app.map(token),
            methods: Methods::default(),
        })
    }

    /// Calls a method with a JSON body.
    pub(super) async fn call(
        &self,
        token: As,
        method: &str,
        body: &Value,
    ) -> Result<Value, CallError> {
        let session = self.client.open_session(self.token(token)?);
        let call = session.http_session_api.http_post(method, body, None);
        self.methods.call(method, call).await
    }

    /// Calls a method that takes no JSON, with parameters in the address.
    pub(super) async fn read(
        &self,
        method: &str,
        parameters: &[(&str, String)],
    ) -> Result<Value, CallError> {
        let parameters: Vec<(&str, Option<&String>)> = parameters
            .iter()
            .map(|(name, value)| (*name, Some(value)))
            .collect();
        let session = self.client.open_session(&self.bot);
        let call = session.http_session_api.http_get(method, &parameters, None);
        self.methods.call(method, call).await
    }

    /// How long until fewer than so many calls of a method, whoever made them, lie within a minute.
    pub(super) fn room(&self, method: &str, calls: usize) -> Duration {
        let now = Instant::now();
        let mut methods = self.methods.all();
        let Some(method) = methods.get_mut(method) else {
            return Duration::ZERO;
        };
        method.forget_old(now);
        let blocking = method.called.len().checked_sub(calls);
        let blocking = blocking.and_then(|place| method.called.get(place));
        blocking.map_or(Duration::ZERO, |at| (*at + COUNTED).duration_since(now))
    }

    /// Sends a file's bytes to the address Slack gave for them. Our token stays at home.
    pub(super) async fn upload(&self, address: &str, text: &str) -> Result<(), CallError> {
        let address = safe_url(address, "https", "http").map_err(CallError::Refused)?;
        let span = tracing::Span::none();
        let context = SlackClientApiCallContext {
            rate_control_params: None,
            token: None,
            tracing_span: &span,
            is_sensitive_url: true,
        };
        let kind = "application/octet-stream".to_owned();
        let connector = &self.client.http_api.connector;
        let sent = connector.http_post_uri_binary::<Value>(address, kind, text.as_bytes(), context);
        within("the upload of a file", sent).await.map(|_| ())
    }

    fn token(&self, token: As) -> Result<&SlackApiToken, CallError> {
        match token {
            As::Bot => Ok(&self.bot),
            As::App => {
                let missing =
                    || CallError::NotDone("there is no app token: set SLACK_APP_TOKEN".to_owned());
                self.app.as_ref().ok_or_else(missing)
            }
        }
    }
}

fn token(secret: &SecretString) -> SlackApiToken {
    SlackApiToken::new(SlackApiTokenValue(secret.expose_secret().to_owned()))
}

impl Methods {
    /// Calls unless Slack asked us to wait, and remembers when it does.
    async fn call<F>(&self, method: &str, call: F) -> Result<Value, CallError>
    where
        F: Future<Output = Result<Value, SlackClientError>>,
    {
        self.begin(method)?;
        let answer = answered(method, call).await;
        if let Err(CallError::Limited(wait)) = &answer {
            let until = Instant::now() + *wait;
            // Calls that were under way together may be told different times: the latest counts.
            let mut methods = self.all();
            let quiet = &mut methods.entry(method.to_owned()).or_default().quiet_until;
            *quiet = Some(quiet.map_or(until, |before| before.max(until)));
        }
        answer
    }

    fn begin(&self, method: &str) -> Result<(), CallError> {
        let now = Instant::now();
        let mut methods = self.all();
        let method = methods.entry(method.to_owned()).or_default();
        if let Some(until) = method
            .quiet_until
            .filter(|until| *until > now && !planted::is("retry-after-ignored"))
        {
            return Err(CallError::Limited(until - now));
        }
        method.forget_old(now);
        method.called.push_back(now);
        Ok(())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Method>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Method {
    fn forget_old(&mut self, now: Instant) {
        while self
            .called
            .front()
            .is_some_and(|at| now.duration_since(*at) >= COUNTED)
        {
            self.called.pop_front();
        }
    }
}

async fn answered<F>(method: &str, call: F) -> Result<Value, CallError>
where
    F: Future<Output = Result<Value, SlackClientError>>,
{
    let answer = within(method, call).await?;
    if answer["ok"] == true {
        return Ok(answer);
    }
    Err(said(as_text(&answer, "/error"), None))
}

async fn within<F>(what: &str, call: F) -> Result<Value, CallError>
where
    F: Future<Output = Result<Value, SlackClientError>>,
{
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(sorted(what, error)),
        Err(_) => Err(CallError::NoAnswer(format!(
            "{what}: no answer within {CALL_LIMIT:?}"
        ))),
    }
}

/// Sorts the library's errors. Never prints a body: it may hold what people said.
fn sorted(what: &str, error: SlackClientError) -> CallError {
    match error {
        SlackClientError::RateLimitError(error) => {
            CallError::Limited(error.retry_after.unwrap_or(WAIT_UNSAID))
        }
        SlackClientError::ApiError(error) => said(&error.code, None),
        SlackClientError::HttpError(error) if error.status_code.is_client_error() => {
            CallError::NotDone(format!(
                "{what}: http status {}",
                error.status_code.as_u16()
            ))
        }
        SlackClientError::HttpError(error) => CallError::NoAnswer(format!(
            "{what}: http status {}",
            error.status_code.as_u16()
        )),
        SlackClientError::HttpProtocolError(error) => {
            let cause = error
                .cause
                .as_ref()
                .and_then(|cause| cause.downcast_ref::<legacy::Error>());
            match cause {
                Some(cause) if cause.is_connect() => {
                    CallError::NotDone(format!("{what}: slack can't be reached"))
                }
                _ => CallError::NoAnswer(format!("{what}: the connection broke")),
            }
        }
        SlackClientError::ProtocolError(_) => {
            CallError::NoAnswer(format!("{what}: an unreadable answer"))
        }
        SlackClientError::EndOfStream(_)
        | SlackClientError::SystemError(_)
        | SlackClientError::SocketModeProtocolError(_) => {
            CallError::NoAnswer(format!("{what}: the connection broke"))
        }
    }
}

/// Sorts Slack's own words. What an operator can mend is tried again; what is wrong with the message is not.
fn said(word: &str, wait: Option<Duration>) -> CallError {
    match word {
        "ratelimited" | "rate_limited" => CallError::Limited(wait.unwrap_or(WAIT_UNSAID)),
        "" | "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => {
            CallError::NoAnswer(format!("slack answered `{word}`"))
        }
        "account_inactive"
        | "ekm_access_denied"
        | "invalid_auth"
        | "missing_scope"
        | "no_permission"
        | "not_allowed_token_type"
        | "not_authed"
        | "org_login_required"
        | "token_expired"
        | "token_revoked"
        | "team_access_not_granted" => CallError::NotAllowed(word.to_owned()),
        _ => CallError::Refused(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_slack_are_sorted_by_what_is_true_afterwards() {
        let post = |word: &str| said(word, None).of_post();
        for word in [
            "channel_not_found",
            "not_in_channel",
            "is_archived",
            "invalid_blocks",
            "msg_too_long",
        ] {
            assert!(matches!(post(word), DeliveryError::Refused(_)), "{word}");
        }
        assert!(matches!(post("ratelimited"), DeliveryError::Limited(_)));
        assert!(matches!(post("fatal_error"), DeliveryError::InDoubt(_)));
        assert!(matches!(
            said("fatal_error", None).of_edit(),
            DeliveryError::Failed(_)
        ));
        assert!(matches!(post("token_revoked"), DeliveryError::Failed(_)));
    }
}
