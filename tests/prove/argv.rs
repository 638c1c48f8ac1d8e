//! No value becomes anything but itself: what a program was started with and what a server was sent is held, byte for
//! byte, against what was typed.
//!
//! Two ways in: typed into Slack and done by the real program, and handed to the plan beneath the grammar, which refuses
//! much of what a later door may let in.

mod beneath;
mod places;
mod recorder;
mod typed;
mod values;

use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::places::Places;
use self::recorder::Recorder;
use self::values::hostile;
use super::{Found, Round};
use crate::bot::Home;
use crate::fakes::slack::{BOT_TOKEN, FakeSlack, SIGNING_SECRET};

pub(crate) use self::recorder::record;

/// The proof: each round is one value, in every kind of place.
pub(crate) fn prove(round: Round) -> Found {
    if !Path::new("/proc/self/cmdline").exists() {
        return Found::Missing("it needs /proc to see what was really executed".to_owned());
    }
    let mut random = StdRng::seed_from_u64(round.seed);
    let values: Vec<String> = (0..round.rounds as usize)
        .map(|n| hostile(n, &mut random))
        .collect();
    let recorder = Recorder::start();
    let files = places::files(&recorder);
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, &**text)).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let slack = runtime.block_on(FakeSlack::start());
    let home = Home::of_files(&files)
        .setting("MIDWATCH_SECRET_CANARY", "c4n4ry-0f-th3-m1n3")
        .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
        .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
        .setting("SLACK_API_URL", slack.api_url());
    std::fs::create_dir(home.path(places::RECORDS)).expect("a folder");
    let places = Places {
        recorder: &recorder,
        folder: home.path(places::RECORDS),
        seed: round.seed,
    };
    let typed = runtime.block_on(typed::prove(&home, &slack, &places, &values, &mut random));
    let beneath = runtime.block_on(beneath::prove(&home, &places, &values));
    for folder in ["", places::RECORDS] {
        assert!(
            !home.path(folder).join("pwned").exists(),
            "a value was executed: `pwned` exists, seed {}",
            round.seed
        );
    }
    Found::Held(format!(
        "{} values; typed: {typed}; beneath the grammar: {beneath}; no shell above any program",
        values.len()
    ))
}
