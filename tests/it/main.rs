//! Stories, and everything else that needs a folder, a socket or the whole product.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends by panicking, and says what it passed over"
)]
#![allow(
    clippy::print_stderr,
    clippy::unused_self,
    reason = "parts of it are shared with the proofs"
)]

mod actions;
mod api;
mod api_store;
mod architecture;
mod bad_day;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each story uses its part; the proofs share it"
)]
mod bot;
mod both_story;
mod call_settings;
mod catalog;
mod cli_story;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the proofs, which use the rest"
)]
mod cluster;
mod config;
mod conformance;
mod console;
mod copy_story;
mod cursors;
mod discord_fake;
mod discord_story;
mod discord_strangers;
mod dockerfile;
#[allow(dead_code, reason = "each story uses its part of the fakes")]
mod fakes;
mod http;
mod ledger;
mod links;
mod migrations;
mod mirrors;
mod neighbours;
#[allow(dead_code, reason = "each story uses its part")]
mod night;
mod night_story;
mod oncall;
mod outbox;
mod pages;
mod pages_outside;
mod postgres;
mod reload_story;
mod replicas_story;
mod restore_story;
mod roster;
mod sample_shop;
mod slack_adapter;
mod slack_story;
mod store;
mod supervisor;
mod timeline_store;
mod timeline_story;
mod try_story;
mod varnish;
mod varnish_story;
mod world;
