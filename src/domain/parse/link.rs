//! `link discord ACCOUNT`, `link CODE`, `unlink discord ACCOUNT`: accounts of one person. A code is never repeated.

use super::echo;
use super::questions::{Question, bad};
use super::words::Word;
use crate::domain::{Account, LinkCode, Platform, Refusal};

const LINK: &str = "link discord 80351110224678912";
const UNLINK: &str = "unlink discord 80351110224678912";

/// Reads what follows `link`.
pub(super) fn link(rest: &[Word]) -> Result<Question, Refusal> {
    match rest {
        [] => Err(bad(
            "`link` needs the platform and the id of your account there; then the code that it is sent",
            LINK.to_owned(),
        )),
        [one] if platform(one).is_none() => match LinkCode::parse(&one.text) {
            Some(code) => Ok(Question::ConfirmLink { code }),
            // It may be a code with a slip in it: others must not read it.
            None => Err(bad(
                "that is neither a platform nor a code; a code has 8 letters and digits, and none of I, L, O, 0 and 1",
                LINK.to_owned(),
            )),
        },
        rest => account(rest, "link", LINK).map(|account| Question::Link { account }),
    }
}

/// Reads what follows `unlink`.
pub(super) fn unlink(rest: &[Word]) -> Result<Question, Refusal> {
    account(rest, "unlink", UNLINK).map(|account| Question::Unlink { account })
}

fn account(rest: &[Word], word: &str, example: &str) -> Result<Account, Refusal> {
    let bad = |what: &str| Err(bad(what, example.to_owned()));
    let Some((first, rest)) = rest.split_first() else {
        return bad(&format!(
            "`{word}` needs the platform and the id of your account there"
        ));
    };
    let Some(platform) = platform(first) else {
        return bad(&format!("`{word}` knows the platforms slack and discord"));
    };
    match (platform, rest) {
        (Platform::Console | Platform::Api, _) => bad(
            "an account of the console can't be linked: whoever keeps people.yaml adds it with `login:`",
        ),
        (_, []) => bad(&format!(
            "`{word} {platform}` needs the id of your account there"
        )),
        (_, [id]) => match Account::parse(platform, &id.text) {
            Some(account) => Ok(account),
            None => bad(&match platform {
                Platform::Slack => format!(
                    "`{}` is not the id of a Slack account; your profile shows it: U0123ABCD",
                    echo(&id.text)
                ),
                Platform::Discord | Platform::Console | Platform::Api => format!(
                    "`{}` is not the id of a Discord account; Copy User ID gives it in developer mode, a long number",
                    echo(&id.text)
                ),
            }),
        },
        (_, [_, extra, ..]) => bad(&format!(
            "`{word} {platform}` takes one account and nothing after it, not `{}`",
            echo(&extra.text)
        )),
    }
}

fn platform(word: &Word) -> Option<Platform> {
    let known = Platform::parse(&word.text.to_ascii_lowercase());
    // Nobody has an account there: a token speaks for whom it was made for.
    known.filter(|platform| *platform != Platform::Api)
}
