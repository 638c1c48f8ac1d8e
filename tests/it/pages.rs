//! Pages: who is called when, by what, what ends it; over restarts and replicas, on both stores.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use midwatch::domain::{CallState, Fact, PageEvent, Platform};
use midwatch::engine::pager::{Outside, Pager};

use crate::oncall::{House, noon};
use crate::world::on_both_engines;

const CONSENT: &str = "\
project: shop
about: The shop.
owner: team
channels: [C1]
rules:
  - { may: look, who: [cy, eve], after: { approvals: 1, of: [ana, dana], within: 1h } }
  - otherwise: call oncall(shop)
escalation:
  - { at: 0m, call: oncall(shop) }
  - { at: 5m, call: secondary(shop) }
  - { at: 15m, call: team, say_so: true }
";

fn pager(house: &House) -> Pager {
    Pager {
        store: house.world.store.clone(),
        catalog: house.dispatch.catalog.clone(),
        clock: house.clock.clone(),
        spoken: vec![Platform::Slack],
        outside: Outside::default(),
    }
}

/// Time passes, and the pager looks.
async fn later(house: &House, minutes: i64, seconds: i64) -> String {
    let after = SignedDuration::from_secs(60 * minutes + seconds);
    house.clock.set(noon() + after);
    pager(house).tick().await.unwrap();
    house.delivered().await.join("\n\n")
}

/// The reference of the only page that is open.
async fn reference(house: &House) -> String {
    let open = house.world.store.open_pages(None, 10).await.unwrap();
    assert_eq!(open.len(), 1);
    open[0].page.reference.to_string()
}

/// The words, without the reference, which is another one each time.
async fn plain(house: &House, told: String) -> String {
    let shop = "shop".parse().unwrap();
    let all = house.world.store.pages_since(&shop, Timestamp::MIN, 10);
    let mut told = told;
    for known in all.await.unwrap() {
        told = told.replace(known.page.reference.as_str(), "7f3k");
    }
    told
}

on_both_engines! {
async fn levels_are_called_in_order_until_somebody_answers(world: World) {
    let mut house = House::on(world);
    let began = house.says("U0EVE", "page \"checkout is down\"").await;
    insta::assert_snapshot!("began", plain(&house, began).await);
    assert_eq!(later(&house, 4, 59).await, "", "not yet");
    let second = later(&house, 5, 0).await;
    insta::assert_snapshot!("second_level", plain(&house, second).await);
    assert_eq!(later(&house, 5, 30).await, "", "once");
    let reference = reference(&house).await;
    let answered = house.says("U0CY", &format!("ack {reference}")).await;
    insta::assert_snapshot!("answered", plain(&house, answered).await);
    assert_eq!(later(&house, 20, 0).await, "", "nobody else is called");
    let twice = house.says("U0ANA", &format!("ack {reference}")).await;
    insta::assert_snapshot!("answered_twice", plain(&house, twice).await);
}

async fn the_last_level_says_that_it_is_the_last(world: World) {
    let mut house = House::on(world);
    house.says("U0EVE", "page it hangs").await;
    later(&house, 5, 0).await;
    let last = later(&house, 15, 2).await;
    insta::assert_snapshot!("last_level", plain(&house, last).await);
    assert_eq!(later(&house, 60, 0).await, "");
    let answered = house.says("U0DANA", "ack").await;
    assert!(answered.contains("✅ @dana has page"), "{answered}");
}

async fn who_does_not_want_to_wait_calls_the_next_level(world: World) {
    let mut house = House::on(world);
    house.says("U0EVE", "page it hangs").await;
    house.clock.set(noon() + SignedDuration::from_mins(2));
    let told = house.says("U0EVE", "escalate").await;
    insta::assert_snapshot!("escalated", plain(&house, told).await);
    // The third keeps its ten minutes after the second.
    assert_eq!(later(&house, 11, 59).await, "");
    assert_ne!(later(&house, 12, 0).await, "");
    let none = house.says("U0EVE", "escalate").await;
    insta::assert_snapshot!("no_level_left", plain(&house, none).await);
}

async fn a_shift_that_changes_meanwhile_counts(world: World) {
    let mut house = House::on(world);
    house.says("U0EVE", "page it hangs").await;
    house.says("U0DANA", "oncall cover 4h secondary(shop)").await;
    let second = later(&house, 5, 0).await;
    assert!(second.contains("to U0DANA:\n📟 @eve pages you"), "{second}");
    assert!(!second.contains("to U0CY"), "{second}");
}

async fn what_became_due_while_nobody_ran_is_called_after_a_restart_and_once(world: World) {
    let mut house = House::on(world);
    house.says("U0EVE", "page it hangs").await;
    let House { world, dispatch, .. } = house;
    drop(dispatch);
    let house = House::on(world.crash().await);
    let second = later(&house, 5, 10).await;
    assert!(second.contains("calling secondary(shop): @@cy"), "{second}");
    assert_eq!(later(&house, 5, 11).await, "");
}

async fn of_two_replicas_one_calls(world: World) {
    let mut house = House::on(world);
    house.says("U0EVE", "page it hangs").await;
    house.clock.set(noon() + SignedDuration::from_mins(5));
    let (one, other) = (pager(&house), pager(&house));
    let (one, other) = tokio::join!(one.tick(), other.tick());
    one.unwrap();
    other.unwrap();
    let called = house.delivered().await;
    let mentions = called.iter().filter(|it| it.contains("calling secondary(shop)"));
    assert_eq!(mentions.count(), 1, "{called:?}");
}

async fn consent_that_nobody_gives_calls_the_next_level(world: World) {
    let mut house = House::with(world, CONSENT);
    house.says("U0EVE", "look").await;
    assert_eq!(later(&house, 4, 59).await, "");
    let called = later(&house, 5, 3).await;
    insta::assert_snapshot!("consent", plain(&house, called).await);
    let reference = reference(&house).await;
    let approved = house.says("U0ANA", &format!("approve {reference}")).await;
    assert!(approved.contains("@ana"), "{approved}");
    assert_eq!(later(&house, 15, 30).await, "", "decided");
    let facts = house.facts().await;
    assert!(facts.iter().any(|it| matches!(it, Fact::Page { became: PageEvent::Over, .. })), "{facts:?}");
}

async fn consent_may_be_escalated_or_taken_before_its_time(world: World) {
    let mut house = House::with(world, CONSENT);
    house.says("U0EVE", "look").await;
    let runs = house.world.store.unanswered_runs(9).await.unwrap();
    let run = house.world.store.run(runs[0].run).await.unwrap().unwrap();
    let told = house.says("U0EVE", &format!("escalate {}", run.reference)).await;
    assert!(told.contains("calling secondary(shop): @@cy"), "{told}");
    let told = house.says("U0CY", &format!("ack {}", run.reference)).await;
    assert!(told.contains("✅ @cy has page"), "{told}");
    assert_eq!(later(&house, 30, 0).await, "");
}

async fn a_platform_that_asks_to_wait_delays_a_call_visibly_and_drops_none(world: World) {
    let mut house = House::on(world);
    house.receive("U0EVE", "page it hangs").await;
    let store = house.world.store.clone();
    let duty = house.world.duty().await;
    // A storm: whatever is sent, the platform asks to wait.
    for _ in 0..5 {
        for due in store.due_postings(Platform::Slack, house.clock.now(), 100).await.unwrap() {
            let until = house.clock.now() + SignedDuration::from_secs(45);
            store.begin_posting(&duty, due.id).await.unwrap();
            store.postpone_posting(&duty, due.id, until).await.unwrap();
        }
    }
    house.clock.set(noon() + SignedDuration::from_secs(31));
    pager(&house).tick().await.unwrap();
    let page = store.open_pages(None, 1).await.unwrap().remove(0).page;
    let calls = store.calls_of(page.id).await.unwrap();
    let waits = |state: &CallState| matches!(state, CallState::Waiting(Some(why)) if why.contains("asks us to wait"));
    assert!(calls.iter().any(|(_, state)| waits(state)), "{calls:?}");
    let told = house.delivered().await.join("\n\n");
    insta::assert_snapshot!("late", plain(&house, told).await);
    pager(&house).tick().await.unwrap();
    let calls = store.calls_of(page.id).await.unwrap();
    assert!(calls.iter().all(|(_, state)| *state == CallState::Delivered), "{calls:?}");
}

async fn of_two_who_answer_at_the_same_moment_one_has_it_and_the_other_is_told_who(world: World) {
    let mut house = House::on(world);
    house.says("U0EVE", "page it hangs").await;
    house.receive_together(&[("U0ANA", "ack"), ("U0CY", "ack")]).await;
    let told = house.delivered().await.join("\n\n");
    // The postings of both, in whichever order: one has it.
    assert!(told.contains("has page"), "{told}");
    assert_eq!(told.matches("no page is open here").count(), 1, "{told}");
    let facts = house.facts().await;
    let answered = |it: &&Fact| matches!(it, Fact::Page { became: PageEvent::Acknowledged { .. }, .. });
    assert_eq!(facts.iter().filter(answered).count(), 1);
}

async fn who_was_called_may_answer_when_somebody_else_is_on_call_by_then(world: World) {
    let mut house = House::on(world);
    house.says("U0EVE", "page it hangs").await;
    for level in ["oncall", "secondary"] {
        house.says("U0DANA", &format!("oncall cover 4h {level}(shop)")).await;
    }
    let told = house.says("U0ANA", "ack").await;
    assert!(told.contains("✅ @ana has page"), "{told}");
}

async fn answering_stops_calls_that_have_not_gone_out(world: World) {
    let mut house = House::on(world);
    house.receive("U0EVE", "page it hangs").await;
    house.receive("U0ANA", "ack").await;
    let told = house.delivered().await.join("\n\n");
    assert!(!told.contains("pages you"), "{told}");
    assert!(told.contains("✅ @ana has page"), "{told}");
}

async fn a_handover_tells_what_is_open_what_happened_and_what_to_watch(world: World) {
    let mut house = House::with(world, CONSENT);
    let empty = house.says("U0CY", "handover").await;
    insta::assert_snapshot!("handover_of_nothing", empty);
    house.says("U0EVE", "look").await;
    house.says("U0EVE", "page it hangs").await;
    house.clock.set(noon() + SignedDuration::from_mins(3));
    house.says("U0ANA", "ack").await;
    house.says("U0EVE", "page it hangs again").await;
    let told = house.says("U0CY", "handover shop").await;
    let mut told = plain(&house, told).await;
    for run in house.world.store.runs(&midwatch::store::RunFilter { limit: 9, ..Default::default() }).await.unwrap().known {
        told = told.replace(run.reference.as_str(), "8g4m");
    }
    insta::assert_snapshot!("handover", told);
}

async fn a_handover_says_what_failed_and_who_takes_over_within_a_day(world: World) {
    let run = world.begin(1, None).await.unwrap();
    let (lease, _) = world.claim().await.unwrap();
    let failed = midwatch::domain::RunEvent::StepEnded {
        position: 0,
        step: crate::world::step_name(0),
        attempt: 1,
        result: midwatch::domain::StepResult::Failed { why: "exit code 1".to_owned() },
        elapsed_ms: 5,
        output_sha256: None,
    };
    let ended = crate::world::finished(midwatch::domain::Outcome::Failed);
    let events = vec![crate::world::started(0), failed, ended];
    let recorded = world.store.record_run(&lease, events, crate::world::silent(), crate::world::at(0));
    recorded.await.unwrap();
    let mut house = House::with(world, CONSENT);
    // The run began in September; it is Sunday, and the shift ends on Monday.
    house.clock.set("2026-09-27T12:00:00Z".parse().unwrap());
    let told = house.says("U0CY", "handover").await;
    insta::assert_snapshot!("what_failed", told.replace(run.reference.as_str(), "8g4m"));
}

async fn only_those_who_are_concerned_answer(world: World) {
    let mut house = House::on(world);
    house.says("U0ANA", "page it hangs").await;
    let told = house.says("U0KIM", "ack").await;
    insta::assert_snapshot!("not_concerned", plain(&house, told).await);
    let told = house.says("U0KIM", "ack 9zzz").await;
    insta::assert_snapshot!("no_page", plain(&house, told).await);
    for _ in 0..4 {
        house.says("U0ANA", "page it hangs").await;
    }
    let told = house.says("U0ANA", "page it hangs").await;
    insta::assert_snapshot!("too_many", told);
}

async fn open_pages_are_told_with_what_became_of_each_call(world: World) {
    let mut house = House::on(world);
    let none = house.says("U0EVE", "page").await;
    house.says("U0EVE", "page it hangs").await;
    house.clock.set(noon() + SignedDuration::from_mins(1));
    let some = house.says("U0EVE", "page").await;
    insta::assert_snapshot!("open", plain(&house, format!("{none}\n\n{some}")).await);
}

async fn every_level_is_called_within_thirty_seconds_of_its_time(world: World) {
    // The loop itself, by the clock of this host: levels some seconds apart.
    let runbook = crate::oncall::SHOP.replace("at: 5m", "at: 2s").replace("at: 15m", "at: 3s");
    let mut house = House::with(world, &runbook);
    house.dispatch.clock = midwatch::clock::Clock::system();
    house.clock = house.dispatch.clock.clone();
    house.receive("U0EVE", "page it hangs").await;
    let cancel = tokio_util::sync::CancellationToken::new();
    let (running, stop) = (pager(&house), cancel.clone());
    let looking = async {
        loop {
            let calling = house.facts().await.into_iter();
            let called = calling.filter(|it| matches!(it, Fact::Page { became: PageEvent::Called { .. }, .. }));
            if called.count() == 3 {
                stop.cancel();
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let all = Box::pin(async { tokio::join!(running.run(cancel), looking) });
    tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();
}
}
