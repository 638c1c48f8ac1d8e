//! Clicks at odd moments: two at once, twice, too late, on what has changed, by whoever is not asked any more. Each has one
//! right answer.

use midwatch::domain::{Due, Outcome, Phase, next};
use midwatch::store::StoreError;

use super::Night;
use crate::world::MINUTE;

const SHOP: &str = "\
project: shop
about: The web shop.
owner: team-shop
channels: [C1]
environments: { staging: {}, prod: {} }
rules:
  - { may: flush, who: everyone, after: { approvals: 1, of: team-shop, within: 10m } }
  - otherwise: ask in #shop-help
";

async fn asked() -> (Night, String) {
    let mut night = Night::of(&[("runbooks/shop.yaml", SHOP)]).await;
    night.says("bo", "flush prod").await;
    let run = night.last().await.to_string();
    (night, run)
}

impl Night {
    /// What met a conflict is walked again; answers what people read then.
    async fn walks_again(&mut self) -> String {
        assert_eq!(self.dispatch.dispatch_waiting().await.unwrap(), 1);
        self.deliver().await.join("\n")
    }

    /// What the engine does next with the run.
    async fn is_due(&self) -> Due {
        next(&self.last_run().await, self.now())
    }

    async fn waits_for_consent(&self) -> bool {
        matches!(self.last_run().await.phase, Phase::AwaitingApproval { .. })
    }
}

#[tokio::test]
async fn of_two_who_consent_at_the_same_moment_one_begins_it_and_the_other_reads_that_it_began() {
    let (mut night, run) = asked().await;
    let first = night.walks("ana", &format!("approve {run}")).await;
    let second = night.walks("cy", &format!("approve {run}")).await;
    night.concludes(first).await.unwrap();
    let late = night.concludes(second).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    assert!(!night.waits_for_consent().await);
    // Walked again, as after every conflict.
    let told = night.walks_again().await;
    assert!(
        told.contains("to U0CY: ⛔ run") && told.contains("is not waiting"),
        "{told}"
    );
    assert_eq!(night.runs().await, 1);
}

#[tokio::test]
async fn of_one_who_consents_and_one_who_refuses_the_first_counts() {
    let (mut night, run) = asked().await;
    let no = night.walks("cy", &format!("reject {run} not now")).await;
    let yes = night.walks("ana", &format!("approve {run}")).await;
    night.concludes(no).await.unwrap();
    assert!(matches!(
        night.concludes(yes).await,
        Err(StoreError::Conflict(_))
    ));
    let told = night.walks_again().await;
    assert!(told.contains("to U0ANA: ⛔ run"), "{told}");
    assert_eq!(night.is_due().await, Due::Finish(Outcome::Cancelled));
}

#[tokio::test]
async fn a_double_click_is_one_consent() {
    let (mut night, run) = asked().await;
    night.says("ana", &format!("approve {run}")).await;
    let again = night.says("ana", &format!("approve {run}")).await;
    assert_eq!(again.refusal(), "not_waiting");
    assert_eq!(night.runs().await, 1);
}

#[tokio::test]
async fn a_click_after_the_time_is_over_begins_nothing() {
    let (mut night, run) = asked().await;
    night.pass(11 * MINUTE);
    let late = night.says("ana", &format!("approve {run}")).await;
    assert_eq!(late.refusal(), "expired");
    assert_eq!(night.is_due().await, Due::Finish(Outcome::Expired));
}

#[tokio::test]
async fn a_click_by_a_removed_member_counts_no_more() {
    let (mut night, run) = asked().await;
    let people = super::PEOPLE.replace("team-shop: [ana, cy]", "team-shop: [cy]");
    night.writes("runbooks/people.yaml", &people);
    let gone = night.says("ana", &format!("approve {run}")).await;
    assert_eq!(gone.refusal(), "not_an_approver");
    assert!(night.waits_for_consent().await);
    night.says("cy", &format!("approve {run}")).await;
    assert!(!night.waits_for_consent().await);
}

#[tokio::test]
async fn a_click_on_an_old_message_counts_for_nothing_that_came_since() {
    let (mut night, run) = asked().await;
    let before = night.last_run().await;
    let Phase::AwaitingApproval {
        proposal: Some(shown),
        ..
    } = &before.phase
    else {
        panic!("it waits: {:?}", before.phase);
    };
    let old = shown.digits();
    night.writes(
        "commands/flush.yaml",
        &super::FLUSH.replace("uptime", "sync"),
    );
    let first = night.says("cy", &format!("approve {run} {old}")).await;
    assert!(
        first.alone().contains("your click was for another plan"),
        "{}",
        first.alone()
    );
    let second = night.says("ana", &format!("approve {run} {old}")).await;
    assert_eq!(second.refusal(), "another_plan");
    assert!(night.waits_for_consent().await);
}
