//! A store in its own folder, and things to put into it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use midwatch::domain::{
    Action, Effect, Fact, Identity, Inbound, InboundKey, Invocation, Manner, Message, Phase, Piece,
    Place, Plan, PlannedStep, Platform, Posting, PostingKind, Reference, Rendered, Revision, Risk,
    RuleRef, Run, RunAction, RunEvent, RunId, Source, Speaker, SpeakerKind, StepName, StepResult,
    StepState,
};
use midwatch::store::{
    Change, Conclusion, DuePosting, Duty, Lease, Receipt, Standing, Store, StoreError,
    StoreSettings, Tell, WorkerId,
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Milliseconds after an arbitrary moment.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + ms).unwrap()
}

/// A store that can be opened again on the same folder.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
    url: String,
}

/// What the facts are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A test of the store, on each engine: `name::sqlite` and `name::postgres`. Where PostgreSQL is not installed the second
/// says so and passes.
macro_rules! on_both_engines {
    ($(async fn $name:ident($world:ident: World) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not each test needs everything of the file")]
            use super::*;

            async fn story($world: $crate::world::World) $body

            #[tokio::test]
            async fn sqlite() {
                story($crate::world::World::new().await).await;
            }

            #[tokio::test]
            async fn postgres() {
                if let Some(world) = $crate::world::World::on($crate::world::Engine::Postgres).await {
                    story(world).await;
                }
            }
        }
    )*};
}
pub(crate) use on_both_engines;

impl World {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// `None` where the engine is not installed.
    pub(crate) async fn on(engine: Engine) -> Option<Self> {
        if engine == Engine::Sqlite {
            return Some(Self::new().await);
        }
        let url = crate::cluster::shared()?.database().await;
        Some(Self::at(&url).await)
    }

    /// On the database of this address.
    pub(crate) async fn at(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&settings(&folder, url), at(0)).await.unwrap();
        let url = url.to_owned();
        Self { folder, store, url }
    }

    /// A new one on the same engine.
    pub(crate) async fn another(&self) -> Self {
        let engine = if self.url.starts_with("sqlite:") {
            Engine::Sqlite
        } else {
            Engine::Postgres
        };
        Self::on(engine).await.expect("this one is on it too")
    }

    /// Another replica on the same database, with the same key and a folder of its own.
    pub(crate) async fn replica(&self) -> Self {
        let (folder, settings) = self.neighbour(true);
        let store = Store::open(&settings, at(0)).await.unwrap();
        let url = settings.url;
        Self { folder, store, url }
    }

    /// `options` follow the path in the database's URL.
    pub(crate) async fn with(options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("midwatch.db");
        let url = format!("sqlite:{}{options}", database.display());
        let store = Store::open(&settings(&folder, &url), at(0)).await.unwrap();
        Self { folder, store, url }
    }

    /// Another folder for another process on the same database; `key`: with the first one's.
    pub(crate) fn neighbour(&self, key: bool) -> (tempfile::TempDir, StoreSettings) {
        let folder = tempfile::tempdir().unwrap();
        if key {
            std::fs::copy(self.data("ledger.key"), folder.path().join("ledger.key")).unwrap();
        }
        let settings = settings(&folder, &self.url);
        (folder, settings)
    }

    /// Does to the database what midwatch does not, as someone with access to it.
    pub(crate) async fn spoil(&self, statement: &str) {
        let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(statement));
        if self.url.starts_with("sqlite:") {
            let mut db = self.tamper().await;
            statement.execute(&mut db).await.unwrap();
        } else {
            let mut db = connect(&self.url).await;
            statement.execute(&mut db).await.unwrap();
        }
    }

    pub(crate) fn settings(&self) -> StoreSettings {
        settings(&self.folder, &self.url)
    }

    pub(crate) fn data(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Ends the process, as far as the folder can tell: nothing is flushed or closed.
    pub(crate) async fn crash(self) -> Self {
        self.reopen().await.unwrap()
    }

    pub(crate) async fn reopen(self) -> Result<Self, StoreError> {
        let settings = self.settings();
        let Self { folder, store, url } = self;
        drop(store);
        let store = Store::open(&settings, at(0)).await?;
        Ok(Self { folder, store, url })
    }

    /// The database itself, as someone with access to the file sees it.
    pub(crate) async fn tamper(&self) -> sqlx::SqliteConnection {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.data("midwatch.db"))
            .foreign_keys(false);
        sqlx::ConnectOptions::connect(&options).await.unwrap()
    }

    /// Receives inbound `n` and begins the run of it.
    pub(crate) async fn begin(&self, n: u32, lock: Option<&str>) -> Result<Run, StoreError> {
        let inbound = inbound(n);
        assert_eq!(self.store.receive(inbound.clone()).await?, Receipt::New);
        let run = queued_run(&inbound.key, Effect::Once);
        let conclusion = Conclusion {
            fact: answered(&inbound.key),
            inbound: inbound.key,
            change: Change::NewRun {
                run: Box::new(run.clone()),
                lock: lock.map(str::to_owned),
            },
            postings: Vec::new(),
        };
        self.store.conclude(conclusion, at(0)).await?;
        Ok(run)
    }

    pub(crate) async fn claim(&self) -> Option<(Lease, Run)> {
        let worker = WorkerId(format!("{}/worker", self.store.home()));
        self.store
            .claim_run(&worker, &[], at(0), MINUTE)
            .await
            .unwrap()
    }

    /// The duty to deliver to Slack.
    pub(crate) async fn duty(&self) -> Duty {
        let worker = WorkerId(format!("{}/worker", self.store.home()));
        let duty = self
            .store
            .take_duty(Platform::Slack, &worker, at(0), MINUTE);
        duty.await.unwrap().expect("nobody else has it")
    }

    /// Owes postings that belong to no inbound.
    pub(crate) async fn owe(&self, postings: Vec<Posting>) {
        self.store
            .record(Vec::new(), postings, at(0))
            .await
            .unwrap();
    }

    pub(crate) async fn due(&self) -> Vec<DuePosting> {
        let due = self.store.due_postings(Platform::Slack, at(0), 100);
        due.await.unwrap()
    }

    pub(crate) async fn due_words(&self) -> Vec<String> {
        self.due()
            .await
            .iter()
            .map(|due| words(&due.posting))
            .collect()
    }

    /// The platform takes what is due under this text; it is read back after so many milliseconds.
    pub(crate) async fn take(&self, says: &str, message: &str, after_ms: i64) {
        let due = self.due().await;
        let due = due.iter().find(|due| words(&due.posting) == says);
        let due = due.unwrap_or_else(|| panic!("`{says}` is due"));
        let duty = self.duty().await;
        self.store.begin_posting(&duty, due.id).await.unwrap();
        let stands = Standing {
            message: Some(midwatch::store::MessageRef(message.to_owned())),
            version: due.version,
            until: at(after_ms),
        };
        let taken = self.store.posting_stands(&duty, due.id, stands);
        taken.await.unwrap();
    }

    /// Delivers what is due under this text.
    pub(crate) async fn deliver(&self, says: &str, message: Option<&str>) {
        let due = self.due().await;
        let due = due.iter().find(|due| words(&due.posting) == says);
        let due = due.unwrap_or_else(|| panic!("`{says}` is due"));
        let duty = self.duty().await;
        self.store.begin_posting(&duty, due.id).await.unwrap();
        let message = message.map(|m| midwatch::store::MessageRef(m.to_owned()));
        let done = self
            .store
            .posting_delivered(&duty, due.id, due.version, message);
        done.await.unwrap();
    }
}

/// A connection to PostgreSQL beside midwatch's.
pub(crate) async fn connect(url: &str) -> sqlx::PgConnection {
    <sqlx::PgConnection as sqlx::Connection>::connect(url)
        .await
        .unwrap()
}

fn settings(folder: &tempfile::TempDir, url: &str) -> StoreSettings {
    StoreSettings {
        url: url.to_owned(),
        data: folder.path().to_owned(),
    }
}

pub(crate) fn place() -> Place {
    Place {
        platform: Platform::Slack,
        space: "T1".to_owned(),
        channel: "C1".to_owned(),
        thread: None,
    }
}

pub(crate) fn inbound(n: u32) -> Inbound {
    Inbound {
        key: InboundKey::new(&["slack", "T1", "C1", &n.to_string()]),
        source: Source::Chat,
        speaker: Speaker {
            platform: Platform::Slack,
            space: "T1".to_owned(),
            id: format!("U{n}"),
            kind: SpeakerKind::Person,
        },
        place: place(),
        manner: Manner::Said,
        text: format!("flush-cache prod path=/secret-{n}"),
        sent_at: at(0),
        received_at: at(0),
        form_handle: None,
    }
}

pub(crate) fn answered(inbound: &InboundKey) -> Fact {
    Fact::Answered {
        inbound: inbound.clone(),
        actor: Identity::Stranger,
        question: "help".to_owned(),
    }
}

pub(crate) fn conclusion(n: u32, change: Change) -> Conclusion {
    let key = inbound(n).key;
    Conclusion {
        fact: answered(&key),
        inbound: key,
        change,
        postings: Vec::new(),
    }
}

fn step(name: &str, effect: Effect) -> PlannedStep {
    PlannedStep {
        name: name.parse().unwrap(),
        action: Action::Run(RunAction {
            argv: vec![Rendered(vec![Piece::Text("true".to_owned())])],
            directory: None,
            environment: BTreeMap::new(),
            pass: Vec::new(),
        }),
        verify: None,
        effect,
        timeout_ms: 1_000,
        attempts: 1,
        hosts: Vec::new(),
    }
}

pub(crate) fn queued_run(key: &InboundKey, effect: Effect) -> Run {
    let id = RunId::of_inbound(key);
    Run {
        id,
        reference: id.reference(6),
        invocation: Invocation {
            command: "flush-cache".parse().unwrap(),
            project: "shop".parse().unwrap(),
            environment: Some("prod".parse().unwrap()),
            arguments: BTreeMap::new(),
            again: false,
            reason: None,
            glass: false,
        },
        requester: Identity::Person("bo".parse().unwrap()),
        rule: RuleRef {
            at: midwatch::domain::FileLine {
                file: "runbooks/shop.yaml".to_owned(),
                line: 3,
            },
            revision: Revision("0123456789ab".to_owned()),
        },
        place: place(),
        mirrors: Vec::new(),
        followers: Vec::new(),
        glass: None,
        phase: Phase::Queued { since: at(0) },
        plan: Some(Plan {
            revision: Revision("0123456789ab".to_owned()),
            risk: Risk::Low,
            undo: None,
            check: None,
            steps: vec![step("ban", effect), step("verify", Effect::Read)],
        }),
        steps: vec![StepState::Pending; 2],
        cancelled_by: None,
        doubted_at: None,
        created_at: at(0),
        started_at: None,
        finished_at: None,
    }
}

pub(crate) fn step_name(position: usize) -> StepName {
    ["ban", "verify"][position].parse().unwrap()
}

pub(crate) fn started(position: usize) -> RunEvent {
    RunEvent::StepStarted {
        position,
        step: step_name(position),
        attempt: 1,
    }
}

pub(crate) fn ended(position: usize) -> RunEvent {
    RunEvent::StepEnded {
        position,
        step: step_name(position),
        attempt: 1,
        result: StepResult::Succeeded {
            note: "done".to_owned(),
        },
        elapsed_ms: 5,
        output_sha256: None,
    }
}

pub(crate) fn finished(outcome: midwatch::domain::Outcome) -> RunEvent {
    RunEvent::Finished {
        outcome,
        elapsed_ms: 9,
    }
}

pub(crate) fn silent() -> Tell {
    Box::new(|_, _| Vec::new())
}

pub(crate) fn posting(kind: PostingKind, run: Option<RunId>, says: &str) -> Posting {
    Posting {
        to: place(),
        kind,
        run,
        message: Message::new(says.into()),
    }
}

pub(crate) fn line(run: RunId, says: &str) -> Posting {
    let kind = PostingKind::Line {
        attachment: None,
        last: says == "last",
    };
    posting(kind, Some(run), says)
}

pub(crate) fn root(run: RunId, says: &str) -> Posting {
    posting(PostingKind::Root, Some(run), says)
}

pub(crate) fn words(posting: &Posting) -> String {
    let midwatch::domain::Block::Text(text) = &posting.message.blocks[0] else {
        panic!("a message begins with text");
    };
    let midwatch::domain::Span::Plain(words) = &text.0[0] else {
        panic!("the test's messages are plain");
    };
    words.clone()
}

pub(crate) fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}
