//! Completes a line.
