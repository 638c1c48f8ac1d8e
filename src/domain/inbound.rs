//! What came in, before we understood it, and whom we hold responsible.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{GroupName, InboundKey, PersonId};

/// Where people talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// A Slack workspace.
    Slack,
    /// A Discord guild.
    Discord,
    /// The terminal.
    Console,
    /// The HTTP API: whoever asks reads the answer there, and nothing is delivered.
    Api,
}

impl Platform {
    /// The word used in files, SQL and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Console => "console",
            Self::Api => "api",
        }
    }

    /// Whether it shows live output line by line, and no edits of a root message.
    pub fn shows_live_output(self) -> bool {
        match self {
            Self::Console => true,
            Self::Slack | Self::Discord | Self::Api => false,
        }
    }

    /// Reads what `as_str` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Slack, Self::Discord, Self::Console, Self::Api]
            .into_iter()
            .find(|platform| platform.as_str() == text)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which door the inbound came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Typed or clicked on a platform.
    Chat,
    /// `midwatch run …` on this host.
    Cli,
    /// A program that shows a token.
    Api,
}

/// The platform account that sent an inbound. An account is not yet a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaker {
    /// The platform that vouches for the account.
    pub platform: Platform,
    /// The workspace or guild the account belongs to; empty where a platform has none.
    pub space: String,
    /// The platform's stable id. Never a display name.
    pub id: String,
    /// What kind of account the platform says it is.
    pub kind: SpeakerKind,
}

/// What kind of account the platform says the speaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeakerKind {
    /// A human being, as far as the platform knows.
    Person,
    /// An app or integration, ours included.
    Bot,
}

/// Where an inbound was said, and so where the answer goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The platform.
    pub platform: Platform,
    /// Workspace or guild; empty where a platform has none.
    pub space: String,
    /// Channel id.
    pub channel: String,
    /// The thread's id when it was said in a thread.
    pub thread: Option<String>,
}

impl Place {
    /// Whether who reads in one of the two reads in the other.
    pub fn shares_channel(&self, other: &Self) -> bool {
        (self.platform, &self.space, &self.channel)
            == (other.platform, &other.space, &other.channel)
    }
}

/// How it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// Typed, clicked or filled in: all three are text in our grammar by now.
    Said,
    /// A message that was changed after it was sent. Never a command.
    Edited,
}

/// One thing that came in, verified by its edge and not yet understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbound {
    /// The identity that makes a redelivery harmless.
    pub key: InboundKey,
    /// Which door it came through.
    pub source: Source,
    /// Who sent it.
    pub speaker: Speaker,
    /// Where it was said.
    pub place: Place,
    /// How it was said.
    pub manner: Manner,
    /// What was said, unescaped to plain text, without the leading `/ops` or mention.
    pub text: String,
    /// When the sender sent it, by the platform's clock.
    pub sent_at: Timestamp,
    /// When it reached us.
    pub received_at: Timestamp,
    /// A short-lived handle with which the platform lets us open a form; `None` where it gives none.
    pub form_handle: Option<String>,
}

/// Whom we hold responsible, with the groups they are in at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub identity: Identity,
    /// Groups of `people.yaml`; empty for everybody we don't know.
    pub groups: BTreeSet<GroupName>,
}

/// Who an actor is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// A person of `people.yaml`.
    Person(PersonId),
    /// An account that `people.yaml` doesn't name. May do nothing.
    Stranger,
}

impl Actor {
    /// Somebody whom `people.yaml` doesn't name.
    pub fn stranger() -> Self {
        Self {
            identity: Identity::Stranger,
            groups: BTreeSet::new(),
        }
    }

    /// The person, when `people.yaml` knows them.
    pub fn person(&self) -> Option<&PersonId> {
        match &self.identity {
            Identity::Person(person) => Some(person),
            Identity::Stranger => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => write!(f, "{person}"),
            Self::Stranger => f.write_str("a stranger"),
        }
    }
}
