//! The HTTP door: who may come in, what is acknowledged, and what people are told when it can't be kept.

use std::time::Instant;

use midwatch::domain::{Manner, SpeakerKind};
use serde_json::json;

use super::*;
use crate::fakes::slack::{BOT_USER, Delivery, Kind, signed};

fn now() -> i64 {
    Clock::system().now().as_second()
}

/// Sends these very headers and this body; answers status and text.
async fn send(app: &App, kind: Kind, headers: &[(&str, String)], body: &str) -> (u16, String) {
    let mut request = app.client.post(format!("{}{}", app.address, kind.path()));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let response = request.body(body.to_owned()).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn only_what_slack_signed_lately_comes_in() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    let body = "user_id=U1&channel_id=C1&team_id=T1&text=help&trigger_id=1.1";
    let sign = |at, body: &str| signed(SIGNING_SECRET, at, body.as_bytes()).to_vec();
    let good = sign(now(), body);
    let with = |position: usize, value: String| {
        let mut headers = good.clone();
        headers[position].1 = value;
        headers
    };
    let twice = |position: usize| [good.clone(), vec![good[position].clone()]].concat();
    let signature = good[1].1.clone();
    let rows = [
        ("good", good.clone(), 200),
        ("four minutes old", sign(now() - 240, body), 200),
        ("six minutes old", sign(now() - 360, body), 401),
        ("six minutes early", sign(now() + 360, body), 401),
        ("of another body", sign(now(), "user_id=U2"), 401),
        (
            "of another secret",
            signed("other", now(), body.as_bytes()).to_vec(),
            401,
        ),
        ("truncated", with(1, signature[..20].to_owned()), 401),
        (
            "one digit wrong",
            with(
                1,
                format!("{}{}", &signature[..66], u8::from(signature.ends_with('0'))),
            ),
            401,
        ),
        ("upper case", with(1, signature.to_uppercase()), 401),
        (
            "of another version",
            with(1, signature.replace("v0=", "v1=")),
            401,
        ),
        ("empty", with(1, String::new()), 401),
        ("time moved", with(0, (now() + 1).to_string()), 401),
        ("time not a number", with(0, "soon".to_owned()), 401),
        ("time negative", with(0, "-5".to_owned()), 401),
        ("time far too long", with(0, "9".repeat(40)), 401),
        ("no signature", good[..1].to_vec(), 401),
        ("no time", good[1..].to_vec(), 401),
        ("signature twice", twice(1), 401),
        ("time twice", twice(0), 401),
        ("nothing", Vec::new(), 401),
    ];
    for (name, headers, expected) in rows {
        let (status, text) = send(&app, Kind::Command, &headers, body).await;
        assert_eq!(status, expected, "{name}: {text}");
        assert!(!text.contains("v0="), "{name}: {text}");
    }
    assert_eq!(
        app.heard.keys().len(),
        1,
        "refused requests must not be heard"
    );
}

#[tokio::test]
async fn without_a_signing_secret_nothing_comes_in() {
    let fake = FakeSlack::start().await;
    let none = SlackSettings {
        signing_secret: None,
        ..settings(&fake.api_url())
    };
    let empty = SlackSettings {
        signing_secret: Some(String::new().into()),
        ..settings(&fake.api_url())
    };
    assert!(Slack::new(&empty, catalog()).is_err());
    let mut app = App::start(&fake).await;
    app.door.slack = Arc::new(Slack::new(&none, catalog()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    app.address = format!("http://{}", listener.local_addr().unwrap());
    let router = routes(app.door.clone());
    app.http
        .spawn(async move { axum::serve(listener, router).await.unwrap() });
    let headers = signed("", now(), b"x");
    assert_eq!(send(&app, Kind::Command, &headers, "x").await.0, 401);
}

#[tokio::test]
async fn a_plain_address_of_another_host_is_refused() {
    for url in ["http://slack.example/api", "ftp://127.0.0.1", "slack.com"] {
        assert!(Slack::new(&settings(url), catalog()).is_err(), "{url}");
    }
}

#[tokio::test]
async fn whatever_slack_signs_is_acknowledged() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    for (name, payload) in fixtures() {
        let inner = payload
            .get("payload")
            .filter(|inner| inner.is_object())
            .unwrap_or(&payload)
            .clone();
        for payload in [payload, inner] {
            for kind in [Kind::Command, Kind::Event, Kind::Interaction] {
                let ack = fake
                    .deliver(&Delivery {
                        kind,
                        payload: payload.clone(),
                    })
                    .await;
                assert_eq!(ack.status, 200, "{name} as {kind:?}");
            }
        }
    }
    let odd = [
        "",
        "{",
        "payload=",
        "payload=%7B",
        "payload=null",
        "%%%",
        "\u{0}",
        "[]",
        "a=1&a=2",
        "null",
    ];
    for body in odd {
        for kind in [Kind::Command, Kind::Event, Kind::Interaction] {
            let headers = signed(SIGNING_SECRET, now(), body.as_bytes());
            let (status, text) = send(&app, kind, &headers, body).await;
            assert_eq!(status, 200, "{body:?} as {kind:?}");
            if kind == Kind::Command {
                assert!(text.contains("nothing was done"), "{body:?}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn slacks_own_checks_are_answered() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    let certificate = app
        .client
        .get(format!("{}/slack/commands?ssl_check=1", app.address))
        .send()
        .await
        .unwrap();
    assert_eq!(certificate.status().as_u16(), 200);
    let check = Delivery {
        kind: Kind::Command,
        payload: json!({ "ssl_check": "1" }),
    };
    assert_eq!(
        fake.deliver(&check).await,
        crate::fakes::slack::Ack {
            status: 200,
            body: String::new()
        }
    );
    let challenge = json!({ "type": "url_verification", "challenge": "3eZbrw1aB" });
    let ack = fake
        .deliver(&Delivery {
            kind: Kind::Event,
            payload: challenge,
        })
        .await;
    assert_eq!((ack.status, ack.body.as_str()), (200, "3eZbrw1aB"));
    let huge = "x".repeat((1 << 20) + 1);
    let headers = signed(SIGNING_SECRET, now(), huge.as_bytes());
    assert_eq!(send(&app, Kind::Event, &headers, &huge).await.0, 413);
    assert!(app.heard.all().is_empty());
}

/// Everything people can do is heard alike over both doors.
async fn people_are_heard(fake: &FakeSlack, app: &App) {
    let ack = fake.slash("UANA", "C1", "deploy <web> & \"x\"").await;
    assert_eq!((ack.status, ack.body.as_str()), (200, ""));
    let ts = fake.mention("UANA", "C1", None, "flush-cache prod").await;
    let (direct, _) = fake.direct_message("UBO", "help").await;
    fake.mention("UBO", "C1", Some(&ts), "runs").await;
    assert_eq!(
        fake.edit_message("C1", &ts, "deploy prod").await.status,
        200
    );
    assert_eq!(fake.bot_mention("C1", "deploy prod").await.status, 200);

    let heard = app.heard.all();
    let texts: BTreeSet<&str> = heard.iter().map(|inbound| inbound.text.as_str()).collect();
    assert_eq!(
        texts,
        BTreeSet::from([
            "deploy <web> & \"x\"",
            "deploy prod",
            "flush-cache prod",
            "help",
            "runs"
        ])
    );
    assert_eq!(
        app.heard.keys().len(),
        6,
        "message and mention are one: {:?}",
        app.heard.keys()
    );
    let one = |text: &str| heard.iter().find(|inbound| inbound.text == text).unwrap();
    assert_eq!(one("runs").place.thread.as_deref(), Some(ts.as_str()));
    assert_eq!(one("help").place.channel, direct);
    assert_eq!(one("flush-cache prod").speaker.id, "UANA");
    let age = one("flush-cache prod")
        .received_at
        .duration_since(one("flush-cache prod").sent_at);
    assert!(age.as_secs().abs() < 5, "{age}");
    let of = |manner: Manner, kind| {
        heard
            .iter()
            .filter(|i| i.manner == manner && i.speaker.kind == kind)
            .count()
    };
    assert_eq!(of(Manner::Edited, SpeakerKind::Person), 1);
    assert_eq!(of(Manner::Said, SpeakerKind::Bot), 1);
    assert!(heard.iter().all(|inbound| inbound.speaker.id != BOT_USER));
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn people_are_heard_over_http() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    people_are_heard(&fake, &app).await;
}

#[tokio::test]
async fn people_are_heard_over_sockets() {
    let fake = FakeSlack::start().await;
    let app = App::over_sockets(&fake, TIMING).await;
    people_are_heard(&fake, &app).await;
    assert_eq!(fake.unacknowledged(), 0);
}

#[tokio::test]
async fn a_person_is_told_when_nothing_could_be_recorded() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    app.heard.fail_next(1);
    let ack = fake.slash("UANA", "C1", "deploy prod").await;
    let told: Value = serde_json::from_str(&ack.body).unwrap();
    assert_eq!(
        (ack.status, told["response_type"].as_str()),
        (200, Some("ephemeral"))
    );
    let text = told["text"].as_str().unwrap();
    assert!(
        text.contains("nothing was done") && text.contains("try again"),
        "{text}"
    );
    assert!(!text.contains("secret detail"), "{text}");
    assert!(app.heard.all().is_empty());
}

#[tokio::test]
async fn an_event_that_could_not_be_recorded_comes_again() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    app.heard.fail_next(2);
    let (_, ts) = fake.direct_message("UANA", "flush-cache prod").await;
    assert_eq!(
        app.heard.keys(),
        BTreeSet::from([format!("slack:T1:DUANA:{ts}")])
    );
}

#[tokio::test]
async fn a_refusal_that_only_machines_see_has_a_reason_too() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    app.heard.fail_next(1);
    let body = json!({ "type": "event_callback", "team_id": "T1", "event": {
        "type": "message", "channel_type": "im", "channel": "D1", "user": "UANA", "ts": "17.1", "text": "help" } });
    let body = body.to_string();
    let headers = signed(SIGNING_SECRET, now(), body.as_bytes());
    let (status, text) = send(&app, Kind::Event, &headers, &body).await;
    assert_eq!(status, 503);
    assert!(text.contains("nothing was done"), "{text}");
}

#[tokio::test]
async fn a_slow_store_is_admitted_before_slack_gives_up() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    app.heard.slow(5_000);
    let began = Instant::now();
    let ack = fake.slash("UANA", "C1", "deploy slowly").await;
    assert!(
        began.elapsed() < Duration::from_millis(2_900),
        "{:?}",
        began.elapsed()
    );
    assert!(
        ack.status == 200 && ack.body.contains("the ledger is slow"),
        "{ack:?}"
    );
}

#[tokio::test]
async fn the_same_delivery_twenty_times_has_one_identity() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    let delivery = fake.slash_delivery("UANA", "C1", "flush-cache prod");
    for _ in 0..20 {
        assert_eq!(fake.deliver(&delivery).await.status, 200);
    }
    assert_eq!((app.heard.all().len(), app.heard.keys().len()), (20, 1));
}

#[test]
fn the_shipped_manifest_names_the_addresses_that_are_served() {
    let manifest = include_str!("../../../docs/slack-app-manifest.yaml");
    for kind in [Kind::Command, Kind::Event, Kind::Interaction] {
        assert!(
            manifest.contains(&format!(".com{}\n", kind.path())),
            "{kind:?}"
        );
    }
    for event in [
        "app_mention",
        "message.channels",
        "message.groups",
        "message.im",
        "message.mpim",
    ] {
        assert!(manifest.contains(&format!("      - {event}\n")), "{event}");
    }
}
