//! What people did earlier than now, and nobody heard: for tests in which the app was away.

use std::time::Duration;

use serde_json::Value;

use super::messages::{Posted, mentioned};
use super::world::{Channel, THREAD, time};
use super::{EPOCH_MS, FakeDiscord, State};

impl State {
    /// An id of that moment that nothing has yet.
    fn id_before(&self, ago: Duration) -> (String, i64) {
        let mut at = self.now_ms() - i64::try_from(ago.as_millis()).unwrap();
        loop {
            let id = (u64::try_from(at - EPOCH_MS).unwrap() << 22).to_string();
            let known = self.messages.iter().any(|message| message.id == id);
            if !known && !self.interactions.contains_key(&id) {
                return (id, at);
            }
            at += 1;
        }
    }
}

impl FakeDiscord {
    /// The channel of the bot and a person.
    pub(crate) fn direct_with(&self, user: &str) -> String {
        self.state().dm_with(user)
    }

    /// Somebody wrote this, so long ago; no session was told of it.
    pub(crate) fn wrote_before(
        &self,
        ago: Duration,
        user: &str,
        channel: &str,
        text: &str,
    ) -> Posted {
        let mut state = self.state();
        if state.channels[channel].archived {
            state.set_archived(channel, false);
        }
        let (id, at_ms) = state.id_before(ago);
        let message = Posted {
            id,
            at_ms,
            channel: channel.to_owned(),
            author: user.to_owned(),
            content: text.to_owned(),
            pings: mentioned(text),
            ..Posted::default()
        };
        state.messages.push(message.clone());
        drop(state);
        self.inner.changed();
        message
    }

    /// A person began a thread from a message of theirs, so long ago.
    pub(crate) fn began_thread_before(&self, ago: Duration, user: &str, channel: &str) -> String {
        let began = self.wrote_before(ago, user, channel, "about the weather");
        let mut state = self.state();
        let thread = Channel {
            id: began.id.clone(),
            guild: state.channels[channel].guild.clone(),
            name: "about the weather".to_owned(),
            kind: THREAD,
            parent: Some(channel.to_owned()),
            owner: Some(user.to_owned()),
            archive_minutes: 1_440,
            archive_changed_ms: began.at_ms,
            ..Channel::default()
        };
        state.channels.insert(began.id.clone(), thread);
        state.tell_channel("THREAD_CREATE", &began.id);
        began.id
    }

    /// It was changed a second after it was written; answers when, as Discord writes it.
    pub(crate) fn edited_before(&self, message: &str, text: &str) -> String {
        let mut state = self.state();
        let found = state.message_mut(message).unwrap();
        let at = found.at_ms + 1_000;
        text.clone_into(&mut found.content);
        found.edited_ms = Some(at);
        found.edits += 1;
        time(at)
    }

    /// The same interaction, begun so long ago.
    pub(crate) fn pressed_before(&self, ago: Duration, payload: &Value) -> Value {
        let mut state = self.state();
        let (id, at_ms) = state.id_before(ago);
        let now = payload["id"].as_str().unwrap();
        let mut interaction = state.interactions.remove(now).unwrap();
        interaction.id.clone_from(&id);
        interaction.at_ms = at_ms;
        state.interactions.insert(id.clone(), interaction);
        let mut payload = payload.clone();
        payload["id"] = id.into();
        payload
    }
}
