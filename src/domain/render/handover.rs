//! What whoever takes over must know: what is open, what happened, what to watch.

use jiff::Timestamp;

use super::{
    append, between, field, outcome_word, page_about, page_state, terms_in_words, title, who,
};
use crate::domain::{
    Block, Button, Field, LevelName, Message, Outcome, Page, Phase, Project, Rotation,
    RotationName, Run, Text, show_elapsed,
};

/// How many of a kind are shown; more is not read before the coffee.
const MOST: usize = 6;

/// What was read for a handover.
pub struct Handover<'h> {
    /// Of which project.
    pub project: &'h Project,
    /// The rotations that it names.
    pub rotations: Vec<(&'h RotationName, &'h Rotation)>,
    /// What happened counts from here on.
    pub since: Timestamp,
    /// Runs that have not ended, or need attention; newest first.
    pub open: Vec<Run>,
    /// Runs that began since, newest first.
    pub runs: Vec<Run>,
    /// Pages that nobody has answered, and those that began since; newest first.
    pub pages: Vec<Page>,
}

/// `handover`.
pub fn handover(told: &Handover<'_>, now: Timestamp) -> Message {
    let name = &told.project.name;
    let open_pages = told
        .pages
        .iter()
        .filter(|page| page.state.is_open())
        .count();
    let bad = told.runs.iter().filter(|run| went_wrong(run)).count();
    let first = format!(
        "🤝 handover of {name}: {}, {}, {} since ",
        counted(open_pages, "open page"),
        counted(told.open.len(), "open run"),
        match bad {
            0 => "nothing failed".to_owned(),
            bad => format!("{bad} of {} failed", counted(told.runs.len(), "run")),
        }
    );
    let mut message = Message::new(Text::new().plain(first).time(told.since));
    for (label, fields) in [
        ("open", open(told, now)),
        ("happened", happened(told)),
        ("watch", watch(told, now)),
    ] {
        message = message
            .text(Text::new().bold(label))
            .with(Block::Fields(fields));
    }
    message.buttons(vec![
        Button::plain("Runs", format!("runs {name}")),
        Button::plain("On call", "oncall"),
        Button::plain("Pages", "page"),
    ])
}

fn open(told: &Handover<'_>, now: Timestamp) -> Vec<Field> {
    let pages = told.pages.iter().filter(|page| page.state.is_open());
    let pages = pages.map(|page| {
        let next = match page.next_at() {
            Some(at) => Text::from("; next level at ").time(at),
            None => Text::from("; no level is left"),
        };
        field(page.reference.as_str(), append(page_about(page), next))
    });
    let runs = told.open.iter().map(|run| {
        let state = match &run.phase {
            Phase::AwaitingApproval { terms, .. } => format!("waits for {}", terms_in_words(terms)),
            Phase::Queued { .. } => "is about to start".to_owned(),
            Phase::Running => format!("runs for {}", show_elapsed(between(run.created_at, now))),
            Phase::Finished(outcome) => outcome_word(*outcome).to_owned(),
        };
        field(
            run.reference.as_str(),
            append(run_in_words(run), Text::new().plain(format!(" — {state}"))),
        )
    });
    shortened(pages.chain(runs).collect(), "nothing is open")
}

fn happened(told: &Handover<'_>) -> Vec<Field> {
    let pages = told.pages.iter().filter(|page| !page.state.is_open());
    let pages = pages.map(|page| {
        let text = append(page_about(page).plain(" — "), page_state(page));
        (page.began_at, field(page.reference.as_str(), text))
    });
    let ended = told
        .runs
        .iter()
        .filter_map(|run| Some((run, run.outcome()?)));
    let ended = ended.filter(|(_, outcome)| *outcome != Outcome::NeedsAttention);
    let runs = ended.map(|(run, outcome)| {
        let text = run_in_words(run).plain(format!(" — {}", outcome_word(outcome)));
        (run.created_at, field(run.reference.as_str(), text))
    });
    let mut all: Vec<(Timestamp, Field)> = pages.chain(runs).collect();
    all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let fields = all.into_iter().map(|(at, mut it)| {
        it.value = it.value.plain(" · ").time(at);
        it
    });
    shortened(fields.collect(), "nothing was done, and nobody was called")
}

fn watch(told: &Handover<'_>, now: Timestamp) -> Vec<Field> {
    let mut fields = Vec::new();
    for run in &told.open {
        if run.outcome() == Some(Outcome::NeedsAttention) {
            let text = run_in_words(run)
                .plain(": its outcome is unknown; say what became of it: ")
                .code(format!("/ops settle {} did-not", run.reference));
            fields.push(field(run.reference.as_str(), text));
        }
    }
    fields.extend(failing(told));
    for (name, rotation) in &told.rotations {
        fields.extend(
            rotation
                .levels
                .keys()
                .filter_map(|level| hand_over((name, rotation), level, now)),
        );
    }
    let troubles = told.project.procedures.iter();
    let troubles = troubles.filter(|it| it.heading.to_lowercase().contains("trouble"));
    fields.extend(troubles.take(1).map(|it| {
        let says = format!("/ops runbook {} {}", told.project.name, it.heading);
        field("known troubles", Text::new().code(says))
    }));
    shortened(fields, "nothing that is recorded")
}

/// Commands whose last run went wrong.
fn failing<'h>(told: &'h Handover<'_>) -> impl Iterator<Item = Field> + 'h {
    let last = told.runs.iter().enumerate().filter(|(n, run)| {
        run.outcome().is_some()
            && !told.runs[..*n].iter().any(|later| {
                later.outcome().is_some() && title(&later.invocation) == title(&run.invocation)
            })
    });
    let wrong = last
        .map(|(_, run)| run)
        .filter(|run| run.outcome() == Some(Outcome::Failed));
    wrong.map(|run| {
        let text = run_in_words(run).plain(" failed, and has not succeeded since");
        field(run.reference.as_str(), text)
    })
}

/// A hand-over within a day, and a gap.
fn hand_over(
    (name, rotation): (&RotationName, &Rotation),
    level: &LevelName,
    now: Timestamp,
) -> Option<Field> {
    let label = format!("{level}({name})");
    let Some(holder) = rotation.holder(level, now) else {
        return Some(field(&label, Text::from("nobody is on call now")));
    };
    let until = rotation.until(level, now)?;
    let soon = until.duration_since(now) <= jiff::SignedDuration::from_hours(24);
    let text = Text::new()
        .person(holder)
        .plain(" hands over at ")
        .time(until)
        .plain(" to ");
    match rotation.holder(level, until) {
        Some(next) => soon.then(|| field(&label, text.person(next))),
        None => Some(field(&label, text.plain("nobody"))),
    }
}

fn run_in_words(run: &Run) -> Text {
    append(
        Text::new().code(run.invocation.typed()).plain(" by "),
        who(&run.requester),
    )
}

fn went_wrong(run: &Run) -> bool {
    matches!(
        run.outcome(),
        Some(Outcome::Failed | Outcome::NeedsAttention)
    )
}

fn counted(number: usize, noun: &str) -> String {
    match number {
        0 => format!("no {noun}"),
        1 => format!("1 {noun}"),
        more => format!("{more} {noun}s"),
    }
}

fn shortened(mut fields: Vec<Field>, otherwise: &str) -> Vec<Field> {
    let more = fields.len().saturating_sub(MOST);
    fields.truncate(MOST);
    if fields.is_empty() {
        fields.push(field("–", Text::from(otherwise)));
    }
    if more > 0 {
        fields.push(field("…", Text::new().plain(format!("and {more} more"))));
    }
    fields
}
