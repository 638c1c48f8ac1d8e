//! What was told, and what midwatch counted of it.

use std::time::Duration;

use super::people::Told;

/// How long a platform waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was told, and what was said of it.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    by_http: usize,
    connected: usize,
    as_retry: usize,
    pub(super) restarts: usize,
    pub(super) troubles: usize,
    /// As midwatch counts: inbounds that were new, duplicates, deliveries that were marked as repeated.
    new: usize,
    duplicates: usize,
    repeated: usize,
    slowest: Duration,
    /// Deliveries that were not answered as they should be, or not in time.
    pub(super) refused: Vec<String>,
}

impl Tally {
    /// Something was told, and answered after so long.
    pub(super) fn note(&mut self, key: &str, told: Told, took: Duration) {
        let (times, how) = if told.by_http {
            (&mut self.by_http, "http")
        } else {
            (&mut self.connected, "connection")
        };
        *times += 1;
        self.as_retry += usize::from(told.as_retry);
        self.slowest = self.slowest.max(took);
        let late = (took > PATIENCE).then(|| "too late".to_owned());
        if let Some(why) = told.wrong.or(late) {
            self.refused
                .push(format!("{key} by {how}, after {took:?}: {why}"));
        }
    }

    /// Adds what one midwatch counted until now.
    pub(super) fn add(&mut self, metrics: &str) {
        let number = |name: &str, label: &str| -> usize {
            let lines = metrics
                .lines()
                .filter(|line| line.starts_with(name) && line.contains(label));
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
            values.sum()
        };
        self.new += number("midwatch_inbounds_total", "receipt=\"new\"");
        self.duplicates += number("midwatch_inbounds_total", "receipt=\"duplicate\"");
        self.repeated += number("midwatch_deliveries_repeated_total", "");
    }

    /// Every delivery is counted, as new or as duplicate; `more`: others may be counted beside them.
    pub(super) fn miscounted(&self, things: usize, more: bool) -> Option<String> {
        let told = self.by_http + self.connected;
        let counted = self.new + self.duplicates;
        let adds_up = if more {
            counted > told
        } else {
            counted == told
        };
        // Our own messages come back to us too; one that is cut off by a restart is repeated.
        let fine = self.new == things && adds_up && self.repeated >= self.as_retry;
        (!fine).then(|| format!("{told} deliveries of {things} things were counted as {self:?}"))
    }

    /// In words.
    pub(super) fn told(&self, things: usize) -> String {
        let told = self.by_http + self.connected;
        format!(
            "{told} deliveries of {things} things ({} by HTTP, {} over connections, {} as retries), all answered, the \
             slowest after {} ms; {} duplicates counted, {} of them heard twice or read from histories; {} restarts, {} \
             connections disturbed",
            self.by_http,
            self.connected,
            self.as_retry,
            self.slowest.as_millis(),
            self.duplicates,
            self.new + self.duplicates - told,
            self.restarts,
            self.troubles,
        )
    }
}
