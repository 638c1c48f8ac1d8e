//! Midwatch, a chat-ops bot.

pub mod catalog;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dispatch;
pub mod domain;
pub mod engine;
pub mod http;
pub mod store;
pub mod telemetry;
