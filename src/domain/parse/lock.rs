//! `lock prod 2h restoring a backup`, `unlock prod`: keeping others from changing something for a while.

use super::arguments::one_line;
use super::questions::{Question, bad};
use super::words::Word;
use super::{Hearing, echo};
use crate::domain::{
    LONGEST_LOCK, LONGEST_TEXT, LockTarget, ProjectName, Refusal, parse_duration, show_duration,
};

/// Reads what follows `lock`; nothing: which locks there are.
pub(super) fn lock(rest: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    let rest = project_first(rest);
    let (target, rest) = target("lock", &rest, hearing)?;
    let Some((span, reason)) = rest.split_first() else {
        let project = target.project;
        return Ok(Question::Locks { project });
    };
    let wrong = |what: String| bad(&what, example(&target));
    let length = parse_duration(&span.text).filter(|length| !length.is_zero());
    let length = length.ok_or_else(|| {
        wrong(format!(
            "`lock` needs to know for how long, and `{}` is no span of time",
            echo(&span.text)
        ))
    })?;
    if length > LONGEST_LOCK {
        return Err(wrong(format!(
            "a lock lasts at most {}; take it anew when it ends",
            show_duration(LONGEST_LOCK)
        )));
    }
    let words: Vec<&str> = reason.iter().map(|word| word.text.as_str()).collect();
    let reason = one_line(&words.join(" "));
    let reason = reason
        .strip_prefix("reason=")
        .unwrap_or(&reason)
        .trim()
        .to_owned();
    if reason.is_empty() {
        return Err(wrong(
            "say why as well: whoever is held reads it".to_owned(),
        ));
    }
    if reason.chars().nth(LONGEST_TEXT).is_some() {
        return Err(wrong(format!(
            "a reason has at most {LONGEST_TEXT} characters"
        )));
    }
    Ok(Question::Lock {
        target,
        length,
        reason,
    })
}

/// Reads what follows `unlock`.
pub(super) fn unlock(rest: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    let rest = project_first(rest);
    let (target, rest) = target("unlock", &rest, hearing)?;
    match rest {
        [] => Ok(Question::Unlock { target }),
        [extra, ..] => Err(bad(
            &format!(
                "`unlock` takes an environment and nothing after it, not `{}`",
                echo(&extra.text)
            ),
            format!("unlock {}", target.typed()),
        )),
    }
}

fn example(target: &LockTarget) -> String {
    format!("lock {} 2h restoring a backup", target.typed())
}

/// `project=NAME` is no part of a reason, wherever it stands: swallowed by one, it would lock what the channel implies.
fn project_first(rest: &[Word]) -> Vec<Word> {
    let names_project = |word: &Word| word.text.to_ascii_lowercase().starts_with("project=");
    let (mut words, others): (Vec<Word>, Vec<Word>) = rest.iter().cloned().partition(names_project);
    words.extend(others);
    words
}

/// `project=shop` or `shop` where the channel has none; then an environment of it, if one is named.
fn target<'w>(
    word: &str,
    rest: &'w [Word],
    hearing: &Hearing<'_>,
) -> Result<(LockTarget, &'w [Word]), Refusal> {
    let mut rest = rest;
    let mut project = hearing.implied_project();
    let mut environment = None;
    // An environment and a project in either order.
    for _ in 0..2 {
        let Some((first, after)) = rest.split_first() else {
            break;
        };
        let folded = first.text.to_ascii_lowercase();
        let named = folded.strip_prefix("project=").unwrap_or(&folded);
        let is_environment = environment.is_none()
            && project.is_some_and(|project| project.environment(&folded).is_some());
        if is_environment {
            environment = project.and_then(|it| it.environment(&folded));
        } else if let Some(known) = hearing.catalog.projects.get(named) {
            project = Some(known);
        } else if named.len() < folded.len() {
            let line = |name: &str| Some(format!("{word} project={name}"));
            project = Some(hearing.project(named, line)?);
        } else {
            break;
        }
        rest = after;
    }
    let Some(project) = project else {
        let known: Vec<&str> = hearing
            .catalog
            .projects
            .keys()
            .map(ProjectName::as_str)
            .collect();
        return Err(bad(
            &format!("say which project: {}", known.join(", ")),
            "lock project=NAME 2h restoring a backup".to_owned(),
        ));
    };
    let environment = environment.and_then(|it| project.environment(it.name.as_str()));
    let target = LockTarget {
        project: project.name.clone(),
        environment: environment.map(|it| it.name.clone()),
    };
    Ok((target, rest))
}
