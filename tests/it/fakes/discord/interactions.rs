//! Interactions: their first answers, and everything that goes by their tokens.

use std::time::Duration;

use serde_json::{Value, json};

use super::messages::{Posted, attached, drafted, edited};
use super::rest::{Answer, Refused, Request};
use super::rules::{self, EPHEMERAL, LOADING, length, list};
use super::threads::Act;
use super::upload::Upload;
use super::{APP, BOT_USER, FakeDiscord, State};

pub(super) const PING: u64 = 1;
pub(super) const COMMAND: u64 = 2;
pub(super) const COMPONENT: u64 = 3;
pub(super) const AUTOCOMPLETE: u64 = 4;
pub(super) const SUBMISSION: u64 = 5;

const MESSAGE: u64 = 4;
const DEFERRED: u64 = 5;
const DEFERRED_UPDATE: u64 = 6;
const UPDATE: u64 = 7;
const CHOICES: u64 = 8;
const MODAL: u64 = 9;

/// One use of a command, a button, a form.
#[derive(Debug, Clone, Default)]
pub(super) struct Interaction {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) kind: u64,
    pub(super) user: String,
    pub(super) channel: String,
    pub(super) guild: Option<String>,
    pub(super) at_ms: i64,
    /// Type of the first answer.
    pub(super) answered: Option<u64>,
    /// Nobody answered in time.
    pub(super) late: bool,
    /// Message that `@original` is.
    pub(super) original: Option<String>,
    /// Message whose button was pressed, here or before the form.
    pub(super) source: Option<String>,
    pub(super) metadata: Value,
    pub(super) choices: Vec<Value>,
    pub(super) modal: Option<OpenedModal>,
    /// The next follow-up is what the thinking message becomes.
    pub(super) owed: bool,
}

/// A form that was opened.
#[derive(Debug, Clone)]
pub(crate) struct OpenedModal {
    /// Interaction that opened it.
    pub(crate) interaction: String,
    pub(crate) user: String,
    pub(crate) channel: String,
    pub(crate) modal: Value,
}

/// What a person sees of an interaction of theirs.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// No answer yet, and time for one.
    Waiting,
    /// "The application did not respond".
    Unanswered,
    Thinking {
        whispered: bool,
    },
    /// Everybody sees it.
    Message(Posted),
    /// They alone see it.
    Whisper(Posted),
    Form(OpenedModal),
    /// Names and values.
    Choices(Vec<(String, Value)>),
    /// It was taken, and shows nothing; or what it showed is gone.
    Nothing,
}

impl Seen {
    /// The words of a message or whisper.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Message(message) | Self::Whisper(message) => Some(message.text()),
            _ => None,
        }
    }
}

impl State {
    /// A new interaction; what the app is told of it is built around its id and token.
    pub(super) fn interact(
        &mut self,
        kind: u64,
        user: &str,
        channel: &str,
        source: Option<String>,
    ) -> Interaction {
        let id = self.next_id();
        let guild = self.channels[channel].guild.clone();
        let owner = guild.clone().unwrap_or_else(|| "0".to_owned());
        let mut metadata = json!({ "id": id, "type": kind, "user": self.user_json(user),
                                   "authorizing_integration_owners": { "0": owner } });
        if let Some(source) = source.as_ref().filter(|_| kind == COMPONENT) {
            metadata["interacted_message_id"] = source.as_str().into();
        }
        let interaction = Interaction {
            token: format!("aW50ZXJhY3Rpb246{id}token"),
            id: id.clone(),
            kind,
            user: user.to_owned(),
            channel: channel.to_owned(),
            guild,
            at_ms: self.now_ms(),
            source,
            metadata,
            ..Interaction::default()
        };
        self.interactions.insert(id, interaction.clone());
        interaction
    }

    fn age(&self, interaction: &Interaction) -> Duration {
        Duration::from_millis(u64::try_from(self.now_ms() - interaction.at_ms).unwrap_or(0))
    }

    pub(super) fn seen(&self, id: &str) -> Seen {
        let interaction = &self.interactions[id];
        let shown = interaction
            .original
            .as_ref()
            .and_then(|id| self.messages.iter().find(|it| it.id == *id));
        match interaction.answered {
            None if interaction.late => Seen::Unanswered,
            None => Seen::Waiting,
            Some(MODAL) => Seen::Form(interaction.modal.clone().unwrap()),
            Some(CHOICES) => {
                let choices = interaction.choices.iter();
                Seen::Choices(
                    choices
                        .map(|it| {
                            (
                                it["name"].as_str().unwrap_or_default().to_owned(),
                                it["value"].clone(),
                            )
                        })
                        .collect(),
                )
            }
            Some(_) => match shown {
                None => Seen::Nothing,
                Some(message) if message.is_thinking() => Seen::Thinking {
                    whispered: message.only_for.is_some(),
                },
                Some(message) if message.only_for.is_some() => Seen::Whisper(message.clone()),
                Some(message) => Seen::Message(message.clone()),
            },
        }
    }
}

/// `POST /interactions/{id}/{token}/callback`.
pub(super) fn callback(state: &mut State, request: &Request, id: &str, token: &str) -> Answer {
    let known = state
        .interactions
        .get(id)
        .is_some_and(|it| it.token == token);
    if !known {
        return Err(unknown());
    }
    answer(state, id, &request.body, &request.files)?;
    if request
        .query
        .get("with_response")
        .is_none_or(|it| !["true", "1"].contains(&it.to_lowercase().as_str()))
    {
        return Ok((204, Value::Null));
    }
    let interaction = &state.interactions[id];
    let mut told = json!({ "interaction": { "id": id, "type": interaction.kind, "channel_id": interaction.channel } });
    let answered = interaction.answered.unwrap_or(0);
    let shown = interaction.original.clone();
    let shown = shown.and_then(|id| state.messages.iter().find(|it| it.id == id));
    if let Some(message) = shown.filter(|_| ![MODAL, CHOICES].contains(&answered)) {
        told["interaction"]["response_message_id"] = message.id.as_str().into();
        told["interaction"]["response_message_loading"] = message.is_thinking().into();
        told["interaction"]["response_message_ephemeral"] = message.only_for.is_some().into();
        let kind = if answered < DEFERRED_UPDATE {
            MESSAGE
        } else {
            UPDATE
        };
        told["resource"] = json!({ "type": kind, "message": state.message_json(message, false) });
    }
    Ok((200, told))
}

fn unknown() -> Refused {
    Refused::new(404, 10_062, "Unknown interaction")
}

/// The first answer, by whichever way it came.
pub(super) fn answer(
    state: &mut State,
    id: &str,
    body: &Value,
    files: &[Upload],
) -> Result<(), Refused> {
    let interaction = state.interactions[id].clone();
    if interaction.answered.is_some() {
        return Err(Refused::new(
            400,
            40_060,
            "Interaction has already been acknowledged.",
        ));
    }
    if interaction.late || state.age(&interaction) > state.settings.patience {
        return Err(unknown());
    }
    let kind = body["type"].as_u64().unwrap_or(0);
    let data = &body["data"];
    let fits = match interaction.kind {
        COMMAND => [MESSAGE, DEFERRED, MODAL].contains(&kind),
        COMPONENT => (MESSAGE..=UPDATE).contains(&kind) || kind == MODAL,
        AUTOCOMPLETE => kind == CHOICES,
        SUBMISSION if interaction.source.is_some() => (MESSAGE..=UPDATE).contains(&kind),
        SUBMISSION => [MESSAGE, DEFERRED].contains(&kind),
        _ => false,
    };
    if !fits {
        let says = format!(
            "an interaction of type {} can't be answered with {kind}",
            interaction.kind
        );
        return Err(Refused::form("type", "BASE_TYPE_CHOICES", &says));
    }
    let mut after = interaction.clone();
    match kind {
        MESSAGE | DEFERRED => {
            open(state, &interaction)?;
            let message = if kind == MESSAGE {
                said(state, &interaction, data, files)?
            } else {
                let flags = LOADING | (data["flags"].as_u64().unwrap_or(0) & EPHEMERAL);
                let message = Posted {
                    id: state.next_id(),
                    at_ms: state.now_ms(),
                    flags,
                    ..Posted::default()
                };
                kept(state, &interaction, message)
            };
            after.original = Some(message.id);
            after.owed = kind == DEFERRED;
        }
        DEFERRED_UPDATE => after.original.clone_from(&interaction.source),
        UPDATE => {
            let source = interaction.source.clone().unwrap();
            let before = state.message_mut(&source).cloned();
            let before = before.ok_or_else(|| Refused::new(404, 10_008, "Unknown Message"))?;
            let changed = drafted(state, &before, data, files, rules::SETTABLE)?;
            edited(state, changed, files);
            after.original = Some(source);
        }
        CHOICES => {
            let choices = list(&data["choices"]);
            let fits = |choice: &Value| {
                let value = &choice["value"];
                (1..=100).contains(&length(&choice["name"]))
                    && (value.is_number() || (value.is_string() && length(value) <= 100))
            };
            if choices.len() > 25 || !choices.iter().all(fits) {
                let says = "at most 25 choices of 1 to 100 characters";
                return Err(Refused::form("data.choices", "BASE_TYPE_MAX_LENGTH", says));
            }
            after.choices = choices.to_vec();
        }
        _ => {
            rules::modal(data)?;
            let modal = OpenedModal {
                interaction: id.to_owned(),
                user: interaction.user.clone(),
                channel: interaction.channel.clone(),
                modal: data.clone(),
            };
            state.modals.push(modal.clone());
            after.modal = Some(modal);
        }
    }
    after.answered = Some(kind);
    state.interactions.insert(id.to_owned(), after);
    Ok(())
}

/// Nobody answers into a thread that is shut.
fn open(state: &State, interaction: &Interaction) -> Result<(), Refused> {
    match state.channels.get(&interaction.channel) {
        None => Err(Refused::new(404, 10_003, "Unknown Channel")),
        Some(channel) if channel.locked => state.permit_act(channel, Act::Post, false),
        Some(_) => Ok(()),
    }
}

fn said(
    state: &mut State,
    interaction: &Interaction,
    data: &Value,
    files: &[Upload],
) -> Result<Posted, Refused> {
    let draft = drafted(
        state,
        &Posted::default(),
        data,
        files,
        rules::SETTABLE | EPHEMERAL,
    )?;
    let draft = Posted {
        channel: interaction.channel.clone(),
        ..draft
    };
    let draft = attached(state, draft, files);
    Ok(kept(state, interaction, draft))
}

fn kept(state: &mut State, interaction: &Interaction, message: Posted) -> Posted {
    let whispered = message.flags & EPHEMERAL != 0;
    if state
        .channels
        .get(&interaction.channel)
        .is_some_and(|it| it.archived)
        && !whispered
    {
        state.set_archived(&interaction.channel, false);
    }
    state.keep(Posted {
        channel: interaction.channel.clone(),
        author: BOT_USER.to_owned(),
        kind: if interaction.kind == COMMAND { 20 } else { 0 },
        only_for: whispered.then(|| interaction.user.clone()),
        interaction: interaction.metadata.clone(),
        ..message
    })
}

/// Everything below `/webhooks/{app}/{token}`.
pub(super) fn webhook(
    state: &mut State,
    request: &Request,
    app: &str,
    token: &str,
    rest: &[&str],
) -> Answer {
    let mut known = state
        .interactions
        .values()
        .filter(|it| app == APP && it.token == token);
    let Some(interaction) = known.next().cloned() else {
        return Err(Refused::new(404, 10_015, "Unknown Webhook"));
    };
    if state.age(&interaction) > state.settings.token_life {
        return Err(Refused::new(401, 50_027, "Invalid Webhook Token"));
    }
    if interaction.answered.is_none_or(|it| it == CHOICES) {
        return Err(Refused::new(404, 10_015, "Unknown Webhook"));
    }
    match (request.method.as_str(), rest) {
        ("POST", []) => follow_up(state, request, &interaction),
        (method, ["messages", which]) => {
            let original = interaction.original.clone().unwrap_or_default();
            let id = if *which == "@original" {
                original
            } else {
                (*which).to_owned()
            };
            let ours = state
                .message_mut(&id)
                .cloned()
                .filter(|it| it.channel == interaction.channel && it.author == BOT_USER);
            let message = ours.ok_or_else(|| Refused::new(404, 10_008, "Unknown Message"))?;
            match method {
                "GET" => Ok((200, state.message_json(&message, false))),
                "PATCH" => {
                    let answered = change(state, request, &message)?;
                    if Some(&message.id) == interaction.original.as_ref() {
                        state.interactions.get_mut(&interaction.id).unwrap().owed = false;
                    }
                    Ok(answered)
                }
                "DELETE" => {
                    state.messages.retain(|it| it.id != message.id);
                    state.tell_message("MESSAGE_DELETE", &message);
                    Ok((204, Value::Null))
                }
                _ => Err(Refused::new(405, 0, "405: Method Not Allowed")),
            }
        }
        _ => Err(Refused::new(404, 0, "404: Not Found")),
    }
}

fn follow_up(state: &mut State, request: &Request, interaction: &Interaction) -> Answer {
    open(state, interaction)?;
    if interaction.owed {
        // What thinks is answered first, and whispers as it began.
        let thinking = interaction
            .original
            .clone()
            .and_then(|id| state.message_mut(&id).cloned());
        if let Some(thinking) = thinking {
            let answered = change(state, request, &thinking)?;
            state.interactions.get_mut(&interaction.id).unwrap().owed = false;
            return Ok(answered);
        }
    }
    let message = said(state, interaction, &request.body, &request.files)?;
    Ok((200, state.message_json(&message, false)))
}

fn change(state: &mut State, request: &Request, message: &Posted) -> Result<(u16, Value), Refused> {
    if let Some(channel) = state
        .channels
        .get(&message.channel)
        .filter(|it| it.archived)
    {
        state.permit_act(channel, Act::Change, false)?;
    }
    let after = drafted(
        state,
        message,
        &request.body,
        &request.files,
        rules::SETTABLE,
    )?;
    let after = edited(state, after, &request.files);
    Ok((200, state.message_json(&after, false)))
}

impl FakeDiscord {
    /// Whether there was such an interaction here.
    pub(crate) fn knows(&self, interaction: &str) -> bool {
        self.state().interactions.contains_key(interaction)
    }

    /// What a person sees of an interaction by now.
    pub(crate) fn seen(&self, interaction: &str) -> Seen {
        self.state().seen(interaction)
    }

    /// The forms that were opened for a person.
    pub(crate) fn modals(&self, user: &str) -> Vec<OpenedModal> {
        let state = self.state();
        state
            .modals
            .iter()
            .filter(|it| it.user == user)
            .cloned()
            .collect()
    }

    /// The token of an interaction, for those who want to use it themselves.
    pub(crate) fn token_of(&self, interaction: &str) -> String {
        self.state().interactions[interaction].token.clone()
    }
}
