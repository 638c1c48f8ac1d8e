//! kill -9.
use super::Round;

pub fn prove(_: Round) -> String {
    String::new()
}
