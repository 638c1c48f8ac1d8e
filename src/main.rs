//! The program `midwatch`; all of it is in the library.

fn main() {}
