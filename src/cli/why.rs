//! `midwatch why RUN`: the rule that decided, and who consented, from the ledger.

use super::{Exit, app, may, say, say_error};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::render;
use crate::store::verify::unread_in_words;

/// Prints why a run was allowed. Reads only; a running server is not disturbed.
pub(super) async fn run(settings: &Settings, reference: &str) -> anyhow::Result<Exit> {
    let (store, run) = match app::find_run(settings, reference).await? {
        Ok(found) => found,
        Err(exit) => return Ok(exit),
    };
    let catalog = app::load_catalog(settings).unwrap_or_default();
    let history = store.history(run.id).await?;
    say(&may::plain(
        &render::why(&run, &history.entries, Clock::system().now()),
        &catalog,
    ));
    if history.unread > 0 {
        say_error(&unread_in_words(history.unread as u64));
    }
    Ok(Exit::Done)
}
