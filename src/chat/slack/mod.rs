//! Slack: its payloads become inbounds, our messages become its blocks. Nothing Slack-like leaves this module.
//!
//! Two doors let payloads in: signed HTTP ([`routes`]) and Socket Mode ([`run_sockets`]). Both commit before they
//! acknowledge. [`History`] reads what was said while neither was open. [`Slack`] is the sending side.

mod api;
mod encode;
mod groups;
mod history;
mod http;
mod inbound;
mod socket;
mod text;
mod transport;

use std::sync::{Arc, OnceLock};

use secrecy::SecretString;
use serde_json::{Value, json};

use self::api::{Api, As, CallError};
use super::{CurrentCatalog, DeliveryError, Intake};
use crate::clock::Clock;
use crate::domain::{Form, Message, People, Place};

pub use self::history::History;
pub use self::http::routes;
pub use self::socket::{SocketsStopped, TIMING, run_sockets};

/// Where Slack's Web API is, unless somebody says otherwise.
pub const API_URL: &str = "https://slack.com/api";

/// What we need to know to speak with Slack.
#[derive(Debug)]
pub struct SlackSettings {
    /// `xoxb-…`.
    pub bot_token: SecretString,
    /// `xapp-…`: for Socket Mode.
    pub app_token: Option<SecretString>,
    /// For signed HTTP requests.
    pub signing_secret: Option<SecretString>,
    /// [`API_URL`], or another for government Slack and tests; no slash at the end.
    pub api_url: String,
}

/// Why the adapter can't be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SetupError {
    /// The address is wrong.
    #[error("SLACK_API_URL: {0}")]
    Url(String),
    /// There is nothing to check certificates with.
    #[error("the system's root certificates can't be read: {0}; install ca-certificates")]
    Certificates(String),
    /// A secret that proves nothing.
    #[error("SLACK_SIGNING_SECRET is empty: copy it from the app's page, Basic Information")]
    EmptySecret,
}

/// Our own account in the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// The bot's user id.
    pub user: String,
    /// The bot's id as author of messages.
    pub bot: String,
    /// The workspace's id.
    pub space: String,
    /// The workspace's name, for people.
    pub workspace: String,
    /// The workspace's own address, ending in `/`; empty where Slack doesn't say it.
    pub home: String,
}

impl Me {
    /// Whether an author's user id or bot id is ours; empty ids are nobody's.
    fn is(&self, user: &str, bot: &str) -> bool {
        (!user.is_empty() && user == self.user) || (!bot.is_empty() && bot == self.bot)
    }
}

/// The sending side, and what both doors need to know.
pub struct Slack {
    api: Api,
    catalog: CurrentCatalog,
    signing_secret: Option<SecretString>,
    me: OnceLock<Me>,
}

/// What a door needs: who we are, where inbounds go, what time it is.
#[derive(Clone)]
pub struct Door {
    /// The adapter.
    pub slack: Arc<Slack>,
    /// Where inbounds go.
    pub intake: Intake,
    /// Tells the time.
    pub clock: Clock,
}

/// A message as `chat.postMessage` takes it, for a workspace: its text and its blocks.
pub fn message(of: &Message, people: &People, workspace: &str) -> Value {
    let encode::Encoded { text, blocks } = encode::message(of, people, workspace, "");
    json!({ "text": text, "blocks": blocks })
}

/// A form as `views.open` takes it; an error when it doesn't fit into one.
pub fn form(of: &Form, to: &Place) -> Result<Value, String> {
    encode::form(of, to)
}

impl Slack {
    /// Makes the adapter; speaks to nobody yet.
    pub fn new(settings: &SlackSettings, catalog: CurrentCatalog) -> Result<Self, SetupError> {
        use secrecy::ExposeSecret;
        let secret = settings.signing_secret.clone();
        if secret
            .as_ref()
            .is_some_and(|secret| secret.expose_secret().trim().is_empty())
        {
            return Err(SetupError::EmptySecret);
        }
        let api = Api::new(
            &settings.api_url,
            &settings.bot_token,
            settings.app_token.as_ref(),
        )?;
        Ok(Self {
            api,
            catalog,
            signing_secret: secret,
            me: OnceLock::new(),
        })
    }

    /// Asks Slack who we are. Until this succeeded once, messages that mention us are known by `app_mention` alone.
    pub async fn identify(&self) -> Result<Me, DeliveryError> {
        let answer = self
            .api
            .call(As::Bot, "auth.test", &json!({}))
            .await
            .map_err(CallError::of_edit)?;
        let text = |path| as_text(&answer, path).to_owned();
        let me = Me {
            user: text("/user_id"),
            bot: text("/bot_id"),
            space: text("/team_id"),
            workspace: text("/team"),
            home: text("/url"),
        };
        Ok(self.me.get_or_init(|| me).clone())
    }

    /// Our own account, once [`Slack::identify`] has succeeded.
    pub fn me(&self) -> Option<&Me> {
        self.me.get()
    }
}

/// The text at a JSON pointer; empty when there is none.
fn as_text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}
