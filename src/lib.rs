//! Midwatch, a chat-ops bot.

pub mod catalog;
pub mod chat;
pub mod clock;
pub mod domain;
pub mod engine;
pub mod store;
