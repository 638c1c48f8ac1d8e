//! A process that panics and logs with secrets in its hands: what it says on standard error.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use midwatch::domain::Redactor;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::encodings::ENCODINGS;
use super::secrets::Secret;
use super::sieve::Sieve;

/// Starts it, twice, and looks at what it said.
#[expect(clippy::disallowed_methods, reason = "a proof that starts itself")]
pub(super) fn prove(secrets: &[Secret], seed: usize) {
    let sieve = Sieve::new(secrets);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let values: Vec<&str> = secrets.iter().map(|secret| secret.value.as_str()).collect();
    let file = folder.path().join("values");
    std::fs::write(&file, serde_json::json!(values).to_string()).expect("a file");
    for format in ["text", "json"] {
        let exe = std::env::current_exe().expect("this program has a path");
        let said = Command::new(exe)
            .args(["--as", "panic"])
            .arg(&file)
            .args([format, &seed.to_string()])
            .env("RUST_BACKTRACE", "full")
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        let log = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{log}");
        let panics = log.matches("a part of midwatch panicked").count();
        assert_eq!(
            panics,
            4 * secrets.len(),
            "not every panic was logged: {log}"
        );
        sieve.check(&format!("the log of panics, as {format}"), &said.stderr);
        sieve.check(
            &format!("standard output beside panics, as {format}"),
            &said.stdout,
        );
    }
}

/// The part: panics in every way, and logs, with each secret.
pub(crate) fn panic_aloud(arguments: &[OsString]) {
    let text = |n: usize| arguments[n].to_string_lossy().into_owned();
    let values = std::fs::read_to_string(&arguments[0]).expect("the file is there");
    let values: Vec<String> = serde_json::from_str(&values).expect("it is a list");
    let redactor = Redactor::new(values.iter().map(String::as_str));
    let scrub = std::sync::Arc::new(move |text: &str| redactor.redact(text));
    midwatch::telemetry::start_logs("trace", text(1) == "json", scrub).expect("logs start");
    let mut random = StdRng::seed_from_u64(text(2).parse().expect("a number"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for value in values {
        for (name, encode) in ENCODINGS {
            let form = encode(&value, &mut random).text;
            tracing::info!(form, "{name}: {form}");
            tracing::debug!(quoted = ?form, "{form:?}");
        }
        let (formatted, literal, text) = (value.clone(), value.clone(), value.clone());
        let literal: &'static str = Box::leak(literal.into_boxed_str());
        let _ = std::thread::spawn(move || panic!("with {formatted}")).join(); // It panicked: that is the point.
        let _ = std::thread::Builder::new()
            .name(value.replace('\0', ""))
            .spawn(move || std::panic::panic_any(literal))
            .expect("a thread")
            .join(); // As above.
        let _ = std::panic::catch_unwind(|| std::panic::panic_any(text)); // As above.
        let failed = "x".parse::<u8>().map_err(|_| value);
        let task = async move {
            let _ = failed.expect("a result"); // It panics, with the value as the error.
        };
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(task);
            tasks.join_next().await
        });
    }
}
