//! `page [PROJECT] "what is wrong"`, `ack [REF]`, `escalate [REF]`, `handover [PROJECT]`.

use super::arguments::one_line;
use super::questions::{Question, bad, runbook_project};
use super::words::Word;
use super::{Hearing, echo};
use crate::domain::{Reference, Refusal};

/// The longest text of a page, in characters: it must be readable on a lock screen.
const LONGEST: usize = 300;

/// Reads what follows `page`, which is `words[0]`.
pub(super) fn page(words: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    if words.len() == 1 {
        return Ok(Question::Pages);
    }
    let (project, rest) = runbook_project(words, hearing)?;
    let rest: Vec<&str> = words[rest..]
        .iter()
        .map(|word| word.text.as_str())
        .collect();
    let said = one_line(&rest.join(" "));
    let example = || format!("page {} \"checkout is down\"", project.name);
    if said.is_empty() {
        return Err(bad("say what is wrong", example()));
    }
    if said.chars().count() > LONGEST {
        let what = format!("say it in {LONGEST} characters: it is read on a lock screen");
        return Err(bad(&what, example()));
    }
    Ok(Question::Page {
        project: project.name.clone(),
        words: said,
    })
}

/// Reads what follows `handover`, which is `words[0]`.
pub(super) fn handover(words: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    let (project, used) = runbook_project(words, hearing)?;
    match words.get(used) {
        None => Ok(Question::Handover {
            project: project.name.clone(),
        }),
        Some(extra) => Err(bad(
            &format!("`handover` takes one project, not `{}`", echo(&extra.text)),
            format!("handover {}", project.name),
        )),
    }
}

/// The reference that may follow.
pub(super) fn reference(word: &str, rest: &[Word]) -> Result<Option<Reference>, Refusal> {
    let example = || format!("{word} 7f3k");
    let rest = match rest {
        [first, rest @ ..] if first.is("ref") || first.is("page") => rest,
        rest => rest,
    };
    match rest {
        [] => Ok(None),
        [one] => Reference::parse(&one.text).map(Some).ok_or_else(|| {
            let what = format!("`{}` is no reference of a page", echo(&one.text));
            bad(&what, example())
        }),
        [_, extra, ..] => {
            let extra = echo(&extra.text);
            let what = format!("`{word}` takes one reference and nothing after it, not `{extra}`");
            Err(bad(&what, example()))
        }
    }
}
