//! The Dockerfile, read and compared with the package: what it copies, builds and starts must exist.
//!
//! `tests/dockerfile.sh` goes further and runs its commands; that takes minutes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use midwatch::config::Settings;

/// An instruction and the rest of its line.
type Instruction = (String, String);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn instructions() -> Vec<Instruction> {
    let text = read("Dockerfile");
    assert!(
        !text.contains("\\\n"),
        "tests/dockerfile.sh reads one instruction a line"
    );
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            (word.to_owned(), rest.to_owned())
        })
        .collect()
}

fn all(word: &str) -> Vec<String> {
    let found = instructions().into_iter().filter(|(name, _)| name == word);
    found.map(|(_, rest)| rest).collect()
}

fn only(word: &str) -> String {
    let mut found = all(word);
    assert_eq!(found.len(), 1, "{word}: {found:?}");
    found.remove(0)
}

fn image_settings() -> (BTreeMap<String, String>, Settings) {
    let lines = all("ENV");
    let environment: BTreeMap<String, String> = lines
        .iter()
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let settings = Settings::read(&environment, None).unwrap();
    (environment, settings)
}

#[test]
fn every_copied_path_exists_and_is_sent_to_the_builder() {
    let ignore = read(".dockerignore");
    for copied in all("COPY")
        .iter()
        .filter(|copied| !copied.starts_with("--from"))
    {
        let words: Vec<&str> = copied.split(' ').collect();
        for path in &words[..words.len() - 1] {
            assert!(
                root().join(path).exists(),
                "COPY {copied}: {path} is not there"
            );
            let kept = format!("!{path}");
            assert!(
                ignore.lines().any(|line| line == kept),
                "COPY {copied}: .dockerignore hides {path}"
            );
        }
    }
}

#[test]
fn the_stub_files_are_the_targets_of_the_manifest() {
    let manifest = read("Cargo.toml");
    let stubbed = all("RUN")
        .into_iter()
        .find(|line| line.starts_with("for file in"))
        .unwrap();
    let targets = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \""));
    for target in targets.map(|rest| rest.trim_end_matches('"')) {
        assert!(
            stubbed.contains(target),
            "{target} of Cargo.toml has no stub in: RUN {stubbed}"
        );
        assert!(root().join(target).exists(), "{target}");
    }
}

#[test]
fn it_builds_with_a_profile_that_exists_and_takes_its_result() {
    let manifest = read("Cargo.toml");
    let builds: Vec<String> = all("RUN")
        .into_iter()
        .filter(|run| run.contains("cargo build"))
        .collect();
    assert_eq!(
        builds.len(),
        2,
        "once for the dependencies, once for midwatch: {builds:?}"
    );
    for build in builds {
        assert!(build.contains("--locked"), "{build}");
        let profile = build
            .split("--profile ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        assert!(
            manifest.contains(&format!("[profile.{profile}]")),
            "{profile}"
        );
        let result = format!(
            "--from=build {}/target/{profile}/midwatch ",
            all("WORKDIR")[0]
        );
        assert!(
            all("COPY").iter().any(|copied| copied.starts_with(&result)),
            "{result}"
        );
    }
}

#[test]
fn its_base_images_are_named_with_a_tag_and_fit_each_other() {
    let images = all("FROM");
    let tags: Vec<&str> = images
        .iter()
        .map(|image| {
            image
                .split(' ')
                .next()
                .unwrap()
                .split_once(':')
                .expect("a tag")
                .1
        })
        .collect();
    for tag in &tags {
        assert!(
            tag.contains("bookworm"),
            "{tag}: the program needs the C library it was built with"
        );
    }
    let manifest = read("Cargo.toml");
    let oldest = manifest
        .split("rust-version = \"1.")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let built_with = tags[0]
        .strip_prefix("1.")
        .unwrap()
        .split('-')
        .next()
        .unwrap();
    assert!(
        built_with.parse::<u32>().unwrap() >= oldest.parse().unwrap(),
        "{built_with} < {oldest}"
    );
}

#[test]
fn it_runs_without_rights_and_may_write_its_data_only() {
    let user = only("USER");
    let ids: Vec<u32> = user
        .split(':')
        .map(|id| id.parse().expect("a number, as Kubernetes asks for"))
        .collect();
    assert!(ids.iter().all(|id| *id >= 1_000), "{user}");
    let order: Vec<String> = instructions().into_iter().map(|(word, _)| word).collect();
    let (last_run, user_line) = (
        order.iter().rposition(|word| word == "RUN"),
        order.iter().position(|word| word == "USER"),
    );
    assert!(
        last_run < user_line,
        "nothing is prepared after the rights are gone"
    );
    let owned = format!("chown {user} {}", only("VOLUME"));
    assert!(all("RUN").iter().any(|run| run.contains(&owned)), "{owned}");
}

#[test]
fn its_settings_are_valid_and_agree_with_the_rest() {
    let (environment, settings) = image_settings();
    assert_eq!(settings.data, PathBuf::from(only("VOLUME")));
    assert_eq!(settings.listen.port().to_string(), only("EXPOSE"));
    assert!(
        settings.listen.ip().is_unspecified(),
        "reachable from outside of the container"
    );
    for (folder, name) in [
        (settings.commands, "commands"),
        (settings.runbooks, "runbooks"),
    ] {
        let copied = format!("{name} {}", folder.display());
        assert!(
            all("COPY").contains(&copied),
            "COPY {copied}, as {environment:?} says"
        );
    }
}

#[test]
fn it_starts_and_asks_subcommands_that_exist() {
    assert_eq!(words(&only("ENTRYPOINT")), ["midwatch"]);
    let health = only("HEALTHCHECK");
    let asked = words(health.split_once("CMD ").unwrap().1);
    assert_eq!(asked[0], "midwatch", "{health}");
    for arguments in [&asked[1..], &words(&only("CMD"))[..]] {
        let help = help_of(&arguments[0]);
        for argument in &arguments[1..] {
            assert!(
                help.contains(argument),
                "`midwatch {}` knows no {argument}:\n{help}",
                arguments[0]
            );
        }
    }
}

fn words(list: &str) -> Vec<String> {
    serde_json::from_str(list).expect("the JSON form, so that no shell stands between")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program's own help is what is tested"
)]
fn help_of(subcommand: &str) -> String {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_midwatch"));
    let output = program.args([subcommand, "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && help.contains("Usage:"),
        "`midwatch {subcommand} --help`: {help}"
    );
    help
}
