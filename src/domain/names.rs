//! Names and ids: one type for each kind of identity, so that none can stand in for another.
//!
//! A name that exists is well-formed: the only door is `parse`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What a well-formed name looks like; shown in errors and in the JSON Schemas.
pub const NAME_PATTERN: &str = "^[a-z0-9][a-z0-9_-]{0,62}$";

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to 63 lower-case letters, digits, `-` or `_`, and starts with a letter or digit"
)]
pub struct NameError;

fn well_formed(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 63
        && bytes
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text against [`NAME_PATTERN`].
            pub fn parse(text: &str) -> Result<Self, NameError> {
                if well_formed(text) { Ok(Self(text.to_owned())) } else { Err(NameError) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> { Self::parse(text) }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> { Self::parse(&text) }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self { name.0 }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str { &self.0 }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": NAME_PATTERN })
            }
        }
    )*};
}

names! {
    /// A command, as typed: `flush-cache`.
    CommandName
    /// A project, as its runbook calls it: `shop`.
    ProjectName
    /// One copy of a project.
    EnvironmentName
    /// A named set of persons in `people.yaml`.
    GroupName
    /// A person in `people.yaml`: `ana`. Not a platform account.
    PersonId
    /// Who is on call when: `shop` in `oncall(shop)`.
    RotationName
    /// A level of a rotation: `oncall` in `oncall(shop)`.
    LevelName
    /// What a command declares: `path`.
    ParameterName
    /// One step of a command: `ban`.
    StepName
    /// A token, as people call it. Never the token itself.
    TokenId
    /// A secret's name, never its value.
    SecretName
}

/// Identifies one durable execution of a plan, for ever and everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    /// Derives the id from the identity of the inbound that asked for it.
    ///
    /// The same message gives the same run, even after the database was rolled back to an older state.
    pub fn of_inbound(inbound: &InboundKey) -> Self {
        let digest = Sha256::digest(format!("midwatch run\n{}", inbound.as_str()).as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Uuid::new_v8(bytes))
    }

    /// Reads an id as it was printed.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self)
    }

    /// The short code for people, `length` characters long (4 to 12).
    ///
    /// The store takes the shortest that is still free.
    pub fn reference(self, length: usize) -> Reference {
        // No i, l, o, u: read aloud at night they are mistaken for 1, 0 and v.
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut bits = Sha256::digest(self.0.as_bytes())
            .iter()
            .fold(0_u128, |sum, b| (sum << 8) | u128::from(*b));
        let mut code = String::new();
        for _ in 0..length.clamp(4, 12) {
            code.push(char::from(ALPHABET[(bits & 31) as usize]));
            bits >>= 5;
        }
        Reference(code)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The short code that ties thread, ledger and log together: `7f3k`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(String);

impl Reference {
    /// Reads a reference as people type it: any case, with or without `#` or `ref`.
    pub fn parse(text: &str) -> Option<Self> {
        let code = text.trim_start_matches('#').to_ascii_lowercase();
        let fits = (4..=12).contains(&code.len())
            && code
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        fits.then_some(Self(code))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What makes a delivery the same delivery: the platform's own identity of the message or click.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InboundKey(String);

impl InboundKey {
    /// Joins the parts; over-long keys are hashed so that a hostile sender can't fill the index.
    pub fn new(parts: &[&str]) -> Self {
        let joined = parts.join(":");
        if joined.len() <= 200 {
            return Self(joined);
        }
        Self(format!(
            "sha256:{}",
            data_encoding::HEXLOWER.encode(&Sha256::digest(joined.as_bytes()))
        ))
    }

    /// Whether it begins with the platform's word, as keys of the API do.
    pub fn is_of(&self, platform: super::Platform) -> bool {
        let rest = self.0.strip_prefix(platform.as_str());
        rest.is_some_and(|rest| rest.starts_with(':'))
    }

    /// The key as text, at most 200 bytes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_at_the_door() {
        for good in ["a", "flush-cache", "x_1", "9lives"] {
            assert!(CommandName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "a/b", &"x".repeat(64), "é"] {
            assert!(CommandName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_same_inbound_gives_the_same_run_and_reference() {
        let key = InboundKey::new(&["slack", "T1", "C1", "17.1"]);
        let (one, two) = (RunId::of_inbound(&key), RunId::of_inbound(&key));
        assert_eq!(one, two);
        assert_eq!(one.reference(4), two.reference(4));
        assert!(
            one.reference(6)
                .as_str()
                .starts_with(one.reference(4).as_str())
        );
        assert_ne!(
            one,
            RunId::of_inbound(&InboundKey::new(&["slack", "T1", "C1", "17.2"]))
        );
    }

    #[test]
    fn a_reference_is_read_as_people_type_it() {
        assert_eq!(Reference::parse("#7F3K"), Reference::parse("7f3k"));
        assert_eq!(Reference::parse("7f3k!"), None);
        assert_eq!(Reference::parse("7"), None);
    }
}
