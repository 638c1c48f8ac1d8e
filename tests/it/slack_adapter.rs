//! The Slack adapter against a fake workspace: what comes in over both doors, and what goes out.

mod doors;
mod sending;
mod sockets;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use midwatch::chat::slack::{
    Door, Slack, SlackSettings, SocketsStopped, TIMING, routes, run_sockets,
};
use midwatch::chat::{Ears, Intake, Timing};
use midwatch::clock::Clock;
use midwatch::domain::{Catalog, Inbound, People, Person, PersonId, Place, Platform};
use midwatch::store::{Receipt, StoreError};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fakes::slack::{APP_TOKEN, BOT_TOKEN, FakeSlack, SIGNING_SECRET};

/// Limits that let a test finish, and that nothing healthy reaches.
const SOON: Duration = Duration::from_secs(10);

/// The adapter, with an intake that remembers.
struct App {
    slack: Arc<Slack>,
    door: Door,
    heard: Heard,
    address: String,
    client: reqwest::Client,
    status: watch::Receiver<Ears>,
    cancel: CancellationToken,
    http: JoinSet<()>,
    sockets: JoinSet<Result<(), SocketsStopped>>,
}

/// What reached the intake, and how the intake behaves.
#[derive(Clone, Default)]
struct Heard {
    inbounds: Arc<Mutex<Vec<Inbound>>>,
    failures: Arc<AtomicU64>,
    slow_ms: Arc<AtomicU64>,
}

impl Heard {
    fn all(&self) -> Vec<Inbound> {
        self.inbounds.lock().unwrap().clone()
    }

    fn texts(&self) -> Vec<String> {
        self.all().into_iter().map(|inbound| inbound.text).collect()
    }

    /// Distinct identities.
    fn keys(&self) -> BTreeSet<String> {
        self.all()
            .into_iter()
            .map(|inbound| inbound.key.as_str().to_owned())
            .collect()
    }

    fn fail_next(&self, times: u64) {
        self.failures.store(times, Ordering::SeqCst);
    }

    /// What says `slowly` takes this long.
    fn slow(&self, millis: u64) {
        self.slow_ms.store(millis, Ordering::SeqCst);
    }

    fn intake(&self) -> Intake {
        let heard = self.clone();
        Arc::new(move |inbound| Box::pin(heard.clone().receive(inbound)))
    }

    async fn receive(self, inbound: Inbound) -> Result<Receipt, StoreError> {
        let slow = self.slow_ms.load(Ordering::SeqCst);
        if slow > 0 && inbound.text.contains("slowly") {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        let take_one = |left: u64| left.checked_sub(1);
        if self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one)
            .is_ok()
        {
            return Err(StoreError::NotWritable(
                "disk full: secret detail".to_owned(),
            ));
        }
        let mut inbounds = self.inbounds.lock().unwrap();
        let known = inbounds.iter().any(|before| before.key == inbound.key);
        inbounds.push(inbound);
        Ok(if known {
            Receipt::Duplicate
        } else {
            Receipt::New
        })
    }
}

impl App {
    /// The adapter with its HTTP door open.
    async fn start(fake: &FakeSlack) -> Self {
        let slack = Arc::new(Slack::new(&settings(&fake.api_url()), catalog()).unwrap());
        slack.identify().await.unwrap();
        let heard = Heard::default();
        let door = Door {
            slack: slack.clone(),
            intake: heard.intake(),
            clock: Clock::system(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = routes(door.clone());
        let mut http = JoinSet::new();
        http.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let cancel = CancellationToken::new();
        let (_, status) = watch::channel(Ears::default());
        let sockets = JoinSet::new();
        Self {
            slack,
            door,
            heard,
            address,
            client: reqwest::Client::new(),
            status,
            cancel,
            http,
            sockets,
        }
    }

    /// The same, with Slack delivering over HTTP.
    async fn over_http(fake: &FakeSlack) -> Self {
        let app = Self::start(fake).await;
        fake.use_http(&app.address);
        app
    }

    /// The same, with Slack delivering over sockets, both of which are open.
    async fn over_sockets(fake: &FakeSlack, timing: Timing) -> Self {
        let mut app = Self::start(fake).await;
        app.listen(timing);
        fake.wait_for("two sockets", SOON, |fake| {
            (fake.open_sockets() == 2).then_some(())
        })
        .await;
        app.connected(2).await;
        app
    }

    fn listen(&mut self, timing: Timing) {
        let (sender, status) = watch::channel(Ears::default());
        self.status = status;
        self.sockets.spawn(run_sockets(
            self.door.clone(),
            timing,
            sender,
            self.cancel.clone(),
        ));
    }

    async fn connected(&mut self, sockets: usize) {
        let found = self.status.wait_for(|status| status.connected == sockets);
        tokio::time::timeout(SOON, found).await.unwrap().unwrap();
    }

    async fn stop(mut self) -> Result<(), SocketsStopped> {
        self.cancel.cancel();
        self.http.abort_all();
        self.sockets.join_next().await.unwrap().unwrap()
    }
}

fn quick() -> Timing {
    Timing {
        pause: Duration::from_millis(20),
        settled: Duration::from_millis(200),
        ..TIMING
    }
}

fn settings(api_url: &str) -> SlackSettings {
    SlackSettings {
        bot_token: BOT_TOKEN.to_owned().into(),
        app_token: Some(APP_TOKEN.to_owned().into()),
        signing_secret: Some(SIGNING_SECRET.to_owned().into()),
        api_url: api_url.to_owned(),
    }
}

fn catalog() -> Arc<ArcSwap<Catalog>> {
    let ana = Person {
        hours: None,
        second_factor: None,
        name: "Ana".to_owned(),
        accounts: [(Platform::Slack, vec!["T1/UANA".to_owned()])].into(),
    };
    let persons = [(PersonId::parse("ana").unwrap(), ana)].into();
    Arc::new(ArcSwap::from_pointee(Catalog {
        people: People {
            persons,
            ..People::default()
        },
        ..Catalog::default()
    }))
}

fn place(channel: &str) -> Place {
    Place {
        platform: Platform::Slack,
        space: "T1".to_owned(),
        channel: channel.to_owned(),
        thread: None,
    }
}

/// Real payloads of other projects' tests, by file name; empty, and said so, where they are not at hand.
fn fixtures() -> Vec<(String, Value)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/slack");
    let Ok(files) = std::fs::read_dir(&folder) else {
        #[expect(
            clippy::disallowed_methods,
            reason = "tests ask whether everything must be there"
        )]
        let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!must, "no payloads in {}", folder.display());
        println!("passed over: no payloads in {}", folder.display());
        return Vec::new();
    };
    let mut found: Vec<(String, Value)> = files
        .map(|file| file.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect();
    found.sort_by(|one, two| one.0.cmp(&two.0));
    found
}
