//! One list of behaviours for every platform. A platform shows a behaviour, or can't, and then says by which source; anything
//! else is red. `docs/platforms.md` is the matrix of the last run: `UPDATE_MATRIX=1 cargo test --test it -- conformance`.

mod console;
mod discord;
mod list;
mod slack;

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

/// How long anything may take to be seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// People of the shipped runbooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// In the team; on call in turn.
    Ana,
    /// In the team too; not on Discord.
    Cy,
    /// An engineer, who needs consent in prod.
    Bo,
    /// May do nothing here.
    Eve,
    /// Nobody knows them.
    Stranger,
}

/// Why a platform can't, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cant(pub(crate) &'static str);

/// What came of something that a platform may be unable to do.
pub(crate) type Done<T = ()> = Result<T, Cant>;

/// A platform with a running midwatch, as its people use it.
#[async_trait]
pub(crate) trait Stage: Send {
    /// Types a command in the shop's channel, in the way that the platform has for it.
    async fn command(&mut self, who: Who, text: &str) -> Done;
    /// Mentions us in the shop's channel.
    async fn mention(&mut self, who: Who, text: &str) -> Done;
    /// Writes to us alone.
    async fn direct(&mut self, who: Who, text: &str) -> Done;
    /// Mentions us in the thread of the run that was told last.
    async fn in_thread(&mut self, who: Who, text: &str) -> Done;
    /// Writes something else and changes it into a command.
    async fn edited(&mut self, who: Who, text: &str) -> Done;
    /// Another app mentions us.
    async fn by_bot(&mut self, text: &str) -> Done;
    /// The platform delivers one command twenty times.
    async fn twenty_times(&mut self, who: Who, text: &str) -> Done;
    /// Presses a button that everybody sees.
    async fn press(&mut self, who: Who, label: &str) -> Done;
    /// Fills in the form that is open for this person.
    async fn fill(&mut self, who: Who, field: &str, value: &str) -> Done;
    /// What is offered to somebody who has typed this much.
    async fn offered(&mut self, who: Who, typed: &str) -> Done<Vec<String>>;
    /// The platform answers the next calls with "too fast", and cuts what it tells us over.
    async fn bad_weather(&mut self) -> Done;
    /// midwatch is stopped, and started again after this was said to it.
    async fn away_while(&mut self, who: Who, text: &str) -> Done;
    /// Whether who mentioned us last sees in the channel that it was heard: the answer, or a mark.
    async fn is_marked(&mut self) -> Done<bool>;
    /// How often the message of the latest run was edited.
    async fn edits(&mut self) -> Done<usize>;
    /// Whom messages that everybody sees have pinged.
    async fn pinged(&mut self) -> Done<Vec<Who>>;
    /// Whether the lines of runs stand apart from their first messages.
    async fn has_threads(&mut self) -> Done<bool>;
    /// Everything that everybody sees in the shop's channel and its threads, oldest first.
    async fn everybody(&mut self) -> Vec<String>;
    /// What this person alone was told.
    async fn alone(&mut self, who: Who) -> Vec<String>;
    /// Facts of this kind in the ledger.
    async fn facts(&mut self, kind: &str) -> usize;
    /// What the platform has to complain of.
    fn violations(&mut self) -> Vec<String>;
}

/// One behaviour.
pub(crate) struct Behaviour {
    pub(crate) says: &'static str,
    pub(crate) show: for<'a> fn(&'a mut dyn Stage) -> BoxFuture<'a, Done>,
}

/// Waits until everybody sees this.
pub(crate) async fn seen(stage: &mut dyn Stage, says: &str) -> String {
    let began = Instant::now();
    loop {
        let all = stage.everybody().await;
        if let Some(found) = all.iter().rev().find(|it| it.contains(says)) {
            return found.clone();
        }
        assert!(began.elapsed() < PATIENCE, "nobody sees `{says}`: {all:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until this person alone is told this.
pub(crate) async fn told(stage: &mut dyn Stage, who: Who, says: &str) -> String {
    let began = Instant::now();
    loop {
        let all = stage.alone(who).await;
        if let Some(found) = all.iter().rev().find(|it| it.contains(says)) {
            return found.clone();
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{who:?} is not told `{says}`: {all:#?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the message of this run says that it succeeded.
pub(crate) async fn succeeded(stage: &mut dyn Stage, run: &str) {
    let began = Instant::now();
    let of_run = format!("ref {run}");
    loop {
        let all = stage.everybody().await;
        if all
            .iter()
            .any(|it| it.contains(&of_run) && it.contains("succeeded in"))
        {
            return;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{run} does not succeed: {all:#?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the ledger has more facts of this kind than it had.
pub(crate) async fn recorded(stage: &mut dyn Stage, kind: &str, before: usize) {
    let began = Instant::now();
    while stage.facts(kind).await <= before {
        assert!(began.elapsed() < PATIENCE, "nothing more is `{kind}`");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The reference in a message: `ref 7f3k`.
pub(crate) fn reference(message: &str) -> String {
    let (_, after) = message
        .split_once("ref ")
        .expect("a message of a run has its reference");
    after
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect()
}

/// Asks for a run, and answers its reference.
pub(crate) async fn asked(stage: &mut dyn Stage, who: Who, text: &str) -> Done<String> {
    let references = |all: Vec<String>| -> Vec<String> {
        let told = all.into_iter().filter(|it| it.contains("ref "));
        told.map(|it| reference(&it)).collect()
    };
    let before = references(stage.everybody().await);
    stage.command(who, text).await?;
    let began = Instant::now();
    loop {
        let now = references(stage.everybody().await);
        if let Some(new) = now.into_iter().find(|it| !before.contains(it)) {
            return Ok(new);
        }
        assert!(began.elapsed() < PATIENCE, "`{text}` begins no run");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Without marks, as a person reads it aloud.
pub(crate) fn aloud(text: &str) -> String {
    text.replace(['`', '*', '\\'], "")
}

/// Shows all behaviours, one after the other: a cell for each.
async fn show_all(mut stage: Box<dyn Stage>) -> Vec<Done> {
    let (stage, mut cells) = (stage.as_mut(), Vec::new());
    for behaviour in list::LIST {
        cells.push((behaviour.show)(stage).await);
        assert_eq!(
            stage.violations(),
            Vec::<String>::new(),
            "{}",
            behaviour.says
        );
    }
    cells
}

const PLATFORMS: [&str; 5] = [
    "console",
    "Slack, sockets",
    "Slack, HTTP",
    "Discord, gateway",
    "Discord, HTTP",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_platform_behaves_alike_or_says_why_not() {
    use crate::{discord_story, slack_story};
    let stages: [BoxFuture<'static, Box<dyn Stage>>; 5] = [
        Box::pin(async { Box::new(console::begin()) as Box<dyn Stage> }),
        Box::pin(slack::begin(slack_story::Door::Sockets)),
        Box::pin(slack::begin(slack_story::Door::Http)),
        Box::pin(discord::begin(discord_story::Door::Gateway)),
        Box::pin(discord::begin(discord_story::Door::Http)),
    ];
    let mut showing = JoinSet::new();
    for (nth, stage) in stages.into_iter().enumerate() {
        showing.spawn(async move { (nth, show_all(stage.await).await) });
    }
    let mut cells: [Option<Vec<Done>>; 5] = Default::default();
    while let Some(shown) = showing.join_next().await {
        if let Ok((nth, shown)) = shown {
            cells[nth] = Some(shown);
        } // Else it has printed why.
    }
    let silent: Vec<&str> = PLATFORMS
        .iter()
        .zip(&cells)
        .filter(|(_, cells)| cells.is_none())
        .map(|(name, _)| *name)
        .collect();
    assert!(
        silent.is_empty(),
        "something is neither shown nor impossible on {silent:?}"
    );
    let matrix = matrix(&cells.map(Option::unwrap_or_default));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/platforms.md");
    if midwatch::config::environment().contains_key("UPDATE_MATRIX") {
        std::fs::write(&file, &matrix).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        written, matrix,
        "docs/platforms.md is not the last run's: set UPDATE_MATRIX=1"
    );
}

fn matrix(platforms: &[Vec<Done>]) -> String {
    let mut text = String::from(
        "# What each platform does\n\n\
         Generated from the last run of `cargo test --test it -- conformance`, which turns red when this file is not what was seen.\n\
         Each behaviour is shown on the real program: the console by `midwatch try`, Slack and Discord by servers with state and\n\
         rules that stand in for them. *yes* was seen; a number names why the platform can't.\n\n",
    );
    let mut sources: Vec<&str> = Vec::new();
    writeln!(text, "| behaviour | {} |", PLATFORMS.join(" | ")).unwrap();
    writeln!(text, "| --- |{}", " --- |".repeat(PLATFORMS.len())).unwrap();
    for (nth, behaviour) in list::LIST.iter().enumerate() {
        let cells: Vec<String> = platforms
            .iter()
            .map(|cells| match &cells[nth] {
                Ok(()) => "yes".to_owned(),
                Err(Cant(source)) => {
                    let known = sources.iter().position(|it| it == source);
                    let place = known.unwrap_or_else(|| {
                        sources.push(source);
                        sources.len() - 1
                    });
                    format!("can't ({})", place + 1)
                }
            })
            .collect();
        writeln!(text, "| {} | {} |", behaviour.says, cells.join(" | ")).unwrap();
    }
    text.push('\n');
    for (nth, source) in sources.iter().enumerate() {
        writeln!(text, "{}. {source}", nth + 1).unwrap();
    }
    text
}
