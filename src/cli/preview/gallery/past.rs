//! How a project's past is told: a summary, a timeline, the history of a command, changed rules.

use jiff::{SignedDuration, Timestamp};

use super::{Scene, Shown};
use crate::domain::{
    Happening, Outcome, PastRun, Position, RuleChange, Run, RunState, Since, Timeline, TimelineAsk,
    What, render, summarize,
};

/// Made of one run: `does` is what its command does.
pub(super) fn past(run: &Run, does: Option<&str>, now: Timestamp) -> Scene {
    let project = &run.invocation.project;
    let changes = vec![RuleChange::Added {
        rule: format!("everyone may {}", run.invocation.command),
        at: run.rule.at.clone(),
    }];
    let runs = [Outcome::Failed, Outcome::Succeeded, Outcome::Succeeded].map(|outcome| PastRun {
        reference: run.reference.clone(),
        asked_at: now,
        ended: Some((outcome, now)),
    });
    let pasts = [render::Past {
        environment: run.invocation.environment.as_ref(),
        runs: &runs,
    }];
    let ask = TimelineAsk {
        project: project.clone(),
        since: Some(Since::Ago(std::time::Duration::from_secs(3 * 86_400))),
        about: None,
        before: None,
    };
    let messages = [
        render::summary(&summarize(run, &[], does, now)),
        render::timeline(&timeline(run, &ask, &changes, now), &ask),
        render::history(&run.invocation.command, project, &pasts),
        render::rules_changed(project, &run.rule.revision, &changes),
    ];
    Scene {
        name: "the past",
        shown: messages.into_iter().map(Shown::Message).collect(),
    }
}

fn timeline(run: &Run, ask: &TimelineAsk, changes: &[RuleChange], now: Timestamp) -> Timeline {
    let happened = [
        What::Run {
            reference: run.reference.clone(),
            command: run.invocation.typed(),
            by: run.requester.clone(),
            with_consent: false,
            state: RunState::Ended(Outcome::Succeeded),
            took_ms: Some(4_200),
        },
        What::NotRun {
            command: run.invocation.typed(),
            by: run.requester.clone(),
            held: true,
            because: "just_done".to_owned(),
            rule: Some(run.rule.at.clone()),
        },
        What::RulesChanged {
            revision: run.rule.revision.clone(),
            changes: changes.to_vec(),
        },
        What::Commit {
            commit: "5d41402abc4b2a76b9719d911017c592ae2f1b3c".to_owned(),
            author: "A colleague".to_owned(),
            summary: "Let everyone help".to_owned(),
            files: vec![run.rule.at.file.clone()],
        },
    ];
    let lines = happened.into_iter().zip(0..).map(|(what, hours)| {
        let at = now.saturating_sub(SignedDuration::from_hours(hours));
        let at = at.unwrap_or(now);
        Happening {
            at,
            position: Position::of_moment(at),
            sequence: None,
            what,
        }
    });
    Timeline {
        project: ask.project.clone(),
        since: ask.since.map(|since| since.moment(now)),
        about: None,
        lines: lines.collect(),
        earlier: Some(Position {
            at_ms: now.as_millisecond(),
            rank: 1_234,
        }),
        missing: Vec::new(),
    }
}
