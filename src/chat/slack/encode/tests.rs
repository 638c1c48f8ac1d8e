//! Messages as Slack sees them.

use std::collections::BTreeMap;

use super::*;
use crate::domain::{CommandName, Field, ParameterName, Person};

fn ana() -> PersonId {
    PersonId::parse("ana").unwrap()
}

fn people() -> People {
    let person = |name: &str, accounts: &[&str]| Person {
        hours: None,
        second_factor: None,
        name: name.to_owned(),
        accounts: BTreeMap::from([(
            Platform::Slack,
            accounts.iter().map(ToString::to_string).collect(),
        )]),
    };
    People {
        persons: BTreeMap::from([
            (ana(), person("Ana <Ops>", &["T9/U9ANA", "T1/U1ANA"])),
            (PersonId::parse("bo").unwrap(), person("Bo", &["U2BO"])),
            (PersonId::parse("cy").unwrap(), person("Cy", &[])),
        ]),
        ..People::default()
    }
}

fn encoded(given: &Message) -> Encoded {
    message(given, &people(), "T1", "https://shop.slack.test/")
}

fn printed(encoded: &Encoded) -> String {
    let blocks = serde_json::to_string_pretty(&encoded.blocks).unwrap();
    format!("{}\n---\n{blocks}", encoded.text)
}

#[test]
fn a_whole_message_in_slacks_markup() {
    let at = Timestamp::from_second(1_790_000_000).unwrap();
    let field = |label: &str, value: Text| Field {
        label: label.to_owned(),
        value,
    };
    let message = Message::new(
        Text::new()
            .plain("▶ ")
            .code("flush-cache prod")
            .plain(" for ")
            .person(&ana())
            .plain("\n"),
    )
    .with(Block::Fields(vec![
        field("since", Text::new().time(at)),
        field(
            "waits for",
            Text::new()
                .ping(&ana())
                .ping(&PersonId::parse("cy").unwrap()),
        ),
    ]))
    .with(Block::Output(
        "$ varnishadm <!channel> & *bold*\n200 OK\n".to_owned(),
    ))
    .with(Block::Progress { done: 2, total: 4 })
    .buttons(vec![
        Button::plain("Show", "show 7f3k"),
        Button::primary("Approve", "approve 7f3k"),
        Button::danger("Cancel", "cancel 7f3k"),
    ])
    .text(Text::from("after the buttons"));
    insta::assert_snapshot!(printed(&encoded(&message)));
}

#[test]
fn a_form_in_slacks_markup() {
    let field = |name: &str, choices: &[&str], optional| FormField {
        name: ParameterName::parse(name).unwrap(),
        help: "Which one.".to_owned(),
        choices: choices.iter().map(ToString::to_string).collect(),
        example: "/shop".to_owned(),
        optional,
    };
    let form_given = Form {
        command: CommandName::parse("flush-cache-of-all-shops").unwrap(),
        says: "flush-cache".to_owned(),
        does: "Empties the cache.".to_owned(),
        fields: vec![
            field("environment", &["staging", "prod"], false),
            field("path", &[], true),
        ],
    };
    let place = Place {
        platform: Platform::Slack,
        space: "T1".to_owned(),
        channel: "C1".to_owned(),
        thread: Some("17.1".to_owned()),
    };
    let view = form(&form_given, &place).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
    let long = Form {
        says: "x".repeat(3_001),
        ..form_given
    };
    assert!(form(&long, &place).is_err());
}

#[test]
fn nothing_that_people_wrote_can_act() {
    let hostile = "<!channel> <@U1> @here <https://evil.test|shop> & *x* `y`";
    let given = Message::new(Text::new().plain(hostile).bold(hostile).code(hostile))
        .with(Block::Output(hostile.to_owned()));
    let encoded = encoded(&given);
    assert!(!encoded.text.contains(['<', '>']), "{}", encoded.text);
    for block in &encoded.blocks {
        assert_eq!(block["type"], "rich_text");
        for part in block["elements"].as_array().unwrap() {
            for element in part["elements"].as_array().unwrap() {
                assert_eq!(element["type"], "text");
            }
        }
    }
}

#[test]
fn a_ping_takes_the_account_of_this_space() {
    let rows = [
        ("this space's own", "ana", "T1", Some("U1ANA")),
        ("another space's own", "ana", "T9", Some("U9ANA")),
        ("none in this space", "ana", "T5", None),
        ("valid in each space", "bo", "T5", Some("U2BO")),
        ("no account", "cy", "T1", None),
        ("nobody", "dee", "T1", None),
    ];
    for (name, person, space, expected) in rows {
        let names = Names {
            platform: Platform::Slack,
            people: &people(),
            space,
            home: "",
        };
        let account = names.account(&PersonId::parse(person).unwrap());
        assert_eq!(account.as_deref(), expected, "{name}");
    }
}

#[test]
fn long_output_keeps_its_head_and_its_tail() {
    let lines: Vec<String> = (0..2_000).map(|n| format!("line {n}")).collect();
    let given = Message::new(Text::from("done")).with(Block::Output(lines.join("\n")));
    let encoded = encoded(&given);
    let rich = &encoded.blocks[0]["elements"][1]["elements"];
    let shown: String = rich
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["text"].as_str().unwrap())
        .collect();
    assert!(
        shown.starts_with("line 0\nline 1\n") && shown.ends_with("line 1999"),
        "{shown}"
    );
    let hidden = 2_000 - (shown.lines().count() - 1);
    assert!(
        shown.contains(&format!("\n… {hidden} lines …\n")),
        "{shown}"
    );
    assert!(encoded.text.chars().count() <= MESSAGE_CHARS);
}

#[test]
fn whatever_is_given_keeps_slacks_limits() {
    let long = "é<".repeat(9_000);
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
            "one long line",
            Message::new(Text::from("x")).with(Block::Output(long.clone())),
        ),
        (
            "many outputs",
            (0..80).fold(Message::new(Text::from("x")), |all, _| {
                all.with(Block::Output("line\n".repeat(300)))
            }),
        ),
        (
            "many buttons",
            Message::new(Text::from("x")).buttons((0..9).map(|_| says(2_000)).collect()),
        ),
        (
            "a button that says too much",
            Message::new(Text::from("x")).buttons(vec![says(2_001)]),
        ),
        (
            "no steps",
            Message::new(Text::from("x")).with(Block::Progress { done: 9, total: 0 }),
        ),
    ];
    for (name, given) in rows {
        let encoded = encoded(&given);
        assert!(encoded.text.chars().count() <= MESSAGE_CHARS, "{name}");
        assert!((1..=50).contains(&encoded.blocks.len()), "{name}");
        let mut total = 0;
        for block in &encoded.blocks {
            let elements = block["elements"].as_array().unwrap();
            assert!(!elements.is_empty(), "{name}");
            if block["type"] == "actions" {
                assert!(elements.len() <= 5, "{name}");
                assert!(
                    elements[0]["text"]["text"]
                        .as_str()
                        .unwrap()
                        .chars()
                        .count()
                        <= 75
                );
                continue;
            }
            for element in elements
                .iter()
                .flat_map(|part| part["elements"].as_array().unwrap())
            {
                let length = element["text"].as_str().unwrap().chars().count();
                assert!((1..=3_000).contains(&length), "{name}: {length}");
                total += length;
            }
        }
        assert!(total <= MESSAGE_CHARS, "{name}: {total}");
    }
}

#[test]
fn progress_stays_short() {
    assert_eq!(progress(2, 4), "▰▰▱▱ 2/4");
    assert_eq!(progress(0, 0), "▱ 0/1");
    assert_eq!(progress(50, 100), "▰▰▰▰▰▰▱▱▱▱▱▱ 50/100");
}
