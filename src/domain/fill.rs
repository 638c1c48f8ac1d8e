//! Makes the plan of a permitted invocation: every placeholder filled in but the values of secrets.
//!
//! A value never becomes an option, a second argument, another host or another path.

use std::collections::BTreeMap;

use super::{
    Action, Catalog, Command, Draft, Environment, HttpAction, Identity, Invocation, JsonTemplate,
    ParameterName, Permit, Piece, Plan, PlannedStep, ProjectName, Proposal, Reference, Refusal,
    Rendered, RunAction, RunId, Segment, Template, Value, examples_of,
};
use crate::planted;

/// The run a plan is made for.
#[derive(Debug, Clone, Copy)]
pub struct PlanFor<'a> {
    /// Its id.
    pub run: RunId,
    /// Its reference.
    pub reference: &'a Reference,
    /// Who asked for it.
    pub requester: &'a Identity,
}

/// Makes the plan. The permit is used up: one decision, one plan.
///
/// # Errors
/// A [`Refusal`] when a value would act as something other than a value, or the catalog has changed in between.
pub fn plan(permit: Permit, catalog: &Catalog, of: PlanFor<'_>) -> Result<Plan, Refusal> {
    filled(&permit.into_invocation(), catalog, of)
}

/// Makes the plan that consent is asked for.
///
/// # Errors
/// As [`plan`].
pub fn propose(draft: Draft, catalog: &Catalog, of: PlanFor<'_>) -> Result<Proposal, Refusal> {
    let invocation = draft.into_invocation();
    let plan = filled(&invocation, catalog, of)?;
    Ok(proposal(plan, catalog, &invocation.project))
}

/// What consent to this plan would have been given to.
pub fn proposal(plan: Plan, catalog: &Catalog, project: &ProjectName) -> Proposal {
    let project = catalog.projects.get(project);
    let runbook = project.map_or("", |project| project.fingerprint.as_str());
    Proposal::new(plan, runbook)
}

fn filled(invocation: &Invocation, catalog: &Catalog, of: PlanFor<'_>) -> Result<Plan, Refusal> {
    let gone = || Refusal::NotNow {
        what: format!("`{}` is no longer in the catalog", invocation.command),
        next: "type /ops list to see what there is".to_owned(),
        word: "gone",
    };
    let command = catalog.commands.get(&invocation.command).ok_or_else(gone)?;
    let project = catalog.projects.get(&invocation.project).ok_or_else(gone)?;
    let environment = match &invocation.environment {
        Some(name) => Some(project.environment(name.as_str()).ok_or_else(gone)?),
        None => None,
    };
    let filler = Filler {
        invocation,
        command,
        catalog,
        environment,
        of,
    };
    let steps = command.steps.iter().map(|step| {
        let hosts = environment.map(hosts_of).unwrap_or_default();
        Ok(PlannedStep {
            name: step.name.clone(),
            action: filler.action(&step.action, step.name.as_str())?,
            verify: step
                .verify
                .as_ref()
                .map(|verify| filler.action(verify, step.name.as_str()))
                .transpose()?,
            effect: step.effect,
            timeout_ms: u64::try_from(step.timeout.as_millis()).unwrap_or(u64::MAX),
            attempts: step.attempts.max(1),
            hosts: hosts
                .into_iter()
                .chain(declared_hosts(&step.action))
                .chain(step.verify.iter().flat_map(declared_hosts))
                .collect(),
        })
    });
    Ok(Plan {
        revision: catalog.revision.clone(),
        risk: command.risk,
        undo: command.undo.clone(),
        check: command.check.clone(),
        steps: steps.collect::<Result<_, Refusal>>()?,
    })
}

/// `host:port` of every address among the environment's attributes.
fn hosts_of(environment: &Environment) -> Vec<String> {
    environment
        .attributes
        .values()
        .flatten()
        .filter_map(|value| host_and_port(value))
        .collect()
}

fn host_and_port(address: &str) -> Option<String> {
    let url = url::Url::parse(address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(format!(
        "{}:{}",
        url.host_str()?.to_ascii_lowercase(),
        url.port_or_known_default()?
    ))
}

/// The hosts a file names itself; one without a port stands for both usual ports.
fn declared_hosts<T>(action: &Action<T>) -> Vec<String> {
    let Action::Http(http) = action else {
        return Vec::new();
    };
    let both = |host: &String| {
        let host = host.to_ascii_lowercase();
        if host
            .rsplit(':')
            .next()
            .is_some_and(|port| port.parse::<u16>().is_ok())
        {
            vec![host]
        } else {
            vec![format!("{host}:80"), format!("{host}:443")]
        }
    };
    http.hosts.iter().flat_map(both).collect()
}

struct Filler<'a> {
    invocation: &'a Invocation,
    command: &'a Command,
    catalog: &'a Catalog,
    environment: Option<&'a Environment>,
    of: PlanFor<'a>,
}

impl Filler<'_> {
    fn action(&self, action: &Action<Template>, step: &str) -> Result<Action<Rendered>, Refusal> {
        Ok(match action {
            Action::Run(run) => Action::Run(RunAction {
                argv: self.argv(&run.argv, step)?,
                directory: run.directory.clone(),
                environment: self.map(&run.environment, step),
                pass: run.pass.clone(),
            }),
            Action::Http(http) => Action::Http(HttpAction {
                method: http.method.clone(),
                url: self.url(&http.url, step)?,
                headers: self.map(&http.headers, step),
                json: http.json.as_ref().map(|json| self.json(json, step)),
                expect: http.expect.clone(),
                show: http.show.clone(),
                hosts: http.hosts.clone(),
                redirects: http.redirects,
            }),
        })
    }

    fn map(
        &self,
        templates: &BTreeMap<String, Template>,
        step: &str,
    ) -> BTreeMap<String, Rendered> {
        templates
            .iter()
            .map(|(key, template)| (key.clone(), self.text(template, step)))
            .collect()
    }

    fn text(&self, template: &Template, step: &str) -> Rendered {
        join(template.0.iter().map(|segment| self.segment(segment, step)))
    }

    /// A list alone in its place becomes several arguments; each other template becomes exactly one.
    fn argv(&self, templates: &[Template], step: &str) -> Result<Vec<Rendered>, Refusal> {
        let mut argv = Vec::new();
        let mut options_ended = false;
        for template in templates {
            options_ended |= template.0 == [Segment::Literal("--".to_owned())];
            let elements = match template.0.as_slice() {
                [Segment::Argument(name)] => match self.invocation.arguments.get(name) {
                    Some(Value::List(items)) => items
                        .iter()
                        .map(piece_of)
                        .map(|piece| Rendered(vec![piece]))
                        .collect(),
                    _ => vec![self.text(template, step)],
                },
                _ => vec![self.text(template, step)],
            };
            let first_is_dash = |text: &Rendered| matches!(text.0.first(), Some(Piece::Text(text)) if text.starts_with('-'));
            if let Some(name) = self.leading_argument(template, step)
                && !options_ended
                && !planted::is("value-becomes-option")
                && elements.iter().any(first_is_dash)
            {
                return Err(self.bad_value(name.as_str(), "a value that does not begin with `-`"));
            }
            argv.extend(elements);
        }
        Ok(argv)
    }

    /// The argument that says how this text begins: nothing stands before it, or an attribute that is empty here.
    fn leading_argument<'t>(
        &self,
        template: &'t Template,
        step: &str,
    ) -> Option<&'t ParameterName> {
        let mut begins = template.0.iter().skip_while(|segment| {
            let argument = matches!(segment, Segment::Argument(_));
            !argument && self.segment(segment, step) == Piece::Text(String::new())
        });
        match begins.next() {
            Some(Segment::Argument(name)) => Some(name),
            _ => None,
        }
    }

    /// Values are percent-encoded, so that none can name a host, a query or a fragment.
    fn url(&self, template: &Template, step: &str) -> Result<Rendered, Refusal> {
        let mut pieces = Vec::new();
        for segment in &template.0 {
            pieces.push(match segment {
                Segment::Argument(name) => {
                    let value = self.invocation.arguments.get(name);
                    if let Some(Value::Secret(secret)) = value {
                        pieces.push(Piece::Secret(secret.clone()));
                        continue;
                    }
                    let text = value.map(ToString::to_string).unwrap_or_default();
                    if text
                        .split(['/', '\\'])
                        .any(|part| part == ".." || part == ".")
                    {
                        return Err(self.bad_value(name.as_str(), "a path without `.` and `..`"));
                    }
                    Piece::Text(percent_encoded(&text))
                }
                other => self.segment(other, step),
            });
        }
        Ok(join(pieces.into_iter()))
    }

    /// A number, boolean or list alone in its place keeps its type.
    fn json(&self, json: &JsonTemplate<Template>, step: &str) -> JsonTemplate<Rendered> {
        match json {
            JsonTemplate::Literal(value) => JsonTemplate::Literal(value.clone()),
            JsonTemplate::Array(items) => {
                JsonTemplate::Array(items.iter().map(|item| self.json(item, step)).collect())
            }
            JsonTemplate::Object(map) => JsonTemplate::Object(
                map.iter()
                    .map(|(key, item)| (key.clone(), self.json(item, step)))
                    .collect(),
            ),
            JsonTemplate::Text(template) => match template.0.as_slice() {
                [Segment::Argument(name)] => match self.invocation.arguments.get(name) {
                    Some(value) => json_value(value),
                    None => JsonTemplate::Literal(serde_json::Value::Null),
                },
                _ => JsonTemplate::Text(self.text(template, step)),
            },
        }
    }

    fn segment(&self, segment: &Segment, step: &str) -> Piece {
        Piece::Text(match segment {
            Segment::Literal(text) => text.clone(),
            Segment::Argument(name) => match self.invocation.arguments.get(name) {
                Some(value) => return piece_of(value),
                None => String::new(),
            },
            Segment::Attribute(key) => {
                let values = self
                    .environment
                    .and_then(|environment| environment.attributes.get(key));
                values.map(|values| values.join(",")).unwrap_or_default()
            }
            Segment::Project => self.invocation.project.to_string(),
            Segment::Secret(name) => return Piece::Secret(name.clone()),
            Segment::RunId => self.of.run.to_string(),
            Segment::Reference => self.of.reference.to_string(),
            Segment::Key => format!("{}/{step}", self.of.run),
            Segment::Actor => self.of.requester.to_string(),
        })
    }

    fn bad_value(&self, parameter: &str, expected: &str) -> Refusal {
        let project = self.catalog.projects.get(&self.invocation.project);
        let found = self
            .command
            .parameter(parameter)
            .expect("the catalog checked that placeholders name parameters");
        let typed = self
            .invocation
            .arguments
            .get(parameter)
            .map(|value| value.to_string().chars().take(60).collect());
        Refusal::BadValue {
            parameter: found.name.clone(),
            typed,
            expected: expected.to_owned(),
            nearest: None,
            example: examples_of(self.command, self.catalog, project.map(AsRef::as_ref)),
        }
    }
}

fn piece_of(value: &Value) -> Piece {
    match value {
        Value::Secret(name) => Piece::Secret(name.clone()),
        other => Piece::Text(other.to_string()),
    }
}

fn json_value(value: &Value) -> JsonTemplate<Rendered> {
    match value {
        Value::Integer(number) => JsonTemplate::Literal((*number).into()),
        Value::Boolean(yes) => JsonTemplate::Literal((*yes).into()),
        Value::List(items) => JsonTemplate::Array(items.iter().map(json_value).collect()),
        other => JsonTemplate::Text(Rendered(vec![piece_of(other)])),
    }
}

/// Joins neighbouring texts and leaves out empty ones.
fn join(pieces: impl Iterator<Item = Piece>) -> Rendered {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (joined.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
            (_, Piece::Text(text)) if text.is_empty() => {}
            (_, piece) => joined.push(piece),
        }
    }
    Rendered(joined)
}

/// Everything but unreserved characters (RFC 3986 §2.3) and `/`.
fn percent_encoded(text: &str) -> String {
    if planted::is("address-not-encoded") {
        return text.to_owned();
    }
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
