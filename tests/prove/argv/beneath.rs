//! Beneath the grammar: values that no line of chat can hold, handed to decision, plan and actions.

use std::collections::BTreeMap;
use std::sync::Arc;

use midwatch::catalog::{Folders, load};
use midwatch::clock::Clock;
use midwatch::domain::{
    Arguments, Catalog, CommandName, Decision, Facts, Identity, InboundKey, Invocation,
    ParameterName, PersonId, Plan, PlanFor, ProjectName, RunId, StepResult, Value, decide, plan,
};
use midwatch::engine::actions::{HttpClient, Surroundings};
use midwatch::engine::secrets::LocalSecrets;

use super::places::{Command, Expected, Places, expected};
use crate::bot::Home;
use crate::lab::perform_step;

/// Hands every value to every place, and says what came of it.
pub(super) async fn prove(home: &Home, places: &Places<'_>, values: &[String]) -> String {
    let folders = Folders {
        commands: home.path("commands"),
        runbooks: home.path("runbooks"),
    };
    let catalog = load(&folders, &BTreeMap::new()).catalog;
    let surroundings = surroundings(home);
    let (mut arrived, mut refused, mut not_started) = (0, 0, 0);
    for (n, value) in values.iter().enumerate() {
        for command in [
            Command::Program,
            Command::Behind,
            Command::Request,
            Command::Guarded,
        ] {
            let run = RunId::of_inbound(&InboundKey::new(&[
                "beneath",
                &n.to_string(),
                command.name(),
            ]));
            let impossible = can_not_be_handed_over(command, value);
            if command == Command::Guarded && impossible {
                continue; // One of its two steps is possible; the other commands have shown both.
            }
            let id = run.to_string();
            let what = format!("`{}` of {value:?} beneath the grammar", command.name());
            let plan = plan_of(&catalog, command, value, run);
            let (plan, parts) = match (plan, expected(command, std::slice::from_ref(value))) {
                (None, Expected::Refused) => {
                    refused += 1;
                    continue;
                }
                (Some(plan), Expected::Arrives(parts)) => (plan, parts),
                (plan, expected) => panic!(
                    "{what}: {plan:?}, expected {expected:?}, seed {}",
                    places.seed
                ),
            };
            let results = perform_all(&plan, &surroundings).await;
            let failed = results
                .iter()
                .any(|result| matches!(result, StepResult::Failed { .. }));
            assert_eq!(
                failed, impossible,
                "{what}: {results:?}, seed {}",
                places.seed
            );
            places.judge(&id, (!impossible).then_some(&parts), &what);
            if impossible {
                not_started += 1;
            } else {
                arrived += 1;
            }
        }
    }
    format!("{arrived} arrived, {refused} refused, {not_started} neither started nor sent")
}

/// What neither the system nor HTTP can carry: then nothing may happen at all.
fn can_not_be_handed_over(command: Command, value: &str) -> bool {
    let no_argument = value.contains('\0') || value.len() > 100_000;
    let no_header = value.chars().any(|c| c.is_ascii_control() && c != '\t');
    match command {
        Command::Program | Command::Behind => no_argument,
        Command::Request => no_header || value.len() > 20_000,
        Command::Guarded | Command::Several => no_argument || no_header,
    }
}

fn plan_of(catalog: &Catalog, command: Command, value: &str, run: RunId) -> Option<Plan> {
    let argument = |name: &str, value| (ParameterName::parse(name).expect("it is a name"), value);
    let mut arguments = Arguments::from([argument("value", Value::Text(value.to_owned()))]);
    let project = ProjectName::parse("shop").expect("it is a name");
    let mut environment = None;
    if command == Command::Behind {
        let here = catalog.projects[&project].environments[0].name.clone();
        arguments.extend([argument("here", Value::Environment(here.clone()))]);
        environment = Some(here);
    }
    let invocation = Invocation {
        command: CommandName::parse(command.name()).expect("it is a name"),
        project,
        environment,
        arguments,
        again: false,
        reason: None,
        glass: false,
    };
    let ana = PersonId::parse("ana").expect("it is a name");
    let actor = catalog.people.actor(&ana);
    let decision = decide(
        &invocation,
        &actor,
        catalog,
        &Facts::default(),
        Clock::system().now(),
    );
    let Decision::Allow { permit, .. } = decision else {
        panic!("it is allowed: {decision:?}");
    };
    let of = PlanFor {
        run,
        reference: &run.reference(4),
        requester: &Identity::Person(ana),
    };
    let plan = plan(permit, catalog, of).ok()?;
    // As the store gives it back.
    let stored = serde_json::to_string(&plan).expect("a plan can be stored");
    Some(serde_json::from_str(&stored).expect("a plan can be read"))
}

/// Does the steps in order, as far as they succeed.
async fn perform_all(plan: &Plan, surroundings: &Surroundings) -> Vec<StepResult> {
    let mut results = Vec::new();
    for step in &plan.steps {
        let data = surroundings.directory.join("data");
        let result = perform_step(step, surroundings, &data).await;
        let go_on = matches!(result, StepResult::Succeeded { .. });
        results.push(result);
        if !go_on {
            break;
        }
    }
    results
}

fn surroundings(home: &Home) -> Surroundings {
    let path = midwatch::config::environment()
        .remove("PATH")
        .unwrap_or_default();
    let environment = BTreeMap::from([("PATH".to_owned(), path)]);
    Surroundings {
        secrets: Arc::new(LocalSecrets::new(&environment, None)),
        directory: home.path(""),
        environment: Arc::new(environment),
        http: HttpClient::new().expect("a client"),
        supervisor: crate::bot::MIDWATCH.into(),
    }
}
