//! Limits of a project: how many changes a person, and all together, may begin in a minute; and when there is room again.

use std::time::Duration;

use super::Night;

const SHOP: &str = "\
project: shop
about: The web shop.
owner: team-shop
channels: [C1]
environments: { staging: {}, prod: {}, spare: {}, other: {} }
limits: { a_person: 2, all: 3 }
rules:
  - { may: reads, who: everyone }
  - { may: flush, who: engineering }
  - otherwise: ask in #shop-help
";

#[tokio::test]
async fn who_begins_too_many_changes_is_told_when_there_is_room_again() {
    let mut night = Night::of(&[("runbooks/shop.yaml", SHOP)]).await;
    night.says("bo", "flush staging").await;
    night.pass(Duration::from_secs(20));
    night.says("bo", "look prod").await;
    night.says("bo", "flush prod").await;
    night.pass(Duration::from_secs(10));
    insta::assert_snapshot!(
        "limit_of_a_person",
        night.says("bo", "flush spare").await.alone()
    );
    assert_eq!(night.runs().await, 3, "what reads is not counted");
    night.says("ana", "flush spare").await;
    insta::assert_snapshot!(
        "limit_of_all",
        night.says("cy", "flush other").await.alone()
    );
    night.pass(Duration::from_secs(30));
    night.says("bo", "flush other").await;
    assert_eq!(night.runs().await, 5, "the first is a minute ago");
}
