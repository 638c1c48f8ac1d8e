//! Threads: made from a message or by themselves, archived, locked; and who may do what where.

use serde_json::{Value, json};

use super::messages::Posted;
use super::rest::{Answer, Refused, Request};
use super::rules;
use super::world::{ANNOUNCEMENT_THREAD, ANNOUNCEMENTS, Channel, DM, FORUM, TEXT, THREAD, THREADS};
use super::{BOT_USER, FakeDiscord, State, permission};

const ARCHIVE_MINUTES: [u64; 4] = [60, 1_440, 4_320, 10_080];
/// System messages.
const THREAD_CREATED: u8 = 18;
const THREAD_STARTER: u8 = 21;

/// What one can want to do where archives and locks stand in the way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Post,
    /// Edit or delete a message, or react to it.
    Change,
}

impl State {
    /// A channel that the bot sees.
    pub(super) fn visible(&self, id: &str) -> Result<Channel, Refused> {
        let channel = self.channels.get(id).cloned();
        let channel = channel.ok_or_else(|| Refused::new(404, 10_003, "Unknown Channel"))?;
        if self.allowed(&channel) & permission::VIEW_CHANNEL == 0 {
            return Err(Refused::new(403, 50_001, "Missing Access"));
        }
        Ok(channel)
    }

    pub(super) fn permit(&self, channel: &Channel, needed: u64) -> Result<(), Refused> {
        if self.allowed(channel) & needed == needed {
            Ok(())
        } else {
            Err(Refused::new(403, 50_013, "Missing Permissions"))
        }
    }

    /// Whether the bot may do this here, with or without files, and nothing is shut.
    pub(super) fn permit_act(
        &self,
        channel: &Channel,
        act: Act,
        files: bool,
    ) -> Result<(), Refused> {
        let posting = if THREADS.contains(&channel.kind) {
            permission::SEND_MESSAGES_IN_THREADS
        } else {
            permission::SEND_MESSAGES
        };
        if act == Act::Post {
            self.permit(channel, posting)?;
        }
        if files {
            self.permit(channel, permission::ATTACH_FILES)?;
        }
        let opens = self.allowed(channel) & permission::MANAGE_THREADS != 0;
        if channel.archived && (act == Act::Change || (channel.locked && !opens)) {
            let status = if act == Act::Change { 400 } else { 403 };
            return Err(Refused::new(status, 50_083, "Thread is archived"));
        }
        if channel.locked && !opens {
            return Err(Refused::new(403, 160_005, "Thread is locked"));
        }
        Ok(())
    }

    pub(super) fn set_archived(&mut self, thread: &str, archived: bool) {
        let now = self.now_ms();
        let channel = self.channels.get_mut(thread).unwrap();
        if channel.archived != archived {
            channel.archived = archived;
            channel.archive_changed_ms = now;
            self.tell_channel("THREAD_UPDATE", thread);
        }
    }
}

/// `POST /channels/{c}/messages/{m}/threads`.
pub(super) fn from_message(
    state: &mut State,
    request: &Request,
    channel: &str,
    message: &str,
) -> Answer {
    let here = parent(state, channel)?;
    state.permit(&here, permission::READ_MESSAGE_HISTORY)?;
    state.message(channel, message)?;
    if state.channels.contains_key(message) {
        let says = "A thread has already been created for this message";
        return Err(Refused::new(400, 160_004, says));
    }
    let thread = made(state, &request.body, &here, message)?;
    if let Some(root) = state.message_mut(message) {
        root.flags |= rules::HAS_THREAD;
        let root = root.clone();
        state.tell_message("MESSAGE_UPDATE", &root);
    }
    let refers_to = Some((channel.to_owned(), message.to_owned()));
    system(state, message, THREAD_STARTER, "", refers_to);
    Ok((201, thread))
}

/// `POST /channels/{c}/threads`.
pub(super) fn alone(state: &mut State, request: &Request, channel: &str) -> Answer {
    let here = parent(state, channel)?;
    if ![Some(11), None].contains(&request.body["type"].as_u64()) {
        return Err(Refused::new(403, 50_013, "Missing Permissions"));
    }
    let id = state.next_id();
    let thread = made(state, &request.body, &here, &id)?;
    let name = thread["name"].as_str().unwrap_or_default().to_owned();
    system(
        state,
        channel,
        THREAD_CREATED,
        &name,
        Some((id.clone(), id)),
    );
    Ok((201, thread))
}

/// A channel in which the bot may make threads.
fn parent(state: &State, channel: &str) -> Result<Channel, Refused> {
    let here = state.visible(channel)?;
    if ![TEXT, ANNOUNCEMENTS].contains(&here.kind) {
        let says = "Cannot execute action on this channel type";
        return Err(Refused::new(400, 50_024, says));
    }
    state.permit(&here, permission::CREATE_PUBLIC_THREADS)?;
    Ok(here)
}

fn made(state: &mut State, body: &Value, parent: &Channel, id: &str) -> Result<Value, Refused> {
    if !(1..=100).contains(&rules::length(&body["name"])) {
        let says = "Must be between 1 and 100 in length.";
        return Err(Refused::form("name", "BASE_TYPE_BAD_LENGTH", says));
    }
    let thread = Channel {
        id: id.to_owned(),
        guild: parent.guild.clone(),
        name: body["name"].as_str().unwrap_or_default().to_owned(),
        kind: if parent.kind == ANNOUNCEMENTS {
            ANNOUNCEMENT_THREAD
        } else {
            THREAD
        },
        parent: Some(parent.id.clone()),
        owner: Some(BOT_USER.to_owned()),
        archive_minutes: archive_minutes(body)?.unwrap_or(1_440),
        archive_changed_ms: state.now_ms(),
        ..Channel::default()
    };
    state.channels.insert(id.to_owned(), thread);
    state.tell_channel("THREAD_CREATE", id);
    let mut shown = state.channel_json(&state.channels[id]);
    let joined = super::world::time(state.now_ms());
    shown["member"] =
        json!({ "id": id, "user_id": BOT_USER, "join_timestamp": joined, "flags": 1 });
    Ok(shown)
}

fn archive_minutes(body: &Value) -> Result<Option<u64>, Refused> {
    let given = &body["auto_archive_duration"];
    if given.is_null() {
        return Ok(None);
    }
    let known = given
        .as_u64()
        .filter(|minutes| ARCHIVE_MINUTES.contains(minutes));
    let says = "Value must be one of (60, 1440, 4320, 10080).";
    known
        .map(Some)
        .ok_or_else(|| Refused::form("auto_archive_duration", "BASE_TYPE_CHOICES", says))
}

fn system(
    state: &mut State,
    channel: &str,
    kind: u8,
    content: &str,
    refers_to: Option<(String, String)>,
) {
    let message = Posted {
        id: state.next_id(),
        at_ms: state.now_ms(),
        channel: channel.to_owned(),
        author: BOT_USER.to_owned(),
        content: content.to_owned(),
        kind,
        refers_to,
        ..Posted::default()
    };
    state.keep(message);
}

/// `PATCH /channels/{thread}`: its name, and whether it is archived or locked.
pub(super) fn change(state: &mut State, request: &Request, id: &str) -> Answer {
    let before = state.visible(id)?;
    let body = &request.body;
    if !THREADS.contains(&before.kind) {
        return Err(Refused::new(403, 50_013, "Missing Permissions"));
    }
    let minutes = archive_minutes(body)?;
    let manages = state.allowed(&before) & permission::MANAGE_THREADS != 0;
    let opens = body["archived"] == false;
    if before.archived && !opens {
        return Err(Refused::new(400, 50_083, "Thread is archived"));
    }
    let owns = before.owner.as_deref() == Some(BOT_USER);
    let mine = owns && !before.locked && body["locked"].is_null();
    let only_opens = opens && !before.locked && body.as_object().is_some_and(|it| it.len() == 1);
    if !manages && !mine && !only_opens {
        return Err(Refused::new(403, 50_013, "Missing Permissions"));
    }
    let now = state.now_ms();
    let thread = state.channels.get_mut(id).unwrap();
    if let Some(name) = body["name"].as_str() {
        name.clone_into(&mut thread.name);
    }
    thread.archive_minutes = minutes.unwrap_or(thread.archive_minutes);
    thread.locked = body["locked"].as_bool().unwrap_or(thread.locked);
    if let Some(archived) = body["archived"].as_bool() {
        thread.archived = archived;
        thread.archive_changed_ms = now;
    }
    state.tell_channel("THREAD_UPDATE", id);
    Ok((200, state.channel_json(&state.channels[id])))
}

pub(super) fn active(state: &State, guild: &str) -> Value {
    let here = state
        .channels
        .values()
        .filter(|it| it.guild.as_deref() == Some(guild));
    let seen = here.filter(|it| THREADS.contains(&it.kind) && !it.archived);
    let seen = seen.filter(|it| state.allowed(it) & permission::VIEW_CHANNEL != 0);
    let threads: Vec<Value> = seen.map(|it| state.channel_json(it)).collect();
    json!({ "threads": threads, "members": [], "has_more": false })
}

impl FakeDiscord {
    /// What was written in a channel or thread and everybody sees, oldest first.
    pub(crate) fn messages(&self, channel: &str) -> Vec<Posted> {
        let state = self.state();
        let here = state.messages.iter().filter(|it| it.channel == channel);
        here.filter(|it| it.only_for.is_none() && it.is_written())
            .cloned()
            .collect()
    }

    /// The same as people read it.
    pub(crate) fn texts(&self, channel: &str) -> Vec<String> {
        self.messages(channel).iter().map(Posted::text).collect()
    }

    /// A message as it is now.
    pub(crate) fn message(&self, id: &str) -> Option<Posted> {
        self.state().message_mut(id).cloned()
    }

    /// The thread of a message, if it has one: what was written in it, oldest first.
    pub(crate) fn thread_of(&self, message: &str) -> Option<Vec<Posted>> {
        let known = self.state().channels.contains_key(message);
        known.then(|| self.messages(message))
    }

    /// What only this person sees.
    pub(crate) fn whispers(&self, user: &str) -> Vec<Posted> {
        let state = self.state();
        let all = state.messages.iter();
        all.filter(|it| it.only_for.as_deref() == Some(user))
            .cloned()
            .collect()
    }

    /// The direct messages with a person.
    pub(crate) fn direct_messages(&self, user: &str) -> Vec<Posted> {
        let channel = self.state().dm_with(user);
        self.messages(&channel)
    }

    /// Name and text of all files in a channel.
    pub(crate) fn files(&self, channel: &str) -> Vec<(String, String)> {
        self.messages(channel)
            .into_iter()
            .flat_map(|message| message.files)
            .collect()
    }

    /// Ids of the threads of a channel, the archived ones too.
    pub(crate) fn threads(&self, channel: &str) -> Vec<String> {
        let state = self.state();
        let here = state
            .channels
            .values()
            .filter(|it| it.parent.as_deref() == Some(channel));
        here.map(|it| it.id.clone()).collect()
    }

    /// Whether a thread is archived, and whether it is locked.
    pub(crate) fn thread_state(&self, thread: &str) -> (bool, bool) {
        let state = self.state();
        let thread = &state.channels[thread];
        (thread.archived, thread.locked)
    }

    /// A person archives a thread, or its time came; `locked`: somebody locks it as well.
    pub(crate) fn archive_thread(&self, thread: &str, locked: bool) {
        let mut state = self.state();
        state.channels.get_mut(thread).unwrap().locked = locked;
        state.set_archived(thread, true);
    }

    /// Opens it again.
    pub(crate) fn open_thread(&self, thread: &str) {
        let mut state = self.state();
        state.channels.get_mut(thread).unwrap().locked = false;
        state.set_archived(thread, false);
    }

    /// A person begins a post in a forum: a thread of its own whose first message has its id.
    pub(crate) fn forum_post(&self, forum: &str, user: &str, title: &str, text: &str) -> Posted {
        let mut state = self.state();
        assert_eq!(state.channels[forum].kind, FORUM, "that is no forum");
        let id = state.next_id();
        let thread = Channel {
            id: id.clone(),
            guild: state.channels[forum].guild.clone(),
            name: title.to_owned(),
            kind: THREAD,
            parent: Some(forum.to_owned()),
            owner: Some(user.to_owned()),
            archive_minutes: 4_320,
            archive_changed_ms: state.now_ms(),
            ..Channel::default()
        };
        state.channels.insert(id.clone(), thread);
        state.tell_channel("THREAD_CREATE", &id);
        let message = Posted {
            id: id.clone(),
            at_ms: state.now_ms(),
            channel: id,
            author: user.to_owned(),
            content: text.to_owned(),
            pings: super::messages::mentioned(text),
            ..Posted::default()
        };
        let message = state.keep(message);
        drop(state);
        self.inner.changed();
        message
    }

    /// Locks a thread that stays open: nobody but moderators writes in it.
    pub(crate) fn lock_thread(&self, thread: &str) {
        let mut state = self.state();
        state.channels.get_mut(thread).unwrap().locked = true;
        state.tell_channel("THREAD_UPDATE", thread);
    }

    pub(crate) fn delete_thread(&self, thread: &str) {
        let mut state = self.state();
        state.tell_channel("THREAD_DELETE", thread);
        state.channels.remove(thread);
        state.messages.retain(|message| message.channel != thread);
    }

    /// Whether a channel is for direct messages.
    pub(crate) fn is_dm(&self, channel: &str) -> bool {
        self.state()
            .channels
            .get(channel)
            .is_some_and(|it| it.kind == DM)
    }
}
