//! Slack's payloads as inbounds.

use serde_json::json;

use super::*;

fn me() -> Me {
    Me {
        user: "UBOT".to_owned(),
        bot: "BBOT".to_owned(),
        space: "T1".to_owned(),
        workspace: "shop".to_owned(),
        home: String::new(),
    }
}

fn heard(read: fn(&Value, &Delivery<'_>) -> Heard, payload: &Value) -> Heard {
    let me = me();
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let raw = payload.to_string();
    read(
        payload,
        &Delivery {
            me: Some(&me),
            now,
            sent_at: None,
            raw: raw.as_bytes(),
        },
    )
}

fn inbound(heard: Heard) -> Inbound {
    match heard {
        Heard::Inbound(inbound) => *inbound,
        other => panic!("not an inbound: {other:?}"),
    }
}

fn spoken(event: &Value) -> Value {
    json!({ "type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_time": 1_600_000_000, "event": event })
}

fn message_event(extra: &Value) -> Value {
    let mut event = json!({
        "type": "message", "channel": "C1", "channel_type": "channel", "user": "U1", "team": "T1",
        "ts": "1595926230.009600", "text": "<@UBOT> flush-cache prod",
    });
    for (name, value) in extra.as_object().unwrap() {
        event[name] = value.clone();
    }
    spoken(&event)
}

#[test]
fn a_slash_command_is_heard() {
    let said = inbound(heard(
        command,
        &json!({ "team_id": "T1", "user_id": "U1", "channel_id": "C1", "command": "/ops",
                 "text": "deploy &lt;web&gt; <@U2|bo>", "trigger_id": "1.2.x" }),
    ));
    assert_eq!(said.key.as_str(), "slack:T1:command:1.2.x");
    assert_eq!(said.text, "deploy <web> @U2");
    assert_eq!(said.form_handle.as_deref(), Some("1.2.x"));
    assert_eq!(
        (said.place.channel.as_str(), said.place.thread),
        ("C1", None)
    );
    assert_eq!(said.speaker.kind, SpeakerKind::Person);
}

#[test]
fn a_slash_command_without_trigger_is_known_by_its_body() {
    let payload = |text: &str| json!({ "user_id": "U1", "channel_id": "C1", "text": text });
    let key = |text| inbound(heard(command, &payload(text))).key;
    assert_eq!(key("help"), key("help"));
    assert_ne!(key("help"), key("list"));
}

#[test]
fn message_and_mention_of_one_message_are_one_inbound() {
    let message = inbound(heard(event, &message_event(&json!({}))));
    let mention = inbound(heard(
        event,
        &message_event(&json!({ "type": "app_mention" })),
    ));
    assert_eq!(message.key.as_str(), "slack:T1:C1:1595926230.009600");
    assert_eq!(message, mention);
    assert_eq!(message.text, "flush-cache prod");
    assert_eq!(message.sent_at.as_microsecond(), 1_595_926_230_009_600);
}

#[test]
fn in_a_shared_channel_the_key_names_the_workspace_that_we_hear_it_through() {
    let mut payload = message_event(&json!({}));
    payload["team_id"] = "T9".into();
    payload["context_team_id"] = "T1".into();
    let said = inbound(heard(event, &payload));
    assert_eq!(said.key.as_str(), "slack:T1:C1:1595926230.009600");
    assert_eq!(said.place.space, "T1");
}

#[test]
fn who_is_addressed_and_what_is_left_alone() {
    let rows = [
        ("a mention first", json!({}), "flush-cache prod"),
        (
            "a mention later",
            json!({ "text": "thanks <@UBOT>" }),
            "-message to others",
        ),
        (
            "another's mention",
            json!({ "text": "<@U2> help" }),
            "-message to others",
        ),
        (
            "a mention later, as mention",
            json!({ "type": "app_mention", "text": "hey <@UBOT>" }),
            "-message to others",
        ),
        (
            "a direct message",
            json!({ "channel_type": "im", "channel": "D1", "text": "help" }),
            "help",
        ),
        (
            "a file with a command",
            json!({ "subtype": "file_share" }),
            "flush-cache prod",
        ),
        (
            "somebody joins",
            json!({ "subtype": "channel_join" }),
            "-message of another kind",
        ),
        (
            "our own user",
            json!({ "user": "UBOT" }),
            "-our own message",
        ),
        (
            "our own bot",
            json!({ "user": "U9", "bot_id": "BBOT" }),
            "-our own message",
        ),
        (
            "our own app",
            json!({ "bot_id": "B9", "app_id": "A1" }),
            "-our own message",
        ),
        ("not a text", json!({ "text": 7 }), "-message to others"),
    ];
    for (name, extra, expected) in rows {
        let got = match heard(event, &message_event(&extra)) {
            Heard::Inbound(inbound) => inbound.text,
            Heard::Ignored(kind) => format!("-{kind}"),
            Heard::Malformed(why) => format!("malformed: {why}"),
        };
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn a_bot_that_addresses_us_is_heard_as_a_bot() {
    for extra in [
        json!({ "bot_id": "B7" }),
        json!({ "subtype": "bot_message", "bot_id": "B7", "user": null }),
        json!({ "bot_profile": { "id": "B7" } }),
    ] {
        assert_eq!(
            inbound(heard(event, &message_event(&extra))).speaker.kind,
            SpeakerKind::Bot
        );
    }
}

#[test]
fn our_own_direct_message_is_no_inbound_before_we_know_ourselves() {
    let own = message_event(
        &json!({ "channel_type": "im", "channel": "D1", "bot_id": "BBOT", "text": "done" }),
    );
    let delivery = Delivery {
        me: None,
        now: Timestamp::MIN,
        sent_at: None,
        raw: b"",
    };
    assert!(matches!(
        event(&own, &delivery),
        Heard::Ignored("our own message")
    ));
}

#[test]
fn a_stranger_of_a_shared_channel_keeps_their_own_space() {
    let said = inbound(heard(event, &message_event(&json!({ "user_team": "T7" }))));
    assert_eq!(
        (said.speaker.space.as_str(), said.place.space.as_str()),
        ("T7", "T1")
    );
}

fn changed(text: &str, edited: &Value) -> Value {
    spoken(&json!({
        "type": "message", "subtype": "message_changed", "channel": "C1", "ts": "9.9",
        "message": { "text": text, "user": "U1", "ts": "7.7", "edited": edited },
        "previous_message": { "text": "<@UBOT> deploy staging", "user": "U1", "ts": "7.7" },
    }))
}

#[test]
fn an_edited_message_is_heard_as_edited() {
    let edit = json!({ "user": "U1", "ts": "8.8" });
    let said = inbound(heard(event, &changed("<@UBOT> deploy prod", &edit)));
    assert_eq!(
        (said.manner, said.text.as_str()),
        (Manner::Edited, "deploy prod")
    );
    assert_eq!(said.key.as_str(), "slack:T1:C1:7.7:edited:8.8");
    let preview = heard(event, &changed("<@UBOT> deploy staging", &edit));
    assert!(matches!(preview, Heard::Ignored(_)), "{preview:?}");
    let unedited = heard(event, &changed("<@UBOT> deploy prod", &Value::Null));
    assert!(matches!(unedited, Heard::Ignored(_)), "{unedited:?}");
}

fn pressed() -> Value {
    json!({
        "type": "block_actions", "team": null, "user": { "id": "U1", "team_id": "T1" },
        "trigger_id": "3.4.y", "channel": { "id": "C1" },
        "container": { "message_ts": "5.5", "thread_ts": "4.4", "channel_id": "C1" },
        "actions": [{ "type": "button", "value": "approve 7f3k", "action_ts": "1595926231.5" }],
    })
}

#[test]
fn a_click_says_what_its_button_says() {
    let said = inbound(heard(interaction, &pressed()));
    assert_eq!(said.text, "approve 7f3k");
    assert_eq!(said.key.as_str(), "slack:T1:action:C1:5.5:1595926231.5:U1");
    assert_eq!(said.place.thread.as_deref(), Some("4.4"));
    assert_eq!(said.form_handle.as_deref(), Some("3.4.y"));
    assert_eq!(said.sent_at.as_millisecond(), 1_595_926_231_500);
}

#[test]
fn a_form_says_its_beginning_and_its_answers() {
    let said = inbound(heard(
        interaction,
        &json!({
            "type": "view_submission", "team": { "id": "T1" }, "user": { "id": "U1" },
            "view": {
                "id": "V1", "hash": "1.h", "callback_id": FORM_CALLBACK,
                "private_metadata": r#"{"says":"flush-cache","channel":"C1","thread":null}"#,
                "state": { "values": {
                    "environment": { "value": { "type": "static_select", "selected_option": { "value": "prod" } } },
                    "path": { "value": { "type": "plain_text_input", "value": r#"/a "b" \c"# } },
                    "note": { "value": { "type": "plain_text_input", "value": null } },
                    "Not A Name": { "value": { "value": "x" } },
                } },
            },
        }),
    ));
    assert_eq!(
        said.text,
        r#"flush-cache environment="prod" path="/a \"b\" \\c""#
    );
    assert_eq!(said.key.as_str(), "slack:T1:view:V1:1.h");
}

#[test]
fn what_is_not_for_us_is_neither_heard_nor_an_error() {
    for kind in [
        "view_closed",
        "shortcut",
        "message_action",
        "dialog_submission",
        "interactive_message",
        "new_thing",
    ] {
        let got = heard(interaction, &json!({ "type": kind }));
        assert!(matches!(got, Heard::Ignored(_)), "{kind}: {got:?}");
    }
    for kind in [
        "tokens_revoked",
        "app_uninstalled",
        "function_executed",
        "workflow_step_execute",
    ] {
        let got = heard(event, &spoken(&json!({ "type": kind })));
        assert!(matches!(got, Heard::Ignored(_)), "{kind}: {got:?}");
    }
    let foreign = json!({ "type": "view_submission", "view": { "callback_id": "other" } });
    assert!(matches!(heard(interaction, &foreign), Heard::Ignored(_)));
}

#[test]
fn odd_shapes_never_panic() {
    let odd = [
        json!(null),
        json!([]),
        json!("x"),
        json!(7),
        json!({ "type": [] }),
        json!({ "type": "event_callback", "event": [1] }),
    ];
    for payload in odd {
        for read in [command, event, interaction] {
            assert!(
                !matches!(heard(read, &payload), Heard::Inbound(_)),
                "{payload}"
            );
        }
    }
}

#[test]
fn moments_are_read_exactly_or_not_at_all() {
    assert_eq!(
        moment("1595926230.009600").unwrap().as_nanosecond(),
        1_595_926_230_009_600_000
    );
    assert_eq!(moment("17").unwrap().as_second(), 17);
    for bad in [
        "",
        "x",
        "1.",
        "1.x",
        "1.1234567890",
        "99999999999999999999",
        "1.-5",
    ] {
        assert_eq!(moment(bad), None, "{bad}");
    }
}
