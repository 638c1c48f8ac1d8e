//! What the settings accept, refuse and show.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use midwatch::config::{DEFAULT_FILE, LogFormat, NAMES, Settings, settings_file, try_environment};
use secrecy::ExposeSecret;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    Settings::read(&map(pairs), None)
}

fn with_file(text: &str, pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("midwatch.env");
    std::fs::write(&path, text).unwrap();
    Settings::read(&map(pairs), Some(&path)).map_err(|problems| {
        let prefix = format!("{}/", folder.path().display());
        problems
            .iter()
            .map(|problem| problem.replace(&prefix, ""))
            .collect()
    })
}

const BOT: (&str, &str) = ("SLACK_BOT_TOKEN", "xoxb-1-secret");
const APP: (&str, &str) = ("SLACK_APP_TOKEN", "xapp-1-secret");
const SIGNING: (&str, &str) = ("SLACK_SIGNING_SECRET", "0123456789abcdef");

#[test]
fn without_any_setting_the_defaults_hold() {
    let settings = read(&[("PATH", "/bin"), ("HOME", "/root")]).unwrap();
    assert_eq!(settings.database_url, "sqlite:./midwatch-data/midwatch.db");
    assert_eq!(settings.data, Path::new("./midwatch-data"));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:7380");
    assert_eq!(settings.commands, Path::new("./commands"));
    assert_eq!(settings.runbooks, Path::new("./runbooks"));
    assert_eq!(settings.log.filter, "info");
    assert_eq!(settings.log.format, LogFormat::Text);
    assert!(settings.slack.is_none());
    assert!(settings.secrets_folder.is_none());
    assert!(settings.discord.is_none());
}

#[test]
fn the_database_lies_in_the_data_folder_unless_it_is_named() {
    let data = ("MIDWATCH_DATA", "/data");
    assert_eq!(
        read(&[data]).unwrap().database_url,
        "sqlite:/data/midwatch.db"
    );
    let named = read(&[data, ("DATABASE_URL", "sqlite:other.db")]).unwrap();
    assert_eq!(named.database_url, "sqlite:other.db");
}

#[test]
fn every_wrong_value_is_told_with_its_place_and_the_way_out() {
    for (name, given, expected) in [
        (
            "unknown name, near",
            ("MIDWATCH_LISTN", "x"),
            "environment: MIDWATCH_LISTN is not a setting; did you mean MIDWATCH_LISTEN?",
        ),
        (
            "unknown name, far",
            ("SLACK_WEBHOOK_ADDRESS", "x"),
            "environment: SLACK_WEBHOOK_ADDRESS is not a setting; remove it; docs/operations.md lists all settings",
        ),
        (
            "unknown Discord name",
            ("DISCORD_TOKN", "x"),
            "environment: DISCORD_TOKN is not a setting; did you mean DISCORD_TOKEN?",
        ),
        (
            "address without port",
            ("MIDWATCH_LISTEN", "7380"),
            "environment: MIDWATCH_LISTEN `7380` is not an address and port; write it like 127.0.0.1:7380",
        ),
        (
            "log format",
            ("MIDWATCH_LOG_FORMAT", "xml"),
            "environment: MIDWATCH_LOG_FORMAT `xml` is neither text nor json",
        ),
        (
            "secrets folder",
            ("MIDWATCH_SECRETS", "/no/such"),
            "environment: MIDWATCH_SECRETS `/no/such` is not a folder; create it or unset it",
        ),
        (
            "secret's name",
            ("MIDWATCH_SECRET_É", "x"),
            "environment: MIDWATCH_SECRET_É names no secret: a name has 1 to 63 lower-case letters, digits, `-` or `_`, and starts with a letter or digit",
        ),
        (
            "database",
            ("DATABASE_URL", "mysql://u:hidden@h/d"),
            "environment: DATABASE_URL starts with neither sqlite: nor postgres:; write it like sqlite:midwatch.db or postgres://host/name",
        ),
        (
            "plain http",
            ("SLACK_API_URL", "http://slack.example/api"),
            "environment: SLACK_API_URL `http://slack.example/api` is not encrypted, and that is for this host alone; write https:// (or use 127.0.0.1)",
        ),
        (
            "no loopback",
            ("SLACK_API_URL", "http://127.0.0.1.example/api"),
            "environment: SLACK_API_URL `http://127.0.0.1.example/api` is not encrypted, and that is for this host alone; write https:// (or use 127.0.0.1)",
        ),
        (
            "not an address",
            ("SLACK_API_URL", "slack"),
            "environment: SLACK_API_URL `slack` is not an address (relative URL without a base); write it like https://host/path",
        ),
        (
            "other scheme",
            ("SLACK_API_URL", "file:///etc"),
            "environment: SLACK_API_URL `file:///etc` is no web address; write it like https://host/path",
        ),
    ] {
        assert_eq!(read(&[given]).unwrap_err(), [expected], "{name}");
    }
}

#[test]
fn a_wrong_log_filter_is_told() {
    let problems = read(&[("MIDWATCH_LOG", "midwatch=loudly")]).unwrap_err();
    assert!(
        problems[0].starts_with("environment: MIDWATCH_LOG `midwatch=loudly` is not a log filter"),
        "{problems:?}"
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let problems = read(&[
        ("MIDWATCH_LISTEN", "x"),
        ("MIDWATCH_LOG_FORMAT", "x"),
        ("SLACK_TOKEN", "x"),
        BOT,
    ])
    .unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:?}");
}

#[test]
fn slack_is_whole_or_a_problem_names_what_is_missing() {
    for (name, given, complaint) in [
        ("nothing", vec![], None),
        ("socket mode", vec![BOT, APP], None),
        ("signed requests", vec![BOT, SIGNING], None),
        ("both doors", vec![BOT, APP, SIGNING], None),
        (
            "no door",
            vec![BOT],
            Some("nothing says how Slack reaches us; set SLACK_APP_TOKEN"),
        ),
        (
            "no bot token",
            vec![APP],
            Some("SLACK_BOT_TOKEN is missing, and SLACK_APP_TOKEN is set"),
        ),
        (
            "only the secret",
            vec![SIGNING],
            Some("SLACK_BOT_TOKEN is missing, and SLACK_SIGNING_SECRET is set"),
        ),
        (
            "user token",
            vec![("SLACK_BOT_TOKEN", "xoxp-9"), APP],
            Some("SLACK_BOT_TOKEN doesn't start with xoxb-"),
        ),
        (
            "tokens swapped",
            vec![BOT, ("SLACK_APP_TOKEN", "xoxb-9")],
            Some("SLACK_APP_TOKEN doesn't start with xapp-"),
        ),
        (
            "two lines pasted",
            vec![BOT, ("SLACK_SIGNING_SECRET", "ab\ncd")],
            Some("SLACK_SIGNING_SECRET has white space in it"),
        ),
    ] {
        let problems = read(&given).err().unwrap_or_default();
        match complaint {
            None => assert!(problems.is_empty(), "{name}: {problems:?}"),
            Some(words) => {
                assert_eq!(problems.len(), 1, "{name}: {problems:?}");
                assert!(problems[0].contains(words), "{name}: {problems:?}");
                assert!(
                    problems[0].contains("api.slack.com/apps"),
                    "{name}: {problems:?}"
                );
            }
        }
    }
}

#[test]
fn plain_http_is_accepted_on_this_host_and_a_last_slash_removed() {
    for (given, kept) in [
        ("http://127.0.0.1:9/api/", "http://127.0.0.1:9/api"),
        ("http://[::1]:9/api", "http://[::1]:9/api"),
        ("http://localhost/api", "http://localhost/api"),
        ("https://slack-gov.com/api", "https://slack-gov.com/api"),
    ] {
        let slack = read(&[BOT, APP, ("SLACK_API_URL", given)]).unwrap().slack;
        assert_eq!(slack.unwrap().api_url, kept);
    }
}

#[test]
fn the_environment_wins_over_the_file_and_an_empty_value_does_not() {
    let file = "MIDWATCH_DATA=/from/file\nMIDWATCH_COMMANDS=/also\nMIDWATCH_LOG=debug\n";
    let environment = [("MIDWATCH_DATA", "/from/env"), ("MIDWATCH_COMMANDS", "")];
    let settings = with_file(file, &environment).unwrap();
    assert_eq!(settings.data, Path::new("/from/env"));
    assert_eq!(settings.commands, Path::new("/also"));
    assert_eq!(settings.log.filter, "debug");
}

#[test]
fn every_wrong_line_of_the_file_is_told() {
    for (name, text, expected) in [
        ("comments", "# one\n\n  # two\nVAR_A=b # kept\n", None),
        (
            "no equals sign",
            "# first\nMIDWATCH_DATA\n",
            Some("midwatch.env:2: no `=`; write NAME=value, and begin a comment with #"),
        ),
        (
            "export",
            "export MIDWATCH_DATA=x",
            Some("midwatch.env:1: no shell here; write NAME=value without `export`"),
        ),
        (
            "lower case",
            "midwatch_data=x",
            Some(
                "midwatch.env:1: the name before `=` must be upper-case letters, digits and `_`; write NAME=value",
            ),
        ),
        (
            "quotes",
            "MIDWATCH_DATA=\"x\"",
            Some(
                "midwatch.env:1: the value stands in quotes; remove them, the value goes to the line's end",
            ),
        ),
        (
            "twice",
            "VAR_A=1\nVAR_A=2",
            Some("midwatch.env:2: VAR_A is set twice, first on line 1; remove one of them"),
        ),
        (
            "unknown",
            "DATABSE_URL=x",
            Some("midwatch.env:1: DATABSE_URL is not a setting; did you mean DATABASE_URL?"),
        ),
        (
            "wrong value",
            "\nMIDWATCH_LISTEN=x",
            Some(
                "midwatch.env:2: MIDWATCH_LISTEN `x` is not an address and port; write it like 127.0.0.1:7380",
            ),
        ),
    ] {
        let problems = with_file(text, &[]).err().unwrap_or_default();
        assert_eq!(problems.first().map(String::as_str), expected, "{name}");
    }
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let problems = Settings::read(&BTreeMap::new(), Some(Path::new("/no/such.env"))).unwrap_err();
    assert!(
        problems[0].starts_with("/no/such.env: the settings file can't be read"),
        "{problems:?}"
    );
}

#[test]
fn the_file_is_what_the_environment_names_or_the_one_that_lies_here() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(settings_file(&map(&[]), folder.path()), None);
    let here = folder.path().join(DEFAULT_FILE);
    std::fs::write(&here, "").unwrap();
    assert_eq!(settings_file(&map(&[]), folder.path()), Some(here));
    let named = settings_file(&map(&[("MIDWATCH_CONFIG", "/etc/other")]), folder.path());
    assert_eq!(named, Some(PathBuf::from("/etc/other")));
}

#[test]
fn secrets_and_variables_are_collected_from_both_places() {
    let settings = with_file(
        "MIDWATCH_SECRET_DB_PASSWORD=from file\nVAR_SHOP_HOST=h1\n",
        &[("MIDWATCH_SECRET_VARNISH", "hush"), ("VAR_SHOP_HOST", "h2")],
    )
    .unwrap();
    let expected = [
        ("MIDWATCH_SECRET_DB_PASSWORD", "from file"),
        ("MIDWATCH_SECRET_VARNISH", "hush"),
    ];
    assert_eq!(settings.secret_variables(), map(&expected));
    assert_eq!(settings.variables, map(&[("VAR_SHOP_HOST", "h2")]));
}

#[test]
fn no_secret_is_shown_anywhere() {
    let settings = read(&[
        BOT,
        APP,
        SIGNING,
        ("MIDWATCH_SECRET_VARNISH", "hush-hush"),
        (
            "DATABASE_URL",
            "postgres://midwatch:hidden%2Fpw@db/midwatch",
        ),
    ])
    .unwrap();
    let described = format!("{:?} {settings:?}", settings.describe());
    for secret in [BOT.1, APP.1, SIGNING.1, "hush-hush", "hidden"] {
        assert!(!described.contains(secret), "{secret} in {described}");
    }
    let values = settings.secret_values();
    let values: Vec<&str> = values.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(values.len(), 6);
    for password in ["hidden/pw", "hidden%2Fpw"] {
        assert!(values.contains(&password), "the server knows it otherwise");
    }
}

#[test]
fn each_setting_is_described_with_its_origin() {
    let settings = with_file("MIDWATCH_LOG=warn\n", &[BOT, APP, ("DISCORD_TOKEN", "x")]).unwrap();
    let line = |name: &str| {
        let shown = settings
            .describe()
            .iter()
            .find(|shown| shown.name == name)
            .unwrap();
        (
            shown.value.clone(),
            shown
                .origin
                .to_string()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned(),
        )
    };
    let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(line("MIDWATCH_LISTEN"), pair("127.0.0.1:7380", "default"));
    assert_eq!(line("MIDWATCH_LOG"), pair("warn", "midwatch.env:1"));
    assert_eq!(line("SLACK_BOT_TOKEN"), pair("set", "environment"));
    assert_eq!(line("SLACK_SIGNING_SECRET"), pair("not set", "default"));
    assert_eq!(line("DISCORD_TOKEN"), pair("set", "environment"));
}

#[test]
fn discord_needs_a_token_and_takes_a_key_for_http() {
    let read = |pairs: &[(&str, &str)]| Settings::read(&map(pairs), None);
    let token = ("DISCORD_TOKEN", "a.b.c");
    let key = (
        "DISCORD_PUBLIC_KEY",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    );
    let discord = read(&[token]).unwrap().discord.unwrap();
    assert_eq!(
        (discord.api_url.as_str(), discord.public_key),
        ("https://discord.com", None)
    );
    let url = ("DISCORD_API_URL", "http://127.0.0.1:9/");
    let discord = read(&[token, key, url]).unwrap().discord.unwrap();
    assert_eq!(discord.api_url, "http://127.0.0.1:9");
    assert!(discord.public_key.is_some());
    let rows = [
        ("a key alone", vec![key], "DISCORD_TOKEN is missing"),
        (
            "no key",
            vec![token, ("DISCORD_PUBLIC_KEY", "xyz")],
            "64 hexadecimal digits",
        ),
        (
            "a path",
            vec![token, ("DISCORD_API_URL", "https://proxy.test/api")],
            "has a path",
        ),
        (
            "plain",
            vec![token, ("DISCORD_API_URL", "http://proxy.test")],
            "is not encrypted",
        ),
    ];
    for (name, pairs, expected) in rows {
        let problems = read(&pairs).unwrap_err().join("\n");
        assert!(problems.contains(expected), "{name}: {problems}");
    }
}

#[test]
fn trying_needs_no_account_and_touches_none() {
    let environment = map(&[
        BOT,
        ("DISCORD_TOKEN", "x"),
        ("DATABASE_URL", "postgres://h/d"),
        ("HOME", "/h"),
    ]);
    let tried = try_environment(environment);
    assert_eq!(
        tried,
        map(&[("HOME", "/h"), ("MIDWATCH_DATA", ".midwatch")])
    );
    let kept = try_environment(map(&[("MIDWATCH_DATA", "/elsewhere")]));
    assert_eq!(kept, map(&[("MIDWATCH_DATA", "/elsewhere")]));
}

#[test]
fn every_setting_and_metric_is_in_the_documentation() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let documentation = std::fs::read_to_string(path).unwrap();
    let metrics = midwatch::telemetry::METRICS
        .iter()
        .map(|metric| metric.name);
    for name in NAMES.iter().copied().chain(metrics) {
        assert!(documentation.contains(&format!("`{name}`")), "{name}");
    }
}
