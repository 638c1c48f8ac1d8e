//! Programs: arguments, environment, ends.

use std::time::Instant;

use midwatch::engine::actions::{Verified, verify};

use super::*;

const HOSTILE: [&str; 12] = [
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "a b  c",
    "*",
    "--help",
    "",
    "'\"\\",
    "line\nbreak",
    "é💥\u{202e}",
    "{secret}",
    "%s%n",
];

#[tokio::test]
async fn arguments_arrive_byte_for_byte() {
    let bench = Bench::new();
    let script = "for a in \"$@\"; do printf '%s' \"$a\" | od -An -v -tx1; done >arguments";
    let mut argv = vec!["sh", "-c", script, "sh"];
    argv.extend(HOSTILE);
    let (result, output) = bench.perform(run(&argv)).await;
    assert_eq!((result, output.as_str()), (succeeded(), ""));
    let dump = std::fs::read_to_string(bench.path("arguments")).unwrap();
    let hex = |text: &str| data_encoding::HEXLOWER.encode(text.as_bytes());
    let got: String = dump.split_whitespace().collect();
    assert_eq!(got, HOSTILE.map(hex).concat());
    let (_, counted) = bench
        .perform(run(&[&["sh", "-c", "echo $#", "sh"][..], &HOSTILE].concat()))
        .await;
    assert_eq!(counted, "12\n");
    assert!(!bench.path("pwned").exists());
}

#[tokio::test]
async fn how_a_program_ends_is_told_exactly() {
    let bench = Bench::new();
    std::fs::write(bench.path("plain"), "no program").unwrap();
    let folder = bench.folder.path().canonicalize().unwrap();
    let missing = format!(
        "no program `./gone` in {}, or the interpreter in its first line is missing",
        folder.display()
    );
    for (name, argv, result) in [
        ("success", &["true"][..], succeeded()),
        ("failure", &["sh", "-c", "exit 3"], failed("exit code 3")),
        (
            "signal",
            &["sh", "-c", "kill -9 $$"],
            failed("ended by signal 9"),
        ),
        (
            "not in PATH",
            &["no-such-program-here"],
            failed("no program `no-such-program-here` in PATH"),
        ),
        ("not in its folder", &["./gone"], failed(&missing)),
        (
            "not executable",
            &["./plain"],
            failed("`./plain` may not be executed; check its mode (chmod +x)"),
        ),
        (
            "NUL byte",
            &["echo", "a\0b"],
            failed("argument 1 of `echo` holds a NUL byte"),
        ),
        (
            "unknown secret",
            &["touch", "started", "{secret.nope}"],
            failed(&format!(
                "secret `nope` is not there; set the variable MIDWATCH_SECRET_NOPE or write the file {}",
                bench.path("secrets/nope").display()
            )),
        ),
        (
            "a secret too short to redact",
            &["touch", "started", "{secret.tiny}"],
            failed(
                "secret `tiny` is shorter than 4 bytes and could not be redacted; make it longer",
            ),
        ),
    ] {
        assert_eq!(bench.perform(run(argv)).await.0, result, "{name}");
    }
    assert!(!bench.path("started").exists());
}

#[tokio::test]
async fn a_program_sees_only_the_variables_it_was_given() {
    let bench = Bench::new();
    let mut action = run_action(&["env"]);
    action.pass = vec!["REGION".to_owned(), "ABSENT".to_owned()];
    action.environment = BTreeMap::from([
        ("TARGET".to_owned(), text("prod; x")),
        ("HOME".to_owned(), text("/declared")),
    ]);
    let (_, output) = bench.perform(Action::Run(action)).await;
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "HOME=/declared",
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "REGION=eu",
            "TARGET=prod; x"
        ]
    );
}

#[tokio::test]
async fn a_program_runs_inside_of_the_folder_only() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("inner")).unwrap();
    std::os::unix::fs::symlink("/tmp", bench.path("link")).unwrap();
    let inner = bench.path("inner").canonicalize().unwrap();
    for (directory, fits) in [
        ("inner", true),
        ("./inner", true),
        ("..", false),
        ("inner/../..", false),
        ("/tmp", false),
        ("link", false),
        ("absent", false),
    ] {
        let mut action = run_action(&["pwd", "-P"]);
        action.directory = Some(directory.to_owned());
        let (result, output) = bench.perform(Action::Run(action)).await;
        assert_eq!(result == succeeded(), fits, "{directory}: {result:?}");
        let expected = if fits {
            format!("{}\n", inner.display())
        } else {
            String::new()
        };
        assert_eq!(output, expected, "{directory}");
    }
}

#[tokio::test]
async fn standard_input_is_empty_and_both_outputs_come_in_order() {
    let bench = Bench::new();
    let script = "cat; for i in 1 2 3; do echo out$i; echo err$i >&2; done";
    let (_, output) = bench.perform(run(&["sh", "-c", script])).await;
    assert_eq!(output, "out1\nerr1\nout2\nerr2\nout3\nerr3\n");
}

#[tokio::test]
async fn a_secret_reaches_the_program_and_never_the_output() {
    let bench = Bench::new();
    let script = "printf '%s' \"$1\" >got; printf '\\033[1m%s\\033[0m|' \"$1\"; \
        printf '%.6s\\033[31m' \"$1\"; printf '%s' \"$1\" | tail -c +7; echo; \
        printf 'user:%s' \"$1\" | base64; printf '%s' \"$1\" | od -An -tx1 | tr -d ' '; \
        echo \"$1\" | sed 's/^\\(..........\\)/\\1\\n/'; exit 4";
    let (result, output) = bench
        .perform(run(&["sh", "-c", script, "sh", "{secret.canary}"]))
        .await;
    assert_eq!(result, failed("exit code 4"));
    assert_eq!(std::fs::read_to_string(bench.path("got")).unwrap(), CANARY);
    assert_eq!(output.matches("[redacted]").count(), 5, "{output}");
    assert!(
        !output.contains("c4n4ry") && !output.contains("m1n3"),
        "{output}"
    );
}

#[tokio::test]
async fn a_secret_written_slowly_is_redacted() {
    let bench = Bench::new();
    let script =
        "echo start; printf c4n4ry-0f; sleep 0.3; printf -- -th3-; sleep 0.3; echo m1n3 end";
    let (_, output) = bench.perform(run(&["sh", "-c", script])).await;
    assert_eq!(output, "start\n[redacted] end\n");
}

#[tokio::test]
async fn the_time_limit_ends_the_whole_tree() {
    let bench = Bench::new().limited(1_000);
    // A grandchild that ignores the request to end, in the background, with the output open.
    let script = "sh -c 'trap \"\" TERM; echo $$ >pid; while :; do sleep 0.1; done' & \
        echo working; wait";
    let began = Instant::now();
    let (result, output) = bench.perform(run(&["sh", "-c", script])).await;
    let StepResult::Unknown { why } = result else {
        panic!("{result:?}");
    };
    assert_eq!(
        why,
        "ended after 1s by its time limit; what it had done until then is not known"
    );
    assert!(output.starts_with("working\n"), "{output}");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert!(is_gone(&bench), "the grandchild lives");
}

#[tokio::test]
async fn a_program_that_ends_when_it_is_asked_may_say_a_last_word() {
    let bench = Bench::new().limited(1_000);
    let script = "trap 'echo cleaned up; exit 0' TERM; while :; do sleep 0.05; done";
    let began = Instant::now();
    let (result, output) = bench.perform(run(&["sh", "-c", script])).await;
    assert!(matches!(result, StepResult::Unknown { .. }), "{result:?}");
    assert!(output.ends_with("cleaned up\n"), "{output}");
    assert!(
        began.elapsed() < Duration::from_millis(2_900),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn cancellation_ends_the_whole_tree() {
    let bench = Bench::new();
    let cancel = CancellationToken::new();
    let script = "sh -c 'echo $$ >pid; sleep 60' & wait";
    let argv = ["sh", "-c", script];
    let cancelling = async {
        begun(&bench).await;
        cancel.cancel();
    };
    let ((result, _), ()) = tokio::join!(bench.perform_until(run(&argv), &cancel), cancelling);
    assert_eq!(result, StepResult::Stopped);
    assert!(is_gone(&bench), "the grandchild lives");
}

#[tokio::test]
async fn what_is_cancelled_before_it_starts_does_not_start() {
    let bench = Bench::new();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let (result, _) = bench
        .perform_until(run(&["touch", "started"]), &cancel)
        .await;
    assert_eq!(result, StepResult::Stopped);
    assert!(!bench.path("started").exists());
}

#[tokio::test]
async fn a_dropped_attempt_goes_on_and_is_taken_up_again() {
    let bench = Bench::new();
    let script = "echo begun; sh -c 'echo $$ >pid; sleep 1'; echo ended; echo . >>times; exit 5";
    let step = bench.step(run(&["sh", "-c", script]));
    let (folder, cancel) = (bench.attempt(), CancellationToken::new());
    tokio::select! {
        _ = bench.perform_in(&folder, &step, &cancel) => panic!("it ended by itself"),
        () = begun(&bench) => {}
    }
    let (performed, output) = bench.perform_in(&folder, &step, &cancel).await;
    let Performed::Ended { result, elapsed_ms } = performed else {
        panic!("its supervisor lived");
    };
    assert_eq!(
        (result, output.as_str()),
        (failed("exit code 5"), "begun\nended\n")
    );
    assert!(elapsed_ms >= 1_000, "{elapsed_ms}");
    // Whoever asks again is told again, and nothing is done again.
    let (performed, output) = bench.perform_in(&folder, &step, &cancel).await;
    assert!(matches!(performed, Performed::Ended { .. }));
    assert_eq!(output, "begun\nended\n");
    assert_eq!(std::fs::read_to_string(bench.path("times")).unwrap(), ".\n");
}

#[tokio::test]
async fn a_dropped_check_leaves_no_process_behind() {
    let bench = Bench::new();
    let step = bench.step(run(&["sh", "-c", "sh -c 'echo $$ >pid; sleep 60' & wait"]));
    let (sender, _receiver) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    tokio::select! {
        _ = verify(&step, &step.action, &bench.surroundings, sender, &cancel) => panic!("it ended by itself"),
        () = begun(&bench) => {}
    }
    assert!(is_gone(&bench), "the grandchild lives");
}

#[tokio::test]
async fn a_child_that_keeps_the_output_open_hangs_nobody() {
    let bench = Bench::new();
    let began = Instant::now();
    let script = "sh -c 'echo $$ >pid; exec sleep 60' & until [ -s pid ]; do :; done; echo done";
    let (result, output) = bench.perform(run(&["sh", "-c", script])).await;
    assert_eq!(result, succeeded());
    assert_eq!(
        output,
        "done\nprocesses that the program left behind were ended\n"
    );
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert!(is_gone(&bench), "the child lives");
}

#[tokio::test]
async fn a_grandchild_that_left_the_group_is_ended_too() {
    let bench = Bench::new().limited(1_000);
    let began = Instant::now();
    let script = "setsid sh -c 'echo $$ >pid; sleep 60; sleep 60' & wait";
    let (result, _) = bench.perform(run(&["sh", "-c", script])).await;
    assert!(matches!(result, StepResult::Unknown { .. }), "{result:?}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert!(is_gone(&bench), "the grandchild lives");
}

#[tokio::test]
async fn a_child_that_left_the_group_and_its_parent_hangs_nobody() {
    let bench = Bench::new();
    let began = Instant::now();
    let script = "setsid sleep 4 & exit 0";
    let (result, _) = bench.perform(run(&["sh", "-c", script])).await;
    assert_eq!(result, succeeded());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn a_flood_is_capped_to_its_head_and_tail() {
    let bench = Bench::new();
    let script = "echo first; yes | head -c 50000000; echo last";
    let (result, output) = bench.perform(run(&["sh", "-c", script])).await;
    assert_eq!(result, succeeded());
    assert!(output.len() < 256 * 1024, "{}", output.len());
    assert!(output.starts_with("first\ny\n") && output.ends_with("y\nlast\n"));
    let shown = output.lines().count() - 1;
    let note = output.lines().find(|line| line.starts_with('…')).unwrap();
    assert_eq!(note, format!("… {} lines left out …", 25_000_002 - shown));
}

#[tokio::test]
async fn output_that_just_exceeds_the_head_is_kept_whole() {
    let bench = Bench::new();
    let (_, output) = bench.perform(run(&["seq", "1", "30000"])).await;
    let expected: Vec<String> = (1..=30_000).map(|n| n.to_string()).collect();
    let expected = expected.join("\n") + "\n";
    assert!(
        output == expected,
        "{} of {} bytes",
        output.len(),
        expected.len()
    );
}

#[tokio::test]
async fn one_endless_line_is_cut() {
    let bench = Bench::new();
    let script = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end";
    let (_, output) = bench.perform(run(&["sh", "-c", script])).await;
    assert!(output.len() < 256 * 1024, "{}", output.len());
    assert!(output.ends_with("\nend\n"));
    assert!(output.lines().all(|line| line.chars().count() < 2_100));
}

#[tokio::test]
async fn secrets_in_a_flood_are_redacted_in_head_and_tail() {
    let bench = Bench::new();
    let script = "yes \"x$1\" | head -c 5000000";
    let (_, output) = bench
        .perform(run(&["sh", "-c", script, "sh", "{secret.canary}"]))
        .await;
    assert!(!output.contains("c4n4") && !output.contains("n4ry") && !output.contains("m1n3"));
    assert!(output.contains("lines left out"));
}

#[tokio::test]
async fn an_output_that_nobody_takes_hangs_nobody() {
    let bench = Bench::new();
    let step = bench.step(run(&["seq", "1", "100000"]));
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let cancel = CancellationToken::new();
    let folder = bench.attempt();
    let work = Work {
        step: &step,
        surroundings: &bench.surroundings,
        folder: &folder,
        kept: 0,
    };
    let performed = movable_between_threads(perform(&work, sender, &cancel)).await;
    let Performed::Ended { result, .. } = performed else {
        panic!("its supervisor was lost");
    };
    assert_eq!(result, succeeded());
}

#[tokio::test]
async fn a_verify_program_answers_by_its_exit_code() {
    let bench = Bench::new().limited(1_500);
    let cancel = CancellationToken::new();
    for (script, answer) in [
        ("exit 0", "happened"),
        ("exit 1", "did not"),
        ("exit 2", "unknown"),
        ("kill -9 $$", "unknown"),
        ("sleep 9", "unknown"),
    ] {
        let step = bench.step(run(&["sh", "-c", script]));
        let (sender, _receiver) = mpsc::channel(1);
        let verified = verify(&step, &step.action, &bench.surroundings, sender, &cancel).await;
        let word = match verified {
            Verified::Happened => "happened",
            Verified::DidNot(_) => "did not",
            Verified::Unknown(_) => "unknown",
        };
        assert_eq!(word, answer, "{script}");
    }
}

#[tokio::test]
async fn secrets_come_from_files_too() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("secrets")).unwrap();
    std::fs::write(bench.path("secrets/db-password"), "from-a-file\n").unwrap();
    let argv = [
        "sh",
        "-c",
        "printf %s \"$1\" >got; echo \"$1\"",
        "sh",
        "{secret.db-password}",
    ];
    let (_, output) = bench.perform(run(&argv)).await;
    assert_eq!(
        std::fs::read_to_string(bench.path("got")).unwrap(),
        "from-a-file"
    );
    assert_eq!(output, "[redacted]\n");
    let (_, output) = bench
        .perform(run(&["echo", "other step: from-a-file"]))
        .await;
    assert_eq!(output, "other step: [redacted]\n");
}

/// Waits until a process has written the file `pid`.
async fn begun(bench: &Bench) {
    let pid = || std::fs::read_to_string(bench.path("pid")).unwrap_or_default();
    while pid().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether the process that wrote the file `pid` is gone, or is about to be.
fn is_gone(bench: &Bench) -> bool {
    let pid = std::fs::read_to_string(bench.path("pid")).unwrap();
    let state = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    for _ in 0..100 {
        match std::fs::read_to_string(&state) {
            Err(_) => return true,
            // A zombie is gone but for its parent's notice.
            Ok(stat) if stat.contains(") Z ") => return true,
            Ok(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    false
}

/// The engine's workers are tasks of a runtime with several threads.
fn movable_between_threads<T: Send>(attempt: T) -> T {
    attempt
}
