//! Every kind of message, made from what the runbooks' own examples lead to: the same rules, plans and words as in earnest.

mod past;

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;

use self::past::past;
use crate::catalog::Loaded;
use crate::dispatch::{form_for, other_run};
use crate::domain::propose;
use crate::domain::{
    Actor, Catalog, Decision, Effect, Facts, Form, Hearing, Hold, Identity, InboundKey, Invocation,
    Message, NoteSigner, OtherRun, Outcome, Permit, Phase, Place, PlanFor, Platform, RuleRef, Run,
    RunEvent, RunId, StepName, StepResult, StepState, Typed, apply, decide, parse, plan, render,
};

/// What somebody gets to see.
pub(super) enum Shown {
    /// A message.
    Message(Message),
    /// A form.
    Form(Form),
}

/// One situation, and what is said in it.
pub(super) struct Scene {
    /// What has happened.
    pub(super) name: &'static str,
    /// In the order in which people see it. Empty where no example of the runbooks leads there.
    pub(super) shown: Vec<Shown>,
}

/// Somebody asked for something, and this was decided.
struct Asked {
    invocation: Invocation,
    actor: Actor,
    decision: Decision,
}

/// All scenes. Fails when no example of the runbooks is allowed: most scenes are of a run.
pub(super) fn all(loaded: &Loaded, now: Timestamp) -> anyhow::Result<Vec<Scene>> {
    let (mut runs, mut others) = (Vec::new(), Vec::new());
    for asked in asked(loaded) {
        match asked.decision {
            Decision::Allow { permit, rule, .. } => {
                let queued = Phase::Queued { since: now };
                let run = new_run(&asked.invocation, &asked.actor, &rule, queued, now);
                runs.extend(planned(permit, loaded, run));
            }
            _ => others.push(asked),
        }
    }
    // The more steps, the more there is to see.
    runs.sort_by_key(|run| std::cmp::Reverse(run.steps.len()));
    let run = runs
        .first()
        .context("no example of the runbooks is allowed: add `examples:` to one, and look again")?;
    let mut scenes = of_a_run(run, now)?;
    scenes.extend(of_consent(&others, loaded, now)?);
    scenes.extend(of_what_is_not_run(&others, run, &loaded.catalog, now));
    scenes.extend(of_words(loaded, run, now));
    scenes.extend(super::calls::of_calls(loaded, run, now));
    Ok(scenes)
}

fn asked(loaded: &Loaded) -> Vec<Asked> {
    let catalog = &loaded.catalog;
    let decided = loaded.examples.iter().filter_map(|example| {
        let own = example.project.to_string();
        let channel = example.in_channel.as_deref().unwrap_or(&own);
        let hearing = Hearing { catalog, channel };
        let Ok(Typed::Invoke(invocation)) = parse(&example.says, &hearing) else {
            return None;
        };
        let actor = catalog.people.actor(&example.who);
        let decision = decide(&invocation, &actor, catalog, &Facts::default(), example.at);
        Some(Asked {
            invocation,
            actor,
            decision,
        })
    });
    decided.collect()
}

/// The run with its plan; `None` where its arguments make none.
fn planned(permit: Permit, loaded: &Loaded, mut run: Run) -> Option<Run> {
    let of = PlanFor {
        run: run.id,
        reference: &run.reference,
        requester: &run.requester,
    };
    let plan = plan(permit, &loaded.catalog, of).ok()?;
    run.steps = vec![StepState::Pending; plan.steps.len()];
    run.plan = Some(plan);
    Some(run)
}

fn new_run(
    invocation: &Invocation,
    actor: &Actor,
    rule: &RuleRef,
    phase: Phase,
    now: Timestamp,
) -> Run {
    let id = RunId::of_inbound(&InboundKey::new(&["preview", &invocation.typed()]));
    Run {
        id,
        reference: id.reference(4),
        invocation: invocation.clone(),
        requester: actor.identity.clone(),
        rule: rule.clone(),
        place: Place {
            platform: Platform::Console,
            space: String::new(),
            channel: invocation.project.to_string(),
            thread: None,
        },
        mirrors: Vec::new(),
        followers: Vec::new(),
        glass: None,
        phase,
        plan: None,
        steps: Vec::new(),
        cancelled_by: None,
        doubted_at: None,
        created_at: now,
        started_at: None,
        finished_at: None,
    }
}

/// A run that goes on, and what its thread says of it.
struct Thread {
    run: Run,
    now: Timestamp,
    shown: Vec<Shown>,
}

impl Thread {
    fn of(run: &Run, now: Timestamp) -> Self {
        Self {
            run: run.clone(),
            now,
            shown: Vec::new(),
        }
    }

    /// It happens; its line is shown with what the step printed.
    fn goes_on(mut self, event: &RunEvent, output: &str) -> anyhow::Result<Self> {
        self.run = apply(&self.run, event, self.now)?;
        let line = render::line(&self.run, event, output);
        self.shown.extend(line.map(Shown::Message));
        Ok(self)
    }

    fn ends(self, outcome: Outcome) -> anyhow::Result<Self> {
        let elapsed_ms = 4_200;
        let mut ended = self.goes_on(
            &RunEvent::Finished {
                outcome,
                elapsed_ms,
            },
            "",
        )?;
        ended.now = later(ended.now, elapsed_ms);
        ended.run.finished_at = Some(ended.now);
        let signer = NoteSigner::new("midwatch/preview", &[7; 32]);
        let note = signer.sign(1_234, [9; 32]);
        let last = render::last_line(&ended.run, ended.now, Some(&note));
        ended.shown.push(Shown::Message(last));
        Ok(ended)
    }

    /// With the root as it is now, which stands above its lines.
    fn with_root(mut self, live: Option<&str>) -> Vec<Shown> {
        let live = live.map(|tail| render::Live { tail });
        let root = render::root(&self.run, self.now, live);
        self.shown.insert(0, Shown::Message(root));
        self.shown
    }
}

fn later(at: Timestamp, ms: u64) -> Timestamp {
    at.saturating_add(Duration::from_millis(ms))
        .unwrap_or(Timestamp::MAX)
}

fn started(step: &StepName, attempt: u32) -> RunEvent {
    RunEvent::StepStarted {
        position: 0,
        step: step.clone(),
        attempt,
    }
}

fn ended(step: &StepName, attempt: u32, result: StepResult) -> RunEvent {
    RunEvent::StepEnded {
        position: 0,
        step: step.clone(),
        attempt,
        result,
        elapsed_ms: 1_300,
        output_sha256: None,
    }
}

const OUTPUT: &str = "connecting to web1\n… 40 %\ndone: *3* of `4` <hosts> answered\n";

fn of_a_run(queued: &Run, now: Timestamp) -> anyhow::Result<Vec<Scene>> {
    let plan = queued.plan.as_ref().context("it has a plan")?;
    let step = plan.steps.first().context("a plan has steps")?.name.clone();
    let Identity::Person(person) = &queued.requester else {
        anyhow::bail!("an example names a person")
    };
    let failed = |why: &str| StepResult::Failed {
        why: why.to_owned(),
    };
    let done = StepResult::Succeeded {
        note: "exit code 0".to_owned(),
    };
    // Tried again, whatever the file says, and alone.
    let mut alone = queued.clone();
    alone.steps.truncate(1);
    if let Some(plan) = &mut alone.plan {
        plan.steps.truncate(1);
        plan.steps[0].attempts = 3;
    }
    let accepted = [
        render::root(queued, now, None),
        render::first_line(queued, &[]),
    ];
    let running = Thread::of(queued, now).goes_on(&started(&step, 1), "")?;
    let retried = Thread::of(&alone, now)
        .goes_on(&started(&step, 1), "")?
        .goes_on(
            &ended(&step, 1, failed("exit code 1, see its output")),
            OUTPUT,
        )?
        .goes_on(&started(&step, 2), "")?;
    let finished = Thread::of(&alone, now)
        .goes_on(&started(&step, 1), "")?
        .goes_on(&ended(&step, 1, done), OUTPUT)?
        .ends(Outcome::Succeeded)?;
    let failed = Thread::of(&alone, now)
        .goes_on(&started(&step, 3), "")?
        .goes_on(&ended(&step, 3, failed("exit code 1, see its output")), "")?
        .ends(Outcome::Failed)?;
    let interrupted = Thread::of(&alone, now)
        .goes_on(&started(&step, 1), "")?
        .goes_on(
            &RunEvent::StepInterrupted {
                position: 0,
                step: step.clone(),
                attempt: 1,
                effect: Effect::Once,
            },
            "",
        )?
        .ends(Outcome::NeedsAttention)?;
    let cancelled = Thread::of(queued, now)
        .goes_on(&started(&step, 1), "")?
        .goes_on(&RunEvent::CancelRequested { by: person.clone() }, "")?
        .goes_on(&ended(&step, 1, StepResult::Stopped), "")?
        .ends(Outcome::Cancelled)?;
    let scene = |name, shown| Scene { name, shown };
    Ok(vec![
        scene("accepted", accepted.map(Shown::Message).into()),
        scene("running", running.with_root(Some(OUTPUT))),
        scene(
            "one step failed and is tried again",
            retried.with_root(None),
        ),
        scene("finished", finished.with_root(None)),
        scene("failed", failed.with_root(None)),
        scene("interrupted", interrupted.with_root(None)),
        scene("cancelled", cancelled.with_root(None)),
    ])
}

fn of_consent(asked: &[Asked], loaded: &Loaded, now: Timestamp) -> anyhow::Result<Vec<Scene>> {
    let wanted = asked.iter().find_map(|it| match &it.decision {
        Decision::RequireApproval { terms, rule, draft } => Some((it, terms, rule, draft)),
        _ => None,
    });
    let mut scenes = ["needs approval", "refused by an approver", "expired"].map(|name| Scene {
        name,
        shown: Vec::new(),
    });
    if let Some((asked, terms, rule, draft)) = wanted {
        let until = later(now, u64::try_from(terms.within.as_millis())?);
        let phase = Phase::AwaitingApproval {
            terms: terms.clone(),
            until,
            approvers: Vec::new(),
            asked: Vec::new(),
            proposal: None,
        };
        let mut run = new_run(&asked.invocation, &asked.actor, rule, phase, now);
        let of = PlanFor {
            run: run.id,
            reference: &run.reference,
            requester: &run.requester,
        };
        let proposal = propose(draft.clone(), &loaded.catalog, of)
            .ok()
            .map(Box::new);
        if let Phase::AwaitingApproval {
            proposal: shown, ..
        } = &mut run.phase
        {
            *shown = proposal;
        }
        let groups: Vec<_> = asked.actor.groups.iter().cloned().collect();
        let people = &loaded.catalog.people;
        let approvers = people.asked_to_consent(terms, &run.requester, now);
        let asks = render::ask_approvers(terms, &run, &approvers);
        let mut waits = Thread::of(&run, now);
        waits.shown = vec![
            Shown::Message(render::first_line(&run, &groups)),
            Shown::Message(asks),
        ];
        scenes[0].shown = waits.with_root(None);
        let reason = "not before the sale is over".to_owned();
        if let Some(by) = approvers.into_iter().next() {
            let rejected = Thread::of(&run, now)
                .goes_on(&RunEvent::Rejected { by, reason }, "")?
                .ends(Outcome::Cancelled)?;
            scenes[1].shown = rejected.with_root(None);
        }
        let mut expired = Thread::of(&run, now);
        expired.now = until;
        scenes[2].shown = expired.ends(Outcome::Expired)?.with_root(None);
    }
    Ok(scenes.into())
}

fn of_what_is_not_run(asked: &[Asked], run: &Run, catalog: &Catalog, now: Timestamp) -> Vec<Scene> {
    let say = |invocation: &Invocation, decision: &Decision| {
        Shown::Message(render::card(&render::Card {
            invocation,
            decision,
            catalog,
            latest: render::Latest::Never,
            plan: None,
            asker: None,
            now,
        }))
    };
    let denied = asked
        .iter()
        .filter(|it| matches!(it.decision, Decision::Deny { .. }))
        .map(|it| say(&it.invocation, &it.decision));
    let other = OtherRun {
        created_at: now.saturating_sub(Duration::from_secs(140)).unwrap_or(now),
        ..other_run(run)
    };
    let ended = OtherRun {
        finished_at: Some(now),
        outcome: Some(Outcome::Succeeded),
        ..other.clone()
    };
    let held = |hold: Hold| {
        let rule = run.rule.clone();
        vec![say(&run.invocation, &Decision::Hold { hold, rule })]
    };
    let scene = |name, shown| Scene { name, shown };
    vec![
        scene("refused", denied.collect()),
        scene(
            "held: someone just did it",
            held(Hold::JustDone {
                other: ended,
                fresh: Duration::from_mins(10),
            }),
        ),
        scene("duplicate: it is running", held(Hold::Running { other })),
        scene(
            "late",
            held(Hold::Late {
                by: Duration::from_secs(340),
                lost: false,
            }),
        ),
    ]
}

fn of_words(loaded: &Loaded, run: &Run, now: Timestamp) -> Vec<Scene> {
    let catalog = &loaded.catalog;
    let project = catalog.projects.get(&run.invocation.project);
    let project = project.map(AsRef::as_ref);
    let channel = run.invocation.project.to_string();
    let hearing = Hearing {
        catalog,
        channel: &channel,
    };
    let typed = |says: &str| parse(says, &hearing).err();
    let name = run.invocation.command.as_str();
    let misspelt = typed(&name[..name.len().saturating_sub(1)]);
    let missing = typed(name);
    let form = missing.as_ref().and_then(|it| form_for(it, &hearing));
    let mut asks: Vec<Shown> = missing
        .iter()
        .map(|it| Shown::Message(it.message()))
        .collect();
    asks.extend(form.map(Shown::Form));
    let mut helps = vec![Shown::Message(render::help(catalog, project))];
    if let Some(command) = catalog.commands.get(&run.invocation.command) {
        helps.push(Shown::Message(render::help_command(
            command, catalog, project,
        )));
    }
    let runs = render::runs(std::slice::from_ref(run), now);
    let command = catalog.commands.get(&run.invocation.command);
    let does = command.map(|command| command.does.as_str());
    let scene = |name, shown| Scene { name, shown };
    vec![
        scene(
            "not understood",
            misspelt
                .iter()
                .map(|it| Shown::Message(it.message()))
                .collect(),
        ),
        scene("an argument is missing", asks),
        scene("help", helps),
        scene("runs", vec![Shown::Message(runs)]),
        past(run, does, now),
    ]
}

/// A run of the ledger, as its thread tells it: the root as it is now, then a line for each event.
pub(super) fn of_ledger(run: &Run, happened: &[(RunEvent, String)], now: Timestamp) -> Scene {
    let mut shown = vec![Shown::Message(render::root(run, now, None))];
    let lines = happened
        .iter()
        .filter_map(|(event, output)| render::line(run, event, output));
    shown.extend(lines.map(Shown::Message));
    if matches!(run.phase, Phase::Finished(_)) {
        shown.push(Shown::Message(render::last_line(run, now, None)));
    }
    Scene {
        name: "the run as its thread tells it",
        shown,
    }
}
