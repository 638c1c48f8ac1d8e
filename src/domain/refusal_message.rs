//! What a person reads when something is refused.
