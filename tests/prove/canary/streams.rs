//! Every secret × every encoding × every cut, through what an output goes through on its way to people.

use midwatch::domain::{ControlFilter, Lines, REDACTED, Redaction, Redactor};
use rand::rngs::StdRng;

use super::encodings::{CUTS, ENCODINGS, cut};
use super::secrets::Secret;
use super::sieve::Sieve;

/// Stand before and after each, and must stay.
const MARKS: [&str; 2] = ["begin(", ")end"];

pub(super) fn prove(secrets: &[Secret], random: &mut StdRng) -> String {
    let redactor = Redactor::new(secrets.iter().map(|secret| secret.value.as_str()));
    let sieve = Sieve::new(secrets);
    let mut count = 0;
    for secret in secrets {
        for (encoding, encode) in ENCODINGS {
            for (way, name) in CUTS.iter().enumerate() {
                let form = encode(&secret.value, random);
                let mut chunks = cut(way, &form, random);
                chunks.insert(0, MARKS[0].as_bytes().to_vec());
                chunks.push(MARKS[1].as_bytes().to_vec());
                let shown = shown(&redactor, &chunks);
                let place = format!(
                    "the stream of {} {encoding}, {name}, written {:?}",
                    secret.name, form.text
                );
                sieve.check(&place, shown.as_bytes());
                let kept = shown.starts_with(MARKS[0])
                    && shown.ends_with(MARKS[1])
                    && shown.contains(REDACTED);
                assert!(
                    kept,
                    "more than the secret was taken out of {place}: {shown:?}"
                );
                count += 1;
            }
        }
    }
    format!(
        "{} secrets × {} encodings × {} cuts = {count} streams",
        secrets.len(),
        ENCODINGS.len(),
        CUTS.len()
    )
}

fn shown(redactor: &Redactor, chunks: &[Vec<u8>]) -> String {
    let (mut controls, mut redaction, mut lines) = (
        ControlFilter::default(),
        Redaction::default(),
        Lines::default(),
    );
    let mut shown = String::new();
    // Characters that are cut in two are put together by whoever decodes.
    let mut begun: Vec<u8> = Vec::new();
    for chunk in chunks {
        begun.extend_from_slice(chunk);
        let whole = match std::str::from_utf8(&begun) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text: Vec<u8> = begun.drain(..whole).collect();
        let text = String::from_utf8(text).expect("as far as it is text");
        shown.push_str(&lines.push(&redaction.push(redactor, &controls.push(&text))));
    }
    shown.push_str(&lines.push(&redaction.finish(redactor)));
    shown + &lines.finish()
}
