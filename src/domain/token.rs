//! Tokens: what a program shows to speak for a person over the API. The token itself is told once; what is kept is a hash.

use std::collections::BTreeSet;
use std::fmt;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{PersonId, ProjectName, TokenId};

/// How every token begins: scanners for secrets find it by that, and so does our redaction.
pub const TOKEN_PREFIX: &str = "mw_";
/// Characters behind the prefix: 256 bits, five in each.
const TOKEN_DIGITS: usize = 52;
/// How long a whole token is, in bytes.
pub const TOKEN_LENGTH: usize = TOKEN_PREFIX.len() + TOKEN_DIGITS;
/// How long a token lives unless somebody says otherwise, in days.
pub const TOKEN_DAYS: u32 = 30;
/// The longest that a token lives, in days.
pub const TOKEN_DAYS_MOST: u32 = 90;

/// A token as its holder has it. Never printed but once, never kept.
#[derive(Clone)]
pub struct ApiToken(String);

impl ApiToken {
    /// Makes one of bits that must be random.
    pub fn of(random: [u8; 32]) -> Self {
        let digits = BASE32_NOPAD.encode(&random).to_ascii_lowercase();
        Self(format!("{TOKEN_PREFIX}{digits}"))
    }

    /// Reads what a program shows; `None` where it can't be one.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(TOKEN_PREFIX)?;
        let fits = digits.len() == TOKEN_DIGITS && digits.bytes().all(is_token_digit);
        fits.then(|| Self(text.to_owned()))
    }

    /// SHA-256 of it, in hexadecimal: 256 random bits need no salt and no slow hash.
    pub fn hash(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.0.as_bytes()))
    }

    /// The token itself: for the one line that tells it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken([redacted])")
    }
}

/// Whether the byte can stand behind a token's prefix.
pub(super) fn is_token_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte)
}

/// What a token is good for. It narrows what the runbook lets its person do, and never widens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To look.
    Read,
    /// To begin, follow and stop runs.
    Run,
    /// To consent, and to refuse consent.
    Approve,
}

impl Scope {
    /// Every scope, in order.
    pub const ALL: [Self; 3] = [Self::Read, Self::Run, Self::Approve];

    /// The word used in files, SQL and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Approve => "approve",
        }
    }

    /// Reads what `as_str` wrote.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A token, without what would let anybody use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTerms {
    /// What people call it.
    pub id: TokenId,
    /// For whom it speaks.
    pub person: PersonId,
    /// What it is good for. Non-empty.
    pub scopes: BTreeSet<Scope>,
    /// Only these projects are there for it; empty: all.
    pub projects: BTreeSet<ProjectName>,
    /// When it was made.
    pub made_at: Timestamp,
    /// From when on it is good for nothing.
    pub until: Timestamp,
    /// When it was revoked; `None`: it was not.
    pub revoked_at: Option<Timestamp>,
}

/// Whether a token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// It does.
    InForce,
    /// Its time is over.
    Expired,
    /// Somebody ended it.
    Revoked,
}

impl TokenTerms {
    /// Whether it counts at that moment.
    pub fn state(&self, now: Timestamp) -> TokenState {
        match self.revoked_at {
            Some(_) => TokenState::Revoked,
            None if self.until <= now => TokenState::Expired,
            None => TokenState::InForce,
        }
    }

    /// Whether the project is there for it.
    pub fn sees(&self, project: &ProjectName) -> bool {
        self.projects.is_empty() || self.projects.contains(project)
    }
}

/// What became of a token. Recorded in the ledger as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum TokenEvent {
    /// It was made.
    Made {
        /// What it is good for.
        scopes: BTreeSet<Scope>,
        /// The projects that are there for it; empty: all.
        projects: BTreeSet<ProjectName>,
        /// From when on it is good for nothing.
        until: Timestamp,
    },
    /// It was revoked before its time.
    Revoked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_never_printed() {
        let token = ApiToken::of([7; 32]);
        let text = token.expose().to_owned();
        assert_eq!(text.len(), TOKEN_LENGTH);
        let read = ApiToken::parse(&text).unwrap();
        assert_eq!(read.hash(), token.hash());
        assert!(!format!("{token:?}").contains(&text[3..]));
        for wrong in [
            "",
            "mw_",
            &text[1..],
            &text[..TOKEN_LENGTH - 1],
            &format!("{text}a"),
            &text.to_ascii_uppercase(),
            &text.replace("mw_", "xx_"),
        ] {
            assert!(ApiToken::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_token_counts_until_its_time_or_until_it_is_revoked() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let mut terms = TokenTerms {
            id: TokenId::parse("t1").unwrap(),
            person: PersonId::parse("ana").unwrap(),
            scopes: [Scope::Read].into(),
            projects: BTreeSet::new(),
            made_at: at(0),
            until: at(100),
            revoked_at: None,
        };
        assert_eq!(terms.state(at(99)), TokenState::InForce);
        assert_eq!(terms.state(at(100)), TokenState::Expired);
        terms.revoked_at = Some(at(5));
        assert_eq!(terms.state(at(6)), TokenState::Revoked);
        let shop = ProjectName::parse("shop").unwrap();
        assert!(terms.sees(&shop));
        terms.projects = [ProjectName::parse("blog").unwrap()].into();
        assert!(!terms.sees(&shop));
    }
}
