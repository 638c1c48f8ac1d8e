//! The answer to an invocation that is not run, and every decision in one line.

use super::{append, between, groups, outcome_word, terms_in_words, title, who};
use crate::domain::{
    Button, Decision, Denial, Hold, Invocation, Message, OtherRun, Outcome, PersonId, Route,
    RuleRef, Run, Text, show_duration, show_elapsed,
};
use jiff::Timestamp;

/// The answer to an invocation that is not run.
pub fn not_run(invocation: &Invocation, decision: &Decision, now: Timestamp) -> Message {
    let title = title(invocation);
    match decision {
        Decision::Hold { hold, rule } => held(invocation, hold, rule, now),
        Decision::Deny { denial, rule } => denied(&title, denial, rule.as_ref()),
        Decision::RequireApproval { terms, rule, .. } => Message::new(
            Text::new()
                .plain("⏸ ")
                .code(title)
                .plain(format!(" needs {} · ", terms_in_words(terms)))
                .code(rule.at.to_string()),
        ),
        Decision::Allow { rule, .. } => Message::new(
            Text::new()
                .plain("✅ ")
                .code(title)
                .plain(" is allowed by ")
                .code(rule.at.to_string()),
        ),
    }
}

fn held(invocation: &Invocation, hold: &Hold, rule: &RuleRef, now: Timestamp) -> Message {
    let title = title(invocation);
    let again = invocation.typed_in_full();
    let start = |sign: &str| Text::new().plain(format!("{sign} ")).code(title.clone());
    let message = match hold {
        Hold::Late { by, lost: true } => Message::new(start("⏸").plain(format!(
            " was held: it was sent {} ago, and the database was set back to an older state since: it may have run \
             already; nothing was done again; look for its thread",
            show_elapsed(*by)
        )))
        .text(Text::new().plain("what it shows really happened. did it not run? press the button, or type ").code(format!("/ops {again}")))
        .buttons(vec![Button::primary("Run it now", again)]),
        Hold::Late { by, lost: false } => Message::new(start("⏸").plain(format!(
            " was held: it reached us {} after it was sent; nothing was done; ask again if it is still wanted",
            show_elapsed(*by)
        )))
        .text(Text::new().plain("press the button, or type ").code(format!("/ops {again}")))
        .buttons(vec![Button::primary("Run it now", again)]),
        Hold::Frozen { until, reason, unless, at } => frozen(start("⏸"), *until, reason, unless, at),
        Hold::Locked { lock } => Message::new(start("⏸").plain(format!(
            " was held: {} is locked; nothing was done; ask who locked it, or wait until it ends",
            lock.target.words()
        )))
        .text(super::lock::about(lock, now))
        .buttons(vec![super::lock::unlock(&lock.target)]),
        Hold::Running { other } if other.outcome == Some(Outcome::NeedsAttention) => Message::new(
            start("⏸").plain(format!(" was held: run {} of the same target ended with an unknown outcome; nothing was done; settle that one first", other.reference)),
        )
        .text(Text::new().plain("look at it with ").code(format!("/ops show {}", other.reference)))
        .buttons(vec![Button::plain("Show it", format!("show {}", other.reference))]),
        Hold::Running { other } => Message::new(start("⏸").plain(format!(
            " was held: it is running already, run {}; nothing was started twice; press Join to follow it",
            other.reference
        )))
        .text(about(other, now))
        .text(or_type(Text::new(), &format!("join {}", other.reference)))
        .buttons(vec![
            Button::primary("Join", format!("join {}", other.reference)),
            Button::plain("Show it", format!("show {}", other.reference)),
        ]),
        Hold::JustDone { other, fresh } => Message::new(start("⏸").plain(format!(
            " was held: someone just did it (less than {} ago); nothing was done; use the result of run {}, or say why again",
            show_duration(*fresh),
            other.reference
        )))
        .text(about(other, now))
        .text(
            or_type(Text::new(), &format!("join {}", other.reference))
                .plain("; run it all the same: ")
                .code(format!("/ops {again} --again reason=…")),
        )
        .buttons(vec![
            Button::primary("Use that result", format!("join {}", other.reference)),
            Button::plain("Show that run", format!("show {}", other.reference)),
            Button::danger("Run it again", format!("{again} --again")),
        ]),
    };
    message.text(Text::new().plain("allowed by ").code(rule.at.to_string()))
}

fn frozen(
    start: Text,
    until: Timestamp,
    reason: &str,
    unless: &[crate::domain::Who],
    at: &crate::domain::FileLine,
) -> Message {
    let start = start
        .plain(format!(" was held: changes are frozen ({reason}) until "))
        .time(until)
        .plain("; nothing was done; ask again then");
    let for_whom = if unless.is_empty() {
        "for everybody · ".to_owned()
    } else {
        format!("for everybody but {} · ", groups(unless))
    };
    Message::new(start).text(Text::new().plain(for_whom).code(at.to_string()))
}

fn or_type(text: Text, says: &str) -> Text {
    text.plain("press the button, or type ")
        .code(format!("/ops {says}"))
}

/// What a run was that somebody would have doubled: who, when, why, how it ended, how long it took, where it is told.
fn about(other: &OtherRun, now: Timestamp) -> Text {
    let text = Text::new().plain("run ").code(other.reference.to_string());
    let mut text = append(text.plain(" of "), who(&other.requester));
    text = text.plain(", ").time(other.created_at);
    if let Some(reason) = &other.reason {
        text = text.plain(format!(", because “{reason}”"));
    }
    text = match (other.finished_at, other.outcome) {
        (Some(finished), Some(outcome)) => text.plain(format!(
            ": {} in {}",
            outcome_word(outcome),
            show_elapsed(between(other.created_at, finished))
        )),
        _ => text.plain(format!(
            ": running for {}",
            show_elapsed(between(other.created_at, now))
        )),
    };
    match &other.thread {
        Some(thread) => text.plain("; ").thread(thread),
        None => text,
    }
}

/// What somebody is told who follows a run or takes its result.
pub fn joined(run: &Run, other: &OtherRun, now: Timestamp) -> Message {
    let (sign, words) = if run.outcome().is_some() {
        ("✅", "you use the result of")
    } else {
        ("👀", "you follow")
    };
    let first = Text::new()
        .plain(format!("{sign} {words} run {} of ", run.reference))
        .code(title(&run.invocation))
        .plain("; nothing was started twice; its thread tells all of it");
    let says = format!("show {}", run.reference);
    Message::new(first)
        .text(about(other, now))
        .buttons(vec![Button::plain("Show it", says)])
}

fn denied(title: &str, denial: &Denial, rule: Option<&RuleRef>) -> Message {
    let start = Text::new().plain("⛔ ").code(title);
    let at = |text: Text| match rule {
        Some(rule) => text.plain(" · ").code(rule.at.to_string()),
        None => text,
    };
    match denial {
        Denial::Gone => Message::new(
            start
                .plain(" is not in the catalog any more; nothing was done; see what there is with ")
                .code("/ops list"),
        ),
        Denial::NoRule {
            routes,
            contact,
            on_call,
        } => {
            let start = start.plain(format!(
                " is not yours to run: no rule allows it; nothing was done; next: {contact}"
            ));
            let mut message = Message::new(at(start));
            for route in routes {
                message = message.text(route_in_words(route));
            }
            with_on_call(message, on_call)
        }
        Denial::Never {
            reason,
            contact,
            on_call,
        } => {
            let start = start.plain(format!(
                " is forbidden here: {reason}; nothing was done; next: {contact}"
            ));
            with_on_call(Message::new(at(start)), on_call)
        }
        Denial::BreakGlass { contact, on_call } => {
            let start = start.plain(format!(
                " is allowed to you by break-glass only, and this version can't break glass yet; nothing was done; next: {contact}"
            ));
            with_on_call(Message::new(at(start)), on_call)
        }
    }
}

fn route_in_words(route: &Route) -> Text {
    let mut text = Text::new().plain(format!("who may: {}", groups(&route.who)));
    for (position, person) in route.persons.iter().enumerate() {
        text = text
            .plain(if position == 0 { " (" } else { ", " })
            .person(person);
    }
    if !route.persons.is_empty() {
        text = text.plain(")");
    }
    if let Some(when) = &route.when {
        text = text.plain(format!(", {when} only"));
    }
    if let Some(terms) = &route.approvals {
        text = text.plain(format!(", with {}", terms_in_words(terms)));
    }
    text.plain(" · ").code(route.at.to_string())
}

fn with_on_call(message: Message, on_call: &[PersonId]) -> Message {
    let mut text = Text::new();
    for (position, person) in on_call.iter().enumerate() {
        let between = if position == 0 { "on call now: " } else { ", " };
        text = text.plain(between).person(person);
    }
    if on_call.is_empty() {
        message
    } else {
        message.text(text)
    }
}

/// One line that says how a decision ends; what `examples` in runbooks are compared with.
pub fn decision_in_words(decision: &Decision) -> String {
    match decision {
        Decision::Allow { .. } => "allowed".to_owned(),
        Decision::RequireApproval { terms, .. } => format!("needs {}", terms_in_words(terms)),
        Decision::Hold {
            hold: Hold::Late { .. },
            ..
        } => "held: late".to_owned(),
        Decision::Hold {
            hold: Hold::Frozen { reason, .. },
            ..
        } => format!("held: frozen: {reason}"),
        Decision::Hold {
            hold: Hold::Locked { .. },
            ..
        } => "held: locked".to_owned(),
        Decision::Hold {
            hold: Hold::Running { .. },
            ..
        } => "held: it is running".to_owned(),
        Decision::Hold {
            hold: Hold::JustDone { .. },
            ..
        } => "held: someone just did it".to_owned(),
        Decision::Deny {
            denial: Denial::Gone,
            ..
        } => "denied: not in the catalog".to_owned(),
        Decision::Deny {
            denial: Denial::NoRule { .. },
            ..
        } => "denied".to_owned(),
        Decision::Deny {
            denial: Denial::Never { reason, .. },
            ..
        } => format!("denied: {reason}"),
        Decision::Deny {
            denial: Denial::BreakGlass { .. },
            ..
        } => "denied: by break-glass only".to_owned(),
    }
}
