//! What people read: facts in, messages out. The first line alone says what is true now and what to do.
//!
//! Signs always stand beside words, so that nobody needs colours or pictures to understand.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    ApprovalTerms, Block, Button, Catalog, Command, Decision, Denial, Effect, Entry, Fact, Field,
    Hold, Identity, Invocation, Message, OtherRun, Outcome, PersonId, Phase, Project, Route,
    RuleRef, Run, RunEvent, StepResult, StepState, Text, Verdict, Who, examples_of, quoted,
    show_duration, show_elapsed,
};

/// What a step is printing right now, for the root message.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// The latest lines.
    pub tail: &'a str,
}

/// `flush-cache prod` with the arguments that are not defaults, as the thread calls a run.
pub fn title(invocation: &Invocation) -> String {
    let environment = invocation
        .environment
        .as_ref()
        .map(|environment| format!(" {environment}"));
    format!("{}{}", invocation.command, environment.unwrap_or_default())
}

fn who(identity: &Identity) -> Text {
    match identity {
        Identity::Person(person) => Text::new().person(person),
        Identity::Stranger => Text::from("a stranger"),
    }
}

fn field(label: &str, value: Text) -> Field {
    Field {
        label: label.to_owned(),
        value,
    }
}

fn append(mut text: Text, more: Text) -> Text {
    text.0.extend(more.0);
    text
}

fn list(words: &[String], last: &str) -> String {
    match words {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [most @ .., end] => format!("{} {last} {end}", most.join(", ")),
    }
}

fn groups(who: &[Who]) -> String {
    list(
        &who.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "or",
    )
}

/// `1 approval of team-shop`.
pub fn terms_in_words(terms: &ApprovalTerms) -> String {
    let noun = if terms.approvals == 1 {
        "approval"
    } else {
        "approvals"
    };
    format!("{} {noun} of {}", terms.approvals, groups(&terms.of))
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// The one message of a run that is edited in place.
pub fn root(run: &Run, now: Timestamp, live: Option<Live<'_>>) -> Message {
    let mut message = Message::new(headline(run, now));
    let asked = append(
        append(Text::new(), who(&run.requester)),
        Text::new().plain(", ").time(run.created_at),
    );
    let mut fields = vec![field("asked by", asked)];
    if let Some(arguments) = arguments_in_words(&run.invocation) {
        fields.push(field("with", Text::new().code(arguments)));
    }
    if let Some(reason) = &run.invocation.reason {
        fields.push(field("reason", Text::new().plain(reason.clone())));
    }
    fields.push(field(
        "project",
        Text::new().plain(run.invocation.project.to_string()),
    ));
    fields.push(field("rule", Text::new().code(run.rule.at.to_string())));
    message = message.with(Block::Fields(fields));
    let progressing = matches!(
        run.phase,
        Phase::Running | Phase::Queued { .. } | Phase::Finished(_)
    );
    if let (true, total @ 1..) = (progressing, run.steps.len()) {
        message = message.with(Block::Progress {
            done: run.steps_done(),
            total,
        });
    }
    if let Some(live) = live.filter(|live| !live.tail.trim().is_empty()) {
        message = message.with(Block::Output(live.tail.to_owned()));
    }
    message.buttons(buttons(run))
}

fn arguments_in_words(invocation: &Invocation) -> Option<String> {
    let words = invocation
        .arguments
        .iter()
        .filter(|(_, value)| !matches!(value, super::Value::Environment(_)));
    let words: Vec<String> = words
        .map(|(name, value)| format!("{name}={}", quoted(&value.to_string())))
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn buttons(run: &Run) -> Vec<Button> {
    let reference = &run.reference;
    match run.phase {
        Phase::AwaitingApproval { .. } => vec![
            Button::primary("Approve", format!("approve {reference}")),
            Button::danger("Reject", format!("reject {reference}")),
        ],
        Phase::Queued { .. } | Phase::Running if run.cancelled_by.is_none() => {
            vec![Button::danger("Cancel", format!("cancel {reference}"))]
        }
        Phase::Finished(Outcome::NeedsAttention) => vec![
            Button::plain("It happened", format!("settle {reference} happened")),
            Button::plain("It did not", format!("settle {reference} did-not")),
            Button::danger("Run it again", format!("settle {reference} again")),
        ],
        Phase::Queued { .. } | Phase::Running | Phase::Finished(_) => Vec::new(),
    }
}

fn headline(run: &Run, now: Timestamp) -> Text {
    let title = title(&run.invocation);
    let total = run.steps.len();
    let current = run.steps.iter().position(|state| {
        !matches!(
            state,
            StepState::Ended {
                result: StepResult::Succeeded { .. },
                ..
            }
        )
    });
    let step = |position: usize| {
        let name = run
            .plan
            .as_ref()
            .and_then(|plan| plan.steps.get(position))
            .map(|step| step.name.as_str());
        format!(
            "step {} of {total} (`{}`)",
            position + 1,
            name.unwrap_or("?")
        )
    };
    let took = show_elapsed(between(run.created_at, run.finished_at.unwrap_or(now)));
    let (sign, words) = match &run.phase {
        Phase::AwaitingApproval {
            terms,
            until,
            approvers,
        } => {
            let missing = (terms.approvals as usize).saturating_sub(approvers.len());
            let text = Text::new().plain("⏸ ").code(title).plain(format!(
                " waits for {missing} approval{} of {} until ",
                if missing == 1 { "" } else { "s" },
                groups(&terms.of)
            ));
            return text.time(*until).plain(format!(" · ref {}", run.reference));
        }
        Phase::Queued { .. } => ("⏳", " is about to start".to_owned()),
        Phase::Running if run.cancelled_by.is_some() => {
            ("⏳", format!(" is being cancelled, {took}"))
        }
        Phase::Running => match current {
            Some(position) => ("⏳", format!(" is running: {}, {took}", step(position))),
            None => ("⏳", format!(" is running, {took}")),
        },
        Phase::Finished(Outcome::Succeeded) => ("✅", format!(" succeeded in {took}")),
        Phase::Finished(Outcome::Failed) => (
            "❌",
            format!(
                " failed at {}, after {took}",
                current.map_or_else(|| "the start".to_owned(), step)
            ),
        ),
        Phase::Finished(Outcome::Cancelled) => (
            "🛑",
            format!(" was cancelled after {} of {total} steps", run.steps_done()),
        ),
        Phase::Finished(Outcome::Expired) => (
            "⌛",
            " expired: it was not started in time; nothing was done".to_owned(),
        ),
        Phase::Finished(Outcome::NeedsAttention) => {
            let where_ = run
                .unsettled_step()
                .map_or_else(String::new, |position| format!(" at {}", step(position)));
            (
                "⚠️",
                format!(" needs attention: outcome unknown{where_}; a person has to settle it"),
            )
        }
    };
    Text::new()
        .plain(format!("{sign} "))
        .code(title)
        .plain(format!("{words} · ref {}", run.reference))
}

/// The thread's first line: who asked, and which rule allowed it or whose consent it wants.
pub fn first_line(run: &Run, groups_of_requester: &[super::GroupName]) -> Message {
    let mut text = append(Text::new(), who(&run.requester));
    if !groups_of_requester.is_empty() {
        let names: Vec<String> = groups_of_requester
            .iter()
            .map(ToString::to_string)
            .collect();
        text = text.plain(format!(" ({})", names.join(", ")));
    }
    text = text.plain(" asked for ").code(run.invocation.typed());
    let rule = |text: Text| {
        text.code(run.rule.at.to_string())
            .plain(format!(" (revision {})", run.rule.revision))
    };
    match &run.phase {
        Phase::AwaitingApproval { terms, .. } => {
            let text = rule(text.plain(format!(": it needs {}, says ", terms_in_words(terms))));
            Message::new(text)
        }
        Phase::Queued { .. } | Phase::Running | Phase::Finished(_) => {
            let mut message = Message::new(rule(text.plain(": allowed by ")));
            if let Some(plan) = &run.plan {
                let steps: Vec<String> = plan
                    .steps
                    .iter()
                    .map(|step| step.name.to_string())
                    .collect();
                let digest = plan.digest();
                message = message.text(Text::new().plain(format!(
                    "plan {}: {} · risk {}",
                    &digest[..8],
                    steps.join(" → "),
                    plan.risk
                )));
            }
            message
        }
    }
}

/// Asks those who may consent; they are pinged.
pub fn ask_approvers(terms: &ApprovalTerms, run: &Run, approvers: &[PersonId]) -> Message {
    let mut text = Text::new().plain("🙋 ");
    for (position, person) in approvers.iter().enumerate() {
        if position > 0 {
            text = text.plain(", ");
        }
        text = text.ping(person);
    }
    let until = show_duration(terms.within);
    let text = if approvers.is_empty() {
        text.plain(format!(
            "nobody of {} can be asked by name; ",
            groups(&terms.of)
        ))
    } else {
        text.plain(": please look at this and ")
    };
    Message::new(
        text.plain("type ")
            .code(format!("/ops approve {}", run.reference))
            .plain(format!(" within {until}")),
    )
    .buttons(buttons(run))
}

/// Output as the thread shows it: all of it, or head and tail with what was left out counted.
pub fn excerpt(output: &str) -> (String, bool) {
    const LINES: usize = 24;
    const CHARACTERS: usize = 2_000;
    let lines: Vec<&str> = output.trim_end_matches('\n').split('\n').collect();
    if lines.len() <= LINES && output.chars().count() <= CHARACTERS {
        return (output.trim_end_matches('\n').to_owned(), false);
    }
    let cut = |line: &&str| -> String {
        let short: String = line.chars().take(110).collect();
        if short.len() < line.len() {
            format!("{short}…")
        } else {
            short
        }
    };
    let half = (LINES / 3).min(lines.len() / 2).max(1);
    let (head, tail) = (
        &lines[..half],
        &lines[lines.len().saturating_sub(half).max(half)..],
    );
    let left_out = lines.len().saturating_sub(head.len() + tail.len());
    let mut shown: Vec<String> = head.iter().map(cut).collect();
    if left_out > 0 {
        shown.push(format!(
            "… {left_out} lines left out, all of them in the attached file …"
        ));
    }
    shown.extend(tail.iter().map(cut));
    (shown.join("\n"), true)
}

/// One line of the thread for something that happened to a run; `None` for what the root alone tells.
///
/// `output` is what the attempt printed; a platform that showed it live gets none.
pub fn line(run: &Run, event: &RunEvent, output: &str) -> Option<Message> {
    let total = run.steps.len();
    let name = |position: usize, step: &super::StepName| format!("{}/{total} {step}", position + 1);
    let message = match event {
        RunEvent::Approved { by } => {
            Message::new(Text::new().plain("👍 ").person(by).plain(" approved"))
        }
        RunEvent::Allowed { plan } => {
            let digest = plan.digest();
            let steps: Vec<String> = plan
                .steps
                .iter()
                .map(|step| step.name.to_string())
                .collect();
            Message::new(Text::new().plain(format!(
                "consent is complete; the rule was asked again and allows it · plan {}: {}",
                &digest[..8],
                steps.join(" → ")
            )))
        }
        RunEvent::Rejected { by, reason } => {
            let reason = if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            };
            Message::new(
                Text::new()
                    .plain("👎 ")
                    .person(by)
                    .plain(format!(" rejected it{reason}; nothing was done")),
            )
        }
        RunEvent::CancelRequested { by } => Message::new(
            Text::new()
                .plain("🛑 ")
                .person(by)
                .plain(" cancels; the running step is being stopped"),
        ),
        RunEvent::StepStarted {
            position,
            step,
            attempt,
        } => {
            let again = if *attempt > 1 {
                format!(", attempt {attempt}")
            } else {
                String::new()
            };
            Message::new(
                Text::new()
                    .plain("▸ ")
                    .code(name(*position, step))
                    .plain(format!(" started{again}")),
            )
        }
        RunEvent::StepEnded {
            position,
            step,
            attempt,
            result,
            elapsed_ms,
            ..
        } => {
            let text = Text::new().plain(sign(result)).code(name(*position, step));
            let words = step_words(run, *position, *attempt, result);
            let took = show_elapsed(Duration::from_millis(*elapsed_ms));
            let message = Message::new(text.plain(format!(" {words} · {took}")));
            if output.trim().is_empty() {
                message
            } else {
                message.with(Block::Output(excerpt(output).0))
            }
        }
        RunEvent::StepInterrupted {
            position,
            step,
            effect,
            ..
        } => {
            let next = match effect {
                Effect::Read => "it only reads, so it runs again",
                Effect::Idempotent => "doing it twice is as good as once, so it runs again",
                Effect::Keyed => "it is sent again with the same key, so the target does it once",
                Effect::Checked => "its check is asked whether it happened",
                Effect::Once => "it is not repeated; a person has to say what happened",
            };
            let text = Text::new().plain("⚠️ ").code(name(*position, step));
            Message::new(text.plain(format!(
                " interrupted: midwatch stopped while it ran, outcome unknown; {next}"
            )))
        }
        RunEvent::Settled { by, verdict } => {
            let words = match verdict {
                Verdict::Happened => " says that it happened; the run goes on with the next step",
                Verdict::DidNot => " says that it did not happen",
                Verdict::Again => " lets it run again",
            };
            Message::new(Text::new().plain("✍️ ").person(by).plain(words))
        }
        RunEvent::Finished { .. } => return None,
    };
    Some(message)
}

fn sign(result: &StepResult) -> &'static str {
    match result {
        StepResult::Succeeded { .. } => "✓ ",
        StepResult::Failed { .. } => "✗ ",
        StepResult::Unknown { .. } => "⚠️ ",
        StepResult::Stopped => "🛑 ",
    }
}

fn step_words(run: &Run, position: usize, attempt: u32, result: &StepResult) -> String {
    let attempts = run
        .plan
        .as_ref()
        .and_then(|plan| plan.steps.get(position))
        .map_or(1, |step| step.attempts);
    let again = if attempt < attempts && run.outcome().is_none() {
        format!("; attempt {} of {attempts} follows", attempt + 1)
    } else {
        String::new()
    };
    match result {
        StepResult::Succeeded { note } if note.is_empty() => "done".to_owned(),
        StepResult::Succeeded { note } => format!("done: {note}"),
        StepResult::Failed { why } => format!("failed: {why}{again}"),
        StepResult::Unknown { why } => format!("outcome unknown: {why}{again}"),
        StepResult::Stopped => {
            "was stopped midway; what it had done until then is not undone".to_owned()
        }
    }
}

/// The thread's last line: the outcome, what to do next, and the ledger's signed checkpoint as a witness.
pub fn last_line(run: &Run, now: Timestamp, checkpoint: Option<&str>) -> Message {
    let mut message = Message::new(headline(run, now));
    let mut next = Text::new();
    if let Some(plan) = &run.plan {
        let environment = run
            .invocation
            .environment
            .as_ref()
            .map(|name| format!(" {name}"))
            .unwrap_or_default();
        if let (Some(check), true) = (&plan.check, run.steps_done() > 0) {
            next = next
                .plain("check it: ")
                .code(format!("/ops {check}{environment}"));
        }
        let ended_badly = matches!(run.outcome(), Some(Outcome::Failed | Outcome::Cancelled));
        if let (Some(undo), true) = (&plan.undo, ended_badly && run.steps_done() > 0) {
            let between = if next.0.is_empty() { "" } else { "   " };
            next = next.plain(format!("{between}undo: {undo}"));
        }
    }
    if !next.0.is_empty() {
        message = message.text(next);
    }
    if run.outcome() == Some(Outcome::NeedsAttention) {
        message = message.buttons(buttons(run));
    }
    match checkpoint {
        Some(note) => message.with(Block::Output(note.trim_end().to_owned())),
        None => message,
    }
}

/// The answer to an invocation that is not run.
pub fn not_run(invocation: &Invocation, decision: &Decision, now: Timestamp) -> Message {
    let title = title(invocation);
    match decision {
        Decision::Hold { hold, rule } => held(invocation, hold, rule, now),
        Decision::Deny { denial, rule } => denied(&title, denial, rule.as_ref()),
        Decision::RequireApproval { terms, rule } => Message::new(
            Text::new()
                .plain("⏸ ")
                .code(title)
                .plain(format!(" needs {} · ", terms_in_words(terms)))
                .code(rule.at.to_string()),
        ),
        Decision::Allow { rule, .. } => Message::new(
            Text::new()
                .plain("✅ ")
                .code(title)
                .plain(" is allowed by ")
                .code(rule.at.to_string()),
        ),
    }
}

fn held(invocation: &Invocation, hold: &Hold, rule: &RuleRef, now: Timestamp) -> Message {
    let title = title(invocation);
    let again = invocation.typed_in_full();
    let start = |sign: &str| Text::new().plain(format!("{sign} ")).code(title.clone());
    let message = match hold {
        Hold::Late { by } => Message::new(start("⏸").plain(format!(
            " was held: it reached us {} after it was sent; nothing was done",
            show_elapsed(*by)
        )))
        .text(Text::new().plain("still wanted? press the button, or type ").code(format!("/ops {again}")))
        .buttons(vec![Button::primary("Run it now", again)]),
        Hold::Running { other } if other.outcome == Some(Outcome::NeedsAttention) => Message::new(
            start("⏸").plain(format!(" was held: run {} of the same target ended with an unknown outcome; nothing was done", other.reference)),
        )
        .text(Text::new().plain("look at it with ").code(format!("/ops show {}", other.reference)).plain(", then settle it"))
        .buttons(vec![Button::plain("Show it", format!("show {}", other.reference))]),
        Hold::Running { other } => Message::new(start("⏸").plain(" was held: it is running already; nothing was started twice"))
            .text(about(other, now))
            .text(Text::new().plain("follow it with ").code(format!("/ops show {}", other.reference)))
            .buttons(vec![Button::plain("Show it", format!("show {}", other.reference))]),
        Hold::JustDone { other, fresh } => Message::new(
            start("⏸").plain(format!(" was held: someone just did it (less than {} ago); nothing was done", show_duration(*fresh))),
        )
        .text(about(other, now))
        .text(Text::new().plain("run it all the same: ").code(format!("/ops {again} --again")))
        .buttons(vec![
            Button::plain("Show that run", format!("show {}", other.reference)),
            Button::danger("Run it again", format!("{again} --again")),
        ]),
    };
    message.text(Text::new().plain("allowed by ").code(rule.at.to_string()))
}

fn about(other: &OtherRun, now: Timestamp) -> Text {
    let mut text = append(
        Text::new()
            .plain("run ")
            .code(other.reference.to_string())
            .plain(" of "),
        who(&other.requester),
    );
    text = text.plain(", ").time(other.created_at);
    match (other.finished_at, other.outcome) {
        (Some(finished), Some(outcome)) => text.plain(format!(
            ": {} in {}",
            outcome_word(outcome),
            show_elapsed(between(other.created_at, finished))
        )),
        _ => text.plain(format!(
            ": running for {}",
            show_elapsed(between(other.created_at, now))
        )),
    }
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Expired => "expired",
        Outcome::NeedsAttention => "needs attention",
    }
}

fn denied(title: &str, denial: &Denial, rule: Option<&RuleRef>) -> Message {
    let start = Text::new().plain("⛔ ").code(title);
    let at = |text: Text| match rule {
        Some(rule) => text.plain(" · ").code(rule.at.to_string()),
        None => text,
    };
    match denial {
        Denial::Gone => Message::new(start.plain(" is not in the catalog any more; nothing was done"))
            .text(Text::new().plain("see what there is: ").code("/ops list")),
        Denial::NoRule { routes, contact, on_call } => {
            let mut message = Message::new(at(start.plain(" is not yours to run: no rule allows it; nothing was done")));
            for route in routes {
                message = message.text(route_in_words(route));
            }
            message.text(contact_in_words(contact, on_call))
        }
        Denial::Never { reason, contact, on_call } => {
            Message::new(at(start.plain(format!(" is forbidden here: {reason}; nothing was done"))))
                .text(contact_in_words(contact, on_call))
        }
        Denial::BreakGlass { contact, on_call } => Message::new(at(start.plain(
            " is allowed to you by break-glass only, and this version can't break glass yet; nothing was done",
        )))
        .text(contact_in_words(contact, on_call)),
    }
}

fn route_in_words(route: &Route) -> Text {
    let mut text = Text::new().plain(format!("who may: {}", groups(&route.who)));
    for (position, person) in route.persons.iter().enumerate() {
        text = text
            .plain(if position == 0 { " (" } else { ", " })
            .person(person);
    }
    if !route.persons.is_empty() {
        text = text.plain(")");
    }
    if let Some(when) = &route.when {
        text = text.plain(format!(", {when} only"));
    }
    if let Some(terms) = &route.approvals {
        text = text.plain(format!(", with {}", terms_in_words(terms)));
    }
    text.plain(" · ").code(route.at.to_string())
}

fn contact_in_words(contact: &str, on_call: &[PersonId]) -> Text {
    let mut text = Text::new().plain(format!("next: {contact}"));
    for (position, person) in on_call.iter().enumerate() {
        text = text
            .plain(if position == 0 {
                " · on call now: "
            } else {
                ", "
            })
            .person(person);
    }
    text
}

/// One line that says how a decision ends; what `examples` in runbooks are compared with.
pub fn decision_in_words(decision: &Decision) -> String {
    match decision {
        Decision::Allow { .. } => "allowed".to_owned(),
        Decision::RequireApproval { terms, .. } => format!("needs {}", terms_in_words(terms)),
        Decision::Hold {
            hold: Hold::Late { .. },
            ..
        } => "held: late".to_owned(),
        Decision::Hold {
            hold: Hold::Running { .. },
            ..
        } => "held: it is running".to_owned(),
        Decision::Hold {
            hold: Hold::JustDone { .. },
            ..
        } => "held: someone just did it".to_owned(),
        Decision::Deny {
            denial: Denial::Gone,
            ..
        } => "denied: not in the catalog".to_owned(),
        Decision::Deny {
            denial: Denial::NoRule { .. },
            ..
        } => "denied".to_owned(),
        Decision::Deny {
            denial: Denial::Never { reason, .. },
            ..
        } => format!("denied: {reason}"),
        Decision::Deny {
            denial: Denial::BreakGlass { .. },
            ..
        } => "denied: by break-glass only".to_owned(),
    }
}

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
        ("cancel REF", "stops a run"),
        ("approve REF", "gives consent; reject REF refuses it"),
        ("runbook PROJECT", "its prose, by headings"),
        ("may COMMAND …", "what would be decided, without running it"),
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
            command.risk != super::Risk::High,
            command
                .parameters
                .iter()
                .any(|it| matches!(it.kind, super::ParameterKind::Environment)),
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

fn kind_in_words(kind: &super::ParameterKind) -> String {
    use super::ParameterKind as Kind;
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
    may: &dyn Fn(&Command, Option<&super::EnvironmentName>) -> String,
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
            .any(|it| matches!(it.kind, super::ParameterKind::Environment));
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
            message = message.text(append(Text::new().time(entry.at).plain(" "), text));
        }
    }
    message
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
        | Fact::CatalogLoaded { .. }
        | Fact::CatalogKept { .. }
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
