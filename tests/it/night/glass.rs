//! Break-glass: said in full, told at once, limited, and unreviewed until somebody else signs it.

use std::time::Duration;

use midwatch::domain::Glass;

use super::Night;
use crate::world::on_both_engines;

const SHOP: &str = "\
project: shop
about: The web shop.
owner: team-shop
channels: [C1]
environments: { staging: {}, prod: {} }
rules:
  - { may: reads, who: everyone }
  - { may: mend, who: everyone, never: the vendor mends it }
  - { may: flush, in: prod, who: team-shop }
  - { may: flush, in: prod, who: engineering, after: { approvals: 1, of: team-shop } }
  - { may: flush, in: prod, who: [bo, dana], break_glass: { pages: owner, a_day: 2 } }
  - otherwise: ask in #shop-help
freezes:
  - { when: \"mon-sun 00:00-24:00 UTC\", in: prod, reason: the sale }
";
const MEND: &str = "\
command: mend
does: Mends it.
parameters:
  environment: { type: environment }
steps: [{ name: mend, run: [uptime] }]
";
const FILES: [(&str, &str); 2] = [("runbooks/shop.yaml", SHOP), ("commands/mend.yaml", MEND)];
const BREAK: &str = "break-glass flush prod reason=\"the sale is down\" phrase=\"flush prod\"";

on_both_engines! {
async fn the_glass_is_broken_with_a_reason_and_a_phrase_and_the_owner_hears_of_it(world: World) {
    let mut night = Night::on(world, &FILES);
    insta::assert_snapshot!("glass_denied", night.says("dana", "flush prod").await.alone());
    let unsaid = night.says("dana", "break-glass flush prod").await;
    assert_eq!(unsaid.refusal(), "missing");
    insta::assert_snapshot!("glass_unsaid", unsaid.alone());
    let wrong = night.says("dana", "break-glass flush prod reason=x phrase=\"flush staging\"").await;
    assert_eq!(wrong.refusal(), "bad_builtin");
    assert_eq!(night.runs().await, 0);
    let broken = night.says("dana", BREAK).await;
    insta::assert_snapshot!("glass_broken", broken.told.join("\n"));
    let run = night.last_run().await;
    assert_eq!(run.glass, Some(Glass::Unreviewed));
    assert!(run.invocation.glass && run.plan.is_some(), "it runs, although all is frozen");
}
}

#[tokio::test]
async fn a_lock_and_what_runs_hold_an_override_too_and_what_is_forbidden_stays_so() {
    let mut night = Night::of(&FILES).await;
    night.says("ana", "lock prod 2h restoring a backup").await;
    assert!(
        night
            .says("dana", BREAK)
            .await
            .alone()
            .contains("is locked")
    );
    night.says("ana", "unlock prod").await;
    night.says("dana", BREAK).await;
    assert!(
        night
            .says("bo", BREAK)
            .await
            .alone()
            .contains("is running already")
    );
    assert_eq!(night.runs().await, 1);
    let mend = "break-glass mend prod reason=\"the sale is down\" phrase=\"mend prod\"";
    assert!(
        night
            .says("dana", mend)
            .await
            .alone()
            .contains("the vendor mends it")
    );
    // Who needs consent and may break the glass, need not wait; who may not, waits as ever.
    night.succeeds().await;
    night.says("bo", BREAK).await;
    assert_eq!(night.last_run().await.glass, Some(Glass::Unreviewed));
    night.succeeds().await;
    let before = night.runs().await;
    assert!(
        night
            .says("eve", BREAK)
            .await
            .alone()
            .contains("not yours to run")
    );
    assert_eq!(night.runs().await, before);
}

#[tokio::test]
async fn a_person_breaks_it_a_few_times_a_day_and_no_more() {
    let mut night = Night::of(&FILES).await;
    for _ in 0..2 {
        night.says("dana", BREAK).await;
        night.succeeds().await;
        night.pass(Duration::from_mins(1));
    }
    insta::assert_snapshot!("glass_used_up", night.says("dana", BREAK).await.alone());
    assert_eq!(night.runs().await, 2);
    night.pass(Duration::from_hours(24));
    night.says("dana", BREAK).await;
    assert_eq!(night.runs().await, 3);
}

#[tokio::test]
async fn it_stays_unreviewed_until_somebody_else_signs_it() {
    let mut night = Night::of(&FILES).await;
    night.says("dana", BREAK).await;
    let run = night.last().await;
    assert_eq!(
        night.says("ana", &format!("review {run}")).await.refusal(),
        "still_open"
    );
    night.succeeds().await;
    night.deliver().await;
    night.pass(Duration::from_hours(30));
    insta::assert_snapshot!("glass_reviews", night.says("ana", "review").await.alone());
    assert_eq!(
        night.says("dana", &format!("review {run}")).await.refusal(),
        "own_run"
    );
    assert_eq!(
        night.says("eve", &format!("review {run}")).await.refusal(),
        "not_yours"
    );
    let signed = night
        .says("ana", &format!("review {run} it was right to do that"))
        .await;
    insta::assert_snapshot!("glass_signed", signed.told.join("\n"));
    assert_eq!(
        night.says("ana", &format!("review {run}")).await.refusal(),
        "reviewed_already"
    );
    insta::assert_snapshot!(
        "glass_all_reviewed",
        night.says("ana", "review").await.alone()
    );
    night.says("ana", "flush staging").await;
}
