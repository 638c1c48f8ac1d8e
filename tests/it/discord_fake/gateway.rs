//! The gateway: sessions, events, resuming, and all that goes wrong.

use super::*;
use crate::fakes::discord::{ALICE, BEN, HIDDEN, LEADS, Order};

#[tokio::test]
async fn who_identifies_is_greeted_and_hears_what_is_said() {
    let lab = Lab::start().await;
    let mut socket = lab.connects().await;
    assert_eq!(socket.heartbeat_ms, 41_250);
    socket.identifies(INTENTS).await;
    let ready = socket.event("READY").await;
    assert_eq!(
        (&ready["application"]["id"], &ready["guilds"][0]["id"]),
        (&json!(APP), &json!(GUILD))
    );
    assert!(
        ready["resume_gateway_url"]
            .as_str()
            .unwrap()
            .starts_with("ws://127.0.0.1:")
    );
    let guild = socket.event("GUILD_CREATE").await;
    assert_eq!(
        (
            guild["channels"].as_array().unwrap().len(),
            &guild["member_count"]
        ),
        (4, &json!(6))
    );
    socket.send(&json!({ "op": 1, "d": socket.last })).await;
    assert_eq!(socket.next().await["op"], 11);
    let message = lab.fake.say(GENERAL, ALICE, "a secret");
    let told = socket.event("MESSAGE_CREATE").await;
    assert_eq!(
        (&told["content"], &told["guild_id"]),
        (&json!(""), &json!(GUILD))
    );
    assert_eq!(told["member"]["roles"], json!([]));
    lab.fake.edit(&message, "another");
    assert!(socket.event("MESSAGE_UPDATE").await["edited_timestamp"].is_string());
    lab.fake.delete(&message.id);
    assert_eq!(socket.event("MESSAGE_DELETE").await["id"], message.id);
    lab.fake.direct_message(ALICE, "between us");
    let told = socket.event("MESSAGE_CREATE").await;
    assert_eq!(
        (&told["content"], &told["guild_id"]),
        (&json!("between us"), &Value::Null)
    );
    lab.fake.say(HIDDEN, ALICE, "hush");
    lab.says(GENERAL, "my own").await;
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "my own");
    lab.ends_well();
}

#[tokio::test]
async fn intents_choose_what_is_heard() {
    let lab = Lab::start().await;
    let mut socket = lab.connects().await;
    socket.identifies(1 << 9).await;
    socket.event("READY").await;
    lab.fake.add_role(GUILD, "830000000000000002", "others");
    lab.fake.direct_message(ALICE, "between us");
    lab.fake.give_role(GUILD, ALICE, LEADS);
    lab.fake.mention(GENERAL, ALICE, "status");
    assert!(
        socket.event("MESSAGE_CREATE").await["content"]
            .as_str()
            .unwrap()
            .ends_with("status")
    );
    let mut all = lab.connects().await;
    lab.fake.grant_intents(1 << 1 | 1 << 15);
    all.identifies(1 << 9 | 1 << 15).await;
    all.event("READY").await;
    lab.fake.say(GENERAL, ALICE, "a secret");
    assert_eq!(all.event("MESSAGE_CREATE").await["content"], "a secret");
    lab.ends_well();
}

#[tokio::test]
async fn roles_members_channels_and_threads_are_told() {
    let lab = Lab::start().await;
    let mut socket = lab.session().await;
    lab.fake.give_role(GUILD, ALICE, LEADS);
    assert_eq!(
        socket.event("GUILD_MEMBER_UPDATE").await["roles"],
        json!([LEADS])
    );
    lab.fake.take_role(GUILD, ALICE, LEADS);
    assert_eq!(
        socket.event("GUILD_MEMBER_UPDATE").await["roles"],
        json!([])
    );
    lab.fake.rename_role(GUILD, LEADS, "chiefs");
    assert_eq!(
        socket.event("GUILD_ROLE_UPDATE").await["role"]["name"],
        "chiefs"
    );
    lab.fake.delete_role(GUILD, LEADS);
    assert_eq!(socket.event("GUILD_ROLE_DELETE").await["role_id"], LEADS);
    lab.fake.leave(GUILD, BEN);
    assert_eq!(socket.event("GUILD_MEMBER_REMOVE").await["user"]["id"], BEN);
    lab.fake.join(GUILD, BEN);
    assert_eq!(socket.event("GUILD_MEMBER_ADD").await["user"]["id"], BEN);
    lab.fake.add_channel(GUILD, "810000000000000007", "new");
    assert_eq!(socket.event("CHANNEL_CREATE").await["name"], "new");
    lab.fake.deny("810000000000000007", 1 << 11);
    assert_eq!(
        socket.event("CHANNEL_UPDATE").await["permission_overwrites"][0]["deny"],
        "2048"
    );
    lab.fake.delete_channel("810000000000000007");
    assert_eq!(socket.event("CHANNEL_DELETE").await["name"], "new");
    let root = lab.says(GENERAL, "root").await.id();
    socket.event("MESSAGE_CREATE").await;
    lab.post(
        &format!("/channels/{GENERAL}/messages/{root}/threads"),
        &json!({ "name": "x" }),
    )
    .await;
    assert_eq!(socket.event("THREAD_CREATE").await["newly_created"], true);
    socket.event("MESSAGE_UPDATE").await;
    assert_eq!(socket.event("MESSAGE_CREATE").await["type"], 21);
    lab.fake.archive_thread(&root, true);
    assert_eq!(
        socket.event("THREAD_UPDATE").await["thread_metadata"]["locked"],
        true
    );
    lab.fake.delete_thread(&root);
    assert_eq!(socket.event("THREAD_DELETE").await["id"], root);
    lab.ends_well();
}

#[tokio::test]
async fn a_session_is_resumed_where_it_was_and_nothing_is_missed() {
    let lab = Lab::start().await;
    let mut socket = lab.session().await;
    lab.fake.mention(GENERAL, ALICE, "one");
    socket.event("MESSAGE_CREATE").await;
    let (session, last, url) = (
        socket.session.clone(),
        socket.last,
        socket.resume_url.clone(),
    );
    lab.fake.cut_gateway();
    assert!(
        socket
            .stream
            .next()
            .await
            .is_none_or(|frame| frame.is_err())
    );
    lab.fake
        .wait_for("end of the connection", SOON, |fake| {
            fake.connections().is_empty().then_some(())
        })
        .await;
    assert_eq!((lab.fake.sessions().len(), lab.fake.listening()), (1, 0));
    for words in ["two", "three"] {
        lab.fake.mention(GENERAL, ALICE, words);
    }
    let mut socket = Socket::open(&format!("{url}/?v=10&encoding=json")).await;
    socket.last = last;
    socket.resumes(&session, last).await;
    for words in ["two", "three"] {
        assert!(
            socket.event("MESSAGE_CREATE").await["content"]
                .as_str()
                .unwrap()
                .ends_with(words)
        );
    }
    socket.event("RESUMED").await;
    lab.fake.mention(GENERAL, ALICE, "four");
    socket.event("MESSAGE_CREATE").await;
    assert_eq!(
        (
            lab.fake.resumes(),
            lab.fake.resumed(),
            lab.fake.resumes_elsewhere()
        ),
        (1, 1, 0)
    );
    lab.ends_well();
}

#[tokio::test]
async fn what_can_not_be_resumed_is_an_invalid_session() {
    let lab = Lab::start().await;
    let socket = lab.session().await;
    let (session, last) = (socket.session.clone(), socket.last);
    let mut other = lab.connects().await;
    other.resumes("no-such-session", 3).await;
    assert_eq!(other.next().await, json!({ "op": 9, "d": false }));
    lab.fake.set_kept_events(1);
    for words in ["one", "two"] {
        lab.fake.mention(GENERAL, ALICE, words);
    }
    let mut other = lab.connects().await;
    other.resumes(&session, last).await;
    assert_eq!(
        other.next().await,
        json!({ "op": 9, "d": false }),
        "too much was missed"
    );
    let mut other = lab.session().await;
    let (session, last) = (other.session.clone(), other.last);
    let mut late = lab.connects().await;
    late.resumes(&session, last + 1).await;
    assert_eq!(late.closed().await, 4007);
    let leaving = tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: 1000.into(),
        reason: "".into(),
    };
    other.stream.close(Some(leaving)).await.unwrap();
    lab.fake.refuse_resume(true);
    let mut refused = lab.session().await;
    let (session, last) = (refused.session.clone(), refused.last);
    lab.fake.ask_reconnect();
    assert_eq!(refused.next().await["op"], 7);
    let mut refused = lab.connects().await;
    refused.resumes(&session, last).await;
    assert_eq!(refused.next().await["op"], 9);
    lab.fake.invalid_sessions_next(1);
    refused.identifies(INTENTS).await;
    assert_eq!(refused.next().await, json!({ "op": 9, "d": false }));
    lab.ends_well();
}

#[tokio::test]
async fn mistakes_close_the_connection_with_their_codes() {
    let lab = Lab::start().await;
    let identify = |name: &str, value: Value| {
        let mut data = json!({ "token": BOT_TOKEN, "intents": 1, "properties": { "os": "x", "browser": "x", "device": "x" } });
        data[name] = value;
        json!({ "op": 2, "d": data })
    };
    let rows = [
        ("an unknown opcode", json!({ "op": 99 }), 4001),
        ("not identified", json!({ "op": 3, "d": {} }), 4003),
        ("a wrong token", identify("token", json!("wrong")), 4004),
        (
            "wrong intents",
            identify("intents", json!(1_u64 << 40)),
            4013,
        ),
        (
            "intents that were not granted",
            identify("intents", json!(1 << 15)),
            4014,
        ),
        ("a wrong shard", identify("shard", json!([1, 2])), 4010),
        ("no properties", identify("properties", json!({})), 4002),
    ];
    for (name, frame, code) in rows {
        let mut socket = lab.connects().await;
        socket.send(&frame).await;
        assert_eq!(socket.closed().await, code, "{name}");
    }
    let mut socket = lab.connects().await;
    socket.stream.send(Message::text("no json")).await.unwrap();
    assert_eq!(socket.closed().await, 4002);
    let mut socket = lab.session().await;
    socket.identifies(INTENTS).await;
    assert_eq!(socket.closed().await, 4005);
    let mut socket =
        Socket::raw(&format!("{}/?v=6", lab.fake.api_url()).replace("http", "ws")).await;
    assert_eq!(socket.closed().await, 4012);
    let mut socket = lab.session().await;
    for _ in 0..120 {
        socket.send(&json!({ "op": 3, "d": {} })).await;
    }
    assert_eq!(socket.closed().await, 4008);
    lab.provoked(&["wrong token", "invalid intents", "120 frames"]);
}

#[tokio::test]
async fn every_session_hears_everything() {
    let lab = Lab::start().await;
    let (mut one, mut two) = (lab.session().await, lab.session().await);
    assert_eq!(lab.fake.listening(), 2);
    lab.fake.mention(GENERAL, ALICE, "status");
    let [first, second] = [
        one.event("MESSAGE_CREATE").await,
        two.event("MESSAGE_CREATE").await,
    ];
    assert_eq!(first["id"], second["id"]);
    lab.ends_well();
}

#[tokio::test]
async fn identifying_too_often_is_a_violation() {
    let lab = Lab::start().await;
    lab.fake.set_identify_pause(Duration::from_secs(5));
    lab.session().await;
    let mut socket = lab.connects().await;
    socket.identifies(INTENTS).await;
    assert_eq!(socket.next().await, json!({ "op": 9, "d": false }));
    lab.provoked(&["an identify within 5s"]);
    lab.fake.set_identify_pause(Duration::ZERO);
    lab.fake.set_identifies_left(1);
    lab.session().await;
    assert_eq!(
        lab.get("/gateway/bot").await.body["session_start_limit"]["remaining"],
        0
    );
    let mut socket = lab.connects().await;
    socket.identifies(INTENTS).await;
    assert_eq!(socket.closed().await, 4004);
    lab.provoked(&["more than the day has left"]);
}

#[tokio::test]
async fn a_client_without_a_pulse_is_sent_away() {
    let lab = Lab::start().await;
    lab.fake.set_heartbeat(Duration::from_millis(100));
    let mut socket = lab.session().await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        socket.send(&json!({ "op": 1, "d": socket.last })).await;
        assert_eq!(socket.next().await["op"], 11);
    }
    lab.ends_well();
    assert_eq!(socket.closed().await, 4009);
    lab.provoked(&["no heartbeat"]);
}

#[tokio::test]
async fn the_network_and_discord_do_strange_things() {
    let lab = Lab::start().await;
    let mut socket = lab.session().await;
    lab.fake.tell_event("GUILD_SURPRISE", &json!({ "what": 1 }));
    assert_eq!(socket.event("GUILD_SURPRISE").await["what"], 1);
    lab.fake.send_raw("{\"op\":");
    assert!(
        matches!(socket.next_message().await, Message::Text(text) if text.as_str() == "{\"op\":")
    );
    lab.fake.ask_heartbeat();
    assert_eq!(socket.next().await["op"], 1);
    lab.fake.send_bytes(&[0xff, 0xfe]);
    assert!(socket.stream.next().await.unwrap().is_err());
    let mut socket = lab.session().await;
    lab.fake.close_gateway(4000);
    assert_eq!(socket.closed().await, 4000);
    lab.fake.shut_gateway(true);
    assert!(
        tokio_tungstenite::connect_async(lab.fake.api_url().replace("http", "ws") + "/?v=10")
            .await
            .is_err()
    );
    lab.fake.shut_gateway(false);
    let mut socket = lab.session().await;
    let newest = *lab.fake.connections().last().unwrap();
    assert!(lab.fake.order_connection(newest, Order::Deafen));
    lab.fake.mention(GENERAL, ALICE, "status");
    socket.send(&json!({ "op": 1, "d": socket.last })).await;
    socket.silent().await;
    lab.fake
        .point_gateway_at(Some("wss://gateway.example.test"));
    assert_eq!(
        lab.get("/gateway").await.body["url"],
        "wss://gateway.example.test"
    );
    lab.ends_well();
}

#[tokio::test]
async fn who_asks_for_compression_gets_it() {
    let lab = Lab::start().await;
    let url = format!(
        "{}/?v=10&encoding=json&compress=zlib-stream",
        lab.fake.api_url()
    )
    .replace("http", "ws");
    let mut socket = Socket::raw(&url).await;
    let Message::Binary(hello) = socket.next_message().await else {
        panic!("not compressed")
    };
    assert!(hello.starts_with(&[0x78, 0x01]) && hello.ends_with(&[0, 0, 0xff, 0xff]));
    let text = String::from_utf8_lossy(&hello[7..hello.len() - 5]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["op"], 10);
    lab.ends_well();
}
