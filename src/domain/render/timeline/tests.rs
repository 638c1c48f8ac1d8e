//! What a timeline says of each kind of happening.

use jiff::Timestamp;

use super::{as_field, as_plain, line_has, timeline};
use crate::domain::render::rules_changed;
use crate::domain::{
    Block, FileLine, Happening, Identity, Message, Outcome, PersonId, Position, ProjectName,
    Reference, Revision, RuleChange, RunState, Since, Timeline, TimelineAsk, What,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn bo() -> Identity {
    Identity::Person(PersonId::parse("bo").unwrap())
}

fn run(state: RunState, took_ms: Option<u64>) -> What {
    What::Run {
        reference: Reference::parse("7f3k").unwrap(),
        command: "flush-cache prod".to_owned(),
        by: bo(),
        with_consent: matches!(state, RunState::Ended(Outcome::Expired)),
        state,
        took_ms,
    }
}

fn not_run(held: bool, because: &str) -> What {
    What::NotRun {
        command: "flush-cache prod".to_owned(),
        by: bo(),
        held,
        because: because.to_owned(),
        rule: Some(FileLine {
            file: "runbooks/shop.yaml".to_owned(),
            line: 30,
        }),
    }
}

fn commit(files: &[&str]) -> What {
    What::Commit {
        commit: "0123456789abcdef".to_owned(),
        author: "Ana".to_owned(),
        summary: "Let kim flush".to_owned(),
        files: files.iter().map(|file| (*file).to_owned()).collect(),
    }
}

fn changes() -> Vec<RuleChange> {
    let at = |line| FileLine {
        file: "runbooks/shop.yaml".to_owned(),
        line,
    };
    vec![
        RuleChange::Added {
            rule: "engineering may flush-cache in prod, with 2 approvals of team-shop".to_owned(),
            at: at(21),
        },
        RuleChange::Removed {
            rule: "engineering may flush-cache in prod, with 1 approval of team-shop".to_owned(),
            at: at(19),
        },
    ]
}

#[test]
fn changed_rules_are_told_where_the_project_is_talked_about() {
    let revision = Revision("0123456789ab".to_owned());
    let others = [
        RuleChange::Reordered,
        RuleChange::Begun { rules: 4 },
        RuleChange::Ended,
        RuleChange::More { changes: 10 },
    ];
    let told = [changes(), others.to_vec()]
        .map(|changes| words(&rules_changed(&ask().project, &revision, &changes)));
    insta::assert_snapshot!(told.join("\n\n"));
}

fn every_kind() -> Vec<Happening> {
    let ended = RunState::Ended;
    let all = [
        run(RunState::Open, None),
        run(ended(Outcome::Succeeded), Some(4_000)),
        run(ended(Outcome::Failed), Some(90_000)),
        run(ended(Outcome::Cancelled), Some(1_000)),
        run(ended(Outcome::Expired), Some(900_000)),
        run(ended(Outcome::NeedsAttention), Some(9_000)),
        run(RunState::NotKnown, None),
        not_run(false, "denied"),
        not_run(false, "denied: the cache is shared"),
        not_run(true, "just_done"),
        not_run(true, "running"),
        not_run(true, "late"),
        not_run(true, "frozen"),
        What::FilesNotTaken {
            mistakes: 2,
            first: "runbooks/shop.yaml:14: group `team-shp` is not defined".to_owned(),
            revision: Revision("0123456789ab".to_owned()),
        },
        What::RulesChanged {
            revision: Revision("0123456789ab".to_owned()),
            changes: changes(),
        },
        What::SetBack {
            why: "ledger entry 7 was committed and is not there any more".to_owned(),
        },
        commit(&["runbooks/shop.yaml"]),
        commit(&["commands/flush-cache.yaml", "runbooks/shop.md", "x"]),
    ];
    let lines = all.into_iter().enumerate().map(|(n, what)| Happening {
        at: at(-60 * i64::try_from(n).unwrap()),
        position: Position::END,
        sequence: None,
        what,
    });
    lines.collect()
}

fn ask() -> TimelineAsk {
    TimelineAsk {
        project: ProjectName::parse("shop").unwrap(),
        since: None,
        about: None,
        before: None,
    }
}

fn page(lines: Vec<Happening>) -> Timeline {
    Timeline {
        project: ask().project,
        since: None,
        about: None,
        lines,
        earlier: None,
        missing: Vec::new(),
    }
}

fn words(message: &Message) -> String {
    let blocks = message.blocks.iter().map(|block| match block {
        Block::Text(text) => as_plain(text),
        Block::Fields(fields) => {
            let lines = fields
                .iter()
                .map(|field| format!("  {:<9} {}", field.label, as_plain(&field.value)));
            lines.collect::<Vec<_>>().join("\n")
        }
        Block::Buttons(buttons) => format!("  [{}: {}]", buttons[0].label, buttons[0].says),
        Block::Output(_) | Block::Progress { .. } => panic!("a timeline has none"),
    });
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_kind_of_happening_is_one_line_in_words() {
    let position = Position {
        at_ms: 1_790_000_000_120,
        rank: 7,
    };
    let narrowed = TimelineAsk {
        since: Some(Since::Ago(std::time::Duration::from_secs(3 * 86_400))),
        about: Some("cache".to_owned()),
        ..ask()
    };
    let of_narrowed = |lines, earlier| Timeline {
        since: Some(at(-3 * 86_400)),
        about: Some("cache".to_owned()),
        earlier,
        ..page(lines)
    };
    let one = || every_kind().drain(..1).collect::<Vec<_>>();
    let troubled = Timeline {
        missing: vec![
            "commits are not shown: /srv/ops is in no git repository".to_owned(),
            "1,204 ledger entries are not in it yet: ask again in a minute".to_owned(),
        ],
        ..page(one())
    };
    let told = [
        words(&timeline(&page(every_kind()), &ask())),
        words(&timeline(&of_narrowed(one(), Some(position)), &narrowed)),
        words(&timeline(&of_narrowed(vec![], None), &narrowed)),
        words(&timeline(&of_narrowed(vec![], Some(position)), &narrowed)),
        words(&timeline(&page(vec![]), &ask())),
        words(&timeline(&troubled, &ask())),
    ];
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn a_line_is_found_by_what_it_shows() {
    let all = every_kind();
    let found = |words: &str| all.iter().filter(|line| line_has(line, words)).count();
    assert_eq!(
        found("FLUSH-cache bo"),
        13,
        "commands, and one commit's file"
    );
    assert_eq!(found("7F3K"), 7);
    assert_eq!(found("denied"), 2);
    assert_eq!(found("ana kim"), 2);
    assert_eq!(found("prod nothing"), 0);
}

#[test]
fn the_button_to_earlier_lines_fits_where_buttons_are_shortest() {
    let longest = TimelineAsk {
        since: Some(Since::Moment("2026-09-21T00:00:00Z".parse().unwrap())),
        about: Some("x".repeat(crate::domain::ABOUT_CHARS)),
        ..ask()
    };
    let says = longest.earlier(Position {
        at_ms: 1_790_000_000_120,
        rank: 10_000_000,
    });
    assert!(says.chars().count() < 100, "{says}");
    assert!(!as_plain(&as_field(&every_kind()[0]).value).is_empty());
}
