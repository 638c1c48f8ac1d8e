//! What somebody reads who has never been here: what this is, what they may do, how, whom to call, what happened.

use jiff::Timestamp;

use super::card::not_recorded;
use super::decision::awake_in_words;
use super::{append, between, field, list, outcome_word, terms_in_words, title, who};
use crate::domain::{
    ApprovalTerms, Block, Button, CommandName, EnvironmentName, Field, Invocation, Message, People,
    PersonId, PersonLock, Phase, Project, Run, Text, Who, show_duration, show_elapsed,
};

/// How many headings, troubles and dashboards are named.
const MOST: usize = 8;

/// What somebody may run in one environment.
#[derive(Debug, Clone, Default)]
pub struct MayHere {
    /// `None`: commands that take none.
    pub environment: Option<EnvironmentName>,
    /// Without anybody's consent.
    pub alone: Vec<CommandName>,
    /// With it.
    pub with_consent: Vec<CommandName>,
}

/// What an orientation tells of.
#[derive(Debug, Clone, Copy)]
pub struct Orient<'a> {
    /// The project.
    pub project: &'a Project,
    /// Who is who.
    pub people: &'a People,
    /// What the reader may do.
    pub may: &'a [MayHere],
    /// The latest runs, newest first.
    pub latest: &'a [Run],
    /// Runs that are open, newest first.
    pub open: &'a [Run],
    /// Locks in force.
    pub locks: &'a [PersonLock],
    /// When it is read.
    pub now: Timestamp,
}

/// `orient`: one message, each part with a value or a word that there is none.
pub fn orient(of: &Orient<'_>) -> Message {
    let project = of.project;
    let text = Text::new().plain("🧭 ").bold(project.name.to_string());
    let text = text.plain(format!(": {} Next: type ", sentence(&project.about)));
    let first = text
        .code(format!("/ops list {}", project.name))
        .plain(", or call whom you see here");
    let fields = vec![
        field("you may", you_may(of)),
        field("how", how(project)),
        field("call", call(of)),
        field("dashboards", dashboards(project)),
        field("troubles", troubles(project)),
        field("lately", lately(of)),
        field("running", running(of)),
        field("held", held(of)),
    ];
    let name = &project.name;
    Message::new(first)
        .with(Block::Fields(fields))
        .buttons(vec![
            Button::primary("What can be run", format!("list {name}")),
            Button::plain("Runbook", format!("runbook {name}")),
            Button::plain("Runs", format!("runs {name}")),
        ])
}

fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    format!("{text}.")
}

fn you_may(of: &Orient<'_>) -> Text {
    if of.may.is_empty() {
        return Text::from("nothing; who may: /ops who-can COMMAND");
    }
    let lines = of.may.iter().map(|here| {
        let environment = here.environment.as_ref();
        let place = environment.map_or_else(|| "anywhere".to_owned(), |it| format!("in {it}"));
        let alone = names(&here.alone);
        let with_consent = names(&here.with_consent);
        match (here.alone.is_empty(), here.with_consent.is_empty()) {
            (false, true) => format!("{place}: {alone}"),
            (true, _) => format!("{place}, with consent: {with_consent}"),
            (false, false) => format!("{place}: {alone}; with consent: {with_consent}"),
        }
    });
    Text::new().plain(lines.collect::<Vec<_>>().join("\n"))
}

fn names(commands: &[CommandName]) -> String {
    let names: Vec<&str> = commands.iter().map(CommandName::as_str).collect();
    names.join(", ")
}

fn how(project: &Project) -> Text {
    if project.procedures.is_empty() {
        return not_recorded(project);
    }
    let headings = project.procedures.iter().map(|it| it.heading.as_str());
    let headings: Vec<&str> = headings.take(MOST).collect();
    Text::new()
        .plain(headings.join(" · "))
        .plain("; read one: ")
        .code(format!("/ops runbook {} HEADING", project.name))
}

/// Who is called now, and who after that when nobody answers.
fn call(of: &Orient<'_>) -> Text {
    let mut text = Text::new();
    for level in &of.project.escalation {
        let between = if text.0.is_empty() { "" } else { "\n" };
        let after = if level.at.is_zero() {
            "now: ".to_owned()
        } else {
            format!("after {}: ", show_duration(level.at))
        };
        text = text.plain(format!("{between}{after}"));
        text = match &level.call {
            Who::OnCall(on_call) => match of.people.on_call(on_call, of.now) {
                Some(person) => text.person(person).plain(format!(" ({on_call})")),
                None => text.plain(format!("nobody is {on_call} now")),
            },
            who => {
                let persons = of.people.meant(who, of.now);
                append(text, awake_in_words(of.people, persons, of.now)).plain(format!(" ({who})"))
            }
        };
    }
    if text.0.is_empty() {
        not_recorded(of.project)
    } else {
        text
    }
}

fn dashboards(project: &Project) -> Text {
    let of_each = project.environments.iter().flat_map(|environment| {
        let keys = ["dashboards", "dashboard"].into_iter();
        let addresses = keys
            .filter_map(|key| environment.attributes.get(key))
            .flatten();
        addresses.map(move |address| format!("{}: {address}", environment.name))
    });
    let lines: Vec<String> = of_each.take(MOST).collect();
    if lines.is_empty() {
        return not_recorded(project);
    }
    Text::new().plain(lines.join("\n"))
}

/// The headings under one that speaks of troubles.
fn troubles(project: &Project) -> Text {
    let is_about = |heading: &str| {
        let heading = heading.to_lowercase();
        ["trouble", "known issue", "known problem"]
            .iter()
            .any(|word| heading.contains(word))
    };
    let procedures = &project.procedures;
    let Some(at) = procedures.iter().position(|it| is_about(&it.heading)) else {
        return not_recorded(project);
    };
    let level = procedures[at].level;
    let below = procedures[at + 1..]
        .iter()
        .take_while(|it| it.level > level);
    let mut headings: Vec<&str> = below.map(|it| it.heading.as_str()).take(MOST).collect();
    if headings.is_empty() {
        headings.push(&procedures[at].heading);
    }
    let text = Text::new().plain(headings.join(" · ")).plain("; read: ");
    text.code(format!(
        "/ops runbook {} {}",
        project.name, procedures[at].heading
    ))
}

fn lately(of: &Orient<'_>) -> Text {
    let ended = of
        .latest
        .iter()
        .filter_map(|run| Some((run, run.outcome()?)));
    let mut text = Text::new();
    for (run, outcome) in ended {
        text = on_a_line(text);
        text = append(
            text.code(title(&run.invocation)).plain(" by "),
            who(&run.requester),
        );
        text = text
            .plain(format!(": {}, ", outcome_word(outcome)))
            .time(run.created_at);
    }
    if text.0.is_empty() {
        Text::from("nothing was run here yet")
    } else {
        text
    }
}

fn running(of: &Orient<'_>) -> Text {
    let mut text = Text::new();
    for run in of.open {
        text = on_a_line(text);
        text = append(
            text.code(title(&run.invocation)).plain(" by "),
            who(&run.requester),
        );
        let state = match &run.phase {
            Phase::AwaitingApproval { terms, .. } => format!("waits for {}", terms_in_words(terms)),
            Phase::Queued { .. } | Phase::Running => {
                format!("for {}", show_elapsed(between(run.created_at, of.now)))
            }
            Phase::Finished(outcome) => outcome_word(*outcome).to_owned(),
        };
        text = text.plain(format!(", {state} · ref {}", run.reference));
    }
    if text.0.is_empty() {
        Text::from("nothing runs or waits")
    } else {
        text
    }
}

/// What follows stands on a line of its own.
fn on_a_line(text: Text) -> Text {
    if text.0.is_empty() {
        return text;
    }
    text.plain("\n")
}

/// Freezes and locks of this moment.
fn held(of: &Orient<'_>) -> Text {
    let mut text = Text::new();
    for freeze in &of.project.freezes {
        if let Some(until) = freeze.span.ends(of.now) {
            text = on_a_line(text);
            let environments = freeze.environments.as_ref().map(|names| {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                format!(" in {}", list(&names, "and"))
            });
            let place = environments.unwrap_or_default();
            text = text.plain(format!(
                "changes{place} are frozen ({}) until ",
                freeze.reason
            ));
            text = text.time(until);
        }
    }
    for lock in of.locks {
        text = on_a_line(text);
        text = text.plain(format!("{} is locked ", lock.target.words()));
        text = append(text, super::lock::about(lock, of.now));
    }
    if text.0.is_empty() {
        Text::from("nothing is frozen or locked")
    } else {
        text
    }
}

/// Who may do something.
#[derive(Debug, Clone, Copy)]
pub struct WhoCan<'a> {
    /// What.
    pub invocation: &'a Invocation,
    /// Who is who.
    pub people: &'a People,
    /// Who may alone.
    pub alone: &'a [PersonId],
    /// Who may with whose consent.
    pub with_consent: &'a [(PersonId, ApprovalTerms)],
    /// Why nobody else may now who may at other times.
    pub frozen: Option<&'a str>,
    /// When it is read.
    pub now: Timestamp,
}

/// `who-can`.
pub fn who_can(of: &WhoCan<'_>) -> Message {
    let title = title(of.invocation);
    let (alone, more) = (of.alone.len(), of.with_consent.len());
    let first = match (alone, more) {
        (0, 0) => format!(": nobody may run it now{}", frozen(of)),
        (0, more) => format!(
            ": nobody may run it alone now, {more} with consent{}",
            frozen(of)
        ),
        (alone, 0) => format!(": {alone} may run it now; ask one of them{}", frozen(of)),
        (alone, more) => format!(
            ": {alone} may run it now, {more} with consent; ask one of them{}",
            frozen(of)
        ),
    };
    let mut fields: Vec<Field> = Vec::new();
    if alone > 0 {
        fields.push(field("alone", awake_in_words(of.people, of.alone, of.now)));
    }
    let mut terms: Vec<&ApprovalTerms> = Vec::new();
    for (_, needed) in of.with_consent {
        if !terms.contains(&needed) {
            terms.push(needed);
        }
    }
    for needed in terms {
        let persons = of.with_consent.iter().filter(|(_, it)| it == needed);
        let persons = awake_in_words(of.people, persons.map(|(person, _)| person), of.now);
        fields.push(field(&format!("with {}", terms_in_words(needed)), persons));
    }
    let says = of.invocation.typed_in_full();
    let message = Message::new(Text::new().plain("🧭 ").code(title).plain(first));
    let message = if fields.is_empty() {
        message
    } else {
        message.with(Block::Fields(fields))
    };
    message.buttons(vec![Button::plain("May I?", format!("{says} --plan"))])
}

fn frozen(of: &WhoCan<'_>) -> String {
    of.frozen
        .map_or_else(String::new, |why| format!(" ({why})"))
}

/// Those who may are asked to run it for somebody who may not.
pub fn asked_for(invocation: &Invocation, asker: &PersonId, asked: &[PersonId]) -> Message {
    let mut text = Text::new().plain("🙋 ").person(asker).plain(" asks for ");
    text = text.code(title(invocation)).plain(" and may not run it: ");
    for (position, person) in asked.iter().enumerate() {
        text = text
            .plain(if position == 0 { "" } else { ", " })
            .ping(person);
    }
    let text = text.plain(" may; press Run it for them to run it yourself, in your own name");
    let reason = match &invocation.reason {
        Some(reason) => format!("for {asker}: {reason}"),
        None => format!("for {asker}, who asked"),
    };
    let run = Invocation {
        reason: Some(reason),
        ..invocation.clone()
    };
    let says = run.typed_in_full();
    Message::new(text).buttons(vec![
        Button::primary("Run it for them", says.clone()),
        Button::plain("What would it do?", format!("{says} --plan")),
    ])
}
