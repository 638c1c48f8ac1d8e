//! Speaks with people: each platform's adapter turns its payloads into inbounds and our messages into its markup.
//!
//! Adapters decide nothing. The outbox delivers what we owe, in order, within each platform's limits.

mod address;
pub mod console;
pub mod discord;
mod door;
mod ears;
mod encode;
mod history;
pub mod outbox;
mod signed;
pub mod slack;
mod typed;
mod waits;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::ears::Ears;
pub use self::waits::Timing;
pub use crate::catalog::CurrentCatalog;
use crate::domain::{Form, Inbound, Message, Place, Platform};
use crate::store::{Mark, MessageRef, Receipt, StoreError};

/// The sending side of an adapter.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Which platform it speaks.
    fn platform(&self) -> Platform;
    /// How fast it may be spoken to.
    fn pace(&self) -> Pace;
    /// Posts a message into the place's channel, or into `thread` where one is given. `mark` goes along where the platform
    /// can carry it, so that [`Transport::find`] and [`Transport::stands`] recognise the message.
    async fn post(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        message: &Message,
        mark: &Mark,
    ) -> Result<MessageRef, DeliveryError>;
    /// Replaces a message that was posted.
    async fn edit(
        &self,
        to: &Place,
        at: &MessageRef,
        message: &Message,
        mark: &Mark,
    ) -> Result<(), DeliveryError>;
    /// Says something that only one account sees: in answer to the act that `handle` stands for, where the platform
    /// gives one.
    async fn whisper(
        &self,
        to: &Place,
        speaker: &str,
        handle: Option<&str>,
        message: &Message,
        mark: &Mark,
    ) -> Result<(), DeliveryError>;
    /// Attaches a text file to a thread.
    async fn attach(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        name: &str,
        text: &str,
    ) -> Result<(), DeliveryError>;
    /// Opens a form. `Refused` when the handle is too old; the caller then whispers a button instead.
    async fn open_form(&self, to: &Place, handle: &str, form: &Form) -> Result<(), DeliveryError>;
    /// Looks whether a posting whose delivery is in doubt has arrived: by its mark, or by its words where the platform
    /// can't carry that.
    async fn find(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        message: &Message,
        mark: &Mark,
    ) -> Result<Option<MessageRef>, DeliveryError>;
    /// Looks whether a message that the platform took is there, and shows this state of its posting.
    async fn stands(
        &self,
        to: &Place,
        thread: Option<&MessageRef>,
        at: &MessageRef,
        mark: &Mark,
    ) -> Result<bool, DeliveryError>;
}

/// How fast a platform may be spoken to. Zero means that there is no limit.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Least time between two posts in one channel.
    pub between_posts: Duration,
    /// Least time between two edits in one space.
    pub between_edits: Duration,
    /// Least time between two looks at what stands there, in one space.
    pub between_looks: Duration,
    /// How long after it was taken a final message is read back; `None`: what the platform takes is there.
    pub read_back_after: Option<Duration>,
    /// Where no more such calls are made when it asks us to wait.
    pub asks_within: Within,
}

/// Where a platform counts calls of one kind together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// In one channel.
    Channel,
    /// In a whole space.
    Space,
}

/// Why a delivery failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeliveryError {
    /// Too fast; nothing before that time has passed.
    #[error("the platform asks us to wait {0:.1?}")]
    Limited(Duration),
    /// It may have arrived: the answer is missing.
    #[error("no answer: {0}")]
    InDoubt(String),
    /// It has not arrived; trying again may help.
    #[error("not done: {0}")]
    Failed(String),
    /// It has not arrived: the message that it edits, or the thread that it belongs to, is not there.
    #[error("not there: {0}")]
    Gone(String),
    /// The platform refuses it for good: no such channel, not a member, invalid.
    #[error("refused: {0}")]
    Refused(String),
}

/// Where an adapter hands over what came in: answers once it is durable.
pub type Intake = Arc<dyn Fn(Inbound) -> Receiving + Send + Sync>;

/// The answer of an [`Intake`], when it comes.
pub type Receiving = Pin<Box<dyn Future<Output = Result<Receipt, StoreError>> + Send>>;

/// How a message is remembered: where it stands, and the platform's id of it.
fn reference(platform: Platform, channel: &str, id: &str) -> Result<MessageRef, DeliveryError> {
    if channel.is_empty() || id.is_empty() {
        return Err(DeliveryError::InDoubt(format!(
            "{platform}'s answer names no message"
        )));
    }
    Ok(MessageRef(format!("{channel}:{id}")))
}

/// Channel and id of a message that [`reference`] remembered.
fn located(at: &MessageRef) -> Result<(&str, &str), DeliveryError> {
    let wrong = || DeliveryError::Refused(format!("`{}` is no message", at.0));
    at.0.split_once(':').ok_or_else(wrong)
}
