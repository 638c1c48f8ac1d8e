//! Known bugs, kept to be put back one at a time: they show that the proofs can see. Never in a build for use.
//!
//! `cargo test --features planted --test prove -- planted` switches each on and expects a proof to turn red; what each
//! does stands in `tests/prove/planted/bugs.rs`. Without the feature [`is`] is a constant: an optimised build holds
//! nothing of it.

mod crash;

pub use self::crash::POINTS;
pub(crate) use self::crash::crash;

/// Names the bug that is put back.
#[cfg(feature = "planted")]
const BUG: &str = "PLANTED_BUG";

/// Whether this bug is put back now.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is(_bug: &str) -> bool {
    false
}

/// Whether this bug is put back now: `PLANTED_BUG` names it.
#[cfg(feature = "planted")]
pub(crate) fn is(bug: &str) -> bool {
    static PLANTED: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| variable(BUG));
    PLANTED.as_deref() == Some(bug)
}

/// What a process of ours has to be told that is started without our environment.
#[cfg(not(feature = "planted"))]
pub(crate) const fn handed_down() -> [(&'static str, String); 0] {
    []
}

/// What a process of ours has to be told that is started without our environment.
#[cfg(feature = "planted")]
pub(crate) fn handed_down() -> impl Iterator<Item = (&'static str, String)> {
    [BUG, crash::POINT, crash::SEEN]
        .into_iter()
        .filter_map(|name| Some((name, variable(name)?)))
}

#[cfg(feature = "planted")]
#[expect(
    clippy::disallowed_methods,
    reason = "no setting: it exists only in builds for the proof"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
