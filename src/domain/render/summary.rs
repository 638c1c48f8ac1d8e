//! `summary REF`: a run for people who do not read logs. Whole sentences, no output, no exit codes.

use std::time::Duration;

use super::{append, field, groups, terms_in_words, who};
use crate::domain::{
    Block, Button, Identity, Message, PersonId, Standing, StepName, Summary, Text, show_elapsed,
};

/// The summary of a run. Its first line alone says how it ended.
pub fn summary(summary: &Summary) -> Message {
    let message = Message::new(first_sentence(summary)).with(Block::Fields(vec![
        field("who", who_asked(summary)),
        field("what", what(summary)),
        field("when", when(summary)),
        field("why", why(summary)),
        field("allowed by", allowed_by(summary)),
        field("outcome", outcome(summary)),
        field("waiting", waiting(summary)),
    ]));
    message.buttons(vec![Button::plain(
        "Every detail",
        format!("show {}", summary.reference),
    )])
}

fn first_sentence(summary: &Summary) -> Text {
    let (sign, ending) = match &summary.standing {
        Standing::Waits { .. } => ("⏸", " waits for consent; nothing was done yet"),
        Standing::AboutToStart => ("⏳", " is about to start"),
        Standing::Runs => ("⏳", " is being done right now"),
        Standing::Succeeded => ("✅", " was done, and it worked"),
        Standing::Failed { .. } => ("❌", " did not work"),
        Standing::Rejected { .. } => ("🛑", " was refused; nothing was done"),
        Standing::Cancelled { .. } if summary.began_at.is_none() => {
            ("🛑", " was stopped before it began; nothing was done")
        }
        Standing::Cancelled { .. } => ("🛑", " was stopped midway"),
        Standing::Expired => ("⌛", " was not done: nobody consented in time"),
        Standing::NotStarted => ("⌛", " was not done: it could not be started in time"),
        Standing::NeedsAttention { .. } => (
            "⚠️",
            " may or may not have been done; somebody has to look and say which",
        ),
    };
    let text = Text::from(sign)
        .plain(" ")
        .code(summary.title.clone())
        .plain(format!(" in {}, asked for by ", summary.project));
    append(text, who(&summary.asked_by)).plain(format!(",{ending}"))
}

fn who_asked(summary: &Summary) -> Text {
    let text = who(&summary.asked_by).plain(" asked for it");
    let mut consents = summary.consents.iter().map(|consent| &consent.by);
    let Some(first) = consents.next() else {
        return text;
    };
    let others: Vec<&PersonId> = consents.collect();
    let text = text.plain("; ").person(first);
    let last = others.len().saturating_sub(1);
    let text = others.iter().enumerate().fold(text, |text, (n, person)| {
        text.plain(if n == last { " and " } else { ", " })
            .person(person)
    });
    text.plain(" consented")
}

fn what(summary: &Summary) -> Text {
    let text = Text::new().code(summary.command.clone());
    match &summary.does {
        Some(does) => text.plain(format!(" — {does}")),
        None => text.plain(" — this command does not exist any more"),
    }
}

fn when(summary: &Summary) -> Text {
    let text = Text::from("asked ").time(summary.asked_at);
    let text = match summary.began_at {
        Some(at) => text.plain(", began ").time(at),
        None if summary.ended_at.is_some() => text.plain(", never began"),
        None => return text.plain("; it has not begun"),
    };
    match summary.ended_at {
        Some(at) => text.plain(", ended ").time(at),
        None => text.plain("; it has not ended"),
    }
}

fn why(summary: &Summary) -> Text {
    match &summary.reason {
        Some(reason) => Text::new().plain(format!("“{reason}”")),
        None => {
            let nobody = Text::from("no reason was given");
            match summary.asked_by {
                Identity::Person(_) => append(nobody.plain("; ask "), who(&summary.asked_by)),
                Identity::Stranger => nobody,
            }
        }
    }
}

fn allowed_by(summary: &Summary) -> Text {
    let text = Text::from("the rule in ").code(summary.rule.at.to_string());
    match &summary.needs {
        Some(terms) => text.plain(format!(", which wants {}", terms_in_words(terms))),
        None => text.plain(", which wants nobody's consent"),
    }
}

fn outcome(summary: &Summary) -> Text {
    let steps = steps(summary);
    let at = |step: &Option<StepName>| {
        step.as_ref()
            .map_or_else(|| "at the start".to_owned(), |step| format!("at “{step}”"))
    };
    match &summary.standing {
        Standing::Waits { missing, of, until } => {
            let noun = if *missing == 1 {
                "approval"
            } else {
                "approvals"
            };
            Text::from("open: ")
                .plain(format!(
                    "{missing} {noun} of {} missing; it ends by itself ",
                    groups(of)
                ))
                .time(*until)
        }
        Standing::AboutToStart => Text::from("open: nothing was done yet"),
        Standing::Runs => Text::from("open: ").plain(steps),
        Standing::Succeeded => Text::from("it worked: ").plain(steps),
        Standing::Failed { step } => {
            let done = match summary.steps.done {
                0 => "nothing was done before it".to_owned(),
                _ => format!("{steps}, and stays done"),
            };
            Text::from("it stopped ").plain(format!("{}; {done}", at(step)))
        }
        Standing::Rejected { by, because } => {
            let text = Text::new().person(by).plain(" said no");
            if because.is_empty() {
                text
            } else {
                text.plain(format!(": “{because}”"))
            }
        }
        Standing::Cancelled { by } => {
            let text = match by {
                Some(by) => Text::new().person(by).plain(" stopped it"),
                None => Text::from("it was stopped"),
            };
            text.plain(format!(": {steps}"))
        }
        Standing::Expired => Text::from("nothing was done; ask again if it is still wanted"),
        Standing::NotStarted => Text::from(
            "nothing was done: midwatch was busy or away; ask again if it is still wanted",
        ),
        Standing::NeedsAttention { step } => {
            let step = step.as_ref().map_or("its step", StepName::as_str);
            let before = match summary.steps.done {
                0 => "nothing was done before it".to_owned(),
                1 => "one step before it was done".to_owned(),
                done => format!("{done} steps before it were done"),
            };
            Text::from("not known: ").plain(format!(
                "whether “{step}” happened has to be looked up; {before}"
            ))
        }
    }
}

fn steps(summary: &Summary) -> String {
    match (summary.steps.done, summary.steps.total) {
        (0, _) => "nothing was done".to_owned(),
        (1, 1) => "its only step was done".to_owned(),
        (done, total) if done == total => format!("all {total} steps were done"),
        (1, total) => format!("1 of {total} steps was done"),
        (done, total) => format!("{done} of {total} steps were done"),
    }
}

fn waiting(summary: &Summary) -> Text {
    let spans = &summary.spans;
    let parts = [
        (spans.waited_for_consent_ms, "for consent"),
        (spans.waited_to_begin_ms, "to begin"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter_map(|(ms, what)| Some(format!("{} {what}", elapsed(ms?))))
        .collect();
    let waited = if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(", ")
    };
    let worked = spans.worked_ms.map_or_else(
        || "no work was begun".to_owned(),
        |ms| format!("then {} of work", elapsed(ms)),
    );
    Text::new().plain(format!("{waited}; {worked}"))
}

fn elapsed(ms: u64) -> String {
    show_elapsed(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests;
