//! `midwatch serve`: chat platforms and HTTP, until told to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tracing::info;

use super::app::{App, store_is_well};
use super::stages::{Stage, Stages, stop_signal};
use super::{Exit, say_error};
use crate::chat::Transport;
use crate::chat::slack;
use crate::config::Settings;
use crate::http::{self, Health};

/// How long requests that have begun may take at the end.
const LAST_REQUESTS: Duration = Duration::from_secs(3);

/// Serves until a signal comes.
pub(super) async fn run(settings: Settings, environment: BTreeMap<String, String>) -> anyhow::Result<Exit> {
    let log = settings.log.filter.clone();
    let app = match App::open(settings, environment, &log).await? {
        Ok(app) => app,
        Err(exit) => return Ok(exit),
    };
    for note in &app.settings.notes {
        tracing::warn!("{note}");
    }
    let listener = match TcpListener::bind(app.settings.listen).await {
        Ok(listener) => listener,
        Err(why) => {
            say_error(&format!("nothing can listen at {}: {why}; set MIDWATCH_LISTEN to another address", app.settings.listen));
            return Ok(Exit::Failed);
        }
    };
    let mut edges = Stage::new("edges", LAST_REQUESTS + Duration::from_secs(2));
    let metrics = app.metrics.clone();
    let (store, clock) = (app.store.clone(), app.clock.clone());
    let mut health = Health::new(move || metrics.render()).check("store", move || store_is_well(store.clone(), clock.clone()));
    let mut transports: Vec<Arc<dyn Transport>> = Vec::new();
    let mut routes = axum::Router::new();
    if let Some(settings) = &app.settings.slack {
        let adapter = slack::Adapter::connect(settings, app.intake(), Arc::clone(&app.catalog), app.clock.clone()).await.context("Slack")?;
        transports.push(adapter.transport());
        routes = routes.merge(adapter.routes());
        if let Some(sockets) = adapter.sockets() {
            let status = sockets.status();
            health = health.check("slack", move || {
                let connected = *status.borrow();
                async move { if connected > 0 { Ok(()) } else { Err("no socket is connected".to_owned()) } }
            });
            let cancel = edges.cancel.clone();
            edges.spawn(async move { sockets.run(cancel).await });
        }
    }
    let address = listener.local_addr()?;
    let cancel = edges.cancel.clone();
    let router = routes.merge(health.router());
    edges.spawn(async move {
        if let Err(why) = http::serve(listener, router, cancel, LAST_REQUESTS).await {
            tracing::error!("http ended: {why}");
        }
    });
    info!("midwatch {} serves at http://{address}", env!("CARGO_PKG_VERSION"));
    let mut stages = Stages(vec![edges, app.dispatch_stage(), app.engine_stage(), app.delivery_stage(transports)]);
    let exit = tokio::select! {
        () = stop_signal() => { info!("stopping: no more intake, steps drain, postings are delivered"); Exit::Done }
        _ = stages.ended_early() => Exit::Failed,
    };
    stages.stop().await;
    app.close().await;
    Ok(exit)
}
