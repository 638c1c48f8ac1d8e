//! Every kind of message of the shipped projects, in the three renderings.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::catalog::{self, Folders, Loaded};
use crate::domain::Message;

fn shipped() -> Loaded {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = Folders {
        commands: here.join("commands"),
        runbooks: here.join("runbooks"),
    };
    catalog::load(&folders, &BTreeMap::new())
}

fn now() -> Timestamp {
    "2026-01-07T03:12:00Z".parse().unwrap()
}

fn scenes(loaded: &Loaded) -> Vec<Scene> {
    gallery::all(loaded, now()).unwrap()
}

/// Without what changes with each change of a file.
fn lasting(line: &str, loaded: &Loaded) -> String {
    let revision = loaded.catalog.revision.to_string();
    line.replace(&revision[..12.min(revision.len())], "REVISION")
}

#[test]
fn every_kind_of_message_in_three_renderings() {
    let loaded = shipped();
    let mut told = String::new();
    for scene in scenes(&loaded) {
        told.push_str(&format!("── {}\n", scene.name));
        let drawn = draw(&scene, &loaded.catalog.people, now(), None);
        for column in drawn.iter().flatten() {
            told.push_str(&format!("   {}\n", column.platform));
            for line in column.lines() {
                let line = format!("     {}", lasting(&line, &loaded));
                told.push_str(line.trim_end());
                told.push('\n');
            }
        }
    }
    insta::assert_snapshot!(told);
}

#[test]
fn every_scene_is_led_to_by_an_example_that_is_shipped() {
    for scene in scenes(&shipped()) {
        assert!(!scene.shown.is_empty(), "{}", scene.name);
    }
}

/// The words alone; what is to be pressed comes last.
fn words(parts: &[Part]) -> Vec<String> {
    let mut words = Vec::new();
    let mut buttons = Vec::new();
    for part in parts {
        match part {
            Part::Line(pieces) => {
                let line: String = pieces.iter().map(|it| it.text.as_str()).collect();
                words.extend(line.split('\n').map(str::to_owned));
            }
            Part::Block(text) => words.extend(text.lines().map(str::to_owned)),
            Part::Buttons(some) => buttons.extend(some.iter().map(|it| it.label.clone())),
            Part::Question { label, choices, .. } => words.push(format!("{label} {choices:?}")),
        }
    }
    words.extend(buttons);
    words
}

#[test]
fn slack_and_discord_say_the_same() {
    let loaded = shipped();
    let people = &loaded.catalog.people;
    for scene in scenes(&loaded) {
        for shown in scene
            .shown
            .iter()
            .filter(|it| matches!(it, Shown::Message(_)))
        {
            let on = |platform| words(&on_platform(platform, shown, people, now()).unwrap());
            assert_eq!(on("slack"), on("discord"), "{}", scene.name);
        }
    }
}

#[test]
fn hostile_words_are_shown_as_they_are_and_reach_no_page() {
    let loaded = shipped();
    let people = &loaded.catalog.people;
    let hostile = "<b>**x** `y` <@1> \\ @everyone [a](https://x.test) & \"q\"";
    let text = crate::domain::Text::new()
        .plain(hostile)
        .bold("*_*")
        .code("a ` b");
    let shown = Shown::Message(Message::new(text));
    let expected = format!("{hostile}*_*a ` b");
    for platform in ["slack", "discord"] {
        let parts = on_platform(platform, &shown, people, now()).unwrap();
        assert_eq!(words(&parts), [expected.as_str()], "{platform}");
    }
    let scene = Scene {
        name: "hostile",
        shown: vec![shown],
    };
    let drawn = draw(&scene, people, now(), None);
    let page = page::page(&[(scene.name, drawn)]);
    assert!(
        !page.contains(hostile) && !page.contains("<b>**x"),
        "{page}"
    );
    assert!(page.contains("&lt;b&gt;"), "{page}");
}
