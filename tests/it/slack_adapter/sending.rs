//! What goes out: messages, edits, whispers, files, forms; and what is true after each failure.

use midwatch::chat::{DeliveryError, Transport};
use midwatch::domain::{Block, Button, CommandName, Form, FormField, Message, ParameterName, Text};
use midwatch::store::{Mark, MessageRef};
use serde_json::json;

use super::*;
use crate::fakes::slack::{BOT_USER, Storm, render};

fn said(words: &str) -> Message {
    Message::new(Text::from(words))
}

/// The mark of a posting's first state.
fn mark(posting: i64) -> Mark {
    Mark {
        id: posting.to_string(),
        version: 1,
    }
}

fn form() -> Form {
    let field = |name: &str, choices: &[&str]| FormField {
        name: ParameterName::parse(name).unwrap(),
        help: "Which one.".to_owned(),
        choices: choices.iter().map(ToString::to_string).collect(),
        example: "/".to_owned(),
        optional: false,
    };
    Form {
        command: CommandName::parse("flush-cache").unwrap(),
        says: "flush-cache".to_owned(),
        does: "Empties the cache.".to_owned(),
        fields: vec![
            field("environment", &["staging", "prod"]),
            field("path", &[]),
        ],
    }
}

#[tokio::test]
async fn a_run_has_one_root_that_is_edited_and_a_thread() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    let (slack, here) = (&app.slack, place("C1"));
    let ana = PersonId::parse("ana").unwrap();
    let root = slack
        .post(&here, None, &said("queued"), &mark(1))
        .await
        .unwrap();
    let line = Message::new(Text::new().ping(&ana).plain(" please approve <!channel>"))
        .buttons(vec![Button::primary("Approve", "approve 7f3k")]);
    slack
        .post(&here, Some(&root), &line, &mark(2))
        .await
        .unwrap();
    let done = said("done").with(Block::Output("a\nb\n".to_owned()));
    slack.edit(&here, &root, &done, &mark(1)).await.unwrap();
    slack
        .attach(&here, Some(&root), "ban.txt", "whole output")
        .await
        .unwrap();
    slack
        .attach(&here, Some(&root), "empty.txt", "")
        .await
        .unwrap();

    let (_, ts) = root.0.split_once(':').unwrap();
    let thread = fake.thread("C1", ts);
    assert_eq!(
        thread[..2],
        [
            "done\n```\na\nb\n```",
            "<@UANA> please approve <!channel>\n[Approve]"
        ]
    );
    let messages = fake.messages("C1");
    assert_eq!(messages[0].edits, 1);
    assert_eq!(
        messages[2].files,
        [("ban.txt".to_owned(), "whole output".to_owned())]
    );
    assert_eq!(messages.len(), 3);

    fake.click("UANA", &messages[1], "Approve").await;
    let click = app.heard.all().pop().unwrap();
    assert_eq!(
        (click.text.as_str(), click.speaker.id.as_str()),
        ("approve 7f3k", "UANA")
    );
    assert_eq!(click.place.thread.as_deref(), Some(ts));
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_root_within_a_thread_has_its_lines_there_too() {
    let fake = FakeSlack::start().await;
    let app = App::start(&fake).await;
    let asked = fake.mention("UANA", "C1", None, "help").await;
    let here = Place {
        thread: Some(asked.clone()),
        ..place("C1")
    };
    let root = app
        .slack
        .post(&here, None, &said("queued"), &mark(1))
        .await
        .unwrap();
    app.slack
        .post(&here, Some(&root), &said("line"), &mark(2))
        .await
        .unwrap();
    assert_eq!(fake.thread("C1", &asked)[1..], ["queued", "line"]);
    fake.take_violations(); // Nobody listened, so the mention was not acknowledged; the posts are what counts.
}

#[tokio::test]
async fn a_form_is_opened_filled_in_and_heard() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    fake.slash("UANA", "C1", "flush-cache").await;
    let asked = app.heard.all().pop().unwrap();
    let handle = asked.form_handle.unwrap();
    app.slack
        .open_form(&asked.place, &handle, &form())
        .await
        .unwrap();
    let opened = fake.forms().pop().unwrap();
    let values = [("environment", "prod"), ("path", "/a \"b\"")];

    app.heard.fail_next(1);
    let ack = fake.submit(&opened, &values).await;
    let told: Value = serde_json::from_str(&ack.body).unwrap();
    assert_eq!(
        told["response_action"], "errors",
        "the form stays open: {told}"
    );

    let ack = fake.submit(&opened, &values).await;
    assert_eq!((ack.status, ack.body.as_str()), (200, ""));
    let filled = app.heard.all().pop().unwrap();
    assert_eq!(
        filled.text,
        r#"flush-cache environment="prod" path="/a \"b\"""#
    );
    assert_eq!(filled.place, asked.place);

    let again = app.slack.open_form(&asked.place, &handle, &form()).await;
    assert!(matches!(again, Err(DeliveryError::Refused(_))), "{again:?}");
    assert_eq!(fake.take_violations(), ["views.open: exchanged_trigger_id"]);
}

#[tokio::test]
async fn a_whisper_reaches_the_person_even_where_we_are_not() {
    let fake = FakeSlack::start().await;
    let app = App::start(&fake).await;
    app.slack
        .whisper(&place("C1"), "UANA", None, &said("only you"), &mark(1))
        .await
        .unwrap();
    assert_eq!(
        fake.whispers("UANA").iter().map(render).collect::<Vec<_>>(),
        ["only you"]
    );
    app.slack
        .whisper(
            &place("C3"),
            "UANA",
            None,
            &said("not a member there"),
            &mark(2),
        )
        .await
        .unwrap();
    assert_eq!(
        fake.messages("DUANA")
            .iter()
            .map(render)
            .collect::<Vec<_>>(),
        ["not a member there"]
    );
    assert!(fake.messages("C1").is_empty() && fake.messages("C3").is_empty());
}

#[tokio::test]
async fn a_post_without_answer_is_in_doubt_and_found_again() {
    let fake = FakeSlack::start().await;
    let app = App::start(&fake).await;
    let (slack, here) = (&app.slack, place("C1"));
    assert_eq!(
        slack
            .find(&here, None, &said("root"), &mark(7))
            .await
            .unwrap(),
        None
    );
    fake.drop_answer_next(1);
    let lost = slack.post(&here, None, &said("root"), &mark(7)).await;
    assert!(matches!(lost, Err(DeliveryError::InDoubt(_))), "{lost:?}");
    let root = slack
        .find(&here, None, &said("root"), &mark(7))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(root.0, format!("C1:{}", fake.messages("C1")[0].ts));

    for number in 100..330 {
        slack
            .post(&here, Some(&root), &said("line"), &mark(number))
            .await
            .unwrap();
    }
    fake.drop_answer_next(1);
    let lost = slack
        .post(&here, Some(&root), &said("last"), &mark(8))
        .await;
    assert!(matches!(lost, Err(DeliveryError::InDoubt(_))), "{lost:?}");
    assert!(
        slack
            .find(&here, Some(&root), &said("last"), &mark(8))
            .await
            .unwrap()
            .is_some(),
        "on a later page"
    );
    assert_eq!(
        slack
            .find(&here, Some(&root), &said("last"), &mark(9))
            .await
            .unwrap(),
        None
    );
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn each_failure_says_what_is_true_afterwards() {
    let fake = FakeSlack::start().await;
    let app = App::start(&fake).await;
    let (slack, here) = (&app.slack, place("C1"));
    let root = slack
        .post(&here, None, &said("root"), &mark(1))
        .await
        .unwrap();
    let post = async |channel: &str| {
        slack
            .post(&place(channel), None, &said("x"), &mark(2))
            .await
            .unwrap_err()
    };

    fake.fail_next(1);
    assert!(matches!(post("C1").await, DeliveryError::InDoubt(_)));
    fake.fail_next(1);
    let edit = slack
        .edit(&here, &root, &said("x"), &mark(1))
        .await
        .unwrap_err();
    assert!(matches!(edit, DeliveryError::Failed(_)), "{edit:?}");
    fake.archive_channel("C2");
    for (channel, word) in [
        ("C9", "channel_not_found"),
        ("C3", "not_in_channel"),
        ("C2", "is_archived"),
    ] {
        let error = post(channel).await;
        assert!(
            matches!(&error, DeliveryError::Refused(said) if said == word),
            "{channel}: {error:?}"
        );
    }
    let gone = slack
        .edit(
            &here,
            &MessageRef("C1:1.1".to_owned()),
            &said("x"),
            &mark(1),
        )
        .await
        .unwrap_err();
    assert!(matches!(gone, DeliveryError::Gone(_)), "{gone:?}");
    let thread = MessageRef("C1:1.1".to_owned());
    let gone = slack.post(&here, Some(&thread), &said("x"), &mark(4)).await;
    assert!(matches!(gone, Err(DeliveryError::Gone(_))), "{gone:?}");
    let nonsense = slack
        .edit(
            &here,
            &MessageRef("console".to_owned()),
            &said("x"),
            &mark(1),
        )
        .await
        .unwrap_err();
    assert!(
        matches!(nonsense, DeliveryError::Refused(_)),
        "{nonsense:?}"
    );
    fake.take_violations();

    let wrong = SlackSettings {
        bot_token: "xoxb-wrong".to_owned().into(),
        ..settings(&fake.api_url())
    };
    let error = Slack::new(&wrong, catalog())
        .unwrap()
        .identify()
        .await
        .unwrap_err();
    assert!(
        matches!(&error, DeliveryError::Failed(why) if why.contains("invalid_auth")),
        "{error:?}"
    );
    let nobody = Slack::new(&settings("http://127.0.0.1:9/api"), catalog()).unwrap();
    let error = nobody
        .post(&here, None, &said("x"), &mark(3))
        .await
        .unwrap_err();
    assert!(
        matches!(error, DeliveryError::Failed(_)),
        "nothing was sent: {error:?}"
    );
}

#[tokio::test]
async fn nothing_is_called_before_slack_wants_to_hear_of_it_again() {
    let fake = FakeSlack::start().await;
    let app = App::start(&fake).await;
    let (slack, here) = (&app.slack, place("C1"));
    let second = Duration::from_secs(1);
    fake.refuse_next(1);
    let post = slack.post(&here, None, &said("x"), &mark(1)).await;
    assert!(
        matches!(post, Err(DeliveryError::Limited(wait)) if wait == second),
        "{post:?}"
    );
    let calls = fake.calls("chat.postMessage");
    let sooner = slack
        .post(&place("C2"), None, &said("x"), &mark(2))
        .await
        .unwrap_err();
    assert!(
        matches!(sooner, DeliveryError::Limited(rest) if rest < second),
        "{sooner:?}"
    );
    assert_eq!(fake.calls("chat.postMessage"), calls, "it was not asked");
    tokio::time::sleep(second).await;
    let root = slack.post(&here, None, &said("x"), &mark(1)).await.unwrap();
    fake.refuse_next(1);
    let edit = slack.edit(&here, &root, &said("y"), &mark(1)).await;
    assert!(matches!(edit, Err(DeliveryError::Limited(_))), "{edit:?}");
    // Another method has a time of its own.
    assert!(slack.stands(&here, None, &root, &mark(1)).await.unwrap());
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_taken_is_read_back() {
    let fake = FakeSlack::start().await;
    let app = App::start(&fake).await;
    let (slack, here) = (&app.slack, place("C1"));
    let newer = |posting| Mark {
        version: 2,
        ..mark(posting)
    };
    let root = slack.post(&here, None, &said("1"), &mark(1)).await.unwrap();
    assert!(slack.stands(&here, None, &root, &mark(1)).await.unwrap());
    assert!(!slack.stands(&here, None, &root, &newer(1)).await.unwrap());
    slack
        .edit(&here, &root, &said("2"), &newer(1))
        .await
        .unwrap();
    assert!(slack.stands(&here, None, &root, &newer(1)).await.unwrap());

    let line = slack
        .post(&here, Some(&root), &said("line"), &mark(2))
        .await
        .unwrap();
    let stands = slack.stands(&here, Some(&root), &line, &mark(2)).await;
    assert!(stands.unwrap());
    let nowhere = MessageRef("C1:1.1".to_owned());
    let stands = slack.stands(&here, Some(&root), &nowhere, &mark(2)).await;
    assert!(!stands.unwrap());
    let stands = slack.stands(&here, None, &nowhere, &mark(2)).await;
    assert!(!stands.unwrap(), "a thread that is not there");
}

#[tokio::test]
async fn the_longest_message_is_taken() {
    let fake = FakeSlack::start().await;
    let app = App::start(&fake).await;
    let long = (0..300).fold(String::new(), |all, n| format!("{all}line {n} <&>\n"));
    let message = said(&"word ".repeat(400))
        .with(Block::Output(long.clone()))
        .with(Block::Output(long))
        .with(Block::Progress { done: 3, total: 9 })
        .buttons(
            (0..9)
                .map(|n| Button::plain(&format!("Button {n}"), "x".repeat(2_000)))
                .collect(),
        );
    app.slack
        .post(&place("C1"), None, &message, &mark(1))
        .await
        .unwrap();
    assert_eq!(fake.violations(), Vec::<String>::new());
}

/// Our own messages come back as events in a real workspace: answering them would never end.
#[tokio::test]
async fn our_own_messages_are_not_heard() {
    let fake = FakeSlack::start().await;
    let app = App::over_http(&fake).await;
    let (channel, _) = fake.direct_message("UANA", "help").await;
    let here = place(&channel);
    let root = app
        .slack
        .post(&here, None, &said("an answer"), &mark(1))
        .await
        .unwrap();
    app.slack
        .edit(&here, &root, &said("another answer"), &mark(1))
        .await
        .unwrap();
    // A later event has passed the same door, so the echoes had their chance.
    fake.direct_message("UANA", "list").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(app.heard.texts(), ["help", "list"]);
    assert!(
        app.heard
            .all()
            .iter()
            .all(|inbound| inbound.speaker.id != BOT_USER)
    );
}

#[tokio::test]
async fn the_fake_refuses_what_slack_refuses() {
    let fake = FakeSlack::start().await;
    let client = reqwest::Client::new();
    let call = async |token: &str, method: &str, body: Value| -> String {
        let request = client.post(format!("{}/{method}", fake.api_url()));
        let request = request
            .header("content-type", "application/json")
            .bearer_auth(token);
        let answer = request
            .body(body.to_string())
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["error"].as_str().unwrap_or("ok").to_owned()
    };
    let rich = |element: Value| json!([{ "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": [element] }] }]);
    let body =
        |blocks: Value| json!({ "channel": "C1", "text": "x", "parse": "none", "blocks": blocks });
    let many: Vec<Value> = (0..51).map(|_| json!({ "type": "divider" })).collect();
    let rows = [
        (
            "fine",
            body(rich(json!({ "type": "text", "text": "x" }))),
            "ok",
        ),
        (
            "empty text element",
            body(rich(json!({ "type": "text", "text": "" }))),
            "invalid_blocks",
        ),
        (
            "long text element",
            body(rich(json!({ "type": "text", "text": "x".repeat(3_001) }))),
            "invalid_blocks",
        ),
        (
            "date as text",
            body(rich(
                json!({ "type": "date", "timestamp": "1", "format": "{time}" }),
            )),
            "invalid_blocks",
        ),
        (
            "unknown element",
            body(rich(json!({ "type": "bold" }))),
            "invalid_blocks",
        ),
        ("51 blocks", body(many.into()), "invalid_blocks"),
        (
            "nothing",
            json!({ "channel": "C1", "parse": "none" }),
            "no_text",
        ),
        (
            "no such thread",
            json!({ "channel": "C1", "text": "x", "parse": "none", "thread_ts": "1.1" }),
            "thread_not_found",
        ),
    ];
    for (name, body, expected) in rows {
        assert_eq!(
            call(BOT_TOKEN, "chat.postMessage", body).await,
            expected,
            "{name}"
        );
    }
    assert_eq!(
        call(APP_TOKEN, "chat.postMessage", json!({})).await,
        "not_allowed_token_type"
    );
    assert_eq!(call("xoxb-2", "auth.test", json!({})).await, "invalid_auth");
    assert_eq!(
        call(BOT_TOKEN, "chat.delete", json!({})).await,
        "unknown_method"
    );
    assert!(fake.take_violations().len() > 8);

    fake.keep_pace(true);
    let fine = || json!({ "channel": "C2", "text": "x", "parse": "none" });
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(call(BOT_TOKEN, "chat.postMessage", fine()).await);
    }
    assert_eq!(answers, ["ok", "ok", "ok", "ok", "ratelimited"]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    call(BOT_TOKEN, "chat.postMessage", fine()).await;
    assert!(
        fake.take_violations()
            .iter()
            .any(|violation| violation.contains("Retry-After"))
    );
    fake.keep_pace(false);
    let posts = fake.calls("chat.postMessage");
    let storm = |refuse, lose| Storm {
        refuse,
        lose,
        ..Storm::default()
    };
    fake.storm(storm(1.0, 0.0), 1);
    let post = || json!({ "channel": "C1", "text": "stormy", "parse": "none" });
    assert_eq!(
        call(BOT_TOKEN, "chat.postMessage", post()).await,
        "ratelimited"
    );
    fake.storm(storm(0.0, 1.0), 1);
    assert_eq!(call(BOT_TOKEN, "chat.postMessage", post()).await, "ok");
    assert_eq!(fake.toll().lost, 1);
    fake.calm();
    let stormy = |fake: &FakeSlack| {
        fake.messages("C1")
            .iter()
            .filter(|it| it.text == "stormy")
            .count()
    };
    assert_eq!(stormy(&fake), 0, "taken, and not kept");
    fake.take_violations();
    fake.judge_pace();
    for _ in 0..3 {
        assert_eq!(call(BOT_TOKEN, "chat.postMessage", post()).await, "ok");
    }
    assert_eq!(stormy(&fake), 2, "a burst is not kept");
    let violations = fake.take_violations();
    let judged = violations.iter().any(|it| it.contains("3 posts in"));
    assert!(judged, "{violations:?}");
    assert_eq!(fake.calls("chat.postMessage"), posts + 5);
}
