//! What the API reads of the store, on both engines: tokens, answers that are asked for again, pages of runs, the ledger.

use midwatch::domain::{
    ApiToken, Fact, Inbound, InboundKey, Message, Outcome, Place, Platform, Posting, PostingKind,
    RunStatus, Scope, TokenEvent, TokenState, TokenTerms,
};
use midwatch::store::{Change, Concluded, Conclusion, RunPosition, RunsAsked, StoreError};

use crate::world::{World, answered, at, finished, inbound, on_both_engines, queued_run, silent};

fn terms(id: &str) -> TokenTerms {
    TokenTerms {
        id: id.parse().unwrap(),
        person: "ana".parse().unwrap(),
        scopes: [Scope::Read, Scope::Run].into(),
        projects: ["shop".parse().unwrap()].into(),
        made_at: at(0),
        until: at(1_000),
        revoked_at: None,
    }
}

/// An inbound of the API.
fn asked(n: u32) -> Inbound {
    let key = InboundKey::new(&["api", "t1", &n.to_string()]);
    let mut inbound = inbound(n);
    inbound.place = Place {
        platform: Platform::Api,
        space: "t1".to_owned(),
        channel: key.as_str().to_owned(),
        thread: Some("a request".to_owned()),
    };
    inbound.speaker.platform = Platform::Api;
    inbound.key = key;
    inbound
}

impl World {
    /// A run of the API, in this project, asked for then.
    async fn run_of(&self, n: u32, project: &str, created: i64) -> midwatch::domain::RunId {
        let inbound = asked(n);
        let mut run = queued_run(&inbound.key, midwatch::domain::Effect::Read);
        run.invocation.project = project.parse().unwrap();
        run.place = inbound.place.clone();
        run.created_at = at(created);
        let id = run.id;
        self.store.receive(inbound.clone()).await.unwrap();
        let conclusion = Conclusion {
            fact: answered(&inbound.key),
            inbound: inbound.key,
            change: Change::NewRun {
                run: Box::new(run),
                lock: None,
            },
            postings: Vec::new(),
        };
        self.store.conclude(conclusion, at(created)).await.unwrap();
        id
    }

    async fn page(&self, asked: RunsAsked) -> (Vec<midwatch::domain::RunId>, Option<RunPosition>) {
        let (runs, next) = self.store.runs_page(&asked).await.unwrap();
        assert!(runs.unread.is_empty());
        (runs.known.iter().map(|run| run.id).collect(), next)
    }
}

on_both_engines! {
async fn a_token_is_known_by_its_hash_until_it_is_revoked_once(world: World) {
    let (token, other) = (ApiToken::of([1; 32]), ApiToken::of([2; 32]));
    world.store.add_token(&token, terms("t1")).await.unwrap();
    let taken = world.store.add_token(&other, terms("t1")).await.unwrap_err();
    assert!(matches!(taken, StoreError::Conflict(_)), "{taken}");
    assert_eq!(world.store.terms_of_token(&token).await.unwrap(), Some(terms("t1")));
    assert_eq!(world.store.terms_of_token(&other).await.unwrap(), None);
    world.store.revoke_token(terms("t1"), at(5)).await.unwrap();
    let known = world.store.terms_of_token(&token).await.unwrap().unwrap();
    assert_eq!((known.state(at(6)), known.revoked_at), (TokenState::Revoked, Some(at(5))));
    let twice = world.store.revoke_token(terms("t1"), at(6)).await.unwrap_err();
    assert!(matches!(twice, StoreError::Conflict(_)), "{twice}");
    assert_eq!(world.store.tokens().await.unwrap().len(), 1);
    let lines = world.store.ledger_lines(0, 100).await.unwrap();
    let facts = lines.iter().map(|line| serde_json::from_str::<midwatch::domain::Entry>(line).unwrap().fact);
    let events: Vec<_> = facts.filter_map(|fact| match fact {
        Fact::Token { became, .. } => Some(matches!(became, TokenEvent::Revoked)),
        _ => None,
    }).collect();
    assert_eq!(events, [false, true], "each came and went with its entry, and what was refused left none");
    assert!(lines.iter().all(|line| !line.contains(&token.hash())));
}

async fn an_answer_is_kept_for_who_asks_again_and_nothing_is_owed_to_a_platform(world: World) {
    let inbound = asked(1);
    world.store.receive(inbound.clone()).await.unwrap();
    assert!(world.store.answer(&inbound.key).await.unwrap().is_none());
    assert_eq!(world.store.place_of(&inbound.key).await.unwrap(), Some(inbound.place.clone()));
    let whisper = Posting {
        to: inbound.place.clone(),
        kind: PostingKind::Whisper { speaker: "ana".to_owned(), handle: None },
        run: None,
        message: Message::new("⛔ no".into()),
    };
    let conclusion = |inbound: &Inbound, posting: &Posting| Conclusion {
        fact: answered(&inbound.key),
        inbound: inbound.key.clone(),
        change: Change::Nothing,
        postings: vec![posting.clone()],
    };
    world.store.conclude(conclusion(&inbound, &whisper), at(1)).await.unwrap();
    let answer = world.store.answer(&inbound.key).await.unwrap().unwrap();
    assert_eq!(answer.concluded, Concluded::Answered);
    assert_eq!((answer.fact, answer.messages), (Some(answered(&inbound.key)), vec![whisper.message.clone()]));
    for platform in [Platform::Api, Platform::Console, Platform::Slack, Platform::Discord] {
        assert_eq!(world.store.postings_waiting(platform).await.unwrap(), 0);
        assert!(world.store.due_postings(platform, at(9), 10).await.unwrap().is_empty());
    }
    // A week later, with the next answer, the words are forgotten; that it was concluded is not.
    let mut later = asked(2);
    later.received_at = at(8 * 24 * 3_600_000);
    world.store.receive(later.clone()).await.unwrap();
    world.store.conclude(conclusion(&later, &whisper), later.received_at).await.unwrap();
    let answer = world.store.answer(&inbound.key).await.unwrap().unwrap();
    assert_eq!((answer.concluded, answer.fact, answer.messages.len()), (Concluded::Answered, None, 0));
}

async fn runs_are_paged_by_project_target_and_status_and_none_is_left_out(world: World) {
    let mut shop = Vec::new();
    for n in 0..5 {
        // Two at the same moment: the id decides between them.
        shop.push(world.run_of(n, "shop", i64::from(n / 2)).await);
    }
    let blog = world.run_of(9, "blog", 7).await;
    let (lease, _) = world.store.claim_run(&world.store.worker(), &[], at(10), crate::world::MINUTE).await.unwrap().unwrap();
    let done = lease.run();
    let events = vec![crate::world::started(0), finished(Outcome::Succeeded)];
    let recorded = world.store.record_run(&lease, events, silent(), at(11)).await;
    assert!(recorded.is_ok(), "{:?}", recorded.err());
    let all = RunsAsked { limit: 100, ..RunsAsked::default() };
    let (whole, next) = world.page(all.clone()).await;
    assert_eq!((whole.len(), whole[0], next), (6, blog, None));
    let (mut paged, mut behind) = (Vec::new(), None);
    loop {
        let (page, next) = world.page(RunsAsked { behind, limit: 2, ..RunsAsked::default() }).await;
        paged.extend(page);
        behind = next;
        if behind.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole);
    let projects = |names: &[&str]| Some(names.iter().map(|name| name.parse().unwrap()).collect());
    let of = async |projects, target: Option<&str>, status| {
        let target = target.map(str::to_owned);
        world.page(RunsAsked { projects, target, status, ..all.clone() }).await.0
    };
    assert_eq!(of(projects(&["blog"]), None, None).await, [blog]);
    assert_eq!(of(projects(&["shop", "blog"]), None, None).await, whole);
    assert!(of(projects(&[]), None, None).await.is_empty());
    assert_eq!(of(None, Some("flush-cache/blog/prod"), None).await, [blog]);
    assert!(of(None, Some("flush-cach"), None).await.is_empty(), "whole names only");
    assert_eq!(of(None, Some("flush-cache"), Some(RunStatus::Completed)).await, [done]);
    assert_eq!(of(None, None, Some(RunStatus::Running)).await.len(), 5);
    assert!(of(None, None, Some(RunStatus::Failed)).await.is_empty());
}
}
