//! Messages as Discord sees them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;
use crate::domain::{CommandName, Field, ParameterName, Person, PersonId};

fn ana() -> PersonId {
    PersonId::parse("ana").unwrap()
}

fn people() -> People {
    let person = |name: &str, accounts: &[&str]| Person {
        hours: None,
        second_factor: None,
        name: name.to_owned(),
        accounts: BTreeMap::from([(
            Platform::Discord,
            accounts.iter().map(ToString::to_string).collect(),
        )]),
    };
    People {
        persons: BTreeMap::from([
            (ana(), person("Ana *Ops*", &["9/900", "1/100"])),
            (
                PersonId::parse("bo").unwrap(),
                person("Bo", &["not a number"]),
            ),
        ]),
        ..People::default()
    }
}

fn encoded(given: &Message) -> Value {
    message(given, &people(), "1")
}

fn content(given: &Message) -> String {
    let body = encoded(given);
    let text = body["content"]
        .as_str()
        .or(body["components"][0]["content"].as_str());
    text.expect("it says something").to_owned()
}

#[test]
fn a_whole_message_in_discords_markup() {
    let at = Timestamp::from_second(1_790_000_000).unwrap();
    let field = |label: &str, value: Text| Field {
        label: label.to_owned(),
        value,
    };
    let given = Message::new(
        Text::new()
            .plain("▶ ")
            .code("flush-cache prod")
            .plain(" for ")
            .person(&ana()),
    )
    .with(Block::Fields(vec![
        field("since", Text::new().time(at)),
        field(
            "waits for",
            Text::new()
                .ping(&ana())
                .ping(&PersonId::parse("bo").unwrap()),
        ),
    ]))
    .with(Block::Progress { done: 1, total: 3 })
    .with(Block::Output("one\n```two```\n".to_owned()))
    .buttons(vec![
        Button::primary("Approve", "approve 7f3k"),
        Button::danger("Reject", "reject 7f3k"),
        Button::plain(
            "Again",
            format!("flush-cache prod path=/{}", "x".repeat(90)),
        ),
    ]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&encoded(&given)).unwrap());
}

#[test]
fn no_word_formats_mentions_or_links() {
    for (given, shown) in [
        (
            "*b* _i_ ~s~ `c` ||x||",
            r"\*b\* \_i\_ \~s\~ \`c\` \|\|x\|\|",
        ),
        (
            "<@1> <#2> <:e:3> @everyone",
            r"\<\@1\> \<#2\> \<:e:3\> \@everyone",
        ),
        ("[a](https://x.test)", r"\[a\](https\://x.test)"),
        (
            "# big\n- one\n  + two\n1-2 a#b",
            "\\# big\n\\- one\n  \\+ two\n1-2 a#b",
        ),
        ("> quote", r"\> quote"),
        (r"back\slash", r"back\\slash"),
        ("at 12:30", "at 12:30"),
    ] {
        assert_eq!(content(&Message::new(Text::from(given))), shown);
    }
    for (given, shown) in [
        ("a b", "`a b`"),
        ("a `b`", "`` a `b` ``"),
        ("```", "`` `\u{200b}`\u{200b}` ``"),
    ] {
        assert_eq!(content(&Message::new(Text::new().code(given))), shown);
    }
}

#[test]
fn nobody_is_pinged_but_those_who_are_asked() {
    let bo = PersonId::parse("bo").unwrap();
    let quiet = encoded(&Message::new(Text::new().person(&ana()).plain(" <@100>")));
    assert_eq!(
        quiet["allowed_mentions"],
        json!({ "parse": [], "users": [] })
    );
    let asked = encoded(&Message::new(
        Text::new().ping(&ana()).ping(&ana()).ping(&bo),
    ));
    assert_eq!(
        asked["allowed_mentions"],
        json!({ "parse": [], "users": ["100"] })
    );
    assert_eq!(asked["content"], "<@100><@100>**\\@Bo**");
}

#[test]
fn output_of_nothing_opens_no_block() {
    for nothing in ["", " \n", "\u{200b}"] {
        let given = Message::new(Text::new().plain("one"))
            .with(Block::Output(nothing.to_owned()))
            .with(Block::Output("**two**".to_owned()));
        assert_eq!(content(&given), "one\n```\n**two**\n```", "{nothing:?}");
    }
}

#[test]
fn what_is_too_long_for_the_content_is_a_component_and_output_gives_way_first() {
    let lines: Vec<String> = (0..2_000).map(|n| format!("line {n}")).collect();
    let short = Message::new(Text::from("done")).with(Block::Output(lines[..100].join("\n")));
    assert!(encoded(&short)["content"].is_string());
    let long = short
        .clone()
        .with(Block::Output(lines.join("\n")))
        .text(Text::from("the end"));
    let body = encoded(&long);
    assert_eq!(
        (&body["content"], &body["flags"]),
        (&Value::Null, &json!(1 << 15))
    );
    let shown = content(&long);
    assert!(shown.starts_with("done\n```\nline 0\n"), "{shown}");
    assert!(shown.ends_with("line 1999\n```\nthe end"), "{shown}");
    assert_eq!(shown.matches("```").count(), 4, "{shown}");
}

/// Discord's document of its own limits, as far as they bind us.
#[test]
fn output_of_any_length_is_shown() {
    for length in (1_900..2_100).chain(3_900..4_100) {
        let given = Message::new(Text::new().plain("x")).with(Block::Output("y".repeat(length)));
        let shown = content(&given);
        let shown = shown.matches('y').count();
        assert!(shown >= length.min(3_900), "{shown} of {length}");
    }
}

fn assert_within_limits(name: &str, body: &Value) {
    let length = |value: &Value| value.as_str().unwrap().chars().count();
    let components = body["components"].as_array().unwrap();
    let (texts, rows): (Vec<_>, Vec<_>) =
        components.iter().partition(|it| it["type"] == TEXT_DISPLAY);
    if let Some(content) = body["content"].as_str() {
        assert!(
            (1..=CONTENT_CHARS).contains(&content.chars().count()),
            "{name}"
        );
        assert!(texts.is_empty(), "{name}");
    }
    let total: usize = texts.iter().map(|it| length(&it["content"])).sum();
    assert!(total <= COMPONENT_CHARS, "{name}: {total}");
    assert!(rows.len() <= 5, "{name}");
    let mut ids = Vec::new();
    for row in rows {
        let buttons = row["components"].as_array().unwrap();
        assert!((1..=5).contains(&buttons.len()), "{name}");
        for button in buttons {
            assert!((1..=80).contains(&length(&button["label"])), "{name}");
            assert!((1..=100).contains(&length(&button["custom_id"])), "{name}");
            ids.push(button["custom_id"].to_string());
        }
    }
    let given = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), given, "{name}: each is named otherwise");
}

#[test]
fn whatever_is_given_keeps_discords_limits_and_every_block_is_closed() {
    let long = "é`<".repeat(9_000);
    let says = |length| Button::plain(&long, "x".repeat(length));
    let rows = [
        ("nothing", Message::default()),
        (
            "empty parts",
            Message::new(Text::from("")).with(Block::Output(String::new())),
        ),
        (
            "long words",
            Message::new(Text::new().plain(&long).bold(&long)).text(Text::from("end")),
        ),
        (
            "many lines and an output",
            Message::new(Text::from("line\n".repeat(1_500).as_str()))
                .with(Block::Output(long.clone())),
        ),
        (
            "one long line",
            Message::new(Text::from("x")).with(Block::Output(long.clone())),
        ),
        (
            "backticks",
            Message::new(Text::from("x")).with(Block::Output("`".repeat(3_900))),
        ),
        (
            "many outputs",
            (0..80).fold(Message::new(Text::from("x")), |all, _| {
                all.with(Block::Output("line\n".repeat(300)))
            }),
        ),
        (
            "many buttons",
            Message::new(Text::from("x")).buttons((0..40).map(|_| says(90)).collect()),
        ),
        (
            "buttons that say too much",
            Message::new(Text::from("x")).buttons(vec![says(94), says(3_000)]),
        ),
        (
            "no steps",
            Message::new(Text::from("x")).with(Block::Progress { done: 9, total: 0 }),
        ),
    ];
    for (name, given) in rows {
        assert_within_limits(name, &encoded(&given));
        assert_eq!(content(&given).matches("```").count() % 2, 0, "{name}");
    }
}

fn form_of(says: &str, fields: usize) -> Form {
    let field = |n: usize| FormField {
        name: ParameterName::parse(&format!("field{n}")).unwrap(),
        help: "Which one.".to_owned(),
        choices: if n == 0 {
            vec!["a".to_owned(), "b".to_owned()]
        } else {
            Vec::new()
        },
        example: "v1.2".to_owned(),
        optional: n > 0,
    };
    Form {
        command: CommandName::parse("deploy").unwrap(),
        says: says.to_owned(),
        does: "Deploys.".to_owned(),
        fields: (0..fields).map(field).collect(),
    }
}

#[test]
fn a_form_in_discords_markup() {
    let modal = form(&form_of("deploy prod", 2)).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&modal).unwrap());
}

#[test]
fn a_form_that_does_not_fit_is_refused() {
    assert!(
        form(&form_of("deploy", 6))
            .unwrap_err()
            .contains("`deploy`")
    );
    assert!(form(&form_of(&"x".repeat(96), 1)).is_err());
}
