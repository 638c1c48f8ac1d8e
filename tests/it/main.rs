//! Everything that needs files, sockets or the whole product.

mod config;

mod http;
