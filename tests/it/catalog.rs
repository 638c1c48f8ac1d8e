//! The catalog over real folders.

mod diagnostics;
mod folders;
mod loading;
mod reloading;
mod shipped;
