//! Rules in words, and what changed in them: told where a project is talked about.

use super::{field, groups, terms_in_words};
use crate::domain::{
    Block, Button, CommandName, Commands, Condition, EnvironmentName, Field, Grant, Message,
    ProjectName, Revision, Rule, RuleChange, Text,
};

/// A rule as it would be said: `team-shop may flush-cache in prod`.
pub fn rule_in_words(rule: &Rule) -> String {
    let who = groups(&rule.who);
    let commands = match &rule.may {
        Commands::Named(names) => {
            let names: Vec<&str> = names.iter().map(CommandName::as_str).collect();
            names.join(", ")
        }
        Commands::Reads => "look at everything".to_owned(),
        Commands::All => "run everything".to_owned(),
    };
    let (may, more) = match &rule.grant {
        Grant::Allow => ("may", String::new()),
        Grant::Approval(terms) => ("may", format!(", with {}", terms_in_words(terms))),
        Grant::BreakGlass => ("may", ", by break-glass only".to_owned()),
        Grant::Never(reason) => ("may not", format!(": {reason}")),
    };
    format!("{who} {may} {commands}{}{more}", narrowed(rule))
}

/// Where, with which arguments, and when.
fn narrowed(rule: &Rule) -> String {
    let mut words = String::new();
    if let Some(environments) = &rule.environments {
        let names: Vec<&str> = environments.iter().map(EnvironmentName::as_str).collect();
        words.push_str(&format!(" in {}", names.join(", ")));
    }
    for (name, condition) in &rule.conditions {
        let is = match condition {
            Condition::OneOf(values) => values.join(" or "),
            Condition::Matches(pattern) => format!("like {}", pattern.as_str()),
            Condition::Between { min, max } => format!("from {min} to {max}"),
        };
        words.push_str(&format!(" with {name} {is}"));
    }
    if let Some(window) = &rule.when {
        words.push_str(&format!(" during {}", window.text));
    }
    words
}

/// To the project's channel: its rules are others from now on.
pub fn rules_changed(
    project: &ProjectName,
    revision: &Revision,
    changes: &[RuleChange],
) -> Message {
    let fields: Vec<Field> = changes.iter().map(change_field).collect();
    Message::new(
        Text::from("📜 the rules of ")
            .code(project.as_str())
            .plain(format!(
                " have changed and count from now on, revision {revision}; who wrote that is in its timeline"
            )),
    )
    .with(Block::Fields(fields))
    .buttons(vec![Button::plain("Timeline", format!("timeline {project}"))])
}

/// The same in a few words.
pub(super) fn changes_in_words(changes: &[RuleChange]) -> String {
    let words = changes.iter().map(|change| {
        let (label, words) = change_in_words(change);
        match change {
            RuleChange::Added { .. } | RuleChange::Removed { .. } => format!("{label}: {words}"),
            _ => words,
        }
    });
    words.collect::<Vec<_>>().join("; ")
}

fn change_field(change: &RuleChange) -> Field {
    let (label, words) = change_in_words(change);
    let text = Text::new().plain(words);
    let text = match change {
        RuleChange::Added { at, .. } | RuleChange::Removed { at, .. } => {
            text.plain(" · ").code(at.to_string())
        }
        _ => text,
    };
    field(label, text)
}

fn change_in_words(change: &RuleChange) -> (&'static str, String) {
    match change {
        RuleChange::Added { rule, .. } => ("new", rule.clone()),
        RuleChange::Removed { rule, .. } => ("gone", rule.clone()),
        RuleChange::Reordered => (
            "order",
            "the same rules in another order; the first that matches counts".to_owned(),
        ),
        RuleChange::Begun { rules } => ("new", format!("the project itself, with {rules} rules")),
        RuleChange::Ended => (
            "gone",
            "the project itself: nothing may be run in it any more".to_owned(),
        ),
        RuleChange::More { changes } => {
            ("more", format!("{changes} changes that are not shown here"))
        }
    }
}
