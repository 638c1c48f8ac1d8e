//! What has to be true of every message that people saw, whatever it tells.

use regex::Regex;

use super::behaviours;
use crate::conformance::stage::{At, EVERYBODY, Stage};
use crate::conformance::watch::FENCE;

/// Words that are ours alone, what a program says of itself when it breaks, and what blames the reader.
const UNFIT: &str = r#"(?x) panicked | backtrace | stack\ trace | \.rs: | unwrap | Some\( | \bNone\b | Err\( | \bnull\b
    | sqlx | tokio | serde | reqwest | hyper | \b(inbound | outbox | posting | lease | nonce | invocation | permit)s?\b
    | \{" | &lt; | you\ must | your\ fault | illegal | invalid | failed\ to "#;
/// A sign, and the words of which one always stands beside it in the same line.
const SIGNS: &[(&str, &[&str])] = &[
    (
        "✅",
        &[
            "succeeded",
            "allowed",
            "has page",
            "you use the result",
            "was done, and it worked",
        ],
    ),
    ("❌", &["failed"]),
    ("🛑", &["cancel", "stopped"]),
    ("⏸", &["waits for", "was held", "needs"]),
    ("⌛", &["expired"]),
    ("⏳", &["start", "running", "being cancelled", "away"]),
    ("⚠️", &["unknown", "set back", "may be missing"]),
    ("⛔", &["nothing was done"]),
    ("👍", &["approved"]),
    ("👎", &["rejected"]),
    ("✗", &["failed"]),
    ("✓", &["done", "you "]),
    ("🙋", &["please look", "asks for", "answered by"]),
    ("✍️", &["says that", "lets it", "has reviewed"]),
    ("🔗", &["code", "speak"]),
    ("▰", &["/"]),
    ("▱", &["/"]),
];
/// What the first line of a run's message says, whichever state it is in.
const STATES: &[&str] = &[
    "is about to start",
    "is running:",
    "is being cancelled",
    "waits for",
    "succeeded in",
    "failed at",
    "was cancelled",
    "expired:",
    "needs attention",
];

/// Everything that anybody saw, without the outputs of steps, which are not our words.
async fn lines(stage: &mut dyn Stage) -> Vec<String> {
    let mut all = Vec::new();
    for at in [At::Shop, At::Mirror] {
        all.extend(stage.shown(at).await.unwrap_or_default());
    }
    for who in EVERYBODY {
        all.extend(stage.alone(who).await);
    }
    assert!(!all.is_empty(), "nothing was said");
    let mut lines = Vec::new();
    for message in all {
        let mut in_output = false;
        for line in message.lines() {
            if line.starts_with(FENCE) {
                in_output = !in_output;
            } else if !in_output && !line.starts_with("  │ ") && !line.contains("> /ops ") {
                lines.push(line.to_owned());
            }
        }
    }
    lines
}

/// Holds every line against a rule, and names those that break it.
async fn hold(stage: &mut dyn Stage, breaks: impl Fn(&str) -> Option<String>) {
    let mut broken = Vec::new();
    for line in lines(stage).await {
        broken.extend(breaks(&line).map(|why| format!("{why}: {line}")));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

behaviours! {
    "no message has an internal word, a program's complaint or blame in it": stage => {
        let unfit = Regex::new(UNFIT).expect("a pattern");
        hold(stage, |line| unfit.find(line).map(|it| format!("`{}`", it.as_str())))
        .await;
        Ok(())
    }
    "wherever a run's state is told, its reference stands in the same line": stage => {
        hold(stage, |line| {
            let tells = STATES.iter().any(|it| line.contains(it));
            let is_first = SIGNS[..7].iter().any(|(sign, _)| line.starts_with(sign));
            (tells && is_first && !line.contains("· ref ")).then(|| "no reference".to_owned())
        })
        .await;
        Ok(())
    }
    "every moment is told with its zone and how far away it is": stage => {
        let whole = Regex::new(r"\d\d:\d\d(:\d\d)? UTC \((now|in [^)]+|[^)]+ ago|<t:\d+:R>)\)").unwrap();
        let part = Regex::new(r"\d\d:\d\d:\d\d|\d\d:\d\d UTC|<t:\d").unwrap();
        hold(stage, |line| {
            let rest = whole.replace_all(line, "");
            part.is_match(&rest).then(|| "a moment without zone or distance".to_owned())
        })
        .await;
        Ok(())
    }
    "no sign or colour says anything that a word beside it doesn't": stage => {
        hold(stage, |line| {
            let alone = SIGNS.iter().find(|(sign, words)| {
                line.trim_start().starts_with(sign) && !words.iter().any(|word| line.contains(word))
            });
            alone.map(|(sign, _)| format!("{sign} without its word"))
        })
        .await;
        Ok(())
    }
}
