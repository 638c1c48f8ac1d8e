//! People who are called on Slack: direct messages, mentions, a restart in between, and a platform that asks to wait.

use super::*;

/// The second level comes four seconds after the first.
fn files() -> Home {
    Home::of_files(&[
        (
            "commands/look.yaml",
            "command: look\ndoes: Looks.\nsteps:\n  - { name: look, run: [uptime], effect: read }\n",
        ),
        (
            "runbooks/people.yaml",
            "people:\n  ana: { name: Ana Ruiz, slack: U0ANA }\n  bo: { name: Bo, slack: U0BO }\nrotations:\n  shop: { zone: UTC, starts: 2026-01-05 09:00, every: 7d, levels: { oncall: [ana], second: [bo] } }\n",
        ),
        (
            "runbooks/shop.yaml",
            "project: shop\nabout: A shop.\nchannels: [C0SHOP]\nrules:\n  - { may: look, who: bo, after: { approvals: 1, of: ana } }\n  - otherwise: ask ana\nescalation:\n  - { at: 0s, call: oncall(shop) }\n  - { at: 4s, call: second(shop) }\n",
        ),
    ])
}

async fn begin() -> Story {
    Story::begin_with(files(), Door::Http).await
}

/// The direct message to this account with these words.
async fn direct(story: &Story, user: &str, says: &str) -> Posted {
    let told = |slack: &FakeSlack| {
        let mut told = slack.messages(&format!("D{user}")).into_iter();
        told.find(|it| read(it).contains(says))
    };
    let what = format!("`{says}` for {user}");
    story.slack.wait_for(&what, PATIENCE, told).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_level_is_called_after_a_restart_and_answers_by_a_button() {
    let story = begin().await;
    story
        .slack
        .slash(BO, SHOP, "page \"checkout is down\"")
        .await;
    direct(&story, ANA, "pages you for shop: “checkout is down”").await;
    story.root("calling oncall(shop)").await;
    let Story {
        slack,
        home,
        bot,
        shop,
    } = story;
    bot.kill9();
    let bot = home.serve().await;
    slack.use_http(&bot.url(""));
    let story = Story {
        slack,
        home,
        bot,
        shop,
    };
    let called = story.root("calling second(shop)").await;
    direct(&story, BO, "you are called as second(shop)").await;
    story.slack.click(BO, &called, "I have it").await;
    story.root("nobody else is called").await;
    direct(&story, ANA, "nobody else is called").await;
    let became: Vec<_> = story
        .facts("page")
        .iter()
        .map(|it| it["became"]["event"].clone())
        .collect();
    let of = |word: &str| became.iter().filter(|it| *it == word).count();
    assert_eq!(
        (of("began"), of("called"), of("acknowledged")),
        (1, 2, 1),
        "{became:?}"
    );
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_that_the_first_does_not_give_is_asked_of_the_second_level() {
    let story = begin().await;
    story.slack.slash(BO, SHOP, "look").await;
    let root = story.root("waits for 1 approval").await;
    story.line(&root, "nobody has answered whether").await;
    direct(&story, BO, "nobody has answered whether look may run").await;
    story.slack.click(ANA, &root, "Approve").await;
    story.root("look succeeded").await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_429_drops_no_call() {
    let story = begin().await;
    story.slack.keep_pace(true);
    story.slack.refuse_next(6);
    story.slack.slash(BO, SHOP, "page it hangs").await;
    direct(&story, ANA, "pages you").await;
    story.root("calling oncall(shop)").await;
    story.slack.refuse_next(4);
    story.root("calling second(shop)").await;
    direct(&story, BO, "you are called as second(shop)").await;
    story.slack.slash(ANA, SHOP, "ack").await;
    story.root("nobody else is called").await;
    story.end();
}
