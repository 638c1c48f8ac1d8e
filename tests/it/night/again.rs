//! Did someone just do it? Whoever asks for the same is told who did, and may take the result, follow, or say why again.

use std::time::Duration;

use super::Night;

#[tokio::test]
async fn who_asks_for_what_was_just_done_is_told_all_about_it_and_may_use_the_result() {
    let mut night = Night::usual().await;
    night.says("ana", "flush prod reason=\"old prices\"").await;
    night.pass(Duration::from_secs(3));
    night.succeeds().await;
    night.deliver().await;
    night.pass(Duration::from_mins(4));
    let held = night.says("bo", "flush prod").await;
    insta::assert_snapshot!(held.alone());
    let run = night.last().await;
    let used = night.says("bo", &format!("join {run}")).await;
    insta::assert_snapshot!(used.told.join("\n"));
    assert_eq!(
        night.last_run().await.followers.len(),
        1,
        "the ledger names him"
    );
    let twice = night.says("bo", &format!("join {run}")).await;
    assert_eq!(twice.refusal(), "joined_already");
}

#[tokio::test]
async fn the_same_person_is_held_too_and_who_insists_says_why() {
    let mut night = Night::usual().await;
    night.says("ana", "flush prod").await;
    night.succeeds().await;
    let first = night.last().await;
    assert!(
        night
            .says("ana", "flush prod")
            .await
            .alone()
            .contains("someone just did it")
    );
    let why = night.says("ana", "flush prod --again").await;
    assert_eq!(why.refusal(), "missing");
    insta::assert_snapshot!(why.alone());
    night.pass(Duration::from_secs(1));
    night
        .says("ana", "flush prod --again reason=\"still stale\"")
        .await;
    assert_ne!(night.last().await, first);
}

#[tokio::test]
async fn who_asks_for_what_runs_may_follow_it_in_a_thread_of_their_own() {
    let mut night = Night::usual().await;
    night.says("ana", "flush prod").await;
    night.work(None).await;
    night.pass(Duration::from_secs(20));
    let held = night.says_in("C2", "bo", "flush prod").await;
    insta::assert_snapshot!(held.alone());
    let run = night.last().await;
    let joined = night.says_in("C2", "bo", &format!("join {run}")).await;
    insta::assert_snapshot!(joined.told.join("\n"));
    let here = night.says("cy", &format!("join {run}")).await;
    insta::assert_snapshot!(here.told.join("\n"));
    assert_eq!(night.last_run().await.mirrors.len(), 1);
    let again = night.says("cy", &format!("join {run}")).await;
    assert_eq!(again.refusal(), "joined_already");
}

#[tokio::test]
async fn what_did_not_succeed_has_no_result_to_use() {
    let mut night = Night::usual().await;
    night.says("ana", "flush prod").await;
    let run = night.last().await;
    night.says("ana", &format!("cancel {run}")).await;
    let result = midwatch::domain::StepResult::Stopped;
    night
        .work(Some((result, midwatch::domain::Outcome::Cancelled)))
        .await;
    let joined = night.says("bo", &format!("join {run}")).await;
    assert_eq!(joined.refusal(), "no_result");
}
