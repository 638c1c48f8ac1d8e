//! What things are and what follows from what. No I/O, no clock, no async: time comes in as `now`.

mod command;
mod complete;
mod decide;
mod fact;
mod inbound;
mod message;
mod names;
mod parse;
mod plan;
mod refusal;
mod refusal_message;
mod run;
#[cfg(test)]
mod run_tests;
mod runbook;
#[cfg(test)]
mod sample;
mod value;

pub use command::*;
pub use complete::complete;
pub use decide::*;
pub use fact::*;
pub use inbound::*;
pub use message::*;
pub use names::*;
pub use parse::{At, BUILT_INS, Hearing, Question, RESERVED_PARAMETERS, Typed, examples_of, parse};
pub use plan::*;
pub use refusal::*;
pub use run::*;
pub use runbook::*;
pub use value::*;
