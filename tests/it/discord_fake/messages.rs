//! Messages: what is taken, what is refused, who sees what.

use super::*;
use crate::fakes::discord::{ALICE, HERMIT, HIDDEN, permission};

fn button(label: &str, id: &str) -> Value {
    json!({ "type": 2, "style": 1, "label": label, "custom_id": id })
}

fn with(name: &str, value: Value) -> Value {
    let mut body = said("words");
    body[name] = value;
    body
}

#[tokio::test]
async fn a_message_is_posted_read_edited_and_deleted() {
    let lab = Lab::start().await;
    let path = format!("/channels/{GENERAL}/messages");
    let row = json!({ "type": 1, "components": [button("Approve", "a"), button("Reject", "r")] });
    let posted = lab.post(&path, &with("components", json!([row]))).await;
    assert_eq!(posted.status, 200);
    let id = posted.id();
    assert_eq!(lab.fake.texts(GENERAL), ["words\n[Approve] [Reject]"]);
    let edited = lab
        .patch(
            &format!("{path}/{id}"),
            &json!({ "content": "other words", "allowed_mentions": { "parse": [] } }),
        )
        .await;
    assert!(edited.body["edited_timestamp"].is_string());
    assert_eq!(
        lab.fake.texts(GENERAL),
        ["other words\n[Approve] [Reject]"],
        "what is not said stays"
    );
    assert_eq!(
        lab.get(&format!("{path}/{id}")).await.body["content"],
        "other words"
    );
    let reaction = format!("{path}/{id}/reactions/%E2%9C%85/@me");
    assert_eq!(
        lab.call(Method::PUT, &reaction, &Value::Null).await.status,
        204
    );
    let reactions = &lab.get(&format!("{path}/{id}")).await.body["reactions"];
    assert_eq!(
        (&reactions[0]["emoji"]["name"], &reactions[0]["me"]),
        (&json!("✅"), &json!(true))
    );
    tokio::time::sleep(Duration::from_millis(260)).await;
    assert_eq!(lab.delete(&reaction).await.status, 204);
    assert_eq!(lab.delete(&format!("{path}/{id}")).await.status, 204);
    assert_eq!(
        lab.get(&format!("{path}/{id}")).await.error(),
        (404, 10_008)
    );
    lab.ends_well();
}

#[tokio::test]
async fn files_come_with_a_message() {
    let lab = Lab::start().await;
    let form = multipart("log.txt", "one\r\ntwo\n--x", &said("see"));
    let request = lab
        .client
        .post(lab.url(&format!("/channels/{GENERAL}/messages")))
        .header("authorization", &lab.token);
    let reply = request
        .header("content-type", form.0)
        .body(form.1)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status().as_u16(), 200);
    let body: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
    assert_eq!(
        lab.fake.files(GENERAL),
        [("log.txt".to_owned(), "one\r\ntwo\n--x".to_owned())]
    );
    let read = lab
        .client
        .get(body["attachments"][0]["url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(read.text().await.unwrap(), "one\r\ntwo\n--x");
    lab.fake.deny(GENERAL, permission::ATTACH_FILES);
    let form = multipart("log.txt", "one", &said("see"));
    let request = lab
        .client
        .post(lab.url(&format!("/channels/{GENERAL}/messages")))
        .header("authorization", &lab.token);
    let reply = request
        .header("content-type", form.0)
        .body(form.1)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status().as_u16(), 403);
    lab.ends_well();
}

/// A multipart body by hand, and its type: the client's own needs a feature that nothing else here does.
fn multipart(name: &str, content: &str, payload: &Value) -> (String, String) {
    let head = "--mark-1\r\nContent-Disposition: form-data; name=";
    let file = format!("\"files[0]\"; filename=\"{name}\"\r\nContent-Type: text/plain");
    let body = format!(
        "{head}\"payload_json\"\r\n\r\n{payload}\r\n{head}{file}\r\n\r\n{content}\r\n--mark-1--\r\n"
    );
    ("multipart/form-data; boundary=mark-1".to_owned(), body)
}

#[tokio::test]
async fn an_enforced_nonce_makes_one_message() {
    let lab = Lab::start().await;
    let path = format!("/channels/{GENERAL}/messages");
    let mut body = with("nonce", json!("7f3k-0001"));
    body["enforce_nonce"] = true.into();
    let first = lab.post(&path, &body).await.id();
    assert_eq!(lab.post(&path, &body).await.id(), first);
    assert_eq!(lab.fake.messages(GENERAL).len(), 1);
    lab.fake.pass(Duration::from_secs(301));
    assert_ne!(
        lab.post(&path, &body).await.id(),
        first,
        "after a while it is forgotten"
    );
    body["enforce_nonce"] = false.into();
    let (one, two) = (
        lab.post(&path, &body).await.id(),
        lab.post(&path, &body).await.id(),
    );
    assert_ne!(one, two, "a nonce alone does nothing");
    lab.ends_well();
}

#[tokio::test]
async fn what_discord_refuses_in_a_message() {
    let lab = Lab::start().await;
    lab.fake.keep_pace(false);
    let row = |buttons: Vec<Value>| json!([{ "type": 1, "components": buttons }]);
    let many = |count: usize| {
        (0..count)
            .map(|n| button("x", &format!("{n}")))
            .collect::<Vec<_>>()
    };
    let display = |chars: usize| json!({ "type": 10, "content": "x".repeat(chars) });
    let v2 = |components: Value| json!({ "flags": 1 << 15, "components": components, "allowed_mentions": { "parse": [] } });
    let mut both = v2(json!([display(9)]));
    both["content"] = "words".into();
    let rows = [
        ("empty", said(" "), 50_006),
        (
            "nothing",
            json!({ "allowed_mentions": { "parse": [] } }),
            50_006,
        ),
        ("long", said(&"x".repeat(2_001)), 50_035),
        ("six buttons", with("components", row(many(6))), 50_035),
        (
            "six rows",
            with(
                "components",
                (0..6)
                    .map(|n| json!({ "type": 1, "components": [button("x", &format!("{n}"))] }))
                    .collect(),
            ),
            50_035,
        ),
        ("no buttons", with("components", row(Vec::new())), 50_035),
        (
            "a button outside",
            with("components", json!(many(1))),
            50_035,
        ),
        (
            "an id twice",
            with("components", row(vec![button("x", "a"), button("y", "a")])),
            50_035,
        ),
        (
            "a long id",
            with("components", row(vec![button("x", &"a".repeat(101))])),
            50_035,
        ),
        (
            "no id",
            with(
                "components",
                row(vec![json!({ "type": 2, "style": 1, "label": "x" })]),
            ),
            50_035,
        ),
        (
            "a long label",
            with("components", row(vec![button(&"x".repeat(81), "a")])),
            50_035,
        ),
        (
            "no label",
            with("components", row(vec![button("", "a")])),
            50_035,
        ),
        (
            "a text display among legacy ones",
            with("components", json!([display(1)])),
            50_035,
        ),
        (
            "components alone",
            json!({ "components": row(many(1)), "allowed_mentions": { "parse": [] } }),
            50_006,
        ),
        ("v2 and content", both, 50_035),
        ("v2 and nothing", v2(json!([])), 50_006),
        (
            "v2 and long",
            v2(json!([display(2_000), display(2_001)])),
            50_035,
        ),
        (
            "v2 and many",
            v2((0..41).map(|_| display(1)).collect()),
            50_035,
        ),
        ("a long nonce", with("nonce", json!("x".repeat(26))), 50_035),
        ("enforcing none", with("enforce_nonce", json!(true)), 50_035),
        (
            "eleven embeds",
            with("embeds", json!(vec![json!({ "title": "x" }); 11])),
            50_035,
        ),
        (
            "a reference to nothing",
            with("message_reference", json!({ "message_id": "1" })),
            50_035,
        ),
    ];
    for (name, body, code) in rows {
        let reply = lab
            .post(&format!("/channels/{GENERAL}/messages"), &body)
            .await;
        assert_eq!(reply.error(), (400, code), "{name}: {}", reply.body);
    }
    let fine = [
        ("2000", said(&"x".repeat(2_000))),
        (
            "v2",
            v2(json!([display(2_000), display(2_000), { "type": 1, "components": many(5) }])),
        ),
        (
            "5 rows",
            with(
                "components",
                (0..5)
                    .map(|n| json!({ "type": 1, "components": [button("x", &format!("{n}"))] }))
                    .collect(),
            ),
        ),
    ];
    for (name, body) in fine {
        let reply = lab
            .post(&format!("/channels/{GENERAL}/messages"), &body)
            .await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.body);
    }
    let raw = lab
        .client
        .post(lab.url(&format!("/channels/{GENERAL}/messages")))
        .header("authorization", &lab.token);
    let reply = raw
        .header("content-type", "application/json")
        .body("{")
        .send()
        .await
        .unwrap();
    assert!(reply.text().await.unwrap().contains("50109"));
    assert_eq!(lab.fake.take_violations().len(), 23);
    lab.answered_well();
}

#[tokio::test]
async fn a_message_made_of_components_stays_so() {
    let lab = Lab::start().await;
    let id = lab.says(GENERAL, "words").await.id();
    let path = format!("/channels/{GENERAL}/messages/{id}");
    let displays = json!([{ "type": 10, "content": "more words" }]);
    let mut body =
        json!({ "flags": 1 << 15, "components": displays, "allowed_mentions": { "parse": [] } });
    assert_eq!(
        lab.patch(&path, &body).await.error(),
        (400, 50_035),
        "the content is still there"
    );
    body["content"] = Value::Null;
    assert_eq!(lab.patch(&path, &body).await.status, 200);
    assert_eq!(lab.fake.texts(GENERAL), ["more words"]);
    assert_eq!(
        lab.patch(&path, &said("back")).await.error(),
        (400, 50_035),
        "there is no way back"
    );
    lab.provoked(&["IS_COMPONENTS_V2", "IS_COMPONENTS_V2"]);
}

#[tokio::test]
async fn pings_that_we_swore_not_to_send_are_violations() {
    let lab = Lab::start().await;
    let path = format!("/channels/{GENERAL}/messages");
    lab.post(&path, &json!({ "content": "hello" })).await;
    lab.provoked(&["without allowed_mentions"]);
    lab.post(
        &path,
        &json!({ "content": "@everyone", "allowed_mentions": { "parse": ["everyone"] } }),
    )
    .await;
    lab.provoked(&["that parse", "a ping of everyone"]);
    let body = json!({ "content": format!("<@{ALICE}> @everyone"), "allowed_mentions": { "parse": [], "users": [ALICE] } });
    lab.post(&path, &body).await;
    assert_eq!(lab.fake.messages(GENERAL).last().unwrap().pings, [ALICE]);
    lab.says(GENERAL, &format!("<@{ALICE}>")).await;
    assert_eq!(lab.fake.messages(GENERAL).last().unwrap().pings, [""; 0]);
    lab.ends_well();
}

#[tokio::test]
async fn what_the_bot_may_not_is_refused() {
    let lab = Lab::start().await;
    assert_eq!(lab.says(HIDDEN, "words").await.error(), (403, 50_001));
    assert_eq!(lab.says("1", "words").await.error(), (404, 10_003));
    let id = lab.says(OPS, "words").await.id();
    lab.fake.deny(
        OPS,
        permission::SEND_MESSAGES | permission::ADD_REACTIONS | permission::READ_MESSAGE_HISTORY,
    );
    assert_eq!(lab.says(OPS, "words").await.error(), (403, 50_013));
    let reaction = format!("/channels/{OPS}/messages/{id}/reactions/%E2%9C%85/@me");
    assert_eq!(
        lab.call(Method::PUT, &reaction, &Value::Null).await.error(),
        (403, 50_013)
    );
    assert_eq!(
        lab.get(&format!("/channels/{OPS}/messages/{id}"))
            .await
            .error(),
        (403, 50_013)
    );
    assert_eq!(
        lab.get(&format!("/channels/{OPS}/messages")).await.body,
        json!([])
    );
    let theirs = lab.fake.say(GENERAL, ALICE, "mine").id;
    let path = format!("/channels/{GENERAL}/messages/{theirs}");
    assert_eq!(lab.patch(&path, &said("ours")).await.error(), (403, 50_005));
    assert_eq!(lab.delete(&path).await.error(), (403, 50_013));
    let dm = lab
        .post("/users/@me/channels", &json!({ "recipient_id": HERMIT }))
        .await
        .id();
    assert_eq!(lab.says(&dm, "words").await.error(), (403, 50_007));
    let dm = lab
        .post("/users/@me/channels", &json!({ "recipient_id": ALICE }))
        .await
        .id();
    assert_eq!(lab.says(&dm, "words").await.status, 200);
    assert_eq!(lab.fake.direct_messages(ALICE)[0].text(), "words");
    lab.fake.add_category(GUILD, "810000000000000009", "things");
    assert_eq!(
        lab.says("810000000000000009", "words").await.error(),
        (400, 50_008)
    );
    lab.ends_well();
}

#[tokio::test]
async fn the_history_comes_in_pages_newest_first() {
    let lab = Lab::start().await;
    let ids: Vec<String> = (0..7)
        .map(|n| lab.fake.mention(GENERAL, ALICE, &n.to_string()).id)
        .collect();
    let page = async |query: &str| -> Vec<usize> {
        let body = lab
            .get(&format!("/channels/{GENERAL}/messages?{query}"))
            .await
            .body;
        let found = body.as_array().unwrap().iter();
        found
            .map(|message| ids.iter().position(|id| message["id"] == *id).unwrap())
            .collect()
    };
    assert_eq!(page("").await, [6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(page("limit=2").await, [6, 5]);
    assert_eq!(page(&format!("limit=2&before={}", ids[3])).await, [2, 1]);
    assert_eq!(page(&format!("limit=2&after={}", ids[3])).await, [5, 4]);
    assert_eq!(page(&format!("limit=3&around={}", ids[3])).await, [4, 3, 2]);
    let reply = lab
        .get(&format!("/channels/{GENERAL}/messages?limit=101"))
        .await;
    assert_eq!(reply.error(), (400, 50_035));
    lab.provoked(&["limit"]);
}

#[tokio::test]
async fn what_people_write_is_hidden_unless_it_is_for_the_bot() {
    let lab = Lab::start().await;
    lab.fake.say(GENERAL, ALICE, "a secret");
    lab.fake.mention(GENERAL, ALICE, "status");
    lab.says(GENERAL, "my own").await;
    let dm = lab.fake.direct_message(ALICE, "between us");
    let contents = async |channel: &str| -> Vec<Value> {
        let body = lab.get(&format!("/channels/{channel}/messages")).await.body;
        body.as_array()
            .unwrap()
            .iter()
            .map(|it| it["content"].clone())
            .collect()
    };
    assert_eq!(
        contents(GENERAL).await,
        ["my own", "<@700000000000000002> status", ""]
    );
    assert_eq!(contents(&dm.channel).await, ["between us"]);
    lab.ends_well();
}

#[tokio::test]
async fn ids_are_made_of_the_time() {
    let lab = Lab::start().await;
    let moment = |id: &str| (id.parse::<u64>().unwrap() >> 22) + 1_420_070_400_000;
    let first = moment(&lab.says(GENERAL, "one").await.id());
    lab.fake.pass(Duration::from_secs(3_600));
    let second = moment(&lab.says(GENERAL, "two").await.id());
    assert!(
        (3_600_000..3_610_000).contains(&(second - first)),
        "{first} {second}"
    );
    lab.ends_well();
}

#[tokio::test]
async fn old_messages_are_edited_now_and_then_only() {
    let lab = Lab::start().await;
    let id = lab.says(GENERAL, "words").await.id();
    let path = format!("/channels/{GENERAL}/messages/{id}");
    lab.fake.pass(Duration::from_secs(3_601));
    for _ in 0..3 {
        assert_eq!(lab.patch(&path, &said("others")).await.status, 200);
    }
    let reply = lab.patch(&path, &said("others")).await;
    assert_eq!(reply.error(), (429, 30_046));
    assert!(reply.body["retry_after"].as_f64().unwrap() > 15.0);
    lab.fake.pass(Duration::from_secs(20));
    assert_eq!(lab.patch(&path, &said("others")).await.status, 200);
    lab.ends_well();
}
