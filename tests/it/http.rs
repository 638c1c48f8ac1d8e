//! The health routes and the server's limits, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use midwatch::http::{Health, Unready, ask_ready, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

struct Server {
    address: SocketAddr,
    cancel: CancellationToken,
    tasks: JoinSet<std::io::Result<()>>,
}

impl Server {
    async fn start(router: Router, drain: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, router, cancel.clone(), drain));
        Self {
            address,
            cancel,
            tasks,
        }
    }

    async fn stop(mut self) -> Duration {
        let began = Instant::now();
        self.cancel.cancel();
        self.tasks.join_next().await.unwrap().unwrap().unwrap();
        began.elapsed()
    }

    async fn says(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Asks, and leaves the connection open for more.
    async fn opens(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn get(&self, path: &str) -> String {
        self.says(&format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        ))
        .await
    }

    async fn ask_ready(&self) -> Result<Vec<String>, Unready> {
        let address = self.address;
        tokio::task::spawn_blocking(move || ask_ready(address))
            .await
            .unwrap()
    }
}

fn health() -> Health {
    Health::new(|| "midwatch_build_info 1\n".to_owned())
}

const DRAIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn the_fixed_routes_answer_and_others_are_not_found() {
    let server = Server::start(health().router(), DRAIN).await;
    for (path, status, words) in [
        ("/", "200", "midwatch: chat-ops"),
        ("/healthz", "200", "alive"),
        ("/readyz", "200", r#"{"checks":[],"ready":true}"#),
        ("/metrics", "200", "midwatch_build_info 1"),
        (
            "/nothing?token=hush",
            "404",
            r#"{"error":"nothing is at /nothing"}"#,
        ),
    ] {
        let answer = server.get(path).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{path}: {answer}"
        );
        assert!(answer.contains(words), "{path}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn readiness_names_the_check_that_fails_and_comes_back() {
    let well = Arc::new(AtomicBool::new(false));
    let asked = well.clone();
    let router = health()
        .check("catalog", || async { Ok(()) })
        .describe("chat", || async {
            Ok("2 sockets are connected".to_owned())
        })
        .check("store", move || {
            let well = asked.load(Ordering::SeqCst);
            async move {
                if well {
                    Ok(())
                } else {
                    Err("the disk is full".to_owned())
                }
            }
        })
        .router();
    let server = Server::start(router, DRAIN).await;
    let answer = server.get("/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains(r#"{"check":"catalog","ok":true}"#),
        "{answer}"
    );
    assert!(
        answer.contains(r#"{"check":"store","ok":false,"why":"the disk is full"}"#),
        "{answer}"
    );
    let why = server.ask_ready().await.unwrap_err();
    assert_eq!(
        why,
        Unready::Unwell(server.address, "store: the disk is full".to_owned())
    );
    well.store(true, Ordering::SeqCst);
    let how = vec!["chat: 2 sockets are connected".to_owned()];
    assert_eq!(server.ask_ready().await, Ok(how));
    server.stop().await;
}

#[tokio::test]
async fn a_check_that_hangs_or_breaks_has_failed_and_the_others_are_told() {
    let router = health()
        .check("hangs", std::future::pending)
        .check("breaks", || async { panic!("broken on purpose") })
        .check("works", || async { Ok(()) })
        .router();
    let server = Server::start(router, DRAIN).await;
    let answer = server.get("/readyz").await;
    assert!(
        answer.contains(r#"{"check":"hangs","ok":false,"why":"no answer within 2 s"}"#),
        "{answer}"
    );
    assert!(
        answer.contains(r#"{"check":"breaks","ok":false"#),
        "{answer}"
    );
    assert!(
        answer.contains(r#"{"check":"works","ok":true}"#),
        "{answer}"
    );
    server.stop().await;
}

#[tokio::test]
async fn asking_where_nobody_listens_says_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let why = tokio::task::spawn_blocking(move || ask_ready(address))
        .await
        .unwrap()
        .unwrap_err()
        .to_string();
    assert!(
        why.starts_with(&format!("no midwatch answers at {address}")),
        "{why}"
    );
    assert!(why.contains("start `midwatch serve`"), "{why}");
}

#[tokio::test]
async fn a_listener_on_all_addresses_is_asked_at_its_loopback() {
    let server = Server::start(health().router(), DRAIN).await;
    let port = server.address.port();
    let everywhere = SocketAddr::from(([0, 0, 0, 0], port));
    let asked = tokio::task::spawn_blocking(move || ask_ready(everywhere))
        .await
        .unwrap();
    assert_eq!(asked, Ok(Vec::new()));
    server.stop().await;
}

#[tokio::test]
async fn something_else_on_the_port_is_not_taken_for_us() {
    let server = Server::start(Router::new(), DRAIN).await;
    let why = server.ask_ready().await.unwrap_err();
    assert!(why.to_string().contains("is not midwatch"), "{why}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_refused() {
    let router = Router::new().route("/", post(async |body: String| body.len().to_string()));
    let server = Server::start(router, DRAIN).await;
    for (length, status) in [(1 << 10, "200"), ((1 << 20) + 1, "413")] {
        let body = if status == "200" {
            "x".repeat(length)
        } else {
            String::new()
        };
        let answer = server
            .says(&format!(
                "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            ))
            .await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{length}: {answer}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_has_begun_is_finished_before_we_stop() {
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, released) = (begun.clone(), release.clone());
    let slow = get(async move || {
        begins.notify_one();
        released.notified().await;
        "done"
    });
    let server = Server::start(Router::new().route("/", slow), DRAIN).await;
    let mut stream = server.opens("/").await;
    begun.notified().await;
    server.cancel.cancel();
    release.notify_one();
    let took = server.stop().await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.contains("200 OK") && answer.ends_with("done"),
        "{answer}"
    );
    assert!(took < DRAIN, "{took:?}");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_us_up_and_a_stuck_one_is_cut() {
    let begun = Arc::new(Notify::new());
    let begins = begun.clone();
    let stuck = get(async move || {
        begins.notify_one();
        std::future::pending::<&str>().await
    });
    let router = Router::new()
        .route("/stuck", stuck)
        .merge(health().router());
    let server = Server::start(router, Duration::from_millis(300)).await;
    let mut idle = server.opens("/healthz").await;
    idle.read_exact(&mut [0; 12]).await.unwrap();
    let mut stream = server.opens("/stuck").await;
    begun.notified().await;
    let took = server.stop().await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{read:?} {rest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_and_a_request_that_never_ends_are_cut() {
    let stuck = get(async || std::future::pending::<&str>().await);
    let server = Server::start(Router::new().route("/", stuck), DRAIN).await;
    let half = server.says("GET / HTTP/1.1\r\nhost: x\r\n").await;
    assert!(
        half.is_empty() || half.starts_with("HTTP/1.1 408"),
        "{half}"
    );
    let answer = server.get("/").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    server.stop().await;
}
