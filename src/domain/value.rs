//! Typed arguments: what a parameter accepts and what an invocation gave.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{EnvironmentName, ParameterName, SecretName};

/// What a parameter accepts.
#[derive(Debug, Clone)]
pub enum ParameterKind {
    /// One of the project's environments.
    Environment,
    /// One of these words. Non-empty, unique.
    Choice(Vec<String>),
    /// Text of at most `longest` characters, matching the whole pattern when there is one.
    Text {
        /// The pattern; it is anchored when it is compiled.
        matches: Option<regex::Regex>,
        /// Characters, at most [`LONGEST_TEXT`].
        longest: usize,
    },
    /// A whole number within the range, both ends included.
    Integer {
        /// Smallest allowed value.
        min: i64,
        /// Largest allowed value.
        max: i64,
    },
    /// A span of time such as `90s` or `1h 30m`, both ends included.
    Duration {
        /// Shortest allowed span.
        min: Duration,
        /// Longest allowed span.
        max: Duration,
    },
    /// `true` or `false`; also `--name` and `--no-name`.
    Boolean,
    /// The *name* of a secret. Values of secrets are never typed, stored or shown.
    Secret {
        /// The names that may be given; empty means any.
        names: Vec<SecretName>,
    },
    /// Several of one kind, separated by commas or given as the remaining words.
    List {
        /// What each item is; never itself a list.
        of: Box<ParameterKind>,
        /// Most items, at most [`LONGEST_LIST`].
        longest: usize,
    },
}

/// The longest text argument, in characters.
pub const LONGEST_TEXT: usize = 1_000;
/// The longest list argument, in items.
pub const LONGEST_LIST: usize = 50;

impl ParameterKind {
    /// The kind's word in `commands/` and in help texts.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Choice(_) => "choice",
            Self::Text { .. } => "text",
            Self::Integer { .. } => "integer",
            Self::Duration { .. } => "duration",
            Self::Boolean => "boolean",
            Self::Secret { .. } => "secret",
            Self::List { .. } => "list",
        }
    }
}

/// One typed argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// An environment of the invocation's project.
    Environment(EnvironmentName),
    /// Text, or the word of a choice.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A span of time in milliseconds.
    DurationMs(u64),
    /// Yes or no.
    Boolean(bool),
    /// The name of a secret.
    Secret(SecretName),
    /// Several of one kind.
    List(Vec<Value>),
}

/// What this invocation gave, by parameter.
pub type Arguments = BTreeMap<ParameterName, Value>;

impl fmt::Display for Value {
    /// Prints the value as a step receives it: no quotes, spans of time in their shortest form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "{name}"),
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::DurationMs(ms) => f.write_str(&show_duration(Duration::from_millis(*ms))),
            Self::Boolean(yes) => write!(f, "{yes}"),
            Self::Secret(name) => write!(f, "{name}"),
            Self::List(items) => {
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{item}")?;
                }
                Ok(())
            }
        }
    }
}

/// Reads `30s`, `10m`, `1h 30m`, `2d`; refuses signs, months and years. At most 400 days.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let starts_with_digit = text.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let span: jiff::Span = text.trim().parse().ok().filter(|_| starts_with_digit)?;
    if span.get_years() != 0 || span.get_months() != 0 || span.get_weeks() < 0 {
        return None;
    }
    let days = i64::from(span.get_days()) + 7 * i64::from(span.get_weeks());
    let rest = span
        .days(0)
        .weeks(0)
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .ok()?;
    let total = rest.checked_add(jiff::SignedDuration::from_hours(days.checked_mul(24)?))?;
    let duration = Duration::try_from(total).ok()?;
    (duration <= Duration::from_secs(400 * 86_400)).then_some(duration)
}

/// Prints a span of time in its shortest exact form: `90s` is `1m 30s`, half a second `500ms`.
pub fn show_duration(duration: Duration) -> String {
    let total_ms = duration.as_millis();
    let parts = [
        (total_ms / 86_400_000, "d"),
        (total_ms / 3_600_000 % 24, "h"),
        (total_ms / 60_000 % 60, "m"),
        (total_ms / 1_000 % 60, "s"),
        (total_ms % 1_000, "ms"),
    ];
    let shown: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    if shown.is_empty() {
        "0s".to_owned()
    } else {
        shown.join(" ")
    }
}

/// Prints how long something took, for people: two parts at most, `1.4 s`, `3 m 20 s`.
pub fn show_elapsed(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0..=999 => format!("{ms} ms"),
        1_000..=9_999 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        10_000..=59_999 => format!("{} s", ms / 1_000),
        60_000..=3_599_999 => format!("{} m {} s", ms / 60_000, ms / 1_000 % 60),
        3_600_000..=86_399_999 => format!("{} h {} m", ms / 3_600_000, ms / 60_000 % 60),
        _ => format!("{} d {} h", ms / 86_400_000, ms / 3_600_000 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read_and_printed() {
        for (text, ms) in [
            ("30s", 30_000),
            ("10m", 600_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("250ms", 250),
        ] {
            let duration = parse_duration(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(duration.as_millis(), ms, "{text}");
            assert_eq!(
                parse_duration(&show_duration(duration)),
                Some(duration),
                "{text}"
            );
        }
        for bad in ["", "5", "-5m", "1 month", "1y", "soon", "99999d", "P1D"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn elapsed_time_reads_easily() {
        for (ms, text) in [
            (12, "12 ms"),
            (1_420, "1.4 s"),
            (59_000, "59 s"),
            (200_000, "3 m 20 s"),
            (7_260_000, "2 h 1 m"),
        ] {
            assert_eq!(show_elapsed(Duration::from_millis(ms)), text);
        }
    }
}
