//! The database is away: killed, out of reach, or silent. What was accepted is done, what was refused is not, everybody
//! is answered in time, and nobody has to restart anything.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::lab::{self, Lab};
use super::proxy::{Proxy, Wire};
use super::{Found, Round};
use crate::cluster::Cluster;
use crate::fakes::slack::FakeSlack;

/// The longest that a person may wait for an answer, as Slack sees it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// After the database's return everything that was accepted has ended and was told.
const DRAINED_WITHIN: Duration = Duration::from_secs(15);
/// Between two commands.
const TYPED_EVERY: Duration = Duration::from_millis(400);
/// So many rounds and more are the real thing: the database is away for half a minute each time.
const MANY: u32 = 6;

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let Some(cluster) = Cluster::start_new() else {
        return Found::Missing("PostgreSQL is not installed".to_owned());
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    Found::Held(runtime.block_on(take_away(round, cluster)))
}

#[derive(Debug, Clone, Copy)]
enum Away {
    Killed,
    OutOfReach,
    Silent,
}

async fn take_away(round: Round, mut cluster: Cluster) -> String {
    let slack = FakeSlack::start().await;
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], cluster.port()))).await;
    let url = lab::through(&cluster.database().await, proxy.address);
    let lab = Lab::new(&slack, &url, 12);
    let bot = lab.home.serve().await;
    slack.use_http(&bot.url(""));
    let lasting = Duration::from_secs(if round.rounds >= MANY { 30 } else { 4 });
    let (mut accepted, mut refused, mut unknown) = (0, 0, 0);
    let (mut slowest, mut longest) = (Duration::ZERO, Duration::ZERO);
    let offset = usize::try_from(round.seed % 3).unwrap_or(0);
    for n in 0..round.rounds as usize {
        let away = [Away::Killed, Away::OutOfReach, Away::Silent][(n + offset) % 3];
        // These are under way when it happens.
        for _ in 0..2 {
            let ack = slack.slash("U1", &lab.channel(accepted), "once one").await;
            assert_eq!((ack.status, ack.body.as_str()), (200, ""));
            accepted += 1;
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        let begun = Instant::now();
        match away {
            Away::Killed => tokio::task::block_in_place(|| cluster.kill9()),
            Away::OutOfReach => proxy.set(Wire::Cut),
            Away::Silent => proxy.set(Wire::Stalled),
        }
        while begun.elapsed() < lasting {
            let asked = Instant::now();
            let ack = slack
                .slash("U1", &lab.channel(accepted + refused + unknown), "mark one")
                .await;
            let took = asked.elapsed();
            assert!(
                took < ANSWERED_WITHIN,
                "{away:?}: an answer took {took:?}; seed {}",
                round.seed
            );
            slowest = slowest.max(took);
            assert_eq!(ack.status, 200, "{away:?}: {}", ack.body);
            if ack.body.is_empty() {
                accepted += 1;
            } else if ack.body.contains("nothing was done:") {
                refused += 1;
            } else {
                assert!(
                    ack.body.contains("the ledger is slow"),
                    "{away:?}: {}",
                    ack.body
                );
                unknown += 1;
            }
            tokio::time::sleep(TYPED_EVERY).await;
        }
        assert!(
            !bot.is_ready().await,
            "{away:?}: without its database it is not ready"
        );
        match away {
            Away::Killed => tokio::task::block_in_place(|| cluster.start()),
            Away::OutOfReach | Away::Silent => proxy.set(Wire::Open),
        }
        let back = Instant::now();
        // One more is accepted as soon as somebody is there to accept it.
        while !slack.slash("U1", "C1", "mark one").await.body.is_empty() {
            refused += 1;
            assert!(
                back.elapsed() < DRAINED_WITHIN,
                "{away:?}: nothing is accepted; {}",
                lab.home.log()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        accepted += 1;
        loop {
            let ended = lab.ended(&slack);
            if ended >= accepted && bot.is_ready().await {
                break;
            }
            assert!(
                back.elapsed() < DRAINED_WITHIN,
                "{away:?}: {ended} of {accepted} ended {:?} after the return, seed {}; {}",
                back.elapsed(),
                round.seed,
                lab.home.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        longest = longest.max(back.elapsed());
    }
    let marks = lab.marks();
    assert!(
        (accepted..=accepted + unknown).contains(&marks),
        "{accepted} accepted, {unknown} of unknown fate, {marks} done; seed {}",
        round.seed
    );
    assert!(bot.stop().success());
    lab.ledger_is_sound();
    assert_eq!(slack.violations(), Vec::<String>::new());
    format!(
        "away for {} s each; {accepted} accepted and done, {refused} refused and not, {unknown} told that it is not known; \
         slowest answer {} ms, everything drained at most {} ms after the return",
        lasting.as_secs(),
        slowest.as_millis(),
        longest.as_millis()
    )
}
