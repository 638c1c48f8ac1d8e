//! Verifies a ledger without trusting the database: every line, every checkpoint, every witness.
