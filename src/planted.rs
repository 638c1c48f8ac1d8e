//! Known bugs, kept to be put back one at a time: they show that the proofs can see. Never in a build for use.
//!
//! `cargo test --features planted --test prove -- planted` switches each on and expects a proof to turn red; what each
//! does stands in `tests/prove/planted/bugs.rs`. Without the feature [`is`] is a constant: an optimised build holds
//! nothing of it.

/// Names the bug that is put back.
#[cfg(feature = "planted")]
const VARIABLE: &str = "PLANTED_BUG";

mod crash;

pub use self::crash::POINTS;
pub(crate) use self::crash::{crash, handed_down};

/// Whether this bug is put back now.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is(_bug: &str) -> bool {
    false
}

/// Whether this bug is put back now: `PLANTED_BUG` names it.
#[cfg(feature = "planted")]
pub(crate) fn is(bug: &str) -> bool {
    named().is_some_and(|(_, planted)| planted == bug)
}

/// What a process of ours has to be told that is started without our environment.
#[cfg(not(feature = "planted"))]
pub(crate) const fn named() -> Option<(&'static str, &'static str)> {
    None
}

/// What a process of ours has to be told that is started without our environment.
#[cfg(feature = "planted")]
#[expect(
    clippy::disallowed_methods,
    reason = "no setting: it exists only in builds for the proof"
)]
pub(crate) fn named() -> Option<(&'static str, &'static str)> {
    static PLANTED: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var(VARIABLE).ok());
    PLANTED.as_deref().map(|bug| (VARIABLE, bug))
}
