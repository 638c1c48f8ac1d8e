//! Wires everything: subcommands, startup, shutdown, exit codes.

pub mod sample_shop;
