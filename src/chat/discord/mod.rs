//! Discord: its payloads become inbounds, our messages become its markup. Nothing Discord-like leaves this module.
//!
//! Two doors let payloads in: signed HTTP ([`routes`]), for interactions, and the gateway ([`run_gateway`]), for messages
//! too. Both commit before they answer. [`keep_registered`] offers `/ops` in each guild. [`Discord`] is the sending side.

mod acts;
mod api;
mod archive;
mod commands;
mod encode;
mod gateway;
mod groups;
mod http;
mod inbound;
mod later;
mod rooms;
mod threads;
mod transport;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ed25519_dalek::VerifyingKey;
use secrecy::SecretString;
use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use self::acts::{Acts, First};
use self::api::{Api, CallError, code};
use self::inbound::{Act, Handle};
use self::later::ANSWERABLE;
use self::rooms::{Room, Rooms};
use self::threads::Threads;
use self::transport::{EPHEMERAL, id};
use super::door::{Heard, MISUNDERSTOOD, Taken, take};
use super::{CurrentCatalog, DeliveryError, Intake};
use crate::clock::Clock;
use crate::domain::{Form, Message, People, Platform, RunId};
use crate::store::{Receipt, Store};

pub use self::archive::read_history;
pub use self::commands::{definition, keep_registered};
pub use self::gateway::{GatewayStopped, TIMING, run_gateway};
pub use self::http::routes;

/// Where Discord is, unless somebody says otherwise.
pub const API_URL: &str = "https://discord.com";

/// How long an act's first answer waits for what the one path says: it may be a form, and that can't be given later.
const FIRST_ANSWER: Duration = Duration::from_millis(1_500);
/// How long a repetition waits for it: what is said here a moment before the first hearing gives up, must be given first.
const FIRST_ANSWER_HERE: Duration = Duration::from_millis(1_250);
/// How much longer a repetition waits than its first hearing.
const OTHERS_FIRST: Duration = Duration::from_millis(500);
/// The longest that hearing takes; Discord waits three seconds.
const HEAR_LIMIT: Duration = Duration::from_millis(2_400);
/// When Discord waits for a first answer no longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// The wait before an answer is sent again whose arrival is not known.
const ANSWER_AGAIN: Duration = Duration::from_millis(50);
/// What a repetition is answered with, if its first hearing was not.
const HEARD_BEFORE: &str = "🔁 this came in twice, and counts once: what became of it stands in the channel or was told to you; if nothing appears within a minute, try again";

/// What we need to know to speak with Discord.
#[derive(Debug)]
pub struct DiscordSettings {
    /// The bot's token.
    pub token: SecretString,
    /// The application's public key, for signed HTTP requests.
    pub public_key: Option<VerifyingKey>,
    /// [`API_URL`], or another for proxies and tests; no slash at the end.
    pub api_url: String,
}

/// Why the adapter can't be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SetupError {
    /// The address is wrong.
    #[error("DISCORD_API_URL: {0}")]
    Url(String),
    /// There is nothing to call with.
    #[error("discord can't be called: {0}; install ca-certificates")]
    Client(String),
}

/// Our own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// The bot's user id.
    pub user: String,
    /// The application's id.
    pub application: String,
    /// Its name, for people.
    pub name: String,
}

/// The sending side, and what both doors need to know.
pub struct Discord {
    api: Api,
    catalog: CurrentCatalog,
    clock: Clock,
    public_key: Option<VerifyingKey>,
    me: OnceLock<Me>,
    rooms: Rooms,
    acts: Acts,
    /// Messages, whose runs may begin where nothing can be told.
    said: Acts,
    threads: Mutex<Threads>,
    /// Acts that were deferred and messages, until their runs begin.
    later: Mutex<JoinSet<()>>,
}

/// What a door needs: who we are, where inbounds go, what time it is, which runs may be named.
#[derive(Clone)]
pub struct Door {
    /// The adapter.
    pub discord: Arc<Discord>,
    /// Where inbounds go.
    pub intake: Intake,
    /// Tells the time.
    pub clock: Clock,
    /// Whose runs are offered to those who type.
    pub store: Store,
}

/// A message as Discord's `create message` takes it, for a guild.
pub fn message(of: &Message, people: &People, guild: &str) -> Value {
    encode::message(of, people, guild)
}

/// A form as the modal that answers an interaction; an error when it doesn't fit into one.
pub fn form(of: &Form) -> Result<Value, String> {
    encode::form(of)
}

impl Discord {
    /// Makes the adapter; speaks to nobody yet.
    pub fn new(
        settings: &DiscordSettings,
        catalog: CurrentCatalog,
        clock: Clock,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            api: Api::new(&settings.api_url, &settings.token)?,
            catalog,
            clock,
            public_key: settings.public_key,
            me: OnceLock::new(),
            rooms: Rooms::default(),
            acts: Acts::default(),
            said: Acts::default(),
            threads: Mutex::default(),
            later: Mutex::default(),
        })
    }

    /// Asks Discord who we are. Until this succeeded once, no message is known to be to us.
    pub async fn identify(&self) -> Result<Me, DeliveryError> {
        let user = self.api.get(Route::UserMe, Vec::new());
        let user = user.await.map_err(CallError::of_edit)?;
        let application = self.api.get(Route::Oauth2ApplicationCurrent, Vec::new());
        let application = application.await.map_err(CallError::of_edit)?;
        let me = Me {
            user: as_text(&user, "/id").to_owned(),
            application: as_text(&application, "/id").to_owned(),
            name: as_text(&user, "/username").to_owned(),
        };
        Ok(self.me.get_or_init(|| me).clone())
    }

    /// Our own account, once [`Discord::identify`] has succeeded.
    pub fn me(&self) -> Option<&Me> {
        self.me.get()
    }

    /// Where a message stands: in a channel, or in a thread of one.
    async fn room(&self, channel: &str) -> Result<Room, CallError> {
        if let Some(room) = self.rooms.get(channel) {
            return Ok(room);
        }
        let wrong = |why: DeliveryError| CallError::NotDone(why.to_string());
        let channel_id = id(channel).map_err(wrong)?.into();
        let found = self
            .api
            .get(Route::Channel { channel_id }, Vec::new())
            .await?;
        let unclear = || CallError::NotDone("discord describes no channel".to_owned());
        self.rooms.note(&found).ok_or_else(unclear)
    }
}

impl Door {
    /// Hears an event of the gateway. `false` when it was to us and is not durable.
    async fn hear(&self, kind: &str, data: &Value) -> bool {
        if kind == "INTERACTION_CREATE" {
            self.hear_interaction(data).await;
            return true; // Nobody could repeat it; the person was told.
        }
        let Some(me) = self.discord.me() else {
            return false;
        };
        // Most messages are not to us: that is known before anything is asked for.
        if let Err(why) = inbound::addressed(data, me) {
            metrics::counter!("midwatch_deliveries_ignored_total", "platform" => "discord", "kind" => why).increment(1);
            return true;
        }
        let deadline = Instant::now() + HEAR_LIMIT;
        let room = self.discord.room(as_text(data, "/channel_id"));
        let Ok(Ok(room)) = timeout_at(deadline, room).await else {
            return false;
        };
        let heard = inbound::message(data, kind == "MESSAGE_UPDATE", room, me, self.clock.now());
        let said = match &heard {
            Heard::Inbound(said) if kind == "MESSAGE_CREATE" => Some(self.await_beginning(said)),
            Heard::Inbound(_) | Heard::Ignored(_) | Heard::Malformed(_) => None,
        };
        let taken = take(Platform::Discord, &self.intake, heard, deadline).await;
        if let (Some(said), Taken::Kept(Receipt::New)) = (said, &taken) {
            self.tell_speaker_later(said);
            self.mark_as_heard(data).await;
        }
        !matches!(taken, Taken::NotKept(_))
    }

    /// A quick mark on what was typed: somebody heard it. Best effort; the answer says the rest.
    async fn mark_as_heard(&self, message: &Value) {
        let (Ok(channel), Ok(message)) = (
            id(as_text(message, "/channel_id")),
            id(as_text(message, "/id")),
        ) else {
            return;
        };
        let route = Route::ChannelMessageReactionMe {
            channel_id: channel.into(),
            message_id: message.into(),
            reaction: "%F0%9F%91%80", // 👀
        };
        if let Err(why) = self.discord.api.put(route).await {
            tracing::debug!("discord: no mark on a message: {why}");
        }
    }

    async fn hear_interaction(&self, payload: &Value) {
        let began = Instant::now();
        let heard = self.interact(payload, began + HEAR_LIMIT).await;
        let answer = match heard {
            Some(Reply::First(answer)) => answer,
            Some(Reply::Repeated(again)) => return self.answer_last(payload, again, began),
            None => return,
        };
        self.answer(payload, &answer, began).await;
    }

    /// Who heard it first answers, here or another replica: unless what there is to say came to this one, or nobody does.
    /// What else is heard does not wait for that.
    fn answer_last(&self, payload: &Value, again: Repetition, began: Instant) {
        let (door, payload) = (self.clone(), payload.clone());
        self.later(async move {
            let first = async { again.waits?.await.ok() };
            let first = timeout_at(began + FIRST_ANSWER_HERE, first).await;
            let Some(first) = first.ok().flatten() else {
                sleep_until(began + FIRST_ANSWER + OTHERS_FIRST).await;
                door.answer(&payload, &repeated(again.act), began).await;
                return;
            };
            let body = words_of(&first);
            let answer = first_answer(again.act, first);
            let given = door.answer(&payload, &answer, began).await;
            // Said twice it is one message; in answer to a click it would be two.
            if let (Act::Command, false, Some(body)) = (again.act, given, body) {
                let until = began + ANSWERABLE;
                door.discord.answer_until(until, &again.handle, &body).await;
            }
        });
    }

    /// Gives the first answer; `false` when another did, or it can't be given.
    async fn answer(&self, payload: &Value, answer: &Value, began: Instant) -> bool {
        let (Ok(id), token) = (id(as_text(payload, "/id")), as_text(payload, "/token")) else {
            return false;
        };
        let route = Route::InteractionResponse {
            interaction_id: id.into(),
            token,
        };
        loop {
            let why = match self
                .discord
                .api
                .send(LightMethod::Post, route, answer)
                .await
            {
                Ok(_) => return true,
                // Another replica heard it too, and was first; or an earlier try arrived.
                Err(why) if why.is(code::ANSWERED) => return false,
                Err(why) => why,
            };
            // A connection that stood idle may be gone when it is used: twice answered is once answered.
            let wait = match why {
                CallError::Limited(wait) => Some(wait),
                CallError::NoAnswer(_) | CallError::NotDone(_) => Some(ANSWER_AGAIN),
                CallError::NotAllowed | CallError::Refused { .. } => None,
            };
            let again = wait.map(|wait| Instant::now() + wait);
            match again.filter(|again| *again < began + ANSWER_LIMIT) {
                Some(again) => sleep_until(again).await,
                None => {
                    tracing::warn!("discord: an interaction is not answered: {why}");
                    return false;
                }
            }
        }
    }

    /// Makes an interaction durable, and says what it is answered with first; `None`: it is none.
    async fn interact(&self, payload: &Value, deadline: Instant) -> Option<Reply> {
        let act = inbound::act(payload)?;
        match act {
            Act::Ping => return Some(Reply::First(json!({ "type": 1 }))),
            Act::Typing => {
                let choices = timeout_at(deadline, self.choices(payload)).await;
                let choices = choices.unwrap_or_default();
                let choices = json!({ "type": 8, "data": { "choices": choices } });
                return Some(Reply::First(choices));
            }
            Act::Command | Act::Click => {}
        }
        let heard = inbound::interaction(payload, act, self.clock.now());
        let id = as_text(payload, "/id");
        let handle = Handle {
            act,
            id,
            token: as_text(payload, "/token"),
        };
        let handle = handle.to_text();
        let (mut waits, mut begins) = (None, None);
        if let Heard::Inbound(inbound) = &heard {
            let run = RunId::of_inbound(&inbound.key);
            let forms = payload["type"] != 5;
            waits = self.discord.acts.begin(&handle, run, forms);
            begins = Some((run, inbound.place.clone()));
        }
        let taken = take(Platform::Discord, &self.intake, heard, deadline).await;
        match (taken, &mut waits) {
            (Taken::Kept(Receipt::New), Some(waits)) => {
                let until = deadline.min(Instant::now() + FIRST_ANSWER);
                if let Ok(Ok(first)) = timeout_at(until, &mut *waits).await {
                    return Some(Reply::First(first_answer(act, first)));
                }
            }
            (Taken::Kept(Receipt::New), _) => {}
            // A control that is not ours stays as it is.
            (Taken::Nothing, _) if act == Act::Click => return Some(Reply::First(deferred(act))),
            (Taken::Kept(Receipt::Duplicate), _) => {
                return Some(Reply::Repeated(Repetition { act, handle, waits }));
            }
            (Taken::Misunderstood | Taken::Nothing, _) => {
                return Some(Reply::First(whispered(MISUNDERSTOOD)));
            }
            (Taken::NotKept(why), _) => return Some(Reply::First(whispered(why))),
        }
        if let (Act::Command, Some(waits), Some((run, place))) = (act, waits, begins) {
            self.tell_run_later(handle, waits, run, place);
        }
        Some(Reply::First(deferred(act)))
    }
}

/// What an interaction is answered with.
enum Reply {
    /// It was not answered yet.
    First(Value),
    /// It was heard before.
    Repeated(Repetition),
}

/// A hearing that was not the first.
struct Repetition {
    act: Act,
    handle: String,
    /// What there is to say may come to this one: where a run's first message is posted from here, or a form opened.
    waits: Option<oneshot::Receiver<First>>,
}

impl Repetition {
    /// What it is answered with at once.
    fn answer(self) -> Value {
        let said = self.waits.and_then(|mut waits| {
            waits.close();
            waits.try_recv().ok()
        });
        said.map_or_else(|| repeated(self.act), |first| first_answer(self.act, first))
    }
}

/// A first answer as words that can be said later too.
fn words_of(first: &First) -> Option<Value> {
    match first {
        First::Run {
            guild,
            channel,
            message,
        } => Some(told_there(guild, channel, message)),
        First::Message(said) => Some(said.clone()),
        First::Modal(_) => None,
    }
}

/// The first answer, as Discord takes it.
fn first_answer(act: Act, first: First) -> Value {
    match first {
        First::Modal(modal) => json!({ "type": 9, "data": modal }),
        First::Message(message) => json!({ "type": 4, "data": message }),
        First::Run { .. } if act == Act::Click => deferred(act),
        First::Run {
            guild,
            channel,
            message,
        } => {
            json!({ "type": 4, "data": told_there(&guild, &channel, &message) })
        }
    }
}

/// The answer comes later. A click's message stays as it is.
fn deferred(act: Act) -> Value {
    match act {
        Act::Click => json!({ "type": 6 }),
        Act::Ping | Act::Command | Act::Typing => {
            json!({ "type": 5, "data": { "flags": EPHEMERAL } })
        }
    }
}

/// The answer to what was heard before: whether its first answer arrived, nobody knows. Nothing may follow, so that it must
/// not think for ever.
fn repeated(act: Act) -> Value {
    match act {
        Act::Click => deferred(act),
        Act::Ping | Act::Command | Act::Typing => whispered(HEARD_BEFORE),
    }
}

fn whispered(words: &str) -> Value {
    json!({ "type": 4, "data": whisper_of(words) })
}

/// Words of our own that one person sees.
fn whisper_of(words: &str) -> Value {
    json!({ "content": words, "flags": EPHEMERAL, "allowed_mentions": { "parse": [] } })
}

/// Where a run is told.
fn told_there(guild: &str, channel: &str, message: &str) -> Value {
    let guild = if guild.is_empty() { "@me" } else { guild };
    whisper_of(&format!(
        "▶ it began, and is told here: https://discord.com/channels/{guild}/{channel}/{message}"
    ))
}

/// The text at a JSON pointer; empty when there is none.
fn as_text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}
