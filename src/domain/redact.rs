//! Takes secrets out of text, in the encodings in which programs and servers give them back.
//!
//! Streaming: however the text is cut into chunks, the result is the same. Line breaks and the indentation after them are
//! looked through, so that a key printed line by line or wrapped base64 is found too.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::token::is_token_digit;
use super::{ControlFilter, TOKEN_LENGTH, TOKEN_PREFIX};
use crate::planted;

/// Stands where a secret stood.
pub const REDACTED: &str = "[redacted]";
/// Shorter secrets, in bytes, can't be told from ordinary text.
pub const SHORTEST_SECRET: usize = 4;

/// A match may be broken over lines, but not within its first bytes: else each line's end would have to wait for more.
const UNBROKEN: usize = SHORTEST_SECRET;
/// Lines of a secret of several lines count as secrets of their own from this length on.
const SHORTEST_LINE: usize = 8;
/// What remains of base64 after a line break counts from this length on.
const SHORTEST_REST: usize = 6;
/// A text that breaks off within a secret, as the output of a program that is killed, gives away less than this.
const SHORTEST_BEGINNING: usize = 8;

/// What to look for: these secrets, and whatever looks like a token of our own. Build once, use for many texts.
#[derive(Clone)]
pub struct Redactor {
    search: AhoCorasick,
    /// Sorted and without line breaks.
    needles: Vec<String>,
    /// Whether a needle begins with this byte.
    begins: [bool; 256],
    longest: usize,
}

impl Redactor {
    /// Looks for these secrets and their encodings.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let needles: BTreeSet<String> = secrets
            .into_iter()
            .flat_map(encodings)
            // Without blanks at its ends: whether a blank before it is indentation depends on text that is gone by then.
            .map(|needle| Unbroken::of(needle.trim()).text)
            .filter(|needle| needle.len() >= SHORTEST_SECRET)
            .collect();
        let mut begins = [false; 256];
        for needle in &needles {
            begins[usize::from(needle.as_bytes()[0])] = true;
        }
        // Small and quick to build; the default would spend a hundred times the memory on long keys.
        let search = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&needles)
            .expect("the needles are far below the four billion states that fit");
        Self {
            search,
            begins,
            longest: needles
                .iter()
                .map(String::len)
                .max()
                .unwrap_or(0)
                .max(TOKEN_LENGTH),
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

    /// Where the first match could begin that needs more text to be complete; the text's length when there is none.
    fn open_from(&self, text: &Unbroken, raw_length: usize) -> usize {
        let bytes = text.text.as_bytes();
        if planted::is("cut-secret-shown") {
            return bytes.len();
        }
        let from = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        (from..bytes.len())
            .find(|&at| {
                let begins = begins_token(&bytes[at..])
                    || (self.begins[usize::from(bytes[at])] && self.begins_needle(&bytes[at..]));
                begins && text.unbroken(at, raw_length)
            })
            .unwrap_or(bytes.len())
    }

    /// Whether a needle begins with these bytes and goes on.
    fn begins_needle(&self, bytes: &[u8]) -> bool {
        let at = self
            .needles
            .partition_point(|needle| needle.as_bytes() <= bytes);
        self.needles
            .get(at)
            .is_some_and(|needle| needle.as_bytes().starts_with(bytes))
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} needles)", self.needles.len())
    }
}

/// A text that is redacted chunk by chunk.
#[derive(Debug, Default)]
pub struct Redaction {
    /// What may be the beginning of a secret, or belongs to one that may go on.
    held: String,
    /// Bytes of `held` that were redacted already: a secret that overlaps them needs no mark of its own.
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
        let text = Unbroken::of(&self.held);
        let begun = redactor.open_from(&text, self.held.len());
        let mut matches = self.matches(redactor, &text);
        let mut open = text.raw(begun, self.held.len());
        if last {
            if text.text.len() - begun >= SHORTEST_BEGINNING {
                join(&mut matches, open, self.held.len());
            }
            open = self.held.len();
        }
        let mut released = String::with_capacity(open);
        let mut at = 0;
        for (start, end) in matches {
            if start >= open && start >= self.covered {
                break;
            }
            if start >= at {
                released.push_str(&self.held[at..start]);
            }
            if start > 0 || self.covered == 0 {
                released.push_str(REDACTED);
            }
            at = end;
        }
        if at < open {
            released.push_str(&self.held[at..open]);
        }
        self.covered = at.saturating_sub(open);
        self.held.drain(..open);
        released
    }

    /// Where secrets stand in `held`, overlapping ones joined, in order; what was covered before comes first.
    fn matches(&self, redactor: &Redactor, text: &Unbroken) -> Vec<(usize, usize)> {
        let raw_length = self.held.len();
        let mut joined: Vec<(usize, usize)> = Vec::new();
        if self.covered > 0 {
            joined.push((0, self.covered));
        }
        let needles = redactor.search.find_overlapping_iter(&text.text);
        let mut found: Vec<(usize, usize)> = needles.map(|it| (it.start(), it.end())).collect();
        found.extend(tokens_in(&text.text));
        // In order of their ends, as the search gives them: what is joined needs that.
        found.sort_by_key(|(_, end)| *end);
        for (start, end) in found {
            if !text.unbroken(start, raw_length) {
                continue;
            }
            // The needle's last byte, and not the next one's place: line breaks after a match stay.
            let end = text.raw(end - 1, raw_length) + 1;
            join(&mut joined, text.raw(start, raw_length), end);
        }
        joined
    }
}

/// Where tokens of our own stand, whether they count or not.
fn tokens_in(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    text.match_indices(TOKEN_PREFIX).filter_map(|(at, _)| {
        let token = text.as_bytes().get(at..at + TOKEN_LENGTH)?;
        let digits = token[TOKEN_PREFIX.len()..].iter();
        digits
            .copied()
            .all(is_token_digit)
            .then_some((at, at + TOKEN_LENGTH))
    })
}

/// Whether a token begins with these bytes and goes on.
fn begins_token(bytes: &[u8]) -> bool {
    let (prefix, digits) = bytes.split_at(bytes.len().min(TOKEN_PREFIX.len()));
    bytes.len() < TOKEN_LENGTH
        && TOKEN_PREFIX.as_bytes().starts_with(prefix)
        && digits.iter().copied().all(is_token_digit)
}

/// Adds a part that ends no earlier than those before it, joined with those that it overlaps.
fn join(parts: &mut Vec<(usize, usize)>, mut start: usize, end: usize) {
    while let Some(&(earlier, _)) = parts.last().filter(|(_, until)| start < *until) {
        start = start.min(earlier);
        parts.pop();
    }
    parts.push((start, end));
}

/// A text without its line breaks and the indentation after them, and where each byte of it stood.
struct Unbroken {
    text: String,
    /// Empty when nothing was left out.
    places: Vec<usize>,
}

impl Unbroken {
    fn of(raw: &str) -> Self {
        if !raw.contains(['\n', '\r']) {
            return Self {
                text: raw.to_owned(),
                places: Vec::new(),
            };
        }
        let mut text = String::with_capacity(raw.len());
        let mut places = Vec::with_capacity(raw.len());
        let mut line_begins = false;
        for (at, c) in raw.char_indices() {
            match c {
                '\n' | '\r' => line_begins = true,
                ' ' | '\t' if line_begins => {}
                _ => {
                    line_begins = false;
                    text.push(c);
                    places.extend(at..at + c.len_utf8());
                }
            }
        }
        Self { text, places }
    }

    /// Where the byte stands in the raw text.
    fn raw(&self, at: usize, raw_length: usize) -> usize {
        if at >= self.text.len() {
            raw_length
        } else {
            self.places.get(at).copied().unwrap_or(at)
        }
    }

    /// Whether no line break stands in the first bytes of what begins here, nor at the text's end among them.
    fn unbroken(&self, at: usize, raw_length: usize) -> bool {
        let last = at + UNBROKEN - 1;
        let (last, expected) = if last < self.text.len() {
            (last, UNBROKEN - 1)
        } else {
            (self.text.len(), self.text.len() - at)
        };
        self.raw(last, raw_length) - self.raw(at, raw_length) == expected
    }
}

/// The secret in all the forms in which it may turn up.
fn encodings(secret: &str) -> Vec<String> {
    let cleaned = ControlFilter::default().push(secret);
    let mut forms = Vec::new();
    for text in [secret, secret.trim(), &cleaned] {
        if text.trim().len() >= SHORTEST_SECRET {
            forms.extend(plain_forms(text));
            forms.extend(base64_forms(text.as_bytes()));
            forms.extend(folded_base64(text.as_bytes()));
            // Twice: what was encoded before it was given to a system that encodes.
            forms.extend(base64_forms(
                BASE64_NOPAD.encode(text.as_bytes()).as_bytes(),
            ));
            forms.push(HEXLOWER.encode(text.as_bytes()));
            forms.push(HEXUPPER.encode(text.as_bytes()));
        }
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// As text: as it is, line by line, and quoted for URLs, JSON, shells and HTML.
fn plain_forms(text: &str) -> Vec<String> {
    let json = json_escaped(text);
    let html = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut forms = vec![
        text.to_owned(),
        json_escaped(&json),
        json.replace('/', "\\/"),
        json_ascii(&json),
        json.replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003e"),
        // As .NET writes it.
        json_ascii(
            &json
                .replace("\\\"", "\\u0022")
                .replace('\'', "\\u0027")
                .replace('&', "\\u0026")
                .replace('<', "\\u003C")
                .replace('>', "\\u003E")
                .replace('+', "\\u002B")
                .replace('`', "\\u0060"),
        ),
        json,
        text.escape_debug().to_string(),
        text.replace('\'', "'\\''"),
        text.replace('\'', "'\"'\"'"),
        backslashed(text, |c| matches!(c, '"' | '\\' | '$' | '`')),
        backslashed(text, |c| {
            c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_./:@%+,=".contains(c)
        }),
        backslashed(text, |c| {
            c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_./".contains(c)
        }),
        html.replace('"', "&quot;").replace('\'', "&#39;"),
        html.replace('"', "&#34;").replace('\'', "&#39;"),
        html.replace('"', "&quot;").replace('\'', "&#x27;"),
        html.replace('"', "&quot;").replace('\'', "&apos;"),
        html,
    ];
    // Everything, RFC 3986, HTML forms, `encodeURIComponent`, a path segment, a whole URL; then as the URL standard writes
    // what it is given: user information, path, fragment, query; `encodeURIComponent` in a query.
    for kept in [
        "",
        "-._~",
        "*-._",
        "-_.!~*'()",
        "-._~!$&'()*+,;=:@",
        "-._~!$&'()*+,;=:@/?#",
        "!$%&'()*+,-._~",
        "!$%&'()*+,-./:;=@[\\]_|~",
        "!$%&'()*+,-./:;=@[\\]^_|~",
        "!#$%&'()*+,-./:;=?@[\\]^_{|}~",
        "!$%&()*+,-./:;=?@[\\]^_`{|}~",
        "!$%&'()*+,-./:;=?@[\\]^_`{|}~",
        "-_.!~*()",
    ] {
        let encoded = percent_encoded(text, kept, !kept.is_empty());
        let form = encoded.replace("%20", "+");
        forms.push(lower_percent(&encoded));
        forms.push(lower_percent(&encoded).replace("%20", "+"));
        for once in [form, encoded] {
            // In an address within an address.
            forms.push(percent_encoded(&once, "-._~", true));
            forms.push(percent_encoded(&once, "-_.!~*'()", true));
            forms.push(once);
        }
    }
    if text.contains('\n') {
        // Each line in all forms too: once a line of it has been taken out, the whole is not found any more.
        let lines = text.lines().map(str::trim);
        forms.extend(
            lines
                .filter(|line| line.len() >= SHORTEST_LINE)
                .flat_map(plain_forms),
        );
    }
    forms
}

/// In base64, wherever it begins within a longer encoded text: without the characters that its neighbours decide. Also
/// without its first characters, because encoders break lines there too, and such a match is not looked through.
fn base64_forms(bytes: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for shift in 0..3 {
        let shifted = [&[0; 2][..shift], bytes].concat();
        let (begin, end) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
            let form = &encoding.encode(&shifted)[begin..end];
            forms.push(form.to_owned());
            // In a URL, and in JSON as PHP writes it.
            forms.push(percent_encoded(form, "-_", true));
            forms.push(form.replace('/', "\\/"));
            let rests = (1..UNBROKEN).filter_map(|left_out| form.get(left_out..));
            forms.extend(
                rests
                    .filter(|rest| rest.len() >= SHORTEST_REST)
                    .map(str::to_owned),
            );
        }
    }
    forms
}

/// In base64 as encoders wrap it, where the line breaks have become blanks: in a header, in one line of a log.
fn folded_base64(bytes: &[u8]) -> [String; 2] {
    [64, 76].map(|width| {
        let mut folded = String::new();
        for (at, c) in BASE64_NOPAD.encode(bytes).char_indices() {
            if at > 0 && at % width == 0 {
                folded.push(' ');
            }
            folded.push(c);
        }
        folded
    })
}

fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// With `\u` and four digits for each unit that is not ASCII, as Python writes it.
fn json_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(ascii, "\\u{unit:04x}"); // writing into a String can't fail
            }
        }
    }
    ascii
}

fn backslashed(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn percent_encoded(text: &str, kept: &str, keep_letters: bool) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        let c = char::from(byte);
        if (keep_letters && c.is_ascii_alphanumeric()) || kept.contains(c) {
            encoded.push(c);
        } else {
            let _ = write!(encoded, "%{byte:02X}"); // writing into a String can't fail
        }
    }
    encoded
}

/// `%2F` as `%2f`.
fn lower_percent(encoded: &str) -> String {
    let mut left = 0_u8;
    let lower = |c: char| {
        left = if c == '%' { 3 } else { left };
        let in_escape = left > 0;
        left = left.saturating_sub(1);
        if in_escape { c.to_ascii_lowercase() } else { c }
    };
    encoded.chars().map(lower).collect()
}

#[cfg(test)]
mod tests;
