//! What the files say, before it is trusted. From these types come the readers and the JSON Schemas for editors.
//!
//! Never leaves `catalog`. No `untagged`, no `flatten`: they would cost the exact places of mistakes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use super::written::{Condition, Group, OneOrMany, Prose, Span, Status, Text};
use crate::domain::{
    CommandName, Effect, EnvironmentName, Exclusive, GroupName, LevelName, Means, ParameterName,
    PersonId, ProjectName, Risk, RotationName, SecretName, StepName,
};

/// A command: what exists and what it does to the world.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are the keys of the file"
)]
pub(crate) struct Command {
    /// Its name, as it is typed.
    pub(crate) command: CommandName,
    /// What it does, in a sentence or two.
    pub(crate) does: Prose,
    /// How much harm a mistake does. Default: `low` when every step reads, else `medium`.
    pub(crate) risk: Option<Risk>,
    /// How to reverse it, in words.
    pub(crate) undo: Option<Prose>,
    /// The command that shows whether it worked.
    pub(crate) check: Option<CommandName>,
    /// A second call with the same target within this span is held: someone just did it.
    pub(crate) fresh: Option<Span>,
    /// What two runs may not share: a second caller is told of the running one.
    pub(crate) one_at_a_time: Option<Exclusive>,
    /// What it takes, in the order in which positional arguments fill them.
    #[serde(default)]
    pub(crate) parameters: BTreeMap<ParameterName, Parameter>,
    /// What is done, in order.
    pub(crate) steps: Vec<Step>,
}

/// One parameter of a command.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameter {
    /// What it accepts.
    #[serde(rename = "type")]
    pub(crate) kind: ParameterType,
    /// Used when nothing is given.
    pub(crate) default: Option<OneOrMany<Text>>,
    /// One sentence for people.
    pub(crate) help: Option<Prose>,
    /// A valid example.
    pub(crate) example: Option<Text>,
    /// It may be left out although it has no default; the steps then see an empty text.
    #[serde(default)]
    pub(crate) optional: bool,
    /// For text: a regular expression that the whole text must match.
    pub(crate) matches: Option<String>,
    /// For text: most characters. For a list: most items.
    pub(crate) longest: Option<u32>,
    /// For choice: the words.
    pub(crate) choices: Option<Vec<Text>>,
    /// For integer and duration: the smallest.
    pub(crate) min: Option<Text>,
    /// For integer and duration: the largest.
    pub(crate) max: Option<Text>,
    /// For list: what each item is (`text`, `integer`, `choice` …); the keys for that type stand beside it.
    pub(crate) of: Option<OneOrMany<Text>>,
    /// For secret: the names that may be given.
    pub(crate) names: Option<Vec<SecretName>>,
}

/// What a parameter accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ParameterType {
    /// One of the project's environments.
    Environment,
    /// One of the `choices`.
    Choice,
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A span of time.
    Duration,
    /// Yes or no.
    Boolean,
    /// The name of a secret.
    Secret,
    /// Several of one kind.
    List,
}

/// One step of a command: either `run` or `http`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Its name; unique within the command.
    pub(crate) name: StepName,
    /// A program with its arguments, one list item each. Never a shell line.
    pub(crate) run: Option<Vec<Text>>,
    /// One HTTP exchange.
    pub(crate) http: Option<Http>,
    /// What a crash in the middle allows: read, idempotent, keyed, checked, once. Default: `once`, never repeated.
    #[serde(default)]
    pub(crate) effect: Effect,
    /// For `checked`: answers whether the step happened.
    pub(crate) verify: Option<Verify>,
    /// How long one attempt may take. Default 60s, at most 24h.
    pub(crate) timeout: Option<Span>,
    /// How many attempts; more than one only for read, idempotent and keyed. Default 1.
    #[schemars(range(min = 1, max = 10))]
    pub(crate) attempts: Option<u32>,
    /// For run: the folder it runs in, relative to the one that holds `commands/`.
    pub(crate) directory: Option<Text>,
    /// For run: variables set for the program.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, Text>,
    /// For run: names of midwatch's own variables that the program may see.
    #[serde(default)]
    pub(crate) pass: Vec<String>,
}

/// How to find out whether a step happened: either `run` (exit code 0: yes, 1: no) or `http`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verify {
    /// A program with its arguments.
    pub(crate) run: Option<Vec<Text>>,
    /// One HTTP exchange: all expectations met means yes.
    pub(crate) http: Option<Http>,
}

/// One HTTP exchange: one of get, head, post, put, patch, delete with an address, or `method` with `url`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// GET this address.
    pub(crate) get: Option<Text>,
    /// HEAD this address.
    pub(crate) head: Option<Text>,
    /// POST to this address.
    pub(crate) post: Option<Text>,
    /// PUT to this address.
    pub(crate) put: Option<Text>,
    /// PATCH this address.
    pub(crate) patch: Option<Text>,
    /// DELETE this address.
    pub(crate) delete: Option<Text>,
    /// Any other method, such as BAN or PURGE; goes with `url`.
    pub(crate) method: Option<String>,
    /// The address for `method`.
    pub(crate) url: Option<Text>,
    /// Headers to send.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Text>,
    /// A JSON body; placeholders in its texts are filled in.
    pub(crate) json: Option<serde_json::Value>,
    /// What the answer must be. Default: a status of 200 to 299.
    pub(crate) expect: Option<Expect>,
    /// Names of answer headers that the thread shows; `body` shows the beginning of the answer.
    #[serde(default)]
    pub(crate) show: Vec<String>,
    /// Hosts that may be reached, beside the environment's own: `host` or `host:port`.
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
    /// How many redirects are followed, each to an allowed host. Default 0.
    #[schemars(range(min = 0, max = 5))]
    pub(crate) redirects: Option<u32>,
}

/// What an answer must be; all given parts must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// One status code, or several.
    pub(crate) status: Option<OneOrMany<Status>>,
    /// Regular expressions by header name; each must match somewhere in the value.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Text>,
    /// A regular expression that must match somewhere in the body.
    pub(crate) body: Option<String>,
}

/// A project's runbook: who may what, when, with whose consent, and whom to call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runbook {
    /// The project's name, as it is typed.
    pub(crate) project: ProjectName,
    /// What it is, in a sentence or two.
    pub(crate) about: Prose,
    /// The group that answers for it.
    pub(crate) owner: Option<GroupName>,
    /// Ids of the channels in which it is talked about, beside the one of its own name. A channel has one project.
    #[serde(default)]
    pub(crate) channels: Vec<Text>,
    /// Its environments; the keys of each are what `{environment.KEY}` stands for.
    #[serde(default)]
    pub(crate) environments: BTreeMap<EnvironmentName, BTreeMap<String, OneOrMany<Text>>>,
    /// First match wins. The last one is `otherwise`.
    pub(crate) rules: Vec<Rule>,
    /// How many changes may be begun in a minute. Left out: as many as may be.
    pub(crate) limits: Option<Limits>,
    /// From which risk on a change wants a one-time code of whoever asks for it, and of whoever consents to it.
    pub(crate) second_factor: Option<Risk>,
    /// Spans of time in which nothing is changed, whatever the rules allow. What only reads goes on.
    #[serde(default)]
    pub(crate) freezes: Vec<Freeze>,
    /// The order in which people are called when nobody answers.
    #[serde(default)]
    pub(crate) escalation: Vec<Escalation>,
    /// Where the threads of its runs are told too, each line as in the thread where the run began.
    #[serde(default)]
    pub(crate) mirrors: Vec<Mirror>,
    /// What the rules should decide; run by `midwatch check`.
    #[serde(default)]
    pub(crate) examples: Vec<Example>,
}

/// One place where threads are told too: either `slack` or `discord`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mirror {
    /// Workspace and channel: `T0SHOP/C0OPS`.
    pub(crate) slack: Option<Text>,
    /// Guild and channel, in quotes: `"81384788765712384/381870553235193857"`.
    pub(crate) discord: Option<Text>,
}

/// One rule: `may` and `who`, with conditions; or, as the last one, `otherwise`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Command names; or `reads`: every command that only reads; or `everything`.
    pub(crate) may: Option<OneOrMany<Text>>,
    /// Environments. Left out: all of them.
    #[serde(rename = "in")]
    pub(crate) environments: Option<OneOrMany<EnvironmentName>>,
    /// Groups, persons, `oncall(ROTATION)`, or `everyone`.
    pub(crate) who: Option<OneOrMany<Text>>,
    /// Only within this weekly window: `mon-fri 09:00-18:00 Europe/Berlin`.
    pub(crate) when: Option<Text>,
    /// Only with these argument values.
    #[serde(rename = "where", default)]
    pub(crate) conditions: BTreeMap<ParameterName, Condition>,
    /// Only after this consent.
    pub(crate) after: Option<After>,
    /// Only as a deliberate override.
    pub(crate) break_glass: Option<BreakGlass>,
    /// Not at all, whatever later rules say; the reason.
    pub(crate) never: Option<Prose>,
    /// The last line: whom to ask when no rule matches.
    pub(crate) otherwise: Option<Prose>,
}

/// Whose consent, how much of it, and how long to wait. Never the requester's own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    /// How many persons. Default 1.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) approvals: Option<u32>,
    /// Who may give it.
    pub(crate) of: OneOrMany<Text>,
    /// How long to wait. Default 15m.
    pub(crate) within: Option<Span>,
    /// What is needed besides, of others. Each person counts once.
    #[serde(default)]
    pub(crate) and: Vec<Quorum>,
}

/// So many persons of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quorum {
    /// How many persons. Default 1.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) approvals: Option<u32>,
    /// Who may give it.
    pub(crate) of: OneOrMany<Text>,
}

/// A deliberate override.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BreakGlass {
    /// A reason must be given, always; may be written for readers.
    #[expect(dead_code, reason = "it is always required")]
    pub(crate) reason: Option<Required>,
    /// Who is called at once: groups, persons, `oncall(ROTATION)`, or `owner`. Default `owner`.
    pub(crate) pages: Option<OneOrMany<Text>>,
    /// How often one person may in 24 hours. Default 3.
    #[schemars(range(min = 1, max = 20))]
    pub(crate) a_day: Option<u32>,
}

/// The one word `required`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Required {
    /// Must be given.
    Required,
}

/// How many changes may be begun in a minute; what only reads is not counted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// By one person.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) a_person: Option<u32>,
    /// By all together.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) all: Option<u32>,
}

/// A span of time in which nothing is changed: either `from` and `until`, or `when`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Freeze {
    /// When it begins: `2026-12-23 18:00 Europe/Berlin`.
    pub(crate) from: Option<Text>,
    /// When it ends: `2027-01-02 08:00 Europe/Berlin`.
    pub(crate) until: Option<Text>,
    /// Every week: `fri 16:00-24:00 Europe/Berlin`.
    pub(crate) when: Option<Text>,
    /// Environments. Left out: all of them.
    #[serde(rename = "in")]
    pub(crate) environments: Option<OneOrMany<EnvironmentName>>,
    /// Why; people who are held read it.
    pub(crate) reason: Prose,
    /// Commands that go on all the same.
    pub(crate) except: Option<OneOrMany<Text>>,
    /// For whom it doesn't count: groups, persons, `oncall(ROTATION)`.
    pub(crate) unless: Option<OneOrMany<Text>>,
}

/// One stage of an escalation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Escalation {
    /// How long after the beginning.
    pub(crate) at: Span,
    /// Whom to call: a person, a group, or `oncall(ROTATION)`.
    pub(crate) call: Text,
    /// Whether the thread is told.
    #[serde(default)]
    pub(crate) say_so: bool,
    /// By which means: direct, mention, email, webhook, pager. Left out: direct and mention.
    pub(crate) by: Option<OneOrMany<Means>>,
}

/// What the rules should decide.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Example {
    /// The person who asks.
    pub(crate) who: Text,
    /// What they type.
    pub(crate) says: Text,
    /// When: `[DAY] HH:MM [ZONE]` in the week of Monday 2026-01-05, or an RFC 3339 time. Default `wed 12:00 UTC`.
    pub(crate) at: Option<Text>,
    /// The channel's id. Default: one of the project's own.
    pub(crate) in_channel: Option<Text>,
    /// How the decision's one-line text begins: `allowed`, `needs 1 approval of team-shop`, `denied`.
    pub(crate) then: Prose,
}

/// Persons, groups and rotations.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are the keys of the file"
)]
pub(crate) struct People {
    /// Persons by id.
    pub(crate) people: BTreeMap<PersonId, Person>,
    /// Groups by name: a list of persons, or `{ members: […], slack: […], discord: […] }`.
    #[serde(default)]
    pub(crate) groups: BTreeMap<GroupName, Group>,
    /// Who is on call when.
    #[serde(default)]
    pub(crate) rotations: BTreeMap<RotationName, Rotation>,
    /// Programs that tokens of the API speak for, by id.
    #[serde(default)]
    pub(crate) services: BTreeMap<PersonId, Service>,
}

/// A program: a pipeline, a monitor. It may what its groups may, is never called, and never consents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    /// As people know it.
    pub(crate) name: Text,
    /// The groups that it is in.
    #[serde(default)]
    pub(crate) groups: Vec<GroupName>,
}

/// One person, with all accounts that speak for them. An account speaks for one person only; whoever has several counts once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    /// As people know them.
    pub(crate) name: Text,
    /// Slack user ids: `U…`, or `T…/U…` for one workspace only.
    pub(crate) slack: Option<OneOrMany<Text>>,
    /// Discord user ids, in quotes.
    pub(crate) discord: Option<OneOrMany<Text>>,
    /// Console accounts, beside the person's own id.
    pub(crate) console: Option<OneOrMany<Text>>,
    /// The account's name on the host; it speaks on the console.
    pub(crate) login: Option<Text>,
    /// When they work: `mon-fri 09:00-17:00 Europe/Berlin`. Whoever is held is told who is at work.
    pub(crate) hours: Option<Text>,
    /// Their authenticator app, as `midwatch factor enrol` prints it.
    pub(crate) second_factor: Option<Text>,
    /// Where calls reach them by e-mail, and how an iCalendar file may name them.
    pub(crate) email: Option<Text>,
}

/// Who is on call when: by level persons who take turns, and layers over them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// Whose clock: `Europe/Berlin`.
    pub(crate) zone: Text,
    /// When the first person of each level took over, by that clock: `2026-01-05 09:00`.
    pub(crate) starts: Option<Text>,
    /// Time between hand-overs, in whole days: `7d`.
    pub(crate) every: Option<Span>,
    /// Persons in turn by level: `oncall: [ana, cy]`.
    #[serde(default)]
    pub(crate) levels: BTreeMap<LevelName, Vec<PersonId>>,
    /// What goes before that, at times: a later layer goes before an earlier one while it names somebody.
    #[serde(default)]
    pub(crate) layers: Vec<Layer>,
    /// Days for layers that say `holidays:`, by that clock: `2026-12-25` or `2026-12-24..2026-12-26`.
    #[serde(default)]
    pub(crate) holidays: Vec<Text>,
}

/// One layer of a level: either `persons` in turn, or a `calendar`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layer {
    /// The level it belongs to: `oncall`.
    pub(crate) level: LevelName,
    /// Persons in turn.
    pub(crate) persons: Option<Vec<PersonId>>,
    /// An iCalendar file in the same folder, whose events name persons: `shop.ics`.
    pub(crate) calendar: Option<Text>,
    /// Whose clock its hand-overs go by. Left out: that of the rotation.
    pub(crate) zone: Option<Text>,
    /// When its first person took over. Left out: as the rotation says.
    pub(crate) starts: Option<Text>,
    /// Time between its hand-overs, in whole days. Left out: as the rotation says.
    pub(crate) every: Option<Span>,
    /// Only within this weekly window: `sat-sun 00:00-24:00 Europe/Berlin`.
    pub(crate) when: Option<Text>,
    /// What the rotation's holidays mean to it: `only` on them, or `never`. Left out: nothing.
    pub(crate) holidays: Option<OnHolidays>,
}

/// What holidays mean to a layer.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnHolidays {
    /// It counts on holidays alone.
    Only,
    /// It does not count on holidays.
    Never,
}
