//! Who is who when a command is decided on: groups of platforms, asked anew for risky ones; linked accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use midwatch::clock::Clock;
use midwatch::dispatch::{Dispatch, Memberships, Roster, Said};
use midwatch::domain::{
    Decided, Fact, Inbound, InboundKey, LinkEvent, Phase, Platform, PostingKind, Run,
};
use midwatch::store::{Change, Conclusion, RunFilter};
use tokio_util::sync::CancellationToken;

use crate::catalog::folders::Files;
use crate::world::{World, at, inbound};

const PEOPLE: &str = "\
people:
  ana: { name: Ana, slack: U0ANA, console: anas }
  bo: { name: Bo, slack: U0BO }
  cy: { name: Cy, slack: U0CY }
groups:
  team: { members: [cy], slack: S0SHOP }
";
const RISKY: &str = "\
command: wipe
does: Wipes.
risk: high
steps: [{ name: x, run: [uptime] }]
";
const CALM: &str = "\
command: look
does: Looks.
steps: [{ name: x, run: [uptime], effect: read }]
";
const APPROVED: &str = "\
command: drop
does: Drops.
risk: high
steps: [{ name: x, run: [uptime] }]
";
const TWICE: &str = "\
command: shut
does: Shuts.
steps: [{ name: x, run: [uptime] }]
";
const SHOP: &str = "\
project: shop
about: The shop.
owner: team
channels: [C1]
rules:
  - { may: [look, wipe], who: team }
  - { may: drop, who: everyone, after: { approvals: 1, of: team } }
  - { may: shut, who: everyone, after: { approvals: 2, of: everyone } }
  - otherwise: ask
";

/// A platform whose groups the test says.
#[derive(Default)]
struct Fake {
    members: Mutex<BTreeSet<String>>,
    /// `None`: it does not answer at all.
    answers: Mutex<Option<Result<(), String>>>,
    asked: Mutex<Vec<BTreeSet<String>>>,
}

#[async_trait]
impl Memberships for Fake {
    fn platform(&self) -> Platform {
        Platform::Slack
    }

    async fn fetch(&self, groups: &BTreeSet<String>, accounts: &BTreeSet<String>) -> Said {
        self.asked.lock().unwrap().push(accounts.clone());
        let answer = self.answers.lock().unwrap().clone();
        let Some(answer) = answer else {
            return std::future::pending().await;
        };
        let members = self.members.lock().unwrap().clone();
        let said = |group: &String| (group.clone(), answer.clone().map(|()| members.clone()));
        groups.iter().map(said).collect()
    }
}

struct House {
    world: World,
    fake: Arc<Fake>,
    dispatch: Dispatch,
}

impl House {
    async fn open() -> Self {
        let files = Files::empty()
            .with("runbooks/people.yaml", PEOPLE)
            .with("runbooks/shop.yaml", SHOP)
            .with("commands/wipe.yaml", RISKY)
            .with("commands/drop.yaml", APPROVED)
            .with("commands/shut.yaml", TWICE)
            .with("commands/look.yaml", CALM);
        let loaded = midwatch::catalog::load(&files.folders(), &BTreeMap::new());
        let errors: Vec<_> = loaded
            .diagnostics
            .iter()
            .filter(|it| it.is_error())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
        let files = Arc::new(ArcSwap::from_pointee(loaded.catalog));
        let view = Arc::new(ArcSwap::new(files.load_full()));
        let world = World::new().await;
        let fake = Arc::new(Fake::default());
        fake.answer(Ok(()));
        let roster = Roster::new(
            files,
            Arc::clone(&view),
            world.store.clone(),
            vec![fake.clone()],
            [Platform::Slack].into(),
        );
        let dispatch = Dispatch {
            store: world.store.clone(),
            catalog: view,
            roster: Some(Arc::new(roster)),
            clock: Clock::steered(at(0)),
            mirrors_on: Vec::new(),
        };
        Self {
            world,
            fake,
            dispatch,
        }
    }

    /// The platform is asked as at a start.
    async fn hear(&self) {
        let roster = self.dispatch.roster.as_ref().unwrap();
        roster.begin(&CancellationToken::new()).await;
    }

    async fn walk(&self, inbound: &Inbound) -> Conclusion {
        self.dispatch.walk(inbound, at(0)).await.unwrap()
    }

    /// Whether this is allowed, and with which groups.
    async fn may(&self, n: u32, id: &str, text: &str) -> (bool, Vec<String>) {
        let conclusion = self.walk(&said(n, id, text)).await;
        let Fact::Decided {
            decision, groups, ..
        } = conclusion.fact
        else {
            panic!("{:?}", conclusion.fact);
        };
        let groups = groups.iter().map(ToString::to_string).collect();
        (decision == Decided::Allow, groups)
    }

    /// Says it, has it concluded, and answers the refusal's or the question's word.
    async fn says(&self, n: u32, id: &str, text: &str) -> String {
        let inbound = said(n, id, text);
        self.world.store.receive(inbound.clone()).await.unwrap();
        let conclusion = self.walk(&inbound).await;
        let word = match &conclusion.fact {
            Fact::Refused { refusal, .. } => refusal.clone(),
            Fact::Answered { question, .. } => question.clone(),
            Fact::Link { became, .. } => match became {
                LinkEvent::Asked => "asked".to_owned(),
                LinkEvent::Linked => "linked".to_owned(),
                LinkEvent::Unlinked => "unlinked".to_owned(),
            },
            Fact::Decided { decision, .. } => format!("{decision:?}"),
            other => format!("{other:?}"),
        };
        self.world.store.conclude(conclusion, at(0)).await.unwrap();
        self.dispatch.roster.as_ref().unwrap().read_links().await;
        word
    }

    async fn last_run(&self) -> Run {
        let last = RunFilter {
            limit: 1,
            ..RunFilter::default()
        };
        let mut runs = self.world.store.runs(&last).await.unwrap();
        runs.known.remove(0)
    }

    /// The code in the direct message to this account.
    async fn code_for(&self, id: &str) -> String {
        let due = self.world.due().await;
        let message = due.iter().rev().find(|due| due.posting.to.channel == id);
        let message = message.expect("a direct message");
        assert!(
            matches!(&message.posting.kind, PostingKind::Whisper { speaker, .. } if speaker == id)
        );
        let text = serde_json::to_string(&message.posting.message).unwrap();
        let (_, after) = text.split_once("/ops link ").unwrap();
        after[..8].to_owned()
    }
}

impl Fake {
    fn answer(&self, answer: impl Into<Option<Result<(), String>>>) {
        *self.answers.lock().unwrap() = answer.into();
    }

    fn set(&self, members: &[&str]) {
        *self.members.lock().unwrap() = members.iter().map(ToString::to_string).collect();
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn said(n: u32, id: &str, text: &str) -> Inbound {
    let mut inbound = inbound(n);
    inbound.key = InboundKey::new(&["said", &n.to_string()]);
    // The console's accounts are in small letters.
    if id.starts_with(|c: char| c.is_ascii_lowercase()) {
        inbound.speaker.platform = Platform::Console;
    }
    id.clone_into(&mut inbound.speaker.id);
    text.clone_into(&mut inbound.text);
    inbound
}

#[tokio::test]
async fn who_is_in_the_platforms_group_is_in_ours_and_the_ledger_says_so() {
    let house = House::open().await;
    house.fake.set(&["U0ANA", "U0STRANGER"]);
    assert_eq!(house.may(1, "U0ANA", "look").await, (false, vec![]));
    house.hear().await;
    let team = vec!["team".to_owned()];
    assert_eq!(house.may(2, "U0ANA", "look").await, (true, team.clone()));
    assert_eq!(
        house.may(3, "U0CY", "look").await,
        (true, team),
        "who is named stays in"
    );
    assert_eq!(house.may(4, "U0BO", "look").await, (false, vec![]));
    let stranger = house.walk(&said(5, "U0STRANGER", "look")).await;
    assert!(matches!(stranger.fact, Fact::Refused { refusal, .. } if refusal == "stranger"));
    assert_eq!(house.fake.asked(), 1, "a calm command asks nobody");
}

#[tokio::test]
async fn for_a_risky_command_the_platform_is_asked_anew() {
    let house = House::open().await;
    house.fake.set(&["U0ANA"]);
    house.hear().await;
    house.fake.set(&["U0BO"]);
    assert!(!house.may(1, "U0ANA", "wipe").await.0, "she left the group");
    assert!(house.may(2, "U0BO", "wipe").await.0, "he came into it");
    assert!(house.may(3, "U0ANA", "look").await.0, "nothing risky");
    let asked = house.fake.asked.lock().unwrap().clone();
    assert_eq!(
        asked[1..],
        [["U0ANA".to_owned()].into(), ["U0BO".to_owned()].into()]
    );
}

#[tokio::test]
async fn a_platform_that_fails_or_is_silent_has_nobody_in_its_group_for_a_risky_command() {
    let house = House::open().await;
    house.fake.set(&["U0ANA"]);
    house.hear().await;
    for answer in [Some(Err("missing_scope".to_owned())), None] {
        house.fake.answer(answer);
        let began = std::time::Instant::now();
        let conclusion = house.walk(&said(1, "U0ANA", "wipe")).await;
        assert!(began.elapsed() < Duration::from_secs(2));
        let Fact::Decided { decision, .. } = &conclusion.fact else {
            panic!("{:?}", conclusion.fact);
        };
        assert!(matches!(decision, Decided::Deny(_)), "{decision:?}");
        let told = serde_json::to_string(&conclusion.postings[0].message).unwrap();
        assert!(
            told.contains("who is in slack S0SHOP could not be found out"),
            "{told}"
        );
        assert!(
            house.may(2, "U0CY", "wipe").await.0,
            "who is named needs no platform"
        );
    }
}

#[tokio::test]
async fn consent_to_a_risky_command_counts_by_the_groups_at_the_click() {
    let house = House::open().await;
    house.fake.set(&["U0ANA"]);
    house.hear().await;
    assert!(
        house
            .says(1, "U0BO", "drop")
            .await
            .starts_with("RequireApproval")
    );
    let run = house.last_run().await;
    let reference = run.reference.to_string();
    house.fake.set(&[]);
    let approve = format!("approve {reference}");
    assert_eq!(house.says(2, "U0ANA", &approve).await, "not_an_approver");
    house.fake.set(&["U0ANA", "U0BO"]);
    assert_eq!(house.says(3, "U0BO", &approve).await, "own_run");
    assert_eq!(house.says(4, "U0ANA", &approve).await, "approve");
}

#[tokio::test]
async fn two_accounts_of_a_person_are_one_consent() {
    let house = House::open().await;
    assert!(
        house
            .says(1, "U0BO", "shut")
            .await
            .starts_with("RequireApproval")
    );
    let run = house.last_run().await;
    let approve = format!("approve {}", run.reference);
    assert_eq!(house.says(2, "bo", &approve).await, "own_run");
    assert_eq!(house.says(3, "U0ANA", &approve).await, "approve");
    assert_eq!(house.says(4, "anas", &approve).await, "approved_already");
    let waits = matches!(house.last_run().await.phase, Phase::AwaitingApproval { .. });
    assert!(waits, "one person consented so far");
    assert_eq!(house.says(5, "U0CY", &approve).await, "approve");
}

#[tokio::test]
async fn a_code_sent_to_the_other_account_links_it_and_the_person_counts_once() {
    let house = House::open().await;
    house.hear().await;
    assert_eq!(house.says(1, "U0BO", "link slack U9BO").await, "asked");
    let code = house.code_for("U9BO").await;
    assert_eq!(
        house.says(2, "U0ANA", &format!("link {code}")).await,
        "link_no_code"
    );
    assert_eq!(
        house.says(3, "U9BO", &format!("link {code}")).await,
        "stranger"
    );
    assert_eq!(
        house.says(4, "U0BO", "link AAAAAAAA").await,
        "link_code_wrong"
    );
    assert_eq!(
        house
            .says(5, "U0BO", &format!("link {}", code.to_lowercase()))
            .await,
        "linked"
    );
    assert_eq!(
        house.says(6, "U0BO", &format!("link {code}")).await,
        "link_no_code"
    );
    // The requester is the same person from either account.
    assert!(
        house
            .says(7, "U9BO", "drop")
            .await
            .starts_with("RequireApproval")
    );
    let run = house.last_run().await;
    assert_eq!(run.requester.to_string(), "bo");
    let approve = format!("approve {}", run.reference);
    assert_eq!(house.says(8, "U0BO", &approve).await, "own_run");
    // It is bo's: nobody else can have it.
    assert_eq!(
        house.says(9, "U0ANA", "link slack U9BO").await,
        "link_taken"
    );
    assert_eq!(
        house.says(10, "U0ANA", "link slack T1/U0CY").await,
        "link_taken"
    );
    assert_eq!(
        house.says(11, "U9BO", "link slack U0BO").await,
        "link_yours"
    );
    assert_eq!(
        house.says(12, "U0ANA", "link discord 803").await,
        "link_unreachable"
    );
    assert_eq!(
        house.says(13, "U0ANA", "unlink slack U9BO").await,
        "link_unknown"
    );
    assert_eq!(
        house.says(14, "U0BO", "unlink slack U0BO").await,
        "link_of_files"
    );
    assert_eq!(
        house.says(15, "U9BO", "unlink slack U9BO").await,
        "unlinked"
    );
    assert_eq!(house.says(16, "U9BO", "look").await, "stranger");
    let export = serde_json::to_string(&house.world.store.history(run.id).await.unwrap().entries);
    assert!(!export.unwrap().contains(&code));
}

#[tokio::test]
async fn a_linked_account_in_the_platforms_group_brings_its_person_into_ours() {
    let house = House::open().await;
    house.fake.set(&["U9BO"]);
    assert_eq!(house.says(1, "U0BO", "link slack U9BO").await, "asked");
    let code = house.code_for("U9BO").await;
    assert_eq!(
        house.says(2, "U0BO", &format!("link {code}")).await,
        "linked"
    );
    house.hear().await;
    assert!(house.may(3, "U0BO", "look").await.0);
    assert!(house.may(4, "U0BO", "wipe").await.0);
}

#[tokio::test]
async fn nobody_can_guess_a_code() {
    let house = House::open().await;
    assert_eq!(house.says(1, "U0BO", "link slack U9BO").await, "asked");
    let code = house.code_for("U9BO").await;
    for n in 0..4 {
        assert_eq!(
            house.says(10 + n, "U0BO", "link AAAAAAAA").await,
            "link_code_wrong"
        );
    }
    assert_eq!(
        house.says(20, "U0BO", "link AAAAAAAA").await,
        "link_code_spent"
    );
    assert_eq!(
        house.says(21, "U0BO", &format!("link {code}")).await,
        "link_no_code"
    );
    for (n, id) in [(30, "U8BO"), (31, "U7BO")] {
        assert_eq!(
            house.says(n, "U0BO", &format!("link slack {id}")).await,
            "asked"
        );
    }
    let out = house.says(32, "U0BO", "link slack U6BO").await;
    assert_eq!(out, "link_codes_out");
}

/// `Change` is named so that a new kind of change is thought of here.
#[tokio::test]
async fn whoever_asks_for_a_link_changes_nothing_but_links() {
    let house = House::open().await;
    let conclusion = house.walk(&said(1, "U0BO", "link slack U9BO")).await;
    assert!(matches!(conclusion.change, Change::Link(_)));
    let to_who_asked = serde_json::to_string(&conclusion.postings[1]).unwrap();
    let to_the_account = serde_json::to_string(&conclusion.postings[0]).unwrap();
    let (_, after) = to_the_account.split_once("/ops link ").unwrap();
    assert!(!to_who_asked.contains(&after[..8]));
    let fact = serde_json::to_string(&conclusion.fact).unwrap();
    assert!(
        !fact.contains(&after[..8]) && !fact.contains("U9BO"),
        "{fact}"
    );
}
