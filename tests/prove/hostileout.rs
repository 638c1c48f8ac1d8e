//! What programs print and people say is shown, and does nothing: it pings nobody, unfolds no link, moves no cursor, and
//! never stands where a line of ours would be believed.
//!
//! Each round goes through the pipeline, the renderings and all adapters in this process; some go through the real
//! program. Judged is what a workspace, a server and a terminal were sent.

mod judge;
mod markdown;
mod stage;
mod whole;
mod words;

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::stage::{Seen, Stage};
use self::whole::Door;
use super::{Found, Round};

/// Rounds before the workspace is emptied, so that it needs not remember all of them.
const BATCH: u32 = 250;

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(print_and_look(round)) {
        Ok(held) => Found::Held(held),
        Err(why) => panic!(
            "{why}\nagain with --rounds {} --seed {}",
            round.rounds, round.seed
        ),
    }
}

async fn print_and_look(round: Round) -> Result<String, String> {
    markdown::is_able_to_read()?;
    let mut random = StdRng::seed_from_u64(round.seed);
    let home = whole::home(1, "Ana", "Bo");
    let mut seen = Seen::default();
    let mut number = 0;
    while number < round.rounds {
        let mut stage = Stage::open(&home).await;
        let end = round.rounds.min(number + BATCH);
        while number < end {
            let judged = stage.round(number, &mut random, &mut seen).await;
            judged.map_err(|why| format!("round {number}: {why}"))?;
            number += 1;
        }
        stage.verdict(&mut seen)?;
    }
    let threads = (round.rounds / 100).clamp(6, 40);
    let console = whole::at_the_console(threads * 2, &mut random)?;
    let slack = whole::in_slack(threads, &mut random).await?;
    let by_http = whole::in_discord(threads / 2, Door::Http, &mut random).await?;
    let by_gateway = whole::in_discord(threads - threads / 2, Door::Gateway, &mut random).await?;
    if seen.posted == 0 || seen.blocks == 0 {
        return Err("Discord was shown nothing of what was printed".to_owned());
    }
    Ok(format!(
        "Slack: {} messages to a workspace, {} of them with output, {} of those by a program's own run, and {} answers to hostile words; each also on three \
         screens; {slack}; Discord: {} messages encoded, {} blocks with output in them, {} posted; over HTTP {by_http}; over its gateway {by_gateway}; {console}",
        seen.messages,
        seen.quoted,
        seen.programs,
        seen.refusals,
        seen.encoded,
        seen.blocks,
        seen.posted
    ))
}
