//! A year later `why` says by whose shift something was allowed, whatever the rotation has become.

use midwatch::domain::Phase;

use super::Night;
use crate::world::MINUTE;

const PEOPLE: &str = "\
people:
  ana: { name: Ana Ruiz, slack: U0ANA }
  bo: { name: Bo Lind, slack: U0BO }
  cy: { name: Cy Park, slack: U0CY }
groups: { team: [ana, bo] }
rotations:
  shop:
    zone: Europe/Berlin
    starts: 2026-01-05 09:00
    every: 7d
    levels: { oncall: [ana, bo] }
";
const SHOP: &str = "\
project: shop
about: The web shop.
owner: team
channels: [C1]
environments: { staging: {}, prod: {} }
rules:
  - { may: flush, in: staging, who: oncall(shop) }
  - { may: flush, who: everyone, after: { approvals: 1, of: oncall(shop), within: 2h } }
  - otherwise: ask oncall(shop)
";

async fn night() -> Night {
    Night::of(&[
        ("runbooks/shop.yaml", SHOP),
        ("runbooks/people.yaml", PEOPLE),
    ])
    .await
}

#[tokio::test]
async fn why_names_the_shift_of_who_was_allowed_and_of_who_consented() {
    let mut night = night().await;
    let turns = night.says("ana", "oncall").await;
    let first = ["Ana Ruiz", "Bo Lind"].map(|name| turns.alone().find(name));
    let (on_call, other) = if first[0] < first[1] {
        ("ana", "bo")
    } else {
        ("bo", "ana")
    };
    night.says(on_call, "flush staging").await;
    let alone = night.last().await;
    let why = night.says(other, &format!("why {alone}")).await;
    assert!(
        why.alone()
            .contains("acted as   oncall(shop), a shift until "),
        "{}",
        why.alone()
    );
    night.pass(MINUTE);
    night.says(other, "flush prod").await;
    let asked = night.last().await;
    night.says(on_call, &format!("approve {asked}")).await;
    let why = night.says(other, &format!("why {asked}")).await;
    assert!(
        why.alone().contains("acted as   everyone"),
        "{}",
        why.alone()
    );
    assert!(
        why.alone()
            .contains("approved, as oncall(shop), a shift until "),
        "{}",
        why.alone()
    );
}

#[tokio::test]
async fn consent_that_is_waited_for_moves_with_the_shift() {
    let mut night = night().await;
    // Bo's shift ends on Monday at nine in Berlin.
    night.at("2026-01-19T07:30:00Z");
    night.says("cy", "flush prod").await;
    let run = night.last().await;
    assert!(night.tend().await.is_empty(), "nobody came on call");
    night.at("2026-01-19T08:00:01Z");
    let told = night.tend().await;
    insta::assert_snapshot!(told.join("\n"));
    assert!(night.tend().await.is_empty(), "it is told once");
    let approve = format!("approve {run}");
    assert_eq!(
        night.says("bo", &approve).await.refusal(),
        "not_an_approver"
    );
    night.says("ana", &approve).await;
    assert!(!matches!(
        night.last_run().await.phase,
        Phase::AwaitingApproval { .. }
    ));
}
