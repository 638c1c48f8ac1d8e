//! `midwatch why RUN`: the rule that decided, and who consented, from the ledger.

use super::{Exit, app, may, say, say_error};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::{Reference, render};
use crate::store::verify::unread_in_words;
use crate::store::{Store, StoreSettings};

/// Prints why a run was allowed. Reads only; a running server is not disturbed.
pub(super) async fn run(settings: &Settings, reference: &str) -> anyhow::Result<Exit> {
    let Some(reference) = Reference::parse(reference) else {
        say_error(&format!(
            "`{reference}` is not a reference; it looks like 7f3k and stands in each thread"
        ));
        return Ok(Exit::Invalid);
    };
    let catalog = app::load_catalog(settings).unwrap_or_default();
    let store_settings = StoreSettings {
        url: settings.database_url.clone(),
        data: settings.data.clone(),
    };
    let store = Store::open_read_only(&store_settings).await?;
    let Some(run) = store.run_by_reference(&reference).await? else {
        say_error(&format!(
            "no run has the reference {reference}; `/ops runs` lists the latest"
        ));
        return Ok(Exit::Failed);
    };
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
