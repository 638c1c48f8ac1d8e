//! Reads a project's timeline page by page, and keeps what is asked for. Bounded: whoever wants more asks for earlier lines.

use jiff::Timestamp;

use super::Walk;
use crate::domain::{
    CommandName, EnvironmentName, Fact, Happening, JUDGED, Message, ParameterKind, Position,
    ProjectName, RunState, Stands, Timeline, TimelineAsk, render, target_of,
};
use crate::store::verify::unread_in_words;
use crate::store::{RunStanding, Store, StoreError, TimelineFilter, TimelineRead};

/// Lines of an answer in chat.
const LINES: u32 = 15;
/// Environments whose past one answer tells.
const MOST_ENVIRONMENTS: usize = 8;
/// Rows that are read at once where most of them may not be about what is asked for.
const LOOKED_AT: u32 = 200;
/// How often that is done for one answer.
const LOOKS: usize = 10;

impl Walk<'_> {
    /// Answers `timeline`.
    pub(super) async fn timeline(&self, ask: &TimelineAsk) -> Result<Message, StoreError> {
        let store = &self.dispatch.store;
        let timeline = read_timeline(store, ask, LINES, self.now).await?;
        Ok(render::timeline(&timeline, ask))
    }

    /// Answers `history`: of one environment, or of each in which the command can run.
    pub(super) async fn history(
        &self,
        command: &CommandName,
        project: &ProjectName,
        environment: Option<EnvironmentName>,
    ) -> Result<Message, StoreError> {
        let environments = match environment {
            Some(one) => vec![Some(one)],
            None => self.environments_of(command, project),
        };
        let mut pasts = Vec::new();
        for environment in &environments {
            let target = target_of(command, project, environment.as_ref());
            let runs = self.dispatch.store.runs_of_target(&target, JUDGED).await?;
            pasts.push((environment.as_ref(), runs));
        }
        let pasts: Vec<render::Past<'_>> = pasts
            .iter()
            .map(|(environment, runs)| render::Past {
                environment: *environment,
                runs,
            })
            .collect();
        Ok(render::history(command, project, &pasts))
    }

    /// Where a command can run; `None`: it has no environment.
    fn environments_of(
        &self,
        command: &CommandName,
        project: &ProjectName,
    ) -> Vec<Option<EnvironmentName>> {
        let takes_one = self.catalog.commands.get(command).is_some_and(|command| {
            let mut parameters = command.parameters.iter();
            parameters.any(|it| matches!(it.kind, ParameterKind::Environment))
        });
        let project = self.catalog.projects.get(project);
        match project.filter(|_| takes_one) {
            Some(project) => project
                .environments
                .iter()
                .take(MOST_ENVIRONMENTS)
                .map(|it| Some(it.name.clone()))
                .collect(),
            None => vec![None],
        }
    }
}

/// Reads a timeline's newest lines that are asked for, `lines` at the most.
///
/// # Errors
/// The store's.
pub async fn read_timeline(
    store: &Store,
    ask: &TimelineAsk,
    lines: u32,
    now: Timestamp,
) -> Result<Timeline, StoreError> {
    let mut timeline = Timeline {
        project: ask.project.clone(),
        since: ask.since.map(|since| since.moment(now)),
        about: ask.about.clone(),
        lines: Vec::new(),
        earlier: None,
        missing: Vec::new(),
    };
    let mut filter = TimelineFilter {
        project: ask.project.clone(),
        before: ask.before.unwrap_or(Position::END),
        since: timeline.since,
        limit: if ask.about.is_some() {
            LOOKED_AT
        } else {
            lines
        },
    };
    for _ in 0..looks(lines) {
        let read = store.timeline(&filter).await?;
        if timeline.missing.is_empty() {
            timeline.missing = missing(&read);
        }
        let more = take(&mut timeline, &mut filter, read, lines);
        timeline.earlier = more.then_some(filter.before);
        if !more || timeline.lines.len() >= lines as usize {
            break;
        }
    }
    Ok(timeline)
}

/// An export wants many lines, and waits for them.
fn looks(lines: u32) -> usize {
    LOOKS.max(lines as usize / LOOKED_AT as usize)
}

/// Takes the lines that are asked for, and moves on behind them. Answers whether there may be more.
fn take(
    timeline: &mut Timeline,
    filter: &mut TimelineFilter,
    read: TimelineRead,
    lines: u32,
) -> bool {
    let down_to = read.down_to;
    for (position, happening) in in_order(read) {
        if timeline.lines.len() >= lines as usize {
            return true;
        }
        filter.before = position;
        let about = timeline.about.as_deref();
        timeline
            .lines
            .extend(happening.filter(|it| about.is_none_or(|about| render::line_has(it, about))));
    }
    if let Some(position) = down_to {
        filter.before = position;
    }
    down_to.is_some()
}

/// Everything that was read in one order, newest first.
fn in_order(read: TimelineRead) -> Vec<(Position, Option<Happening>)> {
    let entries = read.entries.iter().map(|entry| {
        let stands = match &entry.fact {
            Fact::Decided { run: Some(run), .. } => read.runs.get(run).map(stands),
            _ => None,
        };
        (
            Position::of_entry(entry),
            Happening::of_entry(entry, stands),
        )
    });
    let commits = read.commits.into_iter().map(|commit| {
        let position = Position::of_commit(&commit);
        (position, Some(Happening::of_commit(commit)))
    });
    let mut all: Vec<_> = entries.chain(commits).collect();
    all.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
    all
}

fn stands(run: &RunStanding) -> Stands {
    Stands {
        state: run.outcome.map_or(RunState::Open, RunState::Ended),
        finished_at: run.finished_at,
    }
}

fn missing(read: &TimelineRead) -> Vec<String> {
    let mut missing = Vec::new();
    if read.behind > 0 {
        missing.push(format!(
            "{} ledger entries of an earlier version are not in it yet: ask again in a minute",
            read.behind
        ));
    }
    if read.unread > 0 {
        missing.push(unread_in_words(read.unread as u64));
    }
    match &read.git {
        Some(git) => missing.extend(
            git.problem
                .as_ref()
                .map(|why| format!("commits may be missing: {why}")),
        ),
        None => missing.push("commits are not in it yet: git was not asked so far".to_owned()),
    }
    missing
}
