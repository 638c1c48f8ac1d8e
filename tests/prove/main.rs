//! Proofs: `cargo test --test prove -- NAME [--rounds N] [--seed S]`. Without a name, small rounds of all of them.
//!
//! Each prints what it checked, its rounds, its seed, and the bound that the rounds give.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a proof ends by panicking, and says what it found"
)]

#[path = "../it/bot.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "shared with the stories, which use the rest; it starts the program under test"
)]
mod bot;
#[path = "../it/fakes/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the stories, which use the rest"
)]
mod fakes;
mod kill9;
mod tamper;

use std::process::ExitCode;

/// What a proof is run with.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// How many rounds.
    pub rounds: u32,
    /// Makes the same choices again.
    pub seed: u64,
}

type Proof = fn(Round) -> String;

/// Name, rounds in a plain `cargo test`, proof.
const PROOFS: &[(&str, u32, Proof)] = &[("kill9", 5, kill9::prove), ("tamper", 64, tamper::prove)];

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default(); // The first in this process.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let position = arguments.iter().position(|argument| argument == name)?;
        arguments.get(position + 1)?.parse::<u64>().ok()
    };
    // What cargo hands to every test binary (`--nocapture`, a filter for other binaries) is none of ours.
    let named: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|it| PROOFS.iter().any(|(name, ..)| name == it))
        .collect();
    let wanted = arguments
        .iter()
        .find(|argument| !argument.starts_with('-') && argument.parse::<u64>().is_err());
    if let (Some(wanted), true) = (wanted, named.is_empty())
        && wanted != "all"
    {
        let names: Vec<&str> = PROOFS.iter().map(|(name, ..)| *name).collect();
        println!(
            "there is no proof `{wanted}`; there are {}",
            names.join(", ")
        );
        println!("0 passed, 0 failed");
        // `cargo test FILTER` hands its filter to every binary: that must not fail this one.
        return ExitCode::SUCCESS;
    }
    let seed = option("--seed").unwrap_or_else(|| rand::random::<u32>().into());
    let mut passed = 0;
    for (name, small, proof) in PROOFS
        .iter()
        .filter(|(name, ..)| named.is_empty() || named.contains(name))
    {
        let rounds = option("--rounds")
            .and_then(|rounds| u32::try_from(rounds).ok())
            .unwrap_or(*small)
            .max(1);
        println!("{name}: {rounds} rounds, seed {seed}");
        let found = proof(Round { rounds, seed });
        println!("{name}: {found}");
        println!(
            "{name}: 0 failures in {rounds} rounds: below {:.1} % at 95 % confidence",
            bound(rounds)
        );
        passed += 1;
    }
    println!("{passed} passed, 0 failed");
    ExitCode::SUCCESS
}

/// The share of failures, in percent, that so many rounds without one rule out at 95 % confidence: the exact form of
/// the rule of three, which says nothing sensible of fewer than ten rounds.
fn bound(rounds: u32) -> f64 {
    100.0 * (1.0 - 0.05_f64.powf(1.0 / f64::from(rounds)))
}
