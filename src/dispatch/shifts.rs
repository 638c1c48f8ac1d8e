//! Consent that is waited for moves with the shift: whoever is on call now is asked too.

use jiff::Timestamp;

use super::Dispatch;
use super::change::tell_all;
use crate::domain::{Catalog, Identity, PersonId, Phase, Run, RunEvent, Who};
use crate::store::StoreError;

/// How many runs that wait for consent are looked at in one look, the oldest first.
const LOOKED_AT: u32 = 100;

impl Dispatch {
    /// Asks whoever came on call while consent is waited for. Of several replicas one does it.
    pub(super) async fn follow_shifts(&self, now: Timestamp) -> Result<(), StoreError> {
        let catalog = self.catalog.load_full();
        if catalog.people.rotations.is_empty() {
            return Ok(());
        }
        for run in self.store.runs_awaiting(LOOKED_AT).await? {
            let to = not_asked_yet(&run, &catalog, now);
            if to.is_empty() {
                continue;
            }
            let events = vec![RunEvent::HandedOver { to }];
            let tell = tell_all(events.clone(), now);
            match self.store.happens(run.id, events, tell, now).await {
                // Another replica was first, or somebody answered.
                Ok(()) | Err(StoreError::Conflict(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

/// Who is on call now by the terms of the run, and was not asked before.
fn not_asked_yet(run: &Run, catalog: &Catalog, now: Timestamp) -> Vec<PersonId> {
    let Phase::AwaitingApproval {
        terms,
        until,
        approvers,
        asked,
        ..
    } = &run.phase
    else {
        return Vec::new();
    };
    if *until <= now || run.cancelled_by.is_some() {
        return Vec::new();
    }
    let on_call = terms
        .quorums()
        .flat_map(|(_, of)| of)
        .filter_map(|who| match who {
            Who::OnCall(on_call) => catalog.people.on_call(on_call, now),
            Who::Group(_) | Who::Person(_) | Who::Everyone => None,
        });
    let mut to: Vec<PersonId> = on_call
        .filter(|person| {
            let requester = run.requester == Identity::Person((*person).clone());
            !requester && !asked.contains(person) && !approvers.contains(person)
        })
        .cloned()
        .collect();
    to.sort();
    to.dedup();
    to
}
