//! Tests that need a folder or a socket: one binary, a module for each part.

mod ledger;
mod store;
mod world;
