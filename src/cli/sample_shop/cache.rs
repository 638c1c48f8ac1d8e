//! The sample shop's page cache: bounded, and forgetful after three minutes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// A rendered page.
pub(super) type Page = Arc<str>;

/// The longest path that is kept, with its query, in bytes.
pub(super) const LONGEST_PATH: usize = 2_048;
const TIME_TO_LIVE: Duration = Duration::from_mins(3);
const MOST_PAGES: usize = 1_000;

/// Pages by path and query.
#[derive(Default)]
pub(super) struct Cache {
    pages: HashMap<String, (Page, Timestamp)>,
}

impl Cache {
    /// The page, and its age in seconds; `None` when it was never put, was dropped, or is too old.
    pub(super) fn get(&self, path: &str, now: Timestamp) -> Option<(Page, u64)> {
        let (page, at) = self.pages.get(path)?;
        let age = age(*at, now);
        (age < TIME_TO_LIVE).then(|| (Arc::clone(page), age.as_secs()))
    }

    /// Keeps a page; the oldest goes when there are too many.
    pub(super) fn put(&mut self, path: &str, page: Page, now: Timestamp) {
        if self.pages.len() >= MOST_PAGES && !self.pages.contains_key(path) {
            self.pages.retain(|_, (_, at)| age(*at, now) < TIME_TO_LIVE);
        }
        if self.pages.len() >= MOST_PAGES && !self.pages.contains_key(path) {
            let oldest = self.pages.iter().min_by_key(|(_, (_, at))| *at);
            if let Some(oldest) = oldest.map(|(path, _)| path.clone()) {
                self.pages.remove(&oldest);
            }
        }
        self.pages.insert(path.to_owned(), (page, now));
    }

    /// Drops every page whose path begins so; answers how many there were.
    pub(super) fn ban(&mut self, path: &str) -> usize {
        let before = self.pages.len();
        self.pages.retain(|kept, _| !kept.starts_with(path));
        before - self.pages.len()
    }
}

fn age(at: Timestamp, now: Timestamp) -> Duration {
    // A clock that was set back makes a page new, not an error.
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + secs).unwrap()
    }

    #[test]
    fn a_page_is_kept_for_three_minutes() {
        let mut cache = Cache::default();
        cache.put("/", "page".into(), at(0));
        assert_eq!(cache.get("/", at(179)), Some(("page".into(), 179)));
        assert_eq!(cache.get("/", at(180)), None);
        assert_eq!(cache.get("/other", at(0)), None);
    }

    #[test]
    fn a_ban_drops_what_begins_with_its_path_and_nothing_else() {
        let mut cache = Cache::default();
        for path in ["/", "/shoes", "/shoes/red?size=38", "/hats"] {
            cache.put(path, "page".into(), at(0));
        }
        assert_eq!(cache.ban("/shoes"), 2);
        assert_eq!(cache.ban("/shoes"), 0);
        assert_eq!(cache.ban("/"), 2);
    }

    #[test]
    fn a_full_cache_loses_its_oldest_page() {
        let mut cache = Cache::default();
        for number in 0..=MOST_PAGES {
            let second = i64::try_from(number / 10).unwrap();
            cache.put(
                &format!("/{number}"),
                "page".into(),
                at(second + i64::from(number != 7)),
            );
        }
        assert_eq!(cache.pages.len(), MOST_PAGES);
        assert_eq!(cache.get("/7", at(100)), None, "the oldest");
    }
}
