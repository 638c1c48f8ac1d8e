//! Takes runs, does their steps, survives crashes.

pub mod actions;
pub mod secrets;
