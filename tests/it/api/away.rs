//! Programs whose midwatch is killed under their request, who ask another replica, or who are told of elsewhere.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{BLOG, FAIL, House, PEOPLE, SHOP, SLOW, TOUCH, files, touch};
use crate::bad_day::connected;
use crate::bot::Home;
use crate::cluster;
use crate::fakes::slack::{FakeSlack, TEAM};

fn start(house: &House, key: &str) -> reqwest::RequestBuilder {
    let request = house.request(Method::POST, "/api/v1/task/touch", "ana");
    let request = request.header("content-type", "application/json");
    request
        .header("idempotency-key", key)
        .body(touch("shop").to_string())
}

/// The runs that there are, as `ana` is told.
async fn runs(house: &House) -> BTreeSet<String> {
    let page = house.get("/api/v1/runs?limit=100", "ana").await.is(200, "");
    let runs = page.json["runs"].as_array().unwrap();
    runs.iter().map(|run| run["id"].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_midwatch_is_killed_is_sent_again_and_done_once() {
    let mut house = House::of(files(), &["ana"]).await;
    let mut wanted = BTreeSet::new();
    for (round, wait) in [0, 2, 5, 9, 20].into_iter().enumerate() {
        let key = format!("round {round}");
        let mut asking = tokio::task::JoinSet::new();
        asking.spawn(start(&house, &key).send());
        tokio::time::sleep(Duration::from_millis(wait)).await;
        house.bot.signal(Signal::KILL);
        while house.bot.has_ended().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // However far it came, nobody was told.
        asking.abort_all();
        house.bot = house.home.serve().await;
        let again = house.send(start(&house, &key)).await;
        assert!(again.status.is_success(), "round {round}: {}", again.text);
        let run = again.json["id"].as_str().unwrap().to_owned();
        assert_eq!(
            house.wait(&run).await["status"],
            "completed",
            "round {round}"
        );
        wanted.insert(json!(run).to_string());
        assert_eq!(runs(&house).await, wanted, "round {round}");
    }
    house.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_give_the_same_key_the_same_run() {
    let Some(cluster) = cluster::shared() else {
        return;
    };
    let url = cluster.database().await;
    let one = House::of(files().setting("DATABASE_URL", &url), &["ana"]).await;
    let key = std::fs::read_to_string(one.home.path("data/ledger.key")).unwrap();
    let home = files().setting("DATABASE_URL", &url);
    home.write("data/ledger.key", &key);
    let mut two = House::of(home, &[]).await;
    two.tokens.clone_from(&one.tokens);
    for round in 0..3 {
        let key = format!("round {round}");
        let (first, second) =
            tokio::join!(one.send(start(&one, &key)), two.send(start(&two, &key)));
        let (first, second) = (first.is(201, ""), second.is(201, ""));
        assert_eq!(first.json["id"], second.json["id"]);
        two.wait(first.json["id"].as_str().unwrap()).await;
    }
    assert_eq!(runs(&one).await.len(), 3);
    assert_eq!(runs(&one).await, runs(&two).await);
    assert!(two.bot.stop().success());
    one.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_program_began_is_told_in_the_mirrors_of_its_runbook() {
    let slack = FakeSlack::start().await;
    slack.add_channel("C0OPS", true);
    let shop = SHOP.replace(
        "rules:",
        &format!("mirrors: [{{ slack: {TEAM}/C0OPS }}]\nrules:"),
    );
    let home = Home::of_files(&[
        ("commands/touch.yaml", TOUCH),
        ("commands/slow.yaml", SLOW),
        ("commands/fail.yaml", FAIL),
        ("runbooks/people.yaml", PEOPLE),
        ("runbooks/shop.yaml", &shop),
        ("runbooks/blog.yaml", BLOG),
    ]);
    let house = House::of(connected(home, &slack), &["ana", "bo"]).await;
    slack.use_http(&house.bot.url(""));
    let waits = house
        .post("/api/v1/task/touch", "bo", touch("shop"))
        .await
        .is(202, "");
    let at = format!(
        "/api/v1/run/{}/approval",
        waits.json["id"].as_str().unwrap()
    );
    let yes = json!({ "decision": "approve", "plan": waits.json["approval"]["plan"] });
    house.post(&at, "ana", yes).await.is(200, "");
    let done = house.wait(waits.json["id"].as_str().unwrap()).await;
    assert_eq!(done["status"], Value::from("completed"));
    let told = |slack: &FakeSlack| {
        let all = slack.messages("C0OPS");
        let root = all.iter().find(|it| it.thread.is_none())?;
        let ended = all
            .iter()
            .any(|it| it.thread.is_some() && it.text.contains("succeeded"));
        (ended && root.text.contains("succeeded")).then(|| format!("{:?}", root.blocks))
    };
    let root = slack
        .wait_for("the mirror's end", Duration::from_secs(20), told)
        .await;
    assert!(root.contains("over the API"), "{root}");
    assert_eq!(slack.violations(), Vec::<String>::new());
    house.close();
}
