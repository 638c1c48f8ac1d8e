//! What is made of a message that is read, and what is read of a channel.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn me() -> Me {
    Me {
        user: "UBOT".to_owned(),
        bot: "BBOT".to_owned(),
        space: "T1".to_owned(),
        workspace: "shop".to_owned(),
        home: String::new(),
    }
}

fn heard(message: &Value, channel: &str) -> Heard {
    let me = me();
    let delivery = Delivery {
        me: Some(&me),
        now: at(0),
        sent_at: None,
        raw: &[],
    };
    inbound::event(&as_event(message, channel, &me), &delivery)
}

#[test]
fn a_message_that_is_read_is_what_its_event_would_have_been() {
    let rows = [
        (
            "a mention",
            "C1",
            json!({ "type": "message", "user": "U1", "text": "<@UBOT> help", "ts": "1.2" }),
            "slack:T1:C1:1.2 Said None: help",
        ),
        (
            "with answers below it",
            "C1",
            json!({ "user": "U1", "text": "<@UBOT> help", "ts": "1.2", "thread_ts": "1.2", "reply_count": 2 }),
            "slack:T1:C1:1.2 Said None: help",
        ),
        (
            "in a thread",
            "C1",
            json!({ "user": "U1", "text": "<@UBOT> help", "ts": "1.3", "thread_ts": "1.2" }),
            "slack:T1:C1:1.3 Said Some(\"1.2\"): help",
        ),
        (
            "a direct message",
            "D1",
            json!({ "user": "U1", "text": "help", "ts": "1.2" }),
            "slack:T1:D1:1.2 Said None: help",
        ),
        (
            "edited",
            "C1",
            json!({ "user": "U1", "text": "<@UBOT> help", "ts": "1.2", "edited": { "ts": "2.1" } }),
            "slack:T1:C1:1.2:edited:2.1 Edited None: help",
        ),
        (
            "to others",
            "C1",
            json!({ "user": "U1", "text": "help <@UBOT>", "ts": "1.2" }),
            "-message to others",
        ),
        (
            "ours",
            "D1",
            json!({ "user": "UBOT", "bot_id": "BBOT", "text": "done", "ts": "1.2" }),
            "-our own message",
        ),
        (
            "ours, edited",
            "D1",
            json!({ "user": "UBOT", "text": "done", "ts": "1.2", "edited": { "ts": "2.1" } }),
            "-our own message",
        ),
        (
            "deleted with answers below it",
            "C1",
            json!({ "subtype": "tombstone", "user": "USLACKBOT", "text": "<@UBOT> x", "ts": "1.2" }),
            "-message of another kind",
        ),
        ("no message", "C1", json!("nonsense"), "-malformed"),
    ];
    for (name, channel, message, expected) in rows {
        let found = match heard(&message, channel) {
            Heard::Inbound(said) => format!(
                "{} {:?} {:?}: {}",
                said.key.as_str(),
                said.manner,
                said.place.thread,
                said.text
            ),
            Heard::Ignored(why) => format!("-{why}"),
            Heard::Malformed(_) => "-malformed".to_owned(),
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn only_threads_with_newer_replies_of_others_are_read() {
    let new = slack_time(at(9));
    let messages = [
        json!({ "ts": "1.1" }),
        json!({ "ts": "1.2", "reply_count": 3, "latest_reply": slack_time(at(-9)) }),
        json!({ "ts": "1.3", "reply_count": 3, "latest_reply": new }),
        json!({ "ts": "1.4", "reply_count": 3 }),
        json!({ "ts": "1.5", "latest_reply": new, "reply_users_count": 1, "reply_users": ["BBOT"] }),
        json!({ "ts": "1.6", "latest_reply": new, "reply_users_count": 1, "reply_users": ["U1"] }),
        json!({ "ts": "1.7", "latest_reply": new, "reply_users_count": 2, "reply_users": ["UBOT", "U1"] }),
    ];
    let threads = messages.iter().map(|message| thread(message, &me()));
    let (changed, quiet): (Vec<_>, Vec<_>) =
        threads.partition(|thread| thread.is_changed_since(at(0)));
    let listed = |threads: Vec<Thread>| threads.into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(listed(changed), ["1.3", "1.4", "1.6", "1.7"]);
    assert_eq!(listed(quiet), ["1.1", "1.2", "1.5"]);
}

#[tokio::test(start_paused = true)]
async fn calls_come_in_a_burst_and_then_at_slacks_pace() {
    let began = Instant::now();
    let mut pace = Pace::default();
    for method in ["conversations.history", "conversations.replies"] {
        for _ in 0..BURST {
            pace.turn(method).await;
        }
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    for _ in BURST..50 {
        pace.turn("conversations.history").await;
    }
    assert!(
        began.elapsed() > Duration::from_mins(1),
        "{:?}",
        began.elapsed()
    );
}
