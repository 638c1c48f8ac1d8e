//! What people read: facts in, messages out. The first line alone says what is true now and what to do.
//!
//! Signs always stand beside words, so that nobody needs colours or pictures to understand.

mod answer;
mod card;
mod decision;
mod handover;
mod history;
mod link;
mod lock;
mod markdown;
mod oncall;
mod orient;
mod page;
mod places;
mod plain;
#[cfg(test)]
pub(crate) mod printed;
mod rules;
mod summary;
mod thread;
mod timeline;

use crate::domain::{ApprovalTerms, Field, Identity, Invocation, Outcome, Text, Who};
pub use answer::{
    help, help_command, list_commands, of_a_newer_version, reviews, runbook, runs, show, why,
};
pub use card::{Card, Latest, card};
pub use decision::{decision_in_words, joined, not_run};
pub use handover::{Handover, handover};
pub use history::{Past, history};
use jiff::Timestamp;
pub use link::{link_asked, link_code, linked, unlinked};
pub use lock::{lock_ended, locked, locks, unlocked};
pub use markdown::markdown;
pub(crate) use oncall::persons;
pub use oncall::{covered, on_call};
pub use orient::{MayHere, Orient, WhoCan, asked_for, orient, who_can};
pub use page::{
    PageShown, call_delayed, call_failed, page_about, page_acknowledged, page_called, page_direct,
    page_escalated, page_state, pages,
};
pub use places::{done_from_elsewhere, in_each_place, posting};
pub use plain::plain;
pub use rules::{rule_in_words, rules_changed};
use std::time::Duration;
pub use summary::summary;
pub use thread::{
    Live, ask_approvers, excerpt, first_line, glass_broken, last_line, line, root, root_that_waits,
};
pub use timeline::{line_has, timeline};

/// `flush-cache prod` with the arguments that are not defaults, as the thread calls a run.
pub fn title(invocation: &Invocation) -> String {
    invocation.phrase()
}

fn who(identity: &Identity) -> Text {
    match identity {
        Identity::Person(person) => Text::new().person(person),
        Identity::Stranger => Text::from("a stranger"),
    }
}

fn field(label: &str, value: Text) -> Field {
    Field {
        label: label.to_owned(),
        value,
    }
}

fn append(mut text: Text, more: Text) -> Text {
    text.0.extend(more.0);
    text
}

fn list(words: &[String], last: &str) -> String {
    match words {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [most @ .., end] => format!("{} {last} {end}", most.join(", ")),
    }
}

fn groups(who: &[Who]) -> String {
    list(
        &who.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "or",
    )
}

/// `1 approval of team-shop`.
pub fn terms_in_words(terms: &ApprovalTerms) -> String {
    let quorums = terms.quorums().map(|(count, of)| {
        let noun = if count == 1 { "approval" } else { "approvals" };
        format!("{count} {noun} of {}", groups(of))
    });
    list(&quorums.collect::<Vec<_>>(), "and")
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Expired => "expired",
        Outcome::NeedsAttention => "needs attention",
    }
}
