//! Who and what there is: people, guilds, roles, channels; and how they look on the wire.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::rights::{Overwrite, permission};
use super::{
    ALICE, APP, BEN, BOT_USER, CLEO, EPOCH_MS, FakeDiscord, GENERAL, GUILD, HERMIT, HIDDEN, LEADS,
    OPS, OTHER_BOT, STRANGER, State, VOICE,
};

pub(super) const TEXT: u8 = 0;
pub(super) const DM: u8 = 1;
pub(super) const VOICE_KIND: u8 = 2;
pub(super) const CATEGORY: u8 = 4;
pub(super) const ANNOUNCEMENTS: u8 = 5;
pub(super) const ANNOUNCEMENT_THREAD: u8 = 10;
pub(super) const THREAD: u8 = 11;
pub(super) const STAGE: u8 = 13;
pub(super) const FORUM: u8 = 15;
/// All kinds of threads.
pub(super) const THREADS: [u8; 2] = [ANNOUNCEMENT_THREAD, THREAD];

pub(super) struct User {
    pub(super) name: String,
    pub(super) bot: bool,
    pub(super) refuses_dms: bool,
}

#[derive(Clone)]
pub(super) struct Role {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) permissions: u64,
}

pub(super) struct Guild {
    pub(super) name: String,
    pub(super) roles: Vec<Role>,
    /// User → roles.
    pub(super) members: BTreeMap<String, Vec<String>>,
    /// Members in a time-out.
    pub(super) silenced: BTreeSet<String>,
}

/// A channel, thread or direct-message channel.
#[derive(Clone, Default)]
pub(super) struct Channel {
    pub(super) id: String,
    pub(super) guild: Option<String>,
    pub(super) name: String,
    pub(super) kind: u8,
    pub(super) overwrites: Vec<Overwrite>,
    pub(super) parent: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) recipient: Option<String>,
    pub(super) archived: bool,
    pub(super) locked: bool,
    pub(super) archive_minutes: u64,
    pub(super) archive_changed_ms: i64,
}

/// How long a time-out lasts yet.
const TIME_OUT_MS: i64 = 60 * 60 * 1_000;

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
            silenced: BTreeSet::new(),
        };
        self.guilds.insert(GUILD.to_owned(), guild);
        for (id, name, kind) in [
            (GENERAL, "general", TEXT),
            (OPS, "ops", TEXT),
            (HIDDEN, "hidden", TEXT),
            (VOICE, "voice", VOICE_KIND),
        ] {
            self.put_channel(GUILD, id, name, kind);
        }
        let hidden = self.channels.get_mut(HIDDEN).unwrap();
        hidden.overwrites = vec![Overwrite::only(BOT_USER, 0)];
    }

    pub(super) fn put_channel(&mut self, guild: &str, id: &str, name: &str, kind: u8) {
        let channel = Channel {
            id: id.to_owned(),
            guild: Some(guild.to_owned()),
            name: name.to_owned(),
            kind,
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
            recipient: Some(user.to_owned()),
            ..Channel::default()
        };
        self.channels.insert(id.clone(), channel);
        id
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
        let silenced = guild.is_some_and(|guild| guild.silenced.contains(user));
        let until = silenced.then(|| time(self.now_ms() + TIME_OUT_MS));
        json!({ "avatar": null, "banner": null, "communication_disabled_until": until, "flags": 0,
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
        if THREADS.contains(&channel.kind) {
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
        shown["position"] = 0.into();
        shown["nsfw"] = false.into();
        shown["topic"] = Value::Null;
        shown["permission_overwrites"] = channel.overwrites.iter().map(Overwrite::json).collect();
        if [VOICE_KIND, STAGE].contains(&channel.kind) {
            shown["bitrate"] = 64_000.into();
            shown["user_limit"] = 0.into();
            shown["rtc_region"] = Value::Null;
        }
        if channel.kind == FORUM {
            shown["available_tags"] = json!([]);
            shown["default_reaction_emoji"] = Value::Null;
            shown["default_sort_order"] = Value::Null;
            shown["default_forum_layout"] = 0.into();
        }
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
            here.filter(|it| THREADS.contains(&it.kind) == threads && !it.archived)
                .map(|it| self.told_channel_json(it))
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
        permissions: permission::EVERYBODY,
    }
}

pub(super) fn role_json(role: &Role) -> Value {
    json!({ "id": role.id, "name": role.name, "permissions": role.permissions.to_string(), "position": 0, "color": 0,
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
            silenced: BTreeSet::new(),
        };
        state.guilds.insert(id.to_owned(), guild);
        state.tell_guild(id);
    }

    /// A text channel in which the bot may do the usual.
    pub(crate) fn add_channel(&self, guild: &str, id: &str, name: &str) {
        self.add_channel_of(TEXT, guild, id, name);
    }

    /// A category: nobody writes in it.
    pub(crate) fn add_category(&self, guild: &str, id: &str, name: &str) {
        self.add_channel_of(CATEGORY, guild, id, name);
    }

    /// A channel of any kind, by Discord's number.
    pub(crate) fn add_channel_of(&self, kind: u8, guild: &str, id: &str, name: &str) {
        let mut state = self.state();
        state.put_channel(guild, id, name, kind);
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
