//! What a door does with what was heard: it is durable before anybody acknowledges it, or the person is told that it is not.
//!
//! Which payloads there are, and how one is answered, each adapter knows for itself.

use tokio::time::{Instant, timeout_at};

use super::Intake;
use crate::domain::{Inbound, Platform};
use crate::planted;
use crate::store::StoreError;

/// What we say when we don't know whether an inbound was recorded.
const UNKNOWN: &str =
    "⏳ the ledger is slow: if no answer appears within a minute, nothing was done; try again then";

/// What we say when it was not.
const NOT_WRITTEN: &str =
    "⛔ nothing was done: the ledger can't be written at the moment; try again in a minute";

/// What we say to somebody whose payload made no sense.
pub(super) const MISUNDERSTOOD: &str =
    "⛔ nothing was done: that didn't arrive as it should; try again, or type `/ops help`";

/// What a payload turned out to be.
#[derive(Debug)]
pub(super) enum Heard {
    /// Somebody said something to us.
    Inbound(Box<Inbound>),
    /// Nothing for us; the word is for the counter.
    Ignored(&'static str),
    /// It lacks what its kind must have.
    Malformed(String),
}

/// What became of a delivery.
#[derive(Debug)]
pub(super) enum Taken {
    /// Durable, or nothing for us.
    Done,
    /// Nobody can make sense of it, and no repetition helps.
    Misunderstood,
    /// Nothing was recorded, or we don't know: the sentence tells the person.
    NotKept(&'static str),
}

/// Makes a delivery durable, or finds that there is nothing to keep. Ends by the deadline.
pub(super) async fn take(
    from: Platform,
    intake: &Intake,
    heard: Heard,
    deadline: Instant,
) -> Taken {
    let platform = from.as_str();
    let inbound = match heard {
        Heard::Inbound(inbound) => *inbound,
        Heard::Ignored(kind) => {
            metrics::counter!("midwatch_deliveries_ignored_total", "platform" => platform, "kind" => kind).increment(1);
            return Taken::Done;
        }
        Heard::Malformed(why) => {
            metrics::counter!("midwatch_deliveries_malformed_total", "platform" => platform)
                .increment(1);
            tracing::warn!("{platform} sent {why}: acknowledged and dropped");
            return Taken::Misunderstood;
        }
    };
    let told = match timeout_at(deadline, intake(inbound)).await {
        Ok(Ok(_)) => return Taken::Done,
        Ok(Err(_)) if planted::is("unkept-acknowledged") => return Taken::Done,
        Ok(Err(StoreError::NoAnswer)) => {
            tracing::error!("whether an inbound from {platform} was recorded is not known");
            UNKNOWN
        }
        Ok(Err(error)) => {
            tracing::error!("an inbound from {platform} was not recorded: {error}");
            NOT_WRITTEN
        }
        Err(_) => {
            tracing::error!("an inbound from {platform} was not recorded in time");
            UNKNOWN
        }
    };
    metrics::counter!("midwatch_deliveries_not_kept_total", "platform" => platform).increment(1);
    Taken::NotKept(told)
}
