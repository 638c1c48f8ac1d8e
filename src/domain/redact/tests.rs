//! Tests of redaction: canaries in every encoding, cut anywhere.

use data_encoding::{BASE64, BASE64_MIME, BASE64URL, HEXLOWER, HEXUPPER};
use proptest::prelude::*;

use super::*;

const CANARY: &str = "c@n4ry'<s3cret>&\"x/+ é$\\";
const KEY: &str = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nZmFrZWtleWZha2VrZXlmYWtl\n-----END KEY-----\n";

fn canaries() -> Redactor {
    Redactor::new([CANARY, "hunter2!", KEY])
}

#[test]
fn a_secret_is_found_in_every_form_that_programs_give_back() {
    let redactor = canaries();
    let form: String = url::form_urlencoded::byte_serialize(CANARY.as_bytes()).collect();
    let mut query = url::Url::parse("http://h/").unwrap();
    query.query_pairs_mut().append_pair("token", CANARY);
    for (name, given) in [
        ("as it is", CANARY.to_owned()),
        ("within a word", format!("x{CANARY}y")),
        ("base64", BASE64.encode(CANARY.as_bytes())),
        ("base64 for URLs", BASE64URL.encode(CANARY.as_bytes())),
        ("hexadecimal", HEXLOWER.encode(CANARY.as_bytes())),
        ("capital hexadecimal", HEXUPPER.encode(CANARY.as_bytes())),
        ("form", form.clone()),
        ("query", query.to_string()),
        ("JSON", serde_json::json!({ "a": CANARY }).to_string()),
        (
            "JSON in JSON",
            serde_json::json!(serde_json::json!({ "a": CANARY }).to_string()).to_string(),
        ),
        ("debug", format!("{CANARY:?}")),
        ("shell", format!("'{}'", CANARY.replace('\'', "'\\''"))),
        (
            "HTML",
            "c@n4ry&#39;&lt;s3cret&gt;&amp;&quot;x/+ é$\\".to_owned(),
        ),
        (
            "JSON in ASCII",
            r#"c@n4ry'<s3cret>&\"x/+ \u00e9$\\"#.to_owned(),
        ),
        (
            "JSON of .NET",
            r"c@n4ry\u0027\u003Cs3cret\u003E\u0026\u0022x/\u002B \u00e9$\\".to_owned(),
        ),
        (
            "base64 of base64",
            BASE64.encode(BASE64.encode(CANARY.as_bytes()).as_bytes()),
        ),
        (
            "base64 in a URL",
            BASE64
                .encode(CANARY.as_bytes())
                .replace('/', "%2F")
                .replace('+', "%2B"),
        ),
        (
            "base64 in JSON of PHP",
            BASE64.encode(CANARY.as_bytes()).replace('/', "\\/"),
        ),
        (
            "an address in an address",
            url::form_urlencoded::byte_serialize(form.as_bytes()).collect(),
        ),
    ] {
        let shown = redactor.redact(&format!("before {given} after"));
        assert!(shown.contains(REDACTED), "{name}: {shown}");
        for part in ["n4ry", "s3cret", "NG5hcn", "6e347279", "6E347279"] {
            assert!(!shown.contains(part), "{name}: {shown}");
        }
        assert!(shown.starts_with("before "), "{name}: {shown}");
        assert!(shown.ends_with(" after"), "{name}: {shown}");
    }
}

#[test]
fn base64_of_more_than_the_secret_gives_nothing_away_at_any_offset() {
    let redactor = canaries();
    for offset in 0..80 {
        let text = format!("{}hunter2!{}", "a".repeat(offset), "b".repeat(50));
        for wrapped in [
            BASE64_MIME.encode(text.as_bytes()),
            BASE64.encode(text.as_bytes()),
        ] {
            let shown = redactor.redact(&wrapped);
            let left: String = shown.replace(REDACTED, "").split_whitespace().collect();
            let whole: String = wrapped.split_whitespace().collect();
            // Eight bytes are ten to eleven characters, of which up to three are left at the ends or before a line break.
            assert!(left.len() + 6 <= whole.len(), "{offset}: {shown}");
        }
    }
}

#[test]
fn what_is_not_a_secret_stays() {
    for (name, secrets, given, shown) in [
        ("no secrets", &[][..], "hunter2! abc", "hunter2! abc"),
        ("too short to tell", &["abc"], "abc abcd", "abc abcd"),
        ("blank", &["      "], "a      b", "a      b"),
        ("a beginning only", &["hunter2!"], "hunter2", "hunter2"),
        ("the other case", &["hunter2!"], "HUNTER2!", "HUNTER2!"),
        (
            "twice",
            &["hunter2!"],
            "hunter2!hunter2!",
            "[redacted][redacted]",
        ),
        (
            "a line break after it",
            &["hunter2!"],
            "hunter2!\n\nnext",
            "[redacted]\n\nnext",
        ),
        (
            "a line break early in it",
            &["hunter2!"],
            "hun\nter2!",
            "hun\nter2!",
        ),
        (
            "a line break later in it",
            &["hunter2!"],
            "hunt\n  er2!.",
            "[redacted].",
        ),
        (
            "overlapping",
            &["abcdef", "defghi"],
            "abcdefghi.",
            "[redacted].",
        ),
        (
            "one within another",
            &["abcdef", "bcde"],
            "abcdef bcde",
            "[redacted] [redacted]",
        ),
        ("its own overlap", &["aaaa"], "aaaaaaaaab", "[redacted]b"),
        (
            "blanks around it",
            &[" hunter2!\n"],
            "x hunter2! y",
            "x [redacted] y",
        ),
    ] {
        let redactor = Redactor::new(secrets.iter().copied());
        assert_eq!(redactor.redact(given), shown, "{name}");
    }
}

#[test]
fn a_key_is_found_whole_indented_and_by_line() {
    let redactor = canaries();
    assert_eq!(redactor.redact(KEY), "[redacted]\n");
    let indented = KEY.replace('\n', "\n    ");
    assert_eq!(
        redactor.redact(&format!("key: |\n    {indented}")),
        "key: |\n    [redacted]\n    "
    );
    assert_eq!(
        redactor.redact("line 2: MIIEvQIBADANBgkqhkiG9w0BAQ!"),
        "line 2: [redacted]!"
    );
    assert_eq!(
        redactor.redact(&KEY.replace('\n', "\r\n")),
        "[redacted]\r\n"
    );
}

#[test]
fn a_line_of_a_key_is_found_alone_in_the_forms_that_the_whole_has() {
    let redactor = Redactor::new(["-----BEGIN-----\nMIIEvQ/BADANBgkqhkiG\n9w0B/QEFAASCBKcwggSj\n"]);
    for line in ["9w0B\\/QEFAASCBKcwggSj", "9w0B%2FQEFAASCBKcwggSj"] {
        assert_eq!(redactor.redact(&format!("\"{line}\"")), "\"[redacted]\"");
    }
}

#[test]
fn wrapped_base64_is_found_where_its_line_breaks_became_blanks() {
    let redactor = canaries();
    for width in [64, 76] {
        let base64 = BASE64_NOPAD.encode(KEY.as_bytes());
        let (first, rest) = base64.split_at(width);
        assert!(rest.len() <= width, "one line break");
        let shown = redactor.redact(&format!("x-echo: {first} {rest} end"));
        assert_eq!(shown, "x-echo: [redacted] end", "{width}");
    }
}

#[test]
fn a_line_that_only_ends_like_a_beginning_is_not_held_back() {
    let redactor = canaries();
    let mut stream = Redaction::default();
    assert_eq!(stream.push(&redactor, "waiting for h\n"), "waiting for h\n");
    assert_eq!(stream.push(&redactor, "x hunter"), "x ");
    assert_eq!(stream.push(&redactor, "s\n"), "hunters\n");
}

#[test]
fn a_text_that_breaks_off_within_a_secret_gives_little_of_it_away() {
    let redactor = canaries();
    for (given, shown) in [
        ("x c@n4ry'<s3c", "x [redacted]"),
        ("x c@n4ry'<s3c\n", "x [redacted]"),
        ("x c@n4ry'", "x c@n4ry'"),
        ("x c@n4ry'<s3c.", "x c@n4ry'<s3c."),
        ("hunter2!c@n4ry'<", "[redacted][redacted]"),
    ] {
        assert_eq!(redactor.redact(given), shown, "{given}");
    }
}

#[test]
fn an_endless_overlap_needs_no_memory() {
    let redactor = Redactor::new(["aaaa"]);
    let mut stream = Redaction::default();
    let shown: String = (0..1_000)
        .map(|_| stream.push(&redactor, &"a".repeat(100)))
        .collect();
    assert_eq!(shown, REDACTED);
    assert!(stream.held.len() < 200, "{}", stream.held.len());
}

/// Texts in which secrets begin, break off, overlap and are broken over lines.
fn pieces() -> impl Strategy<Value = Vec<String>> {
    let piece = prop_oneof![
        "[ab]{1,4}",
        "[abn \n]{1,6}",
        Just("\n  ".to_owned()),
        Just("é".to_owned()),
        Just("abab".to_owned()),
        Just("banana".to_owned()),
        Just("aé bb".to_owned()),
    ];
    proptest::collection::vec(piece, 0..30)
}

proptest! {
    #[test]
    fn the_cut_into_chunks_does_not_matter(
        chunks in pieces(),
        secrets in proptest::collection::vec("[abn é]{3,7}", 0..4),
    ) {
        let redactor = Redactor::new(
            secrets.iter().map(String::as_str).chain(["abab", "banana", "nabanab", "aé bb"]),
        );
        let mut stream = Redaction::default();
        let mut streamed: String = chunks.iter().map(|chunk| stream.push(&redactor, chunk)).collect();
        streamed.push_str(&stream.finish(&redactor));
        prop_assert_eq!(&streamed, &redactor.redact(&chunks.concat()));
        for secret in ["abab", "banana", "nabanab", "aé bb"] {
            prop_assert!(!streamed.contains(secret), "{}", streamed);
        }
    }

    #[test]
    fn no_canary_survives_in_any_encoding(secret in "\\PC{8,40}", before in "\\PC{0,9}", after in "[.;]{0,9}") {
        let secret = secret.trim();
        prop_assume!(secret.len() >= 8);
        let redactor = Redactor::new([secret]);
        for form in encodings(secret) {
            if form.trim().len() >= 8 {
                let shown = redactor.redact(&format!("{before}{form}{after}"));
                prop_assert!(shown.contains(REDACTED));
                prop_assert!(!shown.contains(form.trim()), "{}", shown);
            }
        }
    }
}

#[test]
fn a_token_of_ours_is_found_without_being_known_however_it_is_cut() {
    let token = crate::domain::ApiToken::of([42; 32]);
    let token = token.expose();
    let redactor = Redactor::new([]);
    let text = format!("curl -H 'authorization: Bearer {token}' http://h/ # mw_not\nm");
    let expected = "curl -H 'authorization: Bearer [redacted]' http://h/ # mw_not\nm";
    assert_eq!(redactor.redact(&text), expected);
    for at in 0..=text.len() {
        let mut stream = Redaction::default();
        let mut shown = stream.push(&redactor, &text[..at]);
        shown.push_str(&stream.push(&redactor, &text[at..]));
        shown.push_str(&stream.finish(&redactor));
        assert_eq!(shown, expected, "cut at {at}");
    }
    let wrapped = format!("{}\n  {}", &token[..30], &token[30..]);
    assert_eq!(redactor.redact(&wrapped), "[redacted]");
    assert_eq!(redactor.redact(&token[..40]), "[redacted]", "half of one");
}
