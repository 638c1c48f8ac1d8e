//! What holds no secret stays as it is: made-up logs of every kind, and the real texts of this machine.

use data_encoding::{BASE64, HEXLOWER};
use midwatch::domain::Redactor;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::secrets::{Secret, below};

/// Made-up lines.
const LINES: usize = 20_000;
/// Lines of each real text that are read.
const REAL: usize = 4_000;
/// The share of lines that may be touched, in percent.
const AT_MOST: f64 = 0.1;

/// Texts that are there on most machines, and our own.
const FILES: &[&str] = &[
    "Cargo.lock",
    "README.md",
    "docs/operations.md",
    "src/domain/run.rs",
    "/proc/cpuinfo",
    "/proc/self/maps",
    "/proc/meminfo",
    "/proc/self/mountinfo",
    "/etc/services",
    "/etc/passwd",
    "/var/lib/dpkg/status",
    "/etc/ssl/certs/ca-certificates.crt",
    "/var/log/dpkg.log",
];

pub(super) fn prove(secrets: &[Secret], random: &mut StdRng) -> String {
    // Also such as are hardly long enough.
    let short: Vec<String> = (0..secrets.len() / 10)
        .map(|_| HEXLOWER.encode(&random.random::<[u8; 3]>()))
        .collect();
    let values = secrets.iter().map(|secret| secret.value.as_str());
    let redactor = Redactor::new(values.chain(short.iter().map(String::as_str)));
    let mut text: Vec<String> = (0..LINES).map(|_| line(random)).collect();
    for file in FILES {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let real = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        text.extend(real.lines().take(REAL).map(str::to_owned));
    }
    let mut touched = 0;
    // As outputs come: many lines at once.
    for lines in text.chunks(500) {
        let given = lines.join("\n");
        let shown = redactor.redact(&given);
        if shown != given {
            touched += shown.matches(midwatch::domain::REDACTED).count();
        }
    }
    let share = percent(touched, text.len());
    assert!(
        share <= AT_MOST,
        "{share:.3} % of {} ordinary lines were redacted",
        text.len()
    );
    format!(
        "{touched} of {} ordinary lines redacted ({share:.3} %)",
        text.len()
    )
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn percent(part: usize, of: usize) -> f64 {
    part as f64 * 100.0 / of as f64
}

/// One line of some log.
fn line(random: &mut StdRng) -> String {
    let words = [
        "request",
        "user",
        "cache",
        "failed",
        "the",
        "of",
        "retrying",
        "connection",
        "from",
        "prod",
        "password",
        "token",
        "key",
        "https",
        "admin",
    ];
    let mut sentence = || -> String {
        let count = 3 + below(9, random);
        let chosen: Vec<&str> = (0..count)
            .map(|_| *words.choose(random).expect("there are words"))
            .collect();
        chosen.join(" ")
    };
    let text = sentence();
    let bytes: [u8; 48] = std::array::from_fn(|_| random.random());
    let (hex, base64) = (HEXLOWER.encode(&bytes[..20]), BASE64.encode(&bytes));
    let number: u64 = random.random();
    match random.random_range(0..12) {
        0 => format!("commit {hex}\nAuthor: Ana <ana@shop.test>\n    {text}"),
        1 => format!(
            "2026-11-20T03:{:02}:{:02}Z INFO {text} id={}",
            number % 60,
            number / 60 % 60,
            uuid::Uuid::from_u128(number.into())
        ),
        2 => format!(
            "    at com.shop.Cache.flush(Cache.java:{}) ~[shop-{}.jar:?]",
            number % 900,
            number % 99
        ),
        3 => format!(
            "{{\"level\":\"warn\",\"msg\":\"{text}\",\"ms\":{},\"trace\":\"{hex}\"}}",
            number % 10_000
        ),
        4 => format!("authorization: Basic {base64}"),
        5 => format!(
            "-----BEGIN CERTIFICATE-----\n{}\n{}",
            &base64[..32],
            &base64[32..]
        ),
        6 => format!(
            "GET /search?q={}&page={} HTTP/1.1 200 {} \"Mozilla/5.0\"",
            text.replace(' ', "%20"),
            number % 99,
            number % 100_000
        ),
        7 => format!(
            "00000{:03x}0: {} {}  ................",
            number % 4096,
            &hex[..16],
            &hex[16..32]
        ),
        8 => format!("sha256:{}{}", &hex, &hex[..24]),
        9 => format!(
            "{:>10} {:>8.3} {:>12} {}",
            number % 100_000,
            f64::from(u32::try_from(number % 9_999).unwrap_or(0)) / 7.0,
            number,
            text
        ),
        10 => format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", &base64[..40], &base64[40..]),
        _ => text,
    }
}
