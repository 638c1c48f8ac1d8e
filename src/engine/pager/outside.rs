//! Calls that leave chat.

use crate::domain::Catalog;
use crate::store::DueCall;

/// What makes calls outside chat.
#[derive(Clone, Default)]
pub struct Outside {}

impl Outside {
    /// Makes a call; the error says why it did not arrive, or may not have.
    #[expect(clippy::unused_async, reason = "what is called answers later")]
    pub(super) async fn call(&self, due: &DueCall, _catalog: &Catalog) -> Result<(), String> {
        Err(format!(
            "no {} is configured here",
            due.call.means.in_words()
        ))
    }
}
