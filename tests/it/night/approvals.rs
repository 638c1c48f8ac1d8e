//! Consent: several groups, each person once; bound to what was shown; taken back, sent back, voided.

use midwatch::domain::{Decided, Fact, Phase};

use super::Night;
use crate::world::on_both_engines;

const SHOP: &str = "\
project: shop
about: The web shop.
owner: team-shop
channels: [C1]
environments: { staging: {}, prod: {} }
rules:
  - may: flush
    who: everyone
    after: { approvals: 2, of: team-shop, and: [{ approvals: 1, of: [security, ana] }], within: 30m }
  - otherwise: ask in #shop-help
";
/// Who asks is in the team as well.
const PEOPLE: &str = "\
people:
  ana: { name: Ana Ruiz, slack: U0ANA }
  bo: { name: Bo Lind, slack: U0BO }
  cy: { name: Cy Park, slack: U0CY }
  dana: { name: Dana Weiss, slack: U0DANA }
  eve: { name: Eve Stone, slack: U0EVE }
groups:
  engineering: [bo]
  team-shop: [ana, bo, cy]
  security: [dana]
";
const FILES: [(&str, &str); 2] = [
    ("runbooks/shop.yaml", SHOP),
    ("runbooks/people.yaml", PEOPLE),
];

impl Night {
    async fn waits(&self) -> bool {
        matches!(self.last_run().await.phase, Phase::AwaitingApproval { .. })
    }
}

#[tokio::test]
async fn several_groups_consent_each_person_once_and_never_the_requester() {
    let mut night = Night::of(&FILES).await;
    let asked = night.says("bo", "flush prod").await;
    insta::assert_snapshot!(asked.told.join("\n"));
    let run = night.last().await;
    let approve = format!("approve {run}");
    assert_eq!(night.says("bo", &approve).await.refusal(), "own_run");
    assert_eq!(
        night.says("eve", &approve).await.refusal(),
        "not_an_approver"
    );
    night.says("ana", &approve).await;
    assert_eq!(
        night.says("ana", &approve).await.refusal(),
        "approved_already"
    );
    let second = night.says("cy", &approve).await;
    insta::assert_snapshot!(second.told.join("\n"));
    // Ana may stand for security, and then one of the team is missing: three persons are needed.
    assert!(night.waits().await);
    let last = night.says("dana", &approve).await;
    insta::assert_snapshot!(last.told.join("\n"));
    assert!(!night.waits().await);
}

#[tokio::test]
async fn consent_is_taken_back_while_others_are_waited_for() {
    let mut night = Night::of(&FILES).await;
    night.says("bo", "flush prod").await;
    let run = night.last().await;
    night.says("ana", &format!("approve {run}")).await;
    night.says("cy", &format!("approve {run}")).await;
    let back = night.says("ana", &format!("withdraw {run}")).await;
    insta::assert_snapshot!(back.told.join("\n"));
    night.says("dana", &format!("approve {run}")).await;
    assert!(night.waits().await, "two of three consent");
    assert_eq!(
        night
            .says("ana", &format!("withdraw {run}"))
            .await
            .refusal(),
        "not_approved"
    );
    night.says("ana", &format!("approve {run}")).await;
    assert!(!night.waits().await);
    assert_eq!(
        night.says("cy", &format!("withdraw {run}")).await.refusal(),
        "not_waiting"
    );
}

#[tokio::test]
async fn a_run_is_sent_back_with_what_to_change() {
    let mut night = Night::of(&FILES).await;
    night.says("bo", "flush prod").await;
    let run = night.last().await;
    assert_eq!(
        night
            .says("ana", &format!("send-back {run}"))
            .await
            .refusal(),
        "bad_builtin"
    );
    assert_eq!(
        night
            .says("bo", &format!("send-back {run} no"))
            .await
            .refusal(),
        "own_run"
    );
    let back = night
        .says("ana", &format!("send-back {run} staging first, please"))
        .await;
    insta::assert_snapshot!(back.told.join("\n"));
}

on_both_engines! {
async fn consent_is_void_when_what_would_be_done_or_the_runbook_changes(world: World) {
    let mut night = Night::on(world, &FILES);
    night.says("bo", "flush prod").await;
    let run = night.last().await;
    let old = night.last_run().await;
    let Phase::AwaitingApproval { proposal: Some(shown), .. } = &old.phase else {
        panic!("{:?}", old.phase);
    };
    let seen = shown.digits();
    night.says("ana", &format!("approve {run} {seen}")).await;
    night.says("cy", &format!("approve {run} {seen}")).await;
    // A file that has nothing to do with it changes nothing.
    night.writes("commands/other.yaml", "command: other\ndoes: It.\nsteps: [{ name: x, run: [uptime] }]\n");
    night.writes("commands/flush.yaml", &crate::night::FLUSH.replace("uptime", "date"));
    let void = night.says("dana", &format!("approve {run} {seen}")).await;
    insta::assert_snapshot!("void", void.told.join("\n"));
    let stale = night.says("cy", &format!("approve {run} {seen}")).await;
    assert_eq!(stale.refusal(), "another_plan");
    for who in ["ana", "cy"] {
        night.says(who, &format!("approve {run}")).await;
    }
    assert!(night.waits().await, "what was said before counts no more");
    night.writes("runbooks/shop.yaml", &SHOP.replace("The web shop.", "The shop."));
    night.says("dana", &format!("approve {run}")).await;
    assert!(night.waits().await, "the runbook is another");
    for who in ["ana", "cy", "dana"] {
        assert!(night.waits().await);
        night.says(who, &format!("approve {run}")).await;
    }
    assert!(!night.waits().await);
}
}

#[tokio::test]
async fn another_command_or_argument_voids_nothing_that_it_does_not_touch() {
    let mut night = Night::of(&FILES).await;
    night.says("bo", "flush prod").await;
    let run = night.last().await;
    for who in ["ana", "cy"] {
        night.says(who, &format!("approve {run}")).await;
    }
    night.writes(
        "commands/look.yaml",
        &crate::night::LOOK.replace("uptime", "date"),
    );
    let last = night.says("dana", &format!("approve {run}")).await;
    assert!(!night.waits().await);
    let approved = last
        .entries
        .iter()
        .filter(|entry| matches!(entry.fact, Fact::Run { .. }));
    assert_eq!(approved.count(), 2, "approved, allowed");
    let asked = &night.entries().await[1].fact;
    assert!(matches!(
        asked,
        Fact::Decided {
            decision: Decided::RequireApproval(_),
            ..
        }
    ));
}

#[tokio::test]
async fn consent_that_a_freeze_overtakes_is_told_until_when() {
    let freeze = "freezes:\n  - { from: \"2026-01-14 03:10 UTC\", until: \"2026-01-14 05:00 UTC\", reason: backups run }\n";
    let shop = SHOP
        .replace(
            "{ approvals: 2, of: team-shop, and: [{ approvals: 1, of: [security, ana] }], within: 30m }",
            "{ approvals: 1, of: team-shop, within: 30m }",
        )
        + freeze;
    let mut night = Night::of(&[("runbooks/shop.yaml", &shop), FILES[1]]).await;
    night.says("eve", "flush prod").await;
    night.pass(std::time::Duration::from_mins(11));
    let run = night.last().await;
    let held = night.says("ana", &format!("approve {run}")).await;
    assert_eq!(held.refusal(), "held");
    let until = "changes are frozen until 2026-01-14 05:00:00 UTC (in 1 h 49 m) (backups run)";
    assert!(held.alone().contains(until), "{}", held.alone());
    assert!(night.waits().await);
}
