//! The sending side: each intention as calls of the Web API, each failure as what is true afterwards.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::api::{As, CallError, is_gone};
use super::encode::{self, Encoded};
use super::{Me, Slack, as_text};
use crate::chat::{DeliveryError, Pace, Transport, Within, located, reference};
use crate::domain::{Form, Message, Place, Platform, RunId};
use crate::store::{Mark, MessageRef};

/// What our messages call their metadata.
const POSTING_EVENT: &str = "midwatch_posting";
/// Slack may take a message and show it a moment later; looked for too early, it would be posted twice.
const READ_BACK_AFTER: Duration = Duration::from_secs(4);
/// How far back a posting in doubt is looked for: pages of 200 messages.
const PAGES_SEARCHED: usize = 10;

#[async_trait]
impl Transport for Slack {
    fn platform(&self) -> Platform {
        Platform::Slack
    }

    /// One post a second in a channel; 50 edits and 50 looks a minute in a workspace, of which we leave some to others:
    /// 45 in any minute, its first and its last second included.
    fn pace(&self) -> Pace {
        let some_of_fifty = Duration::from_millis(60_000 / 44);
        Pace {
            between_posts: Duration::from_secs(1),
            between_edits: some_of_fifty,
            between_looks: some_of_fifty,
            read_back_after: Some(READ_BACK_AFTER),
            asks_within: Within::Space,
        }
    }

    async fn post(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        message: &Message,
        mark: &Mark,
    ) -> Result<MessageRef, DeliveryError> {
        let thread = thread_of(to, thread)?;
        let mut body = self.addressed(to, thread.as_deref(), message);
        body["metadata"] = metadata(mark);
        let answer = self
            .api
            .call(As::Bot, "chat.postMessage", &body)
            .await
            .map_err(CallError::of_post)?;
        reference(
            Platform::Slack,
            as_text(&answer, "/channel"),
            as_text(&answer, "/ts"),
        )
    }

    async fn edit(
        &self,
        to: &Place,
        at: &MessageRef,
        message: &Message,
        mark: &Mark,
    ) -> Result<(), DeliveryError> {
        let (channel, ts) = located(at)?;
        let Encoded { text, blocks } = self.encode(to, message);
        let mut body = neutral(channel, &text, &blocks);
        body["ts"] = ts.into();
        body["metadata"] = metadata(mark);
        self.api
            .call(As::Bot, "chat.update", &body)
            .await
            .map_err(CallError::of_edit)?;
        Ok(())
    }

    /// In a channel that we are not in, the person gets a direct message instead: an answer is better than none. A channel
    /// that is the person themself means their direct messages from the first.
    async fn whisper(
        &self,
        to: &Place,
        speaker: &str,
        _: Option<&str>,
        message: &Message,
        _: &Mark,
    ) -> Result<(), DeliveryError> {
        if to.channel == speaker {
            return self.tell_directly(to, message).await;
        }
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
        _: &Message,
        mark: &Mark,
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
            if let Some(found) = messages.find(|message| self.carries(message, mark)) {
                return reference(Platform::Slack, &to.channel, as_text(found, "/ts")).map(Some);
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

    async fn stands(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        at: &MessageRef,
        mark: &Mark,
    ) -> Result<bool, DeliveryError> {
        let (channel, ts) = located(at)?;
        let thread = thread_of(to, thread)?.unwrap_or_else(|| ts.to_owned());
        let wanted = [
            ("channel", channel.to_owned()),
            ("ts", thread),
            ("oldest", ts.to_owned()),
            ("latest", ts.to_owned()),
            ("inclusive", "true".to_owned()),
            ("include_all_metadata", "true".to_owned()),
        ];
        let page = match self.api.read("conversations.replies", &wanted).await {
            Err(CallError::Refused(word)) if is_gone(&word) => return Ok(false),
            page => page.map_err(CallError::of_edit)?,
        };
        let mut messages = page["messages"].as_array().into_iter().flatten();
        let found = messages.find(|message| as_text(message, "/ts") == ts);
        Ok(found.is_some_and(|message| shows(message, mark)))
    }
}

impl Slack {
    fn encode(&self, to: &Place, message: &Message) -> Encoded {
        let home = self.me().map_or("", |me| me.home.as_str());
        encode::message(message, &self.catalog.load().people, &to.space, home)
    }

    /// To the person that the channel names. In another workspace than ours it could be somebody else's id.
    async fn tell_directly(&self, to: &Place, message: &Message) -> Result<(), DeliveryError> {
        let ours = |me: &Me| to.space.is_empty() || me.space == to.space;
        match self.me() {
            None if !to.space.is_empty() => {
                return Err(DeliveryError::Failed(
                    "slack did not say yet which workspace is ours".to_owned(),
                ));
            }
            Some(me) if !ours(me) => {
                return Err(DeliveryError::Refused(format!(
                    "workspace {} is not ours",
                    to.space
                )));
            }
            None | Some(_) => {}
        }
        let body = self.addressed(to, None, message);
        let answer = self.api.call(As::Bot, "chat.postMessage", &body).await;
        answer.map_err(CallError::of_post)?;
        Ok(())
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

    /// Whether this is our message that carries the mark. Others may write the same metadata.
    fn carries(&self, message: &Value, mark: &Mark) -> bool {
        let (user, bot) = (as_text(message, "/user"), as_text(message, "/bot_id"));
        let unsigned = user.is_empty() && bot.is_empty();
        let ours = unsigned || self.me().is_none_or(|me| me.is(user, bot));
        ours && as_text(message, "/metadata/event_type") == POSTING_EVENT
            && as_text(message, "/metadata/event_payload/id") == mark.id
    }
}

/// The run that this message of ours is the root of: others are marked with a number.
pub(super) fn run_of(message: &Value, me: &Me) -> Option<RunId> {
    let ours = me.is(as_text(message, "/user"), as_text(message, "/bot_id"));
    let id = as_text(message, "/metadata/event_payload/id");
    let is_posting = as_text(message, "/metadata/event_type") == POSTING_EVENT;
    (ours && is_posting).then(|| RunId::parse(id)).flatten()
}

fn metadata(mark: &Mark) -> Value {
    json!({
        "event_type": POSTING_EVENT,
        "event_payload": { "id": mark.id, "version": mark.version.to_string() },
    })
}

/// Whether it shows the state that the mark names. One that says nothing of it does: we would send it for ever.
fn shows(message: &Value, mark: &Mark) -> bool {
    let version = as_text(message, "/metadata/event_payload/version");
    version.is_empty() || version == mark.version.to_string()
}

/// A body in which no text can ping, link, unfurl or format, whatever Slack's defaults are.
fn neutral(channel: &str, text: &str, blocks: &[Value]) -> Value {
    json!({
        "channel": channel,
        "text": text,
        "blocks": blocks,
        "parse": "none",
        "mrkdwn": false,
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// The thread to post into. A root that stands in a thread itself has its lines there too: Slack knows one level only.
fn thread_of(to: &Place, thread: Option<&MessageRef>) -> Result<Option<String>, DeliveryError> {
    match (&to.thread, thread) {
        (Some(thread), _) => Ok(Some(thread.clone())),
        (None, Some(root)) => Ok(Some(located(root)?.1.to_owned())),
        (None, None) => Ok(None),
    }
}

fn is_elsewhere(word: &str) -> bool {
    matches!(
        word,
        "channel_not_found" | "not_in_channel" | "user_not_in_channel" | "is_archived"
    )
}
