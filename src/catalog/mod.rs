//! Turns `commands/` and `runbooks/` into one checked, immutable snapshot, or into diagnostics with file, line and a hint.
//!
//! A file goes through four hands: `tree` (YAML with places), `shape` (keys and types, against the JSON Schema), `raw`
//! (what the file says), and the readers (what we trust). Every mistake of every file is told at once. What has a mistake
//! is left out, never guessed. A reload swaps all of it or nothing.

mod at;
mod calendar;
mod check;
mod command;
mod condition;
mod diagnostic;
mod files;
mod freeze;
mod http;
mod load;
mod mirror;
mod night;
mod parameter;
mod pattern;
mod people;
mod plain;
mod project;
mod prose;
mod raw;
mod reach;
mod reload;
mod rotation;
mod rule;
mod schema;
mod schemas;
mod shape;
mod step;
mod template;
mod tree;
mod variables;
mod window;
mod written;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::domain::Catalog;

pub use check::{Checks, Report, check};
pub use diagnostic::{Diagnostic, Severity, counted, render_all};
pub use load::{Folders, Loaded, load};
pub use plain::yaml;
pub use project::Example;
pub use reload::{Reloaded, reload, watch};
pub use schemas::schemas;
pub use variables::loopback_defaults;

/// The catalog in force; swapped whole on reload.
pub type CurrentCatalog = Arc<ArcSwap<Catalog>>;
