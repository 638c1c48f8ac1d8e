//! The picture of the design, held as a test: who may import whom, and rules about code that no compiler knows.
//!
//! Everything that is wrong is told at once, each with its file and line and what is allowed instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::Regex;

/// What each module may import, besides itself and `domain`. Its twin is the table in the docs of `src/lib.rs`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("planted", &[]),
    ("config", &[]),
    ("telemetry", &[]),
    ("catalog", &["clock"]),
    ("store", &[]),
    ("dispatch", &["catalog", "store", "clock"]),
    ("engine", &["catalog", "store", "clock"]),
    ("chat", &["catalog", "store", "dispatch", "clock"]),
    ("triggers", &["catalog", "store", "dispatch", "clock"]),
    ("http", &["catalog", "store", "dispatch", "clock"]),
    ("fleet", &["store", "dispatch", "engine", "clock"]),
    ("cli", EVERYTHING),
];

const EVERYTHING: &[&str] = &[
    "catalog",
    "chat",
    "clock",
    "config",
    "dispatch",
    "engine",
    "fleet",
    "http",
    "store",
    "telemetry",
    "triggers",
];

/// What `domain` may not name: it does no I/O, asks no clock and awaits nothing.
const NOT_IN_DOMAIN: &str = concat!(
    r"\b(tokio|tokio_util|sqlx|reqwest|axum|hyper|tracing|metrics|slack_morphism|rand)::",
    r"|\bstd::(\{.*\b)?(fs|env|net|process|thread|io)\b",
    r"|\b(SystemTime|Instant|Timestamp::now|Zoned::now|async|await)\b",
);

const LONGEST_FILE: usize = 900;

#[test]
fn modules_import_only_what_the_picture_allows() {
    let mut wrong = Vec::new();
    for file in sources() {
        let Some(module) = file.module() else {
            continue;
        };
        let Some(allowed) = allowed_for(&module) else {
            wrong.push(format!("{}: module `{module}` is not in the picture; add it to the table here and to src/lib.rs", file.path));
            continue;
        };
        for (line, imported) in imports(&file) {
            let fine = imported == module
                || ["domain", "planted"].contains(&imported.as_str())
                || allowed.contains(&imported.as_str());
            if !fine && allowed_for(&imported).is_some() {
                wrong.push(format!(
                    "{}:{line}: `{module}` imports `{imported}`; it may import {}",
                    file.path,
                    listed(allowed)
                ));
            }
        }
    }
    none(&wrong);
}

#[test]
fn the_domain_names_no_runtime_no_files_and_no_clock() {
    let forbidden = Regex::new(NOT_IN_DOMAIN).unwrap();
    let domain = sources()
        .into_iter()
        .filter(|file| file.module().as_deref() == Some("domain"));
    none(&found(
        domain,
        View::Code,
        &forbidden,
        "is not for `domain`: things and what follows from them, nothing else",
    ));
}

#[test]
fn sql_stays_in_the_store() {
    let statement = Regex::new(
        r"(?is)^\s*(select\b.*\bfrom\b|insert\s+(or\s+\w+\s+)?into\b|update\s+\w+\s+set\b|delete\s+from\b|create\s+(unique\s+)?(table|index|trigger)\b|alter\s+table\b|pragma\s)",
    )
    .unwrap();
    let driver = Regex::new(r"\bsqlx\b").unwrap();
    let others = || {
        sources()
            .into_iter()
            .filter(|file| file.module().as_deref() != Some("store"))
    };
    let mut wrong = found(others(), View::Code, &driver, "belongs to `store`");
    for file in others() {
        let statements = file
            .literals
            .iter()
            .filter(|(_, text)| statement.is_match(text));
        wrong.extend(
            statements.map(|(line, _)| format!("{}:{line}: SQL belongs to src/store", file.path)),
        );
    }
    none(&wrong);
}

#[test]
fn slack_types_stay_in_its_adapter() {
    let library = Regex::new(r"\bslack_morphism\b").unwrap();
    let types = Regex::new(r"\bSlack[A-Z]\w*").unwrap();
    let adapter = |file: &Source| file.path.starts_with("src/chat/slack");
    let wiring = |file: &Source| matches!(file.module().as_deref(), Some("config" | "cli"));
    let others = sources().into_iter().filter(|file| !adapter(file));
    let mut wrong = found(others, View::Code, &library, "belongs to src/chat/slack");
    let others = sources()
        .into_iter()
        .filter(|file| !adapter(file) && !wiring(file));
    wrong.extend(found(
        others,
        View::Code,
        &types,
        "is a Slack type; those belong to src/chat/slack",
    ));
    none(&wrong);
}

#[test]
fn every_file_says_its_duty_and_none_is_endless() {
    let mut wrong = Vec::new();
    for file in sources() {
        if !file.text.starts_with("//! ") {
            wrong.push(format!(
                "{}:1: begin the file with `//!` and one line on its duty",
                file.path
            ));
        }
        let lines = file.text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!(
                "{}: {lines} lines; past {LONGEST_FILE} a file hides a module",
                file.path
            ));
        }
    }
    none(&wrong);
}

#[test]
fn a_todo_has_an_issue_number_and_no_macro() {
    let noted = Regex::new(r"TODO(\(#\d+\))?").unwrap();
    let mut wrong = found(
        sources(),
        View::Code,
        &Regex::new(r"\btodo!").unwrap(),
        "is not finished code",
    );
    for file in sources() {
        for (number, line) in file.lines(View::All) {
            if noted.captures_iter(line).any(|note| note.get(1).is_none()) {
                wrong.push(format!("{}:{number}: write TODO(#issue)", file.path));
            }
        }
    }
    none(&wrong);
}

#[test]
fn no_environment_is_special() {
    // Comments, help texts and tests may show one; code may not know one.
    let special = |text: &String| matches!(text.as_str(), "prod" | "production" | "staging");
    let mut wrong = Vec::new();
    for file in sources()
        .into_iter()
        .filter(|file| !file.path.contains("test") && file.path != "src/domain/sample.rs")
    {
        let code = file
            .text
            .find("#[cfg(test)]")
            .map_or(usize::MAX, |end| file.text[..end].lines().count());
        for (line, text) in file
            .literals
            .iter()
            .filter(|(line, text)| *line <= code && special(text))
        {
            wrong.push(format!(
                "{}:{line}: `{text}` is data of users; take another word",
                file.path
            ));
        }
    }
    none(&wrong);
}

#[test]
fn every_metric_that_is_recorded_is_described() {
    let recorded = Regex::new(r#"\b(?:counter|gauge|histogram)!\(\s*"([^"]*)""#).unwrap();
    let described = |name: &str| {
        midwatch::telemetry::METRICS
            .iter()
            .any(|metric| metric.name == name)
    };
    let mut wrong = Vec::new();
    for file in sources() {
        let names = recorded
            .captures_iter(&file.text)
            .map(|found| found[1].to_owned());
        for name in names.filter(|name| !described(name)) {
            wrong.push(format!(
                "{}: `{name}` is not described; add it to METRICS in src/telemetry.rs",
                file.path
            ));
        }
    }
    none(&wrong);
}

#[test]
fn the_rules_find_what_they_look_for() {
    let breaking = "//! x\nuse crate::chat::{a};\nuse crate::{domain::B,\n    engine as e};\nfn f() { super::store::g() }\n// crate::http\nlet s = \"crate::fleet\"; let c = '\"'; crate::cli::x();";
    let file = Source::new("src/catalog/mod.rs".to_owned(), breaking.to_owned());
    let expected = [
        (2, "chat"),
        (3, "domain"),
        (4, "engine"),
        (5, "store"),
        (7, "cli"),
    ];
    let found: Vec<_> = imports(&file);
    assert_eq!(found, expected.map(|(line, name)| (line, name.to_owned())));
    let nested = Source::new(
        "src/chat/slack/http.rs".to_owned(),
        "use super::http;\nuse super::super::super::engine;".to_owned(),
    );
    assert_eq!(imports(&nested), [(2, "engine".to_owned())]);
    let texts = Source::new(
        "src/cli.rs".to_owned(),
        "let a = r#\"select \"x\" from y\"#; /* \" */ let b: &'a str = b\"z\\\"\";".to_owned(),
    );
    let literals: Vec<_> = texts
        .literals
        .iter()
        .map(|(_, text)| text.as_str())
        .collect();
    assert_eq!(literals, ["select \"x\" from y", "z\\\""]);
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn allowed_for(module: &str) -> Option<&'static [&'static str]> {
    let row = MAY_IMPORT.iter().find(|(name, _)| *name == module);
    row.map(|(_, allowed)| *allowed)
}

fn listed(allowed: &[&str]) -> String {
    match allowed {
        [] => "nothing of ours but `domain`".to_owned(),
        _ => format!("`domain`, `{}`", allowed.join("`, `")),
    }
}

fn found(
    files: impl IntoIterator<Item = Source>,
    view: View,
    pattern: &Regex,
    why: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in file.lines(view) {
            if let Some(hit) = pattern.find(line) {
                found.push(format!("{}:{number}: `{}` {why}", file.path, hit.as_str()));
            }
        }
    }
    found
}

/// Every top-level module that the file names by a path, with the line: `crate::X`, `crate::{X, Y::…}`, `super::…::X`.
fn imports(file: &Source) -> Vec<(usize, String)> {
    let path = Regex::new(r"\b(?:crate|(?:super\s*::\s*)*super)\s*::\s*(\w+|\{)").unwrap();
    let depth = file.depth();
    let mut imports = Vec::new();
    for found in path.captures_iter(&file.code) {
        let end = found.get(0).expect("the whole match").end();
        let whole = found[0].matches("super").count();
        if whole > 0 && whole < depth {
            continue;
        }
        if &found[1] == "{" {
            imports.extend(
                group(&file.code, end)
                    .into_iter()
                    .map(|(at, name)| (file.line_of(at), name)),
            );
        } else {
            let name = found.get(1).expect("the pattern always has it");
            imports.push((file.line_of(name.start()), name.as_str().to_owned()));
        }
    }
    imports
}

/// The first names in a braced group of imports that begins at `start`.
fn group(code: &str, start: usize) -> Vec<(usize, String)> {
    let (mut depth, mut expected, mut names) = (1, true, Vec::new());
    let word = |c: char| c.is_alphanumeric() || c == '_';
    for (offset, c) in code[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expected = true,
            c if expected && depth == 1 && word(c) => {
                let rest = &code[start + offset..];
                let name = rest.split(|c| !word(c)).next().unwrap_or_default();
                names.push((start + offset, name.to_owned()));
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Which part of a file a rule looks at.
#[derive(Clone, Copy)]
enum View {
    /// All of it.
    All,
    /// Neither comments nor texts.
    Code,
}

/// One file of `src/`.
struct Source {
    /// From the package's folder.
    path: String,
    text: String,
    /// The text with comments and literals blanked out; every line where it was.
    code: String,
    /// Text literals with the line they begin on.
    literals: Vec<(usize, String)>,
}

impl Source {
    fn new(path: String, text: String) -> Self {
        // In this order: raw texts, texts, comments, characters (a lifetime has no second quote).
        let skipped = Regex::new(
            r####"(?s)\bb?r###"(.*?)"###|\bb?r##"(.*?)"##|\bb?r#"(.*?)"#|\bb?r"([^"]*)"|"((?:[^"\\]|\\.)*)"|//[^\n]*|/\*.*?\*/|'(?:[^'\\\n]|\\u\{\w+\}|\\x\w\w|\\.)'"####,
        )
        .unwrap();
        let mut literals = Vec::new();
        let code = skipped.replace_all(&text, |found: &regex::Captures<'_>| {
            let whole = found.get(0).expect("the whole match");
            if let Some(literal) = found.iter().skip(1).flatten().next() {
                let line = text[..whole.start()].lines().count().max(1);
                literals.push((line, literal.as_str().to_owned()));
            }
            let blank = |c| if c == '\n' { '\n' } else { ' ' };
            whole.as_str().chars().map(blank).collect::<String>()
        });
        let code = code.into_owned();
        Self {
            path,
            text,
            code,
            literals,
        }
    }

    /// The top-level module that it belongs to; `None` for `lib.rs` and `main.rs`.
    fn module(&self) -> Option<String> {
        let inside = self.path.strip_prefix("src/")?;
        let first = inside.split('/').next()?.trim_end_matches(".rs");
        (first != "lib" && first != "main").then(|| first.to_owned())
    }

    /// How many `super` lead to the crate's root.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count() - 1;
        if self.path.ends_with("/mod.rs") {
            parts - 1
        } else {
            parts
        }
    }

    fn lines(&self, view: View) -> impl Iterator<Item = (usize, &str)> {
        let text = match view {
            View::All => &self.text,
            View::Code => &self.code,
        };
        (1..).zip(text.lines())
    }

    fn line_of(&self, position: usize) -> usize {
        self.code[..position].matches('\n').count() + 1
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::new();
    collect(&root.join("src"), &mut files);
    assert!(
        files.len() > 10,
        "the sources were not found under {}",
        root.display()
    );
    let relative = |path: &Path| {
        path.strip_prefix(root)
            .expect("found under it")
            .to_string_lossy()
            .into_owned()
    };
    files
        .iter()
        .map(|(path, text)| Source::new(relative(path), text.clone()))
        .collect()
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            files.insert(path, text);
        }
    }
}
