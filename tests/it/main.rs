//! Story tests: the parts together, from outside.

mod actions;
