//! Everything that happens to connections happens to them, while people talk: each word is heard once, all connections are
//! back within seconds, and nobody reconnects without a reason.
//!
//! The adapters' own loops with the timing of service, a store and the one path behind them, against a Slack and a Discord
//! whose connections break. The wall clock is the one that the adapter is given; the machine's own is nobody's to set here.
//! What is said while no socket is open, this Slack keeps, and Discord for as long as it keeps the session; when it has
//! forgotten that, the history is read. That it is read where Slack keeps nothing, `gap` proves.
//!
//! Ten idle minutes pass in some seconds, on a runtime whose time we move by hand; beside that, one midwatch is idle for
//! as long as the others suffer. The rounds are shared between the platforms.

mod discord;
mod lane;
mod slack;

use std::fmt::Debug;
use std::time::Duration;

use midwatch::chat::Ears;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::discord::OnDiscord;
use self::lane::{Lane, Parts, Said};
use self::slack::OnSlack;
use super::{Found, Round};

/// All connections hear again within this time, in 99 of 100 troubles.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// What comes never has to wait longer than this: Slack sends again what was in the silent socket, after three seconds.
const TOO_LATE: Duration = Duration::from_secs(60);
/// Each round has a midwatch of its own, so many at the same time on each platform.
const LANES: u32 = 16;
/// Somebody says something so often.
const SAID_EVERY: Duration = Duration::from_millis(200);
/// Before the next trouble, so that each finds connections that lived for a while.
const SETTLED: Duration = Duration::from_millis(10_500);
/// How long nothing is said and nothing breaks.
const IDLE: Duration = Duration::from_secs(600);
/// In steps of so much, each followed by a moment of real time in which what was sent arrives.
const STEP: Duration = Duration::from_millis(250);
const MOMENT: Duration = Duration::from_millis(3);

/// A platform whose connections break.
trait Ground: Clone + Send + Sync + 'static {
    /// What can happen to them.
    type Trouble: Copy + Debug + Send + 'static;
    /// What its adapter hears through.
    type Door: Clone + Send + 'static;

    const NAME: &'static str;
    const TROUBLES: &'static [Self::Trouble];
    /// How many connections midwatch keeps open.
    const CONNECTIONS: usize;
    /// Each of them is asked at least so often whether it is there.
    const ASKED_EVERY: Duration;
    /// Before the first trouble: so long after a session begins there is no other.
    const AT_FIRST: Duration;
    /// What is counted by [`Ground::anew`].
    const ANEW: &'static str;

    async fn start() -> Self;
    /// The account and the channel of those who talk, as they stand in the files.
    fn person() -> String;
    fn channel() -> String;
    async fn door(&self, parts: Parts) -> Self::Door;
    /// Listens until cancelled; an error says why it ended by itself.
    fn listen(
        door: Self::Door,
        ears: watch::Sender<Ears>,
        cancel: CancellationToken,
    ) -> impl Future<Output = Result<(), String>> + Send + 'static;

    /// Connections that were ever opened.
    fn opened(&self) -> usize;
    /// Connections that are open, whether or not something goes through them.
    fn open(&self) -> usize;
    /// The numbers of those through which something goes.
    fn hearing(&self) -> Vec<u64>;
    /// How often midwatch asked whether the other side is there.
    fn asked(&self) -> usize;
    fn violations(&self) -> Vec<String>;
    /// How often something was begun anew, after these troubles. Panics when that was not needed.
    fn anew(&self, suffered: &[Self::Trouble]) -> usize;
    async fn wait_for(&self, what: &str, limit: Duration, found: impl Fn(&Self) -> bool);

    /// Somebody says a command.
    fn say(self, tag: String) -> impl Future<Output = Said> + Send + 'static;
    /// Whether nobody can say anything meanwhile.
    fn is_mute(trouble: Self::Trouble) -> bool;
    /// Whether the platform forgets what it could not deliver; whoever waits for an answer is told that there is none.
    fn forgets(trouble: Self::Trouble) -> bool;
    /// Makes it happen. Answers since when midwatch can hear again, and the connections that can't be among those.
    async fn strike(
        lane: &mut Lane<Self>,
        trouble: Self::Trouble,
        chance: Chance,
    ) -> (Instant, Vec<u64>);
}

/// What the seed chose.
#[derive(Clone, Copy)]
struct Chance {
    /// Whether all connections are struck, where there are several.
    both: bool,
    /// Somebody speaks for so long before.
    wait: Duration,
}

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let [on_slack, on_discord] = round.shared();
    // After each other: how soon they are back must not depend on how busy the machine is with the others.
    let discord = runtime.block_on(all::<OnDiscord>(on_discord));
    let slack = runtime.block_on(all::<OnSlack>(on_slack));
    Found::Held(format!("{slack}. {discord}"))
}

/// What was seen in some rounds.
struct Seen {
    back: Vec<(Duration, String)>,
    said: Vec<Said>,
    anew: usize,
}

async fn all<G: Ground>(round: Round) -> String {
    let ten_minutes = tokio::task::spawn_blocking(ten_idle_minutes::<G>);
    let began = Instant::now();
    let idle = Lane::<G>::open().await;
    let lanes = (0..LANES.min(round.rounds)).map(|number| lane::<G>(round, number));
    let lanes = futures_util::future::join_all(lanes).await;
    let asked = idle.ground.asked();
    assert_eq!(
        idle.ground.opened(),
        G::CONNECTIONS,
        "{}: nothing was wrong with these connections",
        G::NAME
    );
    idle.close().await;
    let idle = format!(
        "{} s idle beside that with {asked} questions whether it is there and 0 reconnects; {}",
        began.elapsed().as_secs(),
        ten_minutes.await.expect("ten minutes pass")
    );
    let mut seen = Seen {
        back: Vec::new(),
        said: Vec::new(),
        anew: 0,
    };
    for lane in lanes {
        seen.back.extend(lane.back);
        seen.said.extend(lane.said);
        seen.anew += lane.anew;
    }
    sum_up::<G>(round, seen, &idle)
}

fn sum_up<G: Ground>(round: Round, mut seen: Seen, idle: &str) -> String {
    seen.back.sort();
    let (p99, of) = &seen.back[(seen.back.len() * 99).div_ceil(100) - 1];
    let (longest, worst) = &seen.back[seen.back.len() - 1];
    assert!(
        *p99 <= BACK_WITHIN,
        "{}: back after {p99:?} ({of}) at the 99th percentile, {longest:?} ({worst}) at the most; seed {}",
        G::NAME,
        round.seed
    );
    let one_up = seen.said.iter().filter(|said| said.one_up).count();
    let forgotten = seen.said.iter().filter(|said| said.may_be_lost).count();
    let slowest = seen.said.iter().filter_map(|said| said.took).max();
    format!(
        "{}, {} rounds: {} troubles of {} kinds, all connections back p99 {} ms, longest {} ms ({worst}); {} commands said, \
         {one_up} of them with one connection in trouble, {forgotten} of which the platform said that nobody answered, each \
         other heard and run once, {} ms until acknowledged at the longest; {} {}; {idle}",
        G::NAME,
        round.rounds,
        seen.back.len(),
        G::TROUBLES.len(),
        p99.as_millis(),
        longest.as_millis(),
        seen.said.len(),
        slowest.unwrap_or_default().as_millis(),
        seen.anew,
        G::ANEW,
    )
}

/// Some rounds, one after the other, on a platform of their own.
async fn lane<G: Ground>(round: Round, number: u32) -> Seen {
    let mut random = StdRng::seed_from_u64(round.seed.wrapping_add(u64::from(number)));
    let mut lane = Lane::<G>::open().await;
    let mut seen = Seen {
        back: Vec::new(),
        said: Vec::new(),
        anew: 0,
    };
    let kinds = G::TROUBLES.len();
    let first = random.random_range(0..kinds);
    let mut suffered = Vec::new();
    let mine = (number..round.rounds).step_by(LANES as usize);
    for (nth, of_all) in mine.enumerate() {
        let rest = if nth > 0 { SETTLED } else { G::AT_FIRST };
        tokio::time::sleep(rest).await;
        lane.has_no_more_connections().await;
        // Over all lanes each kind comes equally often, whatever the seed.
        let trouble = G::TROUBLES[(of_all as usize + usize::from(nth > 0) * first) % kinds];
        let chance = Chance {
            both: random.random_bool(0.3),
            wait: Duration::from_millis(random.random_range(0..400)),
        };
        let (back, said) = suffer(&mut lane, trouble, chance).await;
        suffered.push(trouble);
        seen.back.push((back, format!("{trouble:?}")));
        seen.said.extend(said);
        let what = format!("{}, {trouble:?}, seed {}", G::NAME, round.seed);
        lane.expect_all_once(&seen.said, &what).await;
    }
    lane.has_no_more_connections().await;
    seen.anew = lane.ground.anew(&suffered);
    lane.close().await;
    seen
}

/// One trouble, while somebody talks. Answers how long it took until all heard again, and what was said.
async fn suffer<G: Ground>(
    lane: &mut Lane<G>,
    trouble: G::Trouble,
    chance: Chance,
) -> (Duration, Vec<Said>) {
    let one_up = !chance.both && G::CONNECTIONS > 1 && !G::is_mute(trouble);
    let mut talk = JoinSet::new();
    let mut more = tokio::time::interval(SAID_EVERY);
    let back = {
        let (ground, mut texts) = (lane.ground.clone(), lane.texts());
        let strike = async {
            tokio::time::sleep(chance.wait).await;
            let (began, struck) = G::strike(lane, trouble, chance).await;
            lane.hears_without(&struck).await;
            began.elapsed()
        };
        let mut back = std::pin::pin!(strike);
        loop {
            tokio::select! {
                back = &mut back => break back,
                _ = more.tick(), if !G::is_mute(trouble) => {
                    talk.spawn(ground.clone().say(texts.next()));
                }
            }
        }
    };
    let mut said = Vec::new();
    while let Some(one) = talk.join_next().await {
        let mut one = one.expect("saying something does not panic");
        one.one_up = one_up;
        one.may_be_lost = one.unanswered && G::forgets(trouble);
        said.push(one);
    }
    lane.set_clock_back(Duration::ZERO);
    (back, said)
}

/// Nothing is said and nothing breaks.
fn ten_idle_minutes<G: Ground>() -> String {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut lane = Lane::<G>::open().await;
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
            lane.ground.opened(),
            G::CONNECTIONS,
            "{}: nothing was wrong with these connections for {IDLE:?}",
            G::NAME
        );
        let asked = lane.ground.asked();
        let fewest = G::CONNECTIONS as u64 * IDLE.as_secs() / G::ASKED_EVERY.as_secs();
        assert!(
            asked as u64 >= fewest,
            "{}: silent connections were asked {asked} times whether they are there",
            G::NAME
        );
        let text = lane.texts().next();
        let said = lane.ground.clone().say(text).await;
        lane.expect_all_once(&[said], "after ten idle minutes")
            .await;
        lane.close().await;
        format!(
            "ten idle minutes with {asked} such questions and 0 reconnects, and heard at once after them"
        )
    })
}
