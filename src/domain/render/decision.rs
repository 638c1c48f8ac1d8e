//! The answer to an invocation that is not run, and every decision in one line.

use super::{append, between, groups, outcome_word, terms_in_words, title, who};
use crate::domain::{
    Button, Decision, Denial, FileLine, Hold, Invocation, Message, OtherRun, Outcome, People,
    PersonId, Route, RuleRef, Run, Text, Wakefulness, Who, show_duration, show_elapsed,
};
use jiff::Timestamp;

/// First line, what is said besides, what can be pressed.
pub(super) type Body = (Text, Vec<Text>, Vec<Button>);

/// The answer to an invocation that is not run.
pub fn not_run(invocation: &Invocation, decision: &Decision, now: Timestamp) -> Message {
    let (first, body, buttons) = not_run_body(invocation, decision, now);
    let message = match decision {
        Decision::Hold {
            hold: Hold::Running { other } | Hold::JustDone { other, .. },
            ..
        } => Message::new(first).text(about(other, now)),
        Decision::Deny {
            denial: Denial::NoRule { routes, .. },
            ..
        } => {
            let nobody = People::default();
            let routes = routes
                .iter()
                .map(|route| route_in_words(route, &nobody, now));
            routes.fold(Message::new(first), Message::text)
        }
        _ => Message::new(first),
    };
    body.into_iter()
        .fold(message, Message::text)
        .buttons(buttons)
}

/// The same without what a card tells in a field of its own.
pub(super) fn not_run_body(invocation: &Invocation, decision: &Decision, now: Timestamp) -> Body {
    let title = title(invocation);
    let bare = |first: Text| (first, Vec::new(), Vec::new());
    match decision {
        Decision::Hold { hold, rule } => {
            let (first, mut body, buttons) = held(invocation, hold, now);
            body.push(Text::new().plain("allowed by ").code(rule.at.to_string()));
            (first, body, buttons)
        }
        Decision::Deny { denial, rule } => denied(invocation, denial, rule.as_ref()),
        Decision::RequireApproval { terms, rule, .. } => bare(
            Text::new()
                .plain("⏸ ")
                .code(title)
                .plain(format!(" needs {} · ", terms_in_words(terms)))
                .code(rule.at.to_string()),
        ),
        Decision::Allow { rule, .. } => bare(
            Text::new()
                .plain("✅ ")
                .code(title)
                .plain(" is allowed by ")
                .code(rule.at.to_string()),
        ),
    }
}

fn held(invocation: &Invocation, hold: &Hold, now: Timestamp) -> Body {
    let again = invocation.typed_in_full();
    let start = Text::new().plain("⏸ ").code(title(invocation));
    match hold {
        Hold::Late { by, lost: true } => (
            start.plain(format!(
                " was held: it was sent {} ago, and the database was set back to an older state since: it may have run \
                 already; nothing was done again; look for its thread",
                show_elapsed(*by)
            )),
            vec![
                Text::new()
                    .plain("what it shows really happened. did it not run? press the button, or type ")
                    .code(format!("/ops {again}")),
            ],
            vec![Button::primary("Run it now", again)],
        ),
        Hold::Late { by, lost: false } => (
            start.plain(format!(
                " was held: it reached us {} after it was sent; nothing was done; ask again if it is still wanted",
                show_elapsed(*by)
            )),
            vec![or_type(&again)],
            vec![Button::primary("Run it now", again)],
        ),
        Hold::Frozen {
            until,
            reason,
            unless,
            at,
        } => frozen(start, *until, reason, unless, at),
        Hold::TooMany {
            again_at,
            a_person,
            limit,
        } => {
            let who = if *a_person { "you" } else { "all together" };
            let words = format!(" was held: {limit} changes were begun here within a minute, and {who} may begin no more; nothing was done; try again at ");
            (start.plain(words).time(*again_at), Vec::new(), Vec::new())
        }
        Hold::Locked { lock } => (
            start.plain(format!(
                " was held: {} is locked; nothing was done; ask who locked it, or wait until it ends",
                lock.target.words()
            )),
            vec![super::lock::about(lock, now)],
            vec![super::lock::unlock(&lock.target)],
        ),
        Hold::Running { other } if other.outcome == Some(Outcome::NeedsAttention) => (
            start.plain(format!(
                " was held: run {} of the same target ended with an unknown outcome; nothing was done; settle that one first",
                other.reference
            )),
            vec![
                Text::new()
                    .plain("look at it with ")
                    .code(format!("/ops show {}", other.reference)),
            ],
            vec![Button::plain("Show it", format!("show {}", other.reference))],
        ),
        Hold::Running { other } => (
            start.plain(format!(
                " was held: it is running already, run {}; nothing was started twice; press Join to follow it",
                other.reference
            )),
            vec![or_type(&format!("join {}", other.reference))],
            vec![
                Button::primary("Join", format!("join {}", other.reference)),
                Button::plain("Show it", format!("show {}", other.reference)),
            ],
        ),
        Hold::JustDone { other, fresh } => (
            start.plain(format!(
                " was held: someone just did it (less than {} ago); nothing was done; use the result of run {}, or say why again",
                show_duration(*fresh),
                other.reference
            )),
            vec![
                or_type(&format!("join {}", other.reference))
                    .plain("; run it all the same: ")
                    .code(format!("/ops {again} --again reason=…")),
            ],
            vec![
                Button::primary("Use that result", format!("join {}", other.reference)),
                Button::plain("Show that run", format!("show {}", other.reference)),
                Button::danger("Run it again", format!("{again} --again")),
            ],
        ),
    }
}

fn frozen(start: Text, until: Timestamp, reason: &str, unless: &[Who], at: &FileLine) -> Body {
    let start = start
        .plain(format!(" was held: changes are frozen ({reason}) until "))
        .time(until)
        .plain("; nothing was done; ask again then");
    let for_whom = if unless.is_empty() {
        "for everybody · ".to_owned()
    } else {
        format!("for everybody but {} · ", groups(unless))
    };
    let for_whom = Text::new().plain(for_whom).code(at.to_string());
    (start, vec![for_whom], Vec::new())
}

fn or_type(says: &str) -> Text {
    Text::new()
        .plain("press the button, or type ")
        .code(format!("/ops {says}"))
}

/// What a run was that somebody would have doubled: who, when, why, how it ended, how long it took, where it is told.
pub(super) fn about(other: &OtherRun, now: Timestamp) -> Text {
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

fn denied(invocation: &Invocation, denial: &Denial, rule: Option<&RuleRef>) -> Body {
    let start = Text::new().plain("⛔ ").code(title(invocation));
    let at = |text: Text| match rule {
        Some(rule) => text.plain(" · ").code(rule.at.to_string()),
        None => text,
    };
    match denial {
        Denial::Gone => {
            let start = start.plain(
                " is not in the catalog any more; nothing was done; see what there is with ",
            );
            (start.code("/ops list"), Vec::new(), Vec::new())
        }
        Denial::NoRule {
            routes,
            contact,
            on_call,
        } => {
            let start = start.plain(format!(
                " is not yours to run: no rule allows it; nothing was done; next: {contact}"
            ));
            let somebody = routes.iter().any(|route| !route.persons.is_empty());
            let ask = Button::primary("Ask them", format!("ask {}", invocation.typed_in_full()));
            let buttons = Vec::from_iter(somebody.then_some(ask));
            (at(start), calls(on_call), buttons)
        }
        Denial::Never {
            reason,
            contact,
            on_call,
        } => {
            let start = start.plain(format!(
                " is forbidden here: {reason}; nothing was done; next: {contact}"
            ));
            (at(start), calls(on_call), Vec::new())
        }
        Denial::BreakGlass {
            used_up: Some(a_day),
            contact,
            on_call,
        } => {
            let start = start.plain(format!(
                " was not run: you broke the glass {a_day} times in 24 hours, and may no more; nothing was done; next: {contact}"
            ));
            (at(start), calls(on_call), Vec::new())
        }
        Denial::BreakGlass {
            used_up: None,
            contact,
            on_call,
        } => {
            let start = start.plain(format!(
                " is allowed to you by break-glass only: the owner is called and somebody reviews it; nothing was done; next: {contact}"
            ));
            let says = format!("break-glass {}", invocation.typed_in_full());
            let how = Text::new().plain("to break the glass, press the button, or type ");
            let how = how.code(format!(
                "/ops {says} reason=… phrase=\"{}\"",
                invocation.phrase()
            ));
            let mut body = calls(on_call);
            body.push(how);
            (
                at(start),
                body,
                vec![Button::danger("Break the glass", says)],
            )
        }
    }
}

/// Who would be allowed; of whom is awake is said as far as `people` know.
pub(super) fn route_in_words(route: &Route, people: &People, now: Timestamp) -> Text {
    let mut text = Text::new().plain(format!("who may: {}", groups(&route.who)));
    if people.persons.is_empty() {
        for (position, person) in route.persons.iter().enumerate() {
            text = text
                .plain(if position == 0 { " (" } else { ", " })
                .person(person);
        }
        if !route.persons.is_empty() {
            text = text.plain(")");
        }
    } else if !route.persons.is_empty() {
        text = append(
            text.plain(" ("),
            awake_in_words(people, route.persons.iter(), now),
        );
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

/// `awake now: Ana Ruiz (on call); not at work: Cy Park`: at most five of each, each person once.
pub(super) fn awake_in_words<'p>(
    people: &People,
    persons: impl IntoIterator<Item = &'p PersonId>,
    now: Timestamp,
) -> Text {
    const MOST: usize = 5;
    let mut sorted: Vec<&PersonId> = persons.into_iter().collect();
    sorted.sort();
    sorted.dedup();
    let labels = [
        (Wakefulness::OnCall, "on call: "),
        (Wakefulness::AtWork, "at work now: "),
        (Wakefulness::Unknown, "hours not recorded: "),
        (Wakefulness::Away, "not at work now: "),
    ];
    let mut text = Text::new();
    for (wakefulness, label) in labels {
        let are = sorted
            .iter()
            .filter(|it| people.wakefulness(it, now) == wakefulness);
        for (position, person) in are.take(MOST).enumerate() {
            let between = match (position, text.0.is_empty()) {
                (0, true) => "",
                (0, false) => "; ",
                _ => ", ",
            };
            let label = if position == 0 { label } else { "" };
            text = text.plain(format!("{between}{label}")).person(person);
        }
    }
    if text.0.is_empty() {
        Text::from("nobody")
    } else {
        text
    }
}

fn calls(on_call: &[PersonId]) -> Vec<Text> {
    let mut text = Text::new();
    for (position, person) in on_call.iter().enumerate() {
        let between = if position == 0 { "on call now: " } else { ", " };
        text = text.plain(between).person(person);
    }
    Vec::from_iter((!on_call.is_empty()).then_some(text))
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
            hold: Hold::TooMany { .. },
            ..
        } => "held: too many".to_owned(),
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
