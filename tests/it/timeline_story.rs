//! A project's past, asked for as people do: the real program, text in, text out.
#![expect(
    clippy::disallowed_methods,
    reason = "makes a git repository, as whoever keeps the files does"
)]

use std::process::Command;

use crate::bad_day::{BOOK, MARK, PEOPLE};
use crate::bot::Home;
use crate::try_story::{answer, masked, references, tell, typed};

/// A command whose step fails, and says so at length.
const BREAK: &str = "command: break\ndoes: Fails.\nrisk: low\nundo: none\n\
    parameters:\n  environment: { type: environment }\n\
    steps:\n  - name: fall\n    run: [sh, -c, \"echo Traceback: most recent call last; exit 3\"]\n    effect: once\n";

fn laboratory() -> Home {
    let book = BOOK.replace("rules:\n", "rules:\n  - { may: break, who: [crew, ben] }\n");
    let home = Home::of_files(&[
        ("runbooks/people.yaml", PEOPLE),
        ("runbooks/lab.yaml", &book),
        ("commands/mark.yaml", MARK),
        ("commands/break.yaml", BREAK),
    ]);
    std::fs::create_dir(home.path("marks")).unwrap();
    home
}

/// Commits everything, as this author.
fn commit(home: &Home, author: &str, summary: &str) {
    let email = "test@example.org";
    for arguments in [
        vec!["init", "-q"],
        vec!["add", "commands", "runbooks"],
        vec!["commit", "-q", "-m", summary],
    ] {
        let status = Command::new("git")
            .args(arguments)
            .current_dir(home.path(""))
            .env("GIT_AUTHOR_NAME", author)
            .env("GIT_AUTHOR_EMAIL", email)
            .env("GIT_COMMITTER_NAME", author)
            .env("GIT_COMMITTER_EMAIL", email)
            .status()
            .expect("git is installed");
        assert!(status.success());
    }
}

/// The same without what differs from run to run.
fn steady(home: &Home, text: &str) -> String {
    let text = masked(home, text);
    let moments = regex::Regex::new(r"\d{4}-\d{2}-\d{2}T[\d:.]+Z|\b\d{13}/-?\d+").unwrap();
    let hashes = regex::Regex::new(r"(?m)^  [0-9a-f]{8}\b").unwrap();
    let text = moments.replace_all(&text, "MOMENT").into_owned();
    hashes.replace_all(&text, "  COMMIT").into_owned()
}

#[test]
fn a_timeline_tells_runs_denials_and_commits_and_is_narrowed() {
    let home = laboratory();
    commit(&home, "Ann Author", "Let ben break things");
    let done = typed(
        &home,
        &[
            "/as ann",
            "/ops mark one",
            "/ops break one",
            "/as ben",
            "/ops mark one",
        ],
    );
    let told = typed(
        &home,
        &[
            "/as ann",
            "/ops timeline",
            "/ops timeline lab about mark",
            "/ops timeline about author since 1h",
            "/ops timeline since 1h about nothing such",
        ],
    );
    let mut all = told.out.clone();
    for (n, reference) in references(&done.out).iter().enumerate() {
        all = all.replace(reference, &format!("RUN{}", n + 1));
    }
    insta::assert_snapshot!("timeline_told", steady(&home, &all));
}

#[test]
fn earlier_lines_are_a_button_away_and_none_is_told_twice() {
    let home = laboratory();
    let marks: Vec<String> = (0..17).map(|_| "/ops mark one".to_owned()).collect();
    let mut lines = vec!["/as ben"];
    lines.extend(marks.iter().map(String::as_str));
    typed(&home, &lines);
    let first = typed(&home, &["/as ben", "/ops timeline"]);
    let page = answer(&first.out, 0);
    assert_eq!(page.matches("  denied  ").count(), 15, "{page}");
    let says = page.split("/ops timeline lab before ").nth(1);
    let position = says.unwrap().split_whitespace().next().unwrap();
    let earlier = format!("/ops timeline lab before {position}");
    let second = typed(&home, &["/as ben", &earlier]);
    let page = answer(&second.out, 0);
    assert_eq!(page.matches("  denied  ").count(), 2, "{page}");
    assert!(!page.contains("before"), "there is no more: {page}");
}

#[test]
fn a_history_says_whether_a_command_always_fails_or_just_did() {
    let home = laboratory();
    typed(
        &home,
        &[
            "/as ann",
            "/ops break one",
            "/ops break one",
            "/ops mark one",
        ],
    );
    let told = typed(
        &home,
        &[
            "/as ann",
            "/ops history break",
            "/ops history mark one",
            "/ops history nap",
        ],
    );
    let told = regex::Regex::new(r"/ops summary \w+")
        .unwrap()
        .replace_all(&told.out, "/ops summary REF");
    insta::assert_snapshot!("history_told", steady(&home, &told));
}

#[test]
fn without_a_repository_the_timeline_says_so() {
    let home = laboratory();
    typed(&home, &["/as ann", "/ops mark one"]);
    let told = typed(&home, &["/as ann", "/ops timeline"]);
    let page = answer(&told.out, 0);
    assert!(
        page.contains("commits may be missing") && page.contains("is in no git repository"),
        "{page}"
    );
}

#[test]
fn a_summary_of_a_failure_has_no_word_of_its_output() {
    let home = laboratory();
    let done = typed(&home, &["/as ann", "/ops break one"]);
    let reference = references(&done.out).remove(0);
    let told = typed(&home, &["/as ann", &format!("/ops summary {reference}")]);
    let told = answer(&told.out, 0);
    assert!(!told.contains("Traceback"), "{told}");
    let told = told.replace(&reference, "REF1");
    insta::assert_snapshot!("summary_told", steady(&home, &told));
}

#[test]
fn a_summary_and_a_timeline_are_taken_away_as_markdown_and_as_json() {
    let home = laboratory();
    commit(&home, "Ann *Author*", "Let ben break things");
    let done = typed(
        &home,
        &["/as ann", "/ops mark one", "/as ben", "/ops mark one"],
    );
    let reference = references(&done.out).remove(0);
    let says = |arguments: &[&str]| {
        let told = tell(&home, arguments, "");
        assert_eq!(
            (told.code, told.err.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
        let text = told.out.replace(&reference, "REF1");
        let spans = regex::Regex::new(r#""(\w+_ms|commit|revision|sequence)": [^,\n]+"#).unwrap();
        let text = spans.replace_all(&text, "\"$1\": SOME");
        let clocks =
            regex::Regex::new(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} UTC|\*\*[0-9a-f]{8}\*\*")
                .unwrap();
        steady(&home, &clocks.replace_all(&text, "TIME"))
    };
    let all = [
        says(&["summary", &reference, "--format", "markdown"]),
        says(&["summary", &reference, "--format", "json"]),
        says(&["timeline", "lab", "--since", "1h", "--format", "markdown"]),
        says(&["timeline", "lab", "--about", "mark", "--format", "json"]),
        says(&["timeline", "lab", "--before", "2026-01-01"]),
    ];
    insta::assert_snapshot!("exports", all.join("\n"));
}

#[test]
fn what_can_not_be_exported_is_named_with_its_exit_code() {
    let home = laboratory();
    typed(&home, &["/as ben", "/ops mark one"]);
    for (arguments, code, words) in [
        (
            vec!["timeline", "lba"],
            1,
            "no project is called lba; there are lab",
        ),
        (vec!["timeline", "l b"], 2, "is not the name of a project"),
        (
            vec!["timeline", "lab", "--since", "noon"],
            2,
            "--since takes a span such as 3d",
        ),
        (
            vec!["timeline", "lab", "--before", "noon"],
            2,
            "--before takes a day",
        ),
        (vec!["timeline", "lab", "--format", "pdf"], 2, "markdown"),
        (vec!["summary", "zzzz"], 1, "no run has the reference zzzz"),
    ] {
        let told = tell(&home, &arguments, "");
        assert_eq!(
            (told.code, told.out.as_str()),
            (Some(code), ""),
            "{arguments:?}"
        );
        assert!(told.err.contains(words), "{arguments:?}: {}", told.err);
    }
}

#[test]
fn the_subcommands_explain_themselves() {
    let home = Home::of_files(&[]);
    let help = ["summary", "timeline"].map(|word| tell(&home, &[word, "--help"], "").out);
    insta::assert_snapshot!("past_help", help.join("\n"));
}
