//! Changes of files.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use midwatch::catalog::{Reloaded, reload, watch};
use midwatch::domain::Catalog;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::folders::{Files, LOOK, SHOP};

fn in_force(files: &Files) -> Arc<ArcSwap<Catalog>> {
    Arc::new(ArcSwap::from_pointee(files.load().catalog))
}

#[test]
fn a_good_change_is_in_force_at_once_and_whole() {
    let files = Files::usual();
    let current = in_force(&files);
    let before = current.load_full();
    files.write("commands/other.yaml", LOOK.replace("look", "other"));
    let change = reload(&files.folders(), &files.variables, &current);
    assert!(
        matches!(
            change,
            Some(Reloaded::Loaded {
                commands: 2,
                projects: 1,
                ..
            })
        ),
        "{change:?}"
    );
    assert!(current.load().commands.contains_key("other"));
    assert!(
        !before.commands.contains_key("other"),
        "who holds the old one keeps all of it"
    );
}

#[test]
fn a_mistake_keeps_the_old_catalog_whole() {
    let files = Files::usual();
    let current = in_force(&files);
    let before = current.load_full();
    files.write("commands/other.yaml", LOOK.replace("look", "other"));
    files.write(
        "runbooks/shop.yaml",
        SHOP.replace("engineering", "enginering"),
    );
    let change = reload(&files.folders(), &files.variables, &current);
    let Some(Reloaded::Kept {
        revision,
        diagnostics,
    }) = change
    else {
        panic!("{change:?}");
    };
    assert_eq!(revision, before.revision);
    assert_eq!(diagnostics.len(), 1);
    assert!(
        Arc::ptr_eq(&before, &current.load_full()),
        "the good half of a change is not taken either"
    );
}

#[test]
fn files_that_did_not_change_say_nothing() {
    let files = Files::usual();
    let current = in_force(&files);
    assert!(reload(&files.folders(), &files.variables, &current).is_none());
}

#[tokio::test]
async fn changes_on_disk_are_followed() {
    let files = Files::usual();
    let current = in_force(&files);
    let (tell, mut told) = mpsc::channel(4);
    let cancel = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(watch(
        files.folders(),
        files.variables.clone(),
        Arc::clone(&current),
        tell,
        cancel.clone(),
    ));

    files.write("commands/other.yaml", "command: other\ndoes: [\n");
    let kept = next(&mut told).await;
    assert!(matches!(kept, Reloaded::Kept { .. }), "{kept:?}");
    assert_eq!(current.load().commands.len(), 1);

    files.write("commands/other.yaml", LOOK.replace("look", "other"));
    let loaded = next(&mut told).await;
    assert!(
        matches!(loaded, Reloaded::Loaded { commands: 2, .. }),
        "{loaded:?}"
    );
    assert_eq!(current.load().commands.len(), 2);

    cancel.cancel();
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), Ok(()));
}

async fn next(told: &mut mpsc::Receiver<Reloaded>) -> Reloaded {
    let waited = tokio::time::timeout(Duration::from_secs(20), told.recv()).await;
    waited
        .expect("a change is told within seconds")
        .expect("the watching goes on")
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told_and_waited_for() {
    let files = Files::usual();
    let current = in_force(&files);
    std::fs::remove_dir_all(files.path().join("commands")).unwrap();
    let (tell, mut told) = mpsc::channel(4);
    let cancel = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(watch(
        files.folders(),
        files.variables.clone(),
        Arc::clone(&current),
        tell,
        cancel.clone(),
    ));
    let kept = next(&mut told).await;
    assert!(matches!(kept, Reloaded::Kept { .. }), "{kept:?}");
    assert_eq!(current.load().commands.len(), 1);
    cancel.cancel();
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), Ok(()));
}
