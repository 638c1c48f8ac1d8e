//! A private PostgreSQL for tests and proofs: from the installed programs, in a temporary folder, on a port of its own.
//! It ends with the process that started it, however that ends.
#![expect(
    clippy::disallowed_methods,
    reason = "starts a server that the program under test speaks to"
)]

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

/// A server, and the folder that it lives in.
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    server: Option<Child>,
    databases: AtomicU32,
}

/// The server that all tests of this process share, each with databases of its own. `None` where PostgreSQL is not
/// installed; under `CI=true` it must be.
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(Cluster::start_new).as_ref()
}

/// Whether the programs are installed.
pub fn is_installed() -> bool {
    let found = find("initdb").is_some() && find("postgres").is_some();
    let must = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(found || !must, "under CI=true PostgreSQL must be installed");
    found
}

impl Cluster {
    /// A server of one's own, to be ended and started again. `None` where PostgreSQL is not installed.
    pub fn start_new() -> Option<Self> {
        if !is_installed() {
            eprintln!("PostgreSQL is not installed: what needs it is passed over");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        let port = free_port();
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).expect("the folder is given away");
        }
        let made = as_nobody("initdb")
            .args(["--no-sync", "--auth=trust", "--username=midwatch"])
            .args(["--encoding=UTF8", "--locale=C", "-D"])
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("initdb starts").success(), "initdb failed");
        let mut cluster = Self {
            folder,
            port,
            server: None,
            databases: AtomicU32::new(0),
        };
        cluster.start();
        Some(cluster)
    }

    /// A standby that follows this server over the given port, some commits behind.
    pub fn standby(&self, over: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).expect("the folder is given away");
        }
        let copied = as_nobody("pg_basebackup")
            .args(["-h", "127.0.0.1", "-p", &over.to_string(), "-U", "midwatch"])
            .args([
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--wal-method=stream",
                "-D",
            ])
            .arg(folder.join("data"))
            .status();
        assert!(
            copied.expect("pg_basebackup starts").success(),
            "no base backup"
        );
        let mut standby = Self {
            folder,
            port: free_port(),
            server: None,
            databases: AtomicU32::new(0),
        };
        standby.start();
        standby
    }

    /// Makes a standby the server that is written to.
    pub fn promote(&self) {
        let promoted = as_nobody("pg_ctl")
            .args(["promote", "--wait", "--silent", "-D"])
            .arg(self.data())
            .status();
        assert!(promoted.expect("pg_ctl starts").success(), "not promoted");
    }

    /// Starts the server, again after [`Self::stop`] or [`Self::kill9`], and waits until it listens.
    pub fn start(&mut self) {
        let server = as_nobody("postgres");
        // The shell ends the server when we do: it reads our end of the pipe until nobody holds it any more.
        let mut watched = Command::new("sh");
        watched
            .args([
                "-c",
                r#""$@" & cat; kill -INT $! 2>/dev/null; wait; [ -e "$KEEP" ] || rm -rf "$FOLDER""#,
                "sh",
            ])
            .env("FOLDER", &self.folder)
            .env("KEEP", self.folder.join("keep"))
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-p", &self.port.to_string(), "-k", ""])
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "max_connections=200",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.folder.join("log")).expect("a log file"));
        self.server = Some(watched.spawn().expect("the server starts"));
        for _ in 0..500 {
            if self.listens() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("PostgreSQL does not listen: {log}");
    }

    fn listens(&self) -> bool {
        // The last line of the file says how far the server is; a port alone may be somebody else's.
        let state = std::fs::read_to_string(self.folder.join("data/postmaster.pid"));
        state.is_ok_and(|state| {
            state
                .lines()
                .last()
                .is_some_and(|it| ["ready", "standby"].contains(&it.trim()))
        })
    }

    /// Ends the server as an administrator would: connections are cut, everything is written.
    pub fn stop(&mut self) {
        self.signal("-INT");
    }

    /// Ends the server as a power cut would.
    pub fn kill9(&mut self) {
        self.signal("-KILL");
    }

    fn signal(&mut self, signal: &str) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let pid = self.pid();
        std::fs::write(self.folder.join("keep"), "").expect("a file");
        Command::new("kill")
            .args([signal, &pid])
            .status()
            .expect("kill starts");
        drop(server.stdin.take());
        server.wait().expect("it is reaped");
        std::fs::remove_file(self.folder.join("keep")).expect("the file is there");
        if signal == "-KILL" {
            // Its children notice within a moment; until then a new server refuses to start.
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// The address of a new, empty database.
    pub async fn database(&self) -> String {
        let name = format!("m{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.administer(&format!("create database {name}")).await;
        self.url(&name)
    }

    /// Does something that no midwatch does to its own database.
    pub async fn administer(&self, statement: &str) {
        let mut admin = PgConnection::connect(&self.url("postgres"))
            .await
            .expect("the server lets us in");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut admin)
            .await
            .expect("the administrator's statement");
    }

    /// Makes the server stand still, as a host that swaps or a network that is cut: nothing is refused, and nothing
    /// answered.
    pub fn pause(&self) {
        self.signal_all("-STOP");
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&self) {
        self.signal_all("-CONT");
    }

    fn signal_all(&self, signal: &str) {
        let pid = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.expect("the system lists a process's children");
        // The server itself first and last alike: it starts no child amid this, since a stopped one answers nobody.
        let status = Command::new("kill")
            .args([signal, &pid])
            .args(children.split_whitespace())
            .status();
        assert!(status.expect("kill starts").success(), "all are signalled");
    }

    fn pid(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("data/postmaster.pid"));
        let text = text.expect("the server is running");
        let pid = text.lines().next();
        pid.expect("the file begins with a number").to_owned()
    }

    /// The address of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://midwatch@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.stdin.take());
            let _ = server.wait(); // Nothing more is to be done about it.
        }
        let _ = std::fs::remove_dir_all(&self.folder); // Usually the shell has done it.
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

/// The account and group without rights.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// One of PostgreSQL's programs; it refuses to be run by root.
pub fn as_nobody(program: &str) -> Command {
    let path = find(program).unwrap_or_else(|| panic!("`{program}` of PostgreSQL is installed"));
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command
        .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"])
        .arg(path)
        .current_dir("/");
    command
}

/// Where one of PostgreSQL's programs is; Debian keeps most of them where PATH does not lead.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let debian = Path::new("/usr/lib/postgresql").read_dir();
    folders.extend(
        debian
            .into_iter()
            .flatten()
            .flatten()
            .map(|it| it.path().join("bin")),
    );
    let mut files = folders.into_iter().map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}
