//! One binary of tests: text in, thread out, through fake platforms.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

#[allow(dead_code, reason = "each story uses its part of the fakes")]
mod fakes;
mod slack_adapter;
