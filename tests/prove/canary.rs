//! No secret leaves by any way out: however a program or a server writes it down, and however it is cut into pieces.
//!
//! What leaks is looked for by its pieces: eight bytes of any encoding, anywhere, are too much.

mod encodings;
mod ordinary;
mod panics;
mod program;
mod secrets;
mod server;
mod sieve;
mod streams;

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::secrets::Secret;
use super::{Found, Round};

pub(crate) use self::panics::panic_aloud;
pub(crate) use self::program::utter;

/// How many secrets one midwatch is given.
const AT_ONCE: usize = 20;

/// The proof: each round is one secret, in every encoding, cut in every way, on every way out.
pub(crate) fn prove(round: Round) -> Found {
    let mut random = StdRng::seed_from_u64(round.seed);
    let mut secrets: Vec<Secret> = Vec::new();
    while secrets.len() < round.rounds as usize {
        secrets.push(Secret::next(&secrets, &mut random));
    }
    let streams = streams::prove(&secrets, &mut random);
    let ordinary = ordinary::prove(&secrets, &mut random);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut seen = program::Seen::default();
    for (n, some) in secrets
        .chunks(AT_ONCE.min(secrets.len().div_ceil(2)))
        .enumerate()
    {
        panics::prove(some, n);
        runtime.block_on(program::prove(some, n, &mut seen));
    }
    Found::Held(format!("{streams}; {ordinary}; the real program: {seen}"))
}
