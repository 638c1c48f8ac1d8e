//! A command: what exists and what it does to the world. Checked; made by `catalog` only.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommandName, ParameterKind, ParameterName, SecretName, StepName, Value};

/// A command of the catalog.
#[derive(Debug, Clone)]
pub struct Command {
    /// As typed.
    pub name: CommandName,
    /// What it does, in a sentence.
    pub does: String,
    /// How much harm a mistake does.
    pub risk: Risk,
    /// How to reverse it, in words; `None` when the file doesn't say.
    pub undo: Option<String>,
    /// The command that shows whether it worked.
    pub check: Option<CommandName>,
    /// A second call with the same target within this span is held.
    pub fresh: Option<Duration>,
    /// What two runs may not share.
    pub one_at_a_time: Option<Exclusive>,
    /// In the order in which positional arguments fill them. Unique names.
    pub parameters: Vec<Parameter>,
    /// In the order in which they are done. Non-empty, unique names.
    pub steps: Vec<StepDefinition>,
    /// Where it is defined.
    pub defined: FileLine,
}

impl Command {
    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name.as_str() == name)
    }

    /// The parameters in the order in which words without a name fill them: as declared, but those that may be missing
    /// come last, and an environment comes first of them.
    ///
    /// So a word can't fall into an earlier gap: `Invocation::typed` relies on that.
    pub fn positional(&self) -> Vec<&Parameter> {
        let mut parameters: Vec<&Parameter> = self.parameters.iter().collect();
        parameters.sort_by_key(|parameter| {
            let may_be_missing = parameter.optional && parameter.default.is_none();
            let other = !matches!(parameter.kind, ParameterKind::Environment);
            (may_be_missing, may_be_missing && other)
        });
        parameters
    }

    /// The parameter that says in which environment, when there is exactly one.
    pub fn environment_parameter(&self) -> Option<&Parameter> {
        let mut all = self
            .parameters
            .iter()
            .filter(|parameter| matches!(parameter.kind, ParameterKind::Environment));
        let first = all.next();
        first.filter(|_| all.next().is_none())
    }

    /// Whether every step only reads.
    pub fn only_reads(&self) -> bool {
        self.steps
            .iter()
            .all(|step| matches!(step.effect, Effect::Read))
    }

    /// `flush-cache <environment> [path]`, as help shows it.
    pub fn usage(&self) -> String {
        let shown = self.positional().into_iter().map(|parameter| {
            if parameter.required() {
                format!(" <{}>", parameter.name)
            } else {
                format!(" [{}]", parameter.name)
            }
        });
        std::iter::once(self.name.to_string())
            .chain(shown)
            .collect()
    }
}

/// A place in a file that a person can open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileLine {
    /// Path as the person would type it, `/` between parts.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
}

impl fmt::Display for FileLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// How much harm a mistake does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Nobody notices.
    Low,
    /// Some notice, for a while.
    Medium,
    /// Customers or data suffer.
    High,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// What two runs of a command may not share while one is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Exclusive {
    /// The project: one run of the command in all its environments.
    Project,
    /// The environment: one run of the command in each.
    Environment,
    /// All arguments: only a run that asks for the very same is held.
    Arguments,
}

/// What a command declares.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// As typed before `=`.
    pub name: ParameterName,
    /// What it accepts.
    pub kind: ParameterKind,
    /// Used when nothing is given.
    pub default: Option<Value>,
    /// Whether it may be left out although it has no default: the steps then see an empty text.
    pub optional: bool,
    /// One sentence.
    pub help: Option<String>,
    /// An example that is valid.
    pub example: Option<String>,
}

impl Parameter {
    /// Whether an invocation must give it.
    pub fn required(&self) -> bool {
        self.default.is_none() && !self.optional
    }
}

/// One step as its file declares it.
#[derive(Debug, Clone)]
pub struct StepDefinition {
    /// Unique within the command.
    pub name: StepName,
    /// The work.
    pub action: Action<Template>,
    /// What a crash allows us to do.
    pub effect: Effect,
    /// Only for `checked`: tells whether the step happened. Exit code 0, or all expectations met: it did. Exit code 1,
    /// or an expectation not met: it did not. All else is unknown.
    pub verify: Option<Action<Template>>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many attempts there may be, 1 to 10. More than one only where the effect permits it.
    pub attempts: u32,
    /// Where it is defined.
    pub defined: FileLine,
}

/// What a crash allows us to do with a step that has started and of which nothing more is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing: run again.
    Read,
    /// Twice is as good as once: run again, and say so.
    Idempotent,
    /// The target de-duplicates on a key that we send: send the same key again.
    Keyed,
    /// A `verify` action answers whether it happened: ask it.
    Checked,
    /// At most once: never again, a person settles it.
    #[default]
    Once,
}

impl Effect {
    /// The word used in files and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Idempotent => "idempotent",
            Self::Keyed => "keyed",
            Self::Checked => "checked",
            Self::Once => "once",
        }
    }

    /// Whether a failed attempt may be tried again without asking.
    pub fn may_repeat(self) -> bool {
        match self {
            Self::Read | Self::Idempotent | Self::Keyed => true,
            Self::Checked | Self::Once => false,
        }
    }
}

/// The work of a step; `T` is [`Template`] in a definition and [`Rendered`] in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action<T> {
    /// A program with arguments. Never a shell.
    Run(RunAction<T>),
    /// One HTTP exchange.
    Http(HttpAction<T>),
}

/// A program with arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAction<T> {
    /// The program and its arguments. Non-empty. In a plan, a list argument has become several.
    pub argv: Vec<T>,
    /// Where it runs, relative to the folder that holds `commands/`.
    pub directory: Option<String>,
    /// Variables set for it, beside the few that every program gets.
    pub environment: BTreeMap<String, T>,
    /// Names of midwatch's own variables that it may see.
    pub pass: Vec<String>,
}

/// One HTTP exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpAction<T> {
    /// `GET`, `POST`, `BAN` …
    pub method: String,
    /// Where to. In a plan: absolute, `http` or `https`, its host on the allow-list.
    pub url: T,
    /// Sent headers. Header names are lower case.
    pub headers: BTreeMap<String, T>,
    /// A JSON body.
    pub json: Option<JsonTemplate<T>>,
    /// What the answer must be.
    pub expect: Expect,
    /// Names of answer headers told in the thread, lower case; `body` stands for the beginning of the answer.
    pub show: Vec<String>,
    /// Hosts allowed beside those of the environment's own addresses; `host` or `host:port`.
    pub hosts: Vec<String>,
    /// How many redirects may be followed, each to an allowed host; 0 to 5.
    pub redirects: u32,
}

/// A JSON body with placeholders in its strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonTemplate<T> {
    /// `null`, a number or a boolean, as written.
    Literal(serde_json::Value),
    /// A text.
    Text(T),
    /// An array.
    Array(Vec<JsonTemplate<T>>),
    /// An object.
    Object(BTreeMap<String, JsonTemplate<T>>),
}

/// What an answer must be. All given parts must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// Allowed status codes; empty means 200 to 299.
    pub status: Vec<u16>,
    /// Patterns by header name, lower case; each must match somewhere in the header's value.
    pub headers: BTreeMap<String, Pattern>,
    /// A pattern that must match somewhere in the body.
    pub body: Option<Pattern>,
}

/// Bytes that one compiled pattern may take: `[\w/.-]{0,200}` needs some three million.
pub const PATTERN_MEMORY: usize = 8 << 20;

/// A regular expression that compares and travels as its text.
#[derive(Debug, Clone)]
pub struct Pattern(regex::Regex);

impl Pattern {
    /// Compiles with a size limit, so that no pattern can eat the memory.
    pub fn parse(text: &str) -> Result<Self, regex::Error> {
        regex::RegexBuilder::new(text)
            .size_limit(PATTERN_MEMORY)
            .build()
            .map(Self)
    }

    /// The compiled expression.
    pub fn regex(&self) -> &regex::Regex {
        &self.0
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A text with placeholders: `{path}`, `{environment.url}`, `{secret.varnish}`, `{run.key}`; `{{` is a brace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub Vec<Segment>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// As written.
    Literal(String),
    /// `{NAME}`: an argument; `{environment}` is the environment's name.
    Argument(ParameterName),
    /// `{environment.KEY}`: an attribute of the environment in the runbook.
    Attribute(String),
    /// `{project}`: the project's name.
    Project,
    /// `{secret.NAME}`: resolved when the step starts.
    Secret(SecretName),
    /// `{secret.{PARAMETER}}` is written `{PARAMETER}` for a parameter of type secret; this is `{run.id}`.
    RunId,
    /// `{run.reference}`.
    Reference,
    /// `{run.key}`: `run/step`, the same over attempts.
    Key,
    /// `{actor}`: the person's name in `people.yaml`.
    Actor,
}

/// A text of a plan: everything is fixed but the values of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendered(pub Vec<Piece>);

/// A part of a rendered text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Fixed.
    Text(String),
    /// The value of this secret, resolved when the step starts.
    Secret(SecretName),
}

impl fmt::Display for Rendered {
    /// Prints the text with `[secret NAME]` where a secret's value will stand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Secret(name) => write!(f, "[secret {name}]")?,
            }
        }
        Ok(())
    }
}
