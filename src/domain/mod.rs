//! What things are and what follows from what. No I/O, no clock, no async: time comes in as `now`.

mod account;
mod clean;
mod command;
mod complete;
mod decide;
mod fact;
mod fill;
#[cfg(test)]
mod fill_tests;
mod history;
mod inbound;
mod merkle;
mod message;
mod names;
mod note;
mod parse;
mod plan;
mod redact;
mod refusal;
mod refusal_message;
pub mod render;
mod rules_changed;
mod run;
#[cfg(test)]
mod run_tests;
mod runbook;
#[cfg(test)]
mod sample;
mod summary;
mod timeline;
mod value;

pub use account::*;
pub use clean::*;
pub use command::*;
pub use complete::complete;
pub use decide::*;
pub use fact::*;
pub use fill::*;
pub use history::*;
pub use inbound::*;
pub use merkle::*;
pub use message::*;
pub use names::*;
pub use note::*;
pub use parse::{At, BUILT_INS, Hearing, Question, RESERVED_PARAMETERS, Typed, examples_of, parse};
pub use plan::*;
pub use redact::*;
pub use refusal::*;
pub use rules_changed::*;
pub use run::*;
pub use runbook::*;
pub use summary::*;
pub use timeline::*;
pub use value::*;
