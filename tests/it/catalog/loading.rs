//! What the files become.

use std::time::Duration;

use midwatch::domain::{
    Action, Condition, Effect, Grant, ParameterKind, Platform, Risk, Segment, Speaker, SpeakerKind,
    Value, Who,
};

use super::folders::{Files, LOOK, SHOP};

/// The sketches of the design, as they stand there.
const FLUSH: &str = r#"
command: flush-cache
does: Empties the Varnish cache of one environment. Pages are slow for about three minutes.
risk: medium                     # low | medium | high
undo: none, the cache refills by itself
check: look              # the command that shows whether it worked
fresh: 10m                       # a second call within this is held: someone just did it
one_at_a_time: environment       # a second caller joins the running run

parameters:
  environment: { type: environment }
  path: { type: text, matches: '^/[\w/.-]{0,200}$', default: / }

steps:
  - name: ban
    run: [varnishadm, -T, "{environment.varnish}", -S, "{secret.varnish}", ban, "req.url ~ ^{path}"]
    effect: idempotent
    timeout: 30s
  - name: verify
    http: { get: "{environment.url}{path}", expect: { status: 200 } }
    effect: read
"#;

const SKETCH: &str = r#"
project: shop
about: The web shop. Three Varnish in front of four Rails hosts.
owner: team
environments:
  staging: { url: "http://…", varnish: "127.0.0.1:6082" }
  prod:    { url: "http://…", varnish: "127.0.0.1:6082", dashboards: ["https://…"] }

rules:
  - may: [flush-cache, look]
    in: staging
    who: engineering
  - may: flush-cache
    in: prod
    who: [team, oncall(shop)]
  - may: flush-cache
    in: prod
    who: engineering
    after: { approvals: 1, of: team, within: 15m }      # never the requester
  - otherwise: ask in #shop-help, or call oncall(shop)

escalation:                      # used by pages and by approvals that nobody answers
  - { at: 5m,  call: team, say_so: true }
  - { at: 0m,  call: oncall(shop) }

examples:                        # run by `midwatch check` and by the tests
  - { who: bo, says: flush-cache prod, then: needs 1 approval of team }
"#;

fn command(steps_and_parameters: &str) -> Files {
    let text = format!("command: do\ndoes: It.\n{steps_and_parameters}");
    Files::usual().with("commands/do.yaml", text)
}

#[test]
fn a_command_is_read_as_the_design_sketches_it() {
    let loaded = Files::usual()
        .with("commands/flush-cache.yaml", FLUSH)
        .load();
    let command = &loaded.catalog.commands["flush-cache"];
    assert_eq!(loaded.diagnostics.len(), 0, "{:?}", loaded.diagnostics);
    assert_eq!(command.risk, Risk::Medium);
    assert_eq!(command.fresh, Some(Duration::from_mins(10)));
    assert_eq!(command.usage(), "flush-cache <environment> [path]");
    assert_eq!(command.defined.to_string(), "commands/flush-cache.yaml:2");
    let [ban, verify] = command.steps.as_slice() else {
        panic!("{:?}", command.steps);
    };
    assert_eq!(
        (ban.effect, ban.timeout),
        (Effect::Idempotent, Duration::from_secs(30))
    );
    assert_eq!(
        (verify.effect, verify.timeout),
        (Effect::Read, Duration::from_mins(1))
    );
    let Action::Run(run) = &ban.action else {
        panic!("{:?}", ban.action)
    };
    assert_eq!(run.argv[1].0, [Segment::Literal("-T".into())]);
    assert_eq!(run.argv[2].0, [Segment::Attribute("varnish".into())]);
    let Action::Http(http) = &verify.action else {
        panic!("{:?}", verify.action)
    };
    assert_eq!(
        (http.method.as_str(), http.expect.status.as_slice()),
        ("GET", &[200][..])
    );
}

#[test]
fn a_runbook_is_read_as_the_design_sketches_it() {
    let files = Files::usual()
        .with("commands/flush-cache.yaml", FLUSH)
        .with("runbooks/shop.yaml", SKETCH);
    let loaded = files.load();
    assert!(!loaded.has_errors(), "{}", files.rendered());
    let project = &loaded.catalog.projects["shop"];
    assert_eq!(project.environments[0].name.as_str(), "staging");
    assert_eq!(project.rules.len(), 3);
    assert_eq!(
        project.rules[1].defined.to_string(),
        "runbooks/shop.yaml:13"
    );
    let Grant::Approval(terms) = &project.rules[2].grant else {
        panic!("{:?}", project.rules[2]);
    };
    assert_eq!(
        (terms.approvals, terms.within),
        (1, Duration::from_mins(15))
    );
    assert_eq!(
        project.otherwise.text,
        "ask in #shop-help, or call oncall(shop)"
    );
    assert_eq!(project.otherwise.on_call[0].to_string(), "oncall(shop)");
    assert_eq!(project.escalation[0].at, Duration::ZERO);
    assert_eq!(loaded.examples[0].then, "needs 1 approval of team");
}

#[test]
fn parameters_keep_the_order_of_the_file() {
    let loaded = command(
        "parameters:\n  zone: { type: text }\n  environment: { type: environment }\n  age: { type: integer }\nsteps: [{ name: x, run: [uptime], effect: read }]\n",
    )
    .load();
    assert_eq!(
        loaded.catalog.commands["do"].usage(),
        "do <zone> <environment> <age>"
    );
}

#[test]
fn every_type_of_parameter_is_read() {
    let files = command(
        "parameters:
  environment: { type: environment }
  text: { type: text, matches: '[a-z]+', longest: 5, default: ab }
  choice: { type: choice, choices: [1, two, true], default: 1 }
  integer: { type: integer, min: -5, max: 5, default: 0 }
  duration: { type: duration, min: 1s, max: 1h, default: 90s }
  boolean: { type: boolean, default: false }
  secret: { type: secret, names: [api], default: api }
  maybe: { type: text, optional: true, help: Perhaps., example: x }
  list: { type: list, of: choice, choices: [a, b], longest: 2, default: [a, b] }
steps: [{ name: x, run: [uptime], effect: read }]
",
    );
    let loaded = files.load();
    assert_eq!(files.rendered(), "");
    let command = &loaded.catalog.commands["do"];
    let default = |name: &str| command.parameter(name).unwrap().default.clone().unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(default("choice"), text("1"));
    assert_eq!(default("integer"), Value::Integer(0));
    assert_eq!(default("duration"), Value::DurationMs(90_000));
    assert_eq!(default("boolean"), Value::Boolean(false));
    assert_eq!(default("secret").to_string(), "api");
    assert_eq!(default("list"), Value::List(vec![text("a"), text("b")]));
    assert!(!command.parameter("maybe").unwrap().required());
    let ParameterKind::Text {
        matches: Some(pattern),
        longest: 5,
    } = &command.parameter("text").unwrap().kind
    else {
        panic!("{command:?}");
    };
    assert!(
        pattern.is_match("abc") && !pattern.is_match("abc1"),
        "anchored: {pattern}"
    );
}

#[test]
fn numbers_and_words_stay_as_they_are_written_where_text_is_expected() {
    let loaded = command(
        "parameters: { environment: { type: environment } }\nsteps: [{ name: x, run: [echo, 1.10, 007, no, true, 0x1F], effect: read }]\n",
    )
    .load();
    let Action::Run(run) = &loaded.catalog.commands["do"].steps[0].action else {
        panic!("{loaded:?}");
    };
    let words: Vec<_> = run.argv.iter().map(|word| word.0[0].clone()).collect();
    let expected = ["echo", "1.10", "007", "no", "true", "0x1F"];
    assert_eq!(
        words,
        expected.map(|word| Segment::Literal(word.to_owned()))
    );
}

#[test]
fn risk_follows_from_the_steps_when_it_is_not_said() {
    let risk = |effect: &str| {
        let files = command(&format!(
            "steps: [{{ name: x, run: [uptime], effect: {effect} }}]\n"
        ));
        files.load().catalog.commands["do"].risk
    };
    assert_eq!((risk("read"), risk("once")), (Risk::Low, Risk::Medium));
}

#[test]
fn a_host_that_the_address_names_is_allowed() {
    let hosts = |url: &str| {
        let files = command(&format!(
            "parameters: {{ environment: {{ type: environment }} }}\nsteps: [{{ name: x, http: {{ get: \"{url}\", hosts: [a.example] }}, effect: read }}]\n"
        ));
        let loaded = files.load();
        let Action::Http(http) = loaded.catalog.commands["do"].steps[0].action.clone() else {
            panic!("{loaded:?}");
        };
        http.hosts
    };
    assert_eq!(
        hosts("http://B.example:81/{environment}"),
        ["a.example", "b.example:81"]
    );
    assert_eq!(hosts("https://b.example"), ["a.example", "b.example"]);
    assert_eq!(hosts("{environment.url}/x"), ["a.example"]);
}

#[test]
fn a_broken_command_leaves_the_others_and_causes_no_other_mistake() {
    let files = Files::usual()
        .with("commands/broken.yaml", "command: broken\ndoes: [\n")
        .with(
            "commands/other.yaml",
            "command: half\ndoes: It.\nsteps: []\n",
        )
        .with(
            "commands/good.yaml",
            LOOK.replace("command: look", "command: good\ncheck: broken"),
        )
        .with(
            "runbooks/shop.yaml",
            SHOP.replace("may: look", "may: [look, broken, half]"),
        );
    let loaded = files.load();
    assert_eq!(loaded.diagnostics.len(), 2, "{}", files.rendered());
    assert_eq!(
        loaded
            .catalog
            .commands
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["good", "look"]
    );
    assert_eq!(loaded.catalog.projects.len(), 1);
}

#[test]
fn a_broken_runbook_drops_its_project_only() {
    let files = Files::usual().with(
        "runbooks/other.yaml",
        SHOP.replace("shop\n", "other\n")
            .replace("C0SHOP", "C1")
            .replace("may: look", "may: lok"),
    );
    let loaded = files.load();
    assert_eq!(loaded.diagnostics.len(), 1, "{}", files.rendered());
    assert_eq!(
        loaded
            .catalog
            .projects
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["shop"]
    );
    assert_eq!(loaded.catalog.channels.len(), 1);
}

#[test]
fn with_broken_people_nobody_is_known_and_nothing_else_is_wrong() {
    for broken in [
        "people: [",
        "people: { ana: { name: A, slak: U1 } }",
        "people: { ana: { name: A } }\ngroups: { team: [zoe] }",
    ] {
        let files = Files::usual().with("runbooks/people.yaml", broken);
        let loaded = files.load();
        assert!(loaded.has_errors(), "{broken}");
        assert!(loaded.catalog.people.persons.is_empty(), "{broken}");
    }
    let files = Files::usual().with("runbooks/people.yaml", "people: [");
    assert_eq!(files.load().diagnostics.len(), 1, "{}", files.rendered());
    assert_eq!(files.load().catalog.projects.len(), 1);
}

#[test]
fn accounts_lead_to_persons() {
    let people = "people:
  ana: { name: Ana, slack: [U0ANA, T1/U7], discord: \"42\", login: aruiz, console: [laptop] }
  bo: { name: Bo }
";
    let loaded = Files::empty().with("runbooks/people.yaml", people).load();
    let people = loaded.catalog.people;
    let who = |platform, space: &str, id: &str| {
        let speaker = Speaker {
            platform,
            space: space.to_owned(),
            id: id.to_owned(),
            kind: SpeakerKind::Person,
        };
        people.identify(&speaker).person().map(ToString::to_string)
    };
    let ana = Some("ana".to_owned());
    assert_eq!(who(Platform::Slack, "T9", "U0ANA"), ana);
    assert_eq!(who(Platform::Slack, "T1", "U7"), ana);
    assert_eq!(who(Platform::Slack, "T2", "U7"), None);
    assert_eq!(who(Platform::Discord, "", "42"), ana);
    assert_eq!(who(Platform::Console, "", "aruiz"), ana);
    assert_eq!(who(Platform::Console, "", "laptop"), ana);
    assert_eq!(who(Platform::Console, "", "bo"), Some("bo".to_owned()));
    assert_eq!(who(Platform::Console, "", "root"), None);
}

#[test]
fn rules_are_read_with_all_their_conditions() {
    let files = Files::usual()
        .with(
            "commands/do.yaml",
            "command: do\ndoes: It.\nparameters:\n  environment: { type: environment }\n  path: { type: text }\n  n: { type: integer }\n  wait: { type: duration }\nsteps: [{ name: x, run: [uptime], effect: read }]\n",
        )
        .with(
            "runbooks/shop.yaml",
            SHOP.replace("  - may: look\n    who: engineering\n", "  - may: do
    in: [prod]
    who: [\"@ana\", bo, team, oncall(shop), everyone]
    when: fri-mon 22:00-06:00 Europe/Berlin
    where: { path: { matches: /a }, n: { min: 1, max: 5 }, wait: [90s] }
    never: because
"),
        );
    let loaded = files.load();
    assert_eq!(files.rendered(), "");
    let rule = &loaded.catalog.projects["shop"].rules[0];
    let who: Vec<String> = rule.who.iter().map(ToString::to_string).collect();
    assert_eq!(who, ["ana", "bo", "team", "oncall(shop)", "everyone"]);
    assert!(matches!(rule.who[1], Who::Person(_)));
    let window = rule.when.as_ref().unwrap();
    let open = |at: &str| window.contains(at.parse().unwrap());
    assert!(
        open("2026-01-06T04:00:00Z"),
        "Monday's window reaches into Tuesday"
    );
    assert!(!open("2026-01-07T04:00:00Z") && !open("2026-01-05T12:00:00Z"));
    let Condition::OneOf(waits) = &rule.conditions["wait"] else {
        panic!("{rule:?}")
    };
    assert_eq!(waits, &["1m 30s"]);
    assert!(matches!(
        rule.conditions["n"],
        Condition::Between { min: 1, max: 5 }
    ));
    let Condition::Matches(path) = &rule.conditions["path"] else {
        panic!("{rule:?}")
    };
    assert!(path.is_match("/a") && !path.is_match("/ab"));
    assert!(matches!(&rule.grant, Grant::Never(reason) if reason == "because"));
}

#[test]
fn variables_fill_environments() {
    let shop = SHOP.replace(
        "{ url: \"http://127.0.0.1:1\" }",
        "{ url: \"${VAR_URL:-http://a}/x\", key: \"${VAR_EMPTY:-fallback}\" }",
    );
    let mut files = Files::usual().with("runbooks/shop.yaml", shop);
    let attribute = |files: &Files, key: &str| {
        files.load().catalog.projects["shop"].environments[0].attributes[key].clone()
    };
    let before = files.load().catalog.revision;
    assert_eq!(attribute(&files, "url"), ["http://a/x"]);
    files
        .variables
        .insert("VAR_URL".to_owned(), "http://b".to_owned());
    files
        .variables
        .insert("VAR_EMPTY".to_owned(), String::new());
    assert_eq!(attribute(&files, "url"), ["http://b/x"]);
    assert_eq!(attribute(&files, "key"), ["fallback"]);
    assert_ne!(files.load().catalog.revision, before);
}

#[test]
fn prose_becomes_procedures_of_its_project() {
    let files = Files::usual().with(
        "runbooks/shop.md",
        "# Shop\nIt sells.\n## Look\n```ops\nlook prod\n```\n",
    );
    let procedures = files.load().catalog.projects["shop"].procedures.clone();
    assert_eq!(procedures.len(), 2);
    assert_eq!(
        (procedures[0].heading.as_str(), procedures[0].text.as_str()),
        ("Shop", "It sells.")
    );
    assert_eq!(procedures[1].commands, ["look prod"]);
}

#[test]
fn the_revision_changes_with_every_file_and_with_nothing_else() {
    let files = Files::usual();
    let first = files.load().catalog.revision;
    assert_eq!(first.to_string().len(), 12);
    assert_eq!(files.load().catalog.revision, first);
    files.write("runbooks/notes.txt", "not ours");
    assert_eq!(files.load().catalog.revision, first);
    files.write("runbooks/shop.md", "# Shop\n");
    assert_ne!(files.load().catalog.revision, first);
}

#[test]
fn a_small_file_can_not_become_a_large_one() {
    let laughs: Vec<String> = ('a'..='h')
        .zip('b'..='i')
        .map(|(one, two)| format!("{two}: &{two} [{}]\n", format!("*{one}, ").repeat(9)))
        .collect();
    let laughs = format!("a: &a [x, x, x]\n{}", laughs.concat());
    let keys: Vec<String> = (0..20_000).map(|n| format!("k{n}: 1\n")).collect();
    let rows = [
        ("billion laughs", laughs, "anchors (`&name`) are not taken"),
        ("merge keys", "a: { <<: *b }\n".to_owned(), "unknown anchor"),
        (
            "deep nesting",
            format!("a: {}1{}", "[".repeat(40), "]".repeat(40)),
            "nested more than 32 levels deep",
        ),
        (
            "very deep nesting",
            "[".repeat(5_000),
            "recursion limit exceeded",
        ),
        (
            "many values",
            format!("a: [{}]\n", "1, ".repeat(20_000)),
            "more than 10000 values",
        ),
        ("many keys", keys.concat(), "more than 10000 values"),
    ];
    for (name, text, told) in rows {
        let files = Files::empty().with("commands/x.yaml", text);
        let rendered = files.rendered();
        assert!(rendered.contains(told), "{name}: {rendered:.500}");
    }
}

#[test]
fn no_text_makes_the_reader_panic() {
    let seeds = [FLUSH, SKETCH, SHOP, super::folders::PEOPLE];
    for seed in seeds {
        let characters: Vec<char> = seed.chars().collect();
        for cut in (0..characters.len()).step_by(17) {
            let mut text: String = characters[..cut].iter().collect();
            text.push_str(["é", "{", "\t", "\"", ": ", "- ", "\r", "\u{feff}"][cut % 8]);
            text.extend(characters[cut..].iter().skip(cut % 5));
            let files = Files::empty()
                .with("commands/x.yaml", &text)
                .with("runbooks/x.yaml", &text)
                .with("runbooks/people.yaml", &text);
            let _ = files.rendered(); // whatever it says: it says it without a panic
        }
    }
}
