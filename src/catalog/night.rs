//! Warnings about what is no mistake and hurts at three in the morning.

use std::collections::{BTreeMap, BTreeSet};

use super::command::ReadCommand;
use super::diagnostic::{Diagnostic, counted};
use super::project::ReadProject;
use super::reach::covers;
use crate::domain::{
    ApprovalTerms, Command, CommandName, EnvironmentName, Grant, ParameterKind, People, PersonId,
    ProjectName, Risk, Rule, Who,
};

/// Looks at everything that could be read.
pub(crate) fn warn(
    projects: &BTreeMap<ProjectName, ReadProject>,
    commands: &BTreeMap<CommandName, ReadCommand>,
    people: &People,
    notes: &mut Vec<Diagnostic>,
) {
    for project in projects.values() {
        nobody_answers(project, notes);
        // Without people no rule reaches anybody; that has been said once.
        if !people.persons.is_empty() {
            rules(project, commands, people, notes);
        }
    }
    risky(projects, commands, notes);
}

fn nobody_answers(read: &ReadProject, notes: &mut Vec<Diagnostic>) {
    let project = &read.project;
    let missing = match (project.owner.is_none(), project.escalation.is_empty()) {
        (true, true) => "has no owner and no escalation",
        (true, false) => "has no owner",
        (false, true) => "has no escalation",
        (false, false) => return,
    };
    let message = format!(
        "`{}` {missing}: nobody can be called at night",
        project.name
    );
    let hint = "add `owner: GROUP` and `escalation: [{ at: 0m, call: oncall(ROTATION) }]`";
    notes.push(read.at_name.warning(message).hint(hint));
}

/// What a rule speaks of, written out.
struct Reach<'r> {
    rule: &'r Rule,
    commands: BTreeSet<&'r CommandName>,
    /// `None` stands for commands that take no environment.
    environments: BTreeSet<Option<&'r EnvironmentName>>,
    /// Everybody it may ever mean: of a rotation, all who take turns.
    persons: BTreeSet<&'r PersonId>,
    /// Everybody it always means.
    always: BTreeSet<&'r PersonId>,
    /// Groups of it whose members are not all in the files.
    open: Vec<&'r Who>,
}

fn rules(
    read: &ReadProject,
    commands: &BTreeMap<CommandName, ReadCommand>,
    people: &People,
    notes: &mut Vec<Diagnostic>,
) {
    let reaches: Vec<Reach<'_>> = read
        .project
        .rules
        .iter()
        .map(|rule| reach(rule, read, commands, people))
        .collect();
    for (position, (reach, spot)) in reaches.iter().zip(&read.rules).enumerate() {
        if reach.environments.is_empty() && !reach.commands.is_empty() {
            let (reason, hint) = if reach.rule.environments.is_some() {
                ("its commands take no environment", "remove `in:`")
            } else {
                (
                    "its commands need an environment, and this project has none",
                    "add `environments:`",
                )
            };
            notes.push(
                spot.warning(format!("this rule can never match: {reason}"))
                    .hint(hint),
            );
            continue;
        }
        let cover = reaches[..position]
            .iter()
            .find(|earlier| shadows(earlier, reach));
        if let Some(earlier) = cover {
            let line = earlier.rule.defined.line;
            let message = "this rule can never match: an earlier one covers all of it";
            notes.push(spot.warning(message).hint(format!("the first match wins, and that is line {line}; move this rule above it, or remove one")));
        } else if let Some(lines) = covered_together(&reaches[..position], reach) {
            let message = "this rule can never match: earlier ones together cover all of it";
            notes.push(spot.warning(message).hint(format!("the first match wins, and those are lines {lines}; move this rule above them, or remove it")));
        }
        if let Some((message, hint)) = without_second_factor(reach, read, commands, people) {
            notes.push(spot.warning(message).hint(hint));
        }
        if let Grant::Approval(terms) = &reach.rule.grant
            && let Some((message, hint)) = never_approved(terms, reach, people)
        {
            notes.push(spot.warning(message).hint(hint));
        }
    }
}

fn reach<'r>(
    rule: &'r Rule,
    read: &'r ReadProject,
    commands: &'r BTreeMap<CommandName, ReadCommand>,
    people: &'r People,
) -> Reach<'r> {
    let covered: Vec<&ReadCommand> = commands.values().filter(|one| covers(rule, one)).collect();
    let takes_environment = |read: &&ReadCommand| has_environment(&read.command);
    let mut environments = BTreeSet::new();
    if covered.iter().any(takes_environment) {
        let all = read.project.environments.iter().map(|one| &one.name);
        let named = |name: &&EnvironmentName| match &rule.environments {
            Some(names) => names.contains(*name),
            None => true,
        };
        environments.extend(all.filter(named).map(Some));
    }
    if rule.environments.is_none() && !covered.iter().all(takes_environment) {
        environments.insert(None);
    }
    Reach {
        rule,
        commands: covered.iter().map(|read| &read.command.name).collect(),
        environments,
        persons: rule
            .who
            .iter()
            .flat_map(|who| members(who, people, true))
            .collect(),
        always: rule
            .who
            .iter()
            .flat_map(|who| members(who, people, false))
            .collect(),
        open: rule
            .who
            .iter()
            .filter(|who| matches!(who, Who::Group(group) if people.platform_groups.contains_key(group)))
            .collect(),
    }
}

fn has_environment(command: &Command) -> bool {
    command
        .parameters
        .iter()
        .any(|parameter| matches!(parameter.kind, ParameterKind::Environment))
}

/// The persons meant; of a rotation all who take turns, or those who are meant whoever's turn it is. Of a group that
/// stands for one of a platform anybody may be, and those who are named are for sure.
fn members<'p>(who: &Who, people: &'p People, at_times: bool) -> Vec<&'p PersonId> {
    match who {
        Who::Group(group) if at_times && people.platform_groups.contains_key(group) => {
            people.persons.keys().collect()
        }
        Who::Group(group) => people.groups.get(group).into_iter().flatten().collect(),
        Who::Person(person) => people
            .persons
            .get_key_value(person)
            .map(|(id, _)| id)
            .into_iter()
            .collect(),
        Who::Everyone => people.persons.keys().collect(),
        Who::OnCall(on_call) => {
            let rotation = people.rotations.get(&on_call.rotation);
            let layers = rotation.and_then(|rotation| rotation.levels.get(&on_call.level));
            let layers = layers.into_iter().flatten();
            let persons: BTreeSet<_> = layers.flat_map(|it| it.shifts.persons()).collect();
            let meant = at_times || persons.len() == 1;
            if meant {
                persons.into_iter().collect()
            } else {
                Vec::new()
            }
        }
    }
}

fn shadows(earlier: &Reach<'_>, later: &Reach<'_>) -> bool {
    let unconditional = earlier.rule.when.is_none() && earlier.rule.conditions.is_empty();
    let says_something = !later.persons.is_empty() && !later.commands.is_empty();
    let same_turns = || {
        let covered = |who: &Who| {
            earlier.rule.who.contains(who)
                || (matches!(who, Who::Group(_) | Who::Person(_) | Who::Everyone)
                    && !later.open.contains(&who))
        };
        later.rule.who.iter().all(covered) && {
            let steady = later
                .rule
                .who
                .iter()
                .filter(|who| !matches!(who, Who::OnCall(_)));
            steady.clone().count() == 0 || later.always.is_subset(&earlier.always)
        }
    };
    unconditional
        && says_something
        && later.commands.is_subset(&earlier.commands)
        && later.environments.is_subset(&earlier.environments)
        && (later.persons.is_subset(&earlier.always) || same_turns())
}

/// The lines of earlier rules that leave nothing of this one, when they do so only together.
fn covered_together(earlier: &[Reach<'_>], later: &Reach<'_>) -> Option<String> {
    if later.persons.is_empty() || later.commands.is_empty() || !later.open.is_empty() {
        return None;
    }
    let mut lines: BTreeSet<u32> = BTreeSet::new();
    for command in &later.commands {
        for environment in &later.environments {
            let mut left = later.persons.clone();
            let of_this = earlier.iter().filter(|it| {
                let unconditional = it.rule.when.is_none() && it.rule.conditions.is_empty();
                unconditional
                    && it.commands.contains(command)
                    && it.environments.contains(environment)
            });
            for one in of_this {
                let before = left.len();
                left.retain(|person| !one.always.contains(person));
                if left.len() < before {
                    lines.insert(one.rule.defined.line);
                }
            }
            if !left.is_empty() {
                return None;
            }
        }
    }
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    Some(lines.join(", "))
}

/// Persons who may by this rule, or consent by it, and have no second factor where one is wanted.
fn without_second_factor(
    reach: &Reach<'_>,
    read: &ReadProject,
    commands: &BTreeMap<CommandName, ReadCommand>,
    people: &People,
) -> Option<(String, String)> {
    let wants = |name: &&&CommandName| {
        let command = commands.get(**name);
        command.is_some_and(|it| read.project.wants_code(&it.command))
    };
    let command = reach.commands.iter().find(wants)?;
    let mut persons = reach.persons.clone();
    match &reach.rule.grant {
        Grant::Never(_) => return None,
        Grant::Approval(terms) => {
            let of = terms.quorums().flat_map(|(_, of)| of);
            persons.extend(of.flat_map(|who| members(who, people, true)));
        }
        Grant::Allow | Grant::BreakGlass(_) => {}
    }
    let enrolled = |person: &&PersonId| {
        let person = people.persons.get(*person);
        person.is_some_and(|it| it.second_factor.is_some())
    };
    persons.retain(|person| !enrolled(person));
    let first = persons.first()?;
    let message = format!(
        "`{command}` wants a one-time code here, and {} of this rule can have none, {first} first",
        counted(persons.len(), "person")
    );
    let hint = format!("enrol them with `midwatch factor enrol {first}`, or leave them out");
    Some((message, hint))
}

fn never_approved(
    terms: &ApprovalTerms,
    reach: &Reach<'_>,
    people: &People,
) -> Option<(String, String)> {
    let mut quorums = terms.quorums();
    quorums.find_map(|(needed, of)| never_given(needed, of, reach, people))
}

/// The same of one quorum.
fn never_given(
    needed: usize,
    of: &[Who],
    reach: &Reach<'_>,
    people: &People,
) -> Option<(String, String)> {
    let mut steady: BTreeSet<&PersonId> = BTreeSet::new();
    let mut turns = 0;
    for who in of {
        match who {
            Who::OnCall(_) => turns += usize::from(!members(who, people, true).is_empty()),
            Who::Group(_) | Who::Person(_) | Who::Everyone => {
                steady.extend(members(who, people, true));
            }
        }
    }
    let possible = steady.len() + turns;
    let hint = "ask for fewer approvals, or of more people".to_owned();
    if possible < needed {
        let message = format!(
            "this rule can never be satisfied: it needs {}, and {possible} can be given",
            counted(needed, "approval")
        );
        return Some((message, hint));
    }
    // The requester's own consent never counts.
    let asks_itself = turns == 0 && !reach.persons.is_empty() && reach.persons.is_subset(&steady);
    (asks_itself && possible - 1 < needed).then(|| {
        let message = format!(
            "this rule can never be satisfied: it needs {}, nobody approves their own request, and only {possible} could",
            counted(needed, "approval")
        );
        (message, hint)
    })
}

/// Risky commands that somebody may run, and that don't say how to look and how to go back.
fn risky(
    projects: &BTreeMap<ProjectName, ReadProject>,
    commands: &BTreeMap<CommandName, ReadCommand>,
    notes: &mut Vec<Diagnostic>,
) {
    for read in commands.values() {
        let command = &read.command;
        let missing = match (command.check.is_none(), command.undo.is_none()) {
            (true, true) => "`check` or `undo`",
            (true, false) => "`check`",
            (false, true) => "`undo`",
            (false, false) => continue,
        };
        if command.risk == Risk::Low || command.only_reads() {
            continue;
        }
        let rule = projects
            .values()
            .flat_map(|project| &project.project.rules)
            .find(|rule| {
                covers(rule, read) && !matches!(rule.grant, Grant::Never(_) | Grant::BreakGlass(_))
            });
        if let Some(rule) = rule {
            let message = format!(
                "`{}` has {} risk and no {missing}, and {} allows it",
                command.name, command.risk, rule.defined
            );
            let hint = "`check:` names the command that shows whether it worked, `undo:` says how to go back";
            notes.push(read.at_risk.warning(message).hint(hint));
        }
    }
}
