//! Limits and weather.

use super::*;
use crate::fakes::discord::{Limit, Scope, Storm};

#[tokio::test]
async fn a_bucket_is_told_in_headers_and_refuses_when_it_is_empty() {
    let lab = Lab::start().await;
    lab.fake
        .set_limit(Limit::Posts, 3, Duration::from_millis(900));
    for left in ["2", "1", "0"] {
        let reply = lab.says(GENERAL, "words").await;
        let header = |name: &str| reply.headers[name].clone();
        assert_eq!(
            (
                reply.status,
                header("x-ratelimit-limit"),
                header("x-ratelimit-remaining")
            ),
            (200, "3".to_owned(), left.to_owned())
        );
        assert!(header("x-ratelimit-reset-after").parse::<f64>().unwrap() <= 0.9);
        assert!(header("x-ratelimit-reset").parse::<f64>().unwrap() > 1.7e9);
        assert_eq!(header("x-ratelimit-bucket").len(), 32);
    }
    let reply = lab.says(GENERAL, "words").await;
    assert_eq!(
        (
            reply.status,
            &reply.headers["x-ratelimit-scope"],
            &reply.headers["retry-after"]
        ),
        (429, &"user".to_owned(), &"1".to_owned())
    );
    let wait = reply.body["retry_after"].as_f64().unwrap();
    assert!(
        wait > 0.0 && wait < 0.9 && reply.body["global"] == false,
        "{}",
        reply.body
    );
    assert_eq!(
        lab.says(OPS, "words").await.status,
        200,
        "another channel is another bucket"
    );
    tokio::time::sleep(Duration::from_secs_f64(wait + 0.02)).await;
    assert_eq!(lab.says(GENERAL, "words").await.status, 200);
    assert_eq!(lab.fake.invalid_requests(), 1);
    lab.ends_well();
}

#[tokio::test]
async fn who_does_not_wait_violates() {
    let lab = Lab::start().await;
    lab.fake.refuse_next(1);
    assert_eq!(lab.says(GENERAL, "words").await.status, 429);
    tokio::time::sleep(Duration::from_millis(300)).await;
    lab.says(OPS, "words").await;
    lab.ends_well();
    lab.says(GENERAL, "words").await;
    lab.provoked(&["before Retry-After had passed"]);
    lab.fake
        .refuse_next_as(1, Scope::Global, Duration::from_secs(2));
    let reply = lab.says(GENERAL, "words").await;
    assert_eq!(
        (
            reply.status,
            &reply.body["global"],
            &reply.headers["x-ratelimit-global"]
        ),
        (429, &json!(true), &"true".to_owned())
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    lab.fake.take_violations();
    lab.says(OPS, "words").await;
    lab.provoked(&["before Retry-After had passed"]);
}

#[tokio::test]
async fn shared_limits_are_nobodys_fault_and_a_ban_is_html() {
    let lab = Lab::start().await;
    lab.fake
        .refuse_next_as(1, Scope::Shared, Duration::from_millis(100));
    assert_eq!(
        lab.says(GENERAL, "words").await.headers["x-ratelimit-scope"],
        "shared"
    );
    assert_eq!(lab.fake.invalid_requests(), 0);
    lab.fake
        .refuse_next_as(1, Scope::Cloudflare, Duration::from_millis(100));
    let reply = lab.says(OPS, "words").await;
    assert_eq!(
        (reply.status, &reply.body, &*reply.headers["content-type"]),
        (429, &Value::Null, "text/html")
    );
    assert!(!reply.headers.contains_key("x-ratelimit-bucket"));
    lab.ends_well();
}

#[tokio::test]
async fn there_is_a_limit_for_everything_together() {
    let lab = Lab::start().await;
    lab.fake.set_global_limit(4);
    for path in [
        "/gateway",
        "/users/@me",
        "/users/@me/guilds",
        "/applications/@me",
    ] {
        assert_eq!(lab.get(path).await.status, 200);
    }
    let reply = lab.get("/gateway").await;
    assert_eq!((reply.status, &reply.body["global"]), (429, &json!(true)));
    assert_eq!(
        lab.get(&format!("/webhooks/{APP}/t/messages/@original"))
            .await
            .status,
        404,
        "interactions aside"
    );
    lab.answered_well();
}

#[tokio::test]
async fn calls_fail_and_answers_are_lost_on_request() {
    let lab = Lab::start().await;
    lab.fake.fail_next(1);
    assert_eq!(lab.says(GENERAL, "not there").await.status, 503);
    lab.fake.drop_answer_next(1);
    let request = lab
        .client
        .post(lab.url(&format!("/channels/{GENERAL}/messages")))
        .header("authorization", &lab.token);
    let lost = request.json(&said("there")).send().await;
    let lost = match lost {
        Ok(response) => response.text().await.is_err(),
        Err(_) => true,
    };
    assert!(lost);
    assert_eq!(lab.fake.texts(GENERAL), ["there"]);
    lab.ends_well();
}

#[tokio::test]
async fn a_storm_does_what_it_is_told_and_ends() {
    let lab = Lab::start().await;
    lab.fake.keep_pace(false);
    lab.fake.storm(
        Storm {
            fail: 0.3,
            delay: 0.5,
            delay_max: Duration::from_millis(5),
            ..Storm::default()
        },
        7,
    );
    for _ in 0..40 {
        lab.get("/gateway").await;
    }
    let toll = lab.fake.toll();
    assert!(
        (4..25).contains(&toll.failed) && toll.delayed > 5,
        "{toll:?}"
    );
    lab.fake.storm(
        Storm {
            refuse: 1.0,
            ..Storm::default()
        },
        7,
    );
    assert_eq!(lab.get("/gateway").await.status, 429);
    lab.fake.calm();
    assert_eq!(lab.get("/users/@me").await.status, 200);
    lab.ends_well();
}
