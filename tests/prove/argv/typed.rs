//! The whole way: typed into Slack in one of the ways in which people quote, heard, decided, stored, done.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use midwatch::domain::{Action, InboundKey, Run, RunId};
use midwatch::store::{Concluded, Store, StoreSettings};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::Value;

use super::places::{Command, Expected, Places, expected};
use crate::bot::Home;
use crate::fakes::slack::{FakeSlack, TEAM};

/// How many are typed at the same time.
const AT_ONCE: usize = 24;
/// How many are typed before all are waited for: what waits in a queue for a minute is not done any more.
const BATCH: usize = 240;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// One line that somebody typed.
struct Line {
    command: Command,
    /// As the grammar hears it: what chat clients make invisible does not count.
    values: Vec<String>,
    text: String,
}

/// Types every value into every place it may stand in, and says what came of it.
pub(super) async fn prove(
    home: &Home,
    slack: &FakeSlack,
    places: &Places<'_>,
    values: &[String],
    random: &mut StdRng,
) -> String {
    let mut lines: Vec<Line> = Vec::new();
    for (n, value) in values.iter().enumerate() {
        let heard = heard(value);
        let mut commands = vec![Command::Program, Command::Request, Command::Behind];
        commands.truncate(if value.starts_with('-') { 3 } else { 2 });
        let acts = |command: &Command| {
            matches!(
                expected(*command, std::slice::from_ref(&heard)),
                Expected::Refused
            )
        };
        if commands.iter().any(acts) {
            commands.push(Command::Guarded);
        }
        for command in commands {
            lines.push(Line {
                command,
                values: vec![heard.clone()],
                text: format!("{} {}", command.name(), typed("value", value, random)),
            });
        }
        if n % 4 == 3 {
            lines.push(list(&values[n - 3..n], random));
        }
    }
    let bot = home.serve().await;
    slack.use_http(&bot.url(""));
    let settings = StoreSettings {
        url: format!("sqlite:{}", home.path("data/midwatch.db").display()),
        data: home.path("data"),
    };
    let store = Store::open_read_only(&settings)
        .await
        .expect("the store can be read");
    let mut keys = Vec::new();
    for batch in lines.chunks(BATCH) {
        let said = say_all(slack, batch).await;
        settle(&store, &said).await;
        keys.extend(said);
    }

    let refusals = refusals(home);
    let (mut arrived, mut refused) = (0, 0);
    for (line, key) in lines.iter().zip(&keys) {
        let text = &line.text;
        let run = store
            .run(RunId::of_inbound(key))
            .await
            .expect("the store can be read");
        let id = RunId::of_inbound(key).to_string();
        let expected = expected(line.command, &line.values);
        match (expected, grammar_refuses(line)) {
            (Expected::Arrives(parts), false) => {
                let run = run.unwrap_or_else(|| {
                    panic!(
                        "`{text:?}` was refused: {:?}, seed {}",
                        refusals.get(key.as_str()),
                        places.seed
                    )
                });
                let what = format!("typed {text:?}, {:?} {:?}", run.phase, run.steps);
                places.judge(&id, Some(&parts), &what);
                assert_eq!(
                    planned(&run),
                    parts.argv,
                    "the plan of {text:?} differs from what was executed, seed {}",
                    places.seed
                );
                arrived += 1;
            }
            _ => {
                assert!(
                    run.is_none(),
                    "{text:?} has a run and should have been refused, seed {}",
                    places.seed
                );
                places.judge(&id, None, &format!("typed {text:?}"));
                let word = refusals.get(key.as_str()).map(String::as_str);
                assert!(
                    matches!(word, Some("bad_value" | "too_long" | "missing")),
                    "{text:?} was not refused clearly: {word:?}, seed {}",
                    places.seed
                );
                refused += 1;
            }
        }
    }
    assert_eq!(
        places.recorder.without_run(),
        0,
        "something was sent for no run"
    );
    bot.kill9(); // What it still owes to the threads is not of interest.
    format!("{arrived} commands arrived byte for byte as planned, {refused} refused")
}

/// What the grammar itself does not take as a value.
fn grammar_refuses(line: &Line) -> bool {
    let bad = |value: &String| value.chars().any(char::is_control) || value.chars().count() > 1_000;
    let empty = line.values.iter().all(String::is_empty);
    // More items than a list holds.
    let too_many = line.values.len() > 50;
    empty || too_many || line.values.iter().any(bad) || line.text.chars().count() > 4_000
}

async fn say_all(slack: &FakeSlack, lines: &[Line]) -> Vec<InboundKey> {
    let said = futures_util::stream::iter(lines).map(async |line| {
        let delivery = slack.slash_delivery("U0ANA", "C1", &line.text);
        let trigger = delivery.payload["trigger_id"]
            .as_str()
            .expect("it has a trigger")
            .to_owned();
        let ack = slack.deliver(&delivery).await;
        assert_eq!(
            (ack.status, ack.body.as_str()),
            (200, ""),
            "{:?}",
            line.text
        );
        InboundKey::new(&["slack", TEAM, "command", &trigger])
    });
    said.buffered(AT_ONCE).collect().await
}

/// Waits until everything is concluded and no run is open.
async fn settle(store: &Store, keys: &[InboundKey]) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut waiting = 0;
        for key in keys {
            let concluded: Option<Concluded> =
                store.conclusion(key).await.expect("the store can be read");
            waiting += usize::from(concluded.is_none());
        }
        let open = store.runs_open().await.expect("the store can be read");
        if waiting == 0 && open == 0 {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{waiting} inbounds wait and {open} runs are open"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The words of the refusals in the ledger, by inbound.
fn refusals(home: &Home) -> BTreeMap<String, String> {
    let export = home.run(&["ledger", "export"], "");
    let text = String::from_utf8(export.stdout).expect("the ledger is text");
    let facts = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let refused = facts
        .map(|line| line["fact"].clone())
        .filter(|fact| fact["kind"] == "refused");
    let word = |fact: &Value, key: &str| fact[key].as_str().unwrap_or_default().to_owned();
    refused
        .map(|fact| (word(&fact, "inbound"), word(&fact, "refusal")))
        .collect()
}

/// What the stored plan says of the program, without what is fixed.
fn planned(run: &Run) -> Vec<String> {
    let steps = run.plan.iter().flat_map(|plan| &plan.steps);
    let argv = steps.filter_map(|step| match &step.action {
        Action::Run(run) => Some(run.argv.iter().skip(4).map(ToString::to_string)),
        Action::Http(_) => None,
    });
    argv.flatten().collect()
}

/// What chat clients insert without being asked is left out, and their spaces are spaces.
fn heard(value: &str) -> String {
    let invisible = |c: char| {
        matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    let space = |c: char| {
        if c.is_whitespace() && !c.is_ascii() {
            ' '
        } else {
            c
        }
    };
    value
        .chars()
        .filter(|c| !invisible(*c))
        .map(space)
        .collect()
}

/// The value in one of the ways in which it can be typed.
fn typed(name: &str, value: &str, random: &mut StdRng) -> String {
    let word = word(value, random);
    match random.random_range(0..5) {
        0 => format!("{name}={}", double(value)),
        1 => format!("--{name}={}", double(value)),
        2 => format!("--{name} {}", double(value)),
        3 => format!("-- {word}"),
        _ => word,
    }
}

/// The value as a word of its own.
fn word(value: &str, random: &mut StdRng) -> String {
    let escaped = |quotes: &str| {
        let special = |c: char| c == '\\' || quotes.contains(c);
        let escape = |c: char| if special(c) { vec!['\\', c] } else { vec![c] };
        value.chars().flat_map(escape).collect::<String>()
    };
    let mut ways = vec![
        double(value),
        format!("“{}”", escaped("”\"")),
        format!("„{}“", escaped("“”\"")),
        format!("«{}»", escaped("»\"")),
    ];
    if !value.contains('\'') {
        ways.push(format!("'{value}'"));
    }
    let bare = |c: char| c.is_ascii_alphanumeric() || "/._:@%+$*?[]{}();|&!^#<>~\\".contains(c);
    if !value.is_empty() && value.chars().all(bare) {
        ways.push(value.to_owned());
    }
    ways.choose(random).expect("there are ways").clone()
}

fn double(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Several values in a list, word by word.
fn list(values: &[String], random: &mut StdRng) -> Line {
    let words: Vec<String> = values.iter().map(|value| word(value, random)).collect();
    let heard: Vec<String> = values.iter().map(|value| heard(value)).collect();
    let joined = heard.join(",");
    let items = joined
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    Line {
        command: Command::Several,
        values: items.map(str::to_owned).collect(),
        text: format!("several -- {}", words.join(" ")),
    }
}
