//! Threads.

use super::*;
use crate::fakes::discord::{ALICE, Posted, VOICE, permission};

#[tokio::test]
async fn a_thread_has_the_id_of_its_message_and_is_made_once() {
    let lab = Lab::start().await;
    let id = lab.says(GENERAL, "root").await.id();
    let path = format!("/channels/{GENERAL}/messages/{id}/threads");
    let made = lab
        .post(
            &path,
            &json!({ "name": "run 7f3k", "auto_archive_duration": 60 }),
        )
        .await;
    assert_eq!((made.status, made.id()), (201, id.clone()));
    assert_eq!(
        lab.post(&path, &json!({ "name": "again" })).await.error(),
        (400, 160_004)
    );
    assert_eq!(lab.says(&id, "in it").await.status, 200);
    let texts: Vec<String> = lab
        .fake
        .thread_of(&id)
        .unwrap()
        .iter()
        .map(Posted::text)
        .collect();
    assert_eq!(texts, ["in it"]);
    assert_eq!(
        lab.get(&format!("/channels/{id}")).await.body["parent_id"],
        GENERAL
    );
    let active = lab
        .get(&format!("/guilds/{GUILD}/threads/active"))
        .await
        .body;
    assert_eq!(active["threads"][0]["id"], id);
    assert_eq!(
        lab.get(&format!("/channels/{id}/messages"))
            .await
            .body
            .as_array()
            .unwrap()
            .len(),
        2,
        "and what Discord says"
    );
    assert_eq!(
        lab.get(&format!("/channels/{GENERAL}/messages/{id}"))
            .await
            .body["thread"]["id"],
        id
    );
    lab.ends_well();
}

#[tokio::test]
async fn threads_are_not_made_everywhere() {
    let lab = Lab::start().await;
    let voice = lab.says(VOICE, "root").await.id();
    let body = json!({ "name": "x" });
    assert_eq!(
        lab.post(
            &format!("/channels/{VOICE}/messages/{voice}/threads"),
            &body
        )
        .await
        .error(),
        (400, 50_024)
    );
    assert_eq!(
        lab.post(&format!("/channels/{VOICE}/threads"), &body)
            .await
            .error(),
        (400, 50_024)
    );
    let id = lab.says(GENERAL, "root").await.id();
    let path = format!("/channels/{GENERAL}/messages/{id}/threads");
    assert_eq!(
        lab.post(&path, &json!({ "name": "x".repeat(101) }))
            .await
            .error(),
        (400, 50_035)
    );
    assert_eq!(
        lab.post(&path, &json!({ "name": "x", "auto_archive_duration": 61 }))
            .await
            .error(),
        (400, 50_035)
    );
    assert_eq!(
        lab.post(&format!("/channels/{GENERAL}/messages/1/threads"), &body)
            .await
            .error(),
        (404, 10_008)
    );
    lab.provoked(&["100", "10080"]);
    lab.fake.deny(GENERAL, permission::CREATE_PUBLIC_THREADS);
    assert_eq!(lab.post(&path, &body).await.error(), (403, 50_013));
    lab.fake.allow(GENERAL, permission::USUAL);
    let alone = lab
        .post(
            &format!("/channels/{GENERAL}/threads"),
            &json!({ "name": "alone", "type": 11 }),
        )
        .await;
    assert_eq!(alone.status, 201);
    let inner = lab.says(&alone.id(), "in it").await.id();
    assert_eq!(
        lab.post(
            &format!("/channels/{}/messages/{inner}/threads", alone.id()),
            &body
        )
        .await
        .error(),
        (400, 50_024)
    );
    lab.fake.deny(GENERAL, permission::SEND_MESSAGES_IN_THREADS);
    assert_eq!(
        lab.says(&alone.id(), "no more").await.error(),
        (403, 50_013)
    );
    lab.ends_well();
}

#[tokio::test]
async fn an_archived_thread_wakes_by_a_post_and_by_nothing_else() {
    let lab = Lab::start().await;
    let id = lab.says(GENERAL, "root").await.id();
    lab.post(
        &format!("/channels/{GENERAL}/messages/{id}/threads"),
        &json!({ "name": "x" }),
    )
    .await;
    let inner = lab.says(&id, "in it").await.id();
    let path = format!("/channels/{id}/messages/{inner}");
    lab.fake.archive_thread(&id, false);
    assert_eq!(
        lab.patch(&path, &said("others")).await.error(),
        (400, 50_083)
    );
    assert_eq!(lab.delete(&path).await.error(), (400, 50_083));
    assert_eq!(
        lab.call(
            Method::PUT,
            &format!("{path}/reactions/%E2%9C%85/@me"),
            &Value::Null
        )
        .await
        .error(),
        (400, 50_083)
    );
    assert_eq!(
        lab.patch(&format!("/channels/{id}"), &json!({ "name": "y" }))
            .await
            .error(),
        (400, 50_083)
    );
    assert_eq!(lab.says(&id, "wake").await.status, 200);
    assert_eq!(lab.fake.thread_state(&id), (false, false));
    assert_eq!(lab.patch(&path, &said("others")).await.status, 200);
    lab.ends_well();
}

#[tokio::test]
async fn a_locked_thread_is_for_moderators() {
    let lab = Lab::start().await;
    let id = lab.says(GENERAL, "root").await.id();
    lab.post(
        &format!("/channels/{GENERAL}/messages/{id}/threads"),
        &json!({ "name": "x" }),
    )
    .await;
    lab.fake.archive_thread(&id, true);
    assert_eq!(lab.says(&id, "words").await.error(), (403, 50_083));
    let open = json!({ "archived": false });
    assert_eq!(
        lab.patch(&format!("/channels/{id}"), &open).await.error(),
        (403, 50_013)
    );
    lab.fake.open_thread(&id);
    lab.fake.lock_thread(&id);
    assert_eq!(lab.says(&id, "words").await.error(), (403, 160_005));
    lab.fake
        .allow(GENERAL, permission::USUAL | permission::MANAGE_THREADS);
    assert_eq!(lab.says(&id, "words").await.status, 200);
    lab.ends_well();
}

#[tokio::test]
async fn the_owner_archives_and_opens_but_does_not_lock() {
    let lab = Lab::start().await;
    let id = lab.says(GENERAL, "root").await.id();
    lab.post(
        &format!("/channels/{GENERAL}/messages/{id}/threads"),
        &json!({ "name": "x" }),
    )
    .await;
    let path = format!("/channels/{id}");
    assert_eq!(
        lab.patch(&path, &json!({ "archived": true })).await.status,
        200
    );
    assert_eq!(lab.fake.thread_state(&id), (true, false));
    assert_eq!(
        lab.patch(&path, &json!({ "archived": false, "name": "y" }))
            .await
            .body["name"],
        "y"
    );
    assert_eq!(
        lab.patch(&path, &json!({ "locked": true })).await.error(),
        (403, 50_013)
    );
    lab.fake.say(&id, ALICE, "hello");
    assert_eq!(lab.fake.threads(GENERAL), [id.as_str()]);
    lab.fake.delete_thread(&id);
    assert_eq!(lab.says(&id, "words").await.error(), (404, 10_003));
    lab.ends_well();
}
