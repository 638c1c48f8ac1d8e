//! Where things come in and go out while we serve: each platform adds its own.

use std::sync::Arc;

use tokio::sync::watch;

use crate::chat::{Ears, Transport};
use crate::cli::stages::Stage;
use crate::http::Health;

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
}

impl Edges {
    /// Makes `/readyz` say no while we are deaf there.
    #[must_use]
    pub(super) fn watch(mut self, platform: &'static str, ears: watch::Receiver<Ears>) -> Self {
        self.health = self.health.check(platform, move || {
            let heard = ears.borrow().are_open();
            std::future::ready(heard)
        });
        self
    }
}
