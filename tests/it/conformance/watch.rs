//! Waiting until something is seen, told or recorded.

use std::time::{Duration, Instant};

use super::stage::{At, Done, Stage, Who};

/// How long anything may take to be seen.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks: each reads all that was said, and the fakes need their time too.
const AGAIN: Duration = Duration::from_millis(150);
/// How long the ledger is left alone between two looks: each is a process of its own.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Everything that everybody sees in the shop's channels.
pub(crate) async fn everybody(stage: &mut dyn Stage) -> Vec<String> {
    let shown = stage.shown(At::Shop).await;
    shown.expect("every platform shows the shop's channel")
}

/// Waits until one of these messages has all of these words in it, and answers the latest.
async fn found(stage: &mut dyn Stage, at: At, says: &[&str]) -> Done<String> {
    let began = Instant::now();
    loop {
        let all = stage.shown(at).await?;
        let fits = |it: &&String| says.iter().all(|part| it.contains(part));
        if let Some(found) = all.iter().rev().find(fits) {
            return Ok(found.clone());
        }
        let latest = &all[all.len().saturating_sub(6)..];
        assert!(
            began.elapsed() < PATIENCE,
            "nobody sees {says:?}; the latest: {latest:#?}"
        );
        tokio::time::sleep(AGAIN).await;
    }
}

/// Waits until everybody sees a message with all of these words.
pub(crate) async fn seen_whole(stage: &mut dyn Stage, says: &[&str]) -> String {
    let shown = found(stage, At::Shop, says).await;
    shown.expect("every platform shows the shop's channel")
}

/// Waits until everybody sees this.
pub(crate) async fn seen(stage: &mut dyn Stage, says: &str) -> String {
    seen_whole(stage, &[says]).await
}

/// Waits until everybody sees this in the mirror.
pub(crate) async fn mirrored(stage: &mut dyn Stage, says: &str) -> Done<String> {
    found(stage, At::Mirror, &[says]).await
}

/// Waits until the message of this run says this.
pub(crate) async fn of_run(stage: &mut dyn Stage, run: &str, says: &str) -> String {
    let of_run = format!("ref {run}");
    seen_whole(stage, &[&of_run, says]).await
}

/// Waits until the first step of this person's run has begun.
pub(crate) async fn begun(stage: &mut dyn Stage, who: Who, run: &str) {
    if stage.edits().await.is_ok() {
        of_run(stage, run, "is running: step 1").await;
    } else {
        told(stage, who, "1/1 work started").await;
    }
}

/// Waits until the message of this run says that it succeeded.
pub(crate) async fn succeeded(stage: &mut dyn Stage, run: &str) {
    of_run(stage, run, "succeeded in").await;
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
        tokio::time::sleep(AGAIN).await;
    }
}

/// The same, and nobody else sees it where there is anybody else.
pub(crate) async fn told_alone(stage: &mut dyn Stage, who: Who, says: &str) -> String {
    let told = told(stage, who, says).await;
    if stage.outside_threads().await.is_ok() {
        let all = everybody(stage).await;
        assert!(
            all.iter().all(|it| !it.contains(says)),
            "everybody sees `{says}`: {all:#?}"
        );
    }
    told
}

/// Waits until the ledger has more facts of this kind than it had.
pub(crate) async fn recorded(stage: &mut dyn Stage, kind: &str, before: usize) {
    let began = Instant::now();
    while stage.facts(kind).await <= before {
        assert!(began.elapsed() < PATIENCE, "nothing more is `{kind}`");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Asks for a run, and answers its reference.
pub(crate) async fn asked(stage: &mut dyn Stage, who: Who, text: &str) -> Done<String> {
    let references = |all: Vec<String>| -> Vec<String> {
        let told = all.iter().filter(|it| it.contains("· ref "));
        told.map(|it| reference(it)).collect()
    };
    let before = references(everybody(stage).await);
    stage.command(who, text).await?;
    let began = Instant::now();
    loop {
        let now = references(everybody(stage).await);
        if let Some(new) = now.into_iter().find(|it| !before.contains(it)) {
            return Ok(new);
        }
        assert!(began.elapsed() < PATIENCE, "`{text}` begins no run");
        tokio::time::sleep(AGAIN).await;
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

/// Holds a message's first line against what it has to say: what is true now, what to do, and the reference.
pub(crate) fn first_line(message: &str, says: &[&str]) {
    let line = message.lines().next().unwrap_or_default();
    for part in says {
        assert!(
            line.contains(part),
            "the first line alone doesn't say `{part}`: {message}"
        );
    }
}

/// What stands around an output.
pub(crate) const FENCE: &str = "¦";

/// Without marks, as a person reads it aloud.
pub(crate) fn aloud(text: &str) -> String {
    text.replace("```", FENCE).replace(['`', '*', '\\'], "")
}
