//! `midwatch try`: the whole product on sample projects, with the console in this terminal and no account anywhere.

use std::collections::BTreeMap;
use std::io::{BufReader, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use tokio::net::TcpListener;

use super::app::{App, folders, store_is_well};
use super::sample_shop::{SampleSettings, SampleShop};
use super::stages::{Stage, Stages, StopSignal};
use super::{Exit, say};
use crate::catalog::{self, Example};
use crate::chat::Transport;
use crate::chat::console::{
    Complete, Console, ConsoleTransport, Ended, Input, Screen, WaitForEnd, terminal_columns,
};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::{
    Catalog, Hearing, InboundKey, Outcome, PersonId, Phase, Platform, Project, RunId, complete,
};
use crate::http::{self, Health};
use crate::store::{Concluded, RunFilter, Store, StoreError};

/// The secret that the sample servers want, and the sample commands name.
const SAMPLE_SECRET: &str = "MIDWATCH_SECRET_SHOP_ADMIN";

/// Runs until the console ends or a signal comes.
pub(super) async fn run(
    mut settings: Settings,
    mut environment: BTreeMap<String, String>,
) -> anyhow::Result<Exit> {
    let mut servers = Stage::new("sample servers", Duration::from_secs(2));
    start_samples(&mut settings, &mut environment, &mut servers).await?;
    let log = environment
        .get("MIDWATCH_LOG")
        .map_or("error", |_| settings.log.filter.as_str())
        .to_owned();
    let examples = catalog::load(&folders(&settings), &settings.variables).examples;
    let app = match App::open(settings, environment, &log).await? {
        Ok(app) => app,
        // Nobody else is asked to do it for us: here a folder in use is a failed start.
        Err(Exit::Unreachable) => return Ok(Exit::Failed),
        Err(exit) => return Ok(exit),
    };
    let Some(seat) = Seat::choose(&app.catalog.load(), &examples) else {
        super::say_error(
            "no project has a channel and somebody to play: add `channels:` and an `owner:` group to a runbook",
        );
        return Ok(Exit::Invalid);
    };
    for line in seat.greeting(&app.settings) {
        say(&line);
    }
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let colour =
        std::io::stdout().is_terminal() && !crate::config::environment().contains_key("NO_COLOR");
    let screen = Screen::open(Box::new(std::io::stdout()))?;
    let transport: Arc<dyn Transport> = Arc::new(
        ConsoleTransport::new(
            screen.clone(),
            Arc::clone(&app.catalog),
            app.clock.clone(),
            colour,
        )
        .as_wide_as(terminal_columns),
    );
    let console = console(&app, screen, seat, colour);
    let input = if terminal {
        Input::Terminal {
            history: app.settings.data.join("history"),
        }
    } else {
        Input::Lines(Box::new(BufReader::new(std::io::stdin())))
    };
    let mut signal = StopSignal::listen();
    let mut stages = Stages(vec![
        http_stage(&app).await?,
        // No account anywhere: whatever the runbooks mirror stays here.
        app.dispatch_stage(&[], Vec::new()),
        app.pager_stage(&[])?,
        app.engine_stage(),
        app.delivery_stage(vec![transport]),
        servers,
    ]);
    let stop = tokio_util::sync::CancellationToken::new();
    let talking = console.run(input, stop.clone());
    tokio::pin!(talking);
    let ended = tokio::select! {
        ended = &mut talking => ended?,
        () = signal.arrives() => { stop.cancel(); talking.await? }
        stage = stages.ended_early() => { stop.cancel(); anyhow::bail!("{stage} ended early; see the log above") }
    };
    stages.stop().await;
    app.close().await;
    Ok(if ended == Ended::Failed {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// Starts a small caching server for each address on loopback that a runbook names as a default, and tells the
/// catalog where it really listens.
async fn start_samples(
    settings: &mut Settings,
    environment: &mut BTreeMap<String, String>,
    stage: &mut Stage,
) -> anyhow::Result<()> {
    let token = environment
        .entry(SAMPLE_SECRET.to_owned())
        .or_insert_with(|| uuid::Uuid::new_v4().to_string());
    let admin_token = SecretString::from(token.clone());
    for (variable, port) in catalog::loopback_defaults(&folders(settings)) {
        if settings.variables.contains_key(&variable) {
            continue; // Somebody brought their own.
        }
        let sample = SampleSettings {
            port,
            admin_token: admin_token.clone(),
            clock: Clock::system(),
        };
        let (shop, serving) = SampleShop::start(sample, stage.cancel.clone())
            .await
            .context("a sample server can't listen on loopback")?;
        shop.warm();
        settings
            .variables
            .insert(variable, format!("http://{}", shop.address()));
        stage.spawn(async move {
            if let Err(why) = serving.await {
                tracing::error!("a sample server ended: {why}");
            }
        });
    }
    Ok(())
}

/// Who sits at the console, and where.
struct Seat {
    person: PersonId,
    channel: String,
    project: Arc<Project>,
    first: String,
    /// Somebody else to play.
    other: Option<PersonId>,
}

/// The channel, by its own name, of the project with the most rules: it has the most to show and to ask.
pub(super) fn usual_channel(catalog: &Catalog) -> Option<String> {
    let project = catalog
        .projects
        .values()
        .max_by_key(|project| project.rules.len())?;
    Some(project.name.to_string())
}

impl Seat {
    /// One of the project's owners sits down in the usual channel.
    fn choose(catalog: &Catalog, examples: &[Example]) -> Option<Self> {
        let channel = usual_channel(catalog)?;
        let project = catalog.project_of_channel(&channel)?;
        let owners = project
            .owner
            .as_ref()
            .and_then(|owner| catalog.people.groups.get(owner));
        let person = owners
            .and_then(|owners| owners.first())
            .or_else(|| catalog.people.persons.keys().next())?;
        let example = examples
            .iter()
            .find(|example| example.project == project.name && example.who == *person);
        Some(Self {
            person: person.clone(),
            channel,
            project: Arc::clone(project),
            first: example.map_or_else(|| "list".to_owned(), |example| example.says.clone()),
            other: catalog
                .people
                .persons
                .keys()
                .rev()
                .find(|it| *it != person)
                .cloned(),
        })
    }

    fn greeting(&self, settings: &Settings) -> [String; 3] {
        [
            format!(
                "midwatch runs here with sample projects and no account anywhere; you are {} in the channel of {}",
                self.person, self.project.name
            ),
            format!(
                "type first: /ops {}   then: /ops help, /ops list{}",
                self.first,
                self.other
                    .as_ref()
                    .map(|other| format!("; /as {other} plays another person"))
                    .unwrap_or_default()
            ),
            format!(
                "stop with Ctrl-D or /quit; what happened is kept in {}",
                settings.data.display()
            ),
        ]
    }
}

fn console(app: &App, screen: Screen, seat: Seat, colour: bool) -> Console {
    Console {
        screen,
        speaker: seat.person.to_string(),
        channel: seat.channel,
        may_play: true,
        colour,
        session: uuid::Uuid::new_v4().simple().to_string(),
        intake: app.intake(),
        ended: wait_for_end(app.store.clone()),
        complete: completion(app),
        catalog: Arc::clone(&app.catalog),
        clock: app.clock.clone(),
    }
}

/// Completes from the catalog in force and the runs of late.
fn completion(app: &App) -> Complete {
    let (catalog, store) = (Arc::clone(&app.catalog), app.store.clone());
    let handle = tokio::runtime::Handle::current();
    Arc::new(move |line, cursor, channel| {
        let catalog = catalog.load();
        let filter = RunFilter {
            project: None,
            open: false,
            limit: 20,
        };
        // The line editor calls from its own thread, never from the runtime's.
        let runs = handle.block_on(store.runs(&filter)).unwrap_or_default();
        let references: Vec<String> = runs
            .known
            .into_iter()
            .map(|run| run.reference.to_string())
            .collect();
        complete(
            line,
            cursor,
            &Hearing {
                catalog: &catalog,
                channel,
            },
            &references,
        )
    })
}

/// Looks until what was said has been concluded, its run has ended or waits for a person, and all of it is printed.
pub(super) fn wait_for_end(store: Store) -> WaitForEnd {
    Arc::new(move |key| {
        let (store, key) = (store.clone(), key.clone());
        Box::pin(async move {
            let mut changes = store.changes();
            loop {
                changes.mark_unchanged();
                if let Some(ended) = ended(&store, &key).await?
                    && store.postings_waiting(Platform::Console).await? == 0
                {
                    return Ok(ended);
                }
                let _ = tokio::time::timeout(Duration::from_millis(200), changes.changed()).await; // A hint only.
            }
        })
    })
}

async fn ended(store: &Store, key: &InboundKey) -> Result<Option<Ended>, StoreError> {
    let Some(concluded) = store.conclusion(key).await? else {
        return Ok(None);
    };
    match concluded {
        Concluded::Run => {
            let Some(run) = store.run(RunId::of_inbound(key)).await? else {
                return Ok(Some(Ended::Failed));
            };
            Ok(match run.phase {
                Phase::AwaitingApproval { .. } => Some(Ended::Waiting),
                Phase::Queued { .. } | Phase::Running => None,
                Phase::Finished(Outcome::Succeeded) => Some(Ended::Done),
                Phase::Finished(_) => Some(Ended::Failed),
            })
        }
        Concluded::Answered => Ok(Some(Ended::Done)),
        Concluded::Refused | Concluded::NotRun => Ok(Some(Ended::Failed)),
    }
}

/// Health and metrics; on another port when the usual one is taken.
async fn http_stage(app: &App) -> anyhow::Result<Stage> {
    let mut stage = Stage::new("http", Duration::from_secs(3));
    let listener = match TcpListener::bind(app.settings.listen).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("nothing can listen on loopback")?,
    };
    let metrics = app.metrics.clone();
    let (store, clock) = (app.store.clone(), app.clock.clone());
    let health = Health::new(move || metrics.render())
        .check("store", move || store_is_well(store.clone(), clock.clone()));
    let cancel = stage.cancel.clone();
    stage.spawn(async move {
        if let Err(why) =
            http::serve(listener, health.router(), cancel, Duration::from_secs(1)).await
        {
            tracing::error!("http ended: {why}");
        }
    });
    Ok(stage)
}
