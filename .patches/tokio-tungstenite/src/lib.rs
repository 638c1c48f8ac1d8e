//! tokio-tungstenite 0.24 under an older number; `Cargo.toml` says why.

pub use newer::*;
