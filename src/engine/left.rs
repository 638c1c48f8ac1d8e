//! What attempts left in the data folder: which of them are known although nobody watched, and which are over.

use tracing::{info, warn};

use super::Engine;
use super::actions::Found;
use crate::domain::{OutputRef, Phase, Run, START_WITHIN, StepState};
use crate::planted;
use crate::store::StoreError;

impl Engine {
    /// Whether an attempt that stands as started goes on here, has ended here, or is known not to have begun.
    pub(super) fn is_known_here(&self, run: &Run, of: OutputRef) -> bool {
        if planted::is("supervisor-forgotten") {
            return false;
        }
        let folder = self.steps.folder(of);
        let Some(StepState::Started { at, .. }) = run.steps.get(of.position) else {
            return false; // In doubt since the database was set back: nothing here says that it is about the same.
        };
        if !folder.exists() {
            return false;
        }
        match folder.look() {
            Ok(Found::Alive | Found::Ended(_)) => true,
            // Long ago, nobody expects it any more; and in a restored backup it may have begun after the backup.
            Ok(Found::NeverBegan(_)) => {
                self.clock.now() <= *at + START_WITHIN && run.doubted_at.is_none()
            }
            Ok(Found::Lost) => false,
            Err(error) => {
                warn!(
                    "a step of run {} can't be looked at yet: {error}",
                    run.reference
                );
                true
            }
        }
    }

    /// Removes the folder of an attempt whose end is recorded.
    pub(super) fn forget(&self, of: OutputRef) {
        if let Err(error) = self.steps.folder(of).remove() {
            warn!("what a step left is not removed yet: {error}");
        }
    }

    /// Removes folders of attempts that nobody will ask for again: their run was settled, or taken over by another
    /// midwatch. A program that still runs in one is ended first.
    pub(super) async fn clear_away(&self) {
        let all = match self.steps.all() {
            Ok(all) => all,
            Err(error) => return warn!("folders of steps can't be listed: {error}"),
        };
        for of in all {
            match self.store.run(of.run).await {
                Ok(run) if !run.as_ref().is_some_and(|run| may_be_asked_for(run, of)) => {
                    self.clear_away_one(of);
                }
                // What a newer version left here is asked for by that one, when it comes back.
                Ok(_) | Err(StoreError::Newer(_)) => {}
                Err(fault) => return warn!("folders of steps are not cleared away yet: {fault}"),
            }
        }
    }

    fn clear_away_one(&self, of: OutputRef) {
        let folder = self.steps.folder(of);
        let step = format!("step {} of run {}", of.position + 1, of.run);
        match folder.look() {
            Ok(Found::Alive) if folder.is_asked_to_stop() => {}
            Ok(Found::Alive) => {
                warn!(
                    "{step} still runs, and its run was settled or taken over without it: it is ended"
                );
                if let Err(error) = folder.ask_to_stop() {
                    warn!("{step} can't be ended yet: {error}");
                }
            }
            Ok(Found::Ended(report)) => {
                info!("what {step} left is removed; it ended: {:?}", report.result);
                self.forget(of);
            }
            Ok(Found::NeverBegan(_) | Found::Lost) => self.forget(of),
            Err(error) => warn!("{step} can't be looked at yet: {error}"),
        }
    }
}

/// Whether an attempt is going on, or may come yet.
fn may_be_asked_for(run: &Run, of: OutputRef) -> bool {
    let state = run.steps.get(of.position);
    let latest = state.map_or(0, StepState::attempt);
    let going_on = matches!(state, Some(StepState::Started { .. })) && latest == of.attempt;
    // A folder is made before its attempt is recorded as started.
    !matches!(run.phase, Phase::Finished(_)) && (going_on || of.attempt > latest)
}
