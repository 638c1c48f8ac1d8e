//! Slack: its payloads become inbounds, our messages become its blocks. Nothing Slack-like leaves this module.
//!
//! Two doors let payloads in: signed HTTP ([`routes`]) and Socket Mode ([`run_sockets`]). Both commit before they
//! acknowledge. [`Slack`] is the sending side.

mod api;
mod encode;
mod http;
mod inbound;
mod socket;
mod text;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::api::{Api, As, CallError};
use self::encode::Encoded;
use self::inbound::Heard;
use super::{CurrentCatalog, DeliveryError, Intake, Pace, Transport};
use crate::clock::Clock;
use crate::domain::{Form, Message, Place, Platform};
use crate::store::{MessageRef, PostingId};

pub use self::http::routes;
pub use self::socket::{SocketStatus, SocketsStopped, Timing, run_sockets};

/// Where Slack's Web API is, unless somebody says otherwise.
pub const API_URL: &str = "https://slack.com/api";

/// What our messages call their metadata.
const POSTING_EVENT: &str = "midwatch_posting";
/// How far back a posting in doubt is looked for: pages of 200 messages.
const PAGES_SEARCHED: usize = 10;

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

/// What became of a delivery.
enum Taken {
    /// Durable, or nothing for us.
    Done,
    /// To be answered with this.
    Challenge(String),
    /// Nobody can make sense of it, and no repetition helps.
    Misunderstood,
    /// Nothing was recorded, or we don't know: the sentence tells the person.
    NotKept(&'static str),
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
        };
        Ok(self.me.get_or_init(|| me).clone())
    }

    /// Our own account, once [`Slack::identify`] has succeeded.
    pub fn me(&self) -> Option<&Me> {
        self.me.get()
    }

    fn encode(&self, to: &Place, message: &Message) -> Encoded {
        encode::message(message, &self.catalog.load().people, &to.space)
    }

    /// A message for `chat.postMessage` and its kin.
    fn addressed(&self, to: &Place, thread: Option<&str>, message: &Message) -> Value {
        let Encoded { text, blocks } = self.encode(to, message);
        let mut body = neutral(&to.channel, &text, &blocks);
        if let Some(thread) = thread {
            body["thread_ts"] = thread.into();
        }
        body
    }

    /// Whether this is our message that carries the posting's id. Others may write the same metadata.
    fn carries(&self, message: &Value, id: PostingId) -> bool {
        let ours = self.me().is_none_or(|me| {
            me.user == as_text(message, "/user") || me.bot == as_text(message, "/bot_id")
        });
        ours && as_text(message, "/metadata/event_type") == POSTING_EVENT
            && as_text(message, "/metadata/event_payload/id") == id.0.to_string()
    }
}

#[async_trait]
impl Transport for Slack {
    fn platform(&self) -> Platform {
        Platform::Slack
    }

    /// One post a second in a channel; 50 edits a minute in a workspace, of which we leave some to others.
    fn pace(&self) -> Pace {
        Pace {
            between_posts: Duration::from_secs(1),
            between_edits: Duration::from_millis(60_000 / 45),
        }
    }

    async fn post(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        message: &Message,
        id: PostingId,
    ) -> Result<MessageRef, DeliveryError> {
        let thread = thread_of(to, thread)?;
        let mut body = self.addressed(to, thread.as_deref(), message);
        body["metadata"] = json!({
            "event_type": POSTING_EVENT,
            "event_payload": { "id": id.0.to_string() },
        });
        let answer = self
            .api
            .call(As::Bot, "chat.postMessage", &body)
            .await
            .map_err(CallError::of_post)?;
        reference(as_text(&answer, "/channel"), as_text(&answer, "/ts"))
    }

    async fn edit(
        &self,
        to: &Place,
        at: &MessageRef,
        message: &Message,
    ) -> Result<(), DeliveryError> {
        let (channel, ts) = located(at)?;
        let Encoded { text, blocks } = self.encode(to, message);
        let mut body = neutral(channel, &text, &blocks);
        body["ts"] = ts.into();
        self.api
            .call(As::Bot, "chat.update", &body)
            .await
            .map_err(CallError::of_edit)?;
        Ok(())
    }

    /// In a channel that we are not in, the person gets a direct message instead: an answer is better than none.
    async fn whisper(
        &self,
        to: &Place,
        speaker: &str,
        message: &Message,
    ) -> Result<(), DeliveryError> {
        let mut body = self.addressed(to, to.thread.as_deref(), message);
        body["user"] = speaker.into();
        let answer = self.api.call(As::Bot, "chat.postEphemeral", &body).await;
        match answer {
            Err(CallError::Refused(word)) if is_elsewhere(&word) => {
                let direct = Place {
                    channel: speaker.to_owned(),
                    thread: None,
                    ..to.clone()
                };
                let body = self.addressed(&direct, None, message);
                self.api.call(As::Bot, "chat.postMessage", &body).await
            }
            answer => answer,
        }
        .map_err(CallError::of_post)?;
        Ok(())
    }

    async fn attach(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        name: &str,
        text: &str,
    ) -> Result<(), DeliveryError> {
        if text.is_empty() {
            return Ok(()); // Slack refuses empty files, and there is nothing to read.
        }
        let thread = thread_of(to, thread)?;
        let wanted = [
            ("filename", name.to_owned()),
            ("length", text.len().to_string()),
        ];
        let given = self
            .api
            .read("files.getUploadURLExternal", &wanted)
            .await
            .map_err(CallError::of_edit)?;
        self.api
            .upload(as_text(&given, "/upload_url"), text)
            .await
            .map_err(CallError::of_edit)?;
        let mut body = json!({
            "files": [{ "id": as_text(&given, "/file_id"), "title": name }],
            "channel_id": to.channel,
        });
        if let Some(thread) = thread {
            body["thread_ts"] = thread.into();
        }
        let done = self
            .api
            .call(As::Bot, "files.completeUploadExternal", &body)
            .await;
        done.map_err(CallError::of_post)?;
        Ok(())
    }

    async fn open_form(&self, to: &Place, handle: &str, form: &Form) -> Result<(), DeliveryError> {
        let view = encode::form(form, to).map_err(DeliveryError::Refused)?;
        let body = json!({ "trigger_id": handle, "view": view });
        self.api
            .call(As::Bot, "views.open", &body)
            .await
            .map_err(CallError::of_edit)?;
        Ok(())
    }

    async fn find(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        id: PostingId,
    ) -> Result<Option<MessageRef>, DeliveryError> {
        let mut wanted = vec![
            ("channel", to.channel.clone()),
            ("limit", "200".to_owned()),
            ("include_all_metadata", "true".to_owned()),
        ];
        let method = match thread_of(to, thread)? {
            Some(thread) => {
                wanted.push(("ts", thread));
                "conversations.replies"
            }
            None => "conversations.history",
        };
        for _ in 0..PAGES_SEARCHED {
            let page = self
                .api
                .read(method, &wanted)
                .await
                .map_err(CallError::of_edit)?;
            let mut messages = page["messages"].as_array().into_iter().flatten();
            if let Some(found) = messages.find(|message| self.carries(message, id)) {
                return reference(&to.channel, as_text(found, "/ts")).map(Some);
            }
            let next = as_text(&page, "/response_metadata/next_cursor").to_owned();
            if next.is_empty() {
                break;
            }
            wanted.retain(|(name, _)| *name != "cursor");
            wanted.push(("cursor", next));
        }
        Ok(None)
    }

    fn shows_live_output(&self) -> bool {
        false
    }
}

impl Door {
    /// Makes a delivery durable, or finds that there is nothing to keep. Ends by the deadline.
    async fn take(&self, heard: Heard, deadline: Instant) -> Taken {
        let inbound = match heard {
            Heard::Inbound(inbound) => *inbound,
            Heard::Challenge(challenge) => return Taken::Challenge(challenge),
            Heard::Ignored(kind) => {
                metrics::counter!("midwatch_slack_ignored_total", "kind" => kind).increment(1);
                return Taken::Done;
            }
            Heard::Malformed(why) => {
                metrics::counter!("midwatch_slack_malformed_total").increment(1);
                tracing::warn!("slack sent {why}: acknowledged and dropped");
                return Taken::Misunderstood;
            }
        };
        match tokio::time::timeout_at(deadline, (self.intake)(inbound)).await {
            Ok(Ok(_)) => Taken::Done,
            Ok(Err(error)) => {
                metrics::counter!("midwatch_slack_not_kept_total").increment(1);
                tracing::error!("an inbound from slack was not recorded: {error}");
                Taken::NotKept(
                    "⛔ nothing was done: the ledger can't be written at the moment; try again in a minute",
                )
            }
            Err(_) => {
                metrics::counter!("midwatch_slack_not_kept_total").increment(1);
                tracing::error!("an inbound from slack was not recorded in time");
                Taken::NotKept(
                    "⏳ the ledger is slow: if no answer appears within a minute, nothing was done; try again then",
                )
            }
        }
    }
}

/// A body in which no text can ping, link or unfurl, whatever Slack's defaults are.
fn neutral(channel: &str, text: &str, blocks: &[Value]) -> Value {
    json!({
        "channel": channel,
        "text": text,
        "blocks": blocks,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// What we say to somebody whose payload made no sense.
const MISUNDERSTOOD: &str =
    "⛔ nothing was done: that didn't arrive as it should; try again, or type `/ops help`";

/// The thread to post into. A root that stands in a thread itself has its lines there too: Slack knows one level only.
fn thread_of(to: &Place, thread: Option<&MessageRef>) -> Result<Option<String>, DeliveryError> {
    match (&to.thread, thread) {
        (Some(thread), _) => Ok(Some(thread.clone())),
        (None, Some(root)) => Ok(Some(located(root)?.1.to_owned())),
        (None, None) => Ok(None),
    }
}

fn reference(channel: &str, ts: &str) -> Result<MessageRef, DeliveryError> {
    if channel.is_empty() || ts.is_empty() {
        return Err(DeliveryError::InDoubt(
            "slack's answer names no message".to_owned(),
        ));
    }
    Ok(MessageRef(format!("{channel}:{ts}")))
}

fn located(at: &MessageRef) -> Result<(&str, &str), DeliveryError> {
    let wrong = || DeliveryError::Refused(format!("`{}` is no message of slack's", at.0));
    at.0.split_once(':').ok_or_else(wrong)
}

fn is_elsewhere(word: &str) -> bool {
    matches!(
        word,
        "channel_not_found" | "not_in_channel" | "user_not_in_channel" | "is_archived"
    )
}

/// The text at a JSON pointer; empty when there is none.
fn as_text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}
