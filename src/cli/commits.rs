//! Follows git: who changed the users' files, for the projects' timelines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::catalog::{CurrentCatalog, Folders};
use crate::clock::Clock;
use crate::domain::{Catalog, Commit, ProjectName, files_of};
use crate::engine::actions::commits;
use crate::store::Store;

/// How often git is asked: a commit is often there before its files are, or after.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How often we look for ledger entries of a version that had no timeline.
const PLACE_EVERY: Duration = Duration::from_secs(10);
/// While there are some, commands get their turns between the pieces.
const PLACE_NEXT: Duration = Duration::from_millis(20);

/// What of git is read for every project; or why it can't be.
pub(super) type Read = Result<Vec<(ProjectName, Commit)>, String>;

/// Where git is asked, and with which environment.
pub(super) struct Git {
    /// The users' files.
    pub(super) folders: Folders,
    /// Ours, of which git sees little.
    pub(super) environment: Arc<BTreeMap<String, String>>,
}

impl Git {
    /// Asks git about both folders.
    pub(super) async fn read(&self, catalog: &Catalog) -> Read {
        let runbooks = commits(&self.folders.runbooks, &self.environment).await?;
        let commands = commits(&self.folders.commands, &self.environment).await?;
        Ok(of_projects(catalog, &runbooks, &commands))
    }
}

/// Asks again and again until cancelled, and keeps what is new.
pub(super) async fn follow(
    git: Git,
    catalog: CurrentCatalog,
    store: Store,
    clock: Clock,
    cancel: CancellationToken,
) {
    let mut kept: Option<Read> = None;
    while !cancel.is_cancelled() {
        let snapshot = catalog.load_full();
        let Some(read) = cancel.run_until_cancelled(git.read(&snapshot)).await else {
            return;
        };
        if kept.as_ref() != Some(&read) {
            if let Err(why) = &read {
                info!("timelines have no new commits: {why}");
            }
            match store.record_commits(read.clone(), clock.now()).await {
                Ok(()) => kept = Some(read),
                Err(why) => warn!("commits are not kept, and are asked for again: {why}"),
            }
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(ASK_EVERY) => {}
        }
    }
}

/// Places what an earlier version wrote into the timelines, a little at a time.
pub(super) async fn place(store: Store, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        let left = store.place_earlier().await;
        if let Err(why) = &left {
            warn!("earlier entries are not in the timelines yet: {why}");
        }
        let pause = match left {
            Ok(1..) => PLACE_NEXT,
            Ok(0) | Err(_) => PLACE_EVERY,
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Each project's commits, with those of its files that they changed.
fn of_projects(
    catalog: &Catalog,
    runbooks: &[Commit],
    commands: &[Commit],
) -> Vec<(ProjectName, Commit)> {
    let mut all = Vec::new();
    for project in catalog.projects.values() {
        let files = files_of(project, catalog);
        let mut of_project: BTreeMap<&str, Commit> = BTreeMap::new();
        for (folder, commits, names) in [
            ("runbooks", runbooks, &files.runbooks),
            ("commands", commands, &files.commands),
        ] {
            for commit in commits {
                let changed = commit.files.iter().filter(|file| names.contains(*file));
                let changed: Vec<String> = changed.map(|it| format!("{folder}/{it}")).collect();
                if !changed.is_empty() {
                    let known = of_project.entry(&commit.hash).or_insert_with(|| Commit {
                        files: Vec::new(),
                        ..commit.clone()
                    });
                    known.files.extend(changed);
                }
            }
        }
        let of_project = of_project.into_values();
        all.extend(of_project.map(|commit| (project.name.clone(), commit)));
    }
    all
}
