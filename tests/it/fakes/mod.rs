//! Fake platforms: real servers with state and rules, not scripts.

pub(crate) mod discord;
pub(crate) mod elsewhere;
pub(crate) mod slack;
