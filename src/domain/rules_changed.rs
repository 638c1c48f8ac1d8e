//! What changed in a project's rules between two catalogs: what its people have to know, and not which lines moved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Catalog, FileLine, ProjectName, Rule, render};

/// Changes of one project that are recorded and told; there may be more.
const MOST: usize = 20;

/// A change of a project's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum RuleChange {
    /// A rule is new.
    Added {
        /// In words.
        rule: String,
        /// Where it stands.
        at: FileLine,
    },
    /// A rule is gone.
    Removed {
        /// In words.
        rule: String,
        /// Where it stood.
        at: FileLine,
    },
    /// The same rules stand in another order, and the first that matches counts.
    Reordered,
    /// There was no such project.
    Begun {
        /// How many rules it has.
        rules: usize,
    },
    /// The project is gone, and with it all its rules.
    Ended,
    /// More changes than are told.
    More {
        /// How many.
        changes: usize,
    },
}

/// A rule in words, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSaid {
    /// In words: two that say the same are the same rule.
    pub rule: String,
    /// Where it stands.
    pub at: FileLine,
}

/// Every project's rules in words, in the order in which they count.
pub fn rules_said(catalog: &Catalog) -> BTreeMap<ProjectName, Vec<RuleSaid>> {
    let said = |rule: &Rule| RuleSaid {
        rule: render::rule_in_words(rule),
        at: rule.defined.clone(),
    };
    let projects = catalog.projects.iter();
    projects
        .map(|(name, project)| (name.clone(), project.rules.iter().map(said).collect()))
        .collect()
}

/// Every project whose rules differ, and in what. Of a rule that was changed the old one is gone and the new one is new.
pub fn rules_changed(
    before: &BTreeMap<ProjectName, Vec<RuleSaid>>,
    after: &BTreeMap<ProjectName, Vec<RuleSaid>>,
) -> Vec<(ProjectName, Vec<RuleChange>)> {
    let mut all = Vec::new();
    for (name, rules) in after {
        let changes = match before.get(name) {
            Some(earlier) => between(earlier, rules),
            None => vec![RuleChange::Begun { rules: rules.len() }],
        };
        all.push((name.clone(), changes));
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    all.extend(gone.map(|name| (name.clone(), vec![RuleChange::Ended])));
    all.retain(|(_, changes)| !changes.is_empty());
    all
}

fn between(before: &[RuleSaid], after: &[RuleSaid]) -> Vec<RuleChange> {
    let mut changes = Vec::new();
    for RuleSaid { rule, at } in without(after, before) {
        changes.push(RuleChange::Added { rule, at });
    }
    for RuleSaid { rule, at } in without(before, after) {
        changes.push(RuleChange::Removed { rule, at });
    }
    // Where a rule stands says nothing: a line that is put above it changes no rule.
    let in_order = |said: &[RuleSaid]| said.iter().map(|it| it.rule.clone()).collect::<Vec<_>>();
    if changes.is_empty() && in_order(before) != in_order(after) {
        changes.push(RuleChange::Reordered);
    }
    let more = changes.len().saturating_sub(MOST);
    if more > 0 {
        changes.truncate(MOST);
        changes.push(RuleChange::More { changes: more });
    }
    changes
}

/// Those of the first that the second has not, each as often as it is missing.
fn without(these: &[RuleSaid], those: &[RuleSaid]) -> Vec<RuleSaid> {
    let mut left: Vec<&str> = those.iter().map(|it| it.rule.as_str()).collect();
    let mut missing = Vec::new();
    for said in these {
        match left.iter().position(|rule| *rule == said.rule) {
            Some(found) => drop(left.swap_remove(found)),
            None => missing.push(said.clone()),
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::domain::{Commands, Grant, Project, Who, sample};

    fn rule(command: &str, grant: Grant, line: u32) -> Rule {
        Rule {
            may: Commands::Named(BTreeSet::from([command.parse().unwrap()])),
            environments: None,
            who: vec![Who::Everyone],
            when: None,
            conditions: std::collections::BTreeMap::new(),
            grant,
            defined: FileLine {
                file: "runbooks/shop.yaml".to_owned(),
                line,
            },
        }
    }

    /// What changed, in short.
    fn changed(before: Vec<Rule>, after: Vec<Rule>) -> String {
        let of = |rules: Vec<Rule>| {
            let mut catalog = sample::catalog().clone();
            let shop: ProjectName = "shop".parse().unwrap();
            let mut project = Project::clone(&catalog.projects[&shop]);
            project.rules = rules;
            catalog.projects.insert(shop, Arc::new(project));
            catalog
        };
        let changes = rules_changed(&rules_said(&of(before)), &rules_said(&of(after)));
        let all = changes.iter().map(|(project, changes)| {
            let words = changes.iter().map(|change| match change {
                RuleChange::Added { rule, at } => format!("+ {rule} @{}", at.line),
                RuleChange::Removed { rule, at } => format!("- {rule} @{}", at.line),
                other => format!("{other:?}"),
            });
            format!("{project}: {}", words.collect::<Vec<_>>().join(", "))
        });
        all.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_a_rule_says_counts_and_not_where_it_stands() {
        let allow = || Grant::Allow;
        let never = || Grant::Never("it is shared".to_owned());
        let table = [
            (
                "the same",
                vec![rule("deploy", allow(), 3)],
                vec![rule("deploy", allow(), 9)],
                "",
            ),
            (
                "one more",
                vec![rule("deploy", allow(), 3)],
                vec![rule("deploy", allow(), 3), rule("page", allow(), 4)],
                "shop: + everyone may page @4",
            ),
            (
                "doubled",
                vec![rule("deploy", allow(), 3)],
                vec![rule("deploy", allow(), 3), rule("deploy", allow(), 4)],
                "shop: + everyone may deploy @4",
            ),
            (
                "changed",
                vec![rule("deploy", allow(), 3)],
                vec![rule("deploy", never(), 3)],
                "shop: + everyone may not deploy: it is shared @3, - everyone may deploy @3",
            ),
            (
                "in another order",
                vec![rule("deploy", allow(), 3), rule("deploy", never(), 4)],
                vec![rule("deploy", never(), 3), rule("deploy", allow(), 4)],
                "shop: Reordered",
            ),
        ];
        for (name, before, after, expected) in table {
            assert_eq!(changed(before, after), expected, "{name}");
        }
    }

    #[test]
    fn a_project_that_came_or_went_is_told_and_much_is_cut() {
        let (none, all) = (BTreeMap::new(), rules_said(sample::catalog()));
        let begun = rules_changed(&none, &all);
        assert_eq!(begun.len(), all.len());
        assert_eq!(begun[0].1, [RuleChange::Begun { rules: 0 }]);
        assert_eq!(rules_changed(&all, &none)[0].1, [RuleChange::Ended]);
        let many = (0..30).map(|n| rule(&format!("c{n}"), Grant::Allow, n));
        let told = changed(Vec::new(), many.collect());
        assert!(told.ends_with("More { changes: 10 }"), "{told}");
    }
}
