//! Is this always broken, or did it just happen? What the last runs of a command say of it.

use jiff::Timestamp;

use super::{CommandName, EnvironmentName, Outcome, ProjectName, Reference};

/// How many of the last runs are judged.
pub const JUDGED: u32 = 20;
/// Among so many of the last results a command flaps ...
const FLAPPING_AMONG: usize = 10;
/// ... when the result changed at least so often.
const FLAPPING_CHANGES: usize = 3;

/// What `same_target` begins with: the command in one environment of a project, with whatever arguments.
pub fn target_of(
    command: &CommandName,
    project: &ProjectName,
    environment: Option<&EnvironmentName>,
) -> String {
    let environment = environment.map_or("-", EnvironmentName::as_str);
    format!("{command}/{project}/{environment}")
}

/// A run, as far as its end says something about its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// What people call it.
    pub reference: Reference,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// How and when it ended; `None` while it is open.
    pub ended: Option<(Outcome, Timestamp)>,
}

/// What a run says of its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It works.
    Worked,
    /// It does not.
    Failed,
    /// Nothing: nobody knows how it ended.
    NotKnown,
    /// Nothing: a person or the time ended it.
    NotDone,
    /// Nothing yet.
    Open,
}

impl PastRun {
    /// What it says.
    pub fn sign(&self) -> Sign {
        match self.ended {
            None => Sign::Open,
            Some((Outcome::Succeeded, _)) => Sign::Worked,
            Some((Outcome::Failed, _)) => Sign::Failed,
            Some((Outcome::NeedsAttention, _)) => Sign::NotKnown,
            Some((Outcome::Cancelled | Outcome::Expired, _)) => Sign::NotDone,
        }
    }

    /// Whether it worked, and when that was known; `None` where it says neither.
    fn result(&self) -> Option<(bool, Timestamp)> {
        match (self.sign(), self.ended) {
            (Sign::Worked, Some((_, at))) => Some((true, at)),
            (Sign::Failed, Some((_, at))) => Some((false, at)),
            (_, _) => None,
        }
    }
}

/// What the last runs say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// None of them says anything.
    NotKnown,
    /// Every result was the same.
    Always {
        /// Whether it worked.
        worked: bool,
        /// How often.
        times: usize,
        /// The first of them.
        since: Timestamp,
    },
    /// It changed, and stayed so.
    Since {
        /// Whether it works now.
        works: bool,
        /// How often in a row.
        times: usize,
        /// The first of these.
        since: Timestamp,
        /// How often in a row it was the other way before.
        before: usize,
        /// The last of those.
        last_other: Timestamp,
    },
    /// It changes again and again.
    Flapping {
        /// Whether it works now.
        works: bool,
        /// How often the result changed ...
        changes: usize,
        /// ... among so many of the last results.
        among: usize,
        /// The first of these.
        since: Timestamp,
    },
}

/// Judges runs, newest first.
pub fn judge(runs: &[PastRun]) -> Health {
    let results: Vec<(bool, Timestamp)> = runs.iter().filter_map(PastRun::result).collect();
    let Some((works, _)) = results.first().copied() else {
        return Health::NotKnown;
    };
    let recent = &results[..results.len().min(FLAPPING_AMONG)];
    let changes = recent
        .windows(2)
        .filter(|pair| pair[0].0 != pair[1].0)
        .count();
    if changes >= FLAPPING_CHANGES {
        return Health::Flapping {
            works,
            changes,
            among: recent.len(),
            since: recent.last().map_or(Timestamp::MIN, |it| it.1),
        };
    }
    let in_a_row = |results: &[(bool, Timestamp)], worked: bool| {
        results.iter().take_while(|it| it.0 == worked).count()
    };
    let times = in_a_row(&results, works);
    let since = results[times - 1].1;
    match results.get(times) {
        None => Health::Always {
            worked: works,
            times,
            since,
        },
        Some((_, last_other)) => Health::Since {
            works,
            times,
            since,
            before: in_a_row(&results[times..], !works),
            last_other: *last_other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + 60 * minutes).unwrap()
    }

    /// Runs a minute apart, oldest first in the text.
    pub(crate) fn runs(text: &str) -> Vec<PastRun> {
        let runs = text.chars().zip(0..).map(|(sign, minute)| {
            let outcome = match sign {
                '+' => Some(Outcome::Succeeded),
                '-' => Some(Outcome::Failed),
                '?' => Some(Outcome::NeedsAttention),
                'c' => Some(Outcome::Cancelled),
                _ => None,
            };
            PastRun {
                reference: Reference::parse("7f3k").unwrap(),
                asked_at: at(minute),
                ended: outcome.map(|it| (it, at(minute))),
            }
        });
        let mut runs: Vec<PastRun> = runs.collect();
        runs.reverse();
        runs
    }

    #[test]
    fn the_last_runs_say_whether_it_is_always_broken_or_just_happened() {
        let minute = |at: &Timestamp| (at.as_second() - 1_790_000_000) / 60;
        let told = |text: &str| match judge(&runs(text)) {
            Health::NotKnown => "not known".to_owned(),
            Health::Always {
                worked,
                times,
                since,
            } => format!("always {worked}, {times} since {}", minute(&since)),
            Health::Since {
                works,
                times,
                since,
                before,
                last_other,
            } => format!(
                "{works} {times} times since {}, before {before} until {}",
                minute(&since),
                minute(&last_other)
            ),
            Health::Flapping {
                works,
                changes,
                among,
                since,
            } => format!(
                "flaps {changes} among {among} since {}, {works}",
                minute(&since)
            ),
        };
        for (name, text, expected) in [
            ("nothing", "", "not known"),
            ("nothing that says anything", "c?.", "not known"),
            ("once", "+", "always true, 1 since 0"),
            ("always broken", "---", "always false, 3 since 0"),
            (
                "just happened",
                "+++++-",
                "false 1 times since 5, before 5 until 4",
            ),
            (
                "for a while",
                "++---",
                "false 3 times since 2, before 2 until 1",
            ),
            (
                "works again",
                "++--+++",
                "true 3 times since 4, before 2 until 3",
            ),
            (
                "what says nothing is passed over",
                "+c-?.-c",
                "false 2 times since 2, before 1 until 0",
            ),
            ("flapping", "+-+-", "flaps 3 among 4 since 0, false"),
            (
                "flapping now and then",
                "+++-++-+++",
                "flaps 4 among 10 since 0, true",
            ),
            (
                "flapped long ago",
                "+-+-++++++++++",
                "true 10 times since 4, before 1 until 3",
            ),
        ] {
            assert_eq!(told(text), expected, "{name}");
        }
    }

    #[test]
    fn a_target_is_what_the_same_target_of_any_arguments_begins_with() {
        let (command, project) = ("flush-cache".parse().unwrap(), "shop".parse().unwrap());
        let prod = "prod".parse().unwrap();
        let invocation = crate::domain::Invocation {
            command,
            project,
            environment: Some(prod),
            arguments: crate::domain::Arguments::new(),
            again: false,
            reason: None,
            glass: false,
        };
        let whole = invocation.same_target();
        let target = target_of(
            &invocation.command,
            &invocation.project,
            invocation.environment.as_ref(),
        );
        // The index takes 17 characters away: a slash and the digest.
        assert_eq!(whole.get(..whole.len() - 17), Some(target.as_str()));
    }
}
