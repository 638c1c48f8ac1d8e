//! What Discord keeps of what was said: the messages of channels and threads, as events that nobody heard.
//!
//! Direct messages can't be listed. Those of persons whom `people.yaml` names are opened and read; that tells them nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::api::{CallError, code};
use super::inbound::{self, id_at, moment};
use super::rooms::Room;
use super::transport::{PAGE, id, words};
use super::{Door, Me, as_text as at};
use crate::chat::door::Heard;
use crate::chat::history::{
    Archive, Between, Channels, History, NotRead, Page, Pause, Replies, Thread, Written,
};
use crate::chat::{DeliveryError, Ears, located};
use crate::domain::{Inbound, InboundKey, Place, Platform, RunId};
use crate::store::RunThread;

/// Channels in which something can be written to us, or in whose threads: with text, voices, announcements, a stage, posts
/// of a forum or pictures.
const TEXT_KINDS: [u64; 6] = [0, 2, 5, 13, 15, 16];
/// Answers that mean that a channel has no messages of its own.
const NO_MESSAGES: [u64; 2] = [code::NOT_IN_THIS_CHANNEL, code::NOT_A_TEXT_CHANNEL];
/// Persons whose direct messages are read.
const DIRECT: usize = 100;
/// Discord looks askance at many that are opened at once.
const BETWEEN_DIRECT: Duration = Duration::from_millis(500);

/// Reads what was missed, until cancelled: after a start, and each time the gateway hears again.
pub async fn read_history(door: Door, ears: watch::Receiver<Ears>, cancel: CancellationToken) {
    let history = History {
        store: door.store.clone(),
        catalog: Arc::clone(&door.discord.catalog),
        intake: Arc::clone(&door.intake),
        clock: door.clock.clone(),
        ears: Some(ears),
        archive: Messages {
            door,
            active: HashMap::new(),
        },
    };
    history.run(cancel).await;
}

/// Messages of the guilds that we are in.
struct Messages {
    door: Door,
    /// Threads that are not put away, by guild: asked for once each time we begin to listen.
    active: HashMap<String, Vec<Value>>,
}

impl From<CallError> for NotRead {
    fn from(why: CallError) -> Self {
        let words = why.to_string();
        match why {
            CallError::NotAllowed => Self::NotAllowed(words),
            CallError::Refused { .. } => Self::Refused(words),
            CallError::Limited(_) | CallError::NotDone(_) | CallError::NoAnswer(_) => {
                Self::NotNow(words)
            }
        }
    }
}

impl From<DeliveryError> for NotRead {
    fn from(why: DeliveryError) -> Self {
        Self::Refused(why.to_string())
    }
}

#[async_trait]
impl Archive for Messages {
    /// Its words: they hold the run's reference.
    type Root = String;

    fn platform(&self) -> Platform {
        Platform::Discord
    }

    /// Each guild, and the empty one, which direct messages have.
    async fn spaces(&mut self) -> Result<Vec<String>, NotRead> {
        self.active.clear();
        let mut pause = Pause::new();
        while self.door.discord.me().is_none() {
            if self.door.discord.identify().await.is_err() {
                pause.wait().await;
            }
        }
        let mut spaces = self.door.guilds().await?;
        spaces.push(String::new());
        Ok(spaces)
    }

    async fn channels(&mut self, space: &str, _: Option<&str>) -> Result<Channels, NotRead> {
        if space.is_empty() {
            return Ok(Channels {
                ids: self.direct().await?,
                next: None,
            });
        }
        let guild_id = id(space)?.into();
        let listed = self
            .get(Route::GuildChannels { guild_id }, Vec::new())
            .await?;
        let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
        let text = listed.iter().filter(|channel| {
            channel["type"]
                .as_u64()
                .is_some_and(|kind| TEXT_KINDS.contains(&kind))
        });
        let ids = text.map(|channel| at(channel, "/id").to_owned()).collect();
        let active = self
            .get(Route::GuildThreadsActive { guild_id }, Vec::new())
            .await?;
        let active = active["threads"].as_array().cloned().unwrap_or_default();
        for thread in &active {
            self.door.discord.rooms.note(thread);
        }
        self.active.insert(space.to_owned(), active);
        Ok(Channels { ids, next: None })
    }

    async fn page(
        &mut self,
        of: &Place,
        between: Between,
        next: Option<&str>,
    ) -> Result<Page<String>, NotRead> {
        let before = match next {
            Some(next) => next.to_owned(),
            None => id_at(between.latest).saturating_add(1 << 22).to_string(),
        };
        let wanted = vec![("limit", PAGE.to_owned()), ("before", before)];
        let page = self.messages(of, wanted).await?;
        let me = self.me()?;
        let mut messages = Vec::new();
        for message in &page {
            let said_at = moment(at(message, "/id")).unwrap_or(Timestamp::MIN);
            if said_at < between.oldest {
                return Ok(Page {
                    messages,
                    next: None,
                });
            }
            messages.push(written(message, said_at, of, &me, self.door.clock.now()));
        }
        let last = page.last().filter(|_| page.len().to_string() == PAGE);
        let next = last.map(|message| at(message, "/id").to_owned());
        Ok(Page { messages, next })
    }

    async fn was_said(&mut self, channel: &Place, between: Between) -> Result<bool, NotRead> {
        let before = id_at(between.latest).to_string();
        let page = self.messages(channel, vec![("limit", "1".to_owned()), ("before", before)]);
        let newest = page
            .await?
            .first()
            .and_then(|message| moment(at(message, "/id")));
        Ok(newest.is_some_and(|newest| newest >= between.oldest))
    }

    async fn threads(&mut self, channel: &Place) -> Result<Vec<Thread>, NotRead> {
        let active = self
            .active
            .get(&channel.space)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let here = active
            .iter()
            .filter(|thread| at(thread, "/parent_id") == channel.channel);
        Ok(here.map(thread_of).collect())
    }

    /// A thread has the id of the message that it began from.
    fn thread_of(&self, run: &RunThread) -> Option<String> {
        let root = run.root.as_ref().and_then(|root| located(root).ok());
        run.place
            .thread
            .clone()
            .or(root.map(|(_, id)| id.to_owned()))
    }

    fn shown(
        &self,
        roots: Vec<(String, Timestamp)>,
        read: &BTreeSet<InboundKey>,
    ) -> Vec<(RunId, Timestamp)> {
        let shown = |key: &InboundKey| {
            let run = RunId::of_inbound(key);
            let reference = format!("`{}", run.reference(4));
            let root = roots.iter().find(|(words, _)| words.contains(&reference))?;
            Some((run, root.1))
        };
        read.iter().filter_map(shown).collect()
    }
}

impl Messages {
    fn me(&self) -> Result<Me, NotRead> {
        let me = self.door.discord.me().cloned();
        me.ok_or_else(|| NotRead::NotNow("discord does not say who we are".to_owned()))
    }

    /// Waits for as long as Discord asks to.
    async fn get(
        &self,
        route: Route<'_>,
        parameters: Vec<(&'static str, String)>,
    ) -> Result<Value, NotRead> {
        Ok(self.read(route, parameters).await?)
    }

    async fn read(
        &self,
        route: Route<'_>,
        parameters: Vec<(&'static str, String)>,
    ) -> Result<Value, CallError> {
        loop {
            match self.door.discord.api.get(route, parameters.clone()).await {
                Err(CallError::Limited(wait)) => sleep(wait).await,
                answer => return answer,
            }
        }
    }

    async fn messages(
        &self,
        of: &Place,
        wanted: Vec<(&'static str, String)>,
    ) -> Result<Vec<Value>, NotRead> {
        let channel = of.thread.as_deref().unwrap_or(&of.channel);
        let channel_id = id(channel)?.into();
        let route = Route::ChannelMessages { channel_id };
        match self.read(route, wanted).await {
            Ok(Value::Array(messages)) => Ok(messages),
            // A forum has threads alone.
            Err(why) if why.is_one_of(&NO_MESSAGES) => Ok(Vec::new()),
            Err(why) => Err(why.into()),
            Ok(_) => Err(NotRead::NotNow("discord lists no messages".to_owned())),
        }
    }

    /// Accounts of persons whom we know.
    fn accounts(&self) -> Vec<String> {
        let catalog = self.door.discord.catalog.load();
        let mut found = Vec::new();
        for person in catalog.people.persons.values() {
            let accounts = person.accounts.get(&Platform::Discord);
            found.extend(accounts.into_iter().flatten().map(|account| {
                let id = account.rsplit('/').next();
                id.unwrap_or(account).to_owned()
            }));
        }
        found.truncate(DIRECT);
        found
    }

    /// The channels in which persons whom we know write to us.
    async fn direct(&self) -> Result<Vec<String>, NotRead> {
        let accounts = self.accounts();
        let mut channels = Vec::new();
        for account in accounts {
            let body = json!({ "recipient_id": account });
            let opened = loop {
                let opening =
                    self.door
                        .discord
                        .api
                        .send(LightMethod::Post, Route::UserMeDmChannels, &body);
                match opening.await {
                    Err(CallError::Limited(wait)) => sleep(wait).await,
                    opened => break opened,
                }
            };
            match opened {
                Ok(channel) => channels.push(at(&channel, "/id").to_owned()),
                Err(CallError::Refused { .. }) => {} // Not an account of Discord's.
                Err(why) => return Err(why.into()),
            }
            sleep(BETWEEN_DIRECT).await;
        }
        Ok(channels)
    }
}

/// A message as its event would have told it.
fn written(
    message: &Value,
    said_at: Timestamp,
    of: &Place,
    me: &Me,
    now: Timestamp,
) -> Written<String> {
    let mut event = message.clone();
    if !of.space.is_empty() {
        event["guild_id"] = of.space.as_str().into();
    }
    let room = Room {
        channel: of.channel.clone(),
        thread: of.thread.clone(),
    };
    let edited = !at(message, "/edited_timestamp").is_empty();
    let said: Option<Inbound> = match inbound::message(&event, edited, room, me, now) {
        Heard::Inbound(said) => Some(*said),
        Heard::Ignored(_) | Heard::Malformed(_) => None,
    };
    let is_ours = at(message, "/author/id") == me.user;
    Written {
        id: at(message, "/id").to_owned(),
        at: said_at,
        said,
        root: (is_ours && of.thread.is_none()).then(|| words(message)),
        thread: message["thread"]
            .is_object()
            .then(|| thread_of(&message["thread"])),
    }
}

fn thread_of(thread: &Value) -> Thread {
    Thread {
        id: at(thread, "/id").to_owned(),
        replies: match moment(at(thread, "/last_message_id")) {
            Some(newest) => Replies::Until(newest),
            None => Replies::Some,
        },
    }
}
