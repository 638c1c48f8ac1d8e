//! `midwatch try`, typed at as a newcomer would: the real program, the shipped files, text in, thread out.

use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use regex::Regex;

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
    assert_eq!(
        told.err, "",
        "nothing is complained about beside the thread"
    );
    told
}

/// The references in the order in which they were first told.
pub(crate) fn references(out: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for told in Regex::new("· ref ([0-9a-z]{4,12})")
        .unwrap()
        .captures_iter(out)
    {
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
        // The first message is printed as it is when its turn comes; the engine may be further by then.
        (
            r"(?m)^⏳ (.*) (is about to start|is running: .*, [\d.]+ m?s); wait, or cancel · ref",
            "⏳ $1 BEGINS · ref",
        ),
        (
            r"(?m)^  [▰▱]+ \d/\d\n  → type: /ops cancel",
            "  BAR\n  → type: /ops cancel",
        ),
        // With its day, when that is another one: somebody runs this shortly after midnight, too.
        (r"\b(\d{4}-\d{2}-\d{2} )?\d{2}:\d{2} UTC \([^)]*\)", "TIME"),
        (r"\b\d+(\.\d)? (ms|s)\b", "DURATION"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"revision [0-9a-f]{12}", "revision REVISION"),
        (r"plan( +)[0-9a-f]{8}\b", "plan${1}PLAN"),
        (r"approve (REF\d) [0-9a-f]{8}", "approve $1 PLAN"),
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

#[test]
fn a_second_flush_in_the_same_folder_is_a_run_of_its_own() {
    let home = Home::shipped();
    let first = typed(&home, &["/ops flush-cache prod"]);
    let second = typed(&home, &["/ops flush-cache prod", "/ops runs"]);
    assert_eq!((first.code, second.code), (Some(0), Some(0)));
    let (first, again) = (references(&first.out), references(&second.out));
    assert_eq!((first.len(), again.len()), (1, 1), "{}", second.out);
    assert_ne!(first, again);
    let cached = Regex::new("x-cache: (HIT|MISS), ").unwrap();
    let cached: Vec<_> = cached
        .captures_iter(&second.out)
        .map(|it| it[1].to_owned())
        .collect();
    assert_eq!(cached, ["HIT", "MISS"], "{}", second.out);
    let listed: Vec<_> = answer(&second.out, 0)
        .lines()
        .skip(1)
        .map(|line| &line[2..6])
        .collect();
    assert_eq!(listed, [again[0].as_str(), first[0].as_str()]);
}

#[test]
fn kims_flush_of_prod_waits_for_team_shop_and_runs_with_anas_consent() {
    let home = Home::shipped();
    let asked = typed(&home, &["/as kim", "/ops flush-cache prod"]);
    assert_eq!(asked.code, Some(0), "{}", asked.out);
    insta::assert_snapshot!("try_needs_approval", masked(&home, answer(&asked.out, 0)));
    let reference = references(&asked.out).remove(0);
    let approve = format!("/ops approve {reference}");

    let refused = typed(&home, &["/as kim", &approve, "/as bo", &approve]);
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    let own = "⛔ you asked for this yourself; consent has to come from somebody else; nothing was done — \
               ask for 1 approval of team-shop\n";
    assert_eq!(answer(&refused.out, 2), own);
    let not_counted = format!(
        "⛔ your consent doesn't count for run {reference}; nothing was done — it needs 1 approval of team-shop\n"
    );
    assert_eq!(answer(&refused.out, 0), not_counted);

    // Where the sample shop listens elsewhere now, what was asked for is not what would be done until it is looked at anew.
    let approved = typed(&home, &[&approve, &approve]);
    let told = approved.out.replace(&reference, "REF1");
    let told = [1, 0].map(|nth| answer(&told, nth)).into_iter();
    let told = told
        .filter(|it| it.contains("approved"))
        .collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{}", approved.out);
    insta::assert_snapshot!("try_approved", masked(&home, told[0]));
    let again = typed(&home, &[&approve]);
    assert_eq!(again.code, Some(1));
    assert!(
        answer(&again.out, 0).contains("nothing was done"),
        "{}",
        again.out
    );
}

#[test]
fn consent_in_the_same_session_lets_the_run_end_before_the_program_does() {
    let home = Home::shipped();
    let asked = typed(&home, &["/as kim", "/ops flush-cache prod"]);
    let reference = references(&asked.out).remove(0);
    let both = [
        "/as kim",
        "/ops flush-cache prod /sale",
        "/as ana",
        &format!("/ops reject {reference} not at this hour"),
        "/ops runs",
    ];
    let told = typed(&home, &both);
    let second = references(&told.out).remove(0);
    let rejected = answer(&told.out, 1);
    assert!(
        rejected.contains("👎 Ana Ruiz rejected it: not at this hour; nothing was done"),
        "{rejected}"
    );
    let runs = answer(&told.out, 0);
    assert!(
        runs.contains(&format!("  {second}  flush-cache prod path=/sale by Kim Osei — waits for 1 approval of team-shop")),
        "{runs}"
    );
    assert!(
        runs.contains(&format!(
            "  {reference}  flush-cache prod path=/ by Kim Osei — cancelled"
        )),
        "{runs}"
    );
}

#[test]
fn who_may_not_is_told_the_line_of_the_rule_who_may_and_whom_to_ask() {
    let home = Home::shipped();
    let told = typed(
        &home,
        &[
            "/as kim",
            "/ops deploy prod v1.2.3",
            "/as eve",
            "/ops flush-cache prod",
            "/as bo",
            "/ops restart prod web1",
            "/ops runs",
        ],
    );
    assert_eq!(told.code, Some(1));
    assert_eq!(answer(&told.out, 0), NO_RUNS);
    // Who is on call changes every week.
    let on_call = Regex::new("on call now: (Ana Ruiz|Cy Park)").unwrap();
    let told = on_call.replace_all(&told.out, "on call now: SOMEBODY");
    insta::assert_snapshot!("try_denied", masked(&home, &told));
}

const NO_RUNS: &str = "No runs yet. Type /ops list to see what can be run\n";

#[test]
fn questions_are_answered_as_their_words_promise() {
    let home = Home::shipped();
    let told = typed(
        &home,
        &[
            "/as kim",
            "/ops help",
            "/ops help flush-cache",
            "/ops list",
            "/ops runbook shop",
            "/ops runbook shop visitors",
            "/ops runbook shop nothing such",
            "/ops may flush-cache prod",
            "/ops runs",
        ],
    );
    assert_eq!(told.code, Some(0), "{}", told.out);
    insta::assert_snapshot!("try_questions", masked(&home, &told.out));
}

#[test]
fn a_run_that_ended_is_listed_shown_explained_and_can_not_be_cancelled() {
    let home = Home::shipped();
    let flushed = typed(&home, &["/ops flush-cache prod"]);
    let reference = references(&flushed.out).remove(0);
    let ask = |word: &str| format!("/ops {word} {reference}");
    let lines = ["/ops runs", &ask("show"), &ask("why"), &ask("cancel")];
    let told = typed(&home, &lines);
    assert_eq!(told.code, Some(1), "the last was refused");
    insta::assert_snapshot!("try_looked_at", masked(&home, &told.out));
}

#[test]
fn every_command_of_the_sample_does_what_it_says() {
    let home = Home::shipped();
    let rows = [
        (
            "cache-status staging",
            "x-cache: HIT, age",
            "✅ cache-status staging succeeded",
        ),
        (
            "status staging",
            "Mounted on",
            "✅ status staging succeeded",
        ),
        (
            "flush-cache staging",
            "✓ 3/3 verify done: 200 OK, x-cache: MISS",
            "✅ flush-cache staging succeeded",
        ),
        (
            "deploy staging v2026.12.1",
            "✓ 2/2 look done",
            "✅ deploy staging succeeded",
        ),
        (
            "deploy staging v2026.12.1",
            "less than 2m ago",
            "⏸ deploy staging was held: someone just did it",
        ),
        (
            "rollback staging",
            "✓ 1/1 rollback done",
            "✅ rollback staging succeeded",
        ),
        (
            "restart staging web3 drain=0s",
            "✓ 1/1 restart done",
            "✅ restart staging succeeded",
        ),
        (
            "rotate-secret staging session-key",
            "✓ 1/1 rotate done",
            "✅ rotate-secret staging succeeded",
        ),
        (
            "run-migration staging 42",
            "✓ 2/2 verify done",
            "✅ run-migration staging succeeded",
        ),
        // The database is there already.
        (
            "run-migration staging 42",
            "failed: status 409 Conflict",
            "❌ run-migration staging failed at step 1 of 2 (`migrate`)",
        ),
    ];
    let lines: Vec<String> = rows.iter().map(|row| format!("/ops {}", row.0)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let told = typed(&home, &lines);
    assert_eq!(told.code, Some(1), "the last one failed");
    let mut wrong = Vec::new();
    for (position, (line, passing, end)) in rows.iter().enumerate() {
        let answer = answer(&told.out, rows.len() - 1 - position);
        for part in [passing, end] {
            if answer.matches(part).count() != 1 {
                wrong.push(format!("{line}: not once `{part}` in:\n{answer}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        !told.out.contains("Bearer"),
        "no secret and no header of it is told"
    );
}

#[test]
fn what_makes_no_sense_gets_one_short_message_with_an_example_that_works() {
    let home = Home::shipped();
    let beyond = format!("flush-cache prod /{}", "a".repeat(5_000));
    let long = format!("flush-cache prod /{}", "a".repeat(300));
    let rows: &[(&str, &str, Option<&str>)] = &[
        (
            "flsh-cache prod",
            "there is no command flsh-cache",
            Some("flush-cache"),
        ),
        ("coffee", "there is no command coffee", None),
        ("flush-cache prd", "environment can't be prd", Some("prod")),
        (
            "flush-cache shpo/prod",
            "there is no project shpo",
            Some("shop"),
        ),
        (
            "flush-cache prod pth=/a",
            "flush-cache has no parameter pth",
            Some("path"),
        ),
        (
            "flush-cache prod /a /b",
            "/b is one word more than I know what to do with",
            None,
        ),
        ("flush-cache prod sale", "path can't be sale", None),
        ("restart prod web9", "host can't be web9", Some("web1")),
        ("run-migration prod ninety", "number can't be ninety", None),
        ("run-migration prod 99999", "number can't be 99999", None),
        ("restart prod web1 drain=3h", "drain can't be 3h", None),
        (
            "deploy prod 1.2.3 announce=perhaps",
            "announce can't be perhaps",
            None,
        ),
        (
            "rotate-secret prod session-key with=hunter2",
            "with can't be what was typed",
            None,
        ),
        ("flush-cache", "flush-cache needs environment", None),
        ("deploy prod", "deploy needs version", None),
        (
            "flush-cache environment=prod environment=prod",
            "environment is given twice",
            None,
        ),
        (
            "flush-cache prod \"/a",
            "a quote is opened and not closed",
            None,
        ),
        (&long, "path can't be /aaaaaaaaaaaa", None),
        (
            &beyond,
            "nothing was done: the line is longer than 4000 characters",
            None,
        ),
        ("show zzzz", "no run is called zzzz", None),
        ("cancel", "cancel needs the reference of a run", None),
    ];
    let (mut wrong, mut examples) = (Vec::new(), Vec::new());
    for &(line, says, meant) in rows {
        let told = typed(&home, &[&format!("/ops {line}"), "/ops runs all"]);
        let start = told.out.find("⛔").map_or("", |at| &told.out[at..]);
        let message = start.split("ana@shop>").next().unwrap_or_default();
        let shown: String = line.chars().take(60).collect();
        let mut check = |ok: bool, what: &str| {
            if !ok {
                wrong.push(format!("`{shown}`: {what}:\n{}", told.out));
            }
        };
        let first = message.lines().next().unwrap_or_default();
        check(first.contains(says), says);
        check(
            first.contains("nothing was done"),
            "says that nothing was done",
        );
        check(message.lines().count() <= 5, "is short");
        check(told.code == Some(1), "ends with 1");
        check(answer(&told.out, 0) == NO_RUNS, "is no run");
        check(
            !told.out[start.as_ptr() as usize - told.out.as_ptr() as usize..].contains("hunter2"),
            "does not repeat a secret",
        );
        if let Some(meant) = meant {
            let question = format!("did you mean {meant}?");
            check(first.contains(&question), &question);
        }
        examples.extend(
            message
                .lines()
                .filter_map(|line| Some(line.split_once("for example /ops ")?.1.to_owned())),
        );
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
    examples.retain(|example| !example.starts_with("cancel"));
    assert!(examples.len() >= 12, "{examples:?}");
    let asked: Vec<String> = examples
        .iter()
        .map(|example| format!("/ops may {example}"))
        .collect();
    let told = typed(&home, &asked.iter().map(String::as_str).collect::<Vec<_>>());
    let allowed = told
        .out
        .matches("is allowed by runbooks/shop.yaml:")
        .count();
    assert_eq!(allowed, examples.len(), "{}", told.out);
}

#[test]
fn what_is_printed_into_a_pipe_has_no_escape_codes() {
    let home = Home::shipped();
    let lines = "/ops flush-cache prod\n/ops nothing\n/ops help\n";
    for home in [
        home,
        Home::shipped()
            .setting("NO_COLOR", "1")
            .setting("TERM", "xterm-256color"),
    ] {
        let told = tell(&home, &["try"], lines);
        assert!(
            told.out.contains("✅ flush-cache prod succeeded"),
            "{}",
            told.out
        );
        assert!(
            !told.out.contains('\x1b') && !told.err.contains('\x1b'),
            "{:?}",
            told.out
        );
    }
}
