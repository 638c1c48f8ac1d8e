//! The whole way: values that somebody types try to steer an address; the real program, with proxies in its environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::PROXIES;
use super::cases::{INSIDE, SHOP};
use super::internet::Internet;
use crate::bot::Home;

const FILES: &[(&str, &str)] = &[
    (
        "commands/fetch.yaml",
        "command: fetch\ndoes: Asks for a page.\nrisk: low\nundo: none\nparameters:\n  environment: { type: environment }\n  path: { type: text }\nsteps:\n  - { name: fetch, http: { get: \"{environment.url}{path}\", redirects: 3 }, effect: read }\n",
    ),
    (
        "commands/find.yaml",
        "command: find\ndoes: Asks for a page.\nrisk: low\nundo: none\nparameters:\n  environment: { type: environment }\n  path: { type: text }\nsteps:\n  - { name: find, http: { get: \"{environment.url}/{path}?q={path}\", hosts: [other.test], redirects: 3 }, effect: read }\n",
    ),
    (
        "runbooks/people.yaml",
        "people:\n  ana: { name: Ana }\ngroups:\n  all: [ana]\n",
    ),
    (
        "runbooks/shop.yaml",
        "project: shop\nabout: A shop.\nowner: all\nchannels: [shop]\nenvironments: { prod: { url: \"http://shop.test\" } }\nrules:\n  - { may: reads, who: all }\n  - otherwise: ask ana\nescalation:\n  - { at: 0m, call: \"@ana\" }\n",
    ),
];

const VALUES: &[&str] = &[
    "@evil.test/",
    ":80@evil.test/",
    ".evil.test/",
    ".",
    "..",
    "..evil.test",
    "-evil.test/",
    ":8080/",
    ":81",
    "8080",
    "0",
    "//evil.test/",
    "\\\\evil.test\\",
    "/\\evil.test",
    "#@evil.test",
    "?@evil.test",
    "%40evil.test",
    "%2eevil.test",
    "/../../",
    "/%2e%2e/",
    ",evil.test",
    ";evil.test",
    "@169.254.169.254/",
    "@[::1]/",
    "/http://evil.test/",
    "http://evil.test/",
    "evil.test",
    "\u{3002}evil.test",
    "/ok",
    "ok",
];

/// Types each value, and holds what happened to the network against the list.
pub(super) fn prove(internet: &Internet, random: &mut StdRng) -> String {
    let mut home = Home::of_files(FILES).setting("NO_PROXY", "");
    for name in PROXIES {
        home = home.setting(name, "http://127.0.0.9:3128");
    }
    let mut typed = "/as ana\n".to_owned();
    for value in VALUES {
        let command = ["fetch", "find"].choose(random).expect("there are two");
        let quoted = value.replace('\\', "\\\\");
        typed.push_str(&format!("/ops {command} prod \"{quoted}\"\n"));
        typed.push_str(&format!("/ops fetch prod \"{quoted}\"\n"));
    }
    let names = BTreeMap::from([(SHOP.to_owned(), vec![vec![INSIDE]])]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let tried = async { home.run(&["try"], &typed) };
    let (tried, traffic) = runtime.block_on(internet.watch(Vec::new(), names, tried));
    let inside = SocketAddr::new(INSIDE, 80);
    let beside = traffic.connections.iter().any(|address| *address != inside);
    let named = traffic.names.iter().any(|name| name != SHOP);
    let arrived = traffic.connections.len();
    assert!(
        !beside
            && !named
            && traffic.attempts == arrived
            && (2..2 * VALUES.len()).contains(&arrived),
        "typed values led elsewhere, or nowhere: {traffic:?}\n{}{}",
        String::from_utf8_lossy(&tried.stdout),
        String::from_utf8_lossy(&tried.stderr)
    );
    format!(
        "{} typed values tried to steer the real program, which asked {SHOP} {arrived} times",
        2 * VALUES.len()
    )
}
