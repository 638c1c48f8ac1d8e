//! A midwatch that listens to a platform of its own: the adapter's connections, a store, and the one path up to the run.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use midwatch::catalog::{Folders, load};
use midwatch::chat::{CurrentCatalog, Ears, Intake};
use midwatch::clock::Clock;
use midwatch::dispatch::Dispatch;
use midwatch::store::{RunFilter, Store, StoreSettings};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Ground, TOO_LATE};

const LIMIT: Duration = Duration::from_secs(30);

/// One command that was said.
pub(super) struct Said {
    pub(super) tag: String,
    /// From being said to being acknowledged; `None` where nobody could see that.
    pub(super) took: Option<Duration>,
    /// The person was told that nobody answers.
    pub(super) unanswered: bool,
    /// It need not be heard any more: its person knows, and the platform has forgotten it.
    pub(super) may_be_lost: bool,
    /// While one of the connections was in no trouble.
    pub(super) one_up: bool,
}

impl Said {
    pub(super) fn new(tag: String) -> Self {
        Self {
            tag,
            took: None,
            unanswered: false,
            may_be_lost: false,
            one_up: false,
        }
    }
}

/// What an adapter is made of.
pub(super) struct Parts {
    pub(super) catalog: CurrentCatalog,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) intake: Intake,
}

pub(super) struct Lane<G: Ground> {
    pub(super) ground: G,
    door: G::Door,
    store: Store,
    status: watch::Receiver<Ears>,
    listening: JoinSet<Result<(), String>>,
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

impl<G: Ground> Lane<G> {
    /// Opens it, with all its connections hearing.
    pub(super) async fn open() -> Self {
        let ground = G::start().await;
        let folder = tempfile::tempdir().unwrap();
        let folders = files::<G>(&folder);
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
        let receiving = store.clone();
        let intake: Intake = Arc::new(move |inbound| {
            let store = receiving.clone();
            Box::pin(async move { store.receive(inbound).await })
        });
        let parts = Parts {
            catalog: Arc::clone(&catalog),
            clock: clock.clone(),
            store: store.clone(),
            intake,
        };
        let door = ground.door(parts).await;
        let cancel = CancellationToken::new();
        let behind = Arc::new(AtomicI64::new(0));
        let mut path = JoinSet::new();
        path.spawn(go(clock.clone(), behind.clone(), cancel.clone()));
        let dispatch = Dispatch {
            store: store.clone(),
            catalog,
            roster: None,
            clock,
            mirrors_on: Vec::new(),
        };
        let stop = cancel.clone();
        path.spawn(async move { dispatch.run(stop).await });
        let (_, status) = watch::channel(Ears::default());
        let mut lane = Self {
            ground,
            door,
            store,
            status,
            listening: JoinSet::new(),
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
        self.listening.spawn(G::listen(door, sender, cancel));
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

    /// The wall clock is set an hour back, and nothing comes of it. Answers when that was seen.
    pub(super) async fn bear_a_clock_set_back(&self) -> Instant {
        let opened = self.ground.opened();
        self.set_clock_back(Duration::from_secs(3_600));
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(
            self.ground.opened(),
            opened,
            "{}: the wall clock is none of its business",
            G::NAME
        );
        Instant::now()
    }

    /// Waits until it has no connections but those that it keeps: what is left is closed.
    pub(super) async fn has_no_more_connections(&self) {
        let only_these = |ground: &G| ground.open() == G::CONNECTIONS;
        self.ground
            .wait_for("its connections and no more", LIMIT, only_these)
            .await;
    }

    /// Waits until all its connections hear, none of which is one of these, and the adapter says so.
    pub(super) async fn hears_without(&mut self, struck: &[u64]) {
        let others = |ground: &G| {
            let hearing = ground.hearing();
            let others = hearing.iter().filter(|number| !struck.contains(number));
            others.count() == G::CONNECTIONS
        };
        self.ground
            .wait_for("connections that hear", LIMIT, others)
            .await;
        let all = self
            .status
            .wait_for(|status| status.connected == G::CONNECTIONS);
        let all = tokio::time::timeout(LIMIT, all).await;
        all.expect("all are connected").unwrap();
    }

    /// Waits until it stops listening by itself; answers why.
    pub(super) async fn stops(&mut self) -> String {
        let ended = tokio::time::timeout(LIMIT, self.listening.join_next()).await;
        let ended = ended.expect("it stops").unwrap().unwrap();
        ended.expect_err("nobody cancelled it")
    }

    /// Each command that was said was acknowledged where that can be seen, and is one run.
    pub(super) async fn expect_all_once(&self, said: &[Said], what: &str) {
        for one in said {
            assert!(
                one.took.is_none_or(|took| took < TOO_LATE),
                "{what}: {} was not acknowledged",
                one.tag
            );
        }
        let deadline = Instant::now() + LIMIT;
        loop {
            let mut runs = self.runs().await;
            let lost: Vec<&str> = said
                .iter()
                .filter(|one| !runs.remove(&one.tag) && !one.may_be_lost)
                .map(|one| one.tag.as_str())
                .collect();
            assert!(runs.is_empty(), "{what}: nobody said {runs:?}");
            if lost.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: said, and not run: {lost:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The tags that were run, each once.
    async fn runs(&self) -> HashSet<String> {
        let filter = RunFilter {
            limit: 1_000_000,
            ..RunFilter::default()
        };
        let mut tags = HashSet::new();
        for run in self.store.runs(&filter).await.unwrap().known {
            let tag = run.invocation.arguments.values().next().unwrap();
            let once = tags.insert(tag.to_string());
            assert!(once, "{}: {tag} is run more than once", G::NAME);
        }
        tags
    }

    /// Stops listening.
    pub(super) async fn close(mut self) {
        assert_eq!(
            self.ground.violations(),
            Vec::<String>::new(),
            "{}",
            G::NAME
        );
        self.cancel.cancel();
        while let Some(ended) = self.listening.join_next().await {
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

fn files<G: Ground>(folder: &tempfile::TempDir) -> Folders {
    let (person, channel) = (G::person(), G::channel());
    let files = [
        (
            "commands/look.yaml",
            "command: look\ndoes: Looks.\nrisk: low\nundo: none\nparameters:\n\
             \x20 tag: { type: text, matches: 'n[0-9]+' }\n\
             steps:\n  - { name: look, run: [echo, \"{tag}\"], effect: read }\n"
                .to_owned(),
        ),
        (
            "runbooks/people.yaml",
            format!("people:\n  ann: {{ name: Ann, {person} }}\ngroups:\n  crew: [ann]\n"),
        ),
        (
            "runbooks/sea.yaml",
            format!(
                "project: sea\nabout: The proof's own.\nowner: crew\nchannels: [\"{channel}\"]\nenvironments: {{ here: {{}} }}\n\
                 rules:\n  - {{ may: everything, who: crew }}\n  - otherwise: ask Ann\n\
                 escalation:\n  - {{ at: 0m, call: crew }}\n"
            ),
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
