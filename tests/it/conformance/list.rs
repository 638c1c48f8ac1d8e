//! The behaviours, by theme. Each theme is shown from top to bottom on a midwatch of its own; what all themes say is then
//! held against the rules for words.

mod asking;
mod consent;
mod endings;
mod night;
mod places;
mod telling;
mod weather;
mod words;

use futures_util::future::BoxFuture;

use super::stage::{Done, Stage};

/// One behaviour.
pub(super) struct Behaviour {
    pub(super) says: &'static str,
    pub(super) show: for<'a> fn(&'a mut dyn Stage) -> BoxFuture<'a, Done>,
}

/// Behaviours that are shown one after the other.
pub(super) const THEMES: [(&str, &[Behaviour]); 7] = [
    ("telling", telling::LIST),
    ("asking", asking::LIST),
    ("consent", consent::LIST),
    ("endings", endings::LIST),
    ("night", night::LIST),
    ("places", places::LIST),
    ("weather", weather::LIST),
];

/// What has to be true of everything that was said, at the end of each theme.
pub(super) const WORDS: &[Behaviour] = words::LIST;

macro_rules! behaviours {
    ($($says:literal: $stage:ident => $body:block)*) => {
        pub(super) const LIST: &[super::Behaviour] = &[$(super::Behaviour {
            says: $says,
            show: |$stage| Box::pin(async move { $body }),
        }),*];
    };
}
use behaviours;
