//! Locks that people take, and freezes of the runbook: who is held by them, who isn't, and how they end.

use std::time::Duration;

use midwatch::domain::{Fact, LockEvent};

use super::Night;
use crate::world::on_both_engines;

#[tokio::test]
async fn a_lock_holds_others_and_not_who_took_it_and_ends_by_itself() {
    let mut night = Night::usual().await;
    let taken = night.says("ana", "lock prod 2h restoring a backup").await;
    insta::assert_snapshot!(taken.told.join("\n"));
    night.pass(Duration::from_mins(5));
    insta::assert_snapshot!(night.says("bo", "flush prod").await.alone());
    for (who, text) in [
        ("ana", "flush prod"),
        ("bo", "flush staging"),
        ("bo", "look prod"),
    ] {
        let before = night.runs().await;
        night.says(who, text).await;
        assert_eq!(night.runs().await, before + 1, "{who}: {text}");
    }
    night.end_all().await;
    insta::assert_snapshot!(night.says("bo", "lock").await.alone());
    let too = night.says("cy", "lock prod 1h me too").await;
    assert_eq!(too.refusal(), "locked");
    let until = "is locked by ana until 2026-01-14 05:00:00 UTC (in 1 h 55 m): restoring a backup";
    assert!(too.alone().contains(until), "{}", too.alone());
    night.pass(Duration::from_mins(116));
    let ended = night.tend().await;
    insta::assert_snapshot!(ended.join("\n"));
    assert!(night.tend().await.is_empty(), "it is told once");
    let before = night.runs().await;
    night
        .says("bo", "flush prod --again reason=\"the backup is in\"")
        .await;
    assert_eq!(night.runs().await, before + 1);
}

#[tokio::test]
async fn a_lock_is_ended_by_who_took_it_and_by_the_owners_who_are_told() {
    let mut night = Night::usual().await;
    night.says("bo", "lock prod 2h trying something").await;
    let not_theirs = night.says("dana", "unlock prod").await;
    assert_eq!(not_theirs.refusal(), "not_yours");
    insta::assert_snapshot!(not_theirs.alone());
    night.pass(Duration::from_mins(3));
    let ended = night.says("ana", "unlock prod").await;
    insta::assert_snapshot!(ended.told.join("\n"));
    let Fact::Lock { became, .. } = &ended.entries[1].fact else {
        panic!("{:?}", ended.entries);
    };
    assert_eq!(*became, LockEvent::Released);
    assert_eq!(
        night.says("ana", "unlock prod").await.refusal(),
        "not_locked"
    );
}

#[tokio::test]
async fn a_lock_says_for_how_long_and_why_and_whoever_may_change_nothing_takes_none() {
    let mut night = Night::usual().await;
    for (text, says) in [
        ("lock prod soon", "no span of time"),
        ("lock prod 2h", "say why as well"),
        ("lock prod 30d holidays", "at most 7d"),
        ("lock prod 0s x", "no span of time"),
    ] {
        let refused = night.says("ana", text).await;
        assert_eq!(refused.refusal(), "bad_builtin", "{text}");
        assert!(
            refused.alone().contains(says),
            "{text}: {}",
            refused.alone()
        );
    }
    assert_eq!(
        night.says("eve", "lock prod 2h mine").await.refusal(),
        "not_yours"
    );
}

#[tokio::test]
async fn a_project_that_is_named_after_the_time_is_no_reason() {
    let mut night = Night::usual().await;
    let unsaid = night.says("ana", "lock prod 2h project=shop").await;
    assert!(
        unsaid.alone().contains("say why as well"),
        "{}",
        unsaid.alone()
    );
    let other = night
        .says("ana", "lock prod 2h project=hsop a backup")
        .await;
    assert!(
        other.alone().contains("did you mean shop?"),
        "{}",
        other.alone()
    );
    let taken = night
        .says("ana", "lock prod 2h a backup project=shop")
        .await;
    let Fact::Lock { became, .. } = &taken.entries[1].fact else {
        panic!("{:?}", taken.entries);
    };
    let LockEvent::Taken { reason, .. } = became else {
        panic!("{became:?}");
    };
    assert_eq!(reason, "a backup");
}

on_both_engines! {
async fn a_lock_that_is_taken_while_a_command_is_decided_on_holds_it(world: World) {
    let mut night = Night::on(world, &[]);
    let flush = night.walks("bo", "flush prod").await;
    let lock = night.walks("ana", "lock prod 2h restoring a backup").await;
    night.concludes(lock).await.unwrap();
    let begun = night.concludes(flush).await;
    assert!(begun.unwrap_err().to_string().contains("locked by ana"));
    assert_eq!(night.runs().await, 0);
}
}

const FROZEN: &str = "\
project: shop
about: The web shop.
owner: team-shop
channels: [C1]
environments: { staging: {}, prod: {} }
rules:
  - { may: reads, who: engineering }
  - { may: [flush, mend], who: engineering }
  - otherwise: ask in #shop-help
freezes:
  - { when: \"wed 02:00-06:00 UTC\", in: prod, reason: backups run, except: mend, unless: security }
  - { from: \"2026-12-23 18:00 Europe/Berlin\", until: \"2027-01-02 08:00 Europe/Berlin\", reason: nobody is here }
";
const MEND: &str = "\
command: mend
does: Mends it.
parameters:
  environment: { type: environment }
steps: [{ name: mend, run: [uptime] }]
";

#[tokio::test]
async fn a_freeze_holds_changes_where_and_while_the_runbook_says_so() {
    let files = [("runbooks/shop.yaml", FROZEN), ("commands/mend.yaml", MEND)];
    let mut night = Night::of(&files).await;
    insta::assert_snapshot!(night.says("bo", "flush prod").await.alone());
    for text in ["flush staging", "look prod", "mend prod"] {
        let before = night.runs().await;
        night.says("bo", text).await;
        assert_eq!(night.runs().await, before + 1, "{text}");
    }
    for (moment, may) in [
        ("2026-01-14T06:00:00Z", true),
        ("2026-12-23T16:59:59Z", true),
        ("2026-12-23T17:00:00Z", false),
        ("2027-01-02T06:59:59Z", false),
        ("2027-01-02T07:00:00Z", true),
    ] {
        night.at(moment);
        let before = night.runs().await;
        night.says("bo", "flush prod").await;
        assert_eq!(night.runs().await > before, may, "{moment}");
        night.end_all().await;
    }
}
