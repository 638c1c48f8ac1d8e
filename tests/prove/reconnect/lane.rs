//! A midwatch that listens to a workspace of its own: the adapter's sockets, a store, and the one path up to the run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use midwatch::catalog::{Folders, load};
use midwatch::chat::slack::{Door, Slack, SlackSettings, SocketsStopped, Timing, run_sockets};
use midwatch::chat::{Ears, Intake};
use midwatch::clock::Clock;
use midwatch::dispatch::Dispatch;
use midwatch::store::{RunFilter, Store, StoreSettings};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::TOO_LATE;
use crate::fakes::slack::{APP_TOKEN, BOT_TOKEN, FakeSlack};

const LIMIT: Duration = Duration::from_secs(30);

/// One command that was said.
pub(super) struct Said {
    tag: String,
    /// From being said to being acknowledged.
    pub(super) took: Duration,
    /// While one of the two sockets was in no trouble.
    pub(super) one_up: bool,
}

pub(super) struct Lane {
    pub(super) slack: FakeSlack,
    door: Door,
    store: Store,
    status: watch::Receiver<Ears>,
    sockets: JoinSet<Result<(), SocketsStopped>>,
    cancel: CancellationToken,
    path: JoinSet<()>,
    said: usize,
    /// How far its wall clock is behind, in milliseconds.
    behind: Arc<AtomicI64>,
    _folder: tempfile::TempDir,
}

/// Numbers what is said, so that it can be told apart.
pub(super) struct Texts(usize);

impl Texts {
    pub(super) fn next(&mut self) -> String {
        self.0 += 1;
        format!("n{}", self.0)
    }
}

/// Says a command by mention; Slack delivers it until it is acknowledged.
pub(super) async fn say(slack: FakeSlack, tag: String, one_up: bool) -> Said {
    let (_, [_, mention]) = slack.mention_deliveries("U1", "C1", None, &format!("look {tag}"));
    let began = Instant::now();
    let ack = slack.deliver(&mention).await;
    Said {
        tag,
        took: if ack.status == 200 {
            began.elapsed()
        } else {
            Duration::MAX
        },
        one_up,
    }
}

impl Lane {
    /// Opens it, with both sockets hearing.
    pub(super) async fn open() -> Self {
        let slack = FakeSlack::start().await;
        slack.repeat_events(20);
        let folder = tempfile::tempdir().unwrap();
        let folders = files(&folder);
        let catalog = load(&folders, &BTreeMap::new()).catalog;
        assert!(
            !catalog.projects.is_empty(),
            "the proof's own files are right"
        );
        let catalog = Arc::new(ArcSwap::from_pointee(catalog));
        let clock = Clock::steered(Clock::system().now());
        let settings = StoreSettings {
            url: format!("sqlite:{}", folder.path().join("midwatch.db").display()),
            data: folder.path().to_owned(),
        };
        let store = Store::open(&settings, clock.now()).await.unwrap();
        let settings = SlackSettings {
            bot_token: BOT_TOKEN.to_owned().into(),
            app_token: Some(APP_TOKEN.to_owned().into()),
            signing_secret: None,
            api_url: slack.api_url(),
        };
        let adapter = Arc::new(Slack::new(&settings, Arc::clone(&catalog)).unwrap());
        adapter.identify().await.unwrap();
        let receiving = store.clone();
        let intake: Intake = Arc::new(move |inbound| {
            let store = receiving.clone();
            Box::pin(async move { store.receive(inbound).await })
        });
        let door = Door {
            slack: adapter,
            intake,
            clock: clock.clone(),
        };
        let cancel = CancellationToken::new();
        let mut path = JoinSet::new();
        let dispatch = Dispatch {
            store: store.clone(),
            catalog,
            roster: None,
            clock,
            mirrors_on: Vec::new(),
        };
        let stop = cancel.clone();
        path.spawn(async move { dispatch.run(stop).await });
        let behind = Arc::new(AtomicI64::new(0));
        path.spawn(go(door.clock.clone(), behind.clone(), cancel.clone()));
        let (_, status) = watch::channel(Ears::default());
        let mut lane = Self {
            slack,
            door,
            store,
            status,
            sockets: JoinSet::new(),
            cancel,
            path,
            said: 0,
            behind,
            _folder: folder,
        };
        lane.listen();
        lane.hears_without(&[]).await;
        lane
    }

    /// Begins to listen, again after it has stopped.
    pub(super) fn listen(&mut self) {
        let (sender, status) = watch::channel(Ears::default());
        self.status = status;
        let (door, cancel) = (self.door.clone(), self.cancel.clone());
        self.sockets
            .spawn(run_sockets(door, Timing::default(), sender, cancel));
    }

    /// What is to be said next.
    pub(super) fn texts(&mut self) -> Texts {
        self.said += 1_000;
        Texts(self.said)
    }

    /// Its wall clock shows the time of so long ago.
    pub(super) fn set_clock_back(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.behind.store(by, Ordering::SeqCst);
    }

    /// Waits until it has no sockets but the two: what is left is closed.
    pub(super) async fn has_two_sockets(&self) {
        self.slack
            .wait_for("two sockets and no more", LIMIT, |slack| {
                (slack.open_sockets() == 2).then_some(())
            })
            .await;
    }

    /// Waits until two sockets hear, none of which is one of these, and the adapter says so.
    pub(super) async fn hears_without(&mut self, struck: &[u64]) {
        let others = |slack: &FakeSlack| {
            let hearing = slack.hearing_sockets();
            hearing
                .iter()
                .filter(|number| !struck.contains(number))
                .count()
        };
        self.slack
            .wait_for("two sockets that hear", LIMIT, |slack| {
                (others(slack) == 2).then_some(())
            })
            .await;
        let connected = self.status.wait_for(|status| status.connected == 2);
        let connected = tokio::time::timeout(LIMIT, connected).await;
        connected.expect("both are connected").unwrap();
    }

    /// Waits until it stops listening because its link was switched off, and tries nothing more.
    pub(super) async fn expect_to_stop(&mut self) {
        let ended = tokio::time::timeout(LIMIT, self.sockets.join_next()).await;
        let ended = ended.expect("it stops").unwrap().unwrap();
        assert_eq!(ended, Err(SocketsStopped::LinkDisabled));
        let tried = self.slack.calls("apps.connections.open");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let again = self.slack.calls("apps.connections.open") - tried;
        assert_eq!(again, 0, "it waits for a person");
    }

    /// Each command that was said was acknowledged, and is one run.
    pub(super) async fn expect_all_once(&self, said: &[Said], what: &str) {
        for one in said {
            assert!(
                one.took < TOO_LATE,
                "{what}: {} was not acknowledged",
                one.tag
            );
        }
        let deadline = Instant::now() + LIMIT;
        loop {
            let runs = self.runs().await;
            let lost: Vec<&str> = said
                .iter()
                .map(|one| one.tag.as_str())
                .filter(|tag| !runs.contains_key(*tag))
                .collect();
            let doubled: Vec<_> = runs.iter().filter(|(_, count)| **count > 1).collect();
            assert!(
                doubled.is_empty(),
                "{what}: run more than once: {doubled:?}"
            );
            if lost.is_empty() {
                assert_eq!(
                    runs.len(),
                    said.len(),
                    "{what}: nobody said some of {runs:?}"
                );
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: acknowledged, and not run: {lost:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many runs there are of each tag.
    async fn runs(&self) -> HashMap<String, usize> {
        let filter = RunFilter {
            limit: 1_000_000,
            ..RunFilter::default()
        };
        let mut count = HashMap::new();
        for run in self.store.runs(&filter).await.unwrap().known {
            let tag = run.invocation.arguments.values().next().unwrap();
            *count.entry(tag.to_string()).or_default() += 1;
        }
        count
    }

    /// Stops listening.
    pub(super) async fn close(mut self) {
        assert_eq!(self.slack.violations(), Vec::<String>::new());
        self.cancel.cancel();
        while let Some(ended) = self.sockets.join_next().await {
            assert_eq!(ended.unwrap(), Ok(()));
        }
        while let Some(ended) = self.path.join_next().await {
            ended.unwrap();
        }
        self.store.close().await;
    }
}

/// The wall clock goes on, as far behind as it is set.
async fn go(clock: Clock, behind: Arc<AtomicI64>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let behind = jiff::SignedDuration::from_millis(behind.load(Ordering::SeqCst));
        clock.set(Clock::system().now() - behind);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn files(folder: &tempfile::TempDir) -> Folders {
    let files = [
        (
            "commands/look.yaml",
            "command: look\ndoes: Looks.\nrisk: low\nundo: none\nparameters:\n\
             \x20 tag: { type: text, matches: 'n[0-9]+' }\n\
             steps:\n  - { name: look, run: [echo, \"{tag}\"], effect: read }\n",
        ),
        (
            "runbooks/people.yaml",
            "people:\n  ann: { name: Ann, slack: U1 }\ngroups:\n  crew: [ann]\n",
        ),
        (
            "runbooks/sea.yaml",
            "project: sea\nabout: The proof's own.\nowner: crew\nchannels: [C1]\nenvironments: { here: {} }\n\
             rules:\n  - { may: everything, who: crew }\n  - otherwise: ask Ann\n\
             escalation:\n  - { at: 0m, call: crew }\n",
        ),
    ];
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Folders {
        commands: folder.path().join("commands"),
        runbooks: folder.path().join("runbooks"),
    }
}
