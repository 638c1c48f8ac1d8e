//! The socket in the data folder: what `midwatch token` asks of a server that has the folder.
//!
//! It opens for the user that the server runs as alone. One line of JSON comes, one goes back; neither is logged.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::catalog::CurrentCatalog;
use crate::cli::app::App;
use crate::cli::stages::Stage;
use crate::cli::token::{Became, perform, socket_in};
use crate::clock::Clock;
use crate::store::Store;

/// The longest line that is read, in bytes.
const LONGEST: u64 = 16 * 1024;
/// How long one may take over its line.
const PATIENCE: Duration = Duration::from_secs(5);

/// Listens there until the stage ends. One that can't be opened is told, and nothing else stops for it.
pub(super) fn listen(stage: &mut Stage, app: &App) {
    let path = socket_in(&app.settings.data);
    let listener = match open(&path) {
        Ok(listener) => listener,
        Err(why) => {
            warn!(
                "`midwatch token` can't be used while this runs: {}: {why}",
                path.display()
            );
            return;
        }
    };
    let (store, clock) = (app.store.clone(), app.clock.clone());
    let (catalog, cancel) = (Arc::clone(&app.catalog), stage.cancel.clone());
    stage.spawn(async move {
        answer_all(&listener, &store, &catalog, &clock, &cancel).await;
        // Left behind it would only be in the way of the next start, which removes it too.
        let _ = std::fs::remove_file(path);
    });
}

fn open(path: &Path) -> std::io::Result<UnixListener> {
    // Of a process that was killed: this one has the folder's lock, so nobody listens there.
    match std::fs::remove_file(path) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(why),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn answer_all(
    listener: &UnixListener,
    store: &Store,
    catalog: &CurrentCatalog,
    clock: &Clock,
    cancel: &CancellationToken,
) {
    // One after the other: these are people at a host.
    while let Some(accepted) = cancel.run_until_cancelled(listener.accept()).await {
        let answered = match accepted {
            Ok((stream, _)) => {
                let answer = answer(stream, store, catalog, clock);
                tokio::time::timeout(2 * PATIENCE, answer).await
            }
            Err(why) => {
                warn!("the data folder's socket: {why}");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        if let Ok(Err(why)) = answered {
            debug!("the data folder's socket: {why}");
        }
    }
}

async fn answer(
    stream: UnixStream,
    store: &Store,
    catalog: &CurrentCatalog,
    clock: &Clock,
) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(LONGEST));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let became = match serde_json::from_str(&line) {
        Ok(wanted) => perform(store, &catalog.load_full(), wanted, clock.now()).await,
        Err(_) => Became::Refused {
            why: "the server is of another version, and does not understand this".to_owned(),
        },
    };
    let mut answer = serde_json::to_string(&became)?;
    answer.push('\n');
    writer.write_all(answer.as_bytes()).await
}
