//! The card of a command, for fifty callers at the same time: from what was typed until it is owed to them, durably, against
//! the receipt alone of as many words.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::command::Bot;
use super::files::{Home, Size, typed};
use super::measure::{Ratios, percentile};

const CALLERS: usize = 50;
/// What each of them asks, one after the other.
const EACH: usize = 20;
const ROUNDS: usize = 5;
/// Ninety-nine of a hundred people have their card within this.
const WITHIN: Duration = Duration::from_millis(300);

pub(crate) fn run() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = Home::of_size(Size {
        projects: 100,
        rules: 100,
    });
    let bot = runtime.block_on(Bot::start(&home));
    let (mut cards, mut receipts) = (Vec::new(), Vec::new());
    let ratios = Ratios::of_speeds(
        ROUNDS,
        || runtime.block_on(all(&bot, false, &mut receipts)),
        || runtime.block_on(all(&bot, true, &mut cards)),
    );
    let (card, receipt) = (
        percentile(&mut cards, 0.99),
        percentile(&mut receipts, 0.99),
    );
    let more = format!(
        "\n  a card after {:.1} ms at the 99th percentile of {} (half after {:.1} ms), a receipt after {:.1} ms; {:.0} times as fast as {WITHIN:?}",
        card.as_secs_f64() * 1e3,
        cards.len(),
        percentile(&mut cards, 0.5).as_secs_f64() * 1e3,
        receipt.as_secs_f64() * 1e3,
        WITHIN.as_secs_f64() / card.as_secs_f64(),
    );
    ratios.print(
        &format!("card, share of the receipt alone, {CALLERS} callers"),
        &more,
    );
    assert!(
        card <= WITHIN,
        "a card takes {card:?} at the 99th percentile"
    );
    runtime.block_on(bot.stop());
}

/// All callers at the same time; how long all of it took, and into `spans` how long each waited.
async fn all(bot: &Bot, until_told: bool, spans: &mut Vec<Duration>) -> Duration {
    let began = Instant::now();
    let callers = (0..CALLERS).map(|caller| async move {
        let mut waited = Vec::with_capacity(EACH);
        let mut changes = bot.store.changes();
        for _ in 0..EACH {
            let asked = Instant::now();
            let mut inbound = typed(bot.clock.now(), caller);
            inbound.text += " --plan";
            let key = inbound.key.clone();
            bot.store.receive(inbound).await.unwrap();
            while until_told && bot.store.conclusion(&key).await.unwrap().is_none() {
                changes.changed().await.unwrap();
            }
            waited.push(asked.elapsed());
        }
        waited
    });
    spans.extend(join_all(callers).await.into_iter().flatten());
    let took = began.elapsed();
    // Of what was only received, nobody waits for the answers while others are measured.
    while !until_told && waits(bot).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took
}

async fn waits(bot: &Bot) -> bool {
    let waiting = bot.store.waiting_inbounds(bot.clock.now(), 1).await;
    !waiting.unwrap().is_empty()
}
