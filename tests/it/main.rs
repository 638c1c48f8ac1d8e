//! Tests that need a folder or a socket: one binary, a module for each part.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and say what they pass over"
)]

mod ledger;
mod store;
mod world;
