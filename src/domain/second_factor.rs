//! A second factor outside chat: the one-time code of an authenticator app, typed with what is of high risk.
//!
//! Chat sessions get stolen; whoever holds one has no code. Codes are those of RFC 6238: six digits, SHA-1, 30 seconds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret, Totp};

use super::PersonId;

/// The word that a code is typed with: `otp=123456`. No parameter of a command may have this name.
pub const CODE_WORD: &str = "otp";
/// Names one enrolment of a person: with another one, what their app was given before counts no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment(String);

/// What person and app share. It is made anew from the installation's key whenever it is needed, and kept nowhere.
pub struct SharedSecret(Vec<u8>);

impl Enrolment {
    /// Eight letters and digits: `k3f9x2m1`.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 8
            && text
                .bytes()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
        fits.then(|| Self(text.to_owned()))
    }

    /// A new one, from random bytes.
    pub fn draw(random: [u8; 8]) -> Self {
        let letters = b"abcdefghijkmnpqrstuvwxyz23456789";
        let letter = |byte: u8| char::from(letters[usize::from(byte) % letters.len()]);
        Self(random.into_iter().map(letter).collect())
    }

    /// As it stands in people.yaml.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a key is applied to, for the secret of this enrolment.
    pub fn label(&self, person: &PersonId) -> String {
        format!("midwatch second factor\n{person}\n{}", self.0)
    }
}

impl SharedSecret {
    /// Of 32 bytes that only the installation can make.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes[..20].to_vec())
    }

    fn totp(&self, person: &PersonId) -> Totp {
        let app = Builder::new()
            .with_secret(Secret::from(self.0.as_slice()))
            .with_issuer(Some("midwatch"))
            .with_account_name(person.as_str());
        app.build()
            .expect("20 bytes, the standard's six digits, and names without a colon")
    }

    /// What an authenticator app reads, as a QR code or typed. Secret.
    pub fn address(&self, person: &PersonId) -> String {
        let address = self.totp(person).to_url();
        address.expect("the account has a name")
    }

    /// For whoever types it into their app: base32. Secret.
    pub fn typed(&self) -> String {
        Secret::from(self.0.as_slice()).to_base32()
    }

    /// The step whose code this is, if it is that of now, or of one step before or after.
    pub fn step_of(&self, person: &PersonId, code: &str, now: Timestamp) -> Option<i64> {
        let seconds = u64::try_from(now.as_second()).ok()?;
        let step = self.totp(person).check(code, seconds)?;
        i64::try_from(step).ok()
    }
}

/// Parts what was typed from the code in it: the last word that stands outside quotes and begins with `otp=`.
///
/// The code is no part of a command: what was asked for is the same with any code.
pub fn take_code(text: &str) -> (String, Option<String>) {
    let mut quoted = false;
    let mut code = None;
    let mut rest = String::with_capacity(text.len());
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let bare = word.strip_prefix("--").unwrap_or(word);
        let bare = bare
            .strip_prefix(CODE_WORD)
            .and_then(|it| it.strip_prefix('='));
        if let (false, Some(said)) = (quoted, bare) {
            code = Some(said.trim_matches(['"', '\'']).to_owned());
            continue;
        }
        quoted ^= word.matches('"').count() % 2 == 1;
        rest.push_str(piece);
    }
    match code {
        Some(code) => (rest.trim_end().to_owned(), Some(code)),
        None => (rest, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, SHA-1: eight digits there, of which an app shows the last six.
        let mut bytes = [0; 32];
        bytes[..20].copy_from_slice(b"12345678901234567890");
        let secret = SharedSecret::new(bytes);
        let ana = PersonId::parse("ana").unwrap();
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_234_567_890, "005924"),
            (20_000_000_000, "353130"),
        ] {
            let now = Timestamp::from_second(second).unwrap();
            assert_eq!(secret.step_of(&ana, code, now), Some(second / 30));
            let late = Timestamp::from_second(second + 61).unwrap();
            assert_eq!(secret.step_of(&ana, code, late), None);
        }
        let now = Timestamp::from_second(59).unwrap();
        for wrong in ["", "287083", "2870822", "28708", "９９９９９９"] {
            assert_eq!(secret.step_of(&ana, wrong, now), None, "{wrong}");
        }
        assert!(
            secret
                .address(&ana)
                .starts_with("otpauth://totp/midwatch:ana?secret=")
        );
    }

    #[test]
    fn a_code_is_taken_out_of_what_was_typed() {
        let cases = [
            ("wipe prod otp=123456", "wipe prod", Some("123456")),
            ("wipe otp=123456 prod", "wipe prod", Some("123456")),
            ("wipe prod --otp=\"123456\"", "wipe prod", Some("123456")),
            ("wipe prod otp=", "wipe prod", Some("")),
            ("wipe prod", "wipe prod", None),
            (
                "wipe prod reason=\"not otp=123456 at all\"",
                "wipe prod reason=\"not otp=123456 at all\"",
                None,
            ),
        ];
        for (typed, rest, code) in cases {
            assert_eq!(
                take_code(typed),
                (rest.to_owned(), code.map(str::to_owned)),
                "{typed}"
            );
        }
    }
}
