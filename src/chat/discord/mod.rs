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
mod rooms;
mod transport;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ed25519_dalek::VerifyingKey;
use secrecy::SecretString;
use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use self::acts::{Acts, First};
use self::api::{Api, CallError, code};
use self::inbound::{Act, Handle};
use self::rooms::{Room, Rooms};
use self::transport::{EPHEMERAL, Threads, id};
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
/// How much longer a repetition waits than its first hearing.
const OTHERS_FIRST: Duration = Duration::from_millis(500);
/// The longest that hearing takes; Discord waits three seconds.
const HEAR_LIMIT: Duration = Duration::from_millis(2_400);
/// When Discord waits for a first answer no longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// The wait before an answer is sent again whose arrival is not known.
const ANSWER_AGAIN: Duration = Duration::from_millis(50);
/// The first wait before a deferred answer is sent again; doubled up to the longest.
const ANSWER_LATER: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Discord's token for answering lives a quarter of an hour.
const ANSWERABLE: Duration = Duration::from_secs(14 * 60);

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
    threads: Mutex<Threads>,
    /// Acts that were deferred, until their runs begin.
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

    fn later(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
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
        let is_new = matches!(heard, Heard::Inbound(_)) && kind == "MESSAGE_CREATE";
        let taken = take(Platform::Discord, &self.intake, heard, deadline).await;
        if is_new && matches!(taken, Taken::Kept(Receipt::New)) {
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
            // Who heard it first answers, here or another replica, and with a form perhaps: we do when that one did not.
            Some(Reply::Repeated(answer)) => {
                sleep_until(began + FIRST_ANSWER + OTHERS_FIRST).await;
                answer
            }
            None => return,
        };
        let (Ok(id), token) = (id(as_text(payload, "/id")), as_text(payload, "/token")) else {
            return;
        };
        let route = Route::InteractionResponse {
            interaction_id: id.into(),
            token,
        };
        loop {
            let why = match self
                .discord
                .api
                .send(LightMethod::Post, route, &answer)
                .await
            {
                Ok(_) => return,
                // Another replica heard it too, and was first; or an earlier try arrived.
                Err(why) if why.is(code::ANSWERED) => return,
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
                None => return tracing::warn!("discord: an interaction is not answered: {why}"),
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
        let mut waits = match &heard {
            Heard::Inbound(inbound) => self.discord.acts.begin(
                &handle,
                RunId::of_inbound(&inbound.key),
                payload["type"] != 5,
            ),
            Heard::Ignored(_) | Heard::Malformed(_) => None,
        };
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
            (Taken::Kept(Receipt::Duplicate), _) => return Some(Reply::Repeated(deferred(act))),
            (Taken::Misunderstood | Taken::Nothing, _) => {
                return Some(Reply::First(whispered(MISUNDERSTOOD)));
            }
            (Taken::NotKept(why), _) => return Some(Reply::First(whispered(why))),
        }
        self.tell_run_later(act, handle, waits);
        Some(Reply::First(deferred(act)))
    }

    /// A command whose run begins after its first answer was put off: that message must not think for ever.
    fn tell_run_later(
        &self,
        act: Act,
        handle: String,
        waits: Option<tokio::sync::oneshot::Receiver<First>>,
    ) {
        let Some(waits) = waits.filter(|_| act == Act::Command) else {
            return;
        };
        let discord = Arc::clone(&self.discord);
        discord.acts.defer(&handle);
        let mut later = self.discord.later();
        while later.try_join_next().is_some() {}
        later.spawn(async move {
            let until = Instant::now() + ANSWERABLE;
            let told = timeout_at(until, waits).await;
            if let Ok(Ok(First::Run {
                guild,
                channel,
                message,
            })) = told
            {
                let body = told_there(&guild, &channel, &message);
                discord.answer_until(until, &handle, &body).await;
            }
        });
    }
}

impl Discord {
    /// Answers an act that was deferred, and tries for as long as it can be answered.
    async fn answer_until(&self, until: Instant, handle: &str, body: &Value) {
        let mut pause = ANSWER_LATER;
        loop {
            let Err(why) = self.answered_later(handle, body).await else {
                return;
            };
            let wait = match why {
                DeliveryError::Limited(wait) => Some(wait),
                DeliveryError::Failed(_) | DeliveryError::InDoubt(_) => Some(pause),
                DeliveryError::Gone(_) | DeliveryError::Refused(_) => None,
            };
            let again = wait.map(|wait| Instant::now() + wait);
            match again.filter(|again| *again < until) {
                Some(again) => sleep_until(again).await,
                None => return tracing::debug!("discord: an act is not answered: {why}"),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// What an interaction is answered with.
enum Reply {
    /// It was not answered yet.
    First(Value),
    /// It was heard before; where something has to be said, this.
    Repeated(Value),
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

fn whispered(words: &str) -> Value {
    let data = json!({ "content": words, "flags": EPHEMERAL, "allowed_mentions": { "parse": [] } });
    json!({ "type": 4, "data": data })
}

/// Where a run is told.
fn told_there(guild: &str, channel: &str, message: &str) -> Value {
    let guild = if guild.is_empty() { "@me" } else { guild };
    json!({
        "content": format!("▶ it began, and is told here: https://discord.com/channels/{guild}/{channel}/{message}"),
        "flags": EPHEMERAL,
        "allowed_mentions": { "parse": [] },
    })
}

/// The text at a JSON pointer; empty when there is none.
fn as_text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}
