//! One binary of tests: text in, thread out, through fake platforms.

#[allow(dead_code, reason = "each story uses its part of the fakes")]
mod fakes;
mod slack_adapter;
