//! Takes secrets out of text, in the encodings in which programs and servers give them back.
//!
//! Streaming: however the text is cut into chunks, the result is the same. Line breaks, the indentation after them and
//! backslashes are looked through, so that a key printed line by line, wrapped base64 and what was quoted are found too.

mod bare;
mod encodings;

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use bare::Bare;
use encodings::encodings;

/// Stands where a secret stood.
pub const REDACTED: &str = "[redacted]";
/// Shorter secrets, in bytes, can't be told from ordinary text.
pub const SHORTEST_SECRET: usize = 4;

/// Where a line break stands in the first bytes of a secret, they are shown by then: else each line's end would have to
/// wait for more.
const UNBROKEN: usize = SHORTEST_SECRET;
/// A text that breaks off within a secret, as the output of a program that is killed, gives away less than this.
const SHORTEST_BEGINNING: usize = 8;

/// Bytes of a secret by which it can be recognised: blanks around it, line breaks and backslashes don't count.
pub fn recognisable_length(secret: &str) -> usize {
    needle(secret).len()
}

/// What is looked for: bare, and without blanks at its ends, since whether a blank before it is indentation depends on
/// text that is gone by then.
fn needle(form: &str) -> String {
    Bare::of(form).text.trim().to_owned()
}

/// Also without a first letter that would be taken for a quoted line break or tab behind a backslash.
fn and_its_rest(needle: String) -> impl Iterator<Item = String> {
    let rest = needle.strip_prefix(['n', 'r', 't']).map(str::trim_start);
    let rest = rest.filter(|rest| rest.len() >= SHORTEST_BEGINNING);
    let rest = rest.map(str::to_owned);
    std::iter::once(needle).chain(rest)
}

/// What to look for. Build once, use for many texts.
#[derive(Clone)]
pub struct Redactor {
    search: AhoCorasick,
    /// Sorted and bare.
    needles: Vec<String>,
    /// Whether a needle may begin with four bytes of this hash.
    begins: Vec<bool>,
    longest: usize,
}

impl Redactor {
    /// Looks for these secrets and their encodings.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let needles: BTreeSet<String> = secrets
            .into_iter()
            .flat_map(encodings)
            .map(|form| needle(&form))
            .flat_map(and_its_rest)
            .filter(|needle| needle.len() >= SHORTEST_SECRET)
            .collect();
        let mut begins = vec![false; HASHES];
        for first in needles.iter().filter_map(|it| it.as_bytes().first_chunk()) {
            begins[hash(first)] = true;
        }
        // Small and quick to build; the default would spend a hundred times the memory on long keys.
        let search = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&needles)
            .expect("the needles are far below the four billion states that fit");
        Self {
            search,
            begins,
            longest: needles.iter().map(String::len).max().unwrap_or(0),
            needles: needles.into_iter().collect(),
        }
    }

    /// Redacts a whole text.
    pub fn redact(&self, text: &str) -> String {
        let mut stream = Redaction::default();
        let mut redacted = stream.push(self, text);
        redacted.push_str(&stream.finish(self));
        redacted
    }

    /// Bytes of the longest thing looked for.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Where the first secret could begin that needs more text to be complete; the text's length when there is none.
    fn open_from(&self, bare: &Bare) -> usize {
        let bytes = bare.text.as_bytes();
        let from = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        (from..bytes.len())
            .find(|&at| self.begins_needle(&bytes[at..]) && bare.taken_from(at) < bytes.len())
            .unwrap_or(bytes.len())
    }

    /// Whether a needle begins with these bytes and goes on.
    fn begins_needle(&self, bytes: &[u8]) -> bool {
        if bytes
            .first_chunk()
            .is_some_and(|first| !self.begins[hash(first)])
        {
            return false;
        }
        let at = self
            .needles
            .partition_point(|needle| needle.as_bytes() <= bytes);
        self.needles
            .get(at)
            .is_some_and(|needle| needle.as_bytes().starts_with(bytes))
    }
}

/// How many hashes of a needle's beginning there are.
const HASHES: usize = 1 << 16;

fn hash(first: &[u8; UNBROKEN]) -> usize {
    // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4).
    (u32::from_le_bytes(*first).wrapping_mul(2_654_435_769) >> 16) as usize
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} needles)", self.needles.len())
    }
}

/// A text that is redacted chunk by chunk.
#[derive(Debug, Default)]
pub struct Redaction {
    /// What was shown already and may be the first bytes of a secret that goes on in the next line; then what may be
    /// the beginning of a secret, or belongs to one that may go on.
    held: String,
    /// Bytes of `held` that were shown.
    shown: usize,
    /// Bytes behind them that were redacted already: a secret that overlaps them needs no mark of its own.
    covered: usize,
}

impl Redaction {
    /// The next chunk, redacted, as far as it can be told; the rest comes with the next chunk or at the end.
    pub fn push(&mut self, redactor: &Redactor, chunk: &str) -> String {
        self.held.push_str(chunk);
        self.release(redactor, false)
    }

    /// What was held back.
    pub fn finish(&mut self, redactor: &Redactor) -> String {
        self.release(redactor, true)
    }

    fn release(&mut self, redactor: &Redactor, last: bool) -> String {
        let bare = Bare::of(&self.held);
        let mut parts = self.parts(redactor, &bare);
        let begun = redactor.open_from(&bare);
        let kept = bare.taken_from(begun);
        let mut open = bare.raw(kept);
        if last {
            if bare.text.len() - begun >= SHORTEST_BEGINNING {
                join(&mut parts, open..self.held.len());
            }
            open = self.held.len();
        }
        let covered_until = self.shown + self.covered;
        let mut released = String::with_capacity(open);
        let mut at = self.shown;
        for part in parts {
            if part.start >= open && part.start >= covered_until {
                break;
            }
            if part.start >= at {
                released.push_str(&self.held[at..part.start]);
            }
            if part.start > self.shown || self.covered == 0 {
                released.push_str(REDACTED);
            }
            at = part.end;
        }
        if at < open {
            released.push_str(&self.held[at..open]);
        }
        self.covered = at.saturating_sub(open);
        self.held.drain(..open);
        self.shown = 0;
        if bare.is_broken_before(kept) && !last {
            self.remember(&bare.text[..kept]);
        }
        released
    }

    /// Puts the last bytes before a line break where the secret that may begin with them will be looked for.
    fn remember(&mut self, before: &str) {
        let first = before.ceil_char_boundary((before.len() + 1).saturating_sub(UNBROKEN));
        let beginning = format!("{}\n", &before[first..]);
        self.shown = beginning.len();
        self.held.insert_str(0, &beginning);
    }

    /// Where secrets stand in `held`, overlapping ones joined, in order; what was covered before comes first.
    fn parts(&self, redactor: &Redactor, bare: &Bare) -> Vec<Range<usize>> {
        let mut joined = Vec::new();
        if self.covered > 0 {
            joined.push(self.shown..self.shown + self.covered);
        }
        for found in redactor.search.find_overlapping_iter(&bare.text) {
            let start = bare.raw(bare.taken_from(found.start()));
            join(&mut joined, start..bare.raw_end(found.end()));
        }
        joined
    }
}

/// Adds a part that ends no earlier than those before it, joined with those that it overlaps.
fn join(parts: &mut Vec<Range<usize>>, mut part: Range<usize>) {
    while let Some(earlier) = parts.pop_if(|earlier| part.start < earlier.end) {
        part.start = part.start.min(earlier.start);
    }
    parts.push(part);
}

#[cfg(test)]
mod tests;
