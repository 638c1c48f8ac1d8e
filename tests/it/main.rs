//! Stories, and everything else that needs a folder or a socket.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends by panicking, and says what it passed over"
)]

mod console;
mod sample_shop;
mod varnish;
