//! Midwatch, a chat-ops bot.

pub mod chat;
pub mod cli;
pub mod clock;
pub mod domain;
pub mod engine;
pub mod store;
