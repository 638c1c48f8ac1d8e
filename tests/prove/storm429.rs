//! Slack and Discord answer most calls with 429, fail, cut answers, and Slack keeps some messages without showing them: soon
//! after the storm every thread shows how its run ended, nothing stands there twice, and nobody was called before they
//! wanted to be, or faster than they allow.
//!
//! Two storms at once on each platform, each with a midwatch of its own: one over a single thread, one over many. The seed
//! fixes what is typed and the storm's dice; how the calls fall on them differs from run to run.

mod discord;
mod slack;
mod threads;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use self::discord::OverDiscord;
use self::slack::OverSlack;
use self::threads::{Ending, Job, Judged, Told, judge};
use super::{Found, Round};
use crate::bot::{Bot, Home};

/// One round.
const SPELL: Duration = Duration::from_secs(10);
/// Before it is over, nothing is refused any more, and answers or messages are lost still.
const SWELL: Duration = Duration::from_secs(4);
/// After the storm a single thread is right within this time, and fifty within that.
const ONE_WITHIN: Duration = Duration::from_secs(30);
const MANY_WITHIN: Duration = Duration::from_secs(120);
const MANY: usize = 50;
/// Threads of one channel: at one post a second, its pace must not be what is measured.
const THREADS_A_CHANNEL: usize = 2;
/// When nothing has changed for so long after all was right, nothing is under way any more.
const AFTERMATH: Duration = Duration::from_secs(7);

/// What the weather is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Storm,
    /// Nothing is refused any more.
    Swell,
    Calm,
}

/// A platform with weather.
trait Sky {
    const NAME: &'static str;

    /// Opens it, with these channels, and judges the pace from now on.
    async fn open(channels: &[String]) -> Self;
    fn channel(number: usize) -> String;
    /// Who types, as it stands in `people.yaml`.
    fn person() -> String;
    fn settings(&self, home: Home) -> Home;
    /// Midwatch is ready: waits until it can be spoken to.
    async fn meet(&self, bot: &Bot);
    fn set(&self, weather: Weather, seed: u64);
    /// Somebody types it.
    async fn say(&self, job: &Job);
    /// What midwatch said in a channel and in its threads.
    fn told(&self, channel: &str) -> Vec<Told>;
    /// What else is not as it should be, yet or for good.
    fn judge_more(&self, judged: &mut Judged);
    fn violations(&self) -> Vec<String>;
    /// How many calls were refused.
    fn refused(&self) -> usize;
    /// What the storm did.
    fn toll(&self) -> String;
}

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let discord = runtime.block_on(storms::<OverDiscord>(round));
    let slack = runtime.block_on(storms::<OverSlack>(round));
    let lasting = (SPELL * round.rounds).as_secs();
    Found::Held(format!("{lasting} s of storm on each: {slack}; {discord}"))
}

async fn storms<S: Sky>(round: Round) -> String {
    let many = (6 + 2 * round.rounds as usize).min(MANY);
    let (one, many) = tokio::join!(
        weather::<S>(round, 1, ONE_WITHIN),
        weather::<S>(round, many, MANY_WITHIN)
    );
    format!("on {}, {one}; {many}", S::NAME)
}

async fn weather<S: Sky>(round: Round, threads: usize, within: Duration) -> String {
    let seed = round.seed.wrapping_add(threads as u64);
    let mut random = StdRng::seed_from_u64(seed);
    let lasting = SPELL * round.rounds;
    let jobs = jobs::<S>(threads, lasting, &mut random);
    let channels = threads::channels(&jobs);
    let sky = S::open(&channels).await;
    let home = sky.settings(home::<S>(&channels));
    let bot = home.serve().await;
    sky.meet(&bot).await;
    sky.set(Weather::Storm, seed);
    let swell = Instant::now() + lasting;
    let calm = swell + SWELL;
    for job in &jobs {
        sky.say(job).await;
        let wait = lasting.mul_f64(0.1 * random.random::<f64>() / threads as f64);
        tokio::time::sleep(wait).await;
    }
    tokio::time::sleep_until(swell).await;
    sky.set(Weather::Swell, seed);
    tokio::time::sleep_until(calm).await;
    sky.set(Weather::Calm, seed);
    let right = get_right(&sky, &jobs, calm + within).await;
    let after = calm.elapsed();
    tokio::time::sleep(AFTERMATH).await;
    let judged = judge(&sky, &jobs);
    for complaints in [sky.violations(), right.complaints, judged.complaints] {
        complain(&sky, &home, round, &complaints);
    }
    stop(bot, &home);
    assert!(sky.refused() > 0, "that was no storm");
    format!(
        "{threads} thread{} right {:.1} s after it ({}; {} of {} lines between root and last line were kept)",
        if threads == 1 { "" } else { "s" },
        after.as_secs_f64(),
        sky.toll(),
        judged.lines,
        jobs.iter().map(Job::lines).sum::<usize>(),
    )
}

/// Waits until all threads are right, or it is too late for it.
async fn get_right<S: Sky>(sky: &S, jobs: &[Job], deadline: Instant) -> Judged {
    loop {
        let judged = judge(sky, jobs);
        let for_good = judged.for_good || !sky.violations().is_empty();
        if judged.complaints.is_empty() || for_good || Instant::now() >= deadline {
            return judged;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn complain<S: Sky>(sky: &S, home: &Home, round: Round, complaints: &[String]) {
    assert!(
        complaints.is_empty(),
        "{}: {} complaints after {} rounds of storm, seed {} (again: --rounds {} --seed {}), {}:\n- {}\n{}",
        S::NAME,
        complaints.len(),
        round.rounds,
        round.seed,
        round.rounds,
        round.seed,
        sky.toll(),
        complaints[..complaints.len().min(20)].join("\n- "),
        home.log(),
    );
}

fn stop(bot: Bot, home: &Home) {
    let stopped = tokio::task::block_in_place(|| bot.stop());
    assert!(stopped.success(), "{}", home.log());
}

/// What is typed: all of it ends during the storm, two waves of runs after each other included.
fn jobs<S: Sky>(threads: usize, lasting: Duration, random: &mut StdRng) -> Vec<Job> {
    let longest = lasting.as_secs_f64() / 4.0 / f64::from(threads::STEPS);
    (0..threads)
        .map(|n| Job {
            tag: format!("t{n}"),
            channel: S::channel(n / THREADS_A_CHANNEL),
            ending: match n % 4 {
                1 => Ending::Fails,
                2 => Ending::Prints,
                _ => Ending::Succeeds,
            },
            pause: format!("{:.2}", random.random_range(0.2..1.0) * longest),
        })
        .collect()
}

fn home<S: Sky>(channels: &[String]) -> Home {
    let files = threads::files(channels, &S::person());
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Home::of_files(&files)
}
