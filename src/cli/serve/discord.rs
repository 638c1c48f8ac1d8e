//! Connects Discord: its gateway or its signed interactions, its way out, `/ops`, and the reading of what was missed.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::error;

use super::edges::Edges;
use crate::chat::Ears;
use crate::chat::discord::{
    Discord, DiscordSettings, Door, SetupError, TIMING, keep_registered, read_history, routes,
    run_gateway,
};
use crate::cli::app::App;
use crate::config;

/// Opens the door that is set up, and begins to listen.
pub(super) fn connect(
    mut edges: Edges,
    settings: &config::DiscordSettings,
    app: &App,
) -> Result<Edges, SetupError> {
    let (catalog, clock) = (Arc::clone(&app.catalog), app.clock.clone());
    let discord = Discord::new(&discord_settings(settings), catalog, clock.clone())?;
    let discord = Arc::new(discord);
    edges.transports.push(discord.clone());
    edges.groups.push(discord.clone());
    let door = Door {
        discord: Arc::clone(&discord),
        intake: app.intake(),
        clock,
        store: app.store.clone(),
    };
    if settings.public_key.is_some() {
        edges.router = edges.router.merge(routes(door.clone()));
    } else {
        edges = listen(edges, &door);
    }
    let cancel = edges.stage.cancel.clone();
    edges
        .stage
        .spawn(async move { keep_registered(door, cancel).await });
    edges.introduce("discord", move || {
        let discord = Arc::clone(&discord);
        async move { discord.identify().await.map(|me| me.name) }
    });
    Ok(edges)
}

/// The adapter's settings, of the process's.
pub(in crate::cli) fn discord_settings(settings: &config::DiscordSettings) -> DiscordSettings {
    DiscordSettings {
        token: settings.token.clone(),
        public_key: settings.public_key,
        api_url: settings.api_url.clone(),
    }
}

/// Keeps the gateway open, and reads what was said while it was not.
fn listen(mut edges: Edges, door: &Door) -> Edges {
    let (ears, watched) = watch::channel(Ears::default());
    let (heard, cancel) = (door.clone(), edges.stage.cancel.clone());
    edges.stage.spawn(async move {
        if let Err(why) = run_gateway(heard, TIMING, ears, cancel.clone()).await {
            error!("{why}");
            // Deaf and honest: /readyz says no, running steps go on.
            cancel.cancelled().await;
        }
    });
    let (read, cancel) = (door.clone(), edges.stage.cancel.clone());
    let ears = watched.clone();
    edges
        .stage
        .spawn(async move { read_history(read, ears, cancel).await });
    edges.watch("discord", watched)
}
