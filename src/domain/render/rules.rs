//! Rules in words, and what changed in them: told where a project is talked about.

use super::{field, groups, terms_in_words};
use crate::domain::{
    Block, Button, CommandName, Commands, Condition, EnvironmentName, Field, Grant, Message,
    ProjectName, Revision, Rule, RuleChange, Text, show_duration,
};

/// A rule as it would be said: `team-shop may flush-cache in prod`. All that it says is in it, for two rules that are said
/// alike count as the same; so all its parts are named here.
pub fn rule_in_words(rule: &Rule) -> String {
    let Rule {
        may,
        who,
        grant,
        environments: _,
        when: _,
        conditions: _,
        defined: _,
    } = rule;
    let who = groups(who);
    let commands = match may {
        Commands::Named(names) => {
            let names: Vec<&str> = names.iter().map(CommandName::as_str).collect();
            names.join(", ")
        }
        Commands::Reads => "look at everything".to_owned(),
        Commands::All => "run everything".to_owned(),
    };
    let (may, more) = match grant {
        Grant::Allow => ("may", String::new()),
        Grant::Approval(terms) => {
            let within = show_duration(terms.within);
            let consent = format!(", with {} within {within}", terms_in_words(terms));
            ("may", consent)
        }
        Grant::BreakGlass(_) => ("may", ", by break-glass only".to_owned()),
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use super::*;
    use crate::domain::{ApprovalTerms, FileLine, GlassTerms, Who};

    fn rule(may: Commands, grant: Grant) -> Rule {
        Rule {
            may,
            environments: None,
            who: vec![
                Who::Group("team-shop".parse().unwrap()),
                Who::Person("kim".parse().unwrap()),
            ],
            when: None,
            conditions: BTreeMap::new(),
            grant,
            defined: FileLine {
                file: "runbooks/shop.yaml".to_owned(),
                line: 3,
            },
        }
    }

    #[test]
    fn every_part_of_a_rule_is_in_its_words() {
        let terms = ApprovalTerms {
            approvals: 2,
            of: vec![Who::Everyone],
            within: Duration::from_secs(900),
            and: Vec::new(),
        };
        let narrow = Rule {
            environments: Some(BTreeSet::from(["prod".parse().unwrap()])),
            conditions: BTreeMap::from([
                (
                    "count".parse().unwrap(),
                    Condition::Between { min: 1, max: 3 },
                ),
                (
                    "host".parse().unwrap(),
                    Condition::OneOf(vec!["web1".into(), "web2".into()]),
                ),
            ]),
            ..rule(Commands::All, Grant::Approval(terms))
        };
        for (rule, words) in [
            (
                rule(Commands::Reads, Grant::Allow),
                "team-shop or kim may look at everything",
            ),
            (
                rule(
                    Commands::All,
                    Grant::BreakGlass(GlassTerms {
                        pages: vec![Who::Everyone],
                        a_day: 3,
                    }),
                ),
                "team-shop or kim may run everything, by break-glass only",
            ),
            (
                rule(Commands::All, Grant::Never("it is shared".to_owned())),
                "team-shop or kim may not run everything: it is shared",
            ),
            (
                narrow,
                "team-shop or kim may run everything in prod with count from 1 to 3 with host web1 or web2, with 2 approvals of everyone within 15m",
            ),
        ] {
            assert_eq!(rule_in_words(&rule), words);
        }
    }
}
