//! The files we ship, the schemas, and what `midwatch check` does beside loading.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use midwatch::catalog::{Checks, Folders, check, load, render_all, schemas};
use midwatch::domain::Effect;

use super::folders::{Files, SHOP};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> Folders {
    Folders {
        commands: root().join("commands"),
        runbooks: root().join("runbooks"),
    }
}

#[test]
fn the_shipped_files_load_without_errors_or_warnings() {
    let loaded = load(&shipped(), &BTreeMap::new());
    assert_eq!(render_all(&loaded.diagnostics, false), "");
    assert_eq!(loaded.catalog.commands.len(), 8);
    assert_eq!(loaded.catalog.projects.len(), 3);
    assert_eq!(loaded.catalog.channels["C0SHOP"].as_str(), "shop");
    assert!(!loaded.examples.is_empty());
}

#[test]
fn the_shipped_commands_show_every_effect() {
    let catalog = load(&shipped(), &BTreeMap::new()).catalog;
    let steps = catalog.commands.values().flat_map(|command| &command.steps);
    let effects: Vec<Effect> = steps.map(|step| step.effect).collect();
    for effect in [
        Effect::Read,
        Effect::Idempotent,
        Effect::Keyed,
        Effect::Checked,
        Effect::Once,
    ] {
        assert!(effects.contains(&effect), "{effect:?}");
    }
}

#[test]
fn the_shipped_files_name_their_schemas() {
    for folder in ["commands", "runbooks"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "yaml") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let kind = match path.file_stem().and_then(|stem| stem.to_str()) {
                Some("people") => "people",
                _ if folder == "commands" => "command",
                _ => "runbook",
            };
            let first =
                format!("# yaml-language-server: $schema=../docs/schemas/{kind}.schema.json\n");
            assert!(text.starts_with(&first), "{}", path.display());
        }
    }
}

#[test]
fn schemas_for_editors_are_those_of_the_code() {
    for (name, text) in schemas() {
        let path = root().join("docs/schemas").join(name);
        if std::env::vars().any(|(key, value)| key == "MIDWATCH_BLESS" && value == "1") {
            fs::write(&path, &text).unwrap();
        }
        let on_disk = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            on_disk == text,
            "docs/schemas/{name} is not what the code says; write it anew with: MIDWATCH_BLESS=1 cargo test schemas"
        );
    }
}

#[test]
fn every_key_of_the_schemas_is_explained_to_users() {
    let manual = fs::read_to_string(root().join("docs/files.md")).unwrap();
    for (name, text) in schemas() {
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        let definitions = schema["$defs"].as_object().unwrap().values();
        for object in definitions.chain([&schema]) {
            let keys = object["properties"].as_object();
            for key in keys.into_iter().flat_map(|keys| keys.keys()) {
                assert!(
                    manual.contains(&format!("`{key}`")),
                    "{name}: `{key}` is missing in docs/files.md"
                );
            }
        }
    }
}

#[test]
fn a_check_runs_examples_and_proves_that_prose_parses() {
    let files = Files::usual()
        .with(
            "runbooks/shop.yaml",
            format!("{SHOP}examples:\n  - {{ who: ana, says: look prod, then: allowed }}\n  - {{ who: bo, says: look prod, at: \"sat 03:00\", then: denied }}\n"),
        )
        .with("runbooks/shop.md", "# Shop\n\n```ops\nlook prod\nlok prod\n```\n");
    let report = check(
        &files.folders(),
        &files.variables,
        &Checks {
            now: "2026-01-07T12:00:00Z".parse().unwrap(),
            parse: &|_, _, line| {
                if line.starts_with("look ") {
                    Ok(())
                } else {
                    Err("there is no command `lok`".to_owned())
                }
            },
            answer: &|_, _, example| format!("allowed at {}", example.at),
        },
    );
    assert_eq!(
        (
            report.commands,
            report.projects,
            report.examples,
            report.errors()
        ),
        (1, 1, 2, 2)
    );
    let told = render_all(&report.diagnostics, false);
    insta::assert_snapshot!(told.replace(&format!("{}/", files.path().display()), ""), @r#"
    error: this is no command of `shop`: there is no command `lok`
     --> runbooks/shop.md:5:1
      |
    5 | lok prod
      | ^^^^^^^^
      |
      = help: lines of an `ops` block are commands as they are typed

    error: the example doesn't hold: `look prod` by bo should be `denied`
      --> runbooks/shop.yaml:15:56
       |
    15 |   - { who: bo, says: look prod, at: "sat 03:00", then: denied }
       |                                                        ^^^^^^
       |
       = help: the rules answer: allowed at 2026-01-10T03:00:00Z

    2 errors, 0 warnings
    "#);
}
