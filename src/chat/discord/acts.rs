//! Interactions that await their first answer. A form can be that alone, so the door waits a moment for what the one
//! path has to say before it defers. And messages, until it is known that their runs can be told where they stand.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::domain::RunId;

/// Above so many, the next are deferred at once.
const MOST: usize = 512;

/// Those that this process has heard and not answered.
#[derive(Default)]
pub(super) struct Acts(Mutex<Vec<Waiting>>);

struct Waiting {
    handle: String,
    /// It was told that its answer comes later: only a run that begins is told through here yet.
    deferred: bool,
    /// Whether a form can be its answer: not where it is one.
    forms: bool,
    /// What it would begin.
    run: RunId,
    answer: oneshot::Sender<First>,
}

/// The first answer.
#[derive(Debug, Clone)]
pub(super) enum First {
    /// A form.
    Modal(Value),
    /// A message that only this person sees.
    Message(Value),
    /// A run began, and this message is its root: guild, channel, message.
    Run {
        /// The guild's id; empty in a direct message.
        guild: String,
        /// The channel's id.
        channel: String,
        /// The message's id.
        message: String,
    },
}

impl Acts {
    /// Begins to wait. Dropping what it answers ends that.
    pub(super) fn begin(
        &self,
        handle: &str,
        run: RunId,
        forms: bool,
    ) -> Option<oneshot::Receiver<First>> {
        let mut all = self.all();
        all.retain(|it| !it.answer.is_closed());
        if all.len() >= MOST {
            return None;
        }
        let (answer, waits) = oneshot::channel();
        all.push(Waiting {
            handle: handle.to_owned(),
            deferred: false,
            forms,
            run,
            answer,
        });
        Some(waits)
    }

    /// Answers the act of this handle. Gives the answer back when nobody waits for it here, or not any more.
    pub(super) fn answer(&self, handle: &str, first: First) -> Result<(), First> {
        let is_form = matches!(first, First::Modal(_));
        let fits = |it: &Waiting| it.handle == handle && !it.deferred && (it.forms || !is_form);
        self.give(fits, first)
    }

    /// Its answer comes later.
    pub(super) fn defer(&self, handle: &str) {
        let mut all = self.all();
        let waiting = all.iter_mut().find(|it| it.handle == handle);
        if let Some(waiting) = waiting {
            waiting.deferred = true;
        }
    }

    /// The run of an act has begun.
    pub(super) fn began(&self, run: RunId, first: First) {
        let _nobody_waits = self.give(|it| it.run == run, first);
    }

    /// To each hearing that waits: which of them the platform listens to is not known here.
    fn give(&self, is: impl Fn(&Waiting) -> bool, first: First) -> Result<(), First> {
        let mut all = self.all();
        let mut given = false;
        for waiting in all.extract_if(.., |it| is(it)) {
            given |= waiting.answer.send(first.clone()).is_ok();
        }
        if given { Ok(()) } else { Err(first) }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::InboundKey;

    #[test]
    fn a_repetition_takes_no_answer_from_its_first_hearing() {
        let acts = Acts::default();
        let run = RunId::of_inbound(&InboundKey::new(&["discord", "interaction", "1"]));
        let first = acts.begin("command:1:t", run, true);
        let again = acts.begin("command:1:t", run, true);
        let (mut first, again) = (first.unwrap(), again.unwrap());
        let said = First::Message(Value::Null);
        acts.answer("command:1:t", said.clone()).unwrap();
        drop(again);
        assert!(matches!(first.try_recv(), Ok(First::Message(_))));
        acts.answer("command:1:t", said).unwrap_err();
    }
}
