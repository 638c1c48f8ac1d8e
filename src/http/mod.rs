//! HTTP: health and metrics, and the server that all routes share.

mod health;
mod serve;

pub use health::{Health, Unready, ask_ready};
pub use serve::serve;
