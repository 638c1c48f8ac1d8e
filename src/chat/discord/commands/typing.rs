//! Somebody types `/ops`, and Discord asks what may follow: of that, what the runbook denies them is not offered.

use serde_json::{Value, json};

use super::{CHOICES, FREE_TEXT, Needs, WORDS, WORDS_CHARS};
use crate::chat::discord::inbound::user_of;
use crate::chat::discord::rooms::Room;
use crate::chat::discord::{Door, as_text as at};
use crate::chat::encode::shortened;
use crate::dispatch::may_be_run;
use crate::domain::{
    Actor, BUILT_INS, Decision, Facts, Hearing, Invocation, Platform, Run, Speaker, SpeakerKind,
    Typed, complete, decide, harmless_line, parse, quoted,
};
use crate::store::RunFilter;

impl Door {
    /// What may follow what this person is typing here: at most 25, of which the runbook denies them none.
    pub(in crate::chat::discord) async fn choices(&self, payload: &Value) -> Vec<Value> {
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
                Some(Needs::Verdict | Needs::Words | Needs::Account) | None => Vec::new(),
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
            "show"
                | "summary"
                | "why"
                | "join"
                | "withdraw"
                | "send-back"
                | "cancel"
                | "approve"
                | "reject"
                | "settle"
        ) {
            return Vec::new();
        }
        let project = self
            .hearing
            .catalog
            .project_of_channel(self.hearing.channel);
        let filter = RunFilter {
            project: project.map(|it| it.name.clone()),
            open: !matches!(word, "show" | "summary" | "why"),
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
