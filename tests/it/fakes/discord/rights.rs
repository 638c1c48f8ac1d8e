//! What the bot may do where, in Discord's own order: roles, then the channel's overwrites, then what follows from those.
//! See <https://docs.discord.com/developers/topics/permissions#permission-overwrites>.

use serde_json::{Value, json};

use super::world::{Channel, STAGE, THREADS, VOICE_KIND};
use super::{BOT_USER, FakeDiscord, State};

/// Discord's permission bits, as far as they matter here.
pub(crate) mod permission {
    pub(crate) const ADD_REACTIONS: u64 = 1 << 6;
    pub(crate) const VIEW_CHANNEL: u64 = 1 << 10;
    pub(crate) const SEND_MESSAGES: u64 = 1 << 11;
    pub(crate) const MANAGE_MESSAGES: u64 = 1 << 13;
    pub(crate) const EMBED_LINKS: u64 = 1 << 14;
    pub(crate) const ATTACH_FILES: u64 = 1 << 15;
    pub(crate) const READ_MESSAGE_HISTORY: u64 = 1 << 16;
    pub(crate) const MENTION_EVERYONE: u64 = 1 << 17;
    pub(crate) const CONNECT: u64 = 1 << 20;
    pub(crate) const MANAGE_THREADS: u64 = 1 << 34;
    pub(crate) const CREATE_PUBLIC_THREADS: u64 = 1 << 35;
    pub(crate) const SEND_MESSAGES_IN_THREADS: u64 = 1 << 38;
    /// All there are.
    pub(crate) const ALL: u64 = (1 << 53) - 1;
    /// What the bot has where nothing was taken from it.
    pub(crate) const USUAL: u64 = ADD_REACTIONS
        | VIEW_CHANNEL
        | SEND_MESSAGES
        | ATTACH_FILES
        | READ_MESSAGE_HISTORY
        | CREATE_PUBLIC_THREADS
        | SEND_MESSAGES_IN_THREADS;
    /// What everybody has.
    pub(crate) const EVERYBODY: u64 = USUAL | EMBED_LINKS | CONNECT;
}

/// A channel's flag: what it is called and for whom it is, the bot is not told.
const OBFUSCATED: u64 = 1 << 17;

/// What a role or a member may do here, beside what the roles say everywhere.
#[derive(Debug, Clone)]
pub(super) struct Overwrite {
    of: String,
    is_member: bool,
    allow: u64,
    deny: u64,
}

impl Overwrite {
    /// The member has these permissions and no others.
    pub(super) fn only(of: &str, allow: u64) -> Self {
        Self {
            of: of.to_owned(),
            is_member: true,
            allow,
            deny: permission::ALL & !allow,
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "id": self.of, "type": u8::from(self.is_member), "allow": self.allow.to_string(),
                "deny": self.deny.to_string() })
    }
}

impl State {
    /// What the bot may do in a channel; a thread is as its parent, but for who may write.
    pub(super) fn allowed(&self, channel: &Channel) -> u64 {
        let parent = channel.parent.as_ref();
        let parent = parent.and_then(|parent| self.channels.get(parent));
        let here = parent.unwrap_or(channel);
        let Some(guild) = here
            .guild
            .as_ref()
            .and_then(|id| self.guilds.get_key_value(id))
        else {
            return u64::MAX; // Direct messages.
        };
        let ((guild, world), in_thread) = (guild, THREADS.contains(&channel.kind));
        let roles = world
            .members
            .get(BOT_USER)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let has = |id: &String| id == guild || roles.contains(id);
        let base = world.roles.iter().filter(|role| has(&role.id));
        let base = base.fold(0, |all, role| all | role.permissions);
        let of = |is: &dyn Fn(&Overwrite) -> bool| {
            let found = here.overwrites.iter().filter(|it| is(it));
            found.fold((0, 0), |(allow, deny), it| {
                (allow | it.allow, deny | it.deny)
            })
        };
        let steps = [
            of(&|it| !it.is_member && it.of == *guild),
            of(&|it| !it.is_member && roles.contains(&it.of)),
            of(&|it| it.is_member && it.of == BOT_USER),
        ];
        let may = steps
            .into_iter()
            .fold(base, |may, (allow, deny)| may & !deny | allow);
        let silenced = world.silenced.contains(BOT_USER);
        implied(may, here.kind, in_thread, silenced)
    }

    /// As the gateway shows a channel: since November 2026 what the bot can't see has no name.
    pub(super) fn told_channel_json(&self, channel: &Channel) -> Value {
        let mut shown = self.channel_json(channel);
        if self.allowed(channel) & permission::VIEW_CHANNEL == 0 {
            shown["name"] = "___hidden___".into();
            shown["topic"] = Value::Null;
            shown["last_message_id"] = Value::Null;
            shown["flags"] = OBFUSCATED.into();
            shown["permission_overwrites"] = json!([{ "id": channel.guild, "type": 0, "allow": "0",
                                                      "deny": permission::VIEW_CHANNEL.to_string() }]);
        }
        shown
    }
}

/// What goes with what is missing.
fn implied(may: u64, kind: u8, in_thread: bool, silenced: bool) -> u64 {
    use permission::{
        ATTACH_FILES, CONNECT, EMBED_LINKS, MENTION_EVERYONE, READ_MESSAGE_HISTORY, SEND_MESSAGES,
        SEND_MESSAGES_IN_THREADS, VIEW_CHANNEL,
    };
    if may & VIEW_CHANNEL == 0 {
        return 0;
    }
    let mut may = may;
    if silenced {
        may &= VIEW_CHANNEL | READ_MESSAGE_HISTORY | CONNECT;
    }
    let writes = if in_thread {
        SEND_MESSAGES_IN_THREADS
    } else {
        SEND_MESSAGES
    };
    if may & writes == 0 {
        may &= !(ATTACH_FILES | EMBED_LINKS | MENTION_EVERYONE);
    }
    // Who may not join a voice channel does not read what is written there.
    if [VOICE_KIND, STAGE].contains(&kind) && may & CONNECT == 0 {
        may &= !READ_MESSAGE_HISTORY;
    }
    may
}

impl FakeDiscord {
    /// Takes these permissions from the bot in a channel, and gives all other usual ones.
    pub(crate) fn deny(&self, channel: &str, permissions: u64) {
        self.overwrite_bot(channel, permission::EVERYBODY & !permissions, permissions);
    }

    /// The bot has these permissions in a channel, and no others.
    pub(crate) fn allow(&self, channel: &str, permissions: u64) {
        self.set_overwrite(channel, Overwrite::only(BOT_USER, permissions));
    }

    /// What members with this role may do in a channel; the guild's own id is everybody's role.
    pub(crate) fn overwrite_role(&self, channel: &str, role: &str, allow: u64, deny: u64) {
        let of = role.to_owned();
        let is_member = false;
        self.set_overwrite(
            channel,
            Overwrite {
                of,
                is_member,
                allow,
                deny,
            },
        );
    }

    /// What the bot itself may do in a channel.
    pub(crate) fn overwrite_bot(&self, channel: &str, allow: u64, deny: u64) {
        let of = BOT_USER.to_owned();
        let is_member = true;
        self.set_overwrite(
            channel,
            Overwrite {
                of,
                is_member,
                allow,
                deny,
            },
        );
    }

    fn set_overwrite(&self, channel: &str, overwrite: Overwrite) {
        let mut state = self.state();
        let overwrites = &mut state.channels.get_mut(channel).unwrap().overwrites;
        overwrites.retain(|it| (&it.of, it.is_member) != (&overwrite.of, overwrite.is_member));
        overwrites.push(overwrite);
        state.tell_channel("CHANNEL_UPDATE", channel);
    }

    /// A moderator tells a member to be silent for a while, or lets them speak again.
    pub(crate) fn silence(&self, guild: &str, user: &str, silent: bool) {
        let mut state = self.state();
        let silenced = &mut state.guilds.get_mut(guild).unwrap().silenced;
        if silent {
            silenced.insert(user.to_owned());
        } else {
            silenced.remove(user);
        }
        state.tell_member("GUILD_MEMBER_UPDATE", guild, user);
    }
}
