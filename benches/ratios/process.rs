//! The real program as a process, and a server of the same build that does nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use super::files::Home;

/// The program.
pub(crate) const MIDWATCH: &str = env!("CARGO_BIN_EXE_midwatch");
/// Makes this benchmark a server that does nothing.
pub(crate) const BARE_SERVER: &str = "bare-server";
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// From start to ready.
    pub(crate) ready_after: Duration,
}

impl Process {
    /// Starts `serve` on these files and waits until it is ready.
    pub(crate) fn serve(home: &Home) -> Self {
        let url = format!("sqlite:{}", home.path("data/midwatch.db").display());
        Self::serve_on(home, &url)
    }

    /// The same on this database.
    pub(crate) fn serve_on(home: &Home, database: &str) -> Self {
        Self::serve_with(home, database, &[])
    }

    /// The same with further settings.
    pub(crate) fn serve_with(home: &Home, database: &str, settings: &[(&str, String)]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut command = Command::new(MIDWATCH);
        command
            .arg("serve")
            .env_clear()
            .current_dir(home.path(""))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATABASE_URL", database)
            .envs(settings.iter().map(|(name, value)| (*name, value)))
            .env("MIDWATCH_DATA", home.path("data"))
            .env("MIDWATCH_COMMANDS", home.path("commands"))
            .env("MIDWATCH_RUNBOOKS", home.path("runbooks"))
            .env("MIDWATCH_LISTEN", address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let began = Instant::now();
        let child = command.spawn().unwrap();
        let mut process = Self {
            child,
            address,
            ready_after: Duration::ZERO,
        };
        while !is_ready(address) {
            let ended = process.child.try_wait().unwrap();
            assert!(ended.is_none(), "midwatch ended at once: {ended:?}");
            assert!(began.elapsed() < PATIENCE, "midwatch is not ready");
            std::thread::sleep(Duration::from_millis(1));
        }
        process.ready_after = began.elapsed();
        process
    }

    /// Starts a server that does nothing.
    pub(crate) fn bare() -> Self {
        let began = Instant::now();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(BARE_SERVER)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address: SocketAddr = line.trim().parse().unwrap();
        while !is_ready(address) {
            assert!(began.elapsed() < PATIENCE, "the bare server is not ready");
            std::thread::sleep(Duration::from_millis(1));
        }
        Self {
            child,
            address,
            ready_after: began.elapsed(),
        }
    }

    /// Resident memory in KiB; `None` where there is no `/proc`.
    pub(crate) fn resident_kib(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok(); // It may have ended already.
        self.child.wait().ok();
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .is_ok()
        && stream.write_all(request).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200 ")
}

/// The HTTP stack and nothing behind it, until killed.
pub(crate) fn serve_barely() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let router = Router::new().route("/readyz", get(|| async { "ready" }));
        midwatch::http::serve(listener, router, CancellationToken::new(), PATIENCE)
            .await
            .unwrap();
    });
}
