//! The steps of a command: actions, effects, limits.

use std::collections::BTreeMap;
use std::time::Duration;

use super::at::{At, Spot};
use super::diagnostic::Diagnostic;
use super::http::{self, Web};
use super::template::{self, Names};
use super::{parameter, raw};
use crate::domain::{
    Action, Effect, HttpAction, JsonTemplate, RunAction, Segment, StepDefinition, Template,
};

const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
const LONGEST_TIMEOUT: Duration = Duration::from_hours(24);
/// Variables that hold midwatch's own secrets and settings; no program is given them.
const OURS: [&str; 4] = ["SLACK_", "DISCORD_", "MIDWATCH_", "DATABASE_URL"];

/// Reads templates and remembers which attributes of the environment they use.
pub(crate) struct Texts<'a> {
    names: &'a Names,
    /// In order, and where.
    attributes: Vec<(String, Spot)>,
}

impl Texts<'_> {
    /// Reads one text; an empty template where it is wrong.
    pub(crate) fn read(&mut self, text: &str, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Template {
        match template::parse(text, self.names) {
            Ok(template) => {
                for segment in &template.0 {
                    if let Segment::Attribute(key) = segment {
                        self.attributes.push((key.clone(), at.spot()));
                    }
                }
                template
            }
            Err(error) => {
                notes.push(at.part(&error.part).error(error.message).hint(error.hint));
                Template(Vec::new())
            }
        }
    }

    /// Reads a map of texts.
    pub(crate) fn map(
        &mut self,
        texts: &BTreeMap<String, raw::Text>,
        at: At<'_>,
        notes: &mut Vec<Diagnostic>,
    ) -> BTreeMap<String, Template> {
        texts
            .iter()
            .map(|(key, text)| (key.clone(), self.read(&text.0, at.get(key), notes)))
            .collect()
    }
}

/// Reads all steps, and the attributes of the environment that they use.
pub(crate) fn read_all(
    steps: &[raw::Step],
    at: At<'_>,
    names: &Names,
    notes: &mut Vec<Diagnostic>,
) -> (Vec<StepDefinition>, Vec<(String, Spot)>) {
    if steps.is_empty() {
        let message = "a command needs at least one step";
        notes.push(
            at.key("steps")
                .error(message)
                .hint("write `- name: …` with `run:` or `http:`"),
        );
    }
    let mut texts = Texts {
        names,
        attributes: Vec::new(),
    };
    let mut read: Vec<StepDefinition> = Vec::new();
    for (raw, at) in steps.iter().zip(at.get("steps").items()) {
        if read.iter().any(|other| other.name == raw.name) {
            let message = format!("two steps are called `{}`", raw.name);
            notes.push(at.get("name").error(message).hint("choose another name"));
        }
        read.extend(step(raw, at, &mut texts, notes));
    }
    (read, texts.attributes)
}

fn step(
    raw: &raw::Step,
    at: At<'_>,
    texts: &mut Texts<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<StepDefinition> {
    let work = Work {
        run: raw.run.as_deref(),
        http: raw.http.as_ref(),
        step: Some(raw),
    };
    let action = action(&work, at, texts, notes);
    let verify = raw.verify.as_ref().and_then(|verify| {
        let work = Work {
            run: verify.run.as_deref(),
            http: verify.http.as_ref(),
            step: None,
        };
        self::action(&work, at.get("verify"), texts, notes)
    });
    check_effect(raw, action.as_ref(), at, notes);
    Some(StepDefinition {
        name: raw.name.clone(),
        action: action?,
        effect: raw.effect,
        verify,
        timeout: timeout(raw, at, notes),
        attempts: raw.attempts.unwrap_or(1),
        defined: at.head().file_line(),
    })
}

/// The keys of which exactly one must be there.
struct Work<'a> {
    run: Option<&'a [raw::Text]>,
    http: Option<&'a raw::Http>,
    step: Option<&'a raw::Step>,
}

fn action(
    work: &Work<'_>,
    at: At<'_>,
    texts: &mut Texts<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<Action<Template>> {
    match (work.run, work.http) {
        (Some(argv), None) => run(argv, work.step, at, texts, notes).map(Action::Run),
        (None, Some(http)) => {
            refuse_program_keys(work.step, at, notes);
            web(http, at.get("http"), texts, notes).map(Action::Http)
        }
        (None, None) => {
            let message = "what is to be done is missing";
            let hint = "write `run: [program, argument]` or `http: { get: \"https://…\" }`";
            notes.push(at.head().error(message).hint(hint));
            None
        }
        (Some(_), Some(_)) => {
            let message = "`run` and `http` are two steps";
            notes.push(
                at.key("http")
                    .error(message)
                    .hint("make a second step of it"),
            );
            None
        }
    }
}

fn run(
    argv: &[raw::Text],
    step: Option<&raw::Step>,
    at: At<'_>,
    texts: &mut Texts<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<RunAction<Template>> {
    let mut words = Vec::new();
    for (word, at) in argv.iter().zip(at.get("run").items()) {
        words.push(texts.read(&word.0, at, notes));
    }
    match words.first().map(|program| program.0.as_slice()) {
        None => {
            let message = "`run` needs a program";
            notes.push(
                at.get("run")
                    .error(message)
                    .hint("write `run: [program, argument]`"),
            );
            return None;
        }
        Some([Segment::Literal(program)]) => {
            if program.contains(char::is_whitespace) && argv.len() == 1 {
                let message = "this is one word, not a command line: no shell splits it";
                let hint = "write one list item per word: `run: [program, argument]`";
                notes.push(at.get("run").error(message).hint(hint));
            }
        }
        Some([]) => {}
        Some(_) => {
            let message = "the program can't come from a placeholder";
            let place = at.get("run").items().next().unwrap_or(at);
            notes.push(place.error(message).hint("write the program's name out"));
        }
    }
    let (directory, environment, pass) = match step {
        Some(step) => surroundings(step, at, texts, notes),
        None => (None, BTreeMap::new(), Vec::new()),
    };
    Some(RunAction {
        argv: words,
        directory,
        environment,
        pass,
    })
}

type Surroundings = (Option<String>, BTreeMap<String, Template>, Vec<String>);

fn surroundings(
    step: &raw::Step,
    at: At<'_>,
    texts: &mut Texts<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Surroundings {
    let at_environment = at.get("environment");
    let names = step
        .environment
        .keys()
        .map(|name| (name, at_environment.key(name)));
    for (name, at) in names.chain(step.pass.iter().zip(at.get("pass").items())) {
        if !is_variable(name) {
            let message = format!("`{name}` can't be the name of a variable");
            notes.push(at.error(message).hint("use letters, digits and `_`"));
        } else if OURS.iter().any(|ours| name.starts_with(ours)) {
            let message = format!("`{name}` belongs to midwatch and goes to no program");
            notes.push(at.error(message).hint("use a secret: `{secret.NAME}`"));
        }
    }
    let environment = texts.map(&step.environment, at_environment, notes);
    let directory = step.directory.as_ref().map(|directory| directory.0.clone());
    (directory, environment, step.pass.clone())
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn refuse_program_keys(step: Option<&raw::Step>, at: At<'_>, notes: &mut Vec<Diagnostic>) {
    let Some(step) = step else { return };
    let given = [
        ("directory", step.directory.is_some()),
        ("environment", !step.environment.is_empty()),
        ("pass", !step.pass.is_empty()),
    ];
    for (key, _) in given.into_iter().filter(|(_, present)| *present) {
        let message = format!("`{key}` does nothing for `http`");
        notes.push(
            at.key(key)
                .error(message)
                .hint("remove it; it belongs to `run`"),
        );
    }
}

fn web(
    raw: &raw::Http,
    at: At<'_>,
    texts: &mut Texts<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<HttpAction<Template>> {
    let Web {
        method,
        url,
        at_url,
    } = http::method_and_url(raw, at, notes)?;
    let url = texts.read(url, at_url, notes);
    let mut hosts = http::hosts(raw, at, notes);
    hosts.extend(http::check_url(&url, at_url, texts.names, notes));
    let headers = http::check_headers(&raw.headers, at.get("headers"), notes);
    let headers = headers
        .into_iter()
        .map(|(name, key, text)| {
            let place = at.get("headers").get(key);
            (name, texts.read(&text.0, place, notes))
        })
        .collect();
    let json = raw
        .json
        .as_ref()
        .map(|body| json(body, at.get("json"), texts, notes));
    Some(HttpAction {
        method,
        url,
        headers,
        json,
        expect: http::expect(raw.expect.as_ref(), at.get("expect"), notes),
        show: http::show(&raw.show, at.get("show"), notes),
        hosts,
        redirects: raw.redirects.unwrap_or(0),
    })
}

fn json(
    body: &serde_json::Value,
    at: At<'_>,
    texts: &mut Texts<'_>,
    notes: &mut Vec<Diagnostic>,
) -> JsonTemplate<Template> {
    use serde_json::Value;
    match body {
        Value::String(text) => JsonTemplate::Text(texts.read(text, at, notes)),
        Value::Array(items) => JsonTemplate::Array(
            items
                .iter()
                .zip(at.items())
                .map(|(item, at)| json(item, at, texts, notes))
                .collect(),
        ),
        Value::Object(map) => JsonTemplate::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), json(value, at.get(key), texts, notes)))
                .collect(),
        ),
        literal => JsonTemplate::Literal(literal.clone()),
    }
}

fn check_effect(
    raw: &raw::Step,
    action: Option<&Action<Template>>,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) {
    match (raw.effect, raw.verify.is_some()) {
        (Effect::Checked, false) => {
            let message = "`checked` needs `verify`: how to find out whether it happened";
            notes.push(
                at.get("effect")
                    .error(message)
                    .hint("add `verify: { run: […] }` or `verify: { http: … }`"),
            );
        }
        (effect, true) if effect != Effect::Checked => {
            let message = format!("`verify` does nothing for the effect `{}`", effect.as_str());
            notes.push(
                at.key("verify")
                    .error(message)
                    .hint("write `effect: checked`, or make it a step"),
            );
        }
        _ => {}
    }
    if raw.effect == Effect::Keyed && action.is_some_and(|action| !sends_key(action)) {
        let message = "`keyed` needs the key: nothing here sends `{run.key}`";
        let hint = "send it, for example as the header `idempotency-key: \"{run.key}\"`";
        notes.push(at.get("effect").error(message).hint(hint));
    }
    if raw.attempts.is_some_and(|attempts| attempts > 1) && !raw.effect.may_repeat() {
        let message = format!(
            "a step with the effect `{}` is never tried twice",
            raw.effect.as_str()
        );
        let hint = "remove `attempts`, or say `effect: idempotent` if twice is as good as once";
        notes.push(at.get("attempts").error(message).hint(hint));
    }
}

fn sends_key(action: &Action<Template>) -> bool {
    let has = |template: &Template| template.0.contains(&Segment::Key);
    match action {
        Action::Run(run) => run.argv.iter().chain(run.environment.values()).any(has),
        Action::Http(http) => {
            has(&http.url)
                || http.headers.values().any(has)
                || http.json.as_ref().is_some_and(json_has_key)
        }
    }
}

fn json_has_key(body: &JsonTemplate<Template>) -> bool {
    match body {
        JsonTemplate::Literal(_) => false,
        JsonTemplate::Text(text) => text.0.contains(&Segment::Key),
        JsonTemplate::Array(items) => items.iter().any(json_has_key),
        JsonTemplate::Object(map) => map.values().any(json_has_key),
    }
}

fn timeout(raw: &raw::Step, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Duration {
    let Some(text) = &raw.timeout else {
        return DEFAULT_TIMEOUT;
    };
    let at = at.get("timeout");
    let given = parameter::span(&text.0, at, notes).unwrap_or(DEFAULT_TIMEOUT);
    if given.is_zero() || given > LONGEST_TIMEOUT {
        let message = format!("a step can't take `{}`", text.0);
        notes.push(at.error(message).hint("more than nothing, and at most 24h"));
    }
    given
}
