//! A small catalog with every kind of parameter, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::{
    Action, Catalog, Command, CommandName, Effect, Environment, EnvironmentName, FileLine, Layer,
    LevelName, Otherwise, Parameter, ParameterKind, ParameterName, Person, PersonId, Procedure,
    Project, ProjectName, Risk, Rotation, RotationName, RunAction, SecretName, Shifts,
    StepDefinition, StepName, Turns, Value,
};

fn here() -> FileLine {
    FileLine {
        file: "commands/sample.yaml".to_owned(),
        line: 1,
    }
}

fn parameter(name: &str, kind: ParameterKind) -> Parameter {
    Parameter {
        name: ParameterName::parse(name).unwrap(),
        kind,
        default: None,
        optional: false,
        help: None,
        example: None,
    }
}

impl Parameter {
    fn or(mut self, default: Value) -> Self {
        self.default = Some(default);
        self
    }

    fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    fn such_as(mut self, example: &str) -> Self {
        self.example = Some(example.to_owned());
        self
    }
}

fn command(name: &str, parameters: Vec<Parameter>) -> Command {
    Command {
        name: CommandName::parse(name).unwrap(),
        does: format!("Does {name}."),
        risk: Risk::Low,
        undo: None,
        check: None,
        fresh: None,
        one_at_a_time: None,
        parameters,
        steps: vec![StepDefinition {
            name: StepName::parse("only").unwrap(),
            action: Action::Run(RunAction {
                argv: Vec::new(),
                directory: None,
                environment: BTreeMap::new(),
                pass: Vec::new(),
            }),
            effect: Effect::Once,
            verify: None,
            timeout: Duration::from_secs(30),
            attempts: 1,
            defined: here(),
        }],
        defined: here(),
    }
}

fn project(name: &str, environments: &[&str], headings: &[&str]) -> Project {
    Project {
        limits: crate::domain::Limits::default(),
        second_factor: None,
        freezes: Vec::new(),
        fingerprint: "0".to_owned(),
        name: ProjectName::parse(name).unwrap(),
        about: format!("The {name}."),
        owner: None,
        environments: environments
            .iter()
            .map(|name| Environment {
                name: EnvironmentName::parse(name).unwrap(),
                attributes: BTreeMap::new(),
            })
            .collect(),
        rules: Vec::new(),
        otherwise: Otherwise {
            text: "ask in #help".to_owned(),
            on_call: Vec::new(),
            defined: here(),
        },
        escalation: Vec::new(),
        mirrors: Vec::new(),
        procedures: headings
            .iter()
            .map(|heading| Procedure {
                heading: (*heading).to_owned(),
                level: 2,
                text: String::new(),
                commands: Vec::new(),
            })
            .collect(),
        defined: here(),
    }
}

fn text(pattern: Option<&str>) -> ParameterKind {
    let anchored = |p: &str| regex::Regex::new(&format!("^(?:{p})$")).unwrap();
    ParameterKind::Text {
        matches: pattern.map(anchored),
        longest: 200,
    }
}

fn commands() -> Vec<Command> {
    let span = |text: &str| super::parse_duration(text).unwrap();
    let choice =
        |words: &[&str]| ParameterKind::Choice(words.iter().map(|w| (*w).to_owned()).collect());
    let secret = |names: &[&str]| ParameterKind::Secret {
        names: names
            .iter()
            .map(|n| SecretName::parse(n).unwrap())
            .collect(),
    };
    let list = |of: ParameterKind| ParameterKind::List {
        of: Box::new(of),
        longest: 5,
    };
    let environment = || parameter("environment", ParameterKind::Environment);
    vec![
        command(
            "flush-cache",
            vec![
                environment(),
                parameter("path", text(Some(r"/[\w/.-]{0,200}"))).or(Value::Text("/".to_owned())),
            ],
        ),
        command(
            "deploy",
            vec![
                parameter("note", text(None)).optional(),
                parameter("version", text(Some(r"v\d+\.\d+"))).such_as("v1.2"),
                environment(),
                parameter("dry-run", ParameterKind::Boolean).or(Value::Boolean(false)),
                parameter("strategy", choice(&["Rolling", "blue-green"]))
                    .or(Value::Text("Rolling".to_owned())),
            ],
        ),
        command(
            "restart",
            vec![
                environment(),
                parameter("count", ParameterKind::Integer { min: 1, max: 9 }).or(Value::Integer(1)),
                parameter(
                    "pause",
                    ParameterKind::Duration {
                        min: span("1s"),
                        max: span("1h"),
                    },
                )
                .or(Value::DurationMs(10_000)),
                parameter("hosts", list(text(None))).optional(),
            ],
        ),
        command(
            "rotate-secret",
            vec![
                environment(),
                parameter("secret", secret(&["varnish", "database"])),
            ],
        ),
        command("forget", vec![parameter("secret", secret(&[]))]),
        command(
            "copy-data",
            vec![
                parameter("from", ParameterKind::Environment),
                parameter("to", ParameterKind::Environment),
                parameter("tables", list(choice(&["users", "orders"]))),
            ],
        ),
        command(
            "say",
            vec![
                parameter("words", text(None)).or(Value::Text("hello".to_owned())),
                parameter("times", ParameterKind::Integer { min: -5, max: 5 }),
            ],
        ),
        command(
            "look",
            vec![
                parameter("at", text(None)).optional(),
                environment().optional(),
            ],
        ),
        command(
            "check-all",
            vec![
                parameter("environments", list(ParameterKind::Environment))
                    .or(Value::List(Vec::new())),
            ],
        ),
        command(
            "usual",
            vec![environment().or(Value::Environment(
                EnvironmentName::parse("staging").unwrap(),
            ))],
        ),
        command("status", Vec::new()),
    ]
}

/// Made once: compiling patterns is slow where nothing is optimised.
pub(super) fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(made);
    &CATALOG
}

/// Projects `shop` (channel `C-SHOP`), `blog` (channel `C-BLOG`) and `bare`, which has no environments.
fn made() -> Catalog {
    let projects = [
        project(
            "shop",
            &["staging", "prod"],
            &["Flush the cache", "Trouble"],
        ),
        project("blog", &["live"], &[]),
        project("bare", &[], &[]),
    ];
    let name = |text: &str| ProjectName::parse(text).unwrap();
    let mut catalog = Catalog {
        commands: commands()
            .into_iter()
            .map(|command| (command.name.clone(), Arc::new(command)))
            .collect(),
        projects: projects
            .into_iter()
            .map(|project| (project.name.clone(), Arc::new(project)))
            .collect(),
        channels: [("C-SHOP", "shop"), ("C-BLOG", "blog")]
            .map(|(channel, project)| (channel.to_owned(), name(project)))
            .into(),
        ..Catalog::default()
    };
    for id in ["ana", "bo", "kim"] {
        let id = PersonId::parse(id).unwrap();
        let person = Person {
            hours: None,
            second_factor: None,
            name: id.to_string(),
            accounts: BTreeMap::new(),
        };
        catalog.people.persons.insert(id, person);
    }
    let levels = |person: &str| {
        let turns = Turns {
            zone: jiff::tz::TimeZone::UTC,
            starts: jiff::civil::date(2026, 1, 5).at(9, 0, 0, 0),
            every_days: 7,
            persons: vec![PersonId::parse(person).unwrap()],
        };
        let layer = Layer {
            shifts: Shifts::Turns(turns),
            when: None,
            holidays: None,
        };
        [(LevelName::parse("oncall").unwrap(), vec![layer])].into()
    };
    for (name, person) in [("shop", "ana"), ("web", "kim")] {
        let rotation = Rotation {
            zone: jiff::tz::TimeZone::UTC,
            levels: levels(person),
            holidays: std::collections::BTreeSet::new(),
            covers: Vec::new(),
        };
        let name = RotationName::parse(name).unwrap();
        catalog.people.rotations.insert(name, rotation);
    }
    catalog
        .people
        .accounts
        .insert("slack:T0/U0KIM".to_owned(), PersonId::parse("kim").unwrap());
    catalog
}
