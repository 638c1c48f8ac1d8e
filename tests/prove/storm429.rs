//! Slack answers most calls with 429, keeps some messages without showing them, cuts some answers: soon after the storm
//! every thread shows how its run ended, nothing stands there twice, and Slack was never called before it wanted to be.
//!
//! Two storms at once, each with a midwatch of its own: one over a single thread, one over many. The seed fixes what is
//! typed and the storm's dice; how the calls fall on them differs from run to run.

mod threads;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use self::threads::{Ending, Job, Judged, judge};
use super::{Found, Round};
use crate::bot::{Bot, Home};
use crate::fakes::slack::{BOT_TOKEN, FakeSlack, SIGNING_SECRET, Storm};

/// One round.
const SPELL: Duration = Duration::from_secs(10);
/// What the weather is like.
const STORM: Storm = Storm {
    refuse: 0.8,
    lose: 0.4,
    cut: 0.1,
};
/// Before it is over, nothing is refused any more, and messages are lost still.
const SWELL: Duration = Duration::from_secs(4);
/// After the storm a single thread is right within this time, and fifty within that.
const ONE_WITHIN: Duration = Duration::from_secs(30);
const MANY_WITHIN: Duration = Duration::from_secs(120);
const MANY: usize = 50;
/// Threads of one channel: at one post a second, its pace must not be what is measured.
const THREADS_A_CHANNEL: usize = 2;
/// When nothing has changed for so long after all was right, nothing is under way any more.
const AFTERMATH: Duration = Duration::from_secs(7);

/// The proof.
pub(crate) fn prove(round: Round) -> Found {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let many = (6 + 2 * round.rounds as usize).min(MANY);
    let (one, many) = runtime.block_on(async {
        tokio::join!(
            weather(round, 1, ONE_WITHIN),
            weather(round, many, MANY_WITHIN)
        )
    });
    Found::Held(format!(
        "{} s of storm: {one}; {many}",
        (SPELL * round.rounds).as_secs()
    ))
}

async fn weather(round: Round, threads: usize, within: Duration) -> String {
    let seed = round.seed.wrapping_add(threads as u64);
    let mut random = StdRng::seed_from_u64(seed);
    let lasting = SPELL * round.rounds;
    let jobs = jobs(threads, lasting, &mut random);
    let slack = FakeSlack::start().await;
    slack.judge_pace();
    let home = home(&slack, &jobs);
    let bot = home.serve().await;
    slack.use_http(&bot.url(""));
    slack.storm(STORM, seed);
    let swell = Instant::now() + lasting;
    let calm = swell + SWELL;
    for job in &jobs {
        let ack = slack.slash("U1", &job.channel, &job.text()).await;
        assert_eq!((ack.status, ack.body.as_str()), (200, ""), "{}", job.text());
        let wait = lasting.mul_f64(0.1 * random.random::<f64>() / threads as f64);
        tokio::time::sleep(wait).await;
    }
    tokio::time::sleep_until(swell).await;
    let swelling = Storm {
        refuse: 0.0,
        ..STORM
    };
    slack.storm(swelling, seed);
    tokio::time::sleep_until(calm).await;
    slack.calm();
    let right = get_right(&slack, &jobs, calm + within).await;
    let after = calm.elapsed();
    tokio::time::sleep(AFTERMATH).await;
    let judged = judge(&slack, &jobs);
    complain(&slack, &home, round, &slack.violations());
    complain(&slack, &home, round, &right.complaints);
    complain(&slack, &home, round, &judged.complaints);
    stop(bot, &home);
    let toll = slack.toll();
    assert!(toll.refused > 0, "that was no storm");
    format!(
        "{threads} thread{} right {:.1} s after it ({} calls refused, {} messages taken and not kept, {} answers cut; \
         {} of {} lines between root and last line were kept)",
        if threads == 1 { "" } else { "s" },
        after.as_secs_f64(),
        toll.refused,
        toll.lost,
        toll.cut,
        judged.lines,
        jobs.iter().map(Job::lines).sum::<usize>(),
    )
}

/// Waits until all threads are right, or it is too late for it.
async fn get_right(slack: &FakeSlack, jobs: &[Job], deadline: Instant) -> Judged {
    loop {
        let judged = judge(slack, jobs);
        let for_good = judged.for_good || !slack.violations().is_empty();
        if judged.complaints.is_empty() || for_good || Instant::now() >= deadline {
            return judged;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn complain(slack: &FakeSlack, home: &Home, round: Round, complaints: &[String]) {
    assert!(
        complaints.is_empty(),
        "{} complaints after {} rounds of storm, seed {} (again: --rounds {} --seed {}), {:?}:\n- {}\n{}",
        complaints.len(),
        round.rounds,
        round.seed,
        round.rounds,
        round.seed,
        slack.toll(),
        complaints[..complaints.len().min(20)].join("\n- "),
        home.log(),
    );
}

fn stop(bot: Bot, home: &Home) {
    let stopped = tokio::task::block_in_place(|| bot.stop());
    assert!(stopped.success(), "{}", home.log());
}

/// What is typed: all of it ends during the storm, two waves of runs after each other included.
fn jobs(threads: usize, lasting: Duration, random: &mut StdRng) -> Vec<Job> {
    let longest = lasting.as_secs_f64() / 4.0 / f64::from(threads::STEPS);
    (0..threads)
        .map(|n| Job {
            tag: format!("t{n}"),
            channel: format!("C{}", 10 + n / THREADS_A_CHANNEL),
            ending: match n % 4 {
                1 => Ending::Fails,
                2 => Ending::Prints,
                _ => Ending::Succeeds,
            },
            pause: format!("{:.2}", random.random_range(0.2..1.0) * longest),
        })
        .collect()
}

fn home(slack: &FakeSlack, jobs: &[Job]) -> Home {
    let mut channels: Vec<&str> = jobs.iter().map(|job| job.channel.as_str()).collect();
    channels.dedup();
    for channel in &channels {
        slack.add_channel(channel, true);
    }
    let files = threads::files(&channels);
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Home::of_files(&files)
        .setting("SLACK_BOT_TOKEN", BOT_TOKEN)
        .setting("SLACK_SIGNING_SECRET", SIGNING_SECRET)
        .setting("SLACK_API_URL", slack.api_url())
}
