//! What things are and what follows from what. No I/O, no clock, no async: time comes in as `now`.

mod clean;
mod command;
mod decide;
mod fact;
mod inbound;
mod message;
mod names;
mod plan;
mod redact;
mod refusal;
mod run;
mod runbook;
mod value;

pub use clean::*;
pub use command::*;
pub use decide::*;
pub use fact::*;
pub use inbound::*;
pub use message::*;
pub use names::*;
pub use plan::*;
pub use redact::*;
pub use refusal::*;
pub use run::*;
pub use runbook::*;
pub use value::*;
