//! Everything that happens to sockets happens to them, while people talk: each word is heard once, both sockets are back
//! within seconds, and nobody reconnects without a reason.
//!
//! The adapter's own loop with the timing of service, a store and the one path behind it, against a workspace whose
//! sockets break. The wall clock is the one that the adapter is given; the machine's own is nobody's to set here. What is
//! said while no socket is open, this Slack keeps; that the history is read where it doesn't, `gap` proves.
//!
//! Ten idle minutes pass in some seconds, on a runtime whose time we move by hand; beside that, one midwatch is idle for
//! as long as the others suffer.

mod lane;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::lane::{Lane, Said};
use super::{Found, Round};
use crate::fakes::slack::{FakeSlack, Order};

/// Both sockets hear again within this time, in 99 of 100 troubles.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// What comes never has to wait longer than this: Slack sends again what was in the silent socket, after three seconds.
const TOO_LATE: Duration = Duration::from_secs(60);
/// Each round has a midwatch of its own, so many at the same time.
const LANES: u32 = 16;
/// Somebody says something so often.
const SAID_EVERY: Duration = Duration::from_millis(200);
/// Before the next trouble, so that each finds sockets that lived for a while.
const SETTLED: Duration = Duration::from_millis(10_500);
/// How long nothing is said and nothing breaks.
const IDLE: Duration = Duration::from_secs(600);
/// In steps of so much, each followed by a moment of real time in which what was sent arrives.
const STEP: Duration = Duration::from_millis(250);
const MOMENT: Duration = Duration::from_millis(3);
/// Each of the two sockets is asked at least so often whether it is there.
const ASKED_EVERY: Duration = Duration::from_secs(3);

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Warning,
    Refresh,
    LinkDisabled,
    TooMany,
    Reset,
    Cut,
    HalfOpen,
    Stall,
    ClockBack,
}

const TROUBLES: [Trouble; 9] = [
    Trouble::Warning,
    Trouble::Refresh,
    Trouble::LinkDisabled,
    Trouble::TooMany,
    Trouble::Reset,
    Trouble::Cut,
    Trouble::HalfOpen,
    Trouble::Stall,
    Trouble::ClockBack,
];

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    Found::Held(runtime.block_on(all(round)))
}

/// What was seen in some rounds.
#[derive(Default)]
struct Seen {
    back: Vec<(Duration, Trouble)>,
    said: Vec<Said>,
    reconnects: usize,
}

async fn all(round: Round) -> String {
    let ten_minutes = tokio::task::spawn_blocking(ten_idle_minutes);
    let began = Instant::now();
    let idle = Lane::open().await;
    let lanes = (0..LANES.min(round.rounds)).map(|number| lane(round, number));
    let lanes = futures_util::future::join_all(lanes).await;
    let pings = idle.slack.pings();
    assert_eq!(
        idle.slack.sockets_opened(),
        2,
        "nothing was wrong with these sockets"
    );
    idle.close().await;
    let idle = format!(
        "{} s idle beside that with {pings} pings and 0 reconnects; {}",
        began.elapsed().as_secs(),
        ten_minutes.await.expect("ten minutes pass")
    );
    let mut seen = Seen::default();
    for lane in lanes {
        seen.back.extend(lane.back);
        seen.said.extend(lane.said);
        seen.reconnects += lane.reconnects;
    }
    sum_up(round, seen, &idle)
}

fn sum_up(round: Round, mut seen: Seen, idle: &str) -> String {
    seen.back.sort_by_key(|(took, _)| *took);
    let (p99, of) = seen.back[(seen.back.len() * 99).div_ceil(100) - 1];
    let (longest, worst) = seen.back[seen.back.len() - 1];
    assert!(
        p99 <= BACK_WITHIN,
        "back after {p99:?} ({of:?}) at the 99th percentile, {longest:?} ({worst:?}) at the most; seed {}",
        round.seed
    );
    let with_one_up: Vec<&Said> = seen.said.iter().filter(|said| said.one_up).collect();
    let slowest = seen.said.iter().map(|said| said.took).max();
    format!(
        "{} troubles of {} kinds, both sockets back p99 {} ms, longest {} ms ({worst:?}); {} commands said, {} of them with \
         one socket in trouble, each heard and run once, {} ms at the longest; {} sockets opened anew; {idle}",
        seen.back.len(),
        TROUBLES.len(),
        p99.as_millis(),
        longest.as_millis(),
        seen.said.len(),
        with_one_up.len(),
        slowest.unwrap_or_default().as_millis(),
        seen.reconnects,
    )
}

/// Some rounds, one after the other, in a workspace of their own.
async fn lane(round: Round, number: u32) -> Seen {
    let mut random = StdRng::seed_from_u64(round.seed.wrapping_add(u64::from(number)));
    let mut lane = Lane::open().await;
    let mut seen = Seen::default();
    let first = random.random_range(0..TROUBLES.len());
    let mine = (number..round.rounds).step_by(LANES as usize);
    for (nth, of_all) in mine.enumerate() {
        if nth > 0 {
            tokio::time::sleep(SETTLED).await;
        }
        lane.has_two_sockets().await;
        // Over all lanes each kind comes equally often, whatever the seed.
        let trouble = TROUBLES[(of_all as usize + usize::from(nth > 0) * first) % TROUBLES.len()];
        let both = random.random_bool(0.3);
        let wait = Duration::from_millis(random.random_range(0..400));
        let opened = lane.slack.sockets_opened();
        let (back, said) = suffer(&mut lane, trouble, both, wait).await;
        seen.back.push((back, trouble));
        seen.said.extend(said);
        seen.reconnects += lane.slack.sockets_opened() - opened;
        lane.expect_all_once(&seen.said, &format!("{trouble:?}, seed {}", round.seed))
            .await;
    }
    lane.has_two_sockets().await;
    lane.close().await;
    seen
}

/// One trouble, while somebody talks. Answers how long it took until both sockets heard again, and what was said.
async fn suffer(
    lane: &mut Lane,
    trouble: Trouble,
    both: bool,
    wait: Duration,
) -> (Duration, Vec<Said>) {
    let one_up = !both && trouble != Trouble::LinkDisabled;
    let mut talk = JoinSet::new();
    let mut more = tokio::time::interval(SAID_EVERY);
    let back = {
        let (slack, mut texts) = (lane.slack.clone(), lane.texts());
        let mut back = std::pin::pin!(strike(lane, trouble, both, wait));
        loop {
            tokio::select! {
                back = &mut back => break back,
                // Nobody can say anything to an app whose link is switched off.
                _ = more.tick(), if trouble != Trouble::LinkDisabled => {
                    talk.spawn(lane::say(slack.clone(), texts.next(), one_up));
                }
            }
        }
    };
    let mut said = Vec::new();
    while let Some(one) = talk.join_next().await {
        said.push(one.expect("saying something does not panic"));
    }
    if trouble == Trouble::ClockBack {
        lane.set_clock_back(Duration::ZERO);
    }
    (back, said)
}

/// Makes it happen, and waits until both sockets hear.
async fn strike(lane: &mut Lane, trouble: Trouble, both: bool, wait: Duration) -> Duration {
    tokio::time::sleep(wait).await;
    let slack = lane.slack.clone();
    let mut struck = slack.hearing_sockets();
    assert_eq!(struck.len(), 2, "{trouble:?} finds two sockets");
    if !both {
        struck.remove(usize::from(wait.as_millis().is_multiple_of(2)));
    }
    let do_to_all = |order: &dyn Fn() -> Order| {
        for number in &struck {
            slack.order_socket(*number, order());
        }
    };
    let say = |reason: &str| {
        let text = format!(r#"{{"type":"disconnect","reason":"{reason}"}}"#);
        do_to_all(&|| Order::Send(text.clone()));
    };
    let mut began = Instant::now();
    match trouble {
        Trouble::Warning => say("warning"), // It closes ten seconds later: by then it is long replaced.
        Trouble::Refresh => {
            say("refresh_requested");
            tokio::time::sleep(Duration::from_millis(700)).await;
            do_to_all(&|| Order::Cut);
        }
        Trouble::LinkDisabled => {
            slack.disable_link(true);
            say("link_disabled");
            lane.expect_to_stop().await;
            slack.disable_link(false);
            began = Instant::now();
            lane.listen();
        }
        Trouble::TooMany => {
            slack.send_away(Some("too_many_websockets"));
            say("too_many_websockets");
            do_to_all(&|| Order::Cut);
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            slack.send_away(None);
            began = Instant::now();
        }
        Trouble::Reset => do_to_all(&|| Order::Reset),
        Trouble::Cut => do_to_all(&|| Order::Cut),
        Trouble::HalfOpen => do_to_all(&|| Order::Deafen),
        Trouble::Stall => {
            let stalled = slack.stalled();
            slack.stall_next(struck.len());
            do_to_all(&|| Order::Cut);
            let all = |slack: &FakeSlack| (slack.stalled() - stalled == struck.len()).then_some(());
            slack
                .wait_for("handshakes that stall", BACK_WITHIN, all)
                .await;
        }
        Trouble::ClockBack => {
            let opened = slack.sockets_opened();
            lane.set_clock_back(Duration::from_secs(3_600));
            tokio::time::sleep(Duration::from_secs(4)).await;
            assert_eq!(
                slack.sockets_opened(),
                opened,
                "the wall clock is none of its business"
            );
            began = Instant::now();
        }
    }
    if trouble == Trouble::ClockBack {
        struck.clear();
    }
    lane.hears_without(&struck).await;
    began.elapsed()
}

/// Nothing is said and nothing breaks.
fn ten_idle_minutes() -> String {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut lane = Lane::open().await;
        // As long as something blocks, the runtime's time stands still unless it is moved.
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let blocks = tokio::task::spawn_blocking(move || ended.blocking_recv());
        tokio::time::pause();
        let began = Instant::now();
        while began.elapsed() < IDLE {
            tokio::time::advance(STEP).await;
            let moment = tokio::task::spawn_blocking(|| std::thread::sleep(MOMENT));
            moment.await.expect("a moment passes");
        }
        tokio::time::resume();
        drop(end);
        blocks
            .await
            .expect("it ends")
            .expect_err("nobody says anything");
        assert_eq!(
            lane.slack.sockets_opened(),
            2,
            "nothing was wrong with these sockets for {IDLE:?}"
        );
        let pings = lane.slack.pings();
        let fewest = 2 * IDLE.as_secs() / ASKED_EVERY.as_secs();
        assert!(
            pings as u64 >= fewest,
            "silent sockets were asked {pings} times whether they are there"
        );
        let text = lane.texts().next();
        let said = lane::say(lane.slack.clone(), text, true).await;
        lane.expect_all_once(&[said], "after ten idle minutes")
            .await;
        lane.close().await;
        format!(
            "ten idle minutes with {pings} pings and 0 reconnects, and heard at once after them"
        )
    })
}
