//! What is said of each kind of past.

use jiff::Timestamp;

use super::{Past, history};
use crate::domain::{Block, Message, Outcome, PastRun, Reference, Span, Text};

/// Runs a minute apart, oldest first in the text.
fn runs(text: &str) -> Vec<PastRun> {
    let runs = text.chars().zip(0..).map(|(sign, minute)| {
        let outcome = match sign {
            '+' => Some(Outcome::Succeeded),
            '-' => Some(Outcome::Failed),
            '?' => Some(Outcome::NeedsAttention),
            'c' => Some(Outcome::Cancelled),
            _ => None,
        };
        let at = Timestamp::from_second(1_790_000_000 + 60 * minute).unwrap();
        PastRun {
            reference: Reference::parse("7f3k").unwrap(),
            asked_at: at,
            ended: outcome.map(|it| (it, at)),
        }
    });
    let mut runs: Vec<PastRun> = runs.collect();
    runs.reverse();
    runs
}

fn plain(text: &Text) -> String {
    let spans = text.0.iter().map(|span| match span {
        Span::Plain(words) | Span::Bold(words) | Span::Code(words) => words.clone(),
        Span::Person(person) | Span::Ping(person) => format!("@{person}"),
        Span::Time(at) => at.to_string(),
        Span::Thread(thread) => thread.message.clone(),
    });
    spans.collect()
}

fn words(message: &Message) -> String {
    let blocks = message.blocks.iter().map(|block| match block {
        Block::Text(text) => plain(text),
        Block::Fields(fields) => {
            let lines = fields
                .iter()
                .map(|field| format!("  {:<17} {}", field.label, plain(&field.value)));
            lines.collect::<Vec<_>>().join("\n")
        }
        Block::Buttons(buttons) => format!("  [{}: {}]", buttons[0].label, buttons[0].says),
        Block::Output(_) | Block::Progress { .. } => panic!("a history has none"),
    });
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_kind_of_past_is_told_in_one_sentence_and_a_line_of_signs() {
    let (command, project) = ("cache-status".parse().unwrap(), "shop".parse().unwrap());
    let prod = "prod".parse().unwrap();
    let told = [
        "", "c?.", "+", "--", "-----", "+++++-", "+++---", "--+++", "-+", "+-+--+",
    ]
    .map(|text| {
        let runs = runs(text);
        let past = Past {
            environment: Some(&prod),
            runs: &runs,
        };
        words(&history(&command, &project, &[past]))
    });
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn without_an_environment_each_is_told() {
    let (command, project) = ("cache-status".parse().unwrap(), "shop".parse().unwrap());
    let (staging, prod) = ("staging".parse().unwrap(), "prod".parse().unwrap());
    let (works, broken) = (runs("+++"), runs("++-"));
    let pasts = [(&staging, &works), (&prod, &broken)].map(|(environment, runs)| Past {
        environment: Some(environment),
        runs,
    });
    let told = [
        words(&history(&command, &project, &pasts)),
        words(&history(
            &command,
            &project,
            &[Past {
                environment: None,
                runs: &works,
            }],
        )),
        words(&history(&command, &project, &[])),
    ];
    insta::assert_snapshot!(told.join("\n\n"));
}
