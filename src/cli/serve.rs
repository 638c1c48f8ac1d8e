//! `midwatch serve`: chat platforms and HTTP, until told to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::app::{App, clock_is_well, store_is_well};
use super::stages::{Stage, Stages, StopSignal};
use super::{Exit, say_error};
use crate::chat::Transport;
use crate::chat::slack::{
    Door, History, SetupError, Slack, SlackSettings, SocketStatus, Timing, routes, run_sockets,
};
use crate::config::{self, Settings};
use crate::http::{self, Health};

/// How long requests that have begun may take at the end.
const LAST_REQUESTS: Duration = Duration::from_secs(3);
/// How long requests are still taken where there may be other replicas, while `/readyz` says no already.
const SEEN_LEAVING: Duration = Duration::from_secs(2);
/// How often Slack is asked who we are, until it answers.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Serves until a signal comes.
pub(super) async fn run(
    settings: Settings,
    environment: BTreeMap<String, String>,
) -> anyhow::Result<Exit> {
    let log = settings.log.filter.clone();
    let app = match App::open(settings, environment, &log).await? {
        Ok(app) => app,
        // Nobody else is asked to do it for us: here a folder in use is a failed start.
        Err(Exit::Unreachable) => return Ok(Exit::Failed),
        Err(exit) => return Ok(exit),
    };
    for note in &app.settings.notes {
        warn!("{note}");
    }
    // Before the port: whoever finds it open may ask us to stop.
    let mut stop = StopSignal::listen();
    let listener = match TcpListener::bind(app.settings.listen).await {
        Ok(listener) => listener,
        Err(why) => {
            let listen = app.settings.listen;
            say_error(&format!(
                "nothing can listen at {listen}: {why}; set MIDWATCH_LISTEN to another address"
            ));
            app.close().await;
            return Ok(Exit::Failed);
        }
    };
    let mut edges = Stage::new("edges", LAST_REQUESTS + Duration::from_secs(2));
    let metrics = app.metrics.clone();
    let (store, clock) = (app.store.clone(), app.clock.clone());
    let (timed, by) = (store.clone(), clock.clone());
    let leaving = CancellationToken::new();
    let left = leaving.clone();
    let mut health = Health::new(move || metrics.render())
        .check("store", move || store_is_well(store.clone(), clock.clone()))
        .check("clock", move || clock_is_well(timed.clone(), by.clone()))
        .check("service", move || std::future::ready(still_serves(&left)));
    let mut transports: Vec<Arc<dyn Transport>> = Vec::new();
    let mut router = axum::Router::new();
    match &app.settings.slack {
        None => warn!("no chat platform is configured; `midwatch doctor` says what is missing"),
        Some(settings) => {
            let slack = match connect(settings, &app) {
                Ok(slack) => slack,
                Err(why) => {
                    say_error(&why.to_string());
                    app.close().await;
                    return Ok(Exit::Invalid);
                }
            };
            transports.push(slack.clone());
            let door = Door {
                slack: Arc::clone(&slack),
                intake: app.intake(),
                clock: app.clock.clone(),
            };
            if settings.signing_secret.is_some() {
                router = router.merge(routes(door.clone()));
            }
            let mut sockets = None;
            if settings.app_token.is_some() {
                let watched;
                (health, watched) = listen_by_socket(&mut edges, health, door.clone());
                sockets = Some(watched);
            }
            let history = History {
                door,
                store: app.store.clone(),
                sockets,
            };
            let cancel = edges.cancel.clone();
            edges.spawn(async move { history.run(cancel).await });
            let cancel = edges.cancel.clone();
            edges.spawn(async move { introduce(slack, cancel).await });
        }
    }
    let address = listener.local_addr()?;
    let cancel = edges.cancel.clone();
    let router = router.merge(health.router());
    edges.spawn(async move {
        if let Err(why) = http::serve(listener, router, cancel, LAST_REQUESTS).await {
            error!("http ended: {why}");
        }
    });
    info!(
        "midwatch {} serves at http://{address}",
        env!("CARGO_PKG_VERSION")
    );
    let mut stages = Stages(vec![
        edges,
        app.dispatch_stage(transports.iter().map(|it| it.platform()).collect()),
        app.engine_stage(),
        app.delivery_stage(transports),
    ]);
    let exit = tokio::select! {
        () = stop.arrives() => {
            leaving.cancel();
            if app.store.has_replicas() {
                info!("stopping: /readyz says no; the port stays open until a load balancer can have seen that");
                tokio::time::sleep(SEEN_LEAVING).await;
            }
            info!("stopping: no more intake, steps drain, postings are delivered");
            Exit::Done
        }
        _ = stages.ended_early() => Exit::Failed,
    };
    stages.stop().await;
    app.close().await;
    Ok(exit)
}

fn still_serves(leaving: &CancellationToken) -> Result<(), String> {
    if leaving.is_cancelled() {
        return Err("midwatch is stopping: send requests to another replica".to_owned());
    }
    Ok(())
}

fn connect(settings: &config::SlackSettings, app: &App) -> Result<Arc<Slack>, SetupError> {
    Slack::new(&adapter_settings(settings), Arc::clone(&app.catalog)).map(Arc::new)
}

/// The adapter's settings, of the process's.
pub(super) fn adapter_settings(settings: &config::SlackSettings) -> SlackSettings {
    SlackSettings {
        bot_token: settings.bot_token.clone(),
        app_token: settings.app_token.clone(),
        signing_secret: settings.signing_secret.clone(),
        api_url: settings.api_url.clone(),
    }
}

/// Asks Slack who we are until it answers; a Slack that is away must not keep us from starting.
async fn introduce(slack: Arc<Slack>, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        match slack.identify().await {
            Ok(me) => {
                info!("slack: we are {} in {}", me.user, me.workspace);
                cancel.cancelled().await;
            }
            Err(why) => {
                warn!("slack does not say who we are: {why}; asking again");
                cancel
                    .run_until_cancelled(tokio::time::sleep(ASK_AGAIN))
                    .await;
            }
        }
    }
}

fn listen_by_socket(
    edges: &mut Stage,
    health: Health,
    door: Door,
) -> (Health, watch::Receiver<SocketStatus>) {
    let (status, watched) = watch::channel(SocketStatus::default());
    let cancel = edges.cancel.clone();
    edges.spawn(async move {
        if let Err(why) = run_sockets(door, Timing::default(), status, cancel.clone()).await {
            error!("{why}");
            // Deaf and honest: /readyz says no, HTTP and running steps go on.
            cancel.cancelled().await;
        }
    });
    let seen = watched.clone();
    let health = health.check("slack", move || {
        let status = seen.borrow().clone();
        async move {
            if status.connected > 0 {
                return Ok(());
            }
            Err(status
                .trouble
                .unwrap_or_else(|| "no socket is connected yet".to_owned()))
        }
    });
    (health, watched)
}
