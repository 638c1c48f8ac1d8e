//! Where things come in and go out while we serve: each platform adds its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::chat::{DeliveryError, Ears, Transport};
use crate::cli::stages::Stage;
use crate::dispatch::Memberships;
use crate::http::Health;

/// How often a platform is asked who we are, until it answers.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What the platforms have added so far.
pub(super) struct Edges {
    /// What listens; stopped first.
    pub(super) stage: Stage,
    /// Says whether we are ready.
    pub(super) health: Health,
    /// What HTTP answers, beside health.
    pub(super) router: axum::Router,
    /// Ways out.
    pub(super) transports: Vec<Arc<dyn Transport>>,
    /// Who is in the groups of each platform.
    pub(super) groups: Vec<Arc<dyn Memberships>>,
}

impl Edges {
    /// Asks a platform who we are until it answers with our name there; one that is away must not keep us from starting.
    pub(super) fn introduce<F>(
        &mut self,
        platform: &'static str,
        ask: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<String, DeliveryError>> + Send,
    {
        let cancel = self.stage.cancel.clone();
        self.stage.spawn(async move {
            while !cancel.is_cancelled() {
                match ask().await {
                    Ok(name) => {
                        info!("{platform}: we are {name}");
                        cancel.cancelled().await;
                    }
                    Err(why) => {
                        warn!("{platform} does not say who we are: {why}; asking again");
                        cancel.run_until_cancelled(sleep(ASK_AGAIN)).await;
                    }
                }
            }
        });
    }

    /// Makes `/readyz` say no while we are deaf there.
    #[must_use]
    pub(super) fn watch(mut self, platform: &'static str, ears: watch::Receiver<Ears>) -> Self {
        self.health = self.health.describe(platform, move || {
            let heard = ears.borrow().are_open();
            std::future::ready(heard)
        });
        self
    }
}
