//! Three in the morning, whole: somebody who has never been here flushes a real Varnish. One story, told on every platform.

mod console;
mod discord;
mod slack;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use regex::Regex;

use crate::bot::Home;
use crate::fakes::discord::{ALICE, BEN, CLEO, GENERAL, HERMIT, STRANGER};
use crate::sample_shop::{Running, client};
use crate::slack_story::SHOP;
use crate::varnish::{Varnish, start_varnish};

/// How long anything may take to be seen.
const PATIENCE: Duration = Duration::from_secs(40);

/// What no rule allows to anybody.
const WIPE: &str = "\
command: wipe
does: Wipes the disks.
risk: high
parameters:
  environment: { type: environment }
steps: [{ name: wipe, run: [uptime] }]
";

/// Who is awake, or should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Has never been here.
    Eve,
    /// Called second.
    Bo,
    /// Types the same a little later.
    Kim,
    /// The manager, in the morning.
    Dana,
}

impl Who {
    fn id(self) -> &'static str {
        match self {
            Self::Eve => "eve",
            Self::Bo => "bo",
            Self::Kim => "kim",
            Self::Dana => "dana",
        }
    }
}

/// A platform with a running midwatch, as people use it at night.
#[async_trait]
trait Night {
    /// Types a command in the project's channel.
    async fn says(&mut self, who: Who, text: &str);
    /// Waits until everybody sees one message with all of these words.
    async fn seen(&mut self, says: &[&str]) -> String;
    /// Waits until this person alone is told all of these words in one message.
    async fn told(&mut self, who: Who, says: &[&str]) -> String;
    /// Waits until this person is called as this level: by direct message and by mention, where the platform has both.
    async fn called(&mut self, who: Who, level: &str);
    /// Answers a call where it was read: by the button with this label, or by this word where there is none.
    async fn answers(&mut self, who: Who, label: &str, word: &str);
    /// Facts of this kind in the ledger.
    fn facts(&self, kind: &str) -> Vec<serde_json::Value>;
    /// How the way to a thread reads.
    fn link(&self) -> &'static str;
}

/// The shipped commands, the flush with a time within which nobody needs it again; a rule for everybody of this night.
fn files(varnish: &Varnish) -> Home {
    let shipped = |name: &str| {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(root.join("commands").join(name)).unwrap()
    };
    let flush = shipped("flush-cache.yaml");
    let fresh = flush.replace(
        "one_at_a_time: environment\n",
        "one_at_a_time: environment\nfresh: 10m\n",
    );
    assert_ne!(flush, fresh);
    let people = format!(
        "people:
  ana: {{ name: Ana Ruiz, slack: U0ANA, discord: \"{ALICE}\" }}
  bo: {{ name: Bo Lind, slack: U0BO, discord: \"{BEN}\" }}
  eve: {{ name: Eve Stone, slack: U0EVE, discord: \"{CLEO}\" }}
  kim: {{ name: Kim Osei, slack: U0KIM, discord: \"{HERMIT}\" }}
  dana: {{ name: Dana Weiss, slack: U0DANA, discord: \"{STRANGER}\" }}
groups:
  team-shop: [ana, bo]
  engineering: [ana, bo, eve, kim]
rotations:
  shop:
    zone: UTC
    starts: 2026-01-05 09:00
    every: 7d
    levels: {{ oncall: [ana], secondary: [bo], manager: [dana] }}
"
    );
    let runbook = format!(
        "project: shop
about: The web shop. A Varnish before four hosts.
owner: team-shop
channels: [shop, {SHOP}, \"{GENERAL}\"]
environments:
  prod: {{ url: \"http://{}\" }}
rules:
  - {{ may: reads, who: everyone }}
  - {{ may: flush-cache, in: prod, who: team-shop }}
  - {{ may: flush-cache, in: prod, who: engineering, after: {{ approvals: 1, of: team-shop, within: 15m }} }}
  - otherwise: \"call the vendor's hotline, +49 30 5550199\"
escalation:
  - {{ at: 0s, call: oncall(shop) }}
  - {{ at: 4s, call: secondary(shop), say_so: true }}
  - {{ at: 15m, call: manager(shop) }}
",
        varnish.addr
    );
    Home::of_files(&[
        ("commands/flush-cache.yaml", &fresh),
        ("commands/cache-status.yaml", &shipped("cache-status.yaml")),
        ("commands/wipe.yaml", WIPE),
        ("runbooks/people.yaml", &people),
        ("runbooks/shop.yaml", &runbook),
    ])
}

/// A shop behind a Varnish, as a visitor has it.
struct Visited {
    shop: Running,
    varnish: Varnish,
}

impl Visited {
    /// `None`, after saying so, where no Varnish is installed.
    async fn open() -> Option<Self> {
        let shop = Running::start().await;
        let varnish = start_varnish(shop.shop.address())?;
        Some(Self { shop, varnish })
    }

    /// Whether a page came from the cache.
    async fn is_cached(&self, path: &str) -> bool {
        let url = format!("http://{}{path}", self.varnish.addr);
        let answer = client().get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.headers()["x-cache"] == "HIT"
    }
}

async fn three_in_the_morning(night: &mut dyn Night, visited: &Visited) {
    for path in ["/", "/sale", "/", "/sale"] {
        visited.is_cached(path).await;
    }
    assert!(visited.is_cached("/sale").await, "old prices");
    let run = a_stranger_asks(night).await;
    assert!(visited.is_cached("/sale").await, "nothing was done yet");
    the_second_level_answers(night, &run).await;
    night
        .seen(&["flush-cache prod succeeded in", &format!("ref {run}")])
        .await;
    assert!(!visited.is_cached("/sale").await, "it was flushed");
    assert!(visited.is_cached("/sale").await);
    let reached = visited.shop.shop.requests();
    someone_just_did_it(night, &run).await;
    what_is_forbidden_names_the_hotline(night).await;
    assert!(visited.is_cached("/sale").await, "nothing ran twice");
    assert_eq!(visited.shop.shop.requests(), reached);
    the_manager_reads(night, &run).await;
}

/// Looks around, looks before leaping, and asks; answers the run's reference.
async fn a_stranger_asks(night: &mut dyn Night) -> String {
    night.says(Who::Eve, "orient").await;
    let oriented = [
        "The web shop",
        "with consent: flush-cache",
        "now: Ana Ruiz (oncall(shop))",
        "Bo Lind (secondary(shop))",
    ];
    night.told(Who::Eve, &oriented).await;
    night.says(Who::Eve, "flush-cache prod --plan").await;
    let card = [
        "you may run this with 1 approval of team-shop",
        "nothing was done yet",
        "the cache refills by itself",
    ];
    night.told(Who::Eve, &card).await;
    assert_eq!(night.facts("decided").len(), 0);
    let flush = "flush-cache prod reason=\"old prices\"";
    night.says(Who::Eve, flush).await;
    let root = ["flush-cache prod waits for 1 approval of team-shop", "ref "];
    let root = night.seen(&root).await;
    let (_, reference) = root.split_once("ref ").unwrap();
    let letters = |it: &char| it.is_ascii_alphanumeric();
    reference.chars().take_while(letters).collect()
}

/// Whoever is on call first sleeps through it.
async fn the_second_level_answers(night: &mut dyn Night, run: &str) {
    night.called(Who::Bo, "secondary(shop)").await;
    let called = night.facts("page").into_iter();
    let called = called.filter(|it| it["became"]["event"] == "called");
    assert_eq!(called.count(), 1, "by the escalation, once");
    night
        .answers(Who::Bo, "I have it", &format!("ack {run}"))
        .await;
    night
        .seen(&[&format!("Bo Lind has page {run}"), "nobody else is called"])
        .await;
    night
        .answers(Who::Bo, "Approve", &format!("approve {run}"))
        .await;
    night.seen(&["Bo Lind approved"]).await;
}

/// Who, when, how it ended, how long it took, and where to read it.
async fn someone_just_did_it(night: &mut dyn Night, run: &str) {
    night.says(Who::Kim, "flush-cache prod").await;
    let held = ["someone just did it", "nothing was done"];
    let held = night.told(Who::Kim, &held).await;
    let facts = format!(
        r"run {run} of Eve Stone, [-\d: ]+ UTC \([^)]+\), because “old prices”: succeeded in [\d.]+ (ms|s); .*{}",
        regex::escape(night.link())
    );
    assert!(Regex::new(&facts).unwrap().is_match(&held), "{held}");
}

async fn what_is_forbidden_names_the_hotline(night: &mut dyn Night) {
    night.says(Who::Eve, "wipe prod").await;
    let refused = [
        "wipe prod is not yours to run",
        "nothing was done",
        "call the vendor's hotline, +49 30 5550199",
        "runbooks/shop.yaml:",
    ];
    night.told(Who::Eve, &refused).await;
}

async fn the_manager_reads(night: &mut dyn Night, run: &str) {
    night.says(Who::Dana, &format!("summary {run}")).await;
    let read = [
        "asked for by Eve Stone",
        "it worked",
        "Bo Lind",
        "old prices",
    ];
    night.told(Who::Dana, &read).await;
    let began = Instant::now();
    let words = |night: &dyn Night| -> Vec<String> {
        let events = night.facts("page").into_iter();
        events
            .map(|it| it["became"]["event"].as_str().unwrap().to_owned())
            .filter(|it| !it.starts_with("call_"))
            .collect()
    };
    while words(night) != ["began", "called", "acknowledged"] {
        assert!(began.elapsed() < PATIENCE, "{:?}", words(night));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A message with all of these words.
fn has_all(text: &str, says: &[&str]) -> bool {
    says.iter().all(|part| text.contains(part))
}
