//! `midwatch try`, typed at as a newcomer would: the real program, the shipped files, text in, thread out.

use std::io::{Read, Write};
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use regex::{Captures, Regex};

use crate::bot::Home;

/// A subcommand that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a subcommand told, and how it ended.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
}

/// Runs a subcommand to its end; one that hangs is ended and fails the test.
pub(crate) fn tell(home: &Home, arguments: &[&str], input: &str) -> Told {
    let mut child = home
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // It may end before it has read everything.
    let writing = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let read = |mut from: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let out = read(Box::new(child.stdout.take().unwrap()));
    let err = read(Box::new(child.stderr.take().unwrap()));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    writing.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(out.join().unwrap()), text(err.join().unwrap()));
    let status = status
        .unwrap_or_else(|| panic!("{arguments:?} did not end within {PATIENCE:?}: {out}{err}"));
    Told {
        out,
        err,
        code: status.code(),
    }
}

/// Types these lines into `midwatch try`.
pub(crate) fn typed(home: &Home, lines: &[&str]) -> Told {
    let told = tell(home, &["try"], &format!("{}\n", lines.join("\n")));
    assert_eq!(told.err, "", "nothing is complained about beside the thread");
    told
}

/// The references in the order in which they were first told.
pub(crate) fn references(out: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for told in Regex::new("· ref ([0-9a-z]{4,12})").unwrap().captures_iter(out) {
        if !found.contains(&told[1].to_owned()) {
            found.push(told[1].to_owned());
        }
    }
    found
}

/// The answer to the line that was typed last but `back` ones.
pub(crate) fn answer(out: &str, back: usize) -> &str {
    let prompt = Regex::new(r"(?m)^\w+@[\w-]+> .*\n").unwrap();
    let typed: Vec<_> = prompt.find_iter(out).collect();
    let this = typed.len() - 1 - back;
    let end = typed.get(this + 1).map_or(out.len(), regex::Match::start);
    &out[typed[this].end()..end]
}

/// What differs from run to run, by names instead.
pub(crate) fn masked(home: &Home, text: &str) -> String {
    let mut text = text.replace(&home.path("data").display().to_string(), "DATA");
    text = text.replace(&home.path("").display().to_string(), "HOME/");
    text = text.replace(concat!(env!("CARGO_MANIFEST_DIR"), "/"), "");
    for (number, reference) in references(&text).into_iter().enumerate() {
        let whole = Regex::new(&format!(r"\b{reference}\b")).unwrap();
        let name = format!("REF{}", number + 1);
        text = whole.replace_all(&text, name).into_owned();
    }
    for (pattern, name) in [
        (r"\b\d{2}:\d{2} UTC \([^)]*\)", "TIME"),
        (r"\b\d+(\.\d)? (ms|s)\b", "DURATION"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"revision [0-9a-f]{12}", "revision REVISION"),
        (r"plan [0-9a-f]{8}", "plan PLAN"),
        (r"midwatch/[0-9a-f]{16}", "midwatch/LEDGER"),
        (r"\bage: \d\b", "age: AGE"),
        (r"│ \d+\n", "│ SIZE\n"),
        (r"[A-Za-z0-9+/]{91}=", "SIGNATURE"),
        (r"[A-Za-z0-9+/]{43}=", "ROOT"),
        (r"(plan +)[0-9a-f]{16}", "${1}PLAN"),
        (r"ledger entry \d+", "ledger entry ENTRY"),
        (r"(?m)^  #\d+( *)", "  #ENTRY$1"),
    ] {
        let pattern = Regex::new(pattern).unwrap();
        text = pattern.replace_all(&text, name).into_owned();
    }
    text
}

#[test]
fn the_first_command_of_a_newcomer_flushes_a_real_cache_and_tells_the_whole_thread() {
    let home = Home::shipped();
    let told = typed(&home, &["/ops flush-cache prod"]);
    assert_eq!(told.code, Some(0), "{}", told.out);
    insta::assert_snapshot!("try_flush_cache", masked(&home, &told.out));
}
