//! What things are and what follows from what. No I/O, no clock, no async: time comes in as `now`.

mod command;
mod decide;
mod fact;
mod fill;
mod inbound;
mod message;
mod names;
mod plan;
mod refusal;
pub mod render;
mod run;
mod runbook;
mod value;

pub use command::*;
pub use decide::*;
pub use fact::*;
pub use fill::*;
pub use inbound::*;
pub use message::*;
pub use names::*;
pub use plan::*;
pub use refusal::*;
pub use run::*;
pub use runbook::*;
pub use value::*;

/// Stub until the grammar lands.
pub fn examples_of(command: &Command, _: &Catalog, _: Option<&Project>) -> String {
    command.usage()
}
