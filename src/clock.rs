//! The one place that asks what time it is. Everything else is told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Tells the time. The system's in service, a steered one in tests and proofs.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Steered(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is set.
    pub fn steered(at: Timestamp) -> Self {
        Self(Source::Steered(Arc::new(AtomicI64::new(
            at.as_millisecond(),
        ))))
    }

    /// The time now, in whole milliseconds: that is what the store keeps.
    pub fn now(&self) -> Timestamp {
        let ms = match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the place that asks")]
            Source::System => Timestamp::now().as_millisecond(),
            Source::Steered(ms) => ms.load(Ordering::SeqCst),
        };
        Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MIN)
    }

    /// Sets a steered clock; does nothing to the system's.
    pub fn set(&self, at: Timestamp) {
        if let Source::Steered(ms) = &self.0 {
            ms.store(at.as_millisecond(), Ordering::SeqCst);
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock(system)",
            Source::Steered(_) => "Clock(steered)",
        })
    }
}
