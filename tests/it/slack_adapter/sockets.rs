//! The sockets: what they survive, and that nothing said to them is lost.

use serde_json::json;

use super::*;
use crate::fakes::slack::{Kind, Order};

#[tokio::test]
async fn every_kind_of_envelope_is_acknowledged() {
    let fake = FakeSlack::start().await;
    let app = App::over_sockets(&fake, TIMING).await;
    for (number, (name, payload)) in fixtures().into_iter().enumerate() {
        let envelope = format!("fixture-{number}");
        let mut frame = payload.clone();
        if frame["envelope_id"].is_null() {
            let kind = if payload["command"].is_string() {
                "slash_commands"
            } else if payload["event"].is_object() {
                "events_api"
            } else {
                "interactive"
            };
            frame = json!({ "type": kind, "payload": payload, "accepts_response_payload": true });
            if ["hello", "disconnect"]
                .iter()
                .any(|kind| payload["type"] == *kind)
            {
                continue;
            }
        }
        frame["envelope_id"] = json!(envelope);
        fake.send_raw(&frame.to_string());
        fake.wait_for(&name, SOON, |fake| fake.acknowledged(&envelope))
            .await;
    }
    let ruins = [
        ("r-1", r#"{"envelope_id":"r-1","payload":{"#.to_owned()),
        (
            "r-2",
            r#"{"type":"slash_commands","envelope_id":"r-2","payload":null}"#.to_owned(),
        ),
        (
            "r-3",
            r#"{"type":"events_api","envelope_id":"r-3","payload":[1,2]}"#.to_owned(),
        ),
        (
            "r-4",
            r#"{"type":"new_thing","envelope_id":"r-4"}"#.to_owned(),
        ),
        (
            "r-5",
            format!(r#"{{"envelope_id":"r-5","x":"{}""#, "y".repeat(100_000)),
        ),
    ];
    for (envelope, text) in ruins {
        fake.send_raw(&text);
        fake.wait_for(envelope, SOON, |fake| fake.acknowledged(envelope))
            .await;
    }
    fake.send_raw("no json at all");
    assert_eq!(fake.slash("UANA", "C1", "still here").await.status, 200);
    assert_eq!(app.heard.texts().last().unwrap(), "still here");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_slow_commit_does_not_hold_up_the_next() {
    let fake = FakeSlack::start().await;
    let app = App::over_sockets(&fake, TIMING).await;
    app.heard.slow(1_500);
    let slow = async {
        tokio::join!(
            fake.slash("UANA", "C1", "slowly 1"),
            fake.slash("UANA", "C1", "slowly 2")
        )
    };
    let quick = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = std::time::Instant::now();
        let acks = [
            fake.slash("UBO", "C1", "quick 1").await,
            fake.slash("UBO", "C1", "quick 2").await,
        ];
        (acks, began.elapsed())
    };
    let ((one, two), (acks, took)) = tokio::join!(slow, quick);
    assert!([one, two].iter().chain(&acks).all(|ack| ack.status == 200));
    assert!(took < Duration::from_secs(1), "{took:?}");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_is_lost_when_the_sockets_are_cut() {
    let fake = FakeSlack::start().await;
    let mut app = App::over_sockets(&fake, quick()).await;
    app.heard.slow(300);
    let said = async {
        tokio::join!(
            fake.slash("UANA", "C1", "slowly while cut"),
            fake.direct_message("UBO", "slowly too")
        )
    };
    let cut = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        fake.cut_sockets();
    };
    let ((ack, _), ()) = tokio::join!(said, cut);
    assert_eq!(ack.status, 200, "it was sent again over a new socket");
    app.connected(2).await;
    fake.wait_for("acknowledgements", SOON, |fake| {
        (fake.unacknowledged() == 0).then_some(())
    })
    .await;
    let texts: BTreeSet<String> = app.heard.texts().into_iter().collect();
    assert_eq!(
        texts,
        BTreeSet::from(["slowly too".to_owned(), "slowly while cut".to_owned()])
    );
    assert_eq!(app.heard.keys().len(), 2);
    assert_eq!(fake.violations(), Vec::<String>::new());
    app.stop().await.unwrap();
}

#[tokio::test]
async fn an_announced_end_is_replaced_before_it_comes() {
    let fake = FakeSlack::start().await;
    let mut app = App::over_sockets(&fake, quick()).await;
    fake.fewest_sockets();
    for reason in ["warning", "refresh_requested"] {
        let before = fake.sockets_opened();
        fake.disconnect(reason);
        fake.wait_for("replacements", SOON, |fake| {
            (fake.sockets_opened() == before + 2 && fake.open_sockets() == 2).then_some(())
        })
        .await;
        app.connected(2).await;
        assert_eq!(fake.slash("UANA", "C1", reason).await.status, 200);
    }
    assert_eq!(fake.fewest_sockets(), 2, "there were always two");
    assert_eq!(fake.violations(), Vec::<String>::new());
    app.stop().await.unwrap();
    fake.wait_for("the end of all sockets", SOON, |fake| {
        (fake.open_sockets() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn too_many_sockets_make_us_wait_longer_and_longer() {
    let fake = FakeSlack::start().await;
    let mut app = App::start(&fake).await;
    fake.send_away(Some("too_many_websockets"));
    let timing = Timing {
        pause: Duration::from_millis(100),
        ..TIMING
    };
    app.listen(timing);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let tried = fake.sockets_opened();
    assert!((4..=12).contains(&tried), "{tried} connections in 1.5 s");
    let status = app.status.borrow().clone();
    assert_eq!(status.connected, 0);
    assert!(status.trouble.unwrap().contains("too many"));
    fake.send_away(None);
    app.connected(2).await;
    assert_eq!(app.status.borrow().trouble, None);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_socket_that_hears_nothing_is_left() {
    let fake = FakeSlack::start().await;
    let timing = Timing {
        quiet: Duration::from_millis(200),
        deaf: Duration::from_millis(200),
        ..quick()
    };
    let app = App::over_sockets(&fake, timing).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(
        fake.sockets_opened(),
        2,
        "a quiet socket that answers pings is kept"
    );
    fake.deafen_sockets();
    fake.wait_for("new sockets", SOON, |fake| {
        (fake.sockets_opened() >= 4).then_some(())
    })
    .await;
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_socket_that_is_only_slow_is_heard_until_another_is_there() {
    let fake = FakeSlack::start().await;
    let timing = Timing {
        quiet: Duration::from_millis(200),
        deaf: Duration::from_millis(200),
        ..quick()
    };
    let mut app = App::over_sockets(&fake, timing).await;
    fake.send_away(Some("too_many_websockets"));
    for socket in fake.hearing_sockets() {
        assert!(fake.order_socket(socket, Order::Dawdle(Duration::from_secs(2))));
    }
    app.connected(0).await;
    let ack = fake.slash("UANA", "C1", "are you there").await;
    assert_eq!(ack.status, 200, "acknowledged once it is read again");
    assert_eq!(app.heard.texts(), ["are you there"]);
    fake.send_away(None);
    app.connected(2).await;
    fake.wait_for("the end of the slow ones", SOON, |fake| {
        (fake.open_sockets() == 2).then_some(())
    })
    .await;
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_disabled_link_ends_listening_with_its_reason() {
    let fake = FakeSlack::start().await;
    let mut app = App::over_sockets(&fake, quick()).await;
    fake.disconnect("link_disabled");
    let ended = tokio::time::timeout(SOON, app.sockets.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(ended, Err(SocketsStopped::LinkDisabled));
    let status = app.status.borrow().clone();
    assert_eq!(status.connected, 0);
    assert!(status.trouble.unwrap().contains("switched off"));
}

#[tokio::test]
async fn what_could_not_be_recorded_is_said_or_comes_again() {
    let fake = FakeSlack::start().await;
    let mut app = App::over_sockets(&fake, quick()).await;
    app.heard.fail_next(1);
    let ack = fake.slash("UANA", "C1", "deploy prod").await;
    assert!(ack.body.contains("nothing was done"), "{ack:?}");
    app.heard.fail_next(1);
    let event = fake.event(
        &json!({ "type": "message", "channel_type": "im", "channel": "D1", "user": "U1",
                                    "ts": "17.1", "text": "flush-cache prod" }),
    );
    assert_eq!(fake.deliver(&event).await.status, 0, "no acknowledgement");
    assert!(app.heard.all().is_empty());
    fake.cut_sockets();
    app.connected(2).await;
    fake.wait_for("acknowledgement", SOON, |fake| {
        (fake.unacknowledged() == 0).then_some(())
    })
    .await;
    assert_eq!(app.heard.texts(), ["flush-cache prod"]);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn duplicates_over_both_sockets_have_one_identity() {
    let fake = FakeSlack::start().await;
    let app = App::over_sockets(&fake, TIMING).await;
    let delivery = fake.slash_delivery("UANA", "C1", "flush-cache prod");
    assert_eq!(delivery.kind, Kind::Command);
    for _ in 0..20 {
        assert_eq!(fake.deliver(&delivery).await.status, 200);
    }
    assert_eq!((app.heard.all().len(), app.heard.keys().len()), (20, 1));
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_waited_in_the_socket_while_we_were_stopped_is_as_old_as_it_can_be() {
    let fake = FakeSlack::start().await;
    let mut app = App::start(&fake).await;
    let before = app.door.clock.now();
    app.door.clock = Clock::steered(before);
    app.listen(TIMING);
    app.connected(2).await;
    // A process that was stopped finds that the clock went on, and what was sent meanwhile.
    let after = before + jiff::SignedDuration::from_mins(5);
    app.door.clock.set(after);
    for _ in 0..2 {
        fake.slash("U1", "C1", "help").await;
    }
    let said = app.heard.all();
    assert_eq!(said.len(), 2, "one over each socket");
    for said in said {
        assert_eq!((said.sent_at, said.received_at), (before, after));
    }
    app.stop().await.unwrap();
}
