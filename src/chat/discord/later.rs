//! What is told of an act or a message when its moment for a first answer has passed: that its run began, and where.

use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::acts::First;
use super::{Discord, Door, words_of};
use crate::chat::{DeliveryError, located};
use crate::domain::{Inbound, Place, RunId};
use crate::store::Store;

/// Discord's token for answering lives a quarter of an hour.
pub(super) const ANSWERABLE: Duration = Duration::from_secs(14 * 60);
/// Whose run has not begun by then waits for something else than a permission.
const BEGINS: Duration = Duration::from_secs(60);
/// Above so many acts and messages that are looked after, the next are not.
const MOST_LATER: usize = 512;
/// How often it is looked whether another replica posted a run's first message: twice as long each time.
const ROOT_AGAIN: Duration = Duration::from_millis(500);
const ROOT_AGAIN_MAX: Duration = Duration::from_secs(30);
/// The first wait before a deferred answer is sent again; doubled up to the longest.
const ANSWER_LATER: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A message whose run may begin.
pub(super) struct Said {
    place: Place,
    speaker: String,
    begins: Option<oneshot::Receiver<First>>,
}

impl Door {
    /// A command whose run begins after its first answer was put off: that message must not think for ever. The run's
    /// first message is posted here or by another replica.
    pub(super) fn tell_run_later(
        &self,
        handle: String,
        here: oneshot::Receiver<First>,
        run: RunId,
        place: Place,
    ) {
        let discord = Arc::clone(&self.discord);
        discord.acts.defer(&handle);
        let another = root_of_another(self.store.clone(), run, place);
        self.later(async move {
            let told = async {
                tokio::select! {
                    Ok(first) = here => first,
                    first = another => first,
                }
            };
            let until = Instant::now() + ANSWERABLE;
            let told = timeout_at(until, told).await;
            if let Some(body) = told.ok().as_ref().and_then(words_of) {
                discord.answer_until(until, &handle, &body).await;
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
                let told = discord.say_directly(&said.place, &said.speaker, body, None);
                if let Err(why) = told.await {
                    tracing::debug!("discord: nobody is told that a run began: {why}");
                }
            }
        });
    }

    /// Does it beside all else, unless so much is done already.
    pub(super) fn later(&self, telling: impl Future<Output = ()> + Send + 'static) {
        let later = self.discord.later.lock();
        let mut later = later.unwrap_or_else(PoisonError::into_inner);
        while later.try_join_next().is_some() {}
        if later.len() < MOST_LATER {
            later.spawn(telling);
        }
    }
}

impl Discord {
    /// Answers an act that was deferred, and tries for as long as it can be answered.
    pub(super) async fn answer_until(&self, until: Instant, handle: &str, body: &Value) {
        let mut pause = ANSWER_LATER;
        loop {
            let Err(why) = self.answered_later(handle, body).await else {
                return;
            };
            let wait = match why {
                DeliveryError::Limited(wait) => Some(wait),
                DeliveryError::Failed(_) | DeliveryError::InDoubt(_) => Some(pause),
                DeliveryError::Gone(_) | DeliveryError::Refused(_) => None,
            };
            let again = wait.map(|wait| Instant::now() + wait);
            match again.filter(|again| *again < until) {
                Some(again) => sleep_until(again).await,
                None => return tracing::debug!("discord: an act is not answered: {why}"),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Waits until the first message of a run stands there that another replica posted.
async fn root_of_another(store: Store, run: RunId, place: Place) -> First {
    let mut pause = ROOT_AGAIN;
    loop {
        if !store.has_replicas() {
            std::future::pending::<()>().await;
        }
        sleep(pause).await;
        pause = (pause * 2).min(ROOT_AGAIN_MAX);
        let root = store.root_of(run, &place).await.ok().flatten();
        if let Some((channel, message)) = root.as_ref().and_then(|root| located(root).ok()) {
            return First::Run {
                guild: place.space,
                channel: channel.to_owned(),
                message: message.to_owned(),
            };
        }
    }
}
