//! Answers to questions: help, list, runs, show, why, runbook.

use super::thread::{headline, line, root};
use super::{append, between, field, list, outcome_word, terms_in_words, who};
use crate::domain::{
    Block, Button, Capacity, Catalog, Command, Entry, EnvironmentName, Fact, Field, Message,
    ParameterKind, Phase, Project, Reference, Risk, Run, RunEvent, Text, examples_of,
    show_duration, show_elapsed,
};
use jiff::Timestamp;
use std::fmt::Write as _;
use std::time::Duration;

/// `help`: what can be typed.
pub fn help(catalog: &Catalog, project: Option<&Project>) -> Message {
    let mut commands = Vec::new();
    for command in catalog.commands.values() {
        commands.push(field(
            &command.usage(),
            Text::new().plain(command.does.clone()),
        ));
    }
    let place = match project {
        Some(project) => format!(
            "this channel talks about {}: {}",
            project.name, project.about
        ),
        None => "no project belongs to this channel: name one with project=NAME".to_owned(),
    };
    let own = [
        (
            "help COMMAND",
            "what it does, its parameters, who may run it here",
        ),
        ("list", "commands, and where you may run them"),
        ("runs", "what is running and what ran lately"),
        ("show REF", "one run; why REF: the rule that decided"),
        (
            "join REF",
            "follows a run instead of beginning the same again",
        ),
        ("cancel REF", "stops a run"),
        ("approve REF", "gives consent; reject REF refuses it"),
        ("orient", "what this is, what you may do, whom to call"),
        (
            "who-can COMMAND …",
            "who may run it; COMMAND … --plan shows what it would do",
        ),
        (
            "summary REF",
            "one run in plain words, for people who read no logs",
        ),
        (
            "history COMMAND",
            "whether it always fails, or just did, and since when",
        ),
        (
            "timeline PROJECT",
            "what happened to it; since 3d, about cache narrow it",
        ),
        ("runbook PROJECT", "its prose, by headings"),
        ("may COMMAND …", "what would be decided, without running it"),
        (
            "lock ENV 2h WHY",
            "keeps others from changing it; unlock ENV ends that",
        ),
        (
            "oncall",
            "who is on call and who is next; oncall cover @kim sat, oncall swap @kim sat",
        ),
        (
            "page PROJECT \"what is wrong\"",
            "calls people until somebody answers; ack has it, escalate calls the next",
        ),
        ("handover", "what is open, what happened, what to watch"),
        (
            "link PLATFORM ACCOUNT",
            "lets your account there speak for you, too; unlink takes it away",
        ),
    ];
    let own = own
        .into_iter()
        .map(|(usage, what)| field(usage, Text::from(what)))
        .collect();
    Message::new(
        Text::new()
            .plain("Type ")
            .code("/ops COMMAND ARGUMENTS")
            .plain(", for example ")
            .code(format!("/ops {}", example(catalog, project))),
    )
    .text(Text::new().plain(place))
    .with(Block::Fields(commands))
    .with(Block::Fields(own))
}

fn example(catalog: &Catalog, project: Option<&Project>) -> String {
    let command = catalog.commands.values().max_by_key(|command| {
        (
            command.risk != Risk::High,
            command
                .parameters
                .iter()
                .any(|it| matches!(it.kind, ParameterKind::Environment)),
        )
    });
    command.map_or_else(
        || "help".to_owned(),
        |command| examples_of(command, catalog, project),
    )
}

/// `help COMMAND`.
pub fn help_command(command: &Command, catalog: &Catalog, project: Option<&Project>) -> Message {
    let mut message = Message::new(
        Text::new()
            .code(command.usage())
            .plain(format!(" — {}", command.does)),
    );
    let mut fields = Vec::new();
    for parameter in &command.parameters {
        let mut words = kind_in_words(&parameter.kind);
        match &parameter.default {
            Some(default) => write!(words, ", {default} unless given").unwrap_or_default(),
            None if parameter.optional => words.push_str(", may be left out"),
            None => words.push_str(", required"),
        }
        if let Some(help) = &parameter.help {
            write!(words, " — {help}").unwrap_or_default();
        }
        fields.push(field(parameter.name.as_str(), Text::new().plain(words)));
    }
    if !fields.is_empty() {
        message = message.with(Block::Fields(fields));
    }
    let mut facts = vec![field("risk", Text::new().plain(command.risk.to_string()))];
    if let Some(undo) = &command.undo {
        facts.push(field("undo", Text::new().plain(undo.clone())));
    }
    if let Some(check) = &command.check {
        facts.push(field("check", Text::new().code(format!("/ops {check}"))));
    }
    let steps: Vec<String> = command
        .steps
        .iter()
        .map(|step| format!("{} ({})", step.name, step.effect.as_str()))
        .collect();
    facts.push(field("steps", Text::new().plain(steps.join(" → "))));
    facts.push(field(
        "example",
        Text::new().code(format!("/ops {}", examples_of(command, catalog, project))),
    ));
    facts.push(field(
        "defined",
        Text::new().code(command.defined.to_string()),
    ));
    message.with(Block::Fields(facts))
}

fn kind_in_words(kind: &ParameterKind) -> String {
    use ParameterKind as Kind;
    match kind {
        Kind::Environment => "an environment of the project".to_owned(),
        Kind::Choice(words) => list(words, "or"),
        Kind::Text { .. } => "text".to_owned(),
        Kind::Integer { min, max } if *min == i64::MIN && *max == i64::MAX => {
            "a whole number".to_owned()
        }
        Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Duration { min, max } => format!(
            "a span of time from {} to {}",
            show_duration(*min),
            show_duration(*max)
        ),
        Kind::Boolean => "yes or no".to_owned(),
        Kind::Secret { .. } => "the name of a secret, never its value".to_owned(),
        Kind::List { of, .. } => {
            format!("one or several, separated by commas: {}", kind_in_words(of))
        }
    }
}

/// `list`: commands, and where this person may run them. `may` answers for a command and an environment.
pub fn list_commands(
    catalog: &Catalog,
    project: Option<&Project>,
    may: &dyn Fn(&Command, Option<&EnvironmentName>) -> String,
) -> Message {
    let Some(project) = project else {
        let fields = catalog.projects.values().map(|project| {
            field(
                project.name.as_str(),
                Text::new().plain(project.about.clone()),
            )
        });
        return Message::new(
            Text::new()
                .plain("No project belongs to this channel; these are known. Name one: ")
                .code("/ops list project=NAME"),
        )
        .with(Block::Fields(fields.collect()));
    };
    let mut fields = Vec::new();
    for command in catalog.commands.values() {
        let needs_environment = command
            .parameters
            .iter()
            .any(|it| matches!(it.kind, ParameterKind::Environment));
        let answers: Vec<String> = if needs_environment {
            project
                .environments
                .iter()
                .map(|it| format!("{}: {}", it.name, may(command, Some(&it.name))))
                .collect()
        } else {
            vec![may(command, None)]
        };
        let text = Text::new().plain(format!("{} — you: {}", command.does, answers.join(" · ")));
        fields.push(field(command.name.as_str(), text));
    }
    Message::new(Text::new().plain(format!(
        "Commands for {}, and what the runbook says when you type them",
        project.name
    )))
    .with(Block::Fields(fields))
}

/// `runs`: a line each, newest first.
pub fn runs(runs: &[Run], now: Timestamp) -> Message {
    if runs.is_empty() {
        return Message::new(
            Text::new()
                .plain("No runs yet. ")
                .plain("Type ")
                .code("/ops list")
                .plain(" to see what can be run"),
        );
    }
    let fields = runs.iter().map(|run| {
        let text = append(
            Text::new().code(run.invocation.typed()).plain(" by "),
            who(&run.requester),
        );
        let state = match &run.phase {
            Phase::Finished(outcome) => outcome_word(*outcome).to_owned(),
            Phase::AwaitingApproval { terms, .. } => format!("waits for {}", terms_in_words(terms)),
            Phase::Queued { .. } => "about to start".to_owned(),
            Phase::Running => format!("running for {}", show_elapsed(between(run.created_at, now))),
        };
        field(
            run.reference.as_str(),
            text.plain(format!(" — {state} · {} · ", run.invocation.project))
                .time(run.created_at),
        )
    });
    Message::new(
        Text::new()
            .plain("Runs, newest first; ")
            .code("/ops show REF")
            .plain(" tells one"),
    )
    .with(Block::Fields(fields.collect()))
}

/// What `runs` says below its list of runs that only a newer version can read.
pub fn of_a_newer_version(references: &[Reference]) -> Text {
    let mut text = Text::new().plain("Written by a newer version, which I can't read: ");
    for (n, reference) in references.iter().enumerate() {
        text = text.plain(if n == 0 { "" } else { ", " });
        text = text.code(reference.as_str());
    }
    text
}

/// `show REF`: the run and everything that happened to it.
pub fn show(run: &Run, history: &[Entry], now: Timestamp) -> Message {
    let fields = history.iter().filter_map(|entry| {
        let text = fact_in_words(run, &entry.fact)?;
        Some(field(
            &format!("#{}", entry.sequence),
            append(Text::new().time(entry.at).plain(" "), text),
        ))
    });
    let fields: Vec<Field> = fields.collect();
    let message = root(run, now, None);
    if fields.is_empty() {
        message
    } else {
        message.with(Block::Fields(fields))
    }
}

/// `why REF`: the decision with its rule, revision and groups.
pub fn why(run: &Run, history: &[Entry], now: Timestamp) -> Message {
    let mut message = Message::new(headline(run, now));
    for entry in history {
        let Fact::Decided {
            actor,
            groups,
            capacity,
            confirmed,
            rule,
            plan,
            ..
        } = &entry.fact
        else {
            continue;
        };
        let names: Vec<String> = groups.iter().map(ToString::to_string).collect();
        let mut fields = vec![
            field(
                "asked by",
                append(
                    who(actor),
                    Text::new().plain(format!(", in {} at that moment", list(&names, "and"))),
                ),
            ),
            field(
                "asked for",
                Text::new().code(run.invocation.typed_in_full()),
            ),
            field(
                "decided",
                Text::new()
                    .time(entry.at)
                    .plain(format!(", ledger entry {}", entry.sequence)),
            ),
        ];
        if let Some(rule) = rule {
            fields.push(field(
                "rule",
                Text::new()
                    .code(rule.at.to_string())
                    .plain(format!(", revision {}", rule.revision)),
            ));
        }
        if let Some(capacity) = capacity {
            fields.push(field("acted as", acted_as(capacity)));
        }
        if *confirmed {
            let words = "by a one-time code outside chat";
            fields.push(field("confirmed", Text::from(words)));
        }
        if let Some(plan) = plan {
            fields.push(field(
                "plan",
                Text::new().code(plan.chars().take(16).collect::<String>()),
            ));
        }
        message = message.with(Block::Fields(fields));
    }
    for entry in history {
        if let Fact::Run {
            happened:
                event @ (RunEvent::Approved { .. }
                | RunEvent::Rejected { .. }
                | RunEvent::Settled { .. }),
            ..
        } = &entry.fact
            && let Some(Block::Text(text)) =
                line(run, event, "").and_then(|message| message.blocks.into_iter().next())
        {
            let mut text = append(Text::new().time(entry.at).plain(" "), text);
            if let RunEvent::Approved {
                capacity: Some(capacity),
                ..
            } = event
            {
                text = append(text.plain(", as "), acted_as(capacity));
            }
            if let RunEvent::Approved {
                confirmed: true, ..
            } = event
            {
                text = text.plain(", confirmed by a one-time code outside chat");
            }
            message = message.text(text);
        }
    }
    message
}

/// `oncall(shop), a shift until …`.
fn acted_as(capacity: &Capacity) -> Text {
    let text = Text::new().code(capacity.who.to_string());
    match capacity.until {
        Some(until) => text.plain(", a shift until ").time(until),
        None => text,
    }
}

fn fact_in_words(run: &Run, fact: &Fact) -> Option<Text> {
    match fact {
        Fact::Decided { actor, rule, .. } => {
            let text = append(who(actor), Text::new().plain(" asked"));
            Some(match rule {
                Some(rule) => text.plain("; decided by ").code(rule.at.to_string()),
                None => text,
            })
        }
        Fact::Run {
            happened:
                RunEvent::Finished {
                    outcome,
                    elapsed_ms,
                },
            ..
        } => Some(Text::new().plain(format!(
            "{} after {}",
            outcome_word(*outcome),
            show_elapsed(Duration::from_millis(*elapsed_ms))
        ))),
        Fact::Run { happened, .. } => match line(run, happened, "")?.blocks.into_iter().next()? {
            Block::Text(text) => Some(text),
            Block::Fields(_) | Block::Output(_) | Block::Progress { .. } | Block::Buttons(_) => {
                None
            }
        },
        Fact::Received { .. }
        | Fact::Refused { .. }
        | Fact::Answered { .. }
        | Fact::Link { .. }
        | Fact::Lock { .. }
        | Fact::Covered { .. }
        | Fact::Token { .. }
        | Fact::Page { .. }
        | Fact::CatalogLoaded { .. }
        | Fact::RulesChanged { .. }
        | Fact::CatalogKept { .. }
        | Fact::SetBack { .. }
        | Fact::Service { .. } => None,
    }
}

/// `runbook PROJECT [heading]`: what the project is, its headings, or the procedure asked for with its commands to press.
pub fn runbook(project: &Project, heading: Option<&str>) -> Message {
    let wanted = heading.map(str::to_lowercase);
    let found = wanted.as_ref().and_then(|wanted| {
        project
            .procedures
            .iter()
            .find(|procedure| procedure.heading.to_lowercase().contains(wanted.as_str()))
    });
    if let Some(procedure) = found {
        let buttons = procedure
            .commands
            .iter()
            .take(5)
            .map(|command| Button::plain(command, command.clone()))
            .collect();
        return Message::new(Text::new().bold(procedure.heading.clone()))
            .text(Text::new().plain(procedure.text.trim().to_owned()))
            .buttons(buttons);
    }
    let mut message = Message::new(
        Text::new()
            .bold(project.name.to_string())
            .plain(format!(" — {}", project.about)),
    );
    if let Some(wanted) = heading {
        message = message
            .text(Text::new().plain(format!("no heading has “{wanted}” in it; these are there:")));
    }
    let headings = project.procedures.iter().map(|procedure| {
        let says = format!("/ops runbook {} {}", project.name, procedure.heading);
        field(&procedure.heading, Text::new().code(says))
    });
    let headings: Vec<Field> = headings.collect();
    if headings.is_empty() {
        let owner = project
            .owner
            .as_ref()
            .map_or("not recorded".to_owned(), ToString::to_string);
        return message.text(Text::new().plain(format!(
            "no prose runbook is recorded; the owner is {owner}"
        )));
    }
    message.with(Block::Fields(headings))
}

/// `review`: overrides that nobody else has looked at yet.
pub fn reviews(runs: &[Run], now: Timestamp) -> Message {
    if runs.is_empty() {
        return Message::new(Text::from(
            "✅ every override was looked at by somebody else; there is nothing to review",
        ));
    }
    let fields = runs.iter().map(|run| {
        let text = append(
            Text::new().code(run.invocation.typed()).plain(" by "),
            who(&run.requester),
        );
        let reason = run.invocation.reason.as_deref().unwrap_or("no reason");
        let state = run.outcome().map_or("is open", outcome_word);
        let ago = show_elapsed(between(run.created_at, now));
        field(
            run.reference.as_str(),
            text.plain(format!(
                ": {reason} — {state}, unreviewed for {ago} · {}",
                run.invocation.project
            )),
        )
    });
    let first =
        Text::from("🚨 the glass was broken, and nobody else has looked at it yet; sign with ");
    Message::new(first.code("/ops review REF")).with(Block::Fields(fields.collect()))
}
