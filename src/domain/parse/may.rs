//! `may [@person] 'command …' [at 03:00]`: what would be decided, without doing it.

use super::corrections::line_of;
use super::questions::{At, BUILT_INS, Question, bad, strip_any};
use super::words::{self, Word};
use super::{Hearing, arguments, echo, examples, nearest};
use crate::domain::{Invocation, Meant, ParameterName, PersonId, Refusal, quoted};

/// Reads what follows `may`, which is `words[0]`.
pub(super) fn read(words: &[Word], hearing: &Hearing<'_>) -> Result<Question, Refusal> {
    let (person, used) = asked_person(&words[1..], hearing)?;
    let (before, rest) = words.split_at(1 + used);
    let (at, split) = asked_moment(before, rest)?;
    let (rest, after) = rest.split_at(split);
    let asking = |line: &str| {
        let line = format!("{} {} {}", line_of(before), quoted(line), line_of(after));
        line.trim_end().to_owned()
    };
    let invocation = inner_invocation("may", rest, hearing, asking)?;
    Ok(Question::May {
        person,
        invocation,
        at,
    })
}

/// Reads what follows a word that asks about a command: `who-can flush-cache prod`. `words[0]` is that word.
pub(super) fn asked(words: &[Word], hearing: &Hearing<'_>) -> Result<Box<Invocation>, Refusal> {
    let (first, rest) = words.split_at(1);
    let asking = |line: &str| format!("{} {}", line_of(first), line);
    inner_invocation(&words[0].text.to_ascii_lowercase(), rest, hearing, asking)
}

/// The command that is asked about. Pressing a correction must ask again, not run what was only asked about.
fn inner_invocation(
    word: &str,
    rest: &[Word],
    hearing: &Hearing<'_>,
    asking: impl Fn(&str) -> String,
) -> Result<Box<Invocation>, Refusal> {
    let inner = match rest {
        [only] if only.quoted => words::split(&only.text)?,
        many => many.to_vec(),
    };
    let inner = super::without_address(&inner);
    let first = inner.first().map(|word| word.text.to_ascii_lowercase());
    let first = first.unwrap_or_default();
    if first.is_empty() || BUILT_INS.contains(&first.as_str()) {
        let example = may_example(hearing);
        return Err(bad(
            &format!("`{word}` asks about a command, and none was given"),
            example.replacen("may", word, 1),
        ));
    }
    hearing
        .command(inner)
        .and_then(|command| arguments::read(command, inner, hearing))
        .map(Box::new)
        .map_err(|refusal| asked_only(refusal, asking))
}

/// `@bo`, `as bo` or `--as=bo`; answers how many words that were.
fn asked_person(
    rest: &[Word],
    hearing: &Hearing<'_>,
) -> Result<(Option<PersonId>, usize), Refusal> {
    let (typed, used) = match rest {
        [first, second, ..] if first.is("as") || first.is("--as") => (second.text.as_str(), 2),
        [first, ..] => match strip_any(&first.text, &["@", "--as=", "as="]) {
            Some(name) => (name, 1),
            None => return Ok((None, 0)),
        },
        [] => return Ok((None, 0)),
    };
    let person = named_person(typed, hearing, || may_example(hearing))?;
    Ok((Some(person), used))
}

/// The person of this id, or whom a mention stands for, which the platform resolved to an account.
pub(super) fn named_person(
    typed: &str,
    hearing: &Hearing<'_>,
    example: impl FnOnce() -> String,
) -> Result<PersonId, Refusal> {
    let typed = typed.trim_start_matches('@');
    let people = &hearing.catalog.people;
    let folded = typed.to_ascii_lowercase();
    let by_id = || people.persons.keys().find(|id| id.as_str() == folded);
    let by_account = || {
        let mut found = people
            .accounts
            .iter()
            .filter(|(account, _)| account.rsplit([':', '/']).next() == Some(typed))
            .map(|(_, person)| person);
        let first = found.next();
        first.filter(|first| found.all(|other| other == *first))
    };
    if let Some(person) = by_id().or_else(by_account) {
        return Ok(person.clone());
    }
    let near = nearest(typed, people.persons.keys().map(PersonId::as_str));
    let hint = near.map_or_else(String::new, |near| format!("; did you mean `@{near}`?"));
    Err(bad(
        &format!("nobody is called `{}` here{hint}", echo(typed)),
        example(),
    ))
}

/// The moment at the end, and how many words come before it.
fn asked_moment(before: &[Word], rest: &[Word]) -> Result<(Option<At>, usize), Refusal> {
    let (typed, split) = match rest {
        [.., at, moment] if at.is("at") || at.is("--at") => (moment.text.as_str(), rest.len() - 2),
        [.., last] => match strip_any(last.bare(), &["--at=", "at="]) {
            Some(moment) => (moment, rest.len() - 1),
            None => return Ok((None, rest.len())),
        },
        [] => return Ok((None, 0)),
    };
    let at = typed
        .parse()
        .map(At::Moment)
        .or_else(|_| typed.parse().map(At::Time));
    let at = at.map_err(|_| {
        bad(
            &format!("`{}` is no time of day", echo(typed)),
            format!("{} {} at 03:00", line_of(before), line_of(&rest[..split])),
        )
    })?;
    Ok((Some(at), split))
}

fn may_example(hearing: &Hearing<'_>) -> String {
    let catalog = hearing.catalog;
    let implied = hearing.implied_project();
    let command = catalog.commands.values().find(|c| !c.only_reads());
    match command.or_else(|| catalog.commands.values().next()) {
        Some(command) => {
            let line = examples::example(command, hearing, implied.map(AsRef::as_ref));
            format!("may {}", quoted(&line))
        }
        None => "list".to_owned(),
    }
}

/// The same refusal of something that was only asked about.
fn asked_only(refusal: Refusal, asking: impl Fn(&str) -> String) -> Refusal {
    let ask = |meant: Option<Box<Meant>>| {
        meant.map(|meant| {
            Box::new(Meant {
                line: meant.line.map(|line| asking(&line)),
                word: meant.word,
            })
        })
    };
    match refusal {
        Refusal::UnknownCommand { typed, nearest } => Refusal::UnknownCommand {
            typed,
            nearest: ask(nearest),
        },
        Refusal::UnknownProject {
            typed,
            nearest,
            known,
        } => Refusal::UnknownProject {
            typed,
            nearest: ask(nearest),
            known,
        },
        Refusal::UnknownParameter {
            command,
            typed,
            nearest,
            example,
        } => Refusal::UnknownParameter {
            command,
            typed,
            nearest: ask(nearest),
            example: asking(&example),
        },
        Refusal::BadValue {
            parameter,
            typed,
            expected,
            nearest,
            example,
        } => Refusal::BadValue {
            parameter,
            typed,
            expected,
            nearest: ask(nearest),
            example: asking(&example),
        },
        Refusal::GivenTwice { parameter, example } => Refusal::GivenTwice {
            parameter,
            example: asking(&example),
        },
        Refusal::TooManyWords {
            word,
            usage,
            example,
        } => Refusal::TooManyWords {
            word,
            usage,
            example: asking(&example),
        },
        // A form or a button would complete the command and run it.
        Refusal::Missing {
            command,
            parameters,
            example,
            ..
        } => {
            let names: Vec<&str> = parameters.iter().map(ParameterName::as_str).collect();
            bad(
                &format!("`{command}` needs {}", names.join(", ")),
                asking(&example),
            )
        }
        Refusal::WhichProject { typed, known } => match known.first() {
            Some(project) => bad(
                "name the project, too",
                asking(&format!("{typed} project={project}")),
            ),
            None => bad("there is no project yet", "list".to_owned()),
        },
        other => other,
    }
}
