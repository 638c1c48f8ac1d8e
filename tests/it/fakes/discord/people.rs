//! The people of the guild, played by tests: they write, type commands, click and fill in forms; Discord delivers.

use std::time::Duration;

use midwatch::clock::Clock;
use serde_json::{Value, json};

use super::commands::picked;
use super::interactions::{
    self, AUTOCOMPLETE, COMMAND, COMPONENT, Interaction, OpenedModal, PING, SUBMISSION, Seen,
};
use super::messages::{Posted, mentioned};
use super::rules::list;
use super::{ALICE, APP, BOT_USER, FakeDiscord, State, permission, signing};

/// What became of an interaction.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    /// Its id; see [`FakeDiscord::seen`] for what becomes of it later.
    pub(crate) interaction: String,
    /// What the person sees after the first answer.
    pub(crate) seen: Seen,
    /// Status of the app's HTTP answer; `None` over the gateway or when there was none.
    pub(crate) status: Option<u16>,
}

impl Answered {
    /// The words of the message or whisper that they see.
    pub(crate) fn text(&self) -> String {
        self.seen
            .text()
            .unwrap_or_else(|| panic!("no words in {:?}", self.seen))
    }
}

impl FakeDiscord {
    /// A person or another app writes in a channel or thread.
    pub(crate) fn say(&self, channel: &str, user: &str, text: &str) -> Posted {
        let mut state = self.state();
        if state.channels[channel].archived {
            state.set_archived(channel, false);
        }
        let message = Posted {
            id: state.next_id(),
            at_ms: state.now_ms(),
            channel: channel.to_owned(),
            author: user.to_owned(),
            content: text.to_owned(),
            pings: mentioned(text),
            ..Posted::default()
        };
        let message = state.keep(message);
        drop(state);
        self.inner.changed();
        message
    }

    /// Tells every session once more that this was written.
    pub(crate) fn tell_again(&self, message: &Posted) {
        self.state().tell_message("MESSAGE_CREATE", message);
    }

    /// Writes `@bot TEXT`.
    pub(crate) fn mention(&self, channel: &str, user: &str, text: &str) -> Posted {
        self.say(channel, user, &format!("<@{BOT_USER}> {text}"))
    }

    /// Writes to the bot alone.
    pub(crate) fn direct_message(&self, user: &str, text: &str) -> Posted {
        let channel = self.state().dm_with(user);
        self.say(&channel, user, text)
    }

    /// Changes what was written; a mention of the bot at its beginning stays.
    pub(crate) fn edit(&self, message: &Posted, text: &str) {
        let mut state = self.state();
        let now = state.now_ms();
        let mention = format!("<@{BOT_USER}> ");
        let found = state.message_mut(&message.id).unwrap();
        let kept = if found.content.starts_with(&mention) {
            mention.as_str()
        } else {
            ""
        };
        found.content = format!("{kept}{text}");
        found.edited_ms = Some(now);
        found.edits += 1;
        let found = found.clone();
        state.tell_message("MESSAGE_UPDATE", &found);
        drop(state);
        self.inner.changed();
    }

    /// Takes a message away.
    pub(crate) fn delete(&self, message: &str) {
        let mut state = self.state();
        let found = state.message_mut(message).unwrap().clone();
        state.messages.retain(|it| it.id != message);
        state.tell_message("MESSAGE_DELETE", &found);
        drop(state);
        self.inner.changed();
    }

    /// Types a slash command: one to three words, or a subcommand's name alone; options by name.
    ///
    /// # Panics
    /// When Discord would not let them send it: no such command, a required option is missing, a value does not fit.
    pub(crate) async fn slash(
        &self,
        channel: &str,
        user: &str,
        command: &str,
        options: &[(&str, &str)],
    ) -> Answered {
        let payload = self.slash_payload(channel, user, command, options);
        self.deliver(&payload).await
    }

    /// What the app is to hear of a slash command; can be delivered as often as one likes.
    pub(crate) fn slash_payload(
        &self,
        channel: &str,
        user: &str,
        command: &str,
        options: &[(&str, &str)],
    ) -> Value {
        let mut state = self.state();
        let data = state.command_data(command, options, None);
        let interaction = state.interact(COMMAND, user, channel, None);
        state.payload(&interaction, data)
    }

    /// What the app is to hear of an interaction of this type, whatever its `data` is.
    pub(crate) fn payload_of(&self, kind: u64, channel: &str, user: &str, data: Value) -> Value {
        let mut state = self.state();
        let interaction = state.interact(kind, user, channel, None);
        state.payload(&interaction, data)
    }

    /// Sends any `data` as a slash command, whether or not it fits what is registered.
    pub(crate) async fn slash_raw(&self, channel: &str, user: &str, data: Value) -> Answered {
        let payload = {
            let mut state = self.state();
            let interaction = state.interact(COMMAND, user, channel, None);
            state.payload(&interaction, data)
        };
        self.deliver(&payload).await
    }

    /// Types into an option that completes itself; answers names and values that are offered.
    pub(crate) async fn autocomplete(
        &self,
        channel: &str,
        user: &str,
        command: &str,
        options: &[(&str, &str)],
        focused: (&str, &str),
    ) -> Vec<(String, Value)> {
        let payload = {
            let mut state = self.state();
            let data = state.command_data(command, options, Some(focused));
            let interaction = state.interact(AUTOCOMPLETE, user, channel, None);
            state.payload(&interaction, data)
        };
        match self.deliver(&payload).await.seen {
            Seen::Choices(choices) => choices,
            _ => Vec::new(),
        }
    }

    /// Presses the button with this label.
    ///
    /// # Panics
    /// When there is none, or this person can't see or press it.
    pub(crate) async fn click(&self, message: &Posted, label: &str, user: &str) -> Answered {
        let payload = self.click_payload(message, label, user);
        self.deliver(&payload).await
    }

    pub(crate) fn click_payload(&self, message: &Posted, label: &str, user: &str) -> Value {
        let mut state = self.state();
        let now = state.message_mut(&message.id).cloned();
        let message = now.unwrap_or_else(|| panic!("the message is gone: {}", message.text()));
        assert!(
            message.only_for.as_ref().is_none_or(|it| it == user),
            "{user} does not see it"
        );
        let button = button(&message.components, label);
        let button = button.unwrap_or_else(|| panic!("no button `{label}` in {}", message.text()));
        assert!(button["disabled"] != true, "`{label}` can't be pressed");
        let interaction =
            state.interact(COMPONENT, user, &message.channel, Some(message.id.clone()));
        let data =
            json!({ "custom_id": button["custom_id"], "component_type": 2, "id": button["id"] });
        state.payload(&interaction, data)
    }

    /// Fills in a form, by the names or labels of its fields, and sends it.
    ///
    /// # Panics
    /// When Discord would not let them: a required field is empty, or a choice is none.
    pub(crate) async fn submit(&self, form: &OpenedModal, values: &[(&str, &str)]) -> Answered {
        let payload = self.submit_payload(form, values);
        self.deliver(&payload).await
    }

    pub(crate) fn submit_payload(&self, form: &OpenedModal, values: &[(&str, &str)]) -> Value {
        let mut state = self.state();
        let rows = list(&form.modal["components"]).iter().enumerate();
        let rows = rows.filter(|(_, row)| row["type"] != 10);
        let rows: Vec<Value> = rows.map(|(nth, row)| filled(nth, row, values)).collect();
        let opened = state.interactions[&form.interaction].clone();
        let mut interaction = state.interact(SUBMISSION, &form.user, &form.channel, opened.source);
        interaction.metadata["triggering_interaction_metadata"] = opened.metadata;
        state
            .interactions
            .insert(interaction.id.clone(), interaction.clone());
        let data = json!({ "custom_id": form.modal["custom_id"], "components": rows });
        state.payload(&interaction, data)
    }

    /// Delivers an interaction by HTTP or gateway and waits for its first answer, three seconds at most.
    pub(crate) async fn deliver(&self, payload: &Value) -> Answered {
        let id = payload["id"].as_str().unwrap().to_owned();
        let (app, patience) = {
            let state = self.state();
            (state.app.clone(), state.settings.patience)
        };
        let mut status = None;
        let may_come;
        if let Some(app) = app {
            let heard = self.request(&app, payload, patience).await;
            status = heard.as_ref().map(|(status, _)| *status);
            // 202 says that the answer comes by the callback's route.
            may_come = status == Some(202);
            if let Some((200, body)) = heard {
                self.take_answer(&id, &body);
            }
        } else {
            may_come = self.state().gateway.tell_interaction(payload);
        }
        if may_come {
            let answered = |fake: &Self| fake.state().interactions[&id].answered.is_some();
            let mut changes = self.inner.changes.subscribe();
            let waiting = async {
                while !answered(self) {
                    changes.changed().await.unwrap();
                }
            };
            let _ = tokio::time::timeout(patience, waiting).await; // Late or not: what is seen says it.
        }
        let mut state = self.state();
        let interaction = state.interactions.get_mut(&id).unwrap();
        interaction.late = interaction.answered.is_none();
        let seen = state.seen(&id);
        Answered {
            interaction: id,
            seen,
            status,
        }
    }

    /// Delivers to all sessions or over HTTP, and waits for nothing.
    pub(crate) fn deliver_later(&self, payload: &Value) {
        let payload = payload.clone();
        let weak = std::sync::Arc::downgrade(&self.inner);
        self.own(async move {
            if let Some(inner) = weak.upgrade() {
                FakeDiscord { inner }.deliver(&payload).await;
            }
        });
    }

    /// The first answer in the body of an HTTP response.
    pub(crate) fn take_answer(&self, id: &str, body: &str) {
        let mut state = self.state();
        let answer: Value = serde_json::from_str(body).unwrap_or_default();
        state.note_body("POST /interactions/{}/{}/callback".to_owned(), &answer);
        if let Err(refused) = interactions::answer(&mut state, id, &answer, &[]) {
            state.violation(format!("an answer in an HTTP body: {refused:?}: {body}"));
        }
        drop(state);
        self.inner.changed();
    }

    /// Sends an interaction to this address, signed; status and body of the answer.
    pub(crate) async fn request(
        &self,
        app: &str,
        payload: &Value,
        patience: Duration,
    ) -> Option<(u16, String)> {
        let body = payload.to_string();
        let headers = signing::signed(Clock::system().now().as_second(), body.as_bytes());
        self.send(app, body, &headers, patience).await
    }

    /// Sends any body with any headers.
    pub(crate) async fn send(
        &self,
        app: &str,
        body: String,
        headers: &[(&'static str, String)],
        patience: Duration,
    ) -> Option<(u16, String)> {
        let url = format!("{app}/discord/interactions");
        let request = self
            .inner
            .client
            .post(url)
            .timeout(patience)
            .header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, value)
        });
        let response = request.body(body).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    }

    /// What Discord does when the endpoint is saved: a ping, and one whose signature is wrong. The error says what the
    /// app did wrong.
    pub(crate) async fn ping(&self) -> Result<(), String> {
        let app = self.state().app.clone().ok_or("no address")?;
        let id = self.state().next_id();
        let payload = json!({ "id": id, "application_id": APP, "type": PING, "token": format!("ping{id}"), "version": 1,
                              "user": self.state().user_json(ALICE), "entitlements": [] });
        let patience = self.state().settings.patience;
        let (status, body) = self
            .request(&app, &payload, patience)
            .await
            .ok_or("no answer to a ping")?;
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        if status != 200 || answer["type"] != 1 {
            return Err(format!("a ping was answered with {status} {body}"));
        }
        let headers = signing::signed(Clock::system().now().as_second(), b"another body");
        let (status, body) = self
            .send(&app, payload.to_string(), &headers, patience)
            .await
            .ok_or("no answer to a bad ping")?;
        if status != 401 {
            return Err(format!(
                "a ping with a wrong signature was answered with {status} {body}"
            ));
        }
        Ok(())
    }

    /// Discord's public key, as an operator sets it.
    pub(crate) fn public_key(&self) -> String {
        signing::public_key()
    }

    /// Discord's signature of these bytes, whatever they are.
    pub(crate) fn signature_of(bytes: &[u8]) -> [u8; 64] {
        signing::signature_of(bytes)
    }

    /// The headers with which Discord signs a body.
    pub(crate) fn signed(&self, at_secs: i64, body: &[u8]) -> [(&'static str, String); 2] {
        signing::signed(at_secs, body)
    }
}

impl State {
    fn command_data(
        &self,
        command: &str,
        options: &[(&str, &str)],
        focused: Option<(&str, &str)>,
    ) -> Value {
        let mut all = self.commands.values();
        let picked = all.find_map(|commands| picked(commands, command));
        let picked = picked.unwrap_or_else(|| panic!("no command `{command}`"));
        picked
            .data(options, focused)
            .unwrap_or_else(|why| panic!("{command} {options:?}: {why}"))
    }

    /// What the app is told.
    fn payload(&self, interaction: &Interaction, mut data: Value) -> Value {
        let channel = &self.channels[&interaction.channel];
        if let Some(guild) = &interaction.guild {
            let resolved = self.resolved(guild, &data["options"]);
            if resolved != json!({}) {
                data["resolved"] = resolved;
            }
        }
        // Looking for options leaves a null behind.
        let data = super::messages::without_nulls(data);
        let mut payload = json!({
            "id": interaction.id, "application_id": APP, "type": interaction.kind, "token": interaction.token,
            "version": 1, "channel_id": interaction.channel, "channel": self.channel_json(channel), "data": data,
            "locale": "en-US", "app_permissions": self.allowed(channel).to_string(), "entitlements": [],
            "authorizing_integration_owners": interaction.metadata["authorizing_integration_owners"],
            "context": u8::from(interaction.guild.is_none()), "attachment_size_limit": 10 << 20,
        });
        match &interaction.guild {
            Some(guild) => {
                let mut member = self.member_json(guild, &interaction.user);
                member["permissions"] = (permission::USUAL | permission::MENTION_EVERYONE)
                    .to_string()
                    .into();
                payload["member"] = member;
                payload["guild_id"] = guild.as_str().into();
                payload["guild_locale"] = "en-US".into();
                payload["guild"] = json!({ "id": guild, "locale": "en-US", "features": [] });
            }
            None => payload["user"] = self.user_json(&interaction.user),
        }
        let source = interaction
            .source
            .as_ref()
            .and_then(|id| self.messages.iter().find(|it| it.id == *id));
        if let Some(message) = source {
            payload["message"] = self.message_json(message, true);
        }
        payload
    }
}

fn button<'a>(components: &'a [Value], label: &str) -> Option<&'a Value> {
    components.iter().find_map(|component| {
        if component["type"] == 2 && component["label"] == label {
            return Some(component);
        }
        let accessory = Some(&component["accessory"]).filter(|it| it["label"] == label);
        accessory.or_else(|| button(list(&component["components"]), label))
    })
}

/// A row of a form with what was filled in.
fn filled(nth: usize, row: &Value, values: &[(&str, &str)]) -> Value {
    let legacy = row["type"] == 1;
    let field = if legacy {
        &row["components"][0]
    } else {
        &row["component"]
    };
    let label = if legacy {
        &field["label"]
    } else {
        &row["label"]
    };
    let given = values
        .iter()
        .find(|(name, _)| field["custom_id"] == *name || *label == *name);
    let given = given.map(|(_, value)| *value);
    let required = field["required"] != false;
    assert!(
        !required || given.is_some_and(|value| !value.is_empty()),
        "{label} must be filled in"
    );
    let mut answer =
        json!({ "type": field["type"], "id": 2 * nth + 2, "custom_id": field["custom_id"] });
    if field["type"] == 4 {
        let value = given.unwrap_or_default();
        let most = field["max_length"].as_u64().unwrap_or(4_000);
        assert!(
            u64::try_from(value.chars().count()).unwrap() <= most,
            "{label} takes less"
        );
        answer["value"] = value.into();
    } else {
        let options = list(&field["options"]);
        let known =
            |value: &&str| field["type"] != 3 || options.iter().any(|it| it["value"] == **value);
        assert!(
            given.as_ref().is_none_or(known),
            "{label} has no choice {given:?}"
        );
        answer["values"] = given.into_iter().collect();
    }
    if legacy {
        json!({ "type": 1, "id": 2 * nth + 1, "components": [answer] })
    } else {
        json!({ "type": 18, "id": 2 * nth + 1, "component": answer })
    }
}
