//! The thread of a run: the root message that is edited in place, a line for each event, the last line.

use super::{append, between, field, groups, terms_in_words, title, who};
use crate::domain::{
    Action, ApprovalTerms, Block, Button, Effect, Field, GroupName, Identity, Invocation, Message,
    Outcome, PersonId, Phase, Plan, Run, RunEvent, StepName, StepResult, StepState, Text, Value,
    Verdict, quoted, show_duration, show_elapsed,
};
use jiff::Timestamp;
use std::time::Duration;

/// What a step is printing right now, for the root message.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// The latest lines.
    pub tail: &'a str,
}

/// The same while the replica is away on whose host a step's program runs, or ran.
pub fn root_that_waits(run: &Run, now: Timestamp, until: Timestamp) -> Message {
    let note = Text::new()
        .plain("⏳ the replica that runs the step is away, and its program may still be running: it has until ")
        .time(until)
        .plain(" to come back and say how that ended");
    noted_root(run, now, None, Some(note))
}

/// The one message of a run that is edited in place.
pub fn root(run: &Run, now: Timestamp, live: Option<Live<'_>>) -> Message {
    noted_root(run, now, live, None)
}

fn noted_root(run: &Run, now: Timestamp, live: Option<Live<'_>>, note: Option<Text>) -> Message {
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
    if let Some(note) = note {
        message = message.text(note);
    }
    message.buttons(buttons(run))
}

fn arguments_in_words(invocation: &Invocation) -> Option<String> {
    let words = invocation
        .arguments
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Environment(_)));
    let words: Vec<String> = words
        .map(|(name, value)| format!("{name}={}", quoted(&value.to_string())))
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn buttons(run: &Run) -> Vec<Button> {
    let reference = &run.reference;
    match run.phase {
        Phase::AwaitingApproval { ref proposal, .. } => {
            // Of what the reader sees: a button that was drawn for another plan doesn't count for this one.
            let digits = proposal.as_ref().map(|it| format!(" {}", it.digits()));
            let digits = digits.unwrap_or_default();
            vec![
                Button::primary("Approve", format!("approve {reference}{digits}")),
                Button::danger("Reject", format!("reject {reference}")),
            ]
        }
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

/// What is true now, and what its reader should do: alone on a locked phone it has to be enough.
pub(super) fn headline(run: &Run, now: Timestamp) -> Text {
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
            ..
        } => {
            let text = Text::new().plain("⏸ ").code(title);
            let text = text.plain(format!(" waits for {} until ", missing(terms, approvers.len())));
            return text.time(*until).plain(format!(
                "; they approve or reject it · ref {}",
                run.reference
            ));
        }
        Phase::Queued { .. } => ("⏳", " is about to start; wait, or cancel".to_owned()),
        Phase::Running if run.cancelled_by.is_some() => {
            ("⏳", format!(" is being cancelled, {took}; wait"))
        }
        Phase::Running => match current {
            Some(position) => (
                "⏳",
                format!(" is running: {}, {took}; wait, or cancel", step(position)),
            ),
            None => ("⏳", format!(" is running, {took}; wait, or cancel")),
        },
        Phase::Finished(Outcome::Succeeded) => ("✅", format!(" succeeded in {took}; nothing is left to do")),
        Phase::Finished(Outcome::Failed) => (
            "❌",
            format!(
                " failed at {}, after {took}; see why before you ask again",
                current.map_or_else(|| "the start".to_owned(), step)
            ),
        ),
        Phase::Finished(Outcome::Cancelled) if never_began(run) => {
            let mut text = Text::new().plain("🛑 ").code(title).plain(" was cancelled");
            if let Some(by) = &run.cancelled_by {
                text = text.plain(" by ").person(by);
            }
            return text.plain(format!(
                " before it began; nothing was done; ask again if it is still wanted · ref {}",
                run.reference
            ));
        }
        Phase::Finished(Outcome::Cancelled) => (
            "🛑",
            format!(
                " was cancelled after {} of {total} steps; see what was done before you ask again",
                run.steps_done()
            ),
        ),
        Phase::Finished(Outcome::Expired) if run.plan.is_none() => (
            "⌛",
            " expired: nobody consented in time; nothing was done; ask again if it is still wanted".to_owned(),
        ),
        Phase::Finished(Outcome::Expired) => (
            "⌛",
            " expired: it was not started in time; nothing was done; ask again if it is still wanted".to_owned(),
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

/// What is still missing; of several quorums all that is needed, and how much of it is there.
fn missing(terms: &ApprovalTerms, given: usize) -> String {
    if terms.and.is_empty() {
        let missing = terms.needed().saturating_sub(given);
        let s = if missing == 1 { "" } else { "s" };
        return format!("{missing} approval{s} of {}", groups(&terms.of));
    }
    format!(
        "{} ({given} of {} given)",
        terms_in_words(terms),
        terms.needed()
    )
}

/// Not even in what a database that was set back has lost.
fn never_began(run: &Run) -> bool {
    run.started_at.is_none() && run.doubted_at.is_none()
}

/// The thread's first line: who asked, and which rule allowed it or whose consent it wants.
pub fn first_line(run: &Run, groups_of_requester: &[GroupName]) -> Message {
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

/// Tells everybody; those who have to know are called by a page.
pub fn glass_broken(run: &Run) -> Message {
    let mut text = append(Text::from("🚨 "), who(&run.requester));
    let reason = run.invocation.reason.as_deref().unwrap_or_default();
    text = text
        .plain(" broke the glass for ")
        .code(title(&run.invocation));
    text = text.plain(format!(": {reason}"));
    let says = format!("review {}", run.reference);
    let how = Text::from("somebody else signs it afterwards: ").code(format!("/ops {says}"));
    Message::new(text).text(how).buttons(vec![
        Button::plain("I have reviewed it", says),
        Button::plain("Show it", format!("show {}", run.reference)),
    ])
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
    let within = show_duration(terms.within);
    let text = if approvers.is_empty() {
        text.plain(format!(
            "nobody of {} can be asked by name; ",
            groups(&terms.of)
        ))
    } else {
        text.plain(": please look at this and ")
    };
    let text = text
        .plain("type ")
        .code(format!("/ops approve {}", run.reference))
        .plain(format!(" within {within}"));
    let message = Message::new(text);
    let Phase::AwaitingApproval {
        proposal: Some(proposal),
        ..
    } = &run.phase
    else {
        return message.buttons(buttons(run));
    };
    let digits = Text::from("what would be done, and nothing else: plan ").code(proposal.digits());
    message
        .text(digits)
        .with(Block::Fields(plan_in_words(proposal.shown())))
        .buttons(buttons(run))
}

/// Each step with all that it would do.
pub(super) fn plan_in_words(plan: &Plan) -> Vec<Field> {
    let total = plan.steps.len();
    let steps = plan.steps.iter().enumerate().map(|(position, step)| {
        let words = match &step.action {
            Action::Run(run) => {
                let words = run.argv.iter().map(|word| quoted(&word.to_string()));
                words.collect::<Vec<_>>().join(" ")
            }
            Action::Http(http) => format!("{} {}", http.method, http.url),
        };
        let label = format!("{}/{total} {}", position + 1, step.name);
        let effect = format!(" ({})", step.effect.as_str());
        field(&label, Text::new().code(words).plain(effect))
    });
    steps.collect()
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
    let name = |position: usize, step: &StepName| format!("{}/{total} {step}", position + 1);
    let message = match event {
        RunEvent::Approved { by, .. } => {
            Message::new(Text::new().plain("👍 ").person(by).plain(" approved"))
        }
        RunEvent::Withdrawn { by } => Message::new(
            Text::new()
                .plain("↩️ ")
                .person(by)
                .plain(" takes their consent back"),
        ),
        RunEvent::HandedOver { to } => {
            let mut text = Text::from("🔁 the shift has changed while consent is waited for: ");
            for (position, person) in to.iter().enumerate() {
                let between = if position > 0 { ", " } else { "" };
                text = text.plain(between).ping(person);
            }
            let text = text
                .plain(": please look at this and type ")
                .code(format!("/ops approve {}", run.reference));
            Message::new(text).buttons(buttons(run))
        }
        RunEvent::Proposed { proposal, terms } => {
            let text = Text::from(
                "⚠️ what would be done, or the runbook, has changed: all consent so far is void; look at it anew: plan ",
            );
            let text = text.code(proposal.digits());
            Message::new(text.plain(format!(", needs {}", terms_in_words(terms))))
                .with(Block::Fields(plan_in_words(proposal.shown())))
                .buttons(buttons(run))
        }
        RunEvent::SentBack { by, comment } => {
            let text = Text::new().plain("↩️ ").person(by);
            let mut text = text.plain(format!(" sends it back: {comment}; nothing was done"));
            if let Identity::Person(requester) = &run.requester {
                text = text.plain("; ").ping(requester).plain(": change it and ask again");
            }
            let again = run.invocation.typed_in_full();
            Message::new(text).buttons(vec![Button::plain("Ask again", again)])
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
        RunEvent::Reviewed { by, comment } => {
            let said = if comment.is_empty() { String::new() } else { format!(": {comment}") };
            let text = Text::new().plain("✍️ ").person(by);
            Message::new(text.plain(format!(" has reviewed what was done by break-glass{said}")))
        }
        RunEvent::Joined { by, .. } => Message::new(
            Text::new()
                .plain("👀 ")
                .person(by)
                .plain(" asked for the same and follows this run; nothing was started twice"),
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
            let why = if run.doubted_at.is_some() {
                "may have run in what the database lost"
            } else {
                "interrupted: midwatch stopped while it ran"
            };
            let text = Text::new().plain("⚠️ ").code(name(*position, step));
            Message::new(text.plain(format!(" {why}, outcome unknown; {next}")))
        }
        RunEvent::Doubted => Message::new(Text::new().plain(
            "⚠️ the database was set back to an older state: what this thread shows beyond it really happened, and is \
             not in the ledger any more; nothing that may have been done is done again without a person",
        )),
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
        StepResult::Failed { .. } | StepResult::Rejected { .. } => "✗ ",
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
        StepResult::Rejected { why } => format!("failed: {why}"),
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
