//! What the gateway tells, and who is told: each session by its intents.

use serde_json::{Value, json};

use super::gateway::intent;
use super::world::{DM, role_json};
use super::{BOT_USER, Posted, State, permission};

impl State {
    /// Tells every session whose intents `told` knows something for.
    pub(super) fn tell(&mut self, event: &str, told: impl Fn(u64) -> Option<Value>) {
        let sessions: Vec<(String, u64)> = self
            .gateway
            .sessions
            .iter()
            .map(|(id, session)| (id.clone(), session.intents))
            .collect();
        for (session, intents) in sessions {
            if let Some(data) = told(intents) {
                self.gateway.dispatch(&session, event, &data);
            }
        }
    }

    fn tell_with(&mut self, event: &str, needed: u64, data: &Value) {
        self.tell(event, |intents| {
            (intents & needed != 0).then(|| data.clone())
        });
    }

    /// A message that was written, changed or deleted. Whispers are nobody's business.
    pub(super) fn tell_message(&mut self, event: &str, message: &Posted) {
        let Some(channel) = self.channels.get(&message.channel).cloned() else {
            return;
        };
        let visible = self.allowed(&channel) & permission::VIEW_CHANNEL != 0;
        if message.only_for.is_some() || !visible {
            return;
        }
        let needed = if channel.kind == DM {
            intent::DIRECT_MESSAGES
        } else {
            intent::GUILD_MESSAGES
        };
        if event == "MESSAGE_DELETE" {
            let mut data = json!({ "id": message.id, "channel_id": message.channel });
            if let Some(guild) = &channel.guild {
                data["guild_id"] = guild.as_str().into();
            }
            return self.tell_with(event, needed, &data);
        }
        let [whole, bare] = [true, false].map(|privileged| {
            let mut data = self.message_json(message, privileged);
            data["channel_type"] = channel.kind.into();
            if let Some(guild) = &channel.guild {
                data["guild_id"] = guild.as_str().into();
                data["member"] = self.bare_member_json(guild, &message.author);
            }
            data
        });
        self.tell(event, |intents| {
            let shown = if intents & intent::MESSAGE_CONTENT == 0 {
                &bare
            } else {
                &whole
            };
            (intents & needed != 0).then(|| shown.clone())
        });
    }

    /// A channel or thread as it is now.
    pub(super) fn tell_channel(&mut self, event: &str, id: &str) {
        let channel = &self.channels[id];
        let mut data = self.told_channel_json(channel);
        if event == "THREAD_CREATE" {
            data["newly_created"] = true.into();
        }
        if event == "THREAD_DELETE" {
            data = json!({ "id": id, "guild_id": channel.guild, "parent_id": channel.parent, "type": channel.kind });
        }
        self.tell_with(event, intent::GUILDS, &data);
    }

    pub(super) fn tell_guild(&mut self, id: &str) {
        let data = self.guild_create_json(id);
        self.tell_with("GUILD_CREATE", intent::GUILDS, &data);
    }

    /// A member; about the bot itself no intent is needed.
    pub(super) fn tell_member(&mut self, event: &str, guild: &str, user: &str) {
        let mut data = if event == "GUILD_MEMBER_REMOVE" {
            json!({ "user": self.user_json(user) })
        } else {
            self.member_json(guild, user)
        };
        data["guild_id"] = guild.into();
        let needed = if user == BOT_USER {
            u64::MAX
        } else {
            intent::GUILD_MEMBERS
        };
        self.tell_with(event, needed, &data);
    }

    pub(super) fn tell_role(&mut self, event: &str, guild: &str, id: &str) {
        let role = self.guilds[guild].roles.iter().find(|role| role.id == id);
        let data = match role {
            Some(role) => json!({ "guild_id": guild, "role": role_json(role) }),
            None => json!({ "guild_id": guild, "role_id": id }),
        };
        self.tell_with(event, intent::GUILDS, &data);
    }
}
