//! Break-glass: said in full, told at once, limited, and unreviewed until somebody else signs it.

use std::time::Duration;

use midwatch::domain::{Fact, Glass, Means, PageEvent};

use super::Night;
use crate::world::{World, on_both_engines};

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

/// Bo is on call, and Cy after him.
const ON_CALL: &str = "\
people:
  ana: { name: Ana Ruiz, slack: U0ANA }
  bo: { name: Bo Lind, slack: U0BO }
  cy: { name: Cy Park, slack: U0CY }
  dana: { name: Dana Weiss, slack: U0DANA }
groups:
  engineering: [ana, bo, cy]
  team-shop: [ana]
  security: [dana]
rotations:
  shop: { zone: UTC, starts: 2026-01-05 09:00, every: 7d, levels: { oncall: [bo], secondary: [cy] } }
";
const ESCALATION: &str = "\
escalation:
  - { at: 0m, call: oncall(shop) }
  - { at: 5m, call: secondary(shop) }
";

fn on_call(world: World) -> Night {
    let shop = format!("{SHOP}{ESCALATION}");
    Night::on(
        world,
        &[
            ("runbooks/people.yaml", ON_CALL),
            ("runbooks/shop.yaml", &shop),
            FILES[1],
        ],
    )
}

/// What the ledger has of the page, in order.
async fn became(night: &Night) -> Vec<PageEvent> {
    let entries = night.entries().await.into_iter();
    let events = entries.filter_map(|entry| match entry.fact {
        Fact::Page { became, .. } => Some(became),
        _ => None,
    });
    events.collect()
}

/// A word for each, without what became of single calls.
async fn words(night: &Night) -> Vec<String> {
    let events = became(night).await.into_iter();
    let words = events.filter_map(|event| match event {
        PageEvent::Began { .. } => Some("began".to_owned()),
        PageEvent::Called { call, .. } => Some(format!("called {call}")),
        PageEvent::Escalated { .. } => Some("escalated".to_owned()),
        PageEvent::Acknowledged { by } => Some(format!("acknowledged by {by}")),
        PageEvent::Over => Some("over".to_owned()),
        PageEvent::CallEnded { .. } | PageEvent::CallDelayed { .. } => None,
    });
    words.collect()
}

on_both_engines! {
async fn those_who_must_know_are_called_with_the_run_and_the_next_until_somebody_has_it(world: World) {
    let mut night = on_call(world);
    let broken = night.says("dana", BREAK).await;
    insta::assert_snapshot!("glass_paged", broken.told.join("\n"));
    assert_eq!(words(&night).await, ["began", "called team-shop", "called oncall(shop)"]);
    assert!(broken.entries.iter().any(|it| matches!(it.fact, Fact::Page { .. })), "in the run's own transaction");
    night.succeeds().await;
    night.deliver().await;
    night.pass(Duration::from_secs(299));
    assert_eq!(night.calls().await, Vec::<String>::new(), "not yet");
    night.pass(Duration::from_secs(2));
    insta::assert_snapshot!("glass_paged_next", night.calls().await.join("\n"));
    let reference = night.last().await;
    let answered = night.says("cy", &format!("ack {reference}")).await;
    insta::assert_snapshot!("glass_answered", answered.told.join("\n"));
    night.pass(Duration::from_mins(60));
    assert_eq!(night.calls().await, Vec::<String>::new(), "nobody else is called");
    let all = ["began", "called team-shop", "called oncall(shop)", "called secondary(shop)", "acknowledged by cy"];
    assert_eq!(words(&night).await, all);
    assert_eq!(night.last_run().await.glass, Some(Glass::Unreviewed), "to have it is not to have signed it");
}

async fn who_broke_it_is_neither_called_for_it_nor_may_answer_it(world: World) {
    let mut night = on_call(world);
    let broken = night.says("bo", BREAK).await;
    let told = broken.told.join("\n");
    assert!(!told.contains("to U0BO") && !told.contains("@Bo Lind"), "{told}");
    // Of those on call at once only Bo is left, so the second level is called with them.
    assert_eq!(words(&night).await, ["began", "called team-shop", "called oncall(shop)", "called secondary(shop)"]);
    let own = night.says("bo", "ack").await;
    assert_eq!(own.refusal(), "own_page");
    insta::assert_snapshot!("glass_own_page", own.alone());
    night.says("ana", "ack").await;
    assert_eq!(words(&night).await.last().unwrap(), "acknowledged by ana");
}

async fn who_signs_it_has_looked_at_it_and_nobody_else_is_called(world: World) {
    let mut night = on_call(world);
    night.says("dana", BREAK).await;
    night.succeeds().await;
    let reference = night.last().await;
    night.says("ana", &format!("review {reference} it was right")).await;
    assert_eq!(words(&night).await.last().unwrap(), "over");
    night.pass(Duration::from_mins(60));
    let told = night.calls().await.join("\n");
    assert!(!told.contains("calling"), "{told}");
    assert_eq!(night.says("ana", "ack").await.refusal(), "no_page");
}
}

#[tokio::test]
async fn a_pager_that_was_called_is_told_when_it_is_signed() {
    let shop = format!(
        "{SHOP}{}",
        ESCALATION.replace("call: oncall(shop) }", "call: oncall(shop), by: [pager] }")
    );
    let files = [
        ("runbooks/people.yaml", ON_CALL),
        ("runbooks/shop.yaml", &shop),
        FILES[1],
    ];
    let mut night = Night::of(&files).await;
    night.says("dana", BREAK).await;
    let store = night.world.store.clone();
    let page = store.open_pages(None, 1).await.unwrap().remove(0).page;
    night.succeeds().await;
    let reference = night.last().await;
    night.says("ana", &format!("review {reference}")).await;
    let calls = store.calls_of(page.id).await.unwrap().into_iter();
    let told: Vec<String> = calls
        .filter(|(call, _)| call.means == Means::Pager)
        .map(|(call, _)| call.to)
        .collect();
    assert_eq!(
        told,
        ["", "resolve"],
        "called, and then told that it is over"
    );
}

#[tokio::test]
async fn whoever_is_on_call_and_an_owner_too_is_called_once() {
    let shop = format!("{SHOP}{ESCALATION}");
    let people = ON_CALL.replace("oncall: [bo]", "oncall: [ana]");
    let mut night = Night::of(&[
        ("runbooks/people.yaml", &people),
        ("runbooks/shop.yaml", &shop),
        FILES[1],
    ])
    .await;
    let broken = night.says("dana", BREAK).await;
    let alone = broken.told.iter().filter(|it| it.starts_with("to U0ANA"));
    assert_eq!(alone.count(), 1, "{:#?}", broken.told);
    assert_eq!(words(&night).await, ["began", "called team-shop"]);
}
