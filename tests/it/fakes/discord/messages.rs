//! Messages: posting, editing, reading, deleting, and what each viewer sees of them.

use serde_json::{Map, Value, json};

use super::rest::{Answer, Refused, Request};
use super::rules::{self, Draft};
use super::threads::Act;
use super::upload::Upload;
use super::world::{CATEGORY, DM, time};
use super::{APP, BOT_USER, State, permission};

/// After so long edits are rationed.
const OLD_MS: i64 = 60 * 60 * 1_000;
const OLD_EDITS_WINDOW_MS: i64 = 20_000;

/// A message as Discord keeps it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Posted {
    pub(crate) id: String,
    pub(crate) channel: String,
    pub(crate) author: String,
    pub(crate) content: String,
    pub(crate) components: Vec<Value>,
    pub(crate) embeds: Vec<Value>,
    pub(crate) flags: u64,
    /// Name and text of each file.
    pub(crate) files: Vec<(String, String)>,
    pub(super) attachments: Vec<Value>,
    pub(crate) nonce: Value,
    pub(super) enforced: bool,
    pub(crate) edits: usize,
    pub(crate) edited_ms: Option<i64>,
    pub(crate) at_ms: i64,
    /// Discord's message type; what a person or an app wrote is 0, 19 or 20.
    pub(crate) kind: u8,
    /// Only this person sees it.
    pub(crate) only_for: Option<String>,
    /// Whom it pinged.
    pub(crate) pings: Vec<String>,
    pub(crate) everyone: bool,
    /// Emoji → who gave it.
    pub(crate) reactions: Vec<(String, Vec<String>)>,
    /// Message that it refers to, and of which channel.
    pub(crate) refers_to: Option<(String, String)>,
    /// Which interaction it answers.
    pub(crate) interaction: Value,
}

impl Posted {
    /// As a person reads it, its components included.
    pub(crate) fn text(&self) -> String {
        let shown = rules::shown(&self.components);
        let files = self.files.iter().map(|(name, _)| format!("📎 {name}"));
        let parts = [self.content.clone(), shown].into_iter().chain(files);
        let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
        parts.join("\n")
    }

    /// Whether somebody wrote it, and Discord did not.
    pub(crate) fn is_written(&self) -> bool {
        [0, 19, 20].contains(&self.kind)
    }

    pub(crate) fn is_thinking(&self) -> bool {
        self.flags & rules::LOADING != 0
    }
}

impl State {
    /// As the API and the gateway show it to our bot. `privileged`: with the intent to see all content.
    pub(super) fn message_json(&self, message: &Posted, privileged: bool) -> Value {
        let is_dm = self
            .channels
            .get(&message.channel)
            .is_some_and(|it| it.kind == DM);
        let mentions_us = message.pings.iter().any(|user| user == BOT_USER);
        let seen = privileged || is_dm || mentions_us || message.author == BOT_USER;
        let hide = |all: &[Value]| if seen { all.to_vec() } else { Vec::new() };
        let mentions: Vec<Value> = message
            .pings
            .iter()
            .map(|user| self.user_json(user))
            .collect();
        let mut shown = json!({
            "id": message.id, "channel_id": message.channel, "type": message.kind,
            "content": if seen { message.content.as_str() } else { "" },
            "author": self.user_json(&message.author), "mentions": mentions, "mention_roles": [],
            "mention_everyone": message.everyone, "attachments": hide(&message.attachments),
            "embeds": hide(&message.embeds), "components": hide(&message.components),
            "timestamp": time(message.at_ms), "edited_timestamp": message.edited_ms.map(time),
            "flags": message.flags, "pinned": false, "tts": false,
        });
        if message.author == BOT_USER {
            shown["application_id"] = APP.into();
            if !message.nonce.is_null() {
                shown["nonce"] = message.nonce.clone();
            }
        }
        if !message.interaction.is_null() {
            shown["webhook_id"] = APP.into();
            shown["interaction_metadata"] = message.interaction.clone();
        }
        if let Some((channel, id)) = &message.refers_to {
            let guild = self.channels.get(channel).and_then(|it| it.guild.clone());
            let mut reference = json!({ "type": 0, "channel_id": channel, "message_id": id });
            if let Some(guild) = guild {
                reference["guild_id"] = guild.into();
            }
            shown["message_reference"] = reference;
        }
        if let Some(thread) = self.channels.get(&message.id) {
            shown["thread"] = self.channel_json(thread);
        }
        if !message.reactions.is_empty() {
            let all = message.reactions.iter().map(|(emoji, users)| {
                json!({ "emoji": { "id": null, "name": emoji }, "count": users.len(), "me_burst": false,
                        "count_details": { "burst": 0, "normal": users.len() }, "burst_colors": [],
                        "me": users.iter().any(|user| user == BOT_USER) })
            });
            shown["reactions"] = all.collect();
        }
        shown
    }

    pub(super) fn message(&self, channel: &str, id: &str) -> Result<&Posted, Refused> {
        let mut all = self.messages.iter();
        let found = all.find(|it| it.channel == channel && it.id == id && it.only_for.is_none());
        found.ok_or_else(|| Refused::new(404, 10_008, "Unknown Message"))
    }

    pub(super) fn message_mut(&mut self, id: &str) -> Option<&mut Posted> {
        self.messages.iter_mut().find(|message| message.id == id)
    }

    /// Keeps a new message and tells of it.
    pub(super) fn keep(&mut self, message: Posted) -> Posted {
        self.messages.push(message.clone());
        self.tell_message("MESSAGE_CREATE", &message);
        message
    }
}

pub(super) fn create(state: &mut State, request: &Request, channel: &str) -> Answer {
    let here = state.visible(channel)?;
    if here.kind == CATEGORY {
        let says = "Cannot send messages in a non-text channel";
        return Err(Refused::new(400, 50_008, says));
    }
    let recipient = here.recipient.as_ref().and_then(|id| state.users.get(id));
    if recipient.is_some_and(|user| user.refuses_dms) {
        return Err(Refused::new(
            403,
            50_007,
            "Cannot send messages to this user",
        ));
    }
    state.permit_act(&here, Act::Post, !request.files.is_empty())?;
    let draft = drafted(
        state,
        &Posted::default(),
        &request.body,
        &request.files,
        rules::SETTABLE,
    )?;
    let enforced = request.body["enforce_nonce"] == true;
    let nonce = nonce(&request.body, enforced)?;
    if enforced {
        let since =
            state.now_ms() - i64::try_from(state.settings.nonce_window.as_millis()).unwrap();
        let mut all = state.messages.iter();
        let before = all.find(|it| it.enforced && it.nonce == nonce && it.at_ms >= since);
        if let Some(before) = before {
            return Ok((200, state.message_json(before, false)));
        }
    }
    let refers_to = reference(state, channel, &request.body)?;
    if here.archived {
        state.set_archived(channel, false);
    }
    let kind = if refers_to.is_some() { 19 } else { 0 };
    let message = Posted {
        channel: channel.to_owned(),
        author: BOT_USER.to_owned(),
        nonce,
        enforced,
        refers_to,
        kind,
        ..draft
    };
    let message = attached(state, message, &request.files);
    let message = state.keep(message);
    Ok((200, state.message_json(&message, false)))
}

pub(super) fn edit(state: &mut State, request: &Request, channel: &str, id: &str) -> Answer {
    let here = state.visible(channel)?;
    let before = state.message(channel, id)?.clone();
    if before.author != BOT_USER {
        let says = "Cannot edit a message authored by another user";
        return Err(Refused::new(403, 50_005, says));
    }
    state.permit_act(&here, Act::Change, !request.files.is_empty())?;
    let after = drafted(
        state,
        &before,
        &request.body,
        &request.files,
        rules::SETTABLE,
    )?;
    let now = state.now_ms();
    if now - before.at_ms > OLD_MS {
        let edits = state.pace.old_edits.entry(channel.to_owned()).or_default();
        edits.retain(|at| now - at < OLD_EDITS_WINDOW_MS);
        if edits.len() >= state.settings.old_edits {
            let says =
                "Maximum number of edits to messages older than 1 hour reached. Try again later.";
            let first = edits.first().copied().unwrap_or(now);
            let wait = OLD_EDITS_WINDOW_MS - (now - first);
            return Err(Refused::new(429, 30_046, says).later(wait));
        }
        edits.push(now);
    }
    let after = edited(state, after, &request.files);
    Ok((200, state.message_json(&after, false)))
}

/// Puts a changed message in its place and tells of it.
pub(super) fn edited(state: &mut State, after: Posted, files: &[Upload]) -> Posted {
    let mut after = attached(state, after, files);
    after.edits += 1;
    after.edited_ms = Some(state.now_ms());
    if let Some(kept) = state.message_mut(&after.id) {
        *kept = after.clone();
    }
    state.tell_message("MESSAGE_UPDATE", &after);
    after
}

/// The message that a call makes of `before`, checked. New files are not in it yet.
///
/// `settable`: flags that the caller may set.
pub(super) fn drafted(
    state: &mut State,
    before: &Posted,
    body: &Value,
    files: &[Upload],
    settable: u64,
) -> Result<Posted, Refused> {
    let given = |name: &str| body.get(name);
    let text = given("content").map(|it| it.as_str().unwrap_or_default().to_owned());
    let listed = |name: &str| given(name).map(|it| rules::list(it).to_vec());
    let asked = given("flags").and_then(Value::as_u64).unwrap_or(0) & settable;
    let is_new = before.id.is_empty();
    // A message that is made of components stays so; a thinking one is answered by its first edit.
    let stays = before.flags & (rules::IS_COMPONENTS_V2 | rules::EPHEMERAL | rules::HAS_THREAD);
    let keeps = if given("flags").is_some() {
        0
    } else {
        before.flags & settable
    };
    let kept_files: Vec<bool> = before
        .attachments
        .iter()
        .map(|kept| {
            given("attachments")
                .is_none_or(|ids| rules::list(ids).iter().any(|it| it["id"] == kept["id"]))
        })
        .collect();
    let mut kept_files = [kept_files.iter(), kept_files.iter()];
    let [keeps_attachment, keeps_file] = &mut kept_files;
    let mut after = before.clone();
    after
        .attachments
        .retain(|_| *keeps_attachment.next().unwrap());
    after.files.retain(|_| *keeps_file.next().unwrap());
    after.content = text.unwrap_or(after.content);
    after.embeds = listed("embeds").unwrap_or(after.embeds);
    after.components = listed("components").unwrap_or(after.components);
    after.flags = asked | stays | keeps;
    let now = state.now_ms();
    if is_new {
        after.id = state.next_id();
        after.at_ms = now;
    }
    let sizes = after
        .attachments
        .iter()
        .map(|it| usize::try_from(it["size"].as_u64().unwrap()).unwrap());
    let sizes: Vec<usize> = sizes
        .chain(files.iter().map(|file| file.content.len()))
        .collect();
    let words = format!("{}\n{}", after.content, rules::shown(&after.components));
    for broken in rules::broken_oaths(body, &words) {
        state.violation(broken);
    }
    rules::mentions(body)?;
    rules::message(&Draft {
        content: &after.content,
        embeds: &after.embeds,
        components: &after.components,
        flags: after.flags,
        files: &sizes,
    })?;
    after.components = rules::completed(&after.components);
    if is_new {
        after.pings = pinged(&body["allowed_mentions"], &words);
        after.everyone = words.contains("@everyone") && body["allowed_mentions"].is_null();
    }
    Ok(after)
}

/// Whom a message pings: named in its words, and allowed.
fn pinged(allowed: &Value, words: &str) -> Vec<String> {
    let all = allowed.is_null() || rules::list(&allowed["parse"]).contains(&json!("users"));
    let mut pinged = Vec::new();
    for user in mentioned(words) {
        if (all || rules::list(&allowed["users"]).contains(&json!(user))) && !pinged.contains(&user)
        {
            pinged.push(user);
        }
    }
    pinged
}

/// Users that are named by `<@…>`.
pub(super) fn mentioned(words: &str) -> Vec<String> {
    let parts = words.split("<@").skip(1);
    let ids = parts
        .filter_map(|part| part.split_once('>'))
        .map(|(id, _)| id.trim_start_matches('!'));
    ids.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

/// Hangs new files on a message.
pub(super) fn attached(state: &mut State, mut message: Posted, files: &[Upload]) -> Posted {
    for file in files {
        let id = state.next_id();
        let url = format!(
            "http://{}/attachments/{}/{id}/{}",
            state.address, message.channel, file.name
        );
        message.attachments.push(
            json!({ "id": id, "filename": file.name, "size": file.content.len(), "url": url,
                                         "proxy_url": url, "content_type": file.kind }),
        );
        message.files.push((
            file.name.clone(),
            String::from_utf8_lossy(&file.content).into_owned(),
        ));
        state.uploads.insert(id, file.content.clone());
    }
    message
}

fn nonce(body: &Value, enforced: bool) -> Result<Value, Refused> {
    let nonce = &body["nonce"];
    let fits = match nonce {
        Value::Null => !enforced,
        Value::String(text) => text.chars().count() <= 25,
        Value::Number(number) => number.is_i64(),
        _ => false,
    };
    if fits {
        Ok(nonce.clone())
    } else {
        Err(Refused::form(
            "nonce",
            "NONCE_TYPE_INVALID",
            "a nonce is a number or at most 25 characters",
        ))
    }
}

fn reference(
    state: &State,
    channel: &str,
    body: &Value,
) -> Result<Option<(String, String)>, Refused> {
    let Some(id) = body["message_reference"]["message_id"].as_str() else {
        return Ok(None);
    };
    if state.message(channel, id).is_ok() {
        return Ok(Some((channel.to_owned(), id.to_owned())));
    }
    if body["message_reference"]["fail_if_not_exists"] == false {
        return Ok(None);
    }
    Err(Refused::form(
        "message_reference",
        "MESSAGE_REFERENCE_UNKNOWN_MESSAGE",
        "Unknown message",
    ))
}

pub(super) fn delete(state: &mut State, channel: &str, id: &str) -> Answer {
    let here = state.visible(channel)?;
    let message = state.message(channel, id)?.clone();
    if message.author != BOT_USER {
        state.permit(&here, permission::MANAGE_MESSAGES)?;
    }
    state.permit_act(&here, Act::Change, false)?;
    state.messages.retain(|message| message.id != id);
    state.tell_message("MESSAGE_DELETE", &message);
    Ok((204, Value::Null))
}

/// Gives or takes back a reaction of ours.
pub(super) fn react(
    state: &mut State,
    channel: &str,
    id: &str,
    emoji: &str,
    gives: bool,
) -> Answer {
    let here = state.visible(channel)?;
    state.message(channel, id)?;
    state.permit_act(&here, Act::Change, false)?;
    if gives {
        state.permit(
            &here,
            permission::READ_MESSAGE_HISTORY | permission::ADD_REACTIONS,
        )?;
    }
    if emoji.is_ascii() && !emoji.contains(':') {
        return Err(Refused::new(400, 10_014, "Unknown Emoji"));
    }
    let message = state.message_mut(id).unwrap();
    for (known, users) in &mut message.reactions {
        if known == emoji {
            users.retain(|user| user != BOT_USER);
        }
    }
    if gives {
        match message
            .reactions
            .iter_mut()
            .find(|(known, _)| known == emoji)
        {
            Some((_, users)) => users.push(BOT_USER.to_owned()),
            None => message
                .reactions
                .push((emoji.to_owned(), vec![BOT_USER.to_owned()])),
        }
    }
    message.reactions.retain(|(_, users)| !users.is_empty());
    Ok((204, Value::Null))
}

/// An object with these fields, nulls left out.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other,
    }
}
