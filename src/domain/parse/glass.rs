//! `break-glass flush-cache prod reason="…" phrase="flush-cache prod"`: a deliberate override, said in full.

use super::may;
use super::questions::bad;
use super::words::Word;
use super::{Hearing, Typed, echo};
use crate::domain::{ParameterName, Refusal, quoted};

/// Reads what follows `break-glass`, which is `words[0]`.
pub(super) fn read(words: &[Word], hearing: &Hearing<'_>) -> Result<Typed, Refusal> {
    let is_phrase = |word: &&Word| phrase_of(word).is_some();
    let said = words.iter().find(is_phrase).and_then(phrase_of);
    let rest: Vec<Word> = words
        .iter()
        .filter(|word| !is_phrase(word))
        .cloned()
        .collect();
    let mut invocation = may::asked(&rest, hearing)?;
    let phrase = invocation.phrase();
    let says = format!("break-glass {}", invocation.typed_in_full());
    let example = |reason: &str| format!("{says}{reason} phrase={}", quoted(&phrase));
    let missing: Vec<&str> = [
        ("reason", invocation.reason.is_none()),
        ("phrase", said.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, missing)| missing.then_some(name))
    .collect();
    if !missing.is_empty() {
        let reason = if invocation.reason.is_none() {
            " reason=\"the shop is down\""
        } else {
            ""
        };
        return Err(Refusal::Missing {
            command: invocation.command.clone(),
            parameters: missing.into_iter().map(own_name).collect(),
            example: example(reason),
            says,
        });
    }
    let said = said.unwrap_or_default();
    if !said.trim().eq_ignore_ascii_case(&phrase) {
        let what = format!("the phrase is `{phrase}`, not `{}`", echo(said));
        return Err(bad(&what, example("")));
    }
    invocation.glass = true;
    Ok(Typed::Invoke(*invocation))
}

fn phrase_of(word: &Word) -> Option<&str> {
    let bare = word.text.strip_prefix("--").unwrap_or(&word.text);
    bare.strip_prefix("phrase=")
}

fn own_name(name: &str) -> ParameterName {
    ParameterName::parse(name).expect("both are names")
}
