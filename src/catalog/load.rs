//! From the two folders to one snapshot: reads every file, gathers every mistake, leaves out what is broken.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::at::{At, Spot};
use super::command::{self, ReadCommand};
use super::diagnostic::{Diagnostic, Severity, SourceFile};
use super::files::{self, Folder, read_folder, stem};
use super::people::{self, Names, ReadPeople};
use super::project::{self, Example, Known, ReadProject};
use super::shape::Shape;
use super::tree::{self, Node, Tree};
use super::{night, prose, raw, reach};
use crate::domain::{Catalog, CommandName, OnCall, ProjectName};

/// Where the users' files are.
#[derive(Debug, Clone)]
pub struct Folders {
    /// One file for each command.
    pub commands: PathBuf,
    /// One file for each project, its prose, and `people.yaml`.
    pub runbooks: PathBuf,
}

/// What the files gave.
#[derive(Debug)]
pub struct Loaded {
    /// Everything that could be read. What has a mistake is left out: silence means no.
    pub catalog: Catalog,
    /// Every mistake and warning, in order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// The runbooks' examples, for [`super::check`].
    pub examples: Vec<Example>,
    pub(crate) commands_in_prose: Vec<(ProjectName, String, Spot)>,
    pub(crate) levels: Vec<(OnCall, Spot)>,
}

impl Loaded {
    /// Whether there is an error among the diagnostics.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads all files. Never fails: what can't be used is left out, and a diagnostic says so.
///
/// `variables` fill `${VAR_NAME}` in environments; only names that begin with `VAR_` are ever used.
pub fn load(folders: &Folders, variables: &BTreeMap<String, String>) -> Loaded {
    let mut notes = Vec::new();
    let commands_folder = read_folder(&folders.commands, &mut notes);
    let runbooks_folder = read_folder(&folders.runbooks, &mut notes);
    let (commands, command_names) = read_commands(&commands_folder, &mut notes);
    let (ReadPeople { people, levels }, names) = read_people(&runbooks_folder, &mut notes);
    let known = Known {
        people: &names,
        command_names: &command_names,
        commands: &commands,
        variables,
    };
    let mut projects = read_projects(&runbooks_folder, &known, &mut notes);
    reach::drop_unfit(&mut projects, &commands, &mut notes);
    let commands_in_prose = add_prose(&mut projects, &runbooks_folder, &mut notes);
    night::warn(&projects, &commands, &people, &mut notes);
    notes.sort_by(|one, other| {
        (&one.file, one.line, one.column).cmp(&(&other.file, other.line, other.column))
    });
    let all_files = [&commands_folder, &runbooks_folder];
    let all_files = all_files.into_iter().flat_map(|folder| {
        let written = folder.yaml.iter().chain(&folder.prose);
        written.chain(&folder.calendars)
    });
    let ours = variables
        .iter()
        .filter(|(name, _)| name.starts_with(super::variables::PREFIX));
    let revision = files::revision(all_files, ours);
    let broken = command_names
        .iter()
        .filter(|name| !commands.contains_key(name.as_str()))
        .cloned()
        .collect();
    let examples = projects
        .values_mut()
        .flat_map(|read| std::mem::take(&mut read.examples))
        .collect();
    // At a terminal each project has a channel of its own name, unless a runbook gives that channel to another.
    let mut channels: HashMap<String, ProjectName> = projects
        .keys()
        .map(|name| (name.to_string(), name.clone()))
        .collect();
    for (name, read) in &projects {
        let named = read.channels.iter();
        channels.extend(named.map(|(channel, _)| (channel.clone(), name.clone())));
    }
    Loaded {
        catalog: Catalog {
            broken,
            revision,
            commands: commands
                .into_iter()
                .map(|(name, read)| (name, read.command))
                .collect(),
            projects: projects
                .into_iter()
                .map(|(name, read)| (name, Arc::new(read.project)))
                .collect(),
            channels,
            people,
        },
        diagnostics: notes,
        examples,
        commands_in_prose,
        levels,
    }
}

type Parsed<'f> = Vec<(&'f Arc<SourceFile>, Node)>;

fn parse_all<'f>(
    files: impl Iterator<Item = &'f Arc<SourceFile>>,
    notes: &mut Vec<Diagnostic>,
) -> Parsed<'f> {
    files
        .filter_map(|file| Some((file, tree::parse(file, notes)?)))
        .collect()
}

/// The commands, and every name that some file defines or meant to define.
fn read_commands(
    folder: &Folder,
    notes: &mut Vec<Diagnostic>,
) -> (BTreeMap<CommandName, ReadCommand>, BTreeSet<String>) {
    let shape = Shape::of::<raw::Command>();
    let parsed = parse_all(folder.yaml.iter(), notes);
    let mut names: BTreeSet<String> = folder.unreadable.iter().cloned().collect();
    for file in &folder.yaml {
        let node = parsed.iter().find(|(other, _)| Arc::ptr_eq(other, file));
        let said = node.and_then(|(_, node)| scalar(node, "command"));
        names.insert(said.unwrap_or_else(|| stem(&file.path)).to_owned());
    }
    let mut commands: BTreeMap<CommandName, ReadCommand> = BTreeMap::new();
    for (file, node) in &parsed {
        let at = At::root(file, node);
        let Some(raw) = shape.read::<raw::Command>(at, notes) else {
            continue;
        };
        if let Some(first) = commands.get(&raw.command) {
            let message = format!("command `{}` is defined twice", raw.command);
            let hint = format!(
                "the first is {}; rename or remove one",
                first.command.defined
            );
            notes.push(at.get("command").error(message).hint(hint));
            continue;
        }
        let read = command::read(&raw, at, &names, notes);
        commands.extend(read.map(|read| (raw.command.clone(), read)));
    }
    (commands, names)
}

/// The text under a key of the outermost map.
fn scalar<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    let Tree::Map(entries) = &node.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == key)?;
    match &entry.node.value {
        Tree::Scalar(scalar) => Some(&scalar.text),
        _ => None,
    }
}

fn is_people(file: &SourceFile) -> bool {
    stem(&file.path) == "people"
}

/// The people. Nobody when there is a mistake: then everything is denied, rather than half of it.
fn read_people(folder: &Folder, notes: &mut Vec<Diagnostic>) -> (ReadPeople, Names) {
    let Some(file) = folder.yaml.iter().find(|file| is_people(file)) else {
        if !folder.unreadable.iter().any(|name| name == "people") && !folder.yaml.is_empty() {
            let message = "there is no people.yaml: nobody is known, and everything is denied";
            let folder = folder.yaml[0]
                .path
                .rsplit_once('/')
                .map_or("", |(folder, _)| folder);
            notes
                .push(Diagnostic::about(folder, message).hint("write one; docs/files.md says how"));
        }
        return Default::default();
    };
    for second in folder.yaml.iter().filter(|file| is_people(file)).skip(1) {
        let message = format!("this is a second list of people; {} is read", file.path);
        notes.push(Diagnostic::about(&second.path, message).hint("put both into one file"));
    }
    let Some(node) = tree::parse(file, notes) else {
        return Default::default();
    };
    let at = At::root(file, &node);
    let names = Names::of(at);
    let notes_before = notes.len();
    let people = Shape::of::<raw::People>()
        .read::<raw::People>(at, notes)
        .map(|raw| people::read(&raw, at, &folder.calendars, notes));
    let broken = notes[notes_before..].iter().any(Diagnostic::is_error);
    (people.filter(|_| !broken).unwrap_or_default(), names)
}

/// By name, each with the file's stem.
type Projects = BTreeMap<ProjectName, ReadProject>;

fn read_projects(folder: &Folder, known: &Known<'_>, notes: &mut Vec<Diagnostic>) -> Projects {
    let shape = Shape::of::<raw::Runbook>();
    let mut projects = Projects::new();
    let mut channels: HashMap<String, ProjectName> = HashMap::new();
    for (file, node) in &parse_all(folder.yaml.iter().filter(|file| !is_people(file)), notes) {
        let at = At::root(file, node);
        let Some(raw) = shape.read::<raw::Runbook>(at, notes) else {
            continue;
        };
        let Some(read) = project::read(&raw, at, known, notes) else {
            continue;
        };
        if let Some(first) = projects.get(&raw.project) {
            let message = format!("project `{}` is defined twice", raw.project);
            let hint = format!(
                "the first is {}; rename or remove one",
                first.project.defined
            );
            notes.push(at.get("project").error(message).hint(hint));
            continue;
        }
        let taken = read
            .channels
            .iter()
            .find_map(|(channel, spot)| channels.get(channel).map(|owner| (channel, owner, spot)));
        if let Some((channel, owner, spot)) = taken {
            let message = format!("channel `{channel}` belongs to `{owner}` already");
            notes.push(
                spot.error(message)
                    .hint("a channel has one project; remove it from one of them"),
            );
            continue;
        }
        let ours = read.channels.iter();
        channels.extend(ours.map(|(channel, _)| (channel.clone(), raw.project.clone())));
        projects.insert(raw.project.clone(), read);
    }
    projects
}

fn add_prose(
    projects: &mut Projects,
    folder: &Folder,
    notes: &mut Vec<Diagnostic>,
) -> Vec<(ProjectName, String, Spot)> {
    let mut commands = Vec::new();
    for file in &folder.prose {
        let name = stem(&file.path);
        let runbook = folder.yaml.iter().find(|yaml| stem(&yaml.path) == name);
        let Some(runbook) = runbook else {
            if name != "README" {
                notes.push(
                    Diagnostic::about(&file.path, "no runbook stands beside this prose")
                        .warning()
                        .hint(format!(
                            "name it as the runbook is named, or write {name}.yaml"
                        )),
                );
            }
            continue;
        };
        let beside = |read: &&mut ReadProject| read.project.defined.file == runbook.short;
        // A runbook with a mistake is left out, and its prose with it.
        let Some(read) = projects.values_mut().find(beside) else {
            continue;
        };
        let found = prose::read(file, read.project.name.as_str());
        read.project.procedures = found.procedures;
        let found = found.commands.into_iter();
        commands.extend(found.map(|(text, spot)| (read.project.name.clone(), text, spot)));
    }
    commands
}

/// How many errors there are.
pub(crate) fn errors(diagnostics: &[Diagnostic]) -> usize {
    diagnostics
        .iter()
        .filter(|one| one.severity == Severity::Error)
        .count()
}
