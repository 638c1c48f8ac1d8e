//! `people.yaml`: persons with their accounts, groups, rotations.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::at::{At, Spot};
use super::diagnostic::{Diagnostic, SourceFile, did_you_mean};
use super::{raw, rotation, window};
use crate::domain::{
    Enrolment, GroupName, LevelName, OnCall, People, Person, PersonId, Platform, PlatformGroup,
    RotationName, Service, Who,
};

/// User groups and roles that all groups together may stand for: Slack answers some twenty questions a minute, and each
/// is asked for every few minutes.
const MOST_PLATFORM_GROUPS: usize = 30;

/// The names that runbooks may use for people.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Whether they are all of them: not when `people.yaml` can't be read, and then every name is believed.
    pub(crate) complete: bool,
    /// Persons.
    pub(crate) persons: BTreeSet<String>,
    /// Groups.
    pub(crate) groups: BTreeSet<String>,
    /// Levels by rotation.
    pub(crate) rotations: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    /// Takes them from the tree, so that a mistake elsewhere in the file makes none of them unknown.
    pub(crate) fn of(root: At<'_>) -> Self {
        let names = |key: &str| root.get(key).keys().map(str::to_owned).collect();
        let rotations = root.get("rotations");
        let levels = |rotation: &str| {
            let rotation = rotations.get(rotation);
            let levels = rotation.get("levels").keys().map(str::to_owned);
            // Without the key the whole rotation stands here.
            let layers = rotation.keys().any(|key| key == "layers");
            let layers = layers.then(|| rotation.get("layers").items());
            let of_layers = layers.into_iter().flatten().filter_map(At::level);
            levels.chain(of_layers).collect()
        };
        Self {
            complete: true,
            persons: names("people"),
            groups: names("groups"),
            rotations: rotations
                .keys()
                .map(|rotation| (rotation.to_owned(), levels(rotation)))
                .collect(),
        }
    }

    /// Reads whom a rule, an approval or an escalation speaks of.
    pub(crate) fn who(&self, text: &str, at: At<'_>, notes: &mut Vec<Diagnostic>) -> Option<Who> {
        if text == "everyone" {
            return Some(Who::Everyone);
        }
        let read = if let Some((level, rest)) = text.split_once('(') {
            self.on_call(level, rest.strip_suffix(')'), text)
        } else if let Some(person) = text.strip_prefix('@') {
            self.person(person)
        } else {
            self.bare(text)
        };
        read.map_err(|(message, hint)| notes.push(at.part(text).error(message).hint(hint)))
            .ok()
    }

    fn bare(&self, text: &str) -> Result<Who, (String, String)> {
        let (group, person) = (self.groups.contains(text), self.persons.contains(text));
        if group && person {
            let message = format!("`{text}` is both a group and a person");
            return Err((
                message,
                format!("write \"@{text}\" for the person, or rename the group"),
            ));
        }
        if person {
            return self.person(text);
        }
        if !group && self.complete {
            let known = self.groups.iter().chain(&self.persons).map(String::as_str);
            let near = did_you_mean(text, known.chain(["everyone"]));
            let near = near.map(|near| format!("{near} ")).unwrap_or_default();
            let message = format!("group or person `{text}` is not defined");
            let hint = format!("{near}groups and persons are listed in people.yaml");
            return Err((message, hint));
        }
        text.parse().map(Who::Group).map_err(|_| {
            (
                format!("`{text}` is no name"),
                "name a group or person".to_owned(),
            )
        })
    }

    fn person(&self, text: &str) -> Result<Who, (String, String)> {
        let parsed = PersonId::parse(text).ok();
        let known = parsed.filter(|_| self.persons.contains(text) || !self.complete);
        known.map(Who::Person).ok_or_else(|| {
            let near = did_you_mean(text, self.persons.iter().map(String::as_str));
            let hint = near.unwrap_or_else(|| "persons are listed in people.yaml".to_owned());
            (format!("person `{text}` is not defined"), hint)
        })
    }

    fn on_call(
        &self,
        level: &str,
        rotation: Option<&str>,
        text: &str,
    ) -> Result<Who, (String, String)> {
        let not_said = || {
            (
                format!("`{text}` names nobody"),
                "write `oncall(ROTATION)`".to_owned(),
            )
        };
        let rotation = rotation.ok_or_else(not_said)?;
        let parsed = OnCall {
            level: LevelName::parse(level).map_err(|_| not_said())?,
            rotation: RotationName::parse(rotation).map_err(|_| not_said())?,
        };
        if !self.complete {
            return Ok(Who::OnCall(parsed));
        }
        let Some(levels) = self.rotations.get(rotation) else {
            let near = did_you_mean(rotation, self.rotations.keys().map(String::as_str));
            let hint = near.unwrap_or_else(|| "rotations are listed in people.yaml".to_owned());
            return Err((format!("rotation `{rotation}` is not defined"), hint));
        };
        if !levels.contains(level) {
            let list: Vec<&str> = levels.iter().map(String::as_str).collect();
            let near = did_you_mean(level, list.iter().copied());
            let near = near.map(|near| format!("{near} ")).unwrap_or_default();
            let message = format!("rotation `{rotation}` has no level `{level}`");
            return Err((message, format!("{near}its levels: {}", list.join(", "))));
        }
        Ok(Who::OnCall(parsed))
    }
}

/// The people, and where the levels of their rotations stand.
#[derive(Debug, Default)]
pub(crate) struct ReadPeople {
    /// Persons, groups, rotations.
    pub(crate) people: People,
    /// Each level of each rotation that could be read.
    pub(crate) levels: Vec<(OnCall, Spot)>,
}

/// Makes people of what the file says; pushes every mistake. `calendars` are the files that rotations may name.
pub(crate) fn read(
    raw: &raw::People,
    at: At<'_>,
    calendars: &[Arc<SourceFile>],
    notes: &mut Vec<Diagnostic>,
) -> ReadPeople {
    let raw_people = raw;
    let mut people = People::default();
    let mut accounts = Accounts::default();
    for id in raw.people.keys() {
        accounts.owners.insert(format!("console:{id}"), id.clone());
    }
    let at_people = at.get("people");
    for (id, person) in &raw.people {
        let place = at_people.get(id.as_str());
        email(id, person, place, &mut people, notes);
        let person = accounts.person(id, person, place, notes);
        people.persons.insert(id.clone(), person);
    }
    people.accounts = accounts.owners;
    read_groups(raw, at.get("groups"), &mut people, notes);
    read_services(raw, at.get("services"), &mut people, notes);
    let mut levels = Vec::new();
    for (name, raw) in &raw.rotations {
        let place = at.get("rotations").get(name.as_str());
        let known = rotation::Known {
            raw_people: &raw_people.people,
            people: &people,
            calendars,
        };
        let Some(read) = rotation::read(raw, place, &known, notes) else {
            continue;
        };
        for level in read.levels.keys() {
            let on_call = OnCall {
                level: level.clone(),
                rotation: name.clone(),
            };
            levels.push((on_call, rotation::place_of(level, place).spot()));
        }
        people.rotations.insert(name.clone(), read);
    }
    ReadPeople { people, levels }
}

/// An address belongs to one person: calendars name them by it.
fn email(
    id: &PersonId,
    raw: &raw::Person,
    at: At<'_>,
    people: &mut People,
    notes: &mut Vec<Diagnostic>,
) {
    let Some(raw::Text(address)) = &raw.email else {
        return;
    };
    let at = at.get("email");
    let fits = address
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'));
    let plain = |c: char| c.is_ascii_graphic() && !"<>,;:\"()[]\\".contains(c);
    if !fits || !address.chars().all(plain) {
        let message = format!("`{address}` is not an e-mail address");
        notes.push(at.error(message).hint("write `ana@example.org`"));
        return;
    }
    let mut others = people.emails.iter();
    if let Some((other, _)) = others.find(|(_, it)| it.eq_ignore_ascii_case(address)) {
        let message = format!("this address is that of `{other}` already");
        notes.push(at.error(message).hint("remove it from one of them"));
        return;
    }
    people.emails.insert(id.clone(), address.clone());
}

/// A service is no person: nobody calls it, and nothing but a token speaks for it.
fn read_services(raw: &raw::People, at: At<'_>, people: &mut People, notes: &mut Vec<Diagnostic>) {
    for (id, service) in &raw.services {
        let place = at.get(id.as_str());
        if raw.people.contains_key(id) {
            let message = format!("`{id}` is both a service and a person");
            notes.push(
                at.key(id.as_str())
                    .error(message)
                    .hint("rename one of them"),
            );
        }
        for (group, at) in service.groups.iter().zip(place.get("groups").items()) {
            if !raw.groups.contains_key(group) {
                let near = did_you_mean(group.as_str(), raw.groups.keys().map(GroupName::as_str));
                let hint = near.unwrap_or_else(|| "groups are listed in people.yaml".to_owned());
                notes.push(
                    at.error(format!("group `{group}` is not defined"))
                        .hint(hint),
                );
            }
        }
        let read = Service {
            name: service.name.0.clone(),
            groups: service.groups.iter().cloned().collect(),
        };
        people.services.insert(id.clone(), read);
    }
}

fn read_groups(raw: &raw::People, at: At<'_>, people: &mut People, notes: &mut Vec<Diagnostic>) {
    let mut of_platforms = BTreeSet::new();
    for (name, group) in &raw.groups {
        let place = at.get(name.as_str());
        known_persons(&group.members, &raw.people, place.get("members"), notes);
        let given = [
            ("slack", Platform::Slack, &group.slack),
            ("discord", Platform::Discord, &group.discord),
        ];
        let mut stand_for = BTreeSet::new();
        for (key, platform, ids) in given {
            let ids = ids.iter().flat_map(|ids| &ids.0);
            for (raw::Text(id), at) in ids.zip(place.get(key).items()) {
                let Some(read) = PlatformGroup::parse(platform, id) else {
                    notes.push(no_group_of(platform, id, at));
                    continue;
                };
                if !stand_for.insert(read) {
                    let message = format!("`{id}` stands here twice");
                    notes.push(at.warning(message).hint("remove one of them"));
                }
            }
        }
        let given = group.slack.is_some() || group.discord.is_some();
        if group.members.is_empty() && !given {
            let message = format!("group `{name}` has no members: rules that name it help nobody");
            let place = at.key(name.as_str());
            notes.push(
                place
                    .warning(message)
                    .hint("add a person, or remove the group"),
            );
        }
        of_platforms.extend(stand_for.iter().cloned());
        if of_platforms.len() > MOST_PLATFORM_GROUPS {
            let message =
                format!("there are more than {MOST_PLATFORM_GROUPS} user groups and roles");
            let hint = "platforms let us ask for so many; list persons instead";
            notes.push(at.key(name.as_str()).error(message).hint(hint));
        }
        let members = group.members.iter().cloned().collect();
        people.groups.insert(name.clone(), members);
        if !stand_for.is_empty() {
            people.platform_groups.insert(name.clone(), stand_for);
        }
    }
}

fn no_group_of(platform: Platform, id: &str, at: At<'_>) -> Diagnostic {
    let (what, hint) = match platform {
        Platform::Slack => (
            "the id of a Slack user group",
            "it begins with `S` and stands at the end of the group's address in Slack: S0614TZR7",
        ),
        Platform::Discord | Platform::Console | Platform::Api => (
            "a Discord role with its guild",
            "write \"GUILD/ROLE\", two long numbers, in quotes; Copy ID gives them in developer mode",
        ),
    };
    at.error(format!("`{id}` is not {what}")).hint(hint)
}

/// Looks each of them up among the persons of the file.
pub(crate) fn known_persons(
    members: &[PersonId],
    persons: &BTreeMap<PersonId, raw::Person>,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) {
    for (position, (member, at)) in members.iter().zip(at.items()).enumerate() {
        if !persons.contains_key(member) {
            let near = did_you_mean(member.as_str(), persons.keys().map(PersonId::as_str));
            let hint = near.unwrap_or_else(|| "persons are listed under `people`".to_owned());
            notes.push(
                at.error(format!("person `{member}` is not defined"))
                    .hint(hint),
            );
        } else if members[..position].contains(member) {
            let message = format!("`{member}` stands here twice");
            notes.push(at.warning(message).hint("remove one of them"));
        }
    }
}

#[derive(Default)]
struct Accounts {
    owners: HashMap<String, PersonId>,
    /// The same by platform and id alone, each with its space: `U0ANA` is `T1/U0ANA`, too.
    by_id: HashMap<(Platform, String), Vec<(String, PersonId)>>,
}

impl Accounts {
    fn person(
        &mut self,
        id: &PersonId,
        raw: &raw::Person,
        at: At<'_>,
        notes: &mut Vec<Diagnostic>,
    ) -> Person {
        let mut accounts: BTreeMap<Platform, Vec<String>> = BTreeMap::new();
        accounts.insert(Platform::Console, vec![id.to_string()]);
        let many = |ids: &'_ Option<raw::OneOrMany<raw::Text>>| {
            let ids = ids.as_ref().map(|ids| ids.0.clone());
            ids.unwrap_or_default()
        };
        let given = [
            ("slack", Platform::Slack, many(&raw.slack)),
            ("discord", Platform::Discord, many(&raw.discord)),
            ("console", Platform::Console, many(&raw.console)),
            (
                "login",
                Platform::Console,
                raw.login.iter().cloned().collect(),
            ),
        ];
        for (key, platform, ids) in given {
            let ids = ids.iter().zip(at.get(key).items());
            for (raw::Text(account), at) in ids {
                if let Err((message, hint)) = self.claim(id, platform, account) {
                    notes.push(at.error(message).hint(hint));
                }
                let accounts = accounts.entry(platform).or_default();
                if !accounts.contains(account) {
                    accounts.push(account.clone());
                }
            }
        }
        Person {
            name: raw.name.0.clone(),
            accounts,
            hours: raw
                .hours
                .as_ref()
                .and_then(|hours| window::read(&hours.0, at.get("hours"), notes)),
            second_factor: raw.second_factor.as_ref().and_then(|enrolment| {
                let read = Enrolment::parse(&enrolment.0);
                if read.is_none() {
                    let message = format!("`{}` is no enrolment", enrolment.0);
                    let hint = format!("take what `midwatch factor enrol {id}` prints");
                    notes.push(at.get("second_factor").error(message).hint(&hint));
                }
                read
            }),
        }
    }

    /// Notes whom the account speaks for; the error is what is wrong, and what to do.
    fn claim(
        &mut self,
        id: &PersonId,
        platform: Platform,
        account: &str,
    ) -> Result<(), (String, &'static str)> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
        if account.is_empty() || !account.chars().all(fits) {
            let hint = match platform {
                Platform::Slack => {
                    "copy the member id from the profile: `U…`, or `T…/U…` for one workspace"
                }
                Platform::Discord => "copy the user id, a long number, in quotes",
                Platform::Console | Platform::Api => "the name of an account on the host",
            };
            return Err((format!("`{account}` is not an account's id"), hint));
        }
        let key = format!("{platform}:{account}");
        let (space, bare) = account.split_once('/').unwrap_or(("", account));
        let same = self.by_id.entry((platform, bare.to_owned())).or_default();
        let overlaps = |other: &str| space.is_empty() || other.is_empty() || other == space;
        let of_others = same
            .iter()
            .find(|(other, owner)| owner != id && overlaps(other))
            .map(|(_, owner)| owner);
        let owner = self.owners.get(&key).filter(|owner| *owner != id);
        if let Some(owner) = owner.or(of_others) {
            let message = format!("this account speaks for `{owner}` already");
            return Err((
                message,
                "an account belongs to one person; remove it from one of them",
            ));
        }
        same.push((space.to_owned(), id.clone()));
        self.owners.insert(key, id.clone());
        Ok(())
    }
}

/// Looks a time zone up.
pub(crate) fn zone(
    name: &str,
    at: At<'_>,
    notes: &mut Vec<Diagnostic>,
) -> Option<jiff::tz::TimeZone> {
    let found = jiff::tz::TimeZone::get(name).ok();
    if found.is_none() {
        let all: Vec<String> = jiff::tz::db()
            .available()
            .map(|zone| zone.as_str().to_owned())
            .collect();
        let near = did_you_mean(name, all.iter().map(String::as_str));
        let hint = near.unwrap_or_else(|| "such as Europe/Berlin or UTC".to_owned());
        notes.push(
            at.part(name)
                .error(format!("there is no time zone `{name}`"))
                .hint(hint),
        );
    }
    found
}
