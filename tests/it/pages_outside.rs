//! Calls that leave chat: a webhook, a pager and a mail server that may be away, each told what it must know and no more.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use jiff::SignedDuration;
use midwatch::domain::{CallState, Fact, Means, PageEvent, Platform};
use midwatch::engine::pager::{Incidents, Mailing, Outside, Pager};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::oncall::{House, noon};
use crate::world::on_both_engines;

const RUNBOOK: &str = "\
project: shop
about: The shop.
owner: team
channels: [C1]
rules:
  - otherwise: call oncall(shop)
escalation:
  - { at: 0m, call: oncall(shop), by: [webhook, pager, email] }
  - { at: 5m, call: team, by: [pager] }
";

/// What a server was told, and how many of the next calls it refuses.
#[derive(Clone, Default)]
struct Told {
    bodies: Arc<Mutex<Vec<serde_json::Value>>>,
    keys: Arc<Mutex<Vec<String>>>,
    mails: Arc<Mutex<Vec<String>>>,
    refuses: Arc<Mutex<u32>>,
}

/// A webhook, a pager and a mail server on this host.
struct Outsiders {
    told: Told,
    outside: Outside,
    _tasks: JoinSet<()>,
}

impl Outsiders {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default(); // The first of several.
        let told = Told::default();
        let mut tasks = JoinSet::new();
        let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mail = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (web_at, mail_at) = (web.local_addr().unwrap(), mail.local_addr().unwrap());
        let router = axum::Router::new()
            .route("/{*path}", post(take))
            .with_state(told.clone());
        tasks.spawn(async move { axum::serve(web, router).await.unwrap() });
        let mails = told.mails.clone();
        tasks.spawn(async move {
            loop {
                let (stream, _) = mail.accept().await.unwrap();
                take_mail(stream, &mails).await;
            }
        });
        let incidents = Incidents {
            url: format!("http://{web_at}/v2/enqueue"),
            key: "key-1".into(),
        };
        let mailing = Mailing {
            server: format!("smtp://{mail_at}").into(),
            from: "midwatch@example.org".to_owned(),
        };
        let webhook = format!("http://{web_at}/hook/secret").into();
        let outside = Outside::new(Some(webhook), Some(incidents), Some(&mailing)).unwrap();
        Self {
            told,
            outside,
            _tasks: tasks,
        }
    }

    fn bodies(&self) -> Vec<serde_json::Value> {
        std::mem::take(&mut self.told.bodies.lock().unwrap())
    }

    fn pager(&self, house: &House) -> Pager {
        Pager {
            store: house.world.store.clone(),
            catalog: house.dispatch.catalog.clone(),
            clock: house.clock.clone(),
            spoken: vec![Platform::Slack],
            outside: self.outside.clone(),
        }
    }

    /// Makes every call that is due.
    async fn call(&self, house: &House) {
        let pager = self.pager(house);
        pager.tick().await.unwrap();
        while pager.make_call().await.unwrap() {}
    }
}

async fn take(State(told): State<Told>, headers: HeaderMap, body: String) -> StatusCode {
    let mut refuses = told.refuses.lock().unwrap();
    if *refuses > 0 {
        *refuses -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    told.keys.lock().unwrap().push(key);
    told.bodies
        .lock()
        .unwrap()
        .push(serde_json::from_str(&body).unwrap());
    StatusCode::ACCEPTED
}

/// Speaks as much of SMTP as one mail takes.
async fn take_mail(stream: tokio::net::TcpStream, mails: &Mutex<Vec<String>>) {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    writing.write_all(b"220 fake\r\n").await.unwrap();
    let (mut mail, mut in_data) = (String::new(), false);
    while let Ok(Some(line)) = lines.next_line().await {
        mail.push_str(&format!("{line}\n"));
        let answer: &[u8] = match line.split(' ').next().unwrap_or_default() {
            "." => {
                in_data = false;
                mails.lock().unwrap().push(std::mem::take(&mut mail));
                b"250 taken\r\n"
            }
            _ if in_data => continue,
            "DATA" => {
                in_data = true;
                b"354 go on\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 well\r\n",
        };
        if writing.write_all(answer).await.is_err() {
            return;
        }
    }
}

async fn states(house: &House) -> Vec<(Means, CallState)> {
    let shop = "shop".parse().unwrap();
    let pages = house
        .world
        .store
        .pages_since(&shop, noon(), 1)
        .await
        .unwrap();
    let calls = house.world.store.calls_of(pages[0].page.id).await.unwrap();
    calls
        .into_iter()
        .map(|(call, state)| (call.means, state))
        .collect()
}

/// Bodies without what is another each time.
async fn plain(house: &House, bodies: &[serde_json::Value]) -> String {
    let shop = "shop".parse().unwrap();
    let pages = house
        .world
        .store
        .pages_since(&shop, noon(), 1)
        .await
        .unwrap();
    let page = &pages[0].page;
    let text = serde_json::to_string_pretty(bodies).unwrap();
    text.replace(&page.id.to_string(), "PAGE")
        .replace(page.reference.as_str(), "7f3k")
}

on_both_engines! {
async fn a_webhook_a_pager_and_a_mail_server_are_told(world: World) {
    let outsiders = Outsiders::start().await;
    let mut house = House::with(world, RUNBOOK);
    let told = house.says("U0EVE", "page checkout is down").await;
    assert!(told.contains("calling oncall(shop): @ana\nby e-mail, webhook and pager"), "{told}");
    outsiders.call(&house).await;
    let bodies = outsiders.bodies();
    let (incidents, hooks): (Vec<_>, Vec<_>) = bodies.into_iter().partition(|it| it.get("routing_key").is_some());
    insta::assert_snapshot!("webhook", plain(&house, &hooks).await);
    insta::assert_snapshot!("incident", plain(&house, &incidents).await);
    let mail = outsiders.told.mails.lock().unwrap().concat();
    for part in ["RCPT TO:<ana@example.org>", "Subject: [", "shop: checkout is down", "/ops ack ", "eve calls you as oncall(shop)"] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    let states = states(&house).await;
    assert_eq!(states.len(), 3);
    assert!(states.iter().all(|(_, state)| *state == CallState::Delivered), "{states:?}");
    outsiders.call(&house).await;
    assert!(outsiders.bodies().is_empty(), "once");
}

async fn outside_chat_a_broken_glass_is_told_with_its_reason_and_how_to_sign_it(world: World) {
    let outsiders = Outsiders::start().await;
    let rule = "rules:\n  - { may: look, who: everyone, break_glass: { pages: owner } }\n";
    let runbook = RUNBOOK.replace("rules:\n", rule).replace("webhook, pager, email", "pager, email");
    let mut house = House::with(world, &runbook);
    house.says("U0EVE", "break-glass look reason=\"it burns\" phrase=look").await;
    outsiders.call(&house).await;
    let incidents = outsiders.bodies();
    assert_eq!(incidents[0]["payload"]["summary"], "shop: eve broke the glass for look: it burns");
    let mail = outsiders.told.mails.lock().unwrap().concat();
    for part in ["RCPT TO:<ana@example.org>", "eve broke the glass for look: it burns", "/ops ack ", "/ops show ", "/ops review "] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
}

async fn who_is_away_is_called_again_with_the_same_key(world: World) {
    let outsiders = Outsiders::start().await;
    let mut house = House::with(world, &RUNBOOK.replace("webhook, pager, email", "webhook"));
    house.says("U0EVE", "page checkout is down").await;
    *outsiders.told.refuses.lock().unwrap() = 2;
    outsiders.call(&house).await;
    let waits = states(&house).await;
    assert!(matches!(&waits[0].1, CallState::Waiting(Some(why)) if why.contains("503")), "{waits:?}");
    let shown = house.says("U0EVE", "page").await;
    assert!(shown.contains("webhook: @ana waits: the answer was 503"), "{shown}");
    for seconds in [3, 8] {
        house.clock.set(noon() + SignedDuration::from_secs(seconds));
        outsiders.call(&house).await;
    }
    assert_eq!(outsiders.bodies().len(), 1);
    assert_eq!(states(&house).await[0].1, CallState::Delivered);
}

async fn what_never_arrives_is_given_up_visibly(world: World) {
    let outsiders = Outsiders::start().await;
    let mut house = House::with(world, &RUNBOOK.replace("webhook, pager, email", "webhook"));
    house.says("U0EVE", "page checkout is down").await;
    *outsiders.told.refuses.lock().unwrap() = 99;
    for minutes in 0..4 * 12 {
        house.clock.set(noon() + SignedDuration::from_secs(minutes * 5 + 60 * minutes));
        while outsiders.pager(&house).make_call().await.unwrap() {}
    }
    let told = house.delivered().await.join("\n");
    assert!(told.contains("the webhook to @ana could not be delivered: the answer was 503"), "{told}");
    assert!(!told.contains("secret"), "{told}");
    let facts = house.facts().await;
    let failed = |it: &Fact| matches!(it, Fact::Page { became: PageEvent::CallEnded { became: CallState::Failed(_), .. }, .. });
    assert_eq!(facts.iter().filter(|it| failed(it)).count(), 1);
}

async fn what_is_not_configured_is_told(world: World) {
    let mut house = House::with(world, &RUNBOOK.replace("webhook, pager, email", "pager"));
    house.says("U0EVE", "page checkout is down").await;
    let pager = Pager {
        store: house.world.store.clone(),
        catalog: house.dispatch.catalog.clone(),
        clock: house.clock.clone(),
        spoken: vec![Platform::Slack],
        outside: Outside::default(),
    };
    assert!(pager.make_call().await.unwrap());
    let states = states(&house).await;
    assert!(matches!(&states[0].1, CallState::Waiting(Some(why)) if why.contains("MIDWATCH_PAGER_KEY")), "{states:?}");
}

async fn whoever_answers_in_chat_stops_the_pager_too(world: World) {
    let outsiders = Outsiders::start().await;
    let mut house = House::with(world, &RUNBOOK.replace("webhook, pager, email", "pager"));
    house.says("U0EVE", "page checkout is down").await;
    outsiders.call(&house).await;
    house.says("U0ANA", "ack").await;
    outsiders.call(&house).await;
    let words: Vec<_> = outsiders.bodies().iter().map(|it| it["event_action"].clone()).collect();
    assert_eq!(words, ["trigger", "acknowledge"]);
    house.clock.set(noon() + SignedDuration::from_mins(6));
    outsiders.call(&house).await;
    assert!(outsiders.bodies().is_empty(), "the next level is not called");
}
}
