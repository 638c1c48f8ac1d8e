//! A signed slash command over HTTP until it is durable, against a handler that does nothing on the same HTTP stack.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use midwatch::chat::Intake;
use midwatch::chat::slack::{Door, Slack, SlackSettings, routes};
use midwatch::clock::Clock;
use midwatch::store::{Store, StoreSettings};
use secrecy::SecretString;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::files::{ACCOUNT, Home, Size, channel};
use super::measure::{Ratios, per_second, percentile};

const CALLERS: usize = 64;
const REQUESTS_EACH: usize = 150;
const ROUNDS: usize = 9;
const AIM: f64 = 0.45;
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
/// An answer that takes longer than this is none.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = Home::of_size(Size {
        projects: 1,
        rules: 1,
    });
    let clock = Clock::system();
    let settings = StoreSettings {
        url: format!("sqlite:{}", home.path("midwatch.db").display()),
        data: home.path("data"),
    };
    let store = runtime
        .block_on(Store::open(&settings, clock.now()))
        .unwrap();
    let stop = CancellationToken::new();
    let mut servers = JoinSet::new();
    let noop = Router::new().route("/slack/commands", post(|| async { StatusCode::OK }));
    let ours = routes(door(&home, store.clone(), clock.clone()));
    let limit = runtime.block_on(serve(&mut servers, noop, &stop));
    let subject = runtime.block_on(serve(&mut servers, ours, &stop));
    let mut limit = runtime.block_on(Callers::connect(limit));
    let mut subject = runtime.block_on(Callers::connect(subject));

    let (mut sent, mut commits) = (0, 0);
    let (mut limit_speeds, mut speeds, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    let ratios = Ratios::of_speeds(
        ROUNDS,
        || {
            let (took, _) = runtime.block_on(limit.send(&requests(&clock)));
            limit_speeds.push(per_second(CALLERS * REQUESTS_EACH, took));
            took
        },
        || {
            let before = *store.changes().borrow();
            let (took, some) = runtime.block_on(subject.send(&requests(&clock)));
            waits.extend(some);
            sent += CALLERS * REQUESTS_EACH;
            commits += *store.changes().borrow() - before;
            speeds.push(per_second(CALLERS * REQUESTS_EACH, took));
            took
        },
    );
    let more = format!(
        "; aim {AIM}\n  {CALLERS} callers: {:.0} durable acknowledgements/s, no-op {:.0}/s; {:.1} in a commit; waited {:.1} ms (median), {:.1} ms (99 of 100)",
        super::measure::median(&speeds),
        super::measure::median(&limit_speeds),
        sent as f64 / commits as f64,
        percentile(&mut waits, 0.5).as_secs_f64() * 1e3,
        percentile(&mut waits, 0.99).as_secs_f64() * 1e3,
    );
    ratios.print("ack, share of the no-op handler's speed", &more);
    runtime.block_on(async {
        assert_all_are_in_the_ledger(&store, sent, clock.now()).await;
        stop.cancel();
        while servers.join_next().await.is_some() {}
        store.close().await;
    });
}

/// Every command has one entry: an acknowledgement without one would make the figures above worthless.
async fn assert_all_are_in_the_ledger(store: &Store, sent: usize, now: Timestamp) {
    let note = store.checkpoint(now).await.unwrap();
    let size: usize = note.lines().nth(1).unwrap().parse().unwrap();
    assert_eq!(
        size, sent,
        "the ledger does not hold one entry for each acknowledged command"
    );
}

fn door(home: &Home, store: Store, clock: Clock) -> Door {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok(); // An error says that it is installed already.
    let settings = SlackSettings {
        bot_token: SecretString::from("xoxb-bench"),
        app_token: None,
        signing_secret: Some(SecretString::from(SECRET)),
        api_url: "http://127.0.0.1:9".to_owned(),
    };
    let slack = Slack::new(&settings, Arc::new(ArcSwap::from_pointee(home.catalog()))).unwrap();
    let intake: Intake = Arc::new(move |inbound| {
        let store = store.clone();
        Box::pin(async move { store.receive(inbound).await })
    });
    Door {
        slack: Arc::new(slack),
        intake,
        clock,
    }
}

async fn serve(
    servers: &mut JoinSet<()>,
    router: Router,
    stop: &CancellationToken,
) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = stop.clone();
    servers.spawn(async move {
        midwatch::http::serve(listener, router, stop, Duration::from_secs(1))
            .await
            .unwrap();
    });
    address
}

/// The same requests' bytes for both; signed before anything is measured.
fn requests(clock: &Clock) -> Vec<Vec<Vec<u8>>> {
    let now = clock.now();
    let one = |caller: usize, n: usize| request(now, n * CALLERS + caller, super::files::TYPED);
    (0..CALLERS)
        .map(|caller| (0..REQUESTS_EACH).map(|n| one(caller, n)).collect())
        .collect()
}

/// What Slack sends when this is typed after `/ops`.
pub(crate) fn request(now: Timestamp, number: usize, text: &str) -> Vec<u8> {
    // As Slack makes them: a number that grows in the order of sending, the workspace's, and hexadecimal digits.
    let (ms, random) = (now.as_millisecond(), rand::random::<u64>());
    let trigger = format!("{ms}{number:07}.738474920.{random:016x}");
    let channel = channel(0);
    let fields = BTreeMap::from([
        ("token", "gIkuvaNzQIHg97ATvDxqgjtO"),
        ("team_id", "T0BENCH"),
        ("team_domain", "example"),
        ("channel_id", channel.as_str()),
        ("channel_name", "bench"),
        ("user_id", ACCOUNT),
        ("user_name", "ana"),
        ("command", "/ops"),
        ("text", text),
        ("api_app_id", "A0BENCH"),
        ("is_enterprise_install", "false"),
        (
            "response_url",
            "https://hooks.slack.com/commands/T0BENCH/1/x",
        ),
        ("trigger_id", &trigger),
    ]);
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let stamp = now.as_second();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("v0:{stamp}:{body}").as_bytes());
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    format!(
        "POST /slack/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         User-Agent: Slackbot 1.0 (+https://api.slack.com/robots)\r\nX-Slack-Request-Timestamp: {stamp}\r\n\
         X-Slack-Signature: v0={signature}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Callers who keep their connections; in this process, for both sides alike.
pub(crate) struct Callers(Vec<TcpStream>);

impl Callers {
    pub(crate) async fn connect(address: std::net::SocketAddr) -> Self {
        let mut streams = Vec::with_capacity(CALLERS);
        for _ in 0..CALLERS {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            streams.push(stream);
        }
        Self(streams)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each caller sends its requests one after the other. Answers how long all took, and how long each waited.
    pub(crate) async fn send(&mut self, requests: &[Vec<Vec<u8>>]) -> (Duration, Vec<Duration>) {
        let mut calling = JoinSet::new();
        let began = Instant::now();
        for (mut stream, requests) in self.0.drain(..).zip(requests.to_vec()) {
            calling.spawn(async move {
                let mut waits = Vec::with_capacity(requests.len());
                for request in requests {
                    let asked = Instant::now();
                    tokio::time::timeout(PATIENCE, ask(&mut stream, &request))
                        .await
                        .expect("an answer came in time");
                    waits.push(asked.elapsed());
                }
                (stream, waits)
            });
        }
        let mut all = Vec::new();
        while let Some(called) = calling.join_next().await {
            let (stream, waits) = called.unwrap();
            self.0.push(stream);
            all.extend(waits);
        }
        (began.elapsed(), all)
    }
}

/// One request and its answer: 200 and nothing more. Our excuses are 200 with a text.
async fn ask(stream: &mut TcpStream, request: &[u8]) {
    stream.write_all(request).await.unwrap();
    let mut answer = [0; 1_024];
    let mut length = 0;
    loop {
        let read = stream.read(&mut answer[length..]).await.unwrap();
        assert!(read > 0, "the connection ended within an answer");
        length += read;
        if answer[..length].windows(4).any(|end| end == b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8_lossy(&answer[..length]);
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 0\r\n"),
        "not a bare acknowledgement: {head}"
    );
}
