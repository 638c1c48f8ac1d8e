//! Slash commands: what can be registered, and what a person can make of it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::messages::without_nulls;
use super::rest::{Answer, Refused};
use super::rules::{length, list};
use super::{APP, FakeDiscord, State};

const SUBCOMMAND: u64 = 1;
const GROUP: u64 = 2;
const COMMANDS: usize = 100;
const CHARS: usize = 8_000;

type Checked = Result<(), Refused>;

/// `PUT /applications/{a}/guilds/{g}/commands`: these and no others.
pub(super) fn overwrite(state: &mut State, guild: &str, body: &Value) -> Answer {
    let Some(given) = body.as_array() else {
        return Err(Refused::form(
            "_",
            "LIST_TYPE_CONVERT",
            "Only iterables may be used in a ListType",
        ));
    };
    if given.len() > COMMANDS {
        let says = "Maximum number of application commands reached (100)";
        return Err(Refused::new(400, 30_032, says));
    }
    let mut names = BTreeSet::new();
    for (nth, command) in given.iter().enumerate() {
        check(&nth.to_string(), command)?;
        if !names.insert(command["name"].to_string()) {
            let says = "Application command names must be unique";
            return Err(Refused::form(
                &nth.to_string(),
                "APPLICATION_COMMANDS_DUPLICATE_NAME",
                says,
            ));
        }
    }
    let before = state.commands.remove(guild).unwrap_or_default();
    let mut now = Vec::new();
    for command in given {
        let known = before.iter().find(|it| it["name"] == command["name"]);
        let mut kept = tidied(command);
        kept["id"] = known.map_or_else(|| state.next_id().into(), |it| it["id"].clone());
        kept["version"] = state.next_id().into();
        kept["application_id"] = APP.into();
        kept["guild_id"] = guild.into();
        kept["type"] = 1.into();
        kept["nsfw"] = false.into();
        kept["default_member_permissions"] = command["default_member_permissions"].clone();
        now.push(kept);
    }
    state.commands.insert(guild.to_owned(), now.clone());
    Ok((200, now.into()))
}

/// Without empty lists and nulls, which Discord does not keep.
fn tidied(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter(|(_, value)| !value.is_null() && **value != json!([]));
            Value::Object(
                fields
                    .map(|(name, value)| (name.clone(), tidied(value)))
                    .collect(),
            )
        }
        Value::Array(all) => all.iter().map(tidied).collect(),
        other => other.clone(),
    }
}

fn check(path: &str, command: &Value) -> Checked {
    let kind = command["type"].as_u64().unwrap_or(1);
    if kind != 1 {
        let says = "this fake knows slash commands alone";
        return Err(Refused::form(path, "BASE_TYPE_CHOICES", says));
    }
    named(path, command)?;
    options(path, list(&command["options"]), 0)?;
    if chars(command) > CHARS {
        let says = "Command exceeds maximum size (8000)";
        return Err(Refused::form(path, "APPLICATION_COMMAND_TOO_LARGE", says));
    }
    Ok(())
}

/// Names, descriptions and values, all together.
fn chars(part: &Value) -> usize {
    let own: usize = ["name", "description", "value"]
        .iter()
        .map(|name| length(&part[*name]))
        .sum();
    let parts = ["options", "choices"]
        .iter()
        .flat_map(|name| list(&part[*name]));
    own + parts.map(chars).sum::<usize>()
}

fn named(path: &str, part: &Value) -> Checked {
    // Once for all: to build it takes long, and everybody waits for it.
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[-_'\p{L}\p{N}\p{Devanagari}\p{Thai}]{1,32}$").unwrap());
    let name = part["name"].as_str().unwrap_or_default();
    if !PATTERN.is_match(name) || name.to_lowercase() != name {
        let says = format!("Command name is invalid: {name:?}");
        return Err(Refused::form(
            &format!("{path}.name"),
            "APPLICATION_COMMAND_INVALID_NAME",
            &says,
        ));
    }
    if !(1..=100).contains(&length(&part["description"])) {
        let says = "Must be between 1 and 100 in length.";
        return Err(Refused::form(
            &format!("{path}.description"),
            "BASE_TYPE_BAD_LENGTH",
            says,
        ));
    }
    Ok(())
}

/// `depth`: how many of subcommands and groups they are in.
fn options(path: &str, options: &[Value], depth: usize) -> Checked {
    if options.len() > 25 {
        let says = "Must be 25 or fewer in length.";
        return Err(Refused::form(
            &format!("{path}.options"),
            "BASE_TYPE_MAX_LENGTH",
            says,
        ));
    }
    let mut names = BTreeSet::new();
    let (mut optional, mut nested) = (false, BTreeSet::new());
    for (nth, option) in options.iter().enumerate() {
        let path = format!("{path}.options.{nth}");
        let refused = |code: &str, says: &str| Refused::form(&path, code, says);
        named(&path, option)?;
        if !names.insert(option["name"].to_string()) {
            return Err(refused(
                "APPLICATION_COMMAND_OPTIONS_NAME_DUPLICATE",
                "Option names must be unique",
            ));
        }
        let kind = option["type"].as_u64().unwrap_or(0);
        if !(1..=11).contains(&kind) {
            return Err(refused("BASE_TYPE_CHOICES", "no such type of option"));
        }
        nested.insert(kind <= GROUP);
        if kind <= GROUP {
            let too_deep = depth == 2 || (depth == 1 && kind == GROUP);
            if too_deep || option["required"] == true {
                return Err(refused(
                    "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                    "a subcommand can't be there",
                ));
            }
            let inner = list(&option["options"]);
            if kind == GROUP
                && (inner.is_empty() || inner.iter().any(|it| it["type"] != SUBCOMMAND))
            {
                return Err(refused(
                    "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                    "a group holds subcommands",
                ));
            }
            self::options(&path, inner, if kind == GROUP { 1 } else { 2 })?;
            continue;
        }
        let required = option["required"] == true;
        if required && optional {
            let says = "Required options must be placed before non-required options";
            return Err(refused(
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                says,
            ));
        }
        optional |= !required;
        choices(&path, option, kind)?;
    }
    if nested.len() > 1 {
        let says = "Sub-command and sub-command group option types are mutually exclusive to all other types";
        return Err(Refused::form(
            &format!("{path}.options"),
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
            says,
        ));
    }
    Ok(())
}

fn choices(path: &str, option: &Value, kind: u64) -> Checked {
    let choices = list(&option["choices"]);
    let refused = |code: &str, says: &str| Refused::form(&format!("{path}.choices"), code, says);
    if choices.len() > 25 {
        return Err(refused(
            "BASE_TYPE_MAX_LENGTH",
            "Must be 25 or fewer in length.",
        ));
    }
    if !choices.is_empty() && option["autocomplete"] == true {
        let says = "choices and autocomplete exclude each other";
        return Err(refused(
            "APPLICATION_COMMAND_OPTIONS_CHOICES_AUTOCOMPLETE",
            says,
        ));
    }
    let typed = [3, 4, 10].contains(&kind);
    if !typed && (!choices.is_empty() || option["autocomplete"] == true) {
        return Err(refused(
            "APPLICATION_COMMAND_OPTIONS_CHOICES_INVALID",
            "only texts and numbers have choices",
        ));
    }
    let mut seen = BTreeSet::new();
    for choice in choices {
        let value = &choice["value"];
        let fits = if kind == 3 {
            (1..=100).contains(&length(value))
        } else {
            value.is_number()
        };
        if !(1..=100).contains(&length(&choice["name"])) || !fits {
            return Err(refused(
                "BASE_TYPE_BAD_LENGTH",
                "Must be between 1 and 100 in length.",
            ));
        }
        if !seen.insert(choice["name"].to_string()) {
            return Err(refused(
                "APPLICATION_COMMAND_OPTIONS_CHOICE_DUPLICATE",
                "choice names must be unique",
            ));
        }
    }
    Ok(())
}

/// What a person picked: a command, and the group and subcommand in it.
pub(super) struct Picked {
    command: Value,
    steps: Vec<Value>,
}

/// Finds what is meant by one to three words: a command with what is in it, or a subcommand of any command.
pub(super) fn picked(commands: &[Value], words: &str) -> Option<Picked> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let step = |command: &Value, words: &[&str]| {
        let mut steps = vec![];
        let mut at = command.clone();
        for word in words {
            let inner = list(&at["options"]).iter();
            let found = inner
                .filter(|it| it["type"].as_u64().is_some_and(|kind| kind <= GROUP))
                .find(|it| it["name"] == *word);
            at = found?.clone();
            steps.push(at.clone());
        }
        let is_whole = list(&at["options"])
            .iter()
            .all(|it| it["type"].as_u64().is_some_and(|kind| kind > GROUP));
        is_whole.then(|| Picked {
            command: command.clone(),
            steps,
        })
    };
    let named = commands.iter().filter(|it| it["name"] == *words[0]);
    let top = named.clone().find_map(|it| step(it, &words[1..]));
    let inner = || commands.iter().find_map(|it| step(it, &words));
    let grouped = || {
        commands.iter().find_map(|command| {
            let groups = list(&command["options"])
                .iter()
                .filter(|it| it["type"] == GROUP);
            let names: Vec<&str> = groups.filter_map(|it| it["name"].as_str()).collect();
            names.iter().find_map(|group| {
                let path: Vec<&str> = std::iter::once(*group)
                    .chain(words.iter().copied())
                    .collect();
                step(command, &path)
            })
        })
    };
    top.or_else(inner).or_else(grouped)
}

impl Picked {
    /// The `data` of an interaction. The error says why a person can't send it.
    ///
    /// `focused`: the option that is being typed, when it isn't sent yet.
    pub(super) fn data(
        &self,
        given: &[(&str, &str)],
        focused: Option<(&str, &str)>,
    ) -> Result<Value, String> {
        let at = self.steps.last().unwrap_or(&self.command);
        let declared = list(&at["options"]);
        let mut options = Vec::new();
        for (name, text) in given {
            let option = declared.iter().find(|it| it["name"] == *name);
            let option =
                option.ok_or_else(|| format!("`{}` has no option `{name}`", at["name"]))?;
            let value = value(option, text)?;
            options.push(json!({ "type": option["type"], "name": name, "value": value }));
        }
        if let Some((name, text)) = focused {
            let option = declared
                .iter()
                .find(|it| it["name"] == *name && it["autocomplete"] == true);
            let option = option.ok_or_else(|| format!("`{name}` does not complete itself"))?;
            options.push(
                json!({ "type": option["type"], "name": name, "value": text, "focused": true }),
            );
        } else {
            let required = declared.iter().filter(|it| it["required"] == true);
            for option in required {
                if !given.iter().any(|(name, _)| option["name"] == *name) {
                    return Err(format!("`{}` wants `{}`", at["name"], option["name"]));
                }
            }
        }
        for step in self.steps.iter().rev() {
            options =
                vec![json!({ "type": step["type"], "name": step["name"], "options": options })];
        }
        let command = &self.command;
        Ok(
            json!({ "id": command["id"], "name": command["name"], "type": 1, "guild_id": command["guild_id"],
                   "options": options }),
        )
    }
}

fn value(option: &Value, text: &str) -> Result<Value, String> {
    let name = &option["name"];
    let choices = list(&option["choices"]);
    if !choices.is_empty() {
        let chosen = choices.iter().find(|it| {
            let number = Some(&it["value"]).filter(|it| it.is_number());
            let typed = number.is_some_and(|number| text.parse().ok() == number.as_f64());
            typed || it["name"] == text || it["value"] == text
        });
        let chosen = chosen.ok_or_else(|| format!("`{text}` is no choice of {name}"))?;
        return Ok(chosen["value"].clone());
    }
    let number = || {
        text.parse::<f64>()
            .map_err(|_| format!("{name} is a number"))
    };
    let in_range = |number: f64| {
        let (least, most) = (option["min_value"].as_f64(), option["max_value"].as_f64());
        least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most)
    };
    match option["type"].as_u64().unwrap_or(0) {
        3 => {
            let chars = u64::try_from(text.chars().count()).unwrap();
            let fits = chars >= option["min_length"].as_u64().unwrap_or(0)
                && chars <= option["max_length"].as_u64().unwrap_or(6_000);
            if fits {
                Ok(text.into())
            } else {
                Err(format!("{name} is too short or too long"))
            }
        }
        4 => {
            let whole: i64 = text
                .parse()
                .map_err(|_| format!("{name} is a whole number"))?;
            if in_range(number()?) {
                Ok(whole.into())
            } else {
                Err(format!("{name} is out of range"))
            }
        }
        10 => {
            let number = number()?;
            if in_range(number) {
                Ok(number.into())
            } else {
                Err(format!("{name} is out of range"))
            }
        }
        5 => text
            .parse::<bool>()
            .map(Value::from)
            .map_err(|_| format!("{name} is true or false")),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(text.into()),
        _ => Err(format!("{name} is an id")),
    }
}

impl State {
    /// What the ids among an interaction's options stand for.
    pub(super) fn resolved(&self, guild: &str, options: &Value) -> Value {
        let (mut users, mut members, mut roles, mut channels) =
            (json!({}), json!({}), json!({}), json!({}));
        let mut left: Vec<&Value> = list(options).iter().collect();
        while let Some(option) = left.pop() {
            left.extend(list(&option["options"]));
            let id = option["value"].as_str().unwrap_or_default();
            let kind = option["type"].as_u64().unwrap_or(0);
            if matches!(kind, 6 | 9) && self.users.contains_key(id) {
                users[id] = self.user_json(id);
                if self.guilds[guild].members.contains_key(id) {
                    members[id] = self.bare_member_json(guild, id);
                    members[id]["permissions"] = "0".into();
                }
            }
            let role = self.guilds[guild]
                .roles
                .iter()
                .find(|role| matches!(kind, 8 | 9) && role.id == id);
            if let Some(role) = role {
                roles[id] = super::world::role_json(role);
            }
            if let Some(channel) = self.channels.get(id).filter(|_| kind == 7) {
                channels[id] = self.channel_json(channel);
            }
        }
        let some = |found: Value| {
            if found == json!({}) {
                Value::Null
            } else {
                found
            }
        };
        without_nulls(
            json!({ "users": some(users), "members": some(members), "roles": some(roles),
                              "channels": some(channels) }),
        )
    }
}

impl FakeDiscord {
    /// The commands of a guild as they are registered.
    pub(crate) fn commands(&self, guild: &str) -> Vec<Value> {
        self.state()
            .commands
            .get(guild)
            .cloned()
            .unwrap_or_default()
    }

    /// Registers these as if the app had; for tests that need no app for it.
    pub(crate) fn register(&self, guild: &str, commands: &Value) {
        let mut state = self.state();
        let answer = overwrite(&mut state, guild, commands);
        assert!(answer.is_ok(), "{answer:?}");
    }
}
