//! The sending side: each intention as calls of the REST API, each failure as what is true afterwards.
//!
//! A run's thread begins from its root and has the root's id. Where there can be no thread, lines answer the root.

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::warn;

use super::acts::First;
use super::api::{CallError, code};
use super::inbound::{Act, Handle, moment};
use super::{Discord, as_text, encode};
use crate::chat::{DeliveryError, Pace, Transport, located, reference};
use crate::domain::{Form, Message, Place, Platform, RunId};
use crate::store::{Mark, MessageRef};

/// Only the person sees it.
pub(super) const EPHEMERAL: u64 = 1 << 6;
/// How far back a posting in doubt is looked for: pages of a hundred messages.
const PAGES_SEARCHED: usize = 10;
pub(super) const PAGE: &str = "100";
/// Discord's longest nonce has 25 characters.
const NONCE_CHARS: usize = 24;
const THREAD_NAME_CHARS: usize = 100;
/// Minutes without a line after which a thread is put away; whoever writes into it brings it back.
const PUT_AWAY_AFTER: u32 = 4_320;
/// How long a channel is taken for one that has no threads; somebody may allow them.
const NO_THREADS_FOR: Duration = Duration::from_secs(600);
/// Above so many, what is known of threads is forgotten.
const MOST_THREADS: usize = 10_000;
/// An answer to an act that this old is not waited for any more.
const ACT_ENDS: SignedDuration = SignedDuration::from_secs(10);

/// What is known of runs' threads. A restart forgets it, and asks again.
#[derive(Default)]
pub(super) struct Threads {
    begun: HashSet<String>,
    /// Roots and channels that can have none, until then.
    none: HashMap<String, Instant>,
}

/// Where a line goes.
struct Spot {
    channel: String,
    /// The message that it answers.
    reply_to: Option<String>,
}

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
        let mut body = self.encode(to, message);
        body["nonce"] = nonce(&spot.channel, mark).into();
        body["enforce_nonce"] = true.into();
        let posted = self.post_at(&spot, body).await;
        if let Err(why) = &posted
            && let (None, Some(root)) = (&to.thread, thread)
            && why.is_one_of(&[code::UNKNOWN_CHANNEL, code::ARCHIVED, code::LOCKED])
        {
            // Somebody deleted the thread or locked it: the channel above is told.
            let (_, root) = located(root)?;
            self.threads().no_thread(root);
            return Err(DeliveryError::Failed(format!(
                "the thread takes no more lines: {why}"
            )));
        }
        let posted = posted.map_err(CallError::of_post)?;
        let (channel, id) = (as_text(&posted, "/channel_id"), as_text(&posted, "/id"));
        if let (None, Some(run)) = (thread, RunId::parse(&mark.id)) {
            let first = First::Run {
                guild: to.space.clone(),
                channel: channel.to_owned(),
                message: id.to_owned(),
            };
            self.acts.began(run, first);
        }
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
                let mut body = self.encode(to, message);
                body["nonce"] = nonce(&spot.channel, mark).into();
                body["enforce_nonce"] = true.into();
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
        self.say_directly(to, speaker, message).await
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
        sent.map_err(CallError::of_post)?;
        Ok(())
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
            Some(run) => Wanted::Root(format!("· ref {}", run.reference(4))),
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
    Root(String),
    Words(String),
}

impl Wanted {
    fn is(&self, message: &Value) -> bool {
        match self {
            Self::Root(reference) => words(message).contains(reference.as_str()),
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

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.api.send(LightMethod::Post, route, &body).await
    }

    /// Where a message for this place goes; a run's thread is begun where there is none yet.
    async fn spot(&self, to: &Place, root: Option<&MessageRef>) -> Result<Spot, DeliveryError> {
        let plain = |channel: &str| Spot {
            channel: channel.to_owned(),
            reply_to: None,
        };
        let Some(root) = root.filter(|_| to.thread.is_none()) else {
            return Ok(plain(to.thread.as_deref().unwrap_or(&to.channel)));
        };
        let (channel, message) = located(root)?;
        if !to.space.is_empty() && self.has_thread(channel, message).await? {
            return Ok(plain(message));
        }
        Ok(Spot {
            channel: channel.to_owned(),
            reply_to: Some(message.to_owned()),
        })
    }

    async fn has_thread(&self, channel: &str, root: &str) -> Result<bool, DeliveryError> {
        {
            let mut threads = self.threads();
            if threads.can_have_none(root) || threads.can_have_none(channel) {
                return Ok(false);
            }
            if threads.begun.contains(root) {
                return Ok(true);
            }
        }
        let message = self
            .api
            .get(message_route(channel, root)?, Vec::new())
            .await;
        let message = message.map_err(CallError::of_edit)?;
        let body = json!({
            "name": thread_name(&words(&message)),
            "auto_archive_duration": PUT_AWAY_AFTER,
        });
        let route = Route::ChannelMessageThreads {
            channel_id: id(channel)?.into(),
            message_id: id(root)?.into(),
        };
        match self.api.send(LightMethod::Post, route, &body).await {
            Ok(_) => {}
            Err(why) if why.is(code::THREAD_EXISTS) => {}
            Err(why) if why.is_one_of(&NO_THREADS) => {
                warn!(
                    "discord: lines of runs in channel {channel} answer their first message, since {why}"
                );
                self.threads().no_thread(channel);
                return Ok(false);
            }
            Err(why) => return Err(why.of_edit()),
        }
        self.threads().begin(root);
        Ok(true)
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
    async fn say_directly(
        &self,
        to: &Place,
        speaker: &str,
        message: &Message,
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
        let spot = Spot {
            channel,
            reply_to: None,
        };
        let said = self.post_at(&spot, self.encode(to, message)).await;
        match said {
            Err(why) if why.is(code::NO_DIRECT_MESSAGES) && to.channel != speaker => {
                let words = format!(
                    "<@{speaker}> there is an answer for you, and you take no direct messages from here: allow them in this server's privacy settings, or use `/ops`"
                );
                let body = json!({ "content": words, "allowed_mentions": { "parse": [], "users": [speaker] } });
                let spot = self.spot(to, None).await?;
                self.post_at(&spot, body)
                    .await
                    .map_err(CallError::of_post)?;
                Ok(())
            }
            said => said.map(|_| ()).map_err(CallError::of_post),
        }
    }
}

/// Answers that mean that there can be no thread: the lines stay in the channel then.
const NO_THREADS: [u64; 4] = [
    code::NOT_IN_THIS_CHANNEL,
    code::NO_PERMISSION,
    code::NO_ACCESS,
    code::THREADS_FULL,
];
/// Answers that mean that an interaction can't be answered with its token.
const TOKEN_OVER: [u64; 4] = [
    code::UNKNOWN_WEBHOOK,
    code::UNKNOWN_MESSAGE,
    code::UNKNOWN_INTERACTION,
    code::TOKEN_GONE,
];

impl Threads {
    fn begin(&mut self, root: &str) {
        if self.begun.len() >= MOST_THREADS {
            self.begun.clear();
        }
        self.begun.insert(root.to_owned());
    }

    fn no_thread(&mut self, of: &str) {
        let now = Instant::now();
        self.begun.remove(of);
        if self.none.len() >= MOST_THREADS {
            self.none.clear();
        }
        self.none.insert(of.to_owned(), now + NO_THREADS_FOR);
    }

    fn can_have_none(&mut self, of: &str) -> bool {
        let until = self.none.get(of).copied();
        if until.is_some_and(|until| until <= Instant::now()) {
            self.none.remove(of);
        }
        self.none.contains_key(of)
    }
}

/// The root's first line, without marks.
fn thread_name(root: &str) -> String {
    let first = root
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("");
    let plain: String = first
        .chars()
        .filter(|c| !matches!(c, '*' | '`' | '\\'))
        .collect();
    let name: String = plain.trim().chars().take(THREAD_NAME_CHARS).collect();
    if name.is_empty() {
        "run".to_owned()
    } else {
        name
    }
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

fn message_route(channel: &str, message: &str) -> Result<Route<'static>, DeliveryError> {
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
