//! Replicas: real programs on one database, which speak to a fake Slack and are spoken to over signed HTTP.

use jiff::Timestamp;

use super::ack::{Callers, request};
use super::files::Home;
use super::process::Process;
use crate::fakes::slack::{BOT_TOKEN, FakeSlack, SIGNING_SECRET};

/// One of them.
pub(crate) struct Replica {
    pub(crate) home: Home,
    pub(crate) process: Process,
}

impl Replica {
    /// The first one, or another with its key.
    pub(crate) fn start(home: Home, url: &str, slack: &FakeSlack, first: Option<&Self>) -> Self {
        if let Some(first) = first {
            std::fs::create_dir_all(home.path("data")).unwrap();
            let key = first.home.path("data/ledger.key");
            std::fs::copy(key, home.path("data/ledger.key")).unwrap();
        }
        let settings = [
            ("SLACK_BOT_TOKEN", BOT_TOKEN.to_owned()),
            ("SLACK_SIGNING_SECRET", SIGNING_SECRET.to_owned()),
            ("SLACK_API_URL", slack.api_url()),
        ];
        let process = Process::serve_with(&home, url, &settings);
        Self { home, process }
    }

    /// Types the same so often, all at once but for the order of each caller. Returns when all are acknowledged.
    pub(crate) async fn hears(&self, text: &str, count: usize, now: Timestamp) {
        let mut callers = Callers::connect(self.process.address).await;
        let callers_used = callers.len().min(count);
        let numbers: Vec<usize> = (0..count).collect();
        let each = numbers.chunks(count.div_ceil(callers_used));
        let requests: Vec<Vec<Vec<u8>>> = each
            .map(|numbers| numbers.iter().map(|n| request(now, *n, text)).collect())
            .collect();
        callers.send(&requests).await;
    }

    /// A number of its `/metrics`.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let url = format!("http://{}/metrics", self.process.address);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse().ok())
            .unwrap_or_else(|| panic!("no `{name}` in {text}"))
    }
}
