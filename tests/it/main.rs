//! Everything that needs files, sockets or the whole product.

mod architecture;
mod config;
mod dockerfile;
mod http;
