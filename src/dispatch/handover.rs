//! What whoever takes over must know.

use super::Walk;
use crate::domain::{Message, ProjectName};
use crate::store::StoreError;

impl Walk<'_> {
    /// What is open, what happened, what to watch.
    pub(super) async fn hand_over(&self, _project: &ProjectName) -> Result<Message, StoreError> {
        self.pages().await
    }
}
