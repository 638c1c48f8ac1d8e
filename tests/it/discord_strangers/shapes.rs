//! Payloads in shapes that others have met: nothing breaks by them, and nobody goes unanswered.

use serde_json::{Value, json};

use super::files;
use crate::discord_story::{Door, Story};
use crate::fakes::discord::{ALICE, APP, BEN, BOT_USER, GENERAL, GUILD, LEADS, Seen};

/// Changes a payload into one that others have met.
type Change = fn(&mut Value);

/// Acts in shapes that Discord sends to others: installed for a person, of a guild that is gone, newer than we are.
const CHANGES: &[(&str, Change)] = &[
    ("no locale", |it| without(it, &["locale", "guild_locale"])),
    ("no guild but its id", |it| without(it, &["guild"])),
    ("no channel but its id", |it| without(it, &["channel"])),
    ("a channel of nulls", |it| {
        it["channel"] = json!({ "id": null, "type": null });
    }),
    ("a channel of an unknown kind", |it| {
        it["channel"]["type"] = 4_711.into();
    }),
    ("no rights of ours", |it| {
        without(it, &["app_permissions", "attachment_size_limit"]);
    }),
    ("no rights of theirs", |it| {
        without(&mut it["member"], &["permissions", "flags", "pending"]);
    }),
    ("a bare member", |it| {
        it["member"] = json!({ "user": { "id": ALICE } });
    }),
    ("a member of nulls", |it| {
        let user = it["member"]["user"].take();
        it["member"] = json!({ "user": user, "nick": null, "roles": null, "joined_at": null, "permissions": null });
    }),
    ("a member and a user", |it| {
        it["user"] = it["member"]["user"].clone();
    }),
    ("installed for a person", |it| {
        it["authorizing_integration_owners"] = json!({ "1": ALICE });
        it["context"] = 2.into();
    }),
    ("installed in no way", |it| {
        it["authorizing_integration_owners"] = json!({});
    }),
    ("an unknown context", |it| it["context"] = 99.into()),
    ("bought", |it| {
        let sku = json!({ "id": "1", "sku_id": "2", "application_id": APP, "type": 8, "deleted": false, "consumed": null });
        it["entitlements"] = json!([sku, null, { "type": 99 }]);
        it["entitlement_sku_ids"] = json!([]);
    }),
    ("of a later version", |it| {
        it["version"] = 2.into();
        it["who_knows"] = json!({ "what": [null, { "this": "is" }] });
    }),
    ("much that is resolved", |it| {
        let user = json!({ "id": "9223372036854775807", "username": null, "avatar": null });
        it["data"]["resolved"] = json!({
            "users": { "9223372036854775807": user }, "members": { "9223372036854775807": null },
            "roles": { "1": { "id": "1", "permissions": "18446744073709551616" } },
            "channels": { "2": { "id": "2", "type": 15, "permissions": null } },
            "attachments": { "3": { "id": "3", "filename": "x.txt", "size": -1, "url": "", "ephemeral": true } },
            "messages": {} });
    }),
    ("a huge id of the command", |it| {
        it["data"]["id"] = "18446744073709551615".into();
    }),
    ("the kind unsaid", |it| without(&mut it["data"], &["type"])),
    ("the guild's command", |it| {
        it["data"]["guild_id"] = GUILD.into();
    }),
];

fn without(it: &mut Value, names: &[&str]) {
    let fields = it.as_object_mut().unwrap();
    fields.retain(|name, _| !names.contains(&name.as_str()));
}

async fn acts_of_other_shapes_are_understood(door: Door) {
    let story = Story::begin_with(files(), door).await;
    let mut wrong = Vec::new();
    for (name, change) in CHANGES {
        let mut payload =
            story
                .discord
                .slash_payload(GENERAL, ALICE, "say", &[("text", "help look")]);
        change(&mut payload);
        let answered = story.discord.deliver(&payload).await;
        let text = answered.seen.text();
        let text = match text {
            Some(text) => text,
            // It took its time: then the message that thinks has it.
            None => {
                story
                    .wait_for(name, |discord| {
                        discord
                            .seen(&answered.interaction)
                            .text()
                            .filter(|it| !it.is_empty())
                    })
                    .await
            }
        };
        if !text.contains("Looks.") {
            wrong.push(format!("{name}: {text}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    story.end();
}

/// Kinds and data that no control of ours has: each gets an answer.
async fn acts_of_other_kinds_are_answered(door: Door) {
    let story = Story::begin_with(files(), door).await;
    let choice = |kind: u64, values: Value| json!({ "custom_id": "x", "component_type": kind, "values": values, "id": 1 });
    let field = |kind: u64| json!({ "type": 18, "id": 1, "component": { "type": kind, "id": 2, "custom_id": "f", "values": null } });
    let rows: Vec<(u64, Value)> = vec![
        (
            2,
            json!({ "id": "1", "name": "look", "type": 3, "target_id": "1", "resolved": { "messages": {} } }),
        ),
        (2, json!({ "id": "1", "name": "launch", "type": 4 })),
        (
            2,
            json!({ "id": "1", "name": "ops", "type": 1, "options": null }),
        ),
        (
            2,
            json!({ "id": "1", "name": "ops", "type": 1, "options": [{ "name": "g", "type": 2, "options": [{ "name": "s", "type": 1 }] }] }),
        ),
        (
            2,
            json!({ "id": "1", "name": "ops", "type": 1, "options": [{ "name": "look", "type": 1, "options": [{ "name": "f", "type": 11, "value": "3" }] }] }),
        ),
        (2, json!({})),
        (3, choice(3, json!(["a", "b"]))),
        (3, choice(5, json!(["9223372036854775807"]))),
        (3, choice(99, Value::Null)),
        (3, json!({ "custom_id": null, "component_type": 2 })),
        (
            5,
            json!({ "custom_id": "x", "components": [field(19), field(21), field(99), null, { "type": 10, "id": 3 }] }),
        ),
        (5, json!({ "custom_id": "form:look", "components": null })),
        (
            5,
            json!({ "custom_id": "form:look", "components": [{ "type": 1, "components": [null] }, field(3)], "resolved": { "attachments": {} } }),
        ),
        (
            4,
            json!({ "id": "1", "name": "ops", "type": 1, "options": [{ "name": "say", "type": 1, "options": [{ "name": "text", "type": 3, "value": 7, "focused": true }] }] }),
        ),
        (4, json!({ "id": "1", "name": "ops" })),
    ];
    let mut unanswered = Vec::new();
    for (kind, data) in rows {
        let payload = story.discord.payload_of(kind, GENERAL, ALICE, data.clone());
        let answered = story.discord.deliver(&payload).await;
        if matches!(answered.seen, Seen::Unanswered) {
            unanswered.push(format!("{kind}: {data}"));
        }
    }
    assert_eq!(unanswered, Vec::<String>::new());
    story.end();
}

macro_rules! over_both_doors {
    ($($name:ident)*) => {$(
        mod $name {
            use super::Door;

            #[tokio::test(flavor = "multi_thread")]
            async fn over_http() {
                super::$name(Door::Http).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn over_the_gateway() {
                super::$name(Door::Gateway).await;
            }
        }
    )*};
}

over_both_doors! {
    acts_of_other_shapes_are_understood
    acts_of_other_kinds_are_answered
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_events_of_other_shapes_do_no_harm() {
    let story = Story::strange().await;
    let discord = &story.discord;
    let to_us = format!("<@{BOT_USER}> look");
    let first: u64 = discord
        .say(GENERAL, BEN, "good morning")
        .id
        .parse()
        .unwrap();
    let said = |nth: usize, more: Value| {
        let mut message = json!({ "id": (first + 1 + nth as u64).to_string(), "channel_id": GENERAL, "guild_id": GUILD,
                                  "type": 0, "author": { "id": ALICE }, "content": to_us });
        for (name, value) in more.as_object().unwrap() {
            message[name] = value.clone();
        }
        message
    };
    let nobodys = [
        json!({ "webhook_id": "99", "author": { "id": "99", "username": "hook", "discriminator": "0000", "bot": true } }),
        json!({ "content": "", "sticker_items": [{ "id": "1", "name": "wave", "format_type": 4 }] }),
        json!({ "content": "", "poll": { "question": { "text": to_us }, "answers": [], "expiry": null, "layout_type": 1 } }),
        json!({ "content": "", "message_reference": { "type": 1, "channel_id": GENERAL },
                "message_snapshots": [{ "message": { "type": 0, "content": to_us, "mentions": null } }] }),
        json!({ "content": null }),
        json!({ "author": null }),
        json!({ "channel_id": null }),
        json!({ "channel_id": "18446744073709551616" }),
        json!({ "id": "" }),
        json!({ "type": 6 }),
        json!({ "type": 24, "embeds": [{ "type": "auto_moderation_message", "fields": null }] }),
        json!({ "type": 20, "interaction_metadata": { "id": "1", "type": 2, "user": null } }),
        json!({ "type": 46 }),
        json!({ "type": null, "content": 7 }),
        json!({ "flags": 8192, "content": "", "attachments": [{ "waveform": "AA==", "duration_secs": 0.1 }] }),
        json!({ "author": { "id": APP, "bot": true }, "application_id": APP }),
        json!({ "content": format!("hello <@{BOT_USER}> look") }),
        json!({ "content": format!("<@&{LEADS}> look") }),
        json!({ "author": { "id": BEN } , "content": "look" }),
    ];
    for (nth, more) in nobodys.into_iter().enumerate() {
        discord.tell_event("MESSAGE_CREATE", &said(nth, more));
    }
    let events = [
        (
            "THREAD_LIST_SYNC",
            json!({ "guild_id": GUILD, "threads": null, "members": [null] }),
        ),
        (
            "CHANNEL_UPDATE",
            json!({ "id": "1", "type": 11, "parent_id": null, "thread_metadata": null }),
        ),
        ("CHANNEL_UPDATE", Value::Null),
        ("GUILD_CREATE", json!({ "id": "5", "unavailable": true })),
        ("GUILD_DELETE", json!({ "id": "5", "unavailable": true })),
        (
            "MESSAGE_UPDATE",
            json!({ "id": "1", "channel_id": GENERAL, "guild_id": GUILD, "embeds": [] }),
        ),
        ("MESSAGE_POLL_VOTE_ADD", json!({ "answer_id": 1 })),
        ("VOICE_CHANNEL_STATUS_UPDATE", json!({})),
        ("NOBODY_KNOWS_THIS_YET", json!([1, "two", null])),
        (
            "INTERACTION_CREATE",
            json!({ "type": 99, "id": "1", "token": "t" }),
        ),
        ("INTERACTION_CREATE", Value::Null),
    ];
    for (name, data) in events {
        discord.tell_event(name, &data);
    }
    // No fields but those that say who, where and what.
    discord.tell_event("MESSAGE_CREATE", &said(500, json!({})));
    story.root(GENERAL, "look succeeded").await;
    let answers = discord
        .messages(GENERAL)
        .into_iter()
        .filter(|it| it.author == BOT_USER);
    assert_eq!(answers.count(), 1, "{}", discord.transcript());
    assert_eq!(discord.listening(), 1);
    assert_eq!(discord.identifies(), 1, "the session was never lost");
    let log = story.home.log();
    assert!(!log.contains("panicked"), "{log}");
    story.end();
}
