//! `midwatch serve`: chat platforms and HTTP, until told to stop.

mod control;
mod discord;
mod edges;
mod slack;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::edges::Edges;
use super::app::{App, clock_is_well, store_is_well};
use super::stages::{Stage, Stages, StopSignal};
use super::{Exit, say_error};
use crate::config::Settings;
use crate::http::{self, Health};

pub(super) use self::discord::discord_settings;
pub(super) use self::slack::adapter_settings;

/// How long requests that have begun may take at the end.
const LAST_REQUESTS: Duration = Duration::from_secs(3);
/// How long requests are still taken where there may be other replicas, while `/readyz` says no already.
const SEEN_LEAVING: Duration = Duration::from_secs(2);

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
    let metrics = app.metrics.clone();
    let (store, clock) = (app.store.clone(), app.clock.clone());
    let (timed, by) = (store.clone(), clock.clone());
    let leaving = CancellationToken::new();
    let left = leaving.clone();
    let health = Health::new(move || metrics.render())
        .check("store", move || store_is_well(store.clone(), clock.clone()))
        .check("clock", move || clock_is_well(timed.clone(), by.clone()))
        .check("service", move || std::future::ready(still_serves(&left)));
    let edges = Edges {
        stage: Stage::new("edges", LAST_REQUESTS + Duration::from_secs(2)),
        health,
        router: axum::Router::new(),
        transports: Vec::new(),
        groups: Vec::new(),
    };
    let Edges {
        stage: mut edges,
        health,
        router,
        transports,
        groups,
    } = match connect_platforms(edges, &app) {
        Ok(edges) => edges,
        Err(why) => {
            say_error(&why);
            app.close().await;
            return Ok(Exit::Invalid);
        }
    };
    control::listen(&mut edges, &app);
    let address = listener.local_addr()?;
    let cancel = edges.cancel.clone();
    let api = http::api::router(http::api::ApiParts {
        store: app.store.clone(),
        catalog: std::sync::Arc::clone(&app.catalog),
        clock: app.clock.clone(),
        receive: app.intake(),
        stop: cancel.child_token(),
    });
    let router = router.merge(api).merge(health.router());
    edges.spawn(async move {
        if let Err(why) = http::serve(listener, router, cancel, LAST_REQUESTS).await {
            error!("http ended: {why}");
        }
    });
    info!(
        "midwatch {} serves at http://{address}",
        env!("CARGO_PKG_VERSION")
    );
    let spoken: Vec<_> = transports.iter().map(|it| it.platform()).collect();
    let mut stages = Stages(vec![
        edges,
        app.dispatch_stage(&spoken, groups),
        app.pager_stage(&spoken)?,
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

/// Connects every platform that is set up.
fn connect_platforms(mut edges: Edges, app: &App) -> Result<Edges, String> {
    if let Some(settings) = &app.settings.slack {
        edges = slack::connect(edges, settings, app).map_err(|why| why.to_string())?;
    }
    if let Some(settings) = &app.settings.discord {
        edges = discord::connect(edges, settings, app).map_err(|why| why.to_string())?;
    }
    if edges.transports.is_empty() {
        warn!("no chat platform is configured; `midwatch doctor` says what is missing");
    }
    Ok(edges)
}
