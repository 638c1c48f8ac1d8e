//! The people of the workspace, played by tests: they type, click, fill in and edit; Slack delivers, signs and retries.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use midwatch::clock::Clock;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{APP, BOT_USER, FakeSlack, OTHER_BOT, OpenedForm, Posted, SIGNING_SECRET, TEAM};

/// Which of the app's addresses a delivery goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Command,
    Event,
    Interaction,
}

/// Something that Slack tells the app; can be delivered again.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) kind: Kind,
    pub(crate) payload: Value,
}

/// What the app answered. Status 0: nothing within three seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Kind {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Command => "/slack/commands",
            Self::Event => "/slack/events",
            Self::Interaction => "/slack/interactions",
        }
    }

    fn envelope(self) -> &'static str {
        match self {
            Self::Command => "slash_commands",
            Self::Event => "events_api",
            Self::Interaction => "interactive",
        }
    }
}

impl Delivery {
    /// The body of the HTTP request.
    pub(crate) fn body(&self) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        match self.kind {
            Kind::Event => return self.payload.to_string(),
            Kind::Interaction => {
                form.append_pair("payload", &self.payload.to_string());
            }
            Kind::Command => {
                for (name, value) in self.payload.as_object().into_iter().flatten() {
                    form.append_pair(name, value.as_str().unwrap_or_default());
                }
            }
        }
        form.finish()
    }
}

/// The two headers with which Slack signs a body.
pub(crate) fn signed(secret: &str, at_secs: i64, body: &[u8]) -> [(&'static str, String); 2] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("v0:{at_secs}:").as_bytes());
    mac.update(body);
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    [
        ("x-slack-request-timestamp", at_secs.to_string()),
        ("x-slack-signature", format!("v0={signature}")),
    ]
}

impl FakeSlack {
    /// Types `/ops TEXT`.
    pub(crate) async fn slash(&self, user: &str, channel: &str, text: &str) -> Ack {
        let delivery = self.slash_delivery(user, channel, text);
        self.deliver(&delivery).await
    }

    pub(crate) fn slash_delivery(&self, user: &str, channel: &str, text: &str) -> Delivery {
        let trigger = self.state().new_trigger(user);
        let payload = json!({
            "token": "deprecated", "team_id": TEAM, "team_domain": "shop", "channel_id": channel,
            "channel_name": channel.to_lowercase(), "user_id": user, "user_name": user.to_lowercase(),
            "command": "/ops", "text": escaped(text), "api_app_id": APP, "is_enterprise_install": "false",
            "response_url": "https://hooks.slack.test/commands/1", "trigger_id": trigger,
        });
        Delivery {
            kind: Kind::Command,
            payload,
        }
    }

    /// Writes `@bot TEXT`; the app hears of it twice, as mention and as message. Answers the message's timestamp.
    pub(crate) async fn mention(
        &self,
        user: &str,
        channel: &str,
        thread: Option<&str>,
        text: &str,
    ) -> String {
        let text = format!("<@{BOT_USER}> {}", escaped(text));
        let message = self.written(user, channel, thread, &text);
        let mut event = message.json(false);
        event["channel_type"] = "channel".into();
        let mut mention = event.clone();
        mention["type"] = "app_mention".into();
        for event in [event, mention] {
            self.deliver(&self.event(&event)).await;
        }
        message.ts
    }

    /// Writes `@bot TEXT`, and answers what the app is to hear of it: as often as one likes.
    pub(crate) fn mention_delivery(&self, user: &str, channel: &str, text: &str) -> Delivery {
        let text = format!("<@{BOT_USER}> {}", escaped(text));
        let mut event = self.written(user, channel, None, &text).json(false);
        event["channel_type"] = "channel".into();
        event["type"] = "app_mention".into();
        self.event(&event)
    }

    /// Writes to the bot alone. Answers channel and timestamp.
    pub(crate) async fn direct_message(&self, user: &str, text: &str) -> (String, String) {
        let channel = format!("D{user}");
        self.add_channel(&channel, true);
        let message = self.written(user, &channel, None, &escaped(text));
        let mut event = message.json(false);
        event["channel_type"] = "im".into();
        self.deliver(&self.event(&event)).await;
        (channel, message.ts)
    }

    /// Another app writes `@bot TEXT`.
    pub(crate) async fn bot_mention(&self, channel: &str, text: &str) -> Ack {
        let text = format!("<@{BOT_USER}> {}", escaped(text));
        let message = self.written(OTHER_BOT, channel, None, &text);
        let mut event = message.json(false);
        event["channel_type"] = "channel".into();
        self.deliver(&self.event(&event)).await
    }

    /// Changes what was written; a mention at its beginning stays.
    pub(crate) async fn edit_message(&self, channel: &str, ts: &str, text: &str) -> Ack {
        let event = {
            let mut state = self.state();
            let edited = state.next_ts();
            let message = state
                .messages
                .iter_mut()
                .find(|m| m.channel == channel && m.ts == ts)
                .unwrap();
            message.edited = Some(edited.clone());
            let before = message.json(false);
            let mentions = message.text.starts_with("<@");
            message.text = escaped(text);
            if mentions {
                message.text.insert_str(0, &format!("<@{BOT_USER}> "));
            }
            let mut after = message.json(false);
            after["edited"] = json!({ "user": message.user, "ts": edited });
            json!({ "type": "message", "subtype": "message_changed", "channel": channel, "ts": edited,
                    "channel_type": if channel.starts_with('D') { "im" } else { "channel" },
                    "message": after, "previous_message": before })
        };
        self.deliver(&self.event(&event)).await
    }

    /// Presses the button with this label.
    pub(crate) async fn click(&self, user: &str, message: &Posted, label: &str) -> Ack {
        let delivery = self.click_delivery(user, message, label);
        self.deliver(&delivery).await
    }

    pub(crate) fn click_delivery(&self, user: &str, message: &Posted, label: &str) -> Delivery {
        let elements = message
            .blocks
            .iter()
            .filter_map(|block| block["elements"].as_array())
            .flatten();
        let button = elements
            .into_iter()
            .find(|element| element["text"]["text"] == label);
        let mut action = button
            .unwrap_or_else(|| panic!("no button `{label}` in {:?}", message.blocks))
            .clone();
        let mut state = self.state();
        action["action_ts"] = state.next_ts().into();
        let mut container = json!({ "type": "message", "message_ts": message.ts, "channel_id": message.channel,
                                    "is_ephemeral": message.only_for.is_some() });
        if let Some(thread) = &message.thread {
            container["thread_ts"] = json!(thread);
        }
        let payload = json!({
            "type": "block_actions", "team": { "id": TEAM, "domain": "shop" }, "user": { "id": user, "team_id": TEAM },
            "api_app_id": APP, "trigger_id": state.new_trigger(user), "channel": { "id": message.channel },
            "container": container, "message": message.json(false), "actions": [action],
        });
        Delivery {
            kind: Kind::Interaction,
            payload,
        }
    }

    /// Fills in a form and sends it.
    pub(crate) async fn submit(&self, form: &OpenedForm, values: &[(&str, &str)]) -> Ack {
        let mut state_values = json!({});
        for block in form.view["blocks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|block| block["type"] == "input")
        {
            let id = block["block_id"].as_str().unwrap();
            let given = values
                .iter()
                .find(|(name, _)| *name == id)
                .map(|(_, value)| *value);
            let element = &block["element"];
            state_values[id][element["action_id"].as_str().unwrap()] = if element["type"]
                == "static_select"
            {
                json!({ "type": "static_select", "selected_option": given.map(|value| json!({ "value": value })) })
            } else {
                json!({ "type": "plain_text_input", "value": given })
            };
        }
        let mut view = form.view.clone();
        view["id"] = form.id.as_str().into();
        view["hash"] = format!("hash-{}", form.id).into();
        view["state"] = json!({ "values": state_values });
        let trigger = self.state().new_trigger(&form.user);
        let payload = json!({
            "type": "view_submission", "team": { "id": TEAM }, "user": { "id": form.user, "team_id": TEAM },
            "api_app_id": APP, "trigger_id": trigger, "view": view, "response_urls": [],
        });
        self.deliver(&Delivery {
            kind: Kind::Interaction,
            payload,
        })
        .await
    }

    /// Delivers as Slack does: events that fail are repeated up to three times, all else is not.
    pub(crate) async fn deliver(&self, delivery: &Delivery) -> Ack {
        let app = self.state().app.clone();
        let Some(app) = app else {
            return self.deliver_by_socket(delivery, 0).await;
        };
        let mut ack = self.request(&app, delivery, 0).await;
        for retry in 1..=3 {
            if delivery.kind != Kind::Event || (200..300).contains(&ack.status) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20 * retry)).await; // Slack waits 0, 60 and 300 seconds.
            ack = self.request(&app, delivery, retry).await;
        }
        ack
    }

    /// Delivers over the socket that is next in turn.
    pub(crate) async fn deliver_by_socket(&self, delivery: &Delivery, retry: u64) -> Ack {
        let ack = self
            .envelope(delivery.kind.envelope(), &delivery.payload, retry)
            .await;
        let status = if ack.is_some() { 200 } else { 0 };
        let body = match ack {
            Some(ack) if !ack["payload"].is_null() => ack["payload"].to_string(),
            _ => String::new(),
        };
        Ack { status, body }
    }

    /// Delivers over HTTP to this address, once.
    pub(crate) async fn request(&self, app: &str, delivery: &Delivery, retry: u64) -> Ack {
        let body = delivery.body();
        let mut request = self
            .inner
            .client
            .post(format!("{app}{}", delivery.kind.path()))
            .timeout(Duration::from_secs(3));
        for (name, value) in signed(
            SIGNING_SECRET,
            Clock::system().now().as_second(),
            body.as_bytes(),
        ) {
            request = request.header(name, value);
        }
        if retry > 0 {
            request = request
                .header("x-slack-retry-num", retry)
                .header("x-slack-retry-reason", "http_error");
        }
        match request.body(body).send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                Ack {
                    status,
                    body: response.text().await.unwrap_or_default(),
                }
            }
            Err(_) => Ack {
                status: 0,
                body: String::new(),
            },
        }
    }

    /// The app hears of its own messages too, as in a real workspace.
    pub(super) async fn echo(&self, posted: Value) {
        let message = posted["message"].clone();
        let channel = message["channel"].as_str().unwrap_or_default();
        let kind = if channel.starts_with('D') {
            "im"
        } else {
            "channel"
        };
        let event = if posted["method"] == "chat.update" {
            json!({ "type": "message", "subtype": "message_changed", "channel": channel, "channel_type": kind,
                    "message": message, "previous_message": {} })
        } else {
            let mut event = message.clone();
            event["channel_type"] = kind.into();
            event
        };
        let delivery = self.event(&event);
        let listening = {
            let state = self.state();
            state.app.is_some() || !state.sockets.is_deaf()
        };
        if listening {
            self.deliver(&delivery).await;
        }
    }

    pub(crate) fn event(&self, event: &Value) -> Delivery {
        let id = self.state().next_id("Ev");
        let payload = json!({
            "token": "deprecated", "team_id": TEAM, "api_app_id": APP, "type": "event_callback", "event_id": id,
            "event_time": Clock::system().now().as_second(), "event": event,
            "authorizations": [{ "enterprise_id": null, "team_id": TEAM, "user_id": BOT_USER, "is_bot": true }],
        });
        Delivery {
            kind: Kind::Event,
            payload,
        }
    }

    fn written(&self, user: &str, channel: &str, thread: Option<&str>, text: &str) -> Posted {
        let mut state = self.state();
        let message = Posted {
            channel: channel.to_owned(),
            ts: state.next_ts(),
            thread: thread.map(str::to_owned),
            user: user.to_owned(),
            text: text.to_owned(),
            ..Posted::default()
        };
        state.messages.push(message.clone());
        message
    }
}

/// Slack escapes three characters in what people type.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
