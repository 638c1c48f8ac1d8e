//! Fake platforms: real servers with state and rules, not scripts.

pub(crate) mod slack;
