//! The card: what a command does, whether you may, whether someone just did it, how to check and undo it, what to press.

use jiff::Timestamp;

use super::decision::{about, awake_in_words, not_run_body, route_in_words};
use super::thread::plan_in_words;
use super::{append, field, terms_in_words, title};
use crate::domain::{
    Block, Button, Catalog, Command, Decision, Denial, Field, Hold, Invocation, Message, OtherRun,
    PersonId, Plan, Project, Text,
};

/// Did someone just do it?
#[derive(Debug, Clone, Copy)]
pub enum Latest<'a> {
    /// The ledger was not asked.
    NotAsked,
    /// Nobody ever did.
    Never,
    /// This was the latest run.
    Run(&'a OtherRun),
}

impl<'a> From<Option<&'a OtherRun>> for Latest<'a> {
    fn from(found: Option<&'a OtherRun>) -> Self {
        found.map_or(Self::Never, Self::Run)
    }
}

/// What a card tells of.
#[derive(Debug, Clone, Copy)]
pub struct Card<'a> {
    /// What was asked for, or about.
    pub invocation: &'a Invocation,
    /// What the runbook says.
    pub decision: &'a Decision,
    /// What is there.
    pub catalog: &'a Catalog,
    /// The latest run of the very same, however it ended.
    pub latest: Latest<'a>,
    /// What would be done; `None` where it may not be shown.
    pub plan: Option<&'a Plan>,
    /// Whose card it is.
    pub asker: Option<&'a PersonId>,
    /// When it is read.
    pub now: Timestamp,
}

/// The card of an invocation that is not run, or was only asked about.
pub fn card(card: &Card<'_>) -> Message {
    let (first, body, buttons) = not_run_body(card.invocation, card.decision, card.now);
    let (first, buttons) = match card.decision {
        Decision::Allow { .. } => (only_asked(card, "you may run this now"), vec![run_it(card)]),
        Decision::RequireApproval { terms, .. } => {
            let words = format!("you may run this with {}", terms_in_words(terms));
            (only_asked(card, &words), vec![run_it(card)])
        }
        Decision::Hold { .. } | Decision::Deny { .. } => (first, buttons),
    };
    let project = card.catalog.projects.get(&card.invocation.project);
    let command = card.catalog.commands.get(&card.invocation.command);
    let mut message = Message::new(first);
    if let (Some(project), Some(command)) = (project, command) {
        message = message.with(Block::Fields(fields(card, project, command)));
    }
    let message = body.into_iter().fold(message, Message::text);
    message.buttons(buttons)
}

fn only_asked(card: &Card<'_>, may: &str) -> Text {
    let text = Text::new().plain("🧭 ").code(title(card.invocation));
    text.plain(format!(": {may}; nothing was done yet; press Run it"))
}

fn run_it(card: &Card<'_>) -> Button {
    Button::primary("Run it", card.invocation.typed_in_full())
}

fn fields(card: &Card<'_>, project: &Project, command: &Command) -> Vec<Field> {
    let does = format!("{} · risk {}", command.does, command.risk);
    let mut fields = vec![
        field("does", Text::new().plain(does)),
        field("may you", may_you(card)),
        field("lately", lately(card)),
        field("check", check(command, card.invocation, project)),
        field("undo", undo(command, project)),
    ];
    if let Some(plan) = card.plan {
        let digits: String = plan.digest().chars().take(8).collect();
        fields.push(field("plan", Text::new().code(digits)));
        fields.extend(plan_in_words(plan));
    }
    fields
}

fn may_you(card: &Card<'_>) -> Text {
    let project = card.catalog.projects.get(&card.invocation.project);
    let command = card.catalog.commands.get(&card.invocation.command);
    let code = project
        .zip(command)
        .is_some_and(|(project, command)| project.wants_code(command));
    let may = matches!(
        card.decision,
        Decision::Allow { .. } | Decision::RequireApproval { .. }
    );
    let text = may_you_by_rule(card);
    if code && may {
        text.plain(" · with a one-time code of your authenticator app")
    } else {
        text
    }
}

fn may_you_by_rule(card: &Card<'_>) -> Text {
    let people = &card.catalog.people;
    match card.decision {
        Decision::Allow { rule, .. } => Text::from("yes · ").code(rule.at.to_string()),
        Decision::RequireApproval { terms, rule, .. } => {
            let of = terms.quorums().flat_map(|(_, of)| of);
            let persons = of.flat_map(|who| people.meant(who, card.now));
            let persons = persons.filter(|person| Some(*person) != card.asker);
            let text = Text::from("yes, with ").plain(terms_in_words(terms));
            let text = append(text.plain("; "), awake_in_words(people, persons, card.now));
            text.plain(" · ").code(rule.at.to_string())
        }
        Decision::Hold { rule, .. } => Text::from("yes, but not now · ").code(rule.at.to_string()),
        Decision::Deny { denial, rule } => {
            let text = match denial {
                Denial::NoRule { routes, .. } if routes.is_empty() => {
                    Text::from("no, and no rule lets anybody")
                }
                Denial::NoRule { routes, .. } => {
                    let routes = routes
                        .iter()
                        .map(|route| route_in_words(route, people, card.now));
                    routes.fold(Text::from("no; "), |text, route| {
                        let between = if text.0.len() > 1 { "\n" } else { "" };
                        append(text.plain(between), route)
                    })
                }
                Denial::Never { reason, .. } => Text::from("no, nobody may: ").plain(reason),
                Denial::BreakGlass { .. } => Text::from("no, by break-glass only"),
                Denial::Gone => Text::from("no"),
            };
            match rule {
                Some(rule) => text.plain(" · ").code(rule.at.to_string()),
                None => text,
            }
        }
    }
}

/// Did someone just do it?
fn lately(card: &Card<'_>) -> Text {
    let held_by = match card.decision {
        Decision::Hold {
            hold: Hold::Running { other } | Hold::JustDone { other, .. },
            ..
        } => Some(other),
        _ => None,
    };
    match (held_by, card.latest) {
        (Some(other), _) | (None, Latest::Run(other)) => about(other, card.now),
        (None, Latest::Never) => Text::from("nobody did this before, as far as the ledger goes"),
        (None, Latest::NotAsked) => Text::from("the ledger was not asked; /ops in chat is"),
    }
}

fn check(command: &Command, invocation: &Invocation, project: &Project) -> Text {
    let environment = invocation.environment.as_ref().map(|it| format!(" {it}"));
    match &command.check {
        Some(check) => Text::new().code(format!("/ops {check}{}", environment.unwrap_or_default())),
        None => not_recorded(project),
    }
}

fn undo(command: &Command, project: &Project) -> Text {
    match &command.undo {
        Some(undo) => Text::new().plain(undo),
        None if command.only_reads() => Text::from("nothing to undo: it only reads"),
        None => not_recorded(project),
    }
}

/// Says so where there is no value, and whom to ask for one.
pub(super) fn not_recorded(project: &Project) -> Text {
    let owner = project
        .owner
        .as_ref()
        .map_or("not recorded either", |owner| owner.as_str());
    Text::from("not recorded; the owner is ").plain(owner)
}
