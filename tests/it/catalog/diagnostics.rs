//! What people read when a file has a mistake. Read these snapshots as you would read prose.

use super::folders::{Files, SHOP};

/// A name, and files that replace the usual ones.
type Row = (&'static str, &'static [(&'static str, &'static str)]);

fn told(rows: &[Row]) -> String {
    let row = |(name, files): &Row| {
        let usual = Files::usual();
        for (path, content) in *files {
            usual.write(path, content);
        }
        format!("## {name}\n\n{}\n", usual.rendered())
    };
    rows.iter().map(row).collect::<Vec<_>>().concat()
}

macro_rules! command {
    ($text:expr) => {
        &[("commands/do.yaml", $text)]
    };
}

/// A command whose steps are given.
macro_rules! steps {
    ($text:expr) => {
        command!(concat!("command: do\ndoes: It.\nparameters:\n  environment: { type: environment }\n  word: { type: text }\nsteps:\n", $text))
    };
}

macro_rules! parameters {
    ($text:expr) => {
        command!(concat!(
            "command: do\ndoes: It.\nparameters:\n",
            $text,
            "steps:\n  - { name: x, run: [uptime], effect: read }\n"
        ))
    };
}

/// A runbook whose rules are given, without `otherwise`.
macro_rules! rules {
    ($text:expr) => {
        &[(
            "runbooks/shop.yaml",
            concat!(
                "project: shop\nabout: The shop.\nowner: team\nenvironments:\n  prod: { url: http://127.0.0.1:1 }\nrules:\n",
                $text,
                "  - otherwise: call oncall(shop)\nescalation: [{ at: 0m, call: team }]\n"
            ),
        )]
    };
}

#[test]
fn what_is_no_yaml_is_told_with_its_place() {
    let rows: &[Row] = &[
        ("a tab", command!("command: do\nsteps:\n\t- name: x\n")),
        ("an open quote", command!("command: \"do\ndoes: It.\n")),
        (
            "an open bracket",
            command!("command: do\nsteps: [{ name: x\n"),
        ),
        (
            "an unquoted colon",
            command!("command: do\ndoes: It: does.\n"),
        ),
        ("an unquoted at-sign", command!("command: do\ndoes: @ana\n")),
        (
            "a channel's name in braces",
            command!("command: do\nsteps: [{ does: ask in #shop }]\n"),
        ),
        ("an anchor", command!("command: &a do\ndoes: It.\n")),
        ("an alias", command!("command: do\ndoes: *a\n")),
        ("a tag", command!("command: !!str do\ndoes: It.\n")),
        (
            "a key twice",
            command!("command: do\ndoes: It.\ndoes: That.\nsteps: [{ name: x, run: [uptime] }]\n"),
        ),
        (
            "a second document",
            command!("command: do\n---\ncommand: do\n"),
        ),
        ("an empty file", command!("# nothing\n")),
        ("a list", command!("- command: do\n")),
        (
            "letters of other scripts before the mistake",
            command!(
                "does: \"Größe – 🐟\" \nkommando: x\ncommand: do\nsteps: [{ name: x, run: [uptime] }]\n"
            ),
        ),
        (
            "carriage returns",
            command!("command: do\r\ndoes: It.\r\nstepps: 1\r\n"),
        ),
    ];
    insta::assert_snapshot!(told(rows));
}

#[test]
fn wrong_keys_and_types_are_all_told_at_once() {
    let rows: &[Row] = &[
        (
            "many at once",
            command!(
                "comand: do\ndoes:\nrisk: hgh\nfresh: [1]\none_at_a_time: enviroment\nparameters: [a]\nsteps:\n  - nme: x\n    run: uptime\n    http: { get: {environment.url} }\n    attempts: 11\n    effect: no\n"
            ),
        ),
        (
            "a name",
            command!("command: Do It\ndoes: It.\nsteps: [{ name: x, run: [uptime] }]\n"),
        ),
        (
            "a boolean",
            parameters!("  word: { type: text, optional: no }\n"),
        ),
        (
            "a parameter's name",
            parameters!("  Word: { type: text }\n"),
        ),
        (
            "a status",
            steps!(
                "  - { name: x, http: { get: http://a/, expect: { status: [200, 999] } }, effect: read }\n"
            ),
        ),
    ];
    insta::assert_snapshot!(told(rows));
}

#[test]
fn what_a_command_can_not_mean_is_told() {
    let rows: &[Row] = &[
        (
            "a built-in word",
            command!(
                "command: help\ndoes: It.\nsteps: [{ name: x, run: [uptime], effect: read }]\n"
            ),
        ),
        (
            "an unknown check",
            command!(
                "command: do\ndoes: It.\ncheck: lok\nsteps: [{ name: x, run: [uptime], effect: read }]\n"
            ),
        ),
        (
            "a lock without an environment",
            command!(
                "command: do\ndoes: It.\none_at_a_time: environment\nsteps: [{ name: x, run: [uptime], effect: read }]\n"
            ),
        ),
        ("no steps", command!("command: do\ndoes: It.\nsteps: []\n")),
        (
            "two environments",
            parameters!("  one: { type: environment }\n  two: { type: environment }\n"),
        ),
        (
            "a list of environments",
            parameters!("  all: { type: list, of: environment }\n"),
        ),
        (
            "choices written otherwise",
            parameters!("  word: { type: choice, of: [a, b] }\n"),
        ),
        ("a reserved name", parameters!("  reason: { type: text }\n")),
        (
            "a key of another type",
            parameters!("  word: { type: text, min: 1 }\n"),
        ),
        (
            "a default that is not accepted",
            parameters!(
                "  n: { type: integer, min: 1, max: 5, default: 9 }\n  c: { type: choice, choices: [red, green], default: gren }\n"
            ),
        ),
        (
            "a span",
            parameters!("  d: { type: duration, max: soon }\n"),
        ),
        (
            "a pattern",
            parameters!(
                "  word: { type: text, matches: '(a' }\n  other: { type: text, matches: 'a)|(b' }\n"
            ),
        ),
        (
            "placeholders",
            steps!(
                "  - { name: x, run: [echo, \"{wrd}\", \"{word\", \"{run.name}\"], effect: read }\n"
            ),
        ),
        (
            "a command line in one word",
            steps!("  - { name: x, run: [\"ls -l /tmp\"], effect: read }\n"),
        ),
        (
            "a program from an argument",
            steps!("  - { name: x, run: [\"{word}\"], effect: read }\n"),
        ),
        (
            "nothing to do, and two things",
            steps!("  - { name: x }\n  - { name: x, run: [uptime], http: { get: http://a/ } }\n"),
        ),
        (
            "checked without verify",
            steps!("  - { name: x, run: [uptime], effect: checked }\n"),
        ),
        (
            "verify without checked",
            steps!("  - { name: x, run: [uptime], verify: { run: [uptime] } }\n"),
        ),
        (
            "keyed without a key",
            steps!("  - { name: x, run: [uptime], effect: keyed }\n"),
        ),
        (
            "attempts of what happens once",
            steps!("  - { name: x, run: [uptime], attempts: 2 }\n"),
        ),
        (
            "a long time",
            steps!(
                "  - { name: x, run: [uptime], timeout: 25h }\n  - { name: y, run: [uptime], timeout: 0s }\n"
            ),
        ),
        (
            "our own variables",
            steps!("  - { name: x, run: [uptime], pass: [HOME, SLACK_BOT_TOKEN] }\n"),
        ),
        (
            "http",
            steps!(
                "  - { name: a, http: { method: BAN } }\n  - { name: b, http: { get: http://a/, post: http://b/ } }\n  - { name: c, http: { get: \"{word}\" } }\n  - { name: d, http: { get: ftp://a/ } }\n  - { name: e, http: { get: \"http://{word}/\" } }\n  - { name: f, http: { method: ban, url: http://a/, hosts: [http://b/], headers: { a b: c } } }\n"
            ),
        ),
        (
            "an environment that the command doesn't take",
            command!(
                "command: do\ndoes: It.\nsteps: [{ name: x, run: [echo, \"{environment.url}\"], effect: read }]\n"
            ),
        ),
        (
            "a name that is taken",
            command!(
                "command: look\ndoes: It.\nsteps: [{ name: x, run: [uptime], effect: read }]\n"
            ),
        ),
    ];
    insta::assert_snapshot!(told(rows));
}

#[test]
fn what_people_yaml_can_not_mean_is_told() {
    let rows: &[Row] = &[(
        "people",
        &[(
            "runbooks/people.yaml",
            "people:\n  ana: { name: Ana, slack: [U0ANA, T1/U0ANA], login: bo }\n  bo: { name: Bo, slack: U0ANA, discord: \"@bo\" }\ngroups:\n  team: [ana, anna, ana]\n  engineering: []\nrotations:\n  shop: { zone: Europe/Berln, starts: soon, every: 36h, levels: { oncall: [cy], second: [] } }\n",
        )],
    )];
    insta::assert_snapshot!(told(rows));
}

#[test]
fn what_a_group_of_a_platform_can_not_mean_is_told() {
    macro_rules! groups {
        ($groups:expr) => {
            &[(
                "runbooks/people.yaml",
                concat!("people:\n  ana: { name: Ana, slack: U0ANA, discord: \"80351110224678912\" }\n  bo: { name: Bo, slack: T1/U0BO }\ngroups:\n  engineering: [ana, bo]\n", $groups, "rotations:\n  shop: { zone: UTC, starts: 2026-01-05 09:00, every: 7d, levels: { oncall: [ana] } }\n"),
            )]
        };
    }
    let rows: &[Row] = &[
        (
            "both, and a person: no mistake",
            groups!("  team: { members: [ana], slack: S0SHOP, discord: [\"803/417\"] }\n"),
        ),
        (
            "ids of something else",
            groups!(
                "  team: { slack: [U0ANA, \"@shop\"], discord: [80351110224678912, \"shop/ops\"] }\n"
            ),
        ),
        (
            "an unknown key",
            groups!("  team: { member: [ana], slack: [S0A] }\n"),
        ),
        (
            "an unknown person, one twice",
            groups!("  team: { members: [anna], slack: [S0A, S0A] }\n"),
        ),
        (
            "empty, and a list that is",
            groups!("  team: {}\n  other: { members: [] }\n"),
        ),
        ("no user group", groups!("  team: { slack: [] }\n")),
        ("a single word", groups!("  team: ana\n")),
    ];
    insta::assert_snapshot!(told(rows));
}

#[test]
fn an_account_of_two_persons_is_told_on_either_platform() {
    let rows: &[Row] = &[(
        "accounts",
        &[(
            "runbooks/people.yaml",
            "people:\n  ana: { name: Ana, slack: U0ANA, discord: [\"1\", \"2\"] }\n  bo: { name: Bo, slack: T1/U0ANA, discord: \"2\" }\ngroups:\n  team: [ana]\n  engineering: [ana, bo]\nrotations:\n  shop: { zone: UTC, starts: 2026-01-05 09:00, every: 7d, levels: { oncall: [ana] } }\n",
        )],
    )];
    insta::assert_snapshot!(told(rows));
}

#[test]
fn what_a_runbook_can_not_mean_is_told() {
    let rows: &[Row] = &[
        (
            "unknown names",
            rules!(
                "  - { may: [lok, look], in: prd, who: [team-a, \"@anna\", oncall(shp), second(shop)] }\n"
            ),
        ),
        (
            "missing parts",
            rules!("  - { may: look }\n  - { who: team }\n"),
        ),
        (
            "otherwise in the middle, and not alone",
            rules!("  - { otherwise: ask, may: look }\n"),
        ),
        (
            "two grants",
            rules!("  - { may: look, who: team, never: \"no\", after: { of: engineering } }\n"),
        ),
        (
            "reads among names",
            rules!("  - { may: [reads, look], who: team }\n"),
        ),
        (
            "windows",
            rules!(
                "  - { may: look, who: team, when: weekdays 9-5 }\n  - { may: look, who: team, when: \"mon-fri 09:00-18:00\" }\n  - { may: look, who: team, when: \"mon-fry 09:00-25:00 Europe/Berln\" }\n"
            ),
        ),
        (
            "conditions",
            rules!(
                "  - { may: look, who: team, where: { path: / } }\n  - { may: look, who: team, where: { environment: { min: 1 } } }\n"
            ),
        ),
        (
            "no last line",
            &[(
                "runbooks/shop.yaml",
                "project: shop\nabout: The shop.\nrules:\n  - { may: look, who: team }\n",
            )],
        ),
        (
            "a group that is a person",
            &[
                (
                    "runbooks/people.yaml",
                    "people: { team: { name: T }, ana: { name: A } }\ngroups: { team: [ana], engineering: [ana] }\nrotations:\n  shop: { zone: UTC, starts: 2026-01-05 09:00, every: 7d, levels: { oncall: [ana] } }\n",
                ),
                (
                    "runbooks/shop.yaml",
                    "project: shop\nabout: A.\nowner: team\nrules:\n  - { may: look, who: team }\n  - otherwise: ask\nescalation: [{ at: 0m, call: oncall(shop) }]\n",
                ),
            ],
        ),
        (
            "environments, examples, channels, escalation",
            &[(
                "runbooks/shop.yaml",
                "project: shop\nabout: The shop.\nowner: tem\nchannels: [\"#shop\", C1, C1]\nenvironments:\n  prod: { url: \"${HOME}/${VAR_MISSING}\", \"a.b\": x, port: \"${VAR_PORT:-80}\", open: \"${VAR_X\" }\nrules:\n  - otherwise: ask\nescalation: [{ at: soon, call: nobody }]\nexamples:\n  - { who: zoe, says: look prod, then: allowed }\n  - { who: ana, says: look prod, at: noon, then: allowed }\n",
            )],
        ),
        (
            "an attribute that an environment lacks",
            &[
                (
                    "commands/do.yaml",
                    "command: do\ndoes: It.\nparameters: { environment: { type: environment } }\nsteps: [{ name: x, run: [echo, \"{environment.varnish}\"], effect: read }]\n",
                ),
                (
                    "runbooks/shop.yaml",
                    "project: shop\nabout: The shop.\nowner: team\nenvironments:\n  staging: { varnish: a }\n  prod: { url: b }\nrules:\n  - { may: do, who: team }\n  - otherwise: ask\nescalation: [{ at: 0m, call: team }]\n",
                ),
            ],
        ),
        (
            "a project and a channel twice",
            &[
                (
                    "runbooks/shop2.yaml",
                    "project: shop\nabout: Again.\nowner: team\nrules: [{ otherwise: ask }]\nescalation: [{ at: 0m, call: team }]\n",
                ),
                (
                    "runbooks/shop3.yaml",
                    "project: other\nabout: Again.\nowner: team\nchannels: [C0SHOP]\nrules: [{ otherwise: ask }]\nescalation: [{ at: 0m, call: team }]\n",
                ),
            ],
        ),
    ];
    insta::assert_snapshot!(told(rows));
}

#[test]
fn what_mirrors_can_not_mean_is_told() {
    /// A runbook whose mirrors are given.
    macro_rules! mirrors {
        ($text:expr) => {
            &[(
                "runbooks/shop.yaml",
                concat!(
                    "project: shop\nabout: The shop.\nowner: team\nchannels: [C0SHOP]\nmirrors:\n",
                    $text,
                    "rules:\n  - otherwise: call oncall(shop)\nescalation: [{ at: 0m, call: team }]\n"
                ),
            )]
        };
    }
    let rows: &[Row] = &[
        (
            "malformed places",
            mirrors!(
                "  - { slack: C0OPS }\n  - { slack: \"T0SHOP/#ops\" }\n  - { slack: t0shop/C0OPS }\n  - { discord: guild/ops }\n"
            ),
        ),
        (
            "no place, and two places",
            mirrors!("  - {}\n  - { slack: T0SHOP/C0OPS, discord: \"1/2\" }\n"),
        ),
        ("no such platform", mirrors!("  - { console: ops }\n")),
        ("a text", mirrors!("  - T0SHOP/C0OPS\n")),
        (
            "the same place twice",
            mirrors!(
                "  - { slack: T0SHOP/C0OPS }\n  - { discord: \"81384788765712384/381870553235193857\" }\n  - slack: T0SHOP/C0OPS\n"
            ),
        ),
        (
            "the project's only channel",
            mirrors!("  - { slack: T0SHOP/C0SHOP }\n"),
        ),
    ];
    insta::assert_snapshot!(told(rows));
}

#[test]
fn mirrors_are_places_in_the_order_of_the_file() {
    let two_ways = SHOP.replace(
        "channels: [C0SHOP]",
        "channels: [C0SHOP, \"381870553235193857\"]\nmirrors:\n  - { slack: T0SHOP/C0SHOP }\n  - { discord: \"81384788765712384/381870553235193857\" }",
    );
    let loaded = Files::usual().with("runbooks/shop.yaml", two_ways).load();
    assert_eq!(
        midwatch::catalog::render_all(&loaded.diagnostics, false),
        "",
        "what begins in the one is told in the other"
    );
    let mirrors = loaded.catalog.projects.values().flat_map(|it| &it.mirrors);
    let mirrors: Vec<String> = mirrors
        .map(|to| {
            format!(
                "{} {} {} {:?}",
                to.platform, to.space, to.channel, to.thread
            )
        })
        .collect();
    assert_eq!(
        mirrors,
        [
            "slack T0SHOP C0SHOP None",
            "discord 81384788765712384 381870553235193857 None"
        ]
    );
}

#[test]
fn what_hurts_at_night_is_a_warning() {
    const PUSH: (&str, &str) = (
        "commands/push.yaml",
        "command: push\ndoes: It.\nrisk: high\nparameters: { environment: { type: environment } }\nsteps: [{ name: x, run: [uptime] }]\n",
    );
    const SAFE: (&str, &str) = (
        "commands/push.yaml",
        "command: push\ndoes: It.\nrisk: high\ncheck: look\nundo: push again\nparameters: { environment: { type: environment } }\nsteps: [{ name: x, run: [uptime] }]\n",
    );
    macro_rules! shop {
        ($rules:expr) => {
            (
                "runbooks/shop.yaml",
                concat!("project: shop\nabout: The shop.\nowner: team\nenvironments: { prod: {}, staging: {} }\nrules:\n", $rules, "  - otherwise: ask\nescalation: [{ at: 0m, call: team }]\n"),
            )
        };
    }
    let rows: &[Row] = &[
        (
            "a risky command without check and undo",
            &[PUSH, shop!("  - { may: everything, who: team }\n")],
        ),
        ("a risky command that nobody may run", &[PUSH]),
        (
            "nobody to call",
            &[(
                "runbooks/shop.yaml",
                "project: shop\nabout: The shop.\nrules: [{ otherwise: ask }]\n",
            )],
        ),
        (
            "a rule behind a wider one",
            &[
                SAFE,
                shop!(
                    "  - { may: everything, who: engineering }\n  - { may: push, in: prod, who: [team, oncall(shop)] }\n"
                ),
            ],
        ),
        (
            "a rule behind two that cover it together",
            &[
                SAFE,
                shop!(
                    "  - { may: push, in: staging, who: engineering }\n  - { may: push, in: prod, who: team }\n  - { may: push, who: team }\n"
                ),
            ],
        ),
        (
            "a second factor that not everybody has",
            &[
                SAFE,
                (
                    "runbooks/shop.yaml",
                    "project: shop\nabout: The shop.\nowner: team\nenvironments: { prod: {} }\nsecond_factor: high\nrules: [{ may: push, who: team }, { otherwise: ask }]\nescalation: [{ at: 0m, call: team }]\n",
                ),
            ],
        ),
        (
            "a rule behind a narrower one",
            &[
                SAFE,
                shop!(
                    "  - { may: push, in: prod, who: team }\n  - { may: push, who: engineering }\n  - { may: push, in: staging, who: everyone, when: \"mon-fri 09:00-17:00 UTC\" }\n"
                ),
            ],
        ),
        (
            "a rule about no environment",
            &[
                (
                    "commands/ping.yaml",
                    "command: ping\ndoes: It.\nsteps: [{ name: x, run: [uptime], effect: read }]\n",
                ),
                shop!("  - { may: ping, in: prod, who: team }\n"),
            ],
        ),
        (
            "consent that can't be given",
            &[
                SAFE,
                shop!(
                    "  - { may: push, who: team, after: { approvals: 3, of: engineering } }\n  - { may: push, who: ana, after: { of: team } }\n  - { may: push, who: engineering, after: { of: engineering } }\n  - { may: push, who: everyone, after: { of: team, and: [{ approvals: 5, of: team }] } }\n"
                ),
            ],
        ),
        (
            "break-glass",
            &[
                SAFE,
                shop!(
                    "  - { may: push, who: team, break_glass: { reason: required, pages: owner } }\n"
                ),
            ],
        ),
        (
            "a group without members",
            &[(
                "runbooks/people.yaml",
                "people: { ana: { name: A } }\ngroups: { team: [ana], engineering: [] }\nrotations:\n  shop: { zone: UTC, starts: 2026-01-05 09:00, every: 7d, levels: { oncall: [ana], second: [] } }\n",
            )],
        ),
        (
            "a comment that was meant as text",
            &[(
                "runbooks/shop.yaml",
                "project: shop\nabout: The shop.\nowner: team\nrules:\n  - { may: look, who: team }\n  - otherwise: ask in #shop-help, or call oncall(shp)\nescalation: [{ at: 0m, call: team }]\n",
            )],
        ),
        (
            "prose without a runbook",
            &[("runbooks/shpo.md", "# Shop\n")],
        ),
        (
            "an attribute that `everything` would need",
            &[
                (
                    "commands/do.yaml",
                    "command: do\ndoes: It.\nparameters: { environment: { type: environment } }\nsteps: [{ name: x, run: [echo, \"{environment.varnish}\"], effect: read }]\n",
                ),
                shop!("  - { may: reads, in: prod, who: team }\n"),
            ],
        ),
    ];
    insta::assert_snapshot!(told(rows));
}

#[test]
fn a_mistake_is_underlined_and_its_fix_is_named() {
    let files = Files::usual().with(
        "runbooks/shop.yaml",
        SHOP.replace("engineering", "enginering"),
    );
    insta::assert_snapshot!(files.rendered(), @r"
    error: group or person `enginering` is not defined
     --> runbooks/shop.yaml:9:10
      |
    9 |     who: enginering
      |          ^^^^^^^^^^
      |
      = help: did you mean `engineering`? groups and persons are listed in people.yaml

    1 error, 0 warnings
    ");
}

#[test]
fn files_without_a_mistake_say_nothing() {
    assert_eq!(Files::usual().rendered(), "");
}

#[test]
fn what_can_not_be_read_is_told() {
    let files = Files::usual()
        .with("commands/large.yaml", "#".repeat(300 * 1024))
        .with("commands/latin.yaml", b"command: caf\xe9\n".as_slice());
    std::fs::create_dir(files.path().join("commands/more")).unwrap();
    insta::assert_snapshot!(files.rendered());
}

#[test]
fn folders_that_are_not_there_are_told() {
    let files = Files::empty();
    std::fs::remove_dir(files.path().join("commands")).unwrap();
    let told = files.rendered();
    assert!(told.contains("commands"), "{told}");
    assert!(told.contains("the folder can't be read"), "{told}");
}
