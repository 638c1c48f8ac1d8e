//! Settings for calls that leave chat.

use std::collections::BTreeMap;

use midwatch::config::{Settings, try_environment};
use secrecy::ExposeSecret;

use crate::bot::Home;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

const ALL: [(&str, &str); 4] = [
    (
        "MIDWATCH_CALL_WEBHOOK",
        "https://hooks.example.org/T0/s3cret",
    ),
    ("MIDWATCH_PAGER_KEY", "key-hidden"),
    (
        "MIDWATCH_SMTP_URL",
        "smtps://mail:p%40ss-hidden@mail.example.org",
    ),
    ("MIDWATCH_SMTP_FROM", "midwatch@example.org"),
];

#[test]
fn all_of_them_are_read_and_no_secret_is_shown() {
    let settings = Settings::read(&map(&ALL), None).unwrap();
    let calls = &settings.calls;
    assert!(calls.webhook.is_some() && calls.smtp.is_some());
    let pager = calls.pager.as_ref().unwrap();
    assert_eq!(pager.url, "https://events.pagerduty.com/v2/enqueue");
    let described = format!("{:?} {settings:?} {calls:?}", settings.describe());
    for secret in ["s3cret", "key-hidden", "ss-hidden"] {
        assert!(!described.contains(secret), "{secret} in {described}");
    }
    let values = settings.secret_values();
    let values: Vec<&str> = values.iter().map(ExposeSecret::expose_secret).collect();
    assert!(values.contains(&"key-hidden") && values.contains(&"p@ss-hidden"));
}

#[test]
fn none_of_them_need_be_there_and_try_has_none() {
    let settings = Settings::read(&BTreeMap::new(), None).unwrap();
    let calls = &settings.calls;
    assert!(calls.webhook.is_none() && calls.pager.is_none() && calls.smtp.is_none());
    let kept = try_environment(map(&ALL));
    assert_eq!(kept, map(&[("MIDWATCH_DATA", ".midwatch")]));
}

#[test]
fn what_is_wrong_is_told_without_the_secret() {
    let rows = [
        (
            ("MIDWATCH_CALL_WEBHOOK", "http://hooks.example.org/s3cret"),
            "environment: MIDWATCH_CALL_WEBHOOK is not encrypted, and that is for this host alone; write https:// (or use 127.0.0.1)",
        ),
        (
            ("MIDWATCH_SMTP_URL", "smtp://u:s3cret@mail.example.org"),
            "environment: MIDWATCH_SMTP_URL is not encrypted, and that is for this host alone; write smtps://, or add ?tls=required",
        ),
        (
            ("MIDWATCH_SMTP_URL", "https://u:s3cret@mail.example.org"),
            "environment: MIDWATCH_SMTP_URL is no address of a mail server; write it like smtps://USER:PASSWORD@mail.example.org",
        ),
        (
            ("MIDWATCH_SMTP_FROM", "nobody"),
            "environment: MIDWATCH_SMTP_FROM `nobody` is no e-mail address; write it like midwatch@example.org",
        ),
        (
            ("MIDWATCH_SMTP_URL", "smtp://mail.example.org?tls=required"),
            "MIDWATCH_SMTP_URL is set, and nothing says whom e-mail comes from; set MIDWATCH_SMTP_FROM",
        ),
    ];
    for (given, expected) in rows {
        let problems = Settings::read(&map(&[given]), None).unwrap_err();
        assert_eq!(problems, [expected], "{}", given.0);
    }
    let here = [("MIDWATCH_SMTP_URL", "smtp://127.0.0.1:25"), ALL[3]];
    assert!(Settings::read(&map(&here), None).is_ok());
}

#[test]
fn doctor_says_by_which_means_nobody_can_be_called() {
    let home = Home::of_files(&[
        (
            "runbooks/people.yaml",
            "people:\n  ana: { name: Ana }\ngroups:\n  team: [ana]\n",
        ),
        (
            "runbooks/shop.yaml",
            "project: shop\nabout: A shop.\nowner: team\nrules:\n  - otherwise: ask ana\nescalation:\n  - { at: 0m, call: team, by: [mention, pager] }\n",
        ),
        (
            "commands/look.yaml",
            "command: look\ndoes: Looks.\nsteps: [{ name: x, run: [uptime], effect: read }]\n",
        ),
    ]);
    let told = home.run(&["doctor"], "").stdout;
    let told = String::from_utf8(told).unwrap();
    let says =
        "shop calls people by pager, and MIDWATCH_PAGER_KEY is not set: such a call reaches nobody";
    assert!(told.contains(says), "{told}");
    let home = home.setting("MIDWATCH_PAGER_KEY", "key");
    let told = home.run(&["doctor"], "").stdout;
    assert!(!String::from_utf8(told).unwrap().contains("calls people by"));
}
