//! What things are and what follows from what. No I/O, no clock, no async: time comes in as `now`.

mod command;
mod decide;
mod fact;
mod inbound;
mod merkle;
mod message;
mod names;
mod note;
mod plan;
mod refusal;
mod run;
mod runbook;
mod value;

pub use command::*;
pub use decide::*;
pub use fact::*;
pub use inbound::*;
pub use merkle::*;
pub use message::*;
pub use names::*;
pub use note::*;
pub use plan::*;
pub use refusal::*;
pub use run::*;
pub use runbook::*;
pub use value::*;
