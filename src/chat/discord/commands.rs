//! `/ops` as Discord offers it: made from the catalog, registered in each guild, completed for the person who types.
//!
//! Discord has room for 25 subcommands: those of our own words that are used most, commands by name, then our other words.
//! `say` takes the whole grammar.

mod registering;
mod typing;

use serde_json::{Value, json};
use serenity::builder::{CreateCommand, CreateCommandOption};
use serenity::model::application::CommandOptionType as Kind;

use super::as_text as at;
use crate::chat::encode::shortened;
use crate::domain::{Catalog, Command, Parameter, ParameterKind, harmless_line};

pub use self::registering::keep_registered;

/// The subcommand that takes anything.
pub(super) const FREE_TEXT: &str = "say";

const SUBCOMMANDS: usize = 25;
/// So many of [`WORDS`] stand before the commands.
const USED_MOST: usize = 15;
const OPTIONS: usize = 25;
const NAME_CHARS: usize = 32;
const WORDS_CHARS: usize = 100;
const CHOICES: usize = 25;
/// Names, descriptions and choices of a command together may have 8,000.
const ALL_CHARS: usize = 7_800;

/// Our own words, those that are used most first: their description and what follows them, in order.
const WORDS: [(&str, &str, &[Follows]); 31] = [
    (
        "help",
        "What can be typed, or how one command is used",
        &[("topic", "A command", Needs::Topic)],
    ),
    (
        "orient",
        "What this system is, what you may do here, whom to call",
        &[("project", "Which project", Needs::Project)],
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
    (
        "summary",
        "One run in plain words, for people who read no logs",
        &[RUN],
    ),
    ("why", "Which rule decided on a run, and for whom", &[RUN]),
    (
        "join",
        "Follows a run instead of beginning the same again",
        &[RUN],
    ),
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
        "history",
        "Whether a command always fails, or just did",
        &[("command", "And where, as you would type it", Needs::Line)],
    ),
    (
        "timeline",
        "What happened to a project, and who changed its files",
        &[
            ("project", "Which project", Needs::Project),
            ("since", "How far back, such as 3d", Needs::Words),
            ("about", "Only lines with these words", Needs::Words),
        ],
    ),
    (
        "may",
        "Whether you may run something",
        &[("command", "As you would type it", Needs::Line)],
    ),
    ("withdraw", "Takes your consent to a run back", &[RUN]),
    (
        "send-back",
        "Refuses consent to a run as it is, and says what to change",
        &[RUN, ("comment", "What to change", Needs::Words)],
    ),
    (
        "lock",
        "Keeps others from changing something for a while",
        &[(
            "what",
            "What, for how long, why: prod 2h restoring a backup",
            Needs::Words,
        )],
    ),
    (
        "unlock",
        "Ends a lock",
        &[("what", "An environment", Needs::Words)],
    ),
    (
        "who-can",
        "Who may run something, and with whose consent",
        &[("command", "As you would type it", Needs::Line)],
    ),
    (
        "break-glass",
        "Runs something by deliberate override: the owner is called, and it is reviewed",
        &[(
            "command",
            "The command, with reason= and phrase=",
            Needs::Line,
        )],
    ),
    (
        "review",
        "Which overrides nobody has looked at, or signs one",
        &[("run", "The run's reference, to sign it", Needs::Words)],
    ),
    (
        "ask",
        "Asks those who may to run something",
        &[("command", "As you would type it", Needs::Line)],
    ),
    (
        "oncall",
        "Who is on call; or cover and swap, to arrange a shift",
        &[(
            "what",
            "A project or rotation, or: swap @kim sat",
            Needs::Words,
        )],
    ),
    (
        "page",
        "Calls people until somebody answers; alone: which pages are open",
        &[("what", "A project, and what is wrong", Needs::Words)],
    ),
    (
        "ack",
        "Answers a page: nobody else is called",
        &[("page", "The page's reference", Needs::Words)],
    ),
    (
        "escalate",
        "Calls the next level of a page now",
        &[("page", "The page's reference", Needs::Words)],
    ),
    (
        "handover",
        "What is open, what happened, what to watch",
        &[("project", "Which project", Needs::Project)],
    ),
    (
        "link",
        "Makes an account of yours on another platform speak for you",
        &[(
            "what",
            "A platform and an account's id there, or the code that was sent to it",
            Needs::Account,
        )],
    ),
    (
        "unlink",
        "Ends that an account of yours speaks for you",
        &[(
            "what",
            "A platform and an account's id there",
            Needs::Account,
        )],
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
    Account,
    Topic,
    Project,
}

impl Needs {
    fn required(self) -> bool {
        matches!(self, Self::Run | Self::Verdict | Self::Line | Self::Account)
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
                    Needs::Words | Needs::Account => option,
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
    let rare = words.clone().skip(USED_MOST);
    let words = words.take(USED_MOST);
    for option in std::iter::once(say)
        .chain(words)
        .chain(commands)
        .chain(rare)
    {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Folders, load};
    use crate::domain::BUILT_INS;

    #[test]
    fn each_of_our_own_words_is_offered() {
        let mut words: Vec<&str> = WORDS.iter().map(|(word, ..)| *word).collect();
        words.sort_unstable();
        assert_eq!(words, BUILT_INS);
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let folders = Folders {
            commands: root.join("commands"),
            runbooks: root.join("runbooks"),
        };
        let ops = definition(&load(&folders, &std::collections::BTreeMap::new()).catalog);
        let offered = ops[0]["options"].as_array().unwrap();
        let names: Vec<&str> = offered.iter().map(|it| at(it, "/name")).collect();
        assert!(
            names.starts_with(&[FREE_TEXT]) && names.len() <= SUBCOMMANDS,
            "{names:?}"
        );
        assert!(names.contains(&"flush-cache"), "{names:?}");
    }
}
