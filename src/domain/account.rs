//! Accounts and groups as platforms call them, and what they add to the people of the files.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{GroupName, People, PersonId, Platform, Speaker};

/// The longest id that a platform gives.
const LONGEST_ID: usize = 32;

/// An account that may speak for a person: `U…`, or `T…/U…` for one space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// The platform that vouches for it.
    pub platform: Platform,
    /// Only in this workspace or guild; empty: wherever it speaks.
    pub space: String,
    /// The platform's stable id.
    pub id: String,
}

impl Account {
    /// Reads what a person types or a platform makes of a mention; `None` where it can't be an account there.
    pub fn parse(platform: Platform, text: &str) -> Option<Self> {
        let bare = text.trim_start_matches(['<', '@', '!']);
        let bare = bare.strip_suffix('>').unwrap_or(bare);
        let (space, id) = bare.split_once('/').unwrap_or(("", bare));
        let (space, id) = match platform {
            Platform::Slack => (space.to_ascii_uppercase(), id.to_ascii_uppercase()),
            Platform::Discord => (space.to_owned(), id.to_owned()),
            Platform::Console | Platform::Api => return None,
        };
        let fits = match platform {
            Platform::Slack => {
                is_slack_id(&id, &['U', 'W'])
                    && (space.is_empty() || is_slack_id(&space, &['T', 'E']))
            }
            Platform::Discord => is_number(&id) && (space.is_empty() || is_number(&space)),
            Platform::Console | Platform::Api => false,
        };
        // `/U0ANA` names a space, and none.
        let whole = !bare.starts_with('/');
        (fits && whole).then_some(Self {
            platform,
            space,
            id,
        })
    }

    /// The account that spoke.
    pub fn of(speaker: &Speaker) -> Self {
        Self {
            platform: speaker.platform,
            space: speaker.space.clone(),
            id: speaker.id.clone(),
        }
    }

    /// As `people.yaml` has it: `U…` or `T…/U…`.
    pub fn name(&self) -> String {
        if self.space.is_empty() {
            return self.id.clone();
        }
        format!("{}/{}", self.space, self.id)
    }

    /// As [`People::accounts`] has it.
    pub fn key(&self) -> String {
        format!("{}:{}", self.platform, self.name())
    }

    /// Whether both can be one and the same account of the platform.
    pub fn may_be(&self, other: &Self) -> bool {
        let anywhere = self.space.is_empty() || other.space.is_empty();
        self.platform == other.platform
            && self.id == other.id
            && (anywhere || self.space == other.space)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.platform, self.name())
    }
}

/// A group that a platform keeps: a Slack user group, a Discord role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlatformGroup {
    /// Whose.
    pub platform: Platform,
    /// `S…` on Slack, `GUILD/ROLE` on Discord.
    pub id: String,
}

impl PlatformGroup {
    /// `None` where it can't be a group's id there.
    pub fn parse(platform: Platform, text: &str) -> Option<Self> {
        let fits = match platform {
            Platform::Slack => is_slack_id(text, &['S']),
            Platform::Discord => text
                .split_once('/')
                .is_some_and(|(guild, role)| is_number(guild) && is_number(role)),
            Platform::Console | Platform::Api => false,
        };
        fits.then(|| Self {
            platform,
            id: text.to_owned(),
        })
    }
}

impl fmt::Display for PlatformGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.platform, self.id)
    }
}

fn is_slack_id(text: &str, first: &[char]) -> bool {
    let rest = text.strip_prefix(first).unwrap_or_default();
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    !rest.is_empty() && text.len() <= LONGEST_ID && rest.chars().all(fits)
}

fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// An account that a person linked to themself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Which.
    pub account: Account,
    /// For whom it speaks.
    pub person: PersonId,
}

impl People {
    /// Whom the files or a link give this account to, whatever its space.
    pub fn owner(&self, account: &Account) -> Option<&PersonId> {
        let same = |key: &&String| read_key(key).is_some_and(|known| known.may_be(account));
        let mut keys: Vec<&String> = self.accounts.keys().filter(same).collect();
        keys.sort();
        keys.first().and_then(|key| self.accounts.get(*key))
    }

    /// Lets linked accounts speak. What the files say of an account counts more than a link; a person who isn't in the
    /// files any more is spoken for by none.
    pub fn take_links(&mut self, links: &[Link]) {
        let known = self.accounts.keys().filter_map(|key| read_key(key));
        let known: HashSet<(Platform, String)> =
            known.map(|known| (known.platform, known.id)).collect();
        for Link { account, person } in links {
            let in_files = known.contains(&(account.platform, account.id.clone()));
            let Some(of_person) = self.persons.get_mut(person).filter(|_| !in_files) else {
                continue;
            };
            let accounts = of_person.accounts.entry(account.platform).or_default();
            accounts.push(account.name());
            self.accounts.insert(account.key(), person.clone());
        }
    }

    /// Whether any group stands for one of a platform.
    pub fn has_platform_groups(&self) -> bool {
        !self.platform_groups.is_empty()
    }

    /// The groups of platforms that stand for one of these.
    pub fn platform_groups_of<'a>(
        &self,
        groups: impl IntoIterator<Item = &'a GroupName>,
    ) -> BTreeSet<PlatformGroup> {
        let groups = groups
            .into_iter()
            .filter_map(|group| self.platform_groups.get(group));
        groups.flatten().cloned().collect()
    }

    /// Names of the accounts on a platform that speak for somebody, or for one of these.
    pub fn account_names(
        &self,
        platform: Platform,
        of: Option<&BTreeSet<PersonId>>,
    ) -> BTreeSet<String> {
        let persons = self.persons.iter();
        persons
            .filter(|(person, _)| of.is_none_or(|of| of.contains(*person)))
            .filter_map(|(_, person)| person.accounts.get(&platform))
            .flatten()
            .cloned()
            .collect()
    }

    /// The accounts that speak for a person, in the order of platforms; those of one platform as the files have them.
    pub fn accounts_of(&self, person: &PersonId) -> Vec<Account> {
        let accounts = self.persons.get(person).map(|it| &it.accounts);
        let named = accounts.into_iter().flatten();
        let named = named.flat_map(|(platform, names)| names.iter().map(|name| (*platform, name)));
        let read = named.map(|(platform, name)| {
            let (space, id) = name.split_once('/').unwrap_or(("", name));
            Account {
                platform,
                space: space.to_owned(),
                id: id.to_owned(),
            }
        });
        read.collect()
    }

    /// Takes the owners of these accounts into all groups that the platform's group stands for.
    pub fn join<'a>(&mut self, joined: &PlatformGroup, names: impl IntoIterator<Item = &'a str>) {
        let owner = |name| self.accounts.get(&format!("{}:{name}", joined.platform));
        let persons: Vec<PersonId> = names.into_iter().filter_map(owner).cloned().collect();
        for (group, stand_for) in &self.platform_groups {
            if stand_for.contains(joined) {
                let members = self.groups.entry(group.clone()).or_default();
                members.extend(persons.iter().cloned());
            }
        }
    }
}

/// `slack:T0/U0ANA`, read back.
impl Account {
    /// Reads what [`Account::key`] gave.
    pub fn of_key(key: &str) -> Option<Self> {
        read_key(key)
    }
}

fn read_key(key: &str) -> Option<Account> {
    let (platform, name) = key.split_once(':')?;
    let (space, id) = name.split_once('/').unwrap_or(("", name));
    Some(Account {
        platform: Platform::parse(platform)?,
        space: space.to_owned(),
        id: id.to_owned(),
    })
}

/// A code that is used once, sent to an account to find out whether who asked has that account too. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkCode(String);

impl LinkCode {
    /// Without those that look alike in some typeface.
    const LETTERS: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
    const LENGTH: usize = 8;

    /// Draws one; the source must be random, and is asked more often than there are letters.
    pub fn draw(mut random: impl FnMut() -> u8) -> Self {
        let letters = Self::LETTERS.len();
        let even = (256 / letters) * letters;
        let mut code = String::with_capacity(Self::LENGTH);
        while code.len() < Self::LENGTH {
            let drawn = usize::from(random());
            // The last few would make some letters more likely.
            if drawn < even {
                code.push(char::from(Self::LETTERS[drawn % letters]));
            }
        }
        Self(code)
    }

    /// Reads what a person typed, in any case, with or without a dash in the middle.
    pub fn parse(text: &str) -> Option<Self> {
        let letters = text.chars().filter(|c| *c != '-');
        let code: String = letters.map(|c| c.to_ascii_uppercase()).collect();
        let fits = code.len() == Self::LENGTH && code.bytes().all(|b| Self::LETTERS.contains(&b));
        fits.then_some(Self(code))
    }

    /// The code itself: for the one message that tells it, and for its hash.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LinkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkCode([redacted])")
    }
}

/// How a link came to be or ended, for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkEvent {
    /// A code was sent to the account.
    Asked,
    /// The code was typed by who asked: the account speaks for them.
    Linked,
    /// The account speaks for nobody any more.
    Unlinked,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Person, sample};

    #[test]
    fn accounts_are_read_as_people_type_them() {
        for (name, platform, typed, read) in [
            ("slack", Platform::Slack, "U0ANA", Some("slack:U0ANA")),
            ("in any case", Platform::Slack, "u0ana", Some("slack:U0ANA")),
            (
                "with a space",
                Platform::Slack,
                "T1/U0ANA",
                Some("slack:T1/U0ANA"),
            ),
            ("a mention", Platform::Slack, "@U0ANA", Some("slack:U0ANA")),
            (
                "a raw mention",
                Platform::Discord,
                "<@!803>",
                Some("discord:803"),
            ),
            (
                "discord",
                Platform::Discord,
                "80351110224678912",
                Some("discord:80351110224678912"),
            ),
            ("a guild's", Platform::Discord, "1/2", Some("discord:1/2")),
            ("a name", Platform::Slack, "ana", None),
            ("a channel", Platform::Slack, "C0SHOP", None),
            ("no space before the slash", Platform::Slack, "/U0ANA", None),
            ("letters", Platform::Discord, "8035a", None),
            ("too long", Platform::Discord, "803511102246789120000", None),
            ("nothing", Platform::Discord, "", None),
            ("the console", Platform::Console, "ana", None),
        ] {
            let account = Account::parse(platform, typed).map(|it| it.key());
            assert_eq!(account.as_deref(), read, "{name}");
        }
    }

    #[test]
    fn groups_of_platforms_have_ids_of_their_own() {
        for (name, platform, typed, fits) in [
            ("slack", Platform::Slack, "S0SHOP", true),
            ("a user", Platform::Slack, "U0SHOP", false),
            ("a handle", Platform::Slack, "@shop", false),
            ("discord", Platform::Discord, "1/2", true),
            ("a role without its guild", Platform::Discord, "2", false),
            ("the console", Platform::Console, "S0SHOP", false),
        ] {
            let read = PlatformGroup::parse(platform, typed);
            assert_eq!(read.is_some(), fits, "{name}");
        }
    }

    #[test]
    fn a_code_is_read_back_as_people_type_it_and_never_printed() {
        let mut byte = 0_u8;
        let code = LinkCode::draw(|| {
            byte = byte.wrapping_add(101);
            byte
        });
        let typed = code.expose().to_lowercase();
        assert_eq!(LinkCode::parse(&typed).as_ref(), Some(&code));
        let (left, right) = typed.split_at(4);
        assert_eq!(
            LinkCode::parse(&format!("{left}-{right}")),
            Some(code.clone())
        );
        assert_eq!(LinkCode::parse(&typed[1..]), None);
        assert_eq!(LinkCode::parse("ABCDEFG1"), None, "no 1, no I, no O, no 0");
        assert!(!format!("{code:?}").contains(code.expose()));
    }

    fn link(account: &str, person: &str) -> Link {
        let account = read_key(account).unwrap();
        let person = PersonId::parse(person).unwrap();
        Link { account, person }
    }

    fn person_of(people: &People, space: &str, id: &str) -> Option<String> {
        let speaker = Speaker {
            platform: Platform::Slack,
            space: space.to_owned(),
            id: id.to_owned(),
            kind: super::super::SpeakerKind::Person,
        };
        people.identify(&speaker).person().map(ToString::to_string)
    }

    fn people() -> People {
        let named = |name: &str| Person {
            hours: None,
            second_factor: None,
            name: name.to_owned(),
            accounts: [(Platform::Slack, vec![format!("U{name}")])].into(),
        };
        let mut people = People::default();
        for name in ["ANA", "BO"] {
            let person = PersonId::parse(&name.to_lowercase()).unwrap();
            people
                .accounts
                .insert(format!("slack:U{name}"), person.clone());
            people.persons.insert(person, named(name));
        }
        people
    }

    #[test]
    fn a_linked_account_speaks_and_the_files_count_more() {
        let mut people = people();
        people.take_links(&[
            link("slack:U9", "bo"),
            link("slack:T1/UANA", "bo"),
            link("slack:U7", "gone"),
        ]);
        assert_eq!(person_of(&people, "T1", "U9").as_deref(), Some("bo"));
        assert_eq!(person_of(&people, "T1", "UANA").as_deref(), Some("ana"));
        assert_eq!(person_of(&people, "T1", "U7"), None);
        let bo = PersonId::parse("bo").unwrap();
        assert_eq!(
            people.persons[&bo].accounts[&Platform::Slack],
            ["UBO", "U9"]
        );
        assert_eq!(people.owner(&read_key("slack:T3/U9").unwrap()), Some(&bo));
    }

    #[test]
    fn owners_of_accounts_are_in_what_their_platforms_group_stands_for() {
        let mut people = people();
        let group = GroupName::parse("shop").unwrap();
        let other = GroupName::parse("other").unwrap();
        let theirs = PlatformGroup::parse(Platform::Slack, "S0SHOP").unwrap();
        people
            .platform_groups
            .insert(group.clone(), [theirs.clone()].into());
        people.groups.insert(other.clone(), BTreeSet::new());
        people.join(&theirs, ["UBO", "USTRANGER"]);
        let bo = PersonId::parse("bo").unwrap();
        assert_eq!(people.groups[&group], [bo.clone()].into());
        assert!(people.groups[&other].is_empty());
        assert_eq!(people.actor(&bo).groups, [group].into());
    }

    #[test]
    fn the_sample_has_no_groups_of_platforms() {
        assert!(!sample::catalog().people.has_platform_groups());
    }
}
