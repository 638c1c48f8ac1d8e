//! The catalog over real folders.

mod diagnostics;
pub(crate) mod folders;
mod loading;
mod reloading;
mod rotations;
mod shipped;
