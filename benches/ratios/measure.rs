//! Rounds, medians and spreads.

use std::time::{Duration, Instant};

/// One ratio for each round.
pub(crate) struct Ratios(Vec<f64>);

impl Ratios {
    /// Measures limit and subject alternately, after one round that warms up; each answers in how long it did the same
    /// amount of work. A ratio of 1 means: as fast as the limit.
    pub(crate) fn of_speeds(
        rounds: usize,
        mut limit: impl FnMut() -> Duration,
        mut subject: impl FnMut() -> Duration,
    ) -> Self {
        let mut ratios = Vec::with_capacity(rounds);
        for round in 0..=rounds {
            // Who comes first changes, so that a machine that slows down does not favour one of them.
            let (limit, subject) = if round % 2 == 0 {
                let limit = limit();
                (limit, subject())
            } else {
                let subject = subject();
                (limit(), subject)
            };
            if round > 0 {
                ratios.push(limit.as_secs_f64() / subject.as_secs_f64());
            }
        }
        Self(ratios)
    }

    /// Of rounds that were measured one by one.
    pub(crate) fn of(ratios: impl Iterator<Item = f64>) -> Self {
        Self(ratios.collect())
    }

    /// Prints the median ratio and the spread.
    pub(crate) fn print(&self, what: &str, more: &str) {
        let median = median(&self.0);
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(0.0, f64::max);
        println!(
            "  {what}: {median:.3} (median of {} rounds, {least:.3} to {most:.3}){more}",
            self.0.len()
        );
    }
}

/// The middle one, or the upper of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The value that this share of all values does not exceed.
pub(crate) fn percentile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is a small positive number"
    )]
    let at = (share * (values.len() - 1) as f64).round() as usize;
    values[at]
}

/// How long it takes.
pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

/// Microseconds, with one decimal.
pub(crate) fn micros(duration: Duration) -> String {
    format!("{:.1} µs", duration.as_secs_f64() * 1e6)
}

/// How many a second.
pub(crate) fn per_second(count: usize, duration: Duration) -> f64 {
    count as f64 / duration.as_secs_f64()
}

/// What is measured elsewhere only is passed over here, plainly; never on the machine that vouches for us.
pub(crate) fn pass_over(what: &str, why: &str) {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "{what} must be measured under CI=true: {why}");
    println!("  {what}: passed over, {why}");
}
