//! A project's runbook, the people, and the snapshot that holds all of it. Checked; made by `catalog` only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Actor, ApprovalTerms, Command, CommandName, Cover, Enrolment, EnvironmentName, FileLine,
    GroupName, Identity, LevelName, Means, ParameterName, PersonId, Place, Platform, PlatformGroup,
    ProjectName, Risk, Rotation, RotationName, Speaker,
};

/// All commands and runbooks, checked, at one revision. Immutable; swapped whole on reload.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Content hash of the files it was made from.
    pub revision: Revision,
    /// By name.
    pub commands: BTreeMap<CommandName, Arc<Command>>,
    /// By name.
    pub projects: BTreeMap<ProjectName, Arc<Project>>,
    /// Channel id → the project that is talked about there.
    pub channels: HashMap<String, ProjectName>,
    /// Persons, groups, rotations.
    pub people: People,
    /// Commands whose files have mistakes: nobody can run them until those are corrected.
    pub broken: BTreeSet<String>,
}

impl Catalog {
    /// The project talked about in a channel.
    pub fn project_of_channel(&self, channel: &str) -> Option<&Arc<Project>> {
        self.channels
            .get(channel)
            .and_then(|name| self.projects.get(name))
    }
}

/// The first 12 hexadecimal digits of the SHA-256 of the catalog's files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub String);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is operated on, and how that is done here.
#[derive(Debug, Clone)]
pub struct Project {
    /// As typed.
    pub name: ProjectName,
    /// What it is, in a sentence or two.
    pub about: String,
    /// The group that answers for it.
    pub owner: Option<GroupName>,
    /// In file order.
    pub environments: Vec<Environment>,
    /// First match wins.
    pub rules: Vec<Rule>,
    /// How many changes may be begun in a minute.
    pub limits: Limits,
    /// From which risk on a change wants a one-time code; `None`: never.
    pub second_factor: Option<Risk>,
    /// Spans of time in which nothing is changed, whatever the rules allow.
    pub freezes: Vec<Freeze>,
    /// The last line: whom to ask when no rule matches.
    pub otherwise: Otherwise,
    /// The order in which people are called when nobody answers. Sorted by time.
    pub escalation: Vec<Escalation>,
    /// Where the threads of its runs are told too. No two are in one channel.
    pub mirrors: Vec<Place>,
    /// The prose runbook's parts, in order; empty when there is none.
    pub procedures: Vec<Procedure>,
    /// Hash of its runbook's file: what consent is bound to.
    pub fingerprint: String,
    /// Where its runbook is.
    pub defined: FileLine,
}

impl Project {
    /// The rotations that its rules, its escalation and its last line name, in order of their names.
    pub fn rotations(&self) -> BTreeSet<&RotationName> {
        let of_rules = self.rules.iter().flat_map(|rule| {
            let consent = match &rule.grant {
                Grant::Approval(terms) => terms.of.as_slice(),
                Grant::Allow | Grant::BreakGlass(_) | Grant::Never(_) => &[],
            };
            rule.who.iter().chain(consent)
        });
        let called = self.escalation.iter().map(|level| &level.call);
        let named = of_rules.chain(called).filter_map(|who| match who {
            Who::OnCall(on_call) => Some(&on_call.rotation),
            Who::Group(_) | Who::Person(_) | Who::Everyone => None,
        });
        let last = self.otherwise.on_call.iter().map(|it| &it.rotation);
        named.chain(last).collect()
    }

    /// Whether any of its rules speaks of the command.
    pub fn speaks_of(&self, command: &Command) -> bool {
        self.rules.iter().any(|rule| match &rule.may {
            Commands::Named(names) => names.contains(&command.name),
            Commands::Reads => command.only_reads(),
            Commands::All => true,
        })
    }

    /// The environment of this name.
    pub fn environment(&self, name: &str) -> Option<&Environment> {
        self.environments
            .iter()
            .find(|environment| environment.name.as_str() == name)
    }
}

/// One copy of a project.
#[derive(Debug, Clone)]
pub struct Environment {
    /// As typed.
    pub name: EnvironmentName,
    /// What `{environment.KEY}` stands for. Several values are allowed for one key (`dashboards`).
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// A part of a prose runbook.
#[derive(Debug, Clone)]
pub struct Procedure {
    /// The heading's text.
    pub heading: String,
    /// 1 to 6.
    pub level: u8,
    /// The Markdown under it, without the blocks of commands.
    pub text: String,
    /// Commands of its fenced `ops` blocks, each a line that parses.
    pub commands: Vec<String>,
}

/// One paragraph of a runbook: who may what, when, with whose consent.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The commands it speaks of.
    pub may: Commands,
    /// The environments it speaks of; `None` means all.
    pub environments: Option<BTreeSet<EnvironmentName>>,
    /// Who. Non-empty.
    pub who: Vec<Who>,
    /// Only within this window.
    pub when: Option<Window>,
    /// Only with these argument values. All must hold.
    pub conditions: BTreeMap<ParameterName, Condition>,
    /// What the rule gives.
    pub grant: Grant,
    /// Where it stands.
    pub defined: FileLine,
}

/// The commands a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commands {
    /// These.
    Named(BTreeSet<CommandName>),
    /// Every command all of whose steps only read.
    Reads,
    /// Every command.
    All,
}

/// Whom a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// A group.
    Group(GroupName),
    /// One person.
    Person(PersonId),
    /// Whoever is on call.
    OnCall(OnCall),
    /// Everybody in `people.yaml`.
    Everyone,
}

/// By which entry of a list of a runbook somebody was meant at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// The first that meant them.
    #[serde(rename = "as")]
    pub who: Who,
    /// Of a level of a rotation: the end of the shift that they held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// `oncall(shop)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnCall {
    /// `oncall`, `secondary`, `manager` …
    pub level: LevelName,
    /// The rotation.
    pub rotation: RotationName,
}

impl fmt::Display for OnCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.level, self.rotation)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => write!(f, "{group}"),
            Self::Person(person) => write!(f, "{person}"),
            Self::OnCall(on_call) => write!(f, "{on_call}"),
            Self::Everyone => f.write_str("everyone"),
        }
    }
}

/// What an argument must be for a rule to match.
#[derive(Debug, Clone)]
pub enum Condition {
    /// One of these, compared as the step would see it.
    OneOf(Vec<String>),
    /// Matches the whole pattern.
    Matches(regex::Regex),
    /// An integer within the range, both ends included.
    Between {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
}

/// What a matching rule gives.
#[derive(Debug, Clone)]
pub enum Grant {
    /// May.
    Allow,
    /// May, with consent.
    Approval(ApprovalTerms),
    /// May by deliberate override only.
    BreakGlass(GlassTerms),
    /// May not, whatever later rules say; with the reason the runbook gives.
    Never(String),
}

/// How many changes may be begun in a minute; `None`: as many as may be. What only reads is not counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// By one person; at least 1.
    pub a_person: Option<u32>,
    /// By all together; at least 1.
    pub all: Option<u32>,
}

/// A span of time in which nothing is changed. What only reads is never frozen.
#[derive(Debug, Clone)]
pub struct Freeze {
    /// When.
    pub span: FreezeSpan,
    /// The environments it speaks of; `None` means all.
    pub environments: Option<BTreeSet<EnvironmentName>>,
    /// Why, as the file has it.
    pub reason: String,
    /// Commands that go on all the same.
    pub except: BTreeSet<CommandName>,
    /// For whom it doesn't count.
    pub unless: Vec<Who>,
    /// Where it stands.
    pub defined: FileLine,
}

/// When a freeze is.
#[derive(Debug, Clone)]
pub enum FreezeSpan {
    /// Once, the end excluded. `from` is before `until`.
    Once {
        /// When it begins.
        from: Timestamp,
        /// When it has ended.
        until: Timestamp,
    },
    /// Every week.
    Weekly(Window),
}

impl FreezeSpan {
    /// When the freeze of this moment ends; `None` when there is none then.
    pub fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once { from, until } => (*from <= now && now < *until).then_some(*until),
            Self::Weekly(window) => window.contains(now).then(|| window.closes(now)),
        }
    }
}

/// What a deliberate override takes, besides a reason and a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlassTerms {
    /// Who is called at once. Non-empty.
    pub pages: Vec<Who>,
    /// How often one person may in 24 hours; at least 1.
    pub a_day: u32,
}

/// A weekly window of time in a time zone.
#[derive(Debug, Clone)]
pub struct Window {
    /// As the file has it, for messages.
    pub text: String,
    /// Days on which it opens. Non-empty.
    pub days: Vec<jiff::civil::Weekday>,
    /// When it opens.
    pub from: jiff::civil::Time,
    /// When it closes; earlier than `from`: on the next day. Equal: a whole day.
    pub to: jiff::civil::Time,
    /// Whose clock.
    pub zone: jiff::tz::TimeZone,
}

impl Window {
    /// When the window that is open at that moment closes: the next moment at which it isn't.
    ///
    /// Looked for by the hour and then by the minute, so that it holds over every change of clocks; at most nine days on.
    pub fn closes(&self, now: Timestamp) -> Timestamp {
        let step = |from: Timestamp, secs: i64, most: i64| {
            let later =
                (1..=most).map(|n| from.saturating_add(jiff::SignedDuration::from_secs(n * secs)));
            let mut later = later.map(|at| at.unwrap_or(Timestamp::MAX));
            later.find(|at| !self.contains(*at))
        };
        let minute = now.as_second().div_euclid(60) * 60;
        let whole = Timestamp::from_second(minute).unwrap_or(now);
        let Some(after) = step(whole, 3_600, 24 * 9) else {
            return Timestamp::MAX;
        };
        let open = after.saturating_sub(jiff::SignedDuration::from_hours(1));
        step(open.unwrap_or(whole).max(whole), 60, 60).unwrap_or(after)
    }

    /// Whether the window is open at that moment.
    pub fn contains(&self, now: Timestamp) -> bool {
        let local = now.to_zoned(self.zone.clone());
        let (today, time) = (local.weekday(), local.time());
        if self.from < self.to {
            return self.days.contains(&today) && time >= self.from && time < self.to;
        }
        (self.days.contains(&today) && time >= self.from)
            || (self.days.contains(&today.previous()) && time < self.to)
    }
}

/// The last line of a runbook: whom to ask when no rule matches.
#[derive(Debug, Clone)]
pub struct Otherwise {
    /// As the file has it.
    pub text: String,
    /// The rotations its text mentions, in order.
    pub on_call: Vec<OnCall>,
    /// Where it stands.
    pub defined: FileLine,
}

/// One stage of an escalation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// How long after the beginning.
    pub at: Duration,
    /// Whom to call.
    pub call: Who,
    /// Whether the thread is told that this level is called.
    pub say_so: bool,
    /// By which means. Non-empty.
    pub by: BTreeSet<Means>,
}

/// Persons, groups, rotations.
#[derive(Debug, Clone, Default)]
pub struct People {
    /// By id.
    pub persons: BTreeMap<PersonId, Person>,
    /// Members by group, as far as they are known. A group may be empty; `check` warns.
    pub groups: BTreeMap<GroupName, BTreeSet<PersonId>>,
    /// Groups of platforms whose members are members, too; each non-empty. The files don't know who they are.
    pub platform_groups: BTreeMap<GroupName, BTreeSet<PlatformGroup>>,
    /// By name.
    pub rotations: BTreeMap<RotationName, Rotation>,
    /// Platform account → person: `slack:T0/U0ANA` or `slack:U0ANA`.
    pub accounts: HashMap<String, PersonId>,
    /// Programs, by id; none of them is a person's.
    pub services: BTreeMap<PersonId, Service>,
    /// Where calls reach persons by e-mail, as far as the files say.
    pub emails: BTreeMap<PersonId, String>,
}

/// Whether somebody can be expected to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wakefulness {
    /// They are on call.
    OnCall,
    /// It is within their working hours.
    AtWork,
    /// Their working hours are not in the files.
    Unknown,
    /// It isn't.
    Away,
}

/// A program of `people.yaml`. It may what its groups may; nobody calls it, and its consent never counts.
#[derive(Debug, Clone)]
pub struct Service {
    /// As people know it.
    pub name: String,
    /// The groups that it is in.
    pub groups: BTreeSet<GroupName>,
}

/// A person of `people.yaml`.
#[derive(Debug, Clone)]
pub struct Person {
    /// As people know them.
    pub name: String,
    /// Account ids by platform, as in the file.
    pub accounts: BTreeMap<Platform, Vec<String>>,
    /// When they work, if the file says it.
    pub hours: Option<Window>,
    /// Their authenticator app, if they have one enrolled.
    pub second_factor: Option<Enrolment>,
}

impl Project {
    /// Whether this command wants a one-time code here.
    pub fn wants_code(&self, command: &Command) -> bool {
        !command.only_reads() && self.second_factor.is_some_and(|from| command.risk >= from)
    }
}

impl People {
    /// Whom we hold responsible for what this account says: by platform id only, never by a display name.
    pub fn identify(&self, speaker: &Speaker) -> Actor {
        // The edge has held the token against its hash; whom it speaks for is a person's id already.
        if speaker.platform == Platform::Api {
            let person = PersonId::parse(&speaker.id).ok();
            let known = person.filter(|person| self.speaks(person));
            return known.map_or_else(Actor::stranger, |person| self.actor(&person));
        }
        let narrow = format!("{}:{}/{}", speaker.platform, speaker.space, speaker.id);
        let wide = format!("{}:{}", speaker.platform, speaker.id);
        match self
            .accounts
            .get(&narrow)
            .or_else(|| self.accounts.get(&wide))
        {
            Some(person) => self.actor(person),
            None => Actor::stranger(),
        }
    }

    /// Whether a token may speak for this: a person, or a service.
    pub fn speaks(&self, id: &PersonId) -> bool {
        self.persons.contains_key(id) || self.services.contains_key(id)
    }

    /// The person or service as an actor, with their groups.
    pub fn actor(&self, person: &PersonId) -> Actor {
        if let Some(service) = self.services.get(person) {
            return Actor {
                identity: Identity::Person(person.clone()),
                groups: service.groups.clone(),
            };
        }
        let groups = self
            .groups
            .iter()
            .filter(|(_, members)| members.contains(person));
        Actor {
            identity: Identity::Person(person.clone()),
            groups: groups.map(|(group, _)| group.clone()).collect(),
        }
    }

    /// Who is on call: `None` when nobody is.
    pub fn on_call(&self, on_call: &OnCall, now: Timestamp) -> Option<&PersonId> {
        self.rotations
            .get(&on_call.rotation)?
            .holder(&on_call.level, now)
    }

    /// Takes in what was arranged in chat: in order, the last counts. Of rotations and persons that the files don't name,
    /// nothing counts.
    pub fn take_covers(&mut self, covers: &[(RotationName, Cover)]) {
        for (rotation, cover) in covers {
            let known = self.persons.contains_key(&cover.shift.person);
            if let Some(rotation) = self.rotations.get_mut(rotation).filter(|_| known) {
                rotation.covers.push(cover.clone());
            }
        }
    }

    /// Whether the person is meant.
    pub fn is_meant(&self, who: &Who, person: &PersonId, now: Timestamp) -> bool {
        match who {
            Who::Group(group) => {
                let members = self.groups.get(group);
                let service = self.services.get(person);
                members.is_some_and(|members| members.contains(person))
                    || service.is_some_and(|service| service.groups.contains(group))
            }
            Who::Person(named) => named == person,
            Who::OnCall(on_call) => self.on_call(on_call, now) == Some(person),
            Who::Everyone => self.persons.contains_key(person),
        }
    }

    /// By which of these the person is meant, if they are.
    pub fn capacity_of(&self, who: &[Who], person: &PersonId, now: Timestamp) -> Option<Capacity> {
        let who = who.iter().find(|who| self.is_meant(who, person, now))?;
        let until = match who {
            Who::OnCall(OnCall { level, rotation }) => self
                .rotations
                .get(rotation)
                .and_then(|rotation| rotation.until(level, now)),
            Who::Group(_) | Who::Person(_) | Who::Everyone => None,
        };
        Some(Capacity {
            who: who.clone(),
            until,
        })
    }

    /// All persons that are meant, in alphabetical order of their ids.
    pub fn meant(&self, who: &Who, now: Timestamp) -> Vec<&PersonId> {
        self.persons
            .keys()
            .filter(|person| self.is_meant(who, person, now))
            .collect()
    }

    /// Who is asked for consent: those who may give it now, without the requester; at most five.
    pub fn asked_to_consent(
        &self,
        terms: &ApprovalTerms,
        requester: &Identity,
        now: Timestamp,
    ) -> Vec<PersonId> {
        let mut persons: Vec<_> = terms
            .quorums()
            .flat_map(|(_, of)| of)
            .flat_map(|who| self.meant(who, now))
            .collect();
        persons.sort();
        persons.dedup();
        persons.retain(|person| *requester != Identity::Person((*person).clone()));
        persons.into_iter().take(5).cloned().collect()
    }

    /// Whether this person can be expected to answer now.
    pub fn wakefulness(&self, person: &PersonId, now: Timestamp) -> Wakefulness {
        let on_call = self.rotations.values().any(|rotation| {
            let mut levels = rotation.levels.keys();
            levels.any(|level| rotation.holder(level, now) == Some(person))
        });
        let hours = self.persons.get(person).and_then(|it| it.hours.as_ref());
        match hours {
            _ if on_call => Wakefulness::OnCall,
            None => Wakefulness::Unknown,
            Some(hours) if hours.contains(now) => Wakefulness::AtWork,
            Some(_) => Wakefulness::Away,
        }
    }

    /// The name people know; the id when the file has none.
    pub fn name<'a>(&'a self, person: &'a PersonId) -> &'a str {
        let service = || self.services.get(person).map(|it| it.name.as_str());
        let person_of = self.persons.get(person).map(|it| it.name.as_str());
        person_of.or_else(service).unwrap_or(person.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::Weekday;

    #[test]
    fn a_window_closes_by_the_clock_on_the_wall_also_when_that_is_changed() {
        let window = |from: &str, to: &str, days: &[Weekday]| Window {
            text: String::new(),
            days: days.to_vec(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
        };
        let all = [Weekday::Saturday, Weekday::Sunday];
        let rows = [
            (
                "usual",
                window("02:00", "06:00", &all),
                "2026-01-17T02:10:30Z",
                "2026-01-17T05:00:00Z",
            ),
            (
                "clocks put forward",
                window("01:00", "06:00", &all),
                "2026-03-29T00:30:00Z",
                "2026-03-29T04:00:00Z",
            ),
            (
                "clocks put back",
                window("01:00", "06:00", &all),
                "2026-10-25T00:30:00Z",
                "2026-10-25T05:00:00Z",
            ),
            (
                "over midnight",
                window("22:00", "03:00", &all),
                "2026-01-17T22:30:00Z",
                "2026-01-18T02:00:00Z",
            ),
            (
                "two whole days",
                window("00:00", "00:00", &all),
                "2026-01-17T12:00:00Z",
                "2026-01-18T23:00:00Z",
            ),
        ];
        for (name, window, now, closes) in rows {
            let now: Timestamp = now.parse().unwrap();
            assert!(window.contains(now), "{name}");
            assert_eq!(window.closes(now).to_string(), closes, "{name}");
        }
    }
}
