//! A runbook file: from what it says to a checked project.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::at::{At, Spot};
use super::command::ReadCommand;
use super::diagnostic::{Diagnostic, did_you_mean};
use super::people::Names;
use super::{freeze, mirror, parameter, raw, rule, variables, window};
use crate::domain::{
    Command, CommandName, Environment, EnvironmentName, Escalation, FileLine, GroupName, Limits,
    PersonId, Project, ProjectName, Who, usual_means,
};

/// What a runbook may refer to.
pub(crate) struct Known<'k> {
    /// People, groups, rotations.
    pub(crate) people: &'k Names,
    /// Every command's name, those of broken files too: one mistake must not cause others.
    pub(crate) command_names: &'k BTreeSet<String>,
    /// The commands that could be read.
    pub(crate) commands: &'k BTreeMap<CommandName, ReadCommand>,
    /// For `${VAR_NAME}`.
    pub(crate) variables: &'k BTreeMap<String, String>,
}

impl<'k> Known<'k> {
    /// The commands that could be read.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &'k Command> {
        self.commands.values().map(|read| &*read.command)
    }
}

/// What a runbook's rules should decide.
#[derive(Debug, Clone)]
pub struct Example {
    /// The runbook it stands in.
    pub project: ProjectName,
    /// Who asks.
    pub who: PersonId,
    /// What they type.
    pub says: String,
    /// When.
    pub at: Timestamp,
    /// In which channel; `None` means one of the project's own.
    pub in_channel: Option<String>,
    /// How the decision's one-line text begins.
    pub then: String,
    /// Where it stands.
    pub defined: FileLine,
    pub(crate) spot: Spot,
}

/// A project with what the checks between files need to know.
#[derive(Debug)]
pub(crate) struct ReadProject {
    /// The project, without its prose.
    pub(crate) project: Project,
    /// Its channels, and where each stands.
    pub(crate) channels: Vec<(String, Spot)>,
    /// Where each rule stands.
    pub(crate) rules: Vec<Spot>,
    /// Where each environment stands.
    pub(crate) environments: BTreeMap<EnvironmentName, Spot>,
    /// Where its name stands.
    pub(crate) at_name: Spot,
    /// Its examples.
    pub(crate) examples: Vec<Example>,
}

/// Makes a project of what its file says. `None` when there was a mistake; it is among the notes then.
pub(crate) fn read(
    raw: &raw::Runbook,
    at: At<'_>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<ReadProject> {
    let notes_before = notes.len();
    if let Some(owner) = &raw.owner {
        check_owner(owner, at.get("owner"), known.people, notes);
    }
    let environments = environments(raw, at.get("environments"), known, notes);
    let (rules, otherwise) = rule::read_all(raw, at, known, notes);
    let freezes = freeze::read_all(raw, at.get("freezes"), known, notes);
    let escalation = escalation(&raw.escalation, at.get("escalation"), known, notes);
    let examples = examples(raw, at.get("examples"), known, notes);
    let channels = channels(raw, at.get("channels"), notes);
    let mirrors = mirror::read_all(&raw.mirrors, at.get("mirrors"), &channels, notes);
    if notes[notes_before..].iter().any(Diagnostic::is_error) {
        return None;
    }
    let (rules, at_rules): (Vec<_>, Vec<At<'_>>) = rules.into_iter().unzip();
    let spots = environments
        .iter()
        .map(|one| {
            (
                one.name.clone(),
                at.get("environments").key(one.name.as_str()).spot(),
            )
        })
        .collect();
    Some(ReadProject {
        project: Project {
            name: raw.project.clone(),
            about: raw.about.0.trim().to_owned(),
            owner: raw.owner.clone(),
            environments,
            rules,
            limits: raw
                .limits
                .as_ref()
                .map_or_else(Limits::default, |limits| Limits {
                    a_person: limits.a_person,
                    all: limits.all,
                }),
            second_factor: raw.second_factor,
            freezes,
            otherwise: otherwise?,
            escalation,
            mirrors,
            procedures: Vec::new(),
            fingerprint: at.fingerprint(),
            defined: at.key("project").file_line(),
        },
        channels,
        rules: at_rules.into_iter().map(|at| at.head().spot()).collect(),
        environments: spots,
        at_name: at.get("project").spot(),
        examples,
    })
}

fn check_owner(owner: &GroupName, at: At<'_>, people: &Names, notes: &mut Vec<Diagnostic>) {
    if people.complete && !people.groups.contains(owner.as_str()) {
        let near = did_you_mean(owner.as_str(), people.groups.iter().map(String::as_str));
        let hint = near.unwrap_or_else(|| "groups are listed in people.yaml".to_owned());
        notes.push(
            at.error(format!("group `{owner}` is not defined"))
                .hint(hint),
        );
    }
}

fn environments(
    raw: &raw::Runbook,
    at: At<'_>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Vec<Environment> {
    let mut environments = Vec::new();
    // Serde's map is sorted; the tree remembers the order.
    let in_order = at
        .keys()
        .filter_map(|key| raw.environments.get_key_value(key));
    for (name, keys) in in_order {
        let at = at.get(name.as_str());
        let mut attributes = BTreeMap::new();
        for (key, values) in keys {
            if key.is_empty() || key.contains(['.', '{', '}', ' ']) {
                let message = format!("`{key}` can't be named in `{{environment.KEY}}`");
                notes.push(
                    at.key(key)
                        .error(message)
                        .hint("use letters, digits, `-` and `_`"),
                );
            }
            let values = values.0.iter().zip(at.get(key).items());
            let filled = values
                .map(|(value, at)| variables::fill(&value.0, known.variables, at, notes))
                .collect();
            attributes.insert(key.clone(), filled);
        }
        environments.push(Environment {
            name: name.clone(),
            attributes,
        });
    }
    environments
}

fn channels(raw: &raw::Runbook, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Vec<(String, Spot)> {
    let mut channels: Vec<(String, Spot)> = Vec::new();
    for (raw::Text(channel), at) in raw.channels.iter().zip(at.items()) {
        let strange = channel.is_empty() || channel.contains(['#', '<', '>', ' ']);
        if strange {
            let message = format!("`{channel}` is not a channel's id");
            notes.push(
                at.error(message)
                    .hint("copy the id from the channel's details, such as C0SHOP"),
            );
        } else if channels.iter().any(|(other, _)| other == channel) {
            let message = format!("channel `{channel}` stands here twice");
            notes.push(at.error(message).hint("remove one of them"));
        }
        channels.push((channel.clone(), at.spot()));
    }
    channels
}

fn escalation(
    raw: &[raw::Escalation],
    at: At<'_>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Vec<Escalation> {
    let mut levels = Vec::new();
    for (level, at) in raw.iter().zip(at.items()) {
        let after = parameter::span(&level.at.0, at.get("at"), notes);
        let call = known.people.who(&level.call.0, at.get("call"), notes);
        levels.extend(after.zip(call).map(|(at, call)| Escalation {
            at,
            call,
            say_so: level.say_so,
            by: match &level.by {
                Some(by) => by.0.iter().copied().collect(),
                None => usual_means(),
            },
        }));
    }
    levels.sort_by_key(|level| level.at);
    levels
}

fn examples(
    raw: &raw::Runbook,
    at: At<'_>,
    known: &Known<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Vec<Example> {
    let mut examples = Vec::new();
    for (example, at) in raw.examples.iter().zip(at.items()) {
        let person = format!("@{}", example.who.0.trim_start_matches('@'));
        let who = known.people.who(&person, at.get("who"), notes);
        let moment = match &example.at {
            Some(text) => window::moment(&text.0, at.get("at"), notes),
            None => Some(window::usual_moment()),
        };
        let (Some(Who::Person(who)), Some(moment)) = (who, moment) else {
            continue;
        };
        examples.push(Example {
            project: raw.project.clone(),
            who,
            says: example.says.0.trim_start_matches("/ops ").trim().to_owned(),
            at: moment,
            in_channel: example.in_channel.as_ref().map(|channel| channel.0.clone()),
            then: example.then.0.trim().to_owned(),
            defined: at.get("then").file_line(),
            spot: at.get("then").spot(),
        });
    }
    examples
}
