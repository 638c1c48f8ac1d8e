//! The commands of the proof, which put a value into every kind of place, and what must arrive there.
//!
//! What is expected is worked out here from the value alone; nothing of the product is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::recorder::{Recorder, Request, Started};

/// Where programs run and what they were started with is written.
pub(super) const RECORDS: &str = "records";

/// A command of the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// A program: the value as an argument, within one, after `--`, in a variable.
    Program,
    /// A program: the value behind an attribute of the environment that is empty.
    Behind,
    /// A request: the value in path, query, header and JSON.
    Request,
    /// Both, where every value is welcome: nothing reads an option or a path there.
    Guarded,
    /// Both, with a list.
    Several,
}

impl Command {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Behind => "behind",
            Self::Request => "request",
            Self::Guarded => "guarded",
            Self::Several => "several",
        }
    }

    fn starts_program(self) -> bool {
        self != Self::Request
    }

    fn sends_request(self) -> bool {
        !matches!(self, Self::Program | Self::Behind)
    }
}

/// All files, by path.
pub(super) fn files(recorder: &Recorder) -> Vec<(&'static str, String)> {
    let address = &recorder.address;
    let exe = std::env::current_exe().expect("this program has a path");
    let exe = exe
        .display()
        .to_string()
        .replace('{', "{{")
        .replace('}', "}}");
    let run = |more: &str, environment: &str| {
        format!(
            "  - name: start\n    run: [\"{exe}\", --as, record, \"{{run.id}}\", {more}]\n    directory: {RECORDS}\n    environment: {{ {environment} }}\n    effect: idempotent\n"
        )
    };
    let http = |path: &str, header: &str, json: &str| {
        format!(
            "  - name: send\n    http:\n      post: \"http://{address}{path}\"\n      headers: {{ x-run: \"{{run.id}}\", x-value: \"{header}\" }}\n      json: {json}\n    effect: idempotent\n"
        )
    };
    let command = |name: &str, parameter: &str, steps: &str| {
        format!(
            "command: {name}\ndoes: Hands a value on.\nrisk: low\nundo: none\nparameters:\n  {parameter}\nsteps:\n{steps}"
        )
    };
    let value = "value: { type: text }";
    let (body, variables) = (
        "{ value: \"{value}\", inside: [\"<{value}>\"], fixed: 1 }",
        "VALUE: \"{value}\", INSIDE: \"a{value}z\"",
    );
    let runbook = "project: shop\nabout: The proof's own.\nowner: all\nchannels: [C1]\nenvironments: { here: { none: \"${VAR_NONE:-}\" } }\nrules:\n  - { may: [program, behind, request, guarded, several], who: all }\n  - otherwise: ask ana\nescalation:\n  - { at: 0m, call: \"@ana\" }\n";
    vec![
        (
            "commands/program.yaml",
            command(
                "program",
                value,
                &run(
                    "\"{value}\", \"in={value};\", \"{value}{value}\", --, \"{value}\"",
                    variables,
                ),
            ),
        ),
        (
            "commands/behind.yaml",
            command(
                "behind",
                "value: { type: text }\n  here: { type: environment, default: here }",
                &run("\"{environment.none}{value}\"", variables),
            ),
        ),
        (
            "commands/request.yaml",
            command(
                "request",
                value,
                &http("/p/{value}/end?q={value}&fixed=1", "{value}", body),
            ),
        ),
        (
            "commands/guarded.yaml",
            command(
                "guarded",
                value,
                &(run("\"in={value};\", --, \"{value}\"", variables)
                    + &http("/fixed", "{value}", body)),
            ),
        ),
        (
            "commands/several.yaml",
            command(
                "several",
                "values: { type: list, of: text }",
                &(run(
                    "\"{values}\", \"in={values}\", --, \"{values}\"",
                    "VALUE: \"{values}\"",
                ) + &http("/fixed?q={values}", "{values}", "{ values: \"{values}\" }")),
            ),
        ),
        (
            "runbooks/people.yaml",
            "people:\n  ana: { name: Ana, slack: U0ANA }\ngroups:\n  all: [ana]\n".to_owned(),
        ),
        ("runbooks/shop.yaml", runbook.to_owned()),
    ]
}

/// What must become of values in a command's places.
#[derive(Debug)]
pub(super) enum Expected {
    /// No plan is made: the value would act.
    Refused,
    /// Each part arrives as it is.
    Arrives(Parts),
}

/// What a program is started with and a server is sent.
#[derive(Debug)]
pub(super) struct Parts {
    command: Command,
    pub(super) argv: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
    path: String,
    query: Vec<(&'static str, String)>,
    pub(super) header: String,
    json: Value,
}

/// What must become of the values, when the grammar lets them through.
pub(super) fn expected(command: Command, values: &[String]) -> Expected {
    let joined = values.join(",");
    let dash = values.iter().any(|value| value.starts_with('-'));
    let dots = joined
        .split(['/', '\\'])
        .any(|part| part == "." || part == "..");
    let acts = match command {
        Command::Program | Command::Behind => dash,
        Command::Request => dots,
        Command::Several => dash || dots,
        Command::Guarded => false,
    };
    if acts {
        return Expected::Refused;
    }
    let v = || joined.clone();
    let end = || "--".to_owned();
    let both = json!({ "value": joined, "inside": [format!("<{joined}>")], "fixed": 1 });
    let variables = |list: &[(&str, String)]| {
        list.iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    };
    let usual = || variables(&[("VALUE", v()), ("INSIDE", format!("a{joined}z"))]);
    let (argv, variables, path, query, json) = match command {
        Command::Program => (
            vec![
                v(),
                format!("in={joined};"),
                format!("{joined}{joined}"),
                end(),
                v(),
            ],
            usual(),
            String::new(),
            vec![],
            Value::Null,
        ),
        Command::Behind => (vec![v()], usual(), String::new(), vec![], Value::Null),
        Command::Request => (
            vec![],
            BTreeMap::new(),
            format!("/p/{joined}/end"),
            vec![("q", v()), ("fixed", "1".to_owned())],
            both,
        ),
        Command::Guarded => (
            vec![format!("in={joined};"), end(), v()],
            usual(),
            "/fixed".to_owned(),
            vec![],
            both,
        ),
        Command::Several => {
            let mut argv = values.to_vec();
            argv.extend([format!("in={joined}"), end()]);
            argv.extend_from_slice(values);
            (
                argv,
                variables(&[("VALUE", v())]),
                "/fixed".to_owned(),
                vec![("q", v())],
                json!({ "values": values }),
            )
        }
    };
    Expected::Arrives(Parts {
        command,
        argv,
        variables,
        path,
        query,
        header: joined,
        json,
    })
}

/// Where what arrived is looked up.
pub(super) struct Places<'a> {
    pub(super) recorder: &'a Recorder,
    pub(super) folder: PathBuf,
    pub(super) seed: u64,
}

impl Places<'_> {
    /// Holds what arrived for the run against what was expected; `None` is nothing at all.
    pub(super) fn judge(&self, run: &str, expected: Option<&Parts>, what: &str) {
        let started = Started::read(&self.folder, run);
        let requests = self.recorder.requests(run);
        let fault = match expected {
            None => (started.is_some() || !requests.is_empty())
                .then(|| "something was started or sent".to_owned()),
            Some(parts) => program_fault(parts, started.as_ref())
                .or_else(|| request_fault(parts, &requests, &self.recorder.address)),
        };
        if let Some(fault) = fault {
            panic!(
                "{what}: {fault}\nexpected: {expected:?}\nstarted: {started:?}\nsent: {requests:?}\nseed {}",
                self.seed
            );
        }
    }
}

fn program_fault(parts: &Parts, started: Option<&Started>) -> Option<String> {
    if !parts.command.starts_program() {
        return started.map(|_| "a program was started".to_owned());
    }
    let Some(started) = started else {
        return Some("no program was started".to_owned());
    };
    // The program itself, `--as record` and the run come first.
    if started.argv.get(4..) != Some(&parts.argv) {
        return Some("the arguments differ".to_owned());
    }
    let mut environment = started.environment.clone();
    for ours in ["PATH", "HOME"] {
        environment.remove(ours);
    }
    if environment != parts.variables {
        return Some("the environment differs".to_owned());
    }
    let foreign = started.above.iter().find(|exe| **exe != midwatch());
    foreign.map(|exe| format!("{} stands between midwatch and the program", exe.display()))
}

fn midwatch() -> PathBuf {
    let path = Path::new(crate::bot::MIDWATCH);
    path.canonicalize().expect("midwatch is built")
}

fn request_fault(parts: &Parts, requests: &[Request], address: &str) -> Option<String> {
    let request = match requests {
        [] if !parts.command.sends_request() => return None,
        [one] if parts.command.sends_request() => one,
        _ => return Some(format!("{} requests were sent", requests.len())),
    };
    let Request {
        method,
        target,
        headers,
        body,
    } = request;
    if method != "POST" {
        return Some("another method".to_owned());
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b))
    };
    if !plain(path) || decoded(path).as_deref() != Some(&parts.path) {
        return Some(format!("the path differs: {target}"));
    }
    let pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    let same = pairs.len() == parts.query.len()
        && pairs.iter().zip(&parts.query).all(|(pair, (key, value))| {
            pair.split_once('=').is_some_and(|(name, text)| {
                name == *key && plain(text) && decoded(text).as_deref() == Some(value)
            })
        });
    if !same {
        return Some(format!("the query differs: {target}"));
    }
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names
        != [
            "accept",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "x-run",
            "x-value",
        ]
    {
        return Some(format!("other headers: {names:?}"));
    }
    let header = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_slice())
    };
    if header("x-value") != Some(parts.header.as_bytes())
        || header("host") != Some(address.as_bytes())
    {
        return Some("a header differs".to_owned());
    }
    let json: Option<Value> = serde_json::from_slice(body).ok();
    (json.as_ref() != Some(&parts.json)).then(|| "the body differs".to_owned())
}

/// Percent signs undone, once.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (rest.next()?, rest.next()?);
        let hex = [high, low];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}
