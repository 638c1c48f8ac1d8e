//! Who is who: user groups that stand for groups of people.yaml, and second accounts.

use super::*;

/// A risky command for a user group, and one that needs its consent.
fn files() -> Home {
    Home::of_files(&[
        (
            "commands/wipe.yaml",
            "command: wipe\ndoes: Wipes.\nrisk: high\nsteps:\n  - { name: wipe, run: [touch, wiped], effect: idempotent }\n",
        ),
        (
            "commands/drop.yaml",
            "command: drop\ndoes: Drops.\nrisk: high\nsteps:\n  - { name: drop, run: [touch, dropped], effect: idempotent }\n",
        ),
        (
            "runbooks/people.yaml",
            "people:\n  ana: { name: Ana Ruiz, slack: U0ANA }\n  bo: { name: Bo, slack: U0BO }\ngroups:\n  team: { slack: S0SHOP }\n",
        ),
        (
            "runbooks/shop.yaml",
            "project: shop\nabout: A shop.\nowner: team\nchannels: [C0SHOP]\nrules:\n  - { may: wipe, who: team }\n  - { may: drop, who: everyone, after: { approvals: 1, of: team } }\n  - otherwise: ask ana\n",
        ),
    ])
}

async fn begin(members: &[&str]) -> Story {
    Story::begin_told(files(), Door::Http, |slack| {
        slack.set_group("S0SHOP", members);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_group_stands_for_a_group_and_is_asked_anew_for_what_is_risky() {
    let story = begin(&[ANA]).await;
    story.slack.slash(ANA, SHOP, "wipe").await;
    let root = story.root("wipe succeeded").await;
    story.line(&root, "midwatch/").await;
    let decided = story.facts("decided");
    assert_eq!(decided[0]["groups"], serde_json::json!(["team"]));
    story.slack.set_group("S0SHOP", &[BO]);
    story.slack.slash(ANA, SHOP, "wipe").await;
    story.whisper(ANA, "is not yours to run").await;
    story.slack.slash(BO, SHOP, "wipe").await;
    let theirs = |story: &Story| story.facts("decided").len();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while theirs(&story) < 3 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        story.facts("decided")[2]["groups"],
        serde_json::json!(["team"])
    );
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slack_that_does_not_say_who_is_in_a_group_has_nobody_in_it() {
    let story = begin(&[ANA]).await;
    story.slack.hide_groups(true);
    story.slack.slash(ANA, SHOP, "wipe").await;
    let denial = story.whisper(ANA, "is not yours to run").await;
    assert!(read(&denial).contains("who is in slack S0SHOP could not be found out"));
    assert!(!story.home.path("wiped").exists());
    story.end_with(&["usergroups.users.list: internal_error"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_scope_nobody_is_in_a_group_and_everything_else_works() {
    let story = Story::begin_told(files(), Door::Http, |slack| {
        slack.take_scope("usergroups:read");
        slack.set_group("S0SHOP", &[ANA]);
    })
    .await;
    story.slack.slash(ANA, SHOP, "wipe").await;
    story.whisper(ANA, "is not yours to run").await;
    story.slack.slash(ANA, SHOP, "help").await;
    story.whisper(ANA, "/ops COMMAND").await;
    assert!(story.home.log().contains("missing_scope"));
    story.end_with(&["usergroups.users.list: missing_scope"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_comes_from_the_user_group_and_never_from_the_requesters_other_account() {
    let story = begin(&[ANA, "U9BO"]).await;
    story.slack.slash(BO, SHOP, "link slack U9BO").await;
    story.whisper(BO, "a code was sent to slack U9BO").await;
    let told = |slack: &FakeSlack| {
        let mut told = slack.messages("DU9BO").into_iter();
        told.find(|it| read(it).contains("/ops link "))
    };
    let told = story.slack.wait_for("the code", PATIENCE, told).await;
    let told = read(&told);
    let code = &told[told.find("/ops link ").unwrap() + "/ops link ".len()..][..8];
    story
        .slack
        .slash("U9BO", SHOP, &format!("link {code}"))
        .await;
    story.whisper("U9BO", "people.yaml").await;
    story.slack.slash(BO, SHOP, &format!("link {code}")).await;
    story.whisper(BO, "speaks for Bo now").await;
    story.slack.slash(BO, SHOP, "drop").await;
    let root = story.root("waits for 1 approval of team").await;
    story.slack.click("U9BO", &root, "Approve").await;
    story.whisper("U9BO", "you asked for this yourself").await;
    story.slack.click(ANA, &root, "Approve").await;
    story.root("drop succeeded").await;
    let links = story.facts("link");
    let became: Vec<&str> = links
        .iter()
        .filter_map(|it| it["became"].as_str())
        .collect();
    assert_eq!(became, ["asked", "linked"]);
    assert_eq!(links[0]["account"], links[1]["account"]);
    let export = story.home.run(&["ledger", "export"], "").stdout;
    let export = String::from_utf8(export).unwrap();
    assert!(!export.contains(code));
    assert!(!serde_json::Value::from(links).to_string().contains("U9BO"));
    assert!(!story.home.log().contains(code));
    story.slack.slash("U9BO", SHOP, "unlink slack U9BO").await;
    story
        .whisper("U9BO", "does not speak for Bo any more")
        .await;
    story.end();
}
