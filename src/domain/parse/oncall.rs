//! `oncall [PROJECT or ROTATION]`, `oncall cover [@kim] sat [oncall(shop)]`, `oncall swap @kim sat [for sun]`.

use super::may::named_person;
use super::questions::{Arrangement, Question, bad};
use super::words::Word;
use super::{Hearing, echo, nearest};
use crate::domain::{LevelName, OnCall, Refusal, RotationName, When};

const COVER: &str = "oncall cover @kim sat 18:00-22:00";
const SWAP: &str = "oncall swap @kim sat for sun";

/// Reads what follows `oncall`, which is `words[0]`.
pub(super) fn read(words: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    match &words[1..] {
        [] => Ok(Question::OnCall {
            rotations: implied(hearing),
        }),
        [word, rest @ ..] if word.is("cover") || word.is("override") => {
            arrangement(rest, hearing, COVER).map(|given| Question::Cover(Box::new(given)))
        }
        [word, rest @ ..] if word.is("swap") => swap(rest, hearing),
        [name] => named(&name.text, hearing).map(|rotations| Question::OnCall { rotations }),
        [_, extra, ..] => Err(bad(
            &format!(
                "`oncall` takes one project or rotation, or `cover` or `swap`; not `{}` after it",
                echo(&extra.text)
            ),
            COVER.to_owned(),
        )),
    }
}

fn swap(rest: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    let split = rest.iter().position(|word| word.is("for"));
    let (give, back) = match split {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let mut give = arrangement(give, hearing, SWAP)?;
    let back = match back {
        None => None,
        Some(words) => {
            let back = arrangement(words, hearing, SWAP)?;
            // The level may stand at the end of the line.
            give.of = give.of.or(back.of);
            Some(back.when)
        }
    };
    if give.person.is_none() {
        return Err(bad("say with whom", SWAP.to_owned()));
    }
    Ok(Question::Swap {
        give: Box::new(give),
        back,
    })
}

/// A person, a level and a time, in any order.
fn arrangement(
    rest: &[Word],
    hearing: &Hearing<'_>,
    example: &str,
) -> Result<Arrangement, Refusal> {
    let (mut person, mut of, mut when) = (None, None, Vec::new());
    for word in rest {
        let text = word.text.as_str();
        let mention = text.starts_with('@') || text.starts_with("<@");
        if mention && person.is_none() {
            let typed = text.trim_start_matches("<@").trim_end_matches('>');
            person = Some(named_person(typed, hearing, || example.to_owned())?);
        } else if let Some((level, rotation)) = text.split_once('(').filter(|_| of.is_none()) {
            of = Some(level_of(
                level,
                rotation.trim_end_matches(')'),
                hearing,
                example,
            )?);
        } else if when.len() < 3 {
            when.push(text);
        }
    }
    if when.is_empty() {
        let what = "say when: a day, days, hours or a length";
        return Err(bad(what, example.to_owned()));
    }
    let when = When::parse(&when).ok_or_else(|| {
        let what = format!(
            "`{}` is no time: write sat, sat-sun, tomorrow, 2026-12-24, or hours after it",
            echo(&when.join(" "))
        );
        bad(&what, example.to_owned())
    })?;
    Ok(Arrangement { person, when, of })
}

fn level_of(
    level: &str,
    rotation: &str,
    hearing: &Hearing<'_>,
    example: &str,
) -> Result<OnCall, Refusal> {
    let rotations = &hearing.catalog.people.rotations;
    let (level, rotation) = (level.to_ascii_lowercase(), rotation.to_ascii_lowercase());
    let Some((name, known)) = rotations.get_key_value(rotation.as_str()) else {
        let near = nearest(&rotation, rotations.keys().map(RotationName::as_str));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let what = format!("there is no rotation `{}`{hint}", echo(&rotation));
        return Err(bad(&what, example.to_owned()));
    };
    let Some((level, _)) = known.levels.get_key_value(level.as_str()) else {
        let levels: Vec<&str> = known.levels.keys().map(LevelName::as_str).collect();
        let what = format!(
            "rotation `{name}` has no level `{}`; its levels: {}",
            echo(&level),
            levels.join(", ")
        );
        return Err(bad(&what, example.to_owned()));
    };
    Ok(OnCall {
        level: level.clone(),
        rotation: name.clone(),
    })
}

/// Those of the channel's project; else all.
fn implied(hearing: &Hearing<'_>) -> Vec<RotationName> {
    let all = &hearing.catalog.people.rotations;
    let of_project = hearing.implied_project().into_iter();
    let of_project = of_project.flat_map(|project| project.rotations().into_iter().cloned());
    let found: Vec<_> = of_project.filter(|name| all.contains_key(name)).collect();
    if found.is_empty() {
        return all.keys().cloned().collect();
    }
    found
}

/// The rotation of this name, or those of the project of this name.
fn named(typed: &str, hearing: &Hearing<'_>) -> Result<Vec<RotationName>, Refusal> {
    let catalog = hearing.catalog;
    let typed = typed.to_ascii_lowercase();
    let rotations = &catalog.people.rotations;
    if let Some((name, _)) = rotations.get_key_value(typed.as_str()) {
        return Ok(vec![name.clone()]);
    }
    if let Some(project) = catalog.projects.get(typed.as_str()) {
        return Ok(project.rotations().into_iter().cloned().collect());
    }
    let projects = catalog
        .projects
        .keys()
        .map(crate::domain::ProjectName::as_str);
    let known = rotations.keys().map(RotationName::as_str).chain(projects);
    let hint =
        nearest(&typed, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let what = format!("there is no project or rotation `{}`{hint}", echo(&typed));
    let example = rotations
        .keys()
        .next()
        .map_or("oncall".to_owned(), |name| format!("oncall {name}"));
    Err(bad(&what, example))
}
