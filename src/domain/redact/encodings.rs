//! The forms in which programs and servers give a secret back. Bare, as [`super::bare`] says: what only adds backslashes or
//! line breaks, as JSON, shells and wrapping do, needs no form of its own.

use std::fmt::Write as _;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::SHORTEST_SECRET;
use crate::domain::ControlFilter;

/// Lines of a secret of several lines count as secrets of their own from this length on.
const SHORTEST_LINE: usize = 8;
/// A secret of more words than this is no passphrase that somebody wraps.
const WORDS: usize = 16;

/// The secret in all the forms in which it may turn up.
pub(super) fn encodings(secret: &str) -> Vec<String> {
    let cleaned = ControlFilter::default().push(secret);
    let mut forms = Vec::new();
    for text in [secret, secret.trim(), &cleaned] {
        if text.trim().len() >= SHORTEST_SECRET {
            forms.extend(plain_forms(text));
            forms.extend(base64_forms(text.as_bytes()));
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
    // As .NET writes it.
    let dot_net = json
        .replace("\\\"", "\\u0022")
        .replace('\'', "\\u0027")
        .replace('&', "\\u0026")
        .replace('<', "\\u003C")
        .replace('>', "\\u003E")
        .replace('+', "\\u002B")
        .replace('`', "\\u0060");
    let mut forms = vec![
        text.to_owned(),
        json_ascii(&json, lower_unit),
        json_ascii(&json, upper_unit),
        json.replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003e"),
        json_ascii(&dot_net, lower_unit),
        json_ascii(&dot_net, upper_unit),
        json,
        text.escape_debug().to_string(),
        text.replace('\'', "'\\''"),
        text.replace('\'', "'\"'\"'"),
        html.replace('"', "&quot;").replace('\'', "&#39;"),
        html.replace('"', "&#34;").replace('\'', "&#39;"),
        html.replace('"', "&quot;").replace('\'', "&#x27;"),
        html.replace('"', "&quot;").replace('\'', "&apos;"),
        html,
    ];
    forms.extend(percent_forms(text));
    if text.contains('\n') {
        // As a shell prints it that was not told to keep its lines.
        forms.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
    } else if text.split(' ').count() <= WORDS {
        // A line that is broken between two words has no blank there.
        let blanks = text.match_indices(' ');
        forms.extend(blanks.map(|(at, _)| [&text[..at], &text[at + 1..]].concat()));
    }
    let lines = text.replace("\\n", "\n");
    let lines = lines.lines().map(str::trim);
    forms.extend(
        lines
            .filter(|line| line.len() >= SHORTEST_LINE)
            .map(str::to_owned),
    );
    forms
}

/// With percent signs: everything, RFC 3986, HTML forms, `encodeURIComponent`, a path segment, a whole URL; then as the
/// URL standard writes what it is given: user information, path, fragment, query.
fn percent_forms(text: &str) -> Vec<String> {
    let mut forms = Vec::new();
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
    ] {
        let encoded = percent_encoded(text, kept, !kept.is_empty());
        let form = encoded.replace("%20", "+");
        forms.push(lower_percent(&encoded));
        forms.push(lower_percent(&form));
        for once in [form, encoded] {
            // In an address within an address.
            forms.push(percent_encoded(&once, "-._~", true));
            forms.push(percent_encoded(&once, "-_.!~*'()", true));
            forms.push(once);
        }
    }
    forms
}

/// In base64, wherever it begins within a longer encoded text: without the characters that its neighbours decide.
fn base64_forms(bytes: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for shift in 0..3 {
        let shifted = [&[0; 2][..shift], bytes].concat();
        let (begin, end) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
            let form = &encoding.encode(&shifted)[begin..end];
            forms.push(form.to_owned());
            // In a URL.
            forms.push(percent_encoded(form, "-_", true));
        }
    }
    forms
}

fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// With `\uXXXX` for all that is not ASCII, as Python writes it, or Java.
fn json_ascii(json: &str, write_unit: fn(u16) -> String) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            ascii.extend(
                c.encode_utf16(&mut [0; 2])
                    .iter()
                    .map(|unit| write_unit(*unit)),
            );
        }
    }
    ascii
}

fn lower_unit(unit: u16) -> String {
    format!("\\u{unit:04x}")
}

fn upper_unit(unit: u16) -> String {
    format!("\\u{unit:04X}")
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
