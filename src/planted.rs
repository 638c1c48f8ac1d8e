//! Known bugs, kept to be put back one at a time: they show that the proofs can see. Never in a build for use.
//!
//! `cargo test --features planted --test prove -- planted` switches each on and expects a proof to turn red. Without
//! the feature [`is`] is a constant, and nothing of it is left in the program.

mod crash;

pub use self::crash::POINTS;
pub(crate) use self::crash::{crash, handed_down};

/// Whether this bug is put back now.
#[cfg(not(feature = "planted"))]
#[allow(dead_code, reason = "until the first bug is planted")]
pub(crate) const fn is(_bug: &str) -> bool {
    false
}

/// Whether this bug is put back now: `MIDWATCH_PLANTED` names it.
#[cfg(feature = "planted")]
#[expect(
    clippy::disallowed_methods,
    reason = "no setting: it exists only in builds for the proof"
)]
pub(crate) fn is(bug: &str) -> bool {
    static PLANTED: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("MIDWATCH_PLANTED").ok());
    PLANTED.as_deref() == Some(bug)
}
