//! A page of a project's timeline over ledgers of 10,000 entries and of a hundred times as many: it must cost the same.
//!
//! `TIMELINE_ENTRIES=10000000` takes another size for the large one; ten million need some 5 GB and a minute on either
//! engine. The entries are as long as real ones and were not made by real commands, one in ten is on the timeline that is
//! read, and the database is opened for reading only: the ledger's tree does not know of them.

use std::time::{Duration, Instant};

use midwatch::clock::Clock;
use midwatch::dispatch::read_timeline;
use midwatch::domain::{Position, Since, TimelineAsk};
use midwatch::store::{Store, StoreSettings};
use tokio::runtime::Runtime;

use super::engines::{Engine, Raw, open};
use super::files::Home;
use super::measure::{Ratios, median};

const SMALL: u64 = 10_000;
/// Unless `TIMELINE_ENTRIES` says otherwise.
const LARGE: u64 = 1_000_000;
const ROUNDS: usize = 9;
/// Pages in a round.
const PAGES: u32 = 50;
/// As chat shows them.
const LINES: u32 = 15;
/// Between two entries.
const APART_MS: u64 = 1_000;
const BEGIN_MS: u64 = 1_790_000_000_000;

pub(crate) fn run() {
    let large = std::env::var("TIMELINE_ENTRIES").ok();
    let large = large.map_or(LARGE, |text| {
        text.parse().expect("TIMELINE_ENTRIES is a number")
    });
    let runtime = Runtime::new().unwrap();
    for engine in Engine::all() {
        println!("  {}: {SMALL} entries and {large}", engine.name());
        let bases = [SMALL, large].map(|size| runtime.block_on(Base::with(engine, size)));
        for (what, page) in [
            ("the newest page", Page::Newest),
            ("a page of the middle", Page::Middle),
            ("the last 10 minutes", Page::Since),
            ("the newest about a word in every line", Page::About),
        ] {
            compare(&runtime, &bases, what, page);
        }
    }
}

fn compare(runtime: &Runtime, [small, large]: &[Base; 2], what: &str, page: Page) {
    let mut took = [Vec::new(), Vec::new()];
    let mut round = |n: usize, base: &Base| {
        let spent = runtime.block_on(base.reads(page));
        took[n].push(spent.as_secs_f64() * 1e6 / f64::from(PAGES));
        spent
    };
    let round = std::cell::RefCell::new(&mut round);
    let ratios = Ratios::of_speeds(
        ROUNDS,
        || round.borrow_mut()(0, small),
        || round.borrow_mut()(1, large),
    );
    let [few, many] = took.map(|took| median(&took));
    let more = format!("; {few:.0} µs and {many:.0} µs a page");
    ratios.print(&format!("{what}, speed with many to few"), &more);
}

/// Which page is read.
#[derive(Clone, Copy)]
enum Page {
    Newest,
    Middle,
    Since,
    About,
}

/// A database with so many entries.
struct Base {
    _home: Home,
    store: Store,
    size: u64,
}

impl Base {
    async fn with(engine: Engine, size: u64) -> Self {
        let home = Home::new();
        let url = engine.database(&home, "timeline.db").await;
        open(&home, &url, Clock::system().now()).await.close().await;
        let mut raw = Raw::to(&url).await;
        let began = Instant::now();
        raw.run(&fill(engine, size)).await;
        println!(
            "    {size} entries written in {:.1} s",
            began.elapsed().as_secs_f64()
        );
        let settings = StoreSettings {
            url,
            data: home.path("data"),
        };
        let store = Store::open_read_only(&settings).await.unwrap();
        Self {
            _home: home,
            store,
            size,
        }
    }

    async fn reads(&self, page: Page) -> Duration {
        let end = i64::try_from(BEGIN_MS + self.size * APART_MS).unwrap();
        let middle = i64::try_from(BEGIN_MS + self.size / 2 * APART_MS).unwrap();
        let at = |ms| jiff::Timestamp::from_millisecond(ms).unwrap();
        let ask = TimelineAsk {
            project: "shop".parse().unwrap(),
            since: matches!(page, Page::Since).then(|| Since::Ago(Duration::from_secs(600))),
            about: matches!(page, Page::About).then(|| "cache".to_owned()),
            before: matches!(page, Page::Middle).then(|| Position::of_moment(at(middle))),
        };
        let began = Instant::now();
        for _ in 0..PAGES {
            let read = read_timeline(&self.store, &ask, LINES, at(end));
            let timeline = read.await.unwrap();
            assert_eq!(timeline.lines.len(), LINES as usize);
        }
        began.elapsed()
    }
}

/// Statements that write so many entries: nine of ten are of runs and messages, one denies something in the shop.
fn fill(engine: Engine, size: u64) -> String {
    let (numbers, moment, at) = match engine {
        Engine::Sqlite => (
            format!(
                "with recursive numbers (n) as (select 0 union all select n + 1 from numbers where n < {size} - 1)"
            ),
            format!("strftime('%Y-%m-%dT%H:%M:%SZ', {BEGIN_MS} / 1000 + n, 'unixepoch')"),
            format!("{BEGIN_MS} + n * {APART_MS}"),
        ),
        Engine::Postgres => (
            format!("with numbers (n) as (select generate_series(0::bigint, {size} - 1))"),
            format!(
                "to_char(to_timestamp({BEGIN_MS} / 1000 + n) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
            ),
            format!("{BEGIN_MS} + n * {APART_MS}"),
        ),
    };
    let denied = concat!(
        r#""fact":{"actor":{"person":"bo"},"decision":{"deny":"denied"},"groups":["engineering"],"inbound":"slack:T1:C1:1","#,
        r#""invocation":{"again":false,"arguments":{"environment":{"environment":"prod"}},"command":"flush-cache","environment":"prod","project":"shop","#,
        r#""reason":null},"kind":"decided","plan":null,"reference":null,"rule":{"file":"runbooks/shop.yaml","line":30,"#,
        r#""revision":"0123456789ab"},"run":null}"#
    );
    let received = concat!(
        r#""fact":{"inbound":"slack:T1:C1:1","kind":"received","platform":"slack","source":"chat","#,
        r#""speaker":"28050de4f968cf31a602204d1c79c5df550003be9f352c988119ff471e48bbaa","#,
        r#""text":"bdeed0ba898d2dc1f0acdfc34bcb88be766709b781d14296c83d4bb2c783baa3"}"#
    );
    let line = format!(
        "'{{\"at\":\"' || {moment} || '\",' || case when n % 10 = 0 then '{denied}' else '{received}' end || ',\"sequence\":' || n || '}}'"
    );
    format!(
        "begin;
         delete from ledger;
         delete from happenings;
         {numbers} insert into ledger (sequence, run, line) select n, null, {line} from numbers;
         {numbers} insert into happenings (project, at, sequence) select 'shop', {at}, n from numbers where n % 10 = 0;
         insert into commits_read (id, at, problem) values (1, 0, null);
         update tree set placed = size;
         commit;
         analyze;"
    )
}
