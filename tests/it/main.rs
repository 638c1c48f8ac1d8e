//! Everything that needs files, sockets or the whole product.

#![expect(
    clippy::unwrap_used,
    reason = "tests may; the lint's own exception knows only functions that are marked as tests"
)]

mod architecture;
mod config;
mod dockerfile;
mod http;
