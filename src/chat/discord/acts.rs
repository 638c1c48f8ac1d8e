//! Interactions that await their first answer. A form can be that alone, so the door waits a moment for what the one
//! path has to say before it defers. And messages, until it is known that their runs can be told where they stand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::inbound::Act;
use super::{Door, told_there};
use crate::domain::{Inbound, Place, RunId};

/// Discord's token for answering lives a quarter of an hour.
const ANSWERABLE: Duration = Duration::from_secs(14 * 60);
/// Whose run has not begun by then waits for something else than a permission.
const BEGINS: Duration = Duration::from_secs(60);
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
#[derive(Debug)]
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

    fn give(&self, is: impl Fn(&Waiting) -> bool, first: First) -> Result<(), First> {
        let mut all = self.all();
        let Some(place) = all.iter().position(is) else {
            return Err(first);
        };
        let waiting = all.swap_remove(place);
        waiting.answer.send(first)
    }

    fn all(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message whose run may begin.
pub(super) struct Said {
    place: Place,
    speaker: String,
    begins: Option<oneshot::Receiver<First>>,
}

impl Door {
    /// A command whose run begins after its first answer was put off: that message must not think for ever.
    pub(super) fn tell_run_later(
        &self,
        act: Act,
        handle: String,
        waits: Option<oneshot::Receiver<First>>,
    ) {
        let Some(waits) = waits.filter(|_| act == Act::Command) else {
            return;
        };
        let discord = Arc::clone(&self.discord);
        discord.acts.defer(&handle);
        self.later(async move {
            let body = match timeout(ANSWERABLE, waits).await {
                Ok(Ok(First::Run {
                    guild,
                    channel,
                    message,
                })) => told_there(&guild, &channel, &message),
                Ok(Ok(First::Message(body))) => body,
                Ok(Ok(First::Modal(_)) | Err(_)) | Err(_) => return,
            };
            if let Err(why) = discord.answered_later(&handle, &body).await {
                tracing::debug!("discord: an act is not answered: {why}");
            }
        });
    }

    /// Begins to wait for a message's run, before the one path hears of it.
    pub(super) fn await_beginning(&self, said: &Inbound) -> Said {
        let run = RunId::of_inbound(&said.key);
        Said {
            place: said.place.clone(),
            speaker: said.speaker.id.clone(),
            begins: self.discord.said.begin("", run, false),
        }
    }

    /// Whoever wrote a command where midwatch can't write hears directly that it began.
    pub(super) fn tell_speaker_later(&self, said: Said) {
        let Some(begins) = said.begins else { return };
        let discord = Arc::clone(&self.discord);
        self.later(async move {
            if let Ok(Ok(First::Message(mut body))) = timeout(BEGINS, begins).await {
                body["flags"] = 0.into(); // In a conversation of two nothing is a whisper.
                if let Err(why) = discord.say_directly(&said.place, &said.speaker, body).await {
                    tracing::debug!("discord: nobody is told that a run began: {why}");
                }
            }
        });
    }

    fn later(&self, telling: impl Future<Output = ()> + Send + 'static) {
        let mut later = self.discord.later();
        while later.try_join_next().is_some() {}
        later.spawn(telling);
    }
}
