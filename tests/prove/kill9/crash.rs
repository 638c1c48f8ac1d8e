//! Crash points: midwatch, or the supervisor of a step, kills itself at a named place while people type.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use midwatch::planted::POINTS;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::yard::Yard;

/// Whether the program under test has them.
pub(super) const ARE_HERE: bool = cfg!(feature = "planted");
/// What is typed on the way to a point.
const COMMANDS: usize = 3;
/// How long it may take to come to a point, on the first try and on one that asks for the first passage.
const COME_WITHIN: Duration = Duration::from_secs(12);
const COME_AT_LAST: Duration = Duration::from_secs(40);
/// From the first command to the signal to end, where a point lies behind that.
const BEFORE_THE_END: Duration = Duration::from_millis(300);
/// How often steps are begun to be left behind.
const TRIES: u32 = 6;
/// Points that are passed rarely: the first passage is asked for.
const RARE: [&str; 8] = [
    "start.",
    "supervisor.",
    "catalog.",
    "drain.begun",
    "drain.recorded",
    "step.taken_up",
    "step.interrupted",
    "step.verified",
];

/// Lets it die at every point, one after the other, so many times.
pub(super) async fn at_every_point(yard: &mut Yard, passes: u32, random: &mut StdRng) {
    for pass in 0..passes {
        for (n, point) in POINTS.iter().enumerate() {
            let number = pass * 1_000 + u32::try_from(n).expect("few points");
            let is_rare = RARE.iter().any(|rare| point.starts_with(rare));
            let passage = if is_rare {
                1
            } else {
                random.random_range(1..=3)
            };
            prepare(yard, point, number, random).await;
            if die_at(yard, point, passage, number, COME_WITHIN, random).await {
                continue;
            }
            let mut came = false;
            for again in [number + 500, number + 600, number + 700] {
                prepare(yard, point, again, random).await;
                came = die_at(yard, point, 1, again, COME_AT_LAST, random).await;
                if came {
                    break;
                }
            }
            if !came {
                let complaint = format!("crash point {point} was never reached");
                yard.complaints.push(complaint);
            }
        }
    }
}

/// Some points are passed only by who finds steps that were left behind, with their supervisors or without.
async fn prepare(yard: &mut Yard, point: &str, number: u32, random: &mut StdRng) {
    if !["step.taken_up", "step.interrupted", "step.verified"].contains(&point) {
        return;
    }
    let long = if point == "step.verified" {
        "place"
    } else {
        "haul"
    };
    let steps = yard.homes[0].path("data/steps");
    for n in 1..=TRIES {
        yard.start(0).await;
        let round = number + 10_000 * n;
        yard.people.type_these(round, &[long; 4], random);
        let came = Instant::now();
        while going_on(&steps) < 3 && came.elapsed() < COME_WITHIN {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        yard.kill9(0);
        if point != "step.taken_up" {
            yard.kill_supervisors(0, 1.0, random);
        }
        // What went on may have ended meanwhile, or been something short.
        if going_on(&steps) > 0 {
            return;
        }
    }
}

/// Attempts whose programs were started and have left no result.
fn going_on(steps: &Path) -> usize {
    let folders = std::fs::read_dir(steps).into_iter().flatten().flatten();
    let is_there = |folder: &Path, name: &str| folder.join(name).exists();
    folders
        .filter(|it| is_there(&it.path(), "started") && !is_there(&it.path(), "result"))
        .count()
}

/// Starts midwatch with a point that it dies at, and gives it something to do. Whether it came to the point in time.
async fn die_at(
    yard: &mut Yard,
    point: &str,
    passage: usize,
    number: u32,
    within: Duration,
    random: &mut StdRng,
) -> bool {
    let seen = yard.homes[0].path(&format!("seen-{number}"));
    let (asked, file) = (format!("{point}:{passage}"), seen.display().to_string());
    let settings = [
        ("PLANTED_CRASH", asked.as_str()),
        ("PLANTED_CRASH_SEEN", file.as_str()),
    ];
    let mut bot = yard.homes[0].launch_with(&settings);
    let began = Instant::now();
    let mut typed: Option<Instant> = None;
    let mut told_to_end = false;
    let mut came = false;
    while began.elapsed() < within {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if let Some(status) = bot.has_ended() {
            came = passages(&seen).len() >= passage && status.signal() == Some(9);
            break;
        }
        came = passages(&seen).len() >= passage;
        if came && point.starts_with("supervisor.") {
            // Midwatch lives on, and sees it; sometimes it is killed before it does.
            tokio::time::sleep(Duration::from_millis(random.random_range(0..300))).await;
            break;
        }
        match typed {
            None if bot.is_ready().await => {
                yard.open_door(0, &bot);
                let span = BEFORE_THE_END;
                yard.people.type_commands(number, COMMANDS, span, random);
                yard.change_files(number);
                typed = Some(Instant::now());
            }
            Some(at) if !told_to_end && at.elapsed() > BEFORE_THE_END => {
                if point.starts_with("drain.") {
                    bot.signal(rustix::process::Signal::TERM);
                }
                told_to_end = true;
            }
            _ => {}
        }
    }
    bot.kill9(); // Nothing is left to kill, but for supervisors' points.
    yard.was_killed();
    if ["supervisor.started", "supervisor.program_ended"].contains(&point)
        && let Some(attempt) = passages(&seen).get(passage - 1)
    {
        let name = Path::new(attempt).file_name().unwrap_or_default();
        yard.lost.insert(name.to_string_lossy().into_owned());
    }
    came
}

/// The last argument of each process that passed, in the order of passages.
fn passages(seen: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(seen).unwrap_or_default();
    let lines = text.lines();
    lines
        .map(|line| line.split_once(' ').unwrap_or_default().1.to_owned())
        .collect()
}
