//! What clients of others lean on, and what they showed that was missing here: see `tests/independent`.

use super::*;
use crate::fakes::discord::{ALICE, HIDDEN, LEADS, Scope, VOICE, permission};

/// discord.py writes ids as numbers and flags of the query as 1.
#[tokio::test]
async fn ids_may_be_numbers() {
    let lab = Lab::with_commands().await;
    let root: u64 = lab.says(GENERAL, "root").await.id().parse().unwrap();
    let mut reply = said("an answer");
    reply["message_reference"] = json!({ "message_id": root });
    let path = format!("/channels/{GENERAL}/messages");
    let reply = lab.post(&path, &reply).await.body;
    let refers_to = &reply["message_reference"]["message_id"];
    assert_eq!(*refers_to, json!(root.to_string()));
    let alice: u64 = ALICE.parse().unwrap();
    let opened = json!({ "recipient_id": alice });
    assert_eq!(lab.post("/users/@me/channels", &opened).await.status, 200);
    lab.ends_well();
}

/// discord.py knows a ban by it.
#[tokio::test]
async fn what_discord_says_itself_comes_through_its_proxy() {
    let lab = Lab::start().await;
    let via = |reply: &Reply| reply.headers.get("via").cloned();
    assert!(via(&lab.get("/users/@me").await).is_some());
    lab.fake.refuse_next_as(1, Scope::User, Duration::ZERO);
    assert!(via(&lab.says(GENERAL, "refused").await).is_some());
    lab.fake
        .refuse_next_as(1, Scope::Cloudflare, Duration::ZERO);
    assert_eq!(via(&lab.says(GENERAL, "banned").await), None);
    lab.ends_well();
}

/// hikari sends bytes; discord.js resumes over the same connection; discord.py wants to know how a voice channel sounds, and
/// discord.js whether a message is in a direct channel.
#[tokio::test]
async fn a_session_is_as_clients_of_others_need_it() {
    let lab = Lab::start().await;
    let mut socket = lab.connects().await;
    let identify = json!({ "op": 2, "d": { "token": BOT_TOKEN, "intents": INTENTS,
                                           "properties": { "os": "x", "browser": "x", "device": "x" } } });
    let bytes = Message::binary(identify.to_string());
    socket.stream.send(bytes).await.unwrap();
    socket.event("READY").await;
    let guild = socket.event("GUILD_CREATE").await;
    let channel = |id: &str| {
        let mut all = guild["channels"].as_array().unwrap().iter();
        all.find(|it| it["id"] == id).unwrap().clone()
    };
    assert_eq!(channel(VOICE)["bitrate"], 64_000);
    assert_eq!(channel(HIDDEN)["name"], "___hidden___");
    lab.fake.direct_message(ALICE, "hello");
    assert_eq!(socket.event("MESSAGE_CREATE").await["channel_type"], 1);
    let heard = socket.last;
    lab.fake.invalidate_sessions(true);
    assert_eq!(socket.next().await["op"], 9);
    lab.fake.direct_message(ALICE, "meanwhile");
    let session = socket.session.clone();
    socket.resumes(&session, heard).await;
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "meanwhile");
    socket.event("RESUMED").await;
    lab.ends_well();
}

#[tokio::test]
async fn rights_come_from_roles_then_overwrites_then_what_follows() {
    let lab = Lab::start().await;
    lab.fake.keep_pace(false);
    lab.fake
        .give_role(GUILD, crate::fakes::discord::BOT_USER, LEADS);
    let says = async || lab.says(OPS, "hello").await.error();
    let (none, denied, hidden) = ((200, 0), (403, 50_013), (403, 50_001));
    let sending = permission::SEND_MESSAGES;
    lab.fake.overwrite_role(OPS, GUILD, 0, sending);
    assert_eq!(says().await, denied, "everybody's");
    lab.fake.overwrite_role(OPS, LEADS, sending, 0);
    assert_eq!(says().await, none, "a role's before everybody's");
    lab.fake.overwrite_bot(OPS, 0, sending);
    assert_eq!(says().await, denied, "its own before a role's");
    lab.fake
        .overwrite_bot(OPS, sending, permission::VIEW_CHANNEL);
    assert_eq!(says().await, hidden, "who can't see can't write");
    lab.fake.overwrite_bot(OPS, 0, 0);
    lab.fake
        .silence(GUILD, crate::fakes::discord::BOT_USER, true);
    assert_eq!(says().await, denied, "in a time-out");
    lab.fake
        .silence(GUILD, crate::fakes::discord::BOT_USER, false);
    let root = lab.says(OPS, "root").await.id();
    lab.fake
        .overwrite_bot(OPS, 0, permission::READ_MESSAGE_HISTORY);
    let mut reply = said("an answer");
    reply["message_reference"] = json!({ "message_id": root });
    let reply = lab.post(&format!("/channels/{OPS}/messages"), &reply).await;
    assert_eq!(reply.error(), (400, 160_002));
    let listed = lab.get(&format!("/guilds/{GUILD}/channels")).await.body;
    let listed = listed.as_array().unwrap();
    assert!(listed.iter().all(|it| it["id"] != HIDDEN), "{listed:?}");
}
