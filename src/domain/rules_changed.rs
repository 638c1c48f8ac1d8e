//! What changed in a project's rules between two catalogs: what its people have to know, and not which lines moved.

use serde::{Deserialize, Serialize};

use super::{Catalog, FileLine, Project, ProjectName, Rule, render};

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

/// Every project whose rules differ, and in what. Of a rule that was changed the old one is gone and the new one is new.
pub fn rules_changed(before: &Catalog, after: &Catalog) -> Vec<(ProjectName, Vec<RuleChange>)> {
    let mut all = Vec::new();
    for (name, project) in &after.projects {
        let changes = match before.projects.get(name) {
            Some(earlier) => between(earlier, project),
            None => vec![RuleChange::Begun {
                rules: project.rules.len(),
            }],
        };
        all.push((name.clone(), changes));
    }
    let gone = before.projects.keys();
    let gone = gone.filter(|name| !after.projects.contains_key(*name));
    all.extend(gone.map(|name| (name.clone(), vec![RuleChange::Ended])));
    all.retain(|(_, changes)| !changes.is_empty());
    all
}

fn between(before: &Project, after: &Project) -> Vec<RuleChange> {
    let (old, new) = (says_all(before), says_all(after));
    let mut changes = Vec::new();
    for (rule, says) in without(&new, &old) {
        changes.push(RuleChange::Added {
            rule: says,
            at: rule.defined.clone(),
        });
    }
    for (rule, says) in without(&old, &new) {
        changes.push(RuleChange::Removed {
            rule: says,
            at: rule.defined.clone(),
        });
    }
    let in_order = |says: &[Said<'_>]| says.iter().map(|it| it.exact.clone()).collect::<Vec<_>>();
    if changes.is_empty() && in_order(&old) != in_order(&new) {
        changes.push(RuleChange::Reordered);
    }
    let more = changes.len().saturating_sub(MOST);
    if more > 0 {
        changes.truncate(MOST);
        changes.push(RuleChange::More { changes: more });
    }
    changes
}

/// A rule with all that it says.
struct Said<'r> {
    rule: &'r Rule,
    exact: String,
}

/// Where a rule stands says nothing: a line that is put above it changes no rule.
fn says_all(project: &Project) -> Vec<Said<'_>> {
    let said = project.rules.iter().map(|rule| {
        let somewhere = FileLine {
            file: String::new(),
            line: 0,
        };
        let placeless = Rule {
            defined: somewhere,
            ..rule.clone()
        };
        // All of it, also what a later version adds: a change that nobody is told of is worse than a clumsy comparison.
        Said {
            rule,
            exact: format!("{placeless:?}"),
        }
    });
    said.collect()
}

/// Those of the first that the second has not, each as often as it is missing.
fn without<'r>(these: &[Said<'r>], those: &[Said<'_>]) -> Vec<(&'r Rule, String)> {
    let mut left: Vec<&str> = those.iter().map(|it| it.exact.as_str()).collect();
    let mut missing = Vec::new();
    for said in these {
        match left.iter().position(|exact| *exact == said.exact) {
            Some(found) => drop(left.swap_remove(found)),
            None => missing.push((said.rule, render::rule_in_words(said.rule))),
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::domain::{Commands, Grant, Who, sample};

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
        let changes = rules_changed(&of(before), &of(after));
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
        let (none, all) = (Catalog::default(), sample::catalog());
        let begun = rules_changed(&none, all);
        assert_eq!(begun.len(), all.projects.len());
        assert_eq!(begun[0].1, [RuleChange::Begun { rules: 0 }]);
        assert_eq!(rules_changed(all, &none)[0].1, [RuleChange::Ended]);
        let many = (0..30).map(|n| rule(&format!("c{n}"), Grant::Allow, n));
        let told = changed(Vec::new(), many.collect());
        assert!(told.ends_with("More { changes: 10 }"), "{told}");
    }
}
