//! `midwatch login` and `midwatch run` against a server: what is told, and the exit codes that scripts rely on.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use super::{House, files};
use crate::bot::Home;

/// Runs the program somewhere else than at the server's host: with folders of its own, and these settings.
async fn elsewhere(
    away: &Home,
    settings: &[(&str, &str)],
    arguments: &[&str],
    input: &str,
) -> Output {
    use std::io::Write as _;
    let mut command = away.command(arguments);
    command
        .env("XDG_CONFIG_HOME", away.path("config"))
        .envs(settings.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let input = input.to_owned();
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut typing = child.stdin.take().unwrap();
        typing.write_all(input.as_bytes()).ok(); // It may not read it.
        drop(typing);
        child.wait_with_output().unwrap()
    });
    ended.await.unwrap()
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_kept_for_its_server_and_runs_commands_there() {
    let house = House::of(files(), &["ana", "bo"]).await;
    let away = Home::of_files(&[]);
    let url = house.bot.url("");
    let url = url.trim_end_matches('/');
    let login = async |url: &str, token: &str| {
        told(&elsewhere(&away, &[], &["login", url], &format!("{token}\n")).await)
    };
    let (code, _, err) = login("http://midwatch.example", "mw_x").await;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("not encrypted"), "{err}");
    let (code, _, err) = login("http://127.0.0.1:9", "mw_x").await;
    assert_eq!(code, Some(3), "{err}");
    let (code, _, err) = login(url, &format!("mw_{}", "a".repeat(52))).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(
        !away.path("config").exists(),
        "what is not taken is not kept"
    );
    let (code, out, err) = login(&format!("{url}/"), &house.tokens["ana"]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(!out.contains("mw_") && out.contains("login.json"), "{out}");
    let kept = std::fs::metadata(away.path("config/midwatch/login.json")).unwrap();
    assert_eq!(kept.permissions().mode() & 0o777, 0o600);

    let run = async |arguments: &[&str]| {
        let mut all = vec!["run"];
        all.extend(arguments);
        told(&elsewhere(&away, &[], &all, "").await)
    };
    let (code, out, err) = run(&["--project", "shop", "touch", "one", "note=a b"]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].contains("touch one"), "{out}");
    assert!(
        out.contains("1/2 say done") && out.contains("2/2 touch done"),
        "{out}"
    );
    assert!(
        lines.last().unwrap().starts_with("✅ touch one succeeded"),
        "{out}"
    );
    let runs = house.get("/api/v1/runs?project=shop", "ana").await;
    assert_eq!(runs.json["runs"][0]["arguments"]["note"], "a b");

    let (code, out, _) = run(&["--json", "--project", "shop", "fail"]).await;
    assert_eq!(code, Some(1));
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["event"], "decided");
    assert_eq!(lines.last().unwrap()["outcome"], "failed");

    for (arguments, says) in [
        (
            ["--project", "blog", "publish"].as_slice(),
            "runbooks/blog.yaml:",
        ),
        (&["--project", "shop", "approve", "7f3k"], "is a question"),
        (&["touch", "one"], "`project` is missing"),
        (&["--project", "shop", "tuoch", "one"], "touch"),
    ] {
        let (code, out, err) = run(arguments).await;
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    }
    let settings = [("MIDWATCH_SERVER", "http://127.0.0.1:9")];
    let other = elsewhere(&away, &settings, &["run", "touch", "one"], "").await;
    let (code, _, err) = told(&other);
    assert_eq!(
        code,
        Some(1),
        "a token goes to no server that it was not kept for: {err}"
    );
    assert!(
        err.contains("there is no token for http://127.0.0.1:9"),
        "{err}"
    );
    let settings = [
        ("MIDWATCH_SERVER", "http://127.0.0.1:9"),
        ("MIDWATCH_TOKEN", house.tokens["ana"].as_str()),
    ];
    let other = elsewhere(&away, &settings, &["run", "touch", "one"], "").await;
    assert_eq!(told(&other).0, Some(3));
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_runs_what_waits_for_consent_is_told_how_it_went_on() {
    let house = House::of(files(), &["ana", "bo"]).await;
    let away = Home::of_files(&[]);
    let url = house.bot.url("");
    let settings = [
        ("MIDWATCH_SERVER", url.trim_end_matches('/')),
        ("MIDWATCH_TOKEN", house.tokens["bo"].as_str()),
    ];
    let arguments = ["run", "--project", "shop", "touch", "two"];
    let runs = elsewhere(&away, &settings, &arguments, "");
    let consents = async {
        let waiting = loop {
            let runs = house.get("/api/v1/runs?project=shop", "ana").await;
            let run = runs.json["runs"][0].clone();
            if run["approval"].is_object() {
                break run;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        let path = format!("/api/v1/run/{}/approval", waiting["id"].as_str().unwrap());
        let body = json!({ "decision": "approve", "plan": waiting["approval"]["plan"] });
        let request = house.request(Method::POST, &path, "ana");
        house.send(request.json(&body)).await.is(200, "");
    };
    let both = async { tokio::join!(runs, consents) };
    let (ran, ()) = tokio::time::timeout(super::PATIENCE, both)
        .await
        .expect("it waits for consent, and ends when it is given");
    let (code, out, err) = told(&ran);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("⏸ touch two waits for consent"), "{out}");
    assert!(out.contains("ana approved"), "{out}");
    assert!(
        out.lines().last().unwrap().contains("touch two succeeded"),
        "{out}"
    );
    house.close();
}
