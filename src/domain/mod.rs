//! What things are and what follows from what. No I/O, no clock, no async: time comes in as `now`.

mod account;
mod clean;
mod command;
mod complete;
mod consent;
mod decide;
mod fact;
mod fill;
#[cfg(test)]
mod fill_tests;
mod history;
mod inbound;
mod lock;
mod merkle;
mod message;
mod names;
mod note;
mod page;
mod parse;
mod plan;
mod redact;
mod refusal;
mod refusal_message;
pub mod render;
mod rotation;
mod rules_changed;
mod run;
mod run_event;
#[cfg(test)]
mod run_tests;
mod runbook;
#[cfg(test)]
mod sample;
mod second_factor;
mod summary;
mod timeline;
mod token;
mod value;
mod when;

pub use account::*;
pub use clean::*;
pub use command::*;
pub use complete::complete;
pub use consent::*;
pub use decide::*;
pub use fact::*;
pub use fill::*;
pub use history::*;
pub use inbound::*;
pub use lock::*;
pub use merkle::*;
pub use message::*;
pub use names::*;
pub use note::*;
pub use page::*;
pub use parse::{
    Arrangement, At, BUILT_INS, Hearing, Question, RESERVED_PARAMETERS, Typed, examples_of, parse,
    say_pair,
};
pub use plan::*;
pub use redact::*;
pub use refusal::*;
pub use rotation::*;
pub use rules_changed::*;
pub use run::*;
pub use run_event::*;
pub use runbook::*;
pub use second_factor::*;
pub use summary::*;
pub use timeline::*;
pub use token::*;
pub use value::*;
pub use when::*;
