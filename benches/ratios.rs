//! Benchmarks: each prints how near we come to a limit that is measured beside it, in the same run.
//!
//! `cargo bench --bench ratios` runs all, `cargo bench --bench ratios -- ack decide` these. Limit and subject alternate
//! over several rounds, because a machine changes its mind; what is printed is the median and the spread of the rounds'
//! ratios. Absolute figures stand behind the ratios and belong to this machine and this hour. `docs/speed.md` explains.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, starts the processes it measures, divides counts, and ends by panicking"
)]

#[path = "ratios/ack.rs"]
mod ack;
#[path = "ratios/card.rs"]
mod card;
#[path = "../tests/it/cluster.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::print_stderr,
    clippy::unused_self,
    reason = "shared with the stories, which use the rest"
)]
mod cluster;
#[path = "ratios/command.rs"]
mod command;
#[path = "ratios/decide.rs"]
mod decide;
#[path = "ratios/engines.rs"]
mod engines;
#[path = "ratios/files.rs"]
mod files;
#[path = "ratios/growth.rs"]
mod growth;
#[path = "ratios/measure.rs"]
mod measure;
#[path = "ratios/memory.rs"]
mod memory;
#[path = "ratios/process.rs"]
mod process;
#[path = "ratios/start.rs"]
mod start;

#[path = "../tests/it/fakes/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    clippy::unused_self,
    reason = "shared with the stories, which use the rest"
)]
mod fakes;
#[path = "ratios/recovery.rs"]
mod recovery;
#[path = "ratios/replicas.rs"]
mod replicas;
#[path = "ratios/stores.rs"]
mod stores;
#[path = "ratios/takeover.rs"]
mod takeover;
#[path = "ratios/timeline.rs"]
mod timeline;
#[path = "ratios/verify.rs"]
mod verify;

/// What a benchmark is called, and what it does.
type Bench = (&'static str, fn());

const BENCHES: &[Bench] = &[
    ("ack", ack::run),
    ("command", command::run),
    ("card", card::run),
    ("start", start::run),
    ("decide", decide::run),
    ("memory", memory::run),
    ("growth", growth::run),
    ("timeline", timeline::run),
    ("stores", stores::run),
    ("takeover", takeover::run),
    ("recovery", recovery::run),
    ("verify", verify::run),
];

fn main() {
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if names == [process::BARE_SERVER] {
        return process::serve_barely();
    }
    for name in &names {
        let known = BENCHES.iter().any(|(known, _)| known == name);
        let all: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
        assert!(known, "no benchmark is called `{name}`: {}", all.join(", "));
    }
    for (name, run) in BENCHES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("\n{name}");
            run();
        }
    }
}
