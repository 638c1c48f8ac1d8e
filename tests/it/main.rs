//! One binary of tests: text in, thread out, through fake platforms.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that can't go on has failed; one that is passed over says so"
)]

#[allow(dead_code, reason = "each story uses its part of the fakes")]
mod fakes;
mod slack_adapter;
