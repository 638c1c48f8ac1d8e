//! Commands, buttons, forms; over the gateway and over HTTP.

use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use ed25519_dalek::{Signature, VerifyingKey};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::fakes::discord::{ALICE, Answered, BEN, Limit, Seen};

impl Lab {
    /// Somebody does something, the app hears of it and answers so.
    async fn answering(
        &self,
        socket: &mut Socket,
        does: impl Future<Output = Answered>,
        answer: &Value,
    ) -> (Value, Reply, Answered) {
        let app = async {
            let payload = socket.event("INTERACTION_CREATE").await;
            let reply = self.answers(&payload, answer).await;
            (payload, reply)
        };
        let (answered, (payload, reply)) = tokio::join!(does, app);
        (payload, reply, answered)
    }

    fn flush(&self) -> impl Future<Output = Answered> {
        self.fake
            .slash(GENERAL, ALICE, "flush-cache", &[("environment", "prod")])
    }
}

fn whispered(words: &str) -> Value {
    let mut data = said(words);
    data["flags"] = 64.into();
    json!({ "type": 4, "data": data })
}

#[tokio::test]
async fn a_command_is_told_and_its_answer_seen() {
    let lab = Lab::with_commands().await;
    let mut socket = lab.session().await;
    let options = [("environment", "Production"), ("count", "3"), ("who", BEN)];
    let does = lab.fake.slash(GENERAL, ALICE, "flush-cache", &options);
    let (payload, reply, answered) = lab.answering(&mut socket, does, &whispered("done")).await;
    let expected = json!([{ "type": 1, "name": "flush-cache", "options": [
        { "type": 3, "name": "environment", "value": "prod" }, { "type": 4, "name": "count", "value": 3 },
        { "type": 6, "name": "who", "value": BEN } ] }]);
    assert_eq!(
        (&payload["data"]["name"], &payload["data"]["options"]),
        (&json!("ops"), &expected)
    );
    assert_eq!(payload["data"]["resolved"]["users"][BEN]["username"], "ben");
    assert_eq!(payload["member"]["user"]["id"], ALICE);
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(matches!(&answered.seen, Seen::Whisper(message) if message.text() == "done"));
    assert_eq!(
        (
            lab.fake.whispers(ALICE).len(),
            lab.fake.messages(GENERAL).len()
        ),
        (1, 0)
    );
    assert_eq!(
        lab.answers(&payload, &whispered("again")).await.error(),
        (400, 40_060)
    );
    let bare = format!(
        "/interactions/{}/wrong/callback",
        payload["id"].as_str().unwrap()
    );
    assert_eq!(
        lab.post(&bare, &whispered("x")).await.error(),
        (404, 10_062)
    );
    lab.ends_well();
}

#[tokio::test]
async fn who_answers_late_answers_nobody() {
    let lab = Lab::with_commands().await;
    let mut socket = lab.session().await;
    lab.fake.set_patience(Duration::from_millis(100));
    let answered = lab.flush().await;
    assert!(matches!(answered.seen, Seen::Unanswered));
    let payload = socket.event("INTERACTION_CREATE").await;
    assert_eq!(
        lab.answers(&payload, &whispered("late")).await.error(),
        (404, 10_062)
    );
    drop(socket);
    lab.fake.forget_sessions();
    assert!(
        matches!(lab.flush().await.seen, Seen::Unanswered),
        "nobody is there"
    );
    lab.ends_well();
}

#[tokio::test]
async fn a_deferred_answer_thinks_until_it_is_given() {
    let lab = Lab::with_commands().await;
    let mut lab = lab;
    let mut socket = lab.session().await;
    let does = lab.flush();
    let (payload, _, answered) = lab
        .answering(
            &mut socket,
            does,
            &json!({ "type": 5, "data": { "flags": 64 } }),
        )
        .await;
    assert!(matches!(answered.seen, Seen::Thinking { whispered: true }));
    lab.token = String::new(); // The interaction's token is enough.
    let hook = format!("/webhooks/{APP}/{}", payload["token"].as_str().unwrap());
    let reply = lab
        .patch(&format!("{hook}/messages/@original"), &said("at work"))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(
        lab.fake.seen(&answered.interaction).text().unwrap(),
        "at work"
    );
    assert_eq!(
        lab.get(&format!("{hook}/messages/@original")).await.body["content"],
        "at work"
    );
    let more = lab
        .post(&format!("{hook}?wait=true"), &said("more"))
        .await
        .id();
    assert_eq!(
        lab.patch(&format!("{hook}/messages/{more}"), &said("still more"))
            .await
            .status,
        200
    );
    assert_eq!(lab.fake.texts(GENERAL), ["still more"]);
    lab.fake
        .set_limit(Limit::FollowUps, 50, Duration::from_secs(1));
    assert_eq!(
        lab.delete(&format!("{hook}/messages/@original"))
            .await
            .status,
        204
    );
    assert!(matches!(
        lab.fake.seen(&answered.interaction),
        Seen::Nothing
    ));
    assert_eq!(
        lab.get(&format!("{hook}/messages/@original")).await.error(),
        (404, 10_008)
    );
    lab.fake.pass(Duration::from_secs(15 * 60));
    assert_eq!(
        lab.post(&hook, &said("too late")).await.error(),
        (401, 50_027)
    );
    lab.ends_well();
}

#[tokio::test]
async fn the_first_follow_up_is_what_the_thinking_becomes() {
    let lab = Lab::with_commands().await;
    let mut socket = lab.session().await;
    let payload = lab
        .fake
        .slash_payload(GENERAL, ALICE, "flush-cache", &[("environment", "prod")]);
    let hook = format!("/webhooks/{APP}/{}", payload["token"].as_str().unwrap());
    assert_eq!(
        lab.post(&hook, &said("too soon")).await.error(),
        (404, 10_015)
    );
    let (_, _, answered) = lab
        .answering(
            &mut socket,
            lab.fake.deliver(&payload),
            &json!({ "type": 5 }),
        )
        .await;
    lab.post(&hook, &said("one")).await;
    lab.post(&hook, &said("two")).await;
    assert_eq!(lab.fake.seen(&answered.interaction).text().unwrap(), "one");
    assert_eq!(lab.fake.texts(GENERAL), ["one", "two"]);
    lab.ends_well();
}

#[tokio::test]
async fn answers_that_do_not_fit_are_refused() {
    let lab = Lab::with_commands().await;
    lab.fake.set_patience(Duration::from_secs(5));
    let payload = lab
        .fake
        .slash_payload(GENERAL, ALICE, "flush-cache", &[("environment", "prod")]);
    let long = json!({ "type": 4, "data": said(&"x".repeat(2_001)) });
    let empty = json!({ "type": 4, "data": said("") });
    let modal = json!({ "type": 9, "data": { "custom_id": "x", "title": "x".repeat(46), "components": [] } });
    let rows = [
        (json!({ "type": 1 }), 50_035),
        (json!({ "type": 6 }), 50_035),
        (json!({ "type": 8 }), 50_035),
        (long, 50_035),
        (empty, 50_006),
        (modal, 50_035),
    ];
    for (answer, code) in rows {
        assert_eq!(
            lab.answers(&payload, &answer).await.error(),
            (400, code),
            "{answer}"
        );
    }
    lab.fake.take_violations();
    assert_eq!(lab.answers(&payload, &whispered("fits")).await.status, 200);
    lab.ends_well();
}

#[tokio::test]
async fn a_form_is_opened_filled_in_and_sent() {
    let lab = Lab::with_commands().await;
    let mut socket = lab.session().await;
    let form = json!({ "type": 9, "data": { "custom_id": "form:deploy", "title": "deploy", "components": [
        { "type": 18, "label": "environment", "component": { "type": 3, "custom_id": "environment",
            "options": [{ "label": "prod", "value": "prod" }] } },
        { "type": 18, "label": "version", "component": { "type": 4, "style": 1, "custom_id": "version", "required": false } },
    ] } });
    let (_, reply, answered) = lab.answering(&mut socket, lab.flush(), &form).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let Seen::Form(opened) = answered.seen else {
        panic!("{:?}", answered.seen)
    };
    assert_eq!(lab.fake.modals(ALICE).len(), 1);
    let does = lab
        .fake
        .submit(&opened, &[("environment", "prod"), ("version", "v1.2")]);
    let (payload, reply, answered) = lab.answering(&mut socket, does, &form).await;
    assert_eq!(reply.error(), (400, 50_035), "no form answers a form");
    assert!(matches!(answered.seen, Seen::Unanswered));
    assert_eq!(
        (&payload["type"], &payload["data"]["custom_id"]),
        (&json!(5), &json!("form:deploy"))
    );
    assert_eq!(
        payload["data"]["components"][0]["component"]["values"],
        json!(["prod"])
    );
    assert_eq!(
        payload["data"]["components"][1]["component"]["value"],
        "v1.2"
    );
    lab.fake.take_violations();
    let does = lab.fake.submit(&opened, &[("environment", "prod")]);
    let (_, reply, answered) = lab.answering(&mut socket, does, &whispered("thanks")).await;
    assert_eq!((reply.status, answered.text()), (200, "thanks".to_owned()));
    lab.ends_well();
}

#[tokio::test]
async fn an_option_completes_itself() {
    let lab = Lab::with_commands().await;
    let mut socket = lab.session().await;
    let app = async {
        let payload = socket.event("INTERACTION_CREATE").await;
        let focused = &payload["data"]["options"][0]["options"][0];
        assert_eq!(
            (&payload["type"], &focused["focused"], &focused["value"]),
            (&json!(4), &json!(true), &json!("v1"))
        );
        lab.answers(
            &payload,
            &json!({ "type": 8, "data": { "choices": [{ "name": "v1.2", "value": "v1.2" }] } }),
        )
        .await
    };
    let (choices, reply) = tokio::join!(
        lab.fake
            .autocomplete(GENERAL, ALICE, "deploy", &[], ("version", "v1")),
        app
    );
    assert_eq!(
        (reply.status, choices),
        (200, vec![("v1.2".to_owned(), json!("v1.2"))])
    );
    lab.ends_well();
}

#[tokio::test]
async fn a_button_is_pressed_and_its_message_changed() {
    let lab = Lab::start().await;
    let mut socket = lab.session().await;
    let mut body = said("may I?");
    body["components"] = json!([{ "type": 1, "components": [{ "type": 2, "style": 3, "label": "Approve", "custom_id": "say-0:approve 7f3k" }] }]);
    lab.post(&format!("/channels/{GENERAL}/messages"), &body)
        .await;
    socket.event("MESSAGE_CREATE").await;
    let message = lab.fake.messages(GENERAL).remove(0);
    let mut after = said("you may");
    after["components"] = json!([]);
    let does = lab.fake.click(&message, "Approve", BEN);
    let (payload, reply, answered) = lab
        .answering(&mut socket, does, &json!({ "type": 7, "data": after }))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(
        (&payload["data"]["custom_id"], &payload["message"]["id"]),
        (&json!("say-0:approve 7f3k"), &json!(message.id))
    );
    assert_eq!(answered.text(), "you may");
    assert_eq!(lab.fake.texts(GENERAL), ["you may"]);
    lab.ends_well();
}

#[tokio::test]
async fn only_what_is_registered_can_be_typed() {
    let lab = Lab::with_commands().await;
    let fake = &lab.fake;
    let payload = |command: &str, options: &[(&str, &str)]| {
        let attempt = || fake.slash_payload(GENERAL, ALICE, command, options);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(attempt)).ok()
    };
    for (command, options) in [
        ("no-such", &[][..]),
        ("flush-cache", &[]),
        ("flush-cache", &[("environment", "mars")]),
        ("flush-cache", &[("environment", "prod"), ("count", "many")]),
        ("flush-cache", &[("environment", "prod"), ("count", "10")]),
        ("flush-cache", &[("environment", "prod"), ("colour", "red")]),
        ("deploy", &[("version", "v1"), ("dry", "perhaps")]),
    ] {
        assert!(payload(command, options).is_none(), "{command} {options:?}");
    }
    assert!(payload("ops db vacuum", &[]).is_some());
    assert_eq!(
        payload("vacuum", &[]).unwrap()["data"]["options"][0]["options"][0]["name"],
        "vacuum"
    );
    assert_eq!(
        payload("deploy", &[("version", "v1"), ("dry", "true")]).unwrap()["data"]["options"][0]["options"]
            [1]["value"],
        true
    );
    lab.ends_well();
}

#[tokio::test]
async fn commands_that_discord_refuses() {
    let lab = Lab::start().await;
    let path = format!("/applications/{APP}/guilds/{GUILD}/commands");
    let command = |name: &str, options: Value| json!([{ "name": name, "description": "x", "options": options }]);
    let option = |fields: Value| {
        let mut option = json!({ "type": 3, "name": "a", "description": "x" });
        option
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        option
    };
    let choices = |count: usize| {
        (0..count)
            .map(|n| json!({ "name": format!("{n}"), "value": format!("{n}") }))
            .collect::<Value>()
    };
    let many = (0..26)
        .map(|n| option(json!({ "name": format!("o{n}") })))
        .collect::<Value>();
    let big = (0..25).map(|n| option(json!({ "name": format!("o{n}"), "choices": (0..4).map(|c| json!({ "name": format!("{c}"), "value": "x".repeat(90) })).collect::<Value>() }))).collect::<Value>();
    let rows = [
        ("capitals", command("Ops", json!([]))),
        ("a space", command("o ps", json!([]))),
        ("too long", command(&"x".repeat(33), json!([]))),
        ("no description", json!([{ "name": "ops" }])),
        (
            "a long description",
            json!([{ "name": "ops", "description": "x".repeat(101) }]),
        ),
        (
            "twice",
            json!([{ "name": "ops", "description": "x" }, { "name": "ops", "description": "x" }]),
        ),
        ("26 options", command("ops", many)),
        (
            "optional first",
            command(
                "ops",
                json!([
                    option(json!({})),
                    option(json!({ "name": "b", "required": true }))
                ]),
            ),
        ),
        (
            "26 choices",
            command("ops", json!([option(json!({ "choices": choices(26) }))])),
        ),
        (
            "a long choice",
            command(
                "ops",
                json!([option(
                    json!({ "choices": [{ "name": "x", "value": "x".repeat(101) }] })
                )]),
            ),
        ),
        (
            "choices and autocomplete",
            command(
                "ops",
                json!([option(
                    json!({ "autocomplete": true, "choices": choices(1) })
                )]),
            ),
        ),
        (
            "an option's name twice",
            command("ops", json!([option(json!({})), option(json!({}))])),
        ),
        (
            "a subcommand beside an option",
            command(
                "ops",
                json!([option(json!({})), { "type": 1, "name": "s", "description": "x" }]),
            ),
        ),
        (
            "a subcommand in a subcommand",
            command(
                "ops",
                json!([{ "type": 1, "name": "s", "description": "x", "options": [{ "type": 1, "name": "s", "description": "x" }] }]),
            ),
        ),
        ("more than 8000 characters", command("ops", big)),
    ];
    let refused = rows.len();
    for (name, body) in rows {
        let reply = lab.call(Method::PUT, &path, &body).await;
        assert_eq!(reply.error(), (400, 50_035), "{name}: {}", reply.body);
    }
    assert_eq!(lab.fake.take_violations().len(), refused);
    let first = lab.call(Method::PUT, &path, &commands()).await.body;
    let again = lab.call(Method::PUT, &path, &commands()).await.body;
    assert_eq!(
        first[0]["id"], again[0]["id"],
        "what has the same name stays what it is"
    );
    assert_eq!(lab.get(&path).await.body, again);
    assert_eq!(
        lab.get(&format!("/applications/1/guilds/{GUILD}/commands"))
            .await
            .error(),
        (403, 20_012)
    );
    lab.ends_well();
}

#[tokio::test]
async fn a_shut_thread_takes_no_answer() {
    let lab = Lab::with_commands().await;
    let id = lab.says(GENERAL, "root").await.id();
    lab.post(
        &format!("/channels/{GENERAL}/messages/{id}/threads"),
        &json!({ "name": "x" }),
    )
    .await;
    let payload = lab
        .fake
        .slash_payload(&id, ALICE, "flush-cache", &[("environment", "prod")]);
    lab.fake.archive_thread(&id, true);
    assert_eq!(
        lab.answers(&payload, &json!({ "type": 5 })).await.error(),
        (403, 50_083)
    );
    lab.ends_well();
}

/// An app behind HTTP that checks signatures and answers as it is told.
struct App {
    answer: Arc<Mutex<(u16, Value)>>,
    _server: JoinSet<()>,
}

impl App {
    async fn start(fake: &FakeDiscord) -> Self {
        let answer = Arc::new(Mutex::new((200, Value::Null)));
        let key: [u8; 32] = data_encoding::HEXLOWER
            .decode(fake.public_key().as_bytes())
            .unwrap()
            .try_into()
            .unwrap();
        let key = VerifyingKey::from_bytes(&key).unwrap();
        let told = answer.clone();
        let hear = move |headers: HeaderMap, body: Bytes| {
            let answer = told.lock().unwrap().clone();
            async move {
                let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
                let mut message = header("x-signature-timestamp").into_bytes();
                message.extend_from_slice(&body);
                let signature = data_encoding::HEXLOWER
                    .decode(header("x-signature-ed25519").as_bytes())
                    .unwrap();
                if key
                    .verify_strict(&message, &Signature::from_slice(&signature).unwrap())
                    .is_err()
                {
                    return (StatusCode::UNAUTHORIZED, String::new());
                }
                let payload: Value = serde_json::from_slice(&body).unwrap();
                let (status, body) = if payload["type"] == 1 {
                    (200, json!({ "type": 1 }))
                } else {
                    answer
                };
                (StatusCode::from_u16(status).unwrap(), body.to_string())
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        fake.use_http(&format!("http://{}", listener.local_addr().unwrap()));
        let router = Router::new().route("/discord/interactions", post(hear));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            answer,
            _server: server,
        }
    }

    fn answers(&self, status: u16, body: Value) {
        *self.answer.lock().unwrap() = (status, body);
    }
}

#[tokio::test]
async fn over_http_the_answer_is_in_the_body() {
    let lab = Lab::with_commands().await;
    let app = App::start(&lab.fake).await;
    lab.fake.ping().await.unwrap();
    app.answers(200, whispered("done"));
    let answered = lab.flush().await;
    assert_eq!(
        (answered.status, answered.text()),
        (Some(200), "done".to_owned())
    );
    let hook = format!(
        "/webhooks/{APP}/{}",
        lab.fake.token_of(&answered.interaction)
    );
    assert_eq!(lab.post(&hook, &said("more")).await.status, 200);
    app.answers(500, Value::Null);
    assert!(matches!(lab.flush().await.seen, Seen::Unanswered));
    lab.ends_well();
    app.answers(200, json!({ "type": 6 }));
    assert!(matches!(lab.flush().await.seen, Seen::Unanswered));
    lab.provoked(&["an answer in an HTTP body"]);
}

#[tokio::test]
async fn over_http_one_may_answer_by_the_route_too() {
    let lab = Lab::with_commands().await;
    let app = App::start(&lab.fake).await;
    app.answers(202, Value::Null);
    let payload = lab
        .fake
        .slash_payload(GENERAL, ALICE, "flush-cache", &[("environment", "prod")]);
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        lab.answers(&payload, &whispered("by the route")).await
    };
    let (answered, reply) = tokio::join!(lab.fake.deliver(&payload), later);
    assert_eq!(
        (reply.status, answered.text()),
        (200, "by the route".to_owned())
    );
    lab.ends_well();
}
