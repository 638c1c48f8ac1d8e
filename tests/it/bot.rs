//! A running midwatch for stories and proofs: the real program, as a process of its own, on folders of the test's own.
#![expect(
    clippy::disallowed_methods,
    reason = "starts the program under test, with the PATH and HOME that it is run with"
)]

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub const MIDWATCH: &str = env!("CARGO_BIN_EXE_midwatch");

/// Where a midwatch keeps its things and what it is told; outlives its process, so that it can be started again.
pub struct Home {
    folder: tempfile::TempDir,
    settings: BTreeMap<String, String>,
}

impl Home {
    /// A home with the shipped commands and runbooks.
    pub fn shipped() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self::with(&root.join("commands"), &root.join("runbooks"))
    }

    /// A home with files of the test's own, by path: `commands/x.yaml`, `runbooks/y.yaml`.
    pub fn of_files(files: &[(&str, &str)]) -> Self {
        let home = Self::with(Path::new(""), Path::new(""));
        let root = home.folder.path().to_owned();
        for (name, text) in files {
            home.write(name, text);
        }
        home.setting("MIDWATCH_COMMANDS", root.join("commands").display())
            .setting("MIDWATCH_RUNBOOKS", root.join("runbooks").display())
    }

    fn with(commands: &Path, runbooks: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        let home = Self {
            folder,
            settings: BTreeMap::new(),
        };
        home.setting("MIDWATCH_DATA", data.display())
            .setting("MIDWATCH_COMMANDS", commands.display())
            .setting("MIDWATCH_RUNBOOKS", runbooks.display())
    }

    /// Adds a setting.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.set(name, value);
        self
    }

    /// Changes a setting.
    pub fn set(&mut self, name: &str, value: impl std::fmt::Display) {
        self.settings.insert(name.to_owned(), value.to_string());
    }

    /// Writes a file below the home.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// A path below the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with this home's settings and nothing else of ours.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(MIDWATCH);
        command
            .args(arguments)
            .env_clear()
            .current_dir(self.folder.path())
            .envs(&self.settings);
        for name in ["PATH", "HOME", "PLANTED_BUG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
    }

    /// Runs a subcommand to its end with this input.
    pub fn run(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("midwatch starts");
        child
            .stdin
            .take()
            .expect("stdin is piped")
            .write_all(input.as_bytes())
            .expect("midwatch reads");
        child.wait_with_output().expect("midwatch ends")
    }

    /// Starts `serve` and waits until it is ready.
    pub async fn serve(&self) -> Bot {
        let mut bot = self.launch();
        let started = Instant::now();
        while !bot.is_ready().await {
            let log = || std::fs::read_to_string(self.path("log")).unwrap_or_default();
            if let Some(status) = bot.has_ended() {
                panic!("midwatch ended at once with {status}: {}", log());
            }
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "midwatch is not ready: {}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bot.ready_after = started.elapsed();
        bot
    }

    /// Starts `midwatch serve`, and waits for nothing.
    pub fn launch(&self) -> Bot {
        self.launch_with(&[])
    }

    /// The same, with these settings too.
    pub fn launch_with(&self, more: &[(&str, &str)]) -> Bot {
        let address = free_address();
        let _ = rustls::crypto::ring::default_provider().install_default(); // The first of several.
        let client = reqwest::Client::new(); // Before the start: to make one takes a while.
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("a log file");
        let mut command = self.command(&["serve"]);
        command
            .env("MIDWATCH_LISTEN", address.to_string())
            .envs(more.iter().copied());
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("midwatch starts");
        Bot {
            child,
            address,
            client,
            ready_after: Duration::ZERO,
        }
    }

    /// Makes it look as if midwatch had been away for so much longer: all that it heard, it heard earlier. Its database is
    /// a SQLite file.
    pub async fn away_for(&self, longer: Duration) {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.path("data/midwatch.db"))
            .busy_timeout(Duration::from_secs(5));
        let mut db = sqlx::ConnectOptions::connect(&options)
            .await
            .expect("the database opens");
        let longer = i64::try_from(longer.as_millis()).expect("a gap fits");
        sqlx::query("update cursors set heard = heard - $1")
            .bind(longer)
            .execute(&mut db)
            .await
            .expect("the cursors are set back");
        sqlx::Connection::close(db).await.expect("it closes");
    }

    /// Living supervisors of steps: process and the name of its attempt's folder, `RUN-POSITION-ATTEMPT`.
    pub fn supervisors(&self) -> Vec<(rustix::process::Pid, String)> {
        let steps = self.path("data/steps");
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let found = processes.filter_map(|process| {
            let argv = std::fs::read(process.path().join("cmdline")).ok()?;
            let argv = String::from_utf8(argv).ok()?;
            let (_, folder) = argv.trim_end_matches('\0').split_once("\0supervise\0")?;
            let attempt = Path::new(folder)
                .strip_prefix(&steps)
                .ok()?
                .to_str()?
                .to_owned();
            // Between fork and exec a supervisor's child looks like it, but for the session that it leads.
            let pid = rustix::process::Pid::from_raw(process.file_name().to_str()?.parse().ok()?)?;
            if rustix::process::getsid(Some(pid)).ok()? != pid {
                return None;
            }
            Some((pid, attempt))
        });
        found.collect()
    }

    /// Everything that midwatch logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// A running `midwatch serve`. Killed when dropped.
pub struct Bot {
    child: Child,
    client: reqwest::Client,
    /// Where it listens.
    pub address: SocketAddr,
    /// How long it took from start to ready.
    pub ready_after: Duration,
}

impl Bot {
    /// Whether `/readyz` says yes.
    pub async fn is_ready(&self) -> bool {
        let answer = self.client.get(self.url("/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// What `/readyz` says.
    pub async fn readiness(&self) -> String {
        let answer = self.client.get(self.url("/readyz")).send().await;
        answer.expect("it listens").text().await.expect("text")
    }

    /// How it ended, once it has.
    pub fn has_ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// An address below it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a power cut would: no signal handler runs.
    pub fn kill9(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is reaped");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().try_into().expect("a pid"))
            .expect("a pid is not zero");
        rustix::process::kill_process(pid, signal).expect("it is there");
    }

    /// Asks it to stop and waits for the end.
    pub fn stop(mut self) -> std::process::ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().expect("it is reaped")
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It may have ended already.
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
}
