//! Follows the users' files: a good change is swapped in whole, a bad one changes nothing and is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{Config, Event, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::diagnostic::Diagnostic;
use super::load::{Folders, load};
use crate::domain::{Catalog, Revision};

/// Editors and deployments write several files at once: wait until they are quiet.
const QUIET: Duration = Duration::from_millis(300);
/// However busy the folder, it is read after this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// A folder that is moved away and replaced is not noticed: the files are looked at this often anyway.
const ANYWAY: Duration = Duration::from_mins(1);
/// How often the files are looked at where the system can't tell of changes.
const POLL: Duration = Duration::from_secs(2);

/// What became of a change.
#[derive(Debug)]
pub enum Reloaded {
    /// It is in force.
    Loaded {
        /// The new revision.
        revision: Revision,
        /// How many commands.
        commands: usize,
        /// How many projects.
        projects: usize,
        /// Warnings only.
        diagnostics: Vec<Diagnostic>,
    },
    /// It has mistakes; the catalog before stays in force.
    Kept {
        /// The revision that stays.
        revision: Revision,
        /// Every mistake and warning.
        diagnostics: Vec<Diagnostic>,
    },
}

/// Reads the files and swaps the catalog, whole, if they have no error.
///
/// `None` when the files are those in force.
pub fn reload(
    folders: &Folders,
    variables: &BTreeMap<String, String>,
    current: &ArcSwap<Catalog>,
) -> Option<Reloaded> {
    attempt(folders, variables, current).1
}

/// The same, with the revision of what was read.
fn attempt(
    folders: &Folders,
    variables: &BTreeMap<String, String>,
    current: &ArcSwap<Catalog>,
) -> (Revision, Option<Reloaded>) {
    let loaded = load(folders, variables);
    let read = loaded.catalog.revision.clone();
    let in_force = current.load().revision.clone();
    if loaded.has_errors() {
        let kept = Reloaded::Kept {
            revision: in_force,
            diagnostics: loaded.diagnostics,
        };
        return (read, Some(kept));
    }
    if read == in_force {
        return (read, None);
    }
    let change = Reloaded::Loaded {
        revision: read.clone(),
        commands: loaded.catalog.commands.len(),
        projects: loaded.catalog.projects.len(),
        diagnostics: loaded.diagnostics,
    };
    current.store(Arc::new(loaded.catalog));
    (read, Some(change))
}

/// Reloads on every change until it is cancelled, and tells `on` what became of each.
///
/// # Errors
/// A sentence, when the folders can't be watched at all; nothing has been watched then.
///
/// Cancel safe: dropping the future stops the watching; a swap has happened or not.
pub async fn watch(
    folders: Folders,
    variables: BTreeMap<String, String>,
    current: Arc<ArcSwap<Catalog>>,
    on: mpsc::Sender<Reloaded>,
    cancel: CancellationToken,
) -> Result<(), String> {
    // One place is enough: a change that waits already covers all that come behind it.
    let (tell, mut changes) = mpsc::channel(1);
    let _watcher = watcher(&folders, &tell)?;
    let mut last_read = current.load().revision.clone();
    let follow = async {
        // Looked at once at the start: a change between the first load and the watching is not missed.
        loop {
            let change = read(&folders, &variables, &current, &mut last_read).await?;
            if let Some(change) = change
                && on.send(change).await.is_err()
            {
                return Ok(());
            }
            if tokio::time::timeout(ANYWAY, changes.recv()).await == Ok(None) {
                return Err("the watching of the files ended early".to_owned());
            }
            settle(&mut changes).await;
        }
    };
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        ended = follow => ended,
    }
}

/// Reads the files beside the runtime. The same bad files are told once.
async fn read(
    folders: &Folders,
    variables: &BTreeMap<String, String>,
    current: &Arc<ArcSwap<Catalog>>,
    last_read: &mut Revision,
) -> Result<Option<Reloaded>, String> {
    let (folders, variables) = (folders.clone(), variables.clone());
    let current = Arc::clone(current);
    let reading = tokio::task::spawn_blocking(move || attempt(&folders, &variables, &current));
    let (revision, change) = reading
        .await
        .map_err(|error| format!("reading the files ended early: {error}"))?;
    let seen = *last_read == revision;
    *last_read = revision;
    Ok(change.filter(|change| !seen || matches!(change, Reloaded::Loaded { .. })))
}

/// Waits until no change came for a moment.
async fn settle(changes: &mut mpsc::Receiver<()>) {
    let until_quiet =
        async { while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {} };
    // Running out of patience is no failure: the files are read as they are then.
    let _ = tokio::time::timeout(PATIENCE, until_quiet).await;
}

fn watcher(folders: &Folders, tell: &mpsc::Sender<()>) -> Result<Box<dyn Watcher + Send>, String> {
    let config = Config::default()
        .with_poll_interval(POLL)
        .with_compare_contents(true);
    let told = tell.clone();
    let polled = tell.clone();
    let native = RecommendedWatcher::new(move |event| forward(&told, &event), config)
        .and_then(|watcher| follow(watcher, folders));
    native
        .or_else(|_| {
            PollWatcher::new(move |event| forward(&polled, &event), config)
                .and_then(|watcher| follow(watcher, folders))
        })
        .map_err(|error| format!("the folders of the files can't be watched: {error}"))
}

fn follow<W: Watcher + Send + 'static>(
    mut watcher: W,
    folders: &Folders,
) -> notify::Result<Box<dyn Watcher + Send>> {
    for folder in [&folders.commands, &folders.runbooks] {
        let folder: &Path = folder;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(Box::new(watcher))
}

fn forward(tell: &mpsc::Sender<()>, event: &notify::Result<Event>) {
    // Our own reading makes events too.
    let only_read = matches!(event, Ok(event) if event.kind.is_access());
    if !only_read {
        let _ = tell.try_send(()); // full: a change waits already, and it covers this one
    }
}
