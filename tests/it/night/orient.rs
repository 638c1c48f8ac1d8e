//! What is this, how is it done here, may I, whom do I call? One card, one orientation, one question.

use std::time::Duration;

use super::Night;

const SHOP: &str = "\
project: shop
about: The web shop, with a page cache in front.
owner: team-shop
channels: [C1]
environments: { staging: {}, prod: { dashboards: [\"https://graphs.example/shop\"] } }
rules:
  - { may: reads, who: everyone }
  - { may: flush, in: staging, who: everyone }
  - { may: flush, in: prod, who: [team-shop, oncall(shop)] }
  - { may: flush, in: prod, who: engineering, after: { approvals: 1, of: team-shop } }
  - { may: mend, who: security }
  - { may: wipe, who: everyone, never: the vendor does it; their hotline is +49 30 5550199 }
  - otherwise: \"ask in #shop-help, or call oncall(shop)\"
escalation:
  - { at: 0m, call: oncall(shop) }
  - { at: 5m, call: team-shop }
freezes:
  - { when: \"thu 00:00-24:00 UTC\", in: staging, reason: load tests }
";
const PEOPLE: &str = "\
people:
  ana: { name: Ana Ruiz, slack: U0ANA, hours: \"mon-fri 09:00-17:00 Europe/Berlin\" }
  bo: { name: Bo Lind, slack: U0BO }
  cy: { name: Cy Park, slack: U0CY, hours: \"mon-fri 09:00-17:00 Asia/Seoul\" }
  dana: { name: Dana Weiss, slack: U0DANA }
  eve: { name: Eve Stone, slack: U0EVE }
groups:
  engineering: [ana, bo, cy]
  team-shop: [ana, cy]
  security: [dana]
rotations:
  shop:
    zone: UTC
    starts: \"2026-01-05 09:00\"
    every: 7d
    levels: { oncall: [ana, cy] }
";
const PROSE: &str = "\
# The shop

## Empty the cache

Pages are slow afterwards.

## Known troubles

### Prices are old

### Search is empty
";
const MEND: &str = "\
command: mend
does: Mends it.
risk: high
undo: none
check: look
parameters:
  environment: { type: environment }
steps: [{ name: mend, run: [uptime] }]
";
const WIPE: &str = "\
command: wipe
does: Wipes the disks.
risk: high
parameters:
  environment: { type: environment }
steps: [{ name: wipe, run: [uptime] }]
";
const FILES: [(&str, &str); 5] = [
    ("runbooks/shop.yaml", SHOP),
    ("runbooks/people.yaml", PEOPLE),
    ("runbooks/shop.md", PROSE),
    ("commands/mend.yaml", MEND),
    ("commands/wipe.yaml", WIPE),
];

#[tokio::test]
async fn a_stranger_to_the_project_is_told_what_it_is_and_whom_to_call() {
    let mut night = Night::of(&FILES).await;
    insta::assert_snapshot!(
        "orient_before_anything",
        night.says("eve", "").await.alone()
    );
    night.says("ana", "flush prod").await;
    night.pass(Duration::from_secs(2));
    night.succeeds().await;
    night.pass(Duration::from_mins(20));
    night
        .says("bo", "flush prod --again reason=\"old prices\"")
        .await;
    night
        .says("ana", "lock staging 1h trying a new cache")
        .await;
    night.at("2026-01-15T03:20:00Z");
    insta::assert_snapshot!("orient", night.says("bo", "orient shop").await.alone());
    let wrong = night.says("bo", "orient shop please").await;
    assert_eq!(wrong.refusal(), "bad_builtin");
}

#[tokio::test]
async fn a_card_answers_all_five_questions_before_anything_is_done() {
    let mut night = Night::of(&FILES).await;
    for (name, who, text) in [
        ("card_allowed", "ana", "flush prod --plan"),
        ("card_with_consent", "bo", "flush prod --plan"),
        ("card_denied", "eve", "flush prod"),
        ("card_forbidden", "bo", "wipe prod"),
    ] {
        insta::assert_snapshot!(name, night.says(who, text).await.alone());
    }
    assert_eq!(night.runs().await, 0, "nothing was done");
    night.says("ana", "flush prod").await;
    night.succeeds().await;
    night.pass(Duration::from_mins(1));
    insta::assert_snapshot!("card_held", night.says("cy", "flush prod").await.alone());
    insta::assert_snapshot!(
        "card_held_plan",
        night.says("cy", "flush prod --plan").await.alone()
    );
    night.at("2026-01-15T03:20:00Z");
    insta::assert_snapshot!(
        "card_frozen",
        night.says("bo", "flush staging").await.alone()
    );
}

#[tokio::test]
async fn who_can_names_those_who_may_and_says_who_is_awake() {
    let mut night = Night::of(&FILES).await;
    insta::assert_snapshot!(
        "who_can",
        night.says("eve", "who-can flush prod").await.alone()
    );
    insta::assert_snapshot!(
        "who_can_nobody",
        night.says("eve", "who-can wipe prod").await.alone()
    );
    night.at("2026-01-15T03:20:00Z");
    insta::assert_snapshot!(
        "who_can_frozen",
        night.says("eve", "who-can flush staging").await.alone()
    );
}

#[tokio::test]
async fn who_may_not_asks_those_who_may_and_their_click_runs_it_in_their_name() {
    let mut night = Night::of(&FILES).await;
    let asked = night
        .says("eve", "ask flush prod reason=\"old prices\"")
        .await;
    insta::assert_snapshot!("ask", asked.told.join("\n"));
    assert_eq!(night.runs().await, 0);
    let says = "flush prod reason=\"for eve: old prices\" project=shop";
    assert!(asked.told[0].contains(says), "{:?}", asked.told);
    // Pressed by somebody who may not either, it helps nobody.
    night.says("eve", says).await;
    assert_eq!(night.runs().await, 0);
    night.says("ana", says).await;
    let run = night.last_run().await;
    assert_eq!(run.requester.to_string(), "ana");
    assert_eq!(
        run.invocation.reason.as_deref(),
        Some("for eve: old prices")
    );
    // Who may, needs not ask; what nobody may, is asked of nobody.
    night.says("bo", "ask look prod").await;
    assert_eq!(night.runs().await, 2);
    assert!(
        night
            .says("bo", "ask wipe prod")
            .await
            .alone()
            .contains("hotline")
    );
}
