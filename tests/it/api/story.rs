//! Stories of programs: begin, look, follow, join, consent, cancel, ask again.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{House, document, files, listed, token_of, touch, uuid_like};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_to_completion_and_is_looked_at_by_every_way() {
    let house = House::open().await;
    let body = json!({
        "project": "shop", "environment": "one",
        "arguments": { "note": "a \"b\" 'c' \\ --again =x", "count": 3, "tags": ["x", "y z"] },
        "reason": "to see it work",
    });
    let told = house
        .post("/api/v1/task/touch", "ana", body)
        .await
        .is(201, "");
    let run = told.json["id"].as_str().unwrap().to_owned();
    assert!(uuid_like(&run));
    assert_eq!(told.header("location"), format!("/api/v1/run/{run}"));
    let done = house.wait(&run).await;
    assert_eq!(done["status"], "completed");
    assert_eq!(done["outcome"], "succeeded");
    assert_eq!(done["arguments"]["note"], "a \"b\" 'c' \\ --again =x");
    assert_eq!(done["arguments"]["count"], 3);
    assert_eq!(done["arguments"]["tags"], json!(["x", "y z"]));
    assert_eq!(
        (&done["requester"], &done["reason"]),
        (&json!("ana"), &json!("to see it work"))
    );
    let states: Vec<&Value> = done["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["state"])
        .collect();
    assert_eq!(states, ["succeeded", "succeeded"]);
    assert!(done["started"].is_string() && done["completed"].is_string());
    let reference = done["reference"].as_str().unwrap();
    let by_reference = house.get(&format!("/api/v1/run/{reference}"), "ana").await;
    assert_eq!(by_reference.json, done);
    let task = house
        .get("/api/v1/task/touch?project=shop&environment=one", "ana")
        .await
        .is(200, "");
    assert_eq!(
        (&task.json["status"], &task.json["id"]),
        (&json!("completed"), &json!(run))
    );
    let elsewhere = house
        .get("/api/v1/task/touch?project=shop&environment=two", "ana")
        .await;
    assert_eq!(elsewhere.json["status"], Value::Null);
    let timeline = house
        .get("/api/v1/project/shop/timeline", "ana")
        .await
        .is(200, "");
    assert_eq!(timeline.json["lines"][0]["reference"], reference);
    // The whole of it is told in the ledger, as for words in chat.
    let why = house.home.run(&["why", reference], "");
    assert!(
        String::from_utf8_lossy(&why.stdout).contains("runbooks/shop.yaml"),
        "{why:?}"
    );
    // Nothing waits for a platform that nobody delivers to.
    let metrics = house
        .client
        .get(house.bot.url("/metrics"))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        !metrics.contains("midwatch_postings_waiting{platform=\"api\"}"),
        "{metrics}"
    );
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_of_what_is_running_is_a_409_that_offers_to_join() {
    let house = House::open().await;
    let first = house
        .post("/api/v1/task/slow", "ana", touch("shop"))
        .await
        .is(201, "");
    let run = first.json["id"].as_str().unwrap().to_owned();
    let second = house
        .post("/api/v1/task/slow", "ana", touch("shop"))
        .await
        .is(409, "running");
    assert_eq!(second.json["run"]["id"], run);
    assert_eq!(second.json["run"]["status"], "running");
    assert!(second.json["next"].as_str().unwrap().contains("join"));
    let join = second.json["join"].as_str().unwrap().to_owned();
    let joined = house.post(&join, "bo", json!({})).await.is(200, "");
    assert_eq!(joined.json["run"]["followers"], json!(["bo"]));
    assert!(joined.json["said"].as_str().unwrap().len() > 5);
    house
        .post(&join, "bo", json!({}))
        .await
        .is(409, "joined_already");
    // Elsewhere it may run at the same time.
    let other = json!({ "project": "shop", "environment": "two" });
    let other = house
        .post("/api/v1/task/slow", "ana", other)
        .await
        .is(201, "");
    for id in [&run, other.json["id"].as_str().unwrap()] {
        house
            .post(&format!("/api/v1/run/{id}/cancel"), "eve", json!({}))
            .await
            .is(403, "not_yours");
        house
            .post(&format!("/api/v1/run/{id}/cancel"), "ana", json!({}))
            .await
            .is(200, "");
        let ended = house.wait(id).await;
        assert_eq!(
            (&ended["status"], &ended["outcome"]),
            (&json!("failed"), &json!("cancelled"))
        );
    }
    house
        .post(&format!("/api/v1/run/{run}/cancel"), "ana", json!({}))
        .await
        .is(409, "ended");
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gives_the_same_run_and_another_request_is_refused() {
    let house = House::open().await;
    let start = |who: &'static str, key: &'static str, body: Value| {
        let request = house.request(Method::POST, "/api/v1/task/touch", who);
        let request = request.header("content-type", "application/json");
        let request = request
            .header("idempotency-key", key)
            .body(body.to_string());
        house.send(request)
    };
    let first = start("ana", "build 17", touch("shop")).await.is(201, "");
    let run = first.json["id"].as_str().unwrap().to_owned();
    house.wait(&run).await;
    let again = start("ana", "build 17", touch("shop")).await.is(201, "");
    assert_eq!(
        (&again.json["id"], &again.json["status"]),
        (&json!(run), &json!("completed"))
    );
    start(
        "ana",
        "build 17",
        json!({ "project": "shop", "environment": "two" }),
    )
    .await
    .is(422, "key_reused");
    // Another's key is another key, and of a refusal the same refusal comes back.
    for _ in 0..2 {
        let denied = start("eve", "build 17", touch("shop"))
            .await
            .is(403, "denied");
        assert!(
            denied.json["detail"].as_str().unwrap().contains("team"),
            "{}",
            denied.text
        );
    }
    let all: Vec<_> = (0..8)
        .map(|_| start("ana", "all at once", touch("shop")))
        .collect();
    let all = futures_util::future::join_all(all).await;
    let ids: std::collections::BTreeSet<_> =
        all.iter().map(|it| it.json["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let runs = house.get("/api/v1/runs?project=shop", "ana").await;
    assert_eq!(runs.json["runs"].as_array().unwrap().len(), 2);
    start("ana", "", touch("shop")).await.is(400, "bad_header");
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_is_given_to_the_plan_that_was_looked_at_and_never_to_ones_own_run() {
    let house = House::open().await;
    let waits = house
        .post("/api/v1/task/touch", "bo", touch("shop"))
        .await
        .is(202, "");
    assert_eq!(
        (&waits.json["status"], &waits.json["phase"]),
        (&json!("running"), &json!("awaiting_approval"))
    );
    assert_eq!(
        waits.json["approval"]["needed"],
        json!([{ "approvals": 1, "of": ["team"] }])
    );
    let at = format!(
        "/api/v1/run/{}/approval",
        waits.json["id"].as_str().unwrap()
    );
    let plan = waits.json["approval"]["plan"].clone();
    let yes = json!({ "decision": "approve", "plan": plan });
    house.post(&at, "bo", yes.clone()).await.is(403, "own_run");
    house
        .post(&at, "eve", yes.clone())
        .await
        .is(403, "not_an_approver");
    house
        .post(
            &at,
            "ana",
            json!({ "decision": "approve", "plan": "00000000" }),
        )
        .await
        .is(409, "another_plan");
    house
        .post(&at, "ana", json!({ "decision": "approve" }))
        .await
        .is(422, "missing");
    house
        .post(&at, "ana", json!({ "decision": "maybe" }))
        .await
        .is(422, "bad_value");
    house.post(&at, "ana", yes).await.is(200, "");
    let done = house.wait(waits.json["id"].as_str().unwrap()).await;
    assert_eq!(done["status"], "completed");
    let waits = house
        .post("/api/v1/task/touch", "bo", touch("shop"))
        .await
        .is(202, "");
    let at = format!(
        "/api/v1/run/{}/approval",
        waits.json["id"].as_str().unwrap()
    );
    let no = json!({ "decision": "reject", "reason": "not \"now\"; a=b --x" });
    house.post(&at, "ana", no).await.is(200, "");
    let done = house.wait(waits.json["id"].as_str().unwrap()).await;
    assert_eq!(
        (&done["status"], &done["outcome"]),
        (&json!("failed"), &json!("cancelled"))
    );
    let failed = house
        .post("/api/v1/task/fail", "ana", json!({ "project": "shop" }))
        .await
        .is(201, "");
    let failed = house.wait(failed.json["id"].as_str().unwrap()).await;
    assert_eq!(
        (&failed["status"], &failed["steps"][0]["state"]),
        (&json!("failed"), &json!("failed"))
    );
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_from_its_first_event_to_its_last_and_from_any_on() {
    let house = House::open().await;
    let told = house
        .post("/api/v1/task/slow", "ana", touch("shop"))
        .await
        .is(201, "");
    let run = told.json["id"].as_str().unwrap().to_owned();
    let at = format!("/api/v1/run/{run}/events");
    let mut following = tokio::task::JoinSet::new();
    following.spawn(house.request(Method::GET, &at, "ana").send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    house
        .post(&format!("/api/v1/run/{run}/cancel"), "ana", json!({}))
        .await
        .is(200, "");
    let answer = following.join_next().await.unwrap();
    let answer = answer.unwrap().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let events = events(&answer.text().await.unwrap());
    let words: Vec<&str> = events
        .iter()
        .map(|it| it["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        words,
        [
            "decided",
            "step_started",
            "cancel_requested",
            "step_ended",
            "finished"
        ]
    );
    for event in &events {
        document::validate(
            &house.document,
            "/components/schemas/Event",
            event,
            "an event",
        );
        assert!(event["plan"].is_null() && event["proposal"].is_null());
    }
    let third = events[2]["sequence"].to_string();
    let rest = house
        .request(Method::GET, &at, "ana")
        .header("last-event-id", &third);
    let rest = house.send(rest).await;
    let rest = self::events(&rest.text);
    assert_eq!(rest, events[3..]);
    let wrong = house
        .request(Method::GET, &at, "ana")
        .header("last-event-id", "x");
    house.send(wrong).await.is(400, "bad_header");
    house.close();
}

fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_page_by_page_and_each_once() {
    let house = House::open().await;
    let mut begun = Vec::new();
    for n in 0..7 {
        let project = if n % 3 == 0 {
            ("blog", "bo")
        } else {
            ("shop", "ana")
        };
        let told = house
            .post("/api/v1/task/touch", project.1, touch(project.0))
            .await
            .is(201, "");
        begun.push(told.json["id"].as_str().unwrap().to_owned());
    }
    for run in &begun {
        house.wait(run).await;
    }
    begun.reverse();
    let mut read = Vec::new();
    let mut next = String::new();
    for _ in 0..4 {
        let page = house
            .get(&format!("/api/v1/runs?limit=3{next}"), "ana")
            .await
            .is(200, "");
        read.extend(
            page.json["runs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["id"].as_str().unwrap().to_owned()),
        );
        match page.json["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(read, begun);
    let count = async |query: &str| {
        let page = house
            .get(&format!("/api/v1/runs?{query}"), "ana")
            .await
            .is(200, "");
        page.json["runs"].as_array().unwrap().len()
    };
    assert_eq!(count("project=shop").await, 4);
    assert_eq!(count("project=blog&status=completed").await, 3);
    assert_eq!(count("status=running").await, 0);
    assert_eq!(count("task=slow").await, 0);
    let tagged = house.get("/api/v1/runs?limit=1", "ana").await;
    let tag = tagged.header("etag").to_owned();
    let same = house
        .request(Method::GET, "/api/v1/runs?limit=1", "ana")
        .header("if-none-match", &tag);
    assert_eq!(house.send(same).await.status, 304);
    let other = house
        .request(Method::GET, "/api/v1/runs?limit=2", "ana")
        .header("if-none-match", &tag);
    assert_eq!(house.send(other).await.status, 200);
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_that_is_taken_away_verifies() {
    let house = House::open().await;
    let told = house
        .post("/api/v1/task/touch", "ana", touch("shop"))
        .await
        .is(201, "");
    house.wait(told.json["id"].as_str().unwrap()).await;
    let exported = house.get("/api/v1/ledger", "ana").await.is(200, "");
    let noted = house
        .get("/api/v1/ledger/checkpoint", "ana")
        .await
        .is(200, "");
    house.home.write("export", &exported.text);
    house
        .home
        .write("note", noted.json["checkpoint"].as_str().unwrap());
    let file = house.home.path("export");
    let verified = house
        .home
        .run(&["ledger", "verify", file.to_str().unwrap()], "");
    assert!(verified.status.success(), "{verified:?}");
    let lines = exported.text.lines().count() as u64;
    assert!(noted.json["size"].as_u64().unwrap() >= lines - 1);
    assert!(exported.text.contains(r#""source":"api""#));
    house.close();
}

#[test]
fn a_token_is_made_listed_and_revoked_at_the_host() {
    let home = files();
    // With nobody there, the command opens the store itself.
    assert!(home.run(&["token", "list"], "").stdout.is_empty());
    let token = token_of(
        &home,
        &[
            "ana",
            "--scope",
            "read,run",
            "--project",
            "shop",
            "--days",
            "7",
        ],
    );
    let all = listed(&home);
    assert_eq!(all.len(), 1);
    let (id, words) = &all[0];
    assert!(
        words.starts_with("in force  speaks for ana, may read, run, in shop, until 20"),
        "{words}"
    );
    assert!(!words.contains(&token[3..]));
    for (arguments, why) in [
        (&["zoe"][..], "people.yaml knows no person or service `zoe`"),
        (&["ana", "--scope", "write"], "`write` is no scope"),
        (
            &["ana", "--project", "nowhere"],
            "no project is called `nowhere`",
        ),
        (&["ana", "--days", "91"], "1 to 90 days"),
        (&["ana", "--days", "0"], "1 to 90 days"),
        (
            &["pipeline", "--scope", "approve"],
            "a service never consents",
        ),
    ] {
        let told = home.run(&[&["token", "add"], arguments].concat(), "");
        assert_eq!(told.status.code(), Some(1), "{arguments:?}");
        assert!(told.stdout.is_empty());
        let err = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(err.contains(why), "{err}");
    }
    assert!(home.run(&["token", "revoke", id], "").status.success());
    assert_eq!(
        home.run(&["token", "revoke", id], "").status.code(),
        Some(1)
    );
    assert_eq!(
        home.run(&["token", "revoke", "nothing"], "").status.code(),
        Some(1)
    );
    assert!(listed(&home)[0].1.starts_with("revoked"));
    let exported = String::from_utf8(home.run(&["ledger", "export"], "").stdout).unwrap();
    assert_eq!(exported.matches(r#""kind":"token""#).count(), 2);
    assert!(!exported.contains(&token[3..]));
    let stored = std::fs::read(home.path("data/midwatch.db")).unwrap();
    let stored = String::from_utf8_lossy(&stored).into_owned();
    assert!(!stored.contains(&token[3..]), "a hash is kept, and no more");
}

/// A token can be older than the files: whoever became a service since, or always was one, consents to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_what_its_groups_may_and_never_consents() {
    let house = House::open().await;
    let told = house
        .post("/api/v1/task/touch", "pipeline", touch("shop"))
        .await
        .is(201, "");
    assert_eq!(told.json["requester"], "pipeline");
    house.wait(told.json["id"].as_str().unwrap()).await;
    let waits = house
        .post("/api/v1/task/touch", "bo", touch("shop"))
        .await
        .is(202, "");
    let at = format!(
        "/api/v1/run/{}/approval",
        waits.json["id"].as_str().unwrap()
    );
    let yes = json!({ "decision": "approve", "plan": waits.json["approval"]["plan"] });
    house
        .post(&at, "pipeline", yes.clone())
        .await
        .is(403, "scope");
    super::widen(&house.home, "pipeline").await;
    house
        .post(&at, "pipeline", yes.clone())
        .await
        .is(403, "not_an_approver");
    let run = house
        .get(
            &format!("/api/v1/run/{}", waits.json["id"].as_str().unwrap()),
            "ana",
        )
        .await;
    assert_eq!(run.json["phase"], "awaiting_approval");
    house.post(&at, "ana", yes).await.is(200, "");
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wants_a_second_factor_takes_a_code_here_too() {
    let home = files();
    let shop = super::SHOP.replace("rules:\n", "second_factor: medium\nrules:\n");
    home.write("runbooks/shop.yaml", &shop);
    home.write(
        "commands/touch.yaml",
        &super::TOUCH.replace("risk: low", "risk: medium"),
    );
    let house = House::of(home, &["ana"]).await;
    let home = &house.home;
    let body = |code: &str| json!({ "project": "shop", "environment": "one", "otp": code });
    let none = house.post("/api/v1/task/touch", "ana", touch("shop")).await;
    none.is(409, "no_second_factor");
    let (app, enrolment) = crate::cli_story::enrol(home, "ana");
    let people = super::PEOPLE.replace("name: Ana Ruiz", &format!("name: Ana Ruiz, {enrolment}"));
    home.write("runbooks/people.yaml", &people);
    let deadline = tokio::time::Instant::now() + super::PATIENCE;
    let taken = loop {
        let told = house.post("/api/v1/task/touch", "ana", touch("shop")).await;
        if told.code() != "no_second_factor" || tokio::time::Instant::now() > deadline {
            break told;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(taken.code(), "missing");
    assert!(
        taken.json["detail"]
            .as_str()
            .unwrap()
            .contains("authenticator app"),
        "{}",
        taken.text
    );
    let wrong = house
        .post("/api/v1/task/touch", "ana", body("000000"))
        .await;
    assert_eq!(wrong.code(), "wrong_code");
    let code = app.generate_current().to_string();
    house
        .post("/api/v1/task/touch", "ana", body(&code))
        .await
        .is(201, "");
    let again = house.post("/api/v1/task/touch", "ana", body(&code)).await;
    assert_eq!(again.code(), "used_code");
    house.close();
}
