//! `history COMMAND`: is this always broken, or did it just happen? One line says it; a line of signs shows it.

use crate::domain::{
    Block, Button, CommandName, EnvironmentName, Field, Health, Message, PastRun, ProjectName,
    Sign, Text, judge,
};

use super::field;

/// The past of one target.
pub struct Past<'a> {
    /// Where; `None` for commands without environments.
    pub environment: Option<&'a EnvironmentName>,
    /// Its last runs, newest first.
    pub runs: &'a [PastRun],
}

/// What the last runs of a command say, environment by environment.
pub fn history(command: &CommandName, project: &ProjectName, pasts: &[Past<'_>]) -> Message {
    let mut message: Option<Message> = None;
    for past in pasts {
        let sentence = sentence(command, project, past);
        message = Some(match message {
            None => Message::new(sentence),
            Some(message) => message.text(sentence),
        });
        if !past.runs.is_empty() {
            message = message.map(|it| it.with(Block::Fields(fields(past.runs))));
        }
    }
    let nothing = || {
        Message::new(Text::new().plain(format!(
            "{project} has no environment, so {command} never ran there"
        )))
    };
    message.unwrap_or_else(nothing).buttons(buttons(pasts))
}

fn buttons(pasts: &[Past<'_>]) -> Vec<Button> {
    let newest = pasts.iter().filter_map(|past| past.runs.first());
    let newest = newest.max_by_key(|run| run.asked_at);
    let last =
        newest.map(|run| Button::plain("The last one", format!("summary {}", run.reference)));
    last.into_iter().collect()
}

fn sentence(command: &CommandName, project: &ProjectName, past: &Past<'_>) -> Text {
    let title = match past.environment {
        Some(environment) => format!("{command} {environment}"),
        None => command.to_string(),
    };
    let health = judge(past.runs);
    let text = Text::from(sign_of(&health)).plain(" ").code(title);
    let text = text.plain(format!(" in {project} "));
    match health {
        Health::NotKnown if past.runs.is_empty() => text.plain("never ran"),
        Health::NotKnown => text.plain("ran, and no run says whether it works"),
        Health::Always {
            worked: true,
            times,
            since,
        } => text
            .plain(format!("works: {} ", all(times, "worked")))
            .time(since),
        Health::Always {
            worked: false,
            times,
            since,
        } => text
            .plain(format!(
                "was always broken, as far as is known: {} ",
                all(times, "failed")
            ))
            .time(since),
        Health::Since {
            works: true,
            times,
            since,
            before,
            last_other,
        } => text
            .plain(format!("works again: {} ", last(times, "worked")))
            .time(since)
            .plain(format!(
                "; before that {} until ",
                in_a_row(before, "failed")
            ))
            .time(last_other),
        Health::Since {
            works: false,
            times: 1,
            since,
            before,
            last_other,
        } => text
            .plain("just broke: it failed ")
            .time(since)
            .plain(format!(
                "; before that {} until ",
                in_a_row(before, "worked")
            ))
            .time(last_other),
        Health::Since {
            works: false,
            times,
            since,
            before,
            last_other,
        } => text
            .plain(format!("is broken: {} ", last(times, "failed")))
            .time(since)
            .plain(format!(
                "; before that {} until ",
                in_a_row(before, "worked")
            ))
            .time(last_other),
        Health::Flapping {
            works,
            changes,
            among,
            since,
        } => {
            let now = if works { "worked" } else { "failed" };
            text.plain(format!(
                "is flapping: its result changed {changes} times in {among} runs since "
            ))
            .time(since)
            .plain(format!("; the last one {now}"))
        }
    }
}

fn sign_of(health: &Health) -> &'static str {
    match health {
        Health::NotKnown => "❔",
        Health::Always { worked: works, .. } | Health::Since { works, .. } => {
            if *works {
                "✅"
            } else {
                "❌"
            }
        }
        Health::Flapping { .. } => "⚠️",
    }
}

fn all(times: usize, word: &str) -> String {
    match times {
        1 => format!("its only run {word}"),
        2 => format!("both runs {word}, since"),
        _ => format!("all of the last {times} {word}, since"),
    }
}

fn last(times: usize, word: &str) -> String {
    match times {
        1 => format!("the last one {word}"),
        _ => format!("the last {times} {word}, since"),
    }
}

fn in_a_row(times: usize, word: &str) -> String {
    match times {
        1 => format!("one {word}"),
        _ => format!("{times} in a row {word}"),
    }
}

/// The signs with their legend, and how many there are of each.
fn fields(runs: &[PastRun]) -> Vec<Field> {
    let signs: String = runs.iter().rev().map(|run| letter(run.sign())).collect();
    let kinds = [
        (Sign::Worked, "worked"),
        (Sign::Failed, "failed"),
        (Sign::NotKnown, "not known"),
        (Sign::NotDone, "not done"),
        (Sign::Open, "not over"),
    ];
    let counted = kinds.iter().filter_map(|(sign, word)| {
        let count = runs.iter().filter(|run| run.sign() == *sign).count();
        (count > 0).then(|| format!("{} {count} {word}", letter(*sign)))
    });
    let counted: Vec<String> = counted.collect();
    vec![
        field("oldest to newest", Text::new().code(signs)),
        field("of these", Text::new().plain(counted.join(" · "))),
    ]
}

fn letter(sign: Sign) -> char {
    match sign {
        Sign::Worked => '✓',
        Sign::Failed => '✗',
        Sign::NotKnown => '?',
        Sign::NotDone => '–',
        Sign::Open => '…',
    }
}

#[cfg(test)]
mod tests;
