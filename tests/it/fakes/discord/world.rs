//! Who and what there is: people, guilds, roles, channels; and how they look on the wire.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ALICE, APP, BEN, BOT_USER, CLEO, EPOCH_MS, FakeDiscord, GENERAL, GUILD, HERMIT, HIDDEN, LEADS,
    OPS, OTHER_BOT, STRANGER, State, VOICE,
};

/// Discord's permission bits, as far as they matter here.
pub(crate) mod permission {
    pub(crate) const ADD_REACTIONS: u64 = 1 << 6;
    pub(crate) const VIEW_CHANNEL: u64 = 1 << 10;
    pub(crate) const SEND_MESSAGES: u64 = 1 << 11;
    pub(crate) const MANAGE_MESSAGES: u64 = 1 << 13;
    pub(crate) const ATTACH_FILES: u64 = 1 << 15;
    pub(crate) const READ_MESSAGE_HISTORY: u64 = 1 << 16;
    pub(crate) const MENTION_EVERYONE: u64 = 1 << 17;
    pub(crate) const MANAGE_THREADS: u64 = 1 << 34;
    pub(crate) const CREATE_PUBLIC_THREADS: u64 = 1 << 35;
    pub(crate) const SEND_MESSAGES_IN_THREADS: u64 = 1 << 38;
    /// What the bot has where nothing was taken from it.
    pub(crate) const USUAL: u64 = ADD_REACTIONS
        | VIEW_CHANNEL
        | SEND_MESSAGES
        | ATTACH_FILES
        | READ_MESSAGE_HISTORY
        | CREATE_PUBLIC_THREADS
        | SEND_MESSAGES_IN_THREADS;
}

pub(super) const TEXT: u8 = 0;
pub(super) const DM: u8 = 1;
pub(super) const VOICE_KIND: u8 = 2;
pub(super) const CATEGORY: u8 = 4;
pub(super) const THREAD: u8 = 11;

pub(super) struct User {
    pub(super) name: String,
    pub(super) bot: bool,
    pub(super) refuses_dms: bool,
}

#[derive(Clone)]
pub(super) struct Role {
    pub(super) id: String,
    pub(super) name: String,
}

pub(super) struct Guild {
    pub(super) name: String,
    pub(super) roles: Vec<Role>,
    /// User → roles.
    pub(super) members: BTreeMap<String, Vec<String>>,
}

/// A channel, thread or direct-message channel.
#[derive(Clone, Default)]
pub(super) struct Channel {
    pub(super) id: String,
    pub(super) guild: Option<String>,
    pub(super) name: String,
    pub(super) kind: u8,
    /// The bot's permissions here.
    pub(super) allowed: u64,
    pub(super) parent: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) recipient: Option<String>,
    pub(super) archived: bool,
    pub(super) locked: bool,
    pub(super) archive_minutes: u64,
    pub(super) archive_changed_ms: i64,
}

impl State {
    /// What is there in the beginning.
    pub(super) fn furnish(&mut self) {
        for (id, name, bot) in [
            (BOT_USER, "midwatch", true),
            (OTHER_BOT, "other-bot", true),
            (ALICE, "alice", false),
            (BEN, "ben", false),
            (CLEO, "cleo", false),
            (HERMIT, "hermit", false),
            (STRANGER, "stranger", false),
        ] {
            let user = User {
                name: name.to_owned(),
                bot,
                refuses_dms: id == HERMIT,
            };
            self.users.insert(id.to_owned(), user);
        }
        let members = [BOT_USER, OTHER_BOT, ALICE, BEN, CLEO, HERMIT];
        let guild = Guild {
            name: "Shop".to_owned(),
            roles: vec![role(GUILD, "@everyone"), role(LEADS, "leads")],
            members: members
                .map(|user| (user.to_owned(), Vec::new()))
                .into_iter()
                .collect(),
        };
        self.guilds.insert(GUILD.to_owned(), guild);
        for (id, name, kind, allowed) in [
            (GENERAL, "general", TEXT, permission::USUAL),
            (OPS, "ops", TEXT, permission::USUAL),
            (HIDDEN, "hidden", TEXT, 0),
            (VOICE, "voice", VOICE_KIND, permission::USUAL),
        ] {
            self.put_channel(GUILD, id, name, kind, allowed);
        }
    }

    pub(super) fn put_channel(
        &mut self,
        guild: &str,
        id: &str,
        name: &str,
        kind: u8,
        allowed: u64,
    ) {
        let channel = Channel {
            id: id.to_owned(),
            guild: Some(guild.to_owned()),
            name: name.to_owned(),
            kind,
            allowed,
            ..Channel::default()
        };
        self.channels.insert(id.to_owned(), channel);
    }

    /// The direct-message channel of the bot and a person, made if need be.
    pub(super) fn dm_with(&mut self, user: &str) -> String {
        let mut all = self.channels.values();
        let known = all.find(|channel| channel.recipient.as_deref() == Some(user));
        if let Some(channel) = known {
            return channel.id.clone();
        }
        let id = self.next_id();
        let channel = Channel {
            id: id.clone(),
            kind: DM,
            allowed: u64::MAX,
            recipient: Some(user.to_owned()),
            ..Channel::default()
        };
        self.channels.insert(id.clone(), channel);
        id
    }

    /// What the bot may do in a channel; a thread is as its parent.
    pub(super) fn allowed(&self, channel: &Channel) -> u64 {
        let parent = channel.parent.as_ref();
        let parent = parent.and_then(|parent| self.channels.get(parent));
        parent.map_or(channel.allowed, |parent| parent.allowed)
    }

    pub(super) fn user_json(&self, id: &str) -> Value {
        let user = self.users.get(id);
        let name = user.map_or("deleted_user", |user| user.name.as_str());
        json!({ "id": id, "username": name, "avatar": null, "discriminator": "0", "public_flags": 0, "flags": 0,
                "bot": user.is_some_and(|user| user.bot), "global_name": name, "primary_guild": null })
    }

    /// A member without the user in it.
    pub(super) fn bare_member_json(&self, guild: &str, user: &str) -> Value {
        let guild = self.guilds.get(guild);
        let roles = guild.and_then(|guild| guild.members.get(user)).cloned();
        json!({ "avatar": null, "banner": null, "communication_disabled_until": null, "flags": 0,
                "joined_at": time(EPOCH_MS), "nick": null, "pending": false, "premium_since": null,
                "roles": roles.unwrap_or_default(), "mute": false, "deaf": false })
    }

    pub(super) fn member_json(&self, guild: &str, user: &str) -> Value {
        let mut member = self.bare_member_json(guild, user);
        member["user"] = self.user_json(user);
        member
    }

    pub(super) fn channel_json(&self, channel: &Channel) -> Value {
        let here = || {
            self.messages
                .iter()
                .filter(|message| message.channel == channel.id)
        };
        // Not the last that was kept: tests write what was said earlier.
        let last = here().max_by_key(|message| message.id.parse::<u64>().ok());
        let last = last.map(|message| &message.id);
        let mut shown =
            json!({ "id": channel.id, "type": channel.kind, "flags": 0, "last_message_id": last });
        if let Some(recipient) = &channel.recipient {
            shown["recipients"] = json!([self.user_json(recipient)]);
            return shown;
        }
        shown["guild_id"] = json!(channel.guild);
        shown["name"] = channel.name.as_str().into();
        shown["parent_id"] = json!(channel.parent);
        shown["rate_limit_per_user"] = 0.into();
        if channel.kind == THREAD {
            let count = here().count();
            let created = moment_of(&channel.id);
            shown["owner_id"] = json!(channel.owner);
            shown["message_count"] = count.into();
            shown["total_message_sent"] = count.into();
            shown["member_count"] = 1.into();
            shown["thread_metadata"] = json!({
                "archived": channel.archived, "locked": channel.locked, "auto_archive_duration": channel.archive_minutes,
                "archive_timestamp": time(channel.archive_changed_ms), "create_timestamp": time(created) });
            return shown;
        }
        let denied = permission::USUAL & !channel.allowed;
        shown["position"] = 0.into();
        shown["nsfw"] = false.into();
        shown["topic"] = Value::Null;
        shown["permission_overwrites"] = json!([{ "id": BOT_USER, "type": 1, "allow": "0",
                                                  "deny": denied.to_string() }]);
        shown
    }

    pub(super) fn guild_json(&self, id: &str) -> Value {
        let guild = &self.guilds[id];
        let roles: Vec<Value> = guild.roles.iter().map(role_json).collect();
        json!({
            "id": id, "name": guild.name, "icon": null, "description": null, "home_header": null, "splash": null,
            "discovery_splash": null, "features": [], "banner": null, "owner_id": ALICE, "application_id": null,
            "region": "deprecated", "afk_channel_id": null, "afk_timeout": 300, "system_channel_id": null,
            "system_channel_flags": 0, "widget_enabled": false, "widget_channel_id": null, "verification_level": 0,
            "roles": roles, "default_message_notifications": 0, "mfa_level": 0, "explicit_content_filter": 0,
            "max_presences": null, "max_members": 500_000, "max_stage_video_channel_users": 50,
            "max_video_channel_users": 25, "vanity_url_code": null, "premium_tier": 0, "premium_subscription_count": 0,
            "preferred_locale": "en-US", "rules_channel_id": null, "safety_alerts_channel_id": null,
            "public_updates_channel_id": null, "premium_progress_bar_enabled": false, "nsfw": false, "nsfw_level": 0,
            "emojis": [], "stickers": [], "incidents_data": null,
        })
    }

    /// As the gateway tells it when a session begins.
    pub(super) fn guild_create_json(&self, id: &str) -> Value {
        let mut shown = self.guild_json(id);
        let of = |threads: bool| -> Vec<Value> {
            let here = self
                .channels
                .values()
                .filter(|it| it.guild.as_deref() == Some(id));
            here.filter(|it| (it.kind == THREAD) == threads && !it.archived)
                .map(|it| self.channel_json(it))
                .collect()
        };
        shown["channels"] = of(false).into();
        shown["threads"] = of(true).into();
        shown["members"] = json!([self.member_json(id, BOT_USER)]);
        shown["member_count"] = self.guilds[id].members.len().into();
        shown["joined_at"] = time(EPOCH_MS).into();
        for name in ["large", "unavailable"] {
            shown[name] = false.into();
        }
        for name in [
            "voice_states",
            "presences",
            "stage_instances",
            "guild_scheduled_events",
            "soundboard_sounds",
        ] {
            shown[name] = json!([]);
        }
        shown
    }

    pub(super) fn application_json(&self, public_key: &str) -> Value {
        json!({
            "id": APP, "name": "midwatch", "icon": null, "description": "", "type": null, "bot": self.user_json(BOT_USER),
            "bot_public": false, "bot_require_code_grant": false, "verify_key": public_key, "flags": 0, "flags_new": "0",
            "redirect_uris": [], "interactions_endpoint_url": null, "role_connections_verification_url": null,
            "owner": self.user_json(ALICE), "approximate_guild_count": self.guilds.len(),
            "approximate_user_install_count": 0, "approximate_user_authorization_count": 0,
            "explicit_content_filter": 0, "team": null, "eligible_oauth2_scopes": [],
        })
    }
}

pub(super) fn role(id: &str, name: &str) -> Role {
    Role {
        id: id.to_owned(),
        name: name.to_owned(),
    }
}

pub(super) fn role_json(role: &Role) -> Value {
    json!({ "id": role.id, "name": role.name, "permissions": "0", "position": 0, "color": 0,
            "colors": { "primary_color": 0, "secondary_color": null, "tertiary_color": null }, "hoist": false,
            "managed": false, "mentionable": false, "icon": null, "unicode_emoji": null, "flags": 0 })
}

/// As Discord writes times.
pub(super) fn time(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap();
    at.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

/// When an id was made.
pub(super) fn moment_of(id: &str) -> i64 {
    let id: u64 = id.parse().unwrap_or_default();
    i64::try_from(id >> 22).unwrap() + EPOCH_MS
}

impl FakeDiscord {
    /// Takes these permissions from the bot in a channel, and gives all other usual ones.
    pub(crate) fn deny(&self, channel: &str, permissions: u64) {
        self.allow(channel, permission::USUAL & !permissions);
    }

    /// The bot has these permissions in a channel, and no others.
    pub(crate) fn allow(&self, channel: &str, permissions: u64) {
        let mut state = self.state();
        state.channels.get_mut(channel).unwrap().allowed = permissions;
        state.tell_channel("CHANNEL_UPDATE", channel);
    }

    /// Whether this person takes direct messages.
    pub(crate) fn refuse_dms(&self, user: &str, refuses: bool) {
        self.state().users.get_mut(user).unwrap().refuses_dms = refuses;
    }

    /// Another guild, with the bot in it.
    pub(crate) fn add_guild(&self, id: &str, name: &str) {
        let mut state = self.state();
        let guild = Guild {
            name: name.to_owned(),
            roles: vec![role(id, "@everyone")],
            members: BTreeMap::from([(BOT_USER.to_owned(), Vec::new())]),
        };
        state.guilds.insert(id.to_owned(), guild);
        state.tell_guild(id);
    }

    /// A text channel in which the bot may do the usual.
    pub(crate) fn add_channel(&self, guild: &str, id: &str, name: &str) {
        let mut state = self.state();
        state.put_channel(guild, id, name, TEXT, permission::USUAL);
        state.tell_channel("CHANNEL_CREATE", id);
    }

    /// A category: nobody writes in it.
    pub(crate) fn add_category(&self, guild: &str, id: &str, name: &str) {
        let mut state = self.state();
        state.put_channel(guild, id, name, CATEGORY, permission::USUAL);
        state.tell_channel("CHANNEL_CREATE", id);
    }

    pub(crate) fn delete_channel(&self, id: &str) {
        let mut state = self.state();
        state.tell_channel("CHANNEL_DELETE", id);
        state.channels.remove(id);
        state.messages.retain(|message| message.channel != id);
    }

    /// A person, not yet a member of any guild.
    pub(crate) fn add_user(&self, id: &str, name: &str) {
        let user = User {
            name: name.to_owned(),
            bot: false,
            refuses_dms: false,
        };
        self.state().users.insert(id.to_owned(), user);
    }

    pub(crate) fn join(&self, guild: &str, user: &str) {
        let mut state = self.state();
        let members = &mut state.guilds.get_mut(guild).unwrap().members;
        members.insert(user.to_owned(), Vec::new());
        state.tell_member("GUILD_MEMBER_ADD", guild, user);
    }

    pub(crate) fn leave(&self, guild: &str, user: &str) {
        let mut state = self.state();
        let members = &mut state.guilds.get_mut(guild).unwrap().members;
        members.remove(user);
        state.tell_member("GUILD_MEMBER_REMOVE", guild, user);
    }

    pub(crate) fn add_role(&self, guild: &str, id: &str, name: &str) {
        let mut state = self.state();
        let roles = &mut state.guilds.get_mut(guild).unwrap().roles;
        roles.push(role(id, name));
        state.tell_role("GUILD_ROLE_CREATE", guild, id);
    }

    pub(crate) fn rename_role(&self, guild: &str, id: &str, name: &str) {
        let mut state = self.state();
        let roles = &mut state.guilds.get_mut(guild).unwrap().roles;
        let found = roles.iter_mut().find(|role| role.id == id);
        name.clone_into(&mut found.unwrap().name);
        state.tell_role("GUILD_ROLE_UPDATE", guild, id);
    }

    pub(crate) fn delete_role(&self, guild: &str, id: &str) {
        let mut state = self.state();
        let found = state.guilds.get_mut(guild).unwrap();
        found.roles.retain(|role| role.id != id);
        for roles in found.members.values_mut() {
            roles.retain(|role| role != id);
        }
        state.tell_role("GUILD_ROLE_DELETE", guild, id);
    }

    pub(crate) fn give_role(&self, guild: &str, user: &str, role: &str) {
        self.with_roles(guild, user, |roles| roles.push(role.to_owned()));
    }

    pub(crate) fn take_role(&self, guild: &str, user: &str, role: &str) {
        self.with_roles(guild, user, |roles| roles.retain(|id| id != role));
    }

    fn with_roles(&self, guild: &str, user: &str, change: impl FnOnce(&mut Vec<String>)) {
        let mut state = self.state();
        let members = &mut state.guilds.get_mut(guild).unwrap().members;
        change(members.get_mut(user).unwrap());
        state.tell_member("GUILD_MEMBER_UPDATE", guild, user);
    }
}
