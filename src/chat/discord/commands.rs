//! `/ops` as Discord offers it: made from the catalog, registered in each guild, completed for the person who types.
//!
//! Discord has room for 25 subcommands: our own words and the first commands by name. `say` takes the whole grammar.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use serenity::builder::{CreateCommand, CreateCommandOption};
use serenity::http::{LightMethod, Route};
use serenity::model::application::CommandOptionType as Kind;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::api::CallError;
use super::inbound::user_of;
use super::rooms::Room;
use super::transport::id;
use super::{Door, as_text as at};
use crate::chat::encode::shortened;
use crate::dispatch::may_be_run;
use crate::domain::{
    Actor, BUILT_INS, Catalog, Command, Decision, Facts, Hearing, Invocation, Parameter,
    ParameterKind, Platform, Run, Speaker, SpeakerKind, Typed, complete, decide, harmless_line,
    parse, quoted,
};
use crate::store::RunFilter;

/// The subcommand that takes anything.
pub(super) const FREE_TEXT: &str = "say";

const SUBCOMMANDS: usize = 25;
const OPTIONS: usize = 25;
const NAME_CHARS: usize = 32;
const WORDS_CHARS: usize = 100;
const CHOICES: usize = 25;
/// Names, descriptions and choices of a command together may have 8,000.
const ALL_CHARS: usize = 7_800;
/// How often is looked whether the catalog has changed, and which guilds there are.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const GUILDS_EVERY: Duration = Duration::from_secs(60);
const GUILDS_PAGE: usize = 200;

/// Our own words: their description and what follows them, in order.
const WORDS: [(&str, &str, &[Follows]); 11] = [
    (
        "help",
        "What can be typed, or how one command is used",
        &[("topic", "A command", Needs::Topic)],
    ),
    (
        "list",
        "Which commands there are, and which of them you may use",
        &[("project", "Which project", Needs::Project)],
    ),
    (
        "runs",
        "What runs, and what ran lately",
        &[("project", "Which project", Needs::Project)],
    ),
    ("show", "One run, with all that happened", &[RUN]),
    ("why", "Which rule decided on a run, and for whom", &[RUN]),
    ("cancel", "Stops a run before its next step", &[RUN]),
    ("approve", "Consents to a run", &[RUN]),
    (
        "reject",
        "Refuses consent to a run",
        &[RUN, ("reason", "Why", Needs::Words)],
    ),
    (
        "settle",
        "Says what became of an interrupted step",
        &[RUN, ("verdict", "What happened", Needs::Verdict)],
    ),
    (
        "runbook",
        "How things are done in a project",
        &[("project", "Which project", Needs::Project)],
    ),
    (
        "may",
        "Whether you may run something",
        &[("command", "As you would type it", Needs::Line)],
    ),
];

type Follows = (&'static str, &'static str, Needs);

const RUN: Follows = ("run", "The run's reference, such as 7f3k", Needs::Run);

/// What follows one of our own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Run,
    Verdict,
    Line,
    Words,
    Topic,
    Project,
}

impl Needs {
    fn required(self) -> bool {
        matches!(self, Self::Run | Self::Verdict | Self::Line)
    }
}

/// `/ops` for a catalog, as Discord's bulk overwrite takes it.
pub fn definition(catalog: &Catalog) -> Value {
    let say =
        text_option("text", "The whole command, as you would type it", true).set_autocomplete(true);
    let say = subcommand(
        FREE_TEXT,
        "Anything: a command, or one of midwatch's own words",
    )
    .add_sub_option(say);
    let words = WORDS.iter().map(|(name, does, follows)| {
        follows
            .iter()
            .fold(subcommand(name, does), |word, (name, about, needs)| {
                let option = text_option(name, about, needs.required());
                word.add_sub_option(match needs {
                    Needs::Verdict => ["happened", "did-not", "again"]
                        .into_iter()
                        .fold(option, |option, verdict| {
                            option.add_string_choice(verdict, verdict)
                        }),
                    Needs::Words => option,
                    Needs::Run | Needs::Line | Needs::Topic | Needs::Project => {
                        option.set_autocomplete(true)
                    }
                })
            })
    });
    let commands = catalog
        .commands
        .values()
        .filter_map(|command| subcommand_of(command, catalog));
    let (mut chars, mut options) = (0, Vec::new());
    for option in std::iter::once(say).chain(words).chain(commands) {
        let size = chars_of(&json!(option));
        if options.len() < SUBCOMMANDS && chars + size <= ALL_CHARS {
            chars += size;
            options.push(option);
        }
    }
    let ops = CreateCommand::new("ops")
        .description("Commands and runbooks: midwatch")
        .set_options(options);
    json!([ops])
}

fn subcommand(name: &str, does: &str) -> CreateCommandOption {
    let does = shortened(&harmless_line(does), WORDS_CHARS);
    CreateCommandOption::new(Kind::SubCommand, name, does)
}

fn text_option(name: &str, about: &str, required: bool) -> CreateCommandOption {
    let about = if about.trim().is_empty() { name } else { about };
    let about = shortened(&harmless_line(about), WORDS_CHARS);
    CreateCommandOption::new(Kind::String, name, about).required(required)
}

/// `None` where it doesn't fit: then `say` has it.
fn subcommand_of(command: &Command, catalog: &Catalog) -> Option<CreateCommandOption> {
    let fits = |name: &str| name.chars().count() <= NAME_CHARS;
    let named = std::iter::once(command.name.as_str());
    let names = command.parameters.iter().map(|it| it.name.as_str());
    if !named.chain(names).all(fits) || command.parameters.len() > OPTIONS - 3 {
        return None;
    }
    let mut parameters: Vec<&Parameter> = command.positional();
    parameters.sort_by_key(|parameter| !parameter.required()); // Discord wants those first.
    let options = parameters.into_iter().map(option_of);
    let mut found = options.fold(
        subcommand(command.name.as_str(), &command.does),
        CreateCommandOption::add_sub_option,
    );
    if catalog.projects.len() > 1 {
        found = found.add_sub_option(
            text_option(
                "project",
                "Which project, where the channel does not say it",
                false,
            )
            .set_autocomplete(true),
        );
    }
    found = found.add_sub_option(text_option("reason", "Why; it stands in the thread", false));
    let again = CreateCommandOption::new(Kind::Boolean, "again", "Even if somebody just did it");
    Some(found.add_sub_option(again))
}

fn option_of(parameter: &Parameter) -> CreateCommandOption {
    let name = parameter.name.as_str();
    let about = parameter.help.as_deref().unwrap_or_default();
    let option = text_option(name, about, parameter.required());
    let fit = |words: &Vec<String>| {
        words.len() <= CHOICES && words.iter().all(|word| word.chars().count() <= WORDS_CHARS)
    };
    match &parameter.kind {
        ParameterKind::Choice(words) if fit(words) => words
            .iter()
            .fold(option, |option, word| option.add_string_choice(word, word)),
        ParameterKind::Boolean => option.kind(Kind::Boolean),
        ParameterKind::Integer { min, max } => {
            // Discord's numbers end where a float's do.
            let bound = |value: i64| u64::try_from(value).ok().filter(|value| *value < 1 << 53);
            let option = option.kind(Kind::Integer);
            let option = match bound(*min) {
                Some(min) => option.min_int_value(min),
                None => option,
            };
            match bound(*max) {
                Some(max) => option.max_int_value(max),
                None => option,
            }
        }
        ParameterKind::Environment
        | ParameterKind::Choice(_)
        | ParameterKind::Secret { .. }
        | ParameterKind::List { .. } => option.set_autocomplete(true),
        ParameterKind::Text { .. } | ParameterKind::Duration { .. } => option,
    }
}

/// What Discord counts of an option.
fn chars_of(option: &Value) -> usize {
    let text = |name: &str| at(option, name).chars().count();
    let inner = option["options"]
        .as_array()
        .into_iter()
        .flatten()
        .map(chars_of);
    let choices = option["choices"].as_array().into_iter().flatten();
    let choices = choices.map(|choice| at(choice, "/name").len() + at(choice, "/value").len());
    text("/name") + text("/description") + inner.sum::<usize>() + choices.sum::<usize>()
}

/// Registers `/ops` in each guild, and anew when the catalog has changed, until cancelled.
pub async fn keep_registered(door: Door, cancel: CancellationToken) {
    let registering = async {
        let mut registered: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut guilds: Vec<String> = Vec::new();
        let mut asked: Option<Instant> = None;
        loop {
            sleep(LOOK_EVERY).await;
            let Some(me) = door.discord.me() else {
                continue;
            };
            if asked.is_none_or(|asked| asked.elapsed() >= GUILDS_EVERY) {
                match door.guilds().await {
                    Ok(found) => {
                        guilds = found;
                        asked = Some(Instant::now());
                    }
                    Err(CallError::Limited(wait)) => sleep(wait).await,
                    Err(why) => {
                        warn!("discord does not say in which servers we are: {why}; asking again");
                    }
                }
            }
            let definition = definition(&door.discord.catalog.load());
            let digest = Sha256::digest(definition.to_string()).to_vec();
            for guild in &guilds {
                if registered.get(guild) == Some(&digest) {
                    continue;
                }
                match register(&door, &me.application, guild, &definition).await {
                    Ok(()) => {
                        info!("discord: /ops is registered in server {guild}");
                        registered.insert(guild.clone(), digest.clone());
                    }
                    Err(CallError::Limited(wait)) => sleep(wait).await,
                    Err(why @ CallError::Refused { .. }) => {
                        warn!(
                            "discord does not take /ops in server {guild}: {why}; invite the app with the scope applications.commands"
                        );
                        registered.insert(guild.clone(), digest.clone());
                    }
                    Err(why) => {
                        warn!("discord: /ops is not registered in server {guild} yet: {why}");
                    }
                }
            }
        }
    };
    cancel.run_until_cancelled(registering).await;
}

async fn register(
    door: &Door,
    application: &str,
    guild: &str,
    definition: &Value,
) -> Result<(), CallError> {
    let wrong = |why: crate::chat::DeliveryError| CallError::NotDone(why.to_string());
    let route = Route::GuildCommands {
        application_id: id(application).map_err(wrong)?.into(),
        guild_id: id(guild).map_err(wrong)?.into(),
    };
    let sent = door
        .discord
        .api
        .send(LightMethod::Put, route, definition)
        .await;
    sent.map(|_| ())
}

impl Door {
    /// The guilds that we are in.
    pub(super) async fn guilds(&self) -> Result<Vec<String>, CallError> {
        let mut guilds: Vec<String> = Vec::new();
        loop {
            let mut wanted = vec![("limit", GUILDS_PAGE.to_string())];
            wanted.extend(guilds.last().map(|last| ("after", last.clone())));
            let page = self.discord.api.get(Route::UserMeGuilds, wanted).await?;
            let page = page.as_array().map(Vec::as_slice).unwrap_or_default();
            guilds.extend(page.iter().map(|guild| at(guild, "/id").to_owned()));
            if page.len() < GUILDS_PAGE {
                return Ok(guilds);
            }
        }
    }

    /// What may follow what this person is typing here: at most 25, of which the runbook denies them none.
    pub(super) async fn choices(&self, payload: &Value) -> Vec<Value> {
        let Some(room) = Room::of_interaction(payload) else {
            return Vec::new();
        };
        let guild = at(payload, "/guild_id");
        let catalog = self.discord.catalog.load_full();
        let speaker = Speaker {
            platform: Platform::Discord,
            space: guild.to_owned(),
            id: user_of(payload).to_owned(),
            kind: SpeakerKind::Person,
        };
        let actor = catalog.people.identify(&speaker);
        if actor.person().is_none() {
            return Vec::new();
        }
        let typing = Typing {
            door: self,
            hearing: Hearing {
                catalog: &catalog,
                channel: &room.channel,
            },
            actor: &actor,
        };
        let mut found = typing.offered(payload).await;
        found.truncate(CHOICES);
        let choice = |(name, value): (String, String)| json!({ "name": shortened(&harmless_line(&name), WORDS_CHARS), "value": value });
        found.into_iter().map(choice).collect()
    }
}

/// Somebody who types, and where.
struct Typing<'a> {
    door: &'a Door,
    hearing: Hearing<'a>,
    actor: &'a Actor,
}

impl Typing<'_> {
    /// What is shown and what it stands for.
    async fn offered(&self, payload: &Value) -> Vec<(String, String)> {
        let chosen = &payload["data"]["options"][0];
        let name = at(chosen, "/name");
        let options = chosen["options"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let Some(focused) = options.iter().find(|it| it["focused"] == true) else {
            return Vec::new();
        };
        let (option, typed) = (at(focused, "/name"), at(focused, "/value"));
        if name == FREE_TEXT {
            return self.lines(typed).await;
        }
        let word = WORDS.iter().find(|(word, ..)| *word == name);
        if let Some((_, _, follows)) = word {
            let needs = follows.iter().find(|(follows, ..)| *follows == option);
            return match needs.map(|(_, _, needs)| needs) {
                Some(Needs::Run) => self.runs(name, typed).await,
                Some(Needs::Line) => self.lines(typed).await,
                Some(Needs::Topic) => same(self.beginnings(typed, true)),
                Some(Needs::Project) => {
                    let projects = self
                        .hearing
                        .catalog
                        .projects
                        .keys()
                        .map(ToString::to_string);
                    same(
                        projects
                            .filter(|it| it.starts_with(&typed.to_lowercase()))
                            .collect(),
                    )
                }
                Some(Needs::Verdict | Needs::Words) | None => Vec::new(),
            };
        }
        let others = options.iter().filter(|it| it["focused"] != true);
        let others = others.map(|it| match &it["value"] {
            Value::String(text) => format!(" {}={}", at(it, "/name"), quoted(text)),
            value => format!(" {}={value}", at(it, "/name")),
        });
        same(self.values(name, &others.collect::<String>(), option, typed))
    }

    /// The values of one option of a command.
    fn values(&self, command: &str, others: &str, option: &str, typed: &str) -> Vec<String> {
        if typed.contains(|c: char| c.is_whitespace() || c == '"') {
            return Vec::new();
        }
        let before = format!("{command}{others} {option}=");
        let line = format!("{before}{typed}");
        let (start, found) = complete(&line, line.len(), &self.hearing, &[]);
        let values = found
            .iter()
            .filter_map(|it| it.strip_prefix(&format!("{option}=")));
        let values = values.filter(|value| !value.is_empty() && !value.contains('"'));
        let allowed =
            values.filter(|value| self.is_allowed(&format!("{}{option}={value}", &line[..start])));
        allowed.map(str::to_owned).collect()
    }

    /// Whole lines, as `say` takes them.
    async fn lines(&self, typed: &str) -> Vec<(String, String)> {
        if typed.split_whitespace().count() <= 1 && !typed.ends_with(char::is_whitespace) {
            return same(self.beginnings(typed, false));
        }
        let word = typed.split_whitespace().next().unwrap_or_default();
        let runs = self.runs(word, "").await;
        let references: Vec<String> = runs
            .iter()
            .map(|(_, reference)| reference.clone())
            .collect();
        let (start, found) = complete(typed, typed.len(), &self.hearing, &references);
        let lines = found
            .into_iter()
            .map(|it| format!("{}{it}", &typed[..start]));
        let fit = lines.filter(|line| line.chars().count() <= WORDS_CHARS && self.is_allowed(line));
        same(fit.collect())
    }

    /// First words: ours, and commands that this person may run here.
    fn beginnings(&self, typed: &str, commands_only: bool) -> Vec<String> {
        let (_, found) = complete(typed, typed.len(), &self.hearing, &[]);
        let catalog = self.hearing.catalog;
        let now = self.door.clock.now();
        let offered = found
            .into_iter()
            .filter(|word| match catalog.commands.get(word.as_str()) {
                Some(command) => may_be_run(command, self.actor, &self.hearing, now),
                None => !commands_only && BUILT_INS.contains(&word.as_str()),
            });
        offered.collect()
    }

    /// Runs that may be meant, newest first.
    async fn runs(&self, word: &str, typed: &str) -> Vec<(String, String)> {
        if !matches!(
            word,
            "show" | "why" | "cancel" | "approve" | "reject" | "settle"
        ) {
            return Vec::new();
        }
        let project = self
            .hearing
            .catalog
            .project_of_channel(self.hearing.channel);
        let filter = RunFilter {
            project: project.map(|it| it.name.clone()),
            open: !matches!(word, "show" | "why"),
            limit: 50,
        };
        let Ok(runs) = self.door.store.runs(&filter).await else {
            return Vec::new();
        };
        let typed = typed.to_lowercase();
        let shown = |run: &Run| {
            format!(
                "{} · {} · by {}",
                run.reference,
                run.invocation.typed(),
                run.requester
            )
        };
        let found = runs
            .known
            .iter()
            .filter(|run| run.reference.as_str().starts_with(&typed));
        found
            .map(|run| (shown(run), run.reference.to_string()))
            .collect()
    }

    /// What can't be understood yet may become something that is allowed.
    fn is_allowed(&self, line: &str) -> bool {
        match parse(line, &self.hearing) {
            Ok(Typed::Invoke(invocation)) => self.decided(&invocation),
            Ok(Typed::Ask(_)) | Err(_) => true,
        }
    }

    fn decided(&self, invocation: &Invocation) -> bool {
        let (catalog, now) = (self.hearing.catalog, self.door.clock.now());
        let decision = decide(invocation, self.actor, catalog, &Facts::default(), now);
        !matches!(decision, Decision::Deny { .. })
    }
}

fn same(words: Vec<String>) -> Vec<(String, String)> {
    words.into_iter().map(|word| (word.clone(), word)).collect()
}
