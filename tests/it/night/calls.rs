//! Whom a page reaches: a level that nobody can be reached by counts for nothing.

use std::time::Duration;

use super::Night;
use crate::world::on_both_engines;

/// Ana is on Discord alone, where this midwatch doesn't speak.
const PEOPLE: &str = "\
people:
  ana: { name: Ana Ruiz, discord: \"820000000000000001\" }
  bo: { name: Bo Lind, slack: U0BO }
  cy: { name: Cy Park, slack: U0CY }
groups:
  engineering: [ana, bo, cy]
  team-shop: [ana, cy]
rotations:
  shop: { zone: UTC, starts: 2026-01-05 09:00, every: 7d, levels: { oncall: [ana], secondary: [cy] } }
";
const SHOP: &str = "\
project: shop
about: The web shop.
owner: team-shop
channels: [C1]
environments: { staging: {}, prod: {} }
rules:
  - { may: flush, who: engineering }
  - otherwise: ask cy
escalation:
  - { at: 0m, call: oncall(shop) }
  - { at: 5m, call: secondary(shop) }
  - { at: 15m, call: team-shop }
";

on_both_engines! {
async fn who_has_no_account_where_a_page_is_told_is_passed_for_the_next_level_at_once(world: World) {
    let files = [("runbooks/people.yaml", PEOPLE), ("runbooks/shop.yaml", SHOP)];
    let mut night = Night::on(world, &files);
    let paged = night.says("bo", "page \"checkout is down\"").await;
    insta::assert_snapshot!("nobody_reached", paged.told.join("\n").replace(&night.page().await, "7f3k"));
    night.pass(Duration::from_mins(16));
    // Of a group, those are called who can be.
    let last = night.calls().await.join("\n");
    assert!(last.contains("calling team-shop: @Cy Park"), "{last}");
}
}
