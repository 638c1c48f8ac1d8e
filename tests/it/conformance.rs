//! One list of behaviours for every platform. A platform shows a behaviour, or can't, and then says by which source; anything
//! else is red. `docs/platforms.md` is the matrix of the last run: `UPDATE_MATRIX=1 cargo test --test it -- conformance`.
//! `ONLY="Slack, HTTP/places"` shows a part of it and compares nothing.

mod console;
mod discord;
mod list;
mod slack;
mod stage;
mod watch;
mod yard;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::list::{Behaviour, THEMES, WORDS};
use self::stage::{Cant, Done, Stage};
use crate::{discord_story, slack_story};

const PLATFORMS: [&str; 5] = [
    "console",
    "Slack, sockets",
    "Slack, HTTP",
    "Discord, gateway",
    "Discord, HTTP",
];
/// So many at once: mostly they wait for a platform's pace, and yet each must answer within three seconds.
const AT_ONCE: usize = 4;

fn begin(platform: usize) -> BoxFuture<'static, Box<dyn Stage>> {
    match platform {
        0 => Box::pin(async { console::begin() }),
        1 => Box::pin(slack::begin(slack_story::Door::Sockets)),
        2 => Box::pin(slack::begin(slack_story::Door::Http)),
        3 => Box::pin(discord::begin(discord_story::Door::Gateway)),
        _ => Box::pin(discord::begin(discord_story::Door::Http)),
    }
}

/// A theme on a platform.
#[derive(Debug, Clone, Copy)]
struct Part {
    theme: usize,
    platform: usize,
}

impl Part {
    fn name(self) -> String {
        format!("{}/{}", PLATFORMS[self.platform], THEMES[self.theme].0)
    }

    /// Shows its behaviours one after the other: a cell for each.
    ///
    /// # Errors
    /// Which behaviour was not as it should be, and what was seen.
    async fn show(self) -> Result<Vec<Done>, String> {
        let name = self.name();
        let stage = AssertUnwindSafe(begin(self.platform)).catch_unwind().await;
        let mut stage = stage.map_err(|panic| format!("{name}: {}", words(panic.as_ref())))?;
        let mut cells = Vec::new();
        for behaviour in THEMES[self.theme].1.iter().chain(WORDS) {
            let began = Instant::now();
            let showing = AssertUnwindSafe((behaviour.show)(stage.as_mut()));
            let shown = showing.catch_unwind().await;
            let secs = began.elapsed().as_secs_f64();
            let told = format!("{secs:5.1} s  {name}: {}", behaviour.says);
            println!("{told}");
            cells.push(shown.map_err(|panic| format!("{told}: {}", words(panic.as_ref())))?);
            let violations = stage.violations();
            if !violations.is_empty() {
                return Err(format!("{told}: {violations:?}"));
            }
        }
        Ok(cells)
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn every_platform_behaves_alike_or_says_why_not() {
    let environment = midwatch::config::environment();
    let only = environment.get("ONLY").map_or("", String::as_str);
    let every = (0..THEMES.len()).flat_map(|theme| {
        let platforms = 0..PLATFORMS.len();
        platforms.map(move |platform| Part { theme, platform })
    });
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut showing = JoinSet::new();
    for part in every.filter(|part| part.name().contains(only)) {
        let places = Arc::clone(&places);
        showing.spawn(async move {
            let _place = places.acquire_owned().await.expect("it is never closed");
            (part, part.show().await)
        });
    }
    let (mut cells, mut wrong) = (BTreeMap::new(), Vec::new());
    for (part, shown) in showing.join_all().await {
        // Beside others it may have had to wait for the machine. Alone there is no such excuse.
        let shown = match shown {
            Ok(shown) => Ok(shown),
            Err(why) => {
                println!("not shown beside others, so once more alone: {why}");
                part.show().await
            }
        };
        match shown {
            Ok(shown) => drop(cells.insert((part.theme, part.platform), shown)),
            Err(why) => wrong.push(why),
        }
    }
    // At the end, where a log that was cut still has it.
    assert!(
        wrong.is_empty(),
        "neither shown nor impossible:\n{}",
        wrong.join("\n")
    );
    if only.is_empty() {
        compare(&matrix(&cells), environment.contains_key("UPDATE_MATRIX"));
    }
}

fn compare(matrix: &str, update: bool) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/platforms.md");
    if update {
        std::fs::write(&file, matrix).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        written, matrix,
        "docs/platforms.md is not the last run's: set UPDATE_MATRIX=1"
    );
}

/// `cells`: theme and platform → a cell for each of the theme's behaviours, and for each rule of words.
fn matrix(cells: &BTreeMap<(usize, usize), Vec<Done>>) -> String {
    let mut text = String::from(
        "# What each platform does\n\n\
         Generated from the last run of `cargo test --test it -- conformance`, which turns red when this file is not what was seen.\n\
         Each behaviour is shown on the real program: the console by `midwatch try`, Slack and Discord by servers with state and\n\
         rules that stand in for them. *yes* was seen; a number names why the platform can't.\n",
    );
    let mut sources: Vec<&str> = Vec::new();
    let mut table = |text: &mut String, theme: usize, behaviours: &[Behaviour], skipped: usize| {
        writeln!(text, "\n| behaviour | {} |", PLATFORMS.join(" | ")).unwrap();
        writeln!(text, "| --- |{}", " --- |".repeat(PLATFORMS.len())).unwrap();
        for (nth, behaviour) in behaviours.iter().enumerate() {
            let row = (0..PLATFORMS.len()).map(|platform| {
                let cell = &cells[&(theme, platform)][skipped + nth];
                let Err(Cant(source)) = cell else {
                    return "yes".to_owned();
                };
                let known = sources.iter().position(|it| it == source);
                let place = known.unwrap_or_else(|| {
                    sources.push(source);
                    sources.len() - 1
                });
                format!("can't ({})", place + 1)
            });
            let row: Vec<String> = row.collect();
            writeln!(text, "| {} | {} |", behaviour.says, row.join(" | ")).unwrap();
        }
    };
    for (theme, (_, behaviours)) in THEMES.iter().enumerate() {
        table(&mut text, theme, behaviours, 0);
    }
    // Shown at the end of each theme, and nowhere impossible.
    table(&mut text, 0, WORDS, THEMES[0].1.len());
    text.push('\n');
    for (nth, source) in sources.iter().enumerate() {
        writeln!(text, "{}. {source}", nth + 1).unwrap();
    }
    text
}
