//! How programs and servers write a secret down, and how what they write is cut. Made without the product's help.

use std::fmt::Write as _;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use rand::Rng;
use rand::rngs::StdRng;

use super::secrets::below;

/// A text in which a secret stands, and the part of it that gives the secret away.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) text: String,
    /// Bytes of `text`.
    pub(super) telling: std::ops::Range<usize>,
}

impl Form {
    fn whole(text: String) -> Self {
        Self {
            telling: 0..text.len(),
            text,
        }
    }

    pub(super) fn telling(&self) -> &str {
        &self.text[self.telling.clone()]
    }
}

type Encode = fn(&str, &mut StdRng) -> Form;

/// The twelve.
pub(super) const ENCODINGS: [(&str, Encode); 12] = [
    ("as it is", |secret, _| Form::whole(secret.to_owned())),
    ("base64", |secret, random| {
        let text = BASE64.encode(secret.as_bytes());
        let variants = [
            text.clone(),
            text.replace('/', "\\/"),
            wrapped(&text, 64),
            wrapped(&text, 76),
        ];
        one_of(&variants, random)
    }),
    ("base64 for URLs", |secret, random| {
        let variants = [
            BASE64URL.encode(secret.as_bytes()),
            BASE64URL_NOPAD.encode(secret.as_bytes()),
            percent(&BASE64.encode(secret.as_bytes()), "-._~"),
        ];
        one_of(&variants, random)
    }),
    ("base64 of more", |secret, random| {
        let before = "user:".repeat(below(4, random)) + &"x".repeat(below(4, random));
        let after = "\n".repeat(below(4, random)) + &"y".repeat(below(20, random));
        within_base64(&before, secret, &after)
    }),
    ("base64 of base64", |secret, random| {
        let inner = if random.random_bool(0.5) {
            BASE64.encode(secret.as_bytes())
        } else {
            BASE64_NOPAD.encode(secret.as_bytes())
        };
        let known = inner.trim_end_matches('=').to_owned();
        let padding = &inner[known.len()..];
        within_base64(&"z".repeat(below(3, random)), &known, padding)
    }),
    ("hexadecimal", |secret, random| {
        one_of(
            &[
                HEXLOWER.encode(secret.as_bytes()),
                HEXUPPER.encode(secret.as_bytes()),
            ],
            random,
        )
    }),
    ("percent signs", |secret, random| {
        let upper = percent(secret, "-._~");
        let everything = percent(secret, "\0");
        let component = percent(secret, "-_.!~*'()");
        let twice = percent(&upper, "-._~");
        let lower = lower_percent(&component);
        one_of(&[upper, everything, component, twice, lower], random)
    }),
    ("a form", |secret, random| {
        let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let nested = percent(&form, "-._~");
        one_of(&[form, nested], random)
    }),
    ("JSON", |secret, random| {
        let json = inner_json(secret);
        let html_safe = json
            .replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003e");
        one_of(
            &[
                json.clone(),
                inner_json(&json),
                json.replace('/', "\\/"),
                html_safe,
                format!("{secret:?}")[1..].to_owned(),
            ],
            random,
        )
    }),
    ("JSON in ASCII", |secret, _| {
        let mut ascii = String::new();
        for unit in inner_json(secret).encode_utf16() {
            match u8::try_from(unit).ok().filter(u8::is_ascii) {
                Some(byte) => ascii.push(byte.into()),
                None => write!(ascii, "\\u{unit:04x}").expect("it fits"),
            }
        }
        Form::whole(ascii)
    }),
    ("HTML", |secret, random| {
        let html = secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let quoted = html.replace('"', "&quot;");
        one_of(
            &[
                html,
                quoted.replace('\'', "&#39;"),
                quoted.replace('\'', "&#x27;"),
                quoted.replace('\'', "&apos;"),
            ],
            random,
        )
    }),
    ("a shell's quotes", |secret, random| {
        let single = secret.replace('\'', "'\\''");
        let other = secret.replace('\'', "'\"'\"'");
        let double: String = secret
            .chars()
            .flat_map(|c| {
                if "\"\\$`".contains(c) {
                    vec!['\\', c]
                } else {
                    vec![c]
                }
            })
            .collect();
        one_of(&[single, other, double], random)
    }),
];

/// How a text is cut into chunks.
pub(super) const CUTS: [&str; 5] = [
    "whole",
    "in two",
    "byte by byte",
    "in pieces",
    "in lines and colours",
];

/// The chunks of `before`, the form and `after`, cut in this way.
pub(super) fn cut(way: usize, form: &Form, random: &mut StdRng) -> Vec<Vec<u8>> {
    let mut text = form.text.clone();
    if way == 4 {
        text = broken(form, random);
    }
    let bytes = text.as_bytes();
    let mut at: Vec<usize> = match way {
        0 => Vec::new(),
        1 => vec![below(bytes.len(), random)],
        2 => (1..bytes.len()).collect(),
        _ => (0..=below(6, random))
            .map(|_| below(bytes.len(), random))
            .collect(),
    };
    at.sort_unstable();
    at.dedup();
    let ends = at.iter().copied().chain([bytes.len()]);
    let begins = std::iter::once(0).chain(at.iter().copied());
    begins
        .zip(ends)
        .map(|(begin, end)| bytes[begin..end].to_vec())
        .collect()
}

/// With line breaks, indentation and colours in it: a terminal's width, a box around it, a highlighted match.
///
/// Not within its first bytes, and not beside a blank: a break that stands for a blank has changed the secret.
fn broken(form: &Form, random: &mut StdRng) -> String {
    let mut text = String::new();
    let mut before = ' ';
    for (at, c) in form.text.char_indices() {
        let inside = form.telling.contains(&at) && at >= form.telling.start + 8;
        let fits = inside && !c.is_whitespace() && !before.is_whitespace();
        if fits && random.random_bool(0.12) {
            let breaks = [
                "\n",
                "\r\n",
                "\n  ",
                "\n\t",
                "\u{1b}[1;31m",
                "\u{1b}[0m",
                "\u{200b}",
                "\u{1b}]0;x\u{7}",
            ];
            text.push_str(breaks[below(breaks.len(), random)]);
        }
        text.push(c);
        before = c;
    }
    text
}

fn one_of(variants: &[String], random: &mut StdRng) -> Form {
    Form::whole(variants[below(variants.len(), random)].clone())
}

/// Base64 of all three together. The characters at the seams belong to the neighbours as well.
fn within_base64(before: &str, secret: &str, after: &str) -> Form {
    let text = BASE64.encode([before, secret, after].concat().as_bytes());
    let begin = (before.len() * 8).div_ceil(6);
    let end = (before.len() + secret.len()) * 8 / 6;
    Form {
        text,
        telling: begin..end,
    }
}

fn wrapped(text: &str, width: usize) -> String {
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(width)
        .map(|line| std::str::from_utf8(line).expect("it is ASCII"))
        .collect();
    lines.join("\n")
}

/// `kept` beside letters and digits; with a NUL byte in it, nothing is kept.
fn percent(text: &str, kept: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if !kept.contains('\0') && (c.is_ascii_alphanumeric() || kept.contains(c)) {
            encoded.push(c);
        } else {
            write!(encoded, "%{byte:02X}").expect("it fits");
        }
    }
    encoded
}

fn lower_percent(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(2);
        write!(lower, "%{}{rest}", code.to_lowercase()).expect("it fits");
    }
    lower
}

fn inner_json(text: &str) -> String {
    let quoted = serde_json::json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
