//! A second factor outside chat: a stolen chat session begins nothing of high risk, and consents to nothing.

use midwatch::domain::{Enrolment, PersonId, Phase};
use std::time::Duration;
use totp_rs::{Builder, Secret};

use super::Night;
use crate::world::on_both_engines;

const WIPE: &str = "\
command: wipe
does: Empties the database.
risk: high
undo: restore a backup
check: look
parameters:
  environment: { type: environment }
steps: [{ name: wipe, run: [uptime], effect: idempotent }]
";
const SHOP: &str = "\
project: shop
about: The web shop.
owner: team-shop
channels: [C1]
environments: { staging: {}, prod: {} }
second_factor: high
rules:
  - { may: reads, who: everyone }
  - { may: flush, who: everyone }
  - { may: wipe, in: staging, who: everyone }
  - { may: wipe, who: everyone, after: { approvals: 1, of: team-shop } }
  - otherwise: ask in #shop-help
";
const PEOPLE: &str = "\
people:
  ana: { name: Ana Ruiz, slack: U0ANA, second_factor: k3f9x2m1 }
  bo: { name: Bo Lind, slack: U0BO, second_factor: a2b3c4d5 }
  cy: { name: Cy Park, slack: U0CY }
groups:
  team-shop: [ana, cy]
";
const FILES: [(&str, &str); 3] = [
    ("commands/wipe.yaml", WIPE),
    ("runbooks/shop.yaml", SHOP),
    ("runbooks/people.yaml", PEOPLE),
];
/// How long a code is shown.
const STEP: Duration = Duration::from_secs(30);

impl Night {
    /// What this person's app shows now.
    fn code(&self, person: &str) -> String {
        let enrolment = if person == "ana" {
            "k3f9x2m1"
        } else {
            "a2b3c4d5"
        };
        let person = PersonId::parse(person).unwrap();
        let enrolment = Enrolment::parse(enrolment).unwrap();
        let secret = self.world.store.shared_secret(&person, &enrolment).unwrap();
        let app = Builder::new().with_secret(Secret::try_from_base32(secret.typed()).unwrap());
        let now = u64::try_from(self.now().as_second()).unwrap();
        app.build().unwrap().generate(now).to_string()
    }

    async fn with_code(&mut self, who: &str, text: &str) -> super::Heard {
        let text = format!("{text} otp={}", self.code(who));
        self.says(who, &text).await
    }
}

#[tokio::test]
async fn what_is_of_high_risk_begins_with_a_code_that_counts_once() {
    let mut night = Night::of(&FILES).await;
    let asked = night.says("ana", "wipe staging").await;
    insta::assert_snapshot!(asked.alone());
    assert_eq!(asked.refusal(), "missing");
    assert_eq!(night.runs().await, 0);
    let wrong = night.says("ana", "wipe staging otp=000000").await;
    assert_eq!(wrong.refusal(), "wrong_code");
    let code = night.code("ana");
    night.with_code("ana", "wipe staging").await;
    assert_eq!(night.runs().await, 1);
    let run = night.last().await;
    night.end_all().await;
    let again = night.says("ana", &format!("wipe prod otp={code}")).await;
    assert_eq!(again.refusal(), "used_code");
    // The code of somebody else is nobody's.
    night.pass(STEP);
    let code = night.code("bo");
    let stolen = night.says("ana", &format!("wipe staging otp={code}")).await;
    assert_eq!(stolen.refusal(), "wrong_code");
    assert_eq!(night.runs().await, 1);
    let why = night.says("bo", &format!("why {run}")).await;
    assert!(
        why.alone()
            .contains("confirmed  by a one-time code outside chat"),
        "{}",
        why.alone()
    );
    // What is of less risk, or only reads, wants none.
    night.says("cy", "flush staging").await;
    assert_eq!(night.runs().await, 2);
}

#[tokio::test]
async fn whoever_has_no_second_factor_is_told_how_to_get_one() {
    let mut night = Night::of(&FILES).await;
    let refused = night.says("cy", "wipe staging otp=123456").await;
    assert_eq!(refused.refusal(), "no_second_factor");
    assert!(
        refused.alone().contains("midwatch factor enrol cy"),
        "{}",
        refused.alone()
    );
    let card = night.says("ana", "wipe staging --plan").await;
    assert!(
        card.alone().contains("with a one-time code"),
        "{}",
        card.alone()
    );
}

#[tokio::test]
async fn consent_wants_a_code_too() {
    let mut night = Night::of(&FILES).await;
    night.with_code("bo", "wipe prod").await;
    let run = night.last().await;
    let waits = async |night: &Night| {
        matches!(night.last_run().await.phase, Phase::AwaitingApproval { .. })
    };
    assert!(waits(&night).await);
    let approve = format!("approve {run}");
    assert_eq!(night.says("ana", &approve).await.refusal(), "missing");
    assert_eq!(
        night.says("cy", &approve).await.refusal(),
        "no_second_factor"
    );
    assert!(waits(&night).await);
    night.with_code("ana", &approve).await;
    assert!(!waits(&night).await);
    let why = night.says("bo", &format!("why {run}")).await;
    assert!(
        why.alone()
            .contains("approved, as team-shop, confirmed by a one-time code"),
        "{}",
        why.alone()
    );
}

#[tokio::test]
async fn whoever_guesses_has_to_wait() {
    let mut night = Night::of(&FILES).await;
    for _ in 0..5 {
        let wrong = night.says("ana", "wipe staging otp=999999").await;
        assert_eq!(wrong.refusal(), "wrong_code");
    }
    night.pass(STEP);
    let right = night.with_code("ana", "wipe staging").await;
    assert_eq!(right.refusal(), "too_many_codes");
    insta::assert_snapshot!(right.alone());
    night.pass(Duration::from_mins(15));
    night.with_code("ana", "wipe staging").await;
    assert_eq!(night.runs().await, 1);
}

on_both_engines! {
    async fn a_code_counts_once_on_every_engine(world: World) {
        use midwatch::domain::InboundKey;
        use midwatch::store::CodeCounts;
        let (ana, enrolment) = (PersonId::parse("ana").unwrap(), Enrolment::parse("k3f9x2m1").unwrap());
        let now = "2026-01-14T03:00:00Z".parse().unwrap();
        let secret = world.store.shared_secret(&ana, &enrolment).unwrap();
        let app = Builder::new().with_secret(Secret::try_from_base32(secret.typed()).unwrap());
        let app = app.build().unwrap();
        let code = |seconds: i64| app.generate(u64::try_from(jiff::Timestamp::as_second(now) + seconds).unwrap()).to_string();
        let tried = async |code: &str, inbound: &str| {
            let key = InboundKey::new(&[inbound]);
            world.store.try_code(&ana, &enrolment, code, &key, now).await.unwrap()
        };
        assert_eq!(tried("1", "slack:T1:1").await, CodeCounts::Wrong);
        assert_eq!(tried(&code(0), "slack:T1:2").await, CodeCounts::Yes);
        // The very same inbound, walked once more.
        assert_eq!(tried(&code(0), "slack:T1:2").await, CodeCounts::Yes);
        assert_eq!(tried(&code(0), "slack:T1:3").await, CodeCounts::Used);
        assert_eq!(tried(&code(-30), "slack:T1:4").await, CodeCounts::Used);
        assert_eq!(tried(&code(30), "slack:T1:5").await, CodeCounts::Yes);
        assert_eq!(tried(&code(60), "slack:T1:6").await, CodeCounts::Wrong);
    }
}
