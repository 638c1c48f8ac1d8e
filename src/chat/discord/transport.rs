//! The sending side: each intention as calls of the REST API, each failure as what is true afterwards.

use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use sha2::{Digest, Sha256};

use super::acts::First;
use super::api::{CallError, code};
use super::inbound::{Act, Handle, moment};
use super::threads::{NOT_PERMITTED, Spot};
use super::{Discord, as_text, encode, whisper_of};
use crate::chat::{DeliveryError, Pace, Transport, Within, located, reference};
use crate::domain::{Form, Message, Place, Platform, RunId};
use crate::store::{Mark, MessageRef};

/// Only the person sees it.
pub(super) const EPHEMERAL: u64 = 1 << 6;
/// How far back a posting in doubt is looked for: pages of a hundred messages.
const PAGES_SEARCHED: usize = 10;
pub(super) const PAGE: &str = "100";
/// Discord's longest nonce has 25 characters.
const NONCE_CHARS: usize = 24;
/// An answer to an act that this old is not waited for any more.
const ACT_ENDS: SignedDuration = SignedDuration::from_secs(10);

#[async_trait]
impl Transport for Discord {
    fn platform(&self) -> Platform {
        Platform::Discord
    }

    /// Five posts in five seconds in a channel, and as many edits. What Discord takes, stands.
    fn pace(&self) -> Pace {
        Pace {
            between_posts: Duration::from_secs(1),
            between_edits: Duration::from_millis(500),
            between_looks: Duration::from_millis(200),
            read_back_after: None,
            asks_within: Within::Channel,
        }
    }

    async fn post(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        message: &Message,
        mark: &Mark,
    ) -> Result<MessageRef, DeliveryError> {
        let spot = self.spot(to, thread).await?;
        let body = once(self.encode(to, message), &spot, Some(mark));
        let posted = self.post_at(&spot, body).await;
        if let (Err(why), None, Some(root)) = (&posted, &to.thread, thread) {
            self.thread_refuses(root, why)?;
        }
        if let (None, Some(run)) = (thread, RunId::parse(&mark.id)) {
            self.tell_beginning(to, run, posted.as_ref());
        }
        let posted = posted.map_err(CallError::of_post)?;
        let (channel, id) = (as_text(&posted, "/channel_id"), as_text(&posted, "/id"));
        reference(Platform::Discord, channel, id)
    }

    async fn edit(
        &self,
        to: &Place,
        at: &MessageRef,
        message: &Message,
        mark: &Mark,
    ) -> Result<(), DeliveryError> {
        let (channel, id) = located(at)?;
        let mut body = self.encode(to, message);
        if body.get("content").is_none() {
            body["content"] = Value::Null;
        }
        let route = message_route(channel, id)?;
        match self.api.send(LightMethod::Patch, route, &body).await {
            Ok(_) => Ok(()),
            // It is old, and was edited often: its state is told below it.
            Err(why) if why.is(code::TOO_MANY_EDITS) => {
                let spot = self.spot(to, Some(at)).await?;
                let body = once(self.encode(to, message), &spot, Some(mark));
                self.post_at(&spot, body)
                    .await
                    .map_err(CallError::of_edit)?;
                Ok(())
            }
            Err(why) => Err(why.of_edit()),
        }
    }

    /// In answer to an interaction only that person sees it. Discord lets nobody whisper in answer to a message: then it
    /// is a direct message.
    async fn whisper(
        &self,
        to: &Place,
        speaker: &str,
        handle: Option<&str>,
        message: &Message,
        mark: &Mark,
    ) -> Result<(), DeliveryError> {
        if let Some(handle) = handle {
            let mut body = self.encode(to, message);
            let flags = body["flags"].as_u64().unwrap_or(0);
            body["flags"] = (flags | EPHEMERAL).into();
            match self.acts.answer(handle, First::Message(body)) {
                Ok(()) => return Ok(()),
                Err(First::Message(body)) => {
                    if self.answered_later(handle, &body).await? {
                        return Ok(());
                    }
                }
                Err(First::Modal(_) | First::Run { .. }) => {}
            }
        }
        self.say_directly(to, speaker, self.encode(to, message), Some(mark))
            .await
    }

    async fn attach(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        name: &str,
        text: &str,
    ) -> Result<(), DeliveryError> {
        if text.is_empty() {
            return Ok(());
        }
        let spot = self.spot(to, thread).await?;
        let route = Route::ChannelMessages {
            channel_id: id(&spot.channel)?.into(),
        };
        let named = format!(
            "{}/{}/{name}",
            spot.channel,
            spot.reply_to.as_deref().unwrap_or("")
        );
        let body = json!({
            "attachments": [{ "id": 0, "filename": name }],
            "allowed_mentions": { "parse": [] },
            "nonce": short_digest(&named),
            "enforce_nonce": true,
        });
        let sent = self.api.send_file(route, &body, name, text).await;
        let Some(why) = sent.err() else {
            return Ok(());
        };
        if !why.is(code::NO_PERMISSION) {
            return Err(why.of_post());
        }
        // The line above says that the rest is in the file.
        let words = format!(
            "📎 `{name}` can't be attached: midwatch has no *Attach Files* in this channel"
        );
        let mut body = whisper_of(&words);
        body["flags"] = 0.into();
        body["nonce"] = short_digest(&named).into();
        body["enforce_nonce"] = true.into();
        let said = self.post_at(&spot, body).await;
        said.map(|_| ()).map_err(CallError::of_post)
    }

    /// A form can only be an interaction's first answer, from the process that heard it.
    async fn open_form(&self, _: &Place, handle: &str, form: &Form) -> Result<(), DeliveryError> {
        let modal = encode::form(form).map_err(DeliveryError::Refused)?;
        let given = self.acts.answer(handle, First::Modal(modal));
        given.map_err(|_| DeliveryError::Refused("nobody waits for the form any more".to_owned()))
    }

    /// Discord keeps no mark of ours. A root is known by its run's reference, other messages by their words.
    async fn find(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        message: &Message,
        mark: &Mark,
    ) -> Result<Option<MessageRef>, DeliveryError> {
        let Some(me) = self.me() else {
            return Err(DeliveryError::Failed(
                "discord does not say who we are yet".to_owned(),
            ));
        };
        let spot = self.spot(to, thread).await?;
        let route = || {
            Ok(Route::ChannelMessages {
                channel_id: id(&spot.channel)?.into(),
            })
        };
        let wanted = match RunId::parse(&mark.id) {
            Some(run) => Wanted::Root {
                run,
                reference: format!("· ref {}", run.reference(4)),
            },
            None => Wanted::Words(words(&self.encode(to, message))),
        };
        let mut before = None;
        for _ in 0..PAGES_SEARCHED {
            let mut parameters = vec![("limit", PAGE.to_owned())];
            parameters.extend(before.map(|id| ("before", id)));
            let page = match self.api.get(route()?, parameters).await {
                Err(why) if why.is(code::UNKNOWN_CHANNEL) => return Ok(None),
                page => page.map_err(CallError::of_edit)?,
            };
            let page = page.as_array().map(Vec::as_slice).unwrap_or_default();
            let ours = page
                .iter()
                .filter(|it| as_text(it, "/author/id") == me.user);
            if let Some(found) = ours.clone().find(|it| wanted.is(it)) {
                if let Wanted::Root { run, .. } = wanted {
                    self.tell_beginning(to, run, Ok(found));
                }
                return reference(Platform::Discord, &spot.channel, as_text(found, "/id"))
                    .map(Some);
            }
            let Some(last) = page.last().filter(|_| page.len() == 100) else {
                break;
            };
            before = Some(as_text(last, "/id").to_owned());
        }
        Ok(None)
    }

    async fn stands(
        &self,
        _: &Place,
        _: Option<&MessageRef>,
        at: &MessageRef,
        _: &Mark,
    ) -> Result<bool, DeliveryError> {
        let (channel, id) = located(at)?;
        match self.api.get(message_route(channel, id)?, Vec::new()).await {
            Ok(_) => Ok(true),
            Err(why) if why.is_one_of(&[code::UNKNOWN_MESSAGE, code::UNKNOWN_CHANNEL]) => Ok(false),
            Err(why) => Err(why.of_edit()),
        }
    }
}

/// What a posting in doubt is known by.
enum Wanted {
    Root { run: RunId, reference: String },
    Words(String),
}

impl Wanted {
    fn is(&self, message: &Value) -> bool {
        match self {
            Self::Root { reference, .. } => words(message).contains(reference.as_str()),
            Self::Words(expected) => words(message).trim() == expected.trim(),
        }
    }
}

/// A message's own words, without its buttons.
pub(super) fn words(message: &Value) -> String {
    let displays = message["components"].as_array().into_iter().flatten();
    let displays = displays.map(|it| as_text(it, "/content"));
    std::iter::once(as_text(message, "/content"))
        .chain(displays)
        .collect()
}

impl Discord {
    pub(super) fn encode(&self, to: &Place, message: &Message) -> Value {
        encode::message(message, &self.catalog.load().people, &to.space)
    }

    async fn post_at(&self, spot: &Spot, mut body: Value) -> Result<Value, CallError> {
        if let Some(message) = &spot.reply_to {
            body["message_reference"] =
                json!({ "message_id": message, "fail_if_not_exists": false });
        }
        let channel = spot.channel.parse::<u64>().ok().filter(|id| *id != 0);
        let channel = channel.ok_or_else(|| CallError::Refused {
            code: code::UNKNOWN_CHANNEL,
            words: format!("`{}` is no channel of discord's", spot.channel),
        })?;
        let route = Route::ChannelMessages {
            channel_id: channel.into(),
        };
        let posted = self.api.send(LightMethod::Post, route, &body).await;
        match posted {
            // Then it stands there without saying what it answers.
            Err(why) if why.is(code::NO_REPLY) && spot.reply_to.is_some() => {
                body["message_reference"] = Value::Null;
                let route = Route::ChannelMessages {
                    channel_id: channel.into(),
                };
                self.api.send(LightMethod::Post, route, &body).await
            }
            posted => posted,
        }
    }

    /// Tells who waits for it where the run is told, or that it can't be told there.
    fn tell_beginning(&self, to: &Place, run: RunId, posted: Result<&Value, &CallError>) {
        let first = match posted {
            Ok(root) => First::Run {
                guild: to.space.clone(),
                channel: as_text(root, "/channel_id").to_owned(),
                message: as_text(root, "/id").to_owned(),
            },
            Err(why) if why.is_one_of(&NOT_PERMITTED) => {
                let reference = run.reference(4);
                First::Message(whisper_of(&format!(
                    "▶ it began, and can't be told here: midwatch may not see this channel or write in it. `/ops show {reference}` says what becomes of it; whoever manages the channel can give *View Channel* and *Send Messages*"
                )))
            }
            Err(_) => return,
        };
        match first {
            First::Message(body) => {
                self.said.began(run, First::Message(body.clone()));
                self.acts.began(run, First::Message(body));
            }
            first => self.acts.began(run, first),
        }
    }

    /// Answers an act that was deferred. `false` when it can't be answered any more.
    pub(super) async fn answered_later(
        &self,
        handle: &str,
        body: &Value,
    ) -> Result<bool, DeliveryError> {
        let (
            Some(Handle {
                act,
                id: act_id,
                token,
            }),
            Some(me),
        ) = (Handle::parse(handle), self.me())
        else {
            return Ok(false);
        };
        let application_id = id(&me.application)?.into();
        let sent = if act == Act::Click {
            // A click's own message is the one with the button.
            let route = Route::WebhookFollowupMessages {
                application_id,
                token,
            };
            self.api.send(LightMethod::Post, route, body).await
        } else {
            let route = Route::WebhookOriginalInteractionResponse {
                application_id,
                token,
            };
            self.api.send(LightMethod::Patch, route, body).await
        };
        match sent {
            Ok(_) => Ok(true),
            Err(why) if why.is_one_of(&TOKEN_OVER) => {
                // Whoever heard it may not have answered yet; it ends its waiting within three seconds.
                let age = moment(act_id).map(|at| self.clock.now().duration_since(at));
                if age.is_some_and(|age| age < ACT_ENDS) {
                    return Err(DeliveryError::Failed(format!("not answerable yet: {why}")));
                }
                Ok(false)
            }
            Err(why) => Err(why.of_post()),
        }
    }

    /// To that person alone. Where they take no direct messages they are told so, in the place where they spoke.
    pub(super) async fn say_directly(
        &self,
        to: &Place,
        speaker: &str,
        body: Value,
        mark: Option<&Mark>,
    ) -> Result<(), DeliveryError> {
        let channel = if to.space.is_empty() && to.channel != speaker {
            to.channel.clone()
        } else {
            let body = json!({ "recipient_id": speaker });
            let opened = self
                .api
                .send(LightMethod::Post, Route::UserMeDmChannels, &body)
                .await;
            as_text(&opened.map_err(CallError::of_edit)?, "/id").to_owned()
        };
        let spot = Spot::plain(&channel);
        let said = self.post_at(&spot, once(body, &spot, mark)).await;
        match said {
            Err(why) if why.is(code::NO_DIRECT_MESSAGES) && to.channel != speaker => {
                let words = format!(
                    "<@{speaker}> there is an answer for you, and you take no direct messages from here: allow them in this server's privacy settings, or use `/ops`"
                );
                let body = json!({ "content": words, "allowed_mentions": { "parse": [], "users": [speaker] } });
                let spot = self.spot(to, None).await?;
                self.post_at(&spot, once(body, &spot, mark))
                    .await
                    .map_err(CallError::of_post)?;
                Ok(())
            }
            said => said.map(|_| ()).map_err(CallError::of_post),
        }
    }
}

/// Answers that mean that an interaction can't be answered with its token.
const TOKEN_OVER: [u64; 4] = [
    code::UNKNOWN_WEBHOOK,
    code::UNKNOWN_MESSAGE,
    code::UNKNOWN_INTERACTION,
    code::TOKEN_GONE,
];

/// A message that Discord takes once with this mark, however often it is sent within some minutes.
fn once(mut body: Value, spot: &Spot, mark: Option<&Mark>) -> Value {
    if let Some(mark) = mark {
        body["nonce"] = nonce(&spot.channel, mark).into();
        body["enforce_nonce"] = true.into();
    }
    body
}

/// The same for each try of the same state of a posting in a channel: Discord makes one message of them. The roots of a
/// run's mirrors have the same mark.
fn nonce(channel: &str, mark: &Mark) -> String {
    short_digest(&format!("{channel}/{}/{}", mark.id, mark.version))
}

fn short_digest(of: &str) -> String {
    let mut digest = data_encoding::HEXLOWER.encode(&Sha256::digest(of));
    digest.truncate(NONCE_CHARS);
    digest
}

pub(super) fn message_route(channel: &str, message: &str) -> Result<Route<'static>, DeliveryError> {
    Ok(Route::ChannelMessage {
        channel_id: id(channel)?.into(),
        message_id: id(message)?.into(),
    })
}

/// Discord's ids are numbers, and never zero.
pub(super) fn id(text: &str) -> Result<std::num::NonZeroU64, DeliveryError> {
    let wrong = || DeliveryError::Refused(format!("`{text}` is no id of discord's"));
    text.parse().map_err(|_| wrong())
}
