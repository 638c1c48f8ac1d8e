//! Whether we hear, and whether we were deaf meanwhile.

use tokio::sync::watch;

use crate::chat::Ears;

/// Whether we hear.
pub(super) struct Ear {
    ears: Option<watch::Receiver<Ears>>,
}

impl Ear {
    /// Without ears of our own we always hear: the platform comes to us.
    pub(super) fn new(ears: Option<watch::Receiver<Ears>>) -> Self {
        Self { ears }
    }

    /// Waits until we hear; answers how often we have begun to.
    pub(super) async fn hears(&mut self) -> u64 {
        let Some(ears) = &mut self.ears else {
            return 0;
        };
        if let Ok(ears) = ears.wait_for(|ears| ears.connected > 0).await {
            return ears.beginnings;
        }
        std::future::pending().await // Nobody listens any more: the platform doesn't let us.
    }

    pub(super) fn hears_now(&self) -> bool {
        let ears = self.ears.as_ref();
        ears.is_none_or(|ears| ears.borrow().connected > 0)
    }

    pub(super) fn is_new(&self, beginning: u64) -> bool {
        let ears = self.ears.as_ref();
        ears.is_some_and(|ears| ears.borrow().beginnings != beginning)
    }

    /// Waits until we begin to hear anew.
    pub(super) async fn begins_anew(&mut self, beginning: u64) {
        let Some(ears) = &mut self.ears else {
            return std::future::pending().await;
        };
        let anew = ears.wait_for(|ears| ears.beginnings != beginning);
        if anew.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
