//! Discord's payloads as inbounds.

use serde_json::json;

use super::*;

fn me() -> Me {
    Me {
        user: "900".to_owned(),
        application: "901".to_owned(),
        name: "midwatch".to_owned(),
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

fn inbound(heard: Heard) -> Inbound {
    match heard {
        Heard::Inbound(inbound) => *inbound,
        other => panic!("not an inbound: {other:?}"),
    }
}

fn heard(extra: &Value, edited: bool) -> Heard {
    let mut said = json!({
        "id": "175928847299117063", "type": 0, "channel_id": "30", "guild_id": "20",
        "author": { "id": "40" }, "content": "<@900> flush-cache prod", "edited_timestamp": null,
    });
    for (name, value) in extra.as_object().unwrap() {
        said[name] = value.clone();
    }
    let room = Room {
        channel: "30".to_owned(),
        thread: None,
    };
    message(&said, edited, room, &me(), now())
}

#[test]
fn a_message_is_known_by_its_id_and_sent_when_that_was_made() {
    let said = inbound(heard(&json!({}), false));
    assert_eq!(said.key.as_str(), "discord:message:175928847299117063");
    assert_eq!(said.text, "flush-cache prod");
    assert_eq!(said.sent_at.to_string(), "2016-04-30T11:18:25.796Z");
    assert_eq!(
        (said.place.space.as_str(), said.place.channel.as_str()),
        ("20", "30")
    );
    assert_eq!(said.speaker.kind, SpeakerKind::Person);
    assert_eq!(said.form_handle, None);
    assert!(id_at(said.sent_at) <= 175_928_847_299_117_063);
}

#[test]
fn who_is_addressed_and_what_is_left_alone() {
    let rows = [
        ("a mention first", json!({}), "flush-cache prod"),
        (
            "as of old, with a comma",
            json!({ "content": " <@!900>, help" }),
            "help",
        ),
        (
            "a mention later",
            json!({ "content": "thanks <@900>" }),
            "-message to others",
        ),
        (
            "another's mention",
            json!({ "content": "<@9001> help" }),
            "-message to others",
        ),
        (
            "a direct message",
            json!({ "guild_id": null, "content": "help" }),
            "help",
        ),
        ("an answer", json!({ "type": 19 }), "flush-cache prod"),
        (
            "somebody joins",
            json!({ "type": 7 }),
            "-message of another kind",
        ),
        (
            "our own",
            json!({ "author": { "id": "900" } }),
            "-our own message",
        ),
        (
            "our own answer",
            json!({ "application_id": "901" }),
            "-our own message",
        ),
        ("not a text", json!({ "content": 7 }), "-message to others"),
        (
            "with references",
            json!({ "content": "<@900> may <@12> deploy" }),
            "may @12 deploy",
        ),
    ];
    for (name, extra, expected) in rows {
        let shown = match heard(&extra, false) {
            Heard::Inbound(said) => said.text,
            Heard::Ignored(why) => format!("-{why}"),
            Heard::Malformed(why) => format!("!{why}"),
        };
        assert_eq!(shown, expected, "{name}");
    }
}

#[test]
fn a_changed_message_is_another_inbound_and_never_a_command() {
    let edit = json!({ "edited_timestamp": "2026-11-30T10:00:00+00:00" });
    let said = inbound(heard(&edit, true));
    assert_eq!(said.manner, Manner::Edited);
    assert_ne!(said.key, inbound(heard(&json!({}), false)).key);
    assert!(
        matches!(heard(&json!({}), true), Heard::Ignored(_)),
        "a preview was added"
    );
}

#[test]
fn bots_are_bots() {
    for extra in [
        json!({ "author": { "id": "40", "bot": true } }),
        json!({ "webhook_id": "50" }),
    ] {
        assert_eq!(
            inbound(heard(&extra, false)).speaker.kind,
            SpeakerKind::Bot,
            "{extra}"
        );
    }
}

fn acted(kind: u64, data: &Value) -> (Act, Heard) {
    let payload = json!({
        "id": "175928847299117063", "token": "secret", "type": kind, "guild_id": "20",
        "channel_id": "31", "channel": { "id": "31", "type": 11, "parent_id": "30" },
        "member": { "user": { "id": "40" } }, "data": data,
    });
    let act = act(&payload).unwrap();
    (act, interaction(&payload, act, now()))
}

#[test]
fn a_command_is_typed_out() {
    let options = |name: &str, options: Value| json!({ "type": 1, "options": [{ "type": 1, "name": name, "options": options }] });
    let rows = [
        ("alone", json!({ "type": 1 }), ""),
        (
            "free",
            options("say", json!([{ "name": "text", "value": "deploy prod" }])),
            "deploy prod",
        ),
        (
            "ours",
            options(
                "reject",
                json!([{ "name": "run", "value": "7f3k" }, { "name": "reason", "value": "not now" }]),
            ),
            "reject 7f3k not now",
        ),
        (
            "typed",
            options(
                "flush-cache",
                json!([
                    { "name": "environment", "value": "prod" }, { "name": "count", "value": 3 },
                    { "name": "path", "value": "/a \"b" }, { "name": "again", "value": true },
                ]),
            ),
            r#"flush-cache environment="prod" count="3" path="/a \"b" --again"#,
        ),
    ];
    for (name, data, expected) in rows {
        let (act, heard) = acted(2, &data);
        let said = inbound(heard);
        assert_eq!(said.text, expected, "{name}");
        assert_eq!(said.place.thread.as_deref(), Some("31"), "{name}");
        assert_eq!(said.place.channel, "30", "{name}");
        let handle = said.form_handle.unwrap();
        let read = Handle::parse(&handle).unwrap();
        assert_eq!(
            (read.act, read.id, read.token),
            (act, "175928847299117063", "secret")
        );
    }
}

#[test]
fn buttons_and_forms_say_their_text() {
    let (act, heard) = acted(
        3,
        &json!({ "component_type": 2, "custom_id": "say-1:approve 7f3k" }),
    );
    assert_eq!(
        (act, inbound(heard).text),
        (Act::Click, "approve 7f3k".to_owned())
    );
    for odd in ["say-x:approve", "other", "say-1:"] {
        let (_, heard) = acted(3, &json!({ "custom_id": odd }));
        assert!(matches!(heard, Heard::Ignored(_)), "{odd}");
    }
    let components = json!([
        { "type": 18, "component": { "type": 3, "custom_id": "environment", "values": ["prod"] } },
        { "type": 1, "components": [{ "type": 4, "custom_id": "path", "value": "/x" }] },
    ]);
    let (act, heard) = acted(
        5,
        &json!({ "custom_id": "form:flush-cache", "components": components }),
    );
    assert_eq!(act, Act::Command);
    assert_eq!(
        inbound(heard).text,
        r#"flush-cache environment="prod" path="/x""#
    );
}

#[test]
fn what_lacks_something_is_malformed_and_nothing_panics() {
    for payload in [
        json!({ "type": 2 }),
        json!({ "type": 2, "channel_id": "1" }),
        json!({ "type": 3, "id": 7 }),
    ] {
        let act = act(&payload).unwrap();
        assert!(
            matches!(interaction(&payload, act, now()), Heard::Malformed(_)),
            "{payload}"
        );
    }
    assert_eq!(act(&json!({ "type": 99 })), None);
    assert_eq!(act(&json!([])), None);
}
