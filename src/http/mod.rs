//! HTTP: the API, health and metrics, and the server that all routes share.

pub mod api;
mod crowd;
mod health;
mod serve;

pub use health::{Health, Unready, ask_ready};
pub use serve::serve;
