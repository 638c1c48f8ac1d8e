//! A clock that jumps, goes back, stands still and comes to its ends: no panic, nothing early, nothing twice.
//!
//! What midwatch times: consent that runs out, runs that nobody expects any more, pauses between attempts, leases,
//! what was done just now, what came late, deliveries that were put off, hand-overs and windows. Each is held against
//! an oracle of its own arithmetic: in the pure core on thousands of walks of the clock, in a whole midwatch within this
//! process whose clock is steered, and in the real program that is stopped for longer than a lease lasts.

mod calendar;
mod house;
mod readings;
mod suspended;
mod timers;

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::house::Stories;
use super::{Found, Round};

/// One steered midwatch for so many walks of the clock; at least the first number, at most the second.
const WALKS_FOR_A_HOUSE: u32 = 10;
const HOUSES: std::ops::RangeInclusive<u32> = 18..=180;

/// The proof: round n walks with seed + n.
pub(crate) fn prove(round: Round) -> Found {
    let yard = timers::Yard::new();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // It takes its time; the rest is done meanwhile.
    let suspended = runtime.spawn(suspended::stop_and_go_on());
    let mut asked = 0;
    for seed in (round.seed..).take(round.rounds as usize) {
        let walk = AssertUnwindSafe(|| {
            let mut random = StdRng::seed_from_u64(seed);
            timers::walk(&yard, &mut random) + calendar::walk(&mut random)
        });
        asked += catch_unwind(walk).unwrap_or_else(|_| {
            panic!("clock: violated with seed {seed}: cargo test --test prove -- clock --seed {seed} --rounds 1")
        });
    }
    let houses = (round.rounds / WALKS_FOR_A_HOUSE).clamp(*HOUSES.start(), *HOUSES.end());
    let stories = if round.rounds == 1 { 1 } else { houses };
    let told = runtime.block_on(Stories::default().tell(round.seed, stories));
    let stopped = runtime
        .block_on(suspended)
        .expect("the story of the stopped program holds");
    Found::Held(format!(
        "{} walks of the clock, {asked} questions to its timers; {told} in a steered midwatch; {stopped}",
        round.rounds
    ))
}
