//! What a newer neighbour wrote and this version can't read is left to it: passed over, said once, looked at again after
//! a while. So it never holds up what can be read, and nothing of it is lost.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::StoreError;
use super::fault::write_json;
use crate::domain::Entry;

/// How long something unread is passed over before it is looked at again: a newer neighbour may have brought it on to
/// where this version can read it.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long what follows in its thread waits for the newer neighbour.
const HOLD_UP: Duration = Duration::from_secs(60);
/// So many are remembered. Beyond, the oldest are looked at, and told of, once more.
const MOST: usize = 10_000;

/// A kind of row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum What {
    Run,
    Inbound,
    Posting,
}

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Inbound => "inbound",
            Self::Posting => "posting",
        }
    }
}

/// What was found that this version can't read.
#[derive(Default)]
pub(super) struct Newer(Mutex<HashMap<(What, String), Seen>>);

struct Seen {
    since: Instant,
    looked: Instant,
}

impl Newer {
    /// Remembers that a row can't be read. Any other error is handed back.
    pub(super) fn note(&self, what: What, id: &str, why: &StoreError) -> Result<(), StoreError> {
        let (StoreError::Newer(_) | StoreError::Corrupt(_)) = why else {
            return Err(why.clone());
        };
        let now = Instant::now();
        let mut all = self.lock();
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, seen)| seen.looked)
        {
            let oldest = oldest.0.clone();
            all.remove(&oldest);
        }
        let mut first = false;
        let seen = all.entry((what, id.to_owned())).or_insert_with(|| {
            first = true;
            let (since, looked) = (now, now);
            Seen { since, looked }
        });
        seen.looked = now;
        drop(all);
        if first {
            let what = what.as_str();
            tracing::warn!("{what} {id} is left to a newer version of midwatch: {why}");
            metrics::counter!("midwatch_unreadable_total", "what" => what).increment(1);
        }
        Ok(())
    }

    /// Those that are passed over now, as a JSON array of `{"id": …}`.
    pub(super) fn passed_over(&self, what: What) -> String {
        self.listed(what, |seen| seen.looked.elapsed() < LOOK_AGAIN)
    }

    /// Those that don't hold up any more what follows in their thread.
    pub(super) fn held_up_enough(&self, what: What) -> String {
        self.listed(what, |seen| seen.since.elapsed() >= HOLD_UP)
    }

    /// Whether there are any.
    pub(super) fn is_left(&self, what: What) -> bool {
        let all = self.lock();
        all.iter()
            .any(|((of, _), seen)| *of == what && seen.looked.elapsed() < LOOK_AGAIN)
    }

    fn listed(&self, what: What, is_meant: impl Fn(&Seen) -> bool) -> String {
        let mut all = self.lock();
        // Looked at again and readable by then, or gone.
        all.retain(|_, seen| seen.looked.elapsed() < LOOK_AGAIN * 3);
        let ids = all
            .iter()
            .filter(|((of, _), seen)| *of == what && is_meant(seen))
            .map(|((_, id), _)| json!({ "id": id }));
        write_json(&ids.collect::<Vec<_>>())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(What, String), Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which kinds of ledger entries this version knows. The first of each kind is read whole, to find out.
#[derive(Default)]
pub(super) struct Kinds(HashMap<String, bool>);

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    fact: FactOutline<'a>,
}

#[derive(Deserialize)]
struct FactOutline<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    happened: Option<EventOutline<'a>>,
}

#[derive(Deserialize)]
struct EventOutline<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
}

impl Kinds {
    /// Whether this version knows what this entry says.
    pub(super) fn knows(&mut self, line: &[u8]) -> bool {
        let Ok(Outline { fact }) = serde_json::from_slice(line) else {
            return false;
        };
        let event = fact.happened.as_ref().map_or("", |it| it.event.as_ref());
        let kind = format!("{} {event}", fact.kind);
        let read = || serde_json::from_slice::<Entry>(line).is_ok();
        *self.0.entry(kind).or_insert_with(read)
    }
}
