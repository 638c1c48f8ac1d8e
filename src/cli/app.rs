//! The parts of a running midwatch, made from settings. Nothing here decides; it only connects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use secrecy::ExposeSecret;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::commits::{self, Git};
use super::stages::Stage;
use super::{Exit, rules_told, say_error};
use crate::catalog::{self, CurrentCatalog, Folders, Loaded, Reloaded};
use crate::chat::outbox::Outbox;
use crate::chat::{Intake, Transport};
use crate::clock::Clock;
use crate::config::{LogFormat, Settings};
use crate::dispatch::{Dispatch, Memberships, Roster};
use crate::domain::{Catalog, Fact, Means, Platform, Project, Redactor, Reference, Run};
use crate::engine::Engine;
use crate::engine::actions::{HttpClient, Secrets, Steps, Surroundings, own_program};
use crate::engine::pager::{Incidents, Mailing, Outside, OutsideError, Pager};
use crate::engine::secrets::LocalSecrets;
use crate::planted::crash;
use crate::store::{
    CLOCK_REFUSE, CLOCK_WARN, Receipt, Store, StoreError, StoreSettings, clock_refused,
};
use crate::telemetry::{self, Metrics};

/// How long running steps may go on after the end was asked for.
pub(super) const DRAIN: Duration = Duration::from_secs(20);
/// How long the last postings are given.
pub(super) const LAST_POSTINGS: Duration = Duration::from_secs(10);
/// How often gauges are brought up to date.
const GAUGE_EVERY: Duration = Duration::from_secs(5);
/// How often our clock is compared with the database's.
const COMPARE_EVERY: Duration = Duration::from_secs(5);
/// How many runs are done at the same time.
const RUNS_AT_ONCE: usize = 32;

/// A midwatch whose store is open and whose catalog is loaded.
pub(super) struct App {
    pub(super) settings: Settings,
    pub(super) store: Store,
    /// As everybody reads it: with linked accounts, and whom platforms have in their groups.
    pub(super) catalog: CurrentCatalog,
    /// As the files have it.
    files: CurrentCatalog,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    surroundings: Surroundings,
    steps: Steps,
}

/// Where commands and runbooks are.
pub(super) fn folders(settings: &Settings) -> Folders {
    Folders {
        commands: settings.commands.clone(),
        runbooks: settings.runbooks.clone(),
    }
}

/// The secrets that commands may name, and midwatch's own to be hidden.
pub(super) fn secrets(settings: &Settings, environment: &BTreeMap<String, String>) -> LocalSecrets {
    let mut given = settings.secret_variables();
    given.extend(environment.clone());
    LocalSecrets::new(&given, settings.secrets_folder.clone()).hiding(settings.secret_values())
}

/// The files as they can be read; says each mistake in them.
pub(super) fn load(settings: &Settings) -> Loaded {
    let loaded = catalog::load(&folders(settings), &settings.variables);
    for diagnostic in loaded.diagnostics.iter().filter(|it| it.is_error()) {
        say_error(&diagnostic.render(false));
    }
    loaded
}

/// Loads the catalog for a program that is about to serve: mistakes are said, the rest goes on without those files.
///
/// `None` when there is nothing to serve with: nobody is known, or there is no project.
pub(super) fn load_catalog(settings: &Settings) -> Option<Catalog> {
    let loaded = load(settings);
    let usable = !loaded.catalog.people.persons.is_empty() && !loaded.catalog.projects.is_empty();
    if !usable {
        say_error(
            "there is no project or no person to serve: see the mistakes above, or point MIDWATCH_COMMANDS and MIDWATCH_RUNBOOKS to your files",
        );
    }
    usable.then_some(loaded.catalog)
}

/// The run that a person names, and the store it was read from, which is not disturbed. Says why there is none.
pub(super) async fn find_run(
    settings: &Settings,
    reference: &str,
) -> anyhow::Result<Result<(Store, Run), Exit>> {
    let Some(reference) = Reference::parse(reference) else {
        say_error(&format!(
            "`{reference}` is not a reference; it looks like 7f3k and stands in each thread"
        ));
        return Ok(Err(Exit::Invalid));
    };
    let store = Store::open_read_only(&StoreSettings {
        url: settings.database_url.clone(),
        data: settings.data.clone(),
    })
    .await?;
    let Some(run) = store.run_by_reference(&reference).await? else {
        say_error(&format!(
            "no run has the reference {reference}; `/ops runs` lists the latest"
        ));
        return Ok(Err(Exit::Failed));
    };
    Ok(Ok((store, run)))
}

/// Says why nothing was started, and what to do where the disk is the reason.
fn say_no_start(what: &str, why: &StoreError, settings: &Settings) {
    let data = settings.data.display();
    let next = match why {
        StoreError::NotWritable(_) | StoreError::NoAnswer => format!(
            "; see that the database and the folder {data} have room and can be written, then start midwatch again"
        ),
        StoreError::InUse(_)
        | StoreError::Unavailable(_)
        | StoreError::Busy(_)
        | StoreError::Conflict(_)
        | StoreError::Corrupt(_)
        | StoreError::Newer(_) => String::new(),
    };
    say_error(&format!("{what}: {why}{next}"));
}

impl App {
    /// Opens the store and loads the catalog. `Err` holds the exit code after the reason was said.
    pub(super) async fn open(
        settings: Settings,
        environment: BTreeMap<String, String>,
        log: &str,
    ) -> anyhow::Result<Result<Self, Exit>> {
        let clock = Clock::system();
        let secrets = secrets(&settings, &environment);
        let hidden = secrets.all();
        let redactor = Redactor::new(hidden.iter().map(ExposeSecret::expose_secret));
        let scrub = Arc::new(move |text: &str| redactor.redact(text));
        telemetry::start_logs(log, settings.log.format == LogFormat::Json, scrub)?;
        for doubt in secrets.unusable().iter().chain(&secrets.short()) {
            warn!("{doubt}");
        }
        let metrics = telemetry::start_metrics()?;
        let Some(catalog) = load_catalog(&settings) else {
            return Ok(Err(Exit::Invalid));
        };
        let store_settings = StoreSettings {
            url: settings.database_url.clone(),
            data: settings.data.clone(),
        };
        let store = match Store::open(&store_settings, clock.now()).await {
            Ok(store) => store,
            Err(why) => {
                say_no_start("the store can't be opened", &why, &settings);
                return Ok(Err(match why {
                    StoreError::InUse(_) => Exit::Unreachable,
                    StoreError::Unavailable(_)
                    | StoreError::NoAnswer
                    | StoreError::NotWritable(_)
                    | StoreError::Busy(_)
                    | StoreError::Conflict(_)
                    | StoreError::Corrupt(_)
                    | StoreError::Newer(_) => Exit::Failed,
                }));
            }
        };
        crash("start.opened");
        // Before anything is taken: a clock that is far off is known by then. The comparison is repeated all the while.
        if let Err(why) = store.compare_clocks(|| clock.now()).await {
            warn!("our clock is not compared with the database's yet: {why}");
        }
        let loaded = Fact::CatalogLoaded {
            revision: catalog.revision.clone(),
            commands: catalog.commands.len(),
            projects: catalog.projects.len(),
        };
        let started = Fact::Service {
            now: "started".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let recorded = store.record(vec![started, loaded], Vec::new(), clock.now());
        if let Err(why) = recorded.await {
            say_no_start("the start can't be recorded", &why, &settings);
            return Ok(Err(Exit::Failed));
        }
        crash("start.recorded");
        let catalog = Arc::new(catalog);
        let files = Arc::new(ArcSwap::new(Arc::clone(&catalog)));
        let catalog = Arc::new(ArcSwap::new(catalog));
        let surroundings = surroundings(&settings, environment, Arc::new(secrets))?;
        let steps = Steps::of(&settings.data).context("the data folder has no path")?;
        Ok(Ok(Self {
            settings,
            store,
            catalog,
            files,
            clock,
            metrics,
            surroundings,
            steps,
        }))
    }

    /// Hands inbounds to the store; what an edge acknowledges after.
    pub(super) fn intake(&self) -> Intake {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        Arc::new(move |inbound| {
            let (store, clock) = (store.clone(), clock.clone());
            Box::pin(async move {
                store.trust_clock(clock.now())?;
                let platform = inbound.place.platform.as_str();
                let began = Instant::now();
                let receipt = store.receive(inbound).await?;
                crash("inbound.received");
                let word = if receipt == Receipt::New {
                    "new"
                } else {
                    "duplicate"
                };
                metrics::counter!("midwatch_inbounds_total", "platform" => platform, "receipt" => word).increment(1);
                let elapsed = began.elapsed().as_secs_f64();
                metrics::histogram!("midwatch_inbound_seconds", "platform" => platform)
                    .record(elapsed);
                Ok(receipt)
            })
        })
    }

    /// The stage that walks inbounds and follows changed files. `spoken` are the platforms that postings are delivered to,
    /// `groups` those of them that say who is in their groups.
    pub(super) fn dispatch_stage(
        &self,
        spoken: &[Platform],
        groups: Vec<Arc<dyn Memberships>>,
    ) -> Stage {
        let mut stage = Stage::new("dispatch", Duration::from_secs(5));
        let roster = Arc::new(Roster::new(
            Arc::clone(&self.files),
            Arc::clone(&self.catalog),
            self.store.clone(),
            groups,
            spoken.iter().copied().collect(),
        ));
        let dispatch = Dispatch {
            store: self.store.clone(),
            catalog: Arc::clone(&self.catalog),
            roster: Some(Arc::clone(&roster)),
            clock: self.clock.clone(),
            mirrors_on: spoken.to_vec(),
        };
        let cancel = stage.cancel.clone();
        stage.spawn(async move { dispatch.run(cancel).await });
        let (kept, cancel) = (Arc::clone(&roster), stage.cancel.clone());
        stage.spawn(async move { kept.run(cancel).await });
        self.follow_files(&mut stage, roster, spoken.to_vec());
        self.follow_timelines(&mut stage);
        let (metrics, cancel) = (self.metrics.clone(), stage.cancel.clone());
        stage.spawn(async move { metrics.keep_small(&cancel).await });
        let (store, cancel) = (self.store.clone(), stage.cancel.clone());
        stage.spawn(async move { gauge_loads(store, cancel).await });
        let (store, clock, cancel) = (self.store.clone(), self.clock.clone(), stage.cancel.clone());
        stage.spawn(async move { follow_clocks(store, clock, cancel).await });
        stage
    }

    /// The stage that does runs.
    pub(super) fn engine_stage(&self) -> Stage {
        let mut stage = Stage::new("engine", DRAIN + Duration::from_secs(5));
        let engine = Engine {
            store: self.store.clone(),
            clock: self.clock.clone(),
            surroundings: self.surroundings.clone(),
            steps: self.steps.clone(),
            worker: self.store.worker(),
            at_once: RUNS_AT_ONCE,
            drain: DRAIN,
        };
        let cancel = stage.cancel.clone();
        stage.spawn(async move { engine.run(cancel).await });
        stage
    }

    /// The stage that calls people when it is time. `spoken` are the platforms that direct messages reach.
    pub(super) fn pager_stage(&self, spoken: &[Platform]) -> anyhow::Result<Stage> {
        for doubt in means_left_out(&self.catalog.load(), &self.settings) {
            warn!("{doubt}");
        }
        let mut stage = Stage::new("pager", Duration::from_secs(5));
        let pager = Pager {
            store: self.store.clone(),
            catalog: Arc::clone(&self.catalog),
            clock: self.clock.clone(),
            spoken: spoken.to_vec(),
            outside: outside(&self.settings)?,
        };
        let cancel = stage.cancel.clone();
        stage.spawn(async move { pager.run(cancel).await });
        Ok(stage)
    }

    /// The stage that delivers postings.
    pub(super) fn delivery_stage(&self, transports: Vec<Arc<dyn Transport>>) -> Stage {
        let mut stage = Stage::new("delivery", LAST_POSTINGS + Duration::from_secs(5));
        for transport in transports {
            let outbox = Outbox::new(self.store.clone(), transport, self.clock.clone());
            let cancel = stage.cancel.clone();
            stage.spawn(async move { outbox.run(cancel, LAST_POSTINGS).await });
        }
        stage
    }

    /// Keeps what timelines are made of besides the entries that are written.
    fn follow_timelines(&self, stage: &mut Stage) {
        let git = Git {
            folders: folders(&self.settings),
            environment: Arc::clone(&self.surroundings.environment),
        };
        let (catalog, store, clock) = (
            Arc::clone(&self.files),
            self.store.clone(),
            self.clock.clone(),
        );
        let cancel = stage.cancel.clone();
        stage.spawn(commits::follow(git, catalog, store, clock, cancel));
        stage.spawn(commits::place(self.store.clone(), stage.cancel.clone()));
    }

    /// Takes changed files whole, or keeps the catalog before and says so.
    fn follow_files(&self, stage: &mut Stage, roster: Arc<Roster>, mirrors_on: Vec<Platform>) {
        warn_of_mirrors(&self.catalog.load(), &mirrors_on);
        // Reloads are rare; when the queue is full the watcher waits.
        let (sender, mut reloads) = mpsc::channel(4);
        let (folders, variables) = (folders(&self.settings), self.settings.variables.clone());
        let (current, cancel) = (Arc::clone(&self.files), stage.cancel.clone());
        stage.spawn(async move {
            if let Err(why) =
                catalog::watch(folders, variables, current, sender, cancel.clone()).await
            {
                warn!("changed files are not followed: {why}; restart midwatch to take them");
                cancel.cancelled().await;
            }
        });
        let (store, clock, current) = (
            self.store.clone(),
            self.clock.clone(),
            Arc::clone(&self.files),
        );
        let cancel = stage.cancel.clone();
        let mut told = current.load_full();
        stage.spawn(async move {
            // What changed while midwatch was stopped is news, too.
            rules_told::tell(&store, (None, &told), &mirrors_on, clock.now()).await;
            while let Some(Some(reloaded)) = cancel.run_until_cancelled(reloads.recv()).await {
                roster.files_changed();
                crash("catalog.swapped");
                let fact = reload_fact(&current.load(), &reloaded);
                warn_of_mirrors(&current.load(), &mirrors_on);
                if let Err(why) = store.record(vec![fact], Vec::new(), clock.now()).await {
                    warn!("a reload is not recorded: {why}");
                }
                let taken = current.load_full();
                let both = (Some(&*told), &*taken);
                rules_told::tell(&store, both, &mirrors_on, clock.now()).await;
                told = taken;
                crash("catalog.recorded");
            }
            cancel.cancelled().await;
        });
    }

    /// Records the end and closes the store.
    pub(super) async fn close(self) {
        let stopped = Fact::Service {
            now: "stopped".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        if let Err(why) = self
            .store
            .record(vec![stopped], Vec::new(), self.clock.now())
            .await
        {
            warn!("the end is not recorded: {why}");
        }
        crash("drain.recorded");
        self.store.close().await;
    }
}

/// The platforms that a server with these settings delivers to.
pub(super) fn platforms(settings: &Settings) -> Vec<Platform> {
    let slack = settings.slack.iter().map(|_| Platform::Slack);
    let discord = settings.discord.iter().map(|_| Platform::Discord);
    slack.chain(discord).collect()
}

/// Which mirrors are left out because nothing is delivered to their platform here, each in a sentence.
pub(super) fn mirrors_left_out(catalog: &Catalog, mirrors_on: &[Platform]) -> Vec<String> {
    let projects = catalog.projects.values();
    let mirrors = projects.flat_map(|project| {
        let mirrors = project.mirrors.iter();
        mirrors.map(|to| (project.name.to_string(), to.platform))
    });
    let left_out: BTreeSet<_> = mirrors
        .filter(|(_, platform)| !mirrors_on.contains(platform))
        .collect();
    let in_words = |(project, platform): (String, Platform)| {
        format!(
            "the threads of {project} are not mirrored on {platform}: it is not configured here, and runs that begin \
             until it is have no thread there"
        )
    };
    left_out.into_iter().map(in_words).collect()
}

/// What runbooks call people by and these settings don't have, each in a sentence.
pub(super) fn means_left_out(catalog: &Catalog, settings: &Settings) -> Vec<String> {
    let calls = &settings.calls;
    let rows = [
        (
            Means::Webhook,
            calls.webhook.is_some(),
            "MIDWATCH_CALL_WEBHOOK",
        ),
        (Means::Pager, calls.pager.is_some(), "MIDWATCH_PAGER_KEY"),
        (Means::Email, calls.smtp.is_some(), "MIDWATCH_SMTP_URL"),
    ];
    let missing = rows.into_iter().filter(|(_, is_set, _)| !is_set);
    let in_words = missing.filter_map(|(means, _, setting)| {
        let asks = |project: &&Arc<Project>| {
            let mut levels = project.escalation.iter();
            levels.any(|level| level.by.contains(&means))
        };
        let projects = catalog.projects.values().filter(asks);
        let names: Vec<&str> = projects.map(|it| it.name.as_str()).collect();
        (!names.is_empty()).then(|| {
            format!(
                "{} calls people by {}, and {setting} is not set: such a call reaches nobody",
                names.join(", "),
                means.in_words()
            )
        })
    });
    in_words.collect()
}

fn warn_of_mirrors(catalog: &Catalog, mirrors_on: &[Platform]) {
    for doubt in mirrors_left_out(catalog, mirrors_on) {
        warn!("{doubt}");
    }
}

/// What makes calls outside chat.
fn outside(settings: &Settings) -> Result<Outside, OutsideError> {
    let calls = &settings.calls;
    let incidents = calls.pager.as_ref().map(|pager| Incidents {
        url: pager.url.clone(),
        key: pager.key.clone(),
    });
    let mailing = calls.smtp.as_ref().map(|smtp| Mailing {
        server: smtp.url.clone(),
        from: smtp.from.clone(),
    });
    Outside::new(calls.webhook.clone(), incidents, mailing.as_ref())
}

/// What steps find around them.
fn surroundings(
    settings: &Settings,
    environment: BTreeMap<String, String>,
    secrets: Arc<dyn Secrets>,
) -> anyhow::Result<Surroundings> {
    // Relative programs and folders in commands are meant from the folder that holds `commands/`.
    let parent = settings.commands.parent();
    let directory = parent.filter(|it| !it.as_os_str().is_empty());
    Ok(Surroundings {
        secrets,
        directory: directory.map_or_else(|| PathBuf::from("."), PathBuf::from),
        environment: Arc::new(environment),
        http: HttpClient::new().map_err(|why| anyhow!(why))?,
        supervisor: own_program().context("midwatch's own program has no path")?,
    })
}

/// Compares our clock with the database's until cancelled. Nothing to do where there is one clock only.
async fn follow_clocks(store: Store, clock: Clock, cancel: CancellationToken) {
    let mut said = false;
    loop {
        match store.compare_clocks(|| clock.now()).await {
            Ok(None) => return cancel.cancelled().await,
            Ok(Some(state)) => {
                metrics::gauge!("midwatch_clock_ahead").set(state.ahead.as_secs_f64());
                let is_off = state.is_off_by(CLOCK_WARN);
                if is_off && !said {
                    warn!(
                        "this host's clock is {}; keep both with NTP: beyond {} s no work is taken",
                        state.in_words(),
                        CLOCK_REFUSE.as_secs()
                    );
                }
                said = is_off;
            }
            // /readyz says when the database is not well; the last comparison holds by the monotonic clock.
            Err(_) => {}
        }
        let pause = tokio::time::sleep(COMPARE_EVERY);
        if cancel.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

/// Whether our clock is one to work by, for `/readyz`.
pub(super) async fn clock_is_well(store: Store, clock: Clock) -> Result<(), String> {
    let compared = store.compare_clocks(|| clock.now()).await;
    match compared.map_err(|why| why.to_string())? {
        Some(state) if state.is_off_by(CLOCK_REFUSE) => Err(clock_refused(&state)),
        Some(_) | None => Ok(()),
    }
}

/// Brings the gauges of open runs and waiting postings up to date until cancelled.
async fn gauge_loads(store: Store, cancel: CancellationToken) {
    loop {
        // Unknown stays as it was: /readyz says when the store is not well.
        if let Ok(count) = store.runs_open().await {
            metrics::gauge!("midwatch_runs_open").set(as_gauge(count));
        }
        for platform in [Platform::Slack, Platform::Console] {
            if let Ok(count) = store.postings_waiting(platform).await {
                let gauge =
                    metrics::gauge!("midwatch_postings_waiting", "platform" => platform.as_str());
                gauge.set(as_gauge(count));
            }
        }
        if cancel
            .run_until_cancelled(tokio::time::sleep(GAUGE_EVERY))
            .await
            .is_none()
        {
            return;
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and these are small"
)]
fn as_gauge(count: u64) -> f64 {
    count as f64
}

fn reload_fact(current: &Catalog, reloaded: &Reloaded) -> Fact {
    let revision = current.revision.clone();
    match reloaded {
        Reloaded::Loaded { .. } => {
            info!("the changed files are in force: revision {revision}");
            metrics::counter!("midwatch_catalog_loads_total", "result" => "taken").increment(1);
            Fact::CatalogLoaded {
                revision,
                commands: current.commands.len(),
                projects: current.projects.len(),
            }
        }
        Reloaded::Kept { diagnostics, .. } => {
            let errors: Vec<_> = diagnostics.iter().filter(|it| it.is_error()).collect();
            for error in &errors {
                warn!("{}", error.render(false));
            }
            metrics::counter!("midwatch_catalog_loads_total", "result" => "kept").increment(1);
            let first = errors
                .first()
                .map(|it| format!("{}:{}: {}", it.file, it.line, it.message))
                .unwrap_or_default();
            warn!("the changed files were not taken; revision {revision} stays in force");
            Fact::CatalogKept {
                revision,
                mistakes: errors.len(),
                first,
            }
        }
    }
}

/// What `serve` and `try` have in common when the database is asked whether it is well.
pub(super) async fn store_is_well(store: Store, clock: Clock) -> Result<(), String> {
    store
        .probe(clock.now())
        .await
        .map_err(|why: StoreError| why.to_string())
}
