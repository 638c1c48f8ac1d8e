//! Stories and everything that needs a disk or a socket: one binary.

mod catalog;
