//! What a value may not become: an option, a second argument, another host, another path.

use std::collections::BTreeMap;
use std::time::Duration;

use super::sample;
use super::*;

fn argument(name: &str) -> Segment {
    Segment::Argument(ParameterName::parse(name).unwrap())
}

fn literal(text: &str) -> Segment {
    Segment::Literal(text.to_owned())
}

/// Plans a one-step command with one text parameter `value`.
fn plan_with(action: Action<Template>, value: &Value) -> Result<Plan, Refusal> {
    plan_verified(action, None, value)
}

fn plan_verified(
    action: Action<Template>,
    verify: Option<Action<Template>>,
    value: &Value,
) -> Result<Plan, Refusal> {
    let mut catalog = sample::catalog().clone();
    let project = catalog.projects.values().next().unwrap().clone();
    let name = CommandName::parse("probe").unwrap();
    let kind = ParameterKind::Text {
        matches: None,
        longest: LONGEST_TEXT,
    };
    let defined = FileLine {
        file: "commands/probe.yaml".to_owned(),
        line: 1,
    };
    let parameter = Parameter {
        name: ParameterName::parse("value").unwrap(),
        kind,
        default: None,
        optional: false,
        help: None,
        example: None,
    };
    let step = StepDefinition {
        name: StepName::parse("only").unwrap(),
        action,
        effect: Effect::Once,
        verify,
        timeout: Duration::from_secs(1),
        attempts: 1,
        defined: defined.clone(),
    };
    let command = Command {
        name: name.clone(),
        does: "Probes.".to_owned(),
        risk: Risk::Low,
        undo: None,
        check: None,
        fresh: None,
        one_at_a_time: None,
        parameters: vec![parameter],
        steps: vec![step],
        defined,
    };
    catalog.commands.insert(name.clone(), command.into());
    let arguments = Arguments::from([(ParameterName::parse("value").unwrap(), value.clone())]);
    let invocation = Invocation {
        command: name,
        project: project.name.clone(),
        environment: None,
        arguments,
        again: false,
        reason: None,
        glass: false,
    };
    let person = PersonId::parse("ana").unwrap();
    let permit = decide::permit_for_tests(invocation);
    let run = RunId::of_inbound(&InboundKey::new(&["test"]));
    let of = PlanFor {
        run,
        reference: &run.reference(4),
        requester: &Identity::Person(person),
    };
    plan(permit, &catalog, of)
}

fn run_of(argv: Vec<Template>) -> Action<Template> {
    Action::Run(RunAction {
        argv,
        directory: None,
        environment: BTreeMap::new(),
        pass: Vec::new(),
    })
}

fn argv_of(value: &Value, argv: Vec<Template>) -> Result<Vec<String>, &'static str> {
    let plan = plan_with(run_of(argv), value).map_err(|refusal| refusal.word())?;
    let Action::Run(run) = &plan.steps[0].action else {
        panic!("it is a run")
    };
    Ok(run.argv.iter().map(ToString::to_string).collect())
}

fn http_action() -> Action<Template> {
    Action::Http(HttpAction {
        method: "GET".to_owned(),
        url: Template(vec![literal("http://shop.test/"), argument("value")]),
        headers: BTreeMap::new(),
        json: None,
        expect: Expect {
            status: Vec::new(),
            headers: BTreeMap::new(),
            body: None,
        },
        show: Vec::new(),
        hosts: vec!["shop.test:80".to_owned()],
        redirects: 0,
    })
}

fn url_of(value: &str) -> Result<String, &'static str> {
    let plan = plan_with(http_action(), &Value::Text(value.to_owned()))
        .map_err(|refusal| refusal.word())?;
    let Action::Http(http) = &plan.steps[0].action else {
        panic!("it is http")
    };
    Ok(http.url.to_string())
}

#[test]
fn a_value_is_exactly_one_argument() {
    let program = || Template(vec![literal("printf")]);
    for hostile in [
        "a b",
        "$(id)",
        "`id`",
        "; rm -rf /",
        "a\nb",
        "'\"",
        "*",
        "é\u{202e}",
        "--not-first",
    ] {
        let argv = vec![program(), Template(vec![literal("x="), argument("value")])];
        let expected = vec!["printf".to_owned(), format!("x={hostile}")];
        assert_eq!(
            argv_of(&Value::Text(hostile.to_owned()), argv),
            Ok(expected),
            "{hostile}"
        );
    }
}

#[test]
fn a_value_does_not_become_an_option() {
    let program = || Template(vec![literal("ls")]);
    let alone = || Template(vec![argument("value")]);
    let dash = Value::Text("-la".to_owned());
    assert_eq!(argv_of(&dash, vec![program(), alone()]), Err("bad_value"));
    let ended = vec![program(), Template(vec![literal("--")]), alone()];
    assert_eq!(argv_of(&dash, ended).unwrap(), ["ls", "--", "-la"]);
    let behind_nothing = Template(vec![
        Segment::Attribute("none".to_owned()),
        argument("value"),
    ]);
    assert_eq!(
        argv_of(&dash, vec![program(), behind_nothing]),
        Err("bad_value")
    );
    let list = Value::List(vec![
        Value::Text("a".to_owned()),
        Value::Text("-b".to_owned()),
    ]);
    assert_eq!(argv_of(&list, vec![program(), alone()]), Err("bad_value"));
}

#[test]
fn a_list_alone_becomes_several_arguments_and_else_one() {
    let list = Value::List(vec![
        Value::Text("web1".to_owned()),
        Value::Text("web 2".to_owned()),
    ]);
    let program = || Template(vec![literal("restart")]);
    assert_eq!(
        argv_of(&list, vec![program(), Template(vec![argument("value")])]).unwrap(),
        ["restart", "web1", "web 2"]
    );
    let joined = vec![
        program(),
        Template(vec![literal("--hosts="), argument("value")]),
    ];
    assert_eq!(
        argv_of(&list, joined).unwrap(),
        ["restart", "--hosts=web1,web 2"]
    );
}

#[test]
fn a_value_in_an_address_names_no_other_host_query_or_path() {
    for (value, expected) in [
        ("shop/page", Ok("http://shop.test/shop/page")),
        ("@evil.test/", Ok("http://shop.test/%40evil.test/")),
        ("x?admin=1#f", Ok("http://shop.test/x%3Fadmin%3D1%23f")),
        ("a b%2e", Ok("http://shop.test/a%20b%252e")),
        ("../admin", Err("bad_value")),
        ("a/../../admin", Err("bad_value")),
        ("a\\..\\b", Err("bad_value")),
    ] {
        assert_eq!(url_of(value), expected.map(str::to_owned), "{value}");
    }
}

#[test]
fn a_check_may_reach_the_hosts_that_it_names_itself() {
    let run = run_of(vec![Template(vec![literal("true")])]);
    let value = Value::Text("x".to_owned());
    let plan = plan_verified(run, Some(http_action()), &value).unwrap();
    assert_eq!(plan.steps[0].hosts, ["shop.test:80"]);
}
