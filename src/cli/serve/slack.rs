//! Connects Slack: its ways in over HTTP and sockets, its way out, and the reading of what was missed.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::error;

use super::edges::Edges;
use crate::chat::Ears;
use crate::chat::slack::{
    Door, History, SetupError, Slack, SlackSettings, TIMING, routes, run_sockets,
};
use crate::cli::app::App;
use crate::config;

/// Opens the doors that are set up, and begins to listen.
pub(super) fn connect(
    mut edges: Edges,
    settings: &config::SlackSettings,
    app: &App,
) -> Result<Edges, SetupError> {
    let slack = Slack::new(&adapter_settings(settings), Arc::clone(&app.catalog))?;
    let slack = Arc::new(slack);
    edges.transports.push(slack.clone());
    edges.groups.push(slack.clone());
    let door = Door {
        slack: Arc::clone(&slack),
        intake: app.intake(),
        clock: app.clock.clone(),
    };
    if settings.signing_secret.is_some() {
        edges.router = edges.router.merge(routes(door.clone()));
    }
    let mut sockets = None;
    if settings.app_token.is_some() {
        let ears = listen_by_socket(&mut edges, door.clone());
        edges = edges.watch("slack", ears.clone());
        sockets = Some(ears);
    }
    let history = History {
        door,
        store: app.store.clone(),
        sockets,
    };
    let cancel = edges.stage.cancel.clone();
    edges.stage.spawn(async move { history.run(cancel).await });
    edges.introduce("slack", move || {
        let slack = Arc::clone(&slack);
        async move {
            let me = slack.identify().await?;
            Ok(format!("{} in {}", me.user, me.workspace))
        }
    });
    Ok(edges)
}

/// The adapter's settings, of the process's.
pub(in crate::cli) fn adapter_settings(settings: &config::SlackSettings) -> SlackSettings {
    SlackSettings {
        bot_token: settings.bot_token.clone(),
        app_token: settings.app_token.clone(),
        signing_secret: settings.signing_secret.clone(),
        api_url: settings.api_url.clone(),
    }
}

fn listen_by_socket(edges: &mut Edges, door: Door) -> watch::Receiver<Ears> {
    let (ears, watched) = watch::channel(Ears::default());
    let cancel = edges.stage.cancel.clone();
    edges.stage.spawn(async move {
        if let Err(why) = run_sockets(door, TIMING, ears, cancel.clone()).await {
            error!("{why}");
            // Deaf and honest: /readyz says no, HTTP and running steps go on.
            cancel.cancelled().await;
        }
    });
    watched
}
